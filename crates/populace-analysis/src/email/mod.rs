//! What can be told of a recipient from the events alone, and what the scenario says about it.

pub mod delay;
pub mod filter;
pub mod history;
pub mod law;
pub mod recipients;

pub use filter::{Filter, Inference};
pub use history::{Breaker, EVENT_COLUMNS, History, Message};
pub use law::Law;
pub use recipients::Recipient;

use crate::family::Family;
use crate::score::{Takes, Task, engagement, latency, send_time};
use crate::{features, plan, recover, report, verify};
use populace_core::email::EmailModel;
use populace_io::catalogue;

const OF_MESSAGES: &[Takes] = &[Takes::Ranks, Takes::Rows];

/// The family.
pub(crate) const FAMILY: Family = Family {
    name: "email",
    table: "events",
    columns: &["recipient_id"],
    window: |document| Ok(catalogue::model::<EmailModel>(document)?.config().window),
    verify: verify::email::verify,
    figures: report::email::figures,
    recover: recover::email::estimate,
    features: Some(features::recipients::compute),
    tasks: &[
        Task {
            name: "open",
            meaning: "Whether a delivered message is opened: message_id, score",
            takes: OF_MESSAGES,
            score: engagement::opens,
        },
        Task {
            name: "click",
            meaning: "Whether an opened message is clicked: message_id, score",
            takes: OF_MESSAGES,
            score: engagement::clicks,
        },
        Task {
            name: "send_time",
            meaning: "When to send to a recipient: recipient_id, minute_of_week (0, Monday 00:00 UTC, to 10079)",
            takes: &[Takes::Rows],
            score: send_time::score,
        },
        Task {
            name: "latency",
            meaning: "How long a delivery takes: message_id, seconds, and if wanted quantiles q01 q05 q10 q20 q25 q50 q75 q80 q90 q95 q99",
            takes: &[Takes::Rows],
            score: latency::score,
        },
    ],
    effects: plan::EMAIL,
};
