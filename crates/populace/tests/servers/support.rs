//! Servers, the program, and questions to ClickHouse.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

#[path = "../shared/program.rs"]
mod program;

pub use program::{command, populace};

/// A server that ends with this process, as its standard input does.
pub struct Server {
    child: Child,
    /// What it hears: it ends with it.
    input: Mutex<Option<ChildStdin>>,
    #[cfg_attr(not(feature = "kafka"), expect(dead_code, reason = "held for its end"))]
    output: Mutex<BufReader<ChildStdout>>,
    /// Where it is.
    pub url: String,
    /// Other ways to it, by name.
    #[cfg_attr(not(feature = "kafka"), expect(dead_code, reason = "only Kafka has any"))]
    pub ways: BTreeMap<String, String>,
}

impl Server {
    fn start(script: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/servers").join(script);
        let started = Command::new("python3").arg(&path).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = started.unwrap_or_else(|error| panic!("python3 {}: {error}; these tests need Python 3.10", path.display()));
        let (input, mut output) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        if line.is_empty() {
            let mut told = String::new();
            child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
            panic!("{script} did not start a server, and these tests are worth nothing without it:\n{told}");
        }
        let mut words = line.split_whitespace().map(str::to_owned);
        let url = words.next().unwrap();
        let ways = words.map(|word| word.split_once('=').map(|(name, at)| (name.to_owned(), at.to_owned())).unwrap()).collect();
        Self { child, input: Mutex::new(input), output: Mutex::new(output), url, ways }
    }

    /// Apache Kafka.
    #[cfg(feature = "kafka")]
    pub fn kafka() -> Self {
        Self::start("kafka.py")
    }

    /// A schema registry.
    #[cfg(feature = "kafka")]
    pub fn registry() -> Self {
        Self::start("registry.py")
    }

    /// ClickHouse.
    pub fn clickhouse() -> Self {
        Self::start("clickhouse.py")
    }

    /// Tells the script what to do to its server, and waits until it is done.
    #[cfg(feature = "kafka")]
    pub fn tell(&self, line: &str) {
        writeln!(self.input.lock().unwrap().as_mut().unwrap(), "{line}").unwrap();
        let mut answer = String::new();
        self.output.lock().unwrap().read_line(&mut answer).unwrap();
        assert_eq!(answer.trim(), "done", "{line}");
    }

    /// Host and port.
    pub fn address(&self) -> &str {
        self.url.rsplit_once(['@', '/']).unwrap().1
    }

    /// Runs a statement in the way of curl, `http://HOST/?user=…&password=…` with the statement as body, and returns status and answer.
    pub fn post(&self, path: &str, statement: &str) -> (u16, String) {
        let mut connection = TcpStream::connect(self.address()).unwrap();
        connection.set_read_timeout(Some(Duration::from_mins(2))).unwrap();
        let head = format!("POST {path} HTTP/1.0\r\nHost: x\r\nContent-Length: {}\r\n\r\n", statement.len());
        connection.write_all((head + statement).as_bytes()).unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let body = if head.to_lowercase().contains("transfer-encoding: chunked") { dechunked(body) } else { body.to_owned() };
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body)
    }

    /// The answer to a statement, which must succeed.
    pub fn ask(&self, statement: &str) -> String {
        let (status, answer) = self.post("/?user=sendflowr&password=sendflowr_dev", statement);
        assert_eq!(status, 200, "{statement}: {answer}");
        answer.trim_end().to_owned()
    }

    /// The rows of an answer, split into cells.
    pub fn rows(&self, statement: &str) -> Vec<Vec<String>> {
        self.ask(statement).lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect()
    }

    /// An answer that is a number.
    pub fn number(&self, statement: &str) -> u64 {
        let answer = self.ask(statement);
        answer.parse().unwrap_or_else(|_| panic!("{statement}: {answer}"))
    }
}

fn dechunked(body: &str) -> String {
    let (mut rest, mut whole) = (body, String::new());
    while let Some((size, more)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            break;
        }
        whole.push_str(&more[..size]);
        rest = &more[size + 2..];
    }
    whole
}

impl Drop for Server {
    fn drop(&mut self) {
        // With the end of its input it stops what it started; what does not is killed.
        drop(self.input.lock().unwrap_or_else(PoisonError::into_inner).take());
        for _ in 0..100 {
            if self.child.try_wait().is_ok_and(|ended| ended.is_some()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A directory of its own for one test.
pub fn scratch(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("populace-servers-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).unwrap();
    path
}

/// What the program, which must succeed, tells on standard error.
pub fn succeed(arguments: &[&str]) -> String {
    let output = populace(arguments);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {told}");
    told
}

/// What the program, which must end with exit code 2, tells.
pub fn refuse(arguments: &[&str]) -> String {
    let output = populace(arguments);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {told}");
    told
}

/// The columns of events, all but the one that says when a row came.
const COLUMNS: &str = "event_id, event_type, timestamp, esp, recipient_id, universal_id, recipient_email_hash, campaign_id, campaign_name, \
    message_id, subject, click_url, bounce_type, user_agent, ip_address, source, metadata, latency_seconds, send_time, hour_of_day, minute, day_of_week, \
    campaign_type, payload_size_bytes";

/// Asserts that a table holds the events of a Parquet file, each once and no others. ClickHouse reads the file itself.
pub fn assert_holds(clickhouse: &Server, database: &str, file: &Path) {
    let reference = format!("{database}_reference");
    clickhouse.ask(&format!("CREATE DATABASE IF NOT EXISTS {reference}"));
    clickhouse.ask(&format!("CREATE OR REPLACE TABLE {reference}.e AS {database}.email_events ENGINE = Memory"));
    clickhouse.ask(&format!("INSERT INTO {reference}.e ({COLUMNS}) SELECT {COLUMNS} FROM file('{}', 'Parquet')", file.display()));
    let rows = clickhouse.number(&format!("SELECT count() FROM {reference}.e"));
    assert!(rows > 0);
    assert_eq!(clickhouse.number(&format!("SELECT count() FROM {database}.email_events")), rows, "rows, without FINAL");
    assert_eq!(clickhouse.number(&format!("SELECT uniqExact(event_id) FROM {database}.email_events")), rows);
    // As text, as a hash of a null is null.
    let row = format!("formatRow('JSONCompactEachRow', {COLUMNS})");
    let content = |of: &str| clickhouse.ask(&format!("SELECT sum(cityHash64({row})), groupBitXor(sipHash64({row})) FROM {of}"));
    assert_eq!(content(&format!("{database}.email_events")), content(&format!("{reference}.e")), "content");
}

/// Generates the reference of a scenario as Parquet, and gives the file of its events.
pub fn reference(name: &str, arguments: &[&str]) -> PathBuf {
    let directory = scratch(name);
    succeed(&[&["generate"], arguments, &["-q", "-f", "parquet", "--table", "events", "-o", directory.to_str().unwrap()]].concat());
    directory.join("events.parquet")
}

/// One ClickHouse for the tests that only add databases.
pub fn clickhouse() -> &'static Server {
    static SHARED: OnceLock<Server> = OnceLock::new();
    SHARED.get_or_init(|| Server::start("clickhouse.py"))
}

/// One Kafka for the tests that only add topics, and ClickHouse.
#[cfg(feature = "kafka")]
pub fn shared() -> (&'static Server, &'static Server) {
    static SHARED: OnceLock<Server> = OnceLock::new();
    (SHARED.get_or_init(Server::kafka), clickhouse())
}
