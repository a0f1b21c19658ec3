//! How long messages take.

use super::Recipient;
use super::queries::Queries;
use crate::email::Law;
use crate::stats::{Pit, Test, binomial, merge_fields, normal_two_sided};
use crate::verify::Group;
use crate::verify::board::{Board, Found, z};
use populace_core::email::laws::Cell;
use populace_core::email::{LatencyConfig, LognormalLatency, Span};
use populace_core::time::{Instant, MINUTE, SECOND};

/// Latencies below this, seconds, are on a lattice of milliseconds.
const FINE_SECONDS: f64 = 0.5;
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
            let Some(delivered) = message.delivered else { continue };
            let latency = delivered.since(message.sent);
            let seconds = latency as f64 / SECOND as f64;
            let cell = model.latency_cell(message.sent);
            self.n += 1;
            self.whole += u64::from(latency % SECOND == 0);
            self.sums[number(cell)] += seconds;
            self.histogram[bin(seconds)] += 1;
            self.cells[number(cell)].add(model.latency_cdf(cell, seconds));
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
                let fine = law.median_seconds >= FINE_SECONDS && law.sigma >= 0.05;
                if fine {
                    let found = Found::worst(cells.map(|(number, sample)| (describe(cell(number)), Found::places(sample))));
                    board.try_test(group, name, found);
                    let found = Found::share(self.whole, self.n, 1e-3);
                    board.test(group, "latencies have millisecond resolution: one in a thousand is a whole number of seconds", found);
                } else {
                    board.skip(group, name, "latencies are near a millisecond, or of next to no spread");
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
        let moments: Vec<(f64, f64)> = (0..CELLS).map(|number| self.moments(cell(number))).collect();
        let counts: Vec<f64> = self.cells.iter().map(|sample| sample.n() as f64).collect();
        let n = self.n as f64;
        let sum = |of: &dyn Fn(usize) -> f64| (0..CELLS).map(of).sum::<f64>();
        let mean = sum(&|cell| counts[cell] * moments[cell].0) / n;
        let deviation = sum(&|cell| counts[cell] * moments[cell].1).sqrt() / n;
        let observed = self.sums.iter().sum::<f64>() / n;
        let mut p = normal_two_sided((observed - mean) / deviation.max(1e-300));
        let mixed = |seconds: f64| sum(&|number| counts[number] * model.latency_cdf(cell(number), seconds)) / n;
        let (mut told, mut law) = (Vec::new(), Vec::new());
        for share in [0.5, 0.95] {
            let own = self.quantile(share);
            let edge = (0..BINS).find(|&bin| mixed(upper(bin)) >= share).unwrap_or(BINS - 1);
            let below: u64 = self.histogram[..=edge].iter().sum();
            p = p.min(binomial(below, self.n, mixed(upper(edge)).clamp(0.0, 1.0)));
            told.push(own);
            law.push(upper(edge));
        }
        let stats = Found {
            n: self.n,
            observed: format!("mean {observed:.2} s, median {:.2}, p95 {:.2}", told[0], told[1]),
            expected: format!("mean {mean:.2}, median {:.2}, p95 {:.2}", law[0], law[1]),
            test: Test { statistic: z(observed, mean, deviation * deviation), p_value: (3.0 * p).min(1.0) },
        };
        // By the top of the hour and the rest.
        let part = |top: bool| {
            let of = |value: &dyn Fn(usize) -> f64| (0..CELLS).filter(|number| cell(*number).top == top).map(value).sum::<f64>();
            let n = of(&|cell| counts[cell]);
            (
                n,
                of(&|cell| self.sums[cell]) / n,
                of(&|cell| counts[cell] * moments[cell].0) / n,
                of(&|cell| counts[cell] * moments[cell].1) / n / n,
            )
        };
        let ((many, at_top, law_top, var_top), (others, rest, law_rest, var_rest)) = (part(true), part(false));
        let peak = if many > 0.0 && others > 0.0 {
            let (ratio, expected) = (at_top / rest, law_top / law_rest);
            let variance = expected * expected * (var_top / (law_top * law_top) + var_rest / (law_rest * law_rest));
            let test = Test { statistic: z(ratio, expected, variance), p_value: normal_two_sided(z(ratio, expected, variance)) };
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

    /// Mean and variance of the latency in a cell.
    fn moments(&self, cell: Cell) -> (f64, f64) {
        match &self.law.config().latency {
            LatencyConfig::Uniform(law) => {
                let (low, high) = (f64::from(law.low_seconds), f64::from(law.high_seconds));
                let values = high - low + 1.0;
                (0.5 * (low + high), (values * values - 1.0) / 12.0)
            }
            LatencyConfig::Lognormal(law) => lognormal_moments(law, cell),
        }
    }
}

fn lognormal_moments(law: &LognormalLatency, cell: Cell) -> (f64, f64) {
    let variance = law.sigma * law.sigma;
    let mut first = law.median_seconds * (0.5 * variance).exp();
    let mut second = law.median_seconds * law.median_seconds * (2.0 * variance).exp();
    let top = law.top_of_hour.as_ref().filter(|_| cell.top).map(|law| law.factor);
    let batch = law.batch.as_ref().filter(|_| cell.batch).map(|law| law.factor);
    let weekend = law.weekend.as_ref().filter(|_| cell.weekend).map(|law| Span { low: law.factor, high: law.factor });
    for Span { low, high } in [top, batch, weekend].into_iter().flatten() {
        first *= 0.5 * (low + high);
        second *= (low * low + low * high + high * high) / 3.0;
    }
    (first, second - first * first)
}

/// When a moment is, in minutes since another.
pub(super) fn minutes(moment: Instant, since: Instant) -> f64 {
    moment.since(since) as f64 / MINUTE as f64
}
