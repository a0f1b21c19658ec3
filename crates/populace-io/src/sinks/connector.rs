//! A connector: events in batches, over HTTP.

use super::client::{Answer, Client, Verdict};
use super::{Context, FIRST_REACH, Sink, SinkError, Target};
use crate::family::FAMILIES;
use crate::run::Order;
use crate::table::{Kind, Table, as_codes};
use crate::text::Records;
use arrow_array::{Array as _, RecordBatch};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Where a connector takes events.
const PATH: &str = "/api/mock/events/synthetic";
/// Events of one request, at most.
const EVENTS: usize = 1_000;
/// Bytes of one request, about: a connector takes 1 MiB.
const BYTES: usize = 900 << 10;
/// Requests that are under way at a time, each with users of its own, whose rows keep their order. Two fill the batches of a consumer faster
/// than it stores them.
const WAYS: usize = 1;
/// The least time between two requests of a way: a connector takes 100 a second.
const BETWEEN: Duration = Duration::from_millis(10 * WAYS as u64);
/// Where the bearer token is looked for.
pub(super) const TOKEN: &str = "POPULACE_TOKEN";

/// Events on their way to a connector.
pub(super) struct ConnectorSink {
    server: Arc<Server>,
    main: usize,
    table: Table,
    /// The column of those whose rows keep their order, if there is no order of all.
    key: Option<usize>,
    ways: [Way; WAYS],
    records: Records,
}

/// Where requests go.
struct Server {
    client: Client,
    path: String,
}

/// Takes bodies, and ends with the first error.
type Worker = (SyncSender<Vec<u8>>, JoinHandle<Result<(), SinkError>>);

/// Requests that go one after another.
#[derive(Default)]
struct Way {
    body: Vec<u8>,
    events: usize,
    /// Sends bodies, from the first on until all were asked for.
    worker: Option<Worker>,
}

/// What a connector that asks for a token, or for another, means.
fn refused(shown: &str) -> SinkError {
    SinkError::Refused(match std::env::var_os(TOKEN) {
        Some(_) => format!("{shown}: the connector refuses the token in {TOKEN}"),
        None => format!("{shown}: the connector asks for a token: give it in the environment variable {TOKEN}"),
    })
}

impl ConnectorSink {
    pub(super) fn open(target: &Target, context: Context<'_>) -> Result<Self, SinkError> {
        target.only(&[])?;
        let shown = target.shown();
        let family = context.generator.family();
        let known: Vec<&str> = FAMILIES.iter().filter(|family| family.for_connectors).map(|family| family.name).collect();
        if !known.contains(&family) {
            let known = known.join(", ");
            return Err(SinkError::Refused(format!("{shown}: a connector takes the events of {known}; this is {family}")));
        }
        if target.user.is_some() || target.password.is_some() {
            return Err(SinkError::Refused(format!("{shown}: a connector takes a bearer token; put it into the environment as {TOKEN}")));
        }
        let port = if target.scheme == "https" { 443 } else { 80 };
        let mut client = Client::new(&target.scheme, target, port, context.timeout)?;
        if let Ok(token) = std::env::var(TOKEN) {
            client = client.with_header("Authorization", format!("Bearer {}", token.trim()));
        }
        let base = if target.path.is_empty() { String::new() } else { format!("/{}", target.path) };
        let judge = |answer: &Answer| match answer.status {
            200..300 => Verdict::Done,
            401 | 403 => Verdict::Never(refused(&shown)),
            429 | 500.. => Verdict::Again,
            status => Verdict::Never(SinkError::Refused(format!("{shown}: no connector answers there (status {status})"))),
        };
        client.request_within(FIRST_REACH, &format!("{base}/health"), (&[], None), judge).map_err(|error| match error {
            SinkError::Unavailable(told) => SinkError::Unavailable(format!("{told}; start one with `populace serve`")),
            refused @ SinkError::Refused(_) => refused,
        })?;
        let (main, table) = (context.generator.main_table(), context.main().clone());
        let of_users = table.partition.filter(|_| context.order == Order::Actor).and_then(|name| table.position(name));
        let key = of_users.filter(|key| table.columns[*key].kind == Kind::Text);
        let server = Arc::new(Server { client, path: base + PATH });
        Ok(Self { server, main, table, key, ways: Default::default(), records: Records::default() })
    }
}

