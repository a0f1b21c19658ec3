//! Instants, days and windows in UTC. There is no clock here: time comes from the scenario.

use crate::scenario::Checker;
use crate::section::section;
use core::fmt;
use core::str::FromStr;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Microseconds in a second.
pub const SECOND: i64 = 1_000_000;
/// Microseconds in a minute.
pub const MINUTE: i64 = 60 * SECOND;
/// Microseconds in an hour.
pub const HOUR: i64 = 60 * MINUTE;
/// Microseconds in a day.
pub const DAY: i64 = 24 * HOUR;
/// Minutes in a week.
pub const MINUTES_PER_WEEK: usize = 7 * 24 * 60;

/// A moment, in microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(pub i64);

impl Instant {
    /// This instant, `microseconds` later.
    #[inline]
    #[must_use]
    pub const fn plus(self, microseconds: i64) -> Self {
        Self(self.0 + microseconds)
    }

    /// Microseconds from `earlier` to this instant.
    #[inline]
    pub const fn since(self, earlier: Self) -> i64 {
        self.0 - earlier.0
    }

    /// The date this instant falls on.
    #[inline]
    pub const fn date(self) -> Date {
        Date(self.0.div_euclid(DAY) as i32)
    }

    /// Hour of day, 0 to 23.
    #[inline]
    pub const fn hour(self) -> u8 {
        (self.0.rem_euclid(DAY) / HOUR) as u8
    }

    /// Minute of the hour, 0 to 59.
    #[inline]
    pub const fn minute(self) -> u8 {
        (self.0.rem_euclid(HOUR) / MINUTE) as u8
    }

    /// Day of the week, Monday 0 to Sunday 6.
    #[inline]
    pub const fn weekday(self) -> u8 {
        self.date().weekday()
    }

    /// Minute of the week, 0 (Monday 00:00) to 10,079.
    #[inline]
    pub const fn minute_of_week(self) -> usize {
        // 1970-01-01 was a Thursday: day 3 of a week that starts on Monday.
        ((self.0.div_euclid(MINUTE) + 3 * 24 * 60).rem_euclid(MINUTES_PER_WEEK as i64)) as usize
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let second = self.0.rem_euclid(MINUTE) / SECOND;
        write!(formatter, "{}T{:02}:{:02}:{second:02}Z", self.date(), self.hour(), self.minute())
    }
}

/// A calendar date, in days since 1970-01-01. Written `YYYY-MM-DD`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(pub i32);

impl Date {
    /// 0001-01-01 and 9999-12-31: between them a year is written with four digits.
    pub(crate) const FIRST: Self = Self(-719_162);
    pub(crate) const LAST: Self = Self(2_932_896);

    /// The date of a year, a month (1 to 12) and a day (1 to 31), if there is one.
    pub fn from_ymd(year: i32, month: u32, day: u32) -> Option<Self> {
        if !(1..=9999).contains(&year) || !(1..=12).contains(&month) || day == 0 || day > days_in_month(year, month) {
            return None;
        }
        // Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms": days_from_civil.
        let shifted_year = i64::from(year) - i64::from(month <= 2);
        let era = shifted_year.div_euclid(400);
        let year_of_era = shifted_year.rem_euclid(400);
        let day_of_year = (153 * i64::from((month + 9) % 12) + 2) / 5 + i64::from(day) - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        Some(Self((era * 146_097 + day_of_era - 719_468) as i32))
    }

    /// Year, month (1 to 12) and day (1 to 31).
    pub const fn ymd(self) -> (i32, u32, u32) {
        // The inverse of the above: civil_from_days.
        let shifted = self.0 as i64 + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = (day_of_year - (153 * shifted_month + 2) / 5 + 1) as u32;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 } as u32;
        let year = (year_of_era + era * 400) as i32 + (month <= 2) as i32;
        (year, month, day)
    }

    /// This date, `days` later.
    #[must_use]
    pub const fn plus(self, days: i32) -> Self {
        Self(self.0 + days)
    }

    /// Midnight UTC at the start of this date.
    #[inline]
    pub const fn midnight(self) -> Instant {
        Instant(self.0 as i64 * DAY)
    }

    /// Day of the week, Monday 0 to Sunday 6.
    #[inline]
    pub const fn weekday(self) -> u8 {
        (self.0 + 3).rem_euclid(7) as u8
    }
}

/// Days of a month (1 to 12).
const fn days_in_month(year: i32, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

impl fmt::Display for Date {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.ymd();
        write!(formatter, "{year:04}-{month:02}-{day:02}")
    }
}

impl FromStr for Date {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split('-');
        let date = (|| {
            let [year, month, day] = [parts.next()?, parts.next()?, parts.next()?];
            let digits = |part: &str, width| part.len() == width && part.bytes().all(|byte| byte.is_ascii_digit());
            if parts.next().is_some() || !digits(year, 4) || !digits(month, 2) || !digits(day, 2) {
                return None;
            }
            Self::from_ymd(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?)
        })();
        date.ok_or_else(|| format!("`{text}` is not a date of the form YYYY-MM-DD, such as 2026-01-31"))
    }
}

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Date {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Date".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "date" })
    }
}

