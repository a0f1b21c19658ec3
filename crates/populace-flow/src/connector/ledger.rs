//! What was published and answered before, so that nothing is published twice.

use super::letters::Letter;
use super::{Moment, Receipt, Request};
use crate::embedded::Store;
use crate::error::FlowError;
use crate::identity::KeyRing;
use crate::time;
use data_encoding::HEXLOWER;
use populace_core::time::{DAY, Instant};
use rusqlite::{OptionalExtension, Transaction, params};
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Condvar, Mutex, PoisonError};

const SCHEMA_VERSION: u32 = 1;
/// The client of a request whose client and key are one hash.
const HASHED: &str = "hashed";
/// How long ids and keys are kept: providers send again for three days at most. The table knows ids for ever.
const KEPT: i64 = 7 * DAY;
/// How long dead letters are kept.
const LETTERS_KEPT: i64 = 30 * DAY;
/// Every so many publications, keys that are older are removed.
const SWEEP: u64 = 1_024;
/// With every publication, so many ids and twice as many as it added are looked at, one after another and all again and again, and those
/// that are older are removed: an index by time would cost as much as the ids themselves.
const LOOKED_AT: usize = 64;

const SCHEMA: &str = "
    CREATE TABLE requests (
        client TEXT NOT NULL, key TEXT NOT NULL, fingerprint BLOB NOT NULL, at INTEGER NOT NULL, seed INTEGER NOT NULL, receipt TEXT,
        PRIMARY KEY (client, key)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE events (event_id BLOB PRIMARY KEY, at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
";

/// What later versions added.
const ADDED: &str = "
    DROP INDEX IF EXISTS events_by_time;
    CREATE TABLE IF NOT EXISTS sends (message_id BLOB PRIMARY KEY, sent_at INTEGER NOT NULL, at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS dead_letters (
        id BLOB PRIMARY KEY, at TEXT NOT NULL, provider TEXT NOT NULL, event TEXT NOT NULL, item INTEGER NOT NULL, reason TEXT NOT NULL,
        value TEXT NOT NULL, universal_id TEXT
    ) STRICT, WITHOUT ROWID;
";

/// The ledger of a connector: one process at a time.
#[derive(Debug)]
pub struct Ledger {
    store: Store,
    ring: KeyRing,
    keys: Held<[u8; 32]>,
    events: Held<u128>,
    finished: std::sync::atomic::AtomicU64,
    /// The id that was looked at last for its age.
    swept: Mutex<Vec<u8>>,
}

/// What is known of a request that begins.
pub(super) enum Begun {
    /// It is to be done, as of this moment.
    Now(Moment),
    /// It was done.
    Done(Receipt),
    /// Its key is that of another request.
    OfAnother,
}

impl Ledger {
    /// Opens the ledger in `directory`, and makes it if there is none. Keys of requests are stored as hashes under a key of the ring: they
    /// may be anything, an address too.
    ///
    /// # Errors
    /// The file cannot be opened or is of another version.
    pub fn open(directory: &Path, ring: &KeyRing) -> Result<Self, FlowError> {
        let store = Store::open(&directory.join("connector.sqlite"), SCHEMA, SCHEMA_VERSION)?;
        let (keys, events) = (Held::default(), Held::default());
        let ledger = Self { store, ring: ring.clone(), keys, events, finished: 0.into(), swept: Mutex::default() };
        ledger.store.write(|file| file.execute_batch(ADDED))?;
        ledger.hash_old_keys()?;
        Ok(ledger)
    }

    /// Earlier versions stored keys as they came.
    fn hash_old_keys(&self) -> Result<(), FlowError> {
        let changed = self.store.write(|file| {
            let mut query = file.prepare("SELECT client, key, fingerprint FROM requests WHERE client != ? OR length(key) != 64")?;
            let rows =
                query.query_map([HASHED], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, Vec<u8>>(2)?)))?;
            let rows = rows.collect::<rusqlite::Result<Vec<_>>>()?;
            for (client, key, fingerprint) in &rows {
                let change = "UPDATE requests SET client = ?, key = ?, fingerprint = ? WHERE client = ? AND key = ?";
                let hashed = self.hashed(client, key);
                file.execute(change, params![HASHED, hashed, self.ring.seal(&[fingerprint]), client, key])?;
            }
            Ok(!rows.is_empty())
        })?;
        if changed { self.store.forget() } else { Ok(()) }
    }

    fn sealed(&self, client: &str, key: &str) -> [u8; 32] {
        self.ring.seal(&[client.as_bytes(), key.as_bytes()])
    }

    fn hashed(&self, client: &str, key: &str) -> String {
        HEXLOWER.encode(&self.sealed(client, key))
    }

    /// Whether requests would be written down now.
    pub(super) fn ready(&self) -> Result<(), FlowError> {
        self.store.ready()
    }

    /// Waits until no other request has the key, and holds it.
    pub(super) fn hold_key(&self, client: &str, key: &str) -> Holding<'_, [u8; 32]> {
        self.keys.hold(vec![self.sealed(client, key)])
    }

    /// Waits until no other request publishes any of the events, and holds them.
    pub(super) fn hold_events(&self, ids: &[u128]) -> Holding<'_, u128> {
        self.events.hold(ids.to_vec())
    }

    pub(super) fn begin(&self, request: &Request, key: &str, now: Moment) -> Result<Begun, FlowError> {
        let expired = now.at.0 - KEPT;
        let (key, fingerprint) = (self.hashed(&request.client, key), self.ring.seal(&[&request.fingerprint]));
        self.store.write(|file| {
            file.execute("DELETE FROM requests WHERE client = ? AND key = ? AND at < ?", params![HASHED, key, expired])?;
            let values = params![HASHED, key, fingerprint, now.at.0, now.seed as i64];
            file.execute("INSERT OR IGNORE INTO requests VALUES (?, ?, ?, ?, ?, NULL)", values)?;
            let query = "SELECT fingerprint, at, seed, receipt FROM requests WHERE client = ? AND key = ?";
            file.query_row(query, params![HASHED, key], |row| {
                if row.get::<_, Vec<u8>>(0)? != fingerprint {
                    return Ok(Begun::OfAnother);
                }
                let moment = Moment { at: Instant(row.get(1)?), seed: row.get::<_, i64>(2)? as u64 };
                let receipt: Option<String> = row.get(3)?;
                Ok(receipt.and_then(|text| serde_json::from_str(&text).ok()).map_or(Begun::Now(moment), Begun::Done))
            })
        })
    }

    pub(super) fn forget(&self, client: &str, key: &str) -> Result<(), FlowError> {
        let values = params![HASHED, self.hashed(client, key)];
        self.store.write(|file| file.execute("DELETE FROM requests WHERE client = ? AND key = ?", values).map(drop))
    }

    pub(super) fn known(&self, ids: &[u128]) -> Result<HashSet<u128>, FlowError> {
        self.store.read(|file| {
            let mut find = file.prepare("SELECT 1 FROM events WHERE event_id = ?")?;
            let mut known = HashSet::new();
            for id in ids {
                if find.exists([id.to_be_bytes()])? {
                    known.insert(*id);
                }
            }
            Ok(known)
        })
    }

    pub(super) fn finish(&self, ids: &[u128], at: Instant, key: Option<(&str, &str)>, receipt: &Receipt) -> Result<(), FlowError> {
        use std::sync::atomic::Ordering;
        let receipt = serde_json::to_string(receipt).expect("numbers and text");
        let sweep = self.finished.fetch_add(1, Ordering::Relaxed).is_multiple_of(SWEEP);
        let expired = time::now().0 - KEPT;
        self.store.write(|file| {
            let mut insert = file.prepare("INSERT OR IGNORE INTO events VALUES (?, ?)")?;
            ids.iter().try_for_each(|id| insert.execute(params![id.to_be_bytes(), at.0]).map(drop))?;
            if let Some((client, key)) = key {
                let values = params![receipt, HASHED, self.hashed(client, key)];
                file.execute("UPDATE requests SET receipt = ? WHERE client = ? AND key = ?", values)?;
            }
            self.sweep(file, LOOKED_AT + 2 * ids.len(), expired)?;
            if sweep {
                file.execute("DELETE FROM requests WHERE at < ?", [expired])?;
                file.execute("DELETE FROM sends WHERE at < ?", [expired])?;
                file.execute("DELETE FROM dead_letters WHERE at < ?", [time::text(Instant(time::now().0 - LETTERS_KEPT))])?;
            }
            Ok(())
        })
    }

    /// Remembers when messages were sent.
    pub(super) fn sent(&self, sends: &HashMap<u128, Instant>, now: Instant) -> Result<(), FlowError> {
        if sends.is_empty() {
            return Ok(());
        }
        self.store.write(|file| {
            let mut insert = file.prepare("INSERT OR IGNORE INTO sends VALUES (?, ?, ?)")?;
            sends.iter().try_for_each(|(id, at)| insert.execute(params![id.to_be_bytes(), at.0, now.0]).map(drop))
        })
    }

    /// When messages were sent, of those that are known.
    pub(super) fn sent_at(&self, ids: &[u128]) -> Result<HashMap<u128, Instant>, FlowError> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        self.store.read(|file| {
            let mut find = file.prepare("SELECT sent_at FROM sends WHERE message_id = ?")?;
            let mut found = HashMap::new();
            for id in ids {
                if let Some(at) = find.query_row([id.to_be_bytes()], |row| row.get(0)).optional()? {
                    found.insert(*id, Instant(at));
                }
            }
            Ok(found)
        })
    }

    /// Keeps dead letters, each once.
    pub(super) fn bury(&self, letters: &[Letter], at: Instant) -> Result<(), FlowError> {
        let at = time::text(at);
        self.store.write(|file| {
            let mut insert = file.prepare("INSERT OR IGNORE INTO dead_letters VALUES (?, ?, ?, ?, ?, ?, ?, ?)")?;
            letters.iter().try_for_each(|letter| {
                let Letter { id, provider, event, item, reason, value, universal_id } = letter;
                insert.execute(params![id, at, provider, event, *item as i64, reason, value, universal_id]).map(drop)
            })
        })
    }

    /// How many dead letters there are.
    pub(super) fn letters(&self) -> Result<u64, FlowError> {
        self.store.number("SELECT count(*) FROM dead_letters")
    }

    /// Removes the dead letters of a person, by all ids the person has had.
    pub(super) fn erase_letters(&self, universal_ids: &[String]) -> Result<u64, FlowError> {
        let removed = self.store.write(|file| {
            let mut delete = file.prepare("DELETE FROM dead_letters WHERE universal_id = ?")?;
            universal_ids.iter().try_fold(0, |removed, id| Ok(removed + delete.execute([id])? as u64))
        })?;
        if removed > 0 {
            self.store.forget()?;
        }
        Ok(removed)
    }

    /// Looks at the next ids, `count` of them, and removes those that are older than `expired`.
    fn sweep(&self, file: &Transaction<'_>, count: usize, expired: i64) -> rusqlite::Result<()> {
        let mut last = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = file.prepare("SELECT event_id FROM events WHERE event_id > ? ORDER BY event_id LIMIT 1 OFFSET ?")?;
        let next: Option<Vec<u8>> = next.query_row(params![*last, count as i64 - 1], |row| row.get(0)).optional()?;
        let until = next.as_deref().unwrap_or(&[u8::MAX; 17]);
        file.prepare("DELETE FROM events WHERE event_id > ? AND event_id <= ? AND at < ?")?.execute(params![*last, until, expired])?;
        // After the last id, from the first on.
        *last = next.unwrap_or_default();
        Ok(())
    }
}

