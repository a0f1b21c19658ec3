//! The rows of a raw table, file after file: the fields of the wanted columns as text.

use super::reasons::Drop;
use super::records::{Records, Shape};
use crate::error::AnalysisError;
use crate::source::{self, As, Batches, TableSource, Want};
use crate::watch::Watch;
use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};
use std::path::{Path, PathBuf};

/// A column of a raw table.
#[derive(Clone, Copy, Debug)]
pub(super) struct RawColumn {
    pub(super) name: &'static str,
    /// Whether a table without it cannot be read.
    pub(super) required: bool,
}

/// What the headers of a table's files say.
#[derive(Clone, Debug, Default)]
pub(super) struct Header {
    /// Columns that are not read, by the names in the files.
    pub(super) ignored: Vec<String>,
    /// Optional columns that are not there.
    pub(super) missing: Vec<&'static str>,
}

/// The raw files of one table.
pub(super) struct RawTable {
    files: Vec<PathBuf>,
    columns: &'static [RawColumn],
}

/// Rows between two looks at the clock and the stop flag.
const STEP: u64 = 1 << 14;

impl RawTable {
    /// Looks at the headers of the files.
    pub(super) fn open(files: &[PathBuf], columns: &'static [RawColumn]) -> Result<(Self, Header), AnalysisError> {
        let table = Self { files: files.to_vec(), columns };
        let mut header = Header::default();
        for file in files {
            let (names, places) = if let Some(mut records) = open_text(file)? {
                let names = header_names(file, &mut records)?;
                let places = table.places(file, &names, fold)?;
                (names, places)
            } else {
                let names = TableSource::file(file)?.column_names()?;
                let places = table.places(file, &names, str::to_owned)?;
                (names, places)
            };
            for (index, name) in names.iter().enumerate() {
                if !places.contains(&Some(index)) && !header.ignored.contains(name) {
                    header.ignored.push(name.clone());
                }
            }
            for (column, place) in columns.iter().zip(places) {
                if place.is_none() && !header.missing.contains(&column.name) {
                    header.missing.push(column.name);
                }
            }
        }
        Ok((table, header))
    }

    pub(super) fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Where each column stands in a file with these names.
    fn places(&self, file: &Path, names: &[String], fold: fn(&str) -> String) -> Result<Vec<Option<usize>>, AnalysisError> {
        let folded: Vec<String> = names.iter().map(|name| fold(name)).collect();
        let mut places = Vec::with_capacity(self.columns.len());
        for column in self.columns {
            let mut found = folded.iter().enumerate().filter(|(_, name)| *name == column.name).map(|(index, _)| index);
            let place = found.next();
            if found.next().is_some() {
                return Err(AnalysisError::input(format!("{}: has several columns {}; keep one", file.display(), column.name)));
            }
            if place.is_none() && column.required {
                let near = names.iter().zip(&folded).find(|(_, name)| strsim::damerau_levenshtein(name, column.name) <= 2);
                return Err(source::no_columns(file, &[column.name], names, near.map(|(name, _)| name)));
            }
            places.push(place);
        }
        Ok(places)
    }

    /// The rows from the first.
    pub(super) fn rows<'a>(&'a self, watch: &'a Watch<'a>) -> Rows<'a> {
        Rows { table: self, watch, next_file: 0, input: None, places: Vec::new(), width: 0, read: 0, unseen: 0 }
    }

    /// Where a row stands, for messages: `events.csv:12`, or `events.parquet: row 11`.
    pub(super) fn shown(&self, place: Place) -> String {
        let file = &self.files[(place.0 >> LINE_BITS) as usize];
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let line = place.0 & ((1 << LINE_BITS) - 1);
        if source::is_csv(file) { format!("{name}:{line}") } else { format!("{name}: row {line}") }
    }
}

/// A column's name without what people add to it: `User ID` is `user_id`.
fn fold(name: &str) -> String {
    name.trim().to_lowercase().replace([' ', '-'], "_")
}

fn open_text(file: &Path) -> Result<Option<Records>, AnalysisError> {
    let Some(input) = source::open_csv(file)? else { return Ok(None) };
    Records::new(input).map(Some).map_err(|error| AnalysisError::io(file, error))
}

fn header_names(file: &Path, records: &mut Records) -> Result<Vec<String>, AnalysisError> {
    match records.advance().map_err(|error| AnalysisError::io(file, error))? {
        Some(Shape::Fields) => {
            Ok((0..records.len()).map(|index| String::from_utf8_lossy(records.field(index)).trim().to_owned()).collect())
        }
        Some(Shape::Broken) => Err(AnalysisError::input(format!("{}:1: the header has a quote that is never closed", file.display()))),
        None => Err(AnalysisError::input(format!("{}: is empty; a CSV file begins with the names of its columns", file.display()))),
    }
}

