//! Walks over a workflow one session at a time, and cascades that strike sessions.

use crate::errors;
use crate::files::arrow_error;
use crate::run::Run;
use crate::stream::Meter;
use crate::traces::{
    ATTEMPT, CALL_ID, ENDPOINT, RESPONSE, RETRY_OF, SIZE, START, STATUS, Store, TIME, USER, derived, float, integer, is_retry, micros,
    schema, text,
};
use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, UInt32Array};
use arrow_schema::ArrowError;
use arrow_select::take::take_record_batch;
use populace_core::scenario::Scenario;
use populace_core::stream::{ActorId, Purpose, StreamKey};
use populace_core::time::Instant;
use populace_core::traces::{CallRow, SessionId, TracesModel};
use populace_io::catalogue;
use populace_io::generator::TableSet;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString, PyType};
use std::collections::HashMap;
use std::sync::Arc;

/// The seed of a generator's single sessions.
const SINGLE: Purpose = Purpose::new(2);
/// The seed of the cascades that a generator injects.
const INJECT: Purpose = Purpose::new(3);

fn check_length(calls: usize) -> PyResult<()> {
    if calls > usize::from(u16::MAX) / 2 {
        return Err(errors::input("a session of more than 32,767 calls cannot be struck"));
    }
    Ok(())
}

/// Milliseconds as microseconds.
fn response_time(milliseconds: Option<f64>) -> i64 {
    (milliseconds.unwrap_or_default() * 1_000.0).round_ties_even() as i64
}

fn utc(times: impl Iterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(times.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
}

/// A span as Python's `timedelta`.
fn microseconds(py: Python<'_>, microseconds: i64) -> PyResult<Bound<'_, PyAny>> {
    static TIMEDELTA: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    TIMEDELTA.import(py, "datetime", "timedelta")?.call1((0, 0, microseconds))
}

/// The values of a call that Python held, before a cascade strikes it.
struct Sent<'py> {
    kind: Bound<'py, PyType>,
    values: Bound<'py, PyDict>,
    timestamp: Bound<'py, PyAny>,
}

impl<'py> Sent<'py> {
    fn new(kind: Bound<'py, PyType>, values: Bound<'py, PyDict>) -> PyResult<Self> {
        let timestamp = given(&values, intern!(values.py(), "timestamp"))?;
        Ok(Self { kind, values, timestamp })
    }

    fn value<T: for<'a> FromPyObject<'a, 'py, Error: Into<PyErr>>>(&self, name: &Bound<'py, PyString>) -> PyResult<Option<T>> {
        let value = self.values.get_item(name)?.filter(|value| !value.is_none());
        value.map(|value| value.extract().map_err(Into::into)).transpose()
    }

    /// The call as the model has it; times are counted from `start`.
    fn row(&self, number: u16, start: Option<&Bound<'py, PyAny>>, endpoint: u16) -> PyResult<CallRow> {
        let (py, mut time) = (self.values.py(), 0);
        if let Some(start) = start.filter(|start| !start.is(&self.timestamp)) {
            // A double holds the microseconds of 285 years.
            let seconds: f64 = self.timestamp.sub(start)?.call_method0(intern!(py, "total_seconds"))?.extract()?;
            time = (seconds * 1e6).round() as i64;
        }
        let response_time: Option<f64> = self.value(intern!(py, "response_time_ms"))?;
        let attempt: Option<i64> = self.value(intern!(py, "attempt"))?;
        let is_retry =
            attempt.is_some_and(|attempt| attempt > 1) || self.values.get_item(intern!(py, "retry_of"))?.is_some_and(|of| !of.is_none());
        Ok(CallRow {
            session: SessionId::from_words(0, 0),
            number,
            user_type: 0,
            endpoint,
            parameters: 0,
            time: Instant(time),
            response_time: self::response_time(response_time),
            status: self.value(intern!(py, "status_code"))?.unwrap_or(200),
            response_size: self.value(intern!(py, "response_size_bytes"))?.unwrap_or_default(),
            attempt: 1 + u8::from(is_retry),
        })
    }

    /// The call as it is after the cascade, which takes over its values; or its retry, which comes after it.
    fn struck(&self, before: &CallRow, row: &CallRow, is_retry: bool) -> PyResult<Bound<'py, PyAny>> {
        static NEW: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let py = self.values.py();
        let new = NEW.get_or_try_init(py, || py.import("builtins")?.getattr("object")?.getattr("__new__").map(Bound::unbind))?;
        let values = if is_retry { self.values.copy()? } else { self.values.clone() };
        if is_retry || row.time != before.time {
            values.set_item(intern!(py, "timestamp"), self.timestamp.add(microseconds(py, row.time.0 - before.time.0)?)?)?;
        }
        if is_retry || row.response_time != before.response_time {
            values.set_item(intern!(py, "response_time_ms"), row.response_time as f64 / 1_000.0)?;
        }
        if is_retry || row.status != before.status {
            values.set_item(intern!(py, "status_code"), row.status)?;
        }
        if is_retry {
            let params = given(&values, intern!(py, "params"))?;
            if let Ok(params) = params.cast_exact::<PyDict>() {
                values.set_item(intern!(py, "params"), params.copy()?)?;
            }
            let id = given(&values, intern!(py, "call_id"))?;
            values.set_item(intern!(py, "response_size_bytes"), row.response_size)?;
            values.set_item(intern!(py, "attempt"), row.attempt)?;
            values.set_item(intern!(py, "call_id"), id.add(intern!(py, "-retry"))?)?;
            values.set_item(intern!(py, "retry_of"), id)?;
        }
        let call = new.bind(py).call1((&self.kind,))?;
        call.setattr(intern!(py, "__dict__"), values)?;
        Ok(call)
    }
}

