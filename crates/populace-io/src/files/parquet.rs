//! Parquet: a worker encodes a whole row group, the writer splices it in.

use super::{Compression, FileOptions};
use crate::error::RunError;
use crate::table::{Kind, Table};
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::basic::{Compression as Codec, Encoding, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesPtr};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{ColumnPath, TypePtr};
use std::io::Write;
use std::sync::Arc;

/// The properties and the schema of the files of a table.
pub(crate) struct ParquetSpec {
    arrow: SchemaRef,
    root: TypePtr,
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
        let mut properties = WriterProperties::builder()
            .set_compression(codec)
            .set_created_by(format!("populace {}", env!("CARGO_PKG_VERSION")))
            .set_statistics_enabled(EnabledStatistics::None)
            .set_offset_index_disabled(true);
        for column in &table.columns {
            let path = ColumnPath::from(column.name);
            properties = match column.kind {
                // High cardinality: a dictionary would be built only to be thrown away.
                Kind::Instant(_) | Kind::Int64 => properties
                    .set_column_dictionary_enabled(path.clone(), false)
                    .set_column_encoding(path.clone(), Encoding::DELTA_BINARY_PACKED)
                    .set_column_statistics_enabled(path, EnabledStatistics::Chunk),
                Kind::Uuid | Kind::Fixed(_) => {
                    properties.set_column_dictionary_enabled(path.clone(), false).set_column_encoding(path, Encoding::PLAIN)
                }
                _ => properties,
            };
        }
        let properties = Arc::new(properties.build());
        let descriptor = ArrowSchemaConverter::new().convert(&table.plain_schema())?;
        Ok(Self { arrow: table.schema(), root: descriptor.root_schema_ptr(), properties })
    }

    pub(crate) fn open<W: Write + Send>(&self, out: W) -> Result<SerializedFileWriter<W>, RunError> {
        Ok(SerializedFileWriter::new(out, Arc::clone(&self.root), Arc::clone(&self.properties))?)
    }
}

/// Makes the encoders of row groups.
pub(crate) struct RowGroupFactory {
    arrow: SchemaRef,
    factory: ArrowRowGroupWriterFactory,
}

impl RowGroupFactory {
    pub(crate) fn new(table: &Table, options: &FileOptions) -> Result<Self, RunError> {
        let spec = ParquetSpec::new(table, options)?;
        let factory = ArrowRowGroupWriterFactory::new(&spec.open(std::io::sink())?, Arc::clone(&spec.arrow));
        Ok(Self { arrow: spec.arrow, factory })
    }

    pub(crate) fn start(&self) -> Result<RowGroupEncoder, RunError> {
        Ok(RowGroupEncoder { arrow: Arc::clone(&self.arrow), writers: self.factory.create_column_writers(0)?, rows: 0 })
    }
}

/// A row group, being encoded.
pub(crate) struct RowGroupEncoder {
    arrow: SchemaRef,
    writers: Vec<ArrowColumnWriter>,
    rows: u64,
}

impl RowGroupEncoder {
    pub(crate) fn push(&mut self, batch: &RecordBatch) -> Result<(), RunError> {
        for ((field, array), writer) in self.arrow.fields().iter().zip(batch.columns()).zip(&mut self.writers) {
            for leaf in compute_leaves(field, array)? {
                writer.write(&leaf)?;
            }
        }
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    pub(crate) fn finish(self) -> Result<EncodedRowGroup, RunError> {
        let chunks = self.writers.into_iter().map(ArrowColumnWriter::close).collect::<Result<Vec<_>, _>>()?;
        Ok(EncodedRowGroup { chunks, rows: self.rows })
    }
}

/// A row group, encoded.
#[derive(Default)]
pub(crate) struct EncodedRowGroup {
    chunks: Vec<ArrowColumnChunk>,
    pub(crate) rows: u64,
}

impl EncodedRowGroup {
    pub(crate) fn append<W: Write + Send>(self, file: &mut SerializedFileWriter<W>) -> Result<(), RunError> {
        if self.rows > 0 {
            let mut group = file.next_row_group()?;
            for chunk in self.chunks {
                chunk.append_to_row_group(&mut group)?;
            }
            group.close()?;
        }
        Ok(())
    }
}
