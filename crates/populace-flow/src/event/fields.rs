//! The fields of a JSON object by the columns they are for, checked one after another; every problem is kept.

use super::{COLUMNS, Problem, column};
use crate::address::holds_address;
use crate::memo::Memo;
use crate::time::{self, MILLISECOND};
use populace_core::email::{EventType, Uuid};
use populace_core::time::Instant;
use populace_io::terminal::printable;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;
use std::net::IpAddr;

/// The longest latency that is one, milliseconds: 30 days, after which every provider has given up.
pub(crate) const MAX_LATENCY_MS: f64 = 30.0 * 86_400_000.0;

/// What is wrong with text that holds some.
const CONTROLS: &str = "must not hold control characters";

/// What an object has for a column. Text is borrowed from the document where nothing in it is escaped.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Given<'a> {
    #[default]
    Missing,
    Null,
    Text(Cow<'a, str>),
    Whole(i64),
    Real(f64),
    Flag(bool),
    Object(Box<Map<String, Value>>),
    /// What no column takes.
    Other,
}

impl Given<'_> {
    /// Whether there is nothing but perhaps a null.
    pub(crate) fn is_none(&self) -> bool {
        matches!(self, Self::Missing | Self::Null)
    }

    fn into_owned(self) -> Given<'static> {
        match self {
            Self::Missing => Given::Missing,
            Self::Null => Given::Null,
            Self::Text(text) => Given::Text(Cow::Owned(text.into_owned())),
            Self::Whole(number) => Given::Whole(number),
            Self::Real(number) => Given::Real(number),
            Self::Flag(is) => Given::Flag(is),
            Self::Object(map) => Given::Object(map),
            Self::Other => Given::Other,
        }
    }

    /// As a value, unless it is a list or an object.
    fn into_value(self) -> Option<Value> {
        Some(match self {
            Self::Null => Value::Null,
            Self::Text(text) => text.into(),
            Self::Whole(number) => number.into(),
            Self::Real(number) => number.into(),
            Self::Flag(is) => is.into(),
            Self::Missing | Self::Object(_) | Self::Other => return None,
        })
    }
}

impl From<Value> for Given<'_> {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::String(text) => Self::Text(text.into()),
            Value::Number(number) if number.is_f64() => number.as_f64().map_or(Self::Other, Self::Real),
            Value::Number(number) => number.as_i64().map_or(Self::Other, Self::Whole),
            Value::Bool(is) => Self::Flag(is),
            Value::Object(map) => Self::Object(Box::new(map)),
            Value::Array(_) => Self::Other,
        }
    }
}

/// A list, an object within an object, and a name that comes twice are errors: events have none of them, and who meets one reads the tree.
impl<'de> Deserialize<'de> for Given<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Given<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("any value")
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Given::Null)
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Given::Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Given::Text(Cow::Owned(text.to_owned())))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
                Ok(Given::Whole(number))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
                Ok(i64::try_from(number).map_or(Given::Other, Given::Whole))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
                Ok(Given::Real(number))
            }

            fn visit_bool<E>(self, is: bool) -> Result<Self::Value, E> {
                Ok(Given::Flag(is))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
                let mut map = Map::new();
                while let Some((name, value)) = entries.next_entry::<String, Given<'_>>()? {
                    let value = value.into_value().ok_or_else(|| A::Error::custom("is nested"))?;
                    if map.insert(name, value).is_some() {
                        return Err(A::Error::custom("a name is given twice"));
                    }
                }
                Ok(Given::Object(Box::new(map)))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// A JSON object that may be an event, by column.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fields<'a> {
    /// In a place of their own: they are handed on several times.
    values: Box<[Given<'a>; COLUMNS.len()]>,
    /// What is not a column.
    others: Vec<(Cow<'a, str>, Given<'a>)>,
}

