//! Every constant of the document, moved: some law must notice.

use super::laws::{LAWS, TRUTHS};
use super::samples::Samples;
use super::with_cascades;
use crate::mutation::{Mutation, broken, fifths, rounded};
use crate::support::{record_mutants, with};
use serde_json::{Map, Value, json};

/// Maps whose values sum to 1: a value that moves takes from the others, or gives to them, in proportion.
const ROWS: [&str; 4] = ["/statuses", "/workflow/entry_points", "/workflow/transitions/", "/workflow/user_type_distribution"];

/// Numbers that must be whole.
const WHOLE: [&str; 4] = ["/population/users", "/window/days", "/parameters/pages", "/workflow/max_length"];

/// Constants for which a fifth more or less is not a sound document or is not a change.
const EXCEPTIONS: &[(&str, &[&str])] = &[
    ("/window/start", &["\"2026-01-02\""]),
    ("/cascade/slow", &["0.48", "0.65"]),
    ("/workflow/name", &["\"shop\""]),
    ("/workflow/exit_points", &[r#"["/api/logout", "/api/confirmation", "/api/orders/{id}/track", "/api/payment"]"#]),
    ("/workflow/exit_probability", &["0.8"]),
];

fn moves(pointer: &str, value: &Value) -> Vec<Value> {
    let mut moves = fifths(value, WHOLE.contains(&pointer));
    let is_share = ROWS.iter().any(|row| pointer.starts_with(row));
    if let (true, Some(share), Some(more)) = (is_share, value.as_f64(), moves.last_mut())
        && share * 1.2 >= 1.0
    {
        // A probability that has no fifth left goes half way to 1.
        *more = rounded(f64::midpoint(share, 1.0));
    }
    moves
}

/// The document with a constant moved, and with what has to move with it.
fn mutate(document: &Value, pointer: &str, mutant: &Value) -> Value {
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

#[test]
fn every_law_holds_of_the_document() {
    let broken = broken(&Samples::new(&with_cascades()), LAWS.iter().chain(TRUTHS));
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn mutants_are_caught() {
    let document = with_cascades();
    let mutation = Mutation { document: &document, exceptions: EXCEPTIONS, moves, mutate, sample: Samples::new, laws: LAWS };
    let head = "The document with `cascade_failure_rate: 0.3`. Where probabilities sum to 1, the others of the row move with the one that \
                is moved.";
    record_mutants("traces", &format!("{head}\n\n{}", mutation.table()));
}
