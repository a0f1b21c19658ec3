//! Experiments: variants are dealt to whom the document says and as often, and what each would have done fits what was done.

use super::Recipient;
use crate::email::{Law, Message};
use crate::source::{As, Columns, Want};
use crate::stats::merge_fields;
use crate::verify::Group;
use crate::verify::board::{Board, Calibration, Exact};
use crate::verify::uuid;
use arrow_array::{Array, RecordBatch};
use populace_core::email::{Experiment, ExperimentUnit, Experiments, Exposed};
use std::collections::HashMap;

/// What rounding may do to a probability, and what microseconds may do to a factor.
const NEAR: f64 = 1e-9;

/// The truth of outcomes.
pub(super) const TABLE: &str = "truth/potential_outcomes";
/// The columns that are looked at.
pub(super) const OUTCOMES: [Want; 9] = [
    Want::new("experiment", As::Text),
    Want::new("message_id", As::Uuid),
    Want::new("recipient_id", As::Text),
    Want::new("variant", As::Text),
    Want::new("factual", As::Bool),
    Want::nullable("p_open", As::Float),
    Want::nullable("p_click", As::Float),
    Want::new("y_open", As::Bool),
    Want::new("y_click", As::Bool),
];

/// The experiments of a run.
pub(super) struct Variants<'a> {
    law: &'a Law<'a>,
    own: &'a Experiments,
    dealt: Exact,
    /// By experiment and variant.
    shares: Calibration<(usize, usize)>,
    outcomes: Exact,
    factual: Exact,
    odds: Exact,
}

