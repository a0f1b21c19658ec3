//! JSON that means one thing: no key twice in an object, and no deeper than is allowed.

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::borrow::Cow;
use std::fmt;

/// What some bytes say.
///
/// # Errors
/// They are no JSON, an object has a key twice, or the nesting is deeper than `deepest`: which, and where. Repeats neither key nor value.
pub(crate) fn parse(bytes: &[u8], deepest: usize) -> Result<Value, String> {
    read(bytes, Strict { left: deepest, lenient: false }, deepest)
}

/// As [`parse`], of a sender that cannot correct itself: an object that has a key twice, or is nested too deeply, is [`odd`] and with it
/// what holds it; halves of characters, which a text cut in the middle of one ends in, and bytes that are no UTF-8 are replaced. Gives how many were.
///
/// # Errors
/// The bytes are no JSON.
pub(crate) fn lenient(bytes: &[u8], deepest: usize) -> Result<(Value, u64), String> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if let Ok(value) = parse(bytes, deepest) {
        return Ok((value, 0));
    }
    // Bytes of another charset stand in texts alone.
    let broken = bytes.utf8_chunks().filter(|chunk| !chunk.invalid().is_empty()).count() as u64;
    let text = String::from_utf8_lossy(bytes);
    let (whole, halves) = whole_characters(text.as_bytes());
    Ok((read(&whole, Strict { left: deepest, lenient: true }, deepest)?, halves + broken))
}

/// Why an object is none that means one thing, or holds one that is none.
pub(crate) fn odd(value: &Value) -> Option<&str> {
    value.get(ODD).or_else(|| value.get(HOLDS_ODD)).and_then(Value::as_str)
}

/// That an object itself means one thing, whatever it holds.
///
/// # Errors
/// Why it does not.
pub(crate) fn check_itself(value: &Value) -> Result<(), String> {
    value.get(ODD).and_then(Value::as_str).map_or(Ok(()), |why| Err(format!("the body: {why}")))
}

/// The keys under which an object has what is odd about it, and about an object within. Whoever sends them makes their own object odd.
const ODD: &str = "\0odd";
const HOLDS_ODD: &str = "\0holds odd";

/// The text with U+FFFD in the place of each escape that is half of a character, and how many there were.
fn whole_characters(bytes: &[u8]) -> (Cow<'_, [u8]>, u64) {
    let escape = |at: usize| {
        let digits = bytes.get(at..at + 6).filter(|escape| escape.starts_with(b"\\u"))?;
        u32::from_str_radix(std::str::from_utf8(&digits[2..]).ok()?, 16).ok()
    };
    let (mut whole, mut halves, mut at) = (bytes.to_vec(), 0, 0);
    while at < bytes.len() {
        if bytes[at] != b'\\' {
            at += 1;
            continue;
        }
        at += match (escape(at), escape(at + 6)) {
            (Some(0xD800..0xDC00), Some(0xDC00..0xE000)) => 12,
            (Some(0xD800..0xE000), _) => {
                whole[at + 2..at + 6].copy_from_slice(b"FFFD");
                halves += 1;
                6
            }
            _ => 2,
        };
    }
    if halves == 0 { (bytes.into(), 0) } else { (whole.into(), halves) }
}

fn read(bytes: &[u8], strict: Strict, deepest: usize) -> Result<Value, String> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let parsed = strict.deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    parsed.map_err(|error| {
        let at = format!("(line {}, column {})", error.line(), error.column());
        let told = error.to_string();
        if told.starts_with(TWICE) {
            return format!("an object of the JSON has the same key twice {at}");
        }
        if told.starts_with(DEEP) { format!("the JSON is nested deeper than {deepest} {at}") } else { format!("the body is not JSON {at}") }
    })
}

const TWICE: &str = "a key is given twice";
const DEEP: &str = "nested too deeply";

#[derive(Clone, Copy)]
struct Strict {
    left: usize,
    /// Whether what is odd is marked, not refused.
    lenient: bool,
}

impl Strict {
    fn within<E: Error>(self) -> Result<Self, E> {
        self.left.checked_sub(1).map(|left| Self { left, ..self }).ok_or_else(|| E::custom(DEEP))
    }

