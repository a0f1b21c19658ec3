//! The routes of the connector.

use super::access::Scope;
use super::api::Events;
use super::call::{Call, Reply, Route, answer};
use super::problem::{Problem, problem};
use super::{App, api, features, identity, metrics};
use crate::connector::{Drafts, Receipt, Rejection, webhooks};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa::ToSchema;

/// The routes at the connector's address.
pub(super) fn connector(app: Arc<App>) -> Router {
    let routes = Router::new()
        .route("/api/mock/events/generate", post(generate))
        .route("/api/mock/events/pattern", post(pattern))
        .route("/api/mock/events/synthetic", post(synthetic))
        .route("/api/webhooks/{esp}", post(webhook))
        .route("/api/identity/resolve", post(identity::resolve))
        .route("/api/identity/links", post(identity::link))
        .route("/api/identity/persons/{universal_id}", get(identity::person).delete(identity::erase));
    common(routes, app)
}

/// The routes at the feature service's address.
pub(super) fn features(app: Arc<App>) -> Router {
    let routes =
        Router::new().route("/compute-features", post(features::compute)).route("/features/{universal_id}", get(features::features));
    common(routes, app)
}

fn common(routes: Router<Arc<App>>, app: Arc<App>) -> Router {
    routes
        .route("/health", get(health))
        .route("/ready", get(ready))
        .route("/version", get(version))
        .route("/metrics", get(figures))
        .fallback(|| async { problem(StatusCode::NOT_FOUND, "Not found", "there is no such path; /scalar/v1 shows those there are") })
        .method_not_allowed_fallback(|| async {
            problem(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed", "this path takes another method; /scalar/v1 shows which")
        })
        .route("/openapi.json", get(openapi))
        .route("/scalar/v1", get(scalar))
        .with_state(app)
}

/// The process answers.
#[derive(Serialize, ToSchema)]
pub(super) struct Health {
    /// `ok`.
    status: &'static str,
}

/// Whether events would be taken.
#[derive(Serialize, ToSchema)]
pub(super) struct Readiness {
    /// Whether every part is ready.
    ready: bool,
    /// Each part: `ok`, or why it is not ready.
    parts: BTreeMap<&'static str, String>,
}

/// Which version this is.
#[derive(Serialize, ToSchema)]
pub(super) struct About {
    /// `populace`.
    name: &'static str,
    /// Of the program.
    version: &'static str,
    /// Of the values: the same version, scenario and seed make the same events.
    values_version: u32,
}

fn accepted(receipt: &Receipt) -> Reply {
    Reply::json(StatusCode::ACCEPTED, receipt)
}

/// Generate the last events of the scenario `email` before now, and publish them.
#[utoipa::path(
    post,
    path = "/api/mock/events/generate",
    tag = "events",
    params(
        ("count" = Option<u64>, Query, minimum = 1, maximum = 10_000, description = "How many; 100 unless given"),
        ("seed" = Option<u64>, Query, description = "Seed; without one, one is drawn and told"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key twice is one request, whose answer is given again"),
    ),
    responses((status = 202, description = "In the log", body = Receipt)),
)]
pub(super) async fn generate(State(app): State<Arc<App>>, request: Request) -> Response {
    let route = Route::of("/api/mock/events/generate", Scope::Generate).with_query(&["count", "seed"]);
    answer(app, route, request, |app, call| {
        let count = call.number("count")?.unwrap_or(100);
        let connector = &app.services.connector;
        let _turn = connector.mock().turn();
        let receipt = connector.submit(&call.request("mock/generate")?, |moment| connector.mock().generate(count, moment))?;
        Ok(accepted(&receipt))
    })
    .await
}

/// Publish the latest full journey of a user before now: sent, delivered, opened and clicked of one message.
#[utoipa::path(
    post,
    path = "/api/mock/events/pattern",
    tag = "events",
    params(
        ("userId" = String, Query, description = "A recipient of the scenario, such as synth_user_01000, or any id"),
        ("seed" = Option<u64>, Query, description = "Seed; without one, one is drawn and told"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key twice is one request, whose answer is given again"),
    ),
    responses((status = 202, description = "In the log", body = Receipt)),
)]
pub(super) async fn pattern(State(app): State<Arc<App>>, request: Request) -> Response {
    let route = Route::of("/api/mock/events/pattern", Scope::Generate).with_query(&["userId", "seed"]);
    answer(app, route, request, |app, call| {
        let user = call.parameter("userId")?.ok_or_else(|| Rejection::Malformed("userId: must be given".to_owned()))?;
        let connector = &app.services.connector;
        let _turn = connector.mock().turn();
        let receipt = connector.submit(&call.request("mock/pattern")?, |moment| connector.mock().journey(&user, moment))?;
        Ok(accepted(&receipt))
    })
    .await
}

