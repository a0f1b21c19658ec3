//! Whether text holds a mail address, however it is written.
//!
//! Text is decoded until nothing new comes of it and looked at after every step: percent-encoding, HTML entities, escapes of programming languages,
//! quoted-printable, compatibility forms of Unicode, invisible characters, tags and comments, Punycode, base64, hexadecimal digits, and
//! `[at]`. What only a reader can tell from ordinary text is not taken for an address: `ada at example dot com`, `@example.com` after a
//! blank, an address cut in two, one that is reversed or enciphered.

mod decode;
#[cfg(test)]
mod tests;

use decode::{LAYERS, packed};
use std::collections::HashSet;

/// With so many readings the text is taken for an address: nobody wraps anything else so often, and nobody shall keep others waiting so.
const MOST: usize = 64;
/// Shorter texts may be read as often as one of so many bytes.
const SHORT: usize = 64;
/// How many layers of base64 or hexadecimal digits are opened.
const PACKINGS: u32 = 3;
/// What the names of files end in, and no domain does.
const ENDINGS: [&str; 18] =
    ["png", "jpg", "jpeg", "gif", "svg", "webp", "avif", "ico", "html", "htm", "php", "css", "js", "json", "xml", "pdf", "csv", "woff"];

/// Whether something in text is a mail address, in whatever form.
pub(crate) fn holds_address(text: &str) -> bool {
    let mut work = MOST * text.len().max(SHORT);
    (is_suspicious(text.as_bytes()) && unwrapped(text, PACKINGS, &mut work))
        || packed(text).any(|text: String| unwrapped(&text, PACKINGS - 1, &mut work))
}

/// Whether a message that may be anything holds an address.
pub(crate) fn bytes_hold_address(bytes: &[u8]) -> bool {
    holds_address(&String::from_utf8_lossy(bytes))
}

/// Whether anything in text may stand for the sign of an address. Most text has nothing, which is seen in one pass.
fn is_suspicious(bytes: &[u8]) -> bool {
    let after = |at: usize| bytes.get(at + 1).copied().unwrap_or_default();
    bytes.iter().enumerate().any(|(at, byte)| match byte {
        b'@' | b'\\' | 0..=8 | 11 | 12 | 14..=31 | 127.. => true,
        b'%' => after(at).is_ascii_hexdigit() || after(at) == b'u',
        b'&' => after(at) == b'#' || bytes[at + 1..].iter().take_while(|byte| byte.is_ascii_alphanumeric()).count() > 1,
        b'=' => after(at).is_ascii_hexdigit() || matches!(after(at), b'\r' | b'\n'),
        b'+' => bytes[at + 1..].starts_with(b"AEA"),
        b'[' | b'(' | b'{' | b'<' => bytes[at + 1..].trim_ascii_start().first().is_some_and(|byte| byte.eq_ignore_ascii_case(&b'a')),
        b'x' | b'X' => bytes[at + 1..].starts_with(b"n--") || bytes[at + 1..].starts_with(b"N--"),
        _ => false,
    })
}

/// Looks at text and at everything below it. Which layer is the outer one cannot be seen, so every order is tried.
fn unwrapped(text: &str, packings: u32, work: &mut usize) -> bool {
    let mut seen = HashSet::from([text.to_owned()]);
    let mut left = vec![text.to_owned()];
    while let Some(text) = left.pop() {
        let Some(rest) = work.checked_sub(text.len()) else { return true };
        *work = rest;
        if is_plain(&text) || (packings > 0 && packed(&text).any(|text: String| unwrapped(&text, packings - 1, work))) {
            return true;
        }
        for layer in LAYERS {
            let next = layer(&text);
            if !seen.contains(&next) {
                seen.insert(next.clone());
                left.push(next);
            }
        }
    }
    false
}

/// Whether text has an address as addresses are written.
fn is_plain(text: &str) -> bool {
    let reversed = || text.contains('\u{202e}') && has_address(&text.chars().rev().collect::<String>());
    has_address(text) || reversed()
}

fn has_address(text: &str) -> bool {
    let (mut counted, mut quotes) = (0, 0);
    let mut named = |at: usize| {
        let before = &text[..at];
        quotes += before[counted..].matches('"').count();
        counted = at;
        match before.chars().next_back() {
            // The name is in quotes if these are the closing ones.
            Some('"') => quotes.is_multiple_of(2),
            Some(last) => last.is_alphanumeric() || "._%+-'!#$*^`{|}~".contains(last) || is_mark(last),
            None => false,
        }
    };
    text.match_indices('@').any(|(at, sign)| named(at) && is_domain(text[at + sign.len()..].trim_start()))
}

/// A character that changes the one before it.
fn is_mark(character: char) -> bool {
    unicode_normalization::char::is_combining_mark(character)
}

/// Whether text begins with the domain of an address.
fn is_domain(text: &str) -> bool {
    if let Some(literal) = text.strip_prefix('[') {
        let literal = literal.trim_start().as_bytes();
        return literal.first().is_some_and(u8::is_ascii_digit)
            || literal.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"ipv6:"));
    }
    let of_domain = |character: char| character.is_alphanumeric() || "-._".contains(character) || is_mark(character);
    let end = text.find(|character| !of_domain(character)).unwrap_or(text.len());
    let mut labels = text[..end].split('.').map(str::to_lowercase);
    let Some(first) = labels.next().filter(|first| !first.is_empty()) else { return false };
    let rest: Vec<String> = labels.collect();
    let is_file = |label: &String| ENDINGS.contains(&label.as_str());
    // The picture for a screen of twice the density.
    let density = first.strip_suffix('x').is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit()));
    if density && rest.last().is_some_and(is_file) {
        return false;
    }
    rest.iter().any(|label| !is_file(label) && label.chars().take_while(|character| character.is_alphabetic()).count() >= 2)
        || (first == "localhost" && rest.is_empty())
}
