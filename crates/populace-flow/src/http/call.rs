//! From a request to its answer: who it is, whether it may, what it says; then the work, on a thread that may block.

#![allow(clippy::result_large_err, reason = "an answer is what a request ends with, either way")]

use super::access::{Denied, Scope};
use super::limits::is_deeper;
use super::problem::{later, problem, rejected};
use super::{App, Peer};
use crate::connector::{self, Rejection, fingerprint};
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::Response;
use hyper::body::Body as _;
use serde::Serialize;
use serde_json::Value;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The longest `Idempotency-Key`.
const LONGEST_KEY: usize = 255;
/// How long a body that is too large is read on, so that its sender comes to read the answer.
const LINGER: Duration = Duration::from_secs(1);

/// What a route asks of its requests.
#[derive(Clone, Copy)]
pub(super) struct Route {
    /// Its path, for metrics.
    pub(super) path: &'static str,
    /// What a token must allow; none: nobody is asked for one.
    pub(super) scope: Option<Scope>,
    /// Whether the body is JSON.
    pub(super) json: bool,
    /// The parameters that its query may have.
    pub(super) query: &'static [&'static str],
}

impl Route {
    /// A route that anybody may ask, with any query.
    pub(super) const fn open(path: &'static str) -> Self {
        Self { path, scope: None, json: false, query: &[] }
    }

    /// A route that takes a scope and neither JSON nor parameters.
    pub(super) const fn of(path: &'static str, scope: Scope) -> Self {
        Self { path, scope: Some(scope), json: false, query: &[] }
    }

    /// With a body that is JSON.
    pub(super) const fn with_json(self) -> Self {
        Self { json: true, ..self }
    }

    /// With these parameters.
    pub(super) const fn with_query(self, query: &'static [&'static str]) -> Self {
        Self { query, ..self }
    }
}

/// A request whose sender may make it.
pub(super) struct Call {
    client: String,
    key: Option<String>,
    method: Method,
    uri: Uri,
    body: Vec<u8>,
}

impl Call {
    /// The body as JSON.
    pub(super) fn json(&self) -> Result<Value, Rejection> {
        serde_json::from_slice(&self.body)
            .map_err(|error| Rejection::Malformed(format!("the body is not JSON (line {}, column {})", error.line(), error.column())))
    }

    /// Refuses parameters that a route does not have: one that is misspelt would be one that is not given.
    fn check_query(&self, known: &[&str]) -> Result<(), Rejection> {
        let keys = self.uri.query().unwrap_or_default().split('&').map(|pair| pair.split('=').next().unwrap_or_default());
        if keys.filter(|key| !key.is_empty()).all(|key| known.contains(&key)) {
            return Ok(());
        }
        let told = if known.is_empty() { "this path has none".to_owned() } else { format!("there are {}", known.join(" and ")) };
        Err(Rejection::Malformed(format!("the query has a parameter that is not known; {told}")))
    }

    /// A parameter of the query, decoded.
    pub(super) fn parameter(&self, name: &str) -> Result<Option<String>, Rejection> {
        let query = self.uri.query().unwrap_or_default();
        let mut found = query.split('&').filter_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (key == name).then_some(value)
        });
        let Some(value) = found.next() else { return Ok(None) };
        if found.next().is_some() {
            return Err(Rejection::Malformed(format!("{name}: is given twice")));
        }
        decode(value).map(Some).ok_or_else(|| Rejection::Malformed(format!("{name}: is not encoded as it must be")))
    }

    /// A whole number of the query.
    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, Rejection> {
        let Some(text) = self.parameter(name)? else { return Ok(None) };
        text.parse().map(Some).map_err(|_| Rejection::Malformed(format!("{name}: must be a whole number")))
    }

    /// The last part of the path, decoded.
    pub(super) fn last(&self) -> Result<String, Rejection> {
        let last = self.uri.path().rsplit('/').next().unwrap_or_default();
        decode(&last.replace('+', "%2B")).ok_or_else(|| Rejection::Malformed("the path is not encoded as it must be".to_owned()))
    }

    /// What the connector is asked.
    pub(super) fn request(&self, purpose: &str) -> Result<connector::Request, Rejection> {
        let parts = [
            self.method.as_str().as_bytes(),
            self.uri.path().as_bytes(),
            self.uri.query().unwrap_or_default().as_bytes(),
            self.body.as_slice(),
        ];
        Ok(connector::Request {
            client: self.client.clone(),
            key: self.key.clone(),
            purpose: purpose.to_owned(),
            fingerprint: fingerprint(&parts),
            seed: self.number("seed")?,
        })
    }
}

