//! Who a recipient is, given what the recipient has done: the exact posterior over personas.

use super::delay::{Breakers, Delay, Foresight};
use super::history::{History, Message};
use super::law::Law;
use super::machine::Machine;
use populace_core::time::Instant;

/// The laws of a document, prepared for inference.
pub struct Inference<'a> {
    law: &'a Law<'a>,
    breakers: Option<Breakers>,
}

impl<'a> Inference<'a> {
    /// Of a document's laws.
    pub fn new(law: &'a Law<'a>) -> Self {
        Self { law, breakers: Breakers::new(law.model()) }
    }

    /// The laws.
    pub fn law(&self) -> &Law<'a> {
        self.law
    }

    /// For each persona, P(an open that is decided for leaves an `opened` row | what is known at delivery).
    pub fn open_unsuppressed(&self, history: &History, delivered: Instant) -> Vec<f64> {
        self.law.open_delay(delivered).expected_unsuppressed(&Foresight::new(self.breakers.as_ref(), history, delivered))
    }

    /// P(a click that is decided for leaves a `clicked` row | what is known at the open).
    pub fn click_unsuppressed(&self, history: &History, opened: Instant) -> f64 {
        self.law.click_delay(opened).expected_unsuppressed(&Foresight::new(self.breakers.as_ref(), history, opened))[0]
    }

    /// P(the row of a client that opens ahead is the client's own doing | all up to the row), given P(state) after the row, as of
    /// [`Filter::states_before`]. `None` if that cannot have happened.
    pub(crate) fn machine_share(&self, history: &History, message: &Message, shown: Instant, states: &[f64]) -> Option<f64> {
        let personas = self.law.personas().len();
        let p = (0..personas).map(|persona| self.law.p_open(persona, message).unwrap_or(0.0)).collect();
        let (machine, open) = self.machine_row(history, message, p)?;
        let share = |(persona, weight): (usize, &f64)| {
            let (ahead, all) = machine.share(&open, persona, shown);
            if all > 0.0 { weight * ahead / all } else { 0.0 }
        };
        Some(states.get(personas..)?.iter().enumerate().map(share).sum())
    }

    /// As [`machine_share`](Self::machine_share), of a persona that opens with probability `p_open`.
    pub(crate) fn machine_share_of(
        &self,
        history: &History,
        message: &Message,
        shown: Instant,
        persona: usize,
        p_open: f64,
    ) -> Option<f64> {
        let (machine, open) = self.machine_row(history, message, vec![p_open; self.law.personas().len()])?;
        let (ahead, all) = machine.share(&open, persona, shown);
        (all > 0.0).then(|| ahead / all)
    }

    fn machine_row<'h>(&'h self, history: &'h History, message: &'h Message, p: Vec<f64>) -> Option<(Machine<'h>, Open<'h>)> {
        let machine = Machine { law: self.law, history, client: self.law.model().machine_opens()? };
        Some((machine, Open { message, p, delay: self.law.open_delay(message.delivered?) }))
    }

    /// A filter over a recipient's history, from the document's shares of personas.
    pub fn filter<'h>(&'h self, history: &'h History) -> Filter<'h> {
        self.filter_from(history, &self.law.personas().iter().map(|persona| persona.share).collect::<Vec<_>>())
    }

    /// A filter that begins with other probabilities of the personas.
    pub fn filter_from<'h>(&'h self, history: &'h History, prior: &[f64]) -> Filter<'h> {
        let mut order: Vec<(Instant, usize)> =
            history.messages.iter().enumerate().filter_map(|(index, message)| Some((message.delivered?, index))).collect();
        order.sort_unstable();
        let machine = self.law.model().machine_opens().map(|client| Machine { law: self.law, history, client });
        let shares = machine.as_ref().map_or_else(|| vec![1.0], |of| vec![1.0 - of.client.user_share, of.client.user_share]);
        let settled = shares.iter().flat_map(|of_client| prior.iter().map(move |share| (of_client * share).ln())).collect();
        Filter { inference: self, history, order, next: 0, personas: prior.len(), settled, open: Vec::new(), machine }
    }
}

