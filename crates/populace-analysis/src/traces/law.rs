//! What the scenario says about a session, worked out from the document anew, apart from the simulation.

use populace_core::dist::LogNormal;
use populace_core::traces::{ResponseTimesConfig, TracesConfig, TracesModel};
use statrs::distribution::{Continuous, ContinuousCDF, Normal};
use statrs::statistics::Distribution;
use std::collections::BTreeMap;

/// Steps of Simpson's rule.
const STEPS: usize = 96;
/// Beyond so many standard deviations the density of a normal is negligible.
const DEVIATIONS: f64 = 9.0;
/// Deviations of a normal beyond which there is nothing.
const REACH: f64 = 8.0;

/// The laws of a document. States are endpoints by the number that the model gives them.
pub struct Law<'a> {
    model: &'a TracesModel,
    entries: Vec<f64>,
    /// By state, then by state: P(next | from).
    transitions: Vec<BTreeMap<usize, f64>>,
    exits: Vec<bool>,
    /// The mean response time before truncation, milliseconds.
    means_ms: Vec<f64>,
    /// Response times of calls that no fault struck.
    responses: Vec<Response>,
    /// Of GET responses and of others.
    sizes: [LogNormal; 2],
}

impl<'a> Law<'a> {
    /// The laws of a model's document.
    ///
    /// # Panics
    /// Never: the document is checked.
    pub fn new(model: &'a TracesModel) -> Self {
        let (config, names) = (model.config(), model.chain().names());
        let workflow = &config.workflow;
        let places: BTreeMap<&String, usize> = names.iter().enumerate().map(|(place, name)| (name, place)).collect();
        // Rows may miss 1 by what the document's check tolerates; the law is their proportions.
        let scaled = |row: &BTreeMap<String, f64>| {
            let total: f64 = row.values().sum();
            row.iter().filter(|(_, p)| **p > 0.0).map(|(name, p)| (places[name], p / total)).collect::<BTreeMap<usize, f64>>()
        };
        let mut entries = vec![0.0; names.len()];
        for (state, probability) in scaled(&workflow.entry_points) {
            entries[state] = probability;
        }
        let exits: Vec<bool> = names.iter().map(|name| workflow.exit_points.contains(name)).collect();
        let row = |(state, name): (usize, &String)| match workflow.transitions.get(name) {
            // What follows an exit point that always ends a session never happens.
            Some(row) if !exits[state] || workflow.exit_probability < 1.0 => scaled(row),
            _ => BTreeMap::new(),
        };
        let transitions = names.iter().enumerate().map(row).collect();
        let mean = |name: &String| workflow.avg_response_times.get(name).copied().unwrap_or(config.response_times.default_mean_ms);
        let sizes = &config.response_sizes;
        let sizes = [sizes.get_median_bytes, sizes.other_median_bytes]
            .map(|median| LogNormal::new(median, sizes.sigma).expect("the sizes of a checked document have a distribution"));
        let means_ms: Vec<f64> = names.iter().map(mean).collect();
        let responses = means_ms.iter().map(|mean| Response::new(*mean, &config.response_times)).collect();
        Self { model, entries, transitions, exits, means_ms, responses, sizes }
    }

    /// The document.
    pub fn config(&self) -> &TracesConfig {
        self.model.config()
    }

    /// The model.
    pub fn model(&self) -> &TracesModel {
        self.model
    }

    /// The endpoints, by state.
    pub fn names(&self) -> &[String] {
        self.model.chain().names()
    }

    /// P(a session starts here), by state.
    pub fn entries(&self) -> &[f64] {
        &self.entries
    }

    /// P(next | at a state and the session goes on), by the state left: the transitions that can happen.
    pub fn transitions(&self) -> &[BTreeMap<usize, f64>] {
        &self.transitions
    }

    /// Whether a state is an exit point.
    pub fn is_exit(&self, state: usize) -> bool {
        self.exits[state]
    }

    /// The distribution of sizes.
    pub(crate) fn sizes(&self, of_get: bool) -> &LogNormal {
        &self.sizes[usize::from(!of_get)]
    }

    /// The mean response time of an endpoint before truncation, milliseconds.
    pub(crate) fn mean_ms(&self, state: usize) -> f64 {
        self.means_ms[state]
    }

