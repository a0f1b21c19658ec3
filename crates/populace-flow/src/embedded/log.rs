//! The log as a SQLite file: one topic.

use super::store::Store;
use crate::error::FlowError;
use crate::log::{Committed, Consumer, Message, Position, Producer, Record};
use crate::time;
use rusqlite::params;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A record's number in the file is its partition times this plus its offset.
const OFFSETS: i64 = 1 << 40;
const SCHEMA_VERSION: u32 = 1;
/// How long a consumer sleeps before it looks for what another process may have published.
const GLANCE: Duration = Duration::from_millis(50);

const SCHEMA: &str = "
    CREATE TABLE partitions (partition INTEGER PRIMARY KEY, next INTEGER NOT NULL) STRICT;
    CREATE TABLE records (place INTEGER PRIMARY KEY, key BLOB, value BLOB, at INTEGER NOT NULL) STRICT;
    CREATE TABLE progress (
        consumers TEXT NOT NULL, partition INTEGER NOT NULL, offset INTEGER NOT NULL, pending_end INTEGER,
        PRIMARY KEY (consumers, partition)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE owners (consumers TEXT PRIMARY KEY, generation INTEGER NOT NULL) STRICT, WITHOUT ROWID;
";

/// A topic in a file. Cheap to clone: all clones are the same log.
#[derive(Clone, Debug)]
pub struct EmbeddedLog {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    topic: String,
    partitions: i32,
    writer: Store,
    /// How often something was published by this process.
    published: Mutex<u64>,
    changed: Condvar,
}

impl EmbeddedLog {
    /// Opens the topic `topic` in `directory`, and makes it with so many partitions (1 or more) if there is none.
    ///
    /// # Errors
    /// The file cannot be opened or is of another version.
    pub fn open(directory: &Path, topic: &str, partitions: i32) -> Result<Self, FlowError> {
        let writer = Store::open(&directory.join(format!("{topic}.sqlite")), SCHEMA, SCHEMA_VERSION)?;
        let partitions = writer.write(|file| {
            let there: i32 = file.query_row("SELECT count(*) FROM partitions", [], |row| row.get(0))?;
            if there > 0 {
                return Ok(there);
            }
            let mut insert = file.prepare("INSERT INTO partitions VALUES (?, 0)")?;
            (0..partitions.max(1)).try_for_each(|partition| insert.execute([partition]).map(drop))?;
            Ok(partitions.max(1))
        })?;
        let shared = Shared { topic: topic.to_owned(), partitions, writer, published: Mutex::new(0), changed: Condvar::new() };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// A consumer of the group `consumers`. It takes over all partitions; one that was there before finds itself superseded.
    ///
    /// # Errors
    /// The file is not to be read.
    pub fn consumer(&self, consumers: &str) -> Result<EmbeddedConsumer, FlowError> {
        let store = Store::open(self.shared.writer.path(), SCHEMA, SCHEMA_VERSION)?;
        let generation = store.write(|file| {
            file.execute("INSERT INTO owners VALUES (?, 1) ON CONFLICT DO UPDATE SET generation = generation + 1", [consumers])?;
            file.query_row("SELECT generation FROM owners WHERE consumers = ?", [consumers], |row| row.get(0))
        })?;
        let mut consumer =
            EmbeddedConsumer { log: self.clone(), store, consumers: consumers.to_owned(), generation, next: BTreeMap::new(), turn: 0 };
        for partition in 0..self.shared.partitions {
            let offset = consumer.committed(partition)?.offset;
            consumer.next.insert(partition, offset);
        }
        Ok(consumer)
    }

    /// The topic.
    pub fn topic(&self) -> &str {
        &self.shared.topic
    }

    /// How many records were ever published.
    ///
    /// # Errors
    /// The file is not to be read.
    pub fn published(&self) -> Result<u64, FlowError> {
        self.shared.writer.number("SELECT sum(next) FROM partitions")
    }

    /// How many records a group has not dealt with yet.
    ///
    /// # Errors
    /// The file is not to be read.
    pub fn lag(&self, consumers: &str) -> Result<u64, FlowError> {
        let query = "SELECT sum(next - ifnull(offset, 0)) FROM partitions
            LEFT JOIN progress ON progress.partition = partitions.partition AND consumers = ?";
        Ok(self.shared.writer.first(query, [consumers], |row| row.get::<_, i64>(0))?.unwrap_or(0) as u64)
    }

    /// Empties every record with one of the keys, and returns how many there were. Their offsets stay, so that the bounds of no batch move.
    ///
    /// # Errors
    /// The file is not to be written.
    pub fn erase(&self, keys: &[&[u8]]) -> Result<u64, FlowError> {
        let erased = self.shared.writer.write(|file| {
            let mut blank = file.prepare("UPDATE records SET key = NULL, value = NULL WHERE key = ?")?;
            keys.iter().try_fold(0, |erased, key| Ok(erased + blank.execute([key])? as u64))
        })?;
        self.shared.writer.forget()?;
        Ok(erased)
    }

    /// Removes records that every group has dealt with and that are older than `age`, and returns how many.
    ///
    /// # Errors
    /// The file is not to be written.
    pub fn trim(&self, age: Duration) -> Result<u64, FlowError> {
        let before = time::now().0.saturating_sub(i64::try_from(age.as_micros()).unwrap_or(i64::MAX));
        self.shared.writer.write(|file| {
            let mut bounds = file.prepare("SELECT partition, min(offset) FROM progress GROUP BY partition")?;
            let bounds: Vec<(i64, i64)> = bounds.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
            let mut delete = file.prepare("DELETE FROM records WHERE place >= ?1 AND place < ?1 + ?2 AND at < ?3")?;
            bounds
                .iter()
                .try_fold(0, |removed, (partition, offset)| Ok(removed + delete.execute([partition * OFFSETS, *offset, before])? as u64))
        })
    }

    /// The partition of a key: FNV-1a, so that it is the same in every process.
    fn partition(&self, key: &[u8]) -> i32 {
        let hash = key.iter().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3));
        (hash % self.shared.partitions as u64) as i32
    }

    fn publications(&self) -> u64 {
        *self.shared.published.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something is published after the publication `seen`, or for `longest`.
    fn wait(&self, seen: u64, longest: Duration) {
        let published = self.shared.published.lock().unwrap_or_else(PoisonError::into_inner);
        // Woken without cause, a consumer looks once more than it had to.
        drop(self.shared.changed.wait_timeout_while(published, longest, |published| *published == seen));
    }
}

impl Producer for EmbeddedLog {
    fn publish(&self, records: &[Record]) -> Result<(), FlowError> {
        let at = time::now().0;
        self.shared.writer.write(|file| {
            let mut next = vec![0; self.shared.partitions as usize];
            let mut rows = file.prepare("SELECT partition, next FROM partitions")?;
            for row in rows.query_map([], |row| Ok((row.get::<_, i32>(0)?, row.get::<_, i64>(1)?)))? {
                let (partition, offset) = row?;
                next[partition as usize] = offset;
            }
            let mut insert = file.prepare("INSERT INTO records VALUES (?, ?, ?, ?)")?;
            for record in records {
                let partition = self.partition(&record.key);
                let offset = next[partition as usize];
                next[partition as usize] += 1;
                insert.execute(params![i64::from(partition) * OFFSETS + offset, record.key, record.value, at])?;
            }
            let mut update = file.prepare("UPDATE partitions SET next = ? WHERE partition = ?")?;
            next.iter().enumerate().try_for_each(|(partition, next)| update.execute(params![next, partition as i64]).map(drop))
        })?;
        *self.shared.published.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.shared.changed.notify_all();
        Ok(())
    }

    fn ready(&self) -> Result<(), FlowError> {
        self.shared.writer.ready()
    }
}

/// The one consumer of a group.
#[derive(Debug)]
pub struct EmbeddedConsumer {
    log: EmbeddedLog,
    store: Store,
    consumers: String,
    generation: i64,
    /// The next offset of each partition.
    next: BTreeMap<i32, i64>,
    /// The partition that is read first, so that none waits for ever.
    turn: i32,
}

impl EmbeddedConsumer {
    fn superseded(&self) -> FlowError {
        FlowError::Superseded(format!("another consumer of the group {} has taken over {}", self.consumers, self.log.topic()))
    }

    fn read(&mut self, most: usize) -> Result<Vec<Message>, FlowError> {
        let (count, generation) = (self.log.shared.partitions, self.generation);
        let (next, turn, consumers) = (&mut self.next, self.turn, &self.consumers);
        let read = self.store.read(|file| {
            let owner: i64 = file.query_row("SELECT generation FROM owners WHERE consumers = ?", [consumers], |row| row.get(0))?;
            if owner != generation {
                return Ok(None);
            }
            let mut rows = file.prepare("SELECT place, key, value FROM records WHERE place >= ? AND place < ? ORDER BY place LIMIT ?")?;
            let mut messages = Vec::new();
            for partition in (0..count).map(|step| (turn + step) % count) {
                let first = i64::from(partition) * OFFSETS;
                let from = next.get(&partition).copied().unwrap_or(0);
                let found = rows.query_map([first + from, first + OFFSETS, (most - messages.len()) as i64], |row| {
                    let position = Position { partition, offset: row.get::<_, i64>(0)? - first };
                    Ok(Message { position, key: row.get(1)?, value: row.get(2)? })
                })?;
                for message in found {
                    let message = message?;
                    next.insert(partition, message.position.offset + 1);
                    messages.push(message);
                }
                if messages.len() == most {
                    break;
                }
            }
            Ok(Some(messages))
        })?;
        self.turn = (turn + 1) % count;
        read.ok_or_else(|| self.superseded())
    }
}

impl Consumer for EmbeddedConsumer {
    fn topic(&self) -> &str {
        self.log.topic()
    }

    fn partitions(&mut self) -> Result<Vec<i32>, FlowError> {
        Ok((0..self.log.shared.partitions).collect())
    }

    fn assigned(&mut self) -> Result<Vec<i32>, FlowError> {
        self.partitions()
    }

    fn poll(&mut self, most: usize, wait: Duration) -> Result<Vec<Message>, FlowError> {
        let until = Instant::now() + wait;
        loop {
            let seen = self.log.publications();
            let messages = self.read(most)?;
            let left = until.saturating_duration_since(Instant::now());
            if !messages.is_empty() || left.is_zero() || most == 0 {
                return Ok(messages);
            }
            self.log.wait(seen, left.min(GLANCE));
        }
    }

    fn exhausted(&mut self, partition: i32) -> Result<bool, FlowError> {
        let first = i64::from(partition) * OFFSETS;
        let from = first + self.next.get(&partition).copied().unwrap_or(0);
        let found =
            self.store.first("SELECT 1 FROM records WHERE place >= ? AND place < ? LIMIT 1", [from, first + OFFSETS], |_| Ok(()))?;
        Ok(found.is_none())
    }

    fn seek(&mut self, partition: i32, offset: i64) -> Result<(), FlowError> {
        if !(0..self.log.shared.partitions).contains(&partition) || !(0..OFFSETS).contains(&offset) {
            return Err(FlowError::Refused(format!("{}: there is no offset {offset} of partition {partition}", self.log.topic())));
        }
        self.next.insert(partition, offset);
        Ok(())
    }

    fn committed(&mut self, partition: i32) -> Result<Committed, FlowError> {
        let query = "SELECT offset, pending_end FROM progress WHERE consumers = ? AND partition = ?";
        let of = |row: &rusqlite::Row<'_>| Ok(Committed { offset: row.get(0)?, pending_end: row.get(1)? });
        Ok(self.store.first(query, params![self.consumers, partition], of)?.unwrap_or(Committed { offset: 0, pending_end: None }))
    }

    fn commit(&mut self, partition: i32, offset: i64, pending_end: Option<i64>) -> Result<(), FlowError> {
        let query = "INSERT INTO progress SELECT ?1, ?2, ?3, ?4 FROM owners WHERE consumers = ?1 AND generation = ?5
            ON CONFLICT DO UPDATE SET offset = ?3, pending_end = ?4";
        let changed =
            self.store.write(|file| file.execute(query, params![self.consumers, partition, offset, pending_end, self.generation]))?;
        if changed == 1 { Ok(()) } else { Err(self.superseded()) }
    }

    fn end(&mut self, partition: i32) -> Result<i64, FlowError> {
        let found = self.store.first("SELECT next FROM partitions WHERE partition = ?", [partition], |row| row.get(0))?;
        found.ok_or_else(|| FlowError::Refused(format!("{}: there is no partition {partition}", self.log.topic())))
    }
}
