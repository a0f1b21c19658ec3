use super::{ParameterError, require};
use crate::math;
use crate::stream::{Source, unit};
use std::sync::LazyLock;

const LAYERS: usize = 256;
/// Where the base layer's tail begins and the area of each layer: Marsaglia and Tsang, "The ziggurat method for generating random
/// variables" (2000), for 256 layers.
const TAIL: f64 = 3.654_152_885_361_009;
const AREA: f64 = 0.004_928_673_233_974_655;

struct Ziggurat {
    /// Right edges of the layers, from the widest (virtual) to 0.
    x: [f64; LAYERS + 1],
    /// exp(−x²/2) at each edge.
    y: [f64; LAYERS + 1],
}

static ZIGGURAT: LazyLock<Ziggurat> = LazyLock::new(|| {
    let density = |x: f64| math::exp(-0.5 * x * x);
    let mut x = [0.0; LAYERS + 1];
    x[0] = AREA / density(TAIL);
    x[1] = TAIL;
    for layer in 2..LAYERS {
        x[layer] = (-2.0 * math::ln(AREA / x[layer - 1] + density(x[layer - 1]))).sqrt();
    }
    Ziggurat { x, y: x.map(density) }
});

/// Normal with mean 0 and standard deviation 1, by the ziggurat: one word in 98.8% of the draws.
#[derive(Clone, Copy)]
pub struct StandardNormal {
    tables: &'static Ziggurat,
}

impl core::fmt::Debug for StandardNormal {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.write_str("StandardNormal")
    }
}

impl Default for StandardNormal {
    fn default() -> Self {
        Self { tables: &ZIGGURAT }
    }
}

impl StandardNormal {
    /// Draws one value. The low 8 bits of a word choose the layer, the high 53 the place in it.
    #[inline]
    pub fn sample(&self, source: &mut impl Source) -> f64 {
        let word = source.next_u64();
        let layer = (word & 0xFF) as usize;
        let place = 2.0 * unit(word) - 1.0;
        let x = place * self.tables.x[layer];
        if x.abs() < self.tables.x[layer + 1] { x } else { self.rejected(layer, place, source) }
    }

    #[cold]
    fn rejected(self, mut layer: usize, mut place: f64, source: &mut impl Source) -> f64 {
        let Ziggurat { x: edges, y } = self.tables;
        loop {
            let x = place * edges[layer];
            if x.abs() < edges[layer + 1] {
                return x;
            }
            if layer == 0 {
                return tail(place, source);
            }
            if y[layer] + (y[layer + 1] - y[layer]) * source.next_unit() < math::exp(-0.5 * x * x) {
                return x;
            }
            let word = source.next_u64();
            layer = (word & 0xFF) as usize;
            place = 2.0 * unit(word) - 1.0;
        }
    }
}

/// Beyond `TAIL`: Marsaglia's exponential rejection.
fn tail(sign: f64, source: &mut impl Source) -> f64 {
    loop {
        // 1 − u lies in (0, 1], so the logarithms are finite.
        let x = -math::ln(1.0 - source.next_unit()) / TAIL;
        let y = -math::ln(1.0 - source.next_unit());
        if y + y > x * x {
            return if sign < 0.0 { -(TAIL + x) } else { TAIL + x };
        }
    }
}

/// Normal with a mean and a standard deviation.
#[derive(Clone, Copy, Debug)]
pub struct Normal {
    standard: StandardNormal,
    mean: f64,
    deviation: f64,
}

impl Normal {
    /// Normal with `mean` and standard `deviation`.
    ///
    /// # Errors
    /// A parameter is not finite, or `deviation` is negative.
    pub fn new(mean: f64, deviation: f64) -> Result<Self, ParameterError> {
        require(mean.is_finite() && deviation.is_finite() && deviation >= 0.0, || {
            format!("must have a finite mean and a standard deviation of at least 0, got {mean} and {deviation}")
        })?;
        Ok(Self { standard: StandardNormal::default(), mean, deviation })
    }

    /// Draws one value.
    #[inline]
    pub fn sample(&self, source: &mut impl Source) -> f64 {
        self.mean + self.deviation * self.standard.sample(source)
    }

    /// P(X ≤ x).
    pub fn cdf(&self, x: f64) -> f64 {
        math::normal_cdf((x - self.mean) / self.deviation)
    }
}

/// Normal, redrawn until it is at least a bound.
#[derive(Clone, Copy, Debug)]
pub struct TruncatedNormal {
    normal: Normal,
    low: f64,
}

impl TruncatedNormal {
    /// Normal with `mean` and `deviation`, given that it is at least `low`.
    ///
    /// # Errors
    /// As [`Normal::new`]; or `low` is more than 3 standard deviations above the mean, where redrawing takes for ever.
    pub fn new(mean: f64, deviation: f64, low: f64) -> Result<Self, ParameterError> {
        require(low.is_finite() && (low - mean) <= 3.0 * deviation, || {
            format!("the bound {low} lies too far above the mean {mean} for a standard deviation of {deviation}")
        })?;
        Ok(Self { normal: Normal::new(mean, deviation)?, low })
    }

    /// Draws one value.
    #[inline]
    pub fn sample(&self, source: &mut impl Source) -> f64 {
        loop {
            let value = self.normal.sample(source);
            if value >= self.low {
                return value;
            }
        }
    }

    /// P(X ≤ x).
    pub fn cdf(&self, x: f64) -> f64 {
        let below = self.normal.cdf(self.low);
        ((self.normal.cdf(x) - below) / (1.0 - below)).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dist::tests::{assert_follows, draws};

    #[test]
    fn values_follow_the_normal_law_into_the_tail() {
        let normal = Normal::new(10.0, 3.0).unwrap();
        let mut source = draws(5);
        let sample: Vec<f64> = (0..400_000).map(|_| normal.sample(&mut source)).collect();
        let beyond = sample.iter().filter(|x| (*x - 10.0).abs() > 3.0 * TAIL).count() as f64;
        let expected = 400_000.0 * 2.0 * math::normal_cdf(-TAIL);
        assert!((beyond - expected).abs() < 4.0 * expected.sqrt(), "{beyond} in the tail, expected {expected}");
        assert_follows(sample, |x| normal.cdf(x));
    }

    #[test]
    fn truncation_redraws() {
        let truncated = TruncatedNormal::new(40.0, 20.0, 30.0).unwrap();
        let mut source = draws(6);
        let sample: Vec<f64> = (0..50_000).map(|_| truncated.sample(&mut source)).collect();
        assert!(sample.iter().all(|x| *x >= 30.0));
        assert_follows(sample, |x| truncated.cdf(x));
        assert!(TruncatedNormal::new(0.0, 1.0, 4.0).is_err());
        assert!(Normal::new(0.0, -1.0).is_err());
    }

    #[test]
    fn the_layers_have_equal_area() {
        let Ziggurat { x, y } = &*ZIGGURAT;
        for layer in 1..LAYERS {
            let area = x[layer] * (y[layer + 1] - y[layer]);
            assert!((area - AREA).abs() < 1e-9, "layer {layer}: {area}");
        }
    }
}
