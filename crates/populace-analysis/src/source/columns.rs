//! The columns of a batch by name, in the types that [`As`](super::As) promises.

use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{
    Array, BooleanArray, Date32Array, FixedSizeBinaryArray, Float64Array, Int64Array, PrimitiveArray, RecordBatch, StringArray,
};

/// Typed access to the columns of a batch that was read with [`Want`](super::Want)s.
///
/// Every method panics where the column was not wanted, or wanted as something else: a bug of the caller.
pub trait Columns {
    /// A column wanted as [`As::Text`](super::As::Text).
    fn text(&self, name: &str) -> &StringArray;
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
    fn text(&self, name: &str) -> &StringArray {
        column(self, name)
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
