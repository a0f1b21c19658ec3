//! Lines in engagement: a probability, or the mean of a clipped normal, that grows with it.

use super::numbers::Symmetric;
use crate::stats::merge_fields;
use statrs::distribution::{Continuous, ContinuousCDF, Normal};

/// Engagement, which lies within 0 and 1, is told apart in so many parts; each stands for the mean of those in it.
const BINS: usize = 256;
const MOST_STEPS: usize = 100;
/// A step shorter than so many standard errors ends the search.
const SMALL_STEP: f64 = 1e-8;

/// The part of an engagement.
fn bin(engagement: f64) -> usize {
    ((engagement * BINS as f64) as usize).min(BINS - 1)
}

/// Observations by engagement.
#[derive(Clone, Debug)]
pub(crate) struct Bins {
    counts: Vec<[f64; 3]>,
}

merge_fields!(Bins { counts });
merge_fields!(Blind { users, sums, squares, product });
merge_fields!(Clipped { sums, at_bounds } same { bounds });

impl Default for Bins {
    fn default() -> Self {
        Self { counts: vec![[0.0; 3]; BINS] }
    }
}

/// The observations of one part.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bin {
    pub(crate) engagement: f64,
    pub(crate) trials: u64,
    pub(crate) successes: u64,
}

impl Bins {
    /// Adds trials, of which some succeeded.
    pub(crate) fn add(&mut self, engagement: f64, trials: u64, successes: u64) {
        let [n, k, sum] = &mut self.counts[bin(engagement)];
        *n += trials as f64;
        *k += successes as f64;
        *sum += trials as f64 * engagement;
    }

    /// The parts that hold something.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Bin> {
        let used = self.counts.iter().filter(|[n, ..]| *n > 0.0);
        used.map(|&[n, k, sum]| Bin { engagement: sum / n, trials: n as u64, successes: k as u64 })
    }

    pub(crate) fn trials(&self) -> u64 {
        self.iter().map(|bin| bin.trials).sum()
    }

    /// The line p = base + slope · e by maximum likelihood; `None` where the data does not tell it.
    pub(crate) fn line(&self) -> Option<Line> {
        /// No probability is closer to 0 or 1, where the information has no bound.
        const EDGE: f64 = 1e-6;
        let share = self.iter().map(|bin| bin.successes as f64).sum::<f64>() / self.trials() as f64;
        let mut values = [share.clamp(0.01, 0.99), 0.0];
        for _ in 0..MOST_STEPS {
            let mut information = Symmetric::zero(2);
            let mut score = [0.0; 2];
            for bin in self.iter() {
                let p = (values[0] + values[1] * bin.engagement).clamp(EDGE, 1.0 - EDGE);
                let (n, variance) = (bin.trials as f64, p * (1.0 - p));
                information.add_outer(&[(0, 1.0), (1, bin.engagement)], n / variance);
                let residual = (bin.successes as f64 - n * p) / variance;
                score = [score[0] + residual, score[1] + residual * bin.engagement];
            }
            let covariance = information.inverse()?;
            let step = covariance.times(&score);
            let errors = [0, 1].map(|place| covariance.at(place, place).sqrt());
            if (0..2).all(|place| step[place].abs() < SMALL_STEP * errors[place]) {
                return Some(Line { base: (values[0], errors[0]), slope: (values[1], errors[1]) });
            }
            // Towards a probability outside 0 to 1 only part of the way.
            let mut length = 1.0;
            let sound = |length: f64| {
                let base = values[0] + length * step[0];
                let top = base + values[1] + length * step[1];
                (0.0..=1.0).contains(&base) && (0.0..=1.0).contains(&top)
            };
            while !sound(length) && length > 1e-3 {
                length /= 2.0;
            }
            values = [values[0] + length * step[0], values[1] + length * step[1]];
        }
        None
    }
}

/// A line, each number with its standard error.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    pub(crate) base: (f64, f64),
    pub(crate) slope: (f64, f64),
}

/// Shares whose users' engagement is not known, only its mean and variance over the population: y successes of n tell y/n, which has the
/// mean of p, and y(y − 1)/(n(n − 1)), which has the mean of p².
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Blind {
    users: f64,
    /// Sums of both, of their squares, and of their product.
    sums: [f64; 2],
    squares: [f64; 2],
    product: f64,
}

impl Blind {
    /// Adds a user of two trials or more.
    pub(crate) fn add(&mut self, trials: u64, successes: u64) {
        if trials < 2 {
            return;
        }
        let (n, y) = (trials as f64, successes as f64);
        let (a, c) = (y / n, y * (y - 1.0) / (n * (n - 1.0)));
        self.users += 1.0;
        self.sums = [self.sums[0] + a, self.sums[1] + c];
        self.squares = [self.squares[0] + a * a, self.squares[1] + c * c];
        self.product += a * c;
    }

    pub(crate) fn users(&self) -> u64 {
        self.users as u64
    }

