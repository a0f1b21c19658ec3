//! Connections: how many there may be, of whom, and for how long.

use super::problem::problem;
use super::share::{Held, Share};
use crate::error::FlowError;
use axum::Router;
use axum::http::uri::{Authority, Scheme};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, Uri, Version, header};
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// How long requests that were begun may take to end when the services stop, or when their connection is old.
const DRAIN: Duration = Duration::from_secs(20);
/// How long a connection lasts: a peer that vanished, or does not read its answers, does not keep it for ever.
const LIFETIME: Duration = Duration::from_mins(5);
/// Connections at a time without a token yet, of all and of one address: beyond it the oldest gives way, of the address with the most.
const STRANGERS: usize = 512;
const STRANGERS_OF_ONE: usize = 256;
/// Connections at a time by which a request was allowed.
const CLIENTS: usize = 1_024;
/// The largest head of a request, bytes.
const MAX_HEAD: usize = 16_384;
/// `ENFILE` and `EMFILE`: the system or the process has no more descriptors. Somebody gives way, and a moment later there is one.
const NO_DESCRIPTORS: [i32; 2] = [23, 24];
/// Fields of a head of which a second one would leave open which of them counts.
const ONCE: [HeaderName; 6] = [
    header::HOST,
    header::AUTHORIZATION,
    header::CONTENT_TYPE,
    header::ORIGIN,
    header::TRANSFER_ENCODING,
    HeaderName::from_static("idempotency-key"),
];

/// Takes an address.
pub(super) fn bind(address: SocketAddr) -> Result<std::net::TcpListener, FlowError> {
    let listener = std::net::TcpListener::bind(address).and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
    listener.map_err(|error| FlowError::Refused(format!("{address}: {error}; is another program listening there? choose another address")))
}

/// Threads that answer at some addresses, until they are stopped.
pub(super) struct Listening {
    runtime: tokio::runtime::Runtime,
    header_time: Duration,
    house: Arc<House>,
    stop: watch::Sender<bool>,
    listeners: JoinSet<()>,
}

impl Listening {
    pub(super) fn start(header_time: Duration) -> Result<Self, FlowError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .thread_name("populace-http")
            .build()
            .map_err(|error| FlowError::Unavailable(format!("starting the HTTP services: {error}")))?;
        let house = Arc::new(House { strangers: Mutex::default(), clients: Share::of(CLIENTS) });
        Ok(Self { runtime, header_time, house, stop: watch::channel(false).0, listeners: JoinSet::new() })
    }

    /// Answers at an address, and says which it is.
    pub(super) fn add(&mut self, listener: std::net::TcpListener, router: Router) -> Result<SocketAddr, FlowError> {
        let unavailable = |error: std::io::Error| FlowError::Unavailable(error.to_string());
        let _entered = self.runtime.enter();
        let address = listener.local_addr().map_err(unavailable)?;
        let listener = TcpListener::from_std(listener).map_err(unavailable)?;
        let listening = accept(listener, router, self.header_time, Arc::clone(&self.house), self.stop.subscribe());
        self.listeners.spawn_on(listening, self.runtime.handle());
        Ok(address)
    }

    pub(super) fn until_signal(self, ended: impl Fn() -> bool) {
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
                    sleep(Duration::from_millis(100)).await;
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

    pub(super) fn stop(self) {
        let Self { runtime, stop, mut listeners, .. } = self;
        let _ = stop.send(true);
        runtime.block_on(async {
            let ended = async { while listeners.join_next().await.is_some() {} };
            let _ = timeout(DRAIN, ended).await;
        });
        runtime.shutdown_timeout(Duration::from_secs(1));
    }
}

type Addresses = HashMap<IpAddr, BTreeMap<u64, Arc<Notify>>>;

/// The connections there are.
struct House {
    /// Those without a token yet, by address and age, and the number of the latest.
    strangers: Mutex<(Addresses, u64)>,
    clients: Arc<Share>,
}

impl House {
    fn strangers(&self) -> MutexGuard<'_, (Addresses, u64)> {
        self.strangers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a connection in; where there are too many, the oldest gives way.
    fn enter(self: &Arc<Self>, peer: IpAddr) -> Visitor {
        let address = neighbourhood(peer);
        let mut strangers = self.strangers();
        if strangers.0.get(&address).is_some_and(|theirs| theirs.len() >= STRANGERS_OF_ONE) {
            close_oldest(&mut strangers.0, address);
        } else if strangers.0.values().map(BTreeMap::len).sum::<usize>() >= STRANGERS {
            close_oldest_of_most(&mut strangers.0);
        }
        strangers.1 += 1;
        let (number, closing) = (strangers.1, Arc::new(Notify::new()));
        strangers.0.entry(address).or_default().insert(number, Arc::clone(&closing));
        Visitor { address, number, closing, house: Arc::clone(self), client: OnceLock::new() }
    }
}

fn close_oldest(strangers: &mut Addresses, address: IpAddr) {
    if let Some((_, closing)) = strangers.get_mut(&address).and_then(BTreeMap::pop_first) {
        closing.notify_one();
    }
    strangers.retain(|_, theirs| !theirs.is_empty());
}

fn close_oldest_of_most(strangers: &mut Addresses) {
    let first = |theirs: &BTreeMap<u64, _>| std::cmp::Reverse(theirs.first_key_value().map(|(number, _)| *number));
    let most = strangers.iter().max_by_key(|(_, theirs)| (theirs.len(), first(theirs))).map(|(address, _)| *address);
    if let Some(address) = most {
        close_oldest(strangers, address);
    }
}

