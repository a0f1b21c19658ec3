//! How likely mail of an hour is opened, apart from the clock.

use crate::email::effects::effect::Nodes;

/// Mail of one hour of one day.
pub(super) struct Mail {
    /// How many messages a user.
    pub(super) mass: f64,
    /// The distribution of the product of the factors that do not depend on the clock alone: its values in order, each with the probability
    /// of it or less, and with what the mean has from those.
    products: Vec<(f64, [f64; 2])>,
}

impl Mail {
    pub(super) const NONE: Self = Self { mass: 0.0, products: Vec::new() };

    pub(super) fn new(mass: f64, factors: &[Nodes]) -> Self {
        let mut products: Nodes = vec![(1.0, 1.0)];
        for factor in factors {
            let times = |&(value, weight): &(f64, f64)| factor.iter().map(move |(own, share)| (value * own, weight * share));
            products = products.iter().flat_map(times).collect::<Vec<_>>();
        }
        products.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let sums = products.into_iter().scan([0.0; 2], |sums, (value, weight)| {
            *sums = [sums[0] + weight, sums[1] + weight * value];
            Some((value, *sums))
        });
        Self { mass, products: sums.collect() }
    }

    /// E min(most, base × the factors).
    pub(super) fn expected(&self, base: f64, most: f64) -> f64 {
        let below = self.products.partition_point(|(value, _)| base * value <= most);
        let [weight, mean] = below.checked_sub(1).map_or([0.0; 2], |last| self.products[last].1);
        let total = self.products.last().map_or(0.0, |(_, [total, _])| *total);
        base * mean + most * (total - weight)
    }

    /// E(base × the factors) of any base up to `largest`, over that base; `None` where `most` cuts some of them.
    pub(super) fn uncut(&self, largest: f64, most: f64) -> Option<f64> {
        let (value, [_, mean]) = self.products.last()?;
        (largest * value <= most).then_some(*mean)
    }
}
