use super::{ParameterError, require};
use crate::math;
use crate::stream::Source;

/// Exponential, given that it is below a bound, by inversion of its distribution function: one word a draw.
#[derive(Clone, Copy, Debug)]
pub struct TruncatedExponential {
    mean: f64,
    /// P(X < bound) of the untruncated law.
    mass: f64,
}

impl TruncatedExponential {
    /// Exponential with the given `mean` before truncation, below `bound`.
    ///
    /// # Errors
    /// A parameter is not positive and finite.
    pub fn new(mean: f64, bound: f64) -> Result<Self, ParameterError> {
        require(mean > 0.0 && bound > 0.0 && mean.is_finite() && bound.is_finite(), || {
            format!("the mean and the bound must be more than 0, got {mean} and {bound}")
        })?;
        Ok(Self { mean, mass: 1.0 - math::exp(-bound / mean) })
    }

    /// Draws one value.
    #[inline]
    pub fn sample(&self, source: &mut impl Source) -> f64 {
        -self.mean * math::ln(1.0 - source.next_unit() * self.mass)
    }

    /// P(X ≤ x).
    pub fn cdf(&self, x: f64) -> f64 {
        ((1.0 - math::exp(-x / self.mean)) / self.mass).clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dist::tests::{assert_follows, draws};

    #[test]
    fn values_follow_the_truncated_law() {
        let exponential = TruncatedExponential::new(15.0, 59.0).unwrap();
        let mut source = draws(8);
        let sample: Vec<f64> = (0..50_000).map(|_| exponential.sample(&mut source)).collect();
        assert!(sample.iter().all(|x| (0.0..=59.0).contains(x)));
        assert_follows(sample, |x| exponential.cdf(x));
        assert!(TruncatedExponential::new(0.0, 1.0).is_err());
    }
}
