//! A run on its way: its events in a file, in a topic and in a table, and the programs that move them.

use crate::support::{Server, assert_holds, command, reference, scratch, succeed};
use populace_flow::FlowError;
use populace_flow::client::send;
use populace_flow::consume::Progress;
use populace_flow::kafka::KafkaConsumer;
use populace_flow::log::Consumer;
use populace_io::sinks::Target;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The longest that anything here may take which is not measured.
const PATIENCE: Duration = Duration::from_mins(10);

/// How often something is killed, and whether that is the long form.
pub fn rounds(short: u32) -> (u32, bool) {
    let long = std::env::var("POPULACE_FAULT_ROUNDS").ok().map(|rounds| rounds.parse().expect("POPULACE_FAULT_ROUNDS is a number"));
    (long.unwrap_or(short), long.is_some())
}

/// Waits until something holds.
pub fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "not within {PATIENCE:?}: {what}");
        sleep(Duration::from_millis(20));
    }
}

/// An address that nobody listens at.
pub fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Whether what is asked is answered with 200.
pub fn answers(address: SocketAddr, path: &str) -> bool {
    send(address, "GET", path, &[], b"").is_ok_and(|answer| answer.status == 200)
}

/// The events of a scenario, with a topic and a database of their own.
pub struct Case<'a> {
    pub clickhouse: &'a Server,
    name: &'static str,
    scenario: Vec<String>,
    file: PathBuf,
    /// The topic as a sink: it is made with so many partitions.
    pub topic: String,
    from: String,
    pub to: String,
}

impl<'a> Case<'a> {
    pub fn new((kafka, clickhouse): (&Server, &'a Server), name: &'static str, partitions: u32, scenario: &str) -> Self {
        let scenario: Vec<String> = scenario.split(' ').map(str::to_owned).collect();
        let file = reference(name, &scenario.iter().map(String::as_str).collect::<Vec<_>>());
        clickhouse.ask(&format!("CREATE DATABASE {name}"));
        let topic = format!("{}/{name}?partitions={partitions}", kafka.url);
        let from = format!("{}/{name}?partitions={partitions}&group=g-{name}&dlq={name}-dlq", kafka.url);
        Self { clickhouse, name, scenario, file, topic, from, to: format!("{}/{name}", clickhouse.url) }
    }

    /// Its events as Parquet.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// How many events there are.
    pub fn events(&self) -> u64 {
        self.clickhouse.number(&format!("SELECT count() FROM file('{}', 'Parquet')", self.file.display()))
    }

    pub fn has_table(&self) -> bool {
        self.clickhouse.number(&format!("EXISTS TABLE {}.email_events", self.name)) == 1
    }

    /// How many rows the table has.
    pub fn rows(&self) -> u64 {
        if self.has_table() { self.clickhouse.number(&format!("SELECT count() FROM {}.email_events", self.name)) } else { 0 }
    }

    /// The arguments that send the events to a sink.
    pub fn generate<'b>(&'b self, to: &'b str) -> Vec<&'b str> {
        let scenario = self.scenario.iter().map(String::as_str);
        ["generate"].into_iter().chain(scenario).chain(["-q", "--table", "events", "--timeout", "600", "--to", to]).collect()
    }

    /// Sends the events to the topic.
    pub fn publish(&self) {
        succeed(&self.generate(&self.topic));
    }

    /// How many messages the topic has; 0 if the broker does not say.
    pub fn messages(&self) -> i64 {
        self.ends().values().sum()
    }

    /// Where the partitions of the topic end; none if the broker does not say.
    pub fn ends(&self) -> BTreeMap<i32, i64> {
        let ask = || -> Result<BTreeMap<i32, i64>, FlowError> {
            let mut reader = self.reader(Duration::from_secs(5))?;
            reader.partitions()?.into_iter().map(|partition| Ok((partition, reader.end(partition)?))).collect()
        };
        ask().unwrap_or_default()
    }

    /// Consumes under a name and password, at an address, from now on.
    pub fn log_in(&mut self, way: &str) {
        let (_, topic) = self.from.rsplit_once('/').unwrap();
        self.from = format!("kafka://{way}/{topic}");
    }

    /// A consumer from the topic into the table.
    pub fn consumer(&self, more: &[&str]) -> Program {
        Program::start(&[&["consume", "--from", &self.from, "--to", &self.to], more].concat())
    }

    /// The topic as a source of another group.
    pub fn source_of(&self, group: &str) -> String {
        self.from.replace(&format!("group=g-{}&", self.name), &format!("group={group}&"))
    }

    /// A consumer of another group.
    pub fn consumer_of(&self, group: &str, more: &[&str]) -> Program {
        Program::start(&[&["consume", "--from", &self.source_of(group), "--to", &self.to], more].concat())
    }

    /// Consumes the whole topic, though members that were killed may still hold partitions of it, and holds the table against the file.
    /// Returns what was told.
    pub fn finish(&self, more: &[&str]) -> String {
        let told = succeed(&[&["consume", "--from", &self.from, "--to", &self.to, "--once", "-q"], more].concat());
        assert!(told.contains(" read = "), "{told}");
        assert_holds(self.clickhouse, self.name, &self.file);
        told
    }

    /// Asserts that each user's events are in one partition of the topic and first come there in the order of the file, and returns how
    /// many messages there are and how many of them are there again.
    pub fn assert_order(&self) -> (u64, u64) {
        let mut expected: HashMap<String, Vec<String>> = HashMap::new();
        let rows = format!("SELECT universal_id, event_id FROM file('{}', 'Parquet')", self.file.display());
        for row in self.clickhouse.rows(&format!("{rows} SETTINGS max_threads = 1, input_format_parquet_preserve_order = 1")) {
            let [user, id] = row.try_into().unwrap();
            expected.entry(user).or_default().push(id);
        }
        let mut found: HashMap<String, (i32, Vec<String>)> = HashMap::new();
        let (mut seen, mut messages, mut ends) = (HashSet::new(), 0, HashMap::new());
        self.read(|partition, offset, user, id| {
            messages += 1;
            assert!(ends.insert(partition, offset).is_none_or(|before| before < offset), "partition {partition}, offset {offset}");
            let (of, ids) = found.entry(user.to_owned()).or_insert_with(|| (partition, Vec::new()));
            assert_eq!(*of, partition, "{user}");
            if seen.insert(id.to_owned()) {
                ids.push(id.to_owned());
            }
        });
        assert_eq!(found.len(), expected.len(), "users");
        for (user, ids) in &expected {
            assert!(found[user].1 == *ids, "{user} is out of order");
        }
        (messages, messages - seen.len() as u64)
    }

    /// A consumer of a group of its own.
    fn reader(&self, timeout: Duration) -> Result<KafkaConsumer, FlowError> {
        static READERS: AtomicU64 = AtomicU64::new(0);
        let group = format!("{}&group=reader-{}-{}", self.topic, self.name, READERS.fetch_add(1, Ordering::Relaxed));
        KafkaConsumer::open(&Target::parse(&group).unwrap(), timeout, Progress::default())
    }

    /// Gives out every message of the topic: partition, offset, user, id of the event.
    fn read(&self, mut each: impl FnMut(i32, i64, &str, &str)) {
        let mut reader = self.reader(PATIENCE).unwrap();
        let partitions = reader.partitions().unwrap();
        wait_for("the end of the topic", || {
            for message in reader.poll(10_000, Duration::from_millis(100)).unwrap() {
                let (key, value) = (message.key.unwrap(), message.value.unwrap());
                let value = std::str::from_utf8(&value).unwrap();
                let id = value.strip_prefix("{\"event_id\":\"").unwrap().split('"').next().unwrap();
                each(message.position.partition, message.position.offset, std::str::from_utf8(&key).unwrap(), id);
            }
            partitions.iter().all(|partition| reader.exhausted(*partition).unwrap())
        });
    }
}

/// The program at work. What it tells goes to a file, to be shown if it fails.
pub struct Program {
    child: Child,
    told: PathBuf,
}

impl Program {
    pub fn start(arguments: &[&str]) -> Self {
        Self::spawn(command(arguments))
    }

