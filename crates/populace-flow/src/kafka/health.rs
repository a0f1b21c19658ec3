//! How the partitions of a member fare: a partition that does not go on says why, whatever the reason.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// How long nothing may come of a partition that holds more.
const QUIET: Duration = Duration::from_secs(20);
/// Without a poll for so long, what came is not known: it waits in the client's queue.
const UNWATCHED: Duration = Duration::from_secs(2);
/// When a partition that could not be read is read again.
const AGAIN: Duration = Duration::from_secs(5);
/// How long a suspected partition is read alone, if neither an error nor a record comes of it.
const TRIAL: Duration = Duration::from_secs(2);
/// For how long, and how many, offsets that could not be read are remembered.
const REMEMBERED: (Duration, usize) = (Duration::from_mins(1), 1_000);
/// What helps if it lasts.
const SKIP: &str =
    "nothing after it is stored until it can be read, or until the group's offset is set past it (kafka-consumer-groups --reset-offsets)";

/// Where a partition is, and what keeps it from going on.
struct Part {
    /// The offset that comes next.
    next: Option<i64>,
    /// Since when something should have come.
    quiet: Instant,
    cause: Option<String>,
    /// The offset that could not be read.
    unreadable: Option<i64>,
    /// It is paused until then.
    paused: Option<Instant>,
    /// The offset of an error that may be about it: which partition it is shows when each is read alone.
    suspected: Option<i64>,
    /// The offset that it was last suspected of, and read past.
    cleared: Option<i64>,
}

impl Part {
    fn new() -> Self {
        Self { next: None, quiet: Instant::now(), cause: None, unreadable: None, paused: None, suspected: None, cleared: None }
    }
}

/// All partitions of a member.
#[derive(Default)]
pub(super) struct Health {
    parts: BTreeMap<i32, Part>,
    polled: Option<Instant>,
    /// Offsets that could not be read, of whatever partition: an error does not name it.
    unreadable: VecDeque<(Instant, i64)>,
}

impl Health {
    /// Something is polled now.
    pub(super) fn polls(&mut self, now: Instant) {
        if self.polled.replace(now).is_none_or(|before| now - before > UNWATCHED) {
            self.parts.values_mut().for_each(|part| part.quiet = now);
        }
    }

    /// These are the member's partitions.
    pub(super) fn assigned(&mut self, partitions: &[i32]) {
        self.parts.retain(|partition, _| partitions.contains(partition));
        for partition in partitions {
            self.parts.entry(*partition).or_insert_with(Part::new);
        }
    }

    /// A partition begins at an offset, if nothing has come of it yet.
    pub(super) fn begins(&mut self, partition: i32, next: i64) {
        if let Some(part) = self.parts.get_mut(&partition) {
            part.next.get_or_insert(next);
        }
    }

    /// A partition goes on from an offset.
    pub(super) fn goes_on(&mut self, partition: i32, next: i64) {
        if let Some(part) = self.parts.get_mut(&partition) {
            (part.next, part.quiet) = (Some(next), Instant::now());
        }
    }

    /// Everything before an offset was read, by a record that came or by the end of the partition.
    pub(super) fn is_read(&mut self, partition: i32, next: i64) {
        self.goes_on(partition, next);
        if let Some(part) = self.parts.get_mut(&partition) {
            part.cause = None;
            if part.paused.is_some() {
                // It was fetched before.
                return;
            }
            let suspected = part.suspected.take();
            if let Some(offset) = suspected.or(part.unreadable.take()).filter(|offset| next > *offset) {
                part.cleared = Some(offset);
            }
            if suspected.is_some()
                && let Some(next) = self.parts.values_mut().find(|part| part.suspected.is_some() && part.paused.is_some())
            {
                next.paused = Some(Instant::now());
            }
        }
    }

    /// The broker's answer for a partition could not be read or was an error. Returns the partitions that are to be paused: those that this
    /// may be about. An error names no partition, but an offset; so of several each is read alone until one of them fails again.
    pub(super) fn failed(&mut self, offset: Option<i64>, reason: &str) -> Vec<i32> {
        let reason = reason.trim_end_matches(['.', ' ']);
        let Some(offset) = offset else {
            let all: Vec<i32> = self.parts.keys().copied().collect();
            self.pause(&all, reason);
            return all;
        };
        let now = Instant::now();
        self.unreadable.push_back((now, offset));
        if self.unreadable.len() > REMEMBERED.1 {
            self.unreadable.pop_front();
        }
        let suspects = self.suspects(offset);
        if let [partition] = suspects[..] {
            self.pause(&suspects, &format!("{reason}; {SKIP}"));
            self.parts.entry(partition).and_modify(|part| (part.unreadable, part.suspected) = (Some(offset), None));
            for part in self.parts.values_mut().filter(|part| part.suspected.is_some()) {
                (part.paused, part.suspected) = (part.paused.and(Some(now)), None);
            }
        }
        for (turn, partition) in suspects.iter().enumerate().filter(|_| suspects.len() > 1) {
            let trial = now + TRIAL * turn as u32;
            self.parts.entry(*partition).and_modify(|part| (part.paused, part.suspected) = (Some(trial), Some(offset)));
        }
        suspects
    }

