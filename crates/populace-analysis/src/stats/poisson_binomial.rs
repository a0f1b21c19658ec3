//! The law of a sum of independent yes-or-no outcomes of unequal probabilities.

use super::{normal_quantile_two_sided, normal_tail, normal_two_sided};
use std::f64::consts::PI;

/// Probabilities are kept by their place among so many equal parts of [0, 1], each part by its count and its mean, where the tails are asked
/// for: the sum's mean and variance are exact. More parts do not stay in the cache where there are many sums.
const PARTS: usize = 64;

/// The number of hits of independent tries, each with its own probability, and how many there were.
#[derive(Clone, Debug, Default)]
pub struct PoissonBinomial {
    /// Tries and the sum of their probabilities, by part; empty before the first try.
    parts: Vec<(u64, f64)>,
    tries: u64,
    hits: u64,
    expected: f64,
    variance: f64,
    /// Hits of probability 0 and misses of probability 1.
    impossible: u64,
}

super::merge_fields!(PoissonBinomial { parts, tries, hits, expected, variance, impossible });

impl PoissonBinomial {
    /// Adds a try.
    pub fn add(&mut self, p: f64, hit: bool) {
        self.tries += 1;
        self.hits += u64::from(hit);
        if (p <= 0.0 && hit) || (p >= 1.0 && !hit) {
            self.impossible += 1;
        }
        let p = p.clamp(0.0, 1.0);
        self.expected += p;
        self.variance += p * (1.0 - p);
        if self.parts.is_empty() {
            self.parts.resize(PARTS, (0, 0.0));
        }
        let part = &mut self.parts[((p * PARTS as f64) as usize).min(PARTS - 1)];
        part.0 += 1;
        part.1 += p;
    }

    /// How many tries there were.
    pub fn tries(&self) -> u64 {
        self.tries
    }

    /// How many of them hit.
    pub fn hits(&self) -> u64 {
        self.hits
    }

    /// The expected number of hits.
    pub fn expected(&self) -> f64 {
        self.expected
    }

    /// The variance of the number of hits.
    pub fn variance(&self) -> f64 {
        self.variance
    }

    /// Standard deviations that the hits lie above what is expected.
    pub fn z(&self) -> f64 {
        if self.variance > 0.0 { (self.hits as f64 - self.expected) / self.variance.sqrt() } else { 0.0 }
    }

    /// The two-sided p-value: twice the smaller tail by the saddlepoint for lattice variables (Daniels, "Tail probability
    /// approximations", 1987, with his second continuity correction). Its relative error is of a few per cent at the worst.
    pub fn p_value(&self) -> f64 {
        if self.impossible > 0 {
            return 0.0;
        }
        if self.variance <= 0.0 {
            return 1.0;
        }
        let hits = self.hits as f64;
        let tail = if hits >= self.expected { self.upper_tail(hits) } else { 1.0 - self.upper_tail(hits + 1.0) };
        let tail = if hits >= self.expected { tail } else { self.lower_tail(hits).unwrap_or(tail) };
        (2.0 * tail).clamp(0.0, 1.0)
    }

    /// As [`p_value`](Self::p_value), where the probabilities themselves vary together, which adds `more` to the variance.
    pub fn p_value_with(&self, more: f64) -> f64 {
        let p = self.p_value();
        if more <= 0.0 || p <= 0.0 || self.variance <= 0.0 {
            return p;
        }
        normal_two_sided(normal_quantile_two_sided(p) / (1.0 + more / self.variance).sqrt())
    }

    /// The cumulant generating function and its first two derivatives.
    fn cumulants(&self, t: f64) -> [f64; 3] {
        let mut sums = [0.0; 3];
        let lift = t.exp_m1();
        for &(count, sum) in self.parts.iter().filter(|part| part.0 > 0) {
            let n = count as f64;
            let p = sum / n;
            let tilted = p * (lift + 1.0) / (1.0 + p * lift);
            sums[0] += n * (p * lift).ln_1p();
            sums[1] += n * tilted;
            sums[2] += n * tilted * (1.0 - tilted);
        }
        sums
    }

