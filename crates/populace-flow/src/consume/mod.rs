//! The consumer: from the log into the table, each event once; what is not an event goes to the dead letters. How that holds whatever is
//! killed when is said in [`log`](crate::log).

mod bots;
mod goal;
mod prepare;
mod progress;
#[cfg(test)]
mod tests;

pub use bots::{FIELD as SUSPECTED, Suspicions, suspicions};
pub use goal::listed;
pub use progress::Progress;

use crate::error::FlowError;
use crate::log::{Consumer, Message, token};
use crate::table::{DeadLetters, EventTable, Inserted};
use goal::Goal;
use populace_io::retry::Retry;
use prepare::{Prepared, prepare};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// When a batch is stored.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// At so many messages of a partition.
    pub messages: usize,
    /// At so many bytes of them.
    pub bytes: usize,
    /// So long after the first of them.
    pub wait: Duration,
    /// How long the log or the table may be away before the consumer gives up; it can be started again.
    pub timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { messages: 10_000, bytes: 16 << 20, wait: Duration::from_secs(1), timeout: Duration::from_mins(5) }
    }
}

/// The longest pause between two tries: a broker that comes and goes is to be found while it is there.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How often stopping is looked for.
const GLANCE: Duration = Duration::from_millis(100);

/// What a consumer has done. `read` = `stored` + `known` + `erased` + `dead`, once all batches are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages of the batches that are dealt with.
    pub read: u64,
    /// Events that are in the table now and were not before.
    pub stored: u64,
    /// Events that were there already.
    pub known: u64,
    /// Events of people who were erased since, which are not stored.
    pub erased: u64,
    /// Messages that are dead letters.
    pub dead: u64,
    /// Events that were marked as suspected of no human.
    pub suspected: u64,
    /// Batches.
    pub batches: u64,
}

impl Counts {
    /// Whether every message is accounted for.
    pub const fn balanced(&self) -> bool {
        self.read == self.stored + self.known + self.erased + self.dead
    }
}

/// Hears of what a consumer does.
pub trait Witness {
    /// A batch was stored.
    fn stored(&mut self, counts: &Counts);

    /// Something is away and is tried again.
    fn waiting(&mut self, why: &FlowError);

    /// All that is left to wait for is in partitions that another member of the group has.
    fn held(&mut self, partitions: &[i32]);

    /// What was away is there again.
    fn found(&mut self) {}

    /// These partitions of a topic do not go on, and why; none if all do. It is said when it changes.
    fn stuck(&mut self, _topic: &str, _partitions: &BTreeMap<i32, String>) {}
}

/// A witness that says nothing.
pub struct Silent;

impl Witness for Silent {
    fn stored(&mut self, _: &Counts) {}

    fn waiting(&mut self, _: &FlowError) {}

    fn held(&mut self, _: &[i32]) {}
}

/// Messages of one partition on their way into the table.
struct Batch {
    /// The offset of the first, and what is committed.
    from: i64,
    /// The offset after the last.
    next: i64,
    /// Where the batch ends that was begun before: its bounds are given.
    end: Option<i64>,
    messages: Vec<Message>,
    bytes: usize,
    since: Instant,
    /// The message after a gap, for whose sake the partition was read again.
    gap: Option<i64>,
}

impl Batch {
    fn new(from: i64, end: Option<i64>) -> Self {
        Self { from, next: from, end: end.filter(|end| *end > from), messages: Vec::new(), bytes: 0, since: Instant::now(), gap: None }
    }

    fn push(&mut self, message: Message) {
        if self.messages.is_empty() {
            self.since = Instant::now();
        }
        self.next = message.position.offset + 1;
        self.bytes += message.value.as_ref().map_or(0, Vec::len) + message.key.as_ref().map_or(0, Vec::len);
        self.messages.push(message);
    }

    /// Whether the batch is to be stored as it is. `exhausted`: the partition holds nothing more. `goal`: where it is enough. A batch
    /// whose bounds are given waits for all its records, however long; those that are not there at the end of the partition are gone.
    fn is_due(&self, limits: &Limits, exhausted: bool, goal: Option<i64>) -> bool {
        if let Some(end) = self.end {
            return self.next >= end || exhausted;
        }
        let full = self.messages.len() >= limits.messages || self.bytes >= limits.bytes || self.since.elapsed() >= limits.wait;
        !self.messages.is_empty() && (full || goal.is_some_and(|goal| exhausted || self.next >= goal))
    }
}

/// A consumer at work.
pub struct Consume<'a> {
    consumer: &'a mut dyn Consumer,
    table: &'a dyn EventTable,
    letters: &'a dyn DeadLetters,
    limits: Limits,
    stop: &'a AtomicBool,
    batches: BTreeMap<i32, Batch>,
    /// Partitions that were another's when something was to be committed. If they come back without a word, they are read again.
    lost: BTreeSet<i32>,
    /// Where it is enough, if that is somewhere.
    goal: Option<Goal>,
    /// When what was away was last found again: while it was away, nothing could go on.
    found: Option<Instant>,
    suspicions: Suspicions,
    counts: Counts,
    progress: Progress,
    /// What was last known not to go on.
    stuck: BTreeMap<i32, String>,
}

