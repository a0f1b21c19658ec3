//! Names of columns and words for events that are other than Populace's.

use crate::error::AnalysisError;
use populace_core::{churn, email};
use populace_io::catalogue;
use populace_io::document::{Library, Request, Source, suggest};
use populace_io::family::FAMILIES;
use populace_io::terminal::printable;
use populace_io::wording::option;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The presets.
pub(crate) const PRESETS: Library = Library::new(&[
    ("sendgrid", include_str!("presets/sendgrid.yaml")),
    ("mailchimp", include_str!("presets/mailchimp.yaml")),
    ("klaviyo", include_str!("presets/klaviyo.yaml")),
    ("hubspot", include_str!("presets/hubspot.yaml")),
    ("ga4", include_str!("presets/ga4.yaml")),
    ("apache", include_str!("presets/access-log.yaml")),
    ("nginx", include_str!("presets/access-log.yaml")),
    ("iis", include_str!("presets/access-log.yaml")),
]);

/// What a map may hold.
const KEYS: [&str; 8] = ["extends", "columns", "events", "time_unit", "dates", "utc_offset", "decimal", "encoding"];

/// What a user's columns and words are called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Map {
    /// The names that a wanted column may have in the file, the first that is there counts.
    pub columns: BTreeMap<String, Vec<String>>,
    /// Those that have one name, which must be there.
    pub needed: BTreeSet<String>,
    /// The type of event, by the word in the file in small letters.
    pub events: BTreeMap<String, String>,
}

/// What options say, each as text.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// `s`, `ms`, `us` or `ns`.
    pub time_unit: Option<String>,
    /// `year-first`, `day-first` or `month-first`.
    pub dates: Option<String>,
    /// Such as `+02:00`.
    pub utc_offset: Option<String>,
    /// `point` or `comma`.
    pub decimal: Option<String>,
    /// A charset by a name that browsers know it by, such as `windows-1251`.
    pub encoding: Option<String>,
}

/// Columns of predictions, which no table has.
const PREDICTIONS: [&str; 9] = ["score", "survival", "day", "date", "seconds", "minute_of_week", "probability", "n", "end"];

impl Map {
    /// A preset, or the map of a file.
    ///
    /// # Errors
    /// It is neither, or holds what a map cannot hold.
    pub(super) fn named(name: &str) -> Result<(Self, Settings), AnalysisError> {
        let presets: Vec<&str> = PRESETS.names().collect();
        if !presets.contains(&name) && !Path::new(name).is_file() {
            let hint = suggest(name, &presets, "presets");
            return Err(AnalysisError::input(format!("{} {name}: is neither a file nor a preset\nhint: {hint}", option("map"))));
        }
        let reading = Reading { name, presets: &presets };
        let document = PRESETS.value(Source::Named(name))?;
        let Value::Object(document) = document else {
            return Err(reading.wrong("", &document, "keys and values, such as `columns:` and below it `timestamp: sent_at`"));
        };
        let (mut map, mut settings) = match document.get("extends") {
            Some(preset) => Self::named(reading.preset(preset)?)?,
            None => Default::default(),
        };
        let (columns, events) = (columns()?, events());
        for (key, value) in &document {
            match key.as_str() {
                "extends" => {}
                "columns" => {
                    for (wanted, names) in reading.entries("columns", value, &columns)? {
                        let names = reading.names(&format!("columns.{wanted}"), names)?;
                        let is_needed = matches!(value[wanted], Value::String(_));
                        let _ = if is_needed { map.needed.insert(wanted.clone()) } else { map.needed.remove(wanted) };
                        map.columns.insert(wanted.clone(), names);
                    }
                }
                "events" => {
                    for (word, event) in reading.entries("events", value, &[])? {
                        let place = format!("events.{word}");
                        let event = reading.text(&place, event, "a type of event")?;
                        if !events.contains(&event.as_str()) {
                            return Err(reading.unknown(&place, &event, &events, "types of events"));
                        }
                        map.events.insert(word.to_lowercase(), event);
                    }
                }
                "time_unit" => settings.time_unit = Some(reading.text(key, value, "s, ms, us or ns")?),
                "dates" => settings.dates = Some(reading.text(key, value, "year-first, day-first or month-first")?),
                "utc_offset" => settings.utc_offset = Some(reading.text(key, value, "an offset in quotes, such as \"+02:00\"")?),
                "decimal" => settings.decimal = Some(reading.text(key, value, "point or comma")?),
                "encoding" => settings.encoding = Some(reading.text(key, value, "a charset, such as windows-1251")?),
                _ => return Err(reading.unknown("", key, &KEYS, "keys")),
            }
        }
        Ok((map, settings))
    }
}

