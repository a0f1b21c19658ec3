//! The files of one table, written in order.

use super::encode::{Encoded, compress};
use super::parquet::{ParquetSpec, RowGroupEncoder, RowGroupFactory};
use super::place::{Place, PlacedFile};
use super::{Compression, FileOptions, Format};
use crate::error::RunError;
use crate::table::Table;
use crate::text::TextFormat;
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};
use parquet::file::writer::SerializedFileWriter;
use serde::{Deserialize, Serialize};
use std::io::{self, BufWriter, Write};

/// Rows of a row group of a small table, which the writer holds until it is full.
const SMALL_GROUP_ROWS: u64 = 16 << 10;

/// A complete file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileInfo {
    /// Its path within the run's directory, with `/`.
    pub path: String,
    /// Its rows.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
}

/// How the files of a table, or of a part of it, are named. A table that is expected to have more rows than a file is a directory from
/// its first file on, so that no name stands for a share of a table.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    /// The path without number and ending.
    pub(crate) stem: String,
    /// Whether there may be several files.
    pub(crate) rolls: bool,
}

impl Names {
    /// The path of a file.
    pub(crate) fn path(&self, index: usize, ending: &str) -> String {
        let stem = &self.stem;
        if self.rolls { format!("{stem}-{index:05}.{ending}") } else { format!("{stem}.{ending}") }
    }
}

/// How far the files of a table have come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilesState {
    /// Complete files.
    pub complete: Vec<FileInfo>,
    /// Rows in the file that is being written.
    pub rows: u64,
    /// Bytes of it from which it can be continued.
    pub bytes: u64,
    /// Its path.
    pub open: String,
}

impl FilesState {
    /// The paths of all files, complete and open.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        let open = Some(self.open.as_str()).filter(|open| !open.is_empty());
        self.complete.iter().map(|file| file.path.as_str()).chain(open)
    }
}

/// Counts what passes through.
struct Counted {
    file: Box<dyn PlacedFile>,
    bytes: u64,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

enum Writer {
    Text(Counted),
    Parquet(Box<SerializedFileWriter<BufWriter<Counted>>>),
    ArrowFile(Box<FileWriter<BufWriter<Counted>>>),
    ArrowStream(Box<StreamWriter<BufWriter<Counted>>>),
}

/// The files of one table.
pub(crate) struct TableFiles<'a> {
    table: &'a Table,
    options: FileOptions,
    place: &'a dyn Place,
    names: Names,
    state: FilesState,
    writer: Option<Writer>,
    parquet: Option<(ParquetSpec, RowGroupFactory)>,
    /// The row group that small units are put into.
    group: Option<RowGroupEncoder>,
}

impl<'a> TableFiles<'a> {
    /// Starts, or goes on from an earlier state.
    pub(crate) fn new(
        table: &'a Table,
        options: FileOptions,
        place: &'a dyn Place,
        names: Names,
        state: FilesState,
    ) -> Result<Self, RunError> {
        let parquet = match options.format {
            Format::Parquet => Some((ParquetSpec::new(table, &options)?, RowGroupFactory::new(table, &options)?)),
            _ => None,
        };
        Ok(Self { table, options, place, names, state, writer: None, parquet, group: None })
    }

    fn path(&self) -> String {
        self.names.path(self.state.complete.len(), &self.options.extension())
    }

    fn open(&mut self) -> Result<(), RunError> {
        if self.writer.is_none() {
            let keep = if self.place.can_continue() && self.is_text() { self.state.bytes } else { 0 };
            let path = self.path();
            let mut file = Counted { file: self.place.create(&path, keep)?, bytes: keep };
            let ipc = || {
                let codec = match self.options.compression {
                    Compression::Zstd(_) => Some(CompressionType::ZSTD),
                    Compression::Lz4 => Some(CompressionType::LZ4_FRAME),
                    _ => None,
                };
                IpcWriteOptions::default().try_with_compression(codec)
            };
            let writer = match self.options.format {
                Format::Csv | Format::Jsonl => {
                    if keep == 0 {
                        let format = if self.options.format == Format::Csv { TextFormat::Csv } else { TextFormat::Jsonl };
                        let header = compress(format.header(self.table), self.options.compression)?;
                        file.write_all(&header).map_err(RunError::Encode)?;
                    }
                    Writer::Text(file)
                }
                Format::Parquet => {
                    let (spec, _) = self.parquet.as_ref().expect("a Parquet table has its schema");
                    Writer::Parquet(Box::new(spec.open(BufWriter::with_capacity(256 << 10, file))?))
                }
                Format::Arrow if self.place.can_continue() => {
                    let out = BufWriter::with_capacity(256 << 10, file);
                    Writer::ArrowFile(Box::new(FileWriter::try_new_with_options(out, &self.table.schema_in(self.options.shape()), ipc()?)?))
                }
                Format::Arrow => {
                    let out = BufWriter::with_capacity(256 << 10, file);
                    Writer::ArrowStream(Box::new(StreamWriter::try_new_with_options(
                        out,
                        &self.table.schema_in(self.options.shape()),
                        ipc()?,
                    )?))
                }
            };
            self.writer = Some(writer);
            self.state.open = path;
        }
        Ok(())
    }