    /// A partition cannot be read on in.
    pub(super) fn failed_at(&mut self, partition: i32, cause: &str) {
        self.pause(&[partition], cause);
    }

    /// The partitions that are read and may have an unreadable offset: the one of which it is known; or else all that are at it or beyond it,
    /// as a batch begins before them, the nearest first.
    fn suspects(&self, offset: i64) -> Vec<i32> {
        let mut read = self.parts.iter().filter(|(_, part)| part.paused.is_none());
        if let Some((partition, _)) = read.clone().find(|(_, part)| part.unreadable == Some(offset)) {
            return vec![*partition];
        }
        let beyond = |(partition, part): (&i32, &Part)| Some((part.next? - offset, *partition)).filter(|(beyond, _)| *beyond >= 0);
        let (mut cleared, mut suspects): (Vec<_>, Vec<_>) = read.by_ref().partition(|(_, part)| part.cleared == Some(offset));
        if suspects.iter().all(|suspect| beyond(*suspect).is_none()) {
            suspects.append(&mut cleared);
        }
        let mut suspects: Vec<(i64, i32)> = suspects.into_iter().filter_map(beyond).collect();
        suspects.sort_unstable();
        suspects.into_iter().map(|(_, partition)| partition).collect()
    }

    /// Whether something between two offsets could not be read lately, so that it is not known to be gone.
    pub(super) fn is_unreadable(&mut self, partition: i32, from: i64, to: i64) -> bool {
        self.unreadable.retain(|(heard, _)| heard.elapsed() < REMEMBERED.0);
        let found = self.unreadable.iter().any(|(_, offset)| (from..to).contains(offset));
        if found {
            self.pause(&[partition], &format!("records {from} to {} could not be read; {SKIP}", to - 1));
        }
        found
    }

    fn pause(&mut self, partitions: &[i32], cause: &str) {
        let until = Instant::now() + AGAIN;
        for partition in partitions {
            if let Some(part) = self.parts.get_mut(partition) {
                (part.cause, part.paused) = (Some(cause.to_owned()), Some(until));
            }
        }
    }

    /// Partitions that are to be read again now, and from where.
    pub(super) fn again(&mut self) -> Vec<(i32, Option<i64>)> {
        let now = Instant::now();
        let due = self.parts.iter_mut().filter(|(_, part)| part.paused.is_some_and(|until| until <= now));
        due.map(|(partition, part)| {
            (part.paused, part.quiet) = (None, now);
            (*partition, part.next)
        })
        .collect()
    }

    /// What does not go on and why. `end`: where a partition ends, as far as that is known.
    pub(super) fn stuck(&mut self, end: impl Fn(i32) -> Option<i64>, last: Option<&str>) -> BTreeMap<i32, String> {
        let now = Instant::now();
        let mut stuck = BTreeMap::new();
        for (partition, part) in &mut self.parts {
            let (end, next) = (end(*partition), part.next);
            let waits = end.zip(next).map_or(0, |(end, next)| end - next);
            if let Some(cause) = &part.cause {
                stuck.insert(*partition, cause.clone());
            } else if waits == 0 {
                part.quiet = now;
            } else if now - part.quiet >= QUIET {
                let next = next.unwrap_or_default();
                stuck.insert(*partition, if waits > 0 { silent(waits, next, last) } else { shorter(next + waits, next) });
            }
        }
        stuck
    }
}

fn silent(waits: i64, next: i64, last: Option<&str>) -> String {
    let heard = last.map_or_else(|| "the broker reports no error".to_owned(), |last| format!("last error: {last}"));
    format!("{waits} records from offset {next} on do not come for {} s; {heard}", QUIET.as_secs())
}

fn shorter(end: i64, next: i64) -> String {
    format!(
        "it ends at offset {end}, but this group has read up to {next}: the topic was made anew or has lost records, and what comes below \
         {next} would be left out; set the group's offset (kafka-consumer-groups --reset-offsets)"
    )
}

