//! Tests of counts and samples whose tails are right far out, where a run of many checks puts its threshold: exact sums for binomial
//! and Poisson counts, a saddlepoint for sums of unequal probabilities, likelihood ratios for shares, and the bound of
//! Dvoretzky, Kiefer, Wolfowitz and Massart for distribution functions. A p-value is two-sided unless its name says otherwise.

mod fit;
mod merge;
mod poisson_binomial;
mod sum;

pub(crate) use merge::{Merge, entry, merge_fields};
pub(crate) use sum::Sum;

pub use fit::{Pit, Test, dispersion, likelihood_ratio};
pub use poisson_binomial::PoissonBinomial;

use statrs::function::erf::erfc;
use statrs::function::gamma::{checked_gamma_ur, ln_gamma};
use std::f64::consts::SQRT_2;

/// A term this much smaller than the sum so far ends it.
const NEGLIGIBLE: f64 = 1e-17;

/// P(Z > `z`) of a standard normal.
///
/// ```
/// assert!((populace_analysis::stats::normal_tail(5.0) / 2.866_515_719e-7 - 1.0).abs() < 1e-8);
/// ```
pub fn normal_tail(z: f64) -> f64 {
    0.5 * erfc(z / SQRT_2)
}

/// P(|Z| ≥ |`z`|) of a standard normal.
pub fn normal_two_sided(z: f64) -> f64 {
    erfc(z.abs() / SQRT_2).min(1.0)
}

/// A bound of P(|S − E S| ≥ `deviation`) of a sum of independent terms, none of which lies further than `most` above its mean (Bernstein,
/// 1924): it holds at every number of terms, where a normal tail does not.
pub fn bernstein(deviation: f64, variance: f64, most: f64) -> f64 {
    let spread = variance + most * deviation.abs() / 3.0;
    if spread <= 0.0 {
        return if deviation == 0.0 { 1.0 } else { 0.0 };
    }
    (2.0 * (-deviation * deviation / (2.0 * spread)).exp()).min(1.0)
}