impl<'a> Consume<'a> {
    /// A consumer that ends soon after `stop` is set, with all it has read stored.
    pub fn new(
        consumer: &'a mut dyn Consumer,
        table: &'a dyn EventTable,
        letters: &'a dyn DeadLetters,
        limits: Limits,
        stop: &'a AtomicBool,
    ) -> Self {
        let (batches, lost) = (BTreeMap::new(), BTreeSet::new());
        let (suspicions, counts, progress, stuck) = (Suspicions::default(), Counts::default(), Progress::default(), BTreeMap::new());
        Self { consumer, table, letters, limits, stop, batches, lost, goal: None, found: None, suspicions, counts, progress, stuck }
    }

    /// Keeps how far it is in `progress`, which others read meanwhile.
    #[must_use]
    pub fn with_progress(self, progress: Progress) -> Self {
        Self { progress, ..self }
    }

    /// Consumes until it is stopped, or, if `once`, until the group has dealt with what was in the topic when this began, all partitions of
    /// it: this member with those that it is given, others with theirs.
    ///
    /// # Errors
    /// The log or the table refuses, is away for longer than the limit, or another consumer has taken over; `once`, another member of the
    /// group has not gone on for longer than the limit. What is in the table and what is committed agree: start it again.
    pub fn run(&mut self, once: bool, witness: &mut dyn Witness) -> Result<Counts, FlowError> {
        self.goal = if once { Some(self.set_goal(witness)?) } else { None };
        loop {
            let stopping = self.stop.load(Ordering::Relaxed);
            if !stopping {
                let (most, wait) = (self.limits.messages, GLANCE.min(self.limits.wait));
                let messages = self.retry(witness, |this| this.consumer.poll(most, wait))?;
                self.follow_assignment(witness)?;
                self.take_all(messages, witness)?;
                self.watch(witness);
            }
            for partition in self.due(stopping)? {
                self.store(partition, witness)?;
            }
            if stopping || self.is_done(witness)? {
                return Ok(self.counts);
            }
        }
    }

    fn watch(&mut self, witness: &mut dyn Witness) {
        let stuck = self.consumer.stuck();
        if stuck != self.stuck {
            witness.stuck(self.consumer.topic(), &stuck);
            self.stuck = stuck;
        }
    }

    fn set_goal(&mut self, witness: &mut dyn Witness) -> Result<Goal, FlowError> {
        let partitions = self.retry(witness, |this| this.consumer.partitions())?;
        let end = |partition| Ok((partition, self.retry(witness, |this| this.consumer.end(partition))?));
        Ok(Goal::new(partitions.into_iter().map(end).collect::<Result<_, FlowError>>()?))
    }

    /// Whether the group has reached the goal. Asks how far others are now and then, and gives up if nothing goes on.
    fn is_done(&mut self, witness: &mut dyn Witness) -> Result<bool, FlowError> {
        let Some(mut goal) = self.goal.take() else { return Ok(false) };
        for (partition, batch) in &self.batches {
            goal.is_at(*partition, batch.from, batch.next);
        }
        if goal.is_to_ask() {
            let others: Vec<i32> = goal.left().filter(|partition| !self.batches.contains_key(partition)).collect();
            for partition in &others {
                let committed = self.retry(witness, |this| this.consumer.committed(*partition))?;
                goal.is_at(*partition, committed.offset, committed.offset);
            }
            if !others.is_empty() && goal.left().all(|partition| others.contains(&partition)) && goal.is_to_tell(!self.batches.is_empty()) {
                witness.held(&others);
            }
        }
        let done = goal.left().next().is_none();
        let rests = goal.rests_for().min(self.found.map_or(Duration::MAX, |found| found.elapsed()));
        if !done && rests >= self.limits.timeout {
            return Err(goal.given_up(self.consumer.topic(), self.limits.timeout, &self.stuck));
        }
        self.goal = Some(goal);
        Ok(done)
    }

    fn take_all(&mut self, messages: Vec<Message>, witness: &mut dyn Witness) -> Result<(), FlowError> {
        let mut rewound = BTreeSet::new();
        for message in messages {
            let partition = message.position.partition;
            if !rewound.contains(&partition) && !self.take(message, witness)? {
                rewound.insert(partition);
            }
        }
        Ok(())
    }

    /// The partitions whose batches are to be stored now.
    fn due(&mut self, stopping: bool) -> Result<Vec<i32>, FlowError> {
        let mut due = Vec::new();
        for (partition, batch) in &mut self.batches {
            let goal = self.goal.as_ref().and_then(|goal| goal.of(*partition));
            let exhausted = self.consumer.exhausted(*partition)?;
            if let (Some(goal), true, None) = (goal, exhausted && batch.messages.is_empty(), batch.end) {
                // What is left up to there is gone from the log: the group is to know.
                batch.end = Some(goal).filter(|goal| *goal > batch.from);
            }
            if batch.is_due(&self.limits, exhausted, goal) || stopping && batch.end.is_none() && !batch.messages.is_empty() {
                due.push(*partition);
            }
        }
        Ok(due)
    }

