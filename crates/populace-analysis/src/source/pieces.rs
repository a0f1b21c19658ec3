//! The pieces of a table, each of which can be read by itself, in order: parts of row groups, batches, or stretches of text that end
//! where a record ends.

use super::layout::{Content as Kind, Layout};
use super::reader::{self, FileReader};
use super::shared::Shared;
use super::text::{Csv, JsonLines};
use super::{As, TableSource, Want};
use crate::error::AnalysisError;
use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, Fields, Schema};
use memchr::{memchr, memchr_iter, memrchr};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use populace_io::untrusted::{self, Checked, unreadable};
use std::collections::VecDeque;
use std::fs;
use std::io::{Cursor, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes of text in a piece, about.
const TEXT: usize = 4 << 20;
/// Compressed text is about so many times as long.
const EXPANSION: u64 = 8;

/// A piece of a file.
pub(crate) struct Piece {
    layout: Arc<Layout>,
    shared: Arc<Shared>,
    wants: Arc<[Want]>,
    sources: Arc<[Option<String>]>,
    content: Content,
}

enum Content {
    /// Rows of a row group, from one on.
    Rows {
        metadata: ArrowReaderMetadata,
        group: usize,
        from: usize,
        rows: usize,
    },
    Csv {
        text: Vec<u8>,
        header: bool,
    },
    Jsonl(Vec<u8>),
    Batch(Box<RecordBatch>),
}

impl Piece {
    /// Its rows; text may stay codes of a dictionary.
    ///
    /// # Errors
    /// The file is damaged, or a value is not what is wanted: the message is that of reading the file from its start.
    pub(crate) fn read(self) -> Result<Vec<RecordBatch>, AnalysisError> {
        let (layout, wants, shared) = (Arc::clone(&self.layout), Arc::clone(&self.wants), Arc::clone(&self.shared));
        untrusted::guarded(&layout.path, || self.batches()).map_err(AnalysisError::from).flatten().map_err(|error| {
            let whole = || -> Result<(), AnalysisError> {
                let mut reader = FileReader::open(&layout.path, &wants, &shared)?;
                while reader.next_batch()?.is_some() {}
                Ok(())
            };
            whole().err().unwrap_or(error)
        })
    }

    fn batches(self) -> Result<Vec<RecordBatch>, AnalysisError> {
        let (path, sources) = (self.layout.path.as_path(), Arc::clone(&self.sources));
        let wanted = move |name: &str| sources.iter().any(|source| source.as_deref() == Some(name));
        let raw: reader::RawBatches = match self.content {
            Content::Rows { metadata, group, from, rows } => {
                let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(Checked::new(open(path)?), metadata);
                let fields = builder.schema().fields().iter().enumerate().filter(|(_, field)| wanted(field.name()));
                let mask = ProjectionMask::roots(builder.parquet_schema(), fields.map(|(index, _)| index).collect::<Vec<_>>());
                let builder = builder.with_row_groups(vec![group]).with_projection(mask).with_batch_size(rows);
                Box::new(builder.with_offset(from).with_limit(rows).build().map_err(|error| unreadable(path, error))?)
            }
            Content::Csv { text, header } => {
                let (names, delimiter) = reader::csv_names(&self.layout);
                Box::new(Csv::new(Cursor::new(text), names, delimiter, wanted, header))
            }
            Content::Jsonl(text) => Box::new(JsonLines::new(Cursor::new(text), self.sources.iter().flatten().cloned().collect())),
            Content::Batch(batch) => Box::new(std::iter::once(Ok(*batch))),
        };
        let mut reader = FileReader::of(&self.layout, &self.wants, &self.shared, raw)?;
        let mut batches = Vec::new();
        while let Some(batch) = reader.next_batch()? {
            batches.push(batch);
        }
        Ok(batches)
    }
}

/// The pieces of a table, file after file.
pub(crate) struct Pieces {
    shared: Arc<Shared>,
    wants: Arc<[Want]>,
    files: VecDeque<PathBuf>,
    most: usize,
    open: Option<File>,
    /// Bytes of the files before the open one, and of all.
    before: u64,
    total: u64,
}

/// An open file.
struct File {
    layout: Arc<Layout>,
    sources: Arc<[Option<String>]>,
    bytes: u64,
    left: Left,
}

/// What is left of a file.
enum Left {
    /// Row groups with the bytes up to their ends, and the rows of the first that have been given.
    Groups {
        metadata: ArrowReaderMetadata,
        groups: VecDeque<(usize, usize)>,
        given: usize,
    },
    Text {
        text: Text,
        expansion: u64,
    },
    Batches {
        batches: reader::RawBatches,
        read: u64,
    },
}

impl TableSource {
    /// The pieces of the table, of Parquet with so many rows at most.
    ///
    /// # Errors
    /// A column is missing, or a file cannot be opened.
    pub(crate) fn pieces(&self, wants: &[Want], most: usize) -> Result<Pieces, AnalysisError> {
        let mut total = 0;
        for file in &self.files {
            self.shared.layout(file)?.sources(wants, &self.shared)?;
            total += fs::metadata(file).map_err(|error| AnalysisError::io(file, error))?.len();
        }
        let (shared, files) = (Arc::clone(&self.shared), self.files.clone().into());
        Ok(Pieces { shared, wants: wants.into(), files, most, open: None, before: 0, total: total.max(1) })
    }
}

impl Pieces {
    /// The share of the table that has been given.
    pub(crate) fn share(&self) -> f64 {
        let here = self.open.as_ref().map_or(0, |file| file.given().min(file.bytes));
        // What is given of a compressed file is a guess.
        if self.is_done() { 1.0 } else { ((self.before + here) as f64 / self.total as f64).min(1.0 - f64::EPSILON) }
    }

    fn is_done(&self) -> bool {
        self.open.is_none() && self.files.is_empty()
    }

    /// The next piece.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn next(&mut self) -> Result<Option<Piece>, AnalysisError> {
        let path = self.open.as_ref().map(|file| file.layout.path.clone()).or_else(|| self.files.front().cloned());
        let Some(path) = path else { return Ok(None) };
        untrusted::guarded(&path, || self.step())?
    }

    fn step(&mut self) -> Result<Option<Piece>, AnalysisError> {
        loop {
            if self.open.is_none() {
                let Some(path) = self.files.pop_front() else { return Ok(None) };
                self.open = Some(File::open(&path, &self.wants, &self.shared)?);
            }
            let Some(file) = &mut self.open else { continue };
            if let Some(content) = file.next(self.most)? {
                let (layout, sources) = (Arc::clone(&file.layout), Arc::clone(&file.sources));
                return Ok(Some(Piece { layout, shared: Arc::clone(&self.shared), wants: Arc::clone(&self.wants), sources, content }));
            }
            self.before += file.bytes;
            self.open = None;
        }
    }
}

