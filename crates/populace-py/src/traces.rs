//! Calls of sessions, held as Arrow columns: the objects of `populace.traces` are views on them.

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
use populace_analysis::source::{As, TableSource, Want};
use populace_core::scenario::Scenario;
use populace_core::stream::{ActorId, Purpose, Source, StreamKey};
use populace_core::time::Instant;
use populace_core::traces::{CallRow, SessionId, TracesModel};
use populace_io::catalogue;
use populace_io::generator::TableSet;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::collections::HashMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

/// The seed of the `k`-th data set of a generator: the generator's own for the first.
const DATASET: Purpose = Purpose::new(1);
/// The seed of a generator's single sessions.
const SINGLE: Purpose = Purpose::new(2);
/// The seed of the cascades that a generator injects.
const INJECT: Purpose = Purpose::new(3);

fn derived(seed: u64, purpose: Purpose, ordinal: u64) -> u64 {
    StreamKey::root(seed, "populace.traces").actor(ActorId(0)).purpose(purpose).ordinal(ordinal).draws().next_u64()
}

/// The seed of the `k`-th data set of a generator.
#[pyfunction]
pub(crate) fn dataset_seed(seed: u64, k: u64) -> u64 {
    if k == 0 { seed } else { derived(seed, DATASET, k) }
}

/// The columns of a store, under these types.
fn schema() -> Arc<Schema> {
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    Arc::new(Schema::new(vec![
        Field::new("call_id", DataType::Utf8, false),
        Field::new("session_id", DataType::Utf8, false),
        Field::new("user_id", DataType::Utf8, false),
        Field::new("user_type", DataType::Utf8, true),
        Field::new("endpoint", DataType::Utf8, false),
        Field::new("method", DataType::Utf8, true),
        Field::new("params", DataType::Utf8, true),
        Field::new("timestamp", time, false),
        Field::new("response_time_ms", DataType::Float64, true),
        Field::new("status_code", DataType::Int64, true),
        Field::new("response_size_bytes", DataType::Int64, true),
        Field::new("attempt", DataType::Int64, true),
        Field::new("retry_of", DataType::Utf8, true),
    ]))
}

