//! The table as a SQLite file, with the dead letters beside it.

use super::store::Store;
use crate::address::holds_address;
use crate::error::FlowError;
use crate::event::{COLUMNS, Cell, Event, Fields, Given, OPTIONAL_COLUMNS};
use crate::log::Position;
use crate::table::{DeadLetter, DeadLetters, EventTable, Inserted};
use crate::time;
use populace_core::email::Uuid;
use populace_core::time::Instant;
use populace_io::text::DateText;
use rusqlite::types::{Null, ToSql, ToSqlOutput, Value};
use rusqlite::{Row, Transaction, params};
use std::collections::HashSet;
use std::path::Path;

const SCHEMA_VERSION: u32 = 1;

/// Moments and ids are text, as in JSON: they sort as they should, and SQLite's functions of dates take them.
const SCHEMA: &str = "
    CREATE TABLE email_events (
        event_id TEXT NOT NULL UNIQUE, event_type TEXT NOT NULL, timestamp TEXT NOT NULL, esp TEXT NOT NULL, recipient_id TEXT NOT NULL,
        universal_id TEXT NOT NULL, recipient_email_hash TEXT NOT NULL, campaign_id TEXT NOT NULL, campaign_name TEXT NOT NULL,
        message_id TEXT, subject TEXT, click_url TEXT, bounce_type TEXT, user_agent TEXT, ip_address TEXT, source TEXT NOT NULL,
        metadata TEXT NOT NULL, latency_seconds REAL, send_time TEXT, hour_of_day INTEGER, minute INTEGER, day_of_week INTEGER,
        campaign_type TEXT, payload_size_bytes INTEGER, ingested_at TEXT NOT NULL, machine_open INTEGER,
        attempt INTEGER, smtp_code INTEGER, enhanced_code TEXT, response TEXT, bounce_class TEXT,
        link_index INTEGER
    ) STRICT;
    CREATE INDEX email_events_by_person ON email_events (universal_id, timestamp);
    CREATE TABLE dead_letters (
        topic TEXT NOT NULL, partition INTEGER NOT NULL, offset INTEGER NOT NULL, key BLOB, value BLOB NOT NULL, reason TEXT NOT NULL,
        at TEXT NOT NULL, PRIMARY KEY (topic, partition, offset)
    ) STRICT;
";

/// Columns that tables of before do not have, with their types.
const ADDED: [(&str, &str); OPTIONAL_COLUMNS.len()] = [
    ("machine_open", "INTEGER"),
    ("attempt", "INTEGER"),
    ("smtp_code", "INTEGER"),
    ("enhanced_code", "TEXT"),
    ("response", "TEXT"),
    ("bounce_class", "TEXT"),
    ("link_index", "INTEGER"),
];

/// The [`COLUMNS`] by name.
fn columns() -> String {
    COLUMNS.map(|column| column.name).join(", ")
}

/// The table `email_events` in a file.
#[derive(Debug)]
pub struct EmbeddedTable {
    store: Store,
    insert: String,
}

impl EmbeddedTable {
    /// Opens the table in `directory`, and makes it if there is none.
    ///
    /// # Errors
    /// The file cannot be opened or is of another version.
    pub fn open(directory: &Path) -> Result<Self, FlowError> {
        let store = Store::open(&directory.join("email_events.sqlite"), SCHEMA, SCHEMA_VERSION)?;
        // A table that was made before there was a column gets it.
        store.write(|file| {
            let has = "SELECT count(*) > 0 FROM pragma_table_info('email_events') WHERE name = ?";
            for (column, of) in ADDED {
                if !file.query_row(has, [column], |row| row.get::<_, bool>(0))? {
                    file.execute_batch(&format!("ALTER TABLE email_events ADD COLUMN {column} {of}"))?;
                }
            }
            Ok(())
        })?;
        let insert = format!("INSERT OR IGNORE INTO email_events ({}) VALUES ({})", columns(), vec!["?"; COLUMNS.len()].join(", "));
        Ok(Self { store, insert })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        self.store.path()
    }

