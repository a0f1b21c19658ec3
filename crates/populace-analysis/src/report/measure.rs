//! What is counted on the way through the data, in memory that does not grow with it.

use super::figure::{Draw, Role, Series};
use crate::stats::{Merge, Sum, merge_fields};
use statrs::distribution::{ChiSquared, ContinuousCDF};

/// The 97.5% point of the standard normal law.
pub(crate) const Z: f64 = 1.959_963_984_540_054;

/// The 95% interval of a share: Wilson, "Probable inference, the law of succession, and statistical inference" (1927).
pub(crate) fn wilson(hits: u64, n: u64) -> Option<(f64, f64)> {
    if n == 0 {
        return None;
    }
    let (n, p) = (n as f64, hits as f64 / n as f64);
    let middle = (p + Z * Z / (2.0 * n)) / (1.0 + Z * Z / n);
    let half = Z / (1.0 + Z * Z / n) * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    Some(((middle - half).max(0.0), (middle + half).min(1.0)))
}

/// A share for people.
pub(crate) fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "none".into(), |share| format!("{:.1}%", 100.0 * share))
}

/// How often something happened, and how often its law says it should have.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rate {
    /// Occasions.
    pub(crate) n: u64,
    /// Occasions on which it happened.
    pub(crate) hits: u64,
    /// The sums of the probabilities that are known and of their squares, and how many are not.
    expected: Sum,
    squares: Sum,
    unknown: u64,
}

impl Rate {
    /// Of occasions counted elsewhere.
    pub(crate) fn counted(hits: u64, n: u64) -> Self {
        Self { n, hits, unknown: n, ..Self::default() }
    }

    /// With the same probability of each occasion.
    pub(crate) fn of(mut self, probability: f64) -> Self {
        self.expected = Sum::default();
        self.expected.add(self.n as f64 * probability);
        self.squares = Sum::default();
        self.squares.add(self.n as f64 * probability * probability);
        self.unknown = 0;
        self
    }

    /// One occasion with its probability, where that is known.
    pub(crate) fn add(&mut self, hit: bool, expected: Option<f64>) {
        self.n += 1;
        self.hits += u64::from(hit);
        self.expected.add(expected.unwrap_or(0.0));
        self.squares.add(expected.unwrap_or(0.0).powi(2));
        self.unknown += u64::from(expected.is_none());
    }

    /// The occasions of both.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.n += other.n;
        self.hits += other.hits;
        Merge::combine(&mut self.expected, other.expected);
        Merge::combine(&mut self.squares, other.squares);
        self.unknown += other.unknown;
    }

    /// The share of occasions on which it happened.
    pub(crate) fn share(&self) -> Option<f64> {
        (self.n > 0).then(|| self.hits as f64 / self.n as f64)
    }

    /// The mean of the probabilities, if all are known.
    pub(crate) fn mean_expected(&self) -> Option<f64> {
        (self.n > 0 && self.unknown == 0).then(|| self.expected.value() / self.n as f64)
    }
}

/// Whether rates agree with their probabilities, in a sentence that begins with a blank: how many lie within two standard errors, and the
/// p-value of all by Pearson's chi-square. Points with a variance below [`LEAST_VARIANCE`] are pooled with the next. Empty where no
/// probability is known.
pub(crate) fn agreement<'a>(rates: impl IntoIterator<Item = &'a Rate>) -> String {
    let known = rates.into_iter().filter(|rate| rate.n > 0 && rate.unknown == 0);
    deviations(known.map(|rate| (rate.hits as f64, rate.expected.value(), rate.expected.value() - rate.squares.value())))
}

/// As [`agreement`], of counts, their expectations and their variances.
pub(crate) fn deviations(counts: impl Iterator<Item = (f64, f64, f64)>) -> String {
    let (mut points, mut near, mut square) = (0_u32, 0_u32, 0.0);
    let mut pooled = [0.0; 2];
    for (count, expected, variance) in counts {
        pooled = [pooled[0] + count - expected, pooled[1] + variance];
        if pooled[1] >= LEAST_VARIANCE {
            let [difference, variance] = std::mem::take(&mut pooled);
            points += 1;
            near += u32::from(difference.abs() <= 2.0 * variance.sqrt());
            square += difference * difference / variance;
        }
    }
    if points == 0 {
        return String::new();
    }
    let p = ChiSquared::new(f64::from(points)).expect("degrees of freedom are positive").sf(square);
    let p_value = if p < 1e-4 { "below 0.0001".to_owned() } else { format!("{p:.4}") };
    let verdict = if p < 1e-3 { ": they do not agree" } else { "" };
    if points == 1 {
        return format!(" The p-value of the difference from the truth: {p_value}{verdict}.");
    }
    format!(
        " Of {points} points, {near} lie within two standard errors of the truth (about 95% should); p-value of all: {p_value}{verdict}."
    )
}

