//! Column chunks of Parquet files, encoded from the columns of batches.
//!
//! The writer of the `parquet` crate hashes every value of every row for its dictionaries, also where the column already is one, and
//! copies each UUID into an object of its own. Here the codes of a text column are used as they are, UUIDs are copied in one piece
//! and numbers of few distinct values find their codes in a small table: 45% more rows of traces, with truth tables and zstd(1), in
//! a second of CPU time, in files of the same size. The chunks enter the file through the crate's own `append_column`, which writes
//! all that is not a page.
//!
//! UUIDs and doubles stay `PLAIN`: every reader knows it, and zstd makes more of them than of `DELTA_BYTE_ARRAY` (ids of sessions
//! grow by a fifth, ids of calls shrink by a twentieth) or `BYTE_STREAM_SPLIT` (twice the size). Portable types have UUIDs as text
//! and whole numbers `PLAIN`: Spark 4 refuses the logical type of UUIDs, and fastparquet misreads `DELTA_BINARY_PACKED`.

use super::bits::{GROUP, delta, hybrid, varint};
use crate::error::RunError;
use crate::files::{FileOptions, Types};
use crate::table::{Ids, Kind, as_codes};
use crate::text::append_uuid;
use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Float64Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType};
use arrow_buffer::BooleanBufferBuilder;
use bytes::Bytes;
use parquet::basic::{Compression as Codec, Encoding, PageType};
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::file::metadata::{ColumnChunkMetaData, PageEncodingStats};
use parquet::file::statistics::{Statistics, ValueStatistics};
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;
use std::collections::HashMap;
use std::io;
use std::sync::Arc;

/// A dictionary that has grown to this size is not added to: what follows is written plainly.
const DICTIONARY_BYTES: usize = 1 << 20;

/// How often a page asks whether its values are distinct enough to do without a dictionary.
const DOUBT: usize = 4_096;

/// What encoding a page needs and leaves behind for the next.
#[derive(Default)]
pub(super) struct Scratch {
    body: Vec<u8>,
    compressed: Vec<u8>,
    numbers: Vec<u64>,
    codes: Vec<u32>,
    zstd: Option<(i32, zstd::bulk::Compressor<'static>)>,
}

impl Scratch {
    /// The body, compressed.
    fn compress(&mut self, codec: Codec) -> io::Result<Bytes> {
        match codec {
            Codec::ZSTD(level) => {
                let level = level.compression_level();
                if self.zstd.as_ref().is_none_or(|(known, _)| *known != level) {
                    self.zstd = Some((level, zstd::bulk::Compressor::new(level)?));
                }
                let (_, zstd) = self.zstd.as_mut().expect("just made");
                self.compressed.clear();
                self.compressed.reserve(zstd::zstd_safe::compress_bound(self.body.len()));
                zstd.compress_to_buffer(&self.body, &mut self.compressed)?;
            }
            Codec::SNAPPY => {
                self.compressed.resize(snap::raw::max_compress_len(self.body.len()), 0);
                let length = snap::raw::Encoder::new().compress(&self.body, &mut self.compressed)?;
                self.compressed.truncate(length);
            }
            Codec::LZ4_RAW => {
                self.compressed.resize(lz4_flex::block::get_maximum_output_size(self.body.len()), 0);
                let length = lz4_flex::block::compress_into(&self.body, &mut self.compressed).map_err(io::Error::other)?;
                self.compressed.truncate(length);
            }
            _ => return Ok(Bytes::copy_from_slice(&self.body)),
        }
        Ok(Bytes::copy_from_slice(&self.compressed))
    }
}

/// A column chunk, encoded.
pub(super) struct EncodedColumn {
    pub(super) bytes: Bytes,
    pub(super) close: ColumnCloseResult,
}

/// A column chunk, being encoded.
pub(super) struct ColumnEncoder {
    kind: Kind,
    types: Types,
    ids: Ids,
    descriptor: ColumnDescPtr,
    codec: Codec,
    dictionary: Option<Dictionary>,
    /// Whether the dictionary still takes new pages.
    coding: bool,
    pages: Vec<CompressedPage>,
    rows: u64,
    nulls: u64,
    /// Least and greatest of a column of 64-bit integers.
    range: Option<(i64, i64)>,
}

impl ColumnEncoder {
    pub(super) fn new(kind: Kind, options: &FileOptions, descriptor: ColumnDescPtr, codec: Codec) -> Self {
        let dictionary = match kind {
            Kind::Bool | Kind::Int64 | Kind::Instant(_) | Kind::Uuid => None,
            Kind::Int16 | Kind::Int32 | Kind::Date | Kind::Float | Kind::Fixed(_) => Some(Dictionary::Numbers(Numbers::default())),
            Kind::Text | Kind::Json => Some(Dictionary::Texts(Texts::default())),
        };
        let coding = dictionary.is_some();
        Self {
            kind,
            types: options.types,
            ids: options.shape().ids,
            descriptor,
            codec,
            dictionary,
            coding,
            pages: Vec::new(),
            rows: 0,
            nulls: 0,
            range: None,
        }
    }

