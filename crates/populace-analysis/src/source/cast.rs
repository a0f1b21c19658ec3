//! From what a file holds to what is wanted.

use super::{As, Want};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, BinaryArray, FixedSizeBinaryArray, Int64Array, StringArray, new_null_array};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{DataType, TimeUnit};
use std::sync::Arc;

/// Hexadecimal digits of a UUID.
const UUID_DIGITS: usize = 32;

impl As {
    /// The type that a column of this kind is read as.
    pub(super) fn data_type(self) -> DataType {
        match self {
            Self::Text => DataType::Utf8,
            Self::Int => DataType::Int64,
            Self::Float => DataType::Float64,
            Self::Bool => DataType::Boolean,
            Self::Instant => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Date => DataType::Date32,
            Self::Uuid => DataType::FixedSizeBinary(16),
        }
    }

    const fn describe(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Int => "a whole number",
            Self::Float => "a number",
            Self::Bool => "true or false",
            Self::Instant => "a timestamp",
            Self::Date => "a date",
            Self::Uuid => "a UUID",
        }
    }
}

impl Want {
    /// A column that is missing.
    pub(super) fn nulls(&self, rows: usize) -> ArrayRef {
        new_null_array(&self.kind.data_type(), rows)
    }

    /// The column as wanted; text stays codes of a dictionary if it is and `codes` may be kept.
    ///
    /// # Errors
    /// The row, from 0, and what is wrong with it.
    pub(super) fn cast(&self, column: &ArrayRef, codes: bool) -> Result<ArrayRef, (usize, String)> {
        let cast = if codes && self.kind == As::Text && is_coded(column) { Arc::clone(column) } else { self.convert(column)? };
        if cast.null_count() > column.logical_null_count() {
            let row = (0..column.len()).find(|&row| cast.is_null(row) && !is_null(column.as_ref(), row)).unwrap_or(0);
            let shown = ArrayFormatter::try_new(column.as_ref(), &FormatOptions::default())
                .map_or_else(|_| "the value".to_owned(), |formatter| format!("`{}`", formatter.value(row)));
            return Err((row, format!("{shown} is not {}", self.kind.describe())));
        }
        if !self.nullable && cast.null_count() > 0 {
            let row = (0..cast.len()).find(|&row| cast.is_null(row)).unwrap_or(0);
            return Err((row, format!("is empty, and must be {}", self.kind.describe())));
        }
        Ok(cast)
    }

    /// The column in the wanted type; null where a value does not fit.
    fn convert(&self, column: &ArrayRef) -> Result<ArrayRef, (usize, String)> {
        let to = self.kind.data_type();
        if *column.data_type() == to {
            return Ok(Arc::clone(column));
        }
        let plain = match column.data_type() {
            DataType::Dictionary(key, _) if **key == DataType::Int32 => {
                let dictionary = column.as_dictionary::<Int32Type>();
                arrow_select::take::take(dictionary.values(), dictionary.keys(), None).map_err(|error| (0, error.to_string()))?
            }
            _ => Arc::clone(column),
        };
        let options = CastOptions { safe: true, ..CastOptions::default() };
        let cast = |array: &ArrayRef, to: &DataType| {
            cast_with_options(array, to, &options)
                .map_err(|_| (0, format!("is {}, and must be {}", array.data_type(), self.kind.describe())))
        };
        match (plain.data_type(), self.kind) {
            (from, _) if *from == to => Ok(plain),
            // The text of a zoned moment needs a table of zones; that of UTC does not.
            (DataType::Timestamp(_, Some(_)), As::Text) => {
                let moments = cast(&plain, &As::Instant.data_type())?;
                let unzoned = moments.as_primitive::<TimestampMicrosecondType>().clone().with_timezone_opt(None::<Arc<str>>);
                cast(&(Arc::new(unzoned) as ArrayRef), &to)
            }
            (DataType::FixedSizeBinary(16), As::Text) => Ok(hyphenated(plain.as_fixed_size_binary())),
            // Libraries without a type for UUIDs hand their 16 bytes on as bytes of any length.
            (DataType::Binary | DataType::LargeBinary | DataType::BinaryView, As::Text | As::Uuid) => {
                let bytes = uuids_of_bytes(cast(&plain, &DataType::Binary)?.as_binary());
                Ok(if self.kind == As::Text { hyphenated(bytes.as_fixed_size_binary()) } else { bytes })
            }
            (DataType::FixedSizeBinary(_), As::Uuid) => cast(&plain, &to),
            (_, As::Uuid) => Ok(uuids(cast(&plain, &DataType::Utf8)?.as_string())),
            // Numbers with blanks around them, and `1` or `0` as a truth value, are what spreadsheets write.
            (DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View, As::Int | As::Float | As::Bool | As::Date | As::Instant) => {
                let text = cast(&plain, &DataType::Utf8)?;
                let trimmed: StringArray = text.as_string::<i32>().iter().map(|value| value.map(str::trim)).collect();
                let trimmed: ArrayRef = Arc::new(trimmed);
                match self.kind {
                    As::Instant => Ok(in_utc(&cast(&trimmed, &utc_offset())?)),
                    // A moment may be written in full where its date is wanted.
                    As::Date => cast(&cast(&trimmed, &utc_offset())?, &to),
                    As::Int => Ok(whole(&cast(&trimmed, &to)?, &cast(&trimmed, &DataType::Float64)?)),
                    _ => cast(&trimmed, &to),
                }
            }
            (DataType::Float32 | DataType::Float64, As::Int) => {
                let none = new_null_array(&to, plain.len());
                Ok(whole(&none, &cast(&plain, &DataType::Float64)?))
            }
            (DataType::Timestamp(_, None) | DataType::Date32 | DataType::Date64, As::Instant) => {
                Ok(in_utc(&cast(&plain, &DataType::Timestamp(TimeUnit::Microsecond, None))?))
            }
            _ => cast(&plain, &to),
        }
    }
}

