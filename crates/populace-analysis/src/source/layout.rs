//! What a file is, found by looking at it: its format by content as much as by ending, its columns, and for text the dialect.

use super::charset::{Letters, charset, letters};
use super::log::{LogText, is_log};
use super::options::ReadOptions;
use super::records::{Flaw, Records};
use super::sound;
use super::text::{json_list, odd_json};
use super::values::Decimal;
use crate::error::AnalysisError;
use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};
use encoding_rs_io::DecodeReaderBytesBuilder;
use memchr::memchr;
use populace_io::terminal::printable;
use populace_io::untrusted::{self, unreadable};
use populace_io::wording::own;
use serde::Serialize;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, Read};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Bytes at the beginning of a file that its format is told from.
const START: u64 = 64 << 10;
/// The delimiters that are looked for, the usual one first.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];
/// Lines that a delimiter is told from.
const LINES: usize = 20;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Parquet,
    Arrow,
    Csv,
    /// A JSON object a line.
    JsonLines,
    /// One list of objects, as short tables are often written.
    JsonList,
}

impl Content {
    /// By the ending of a name, without that of its compression; `None` if it is not known.
    pub(super) fn of_name(name: &str) -> Option<Self> {
        match name.rsplit('.').next().unwrap_or_default() {
            "parquet" | "pq" => Some(Self::Parquet),
            "arrow" | "feather" | "ipc" => Some(Self::Arrow),
            "csv" | "tsv" | "tab" | "psv" | "log" => Some(Self::Csv),
            "jsonl" | "ndjson" => Some(Self::JsonLines),
            "json" => Some(Self::JsonList),
            _ => None,
        }
    }

    pub(super) const fn is_json(self) -> bool {
        matches!(self, Self::JsonLines | Self::JsonList)
    }

    pub(super) const fn is_text(self) -> bool {
        !matches!(self, Self::Parquet | Self::Arrow)
    }
}

/// The name of a file in small letters, without the ending of its compression, and whether there was one.
pub(super) fn unpacked_name(path: &Path) -> (String, bool) {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let plain = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).map(str::to_owned);
    let is_packed = plain.is_some();
    (plain.unwrap_or(name), is_packed)
}

/// Rows that are left out of a file before anything is made of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Loss {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub why: &'static str,
    /// How many.
    pub rows: u64,
    /// The line of the first.
    pub first: u64,
}

/// What the directories of a file say: columns with their value.
pub(super) type Constants = Vec<(String, Option<String>)>;

/// What is known of a file.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Layout {
    pub(crate) path: PathBuf,
    pub(crate) content: Content,
    pub(super) is_packed: bool,
    /// Its columns; of CSV without the blank ones at the end, of JSON those of every row, and last those that its directories name.
    pub(crate) names: Vec<String>,
    /// Columns that the directories name, `country=NA`, with their value.
    pub(crate) constants: Constants,
    charset: &'static Encoding,
    /// Whether its ending is that of a JSON list.
    is_named_list: bool,
    /// Whether it is an access log, which is read as CSV.
    is_log: bool,
    /// Whether its lines end in a carriage return alone.
    has_returns: bool,
    /// Bytes and lines of text before the header.
    preamble: (usize, u64),
    pub(super) delimiter: u8,
    /// Whether a backslash stands before a quote in quoted text.
    slashes: bool,
    /// Whether CSV can be given to the fast reader as it stands.
    pub(super) is_sound: bool,
    /// Whether a number may hold a comma.
    pub(super) commas: bool,
    /// Rows in the file, where they were counted.
    pub(crate) rows: Option<u64>,
    pub(crate) losses: Vec<Loss>,
    /// Rows that are not UTF-8, and the line of the first.
    recoded: (u64, u64),
    pub(super) decimal: OnceLock<Result<Decimal, String>>,
}

impl Layout {
    /// Of a file whose ending can be trusted, and whose text is as Populace writes it.
    pub(super) fn own(path: &Path) -> Result<Self, AnalysisError> {
        let (name, is_packed) = unpacked_name(path);
        let content = Content::of_name(&name).filter(|content| !is_packed || content.is_text()).ok_or_else(|| unknown(path))?;
        let mut layout = Self::new(path, content, is_packed);
        layout.names = untrusted::guarded(path, || layout.first_names())??;
        Ok(layout)
    }

    /// Of any file: all of its text is looked at.
    pub(super) fn found(path: &Path, options: &ReadOptions) -> Result<Self, AnalysisError> {
        untrusted::guarded(path, || Self::look(path, options))?
    }

