//! What predictions of sessions are scored for.

mod anomaly;
mod transitions;

use crate::score::{Takes, Task};

pub(super) const TASKS: &[Task] = &[
    Task {
        name: "transitions",
        meaning: "Where sessions go next: from, to, probability",
        takes: &[Takes::Alpha],
        score: transitions::score,
    },
    Task {
        name: "anomaly",
        meaning: "What a cascade struck: call_id or session_id, score (any scale)",
        takes: &[Takes::Rows],
        score: anomaly::score,
    },
];
