//! The consumer: from the log into the table, each event once; what is no event goes to the dead letters. How that holds whatever is
//! killed when is said in [`log`](crate::log).

mod bots;
mod prepare;
#[cfg(test)]
mod tests;

pub use bots::{Suspicions, suspicions};

use crate::error::FlowError;
use crate::log::{Consumer, Message, token};
use crate::table::{DeadLetters, EventTable, Inserted};
use prepare::{Prepared, prepare};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
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

/// The longest that a batch that was begun by another waits for records that are gone from the log.
const GONE: Duration = Duration::from_secs(10);
/// How often stopping is looked for.
const GLANCE: Duration = Duration::from_millis(100);

/// What a consumer has done. `read` = `stored` + `known` + `dead`, once all batches are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages of the batches that are dealt with.
    pub read: u64,
    /// Events that are in the table now and were not before.
    pub stored: u64,
    /// Events that were there already.
    pub known: u64,
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
        self.read == self.stored + self.known + self.dead
    }
}

/// Hears of what a consumer does.
pub trait Witness {
    /// A batch was stored; so many messages of the assigned partitions are still to come.
    fn stored(&mut self, counts: &Counts, lag: u64);

    /// Something is away and is tried again.
    fn waiting(&mut self, why: &FlowError);
}

/// A witness that says nothing.
pub struct Silent;

impl Witness for Silent {
    fn stored(&mut self, _: &Counts, _: u64) {}

