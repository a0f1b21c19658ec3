//! How far a part has come, on disk: written by a thread of its own, so that nothing waits for the disk but the end of the run.

use super::{read_json, write_json};
use crate::error::RunError;
use crate::files::place::Place;
use crate::run::{PartState, Progress, TableState};
use std::io::ErrorKind;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often the journal is written, at most; in tests, whenever it can be.
const EVERY: Duration = Duration::from_millis(if cfg!(test) { 0 } else { 200 });

/// The journal of a part.
pub(super) struct Journal<'a> {
    place: &'a dyn Place,
    name: String,
    /// How many files of each table have their names.
    published: Mutex<Vec<usize>>,
}

/// What the work reports to.
struct Reporter<'a> {
    states: SyncSender<PartState>,
    last: Mutex<Option<Instant>>,
    progress: &'a dyn Progress,
}

impl Progress for Reporter<'_> {
    fn advanced(&self, actors: u64, rows: u64) {
        self.progress.advanced(actors, rows);
    }

    fn checkpoint(&self, state: &PartState) -> Result<(), RunError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_some_and(|last| last.elapsed() < EVERY) {
            return Ok(());
        }
        match self.states.try_send(state.clone()) {
            Ok(()) => *last = Some(Instant::now()),
            // The disk is still busy with the state before.
            Err(TrySendError::Full(_)) => {}
            // It has failed, and its error is what the run ends with.
            Err(TrySendError::Disconnected(_)) => return Err(RunError::Interrupted),
        }
        Ok(())
    }
}

impl<'a> Journal<'a> {
    pub(super) fn new(place: &'a dyn Place, name: String) -> Self {
        Self { place, name, published: Mutex::default() }
    }

    /// Works from the last state of the journal to the end, which is on disk then, every file under its name.
    pub(super) fn run(
        &self,
        progress: &dyn Progress,
        work: impl FnOnce(PartState, &dyn Progress) -> Result<PartState, RunError>,
    ) -> Result<PartState, RunError> {
        let state = self.last()?;
        let done = std::thread::scope(|scope| {
            let (states, receiver) = sync_channel(1);
            let saving = scope.spawn(move || receiver.into_iter().try_for_each(|state| self.save(&state)));
            let done = work(state, &Reporter { states, last: Mutex::default(), progress });
            let saved = saving.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            saved.and(done)
        })?;
        self.save(&done)?;
        Ok(done)
    }

    /// The state from which to go on. A table whose files are not as the journal says, which a power failure can cause, is made again
    /// from its start; a journal of another version counts for nothing.
    fn last(&self) -> Result<PartState, RunError> {
        let state: Option<PartState> = match read_json(self.place, &self.name) {
            Err(RunError::Io { source, .. }) if matches!(source.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof) => None,
            read => read?,
        };
        let mut state = state.unwrap_or_default();
        for table in &mut state.tables {
            if !self.holds(table)? {
                *table = TableState::default();
            }
        }
        *self.published.lock().unwrap_or_else(PoisonError::into_inner) =
            state.tables.iter().map(|table| table.files.complete.len()).collect();
        Ok(state)
    }

    fn holds(&self, table: &TableState) -> Result<bool, RunError> {
        for file in &table.files.complete {
            if !self.place.publish(&file.path, file.bytes)? {
                return Ok(false);
            }
        }
        let bytes = table.files.bytes;
        Ok(bytes == 0 || self.place.unfinished_size(&table.files.open)?.is_some_and(|there| there >= bytes))
    }

    /// Makes what a state counts durable, then the state itself; files that it says to be complete get their names only then.
    fn save(&self, state: &PartState) -> Result<(), RunError> {
        let mut published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        published.resize(state.tables.len(), 0);
        for (table, published) in state.tables.iter().zip(published.iter()) {
            for file in &table.files.complete[*published..] {
                self.place.sync(&file.path)?;
            }
            if table.files.bytes > 0 {
                self.place.sync(&table.files.open)?;
            }
        }
        write_json(self.place, &self.name, state)?;
        for (table, published) in state.tables.iter().zip(published.iter_mut()) {
            for file in &table.files.complete[*published..] {
                if !self.place.publish(&file.path, file.bytes)? {
                    return Err(RunError::io(self.place.named(&file.path), ErrorKind::NotFound.into()));
                }
                *published += 1;
            }
        }
        Ok(())
    }
}
