//! Every constant of the document, moved: some law must notice.

use super::churn;
use super::laws::{LAWS, TRUTHS};
use super::samples::Samples;
use crate::mutation::{Mutation, broken, fifths};
use crate::support::{record_mutants, with};
use serde_json::Value;

/// Mutants of constants for which a fifth more or less is not a sound document or is not a change.
const EXCEPTIONS: &[(&str, &[&str])] = &[
    // Which columns the data has, and nothing of what is drawn.
    ("/engagement/observed", &[]),
    // Numbers that are given at writing.
    ("/event_ids", &[]),
    ("/window/start", &["\"2025-01-02\""]),
    ("/sessions/min", &["2"]),
    ("/sessions/to_hour", &["19", "23"]),
    ("/enrol/delay_seconds/max", &["47", "55"]),
    ("/video/delay_seconds/min", &["66", "72"]),
    ("/video/delay_seconds/max", &["479", "560"]),
    ("/quiz/delay_seconds/min", &["660", "720"]),
    ("/video/probability/slope", &["0.32", "0.48", "0"]),
    ("/churn/max_probability", &["0.76", "1"]),
    ("/quiz/score/min", &["10"]),
    ("/billing/mode", &["\"daily\""]),
    ("/billing/first_day", &["2"]),
    ("/billing/success_probability", &["0.744", "1"]),
    ("/billing/from_hour", &["1"]),
    ("/tickets/from_hour", &["2"]),
    ("/tickets/to_hour", &["19", "22"]),
    ("/activity/probability/slope", &["0.64", "0.84", "0"]),
];

#[test]
fn every_law_holds_of_the_document() {
    let broken = broken(&Samples::new(&churn()), LAWS.iter().chain(TRUTHS));
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn mutants_are_caught() {
    let document = churn();
    let mutate = |document: &Value, pointer: &str, moved: &Value| with(document, pointer, moved.clone());
    let moves = |_: &str, value: &Value| fifths(value, value.is_u64());
    let mutation = Mutation { document: &document, exceptions: EXCEPTIONS, moves, mutate, sample: Samples::new, laws: LAWS };
    record_mutants("churn", &mutation.table());
}
