//! Effects by the names that people give them.

use crate::error::AnalysisError;
use crate::recover::Estimate;

/// A group of parameters that a study may be about.
#[derive(Clone, Copy, Debug)]
pub struct Effect {
    /// What `--detect` takes.
    pub name: &'static str,
    /// What it is.
    pub meaning: &'static str,
    /// Whether a parameter belongs to it.
    pub(super) holds: fn(&str) -> bool,
}

const EMAIL: &[Effect] = &[
    Effect { name: "fatigue", meaning: "recent mail lowers opens", holds: |path| path.starts_with("fatigue.factors.") },
    Effect { name: "hot_path", meaning: "opens right after a hot path", holds: |path| path.starts_with("hot_paths.boost (minutes 0 to ") },
    Effect { name: "minute", meaning: "peak and slow minutes of the hour", holds: |path| path.starts_with("minute.") },
    Effect { name: "timing", meaning: "a persona's own hours and days", holds: |path| path.contains(".timing.") },
    Effect { name: "open_rate", meaning: "open rates by persona", holds: |path| path.ends_with(".open_rate") },
    Effect { name: "click_rate", meaning: "clicks given an open, by persona", holds: |path| path.ends_with(".click_rate (given an open)") },
    Effect {
        name: "congestion",
        meaning: "latency at the top of the hour, in batches, on weekends",
        holds: |path| path.contains(".factor") && path.starts_with("latency."),
    },
    Effect { name: "delivery", meaning: "the share that arrives", holds: |path| path == "delivery.probability" },
    Effect { name: "sends", meaning: "scheduled mail a user and day", holds: |path| path == "sends.per_day" },
    Effect { name: "breakers", meaning: "circuit breakers a user and day", holds: |path| path == "circuit_breakers.probability" },
    Effect { name: "trigger", meaning: "hot paths that trigger a send", holds: |path| path == "hot_paths.trigger.probability" },
];

const TRACES: &[Effect] = &[
    Effect {
        name: "transition",
        meaning: "every transition of the workflow; of one: FROM→TO",
        holds: |path| path.starts_with("workflow.transitions."),
    },
    Effect { name: "entry", meaning: "where sessions start", holds: |path| path.starts_with("workflow.entry_points.") },
    Effect {
        name: "truncation",
        meaning: "sessions cut off at the greatest length",
        holds: |path| path.starts_with("workflow.max_length"),
    },
    Effect { name: "cascade", meaning: "the share of sessions hit by a cascade", holds: |path| path == "cascade_failure_rate" },
    Effect { name: "faults", meaning: "what a cascade does to a call", holds: |path| path.starts_with("cascade.") },
    Effect {
        name: "response_time",
        meaning: "mean response times by endpoint",
        holds: |path| path.starts_with("workflow.avg_response_times."),
    },
    Effect { name: "status", meaning: "status codes", holds: |path| path.starts_with("statuses.") },
    Effect { name: "thinking", meaning: "delays for thinking", holds: |path| path == "delays.thinking" },
    Effect { name: "user_type", meaning: "shares of user types", holds: |path| path.starts_with("workflow.user_type_distribution.") },
    Effect { name: "sessions", meaning: "sessions a user", holds: |path| path == "sessions.mean" },
];

const CHURN: &[Effect] = &[
    Effect { name: "paid_factor", meaning: "paying users churn less", holds: |path| path == "churn.paid_factor" },
    Effect { name: "churn_base_rate", meaning: "the base of the churn probability", holds: |path| path == "churn_base_rate" },
    Effect { name: "churn", meaning: "the share of users who churn", holds: |path| path.starts_with("churn (") },
    Effect { name: "activity", meaning: "the engaged are active more often", holds: |path| path == "activity.probability.slope" },
    Effect {
        name: "video",
        meaning: "the engaged watch more often, and longer",
        holds: |path| path.starts_with("video.") && path.contains(".slope"),
    },
    Effect {
        name: "quiz",
        meaning: "the engaged try quizzes more often, and score higher",
        holds: |path| path.starts_with("quiz.") && path.contains(".slope"),
    },
    Effect { name: "paid_ratio", meaning: "the share of users who pay", holds: |path| path == "paid_ratio" },
    Effect { name: "billing", meaning: "charges that succeed", holds: |path| path == "billing.success_probability" },
    Effect { name: "tickets", meaning: "tickets a user and day", holds: |path| path == "tickets.probability" },
];

/// The effects of a family of scenarios.
pub fn effects(family: &str) -> &'static [Effect] {
    match family {
        "churn" => CHURN,
        "email" => EMAIL,
        _ => TRACES,
    }
}

/// The parameters among `estimates` that `name` means: a group of them, a transition FROM→TO (or FROM->TO), or one by its path.
///
/// # Errors
/// It means none of them; the message names what is near.
pub(super) fn select<'e>(family: &str, name: &str, estimates: &'e [Estimate]) -> Result<Vec<&'e Estimate>, AnalysisError> {
    let of = |holds: &dyn Fn(&str) -> bool| estimates.iter().filter(|estimate| holds(&estimate.parameter)).collect::<Vec<_>>();
    let name = name.trim();
    let found = match name.split_once('→').or_else(|| name.split_once("->")) {
        Some((from, to)) => {
            let from = from.trim();
            let path = crate::recover::transition_path(from.strip_prefix("transition ").unwrap_or(from).trim(), to.trim());
            of(&|parameter| parameter == path)
        }
        None => match effects(family).iter().find(|effect| effect.name == name) {
            Some(effect) => of(&effect.holds),
            None => of(&|parameter| parameter == name),
        },
    };
    if !found.is_empty() {
        return Ok(found);
    }
    if effects(family).iter().any(|effect| effect.name == name) {
        return Err(AnalysisError::input(format!("--detect {name}: this document has no such effect, or the pilot does not tell it")));
    }
    let names = effects(family).iter().map(|effect| effect.name).chain(estimates.iter().map(|estimate| estimate.parameter.as_str()));
    let mut near: Vec<(f64, &str)> = names.map(|known| (strsim::jaro_winkler(known, name), known)).collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    let near: Vec<String> = near.iter().take(3).map(|(_, known)| format!("`{known}`")).collect();
    Err(AnalysisError::input(format!(
        "--detect {name}: no such effect of {family}\nhint: did you mean {}? --detect list names the effects; any parameter of recover will do",
        near.join(", ")
    )))
}