/// The posterior over personas, and where clients may open ahead over whether the recipient's does, moved on in time.
///
/// A delivered message tells of the persona k, once its open was decided with p: by an open at s, p f(s − delivered); by none up to now,
/// 1 − p × P(an open by now that no breaker silences); by a click, q; by none up to now, 1 − q × P(a click by now that none silences).
/// What can tell no more is summed up. What opens ahead tell is said at [`Machine`].
pub struct Filter<'h> {
    inference: &'h Inference<'h>,
    history: &'h History,
    /// Deliveries in order of time, and the messages.
    order: Vec<(Instant, usize)>,
    next: usize,
    personas: usize,
    /// ln prior + ln of all that is settled, up to a constant, by persona; then, if there are machines, by persona of those whose client
    /// opens ahead.
    settled: Vec<f64>,
    open: Vec<Open<'h>>,
    machine: Option<Machine<'h>>,
}

/// A message that may tell more.
pub(super) struct Open<'h> {
    pub(super) message: &'h Message,
    /// P(open) by persona.
    pub(super) p: Vec<f64>,
    pub(super) delay: Delay<'h>,
}

impl Filter<'_> {
    /// P(persona) by all that happened before `now`, which never goes back. `None` if that cannot have happened.
    pub fn before(&mut self, now: Instant) -> Option<Vec<f64>> {
        let states = self.states_before(now)?;
        let mut personas = states[..self.personas].to_vec();
        states[self.personas..].iter().zip(&mut personas).for_each(|(weight, sum)| *sum += weight);
        Some(personas)
    }

    /// As [`before`](Self::before), of those whose client does not open ahead, then of those whose client does, if there are such.
    pub(crate) fn states_before(&mut self, now: Instant) -> Option<Vec<f64>> {
        while let Some(&(delivered, index)) = self.order.get(self.next).filter(|(delivered, _)| *delivered < now) {
            self.next += 1;
            let message = &self.history.messages[index];
            let p = (0..self.personas).map(|persona| self.inference.law.p_open(persona, message).unwrap_or(0.0)).collect();
            self.open.push(Open { message, p, delay: self.inference.law.open_delay(delivered) });
        }
        let mut total = self.settled.clone();
        let mut index = 0;
        while index < self.open.len() {
            let open = &self.open[index];
            let (mut evidence, mut is_settled) = self.evidence(open, now);
            if let Some(machine) = &self.machine {
                if open.message.machine_opened.is_some_and(|opened| opened < now) {
                    evidence.fill(f64::NEG_INFINITY);
                }
                let (ahead, is_over) = machine.evidence(open, now);
                evidence.extend(ahead);
                is_settled = is_over;
            }
            for (state, evidence) in evidence.iter().enumerate() {
                total[state] += evidence;
                if is_settled {
                    self.settled[state] += evidence;
                }
            }
            if is_settled {
                self.open.swap_remove(index);
            } else {
                index += 1;
            }
        }
        let most = total.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if most == f64::NEG_INFINITY {
            return None;
        }
        let weights: Vec<f64> = total.iter().map(|weight| (weight - most).exp()).collect();
        let sum: f64 = weights.iter().sum();
        Some(weights.iter().map(|weight| weight / sum).collect())
    }

    /// ln of what a message tells by `now`, by persona; and whether that is all.
    fn evidence(&self, open: &Open<'_>, now: Instant) -> (Vec<f64>, bool) {
        let law = self.inference.law;
        let personas = 0..self.personas;
        let Some(opened) = open.message.opened.filter(|opened| *opened < now) else {
            let not_opened = |persona: usize| (-open.p[persona] * open.delay.unsuppressed(persona, now, self.history)).ln_1p();
            return (personas.map(not_opened).collect(), now > open.delay.end() || open.message.suppressed);
        };
        let mut evidence: Vec<f64> = personas.clone().map(|persona| (open.p[persona] * open.delay.around(persona, opened)).ln()).collect();
        if open.message.clicked.is_some_and(|clicked| clicked < now) {
            for persona in personas {
                evidence[persona] += law.p_click(persona, open.message).ln();
            }
            return (evidence, true);
        }
        let click = law.click_delay(opened);
        let unsuppressed = click.unsuppressed(0, now, self.history);
        for persona in personas {
            evidence[persona] += (-law.p_click(persona, open.message) * unsuppressed).ln_1p();
        }
        (evidence, now > click.end())
    }
}
