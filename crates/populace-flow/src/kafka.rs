//! Kafka as the log, and as the place of dead letters.

use crate::error::FlowError;
use crate::log::{Committed, Consumer, DEAD_LETTER_TOPIC, GROUP, Message, Position, Producer, Record, TOPIC};
use crate::table::{DeadLetter, DeadLetters};
use populace_io::sinks::Target;
use populace_io::sinks::kafka::{CONNECTION, LastError, client_config, ensure_topic, producer_config};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, Message as _, OwnedHeaders};
use rdkafka::metadata::MetadataPartition;
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeSet;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a question to a broker may take.
const ASK: Duration = Duration::from_secs(5);
/// How long a broker that was away may take to show that it is back.
const SIGN_OF_LIFE: Duration = Duration::from_secs(1);
/// After how long a consumer that says nothing has lost its partitions, milliseconds: the least that brokers allow by default.
const SESSION_MS: &str = "6000";
/// How long a request that gets no answer is waited for, milliseconds.
const SOCKET_MS: &str = "10000";
/// What is committed with the start of a batch that is about to be stored.
const PENDING: &str = "pending to=";

/// What a record's acknowledgement is told to.
struct Ticket {
    index: usize,
    acknowledged: Sender<(usize, Result<Position, KafkaError>)>,
}

#[derive(Default)]
struct Acknowledgements(LastError);

impl ClientContext for Acknowledgements {
    fn error(&self, error: KafkaError, reason: &str) {
        self.0.keep(&error, reason);
    }

    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}
}

impl ProducerContext for Acknowledgements {
    type DeliveryOpaque = Box<Ticket>;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: Box<Ticket>) {
        let position = match result {
            Ok(message) => Ok(Position { partition: message.partition(), offset: message.offset() }),
            Err((error, _)) => Err(error.clone()),
        };
        // Whoever asked may have given up.
        drop(ticket.acknowledged.send((ticket.index, position)));
    }
}

/// A topic that takes records.
pub struct KafkaLog {
    producer: ThreadedProducer<Acknowledgements>,
    topic: String,
    shown: String,
    timeout: Duration,
}

impl KafkaLog {
    /// A producer for the topic of a URL, or the topic of `email`'s events if it names none; `timeout` is for a record to be acknowledged.
    ///
    /// # Errors
    /// No broker answers, or there is no such topic.
    pub fn open(target: &Target, timeout: Duration) -> Result<Self, FlowError> {
        Self::of_topic(target, topic_of(target), timeout)
    }

    fn of_topic(target: &Target, topic: &str, timeout: Duration) -> Result<Self, FlowError> {
        target.only(&[&CONNECTION[..], &["partitions", "group", "dlq"]].concat())?;
        let shown = target.shown();
        let mut config = client_config(target)?;
        producer_config(&mut config, "lz4", timeout);
        config.set("linger.ms", "5");
        let context = Acknowledgements::default();
        let last = context.0.clone();
        let producer: ThreadedProducer<Acknowledgements> =
            config.create_with_context(context).map_err(|error| FlowError::Refused(format!("{shown}: {error}")))?;
        // Its own thread polls.
        ensure_topic(producer.client(), &|| {}, &last, target, topic)?;
        Ok(Self { producer, topic: topic.to_owned(), shown, timeout })
    }

    fn explain(&self, error: &KafkaError) -> FlowError {
        self.producer.context().0.explain(&self.shown, error).into()
    }

    /// Publishes records with headers and waits for all of them.
    fn publish_all<'r>(
        &self,
        records: impl ExactSizeIterator<Item = (&'r [u8], &'r [u8], Option<OwnedHeaders>)>,
    ) -> Result<Vec<Position>, FlowError> {
        let count = records.len();
        let (acknowledged, answers) = channel();
        for (index, (key, value, headers)) in records.enumerate() {
            let ticket = Box::new(Ticket { index, acknowledged: acknowledged.clone() });
            let mut record = BaseRecord::with_opaque_to(&self.topic, ticket).key(key).payload(value);
            if let Some(headers) = headers {
                record = record.headers(headers);
            }
            while let Err((error, back)) = self.producer.send(record) {
                match error {
                    KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) => sleep(Duration::from_millis(5)),
                    KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge) => {
                        return Err(FlowError::Refused(format!("{}: a record is larger than the broker takes", self.shown)));
                    }
                    error => return Err(self.explain(&error)),
                }
                record = back;
            }
        }
        let mut positions = vec![Position { partition: 0, offset: 0 }; count];
        let until = Instant::now() + self.timeout + ASK;
        for _ in 0..count {
            let answer = answers.recv_timeout(until.saturating_duration_since(Instant::now()));
            let (index, position) = answer.map_err(|_| FlowError::Unavailable(format!("{}: records were not acknowledged", self.shown)))?;
            positions[index] = position.map_err(|error| self.explain(&error))?;
        }
        Ok(positions)
    }
}

/// The topic that a URL names.
pub fn topic_of(target: &Target) -> &str {
    if target.path.is_empty() { TOPIC } else { &target.path }
}

