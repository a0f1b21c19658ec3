//! How well a log tells of another policy: estimators off policy, held against what the same people do under it.
//!
//! Of a decision, w is how likely the target takes its slot over the log's propensity, r its reward, q the model of `best_hour`, fitted to
//! the other four of five random folds of decisions, and dm the mean of q under the target. IPS, SNIPS, DM, DR and the rest are those of
//! Dudík et al. (2014), Wang et al. (2017, switch) and Su et al. (2020, shrinkage).

use super::super::law::Law;
use super::super::recipients::{self, Recipient};
use super::learn::{BySlot, slots_of};
use super::moments::Moments;
use super::value;
use crate::error::AnalysisError;
use crate::policy::{Evaluate, Evaluation, Graded, Measured, Reward};
use crate::source::{As, Columns, Side, Source, Want};
use crate::watch::Watch;
use populace_core::email::{Decider, EmailModel, Person, Slots};
use populace_core::time::{Instant, MINUTE};
use populace_io::tables::email::actor_of;
use std::collections::{HashMap, HashSet};
use std::path::Path;

const DECISIONS: [Want; 8] = [
    Want::new("recipient_id", As::Text),
    Want::new("decision_id", As::Uuid),
    Want::new("window_start", As::Instant),
    Want::new("arm", As::Text),
    Want::nullable("action", As::Int),
    Want::new("allowed", As::Text),
    Want::new("propensity", As::Float),
    Want::nullable("message_id", As::Uuid),
];
const FOLDS: usize = 5;
/// The greatest weight of `ips_clip` and `switch_dr`, and the shrinkage of `dros`.
const CLIP: f64 = 10.0;
const SHRINKAGE: f64 = 100.0;
/// Fewer than these count as too few.
const FEW: f64 = 200.0;
/// More of a target that the log never does is refused.
const MOST_UNSUPPORTED: f64 = 0.01;

/// The numbers of a decision.
const WEIGHT: usize = 0;
const WEIGHTED: usize = 1;
const CLIPPED: usize = 2;
const MODEL: usize = 3;
const RESIDUAL: usize = 4;
const SWITCHED: usize = 5;
const SHRUNK: usize = 6;
const MATCHED: usize = 7;
const MATCHES: usize = 8;
const UNSUPPORTED: usize = 9;
const NUMBERS: usize = 10;

/// A decision of the log.
struct Logged {
    fold: usize,
    window: Instant,
    allowed: Slots,
    action: Option<usize>,
    propensity: f64,
    reward: f64,
    is_skip: bool,
}

/// Decisions of a recipient; none of one who is held out.
fn logged(recipient: &Recipient, reward: Reward, from: Instant) -> Result<Option<Vec<Logged>>, AnalysisError> {
    let Some(batch) = &recipient.more[0] else { return Ok(Some(Vec::new())) };
    let (ids, messages) = (batch.uuid("decision_id"), batch.uuid("message_id"));
    let (windows, arms, allowed) = (batch.instant("window_start"), batch.text("arm"), batch.text("allowed"));
    let (actions, propensities) = (batch.int("action"), batch.float("propensity"));
    let of_message = rewards(recipient, reward);
    let mut found = Vec::with_capacity(batch.num_rows());
    for row in 0..batch.num_rows() {
        if arms.value(row) == "holdout" {
            return Ok(None);
        }
        if windows.value(row) < from.0 {
            continue;
        }
        let propensity = propensities.value(row);
        if !(propensity > 0.0 && propensity <= 1.0) {
            return Err(AnalysisError::input(format!(
                "decisions: the propensity of row {} of {} is {propensity}; it must be above 0 and at most 1",
                row + 1,
                recipient.history.recipient_id
            )));
        }
        let id = ids.get(row).unwrap_or_default();
        found.push(Logged {
            // The bits of an id are random.
            fold: (id as u64 % FOLDS as u64) as usize,
            window: Instant(windows.value(row)),
            allowed: Slots::of_hex(allowed.value(row)).ok_or_else(|| {
                AnalysisError::input(format!(
                    "decisions: allowed `{}` is no set of slots: hexadecimal digits are expected",
                    allowed.value(row)
                ))
            })?,
            action: arrow_array::Array::is_valid(actions, row).then(|| actions.value(row) as usize),
            propensity,
            reward: messages.get(row).and_then(|id| of_message.get(&id)).copied().unwrap_or(0.0),
            is_skip: arms.value(row) == "skip",
        });
    }
    Ok(Some(found))
}

