//! Ids: whole numbers where all are, otherwise text.

use super::output::Words;
pub(super) use crate::source::Id as Key;
use crate::source::values::{self, Read};
use arrow_array::ArrayRef;
use populace_io::table::{Kind, codes, longs};

/// How the ids of a column are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Ids {
    /// As whole numbers.
    #[default]
    Whole,
    /// As text: `00123` and `123` are two.
    Text,
}

impl Ids {
    pub(super) const fn kind(self) -> Kind {
        match self {
            Self::Whole => Kind::Int64,
            Self::Text => Kind::Text,
        }
    }

    /// The id in a field without blanks around it; `None` if there is none, or it is not read so.
    pub(super) fn read(self, field: &[u8]) -> Option<Read<Key>> {
        let whole = values::int(field);
        if self == Self::Whole {
            return whole.map(|Read { value, rewritten }| Read { value: Key::Whole(value), rewritten });
        }
        if values::is_nothing(field) || values::trim(field).len() < field.len() {
            return None;
        }
        // Programs that know no blank integers write `123.0`.
        let cut = whole.filter(|read| read.rewritten && !leads_with_zero(field) && field[0] != b'+').map(|read| read.value.to_string());
        let rewritten = cut.is_some();
        let text = cut.unwrap_or_else(|| String::from_utf8_lossy(field).into_owned());
        Some(Read { value: Key::Text(text.into()), rewritten })
    }
}

/// What the ids of a column look like, to decide how they are read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Looks {
    whole: u64,
    other: u64,
    zeros: bool,
}

impl Looks {
    /// Takes a field.
    pub(super) fn add(&mut self, field: &[u8]) {
        let field = values::trim(field);
        if values::int(field).is_some() {
            self.read(field);
        } else if !values::is_nothing(field) {
            self.unread();
        }
    }

    /// Takes a field that was read as a whole number.
    pub(super) fn read(&mut self, field: &[u8]) {
        self.whole += 1;
        self.zeros |= leads_with_zero(field);
    }

    /// Takes a field that could not be read so.
    pub(super) fn unread(&mut self) {
        self.other += 1;
    }

    /// Text, if one begins with a zero or some are no whole numbers; a few among many are errors.
    pub(super) fn ids(self) -> Ids {
        /// One in so many.
        const FEW: u64 = 10;
        if self.zeros || self.other * FEW > self.whole + self.other { Ids::Text } else { Ids::Whole }
    }
}

fn leads_with_zero(field: &[u8]) -> bool {
    field.len() > 1 && field[0] == b'0' && field[1].is_ascii_digit()
}

/// A column of ids.
#[derive(Default)]
pub(super) struct KeyColumn {
    whole: Vec<i64>,
    codes: Vec<i32>,
    words: Words,
}

impl KeyColumn {
    pub(super) fn len(&self) -> usize {
        self.whole.len() + self.codes.len()
    }

    /// Adds an id so many times.
    pub(super) fn push(&mut self, key: &Key, times: usize) {
        match key {
            Key::Whole(value) => self.whole.resize(self.whole.len() + times, *value),
            Key::Text(text) => {
                let code = self.words.code(text);
                self.codes.resize(self.codes.len() + times, code);
            }
        }
    }

    /// The ids so far.
    pub(super) fn take(&mut self) -> ArrayRef {
        if self.codes.is_empty() {
            return longs(std::mem::take(&mut self.whole));
        }
        codes(std::mem::take(&mut self.codes), &self.words.take())
    }

    /// Of these ids.
    pub(super) fn of<'a>(keys: impl Iterator<Item = &'a Key>) -> ArrayRef {
        let mut column = Self::default();
        keys.for_each(|key| column.push(key, 1));
        column.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_text_where_they_are_no_numbers() {
        let decide = |fields: &[&str]| {
            let mut looks = Looks::default();
            for field in fields {
                looks.add(field.as_bytes());
            }
            looks.ids()
        };
        assert_eq!(decide(&["1", "2.0", " 3", "", "NULL", "0"]), Ids::Whole);
        assert_eq!(decide(&["123", "00123"]), Ids::Text);
        assert_eq!(decide(&["u-1", "u-2", "7"]), Ids::Text);
        assert_eq!(decide(&[["7"; 12].as_slice(), &["eight"]].concat()), Ids::Whole, "one in thirteen is an error");
        let text = |field: &str| match Ids::Text.read(field.as_bytes())?.value {
            Key::Text(text) => Some(text.to_string()),
            Key::Whole(_) => None,
        };
        for (field, expected) in [("00123", Some("00123")), ("123.0", Some("123")), ("007.0", Some("007.0")), (" a", None), ("-", None)] {
            assert_eq!(text(field).as_deref(), expected, "{field}");
        }
        assert_ne!(Ids::Text.read(b"00123").unwrap().value, Ids::Text.read(b"123").unwrap().value);
    }
}
