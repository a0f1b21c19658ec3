//! Decisions of a log: from the tables of a run, or from a simulation of it.

use super::super::history::Message;
use super::super::recipients::Recipient;
use super::value::Seen;
use crate::error::AnalysisError;
use crate::policy::Reward;
use crate::source::{As, Columns, Want};
use populace_core::email::{Arm, EmailModel, Person, Slots, Uuid};
use populace_core::stream::{ActorId, StreamKey};
use populace_core::time::{DAY, Instant, MINUTE};
use populace_io::tables::email::actor_of;
use std::collections::HashMap;

pub(super) const DECISIONS: [Want; 8] = [
    Want::new("recipient_id", As::Text),
    Want::new("decision_id", As::Uuid),
    Want::new("window_start", As::Instant),
    Want::new("arm", As::Text),
    Want::nullable("action", As::Int),
    Want::new("allowed", As::Text),
    Want::new("propensity", As::Float),
    Want::nullable("message_id", As::Uuid),
];
/// Random parts of decisions: a model of the one is fitted to the others.
pub(super) const FOLDS: usize = 5;
/// States of a recipient before a decision: by recent sends, as many or more, and the day of the week.
pub(super) const STATES: usize = 7 * (MOST_RECENT + 1);
const MOST_RECENT: usize = 6;

/// A decision of the log.
pub(super) struct Logged {
    pub(super) id: u128,
    pub(super) fold: usize,
    pub(super) window: Instant,
    pub(super) allowed: Slots,
    pub(super) action: Option<usize>,
    pub(super) propensity: f64,
    pub(super) reward: f64,
    pub(super) is_skip: bool,
    /// Below [`STATES`].
    pub(super) state: usize,
    sent: Option<Instant>,
}

/// A recipient of the log.
pub(super) struct User {
    pub(super) actor: u64,
    pub(super) person: Person,
    /// None of one who is held out.
    pub(super) decisions: Option<Vec<Logged>>,
}

impl User {
    /// From the tables of a run; decisions on windows before `from` are left out.
    pub(super) fn of_rows(recipient: &Recipient, reward: Reward, looks_back: i64, from: Instant) -> Result<Self, AnalysisError> {
        let id = &recipient.history.recipient_id;
        let decisions = of_rows(recipient, reward)?;
        let actor = actor_of(id).unwrap_or(u64::MAX);
        Ok(Self { actor, person: recipient.person, decisions: decisions.map(|decisions| with_states(decisions, looks_back, from)) })
    }

    /// As it is simulated.
    pub(super) fn simulated(model: &EmailModel, key: StreamKey, actor: u64, reward: Reward, looks_back: i64, from: Instant) -> Self {
        let seen = Seen::of(model, key, actor, Instant(i64::MIN));
        let person = model.person_of(key, ActorId(actor));
        if seen.is_held_out() {
            return Self { actor, person, decisions: None };
        }
        let decision = |decision: &populace_core::email::Decision| Logged {
            id: decision.id.to_u128(),
            fold: fold_of(decision.id.to_u128()),
            window: decision.window[0],
            allowed: decision.allowed,
            action: decision.action.map(usize::from),
            propensity: decision.propensity,
            reward: decision.message_id.map_or(0.0, |id| seen.row_reward(id, reward)),
            is_skip: decision.arm == Arm::Skip,
            state: 0,
            sent: decision.message_id.and_then(|id| seen.sent.get(&id).copied()),
        };
        Self { actor, person, decisions: Some(with_states(seen.decided.iter().map(decision).collect(), looks_back, from)) }
    }
}

/// Decisions on a recipient from the tables of a run, on windows from a moment on; none of one who is held out.
pub(super) fn logged(recipient: &Recipient, reward: Reward, from: Instant) -> Result<Option<Vec<Logged>>, AnalysisError> {
    let found = of_rows(recipient, reward)?;
    let later = |found: Vec<Logged>| found.into_iter().filter(|decision| decision.window >= from).collect();
    Ok(found.map(later))
}

/// The bits of an id are random.
fn fold_of(id: u128) -> usize {
    (id as u64 % FOLDS as u64) as usize
}

