//! Calls of sessions, held as Arrow columns: the objects of `populace.traces` are views on them.

pub(crate) mod walk;

use crate::errors;
use crate::files::arrow_error;
use crate::run::Run;
use crate::sequences::{Names, Sequences};
use crate::stream::Meter;
use crate::wait::wait;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow_cast::cast;
use arrow_schema::{ArrowError, DataType, Field, Schema, TimeUnit};
use arrow_select::concat::concat_batches;
use arrow_select::take::take_record_batch;
use data_encoding::HEXLOWER;
use parquet::arrow::ArrowWriter;
use parquet::file::metadata::KeyValue;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use populace_analysis::source::{As, TableSource, Want};
use populace_core::stream::{ActorId, Purpose, Source, StreamKey};
use populace_io::generator::TableSet;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};
use std::collections::HashMap;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The seed of the `k`-th data set of a generator: the generator's own for the first.
const DATASET: Purpose = Purpose::new(1);

pub(crate) fn derived(seed: u64, purpose: Purpose, ordinal: u64) -> u64 {
    StreamKey::root(seed, "populace.traces").actor(ActorId(0)).purpose(purpose).ordinal(ordinal).draws().next_u64()
}

/// The seed of the `k`-th data set of a generator.
#[pyfunction]
pub(crate) fn dataset_seed(seed: u64, k: u64) -> u64 {
    if k == 0 { seed } else { derived(seed, DATASET, k) }
}

/// The columns of a store, under these types.
pub(crate) fn schema() -> Arc<Schema> {
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    Arc::new(Schema::new(vec![
        Field::new("call_id", DataType::Utf8, false),
        Field::new("session_id", DataType::Utf8, false),
        Field::new("user_id", DataType::Utf8, false),
        Field::new("user_type", DataType::Utf8, true),
        Field::new("endpoint", DataType::Utf8, false),
        Field::new("method", DataType::Utf8, true),
        Field::new("params", DataType::Utf8, true),
        Field::new("timestamp", time.clone(), false),
        Field::new("response_time_ms", DataType::Float64, true),
        Field::new("status_code", DataType::Int64, true),
        Field::new("response_size_bytes", DataType::Int64, true),
        Field::new("attempt", DataType::Int64, true),
        Field::new("retry_of", DataType::Utf8, true),
        Field::new("session_start", time.clone(), true),
        Field::new("session_end", time, true),
    ]))
}

const WANTS: [Want; 15] = [
    Want::optional("call_id", As::Text),
    Want::new("session_id", As::Text),
    Want::new("user_id", As::Text),
    Want::optional("user_type", As::Text),
    Want::new("endpoint", As::Text),
    Want::optional("method", As::Text),
    Want::optional("params", As::Text),
    Want::new("timestamp", As::Instant),
    Want::optional("response_time_ms", As::Float),
    Want::optional("status_code", As::Int),
    Want::optional("response_size_bytes", As::Int),
    Want::optional("attempt", As::Int),
    Want::optional("retry_of", As::Text),
    Want::optional("session_start", As::Instant),
    Want::optional("session_end", As::Instant),
];
pub(crate) const CALL_ID: usize = 0;
const SESSION: usize = 1;
pub(crate) const USER: usize = 2;
pub(crate) const ENDPOINT: usize = 4;
pub(crate) const TIME: usize = 7;
pub(crate) const RESPONSE: usize = 8;
pub(crate) const STATUS: usize = 9;
pub(crate) const SIZE: usize = 10;
pub(crate) const ATTEMPT: usize = 11;
pub(crate) const RETRY_OF: usize = 12;
/// Start and end of the session, where they are not those of its calls.
pub(crate) const START: usize = 13;
const END: usize = 14;
/// The key of a Parquet file's metadata under which a data set has its name and metadata.
const METADATA: &str = "dataset_metadata";

/// Where a session's calls are.
#[derive(Clone, Copy)]
struct Place {
    batch: u32,
    start: u32,
    end: u32,
}

/// The calls of sessions.
#[pyclass(frozen, module = "populace._populace")]
pub(crate) struct Store {
    batches: Vec<RecordBatch>,
    /// Of each batch, the number of each row's endpoint.
    endpoints: Vec<Vec<u32>>,
    names: Vec<String>,
    sessions: Vec<Place>,
}

