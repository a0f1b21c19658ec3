use super::{ParameterError, require};
use crate::math;
use crate::stream::Source;

/// 2⁶⁴.
const WORDS: f64 = 18_446_744_073_709_551_616.0;

/// A count 0, 1, 2, … by inversion of its distribution function, tabulated to the resolution of a double (2⁻⁵³). One word a draw, and
/// monotone in it: runs that differ in a parameter are paired.
#[derive(Clone, Debug)]
pub struct Tabulated {
    /// P(count ≤ k) · 2⁶⁴ for k = 0, 1, …; the last count takes the rest.
    thresholds: Box<[u64]>,
    mean: f64,
    variance: f64,
}

impl Tabulated {
    /// The greatest Poisson mean: beyond it a table is the wrong tool.
    pub const MAX_POISSON_MEAN: f64 = 500.0;

    /// Count k with probability `weights[k]` over their sum.
    ///
    /// # Errors
    /// No weights, one negative or not finite, or all zero.
    pub fn new(weights: &[f64]) -> Result<Self, ParameterError> {
        let total: f64 = weights.iter().sum();
        require(weights.iter().all(|weight| *weight >= 0.0) && total > 0.0 && total.is_finite(), || {
            format!("the weights must be at least 0 and sum to more than 0, got a sum of {total}")
        })?;
        let moment = |power| weights.iter().enumerate().map(|(k, weight)| (k as f64).powi(power) * weight / total).sum::<f64>();
        let mean = moment(1);
        let mut below = 0.0;
        let mut thresholds = Vec::with_capacity(weights.len());
        for weight in &weights[..weights.len() - 1] {
            below += weight / total;
            let threshold = below * WORDS;
            if threshold >= WORDS {
                break;
            }
            thresholds.push(threshold as u64);
        }
        Ok(Self { thresholds: thresholds.into(), mean, variance: moment(2) - mean * mean })
    }

    /// The Poisson distribution of the given mean.
    ///
    /// # Errors
    /// `mean` is not within 0 to [`MAX_POISSON_MEAN`](Self::MAX_POISSON_MEAN).
    pub fn poisson(mean: f64) -> Result<Self, ParameterError> {
        require((0.0..=Self::MAX_POISSON_MEAN).contains(&mean), || {
            format!("must be a mean from 0 to {}, got {mean}", Self::MAX_POISSON_MEAN)
        })?;
        if mean == 0.0 {
            return Self::new(&[1.0]);
        }
        // Past the mean by 10 standard deviations and 40 counts the tail lies below 2⁻⁶⁴.
        let count = (mean + 10.0 * mean.sqrt() + 40.0) as usize;
        let weights: Vec<f64> = (0..count).map(|k| math::exp(k as f64 * math::ln(mean) - mean - math::ln_gamma(k as f64 + 1.0))).collect();
        Self::new(&weights)
    }

    /// The count of one word.
    #[inline]
    pub fn at(&self, word: u64) -> usize {
        match self.thresholds.iter().take(8).position(|&threshold| word < threshold) {
            Some(count) => count,
            None if self.thresholds.len() <= 8 => self.thresholds.len(),
            None => self.thresholds.partition_point(|&threshold| threshold <= word),
        }
    }

    /// Draws one count.
    #[inline]
    pub fn sample(&self, source: &mut impl Source) -> usize {
        self.at(source.next_u64())
    }

    /// The mean.
    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// The variance.
    pub fn variance(&self) -> f64 {
        self.variance
    }

    /// P(count = k).
    pub fn probability(&self, k: usize) -> f64 {
        let up_to = |index: usize| self.thresholds.get(index).map_or(1.0, |&threshold| threshold as f64 / WORDS);
        if k > self.thresholds.len() { 0.0 } else { up_to(k) - if k == 0 { 0.0 } else { up_to(k - 1) } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn poisson_counts_have_their_probabilities() {
        for mean in [0.8, 6.1456, 40.0] {
            let poisson = Tabulated::poisson(mean).unwrap();
            assert!((poisson.mean() - mean).abs() < 1e-9 && (poisson.variance() - mean).abs() < 1e-6);
            let mut draws = crate::dist::tests::draws(4);
            let n = 100_000;
            let mut counts = [0_u32; 120];
            for _ in 0..n {
                counts[poisson.sample(&mut draws)] += 1;
            }
            let mut statistic = 0.0;
            let mut cells = 0.0;
            for (k, &count) in counts.iter().enumerate() {
                let expected = poisson.probability(k) * f64::from(n);
                if expected >= 5.0 {
                    statistic += (f64::from(count) - expected).powi(2) / expected;
                    cells += 1.0;
                }
            }
            // χ² has mean c and variance 2c; 4 standard deviations.
            assert!(statistic < cells + 4.0 * f64::sqrt(2.0 * cells), "mean {mean}: {statistic} over {cells} cells");
        }
    }

    #[test]
    fn a_word_gives_the_count_by_inversion() {
        let poisson = Tabulated::poisson(0.8).unwrap();
        assert_eq!([0, 1 << 63, 15 << 60, u64::MAX].map(|word| poisson.at(word)), [0, 1, 2, 16]);
        assert_eq!(Tabulated::poisson(0.0).unwrap().at(u64::MAX), 0);
        assert!(Tabulated::poisson(501.0).is_err() && Tabulated::poisson(f64::NAN).is_err());
    }
}
