//! Events as this program writes them: the columns in their order, nothing between them, no text with escapes. They are read in one pass,
//! without a parser of JSON. Whatever is otherwise is not read here; what a value must be is checked where it is of every event.

use super::fields::{Checks, Given, Values};
use super::{COLUMNS, Event};
use serde_json::Map;
use std::borrow::Cow;

/// The event that some text is, if it is written so and sound.
pub(super) fn read(text: &str) -> Option<Event<'_>> {
    if !text.starts_with("{\"event_id\":\"") {
        return None;
    }
    let mut checks = Checks::new(Plain { text, at: 0, could_read: true });
    let event = Event::of_values(&mut checks)?;
    let (left, _) = checks.into_parts();
    (left.could_read && &text[left.at..] == "}").then_some(event)
}

struct Plain<'a> {
    text: &'a str,
    /// Where the next column begins.
    at: usize,
    /// Whether every value so far could be read.
    could_read: bool,
}

impl<'a> Values<'a> for Plain<'a> {
    /// A column that does not come next is missing: if it comes later, the end is not where it must be.
    #[inline]
    fn take(&mut self, column: usize) -> Given<'a> {
        let rest = &self.text.as_bytes()[self.at..];
        let value = rest
            .strip_prefix(if column == 0 { b"{\"" } else { b",\"" })
            .and_then(|rest| rest.strip_prefix(COLUMNS[column].name.as_bytes()))
            .and_then(|rest| rest.strip_prefix(b"\":"));
        let Some(value) = value else { return Given::Missing };
        let from = self.text.len() - value.len();
        let Some((given, length)) = given(&self.text[from..]) else {
            self.could_read = false;
            return Given::Missing;
        };
        self.at = from + length;
        given
    }

    fn others(&mut self) -> Vec<Cow<'a, str>> {
        Vec::new()
    }
}

/// The value that text begins with, and its length.
fn given(text: &str) -> Option<(Given<'_>, usize)> {
    let word = |word: &str, given| text.starts_with(word).then_some((given, word.len()));
    match text.as_bytes().first()? {
        b'"' => {
            let end = end_of_text(&text.as_bytes()[1..])?;
            Some((Given::Text(Cow::Borrowed(&text[1..=end])), end + 2))
        }
        b'n' => word("null", Given::Null),
        b't' => word("true", Given::Flag(true)),
        b'f' => word("false", Given::Flag(false)),
        b'{' if text.starts_with("{}") => Some((Given::Object(Box::new(Map::new())), 2)),
        b'{' => {
            let mut values = serde_json::Deserializer::from_str(text).into_iter::<Given<'_>>();
            let given = values.next()?.ok()?;
            Some((given, values.byte_offset()))
        }
        b'0'..=b'9' => number(text),
        _ => None,
    }
}

/// Where text ends in quotes of which the first is left out; none if anything in it is escaped, or would have to be.
fn end_of_text(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::MAX / 255;
    const HIGHS: u64 = ONES << 7;
    let (words, rest) = bytes.as_chunks::<8>();
    for (number, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        // The lowest bit that is set belongs to the first byte that is less than another.
        let below = |word: u64, least: u64| word.wrapping_sub(ONES * least) & !word;
        let found = (below(word, 0x20) | below(word ^ (ONES * 0x22), 1) | below(word ^ (ONES * 0x5c), 1)) & HIGHS;
        if found != 0 {
            let at = 8 * number + found.trailing_zeros() as usize / 8;
            return (bytes[at] == b'"').then_some(at);
        }
    }
    let at = 8 * words.len() + rest.iter().position(|byte| matches!(byte, 0..0x20 | b'"' | b'\\'))?;
    (bytes[at] == b'"').then_some(at)
}

/// A number of at most nine digits, and three after a point.
fn number(text: &str) -> Option<(Given<'_>, usize)> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let whole = digits(text);
    if whole > 9 || (whole > 1 && text.starts_with('0')) {
        return None;
    }
    let Some(fraction) = text[whole..].strip_prefix('.').map(digits) else {
        return Some((Given::Whole(text[..whole].parse().ok()?), whole));
    };
    let length = whole + 1 + fraction;
    (1..=3).contains(&fraction).then_some(())?;
    Some((Given::Real(text[..length].parse().ok()?), length))
}
