//! The services over HTTP: the only asynchronous code. Handlers hand their work to threads that may block.

pub mod access;
mod api;
mod call;
mod features;
mod identity;
mod limits;
mod metrics;
mod problem;
mod routes;
mod watched;

pub use access::{Access, Scope};
pub use features::{FeatureSource, Features};
pub use limits::Limits;
pub use metrics::{Gauge, Gauges, Part};
pub use watched::{Watched, WatchedAt};

use crate::connector::Connector;
use crate::error::FlowError;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use limits::Rates;
use metrics::Metrics;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// How long requests that were begun may take to end when the services stop.
const DRAIN: Duration = Duration::from_secs(20);
/// Connections at a time: more wait to be accepted.
const CONNECTIONS: usize = 1_024;
/// The largest head of a request, bytes.
const MAX_HEAD: usize = 16_384;

/// What removes a person from one place, given all ids, and says how many rows that were.
pub type Eraser = Box<dyn Fn(&[String]) -> Result<u64, FlowError> + Send + Sync>;

/// What the services are made of.
pub struct Services {
    /// The way from requests to the log.
    pub connector: Connector,
    /// Who may do what.
    pub access: Access,
    /// What a client may ask for.
    pub limits: Limits,
    /// What is told of the other parts at `/metrics` and `/ready`.
    pub gauges: Gauges,
    /// Where features come from; none: the feature service says that it has no events.
    pub features: Option<FeatureSource>,
    /// Where events of a person are, by name.
    pub erasers: Vec<(String, Eraser)>,
    /// Where events of a person stay after an erasure, and what becomes of them, by name.
    pub kept: BTreeMap<String, String>,
}

/// The services with what they count.
struct App {
    services: Services,
    rates: Rates,
    in_flight: Arc<Semaphore>,
    metrics: Metrics,
}

/// Addresses that are taken, before anything is opened or written.
pub struct Bound {
    connector: std::net::TcpListener,
    features: Option<std::net::TcpListener>,
}

impl Bound {
    /// Takes two addresses; a port of 0 takes any.
    ///
    /// # Errors
    /// An address is taken, or is open to others while nobody needs a token.
    pub fn new(access: &Access, connector: SocketAddr, features: Option<SocketAddr>) -> Result<Self, FlowError> {
        for address in [Some(connector), features].into_iter().flatten() {
            access.check(address.ip())?;
        }
        Ok(Self { connector: bind(connector)?, features: features.map(bind).transpose()? })
    }
}

fn bind(address: SocketAddr) -> Result<std::net::TcpListener, FlowError> {
    let listener = std::net::TcpListener::bind(address).and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
    listener.map_err(|error| FlowError::Refused(format!("{address}: {error}; is another program listening there? choose another address")))
}

/// Services that answer.
pub struct Running {
    /// Where the connector listens.
    pub connector: SocketAddr,
    /// Where the feature service listens.
    pub features: Option<SocketAddr>,
    listening: Listening,
}

impl Running {
    /// Answers at addresses that are taken.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(services: Services, bound: Bound) -> Result<Self, FlowError> {
        let app = Arc::new(App {
            rates: Rates::new(services.limits.requests_a_second),
            in_flight: Arc::new(Semaphore::new(services.limits.in_flight)),
            metrics: Metrics::default(),
            services,
        });
        let mut listening = Listening::start(app.services.limits.header_time)?;
        let connector = listening.add(bound.connector, routes::connector(Arc::clone(&app)))?;
        let features = bound.features.map(|listener| listening.add(listener, routes::features(app))).transpose()?;
        Ok(Self { connector, features, listening })
    }

    /// Answers until Ctrl-C or a request to terminate, or until `ended` is true, then ends what was begun.
    pub fn until_signal(self, ended: impl Fn() -> bool) {
        self.listening.until_signal(ended);
    }

    /// Takes no more connections and ends what was begun.
    pub fn stop(self) {
        self.listening.stop();
    }
}

