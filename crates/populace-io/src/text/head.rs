//! The first rows of a file, for people.

use super::TextFormat;
use super::cells::Cells;
use crate::error::RunError;
use crate::table::{InstantText, Kind};
use crate::untrusted;
use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef, DictionaryArray, Int32Array, RecordBatch};
use arrow_schema::{ArrowError, DataType};
use std::io::BufRead;
use std::path::Path;
use std::sync::Arc;

/// The first `count` rows of a file that a run wrote, by its ending: lines of CSV with the header, or of JSON.
///
/// # Errors
/// The file cannot be read or is not what its ending says.
pub fn first_rows(path: &Path, count: usize) -> Result<Vec<String>, RunError> {
    let name = path.to_string_lossy();
    let batches: Vec<RecordBatch> = if name.ends_with(".parquet") {
        let builder = untrusted::parquet(path)?;
        rows(path, || builder.with_limit(count).build()?.collect::<Result<_, _>>())?
    } else if name.ends_with(".arrow") {
        let mut reader = untrusted::arrow(path, |_| true)?;
        let first = rows(path, || reader.next().transpose())?;
        first.iter().map(|batch| batch.slice(0, count.min(batch.num_rows()))).collect()
    } else {
        let header = usize::from(name.contains(".csv"));
        return untrusted::text(path)?.lines().take(count + header).collect::<Result<_, _>>().map_err(|error| RunError::io(path, error));
    };
    untrusted::guarded(path, || batches.iter().flat_map(json_lines).collect())
}

fn rows<T>(path: &Path, read: impl FnOnce() -> Result<T, ArrowError>) -> Result<T, RunError> {
    untrusted::guarded(path, read)?.map_err(|error| untrusted::unreadable(path, error))
}

fn json_lines(batch: &RecordBatch) -> Vec<String> {
    let schema = batch.schema();
    let arrays: Vec<(Kind, ArrayRef)> = batch.columns().iter().map(displayable).collect();
    let mut cells: Vec<Cells<'_>> = arrays.iter().map(|(kind, array)| Cells::new(*kind, array.as_ref(), TextFormat::Jsonl)).collect();
    let quotes: Vec<&[u8]> = arrays
        .iter()
        .map(|(kind, _)| if matches!(kind, Kind::Instant(_) | Kind::Date | Kind::Uuid) { &b"\""[..] } else { &b""[..] })
        .collect();
    let line = |row: usize| {
        let mut line = b"{".to_vec();
        for (index, ((cell, field), quote)) in cells.iter_mut().zip(schema.fields()).zip(&quotes).enumerate() {
            line.extend_from_slice(format!("{}\"{}\":", if index == 0 { "" } else { "," }, field.name()).as_bytes());
            if cell.is_null(row) {
                line.extend_from_slice(b"null");
            } else {
                line.extend_from_slice(quote);
                cell.append(row, &mut line);
                line.extend_from_slice(quote);
            }
        }
        line.push(b'}');
        String::from_utf8_lossy(&line).into_owned()
    };
    (0..batch.num_rows()).map(line).collect()
}

/// A column of a file as a kind of ours.
fn displayable(array: &ArrayRef) -> (Kind, ArrayRef) {
    let kind = match array.data_type() {
        DataType::Boolean => Kind::Bool,
        DataType::Int16 => Kind::Int16,
        DataType::Int32 => Kind::Int32,
        DataType::Int64 => Kind::Int64,
        DataType::Date32 => Kind::Date,
        DataType::Timestamp(..) => Kind::Instant(InstantText::Micros),
        DataType::FixedSizeBinary(16) => Kind::Uuid,
        DataType::Utf8 => {
            // Every text is a value of a dictionary of its own.
            let keys = Int32Array::new((0..array.len() as i32).collect(), array.nulls().cloned());
            let dictionary = DictionaryArray::<Int32Type>::try_new(keys, Arc::clone(array)).expect("a key for each value");
            return (Kind::Text, Arc::new(dictionary));
        }
        _ => Kind::Float,
    };
    (kind, Arc::clone(array))
}