    /// Forgets partitions that are another's now, without a commit, and learns where to go on in those that are new.
    fn follow_assignment(&mut self, witness: &mut dyn Witness) -> Result<(), FlowError> {
        let assigned = self.consumer.assigned()?;
        self.batches.retain(|partition, _| assigned.contains(partition));
        self.lost.retain(|partition| assigned.contains(partition));
        self.progress.keep(&assigned);
        for partition in assigned {
            self.begin(partition, witness)?;
        }
        Ok(())
    }

    fn begin(&mut self, partition: i32, witness: &mut dyn Witness) -> Result<(), FlowError> {
        if !self.batches.contains_key(&partition) {
            let committed = self.retry(witness, |this| this.consumer.committed(partition))?;
            if self.lost.contains(&partition) {
                self.retry(witness, |this| this.consumer.seek(partition, committed.offset))?;
                self.lost.remove(&partition);
            }
            self.progress.is_at(partition, committed.offset);
            self.batches.insert(partition, Batch::new(committed.offset, committed.pending_end));
        }
        Ok(())
    }

    /// Puts a message into the batch of its partition. False if the partition is read again from where the batch ends, as there are
    /// records in between: what else was read of it is to be forgotten.
    fn take(&mut self, message: Message, witness: &mut dyn Witness) -> Result<bool, FlowError> {
        let (partition, offset) = (message.position.partition, message.position.offset);
        let Some(batch) = self.batches.get_mut(&partition) else { return Ok(false) };
        if offset < batch.next {
            // Read already, before the partition came to this member again.
            return Ok(true);
        }
        // A partition that went and came back while the log was asked may show what comes later first. Read once more, a gap is one: its
        // records are gone from the log.
        if offset > batch.next && batch.gap != Some(offset) {
            batch.gap = Some(offset);
            let next = batch.next;
            self.retry(witness, |this| this.consumer.seek(partition, next))?;
            return Ok(false);
        }
        if offset > batch.next && self.consumer.is_unreadable(partition, batch.next, offset) {
            return Ok(false);
        }
        // A batch whose bounds are given ends there, whatever comes next, and not before.
        if batch.end.map_or(batch.messages.len() >= self.limits.messages, |end| offset >= end) {
            self.store(partition, witness)?;
            // If the partition was lost with that, the next batch begins where this one did.
            return self.take(message, witness);
        }
        batch.push(message);
        Ok(true)
    }

    /// Stores the batch of a partition. If the partition is another's by now, so is the batch: it has the same bounds and token there.
    fn store(&mut self, partition: i32, witness: &mut dyn Witness) -> Result<(), FlowError> {
        match self.store_batch(partition, witness) {
            Err(FlowError::Superseded(_)) => {
                self.lost.insert(partition);
                Ok(())
            }
            done => done,
        }
    }

    /// Pending, dead letters, events, done.
    fn store_batch(&mut self, partition: i32, witness: &mut dyn Witness) -> Result<(), FlowError> {
        let Some(batch) = self.batches.remove(&partition) else { return Ok(()) };
        let (from, to) = (batch.from, batch.end.unwrap_or(batch.next));
        let topic = self.consumer.topic().to_owned();
        let read = batch.messages.len() as u64;
        let Prepared { events, letters, suspected } = prepare(&topic, &batch.messages, &mut self.suspicions);
        self.retry(witness, |this| this.consumer.commit(partition, from, Some(to)))?;
        if !letters.is_empty() {
            self.retry(witness, |this| this.letters.put(&letters))?;
        }
        let token = token(&topic, partition, from, to);
        let inserted =
            if events.is_empty() { Inserted::default() } else { self.retry(witness, |this| this.table.insert(&token, &events))? };
        self.retry(witness, |this| this.consumer.commit(partition, to, None))?;
        let counts = &mut self.counts;
        counts.read += read;
        counts.stored += inserted.stored;
        counts.known += inserted.known;
        counts.erased += inserted.erased;
        counts.dead += letters.len() as u64;
        counts.suspected += suspected;
        counts.batches += 1;
        self.batches.insert(partition, Batch::new(to, None));
        self.progress.is_at(partition, to);
        witness.stored(&self.counts);
        Ok(())
    }

    /// Tries again while something is away, for as long as the limit allows.
    fn retry<T>(&mut self, witness: &mut dyn Witness, mut act: impl FnMut(&mut Self) -> Result<T, FlowError>) -> Result<T, FlowError> {
        let mut retry = Retry::new(self.limits.timeout, GLANCE, LONGEST_PAUSE);
        let mut away = false;
        loop {
            match act(self) {
                Ok(done) => {
                    if away {
                        self.found = Some(Instant::now());
                        witness.found();
                    }
                    return Ok(done);
                }
                Err(error) if error.is_transient() => {
                    if self.stop.load(Ordering::Relaxed) || retry.is_over() {
                        let next = "run the same command again, and it goes on where it was";
                        return Err(FlowError::Unavailable(format!("{error}; {next}")));
                    }
                    away = true;
                    witness.waiting(&error);
                    retry.pause(None);
                }
                done => return done,
            }
        }
    }
}
