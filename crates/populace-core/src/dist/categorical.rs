use super::{ParameterError, require};
use crate::stream::Source;

/// One of several categories by weight, in constant time: Walker's alias method with Vose's construction ("A linear algorithm for
/// generating random numbers with a given distribution", 1991).
#[derive(Clone, Debug)]
pub struct Categorical {
    columns: Box<[Column]>,
}

#[derive(Clone, Copy, Debug)]
struct Column {
    /// Chance · 2⁶⁴ that the column's own category is taken, not its alias.
    threshold: u64,
    alias: u32,
}

impl Categorical {
    /// Categories 0, 1, … by their weights, which need not sum to 1.
    ///
    /// # Errors
    /// No weights, more than 2³², one negative or not finite, or all zero.
    pub fn new(weights: &[f64]) -> Result<Self, ParameterError> {
        require(!weights.is_empty() && u32::try_from(weights.len()).is_ok(), || "needs at least one weight".into())?;
        for weight in weights {
            require(weight.is_finite() && *weight >= 0.0, || format!("a weight must be finite and at least 0, got {weight}"))?;
        }
        let total: f64 = weights.iter().sum();
        require(total > 0.0 && total.is_finite(), || format!("the weights must sum to more than 0, got {total}"))?;

        let scale = weights.len() as f64 / total;
        let mut scaled: Vec<f64> = weights.iter().map(|weight| weight * scale).collect();
        let mut columns = vec![Column { threshold: u64::MAX, alias: 0 }; weights.len()];
        let (mut small, mut large): (Vec<usize>, Vec<usize>) = (0..weights.len()).partition(|&index| scaled[index] < 1.0);
        while let (Some(&low), Some(&high)) = (small.last(), large.last()) {
            small.pop();
            columns[low] = Column { threshold: (scaled[low] * 18_446_744_073_709_551_616.0) as u64, alias: high as u32 };
            scaled[high] -= 1.0 - scaled[low];
            if scaled[high] < 1.0 {
                large.pop();
                small.push(high);
            }
        }
        // What is left holds a full column up to rounding; a category of weight 0 is never among it unless all its mass was rounding.
        for index in small.into_iter().chain(large) {
            columns[index] = Column { threshold: u64::MAX, alias: index as u32 };
        }
        Ok(Self { columns: columns.into() })
    }

    /// The category of one word: its high part chooses the column, its low part between the two categories of the column.
    #[inline]
    pub fn pick(&self, word: u64) -> usize {
        let product = u128::from(word) * self.columns.len() as u128;
        let index = (product >> 64) as usize;
        let column = self.columns[index];
        if (product as u64) < column.threshold { index } else { column.alias as usize }
    }

    /// Draws one category.
    #[inline]
    pub fn sample(&self, source: &mut impl Source) -> usize {
        self.pick(source.next_u64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_the_weights() {
        let weights = [0.5, 1.0, 2.0, 0.3, 1.5, 0.2, 0.0];
        let total: f64 = weights.iter().sum();
        let categorical = Categorical::new(&weights).unwrap();
        let mut draws = crate::dist::tests::draws(2);
        let n = 300_000;
        let mut counts = [0_u32; 7];
        for _ in 0..n {
            counts[categorical.sample(&mut draws)] += 1;
        }
        for (weight, count) in weights.iter().zip(counts) {
            let p = weight / total;
            let bound = 4.0 * (p * (1.0 - p) / n as f64).sqrt();
            assert!((f64::from(count) / n as f64 - p).abs() <= bound, "{counts:?}");
        }
    }

    #[test]
    fn one_category_is_always_taken_and_bad_weights_are_refused() {
        assert_eq!(Categorical::new(&[2.0]).unwrap().pick(u64::MAX), 0);
        assert_eq!(Categorical::new(&[0.0, 1.0]).unwrap().pick(0), 1);
        for weights in [&[][..], &[0.0], &[-1.0, 2.0], &[f64::NAN], &[f64::INFINITY]] {
            assert!(Categorical::new(weights).is_err());
        }
    }
}