/// What each message was worth.
fn rewards(recipient: &Recipient, reward: Reward) -> HashMap<u128, f64> {
    let worth = |message: &super::super::history::Message| {
        let in_time = |opened: Instant| {
            let minutes = message.delivered.map_or(0.0, |delivered| opened.since(delivered) as f64 / MINUTE as f64);
            reward.within_minutes.is_none_or(|most| minutes <= most)
        };
        let open = message.opened.or(message.machine_opened).is_some_and(in_time);
        reward.send + reward.open * f64::from(open) + reward.click * f64::from(message.clicked.is_some())
    };
    recipient.history.messages.iter().map(|message| (message.id, worth(message))).collect()
}

/// What a decision of the log's policy tells of the target.
fn numbers([logger, target]: [&Decider; 2], person: &Person, actor: u64, decision: &Logged, rates: &[f64]) -> [f64; NUMBERS] {
    let (logged, logged_skip) = logger.distribution(person, actor, decision.window, &decision.allowed);
    let (shares, skip) = target.distribution(person, actor, decision.window, &decision.allowed);
    let modelled: f64 = shares.iter().zip(rates).map(|(share, rate)| share * rate).sum();
    let (chance, rate) = match decision.action {
        Some(action) => (shares[action], rates[action]),
        None if decision.is_skip => (skip, 0.0),
        // Nothing was allowed, to the target no more than to the log.
        None => (1.0, 0.0),
    };
    let weight = chance / decision.propensity;
    let residual = weight * (decision.reward - rate);
    let mut found = [0.0; NUMBERS];
    found[WEIGHT] = weight;
    found[WEIGHTED] = weight * decision.reward;
    found[CLIPPED] = weight.min(CLIP) * decision.reward;
    found[MODEL] = modelled;
    found[RESIDUAL] = residual;
    found[SWITCHED] = if weight <= CLIP { residual } else { 0.0 };
    found[SHRUNK] = SHRINKAGE * weight / (SHRINKAGE + weight * weight) * (decision.reward - rate);
    // The share of the target that takes the same action: where it takes one for sure, whether it is the same.
    found[MATCHED] = chance * decision.reward;
    found[MATCHES] = chance;
    let never: f64 = shares.iter().zip(&logged).filter(|(_, logged)| **logged == 0.0).map(|(share, _)| share).sum();
    found[UNSUPPORTED] = never + if logged_skip == 0.0 { skip } else { 0.0 };
    found
}

