//! Every constant of the document, moved: some law must notice.

use super::churn;
use super::laws::{LAWS, Law, TRUTHS};
use super::samples::Samples;
use crate::support::{record_mutants, with};
use populace_core::churn::{ChurnConfig, ChurnModel};
use populace_core::scenario::Scenario;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Mutants of constants for which a fifth more or less is no sound document or is no change.
const EXCEPTIONS: &[(&str, &[&str])] = &[
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

/// Every constant of the document: scalars, and lists as a whole.
pub(super) fn constants(value: &Value, pointer: &str, found: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| constants(value, &format!("{pointer}/{key}"), found)),
        _ => found.push((pointer.to_owned(), value.clone())),
    }
}

fn mutants(pointer: &str, value: &Value) -> Vec<Value> {
    if let Some((_, mutants)) = EXCEPTIONS.iter().find(|(exception, _)| *exception == pointer) {
        return mutants.iter().map(|mutant| serde_json::from_str(mutant).unwrap()).collect();
    }
    match value {
        Value::Array(names) => vec![names[1..].into()],
        Value::Number(number) if number.is_u64() => {
            let number = number.as_f64().unwrap();
            vec![json!((number * 0.8).floor() as u64), json!((number * 1.2).ceil() as u64)]
        }
        // Rounded, so that 0.35 · 1.2 reads 0.42.
        Value::Number(number) => [0.8, 1.2].map(|factor| json!((number.as_f64().unwrap() * factor * 1e6).round() / 1e6)).to_vec(),
        other => panic!("{pointer}: no mutant of {other}"),
    }
}

/// Those of the laws that a document breaks, and how.
fn broken<'l>(samples: &Samples, laws: impl IntoIterator<Item = &'l Law>) -> Vec<(&'static str, String)> {
    laws.into_iter().filter_map(|(name, law)| law(samples).err().map(|how| (*name, how))).collect()
}

#[test]
fn every_law_holds_of_the_document() {
    let broken = broken(&Samples::new(&churn()), LAWS.iter().chain(TRUTHS));
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn mutants_are_caught() {
    let document = churn();
    let mut found = Vec::new();
    constants(&document, "", &mut found);
    for (pointer, _) in EXCEPTIONS {
        assert!(found.iter().any(|(constant, _)| constant == pointer), "{pointer} is not in the document");
    }

    let mut table = String::from("| constant | is | moved to | caught by |\n|---|---|---|---|\n");
    let mut survivors = Vec::new();
    for (pointer, value) in &found {
        for mutant in mutants(pointer, value) {
            assert_ne!(mutant, *value, "{pointer}");
            let mutated = with(&document, pointer, mutant.clone());
            let config: ChurnConfig = serde_json::from_value(mutated.clone()).unwrap();
            if let Err(error) = ChurnModel::from_config(&config) {
                panic!("{pointer} = {mutant} is no sound document: {error}");
            }
            let caught: Vec<&str> = broken(&Samples::new(&mutated), LAWS).into_iter().map(|(law, _)| law).collect();
            if caught.is_empty() {
                survivors.push(format!("{pointer} = {mutant}"));
            }
            let constant = pointer[1..].replace('/', ".");
            let mutant = if mutant.is_array() { "without the first".into() } else { mutant.to_string() };
            let is = if let Value::Array(names) = value { format!("{} names", names.len()) } else { value.to_string() };
            writeln!(table, "| `{constant}` | {is} | {mutant} | {} |", caught.join("; ")).unwrap();
        }
    }
    assert!(survivors.is_empty(), "no law caught {survivors:#?}");
    record_mutants("churn", &table);
}