/// The variance that a count needs to be about normal.
const LEAST_VARIANCE: f64 = 5.0;

impl Merge for Rate {
    fn combine(&mut self, later: Self) {
        Self::merge(self, &later);
    }
}

impl Merge for Sketch {
    fn combine(&mut self, later: Self) {
        Self::merge(self, &later);
    }
}

/// Two counts of each actor, and what the spread of their sums follows from.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spread {
    actors: u64,
    sums: [u64; 2],
    /// Of x², x·y and y².
    products: [i128; 3],
}

merge_fields!(Spread { actors, sums, products });

impl Spread {
    /// One actor's counts.
    pub(crate) fn add(&mut self, x: u64, y: u64) {
        self.actors += 1;
        Merge::combine(&mut self.sums, [x, y]);
        let (x, y) = (i128::from(x), i128::from(y));
        Merge::combine(&mut self.products, [x * x, x * y, y * y]);
    }

    /// The standard error of the sum of x, the actors being a sample.
    pub(crate) fn of_sum(&self) -> Option<f64> {
        let (n, x) = (self.actors as f64, self.sums[0] as f64);
        (self.actors > 1).then(|| ((self.products[0] as f64 - x * x / n).max(0.0) * n / (n - 1.0)).sqrt())
    }

    /// The standard error of Σx / Σy, linearised: Cochran, "Sampling Techniques" (1977), section 6.3.
    pub(crate) fn of_ratio(&self) -> Option<f64> {
        let (n, [x, y]) = (self.actors as f64, self.sums.map(|sum| sum as f64));
        let ratio = x / y;
        let squares = self.products[0] as f64 - 2.0 * ratio * self.products[1] as f64 + ratio * ratio * self.products[2] as f64;
        (self.actors > 1 && y > 0.0).then(|| (squares.max(0.0) * n / (n - 1.0)).sqrt() / y)
    }
}

/// Values in bins beside what is expected of them: bars with their intervals, and ticks.
pub(crate) fn binned(counts: &[u64], expected: Option<&[f64]>) -> (Vec<Series>, String) {
    let n = counts.iter().sum();
    let rates: Vec<Rate> = counts.iter().map(|count| Rate::counted(*count, n)).collect();
    let mut series = vec![observed("observed", Role::Observed, Draw::Bars, &rates)];
    let Some(expected) = expected else { return (series, String::new()) };
    let total: f64 = expected.iter().sum();
    let shares = expected.iter().map(|mass| (total > 0.0).then(|| mass / total)).collect();
    series.push(Series::new("true", Role::Truth, Draw::Ticks, shares));
    (series, deviations(counts.iter().zip(expected).map(|(count, expected)| (*count as f64, *expected, *expected))))
}

/// Observed shares with their intervals.
pub(crate) fn observed(name: &str, role: Role, draw: Draw, rates: &[Rate]) -> Series {
    let ends: Vec<_> = rates.iter().map(|rate| wilson(rate.hits, rate.n)).collect();
    let mut series = Series::new(name, role, draw, rates.iter().map(Rate::share).collect());
    series.low = ends.iter().map(|ends| ends.map(|ends| ends.0)).collect();
    series.high = ends.iter().map(|ends| ends.map(|ends| ends.1)).collect();
    series.n = rates.iter().map(|rate| rate.n).collect();
    series
}

/// The means of the probabilities.
pub(crate) fn expected(name: &str, draw: Draw, rates: &[Rate]) -> Series {
    Series::new(name, Role::Truth, draw, rates.iter().map(Rate::mean_expected).collect())
}

/// Quantiles of positive values, each within half a percent of the true one: counts of values in bins of equal ratio.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sketch {
    counts: Vec<u64>,
    n: u64,
    sum: Sum,
}

impl Sketch {
    /// The least value that is told apart from 0.
    const LEAST: f64 = 1e-3;
    /// The ratio of a bin's ends.
    const RATIO: f64 = 1.01;
    /// Beyond 9e9 values are one.
    const BINS: usize = 3_000;

    pub(crate) fn add(&mut self, value: f64) {
        let bin = ((value.max(Self::LEAST) / Self::LEAST).ln() / Self::RATIO.ln()) as usize;
        let bin = bin.min(Self::BINS - 1);
        if self.counts.len() <= bin {
            self.counts.resize(bin + 1, 0);
        }
        self.counts[bin] += 1;
        self.n += 1;
        self.sum.add(value);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        if self.counts.len() < other.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.n += other.n;
        Merge::combine(&mut self.sum, other.sum);
    }

