//! The whole flow in one process: the connector, the embedded log, the consumer, the embedded table.

use crate::connector::{Connector, Ledger};
use crate::consume::{Consume, Counts, Limits as Batches, Witness};
use crate::embedded::{EmbeddedLog, EmbeddedTable};
use crate::error::FlowError;
use crate::http::{Access, Eraser, FeatureSource, Gauges, Limits, Services, WebhookKeys};
use crate::identity::{IdentityDatabase, KeyRing};
use crate::log::{GROUP, Producer, Record, TOPIC};
use crate::table::{DeadLetters, EventTable};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Partitions of the embedded log: order holds within each, and one process reads them all.
const PARTITIONS: i32 = 4;
/// How long the log keeps what was stored: as long as Kafka does by default.
const RETENTION: Duration = Duration::from_hours(7 * 24);
/// When the consumer stores: soon, since what waits costs nothing here but a view of it.
const BATCHES: Batches = Batches { messages: 5_000, bytes: 8 << 20, wait: Duration::from_millis(100), timeout: Duration::from_mins(5) };

/// One of a consumer's counts.
type Of = fn(&Counts) -> u64;

/// A directory with the log, the table and the stores: one process at a time.
pub struct Embedded {
    directory: PathBuf,
    /// Holds the directory until it is dropped.
    _lock: File,
    /// The log.
    pub log: EmbeddedLog,
    /// The table.
    pub table: Arc<EmbeddedTable>,
    /// Identities.
    pub identities: Arc<IdentityDatabase>,
    consumed: Arc<Mutex<Counts>>,
}

/// Makes a directory if there is none, and holds it until what is returned is dropped.
///
/// # Errors
/// Another process has it, or it cannot be made.
pub fn hold(directory: &Path) -> Result<File, FlowError> {
    crate::embedded::private_directory(directory)?;
    let path = directory.join("lock");
    let lock = File::options().create(true).truncate(false).write(true).open(&path).map_err(|error| FlowError::io(&path, error))?;
    lock.try_lock().map_err(|error| match error {
        std::fs::TryLockError::WouldBlock => {
            FlowError::Refused(format!("{}: another process serves this directory; stop it, or choose another", directory.display()))
        }
        std::fs::TryLockError::Error(error) => FlowError::io(&path, error),
    })?;
    Ok(lock)
}

impl Embedded {
    /// Opens a directory, and makes what it lacks.
    ///
    /// # Errors
    /// Another process has it, or a file in it cannot be opened.
    pub fn open(directory: &Path) -> Result<Self, FlowError> {
        let lock = hold(directory)?;
        Ok(Self {
            directory: directory.to_owned(),
            _lock: lock,
            log: EmbeddedLog::open(directory, TOPIC, PARTITIONS)?,
            table: Arc::new(EmbeddedTable::open(directory)?),
            identities: Arc::new(IdentityDatabase::open(directory, None)?),
            consumed: Arc::default(),
        })
    }

    /// The services over this directory.
    ///
    /// # Errors
    /// The connector's ledger cannot be opened.
    pub fn services(&self, ring: KeyRing, access: Access, limits: Limits, features: Option<FeatureSource>) -> Result<Services, FlowError> {
        let log: Arc<dyn Producer> = Arc::new(self.log.clone());
        let ledger = Ledger::open(&self.directory, &ring)?;
        let connector = Connector::new(log, Arc::clone(&self.identities) as _, ring, ledger);
        Ok(Services {
            connector,
            access,
            webhooks: WebhookKeys::default(),
            hosts: Vec::new(),
            limits,
            gauges: self.gauges(),
            features,
            erasers: self.erasers(),
            kept: BTreeMap::new(),
        })
    }

    fn gauges(&self) -> Gauges {
        let mut gauges = Gauges::default();
        let (log, table) = (self.log.clone(), Arc::clone(&self.table));
        gauges.values.push(("log_lag", "Records that are in the log and not dealt with", Box::new(move || Ok(log.lag(GROUP)? as f64))));
        let events = Arc::clone(&table);
        gauges.values.push(("table_events", "Events in the table", Box::new(move || Ok(EventTable::count(events.as_ref())? as f64))));
        let letters = Arc::clone(&table);
        gauges.values.push((
            "dead_letters",
            "Messages that were no events",
            Box::new(move || Ok(DeadLetters::count(letters.as_ref())? as f64)),
        ));
        let totals: [(&'static str, &'static str, Of); 4] = [
            ("consumed_total", "Messages dealt with since this process began", |counts| counts.read),
            ("consumed_stored_total", "Events stored since this process began", |counts| counts.stored),
            ("consumed_known_total", "Events that were in the table already", |counts| counts.known),
            ("consumed_dead_total", "Messages that became dead letters since this process began", |counts| counts.dead),
        ];
        for (name, help, of) in totals {
            let consumed = Arc::clone(&self.consumed);
            gauges.values.push((name, help, Box::new(move || Ok(of(&consumed.lock().unwrap_or_else(PoisonError::into_inner)) as f64))));
        }
        gauges.parts.push(("table", Box::new(move || table.ready())));
        gauges
    }

    fn erasers(&self) -> Vec<(String, Eraser)> {
        let (log, table, letters) = (self.log.clone(), Arc::clone(&self.table), Arc::clone(&self.table));
        let log: Eraser = Box::new(move |ids| log.erase(&ids.iter().map(String::as_bytes).collect::<Vec<_>>()));
        let table: Eraser = Box::new(move |ids| table.erase(ids));
        let letters: Eraser = Box::new(move |ids| letters.erase_letters(ids));
        // The log first, so that nothing that is gone from the table comes again.
        vec![("log".to_owned(), log), ("table".to_owned(), table), ("dead_letters".to_owned(), letters)]
    }

    /// Stores what is in the log, until `stop` is set or, if `once`, until what is there now is dealt with.
    ///
    /// # Errors
    /// A file cannot be read or written.
    pub fn consume(&self, once: bool, stop: &AtomicBool) -> Result<Counts, FlowError> {
        self.log.trim(RETENTION)?;
        let mut consumer = self.log.consumer(GROUP)?;
        let mut told = Told(Arc::clone(&self.consumed));
        Consume::new(&mut consumer, self.table.as_ref(), self.table.as_ref(), BATCHES, stop).run(once, &mut told)
    }

    /// Publishes bytes as they are, past the connector: what a producer of another kind may do.
    ///
    /// # Errors
    /// The log cannot be written.
    pub fn publish_raw(&self, key: &[u8], value: &[u8]) -> Result<(), FlowError> {
        self.log.publish(&[Record { key: key.to_vec(), value: value.to_vec() }])
    }
}

/// Keeps the counts of a consumer for others to read.
struct Told(Arc<Mutex<Counts>>);

impl Witness for Told {
    fn stored(&mut self, counts: &Counts) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = *counts;
    }

    fn waiting(&mut self, _: &FlowError) {}

    fn held(&mut self, _: &[i32]) {}
}

/// A consumer on a thread of its own.
pub struct Background {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Counts, FlowError>>,
}

impl Background {
    /// Begins to consume.
    pub fn start(flow: &Arc<Embedded>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (flow, flag) = (Arc::clone(flow), Arc::clone(&stop));
        Self { stop, thread: std::thread::spawn(move || flow.consume(false, &flag)) }
    }

    /// Whether it has ended by itself, which only a failure makes it do.
    pub fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Ends after what was read is stored.
    ///
    /// # Errors
    /// Why it ended before.
    pub fn stop(self) -> Result<Counts, FlowError> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}
