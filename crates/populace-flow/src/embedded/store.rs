//! A SQLite file that survives being killed at any moment.

use crate::error::FlowError;
use rusqlite::{Connection, OptionalExtension, Params, Row, Transaction, TransactionBehavior};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long one process waits for another that writes.
const BUSY: Duration = Duration::from_secs(10);

/// The most that is kept of a file in memory, KiB: ids come in no order, so a request meets most pages of their index.
const CACHE_KIB: i32 = 8 << 10;

/// What a trial of the disk writes, bytes.
const TRIAL: u32 = 16_384;

/// Makes a directory, if there is none, that nobody but its owner may enter.
///
/// # Errors
/// It cannot be made.
pub fn private_directory(path: &Path) -> Result<(), FlowError> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(path).map_err(|error| FlowError::io(path, error))
}

/// Makes a file, if there is none, and takes it and what SQLite keeps beside it from everybody but its owner. SQLite gives the files beside
/// it the permissions of the file.
fn own(path: &Path) -> Result<(), FlowError> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
        let failed = |error| FlowError::io(path, error);
        std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path).map_err(failed)?;
        for ending in ["", "-wal", "-shm", "-journal"] {
            let file = PathBuf::from(format!("{}{ending}", path.display()));
            let open = std::fs::metadata(&file).is_ok_and(|found| found.permissions().mode() & 0o077 != 0);
            if open {
                std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
            }
        }
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// A SQLite file: write-ahead log, synced to disk at every commit.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    connection: Mutex<Connection>,
}

impl Store {
    /// Opens the file, and makes it from `schema` if there is none. `version` is the number of that schema.
    ///
    /// # Errors
    /// It cannot be opened, is no such file, or has a schema of another version.
    pub fn open(path: &Path, schema: &str, version: u32) -> Result<Self, FlowError> {
        if let Some(parent) = path.parent() {
            private_directory(parent)?;
        }
        own(path)?;
        let connection = Connection::open(path).map_err(|source| FlowError::Store { path: path.to_owned(), source })?;
        let store = Self { path: path.to_owned(), connection: Mutex::new(connection) };
        store.with(|connection| {
            connection.busy_timeout(BUSY)?;
            connection.pragma_update(None, "journal_mode", "wal")?;
            connection.pragma_update(None, "synchronous", "full")?;
            connection.pragma_update(None, "secure_delete", true)?;
            connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
            Ok(())
        })?;
        let found: u32 = store.write(|transaction| {
            let found: u32 = transaction.query_row("SELECT user_version FROM pragma_user_version", [], |row| row.get(0))?;
            if found == 0 {
                transaction.execute_batch(schema)?;
                transaction.pragma_update(None, "user_version", version)?;
                return Ok(version);
            }
            Ok(found)
        })?;
        if found != version {
            let path = path.display();
            return Err(FlowError::Refused(format!(
                "{path}: was written by another version of Populace (schema {found}, not {version}); choose another directory"
            )));
        }
        Ok(store)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A thread that panicked within a transaction has rolled it back.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<V>(&self, act: impl FnOnce(&mut Connection) -> rusqlite::Result<V>) -> Result<V, FlowError> {
        act(&mut self.lock()).map_err(|source| FlowError::Store { path: self.path.clone(), source })
    }

    /// Changes something, whole or not at all, and durably when this returns.
    ///
    /// # Errors
    /// Those of `act`, which then has changed nothing, and those of the file.
    pub fn write<V>(&self, act: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<V>) -> Result<V, FlowError> {
        self.with(|connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let made = act(&transaction)?;
            transaction.commit()?;
            Ok(made)
        })
    }

    /// Removes from disk what was deleted: nothing of it is left in the file or beside it.
    ///
    /// # Errors
    /// Another process reads the file.
    pub fn forget(&self) -> Result<(), FlowError> {
        let busy = self.with(|connection| connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0)))?;
        if busy {
            return Err(FlowError::Unavailable(format!("{}: is being read; what was deleted leaves the disk later", self.path.display())));
        }
        Ok(())
    }

    /// Whether a change would be kept now: makes one of the size of a small request.
    ///
    /// # Errors
    /// Why not: the disk is full, the file is locked, read-only or gone.
    pub fn ready(&self) -> Result<(), FlowError> {
        std::fs::metadata(&self.path).map_err(|error| FlowError::io(&self.path, error))?;
        self.write(|transaction| {
            transaction.execute_batch("CREATE TABLE IF NOT EXISTS trial (bytes BLOB) STRICT; DELETE FROM trial")?;
            transaction.execute("INSERT INTO trial VALUES (randomblob(?))", [TRIAL]).map(drop)
        })
    }

    /// Reads something, all of it at one moment.
    ///
    /// # Errors
    /// Those of `act` and those of the file.
    pub fn read<V>(&self, act: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<V>) -> Result<V, FlowError> {
        self.with(|connection| act(&connection.transaction()?))
    }

    /// The first row of a query, if there is one.
    ///
    /// # Errors
    /// Those of the file.
    pub fn first<V>(
        &self,
        query: &str,
        values: impl Params,
        of: impl FnOnce(&Row<'_>) -> rusqlite::Result<V>,
    ) -> Result<Option<V>, FlowError> {
        self.with(|connection| connection.prepare(query)?.query_row(values, of).optional())
    }

    /// The only number of a query.
    ///
    /// # Errors
    /// Those of the file.
    pub fn number(&self, query: &str) -> Result<u64, FlowError> {
        self.with(|connection| connection.prepare(query)?.query_row([], |row| row.get::<_, i64>(0))).map(|number| number as u64)
    }
}
