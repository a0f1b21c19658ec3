//! Policies: what they are worth on the same people, what can be learned from a log, and how well a log tells of another policy.

mod evaluate;
mod learn;
mod moments;
mod one_step;
mod value;

use crate::policy::Policies;

/// What is done with policies.
pub(super) const POLICIES: Policies = Policies { value: value::value, learn: learn::learn, evaluate: evaluate::evaluate };
