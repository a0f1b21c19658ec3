//! From the text of a field to a number, a date or a moment.

use populace_core::time::{DAY, Date, HOUR, MINUTE, SECOND};
use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

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

/// Whether a trimmed field is blank, or one of the words that programs write for nothing.
pub(crate) fn is_nothing(field: &[u8]) -> bool {
    field.is_empty() || is_null_word(field)
}

/// Whether a trimmed field is one of the words that programs write for nothing.
pub(crate) fn is_null_word(field: &[u8]) -> bool {
    const WORDS: [&[u8]; 11] = [b"#n/a", b"null", b"nan", b"none", b"na", b"n/a", b"nat", b"<na>", b"nil", b"-", b"\\n"];
    field.len() <= 5 && WORDS.iter().any(|word| field.eq_ignore_ascii_case(word))
}

/// As [`is_nothing`], of a country's code: `NA` is Namibia.
pub(crate) fn is_no_country(field: &[u8]) -> bool {
    is_nothing(field) && !field.eq_ignore_ascii_case(b"na")
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

/// What a trimmed field says of a yes or no, if it says anything.
pub(crate) fn flag(field: &[u8]) -> Option<bool> {
    let any = |words: &[&str]| words.iter().any(|word| field.eq_ignore_ascii_case(word.as_bytes()));
    match int(field).map(|read| read.value) {
        Some(1) => Some(true),
        Some(0) => Some(false),
        None if any(&["true", "t", "yes", "y"]) => Some(true),
        None if any(&["false", "f", "no", "n"]) => Some(false),
        Some(_) | None => None,
    }
}

/// The sign before the fraction of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decimal {
    /// `1,234.5`
    Point,
    /// `1.234,5`
    Comma,
    /// Each number says by itself which it is.
    Either,
}

/// What a number says of the sign before its fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Says {
    /// It has no such sign, or is no number.
    Nothing,
    /// That it is this one.
    Is(Decimal),
    /// It has a comma or a point that may be either: `1,234`.
    Ambiguous,
}

/// What a trimmed field says of the sign before its fraction.
pub(crate) fn says(field: &[u8]) -> Says {
    let Some(text) = bare(field) else { return Says::Nothing };
    if !text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b',' | b'.')) {
        return Says::Nothing;
    }
    let (commas, points) = (text.matches(',').count(), text.matches('.').count());
    let other = |decimal| if decimal == Decimal::Comma { Decimal::Point } else { Decimal::Comma };
    let (sign, decimal, count) = match (commas, points) {
        (0, 0) => return Says::Nothing,
        (0, count) => ('.', Decimal::Point, count),
        (count, 0) => (',', Decimal::Comma, count),
        _ => return Says::Is(if text.rfind(',') > text.rfind('.') { Decimal::Comma } else { Decimal::Point }),
    };
    let mut groups = text.split(sign);
    let first = groups.next().unwrap_or_default();
    let may_group = (1..=3).contains(&first.len()) && !first.starts_with('0') && groups.all(|group| group.len() == 3);
    match (may_group, count) {
        (true, 1) => Says::Ambiguous,
        (true, _) => Says::Is(other(decimal)),
        (false, 1) => Says::Is(decimal),
        (false, _) => Says::Nothing,
    }
}

/// A number without its sign, a currency's and blanks between thousands.
fn bare(field: &[u8]) -> Option<String> {
    let text = str::from_utf8(field).ok()?.trim_matches(['$', '€', '£', '₹', ' ', '-', '+']);
    Some(text.replace([' ', '\u{a0}', '\u{202f}', '\''], ""))
}