    fn waiting(&mut self, _: &FlowError) {}
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
        if self.messages.is_empty() && self.end.is_none() {
            self.since = Instant::now();
        }
        self.next = message.position.offset + 1;
        self.bytes += message.value.as_ref().map_or(0, Vec::len) + message.key.as_ref().map_or(0, Vec::len);
        self.messages.push(message);
    }

    fn is_full(&self, limits: &Limits) -> bool {
        match self.end {
            Some(end) => self.next >= end || self.since.elapsed() >= GONE,
            None => {
                self.messages.len() >= limits.messages
                    || self.bytes >= limits.bytes
                    || !self.messages.is_empty() && self.since.elapsed() >= limits.wait
            }
        }
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
    suspicions: Suspicions,
    counts: Counts,
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
        Self { consumer, table, letters, limits, stop, batches, lost, suspicions: Suspicions::default(), counts: Counts::default() }
    }

    /// Consumes until it is stopped, or, if `once`, until what was in the log when it began is dealt with.
    ///
    /// # Errors
    /// The log or the table refuses, is away for longer than the limit, or another consumer has taken over. What is in the table and what
    /// is committed agree: start it again.
    pub fn run(&mut self, once: bool, witness: &mut dyn Witness) -> Result<Counts, FlowError> {
        let mut goal = None;
        let mut quiet_since = Instant::now();
        loop {
            let stopping = self.stop.load(Ordering::Relaxed);
            let most = self.limits.messages;
            let wait = if stopping { Duration::ZERO } else { GLANCE.min(self.limits.wait) };
            let messages = if stopping { Vec::new() } else { self.patiently(witness, |this| this.consumer.poll(most, wait))? };
            self.follow_assignment(witness)?;
            if !messages.is_empty() {
                quiet_since = Instant::now();
            }
            let mut rewound = BTreeSet::new();
            for message in messages {
                let partition = message.position.partition;
                if !rewound.contains(&partition) && !self.take(message, witness)? {
                    rewound.insert(partition);
                }
            }
            let full =
                |batch: &Batch, limits: &Limits| batch.is_full(limits) || stopping && batch.end.is_none() && !batch.messages.is_empty();
            let due: Vec<i32> =
                self.batches.iter().filter(|(_, batch)| full(batch, &self.limits)).map(|(partition, _)| *partition).collect();
            for partition in due {
                self.store(partition, witness)?;
            }
            if stopping {
                return Ok(self.counts);
            }
            if once {
                let assigned = self.consumer.assigned()?;
                if goal.is_none() && !assigned.is_empty() {
                    goal = Some(self.ends(&assigned, witness)?);
                }
                let reached = |goal: &BTreeMap<i32, i64>| goal.iter().all(|(partition, end)| self.reached(*partition, *end));
                // A partition that another member has is that member's to finish.
                let idle =
                    quiet_since.elapsed() >= GONE && self.batches.values().all(|batch| batch.messages.is_empty() && batch.end.is_none());
                if goal.as_ref().is_some_and(reached) && quiet_since.elapsed() >= GLANCE || goal.is_some() && idle {
                    return Ok(self.counts);
                }
            }
        }
    }

    fn reached(&self, partition: i32, end: i64) -> bool {
        self.batches.get(&partition).is_none_or(|batch| batch.messages.is_empty() && batch.end.is_none() && batch.from >= end)
    }

    fn ends(&mut self, partitions: &[i32], witness: &mut dyn Witness) -> Result<BTreeMap<i32, i64>, FlowError> {
        partitions.iter().map(|partition| Ok((*partition, self.patiently(witness, |this| this.consumer.end(*partition))?))).collect()
    }

    /// Forgets partitions that are another's now, without a commit, and learns where to go on in those that are new.
    fn follow_assignment(&mut self, witness: &mut dyn Witness) -> Result<(), FlowError> {
        let assigned = self.consumer.assigned()?;
        self.batches.retain(|partition, _| assigned.contains(partition));
        self.lost.retain(|partition| assigned.contains(partition));
        for partition in assigned {
            self.begin(partition, witness)?;
        }
        Ok(())
    }

    fn begin(&mut self, partition: i32, witness: &mut dyn Witness) -> Result<(), FlowError> {
        if !self.batches.contains_key(&partition) {
            let committed = self.patiently(witness, |this| this.consumer.committed(partition))?;
            if self.lost.contains(&partition) {
                self.patiently(witness, |this| this.consumer.seek(partition, committed.offset))?;
                self.lost.remove(&partition);
            }
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
            self.patiently(witness, |this| this.consumer.seek(partition, next))?;
            return Ok(false);
        }
        // A batch whose bounds are given ends there, whatever comes next.
        if batch.end.is_some_and(|end| offset >= end) || batch.messages.len() >= self.limits.messages {
            self.store(partition, witness)?;
        }
        if let Some(batch) = self.batches.get_mut(&partition) {
            batch.push(message);
            return Ok(true);
        }
        // Lost while it was stored: the new batch begins where that one did.
        Ok(false)
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
        let Prepared { events, letters, suspected } = prepare(&topic, batch.messages, &mut self.suspicions);
        self.patiently(witness, |this| this.consumer.commit(partition, from, Some(to)))?;
        if !letters.is_empty() {
            self.patiently(witness, |this| this.letters.put(&letters))?;
        }
        let token = token(&topic, partition, from, to);
        let inserted =
            if events.is_empty() { Inserted::default() } else { self.patiently(witness, |this| this.table.insert(&token, &events))? };
        self.patiently(witness, |this| this.consumer.commit(partition, to, None))?;
        let counts = &mut self.counts;
        counts.read += read;
        counts.stored += inserted.stored;
        counts.known += inserted.known;
        counts.dead += letters.len() as u64;
        counts.suspected += suspected;
        counts.batches += 1;
        self.batches.insert(partition, Batch::new(to, None));
        let counts = self.counts;
        let lag = self.lag().unwrap_or(0);
        witness.stored(&counts, lag);
        Ok(())
    }

    /// Messages of the assigned partitions that are not dealt with.
    fn lag(&mut self) -> Result<u64, FlowError> {
        let mut lag = 0;
        for (partition, batch) in &self.batches {
            lag += (self.consumer.end(*partition)? - batch.from).max(0) as u64;
        }
        Ok(lag)
    }

    /// Tries again while something is away, for as long as the limit allows.
    fn patiently<T>(&mut self, witness: &mut dyn Witness, mut act: impl FnMut(&mut Self) -> Result<T, FlowError>) -> Result<T, FlowError> {
        let until = Instant::now() + self.limits.timeout;
        let mut pause = GLANCE;
        loop {
            match act(self) {
                Err(error) if error.is_transient() && Instant::now() + pause < until && !self.stop.load(Ordering::Relaxed) => {
                    witness.waiting(&error);
                    sleep(pause);
                    pause = (2 * pause).min(Duration::from_secs(5));
                }
                done => return done,
            }
        }
    }
}
