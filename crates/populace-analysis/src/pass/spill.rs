//! Rows in any order, spread over temporary files by a hash of their actor; each file is sorted by itself.

use super::cutter::{plain, together, too_large};
use super::{By, Columns};
use crate::error::AnalysisError;
use crate::source::Keys;
use arrow_array::{ArrayRef, RecordBatch, UInt64Array};
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use arrow_ord::sort::{SortColumn, lexsort_to_indices};
use arrow_schema::ArrowError;
use arrow_select::take::{take, take_record_batch};
use std::fs::File;
use std::io::{BufReader, BufWriter, Seek};
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of rows that are sorted at a time, about.
const PARTITION: u64 = 16 << 20;
/// No more temporary files of a table than this are open at a time.
const MOST_PARTITIONS: u64 = 256;

/// Into how many partitions rows of so many bytes are spread.
pub(super) fn partitions(bytes: u64) -> usize {
    bytes.div_ceil(PARTITION).clamp(1, MOST_PARTITIONS) as usize
}

/// The rows of one table in one partition.
#[derive(Default)]
enum Rows {
    #[default]
    None,
    Kept(Vec<RecordBatch>),
    File(Box<StreamWriter<BufWriter<File>>>),
}

/// The rows of all joined tables, by table, then partition.
pub(super) struct Spill<'a> {
    columns: &'a [Columns],
    partitions: usize,
    rows: Vec<Vec<Mutex<Rows>>>,
}

impl<'a> Spill<'a> {
    pub(super) fn new(columns: &'a [Columns], partitions: usize) -> Self {
        let table = |_| (0..partitions).map(|_| Mutex::default()).collect();
        Self { columns, partitions, rows: (0..columns.len()).map(table).collect() }
    }

    fn key(&self, table: usize) -> usize {
        match self.columns[table].by {
            By::Key(key) => key,
            By::Row(_) => unreachable!("rows that go along come by actor"),
        }
    }

    /// The rows of each partition.
    pub(super) fn split(&self, table: usize, batch: &RecordBatch) -> Result<Vec<(usize, RecordBatch)>, AnalysisError> {
        let batch = plain(batch)?;
        if self.partitions == 1 {
            return Ok(vec![(0, batch)]);
        }
        let keys = Keys::of(batch.column(self.key(table)));
        let mut rows: Vec<Vec<u64>> = vec![Vec::new(); self.partitions];
        for row in 0..batch.num_rows() {
            rows[(keys.hash(row) % self.partitions as u64) as usize].push(row as u64);
        }
        let some = rows.into_iter().enumerate().filter(|(_, rows)| !rows.is_empty());
        some.map(|(partition, rows)| Ok((partition, take_record_batch(&batch, &UInt64Array::from(rows)).map_err(spilled)?))).collect()
    }

    /// Keeps rows, after those that came before.
    pub(super) fn push(&self, table: usize, split: Vec<(usize, RecordBatch)>) -> Result<(), AnalysisError> {
        for (partition, batch) in split {
            let mut rows = self.rows[table][partition].lock().unwrap_or_else(PoisonError::into_inner);
            match &mut *rows {
                Rows::File(file) => file.write(&batch).map_err(spilled)?,
                Rows::Kept(batches) => batches.push(batch),
                Rows::None if self.partitions == 1 => *rows = Rows::Kept(vec![batch]),
                Rows::None => {
                    let file = BufWriter::new(tempfile::tempfile().map_err(temporary)?);
                    let mut file = StreamWriter::try_new(file, &batch.schema()).map_err(spilled)?;
                    file.write(&batch).map_err(spilled)?;
                    *rows = Rows::File(Box::new(file));
                }
            }
        }
        Ok(())
    }

    /// The rows of a partition ordered by key, then time, then as they came; they are gone then.
    pub(super) fn sorted(&self, table: usize, partition: usize) -> Result<Option<RecordBatch>, AnalysisError> {
        let rows = std::mem::take(&mut *self.rows[table][partition].lock().unwrap_or_else(PoisonError::into_inner));
        let batches = match rows {
            Rows::None => return Ok(None),
            Rows::Kept(batches) => batches,
            Rows::File(mut writer) => {
                writer.finish().map_err(spilled)?;
                let file = writer.into_inner().map_err(spilled)?;
                let mut file = file.into_inner().map_err(|error| temporary(error.into_error()))?;
                file.rewind().map_err(temporary)?;
                let reader = StreamReader::try_new(BufReader::new(file), None).map_err(spilled)?;
                reader.collect::<Result<_, _>>().map_err(spilled)?
            }
        };
        let whole = together(&batches)?;
        drop(batches);
        let (key, time) = (self.key(table), self.columns[table].time);
        let place: ArrayRef = Arc::new(UInt64Array::from_iter_values(0..whole.num_rows() as u64));
        let by = [Some(key), time].into_iter().flatten().map(|index| Arc::clone(whole.column(index)));
        let columns: Vec<SortColumn> = by.chain([place]).map(|values| SortColumn { values, options: None }).collect();
        let indices = lexsort_to_indices(&columns, None).map_err(too_large)?;
        let columns = whole.columns().iter().map(|column| take(column, &indices, None)).collect::<Result<Vec<_>, _>>();
        let batch = RecordBatch::try_new(whole.schema(), columns.map_err(too_large)?).map_err(too_large)?;
        Ok(Some(batch).filter(|batch| batch.num_rows() > 0))
    }
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
