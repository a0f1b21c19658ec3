//! From a request to its answer: who it is, whether it may, what it says; then the work, on a thread that may block.

#![allow(clippy::result_large_err, reason = "an answer is what a request ends with, either way")]

use super::access::{Denied, Scope};
use super::app::App;
use super::problem::{later, problem, rejected};
use super::reply::{Probe, Reply};
use super::server::{Visitor, text};
use super::share::Held;
use super::signature::Checked;
use crate::connector::{self, Items, Rejection, fingerprint};
use crate::json;
use axum::body::Body;
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Body as _;
use populace_io::percent::decode;
use serde_json::Value;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The longest `Idempotency-Key`.
const LONGEST_KEY: usize = 255;
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Answered however often it is asked, as the probes are.
pub(super) const HEALTH: &str = "/health";
/// How long a body that is too large is read on, so that its sender comes to read the answer.
const LINGER: Duration = Duration::from_secs(1);

/// What a route asks of its requests.
#[derive(Clone, Copy)]
pub(super) struct Route {
    /// Its path, for metrics.
    path: &'static str,
    /// What a token must allow.
    scope: Scope,
    /// Whether the body is JSON.
    json: bool,
    /// The parameters that its query may have.
    query: &'static [&'static str],
    /// The provider whose webhook it is.
    provider: Option<&'static str>,
}

impl Route {
    /// A route that takes neither JSON nor parameters.
    pub(super) const fn of(path: &'static str, scope: Scope) -> Self {
        Self { path, scope, json: false, query: &[], provider: None }
    }

    /// With a body that is JSON.
    pub(super) const fn with_json(self) -> Self {
        Self { json: true, ..self }
    }

    /// Of a webhook.
    pub(super) const fn of_provider(self, provider: Option<&'static str>) -> Self {
        Self { provider, ..self }
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
    query: Vec<(String, String)>,
    body: Vec<u8>,
    deepest: usize,
}

impl Call {
    /// The body as JSON.
    pub(super) fn json(&self) -> Result<Value, Rejection> {
        json::parse(&self.body, self.deepest).map_err(Rejection::Malformed)
    }

    /// The body of who cannot correct it, and halves of characters that were replaced in it.
    pub(super) fn lenient_json(&self) -> Result<(Value, u64), Rejection> {
        json::lenient(&self.body, self.deepest).map_err(Rejection::Malformed)
    }

    /// The body as items that may be events.
    pub(super) fn items(&self) -> Result<Items<'_>, Rejection> {
        let straight = Items::read(&self.body).ok().filter(|_| self.deepest >= Items::DEPTH);
        straight.map_or_else(|| self.json().map(Items::from), Ok)
    }

    /// A parameter of the query.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A whole number of the query.
    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, Rejection> {
        let number = |text: &str| text.parse().map_err(|_| Rejection::Malformed(format!("{name}: must be a whole number")));
        self.parameter(name).map(number).transpose()
    }

    /// The last part of the path, decoded.
    pub(super) fn last(&self) -> Result<String, Rejection> {
        last(&self.uri).ok_or_else(undecoded)
    }

