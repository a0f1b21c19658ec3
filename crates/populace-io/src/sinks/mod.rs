//! Where rows go that do not go into files: Kafka, ClickHouse, a connector, each named by a URL.
//!
//! What each guarantees stands in `docs/guide/sinks.md`. Common to all: rows have identities that follow from the seed, so sending them
//! again after a failure adds nothing where ids are looked at; and [`Sink::flush`] returns when everything is acknowledged, or fails.

#[cfg(feature = "kafka")]
mod avro;
#[cfg(feature = "clickhouse")]
pub mod clickhouse;
#[cfg(feature = "http")]
pub mod client;
#[cfg(feature = "http")]
mod connector;
mod feed;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod stream;
mod target;

pub use feed::{Fed, Lanes, feed};
pub use target::Target;

use crate::generator::Generator;
use crate::table::Table;
use arrow_array::RecordBatch;
use std::time::Duration;

/// Why a sink could not do what it was asked to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SinkError {
    /// It will not succeed until somebody changes something, which the message names.
    #[error("{0}")]
    Refused(String),
    /// It did not succeed within the time that was given; it may if tried again.
    #[error("{0}")]
    Unavailable(String),
}

/// What a sink is told when it is opened.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The scenario whose tables come.
    pub generator: &'a dyn Generator,
    /// How long a server may be away, or a request may take, before the run gives up.
    pub timeout: Duration,
}

impl Context<'_> {
    /// The main data table.
    pub fn main(&self) -> &Table {
        &self.generator.tables()[self.generator.main_table()]
    }
}

/// How long a server may take to be reached for the first time: a wrong address should be told in seconds.
pub const FIRST_REACH: Duration = Duration::from_secs(5);

/// A place that takes rows.
pub trait Sink: Send {
    /// The URL, without a password.
    fn shown(&self) -> &str;

    /// Whether it takes a table, by its number in the generator.
    fn takes(&self, table: usize) -> bool;

    /// Takes rows of a table, in order, and returns when they are on their way, holding a bounded number back.
    ///
    /// # Errors
    /// The sink refuses them, or cannot be reached in the time given.
    fn write(&mut self, table: usize, batch: &RecordBatch) -> Result<(), SinkError>;

    /// Returns when all rows are acknowledged.
    ///
    /// # Errors
    /// The sink refuses them, or cannot be reached in the time given.
    fn flush(&mut self) -> Result<(), SinkError>;
}

/// Opens the sink that a URL names, and checks that it can be reached and takes what will come.
///
/// # Errors
/// There is no such sink, it cannot be reached, or it holds something of another shape; says what to do.
#[cfg_attr(not(any(feature = "http", feature = "kafka")), expect(unused_variables, reason = "no sink is built in"))]
pub fn open(url: &str, context: Context<'_>) -> Result<Box<dyn Sink>, SinkError> {
    let target = Target::parse(url)?;
    match target.scheme.as_str() {
        #[cfg(feature = "kafka")]
        "kafka" => Ok(Box::new(kafka::KafkaSink::open(&target, context)?)),
        #[cfg(feature = "clickhouse")]
        "clickhouse" | "clickhouses" => Ok(Box::new(clickhouse::ClickHouseSink::open(&target, context)?)),
        #[cfg(feature = "http")]
        "http" | "https" => Ok(Box::new(connector::ConnectorSink::open(&target, context)?)),
        known if ["kafka", "clickhouse", "clickhouses", "http", "https"].contains(&known) => Err(SinkError::Refused(format!(
            "{}: this program was built without this sink; build it with --features {}",
            target.shown(),
            known.trim_end_matches('s')
        ))),
        other => Err(SinkError::Refused(format!(
            "{}: there is no sink `{other}`; there are kafka://HOST:PORT/TOPIC, clickhouse://USER:PASSWORD@HOST:PORT/DATABASE and \
             http://HOST:PORT",
            target.shown()
        ))),
    }
}
