//! Work without the interpreter's lock, while signals are looked for.

use crate::errors;
use crate::stream::{Link, Meter, TICK, panic_text};
use pyo3::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};

/// Works in another thread while this one looks for signals and tells of progress.
pub(crate) fn wait<T: Send>(
    py: Python<'_>,
    meter: &Arc<Meter>,
    callback: Option<Py<PyAny>>,
    work: impl FnOnce() -> T + Send,
) -> PyResult<T> {
    let mut link = Link::new(Arc::clone(meter), callback);
    py.detach(|| {
        std::thread::scope(|scope| {
            let (sender, receiver) = sync_channel(1);
            scope.spawn(move || sender.send(catch_unwind(AssertUnwindSafe(work))));
            let mut raised = Ok(());
            loop {
                match receiver.recv_timeout(TICK) {
                    Ok(Ok(done)) => {
                        let told = link.tick(true);
                        return raised.and(told).map(|()| done);
                    }
                    Ok(Err(panic)) => return Err(errors::internal(panic_text(panic.as_ref()))),
                    Err(RecvTimeoutError::Disconnected) => return Err(errors::internal("internal error: a thread has gone")),
                    // The work sees that it should stop, and ends in its own time.
                    Err(RecvTimeoutError::Timeout) if raised.is_ok() => raised = link.tick(false),
                    Err(RecvTimeoutError::Timeout) => {}
                }
            }
        })
    })
}

/// The same for work that cannot be stopped: where a signal comes, the thread goes on by itself and what it finds is dropped.
pub(crate) fn wait_or_leave<T: Send + 'static>(py: Python<'_>, work: impl FnOnce() -> T + Send + 'static) -> PyResult<T> {
    let mut link = Link::new(Arc::default(), None);
    let (sender, receiver) = sync_channel(1);
    // Nobody receives what comes too late.
    std::thread::spawn(move || drop(sender.send(catch_unwind(AssertUnwindSafe(work)))));
    py.detach(move || {
        loop {
            match receiver.recv_timeout(TICK) {
                Ok(Ok(done)) => return Ok(done),
                Ok(Err(panic)) => return Err(errors::internal(panic_text(panic.as_ref()))),
                Err(RecvTimeoutError::Disconnected) => return Err(errors::internal("internal error: a thread has gone")),
                Err(RecvTimeoutError::Timeout) => link.tick(false)?,
            }
        }
    })
}
