use super::{ParameterError, require};
use crate::stream::{Source, below, unit};

/// A real number, uniform on [low, high).
#[derive(Clone, Copy, Debug)]
pub struct UniformF64 {
    low: f64,
    width: f64,
}

impl UniformF64 {
    /// Uniform on [`low`, `high`).
    ///
    /// # Errors
    /// A bound is not finite, or `low` is above `high`.
    pub fn new(low: f64, high: f64) -> Result<Self, ParameterError> {
        require(low.is_finite() && high.is_finite() && low <= high, || format!("must be a range low ≤ high, got {low} to {high}"))?;
        Ok(Self { low, width: high - low })
    }

    /// The value of one word.
    #[inline]
    pub fn at(&self, word: u64) -> f64 {
        self.low + self.width * unit(word)
    }

    /// Draws one value.
    #[inline]
    pub fn sample(&self, source: &mut impl Source) -> f64 {
        self.at(source.next_u64())
    }

    /// The mean.
    pub fn mean(&self) -> f64 {
        self.low + self.width / 2.0
    }
}

/// An integer, uniform on low..high.
#[derive(Clone, Copy, Debug)]
pub struct UniformI64 {
    low: i64,
    count: u64,
}

impl UniformI64 {
    /// Uniform on `low..high`, `high` not included.
    ///
    /// # Errors
    /// The range is empty.
    pub fn new(low: i64, high: i64) -> Result<Self, ParameterError> {
        require(low < high, || format!("must be a range low < high, got {low} to {high}"))?;
        Ok(Self { low, count: high.wrapping_sub(low) as u64 })
    }

    /// The value of one word.
    #[inline]
    pub fn at(&self, word: u64) -> i64 {
        self.low.wrapping_add(below(word, self.count) as i64)
    }

    /// Draws one value.
    #[inline]
    pub fn sample(&self, source: &mut impl Source) -> i64 {
        self.at(source.next_u64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dist::tests::{assert_follows, draws};

    #[test]
    fn real_values_fill_the_range_evenly() {
        let uniform = UniformF64::new(3.0, 6.0).unwrap();
        let mut source = draws(3);
        assert_follows((0..50_000).map(|_| uniform.sample(&mut source)).collect(), |x| (x - 3.0) / 3.0);
        assert_eq!(uniform.mean(), 4.5);
    }

    #[test]
    fn integers_fill_the_range_and_keep_its_ends() {
        let uniform = UniformI64::new(-1, 2).unwrap();
        assert_eq!((uniform.at(0), uniform.at(u64::MAX)), (-1, 1));
        assert!(UniformI64::new(2, 2).is_err());
        assert!(UniformF64::new(2.0, 1.0).is_err());
        assert!(UniformF64::new(f64::NAN, 1.0).is_err());
    }
}