    /// Starts a command that ends in the program, such as a line of a shell.
    pub fn spawn(mut command: Command) -> Self {
        static STARTED: AtomicU64 = AtomicU64::new(0);
        let told = scratch(&format!("told-{}", STARTED.fetch_add(1, Ordering::Relaxed))).join("stderr");
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&told).unwrap()).spawn().unwrap();
        Self { child, told }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for its end, which must be a good one.
    pub fn succeed(&mut self) {
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {}", std::fs::read_to_string(&self.told).unwrap());
    }

    /// Asks it to end, as Ctrl-C does, and waits until it has.
    pub fn interrupt(mut self) {
        let asked = Command::new("kill").args(["-INT", &self.id().to_string()]).status().unwrap();
        assert!(asked.success());
        let status = self.child.wait().unwrap();
        assert_eq!(status.code(), Some(130), "{}", std::fs::read_to_string(&self.told).unwrap());
    }

    /// kill -9, which is also how it ends when a test fails.
    pub fn kill(self) {
        drop(self);
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts something, waits for a moment of it, and kills it: so many times, or until `moment` says that it is over. Returns how many were
/// killed that had not ended by themselves.
pub fn kill_in_rounds(rounds: u32, mut start: impl FnMut() -> Program, mut moment: impl FnMut(u32) -> bool) -> u32 {
    let mut running = 0;
    for round in 0..rounds {
        let mut program = start();
        if !moment(round) {
            break;
        }
        running += u32::from(!program.has_ended());
        program.kill();
    }
    running
}

/// A connector in front of a topic, always at the same address.
pub struct Connector {
    log: String,
    data: PathBuf,
    pub address: SocketAddr,
}

impl Connector {
    pub fn new(name: &str, log: &str) -> Self {
        let address = free();
        Self { log: log.to_owned(), data: scratch(&format!("{name}-connector")), address }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Starts it, and waits until it answers.
    pub fn start(&self) -> Program {
        self.start_with(&[])
    }

    pub fn start_with(&self, more: &[&str]) -> Program {
        let address = self.address.to_string();
        let arguments = ["serve", "--log", &self.log, "--listen", &address, "--data", self.data.to_str().unwrap()];
        let program = Program::start(&[&arguments, more].concat());
        wait_for("the connector answers", || answers(self.address, "/health"));
        program
    }

    /// Whether a request other than this question is under way.
    pub fn is_busy(&self) -> bool {
        let Ok(answer) = send(self.address, "GET", "/metrics", &[], b"") else { return false };
        let busy = answer.body.lines().find_map(|line| line.strip_prefix("populace_http_requests_in_flight "));
        busy.and_then(|busy| busy.parse().ok()).is_some_and(|busy: f64| busy > 0.0)
    }
}