    /// P(delay to the next call ≤ `seconds`).
    pub(crate) fn gap_cdf(&self, seconds: f64) -> f64 {
        let law = &self.config().delays;
        let uniform = |[low, high]: [f64; 2]| {
            if high > low { ((seconds - low) / (high - low)).clamp(0.0, 1.0) } else { f64::from(u8::from(seconds > low)) }
        };
        (1.0 - law.thinking) * uniform(law.usual_seconds) + law.thinking * uniform(law.thinking_seconds)
    }

    /// The response time of a call that no fault struck.
    pub fn response(&self, state: usize) -> &Response {
        &self.responses[state]
    }

    /// P(response time ≤ `ms`) of a call that no fault struck.
    pub fn response_cdf(&self, state: usize, ms: f64) -> f64 {
        // Without a deviation, a step just above the mean.
        if self.config().response_times.relative_sd > 0.0 {
            self.response(state).cdf(ms)
        } else {
            f64::from(u8::from(ms > self.means_ms[state]))
        }
    }

    /// P(response time ≤ `ms`) of a call that a cascade slowed down: the response time × a uniform factor.
    pub fn slow_response_cdf(&self, state: usize, ms: f64) -> f64 {
        let [low, high, below] = self.factors(state, ms);
        below + (1.0 - below - self.beyond(high)) * mean_over(low, high, |factor| self.response_cdf(state, ms / factor))
    }

    /// The factors by which a slow call may have come to take so long, and the share of those that are too small for it. Only of response
    /// times of little spread are they less than all: within so many deviations, where the steps resolve the normal.
    fn factors(&self, state: usize, ms: f64) -> [f64; 3] {
        let [low, high] = self.config().cascade.slow_factor;
        let spread = REACH * self.config().response_times.relative_sd.max(1e-9);
        if spread >= 1.0 || high <= low {
            return [low, high, 0.0];
        }
        let usual = ms / self.means_ms[state];
        let [from, to] = [usual / (1.0 + spread), usual / (1.0 - spread)].map(|factor| factor.clamp(low, high));
        [from, to, (from - low) / (high - low)]
    }

    /// The share of factors that are greater.
    fn beyond(&self, factor: f64) -> f64 {
        let [low, high] = self.config().cascade.slow_factor;
        if high > low { (high - factor) / (high - low) } else { 0.0 }
    }
}

/// A response time in ms: a normal, truncated below.
#[derive(Clone, Copy, Debug)]
pub struct Response {
    normal: Normal,
    /// The share that truncation keeps.
    kept: f64,
    minimum: f64,
}

impl Response {
    fn new(mean: f64, times: &ResponseTimesConfig) -> Self {
        // A deviation of 0 is a step, as steep as doubles resolve.
        let normal = Normal::new(mean, mean * times.relative_sd.max(1e-9)).expect("means of a checked document are positive");
        Self { normal, kept: normal.sf(times.minimum_ms), minimum: times.minimum_ms }
    }

    /// P(response time ≤ `ms`).
    pub fn cdf(&self, ms: f64) -> f64 {
        if ms <= self.minimum { 0.0 } else { 1.0 - self.normal.sf(ms) / self.kept }
    }

    /// The density per ms.
    pub fn density(&self, ms: f64) -> f64 {
        if ms < self.minimum { 0.0 } else { self.normal.pdf(ms) / self.kept }
    }

    /// The part of an interval where the density is not negligible.
    pub(super) fn within(&self, from: f64, to: f64) -> [f64; 2] {
        let moment = "a normal has a mean and a deviation";
        let (mean, sd) = (self.normal.mean().expect(moment), self.normal.std_dev().expect(moment));
        // A normal that is truncated far above its mean has its mass within a deviation of the minimum.
        let top = mean.max(self.minimum) + DEVIATIONS * sd;
        [from.max(self.minimum).max(mean - DEVIATIONS * sd), to.min(top)]
    }
}

/// The mean of `value` from `low` to `high`, by Simpson's rule.
pub(super) fn mean_over(low: f64, high: f64, value: impl Fn(f64) -> f64) -> f64 {
    let weight = |step: usize| if step == 0 || step == STEPS { 1.0 } else { 2.0 + 2.0 * (step % 2) as f64 };
    let at = |step: usize| low + (high - low) * step as f64 / STEPS as f64;
    (0..=STEPS).map(|step| weight(step) * value(at(step))).sum::<f64>() / (3 * STEPS) as f64
}
