//! The truth of messages, where a mechanism is on that may be off: its columns are worked out again from the events, and all factors
//! multiply to the probabilities.

use super::Recipient;
use super::leaving::truth_holds;
use crate::email::Law;
use crate::source::{As, Columns, Want};
use crate::stats::merge_fields;
use crate::verify::board::{Board, Exact};
use crate::verify::uuid;
use arrow_array::{Array, RecordBatch};
use populace_core::email::{EFFECTS, LATENCY_PARTS, OpenDelayLaw};
use std::collections::HashMap;

/// What rounding may do to a product, and what microseconds may do to a factor.
const ROUNDING: f64 = 1e-12;
const NEAR: f64 = 1e-9;

/// The columns that are looked at.
pub(super) fn wants() -> Vec<Want> {
    let mut wants = vec![
        Want::new("recipient_id", As::Text),
        Want::new("message_id", As::Uuid),
        Want::nullable("p_open", As::Float),
        Want::nullable("p_click", As::Float),
        Want::new("open_rate", As::Float),
        Want::new("click_rate", As::Float),
        Want::new("cap", As::Float),
        Want::new("suppressed", As::Bool),
        Want::nullable("dropped_reason", As::Text),
        Want::optional("open_component", As::Int),
        Want::optional("latency_queue", As::Float),
    ];
    for about in EFFECTS {
        wants.push(if about.optional { Want::optional(about.name, As::Float) } else { Want::new(about.name, As::Float) });
        wants.extend(about.clicks.map(|(name, _)| Want::optional(name, As::Float)));
    }
    wants.extend(super::leaving::wants());
    wants.extend(LATENCY_PARTS.map(|(name, _)| Want::new(name, As::Float)));
    wants
}

/// Whether a document has a mechanism whose columns are looked at.
pub(super) fn is_on(law: &Law<'_>) -> bool {
    law.model().effects().optional().next().is_some()
        || law.config().open_delay == OpenDelayLaw::Mixture
        || law.model().leaving().is_some()
        || !law.model().blasts().is_empty()
}

/// Rules of the truth.
pub(super) struct Truth<'a> {
    law: &'a Law<'a>,
    rows: Exact,
    factors: Exact,
    products: Exact,
    components: Exact,
    leaving: Exact,
}

merge_fields!(Truth<'_> { rows, factors, products, components, leaving } same { law });

impl<'a> Truth<'a> {
    pub(super) const ROWS: &'static str = "the truth has each message once";

    pub(super) fn new(law: &'a Law<'a>) -> Self {
        Self {
            law,
            rows: Exact::new(Self::ROWS),
            factors: Exact::new("factors of the truth are those of the document in what the events say"),
            products: Exact::new("factors of the truth multiply to p_open and p_click"),
            components: Exact::new("the truth has a component of the mixture for each open that was decided for, and for no other message"),
            leaving: Exact::new(
                "the truth has the deliveries before each delivered message, and by them what may make its recipient leave",
            ),
        }
    }

    pub(super) fn add(&mut self, recipient: &Recipient<'_>, truth: Option<&RecordBatch>, is_ahead: bool) {
        let messages = &recipient.history.messages;
        let Some(truth) = truth else {
            return self.rows.hold(messages.is_empty(), || format!("{}: none of {}", recipient.id(), messages.len()));
        };
        let ids = truth.uuid("message_id");
        let rows: HashMap<u128, usize> = (0..truth.num_rows()).filter_map(|row| Some((ids.get(row)?, row))).collect();
        self.rows.hold(rows.len() == truth.num_rows() && rows.len() == messages.len(), || {
            format!("{}: {} rows of {} messages", recipient.id(), truth.num_rows(), messages.len())
        });
        let float = |name: &str, row: usize| {
            let column = truth.float(name);
            column.is_valid(row).then(|| column.value(row))
        };
        let effects = self.law.model().effects();
        let (suppressed, reasons, components) = (truth.bool("suppressed"), truth.text("dropped_reason"), truth.int("open_component"));
        for message in messages {
            let place = || format!("message {} of {}", uuid(message.id), recipient.id());
            let Some(&row) = rows.get(&message.id) else {
                self.rows.hold(false, place);
                continue;
            };
            let dropped = reasons.is_valid(row) && reasons.value(row) == "open_suppressed";
            // Of a recipient whose client opens ahead no row says whether it opened.
            if self.law.config().open_delay == OpenDelayLaw::Mixture && !is_ahead {
                let component = components.is_valid(row).then(|| components.value(row));
                let known = component.is_none_or(|component| (0..self.law.config().open_components().len() as i64).contains(&component));
                self.components.hold(known && component.is_some() == (message.opened.is_some() || dropped), place);
            }
            if let Some(leaving) = self.law.model().leaving() {
                self.leaving.hold(truth_holds(recipient, leaving, message, truth, row), place);
            }
            let Some((at, own)) = self.law.circumstances(&recipient.person, message).zip(self.law.factors(&recipient.person, message))
            else {
                continue;
            };
            let (mut product, mut as_expected) = (float("open_rate", row).zip(float("cap", row)).map(|(rate, cap)| rate * cap), true);
            for (about, expected) in EFFECTS.iter().zip(own).filter(|(about, _)| effects.present().any(|known| known.name == about.name)) {
                let found = float(about.name, row);
                as_expected &= found.is_some_and(|found| (found - expected).abs() < NEAR);
                product = product.zip(found).map(|(product, factor)| product * factor);
            }
            let mut p_click = float("click_rate", row).zip(float("open_rate", row)).map(|(click, open)| click / open);
            for (place, (name, _)) in effects.optional().filter_map(|(place, about)| Some((place, about.clicks?))) {
                let found = float(name, row);
                as_expected &= found.is_some_and(|found| (found - effects.each()[place].click_factor(&at)).abs() < NEAR);
                p_click = p_click.zip(found).map(|(p, factor)| p * factor);
            }
            self.factors.hold(as_expected, place);
            let product = if suppressed.value(row) { Some(0.0) } else { product };
            let is = |found: Option<f64>, expected: Option<f64>| {
                found.zip(expected).is_some_and(|(found, expected)| (found - expected).abs() < ROUNDING)
            };
            let holds = is(float("p_open", row), product) && is(float("p_click", row), p_click.map(|p| p.min(1.0)));
            self.products.hold(holds, place);
        }
    }

    pub(super) fn report(self, board: &mut Board) {
        board.exact(self.rows);
        board.exact(self.factors);
        board.exact(self.products);
        if self.law.config().open_delay == OpenDelayLaw::Mixture {
            board.exact(self.components);
        }
        if self.law.model().leaving().is_some() {
            board.exact(self.leaving);
        }
    }
}
