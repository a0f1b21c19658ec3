//! What can be told of a recipient from the events alone, and what the scenario says about it.

pub mod delay;
pub mod filter;
pub mod history;
pub mod law;
pub mod recipients;

pub use filter::{Filter, Inference};
pub use history::{Breaker, EVENT_COLUMNS, History, Message};
pub use law::{Factors, Law};
pub use recipients::{Recipient, Recipients};
