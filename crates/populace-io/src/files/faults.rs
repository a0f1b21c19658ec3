//! A disk that fails: every change that a [`Directory`](super::directory::Directory) makes passes through it. At the chosen change the
//! process is "killed": that change and all that follow are refused. A power failure also takes what was not made durable.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A change that is about to be made.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change<'a> {
    CreateDirectory(&'a Path),
    /// A file is opened for writing, its first bytes kept.
    Create(&'a Path, u64),
    Write(&'a Path, &'a [u8]),
    Sync(&'a Path),
    SyncDirectory(&'a Path),
    Rename(&'a Path, &'a Path),
    Remove(&'a Path),
    RemoveDirectory(&'a Path),
}

/// How to undo a change of names.
enum Undo {
    /// The name was not there.
    Absent(PathBuf),
    /// The name was that of a file with these bytes.
    Was(PathBuf, Vec<u8>),
    /// The file had another name, and the new one may have been of another file.
    Moved { from: PathBuf, to: PathBuf, replaced: Option<Vec<u8>> },
    /// There was a directory.
    Directory(PathBuf),
}

impl Undo {
    fn directory(&self) -> Option<&Path> {
        match self {
            Self::Absent(path) | Self::Was(path, _) | Self::Moved { to: path, .. } | Self::Directory(path) => path.parent(),
        }
    }
}

#[derive(Default)]
struct State {
    /// Changes until the failure; `None` for a disk that does not fail.
    left: Option<u64>,
    failed: bool,
    changes: u64,
    /// Bytes of each file that are durable.
    durable: BTreeMap<PathBuf, u64>,
    /// Changes of names that are not.
    names: Vec<Undo>,
}

/// See the module. Without a failure set, it passes everything.
#[derive(Clone, Default)]
pub(crate) struct Disk(Option<Arc<Mutex<State>>>);

impl std::fmt::Debug for Disk {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Disk")
    }
}

impl Disk {
    /// A disk that fails at the change `at`, from 0; `None` counts the changes only.
    pub(crate) fn failing(at: Option<u64>) -> Self {
        Self(Some(Arc::new(Mutex::new(State { left: at, ..State::default() }))))
    }

    fn state(&self) -> Option<MutexGuard<'_, State>> {
        self.0.as_ref().map(|state| state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The changes so far.
    pub(crate) fn changes(&self) -> u64 {
        self.state().map_or(0, |state| state.changes)
    }

    pub(crate) fn before(&self, change: Change<'_>) -> io::Result<()> {
        let Some(mut state) = self.state() else { return Ok(()) };
        state.changes += 1;
        if state.failed {
            return Err(io::Error::other("the process is dead"));
        }
        match &mut state.left {
            Some(0) => {
                state.failed = true;
                // Of a write, a part may still have come through.
                if let Change::Write(path, bytes) = change {
                    append(path, &bytes[..bytes.len() / 2])?;
                }
                return Err(io::Error::other("the process is killed"));
            }
            Some(left) => *left -= 1,
            None => {}
        }
        state.note(change)
    }

    /// The power fails: bytes that are not durable are lost, and of the changes of names that are not durable the last ones, `lost` of
    /// 2 parts.
    pub(crate) fn lose(&self, lost: usize) {
        let Some(mut state) = self.state() else { return };
        let kept = state.names.len() - state.names.len() * lost / 2;
        for undo in state.names.split_off(kept).into_iter().rev() {
            state.undo(undo).expect("a change of names can be undone");
        }
        for (path, bytes) in &state.durable {
            if let Ok(file) = fs::OpenOptions::new().write(true).open(path) {
                let length = file.metadata().expect("a file has a length").len();
                file.set_len(length.min(*bytes)).expect("a file can be cut");
            }
        }
    }
}

fn append(path: &Path, bytes: &[u8]) -> io::Result<()> {
    io::Write::write_all(&mut fs::OpenOptions::new().append(true).open(path)?, bytes)
}

impl State {
    fn note(&mut self, change: Change<'_>) -> io::Result<()> {
        match change {
            Change::CreateDirectory(path) => self.names.push(Undo::Absent(path.to_owned())),
            Change::Create(path, keep) => {
                if !path.exists() {
                    self.names.push(Undo::Absent(path.to_owned()));
                }
                let durable = self.durable.entry(path.to_owned()).or_insert(keep);
                *durable = keep.min(*durable);
            }
            Change::Write(path, _) => {
                // A file of an earlier process was durable as far as it went.
                let length = fs::metadata(path)?.len();
                self.durable.entry(path.to_owned()).or_insert(length);
            }
            Change::Sync(path) => {
                self.durable.insert(path.to_owned(), fs::metadata(path)?.len());
            }
            Change::SyncDirectory(path) => self.names.retain(|undo| undo.directory() != Some(path)),
            Change::Rename(from, to) => {
                let replaced = fs::read(to).ok();
                self.names.push(Undo::Moved { from: from.to_owned(), to: to.to_owned(), replaced });
                self.durable.remove(to);
                if let Some(bytes) = self.durable.remove(from) {
                    self.durable.insert(to.to_owned(), bytes);
                }
            }
            Change::Remove(path) => {
                let mut bytes = fs::read(path)?;
                let durable = self.durable.remove(path).unwrap_or(u64::MAX);
                bytes.truncate(usize::try_from(durable).unwrap_or(usize::MAX));
                self.names.push(Undo::Was(path.to_owned(), bytes));
            }
            Change::RemoveDirectory(path) => {
                // Refused if there is something in it.
                if fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none()) {
                    self.names.push(Undo::Directory(path.to_owned()));
                }
            }
        }
        Ok(())
    }

    fn undo(&mut self, undo: Undo) -> io::Result<()> {
        match undo {
            Undo::Absent(path) if path.is_dir() => fs::remove_dir_all(path),
            Undo::Absent(path) => {
                self.durable.remove(&path);
                if path.exists() { fs::remove_file(path) } else { Ok(()) }
            }
            // The removal of their directory may have lasted.
            Undo::Was(path, _) | Undo::Moved { to: path, .. } | Undo::Directory(path) if !path.parent().is_some_and(Path::exists) => Ok(()),
            Undo::Was(path, bytes) => {
                self.durable.remove(&path);
                fs::write(path, bytes)
            }
            Undo::Moved { from, to, replaced } => {
                if to.exists() {
                    fs::rename(&to, &from)?;
                }
                if let Some(bytes) = self.durable.remove(&to) {
                    self.durable.insert(from, bytes);
                }
                replaced.map_or(Ok(()), |bytes| fs::write(to, bytes))
            }
            Undo::Directory(path) => fs::create_dir(path),
        }
    }
}