/// The offset that an error of librdkafka names: `… at offset 12 …`, `… of message at 12 …`.
pub(super) fn offset_in(reason: &str) -> Option<i64> {
    let rest = ["at offset ", "message at "].iter().find_map(|before| reason.split_once(before).map(|(_, rest)| rest))?;
    rest.split(|of: char| !of.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health(parts: &[(i32, i64)]) -> Health {
        let mut health = Health::default();
        health.assigned(&parts.iter().map(|(partition, _)| *partition).collect::<Vec<_>>());
        for (partition, next) in parts {
            health.goes_on(*partition, *next);
        }
        health
    }

    fn age(health: &mut Health, by: Duration) {
        for part in health.parts.values_mut() {
            part.quiet = part.quiet.checked_sub(by).unwrap();
            part.paused = part.paused.map(|until| until.checked_sub(by).unwrap());
        }
    }

    #[test]
    fn an_error_is_that_of_the_partition_whose_offset_it_names() {
        let mut health = health(&[(0, 12), (1, 40), (2, 41)]);
        let reason = "Decompression (codec 0x7) of message at 40 of 300 bytes failed: Local: Not implemented";
        let resumed = |health: &mut Health| health.again().into_iter().map(|(partition, _)| partition).collect::<Vec<_>>();
        // It may be of the one at 41, whose batch may begin before: the nearest is read first, alone, and fails again.
        assert_eq!(health.failed(offset_in(reason), reason), [1, 2]);
        assert!(health.stuck(|_| None, None).is_empty(), "it is not known yet which");
        assert_eq!(resumed(&mut health), [1]);
        assert_eq!(health.failed(offset_in(reason), reason), [1]);
        assert_eq!(resumed(&mut health), [2], "it goes on at once");
        let stuck = health.stuck(|_| None, None);
        assert!(stuck.len() == 1 && stuck[&1].starts_with(reason) && stuck[&1].contains("--reset-offsets"), "{stuck:?}");
        // Records beyond it do not mean that it is gone.
        assert!(health.is_unreadable(1, 38, 41) && !health.is_unreadable(1, 41, 50));
        // It is read again, and the same error is its own.
        age(&mut health, AGAIN);
        assert_eq!(resumed(&mut health), [1]);
        assert_eq!(health.failed(offset_in(reason), reason), [1]);
        age(&mut health, AGAIN);
        assert_eq!(resumed(&mut health), [1]);
        health.is_read(1, 41);
        // A partition that was begun amid a batch: the first that is tried is not the one.
        let reason = "MessageSet at offset 38 (90 bytes) failed CRC32C check";
        assert_eq!(health.failed(Some(38), reason), [1, 2]);
        assert_eq!(resumed(&mut health), [1]);
        health.is_read(1, 43);
        assert_eq!(resumed(&mut health), [2], "as soon as the first is cleared");
        assert_eq!(health.failed(Some(38), reason), [2]);
        assert!(health.stuck(|_| None, None).into_keys().eq([2]));
        // One of which nothing comes does not keep the others waiting.
        let mut health = self::health(&[(0, 7), (1, 7)]);
        assert_eq!(health.failed(Some(7), reason), [0, 1]);
        assert_eq!(resumed(&mut health), [0]);
        assert!(health.again().is_empty());
        age(&mut health, TRIAL);
        assert_eq!(resumed(&mut health), [1]);
        // What names no offset is about all.
        let mut health = self::health(&[(0, 12), (1, 40), (2, 41)]);
        assert_eq!(health.failed(None, "Fetch from broker 1 failed: Broker: Topic authorization failed"), [0, 1, 2]);
        assert!(health.again().is_empty());
    }

    #[test]
    fn a_partition_that_says_nothing_is_found_by_the_clock() {
        let mut health = health(&[(0, 12), (1, 40)]);
        let end = |partition| Some(if partition == 0 { 20 } else { 40 });
        assert!(health.stuck(end, None).is_empty(), "it may come yet");
        age(&mut health, QUIET);
        assert_eq!(health.stuck(end, None)[&0], "8 records from offset 12 on do not come for 20 s; the broker reports no error");
        assert_eq!(health.stuck(end, None).len(), 1);
        // While nothing is polled, nothing can come.
        health.polls(Instant::now());
        assert!(health.stuck(end, None).is_empty());
        age(&mut health, QUIET);
        let stuck = health.stuck(|_| Some(5), None);
        assert!(stuck[&0].starts_with("it ends at offset 5, but this group has read up to 12"), "{stuck:?}");
    }

    #[test]
    fn errors_name_their_offsets() {
        for (reason, offset) in [
            ("Fetch from broker 1 reached end of partition at offset 123 (HighwaterMark 124)", Some(123)),
            ("MessageSet at offset 7 (90 bytes) failed CRC32C check (original 0x1 != calculated 0x2)", Some(7)),
            ("Fetch from broker 1 failed at offset 12 (leader epoch 0): Broker: Disk error", Some(12)),
            ("Fetch from broker 1 failed: Broker: Topic authorization failed", None),
        ] {
            assert_eq!(offset_in(reason), offset, "{reason}");
        }
    }
}
