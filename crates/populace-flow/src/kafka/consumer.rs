//! A member of a group that reads a topic.

use super::health::{Health, offset_in};
use super::pulse::Pulse;
use super::{ASK, group_and_letters, topic_of};
use crate::consume::Progress;
use crate::error::FlowError;
use crate::log::{Committed, Consumer, Message, Position};
use populace_io::sinks::Target;
use populace_io::sinks::kafka::{CONNECTION, LastError, client_config, ensure_topic};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::metadata::MetadataPartition;
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{Offset, TopicPartitionList};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a broker that was away may take to show that it is back.
const SIGN_OF_LIFE: Duration = Duration::from_secs(1);
/// After how long a consumer that says nothing has lost its partitions, milliseconds: the least that brokers allow by default.
const SESSION_MS: &str = "6000";
/// How long a request that gets no answer is waited for, milliseconds.
const SOCKET_MS: &str = "10000";
/// How often partitions that were added are looked for, milliseconds.
const METADATA_MS: &str = "10000";
/// What is committed with the start of a batch that is about to be stored.
const PENDING: &str = "pending to=";

/// What a client is told by librdkafka, on the thread that polls.
#[derive(Default)]
pub(super) struct Member {
    last: LastError,
    /// The words of the last error: what is polled has its number alone.
    reason: Mutex<String>,
    /// Partitions that were read to their ends since they came to this member.
    ended: Mutex<BTreeSet<i32>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Member {
    fn ended(&self) -> MutexGuard<'_, BTreeSet<i32>> {
        lock(&self.ended)
    }
}

impl ClientContext for Member {
    fn error(&self, error: KafkaError, reason: &str) {
        // The end of a partition comes in the same way.
        if error.rdkafka_error_code() != Some(Code::PartitionEOF) {
            self.last.keep(&error, reason);
        }
        reason.clone_into(&mut lock(&self.reason));
    }

    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}
}

impl ConsumerContext for Member {
    /// A partition that comes back is read from where the group is.
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, _: &Rebalance<'_>) {
        self.ended().clear();
    }
}

fn position_of(message: &BorrowedMessage<'_>) -> Position {
    Position { partition: message.partition(), offset: message.offset() }
}

/// A member of a group that reads a topic.
pub struct KafkaConsumer {
    /// Before the consumer, whose last holder leaves the group.
    pulse: Pulse,
    consumer: Arc<BaseConsumer<Member>>,
    progress: Progress,
    health: Health,
    /// What was refused when messages had been read, which go first.
    refused: Option<FlowError>,
    topic: String,
    shown: String,
    /// Something was wrong when it was last asked for, and no sign of life has come since.
    troubled: bool,
}

