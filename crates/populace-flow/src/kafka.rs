//! Kafka as the log, and as the place of dead letters.

mod consumer;
mod health;
mod pulse;

pub use consumer::KafkaConsumer;

use crate::error::FlowError;
use crate::log::{DEAD_LETTER_TOPIC, GROUP, Producer, Record, TOPIC};
use crate::table::{DeadLetter, DeadLetters};
use populace_io::sinks::Target;
use populace_io::sinks::kafka::{CONNECTION, LastError, client_config, ensure_topic, producer_config};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::metadata::MetadataPartition;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::sleep;
use std::time::Duration;

/// How long a question to a broker may take.
const ASK: Duration = Duration::from_secs(5);

/// Records that were sent together: how many are not acknowledged yet, and the first failure. Whoever waits is woken once.
struct Publication {
    open: Mutex<(usize, Option<KafkaError>)>,
    ended: Condvar,
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
    type DeliveryOpaque = Arc<Publication>;

    fn delivery(&self, result: &DeliveryResult<'_>, publication: Arc<Publication>) {
        let mut open = publication.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.0 -= 1;
        if let Err((error, _)) = result {
            open.1.get_or_insert_with(|| error.clone());
        }
        if open.0 == 0 || open.1.is_some() {
            publication.ended.notify_one();
        }
    }
}

/// How long a look for acknowledgements lasts. For the last millisecond of each the client turns in circles, which with its own
/// `ThreadedProducer`, whose looks last a tenth of a second, is a hundredth of a core.
const LOOK: Duration = Duration::from_secs(2);

/// A producer, and a thread that hears what becomes of its records.
struct Heard {
    producer: Arc<BaseProducer<Acknowledgements>>,
    stop: Arc<AtomicBool>,
}

impl Heard {
    fn new(producer: BaseProducer<Acknowledgements>) -> Self {
        let (producer, stop) = (Arc::new(producer), Arc::<AtomicBool>::default());
        let (hearing, stopped) = (Arc::clone(&producer), Arc::clone(&stop));
        // Nobody waits for its end, which may take as long as a look: whoever publishes waits until all is acknowledged.
        let hears = move || {
            while !stopped.load(Ordering::Relaxed) {
                hearing.poll(LOOK);
            }
        };
        std::thread::spawn(hears);
        Self { producer, stop }
    }
}

impl Drop for Heard {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Deref for Heard {
    type Target = BaseProducer<Acknowledgements>;

    fn deref(&self) -> &Self::Target {
        &self.producer
    }
}

/// A topic that takes records.
pub struct KafkaLog {
    producer: Heard,
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
        let producer = config.create_with_context(context).map_err(|error| FlowError::Refused(format!("{shown}: {error}")))?;
        let producer = Heard::new(producer);
        // Its own thread polls.
        ensure_topic(producer.client(), &|| {}, &last, target, topic)?;
        Ok(Self { producer, topic: topic.to_owned(), shown, timeout })
    }

    fn explain(&self, error: &KafkaError) -> FlowError {
        self.producer.context().0.explain(&self.shown, error).into()
    }

    /// Publishes records with headers and waits for all of them.
    fn publish_all<'r>(&self, records: impl ExactSizeIterator<Item = (&'r [u8], &'r [u8], Option<OwnedHeaders>)>) -> Result<(), FlowError> {
        let publication = Arc::new(Publication { open: Mutex::new((records.len(), None)), ended: Condvar::new() });
        for (key, value, headers) in records {
            let mut record = BaseRecord::with_opaque_to(&self.topic, Arc::clone(&publication)).key(key).payload(value);
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
        let open = publication.open.lock().unwrap_or_else(PoisonError::into_inner);
        let waits = |open: &mut (usize, Option<KafkaError>)| open.0 > 0 && open.1.is_none();
        let waited = publication.ended.wait_timeout_while(open, self.timeout + ASK, waits);
        match &*waited.unwrap_or_else(PoisonError::into_inner).0 {
            (_, Some(error)) => Err(self.explain(error)),
            (0, None) => Ok(()),
            _ => Err(FlowError::Unavailable(format!("{}: records were not acknowledged", self.shown))),
        }
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
    fn publish(&self, records: &[Record]) -> Result<(), FlowError> {
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
        self.0.publish_all(records)?;
        Ok(letters.len() as u64)
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
