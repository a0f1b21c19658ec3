//! People who differ: each recipient has rates of its own about those of its persona, and its persona's peak hours a little earlier or
//! later.

use super::config::EmailConfig;
use super::model::EmailModel;
use super::personas::{Persona, PersonaConfig};
use super::zones::OwnZone;
use crate::dist::{Beta, Tabulated, beta_nodes};
use crate::scenario::Checker;
use crate::section::section;
use crate::stream::{ActorKey, Purpose};

/// Of a person: ordinal 0 is the open rate, 1 the clicks of an open; of ordinal 2, word 0 is the shift of the peak hours.
pub(super) const PERSON: Purpose = Purpose::new(15);
const OPEN_RATE: u64 = 0;
const RATIO: u64 = 1;
const SHIFT: u64 = 2;

section! {
    /// How the people of a persona differ. Every key has a default.
    #[serde(default)]
    pub struct PeopleConfig {
        /// The concentration κ of open rates: a recipient's own is Beta(κ r, κ (1 − r)) about its persona's, r, with variance
        /// r (1 − r) / (κ + 1). Null: all have their persona's.
        open_concentration: Option<f64> [1.0 ..= 1_000.0],
        /// The concentration of click rate over open rate, as that of open rates. Null: all have their persona's.
        ratio_concentration: Option<f64> [1.0 ..= 1_000.0],
        /// The weights of hours by which a recipient's peak hours lie later than its persona's: an odd number of them, for …, −1, 0, 1, …
        peak_shifts: Vec<f64> [len 1 ..= 23],
    }
}

impl Default for PeopleConfig {
    fn default() -> Self {
        Self { open_concentration: Some(8.0), ratio_concentration: Some(12.0), peak_shifts: vec![0.1, 0.2, 0.4, 0.2, 0.1] }
    }
}

impl PeopleConfig {
    /// The hours by which peak hours are shifted, each with its probability, in order; those of no weight are left out.
    pub fn shifts(&self) -> Vec<(i8, f64)> {
        let total: f64 = self.peak_shifts.iter().sum();
        let least = -((self.peak_shifts.len() / 2) as i8);
        let weights = (least..).zip(&self.peak_shifts);
        weights.filter(|(_, weight)| **weight > 0.0).map(|(shift, weight)| (shift, weight / total)).collect()
    }
}

/// The hours and days of some recipients: those of a persona, its peak hours shifted.
#[derive(Clone, Debug, PartialEq)]
pub struct Habit {
    /// Whose: an index into the personas.
    pub persona: u8,
    /// By how many hours peak hours lie later than the persona's.
    pub shift: i8,
    /// Its share of the persona's people.
    pub share: f64,
    /// The persona with the shifted hours.
    pub own: PersonaConfig,
}

impl EmailConfig {
    /// The habits that recipients have: of each persona in turn, by the shift of its peak hours.
    pub fn habits(&self) -> Vec<Habit> {
        let shifts = self.people.as_ref().map_or_else(|| vec![(0, 1.0)], PeopleConfig::shifts);
        let of = |(persona, own): (u8, &PersonaConfig)| {
            let of = |(shift, share): &(i8, f64)| Habit { persona, shift: *shift, share: *share, own: own.shifted(*shift) };
            shifts.iter().map(of).collect::<Vec<_>>()
        };
        (0..).zip(self.personas.values()).flat_map(of).collect()
    }
}

/// Who a recipient is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Person {
    /// An index into [`EmailModel::personas`](super::EmailModel::personas).
    pub persona: u8,
    /// When it is at its mail: an index into [`EmailModel::habits`](super::EmailModel::habits).
    pub habit: u16,
    /// P(open | delivered) with all factors neutral, before drift.
    pub open_rate: f64,
    /// P(click | delivered) with all factors neutral, before drift.
    pub click_rate: f64,
    /// How far the time of the week moves the open rate, 0 to 1: the k of [`TimingConfig`](super::TimingConfig) at the person's own rate.
    pub timing_k: f64,
    /// How far the content of variants moves it: standard normal, 0 where that does not differ.
    pub responsiveness: f64,
    /// Where it is; the first zone, where one clock is everybody's.
    pub zone: OwnZone,
}

