//! Text, packed or not, whose lines have a bound.

use crate::error::RunError;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

/// The most bytes of one line or record.
pub const MAX_RECORD: usize = 4 << 20;
/// Bytes read at a time.
const BUFFER: usize = 256 << 10;

/// The bytes of a file, decompressed where its name ends in `.gz` or `.zst`, or it begins as such a file does.
///
/// # Errors
/// The file cannot be opened.
pub fn bytes(path: &Path) -> Result<Box<dyn Read + Send>, RunError> {
    let failed = |error| RunError::io(path, error);
    let mut file = BufReader::with_capacity(BUFFER, File::open(path).map_err(failed)?);
    let ending = path.extension().unwrap_or_default().to_ascii_lowercase();
    let start = file.fill_buf().map_err(failed)?;
    Ok(if ending == "gz" || start.starts_with(b"\x1f\x8b") {
        Box::new(flate2::bufread::MultiGzDecoder::new(file))
    } else if ending == "zst" || start.starts_with(b"\x28\xb5\x2f\xfd") {
        Box::new(zstd::Decoder::with_buffer(file).map_err(failed)?)
    } else {
        Box::new(file)
    })
}

/// The same as text. A line of more than [`MAX_RECORD`] bytes is an error.
///
/// # Errors
/// The file cannot be opened.
pub fn text(path: &Path) -> Result<Box<dyn BufRead + Send>, RunError> {
    Ok(lines(bytes(path)?))
}

/// Bytes as text. A line of more than [`MAX_RECORD`] bytes is an error.
pub fn lines(bytes: impl Read + Send + 'static) -> Box<dyn BufRead + Send> {
    Box::new(BufReader::with_capacity(BUFFER, Lines { bytes, line: 1, length: 0 }))
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
