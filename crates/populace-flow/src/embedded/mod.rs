//! A log and a table that need no server: SQLite files in a directory.

mod log;
mod store;
mod table;
#[cfg(test)]
mod tests;

pub use log::{EmbeddedConsumer, EmbeddedLog};
pub use store::{Store, private_directory};
pub use table::{EmbeddedTable, PageEnd};
