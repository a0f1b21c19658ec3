//! Batches as Python takes them.

use crate::capsule;
use crate::errors;
use crate::files;
use crate::stream::{FORKED, Stream};
use arrow_array::RecordBatch;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};

/// The batches of a table, for a loop.
#[pyclass(frozen, module = "populace._populace")]
pub(crate) struct Batches {
    stream: Mutex<Option<Stream>>,
    process: u32,
}

impl Batches {
    pub(crate) fn new(stream: Stream) -> Self {
        Self { stream: Mutex::new(Some(stream)), process: std::process::id() }
    }
}

#[pymethods]
impl Batches {
    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Batch>> {
        // Before the lock, which another thread may have held when the process was forked.
        if self.process != std::process::id() {
            return Err(errors::internal(FORKED));
        }
        py.detach(|| {
            let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(open) = stream.as_mut() else { return Ok(None) };
            match open.next() {
                Some(Ok(batch)) => Ok(Some(Batch { batch })),
                Some(Err(error)) => {
                    let raised = open.raised.take();
                    *stream = None;
                    Err(raised.unwrap_or_else(|| files::arrow_error(&error)))
                }
                None => {
                    *stream = None;
                    Ok(None)
                }
            }
        })
    }

    /// Ends the stream before its end.
    fn close(&self) {
        if self.process != std::process::id() {
            return;
        }
        let stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(stream) = stream {
            stream.meter().stop.store(true, Ordering::Relaxed);
        }
    }
}

/// Some rows of a table.
#[pyclass(frozen, module = "populace._populace")]
pub(crate) struct Batch {
    batch: RecordBatch,
}

#[pymethods]
impl Batch {
    fn __len__(&self) -> usize {
        self.batch.num_rows()
    }

    #[getter]
    fn column_names(&self) -> Vec<String> {
        self.batch.schema().fields().iter().map(|field| field.name().clone()).collect()
    }

    #[getter]
    fn nbytes(&self) -> usize {
        self.batch.get_array_memory_size()
    }

    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(&self, py: Python<'py>, requested_schema: Option<Bound<'py, PyAny>>) -> PyResult<Bound<'py, PyCapsule>> {
        // A wish need not be met.
        drop(requested_schema);
        let reader = arrow_array::RecordBatchIterator::new([Ok(self.batch.clone())], self.batch.schema());
        capsule::export(py, Box::new(reader))
    }

    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        capsule::export_schema(py, &self.batch.schema())
    }

    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_array__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<(Bound<'py, PyCapsule>, Bound<'py, PyCapsule>)> {
        drop(requested_schema);
        capsule::export_batch(py, &self.batch)
    }
}