/// Text of a URL.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
                bytes.push((digit()? * 16 + digit()?) as u8);
            }
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).ok()
}

/// An answer.
pub(super) struct Reply {
    status: StatusCode,
    kind: &'static str,
    body: Vec<u8>,
}

impl Reply {
    /// JSON.
    pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Self {
        Self { status, kind: "application/json", body: serde_json::to_vec(value).unwrap_or_default() }
    }

    /// Text of another kind.
    pub(super) fn text(kind: &'static str, body: String) -> Self {
        Self { status: StatusCode::OK, kind, body: body.into_bytes() }
    }
}

/// Answers a request by `act`.
pub(super) async fn answer<A>(app: Arc<App>, route: Route, request: Request, act: A) -> Response
where
    A: FnOnce(&App, &Call) -> Result<Reply, Rejection> + Send + 'static,
{
    let start = Instant::now();
    let response = match admit(Arc::clone(&app), route, request, act, start).await {
        Ok(response) | Err(response) => response,
    };
    app.metrics.observed(route.path, response.status().as_u16(), start.elapsed());
    response
}

async fn admit<A>(app: Arc<App>, route: Route, request: Request, act: A, start: Instant) -> Result<Response, Response>
where
    A: FnOnce(&App, &Call) -> Result<Reply, Rejection> + Send + 'static,
{
    let limits = app.services.limits;
    let (parts, body) = request.into_parts();
    let peer = parts.extensions.get::<Peer>().map_or_else(String::new, |peer| peer.0.to_string());
    let header = |name: header::HeaderName| parts.headers.get(name).and_then(|value| value.to_str().ok());
    if app.services.access.is_open() {
        refuse_browsers(&parts.headers, &parts.method)?;
    }
    let client = match route.scope.map(|scope| app.services.access.client(header(header::AUTHORIZATION), scope)) {
        None => None,
        Some(Ok(client)) => client.map(str::to_owned),
        Some(Err(denied)) => {
            // Guesses count against the one who guesses.
            limit(&app, &peer)?;
            return Err(refuse(denied));
        }
    };
    limit(&app, client.as_deref().unwrap_or(&peer))?;
    let Ok(permit) = Arc::clone(&app.in_flight).try_acquire_owned() else {
        let detail = format!("{} requests are being worked on", limits.in_flight);
        return Err(later(StatusCode::SERVICE_UNAVAILABLE, "Busy", detail, Duration::from_secs(1)));
    };
    let key = match parts.headers.get("idempotency-key").map(HeaderValue::to_str) {
        None => None,
        Some(Ok(key)) if (1..=LONGEST_KEY).contains(&key.len()) => Some(key.to_owned()),
        Some(_) => {
            let detail = format!("Idempotency-Key: must have 1 to {LONGEST_KEY} visible ASCII characters");
            return Err(problem(StatusCode::BAD_REQUEST, "Malformed request", detail));
        }
    };
    if route.json && !header(header::CONTENT_TYPE).is_some_and(is_json) {
        let detail = "send the body as application/json";
        return Err(problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Unsupported media type", detail));
    }
    if header(header::CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok()).is_some_and(|length| length > limits.body_bytes as u64)
    {
        // Who sends on without asking whether to would not read the answer if the connection were closed now.
        if !parts.headers.contains_key(header::EXPECT) {
            let _ = tokio::time::timeout(LINGER, discard(body)).await;
        }
        return Err(too_large(limits.body_bytes));
    }
    let Ok(body) = tokio::time::timeout(limits.request_time, read(body, limits.body_bytes)).await else {
        let detail = format!("the body did not come within {} s", limits.request_time.as_secs());
        return Err(problem(StatusCode::REQUEST_TIMEOUT, "Request timeout", detail));
    };
    let body = body?;
    if route.json && is_deeper(&body, limits.json_depth) {
        let detail = format!("the JSON is nested deeper than {}", limits.json_depth);
        return Err(problem(StatusCode::BAD_REQUEST, "Malformed request", detail));
    }
    let call = Call { client: client.unwrap_or_default(), key, method: parts.method, uri: parts.uri, body };
    if route.scope.is_some() {
        call.check_query(route.query).map_err(rejected)?;
    }
    let work = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        act(&app, &call)
    });
    let left = limits.request_time.saturating_sub(start.elapsed());
    let Ok(done) = tokio::time::timeout(left, work).await else {
        let detail = "the work goes on; send the same request again, with the same event ids or Idempotency-Key";
        return Err(later(StatusCode::SERVICE_UNAVAILABLE, "Takes too long", detail, Duration::from_secs(5)));
    };
    let done = done.map_err(|_| problem(StatusCode::INTERNAL_SERVER_ERROR, "Failed", "a bug: the work broke off"))?;
    let reply = done.map_err(rejected)?;
    let mut response = Response::new(Body::from(reply.body));
    *response.status_mut() = reply.status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(reply.kind));
    Ok(response)
}

