//! The estimators: what each decision adds, and what its sums come to.

use super::logged::Logged;
use super::moments::Moments;
use crate::policy::{Estimators, Evaluation, Graded, Measured};
use populace_core::email::{Decider, Person};

/// Fewer than these count as too few.
const FEW: f64 = 200.0;

/// The numbers of a decision.
pub(super) const WEIGHT: usize = 0;
const WEIGHTED: usize = 1;
const CLIPPED: usize = 2;
const MODEL: usize = 3;
const RESIDUAL: usize = 4;
const SWITCHED: usize = 5;
const SHRUNK: usize = 6;
const MATCHED: usize = 7;
const MATCHES: usize = 8;
pub(super) const UNSUPPORTED: usize = 9;
/// Whether the inverse of the propensity is above the clip.
const CLIPS: usize = 10;
const PRODUCT: usize = 11;
const MARGINAL: usize = 12;
pub(super) const NUMBERS: usize = 13;

/// How likely the target does what was done, over how likely the log did.
pub(super) fn weight(target: &Decider, person: &Person, actor: u64, decision: &Logged) -> f64 {
    let (shares, skip) = target.distribution(person, actor, decision.window, &decision.allowed);
    chance(decision, &shares, skip) / decision.propensity
}

fn chance(decision: &Logged, shares: &[f64], skip: f64) -> f64 {
    match decision.action {
        Some(action) => shares[action],
        None if decision.is_skip => skip,
        // Nothing was allowed, to the target no more than to the log.
        None => 1.0,
    }
}

/// What the decisions of a user of the log tell of the target; `rates` has the model's value of each slot, `ratio` that of each state.
pub(super) fn numbers(
    [logger, target]: [&Decider; 2],
    (person, actor): (&Person, u64),
    decisions: &[Logged],
    rates: impl Fn(&Logged) -> Vec<f64>,
    (how, ratios): (&Estimators, &[f64]),
) -> Vec<[f64; NUMBERS]> {
    let mut weights: Vec<f64> = Vec::with_capacity(decisions.len());
    let mut of = |decision: &Logged| {
        let rates = rates(decision);
        let (logged, logged_skip) = logger.distribution(person, actor, decision.window, &decision.allowed);
        let (shares, skip) = target.distribution(person, actor, decision.window, &decision.allowed);
        let chance = chance(decision, &shares, skip);
        let weight = chance / decision.propensity;
        weights.push(weight);
        let span = weights.len().saturating_sub(how.span);
        let residual = decision.reward - decision.action.map_or(0.0, |action| rates[action]);
        let never: f64 = shares.iter().zip(&logged).filter(|(_, logged)| **logged == 0.0).map(|(share, _)| share).sum();
        let mut found = [0.0; NUMBERS];
        found[WEIGHT] = weight;
        found[WEIGHTED] = weight * decision.reward;
        found[CLIPPED] = weight.min(how.clip) * decision.reward;
        found[MODEL] = shares.iter().zip(&rates).map(|(share, rate)| share * rate).sum();
        found[RESIDUAL] = weight * residual;
        found[SWITCHED] = if weight <= how.switch { weight * residual } else { 0.0 };
        found[SHRUNK] = how.shrinkage * weight / (how.shrinkage + weight * weight) * residual;
        // The share of the target that takes the same action: where it takes one for sure, whether it is the same.
        found[MATCHED] = chance * decision.reward;
        found[MATCHES] = chance;
        found[UNSUPPORTED] = never + if logged_skip == 0.0 { skip } else { 0.0 };
        found[CLIPS] = f64::from(1.0 / decision.propensity > how.clip);
        found[PRODUCT] = weights[span..].iter().product::<f64>() * decision.reward;
        found[MARGINAL] = ratios[decision.state] * weight * decision.reward;
        found
    };
    decisions.iter().map(&mut of).collect()
}

/// What was summed over a log.
pub(super) struct Sums {
    decisions: Moments,
    /// By user, with how many decisions it has.
    users: Moments,
    greatest: f64,
}

