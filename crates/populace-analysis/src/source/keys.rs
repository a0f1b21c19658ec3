//! What rows are grouped by.

use super::columns::Texts;
use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, FixedSizeBinaryArray, Int64Array};
use arrow_schema::DataType;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

/// A column that rows are grouped by.
pub(crate) enum Keys<'a> {
    Text(Texts<'a>),
    Int(&'a Int64Array),
    Bytes(&'a FixedSizeBinaryArray),
}

impl<'a> Keys<'a> {
    pub(crate) fn of(column: &'a ArrayRef) -> Self {
        match column.data_type() {
            DataType::Utf8 | DataType::Dictionary(..) => Self::Text(Texts::of(column)),
            DataType::Int64 => Self::Int(column.as_primitive()),
            DataType::FixedSizeBinary(_) => Self::Bytes(column.as_fixed_size_binary()),
            other => panic!("rows are grouped by text, a whole number or a UUID, not by {other}"),
        }
    }

    pub(crate) fn same(&self, row: usize, other: &Self, at: usize) -> bool {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => a.value(row) == b.value(at),
            (Self::Int(a), Self::Int(b)) => a.value(row) == b.value(at),
            (Self::Bytes(a), Self::Bytes(b)) => a.value(row) == b.value(at),
            _ => false,
        }
    }

    /// The number of the actor that a row is of, from 0: of text as `of` reads it, of whole numbers from 1 on.
    pub(crate) fn number(&self, row: usize, of: impl Fn(&str) -> Option<u64>) -> Option<u64> {
        match self {
            Self::Text(keys) => of(keys.value(row)),
            Self::Int(keys) => u64::try_from(keys.value(row)).ok()?.checked_sub(1),
            Self::Bytes(_) => None,
        }
    }

    /// For messages.
    pub(crate) fn show(&self, row: usize) -> String {
        match self {
            Self::Text(keys) => keys.value(row).to_owned(),
            Self::Int(keys) => keys.value(row).to_string(),
            Self::Bytes(keys) => data_encoding::HEXLOWER.encode(keys.value(row)),
        }
    }

    pub(crate) fn hash(&self, row: usize) -> u64 {
        let hasher = BuildHasherDefault::<DefaultHasher>::default();
        match self {
            Self::Text(keys) => hasher.hash_one(keys.value(row)),
            Self::Int(keys) => hasher.hash_one(keys.value(row)),
            Self::Bytes(keys) => hasher.hash_one(keys.value(row)),
        }
    }
}

/// A number of 128 bits that another text does not have.
pub(crate) fn number_of(text: &str) -> u128 {
    let hasher = BuildHasherDefault::<DefaultHasher>::default();
    u128::from(hasher.hash_one((0_u8, text))) << 64 | u128::from(hasher.hash_one((1_u8, text)))
}
