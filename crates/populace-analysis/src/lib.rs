//! All that reads data back: the files of a run, or a user's own with the same columns, as a stream of batches; what is made of them
//! (tables, features, verdicts, scores, a report); and what a study can learn at its size.

#![allow(clippy::disallowed_methods, reason = "the pinned mathematics and the bans are for what data depends on; nothing here is data")]

pub mod churn;
pub mod email;
pub mod error;
pub mod families;
mod family;
pub mod features;
mod pass;
pub mod plan;
pub mod policy;
pub mod recover;
pub mod report;
pub mod score;
pub mod source;
mod stage;
pub mod stats;
pub mod traces;
pub mod verify;
pub mod watch;

pub use error::AnalysisError;
pub use stage::write_whole;
