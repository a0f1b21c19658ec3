//! Rows by time, in bounded memory: they are spread over slices of time on disk, and each slice is sorted by itself. A slice that is
//! too large is spread again.

use crate::error::RunError;
use crate::table::Table;
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{RecordBatch, UInt32Array};
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::DataType;
use arrow_select::concat::concat_batches;
use arrow_select::dictionary::garbage_collect_any_dictionary;
use arrow_select::take::take_record_batch;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Rows that are spread at once.
const SPREAD_ROWS: usize = 64 << 10;
/// Rows that are sorted at once, about.
const SLICE_ROWS: u64 = 24 << 10;
/// Slices that one spreading makes, at most.
const FAN_OUT: u64 = 256;

/// The rows of a table on their way into the order of time.
pub(crate) struct Spool<'a> {
    table: &'a Table,
    column: usize,
    file: Mutex<File>,
    end: u64,
    slices: Vec<Slice>,
    pending: Vec<RecordBatch>,
    pending_rows: usize,
}

/// Rows of a span of time.
#[derive(Clone, Debug)]
pub(crate) struct Slice {
    /// Lower bounds are kept by the order of the slices; this is where the next begins.
    until: i64,
    least: i64,
    greatest: i64,
    rows: u64,
    chunks: Vec<Range<u64>>,
}

/// `count` slices that cover all of time, dividing `span` evenly.
fn divide(span: &Range<i64>, count: u64) -> Vec<Slice> {
    let width = i128::from(span.end) - i128::from(span.start);
    let bound = |index: u64| {
        if index == count { i64::MAX } else { (i128::from(span.start) + width * i128::from(index) / i128::from(count)) as i64 }
    };
    (1..=count).map(|index| Slice { until: bound(index), least: i64::MAX, greatest: i64::MIN, rows: 0, chunks: Vec::new() }).collect()
}

impl<'a> Spool<'a> {
    /// A spool in a nameless file under `directory`, for about `rows` rows of `table` in `period` (microseconds).
    pub(crate) fn new(table: &'a Table, directory: &Path, rows: f64, period: &Range<i64>) -> Result<Self, RunError> {
        let made = std::fs::create_dir_all(directory).and_then(|()| tempfile::tempfile_in(directory));
        let file = made.map_err(|error| RunError::io(directory, error))?;
        let column = table.time.and_then(|time| table.position(time)).expect("a table in the order of time has a time");
        let count = ((rows / SLICE_ROWS as f64) as u64).clamp(1, FAN_OUT);
        Ok(Self { table, column, file: Mutex::new(file), end: 0, slices: divide(period, count), pending: Vec::new(), pending_rows: 0 })
    }

    fn failed(&self, error: std::io::Error) -> RunError {
        RunError::io(format!("temporary file of {}", self.table.name), error)
    }

    /// Takes rows in the order of actors.
    pub(crate) fn push(&mut self, batches: impl IntoIterator<Item = RecordBatch>) -> Result<(), RunError> {
        for batch in batches {
            self.pending_rows += batch.num_rows();
            self.pending.push(batch);
        }
        if self.pending_rows >= SPREAD_ROWS { self.spread() } else { Ok(()) }
    }

    fn spread(&mut self) -> Result<(), RunError> {
        let batches = std::mem::take(&mut self.pending);
        self.pending_rows = 0;
        let batch = concat_batches(&self.table.schema(), &batches)?;
        let mut slices = std::mem::take(&mut self.slices);
        self.spread_over(&batch, &mut slices)?;
        self.slices = slices;
        Ok(())
    }

