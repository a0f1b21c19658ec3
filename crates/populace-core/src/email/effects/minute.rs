//! Minutes: the open rate by the minute of the hour.

use super::super::calendar::check_each_once;
use super::super::personas::PersonaConfig;
use super::super::world::Circumstances;
use super::effect::{About, Effect, Grouping, Level};
use crate::scenario::Checker;
use crate::section::section;
use std::collections::BTreeMap;

pub(super) const ABOUT: About = About {
    name: "minute",
    meaning: "Factor: by the minute of the hour",
    by_clock: true,
    optional: false,
    clicks: None,
    detects: ("peak and slow minutes of the hour", |path| path.starts_with("minute.")),
    constants: &["minute.peak_factor", "minute.slow_factor"],
    grouping: Some(Grouping {
        opens: "opens by minute of the hour",
        clicks: "clicks of opens by minute of the hour",
        label: |_, at| format!("minute {}", at.clock.minute()),
    }),
    evidence: None,
};

/// States: sums of what a minute is.
const PEAK: u16 = 1;
const SLOW: u16 = 2;

section! {
    /// Factors of the open rate by the minute of the hour; 1 in every other minute. A minute in both lists takes both factors.
    pub struct MinuteConfig {
        /// Minutes in which people look; a persona may have its own.
        peak_minutes: Vec<u8> [each 0 ..= 59],
        /// Their factor.
        peak_factor: f64 [0.0 ..= 10.0],
        /// Minutes in which inboxes are full.
        slow_minutes: Vec<u8> [each 0 ..= 59],
        /// Their factor.
        slow_factor: f64 [0.0 ..= 10.0],
    }
}

/// The factor by persona and minute of the hour.
#[derive(Clone, Debug)]
pub(in super::super) struct Minute {
    minutes: Box<[[f64; 60]]>,
    states: Box<[[u16; 60]]>,
    levels: [(&'static str, f64); 2],
}

impl Minute {
    pub(super) fn new(config: &MinuteConfig, personas: &BTreeMap<String, PersonaConfig>, checker: &mut Checker) -> Self {
        check_each_once(checker, "minute.peak_minutes", &config.peak_minutes);
        check_each_once(checker, "minute.slow_minutes", &config.slow_minutes);
        let states = |persona: &PersonaConfig| {
            let peaks = persona.peak_minutes.as_ref().unwrap_or(&config.peak_minutes);
            let is_in = |minutes: &[u8], minute: usize| u16::from(minutes.contains(&(minute as u8)));
            core::array::from_fn(|minute| PEAK * is_in(peaks, minute) + SLOW * is_in(&config.slow_minutes, minute))
        };
        let states: Box<[[u16; 60]]> = personas.values().map(states).collect();
        let factor = |state: &u16| {
            (if state & PEAK > 0 { config.peak_factor } else { 1.0 }) * (if state & SLOW > 0 { config.slow_factor } else { 1.0 })
        };
        let minutes = states.iter().map(|states| states.each_ref().map(factor)).collect();
        let levels = [("minute.peak_factor", config.peak_factor), ("minute.slow_factor", config.slow_factor)];
        Self { minutes, states, levels }
    }
}

impl Effect for Minute {
    #[inline]
    fn factor(&self, at: &Circumstances) -> f64 {
        self.minutes[usize::from(at.person.persona)][(at.clock.minute_of_week() as u32 % 60) as usize]
    }

    fn state(&self, at: &Circumstances) -> u16 {
        self.states[usize::from(at.person.persona)][usize::from(at.clock.minute())]
    }

    fn levels(&self) -> Vec<Level> {
        self.levels.iter().map(|&(path, truth)| Level { path: path.to_owned(), truth: Some(truth) }).collect()
    }

    fn applies(&self, level: usize, state: u16) -> bool {
        state & [PEAK, SLOW][level] > 0
    }
}
