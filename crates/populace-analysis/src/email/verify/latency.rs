//! How long messages take.

use super::Recipient;
use super::queries::Queries;
use crate::email::{Law, Message};
use crate::stats::{Pit, Test, binomial, merge_fields, normal_two_sided};
use crate::verify::board::{Board, Found, z};
use crate::verify::{Group, anywhere, mix};
use populace_core::email::laws::Cell;
use populace_core::email::{LatencyConfig, LognormalLatency, Span};
use populace_core::time::{DAY, Instant, MINUTE, SECOND};

/// Latencies are rounded to the millisecond, and those of more than a day are a day.
const HALF_MILLISECOND: f64 = 0.5e-3;
/// Of a spread below this, or a median below this many seconds, whole seconds are not one in a thousand.
const FINE: (f64, f64) = (0.05, 5.0);
/// A mean of so many values for the square of their skewness is normal out to five deviations.
const PER_SKEWNESS: f64 = 900.0;
/// Bins of the histogram: a thousandth of a natural logarithm wide, from a millisecond on.
const BINS: usize = 19_000;
const PER_UNIT: f64 = 1_000.0;
const CELLS: usize = 8;

/// Latencies by congestion.
pub(super) struct Latencies<'a> {
    law: &'a Law<'a>,
    cells: Vec<Pit>,
    sums: [f64; CELLS],
    /// Whole seconds, of the uniform law.
    seconds: Vec<u64>,
    whole: u64,
    n: u64,
    histogram: Vec<u64>,
    /// In the first minute after sending: where within it a delivery falls says the latency's own fraction.
    fractions: Pit,
}

fn number(cell: Cell) -> usize {
    usize::from(cell.top) + 2 * usize::from(cell.batch) + 4 * usize::from(cell.weekend)
}

fn cell(number: usize) -> Cell {
    Cell { top: number & 1 > 0, batch: number & 2 > 0, weekend: number & 4 > 0 }
}

fn describe(cell: Cell) -> String {
    let parts: Vec<&str> = [(cell.top, "top of the hour"), (cell.batch, "batch"), (cell.weekend, "weekend")]
        .into_iter()
        .filter_map(|(is, name)| is.then_some(name))
        .collect();
    if parts.is_empty() { "no congestion".into() } else { parts.join(" and ") }
}

fn bin(seconds: f64) -> usize {
    (((seconds * 1_000.0).max(1.0).ln() * PER_UNIT) as usize).min(BINS - 1)
}

/// The upper end of a bin, seconds.
fn upper(bin: usize) -> f64 {
    ((bin + 1) as f64 / PER_UNIT).exp() / 1_000.0
}