/// Threads that answer at some addresses, until they are stopped.
struct Listening {
    runtime: tokio::runtime::Runtime,
    header_time: Duration,
    connections: Arc<Semaphore>,
    stop: watch::Sender<bool>,
    listeners: JoinSet<()>,
}

impl Listening {
    fn start(header_time: Duration) -> Result<Self, FlowError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .thread_name("populace-http")
            .build()
            .map_err(|error| FlowError::Unavailable(format!("starting the HTTP services: {error}")))?;
        let connections = Arc::new(Semaphore::new(CONNECTIONS));
        Ok(Self { runtime, header_time, connections, stop: watch::channel(false).0, listeners: JoinSet::new() })
    }

    /// Answers at an address, and says which it is.
    fn add(&mut self, listener: std::net::TcpListener, router: Router) -> Result<SocketAddr, FlowError> {
        let unavailable = |error: std::io::Error| FlowError::Unavailable(error.to_string());
        let _entered = self.runtime.enter();
        let address = listener.local_addr().map_err(unavailable)?;
        let listener = TcpListener::from_std(listener).map_err(unavailable)?;
        let listening = accept(listener, router, self.header_time, Arc::clone(&self.connections), self.stop.subscribe());
        self.listeners.spawn_on(listening, self.runtime.handle());
        Ok(address)
    }

    fn until_signal(self, ended: impl Fn() -> bool) {
        self.runtime.block_on(async {
            let interrupted = tokio::signal::ctrl_c();
            #[cfg(unix)]
            let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).ok();
            #[cfg(unix)]
            let terminated = async {
                match &mut terminate {
                    Some(signal) => drop(signal.recv().await),
                    None => std::future::pending().await,
                }
            };
            #[cfg(not(unix))]
            let terminated = std::future::pending::<()>();
            let watching = async {
                while !ended() {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            };
            tokio::select! {
                _ = interrupted => {}
                () = terminated => {}
                () = watching => {}
            }
        });
        self.stop();
    }

    fn stop(self) {
        let Self { runtime, stop, mut listeners, .. } = self;
        let _ = stop.send(true);
        runtime.block_on(async {
            let ended = async { while listeners.join_next().await.is_some() {} };
            let _ = tokio::time::timeout(DRAIN, ended).await;
        });
        runtime.shutdown_timeout(Duration::from_secs(1));
    }
}

/// Whose connection a request came by.
#[derive(Clone, Copy)]
struct Peer(IpAddr);

async fn accept(
    listener: TcpListener,
    router: Router,
    header_time: Duration,
    connections: Arc<Semaphore>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut open = JoinSet::new();
    loop {
        let free = Arc::clone(&connections).acquire_owned();
        let accepted = tokio::select! {
            accepted = async { (free.await, listener.accept().await) } => accepted,
            _ = stopped.changed() => break,
        };
        while open.try_join_next().is_some() {}
        let (Ok(permit), accepted) = accepted else { break };
        let Ok((stream, peer)) = accepted else {
            // Out of descriptors, or the peer is gone: accepting again at once would only burn time.
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let service = TowerToHyperService::new(router.clone());
        let service = hyper::service::service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
            request.extensions_mut().insert(Peer(peer.ip()));
            hyper::service::Service::call(&service, request)
        });
        let mut stopping = stopped.clone();
        open.spawn(async move {
            let _permit = permit;
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(header_time).max_buf_size(MAX_HEAD).half_close(false);
            let connection = http.serve_connection(TokioIo::new(stream), service);
            tokio::pin!(connection);
            tokio::select! {
                _ = connection.as_mut() => {}
                _ = stopping.changed() => {
                    connection.as_mut().graceful_shutdown();
                    let _ = connection.await;
                }
            }
        });
    }
    drop(listener);
    while open.join_next().await.is_some() {}
}
