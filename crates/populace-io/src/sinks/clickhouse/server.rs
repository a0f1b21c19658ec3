//! One database of a ClickHouse server, over HTTP.

use crate::percent::encode;
use crate::sinks::client::{Answer, Client, Verdict};
use crate::sinks::{FIRST_REACH, SinkError, Target};
use arrow_array::RecordBatch;
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{IpcWriteOptions, StreamWriter};
use std::time::Duration;

/// A database of a server.
pub struct Server {
    client: Client,
    database: String,
    /// How long a request is tried again.
    tries: Duration,
}

/// ClickHouse's numbers of errors that waiting may heal: time-outs, too much at once, memory, sockets, read-only, too many parts.
const TRANSIENT: [u32; 13] = [3, 159, 160, 164, 202, 203, 209, 210, 236, 241, 242, 243, 252];

/// A statement that the server takes by default, bytes; at 256 KiB it would refuse.
const LONG: usize = 200_000;

/// The number in an answer such as `Code: 241. DB::Exception: …`.
fn code_of(answer: &Answer) -> Option<u32> {
    let text = String::from_utf8_lossy(&answer.body);
    let rest = &text[text.find("Code: ")? + 6..];
    rest[..rest.find('.')?].parse().ok()
}

/// What an answer means.
fn judge(shown: &str, answer: &Answer) -> Verdict {
    let told = answer.first_line();
    let refused = |text: String| Verdict::Never(SinkError::Refused(text));
    match (answer.status, code_of(answer)) {
        (200, None) => Verdict::Done,
        // An error can come after the head of an answer was sent.
        (_, Some(code)) if TRANSIENT.contains(&code) => Verdict::Again,
        (_, Some(516 | 192 | 193 | 194)) => refused(format!("{shown}: the server refuses the user or the password: {told}")),
        (_, Some(_)) => refused(format!("{shown}: {told}")),
        (408 | 429 | 500.., None) => Verdict::Again,
        (status, None) => refused(format!("{shown}: no ClickHouse answers there (status {status}): {told}")),
    }
}

