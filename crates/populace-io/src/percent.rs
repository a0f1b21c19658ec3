//! Text in URLs.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// What is written as `%XX`: everything but RFC 3986's unreserved characters.
const RESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Text as a value in a URL.
pub fn encode(text: &str) -> String {
    utf8_percent_encode(text, &RESERVED).to_string()
}

/// Text with its `%XX` replaced; none if a `%` lacks its two digits, or what they make is not UTF-8.
///
/// ```
/// use populace_io::percent::{decode, encode};
/// assert_eq!(decode(&encode("a b%é+/~")).as_deref(), Some("a b%é+/~"));
/// assert_eq!([decode("%4"), decode("%zz"), decode("%ff")], [None, None, None]);
/// ```
pub fn decode(text: &str) -> Option<String> {
    let coded = |rest: &str| rest.as_bytes().get(..2).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
    if !text.split('%').skip(1).all(coded) {
        return None;
    }
    percent_decode_str(text).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}