    /// Encodes arrays as one page.
    pub(super) fn page(&mut self, arrays: &[&dyn Array], scratch: &mut Scratch) -> Result<(), RunError> {
        let rows: usize = arrays.iter().map(|array| array.len()).sum();
        scratch.body.clear();
        if self.descriptor.max_def_level() > 0 {
            definition_levels(arrays, &mut scratch.body);
        }
        let encoding = self.values(arrays, scratch);
        self.rows += rows as u64;
        self.nulls += arrays.iter().map(|array| array.null_count() as u64).sum::<u64>();
        let page = Page::DataPage {
            buf: scratch.compress(self.codec).map_err(RunError::Encode)?,
            num_values: rows as u32,
            encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        self.pages.push(CompressedPage::new(page, scratch.body.len()));
        Ok(())
    }

    /// Appends the values of a page to its body.
    fn values(&mut self, arrays: &[&dyn Array], scratch: &mut Scratch) -> Encoding {
        let Scratch { body, numbers, codes, .. } = scratch;
        gather(self.kind, arrays, numbers);
        if self.coding
            && let Some(dictionary) = &mut self.dictionary
        {
            if dictionary.encode(arrays, numbers, codes) {
                let width = u32::BITS - (dictionary.len().max(2) as u32 - 1).leading_zeros();
                body.push(width as u8);
                hybrid(codes, width, body);
                return Encoding::RLE_DICTIONARY;
            }
            self.coding = false;
        }
        match self.kind {
            Kind::Bool => plain_booleans(arrays, body),
            Kind::Int16 | Kind::Int32 | Kind::Date | Kind::Float | Kind::Fixed(_) => plain_numbers(self.kind, numbers, body),
            Kind::Uuid if self.ids == Ids::Text => texts_of_uuids(arrays, body),
            Kind::Uuid => plain_uuids(arrays, body),
            Kind::Text | Kind::Json => plain_texts(arrays, body),
            Kind::Int64 | Kind::Instant(_) => {
                for number in numbers.iter().map(|number| *number as i64) {
                    let (least, greatest) = self.range.unwrap_or((number, number));
                    self.range = Some((least.min(number), greatest.max(number)));
                }
                if self.types == Types::Compact {
                    delta(numbers, body);
                    return Encoding::DELTA_BINARY_PACKED;
                }
                body.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
            }
        }
        Encoding::PLAIN
    }

    /// The chunk: its dictionary, if any page uses it, and its pages.
    pub(super) fn finish(self, scratch: &mut Scratch) -> Result<EncodedColumn, RunError> {
        let mut stats: Vec<PageEncodingStats> = Vec::new();
        for page in &self.pages {
            match stats.iter_mut().find(|stat| stat.encoding == page.encoding()) {
                Some(stat) => stat.count += 1,
                None => stats.push(PageEncodingStats { page_type: PageType::DATA_PAGE, encoding: page.encoding(), count: 1 }),
            }
        }
        let mut encodings: Vec<Encoding> = stats.iter().map(|stat| stat.encoding).collect();
        encodings.push(Encoding::RLE);
        let mut sink = TrackedWrite::new(Vec::new());
        let mut writer = SerializedPageWriter::new(&mut sink);
        let (mut uncompressed, mut data_offset) = (0, 0);
        if let Some(dictionary) = &self.dictionary
            && encodings.contains(&Encoding::RLE_DICTIONARY)
        {
            scratch.body.clear();
            dictionary.plain(self.kind, &mut scratch.body);
            let page = Page::DictionaryPage {
                buf: scratch.compress(self.codec).map_err(RunError::Encode)?,
                num_values: dictionary.len() as u32,
                encoding: Encoding::PLAIN,
                is_sorted: false,
            };
            let written = writer.write_page(CompressedPage::new(page, scratch.body.len()))?;
            (uncompressed, data_offset) = (written.uncompressed_size, written.bytes_written as i64);
            encodings.push(Encoding::PLAIN);
            stats.push(PageEncodingStats { page_type: PageType::DICTIONARY_PAGE, encoding: Encoding::PLAIN, count: 1 });
        }
        for page in self.pages {
            uncompressed += writer.write_page(page)?.uncompressed_size;
        }
        writer.close()?;
        let bytes = Bytes::from(sink.into_inner()?);
        let mut metadata = ColumnChunkMetaData::builder(self.descriptor)
            .set_compression(self.codec)
            .set_encodings(encodings)
            .set_page_encoding_stats(stats)
            .set_num_values(self.rows as i64)
            .set_total_compressed_size(bytes.len() as i64)
            .set_total_uncompressed_size(uncompressed as i64)
            .set_dictionary_page_offset((data_offset > 0).then_some(0))
            .set_data_page_offset(data_offset);
        if let Some((least, greatest)) = self.range {
            let range = ValueStatistics::new(Some(least), Some(greatest), None, Some(self.nulls), false);
            metadata = metadata.set_statistics(Statistics::Int64(range));
        }
        let close = ColumnCloseResult {
            bytes_written: bytes.len() as u64,
            rows_written: self.rows,
            metadata: metadata.build()?,
            bloom_filter: None,
            column_index: None,
            offset_index: None,
        };
        Ok(EncodedColumn { bytes, close })
    }
}

/// The distinct values of a chunk, by code.
enum Dictionary {
    Numbers(Numbers),
    Texts(Texts),
}

impl Dictionary {
    fn len(&self) -> usize {
        match self {
            Self::Numbers(numbers) => numbers.values.len(),
            Self::Texts(texts) => texts.ends.len(),
        }
    }

