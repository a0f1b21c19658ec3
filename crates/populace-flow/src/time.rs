//! Moments as text, and the wall clock: the one place where this crate reads it.

use populace_core::time::{DAY, Date, HOUR, Instant, MINUTE, SECOND};
use populace_io::table::InstantText;
use populace_io::text::{DateText, append_instant};
use std::time::{SystemTime, UNIX_EPOCH};

/// Microseconds in a millisecond.
pub const MILLISECOND: i64 = SECOND / 1_000;

/// A moment before 1970 or in a far year is a unit that was taken for another. The year 2200 begins so many days after 1970.
pub(crate) const YEAR_2200: i64 = 84_006 * DAY;

/// Now, to the millisecond.
pub fn now() -> Instant {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Instant(since.as_millis() as i64 * MILLISECOND)
}

/// As events write a moment: `2026-01-31T09:15:00.123Z`.
///
/// # Panics
/// Its year has no four digits.
pub fn text(at: Instant) -> String {
    let mut text = Vec::with_capacity(24);
    append_instant(at.0, InstantText::Millis, &mut DateText::default(), &mut text);
    String::from_utf8(text).expect("digits")
}

/// A moment from ISO 8601 (RFC 3339): `2026-01-31T09:15:00Z`, with up to six digits of a fraction, or with an offset such as `+01:00`.
///
/// ```
/// use populace_flow::time::{parse, text};
/// assert_eq!(parse("2026-01-31T10:15:00.1+01:00").map(text).as_deref(), Some("2026-01-31T09:15:00.100Z"));
/// assert_eq!(parse("2026-01-31T24:15:00Z"), None);
/// assert_eq!(parse("2026-01-31T10:15:00"), None, "of which clock?");
/// ```
pub fn parse(text: &str) -> Option<Instant> {
    let (head, rest) = text.as_bytes().split_at_checked(19)?;
    let separated = head[4] == b'-' && head[7] == b'-' && matches!(head[10], b'T' | b't' | b' ') && head[13] == b':' && head[16] == b':';
    let date = Date::from_ymd(digits(&head[..4])? as i32, digits(&head[5..7])? as u32, digits(&head[8..10])? as u32)?;
    let (hour, minute, second) = (digits(&head[11..13])?, digits(&head[14..16])?, digits(&head[17..])?);
    if !separated || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let zone_at = rest.iter().position(|byte| matches!(byte, b'Z' | b'z' | b'+' | b'-'))?;
    let (fraction, zone) = rest.split_at(zone_at);
    let micros = match fraction.split_first() {
        Some((b'.', fraction)) if (1..=6).contains(&fraction.len()) => digits(fraction)? * 10_i64.pow(6 - fraction.len() as u32),
        None => 0,
        _ => return None,
    };
    let local = date.midnight().0 + hour * HOUR + minute * MINUTE + second * SECOND + micros;
    Some(Instant(local - offset(zone)?))
}

/// A moment as a text gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    /// The moment, cut to the millisecond, in UTC where there is no zone.
    pub at: Instant,
    /// Whether there is a zone.
    pub zoned: bool,
    /// Whether nothing was cut.
    pub exact: bool,
}

/// A moment as programs write it: ISO 8601 with or without zone and seconds, with a fraction of any length after a point or a comma, an
/// offset with or without colon and minutes, or ` UTC`.
///
/// ```
/// use populace_flow::time::{read, text};
/// let read = |moment| read(moment).map(|read| (text(read.at), read.zoned, read.exact));
/// let noon = "2025-10-01T12:20:00.123Z".to_owned();
/// assert_eq!(read("2025-10-01T12:20:00.1234567"), Some((noon.clone(), false, false)));
/// assert_eq!(read("2025-10-01 14:20:00,123000+0200"), Some((noon, true, true)));
/// assert_eq!(read("01.10.2025 12:20"), None);
/// ```
pub fn read(text: &str) -> Option<Read> {
    let (minutes, rest) = text.trim().split_at_checked(16)?;
    let (seconds, rest) = match rest.strip_prefix(':') {
        Some(rest) => rest.split_at_checked(2)?,
        None => ("00", rest),
    };
    let (fraction, zone) = match rest.strip_prefix(['.', ',']) {
        Some(rest) => rest.split_at(rest.bytes().take_while(u8::is_ascii_digit).count()),
        None => ("0", rest),
    };
    let zone = zone.trim_start();
    let utc = zone.is_empty() || ["UTC", "GMT"].iter().any(|name| zone.eq_ignore_ascii_case(name));
    let zone_with_colon = match zone.as_bytes() {
        _ if utc => "Z".to_owned(),
        [b'+' | b'-', _, _] => format!("{zone}:00"),
        [b'+' | b'-', digits @ ..] if digits.len() == 4 && digits.is_ascii() => format!("{}:{}", &zone[..3], &zone[3..]),
        _ => zone.to_owned(),
    };
    let millis = &fraction[..fraction.len().min(3)];
    let at = parse(&format!("{minutes}:{seconds}.{millis}{zone_with_colon}"))?;
    Some(Read { at, zoned: !zone.is_empty(), exact: fraction.bytes().skip(3).all(|digit| digit == b'0') })
}

