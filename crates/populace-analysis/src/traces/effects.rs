//! What a study of traces can be planned for.

use super::recover::transition_path;
use crate::plan::Effect;

/// A transition by its ends: FROM→TO, or FROM->TO.
fn transition(name: &str) -> Option<String> {
    let (from, to) = name.split_once('→').or_else(|| name.split_once("->"))?;
    let from = from.trim();
    Some(transition_path(from.strip_prefix("transition ").unwrap_or(from).trim(), to.trim()))
}

pub(super) const EFFECTS: &[Effect] = &[
    Effect {
        one: transition,
        ..Effect::new("transition", "every transition of the workflow; of one: FROM→TO", |path| path.starts_with("workflow.transitions."))
    },
    Effect::new("entry", "where sessions start", |path| path.starts_with("workflow.entry_points.")),
    Effect::new("truncation", "sessions cut off at the greatest length", |path| path.starts_with("workflow.max_length")),
    Effect::new("cascade", "the share of sessions hit by a cascade", |path| path == "cascade_failure_rate"),
    Effect::new("faults", "what a cascade does to a call", |path| path.starts_with("cascade.")),
    Effect::new("response_time", "mean response times by endpoint", |path| path.starts_with("workflow.avg_response_times.")),
    Effect::new("status", "status codes", |path| path.starts_with("statuses.")),
    Effect::new("thinking", "delays for thinking", |path| path == "delays.thinking"),
    Effect::new("user_type", "shares of user types", |path| path.starts_with("workflow.user_type_distribution.")),
    Effect::new("sessions", "sessions a user", |path| path == "sessions.mean"),
];
