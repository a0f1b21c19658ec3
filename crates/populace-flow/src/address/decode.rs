//! Taking one layer off text.

use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER_PERMISSIVE};
use std::iter::Peekable;
use std::str::Chars;
use unicode_normalization::UnicodeNormalization;

/// The shortest address is `a@b.cc`: so many characters of base64.
const SHORTEST: usize = 8;
/// The most characters of a label.
const LABEL: usize = 63;
/// Entities that matter. Every other stands for some letter.
const ENTITIES: [(&str, char); 22] = [
    ("commat", '@'),
    ("period", '.'),
    ("amp", '&'),
    ("percnt", '%'),
    ("num", '#'),
    ("bsol", '\\'),
    ("equals", '='),
    ("semi", ';'),
    ("lpar", '('),
    ("rpar", ')'),
    ("lsqb", '['),
    ("lbrack", '['),
    ("rsqb", ']'),
    ("rbrack", ']'),
    ("lt", '<'),
    ("gt", '>'),
    ("quot", '"'),
    ("hyphen", '-'),
    ("nbsp", ' '),
    ("tab", '\t'),
    ("newline", '\n'),
    ("sol", '/'),
];
/// Entities of what is not seen.
const INVISIBLE: [&str; 9] = ["shy", "zwj", "zwnj", "lrm", "rlm", "nobreak", "zerowidthspace", "applyfunction", "invisiblecomma"];

/// Each takes one layer off text. The last is tried first.
pub(super) const LAYERS: [fn(&str) -> String; 10] = [
    without_markup,
    |text| escapes(text, Escapes::Signs),
    |text| escapes(text, Escapes::Digits),
    |text| entities(text, false),
    quoted_printable,
    punycode,
    |text| escapes(text, Escapes::Unicode),
    |text| entities(text, true),
    percent,
    |text| if text.is_ascii() { seen(text) } else { seen(&text.nfkc().collect::<String>()) },
];

/// What of text is seen.
fn seen(text: &str) -> String {
    text.chars().filter_map(visible).collect()
}

fn hex(chars: &mut Peekable<Chars<'_>>, most: usize) -> Option<(u32, usize)> {
    let (mut value, mut count) = (0_u32, 0);
    while count < most {
        let Some(digit) = chars.peek().and_then(|digit| digit.to_digit(16)) else { break };
        value = value.saturating_mul(16).saturating_add(digit);
        chars.next();
        count += 1;
    }
    (count > 0).then_some((value, count))
}

/// `%40`, and `%u0040` as old scripts write it.
fn percent(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let source = text.as_bytes();
    let mut bytes = Vec::with_capacity(source.len());
    let mut at = 0;
    let number = |digits: Option<&[u8]>| {
        let digits = digits.filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
        u32::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()
    };
    while at < source.len() {
        let wide = matches!(source.get(at + 1), Some(b'u' | b'U')).then(|| number(source.get(at + 2..at + 6))).flatten();
        if source[at] != b'%' {
            bytes.push(source[at]);
            at += 1;
        } else if let Some(character) = wide.and_then(char::from_u32) {
            bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            at += 6;
        } else if let Some(byte) = number(source.get(at + 1..at + 3)) {
            bytes.push(byte as u8);
            at += 3;
        } else {
            bytes.push(b'%');
            at += 1;
        }
    }
    overlong(bytes)
}

/// UTF-8, ASCII in more bytes than it needs included.
fn overlong(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| {
        let bytes = error.as_bytes();
        let mut short = Vec::with_capacity(bytes.len());
        let mut at = 0;
        while at < bytes.len() {
            let tail = |count: usize| bytes.get(at + 1..=at + count).filter(|tail| tail.iter().all(|byte| byte & 0xc0 == 0x80));
            let found = match bytes[at] {
                0xc0 | 0xc1 => tail(1).map(|tail| (bytes[at] & 1, tail[0], 2)),
                0xe0 => tail(2).filter(|tail| tail[0] < 0x82).map(|tail| (tail[0] & 1, tail[1], 3)),
                0xf0 => tail(3).filter(|tail| tail[0] == 0x80 && tail[1] < 0x82).map(|tail| (tail[1] & 1, tail[2], 4)),
                _ => None,
            };
            let (byte, length) = found.map_or((bytes[at], 1), |(high, low, length)| (high << 6 | low & 0x3f, length));
            short.push(byte);
            at += length;
        }
        // What is not text may become text when the rest is decoded.
        let chunks = short.utf8_chunks();
        chunks.fold(String::new(), |made, chunk| {
            let made = made + chunk.valid();
            chunk.invalid().iter().fold(made, |made, byte| made + &format!("%{byte:02X}"))
        })
    })
}

