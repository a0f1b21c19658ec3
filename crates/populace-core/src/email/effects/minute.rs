//! Minutes: the open rate by the minute of the hour.

use super::super::calendar::check_each_once;
use super::super::personas::PersonaConfig;
use super::super::world::Circumstances;
use super::effect::{About, Effect, Grouping, Level};
use crate::scenario::Checker;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub(super) const ABOUT: About = About {
    name: "minute",
    meaning: "Factor: by the minute of the hour",
    by_clock: true,
    detects: ("peak and slow minutes of the hour", |path| path.starts_with("minute.")),
    constants: &["minute.peak_factor", "minute.slow_factor"],
    grouping: Some(Grouping {
        opens: "opens by minute of the hour",
        clicks: "clicks of opens by minute of the hour",
        label: |at| format!("minute {}", at.clock.minute()),
    }),
    evidence: None,
};

/// States: sums of what a minute is.
const PEAK: u8 = 1;
const SLOW: u8 = 2;

/// Factors of the open rate by the minute of the hour; 1 in every other minute. A minute in both lists takes both factors.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MinuteConfig {
    /// Minutes in which people look, 0 to 59; a persona may have its own.
    #[cfg_attr(feature = "schema", schemars(inner(range(min = 0, max = 59))))]
    pub peak_minutes: Vec<u8>,
    /// Their factor, 0 to 10.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 10.0)))]
    pub peak_factor: f64,
    /// Minutes in which inboxes are full, 0 to 59.
    #[cfg_attr(feature = "schema", schemars(inner(range(min = 0, max = 59))))]
    pub slow_minutes: Vec<u8>,
    /// Their factor, 0 to 10.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 10.0)))]
    pub slow_factor: f64,
}

/// The factor by persona and minute of the hour.
#[derive(Clone, Debug)]
pub(in super::super) struct Minute {
    minutes: Box<[[f64; 60]]>,
    states: Box<[[u8; 60]]>,
    levels: [(&'static str, f64); 2],
}

impl Minute {
    pub(super) fn new(config: &MinuteConfig, personas: &BTreeMap<String, PersonaConfig>, checker: &mut Checker) -> Option<Self> {
        check_each_once(checker, "minute.peak_minutes", "minute", &config.peak_minutes, 59);
        check_each_once(checker, "minute.slow_minutes", "minute", &config.slow_minutes, 59);
        checker.range("minute.peak_factor", config.peak_factor, 0.0, 10.0);
        checker.range("minute.slow_factor", config.slow_factor, 0.0, 10.0);
        let states = |persona: &PersonaConfig| {
            let peaks = persona.peak_minutes.as_ref().unwrap_or(&config.peak_minutes);
            let is_in = |minutes: &[u8], minute: usize| u8::from(minutes.contains(&(minute as u8)));
            core::array::from_fn(|minute| PEAK * is_in(peaks, minute) + SLOW * is_in(&config.slow_minutes, minute))
        };
        let states: Box<[[u8; 60]]> = personas.values().map(states).collect();
        let factor = |state: &u8| {
            (if state & PEAK > 0 { config.peak_factor } else { 1.0 }) * (if state & SLOW > 0 { config.slow_factor } else { 1.0 })
        };
        let minutes = states.iter().map(|states| states.each_ref().map(factor)).collect();
        let levels = [("minute.peak_factor", config.peak_factor), ("minute.slow_factor", config.slow_factor)];
        checker.is_clean().then_some(Self { minutes, states, levels })
    }
}

impl Effect for Minute {
    #[inline]
    fn factor(&self, at: &Circumstances) -> f64 {
        self.minutes[usize::from(at.persona)][(at.clock.minute_of_week() as u32 % 60) as usize]
    }

    fn state(&self, at: &Circumstances) -> u8 {
        self.states[usize::from(at.persona)][usize::from(at.clock.minute())]
    }

    fn levels(&self) -> Vec<Level> {
        self.levels.iter().map(|&(path, truth)| Level { path: path.to_owned(), truth: Some(truth) }).collect()
    }

    fn applies(&self, level: usize, state: u8) -> bool {
        state & [PEAK, SLOW][level] > 0
    }
}
