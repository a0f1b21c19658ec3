//! What a worker makes of the batches of one unit of work, before it is its turn to write.

use super::parquet::{RowGroupEncoder, RowGroupFactory};
use super::{Compression, FileOptions, Format};
use crate::error::RunError;
use crate::table::Table;
use crate::text::TextFormat;
use arrow_array::RecordBatch;
use std::io::Write;

/// Tables with fewer expected rows in a unit than this are put into row groups by the writer, across units.
const PARALLEL_ROWS: f64 = 8_192.0;

/// How the units of a table are encoded.
pub(crate) enum TableEncoder {
    Text { format: TextFormat, compression: Compression },
    RowGroups(RowGroupFactory),
    Batches,
}

/// A unit of a table, being encoded.
pub(crate) enum UnitEncoder {
    Text { format: TextFormat, compression: Compression, bytes: Vec<u8> },
    RowGroup(RowGroupEncoder),
    Batches(Vec<RecordBatch>),
}

/// A unit of a table, encoded.
pub(crate) enum Encoded {
    Bytes(Vec<u8>),
    RowGroup(super::parquet::EncodedRowGroup),
    Batches(Vec<RecordBatch>),
}

impl TableEncoder {
    /// The encoder of `table` where a unit is expected to hold `unit_rows` of it.
    pub(crate) fn new(table: &Table, options: &FileOptions, unit_rows: f64) -> Result<Self, RunError> {
        Ok(match options.format {
            Format::Csv => Self::Text { format: TextFormat::Csv, compression: options.compression },
            Format::Jsonl => Self::Text { format: TextFormat::Jsonl, compression: options.compression },
            Format::Parquet if unit_rows >= PARALLEL_ROWS => Self::RowGroups(RowGroupFactory::new(table, options)?),
            Format::Parquet | Format::Arrow => Self::Batches,
        })
    }

    /// Starts a unit. `spare` is the buffer of an earlier one.
    pub(crate) fn start(&self, spare: Option<Vec<u8>>) -> UnitEncoder {
        match self {
            Self::Text { format, compression } => {
                let mut bytes = spare.unwrap_or_default();
                bytes.clear();
                UnitEncoder::Text { format: *format, compression: *compression, bytes }
            }
            Self::RowGroups(factory) => UnitEncoder::RowGroup(factory.start()),
            Self::Batches => UnitEncoder::Batches(Vec::new()),
        }
    }
}

impl UnitEncoder {
    pub(crate) fn push(&mut self, table: &Table, batch: RecordBatch) -> Result<(), RunError> {
        match self {
            Self::Text { format, bytes, .. } => format.append(table, &batch, bytes),
            Self::RowGroup(encoder) => encoder.push(batch)?,
            Self::Batches(batches) => batches.push(batch),
        }
        Ok(())
    }

    pub(crate) fn finish(self) -> Result<Encoded, RunError> {
        Ok(match self {
            Self::Text { bytes, compression, .. } => Encoded::Bytes(compress(bytes, compression)?),
            Self::RowGroup(encoder) => Encoded::RowGroup(encoder.finish()?),
            Self::Batches(batches) => Encoded::Batches(batches),
        })
    }
}

/// Compresses a piece of a text file as a frame of its own: frames one after another are a valid file, and workers make them in
/// parallel.
pub(crate) fn compress(bytes: Vec<u8>, compression: Compression) -> Result<Vec<u8>, RunError> {
    match compression {
        Compression::Gzip if !bytes.is_empty() => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::with_capacity(bytes.len() / 4), flate2::Compression::fast());
            encoder.write_all(&bytes).and_then(|()| encoder.finish()).map_err(RunError::Encode)
        }
        Compression::Zstd(level) if !bytes.is_empty() => zstd::bulk::compress(&bytes, i32::from(level)).map_err(RunError::Encode),
        _ => Ok(bytes),
    }
}
