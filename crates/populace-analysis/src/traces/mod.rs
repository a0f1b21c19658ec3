//! What can be told of sessions from the calls alone, and what the scenario says about them.

pub mod cascade;
mod data;
mod effects;
pub mod endpoints;
mod faults;
mod features;
mod figures;
pub mod law;
mod recover;
mod score;
mod verify;

pub use cascade::{Cascades, Suspicion};
pub(crate) use data::OF_USERS;
pub use data::{CALL_COLUMNS, Call, Endpoints, Session};
pub use law::Law;

use crate::family::Family;
use populace_core::traces::TracesModel;
use populace_io::catalogue;

/// The family.
pub(crate) const FAMILY: Family = Family {
    name: "traces",
    table: "calls",
    columns: &["session_id"],
    needed: &[("calls", &["session_id", "user_id", "endpoint", "timestamp"])],
    words: Vec::new,
    window: |document| Ok(catalogue::model::<TracesModel>(document)?.config().window),
    verify: verify::verify,
    figures: figures::figures,
    recover: recover::estimate,
    features: Some(features::compute),
    tasks: score::TASKS,
    effects: effects::EFFECTS,
    policies: None,
};
