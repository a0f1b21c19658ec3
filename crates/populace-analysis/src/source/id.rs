//! Who somebody is, or which row is which: a whole number, or a text.

use super::cast::shown;
use super::keys::{Keys, number_of};
use arrow_array::RecordBatch;
use std::fmt;
use std::sync::Arc;

/// An id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Id {
    /// As a run has them.
    Whole(i64),
    /// Any other: `00123` and `123` are two.
    Text(Arc<str>),
}

impl Id {
    /// The id in a row of a column that was read as [`As::Id`](super::As::Id).
    pub(crate) fn of(batch: &RecordBatch, column: &str, row: usize) -> Self {
        let column = batch.column_by_name(column).unwrap_or_else(|| panic!("column {column} was not wanted"));
        Self::among(&Keys::of(column), row)
    }

    /// The same of a column at hand.
    pub(crate) fn among(keys: &Keys<'_>, row: usize) -> Self {
        match keys {
            Keys::Int(numbers) => Self::Whole(numbers.value(row)),
            Keys::Text(texts) => Self::read(texts.value(row)),
            Keys::Bytes(_) => panic!("an id was wanted as something else than bytes"),
        }
    }

    /// A text is a number where it is written as one.
    pub(crate) fn read(text: &str) -> Self {
        let is_plain = text == "0" || !["0", "-0", "+"].iter().any(|start| text.starts_with(start));
        text.parse().ok().filter(|_| is_plain).map_or_else(|| Self::Text(text.into()), Self::Whole)
    }

    /// The number, of an id that is one.
    pub fn whole(&self) -> Option<i64> {
        match self {
            Self::Whole(number) => Some(*number),
            Self::Text(_) => None,
        }
    }

    /// A number that another id does not have.
    pub(crate) fn number(&self) -> u128 {
        match self {
            Self::Whole(number) => u128::from(*number as u64),
            Self::Text(text) => number_of(text),
        }
    }
}

impl Default for Id {
    fn default() -> Self {
        Self::Whole(0)
    }
}

/// For messages: what may be an address by its form alone.
impl fmt::Display for Id {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(number) => number.fmt(formatter),
            Self::Text(text) => formatter.write_str(shown(text).trim_matches('`')),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_a_number_where_it_is_written_as_one() {
        for (text, whole) in [("7", Some(7)), ("-7", Some(-7)), ("0", Some(0)), ("9223372036854775807", Some(i64::MAX))] {
            assert_eq!(Id::read(text).whole(), whole, "{text}");
        }
        for text in ["007", "+7", "-07", "-0", "7.0", "u7", "9223372036854775808", "", " 7"] {
            assert_eq!(Id::read(text), Id::Text(text.into()));
        }
        assert_ne!(Id::read("00123").number(), Id::read("123").number());
        assert_eq!(Id::read("ada@example.com").to_string(), "a text of 15 letters with an @");
    }
}
