//! Kafka: the main data table as records, JSON or Avro, keyed by user.

/// The client that [`client_config`] configures.
pub use rdkafka;

use super::avro::Avro;
use super::{Context, FIRST_REACH, Sink, SinkError, Target};
use crate::table::{Kind, Table, as_codes};
use crate::text::TextFormat;
use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::metadata::Metadata;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Wake};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// The topic of a scenario whose URL names none.
fn default_topic(family: &str) -> String {
    format!("{family}-events")
}

/// What all clients of a broker need: brokers, log-in, encryption, and no log on standard error.
///
/// # Errors
/// The URL asks for something that there is not.
pub fn client_config(target: &Target) -> Result<ClientConfig, SinkError> {
    let mut config = ClientConfig::new();
    let hosts: Vec<String> =
        target.hosts.split(',').map(|host| if has_port(host) { host.to_owned() } else { format!("{host}:9092") }).collect();
    let tls = match target.options.get("tls").map(String::as_str) {
        None | Some("false") => false,
        Some("true") if built_in("ssl") => true,
        Some("true") => {
            return Err(SinkError::Refused(format!(
                "{}: this program was built without TLS for Kafka; build it with RUSTFLAGS='--cfg kafka_tls'",
                target.shown()
            )));
        }
        Some(_) => return Err(SinkError::Refused(format!("{}: tls must be true or false", target.shown()))),
    };
    config.set("bootstrap.servers", hosts.join(",")).set("client.id", "populace").set("log.connection.close", "false");
    config.set_log_level(RDKafkaLogLevel::Emerg);
    if let Some(user) = &target.user {
        config.set("security.protocol", if tls { "SASL_SSL" } else { "SASL_PLAINTEXT" });
        config.set("sasl.mechanism", "PLAIN").set("sasl.username", user);
        config.set("sasl.password", target.password.as_deref().unwrap_or_default());
    } else if tls {
        config.set("security.protocol", "SSL");
    }
    Ok(config)
}

/// Whether librdkafka was built with something.
fn built_in(feature: &str) -> bool {
    let features = ClientConfig::new().create_native_config().and_then(|config| config.get("builtin.features"));
    features.is_ok_and(|features| features.split(',').any(|built| built.trim_matches('\0') == feature))
}

fn has_port(host: &str) -> bool {
    !host.ends_with(']') && host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok())
}

/// What a producer needs besides: idempotent, acknowledged by all replicas that are in step, lz4; `timeout` for a record on its way.
pub fn producer_config(config: &mut ClientConfig, compression: &str, timeout: Duration) {
    config
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("compression.codec", compression)
        // The partition of a key is that of the Java and .NET clients.
        .set("partitioner", "murmur2_random")
        .set("linger.ms", "20")
        .set("batch.num.messages", "10000")
        .set("queue.buffering.max.messages", "200000")
        .set("queue.buffering.max.kbytes", "65536")
        .set("reconnect.backoff.max.ms", "1000")
        .set("message.timeout.ms", timeout.as_millis().to_string());
}

/// The last thing a client heard of its brokers: what a time-out does not say.
#[derive(Clone, Debug, Default)]
pub struct LastError(Arc<Mutex<Option<(RDKafkaErrorCode, String)>>>);

impl LastError {
    /// Keeps an error.
    pub fn keep(&self, error: &KafkaError, reason: &str) {
        // `all brokers down` says less than what came before it.
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) {
            let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((code, reason.to_owned()));
        }
    }

    fn told(&self) -> Option<(RDKafkaErrorCode, String)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Why something failed, as well as it is known.
    pub fn explain(&self, shown: &str, error: &KafkaError) -> SinkError {
        match self.told() {
            Some((RDKafkaErrorCode::Authentication, reason)) => {
                SinkError::Refused(format!("{shown}: the broker refuses the user or the password: {reason}"))
            }
            Some((_, reason)) => SinkError::Unavailable(format!("{shown}: {error}; last heard: {reason}")),
            None => SinkError::Unavailable(format!("{shown}: {error}")),
        }
    }
}

