//! What the scenario says about users whose engagement is not known.

use populace_core::churn::ChurnConfig;

/// Steps over the logit of engagement.
const STEPS: i32 = 320;
/// What is this far below the density's peak, as a logarithm, is left out: a mass below 1e-13.
const DEPTH: f64 = 34.0;

/// A value as it is written, in hundredths.
pub(crate) fn hundredths(value: f64) -> f64 {
    (value * 100.0 + 0.5).floor() / 100.0
}

/// Engagement in quadrature: values whose weighted sums are means over its Beta law.
#[derive(Clone, Debug)]
pub struct Engagement {
    /// The values.
    pub values: Vec<f64>,
    /// Their weights, which sum to 1.
    pub weights: Vec<f64>,
}

impl Engagement {
    /// The law of a document, by the trapezoidal rule over the logit of engagement.
    pub fn new(config: &ChurnConfig) -> Self {
        Self::with_steps(config, STEPS)
    }

    /// The same with so many steps over the logits that matter.
    pub fn with_steps(config: &ChurnConfig, steps: i32) -> Self {
        let (alpha, beta) = (config.engagement.alpha, config.engagement.beta);
        // ln e and ln (1 − e), each exact where it is close to 0.
        let logs = |logit: f64| (-((-logit.abs()).exp().ln_1p() + (-logit).max(0.0)), -((-logit.abs()).exp().ln_1p() + logit.max(0.0)));
        let density = |logit: f64| alpha * logs(logit).0 + beta * logs(logit).1;
        let peak = (alpha / beta).ln();
        let most = density(peak);
        // The log density is concave: it falls ever faster on either side of the peak.
        let reach = |side: f64| {
            let (mut near, mut far) = (0.0, 1.0);
            while density(peak + side * far) > most - DEPTH {
                (near, far) = (far, 2.0 * far);
            }
            for _ in 0..60 {
                let middle = 0.5 * (near + far);
                if density(peak + side * middle) > most - DEPTH { near = middle } else { far = middle }
            }
            peak + side * far
        };
        let (low, high) = (reach(-1.0), reach(1.0));
        let logits = (0..=steps).map(|step| low + (high - low) * f64::from(step) / f64::from(steps));
        let (values, mut weights): (Vec<f64>, Vec<f64>) = logits.map(|logit| (logs(logit).0.exp(), (density(logit) - most).exp())).unzip();
        let total: f64 = weights.iter().sum();
        for weight in &mut weights {
            *weight /= total;
        }
        Self { values, weights }
    }

    /// The mean of `value` over the law.
    pub fn mean(&self, value: impl Fn(f64) -> f64) -> f64 {
        self.values.iter().zip(&self.weights).map(|(e, weight)| weight * value(*e)).sum()
    }
}
