//! What a policy has decided: that what was logged is what it would do, as often as it says, and that mail went out accordingly.

use super::Recipient;
use crate::source::{As, Columns, Want};
use crate::stats::merge_fields;
use crate::verify::Group;
use crate::verify::board::{Board, Calibration, Exact};
use crate::verify::uuid;
use arrow_array::{Array, RecordBatch};
use populace_core::email::{Decider, EmailModel, Slots};
use populace_core::time::Instant;
use std::collections::HashMap;

/// How far a propensity may lie from that of the document.
const ROUNDING: f64 = 1e-12;

/// Every column of `decisions`.
const COLUMNS: [Want; 14] = [
    Want::new("decision_id", As::Uuid),
    Want::new("recipient_id", As::Text),
    Want::new("due_date", As::Date),
    Want::new("window_start", As::Instant),
    Want::new("window_end", As::Instant),
    Want::new("arm", As::Text),
    Want::new("arm_propensity", As::Float),
    Want::nullable("action", As::Int),
    Want::new("n_allowed", As::Int),
    Want::new("allowed", As::Text),
    Want::new("propensity", As::Float),
    Want::new("campaign_id", As::Text),
    Want::nullable("message_id", As::Uuid),
    Want::nullable("reason", As::Text),
];

/// Further columns, where mail comes in variants.
const VARIANTS: [Want; 2] = [Want::nullable("variant", As::Text), Want::nullable("variant_propensity", As::Float)];

/// Every column of `decisions` of a model.
pub(super) fn columns(model: &EmailModel) -> Vec<Want> {
    COLUMNS.into_iter().chain(model.effects().experiments().into_iter().flat_map(|_| VARIANTS)).collect()
}

/// The decisions of a run.
pub(super) struct Decisions<'a> {
    decider: &'a Decider,
    propensities: Exact,
    slots: Exact,
    messages: Exact,
    taken: Calibration<usize>,
    skipped: Calibration<()>,
    held: Calibration<()>,
}

merge_fields!(Decisions<'_> { propensities, slots, messages, taken, skipped, held } same { decider });

impl<'a> Decisions<'a> {
    pub(super) const NAME: &'static str = "a decision's propensity is what the policy gives its slot";

    pub(super) fn new(decider: &'a Decider) -> Self {
        Self {
            decider,
            propensities: Exact::new(Self::NAME),
            slots: Exact::new("a message goes out in the slot and the window of its decision"),
            messages: Exact::new("a decision has a message or a reason why it has none, and its message was sent"),
            taken: Calibration::new("slots that were taken"),
            skipped: Calibration::new("decisions to skip"),
            held: Calibration::new("recipients who are held out"),
        }
    }

    /// Adds the decisions on a recipient.
    pub(super) fn add(&mut self, actor: u64, recipient: &Recipient<'_>, rows: Option<&RecordBatch>) {
        let Some(batch) = rows else { return };
        let sent: HashMap<u128, Instant> = recipient.history.messages.iter().map(|message| (message.id, message.sent)).collect();
        let (begins, ends) = (batch.instant("window_start"), batch.instant("window_end"));
        let (arms, allowed, reasons) = (batch.text("arm"), batch.text("allowed"), batch.text("reason"));
        let (actions, propensities, messages) = (batch.int("action"), batch.float("propensity"), batch.uuid("message_id"));
        let is_held = batch.num_rows() > 0 && arms.value(0) == "holdout";
        if self.decider.holdout() > 0.0 {
            self.held.add_to((), self.decider.holdout(), is_held);
            self.held.end_actor();
        }
        for row in 0..batch.num_rows() {
            let place = || format!("decision {} of {}", row + 1, recipient.id());
            let message = messages.get(row);
            let is_known = message.is_none_or(|id| sent.contains_key(&id));
            self.messages.hold(is_known && message.is_some() == reasons.is_null(row), place);
            if is_held {
                let is_one = propensities.value(row) == 1.0 && arms.value(row) == "holdout" && message.is_none();
                self.propensities.hold(is_one, place);
                continue;
            }
            let Some(set) = Slots::of_hex(allowed.value(row)) else {
                self.propensities.hold(false, place);
                continue;
            };
            let begin = Instant(begins.value(row));
            if self.decider.is_of_schedule() {
                // What it says is not in the document; that it is certain, is.
                self.propensities.hold(propensities.value(row) == 1.0, place);
            }
            let (shares, skip) = self.decider.distribution(&recipient.person, actor, begin, &set);
            let action = actions.is_valid(row).then(|| actions.value(row) as usize);
            let expected = match action {
                Some(action) => shares.get(action).copied().unwrap_or(0.0),
                None if set.is_empty() => 1.0,
                None => skip,
            };
            // Where exploration is by recipient, the log says which it is.
            let is_sound = self.decider.is_of_schedule()
                || self.decider.is_explored_by_user()
                || (propensities.value(row) - expected).abs() <= ROUNDING;
            self.propensities.hold(is_sound, place);
            if let Some((id, action)) = message.zip(action)
                && let Some(at) = sent.get(&id)
            {
                let is_inside = *at >= begin && at.0 < ends.value(row);
                self.slots.hold(is_inside && self.decider.action_of(&recipient.person, *at) == action, || {
                    format!("message {} of {}", uuid(id), recipient.id())
                });
            }
            if !set.is_empty() && !self.decider.is_explored_by_user() && !self.decider.is_of_schedule() {
                for (slot, share) in shares.iter().enumerate().take(self.decider.slots()).filter(|(_, share)| **share > 0.0) {
                    self.taken.add_to(slot, *share, action == Some(slot));
                }
                if skip > 0.0 {
                    self.skipped.add_to((), skip, action.is_none());
                }
            }
        }
        self.taken.end_actor();
        self.skipped.end_actor();
    }

    pub(super) fn report(self, board: &mut Board) {
        board.exact(self.propensities);
        board.exact(self.slots);
        board.exact(self.messages);
        self.taken.report_as(board, Group::Distribution, 0.0, |slot| format!("slot {slot}"));
        if self.decider.skip() > 0.0 {
            self.skipped.report_as(board, Group::Distribution, 0.0, |()| "all".to_owned());
        }
        if self.decider.holdout() > 0.0 {
            self.held.report_as(board, Group::Distribution, 0.0, |()| "all".to_owned());
        }
        if !self.decider.is_plain() {
            let keeps_volume = self.decider.keeps_volume();
            let is_of_schedule = self.decider.is_of_schedule();
            let aside = |name: &str| {
                BY_CLOCK.contains(&name) || (!keeps_volume && BY_VOLUME.contains(&name)) || (is_of_schedule && BY_MOMENT.contains(&name))
            };
            board.set_aside(aside, "the policy decides when mail goes out and how much of it; see its decisions");
        }
    }
}

/// Checks of when mail goes out by `sends`, and of what follows from it.
const BY_CLOCK: &[&str] = &[
    "the moment of the day of scheduled sends",
    "the moment of the day of scheduled sends by zone, before and after clocks are turned",
    "scheduled sends move in UTC by as much as clocks are turned",
    "count()",
    "count() by event_type",
];
/// Checks of how much goes out by `sends`.
const BY_VOLUME: &[&str] = &[
    "scheduled sends",
    "scheduled sends of a user-day are Poisson",
    "scheduled sends have the distribution of the document among recipients",
    "scheduled sends by day",
];
/// Checks of moments that every policy but a schedule draws at random.
const BY_MOMENT: &[&str] = &[
    "the second within the minute of scheduled sends",
    "the second within the minute of deliveries",
    "sends have millisecond resolution: one in a thousand is at a whole second",
];
