//! ClickHouse as the table of events.

use crate::error::FlowError;
use crate::event::Event;
use crate::table::{EventTable, Inserted};
use crate::time::MILLISECOND;
use arrow_array::builder::{FixedSizeBinaryBuilder, Float64Builder, Int16Builder, Int32Builder, TimestampMicrosecondBuilder};
use arrow_array::{ArrayRef, RecordBatch, StringArray};
use data_encoding::HEXLOWER;
use populace_core::email::Uuid;
use populace_core::time::Instant;
use populace_io::sinks::Target;
use populace_io::sinks::clickhouse::{EMAIL_ERASURES, EMAIL_ERASURES_SQL, EMAIL_EVENTS, EMAIL_EVENTS_SQL, Server, columns_of, quoted};
use sha2::{Digest, Sha256};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// How long one request may take: an insert may be slow.
const REQUEST: Duration = Duration::from_secs(30);
/// How long a request that failed is tried again here: the consumer tries again by itself, and tells what it waits for.
const TRIES: Duration = Duration::from_secs(2);
/// How long a server may take to show that it is there.
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);

/// The table `email_events` of a server.
pub struct ClickHouseTable {
    server: Server,
    /// The same, asked only whether it is there: it answers soon or not at all, however long an insert may take.
    pulse: Server,
}

impl ClickHouseTable {
    /// Opens the table, and makes database and table if there are none.
    ///
    /// # Errors
    /// The server is not to be reached, refuses the login, or has a table of another shape.
    pub fn open(target: &Target) -> Result<Self, FlowError> {
        let pulse = Server::open(target, SIGN_OF_LIFE)?.with_tries_within(TRIES);
        let server = Server::open(target, REQUEST)?.with_tries_within(TRIES);
        server.create_database()?;
        for (name, definition) in [(EMAIL_EVENTS, EMAIL_EVENTS_SQL), (EMAIL_ERASURES, EMAIL_ERASURES_SQL)] {
            server.ensure_table(name, definition, &columns_of(definition))?;
        }
        Ok(Self { server, pulse })
    }

    fn number(&self, sql: &str) -> Result<u64, FlowError> {
        let answer = self.server.run(sql)?;
        answer.trim().parse().map_err(|_| FlowError::Refused(format!("{}: the answer to `{sql}` is no number", self.server.shown())))
    }

    /// Which of some events are in the table, and maybe others: by person and time, which the table is sorted by. In a batch that is new
    /// those persons have little else in that time, so that to ask for all of it is far less work than to send every id; if it is more
    /// than the batch could be, the ids are sent.
    fn known_of(&self, events: &[&Event]) -> Result<HashSet<Uuid>, FlowError> {
        let persons: HashSet<&str> = events.iter().map(|event| event.universal_id.as_str()).collect();
        let persons: Vec<String> = persons.into_iter().map(quoted).collect();
        let times = || events.iter().map(|event| event.timestamp.0.div_euclid(MILLISECOND));
        let at = |moment: Option<i64>| format!("fromUnixTimestamp64Milli({}, 'UTC')", moment.unwrap_or_default());
        let (first, last) = (at(times().min()), at(times().max()));
        let theirs = format!("universal_id IN ({}) AND timestamp BETWEEN {first} AND {last}", persons.join(","));
        let most = 2 * events.len();
        let known = self.ids(&format!("SELECT event_id FROM {EMAIL_EVENTS} WHERE {theirs} LIMIT {}", most + 1))?;
        if known.len() > most {
            let sql =
                format!("SELECT event_id FROM {EMAIL_EVENTS} WHERE {theirs} AND event_id IN ({})", listed(events, |event| event.event_id));
            return Ok(self.ids(&sql)?.into_iter().collect());
        }
        Ok(known.into_iter().collect())
    }

