//! What can go wrong while a run writes.

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
    Parquet(#[from] parquet::errors::ParquetError),
    /// An Arrow file could not be written.
    #[error("writing Arrow: {0}")]
    Arrow(#[from] arrow_schema::ArrowError),
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

    /// Whether whoever reads our output has closed it.
    pub fn is_broken_pipe(&self) -> bool {
        let broken = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
        match self {
            Self::Io { source, .. } | Self::Encode(source) | Self::Arrow(arrow_schema::ArrowError::IoError(_, source)) => broken(source),
            Self::Parquet(parquet::errors::ParquetError::External(source)) => source.downcast_ref::<io::Error>().is_some_and(broken),
            _ => false,
        }
    }
}