/// Estimates the target's reward a decision from the log of a run.
pub(super) fn evaluate(run: &Path, how: &Evaluate<'_>, watch: &Watch<'_>) -> Result<Evaluation, AnalysisError> {
    let source = Source::open(run)?;
    let document = source.scenario()?;
    let log: EmailModel = populace_io::catalogue::model(&document)?;
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
    let law = Law::new(&log, source.seed(&document));
    let slots = slots_of(&log).0;
    let from = how.from.map_or(Instant(i64::MIN), populace_core::time::Date::midnight);
    let sides = [Side { table: "decisions", wants: &DECISIONS, time: None }];
    // First what everybody does, by fold.
    let mut by_fold: Vec<BySlot> = (0..FOLDS).map(|_| BySlot::of(slots)).collect();
    let mut held: HashSet<u64> = HashSet::new();
    let read = |recipient: Recipient| {
        let decisions = logged(&recipient, how.reward, from)?;
        let mut own: Vec<BySlot> = Vec::new();
        if let Some(decisions) = &decisions {
            own = folds(decisions, slots);
        }
        Ok((recipient.history.recipient_id, decisions.is_none(), own))
    };
    recipients::each(&source, &law, &[], &sides, watch, read, |(id, is_held, own): (String, bool, Vec<BySlot>)| {
        if is_held {
            held.extend(actor_of(&id));
        }
        by_fold.iter_mut().zip(&own).for_each(|(all, own)| all.include(own));
        Ok(())
    })?;
    let pooled: Vec<Vec<f64>> = (0..FOLDS).map(|fold| without(&by_fold, fold).pooled()).collect();
    // Then each decision, with a model that has not seen it.
    let mut over_decisions = Moments::of(NUMBERS);
    let mut over_users = Moments::of(NUMBERS + 1);
    let mut greatest: f64 = 0.0;
    let judge = |recipient: Recipient| {
        let Some(decisions) = logged(&recipient, how.reward, from)? else { return Ok(None) };
        let actor = actor_of(&recipient.history.recipient_id).unwrap_or(u64::MAX);
        let own = folds(&decisions, slots);
        let rates: Vec<Vec<f64>> = (0..FOLDS).map(|fold| without(&own, fold).shrunk(&pooled[fold])).collect();
        let of = |decision: &Logged| numbers([logger, decider], &recipient.person, actor, decision, &rates[decision.fold]);
        Ok(Some(decisions.iter().map(of).collect::<Vec<_>>()))
    };
    recipients::each(&source, &law, &[], &sides, watch, judge, |found: Option<Vec<[f64; NUMBERS]>>| {
        let Some(found) = found else { return Ok(()) };
        let mut sums = [0.0; NUMBERS + 1];
        for decision in &found {
            over_decisions.add(decision);
            greatest = greatest.max(decision[WEIGHT]);
            sums.iter_mut().zip(decision).for_each(|(sum, number)| *sum += number);
        }
        sums[NUMBERS] = found.len() as f64;
        over_users.add(&sums);
        Ok(())
    })?;
    if over_decisions.n == 0.0 {
        return Err(AnalysisError::input(format!(
            "{}: its table decisions has no decision on a recipient who is not held out",
            run.display()
        )));
    }
    let unsupported = over_decisions.mean(UNSUPPORTED);
    if unsupported > MOST_UNSUPPORTED && !how.allow_unsupported {
        return Err(AnalysisError::input(format!(
            "{}: {:.1}% of what it does is never done in the log, so that nothing is known of it\nhint: log with exploration, choose another target, or give --allow-unsupported",
            how.target.name,
            100.0 * unsupported
        )));
    }
    let seed = source.seed(&document).ok_or_else(|| AnalysisError::input(format!("{}: its seed is not known", run.display())))?;
    let truth = truth(&target, seed, (how.reward, true, from), &held, watch)?;
    Ok(card(how, &over_decisions, &over_users, greatest, truth))
}

/// The reward a decision under the target, of those who are not held out.
fn truth(
    target: &EmailModel,
    seed: u64,
    what: (Reward, bool, Instant),
    held: &HashSet<u64>,
    watch: &Watch<'_>,
) -> Result<Measured, AnalysisError> {
    let (reward, expected, from) = what;
    let terms = value::Terms { reward, expected, from, discount: 1.0, one_step: false };
    let moments = value::moments(std::slice::from_ref(target), seed, terms, &|actor| !held.contains(&actor), watch)?;
    let (value, parts) = moments.ratio(2, 3);
    Ok(Measured { value, standard_error: (moments.variance(&parts) / moments.n).sqrt() })
}

/// Sends and rewards of a recipient, by fold.
fn folds(decisions: &[Logged], slots: usize) -> Vec<BySlot> {
    let mut own: Vec<BySlot> = (0..FOLDS).map(|_| BySlot::of(slots)).collect();
    for decision in decisions {
        if let Some(action) = decision.action.filter(|action| *action < slots) {
            own[decision.fold].add(action, decision.reward);
        }
    }
    own
}

