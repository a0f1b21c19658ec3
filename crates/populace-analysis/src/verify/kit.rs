//! Checks that see whole classes of faults: what must be independent of all else, values one after another, one actor among many, copies
//! of an actor, and the digits of what is measured.

use super::board::{Board, Exact, Found, WorstActor, z};
use super::ids::Distinct;
use super::{Group, mix};
use crate::error::AnalysisError;
use crate::stats::{Merge, Pit, Test, bernstein, dispersion, merge_fields, normal_two_sided};

/// Fewer than this tell nothing of how something is spread.
const FEWEST: u64 = 20;
/// Parts of equal probability into which a continuous value is cut.
pub(crate) const PARTS: usize = 10;
/// More days than this are joined.
const MOST_DAYS: usize = 400;
/// Pairs from which on the sum of their products is normal.
const MANY_PAIRS: u64 = 1_000;
/// Gaps that make a fingerprint.
const GAPS: usize = 16;

/// Values of something that must not depend on anything else, counted by the values of other things.
#[derive(Clone, Debug)]
pub(crate) struct Independence {
    weights: Vec<f64>,
    by: Vec<(&'static str, usize)>,
    counts: Vec<u64>,
}

merge_fields!(Independence { counts } same { weights, by });

impl Independence {
    /// Of a value with these weights, by some things, each with how many values it has.
    pub(crate) fn new(weights: impl IntoIterator<Item = f64>, by: &[(&'static str, usize)]) -> Self {
        let weights: Vec<f64> = weights.into_iter().collect();
        let rows: usize = by.iter().map(|(_, values)| values).sum();
        Self { counts: vec![0; rows * weights.len()], by: by.to_vec(), weights }
    }

    /// Of values that are equally likely: the parts of a continuous one, names.
    pub(crate) fn equal(values: usize, by: &[(&'static str, usize)]) -> Self {
        Self::new(vec![1.0; values], by)
    }

    /// The weights of the values.
    pub(crate) fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// Adds a value, with the values of the other things, in their order. What is beyond their number is not counted.
    pub(crate) fn add(&mut self, value: usize, by: &[usize]) {
        debug_assert_eq!(by.len(), self.by.len());
        if value >= self.weights.len() {
            return;
        }
        let mut first = 0;
        for ((_, values), at) in self.by.iter().zip(by) {
            if at < values {
                self.counts[(first + at) * self.weights.len() + value] += 1;
            }
            first += values;
        }
    }

    /// A test for each value of each other thing.
    pub(crate) fn found(&self, what: &str) -> Vec<(String, Found)> {
        let labels = self.by.iter().flat_map(|(name, values)| (0..*values).map(move |value| format!("{what} by {name} {value}")));
        let rows = labels.zip(self.counts.chunks(self.weights.len().max(1)));
        let rows = rows.filter(|(_, row)| self.weights.len() > 1 && row.iter().sum::<u64>() >= FEWEST);
        rows.map(|(label, row)| (label, self.row(row))).collect()
    }

    fn row(&self, row: &[u64]) -> Found {
        match (row, &self.weights[..]) {
            ([no, yes], [against, for_it]) => Found::share(*yes, no + yes, for_it / (for_it + against)),
            _ => Found::cells(row, &self.weights, "the same shares everywhere"),
        }
    }
}

/// The part of a place in a distribution.
pub(crate) fn part(place: f64) -> usize {
    ((place * PARTS as f64) as usize).min(PARTS - 1)
}

/// The tenth of the population in which an actor is, by its number from 0.
pub(crate) fn tenth(actor: u64, population: u64) -> usize {
    (actor.saturating_mul(PARTS as u64) / population.max(1)) as usize
}

/// How many days are told apart, and the number of one.
pub(crate) fn days(days: usize) -> usize {
    days.min(MOST_DAYS)
}

/// The number of a day among those that are told apart.
pub(crate) fn day_of(day: usize, of: usize) -> usize {
    if day < of { day * days(of) / of } else { usize::MAX }
}

/// The places of a sample within its distribution, in the order in which an actor's values come: uniform, one independent of the next, and
/// their mean that of a half for every actor.
#[derive(Clone, Debug, Default)]
pub(crate) struct Series {
    sample: Pit,
    before: Option<f64>,
    own: (u64, f64),
    pairs: u64,
    products: f64,
    worst: WorstActor,
    /// Σ over actors of the squares of how far their means are off, in standard errors.
    squares: (u64, f64),
}

merge_fields!(Series { sample, before, own, pairs, products, worst, squares });

impl Series {
    pub(crate) fn add(&mut self, place: f64) {
        self.sample.add(place);
        let off = place - 0.5;
        if let Some(before) = self.before.replace(off) {
            self.pairs += 1;
            // Of variance 1.
            self.products += 12.0 * before * off;
        }
        self.own.0 += 1;
        self.own.1 += off;
    }

    /// The sample without regard to order.
    pub(crate) fn sample(&self) -> &Pit {
        &self.sample
    }

    pub(crate) fn end_actor(&mut self, id: &str) {
        self.before = None;
        let (n, sum) = std::mem::take(&mut self.own);
        if n > 0 {
            // The tail of a sum of uniforms is below the normal one.
            let z = sum * (12.0 / n as f64).sqrt();
            self.squares.0 += 1;
            self.squares.1 += z * z;
            let test = Test { statistic: z, p_value: normal_two_sided(z) };
            self.worst.put(id, test.p_value, || Found {
                n,
                observed: format!("mean position {:.3} over {n}", 0.5 + sum / n as f64),
                expected: "0.5".into(),
                test,
            });
        }
    }

    /// The test of every actor.
    pub(crate) fn of_actors(&self) -> WorstActor {
        self.worst.clone()
    }

    /// The test of order.
    pub(crate) fn found(&self, what: &str) -> Vec<(String, Found)> {
        let n = self.pairs as f64;
        let p_value = if self.pairs >= MANY_PAIRS { normal_two_sided(self.products / n.sqrt()) } else { bernstein(self.products, n, 3.0) };
        let observed = format!("correlation {:.4} of one with the next", self.products / n.max(1.0));
        let test = Test { statistic: z(self.products, 0.0, n), p_value };
        let mut found = vec![(format!("{what}, one after another"), Found { n: self.pairs, observed, expected: "0".into(), test })];
        let (actors, squares) = self.squares;
        if actors >= FEWEST {
            // The square of a mean of uniforms varies less than that of a normal.
            let test = dispersion(squares, actors, 2.0 * actors as f64);
            let observed = format!("{:.3} of the expected variance", test.statistic);
            let test = if squares > actors as f64 { test } else { Test { p_value: 1.0, ..test } };
            found.push((format!("{what}, actors' means"), Found { n: actors, observed, expected: "1".into(), test }));
        }
        found
    }
}

/// Actors one after another: the gaps between what they do make a fingerprint, and no two have the same.
#[derive(Default)]
pub(crate) struct Copies(Distinct);

impl Merge for Copies {
    fn combine(&mut self, later: Self) {
        self.0.combine(later.0);
    }
}

impl Copies {
    /// Adds an actor by the moments of what it does, of at least so many gaps.
    pub(crate) fn add(&mut self, least: usize, moments: impl Iterator<Item = i64>) {
        let (mut before, mut gaps, mut halves) = (None, 0, [0, 1]);
        for moment in moments.take(GAPS + 1) {
            if let Some(before) = before.replace(moment) {
                gaps += 1;
                let gap = (moment - before) as u64;
                halves = halves.map(|half| mix(half ^ mix(gap)));
            }
        }
        if gaps >= least {
            self.0.add(u128::from(halves[0]) << 64 | u128::from(halves[1]));
        }
    }

    pub(crate) fn report(self, board: &mut Board, who: &'static str) -> Result<(), AnalysisError> {
        let rule: Exact = self.0.finish(who, |_| "one is another row for row".to_owned())?;
        board.exact(rule);
        Ok(())
    }
}

/// The place of a name among others; `usize::MAX` where it is none of them.
pub(crate) fn position<'k>(names: impl IntoIterator<Item = &'k String>, name: &str) -> usize {
    names.into_iter().position(|known| known == name).unwrap_or(usize::MAX)
}

/// Adds one where there is something to count.
pub(crate) fn count(of: Option<&mut u64>) {
    if let Some(of) = of {
        *of += 1;
    }
}

/// An actor's counts against weights.
pub(crate) fn weigh(counts: &[u64], weights: &[f64]) -> Found {
    Found::cells(counts, weights, "the document's weights")
}

/// The check of what each actor has, each thing by the actor that is farthest off.
pub(crate) fn report_actors<'w>(board: &mut Board, name: &str, own: impl IntoIterator<Item = (&'w str, WorstActor)>) {
    let found = own.into_iter().filter_map(|(what, worst)| worst.found().map(|(id, found)| (format!("{what} of {id}"), found)));
    report(board, name, found.collect::<Vec<_>>());
}

/// The check of several things that are independent of all else.
pub(crate) fn report(board: &mut Board, name: &str, found: impl IntoIterator<Item = (String, Found)>) {
    board.try_test(Group::Distribution, name, Found::worst(found));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::unit;

    #[test]
    fn what_depends_on_another_thing_and_what_is_sorted_is_found() {
        let (mut alone, mut bound) = (Independence::equal(4, &[("side", 2)]), Independence::equal(4, &[("side", 2)]));
        let (mut mixed, mut sorted) = (Series::default(), Series::default());
        for n in 0..2_000_u64 {
            let (value, side) = ((mix(n) % 4) as usize, (mix(n + 9_000) % 2) as usize);
            alone.add(value, &[side]);
            bound.add(if n % 5 == 0 { 2 * side } else { value }, &[side]);
            mixed.add(unit(mix(n)));
            sorted.add((n % 50) as f64 / 50.0);
        }
        mixed.end_actor("a");
        sorted.end_actor("a");
        assert!(sorted.of_actors().found().is_some_and(|(id, found)| id == "a" && found.n == 2_000));
        let least = |found: Vec<(String, Found)>| found.iter().map(|(_, found)| found.test.p_value).fold(1.0, f64::min);
        assert!(least(alone.found("values")) > 1e-3 && least(bound.found("values")) < 1e-12);
        assert!(least(mixed.found("places")) > 1e-3 && least(sorted.found("places")) < 1e-12);
    }

    #[test]
    fn one_actor_that_is_another_later_is_found() {
        let actor = |number: u64, later: i64| {
            (0..20_u64).map(move |n| later + (0..=n).map(|k| (mix(number ^ mix(k)) % 10_000) as i64).sum::<i64>())
        };
        let mut copies = Copies::default();
        (0..50).for_each(|number| copies.add(4, actor(number, 0)));
        copies.add(4, actor(7, 86_400));
        let mut board = Board::default();
        copies.report(&mut board, "all differ").unwrap();
        assert!(board.checks()[0].observed.starts_with("1 of 51 "), "{:?}", board.checks());
    }
}
