//! Parquet: a worker encodes a whole row group, the writer splices it in.

use self::column_chunk::{ColumnEncoder, EncodedColumn, Scratch};
use super::{Compression, FileOptions};
use crate::error::RunError;
use crate::table::{Kind, Table};
use arrow_array::{Array, RecordBatch};
use parquet::arrow::ArrowSchemaConverter;
use parquet::basic::{Compression as Codec, ZstdLevel};
use parquet::file::properties::{WriterProperties, WriterPropertiesPtr};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{ColumnDescPtr, SchemaDescriptor, TypePtr};
use std::cell::RefCell;
use std::io::Write;
use std::sync::Arc;

mod bits;
mod column_chunk;
#[cfg(test)]
mod tests;

/// The properties and the schema of the files of a table.
pub(crate) struct ParquetSpec {
    root: TypePtr,
    codec: Codec,
    properties: WriterPropertiesPtr,
}

impl ParquetSpec {
    pub(crate) fn new(table: &Table, options: &FileOptions) -> Result<Self, RunError> {
        let codec = match options.compression {
            Compression::Zstd(level) => Codec::ZSTD(ZstdLevel::try_new(i32::from(level)).expect("levels 1 to 19 are checked")),
            Compression::Snappy => Codec::SNAPPY,
            Compression::Lz4 => Codec::LZ4_RAW,
            Compression::None | Compression::Gzip => Codec::UNCOMPRESSED,
        };
        let properties = WriterProperties::builder()
            .set_created_by(format!("populace {}", env!("CARGO_PKG_VERSION")))
            .set_offset_index_disabled(true)
            .build();
        let descriptor = ArrowSchemaConverter::new().convert(&table.schema_in(options.shape()))?;
        Ok(Self { root: descriptor.root_schema_ptr(), codec, properties: Arc::new(properties) })
    }

    pub(crate) fn open<W: Write + Send>(&self, out: W) -> Result<SerializedFileWriter<W>, RunError> {
        Ok(SerializedFileWriter::new(out, Arc::clone(&self.root), Arc::clone(&self.properties))?)
    }
}

/// Rows of a page, at least: few enough that a page's columns stay in the cache, enough that compression finds what repeats.
const PAGE_ROWS: usize = 16 << 10;

thread_local! {
    /// One for all tables: a compressor is larger than the pages that pass through it.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Makes the encoders of row groups.
pub(crate) struct RowGroupFactory {
    columns: Vec<(Kind, ColumnDescPtr, Codec)>,
    options: FileOptions,
}

impl RowGroupFactory {
    pub(crate) fn new(table: &Table, options: &FileOptions) -> Result<Self, RunError> {
        let spec = ParquetSpec::new(table, options)?;
        let descriptor = SchemaDescriptor::new(spec.root);
        let columns = table.columns.iter().zip(descriptor.columns());
        let columns = columns.map(|(column, descriptor)| (column.kind, Arc::clone(descriptor), spec.codec)).collect();
        Ok(Self { columns, options: *options })
    }

    pub(crate) fn start(&self) -> RowGroupEncoder {
        let columns = self.columns.iter();
        let columns =
            columns.map(|(kind, descriptor, codec)| ColumnEncoder::new(*kind, &self.options, Arc::clone(descriptor), *codec)).collect();
        RowGroupEncoder { columns, pending: Vec::new(), pending_rows: 0, rows: 0 }
    }
}

/// A row group, being encoded.
pub(crate) struct RowGroupEncoder {
    columns: Vec<ColumnEncoder>,
    /// Batches of the next page.
    pending: Vec<RecordBatch>,
    pending_rows: usize,
    rows: u64,
}

impl RowGroupEncoder {
    pub(crate) fn push(&mut self, batch: RecordBatch) -> Result<(), RunError> {
        self.rows += batch.num_rows() as u64;
        self.pending_rows += batch.num_rows();
        self.pending.push(batch);
        if self.pending_rows >= PAGE_ROWS { self.page() } else { Ok(()) }
    }

    /// Encodes what is pending, a page of each column. Readers take a page without rows for the end.
    fn page(&mut self) -> Result<(), RunError> {
        if self.pending_rows == 0 {
            return Ok(());
        }
        for (index, column) in self.columns.iter_mut().enumerate() {
            let arrays: Vec<&dyn Array> = self.pending.iter().map(|batch| batch.column(index).as_ref()).collect();
            SCRATCH.with_borrow_mut(|scratch| column.page(&arrays, scratch))?;
        }
        self.pending.clear();
        self.pending_rows = 0;
        Ok(())
    }

    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    pub(crate) fn finish(mut self) -> Result<EncodedRowGroup, RunError> {
        self.page()?;
        let chunks = self.columns.into_iter().map(|column| SCRATCH.with_borrow_mut(|scratch| column.finish(scratch)));
        Ok(EncodedRowGroup { chunks: chunks.collect::<Result<_, _>>()?, rows: self.rows })
    }
}

/// A row group, encoded.
#[derive(Default)]
pub(crate) struct EncodedRowGroup {
    chunks: Vec<EncodedColumn>,
    pub(crate) rows: u64,
}

impl EncodedRowGroup {
    pub(crate) fn append<W: Write + Send>(self, file: &mut SerializedFileWriter<W>) -> Result<(), RunError> {
        if self.rows > 0 {
            let mut group = file.next_row_group()?;
            for chunk in self.chunks {
                group.append_column(&chunk.bytes, chunk.close)?;
            }
            group.close()?;
        }
        Ok(())
    }
}
