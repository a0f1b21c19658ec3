//! Sound data of any legal document and of any size passes.
//!
//! Documents are random: some values of a built-in one are replaced by others, half of them from anywhere in the range that the schema
//! allows, the rest near what they were. `POPULACE_DOCUMENTS=2000` is the long form; `POPULACE_DOCUMENT` repeats one of them.

use super::{answer, number};
use crate::support::Run;
use populace_analysis::stats::binomial;
use populace_analysis::verify::DEFAULT_ALPHA;
use populace_core::math::{exp, ln};
use populace_io::catalogue;
use populace_io::document::{self, Request, Resolved, Setting};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Documents of the short form.
const SHORT: u64 = 24;
/// Rows that a run may be expected to have: of the short form and of the long one.
const MOST_ROWS: [f64; 2] = [8_000.0, 40_000.0];
/// The most users and days.
const MOST: [f64; 2] = [4_000.0, 400.0];

/// Random numbers, each document's its own (`SplitMix64`).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let a = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let b = (a ^ (a >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        b ^ (b >> 31)
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn below(&mut self, n: usize) -> usize {
        (self.unit() * n as f64) as usize
    }

    /// A number whose logarithm is uniform.
    fn log(&mut self, low: f64, high: f64) -> f64 {
        exp(ln(low) + self.unit() * (ln(high) - ln(low)))
    }
}

/// The schema that a reference leads to.
fn followed<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let reference = schema.get("$ref").and_then(Value::as_str).and_then(|path| root.pointer(path.strip_prefix('#')?));
    let option = schema.get("anyOf").and_then(Value::as_array).map(|options| &options[0]);
    reference.or(option).map_or(schema, |next| followed(root, next))
}

/// The values that may be moved, each with its path and its schema.
fn leaves<'a>(root: &'a Value, schema: &'a Value, value: &'a Value, path: &str, found: &mut Vec<(String, &'a Value, &'a Value)>) {
    let is_optional = schema.get("anyOf").is_some_and(|options| options[1]["type"] == "null");
    if is_optional {
        found.push((path.to_owned(), schema, value));
    }
    let schema = followed(root, schema);
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let of_variant = || schema["oneOf"].as_array()?.iter().find_map(|variant| variant["properties"].get(key));
                let Some(inner) = schema["properties"].get(key).or_else(of_variant).or_else(|| schema.get("additionalProperties")) else {
                    continue;
                };
                // A dot in a key is no step of a path.
                if !key.contains('.') {
                    leaves(root, inner, value, &if path.is_empty() { key.clone() } else { format!("{path}.{key}") }, found);
                }
            }
        }
        Value::Number(_) | Value::Bool(_) => found.push((path.to_owned(), schema, value)),
        Value::String(_) if schema.get("enum").is_some() || schema.get("oneOf").is_some() || path.ends_with("timezone") => {
            found.push((path.to_owned(), schema, value));
        }
        // Lists of numbers: bounds from low to high, hours, minutes, factors.
        Value::Array(items) if items.iter().all(|item| item.is_number() || item.is_string()) => {
            found.push((path.to_owned(), schema, value));
        }
        _ => {}
    }
}

/// Another value.
fn moved(random: &mut Random, path: &str, schema: &Value, value: &Value) -> Value {
    match value {
        Value::Bool(is) => json!(!is),
        Value::Number(number) => {
            let now = number.as_f64().unwrap();
            let least = schema["minimum"].as_f64().unwrap_or(0.0);
            let most = schema["maximum"].as_f64().unwrap_or((now * 10.0).max(1.0));
            let near = now.abs().max(0.01 * (most - least).min(100.0)) * random.log(0.2, 5.0) * now.signum();
            let drawn = match random.below(10) {
                0 => least,
                1 => most,
                2..=4 if most > 100.0 * least.max(0.01) => random.log(least.max(0.01).min(most), most),
                2..=4 => least + random.unit() * (most - least),
                _ => near,
            };
            let drawn = drawn.clamp(least, most);
            let is_whole = schema["type"] == "integer" || schema["type"][0] == "integer";
            if is_whole { json!(drawn.round() as i64) } else { json!((drawn * 1e4).round() / 1e4) }
        }
        Value::String(_) if path.ends_with("timezone") => json!(format!("UTC{}{:02}:00", ["+", "-"][random.below(2)], random.below(12))),
        Value::String(_) => {
            let named = schema["enum"].as_array().cloned().unwrap_or_default();
            let constants = schema["oneOf"].as_array().into_iter().flatten().map(|choice| choice["const"].clone());
            let choices: Vec<Value> = named.into_iter().chain(constants).collect();
            choices[random.below(choices.len())].clone()
        }
        Value::Array(items) if items.first().is_some_and(Value::is_f64) || path.contains("seconds") || path.ends_with("slow_factor") => {
            let mut moved: Vec<f64> = items.iter().map(|item| item.as_f64().unwrap() * random.log(0.2, 5.0)).collect();
            moved.sort_by(f64::total_cmp);
            json!(moved)
        }
        // Some of the items; now and then one alone.
        Value::Array(items) => {
            let keep = if random.below(4) == 0 { 1 } else { 1 + random.below(items.len().max(1)) };
            let first = random.below(items.len().max(1));
            json!(items.iter().cycle().skip(first).take(keep.min(items.len())).collect::<Vec<_>>())
        }
        _ => Value::Null,
    }
}