/// Publish one event, or a list of at most 1,000. With one problem nothing is published.
#[utoipa::path(
    post,
    path = "/api/mock/events/synthetic",
    tag = "events",
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key twice is one request, whose answer is given again")),
    request_body = Events,
    responses(
        (status = 202, description = "In the log", body = Receipt),
        (status = 422, description = "No event: each field with its reason", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn synthetic(State(app): State<Arc<App>>, request: Request) -> Response {
    let route = Route::of("/api/mock/events/synthetic", Scope::Ingest).with_json();
    answer(app, route, request, |app, call| {
        let drafts = Drafts::of_events(call.json()?)?;
        Ok(accepted(&app.services.connector.submit(&call.request("synthetic")?, |_| Ok(drafts))?))
    })
    .await
}

/// Take a webhook of an email service provider.
#[utoipa::path(
    post,
    path = "/api/webhooks/{esp}",
    tag = "events",
    params(
        ("esp" = String, Path, description = "klaviyo or sendgrid"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key twice is one request, whose answer is given again"),
    ),
    request_body = Value,
    responses(
        (status = 202, description = "In the log", body = Receipt),
        (status = 422, description = "No event: each field with its reason", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn webhook(State(app): State<Arc<App>>, request: Request) -> Response {
    let route = Route::of("/api/webhooks/{esp}", Scope::Ingest).with_json();
    answer(app, route, request, |app, call| {
        let provider = call.last()?;
        let drafts = webhooks::read(&provider, call.json()?)?;
        let purpose = format!("webhook/{provider}");
        Ok(accepted(&app.services.connector.submit(&call.request(&purpose)?, |_| Ok(drafts))?))
    })
    .await
}

/// Whether the process answers.
#[utoipa::path(
    get,
    path = "/health",
    tag = "operation",
    security(()),
    responses((status = 200, description = "It does", body = Health)),
)]
pub(super) async fn health(State(app): State<Arc<App>>, request: Request) -> Response {
    answer(app, Route::open("/health"), request, |_, _| Ok(Reply::json(StatusCode::OK, &Health { status: "ok" }))).await
}

/// Whether events would be taken now: the log, the table and what else is behind.
#[utoipa::path(
    get,
    path = "/ready",
    tag = "operation",
    security(()),
    responses(
        (status = 200, description = "They would", body = Readiness),
        (status = 503, description = "What is not ready, and why", body = Readiness),
    ),
)]
pub(super) async fn ready(State(app): State<Arc<App>>, request: Request) -> Response {
    answer(app, Route::open("/ready"), request, |app, _| Ok(readiness(app))).await
}

fn readiness(app: &App) -> Reply {
    let log = ("log", app.services.connector.ready());
    let others = app.services.gauges.parts.iter().map(|(name, part)| (*name, part()));
    let parts: Vec<(&str, Result<(), crate::FlowError>)> = std::iter::once(log).chain(others).collect();
    let ready = parts.iter().all(|(_, state)| state.is_ok());
    let told = |state: &Result<(), crate::FlowError>| state.as_ref().map_or_else(ToString::to_string, |()| "ok".to_owned());
    let parts = parts.iter().map(|(name, state)| (*name, told(state))).collect();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Reply::json(status, &Readiness { ready, parts })
}

/// Which version this is.
#[utoipa::path(
    get,
    path = "/version",
    tag = "operation",
    security(()),
    responses((status = 200, description = "The version", body = About)),
)]
pub(super) async fn version(State(app): State<Arc<App>>, request: Request) -> Response {
    answer(app, Route::open("/version"), request, |_, _| {
        let version = About { name: "populace", version: env!("CARGO_PKG_VERSION"), values_version: populace_io::VALUES_VERSION };
        Ok(Reply::json(StatusCode::OK, &version))
    })
    .await
}

/// Everything that is counted, for Prometheus.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "operation",
    responses((status = 200, description = "Text format 0.0.4", body = String, content_type = "text/plain")),
)]
pub(super) async fn figures(State(app): State<Arc<App>>, request: Request) -> Response {
    let route = Route::of("/metrics", Scope::Admin);
    answer(app, route, request, |app, _| Ok(Reply::text("text/plain; version=0.0.4; charset=utf-8", metrics::page(app)))).await
}

/// The description of the services (`OpenAPI` 3.1).
async fn openapi(State(app): State<Arc<App>>, request: Request) -> Response {
    answer(app, Route::open("/openapi.json"), request, |_, _| Ok(Reply::json(StatusCode::OK, &api::document()))).await
}

/// The same, to read and to try in a browser.
async fn scalar(State(app): State<Arc<App>>, request: Request) -> Response {
    answer(app, Route::open("/scalar/v1"), request, |_, _| Ok(Reply::text("text/html; charset=utf-8", api::page()))).await
}

/// What a call without a body that matters is answered with.
pub(super) fn found<T: serde::Serialize>(value: Option<T>, what: &str) -> Result<Reply, Rejection> {
    value.map(|value| Reply::json(StatusCode::OK, &value)).ok_or_else(|| Rejection::Missing(what.to_owned()))
}

/// The last part of a call's path, which must be an id of a person.
pub(super) fn person_id(call: &Call) -> Result<String, Rejection> {
    let id = call.last()?;
    let reason = "must be `sf_` and 26 characters of lower-case base32";
    if crate::event::is_universal_id(&id) { Ok(id) } else { Err(Rejection::Malformed(format!("universal_id: {reason}"))) }
}
