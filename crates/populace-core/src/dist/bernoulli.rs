use super::{ParameterError, require};
use crate::stream::Source;

/// True with a fixed probability. The decision is monotone in the probability: under one word, whatever is true at p is true at
/// any greater p, so runs that differ in p are paired.
#[derive(Clone, Copy, Debug)]
pub struct Bernoulli {
    /// p · 2⁶⁴, rounded down; `None` for p = 1.
    threshold: Option<u64>,
}

impl Bernoulli {
    /// True with probability `p`.
    ///
    /// # Errors
    /// `p` is not a number in [0, 1].
    pub fn new(p: f64) -> Result<Self, ParameterError> {
        require((0.0..=1.0).contains(&p), || format!("must be a probability from 0 to 1, got {p}"))?;
        // 2⁶⁴ is exact in f64; the product is below it for every p < 1.
        let threshold = (p < 1.0).then_some((p * 18_446_744_073_709_551_616.0) as u64);
        Ok(Self { threshold })
    }

    /// Decides by one word.
    #[inline]
    pub fn decide(&self, word: u64) -> bool {
        self.threshold.is_none_or(|threshold| word < threshold)
    }

    /// Draws one decision.
    #[inline]
    pub fn sample(&self, source: &mut impl Source) -> bool {
        self.decide(source.next_u64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_of_true_is_p() {
        let mut draws = crate::dist::tests::draws(1);
        let n = 200_000;
        let bernoulli = Bernoulli::new(0.3).unwrap();
        let share = (0..n).filter(|_| bernoulli.sample(&mut draws)).count() as f64 / n as f64;
        assert!((share - 0.3).abs() < 4.0 * (0.21 / n as f64).sqrt(), "{share}");
    }

    #[test]
    fn the_bounds_are_certain_and_all_else_is_refused() {
        assert!(Bernoulli::new(1.0).unwrap().decide(u64::MAX));
        assert!(!Bernoulli::new(0.0).unwrap().decide(0));
        for p in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert!(Bernoulli::new(p).is_err());
        }
    }
}