    /// The last part of the path, which must be an id of a person.
    pub(super) fn person(&self) -> Result<String, Rejection> {
        let id = self.last()?;
        let reason = "must be `sf_` and 26 characters of lower-case base32, or 16 hexadecimal digits";
        if crate::event::is_universal_id(&id) { Ok(id) } else { Err(Rejection::Malformed(format!("universal_id: {reason}"))) }
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

/// The last part of a path, decoded.
pub(super) fn last(uri: &Uri) -> Option<String> {
    decode(uri.path().rsplit('/').next().unwrap_or_default())
}

fn undecoded() -> Rejection {
    Rejection::Malformed("the URL has a `%` without two hexadecimal digits, or is not UTF-8".to_owned())
}

/// The parameters of a query, each once. One that is misspelt would be one that is not given, so none may be unknown.
fn parameters(query: &str, known: &[&str]) -> Result<Vec<(String, String)>, Rejection> {
    if decode(query).is_none() {
        return Err(undecoded());
    }
    let mut found: Vec<(String, String)> = Vec::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if !known.contains(&name.as_ref()) {
            let there = if known.is_empty() { "this path has none".to_owned() } else { format!("there are {}", known.join(" and ")) };
            return Err(Rejection::Malformed(format!("the query has a parameter that is not known; {there}")));
        }
        if found.iter().any(|(before, _)| *before == name) {
            return Err(Rejection::Malformed(format!("{name}: is given twice")));
        }
        found.push((name.into_owned(), value.into_owned()));
    }
    Ok(found)
}

/// Answers a request by `act`.
pub(super) async fn answer<A>(app: Arc<App>, route: Route, request: Request, act: A) -> Response
where
    A: FnOnce(&App, &Call) -> Result<Reply, Rejection> + Send + 'static,
{
    observed(&app, route.path, admit(Arc::clone(&app), route, request, act, Instant::now())).await
}

/// Answers a request that anybody may make, of which nothing but the head is read and which waits for no other.
pub(super) async fn open(app: Arc<App>, path: &'static str, request: Request, reply: impl FnOnce() -> Reply) -> Response {
    let admitted = async {
        let (parts, _) = request.into_parts();
        refuse_browsers(&app, &parts)?;
        if path != HEALTH {
            limit(&app, None, visitor(&parts)?)?;
        }
        Ok(reply().into_response())
    };
    observed(&app, path, admitted).await
}

/// Answers a probe: it waits for no other request, and no limit of requests counts it. Where it takes a token, only one with the scope.
pub(super) async fn probe<W>(
    app: Arc<App>,
    path: &'static str,
    request: Request,
    scope: Option<Scope>,
    (probe, work): (impl Fn(&App) -> &Probe, W),
) -> Response
where
    W: FnOnce(&App) -> Reply + Send + 'static,
{
    let admitted = async {
        let (parts, _) = request.into_parts();
        refuse_browsers(&app, &parts)?;
        if let Some(scope) = scope {
            client(&app, &parts, scope)?;
        }
        let worked = Arc::clone(&app);
        let answer = probe(&app).ask(move || work(&worked));
        let time = app.services.limits.request_time;
        match tokio::time::timeout(time, answer).await {
            Ok(Some(reply)) => Ok(reply.into_response()),
            Ok(None) => Err(problem(StatusCode::INTERNAL_SERVER_ERROR, "Failed", "a bug: the work broke off")),
            Err(_) => {
                let detail = format!("a part does not answer within {} s", time.as_secs());
                Err(later(StatusCode::SERVICE_UNAVAILABLE, "Not ready", detail, Duration::from_secs(1)))
            }
        }
    };
    observed(&app, path, admitted).await
}

async fn observed(app: &App, path: &'static str, admitted: impl Future<Output = Result<Response, Response>>) -> Response {
    let start = Instant::now();
    let (Ok(response) | Err(response)) = admitted.await;
    app.metrics.observed(path, response.status().as_u16(), start.elapsed());
    response
}

fn visitor(parts: &Parts) -> Result<&Visitor, Response> {
    let visitor = parts.extensions.get::<Arc<Visitor>>().map(Arc::as_ref);
    visitor.ok_or_else(|| problem(StatusCode::INTERNAL_SERVER_ERROR, "Failed", "a bug: a request without a connection"))
}

/// Whose request it is: the name of its token, or the address where nobody needs one. From here on its connection is one of a client.
fn client(app: &App, parts: &Parts, scope: Scope) -> Result<(String, bool), Response> {
    let visitor = visitor(parts)?;
    let client = match app.services.access.client(text(&parts.headers, &header::AUTHORIZATION), scope) {
        Ok(client) => client,
        Err(denied) => {
            // Guesses count against the one who guesses.
            limit(app, None, visitor)?;
            return Err(refuse(denied));
        }
    };
    let name = client.map_or_else(|| visitor.address.to_string(), str::to_owned);
    if visitor.is_of(&name) {
        return Ok((name, client.is_some()));
    }
    let mut response = busy("this client has its share of connections");
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    Err(response)
}

/// A webhook whose provider has keys, and what of it is to be checked.
type Signed = (&'static str, Checked);

/// Whose request it is, and whether by a token or by a provider's key.
fn who(app: &App, parts: &Parts, route: &Route) -> Result<(String, bool, Option<Signed>), Response> {
    let keys = &app.services.webhooks;
    let bearer = text(&parts.headers, &header::AUTHORIZATION)
        .is_some_and(|value| value.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("bearer ")));
    let Some(provider) = route.provider.filter(|provider| keys.has(provider) && (app.services.access.is_open() || !bearer)) else {
        let (name, has_token) = client(app, parts, route.scope)?;
        return Ok((name, has_token, None));
    };
    let visitor = visitor(parts)?;
    match keys.check_head(provider, &parts.headers) {
        Ok(checked) => Ok((visitor.address.to_string(), false, Some((provider, checked)))),
        Err(reason) => {
            // Guesses count against the one who guesses.
            limit(app, None, visitor)?;
            Err(unsigned(reason))
        }
    }
}

/// The answer to a webhook that is not its provider's.
fn unsigned(reason: String) -> Response {
    let mut response = problem(StatusCode::UNAUTHORIZED, "Unauthorized", reason);
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"webhooks\""));
    response
}