    /// Until when events of some persons were erased, by their ids: of those alone of whom any were. Microseconds.
    fn erased_of<'e>(&self, events: &[&'e Event]) -> Result<HashMap<&'e str, i64>, FlowError> {
        let persons: HashMap<String, &str> =
            events.iter().map(|event| (masked(&event.universal_id), event.universal_id.as_str())).collect();
        let listed: Vec<&str> = persons.keys().map(String::as_str).collect();
        let answer = self.server.run(&format!(
            "SELECT person, toUnixTimestamp64Micro(max(until)) FROM {EMAIL_ERASURES} \
             WHERE person IN (SELECT arrayJoin(splitByChar(',', '{}'))) GROUP BY person",
            listed.join(",")
        ))?;
        let wrong = |line: &str| FlowError::Refused(format!("{}: `{line}` is no erasure", self.server.shown()));
        let until = |line: &str| {
            let (person, until) = line.split_once('\t')?;
            Some((*persons.get(person)?, until.parse().ok()?))
        };
        answer.lines().map(|line| until(line).ok_or_else(|| wrong(line))).collect()
    }

    fn ids(&self, sql: &str) -> Result<Vec<Uuid>, FlowError> {
        let wrong = |line: &str| FlowError::Refused(format!("{}: `{line}` is no UUID", self.server.shown()));
        self.server.run(sql)?.lines().map(|line| line.parse().map_err(|_| wrong(line))).collect()
    }
}

/// An id as erasures have it.
fn masked(universal_id: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(universal_id.as_bytes()))
}

/// Ids as a subquery: one long text, which the server reads several times faster than a list of so many values.
fn listed<T>(items: &[T], id: impl Fn(&T) -> Uuid) -> String {
    let ids: Vec<String> = items.iter().map(|item| id(item).to_string()).collect();
    format!("SELECT toUUID(arrayJoin(splitByChar(',', '{}')))", ids.join(","))
}

impl EventTable for ClickHouseTable {
    fn insert(&self, token: &str, events: &[Event]) -> Result<Inserted, FlowError> {
        self.ready()?;
        let mut seen = HashSet::with_capacity(events.len());
        let mut new: Vec<&Event> = events.iter().filter(|event| seen.insert(event.event_id)).collect();
        if !new.is_empty() {
            let known = self.known_of(&new)?;
            new.retain(|event| !known.contains(&event.event_id));
        }
        let fresh = new.len();
        if !new.is_empty() {
            let until = self.erased_of(&new)?;
            new.retain(|event| until.get(event.universal_id.as_str()).is_none_or(|until| event.timestamp.0 > *until));
        }
        let erased = (fresh - new.len()) as u64;
        if !new.is_empty() {
            self.server.insert(EMAIL_EVENTS, token, &[rows(&new)?])?;
        }
        let stored = new.len() as u64;
        Ok(Inserted { stored, known: events.len() as u64 - stored - erased, erased })
    }

    fn known(&self, ids: &[Uuid]) -> Result<HashSet<Uuid>, FlowError> {
        if ids.is_empty() {
            return Ok(HashSet::new());
        }
        let sql = format!("SELECT DISTINCT event_id FROM {EMAIL_EVENTS} WHERE event_id IN ({})", listed(ids, |id| *id));
        Ok(self.ids(&sql)?.into_iter().collect())
    }

    fn count(&self) -> Result<u64, FlowError> {
        self.number(&format!("SELECT count() FROM {EMAIL_EVENTS} FINAL"))
    }

    fn erase(&self, universal_ids: &[String]) -> Result<u64, FlowError> {
        if universal_ids.is_empty() {
            return Ok(0);
        }
        // First, so that nothing that is gone comes again.
        let rows: Vec<String> = universal_ids.iter().map(|id| format!("({}, now64(3, 'UTC'))", quoted(&masked(id)))).collect();
        self.server.run(&format!("INSERT INTO {EMAIL_ERASURES} (person, until) VALUES {}", rows.join(", ")))?;
        let persons: Vec<String> = universal_ids.iter().map(|id| quoted(id)).collect();
        let theirs = format!("universal_id IN ({})", persons.join(","));
        let count = self.number(&format!("SELECT count() FROM {EMAIL_EVENTS} FINAL WHERE {theirs}"))?;
        self.server.run(&format!("ALTER TABLE {EMAIL_EVENTS} DELETE WHERE {theirs} SETTINGS mutations_sync = 2"))?;
        Ok(count)
    }