merge_fields!(Latencies<'_> { cells, sums, seconds, whole, n, histogram, fractions } same { law });

impl<'a> Latencies<'a> {
    pub(super) fn new(law: &'a Law<'a>) -> Self {
        Self {
            law,
            cells: vec![Pit::default(); CELLS],
            sums: [0.0; CELLS],
            seconds: Vec::new(),
            whole: 0,
            n: 0,
            histogram: vec![0; BINS],
            fractions: Pit::default(),
        }
    }

    pub(super) fn add(&mut self, recipient: &Recipient<'_>) {
        let model = self.law.model();
        for message in &recipient.history.messages {
            // Deferrals add to the latency of what is delivered later, and queues to that of blasts.
            let Some(delivered) = message.answered.filter(|_| message.blast.is_none()) else { continue };
            let latency = delivered.since(message.sent);
            let seconds = latency as f64 / SECOND as f64;
            let cell = model.latency_cell(message.sent);
            let place = place(self.law, cell, latency, mix(message.id as u64));
            self.n += 1;
            self.whole += u64::from(latency % SECOND == 0);
            self.sums[number(cell)] += seconds;
            self.histogram[bin(seconds)] += 1;
            self.cells[number(cell)].add(place);
            self.fractions.add(delivered.0.rem_euclid(MINUTE) as f64 / MINUTE as f64);
            if let LatencyConfig::Uniform(law) = &self.law.config().latency {
                self.seconds.resize((law.high_seconds - law.low_seconds) as usize + 1, 0);
                let place = latency / SECOND - i64::from(law.low_seconds);
                if let Some(count) = usize::try_from(place).ok().and_then(|place| self.seconds.get_mut(place)) {
                    *count += 1;
                }
            }
        }
    }

    pub(super) fn report(self, board: &mut Board, queries: &mut Queries) {
        let group = Group::Distribution;
        let name = "latencies by congestion";
        match &self.law.config().latency {
            LatencyConfig::Uniform(_) => {
                let expected = vec![1.0; self.seconds.len()];
                board.test(group, "latencies are whole seconds, equally likely", Found::cells(&self.seconds, &expected, "equal shares"));
            }
            LatencyConfig::Lognormal(law) => {
                let cells = self.cells.iter().enumerate().filter(|(_, sample)| sample.n() > 0);
                let found = Found::worst(cells.map(|(number, sample)| (describe(cell(number)), Found::places(sample))));
                board.try_test(group, name, found);
                let name = "latencies have millisecond resolution: one in a thousand is a whole number of seconds";
                // Factors spread the median, and those of a day are whole.
                let clipped = (0..CELLS).map(|cell| self.cells[cell].n() as f64 * self.clipped(cell)).sum::<f64>();
                if is_fine(law) && clipped < 1e-3 {
                    board.test(group, name, Found::share(self.whole, self.n, 1e-3));
                } else {
                    board.skip(group, name, "latencies are near a second, of next to no spread, or up to a day");
                }
            }
        }
        board.test(group, "the second within the minute of deliveries", Found::places(&self.fractions));
        queries.latency = self.query();
    }

    /// Mean, median and 95th percentile beside those of the law at these sends; then the mean at the top of the hour over the rest.
    fn query(&self) -> Option<[(&'static str, Found); 2]> {
        if self.n == 0 {
            return None;
        }
        let model = self.law.model();
        let moments: Vec<[f64; 3]> = (0..CELLS).map(|number| self.moments(cell(number))).collect();
        let counts: Vec<f64> = self.cells.iter().map(|sample| sample.n() as f64).collect();
        let n = self.n as f64;
        let sum = |of: &dyn Fn(usize) -> f64| (0..CELLS).map(of).sum::<f64>();
        let mean = sum(&|cell| counts[cell] * moments[cell][0]) / n;
        let variance = sum(&|cell| counts[cell] * moments[cell][1]);
        let observed = self.sums.iter().sum::<f64>() / n;
        let skewness = sum(&|cell| counts[cell] * moments[cell][2]).abs() / variance.max(1e-300).powf(1.5) * n.sqrt();
        let is_normal = n >= PER_SKEWNESS * skewness * skewness && sum(&|cell| counts[cell] * self.clipped(cell)) < 1e-3;
        let z = z(observed * n, mean * n, variance);
        let mut p = if is_normal { normal_two_sided(z) } else { 1.0 };
        let mixed = |seconds: f64| sum(&|number| counts[number] * model.latency_cdf(cell(number), seconds)) / n;
        let (mut told, mut law) = (Vec::new(), Vec::new());
        for share in [0.5, 0.95] {
            let own = self.quantile(share);
            let edge = (0..BINS).find(|&bin| mixed(upper(bin)) >= share).unwrap_or(BINS - 1);
            let below = self.cells.iter().map(|cell| cell.below((1_000.0 * share) as usize)).sum();
            p = p.min(binomial(below, self.n, share));
            told.push(own);
            law.push(upper(edge));
        }
        let stats = Found {
            n: self.n,
            observed: format!("mean {observed:.2} s, median {:.2}, p95 {:.2}", told[0], told[1]),
            expected: format!("mean {mean:.2}, median {:.2}, p95 {:.2}", law[0], law[1]),
            test: Test { statistic: z, p_value: (3.0 * p).min(1.0) },
        };
        // By the top of the hour and the rest: the ratio of means is shown, and the shares above the median are held against a half.
        let part = |top: bool| {
            let cells: Vec<usize> = (0..CELLS).filter(|number| cell(*number).top == top).collect();
            let of = |value: &dyn Fn(usize) -> f64| cells.iter().map(|cell| value(*cell)).sum::<f64>();
            let n = of(&|cell| counts[cell]);
            let p = binomial(cells.iter().map(|cell| self.cells[*cell].below(500)).sum(), n as u64, 0.5);
            (n, of(&|cell| self.sums[cell]) / n, of(&|cell| counts[cell] * moments[cell][0]) / n, p)
        };
        let ((many, at_top, law_top, p_top), (others, rest, law_rest, p_rest)) = (part(true), part(false));
        let peak = if many > 0.0 && others > 0.0 {
            let (ratio, expected) = (at_top / rest, law_top / law_rest);
            let test = Test { statistic: ratio / expected, p_value: (2.0 * p_top.min(p_rest)).min(1.0) };
            Found { n: self.n, observed: format!("{ratio:.2} times"), expected: format!("{expected:.2} times"), test }
        } else {
            Found {
                n: 0,
                observed: "no congestion at the top of the hour".into(),
                expected: "none".into(),
                test: Test { statistic: 0.0, p_value: 1.0 },
            }
        };
        Some([
            ("latency_seconds: avg, quantile 0.5 and 0.95", stats),
            ("latency_seconds by hour and minute: top of the hour over the rest", peak),
        ])
    }

    fn quantile(&self, share: f64) -> f64 {
        let wanted = share * self.n as f64;
        let mut below = 0.0;
        for (bin, count) in self.histogram.iter().enumerate() {
            below += *count as f64;
            if below >= wanted {
                return upper(bin);
            }
        }
        f64::NAN
    }

    /// P(a latency of a cell is set to a day).
    fn clipped(&self, number: usize) -> f64 {
        1.0 - self.law.model().latency_cdf(cell(number), (DAY / SECOND) as f64)
    }

    /// Mean, variance and third central moment of the latency in a cell.
    fn moments(&self, cell: Cell) -> [f64; 3] {
        match &self.law.config().latency {
            LatencyConfig::Uniform(law) => {
                let (low, high) = (f64::from(law.low_seconds), f64::from(law.high_seconds));
                let values = high - low + 1.0;
                [0.5 * (low + high), (values * values - 1.0) / 12.0, 0.0]
            }
            LatencyConfig::Lognormal(law) => lognormal_moments(law, cell),
        }
    }
}

fn lognormal_moments(law: &LognormalLatency, cell: Cell) -> [f64; 3] {
    let variance = law.sigma * law.sigma;
    let mut raw = [1.0, 2.0, 3.0].map(|power: f64| law.median_seconds.powf(power) * (0.5 * power * power * variance).exp());
    let top = law.top_of_hour.as_ref().filter(|_| cell.top).map(|law| law.factor);
    let batch = law.batch.as_ref().filter(|_| cell.batch).map(|law| law.factor);
    let weekend = law.weekend.as_ref().filter(|_| cell.weekend).map(|law| Span { low: law.factor, high: law.factor });
    for Span { low, high } in [top, batch, weekend].into_iter().flatten() {
        raw[0] *= 0.5 * (low + high);
        raw[1] *= (low * low + low * high + high * high) / 3.0;
        raw[2] *= (low + high) * (low * low + high * high) / 4.0;
    }
    let [first, second, third] = raw;
    [first, second - first * first, third - 3.0 * first * second + 2.0 * first * first * first]
}

/// The place of a message's latency within its distribution.
pub(super) fn place_of(law: &Law<'_>, message: &Message) -> Option<f64> {
    let latency = message.answered.filter(|_| message.blast.is_none())?.since(message.sent);
    Some(place(law, law.model().latency_cell(message.sent), latency, mix(message.id as u64)))
}

/// The place of a latency within its distribution: anywhere within its own share, by a hash.
fn place(law: &Law<'_>, cell: Cell, latency: i64, salt: u64) -> f64 {
    let model = law.model();
    let seconds = latency as f64 / SECOND as f64;
    let share = match &law.config().latency {
        LatencyConfig::Uniform(_) => [model.latency_cdf(cell, seconds - 1.0), model.latency_cdf(cell, seconds)],
        LatencyConfig::Lognormal(_) if latency >= DAY => [model.latency_cdf(cell, seconds - HALF_MILLISECOND), 1.0],
        LatencyConfig::Lognormal(law) if is_fine(law) => [model.latency_cdf(cell, seconds); 2],
        LatencyConfig::Lognormal(_) => {
            let low = if latency == 0 { 0.0 } else { model.latency_cdf(cell, seconds - HALF_MILLISECOND) };
            [low, model.latency_cdf(cell, seconds + HALF_MILLISECOND)]
        }
    };
    anywhere(share, salt)
}

/// Whether milliseconds are too fine to be seen.
fn is_fine(law: &LognormalLatency) -> bool {
    law.sigma >= FINE.0 && law.median_seconds >= FINE.1
}

/// When a moment is, in minutes since another.
pub(super) fn minutes(moment: Instant, since: Instant) -> f64 {
    moment.since(since) as f64 / MINUTE as f64
}