/// Sends and rewards of all folds but one.
fn without(folds: &[BySlot], fold: usize) -> BySlot {
    let mut others = BySlot::of(folds[fold].sent.len());
    folds.iter().enumerate().filter(|(other, _)| *other != fold).for_each(|(_, of)| others.include(of));
    others
}

/// Its name, its estimate, and the combination of a decision's numbers whose mean is it, up to a constant.
type Estimator = (&'static str, f64, Vec<(usize, f64)>);

/// The estimators of what was summed.
fn card(how: &Evaluate<'_>, decisions: &Moments, users: &Moments, greatest: f64, truth: Measured) -> Evaluation {
    let (w, n) = (decisions.mean(WEIGHT), decisions.n);
    let snips = decisions.mean(WEIGHTED) / w;
    let residual = decisions.mean(RESIDUAL) / w;
    let naive = decisions.sum(MATCHED) / decisions.sum(MATCHES);
    let matches = decisions.mean(MATCHES);
    let each: [Estimator; 9] = [
        ("ips", decisions.mean(WEIGHTED), vec![(WEIGHTED, 1.0)]),
        ("ips_clip", decisions.mean(CLIPPED), vec![(CLIPPED, 1.0)]),
        ("snips", snips, vec![(WEIGHTED, 1.0 / w), (WEIGHT, -snips / w)]),
        ("dm", decisions.mean(MODEL), vec![(MODEL, 1.0)]),
        ("dr", decisions.mean(MODEL) + decisions.mean(RESIDUAL), vec![(MODEL, 1.0), (RESIDUAL, 1.0)]),
        ("sndr", decisions.mean(MODEL) + residual, vec![(MODEL, 1.0), (RESIDUAL, 1.0 / w), (WEIGHT, -residual / w)]),
        ("switch_dr", decisions.mean(MODEL) + decisions.mean(SWITCHED), vec![(MODEL, 1.0), (SWITCHED, 1.0)]),
        ("dros", decisions.mean(MODEL) + decisions.mean(SHRUNK), vec![(MODEL, 1.0), (SHRUNK, 1.0)]),
        ("naive", naive, vec![(MATCHED, 1.0 / matches), (MATCHES, -naive / matches)]),
    ];
    // By user, the sum of a combination less its mean times the user's decisions.
    let by_user = |parts: &[(usize, f64)]| {
        let mean: f64 = parts.iter().map(|(number, weight)| weight * decisions.mean(*number)).sum();
        let parts: Vec<(usize, f64)> = parts.iter().copied().chain([(NUMBERS, -mean)]).collect();
        (users.variance(&parts) * users.n).sqrt() / n
    };
    let graded = |(estimator, estimate, parts): Estimator| {
        let (own, clustered) = ((decisions.variance(&parts) / n).sqrt(), by_user(&parts));
        let error = estimate - truth.value;
        Graded {
            estimator: estimator.to_owned(),
            estimate,
            standard_error: own,
            standard_error_by_user: clustered,
            error,
            z: error / own.max(clustered).hypot(truth.standard_error),
        }
    };
    let effective = decisions.sum(WEIGHT).powi(2) / decisions.squares(WEIGHT);
    let mean_weight = Measured { value: w, standard_error: (decisions.variance(&[(WEIGHT, 1.0)]) / n).sqrt() };
    let mut notes = Vec::new();
    if effective < FEW {
        notes.push(format!("the effective sample size is {effective:.0}: below {FEW}, errors say little"));
    }
    if (w - 1.0).abs() > 3.0 * mean_weight.standard_error {
        notes.push(
            "the mean weight is not 1: the target knows what the log holds, as one does that was learned from these very messages; \
             evaluate it on later days, with --from"
                .to_owned(),
        );
    }
    notes.push("naive is the mean reward where log and target do the same: it shows confounding".to_owned());
    Evaluation {
        target: how.target.name.clone(),
        decisions: n as u64,
        users: users.n as u64,
        truth,
        mean_weight,
        max_weight: greatest,
        effective_sample_size: effective,
        unsupported: decisions.mean(UNSUPPORTED),
        estimators: each.into_iter().map(graded).collect(),
        notes,
    }
}