/// Calls, and a span.
type Struck<'py> = (Vec<Bound<'py, PyAny>>, Bound<'py, PyAny>);

/// A value that every call has.
fn given<'py>(values: &Bound<'py, PyDict>, name: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
    values.get_item(name)?.ok_or_else(|| errors::input(format!("a call has no {name}")))
}

/// A workflow that sessions walk over one at a time.
#[pyclass(frozen, module = "populace._populace")]
pub(crate) struct Walk {
    run: Run,
    model: TracesModel,
    /// The numbers of its endpoints.
    numbers: HashMap<String, u16>,
}

impl Walk {
    /// The calls as they are when the `ordinal`-th cascade of a seed strikes them.
    fn struck(&self, rows: &[CallRow], seed: u64, ordinal: u64) -> Vec<CallRow> {
        let key = StreamKey::root(derived(seed, INJECT, 0), TracesModel::NAME).actor(ActorId(ordinal));
        self.model.strike(key, 0, rows)
    }

    /// The number of an endpoint. The model was made with all that are asked for.
    fn endpoint(&self, name: &str) -> u16 {
        self.numbers.get(name).copied().unwrap_or_default()
    }
}

#[pymethods]
impl Walk {
    /// The walk of a run of traces.
    #[new]
    fn new(run: &Run) -> PyResult<Self> {
        let model: TracesModel = catalogue::model(&run.scene.resolved).map_err(|problems| errors::documents(&problems))?;
        let numbers = model.endpoints().iter().enumerate().map(|(number, endpoint)| (endpoint.path.clone(), number as u16)).collect();
        Ok(Self { run: run.clone(), model, numbers })
    }

