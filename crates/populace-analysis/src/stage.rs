//! Files appear together, or not at all.

use crate::error::AnalysisError;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A file that has another name, which ends in `.partial`, until it is whole; dropped before that, it leaves nothing.
pub(crate) struct Partial {
    path: PathBuf,
    scratch: PathBuf,
}

impl Partial {
    /// The file that is to be at `path`.
    pub(crate) fn new(path: &Path) -> Self {
        let mut scratch = path.as_os_str().to_owned();
        scratch.push(".partial");
        Self { path: path.to_owned(), scratch: PathBuf::from(scratch) }
    }

    /// Where to write.
    pub(crate) fn scratch(&self) -> &Path {
        &self.scratch
    }

    /// Gives the file its name.
    pub(crate) fn complete(self) -> Result<(), AnalysisError> {
        fs::rename(&self.scratch, &self.path).map_err(|error| AnalysisError::io(&self.path, error))
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // After a rename there is nothing here to remove.
        let _ = fs::remove_file(&self.scratch);
    }
}

/// Writes a text to a file, which is there whole or not at all.
///
/// # Errors
/// The file cannot be written.
pub fn write_whole(path: &Path, text: &str) -> Result<(), AnalysisError> {
    let partial = Partial::new(path);
    fs::write(partial.scratch(), text).map_err(|error| AnalysisError::io(path, error))?;
    partial.complete()
}

/// Where the files are written before they appear in the target.
pub(crate) struct Stage {
    target: PathBuf,
    /// Files that are replaced.
    earlier: Vec<PathBuf>,
    created: bool,
    complete: bool,
    scratch: Option<TempDir>,
}

impl Stage {
    /// Checks the target and makes room in it; files of the names `earlier` are replaced, if that is wanted.
    pub(crate) fn new(target: &Path, earlier: Vec<String>, overwrite: bool) -> Result<Self, AnalysisError> {
        if target.exists() && !target.is_dir() {
            return Err(AnalysisError::input(format!("{}: is a file; name a directory", target.display())));
        }
        let earlier: Vec<PathBuf> = earlier.into_iter().map(|name| target.join(name)).filter(|path| path.exists()).collect();
        if let Some(first) = earlier.first().filter(|_| !overwrite) {
            return Err(AnalysisError::input(format!(
                "{}: is there already; replace it with --overwrite, or name another directory",
                first.display()
            )));
        }
        let created = !target.exists();
        fs::create_dir_all(target).map_err(|error| AnalysisError::io(target, error))?;
        let mut stage = Self { target: target.to_owned(), earlier, created, complete: false, scratch: None };
        let scratch = tempfile::Builder::new().prefix(".populace-").tempdir_in(target);
        stage.scratch = Some(scratch.map_err(|error| AnalysisError::io(target, error))?);
        Ok(stage)
    }

    /// Where to write.
    pub(crate) fn path(&self) -> &Path {
        self.scratch.as_ref().map_or(&self.target, |scratch| scratch.path())
    }

    /// Lets the files of these names appear, in this order, in place of those of an earlier time.
    pub(crate) fn complete(mut self, names: &[&str]) -> Result<(), AnalysisError> {
        for path in self.earlier.iter().rev() {
            fs::remove_file(path).map_err(|error| AnalysisError::io(path, error))?;
        }
        for name in names {
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
