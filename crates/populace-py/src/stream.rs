//! Batches that a thread of its own makes while Python takes them, in bounded memory.

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_cast::cast;
use arrow_schema::{ArrowError, Schema, SchemaRef};
use populace_io::error::RunError;
use populace_io::run::{PartState, Progress};
use pyo3::prelude::*;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

/// Batches that wait for whoever takes them.
const WAITING: usize = 4;
/// How often signals are looked for and progress is told.
pub(crate) const TICK: Duration = Duration::from_millis(50);

/// A stream that was carried over a fork.
pub(crate) const FORKED: &str = "the rows were begun in another process, which was forked; begin them again in this one";

/// What a worker hands over.
pub(crate) type Item = Result<RecordBatch, ArrowError>;

/// How far a run is, and whether it should stop.
#[derive(Default)]
pub(crate) struct Meter {
    /// Actors that are done; of what reads data, rows.
    pub(crate) actors: AtomicU64,
    /// Set to stop the run.
    pub(crate) stop: AtomicBool,
}

impl Progress for Meter {
    fn advanced(&self, actors: u64, _: u64) {
        self.actors.fetch_add(actors, Ordering::Relaxed);
    }

    fn checkpoint(&self, _: &PartState) -> Result<(), RunError> {
        Ok(())
    }
}

impl populace_analysis::watch::Progress for Meter {
    fn begins(&self, _: &str, _: Option<u64>) {}

    fn advanced(&self, rows: u64) {
        self.actors.fetch_add(rows, Ordering::Relaxed);
    }
}

/// Tells Python of progress, and hears its signals.
pub(crate) struct Link {
    meter: Arc<Meter>,
    callback: Option<Py<PyAny>>,
    told: u64,
    last: Instant,
}

impl Link {
    pub(crate) fn new(meter: Arc<Meter>, callback: Option<Py<PyAny>>) -> Self {
        Self { meter, callback, told: 0, last: Instant::now() }
    }

    /// Runs Python's signal handlers and the callback, if it is time.
    pub(crate) fn tick(&mut self, at_once: bool) -> PyResult<()> {
        if !at_once && self.last.elapsed() < TICK {
            return Ok(());
        }
        self.last = Instant::now();
        let done = self.meter.actors.load(Ordering::Relaxed);
        let result = Python::attach(|py| {
            py.check_signals()?;
            match &self.callback {
                Some(callback) if done > self.told => callback.call1(py, (done - self.told,)).map(drop),
                _ => Ok(()),
            }
        });
        self.told = done;
        if result.is_err() {
            self.meter.stop.store(true, Ordering::Relaxed);
        }
        result
    }
}

/// The text of a panic.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string).or_else(|| panic.downcast_ref::<String>().cloned());
    format!("internal error: {}", text.unwrap_or_default())
}

/// The batches of a table.
pub(crate) struct Stream {
    schema: SchemaRef,
    /// Nothing once the process has been forked: the thread that fills it is not in the copy.
    items: Option<Receiver<Item>>,
    process: u32,
    link: Link,
    owner: ThreadId,
    meter: Arc<Meter>,
    /// What Python's handlers raised, for a caller that can raise it.
    pub(crate) raised: Option<PyErr>,
    exported: bool,
}

impl Stream {
    /// Starts `work` in a thread of its own. It ends early when nobody takes its batches any longer.
    pub(crate) fn start(
        schema: SchemaRef,
        callback: Option<Py<PyAny>>,
        work: impl FnOnce(&SyncSender<Item>, &Meter) -> Result<(), ArrowError> + Send + 'static,
    ) -> Self {
        let (sender, items) = sync_channel(WAITING);
        let meter = Arc::new(Meter::default());
        let shared = Arc::clone(&meter);
        std::thread::spawn(move || {
            let done = catch_unwind(AssertUnwindSafe(|| work(&sender, &shared)));
            let done = done.unwrap_or_else(|panic| Err(ArrowError::ComputeError(panic_text(panic.as_ref()))));
            if let Err(error) = done {
                // Nobody may be listening any more.
                let _ = sender.send(Err(error));
            }
        });
        let link = Link::new(Arc::clone(&meter), callback);
        Self {
            schema,
            items: Some(items),
            process: std::process::id(),
            link,
            owner: std::thread::current().id(),
            meter,
            raised: None,
            exported: false,
        }
    }

    /// Gives the stream to a library that cannot hand on what Python's handlers raise.
    pub(crate) fn exported(mut self) -> Self {
        self.exported = true;
        self
    }

    /// Forgets the thread of another process, whose locks nobody opens here.
    fn leave_behind(&mut self) {
        if self.process != std::process::id() {
            std::mem::forget(self.items.take());
        }
    }

    /// How far the run is.
    pub(crate) fn meter(&self) -> &Meter {
        &self.meter
    }

    /// Looks for signals. Only the thread that asked for the stream does: another may wait for one that holds the interpreter.
    fn tick(&mut self, at_once: bool) -> Result<(), ArrowError> {
        if std::thread::current().id() != self.owner {
            return Ok(());
        }
        self.link.tick(at_once).map_err(|raised| {
            let text = raised.to_string();
            if self.exported {
                // The library's own error comes first; what was raised is raised again as soon as Python goes on.
                Python::attach(|py| {
                    if raised.is_instance_of::<pyo3::exceptions::PyKeyboardInterrupt>(py) {
                        let _ = py.import("_thread").and_then(|thread| thread.call_method0("interrupt_main"));
                    }
                });
            }
            self.raised = Some(raised);
            ArrowError::IoError(text, std::io::ErrorKind::Interrupted.into())
        })
    }
}

impl Iterator for Stream {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        self.leave_behind();
        loop {
            let Some(items) = &self.items else { return Some(Err(ArrowError::ComputeError(FORKED.into()))) };
            let received = items.recv_timeout(TICK);
            let ended = matches!(received, Err(RecvTimeoutError::Disconnected));
            if let Err(error) = self.tick(ended) {
                return Some(Err(error));
            }
            match received {
                Ok(item) => return Some(item),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

impl RecordBatchReader for Stream {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.leave_behind();
        self.meter.stop.store(true, Ordering::Relaxed);
    }
}

/// A stream under the schema that a library wished for, as far as its types can be had.
pub(crate) struct Cast {
    stream: Stream,
    schema: SchemaRef,
}

impl Cast {
    /// The stream as it is if the wish is for other columns: a wish need not be met.
    pub(crate) fn reader(stream: Stream, wish: &Schema) -> Box<dyn RecordBatchReader + Send> {
        let own = stream.schema();
        let same = own.fields().len() == wish.fields().len()
            && own
                .fields()
                .iter()
                .zip(wish.fields())
                .all(|(own, wish)| own.name() == wish.name() && arrow_cast::can_cast_types(own.data_type(), wish.data_type()));
        if !same {
            return Box::new(stream);
        }
        let fields = own.fields().iter().zip(wish.fields());
        let fields: Vec<_> = fields.map(|(own, wish)| own.as_ref().clone().with_data_type(wish.data_type().clone())).collect();
        Box::new(Self { stream, schema: Arc::new(Schema::new(fields)) })
    }
}

impl Iterator for Cast {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        let batch = match self.stream.next()? {
            Ok(batch) => batch,
            Err(error) => return Some(Err(error)),
        };
        let columns = batch.columns().iter().zip(self.schema.fields()).map(|(column, field)| cast(column, field.data_type()));
        Some(columns.collect::<Result<_, _>>().and_then(|columns| RecordBatch::try_new(Arc::clone(&self.schema), columns)))
    }
}

impl RecordBatchReader for Cast {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}
