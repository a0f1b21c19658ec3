//! Who a recipient is, given what the recipient has done: the exact posterior over personas, and where people differ over their hours and
//! rates.

use super::candidates::Candidates;
use super::delay::{Breakers, Delay, Foresight};
use super::history::{History, Message};
use super::law::Law;
use super::machine::Machine;
use populace_core::email::{Effects, OwnZone, Person};
use populace_core::time::Instant;

/// The laws of a document, prepared for inference.
pub struct Inference<'a> {
    law: &'a Law<'a>,
    candidates: Candidates,
    breakers: Option<Breakers>,
}

impl<'a> Inference<'a> {
    /// Of a document's laws.
    pub fn new(law: &'a Law<'a>) -> Self {
        Self { law, candidates: Candidates::new(law.model(), law.scheduled()), breakers: Breakers::new(law.model()) }
    }

    /// The laws.
    pub fn law(&self) -> &Law<'a> {
        self.law
    }

    /// Who a recipient may be, each with its share of its persona's people.
    pub(crate) fn candidates(&self) -> &[(Person, f64)] {
        &self.candidates.people
    }

    /// Who a recipient may be: the states of a [`Posterior`].
    pub fn people(&self) -> impl Iterator<Item = &Person> {
        self.candidates.people.iter().map(|(person, _)| person)
    }

    /// Click rate over open rate with its probability, by persona.
    pub fn ratios(&self) -> &[Vec<(f64, f64)>] {
        &self.candidates.ratios
    }

    /// For each habit in a zone, P(an open that is decided for leaves an `opened` row | what is known at delivery).
    pub fn open_unsuppressed(&self, zone: u8, history: &History, delivered: Instant) -> Vec<f64> {
        let foresight = Foresight::new(self.breakers.as_ref(), self.law.model(), zone, history, delivered);
        self.law.open_delay(zone, delivered).expected_unsuppressed(&foresight)
    }

    /// P(a click that is decided for leaves a `clicked` row | what is known at the open).
    pub fn click_unsuppressed(&self, zone: u8, history: &History, opened: Instant) -> f64 {
        let foresight = Foresight::new(self.breakers.as_ref(), self.law.model(), zone, history, opened);
        self.law.click_delay(opened).expected_unsuppressed(&foresight)[0]
    }

    /// Where a recipient is, which the seed says.
    fn zone_of(&self, history: &History) -> OwnZone {
        self.law.person_of(&history.recipient_id).map_or_else(OwnZone::default, |person| person.zone)
    }

    /// P(open) of a message to a zone of each who the recipient may be.
    pub fn p_open(&self, zone: OwnZone, message: &Message) -> Vec<f64> {
        let most = self.law.config().engagement.max_probability;
        // Timing is 1 + k × what depends on the habit alone.
        let of_habit = |habit: usize| {
            let person = Person { zone, ..self.law.model().person(habit, 1.0, 1.0) };
            [0.0, 1.0].map(|timing_k| {
                let factors = self.law.factors(&Person { timing_k, ..person }, message);
                factors.filter(|_| !message.suppressed).map_or(0.0, |factors| Effects::product(1.0, &factors))
            })
        };
        let ends: Vec<[f64; 2]> = (0..self.law.model().habits().len()).map(of_habit).collect();
        // The factor of content goes with an exponential of what is the person's own.
        let experiments = self.law.model().effects().experiments();
        let spread = experiments.map_or(0.0, |own| own.exposures()[usize::from(message.exposure)].spread);
        let of = |person: &Person| {
            let [flat, full] = ends[usize::from(person.habit)];
            let content = if spread > 0.0 { (spread * person.responsiveness).exp() } else { 1.0 };
            (person.open_rate * (flat + person.timing_k * (full - flat)) * content).min(most)
        };
        self.people().map(of).collect()
    }

    /// P(click | open) of a message, by persona and place of [`ratios`](Self::ratios).
    fn p_click(&self, zone: OwnZone, message: &Message) -> Vec<Vec<f64>> {
        let of = |(persona, ratios): (usize, &Vec<(f64, f64)>)| {
            let factor = self.law.click_factor(&Person { zone, ..self.law.model().typical(persona) }, message);
            ratios.iter().map(|(ratio, _)| (ratio * factor).min(1.0)).collect()
        };
        self.candidates.ratios.iter().enumerate().map(of).collect()
    }

    /// P(the row of a client that opens ahead is the client's own doing | all up to the row), by the posterior after the row. `None` if that
    /// cannot have happened.
    pub(crate) fn machine_share(&self, history: &History, message: &Message, shown: Instant, posterior: &Posterior) -> Option<f64> {
        let (machine, open) = self.machine_row(posterior.zone, history, message, self.p_open(posterior.zone, message))?;
        let share = |((person, p), weight): ((&Person, &f64), f64)| {
            let (ahead, all) = machine.share(&open, person.habit.into(), *p, shown);
            if all > 0.0 { weight * ahead / all } else { 0.0 }
        };
        let weights = posterior.ahead_states();
        (!weights.is_empty()).then(|| self.people().zip(&open.p).zip(weights).map(share).sum())
    }

    /// As [`machine_share`](Self::machine_share), of a recipient that opens with probability `p_open`.
    pub(crate) fn machine_share_of(
        &self,
        history: &History,
        message: &Message,
        shown: Instant,
        person: &Person,
        p_open: f64,
    ) -> Option<f64> {
        let (machine, open) = self.machine_row(person.zone, history, message, Vec::new())?;
        let (ahead, all) = machine.share(&open, person.habit.into(), p_open, shown);
        (all > 0.0).then(|| ahead / all)
    }

    fn machine_row<'h>(
        &'h self,
        zone: OwnZone,
        history: &'h History,
        message: &'h Message,
        p: Vec<f64>,
    ) -> Option<(Machine<'h>, Open<'h>)> {
        let machine = Machine { law: self.law, history, client: self.law.model().machine_opens()?, zone: zone.zone };
        Some((machine, Open { message, p, p_click: Vec::new(), delay: self.law.open_delay(zone.zone, message.delivered?) }))
    }

    /// Filters over a recipient's history: of its zone where the sender knows it, else of every zone.
    pub fn filters<'h>(&'h self, history: &'h History) -> Filters<'h> {
        let own = self.zone_of(history);
        let zones: Vec<(OwnZone, f64)> = match self.law.model().zones() {
            Some(zones) if !own.is_known => {
                let of = |(zone, share): (u8, &f64)| (OwnZone { zone, ..own }, share.ln());
                (0..).zip(zones.shares()).filter(|(_, share)| **share > 0.0).map(of).collect()
            }
            _ => vec![(own, 0.0)],
        };
        let prior = self.prior();
        Filters(zones.into_iter().map(|(zone, share)| (share, self.filter_in(zone, history, &prior))).collect())
    }

    /// A filter over the history of a recipient whose zone is known, from the document's shares of personas.
    pub fn filter<'h>(&'h self, history: &'h History) -> Filter<'h> {
        self.filter_from(history, &self.prior())
    }

    fn prior(&self) -> Vec<f64> {
        self.law.personas().iter().map(|persona| persona.share).collect()
    }

    /// A filter that begins with other probabilities of the personas.
    pub fn filter_from<'h>(&'h self, history: &'h History, prior: &[f64]) -> Filter<'h> {
        self.filter_in(self.zone_of(history), history, prior)
    }

    fn filter_in<'h>(&'h self, zone: OwnZone, history: &'h History, prior: &[f64]) -> Filter<'h> {
        let mut order: Vec<(Instant, usize)> =
            history.messages.iter().enumerate().filter_map(|(index, message)| Some((message.delivered?, index))).collect();
        order.sort_unstable();
        let Candidates { people, ratios } = &self.candidates;
        let machine = self.law.model().machine_opens().map(|client| Machine { law: self.law, history, client, zone: zone.zone });
        let share = machine.as_ref().map_or(0.0, |of| of.client.user_share);
        let of_persona = |person: &Person| prior[usize::from(person.persona)];
        let own = people.iter().map(|(person, weight)| (1.0 - share) * of_persona(person) * weight).collect();
        let weigh = |(person, weight): &(Person, f64)| {
            let state = share * of_persona(person) * weight;
            ratios[usize::from(person.persona)].iter().map(move |(_, weight)| state * weight)
        };
        let ahead = if share > 0.0 { people.iter().flat_map(weigh).collect() } else { Vec::new() };
        let clicks = ratios.iter().map(|of| of.iter().map(|(_, weight)| *weight).collect()).collect();
        Filter {
            inference: self,
            history,
            zone,
            order,
            next: 0,
            settled: Posterior { own, clicks, ahead, zone, evidence: 0.0, of: self },
            open: Vec::new(),
            machine,
        }
    }
}

