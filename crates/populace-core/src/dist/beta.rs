use super::{ParameterError, StandardNormal, require};
use crate::math;
use crate::stream::Source;

/// Beta, as a ratio of two gammas by Marsaglia and Tsang, "A simple method for generating gamma variables" (2000).
#[derive(Clone, Copy, Debug)]
pub struct Beta {
    first: Gamma,
    second: Gamma,
    a: f64,
    b: f64,
}

impl Beta {
    /// Beta(`a`, `b`).
    ///
    /// # Errors
    /// A shape is not within 0.1 to 1,000.
    pub fn new(a: f64, b: f64) -> Result<Self, ParameterError> {
        for shape in [a, b] {
            require((0.1..=1_000.0).contains(&shape), || format!("a shape must be from 0.1 to 1000, got {shape}"))?;
        }
        Ok(Self { first: Gamma::new(a), second: Gamma::new(b), a, b })
    }

    /// Draws one value in [0, 1].
    pub fn sample(&self, source: &mut impl Source) -> f64 {
        let x = self.first.sample(source);
        let y = self.second.sample(source);
        x / (x + y)
    }

    /// a and b.
    pub const fn shapes(&self) -> [f64; 2] {
        [self.a, self.b]
    }

    /// The mean, a / (a + b).
    pub fn mean(&self) -> f64 {
        self.a / (self.a + self.b)
    }

    /// The density at x.
    pub fn density(&self, x: f64) -> f64 {
        let ln_norm = math::ln_gamma(self.a + self.b) - math::ln_gamma(self.a) - math::ln_gamma(self.b);
        math::exp(ln_norm + (self.a - 1.0) * math::ln(x) + (self.b - 1.0) * math::ln(1.0 - x))
    }
}

/// Gamma with scale 1.
#[derive(Clone, Copy, Debug)]
struct Gamma {
    standard: StandardNormal,
    /// The shape, raised by 1 where it is below 1; then the draw is scaled by u^(1/shape).
    d: f64,
    c: f64,
    boost: Option<f64>,
}

impl Gamma {
    fn new(shape: f64) -> Self {
        let (raised, boost) = if shape < 1.0 { (shape + 1.0, Some(1.0 / shape)) } else { (shape, None) };
        let d = raised - 1.0 / 3.0;
        Self { standard: StandardNormal::default(), d, c: 1.0 / (9.0 * d).sqrt(), boost }
    }

    fn sample(&self, source: &mut impl Source) -> f64 {
        let value = loop {
            let x = self.standard.sample(source);
            let root = 1.0 + self.c * x;
            if root <= 0.0 {
                continue;
            }
            let v = root * root * root;
            let u = 1.0 - source.next_unit();
            if math::ln(u) < 0.5 * x * x + self.d * (1.0 - v + math::ln(v)) {
                break self.d * v;
            }
        };
        match self.boost {
            Some(power) => value * math::pow(1.0 - source.next_unit(), power),
            None => value,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dist::tests::{assert_follows, draws};

    /// The distribution function by Simpson's rule on the density; exact enough for shapes of at least 1.5.
    fn cdf(beta: &Beta, x: f64) -> f64 {
        let steps = 2_000;
        let h = x / f64::from(steps);
        let value = |i: i32| if i == 0 { 0.0 } else { beta.density((f64::from(i) * h).min(1.0 - 1e-12)) };
        (0..steps / 2).map(|i| value(2 * i) + 4.0 * value(2 * i + 1) + value(2 * i + 2)).sum::<f64>() * h / 3.0
    }

    #[test]
    fn values_follow_the_law() {
        let beta = Beta::new(2.0, 2.5).unwrap();
        let mut source = draws(9);
        assert_follows((0..20_000).map(|_| beta.sample(&mut source)).collect(), |x| cdf(&beta, x));
    }

    #[test]
    fn shapes_below_one_keep_mean_and_variance() {
        let beta = Beta::new(0.4, 0.7).unwrap();
        let mut source = draws(10);
        let n = 100_000;
        let sample: Vec<f64> = (0..n).map(|_| beta.sample(&mut source)).collect();
        let mean = sample.iter().sum::<f64>() / n as f64;
        let variance = sample.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n as f64;
        let expected = 0.4 * 0.7 / (1.1 * 1.1 * 2.1);
        assert!((mean - beta.mean()).abs() < 4.0 * (expected / n as f64).sqrt(), "{mean}");
        assert!((variance - expected).abs() < 0.02 * expected, "{variance}");
        assert!(Beta::new(0.0, 1.0).is_err());
    }
}