fn open(path: &Path) -> Result<fs::File, AnalysisError> {
    fs::File::open(path).map_err(|error| AnalysisError::io(path, error))
}

/// The metadata of a Parquet file, whose text is to be read as codes of a dictionary.
fn metadata(path: &Path, wants: &[Want], sources: &[Option<String>]) -> Result<ArrowReaderMetadata, AnalysisError> {
    let found = untrusted::parquet(path)?;
    let coded = |field: &Arc<Field>| {
        let mut wanted = wants.iter().zip(sources).filter(|(_, source)| source.as_ref() == Some(field.name()));
        // Text that the file does not hold as codes would be hashed for them, row by row.
        let first = found.metadata().row_groups().first();
        let mut chunks = first.into_iter().flat_map(parquet::file::metadata::RowGroupMetaData::columns);
        let mut held =
            || chunks.any(|chunk| chunk.column_path().parts() == [field.name().as_str()] && chunk.dictionary_page_offset().is_some());
        let is_text = *field.data_type() == DataType::Utf8 && wanted.any(|(want, _)| want.kind == As::Text) && held();
        let codes = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        if is_text { Arc::new(field.as_ref().clone().with_data_type(codes)) } else { Arc::clone(field) }
    };
    let fields: Fields = found.schema().fields().iter().map(coded).collect();
    let schema = Arc::new(Schema::new_with_metadata(fields, found.schema().metadata().clone()));
    let options = ArrowReaderOptions::new().with_schema(schema);
    Ok(ArrowReaderMetadata::try_new(Arc::clone(found.metadata()), options).map_err(|error| unreadable(path, error))?)
}

impl File {
    fn open(path: &Path, wants: &[Want], shared: &Arc<Shared>) -> Result<Self, AnalysisError> {
        let bytes = fs::metadata(path).map_err(|error| AnalysisError::io(path, error))?.len();
        let layout = shared.layout(path)?;
        let sources: Arc<[Option<String>]> = layout.sources(wants, shared)?.into();
        let expansion = if layout.is_packed { EXPANSION } else { 1 };
        let left = match layout.content {
            Kind::Parquet => {
                let metadata = metadata(path, wants, &sources)?;
                let groups = metadata.metadata().row_groups().iter().enumerate();
                let groups = groups.map(|(index, group)| (index, usize::try_from(group.num_rows()).unwrap_or(0))).collect();
                Left::Groups { metadata, groups, given: 0 }
            }
            Kind::Csv => Left::Text { text: Text::new(reader::csv_text(&layout)?, Some(reader::csv_names(&layout).1)), expansion },
            Kind::JsonLines | Kind::JsonList => Left::Text { text: Text::new(layout.text()?, None), expansion },
            Kind::Arrow => Left::Batches { batches: reader::raw(&layout, &sources)?, read: 0 },
        };
        Ok(Self { layout, sources, bytes, left })
    }