/// `&#64;`, `&#x40;` and `&commat;`, with the semicolon or also without.
fn entities(text: &str, whole: bool) -> String {
    let mut made = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        made.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        match entity(rest).filter(|(_, length)| !whole || rest[*length..].starts_with(';')) {
            Some((character, length)) => {
                made.extend(character);
                rest = rest[length..].strip_prefix(';').unwrap_or(&rest[length..]);
            }
            None => made.push('&'),
        }
    }
    made + rest
}

/// What an entity stands for, and how long it is after its sign.
fn entity(text: &str) -> Option<(Option<char>, usize)> {
    if let Some(number) = text.strip_prefix('#') {
        let (digits, radix) = number.strip_prefix(['x', 'X']).map_or((number, 10), |digits| (digits, 16));
        let length = digits.find(|digit: char| !digit.is_digit(radix)).unwrap_or(digits.len());
        let value = u32::from_str_radix(&digits[..length], radix).ok()?;
        return Some((char::from_u32(value), text.len() - digits.len() + length));
    }
    let length = text.find(|letter: char| !letter.is_ascii_alphanumeric()).unwrap_or(text.len());
    let name = text[..length].to_ascii_lowercase();
    let ended = text[length..].starts_with(';');
    if let Some((name, character)) =
        ENTITIES.iter().find(|(known, _)| if ended { *known == name } else { name.starts_with(known) && known.len() > 2 })
    {
        // Without its end, a name may run into what follows; a parameter of a query is not an entity.
        return (ended || matches!(*name, "commat" | "period" | "amp" | "percnt")).then_some((Some(*character), name.len()));
    }
    if !ended || length < 2 {
        return None;
    }
    Some((if INVISIBLE.contains(&name.as_str()) { None } else { Some('x') }, length))
}

/// What follows a backslash.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Escapes {
    /// `\u0040`, `\u{40}`, `\U00000040`, `\x40`.
    Unicode,
    /// `\100` in octal digits or, as style sheets have it, `\40` in hexadecimal ones.
    Digits,
    /// `\@`.
    Signs,
}

fn escapes(text: &str, kind: Escapes) -> String {
    if !text.contains('\\') {
        return text.to_owned();
    }
    let mut made = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(character) = chars.next() {
        let mut ahead = chars.clone();
        match (character == '\\').then(|| escaped(&mut ahead, kind)).flatten().and_then(char::from_u32) {
            Some(character) => {
                made.push(character);
                chars = ahead;
            }
            None => made.push(character),
        }
    }
    made
}

/// What an escape stands for, after its backslash.
fn escaped(chars: &mut Peekable<Chars<'_>>, kind: Escapes) -> Option<u32> {
    match (kind, chars.peek()?) {
        (Escapes::Unicode, 'u' | 'U' | 'x' | 'X') => {
            let digits = match chars.next() {
                _ if chars.next_if_eq(&'{').is_some() => {
                    return hex(chars, 6).filter(|_| chars.next() == Some('}')).map(|(value, _)| value);
                }
                Some('u') => 4,
                Some('U') => 8,
                _ => 2,
            };
            hex(chars, digits).filter(|(_, count)| *count == digits).map(|(value, _)| value)
        }
        (Escapes::Digits, digit) if digit.is_ascii_hexdigit() => {
            let octal: String = chars.clone().take(3).collect();
            if let Some(value) = u32::from_str_radix(&octal, 8).ok().filter(|value| octal.len() == 3 && (32..127).contains(value)) {
                chars.nth(2);
                return Some(value);
            }
            // A blank ends it.
            let value = hex(chars, 6).filter(|(value, count)| *count > 1 && (32..127).contains(value));
            value.map(|(value, _)| chars.next_if_eq(&' ').map_or(value, |_| value))
        }
        (Escapes::Signs, sign) if !sign.is_alphanumeric() => chars.next().map(u32::from),
        _ => None,
    }
}