    fn new(path: &Path, content: Content, is_packed: bool) -> Self {
        Self {
            path: path.to_owned(),
            content,
            is_packed,
            names: Vec::new(),
            constants: Vec::new(),
            charset: UTF_8,
            is_named_list: false,
            is_log: false,
            has_returns: false,
            preamble: (0, 0),
            delimiter: b',',
            slashes: false,
            is_sound: true,
            commas: false,
            rows: None,
            losses: Vec::new(),
            recoded: (0, 0),
            decimal: OnceLock::new(),
        }
    }

    fn look(path: &Path, options: &ReadOptions) -> Result<Self, AnalysisError> {
        let failed = |error| AnalysisError::io(path, error);
        let mut magic = Vec::new();
        File::open(path).and_then(|file| file.take(8).read_to_end(&mut magic)).map_err(failed)?;
        let (name, packed_name) = unpacked_name(path);
        let is_packed = packed_name || magic.starts_with(b"\x1f\x8b") || magic.starts_with(b"\x28\xb5\x2f\xfd");
        let named = Content::of_name(&name);
        if !is_packed {
            refuse_foreign(path, &magic)?;
            if magic.starts_with(b"PAR1") || named == Some(Content::Parquet) {
                return Self::new(path, Content::Parquet, false).columnar();
            }
            if magic.starts_with(b"ARROW1") || named == Some(Content::Arrow) {
                return Self::new(path, Content::Arrow, false).columnar();
            }
        }
        let mut start = Vec::new();
        untrusted::bytes(path)?.take(START).read_to_end(&mut start).map_err(failed)?;
        if is_packed && (start.starts_with(b"PAR1") || start.starts_with(b"ARROW1")) {
            return Err(AnalysisError::input(format!("{}: is a packed columnar file; unpack it", path.display())));
        }
        let charset = charset(&start).unwrap_or_else(|| options.encoding.unwrap_or(UTF_8));
        let mut layout = Self { charset, ..Self::new(path, Content::Csv, is_packed) };
        let mut text = String::new();
        let mut bytes = Vec::new();
        layout.decoded(charset)?.take(START).read_to_end(&mut bytes).map_err(|error| unreadable(path, error))?;
        text.push_str(&String::from_utf8_lossy(&bytes));
        layout.has_returns = text.contains('\r') && !text.contains('\n');
        if layout.has_returns {
            text = text.replace('\r', "\n");
        }
        // In a row such a byte costs the row.
        if text.lines().next().is_some_and(|first| first.contains('\0')) {
            return Err(unreadable(path, "it holds bytes that no text has").into());
        }
        layout.content = match text.trim_start().bytes().next() {
            Some(b'{') => Content::JsonLines,
            Some(b'[') => Content::JsonList,
            None if named.is_some_and(|named| matches!(named, Content::JsonLines | Content::JsonList)) => Content::JsonLines,
            _ => Content::Csv,
        };
        if layout.content == Content::Csv && named.is_some_and(|named| matches!(named, Content::JsonLines | Content::JsonList)) {
            // A damaged line of JSON is no CSV: its message is that of the parser.
            layout.content = named.unwrap_or(Content::JsonLines);
        }
        let first = text.lines().next().unwrap_or_default();
        if named.is_none()
            && layout.content == Content::Csv
            && !is_log(&text)
            && !DELIMITERS.iter().any(|byte| first.as_bytes().contains(byte))
        {
            return Err(unknown(path));
        }
        layout.is_named_list = named == Some(Content::JsonList);
        match layout.content {
            Content::Csv => layout.look_at_csv(&text, options)?,
            _ => layout.look_at_json()?,
        }
        Ok(layout)
    }

    /// The columns of a columnar file.
    fn columnar(mut self) -> Result<Self, AnalysisError> {
        self.names = self.first_names()?;
        Ok(self)
    }

    /// The names of the columns, from the beginning of the file alone.
    fn first_names(&self) -> Result<Vec<String>, AnalysisError> {
        let path = &self.path;
        let of_schema = |schema: &arrow_schema::Schema| schema.fields().iter().map(|field| field.name().clone()).collect();
        match self.content {
            Content::Parquet => Ok(of_schema(untrusted::parquet(path)?.schema())),
            Content::Arrow => Ok(of_schema(&untrusted::arrow_schema(path)?)),
            Content::Csv => self.header(&mut Records::new(self.text()?, self.delimiter, self.preamble.1)),
            Content::JsonLines | Content::JsonList => {
                let mut line = String::new();
                untrusted::lines(self.text()?).read_line(&mut line).map_err(|error| AnalysisError::io(path, error))?;
                let first: serde_json::Map<String, serde_json::Value> =
                    serde_json::from_str(&line).map_err(|error| AnalysisError::input(format!("{}: line 1: {error}", path.display())))?;
                Ok(first.keys().cloned().collect())
            }
        }
    }

