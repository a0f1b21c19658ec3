//! A digest of the content of a table: over values, whatever file format, order of rows, number of parts or batch size carries them.
//!
//! Every row becomes a 64-bit hash of its values, each with the number of its column, in the order of the columns; the digest is the number of rows and two sums, modulo 2⁶⁴, of two
//! mixes of these hashes. Equal multisets of rows have equal digests. It tells accidental differences apart, not adversaries.

use crate::table::{Kind, Table, as_codes};
use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Float64Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch};
use arrow_buffer::NullBuffer;
use arrow_schema::DataType;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The digest of a table, or of a part of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    /// Number of rows.
    pub rows: u64,
    sums: [u64; 2],
}

const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;
/// Makes the second sum of another mix than the first.
const SECOND: u64 = 0xD6E8_FEB8_6659_FD93;

/// The finaliser of `MurmurHash3`.
#[inline]
const fn mix(mut hash: u64) -> u64 {
    hash = (hash ^ hash >> 33).wrapping_mul(0xFF51_AFD7_ED55_8CCD);
    hash = (hash ^ hash >> 33).wrapping_mul(0xC4CE_B9FE_1A85_EC53);
    hash ^ hash >> 33
}

#[inline]
const fn absorb(hash: u64, value: u64) -> u64 {
    (hash.rotate_left(23) ^ value).wrapping_mul(MULTIPLIER)
}

fn hash_bytes(bytes: &[u8]) -> u64 {
    let words = bytes.chunks(8).map(|chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        u64::from_le_bytes(word)
    });
    mix(words.fold(absorb(MULTIPLIER, bytes.len() as u64), absorb))
}

impl Digest {
    /// The digest of both.
    pub fn add(&mut self, other: &Self) {
        self.rows += other.rows;
        for (sum, more) in self.sums.iter_mut().zip(other.sums) {
            *sum = sum.wrapping_add(more);
        }
    }

    /// The digest of a batch of `table`, whose integers may be wider than the table's and whose text may be without a dictionary, as
    /// files of text are read back. `hashes` is scratch space.
    pub fn of(table: &Table, batch: &RecordBatch, hashes: &mut Vec<u64>) -> Self {
        hashes.clear();
        hashes.resize(batch.num_rows(), MULTIPLIER);
        for (number, (column, array)) in (1..).zip(table.columns.iter().zip(batch.columns())) {
            absorb_column(column.kind, array.as_ref(), mix(number), hashes);
        }
        let mut sums = [0_u64; 2];
        for &hash in hashes.iter() {
            sums[0] = sums[0].wrapping_add(mix(hash));
            sums[1] = sums[1].wrapping_add(mix(hash.rotate_left(32) ^ SECOND));
        }
        Self { rows: batch.num_rows() as u64, sums }
    }
}

/// Absorbs a value a row, and nothing for a null: that values carry the number of their column tells the rows apart.
#[inline]
fn absorb_all(hashes: &mut [u64], nulls: Option<&NullBuffer>, column: u64, value: impl Fn(usize) -> u64) {
    match nulls {
        None => hashes.iter_mut().enumerate().for_each(|(row, hash)| *hash = absorb(*hash, value(row) ^ column)),
        Some(nulls) => nulls.valid_indices().for_each(|row| hashes[row] = absorb(hashes[row], value(row) ^ column)),
    }
}

fn absorb_column(kind: Kind, array: &dyn Array, column: u64, hashes: &mut [u64]) {
    let nulls = array.nulls().filter(|nulls| nulls.null_count() > 0);
    macro_rules! native {
        ($type:ty, $to_word:expr) => {{
            let values = &array.as_primitive::<$type>().values()[..hashes.len()];
            absorb_all(hashes, nulls, column, |row| $to_word(values[row]));
        }};
    }
    match kind {
        Kind::Bool => {
            let values = array.as_boolean();
            absorb_all(hashes, nulls, column, |row| u64::from(values.value(row)));
        }
        Kind::Int16 | Kind::Int32 | Kind::Int64 => match array.data_type() {
            DataType::Int16 => native!(Int16Type, |value: i16| value as i64 as u64),
            DataType::Int32 => native!(Int32Type, |value: i32| value as i64 as u64),
            _ => native!(Int64Type, |value: i64| value as u64),
        },
        Kind::Date => native!(Date32Type, |value: i32| value as i64 as u64),
        Kind::Instant(_) => native!(TimestampMicrosecondType, |value: i64| value as u64),
        Kind::Float | Kind::Fixed(_) => native!(Float64Type, f64::to_bits),
        Kind::Uuid => {
            let values = &array.as_fixed_size_binary().value_data().as_chunks::<16>().0[..hashes.len()];
            absorb_all(hashes, nulls, column, |row| {
                let value = u128::from_be_bytes(values[row]);
                absorb((value >> 64) as u64, value as u64)
            });
        }
        Kind::Text | Kind::Json if *array.data_type() == DataType::Utf8 => {
            let values = array.as_string::<i32>();
            absorb_all(hashes, nulls, column, |row| hash_bytes(values.value(row).as_bytes()));
        }
        Kind::Text | Kind::Json => {
            let (keys, values) = as_codes(array);
            let keys = &keys[..hashes.len()];
            let words: Vec<u64> = (0..values.len()).map(|index| hash_bytes(values.value(index).as_bytes())).collect();
            absorb_all(hashes, nulls, column, |row| words[keys[row] as usize]);
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}{:016x}", self.sums[0], self.sums[1])
    }
}
