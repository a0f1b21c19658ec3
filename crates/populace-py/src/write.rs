//! Runs into directories, as the command line writes them.

use crate::errors;
use crate::scene::option;
use crate::stream::Meter;
use populace_io::dataset::{Dataset, Document, Existing, Parent};
use populace_io::error::RunError;
use populace_io::files::place::Directory;
use populace_io::files::{Compression, FileOptions, Format, Types};
use populace_io::run::{Job, Order, Part};
use populace_io::table::Ids;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::path::PathBuf;
use std::time::Instant;

/// Where and how a run is written.
pub(crate) struct Target {
    place: Directory,
    options: FileOptions,
    order: Order,
    parts: u64,
    existing: Existing,
}

impl Target {
    pub(crate) fn new(root: PathBuf, options: &Bound<'_, PyDict>, format: Format) -> PyResult<Self> {
        if root.exists() && !root.is_dir() {
            return Err(errors::input(format!("directory: {} is a file; choose another", root.display())));
        }
        let named: Option<String> = option(options, "format")?;
        let format = match named.as_deref() {
            None => format,
            Some("parquet") => Format::Parquet,
            Some("csv") => Format::Csv,
            Some("jsonl") => Format::Jsonl,
            Some("arrow") => Format::Arrow,
            Some(other) => return Err(errors::input(format!("format {other}: is none of parquet, csv, jsonl, arrow"))),
        };
        let mut file_options = FileOptions::new(format);
        let compression: Option<String> = option(options, "compression")?;
        if let Some(text) = compression {
            file_options.compression = text.parse::<Compression>().map_err(|error| errors::input(format!("compression: {error}")))?;
        }
        let types: Option<String> = option(options, "parquet")?;
        if let Some(text) = types {
            file_options.types = text.parse::<Types>().map_err(|error| errors::input(format!("parquet: {error}")))?;
        }
        let ids: Option<String> = option(options, "ids")?;
        file_options.ids = ids.map(|ids| ids.parse::<Ids>().map_err(|error| errors::input(format!("ids: {error}")))).transpose()?;
        file_options.row_group_rows = option(options, "row_group_rows")?.unwrap_or(file_options.row_group_rows);
        file_options.file_rows = option(options, "file_rows")?.unwrap_or(file_options.file_rows);
        file_options.check().map_err(errors::input)?;
        let order: Option<String> = option(options, "order")?;
        let order = match order.as_deref() {
            None | Some("actor") => Order::Actor,
            Some("time") => Order::Time,
            Some(other) => return Err(errors::input(format!("order {other}: is none of actor, time"))),
        };
        let (resume, overwrite) = (option(options, "resume")?.unwrap_or(false), option(options, "overwrite")?.unwrap_or(false));
        let existing = match (resume, overwrite) {
            (true, true) => return Err(errors::input("resume=True cannot be used with overwrite=True")),
            (true, false) => Existing::Resume,
            (false, true) => Existing::Overwrite,
            (false, false) => Existing::Refuse,
        };
        let parts = option(options, "parts")?.unwrap_or(1);
        Ok(Self { place: Directory::new(root), options: file_options, order, parts, existing })
    }

    /// Writes the run, which may be a replay of `parent`; gives its manifest as JSON.
    pub(crate) fn write(
        &self,
        mut job: Job<'_>,
        document: Document,
        (count, parent): (Option<u64>, Option<Parent>),
        meter: &Meter,
    ) -> Result<String, RunError> {
        let start = Instant::now();
        job.order = self.order;
        let dataset = Dataset::new(&self.place, &job, document, self.options, self.parts, count).of(parent);
        if !dataset.prepare(self.existing, false)? {
            for part in 0..self.parts {
                dataset.write_part(&job, Part { part, parts: self.parts }, meter)?;
            }
        }
        let manifest = dataset.finish(start.elapsed())?.ok_or(RunError::Interrupted)?;
        serde_json::to_string(&manifest).map_err(|error| RunError::io("manifest.json", error.into()))
    }
}