/// The number of partitions of a topic; 0 if there is no such topic.
fn partitions_of(metadata: &Metadata, topic: &str) -> usize {
    metadata
        .topics()
        .iter()
        .find(|known| known.name() == topic)
        .map_or(0, |known| if known.error().is_some() { 0 } else { known.partitions().len() })
}

/// Makes sure that a topic is there: creates it with so many partitions if that is asked for. Polls `client` while it waits.
///
/// # Errors
/// No broker is reached within seconds, or there is no such topic.
pub fn ensure_topic<C: ClientContext>(
    client: &rdkafka::client::Client<C>,
    last: &LastError,
    target: &Target,
    (topic, create): (&str, Option<u32>),
) -> Result<usize, SinkError> {
    let shown = target.shown();
    let metadata = client.fetch_metadata(Some(topic), FIRST_REACH).map_err(|error| match last.explain(&shown, &error) {
        SinkError::Unavailable(_) => {
            let heard = last.told().map_or_else(|| error.to_string(), |(_, reason)| reason);
            SinkError::Unavailable(format!("{shown}: no broker answers ({heard}); is Kafka running there?"))
        }
        refused @ SinkError::Refused(_) => refused,
    })?;
    let there = partitions_of(&metadata, topic);
    if there > 0 {
        return Ok(there);
    }
    let Some(partitions) = create else {
        return Err(SinkError::Refused(format!(
            "{shown}: there is no topic `{topic}`; create it, or add ?partitions=N to the URL and it will be created"
        )));
    };
    let admin: AdminClient<DefaultClientContext> =
        client_config(target)?.create().map_err(|error| SinkError::Refused(format!("{shown}: {error}")))?;
    let new = [NewTopic::new(topic, partitions as i32, TopicReplication::Fixed(-1))];
    let options = AdminOptions::new().operation_timeout(Some(FIRST_REACH));
    let made = block_on(admin.create_topics(&new, &options))
        .map_err(|error| SinkError::Unavailable(format!("{shown}: creating topic `{topic}`: {error}")))?;
    match made.first() {
        Some(Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => {}
        Some(Err((_, error))) => return Err(SinkError::Refused(format!("{shown}: creating topic `{topic}`: {error}"))),
        None => return Err(SinkError::Unavailable(format!("{shown}: creating topic `{topic}`: no answer"))),
    }
    // A broker may know of it a moment later.
    let until = Instant::now() + FIRST_REACH;
    while Instant::now() < until {
        let metadata = client.fetch_metadata(Some(topic), FIRST_REACH).map_err(|error| last.explain(&shown, &error))?;
        match partitions_of(&metadata, topic) {
            0 => std::thread::sleep(Duration::from_millis(50)),
            there => return Ok(there),
        }
    }
    Err(SinkError::Unavailable(format!("{shown}: topic `{topic}` was created and is not there yet; try again")))
}

/// Waits for a future in this thread.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        std::thread::park();
    }
}

/// Counts what the broker has acknowledged, and keeps the first failure.
#[derive(Default)]
struct Deliveries {
    acknowledged: AtomicU64,
    failed: Mutex<Option<KafkaError>>,
    last: LastError,
}

impl ClientContext for Deliveries {
    fn error(&self, error: KafkaError, reason: &str) {
        self.last.keep(&error, reason);
    }

    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(_) => {
                self.acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            Err((error, _)) => {
                self.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| error.clone());
            }
        }
    }
}

/// The main data table as records of a topic.
pub(super) struct KafkaSink {
    producer: BaseProducer<Deliveries>,
    topic: String,
    shown: String,
    main: usize,
    table: Table,
    key: usize,
    avro: Option<Avro>,
    timeout: Duration,
    lines: Vec<u8>,
}

