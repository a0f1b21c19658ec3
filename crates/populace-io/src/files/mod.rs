//! Files of tables: what the workers encode in parallel and what is written in order.

#[cfg(feature = "object-store")]
pub mod bucket;
pub mod directory;
pub(crate) mod encode;
#[cfg(test)]
pub(crate) mod faults;
mod parquet;
pub mod place;
pub(crate) mod table_file;
pub mod writer;

use crate::table::{Ids, Shape};
use crate::wording::option;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::str::FromStr;

/// The SHA-256 of a file, in lower-case hexadecimal digits.
///
/// # Errors
/// It cannot be read.
pub fn sha256_of(path: &Path) -> io::Result<String> {
    let (mut file, mut digest) = (File::open(path)?, Sha256::new());
    let mut piece = vec![0; 1 << 20];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(data_encoding::HEXLOWER.encode(&digest.finalize())),
            read => digest.update(&piece[..read]),
        }
    }
}

/// A file format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Apache Parquet.
    Parquet,
    /// Comma-separated values.
    Csv,
    /// JSON Lines.
    Jsonl,
    /// Arrow IPC: the file format on disk, the stream format on standard output.
    Arrow,
}

impl Format {
    /// As it is named on the command line and in file names.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
            Self::Arrow => "arrow",
        }
    }
}

/// How files are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// Zstandard at a level from 1 to 19.
    Zstd(u8),
    /// Snappy (Parquet).
    Snappy,
    /// LZ4 (Parquet, Arrow).
    Lz4,
    /// Gzip (CSV, JSON Lines).
    Gzip,
}

impl FromStr for Compression {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "none" => Self::None,
            "snappy" => Self::Snappy,
            "lz4" => Self::Lz4,
            "gzip" => Self::Gzip,
            "zstd" => Self::Zstd(1),
            _ => {
                let level = text.strip_prefix("zstd:").and_then(|level| level.parse().ok()).filter(|level| (1..=19).contains(level));
                Self::Zstd(level.ok_or_else(|| format!("`{text}` is none of none, zstd, zstd:1 to zstd:19, snappy, lz4, gzip"))?)
            }
        })
    }
}

/// The physical types of Parquet columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Types {
    /// Those that every reader knows: ids are text, whole numbers and times are plain.
    #[default]
    Portable,
    /// The smallest: ids are UUIDs of 16 bytes unless they are chosen, whole numbers and times differences to the ones before.
    Compact,
}

impl Types {
    /// As they are named on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Compact => "compact",
        }
    }
}

impl FromStr for Types {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "portable" => Ok(Self::Portable),
            "compact" => Ok(Self::Compact),
            _ => Err(format!("`{text}` is none of portable, compact")),
        }
    }
}

/// A format with its options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileOptions {
    /// The format.
    pub format: Format,
    /// The compression.
    pub compression: Compression,
    /// The types of Parquet columns.
    pub types: Types,
    /// The types of ids in Parquet and Arrow, where they are chosen.
    pub ids: Option<Ids>,
    /// Rows of a Parquet row group, about: row groups end where a unit of work ends.
    pub row_group_rows: u64,
    /// Rows of a file, about. A table that is expected to have more is a directory: `NAME/part-00000.EXT`, `NAME/part-00001.EXT` …
    pub file_rows: u64,
}

impl FileOptions {
    /// The defaults of a format.
    pub const fn new(format: Format) -> Self {
        let compression = match format {
            Format::Parquet => Compression::Zstd(1),
            Format::Csv | Format::Jsonl | Format::Arrow => Compression::None,
        };
        // The metadata of a file grows with its row groups and is held until its end, so files roll.
        let file_rows = match format {
            Format::Parquet | Format::Arrow => 16 << 20,
            Format::Csv | Format::Jsonl => u64::MAX,
        };
        Self { format, compression, types: Types::Portable, ids: None, row_group_rows: 96 << 10, file_rows }
    }

    /// The types of columns in Parquet and Arrow.
    pub fn shape(&self) -> Shape {
        let usual = if self.format == Format::Parquet && self.types == Types::Compact { Ids::Uuid } else { Ids::Text };
        Shape { ids: self.ids.unwrap_or(usual), dictionaries: false }
    }

    /// Checks that the format knows the compression and the types of ids.
    ///
    /// # Errors
    /// It does not; the message names the option and what the format knows.
    pub fn check(&self) -> Result<(), String> {
        use Compression::{Gzip, Lz4, None, Snappy, Zstd};
        if let (Format::Csv | Format::Jsonl, Some(ids @ (Ids::Uuid | Ids::Binary))) = (self.format, self.ids) {
            return Err(format!("{} {}: in {} files ids are text; leave it out", option("ids"), ids.as_str(), self.format.as_str()));
        }
        let (fits, known) = match self.format {
            Format::Parquet => (matches!(self.compression, None | Zstd(_) | Snappy | Lz4), "none, zstd, snappy, lz4"),
            Format::Csv | Format::Jsonl => (matches!(self.compression, None | Zstd(_) | Gzip), "none, zstd, gzip"),
            Format::Arrow => (matches!(self.compression, None | Zstd(_) | Lz4), "none, zstd, lz4"),
        };
        if fits { Ok(()) } else { Err(format!("{}: {} files can be compressed with {known}", option("compression"), self.format.as_str())) }
    }

    /// The ending of a file's name.
    pub fn extension(&self) -> String {
        let compressed = match (self.format, self.compression) {
            (Format::Csv | Format::Jsonl, Compression::Gzip) => ".gz",
            (Format::Csv | Format::Jsonl, Compression::Zstd(_)) => ".zst",
            _ => "",
        };
        format!("{}{compressed}", self.format.as_str())
    }
}
