//! Every constant of the document, moved: some law must notice.

use super::laws::{LAWS, Law, TRUTHS};
use super::samples::Samples;
use super::with_cascades;
use crate::support::{constants, record_mutants, with};
use populace_core::scenario::Scenario;
use populace_core::traces::{TracesConfig, TracesModel};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

/// Maps whose values sum to 1: a value that moves takes from the others, or gives to them, in proportion.
const ROWS: [&str; 4] = ["/statuses", "/workflow/entry_points", "/workflow/transitions/", "/workflow/user_type_distribution"];

/// Numbers that must be whole.
const WHOLE: [&str; 4] = ["/population/users", "/window/days", "/parameters/pages", "/workflow/max_length"];

/// Constants for which a fifth more or less is no sound document or is no change.
const EXCEPTIONS: &[(&str, &[&str])] = &[
    ("/window/start", &["\"2026-01-02\""]),
    ("/cascade/slow", &["0.48", "0.65"]),
    ("/workflow/name", &["\"shop\""]),
    ("/workflow/exit_points", &[r#"["/api/logout", "/api/confirmation", "/api/orders/{id}/track", "/api/payment"]"#]),
    ("/workflow/exit_probability", &["0.8"]),
];

/// The values that a constant is moved to.
fn moved(pointer: &str, value: &Value) -> Vec<Value> {
    if let Some((_, mutants)) = EXCEPTIONS.iter().find(|(exception, _)| *exception == pointer) {
        return mutants.iter().map(|mutant| serde_json::from_str(mutant).unwrap()).collect();
    }
    match value {
        Value::Array(names) => vec![names[1..].into()],
        Value::Number(number) if WHOLE.contains(&pointer) => {
            let number = number.as_f64().unwrap();
            vec![json!((number * 0.8).floor() as u64), json!((number * 1.2).ceil() as u64)]
        }
        Value::Number(number) => {
            let number = number.as_f64().unwrap();
            let is_share = ROWS.iter().any(|row| pointer.starts_with(row));
            // A probability that has no fifth left goes half way to 1.
            let more = if is_share && number * 1.2 >= 1.0 { f64::midpoint(number, 1.0) } else { number * 1.2 };
            // Rounded, so that 0.35 · 1.2 reads 0.42.
            [number * 0.8, more].map(|moved| json!((moved * 1e6).round() / 1e6)).to_vec()
        }
        other => panic!("{pointer}: no mutant of {other}"),
    }
}

/// The document with a constant moved, and with what has to move with it.
fn mutated(document: &Value, pointer: &str, mutant: &Value) -> Value {
    let mut mutated = with(document, pointer, mutant.clone());
    if ROWS.iter().any(|row| pointer.starts_with(row)) {
        let (row, _) = pointer.rsplit_once('/').unwrap();
        let old = document.pointer(pointer).and_then(Value::as_f64).unwrap();
        let scale = (1.0 - mutant.as_f64().unwrap()) / (1.0 - old);
        let key = pointer[row.len() + 1..].replace("~1", "/");
        for (name, p) in mutated.pointer_mut(row).and_then(Value::as_object_mut).unwrap() {
            if *name != key {
                *p = json!(p.as_f64().unwrap() * scale);
            }
        }
    }
    if pointer == "/workflow/exit_probability" {
        // An exit point that may go on needs somewhere to go.
        let exits = document["workflow"]["exit_points"].as_array().unwrap();
        let transitions = mutated["workflow"]["transitions"].as_object_mut().unwrap();
        transitions.extend(exits.iter().map(|exit| (exit.as_str().unwrap().to_owned(), json!({"/api/login": 1.0}))).collect::<Map<_, _>>());
    }
    mutated
}

/// Those of the laws that a document breaks, and how.
fn broken<'l>(samples: &Samples, laws: impl IntoIterator<Item = &'l Law>) -> Vec<(&'static str, String)> {
    laws.into_iter().filter_map(|(name, law)| law(samples).err().map(|how| (*name, how))).collect()
}

#[test]
fn every_law_holds_of_the_document() {
    let broken = broken(&Samples::new(&with_cascades()), LAWS.iter().chain(TRUTHS));
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn mutants_are_caught() {
    let document = with_cascades();
    let mut found = Vec::new();
    constants(&document, "", &mut found);
    for (pointer, _) in EXCEPTIONS {
        assert!(found.iter().any(|(constant, _)| constant == pointer), "{pointer} is not in the document");
    }

    let mut table = String::from(
        "The document with `cascade_failure_rate: 0.3`. Where probabilities sum to 1, the others of the row move with the one that is moved.\n\n\
         | constant | is | moved to | caught by |\n|---|---|---|---|\n",
    );
    let mut survivors = Vec::new();
    for (pointer, value) in &found {
        for mutant in moved(pointer, value) {
            assert_ne!(mutant, *value, "{pointer}");
            let mutated = mutated(&document, pointer, &mutant);
            let config: TracesConfig = serde_json::from_value(mutated.clone()).unwrap();
            if let Err(error) = TracesModel::from_config(&config) {
                panic!("{pointer} = {mutant} is no sound document: {error}");
            }
            let caught: Vec<&str> = broken(&Samples::new(&mutated), LAWS).into_iter().map(|(law, _)| law).collect();
            if caught.is_empty() {
                survivors.push(format!("{pointer} = {mutant}"));
            }
            let constant = pointer[1..].replace('/', ".").replace("~1", "/");
            let (is, mutant) = match (value, &mutant) {
                (Value::Array(names), Value::Array(moved)) => {
                    let what = if moved.len() < names.len() { "without the first" } else { "with one more" };
                    (format!("{} names", names.len()), what.into())
                }
                _ => (value.to_string(), mutant.to_string()),
            };
            writeln!(table, "| `{constant}` | {is} | {mutant} | {} |", caught.join("; ")).unwrap();
        }
    }
    assert!(survivors.is_empty(), "no law caught {survivors:#?}");
    record_mutants("traces", &table);
}
