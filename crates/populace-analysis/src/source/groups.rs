//! The rows of one key at a time.

use super::Batches;
use super::keys::Keys;
use crate::error::AnalysisError;
use arrow_array::{ArrayRef, RecordBatch, UInt64Array};
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use arrow_ord::sort::{SortColumn, lexsort_to_indices};
use arrow_schema::ArrowError;
use arrow_select::concat::concat_batches;
use arrow_select::take::{take, take_record_batch};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufReader, BufWriter, Seek};
use std::ops::Range;
use std::sync::Arc;

/// Bytes of rows that are sorted at a time, about.
const PARTITION: u64 = 64 << 20;
/// No more temporary files than this are open at a time.
const MOST_PARTITIONS: u64 = 256;

/// The rows of one key at a time, as one batch each.
pub struct Groups {
    input: Input,
    key: usize,
    /// The batch that is being cut, and the place of the first row that is not cut off yet.
    batch: Option<RecordBatch>,
    next: usize,
    /// Pieces of a group that goes on in the next batch.
    pending: Vec<RecordBatch>,
}

enum Input {
    Ordered(Batches),
    Partitions { files: VecDeque<File>, time: Option<usize> },
    Whole(Option<RecordBatch>),
}

impl Groups {
    /// Groups of rows that come ordered by key.
    pub(super) fn ordered(batches: Batches, key: usize) -> Self {
        Self::new(Input::Ordered(batches), key)
    }

    /// Groups of rows in any order. With one number of partitions the keys of any table come in one order.
    pub(super) fn partitioned(batches: Batches, key: usize, time: Option<usize>, partitions: u64) -> Result<Self, AnalysisError> {
        if partitions == 1 {
            let batches: Vec<RecordBatch> = batches.collect::<Result<_, _>>()?;
            return Ok(Self::new(Input::Whole(sorted(&batches, key, time)?), key));
        }
        let files = spread(batches, key, partitions)?;
        Ok(Self::new(Input::Partitions { files, time }, key))
    }

    /// The place of the key among the columns.
    pub(super) fn key(&self) -> usize {
        self.key
    }

    fn new(input: Input, key: usize) -> Self {
        Self { input, key, batch: None, next: 0, pending: Vec::new() }
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>, AnalysisError> {
        match &mut self.input {
            Input::Ordered(batches) => batches.next().transpose(),
            Input::Whole(batch) => Ok(batch.take()),
            Input::Partitions { files, time } => {
                while let Some(mut file) = files.pop_front() {
                    file.rewind().map_err(temporary)?;
                    let reader = StreamReader::try_new(BufReader::new(file), None).map_err(spilled)?;
                    let batches: Vec<RecordBatch> = reader.collect::<Result<_, _>>().map_err(spilled)?;
                    if let Some(batch) = sorted(&batches, self.key, *time)? {
                        return Ok(Some(batch));
                    }
                }
                Ok(None)
            }
        }
    }

    /// The rest of a batch up to where the key changes.
    fn run(&self, batch: &RecordBatch) -> Range<usize> {
        let keys = Keys::of(batch.column(self.key));
        let end = (self.next + 1..batch.num_rows()).find(|&row| !keys.same(self.next, &keys, row));
        self.next..end.unwrap_or(batch.num_rows())
    }

    fn take_pending(&mut self) -> Result<Option<RecordBatch>, AnalysisError> {
        let pieces = std::mem::take(&mut self.pending);
        Ok(match pieces.as_slice() {
            [] => None,
            [one] => Some(one.clone()),
            [first, ..] => Some(concat_batches(&first.schema(), &pieces).map_err(too_large)?),
        })
    }

    fn advance(&mut self) -> Result<Option<RecordBatch>, AnalysisError> {
        loop {
            let Some(batch) = self.batch.clone().filter(|batch| self.next < batch.num_rows()) else {
                self.batch = self.next_batch()?;
                self.next = 0;
                match &self.batch {
                    Some(_) => continue,
                    None => return self.take_pending(),
                }
            };
            if let Some(last) = self.pending.last() {
                let before = Keys::of(last.column(self.key));
                if !before.same(last.num_rows() - 1, &Keys::of(batch.column(self.key)), self.next) {
                    return self.take_pending();
                }
            }
            let run = self.run(&batch);
            self.next = run.end;
            self.pending.push(batch.slice(run.start, run.len()));
            if run.end < batch.num_rows() {
                return self.take_pending();
            }
        }
    }
}

impl Iterator for Groups {
    type Item = Result<RecordBatch, AnalysisError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance().transpose()
    }
}

