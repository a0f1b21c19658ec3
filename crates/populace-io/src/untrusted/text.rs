//! Text, packed or not, whose lines have a bound.

use crate::error::RunError;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

/// The most bytes of one line or record.
pub const MAX_RECORD: usize = 4 << 20;
/// Bytes read at a time.
const BUFFER: usize = 256 << 10;

/// The bytes of a file, decompressed where its name ends in `.gz` or `.zst`.
///
/// # Errors
/// The file cannot be opened.
pub fn bytes(path: &Path) -> Result<Box<dyn Read + Send>, RunError> {
    let failed = |error| RunError::io(path, error);
    let file = File::open(path).map_err(failed)?;
    let ending = path.extension().unwrap_or_default().to_ascii_lowercase();
    Ok(if ending == "gz" {
        Box::new(flate2::bufread::MultiGzDecoder::new(BufReader::with_capacity(BUFFER, file)))
    } else if ending == "zst" {
        Box::new(zstd::Decoder::new(file).map_err(failed)?)
    } else {
        Box::new(file)
    })
}

/// The same as text. A line of more than [`MAX_RECORD`] bytes is an error.
///
/// # Errors
/// The file cannot be opened.
pub fn text(path: &Path) -> Result<Box<dyn BufRead + Send>, RunError> {
    Ok(Box::new(BufReader::with_capacity(BUFFER, Lines { bytes: bytes(path)?, line: 1, length: 0 })))
}

/// Counts the bytes since the last line feed.
struct Lines<R> {
    bytes: R,
    line: u64,
    length: usize,
}

impl<R: Read> Read for Lines<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.bytes.read(into)?;
        // A carriage return alone ends a line too.
        for line in into[..read].split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
            self.length += line.len();
            if self.length > MAX_RECORD {
                let told = format!("line {} has more than {} MiB", self.line, MAX_RECORD >> 20);
                return Err(io::Error::new(io::ErrorKind::InvalidData, told));
            }
            if line.ends_with(b"\n") || line.ends_with(b"\r") {
                self.line += u64::from(line.ends_with(b"\n"));
                self.length = 0;
            }
        }
        Ok(read)
    }
}