impl<'a> Fields<'a> {
    pub(crate) fn get(&self, column: usize) -> &Given<'a> {
        &self.values[column]
    }

    pub(crate) fn get_mut(&mut self, column: usize) -> &mut Given<'a> {
        &mut self.values[column]
    }

    pub(crate) fn set(&mut self, column: usize, value: Given<'a>) {
        self.values[column] = value;
    }

    /// Sets text, or null where there is none.
    pub(crate) fn set_text(&mut self, column: usize, text: Option<impl Into<Cow<'a, str>>>) {
        self.values[column] = text.map_or(Given::Null, |text| Given::Text(text.into()));
    }

    pub(crate) fn text(&self, column: usize) -> Option<&str> {
        if let Given::Text(text) = &self.values[column] { Some(text) } else { None }
    }

    /// Reads metadata that came as text.
    pub(crate) fn parse_metadata(&mut self) {
        let metadata = &mut self.values[const { column("metadata") }];
        if let Given::Text(text) = metadata
            && let Ok(value) = serde_json::from_str::<Value>(text)
        {
            *metadata = value.into();
        }
    }

    /// Takes out what has a name that is not a column.
    pub(crate) fn take_other(&mut self, name: &str) -> Given<'a> {
        let place = self.others.iter().position(|(other, _)| other == name);
        place.map_or(Given::Missing, |place| self.others.remove(place).1)
    }

    /// Without what it borrows.
    pub(crate) fn into_owned(self) -> Fields<'static> {
        let others = self.others.into_iter().map(|(name, value)| (Cow::Owned(name.into_owned()), value.into_owned()));
        Fields { others: others.collect(), values: Box::new(self.values.map(Given::into_owned)) }
    }

    /// Puts a value where its name says, in the place of one that was there. Whether there was none. `likely` is the column after the last.
    fn insert(&mut self, name: Cow<'a, str>, value: Given<'a>, likely: &mut usize) -> bool {
        let is = |column: usize| COLUMNS.get(column).is_some_and(|known| known.name == name);
        let known = if is(*likely) { Some(*likely) } else { COLUMNS.iter().position(|known| known.name == name) };
        if let Some(column) = known {
            *likely = column + 1;
            return std::mem::replace(&mut self.values[column], value) == Given::Missing;
        }
        if let Some((_, before)) = self.others.iter_mut().find(|(other, _)| *other == name) {
            *before = value;
            return false;
        }
        self.others.push((name, value));
        true
    }
}

impl From<Map<String, Value>> for Fields<'_> {
    fn from(map: Map<String, Value>) -> Self {
        let (mut fields, mut likely) = (Self::default(), 0);
        for (name, value) in map {
            fields.insert(name.into(), value.into(), &mut likely);
        }
        fields
    }
}

/// Of an object as events are; another one may be an error.
impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;
        impl<'de> Visitor<'de> for Name {
            type Value = Cow<'de, str>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a name")
            }

            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
                Ok(Cow::Borrowed(name))
            }

            fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
                Ok(Cow::Owned(name.to_owned()))
            }
        }
        impl<'de> serde::de::DeserializeSeed<'de> for Name {
            type Value = Cow<'de, str>;

            fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
                deserializer.deserialize_str(self)
            }
        }
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Fields<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
                let (mut fields, mut likely) = (Fields::default(), 0);
                while let Some(name) = entries.next_key_seed(Name)? {
                    if !fields.insert(name, entries.next_value()?, &mut likely) {
                        return Err(Error::custom("a name is given twice"));
                    }
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// Where the values of an event come from, each taken once, in the order of the columns.
pub(super) trait Values<'a> {
    /// Takes what there is for a column.
    fn take(&mut self, column: usize) -> Given<'a>;

    /// Takes the names of what is not a column.
    fn others(&mut self) -> Vec<Cow<'a, str>>;
}

impl<'a> Values<'a> for Fields<'a> {
    fn take(&mut self, column: usize) -> Given<'a> {
        std::mem::take(&mut self.values[column])
    }

    fn others(&mut self) -> Vec<Cow<'a, str>> {
        debug_assert!(self.values.iter().all(Given::is_none), "every column was taken");
        std::mem::take(&mut self.others).into_iter().map(|(name, _)| name).collect()
    }
}

/// Values on their way to an event.
pub(super) struct Checks<V> {
    values: V,
    problems: Vec<Problem>,
}

impl<'a, V: Values<'a>> Checks<V> {
    pub(super) fn new(values: V) -> Self {
        Self { values, problems: Vec::new() }
    }

    /// What is left of the values, and all problems.
    pub(super) fn into_parts(self) -> (V, Vec<Problem>) {
        (self.values, self.problems)
    }

    /// Whether nothing was found wrong.
    pub(super) fn are_sound(&self) -> bool {
        self.problems.is_empty()
    }

    pub(super) fn check(&mut self, holds: bool, name: &str, reason: &str) {
        if !holds {
            self.problems.push(Problem::new(name, reason));
        }
    }

    fn fail(&mut self, column: usize, reason: impl Into<String>) {
        self.problems.push(Problem::new(COLUMNS[column].name, reason));
    }

    /// Whether nothing was found wrong with a field.
    pub(super) fn is_sound(&self, name: &str) -> bool {
        self.problems.iter().all(|problem| problem.field != name)
    }

