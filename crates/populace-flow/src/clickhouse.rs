//! ClickHouse as the table of events.

use crate::error::FlowError;
use crate::event::{COLUMNS, Cell, Event};
use crate::table::{EventTable, Inserted};
use crate::time::MILLISECOND;
use arrow_array::builder::{
    BooleanBuilder, FixedSizeBinaryBuilder, Float64Builder, Int16Builder, Int32Builder, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow_array::{ArrayRef, DictionaryArray, RecordBatch};
use data_encoding::HEXLOWER;
use populace_core::email::Uuid;
use populace_io::sinks::Target;
use populace_io::sinks::clickhouse::{Server, columns_of, quoted};
use populace_io::table::{Column, Kind};
use populace_io::tables::email::{EVENTS_SQL as EMAIL_EVENTS_SQL, EVENTS_TABLE as EMAIL_EVENTS};
use populace_io::text::append_uuid;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// Who was erased, and until when.
const EMAIL_ERASURES: &str = "email_erasures";
const EMAIL_ERASURES_SQL: &str = include_str!("email_erasures.sql");

/// How long one request may take: an insert may be slow.
const REQUEST: Duration = Duration::from_secs(30);
/// How long a request that failed is tried again here: the consumer tries again by itself, and tells what it waits for.
const TRIES: Duration = Duration::from_secs(2);
/// How long a server may take to show that it is there.
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);

