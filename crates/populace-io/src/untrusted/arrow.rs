//! Arrow IPC files: footer, blocks and buffers are held against the file before they are read.

use super::{MOST_UNPACKED, guarded, unreadable};
use crate::error::RunError;
use arrow_ipc::reader::{FileReader, FileReaderBuilder, read_footer_length};
use arrow_ipc::{Block, RecordBatch, convert, root_as_footer, root_as_message};
use arrow_schema::{ArrowError, Schema};
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

/// Bytes read at a time.
const BUFFER: usize = 256 << 10;
/// Length of the footer and magic at the end of a file.
const TAIL: usize = 10;
/// Columns without a byte, such as nulls, may have so many rows in a batch.
const ROWS_OF_NOTHING: i64 = 1 << 20;

type Result<T> = std::result::Result<T, ArrowError>;

/// The batches of an Arrow file, with the columns whose names are `wanted`.
///
/// # Errors
/// It cannot be opened, is not an Arrow file, or states what cannot be.
pub fn arrow(path: &Path, wanted: impl Fn(&str) -> bool) -> std::result::Result<FileReader<BufReader<File>>, RunError> {
    read(path, |file| {
        let footer = footer(file)?;
        let schema = check(file, &footer)?;
        let kept = schema.fields().iter().enumerate().filter(|(_, field)| wanted(field.name())).map(|(index, _)| index);
        let file = BufReader::with_capacity(BUFFER, file.try_clone()?);
        FileReaderBuilder::new().with_projection(kept.collect()).build(file)
    })
}

/// The columns of an Arrow file.
///
/// # Errors
/// It cannot be opened or is not an Arrow file.
pub fn arrow_schema(path: &Path) -> std::result::Result<Schema, RunError> {
    read(path, |file| schema_of(&footer(file)?))
}

fn read<T>(path: &Path, act: impl FnOnce(&mut File) -> Result<T>) -> std::result::Result<T, RunError> {
    let mut file = File::open(path).map_err(|error| RunError::io(path, error))?;
    guarded(path, || act(&mut file))?.map_err(|error| unreadable(path, error))
}

fn wrong(told: impl Into<String>) -> ArrowError {
    ArrowError::ParseError(told.into())
}

fn footer(file: &mut File) -> Result<Vec<u8>> {
    let length = file.metadata()?.len();
    let mut tail = [0; TAIL];
    file.seek(SeekFrom::End(-(TAIL as i64)))?;
    file.read_exact(&mut tail)?;
    let stated = read_footer_length(tail)?;
    if (stated + TAIL) as u64 > length {
        return Err(wrong(format!("a footer of {stated} bytes is stated in a file of {length}")));
    }
    file.seek(SeekFrom::End(-((stated + TAIL) as i64)))?;
    bytes(file, stated)
}

fn bytes(file: &mut File, length: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn schema_of(footer: &[u8]) -> Result<Schema> {
    let footer = root_as_footer(footer).map_err(|error| wrong(format!("the footer is none: {error}")))?;
    convert::try_fb_to_schema(footer.schema().ok_or_else(|| wrong("the footer has no schema"))?)
}

/// Checks every block of a file.
fn check(file: &mut File, footer: &[u8]) -> Result<Schema> {
    let schema = schema_of(footer)?;
    let length = file.metadata()?.len();
    let footer = root_as_footer(footer).map_err(|error| wrong(error.to_string()))?;
    for block in footer.dictionaries().into_iter().flatten().chain(footer.recordBatches().into_iter().flatten()) {
        check_block(file, block, length)?;
    }
    Ok(schema)
}

fn check_block(file: &mut File, block: &Block, length: u64) -> Result<()> {
    let [offset, head, body] = [block.offset(), i64::from(block.metaDataLength()), block.bodyLength()];
    let end = [offset, head, body].iter().try_fold(0, |sum: i64, part| sum.checked_add(*part).filter(|_| *part >= 0));
    if end.is_none_or(|end| end as u64 > length) || head < 8 {
        return Err(wrong(format!("a block of {head} and {body} bytes from byte {offset} on is stated in a file of {length}")));
    }
    file.seek(SeekFrom::Start(offset as u64))?;
    let head = bytes(file, head as usize)?;
    // Before version 0.15 there was no mark before the length.
    let message = if head[..4] == [0xff; 4] { &head[8..] } else { &head[4..] };
    let message = root_as_message(message).map_err(|error| wrong(format!("a message is none: {error}")))?;
    let dictionary = message.header_as_dictionary_batch().and_then(|dictionary| dictionary.data());
    let Some(batch) = message.header_as_record_batch().or(dictionary) else { return Ok(()) };
    check_batch(file, &batch, [offset + head.len() as i64, body])
}

fn check_batch(file: &mut File, batch: &RecordBatch<'_>, [start, body]: [i64; 2]) -> Result<()> {
    let mut unpacked = 0_i64;
    for buffer in batch.buffers().into_iter().flatten() {
        let (offset, length) = (buffer.offset(), buffer.length());
        if offset < 0 || length < 0 || offset.checked_add(length).is_none_or(|end| end > body) {
            return Err(wrong(format!("a buffer of {length} bytes from byte {offset} on is stated in a body of {body}")));
        }
        let stated = if batch.compression().is_none() || length < 8 {
            length
        } else {
            file.seek(SeekFrom::Start((start + offset) as u64))?;
            let mut prefix = [0; 8];
            file.read_exact(&mut prefix)?;
            // -1: not compressed.
            i64::from_le_bytes(prefix).max(length - 8)
        };
        unpacked = unpacked.saturating_add(stated);
    }
    let most = body.max(MOST_UNPACKED as i64);
    if unpacked > most {
        return Err(wrong(format!("a batch states that it unpacks to {unpacked} bytes; at most {most} are taken")));
    }
    let most = unpacked.saturating_mul(8).max(ROWS_OF_NOTHING);
    let mut lengths = batch.nodes().into_iter().flatten().map(arrow_ipc::FieldNode::length).chain([batch.length()]);
    match lengths.find(|length| !(0..=most).contains(length)) {
        Some(length) => Err(wrong(format!("{length} rows are stated in {unpacked} bytes"))),
        None => Ok(()),
    }
}
