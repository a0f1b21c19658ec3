//! The laws of every scenario, from the data alone: each behaviour has a check that fails when the behaviour is removed or one of
//! its constants moves by a fifth. `mutants_are_caught` proves that, and `docs/mutants.md` records it.

#![expect(unreachable_pub, reason = "a test binary has no outside")]

mod churn;
mod email;
mod mutation;
mod support;
mod traces;