impl KafkaSink {
    pub(super) fn open(target: &Target, context: Context<'_>) -> Result<Self, SinkError> {
        target.only(&["partitions", "compression", "registry", "tls"])?;
        let topic = if target.path.is_empty() { default_topic(context.generator.family()) } else { target.path.clone() };
        if topic.contains('/') {
            return Err(SinkError::Refused(format!("{}: `{topic}` is no name of a topic", target.shown())));
        }
        let compression = target.options.get("compression").map_or("lz4", String::as_str);
        if !["none", "lz4", "snappy"].contains(&compression) {
            return Err(SinkError::Refused(format!("{}: compression must be none, lz4 or snappy", target.shown())));
        }
        let mut config = client_config(target)?;
        producer_config(&mut config, compression, context.timeout);
        let deliveries = Deliveries::default();
        let last = deliveries.last.clone();
        let producer: BaseProducer<Deliveries> =
            config.create_with_context(deliveries).map_err(|error| SinkError::Refused(format!("{}: {error}", target.shown())))?;
        ensure_topic(producer.client(), &last, target, (&topic, target.number("partitions")?))?;
        let table = context.main().clone();
        let avro = target.options.get("registry").map(|registry| Avro::register(registry, &topic, &table, context.timeout)).transpose()?;
        let key = ["universal_id", "user_id"].iter().find_map(|name| table.columns.iter().position(|column| column.name == *name));
        let key = key.ok_or_else(|| SinkError::Refused(format!("{}: rows of `{}` have no user", target.shown(), table.name)))?;
        let main = context.generator.main_table();
        Ok(Self { producer, topic, shown: target.shown(), main, table, key, avro, timeout: context.timeout, lines: Vec::new() })
    }

    /// An error that a delivery ended with.
    fn failed(&self) -> Result<(), SinkError> {
        let deliveries = self.producer.context();
        match deliveries.failed.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            None => Ok(()),
            Some(error) => Err(deliveries.last.explain(&format!("{}: a record was not acknowledged", self.shown), error)),
        }
    }

    /// Hands a record to librdkafka, waiting while its queue is full.
    fn send(&self, key: &[u8], value: &[u8]) -> Result<(), SinkError> {
        let mut record = BaseRecord::to(&self.topic).key(key).payload(value);
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    self.producer.poll(Duration::from_millis(20));
                    self.failed()?;
                    record = back;
                }
                Err((error, _)) => return Err(SinkError::Refused(format!("{}: {error}", self.shown))),
            }
        }
    }
}

/// The values of a column as keys of records: the text of text and of numbers.
fn keys<'a>(kind: Kind, batch: &'a RecordBatch, column: usize) -> Box<dyn Iterator<Item = std::borrow::Cow<'a, str>> + 'a> {
    let array = batch.column(column);
    if kind == Kind::Int64 {
        return Box::new(array.as_primitive::<Int64Type>().values().iter().map(|value| value.to_string().into()));
    }
    let (codes, values) = as_codes(array);
    Box::new(codes.iter().map(|code| values.value(*code as usize).into()))
}

impl Sink for KafkaSink {
    fn shown(&self) -> &str {
        &self.shown
    }

    fn takes(&self, table: usize) -> bool {
        table == self.main
    }

    fn write(&mut self, _: usize, batch: &RecordBatch) -> Result<(), SinkError> {
        let keys = keys(self.table.columns[self.key].kind, batch, self.key);
        let mut bytes = std::mem::take(&mut self.lines);
        bytes.clear();
        if let Some(avro) = &self.avro {
            for (row, key) in keys.enumerate() {
                bytes.clear();
                avro.append(&self.table, batch, row, &mut bytes);
                self.send(key.as_bytes(), &bytes)?;
            }
        } else {
            TextFormat::Jsonl.append(&self.table, batch, &mut bytes);
            for (line, key) in bytes.split(|byte| *byte == b'\n').zip(keys) {
                self.send(key.as_bytes(), line)?;
            }
        }
        self.lines = bytes;
        self.producer.poll(Duration::ZERO);
        self.failed()
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        // A record's own time ends first, and says why.
        let flushed = self.producer.flush(self.timeout + FIRST_REACH);
        self.failed()?;
        flushed.map_err(|error| self.producer.context().last.explain(&self.shown, &error))
    }
}