    fn ready(&self) -> Result<(), FlowError> {
        self.pulse.run("SELECT 1").map(drop).map_err(FlowError::from)
    }
}

/// Events as columns; `ingested_at` is the server's to give.
fn rows(events: &[&Event]) -> Result<RecordBatch, FlowError> {
    fn text<'e>(events: &'e [&Event], of: impl Fn(&'e Event) -> &'e str) -> ArrayRef {
        Arc::new(StringArray::from_iter_values(events.iter().map(|event| of(event))))
    }
    fn maybe<'e>(events: &'e [&Event], of: impl Fn(&'e Event) -> &'e Option<String>) -> ArrayRef {
        Arc::new(events.iter().map(|event| of(event).as_deref()).collect::<StringArray>())
    }
    let moments = |of: &dyn Fn(&Event) -> Option<Instant>| -> ArrayRef {
        let mut builder = TimestampMicrosecondBuilder::with_capacity(events.len()).with_timezone("UTC");
        for event in events {
            builder.append_option(of(event).map(|at| at.0));
        }
        Arc::new(builder.finish())
    };
    let ids = |of: &dyn Fn(&Event) -> Option<Uuid>| -> ArrayRef {
        let mut builder = FixedSizeBinaryBuilder::with_capacity(events.len(), 16);
        for event in events {
            match of(event) {
                // Sixteen bytes fit into sixteen.
                Some(id) => builder.append_value(id.to_u128().to_be_bytes()).unwrap_or_default(),
                None => builder.append_null(),
            }
        }
        Arc::new(builder.finish())
    };
    let clock = |part: usize| -> ArrayRef {
        let mut builder = Int16Builder::with_capacity(events.len());
        for event in events {
            builder.append_option(event.send_clock().map(|clock| clock[part] as i16));
        }
        Arc::new(builder.finish())
    };
    let metadata = events.iter().map(|event| serde_json::Value::Object(event.metadata.clone()).to_string());
    let mut latency = Float64Builder::with_capacity(events.len());
    let mut size = Int32Builder::with_capacity(events.len());
    for event in events {
        latency.append_option(event.latency_seconds());
        size.append_option(event.payload_size_bytes);
    }
    let columns: [(&str, ArrayRef); 24] = [
        ("event_id", ids(&|event| Some(event.event_id))),
        ("event_type", text(events, |event| event.event_type.name())),
        ("timestamp", moments(&|event| Some(event.timestamp))),
        ("esp", text(events, |event| &event.esp)),
        ("recipient_id", text(events, |event| &event.recipient_id)),
        ("universal_id", text(events, |event| &event.universal_id)),
        ("recipient_email_hash", text(events, |event| &event.recipient_email_hash)),
        ("campaign_id", text(events, |event| &event.campaign_id)),
        ("campaign_name", text(events, |event| &event.campaign_name)),
        ("message_id", ids(&|event| event.message_id)),
        ("subject", maybe(events, |event| &event.subject)),
        ("click_url", maybe(events, |event| &event.click_url)),
        ("bounce_type", maybe(events, |event| &event.bounce_type)),
        ("user_agent", maybe(events, |event| &event.user_agent)),
        ("ip_address", maybe(events, |event| &event.ip_address)),
        ("source", text(events, |event| &event.source)),
        ("metadata", Arc::new(StringArray::from_iter_values(metadata))),
        ("latency_seconds", Arc::new(latency.finish())),
        ("send_time", moments(&|event| event.send_time)),
        ("hour_of_day", clock(0)),
        ("minute", clock(1)),
        ("day_of_week", clock(2)),
        ("campaign_type", maybe(events, |event| &event.campaign_type)),
        ("payload_size_bytes", Arc::new(size.finish())),
    ];
    RecordBatch::try_from_iter(columns).map_err(|error| FlowError::Refused(format!("events as columns: {error}")))
}