    /// The events as JSON objects in the order of person and time, `most` at a time, from the one after `after` on: what a page ended
    /// with.
    ///
    /// # Errors
    /// The file is not to be read.
    pub fn page(&self, after: &PageEnd, most: usize) -> Result<(Vec<Event<'static>>, PageEnd), FlowError> {
        let query = "WHERE (universal_id, timestamp, event_id) > (?, ?, ?) ORDER BY universal_id, timestamp, event_id LIMIT ?";
        self.select(query, params![after.0, after.1, after.2, most as i64])
    }

    /// The events of some ids of a person, in the order of time.
    ///
    /// # Errors
    /// The file is not to be read.
    pub fn of_person(&self, universal_id: &str) -> Result<Vec<Event<'static>>, FlowError> {
        Ok(self.select("WHERE universal_id = ? ORDER BY timestamp, event_id", [universal_id])?.0)
    }

    /// The moment of the last event there is.
    ///
    /// # Errors
    /// The file is not to be read.
    pub fn last(&self) -> Result<Option<Instant>, FlowError> {
        let last =
            self.store.read(|file| file.query_row("SELECT max(timestamp) FROM email_events", [], |row| row.get::<_, Option<String>>(0)))?;
        Ok(last.and_then(|text| time::parse(&text)))
    }

    fn select(&self, which: &str, values: impl rusqlite::Params) -> Result<(Vec<Event<'static>>, PageEnd), FlowError> {
        let rows = self.store.read(|file| {
            let mut select = file.prepare(&format!("SELECT {} FROM email_events {which}", columns()))?;
            select.query_map(values, fields)?.collect::<rusqlite::Result<Vec<_>>>()
        })?;
        let mut end = PageEnd::default();
        let mut events = Vec::with_capacity(rows.len());
        for row in rows {
            let event = Event::from_fields(row).map_err(|problems| {
                let path = self.store.path().display();
                FlowError::Refused(format!("{path}: email_events holds a row that is not an event: {}", crate::event::reasons(&problems)))
            })?;
            events.push(event);
        }
        if let Some(event) = events.last() {
            end = PageEnd::of(event);
        }
        Ok((events, end))
    }

    /// Removes what dead letters hold of a person: those whose key is one of the ids.
    ///
    /// # Errors
    /// The file is not to be written.
    pub fn erase_letters(&self, universal_ids: &[String]) -> Result<u64, FlowError> {
        let removed = self.store.write(|file| {
            let mut delete = file.prepare("DELETE FROM dead_letters WHERE key = ?")?;
            universal_ids.iter().try_fold(0, |removed, id| Ok(removed + delete.execute([id.as_bytes()])? as u64))
        })?;
        self.store.forget()?;
        Ok(removed)
    }
}

/// Where a page ended: person, time and id of its last event. The default is before all events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageEnd(pub(crate) String, pub(crate) String, pub(crate) String);

impl PageEnd {
    /// A page that ended before the first event of a person.
    pub(crate) fn before(universal_id: &str) -> Self {
        Self(universal_id.to_owned(), "1970-01-01T00:00:00.000Z".to_owned(), String::new())
    }

    /// A page that ended with this event.
    pub(crate) fn of(event: &Event<'_>) -> Self {
        Self(event.universal_id.to_string(), time::text(event.timestamp), event.event_id.to_string())
    }
}

