//! Every constant of the documents, moved: some law must notice.

use super::laws::{LAWS, TRUTHS};
use super::samples::Samples;
use super::{email, email_v1};
use crate::mutation::{broken, fifths};
use crate::support::{record_mutants, with};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Whom a law is held against: three rounds of the table of personas.
const USERS: u64 = 1_050;

/// Constants whose fifth shows in larger samples only: how many users, and of which persona if not of all.
const SAMPLES: &[(&str, u64, Option<&str>)] = &[
    ("/timing/", 7_000, None),
    ("/attention/", 14_000, Some("weekend_warrior")),
    ("/circuit_breakers/kinds/", 4_200, None),
    ("/open_delays/max_minutes", 70_000, Some("weekend_warrior")),
];

/// Mutants of constants for which a fifth more or less is not a sound document or is not a change.
const EXCEPTIONS: &[(&str, &[&str])] = &[
    ("/window/start", &["\"2025-10-02\""]),
    ("/timezone", &["\"UTC+02:00\""]),
    ("/esp_timezone", &["\"UTC+02:00\""]),
    ("/delivery/probability", &["0.792", "1"]),
    ("/engagement/decided_at", &["\"send\""]),
    ("/engagement/max_probability", &["0.784", "1"]),
    ("/timing/max_probability", &["0.85", "1"]),
    ("/timing/minute_allowance", &["1.1", "1.43"]),
    ("/personas/highly_engaged/open_rate", &["0.52", "0.72"]),
    ("/sends/last_hour", &["17", "23"]),
    ("/open_delay", &["\"exponential\""]),
    ("/circuit_breakers/suppress_sends", &["true"]),
    ("/hot_paths/trigger/delay_minutes/low", &["5"]),
    ("/hot_paths/trigger/campaign", &["\"promotion\""]),
    ("/latency/uniform/low_seconds", &["0", "2"]),
];

/// Parts of the document that go together: what happens without them.
const REMOVED: &[&str] = &[
    "/minute",
    "/fatigue",
    "/drift",
    "/circuit_breakers",
    "/hot_paths",
    "/hot_paths/trigger",
    "/latency/lognormal/top_of_hour",
    "/latency/lognormal/batch",
    "/latency/lognormal/weekend",
];

/// Every constant of a document: scalars and lists as a whole, but numbers of a list of fractions one by one.
fn constants(value: &Value, pointer: &str, found: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| constants(value, &format!("{pointer}/{key}"), found)),
        Value::Array(values) if values.first().is_some_and(Value::is_f64) => {
            values.iter().enumerate().for_each(|(index, value)| constants(value, &format!("{pointer}/{index}"), found));
        }
        Value::Null => {}
        _ => found.push((pointer.to_owned(), value.clone())),
    }
}

fn mutants(pointer: &str, value: &Value) -> Vec<Value> {
    if let Some((_, mutants)) = EXCEPTIONS.iter().find(|(exception, _)| *exception == pointer) {
        return mutants.iter().map(|mutant| serde_json::from_str(mutant).unwrap()).collect();
    }
    match value {
        // Flat personas: an hour of their own.
        Value::Array(values) if values.is_empty() => vec![json!([12])],
        Value::Number(number) => fifths(value, number.is_u64() && !pointer.ends_with("weight")),
        Value::Array(_) => fifths(value, false),
        Value::String(text) => match text.as_str() {
            "promotional" => vec![json!("transactional")],
            "transactional" => vec![json!("promotional")],
            text => vec![json!(format!("{text}x"))],
        },
        other => panic!("{pointer}: no mutant of {other}"),
    }
}

/// A constant, what it is, and what it is moved to.
type Moved = (String, Value, Vec<Value>);

/// Every constant of a document below a pointer with its mutants.
fn moved(document: &Value, below: &str) -> Vec<Moved> {
    let mut found = Vec::new();
    constants(document, "", &mut found);
    found.retain(|(pointer, _)| pointer.starts_with(below));
    let with_mutants = |(pointer, value): (String, Value)| {
        let mutants = mutants(&pointer, &value);
        (pointer, value, mutants)
    };
    found.into_iter().map(with_mutants).collect()
}