    /// The t at which the tilted mean is `x`, which lies strictly between the least and the greatest sum.
    fn saddlepoint(&self, x: f64) -> f64 {
        let (mut low, mut high) = (-60.0, 60.0);
        let mut t = 0.0;
        for _ in 0..200 {
            let [_, mean, variance] = self.cumulants(t);
            if mean > x {
                high = t;
            } else {
                low = t;
            }
            let newton = t - (mean - x) / variance.max(1e-300);
            let next = if newton > low && newton < high { newton } else { 0.5 * (low + high) };
            if (next - t).abs() < 1e-12 {
                return next;
            }
            t = next;
        }
        t
    }

    /// P(sum ≥ `hits`).
    fn upper_tail(&self, hits: f64) -> f64 {
        if hits <= 0.0 {
            return 1.0;
        }
        if hits > self.tries as f64 {
            return 0.0;
        }
        self.beyond(hits - 0.5, 1.0)
    }

    /// P(sum ≤ `hits`), by the complement's formula, which loses nothing where it is small.
    fn lower_tail(&self, hits: f64) -> Option<f64> {
        if hits <= 0.0 {
            // No hit at all: exact.
            return Some(
                self.parts.iter().filter(|part| part.0 > 0).map(|&(n, sum)| n as f64 * (-sum / n as f64).ln_1p()).sum::<f64>().exp(),
            );
        }
        (hits < self.tries as f64).then(|| self.beyond(hits + 0.5, -1.0))
    }

    /// P(sum > x), `side` 1, or P(sum < x), `side` −1, for x half-way between whole numbers.
    fn beyond(&self, x: f64, side: f64) -> f64 {
        let t = self.saddlepoint(x);
        let [k, _, variance] = self.cumulants(t);
        let w = t.signum() * (2.0 * (t * x - k)).max(0.0).sqrt();
        let u = 2.0 * (0.5 * t).sinh() * variance.sqrt();
        if w.abs() < 1e-4 {
            return 0.5;
        }
        let density = (-0.5 * w * w).exp() / (2.0 * PI).sqrt();
        (normal_tail(side * w) + side * density * (1.0 / u - 1.0 / w)).clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::binomial;

    fn sum(tries: impl IntoIterator<Item = (f64, bool)>) -> PoissonBinomial {
        let mut sum = PoissonBinomial::default();
        tries.into_iter().for_each(|(p, hit)| sum.add(p, hit));
        sum
    }

    #[test]
    fn equal_probabilities_are_binomial_down_to_the_far_tails() {
        for (n, p) in [(10_u64, 0.1), (200, 0.01), (500, 0.3), (40_000, 0.35), (3_000, 0.001)] {
            let sd = (n as f64 * p * (1.0 - p)).sqrt();
            for z in [-6.0, -3.0, -1.0, 0.5, 2.0, 4.0, 7.0] {
                let hits = (n as f64 * p + z * sd).round();
                if hits < 0.0 || hits > n as f64 {
                    continue;
                }
                let hits = hits as u64;
                let exact = binomial(hits, n, p);
                let told = sum((0..n).map(|place| (p, place < hits))).p_value();
                assert!((told / exact - 1.0).abs() < 0.06, "{hits} of {n} at {p}: {told:e} instead of {exact:e}");
            }
        }
    }

    #[test]
    fn unequal_probabilities_are_their_convolution() {
        let p: Vec<f64> = (0..60).map(|place| f64::from(place * place % 37) / 60.0 + 0.01).collect();
        let mut law = vec![1.0];
        for p in &p {
            let mut next = vec![0.0; law.len() + 1];
            for (count, mass) in law.iter().enumerate() {
                next[count] += mass * (1.0 - p);
                next[count + 1] += mass * p;
            }
            law = next;
        }
        for hits in 0..=35 {
            let exact = (2.0 * law[hits..].iter().sum::<f64>().min(law[..=hits].iter().sum())).min(1.0);
            let told = sum(p.iter().enumerate().map(|(place, p)| (*p, place < hits))).p_value();
            assert!((told / exact - 1.0).abs() < 0.06, "{hits}: {told:e} instead of {exact:e}");
        }
    }

    #[test]
    fn what_cannot_be_is_told_and_what_varies_together_weighs_less() {
        assert!(sum([(0.0, true), (0.5, false)]).p_value() == 0.0);
        assert!(sum([(1.0, true), (0.0, false)]).p_value() == 1.0);
        let far = sum((0..1_000).map(|place| (0.5, place < 600)));
        assert!(far.p_value_with(0.0) < 1e-8 && far.p_value_with(750.0) > 1e-4 && far.p_value_with(750.0) < 0.01);
    }
}
