//! From the text of a field to a number, a date or a moment.

use populace_core::time::{DAY, Date, HOUR, MINUTE, SECOND};

/// A value, and whether it was written in another way than the plain one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Read<T> {
    pub(crate) value: T,
    pub(crate) rewritten: bool,
}

/// A field without the blanks around it, those of word processors included.
pub(crate) fn trim(mut field: &[u8]) -> &[u8] {
    /// The no-break space and the byte order mark in UTF-8.
    const WIDE: [&[u8]; 2] = [b"\xc2\xa0", b"\xef\xbb\xbf"];
    loop {
        let before = field.len();
        field = field.trim_ascii();
        for blank in WIDE {
            field = field.strip_prefix(blank).unwrap_or(field);
            field = field.strip_suffix(blank).unwrap_or(field);
        }
        if field.len() == before {
            return field;
        }
    }
}

/// Whether a trimmed field is one of the words that programs write for nothing.
pub(crate) fn is_null_word(field: &[u8]) -> bool {
    const WORDS: [&[u8]; 10] = [b"null", b"nan", b"none", b"na", b"n/a", b"nat", b"<na>", b"nil", b"-", b"\\n"];
    field.len() <= 5 && WORDS.iter().any(|word| field.eq_ignore_ascii_case(word))
}

/// A whole number of a trimmed field. A fraction of zeros and a plus sign are accepted as another way of writing.
pub(crate) fn int(field: &[u8]) -> Option<Read<i64>> {
    let (whole, fraction) = match field.iter().position(|byte| *byte == b'.') {
        Some(point) => (&field[..point], &field[point + 1..]),
        None => (field, &b""[..]),
    };
    if !fraction.iter().all(|byte| *byte == b'0') {
        return None;
    }
    let rewritten = whole.len() < field.len() || whole.first() == Some(&b'+');
    let text = str::from_utf8(whole).ok()?;
    Some(Read { value: text.parse().ok()?, rewritten })
}

/// A finite number of a trimmed field. A currency sign and commas between thousands are accepted as another way of writing.
pub(crate) fn number(field: &[u8]) -> Option<Read<f64>> {
    let text = str::from_utf8(field).ok()?;
    let plain = |text: &str| -> Option<f64> {
        // `inf`, `nan` and the like are numbers to the standard library.
        let digits = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E'));
        if digits { text.parse().ok().filter(|value: &f64| value.is_finite()) } else { None }
    };
    if let Some(value) = plain(text) {
        return Some(Read { value, rewritten: false });
    }
    let bare = text.trim_matches(['$', '€', '£', '₹', ' ']);
    let (whole, fraction) = bare.split_once('.').map_or((bare, None), |(whole, fraction)| (whole, Some(fraction)));
    let mut groups = whole.split(',');
    let first = groups.next()?.trim_start_matches('-');
    let grouped = groups.clone().count() == 0 || ((1..=3).contains(&first.len()) && groups.all(|group| group.len() == 3));
    if !grouped || fraction.is_some_and(|fraction| fraction.contains(',')) {
        return None;
    }
    plain(&bare.replace(',', "")).map(|value| Read { value, rewritten: true })
}

/// A date of a trimmed field: `YYYY-MM-DD`, the same with slashes, points or nothing between, or a moment's date.
pub(crate) fn date(field: &[u8]) -> Option<Read<Date>> {
    if let Some((date, plain, rest)) = leading_date(field)
        && rest.is_empty()
    {
        return Some(Read { value: date, rewritten: !plain });
    }
    instant(field).map(|read| Read { value: Date(read.value.div_euclid(DAY) as i32), rewritten: true })
}

/// A moment of a trimmed field, in microseconds UTC: a date, then `T` or a blank and a time of day, then an offset or none, which is
/// UTC. Digits beyond the microsecond are cut.
pub(crate) fn instant(field: &[u8]) -> Option<Read<i64>> {
    let (date, plain_date, rest) = leading_date(field)?;
    if rest.is_empty() {
        return Some(Read { value: i64::from(date.0) * DAY, rewritten: true });
    }
    let time = match rest[0] {
        b'T' | b't' => &rest[1..],
        b' ' => rest.trim_ascii_start(),
        _ => return None,
    };
    let (micros, plain_time, rest) = time_of_day(time)?;
    let (offset, plain_offset) = offset(rest)?;
    let value = i64::from(date.0) * DAY + micros - offset;
    Some(Read { value, rewritten: !(plain_date && plain_time && plain_offset) })
}