/// A text at a row, whatever it is held as; a UUID is written with hyphens.
pub(crate) fn text(column: &dyn Array, row: usize) -> Option<String> {
    if column.is_null(row) {
        return None;
    }
    match column.data_type() {
        DataType::Utf8 => Some(column.as_string::<i32>().value(row).to_owned()),
        DataType::Dictionary(..) => {
            let column = column.as_dictionary::<Int32Type>();
            text(column.values().as_ref(), column.keys().value(row) as usize)
        }
        _ => {
            let bytes = column.as_fixed_size_binary().value(row);
            let digits = HEXLOWER.encode(bytes);
            Some([&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-"))
        }
    }
}

/// Whether two rows of a column hold the same text.
fn same(column: &dyn Array, one: usize, other: usize) -> bool {
    match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().value(one) == column.as_string::<i32>().value(other),
        DataType::Dictionary(..) => {
            let keys = column.as_dictionary::<Int32Type>().keys();
            keys.value(one) == keys.value(other)
        }
        _ => column.as_fixed_size_binary().value(one) == column.as_fixed_size_binary().value(other),
    }
}

impl Store {
    /// The sessions of some batches, in each of which the calls of a session stand together.
    pub(crate) fn new(batches: Vec<RecordBatch>) -> Self {
        let mut names = Names::default();
        let (mut endpoints, mut sessions) = (Vec::with_capacity(batches.len()), Vec::new());
        for (number, batch) in batches.iter().enumerate() {
            let (ids, users) = (batch.column(SESSION).as_ref(), batch.column(USER).as_ref());
            let mut start = 0;
            for row in 1..=batch.num_rows() {
                if row == batch.num_rows() || !same(ids, row, start) || !same(users, row, start) {
                    sessions.push(Place { batch: number as u32, start: start as u32, end: row as u32 });
                    start = row;
                }
            }
            endpoints.push(match batch.column(ENDPOINT).data_type() {
                DataType::Dictionary(..) => {
                    let column = batch.column(ENDPOINT).as_dictionary::<Int32Type>();
                    let numbers: Vec<u32> =
                        column.values().as_string::<i32>().iter().map(|name| names.number(name.unwrap_or_default())).collect();
                    column.keys().values().iter().map(|key| numbers[*key as usize]).collect()
                }
                _ => batch.column(ENDPOINT).as_string::<i32>().iter().map(|name| names.number(name.unwrap_or_default())).collect(),
            });
        }
        Self { batches, endpoints, names: names.names, sessions }
    }

    fn place(&self, session: usize) -> PyResult<Place> {
        self.sessions.get(session).copied().ok_or_else(|| pyo3::exceptions::PyIndexError::new_err("session index out of range"))
    }

    /// The batch and the rows of a session.
    fn rows_of(&self, session: usize) -> PyResult<(&RecordBatch, Range<usize>)> {
        let place = self.place(session)?;
        Ok((&self.batches[place.batch as usize], place.start as usize..place.end as usize))
    }

    /// The columns that the calls have.
    pub(crate) fn schema(&self) -> Arc<Schema> {
        let columns = self.batches.first().map_or(START, RecordBatch::num_columns);
        Arc::new(Schema::new(schema().fields()[..columns].to_vec()))
    }

    /// The numbers of a session's endpoints, retries left out.
    fn sequence(&self, place: Place) -> impl Iterator<Item = u32> {
        let batch = &self.batches[place.batch as usize];
        let codes = &self.endpoints[place.batch as usize];
        (place.start as usize..place.end as usize).filter(|row| !is_retry(batch, *row)).map(|row| codes[row])
    }

    /// The calls of some sessions, under the columns of [`schema`].
    pub(crate) fn plain(&self, sessions: &[usize]) -> Result<RecordBatch, ArrowError> {
        let schema = self.schema();
        let mut parts = Vec::new();
        for place in sessions.iter().map(|session| self.sessions[*session]) {
            let batch = self.batches[place.batch as usize].slice(place.start as usize, (place.end - place.start) as usize);
            let columns = batch.columns().iter().zip(schema.fields()).map(|(column, field)| match column.data_type() {
                DataType::FixedSizeBinary(_) => {
                    Ok(Arc::new((0..column.len()).map(|row| text(column.as_ref(), row)).collect::<StringArray>()) as ArrayRef)
                }
                _ => cast(column, field.data_type()),
            });
            parts.push(RecordBatch::try_new(schema.clone(), columns.collect::<Result<_, _>>()?)?);
        }
        concat_batches(&schema, &parts)
    }
}

pub(crate) fn is_retry(batch: &RecordBatch, row: usize) -> bool {
    batch.column(RETRY_OF).is_valid(row) || integer(batch.column(ATTEMPT), row).is_some_and(|attempt| attempt > 1)
}

pub(crate) fn integer(column: &ArrayRef, row: usize) -> Option<i64> {
    if column.is_null(row) {
        return None;
    }
    Some(match column.data_type() {
        DataType::Int16 => i64::from(column.as_primitive::<arrow_array::types::Int16Type>().value(row)),
        _ => column.as_primitive::<Int64Type>().value(row),
    })
}

pub(crate) fn float(column: &ArrayRef, row: usize) -> Option<f64> {
    (!column.is_null(row)).then(|| column.as_primitive::<Float64Type>().value(row))
}

pub(crate) fn micros(batch: &RecordBatch, row: usize) -> i64 {
    batch.column(TIME).as_primitive::<TimestampMicrosecondType>().value(row)
}

/// When a call ended, in microseconds.
fn end(batch: &RecordBatch, row: usize) -> i64 {
    micros(batch, row).saturating_add((float(batch.column(RESPONSE), row).unwrap_or(0.0) * 1_000.0).round() as i64)
}

/// The rows of sessions whose calls may be scattered, brought together in the order in which the sessions first come, by time. An id that
/// several users have names a session of each.
fn gathered(batch: RecordBatch) -> Result<RecordBatch, ArrowError> {
    let (ids, users) = (batch.column(SESSION).as_string::<i32>(), batch.column(USER).as_string::<i32>());
    let mut numbers: HashMap<(&str, &str), u32> = HashMap::new();
    let mut rows: Vec<(u32, i64, u32)> = Vec::with_capacity(batch.num_rows());
    for row in 0..batch.num_rows() {
        let next = numbers.len() as u32;
        let number = *numbers.entry((ids.value(row), users.value(row))).or_insert(next);
        rows.push((number, micros(&batch, row), row as u32));
    }
    if rows.is_sorted() {
        return Ok(batch);
    }
    rows.sort_unstable();
    take_record_batch(&batch, &arrow_array::UInt32Array::from_iter_values(rows.into_iter().map(|(_, _, row)| row)))
}

/// The calls' ids; a call without one is known by its session and its row there.
fn with_ids(batch: &RecordBatch) -> ArrayRef {
    let (ids, sessions) = (batch.column(CALL_ID).as_string::<i32>(), batch.column(SESSION).as_string::<i32>());
    let mut start = 0;
    Arc::new(StringArray::from_iter_values((0..ids.len()).map(|row| {
        start = if sessions.value(row) == sessions.value(start) { start } else { row };
        if ids.is_valid(row) { ids.value(row).to_owned() } else { format!("{}-{}", sessions.value(row), row - start + 1) }
    })))
}

/// The metadata that a data set was saved with; none of a file that has none.
fn metadata(path: &Path) -> Option<String> {
    let reader = SerializedFileReader::new(File::open(path).ok()?).ok()?;
    let known = reader.metadata().file_metadata().key_value_metadata()?;
    known.iter().find(|pair| pair.key == METADATA)?.value.clone()
}

/// A session's id, its user and their type, and its start and end in microseconds since 1970.
pub(crate) type Head = (Option<String>, Option<String>, Option<String>, i64, Option<i64>);

#[pymethods]
impl Store {
    /// The calls of a run of traces.
    #[staticmethod]
    fn of_run(py: Python<'_>, run: &Run, progress: Option<Py<PyAny>>) -> PyResult<Self> {
        let meter = Arc::new(Meter::default());
        let main = run.generator().main_table();
        let made = wait(py, &meter, progress, || {
            let mut batches = Vec::new();
            run.job(TableSet::EMPTY.with(main), &meter.stop)
                .batches(None, meter.as_ref(), |mut made| {
                    batches.extend(made[main].take());
                    Ok(())
                })
                .map(|()| Self::new(batches))
        })?;
        made.map_err(|error| errors::run(&error))
    }

    /// The calls in a file, what is odd about it, and the metadata that a data set was saved with.
    #[staticmethod]
    fn load(py: Python<'_>, path: PathBuf) -> PyResult<(Self, Vec<String>, Option<String>)> {
        py.detach(|| {
            let source = TableSource::file_with_losses(&path).map_err(|error| errors::analysis(&error))?;
            let read = || -> Result<Vec<RecordBatch>, populace_analysis::AnalysisError> { source.read(&WANTS)?.collect() };
            let batches = read().map_err(|error| errors::analysis(&error))?;
            let whole = || -> Result<RecordBatch, ArrowError> {
                // A call may lack its id in the file, not in the store.
                let mut fields: Vec<_> = schema().fields().iter().cloned().collect();
                fields[CALL_ID] = Arc::new(Field::new("call_id", DataType::Utf8, true));
                let found = Arc::new(Schema::new(fields));
                let parts = batches.into_iter().map(|batch| RecordBatch::try_new(found.clone(), batch.columns().to_vec()));
                let whole = gathered(concat_batches(&found, &parts.collect::<Result<Vec<_>, _>>()?)?)?;
                let mut columns = whole.columns().to_vec();
                columns[CALL_ID] = with_ids(&whole);
                if columns[START].null_count() == whole.num_rows() && columns[END].null_count() == whole.num_rows() {
                    columns.truncate(START);
                }
                RecordBatch::try_new(Arc::new(Schema::new(schema().fields()[..columns.len()].to_vec())), columns)
            };
            let whole = whole().map_err(|error| errors::input(format!("{}: {error}", path.display())))?;
            Ok((Self::new(vec![whole]), source.remarks(), metadata(&path)))
        })
    }

    /// Calls that Python holds, column by column; those of a session stand together.
    #[staticmethod]
    fn of_columns(columns: &Bound<'_, PyDict>) -> PyResult<Self> {
        fn list<'py, T: for<'a> FromPyObject<'a, 'py, Error: Into<PyErr>>>(
            columns: &Bound<'py, PyDict>,
            key: &str,
        ) -> PyResult<Vec<Option<T>>> {
            crate::scene::option::<Vec<Option<T>>>(columns, key)?.ok_or_else(|| errors::input(format!("{key}: is missing")))
        }
        let mut arrays: Vec<ArrayRef> = Vec::new();
        for field in schema().fields() {
            let name = field.name();
            arrays.push(match field.data_type() {
                DataType::Utf8 => Arc::new(StringArray::from(list::<String>(columns, name)?)),
                DataType::Float64 => Arc::new(Float64Array::from(list::<f64>(columns, name)?)),
                DataType::Int64 => Arc::new(Int64Array::from(list::<i64>(columns, name)?)),
                _ => Arc::new(TimestampMicrosecondArray::from(list::<i64>(columns, name)?).with_timezone("UTC")),
            });
        }
        let batch = RecordBatch::try_new(schema(), arrays).map_err(|error| errors::input(format!("the calls: {error}")))?;
        Ok(Self::new(vec![batch]))
    }

    /// Writes some sessions to a Parquet file, whole or not at all.
    fn save(&self, py: Python<'_>, sessions: Vec<usize>, path: PathBuf, metadata: String) -> PyResult<()> {
        py.detach(|| {
            let mut partial = path.clone().into_os_string();
            partial.push(".partial");
            let partial = PathBuf::from(partial);
            let failed = |error: std::io::Error| errors::run(&populace_io::error::RunError::io(&path, error));
            let file = File::create(&partial).map_err(failed)?;
            let written = (|| -> Result<(), ArrowError> {
                let mut writer = ArrowWriter::try_new(file, self.schema(), None)?;
                writer.append_key_value_metadata(KeyValue::new(METADATA.to_owned(), metadata));
                for some in sessions.chunks(16 << 10) {
                    writer.write(&self.plain(some)?)?;
                }
                writer.close()?;
                Ok(())
            })();
            written.map_err(|error| arrow_error(&error))?;
            std::fs::rename(&partial, &path).map_err(failed)
        })
    }

    fn __len__(&self) -> usize {
        self.sessions.len()
    }

    /// Calls of some sessions, retries counted.
    fn total_calls(&self, sessions: Vec<usize>) -> PyResult<usize> {
        sessions.into_iter().map(|session| self.rows_of(session).map(|(_, rows)| rows.len())).sum()
    }

    /// What a session is.
    pub(crate) fn head(&self, session: usize) -> PyResult<Head> {
        let (batch, rows) = self.rows_of(session)?;
        let of = |column: usize| text(batch.column(column).as_ref(), rows.start);
        let given = |column: usize| {
            let moments = batch.columns().get(column)?.as_primitive::<TimestampMicrosecondType>();
            moments.is_valid(rows.start).then(|| moments.value(rows.start))
        };
        let (start, last) = match given(START) {
            Some(start) => (Some(start), given(END)),
            None => (rows.clone().map(|row| micros(batch, row)).min(), rows.clone().map(|row| end(batch, row)).max()),
        };
        Ok((of(SESSION), of(USER), of(USER + 1), start.unwrap_or(0), last))
    }

    /// The calls of a session: id, endpoint, method, parameters, start in microseconds since 1970, response time, status, size, attempt
    /// and what it retries.
    fn rows<'py>(&self, py: Python<'py>, session: usize) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        let (batch, rows) = self.rows_of(session)?;
        let of = |column: usize, row: usize| text(batch.column(column).as_ref(), row);
        // What many calls share is one text in Python.
        let shared = |column: usize, row: usize| of(column, row).map(|text| PyString::intern(py, &text));
        let whole = |column: usize, row: usize| integer(batch.column(column), row);
        let call = |row| {
            let head = (of(CALL_ID, row), shared(ENDPOINT, row), shared(5, row), shared(6, row), micros(batch, row));
            let rest = (float(batch.column(RESPONSE), row), whole(STATUS, row), whole(SIZE, row), whole(ATTEMPT, row), of(RETRY_OF, row));
            (head.0, head.1, head.2, head.3, head.4, rest.0, rest.1, rest.2, rest.3, rest.4).into_pyobject(py)
        };
        rows.map(call).collect()
    }

    /// First start and last end of some sessions; none of no session.
    fn range(&self, sessions: Vec<usize>) -> PyResult<Option<(i64, i64)>> {
        let mut range: Option<(i64, i64)> = None;
        for session in sessions {
            let (_, _, _, start, end) = self.head(session)?;
            let end = end.unwrap_or(start);
            let (first, last) = range.unwrap_or((start, end));
            range = Some((first.min(start), last.max(end)));
        }
        Ok(range)
    }

    /// The users of some sessions, in the order in which they first come.
    fn users(&self, sessions: Vec<usize>) -> PyResult<Vec<String>> {
        let mut names = Names::default();
        let mut last: Option<(u32, usize)> = None;
        for session in sessions {
            let place = self.place(session)?;
            let batch = &self.batches[place.batch as usize];
            let column = batch.column(USER).as_ref();
            let row = place.start as usize;
            if last.is_some_and(|(batch, seen)| batch == place.batch && same(column, seen, row)) {
                continue;
            }
            last = Some((place.batch, row));
            names.number(&text(column, row).unwrap_or_default());
        }
        Ok(names.names)
    }

    /// How often each endpoint of some sessions was called, retries counted, in the order in which they first came.
    fn endpoint_counts<'py>(&self, py: Python<'py>, sessions: Vec<usize>) -> PyResult<Bound<'py, PyDict>> {
        let mut counts = vec![0_u64; self.names.len()];
        for session in sessions {
            let place = self.place(session)?;
            let codes = &self.endpoints[place.batch as usize];
            codes[place.start as usize..place.end as usize].iter().for_each(|code| counts[*code as usize] += 1);
        }
        let found = PyDict::new(py);
        self.names.iter().zip(counts).filter(|(_, count)| *count > 0).try_for_each(|(name, count)| found.set_item(name, count))?;
        Ok(found)
    }

    /// The endpoints of a session in order, retries left out.
    fn endpoint_sequence(&self, session: usize) -> PyResult<Vec<&str>> {
        Ok(self.sequence(self.place(session)?).map(|code| self.names[code as usize].as_str()).collect())
    }

    /// The sequences of some sessions.
    fn sequences(&self, py: Python<'_>, sessions: Vec<usize>) -> PyResult<Sequences> {
        py.detach(|| {
            let mut made = Sequences::new(self.names.clone());
            for session in sessions {
                made.push(self.sequence(self.place(session)?));
            }
            Ok(made)
        })
    }

    /// An Arrow stream of the calls of some sessions.
    fn capsule<'py>(&self, py: Python<'py>, sessions: Vec<usize>) -> PyResult<Bound<'py, pyo3::types::PyCapsule>> {
        let columns: Vec<usize> = (0..START).collect();
        let batch = py.detach(|| self.plain(&sessions)?.project(&columns)).map_err(|error| arrow_error(&error))?;
        let schema = batch.schema();
        let reader = arrow_array::RecordBatchIterator::new([Ok(batch)], schema);
        crate::capsule::export(py, Box::new(reader))
    }
}
