//! How many sessions a user has: max(1, round(N(m, s))) with m and s solved for, so that the count has exactly the mean and the
//! standard deviation asked for. A plain rounded and floored N(3, 2) has mean 3.14 and standard deviation 1.80.

use crate::dist::{ParameterError, Tabulated};
use crate::math::normal_cdf;

/// The greatest location and scale that are tried.
const LIMIT: f64 = 50_000.0;

/// P(count = k) for k from 0, until what is left cannot be distinguished from 0.
fn probabilities(location: f64, scale: f64) -> Vec<f64> {
    let last = (location + 9.0 * scale).max(1.0).ceil() as usize + 1;
    let up_to = |k: usize| normal_cdf((k as f64 + 0.5 - location) / scale);
    let mut below = 0.0;
    let mut weights = vec![0.0];
    for k in 1..=last {
        let here = up_to(k);
        weights.push(here - below);
        below = here;
    }
    weights
}

fn moments(location: f64, scale: f64) -> (f64, f64) {
    let weights = probabilities(location, scale);
    let total: f64 = weights.iter().sum();
    let mean = weights.iter().enumerate().map(|(k, weight)| k as f64 * weight).sum::<f64>() / total;
    let variance = weights.iter().enumerate().map(|(k, weight)| (k as f64 - mean).powi(2) * weight).sum::<f64>() / total;
    (mean, variance.sqrt())
}

/// The root of an increasing function on [low, high], or the end that is closest to it: Chandrupatla, "A new hybrid quadratic/bisection
/// algorithm for finding the zero of a nonlinear function without using derivatives" (1997). Bisection takes twenty times as long, which is
/// seconds for counts in the thousands.
fn root(low: f64, high: f64, function: impl Fn(f64) -> f64) -> f64 {
    // The newest point, the one across the root, and the one before.
    let (mut a, mut b) = ((high, function(high)), (low, function(low)));
    if a.1 <= 0.0 || b.1 >= 0.0 {
        return if a.1 <= 0.0 { high } else { low };
    }
    let mut step = 0.5;
    loop {
        let x = a.0 + step * (b.0 - a.0);
        let new = (x, function(x));
        let c = if (new.1 > 0.0) == (a.1 > 0.0) { a } else { std::mem::replace(&mut b, a) };
        a = new;
        let best = if a.1.abs() < b.1.abs() { a } else { b };
        let least = (4.0 * f64::EPSILON * best.0.abs() + 1e-14) / (b.0 - a.0).abs();
        if least > 0.5 || best.1 == 0.0 {
            return best.0;
        }
        let xi = (a.0 - b.0) / (c.0 - b.0);
        let phi = (a.1 - b.1) / (c.1 - b.1);
        // Inverse quadratic interpolation, where it is known to stay within.
        let is_safe = phi * phi < xi && (1.0 - phi) * (1.0 - phi) < 1.0 - xi;
        step = if is_safe {
            a.1 / (b.1 - a.1) * c.1 / (b.1 - c.1) + (c.0 - a.0) / (b.0 - a.0) * a.1 / (c.1 - a.1) * b.1 / (c.1 - b.1)
        } else {
            0.5
        };
        step = step.clamp(least, 1.0 - least);
    }
}

/// The law of the count for a mean and a standard deviation.
pub(super) fn session_counts(mean: f64, sd: f64) -> Result<Tabulated, ParameterError> {
    if !(1.0..=10_000.0).contains(&mean) || !(0.0..=10_000.0).contains(&sd) {
        return Err(ParameterError(format!("needs a mean from 1 to 10,000 and an sd from 0 to 10,000, got {mean} and {sd}")));
    }
    if sd == 0.0 && mean.fract() == 0.0 {
        let mut weights = vec![0.0; mean as usize + 1];
        weights[mean as usize] = 1.0;
        return Tabulated::new(&weights);
    }
    // For each scale one location gives the mean; along that curve the standard deviation grows with the scale.
    let location = |scale: f64| root(mean - 40.0 * scale - 1.0, mean + 1.0, |location| moments(location, scale).0 - mean);
    let scale = root(1e-3, (4.0 * sd + 2.0).min(LIMIT), |scale| moments(location(scale), scale).1 - sd);
    let found = (location(scale), scale);
    let (got_mean, got_sd) = moments(found.0, found.1);
    if (got_mean - mean).abs() > 1e-6 * mean || (got_sd - sd).abs() > 1e-6 * sd.max(1.0) {
        return Err(ParameterError(format!(
            "no count on 1, 2, … has mean {mean} and sd {sd}: the nearest found has mean {got_mean:.3} and sd {got_sd:.3}; change one of the two"
        )));
    }
    Tabulated::new(&probabilities(found.0, found.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_has_exactly_the_mean_and_sd_asked_for() {
        for (mean, sd) in
            [(3.0, 2.0), (4.0, 2.0), (1.5, 1.0), (12.0, 0.6), (1.0, 0.0), (7.0, 0.0), (2.5, 0.5), (100.0, 30.0), (2_000.0, 1_500.0)]
        {
            let counts = session_counts(mean, sd).unwrap();
            assert!((counts.mean() - mean).abs() < 1e-6 * mean, "{mean} ± {sd}: mean {}", counts.mean());
            assert!((counts.variance().max(0.0).sqrt() - sd).abs() < 1e-5, "{mean} ± {sd}: sd {}", counts.variance().sqrt());
            assert_eq!(counts.probability(0), 0.0);
        }
    }

    #[test]
    fn an_unattainable_pair_is_an_error() {
        for (mean, sd) in [(1.0, 0.5), (3.5, 0.0), (3.5, 0.3), (0.5, 1.0), (f64::NAN, 1.0), (3.0, -1.0)] {
            assert!(session_counts(mean, sd).is_err(), "{mean} ± {sd}");
        }
    }
}