/// The number that a field begins with, its digits (at most `most`) and what follows.
fn digits(field: &[u8], most: usize) -> Option<(u32, usize, &[u8])> {
    let count = field.iter().take(most).take_while(|byte| byte.is_ascii_digit()).count();
    if count == 0 {
        return None;
    }
    let value = field[..count].iter().fold(0, |value, byte| value * 10 + u32::from(byte - b'0'));
    Some((value, count, &field[count..]))
}

/// The date that a field begins with, whether it is `YYYY-MM-DD`, and what follows. The year comes first: whether 01/02 is of January
/// or February cannot be known.
fn leading_date(field: &[u8]) -> Option<(Date, bool, &[u8])> {
    let (year, count, rest) = digits(field, 4)?;
    if count != 4 {
        return None;
    }
    let separator = *rest.first()?;
    if separator.is_ascii_digit() {
        let (day, count, after) = digits(rest, 4)?;
        let date = Date::from_ymd(year as i32, day / 100, day % 100)?;
        return (count == 4 && !after.first().is_some_and(u8::is_ascii_digit)).then_some((date, false, after));
    }
    if !matches!(separator, b'-' | b'/' | b'.') {
        return None;
    }
    let (month, month_digits, rest) = digits(&rest[1..], 2)?;
    let (day, day_digits, rest) = digits(rest.strip_prefix(&[separator])?, 2)?;
    if rest.first().is_some_and(u8::is_ascii_digit) {
        return None;
    }
    let plain = separator == b'-' && month_digits == 2 && day_digits == 2;
    Some((Date::from_ymd(year as i32, month, day)?, plain, rest))
}

/// Microseconds since midnight of the time of day that a field begins with, whether it is `HH:MM:SS`, and what follows.
fn time_of_day(field: &[u8]) -> Option<(i64, bool, &[u8])> {
    let (mut hour, hour_digits, rest) = digits(field, 2)?;
    let (minute, minute_digits, mut rest) = digits(rest.strip_prefix(b":")?, 2)?;
    let (mut second, mut micros, mut plain) = (0, 0, hour_digits == 2);
    match rest.strip_prefix(b":") {
        Some(after) => {
            let (value, count, after) = digits(after, 2)?;
            (second, rest) = (value, after);
            if count != 2 {
                return None;
            }
            if let Some(after) = rest.strip_prefix(b".") {
                let count = after.iter().take_while(|byte| byte.is_ascii_digit()).count();
                if count == 0 {
                    return None;
                }
                let kept = count.min(6);
                micros = digits(after, kept)?.0 * 10_u32.pow(6 - kept as u32);
                rest = &after[count..];
            }
        }
        None => plain = false,
    }
    let half = rest.trim_ascii_start();
    if half.len() >= 2 && half[1].eq_ignore_ascii_case(&b'm') && matches!(half[0], b'a' | b'A' | b'p' | b'P') {
        if hour == 0 || hour > 12 {
            return None;
        }
        hour = hour % 12 + if half[0].eq_ignore_ascii_case(&b'p') { 12 } else { 0 };
        (rest, plain) = (&half[2..], false);
    }
    if minute_digits != 2 || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let value = i64::from(hour) * HOUR + i64::from(minute) * MINUTE + i64::from(second) * SECOND + i64::from(micros);
    Some((value, plain, rest))
}

