//! Where a consumer that ends has to come to: the ends of all partitions when it began, whoever of the group brings them there.

use crate::error::FlowError;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How often others are asked how far they are.
const ASK: Duration = Duration::from_millis(500);
/// How long the group may take to give this member partitions: longer than it waits for a member that was killed.
const JOIN: Duration = Duration::from_secs(10);
/// When it is first told that others are waited for, and how often at the least: the pause doubles.
const TELL: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(16)];

/// Partitions that have not come to their ends.
pub(super) struct Goal {
    left: BTreeMap<i32, Part>,
    begun: Instant,
    asked: Option<Instant>,
    told: Instant,
    pause: Duration,
    /// When something went on.
    moved: Instant,
}

struct Part {
    end: i64,
    /// How far it was committed and read.
    at: (i64, i64),
}

impl Goal {
    pub(super) fn new(ends: BTreeMap<i32, i64>) -> Self {
        let left = ends.into_iter().map(|(partition, end)| (partition, Part { end, at: (-1, -1) })).collect();
        let now = Instant::now();
        Self { left, begun: now, asked: None, told: now, pause: TELL[0], moved: now }
    }

    /// The end of a partition that has not come there.
    pub(super) fn of(&self, partition: i32) -> Option<i64> {
        self.left.get(&partition).map(|part| part.end)
    }

    pub(super) fn left(&self) -> impl Iterator<Item = i32> {
        self.left.keys().copied()
    }

    /// The group has committed a partition up to `committed`; somebody has read up to `read`.
    pub(super) fn is_at(&mut self, partition: i32, committed: i64, read: i64) {
        let Some(part) = self.left.get_mut(&partition) else { return };
        if part.at != (committed, read) {
            part.at = (committed, read);
            self.moved = Instant::now();
        }
        if committed >= part.end {
            self.left.remove(&partition);
        }
    }

    /// Whether others are to be asked now.
    pub(super) fn is_to_ask(&mut self) -> bool {
        let due = self.asked.is_none_or(|asked| asked.elapsed() >= ASK);
        if due {
            self.asked = Some(Instant::now());
        }
        due
    }

    /// Whether it is to be told now that others are waited for. A member that has no partitions may not have been given any yet.
    pub(super) fn is_to_tell(&mut self, has_partitions: bool) -> bool {
        let due = self.told.elapsed() >= self.pause && (has_partitions || self.begun.elapsed() >= JOIN);
        if due {
            self.told = Instant::now();
            self.pause = (2 * self.pause).min(TELL[1]);
        }
        due
    }

    /// For how long nothing has gone on.
    pub(super) fn rests_for(&self) -> Duration {
        self.moved.elapsed()
    }

    pub(super) fn given_up(&self, topic: &str, after: Duration, stuck: &BTreeMap<i32, String>) -> FlowError {
        let left: Vec<i32> = self.left().collect();
        let causes: Vec<String> = stuck
            .iter()
            .filter(|(partition, _)| left.contains(partition))
            .map(|(partition, why)| format!("partition {partition}: {why}"))
            .collect();
        let why = if causes.is_empty() { "another member of the group may have them".to_owned() } else { causes.join("; ") };
        FlowError::Unavailable(format!(
            "{topic}: {} did not go on for {} s: {why}; what was stored is committed, so run it again to go on",
            listed(&left),
            after.as_secs()
        ))
    }
}

/// Partitions in words.
pub fn listed(partitions: &[i32]) -> String {
    let numbers: Vec<String> = partitions.iter().map(i32::to_string).collect();
    format!("{} {}", if numbers.len() == 1 { "partition" } else { "partitions" }, numbers.join(", "))
}
