//! The routes that bring events.

use super::access::Scope;
use super::app::App;
use super::call::{Route, answer, last};
use super::problem::Problem;
use super::reply::Reply;
use crate::connector::{Drafts, Receipt, webhooks};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use std::sync::Arc;

/// Clients of the described connector take no other status for a success.
fn done(receipt: &Receipt) -> Reply {
    Reply::json(StatusCode::OK, receipt)
}

/// Whose journey it is, as with the described connector.
const A_USER: &str = "user_001";

/// The header of the requests that publish.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it describes a header")]
struct IdempotencyKey {
    /// The same key twice is one request, whose answer is given again
    #[param(rename = "Idempotency-Key", min_length = 1, max_length = 255, pattern = "^[!-~]+$")]
    key: Option<String>,
}

/// Generate the last events of the scenario `email` before now, and publish them.
#[utoipa::path(
    post,
    path = "/api/mock/events/generate",
    tag = "events",
    params(
        ("count" = Option<u64>, Query, minimum = 1, maximum = 10_000, description = "How many; 100 unless given"),
        ("seed" = Option<u64>, Query, description = "Seed; without one, one is drawn and returned"),
        IdempotencyKey,
    ),
    responses((status = 200, description = "In the log", body = Receipt)),
)]
pub(super) async fn generate(State(app): State<Arc<App>>, request: Request) -> Response {
    let route = Route::of("/api/mock/events/generate", Scope::Generate).with_query(&["count", "seed"]);
    answer(app, route, request, |app, call| {
        let count = call.number("count")?.unwrap_or(100);
        let connector = &app.services.connector;
        let _turn = connector.mock().turn();
        let receipt = connector.submit(&call.request("mock/generate")?, |moment| connector.mock().generate(count, moment))?;
        Ok(done(&receipt))
    })
    .await
}

/// Publish the latest full journey of a user before now: sent, delivered, opened and clicked of one message.
#[utoipa::path(
    post,
    path = "/api/mock/events/pattern",
    tag = "events",
    params(
        ("userId" = Option<String>, Query, min_length = 1, max_length = 256, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]*$", description = "A recipient of the scenario, such as synth_user_01000, or any id; user_001 unless given"),
        ("seed" = Option<u64>, Query, description = "Seed; without one, one is drawn and returned"),
        IdempotencyKey,
    ),
    responses((status = 200, description = "In the log", body = Receipt)),
)]
pub(super) async fn pattern(State(app): State<Arc<App>>, request: Request) -> Response {
    let route = Route::of("/api/mock/events/pattern", Scope::Generate).with_query(&["userId", "seed"]);
    answer(app, route, request, |app, call| {
        let user = call.parameter("userId").unwrap_or(A_USER);
        let connector = &app.services.connector;
        let _turn = connector.mock().turn();
        let receipt = connector.submit(&call.request("mock/pattern")?, |moment| connector.mock().journey(user, moment))?;
        Ok(done(&receipt))
    })
    .await
}

/// Publish one event, or a list of at most 1,000. With one problem nothing is published.
#[utoipa::path(
    post,
    path = "/api/mock/events/synthetic",
    tag = "events",
    params(IdempotencyKey),
    request_body = Value,
    responses(
        (status = 200, description = "In the log", body = Receipt),
        (status = 422, description = "No event: each field with its reason", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn synthetic(State(app): State<Arc<App>>, request: Request) -> Response {
    let route = Route::of("/api/mock/events/synthetic", Scope::Ingest).with_json();
    answer(app, route, request, |app, call| {
        let drafts = Drafts::of_events(call.items()?, app.services.connector.ring())?;
        Ok(done(&app.services.connector.submit(&call.request("synthetic")?, |_| Ok(drafts))?))
    })
    .await
}

/// Take a webhook of an email service provider. Items that are no events become dead letters; the others are published.
#[utoipa::path(
    post,
    path = "/api/webhooks/{esp}",
    tag = "events",
    params(
        ("esp" = String, Path, description = "The provider"),
        IdempotencyKey,
    ),
    request_body = Value,
    responses(
        (status = 202, description = "In the log, or a dead letter", body = Receipt),
        (status = 422, description = "No event, for want of an identity key", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn webhook(State(app): State<Arc<App>>, request: Request) -> Response {
    taken(app, request, "/api/webhooks/{esp}", StatusCode::ACCEPTED).await
}

/// The same, at the path of the described connector.
#[utoipa::path(
    post,
    path = "/api/webhook/{esp}",
    tag = "events",
    params(
        ("esp" = String, Path, description = "The provider"),
        IdempotencyKey,
    ),
    request_body = Value,
    responses(
        (status = 200, description = "In the log, or a dead letter", body = Receipt),
        (status = 422, description = "No event, for want of an identity key", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn described_webhook(State(app): State<Arc<App>>, request: Request) -> Response {
    taken(app, request, "/api/webhook/{esp}", StatusCode::OK).await
}

async fn taken(app: Arc<App>, request: Request, path: &'static str, status: StatusCode) -> Response {
    let provider = last(request.uri()).and_then(|last| webhooks::PROVIDERS.into_iter().find(|known| *known == last));
    let route = Route::of(path, Scope::Ingest).with_json().of_provider(provider);
    answer(app, route, request, move |app, call| {
        // Of another provider there is none.
        let provider = provider.map_or_else(|| call.last(), |known| Ok(known.to_owned()))?;
        let connector = &app.services.connector;
        let most = app.services.limits.of(&provider).events;
        let drafts = webhooks::read(&provider, call.lenient_json()?, connector.ring(), most)?;
        let purpose = format!("webhook/{provider}");
        Ok(Reply::json(status, &connector.submit(&call.request(&purpose)?, |_| Ok(drafts))?))
    })
    .await
}