/// Microseconds that the rest of a field says the time is ahead of UTC, and whether it is `Z`, `±HH:MM` or nothing.
fn offset(field: &[u8]) -> Option<(i64, bool)> {
    let field = field.trim_ascii_start();
    match field {
        b"" | b"Z" => return Some((0, true)),
        b"z" | b"UTC" | b"GMT" => return Some((0, false)),
        _ => {}
    }
    let sign = match field.first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hour, hour_digits, rest) = digits(&field[1..], 2)?;
    let colon = rest.strip_prefix(b":");
    let (minute, minute_digits, rest) = digits(colon.unwrap_or(rest), 2).unwrap_or((0, 2, rest));
    if hour_digits != 2 || minute_digits != 2 || !rest.is_empty() || hour > 14 || minute > 59 {
        return None;
    }
    Some((sign * (i64::from(hour) * HOUR + i64::from(minute) * MINUTE), colon.is_some()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Option<(String, bool)> {
        instant(text.as_bytes()).map(|read| (populace_core::time::Instant(read.value).to_string(), read.rewritten))
    }

    #[test]
    fn moments_are_read_in_every_way_that_has_one_meaning() {
        for (text, expected, rewritten) in [
            ("2025-01-31 08:30:05", "2025-01-31T08:30:05Z", false),
            ("2025-01-31T08:30:05Z", "2025-01-31T08:30:05Z", false),
            ("2025-01-31T08:30:05.123456789+02:00", "2025-01-31T06:30:05Z", false),
            ("2025-01-31 00:30:05 -0130", "2025-01-31T02:00:05Z", true),
            ("2025/1/31 8:30", "2025-01-31T08:30:00Z", true),
            ("2025.01.31 12:05 am", "2025-01-31T00:05:00Z", true),
            ("20250131", "2025-01-31T00:00:00Z", true),
            ("2025-01-31", "2025-01-31T00:00:00Z", true),
            ("2025-01-31 08:30:05 UTC", "2025-01-31T08:30:05Z", true),
            ("2025-01-31 12:00:00 PM", "2025-01-31T12:00:00Z", true),
        ] {
            assert_eq!(shown(text), Some((expected.to_owned(), rewritten)), "{text}");
        }
        assert_eq!(instant(b"1969-12-31 23:59:59.5").unwrap().value, -500_000);
        for text in [
            "",
            "soon",
            "31/01/2025",
            "01/02/2025",
            "2025-02-29 00:00:00",
            "2025-13-01",
            "2025-01-31 25:00:00",
            "2025-01-31 08:60",
            "2025-01-31 08:30:61",
            "2025-01-31 08:30:05 CET",
            "2025-01-31x",
            "1735689600",
            "202501311",
            "2025-01-31 13:00 pm",
            "2025-01-3108:30",
            "2025-1",
            "2025-01-31 08:30:05.",
            "2025-01-31 08:30:05+2",
            "9999999999999",
        ] {
            assert_eq!(shown(text), None, "{text}");
        }
    }

    #[test]
    fn dates_may_carry_a_time() {
        let expected = Date::from_ymd(2025, 1, 31).unwrap();
        for (text, rewritten) in [("2025-01-31", false), ("2025/01/31", true), ("20250131", true), ("2025-01-31 00:00:00", true)] {
            assert_eq!(date(text.as_bytes()), Some(Read { value: expected, rewritten }), "{text}");
        }
        assert_eq!(date(b"31.01.2025"), None);
    }

    #[test]
    fn numbers_are_finite_and_written_in_one_way() {
        for (text, value, rewritten) in [
            ("45", 45.0, false),
            ("-4.5e1", -45.0, false),
            ("$1,234.50", 1234.5, true),
            ("₹499", 499.0, true),
            ("1,234,567", 1_234_567.0, true),
        ] {
            assert_eq!(number(text.as_bytes()), Some(Read { value, rewritten }), "{text}");
        }
        for text in ["", "abc", "45,5", "1,23,456", "inf", "NaN", "1.2.3", "1e999", "0x10", "$", ",5", "12,3456", "1.5,000"] {
            assert_eq!(number(text.as_bytes()), None, "{text}");
        }
        for (text, value, rewritten) in [("12", 12, false), ("012", 12, false), ("12.0", 12, true), ("+12", 12, true), ("-3", -3, false)] {
            assert_eq!(int(text.as_bytes()), Some(Read { value, rewritten }), "{text}");
        }
        for text in ["", "12.5", "12a", "1e3", "1 2", "9223372036854775808", "."] {
            assert_eq!(int(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn blanks_and_words_for_nothing_are_known() {
        assert_eq!(trim("\u{a0} \t paid\u{a0}\r".as_bytes()), b"paid");
        assert_eq!(trim(b" \t "), b"");
        assert!(["NULL", "NaN", "n/a", "-", "None"].iter().all(|word| is_null_word(word.as_bytes())));
        assert!(["", "0", "nano", "no"].iter().all(|word| !is_null_word(word.as_bytes())));
    }
}
