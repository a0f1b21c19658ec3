//! What the scenario says about users whose engagement is not known.

use populace_core::churn::ChurnConfig;

/// Steps over the logit of engagement, and how far they reach: beyond, a Beta law of shapes of 1 or more has a mass below 1e-6.
const STEPS: i32 = 320;
const REACH: f64 = 16.0;

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

    /// The same with so many steps over the logits from −16 to 16.
    pub fn with_steps(config: &ChurnConfig, steps: i32) -> Self {
        let (alpha, beta) = (config.engagement.alpha, config.engagement.beta);
        let logits = (0..=steps).map(|step| REACH * (2.0 * f64::from(step) / f64::from(steps) - 1.0));
        let (values, mut weights): (Vec<f64>, Vec<f64>) = logits
            .map(|logit: f64| {
                // ln e and ln (1 − e), each exact where it is close to 0.
                let (ln_e, ln_rest) = (-(-logit).exp().ln_1p(), -logit.exp().ln_1p());
                (ln_e.exp(), (alpha * ln_e + beta * ln_rest).exp())
            })
            .unzip();
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
