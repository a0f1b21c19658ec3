//! Where files go: a directory, an object store or standard output.

pub use super::directory::Directory;
use crate::error::RunError;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Where an unfinished run keeps its state.
pub(crate) const STATE: &str = ".populace";

/// Where the files of a run go. A place that cannot continue files makes each appear whole by itself, and knows neither locks nor
/// directories; the defaults are for those.
pub trait Place: Send + Sync {
    /// What messages call it.
    fn shown(&self) -> String;

    /// What messages call a file.
    fn named(&self, path: &str) -> String {
        format!("{}/{path}", self.shown())
    }

    /// Starts a file; `keep` bytes of an earlier attempt stay.
    ///
    /// # Errors
    /// It cannot be opened, or the place cannot continue files.
    fn create(&self, path: &str, keep: u64) -> Result<Box<dyn PlacedFile>, RunError>;

    /// Whether an interrupted file can be continued where it stopped.
    fn can_continue(&self) -> bool {
        false
    }

    /// A directory for temporary files.
    fn scratch(&self) -> &Path;

    /// The content of a small file; `None` if there is none.
    ///
    /// # Errors
    /// It is there and cannot be read.
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, RunError>;

    /// Writes a small file whole, durably.
    ///
    /// # Errors
    /// It cannot be written.
    fn write(&self, path: &str, bytes: &[u8]) -> Result<(), RunError>;

    /// Adds to a small file.
    ///
    /// # Errors
    /// It cannot be written.
    fn append(&self, path: &str, bytes: &[u8]) -> Result<(), RunError> {
        let before = self.read(path)?.unwrap_or_default();
        self.write(path, &[&before, bytes].concat())
    }

    /// Whether there is a file or a directory.
    ///
    /// # Errors
    /// That cannot be found out.
    fn exists(&self, path: &str) -> Result<bool, RunError> {
        Ok(self.size(path)?.is_some())
    }

    /// The size of a file in bytes; `None` if there is none.
    ///
    /// # Errors
    /// That cannot be found out.
    fn size(&self, path: &str) -> Result<Option<u64>, RunError>;

    /// The size of a file that has not its name yet.
    ///
    /// # Errors
    /// That cannot be found out.
    fn unfinished_size(&self, _: &str) -> Result<Option<u64>, RunError> {
        Ok(None)
    }

    /// Makes the bytes of a file that has not its name yet durable.
    ///
    /// # Errors
    /// They cannot be made so, or the file is gone.
    fn sync(&self, _: &str) -> Result<(), RunError> {
        Ok(())
    }

    /// Gives a complete file of so many bytes its name. False if there is no such file under either name.
    ///
    /// # Errors
    /// It cannot be renamed.
    fn publish(&self, _: &str, _: u64) -> Result<bool, RunError> {
        Ok(true)
    }

    /// Makes the names of these files durable, and the removal of such files.
    ///
    /// # Errors
    /// They cannot be made so.
    fn sync_names(&self, _: &[&str]) -> Result<(), RunError> {
        Ok(())
    }

    /// Removes a file and its unfinished form, if there is one.
    ///
    /// # Errors
    /// It is there and cannot be removed.
    fn remove(&self, path: &str) -> Result<(), RunError>;

    /// Makes a directory.
    ///
    /// # Errors
    /// It cannot be made.
    fn create_directory(&self, _: &str) -> Result<(), RunError> {
        Ok(())
    }

    /// Removes the files in a directory, but for `keep`.
    ///
    /// # Errors
    /// One cannot be removed.
    fn clear(&self, _: &str, _keep: &str) -> Result<(), RunError> {
        Ok(())
    }

    /// Removes a directory if it is empty.
    ///
    /// # Errors
    /// It is empty and cannot be removed.
    fn remove_directory(&self, _: &str) -> Result<(), RunError> {
        Ok(())
    }

    /// Holds a file until the returned value is dropped, against other processes on this machine; `None` if another holds it. Two
    /// processes that write one part of a place without locks write the same bytes.
    ///
    /// # Errors
    /// The file cannot be written.
    fn lock(&self, _: &str) -> Result<Option<Box<dyn Send>>, RunError> {
        Ok(Some(Box::new(())))
    }
}

/// A file that is being written.
pub trait PlacedFile: Write + Send {
    /// Ends the file. One that can be continued gets its name by [`Place::publish`], once it is durable.
    ///
    /// # Errors
    /// The last bytes could not be written.
    fn complete(self: Box<Self>) -> Result<(), RunError>;
}

/// Standard output, for one table.
#[derive(Clone, Debug)]
pub struct StandardOutput {
    scratch: PathBuf,
}

impl Default for StandardOutput {
    fn default() -> Self {
        Self { scratch: std::env::temp_dir() }
    }
}

/// Standard output holds no state, so these are never asked of it.
const STREAM: &str = "standard output keeps no files";

impl Place for StandardOutput {
    fn shown(&self) -> String {
        "standard output".into()
    }

    fn named(&self, _: &str) -> String {
        self.shown()
    }

    fn create(&self, _: &str, _: u64) -> Result<Box<dyn PlacedFile>, RunError> {
        Ok(Box::new(self.clone()))
    }

    fn scratch(&self) -> &Path {
        &self.scratch
    }

    fn read(&self, _: &str) -> Result<Option<Vec<u8>>, RunError> {
        Ok(None)
    }

    fn write(&self, _: &str, _: &[u8]) -> Result<(), RunError> {
        Err(RunError::Refused(STREAM.into()))
    }

    fn size(&self, _: &str) -> Result<Option<u64>, RunError> {
        Ok(None)
    }

    fn remove(&self, _: &str) -> Result<(), RunError> {
        Err(RunError::Refused(STREAM.into()))
    }
}

impl Write for StandardOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        io::stdout().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stdout().flush()
    }
}

impl PlacedFile for StandardOutput {
    fn complete(mut self: Box<Self>) -> Result<(), RunError> {
        self.flush().map_err(|error| RunError::io("standard output", error))
    }
}