fn limit(app: &App, client: &str) -> Result<(), Response> {
    app.rates.take(client, Instant::now()).map_err(|wait| {
        let detail = format!("at most {} requests a second", app.services.limits.requests_a_second);
        later(StatusCode::TOO_MANY_REQUESTS, "Too many requests", detail, wait)
    })
}

pub(super) fn refuse(denied: Denied) -> Response {
    match denied {
        Denied::Unknown => {
            let mut response = problem(StatusCode::UNAUTHORIZED, "Unauthorized", "send a known token: Authorization: Bearer TOKEN");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            response
        }
        Denied::Scope(scope) => problem(StatusCode::FORBIDDEN, "Forbidden", format!("the token has no scope `{}`", scope.name())),
    }
}

/// Without tokens, a page in a browser on this machine must not be able to send events: it may only if the page came from here.
fn refuse_browsers(headers: &HeaderMap, method: &Method) -> Result<(), Response> {
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(header::HOST).unwrap_or_default();
    let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit())).map_or(host, |(name, _)| name);
    let here = name.is_empty()
        || name == "localhost"
        || name.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if !here {
        return Err(problem(StatusCode::MISDIRECTED_REQUEST, "Misdirected request", "this service answers as localhost only"));
    }
    let foreign = text(header::ORIGIN).is_some_and(|origin| origin.split_once("://").is_none_or(|(_, of)| of != host));
    if foreign && !matches!(*method, Method::GET | Method::HEAD) {
        return Err(problem(StatusCode::FORBIDDEN, "Forbidden", "this service takes nothing from other web sites"));
    }
    Ok(())
}

fn is_json(kind: &str) -> bool {
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json") || (kind.starts_with("application/") && kind.ends_with("+json"))
}

fn too_large(most: usize) -> Response {
    problem(StatusCode::PAYLOAD_TOO_LARGE, "Content too large", format!("the body may have at most {most} bytes"))
}

/// Reads a body to its end and keeps nothing of it.
async fn discard(mut body: Body) {
    while let Some(Ok(_)) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {}
}

async fn read(body: Body, most: usize) -> Result<Vec<u8>, Response> {
    match to_bytes(body, most).await {
        Ok(bytes) => Ok(bytes.into()),
        Err(error) if std::error::Error::source(&error).is_some_and(|cause| cause.to_string().contains("length limit")) => {
            Err(too_large(most))
        }
        Err(_) => Err(problem(StatusCode::BAD_REQUEST, "Malformed request", "the body broke off")),
    }
}