impl EmailModel {
    /// The people of a habit, by their open rates: as many as there are nodes of their law, each with its share of the persona's people.
    ///
    /// # Panics
    /// There is no such habit.
    pub(super) fn people_of(&self, habit: usize, nodes: usize) -> Vec<(Person, f64)> {
        let Habit { persona, share: of_habit, .. } = self.habits()[habit];
        let Persona { open_rate, click_rate, .. } = self.personas()[usize::from(persona)];
        let rates = self.open_rates_of(persona.into()).map_or_else(|| vec![(open_rate, 1.0)], |[a, b]| beta_nodes(a, b, nodes));
        let person = |(own, share): (f64, f64)| (self.person(habit, own, own * (click_rate / open_rate)), share * of_habit);
        rates.into_iter().map(person).collect()
    }
}

/// How people differ.
#[derive(Clone, Debug)]
pub(super) struct People {
    /// By persona; `None` where its people have its rate.
    open_rates: Box<[Option<Beta>]>,
    ratios: Box<[Option<Beta>]>,
    shift: Tabulated,
}

impl People {
    pub(super) fn new(own: &PeopleConfig, config: &EmailConfig, checker: &mut Checker) -> Option<Self> {
        checker.require(own.peak_shifts.len() % 2 == 1, "people.peak_shifts", || {
            format!("must be an odd number of weights, so that the middle one is that of no shift, got {}", own.peak_shifts.len())
        });
        // Weights of 0 are no places among the habits.
        let weights: Vec<f64> = own.peak_shifts.iter().copied().filter(|weight| *weight != 0.0).collect();
        let shift = checker.take("people.peak_shifts", Tabulated::new(if weights.is_empty() { &own.peak_shifts } else { &weights }));
        let mut betas = |key: &str, concentration: Option<f64>, what: &str, mean: fn(&PersonaConfig) -> f64| {
            let mut of = |(name, persona): (&String, &PersonaConfig)| {
                let (mean, concentration) = (mean(persona), concentration?);
                // Who never or always opens does not differ from others who do so.
                if !(mean > 0.0 && mean < 1.0) {
                    return None;
                }
                let beta = Beta::new(concentration * mean, concentration * (1.0 - mean));
                checker.take(format!("people.{key}"), beta.map_err(|error| format!("with {what} {mean} of {name}, {error}")))
            };
            config.personas.iter().map(&mut of).collect()
        };
        let open_rates = betas("open_concentration", own.open_concentration, "the open rate", |persona| persona.open_rate);
        let ratios = betas("ratio_concentration", own.ratio_concentration, "the clicks of an open", |persona| {
            persona.click_rate / persona.open_rate
        });
        Some(Self { open_rates, ratios, shift: shift? })
    }

    /// The shapes of the law of a persona's open rates, if they differ.
    pub(super) fn open_rates(&self, persona: usize) -> Option<[f64; 2]> {
        self.open_rates[persona].as_ref().map(Beta::shapes)
    }

    /// As [`open_rates`](Self::open_rates), of click rate over open rate.
    pub(super) fn ratios(&self, persona: usize) -> Option<[f64; 2]> {
        self.ratios[persona].as_ref().map(Beta::shapes)
    }

    /// The shift of an actor of any persona: a place among [`PeopleConfig::shifts`].
    pub(super) fn shift_of(&self, actor: &ActorKey) -> usize {
        self.shift.at(actor.purpose(PERSON).ordinal(SHIFT).words().word::<0>())
    }

    /// Open and click rate of an actor of a persona.
    pub(super) fn rates_of(&self, index: usize, persona: &Persona, actor: &ActorKey) -> (f64, f64) {
        let own = |beta: &Option<Beta>, ordinal| beta.as_ref().map(|beta| beta.sample(&mut actor.purpose(PERSON).ordinal(ordinal).draws()));
        let open_rate = own(&self.open_rates[index], OPEN_RATE);
        let ratio = own(&self.ratios[index], RATIO);
        if open_rate.is_none() && ratio.is_none() {
            return (persona.open_rate, persona.click_rate);
        }
        let open_rate = open_rate.unwrap_or(persona.open_rate);
        (open_rate, open_rate * ratio.unwrap_or(persona.click_rate / persona.open_rate))
    }
}
