//! Files appear together, or not at all.

use super::{REPORT, STEMS};
use crate::error::AnalysisError;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Where the files are written before they appear in the target.
pub(super) struct Stage {
    target: PathBuf,
    created: bool,
    complete: bool,
    scratch: Option<TempDir>,
}

/// The files that an earlier `prepare` left in a directory.
fn earlier(target: &Path) -> Vec<PathBuf> {
    let tables = STEMS.iter().flat_map(|stem| ["csv", "parquet"].map(|ending| format!("{stem}.{ending}")));
    tables.chain([REPORT.to_owned()]).map(|name| target.join(name)).filter(|path| path.exists()).collect()
}

impl Stage {
    /// Checks the target and makes room in it.
    pub(super) fn new(target: &Path, overwrite: bool) -> Result<Self, AnalysisError> {
        if target.exists() && !target.is_dir() {
            return Err(AnalysisError::input(format!("{}: is a file; name a directory", target.display())));
        }
        if let Some(first) = earlier(target).first().filter(|_| !overwrite) {
            return Err(AnalysisError::input(format!(
                "{}: is there already; replace it with --overwrite, or name another directory",
                first.display()
            )));
        }
        let created = !target.exists();
        fs::create_dir_all(target).map_err(|error| AnalysisError::io(target, error))?;
        let mut stage = Self { target: target.to_owned(), created, complete: false, scratch: None };
        let scratch = tempfile::Builder::new().prefix(".prepare-").tempdir_in(target);
        stage.scratch = Some(scratch.map_err(|error| AnalysisError::io(target, error))?);
        Ok(stage)
    }

    /// Where to write.
    pub(super) fn path(&self) -> &Path {
        self.scratch.as_ref().map_or(&self.target, |scratch| scratch.path())
    }

    /// Lets the files of these names appear in place of those of an earlier time; the report comes last.
    pub(super) fn complete(mut self, names: &[&str]) -> Result<(), AnalysisError> {
        let mut old = earlier(&self.target);
        old.reverse();
        for path in old {
            fs::remove_file(&path).map_err(|error| AnalysisError::io(&path, error))?;
        }
        for name in names.iter().chain([&REPORT]) {
            let to = self.target.join(name);
            fs::rename(self.path().join(name), &to).map_err(|error| AnalysisError::io(&to, error))?;
        }
        self.complete = true;
        Ok(())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        drop(self.scratch.take());
        if self.created && !self.complete {
            // Only an empty directory goes; one that others have written to in the meantime stays.
            let _ = fs::remove_dir(&self.target);
        }
    }
}
