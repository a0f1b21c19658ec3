//! A YAML value in which every key and every value knows where it was written.

use indexmap::IndexMap;
use serde_json::Value;
use std::fmt;
use std::sync::Arc;

/// Where text came from.
#[derive(Debug, PartialEq, Eq)]
pub struct Origin {
    /// A file's name as it was given, `built-in email`, or a command-line option such as `--set users=3`.
    pub name: String,
    /// Whether a line and a column mean something to the reader: they do not in a command-line option.
    pub positioned: bool,
}

impl Origin {
    /// Text with lines: a file or a built-in document.
    pub fn document(name: impl AsRef<str>) -> Arc<Self> {
        Arc::new(Self { name: visible(name.as_ref()), positioned: true })
    }

    /// A command-line option, shown as it was typed.
    pub fn option(name: impl AsRef<str>) -> Arc<Self> {
        Arc::new(Self { name: visible(name.as_ref()), positioned: false })
    }
}

/// A place in a source, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The text it is a place in.
    pub origin: Arc<Origin>,
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

impl Position {
    /// The first character of a source.
    pub fn start(origin: &Arc<Origin>) -> Self {
        Self { origin: Arc::clone(origin), line: 1, column: 1 }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.origin.positioned {
            write!(formatter, "{}:{}:{}", self.origin.name, self.line, self.column)
        } else {
            formatter.write_str(&self.origin.name)
        }
    }
}

/// A number as the YAML 1.2 core schema reads it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    Integer(i128),
    Float(f64),
}

impl Number {
    pub(super) fn as_f64(self) -> f64 {
        match self {
            Self::Integer(integer) => integer as f64,
            Self::Float(float) => float,
        }
    }
}

/// A value and the place of its first character (of its key, for a block list or map: the value itself begins a line later).
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) kind: Kind,
    pub(super) position: Position,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    Null,
    Bool(bool),
    /// A number and its spelling, which the messages repeat.
    Number(Number, String),
    Text(String),
    List(Vec<Node>),
    Map(Map),
}

pub(super) type Map = IndexMap<String, Entry>;

/// A value in a map, with the place of its key.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: Position,
    pub(super) value: Node,
}

impl Node {
    /// What a document is laid over first.
    pub(super) fn nothing() -> Self {
        Self { kind: Kind::Null, position: Position::start(&Origin::document("")) }
    }

    pub(super) fn map(&self) -> Option<&Map> {
        if let Kind::Map(map) = &self.kind { Some(map) } else { None }
    }

    /// What the value is, in the words of the messages.
    pub(super) fn describe(&self) -> String {
        match &self.kind {
            Kind::Null => "nothing (null)".to_owned(),
            Kind::Bool(value) => format!("`{value}`"),
            Kind::Number(_, spelling) => quote(spelling),
            Kind::Text(text) => format!("the text {}", quote(text)),
            Kind::List(items) => format!("a list of {}", count(items.len(), "item")),
            Kind::Map(map) => format!("a map of {}", count(map.len(), "key")),
        }
    }

    /// A value that stands in no document, given the place of what it belongs to.
    pub(super) fn from_json(value: &Value, position: &Position) -> Self {
        let inner = |value| Self::from_json(value, position);
        let kind = match value {
            Value::Null => Kind::Null,
            Value::Bool(value) => Kind::Bool(*value),
            Value::Number(number) => {
                let whole = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
                let read = whole.map_or_else(|| Number::Float(number.as_f64().unwrap_or_default()), Number::Integer);
                Kind::Number(read, number.to_string())
            }
            Value::String(text) => Kind::Text(text.clone()),
            Value::Array(items) => Kind::List(items.iter().map(inner).collect()),
            Value::Object(object) => {
                let entry = |value| Entry { key: position.clone(), value: inner(value) };
                Kind::Map(object.iter().map(|(key, value)| (key.clone(), entry(value))).collect())
            }
        };
        Self { kind, position: position.clone() }
    }

    /// The value as JSON, with no schema to say what it should be.
    pub(super) fn to_json(&self) -> Value {
        match &self.kind {
            Kind::Null => Value::Null,
            Kind::Bool(value) => Value::Bool(*value),
            // JSON has no such number: the text is refused where a number is wanted.
            Kind::Number(Number::Float(float), spelling) if !float.is_finite() => spelling.as_str().into(),
            Kind::Number(number, _) => number_to_json(*number),
            Kind::Text(text) => Value::String(text.clone()),
            Kind::List(items) => items.iter().map(Node::to_json).collect(),
            Kind::Map(map) => map.iter().map(|(key, entry)| (key.clone(), entry.value.to_json())).collect(),
        }
    }
}

/// Integers stay exact as far as JSON's consumers hold them; a larger one becomes the nearest float.
pub(super) fn number_to_json(number: Number) -> Value {
    match number {
        Number::Integer(integer) => match (u64::try_from(integer), i64::try_from(integer)) {
            (Ok(unsigned), _) => unsigned.into(),
            (_, Ok(signed)) => signed.into(),
            _ => (integer as f64).into(),
        },
        Number::Float(float) => float.into(),
    }
}

/// Text from a document between backquotes: shortened, and with control characters escaped, since a terminal may show it.
pub(super) fn quote(text: &str) -> String {
    const SHOWN: usize = 60;
    let mut shown = String::from("`");
    for (index, character) in text.chars().enumerate() {
        if index == SHOWN {
            shown.push('…');
            break;
        }
        push_visible(&mut shown, character);
    }
    shown.push('`');
    shown
}

/// Text with what would steer a terminal escaped.
pub(super) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    text.chars().for_each(|character| push_visible(&mut shown, character));
    shown
}

/// Appends a character, or its escape if it would steer a terminal.
fn push_visible(shown: &mut String, character: char) {
    let steers = character.is_control() || matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if steers {
        shown.extend(character.escape_default());
    } else {
        shown.push(character);
    }
}

/// `1 item`, `3 items`.
pub(super) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// A path's text: keys and indices joined by dots, a key that holds a dot or a quote between double quotes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Path(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

impl Path {
    pub(super) fn push_key(&mut self, key: &str) {
        self.0.push(Step::Key(key.to_owned()));
    }

    pub(super) fn push_index(&mut self, index: usize) {
        self.0.push(Step::Index(index));
    }

    pub(super) fn pop(&mut self) {
        self.0.pop();
    }

    pub(super) fn steps(&self) -> &[Step] {
        &self.0
    }

    pub(super) fn join(&self, key: &str) -> Self {
        let mut joined = self.clone();
        joined.push_key(key);
        joined
    }
}

impl fmt::Display for Path {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.0.iter().enumerate() {
            if index > 0 {
                formatter.write_str(".")?;
            }
            match step {
                Step::Key(key) => {
                    let shown = visible(key);
                    if key.is_empty() || key.contains(['.', '"']) {
                        write!(formatter, "\"{}\"", shown.replace('"', "\\\""))?;
                    } else {
                        formatter.write_str(&shown)?;
                    }
                }
                Step::Index(index) => write!(formatter, "{index}")?,
            }
        }
        Ok(())
    }
}