    /// A field that is there and not null.
    fn take(&mut self, column: usize, required: bool) -> Option<Given<'a>> {
        let value = self.values.take(column);
        if value.is_none() {
            if required {
                self.fail(column, "must be given");
            }
            return None;
        }
        Some(value)
    }

    fn string(&mut self, column: usize, required: bool) -> Option<Cow<'a, str>> {
        if let Given::Text(text) = self.take(column, required)? {
            return Some(text);
        }
        self.fail(column, "must be text");
        None
    }

    /// Text that is of some form.
    fn parsed<T>(&mut self, column: usize, required: bool, parse: impl FnOnce(Cow<'a, str>) -> Option<T>, reason: &str) -> Option<T> {
        let text = self.string(column, required)?;
        let parsed = parse(text);
        if parsed.is_none() {
            self.fail(column, reason);
        }
        parsed
    }

    /// Text that is one of a few.
    fn one_of<T>(&mut self, column: usize, required: bool, known: &[&str], of: impl FnOnce(usize) -> T) -> Option<T> {
        let text = self.string(column, required)?;
        let found = known.iter().position(|known| *known == text);
        if found.is_none() {
            self.fail(column, format!("must be one of {}", known.join(", ")));
        }
        found.map(of)
    }

    /// If something is wrong with text: what, by a test that holds of any of it.
    fn check_text(&mut self, column: usize, is_wrong: bool, any: impl Fn(&dyn Fn(&str) -> bool) -> bool) {
        if is_wrong && any(&holds_address) {
            self.fail(column, "must not hold an address");
        }
        if is_wrong && any(&holds_controls) {
            self.fail(column, CONTROLS);
        }
    }

    fn free(&mut self, column: usize, required: bool) -> Option<Cow<'a, str>> {
        let text = self.string(column, required)?;
        if text.is_empty() {
            self.fail(column, "must not be empty");
        }
        if let Some(longest) = COLUMNS[column].longest.filter(|longest| text.len() > *longest && text.chars().count() > *longest) {
            self.fail(column, format!("must have at most {longest} characters"));
        }
        self.check_text(column, !is_clean(&text), |test| test(&text));
        Some(text)
    }

    /// Text that must be given.
    pub(super) fn name(&mut self, column: usize) -> Option<Cow<'a, str>> {
        self.free(column, true)
    }

    /// Text that may be null.
    pub(super) fn text(&mut self, column: usize) -> Option<Cow<'a, str>> {
        self.free(column, false)
    }

    pub(super) fn uuid(&mut self, column: usize, required: bool) -> Option<Uuid> {
        self.parsed(column, required, |text| text.parse().ok(), "must be a UUID such as 018cc251-f400-7cde-8f00-0123456789ab")
    }

    pub(super) fn event_type(&mut self) -> Option<EventType> {
        self.one_of(const { column("event_type") }, true, &EventType::NAMES, |number| EventType::ALL[number])
    }

    pub(super) fn campaign_type(&mut self) -> Option<&'static str> {
        let known = &super::CAMPAIGN_TYPES;
        self.one_of(const { column("campaign_type") }, false, known, |number| known[number])
    }

    pub(super) fn instant(&mut self, column: usize, required: bool) -> Option<Instant> {
        let text = self.string(column, required)?;
        let parsed = time::parse(&text).filter(|at| at.0 % MILLISECOND == 0);
        let at = match parsed.map_or_else(|| Err(time::read(&text)), Ok) {
            Ok(at) => at,
            Err(Some(read)) => {
                self.fail(
                    column,
                    if read.exact { "must have a zone: Z or an offset such as +01:00" } else { "must be a whole number of milliseconds" },
                );
                read.at
            }
            Err(None) => {
                self.fail(column, "must be a moment in ISO 8601 with its zone, such as 2026-01-31T09:15:00.123Z");
                return None;
            }
        };
        if !(0..time::YEAR_2200).contains(&at.0) {
            self.fail(column, "must lie in the years 1970 to 2199");
        }
        Some(at)
    }

    pub(super) fn universal_id(&mut self) -> Option<Cow<'a, str>> {
        let reason = "must be `sf_` and 26 characters of lower-case base32 (a to z, 2 to 7), or 16 hexadecimal digits";
        self.parsed(const { column("universal_id") }, true, |text| is_universal_id(&text).then_some(text), reason)
    }

    pub(super) fn email_hash(&mut self) -> Option<Cow<'a, str>> {
        let is = |text: &str| text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let column = const { column("recipient_email_hash") };
        self.parsed(column, true, |text| is(&text).then_some(text), "must be 64 lower-case hexadecimal digits")
    }

    pub(super) fn ip_address(&mut self) -> Option<Cow<'a, str>> {
        let of = |text: Cow<'a, str>| match text.parse().ok()? {
            // It has one form.
            IpAddr::V4(_) => Some(text),
            IpAddr::V6(address) => Some(address.to_string().into()),
        };
        self.parsed(const { column("ip_address") }, false, of, "must be an IPv4 or IPv6 address")
    }

    pub(super) fn integer(&mut self, column: usize, most: i32) -> Option<i32> {
        let value = self.take(column, false)?;
        let number = match value {
            Given::Whole(number) => i32::try_from(number).ok(),
            // 312.0 is a whole number, too.
            Given::Real(number) if number.fract() == 0.0 && number.abs() <= f64::from(i32::MAX) => Some(number as i32),
            _ => None,
        };
        let number = number.filter(|number| (0..=most).contains(number));
        if number.is_none() {
            self.fail(column, format!("must be a whole number from 0 to {most}"));
        }
        number
    }

    /// True or false; 1 and 0 where a table has no better.
    pub(super) fn flag(&mut self, column: usize) -> Option<bool> {
        let flag = match self.take(column, false)? {
            Given::Flag(is) => Some(is),
            Given::Whole(number @ 0..=1) => Some(number == 1),
            Given::Text(text) => text.to_ascii_lowercase().parse().ok(),
            _ => None,
        };
        if flag.is_none() {
            self.fail(column, "must be true or false");
        }
        flag
    }

    /// Seconds, as whole milliseconds.
    pub(super) fn latency(&mut self) -> Option<i64> {
        let column = const { column("latency_seconds") };
        let millis = match self.take(column, false)? {
            Given::Whole(seconds) => seconds as f64 * 1_000.0,
            Given::Real(seconds) => seconds * 1_000.0,
            _ => f64::NAN,
        };
        let sound = (0.0..=MAX_LATENCY_MS).contains(&millis) && (millis - millis.round()).abs() < 1e-3;
        if !sound {
            self.fail(column, "must be seconds from 0 to 2592000, to the millisecond");
        }
        sound.then(|| millis.round() as i64)
    }

    pub(super) fn metadata(&mut self) -> Map<String, Value> {
        let column = const { column("metadata") };
        match self.take(column, false) {
            None => Map::new(),
            Some(Given::Object(map)) => {
                let most = COLUMNS[column].longest.unwrap_or(usize::MAX);
                if most_bytes(&map) > most && serde_json::to_vec(&map).map_or(true, |text| text.len() > most) {
                    self.fail(column, format!("must have at most {most} bytes"));
                }
                self.check_text(column, any_text(&map, &|text: &str| !is_clean(text)), |test| any_text(&map, test));
                *map
            }
            Some(_) => {
                self.fail(column, "must be a JSON object");
                Map::new()
            }
        }
    }

    /// What was not taken is not a column.
    pub(super) fn no_others(&mut self) {
        for name in self.values.others() {
            let shown = if holds_address(&name) { "(a name that holds an address)" } else { &name };
            let shown = printable(&shown.chars().take(64).collect::<String>()).replace(['\n', '\t'], " ");
            self.problems.push(Problem::new(shown, "is not a column of events"));
        }
    }
}

