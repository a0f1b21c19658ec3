//! Moments as text, and the wall clock: the one place where this crate reads it.

use populace_core::time::{DAY, Date, HOUR, Instant, MINUTE, SECOND};
use std::time::{SystemTime, UNIX_EPOCH};

/// Microseconds in a millisecond.
pub const MILLISECOND: i64 = SECOND / 1_000;

/// Now, to the millisecond.
pub fn now() -> Instant {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Instant(since.as_millis() as i64 * MILLISECOND)
}

/// As events write a moment: `2026-01-31T09:15:00.123Z`.
pub fn text(at: Instant) -> String {
    let millis = at.0.rem_euclid(SECOND) / MILLISECOND;
    let whole = at.to_string();
    format!("{}.{millis:03}Z", whole.trim_end_matches('Z'))
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
    if !text.is_ascii() || text.len() < 20 {
        return None;
    }
    let (date, rest) = text.split_at(10);
    let (clock, rest) = rest.split_at(9);
    let date: Date = date.parse().ok()?;
    let clock = clock.strip_prefix(['T', 't', ' '])?;
    let mut parts = clock.split(':').map(|part| (part.len() == 2).then(|| digits(part))?);
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    if parts.next().is_some() || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let zone_at = rest.find(['Z', 'z', '+', '-'])?;
    let (fraction, zone) = rest.split_at(zone_at);
    let micros = match fraction.strip_prefix('.') {
        Some(fraction) if (1..=6).contains(&fraction.len()) => digits(fraction)? * 10_i64.pow(6 - fraction.len() as u32),
        None if fraction.is_empty() => 0,
        _ => return None,
    };
    let local = date.midnight().0 + hour * HOUR + minute * MINUTE + second * SECOND + micros;
    Some(Instant(local - offset(zone)?))
}

/// The offset of a zone from UTC, microseconds.
fn offset(zone: &str) -> Option<i64> {
    if zone.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let (sign, zone) = zone.strip_prefix('-').map_or_else(|| (1, &zone[1..]), |zone| (-1, zone));
    let (hours, minutes) = zone.split_once(':')?;
    if hours.len() != 2 || minutes.len() != 2 {
        return None;
    }
    let ahead = digits(hours)? * HOUR + digits(minutes)? * MINUTE;
    (ahead < DAY && digits(minutes)? < 60).then_some(sign * ahead)
}

fn digits(text: &str) -> Option<i64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
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
