//! What must hold, without drawing: the law of latencies in closed form and the expected volumes by integration.

use super::config::LatencyConfig;
use super::model::{Congestion, EmailModel, Latency};
use crate::dist::UniformF64;
use crate::math;
use crate::time::Instant;

pub use super::volumes::{Expectation, Volumes};

/// What congestion a message meets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// Sent at the top of an hour.
    pub top: bool,
    /// Sent while batches go out.
    pub batch: bool,
    /// Sent on a quiet day.
    pub weekend: bool,
}

impl EmailModel {
    /// The cell of a message by the moment of its sending.
    pub fn latency_cell(&self, sent: Instant) -> Cell {
        match &self.latency {
            Latency::Uniform(_) => Cell::default(),
            Latency::Lognormal(law) => {
                let local = law.timezone.local(sent);
                Cell {
                    top: law.top_minutes[usize::from(local.minute())],
                    batch: law.batch_hours[usize::from(local.hour())],
                    weekend: law.days[usize::from(local.weekday())] != 1.0,
                }
            }
        }
    }

    /// P(latency ≤ `seconds`) in a cell.
    pub fn latency_cdf(&self, cell: Cell, seconds: f64) -> f64 {
        match &self.latency {
            Latency::Uniform(_) => {
                let LatencyConfig::Uniform(law) = &self.config().latency else { return 0.0 };
                let (low, high) = (f64::from(law.low_seconds), f64::from(law.high_seconds));
                ((seconds.floor() - low + 1.0) / (high - low + 1.0)).clamp(0.0, 1.0)
            }
            Latency::Lognormal(law) => {
                let one = [1.0, 1.0];
                let weekend = law.days.iter().copied().find(|factor| *factor != 1.0).filter(|_| cell.weekend).unwrap_or(1.0);
                let top = if cell.top { bounds(&law.top) } else { one };
                let batch = if cell.batch { bounds(&law.batch) } else { one };
                congested_cdf(law, seconds / weekend, top, batch)
            }
        }
    }
}

/// The ends of a uniform law.
fn bounds(law: &UniformF64) -> [f64; 2] {
    [law.at(0), 2.0 * law.mean() - law.at(0)]
}

/// P(base · u · v ≤ `seconds`), u and v uniform on their ranges, by integrating Φ by parts over each. With A = ln(seconds/median),
/// z = (A − ln uv)/σ, y = z + σ and K = exp(A + σ²/2), an antiderivative over u alone is u Φ(z) − K Φ(y)/v, and over both
/// u v Φ(z) + K (σ (y Φ(y) + φ(y)) − Φ(y)).
fn congested_cdf(law: &Congestion, seconds: f64, u: [f64; 2], v: [f64; 2]) -> f64 {
    if seconds <= 0.0 {
        return 0.0;
    }
    // A sigma of 0 is a step, as steep as doubles resolve.
    let sigma = law.sigma.max(1e-6);
    let a = math::ln(seconds / law.median_seconds);
    let k = math::exp(a + 0.5 * sigma * sigma);
    let z = |product: f64| (a - math::ln(product)) / sigma;
    let single = |x: f64, other: f64| x * math::normal_cdf(z(x * other)) - k / other * math::normal_cdf(z(x * other) + sigma);
    let double = |u: f64, v: f64| {
        let z = z(u * v);
        let y = z + sigma;
        let density = math::exp(-0.5 * y * y) / (2.0 * core::f64::consts::PI).sqrt();
        u * v * math::normal_cdf(z) + k * (sigma * (y * math::normal_cdf(y) + density) - math::normal_cdf(y))
    };
    let [u_width, v_width] = [u[1] - u[0], v[1] - v[0]];
    match (u_width > 0.0, v_width > 0.0) {
        (false, false) => math::normal_cdf(z(u[0] * v[0])),
        (true, false) => (single(u[1], v[0]) - single(u[0], v[0])) / u_width,
        (false, true) => (single(v[1], u[0]) - single(v[0], u[0])) / v_width,
        (true, true) => (double(u[1], v[1]) - double(u[0], v[1]) - double(u[1], v[0]) + double(u[0], v[0])) / (u_width * v_width),
    }
}
