//! The columns of a batch by name, in the types that [`As`](super::As) promises.

use arrow_array::types::{Int32Type, TimestampMicrosecondType};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Date32Array, DictionaryArray, FixedSizeBinaryArray, Float64Array, Int32Array, Int64Array,
    PrimitiveArray, RecordBatch, StringArray,
};

/// Typed access to the columns of a batch that was read with [`Want`](super::Want)s.
///
/// Every method panics where the column was not wanted, or wanted as something else: a bug of the caller.
pub trait Columns {
    /// A column wanted as [`As::Text`](super::As::Text).
    fn text(&self, name: &str) -> Texts<'_>;
    /// A column wanted as [`As::Int`](super::As::Int).
    fn int(&self, name: &str) -> &Int64Array;
    /// A column wanted as [`As::Float`](super::As::Float).
    fn float(&self, name: &str) -> &Float64Array;
    /// A column wanted as [`As::Bool`](super::As::Bool).
    fn bool(&self, name: &str) -> &BooleanArray;
    /// A column wanted as [`As::Instant`](super::As::Instant): microseconds since 1970, UTC.
    fn instant(&self, name: &str) -> &PrimitiveArray<TimestampMicrosecondType>;
    /// A column wanted as [`As::Date`](super::As::Date): days since 1970.
    fn date(&self, name: &str) -> &Date32Array;
    /// A column wanted as [`As::Uuid`](super::As::Uuid).
    fn uuid(&self, name: &str) -> Uuids<'_>;
}

/// A column of text: as it is, or as codes of a dictionary.
#[derive(Clone, Copy)]
pub enum Texts<'a> {
    /// A text a row.
    Plain(&'a StringArray),
    /// A code a row, and the text of each code.
    Coded(&'a Int32Array, &'a StringArray),
}

impl<'a> Texts<'a> {
    /// A column that was read as [`As::Text`](super::As::Text).
    pub(crate) fn of(column: &'a ArrayRef) -> Self {
        if let Some(plain) = column.as_any().downcast_ref::<StringArray>() {
            return Self::Plain(plain);
        }
        let coded = column.as_any().downcast_ref::<DictionaryArray<Int32Type>>();
        let coded = coded.unwrap_or_else(|| panic!("the column was wanted as something else than {}", column.data_type()));
        Self::Coded(coded.keys(), coded.values().as_any().downcast_ref().expect("dictionaries that are kept are of text"))
    }

    /// The text in a row; empty where it is null.
    pub fn value(self, row: usize) -> &'a str {
        match self {
            Self::Plain(texts) => texts.value(row),
            Self::Coded(keys, _) if keys.is_null(row) => "",
            Self::Coded(keys, texts) => texts.value(keys.value(row) as usize),
        }
    }

    /// Whether a row has the same text as another.
    pub fn same(self, row: usize, other: usize) -> bool {
        match self {
            Self::Coded(keys, _) if keys.is_valid(row) && keys.is_valid(other) && keys.value(row) == keys.value(other) => true,
            _ => self.value(row) == self.value(other),
        }
    }

    /// Whether a row has a text.
    pub fn is_valid(self, row: usize) -> bool {
        match self {
            Self::Plain(texts) => texts.is_valid(row),
            Self::Coded(keys, _) => keys.is_valid(row),
        }
    }

    /// Whether a row has none.
    pub fn is_null(self, row: usize) -> bool {
        !self.is_valid(row)
    }

    /// How many rows there are.
    pub fn len(self) -> usize {
        match self {
            Self::Plain(texts) => texts.len(),
            Self::Coded(keys, _) => keys.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The texts, row by row.
    pub fn iter(self) -> impl Iterator<Item = Option<&'a str>> {
        (0..self.len()).map(move |row| self.is_valid(row).then(|| self.value(row)))
    }

    /// What `of` makes of each row's text; of a dictionary's texts it is made once each.
    pub fn map<T: Clone>(self, of: impl Fn(&str) -> T) -> Vec<T> {
        match self {
            Self::Coded(keys, texts) if texts.len() < keys.len() => {
                let made: Vec<T> = (0..texts.len()).map(|code| of(texts.value(code))).collect();
                (0..keys.len()).map(|row| if keys.is_null(row) { of("") } else { made[keys.value(row) as usize].clone() }).collect()
            }
            _ => (0..self.len()).map(|row| of(self.value(row))).collect(),
        }
    }
}

/// A column of UUIDs.
#[derive(Clone, Copy)]
pub struct Uuids<'a>(&'a FixedSizeBinaryArray);

impl Uuids<'_> {
    /// The UUID in a row; `None` where it is null.
    pub fn get(self, row: usize) -> Option<u128> {
        self.0.is_valid(row).then(|| u128::from_be_bytes(self.0.value(row).try_into().expect("a UUID has 16 bytes")))
    }
}

fn column<'a, T: 'static>(batch: &'a RecordBatch, name: &str) -> &'a T {
    let column = batch.column_by_name(name).unwrap_or_else(|| panic!("column {name} was not wanted"));
    column.as_any().downcast_ref().unwrap_or_else(|| panic!("column {name} was wanted as something else than {}", column.data_type()))
}

impl Columns for RecordBatch {
    fn text(&self, name: &str) -> Texts<'_> {
        Texts::of(self.column_by_name(name).unwrap_or_else(|| panic!("column {name} was not wanted")))
    }

    fn int(&self, name: &str) -> &Int64Array {
        column(self, name)
    }

    fn float(&self, name: &str) -> &Float64Array {
        column(self, name)
    }

    fn bool(&self, name: &str) -> &BooleanArray {
        column(self, name)
    }

    fn instant(&self, name: &str) -> &PrimitiveArray<TimestampMicrosecondType> {
        column(self, name)
    }

    fn date(&self, name: &str) -> &Date32Array {
        column(self, name)
    }

    fn uuid(&self, name: &str) -> Uuids<'_> {
        Uuids(column(self, name))
    }
}
