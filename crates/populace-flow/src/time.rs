//! Moments as text, and the wall clock: the one place where this crate reads it.

use populace_core::time::{DAY, Date, HOUR, Instant, MINUTE, SECOND};
use populace_io::table::InstantText;
use populace_io::text::{DateText, append_instant};
use std::time::{SystemTime, UNIX_EPOCH};

/// Microseconds in a millisecond.
pub const MILLISECOND: i64 = SECOND / 1_000;

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
