//! Runs in directories: written as the command line writes them, and read back.

use crate::errors;
use crate::run::{Run, option};
use crate::stream::{Item, Meter};
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, DictionaryArray, RecordBatch};
use arrow_cast::cast;
use arrow_schema::{ArrowError, DataType};
use populace_analysis::AnalysisError;
use populace_analysis::source::{Source, Want};
use populace_io::catalogue;
use populace_io::dataset::{Dataset, Document, Existing};
use populace_io::error::RunError;
use populace_io::files::place::Directory;
use populace_io::files::{Compression, FileOptions, Format};
use populace_io::run::{Order, Part};
use populace_io::table::Table;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;
use std::time::Instant;

fn told(error: AnalysisError) -> ArrowError {
    ArrowError::ExternalError(Box::new(error))
}

/// The exception of an error that came through a stream.
pub(crate) fn arrow_error(error: &ArrowError) -> PyErr {
    match error {
        ArrowError::ExternalError(source) => match source.downcast_ref::<AnalysisError>() {
            Some(error) => errors::analysis(error),
            None => errors::internal(source),
        },
        error => errors::internal(error),
    }
}

/// Sends the rows of a table of the run in `root`, under the table's plain schema.
pub(crate) fn read(root: &Path, table: &Table, sender: &SyncSender<Item>, meter: &Meter) -> Result<(), ArrowError> {
    let source = Source::open(root).map_err(told)?.table(&table.path()).map_err(told)?;
    let schema = table.plain_schema();
    for batch in source.read(&table.columns.iter().map(Want::of).collect::<Vec<_>>()).map_err(told)? {
        let batch = batch.map_err(told)?;
        let columns = batch.columns().iter().zip(schema.fields()).map(|(column, field)| cast(column, field.data_type()));
        let batch = RecordBatch::try_new(schema.clone(), columns.collect::<Result<_, _>>()?)?;
        // That nobody takes the batches any longer is how a stream ends early.
        if sender.send(Ok(batch)).is_err() || meter.stop.load(Ordering::Relaxed) {
            break;
        }
    }
    Ok(())
}

/// A batch under the table's own schema: text as dictionaries.
pub(crate) fn coded(table: &Table, plain: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let schema = table.schema();
    let columns = plain.columns().iter().zip(schema.fields()).map(|(column, field)| match field.data_type() {
        DataType::Dictionary(..) => {
            let texts = column.as_any().downcast_ref::<arrow_array::StringArray>();
            let texts = texts.ok_or_else(|| ArrowError::CastError(format!("{} is no text", field.name())))?;
            Ok::<ArrayRef, ArrowError>(Arc::new(texts.iter().collect::<DictionaryArray<Int32Type>>()))
        }
        _ => Ok(column.clone()),
    });
    RecordBatch::try_new(schema.clone(), columns.collect::<Result<_, _>>()?)
}

/// Where and how a run is written.
pub(crate) struct Target {
    place: Directory,
    options: FileOptions,
    order: Order,
    parts: u64,
    existing: Existing,
}

impl Target {
    pub(crate) fn new(run: &Run, root: PathBuf, options: &Bound<'_, PyDict>) -> PyResult<Self> {
        if root.exists() && !root.is_dir() {
            return Err(errors::input(format!("{} is a file; choose another directory with -o", root.display())));
        }
        let format: Option<String> = option(options, "format")?;
        let format = match format.as_deref() {
            None => catalogue::default_format(&run.scene.resolved.family),
            Some("parquet") => Format::Parquet,
            Some("csv") => Format::Csv,
            Some("jsonl") => Format::Jsonl,
            Some("arrow") => Format::Arrow,
            Some(other) => return Err(errors::input(format!("--format {other}: is none of parquet, csv, jsonl, arrow"))),
        };
        let mut file_options = FileOptions::new(format);
        let compression: Option<String> = option(options, "compression")?;
        if let Some(text) = compression {
            file_options.compression = text.parse::<Compression>().map_err(|error| errors::input(format!("--compression: {error}")))?;
        }
        file_options.row_group_rows = option(options, "row_group_rows")?.unwrap_or(file_options.row_group_rows);
        file_options.file_rows = option(options, "file_rows")?.unwrap_or(file_options.file_rows);
        file_options.check().map_err(|message| errors::input(format!("--compression: {message}")))?;
        let order: Option<String> = option(options, "order")?;
        let order = match order.as_deref() {
            None | Some("actor") => Order::Actor,
            Some("time") => Order::Time,
            Some(other) => return Err(errors::input(format!("--order {other}: is none of actor, time"))),
        };
        let (resume, overwrite) = (option(options, "resume")?.unwrap_or(false), option(options, "overwrite")?.unwrap_or(false));
        let existing = match (resume, overwrite) {
            (true, true) => return Err(errors::input("--resume cannot be used with --overwrite")),
            (true, false) => Existing::Resume,
            (false, true) => Existing::Overwrite,
            (false, false) => Existing::Refuse,
        };
        let parts = option(options, "parts")?.unwrap_or(1);
        Ok(Self { place: Directory::new(root), options: file_options, order, parts, existing })
    }

    /// Writes the run; gives its manifest as JSON.
    pub(crate) fn write(&self, run: &Run, meter: &Meter) -> Result<String, RunError> {
        let start = Instant::now();
        let mut job = run.job(run.tables, &meter.stop);
        job.order = self.order;
        let resolved = &run.scene.resolved;
        let document = Document { name: resolved.name.clone(), digest: resolved.digest(), yaml: resolved.to_yaml(Some(run.seed)) };
        let dataset = Dataset::new(&self.place, &job, document, self.options, self.parts, run.count);
        if !dataset.prepare(self.existing, false)? {
            for part in 0..self.parts {
                dataset.write_part(&job, Part { part, parts: self.parts }, meter)?;
            }
        }
        let manifest = dataset.finish(start.elapsed())?.ok_or(RunError::Interrupted)?;
        serde_json::to_string(&manifest).map_err(|error| RunError::io("manifest.json", error.into()))
    }
}