/// The group that a URL names, and the topic of its dead letters.
fn group_and_letters(target: &Target) -> Result<[&str; 2], FlowError> {
    let option = |name: &str, or: &'static str| match target.options.get(name).map(String::as_str) {
        Some("") => Err(FlowError::Refused(format!("{}: {name} must not be empty", target.shown()))),
        given => Ok(given.unwrap_or(or)),
    };
    let both = [option("group", GROUP)?, option("dlq", DEAD_LETTER_TOPIC)?];
    if both[1] == topic_of(target) {
        return Err(FlowError::Refused(format!(
            "{}: topic `{}` cannot take its own dead letters, which would be read again for ever; name another with ?dlq=TOPIC",
            target.shown(),
            both[1]
        )));
    }
    Ok(both)
}

impl Producer for KafkaLog {
    fn publish(&self, records: &[Record]) -> Result<Vec<Position>, FlowError> {
        self.publish_all(records.iter().map(|record| (record.key.as_slice(), record.value.as_slice(), None)))
    }

    fn ready(&self) -> Result<(), FlowError> {
        self.producer.client().fetch_metadata(Some(&self.topic), Duration::from_secs(2)).map(drop).map_err(|error| self.explain(&error))
    }
}

/// A topic of dead letters: the original bytes, under the key `topic/partition/offset`, with reason, place and original key as headers. A
/// consumer that was killed in between may put a letter twice; its key says so.
pub struct KafkaDeadLetters(KafkaLog);

impl KafkaDeadLetters {
    /// The topic that the URL's option `dlq` names, or [`DEAD_LETTER_TOPIC`]; it is created if it is not there.
    ///
    /// # Errors
    /// It is the topic that is read, no broker answers, or it cannot be created.
    pub fn open(target: &Target, timeout: Duration) -> Result<Self, FlowError> {
        let [_, topic] = group_and_letters(target)?;
        let (mut target, topic) = (target.clone(), topic.to_owned());
        target.options.entry("partitions".to_owned()).or_insert_with(|| "1".to_owned());
        Ok(Self(KafkaLog::of_topic(&target, &topic, timeout)?))
    }
}

impl DeadLetters for KafkaDeadLetters {
    fn put(&self, letters: &[DeadLetter]) -> Result<u64, FlowError> {
        let keys: Vec<String> =
            letters.iter().map(|letter| format!("{}/{}/{}", letter.topic, letter.position.partition, letter.position.offset)).collect();
        let records = letters.iter().zip(&keys).map(|(letter, key)| {
            let text = |name: &'static str, value: &str| (name, value.to_owned());
            let (partition, offset) = (letter.position.partition.to_string(), letter.position.offset.to_string());
            let told =
                [text("reason", &letter.reason), text("topic", &letter.topic), text("partition", &partition), text("offset", &offset)];
            let headers = told.iter().fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: Some(value) }));
            let headers = headers.insert(Header { key: "key", value: letter.key.as_deref() });
            (key.as_bytes(), letter.value.as_slice(), Some(headers))
        });
        Ok(self.0.publish_all(records)?.len() as u64)
    }

    fn count(&self) -> Result<u64, FlowError> {
        let client = self.0.producer.client();
        let metadata = client.fetch_metadata(Some(&self.0.topic), ASK).map_err(|error| self.0.explain(&error))?;
        let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions().iter().map(MetadataPartition::id));
        partitions.map(|partition| client.fetch_watermarks(&self.0.topic, partition, ASK)).try_fold(0, |count, watermarks| {
            let (low, high) = watermarks.map_err(|error| self.0.explain(&error))?;
            Ok(count + (high - low) as u64)
        })
    }
}

#[derive(Default)]
struct Member {
    last: LastError,
    /// Partitions that were read to their ends since they came to this member.
    ended: Mutex<BTreeSet<i32>>,
}

impl Member {
    fn ended(&self) -> MutexGuard<'_, BTreeSet<i32>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Member {
    fn error(&self, error: KafkaError, reason: &str) {
        self.last.keep(&error, reason);
    }

    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}
}

impl ConsumerContext for Member {
    /// A partition that comes back is read from where the group is.
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, _: &Rebalance<'_>) {
        self.ended().clear();
    }
}

/// A member of a group that reads a topic.
pub struct KafkaConsumer {
    consumer: BaseConsumer<Member>,
    topic: String,
    shown: String,
    /// Something was wrong when it was last asked for, and no sign of life has come since.
    troubled: bool,
}

