//! Timing: the open rate by the hour of the week, a persona's own hours and days before others.

use super::super::calendar::{Calendar, HOURS_OF_WEEK};
use super::super::personas::PersonaConfig;
use super::super::world::{Circumstances, above_0};
use super::effect::{About, Effect};
use crate::scenario::Checker;
use crate::section::section;
use crate::time::Instant;
use std::collections::BTreeMap;

pub(super) const ABOUT: About = About {
    name: "timing",
    meaning: "Factor: by the time of the week",
    by_clock: true,
    optional: false,
    clicks: None,
    detects: ("a persona's own hours and days", |path| path.contains(".timing.")),
    constants: &["timing.off_peak", "timing.inactive_day"],
    grouping: None,
    evidence: None,
};

section! {
    /// The timing factor of a persona: 1 + k (A / mean(A) − 1), A = hour term × day term, its mean over scheduled sends exactly 1.
    /// k is the greatest value up to 1 at which open rate × timing × `minute_allowance` is at most `max_probability`.
    pub struct TimingConfig {
        /// The hour term outside peak hours (inside: 1).
        off_peak: f64 [0.0 ..= 1.0],
        /// The day term on other than active days (on those: 1).
        inactive_day: f64 [0.0 ..= 1.0],
        /// Room that is left for the greatest minute factor.
        minute_allowance: f64 [1.0 ..= 10.0],
        /// What open rate, timing and that allowance may reach together, above 0.
        max_probability: f64 [0.0 ..= 1.0],
    }
}

impl TimingConfig {
    /// How far above 1 the factor of an open rate may go.
    fn room(&self, open_rate: f64) -> f64 {
        self.max_probability / (open_rate * self.minute_allowance) - 1.0
    }

    fn check(&self, personas: &BTreeMap<String, PersonaConfig>, checker: &mut Checker) {
        above_0("timing.max_probability", self.max_probability, checker);
        for (name, persona) in personas {
            let open = persona.open_rate;
            if open > 0.0 && open <= 1.0 && !persona.is_flat() && self.room(open) < 0.0 {
                let most = self.max_probability / self.minute_allowance;
                checker.problem(
                    format!("personas.{name}.open_rate"),
                    format!("allows no timing factor: must be at most {most:.4} for a persona with hours or days of its own, got {open}"),
                    "lower it, raise timing.max_probability, or give the persona no peak hours and all seven days",
                );
            }
        }
    }
}

/// The factor by persona and hour of the week.
#[derive(Clone, Debug)]
pub(in super::super) struct Timing {
    hours: Box<[[f64; HOURS_OF_WEEK]]>,
}

impl Timing {
    pub(super) fn new(
        config: &TimingConfig,
        personas: &BTreeMap<String, PersonaConfig>,
        calendar: &Calendar,
        checker: &mut Checker,
    ) -> Self {
        config.check(personas, checker);
        Self { hours: personas.values().map(|persona| hours(config, persona, calendar)).collect() }
    }
}

/// The factor by the hour of the week; its mean over a uniform week × the weights of the hours is 1.
fn hours(config: &TimingConfig, persona: &PersonaConfig, calendar: &Calendar) -> [f64; HOURS_OF_WEEK] {
    let shape = persona.shape(config.off_peak, config.inactive_day);
    let weight = |hour: usize| calendar.weight(hour % 24);
    let mean = (0..HOURS_OF_WEEK).map(|hour| weight(hour) * shape[hour]).sum::<f64>() / (0..HOURS_OF_WEEK).map(weight).sum::<f64>();
    let excess = shape.iter().fold(0.0, |most: f64, value| most.max(*value)) / mean - 1.0;
    let k = if excess > 1e-12 { (config.room(persona.open_rate) / excess).clamp(0.0, 1.0) } else { 0.0 };
    shape.map(|value| 1.0 + k * (value / mean - 1.0))
}

impl Timing {
    /// The factor of a persona at a moment of its clock.
    #[inline]
    pub(super) fn at(&self, persona: usize, clock: Instant) -> f64 {
        self.hours[persona][(clock.minute_of_week() as u32 / 60) as usize]
    }
}

impl Effect for Timing {
    #[inline]
    fn factor(&self, at: &Circumstances) -> f64 {
        self.at(usize::from(at.persona), at.clock)
    }
}