/// The posterior over who a recipient is, up to a factor, by [`Inference::people`].
///
/// Given the persona, what clicks tell of the clicks of an open does not depend on what opens tell of hours and rates. So the weights are a
/// product, but those of recipients whose client opens ahead, of whom no row says whether they opened.
#[derive(Clone)]
pub struct Posterior<'a> {
    /// Of those whose client does not open ahead: by state, all but clicks.
    own: Vec<f64>,
    /// Of the same, what clicks say: by persona and place of its ratios.
    clicks: Vec<Vec<f64>>,
    /// Of those whose client opens ahead: by state, then place of its persona's ratios. Empty where there are no such.
    ahead: Vec<f64>,
    /// Where the recipient is.
    zone: OwnZone,
    /// ln of what the weights were divided by: with it, of P(all that happened), up to what is the same for all zones.
    evidence: f64,
    of: &'a Inference<'a>,
}

impl Posterior<'_> {
    /// The places of the ratios of each state, among [`Self::ahead`].
    fn of_states(&self) -> impl Iterator<Item = &[f64]> {
        let mut rest = &self.ahead[..];
        let people = if self.ahead.is_empty() { &[][..] } else { &self.of.candidates.people[..] };
        people.iter().map(move |(person, _)| {
            let (here, after) = rest.split_at(self.of.candidates.ratios[usize::from(person.persona)].len());
            rest = after;
            here
        })
    }

    /// P(state), whatever the client and the clicks.
    pub fn states(&self) -> Vec<f64> {
        let clicks: Vec<f64> = self.clicks.iter().map(|of| of.iter().sum()).collect();
        let mut states: Vec<f64> =
            self.of.people().zip(&self.own).map(|(person, weight)| weight * clicks[usize::from(person.persona)]).collect();
        states.iter_mut().zip(self.of_states()).for_each(|(state, ratios)| *state += ratios.iter().sum::<f64>());
        states
    }

    /// P(state, and the client opens ahead); empty where that cannot be.
    fn ahead_states(&self) -> Vec<f64> {
        self.of_states().map(|ratios| ratios.iter().sum()).collect()
    }

    /// Where the recipient is.
    pub fn zone(&self) -> OwnZone {
        self.zone
    }

    /// P(persona).
    pub fn personas(&self) -> Vec<f64> {
        let mut personas = vec![0.0; self.clicks.len()];
        self.of.people().zip(self.states()).for_each(|(person, weight)| personas[usize::from(person.persona)] += weight);
        personas
    }

    /// P(persona, and a place of its ratios).
    pub fn ratios(&self) -> Vec<Vec<f64>> {
        let mut own = vec![0.0; self.clicks.len()];
        self.of.people().zip(&self.own).for_each(|(person, weight)| own[usize::from(person.persona)] += weight);
        let mut found: Vec<Vec<f64>> =
            self.clicks.iter().zip(own).map(|(places, own)| places.iter().map(|place| own * place).collect()).collect();
        for (person, ratios) in self.of.people().zip(self.of_states()) {
            found[usize::from(person.persona)].iter_mut().zip(ratios).for_each(|(sum, weight)| *sum += weight);
        }
        found
    }

    /// The mean of P(click | open) of a message.
    pub fn p_click(&self, message: &Message) -> f64 {
        let p = self.of.p_click(self.zone, message);
        self.ratios().iter().flatten().zip(p.iter().flatten()).map(|(weight, p)| weight * p).sum()
    }

    /// Takes in what a message tells.
    fn take(&mut self, told: &Told, p_click: &[Vec<f64>]) {
        multiply(&mut self.own, told.own.iter().copied());
        if let Some([none, click]) = told.clicks {
            for (places, p) in self.clicks.iter_mut().zip(p_click) {
                places.iter_mut().zip(p).for_each(|(place, p)| *place *= none + click * p);
            }
            // Personas are compared by the sums of these.
            let most = self.clicks.iter().flatten().fold(0.0_f64, |most, place| most.max(*place));
            if most > 0.0 && most < SMALL {
                self.clicks.iter_mut().flatten().for_each(|place| *place /= most);
                self.ahead.iter_mut().for_each(|weight| *weight /= most);
                self.evidence += most.ln();
            }
        }
        if !self.ahead.is_empty() {
            let people = &self.of.candidates.people;
            let tells = people
                .iter()
                .zip(&told.ahead)
                .flat_map(|((person, _), [none, click])| p_click[usize::from(person.persona)].iter().map(move |p| none + click * p));
            self.ahead.iter_mut().zip(tells).for_each(|(weight, tells)| *weight *= tells);
            if self.ahead.iter().all(|weight| *weight == 0.0) {
                self.ahead.clear();
            }
        }
        self.rescale();
    }

    /// Keeps the greatest weight from vanishing.
    fn rescale(&mut self) {
        let most = self.own.iter().chain(&self.ahead).fold(0.0_f64, |most, weight| most.max(*weight));
        if most > 0.0 && most < SMALL {
            self.own.iter_mut().chain(&mut self.ahead).for_each(|weight| *weight /= most);
            self.evidence += most.ln();
        }
    }

    /// With a sum of 1; `None` if nobody is left.
    fn normalised(mut self) -> Option<Self> {
        let sum: f64 = self.states().iter().sum();
        if sum.is_nan() || sum <= 0.0 {
            return None;
        }
        self.own.iter_mut().chain(&mut self.ahead).for_each(|weight| *weight /= sum);
        self.evidence += sum.ln();
        Some(self)
    }
}

