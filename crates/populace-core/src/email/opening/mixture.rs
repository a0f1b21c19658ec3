//! Which of some distributions the time to an open has: one, or a mixture whose tail is heavy.

use super::super::calendar::HOURS_OF_WEEK;
use super::super::config::EmailConfig;
use super::super::people::Habit;
use super::attention::{Attention, OpenDelayLaw, OpenDelays};
use super::delays::DelaysConfig;
use crate::dist::Categorical;
use crate::scenario::Checker;
use crate::section::section;
use crate::time::Instant;

section! {
    /// The time from delivery to open where `open_delay` is `mixture`: of one of several truncated exponentials on
    /// [`open_delays.min_minutes`, `max_minutes`], each × attention. `open_delays` gives the least delay alone.
    pub struct OpenMixtureConfig {
        /// The greatest delay, minutes; at least an hour above `open_delays.min_minutes`.
        max_minutes: f64 [0.0 ..= 43_200.0],
        /// The distributions that mix.
        components: Vec<OpenComponentConfig> [len 1 ..= 16],
    }

    /// One of the distributions that mix.
    pub struct OpenComponentConfig {
        /// How many opens are of it, over the sum of the weights.
        weight: f64 [0.0 ..],
        /// Mean beyond the least delay, before truncation, minutes.
        mean_minutes: f64 [1.0 ..= 43_200.0],
    }
}

/// A quarter of an hour, four hours, a day and a week, up to 30 days: without attention .24 open within an hour, .56 within 6 hours, .79
/// within a day, .87 within two and .96 within a week.
impl Default for OpenMixtureConfig {
    fn default() -> Self {
        let components = [(0.13, 15.0), (0.46, 240.0), (0.30, 1_440.0), (0.11, 10_080.0)];
        let component = |(weight, mean_minutes)| OpenComponentConfig { weight, mean_minutes };
        Self { max_minutes: 43_200.0, components: components.map(component).into() }
    }
}

impl EmailConfig {
    /// The distributions of which an open's time is one, before attention, and how likely each is.
    pub fn open_components(&self) -> Vec<(f64, DelaysConfig)> {
        if self.open_delay != OpenDelayLaw::Mixture {
            return vec![(1.0, self.open_delays.clone())];
        }
        let OpenMixtureConfig { max_minutes, components } = self.open_mixture.clone().unwrap_or_default();
        let total: f64 = components.iter().map(|component| component.weight).sum();
        let of = |OpenComponentConfig { weight, mean_minutes }| {
            (weight / total, DelaysConfig { min_minutes: self.open_delays.min_minutes, mean_minutes, max_minutes })
        };
        components.into_iter().map(of).collect()
    }

    /// The longest time from delivery to open, minutes.
    pub fn longest_open_delay(&self) -> f64 {
        match (self.open_delay, &self.open_mixture) {
            (OpenDelayLaw::Mixture, Some(own)) => own.max_minutes,
            (OpenDelayLaw::Mixture, None) => OpenMixtureConfig::default().max_minutes,
            _ => self.open_delays.max_minutes,
        }
    }
}

/// When an open falls.
#[derive(Clone, Debug)]
pub(in super::super) struct Opening {
    components: Box<[Component]>,
    /// Which of them; `None` where there is no mixture.
    choice: Option<Categorical>,
}

#[derive(Clone, Debug)]
struct Component {
    weight: f64,
    delays: OpenDelays,
    /// By habit.
    attention: Box<[Attention]>,
}

impl Opening {
    /// Of a document whose ranges are sound; `None` where it is not.
    pub(in super::super) fn new(config: &EmailConfig, habits: &[Habit], checker: &mut Checker) -> Option<Self> {
        config.open_delays.check("open_delays", 60.0, checker);
        let mut choice = None;
        if config.open_delay == OpenDelayLaw::Mixture {
            let mixture = config.open_mixture.clone().unwrap_or_default();
            let least = config.open_delays.min_minutes + 60.0;
            checker.require(mixture.max_minutes >= least, "open_mixture.max_minutes", || {
                format!("must be at least {least}: `open_delays.min_minutes` and 60 more, got {}", mixture.max_minutes)
            });
            let weights: Vec<f64> = mixture.components.iter().map(|component| component.weight).collect();
            choice = Some(checker.take("open_mixture.components", Categorical::new(&weights))?);
        } else if config.open_mixture.is_some() {
            checker.problem("open_mixture", "is there, and `open_delay` is not `mixture`", "set open_delay: mixture, or leave it out");
        }
        if !checker.is_clean() {
            return None;
        }
        let component = |(weight, delays): (f64, DelaysConfig)| {
            let delays = OpenDelays::new(&delays);
            let attention = |hours: [f64; HOURS_OF_WEEK]| Attention::new(&hours, &delays);
            let of = habits.iter().map(|habit| attention(config.attention.of(config.open_delay, &habit.own)));
            Component { weight, attention: of.collect(), delays }
        };
        Some(Self { components: config.open_components().into_iter().map(component).collect(), choice })
    }

    /// Which component an open is of, by a word; `None` where there is no mixture.
    #[inline]
    pub(in super::super) fn component(&self, word: impl FnOnce() -> u64) -> Option<u8> {
        self.choice.as_ref().map(|choice| choice.pick(word()) as u8)
    }

    /// The delay of a component at which a share `unit` of its mass lies behind, minutes, of a message that somebody with a habit got at
    /// `delivered` on the local clock.
    #[inline]
    pub(in super::super) fn at(&self, component: Option<u8>, habit: usize, delivered: Instant, unit: f64) -> f64 {
        let component = &self.components[usize::from(component.unwrap_or(0))];
        component.delays.at(&component.attention[habit], delivered, unit)
    }

    /// P(delay ≤ `minutes`).
    pub(in super::super) fn cdf(&self, habit: usize, delivered: Instant, minutes: f64) -> f64 {
        let of = |component: &Component| component.weight * component.delays.cdf(&component.attention[habit], delivered, minutes);
        self.components.iter().map(of).sum()
    }

    /// The middles of so many equal shares of each component, minutes, with their probabilities.
    pub(in super::super) fn nodes(&self, habit: usize, delivered: Instant, shares: usize) -> Vec<(f64, f64)> {
        let of = |component: &Component, node: usize| {
            let delay = component.delays.at(&component.attention[habit], delivered, (node as f64 + 0.5) / shares as f64);
            (delay, component.weight / shares as f64)
        };
        self.components.iter().flat_map(|component| (0..shares).map(move |node| of(component, node))).collect()
    }
}
