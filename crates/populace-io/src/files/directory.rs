//! A directory on this machine. A file is written as `NAME.partial`; it gets its name only when its bytes are durable, so that a name
//! means content, also after a power failure.

use super::place::{Place, PlacedFile, STATE};
use crate::error::RunError;
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// In tests, what may stop a change to the disk before it happens.
macro_rules! change {
    ($directory:expr, $change:ident $(, $of:expr)*) => {
        #[cfg(test)]
        $directory.disk.before(super::faults::Change::$change($($of),*))?;
    };
}

/// A directory on this machine.
#[derive(Clone, Debug)]
pub struct Directory {
    root: PathBuf,
    state: PathBuf,
    #[cfg(test)]
    disk: super::faults::Disk,
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
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(RunError::io(path, error)),
    }
}

/// Makes the names in a directory durable. Some file systems cannot, and say so.
fn sync_directory(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    match File::open(path).and_then(|directory| directory.sync_all()) {
        Err(error) if !matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => return Err(error),
        _ => {}
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// Gives a file its name, once its bytes are durable, and makes the name durable too.
///
/// # Errors
/// It cannot be made durable or be renamed.
pub fn rename_durably(from: &Path, to: &Path) -> io::Result<()> {
    OpenOptions::new().write(true).open(from)?.sync_data()?;
    fs::rename(from, to)?;
    sync_directory(to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))
}

/// Whether an open file is still the one of that name.
fn is_still(file: &File, path: &Path) -> io::Result<bool> {
    match fs::metadata(path) {
        #[cfg(unix)]
        Ok(named) => {
            use std::os::unix::fs::MetadataExt;
            let open = file.metadata()?;
            Ok((open.dev(), open.ino()) == (named.dev(), named.ino()))
        }
        #[cfg(not(unix))]
        Ok(_) => file.metadata().map(|_| true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Locks a file, which is made if need be, until it is dropped; `None` if another process holds it.
///
/// # Errors
/// It cannot be opened or locked.
pub fn lock_file(path: &Path) -> io::Result<Option<File>> {
    loop {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            // Who held the lock before may have removed the file.
            Ok(()) if is_still(&file, path)? => return Ok(Some(file)),
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

impl Directory {
    /// The directory at `root`; it need not exist yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        Self {
            state: root.join(STATE),
            root,
            #[cfg(test)]
            disk: super::faults::Disk::default(),
        }
    }

    /// A directory whose changes pass through `disk`.
    #[cfg(test)]
    pub(crate) fn on(disk: super::faults::Disk, root: impl Into<PathBuf>) -> Self {
        Self { disk, ..Self::new(root) }
    }

    /// The path of a file.
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// The directory of a path.
    fn parent<'p>(&'p self, path: &'p Path) -> &'p Path {
        path.parent().unwrap_or(&self.root)
    }

    /// Makes the directories of a file that are below the root. The root itself is not made again: it would hide that somebody has
    /// removed it.
    fn make_parents(&self, path: &Path) -> io::Result<()> {
        let below: Vec<&Path> = path.ancestors().skip(1).take_while(|above| *above != self.root).collect();
        for directory in below.into_iter().rev().filter(|directory| !directory.is_dir()) {
            change!(self, CreateDirectory, directory);
            match fs::create_dir(directory) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
                _ => self.sync_directory(self.parent(directory))?,
            }
        }
        Ok(())
    }

    fn open(&self, path: &Path, keep: u64) -> io::Result<LocalFile> {
        change!(self, Create, path, keep);
        let mut file = OpenOptions::new().write(true).create(true).truncate(keep == 0).open(path)?;
        if keep > 0 {
            if file.metadata()?.len() < keep {
                return Err(io::Error::other(format!("had {keep} bytes a moment ago and has fewer now")));
            }
            file.set_len(keep)?;
            file.seek(SeekFrom::End(0))?;
        }
        Ok(self.local(path, file))
    }
}

#[cfg_attr(not(test), expect(clippy::unused_self, reason = "tests put a disk that fails between the directory and its files"))]
impl Directory {
    fn local(&self, path: &Path, file: File) -> LocalFile {
        #[cfg(not(test))]
        let _ = path;
        LocalFile {
            file,
            #[cfg(test)]
            of: (self.clone(), path.to_owned()),
        }
    }

    fn sync_file(&self, path: &Path) -> io::Result<()> {
        change!(self, Sync, path);
        OpenOptions::new().write(true).open(path)?.sync_data()
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        change!(self, SyncDirectory, path);
        sync_directory(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        change!(self, Rename, from, to);
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        if fs::symlink_metadata(path).is_ok() {
            change!(self, Remove, path);
        }
        fs::remove_file(path)
    }

    fn remove_empty(&self, path: &Path) -> io::Result<()> {
        change!(self, RemoveDirectory, path);
        fs::remove_dir(path)
    }
}

impl Place for Directory {
    fn shown(&self) -> String {
        self.root.display().to_string()
    }

    fn create(&self, path: &str, keep: u64) -> Result<Box<dyn PlacedFile>, RunError> {
        let path = self.path(path);
        self.make_parents(&path).map_err(|error| RunError::io(self.parent(&path), error))?;
        let scratch = partial(&path);
        match self.open(&scratch, keep) {
            Ok(file) => Ok(Box::new(file)),
            Err(error) => Err(RunError::io(scratch, error)),
        }
    }

    fn can_continue(&self) -> bool {
        true
    }

    fn scratch(&self) -> &Path {
        &self.state
    }

    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, RunError> {
        let path = self.path(path);
        if_there(&path, fs::read(&path))
    }

    fn write(&self, path: &str, bytes: &[u8]) -> Result<(), RunError> {
        let path = self.path(path);
        let scratch = partial(&path);
        let whole = || -> io::Result<()> {
            self.open(&scratch, 0)?.write_all(bytes)?;
            self.sync_file(&scratch)?;
            self.rename(&scratch, &path)?;
            self.sync_directory(self.parent(&path))
        };
        whole().map_err(|error| RunError::io(&path, error))
    }

    fn append(&self, path: &str, bytes: &[u8]) -> Result<(), RunError> {
        let path = self.path(path);
        let added = || -> io::Result<()> {
            let file = OpenOptions::new().append(true).create(true).open(&path)?;
            self.local(&path, file).write_all(bytes)
        };
        added().map_err(|error| RunError::io(&path, error))
    }

    fn exists(&self, path: &str) -> Result<bool, RunError> {
        let path = self.path(path);
        path.try_exists().map_err(|error| RunError::io(path, error))
    }

    fn size(&self, path: &str) -> Result<Option<u64>, RunError> {
        let path = self.path(path);
        Ok(if_there(&path, fs::metadata(&path))?.map(|metadata| metadata.len()))
    }

    fn unfinished_size(&self, path: &str) -> Result<Option<u64>, RunError> {
        let path = partial(&self.path(path));
        Ok(if_there(&path, fs::metadata(&path))?.map(|metadata| metadata.len()))
    }

    fn sync(&self, path: &str) -> Result<(), RunError> {
        let path = partial(&self.path(path));
        self.sync_file(&path).map_err(|error| RunError::io(path, error))
    }

    fn publish(&self, path: &str, bytes: u64) -> Result<bool, RunError> {
        if self.unfinished_size(path)? == Some(bytes) {
            let path = self.path(path);
            self.rename(&partial(&path), &path).map_err(|error| RunError::io(path, error))?;
            return Ok(true);
        }
        Ok(self.size(path)? == Some(bytes))
    }

    fn sync_names(&self, paths: &[&str]) -> Result<(), RunError> {
        let paths: Vec<PathBuf> = paths.iter().map(|path| self.path(path)).collect();
        let directories: BTreeSet<&Path> = paths.iter().map(|path| self.parent(path)).collect();
        for directory in directories {
            if_there(directory, self.sync_directory(directory))?;
        }
        Ok(())
    }

    fn remove(&self, path: &str) -> Result<(), RunError> {
        let path = self.path(path);
        for path in [partial(&path), path] {
            if_there(&path, self.remove_file(&path))?;
        }
        Ok(())
    }

    fn create_directory(&self, path: &str) -> Result<(), RunError> {
        let made = || -> io::Result<()> {
            if !self.root.is_dir() {
                change!(self, CreateDirectory, &self.root);
                fs::create_dir_all(&self.root)?;
                self.sync_directory(self.root.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))?;
            }
            self.make_parents(&self.path(path).join("file"))
        };
        made().map_err(|error| RunError::io(self.path(path), error))
    }

    fn clear(&self, path: &str, keep: &str) -> Result<(), RunError> {
        let path = self.path(path);
        for entry in if_there(&path, fs::read_dir(&path))?.into_iter().flatten() {
            let file = entry.map_err(|error| RunError::io(&path, error))?.path();
            if file != self.path(keep) {
                if_there(&file, self.remove_file(&file))?;
            }
        }
        Ok(())
    }

    fn remove_directory(&self, path: &str) -> Result<(), RunError> {
        let path = self.path(path);
        match self.remove_empty(&path) {
            Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => Ok(()),
            result => if_there(&path, result).map(|_| ()),
        }
    }

    fn lock(&self, path: &str) -> Result<Option<Box<dyn Send>>, RunError> {
        let path = self.path(path);
        let locked = || -> io::Result<_> {
            if !path.exists() {
                change!(self, Create, &path, 0);
            }
            lock_file(&path)
        };
        Ok(locked().map_err(|error| RunError::io(&path, error))?.map(|file| Box::new(file) as _))
    }
}

struct LocalFile {
    file: File,
    #[cfg(test)]
    of: (Directory, PathBuf),
}

impl Write for LocalFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        change!(self.of.0, Write, &self.of.1, bytes);
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl PlacedFile for LocalFile {
    fn complete(self: Box<Self>) -> Result<(), RunError> {
        Ok(())
    }
}
