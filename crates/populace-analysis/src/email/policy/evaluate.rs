//! How well a log tells of another policy: estimators off policy, held against what the same people do under it.
//!
//! Of a decision, w is how likely the target takes its slot over the log's propensity, r its reward, q the model of `best_hour`, fitted to
//! the other four of five random folds of decisions, and dm the mean of q under the target. IPS, SNIPS, DM, DR and the rest are those of
//! Dudík et al. (2014), Wang et al. (2017, switch), Su et al. (2020, shrinkage), and Xie, Ma and Wang (2019, states).

use super::super::law::Law;
use super::super::recipients::{self, Recipient};
use super::estimators::{self, NUMBERS, Sums};
use super::learn::{BySlot, slots_of};
use super::logged::{DECISIONS, FOLDS, Logged, User};
use super::marginal::Moves;
use super::model_file::Modelled;
use super::replicates::replicates;
use super::value::{self, Terms};
use crate::error::AnalysisError;
use crate::policy::{Evaluate, Evaluation, Measured};
use crate::source::{Side, Source};
use crate::watch::Watch;
use populace_core::email::{Decider, EmailModel};
use populace_core::time::{DAY, Instant};
use std::collections::HashSet;
use std::path::Path;

/// More of a target that the log never does is refused.
const MOST_UNSUPPORTED: f64 = 0.01;

/// A log and a target for it.
pub(super) struct Bench<'a> {
    pub(super) log: &'a EmailModel,
    pub(super) target: &'a EmailModel,
    pub(super) deciders: [&'a Decider; 2],
    pub(super) how: &'a Evaluate<'a>,
    pub(super) slots: usize,
    pub(super) from: Instant,
    /// How far back sends count as recent, microseconds.
    pub(super) looks_back: i64,
}

/// What everybody does: first, before a decision is judged.
pub(super) struct Everybody {
    by_fold: Vec<BySlot>,
    moves: Moves,
}

/// What one user adds to it.
pub(super) type Own = (Vec<BySlot>, Vec<(usize, f64)>);

/// What is told of a user's decisions once everybody is known.
pub(super) struct Known {
    pooled: Vec<Vec<f64>>,
    ratios: Vec<f64>,
}

impl Everybody {
    pub(super) fn new(slots: usize) -> Self {
        Self { by_fold: (0..FOLDS).map(|_| BySlot::of(slots)).collect(), moves: Moves::new() }
    }

    pub(super) fn add(&mut self, (folds, states): &Own) {
        self.by_fold.iter_mut().zip(folds).for_each(|(all, own)| all.include(own));
        self.moves.add(states);
    }

    pub(super) fn known(&self) -> Known {
        let pooled = (0..FOLDS).map(|fold| without(&self.by_fold, fold).pooled()).collect();
        Known { pooled, ratios: self.moves.ratios() }
    }
}

impl Bench<'_> {
    pub(super) fn own(&self, user: &User) -> Own {
        let Some(decisions) = &user.decisions else { return (Vec::new(), Vec::new()) };
        let weight = |decision: &Logged| (decision.state, estimators::weight(self.deciders[1], &user.person, user.actor, decision));
        (folds(decisions, self.slots), decisions.iter().map(weight).collect())
    }

    /// The numbers of a user's decisions; none of one who is held out.
    pub(super) fn judge(&self, user: &User, known: &Known, file: Option<&Modelled>) -> Option<Vec<[f64; NUMBERS]>> {
        let decisions = user.decisions.as_ref()?;
        let who = (&user.person, user.actor);
        let how = (&self.how.estimators, &known.ratios[..]);
        if let Some(file) = file {
            return Some(estimators::numbers(self.deciders, who, decisions, |decision| file.rates(decision, self.slots), how));
        }
        let own = folds(decisions, self.slots);
        let rates: Vec<Vec<f64>> = (0..FOLDS).map(|fold| without(&own, fold).shrunk(&known.pooled[fold])).collect();
        Some(estimators::numbers(self.deciders, who, decisions, |decision| rates[decision.fold].clone(), how))
    }
}

