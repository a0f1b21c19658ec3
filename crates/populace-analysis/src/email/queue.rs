//! How long a message of a blast takes: its latency and the time in the queue together.

use populace_core::email::laws::Cell;
use populace_core::email::{Blast, EmailModel};

/// Steps of the table.
const STEPS: usize = 4_096;
/// What lies beyond the table.
const BEYOND: f64 = 1e-7;

/// P(latency + U(0, T) ≤ s) = (G(s) − G(s − T)) / T, with G the integral of the latency's distribution function, as a table.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    seconds: f64,
    step: f64,
    integral: Vec<f64>,
}

impl Queue {
    /// Of a blast whose messages are sent in a cell.
    pub(super) fn new(model: &EmailModel, blast: &Blast, cell: Cell) -> Self {
        let mut end = 1.0;
        while end < 86_400.0 && model.latency_cdf(cell, end) < 1.0 - BEYOND {
            end *= 2.0;
        }
        let step = (end + blast.seconds) / STEPS as f64;
        let mut integral = vec![0.0];
        let mut before = model.latency_cdf(cell, 0.0);
        for place in 1..=STEPS {
            // Within a step the function is taken at its middle too: Simpson's rule.
            let [middle, after] = [place as f64 - 0.5, place as f64].map(|at| model.latency_cdf(cell, at * step));
            integral.push(integral[place - 1] + step * (before + 4.0 * middle + after) / 6.0);
            before = after;
        }
        Self { seconds: blast.seconds, step, integral }
    }

    /// The mean latency without the queue, seconds.
    pub(super) fn mean_of_rest(&self) -> f64 {
        let last = self.integral.len() - 1;
        last as f64 * self.step - self.integral[last]
    }

    /// P(delivered within so many seconds of sending).
    pub(super) fn cdf(&self, seconds: f64) -> f64 {
        let width = self.seconds.max(self.step);
        ((self.integral(seconds) - self.integral(seconds - width)) / width).clamp(0.0, 1.0)
    }

    fn integral(&self, seconds: f64) -> f64 {
        let place = (seconds / self.step).max(0.0);
        let last = self.integral.len() - 1;
        if place >= last as f64 {
            // Beyond the table everything has arrived.
            return self.integral[last] + (place - last as f64) * self.step;
        }
        let below = place as usize;
        self.integral[below] + (self.integral[below + 1] - self.integral[below]) * (place - below as f64)
    }
}
