//! Numbers as people give them to options. What is not one is answered with what is taken, in plain words.

use std::ops::RangeInclusive;

/// A whole number: `2500`, `1_000_000`, `10K`, `1.5M`, `1e6`.
///
/// # Errors
/// It is none, or outside of the range; the message says what is taken.
///
/// ```
/// use populace_io::argument::whole;
///
/// assert_eq!(whole("1.5M", &(1..=u64::MAX)), Ok(1_500_000));
/// assert_eq!(whole("0", &(1..=1_024)), Err("must be a whole number from 1 to 1,024".to_owned()));
/// ```
pub fn whole(text: &str, range: &RangeInclusive<u64>) -> Result<u64, String> {
    exact(text.trim()).filter(|value| range.contains(value)).ok_or_else(|| {
        let (least, most) = (range.start(), range.end());
        let bounds = match (*least, *most) {
            (0, u64::MAX) => String::new(),
            (least, u64::MAX) => format!(" of at least {}", grouped(least)),
            (least, most) => format!(" from {} to {}", grouped(least), grouped(most)),
        };
        let forms = if *most >= 1_000_000 { ", such as 2500, 10K, 1e6 or 1_000_000" } else { "" };
        format!("must be a whole number{bounds}{forms}")
    })
}

/// A finite number: `0.05`, `1e-3`.
///
/// # Errors
/// It is none; the message says what is taken.
pub fn number(text: &str) -> Result<f64, String> {
    let read = |text: &str| text.trim().parse::<f64>().ok().filter(|value| value.is_finite());
    read(text).ok_or_else(|| match text.trim().strip_suffix('%').and_then(read) {
        Some(percent) => format!("must be a number; write {text} as {}", percent / 100.0),
        None => "must be a number, such as 0.05".to_owned(),
    })
}

/// A number of digits with `_` between them, a fraction, a suffix or an exponent, if it is whole.
fn exact(text: &str) -> Option<u64> {
    let (text, thousands) = match text.char_indices().last()? {
        (end, 'k' | 'K') => (&text[..end], 3),
        (end, 'm' | 'M') => (&text[..end], 6),
        (end, 'g' | 'G' | 'b' | 'B') => (&text[..end], 9),
        (end, 't' | 'T') => (&text[..end], 12),
        _ => (text, 0),
    };
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((_, exponent)) if exponent.starts_with("++") => return None,
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<u8>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_between = |text: &str| !text.starts_with('_') && !text.ends_with('_');
    if !(is_between(whole) && is_between(fraction)) || mantissa.is_empty() {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    let zeros = (thousands + usize::from(exponent)).checked_sub(fraction.chars().filter(|digit| *digit != '_').count())?;
    let digits = whole.chars().chain(fraction.chars()).filter(|digit| *digit != '_');
    let mut value: u64 = 0;
    let mut some = false;
    for digit in digits.chain(std::iter::repeat_n('0', zeros)) {
        value = value.checked_mul(10)?.checked_add(u64::from(digit.to_digit(10)?))?;
        some = true;
    }
    some.then_some(value)
}

/// A number with a comma every three digits.
pub fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_number_is_read_exactly_or_refused() {
        let any = 0..=u64::MAX;
        for (text, value) in [
            ("0", 0),
            ("007", 7),
            ("1e6", 1_000_000),
            ("1E+6", 1_000_000),
            ("10K", 10_000),
            ("2.5k", 2_500),
            ("0.5M", 500_000),
            ("1.50K", 1_500),
            ("10M", 10_000_000),
            ("3G", 3_000_000_000),
            ("3b", 3_000_000_000),
            ("1T", 1_000_000_000_000),
            ("1_000_000", 1_000_000),
            (" 12 ", 12),
            ("5.0", 5),
            ("1.5e1", 15),
            ("18446744073709551615", u64::MAX),
            ("0e255", 0),
        ] {
            assert_eq!(whole(text, &any), Ok(value), "{text}");
        }
        let refused = [
            "",
            " ",
            "x",
            "-1",
            "+1",
            "1.5",
            "1e",
            "1e++6",
            "e6",
            "1e-3",
            "K",
            ".",
            "_1",
            "1_",
            "1._5",
            "1,000",
            "18446744073709551616",
            "1e20",
            "1e255",
            "1e256",
            "20000000T",
            "0x10",
            "1KK",
            "٣",
            "1 000",
            "NaN",
            "inf",
            "é",
            "1\u{0}",
        ];
        for text in refused {
            let message = whole(text, &any).expect_err(text);
            assert_eq!(message, "must be a whole number, such as 2500, 10K, 1e6 or 1_000_000", "{text}");
        }
        assert_eq!(whole("0", &(1..=u64::MAX)).unwrap_err(), "must be a whole number of at least 1, such as 2500, 10K, 1e6 or 1_000_000");
        assert_eq!(whole("17", &(2..=16)).unwrap_err(), "must be a whole number from 2 to 16");
    }

    #[test]
    fn a_number_is_finite_and_no_percentage() {
        assert_eq!(number(" -1.5e-3 "), Ok(-0.0015));
        for text in ["", "x", "nan", "inf", "1e999", "1,5", "%"] {
            assert_eq!(number(text).unwrap_err(), "must be a number, such as 0.05", "{text}");
        }
        assert_eq!(number("30%").unwrap_err(), "must be a number; write 30% as 0.3");
    }
}