    /// The line p = base + slope · e, slope above 0, by the method of moments; errors by the delta method.
    pub(crate) fn line(&self, mean: f64, variance: f64) -> Option<Line> {
        let n = self.users;
        let [m1, m2] = self.sums.map(|sum| sum / n);
        let slope = ((m2 - m1 * m1) / variance).sqrt();
        let [v1, v2] = [self.squares[0] / n - m1 * m1, self.squares[1] / n - m2 * m2];
        let joint = self.product / n - m1 * m2;
        // Derivatives of slope and base by m1 and m2.
        let by = |of: [f64; 2]| ((of[0] * of[0] * v1 + of[1] * of[1] * v2 + 2.0 * of[0] * of[1] * joint) / n).sqrt();
        let slope_by = [-m1 / (slope * variance), 1.0 / (2.0 * slope * variance)];
        let base_by = [1.0 - mean * slope_by[0], -mean * slope_by[1]];
        let line = Line { base: (m1 - slope * mean, by(base_by)), slope: (slope, by(slope_by)) };
        (slope > 0.0 && line.slope.1.is_finite()).then_some(line)
    }
}

/// A normal measure about a mean that is a line in engagement, clipped at known bounds (Tobin, "Estimation of relationships for limited
/// dependent variables", 1958), by maximum likelihood in the numbers in which it is concave (Olsen, "Note on the uniqueness of the
/// maximum likelihood estimator for the Tobit model", 1978): base, slope and measure over the deviation.
#[derive(Clone, Debug)]
pub(crate) struct Clipped {
    bounds: [f64; 2],
    /// Of what was not clipped: number, sums of x, e, x², x e, e².
    sums: [f64; 6],
    /// What was clipped to each bound.
    at_bounds: [Bins; 2],
}

/// Measures are told to hundredths: what rounds to a bound may have been clipped to it.
const ROUNDING: f64 = 0.005;

impl Clipped {
    pub(crate) fn new(low: f64, high: f64) -> Self {
        Self { bounds: [low, high], sums: [0.0; 6], at_bounds: [Bins::default(), Bins::default()] }
    }

    /// Adds a measure.
    pub(crate) fn add(&mut self, engagement: f64, x: f64) {
        if x < self.bounds[0] + ROUNDING {
            self.at_bounds[0].add(engagement, 1, 0);
        } else if x > self.bounds[1] - ROUNDING {
            self.at_bounds[1].add(engagement, 1, 0);
        } else {
            let e = engagement;
            for (sum, term) in self.sums.iter_mut().zip([1.0, x, e, x * x, x * e, e * e]) {
                *sum += term;
            }
        }
    }

    pub(crate) fn n(&self) -> u64 {
        self.sums[0] as u64 + self.at_bounds[0].trials() + self.at_bounds[1].trials()
    }

    /// The line of the mean, and the deviation with its error.
    pub(crate) fn line(&self) -> Option<(Line, (f64, f64))> {
        let [n, x, e, xx, xe, ee] = self.sums;
        // Ordinary least squares of what was not clipped, to begin with.
        let spread = ee / n - (e / n).powi(2);
        let slope = (xe / n - x / n * e / n) / spread;
        let base = x / n - slope * e / n;
        let variance = xx / n - (x / n).powi(2) - slope * slope * spread;
        let mut at = [base / variance.sqrt(), slope / variance.sqrt(), variance.sqrt().recip()];
        if at.iter().any(|value| !value.is_finite()) {
            return None;
        }
        for _ in 0..MOST_STEPS {
            let (score, information) = self.derivatives(at);
            let covariance = information.inverse()?;
            let step = covariance.times(&score);
            let small = (0..3).all(|place| step[place].abs() < SMALL_STEP * covariance.at(place, place).sqrt());
            // The precision must stay positive.
            let length = if at[2] + step[2] > 0.0 { 1.0 } else { 0.5 * at[2] / -step[2] };
            for (value, step) in at.iter_mut().zip(&step) {
                *value += length * step;
            }
            if small {
                let [base, slope] = [0, 1].map(|place| {
                    let value = at[place] / at[2];
                    (value, covariance.quadratic(&[(place, at[2].recip()), (2, -value / at[2])]).sqrt())
                });
                let deviation = at[2].recip();
                return Some((Line { base, slope }, (deviation, deviation * deviation * covariance.at(2, 2).sqrt())));
            }
        }
        None
    }

    /// The first derivatives of the logarithm of the likelihood, and the second with their sign turned.
    fn derivatives(&self, [base, slope, precision]: [f64; 3]) -> ([f64; 3], Symmetric) {
        let [n, x, e, xx, xe, ee] = self.sums;
        let mut score = [
            precision * x - base * n - slope * e,
            precision * xe - base * e - slope * ee,
            n / precision - precision * xx + base * x + slope * xe,
        ];
        let mut information = Symmetric::zero(3);
        for (row, column, value) in [(0, 0, n), (0, 1, e), (1, 1, ee), (0, 2, -x), (1, 2, -xe), (2, 2, n / precision.powi(2) + xx)] {
            information.add(row, column, value);
        }
        let normal = Normal::standard();
        for ((bound, clipped), sign) in self.bounds.into_iter().zip(&self.at_bounds).zip([1.0, -1.0]) {
            for bin in clipped.iter() {
                // P(clipped) = Φ(z).
                let z = sign * (precision * bound - base - slope * bin.engagement);
                let below = normal.cdf(z);
                let ratio = if below > 0.0 { normal.pdf(z) / below } else { -z };
                let by = [-sign, -sign * bin.engagement, sign * bound];
                let count = bin.trials as f64;
                (0..3).for_each(|place| score[place] += count * ratio * by[place]);
                information.add_outer(&[(0, by[0]), (1, by[1]), (2, by[2])], count * ratio * (z + ratio));
            }
        }
        (score, information)
    }
}
