//! How long work tells how far it has come, and hears that it is to stop.

use crate::error::AnalysisError;
use populace_io::error::RunError;
use std::sync::atomic::{AtomicBool, Ordering};

/// How far the work has come, for a progress bar; all methods may be called from any thread.
pub trait Progress: Sync {
    /// A part of the work begins, of so many rows if that is known.
    fn begins(&self, what: &str, rows: Option<u64>);

    /// So many more rows of it are done.
    fn advanced(&self, rows: u64);
}

/// Who watches the work, and may stop it.
#[derive(Clone, Copy)]
pub struct Watch<'a> {
    /// Is told how far it has come.
    pub progress: &'a dyn Progress,
    /// Once true, the work stops and leaves nothing behind.
    pub stop: &'a AtomicBool,
    /// Threads that may work, at least 1.
    pub threads: usize,
}

/// Progress that nobody looks at.
pub struct NoProgress;

impl Progress for NoProgress {
    fn begins(&self, _: &str, _: Option<u64>) {}

    fn advanced(&self, _: u64) {}
}

impl Watch<'static> {
    /// Work that nobody watches or stops.
    pub fn none(threads: usize) -> Self {
        static STOP: AtomicBool = AtomicBool::new(false);
        Self { progress: &NoProgress, stop: &STOP, threads }
    }
}

impl Watch<'_> {
    /// So many more rows are done.
    ///
    /// # Errors
    /// The work is to stop.
    pub(crate) fn seen(&self, rows: u64) -> Result<(), AnalysisError> {
        self.progress.advanced(rows);
        if self.stop.load(Ordering::Relaxed) { Err(RunError::Interrupted.into()) } else { Ok(()) }
    }
}
