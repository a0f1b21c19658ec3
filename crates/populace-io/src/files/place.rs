//! Where files go: a directory, or standard output. A file appears whole: it is written as `NAME.partial` and renamed when complete.

use crate::error::RunError;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Where the files of a run go.
pub trait Place: Send + Sync {
    /// Starts a file; `keep` bytes of an earlier attempt stand already.
    ///
    /// # Errors
    /// It cannot be opened, or the place cannot continue files.
    fn create(&self, path: &str, keep: u64) -> Result<Box<dyn PlacedFile>, RunError>;

    /// Whether an interrupted file can be continued where it stopped.
    fn can_continue(&self) -> bool;

    /// A directory for temporary files.
    fn scratch(&self) -> &Path;
}

/// A file that is being written.
pub trait PlacedFile: Write + Send {
    /// Makes the file appear under its name.
    ///
    /// # Errors
    /// The last bytes could not be written, or the file could not be renamed.
    fn complete(self: Box<Self>) -> Result<(), RunError>;
}

/// A directory on this machine.
#[derive(Clone, Debug)]
pub struct Directory {
    root: PathBuf,
}

impl Directory {
    /// The directory at `root`; it need not exist yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The path of a file.
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }
}

/// The name under which a file is written before it is complete.
pub fn partial(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

/// Writes a small file whole.
///
/// # Errors
/// It cannot be written or renamed.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), RunError> {
    let scratch = partial(path);
    fs::write(&scratch, bytes).map_err(|error| RunError::io(&scratch, error))?;
    fs::rename(&scratch, path).map_err(|error| RunError::io(path, error))
}

struct LocalFile {
    path: PathBuf,
    file: File,
}

impl Place for Directory {
    fn create(&self, path: &str, keep: u64) -> Result<Box<dyn PlacedFile>, RunError> {
        let path = self.path(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(|error| RunError::io(parent, error))?;
        }
        let scratch = partial(&path);
        let open = || -> io::Result<File> {
            let mut file = OpenOptions::new().write(true).create(true).truncate(keep == 0).open(&scratch)?;
            if keep > 0 {
                if file.metadata()?.len() < keep {
                    return Err(io::Error::other("the file is shorter than the journal says; start again with --overwrite"));
                }
                file.set_len(keep)?;
                file.seek(SeekFrom::End(0))?;
            }
            Ok(file)
        };
        let file = open().map_err(|error| RunError::io(&scratch, error))?;
        Ok(Box::new(LocalFile { path, file }))
    }

    fn can_continue(&self) -> bool {
        true
    }

    fn scratch(&self) -> &Path {
        &self.root
    }
}

impl Write for LocalFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl PlacedFile for LocalFile {
    fn complete(mut self: Box<Self>) -> Result<(), RunError> {
        self.file.flush().map_err(|error| RunError::io(&self.path, error))?;
        fs::rename(partial(&self.path), &self.path).map_err(|error| RunError::io(&self.path, error))
    }
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

impl Place for StandardOutput {
    fn create(&self, _: &str, _: u64) -> Result<Box<dyn PlacedFile>, RunError> {
        Ok(Box::new(self.clone()))
    }

    fn can_continue(&self) -> bool {
        false
    }

    fn scratch(&self) -> &Path {
        &self.scratch
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
