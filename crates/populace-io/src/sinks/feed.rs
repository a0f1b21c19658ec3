//! A run into sinks: each sink in a thread of its own, so that one that waits for its server does not hold up the others.

use super::{Sink, SinkError};
use crate::error::RunError;
use crate::generator::Tally;
use crate::run::{Job, Progress};
use arrow_array::RecordBatch;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Scope, ScopedJoinHandle};

/// Batches that wait for a sink, at most.
const WAITING: usize = 4;

/// What a run has fed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fed {
    /// Rows handed over, by table.
    pub rows: Vec<u64>,
    /// What the main table holds.
    pub tally: Tally,
}

enum Message {
    Rows(usize, RecordBatch),
    Flush,
}

/// Sinks at work.
pub struct Lanes<'scope> {
    lanes: Vec<Lane<'scope>>,
}

struct Lane<'scope> {
    takes: Vec<bool>,
    sender: SyncSender<Message>,
    worker: ScopedJoinHandle<'scope, Result<(), SinkError>>,
}

fn work(mut sink: Box<dyn Sink>, receiver: &Receiver<Message>) -> Result<(), SinkError> {
    for message in receiver {
        match message {
            Message::Rows(table, batch) => sink.write(table, &batch)?,
            Message::Flush => sink.flush()?,
        }
    }
    sink.flush()
}

impl<'scope> Lanes<'scope> {
    /// Starts a thread for each sink; `tables` is how many tables there are.
    pub fn start<'env>(scope: &'scope Scope<'scope, 'env>, sinks: Vec<Box<dyn Sink>>, tables: usize) -> Self {
        let lane = |sink: Box<dyn Sink>| {
            let takes = (0..tables).map(|table| sink.takes(table)).collect();
            let (sender, receiver) = sync_channel(WAITING);
            Lane { takes, sender, worker: scope.spawn(move || work(sink, &receiver)) }
        };
        Self { lanes: sinks.into_iter().map(lane).collect() }
    }

    /// Hands rows to every sink that takes the table. False if a sink has failed: [`finish`](Self::finish) says why.
    pub fn write(&self, table: usize, batch: &RecordBatch) -> bool {
        let mut takers = self.lanes.iter().filter(|lane| lane.takes[table]);
        takers.all(|lane| lane.sender.send(Message::Rows(table, batch.clone())).is_ok())
    }

    /// Asks every sink to send what it holds back. False if a sink has failed.
    pub fn flush(&self) -> bool {
        self.lanes.iter().all(|lane| lane.sender.send(Message::Flush).is_ok())
    }

    /// Waits until every sink has sent all it was given.
    ///
    /// # Errors
    /// The first error of a sink.
    pub fn finish(self) -> Result<(), SinkError> {
        let (senders, workers): (Vec<_>, Vec<_>) = self.lanes.into_iter().map(|lane| (lane.sender, lane.worker)).unzip();
        drop(senders);
        let ended: Vec<_> = workers.into_iter().map(ScopedJoinHandle::join).collect();
        ended.into_iter().try_for_each(|ended| ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    }
}

/// Runs a job into sinks. When it is asked to stop, the sinks still send what they were given.
///
/// # Errors
/// A sink's, or [`RunError::Interrupted`].
pub fn feed(job: &Job<'_>, sinks: Vec<Box<dyn Sink>>, progress: &dyn Progress) -> Result<Fed, RunError> {
    let count = job.generator.tables().len();
    let mut rows = vec![0; count];
    std::thread::scope(|scope| {
        let lanes = Lanes::start(scope, sinks, count);
        let made = job.for_each_batch(progress, &mut |table, batch| {
            rows[table] += batch.num_rows() as u64;
            if lanes.write(table, &batch) { Ok(()) } else { Err(RunError::Interrupted) }
        });
        lanes.finish()?;
        made
    })
    .map(|tally| Fed { rows, tally })
}
