//! Features of recipients as a service: computed by [`populace_analysis::features`] from a directory of files or from the embedded table,
//! kept as the file that `populace features` writes, and given out one person at a time.

use crate::embedded::EmbeddedTable;
use crate::error::FlowError;
use crate::http::{FeatureSource, Features};
use arrow_array::cast::AsArray;
use arrow_json::writer::{JsonArray, WriterBuilder};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use populace_analysis::features::{self, Options, Progress, Watch};
use serde_json::Value;
use std::fs::File;
use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

/// The file that features are kept in.
const FILE: &str = "features.parquet";
/// Events that are read from the table at a time.
const PAGE: usize = 10_000;

/// Where the events are.
pub enum Source {
    /// Files, as `populace generate` writes them or a user brings them.
    Directory(PathBuf),
    /// The embedded table.
    Table(Arc<EmbeddedTable>),
}

struct Kept {
    source: Source,
    /// Where the features are kept.
    output: PathBuf,
    /// One computation at a time; a second one that is asked for meanwhile waits and then computes again.
    computing: Mutex<()>,
}

/// The features of a source, kept in a folder `features` of `directory`.
///
/// # Errors
/// The folder cannot be made.
pub fn open(source: Source, directory: &Path) -> Result<FeatureSource, FlowError> {
    let output = directory.join("features");
    std::fs::create_dir_all(&output).map_err(|error| FlowError::io(&output, error))?;
    Ok(Arc::new(Kept { source, output, computing: Mutex::new(()) }))
}

/// Nobody watches.
struct Unwatched;

impl Progress for Unwatched {
    fn begins(&self, _: &str, _: Option<u64>) {}

    fn advanced(&self, _: u64) {}
}

fn refused(error: impl std::fmt::Display) -> FlowError {
    FlowError::Refused(error.to_string())
}

impl Kept {
    fn file(&self) -> PathBuf {
        self.output.join(FILE)
    }

    /// Writes the events of the table as JSON lines, which the features are computed from.
    fn export(table: &EmbeddedTable, to: &Path) -> Result<(), FlowError> {
        let path = to.join("events.jsonl");
        let failed = |error| FlowError::io(&path, error);
        let mut file = BufWriter::new(File::create(&path).map_err(failed)?);
        let mut end = crate::embedded::PageEnd::default();
        loop {
            let (events, next) = table.page(&end, PAGE)?;
            if events.is_empty() {
                return file.flush().map_err(failed);
            }
            for event in events {
                file.write_all(&event.to_json()).and_then(|()| file.write_all(b"\n")).map_err(failed)?;
            }
            end = next;
        }
    }
}

impl Features for Kept {
    fn compute(&self) -> Result<Value, FlowError> {
        let _alone = self.computing.lock().unwrap_or_else(PoisonError::into_inner);
        let scratch = tempfile::Builder::new().prefix(".events-").tempdir_in(&self.output);
        let scratch = scratch.map_err(|error| FlowError::io(&self.output, error))?;
        let data = match &self.source {
            Source::Directory(path) => path.as_path(),
            Source::Table(table) => {
                if crate::table::EventTable::count(table.as_ref())? == 0 {
                    return Err(FlowError::Unavailable("there are no events in the table yet".to_owned()));
                }
                Self::export(table, scratch.path())?;
                scratch.path()
            }
        };
        let options = Options { overwrite: true, ..Options::new(data, &self.output) };
        let watch = Watch { progress: &Unwatched, stop: &AtomicBool::new(false) };
        let report = features::compute(&options, watch).map_err(refused)?;
        serde_json::to_value(report).map_err(refused)
    }

    fn of(&self, universal_id: &str) -> Result<Option<Value>, FlowError> {
        let path = self.file();
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(FlowError::io(&path, error)),
        };
        // The file is replaced as a whole: both readers have the one that was there.
        let again = file.try_clone().map_err(|error| FlowError::io(&path, error))?;
        let Some(row) = row_of(again, universal_id)? else { return Ok(None) };
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).map_err(refused)?;
        let batch = reader.with_offset(row).with_limit(1).build().map_err(refused)?.next().transpose().map_err(refused)?;
        let Some(batch) = batch else { return Ok(None) };
        let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, JsonArray>(Vec::new());
        writer.write(&batch).and_then(|()| writer.finish()).map_err(refused)?;
        let mut rows: Vec<Value> = serde_json::from_slice(&writer.into_inner()).map_err(refused)?;
        Ok(rows.pop())
    }
}

/// The number of the row of a person.
fn row_of(file: File, universal_id: &str) -> Result<Option<usize>, FlowError> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).map_err(refused)?;
    let only = ProjectionMask::columns(reader.parquet_schema(), ["universal_id"]);
    let mut before = 0;
    for batch in reader.with_projection(only).build().map_err(refused)? {
        let batch = batch.map_err(refused)?;
        let ids = batch.column(0).as_string::<i32>();
        if let Some(row) = ids.iter().position(|id| id == Some(universal_id)) {
            return Ok(Some(before + row));
        }
        before += batch.num_rows();
    }
    Ok(None)
}