/// The offset of a zone from UTC, microseconds.
fn offset(zone: &[u8]) -> Option<i64> {
    match zone {
        [b'Z' | b'z'] => Some(0),
        [sign @ (b'+' | b'-'), hours @ .., b':', tens, ones] if hours.len() == 2 => {
            let minutes = digits(&[*tens, *ones])?;
            let ahead = digits(hours)? * HOUR + minutes * MINUTE;
            (ahead < DAY && minutes < 60).then_some(if *sign == b'-' { -ahead } else { ahead })
        }
        _ => None,
    }
}

/// The number that at most 18 digits are.
fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0, |number, byte| byte.is_ascii_digit().then(|| 10 * number + i64::from(byte - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_survives_being_written() {
        for at in [0, 1_759_280_588_927_000, 951_782_400_000_000, 4_102_444_799_999_000] {
            assert_eq!(parse(&text(Instant(at))), Some(Instant(at)));
        }
    }

    #[test]
    fn moments_of_other_programs_are_read_and_what_is_none_is_not() {
        let noon = Date::from_ymd(2026, 2, 28).unwrap().midnight().plus(12 * HOUR);
        let same = [
            ("2026-02-28T12:00:00", false, true),
            ("2026-02-28T12:00", false, true),
            ("2026-02-28T12:00Z", true, true),
            ("2026-02-28T12:00:00.000000", false, true),
            ("2026-02-28T12:00:00.0000001", false, false),
            ("2026-02-28T12:00:00.0009999Z", true, false),
            ("2026-02-28t13:00:00,0+01", true, true),
            ("2026-02-28 06:30:00-0530", true, true),
            (" 2026-02-28 12:00:00 UTC", true, true),
            ("2026-02-28 12:00:00.000000000 +0000", true, true),
        ];
        for (text, zoned, exact) in same {
            assert_eq!(read(text), Some(Read { at: noon, zoned, exact }), "{text}");
        }
        let wrong = [
            "",
            "2026-02-28",
            "2026-02-28T12",
            "2026-02-30T12:00:00",
            "2026-02-28T24:00:00",
            "2026-02-28T12:00:00.",
            "2026-02-28T12:00:00.Z",
            "2026-02-28T12:00:00+1",
            "2026-02-28T12:00:00+01é",
            "2026-02-28T12:00:00 CET",
            "1764400100",
            "2026-02-28T12:00:0",
            "2026-02-28T12:00:00é",
        ];
        for text in wrong {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn offsets_and_fractions() {
        let noon = Date::from_ymd(2026, 2, 28).unwrap().midnight().plus(12 * HOUR);
        for same in ["2026-02-28T12:00:00Z", "2026-02-28 12:00:00z", "2026-02-28T13:30:00+01:30", "2026-02-27T23:00:00.000000-13:00"] {
            assert_eq!(parse(same), Some(noon), "{same}");
        }
        assert_eq!(parse("2026-02-28T12:00:00.000001Z"), Some(noon.plus(1)));
        let wrong = [
            "",
            "2026-02-28",
            "2026-02-29T12:00:00Z",
            "2026-02-28T12:60:00Z",
            "2026-02-28T12:00:00.Z",
            "2026-02-28T12:00:00.1234567Z",
            "2026-02-28T12:00:00+1:00",
            "2026-02-28T12:00:00+01:60",
            "2026-02-28T1:000:00Z",
            "2026-02-28T12:00:00Z ",
            "2026-02-28T12:00:00é",
            "2026-02-28T+2:00:00Z",
            "2026-02-28T12:00:00.+1Z",
        ];
        for text in wrong {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
