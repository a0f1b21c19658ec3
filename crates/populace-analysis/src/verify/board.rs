//! What checks are made with: claims and what gathers the evidence for them, in bounded memory.

use super::report::{Check, Group, Report, Verdict};
use crate::stats::{Merge, PoissonBinomial, Test, bernstein, binomial, entry, likelihood_ratio, merge_fields};
use populace_io::document::Resolved;
use std::collections::BTreeMap;
use std::fmt::Display;

/// The claims so far.
#[derive(Debug, Default)]
pub(crate) struct Board {
    checks: Vec<Check>,
}

impl Board {
    /// An exact law.
    pub(crate) fn exact(&mut self, law: Exact) {
        self.exact_as(Group::Exact, law);
    }

    /// An exact law as a check of another group.
    pub(crate) fn exact_as(&mut self, group: Group, law: Exact) {
        let verdict = if law.violations > 0 { Verdict::Fail } else { Verdict::Pass };
        let observed = match law.first {
            None => format!("{} examined", law.n),
            Some(first) => format!("{} of {} against it, the first {first}", law.violations, law.n),
        };
        self.checks.push(Check {
            group,
            name: law.name.to_owned(),
            verdict,
            n: law.n,
            observed,
            expected: String::new(),
            statistic: None,
            p_value: None,
            violations: Some(law.violations),
            reason: None,
        });
    }

    /// A test. Its verdict falls when all tests are known.
    pub(crate) fn test(&mut self, group: Group, name: impl Into<String>, found: Found) {
        self.checks.push(Check {
            group,
            name: name.into(),
            verdict: Verdict::Pass,
            n: found.n,
            observed: found.observed,
            expected: found.expected,
            statistic: Some(found.test.statistic).filter(|value| value.is_finite()),
            p_value: Some(found.test.p_value),
            violations: None,
            reason: None,
        });
    }

    /// A test, or why there is none.
    pub(crate) fn try_test(&mut self, group: Group, name: impl Into<String>, found: Result<Found, String>) {
        match found {
            Ok(found) => self.test(group, name, found),
            Err(reason) => self.skip(group, name, reason),
        }
    }

    /// A claim that cannot be examined.
    pub(crate) fn skip(&mut self, group: Group, name: impl Into<String>, reason: impl Into<String>) {
        self.checks.push(Check {
            group,
            name: name.into(),
            verdict: Verdict::Skipped,
            n: 0,
            observed: String::new(),
            expected: String::new(),
            statistic: None,
            p_value: None,
            violations: None,
            reason: Some(reason.into()),
        });
    }

    /// Takes back the checks of some names: what they examine is another check's.
    pub(crate) fn set_aside(&mut self, is: impl Fn(&str) -> bool, reason: &str) {
        let aside: Vec<(Group, String)> =
            self.checks.iter().filter(|check| is(&check.name)).map(|check| (check.group, check.name.clone())).collect();
        self.checks.retain(|check| !is(&check.name));
        for (group, name) in aside {
            self.skip(group, name, reason);
        }
    }

    /// The checks so far.
    #[cfg(test)]
    pub(super) fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// The verdicts, at a family-wise error of `alpha` over all tests.
    pub(crate) fn finish(self, document: &Resolved, alpha: f64) -> Report {
        let mut checks = self.checks;
        checks.sort_by_key(|check| check.group);
        let tests = checks.iter().filter(|check| check.p_value.is_some()).count() as u64;
        let threshold = alpha / tests.max(1) as f64;
        for check in &mut checks {
            // A p-value that is not a number is a bug that must not pass.
            if check.p_value.is_some_and(|p| p.is_nan() || p < threshold) {
                check.verdict = Verdict::Fail;
            }
        }
        let count = |verdict| checks.iter().filter(|check| check.verdict == verdict).count() as u64;
        Report {
            scenario: document.name.clone(),
            family: document.family.clone(),
            scenario_digest: document.digest(),
            run_scenario_digest: None,
            alpha,
            tests,
            threshold,
            passed: count(Verdict::Pass),
            failed: count(Verdict::Fail),
            skipped: count(Verdict::Skipped),
            checks,
        }
    }
}

/// What a test found, in words and numbers.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) n: u64,
    pub(crate) observed: String,
    pub(crate) expected: String,
    pub(crate) test: Test,
}

impl Found {
    /// Hits among tries of one probability.
    pub(crate) fn share(hits: u64, n: u64, p: f64) -> Self {
        let observed = format!("{hits} of {n} ({:.5})", hits as f64 / n.max(1) as f64);
        let test = Test { statistic: z(hits as f64, n as f64 * p, n as f64 * p * (1.0 - p)), p_value: binomial(hits, n, p) };
        Self { n, observed, expected: format!("{p:.5}"), test }
    }