/// `=40`, lines that go on after `=`, and `+AEA-` of UTF-7. In a query, `=` after the name of a parameter is none of this.
fn quoted_printable(text: &str) -> String {
    let text = &text.replace("+AEA-", "@").replace("+AEA", "@").replace("+AC4-", ".");
    if !text.contains('=') {
        return text.to_owned();
    }
    let source = text.as_bytes();
    let mut bytes = Vec::with_capacity(source.len());
    let mut at = 0;
    // Whether there is a query, which the marks of an encoded header are not, and the length of its parameter's name so far.
    let (mut query, mut name) = (false, None);
    let is_header = text.contains("=?");
    while at < source.len() {
        let byte = source[at];
        let digits = source.get(at + 1..at + 3).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        if byte == b'=' && source[at + 1..].starts_with(b"\r\n") {
            at += 3;
            continue;
        }
        if byte == b'=' && source[at + 1..].starts_with(b"\n") {
            at += 2;
            continue;
        }
        if let Some(digits) = digits.filter(|_| byte == b'=' && name.is_none_or(|length| length == 0))
            && let Ok(value) = u8::from_str_radix(str::from_utf8(digits).unwrap_or_default(), 16)
            && (32..127).contains(&value)
        {
            bytes.push(value);
            at += 3;
            continue;
        }
        query |= byte == b'?' && !is_header;
        name = match byte {
            b'?' | b'&' if query => Some(0),
            _ if byte.is_ascii_alphanumeric() || b"_-.[]".contains(&byte) => name.map(|length: usize| length + 1),
            _ => None,
        };
        bytes.push(byte);
        at += 1;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The character that is seen; none of what is not. Other full stops of domains are full stops.
fn visible(character: char) -> Option<char> {
    match character {
        '\u{3002}' | '\u{ff61}' | '\u{fe12}' => Some('.'),
        // Letters that are written invisibly, as tags.
        '\u{e0020}'..='\u{e007e}' => char::from_u32(u32::from(character) - 0xe0000),
        // The last one turns text round, which the look at plain text takes into account.
        '\t' | '\n' | '\r' | '\u{202e}' => Some(character),
        '\u{ad}'
        | '\u{34f}'
        | '\u{61c}'
        | '\u{115f}'
        | '\u{1160}'
        | '\u{17b4}'
        | '\u{17b5}'
        | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202d}'
        | '\u{2060}'..='\u{206f}'
        | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}'
        | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}'
        | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}' => None,
        control if control.is_control() => None,
        _ => Some(character),
    }
}

/// Labels that begin with `xn--`, as what they stand for.
fn punycode(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let mut made = String::with_capacity(text.len());
    let mut done = 0;
    while let Some(found) = lower[done..].find("xn--") {
        let label = done + found + 4;
        let rest = &text[label..];
        let end = label + rest.find(|character: char| !character.is_ascii_alphanumeric() && character != '-').unwrap_or(rest.len());
        made.push_str(&text[done..label - 4]);
        made.push_str(decode_label(&text[label..end]).as_deref().unwrap_or(&text[label - 4..end]));
        done = end;
    }
    made + &text[done..]
}

/// RFC 3492.
fn decode_label(label: &str) -> Option<String> {
    if label.len() > LABEL {
        return None;
    }
    let (basic, extended) = label.rsplit_once('-').unwrap_or(("", label));
    let mut made: Vec<char> = basic.chars().collect();
    let (mut code, mut index, mut bias) = (128_u32, 0_u32, 72_u32);
    let mut digits = extended.chars();
    let mut first = true;
    while !digits.as_str().is_empty() {
        let (before, mut weight) = (index, 1_u32);
        for step in (36_u32..).step_by(36) {
            let digit = match digits.next()?.to_ascii_lowercase() {
                letter @ 'a'..='z' => u32::from(letter) - u32::from('a'),
                digit @ '0'..='9' => u32::from(digit) - u32::from('0') + 26,
                _ => return None,
            };
            index = index.checked_add(digit.checked_mul(weight)?)?;
            let least = step.saturating_sub(bias).clamp(1, 26);
            if digit < least {
                break;
            }
            weight = weight.checked_mul(36 - least)?;
        }
        let length = made.len() as u32 + 1;
        let mut delta = (index - before) / if first { 700 } else { 2 };
        first = false;
        delta += delta / length;
        let mut steps = 0;
        while delta > 455 {
            delta /= 35;
            steps += 36;
        }
        bias = steps + 36 * delta / (delta + 38);
        code = code.checked_add(index / length)?;
        index %= length;
        made.insert(index as usize, char::from_u32(code)?);
        index += 1;
    }
    Some(made.into_iter().collect())
}

