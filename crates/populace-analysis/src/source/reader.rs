//! One file: its columns and its batches.

use super::Want;
use super::text::{Csv, JsonLines, json_list};
use crate::error::AnalysisError;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{ArrowError, Field, Schema};
use parquet::arrow::ProjectionMask;
use populace_io::terminal::printable;
use populace_io::untrusted::{self, unreadable};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The most bytes of the names of a CSV file's columns.
const MAX_HEADER: u64 = 1 << 20;
/// Rows of a batch.
pub(super) const BATCH_ROWS: usize = 8 << 10;

/// How a file is written, by its ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Parquet,
    Arrow,
    Csv {
        packed: bool,
    },
    Jsonl {
        packed: bool,
    },
    /// One list of objects, as short tables are often written.
    Json,
}

impl Encoding {
    pub(super) fn of(path: &Path) -> Result<Self, AnalysisError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        let plain = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst"));
        let (name, packed) = (plain.unwrap_or(&name), plain.is_some());
        match (name.rsplit('.').next().unwrap_or_default(), packed) {
            ("parquet", false) => Ok(Self::Parquet),
            ("arrow" | "feather", false) => Ok(Self::Arrow),
            ("json", false) => Ok(Self::Json),
            ("csv", packed) => Ok(Self::Csv { packed }),
            ("jsonl" | "ndjson", packed) => Ok(Self::Jsonl { packed }),
            _ => Err(AnalysisError::input(format!(
                "{}: is of no known format; known are .{}, .json (a list), .ndjson and .feather",
                path.display(),
                super::ENDINGS.join(", .")
            ))),
        }
    }

    pub(super) fn is_plain_text(self) -> bool {
        matches!(self, Self::Csv { packed: false } | Self::Jsonl { packed: false })
    }
}

pub(super) type RawBatches = Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>> + Send>;

/// The batches of a file, with the wanted columns as they are wanted.
pub(super) struct FileReader {
    path: PathBuf,
    wants: Vec<Want>,
    /// Whether text may stay codes of a dictionary.
    codes: bool,
    batches: RawBatches,
    rows: u64,
}

impl FileReader {
    pub(super) fn open(path: &Path, wants: &[Want]) -> Result<Self, AnalysisError> {
        check_columns(path, wants)?;
        let batches = untrusted::guarded(path, || raw(path, wants))??;
        Ok(Self { path: path.to_owned(), wants: wants.to_vec(), codes: false, batches, rows: 0 })
    }

    /// A reader of batches of a file; text may stay codes of a dictionary.
    pub(super) fn of(path: &Path, wants: &[Want], batches: RawBatches) -> Self {
        Self { path: path.to_owned(), wants: wants.to_vec(), codes: true, batches, rows: 0 }
    }

    pub(super) fn next_batch(&mut self) -> Result<Option<RecordBatch>, AnalysisError> {
        let path = self.path.clone();
        untrusted::guarded(&path, || self.read_batch())?
    }

    fn read_batch(&mut self) -> Result<Option<RecordBatch>, AnalysisError> {
        let Some(raw) = self.batches.next().transpose().map_err(|error| unreadable(&self.path, error))? else { return Ok(None) };
        let column = |want: &Want| -> Result<ArrayRef, AnalysisError> {
            let Some(column) = raw.column_by_name(want.name) else { return Ok(want.nulls(raw.num_rows())) };
            want.cast(column, self.codes).map_err(|(row, what)| {
                let row = self.rows + row as u64 + 1;
                AnalysisError::input(format!("{}: row {row}, column {}: {what}", self.path.display(), want.name))
            })
        };
        let columns = self.wants.iter().map(column).collect::<Result<Vec<_>, _>>()?;
        self.rows += raw.num_rows() as u64;
        let field = |(want, column): (&Want, &ArrayRef)| Field::new(want.name, column.data_type().clone(), want.nullable);
        let schema = Arc::new(Schema::new(self.wants.iter().zip(&columns).map(field).collect::<Vec<_>>()));
        let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(raw.num_rows()));
        Ok(Some(RecordBatch::try_new_with_options(schema, columns, &options).expect("the columns were cast to the schema")))
    }
}

