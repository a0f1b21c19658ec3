//! How far a consumer is, for whoever asks at whatever moment: the ends of its partitions are asked by the clock, also while the consumer
//! waits for its table.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// An end that was asked for longer ago says nothing of now.
const FRESH: Duration = Duration::from_secs(5);

/// Shared by a consumer, by whoever asks its log, and by whoever reports it.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<Mutex<BTreeMap<i32, Part>>>);

#[derive(Debug, Default)]
struct Part {
    /// All before it are in the table or among the dead letters.
    dealt: i64,
    /// The end of the partition, and when it was asked for.
    end: Option<(i64, Instant)>,
}

impl Progress {
    fn parts(&self) -> MutexGuard<'_, BTreeMap<i32, Part>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All records of a partition before `offset` are dealt with.
    pub(crate) fn is_at(&self, partition: i32, offset: i64) {
        self.parts().entry(partition).or_default().dealt = offset;
    }

    /// Forgets partitions that are not this consumer's any more.
    pub(super) fn keep(&self, assigned: &[i32]) {
        self.parts().retain(|partition, _| assigned.contains(partition));
    }

    /// The partitions of the consumer.
    pub fn partitions(&self) -> Vec<i32> {
        self.parts().keys().copied().collect()
    }

    /// Where a partition ends, asked for just now.
    pub fn ends_at(&self, partition: i32, end: i64) {
        if let Some(part) = self.parts().get_mut(&partition) {
            part.end = Some((end, Instant::now()));
        }
    }

    /// Where a partition ends, if that is known of now.
    pub fn end(&self, partition: i32) -> Option<i64> {
        self.parts().get(&partition).and_then(Part::fresh)
    }

    /// How many records of the consumer's partitions wait for it; none if the end of one of them is not known of now.
    pub fn lag(&self) -> Option<u64> {
        self.parts().values().map(|part| Some(part.fresh()?.saturating_sub(part.dealt).max(0) as u64)).sum()
    }
}

impl Part {
    fn fresh(&self) -> Option<i64> {
        self.end.filter(|(_, asked)| asked.elapsed() < FRESH).map(|(end, _)| end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lag_is_of_now_or_unknown() {
        let progress = Progress::default();
        assert_eq!(progress.lag(), Some(0), "no partition, nothing to come");
        progress.is_at(0, 7);
        progress.is_at(3, 1);
        progress.ends_at(0, 10);
        assert_eq!(progress.lag(), None, "the end of partition 3 is not known");
        progress.ends_at(3, 1);
        progress.ends_at(9, 1_000);
        assert_eq!((progress.lag(), progress.partitions()), (Some(3), vec![0, 3]), "partition 9 is another's");
        progress.is_at(0, 10);
        assert_eq!((progress.lag(), progress.end(0)), (Some(0), Some(10)));
        progress.parts().get_mut(&0).unwrap().end = Instant::now().checked_sub(FRESH).map(|asked| (10, asked));
        assert_eq!((progress.lag(), progress.end(0)), (None, None), "what was asked {FRESH:?} ago");
        progress.keep(&[3]);
        assert_eq!(progress.lag(), Some(0));
    }
}