/// A row as the fields it was made from.
fn fields(row: &Row<'_>) -> rusqlite::Result<Fields<'static>> {
    let mut fields = Fields::default();
    for column in 0..COLUMNS.len() {
        let value = match row.get::<_, Value>(column)? {
            Value::Null | Value::Blob(_) => Given::Null,
            Value::Integer(number) => Given::Whole(number),
            Value::Real(number) => Given::Real(number),
            Value::Text(text) => Given::Text(text.into()),
        };
        fields.set(column, value);
    }
    fields.parse_metadata();
    Ok(fields)
}

fn insert(file: &Transaction<'_>, statement: &str, events: &[Event<'_>], now: &str) -> rusqlite::Result<u64> {
    let mut insert = file.prepare(statement)?;
    let (mut dates, mut text) = (DateText::default(), Vec::new());
    let mut stored = 0;
    for event in events {
        for (parameter, cell) in (1..).zip(event.cells()) {
            match cell {
                Cell::Null if parameter == COLUMNS.len() => insert.raw_bind_parameter(parameter, now)?,
                Cell::Null => insert.raw_bind_parameter(parameter, Null)?,
                Cell::Text(text) => insert.raw_bind_parameter(parameter, text)?,
                Cell::Whole(number) => insert.raw_bind_parameter(parameter, number)?,
                Cell::Real(number) => insert.raw_bind_parameter(parameter, number)?,
                Cell::Flag(is) => insert.raw_bind_parameter(parameter, is)?,
                Cell::Id(_) | Cell::Moment(_) | Cell::Object(_) => {
                    text.clear();
                    cell.append_text(&mut dates, &mut text);
                    insert.raw_bind_parameter(parameter, std::str::from_utf8(&text)?)?;
                }
            }
        }
        stored += insert.raw_execute()? as u64;
    }
    Ok(stored)
}

/// An id as the table writes it.
struct Written<'a>(&'a Uuid);

impl ToSql for Written<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.to_string().into())
    }
}

impl EventTable for EmbeddedTable {
    /// The ids alone say what is there: a log that was made anew has the same tokens for other events.
    fn insert(&self, _token: &str, events: &[Event<'_>]) -> Result<Inserted, FlowError> {
        let now = time::text(time::now());
        let stored = self.store.write(|file| insert(file, &self.insert, events, &now))?;
        Ok(Inserted { stored, known: events.len() as u64 - stored, erased: 0 })
    }

    fn known(&self, ids: &[Uuid]) -> Result<HashSet<Uuid>, FlowError> {
        self.store.read(|file| {
            let mut find = file.prepare("SELECT 1 FROM email_events WHERE event_id = ?")?;
            let mut known = HashSet::new();
            for id in ids {
                if find.exists([Written(id)])? {
                    known.insert(*id);
                }
            }
            Ok(known)
        })
    }

    fn count(&self) -> Result<u64, FlowError> {
        self.store.number("SELECT count(*) FROM email_events")
    }

    fn erase(&self, universal_ids: &[String]) -> Result<u64, FlowError> {
        let removed = self.store.write(|file| {
            let mut delete = file.prepare("DELETE FROM email_events WHERE universal_id = ?")?;
            universal_ids.iter().try_fold(0, |removed, id| Ok(removed + delete.execute([id])? as u64))
        })?;
        self.store.forget()?;
        Ok(removed)
    }

    fn ready(&self) -> Result<(), FlowError> {
        self.store.ready()
    }
}

impl DeadLetters for EmbeddedTable {
    fn put(&self, letters: &[DeadLetter]) -> Result<u64, FlowError> {
        let now = time::text(time::now());
        self.store.write(|file| {
            let mut insert = file.prepare("INSERT OR IGNORE INTO dead_letters VALUES (?, ?, ?, ?, ?, ?, ?)")?;
            letters.iter().try_fold(0, |kept, letter| {
                debug_assert!(!holds_address(&letter.reason), "reasons hold no value");
                let Position { partition, offset } = letter.position;
                let values = params![letter.topic, partition, offset, letter.key, letter.value, letter.reason, now];
                Ok(kept + insert.execute(values)? as u64)
            })
        })
    }

    fn count(&self) -> Result<u64, FlowError> {
        self.store.number("SELECT count(*) FROM dead_letters")
    }
}