/// The type of a moment in UTC whose time zone needs no database of zones.
fn utc_offset() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()))
}

/// Moments that are in UTC already, under its name.
fn in_utc(moments: &ArrayRef) -> ArrayRef {
    Arc::new(moments.as_primitive::<TimestampMicrosecondType>().clone().with_timezone("UTC"))
}

/// Whether a column is codes of a dictionary of text, each code of a text.
fn is_coded(column: &ArrayRef) -> bool {
    column
        .as_dictionary_opt::<Int32Type>()
        .is_some_and(|coded| *coded.values().data_type() == DataType::Utf8 && coded.values().null_count() == 0)
}

fn is_null(column: &dyn Array, row: usize) -> bool {
    column.logical_nulls().is_some_and(|nulls| nulls.is_null(row))
}

fn hyphenated(values: &FixedSizeBinaryArray) -> ArrayRef {
    let text = |bytes: &[u8]| {
        let mut text = data_encoding::HEXLOWER.encode(bytes);
        for place in [8, 13, 18, 23] {
            text.insert(place, '-');
        }
        text
    };
    Arc::new(values.iter().map(|value| value.map(text)).collect::<StringArray>())
}

/// The integers, and where there is none the number if it is whole: a column of integers with blanks comes as `16.0` from where only
/// doubles can be blank.
fn whole(integers: &ArrayRef, numbers: &ArrayRef) -> ArrayRef {
    /// Up to here a double holds every integer.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let (integers, numbers) = (integers.as_primitive::<Int64Type>(), numbers.as_primitive::<Float64Type>());
    let either = |(integer, number): (Option<i64>, Option<f64>)| {
        integer.or_else(|| number.filter(|number| number.fract() == 0.0 && number.abs() <= EXACT).map(|number| number as i64))
    };
    Arc::new(integers.iter().zip(numbers.iter()).map(either).collect::<Int64Array>())
}

fn uuids_of_bytes(values: &BinaryArray) -> ArrayRef {
    let sixteen = values.iter().map(|value| value.and_then(|bytes| <[u8; 16]>::try_from(bytes).ok()));
    Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(sixteen, 16).expect("every UUID has 16 bytes"))
}

fn uuids(values: &StringArray) -> ArrayRef {
    let parse = |text: &str| {
        let digits: String = text.trim().chars().filter(|letter| *letter != '-').collect();
        (digits.len() == UUID_DIGITS).then(|| u128::from_str_radix(&digits, 16).ok()).flatten().map(u128::to_be_bytes)
    };
    let parsed = values.iter().map(|value| value.and_then(parse));
    Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(parsed, 16).expect("every UUID has 16 bytes"))
}