/// A finite number of a trimmed field. A currency sign, and between thousands blanks and the sign that is not the decimal one, are
/// accepted as another way of writing.
pub(crate) fn number(field: &[u8], decimal: Decimal) -> Option<Read<f64>> {
    let plain = |text: &str| -> Option<f64> {
        // `inf`, `nan` and the like are numbers to the standard library.
        let digits = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E'));
        if digits { text.parse().ok().filter(|value: &f64| value.is_finite()) } else { None }
    };
    let text = str::from_utf8(field).ok()?;
    let decimal = match decimal {
        Decimal::Either => {
            if says(field) == Says::Is(Decimal::Comma) {
                Decimal::Comma
            } else {
                Decimal::Point
            }
        }
        decimal => decimal,
    };
    if let Some(value) = plain(text).filter(|_| decimal == Decimal::Point || !text.contains('.')) {
        return Some(Read { value, rewritten: false });
    }
    let mut text = text.trim_matches(['$', '€', '£', '₹', ' ']).to_owned();
    if decimal == Decimal::Comma {
        text = text
            .chars()
            .map(|letter| match letter {
                ',' => '.',
                '.' => ',',
                other => other,
            })
            .collect();
    }
    let (whole, fraction) = text.split_once('.').map_or((text.as_str(), None), |(whole, fraction)| (whole, Some(fraction)));
    let blanks: &[char] = &[' ', '\u{a0}', '\u{202f}', '\''];
    let separators: &[char] = if whole.contains(',') { &[','] } else { blanks };
    let mut groups = whole.split(separators);
    let first = groups.next()?.trim_start_matches('-');
    let grouped = groups.clone().count() == 0 || ((1..=3).contains(&first.len()) && groups.all(|group| group.len() == 3));
    if !grouped || fraction.is_some_and(|fraction| fraction.contains(',')) {
        return None;
    }
    plain(&text.replace(separators, "")).map(|value| Read { value, rewritten: true })
}

/// What moments and dates may look like beyond what has one meaning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// The unit of whole numbers since 1970; without one they are no moments.
    pub unit: Option<Unit>,
    /// The order of `01/02/2025`; without one it is no date.
    pub dates: Dates,
    /// Microseconds that times without an offset are ahead of UTC.
    pub zone: i64,
}

/// A unit of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// `s`
    Seconds,
    /// `ms`
    Milliseconds,
    /// `us`
    Microseconds,
    /// `ns`
    Nanoseconds,
}

/// The end of the year 9999.
const LATEST: f64 = 253_402_300_800e6;

impl Unit {
    /// The units by their names.
    pub const NAMES: [(&'static str, Self); 4] =
        [("s", Self::Seconds), ("ms", Self::Milliseconds), ("us", Self::Microseconds), ("ns", Self::Nanoseconds)];

    /// A whole number of this unit in microseconds; `None` beyond the years that a moment can have.
    pub(crate) fn whole(self, number: i64) -> Option<i64> {
        let micros = match self {
            Self::Seconds => number.checked_mul(SECOND),
            Self::Milliseconds => number.checked_mul(1_000),
            Self::Microseconds => Some(number),
            Self::Nanoseconds => Some(number.div_euclid(1_000)),
        };
        micros.filter(|micros| (micros.unsigned_abs() as f64) < LATEST)
    }

    /// As [`whole`](Self::whole), of any number.
    pub(crate) fn micros(self, number: f64) -> Option<i64> {
        let micros = match self {
            Self::Seconds => number * 1e6,
            Self::Milliseconds => number * 1e3,
            Self::Microseconds => number,
            Self::Nanoseconds => (number / 1e3).floor(),
        };
        (micros.abs() < LATEST).then(|| micros.round() as i64)
    }
}

/// Whether a clock may have shown a moment: not before 1990, and not a day or more from now.
pub(crate) fn is_plausible(micros: i64) -> bool {
    const EARLIEST: i64 = 7_305 * DAY;
    static LATEST: LazyLock<i64> = LazyLock::new(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(now.as_micros()).unwrap_or(i64::MAX - DAY) + DAY
    });
    (EARLIEST..*LATEST).contains(&micros)
}

/// The order of day and month.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dates {
    /// The year comes first.
    #[default]
    YearFirst,
    /// `31/01/2025`
    DayFirst,
    /// `01/31/2025`
    MonthFirst,
}

/// A date of a trimmed field: `YYYY-MM-DD`, the same with slashes, points or nothing between, with the month's name, or a moment's date.
pub(crate) fn date(field: &[u8], times: Times) -> Option<Read<Date>> {
    if let Some((date, plain, rest)) = leading_date(field, times.dates)
        && rest.is_empty()
    {
        return Some(Read { value: date, rewritten: !plain });
    }
    instant(field, times).map(|read| Read { value: Date(read.value.div_euclid(DAY) as i32), rewritten: true })
}

