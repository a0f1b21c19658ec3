//! One file: its columns and its batches.

use super::Want;
use crate::error::AnalysisError;
use arrow_array::builder::StringBuilder;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Lines, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Rows of a batch.
const BATCH_ROWS: usize = 8 << 10;
/// Bytes read at a time.
const BUFFER: usize = 256 << 10;

/// How a file is written, by its ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Parquet,
    Arrow,
    Csv(Packed),
    Jsonl(Packed),
    /// One list of objects, as short tables are often written.
    Json,
}

/// How a text file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packed {
    No,
    Gzip,
    Zstd,
}

impl Encoding {
    pub(super) fn of(path: &Path) -> Result<Self, AnalysisError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        let (name, packed) = match name.strip_suffix(".gz") {
            Some(name) => (name, Packed::Gzip),
            None => name.strip_suffix(".zst").map_or((name.as_str(), Packed::No), |name| (name, Packed::Zstd)),
        };
        match (name.rsplit('.').next().unwrap_or_default(), packed) {
            ("parquet", Packed::No) => Ok(Self::Parquet),
            ("arrow" | "feather", Packed::No) => Ok(Self::Arrow),
            ("json", Packed::No) => Ok(Self::Json),
            ("csv", packed) => Ok(Self::Csv(packed)),
            ("jsonl" | "ndjson", packed) => Ok(Self::Jsonl(packed)),
            _ => Err(AnalysisError::input(format!(
                "{}: is of no known format; known are .{}, .json (a list), .ndjson and .feather",
                path.display(),
                super::ENDINGS.join(", .")
            ))),
        }
    }

    pub(super) fn is_plain_text(self) -> bool {
        matches!(self, Self::Csv(Packed::No) | Self::Jsonl(Packed::No))
    }
}

type RawBatches = Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>> + Send>;

/// The batches of a file, with the wanted columns as they are wanted.
pub(super) struct FileReader {
    path: PathBuf,
    wants: Vec<Want>,
    schema: SchemaRef,
    batches: RawBatches,
    rows: u64,
}

impl FileReader {
    pub(super) fn open(path: &Path, wants: &[Want]) -> Result<Self, AnalysisError> {
        check_columns(path, wants)?;
        let schema = Arc::new(Schema::new(wants.iter().map(Want::field).collect::<Vec<_>>()));
        Ok(Self { path: path.to_owned(), wants: wants.to_vec(), schema, batches: raw(path, wants)?, rows: 0 })
    }

    pub(super) fn next_batch(&mut self) -> Result<Option<RecordBatch>, AnalysisError> {
        let Some(raw) = self.batches.next().transpose().map_err(|error| unreadable(&self.path, &error))? else { return Ok(None) };
        let column = |want: &Want| -> Result<ArrayRef, AnalysisError> {
            let Some(column) = raw.column_by_name(want.name) else { return Ok(want.nulls(raw.num_rows())) };
            want.cast(column).map_err(|(row, what)| {
                let row = self.rows + row as u64 + 1;
                AnalysisError::input(format!("{}: row {row}, column {}: {what}", self.path.display(), want.name))
            })
        };
        let columns = self.wants.iter().map(column).collect::<Result<Vec<_>, _>>()?;
        self.rows += raw.num_rows() as u64;
        let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(raw.num_rows()));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options);
        Ok(Some(batch.expect("the columns were cast to the schema")))
    }
}

/// The names of a file's columns.
pub(super) fn column_names(path: &Path) -> Result<Vec<String>, AnalysisError> {
    match Encoding::of(path)? {
        Encoding::Parquet => {
            let builder = ParquetRecordBatchReaderBuilder::try_new(open(path)?).map_err(|error| unreadable(path, &error))?;
            Ok(builder.schema().fields().iter().map(|field| field.name().clone()).collect())
        }
        Encoding::Arrow => {
            let reader = arrow_ipc::reader::FileReader::try_new(BufReader::new(open(path)?), None);
            let reader = reader.map_err(|error| unreadable(path, &error))?;
            Ok(reader.schema().fields().iter().map(|field| field.name().clone()).collect())
        }
        Encoding::Csv(packed) => {
            let mut reader = csv::ReaderBuilder::new().from_reader(unpacked(path, packed)?);
            let header = reader.headers().map_err(|error| unreadable(path, &error))?;
            if header.is_empty() {
                return Err(AnalysisError::input(format!("{}: is empty; a CSV file begins with the names of its columns", path.display())));
            }
            Ok(header.iter().map(|name| name.trim_start_matches('\u{feff}').to_owned()).collect())
        }
        Encoding::Jsonl(_) | Encoding::Json => {
            let mut line = String::new();
            BufReader::new(json_lines(path)?).read_line(&mut line).map_err(|error| AnalysisError::io(path, error))?;
            if line.trim().is_empty() {
                return Err(AnalysisError::input(format!("{}: is empty; expected a JSON object on each line", path.display())));
            }
            let first: serde_json::Map<String, Value> =
                serde_json::from_str(&line).map_err(|error| AnalysisError::input(format!("{}: line 1: {error}", path.display())))?;
            Ok(first.keys().cloned().collect())
        }
    }
}

/// Checks that a file has the columns that must be there.
pub(super) fn check_columns(path: &Path, wants: &[Want]) -> Result<(), AnalysisError> {
    let names = column_names(path)?;
    let has = |want: &Want| names.iter().any(|name| name == want.name);
    let missing: Vec<&str> = wants.iter().filter(|want| !want.optional && !has(want)).map(|want| want.name).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let plural = if missing.len() == 1 { "column" } else { "columns" };
    let alike = |missing: &&str| names.iter().find(|name| strsim::damerau_levenshtein(&name.to_lowercase(), missing) <= 2);
    let hint = missing.iter().find_map(alike).map_or_else(String::new, |near| format!("\nhint: rename `{near}`"));
    let (path, missing, names) = (path.display(), missing.join(", "), names.join(", "));
    Err(AnalysisError::input(format!("{path}: has no {plural} {missing}; it has {names}{hint}")))
}