/// The projection of a table of events that ids are looked for in, and its order: that of time, for ids of version 7.
const PROJECTION: &str = "event_ids";
const ORDER: &str = "toUInt128(event_id)";
/// The parts of the table of events.
const PARTS: &str = "database = currentDatabase() AND table = 'email_events' AND active AND rows > 0";

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
        let table = Self { server, pulse };
        table.ensure_projection()?;
        Ok(table)
    }

    /// A table that was made before there was the projection of ids gets it. Until ClickHouse has built it, which it does by itself, the
    /// ids of older parts are read as a whole: slower, and as right.
    fn ensure_projection(&self) -> Result<(), FlowError> {
        let of = format!("database = currentDatabase() AND table = '{EMAIL_EVENTS}'");
        let has = format!("SELECT count() FROM system.projections WHERE {of} AND name = '{PROJECTION}'");
        if self.number(&has)? == 0 {
            let settings = "deduplicate_merge_projection_mode = 'rebuild', enable_block_number_column = 1";
            self.server.run(&format!("ALTER TABLE {EMAIL_EVENTS} MODIFY SETTING {settings}"))?;
            let by = format!("{PROJECTION} (SELECT event_id ORDER BY {ORDER})");
            self.server.run(&format!("ALTER TABLE {EMAIL_EVENTS} ADD PROJECTION IF NOT EXISTS {by}"))?;
        }
        let built = format!("SELECT parent_name FROM system.projection_parts WHERE {of} AND active AND name = '{PROJECTION}'");
        let building = format!("SELECT count() FROM system.mutations WHERE {of} AND NOT is_done AND command LIKE '%{PROJECTION}%'");
        let left =
            format!("SELECT count() FROM system.parts WHERE {of} AND active AND rows > 0 AND name NOT IN ({built}) AND ({building}) = 0");
        if self.number(&left)? > 0 {
            self.server.run(&format!("ALTER TABLE {EMAIL_EVENTS} MATERIALIZE PROJECTION {PROJECTION} SETTINGS mutations_sync = 0"))?;
        }
        Ok(())
    }

    fn number(&self, sql: &str) -> Result<u64, FlowError> {
        let answer = self.server.run(sql)?;
        answer.trim().parse().map_err(|_| FlowError::Refused(format!("{}: the answer to `{sql}` is not a number", self.server.shown())))
    }

    /// Which ids are in the table, and those of them that are there more than once.
    fn find<'i>(&self, ids: impl ExactSizeIterator<Item = &'i Uuid>) -> Result<(HashSet<Uuid>, HashSet<Uuid>), FlowError> {
        let (mut known, mut twice) = (HashSet::new(), HashSet::new());
        if ids.len() > 0 {
            let answer =
                self.server.run(&format!("SELECT event_id, count() FROM {EMAIL_EVENTS} WHERE {} GROUP BY event_id", among(ids)))?;
            for line in answer.lines() {
                let row = line.split_once('\t').and_then(|(id, count)| Some((id.parse().ok()?, count)));
                let (id, count) = row.ok_or_else(|| self.no_row(line))?;
                known.insert(id);
                if count != "1" {
                    twice.insert(id);
                }
            }
        }
        Ok((known, twice))
    }

    /// Whether nobody but an insert of so many rows has added any since the block `before`.
    fn was_alone(&self, before: u64, rows: usize) -> Result<bool, FlowError> {
        let sql = format!("SELECT count(), sum(rows) FROM system.parts WHERE {PARTS} AND max_block_number > {before}");
        Ok(self.server.run(&sql)?.trim_end() == format!("1\t{rows}"))
    }

    /// Two consumers that did not see each other's rows have stored the same ids: the row that was first stays. Takes away those later
    /// rows that `takes` says, by person and moment in milliseconds, and returns how many there were. The consumer of another row takes
    /// that away by itself.
    fn settle(&self, ids: &HashSet<Uuid>, takes: impl Fn(Uuid, &str, i64) -> bool) -> Result<u64, FlowError> {
        if ids.is_empty() {
            return Ok(0);
        }
        let row = "event_id, _block_number, universal_id, toUnixTimestamp64Milli(timestamp)";
        let answer = self.server.run(&format!("SELECT DISTINCT {row} FROM {EMAIL_EVENTS} WHERE {} ORDER BY {row}", among(ids.iter())))?;
        let rows = answer.lines().map(|line| cells(line).ok_or_else(|| self.no_row(line))).collect::<Result<Vec<_>, _>>()?;
        let later = rows.windows(2).filter(|pair| pair[0].0 == pair[1].0).map(|pair| pair[1]);
        let taken: Vec<String> = later
            .filter(|(id, _, person, at)| takes(*id, person, *at))
            .map(|(id, block, person, at)| format!("(toUUID('{id}'), {block}, {}, {at})", quoted(person)))
            .collect();
        if !taken.is_empty() {
            let taken = taken.join(", ");
            self.server.run(&format!("ALTER TABLE {EMAIL_EVENTS} DELETE WHERE ({row}) IN ({taken}) SETTINGS mutations_sync = 2"))?;
        }
        Ok(taken.len() as u64)
    }

    /// Until when events of some persons were erased, by their ids: of those alone of whom any were. Microseconds.
    fn erased_of<'e>(&self, events: &[&'e Event<'_>]) -> Result<HashMap<&'e str, i64>, FlowError> {
        let mut persons: Vec<&str> = events.iter().map(|event| event.universal_id.as_ref()).collect();
        // Events of a person come one after another, most of them.
        persons.dedup();
        persons.sort_unstable();
        persons.dedup();
        let persons: HashMap<String, &str> = persons.into_iter().map(|person| (masked(person), person)).collect();
        let listed: Vec<&str> = persons.keys().map(String::as_str).collect();
        let answer = self.server.run(&format!(
            "SELECT person, toUnixTimestamp64Micro(max(until)) FROM {EMAIL_ERASURES} \
             WHERE person IN (SELECT arrayJoin(splitByChar(',', '{}'))) GROUP BY person",
            listed.join(",")
        ))?;
        let wrong = |line: &str| FlowError::Refused(format!("{}: `{line}` is not an erasure", self.server.shown()));
        let until = |line: &str| {
            let (person, until) = line.split_once('\t')?;
            Some((*persons.get(person)?, until.parse().ok()?))
        };
        answer.lines().map(|line| until(line).ok_or_else(|| wrong(line))).collect()
    }

    fn no_row(&self, line: &str) -> FlowError {
        FlowError::Refused(format!("{}: `{line}` is not an answer about rows of {EMAIL_EVENTS}", self.server.shown()))
    }
}

/// A row as it is settled: id, number of its insert, person, milliseconds.
fn cells(line: &str) -> Option<(Uuid, u64, &str, i64)> {
    let [id, block, person, at] = line.split('\t').collect::<Vec<_>>().try_into().ok()?;
    Some((id.parse().ok()?, block.parse().ok()?, person, at.parse().ok()?))
}