/// A moment of a trimmed field, in microseconds UTC: a date, then `T` or a blank and a time of day, then an offset or none, which is
/// the zone of `times`; `[10/Oct/2025:13:55:36 -0700]`; a number since 1970 if its unit is known. Digits beyond the microsecond are cut.
pub(crate) fn instant(field: &[u8], times: Times) -> Option<Read<i64>> {
    if let Some(unit) = times.unit
        && let Some(text) =
            str::from_utf8(field).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-')))
        && let Some(value) =
            text.parse().ok().and_then(|whole| unit.whole(whole)).or_else(|| text.parse().ok().and_then(|number| unit.micros(number)))
    {
        return Some(Read { value, rewritten: true });
    }
    let field = field.strip_prefix(b"[").and_then(|field| field.strip_suffix(b"]")).unwrap_or(field);
    let (date, plain_date, rest) = leading_date(field, times.dates)?;
    if rest.is_empty() {
        return Some(Read { value: i64::from(date.0) * DAY - times.zone, rewritten: true });
    }
    let compact;
    let time = match rest[0] {
        // The basic form of ISO 8601: all of it without signs between.
        b'T' | b't' if rest.len() > 6 && rest[1..7].iter().all(u8::is_ascii_digit) => {
            compact = [&rest[1..3], b":", &rest[3..5], b":", &rest[5..]].concat();
            compact.as_slice()
        }
        b'T' | b't' => &rest[1..],
        b' ' => rest.trim_ascii_start(),
        b':' | b',' if !plain_date => rest[1..].trim_ascii_start(),
        _ => return None,
    };
    let (micros, plain_time, rest) = time_of_day(time)?;
    let (offset, plain_offset) = if rest.is_empty() { (times.zone, true) } else { offset(rest)? };
    let value = i64::from(date.0) * DAY + micros - offset;
    Some(Read { value, rewritten: !(plain_date && plain_time && plain_offset && rest.len() < field.len()) })
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

/// The date that a field begins with, whether it is `YYYY-MM-DD`, and what follows. Unless the order is known, the year comes first or
/// the month has a name: whether 01/02 is of January or February cannot be known.
fn leading_date(field: &[u8], order: Dates) -> Option<(Date, bool, &[u8])> {
    let Some((year, count, rest)) = digits(field, 4) else { return named_date(field) };
    if count <= 2 {
        return named_date(field).or_else(|| ordered_date(field, order));
    }
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

/// A date whose month has a name: `31/Jan/2025`, `31 January 2025`, `Fri, 31 Jan 2025`, `Jan 31, 2025`.
fn named_date(field: &[u8]) -> Option<(Date, bool, &[u8])> {
    const MONTHS: [&[u8; 3]; 12] = [b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec"];
    let word = |field: &[u8]| field.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    let month = |field: &[u8]| {
        let name = field.get(..3)?.to_ascii_lowercase();
        MONTHS.iter().position(|month| month[..] == name).map(|index| index as u32 + 1)
    };
    let skip = |field: &'_ [u8]| field.iter().take_while(|byte| matches!(byte, b' ' | b'-' | b'/' | b',' | b'.')).count();
    // The day of the week says nothing more.
    let field = match word(field) {
        length if length >= 3 && month(field).is_none() => &field[length + skip(&field[length..])..],
        _ => field,
    };
    let (day, month, rest) = if let Some((day, _, rest)) = digits(field, 2) {
        let rest = &rest[skip(rest)..];
        (day, month(rest)?, &rest[word(rest)..])
    } else {
        let month = month(field)?;
        let rest = &field[word(field)..];
        let (day, _, rest) = digits(&rest[skip(rest)..], 2)?;
        (day, month, rest)
    };
    let (year, count, rest) = digits(&rest[skip(rest)..], 4)?;
    (count == 4).then_some(())?;
    Some((Date::from_ymd(year as i32, month, day)?, false, rest))
}

/// A date of numbers with the year last.
fn ordered_date(field: &[u8], order: Dates) -> Option<(Date, bool, &[u8])> {
    let (first, _, rest) = digits(field, 2)?;
    let separator = *rest.first().filter(|byte| matches!(byte, b'-' | b'/' | b'.'))?;
    let (second, _, rest) = digits(&rest[1..], 2)?;
    let (year, count, rest) = digits(rest.strip_prefix(&[separator])?, 4)?;
    let (day, month) = match order {
        Dates::YearFirst => return None,
        Dates::DayFirst => (first, second),
        Dates::MonthFirst => (second, first),
    };
    (count == 4).then_some(())?;
    Some((Date::from_ymd(year as i32, month, day)?, false, rest))
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
            if let Some(after) = rest.strip_prefix(b".").or_else(|| rest.strip_prefix(b",")) {
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
        [b'U', b'T', b'C', ahead @ ..] | [b'G', b'M', b'T', ahead @ ..] => {
            // Hours may be one digit here.
            let hours: i64 = match ahead {
                [b'+', b'0'..=b'9'] => i64::from(ahead[1] - b'0'),
                [b'-', b'0'..=b'9'] => -i64::from(ahead[1] - b'0'),
                [b'+' | b'-', ..] => return offset(ahead).map(|(offset, _)| (offset, false)),
                _ => return None,
            };
            return Some((hours * HOUR, false));
        }
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
        instant(text.as_bytes(), Times::default()).map(|read| (populace_core::time::Instant(read.value).to_string(), read.rewritten))
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
            ("[31/Jan/2025:08:30:05 +0100]", "2025-01-31T07:30:05Z", true),
            ("31/January/2025 08:30", "2025-01-31T08:30:00Z", true),
            ("Fri, 31 Jan 2025 08:30:05 GMT", "2025-01-31T08:30:05Z", true),
            ("Jan 31, 2025 8:30 pm", "2025-01-31T20:30:00Z", true),
            ("2025-01-31 08:30:05,123", "2025-01-31T08:30:05Z", false),
        ] {
            assert_eq!(shown(text), Some((expected.to_owned(), rewritten)), "{text}");
        }
        assert_eq!(instant(b"1969-12-31 23:59:59.5", Times::default()).unwrap().value, -500_000);
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
    fn what_must_be_said_is_taken_when_it_is() {
        let times = Times { unit: Some(Unit::Milliseconds), dates: Dates::DayFirst, zone: 2 * HOUR };
        let shown = |text: &str| instant(text.as_bytes(), times).map(|read| populace_core::time::Instant(read.value).to_string());
        for (text, expected) in [
            ("1735689600000", "2025-01-01T00:00:00Z"),
            ("01/02/2025 02:30", "2025-02-01T00:30:00Z"),
            ("31.1.2025", "2025-01-30T22:00:00Z"),
            ("2025-01-31 02:00:00", "2025-01-31T00:00:00Z"),
            ("2025-01-31T02:00:00+01:00", "2025-01-31T01:00:00Z"),
        ] {
            assert_eq!(shown(text).as_deref(), Some(expected), "{text}");
        }
        assert_eq!(shown("1/31/2025"), None);
        assert_eq!(Unit::Seconds.micros(1_735_689_600.5), Some(1_735_689_600_500_000));
        assert_eq!(Unit::Seconds.micros(1_735_689_600_000.0), None, "milliseconds are no seconds");
    }

    #[test]
    fn a_comma_is_read_as_the_file_says() {
        let comma = |text: &str| number(text.as_bytes(), Decimal::Comma).map(|read| read.value);
        for (text, value) in
            [("45,5", 45.5), ("1.234,5", 1234.5), ("1.234", 1234.0), ("-1 234,5 \u{20ac}", -1234.5), ("7", 7.0), ("1e3", 1000.0)]
        {
            assert_eq!(comma(text), Some(value), "{text}");
        }
        assert_eq!([comma("45.5"), comma("1,2,3")], [None, None]);
        assert_eq!(number(b"1'234.50", Decimal::Point).map(|read| read.value), Some(1234.5));
        let either = |text: &str| number(text.as_bytes(), Decimal::Either).map(|read| read.value);
        assert_eq!([either("45,5"), either("45.5"), either("1,234.5")], [Some(45.5), Some(45.5), Some(1234.5)]);
        for (text, said) in [
            ("45,5", Says::Is(Decimal::Comma)),
            ("0,123", Says::Is(Decimal::Comma)),
            ("1,234", Says::Ambiguous),
            ("1.234", Says::Ambiguous),
            ("1,234,567", Says::Is(Decimal::Point)),
            ("$1.234,50", Says::Is(Decimal::Comma)),
            ("12", Says::Nothing),
            ("a,b", Says::Nothing),
        ] {
            assert_eq!(says(text.as_bytes()), said, "{text}");
        }
    }

    #[test]
    fn dates_may_carry_a_time() {
        let expected = Date::from_ymd(2025, 1, 31).unwrap();
        for (text, rewritten) in [("2025-01-31", false), ("2025/01/31", true), ("20250131", true), ("2025-01-31 00:00:00", true)] {
            assert_eq!(date(text.as_bytes(), Times::default()), Some(Read { value: expected, rewritten }), "{text}");
        }
        assert_eq!(date(b"31.01.2025", Times::default()), None);
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
            assert_eq!(number(text.as_bytes(), Decimal::Point), Some(Read { value, rewritten }), "{text}");
        }
        for text in ["", "abc", "45,5", "1,23,456", "inf", "NaN", "1.2.3", "1e999", "0x10", "$", ",5", "12,3456", "1.5,000"] {
            assert_eq!(number(text.as_bytes(), Decimal::Point), None, "{text}");
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