    fn is_too_deep(self) -> bool {
        self.lenient && self.left == 0
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not a number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        if self.is_too_deep() {
            while items.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(marked(DEEP));
        }
        let item = self.within()?;
        let mut list = Vec::new();
        while let Some(value) = items.next_element_seed(item)? {
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        if self.is_too_deep() {
            while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(marked(DEEP));
        }
        let entry = self.within()?;
        let mut map = Map::new();
        let (mut holds_odd, mut is_odd) = (None, false);
        while let Some(key) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(entry)?;
            if self.lenient && holds_odd.is_none() {
                holds_odd = part(&value);
            }
            if map.insert(key, value).is_some() {
                if !self.lenient {
                    return Err(A::Error::custom(TWICE));
                }
                is_odd = true;
            }
        }
        map.extend(holds_odd.map(|why| (HOLDS_ODD.to_owned(), why)));
        map.extend(is_odd.then(|| (ODD.to_owned(), TWICE.into())));
        Ok(Value::Object(map))
    }
}

fn marked(why: &str) -> Value {
    Value::Object(Map::from_iter([(ODD.to_owned(), why.into())]))
}

/// What is odd about a value of an object, or about an item of a list that is one.
fn part(value: &Value) -> Option<Value> {
    match value {
        Value::Array(list) => list.iter().find_map(part),
        value => odd(value).map(Into::into),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_sender_that_cannot_correct_itself_the_odd_item_is_marked_and_the_others_are_whole() {
        let text = br#"[{"a": 1, "b": {"c": 1, "c": 2}}, {"a": [[[[[1]]]]]}, {"a": "x\\ud83d", "b": "\ud83d\ude00 \ud83d", "c": "\udc00\u00e9"}, {"a": 2}]"#;
        let (value, halves) = lenient(&[b"\xef\xbb\xbf", &text[..]].concat(), 4).unwrap();
        let told: Vec<_> = (0..4).map(|item| odd(&value[item])).collect();
        assert_eq!((told, halves), (vec![Some(TWICE), Some(DEEP), None, None], 2));
        assert_eq!(value[2], serde_json::json!({ "a": "x\\ud83d", "b": "😀 \u{fffd}", "c": "\u{fffd}é" }));
        assert_eq!(lenient(br#"[{"a": 1}]"#, 4).unwrap(), (serde_json::json!([{ "a": 1 }]), 0));
        assert_eq!(
            lenient(b"[{\"a\": \"Gr\xfc\xdfe \xff\"}]", 4).unwrap(),
            (serde_json::json!([{ "a": "Gr\u{fffd}\u{fffd}e \u{fffd}" }]), 3)
        );
        assert_eq!(lenient(b"[{]", 4).unwrap_err(), "the body is not JSON (line 1, column 3)");
        assert!(lenient("[".repeat(100_000).as_bytes(), 4).is_err());
        for cut in ["\\u", "\\ud8", "\"\\ud83d\\", "\\"] {
            assert!(lenient(cut.as_bytes(), 4).is_err(), "{cut}");
        }
    }

    #[test]
    fn what_is_read_is_what_serde_json_reads() {
        for text in [r#"{"a": [1, -2, 1.5e3, 18446744073709551615, "x\u0041", null, true], "": {}}"#, "0", "\"\"", " [ ] "] {
            assert_eq!(parse(text.as_bytes(), 4).unwrap(), serde_json::from_str::<Value>(text).unwrap());
        }
    }

    #[test]
    fn a_key_twice_and_a_nesting_too_deep_are_refused_with_their_line_and_column() {
        let twice = "an object of the JSON has the same key twice";
        for (text, told) in [
            (r#"{"a": 1, "a": 1}"#, format!("{twice} (line 1, column 16)")),
            (r#"[{"b": {"a": 1, "\u0061": null}}]"#, format!("{twice} (line 1, column 31)")),
            ("[[[[[1]]]]]", "the JSON is nested deeper than 4 (line 1, column 5)".to_owned()),
            ("{\"a\": ", "the body is not JSON (line 1, column 6)".to_owned()),
            ("{} {}", "the body is not JSON (line 1, column 4)".to_owned()),
            ("1e999", "the body is not JSON (line 1, column 5)".to_owned()),
        ] {
            assert_eq!(parse(text.as_bytes(), 4).unwrap_err(), told, "{text}");
        }
        assert!(parse("[".repeat(100_000).as_bytes(), 32).unwrap_err().contains("deeper than 32"));
    }
}