/// An id as erasures have it.
fn masked(universal_id: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(universal_id.as_bytes()))
}

/// The condition that an id is among others, in the projection's terms. They are a subquery of one long text, which the server reads
/// several times faster than a list of so many values.
fn among<'i>(ids: impl Iterator<Item = &'i Uuid>) -> String {
    let mut text = Vec::new();
    for id in ids {
        append_uuid(&id.to_u128().to_be_bytes(), &mut text);
        text.push(b',');
    }
    text.pop();
    let ids = String::from_utf8(text).expect("digits");
    format!("{ORDER} IN (SELECT toUInt128(toUUID(arrayJoin(splitByChar(',', '{ids}')))))")
}

/// Of events with the same id the first, in their order. Sorting is several times as fast as a set.
fn firsts<'e, 'a>(events: &'e [Event<'a>]) -> Vec<&'e Event<'a>> {
    let mut ids: Vec<(u128, usize)> = events.iter().enumerate().map(|(number, event)| (event.event_id.to_u128(), number)).collect();
    ids.sort_unstable();
    let mut is_first = vec![true; events.len()];
    for pair in ids.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
        is_first[pair[1].1] = false;
    }
    events.iter().zip(is_first).filter_map(|(event, is_first)| is_first.then_some(event)).collect()
}