    fn header(&self, records: &mut Records) -> Result<Vec<String>, AnalysisError> {
        let path = self.path.display();
        let names = records.header().map_err(|error| unreadable(&self.path, error))?;
        let names = names.ok_or_else(|| {
            AnalysisError::input(format!("{path}:1: the header has a quote that is never closed, or is longer than 1 MiB"))
        })?;
        if names.is_empty() {
            return Err(AnalysisError::input(format!("{path}: is empty; a CSV file begins with the names of its columns")));
        }
        Ok(names)
    }

    /// Finds the dialect of CSV, and counts the rows that are none.
    fn look_at_csv(&mut self, start: &str, options: &ReadOptions) -> Result<(), AnalysisError> {
        self.is_log = is_log(start);
        // Spreadsheets name the delimiter in a line of its own.
        if let Some(rest) = start.strip_prefix("sep=") {
            let length = memchr(b'\n', start.as_bytes()).map_or(start.len(), |end| end + 1);
            self.delimiter = rest.bytes().next().unwrap_or(b',');
            self.preamble = (length, 1);
        } else if !self.is_log {
            self.delimiter = delimiter(start);
        }
        let path = self.path.clone();
        let failed = |error: io::Error| AnalysisError::from(unreadable(&path, error));
        let mut records = self.records()?;
        self.names = self.header(&mut records)?;
        drop(records);
        let seen = sound::look(self.text()?, self.delimiter, self.names.len()).map_err(failed)?;
        self.is_sound = seen.is_sound;
        let letters = if seen.is_sound || self.charset != UTF_8 { Letters::Mixed } else { letters(self.text()?).map_err(failed)? };
        if letters == Letters::Other {
            return Err(AnalysisError::input(format!(
                "{}: is not UTF-8, and its letters are none of Western Europe's\nhint: {}",
                path.display(),
                own("name its charset with --encoding, such as windows-1251 or shift_jis, or write it as UTF-8")
            )));
        }
        if letters == Letters::Western {
            self.charset = WINDOWS_1252;
            let mut records = self.records()?;
            self.names = self.header(&mut records)?;
            self.is_sound = sound::look(self.text()?, self.delimiter, self.names.len()).map_err(failed)?.is_sound;
        }
        self.commas = options.decimal.is_some() || self.delimiter != b',' || seen.quotes || !seen.is_sound;
        if self.is_sound {
            return Ok(());
        }
        self.slashes = sound::has_slashes(self.text()?, self.delimiter, self.names.len()).map_err(failed)?;
        let mut records = self.records()?;
        self.header(&mut records)?;
        let (mut read, mut flaws) = (0, BTreeMap::<Flaw, (u64, u64)>::new());
        while let Some(row) = records.row().map_err(failed)? {
            read += 1;
            if let Err(flaw) = row {
                // The names of a log's columns are no line of it.
                flaws.entry(flaw).or_insert((0, records.line() - u64::from(self.is_log))).0 += 1;
            }
        }
        self.rows = Some(read);
        self.recoded = records.recoded();
        let why = |flaw: Flaw| if self.is_log { "is no line of an access log, or has no request" } else { flaw.meaning() };
        let loss = |(flaw, (rows, first)): (Flaw, _)| Loss { path: self.path.clone(), why: why(flaw), rows, first };
        self.losses = flaws.into_iter().map(loss).collect();
        Ok(())
    }