async fn admit<A>(app: Arc<App>, route: Route, request: Request, act: A, start: Instant) -> Result<Response, Response>
where
    A: FnOnce(&App, &Call) -> Result<Reply, Rejection> + Send + 'static,
{
    let limits = &app.services.limits;
    let (request_time, deepest) = (limits.request_time, limits.json_depth);
    let (parts, body) = request.into_parts();
    refuse_browsers(&app, &parts)?;
    let (name, has_token, signed) = who(&app, &parts, &route)?;
    limit(&app, has_token.then_some(&name), visitor(&parts)?)?;
    let most = route.provider.map_or(limits.body_bytes, |provider| limits.of(provider).body_bytes);
    let key = idempotency_key(&parts)?;
    let query = parameters(parts.uri.query().unwrap_or_default(), route.query).map_err(rejected)?;
    // Amazon's SNS sends JSON as text.
    let is_text =
        route.provider == Some("ses") && text(&parts.headers, &header::CONTENT_TYPE).is_some_and(|media| media.starts_with("text/plain"));
    if route.json && !is_text && !text(&parts.headers, &header::CONTENT_TYPE).is_some_and(is_json) {
        let detail = "send the body as application/json";
        return Err(problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Unsupported media type", detail));
    }
    if parts.headers.contains_key(header::CONTENT_ENCODING) {
        let detail = "send the body as it is, without Content-Encoding";
        return Err(problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Unsupported media type", detail));
    }
    if text(&parts.headers, &header::CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok()) > Some(most as u64) {
        // Who sends on without asking whether to would not read the answer if the connection were closed now.
        if !parts.headers.contains_key(header::EXPECT) {
            let _ = tokio::time::timeout(LINGER, discard(body)).await;
        }
        return Err(too_large(most));
    }
    let mut held = app.bodies.nothing_yet(&name);
    let Ok(body) = tokio::time::timeout(request_time, read(body, most, &mut held)).await else {
        let detail = format!("the body did not come within {} s", request_time.as_secs());
        return Err(problem(StatusCode::REQUEST_TIMEOUT, "Request timeout", detail));
    };
    let body = body?;
    if let Some((provider, checked)) = &signed {
        app.services.webhooks.check_body(provider, checked, &body).map_err(unsigned)?;
    }
    // Only now: who sends slowly keeps nobody else from the work.
    let Some(permit) = app.in_flight.take(&name, 1) else {
        return Err(busy(&format!("{} requests are worked on, of which this client has its share", app.in_flight.used())));
    };
    let client = match &signed {
        Some((provider, _)) => format!("webhook/{provider}"),
        None if has_token => name,
        None => String::new(),
    };
    let call = Call { client, key, method: parts.method, uri: parts.uri, query, body, deepest };
    let work = tokio::task::spawn_blocking(move || {
        let _held = (permit, held);
        act(&app, &call)
    });
    let left = request_time.saturating_sub(start.elapsed());
    let Ok(done) = tokio::time::timeout(left, work).await else {
        let detail = "the work goes on; send the same request again, with the same event ids or Idempotency-Key";
        return Err(later(StatusCode::SERVICE_UNAVAILABLE, "Takes too long", detail, Duration::from_secs(5)));
    };
    let done = done.map_err(|_| problem(StatusCode::INTERNAL_SERVER_ERROR, "Failed", "a bug: the work broke off"))?;
    Ok(done.map_err(rejected)?.into_response())
}

fn idempotency_key(parts: &Parts) -> Result<Option<String>, Response> {
    let Some(value) = parts.headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let visible = |key: &&str| (1..=LONGEST_KEY).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    value.to_str().ok().filter(visible).map(|key| Some(key.to_owned())).ok_or_else(|| {
        let detail = format!("Idempotency-Key: must have 1 to {LONGEST_KEY} visible ASCII characters");
        problem(StatusCode::BAD_REQUEST, "Malformed request", detail)
    })
}

fn busy(why: &str) -> Response {
    later(StatusCode::SERVICE_UNAVAILABLE, "Busy", why, Duration::from_secs(1))
}

/// Takes one of the requests that a client, or without a token an address, has in a second.
fn limit(app: &App, client: Option<&String>, visitor: &Visitor) -> Result<(), Response> {
    let taken = match client {
        Some(client) => app.rates[0].take(client, Instant::now()),
        None => app.rates[1].take(&visitor.address.to_string(), Instant::now()),
    };
    taken.map_err(|wait| {
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
fn refuse_browsers(app: &App, parts: &Parts) -> Result<(), Response> {
    if !app.services.access.is_open() {
        return Ok(());
    }
    let host = text(&parts.headers, &header::HOST).unwrap_or_default();
    let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit())).map_or(host, |(name, _)| name);
    let here = name.is_empty()
        || name.eq_ignore_ascii_case("localhost")
        || name.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
        || app.services.hosts.iter().any(|known| known.eq_ignore_ascii_case(name)) && comes_by_tunnel(parts.uri.path());
    if !here && parts.uri.authority().is_some() {
        return Err(problem(
            StatusCode::BAD_REQUEST,
            "Malformed request",
            "the request is for another server, and this one is not a proxy",
        ));
    }
    if !here {
        return Err(problem(StatusCode::MISDIRECTED_REQUEST, "Misdirected request", "this service answers as localhost only"));
    }
    let foreign = text(&parts.headers, &header::ORIGIN).is_some_and(|origin| origin.split_once("://").is_none_or(|(_, of)| of != host));
    if foreign && !matches!(parts.method, Method::GET | Method::HEAD) {
        return Err(problem(StatusCode::FORBIDDEN, "Forbidden", "this service takes nothing from other web sites"));
    }
    Ok(())
}

/// What a tunnel may bring to a service that no token guards.
fn comes_by_tunnel(path: &str) -> bool {
    path == HEALTH || ["/api/webhook/", "/api/webhooks/"].iter().any(|base| path.starts_with(base))
}

fn is_json(media: &str) -> bool {
    let media = media.split(';').next().unwrap_or_default().trim();
    media.eq_ignore_ascii_case("application/json") || (media.starts_with("application/") && media.ends_with("+json"))
}

fn too_large(most: usize) -> Response {
    problem(StatusCode::PAYLOAD_TOO_LARGE, "Content too large", format!("the body may have at most {most} bytes"))
}

/// Reads a body to its end and keeps nothing of it.
async fn discard(mut body: Body) {
    while let Some(Ok(_)) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {}
}

/// Reads a body, of which no more is held than its client's share.
async fn read(mut body: Body, most: usize, held: &mut Held) -> Result<Vec<u8>, Response> {
    let mut bytes = Vec::new();
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let frame = frame.map_err(|_| problem(StatusCode::BAD_REQUEST, "Malformed request", "the body broke off"))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > most {
            return Err(too_large(most));
        }
        if !held.grow(data.len()) {
            return Err(busy("this client has its share of what bodies may hold at a time"));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}
