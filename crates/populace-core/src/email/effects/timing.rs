//! Timing: the open rate by the hour of the week, a persona's own hours and days before others.

use super::super::calendar::{Calendar, HOURS_OF_WEEK};
use super::super::people::{Habit, Person};
use super::super::personas::PersonaConfig;
use super::super::world::{Circumstances, above_0};
use super::super::zones::{SendClock, Zones};
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
    /// The timing factor: 1 + k (A / mean(A) − 1), A = hour term × day term, its mean over scheduled sends exactly 1.
    /// k is the greatest value from 0 to 1 at which open rate × timing × `minute_allowance` is at most `max_probability`; where people
    /// differ, it is that of a recipient's own open rate.
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

/// The factor by habit and hour of the week, as far as it does not depend on a person's own rate.
#[derive(Clone, Debug)]
pub(in super::super) struct Timing {
    config: TimingConfig,
    /// A / mean(A) − 1, by habit; where sends are by UTC, of all habits for each of `offsets` in turn, as the mean is another.
    hours: Box<[[f64; HOURS_OF_WEEK]]>,
    /// The greatest of those, by habit.
    excess: Box<[f64]>,
    /// Minutes that clocks may be ahead of UTC, in order, where sends are by that; empty where they are by the recipients' clock.
    offsets: Box<[i16]>,
}

impl Timing {
    pub(super) fn new(
        config: &TimingConfig,
        personas: &BTreeMap<String, PersonaConfig>,
        habits: &[Habit],
        calendar: &Calendar,
        zones: Option<&Zones>,
        checker: &mut Checker,
    ) -> Self {
        config.check(personas, checker);
        let offsets = zones.filter(|zones| zones.clock == SendClock::Utc).map_or_else(Vec::new, Zones::all_offsets);
        let of = |ahead: i16| habits.iter().map(move |habit| hours(config, &habit.own, calendar, ahead));
        let all: Vec<_> = if offsets.is_empty() { of(0).collect() } else { offsets.iter().flat_map(|ahead| of(*ahead)).collect() };
        let excess = |habit: usize| all.iter().skip(habit).step_by(habits.len()).fold(0.0, |most: f64, (_, excess)| most.max(*excess));
        Self {
            config: config.clone(),
            excess: (0..habits.len()).map(excess).collect(),
            hours: all.iter().map(|(hours, _)| *hours).collect(),
            offsets: offsets.into(),
        }
    }
}

/// A / mean(A) − 1 by the hour of the week, whose mean over a uniform week × the weights of the hours is 0, and the greatest of them; the
/// weights are those of a clock that A's is so many minutes ahead of.
fn hours(config: &TimingConfig, persona: &PersonaConfig, calendar: &Calendar, ahead: i16) -> ([f64; HOURS_OF_WEEK], f64) {
    let shape = persona.shape(config.off_peak, config.inactive_day);
    let weight = |hour: usize| calendar.weight(hour % 24);
    // An hour of the one clock lies in two of the other where they differ by a broken number.
    let (before, within) = (i32::from(ahead).div_euclid(60), f64::from(i32::from(ahead).rem_euclid(60)) / 60.0);
    let met = |hour: usize| {
        let at = |later: i32| shape[(hour as i32 + before + later).rem_euclid(HOURS_OF_WEEK as i32) as usize];
        if within > 0.0 { (1.0 - within) * at(0) + within * at(1) } else { at(0) }
    };
    let mean = (0..HOURS_OF_WEEK).map(|hour| weight(hour) * met(hour)).sum::<f64>() / (0..HOURS_OF_WEEK).map(weight).sum::<f64>();
    let excess = shape.iter().fold(0.0, |most: f64, value| most.max(*value)) / mean - 1.0;
    (shape.map(|value| value / mean - 1.0), excess)
}

impl Timing {
    /// k of a person with a habit and an open rate.
    pub(in super::super) fn k(&self, habit: usize, open_rate: f64) -> f64 {
        let excess = self.excess[habit];
        if excess > 1e-12 { (self.config.room(open_rate) / excess).clamp(0.0, 1.0) } else { 0.0 }
    }

    /// The open rates between 0 and 1 at which k leaves 1, and at which it reaches 0; none where the time of the week is nothing to a habit.
    pub(in super::super) fn bends(&self, habit: usize) -> Vec<f64> {
        let (excess, last) = (self.excess[habit], self.config.max_probability / self.config.minute_allowance);
        let bends = [last / (1.0 + excess), last];
        bends.into_iter().filter(|rate| excess > 1e-12 && *rate > 0.0 && *rate < 1.0).collect()
    }

    /// The factor of a person at a moment of its clock, which is so many minutes ahead of UTC.
    #[inline]
    pub(super) fn at(&self, person: &Person, clock: Instant, ahead: i16) -> f64 {
        let mut place = usize::from(person.habit);
        if !self.offsets.is_empty() {
            // Of an offset that no zone has, that of the next.
            let offset = self.offsets.binary_search(&ahead).unwrap_or_else(|next| next.min(self.offsets.len() - 1));
            place += offset * self.excess.len();
        }
        1.0 + person.timing_k * self.hours[place][(clock.minute_of_week() as u32 / 60) as usize]
    }
}

impl Effect for Timing {
    #[inline]
    fn factor(&self, at: &Circumstances) -> f64 {
        self.at(&at.person, at.clock, at.ahead)
    }
}
