//! JSON that means one thing: no key twice in an object, and no deeper than is allowed.

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::fmt;

/// What some bytes say.
///
/// # Errors
/// They are no JSON, an object has a key twice, or the nesting is deeper than `deepest`: which, and where. Repeats neither key nor value.
pub(crate) fn parse(bytes: &[u8], deepest: usize) -> Result<Value, String> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let parsed = Strict { left: deepest }.deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
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
}

impl Strict {
    fn within<E: Error>(self) -> Result<Self, E> {
        self.left.checked_sub(1).map(|left| Self { left }).ok_or_else(|| E::custom(DEEP))
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
        let item = self.within()?;
        let mut list = Vec::new();
        while let Some(value) = items.next_element_seed(item)? {
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let entry = self.within()?;
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(entry)?;
            if map.insert(key, value).is_some() {
                return Err(A::Error::custom(TWICE));
            }
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
