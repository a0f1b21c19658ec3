//! Where files go: a directory, or standard output. A file appears whole: it is written as `NAME.partial` and renamed when complete.

use crate::error::RunError;
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Where the files of a run go.
pub trait Place: Send + Sync {
    /// What messages call it.
    fn shown(&self) -> String;

    /// Starts a file; `keep` bytes of an earlier attempt stand already.
    ///
    /// # Errors
    /// It cannot be opened, or the place cannot continue files.
    fn create(&self, path: &str, keep: u64) -> Result<Box<dyn PlacedFile>, RunError>;

    /// Whether an interrupted file can be continued where it stopped.
    fn can_continue(&self) -> bool;

    /// A directory for temporary files.
    fn scratch(&self) -> &Path;

    /// The content of a small file; `None` if there is none.
    ///
    /// # Errors
    /// It is there and cannot be read.
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, RunError>;

    /// Writes a small file whole.
    ///
    /// # Errors
    /// It cannot be written.
    fn write(&self, path: &str, bytes: &[u8]) -> Result<(), RunError>;

    /// Writes a small file whole that other processes may be writing at the same moment, with the same bytes.
    ///
    /// # Errors
    /// It cannot be written.
    fn write_shared(&self, path: &str, bytes: &[u8]) -> Result<(), RunError> {
        self.write(path, bytes)
    }

    /// Whether there is a file or a directory.
    ///
    /// # Errors
    /// That cannot be told.
    fn exists(&self, path: &str) -> Result<bool, RunError>;

    /// The size of a file in bytes; `None` if there is none.
    ///
    /// # Errors
    /// That cannot be told.
    fn size(&self, path: &str) -> Result<Option<u64>, RunError>;

    /// Removes a file and its unfinished form, if there is one.
    ///
    /// # Errors
    /// It is there and cannot be removed.
    fn remove(&self, path: &str) -> Result<(), RunError>;

    /// Removes a directory if it is empty.
    ///
    /// # Errors
    /// It is empty and cannot be removed.
    fn remove_directory(&self, path: &str) -> Result<(), RunError>;

    /// Holds a name until the returned value is dropped, against other processes on this machine; `None` if another holds it.
    ///
    /// # Errors
    /// The name cannot be written.
    fn lock(&self, path: &str) -> Result<Option<Box<dyn Send>>, RunError>;
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
fn partial(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

/// `None` where there is nothing of that name.
fn if_there<V>(path: &Path, result: io::Result<V>) -> Result<Option<V>, RunError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(RunError::io(path, error)),
    }
}

struct LocalFile {
    path: PathBuf,
    file: File,
}

impl Directory {
    /// Writes a file under another name, and gives it its own.
    fn write_through(&self, path: &Path, scratch: &Path, bytes: &[u8]) -> Result<(), RunError> {
        let parent = path.parent().unwrap_or(&self.root);
        fs::create_dir_all(parent).map_err(|error| RunError::io(parent, error))?;
        fs::write(scratch, bytes).map_err(|error| RunError::io(scratch, error))?;
        fs::rename(scratch, path).map_err(|error| RunError::io(path, error))
    }
}

impl Place for Directory {
    fn shown(&self) -> String {
        self.root.display().to_string()
    }

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

    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, RunError> {
        let path = self.path(path);
        if_there(&path, fs::read(&path))
    }

    fn write(&self, path: &str, bytes: &[u8]) -> Result<(), RunError> {
        let path = self.path(path);
        self.write_through(&path, &partial(&path), bytes)
    }

    fn write_shared(&self, path: &str, bytes: &[u8]) -> Result<(), RunError> {
        let path = self.path(path);
        // A name of this process alone, on whatever machine.
        let own = format!("{:016x}", RandomState::new().build_hasher().finish());
        let scratch = partial(&path.with_added_extension(own));
        self.write_through(&path, &scratch, bytes).inspect_err(|_| {
            // What could not be written may not be there.
            let _ = fs::remove_file(&scratch);
        })
    }

    fn exists(&self, path: &str) -> Result<bool, RunError> {
        let path = self.path(path);
        path.try_exists().map_err(|error| RunError::io(path, error))
    }

    fn size(&self, path: &str) -> Result<Option<u64>, RunError> {
        let path = self.path(path);
        Ok(if_there(&path, fs::metadata(&path))?.map(|metadata| metadata.len()))
    }

    fn remove(&self, path: &str) -> Result<(), RunError> {
        let path = self.path(path);
        for path in [partial(&path), path] {
            if_there(&path, fs::remove_file(&path))?;
        }
        Ok(())
    }

    fn remove_directory(&self, path: &str) -> Result<(), RunError> {
        let path = self.path(path);
        // A process that was killed while it wrote a shared file left it under a name of its own.
        for entry in if_there(&path, fs::read_dir(&path))?.into_iter().flatten() {
            let left = entry.map_err(|error| RunError::io(&path, error))?.path();
            if left.extension().is_some_and(|ending| ending == "partial") {
                if_there(&left, fs::remove_file(&left))?;
            }
        }
        match fs::remove_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
            result => if_there(&path, result).map(|_| ()),
        }
    }

    fn lock(&self, path: &str) -> Result<Option<Box<dyn Send>>, RunError> {
        let path = self.path(path);
        let file = File::create(&path).map_err(|error| RunError::io(&path, error))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Box::new(file))),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => Err(RunError::io(path, error)),
        }
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

/// Standard output holds no state, so these are never asked of it.
const STREAM: &str = "standard output keeps no files";

impl Place for StandardOutput {
    fn shown(&self) -> String {
        "standard output".into()
    }

    fn create(&self, _: &str, _: u64) -> Result<Box<dyn PlacedFile>, RunError> {
        Ok(Box::new(self.clone()))
    }

    fn can_continue(&self) -> bool {
        false
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

    fn exists(&self, _: &str) -> Result<bool, RunError> {
        Ok(false)
    }

    fn size(&self, _: &str) -> Result<Option<u64>, RunError> {
        Ok(None)
    }

    fn remove(&self, _: &str) -> Result<(), RunError> {
        Err(RunError::Refused(STREAM.into()))
    }

    fn remove_directory(&self, _: &str) -> Result<(), RunError> {
        Err(RunError::Refused(STREAM.into()))
    }

    fn lock(&self, _: &str) -> Result<Option<Box<dyn Send>>, RunError> {
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