    fn is_text(&self) -> bool {
        matches!(self.options.format, Format::Csv | Format::Jsonl)
    }

    /// Writes a unit of `rows` rows.
    pub(crate) fn write(&mut self, encoded: &mut Encoded, rows: u64) -> Result<(), RunError> {
        self.append(encoded).map_err(|error| error.at(self.place.named(&self.path())))?;
        self.state.rows += rows;
        Ok(())
    }

    fn append(&mut self, encoded: &mut Encoded) -> Result<(), RunError> {
        self.open()?;
        match (self.writer.as_mut().expect("just opened"), encoded) {
            (Writer::Text(file), Encoded::Bytes(bytes)) => {
                file.write_all(bytes).map_err(RunError::Encode)?;
                self.state.bytes = file.bytes;
            }
            (Writer::Parquet(file), Encoded::RowGroup(group)) => std::mem::take(group).append(file)?,
            (Writer::Parquet(file), Encoded::Batches(batches)) => {
                let (_, factory) = self.parquet.as_ref().expect("a Parquet table has its schema");
                for batch in batches.drain(..) {
                    let mut group = self.group.take().unwrap_or_else(|| factory.start());
                    group.push(batch)?;
                    if group.rows() >= self.options.row_group_rows.min(SMALL_GROUP_ROWS) {
                        group.finish()?.append(file)?;
                    } else {
                        self.group = Some(group);
                    }
                }
            }
            (Writer::ArrowFile(file), Encoded::Batches(batches)) => {
                for batch in batches.drain(..) {
                    file.write(&self.table.in_shape(&batch, self.options.shape())?)?;
                }
            }
            (Writer::ArrowStream(file), Encoded::Batches(batches)) => {
                for batch in batches.drain(..) {
                    file.write(&self.table.in_shape(&batch, self.options.shape())?)?;
                }
            }
            _ => unreachable!("units are encoded for the format of the file"),
        }
        Ok(())
    }

    /// Ends the file that is being written.
    fn complete_file(&mut self) -> Result<(), RunError> {
        let path = self.path();
        let bytes = self.close().map_err(|error| error.at(self.place.named(&path)))?;
        self.state.complete.push(FileInfo { path, rows: self.state.rows, bytes });
        (self.state.rows, self.state.bytes) = (0, 0);
        self.state.open.clear();
        Ok(())
    }

    /// Writes what a format has at the end of a file; gives the file's size.
    fn close(&mut self) -> Result<u64, RunError> {
        self.open()?;
        let unbuffered = |out: BufWriter<Counted>| out.into_inner().map_err(|error| RunError::Encode(error.into_error()));
        let counted = match self.writer.take().expect("just opened") {
            Writer::Text(file) => file,
            Writer::Parquet(mut file) => {
                if let Some(group) = self.group.take() {
                    group.finish()?.append(&mut file)?;
                }
                unbuffered(file.into_inner()?)?
            }
            Writer::ArrowFile(mut file) => unbuffered(file.finish().and_then(|()| file.into_inner())?)?,
            Writer::ArrowStream(mut file) => unbuffered(file.finish().and_then(|()| file.into_inner())?)?,
        };
        let bytes = counted.bytes;
        counted.file.complete()?;
        Ok(bytes)
    }

    /// Ends the file if it has reached the size at which files roll. True where the table stands at a point from which an interrupted
    /// run can go on.
    pub(crate) fn settle(&mut self) -> Result<bool, RunError> {
        if self.names.rolls && self.state.rows >= self.options.file_rows {
            self.complete_file()?;
        }
        Ok(self.state.rows == 0 || (self.is_text() && self.place.can_continue()))
    }

    /// Ends the table. A table without rows has one file that says so.
    pub(crate) fn finish(&mut self) -> Result<(), RunError> {
        if self.state.rows > 0 || self.state.complete.is_empty() {
            self.complete_file()?;
        }
        Ok(())
    }

    pub(crate) fn state(&self) -> &FilesState {
        &self.state
    }
}
