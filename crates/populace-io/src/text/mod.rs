//! CSV and JSON Lines, written by hand into reused buffers: a date, a dictionary value or a UUID costs a copy, not a formatter.

mod cells;
mod head;

pub use head::first_rows;

use crate::table::{Column, Kind, Table};
use arrow_array::RecordBatch;
use cells::Cells;
pub use cells::{DateText, append_instant, append_uuid};

/// A text format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextFormat {
    /// RFC 4180 with `\n`; a null is an empty field.
    Csv,
    /// One JSON object a line; a null is `null`, a JSON column is an object.
    Jsonl,
}

impl TextFormat {
    /// What a file of `table` begins with.
    pub fn header(self, table: &Table) -> Vec<u8> {
        match self {
            Self::Csv => {
                let names: Vec<&str> = table.columns.iter().map(|column| column.name).collect();
                (names.join(",") + "\n").into_bytes()
            }
            Self::Jsonl => Vec::new(),
        }
    }

    /// Appends the rows of a batch of `table` as JSON Lines whose first key, `table`, names the table.
    pub fn append_tagged(table: &Table, batch: &RecordBatch, out: &mut Vec<u8>) {
        let mut lines = Vec::new();
        Self::Jsonl.append(table, batch, &mut lines);
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            out.extend_from_slice(format!("{{\"table\":\"{}\",", table.path()).as_bytes());
            out.extend_from_slice(&line[1..]);
        }
    }

    /// Appends the rows of a batch of `table`.
    pub fn append(self, table: &Table, batch: &RecordBatch, out: &mut Vec<u8>) {
        match self {
            Self::Csv => {
                let mut cells = Cells::all(table, batch, self);
                for row in 0..batch.num_rows() {
                    for (index, cell) in cells.iter_mut().enumerate() {
                        if index > 0 {
                            out.push(b',');
                        }
                        cell.append(row, out);
                    }
                    out.push(b'\n');
                }
            }
            Self::Jsonl => append_objects(table, batch, out, |_| {}),
        }
    }
}

/// Rows as JSON objects, each a record of its own.
#[cfg(any(feature = "http", feature = "kafka"))]
#[derive(Default)]
pub(crate) struct Records {
    lines: Vec<u8>,
    /// Where each line ends.
    ends: Vec<usize>,
}

#[cfg(any(feature = "http", feature = "kafka"))]
impl Records {
    /// The rows of a batch of `table`, in the place of those before.
    pub(crate) fn of(&mut self, table: &Table, batch: &RecordBatch) -> impl Iterator<Item = &[u8]> + use<'_> {
        self.lines.clear();
        self.ends.clear();
        append_objects(table, batch, &mut self.lines, |end| self.ends.push(end));
        let (lines, mut from) = (&self.lines, 0);
        // Without the end of the line.
        self.ends.iter().map(move |end| &lines[std::mem::replace(&mut from, *end)..*end - 1])
    }
}

/// Appends rows as JSON Lines, and says after each where it ends.
fn append_objects(table: &Table, batch: &RecordBatch, out: &mut Vec<u8>, mut ended: impl FnMut(usize)) {
    let mut cells = Cells::all(table, batch, TextFormat::Jsonl);
    let keys: Vec<Key> = table.columns.iter().enumerate().map(|(index, column)| Key::new(index, column)).collect();
    for row in 0..batch.num_rows() {
        for (cell, key) in cells.iter_mut().zip(&keys) {
            if cell.is_null(row) {
                out.extend_from_slice(&key.null);
            } else {
                out.extend_from_slice(&key.before);
                cell.append(row, out);
                out.extend_from_slice(key.after);
            }
        }
        out.extend_from_slice(b"}\n");
        ended(out.len());
    }
}

/// What stands around the values of a column in a JSON object.
struct Key {
    before: Vec<u8>,
    after: &'static [u8],
    null: Vec<u8>,
}

impl Key {
    fn new(index: usize, column: &Column) -> Self {
        let name = format!("{}\"{}\":", if index == 0 { '{' } else { ',' }, column.name);
        let quote = match column.kind {
            Kind::Instant(_) | Kind::Date | Kind::Uuid => "\"",
            // A dictionary holds its values quoted already; the rest are numbers, truth values and objects.
            Kind::Text | Kind::Json | Kind::Bool | Kind::Int16 | Kind::Int32 | Kind::Int64 | Kind::Float | Kind::Fixed(_) => "",
        };
        Self { before: format!("{name}{quote}").into_bytes(), after: quote.as_bytes(), null: format!("{name}null").into_bytes() }
    }
}
