//! A connector: events in batches, over HTTP.

use super::client::{Answer, Client, Verdict};
use super::{Context, FIRST_REACH, Sink, SinkError, Target};
use crate::family::FAMILIES;
use crate::table::Table;
use crate::text::Records;
use arrow_array::RecordBatch;
use std::time::{Duration, Instant};

/// Where a connector takes events.
const PATH: &str = "/api/mock/events/synthetic";
/// Events of one request, at most.
const EVENTS: usize = 1_000;
/// Bytes of one request, about: a connector takes 1 MiB.
const BYTES: usize = 900 << 10;
/// The least time between two requests: a connector takes 100 a second.
const BETWEEN: Duration = Duration::from_millis(10);
/// Where the bearer token is looked for.
pub(super) const TOKEN: &str = "POPULACE_TOKEN";

/// Events on their way to a connector.
pub(super) struct ConnectorSink {
    client: Client,
    path: String,
    main: usize,
    table: Table,
    body: Vec<u8>,
    events: usize,
    latest: Instant,
    records: Records,
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
        Ok(Self {
            client,
            path: base + PATH,
            main,
            table,
            body: Vec::new(),
            events: 0,
            latest: Instant::now(),
            records: Records::default(),
        })
    }

    /// Sends what waits. The key is of the content: a connector that has taken it and could not say so takes it once.
    fn send(&mut self) -> Result<(), SinkError> {
        if self.events == 0 {
            return Ok(());
        }
        self.body.push(b']');
        std::thread::sleep(BETWEEN.saturating_sub(self.latest.elapsed()));
        self.latest = Instant::now();
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
        let key = key_of(&self.body);
        let headers = [("Content-Type", "application/json"), ("Idempotency-Key", key.as_str())];
        self.client.request(&self.path, &headers, Some(&self.body), judge)?;
        self.body.clear();
        self.events = 0;
        Ok(())
    }
}

/// The SHA-256 of a body.
fn key_of(body: &[u8]) -> String {
    use sha2::Digest as _;
    data_encoding::HEXLOWER.encode(&sha2::Sha256::digest(body))
}

impl Sink for ConnectorSink {
    fn shown(&self) -> &str {
        self.client.shown()
    }

    fn takes(&self, table: usize) -> bool {
        table == self.main
    }

    fn write(&mut self, _: usize, batch: &RecordBatch) -> Result<(), SinkError> {
        let mut records = std::mem::take(&mut self.records);
        for event in records.of(&self.table, batch) {
            if self.events == EVENTS || self.body.len() + event.len() > BYTES {
                self.send()?;
            }
            self.body.push(if self.events == 0 { b'[' } else { b',' });
            self.body.extend_from_slice(event);
            self.events += 1;
        }
        self.records = records;
        Ok(())
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        self.send()
    }
}