/// The names of a file's columns.
pub(super) fn column_names(path: &Path) -> Result<Vec<String>, AnalysisError> {
    untrusted::guarded(path, || names_of(path))?
}

fn names_of(path: &Path) -> Result<Vec<String>, AnalysisError> {
    let of_schema = |schema: &Schema| schema.fields().iter().map(|field| field.name().clone()).collect();
    match Encoding::of(path)? {
        Encoding::Parquet => Ok(of_schema(untrusted::parquet(path)?.schema())),
        Encoding::Arrow => Ok(of_schema(&untrusted::arrow_schema(path)?)),
        Encoding::Csv { .. } => {
            let mut reader = csv::ReaderBuilder::new().from_reader(untrusted::text(path)?.take(MAX_HEADER));
            let header = reader.headers().map_err(|error| unreadable(path, error))?;
            if header.is_empty() {
                return Err(AnalysisError::input(format!("{}: is empty; a CSV file begins with the names of its columns", path.display())));
            }
            let names: Vec<String> = header.iter().map(|name| name.trim_start_matches('\u{feff}').to_owned()).collect();
            if reader.position().byte() >= MAX_HEADER {
                return Err(unreadable(path, "the line of the names does not end: is a quote not closed?").into());
            }
            Ok(names)
        }
        Encoding::Jsonl { .. } | Encoding::Json => {
            let mut line = String::new();
            json_lines(path)?.read_line(&mut line).map_err(|error| AnalysisError::io(path, error))?;
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
    let alike = |missing: &&str| names.iter().find(|name| strsim::damerau_levenshtein(&name.to_lowercase(), missing) <= 2);
    Err(no_columns(path, &missing, &names, missing.iter().find_map(alike)))
}

/// The error of a file that lacks columns, though it may have one of another name.
pub(crate) fn no_columns(path: &Path, missing: &[&str], names: &[String], near: Option<&String>) -> AnalysisError {
    let in_line = |text: &str| printable(text).replace('\n', "\\n").replace('\t', "\\t");
    let plural = if missing.len() == 1 { "column" } else { "columns" };
    let hint = near.map_or_else(String::new, |near| format!("\nhint: rename `{}`", in_line(near)));
    AnalysisError::input(format!("{}: has no {plural} {}; it has {}{hint}", path.display(), missing.join(", "), in_line(&names.join(", "))))
}

pub(super) fn raw(path: &Path, wants: &[Want]) -> Result<RawBatches, AnalysisError> {
    let wanted = |name: &str| wants.iter().any(|want| want.name == name);
    Ok(match Encoding::of(path)? {
        Encoding::Parquet => {
            let builder = untrusted::parquet(path)?;
            let fields = builder.schema().fields().iter().enumerate();
            let roots: Vec<usize> = fields.filter(|(_, field)| wanted(field.name())).map(|(index, _)| index).collect();
            let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
            let reader = builder.with_projection(mask).with_batch_size(BATCH_ROWS).build();
            Box::new(reader.map_err(|error| unreadable(path, error))?)
        }
        Encoding::Arrow => Box::new(untrusted::arrow(path, wanted)?),
        Encoding::Csv { .. } => Box::new(Csv::new(untrusted::text(path)?, &column_names(path)?, wanted, true)),
        Encoding::Jsonl { .. } | Encoding::Json => {
            Box::new(JsonLines::new(json_lines(path)?, wants.iter().map(|want| want.name.to_owned()).collect()))
        }
    })
}

/// The JSON objects of a file, one a line.
fn json_lines(path: &Path) -> Result<Box<dyn BufRead + Send>, AnalysisError> {
    if Encoding::of(path)? == Encoding::Json {
        return Ok(Box::new(BufReader::new(json_list(untrusted::bytes(path)?))));
    }
    Ok(untrusted::text(path)?)
}
