//! Sums that do not depend on the order of what is added.

/// A sum of numbers below 10¹⁸, each to 2⁻⁶⁴: exact beyond that, in whatever order they come.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Sum {
    /// In units of 2⁻⁶⁴.
    units: i128,
    /// What is no such number: infinities and NaN.
    rest: f64,
}

const UNIT: f64 = 18_446_744_073_709_551_616.0;

impl Sum {
    pub(crate) fn add(&mut self, value: f64) {
        if value.abs() < 1e18 {
            self.units += (value * UNIT) as i128;
        } else {
            self.rest += value;
        }
    }

    pub(crate) fn value(self) -> f64 {
        self.units as f64 / UNIT + self.rest
    }
}

super::merge_fields!(Sum { units, rest });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_do_not_depend_on_the_order() {
        let values: Vec<f64> = (1..2_000).map(|n| f64::from(n).sin() * 10_f64.powi(n % 12 - 6)).collect();
        let of = |values: &mut dyn Iterator<Item = &f64>| {
            let mut sum = Sum::default();
            values.for_each(|value| sum.add(*value));
            sum.value()
        };
        let there = of(&mut values.iter());
        assert_eq!(there, of(&mut values.iter().rev()));
        assert!((there - values.iter().sum::<f64>()).abs() < 1e-9);
        assert!(of(&mut [1.0, f64::NAN].iter()).is_nan());
    }
}
