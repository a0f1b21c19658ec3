//! What can go wrong between an event and its table.

use populace_io::sinks::SinkError;
use rusqlite::ErrorCode;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Why a service could not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum FlowError {
    /// It may succeed if tried again: a broker that is away, a table that is slow, a lock that is held.
    #[error("{0}")]
    Unavailable(String),
    /// It will not succeed until somebody changes something, which the message names: a wrong password, a missing topic, a table of
    /// another shape, a port that is taken.
    #[error("{0}")]
    Refused(String),
    /// Another consumer of the group has taken over: this one must stop without committing anything.
    #[error("{0}")]
    Superseded(String),
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// An embedded store failed.
    #[error("{}: {source}", path.display())]
    Store {
        /// The store's file.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
}

impl FlowError {
    /// An error of the file at `path`.
    pub fn io(path: impl AsRef<Path>, source: io::Error) -> Self {
        Self::Io { path: path.as_ref().to_owned(), source }
    }

    /// Whether trying again later may help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable(_) => true,
            Self::Store { source, .. } => {
                matches!(
                    source.sqlite_error_code(),
                    Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::DiskFull | ErrorCode::SystemIoFailure)
                )
            }
            // What makes room for a store makes room for a file.
            Self::Io { source, .. } => matches!(source.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge),
            Self::Refused(_) | Self::Superseded(_) => false,
        }
    }
}

impl From<SinkError> for FlowError {
    fn from(error: SinkError) -> Self {
        match error {
            SinkError::Refused(told) => Self::Refused(told),
            SinkError::Unavailable(told) => Self::Unavailable(told),
        }
    }
}
