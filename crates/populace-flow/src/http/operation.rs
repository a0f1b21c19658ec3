//! The routes that watch the services.

use super::access::Scope;
use super::app::App;
use super::call::{HEALTH, open, probe};
use super::metrics::{figure, labelled};
use super::reply::Reply;
use crate::connector::Matter;
use crate::error::FlowError;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use utoipa::ToSchema;

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

/// Whether the process answers.
#[utoipa::path(
    get,
    path = "/health",
    tag = "operation",
    security(()),
    responses((status = 200, description = "It does", body = Health)),
)]
pub(super) async fn health(State(app): State<Arc<App>>, request: Request) -> Response {
    open(app, HEALTH, request, || Reply::json(StatusCode::OK, &Health { status: "ok" })).await
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
    probe(app, "/ready", request, None, (|app| &app.ready, readiness)).await
}

fn readiness(app: &App) -> Reply {
    let own = app.services.connector.ready();
    let others = app.services.gauges.parts.iter().map(|(name, part)| (*name, part()));
    let parts: Vec<(&str, Result<(), FlowError>)> = own.into_iter().chain(others).collect();
    let ready = parts.iter().all(|(_, state)| state.is_ok());
    let cause = |state: Result<(), FlowError>| state.map_or_else(|error| error.to_string(), |()| "ok".to_owned());
    let parts = parts.into_iter().map(|(name, state)| (name, cause(state))).collect();
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
    open(app, "/version", request, || {
        let version = About { name: "populace", version: env!("CARGO_PKG_VERSION"), values_version: populace_io::VALUES_VERSION };
        Reply::json(StatusCode::OK, &version)
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
    let page = |app: &App| Reply::text("text/plain; version=0.0.4; charset=utf-8", page(app));
    probe(app, "/metrics", request, Some(Scope::Admin), (|app| &app.figures, page)).await
}

/// Everything that is counted. A gauge that cannot be measured is left out, and counted.
fn page(app: &App) -> String {
    let mut out = String::new();
    let counts = &app.services.connector.counts;
    let totals = [
        ("events_published_total", "Events that the log has acknowledged", &counts.published),
        ("events_duplicate_total", "Events that had been published before", &counts.duplicates),
        ("problems_total", "Problems of items that were no events", &counts.invalid),
        ("webhook_items_ignored_total", "Items of webhooks that are no events of mail", &counts.ignored),
        ("requests_replayed_total", "Requests answered from their Idempotency-Key", &counts.replayed),
        ("publications_failed_total", "Publications that the log did not acknowledge", &counts.failed),
    ];
    for (name, help, count) in totals {
        figure(&mut out, name, help, count.load(Ordering::Relaxed) as f64);
    }
    let items = counts.items.all().into_iter().map(|((outcome, about), count)| {
        let Matter { from, event, field, what } = about;
        (format!("outcome=\"{}\",from=\"{from}\",event=\"{event}\",field=\"{field}\",what=\"{what}\"", outcome.name()), count)
    });
    labelled(&mut out, "items_total", "Items that were changed, ignored or are dead letters", items);
    figure(&mut out, "http_requests_in_flight", "Requests that are worked on", app.in_flight.used() as f64);
    figure(&mut out, "http_bodies_bytes", "Bytes of the bodies that are held", app.bodies.used() as f64);
    let mut failed = 0;
    for (name, help, measure) in &app.services.gauges.values {
        match measure() {
            Ok(measured) => figure(&mut out, name, help, measured),
            Err(_) => failed += 1,
        }
    }
    match app.services.connector.letters() {
        Ok(letters) => figure(&mut out, "webhook_dead_letters", "Items of webhooks that were no events", letters as f64),
        Err(_) => failed += 1,
    }
    figure(&mut out, "gauges_failed", "Values that could not be measured now", f64::from(failed));
    app.metrics.requests(&mut out);
    out
}
