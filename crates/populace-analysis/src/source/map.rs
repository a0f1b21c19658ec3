//! Names of columns and words for events that are other than Populace's.

use crate::error::AnalysisError;
use populace_io::document::{Library, Source, suggest};
use serde::Deserialize;
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
]);

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
}

/// One name, or several of which the first that is there counts.
#[derive(Deserialize)]
#[serde(untagged)]
enum Names {
    One(String),
    Several(Vec<String>),
}

/// A map as it is written.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Document {
    extends: Option<String>,
    columns: BTreeMap<String, Names>,
    events: BTreeMap<String, String>,
    time_unit: Option<String>,
    dates: Option<String>,
    utc_offset: Option<String>,
    decimal: Option<String>,
}

impl Map {
    /// A preset, or the map of a file.
    pub(super) fn named(name: &str) -> Result<(Self, Settings), AnalysisError> {
        let presets: Vec<&str> = PRESETS.names().collect();
        if !presets.contains(&name) && !Path::new(name).is_file() {
            let hint = suggest(name, &presets, "presets");
            return Err(AnalysisError::input(format!("--map {name}: is neither a file nor a preset\nhint: {hint}")));
        }
        let wrong = |error: serde_json::Error| AnalysisError::input(format!("--map {name}: {error}"));
        let document: Document = serde_json::from_value(PRESETS.value(Source::Named(name))?).map_err(wrong)?;
        let (mut map, mut settings) = match document.extends {
            Some(preset) if presets.contains(&preset.as_str()) => Self::named(&preset)?,
            Some(other) => {
                let hint = suggest(&other, &presets, "presets");
                return Err(AnalysisError::input(format!("--map {name}: extends: there is no preset {other}\nhint: {hint}")));
            }
            None => Default::default(),
        };
        for (wanted, names) in document.columns {
            let names = match names {
                Names::One(name) => {
                    map.needed.insert(wanted.clone());
                    vec![name]
                }
                Names::Several(names) => {
                    map.needed.remove(&wanted);
                    names
                }
            };
            map.columns.insert(wanted, names);
        }
        map.events.extend(document.events.into_iter().map(|(word, event)| (word.to_lowercase(), event)));
        settings.time_unit = document.time_unit.or(settings.time_unit);
        settings.dates = document.dates.or(settings.dates);
        settings.utc_offset = document.utc_offset.or(settings.utc_offset);
        settings.decimal = document.decimal.or(settings.decimal);
        Ok((map, settings))
    }
}
