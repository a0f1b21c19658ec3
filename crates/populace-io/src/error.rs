//! What can go wrong while a run writes.

use arrow_schema::ArrowError;
use parquet::errors::ParquetError;
use std::io;
use std::path::{Path, PathBuf};

/// Why a run did not complete.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Data could not be compressed.
    #[error("compressing: {0}")]
    Encode(io::Error),
    /// A Parquet file could not be written.
    #[error("writing Parquet: {0}")]
    Parquet(#[from] ParquetError),
    /// An Arrow file could not be written.
    #[error("writing Arrow: {0}")]
    Arrow(#[from] ArrowError),
    /// The directory holds something that this run must not touch.
    #[error("{0}")]
    Refused(String),
    /// A sink failed.
    #[error(transparent)]
    Sink(#[from] crate::sinks::SinkError),
    /// The run was asked to stop.
    #[error("interrupted")]
    Interrupted,
}

impl RunError {
    /// An error of the file at `path`.
    pub fn io(path: impl AsRef<Path>, source: io::Error) -> Self {
        Self::Io { path: path.as_ref().to_owned(), source }
    }

    /// The same, of the file at `path`: the writers of formats do not name it.
    #[must_use]
    pub fn at(self, path: impl AsRef<Path>) -> Self {
        match self {
            Self::Encode(source) | Self::Arrow(ArrowError::IoError(_, source)) => Self::io(path, source),
            Self::Parquet(ParquetError::External(source)) => match source.downcast::<io::Error>() {
                Ok(source) => Self::io(path, *source),
                Err(source) => Self::Parquet(ParquetError::External(source)),
            },
            other => other,
        }
    }

    /// Whether whoever reads our output has closed it.
    pub fn is_broken_pipe(&self) -> bool {
        let broken = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
        match self {
            Self::Io { source, .. } | Self::Encode(source) | Self::Arrow(ArrowError::IoError(_, source)) => broken(source),
            Self::Parquet(ParquetError::External(source)) => source.downcast_ref::<io::Error>().is_some_and(broken),
            _ => false,
        }
    }
}