impl EventTable for ClickHouseTable {
    fn insert(&self, token: &str, events: &[Event<'_>]) -> Result<Inserted, FlowError> {
        self.ready()?;
        let mut new = firsts(events);
        let before = self.number(&format!("SELECT max(max_block_number) FROM system.parts WHERE {PARTS}"))?;
        let (known, twice) = self.find(new.iter().map(|event| &event.event_id))?;
        // Somebody was killed after it had stored them.
        self.settle(&twice, |_, _, _| true)?;
        if !known.is_empty() {
            new.retain(|event| !known.contains(&event.event_id));
        }
        let fresh = new.len();
        if !new.is_empty() {
            let until = self.erased_of(&new)?;
            if !until.is_empty() {
                new.retain(|event| until.get(event.universal_id.as_ref()).is_none_or(|until| event.timestamp.0 > *until));
            }
        }
        let erased = (fresh - new.len()) as u64;
        let mut stored = new.len() as u64;
        if !new.is_empty() {
            // A topic that was made anew has the same tokens for other events.
            let ids = new.iter().fold(Sha256::new(), |ids, event| ids.chain_update(event.event_id.to_u128().to_be_bytes()));
            self.server.insert(EMAIL_EVENTS, &format!("{token}/{}", HEXLOWER.encode(&ids.finalize())), &[rows(&new)?])?;
            if !self.was_alone(before, new.len())? {
                let own: HashMap<Uuid, &Event<'_>> = new.iter().map(|event| (event.event_id, *event)).collect();
                let twice = self.find(own.keys())?.1;
                stored -= self.settle(&twice, |id, person, at| {
                    own.get(&id).is_some_and(|event| event.universal_id == person && event.timestamp.0.div_euclid(MILLISECOND) == at)
                })?;
            }
        }
        Ok(Inserted { stored, known: events.len() as u64 - stored - erased, erased })
    }

    fn known(&self, ids: &[Uuid]) -> Result<HashSet<Uuid>, FlowError> {
        Ok(self.find(ids.iter())?.0)
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

/// Text on its way, each value once: most come again and again, and the most often at once.
#[derive(Default)]
struct Texts<'a> {
    codes: Int32Builder,
    values: StringBuilder,
    known: HashMap<Cow<'a, str>, i32>,
    last: (Cow<'a, str>, i32),
}

impl<'a> Texts<'a> {
    fn append(&mut self, text: Cow<'a, str>) {
        if self.last.0 != text || self.known.is_empty() {
            let next = self.known.len() as i32;
            let code = *self.known.entry(text.clone()).or_insert(next);
            if code == next {
                self.values.append_value(&text);
            }
            self.last = (text, code);
        }
        self.codes.append_value(self.last.1);
    }

    fn finish(mut self) -> ArrayRef {
        Arc::new(DictionaryArray::new(self.codes.finish(), Arc::new(self.values.finish())))
    }
}

/// A column on its way.
enum Builder<'a> {
    Text(Texts<'a>),
    Id(FixedSizeBinaryBuilder),
    Moment(TimestampMicrosecondBuilder),
    Short(Int16Builder),
    Whole(Int32Builder),
    Real(Float64Builder),
    Flag(BooleanBuilder),
}

impl<'a> Builder<'a> {
    fn new(column: &Column, rows: usize) -> Self {
        match column.kind {
            Kind::Uuid => Self::Id(FixedSizeBinaryBuilder::with_capacity(rows, 16)),
            Kind::Instant(_) => Self::Moment(TimestampMicrosecondBuilder::with_capacity(rows).with_timezone("UTC")),
            Kind::Int16 => Self::Short(Int16Builder::with_capacity(rows)),
            Kind::Int32 => Self::Whole(Int32Builder::with_capacity(rows)),
            Kind::Fixed(_) => Self::Real(Float64Builder::with_capacity(rows)),
            Kind::Bool => Self::Flag(BooleanBuilder::with_capacity(rows)),
            _ => Self::Text(Texts::default()),
        }
    }

    fn append(&mut self, cell: Cell<'a>) -> Result<(), FlowError> {
        match (self, cell) {
            (Self::Text(builder), Cell::Null) => builder.codes.append_null(),
            (Self::Text(builder), Cell::Text(text)) => builder.append(text.into()),
            (Self::Text(builder), Cell::Object(map)) if map.is_empty() => builder.append("{}".into()),
            (Self::Text(builder), Cell::Object(map)) => builder.append(object(map).into()),
            (Self::Id(builder), Cell::Null) => builder.append_null(),
            (Self::Id(builder), Cell::Id(id)) => builder.append_value(id.to_u128().to_be_bytes()).map_err(broken)?,
            (Self::Moment(builder), Cell::Null) => builder.append_null(),
            (Self::Moment(builder), Cell::Moment(at)) => builder.append_value(at.0),
            (Self::Short(builder), Cell::Null) => builder.append_null(),
            (Self::Short(builder), Cell::Whole(number)) => builder.append_value(i16::try_from(number).map_err(broken)?),
            (Self::Whole(builder), Cell::Null) => builder.append_null(),
            (Self::Whole(builder), Cell::Whole(number)) => builder.append_value(number),
            (Self::Real(builder), Cell::Null) => builder.append_null(),
            (Self::Real(builder), Cell::Real(number)) => builder.append_value(number),
            (Self::Flag(builder), Cell::Null) => builder.append_null(),
            (Self::Flag(builder), Cell::Flag(is)) => builder.append_value(is),
            _ => return Err(broken("a cell of another type than its column")),
        }
        Ok(())
    }

    fn finish(self) -> ArrayRef {
        match self {
            Self::Text(builder) => builder.finish(),
            Self::Id(mut builder) => Arc::new(builder.finish()),
            Self::Moment(mut builder) => Arc::new(builder.finish()),
            Self::Short(mut builder) => Arc::new(builder.finish()),
            Self::Whole(mut builder) => Arc::new(builder.finish()),
            Self::Real(mut builder) => Arc::new(builder.finish()),
            Self::Flag(mut builder) => Arc::new(builder.finish()),
        }
    }
}

fn object(map: &Map<String, Value>) -> String {
    serde_json::to_string(map).expect("text, numbers and objects")
}

fn broken(error: impl std::fmt::Display) -> FlowError {
    FlowError::Refused(format!("events as columns: {error}"))
}

/// Events as columns; `ingested_at` is the server's to give.
fn rows(events: &[&Event<'_>]) -> Result<RecordBatch, FlowError> {
    let columns = &COLUMNS[..COLUMNS.len() - 1];
    let mut builders: Vec<Builder<'_>> = columns.iter().map(|column| Builder::new(column, events.len())).collect();
    for event in events {
        builders.iter_mut().zip(event.cells()).try_for_each(|(builder, cell)| builder.append(cell))?;
    }
    let names = columns.iter().map(|column| column.name);
    RecordBatch::try_from_iter(names.zip(builders.into_iter().map(Builder::finish))).map_err(broken)
}