/// A map that is being read, for its messages.
struct Reading<'a> {
    name: &'a str,
    presets: &'a [&'a str],
}

impl Reading<'_> {
    fn error(&self, place: &str, what: &str) -> AnalysisError {
        let colon = if place.is_empty() { "" } else { ": " };
        AnalysisError::input(format!("{} {}: {place}{colon}{what}", option("map"), self.name))
    }

    fn wrong(&self, place: &str, value: &Value, wanted: &str) -> AnalysisError {
        let got = match value {
            Value::Null => "nothing".to_owned(),
            Value::Array(_) => "a list".to_owned(),
            Value::Object(_) => "keys and values".to_owned(),
            value => printable(&value.to_string()).into_owned(),
        };
        self.error(place, &format!("must be {wanted}, got {got}"))
    }

    fn unknown(&self, place: &str, name: &str, known: &[&str], what: &str) -> AnalysisError {
        self.error(place, &format!("there is no `{}`\nhint: {}", printable(name), suggest(name, known, what)))
    }

    fn preset<'v>(&self, value: &'v Value) -> Result<&'v str, AnalysisError> {
        let Value::String(preset) = value else { return Err(self.wrong("extends", value, "the name of a preset")) };
        if self.presets.contains(&preset.as_str()) {
            return Ok(preset);
        }
        Err(self.error("extends", &format!("there is no preset {}\nhint: {}", printable(preset), suggest(preset, self.presets, "presets"))))
    }

    /// The entries of a map; their keys are among `known`, if there are any.
    fn entries<'v>(&self, place: &str, value: &'v Value, known: &[String]) -> Result<&'v serde_json::Map<String, Value>, AnalysisError> {
        let Value::Object(entries) = value else {
            return Err(self.wrong(place, value, "keys and values, a line each"));
        };
        match entries.keys().find(|key| !known.is_empty() && !known.contains(key)) {
            Some(key) => {
                let known: Vec<&str> = known.iter().map(String::as_str).collect();
                Err(self.error(place, &format!("no table has a column `{}`\nhint: {}", printable(key), suggest(key, &known, "columns"))))
            }
            None => Ok(entries),
        }
    }

    fn text(&self, place: &str, value: &Value, wanted: &str) -> Result<String, AnalysisError> {
        value.as_str().map(str::to_owned).ok_or_else(|| self.wrong(place, value, wanted))
    }

    fn names(&self, place: &str, value: &Value) -> Result<Vec<String>, AnalysisError> {
        let wanted = "the name of a column of the file, or a list of names of which the first that is there counts";
        match value {
            Value::Array(names) if !names.is_empty() => names.iter().map(|name| self.text(place, name, wanted)).collect(),
            name => Ok(vec![self.text(place, name, wanted)?]),
        }
    }
}

/// The columns that some table, or predictions, have.
fn columns() -> Result<Vec<String>, AnalysisError> {
    let mut columns: BTreeSet<String> = PREDICTIONS.iter().map(|name| (*name).to_owned()).collect();
    columns.extend((1..100).map(|percent| format!("q{percent:02}")));
    for family in FAMILIES {
        let document = catalogue::resolve(&Request::new(Source::Named(family.name)))?;
        for table in catalogue::generator(&document)?.tables() {
            columns.extend(table.columns.iter().map(|column| column.name.to_owned()));
        }
    }
    Ok(columns.into_iter().collect())
}

/// The types of events that some family has.
pub(super) fn events() -> Vec<&'static str> {
    email::EventType::ALL.iter().map(|kind| kind.name()).chain(churn::EventType::NAMES).collect()
}