    /// The columns of all rows: a row may lack what another has.
    fn look_at_json(&mut self) -> Result<(), AnalysisError> {
        let path = &self.path;
        let mut keys = Keys::default();
        let mut lines = untrusted::lines(self.text()?);
        let (mut line, mut number, mut rows) = (String::new(), 0_u64, 0);
        let failed = |number: u64, error: io::Error| match error.kind() {
            io::ErrorKind::InvalidData if self.charset == UTF_8 && error.to_string().contains("valid UTF-8") => {
                AnalysisError::input(format!(
                    "{}: line {}: {error}\nhint: {}",
                    path.display(),
                    number + 1,
                    own("JSON is UTF-8; where it is not, name its charset with --encoding")
                ))
            }
            _ => unreadable(path, error).into(),
        };
        while lines.read_line(&mut line).map_err(|error| failed(number, error))? > 0 {
            number += 1;
            if !line.trim().is_empty() {
                keys.rows += 1;
                let wrong = |error: serde_json::Error| unreadable(path, odd_json(number, &line, &error));
                let mut parser = serde_json::Deserializer::from_str(&line);
                let read = serde::Deserializer::deserialize_map(&mut parser, &mut keys).and_then(|()| parser.end());
                if let Some(key) = keys.twice.take() {
                    return Err(AnalysisError::input(format!(
                        "{}: line {number}: the key `{}` is given twice; keep one",
                        path.display(),
                        printable(&key)
                    )));
                }
                if rows == 0 && self.is_named_list {
                    let wrong = |error| {
                        AnalysisError::input(format!(
                            "{}: is not a list of JSON objects: {}",
                            path.display(),
                            odd_json(number, &line, &error)
                        ))
                    };
                    read.map_err(wrong)?;
                } else if rows == 0 {
                    read.map_err(wrong)?;
                } else if read.is_err() {
                    // Reading comes to this line too, and says what is wrong with it.
                    break;
                }
                rows += 1;
            }
            line.clear();
        }
        if rows == 0 {
            return Err(AnalysisError::input(format!("{}: is empty; expected a JSON object on each line", path.display())));
        }
        (self.names, self.rows, self.commas) = (keys.names, Some(rows), true);
        Ok(())
    }

    /// The bytes of the file, unpacked and in UTF-8.
    fn decoded(&self, charset: &'static Encoding) -> Result<Box<dyn Read + Send>, AnalysisError> {
        let mut bytes = untrusted::bytes(&self.path)?;
        if charset != UTF_8 {
            return Ok(Box::new(DecodeReaderBytesBuilder::new().encoding(Some(charset)).build(bytes)));
        }
        // The mark of UTF-8 is no part of the first name.
        let (mut mark, mut length) = ([0; 3], 0);
        while length < mark.len() {
            match bytes.read(&mut mark[length..]).map_err(|error| unreadable(&self.path, error))? {
                0 => break,
                read => length += read,
            }
        }
        let mark = if mark == *b"\xef\xbb\xbf" { Vec::new() } else { mark[..length].to_vec() };
        Ok(Box::new(io::Cursor::new(mark).chain(bytes)))
    }

    /// The text: rows of CSV as they stand, objects of JSON a line each.
    pub(super) fn text(&self) -> Result<Box<dyn Read + Send>, AnalysisError> {
        let mut bytes = self.decoded(self.charset)?;
        if self.preamble.0 > 0 {
            let mut preamble = vec![0; self.preamble.0];
            bytes.read_exact(&mut preamble).map_err(|error| unreadable(&self.path, error))?;
        }
        if self.has_returns {
            bytes = Box::new(Returns(bytes));
        }
        Ok(match self.content {
            Content::JsonList => Box::new(json_list(bytes)),
            _ if self.is_log => Box::new(LogText::new(untrusted::lines(bytes))),
            _ => bytes,
        })
    }

    /// The records of CSV, the header first.
    pub(crate) fn records(&self) -> Result<Records, AnalysisError> {
        Ok(Records::new(self.text()?, self.delimiter, self.preamble.1).slashed(self.slashes))
    }

    /// What is to be said of a charset that nobody named.
    pub(super) fn recoded(&self) -> Option<String> {
        let (path, (rows, first)) = (self.path.display(), self.recoded);
        match rows {
            0 if self.charset == WINDOWS_1252 => Some(format!(
                "{path}: is not UTF-8, and was taken for windows-1252; where names look odd, {}",
                own("name its charset with --encoding")
            )),
            0 => None,
            _ => Some(format!(
                "{path}: {rows} rows are not UTF-8; their fields were taken for windows-1252, or have � for what is no text (the first at line {first})"
            )),
        }
    }

    /// The number in the file of a row that was read, both from 1.
    pub(super) fn row_in_file(&self, row: u64) -> u64 {
        let count = || -> Option<u64> {
            let mut records = self.records().ok()?;
            records.header().ok()??;
            let (mut sound, mut read) = (0, 0);
            while let Some(found) = records.row().ok()? {
                read += 1;
                sound += u64::from(found.is_ok());
                if sound == row {
                    return Some(read);
                }
            }
            None
        };
        if self.losses.is_empty() { row } else { count().unwrap_or(row) }
    }

