//! Parquet: what the header of a page states is checked before the page is read.

use super::{MOST_UNPACKED, unreadable};
use crate::error::RunError;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};
use std::collections::HashSet;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Before these bytes at the end of a file there is its footer.
const FOOTER: u64 = 8;
/// The most bytes of a page's header, statistics included.
const MAX_HEADER: u64 = 1 << 20;

/// A Parquet file, ready to be read in batches.
///
/// # Errors
/// It cannot be opened or is not a Parquet file.
pub fn parquet(path: &Path) -> std::result::Result<ParquetRecordBatchReaderBuilder<Checked>, RunError> {
    let file = File::open(path).map_err(|error| RunError::io(path, error))?;
    let open = || ParquetRecordBatchReaderBuilder::try_new(Checked::new(file));
    super::guarded(path, open)?.map_err(|error| unreadable(path, error))
}

/// A Parquet file that reads nothing beyond its end and no page larger than it may be.
#[derive(Debug)]
pub struct Checked {
    file: File,
    length: u64,
    /// Where the data of pages begin whose headers were checked: a reader that looked ahead at a header asks for its data next.
    data: Mutex<HashSet<u64>>,
}

impl Checked {
    /// Of an open file.
    pub fn new(file: File) -> Self {
        let length = file.len();
        Self { file, length, data: Mutex::default() }
    }
}

impl Length for Checked {
    fn len(&self) -> u64 {
        self.length
    }
}

impl ChunkReader for Checked {
    type T = BufReader<File>;

    /// Asked for the header of a page, for the data behind a header, and for the footer.
    fn get_read(&self, start: u64) -> Result<Self::T> {
        let mut reader = self.file.get_read(start)?;
        let mut data = self.data.lock().unwrap_or_else(PoisonError::into_inner);
        if start.saturating_add(FOOTER) < self.length && !data.remove(&start) {
            let mut header = Header { bytes: (&mut reader).take(MAX_HEADER), taken: 0 };
            let sizes = header.sizes()?;
            let back = header.taken as i64;
            sizes.check(self.length - start)?;
            data.insert(start + header.taken as u64);
            reader.seek_relative(-back)?;
        }
        Ok(reader)
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        if start.checked_add(length as u64).is_none_or(|end| end > self.length) {
            return Err(wrong(format!("{length} bytes from byte {start} on are stated, and the file has {}", self.length)));
        }
        self.file.get_bytes(start, length)
    }
}

fn wrong(told: impl Into<String>) -> ParquetError {
    ParquetError::General(told.into())
}

/// The sizes that the header of a page states.
#[derive(Default)]
struct Sizes {
    unpacked: i64,
    packed: i64,
    /// Values of a dictionary.
    values: i64,
}

impl Sizes {
    /// Against the bytes that are left of the file.
    fn check(&self, left: u64) -> Result<()> {
        let Self { unpacked, packed, values } = *self;
        let most = MOST_UNPACKED.max(left) as i64;
        if packed < 0 || packed as u64 > left {
            return Err(wrong(format!("a page of {packed} bytes is stated where {left} are left")));
        }
        if !(0..=most).contains(&unpacked) {
            return Err(wrong(format!("a page states that it unpacks to {unpacked} bytes; at most {most} are taken")));
        }
        if !(0..=unpacked).contains(&values) {
            return Err(wrong(format!("a dictionary of {values} values is stated in {unpacked} bytes")));
        }
        Ok(())
    }
}

/// A struct of Thrift's compact protocol, of which only sizes are wanted.
struct Header<R> {
    bytes: R,
    taken: usize,
}

const STRUCT: u8 = 12;
/// How deep structs nest, generously.
const DEPTH: u32 = 16;

impl<R: Read> Header<R> {
    /// `PageHeader` of parquet.thrift.
    fn sizes(&mut self) -> Result<Sizes> {
        let mut sizes = Sizes::default();
        self.fields(&mut |header, id, kind| {
            match (id, kind) {
                (2, 5) => sizes.unpacked = header.zigzag()?,
                (3, 5) => sizes.packed = header.zigzag()?,
                (7, STRUCT) => header.fields(&mut |header, id, kind| {
                    if (id, kind) == (1, 5) {
                        sizes.values = header.zigzag()?;
                        return Ok(());
                    }
                    header.skip(kind, DEPTH)
                })?,
                _ => header.skip(kind, DEPTH)?,
            }
            Ok(())
        })?;
        Ok(sizes)
    }

    fn fields(&mut self, act: &mut dyn FnMut(&mut Self, i64, u8) -> Result<()>) -> Result<()> {
        let mut id = 0;
        loop {
            let byte = self.byte()?;
            let (delta, kind) = (byte >> 4, byte & 15);
            if kind == 0 {
                return Ok(());
            }
            id = if delta == 0 { self.zigzag()? } else { id + i64::from(delta) };
            act(self, id, kind)?;
        }
    }

    fn skip(&mut self, kind: u8, depth: u32) -> Result<()> {
        let deeper = depth.checked_sub(1).ok_or_else(|| wrong("the header of a page is nested too deep"))?;
        match kind {
            1 | 2 => Ok(()),
            3 => self.byte().map(drop),
            4..=6 => self.varint().map(drop),
            7 => self.pass(8),
            8 => {
                let length = self.varint()?;
                self.pass(length)
            }
            9 | 10 => {
                let byte = self.byte()?;
                let size = if byte >> 4 == 15 { self.varint()? } else { u64::from(byte >> 4) };
                (0..size).try_for_each(|_| self.skip_element(byte & 15, deeper))
            }
            11 => {
                let size = self.varint()?;
                let kinds = if size == 0 { 0 } else { self.byte()? };
                (0..size).try_for_each(|_| self.skip_element(kinds >> 4, deeper).and_then(|()| self.skip_element(kinds & 15, deeper)))
            }
            STRUCT => self.fields(&mut |header, _, kind| header.skip(kind, deeper)),
            kind => Err(wrong(format!("the header of a page has a field of no known type ({kind})"))),
        }
    }

    /// A truth value is a byte in a list, and none as a field.
    fn skip_element(&mut self, kind: u8, depth: u32) -> Result<()> {
        if matches!(kind, 1 | 2) { self.byte().map(drop) } else { self.skip(kind, depth) }
    }

    fn pass(&mut self, length: u64) -> Result<()> {
        let passed = std::io::copy(&mut (&mut self.bytes).take(length), &mut std::io::sink())?;
        self.taken += passed as usize;
        if passed == length { Ok(()) } else { Err(wrong("the header of a page does not end")) }
    }

    fn byte(&mut self) -> Result<u8> {
        let mut byte = [0];
        self.bytes.read_exact(&mut byte)?;
        self.taken += 1;
        Ok(byte[0])
    }

    fn varint(&mut self) -> Result<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 127) << shift;
            if byte < 128 {
                return Ok(value);
            }
        }
        Err(wrong("the header of a page has a number that does not end"))
    }

    fn zigzag(&mut self) -> Result<i64> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }
}
