//! Files appear together, or not at all.

use crate::error::AnalysisError;
use populace_io::files::directory::{lock_file, rename_durably};
use populace_io::wording::own;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// Where files are until they appear, in their target. The name is always the same, so that what a killed process has left there is found.
const SCRATCH: &str = ".populace-work";
/// The file in it that tells a process at work from one that was killed.
const LOCK: &str = "lock";

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
        rename_durably(&self.scratch, &self.path).map_err(|error| AnalysisError::io(&self.path, error))
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
    scratch: PathBuf,
    /// Held while the process is at work.
    lock: Option<File>,
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
                "{}: is there already; {}",
                first.display(),
                own("replace it with --overwrite, or name another directory")
            )));
        }
        let (created, scratch) = (!target.exists(), target.join(SCRATCH));
        let begun = fs::create_dir_all(&scratch).and_then(|()| lock_file(&scratch.join(LOCK)));
        let Some(lock) = begun.map_err(|error| AnalysisError::io(&scratch, error))? else {
            return Err(AnalysisError::input(format!(
                "{}: another process is writing there; wait for it, or name another directory",
                target.display()
            )));
        };
        let stage = Self { target: target.to_owned(), earlier, created, complete: false, scratch, lock: Some(lock) };
        stage.clear().map_err(|error| AnalysisError::io(&stage.scratch, error))?;
        Ok(stage)
    }

    /// Removes what a process that was killed has left.
    fn clear(&self) -> std::io::Result<()> {
        for entry in fs::read_dir(&self.scratch)? {
            let path = entry?.path();
            match path.file_name() {
                Some(name) if name == LOCK => {}
                _ if path.is_dir() => fs::remove_dir_all(path)?,
                _ => fs::remove_file(path)?,
            }
        }
        Ok(())
    }

    /// Where to write.
    pub(crate) fn path(&self) -> &Path {
        &self.scratch
    }

    /// Lets the files of these names appear, in this order, in place of those of an earlier time.
    pub(crate) fn complete(mut self, names: &[&str]) -> Result<(), AnalysisError> {
        for path in self.earlier.iter().rev() {
            fs::remove_file(path).map_err(|error| AnalysisError::io(path, error))?;
        }
        for name in names {
            let to = self.target.join(name);
            rename_durably(&self.path().join(name), &to).map_err(|error| AnalysisError::io(&to, error))?;
        }
        self.complete = true;
        Ok(())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // The lock goes last: until then no other process takes the directory for one that a killed process has left. Whatever cannot be
        // removed, the next process to write here removes.
        let _ = self.clear().and_then(|()| fs::remove_file(self.scratch.join(LOCK))).and_then(|()| fs::remove_dir(&self.scratch));
        drop(self.lock.take());
        if self.created && !self.complete {
            // Only an empty directory goes; one that others have written to in the meantime stays.
            let _ = fs::remove_dir(&self.target);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_a_killed_process_left_is_removed_and_a_process_at_work_is_left_alone() {
        let target = tempfile::tempdir().unwrap();
        let killed = Stage::new(target.path(), Vec::new(), false).unwrap();
        fs::write(killed.path().join("users_clean.csv.partial"), "half").unwrap();
        let refused = Stage::new(target.path(), Vec::new(), false).err().expect("another is at work").to_string();
        assert!(refused.contains("another process is writing there"), "{refused}");
        // A process that dies drops its lock and nothing else.
        let Stage { lock, .. } = &mut *std::mem::ManuallyDrop::new(killed);
        drop(lock.take());

        let next = Stage::new(target.path(), Vec::new(), false).unwrap();
        assert_eq!(names(next.path()), [LOCK]);
        fs::write(next.path().join("a.json"), "{}").unwrap();
        next.complete(&["a.json"]).unwrap();
        assert_eq!(names(target.path()), ["a.json"]);
    }
}