fn of_rows(recipient: &Recipient, reward: Reward) -> Result<Option<Vec<Logged>>, AnalysisError> {
    let Some(batch) = &recipient.more[0] else { return Ok(Some(Vec::new())) };
    let (ids, messages) = (batch.uuid("decision_id"), batch.uuid("message_id"));
    let (windows, arms, allowed) = (batch.instant("window_start"), batch.text("arm"), batch.text("allowed"));
    let (actions, propensities) = (batch.int("action"), batch.float("propensity"));
    let of_message: HashMap<u128, &Message> = recipient.history.messages.iter().map(|message| (message.id, message)).collect();
    let mut found = Vec::with_capacity(batch.num_rows());
    for row in 0..batch.num_rows() {
        if arms.value(row) == "holdout" {
            return Ok(None);
        }
        let propensity = propensities.value(row);
        let wrong =
            |what: String| AnalysisError::input(format!("decisions: row {} of {}: {what}", row + 1, recipient.history.recipient_id));
        if !(propensity > 0.0 && propensity <= 1.0) {
            return Err(wrong(format!("propensity is {propensity}; it must be above 0 and at most 1")));
        }
        let slots = Slots::of_hex(allowed.value(row))
            .ok_or_else(|| wrong(format!("allowed is `{}`; it must be hexadecimal digits, slot 0 the least bit", allowed.value(row))))?;
        let action = arrow_array::Array::is_valid(actions, row).then(|| actions.value(row));
        let action = action.map(|action| usize::try_from(action).ok().filter(|slot| *slot < 192 && slots.has(*slot)).ok_or(action));
        let action = action.transpose().map_err(|action| wrong(format!("action is {action}; it must be one of the slots in `allowed`")))?;
        let message = messages.get(row).and_then(|id| of_message.get(&id)).copied();
        let id = ids.get(row).unwrap_or_default();
        found.push(Logged {
            id,
            fold: fold_of(id),
            window: Instant(windows.value(row)),
            allowed: slots,
            action,
            propensity,
            reward: message.map_or(0.0, |message| worth(message, reward)),
            is_skip: arms.value(row) == "skip",
            state: 0,
            sent: message.map(|message| message.sent),
        });
    }
    Ok(Some(found))
}

/// What a message was worth by its rows.
fn worth(message: &Message, reward: Reward) -> f64 {
    let in_time = |opened: Instant| {
        let minutes = message.delivered.map_or(0.0, |delivered| opened.since(delivered) as f64 / MINUTE as f64);
        reward.within_minutes.is_none_or(|most| minutes <= most)
    };
    let open = message.opened.or(message.machine_opened).is_some_and(in_time);
    reward.send
        + reward.open * f64::from(open)
        + reward.click * f64::from(message.clicked.is_some())
        + reward.unsubscribe * f64::from(message.unsubscribed.is_some())
        + reward.complaint * f64::from(message.reported.is_some())
}

impl Seen {
    /// What a message was worth by its rows.
    fn row_reward(&self, id: Uuid, reward: Reward) -> f64 {
        let in_time = |opened: &Instant| {
            let minutes = self.delivered.get(&id).map_or(0.0, |delivered| opened.since(*delivered) as f64 / MINUTE as f64);
            reward.within_minutes.is_none_or(|most| minutes <= most)
        };
        reward.send
            + reward.open * f64::from(self.opened_rows.get(&id).is_some_and(in_time))
            + reward.click * f64::from(self.clicked.contains(&id))
            + reward.unsubscribe * f64::from(self.unsubscribed.contains(&id))
            + reward.complaint * f64::from(self.reported.contains(&id))
    }
}

/// With the state before each: what was sent by earlier decisions, as far as an effect looks back from the window's begin.
fn with_states(mut decisions: Vec<Logged>, looks_back: i64, from: Instant) -> Vec<Logged> {
    let mut recent: Vec<Instant> = Vec::new();
    for decision in &mut decisions {
        recent.retain(|sent| sent.plus(looks_back + DAY / 2) >= decision.window);
        decision.state = 7 * recent.len().min(MOST_RECENT) + usize::from(decision.window.weekday());
        recent.extend(decision.sent);
    }
    decisions.retain(|decision| decision.window >= from);
    decisions
}