    /// The codes of a page. False where the values are too many: then the dictionary is as it was before, but takes no more pages.
    fn encode(&mut self, arrays: &[&dyn Array], numbers: &[u64], codes: &mut Vec<u32>) -> bool {
        let known = self.len();
        codes.clear();
        let fits = match self {
            Self::Numbers(table) => numbers.chunks(DOUBT).all(|chunk| {
                table.encode(chunk, codes);
                worthwhile(table.values.len() - known, codes.len())
            }),
            Self::Texts(table) => arrays.iter().all(|array| {
                table.encode(*array, codes);
                codes.len() < DOUBT || worthwhile(table.ends.len() - known, codes.len())
            }),
        };
        let bytes = match self {
            Self::Numbers(numbers) => size_of_val(numbers.values.as_slice()),
            Self::Texts(texts) => texts.plain.len(),
        };
        let fits = fits && worthwhile(self.len() - known, codes.len()) && bytes <= DICTIONARY_BYTES;
        if !fits {
            match self {
                Self::Numbers(numbers) => numbers.values.truncate(known),
                Self::Texts(texts) => texts.truncate(known),
            }
        }
        fits
    }

    /// Appends the body of the dictionary's page.
    fn plain(&self, kind: Kind, body: &mut Vec<u8>) {
        match self {
            Self::Numbers(numbers) => plain_numbers(kind, &numbers.values, body),
            Self::Texts(texts) => body.extend_from_slice(&texts.plain),
        }
    }
}

/// Whether a dictionary saves something where `fresh` of `values` values had to be added to it.
fn worthwhile(fresh: usize, values: usize) -> bool {
    4 * fresh <= 3 * values
}

/// A dictionary of numbers, as their bits.
#[derive(Default)]
struct Numbers {
    values: Vec<u64>,
    /// Open addressing: codes plus one, 0 where nothing is.
    slots: Vec<u32>,
}

impl Numbers {
    fn encode(&mut self, numbers: &[u64], codes: &mut Vec<u32>) {
        let Some(&first) = numbers.first() else { return };
        let (mut last, mut code) = (first, self.code(first));
        codes.extend(numbers.iter().map(|&number| {
            if number != last {
                (last, code) = (number, self.code(number));
            }
            code
        }));
    }