impl Server {
    /// Sends a body. The key is of the content: a connector that has taken it and could not say so takes it once.
    fn send(&self, body: &[u8]) -> Result<(), SinkError> {
        let shown = self.client.shown();
        let judge = |answer: &Answer| match answer.status {
            200..300 => Verdict::Done,
            401 | 403 => Verdict::Never(refused(shown)),
            408 | 409 | 425 | 429 | 500.. => Verdict::Again,
            status => {
                let told = answer.first_line();
                Verdict::Never(SinkError::Refused(format!("{shown}: the connector refuses the events (status {status}): {told}")))
            }
        };
        let key = key_of(body);
        let headers = [("Content-Type", "application/json"), ("Idempotency-Key", key.as_str())];
        self.client.request(&self.path, &headers, Some(body), judge).map(drop)
    }

    fn send_all(&self, bodies: &Receiver<Vec<u8>>) -> Result<(), SinkError> {
        let mut latest: Option<Instant> = None;
        for body in bodies {
            std::thread::sleep(latest.map_or(Duration::ZERO, |latest| BETWEEN.saturating_sub(latest.elapsed())));
            latest = Some(Instant::now());
            self.send(&body)?;
        }
        Ok(())
    }
}

impl Way {
    /// Takes an event, and puts the request before on its way if it is full.
    fn push(&mut self, event: &[u8], server: &Arc<Server>) -> Result<(), SinkError> {
        if self.events == EVENTS || self.body.len() + event.len() > BYTES {
            self.send(server)?;
        }
        self.body.push(if self.events == 0 { b'[' } else { b',' });
        self.body.extend_from_slice(event);
        self.events += 1;
        Ok(())
    }

    /// Puts what waits on its way.
    fn send(&mut self, server: &Arc<Server>) -> Result<(), SinkError> {
        if self.events == 0 {
            return Ok(());
        }
        self.body.push(b']');
        self.events = 0;
        let body = std::mem::take(&mut self.body);
        let (bodies, _) = self.worker.get_or_insert_with(|| {
            let ((bodies, waiting), server) = (sync_channel(1), Arc::clone(server));
            (bodies, std::thread::spawn(move || server.send_all(&waiting)))
        });
        // Whoever takes no more has failed, and says why.
        if bodies.send(body).is_err() { self.finish() } else { Ok(()) }
    }

    /// Waits until what was sent is acknowledged.
    fn finish(&mut self) -> Result<(), SinkError> {
        let Some((bodies, worker)) = self.worker.take() else { return Ok(()) };
        drop(bodies);
        worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// Which way each row goes: all rows of a user the same.
fn ways_of(batch: &RecordBatch, key: usize) -> Vec<usize> {
    let (codes, values) = as_codes(batch.column(key));
    let way = |text: &str| text.bytes().fold(0, |sum: usize, byte| sum.wrapping_mul(31).wrapping_add(usize::from(byte))) % WAYS;
    let ways: Vec<usize> = (0..values.len()).map(|code| way(values.value(code))).collect();
    codes.iter().map(|code| ways[*code as usize]).collect()
}

/// The SHA-256 of a body.
fn key_of(body: &[u8]) -> String {
    use sha2::Digest as _;
    data_encoding::HEXLOWER.encode(&sha2::Sha256::digest(body))
}

impl Sink for ConnectorSink {
    fn shown(&self) -> &str {
        self.server.client.shown()
    }

    fn takes(&self, table: usize) -> bool {
        table == self.main
    }

    fn write(&mut self, _: usize, batch: &RecordBatch) -> Result<(), SinkError> {
        let ways = self.key.map_or_else(|| vec![0; batch.num_rows()], |key| ways_of(batch, key));
        self.records.of(&self.table, batch).zip(ways).try_for_each(|(event, way)| self.ways[way].push(event, &self.server))
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        // All are asked before any is waited for.
        let sent: Vec<_> = self.ways.iter_mut().map(|way| way.send(&self.server)).collect();
        let ended: Vec<_> = self.ways.iter_mut().map(Way::finish).collect();
        sent.into_iter().chain(ended).collect()
    }
}