/// A seed that nobody gave.
pub(super) fn random() -> Result<u64, FlowError> {
    getrandom::u64().map_err(|error| FlowError::Unavailable(format!("drawing a seed: {error}")))
}

/// Things of which each is held by one thread at a time.
#[derive(Debug)]
struct Held<K> {
    held: Mutex<HashSet<K>>,
    freed: Condvar,
}

impl<K> Default for Held<K> {
    fn default() -> Self {
        Self { held: Mutex::default(), freed: Condvar::new() }
    }
}

/// Holds until it is dropped.
pub(super) struct Holding<'a, K: std::hash::Hash + Eq> {
    of: &'a Held<K>,
    keys: Vec<K>,
}

impl<K: std::hash::Hash + Eq + Clone> Held<K> {
    /// Takes all at once or waits, so that no two threads wait for each other.
    fn hold(&self, keys: Vec<K>) -> Holding<'_, K> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        while keys.iter().any(|key| held.contains(key)) {
            held = self.freed.wait(held).unwrap_or_else(PoisonError::into_inner);
        }
        held.extend(keys.iter().cloned());
        drop(held);
        Holding { of: self, keys }
    }
}

impl<K: std::hash::Hash + Eq> Drop for Holding<'_, K> {
    fn drop(&mut self) {
        let mut held = self.of.held.lock().unwrap_or_else(PoisonError::into_inner);
        for key in &self.keys {
            held.remove(key);
        }
        drop(held);
        self.of.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_are_old_are_removed_and_no_others() {
        let directory = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(directory.path(), &KeyRing::synthetic()).unwrap();
        let now = time::now();
        let all: Vec<u128> = (1..=3_000_u128).map(|number| number.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835)).collect();
        let (old, new) = all.split_at(1_500);
        for (id, at) in old.iter().map(|id| (id, now.plus(-KEPT - DAY))).chain(new.iter().map(|id| (id, now))) {
            ledger.finish(&[*id], at, None, &Receipt::default()).unwrap();
        }
        assert_eq!(ledger.known(&all).unwrap(), new.iter().copied().collect());
    }
}