    /// How text is written, where that is not UTF-8 with commas.
    pub(crate) fn dialect(&self) -> String {
        let mut parts = vec![
            match self.content {
                Content::Parquet => "Parquet",
                Content::Arrow => "Arrow",
                Content::Csv if self.is_log => "an access log",
                Content::Csv => "CSV",
                Content::JsonLines => "JSON Lines",
                Content::JsonList => "a JSON list",
            }
            .to_owned(),
        ];
        if self.content == Content::Csv && !self.is_log {
            let name = DELIMITERS.iter().position(|byte| *byte == self.delimiter).map(|at| ["commas", "semicolons", "tabs", "pipes"][at]);
            parts.push(name.map_or_else(|| format!("`{}` between fields", char::from(self.delimiter)), str::to_owned));
        }
        if self.charset != UTF_8 {
            parts.push(self.charset.name().to_owned());
        }
        if self.has_returns {
            parts.push("lines that end in CR".into());
        }
        if self.is_packed {
            parts.push("packed".into());
        }
        parts.join(", ")
    }
}

/// Text whose lines end in a carriage return, as old spreadsheets write it, with line feeds.
struct Returns(Box<dyn Read + Send>);

impl Read for Returns {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read(buffer)?;
        buffer[..read].iter_mut().filter(|byte| **byte == b'\r').for_each(|byte| *byte = b'\n');
        Ok(read)
    }
}

/// The delimiter by which most of the first lines have as many fields as the header.
fn delimiter(start: &str) -> u8 {
    let count = |line: &str, delimiter: u8| {
        let mut quoted = false;
        let is_one = |byte: u8| {
            quoted ^= byte == b'"';
            byte == delimiter && !quoted
        };
        line.bytes().map(is_one).filter(|is_one| *is_one).count()
    };
    let mut lines = start.lines().filter(|line| !line.is_empty()).take(LINES);
    let Some(header) = lines.next() else { return b',' };
    let lines: Vec<&str> = lines.collect();
    let score = |delimiter: u8| {
        let fields = count(header, delimiter);
        (fields > 0).then(|| (lines.iter().filter(|line| count(line, delimiter) == fields).count(), fields))
    };
    let scored = DELIMITERS.iter().rev().filter_map(|delimiter| Some((score(*delimiter)?, *delimiter)));
    scored.max_by_key(|(score, _)| *score).map_or(b',', |(_, delimiter)| delimiter)
}

/// Refuses what other programs write, by its first bytes.
fn refuse_foreign(path: &Path, magic: &[u8]) -> Result<(), AnalysisError> {
    let foreign = [
        (&b"PK\x03\x04"[..], "a spreadsheet or a ZIP archive", "export its table as CSV, or unpack it"),
        (b"\xd0\xcf\x11\xe0", "an old spreadsheet", "export its table as CSV"),
        (b"BZh", "packed by bzip2", "unpack it, or pack it by gzip or zstd"),
        (b"\xfd7zXZ", "packed by xz", "unpack it, or pack it by gzip or zstd"),
        (b"ORC", "ORC", "write it as Parquet"),
        (b"Obj\x01", "Avro", "write it as Parquet"),
        (b"FEA1", "the first version of Feather", "write it as Arrow or Parquet"),
        (b"SQLite f", "a database of SQLite", "export its tables as CSV"),
    ];
    match foreign.iter().find(|(start, ..)| magic.starts_with(start)) {
        Some((_, what, hint)) => Err(AnalysisError::input(format!("{}: is {what}; {hint}", path.display()))),
        None => Ok(()),
    }
}

fn unknown(path: &Path) -> AnalysisError {
    AnalysisError::input(format!(
        "{}: is of no known format; known are .parquet, .arrow, .feather, .csv, .tsv, .jsonl, .ndjson and .json, text also as .gz or .zst",
        path.display()
    ))
}

/// The keys of JSON objects, in the order in which they come first.
#[derive(Default)]
struct Keys {
    names: Vec<String>,
    /// Of each, the latest row that has it.
    latest: Vec<u64>,
    /// The number of the row.
    rows: u64,
    /// A key that a row has twice.
    twice: Option<String>,
}

impl<'de> Visitor<'de> for &mut Keys {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        let mut place = 0;
        while let Some(key) = object.next_key::<std::borrow::Cow<'de, str>>()? {
            // Most rows have their keys in the same order.
            if self.names.get(place).is_none_or(|name| *name != key) {
                place = self.names.iter().position(|name| *name == key).unwrap_or_else(|| {
                    self.names.push(key.into_owned());
                    self.latest.push(0);
                    self.names.len() - 1
                });
            }
            if std::mem::replace(&mut self.latest[place], self.rows) == self.rows {
                self.twice.get_or_insert_with(|| self.names[place].clone());
            }
            place += 1;
            object.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}