    /// Bytes that have been given, about.
    fn given(&self) -> u64 {
        match &self.left {
            Left::Groups { metadata, groups, .. } => {
                let first = groups.front().map_or(usize::MAX, |(group, _)| *group);
                let of = |group: &parquet::file::metadata::RowGroupMetaData| u64::try_from(group.compressed_size()).unwrap_or(0);
                metadata.metadata().row_groups().iter().take(first).map(of).sum()
            }
            Left::Text { text, expansion, .. } => text.given / expansion,
            Left::Batches { read, .. } => *read,
        }
    }

    fn next(&mut self, most: usize) -> Result<Option<Content>, AnalysisError> {
        match &mut self.left {
            Left::Groups { metadata, groups, given } => loop {
                let Some((group, rows)) = groups.front().copied() else { return Ok(None) };
                let from = *given;
                if from >= rows {
                    groups.pop_front();
                    *given = 0;
                    continue;
                }
                let rows = (rows - from).min(most);
                *given += rows;
                return Ok(Some(Content::Rows { metadata: metadata.clone(), group, from, rows }));
            },
            Left::Text { text, .. } => {
                let header = text.given == 0;
                let Some(bytes) = text.next(&self.layout.path)? else { return Ok(None) };
                Ok(Some(if self.layout.content == Kind::Csv { Content::Csv { text: bytes, header } } else { Content::Jsonl(bytes) }))
            }
            Left::Batches { batches, read } => {
                let batch = batches.next().transpose().map_err(|error| unreadable(&self.layout.path, error))?;
                *read += batch.as_ref().map_or(0, |batch| batch.get_array_memory_size() as u64);
                Ok(batch.map(|batch| Content::Batch(Box::new(batch))))
            }
        }
    }
}

/// Text that is cut where records end.
struct Text {
    reader: Box<dyn Read + Send>,
    /// The delimiter of CSV, where a quoted field may hold the end of a line.
    delimiter: Option<u8>,
    state: At,
    plain: Vec<Range<usize>>,
    rest: Vec<u8>,
    given: u64,
}

/// Where in a record of CSV a byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Start,
    Plain,
    Quoted,
    /// After a quote within a quoted field: its end, or the first of two quotes that stand for one.
    Closed,
}

impl Text {
    fn new(reader: Box<dyn Read + Send>, delimiter: Option<u8>) -> Self {
        Self { reader, delimiter, state: At::Start, plain: Vec::new(), rest: Vec::new(), given: 0 }
    }

    /// After the last record that ends within `bytes`, whose first `looked` bytes hold no such end.
    fn cut(&mut self, bytes: &[u8], looked: usize) -> Option<usize> {
        let Some(delimiter) = self.delimiter else {
            return memrchr(b'\n', &bytes[looked..]).map(|place| looked + place + 1);
        };
        let ends_field = |byte: u8| byte == delimiter || matches!(byte, b'\n' | b'\r');
        // What is not in quotes.
        self.plain.clear();
        let mut at = looked;
        while at < bytes.len() {
            match self.state {
                At::Quoted => match memchr(b'"', &bytes[at..]) {
                    Some(place) => (self.state, at) = (At::Closed, at + place + 1),
                    None => at = bytes.len(),
                },
                At::Closed if bytes[at] == b'"' => (self.state, at) = (At::Quoted, at + 1),
                At::Start | At::Plain | At::Closed => {
                    let begins = |place: usize| if place == at { self.state == At::Start } else { ends_field(bytes[place - 1]) };
                    let quote = memchr_iter(b'"', &bytes[at..]).map(|place| at + place).find(|place| begins(*place));
                    let end = quote.unwrap_or(bytes.len());
                    self.plain.push(at..end);
                    self.state = match quote {
                        Some(_) => At::Quoted,
                        None if ends_field(bytes[end - 1]) => At::Start,
                        None => At::Plain,
                    };
                    at = end + usize::from(quote.is_some());
                }
            }
        }
        self.plain.iter().rev().find_map(|plain| memrchr(b'\n', &bytes[plain.clone()]).map(|place| plain.start + place + 1))
    }

