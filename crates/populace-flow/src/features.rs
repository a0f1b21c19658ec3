//! Features of recipients as a service: computed by [`populace_analysis::features`] from a directory of files or from the embedded table,
//! kept as the file that `populace features` writes, and given out one person at a time.

#[cfg(feature = "clickhouse")]
pub mod clickhouse;

use crate::embedded::{EmbeddedTable, PageEnd};
use crate::error::FlowError;
use crate::event::Event;
use crate::http::{FeatureSource, Features};
use crate::identity::IdentityStore;
use crate::time;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int16Type, Int32Type, TimestampMicrosecondType};
use arrow_array::{Array, BooleanArray, RecordBatch};
use arrow_schema::DataType;
use arrow_select::filter::filter_record_batch;
use parquet::arrow::ArrowWriter;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::Result as ParquetResult;
use parquet::file::properties::WriterProperties;
use populace_analysis::features::{Options, Watch};
use populace_analysis::{AnalysisError, families};
use populace_core::time::Instant;
use populace_io::error::RunError;
use populace_io::untrusted::{Checked, guarded, unreadable};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The file that features are kept in.
const FILE: &str = "features.parquet";
/// The longest that there is no file while it is replaced.
const REPLACED_WITHIN: Duration = Duration::from_millis(50);
/// Events that are read from the table at a time.
const PAGE: usize = 10_000;

/// Where the events are.
pub enum Source {
    /// Files, as `populace generate` writes them or a user brings them.
    Directory(PathBuf),
    /// A table, with who is who by now.
    Table(Arc<dyn EventPages>, Arc<dyn IdentityStore>),
}

/// A table of events that can be read from its beginning to its end.
pub trait EventPages: Send + Sync {
    /// At most `most` events in the order of person, time and id, from the one after `after` on, and what the page ended with.
    ///
    /// # Errors
    /// The table is not to be read, or holds a row that is not an event.
    fn page(&self, after: &PageEnd, most: usize) -> Result<(Vec<Event<'static>>, PageEnd), FlowError>;

    /// The `recipient_id` of the first event under an id.
    ///
    /// # Errors
    /// The table is not to be read.
    fn recipient_of(&self, universal_id: &str) -> Result<Option<String>, FlowError>;

    /// The moment of the last event there is.
    ///
    /// # Errors
    /// The table is not to be read.
    fn last(&self) -> Result<Option<Instant>, FlowError>;
}

impl EventPages for EmbeddedTable {
    fn page(&self, after: &PageEnd, most: usize) -> Result<(Vec<Event<'static>>, PageEnd), FlowError> {
        Self::page(self, after, most)
    }

    fn recipient_of(&self, universal_id: &str) -> Result<Option<String>, FlowError> {
        Ok(self.of_person(universal_id)?.into_iter().next().map(|first| first.recipient_id.into_owned()))
    }

    fn last(&self) -> Result<Option<Instant>, FlowError> {
        Self::last(self)
    }
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
/// The folder cannot be made, or there is no directory of files.
pub fn open(source: Source, directory: &Path) -> Result<FeatureSource, FlowError> {
    if let Source::Directory(path) = &source
        && !path.is_dir()
    {
        return Err(FlowError::Refused(format!(
            "{}: is not a directory; give the one that holds the table events, such as events.parquet",
            path.display()
        )));
    }
    let output = directory.join("features");
    crate::embedded::private_directory(&output)?;
    // What a computation left behind that was killed: it may hold events of somebody who was erased since.
    for entry in std::fs::read_dir(&output).map_err(|error| FlowError::io(&output, error))?.flatten() {
        if entry.file_name().to_string_lossy().starts_with('.') {
            std::fs::remove_dir_all(entry.path()).map_err(|error| FlowError::io(entry.path(), error))?;
        }
    }
    Ok(Arc::new(Kept { source, output, computing: Mutex::new(()) }))
}

fn refused(error: impl std::fmt::Display) -> FlowError {
    FlowError::Refused(error.to_string())
}

impl Kept {
    fn file(&self) -> PathBuf {
        self.output.join(FILE)
    }

