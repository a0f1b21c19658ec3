//! Clicks of some opens against those that each persona's rate among others lets expect.

use crate::recover::loglinear::Count;

/// Summed over personas.
#[derive(Default)]
pub(super) struct Ratio {
    pub(super) hits: f64,
    pub(super) expected: f64,
    variance: f64,
    truth: [f64; 2],
    /// Opens.
    pub(super) n: u64,
}

impl Ratio {
    /// Adds a persona: its clicks here and among the others, and P(click | open) in both in truth. Without a click among the others nothing
    /// is known of it.
    pub(super) fn add(&mut self, [here, plain]: [Count; 2], truth: [f64; 2]) {
        if plain.successes == 0 {
            return;
        }
        let (trials, successes) = (here.trials as f64, plain.successes as f64);
        let rate = successes / plain.trials as f64;
        self.hits += here.successes as f64;
        self.expected += trials * rate;
        self.variance += (trials * rate).powi(2) * (1.0 - rate) / successes;
        for (sum, p) in self.truth.iter_mut().zip(truth) {
            *sum += trials * p.min(1.0);
        }
        self.n += here.trials;
    }

    /// Whether a ratio can be estimated.
    pub(super) fn is_known(&self) -> bool {
        self.hits != 0.0 && self.expected != 0.0
    }

    /// Clicks over those expected.
    pub(super) fn found(&self) -> f64 {
        self.hits / self.expected
    }

    /// The same in truth.
    pub(super) fn truth(&self) -> f64 {
        self.truth[0] / self.truth[1]
    }

    /// The relative variance of what is expected.
    pub(super) fn variance(&self) -> f64 {
        self.variance / (self.expected * self.expected)
    }
}
