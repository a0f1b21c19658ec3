//! The rows of a raw table, file after file: the fields of the wanted columns as text.

use super::reasons::Drop;
use crate::error::AnalysisError;
use crate::source::records::{Flaw, Records};
use crate::source::{As, Batches, Content, Decimal, Layout, TableSource, Times, Want};
use crate::watch::Watch;
use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// A column of a raw table.
#[derive(Clone, Copy, Debug)]
pub(super) struct RawColumn {
    pub(super) name: &'static str,
    /// Whether a table without it cannot be read.
    pub(super) required: bool,
    pub(super) is_number: bool,
}

impl RawColumn {
    pub(super) const fn required(name: &'static str) -> Self {
        Self { name, required: true, is_number: false }
    }

    pub(super) const fn optional(name: &'static str) -> Self {
        Self { name, required: false, is_number: false }
    }

    pub(super) const fn number(name: &'static str) -> Self {
        Self { name, required: false, is_number: true }
    }
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
    source: TableSource,
    layouts: Vec<Arc<Layout>>,
    columns: &'static [RawColumn],
}

/// Rows between two looks at the clock and the stop flag.
const STEP: u64 = 1 << 14;

impl RawTable {
    /// Looks at the headers of the files.
    pub(super) fn open(source: TableSource, columns: &'static [RawColumn]) -> Result<(Self, Header), AnalysisError> {
        let mut header = Header::default();
        let layouts = source.layouts()?;
        for layout in &layouts {
            let mut sources = Vec::new();
            for column in columns {
                let found = source.find(layout, column.name)?;
                if found.is_none() && column.required {
                    return Err(layout.no_columns(&[column.name]));
                }
                if found.is_none() && !header.missing.contains(&column.name) {
                    header.missing.push(column.name);
                }
                sources.extend(found);
            }
            for name in layout.names.iter().filter(|name| !sources.contains(name)) {
                if !header.ignored.contains(name) {
                    header.ignored.push(name.clone());
                }
            }
        }
        Ok((Self { source, layouts, columns }, header))
    }

    pub(super) fn files(&self) -> &[PathBuf] {
        self.source.files()
    }

    /// The rows from the first.
    pub(super) fn rows<'a>(&'a self, watch: &'a Watch<'a>) -> Rows<'a> {
        Rows { table: self, watch, next_file: 0, input: None, places: Vec::new(), decimal: Decimal::Point, read: 0, unseen: 0 }
    }

    /// Where a row stands, for messages: `events.csv:12`, or `events.parquet: row 11`.
    pub(super) fn shown(&self, place: Place) -> String {
        let layout = &self.layouts[(place.0 >> LINE_BITS) as usize];
        let name = layout.path.file_name().unwrap_or_default().to_string_lossy();
        let line = place.0 & ((1 << LINE_BITS) - 1);
        if layout.content == Content::Csv { format!("{name}:{line}") } else { format!("{name}: row {line}") }
    }
}

/// Bits of the line in a [`Place`].
const LINE_BITS: u32 = 40;

/// Where a row stands: rows compare as they stand in their table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place(pub(super) u64);

/// Where a column of the open file is.
enum Column {
    Missing,
    At(usize),
    /// Of all rows.
    Constant(Option<String>),
}

enum Input {
    Text(Box<Records>),
    Batches { batches: Box<Batches>, batch: Option<RecordBatch>, row: usize, line: u64 },
}

/// The rows of a table, one at a time.
pub(super) struct Rows<'a> {
    table: &'a RawTable,
    watch: &'a Watch<'a>,
    next_file: usize,
    input: Option<Input>,
    /// Where each column stands in the open file.
    places: Vec<Column>,
    /// The sign before the fractions of the open file.
    decimal: Decimal,
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
                    let row = records.row().map_err(|error| AnalysisError::io(&self.table.files()[self.next_file - 1], error))?;
                    row.map(|row| {
                        row.map_err(|flaw| match flaw {
                            Flaw::BlankRow => Drop::BlankRow,
                            Flaw::UnclosedQuote => Drop::UnclosedQuote,
                            Flaw::FieldCount => Drop::FieldCount,
                            Flaw::ZeroByte => Drop::ZeroByte,
                        })
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
        let table = self.table;
        let Some(layout) = table.layouts.get(self.next_file) else {
            self.watch.seen(std::mem::take(&mut self.unseen))?;
            return Ok(false);
        };
        self.next_file += 1;
        let sources = table.columns.iter().map(|column| table.source.find(layout, column.name)).collect::<Result<Vec<_>, _>>()?;
        let numbers: Vec<String> =
            table.columns.iter().zip(&sources).filter(|(column, _)| column.is_number).filter_map(|(_, source)| source.clone()).collect();
        self.decimal = table.source.decimal(layout, &numbers)?;
        if layout.content == Content::Csv {
            let mut records = layout.records()?;
            records.header().map_err(|error| AnalysisError::io(&layout.path, error))?;
            let place = |source: &Option<String>| {
                let Some(source) = source else { return Column::Missing };
                let constant = layout.constants.iter().find(|(name, _)| name == source);
                let place = || layout.names.iter().position(|name| name == source).map_or(Column::Missing, Column::At);
                constant.map_or_else(place, |(_, value)| Column::Constant(value.clone()))
            };
            self.places = sources.iter().map(place).collect();
            self.input = Some(Input::Text(Box::new(records)));
        } else {
            let wants: Vec<Want> = table.columns.iter().map(|column| Want::optional(column.name, As::Text)).collect();
            let found = sources.iter().enumerate().map(|(index, source)| source.as_ref().map_or(Column::Missing, |_| Column::At(index)));
            self.places = found.collect();
            self.input =
                Some(Input::Batches { batches: Box::new(table.source.only(&layout.path).read(&wants)?), batch: None, row: 0, line: 0 });
        }
        Ok(true)
    }

    /// What moments may look like.
    pub(super) fn times(&self) -> Times {
        self.table.source.options().times
    }

    /// The sign before fractions.
    pub(super) fn decimal(&self) -> Decimal {
        self.decimal
    }

    /// The user's words for events.
    pub(super) fn events(&self) -> &BTreeMap<String, String> {
        &self.table.source.options().map.events
    }

    /// The field of a column, by its place in the table's list; empty where it is null or missing.
    #[inline]
    pub(super) fn field(&self, column: usize) -> &[u8] {
        let place = match &self.places[column] {
            Column::Missing => return b"",
            Column::At(place) => *place,
            Column::Constant(value) => return value.as_deref().unwrap_or_default().as_bytes(),
        };
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
        !matches!(self.places[column], Column::Missing)
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
