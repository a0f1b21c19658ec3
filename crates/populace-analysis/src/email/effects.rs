//! What a study of mail can be planned for.

use crate::plan::Effect;
use populace_core::email;

/// The effects of email: those of the open rate, then the others.
pub(super) const EFFECTS: &[Effect] = &{
    let mut effects = [OTHERS[0]; email::EFFECTS.len() + OTHERS.len()];
    let mut place = 0;
    while place < effects.len() {
        effects[place] = if place < email::EFFECTS.len() {
            let (meaning, holds) = email::EFFECTS[place].detects;
            Effect::new(email::EFFECTS[place].name, meaning, holds)
        } else {
            OTHERS[place - email::EFFECTS.len()]
        };
        place += 1;
    }
    effects
};

const OTHERS: [Effect; 13] = [
    Effect::new("open_rate", "open rates by persona", |path| path.ends_with(".open_rate")),
    Effect::new("click_rate", "clicks given an open, by persona", |path| path.ends_with(".click_rate (given an open)")),
    Effect::new("congestion", "latency at the top of the hour, in batches, on weekends", |path| {
        path.contains(".factor") && path.starts_with("latency.")
    }),
    Effect::new("open_delay", "how long opens take", |path| path.starts_with("open_delays.") || path.starts_with("open_mixture.")),
    Effect::new("delivery", "the share that arrives", |path| path.starts_with("delivery.")),
    Effect::new("sends", "scheduled mail a user and day", |path| path == "sends.per_day"),
    Effect::new("breakers", "circuit breakers a user and day", |path| path == "circuit_breakers.probability"),
    Effect::new("machine_opens", "clients that open ahead of their users", |path| path.starts_with("machine_opens.")),
    Effect::new("timezones", "where recipients are", |path| path.starts_with("timezones.")),
    Effect::new("people", "how the people of a persona differ", |path| path.starts_with("people.")),
    Effect::new("leaving", "unsubscribes by the mail before, and complaints", |path| {
        ["leaving.unsubscribe", "leaving.slope", "leaving.transactional", "leaving.complaint"].contains(&path)
    }),
    Effect::new("scanners", "clicks by gateways that visit every link", |path| path.starts_with("scanners.")),
    Effect::new("trigger", "hot paths that trigger a send", |path| path.ends_with(".trigger.probability")),
];