    /// The places of a sample within its law.
    pub(crate) fn places(sample: &crate::stats::Pit) -> Self {
        let test = sample.test();
        Self {
            n: sample.n(),
            observed: format!("distance {:.5} over {}", test.statistic, sample.n()),
            expected: "uniform positions".into(),
            test,
        }
    }

    /// Counts in cells: all of them together, and the farthest off by itself.
    pub(crate) fn cells(observed: &[u64], expected: &[f64], what: &str) -> Self {
        let mut test = likelihood_ratio(observed, expected);
        let n = observed.iter().sum();
        let total: f64 = expected.iter().sum();
        if observed.len() > 2 && n > 0 && total > 0.0 {
            let cells = observed.iter().zip(expected);
            let least = cells.map(|(count, mean)| binomial(*count, n, (mean / total).min(1.0))).fold(1.0, f64::min);
            test.p_value = (2.0 * test.p_value.min(least * observed.len() as f64)).min(1.0);
        }
        Self { n, observed: format!("G² {:.1} over {n}", test.statistic), expected: what.into(), test }
    }

    /// The worst of several, each named: its p-value times their number.
    pub(crate) fn worst<L: Display>(all: impl IntoIterator<Item = (L, Self)>) -> Result<Self, String> {
        let mut worst: Option<(String, Self)> = None;
        let (mut many, mut n) = (0_u32, 0);
        for (label, found) in all {
            many += 1;
            n += found.n;
            if worst.as_ref().is_none_or(|(_, before)| found.test.p_value < before.test.p_value) {
                worst = Some((label.to_string(), found));
            }
        }
        let (label, mut found) = worst.ok_or("there is nothing to examine")?;
        found.n = n;
        found.test.p_value = (found.test.p_value * f64::from(many)).min(1.0);
        if many > 1 {
            found.observed = format!("of {many}, the farthest off {label}: {}", found.observed);
        }
        Ok(found)
    }
}

/// Standard deviations above the mean; 0 where nothing varies.
pub(crate) fn z(observed: f64, expected: f64, variance: f64) -> f64 {
    if variance > 0.0 { (observed - expected) / variance.sqrt() } else { 0.0 }
}

/// A law without exceptions.
#[derive(Clone, Debug)]
pub(crate) struct Exact {
    name: &'static str,
    n: u64,
    violations: u64,
    first: Option<String>,
}

impl Exact {
    pub(crate) fn new(name: &'static str) -> Self {
        Self { name, n: 0, violations: 0, first: None }
    }

    /// A rule under which so many cases hold.
    pub(super) fn of(name: &'static str, n: u64) -> Self {
        Self { n, ..Self::new(name) }
    }

    /// A case that was counted already is against it.
    pub(super) fn violate(&mut self, what: impl FnOnce() -> String) {
        self.violations += 1;
        self.first.get_or_insert_with(what);
    }

    /// Requires something of all cases together.
    pub(crate) fn require(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.n = self.n.max(1);
            self.violate(what);
        }
    }

    /// Examines one case; `what` tells it if it is the first against the law.
    pub(crate) fn hold(&mut self, holds: bool, what: impl FnOnce() -> String) {
        self.n += 1;
        if !holds {
            self.violations += 1;
            self.first.get_or_insert_with(what);
        }
    }
}

impl Merge for Exact {
    fn combine(&mut self, later: Self) {
        self.n += later.n;
        self.violations += later.violations;
        self.first = self.first.take().or(later.first);
    }
}

/// Hits against the probability of each try, by label.
#[derive(Clone, Debug)]
pub(crate) struct Calibration<K = String> {
    name: &'static str,
    groups: BTreeMap<K, Probable>,
}

/// Hits against the probability of each try. The probabilities of one actor may vary together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Probable {
    pub(crate) sum: PoissonBinomial,
    /// Of the actor at hand: the sum of the probabilities, and how many.
    together: (f64, u64),
    /// Σ over actors of the squares of those sums.
    squares: f64,
    most: Greatest,
}

/// The most tries of one actor.
#[derive(Clone, Copy, Debug, Default)]
struct Greatest(u64);

impl Merge for Greatest {
    fn combine(&mut self, later: Self) {
        self.0 = self.0.max(later.0);
    }
}

merge_fields!(Probable { sum, together, squares, most });

/// What varies together may be so much of the variance before a normal tail is too light for it.
const NORMAL_SHARE: f64 = 0.02;

impl Probable {
    /// Adds a try.
    pub(crate) fn add(&mut self, p: f64, hit: bool) {
        self.sum.add(p, hit);
        self.together.0 += p;
        self.together.1 += 1;
    }

    /// Ends an actor.
    pub(crate) fn end_actor(&mut self) {
        let (sum, tries) = std::mem::take(&mut self.together);
        self.squares += sum * sum;
        self.most.0 = self.most.0.max(tries);
    }