/// The z ≥ 0 with P(|Z| ≥ z) = `p`, by bisection: to 1e-9 for any `p` above 1e-300.
pub fn normal_quantile_two_sided(p: f64) -> f64 {
    let (mut low, mut high) = (0.0, 40.0);
    while high - low > 1e-10 {
        let middle = 0.5 * (low + high);
        if normal_two_sided(middle) > p { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// P(χ² ≥ `statistic`) with `freedom` degrees of freedom.
pub fn chi_square_tail(statistic: f64, freedom: f64) -> f64 {
    if statistic <= 0.0 || freedom <= 0.0 {
        return 1.0;
    }
    if statistic.is_infinite() {
        return 0.0;
    }
    checked_gamma_ur(0.5 * freedom, 0.5 * statistic).unwrap_or_else(|_| {
        // Wilson and Hilferty: (χ²/f)^(1/3) is nearly normal.
        let spread = 2.0 / (9.0 * freedom);
        normal_tail(((statistic / freedom).cbrt() - 1.0 + spread) / spread.sqrt())
    })
}

/// The exact two-sided p-value of `hits` among `n` at probability `p`: twice the smaller tail.
///
/// ```
/// // 20 of 20 heads.
/// let p = populace_analysis::stats::binomial(20, 20, 0.5);
/// assert!((p / (2.0 * 0.5_f64.powi(20)) - 1.0).abs() < 1e-9);
/// ```
pub fn binomial(hits: u64, n: u64, p: f64) -> f64 {
    if hits > n || (p <= 0.0 && hits > 0) || (p >= 1.0 && hits < n) {
        return 0.0;
    }
    if p <= 0.0 || p >= 1.0 {
        return 1.0;
    }
    if n == 0 {
        return 1.0;
    }
    let (k, m) = (hits as f64, n as f64);
    let log = ln_gamma(m + 1.0) - ln_gamma(k + 1.0) - ln_gamma(m - k + 1.0) + k * p.ln() + (m - k) * (-p).ln_1p();
    let odds = p / (1.0 - p);
    let tail = if k >= m * p {
        outward(log.exp(), (hits..n).map(|k| (n - k) as f64 / (k + 1) as f64 * odds))
    } else {
        outward(log.exp(), (1..=hits).rev().map(|k| k as f64 / (n - k + 1) as f64 / odds))
    };
    (2.0 * tail).min(1.0)
}

/// The exact two-sided p-value of a Poisson count with mean `mean`: twice the smaller tail.
pub fn poisson(count: u64, mean: f64) -> f64 {
    if mean <= 0.0 {
        return if count == 0 { 1.0 } else { 0.0 };
    }
    let k = count as f64;
    let log = k * mean.ln() - mean - ln_gamma(k + 1.0);
    let tail = if k >= mean {
        outward(log.exp(), (count..).map(|k| mean / (k + 1) as f64))
    } else {
        outward(log.exp(), (1..=count).rev().map(|k| k as f64 / mean))
    };
    (2.0 * tail).min(1.0)
}

/// P(X = `count`) of a Poisson number with mean `mean`.
pub fn poisson_probability(count: u64, mean: f64) -> f64 {
    if mean <= 0.0 {
        return if count == 0 { 1.0 } else { 0.0 };
    }
    let k = count as f64;
    (k * mean.ln() - mean - ln_gamma(k + 1.0)).exp()
}

/// The sum of `first` and the terms that follow from it by successive ratios, which fall.
fn outward(first: f64, ratios: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut term) = (first, first);
    for ratio in ratios {
        term *= ratio;
        sum += term;
        if term <= sum * NEGLIGIBLE {
            break;
        }
    }
    sum
}

/// The Wilson score interval of a probability after `hits` among `n`, at `z` standard errors (1.96: 95%).
///
/// ```
/// let (low, high) = populace_analysis::stats::wilson(8, 10, 1.96);
/// assert!((low - 0.490).abs() < 1e-3 && (high - 0.943).abs() < 1e-3);
/// ```
pub fn wilson(hits: u64, n: u64, z: f64) -> (f64, f64) {
    if n == 0 {
        return (0.0, 1.0);
    }
    let (share, n) = (hits as f64 / n as f64, n as f64);
    let z2 = z * z;
    let middle = (share + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = z / (1.0 + z2 / n) * (share * (1.0 - share) / n + z2 / (4.0 * n * n)).sqrt();
    ((middle - half).max(0.0), (middle + half).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `a` is `b` to a relative `tolerance`.
    fn near(a: f64, b: f64, tolerance: f64) {
        assert!((a / b - 1.0).abs() < tolerance, "{a:e} instead of {b:e}");
    }

    #[test]
    fn tails_are_those_of_their_identities() {
        // Abramowitz and Stegun, table 26.2: Q(6) = 9.86588e-10.
        near(normal_tail(6.0), 9.865_88e-10, 1e-6);
        near(normal_two_sided(normal_quantile_two_sided(3e-8)), 3e-8, 1e-8);
        // Of an even number of degrees 2 m, P(χ² ≥ 2 λ) is P(Poisson(λ) < m).
        let below = |m: u64, mean: f64| (0..m).map(|count| poisson_probability(count, mean)).sum::<f64>();
        near(chi_square_tail(80.0, 20.0), below(10, 40.0), 1e-9);
        near(chi_square_tail(3.0, 6.0), below(3, 1.5), 1e-9);
        near(poisson(20, 5.0), 2.0 * (20..90).map(|count| poisson_probability(count, 5.0)).sum::<f64>(), 1e-9);
    }

    #[test]
    fn exact_tails_are_the_sums_of_their_terms() {
        let term = |k: u32, n: u32, p: f64| {
            (1..=k).map(|i| f64::from(n - k + i) / f64::from(i)).product::<f64>() * p.powi(k as i32) * (1.0 - p).powi((n - k) as i32)
        };
        for (hits, n, p) in [(9_u32, 60, 0.02), (0, 60, 0.2), (55, 60, 0.5), (12, 60, 0.2), (1, 3, 0.9)] {
            let upper: f64 = (hits..=n).map(|k| term(k, n, p)).sum();
            let lower: f64 = (0..=hits).map(|k| term(k, n, p)).sum();
            near(binomial(hits.into(), n.into(), p), (2.0 * upper.min(lower)).min(1.0), 1e-9);
        }
        assert!(binomial(0, 0, 0.3) == 1.0 && binomial(1, 10, 0.0) == 0.0 && binomial(9, 10, 1.0) == 0.0 && binomial(10, 10, 1.0) == 1.0);
        assert!(poisson(0, 0.0) == 1.0 && poisson(1, 0.0) == 0.0);
        near(poisson(0, 20.0), 2.0 * (-20.0_f64).exp(), 1e-9);
        // Large counts approach the normal: with a continuity correction to a few per cent at four deviations.
        let (n, p) = (1_000_000_u64, 0.4_f64);
        let sd = (n as f64 * p * (1.0 - p)).sqrt();
        let hits = (n as f64 * p + 4.0 * sd) as u64;
        near(binomial(hits, n, p), normal_two_sided((hits as f64 - 0.5 - n as f64 * p) / sd), 0.02);
    }
}
