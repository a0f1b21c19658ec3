//! What can be told of a recipient from the events alone, and what the scenario says about it.

mod candidates;
pub mod delay;
mod drift;
mod effects;
mod features;
mod figures;
pub mod filter;
pub mod history;
pub mod law;
mod machine;
mod policy;
pub mod recipients;
mod recover;
mod score;
mod verify;

pub use features::{RecipientsReport, curves_by_the_minute};
pub use filter::{Filter, Filters, Inference, Posterior};
pub use history::{Breaker, EVENT_COLUMNS, History, Message, Scan, columns_for};
pub use law::Law;
pub use recipients::Recipient;

use crate::family::Family;
use populace_core::email::{EmailModel, EventType};
use populace_io::catalogue;

/// The family.
pub(crate) const FAMILY: Family = Family {
    name: "email",
    table: "events",
    columns: &["recipient_id"],
    needed: &[("events", &["recipient_id", "timestamp", "event_type"])],
    words: || EventType::ALL.iter().map(|kind| kind.name()).collect(),
    window: |document| Ok(catalogue::model::<EmailModel>(document)?.config().window),
    verify: verify::verify,
    figures: figures::figures,
    recover: recover::estimate,
    features: Some(features::compute),
    tasks: score::TASKS,
    effects: effects::EFFECTS,
    policies: Some(policy::POLICIES),
};