/// A document as settings of a built-in one.
fn resolve(scenario: &str, set: &BTreeMap<String, Value>) -> Option<Resolved> {
    let set: Vec<(&String, String)> = set.iter().map(|(path, value)| (path, value.to_string())).collect();
    let settings: Vec<Setting<'_>> = set.iter().map(|(path, value)| Setting { option: "--set", path, value }).collect();
    let resolved = catalogue::resolve(&Request { settings: &settings, ..Request::new(document::Source::Named(scenario)) }).ok()?;
    catalogue::generator(&resolved).ok()?;
    Some(resolved)
}

/// About how many rows a document's data has, by its first actors.
fn rows(document: &Resolved, users: f64) -> f64 {
    let some = users.min(6.0);
    catalogue::generator(document).unwrap().count(1, 0..some as u64) as f64 / some * users
}

/// A random document, and what is set in it.
fn draw(number: u64, most_rows: f64) -> (&'static str, BTreeMap<String, Value>, Resolved) {
    const SCENARIOS: [&str; 4] = ["traces", "churn", "email", "email-v1"];
    let scenario = SCENARIOS[(number % 4) as usize];
    let mut random = Random(number.wrapping_mul(0xD134_2543_DE82_EF95));
    let plain = resolve(scenario, &BTreeMap::new()).unwrap();
    let schema = catalogue::schema(&plain.family).unwrap();
    let mut all = Vec::new();
    leaves(&schema, &schema, &plain.config, "", &mut all);
    let mut set = BTreeMap::new();
    let [users, days] = MOST;
    let mut users = random.log(1.0, users).round();
    set.insert("window.days".to_owned(), json!(random.log(2.0, days).round() as u64));
    set.insert("population.users".to_owned(), json!(users as u64));
    if resolve(scenario, &set).is_none() {
        set.remove("window.days");
    }
    let moves = random.below(10);
    let sections: Vec<&str> = plain.config.as_object().unwrap().keys().map(String::as_str).collect();
    let mut tries = 0;
    while set.len() < moves + 2 && tries < 60 {
        tries += 1;
        // A section first, so that the many values of some do not hide the few of others.
        let section = sections[random.below(sections.len())];
        let of: Vec<_> = all.iter().filter(|(path, ..)| path.split('.').next() == Some(section)).collect();
        if of.is_empty() {
            continue;
        }
        let (path, schema, value) = of[random.below(of.len())];
        let is_off = schema.get("anyOf").is_some_and(|options| options[1]["type"] == "null") && random.below(3) > 0;
        if path.starts_with("population") || path.starts_with("window") || is_off {
            continue;
        }
        let before = set.clone();
        set.insert(path.clone(), moved(&mut random, path, schema, value));
        if resolve(scenario, &set).is_none() {
            set = before;
        }
    }
    loop {
        set.insert("population.users".to_owned(), json!(users as u64));
        let document = resolve(scenario, &set).unwrap();
        if users <= 1.0 || rows(&document, users) <= most_rows {
            return (scenario, set, document);
        }
        users = (users * (most_rows / rows(&document, users)).clamp(0.01, 0.9)).floor().max(1.0);
    }
}

#[test]
fn sound_data_of_random_documents_passes() {
    let documents = number("POPULACE_DOCUMENTS", SHORT);
    let only = number("POPULACE_DOCUMENT", u64::MAX);
    let most_rows = MOST_ROWS[usize::from(documents > SHORT)];
    let next = AtomicU64::new(0);
    let (alarms, skipped) = (Mutex::new(Vec::new()), AtomicU64::new(0));
    let work = || loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= documents {
            break;
        }
        if only != u64::MAX && only != number {
            continue;
        }
        let (scenario, set, document) = draw(number, most_rows);
        if rows(&document, 1.0) > 50.0 * most_rows {
            skipped.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        let run = Run::of(&document, 1_000 + number);
        let report = answer(run.path(), &document);
        let failed: Vec<String> = report.failures().map(ToString::to_string).collect();
        if !failed.is_empty() {
            let line = format!("{number} {scenario} {}\n  {}", json!(set), failed.join("\n  "));
            println!("{line}");
            alarms.lock().unwrap().push(line);
        }
    };
    std::thread::scope(|scope| (0..2).for_each(|_| drop(scope.spawn(work))));
    let alarms = alarms.into_inner().unwrap();
    let tried = documents - skipped.into_inner();
    println!("{tried} documents, {} alarms", alarms.len());
    // Under the stated rate, so many alarms or more have a chance above one in ten thousand.
    assert!(
        alarms.is_empty() || binomial(alarms.len() as u64, tried, DEFAULT_ALPHA) > 2e-4,
        "{} of {tried}:\n{}",
        alarms.len(),
        alarms.join("\n")
    );
}
