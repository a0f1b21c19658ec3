//! The fields of a JSON object, taken one after another; every problem is kept.

use super::{COLUMNS, Problem};
use crate::address::holds_address;
use crate::time::{self, MILLISECOND};
use populace_core::email::{EventType, Uuid};
use populace_core::time::{Date, Instant};
use populace_io::terminal::printable;
use serde_json::{Map, Value};
use std::net::IpAddr;

/// The longest latency that is one, milliseconds: 30 days, after which every provider has given up.
const MAX_LATENCY_MS: f64 = 30.0 * 86_400_000.0;
/// The longest metadata, bytes of JSON.
const MAX_METADATA: usize = 16_384;
/// A moment in a nineties' or a far year is a unit that was taken for another.
const YEARS: (i32, i32) = (1970, 2200);

/// What is wrong with text that holds some.
const CONTROLS: &str = "must not hold control characters";

pub(super) struct Fields {
    map: Map<String, Value>,
    problems: Vec<Problem>,
}

impl Fields {
    pub(super) fn new(map: Map<String, Value>) -> Self {
        Self { map, problems: Vec::new() }
    }

    pub(super) fn problems(&mut self) -> Vec<Problem> {
        std::mem::take(&mut self.problems)
    }

    pub(super) fn check(&mut self, holds: bool, name: &str, reason: &str) {
        if !holds {
            self.problems.push(Problem::new(name, reason));
        }
    }

    /// Whether nothing was found wrong with a field.
    pub(super) fn is_sound(&self, name: &str) -> bool {
        self.problems.iter().all(|problem| problem.field != name)
    }

    /// A field that is there and not null.
    fn take(&mut self, name: &str, required: bool) -> Option<Value> {
        let value = self.map.remove(name).filter(|value| !value.is_null());
        self.check(value.is_some() || !required, name, "must be given");
        value
    }

    fn string(&mut self, name: &str, required: bool) -> Option<String> {
        if let Value::String(text) = self.take(name, required)? {
            return Some(text);
        }
        self.check(false, name, "must be text");
        None
    }

    /// Text that is of some form.
    fn parsed<T>(&mut self, name: &str, required: bool, parse: impl FnOnce(&str) -> Option<T>, reason: &str) -> Option<T> {
        let text = self.string(name, required)?;
        let parsed = parse(&text);
        self.check(parsed.is_some(), name, reason);
        parsed
    }

    fn free(&mut self, name: &str, longest: usize, required: bool) -> Option<String> {
        let text = self.string(name, required)?;
        self.check(!text.is_empty(), name, "must not be empty");
        self.check(text.chars().count() <= longest, name, &format!("must have at most {longest} characters"));
        self.check(!holds_address(&text), name, "must not hold an address");
        self.check(!holds_controls(&text), name, CONTROLS);
        Some(text)
    }

    /// Text that must be given.
    pub(super) fn name(&mut self, name: &str, longest: usize) -> Option<String> {
        self.free(name, longest, true)
    }

    /// Text that may be null.
    pub(super) fn text(&mut self, name: &str, longest: usize) -> Option<String> {
        self.free(name, longest, false)
    }

    pub(super) fn uuid(&mut self, name: &str, required: bool) -> Option<Uuid> {
        self.parsed(name, required, |text| text.parse().ok(), "must be a UUID such as 018cc251-f400-7cde-8f00-0123456789ab")
    }

    pub(super) fn event_type(&mut self) -> Option<EventType> {
        let of = |text: &str| EventType::ALL.into_iter().find(|kind| kind.name() == text);
        self.parsed("event_type", true, of, &format!("must be one of {}", EventType::NAMES.join(", ")))
    }

    pub(super) fn one_of(&mut self, name: &str, known: &[&str]) -> Option<String> {
        let of = |text: &str| known.contains(&text).then(|| text.to_owned());
        self.parsed(name, false, of, &format!("must be one of {}", known.join(", ")))
    }