const WANTS: [Want; 13] = [
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
];
const CALL_ID: usize = 0;
const SESSION: usize = 1;
const USER: usize = 2;
const ENDPOINT: usize = 4;
const TIME: usize = 7;
const RESPONSE: usize = 8;
const STATUS: usize = 9;
const ATTEMPT: usize = 11;
const RETRY_OF: usize = 12;

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
fn text(column: &dyn Array, row: usize) -> Option<String> {
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
    fn new(batches: Vec<RecordBatch>) -> Self {
        let mut names = Names::default();
        let (mut endpoints, mut sessions) = (Vec::with_capacity(batches.len()), Vec::new());
        for (number, batch) in batches.iter().enumerate() {
            let ids = batch.column(SESSION).as_ref();
            let mut start = 0;
            for row in 1..=batch.num_rows() {
                if row == batch.num_rows() || !same(ids, row, start) {
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

    /// The batch and row of call `call` of a session.
    fn at(&self, session: usize, call: usize) -> PyResult<(&RecordBatch, usize)> {
        let place = self.place(session)?;
        let row = place.start as usize + call;
        if row >= place.end as usize {
            return Err(pyo3::exceptions::PyIndexError::new_err("call index out of range"));
        }
        Ok((&self.batches[place.batch as usize], row))
    }

    /// The numbers of a session's endpoints, retries left out.
    fn sequence(&self, place: Place) -> impl Iterator<Item = u32> {
        let batch = &self.batches[place.batch as usize];
        let codes = &self.endpoints[place.batch as usize];
        (place.start as usize..place.end as usize).filter(|row| !is_retry(batch, *row)).map(|row| codes[row])
    }

    /// The calls of some sessions, under the columns of [`schema`].
    fn plain(&self, sessions: &[usize]) -> Result<RecordBatch, ArrowError> {
        let schema = schema();
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

fn is_retry(batch: &RecordBatch, row: usize) -> bool {
    integer(batch.column(ATTEMPT), row).is_some_and(|attempt| attempt > 1)
}

fn integer(column: &ArrayRef, row: usize) -> Option<i64> {
    if column.is_null(row) {
        return None;
    }
    Some(match column.data_type() {
        DataType::Int16 => i64::from(column.as_primitive::<arrow_array::types::Int16Type>().value(row)),
        _ => column.as_primitive::<Int64Type>().value(row),
    })
}

fn float(column: &ArrayRef, row: usize) -> Option<f64> {
    (!column.is_null(row)).then(|| column.as_primitive::<Float64Type>().value(row))
}

fn micros(batch: &RecordBatch, row: usize) -> i64 {
    batch.column(TIME).as_primitive::<TimestampMicrosecondType>().value(row)
}

/// When a call ended, in microseconds.
fn end(batch: &RecordBatch, row: usize) -> i64 {
    micros(batch, row).saturating_add((float(batch.column(RESPONSE), row).unwrap_or(0.0) * 1_000.0).round() as i64)
}

/// The rows of sessions whose calls may be scattered, brought together in the order in which the sessions first come.
fn gathered(batch: RecordBatch) -> Result<RecordBatch, ArrowError> {
    let ids = batch.column(SESSION).as_string::<i32>();
    let mut numbers: HashMap<&str, u32> = HashMap::new();
    let mut rows: Vec<(u32, u32)> = Vec::with_capacity(batch.num_rows());
    let mut sorted = true;
    for (row, id) in ids.iter().enumerate() {
        let next = numbers.len() as u32;
        let number = *numbers.entry(id.unwrap_or_default()).or_insert(next);
        sorted &= rows.last().is_none_or(|(last, _)| *last <= number);
        rows.push((number, row as u32));
    }
    if sorted {
        return Ok(batch);
    }
    rows.sort_unstable();
    take_record_batch(&batch, &arrow_array::UInt32Array::from_iter_values(rows.into_iter().map(|(_, row)| row)))
}

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

    /// The calls in a file.
    #[staticmethod]
    fn load(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        py.detach(|| {
            let read =
                || -> Result<Vec<RecordBatch>, populace_analysis::AnalysisError> { TableSource::file(&path)?.read(&WANTS)?.collect() };
            let batches = read().map_err(|error| errors::analysis(&error))?;
            let whole = batches.into_iter().map(|batch| RecordBatch::try_new(schema(), batch.columns().to_vec()));
            let whole = whole.collect::<Result<Vec<_>, _>>().and_then(|parts| concat_batches(&schema(), &parts)).and_then(gathered);
            Ok(Self::new(vec![whole.map_err(|error| errors::input(format!("{}: {error}", path.display())))?]))
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
    fn save(&self, py: Python<'_>, sessions: Vec<usize>, path: PathBuf) -> PyResult<()> {
        py.detach(|| {
            let mut partial = path.clone().into_os_string();
            partial.push(".partial");
            let partial = PathBuf::from(partial);
            let failed = |error: std::io::Error| errors::run(&populace_io::error::RunError::io(&path, error));
            let file = File::create(&partial).map_err(failed)?;
            let written = (|| -> Result<(), ArrowError> {
                let mut writer = ArrowWriter::try_new(file, schema(), None)?;
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

    /// Calls of a session, retries counted.
    fn calls(&self, session: usize) -> PyResult<usize> {
        self.place(session).map(|place| (place.end - place.start) as usize)
    }

    /// Calls of some sessions, retries counted.
    fn total_calls(&self, sessions: Vec<usize>) -> PyResult<usize> {
        sessions.into_iter().map(|session| self.calls(session)).sum()
    }

    /// A text of a call, by the number of its column.
    fn text(&self, session: usize, call: usize, column: usize) -> PyResult<Option<String>> {
        let (batch, row) = self.at(session, call)?;
        Ok(text(batch.column(column).as_ref(), row))
    }

    /// A whole number of a call.
    fn integer(&self, session: usize, call: usize, column: usize) -> PyResult<Option<i64>> {
        let (batch, row) = self.at(session, call)?;
        Ok(integer(batch.column(column), row))
    }

    /// Response time of a call, in milliseconds.
    fn response_time(&self, session: usize, call: usize) -> PyResult<Option<f64>> {
        let (batch, row) = self.at(session, call)?;
        Ok(float(batch.column(RESPONSE), row))
    }

    /// Start of a call, in microseconds since 1970.
    fn time(&self, session: usize, call: usize) -> PyResult<i64> {
        let (batch, row) = self.at(session, call)?;
        Ok(micros(batch, row))
    }

    /// Start of the first call and end of the last response, in microseconds since 1970.
    fn span(&self, session: usize) -> PyResult<(i64, i64)> {
        let place = self.place(session)?;
        let batch = &self.batches[place.batch as usize];
        let rows = place.start as usize..place.end as usize;
        let ends = rows.clone().map(|row| end(batch, row)).max();
        let starts = rows.map(|row| micros(batch, row)).min();
        Ok((starts.unwrap_or(0), ends.unwrap_or(0)))
    }

    /// First and last start of a call of some sessions; none of no session.
    fn range(&self, sessions: Vec<usize>) -> PyResult<Option<(i64, i64)>> {
        let mut range: Option<(i64, i64)> = None;
        for session in sessions {
            let place = self.place(session)?;
            let batch = &self.batches[place.batch as usize];
            for time in (place.start as usize..place.end as usize).map(|row| micros(batch, row)) {
                let (first, last) = range.unwrap_or((time, time));
                range = Some((first.min(time), last.max(time)));
            }
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

    /// The endpoints of some sessions, in alphabetical order.
    fn unique_endpoints(&self, sessions: Vec<usize>) -> PyResult<Vec<&str>> {
        let mut seen = vec![false; self.names.len()];
        for session in sessions {
            let place = self.place(session)?;
            let codes = &self.endpoints[place.batch as usize];
            codes[place.start as usize..place.end as usize].iter().for_each(|code| seen[*code as usize] = true);
        }
        let mut names: Vec<&str> = self.names.iter().zip(seen).filter(|(_, seen)| *seen).map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        Ok(names)
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
        let batch = py.detach(|| self.plain(&sessions)).map_err(|error| arrow_error(&error))?;
        let reader = arrow_array::RecordBatchIterator::new([Ok(batch)], schema());
        crate::capsule::export(py, Box::new(reader))
    }

    /// The session as it is when a cascade strikes it, by the law of the scenario that `model` has: a store of one session.
    fn inject(&self, session: usize, model: &Walk, seed: u64, ordinal: u64) -> PyResult<Self> {
        let place = self.place(session)?;
        let batch = self.plain(&[session]).map_err(|error| arrow_error(&error))?;
        let codes = &self.endpoints[place.batch as usize][place.start as usize..place.end as usize];
        // The rows are told apart by their place in the batch; what a retry adds has the number of the row before.
        let rows = codes.iter().enumerate().map(|(row, code)| CallRow {
            session: SessionId::from_words(0, 0),
            number: row as u16 + 1,
            user_type: 0,
            endpoint: model.endpoint(&self.names[*code as usize]),
            parameters: 0,
            time: Instant(micros(&batch, row)),
            response_time: (float(batch.column(RESPONSE), row).unwrap_or(0.0) * 1_000.0).round() as i64,
            status: integer(batch.column(STATUS), row).unwrap_or(200) as u16,
            response_size: integer(batch.column(10), row).unwrap_or(0),
            attempt: integer(batch.column(ATTEMPT), row).unwrap_or(1) as u8,
        });
        let rows: Vec<CallRow> = rows.collect();
        if rows.len() > usize::from(u16::MAX) / 2 {
            return Err(errors::input("a session of more than 32,767 calls cannot be struck"));
        }
        let key = StreamKey::root(derived(seed, INJECT, 0), TracesModel::NAME).actor(ActorId(ordinal));
        let struck = model.model.strike(key, 0, &rows);
        // Row by row: which row of the old session it comes from.
        let origin: Vec<u32> = struck.iter().map(|row| u32::from(row.number) - 1).collect();
        let taken = take_record_batch(&batch, &arrow_array::UInt32Array::from(origin.clone())).map_err(|error| arrow_error(&error))?;
        let mut columns = taken.columns().to_vec();
        let ids = batch.column(CALL_ID).as_string::<i32>();
        let retry = |place: usize| place > 0 && origin[place - 1] == origin[place];
        columns[CALL_ID] = Arc::new(StringArray::from_iter_values(origin.iter().enumerate().map(|(place, from)| {
            if retry(place) { format!("{}-retry", ids.value(*from as usize)) } else { ids.value(*from as usize).to_owned() }
        })));
        columns[TIME] = Arc::new(TimestampMicrosecondArray::from_iter_values(struck.iter().map(|row| row.time.0)).with_timezone("UTC"));
        columns[RESPONSE] = Arc::new(Float64Array::from_iter_values(struck.iter().map(|row| row.response_time as f64 / 1_000.0)));
        columns[STATUS] = Arc::new(Int64Array::from_iter_values(struck.iter().map(|row| i64::from(row.status))));
        columns[10] = Arc::new(Int64Array::from_iter_values(struck.iter().map(|row| row.response_size)));
        columns[ATTEMPT] = Arc::new(Int64Array::from_iter_values(struck.iter().map(|row| i64::from(row.attempt))));
        let old = taken.column(RETRY_OF).as_string::<i32>();
        let retried = origin.iter().enumerate().map(|(place, from)| {
            if retry(place) { Some(ids.value(*from as usize)) } else { old.is_valid(place).then(|| old.value(place)) }
        });
        columns[RETRY_OF] = Arc::new(retried.collect::<StringArray>());
        let batch = RecordBatch::try_new(schema(), columns).map_err(|error| arrow_error(&error))?;
        Ok(Self::new(vec![batch]))
    }
}

/// A workflow that sessions walk over one at a time.
#[pyclass(frozen, module = "populace._populace")]
pub(crate) struct Walk {
    run: Run,
    model: TracesModel,
}

impl Walk {
    /// The number of an endpoint. The model was made with all that are asked for.
    fn endpoint(&self, name: &str) -> u16 {
        self.model.endpoints().iter().position(|endpoint| endpoint.path == name).unwrap_or(0) as u16
    }
}

#[pymethods]
impl Walk {
    /// The walk of a run of traces.
    #[new]
    fn new(run: &Run) -> PyResult<Self> {
        let model = catalogue::model(&run.scene.resolved).map_err(|problems| errors::documents(&problems))?;
        Ok(Self { run: run.clone(), model })
    }

    /// The `k`-th session under a seed, of a user, from a start in microseconds since 1970: a store of one session.
    fn session(&self, seed: u64, k: u64, user: &str, start: i64, user_type: Option<&str>) -> PyResult<Store> {
        let meter = Meter::default();
        let main = self.run.generator().main_table();
        let mut job = self.run.job(TableSet::EMPTY.with(main), &meter.stop);
        (job.seed, job.threads, job.actors) = (derived(seed, SINGLE, 0), 1, k..k + 1);
        let mut made = None;
        let done = job.batches(None, &meter, |mut batches| {
            made = batches[main].take();
            Ok(())
        });
        done.map_err(|error| errors::run(&error))?;
        let store = Store::new(made.into_iter().collect());
        let batch = store.plain(&[0]).map_err(|error| arrow_error(&error))?;
        let shift = start - micros(&batch, 0);
        let times = TimestampMicrosecondArray::from_iter_values((0..batch.num_rows()).map(|row| micros(&batch, row) + shift));
        let mut columns = batch.columns().to_vec();
        columns[TIME] = Arc::new(times.with_timezone("UTC"));
        columns[USER] = Arc::new(StringArray::from_iter_values((0..batch.num_rows()).map(|_| user)));
        if let Some(user_type) = user_type {
            columns[USER + 1] = Arc::new(StringArray::from_iter_values((0..batch.num_rows()).map(|_| user_type)));
        }
        let batch = RecordBatch::try_new(schema(), columns).map_err(|error| arrow_error(&error))?;
        Ok(Store::new(vec![batch]))
    }
}