    /// The calls of a session, given by their classes and values, as they are when the `ordinal`-th cascade of a seed strikes it, and the
    /// end of the last response, counted from the start of the first. The values become those of the new calls. Nothing if an endpoint is
    /// none that the model was made with; the values are then as they were.
    fn inject<'py>(
        &self,
        py: Python<'py>,
        kinds: Vec<Bound<'py, PyType>>,
        calls: Vec<Bound<'py, PyDict>>,
        seed: u64,
        ordinal: u64,
    ) -> PyResult<Option<Struck<'py>>> {
        check_length(calls.len())?;
        let calls = kinds.into_iter().zip(calls).map(|(kind, values)| Sent::new(kind, values)).collect::<PyResult<Vec<_>>>()?;
        let start = calls.first().map(|call| call.timestamp.clone());
        let mut rows = Vec::with_capacity(calls.len());
        for (number, call) in calls.iter().enumerate() {
            let endpoint = given(&call.values, intern!(py, "endpoint"))?;
            let Some(endpoint) = self.numbers.get(endpoint.cast::<PyString>()?.to_cow()?.as_ref()) else { return Ok(None) };
            rows.push(call.row(number as u16, start.as_ref(), *endpoint)?);
        }
        let struck = self.struck(&rows, seed, ordinal);
        let last = struck.iter().map(|row| row.time.0 + row.response_time).max().unwrap_or_default();
        let mut made = Vec::with_capacity(struck.len());
        let mut before = None;
        for row in &struck {
            let number = usize::from(row.number);
            made.push(calls[number].struck(&rows[number], row, before == Some(row.number))?);
            before = Some(row.number);
        }
        Ok(Some((made, microseconds(py, last)?)))
    }

    /// The same of a session of a store: a store of one session.
    fn strike(&self, store: &Store, session: usize, seed: u64, ordinal: u64) -> PyResult<Store> {
        let (_, _, _, start, end) = store.head(session)?;
        let batch = store.plain(&[session]).map_err(|error| arrow_error(&error))?;
        check_length(batch.num_rows())?;
        let endpoints = batch.column(ENDPOINT).as_string::<i32>();
        let row = |number: usize| CallRow {
            session: SessionId::from_words(0, 0),
            number: number as u16,
            user_type: 0,
            endpoint: self.endpoint(endpoints.value(number)),
            parameters: 0,
            time: Instant(micros(&batch, number)),
            response_time: response_time(float(batch.column(RESPONSE), number)),
            status: integer(batch.column(STATUS), number).map_or(200, |status| status as u16),
            response_size: integer(batch.column(SIZE), number).unwrap_or_default(),
            attempt: 1 + u8::from(is_retry(&batch, number)),
        };
        let rows: Vec<CallRow> = (0..batch.num_rows()).map(row).collect();
        let struck = self.struck(&rows, seed, ordinal);
        let numbers = UInt32Array::from_iter_values(struck.iter().map(|row| u32::from(row.number)));
        let made = || -> Result<RecordBatch, ArrowError> {
            let mut columns = take_record_batch(&batch, &numbers)?.columns().to_vec();
            let of = |row: &CallRow| (&rows[usize::from(row.number)], usize::from(row.number));
            let is_new: Vec<bool> = (0..struck.len()).map(|place| place > 0 && struck[place - 1].number == struck[place].number).collect();
            let with = || struck.iter().zip(is_new.iter().copied());
            let ids = batch.column(CALL_ID).as_string::<i32>();
            let response = |(row, is_new): (&CallRow, bool)| {
                let (before, number) = of(row);
                let same = !is_new && row.response_time == before.response_time;
                if same { float(batch.column(RESPONSE), number) } else { Some(row.response_time as f64 / 1_000.0) }
            };
            let whole = |column: usize, value: fn(&CallRow) -> i64| {
                let batch = &batch;
                move |(row, is_new): (&CallRow, bool)| {
                    let (before, number) = of(row);
                    if !is_new && value(row) == value(before) { integer(batch.column(column), number) } else { Some(value(row)) }
                }
            };
            let retry_of = |(row, is_new): (&CallRow, bool)| {
                let number = of(row).1;
                if is_new { Some(ids.value(number).to_owned()) } else { text(batch.column(RETRY_OF).as_ref(), number) }
            };
            let id = |(row, is_new): (&CallRow, bool)| format!("{}{}", ids.value(of(row).1), if is_new { "-retry" } else { "" });
            columns[CALL_ID] = Arc::new(StringArray::from_iter_values(with().map(id)));
            columns[TIME] = utc(with().map(|(row, _)| Some(row.time.0)));
            columns[RESPONSE] = Arc::new(with().map(response).collect::<Float64Array>());
            columns[STATUS] = Arc::new(with().map(whole(STATUS, |row| row.status.into())).collect::<Int64Array>());
            columns[SIZE] = Arc::new(with().map(whole(SIZE, |row| row.response_size)).collect::<Int64Array>());
            columns[ATTEMPT] = Arc::new(with().map(whole(ATTEMPT, |row| row.attempt.into())).collect::<Int64Array>());
            columns[RETRY_OF] = Arc::new(with().map(retry_of).collect::<StringArray>());
            let last = struck.iter().map(|row| row.time.0 + row.response_time).max();
            columns.truncate(START);
            columns.push(utc(struck.iter().map(|_| Some(start))));
            columns.push(utc(struck.iter().map(|_| end.map(|end| last.map_or(end, |last| last.max(end))))));
            RecordBatch::try_new(schema(), columns)
        };
        Ok(Store::new(vec![made().map_err(|error| arrow_error(&error))?]))
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
        let batch = RecordBatch::try_new(store.schema(), columns).map_err(|error| arrow_error(&error))?;
        Ok(Store::new(vec![batch]))
    }
}
