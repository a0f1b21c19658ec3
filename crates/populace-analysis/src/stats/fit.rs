//! How well counts and samples fit a law.

use super::{binomial, chi_square_tail, normal_two_sided};

/// What a test found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Test {
    /// Its statistic.
    pub statistic: f64,
    /// Its p-value.
    pub p_value: f64,
}

/// Cells expected below this are pooled.
const LEAST_EXPECTED: f64 = 10.0;

/// The likelihood ratio of counts against expected counts of the same total, G² = 2 Σ o ln(o/e), as χ² with one degree of freedom less
/// than there are cells, under Williams' correction; of two cells, the exact binomial probability. Its tail is right far out, where Pearson's is not: Pearson's statistic of one cell
/// of 10 passes the threshold of 1e-7 thirty times too often. Cells expected below 10 are pooled into one, least first. A count where
/// nothing is expected has probability 0.
///
/// # Panics
/// There are not as many counts as expectations.
pub fn likelihood_ratio(observed: &[u64], expected: &[f64]) -> Test {
    assert_eq!(observed.len(), expected.len(), "a count for each expectation");
    let n: u64 = observed.iter().sum();
    let total: f64 = expected.iter().sum();
    if n == 0 || total <= 0.0 {
        return Test { statistic: 0.0, p_value: if n == 0 { 1.0 } else { 0.0 } };
    }
    let scale = n as f64 / total;
    let mut cells: Vec<(f64, f64)> = Vec::new();
    for (&count, &mean) in observed.iter().zip(expected) {
        if mean <= 0.0 && count > 0 {
            return Test { statistic: f64::INFINITY, p_value: 0.0 };
        }
        if mean > 0.0 {
            cells.push((mean * scale, count as f64));
        }
    }
    cells.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut pooled: Vec<(f64, f64)> = Vec::new();
    for cell in cells {
        match pooled.last_mut() {
            Some(last) if last.0 < LEAST_EXPECTED => {
                last.0 += cell.0;
                last.1 += cell.1;
            }
            _ => pooled.push(cell),
        }
    }
    // What is left over at the end may be too few.
    if let Some(rest) = pooled.pop_if(|last| last.0 < LEAST_EXPECTED)
        && let Some(last) = pooled.last_mut()
    {
        last.0 += rest.0;
        last.1 += rest.1;
    }
    if pooled.len() < 2 {
        return Test { statistic: 0.0, p_value: 1.0 };
    }
    let freedom = (pooled.len() - 1) as f64;
    let g: f64 = pooled.iter().map(|&(mean, count)| 2.0 * if count > 0.0 { count * (count / mean).ln() } else { 0.0 }).sum();
    // Williams, "Improved likelihood ratio tests for complete contingency tables", 1976.
    let inverse: f64 = pooled.iter().map(|&(mean, _)| n as f64 / mean).sum();
    let correction = 1.0 + (inverse - 1.0) / (6.0 * n as f64 * freedom);
    let statistic = g.max(0.0) / correction;
    // Of two cells, the count is binomial.
    let p_value =
        if let [(mean, count), _] = pooled[..] { binomial(count as u64, n, mean / n as f64) } else { chi_square_tail(statistic, freedom) };
    Test { statistic, p_value }
}

/// Whether counts scatter as their law says: Σ (o − e)² / v over `cells` independent counts, whose mean is `cells` and whose variance
/// `variance` is (2 + excess kurtosis, summed); two-sided, by the gamma law of the same two moments below 1,000 cells.
pub fn dispersion(statistic: f64, cells: u64, variance: f64) -> Test {
    let mean = cells as f64;
    if cells == 0 || variance <= 0.0 {
        return Test { statistic, p_value: 1.0 };
    }
    // A gamma law is χ² with `freedom` degrees, scaled.
    let freedom = 2.0 * mean * mean / variance;
    let p_value = if cells > 100_000 {
        normal_two_sided((statistic - mean) / variance.sqrt())
    } else {
        let upper = chi_square_tail(statistic * freedom / mean, freedom);
        2.0 * upper.min(1.0 - upper)
    };
    Test { statistic: statistic / mean, p_value: p_value.clamp(0.0, 1.0) }
}

/// Bins of a probability integral transform.
const BINS: usize = 1_000;
/// Bins that are compared by their counts: so many of the fine ones make one.
const COARSE: usize = 50;