merge_fields!(Variants<'_> { dealt, shares, outcomes, factual, odds } same { law, own });

impl<'a> Variants<'a> {
    pub(super) const OUTCOMES: &'static str = "the truth has each variant of a message's experiments once, and which of them it has";

    pub(super) fn new(law: &'a Law<'a>, own: &'a Experiments) -> Self {
        Self {
            law,
            own,
            dealt: Exact::new(
                "messages have the variants of the experiments of their campaign and day, recipients those that the seed deals",
            ),
            shares: Calibration::new("variants of experiments (sample ratio)"),
            outcomes: Exact::new(Self::OUTCOMES),
            factual: Exact::new("the outcome of the variant that a message has is that of the events"),
            odds: Exact::new("probabilities of a message's variants are as their factors"),
        }
    }

    /// Adds a recipient; `is_ahead` is one of whom no row says whether it opens.
    pub(super) fn add(&mut self, recipient: &Recipient<'_>, outcomes: Option<&RecordBatch>, is_ahead: bool) {
        let dealt = self.law.dealt(recipient.id());
        let mut seen = vec![false; self.own.list().len()];
        let outcomes = outcomes.map(Outcomes::new);
        for message in &recipient.history.messages {
            let own = &self.own.exposures()[usize::from(message.exposure)].variants;
            let has = |place: usize| own.iter().find(|(of, _)| usize::from(*of) == place).map_or(0, |(_, variant)| usize::from(*variant));
            let variant = |place: usize, of: &Experiment| match (of.unit, &dealt) {
                (ExperimentUnit::User, Some(dealt)) => usize::from(dealt[place]),
                _ => has(place),
            };
            let day = self.law.model().day_of(recipient.person.zone.zone, message.sent);
            let campaign = recipient.campaigns[message.sent_row];
            let expected = day.map_or(0, |day| self.own.exposure(campaign, day, variant));
            self.dealt.hold(message.exposure == expected, || format!("message {} of {}", uuid(message.id), recipient.id()));
            for &(place, variant) in own {
                let (place, variant) = (usize::from(place), usize::from(variant));
                let of = &self.own.list()[place];
                if of.unit == ExperimentUnit::User && std::mem::replace(&mut seen[place], true) {
                    continue;
                }
                for (other, about) in of.variants.iter().enumerate() {
                    self.shares.add_to((place, other), about.weight, other == variant);
                }
            }
            if let Some(outcomes) = &outcomes {
                self.outcomes(recipient, message, outcomes, is_ahead);
            }
        }
        self.shares.end_actor();
        if outcomes.is_none() {
            let is_in_none = recipient.history.messages.iter().all(|message| message.exposure == 0);
            self.outcomes.hold(is_in_none, || format!("none of {}", recipient.id()));
        }
    }

    fn outcomes(&mut self, recipient: &Recipient<'_>, message: &Message, rows: &Outcomes<'_>, is_ahead: bool) {
        let place = || format!("message {} of {}", uuid(message.id), recipient.id());
        let at = self.law.circumstances(&recipient.person, message);
        let most = self.law.config().engagement.max_probability;
        for &(experiment, factual) in &self.own.exposures()[usize::from(message.exposure)].variants {
            let of = &self.own.list()[usize::from(experiment)];
            let found: Vec<Option<usize>> = of.variants.iter().map(|variant| rows.of(message.id, &of.name, &variant.name)).collect();
            let marked = |(variant, row): (usize, &Option<usize>)| {
                row.is_some_and(|row| rows.factual.value(row) == (variant == usize::from(factual)))
            };
            let is_whole = found.iter().enumerate().all(marked);
            self.outcomes.hold(is_whole, place);
            let Some(row) = found[usize::from(factual)].filter(|_| is_whole) else { continue };
            let holds = (is_ahead || rows.opens.value(row) == message.opened.is_some())
                && rows.clicks.value(row) == message.clicked.is_some()
                && rows.p_open.is_valid(row) == message.delivered.is_some();
            self.factual.hold(holds, place);
            let Some(at) = at.filter(|at| !at.suppressed && rows.p_open.is_valid(row)) else { continue };
            let factor = |variant: usize| {
                let exposed = Exposed { exposure: self.own.with(message.exposure, experiment, variant as u8), ..at.exposed };
                [self.own.open_factor(exposed, recipient.person.responsiveness), self.own.click_factor(exposed)]
            };
            let here = factor(factual.into());
            for (variant, other) in found.iter().enumerate().filter_map(|(variant, other)| Some((variant, (*other)?))) {
                let there = factor(variant);
                let of = |column: &arrow_array::Float64Array, step: usize, most: f64| {
                    let [p, q] = [row, other].map(|row| column.value(row));
                    p >= most || q >= most || (p * there[step] - q * here[step]).abs() < NEAR
                };
                self.odds.hold(of(rows.p_open, 0, most) && of(rows.p_click, 1, 1.0), place);
            }
        }
    }

    /// Reports what was seen; `has_outcomes` is whether there is the table of outcomes.
    pub(super) fn report(self, has_outcomes: bool, board: &mut Board) {
        board.exact(self.dealt);
        let own = self.own;
        let label = |(place, variant): (usize, usize)| format!("{}: {}", own.list()[place].name, own.list()[place].variants[variant].name);
        self.shares.report_as(board, Group::Distribution, 0.0, label);
        if has_outcomes {
            board.exact(self.outcomes);
            board.exact(self.factual);
            board.exact(self.odds);
        } else {
            board.skip(Group::Exact, Self::OUTCOMES, "there is no table truth/potential_outcomes");
        }
    }
}

/// The outcomes of a recipient's messages.
struct Outcomes<'a> {
    rows: HashMap<(u128, &'a str, &'a str), usize>,
    factual: &'a arrow_array::BooleanArray,
    opens: &'a arrow_array::BooleanArray,
    clicks: &'a arrow_array::BooleanArray,
    p_open: &'a arrow_array::Float64Array,
    p_click: &'a arrow_array::Float64Array,
}

impl<'a> Outcomes<'a> {
    fn new(batch: &'a RecordBatch) -> Self {
        let (ids, experiments, variants) = (batch.uuid("message_id"), batch.text("experiment"), batch.text("variant"));
        let key = |row: usize| Some(((ids.get(row)?, experiments.value(row), variants.value(row)), row));
        Self {
            rows: (0..batch.num_rows()).filter_map(key).collect(),
            factual: batch.bool("factual"),
            opens: batch.bool("y_open"),
            clicks: batch.bool("y_click"),
            p_open: batch.float("p_open"),
            p_click: batch.float("p_click"),
        }
    }

    fn of(&self, message: u128, experiment: &str, variant: &str) -> Option<usize> {
        self.rows.get(&(message, experiment, variant)).copied()
    }
}
