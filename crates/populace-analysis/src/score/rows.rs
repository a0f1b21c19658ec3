//! Each row with its label and the probabilities of the ceilings, for those who want to look closer.

use crate::error::AnalysisError;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// A CSV file that appears when it is whole.
pub(super) struct RowsFile {
    path: PathBuf,
    partial: PathBuf,
    file: BufWriter<File>,
}

impl RowsFile {
    /// Begins a file with a header, if one is wanted.
    pub(super) fn create(path: Option<&Path>, header: &str) -> Result<Option<Self>, AnalysisError> {
        let Some(path) = path else { return Ok(None) };
        let mut partial = path.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let file = File::create(&partial).map_err(|error| AnalysisError::io(&partial, error))?;
        let mut rows = Self { path: path.to_owned(), partial, file: BufWriter::new(file) };
        rows.write(format_args!("{header}"))?;
        Ok(Some(rows))
    }

    /// Writes a line.
    pub(super) fn write(&mut self, line: std::fmt::Arguments<'_>) -> Result<(), AnalysisError> {
        writeln!(self.file, "{line}").map_err(|error| AnalysisError::io(&self.partial, error))
    }

    /// Puts the file in its place.
    pub(super) fn finish(mut self) -> Result<(), AnalysisError> {
        self.file.flush().map_err(|error| AnalysisError::io(&self.partial, error))?;
        fs::rename(&self.partial, &self.path).map_err(|error| AnalysisError::io(&self.path, error))
    }
}

impl Drop for RowsFile {
    /// A file that was not finished is no file: after a rename there is nothing here to remove.
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.partial);
    }
}
