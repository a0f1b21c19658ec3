//! What predictions of mail are scored for.

mod engagement;
mod latency;
mod ope;
mod policy;
mod send_time;
mod worth;

pub(super) use policy::Belief;

use crate::score::{Takes, Task};

const OF_MESSAGES: &[Takes] = &[Takes::Ranks, Takes::Rows];

pub(super) const TASKS: &[Task] = &[
    Task {
        name: "ope",
        meaning: "What policies are worth, estimated from a run with a policy: target (a policy's name or file), estimator, estimate, low, high",
        takes: &[],
        score: ope::score,
    },
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
        name: "machine_open",
        meaning: "Whether a machine, not the recipient, opened: event_id of an `opened` row, score",
        takes: OF_MESSAGES,
        score: engagement::machines,
    },
    Task {
        name: "send_time",
        meaning: "When to send to a recipient: recipient_id, minute_of_week (0, Monday 00:00 UTC, to 10079)",
        takes: &[Takes::Rows],
        score: send_time::score,
    },
    Task {
        name: "policy",
        meaning: "The slot of a recipient's messages, of a run with a policy: recipient_id, slot",
        takes: &[Takes::Rows],
        score: policy::score,
    },
    Task {
        name: "latency",
        meaning: "How long a delivery takes: message_id, seconds, and if wanted quantiles q01 q05 q10 q20 q25 q50 q75 q80 q90 q95 q99",
        takes: &[Takes::Rows],
        score: latency::score,
    },
];