/// The address that counts: a network of IPv6 is one's own, down to its last 64 bits.
fn neighbourhood(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address => address,
    }
}

/// A connection.
pub(super) struct Visitor {
    /// Where it came from.
    pub(super) address: IpAddr,
    number: u64,
    closing: Arc<Notify>,
    house: Arc<House>,
    client: OnceLock<Held>,
}

impl Visitor {
    /// Counts the connection among those of a client from now on; false if that client has its share of them.
    pub(super) fn is_of(&self, client: &str) -> bool {
        if self.client.get().is_some() {
            return true;
        }
        let Some(held) = self.house.clients.take(client, 1) else { return false };
        if self.client.set(held).is_ok() {
            self.leave();
        }
        true
    }

    fn leave(&self) {
        let mut strangers = self.house.strangers();
        if let Some(theirs) = strangers.0.get_mut(&self.address) {
            theirs.remove(&self.number);
            if theirs.is_empty() {
                strangers.0.remove(&self.address);
            }
        }
    }

    /// Ends when the connection has to give way, which one with a token never has.
    async fn gives_way(&self) {
        self.closing.notified().await;
        if self.client.get().is_some() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        self.leave();
    }
}

async fn accept(listener: TcpListener, router: Router, header_time: Duration, house: Arc<House>, mut stopped: watch::Receiver<bool>) {
    let mut open = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.changed() => break,
        };
        while open.try_join_next().is_some() {}
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                if error.raw_os_error().is_some_and(|code| NO_DESCRIPTORS.contains(&code)) {
                    close_oldest_of_most(&mut house.strangers().0);
                    sleep(Duration::from_millis(20)).await;
                }
                continue;
            }
        };
        let visitor = Arc::new(house.enter(peer.ip()));
        open.spawn(serve(stream, visitor, router.clone(), header_time, stopped.clone()));
    }
    drop(listener);
    while open.join_next().await.is_some() {}
}

async fn serve(stream: TcpStream, visitor: Arc<Visitor>, router: Router, header_time: Duration, mut stopping: watch::Receiver<bool>) {
    let _ = stream.set_nodelay(true);
    let (router, sender) = (TowerToHyperService::new(router), Arc::clone(&visitor));
    let service = service_fn(move |mut request: Request<Incoming>| {
        let is_chunked = request.headers().contains_key(header::TRANSFER_ENCODING);
        let answer = well_formed(&request).map(|()| {
            request.extensions_mut().insert(Arc::clone(&sender));
            router.call(request)
        });
        async move {
            let answered = match answer {
                Ok(answer) => answer.await,
                Err(detail) => Ok(problem(StatusCode::BAD_REQUEST, "Malformed request", detail)),
            };
            // A length beside it is not seen here any more, and somebody before this server may have gone by that.
            answered.map(|mut answer: Response| {
                if is_chunked {
                    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                answer
            })
        }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(header_time).max_buf_size(MAX_HEAD).half_close(true);
    let connection = http.serve_connection(TokioIo::new(stream), service);
    let served = async {
        tokio::pin!(connection);
        let retired = async {
            tokio::select! {
                _ = stopping.changed() => {}
                () = sleep(LIFETIME) => {}
            }
        };
        tokio::select! {
            _ = connection.as_mut() => {}
            () = retired => {
                connection.as_mut().graceful_shutdown();
                let _ = timeout(DRAIN, connection).await;
            }
        }
    };
    tokio::select! {
        () = served => {}
        () = visitor.gives_way() => {}
    }
}

/// Whether a head is what RFC 9112 lets a server answer, and no field of it leaves open what is meant.
fn well_formed<B>(request: &Request<B>) -> Result<(), String> {
    let headers = request.headers();
    if let Some(name) = ONCE.iter().find(|name| headers.get_all(*name).iter().nth(1).is_some()) {
        return Err(format!("{name}: is given more than once"));
    }
    if headers.get(header::TRANSFER_ENCODING).is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked")) {
        return Err("transfer-encoding: must be chunked, and nothing besides".to_owned());
    }
    let host = headers.get(header::HOST).map(|host| host.to_str().ok()?.parse::<Authority>().ok().filter(is_host));
    match host {
        None if request.version() != Version::HTTP_10 => return Err("host: must be given".to_owned()),
        Some(None) => return Err("host: must be a host, and a port if it is not 80".to_owned()),
        _ => {}
    }
    is_ours(request.uri(), host.flatten().as_ref())
}

/// A host with a port or without one, and no user.
fn is_host(authority: &Authority) -> bool {
    let port = authority.as_str().strip_prefix(authority.host());
    !authority.host().is_empty() && port.is_some_and(|port| port.is_empty() || port == ":" || authority.port_u16().is_some())
}

/// A request target in absolute form names this server as `Host` does; one for another server would be a proxy's to answer.
fn is_ours(target: &Uri, host: Option<&Authority>) -> Result<(), String> {
    let Some(authority) = target.authority() else { return Ok(()) };
    let scheme = target.scheme().is_some_and(|scheme| *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS);
    if scheme && host == Some(authority) {
        return Ok(());
    }
    Err("the request is for another server, and this one is not a proxy: send the path alone".to_owned())
}

/// The text of a field.
pub(super) fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