/// Weights are raised where the greatest is less.
const SMALL: f64 = 1e-100;

fn multiply(weights: &mut [f64], by: impl Iterator<Item = f64>) {
    weights.iter_mut().zip(by).for_each(|(weight, by)| *weight *= by);
}

/// One filter for each zone in which a recipient may be, each with ln P(zone).
pub struct Filters<'h>(Vec<(f64, Filter<'h>)>);

impl<'h> Filters<'h> {
    /// All that is known of who the recipient is by what happened before `now`, which never goes back: in each zone in which that can have
    /// happened, with P(zone). `None` if it can in none.
    pub fn before(&mut self, now: Instant) -> Option<Vec<(f64, Posterior<'h>)>> {
        let parts = self.0.iter_mut().filter_map(|(share, filter)| Some((*share, filter.posterior_before(now)?)));
        let mut found: Vec<(f64, Posterior<'h>)> = parts.map(|(share, posterior)| (share + posterior.evidence, posterior)).collect();
        let most = found.iter().fold(f64::NEG_INFINITY, |most, (evidence, _)| most.max(*evidence));
        for (evidence, _) in &mut found {
            *evidence = (*evidence - most).exp();
        }
        let sum: f64 = found.iter().map(|(weight, _)| weight).sum();
        for (weight, _) in &mut found {
            *weight /= sum;
        }
        (!found.is_empty()).then_some(found)
    }
}

/// The posterior over who a recipient is, moved on in time.
///
/// A delivered message tells of somebody, once its open was decided with p: by an open at s, p f(s − delivered); by none up to now,
/// 1 − p × P(an open by now that no breaker silences); by a click, q; by none up to now, 1 − q × P(a click by now that none silences).
/// What can tell no more is summed up. What opens ahead tell is said at [`Machine`].
pub struct Filter<'h> {
    inference: &'h Inference<'h>,
    history: &'h History,
    zone: OwnZone,
    /// Deliveries in order of time, and the messages.
    order: Vec<(Instant, usize)>,
    next: usize,
    /// The prior and all that is settled.
    settled: Posterior<'h>,
    open: Vec<Open<'h>>,
    machine: Option<Machine<'h>>,
}

