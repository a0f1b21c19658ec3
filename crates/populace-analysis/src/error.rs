//! What can go wrong while data is read back.

use populace_io::document::Diagnostics;
use populace_io::error::RunError;
use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};

/// Why data could not be analysed.
#[derive(Debug, thiserror::Error)]
pub enum AnalysisError {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What was given does not hold what it must: says where, what, and what next.
    #[error("{0}")]
    Input(String),
    /// The scenario of a run cannot be read.
    #[error("{0}")]
    Scenario(#[from] Diagnostics),
    /// A run's own files are not as its manifest says.
    #[error(transparent)]
    Run(#[from] RunError),
}

impl AnalysisError {
    /// Bad input, in one message.
    pub fn input(message: impl Display) -> Self {
        Self::Input(message.to_string())
    }

    /// Whether the work was stopped.
    pub fn is_interrupted(&self) -> bool {
        matches!(self, Self::Run(RunError::Interrupted))
    }

    /// Whether files of a directory are to blame.
    pub(crate) fn is_of_data(&self, root: &Path) -> bool {
        match self {
            Self::Io { path, .. } => path.starts_with(root),
            Self::Input(_) => true,
            Self::Scenario(_) => false,
            Self::Run(_) => !self.is_interrupted(),
        }
    }

    /// An error of the file at `path`.
    pub fn io(path: impl AsRef<Path>, source: io::Error) -> Self {
        Self::Io { path: path.as_ref().to_owned(), source }
    }
}