    pub(super) fn instant(&mut self, name: &str, required: bool) -> Option<Instant> {
        let reason = "must be a moment in ISO 8601 with its zone, such as 2026-01-31T09:15:00.123Z";
        let at = self.parsed(name, required, time::parse, reason)?;
        self.check(at.0 % MILLISECOND == 0, name, "must be a whole number of milliseconds");
        let [first, after] = [YEARS.0, YEARS.1].map(|year| Date::from_ymd(year, 1, 1).map_or(0, |date| date.midnight().0));
        self.check((first..after).contains(&at.0), name, "must lie in the years 1970 to 2199");
        Some(at)
    }

    pub(super) fn universal_id(&mut self) -> Option<String> {
        let reason = "must be `sf_` and 26 characters of lower-case base32 (a to z, 2 to 7)";
        self.parsed("universal_id", true, |text| is_universal_id(text).then(|| text.to_owned()), reason)
    }

    pub(super) fn email_hash(&mut self) -> Option<String> {
        let is = |text: &str| text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let of = |text: &str| is(text).then(|| text.to_owned());
        self.parsed("recipient_email_hash", true, of, "must be 64 lower-case hexadecimal digits")
    }

    pub(super) fn ip_address(&mut self) -> Option<String> {
        let of = |text: &str| text.parse::<IpAddr>().ok().map(|address| address.to_string());
        self.parsed("ip_address", false, of, "must be an IPv4 or IPv6 address")
    }

    pub(super) fn integer(&mut self, name: &str, most: i32) -> Option<i32> {
        let value = self.take(name, false)?;
        let number = value.as_i64().and_then(|number| i32::try_from(number).ok()).filter(|number| (0..=most).contains(number));
        self.check(number.is_some(), name, &format!("must be a whole number from 0 to {most}"));
        number
    }

    /// Seconds, as whole milliseconds.
    pub(super) fn latency(&mut self) -> Option<i64> {
        let millis = self.take("latency_seconds", false)?.as_f64().map_or(f64::NAN, |seconds| seconds * 1_000.0);
        let sound = (0.0..=MAX_LATENCY_MS).contains(&millis) && (millis - millis.round()).abs() < 1e-3;
        self.check(sound, "latency_seconds", "must be seconds from 0 to 2592000, to the millisecond");
        sound.then(|| millis.round() as i64)
    }

    pub(super) fn metadata(&mut self) -> Map<String, Value> {
        match self.take("metadata", false) {
            None => Map::new(),
            Some(value @ Value::Object(_)) => {
                self.check(value.to_string().len() <= MAX_METADATA, "metadata", &format!("must have at most {MAX_METADATA} bytes"));
                self.check(!any_text(&value, &holds_address), "metadata", "must not hold an address");
                self.check(!any_text(&value, &holds_controls), "metadata", CONTROLS);
                let Value::Object(map) = value else { unreachable!("matched above") };
                map
            }
            Some(_) => {
                self.check(false, "metadata", "must be a JSON object");
                Map::new()
            }
        }
    }

    /// What was not taken is no column.
    pub(super) fn no_others(&mut self) {
        for name in std::mem::take(&mut self.map).keys() {
            let shown = if holds_address(name) { "(a name that holds an address)" } else { name };
            let shown = printable(&shown.chars().take(64).collect::<String>()).replace(['\n', '\t'], " ");
            debug_assert!(!COLUMNS.contains(&name.as_str()), "{name} was not taken");
            self.problems.push(Problem::new(shown, "is no column of events"));
        }
    }
}

/// Whether text could do something to a terminal that prints it.
pub(crate) fn holds_controls(text: &str) -> bool {
    text.chars().any(char::is_control)
}

/// Whether text is of the form of a universal id.
pub(crate) fn is_universal_id(text: &str) -> bool {
    text.strip_prefix("sf_")
        .is_some_and(|digits| digits.len() == 26 && digits.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7')))
}

/// Whether a test holds of any text or key within a value.
pub(crate) fn any_text(value: &Value, test: &impl Fn(&str) -> bool) -> bool {
    match value {
        Value::String(text) => test(text),
        Value::Array(list) => list.iter().any(|value| any_text(value, test)),
        Value::Object(map) => map.iter().any(|(key, value)| test(key) || any_text(value, test)),
        _ => false,
    }
}
