//! A consumer that can be watched: `/health`, `/ready` and `/metrics` at an address of its own.

use super::access::{Access, Scope};
use super::call::refuse;
use super::limits::Limits;
use super::metrics::figure;
use super::problem::problem;
use super::server::{Listening, bind, text as field};
use crate::consume::{Counts, Progress, Witness};
use crate::error::FlowError;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::get;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What is known of a consumer.
#[derive(Default)]
struct Latest {
    counts: Counts,
    /// What is away now.
    away: Option<String>,
    tries: u64,
    /// Partitions that do not go on, and why.
    stuck: BTreeMap<String, String>,
    /// How often one did not.
    failures: u64,
}

impl Latest {
    /// Why not all that comes is stored.
    fn hindrance(&self) -> Option<String> {
        let stuck: Vec<String> = self.stuck.iter().map(|(partition, why)| format!("{partition}: {why}")).collect();
        self.away.clone().or_else(|| (!stuck.is_empty()).then(|| stuck.join("\n")))
    }
}

/// Hears of what a consumer does, passes it on, and keeps the latest of it for whoever asks.
pub struct Watched<W> {
    latest: Arc<Mutex<Latest>>,
    next: W,
}

impl<W> Watched<W> {
    fn latest(&self) -> MutexGuard<'_, Latest> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<W: Witness> Witness for Watched<W> {
    fn stored(&mut self, counts: &Counts) {
        let mut latest = self.latest();
        latest.counts = *counts;
        latest.away = None;
        drop(latest);
        self.next.stored(counts);
    }

    fn waiting(&mut self, why: &FlowError) {
        let mut latest = self.latest();
        latest.away = Some(why.to_string());
        latest.tries += 1;
        drop(latest);
        self.next.waiting(why);
    }

    fn held(&mut self, partitions: &[i32]) {
        self.next.held(partitions);
    }

    fn found(&mut self) {
        self.latest().away = None;
        self.next.found();
    }

    fn stuck(&mut self, topic: &str, partitions: &BTreeMap<i32, String>) {
        let stuck: BTreeMap<String, String> =
            partitions.iter().map(|(partition, why)| (format!("{topic}, partition {partition}"), why.clone())).collect();
        let mut latest = self.latest();
        latest.failures += stuck.keys().filter(|partition| !latest.stuck.contains_key(*partition)).count() as u64;
        latest.stuck = stuck;
        drop(latest);
        self.next.stuck(topic, partitions);
    }
}

/// The address where a consumer can be watched, until it is stopped.
pub struct WatchedAt {
    /// Where.
    pub address: SocketAddr,
    listening: Listening,
}

impl WatchedAt {
    /// Lets whoever asks at `address` know what `next` hears of, and how far `progress` is.
    ///
    /// # Errors
    /// The address is taken, or is open to others while nobody needs a token.
    pub fn start<W: Witness>(access: Access, address: SocketAddr, progress: Progress, next: W) -> Result<(Self, Watched<W>), FlowError> {
        access.check(address.ip())?;
        let watched = Watched { latest: Arc::default(), next };
        let latest = Arc::clone(&watched.latest);
        let routes = Router::new().route("/health", get(health));
        let routes = routes.route("/ready", get(ready)).route("/metrics", get(figures));
        let routes = routes
            .fallback(|| async { problem(StatusCode::NOT_FOUND, "Not found", "there are /health, /ready and /metrics") })
            .with_state(Arc::new((latest, progress, access)));
        let mut listening = Listening::start(Limits::default().header_time)?;
        let address = listening.add(bind(address)?, routes)?;
        Ok((Self { address, listening }, watched))
    }

    /// Answers no more.
    pub fn stop(self) {
        self.listening.stop();
    }
}

type Shared = Arc<(Arc<Mutex<Latest>>, Progress, Access)>;

fn text(status: StatusCode, body: String) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"));
    response
}

/// That it answers, and how many partitions it has: a member of a group that has none is in reserve.
async fn health(State(shared): State<Shared>) -> Response {
    let state = match shared.1.partitions().len() {
        0 => "ok, without a partition: other members of the group have them all, or it has just begun\n".to_owned(),
        1 => "ok, with 1 partition\n".to_owned(),
        more => format!("ok, with {more} partitions\n"),
    };
    text(StatusCode::OK, state)
}

/// Whether neither log nor table is away and every partition goes on.
async fn ready(State(shared): State<Shared>) -> Response {
    let hindrance = shared.0.lock().unwrap_or_else(PoisonError::into_inner).hindrance();
    hindrance.map_or_else(|| text(StatusCode::OK, "ok\n".to_owned()), |why| problem(StatusCode::SERVICE_UNAVAILABLE, "Not ready", why))
}

