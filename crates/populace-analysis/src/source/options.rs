//! What only the user can say of files of their own.

use super::map::{Map, Settings};
use super::values::{Dates, Decimal, Times, Unit};
use crate::error::AnalysisError;
use encoding_rs::Encoding;
use populace_core::time::{HOUR, MINUTE};
use populace_io::document::suggest;
use populace_io::wording;

/// How files are read that are no run of Populace.
#[derive(Clone, Debug, Default)]
pub struct ReadOptions {
    /// What a moment may look like.
    pub times: Times,
    /// The sign before the fraction of a number; without one, what the file says.
    pub decimal: Option<Decimal>,
    /// The charset of text that bears no mark; without one, UTF-8, and what is not is told.
    pub encoding: Option<&'static Encoding>,
    /// Names of columns and words for events.
    pub map: Map,
}

impl ReadOptions {
    /// Of the options of a command; those that it has stand against those of its map, which is a file or a preset.
    ///
    /// # Errors
    /// The map cannot be read, or an option has a value that it cannot have.
    pub fn new(map: Option<&str>, settings: Settings) -> Result<Self, AnalysisError> {
        let map_name = map;
        let (map, of_map) = map.map(Map::named).transpose()?.unwrap_or_default();
        let mut times = Times::default();
        // What the map says is not what the option says.
        let place = |name: &str, is_option: bool| match map_name {
            Some(map) if !is_option => format!("{} {map}: {}:", wording::option("map"), name.replace('-', "_")),
            _ => wording::option(name),
        };
        let one_of = |place: String, value: &str, names: &[&str]| {
            AnalysisError::input(format!("{place} {value}: is none of {}\nhint: {}", names.join(", "), suggest(value, names, "values")))
        };
        let unit_place = place("time-unit", settings.time_unit.is_some());
        if let Some(name) = settings.time_unit.or(of_map.time_unit) {
            let names = Unit::NAMES.map(|(name, _)| name);
            let unit = Unit::NAMES.into_iter().find(|(known, _)| *known == name);
            times.unit = Some(unit.ok_or_else(|| one_of(unit_place, &name, &names))?.1);
        }
        let dates_place = place("dates", settings.dates.is_some());
        if let Some(name) = settings.dates.or(of_map.dates) {
            times.dates = match name.as_str() {
                "year-first" => Dates::YearFirst,
                "day-first" => Dates::DayFirst,
                "month-first" => Dates::MonthFirst,
                _ => return Err(one_of(dates_place, &name, &["year-first", "day-first", "month-first"])),
            };
        }
        let offset_place = place("utc-offset", settings.utc_offset.is_some());
        if let Some(text) = settings.utc_offset.or(of_map.utc_offset) {
            times.zone = offset(&text).ok_or_else(|| {
                AnalysisError::input(format!(
                    "{offset_place} {text}: is no offset such as +02:00 or -0530\nhint: names of zones are not known, since one has several \
                     offsets a year; give the one that holds, or write the times with theirs, as pandas does: \
                     column.dt.tz_localize(\"{}\").dt.tz_convert(\"UTC\")",
                    if text.contains('/') { &text } else { "Europe/Berlin" }
                ))
            })?;
        }
        let decimal_place = place("decimal", settings.decimal.is_some());
        let decimal = match settings.decimal.or(of_map.decimal).as_deref() {
            None => None,
            Some("point") => Some(Decimal::Point),
            Some("comma") => Some(Decimal::Comma),
            Some(name) => return Err(one_of(decimal_place, name, &["point", "comma"])),
        };
        let encoding_place = place("encoding", settings.encoding.is_some());
        let encoding = settings.encoding.or(of_map.encoding).map(|name| {
            Encoding::for_label(name.trim().as_bytes()).ok_or_else(|| {
                AnalysisError::input(format!(
                    "{encoding_place} {name}: is no charset that is known\nhint: names are those of browsers, such as utf-8, windows-1251, \
                     windows-1252, iso-8859-2, shift_jis, euc-kr, gbk, big5"
                ))
            })
        });
        Ok(Self { times, decimal, encoding: encoding.transpose()?, map })
    }
}

/// Microseconds of an offset: `+02:00`, `+0200`, `+2`, also after UTC or GMT.
fn offset(text: &str) -> Option<i64> {
    let text = text.trim();
    let prefix = text.get(..3).filter(|prefix| ["utc", "gmt"].contains(&prefix.to_lowercase().as_str()));
    let text = prefix.map_or(text, |_| text[3..].trim_start());
    if text.is_empty() && prefix.is_some() || text.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let digits = &text[1..];
    if !digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b':') {
        return None;
    }
    let (hours, minutes) = match digits.split_once(':') {
        Some(parts) => parts,
        None if digits.len() == 4 => digits.split_at(2),
        None => (digits, "0"),
    };
    let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
    ((0..=14).contains(&hours) && (0..60).contains(&minutes)).then_some(sign * (hours * HOUR + minutes * MINUTE))
}