/// Text that base64 or hexadecimal digits within text stand for.
pub(super) fn packed(text: &str) -> impl Iterator<Item = String> {
    let of_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/-_".contains(byte);
    let runs = text.as_bytes().split(move |byte| !of_base64(byte)).filter(|run| run.len() >= SHORTEST);
    runs.flat_map(|run| {
        let standard = run.split(|byte| b"-_".contains(byte)).map(|part| (part, BASE64_NOPAD));
        let of_urls = run.split(|byte| b"+/".contains(byte)).map(|part| (part, BASE64URL_NOPAD));
        let words = run.split(|byte| !byte.is_ascii_hexdigit()).map(|part| (&part[..part.len() & !1], HEXLOWER_PERMISSIVE));
        standard.chain(of_urls).chain(words)
    })
    .filter(|(part, _)| part.len() >= SHORTEST)
    .filter_map(|(part, encoding)| {
        // The first bytes say of almost every word that it is none.
        let mut start = [b' '; 3];
        encoding.decode_mut(&part[..4], &mut start[..encoding.decode_len(4).ok()?]).ok()?;
        if !start.iter().all(|byte| matches!(byte, b'\t' | b'\n' | b'\r' | 32..=126 | 128..)) {
            return None;
        }
        let whole = encoding.decode(part).ok().or_else(|| encoding.decode(&part[..part.len() & !3]).ok())?;
        String::from_utf8(whole).ok().filter(|text| !text.contains(|character: char| character.is_control() && !character.is_whitespace()))
    })
}

/// Text without tags and comments, with `[at]` and `[dot]` as the signs that they stand for.
pub(super) fn without_markup(text: &str) -> String {
    let mut made = String::with_capacity(text.len());
    let mut rest = text;
    let (mut is_spelled, mut is_open) = (false, false);
    while let Some(at) = rest.find(['<', '(', '[', '{']) {
        made.push_str(&rest[..at]);
        rest = &rest[at..];
        let inner = |close: char| rest[1..].find(['<', '(', '[', '{', '>', ')', ']', '}']).filter(|end| rest[1 + end..].starts_with(close));
        let close = match rest.as_bytes()[0] {
            b'<' => '>',
            b'(' => ')',
            b'[' => ']',
            _ => '}',
        };
        let begun = rest.strip_prefix("<!--").filter(|_| !is_open);
        let comment = begun.and_then(|comment| comment.find("-->")).map(|end| end + 7);
        // A comment without an end is none, and so is every other after it.
        is_open |= begun.is_some() && comment.is_none();
        let found = inner(close);
        let word = found.map(|end| rest[1..=end].trim().to_lowercase());
        let sign = match word.as_deref() {
            Some("at" | "@" | "ät" | "arroba") => Some('@'),
            Some("dot" | "." | "punkt" | "punto") => Some('.'),
            _ => None,
        };
        if let (Some(sign), Some(end)) = (sign, found) {
            is_spelled = true;
            made.truncate(made.trim_end().len());
            made.push(sign);
            rest = rest[end + 2..].trim_start();
        } else if let Some(end) = comment {
            rest = &rest[end..];
        } else if let Some(end) = found.filter(|_| matches!(close, '>' | ')')) {
            rest = &rest[end + 2..];
        } else {
            made.push_str(&rest[..1]);
            rest = &rest[1..];
        }
    }
    made.push_str(rest);
    if is_spelled {
        return made.replace(" dot ", ".").replace(" DOT ", ".");
    }
    made
}