/// More bytes than an object has as JSON; no bound of one that is nested.
fn most_bytes(map: &Map<String, Value>) -> usize {
    // A control character takes six, a number at most 24, and around each there are quotes, colon and comma.
    let most = |text: &str| 6 * text.len() + 30;
    map.iter().fold(2, |bytes, (key, value)| match value {
        Value::Array(_) | Value::Object(_) => usize::MAX,
        Value::String(text) => bytes.saturating_add(most(key) + most(text)),
        Value::Null | Value::Bool(_) | Value::Number(_) => bytes.saturating_add(most(key) + most("")),
    })
}

/// Whether text holds neither an address nor what could do something to a terminal.
fn is_clean(text: &str) -> bool {
    thread_local!(static CLEAN: RefCell<Memo> = RefCell::default());
    CLEAN.with_borrow_mut(|clean| clean.passes(text, |text| !holds_address(text) && !holds_controls(text)))
}

/// Whether text could do something to a terminal that prints it.
pub(crate) fn holds_controls(text: &str) -> bool {
    text.chars().any(char::is_control)
}

/// Whether text is of the form of a universal id: ours, or the described connector's.
pub(crate) fn is_universal_id(text: &str) -> bool {
    text.strip_prefix("sf_").is_some_and(|digits| match digits.len() {
        26 => digits.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7')),
        16 => digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')),
        _ => false,
    })
}

/// Whether a test holds of any text or key within an object.
pub(crate) fn any_text(map: &Map<String, Value>, test: &dyn Fn(&str) -> bool) -> bool {
    fn within(value: &Value, test: &dyn Fn(&str) -> bool) -> bool {
        match value {
            Value::String(text) => test(text),
            Value::Array(list) => list.iter().any(|value| within(value, test)),
            Value::Object(map) => any_text(map, test),
            _ => false,
        }
    }
    map.iter().any(|(key, value)| test(key) || within(value, test))
}
