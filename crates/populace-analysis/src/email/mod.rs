//! What can be told of a recipient from the events alone, and what the scenario says about it.

pub mod history;
pub mod law;

pub use history::{Breaker, EVENT_COLUMNS, History, Message};
pub use law::{Factors, Law};