impl KafkaConsumer {
    /// Joins the group that the URL's option `group` names, or [`GROUP`](crate::log::GROUP), and asks by the clock for the ends of the
    /// partitions that `progress` has.
    ///
    /// # Errors
    /// No broker answers, or there is no such topic.
    pub fn open(target: &Target, timeout: Duration, progress: Progress) -> Result<Self, FlowError> {
        target.only(&[&CONNECTION[..], &["partitions", "group", "dlq"]].concat())?;
        let (shown, topic, [group, _]) = (target.shown(), topic_of(target), group_and_letters(target)?);
        let mut config = client_config(target)?;
        // Nothing is committed but by hand. A batch may wait for its table as long as the time-out says, and once more.
        let longest = 2 * timeout.as_millis().max(300_000);
        config
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "earliest")
            .set("enable.partition.eof", "true")
            .set("isolation.level", "read_committed")
            // A record that was changed on disk or on its way is an error, not another record.
            .set("check.crcs", "true")
            .set("topic.metadata.refresh.interval.ms", METADATA_MS)
            .set("session.timeout.ms", SESSION_MS)
            .set("heartbeat.interval.ms", "2000")
            .set("max.poll.interval.ms", longest.to_string())
            .set("queued.max.messages.kbytes", "8192")
            // A commit to a broker that goes away waits for as long; what is fetched at once must come in that time over a slow line.
            .set("socket.timeout.ms", SOCKET_MS)
            .set("fetch.max.bytes", "8388608")
            .set("fetch.wait.max.ms", "50")
            .set("reconnect.backoff.max.ms", "1000");
        let context = Member::default();
        let last = context.last.clone();
        let consumer: BaseConsumer<Member> =
            config.create_with_context(context).map_err(|error| FlowError::Refused(format!("{shown}: {error}")))?;
        let consumer = Arc::new(consumer);
        ensure_topic(consumer.client(), &|| drop(consumer.poll(Duration::ZERO)), &last, target, topic)?;
        consumer.subscribe(&[topic]).map_err(|error| FlowError::Refused(format!("{shown}: {error}")))?;
        let (pulse, health) = (Pulse::start(&consumer, topic, &progress), Health::default());
        Ok(Self { pulse, consumer, progress, health, refused: None, topic: topic.to_owned(), shown, troubled: false })
    }

    fn explain(&self, error: &KafkaError) -> FlowError {
        match error.rdkafka_error_code() {
            Some(
                Code::IllegalGeneration | Code::UnknownMemberId | Code::RebalanceInProgress | Code::FencedInstanceId | Code::AssignmentLost,
            ) => FlowError::Superseded(format!("{}: the partition has gone to another member of the group", self.shown)),
            Some(
                Code::UnknownTopicOrPartition
                | Code::UnknownTopic
                | Code::TopicAuthorizationFailed
                | Code::GroupAuthorizationFailed
                | Code::Fatal,
            ) => FlowError::Refused(format!("{}: {error}", self.shown)),
            _ => self.consumer.context().last.explain(&self.shown, error).into(),
        }
    }

    /// Takes note of an error that was polled. False if it is none of a partition.
    fn note(&mut self, error: &KafkaError) -> bool {
        let reason = std::mem::take(&mut *lock(&self.consumer.context().reason));
        let offset = offset_in(&reason);
        let of_partition = offset.is_some() || error.rdkafka_error_code() == Some(Code::TopicAuthorizationFailed);
        if of_partition {
            for partition in self.health.failed(offset, &reason) {
                // Otherwise the same answer is fetched again at once, and what comes after it is taken for the next record.
                self.pause(partition);
            }
        }
        of_partition
    }

    fn pause(&self, partition: i32) {
        // One that has gone to another member meanwhile cannot be paused.
        drop(self.at(partition, Offset::Invalid).map(|list| self.consumer.pause(&list)));
    }

    /// Reads on in partitions that were paused.
    fn resume(&mut self) {
        for (partition, next) in self.health.again() {
            let resumed =
                self.at(partition, Offset::Invalid).and_then(|list| self.consumer.resume(&list).map_err(|error| self.explain(&error)));
            let sought = resumed.and_then(|()| next.map_or(Ok(()), |next| self.seek(partition, next)));
            if let Err(error) = sought {
                self.health.failed_at(partition, &error.to_string());
            }
        }
    }

    /// Why something of a partition failed. A right that is missing may be given: other partitions go on meanwhile.
    fn explain_of(&self, partition: i32, error: &KafkaError) -> FlowError {
        match (self.explain(error), error.rdkafka_error_code()) {
            (superseded @ FlowError::Superseded(_), _) => superseded,
            (FlowError::Refused(told), Some(Code::TopicAuthorizationFailed)) | (FlowError::Unavailable(told), _) => {
                FlowError::Unavailable(format!("{told} (partition {partition})"))
            }
            (told, _) => told,
        }
    }

    /// A record came.
    fn is_read(&mut self, at: Position) {
        self.consumer.context().ended().remove(&at.partition);
        self.health.is_read(at.partition, at.offset + 1);
    }

    /// A list with one partition, at an offset.
    fn at(&self, partition: i32, offset: Offset) -> Result<TopicPartitionList, FlowError> {
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition_offset(&self.topic, partition, offset).map_err(|error| self.explain(&error))?;
        Ok(list)
    }
}

impl Consumer for KafkaConsumer {
    fn topic(&self) -> &str {
        &self.topic
    }

    fn partitions(&mut self) -> Result<Vec<i32>, FlowError> {
        let metadata = self.consumer.fetch_metadata(Some(&self.topic), ASK).map_err(|error| self.explain(&error))?;
        let partitions: Vec<i32> =
            metadata.topics().iter().flat_map(|topic| topic.partitions().iter().map(MetadataPartition::id)).collect();
        if partitions.is_empty() {
            return Err(FlowError::Unavailable(format!("{}: the broker does not say which partitions the topic has", self.shown)));
        }
        Ok(partitions)
    }

    fn assigned(&mut self) -> Result<Vec<i32>, FlowError> {
        let assigned = self.consumer.assignment().map_err(|error| self.explain(&error))?;
        let assigned: Vec<i32> = assigned.elements_for_topic(&self.topic).iter().map(TopicPartitionListElem::partition).collect();
        self.health.assigned(&assigned);
        Ok(assigned)
    }

