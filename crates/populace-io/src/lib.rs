//! Tables, files and the run driver.
//!
//! A [`Generator`](generator::Generator) turns a shard of actors into Arrow batches; [`run`](run) writes the batches of all shards,
//! in order, through any number of threads and in bounded memory; the [`manifest`] says what a run is.

pub mod argument;
pub mod catalogue;
pub mod dataset;
pub mod digest;
pub mod document;
pub mod error;
pub mod family;
pub mod files;
pub mod generator;
pub mod identity;
mod order;
pub mod percent;
pub mod pipeline;
pub mod retry;
pub mod run;
pub mod sinks;
pub mod table;
pub mod tables;
pub mod terminal;
pub mod text;
pub mod untrusted;
pub mod wording;

pub use populace_core::VALUES_VERSION;
