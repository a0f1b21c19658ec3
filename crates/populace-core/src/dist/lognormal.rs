use super::{ParameterError, StandardNormal, require};
use crate::math;
use crate::stream::Source;

/// Lognormal: exp(ln median + sigma · Z).
#[derive(Clone, Copy, Debug)]
pub struct LogNormal {
    standard: StandardNormal,
    median: f64,
    sigma: f64,
}

impl LogNormal {
    /// Lognormal by its median and the standard deviation `sigma` of its logarithm.
    ///
    /// # Errors
    /// `median` is not positive and finite, or `sigma` is not within 0 to 5.
    pub fn new(median: f64, sigma: f64) -> Result<Self, ParameterError> {
        require(median > 0.0 && median.is_finite(), || format!("the median must be more than 0, got {median}"))?;
        require((0.0..=5.0).contains(&sigma), || format!("sigma must be from 0 to 5, got {sigma}"))?;
        Ok(Self { standard: StandardNormal::default(), median, sigma })
    }

    /// Draws one value.
    #[inline]
    pub fn sample(&self, source: &mut impl Source) -> f64 {
        self.median * math::exp(self.sigma * self.standard.sample(source))
    }

    /// The mean, median · exp(sigma²/2).
    pub fn mean(&self) -> f64 {
        self.median * math::exp(0.5 * self.sigma * self.sigma)
    }

    /// P(X ≤ x).
    pub fn cdf(&self, x: f64) -> f64 {
        if x <= 0.0 { 0.0 } else { math::normal_cdf(math::ln(x / self.median) / self.sigma) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dist::tests::{assert_follows, draws};

    #[test]
    fn values_follow_the_law() {
        let lognormal = LogNormal::new(12.0, 0.4).unwrap();
        let mut source = draws(7);
        assert_follows((0..100_000).map(|_| lognormal.sample(&mut source)).collect(), |x| lognormal.cdf(x));
        assert!((lognormal.mean() - 13.0).abs() < 0.01);
        assert!(LogNormal::new(0.0, 0.4).is_err() && LogNormal::new(1.0, 9.0).is_err());
    }
}
