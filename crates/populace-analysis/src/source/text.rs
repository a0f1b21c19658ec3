//! CSV and JSON as batches of text, each of a bounded size whatever the file holds.

use super::reader::BATCH_ROWS;
use super::records::Records;
use arrow_array::builder::StringBuilder;
use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_csv::reader::Decoder;
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use populace_io::untrusted::MAX_RECORD;
use serde_json::Value;
use std::io::{self, BufRead, Read};
use std::sync::Arc;

/// Bytes of text after which a batch ends, about.
const BATCH_BYTES: usize = 8 << 20;
/// Cells of a batch, about: the reader reserves memory for each.
const BATCH_CELLS: usize = 1 << 18;
/// The most columns of a table.
const MOST_COLUMNS: usize = 10_000;

fn all_text(names: &[impl AsRef<str>]) -> SchemaRef {
    Arc::new(Schema::new(names.iter().map(|name| Field::new(name.as_ref(), DataType::Utf8, true)).collect::<Vec<_>>()))
}

/// The batches of a CSV file.
pub(super) struct Csv<R> {
    text: R,
    decoder: Decoder,
    columns: usize,
    rows: u64,
}

impl<R: BufRead> Csv<R> {
    pub(super) fn new(text: R, names: &[String], delimiter: u8, wanted: impl Fn(&str) -> bool, header: bool) -> Self {
        let kept = names.iter().enumerate().filter(|(_, name)| wanted(name)).map(|(index, _)| index).collect();
        let rows = (BATCH_CELLS / names.len().max(1)).clamp(1, BATCH_ROWS);
        let builder = arrow_csv::ReaderBuilder::new(all_text(names)).with_header(header).with_delimiter(delimiter);
        let builder = builder.with_projection(kept).with_batch_size(rows);
        Self { text, decoder: builder.build_decoder(), columns: names.len(), rows: 0 }
    }

    fn batch(&mut self) -> Result<Option<RecordBatch>, ArrowError> {
        if self.columns > MOST_COLUMNS {
            return Err(ArrowError::CsvError(format!("it has {} columns; at most {MOST_COLUMNS} are read", self.columns)));
        }
        let (mut bytes, mut of_record) = (0, 0);
        loop {
            let buffer = self.text.fill_buf()?;
            // A batch can end where a record does: at the end of a line, unless a quote is open.
            let full = bytes > BATCH_BYTES;
            let line = buffer.iter().take_while(|byte| full && **byte != b'\n').count() + 1;
            let piece = if full { &buffer[..line.min(buffer.len())] } else { buffer };
            let (left, ends) = (self.decoder.capacity(), piece.is_empty());
            let whole = full && piece.ends_with(b"\n") && !piece.trim_ascii_end().contains(&b'\r');
            let read = self.decoder.decode(piece)?;
            self.text.consume(read);
            bytes += read;
            let records = left - self.decoder.capacity();
            self.rows += records as u64;
            of_record = if records > 0 { 0 } else { of_record + read };
            if of_record > MAX_RECORD {
                let told = format!("record {} has more than {} MiB: is a quote not closed?", self.rows + 1, MAX_RECORD >> 20);
                return Err(ArrowError::CsvError(told));
            }
            if ends || self.decoder.capacity() == 0 || (whole && records > 0) {
                return self.decoder.flush();
            }
        }
    }
}

impl<R: BufRead> Iterator for Csv<R> {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.batch().transpose()
    }
}

/// Lines of JSON objects as batches of text: an object or a list within a column stays JSON.
pub(super) struct JsonLines<R> {
    lines: io::Lines<R>,
    names: Vec<String>,
    /// Number of the latest line, from 1.
    line: u64,
}

impl<R: BufRead> JsonLines<R> {
    pub(super) fn new(lines: R, names: Vec<String>) -> Self {
        Self { lines: lines.lines(), names, line: 0 }
    }

    /// The next batch; `None` where no line is left.
    fn batch(&mut self) -> Result<Option<RecordBatch>, ArrowError> {
        let mut columns: Vec<StringBuilder> = self.names.iter().map(|_| StringBuilder::new()).collect();
        let (mut rows, mut bytes) = (0, 0);
        while rows < BATCH_ROWS && bytes < BATCH_BYTES {
            let Some(line) = self.lines.next().transpose()? else { break };
            self.line += 1;
            bytes += line.len();
            if line.trim().is_empty() {
                continue;
            }
            let object: serde_json::Map<String, Value> =
                serde_json::from_str(&line).map_err(|error| ArrowError::JsonError(odd_json(self.line, &line, &error)))?;
            for (name, column) in self.names.iter().zip(&mut columns) {
                match object.get(name).or_else(|| within(&object, name)) {
                    None | Some(Value::Null) => column.append_null(),
                    Some(Value::String(text)) => column.append_value(text),
                    Some(other) => column.append_value(other.to_string()),
                }
            }
            rows += 1;
        }
        if rows == 0 {
            return Ok(None);
        }
        let columns = columns.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(all_text(&self.names), columns, &options).map(Some)
    }
}

impl<R: BufRead> Iterator for JsonLines<R> {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.batch().transpose()
    }
}

/// What is wrong with a line of JSON, and how it is mended.
pub(super) fn odd_json(number: u64, line: &str, error: &serde_json::Error) -> String {
    let line = line.trim();
    let hint = if line.ends_with("},") {
        "; an object is a line, without a comma after it"
    } else if error.is_syntax() && ["NaN", "Infinity"].iter().any(|word| line.contains(word)) {
        "; NaN and Infinity are no JSON: write null"
    } else if !line.starts_with('{') {
        "; each line is an object in braces: take the others out"
    } else if error.is_eof() || line.contains("}{") {
        "; an object must be one line: jq -c . FILE writes it so"
    } else {
        ""
    };
    format!("line {number}: {error}{hint}")
}