/// Estimates the target's reward a decision from the log of a run.
pub(super) fn evaluate(run: &Path, how: &Evaluate<'_>, watch: &Watch<'_>) -> Result<Evaluation, AnalysisError> {
    let source = Source::open(run)?;
    let document = source.scenario()?;
    let log: EmailModel = value::model_of(&crate::policy::Candidate { name: "the run".to_owned(), document: document.clone() })?;
    let target = value::model_of(how.target)?;
    let (Some(logger), Some(decider)) = (log.decider(), target.decider()) else {
        return Err(AnalysisError::input(format!(
            "{}: its scenario has no policy, so that nothing is known of how likely its sends were\nhint: generate it with --policy explore",
            run.display()
        )));
    };
    if !logger.is_comparable(decider) {
        return Err(AnalysisError::input(format!(
            "{}: has other windows or slots than the log; give it the same `window`, `slot_minutes` and `clock`",
            how.target.name
        )));
    }
    if !logger.limits_as(decider) {
        return Err(AnalysisError::input(format!(
            "{}: has other caps than the log, whose allowed slots are those of its own\nhint: give it the same `caps`, or replay it: populace policy value",
            how.target.name
        )));
    }
    let from = how.from.map_or(Instant(i64::MIN), populace_core::time::Date::midnight);
    let (slots, looks_back) = (slots_of(&log).0, log.effects().looks_back().unwrap_or(DAY));
    let bench = Bench { log: &log, target: &target, deciders: [logger, decider], how, slots, from, looks_back };
    let seed = source.seed(&document).ok_or_else(|| AnalysisError::input(format!("{}: its seed is not known", run.display())))?;
    let file = how.q_hat.map(|path| Modelled::read(path, slots)).transpose()?;
    let (sums, held) = sums(&source, &bench, &Law::new(&log, Some(seed)), file.as_ref(), watch)?;
    if let Some(file) = &file {
        file.check()?;
    }
    if sums.is_empty() {
        return Err(AnalysisError::input(format!(
            "{}: its table decisions has no decision on a recipient who is not held out",
            run.display()
        )));
    }
    let unsupported = sums.unsupported();
    if unsupported > MOST_UNSUPPORTED && !how.allow_unsupported {
        return Err(AnalysisError::input(format!(
            "{}: {:.1}% of what it does is never done in the log, so that nothing is known of it\nhint: log with exploration, choose another target, or give --allow-unsupported",
            how.target.name,
            100.0 * unsupported
        )));
    }
    // What happens is the log's and the target's, of those who are not held out.
    let terms = Terms { reward: how.reward, expected: true, from, discount: 1.0, one_step: how.reward.has_one_step() };
    let models = [log.clone(), target.clone()];
    let moments = value::moments(&models, seed, terms, &|actor| !held.contains(&actor), watch)?;
    let error = |parts: &[(usize, f64)]| (moments.variance(parts) / moments.n).sqrt();
    let at = |number: usize| value::NUMBERS + number;
    let (true_value, parts) = moments.ratio(at(2), at(3));
    let mut card = sums.card(&how.target.name, &how.estimators, Measured { value: true_value, standard_error: error(&parts) });
    card.one_step = value::one_step_of(&moments, 1);
    if log.machine_opens().is_some() {
        let (by_rows, of_rows) = moments.ratio(at(9), at(3));
        let bias: Vec<(usize, f64)> = of_rows.iter().copied().chain(parts.iter().map(|(number, weight)| (*number, -weight))).collect();
        card.measurement_bias = Some(Measured { value: by_rows - true_value, standard_error: error(&bias) });
        card.notes.push("estimators see rows, the truth is of people: machines open too, and that is the measurement bias".to_owned());
    }
    if how.replicates > 0 {
        card.replicates = how.replicates;
        card.replicated = replicates(&bench, seed, watch)?;
    }
    Ok(card)
}

/// What the decisions of a run's recipients sum up to, and who is held out.
fn sums(
    source: &Source,
    bench: &Bench<'_>,
    law: &Law<'_>,
    file: Option<&Modelled>,
    watch: &Watch<'_>,
) -> Result<(Sums, HashSet<u64>), AnalysisError> {
    let sides = [Side { table: "decisions", wants: &DECISIONS, time: None }];
    let user = |recipient: &Recipient| User::of_rows(recipient, bench.how.reward, bench.looks_back, bench.from);
    let mut everybody = Everybody::new(bench.slots);
    let mut held: HashSet<u64> = HashSet::new();
    let read = |recipient: Recipient| {
        let user = user(&recipient)?;
        Ok((user.decisions.is_none().then_some(user.actor), bench.own(&user)))
    };
    recipients::each(source, law, &[], &sides, watch, read, |(held_out, own): (Option<u64>, Own)| {
        held.extend(held_out);
        everybody.add(&own);
        Ok(())
    })?;
    // Then each decision, with a model that has not seen it.
    let known = everybody.known();
    let mut sums = Sums::new();
    let judge = |recipient: Recipient| Ok(bench.judge(&user(&recipient)?, &known, file));
    recipients::each(source, law, &[], &sides, watch, judge, |found: Option<Vec<[f64; NUMBERS]>>| {
        if let Some(found) = found {
            sums.add(&found);
        }
        Ok(())
    })?;
    Ok((sums, held))
}

/// Sends and rewards of a recipient, by fold.
pub(super) fn folds(decisions: &[Logged], slots: usize) -> Vec<BySlot> {
    let mut own: Vec<BySlot> = (0..FOLDS).map(|_| BySlot::of(slots)).collect();
    for decision in decisions {
        if let Some(action) = decision.action.filter(|action| *action < slots) {
            own[decision.fold].add(action, decision.reward);
        }
    }
    own
}

/// Sends and rewards of all folds but one.
pub(super) fn without(folds: &[BySlot], fold: usize) -> BySlot {
    let mut others = BySlot::of(folds[fold].sent.len());
    folds.iter().enumerate().filter(|(other, _)| *other != fold).for_each(|(_, of)| others.include(of));
    others
}