/// Into how many partitions rows of so many bytes are spread.
pub(super) fn partitions(bytes: u64) -> u64 {
    bytes.div_ceil(PARTITION).clamp(1, MOST_PARTITIONS)
}

/// Spreads rows over temporary files, all rows of a key in one; rows keep their order.
fn spread(batches: Batches, key: usize, partitions: u64) -> Result<VecDeque<File>, AnalysisError> {
    let mut writers: Vec<Option<StreamWriter<BufWriter<File>>>> = (0..partitions).map(|_| None).collect();
    for batch in batches {
        let batch = batch?;
        let keys = Keys::of(batch.column(key));
        let mut rows: Vec<Vec<u64>> = vec![Vec::new(); writers.len()];
        for row in 0..batch.num_rows() {
            rows[(keys.hash(row) % partitions) as usize].push(row as u64);
        }
        for (writer, rows) in writers.iter_mut().zip(rows) {
            if rows.is_empty() {
                continue;
            }
            let piece = take_record_batch(&batch, &UInt64Array::from(rows)).map_err(spilled)?;
            if writer.is_none() {
                let file = BufWriter::new(tempfile::tempfile().map_err(temporary)?);
                *writer = Some(StreamWriter::try_new(file, &batch.schema()).map_err(spilled)?);
            }
            writer.as_mut().expect("it was opened above").write(&piece).map_err(spilled)?;
        }
    }
    let close = |mut writer: StreamWriter<BufWriter<File>>| {
        writer.finish().map_err(spilled)?;
        let file = writer.into_inner().map_err(spilled)?;
        file.into_inner().map_err(|error| temporary(error.into_error()))
    };
    writers.into_iter().flatten().map(close).collect()
}

/// The rows ordered by key, then time, then as they came.
fn sorted(batches: &[RecordBatch], key: usize, time: Option<usize>) -> Result<Option<RecordBatch>, AnalysisError> {
    let Some(first) = batches.first() else { return Ok(None) };
    let whole = concat_batches(&first.schema(), batches).map_err(too_large)?;
    let place: ArrayRef = Arc::new(UInt64Array::from_iter_values(0..whole.num_rows() as u64));
    let by = [Some(key), time].into_iter().flatten().map(|index| Arc::clone(whole.column(index)));
    let columns: Vec<SortColumn> = by.chain([place]).map(|values| SortColumn { values, options: None }).collect();
    let indices = lexsort_to_indices(&columns, None).map_err(too_large)?;
    let columns = whole.columns().iter().map(|column| take(column, &indices, None)).collect::<Result<Vec<_>, _>>();
    let batch = RecordBatch::try_new(whole.schema(), columns.map_err(too_large)?).map_err(too_large)?;
    Ok(Some(batch).filter(|batch| batch.num_rows() > 0))
}

fn temporary(error: std::io::Error) -> AnalysisError {
    AnalysisError::io(std::env::temp_dir(), error)
}

fn spilled(error: ArrowError) -> AnalysisError {
    match error {
        ArrowError::IoError(_, source) => temporary(source),
        other => AnalysisError::input(format!("a temporary file in {}: {other}", std::env::temp_dir().display())),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it maps errors")]
fn too_large(error: ArrowError) -> AnalysisError {
    AnalysisError::input(format!("the rows of one key do not fit into memory: {error}"))
}