/// Its name, its estimate, and the combination of a decision's numbers whose mean is it, up to a constant.
type Estimator = (&'static str, f64, Vec<(usize, f64)>);

impl Sums {
    pub(super) fn new() -> Self {
        Self { decisions: Moments::of(NUMBERS), users: Moments::of(NUMBERS + 1), greatest: 0.0 }
    }

    pub(super) fn add(&mut self, user: &[[f64; NUMBERS]]) {
        let mut sums = [0.0; NUMBERS + 1];
        for decision in user {
            self.decisions.add(decision);
            self.greatest = self.greatest.max(decision[WEIGHT]);
            sums.iter_mut().zip(decision).for_each(|(sum, number)| *sum += number);
        }
        sums[NUMBERS] = user.len() as f64;
        self.users.add(&sums);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.decisions.n == 0.0
    }

    pub(super) fn unsupported(&self) -> f64 {
        self.decisions.mean(UNSUPPORTED)
    }

    /// Each estimator, with its errors over decisions and by user, held against the truth.
    pub(super) fn graded(&self, truth: Measured) -> Vec<Graded> {
        let Self { decisions, users, .. } = self;
        let (w, n) = (decisions.mean(WEIGHT), decisions.n);
        let snips = decisions.mean(WEIGHTED) / w;
        let residual = decisions.mean(RESIDUAL) / w;
        let naive = decisions.sum(MATCHED) / decisions.sum(MATCHES);
        let matches = decisions.mean(MATCHES);
        let dm = decisions.mean(MODEL);
        let each: [Estimator; 11] = [
            ("ips", decisions.mean(WEIGHTED), vec![(WEIGHTED, 1.0)]),
            ("ips_clip", decisions.mean(CLIPPED), vec![(CLIPPED, 1.0)]),
            ("snips", snips, vec![(WEIGHTED, 1.0 / w), (WEIGHT, -snips / w)]),
            ("dm", dm, vec![(MODEL, 1.0)]),
            ("dr", dm + decisions.mean(RESIDUAL), vec![(MODEL, 1.0), (RESIDUAL, 1.0)]),
            ("sndr", dm + residual, vec![(MODEL, 1.0), (RESIDUAL, 1.0 / w), (WEIGHT, -residual / w)]),
            ("switch_dr", dm + decisions.mean(SWITCHED), vec![(MODEL, 1.0), (SWITCHED, 1.0)]),
            ("dros", dm + decisions.mean(SHRUNK), vec![(MODEL, 1.0), (SHRUNK, 1.0)]),
            ("pdis", decisions.mean(PRODUCT), vec![(PRODUCT, 1.0)]),
            ("smis", decisions.mean(MARGINAL), vec![(MARGINAL, 1.0)]),
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
                relative_error: error / truth.value,
                z: error / own.max(clustered).hypot(truth.standard_error),
            }
        };
        each.into_iter().map(graded).collect()
    }

    /// All that is to be said, but for what only the truth has.
    pub(super) fn card(&self, target: &str, how: &Estimators, truth: Measured) -> Evaluation {
        let Self { decisions, users, greatest } = self;
        let (w, n) = (decisions.mean(WEIGHT), decisions.n);
        let effective = decisions.sum(WEIGHT).powi(2) / decisions.squares(WEIGHT);
        let mean_weight = Measured { value: w, standard_error: (decisions.variance(&[(WEIGHT, 1.0)]) / n).sqrt() };
        let mut notes = Vec::new();
        if effective < FEW {
            notes.push(format!("the effective sample size is {effective:.0}: below {FEW}, errors say little"));
        }
        if (w - 1.0).abs() > 3.0 * mean_weight.standard_error {
            notes.push(
                "the mean weight is not 1: propensities are wrong, or the target knows what the log holds, as one does that was learned \
                 from these very messages; evaluate it on later days, with --from"
                    .to_owned(),
            );
        }
        if decisions.mean(CLIPS) > 0.5 {
            notes.push(format!("ips_clip clips at {}, below the median inverse propensity: it loses what matters", how.clip));
        }
        notes.push("naive is the mean reward where log and target do the same: it shows confounding".to_owned());
        Evaluation {
            target: target.to_owned(),
            decisions: n as u64,
            users: users.n as u64,
            truth,
            one_step: None,
            measurement_bias: None,
            mean_weight,
            max_weight: *greatest,
            effective_sample_size: effective,
            unsupported: self.unsupported(),
            estimators: self.graded(truth),
            replicates: 0,
            replicated: Vec::new(),
            notes,
        }
    }
}
