//! The same log and target on other people, many times: how far estimates are off, and how often their intervals have the truth.

use super::estimators::Sums;
use super::evaluate::{Bench, Everybody};
use super::logged::User;
use super::value::{Seen, Terms};
use crate::error::AnalysisError;
use crate::policy::{Graded, Measured, Replicated};
use crate::watch::Watch;
use populace_core::email::EmailModel;
use populace_core::scenario::Scenario;
use populace_core::stream::{ActorId, StreamKey};
use populace_io::error::RunError;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

/// Standard errors of an interval that has the truth 95 times in 100.
const TWO_SIDED: f64 = 1.959_964;

/// A replicate: the truth of its people, and the estimates.
type Made = (f64, Vec<Graded>);

/// Simulates logs of the seeds that follow, users one by one, and judges the estimators by them.
pub(super) fn replicates(bench: &Bench<'_>, seed: u64, watch: &Watch<'_>) -> Result<Vec<Replicated>, AnalysisError> {
    if bench.target.config().policy.as_ref().is_some_and(|policy| policy.base.file.is_some()) {
        return Err(AnalysisError::input(format!(
            "{}: is a table of these people, and replicates have others\nhint: leave --replicates out, or choose a policy without a file",
            bench.how.target.name
        )));
    }
    if bench.how.q_hat.is_some() {
        return Err(AnalysisError::input("--q-hat: is of the run's decisions, and replicates have others; leave --replicates out"));
    }
    let next = AtomicU32::new(0);
    let made: Mutex<Vec<(u32, Made)>> = Mutex::new(Vec::new());
    watch.progress.begins("replicates", Some(u64::from(bench.how.replicates)));
    std::thread::scope(|scope| {
        for _ in 0..watch.threads.max(1) {
            scope.spawn(|| {
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    if place >= bench.how.replicates {
                        return;
                    }
                    let Some(one) = one(bench, seed.wrapping_add(1 + u64::from(place)), watch) else { return };
                    watch.progress.advanced(1);
                    made.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((place, one));
                }
            });
        }
    });
    if watch.stop.load(Ordering::Relaxed) {
        return Err(RunError::Interrupted.into());
    }
    let mut made = made.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    made.sort_unstable_by_key(|(place, _)| *place);
    let made: Vec<Made> = made.into_iter().map(|(_, made)| made).collect();
    let n = made.len() as f64;
    let truth = made.iter().map(|(truth, _)| truth).sum::<f64>() / n;
    let names = made.first().map_or(0, |(_, graded)| graded.len());
    let of = |place: usize| {
        let each = || made.iter().map(|(truth, graded)| (*truth, &graded[place]));
        let bias = each().map(|(_, of)| of.error).sum::<f64>() / n;
        let square = each().map(|(_, of)| of.error * of.error).sum::<f64>() / n;
        let share = |has: &dyn Fn(f64, &Graded) -> bool| each().filter(|(truth, of)| has(*truth, of)).count() as f64 / n;
        Replicated {
            estimator: made[0].1[place].estimator.clone(),
            bias,
            sd: ((square - bias * bias) * n / (n - 1.0).max(1.0)).max(0.0).sqrt(),
            rmse: square.sqrt(),
            relative_rmse: square.sqrt() / truth,
            coverage: share(&|own, of| (of.estimate - own).abs() <= TWO_SIDED * of.standard_error),
            coverage_by_user: share(&|_, of| (of.estimate - truth).abs() <= TWO_SIDED * of.standard_error_by_user),
        }
    };
    Ok((0..names).map(of).collect())
}

/// One; none if it was stopped.
fn one(bench: &Bench<'_>, seed: u64, watch: &Watch<'_>) -> Option<Made> {
    let key = StreamKey::root(seed, EmailModel::NAME);
    let users = bench.log.config().population.users;
    let user = |actor: u64| User::simulated(bench.log, key, actor, bench.how.reward, bench.looks_back, bench.from);
    let mut everybody = Everybody::new(bench.slots);
    for actor in 0..users {
        if watch.stop.load(Ordering::Relaxed) {
            return None;
        }
        everybody.add(&bench.own(&user(actor)));
    }
    let known = everybody.known();
    let terms = Terms { reward: bench.how.reward, expected: true, from: bench.from, discount: 1.0, one_step: false };
    let (mut sums, mut rewards, mut decisions) = (Sums::new(), 0.0, 0.0);
    for actor in 0..users {
        if watch.stop.load(Ordering::Relaxed) {
            return None;
        }
        let Some(found) = bench.judge(&user(actor), &known, None) else { continue };
        sums.add(&found);
        let person = bench.target.person_of(key, ActorId(actor));
        let own = Seen::of(bench.target, key, actor, bench.from).numbers(bench.target, &person, terms);
        rewards += own[2];
        decisions += own[3];
    }
    let truth = rewards / decisions;
    Some((truth, sums.graded(Measured { value: truth, standard_error: 0.0 })))
}
