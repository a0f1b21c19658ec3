//! Bounds of numbers and of lengths, and how a message states them.

use super::schema::Schema;
use super::tree::{Number, count};
use serde_json::Value;
use std::cmp::Ordering;

/// `Err` holds the rule that the number breaks, such as `from 0 to 1`.
pub(super) fn check(number: Number, schema: Schema<'_>) -> Result<(), String> {
    let bound = |keyword| schema.get(keyword).filter(|bound| bound.is_number());
    let (least, above) = (bound("minimum"), bound("exclusiveMinimum"));
    let (most, below) = (bound("maximum"), bound("exclusiveMaximum"));
    let holds = |bound: Option<&Value>, allowed: &[Ordering]| bound.is_none_or(|bound| allowed.contains(&compare(number, bound)));
    let inside = holds(least, &[Ordering::Greater, Ordering::Equal])
        && holds(above, &[Ordering::Greater])
        && holds(most, &[Ordering::Less, Ordering::Equal])
        && holds(below, &[Ordering::Less]);
    if !inside {
        return Err(state(least, above, most, below));
    }
    match (number, schema.get("format").and_then(Value::as_str).and_then(integer_format)) {
        (Number::Integer(integer), Some((low, high))) if !(low..=high).contains(&integer) => Err(format!("from {low} to {high}")),
        _ => Ok(()),
    }
}

fn state(least: Option<&Value>, above: Option<&Value>, most: Option<&Value>, below: Option<&Value>) -> String {
    if let (Some(least), None, Some(most), None) = (least, above, most, below) {
        return format!("from {} to {}", show(least), show(most));
    }
    let parts = [(least, "at least"), (above, "greater than"), (most, "at most"), (below, "less than")];
    let stated: Vec<String> = parts.into_iter().filter_map(|(bound, words)| Some(format!("{words} {}", show(bound?)))).collect();
    stated.join(" and ")
}

/// `1.0` of a schema is `1` to a reader.
fn show(bound: &Value) -> String {
    bound.as_f64().filter(|_| bound.is_f64()).map_or_else(|| bound.to_string(), |float| float.to_string())
}

fn compare(number: Number, bound: &Value) -> Ordering {
    let whole = bound.as_i64().map(i128::from).or_else(|| bound.as_u64().map(i128::from));
    if let (Number::Integer(integer), Some(whole)) = (number, whole) {
        return integer.cmp(&whole);
    }
    number.as_f64().total_cmp(&bound.as_f64().unwrap_or(f64::NAN))
}

fn integer_format(name: &str) -> Option<(i128, i128)> {
    Some(match name {
        "uint8" => (0, u8::MAX.into()),
        "uint16" => (0, u16::MAX.into()),
        "uint32" => (0, u32::MAX.into()),
        "uint64" | "uint" => (0, u64::MAX.into()),
        "int8" => (i8::MIN.into(), i8::MAX.into()),
        "int16" => (i16::MIN.into(), i16::MAX.into()),
        "int32" => (i32::MIN.into(), i32::MAX.into()),
        "int64" | "int" => (i64::MIN.into(), i64::MAX.into()),
        _ => return None,
    })
}

/// The bounds of a length, of which there is at least one: `exactly 2 items`, `from 1 to 4 items`, `at least 1 item`.
pub(super) fn between(least: Option<u64>, most: Option<u64>, noun: &str) -> String {
    match (least, most) {
        (Some(least), Some(most)) if least == most => format!("exactly {}", count(least as usize, noun)),
        (Some(least), Some(most)) => format!("from {least} to {}", count(most as usize, noun)),
        (Some(least), None) => format!("at least {}", count(least as usize, noun)),
        (None, most) => format!("at most {}", count(most.unwrap_or(u64::MAX) as usize, noun)),
    }
}
