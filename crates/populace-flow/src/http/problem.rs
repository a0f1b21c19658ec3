//! Problems as documents (RFC 9457).

use crate::connector::{ItemProblem, Rejection};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Serialize;
use std::time::Duration;
use utoipa::ToSchema;

/// The most problems of items that one answer lists.
const LISTED: usize = 200;

/// A problem document (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Problem {
    /// What kind of problem it is.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The same of every problem of a kind.
    title: &'static str,
    /// The status of the answer.
    status: u16,
    /// What is wrong, and what to do.
    detail: String,
    /// Of invalid items: the first 200 problems, each with its item and field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<ItemProblem>,
}

/// The answer to a request that has a problem.
pub(super) fn problem(status: StatusCode, title: &'static str, detail: impl Into<String>) -> Response {
    answer(status, &Problem { kind: "about:blank", title, status: status.as_u16(), detail: detail.into(), errors: Vec::new() })
}

/// An answer that says when to come again.
pub(super) fn later(status: StatusCode, title: &'static str, detail: impl Into<String>, after: Duration) -> Response {
    let mut response = problem(status, title, detail);
    let seconds = after.as_secs_f64().ceil().max(1.0) as u64;
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}

fn answer(status: StatusCode, problem: &Problem) -> Response {
    let mut body = serde_json::to_vec(problem).unwrap_or_default();
    if crate::address::bytes_hold_address(&body) {
        // A message of a document or a store may repeat what it was given.
        let detail = "the reason repeats an address, which no answer does".to_owned();
        let without = Problem { kind: problem.kind, title: problem.title, status: problem.status, detail, errors: Vec::new() };
        body = serde_json::to_vec(&without).unwrap_or_default();
    }
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    response
}

/// The answer to what was rejected.
pub(super) fn rejected(rejection: Rejection) -> Response {
    match rejection {
        Rejection::Malformed(detail) => problem(StatusCode::BAD_REQUEST, "Malformed request", detail),
        Rejection::Missing(detail) => problem(StatusCode::NOT_FOUND, "Not found", detail),
        Rejection::KeyReused => problem(
            StatusCode::UNPROCESSABLE_ENTITY,
            "Idempotency-Key belongs to another request",
            "this key was used for a request that asked for something else; use a new key for every request",
        ),
        Rejection::Invalid(mut errors) => {
            let count = errors.len();
            let mut items: Vec<usize> = errors.iter().map(|error| error.item).collect();
            items.dedup();
            errors.truncate(LISTED);
            let listed = if count > LISTED { format!(", of which {LISTED} are listed") } else { String::new() };
            let detail = format!("{} of the items are not what they must be ({count} problems{listed}); nothing was done", items.len());
            let (kind, title, status) = ("urn:populace:invalid-items", "Invalid items", StatusCode::UNPROCESSABLE_ENTITY);
            answer(status, &Problem { kind, title, status: status.as_u16(), detail, errors })
        }
        Rejection::Failed(error) if error.is_transient() => {
            let detail = format!("{error}; send the same request again");
            later(StatusCode::SERVICE_UNAVAILABLE, "Not available", detail, Duration::from_secs(1))
        }
        Rejection::Failed(error) => problem(StatusCode::INTERNAL_SERVER_ERROR, "Failed", error.to_string()),
    }
}