/// A message that may tell more.
pub(super) struct Open<'h> {
    pub(super) message: &'h Message,
    /// P(open) by state.
    pub(super) p: Vec<f64>,
    /// P(click | open) by persona and place of its ratios.
    p_click: Vec<Vec<f64>>,
    pub(super) delay: Delay<'h>,
}

/// What a message tells by a moment.
struct Told {
    /// By state, of those whose client does not open ahead, without clicks.
    own: Vec<f64>,
    /// a and b where clicks tell a + b P(click | open).
    clicks: Option<[f64; 2]>,
    /// The same with clicks, by state, of those whose client opens ahead.
    ahead: Vec<[f64; 2]>,
    /// Whether that is all.
    is_over: bool,
}

impl<'h> Filter<'h> {
    /// P(persona) by all that happened before `now`, which never goes back. `None` if that cannot have happened.
    pub fn before(&mut self, now: Instant) -> Option<Vec<f64>> {
        Some(self.posterior_before(now)?.personas())
    }

    /// As [`before`](Self::before), all that is known of who the recipient is.
    pub fn posterior_before(&mut self, now: Instant) -> Option<Posterior<'h>> {
        while let Some(&(delivered, index)) = self.order.get(self.next).filter(|(delivered, _)| *delivered < now) {
            self.next += 1;
            let message = &self.history.messages[index];
            let (p, p_click) = (self.inference.p_open(self.zone, message), self.inference.p_click(self.zone, message));
            self.open.push(Open { message, p, p_click, delay: self.inference.law.open_delay(self.zone.zone, delivered) });
        }
        let mut total: Option<Posterior<'h>> = None;
        let told: Vec<Told> = self.open.iter().map(|open| self.told(open, now)).collect();
        for (open, told) in self.open.iter().zip(&told).filter(|(_, told)| told.is_over) {
            self.settled.take(told, &open.p_click);
        }
        for (open, told) in self.open.iter().zip(&told).filter(|(_, told)| !told.is_over) {
            total.get_or_insert_with(|| self.settled.clone()).take(told, &open.p_click);
        }
        let mut is_over = told.iter().map(|told| told.is_over);
        self.open.retain(|_| !is_over.next().unwrap_or(false));
        total.unwrap_or_else(|| self.settled.clone()).normalised()
    }

    /// What a message tells by `now`.
    fn told(&self, open: &Open<'_>, now: Instant) -> Told {
        let mut told = self.told_of_own(open, now);
        if let Some(machine) = &self.machine {
            if open.message.machine_opened.is_some_and(|opened| opened < now) {
                told.own.fill(0.0);
            }
            if !self.settled.ahead.is_empty() {
                (told.ahead, told.is_over) = machine.evidence(open, self.inference.people(), now);
            }
        }
        told
    }

    /// As [`told`](Self::told), of those whose client does not open ahead.
    fn told_of_own(&self, open: &Open<'_>, now: Instant) -> Told {
        let people = || self.inference.people().zip(&open.p);
        let Some(opened) = open.message.opened.filter(|opened| *opened < now) else {
            let by_now = open.delay.unsuppressed_of_each(now, self.history);
            let own = people().map(|(person, p)| 1.0 - p * by_now[usize::from(person.habit)]).collect();
            return Told { own, clicks: None, ahead: Vec::new(), is_over: now > open.delay.end() || open.message.suppressed };
        };
        let around = open.delay.around_of_each(opened);
        let own = people().map(|(person, p)| p * around[usize::from(person.habit)]).collect();
        if open.message.clicked.is_some_and(|clicked| clicked < now) {
            return Told { own, clicks: Some([0.0, 1.0]), ahead: Vec::new(), is_over: true };
        }
        let click = self.inference.law.click_delay(opened);
        let unsuppressed = click.unsuppressed(0, now, self.history);
        Told { own, clicks: Some([1.0, -unsuppressed]), ahead: Vec::new(), is_over: now > click.end() }
    }
}