fn raw(path: &Path, wants: &[Want]) -> Result<RawBatches, AnalysisError> {
    let wanted = |name: &str| wants.iter().any(|want| want.name == name);
    let wrong = |error: ArrowError| unreadable(path, &error);
    Ok(match Encoding::of(path)? {
        Encoding::Parquet => {
            let builder = ParquetRecordBatchReaderBuilder::try_new(open(path)?).map_err(|error| unreadable(path, &error))?;
            let fields = builder.schema().fields().iter().enumerate();
            let roots: Vec<usize> = fields.filter(|(_, field)| wanted(field.name())).map(|(index, _)| index).collect();
            let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
            let reader = builder.with_projection(mask).with_batch_size(BATCH_ROWS).build();
            Box::new(reader.map_err(|error| unreadable(path, &error))?)
        }
        Encoding::Arrow => {
            let reader = arrow_ipc::reader::FileReader::try_new(BufReader::with_capacity(BUFFER, open(path)?), None).map_err(wrong)?;
            let fields = reader.schema();
            let kept = fields.fields().iter().enumerate().filter(|(_, field)| wanted(field.name())).map(|(index, _)| index).collect();
            drop(reader);
            let file = BufReader::with_capacity(BUFFER, open(path)?);
            Box::new(arrow_ipc::reader::FileReader::try_new(file, Some(kept)).map_err(wrong)?)
        }
        Encoding::Csv(packed) => {
            let names = column_names(path)?;
            let kept = names.iter().enumerate().filter(|(_, name)| wanted(name)).map(|(index, _)| index).collect();
            let builder = arrow_csv::ReaderBuilder::new(all_text(&names)).with_header(true).with_projection(kept);
            Box::new(builder.with_batch_size(BATCH_ROWS).build(unpacked(path, packed)?).map_err(wrong)?)
        }
        Encoding::Jsonl(_) | Encoding::Json => {
            let names = wants.iter().map(|want| want.name.to_owned()).collect();
            Box::new(JsonLines { lines: BufReader::with_capacity(BUFFER, json_lines(path)?).lines(), names, line: 0 })
        }
    })
}

/// The JSON objects of a file, one a line. A list is held in memory.
fn json_lines(path: &Path) -> Result<Box<dyn Read + Send>, AnalysisError> {
    if let Encoding::Jsonl(packed) = Encoding::of(path)? {
        return unpacked(path, packed);
    }
    let list: Vec<Value> = serde_json::from_reader(unpacked(path, Packed::No)?)
        .map_err(|error| AnalysisError::input(format!("{}: is no list of JSON objects: {error}", path.display())))?;
    let lines: Vec<String> = list.iter().map(Value::to_string).collect();
    Ok(Box::new(Cursor::new(lines.join("\n"))))
}

/// Lines of JSON objects as batches of text: an object or a list within a column stays JSON.
struct JsonLines<R> {
    lines: Lines<R>,
    names: Vec<String>,
    /// Number of the latest line, from 1.
    line: u64,
}

impl<R: BufRead> JsonLines<R> {
    /// The next batch; `None` where no line is left.
    fn batch(&mut self) -> Result<Option<RecordBatch>, ArrowError> {
        let mut columns: Vec<StringBuilder> = self.names.iter().map(|_| StringBuilder::new()).collect();
        let mut rows = 0;
        while rows < BATCH_ROWS {
            let Some(line) = self.lines.next().transpose()? else { break };
            self.line += 1;
            if line.trim().is_empty() {
                continue;
            }
            let object: serde_json::Map<String, Value> =
                serde_json::from_str(&line).map_err(|error| ArrowError::JsonError(format!("line {}: {error}", self.line)))?;
            for (name, column) in self.names.iter().zip(&mut columns) {
                match object.get(name) {
                    None | Some(Value::Null) => column.append_null(),
                    Some(Value::String(text)) => column.append_value(text),
                    Some(other) => column.append_value(other.to_string()),
                }
            }
            rows += 1;
        }
        if rows == 0 {
            return Ok(None);
        }
        let columns = columns.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef).collect();
        RecordBatch::try_new(all_text(&self.names), columns).map(Some)
    }
}

impl<R: BufRead> Iterator for JsonLines<R> {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.batch().transpose()
    }
}

fn all_text(names: &[impl AsRef<str>]) -> SchemaRef {
    Arc::new(Schema::new(names.iter().map(|name| Field::new(name.as_ref(), DataType::Utf8, true)).collect::<Vec<_>>()))
}

fn open(path: &Path) -> Result<File, AnalysisError> {
    File::open(path).map_err(|error| AnalysisError::io(path, error))
}

pub(super) fn unpacked(path: &Path, packed: Packed) -> Result<Box<dyn Read + Send>, AnalysisError> {
    let file = BufReader::with_capacity(BUFFER, open(path)?);
    Ok(match packed {
        Packed::No => Box::new(file),
        Packed::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(file)),
        Packed::Zstd => Box::new(zstd::Decoder::with_buffer(file).map_err(|error| AnalysisError::io(path, error))?),
    })
}

fn unreadable(path: &Path, error: &dyn std::fmt::Display) -> AnalysisError {
    AnalysisError::input(format!("{}: cannot be read: {error}; is it cut off, or not what its ending says?", path.display()))
}
