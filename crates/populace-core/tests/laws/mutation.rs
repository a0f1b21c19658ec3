//! Every constant of a document, moved: some law must notice.

use crate::support::Verdict;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// A law of samples by its name.
pub type Law<S> = (&'static str, fn(&S) -> Verdict);

/// Those of the laws that samples break, and how.
pub fn broken<'l, S: 'l>(samples: &S, laws: impl IntoIterator<Item = &'l Law<S>>) -> Vec<(&'static str, String)> {
    laws.into_iter().filter_map(|(name, law)| law(samples).err().map(|how| (*name, how))).collect()
}

/// Every constant of a document by its JSON pointer: scalars, the numbers of lists of numbers, other lists as a whole.
pub fn constants(document: &Value) -> Vec<(String, Value)> {
    fn collect(value: &Value, pointer: String, found: &mut Vec<(String, Value)>) {
        match value {
            Value::Object(map) => map.iter().for_each(|(key, value)| {
                collect(value, format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1")), found);
            }),
            Value::Array(list) if list.iter().all(Value::is_number) => {
                list.iter().enumerate().for_each(|(index, value)| collect(value, format!("{pointer}/{index}"), found));
            }
            _ => found.push((pointer, value.clone())),
        }
    }
    let mut found = Vec::new();
    collect(document, String::new(), &mut found);
    found
}

/// A fifth less and a fifth more of a number, whole if it has to be; a list without its first.
pub fn fifths(value: &Value, is_whole: bool) -> Vec<Value> {
    match value {
        Value::Array(names) => vec![names[1..].into()],
        Value::Number(number) => {
            let number = number.as_f64().expect("a number of a document is a double");
            if is_whole {
                vec![json!((number * 0.8).floor() as u64), json!((number * 1.2).ceil() as u64)]
            } else {
                [0.8, 1.2].map(|factor| rounded(number * factor)).to_vec()
            }
        }
        other => panic!("no fifth of {other}"),
    }
}

/// Rounded, so that 0.35 · 1.2 reads 0.42.
pub fn rounded(number: f64) -> Value {
    json!((number * 1e6).round() / 1e6)
}

/// How the constants of a document are moved, and what must notice.
pub struct Mutation<'m, S> {
    pub document: &'m Value,
    /// What those constants are moved to, for which a fifth more or less is not a sound document or is not a change.
    pub exceptions: &'m [(&'m str, &'m [&'m str])],
    /// What any other constant is moved to.
    pub moves: fn(&str, &Value) -> Vec<Value>,
    /// The document with the constant at a pointer moved, and with what has to move with it.
    pub mutate: fn(&Value, &str, &Value) -> Value,
    pub sample: fn(&Value) -> S,
    pub laws: &'m [Law<S>],
}

impl<S> Mutation<'_, S> {
    /// The table of all mutants and of the laws that caught them.
    ///
    /// # Panics
    /// A mutant survives.
    pub fn table(&self) -> String {
        let found = constants(self.document);
        for (pointer, _) in self.exceptions {
            assert!(found.iter().any(|(constant, _)| constant == pointer), "{pointer} is not in the document");
        }
        let mut table = String::from("| constant | is | moved to | caught by |\n|---|---|---|---|\n");
        let mut survivors = Vec::new();
        for (pointer, value) in &found {
            let exception = self.exceptions.iter().find(|(exception, _)| exception == pointer);
            let moves = exception.map_or_else(
                || (self.moves)(pointer, value),
                |(_, moves)| moves.iter().map(|json| serde_json::from_str(json).expect("an exception is JSON")).collect(),
            );
            for moved in moves {
                assert_ne!(moved, *value, "{pointer}");
                let samples = (self.sample)(&(self.mutate)(self.document, pointer, &moved));
                let caught: Vec<&str> = broken(&samples, self.laws).into_iter().map(|(law, _)| law).collect();
                if caught.is_empty() {
                    survivors.push(format!("{pointer} = {moved}"));
                }
                let constant = pointer[1..].replace('/', ".").replace("~1", "/").replace("~0", "~");
                let (is, moved) = match (value, &moved) {
                    (Value::Array(names), Value::Array(moved)) if moved.len() < names.len() => {
                        (format!("{} names", names.len()), "without the first".into())
                    }
                    (Value::Array(names), Value::Array(_)) => (format!("{} names", names.len()), "with one more".into()),
                    _ => (value.to_string(), moved.to_string()),
                };
                writeln!(table, "| `{constant}` | {is} | {moved} | {} |", caught.join("; ")).expect("a string can be written");
            }
        }
        assert!(survivors.is_empty(), "no law caught {survivors:#?}");
        table
    }
}
