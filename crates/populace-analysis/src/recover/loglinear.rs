//! A log-linear model of yes-or-no outcomes: ln p = the sum of effects, p at most a cap.
//!
//! Estimated as if the outcomes were Poisson counts, with the standard errors of Bernoulli outcomes (Zou, "A modified Poisson regression
//! approach to prospective studies with binary data", 2004). The likelihood of Bernoulli outcomes itself gives cells a weight that grows
//! without bound as p nears 1: with the few hundred messages after hot paths its intervals were measured to be a fifth too narrow.

use super::numbers::Symmetric;

const MOST_STEPS: usize = 200;
/// A step shorter than so many standard errors ends the search.
const SMALL_STEP: f64 = 1e-6;
/// So does a step that lets the logarithm of the likelihood grow by less: a thousandth of a standard error from its top it is 5e-7 below.
/// A top may be a kink, where a cell reaches the cap, and no step is ever short.
const SMALL_GAIN: f64 = 5e-7;

/// Trials that share one probability.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Count {
    pub(crate) trials: u64,
    pub(crate) successes: u64,
}

crate::stats::merge_fields!(Count { trials, successes });

/// A model: what ln p of a cell is, given the coefficients.
pub(crate) trait Predictor {
    /// Writes the derivatives by the coefficients (place and value, zeros left out) and returns ln p, not capped.
    fn predict(&self, cell: usize, coefficients: &[f64], derivatives: &mut Vec<(usize, f64)>) -> f64;
}

/// What was found.
#[derive(Clone, Debug)]
pub(crate) struct Fit {
    pub(crate) coefficients: Vec<f64>,
    pub(crate) covariance: Symmetric,
}

/// The logarithm of the likelihood as if of Poisson counts.
fn likelihood(model: &impl Predictor, counts: &[Count], cap: f64, coefficients: &[f64]) -> f64 {
    let mut derivatives = Vec::new();
    let of = |(cell, count): (usize, &Count)| {
        let p = model.predict(cell, coefficients, &mut derivatives).exp().min(cap);
        let seen = if count.successes > 0 { count.successes as f64 * p.ln() } else { 0.0 };
        seen - count.trials as f64 * p
    };
    counts.iter().enumerate().map(of).sum()
}

/// Fits a model. Cells whose probability reaches `cap` say nothing about the coefficients. `None` where the coefficients are not
/// identified or the search does not end.
pub(crate) fn fit(model: &impl Predictor, counts: &[Count], cap: f64, start: Vec<f64>) -> Option<Fit> {
    let size = start.len();
    let mut coefficients = start;
    let mut reached = likelihood(model, counts, cap, &coefficients);
    let mut derivatives = Vec::new();
    for _ in 0..MOST_STEPS {
        let [mut information, mut variance, mut curvature] = [(); 3].map(|()| Symmetric::zero(size));
        let mut score = vec![0.0; size];
        for (cell, count) in counts.iter().enumerate() {
            let p = model.predict(cell, &coefficients, &mut derivatives).exp();
            let n = count.trials as f64;
            // Cells at the cap shorten the step, so that one step too long does not leave a coefficient without any cell.
            curvature.add_outer(&derivatives, n * p.min(cap));
            if p >= cap {
                continue;
            }
            information.add_outer(&derivatives, n * p);
            variance.add_outer(&derivatives, n * p * (1.0 - p));
            let residual = count.successes as f64 - n * p;
            for &(place, value) in &derivatives {
                score[place] += residual * value;
            }
        }
        let step = curvature.inverse()?;
        let errors: Vec<f64> = (0..size).map(|place| step.at(place, place).sqrt()).collect();
        let step = step.times(&score);
        let longest = step.iter().zip(&errors).map(|(step, error)| step.abs() / error).fold(0.0, f64::max);
        // Shorter steps until the likelihood grows.
        let mut share = 1.0;
        let mut gain = 0.0;
        while longest >= SMALL_STEP && share > 1e-6 && gain <= 0.0 {
            let next: Vec<f64> = coefficients.iter().zip(&step).map(|(value, step)| value + share * step).collect();
            let value = likelihood(model, counts, cap, &next);
            if value > reached {
                gain = value - reached;
                (coefficients, reached) = (next, value);
            }
            share /= 2.0;
        }
        if gain < SMALL_GAIN {
            return Some(Fit { coefficients, covariance: information.inverse()?.around(&variance) });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ln p = a, or a + b.
    struct Two;

    impl Predictor for Two {
        fn predict(&self, cell: usize, coefficients: &[f64], derivatives: &mut Vec<(usize, f64)>) -> f64 {
            derivatives.clear();
            derivatives.push((0, 1.0));
            if cell == 1 {
                derivatives.push((1, 1.0));
            }
            derivatives.iter().map(|&(place, x)| x * coefficients[place]).sum()
        }
    }

    #[test]
    fn a_saturated_model_finds_the_shares_and_their_errors() {
        let counts = [Count { trials: 1_000, successes: 500 }, Count { trials: 400, successes: 80 }];
        let fit = fit(&Two, &counts, 1.0, vec![-1.0, 0.0]).unwrap();
        // Var ln(share) = (1 − p) / (n p); of the ratio, the sum of both.
        let variances: [f64; 2] = [0.5 / 500.0, 0.5 / 500.0 + 0.8 / 80.0];
        for (place, truth) in [0.5_f64.ln(), (0.2_f64 / 0.5).ln()].into_iter().enumerate() {
            // The search ends within a thousandth of an error.
            assert!((fit.coefficients[place] - truth).abs() < 1e-3 * variances[place].sqrt(), "{:?}", fit.coefficients);
            assert!((fit.covariance.at(place, place) / variances[place] - 1.0).abs() < 1e-3);
        }
    }

    #[test]
    fn what_the_data_does_not_tell_has_no_fit() {
        let counts = [Count { trials: 1_000, successes: 500 }, Count { trials: 0, successes: 0 }];
        assert!(fit(&Two, &counts, 1.0, vec![-1.0, 0.0]).is_none());
    }
}