    /// The features, if they were ever computed.
    fn open_file(&self) -> Result<Option<File>, FlowError> {
        let path = self.file();
        for last in [false, true] {
            match File::open(&path) {
                Ok(file) => return Ok(Some(file)),
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(FlowError::io(&path, error)),
                // Between the removal of a file and the appearance of its successor.
                Err(_) if !last => std::thread::sleep(REPLACED_WITHIN),
                Err(_) => {}
            }
        }
        Ok(None)
    }

    /// Writes the events of the table as JSON lines, which the features are computed from. Events that were stored under an earlier id of
    /// a person are the person's. Whether there are any.
    fn export(table: &dyn EventPages, identities: &dyn IdentityStore, to: &Path) -> Result<bool, FlowError> {
        let path = to.join("events.jsonl");
        let failed = |error| FlowError::io(&path, error);
        let mut file = BufWriter::new(File::create(&path).map_err(failed)?);
        let mut end = PageEnd::default();
        // Whose the events of an id are, by that id: the person, and the person's first `recipient_id`, as features have a row for each.
        let mut whose: HashMap<String, (String, String)> = HashMap::new();
        loop {
            let (events, next) = table.page(&end, PAGE)?;
            if events.is_empty() {
                file.flush().map_err(failed)?;
                return Ok(end != PageEnd::default());
            }
            let last = events.last().map(|event| event.universal_id.to_string());
            let mut firsts: Vec<&Event<'_>> = events.iter().filter(|event| !whose.contains_key(event.universal_id.as_ref())).collect();
            firsts.dedup_by_key(|event| &event.universal_id);
            let persons = identities.current(&firsts.iter().map(|event| event.universal_id.as_ref()).collect::<Vec<_>>())?;
            for first in firsts {
                let id = first.universal_id.as_ref();
                let person = persons.get(id).map_or(id, String::as_str).to_owned();
                let recipient = if person == id { None } else { Some(table.recipient_of(&person)?.unwrap_or_else(|| person.clone())) };
                whose.insert(id.to_owned(), (person, recipient.unwrap_or_else(|| first.recipient_id.to_string())));
            }
            for mut event in events {
                let (person, recipient) = &whose[event.universal_id.as_ref()];
                event.universal_id = person.as_str().into();
                event.recipient_id = recipient.as_str().into();
                file.write_all(&event.to_json()).and_then(|()| file.write_all(b"\n")).map_err(failed)?;
            }
            // The table is in the order of ids: only the last one of this page can be in the next.
            whose.retain(|id, _| Some(id) == last.as_ref());
            end = next;
        }
    }
}

impl Features for Kept {
    fn compute(&self, as_of: Option<Instant>) -> Result<Option<Value>, FlowError> {
        let _alone = self.computing.lock().unwrap_or_else(PoisonError::into_inner);
        let scratch = tempfile::Builder::new().prefix(".events-").tempdir_in(&self.output);
        let scratch = scratch.map_err(|error| FlowError::io(&self.output, error))?;
        let data = match &self.source {
            Source::Directory(path) => path.as_path(),
            Source::Table(table, identities) => {
                if !Self::export(table.as_ref(), identities.as_ref(), scratch.path())? {
                    return Ok(None);
                }
                scratch.path()
            }
        };
        let options = Options { overwrite: true, now: as_of, ..Options::new(data, &self.output) };
        serde_json::to_value(computed(&options)?).map(Some).map_err(refused)
    }

