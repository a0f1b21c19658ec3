//! What was expected, and what to do when something else was found.

use super::diagnostic::{nearest, suggest};
use super::parse::read_number;
use super::schema::{Schema, tagging};
use super::tree::{Kind, Node, Path, quote};
use serde_json::Value;

/// What any of the alternatives expects: `a number`, `a list or nothing (null)`.
pub(super) fn expected(schemas: &[Schema<'_>]) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut add = |word: String| {
        if !words.contains(&word) {
            words.push(word);
        }
    };
    let choices: Vec<&Value> = schemas.iter().filter_map(|schema| schema.choices()).flatten().collect();
    if !choices.is_empty() {
        let names: Vec<String> = choices.iter().map(|choice| choice.as_str().map_or_else(|| choice.to_string(), str::to_owned)).collect();
        add(if names.len() == 1 { names.concat() } else { format!("one of {}", names.join(", ")) });
    }
    let open = schemas.iter().filter(|schema| schema.choices().is_none());
    for (schema, name) in open.flat_map(|schema| schema.types().into_iter().map(move |name| (schema, name))) {
        let word = match name {
            "string" if schema.get("format").and_then(Value::as_str) == Some("date") => "a date",
            "null" => "nothing (null)",
            "boolean" => "true or false",
            "integer" => "a whole number",
            "number" => "a number",
            "string" => "text",
            "array" => "a list",
            _ => "a map",
        };
        add(word.to_owned());
    }
    match words.as_slice() {
        [] => "a value".to_owned(),
        _ => words.join(" or "),
    }
}

/// The hint for a key that the schema at `path` does not know, though it knows `known`: the nearest, or where below the key
/// belongs, or all there are.
pub(super) fn of_unknown_key(key: &str, known: &[&str], path: &Path, schema: Schema<'_>) -> String {
    let dot = if path.steps().is_empty() { "" } else { "." };
    match schema.below(key) {
        Some(below) if nearest(key, known.iter().copied()).is_none() => format!("did you mean `{path}{dot}{below}`?"),
        _ => suggest(key, known, "known keys"),
    }
}

/// The hint for a value of the wrong kind.
pub(super) fn of_mismatch(node: &Node, schemas: &[Schema<'_>]) -> String {
    let wants = |name: &str| schemas.iter().any(|schema| schema.types().contains(&name));
    let wants_text = schemas.iter().any(|schema| schema.choices().is_none() && schema.types().contains(&"string"));
    match &node.kind {
        Kind::Text(text) if wants("number") || wants("integer") => of_text_for_number(text),
        Kind::Text(text) if wants("boolean") => match text.to_lowercase().as_str() {
            "true" | "yes" | "on" | "y" => "write true, without quotes".to_owned(),
            "false" | "no" | "off" | "n" => "write false, without quotes".to_owned(),
            _ => String::new(),
        },
        Kind::Number(_, spelling) if wants_text => format!("put it between quotes: \"{spelling}\""),
        Kind::Bool(value) if wants_text => format!("put it between quotes: \"{value}\""),
        Kind::Null => "give it a value, or leave the key out".to_owned(),
        Kind::Map(map) if wants("array") && !map.is_empty() && map.values().all(|entry| matches!(entry.value.kind, Kind::Null)) => {
            let items: Vec<&str> = map.keys().take(4).map(String::as_str).collect();
            format!("write a list: [{}{}]", items.join(", "), if map.len() > items.len() { ", …" } else { "" })
        }
        Kind::Text(text) if wants("array") => format!("write a list of one: [{}]", quote(text).trim_matches('`')),
        Kind::Number(_, spelling) if wants("array") => format!("write a list of one: [{spelling}]"),
        Kind::Text(_) | Kind::Number(..) | Kind::Bool(_) => maps_among(schemas),
        Kind::List(_) | Kind::Map(_) => String::new(),
    }
}

fn of_text_for_number(text: &str) -> String {
    let text = text.trim();
    if read_number(text).is_some() {
        return format!("remove the quotes: {text}");
    }
    let bare = text.replace('_', "");
    if bare != text && read_number(&bare).is_some() {
        return format!("write it without underscores: {bare}");
    }
    match text.strip_suffix('%').map(str::trim).and_then(read_number) {
        Some(percent) => format!("write it as a fraction: {}", percent.as_f64() / 100.0),
        None => String::new(),
    }
}

/// The forms that are maps, where text or a number was found.
pub(super) fn maps_among(schemas: &[Schema<'_>]) -> String {
    let maps: Vec<_> = schemas.iter().copied().filter(|schema| schema.is_map()).collect();
    let Some(tagging) = tagging(&maps) else { return String::new() };
    let shape = |name: &str| match &tagging {
        super::schema::Tagging::Internal(tag) => format!("{{{tag}: {name}, …}}"),
        super::schema::Tagging::External => format!("{{{name}: …}}"),
    };
    let shapes: Vec<String> = maps.iter().filter_map(|schema| schema.variant_name(&tagging)).map(shape).collect();
    format!("write a map: {}", shapes.join(" or "))
}