    /// The next stretch of whole records.
    fn next(&mut self, path: &Path) -> Result<Option<Vec<u8>>, AnalysisError> {
        let mut bytes = std::mem::take(&mut self.rest);
        let mut looked = bytes.len();
        loop {
            let read = self.reader.by_ref().take(TEXT as u64).read_to_end(&mut bytes).map_err(|error| AnalysisError::io(path, error))?;
            if read == 0 {
                break;
            }
            if let Some(end) = self.cut(&bytes, looked) {
                self.rest = bytes.split_off(end);
                break;
            }
            looked = bytes.len();
            if looked > untrusted::MAX_RECORD {
                let path = path.display();
                return Err(AnalysisError::input(format!(
                    "{path}: a record is longer than {} MiB; is a quote never closed?",
                    untrusted::MAX_RECORD >> 20
                )));
            }
        }
        self.given += bytes.len() as u64;
        Ok(Some(bytes).filter(|bytes| !bytes.is_empty()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a file whole, and in pieces.
    fn both(name: &str, text: &str) -> [Vec<String>; 2] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(name);
        let packed = if path.extension().is_some_and(|ending| ending == "zst") {
            zstd::encode_all(text.as_bytes(), 1).unwrap()
        } else {
            text.into()
        };
        std::fs::write(&path, packed).unwrap();
        let wants = [Want::nullable("a", super::super::As::Text), Want::nullable("b", super::super::As::Text)];
        let table = TableSource::file(&path).unwrap();
        let shown = |batch: &RecordBatch| {
            let of = |name: &str, row: usize| super::super::Columns::text(batch, name).value(row).to_owned();
            (0..batch.num_rows()).map(|row| format!("{}|{}", of("a", row), of("b", row))).collect::<Vec<_>>()
        };
        let whole = table.read(&wants).unwrap().flat_map(|batch| shown(&batch.unwrap())).collect();
        let mut pieces = table.pieces(&wants, 1 << 10).unwrap();
        let mut apart = Vec::new();
        // As a pass does: until the share says that all has been given.
        while pieces.share() < 1.0 {
            let Some(piece) = pieces.next().unwrap() else { continue };
            apart.extend(piece.read().unwrap().iter().flat_map(shown));
        }
        assert_eq!(pieces.share(), 1.0);
        [whole, apart]
    }

    /// Where a byte leads, byte by byte.
    fn after(state: At, byte: u8) -> At {
        match (state, byte) {
            (At::Quoted, b'"') => At::Closed,
            (At::Quoted, _) | (At::Start | At::Closed, b'"') => At::Quoted,
            (_, b',' | b'\n' | b'\r') => At::Start,
            _ => At::Plain,
        }
    }

    #[test]
    fn text_is_cut_where_a_look_at_every_byte_would_cut_it() {
        let mut seed = 1_u32;
        for _ in 0..20_000 {
            let mut draw = |below: u32| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> 16) % below
            };
            let bytes: Vec<u8> = (0..draw(24)).map(|_| b"\"\"\"\n\r,ab"[draw(8) as usize]).collect();
            let half = draw(bytes.len() as u32 + 1) as usize;
            let (mut state, mut end) = (At::Start, None);
            let mut text = Text::new(Box::new(std::io::empty()), Some(b','));
            for (from, to) in [(0, half), (half, bytes.len())] {
                for (place, byte) in bytes.iter().enumerate().take(to).skip(from) {
                    end = if *byte == b'\n' && state != At::Quoted { Some(place + 1) } else { end };
                    state = after(state, *byte);
                }
                let cut = text.cut(&bytes[..to], from);
                assert_eq!((cut, text.state), (end.filter(|end| *end > from), state), "{:?}", String::from_utf8_lossy(&bytes));
            }
        }
    }

    #[test]
    fn text_in_pieces_is_the_text() {
        // Ends of lines in quotes, quotes in quotes and quotes in the middle of a field, over several pieces.
        let record = |row: usize| match row % 4 {
            0 => format!("{row},\"a\nb \"\"{row}\"\"\n\"\n"),
            1 => format!("{row},5\" disk {row}\r\n"),
            2 => format!("\"{row}\",\"x,\n\ny\"\n"),
            _ => format!("{row},{}\n", "z".repeat(60)),
        };
        let text: String = (0..300_000).map(record).collect();
        assert!(text.len() > 2 * TEXT);
        let [whole, apart] = both("t.csv", &format!("a,b\n{text}300000,last"));
        assert_eq!(whole.len(), 300_001);
        assert!(whole == apart);
        let line = |row: usize| format!("{{\"a\":\"{row}\",\"b\":\"{}\"}}", "y".repeat(row % 90));
        let lines = (0..200_000).map(line).collect::<Vec<_>>().join("\n");
        for name in ["t.jsonl", "t.jsonl.zst"] {
            let [whole, apart] = both(name, &lines);
            assert_eq!(whole.len(), 200_000);
            assert!(whole == apart, "{name}");
        }
    }
}
