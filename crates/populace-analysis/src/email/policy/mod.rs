//! Policies: what they are worth on the same people, what can be learned from a log, and how well a log tells of another policy.

mod action_values;
mod estimators;
mod evaluate;
mod learn;
mod logged;
mod marginal;
mod model_file;
mod moments;
mod one_step;
mod replicates;
mod rounds;
mod schedule;
mod value;
mod variant;

pub(super) use variant::{candidate_of, true_value, variant};

use crate::policy::Policies;

/// What is done with policies.
pub(super) const POLICIES: Policies = Policies {
    value: value::value,
    learn: learn::learn,
    evaluate: evaluate::evaluate,
    rounds: rounds::rounds,
    schedule: schedule::load,
    rewards: action_values::rewards,
};
