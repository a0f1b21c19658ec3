//! A merged document against its family's schema: every problem at once, and the JSON that the family's struct is read from.

use super::diagnostic::{Diagnostics, nearest, suggest};
use super::schema::{Schema, Tagging, tagging};
use super::tree::{Entry, Kind, Map, Node, Number, Path, count, quote};
use super::{hint, range};
use populace_core::time::{Date, UtcOffset};
use serde_json::Value;
use std::collections::HashSet;

/// Checks `node` and converts it: numbers take the type the schema gives them, keys that are left out take the schema's defaults.
/// `also` lists further keys of the top level, for the suggestions alone.
pub(super) fn check(node: &Node, schema: &Value, also: &[&str]) -> (Value, Diagnostics) {
    let mut check = Check { path: Path::default(), also, problems: Diagnostics::default() };
    let value = check.value(node, Schema::new(schema));
    (value, check.problems)
}

/// The number that a text such as `1/3` is.
fn fraction(node: &Node) -> Option<Node> {
    let Kind::Text(text) = &node.kind else { return None };
    let (above, below) = text.split_once('/')?;
    let part = |text: &str| {
        let text = text.trim();
        text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.').then(|| text.parse::<f64>().ok())?
    };
    let number = part(above)? / part(below)?;
    let kind = Kind::Number(Number::Float(number), text.clone());
    number.is_finite().then(|| Node { kind, position: node.position.clone() })
}

struct Check<'a> {
    path: Path,
    also: &'a [&'a str],
    problems: Diagnostics,
}