    fn poll(&mut self, most: usize, wait: Duration) -> Result<Vec<Message>, FlowError> {
        self.health.polls(Instant::now());
        self.resume();
        let (mut messages, mut wait, consumer) = (Vec::new(), wait, Arc::clone(&self.consumer));
        let mut latest: Option<Position> = None;
        while messages.len() < most {
            let polled = consumer.poll(wait);
            let position = polled.as_ref().and_then(|polled| polled.as_ref().ok()).map(position_of);
            // Records of a partition come one after another: how far it was read is noted once for all of them.
            if let Some(read) = latest.filter(|read| position.is_none_or(|next| next.partition != read.partition)) {
                self.is_read(read);
            }
            latest = position;
            let Some(polled) = polled else { break };
            match polled {
                Ok(message) => {
                    let position = position_of(&message);
                    let (key, value) = (message.key().map(<[u8]>::to_vec), message.payload().map(<[u8]>::to_vec));
                    messages.push(Message { position, key, value });
                }
                // It comes once, after the last record.
                Err(KafkaError::PartitionEOF(partition)) => {
                    self.consumer.context().ended().insert(partition);
                    if let Some(end) = offset_in(&lock(&self.consumer.context().reason)) {
                        self.health.is_read(partition, end);
                    }
                }
                Err(error) if self.note(&error) => {}
                // Errors queue up while a broker is away: the old ones say nothing of now.
                Err(error) => match self.explain(&error) {
                    FlowError::Unavailable(_) => self.troubled = true,
                    told => self.refused = Some(told),
                },
            }
            wait = Duration::ZERO;
        }
        if let Some(read) = latest {
            self.is_read(read);
        }
        if !messages.is_empty() {
            self.troubled = false;
            return Ok(messages);
        }
        if let Some(told) = self.refused.take() {
            return Err(told);
        }
        if self.troubled {
            self.consumer.fetch_metadata(Some(&self.topic), SIGN_OF_LIFE).map_err(|error| self.explain(&error))?;
            self.troubled = false;
        }
        Ok(messages)
    }

    fn stuck(&mut self) -> BTreeMap<i32, String> {
        let last = self.consumer.context().last.told().map(|(_, reason)| reason);
        let mut stuck = self.pulse.unasked();
        stuck.extend(self.health.stuck(|partition| self.progress.end(partition), last.as_deref()));
        stuck
    }

    fn is_unreadable(&mut self, partition: i32, from: i64, to: i64) -> bool {
        let unreadable = self.health.is_unreadable(partition, from, to);
        if unreadable {
            self.pause(partition);
        }
        unreadable
    }

    fn exhausted(&mut self, partition: i32) -> Result<bool, FlowError> {
        Ok(self.consumer.context().ended().contains(&partition))
    }

    fn seek(&mut self, partition: i32, offset: i64) -> Result<(), FlowError> {
        self.consumer.context().ended().remove(&partition);
        self.health.goes_on(partition, offset);
        self.consumer.seek(&self.topic, partition, Offset::Offset(offset), ASK).map_err(|error| self.explain(&error))
    }

    fn committed(&mut self, partition: i32) -> Result<Committed, FlowError> {
        let list = self.at(partition, Offset::Invalid)?;
        let list = self.consumer.committed_offsets(list, ASK).map_err(|error| self.explain_of(partition, &error))?;
        let Some(element) = list.find_partition(&self.topic, partition) else {
            return Err(FlowError::Unavailable(format!("{}: the broker does not say how far partition {partition} is", self.shown)));
        };
        element.error().map_err(|error| self.explain_of(partition, &error))?;
        if let Offset::Offset(offset) = element.offset() {
            self.health.begins(partition, offset);
            let pending_end = element.metadata().strip_prefix(PENDING).and_then(|end| end.parse().ok());
            return Ok(Committed { offset, pending_end });
        }
        let (low, _) = self.consumer.fetch_watermarks(&self.topic, partition, ASK).map_err(|error| self.explain_of(partition, &error))?;
        self.health.begins(partition, low);
        Ok(Committed { offset: low, pending_end: None })
    }

    fn commit(&mut self, partition: i32, offset: i64, pending_end: Option<i64>) -> Result<(), FlowError> {
        let list = self.at(partition, Offset::Offset(offset))?;
        if let (Some(end), Some(mut element)) = (pending_end, list.find_partition(&self.topic, partition)) {
            element.set_metadata(format!("{PENDING}{end}"));
        }
        self.consumer.commit(&list, CommitMode::Sync).map_err(|error| self.explain_of(partition, &error))
    }

    fn end(&mut self, partition: i32) -> Result<i64, FlowError> {
        Ok(self.consumer.fetch_watermarks(&self.topic, partition, ASK).map_err(|error| self.explain_of(partition, &error))?.1)
    }
}