/// The sample in which a constant is to show.
fn samples(document: &Value, pointer: &str) -> Samples {
    if let Some((_, users, only)) = SAMPLES.iter().find(|(prefix, _, _)| pointer.starts_with(prefix)) {
        return Samples::new(document, 0..*users, *only);
    }
    let mut parts = pointer.split('/').skip(1);
    match (parts.next(), parts.next(), parts.next()) {
        (Some("personas"), Some(persona), Some(key)) if key != "count" => Samples::new(document, 0..4_200, Some(persona)),
        _ => Samples::new(document, 0..USERS, None),
    }
}

#[test]
fn every_law_holds_of_the_documents() {
    for document in [email(), email_v1()] {
        let laws = || LAWS.iter().chain(TRUTHS);
        let found = broken(&Samples::new(&document, 0..USERS, None), laws());
        assert!(found.is_empty(), "{found:#?}");
        for (pointer, users, only) in SAMPLES {
            let found = broken(&Samples::new(&document, 0..*users, *only), laws());
            assert!(found.is_empty(), "{pointer}: {found:#?}");
        }
    }
    for persona in super::samples::PERSONAS {
        let found = broken(&Samples::new(&email(), 0..4_200, Some(persona.name)), LAWS);
        assert!(found.is_empty(), "{}: {found:#?}", persona.name);
    }
}

/// The rows of the table for some mutants, and those that no law caught.
fn table(document: &Value, found: &[Moved]) -> (String, Vec<String>) {
    let mut table = String::from("| constant | is | moved to | caught by |\n|---|---|---|---|\n");
    let mut survivors = Vec::new();
    for (pointer, value, mutants) in found {
        for mutant in mutants {
            assert_ne!(mutant, value, "{pointer}");
            let mutated = with(document, pointer, mutant.clone());
            let constant = pointer[1..].replace('/', ".");
            let (is, moved) = match (value, mutant) {
                (Value::Array(values), _) if !values.is_empty() => (format!("{} values", values.len()), "without the first".into()),
                (Value::Object(_), Value::Object(_)) => ("that of `email-v1`".into(), "that of `email`".into()),
                (Value::Null, Value::Object(_)) => ("null".into(), "that of `email`".into()),
                (Value::Object(_), _) => ("on".into(), mutant.to_string()),
                _ => (value.to_string(), mutant.to_string()),
            };
            let samples = samples(&mutated, pointer);
            let mut caught = broken(&samples, LAWS);
            if caught.is_empty() {
                caught = broken(&samples, TRUTHS);
            }
            let caught = caught.iter().map(|(law, _)| *law).collect::<Vec<_>>().join("; ");
            if caught.is_empty() {
                survivors.push(format!("{pointer} = {mutant}"));
            }
            writeln!(table, "| `{constant}` | {is} | {moved} | {caught} |").unwrap();
        }
    }
    (table, survivors)
}

#[test]
fn mutants_are_caught() {
    let document = email();
    let mut found = moved(&document, "");
    found.extend(REMOVED.iter().map(|pointer| (String::from(*pointer), document.pointer(pointer).cloned().unwrap(), vec![Value::Null])));
    let (table, survivors) = table(&document, &found);
    assert!(survivors.is_empty(), "no law caught {survivors:#?}\n{table}");
    record_mutants("email", &table);
}

/// What `email-v1` has of its own.
#[test]
fn mutants_of_v1_are_caught() {
    let document = email_v1();
    let mut found = moved(&document, "/latency/");
    let v2 = email();
    for pointer in ["/latency", "/minute", "/fatigue", "/drift", "/circuit_breakers", "/hot_paths"] {
        found.push((pointer.into(), document.pointer(pointer).cloned().unwrap(), vec![v2.pointer(pointer).cloned().unwrap()]));
    }
    let (table, survivors) = table(&document, &found);
    assert!(survivors.is_empty(), "no law caught {survivors:#?}\n{table}");
    record_mutants("email-v1", &table);
}