/// The value at a path such as `user.id`. In a list of keys with their values, as GA4 has, the key is part of the path.
fn within<'a>(object: &'a serde_json::Map<String, Value>, path: &str) -> Option<&'a Value> {
    let mut steps = path.split('.');
    let mut value = object.get(steps.next()?)?;
    for step in steps {
        value = match value {
            Value::Object(inner) => inner.get(step)?,
            Value::Array(items) => {
                let item = items.iter().find(|item| item.get("key").and_then(Value::as_str) == Some(step))?;
                match item.get("value")? {
                    Value::Object(typed) => typed.values().find(|value| !value.is_null())?,
                    plain => plain,
                }
            }
            _ => return None,
        };
    }
    Some(value)
}

/// Records as sound CSV: with commas, the header first, without what is no row.
pub(super) struct Cleaned {
    records: Records,
    line: Vec<u8>,
    given: usize,
}

impl Cleaned {
    /// The records from the header on.
    pub(super) fn new(mut records: Records) -> io::Result<Self> {
        records.header()?;
        let mut cleaned = Self { records, line: Vec::new(), given: 0 };
        cleaned.put();
        Ok(cleaned)
    }

    /// Writes the current record.
    fn put(&mut self) {
        self.line.clear();
        self.given = 0;
        for index in 0..self.records.width() {
            let field = self.records.field(index);
            let separator = if index == 0 { &b""[..] } else { b"," };
            self.line.extend_from_slice(separator);
            // A blank first field alone would be an empty line.
            if field.iter().any(|byte| matches!(byte, b'"' | b',' | b'\n' | b'\r')) || (field.is_empty() && self.records.width() == 1) {
                self.line.push(b'"');
                self.line.extend_from_slice(String::from_utf8_lossy(field).replace('"', "\"\"").as_bytes());
                self.line.push(b'"');
            } else {
                self.line.extend_from_slice(String::from_utf8_lossy(field).as_bytes());
            }
        }
        self.line.push(b'\n');
    }
}

impl Read for Cleaned {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.given == self.line.len() {
            match self.records.row()? {
                None => return Ok(0),
                Some(Err(_)) => {}
                Some(Ok(())) => self.put(),
            }
        }
        let count = into.len().min(self.line.len() - self.given);
        into[..count].copy_from_slice(&self.line[self.given..self.given + count]);
        self.given += count;
        Ok(count)
    }
}

/// The items of a JSON list, each on a line of its own.
pub(super) fn json_list(bytes: impl Read + Send) -> impl Read + Send {
    Items { bytes: io::BufReader::new(bytes), begun: false, ended: false, item: Vec::new(), given: 0 }
}

struct Items<R> {
    bytes: R,
    begun: bool,
    ended: bool,
    item: Vec<u8>,
    /// How much of the item was read.
    given: usize,
}

impl<R: BufRead> Items<R> {
    /// The next byte that is not a blank.
    fn next_byte(&mut self) -> io::Result<Option<u8>> {
        loop {
            let Some(byte) = self.bytes.fill_buf()?.first().copied() else { return Ok(None) };
            self.bytes.consume(1);
            if !byte.is_ascii_whitespace() {
                return Ok(Some(byte));
            }
        }
    }

    /// Takes one item and what follows it.
    fn next_item(&mut self) -> io::Result<()> {
        let wrong = |told: &str| io::Error::new(io::ErrorKind::InvalidData, format!("is not a list of JSON objects: {told}"));
        self.item.clear();
        self.given = 0;
        if !self.begun && self.next_byte()? != Some(b'[') {
            return Err(wrong("it must begin with ["));
        }
        let first = !std::mem::replace(&mut self.begun, true);
        match self.next_byte()? {
            Some(b']') if first => self.ended = true,
            Some(b'{') => {
                self.item.push(b'{');
                self.object().map_err(|error| if error.kind() == io::ErrorKind::UnexpectedEof { wrong("it breaks off") } else { error })?;
                self.item.push(b'\n');
                match self.next_byte()? {
                    Some(b',') => {}
                    Some(b']') => self.ended = true,
                    Some(_) => return Err(wrong("a comma or ] must follow each object")),
                    None => return Err(wrong("it breaks off")),
                }
            }
            Some(b']') => return Err(wrong("no comma may follow the last object")),
            Some(_) => return Err(wrong("each item must be an object")),
            None => return Err(wrong("it breaks off")),
        }
        if self.ended && self.next_byte()?.is_some() {
            return Err(wrong("something follows its end"));
        }
        Ok(())
    }

    /// Takes an object to its last bracket.
    fn object(&mut self) -> io::Result<()> {
        let (mut depth, mut quoted, mut escaped) = (1, false, false);
        while depth > 0 {
            let Some(byte) = self.bytes.fill_buf()?.first().copied() else { return Err(io::ErrorKind::UnexpectedEof.into()) };
            self.bytes.consume(1);
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                b'{' | b'[' if !quoted => depth += 1,
                b'}' | b']' if !quoted => depth -= 1,
                _ => {}
            }
            // A line feed within text is none of JSON's: left there, it breaks the line, which is then no JSON.
            self.item.push(if byte == b'\n' && !quoted { b' ' } else { byte });
            if self.item.len() > MAX_RECORD {
                return Err(io::Error::new(io::ErrorKind::InvalidData, format!("an object has more than {} MiB", MAX_RECORD >> 20)));
            }
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Items<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.given == self.item.len() && !self.ended {
            self.next_item()?;
        }
        let count = into.len().min(self.item.len() - self.given);
        into[..count].copy_from_slice(&self.item[self.given..self.given + count]);
        self.given += count;
        Ok(count)
    }
}
