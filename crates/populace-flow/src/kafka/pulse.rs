//! Asks by the clock where partitions end, beside whatever the consumer does.

use super::consumer::Member;
use crate::consume::Progress;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::metadata::MetadataTopic;
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often it is asked.
const EVERY: Duration = Duration::from_secs(1);
/// How long one question may take.
const QUESTION: Duration = Duration::from_secs(2);
/// How long a partition may not be asked for before that is reported: leaders change.
const LEADERLESS: Duration = Duration::from_secs(10);

/// Partitions whose ends could not be asked for: since when, and why.
type Unasked = Mutex<BTreeMap<i32, (Instant, String)>>;

/// A thread that asks until this is dropped.
pub(super) struct Pulse {
    unasked: Arc<Unasked>,
    /// It ends when this is dropped.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Pulse {
    pub(super) fn start(consumer: &Arc<BaseConsumer<Member>>, topic: &str, progress: &Progress) -> Self {
        let unasked = Arc::<Unasked>::default();
        let (stop, stopped) = channel();
        let (consumer, topic, progress, failures) = (Arc::clone(consumer), topic.to_owned(), progress.clone(), Arc::clone(&unasked));
        let thread = std::thread::spawn(move || {
            while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                let mut failed = BTreeMap::new();
                for (partition, end) in ends(&consumer, &topic, &progress.partitions()) {
                    match end {
                        Ok(end) => progress.ends_at(partition, end),
                        Err(why) => drop(failed.insert(partition, why)),
                    }
                }
                let mut failures = lock(&failures);
                failures.retain(|partition, _| failed.contains_key(partition));
                for (partition, why) in failed {
                    failures.entry(partition).or_insert_with(|| (Instant::now(), String::new())).1 = why;
                }
            }
        });
        Self { unasked, stop: Some(stop), thread: Some(thread) }
    }

    /// Partitions that nobody can be asked for, for long enough, and why.
    pub(super) fn unasked(&self) -> BTreeMap<i32, String> {
        let unasked = lock(&self.unasked);
        let long = unasked.iter().filter(|(_, (since, _))| since.elapsed() >= LEADERLESS);
        long.map(|(partition, (_, why))| (*partition, format!("its end cannot be asked for: {why}"))).collect()
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join) {
            std::panic::resume_unwind(panic);
        }
    }
}

fn lock(unasked: &Unasked) -> MutexGuard<'_, BTreeMap<i32, (Instant, String)>> {
    unasked.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where partitions end, or why one cannot be asked; nothing if no broker answers, which is not a partition's fault.
fn ends(consumer: &BaseConsumer<Member>, topic: &str, partitions: &[i32]) -> Vec<(i32, Result<i64, String>)> {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    let listed = partitions.iter().try_for_each(|partition| list.add_partition_offset(topic, *partition, Offset::End));
    if partitions.is_empty() || listed.is_err() {
        return Vec::new();
    }
    // One question to each broker.
    if let Ok(list) = consumer.offsets_for_times(list, QUESTION) {
        let end = |partition: &i32| {
            let element = list.find_partition(topic, *partition)?;
            let end = element.error().map_err(|error| error.to_string()).and_then(|()| match element.offset() {
                Offset::Offset(end) => Ok(end),
                _ => Err("the broker does not say".to_owned()),
            });
            Some((*partition, end))
        };
        return partitions.iter().filter_map(end).collect();
    }
    // It fails as a whole if one of them has no leader, or one of the brokers is away.
    let Ok(metadata) = consumer.fetch_metadata(Some(topic), QUESTION) else { return Vec::new() };
    let known: Vec<_> = metadata.topics().iter().flat_map(MetadataTopic::partitions).collect();
    let asked = Instant::now();
    let end = |partition: &i32| match known.iter().find(|known| known.id() == *partition) {
        None => Some(Err("the topic has no such partition".to_owned())),
        Some(known) if known.leader() < 0 => Some(Err("no broker leads it".to_owned())),
        // Those that are left are asked for at the next stroke.
        Some(_) if asked.elapsed() > LEADERLESS / 2 => None,
        Some(_) => Some(consumer.fetch_watermarks(topic, *partition, QUESTION).map(|(_, end)| end).map_err(|error| error.to_string())),
    };
    partitions.iter().filter_map(|partition| Some((*partition, end(partition)?))).collect()
}