/// Everything that is counted, for Prometheus.
async fn figures(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    if let Err(denied) = shared.2.client(field(&headers, &header::AUTHORIZATION), Scope::Admin) {
        return refuse(denied);
    }
    let latest = shared.0.lock().unwrap_or_else(PoisonError::into_inner);
    let Counts { read, stored, known, erased, dead, suspected, batches } = latest.counts;
    let figures = [
        ("consumed_total", "Messages of the batches that are dealt with: stored + known + erased + dead", read),
        ("consumed_stored_total", "Events that are in the table and were not before", stored),
        ("consumed_known_total", "Events that were in the table already", known),
        ("consumed_erased_total", "Events that were left out: of people who were erased since", erased),
        ("consumed_dead_total", "Messages that are dead letters", dead),
        ("consumed_suspected_total", "Events marked as suspected of no human", suspected),
        ("consumed_batches_total", "Batches", batches),
        ("retries_total", "Times that the log or the table was away", latest.tries),
        ("partition_failures_total", "Times that a partition did not go on", latest.failures),
        ("partitions_assigned", "Partitions of this member of the group; 0: others have them all", shared.1.partitions().len() as u64),
        ("partitions_stuck", "Partitions that do not go on now: /ready says why", latest.stuck.len() as u64),
        ("ready", "1 unless the log or the table is away or a partition does not go on", u64::from(latest.hindrance().is_none())),
    ];
    let mut page = String::new();
    // What cannot be asked is left out, and counted.
    let lag = shared.1.lag();
    if let Some(lag) = lag {
        figure(&mut page, "log_lag", "Records that wait for this consumer", lag as f64);
    }
    figure(&mut page, "gauges_failed", "Values that could not be measured now", f64::from(lag.is_none()));
    for (name, help, value) in figures {
        figure(&mut page, name, help, value as f64);
    }
    text(StatusCode::OK, page)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::send;
    use crate::consume::Silent;

    const TOKEN: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn a_consumer_tells_its_counts_and_what_it_waits_for() {
        let access = Access::open().with(TOKEN, vec![Scope::Admin]).unwrap();
        let progress = Progress::default();
        let (at, mut watched) = WatchedAt::start(access, "127.0.0.1:0".parse().unwrap(), progress.clone(), Silent).unwrap();
        let bearer = format!("Bearer {TOKEN}");
        let get = |path: &str, head: &[(&str, &str)]| send(at.address, "GET", path, head, b"").unwrap();
        let health = get("/health", &[]);
        assert!(health.status == 200 && health.body.starts_with("ok, without a partition: "), "{health:?}");
        assert_eq!(get("/ready", &[]).status, 200);
        assert_eq!(get("/", &[]).status, 404);

        watched.stored(&Counts { read: 7, stored: 4, known: 2, erased: 0, dead: 1, suspected: 1, batches: 3 });
        watched.waiting(&FlowError::Unavailable("the table is away".to_owned()));
        let away = get("/ready", &[]);
        assert!(away.status == 503 && away.body.contains("the table is away"), "{away:?}");
        assert_eq!(get("/metrics", &[]).status, 401);
        let page = get("/metrics", &[("Authorization", &bearer)]).body;
        for line in [
            "# TYPE populace_consumed_total counter",
            "populace_consumed_total 7",
            "populace_consumed_stored_total 4",
            "populace_consumed_known_total 2",
            "populace_consumed_dead_total 1",
            "populace_log_lag 0",
            "populace_gauges_failed 0",
            "populace_retries_total 1",
            "populace_partitions_assigned 0",
            "populace_ready 0",
        ] {
            assert!(page.lines().any(|told| told == line), "{line}: {page}");
        }
        watched.found();
        assert_eq!(get("/ready", &[]).status, 200);

        // Of a partition whose end nobody says, nothing is said.
        progress.is_at(3, 7);
        assert_eq!(get("/health", &[]).body, "ok, with 1 partition\n");
        let cause = "Decompression (codec 0x7) of message at 7 failed";
        watched.stuck("email-events", &BTreeMap::from([(3, cause.to_owned())]));
        let stuck = get("/ready", &[]);
        assert!(stuck.status == 503 && stuck.body.contains(&format!("email-events, partition 3: {cause}")), "{stuck:?}");
        let page = get("/metrics", &[("Authorization", &bearer)]).body;
        for line in [
            "populace_partitions_stuck 1",
            "populace_partition_failures_total 1",
            "populace_partitions_assigned 1",
            "populace_gauges_failed 1",
            "populace_ready 0",
        ] {
            assert!(page.lines().any(|told| told == line), "{line}: {page}");
        }
        assert!(!page.contains("log_lag"), "{page}");
        watched.stuck("email-events", &BTreeMap::new());
        assert_eq!(get("/ready", &[]).status, 200);
        at.stop();
    }

    #[test]
    fn other_machines_need_a_token() {
        assert!(WatchedAt::start(Access::open(), "0.0.0.0:0".parse().unwrap(), Progress::default(), Silent).is_err());
    }
}