    fn compute_one(&self, universal_id: &str, universal_ids: &[String]) -> Result<Option<Value>, FlowError> {
        let Source::Table(table, _) = &self.source else {
            // Files are read whole, or not at all.
            return if self.open_file()?.is_none() && self.compute(None)?.is_some() { self.of(universal_id) } else { Ok(None) };
        };
        let Some(now) = table.last()? else { return Ok(None) };
        let _alone = self.computing.lock().unwrap_or_else(PoisonError::into_inner);
        let scratch = tempfile::Builder::new().prefix(".events-").tempdir_in(&self.output);
        let scratch = scratch.map_err(|error| FlowError::io(&self.output, error))?;
        if !export_one(table.as_ref(), (universal_id, universal_ids), scratch.path())? {
            return Ok(None);
        }
        let output = scratch.path().join("features");
        computed(&Options { now: Some(now), ..Options::new(scratch.path(), &output) })?;
        let path = output.join(FILE);
        row(&path, File::open(&path).map_err(|error| FlowError::io(&path, error))?, universal_id)
    }

    fn erase(&self, universal_ids: &[String]) -> Result<u64, FlowError> {
        // A computation that began before the events were erased ends first.
        let _alone = self.computing.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.file();
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(FlowError::io(&path, error)),
        };
        let partial = self.output.join(format!("{FILE}.partial"));
        let failed = |error| FlowError::io(&partial, error);
        let to = File::create(&partial).map_err(failed)?;
        let erased = without((&path, file), (&partial, to), universal_ids).inspect_err(|_| drop(std::fs::remove_file(&partial)))?;
        if erased == 0 {
            std::fs::remove_file(&partial).map_err(failed)?;
        } else {
            std::fs::rename(&partial, &path).map_err(failed)?;
        }
        Ok(erased)
    }

    fn of(&self, universal_id: &str) -> Result<Option<Value>, FlowError> {
        let Some(file) = self.open_file()? else { return Ok(None) };
        row(&self.file(), file, universal_id)
    }
}

/// Reads the file of features at `path`, which the disk may have damaged.
fn reading<V>(path: &Path, act: impl FnOnce() -> ParquetResult<V>) -> Result<V, FlowError> {
    let read = guarded(path, act).and_then(|read| read.map_err(|error| unreadable(path, error)));
    read.map_err(|error| refused(format!("{error} Compute it anew: POST /compute-features")))
}

/// Writes the rows of a file that are of other people, and counts those that are not.
fn without(from: (&Path, File), to: (&Path, File), universal_ids: &[String]) -> Result<u64, FlowError> {
    let (schema, mut reader) = reading(from.0, || {
        let reader = ParquetRecordBatchReaderBuilder::try_new(Checked::new(from.1))?;
        Ok((Arc::clone(reader.schema()), reader.build()?))
    })?;
    let failed = |error| refused(format!("{}: {error}", to.0.display()));
    let properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).set_dictionary_enabled(false);
    let mut writer = ArrowWriter::try_new(to.1, schema, Some(properties.build())).map_err(failed)?;
    let mut erased = 0;
    while let Some(batch) = reading(from.0, || Ok(reader.next().transpose()?))? {
        let ids = batch.column_by_name("universal_id").and_then(AsArray::as_string_opt::<i32>);
        let theirs = |row: usize| ids.is_some_and(|ids| ids.is_valid(row) && universal_ids.iter().any(|id| id == ids.value(row)));
        let keep: BooleanArray = (0..batch.num_rows()).map(|row| Some(!theirs(row))).collect();
        erased += keep.false_count() as u64;
        writer.write(&filter_record_batch(&batch, &keep).map_err(refused)?).map_err(failed)?;
    }
    writer.close().map_err(failed)?;
    Ok(erased)
}

fn computed(options: &Options) -> Result<populace_analysis::features::Report, FlowError> {
    families::compute_features(options, &Watch::none(1)).map_err(|error| match error {
        AnalysisError::Io { path, source } | AnalysisError::Run(RunError::Io { path, source }) => FlowError::io(path, source),
        error => refused(error),
    })
}

