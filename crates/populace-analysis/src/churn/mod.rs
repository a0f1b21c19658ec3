//! What can be told of subscribers from the data alone, and what the scenario says about them.

mod data;
mod effects;
mod figures;
pub mod law;
pub mod posterior;
pub mod prepare;
mod recover;
pub mod score;
mod verify;

pub use data::{EVENT_COLUMNS, Event, SIDES, USER_COLUMNS, User};
pub use law::Engagement;
pub use posterior::{Evidence, Inference};

use crate::error::AnalysisError;
use crate::family::Family;
use crate::score::{Takes, Task};
use crate::source::Source;
use populace_core::churn::{ChurnModel, EventType};
use populace_io::catalogue;
use populace_io::wording::own;

/// The error of data of which nothing is known.
fn none_known(source: &Source, events: u64) -> AnalysisError {
    let (root, known) = (source.root().display(), EventType::NAMES.join(", "));
    let hint = own("say with --map what your words mean");
    AnalysisError::input(format!("{root}: none of the {events} events is of a known type\nhint: the types are {known}; {hint}"))
}

/// The family.
pub(crate) const FAMILY: Family = Family {
    name: "churn",
    table: "events",
    columns: &["user_id", "event_time"],
    needed: &[("users", &["user_id", "signup_date"]), ("events", &["event_id", "user_id", "event_time", "event_type"])],
    words: || EventType::NAMES.to_vec(),
    window: |document| Ok(catalogue::model::<ChurnModel>(document)?.config().window),
    verify: verify::verify,
    figures: figures::figures,
    recover: recover::estimate,
    features: None,
    tasks: &[Task {
        name: "churn",
        meaning: "Who churns: user_id, score; or survival curves: user_id, date or day, survival",
        takes: &[Takes::AsOf, Takes::Ranks, Takes::Rows],
        score: score::score,
    }],
    effects: effects::EFFECTS,
    policies: None,
};
