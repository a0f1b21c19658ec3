//! ClickHouse: all tables, in large inserts of `ArrowStream` over HTTP.

mod server;

pub use server::{Server, columns_of, quoted};

use super::{Context, Sink, SinkError, Target};
use crate::digest::Digest;
use crate::table::{InstantText, Kind, Table};
use arrow_array::RecordBatch;
use std::fmt::Write as _;

/// The database of a URL that names none.
pub const DATABASE: &str = "sendflowr";
/// The table of the events of `email`.
pub const EMAIL_EVENTS: &str = "email_events";
/// Its definition; it says `CREATE TABLE IF NOT EXISTS`.
pub const EMAIL_EVENTS_SQL: &str = include_str!("email_events.sql");
/// Who was erased from it, and until when.
pub const EMAIL_ERASURES: &str = "email_erasures";
/// Its definition.
pub const EMAIL_ERASURES_SQL: &str = include_str!("email_erasures.sql");
/// Rows of an insert, about.
const INSERT_ROWS: usize = 128 << 10;

/// What tells the rows of a table apart.
const KEYS: [(&str, &str, &[&str]); 14] = [
    ("email", "users", &["recipient_id"]),
    ("email", "truth/users", &["recipient_id"]),
    ("email", "truth/user_rates", &["recipient_id", "month"]),
    ("email", "truth/messages", &["recipient_id", "message_id"]),
    ("email", "truth/timing", &["persona", "minute_of_week"]),
    ("traces", "calls", &["user_id", "session_id", "call_id"]),
    ("traces", "sessions", &["user_id", "session_id"]),
    ("traces", "truth/transitions", &["from", "to"]),
    ("traces", "truth/entries", &["endpoint"]),
    ("traces", "truth/sessions", &["session_id"]),
    ("traces", "truth/calls", &["call_id"]),
    ("churn", "users", &["user_id"]),
    ("churn", "events", &["user_id", "event_id"]),
    ("churn", "truth/users", &["user_id"]),
];

/// What a table is called in ClickHouse: events of `email` as its consumers know them, truth tables with a prefix.
fn name_of(family: &str, table: &Table) -> String {
    match (family, table.path().as_str()) {
        ("email", "events") => EMAIL_EVENTS.to_owned(),
        (_, path) => path.replace('/', "_"),
    }
}

/// The type of a column.
fn type_of(kind: Kind, nullable: bool) -> String {
    let of = match kind {
        Kind::Bool => "Bool",
        Kind::Int16 => "Int16",
        Kind::Int32 => "Int32",
        Kind::Int64 => "Int64",
        Kind::Float | Kind::Fixed(_) => "Float64",
        Kind::Instant(InstantText::Micros) => "DateTime64(6, 'UTC')",
        Kind::Instant(_) => "DateTime64(3, 'UTC')",
        Kind::Date => "Date32",
        Kind::Uuid => "UUID",
        Kind::Json => "String",
        Kind::Text if nullable => return "LowCardinality(Nullable(String))".to_owned(),
        Kind::Text => return "LowCardinality(String)".to_owned(),
    };
    if nullable { format!("Nullable({of})") } else { of.to_owned() }
}

/// The definition of a table.
fn definition(family: &str, table: &Table) -> String {
    let name = name_of(family, table);
    if name == EMAIL_EVENTS {
        return EMAIL_EVENTS_SQL.to_owned();
    }
    let path = table.path();
    let key = KEYS.iter().find(|(of, known, _)| *of == family && *known == path);
    let key = key.map_or_else(
        || table.columns.iter().filter(|column| !column.nullable).map(|column| column.name).collect(),
        |(_, _, key)| key.to_vec(),
    );
    let mut sql = format!("CREATE TABLE IF NOT EXISTS `{name}` (");
    for (index, column) in table.columns.iter().enumerate() {
        let comma = if index > 0 { ", " } else { "" };
        let _ = write!(sql, "{comma}`{}` {}", column.name, type_of(column.kind, column.nullable));
    }
    let key: Vec<String> = key.iter().map(|name| format!("`{name}`")).collect();
    let _ = write!(sql, ") ENGINE = ReplacingMergeTree ORDER BY ({}) SETTINGS non_replicated_deduplication_window = 10000", key.join(", "));
    sql
}

/// All tables of a scenario as tables of ClickHouse.
pub(super) struct ClickHouseSink {
    server: Server,
    tables: Vec<Pending>,
    hashes: Vec<u64>,
}

/// Rows of a table that wait for an insert.
struct Pending {
    table: Table,
    name: String,
    batches: Vec<RecordBatch>,
    rows: usize,
    digest: Digest,
    /// Whether the table is known to be there.
    made: bool,
}

impl ClickHouseSink {
    pub(super) fn open(target: &Target, context: Context<'_>) -> Result<Self, SinkError> {
        let server = Server::open(target, context.timeout)?;
        server.create_database()?;
        let family = context.generator.family();
        let tables = context.generator.tables().iter().map(|table| Pending {
            table: table.clone(),
            name: name_of(family, table),
            batches: Vec::new(),
            rows: 0,
            digest: Digest::default(),
            made: false,
        });
        let mut sink = Self { server, tables: tables.collect(), hashes: Vec::new() };
        // The main table at once, so that what is wrong with it is told before anything is generated.
        sink.make(context.generator.main_table(), family)?;
        for index in 0..sink.tables.len() {
            sink.make(index, family)?;
        }
        Ok(sink)
    }

    fn make(&mut self, index: usize, family: &str) -> Result<(), SinkError> {
        let pending = &mut self.tables[index];
        if !pending.made {
            let columns: Vec<(String, String)> =
                pending.table.columns.iter().map(|column| (column.name.to_owned(), type_of(column.kind, column.nullable))).collect();
            self.server.ensure_table(&pending.name, &definition(family, &pending.table), &columns)?;
            pending.made = true;
        }
        Ok(())
    }

    /// Inserts what waits, under a token of its content.
    fn insert(&mut self, index: usize) -> Result<(), SinkError> {
        let pending = &mut self.tables[index];
        if pending.batches.is_empty() {
            return Ok(());
        }
        let token = format!("{}/{}/{}", pending.name, pending.digest.rows, pending.digest);
        self.server.insert(&pending.name, &token, &pending.batches)?;
        pending.batches.clear();
        (pending.rows, pending.digest) = (0, Digest::default());
        Ok(())
    }
}

impl Sink for ClickHouseSink {
    fn shown(&self) -> &str {
        self.server.shown()
    }

    fn takes(&self, _: usize) -> bool {
        true
    }

    fn write(&mut self, table: usize, batch: &RecordBatch) -> Result<(), SinkError> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let pending = &mut self.tables[table];
        pending.digest.add(&Digest::of(&pending.table, batch, &mut self.hashes));
        pending.rows += batch.num_rows();
        pending.batches.push(batch.clone());
        if pending.rows >= INSERT_ROWS { self.insert(table) } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        (0..self.tables.len()).try_for_each(|table| self.insert(table))
    }
}
