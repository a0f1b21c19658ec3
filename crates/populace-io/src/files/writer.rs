//! A table of any origin, written batch after batch by one thread.

use super::encode::{Encoded, TableEncoder, UnitEncoder};
use super::place::Place;
pub use super::table_file::FileInfo;
use super::table_file::{FilesState, Names, TableFiles};
use super::{FileOptions, Format};
use crate::error::RunError;
use crate::table::Table;
use arrow_array::RecordBatch;

/// Rows that a text file's buffer holds, at least, when it is written.
const TEXT_ROWS: u64 = 16 << 10;

/// Writes a table to one file, which appears when [`finish`](Self::finish) completes it.
pub struct TableWriter<'a> {
    table: &'a Table,
    encoder: TableEncoder,
    files: TableFiles<'a>,
    place: &'a dyn Place,
    unit: Option<UnitEncoder>,
    spare: Option<Vec<u8>>,
    rows: u64,
    /// Rows after which a unit is written.
    unit_rows: u64,
}

impl<'a> TableWriter<'a> {
    /// Starts a table at a place.
    ///
    /// # Errors
    /// The table cannot be written in this format.
    pub fn new(table: &'a Table, options: FileOptions, place: &'a dyn Place) -> Result<Self, RunError> {
        let names = Names { stem: table.path(), rolls: false };
        let unit_rows = if options.format == Format::Parquet { options.row_group_rows } else { TEXT_ROWS };
        Ok(Self {
            table,
            encoder: TableEncoder::new(table, &options, f64::INFINITY)?,
            files: TableFiles::new(table, options, place, names, FilesState::default())?,
            place,
            unit: None,
            spare: None,
            rows: 0,
            unit_rows,
        })
    }

    /// Adds rows.
    ///
    /// # Errors
    /// They cannot be encoded or written.
    pub fn push(&mut self, batch: RecordBatch) -> Result<(), RunError> {
        self.rows += batch.num_rows() as u64;
        let (encoder, spare) = (&self.encoder, &mut self.spare);
        self.unit.get_or_insert_with(|| encoder.start(spare.take())).push(self.table, batch)?;
        if self.rows >= self.unit_rows { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), RunError> {
        if let Some(unit) = self.unit.take() {
            let mut encoded = unit.finish()?;
            self.files.write(&mut encoded, std::mem::take(&mut self.rows))?;
            self.files.settle()?;
            if let Encoded::Bytes(bytes) = encoded {
                self.spare = Some(bytes);
            }
        }
        Ok(())
    }

    /// Completes the files; a table without rows has one file that says so.
    ///
    /// # Errors
    /// The last rows cannot be written, or a file cannot be renamed.
    pub fn finish(mut self) -> Result<Vec<FileInfo>, RunError> {
        self.flush()?;
        self.files.finish()?;
        let files = self.files.state().complete.clone();
        for file in &files {
            self.place.sync(&file.path)?;
            self.place.publish(&file.path, file.bytes)?;
        }
        Ok(files)
    }
}