/// A fixed offset of local time from UTC. Written `UTC`, `UTC+02:00`, `UTC-03:30`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UtcOffset {
    minutes: i16,
}

impl UtcOffset {
    /// What the schema says of its text.
    pub const PATTERN: &str = "^UTC([+-][0-9]{2}:[0-9]{2})?$";

    /// Minutes that local time is ahead of UTC: −840 to 840.
    pub const fn minutes(self) -> i16 {
        self.minutes
    }

    /// What a clock there shows at `instant`, to be read with the calendar methods of [`Instant`].
    #[inline]
    pub const fn local(self, instant: Instant) -> Instant {
        instant.plus(self.minutes as i64 * MINUTE)
    }
}

impl fmt::Display for UtcOffset {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.minutes {
            0 => return formatter.write_str("UTC"),
            1.. => '+',
            _ => '-',
        };
        let minutes = self.minutes.unsigned_abs();
        write!(formatter, "UTC{sign}{:02}:{:02}", minutes / 60, minutes % 60)
    }
}

impl FromStr for UtcOffset {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let minutes = (|| {
            let offset = text.strip_prefix("UTC")?;
            if offset.is_empty() {
                return Some(0);
            }
            let (hours, minutes) = offset.get(1..)?.split_once(':')?;
            let number =
                |part: &str| if part.len() == 2 { part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok())? } else { None };
            let (hours, minutes): (i16, i16) = (number(hours)?, number(minutes)?);
            let total = hours * 60 + minutes;
            match offset.as_bytes()[0] {
                _ if minutes > 59 || total > 14 * 60 => None,
                b'+' => Some(total),
                b'-' => Some(-total),
                _ => None,
            }
        })();
        let minutes =
            minutes.ok_or_else(|| format!("must be an offset such as UTC, UTC+02:00 or UTC-03:30, at most 14 hours, got `{text}`"))?;
        Ok(Self { minutes })
    }
}

impl Serialize for UtcOffset {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for UtcOffset {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for UtcOffset {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "UtcOffset".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": Self::PATTERN })
    }
}

section! {
    /// The days on which things begin, whole days from `start` on: the section `window` of every document.
    #[derive(Copy, Eq)]
    pub struct Window {
        /// The first day (UTC), 1970-01-01 or later.
        start: Date,
        /// Number of days, 1 to 36,500.
        days: u32 [1 ..= 36_500],
    }
}

impl Window {
    /// The first instant.
    pub const fn begin(self) -> Instant {
        self.start.midnight()
    }

    /// The first instant after the window.
    pub const fn end(self) -> Instant {
        self.start.plus(self.days as i32).midnight()
    }

    /// Whether `instant` lies within.
    #[inline]
    pub const fn contains(self, instant: Instant) -> bool {
        instant.0 >= self.begin().0 && instant.0 < self.end().0
    }

    /// Checks that it ends while a year is written with four digits.
    pub(crate) fn check_end(self, checker: &mut Checker) {
        let end = i64::from(self.start.0) + i64::from(self.days);
        checker.require(end <= i64::from(Date::LAST.0), "window", || format!("must end by {}", Date::LAST));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_convert_both_ways_over_ten_thousand_years() {
        let mut expected = Date::from_ymd(1, 1, 1).unwrap();
        for year in 1..=9999 {
            for month in 1..=12 {
                for day in 1..=days_in_month(year, month) {
                    let date = Date::from_ymd(year, month, day).unwrap();
                    assert_eq!((date, date.ymd()), (expected, (year, month, day)));
                    expected = date.plus(1);
                }
            }
        }
        assert_eq!(Date::from_ymd(1970, 1, 1), Some(Date(0)));
    }

    #[test]
    fn a_week_starts_on_monday() {
        let date = Date::from_ymd(2025, 10, 1).unwrap();
        assert_eq!(date.weekday(), 2, "2025-10-01 was a Wednesday");
        assert_eq!(date.midnight().plus(HOUR + MINUTE).minute_of_week(), 2 * 24 * 60 + 61);
    }

    #[test]
    fn a_date_that_is_none_is_refused() {
        for text in ["2025-02-29", "2025-13-01", "2025-1-1", "2025-01-01T00", "", "20250101", "+025-01-01"] {
            assert!(text.parse::<Date>().is_err(), "{text}");
        }
        assert_eq!("2024-02-29".parse::<Date>().unwrap().to_string(), "2024-02-29");
    }

    #[test]
    fn offsets_are_read_written_and_applied() {
        for (text, minutes) in [("UTC", 0), ("UTC+02:00", 120), ("UTC-03:30", -210), ("UTC+14:00", 840)] {
            let offset: UtcOffset = text.parse().unwrap();
            assert_eq!((offset.minutes(), offset.to_string().as_str()), (minutes, text));
        }
        for text in ["", "utc", "UTC2", "UTC+2:00", "UTC+02:60", "UTC+14:01", "UTC 02:00", "UTC+02", "Europe/Berlin", "UTCé02:00"] {
            assert!(text.parse::<UtcOffset>().is_err(), "{text}");
        }
        let late: UtcOffset = "UTC-03:30".parse().unwrap();
        assert_eq!(late.local(Instant(3 * HOUR)).to_string(), "1969-12-31T23:30:00Z");
    }
}