impl Check<'_> {
    fn problem(&mut self, node: &Node, message: impl Into<String>, hint: impl Into<String>) {
        self.problems.push(Some(&node.position), &self.path, message, hint);
    }

    fn value(&mut self, node: &Node, schema: Schema<'_>) -> Value {
        let variants = schema.variants();
        let takes_numbers = || variants.iter().any(|variant| variant.types().contains(&"number"));
        let fraction = fraction(node).filter(|_| takes_numbers() && !variants.iter().any(|variant| variant.accepts(&node.kind)));
        let node = fraction.as_ref().unwrap_or(node);
        match variants.as_slice() {
            [only] => self.single(node, *only),
            _ => self.union(node, &variants),
        }
    }

    fn single(&mut self, node: &Node, schema: Schema<'_>) -> Value {
        if !schema.accepts(&node.kind) {
            return self.mismatch(node, &[schema]);
        }
        if let Some(choices) = schema.choices() {
            return self.choice(node, &choices, &hint::expected(&[schema]), "");
        }
        match &node.kind {
            Kind::Number(number, spelling) => self.number(node, *number, spelling, schema),
            Kind::Text(text) => self.text(node, text, schema),
            Kind::List(items) => self.list(node, items, schema),
            Kind::Map(map) => self.map(node, map, schema),
            Kind::Null | Kind::Bool(_) => node.to_json(),
        }
    }

    fn mismatch(&mut self, node: &Node, schemas: &[Schema<'_>]) -> Value {
        let expected = hint::expected(schemas);
        let hint = hint::of_mismatch(node, schemas);
        self.problem(node, format!("must be {expected}, got {}", node.describe()), hint);
        Value::Null
    }

    fn choice(&mut self, node: &Node, choices: &[&Value], expected: &str, otherwise: &str) -> Value {
        let value = node.to_json();
        if choices.contains(&&value) {
            return value;
        }
        let near = value.as_str().and_then(|text| nearest(text, choices.iter().filter_map(|choice| choice.as_str())));
        let hint = near.map_or_else(|| otherwise.to_owned(), |near| format!("did you mean `{near}`?"));
        self.problem(node, format!("must be {expected}, got {}", node.describe()), hint);
        Value::Null
    }

    fn number(&mut self, node: &Node, number: Number, spelling: &str, schema: Schema<'_>) -> Value {
        let types = schema.types();
        let whole_only = types.contains(&"integer") && !types.contains(&"number");
        match number {
            Number::Float(float) if !float.is_finite() => {
                self.problem(node, format!("must be a finite number, got {}", quote(spelling)), "");
                return Value::Null;
            }
            Number::Float(float) if whole_only => {
                let hint = if float.fract() == 0.0 && float.abs() < 1e15 { format!("write {float:.0}") } else { String::new() };
                self.problem(node, format!("must be a whole number, got {}", quote(spelling)), hint);
                return Value::Null;
            }
            Number::Integer(_) | Number::Float(_) => {}
        }
        if let Err(rule) = range::check(number, schema) {
            self.problem(node, format!("must be {rule}, got {}", quote(spelling)), "");
            return Value::Null;
        }
        // `5` and `5.0` are one value to a field that holds a float, so they must be one value to the digest.
        if types.contains(&"number") { number.as_f64().into() } else { super::tree::number_to_json(number) }
    }

    fn text(&mut self, node: &Node, text: &str, schema: Schema<'_>) -> Value {
        let length = text.chars().count() as u64;
        let bound = |keyword| schema.get(keyword).and_then(Value::as_u64);
        if bound("minLength").is_some_and(|least| length < least) || bound("maxLength").is_some_and(|most| length > most) {
            let rule = range::between(bound("minLength"), bound("maxLength"), "character");
            self.problem(node, format!("must have {rule}, got {}", node.describe()), "");
        }
        if schema.get("format").and_then(Value::as_str) == Some("date") && text.parse::<Date>().is_err() {
            self.problem(node, format!("must be a date, got {}", node.describe()), "write year, month and day: 2025-10-01");
        }
        if schema.get("pattern").and_then(Value::as_str) == Some(UtcOffset::PATTERN)
            && let Err(message) = text.parse::<UtcOffset>()
        {
            self.problem(node, message, "names of zones are not known, since their offsets change in the year");
        }
        Value::String(text.to_owned())
    }

    fn list(&mut self, node: &Node, items: &[Node], schema: Schema<'_>) -> Value {
        let length = items.len() as u64;
        let bound = |keyword| schema.get(keyword).and_then(Value::as_u64);
        if bound("minItems").is_some_and(|least| length < least) || bound("maxItems").is_some_and(|most| length > most) {
            let rule = range::between(bound("minItems"), bound("maxItems"), "item");
            self.problem(node, format!("must have {rule}, got {}", count(items.len(), "item")), "");
        }
        let unique = schema.get("uniqueItems") == Some(&Value::Bool(true));
        let mut seen = HashSet::new();
        let mut values = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            self.path.push_index(index);
            let value = schema.item(index).map_or_else(|| item.to_json(), |schema| self.value(item, schema));
            if unique && !seen.insert(value.to_string()) && !value.is_null() {
                self.problem(item, format!("{} is given twice", item.describe()), "keep one of the two");
            }
            self.path.pop();
            values.push(value);
        }
        Value::Array(values)
    }

    fn map(&mut self, node: &Node, map: &Map, schema: Schema<'_>) -> Value {
        let mut object = serde_json::Map::new();
        let mut missed = Vec::new();
        for (key, entry) in map {
            let Some(child) = schema.child(key) else {
                missed.push(key.as_str());
                if self.problems.is_full() {
                    self.problems.omitted += 1;
                    continue;
                }
                let mut known: Vec<&str> = schema.properties().iter().map(|(key, _)| *key).collect();
                if self.path.steps().is_empty() {
                    known.extend(self.also);
                }
                let path = self.path.join(key);
                let hint = if known.is_empty() {
                    "keys here are whole numbers".to_owned()
                } else {
                    hint::of_unknown_key(key, &known, &self.path, schema)
                };
                self.problems.push(Some(&entry.key), path, "unknown key", hint);
                continue;
            };
            self.path.push_key(key);
            let before = self.problems.problems.len();
            let value = self.value(&entry.value, child.schema);
            self.path.pop();
            if child.named {
                self.suspect_name(key, entry, map, before);
            }
            // A null that says what silence says is left out, so that both have one digest.
            let silent = value.is_null() && !child.named && child.schema.get("default").is_none_or(Value::is_null);
            if !silent {
                object.insert(key.clone(), value);
            }
        }
        for key in schema.required() {
            // A misspelt key is one mistake, not two.
            let misspelt = missed.iter().any(|missed| nearest(missed, [key]).is_some());
            if !map.contains_key(key) && !misspelt {
                let path = self.path.join(key);
                let expected = schema.child(key).map(|child| hint::expected(&child.schema.variants())).unwrap_or_default();
                self.problems.push(Some(&node.position), path, "is missing", format!("add `{key}: …`: {expected}"));
            }
        }
        for (key, property) in schema.properties() {
            if let Some(default) = property.get("default").filter(|default| !default.is_null() && !map.contains_key(key)) {
                let default = Node::from_json(default, &node.position);
                self.path.push_key(key);
                let value = self.value(&default, property);
                self.path.pop();
                object.insert(key.to_owned(), value);
            }
        }
        Value::Object(object)
    }

    /// An entry that lacks keys and is called nearly as another is a misspelt name: one mistake, not one for each key.
    fn suspect_name(&mut self, key: &str, entry: &Entry, map: &Map, before: usize) {
        /// Entries among which a near name is looked for: nobody writes more by hand.
        const NAMED: usize = 256;
        let mut found = self.problems.problems.iter().skip(before);
        if map.len() > NAMED || !found.any(|problem| problem.message == "is missing") {
            return;
        }
        if let Some(near) = nearest(key, map.keys().map(String::as_str).filter(|other| *other != key)) {
            self.problems.problems.truncate(before);
            let (path, near) = (self.path.join(key), self.path.join(near));
            let hint = format!("did you mean `{near}`? A new entry needs all of its keys");
            self.problems.push(Some(&entry.key), path, "there is no such entry", hint);
        }
    }

    fn union(&mut self, node: &Node, variants: &[Schema<'_>]) -> Value {
        if matches!(node.kind, Kind::Null) && variants.iter().any(|variant| variant.permits_null()) {
            return Value::Null;
        }
        let values: Vec<_> = variants.iter().copied().filter(|variant| variant.types() != ["null"]).collect();
        let fitting: Vec<_> = values.iter().copied().filter(|variant| variant.accepts(&node.kind)).collect();
        match (&node.kind, fitting.as_slice()) {
            (_, []) => self.mismatch(node, &values),
            (Kind::Text(_), _) if fitting.iter().all(|variant| variant.choices().is_some()) => {
                let choices: Vec<_> = fitting.iter().filter_map(|variant| variant.choices()).flatten().collect();
                self.choice(node, &choices, &hint::expected(&values), &hint::maps_among(&values))
            }
            (_, [only]) => self.single(node, *only),
            (Kind::Map(map), _) => match tagging(&fitting) {
                Some(tagging) => self.tagged(node, map, &fitting, &tagging),
                None => self.attempt(node, &fitting),
            },
            _ => self.attempt(node, &fitting),
        }
    }

    fn tagged<'s>(&mut self, node: &Node, map: &Map, variants: &[Schema<'s>], tagging: &Tagging<'s>) -> Value {
        let names: Vec<_> = variants.iter().filter_map(|variant| variant.variant_name(tagging)).collect();
        let named = |name: &str| variants.iter().find(|variant| variant.variant_name(tagging) == Some(name));
        match tagging {
            Tagging::Internal(tag) => {
                let Some(entry) = map.get(*tag) else {
                    let path = self.path.join(tag);
                    let message = format!("is missing: it must be one of {}", names.join(", "));
                    self.problems.push(Some(&node.position), path, message, format!("add `{tag}: {}`, or another of them", names[0]));
                    return Value::Null;
                };
                if let Kind::Text(name) = &entry.value.kind
                    && let Some(variant) = named(name)
                {
                    return self.single(node, *variant);
                }
                let choices: Vec<Value> = names.iter().map(|name| (*name).into()).collect();
                self.path.push_key(tag);
                let value = self.choice(&entry.value, &choices.iter().collect::<Vec<_>>(), &format!("one of {}", names.join(", ")), "");
                self.path.pop();
                value
            }
            Tagging::External => {
                let mut present = map.keys().filter_map(|key| named(key));
                match (present.next(), present.next()) {
                    (Some(variant), None) => self.single(node, *variant),
                    (None, _) if map.len() == 1 => {
                        let (key, entry) = &map.get_index(0).expect("the map has one key");
                        let path = self.path.join(key);
                        let message = format!("unknown key: it must be one of {}", names.join(", "));
                        self.problems.push(Some(&entry.key), path, message, suggest(key, &names, "known keys"));
                        Value::Null
                    }
                    _ => {
                        let message = format!("must have exactly one of the keys {}, got {}", names.join(", "), node.describe());
                        self.problem(node, message, "");
                        Value::Null
                    }
                }
            }
        }
    }

    /// Alternatives without a mark: the first that matches, or the problems of the one that comes nearest.
    fn attempt(&mut self, node: &Node, variants: &[Schema<'_>]) -> Value {
        let mut best: Option<(Value, Diagnostics)> = None;
        for variant in variants {
            let before = std::mem::take(&mut self.problems);
            let value = self.single(node, *variant);
            let problems = std::mem::replace(&mut self.problems, before);
            if problems.is_empty() {
                return value;
            }
            if best.as_ref().is_none_or(|(_, fewest)| problems.problems.len() < fewest.problems.len()) {
                best = Some((value, problems));
            }
        }
        let (value, problems) = best.unwrap_or_default();
        self.problems.append(problems);
        value
    }
}