/// A sample by the places of its values within their law, F(x), which are uniform if the law holds: counted in 1,000 bins, whatever the
/// size of the sample.
#[derive(Clone, Debug)]
pub struct Pit {
    bins: Vec<u64>,
    n: u64,
}

impl Default for Pit {
    fn default() -> Self {
        Self { bins: vec![0; BINS], n: 0 }
    }
}

super::merge_fields!(Pit { bins, n });

impl Pit {
    /// Adds a value by its place, F(x).
    pub fn add(&mut self, place: f64) {
        self.bins[((place * BINS as f64).max(0.0) as usize).min(BINS - 1)] += 1;
        self.n += 1;
    }

    /// How many values lie below a share of their distribution, in thousandths.
    pub fn below(&self, thousandths: usize) -> u64 {
        self.bins[..thousandths].iter().sum()
    }

    /// The size of the sample.
    pub fn n(&self) -> u64 {
        self.n
    }

    /// The greatest distance between the sample's distribution function and the law's, at the bins' ends, and the bound of Dvoretzky,
    /// Kiefer, Wolfowitz and Massart (1990) on its probability, 2 exp(−2 n d²), which holds at every n.
    pub fn distance(&self) -> Test {
        let (mut below, mut distance) = (0, 0.0_f64);
        for (bin, count) in self.bins.iter().enumerate() {
            below += count;
            distance = distance.max((below as f64 / self.n.max(1) as f64 - (bin + 1) as f64 / BINS as f64).abs());
        }
        let n = self.n as f64;
        let distance = if self.n == 0 { 0.0 } else { distance };
        Test { statistic: distance, p_value: (2.0 * (-2.0 * n * distance * distance).exp()).min(1.0) }
    }

    /// The distance together with the likelihood ratio of 20 equal bins, which sees what a distance does not: the smaller p-value,
    /// doubled. The statistic is the distance.
    pub fn test(&self) -> Test {
        let distance = self.distance();
        let coarse: Vec<u64> = self.bins.chunks(COARSE).map(|bins| bins.iter().sum()).collect();
        let shares = vec![1.0; coarse.len()];
        let ratio = likelihood_ratio(&coarse, &shares);
        Test { p_value: (2.0 * distance.p_value.min(ratio.p_value)).min(1.0), ..distance }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::poisson;

    /// A sequence that is uniform enough (Weyl).
    fn weyl(n: u32) -> impl Iterator<Item = f64> {
        (1..=n).map(|place| (f64::from(place) * 0.618_033_988_749_894_9).fract())
    }

    #[test]
    fn places_that_are_uniform_pass_and_others_do_not() {
        let mut sample = Pit::default();
        weyl(20_000).for_each(|place| sample.add(place));
        assert!(sample.test().p_value > 0.9 && sample.n() == 20_000);
        let mut bent = Pit::default();
        weyl(20_000).for_each(|place| bent.add(place.powf(1.1)));
        assert!(bent.test().p_value < 1e-6, "{:?}", bent.test());
        // A lattice keeps the distribution function near the law's, and a bin's count does not.
        let mut lattice = Pit::default();
        weyl(20_000).for_each(|place| lattice.add((place * 30.0).floor() / 30.0 + 1.0 / 60.0));
        assert!(lattice.test().p_value < 1e-6);
    }

    #[test]
    fn likelihood_ratios_know_their_tails() {
        assert!(likelihood_ratio(&[50, 50], &[1.0, 1.0]).p_value > 0.99);
        assert!(likelihood_ratio(&[1, 99], &[0.0, 1.0]).p_value == 0.0);
        assert!(likelihood_ratio(&[0, 0], &[1.0, 2.0]).p_value == 1.0);
        // One rare cell beside a common one is a Poisson count: the tail is that of the exact test, within a factor of 3.
        for count in [22_u64, 30, 38] {
            let told = likelihood_ratio(&[count, 1_000_000 - count], &[12.0, 999_988.0]).p_value;
            let exact = poisson(count, 12.0);
            assert!(told / exact < 3.0 && told / exact > 0.3, "{count}: {told:e} beside {exact:e}");
        }
    }

    #[test]
    fn dispersion_is_two_sided() {
        assert!(dispersion(350.0, 350, 700.0).p_value > 0.9);
        assert!(dispersion(550.0, 350, 700.0).p_value < 1e-6);
        assert!(dispersion(200.0, 350, 700.0).p_value < 1e-6);
    }
}