    pub(crate) fn n(&self) -> u64 {
        self.n
    }

    pub(crate) fn mean(&self) -> Option<f64> {
        (self.n > 0).then(|| self.sum.value() / self.n as f64)
    }

    /// The value below which a share `q` of the values lies.
    pub(crate) fn quantile(&self, q: f64) -> Option<f64> {
        let rank = q * self.n as f64;
        let mut below = 0;
        for (bin, &count) in self.counts.iter().enumerate() {
            if count > 0 && (below + count) as f64 >= rank {
                let within = ((rank - below as f64) / count as f64).clamp(0.0, 1.0);
                return Some(Self::LEAST * Self::RATIO.powf(bin as f64 + within));
            }
            below += count;
        }
        None
    }

    /// The standard error of the median: half of what lies between the quantiles one standard error of a share of one half apart.
    pub(crate) fn of_median(&self) -> Option<f64> {
        let half = 0.5 / (self.n as f64).sqrt();
        (self.n > 1).then(|| Some((self.quantile(0.5 + half)? - self.quantile(0.5 - half)?) / 2.0)).flatten()
    }
}

/// The value at which a law's distribution function reaches `q`, between `low` and `high`, by bisection.
pub(crate) fn quantile_of(cdf: impl Fn(f64) -> f64, q: f64, mut low: f64, mut high: f64) -> f64 {
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if cdf(middle) < q { low = middle } else { high = middle }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilsons_interval_is_that_of_the_textbook() {
        // Newcombe, "Two-sided confidence intervals for the single proportion" (1998), table I: 81 of 263 and 0 of 20.
        let (low, high) = wilson(81, 263).unwrap();
        assert!((low - 0.2553).abs() < 5e-5 && (high - 0.3662).abs() < 5e-5, "{low} {high}");
        let (low, high) = wilson(0, 20).unwrap();
        assert!(low == 0.0 && (high - 0.1611).abs() < 5e-5, "{low} {high}");
        assert_eq!(wilson(0, 0), None);
    }

    #[test]
    fn spreads_are_those_of_the_textbook() {
        let mut spread = Spread::default();
        for (x, y) in [(1, 2), (2, 3), (3, 7)] {
            spread.add(x, y);
        }
        // The deviations from the mean, 2, are −1, 0, 1; those from y / 2 are 0, 1/2 and −1/2.
        assert!((spread.of_sum().unwrap() - (3.0_f64 / 2.0 * 2.0).sqrt()).abs() < 1e-12);
        assert!((spread.of_ratio().unwrap() - (3.0_f64 / 2.0 * 0.5).sqrt() / 12.0).abs() < 1e-12);
        assert_eq!((Spread::default().of_sum(), Spread::default().of_ratio()), (None, None));
    }

    #[test]
    fn rates_that_miss_their_probabilities_are_found() {
        let rates = |hits: [u64; 3]| hits.map(|hits| Rate::counted(hits, 1_000).of(0.5));
        // The squares of the deviations are 0.4, 0.1 and 4.9 times the variance: a chi-square of 5.4 with three degrees of freedom.
        let sound = agreement(&rates([510, 505, 465]));
        assert_eq!(sound, " Of 3 points, 2 lie within two standard errors of the truth (about 95% should); p-value of all: 0.1447.");
        assert!(agreement(&rates([510, 505, 420])).ends_with("below 0.0001: they do not agree."));
        assert_eq!(agreement(&[Rate::counted(3, 10)]), "");
        // Too few to say anything by themselves.
        assert!(agreement(&[Rate::counted(1, 10).of(0.5); 4]).starts_with(" Of 2 points"));
    }

    #[test]
    fn a_sketch_tells_quantiles_within_its_bins() {
        let mut sketch = Sketch::default();
        (1..=10_000).for_each(|value| sketch.add(f64::from(value)));
        for q in [0.05, 0.5, 0.95] {
            let found = sketch.quantile(q).unwrap();
            assert!((found / (q * 10_000.0) - 1.0).abs() < 0.005, "{q}: {found}");
        }
        // Of a uniform distribution on 0 to 10,000 it is 10,000 / 2√n = 50.
        assert!((sketch.of_median().unwrap() - 50.0).abs() < 1.0);
        assert_eq!(sketch.n(), 10_000);
        assert!((sketch.mean().unwrap() - 5_000.5).abs() < 1e-6);
        assert_eq!(Sketch::default().quantile(0.5), None);
    }
}