    fn code(&mut self, number: u64) -> u32 {
        if self.slots.len() <= 2 * self.values.len() {
            self.slots = vec![0; (2 * self.slots.len()).max(256)];
            for code in 0..self.values.len() {
                let (slot, _) = self.find(self.values[code]);
                self.slots[slot] = code as u32 + 1;
            }
        }
        let (slot, found) = self.find(number);
        found.unwrap_or_else(|| {
            let code = self.values.len() as u32;
            self.values.push(number);
            self.slots[slot] = code + 1;
            code
        })
    }

    /// The slot that a number is or belongs in, and its code.
    fn find(&self, number: u64) -> (usize, Option<u32>) {
        // Doubles of few digits differ in their upper bits only, and a product carries upwards: fold before, take the top after.
        let hash = (number ^ (number >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut slot = (hash >> (u64::BITS - self.slots.len().trailing_zeros())) as usize;
        loop {
            match self.slots[slot] {
                0 => return (slot, None),
                code if self.values[code as usize - 1] == number => return (slot, Some(code - 1)),
                _ => slot = (slot + 1) & (self.slots.len() - 1),
            }
        }
    }
}

/// A dictionary of texts.
#[derive(Default)]
struct Texts {
    /// The texts, each after its length.
    plain: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
    codes: HashMap<Box<str>, u32>,
    /// The dictionary of the array before, and what its codes have become.
    source: Option<(ArrayRef, Vec<u32>)>,
}

/// The new code of a value that has not come up.
const UNSEEN: u32 = u32::MAX;

impl Texts {
    fn encode(&mut self, array: &dyn Array, codes: &mut Vec<u32>) {
        let values = array.as_dictionary::<Int32Type>().values();
        let mut new = match self.source.take() {
            Some((source, new)) if Arc::ptr_eq(&source, values) => new,
            _ => vec![UNSEEN; values.len()],
        };
        let (keys, texts) = as_codes(array);
        let mut code = |key: i32| {
            let code = &mut new[key as usize];
            if *code == UNSEEN {
                *code = self.code(texts.value(key as usize));
            }
            *code
        };
        match array.nulls() {
            None => codes.extend(keys.iter().map(|key| code(*key))),
            Some(nulls) => codes.extend(nulls.valid_indices().map(|row| code(keys[row]))),
        }
        self.source = Some((Arc::clone(values), new));
    }

    fn code(&mut self, text: &str) -> u32 {
        if let Some(code) = self.codes.get(text) {
            return *code;
        }
        let code = self.ends.len() as u32;
        plain_text(text, &mut self.plain);
        self.ends.push(self.plain.len());
        self.codes.insert(text.into(), code);
        code
    }

    fn truncate(&mut self, known: usize) {
        self.ends.truncate(known);
        self.plain.truncate(self.ends.last().copied().unwrap_or(0));
    }
}

/// Calls `take` with each value that is not null.
fn each<T: Copy>(array: &dyn Array, values: &[T], mut take: impl FnMut(T)) {
    match array.nulls() {
        None => values.iter().for_each(|value| take(*value)),
        Some(nulls) => nulls.valid_indices().for_each(|row| take(values[row])),
    }
}

/// The bits of the numbers of a page that are not null; none for what is not a number.
fn gather(kind: Kind, arrays: &[&dyn Array], numbers: &mut Vec<u64>) {
    fn bits<T: ArrowPrimitiveType>(array: &dyn Array, numbers: &mut Vec<u64>, bits: impl Fn(T::Native) -> u64) {
        each(array, array.as_primitive::<T>().values(), |value| numbers.push(bits(value)));
    }
    numbers.clear();
    for array in arrays {
        match kind {
            Kind::Int16 => bits::<Int16Type>(*array, numbers, |value| value as u64),
            Kind::Int32 => bits::<Int32Type>(*array, numbers, |value| value as u64),
            Kind::Date => bits::<Date32Type>(*array, numbers, |value| value as u64),
            Kind::Int64 => bits::<Int64Type>(*array, numbers, |value| value as u64),
            Kind::Instant(_) => bits::<TimestampMicrosecondType>(*array, numbers, |value| value as u64),
            Kind::Float | Kind::Fixed(_) => bits::<Float64Type>(*array, numbers, f64::to_bits),
            Kind::Bool | Kind::Uuid | Kind::Text | Kind::Json => {}
        }
    }
}

fn plain_numbers(kind: Kind, numbers: &[u64], body: &mut Vec<u8>) {
    match kind {
        Kind::Float | Kind::Fixed(_) => body.extend(numbers.iter().flat_map(|number| number.to_le_bytes())),
        _ => body.extend(numbers.iter().flat_map(|number| (*number as u32).to_le_bytes())),
    }
}

fn plain_text(text: &str, body: &mut Vec<u8>) {
    body.extend_from_slice(&(text.len() as u32).to_le_bytes());
    body.extend_from_slice(text.as_bytes());
}

fn plain_texts(arrays: &[&dyn Array], body: &mut Vec<u8>) {
    for array in arrays {
        let (keys, texts) = as_codes(*array);
        each(*array, keys, |key| plain_text(texts.value(key as usize), body));
    }
}

fn plain_uuids(arrays: &[&dyn Array], body: &mut Vec<u8>) {
    for array in arrays {
        let uuids = array.as_fixed_size_binary();
        match array.nulls() {
            None => body.extend_from_slice(uuids.value_data()),
            Some(nulls) => nulls.valid_indices().for_each(|row| body.extend_from_slice(uuids.value(row))),
        }
    }
}

/// UUIDs as text of 36 characters.
fn texts_of_uuids(arrays: &[&dyn Array], body: &mut Vec<u8>) {
    for array in arrays {
        each(*array, array.as_fixed_size_binary().value_data().as_chunks::<16>().0, |id: [u8; 16]| {
            body.extend_from_slice(&UUID_TEXT.to_le_bytes());
            append_uuid(&id, body);
        });
    }
}

/// Characters of a UUID.
const UUID_TEXT: u32 = 36;

fn plain_booleans(arrays: &[&dyn Array], body: &mut Vec<u8>) {
    let mut bits = BooleanBufferBuilder::new(0);
    for array in arrays {
        let values = array.as_boolean().values();
        match array.nulls() {
            None => bits.append_buffer(values),
            Some(nulls) => nulls.valid_indices().for_each(|row| bits.append(values.value(row))),
        }
    }
    body.extend_from_slice(bits.as_slice());
}

/// Appends the definition levels of a page, after their length: 1 where a value is, 0 where null is. A bitmap of validity is a
/// bit-packed run as it stands.
fn definition_levels(arrays: &[&dyn Array], body: &mut Vec<u8>) {
    let rows: usize = arrays.iter().map(|array| array.len()).sum();
    let nulls: usize = arrays.iter().map(|array| array.null_count()).sum();
    let start = body.len() + size_of::<u32>();
    body.resize(start, 0);
    if nulls == 0 || nulls == rows {
        varint((rows as u64) << 1, body);
        body.push(u8::from(nulls == 0));
    } else {
        let mut bits = BooleanBufferBuilder::new(rows);
        for array in arrays {
            match array.nulls() {
                None => bits.append_n(array.len(), true),
                Some(nulls) => bits.append_buffer(nulls.inner()),
            }
        }
        varint((rows.div_ceil(GROUP) as u64) << 1 | 1, body);
        body.extend_from_slice(&bits.as_slice()[..rows.div_ceil(GROUP)]);
    }
    let length = (body.len() - start) as u32;
    body[start - size_of::<u32>()..start].copy_from_slice(&length.to_le_bytes());
}