impl Server {
    /// Logs in; a server that cannot be reached is told within seconds. `timeout` is for a later request with all its tries.
    ///
    /// # Errors
    /// It cannot be reached, or refuses the login.
    pub fn open(target: &Target, timeout: Duration) -> Result<Self, SinkError> {
        target.only(&[])?;
        let database = if target.path.is_empty() { super::DATABASE.to_owned() } else { target.path.clone() };
        if !database.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err(SinkError::Refused(format!(
                "{}: `{database}` is not a name of a database (letters, digits and _)",
                target.shown()
            )));
        }
        let (scheme, port) = if target.scheme == "clickhouses" { ("https", 8443) } else { ("http", 8123) };
        let mut client = Client::new(scheme, target, port, timeout)?;
        if let Some(user) = &target.user {
            client = client.with_basic(user, target.password.as_deref().unwrap_or_default());
        }
        let server = Self { client, database, tries: timeout };
        server.send(FIRST_REACH, "/?default_format=TabSeparated", b"SELECT 1").map_err(|error| match error {
            SinkError::Unavailable(told) => SinkError::Unavailable(format!("{told}; is ClickHouse running there?")),
            refused @ SinkError::Refused(_) => refused,
        })?;
        Ok(server)
    }

    /// Begins no further try of a request after so long, though each may take the time-out: for those who try again by themselves.
    #[must_use]
    pub fn with_tries_within(self, tries: Duration) -> Self {
        Self { tries, ..self }
    }

    /// The URL, for people.
    pub fn shown(&self) -> &str {
        self.client.shown()
    }

    fn send(&self, timeout: Duration, path: &str, body: &[u8]) -> Result<Vec<u8>, SinkError> {
        let shown = self.shown();
        Ok(self.client.request_within(timeout, path, (&[], Some(body)), |answer| judge(shown, answer))?.body)
    }

    fn path(&self, more: &str) -> String {
        format!("/?database={}&date_time_input_format=best_effort{more}", encode(&self.database))
    }

    /// Runs a statement that can be run twice, and returns what it returns.
    ///
    /// # Errors
    /// The server refuses it, or cannot be reached in time.
    pub fn run(&self, sql: &str) -> Result<String, SinkError> {
        let long = if sql.len() > LONG { "&max_query_size=67108864" } else { "" };
        let answer = self.send(self.tries, &self.path(long), sql.as_bytes())?;
        String::from_utf8(answer).map_err(|_| SinkError::Refused(format!("{}: the answer is not UTF-8", self.shown())))
    }

    /// Makes the database if there is none.
    ///
    /// # Errors
    /// The server refuses it, or cannot be reached in time.
    pub fn create_database(&self) -> Result<(), SinkError> {
        let sql = format!("CREATE DATABASE IF NOT EXISTS `{}`", self.database);
        self.send(self.tries, "/", sql.as_bytes()).map(drop)
    }

    /// Makes a table if there is none, adds columns to an older one that may be null, and checks that it has all and knows inserts by their
    /// tokens.
    ///
    /// # Errors
    /// It is of another shape: says which column and what to do.
    pub fn ensure_table(&self, name: &str, definition: &str, columns: &[(String, String)]) -> Result<(), SinkError> {
        self.run(definition)?;
        let found = self.run(&format!("SELECT name FROM system.columns WHERE database = '{}' AND table = '{name}'", self.database))?;
        let is_new = |column: &str| !found.lines().any(|known| known == column);
        for (column, of) in columns.iter().filter(|(column, of)| may_be_null(of) && is_new(column)) {
            self.run(&format!("ALTER TABLE {name} ADD COLUMN IF NOT EXISTS {column} {of}"))?;
        }
        self.check_table(name, columns)
    }

    /// Checks that a table, if there is one, has the columns, but for those that may be null, and knows inserts by their tokens.
    ///
    /// # Errors
    /// It is of another shape: says which column and what to do.
    pub fn check_table(&self, name: &str, columns: &[(String, String)]) -> Result<(), SinkError> {
        let (database, shown) = (&self.database, self.shown());
        let found = self.run(&format!("SELECT name, type FROM system.columns WHERE database = '{database}' AND table = '{name}'"))?;
        let found: Vec<(&str, String)> =
            found.lines().filter_map(|line| line.split_once('\t')).map(|(name, of)| (name, of.replace("\\'", "'"))).collect();
        if found.is_empty() {
            return Ok(());
        }
        let fix = "rename the table and let a new one be made, or name another database in the URL";
        for (column, wanted) in columns {
            match found.iter().find(|(name, _)| name == column) {
                // It is added before anything is inserted.
                None if may_be_null(wanted) => {}
                None => return Err(SinkError::Refused(format!("{shown}: table `{name}` has no column `{column}` ({wanted}); {fix}"))),
                Some((_, of)) if plain(of) != plain(wanted) => {
                    return Err(SinkError::Refused(format!("{shown}: column `{column}` of table `{name}` is {of}, not {wanted}; {fix}")));
                }
                Some(_) => {}
            }
        }
        let engine = self.run(&format!("SELECT engine_full FROM system.tables WHERE database = '{database}' AND name = '{name}'"))?;
        let knows =
            engine.starts_with("Replicated") || engine.starts_with("Shared") || engine.contains("non_replicated_deduplication_window");
        if !knows {
            return Err(SinkError::Refused(format!(
                "{shown}: table `{name}` does not know an insert that is sent twice; run ALTER TABLE {database}.{name} MODIFY SETTING \
                 non_replicated_deduplication_window = 10000"
            )));
        }
        Ok(())
    }

    /// Inserts batches of one schema as one block, whole or not at all. The same token again, within the table's window, changes nothing.
    ///
    /// # Errors
    /// The server refuses them, or cannot be reached in time: then it is not known whether they are in the table.
    pub fn insert(&self, table: &str, token: &str, batches: &[RecordBatch]) -> Result<(), SinkError> {
        let broken = |error: &dyn std::fmt::Display| SinkError::Refused(format!("{}: rows as Arrow: {error}", self.shown()));
        let Some(first) = batches.first() else { return Ok(()) };
        let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME)).map_err(|error| broken(&error))?;
        let mut writer = StreamWriter::try_new_with_options(Vec::new(), &first.schema(), options).map_err(|error| broken(&error))?;
        batches.iter().try_for_each(|batch| writer.write(batch)).map_err(|error| broken(&error))?;
        let body = writer.into_inner().map_err(|error| broken(&error))?;
        let columns: Vec<String> = first.schema().fields().iter().map(|field| format!("`{}`", field.name())).collect();
        let sql = format!("INSERT INTO `{table}` ({}) FORMAT ArrowStream", columns.join(", "));
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        // One block, so that it is one part: as many rows as there are, and no limit by size.
        let settings = format!("&async_insert=0&insert_deduplicate=1&min_insert_block_size_rows={rows}&min_insert_block_size_bytes=0");
        let more = format!("{settings}&insert_deduplication_token={}&query={}", encode(token), encode(&sql));
        self.send(self.tries, &self.path(&more), &body).map(drop)
    }
}

/// Names and types of the columns of a definition, one a line, without those that have a default.
pub fn columns_of(definition: &str) -> Vec<(String, String)> {
    let lines = definition.lines().skip_while(|line| *line != "(").skip(1).take_while(|line| *line != ")");
    let column = |line: &str| line.trim().trim_end_matches(',').split_once(' ').map(|(name, of)| (name.to_owned(), of.to_owned()));
    let columns = lines.filter_map(column).filter(|(name, of)| name != "PROJECTION" && !of.contains(" DEFAULT "));
    columns.map(|(name, of)| (name, of.replace(" CODEC(ZSTD)", ""))).collect()
}

/// Text as a literal of SQL.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// Whether a column of such a type may be null, as texts may that are kept in a dictionary.
fn may_be_null(of: &str) -> bool {
    plain(of).starts_with("Nullable(")
}

/// A type without what changes how a value is kept and not what it is.
fn plain(of: &str) -> String {
    let mut of = of.to_owned();
    while let Some(inner) = of.strip_prefix("LowCardinality(").and_then(|inner| inner.strip_suffix(')')) {
        of = inner.to_owned();
    }
    of
}
