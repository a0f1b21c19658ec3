//! Services: how events reach a table the way they do in production.
//!
//! ```text
//! connector (HTTP) ─► identity ─► log (`email-events`) ─► consumer ─► table (`email_events`)
//!                                                            └─────► dead letters
//! ```
//!
//! The log and the table are traits ([`log`], [`table`]). Behind them stand Kafka and ClickHouse, or the [`embedded`] ones, which need no
//! server. Both traits block: only the HTTP front is asynchronous, and it calls them from threads that may block.

mod address;
#[cfg(feature = "clickhouse")]
pub mod clickhouse;
pub mod client;
pub mod connector;
pub mod consume;
pub mod embedded;
pub mod error;
pub mod event;
pub mod features;
pub mod http;
pub mod identity;
mod json;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod log;
mod memo;
pub mod service;
pub mod table;
pub mod time;

pub use error::FlowError;
pub use event::Event;
