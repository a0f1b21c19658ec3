//! How the partitions of a member fare: a partition that does not go on says why, whatever the reason.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// How long nothing may come of a partition that holds more.
const QUIET: Duration = Duration::from_secs(20);
/// Without a poll for so long, what came is not known: it waits in the client's queue.
const UNWATCHED: Duration = Duration::from_secs(2);
/// When a partition that could not be read is read again.
const AGAIN: Duration = Duration::from_secs(5);
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
    /// It is paused until then.
    paused: Option<Instant>,
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
            self.parts.entry(*partition).or_insert_with(|| Part { next: None, quiet: Instant::now(), cause: None, paused: None });
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
        }
    }

    /// The broker's answer for a partition could not be read or was an error. Returns the partitions that this may be about.
    pub(super) fn failed(&mut self, offset: Option<i64>, reason: &str) -> Vec<i32> {
        let reason = reason.trim_end_matches(['.', ' ']);
        let (about, cause) = match offset {
            None => (self.parts.keys().copied().collect(), reason.to_owned()),
            Some(offset) => {
                self.unreadable.push_back((Instant::now(), offset));
                if self.unreadable.len() > REMEMBERED.1 {
                    self.unreadable.pop_front();
                }
                (self.nearest(offset), format!("{reason}; {SKIP}"))
            }
        };
        self.pause(&about, &cause);
        about
    }

    /// A partition cannot be read on in.
    pub(super) fn failed_at(&mut self, partition: i32, cause: &str) {
        self.pause(&[partition], cause);
    }

    /// The partitions that are at an offset, or are the fewest records beyond it: a batch begins before them.
    fn nearest(&self, offset: i64) -> Vec<i32> {
        let beyond = |part: &Part| part.next.filter(|_| part.paused.is_none()).map(|next| next - offset).filter(|beyond| *beyond >= 0);
        let least = self.parts.values().filter_map(beyond).min();
        self.parts.iter().filter(|(_, part)| least.is_some() && beyond(part) == least).map(|(partition, _)| *partition).collect()
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
        }
    }

    #[test]
    fn an_error_is_that_of_the_partition_whose_offset_it_names() {
        let mut health = health(&[(0, 12), (1, 40), (2, 41)]);
        let reason = "Decompression (codec 0x7) of message at 40 of 300 bytes failed: Local: Not implemented";
        assert_eq!(health.failed(offset_in(reason), reason), [1]);
        let stuck = health.stuck(|_| None, None);
        assert!(stuck.len() == 1 && stuck[&1].starts_with(reason) && stuck[&1].contains("--reset-offsets"), "{stuck:?}");
        // Records beyond it do not mean that it is gone.
        assert!(health.is_unreadable(1, 38, 41) && !health.is_unreadable(1, 41, 50));
        health.is_read(1, 41);
        assert!(health.stuck(|_| None, None).is_empty());
        // A partition that was begun amid a batch.
        assert_eq!(health.failed(Some(38), "MessageSet at offset 38 (90 bytes) failed CRC32C check"), [2]);
        // What names no offset is about all.
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
