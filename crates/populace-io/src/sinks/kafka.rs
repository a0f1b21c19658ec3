//! Kafka: the main data table as records, JSON or Avro, keyed by user.

mod connection;

pub use connection::{CONNECTION, LastError, client_config, ensure_topic, producer_config};
/// The client that [`client_config`] configures.
pub use rdkafka;

use super::avro::Avro;
use super::{Context, FIRST_REACH, Sink, SinkError, Target};
use crate::table::{Kind, Table, as_codes};
use crate::text::Records;
use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The topic of a scenario whose URL names none.
fn default_topic(family: &str) -> String {
    format!("{family}-events")
}

/// Keeps the first failure.
#[derive(Default)]
struct Deliveries {
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
        if let Err((error, _)) = result {
            self.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| error.clone());
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
    records: Records,
}

impl KafkaSink {
    pub(super) fn open(target: &Target, context: Context<'_>) -> Result<Self, SinkError> {
        target.only(&[&CONNECTION[..], &["partitions", "compression", "registry"]].concat())?;
        let topic = if target.path.is_empty() { default_topic(context.generator.family()) } else { target.path.clone() };
        if topic.contains('/') {
            return Err(SinkError::Refused(format!("{}: `{topic}` is not a valid topic name", target.shown())));
        }
        let compression = target.options.get("compression").map_or("lz4", String::as_str);
        if !["none", "lz4", "snappy", "zstd", "gzip"].contains(&compression) {
            return Err(SinkError::Refused(format!("{}: compression must be none, lz4, snappy, zstd or gzip", target.shown())));
        }
        let mut config = client_config(target)?;
        producer_config(&mut config, compression, context.timeout);
        // That nothing is under way any more says that all the others were acknowledged.
        config.set("delivery.report.only.error", "true");
        let deliveries = Deliveries::default();
        let last = deliveries.last.clone();
        let producer: BaseProducer<Deliveries> =
            config.create_with_context(deliveries).map_err(|error| SinkError::Refused(format!("{}: {error}", target.shown())))?;
        ensure_topic(producer.client(), &|| producer.poll(Duration::ZERO), &last, target, &topic)?;
        let table = context.main().clone();
        let avro = target.options.get("registry").map(|registry| Avro::register(registry, &topic, &table, context.timeout)).transpose()?;
        let key = table.partition.and_then(|name| table.position(name));
        let key = key.ok_or_else(|| SinkError::Refused(format!("{}: rows of `{}` have no user", target.shown(), table.name)))?;
        let main = context.generator.main_table();
        Ok(Self { producer, topic, shown: target.shown(), main, table, key, avro, timeout: context.timeout, records: Records::default() })
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
                Err((error, _)) => return Err(self.producer.context().last.explain(&self.shown, &error)),
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
        if let Some(avro) = &self.avro {
            let mut bytes = Vec::new();
            for (row, key) in keys.enumerate() {
                bytes.clear();
                avro.append(&self.table, batch, row, &mut bytes);
                self.send(key.as_bytes(), &bytes)?;
            }
        } else {
            let mut records = std::mem::take(&mut self.records);
            records.of(&self.table, batch).zip(keys).try_for_each(|(record, key)| self.send(key.as_bytes(), record))?;
            self.records = records;
        }
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