impl KafkaConsumer {
    /// Joins the group that the URL's option `group` names, or [`GROUP`].
    ///
    /// # Errors
    /// No broker answers, or there is no such topic.
    pub fn open(target: &Target, timeout: Duration) -> Result<Self, FlowError> {
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
            .set("session.timeout.ms", SESSION_MS)
            .set("heartbeat.interval.ms", "2000")
            .set("max.poll.interval.ms", longest.to_string())
            .set("queued.max.messages.kbytes", "32768")
            // A commit to a broker that goes away waits for as long; what is fetched at once must come in that time over a slow line.
            .set("socket.timeout.ms", SOCKET_MS)
            .set("fetch.max.bytes", "8388608")
            .set("fetch.wait.max.ms", "50")
            .set("reconnect.backoff.max.ms", "1000");
        let context = Member::default();
        let last = context.last.clone();
        let consumer: BaseConsumer<Member> =
            config.create_with_context(context).map_err(|error| FlowError::Refused(format!("{shown}: {error}")))?;
        ensure_topic(consumer.client(), &|| drop(consumer.poll(Duration::ZERO)), &last, target, topic)?;
        consumer.subscribe(&[topic]).map_err(|error| FlowError::Refused(format!("{shown}: {error}")))?;
        Ok(Self { consumer, topic: topic.to_owned(), shown, troubled: false })
    }

    fn explain(&self, error: &KafkaError) -> FlowError {
        use RDKafkaErrorCode as Code;
        match error.rdkafka_error_code() {
            Some(
                Code::IllegalGeneration | Code::UnknownMemberId | Code::RebalanceInProgress | Code::FencedInstanceId | Code::AssignmentLost,
            ) => FlowError::Superseded(format!("{}: the partition has gone to another member of the group", self.shown)),
            Some(Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::TopicAuthorizationFailed | Code::GroupAuthorizationFailed) => {
                FlowError::Refused(format!("{}: {error}", self.shown))
            }
            _ => self.consumer.context().last.explain(&self.shown, error).into(),
        }
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
        Ok(assigned.elements_for_topic(&self.topic).iter().map(TopicPartitionListElem::partition).collect())
    }

    fn poll(&mut self, most: usize, wait: Duration) -> Result<Vec<Message>, FlowError> {
        let mut messages = Vec::new();
        let (mut wait, mut refused) = (wait, None);
        while messages.len() < most {
            let Some(polled) = self.consumer.poll(wait) else { break };
            match polled {
                Ok(message) => {
                    let position = Position { partition: message.partition(), offset: message.offset() };
                    self.consumer.context().ended().remove(&position.partition);
                    let (key, value) = (message.key().map(<[u8]>::to_vec), message.payload().map(<[u8]>::to_vec));
                    messages.push(Message { position, key, value });
                }
                // It comes once, after the last record.
                Err(KafkaError::PartitionEOF(partition)) => drop(self.consumer.context().ended().insert(partition)),
                // Errors queue up while a broker is away: the old ones say nothing of now.
                Err(error) => match self.explain(&error) {
                    FlowError::Unavailable(_) => self.troubled = true,
                    told => refused = Some(told),
                },
            }
            wait = Duration::ZERO;
        }
        if !messages.is_empty() {
            // What was read goes first; an error comes again if it lasts.
            self.troubled = false;
            return Ok(messages);
        }
        if let Some(told) = refused {
            return Err(told);
        }
        if self.troubled {
            self.consumer.fetch_metadata(Some(&self.topic), SIGN_OF_LIFE).map_err(|error| self.explain(&error))?;
            self.troubled = false;
        }
        Ok(messages)
    }

    fn exhausted(&mut self, partition: i32) -> Result<bool, FlowError> {
        Ok(self.consumer.context().ended().contains(&partition))
    }

    fn seek(&mut self, partition: i32, offset: i64) -> Result<(), FlowError> {
        self.consumer.context().ended().remove(&partition);
        self.consumer.seek(&self.topic, partition, Offset::Offset(offset), ASK).map_err(|error| self.explain(&error))
    }

    fn committed(&mut self, partition: i32) -> Result<Committed, FlowError> {
        let list = self.at(partition, Offset::Invalid)?;
        let list = self.consumer.committed_offsets(list, ASK).map_err(|error| self.explain(&error))?;
        let Some(element) = list.find_partition(&self.topic, partition) else {
            return Err(FlowError::Unavailable(format!("{}: the broker does not say how far partition {partition} is", self.shown)));
        };
        element.error().map_err(|error| self.explain(&error))?;
        if let Offset::Offset(offset) = element.offset() {
            let pending_end = element.metadata().strip_prefix(PENDING).and_then(|end| end.parse().ok());
            return Ok(Committed { offset, pending_end });
        }
        let (low, _) = self.consumer.fetch_watermarks(&self.topic, partition, ASK).map_err(|error| self.explain(&error))?;
        Ok(Committed { offset: low, pending_end: None })
    }

    fn commit(&mut self, partition: i32, offset: i64, pending_end: Option<i64>) -> Result<(), FlowError> {
        let list = self.at(partition, Offset::Offset(offset))?;
        if let (Some(end), Some(mut element)) = (pending_end, list.find_partition(&self.topic, partition)) {
            element.set_metadata(format!("{PENDING}{end}"));
        }
        self.consumer.commit(&list, CommitMode::Sync).map_err(|error| self.explain(&error))
    }

    fn end(&mut self, partition: i32) -> Result<i64, FlowError> {
        Ok(self.consumer.fetch_watermarks(&self.topic, partition, ASK).map_err(|error| self.explain(&error))?.1)
    }
}
