//! Each row with its label and the probabilities of the ceilings, for those who want to look closer.

use crate::error::AnalysisError;
use crate::stage::Partial;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// A CSV file that appears when it is whole.
pub(crate) struct RowsFile {
    partial: Partial,
    file: BufWriter<File>,
}

impl RowsFile {
    /// Begins a file with a header, if one is wanted.
    pub(crate) fn create(path: Option<&Path>, header: &str) -> Result<Option<Self>, AnalysisError> {
        let Some(path) = path else { return Ok(None) };
        let partial = Partial::new(path);
        let file = File::create(partial.scratch()).map_err(|error| AnalysisError::io(path, error))?;
        let mut rows = Self { partial, file: BufWriter::new(file) };
        rows.write(format_args!("{header}"))?;
        Ok(Some(rows))
    }

    /// Writes a line.
    pub(crate) fn write(&mut self, line: std::fmt::Arguments<'_>) -> Result<(), AnalysisError> {
        writeln!(self.file, "{line}").map_err(|error| AnalysisError::io(self.partial.scratch(), error))
    }

    /// Puts the file in its place.
    pub(crate) fn finish(mut self) -> Result<(), AnalysisError> {
        self.file.flush().map_err(|error| AnalysisError::io(self.partial.scratch(), error))?;
        self.partial.complete()
    }
}