/// Writes the events of a person under the id of now. Whether there are any.
fn export_one(table: &dyn EventPages, (universal_id, universal_ids): (&str, &[String]), to: &Path) -> Result<bool, FlowError> {
    let path = to.join("events.jsonl");
    let failed = |error| FlowError::io(&path, error);
    let mut file = BufWriter::new(File::create(&path).map_err(failed)?);
    let mut recipient: Option<String> = None;
    for id in universal_ids {
        let mut end = PageEnd::before(id);
        'of_id: loop {
            let (events, next) = table.page(&end, PAGE)?;
            if events.is_empty() {
                break;
            }
            end = next;
            for mut event in events {
                if event.universal_id != *id {
                    break 'of_id;
                }
                let recipient = recipient.get_or_insert_with(|| event.recipient_id.to_string());
                event.recipient_id = recipient.as_str().into();
                event.universal_id = universal_id.into();
                file.write_all(&event.to_json()).and_then(|()| file.write_all(b"\n")).map_err(failed)?;
            }
        }
    }
    file.flush().map_err(failed)?;
    Ok(recipient.is_some())
}

/// The row of a person in a file of features.
fn row(path: &Path, file: File, universal_id: &str) -> Result<Option<Value>, FlowError> {
    // The file is replaced as a whole: both readers have the one that was there.
    let again = file.try_clone().map_err(|error| FlowError::io(path, error))?;
    let batch = reading(path, || {
        let Some(row) = row_of(again, universal_id)? else { return Ok(None) };
        let reader = ParquetRecordBatchReaderBuilder::try_new(Checked::new(file))?;
        Ok(reader.with_offset(row).with_limit(1).build()?.next().transpose()?)
    })?;
    batch.filter(|batch| batch.num_rows() > 0).map(|batch| first_row(&batch)).transpose()
}

/// The first row of a batch as a JSON object.
fn first_row(batch: &RecordBatch) -> Result<Value, FlowError> {
    let schema = batch.schema_ref();
    let cells = schema.fields().iter().zip(batch.columns()).map(|(field, column)| Ok((field.name().clone(), cell(column.as_ref(), 0)?)));
    cells.collect::<Result<Map<_, _>, FlowError>>().map(Value::Object)
}

/// One value, of the types that features have.
fn cell(column: &dyn Array, row: usize) -> Result<Value, FlowError> {
    if column.is_null(row) {
        return Ok(Value::Null);
    }
    Ok(match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().value(row).into(),
        DataType::Boolean => column.as_boolean().value(row).into(),
        DataType::Int16 => column.as_primitive::<Int16Type>().value(row).into(),
        DataType::Int32 => column.as_primitive::<Int32Type>().value(row).into(),
        DataType::Float64 => column.as_primitive::<Float64Type>().value(row).into(),
        DataType::Timestamp(_, _) => time::text(Instant(column.as_primitive::<TimestampMicrosecondType>().value(row))).into(),
        DataType::FixedSizeList(_, _) => {
            let values = column.as_fixed_size_list().value(row);
            (0..values.len()).map(|index| cell(values.as_ref(), index)).collect::<Result<Vec<_>, _>>()?.into()
        }
        other => {
            return Err(FlowError::Refused(format!("{FILE} has a column of type {other}, which another version wrote; compute it anew")));
        }
    })
}

/// The number of the row of a person.
fn row_of(file: File, universal_id: &str) -> ParquetResult<Option<usize>> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(Checked::new(file))?;
    let only = ProjectionMask::columns(reader.parquet_schema(), ["universal_id"]);
    let mut before = 0;
    for batch in reader.with_projection(only).build()? {
        let batch = batch?;
        let ids = batch.column(0).as_string::<i32>();
        if let Some(row) = ids.iter().position(|id| id == Some(universal_id)) {
            return Ok(Some(before + row));
        }
        before += batch.num_rows();
    }
    Ok(None)
}