    /// The p-value where the probabilities of one actor share a random factor of mean 1 and of at most `variance`.
    pub(crate) fn p_value(&self, variance: f64) -> f64 {
        let more = self.squares * variance;
        if more <= NORMAL_SHARE * self.sum.variance() {
            return self.sum.p_value_with(more);
        }
        bernstein(self.sum.hits() as f64 - self.sum.expected(), self.sum.variance() + more, self.most.0 as f64)
    }

    fn found(&self, variance: f64) -> Found {
        let sum = &self.sum;
        let observed = format!("{} of {}", sum.hits(), sum.tries());
        let test = Test { statistic: sum.z(), p_value: self.p_value(variance) };
        Found { n: sum.tries(), observed, expected: format!("{:.1}", sum.expected()), test }
    }
}

impl<K: Ord> Merge for Calibration<K> {
    fn combine(&mut self, later: Self) {
        self.groups.combine(later.groups);
    }
}

impl<K: Ord> Calibration<K> {
    pub(crate) fn new(name: &'static str) -> Self {
        Self { name, groups: BTreeMap::new() }
    }

    /// Adds a try to a group.
    pub(crate) fn add_to(&mut self, group: K, p: f64, hit: bool) {
        self.groups.entry(group).or_default().add(p, hit);
    }

    /// Ends an actor, whose probabilities may vary together.
    pub(crate) fn end_actor(&mut self) {
        self.groups.values_mut().for_each(Probable::end_actor);
    }

    /// The worst of the groups. The probabilities of one actor share a random factor of mean 1 and of at most `variance`.
    pub(crate) fn report_as(self, board: &mut Board, group: Group, variance: f64, label: impl Fn(K) -> String) {
        let groups = self.groups.into_iter().filter(|(_, group)| group.sum.tries() > 0);
        let found = Found::worst(groups.map(|(key, group)| (label(key), group.found(variance))));
        board.try_test(group, self.name, found);
    }
}

impl Calibration {
    /// Adds a try.
    pub(crate) fn add(&mut self, label: &str, p: f64, hit: bool) {
        entry(&mut self.groups, label).add(p, hit);
    }

    /// As [`report_as`](Self::report_as), by the labels themselves.
    pub(crate) fn report(self, board: &mut Board, group: Group, variance: f64) {
        self.report_as(board, group, variance, |label| label);
    }
}

/// The farthest off among many actors, each by its own hits.
#[derive(Clone, Debug, Default)]
pub(crate) struct WorstActor {
    many: u64,
    worst: Option<(String, Found)>,
}

impl Merge for WorstActor {
    fn combine(&mut self, later: Self) {
        self.many += later.many;
        let p_value = |of: &Self| of.worst.as_ref().map_or(f64::INFINITY, |(_, worst)| worst.test.p_value);
        if p_value(&later) < p_value(self) {
            self.worst = later.worst;
        }
    }
}

impl WorstActor {
    /// Adds an actor, whose probabilities share a random factor of at most `variance`.
    pub(crate) fn add(&mut self, id: &str, mut own: Probable, variance: f64) {
        if own.sum.tries() == 0 {
            return;
        }
        own.end_actor();
        let found = own.found(variance);
        self.put(id, found.test.p_value, || found);
    }

    /// Adds an actor by what a test of it has found.
    pub(crate) fn put(&mut self, id: &str, p_value: f64, found: impl FnOnce() -> Found) {
        self.many += 1;
        if self.worst.as_ref().is_none_or(|(_, worst)| p_value < worst.test.p_value) {
            self.worst = Some((id.to_owned(), found()));
        }
    }

    /// The worst, whose p-value is multiplied by the number of actors.
    pub(crate) fn found(&self) -> Option<(&str, Found)> {
        let (id, found) = self.worst.as_ref()?;
        let test = Test { p_value: (found.test.p_value * self.many as f64).min(1.0), ..found.test };
        Some((id, Found { test, ..found.clone() }))
    }

    /// The check: the worst p-value times the number of actors. `told` is said of the data before it.
    pub(crate) fn report(self, board: &mut Board, group: Group, name: &str, told: &str) {
        let Some((id, mut found)) = self.found() else { return board.skip(group, name, "there is nothing to examine") };
        found.observed = format!("{told}of {}, the farthest off {id}: {}", self.many, found.observed);
        board.test(group, name, found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_of_many_pays_for_their_number() {
        let found = Found::worst([("a", Found::share(50, 100, 0.5)), ("b", Found::share(75, 100, 0.5))]).unwrap();
        assert_eq!(found.test.p_value, 2.0 * binomial(75, 100, 0.5));
        assert!(found.observed.contains("the farthest off b"), "{}", found.observed);
    }
}