/// Bits of the line in a [`Place`].
const LINE_BITS: u32 = 40;

/// Where a row stands: rows compare as they stand in their table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place(pub(super) u64);

enum Input {
    Text(Records),
    Batches { batches: Batches, batch: Option<RecordBatch>, row: usize, line: u64 },
}

/// The rows of a table, one at a time.
pub(super) struct Rows<'a> {
    table: &'a RawTable,
    watch: &'a Watch<'a>,
    next_file: usize,
    input: Option<Input>,
    /// Where each column stands in the open file.
    places: Vec<Option<usize>>,
    width: usize,
    read: u64,
    /// Rows that the watch has not been told of.
    unseen: u64,
}

impl Rows<'_> {
    /// Rows read so far.
    pub(super) fn read(&self) -> u64 {
        self.read
    }

    /// Goes to the next row: false at the end, otherwise what is wrong with the row as a whole.
    pub(super) fn advance(&mut self) -> Result<Option<Result<(), Drop>>, AnalysisError> {
        if self.unseen >= STEP {
            self.watch.seen(std::mem::take(&mut self.unseen))?;
        }
        loop {
            let Some(input) = &mut self.input else {
                if !self.open_next()? {
                    return Ok(None);
                }
                continue;
            };
            let found = match input {
                Input::Text(records) => {
                    let advanced = records.advance().map_err(|error| AnalysisError::io(&self.table.files[self.next_file - 1], error))?;
                    advanced.map(|shape| match shape {
                        Shape::Broken => Err(Drop::UnclosedQuote),
                        Shape::Fields if (0..records.len()).all(|index| records.field(index).trim_ascii().is_empty()) => {
                            Err(Drop::BlankRow)
                        }
                        Shape::Fields if records.len() != self.width => Err(Drop::FieldCount),
                        Shape::Fields => Ok(()),
                    })
                }
                Input::Batches { batches, batch, row, line } => {
                    *row += 1;
                    *line += 1;
                    if batch.as_ref().is_none_or(|batch| *row >= batch.num_rows()) {
                        *batch = None;
                        while batch.as_ref().is_none_or(|batch| batch.num_rows() == 0) {
                            *batch = batches.next().transpose()?;
                            if batch.is_none() {
                                break;
                            }
                        }
                        *row = 0;
                    }
                    batch.as_ref().map(|_| Ok(()))
                }
            };
            if let Some(found) = found {
                self.read += 1;
                self.unseen += 1;
                return Ok(Some(found));
            }
            self.input = None;
        }
    }

    fn open_next(&mut self) -> Result<bool, AnalysisError> {
        let Some(file) = self.table.files.get(self.next_file) else {
            self.watch.seen(std::mem::take(&mut self.unseen))?;
            return Ok(false);
        };
        self.next_file += 1;
        if let Some(mut records) = open_text(file)? {
            let names = header_names(file, &mut records)?;
            self.width = names.len();
            self.places = self.table.places(file, &names, fold)?;
            self.input = Some(Input::Text(records));
        } else {
            let source = TableSource::file(file)?;
            let names = source.column_names()?;
            // Files that programs write carry the names as they are.
            let places = self.table.places(file, &names, str::to_owned)?;
            let wants: Vec<Want> = self.table.columns.iter().map(|column| Want::optional(column.name, As::Text)).collect();
            self.places = places.iter().enumerate().map(|(index, place)| place.map(|_| index)).collect();
            self.input = Some(Input::Batches { batches: source.read(&wants)?, batch: None, row: 0, line: 0 });
        }
        Ok(true)
    }

    /// The field of a column, by its place in the table's list; empty where it is null or missing.
    #[inline]
    pub(super) fn field(&self, column: usize) -> &[u8] {
        let Some(place) = self.places[column] else { return b"" };
        match &self.input {
            Some(Input::Text(records)) => records.field(place),
            Some(Input::Batches { batch: Some(batch), row, .. }) => {
                let values = batch.column(place).as_string::<i32>();
                if values.is_null(*row) { b"" } else { values.value(*row).as_bytes() }
            }
            _ => b"",
        }
    }

    /// Whether the open file has a column.
    pub(super) fn has(&self, column: usize) -> bool {
        self.places[column].is_some()
    }

    /// Where the current row stands.
    pub(super) fn place(&self) -> Place {
        let line = match &self.input {
            Some(Input::Text(records)) => records.line(),
            Some(Input::Batches { line, .. }) => *line,
            None => 0,
        };
        Place((self.next_file as u64 - 1) << LINE_BITS | line)
    }
}
