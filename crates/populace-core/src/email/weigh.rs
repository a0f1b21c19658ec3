//! The probabilities of a message's open and click, and their factors.

use super::actor::{Rates, Walk};
use super::config::DecidedAt;
use super::delivery::LATENCY_PARTS;
use super::effects::{Effects, Factors};
use super::experiments::Exposed;
use super::model::EmailModel;
use super::policy::Draft;
use super::rows::{Event, MessageTruth, Truth, Uuid};
use super::world::Circumstances;
use crate::scenario::Observer;
use crate::time::{Instant, SECOND};

/// What a message's open and click are drawn against.
pub(super) struct Weighed {
    pub(super) factors: Factors,
    pub(super) cap: f64,
    pub(super) p_open: f64,
    pub(super) p_click: f64,
    /// What was clipped.
    clipped: [Option<&'static str>; 2],
}

impl EmailModel {
    /// The probabilities of a message in its circumstances.
    #[inline]
    pub(super) fn weigh(&self, at: &Circumstances, rates: Rates) -> Weighed {
        let factors = self.effects.factors(at);
        let product = Effects::product(rates.open, &factors);
        let most = self.config.engagement.max_probability;
        let is_capped = product > most;
        let p_click = rates.click / rates.open * self.effects.click_factor(at);
        Weighed {
            factors,
            cap: if is_capped { most / product } else { 1.0 },
            p_open: if at.suppressed { 0.0 } else { product.min(most) },
            p_click: p_click.min(1.0),
            clipped: [is_capped.then_some("p_open"), (p_click > 1.0).then_some("p_click")],
        }
    }
}

impl<O: Observer<Event, Truth>> Walk<'_, O> {
    /// What is true of a message that is, or would be, delivered at a moment.
    pub(super) fn weigh(
        &mut self,
        (draft, delivered_at): (&Draft, Instant),
        message_id: Uuid,
        latency: [f64; LATENCY_PARTS.len()],
        (recent_sends, exposed): (u32, Exposed),
    ) -> MessageTruth {
        let model = self.model;
        let decided_at = match model.decided_at {
            DecidedAt::Delivery => delivered_at,
            DecidedAt::Send => draft.time,
        };
        let clock = model.clock(self.person.zone.zone);
        let at = Circumstances {
            person: self.person,
            clock: clock.local(decided_at),
            ahead: clock.ahead(decided_at),
            recent_sends,
            since_interest: self.since_hot_path(decided_at),
            suppressed: self.suppressed(decided_at),
            exposed,
        };
        let rates = self.rates_at(delivered_at);
        let Weighed { factors, cap, p_open, p_click, clipped } = model.weigh(&at, rates);
        clipped.into_iter().flatten().for_each(|what| self.out.clipped(what));
        let or_by = |people: f64, machine: f64| 1.0 - (1.0 - people) * (1.0 - machine);
        let mut p_rows = [self.machine.map_or(p_open, |machine| or_by(p_open, machine.probability)), p_open * p_click];
        if let Some(scanner) = &self.scanner {
            let [opened, clicked] = scanner.p_rows();
            p_rows = [or_by(p_rows[0], opened), or_by(p_rows[1], clicked)];
        }
        MessageTruth {
            message_id,
            p_open: Some(p_open),
            p_click: Some(p_click),
            open_rate: rates.open,
            click_rate: rates.click,
            factors,
            cap,
            at,
            dropped_reason: None,
            human_opened_at: None,
            p_open_row: Some(p_rows[0]),
            p_click_row: Some(p_rows[1]),
            open_component: None,
            leaving: None,
            latency_queue: draft.queue as f64 / SECOND as f64,
            latency,
            latency_deferral: 0.0,
        }
    }

    /// The recipient's rates in the month of a delivery.
    pub(super) fn rates_at(&self, delivered_at: Instant) -> Rates {
        self.scratch.rates[self.model.month_at(delivered_at, self.month)]
    }
}