    /// Appends the rows of a batch to the slices they fall into, in the order they come.
    fn spread_over(&mut self, batch: &RecordBatch, slices: &mut [Slice]) -> Result<(), RunError> {
        let times = batch.column(self.column).as_primitive::<TimestampMicrosecondType>().values();
        let mut rows: Vec<Vec<u32>> = vec![Vec::new(); slices.len()];
        for (row, time) in times.iter().enumerate() {
            rows[slices.partition_point(|slice| slice.until <= *time)].push(row as u32);
        }
        for (slice, rows) in slices.iter_mut().zip(rows).filter(|(_, rows)| !rows.is_empty()) {
            let (least, greatest) = rows
                .iter()
                .map(|row| times[*row as usize])
                .fold((slice.least, slice.greatest), |(least, greatest), time| (least.min(time), greatest.max(time)));
            (slice.least, slice.greatest) = (least, greatest);
            slice.rows += rows.len() as u64;
            let part = take_record_batch(batch, &UInt32Array::from(rows))?;
            slice.chunks.push(self.append(&part)?);
        }
        Ok(())
    }

    /// Writes rows to the file, with the values of dictionaries that they use and no others.
    fn append(&mut self, batch: &RecordBatch) -> Result<Range<u64>, RunError> {
        let columns = batch.columns().iter().map(|column| match column.data_type() {
            DataType::Dictionary(..) if column.as_any_dictionary().values().len() > batch.num_rows() => {
                garbage_collect_any_dictionary(column.as_any_dictionary())
            }
            _ => Ok(Arc::clone(column)),
        });
        let batch = RecordBatch::try_new(batch.schema(), columns.collect::<Result<_, _>>()?)?;
        let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema())?;
        writer.write(&batch)?;
        let bytes = writer.into_inner()?;
        let start = self.end;
        let file = self.file.get_mut().unwrap_or_else(PoisonError::into_inner);
        let written = file.seek(SeekFrom::Start(start)).and_then(|_| file.write_all(&bytes));
        written.map_err(|error| self.failed(error))?;
        self.end += bytes.len() as u64;
        Ok(start..self.end)
    }

    fn read(&self, chunk: &Range<u64>) -> Result<RecordBatch, RunError> {
        let mut bytes = vec![0; (chunk.end - chunk.start) as usize];
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let read = file.seek(SeekFrom::Start(chunk.start)).and_then(|_| file.read_exact(&mut bytes));
        drop(file);
        read.map_err(|error| self.failed(error))?;
        let batches = StreamReader::try_new(bytes.as_slice(), None)?.collect::<Result<Vec<_>, _>>()?;
        Ok(concat_batches(&self.table.schema(), &batches)?)
    }

    /// Ends the taking of rows: slices in the order of time, each small enough to be sorted by itself, unless more of its rows share
    /// one instant.
    pub(crate) fn slices(&mut self) -> Result<Vec<Slice>, RunError> {
        self.spread()?;
        let mut open: Vec<Slice> = std::mem::take(&mut self.slices).into_iter().rev().collect();
        let mut small = Vec::new();
        while let Some(slice) = open.pop() {
            if slice.rows == 0 {
                continue;
            }
            if slice.rows <= 2 * SLICE_ROWS || slice.least == slice.greatest {
                small.push(slice);
                continue;
            }
            let mut parts = divide(&(slice.least..slice.greatest + 1), (slice.rows / SLICE_ROWS).clamp(2, FAN_OUT));
            for chunk in &slice.chunks {
                let batch = self.read(chunk)?;
                self.spread_over(&batch, &mut parts)?;
            }
            open.extend(parts.into_iter().rev());
        }
        Ok(small)
    }

    /// The rows of a slice by time; rows of one instant stay in the order of actors.
    pub(crate) fn sorted(&self, slice: &Slice) -> Result<RecordBatch, RunError> {
        let batches = slice.chunks.iter().map(|chunk| self.read(chunk)).collect::<Result<Vec<_>, _>>()?;
        let batch = concat_batches(&self.table.schema(), &batches)?;
        let times = batch.column(self.column).as_primitive::<TimestampMicrosecondType>().values();
        let mut rows: Vec<u32> = (0..batch.num_rows() as u32).collect();
        rows.sort_by_key(|row| times[*row as usize]);
        Ok(take_record_batch(&batch, &UInt32Array::from(rows))?)
    }
}
