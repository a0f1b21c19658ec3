//! Answers, and those that are worked out once for many who ask.

use crate::connector::Rejection;
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Mutex;

/// An answer.
#[derive(Clone)]
pub(super) struct Reply {
    status: StatusCode,
    media: &'static str,
    body: Bytes,
}

impl Reply {
    /// JSON.
    pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Self {
        Self { status, media: "application/json", body: serde_json::to_vec(value).unwrap_or_default().into() }
    }

    /// Text of another media type.
    pub(super) fn text(media: &'static str, body: String) -> Self {
        Self { status: StatusCode::OK, media, body: body.into() }
    }
}

/// What was found, as JSON.
pub(super) fn found<T: Serialize>(value: Option<T>, missing: &str) -> Result<Reply, Rejection> {
    value.map(|value| Reply::json(StatusCode::OK, &value)).ok_or_else(|| Rejection::Missing(missing.to_owned()))
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(self.media));
        response
    }
}

/// An answer that takes a thread to work out: however many ask, it is one thread at a time, and each gets an answer that was begun after it
/// asked.
#[derive(Default)]
pub(super) struct Probe(Arc<Mutex<Option<(Instant, Reply)>>>);

impl Probe {
    /// The answer that `work` gives; none if it panics.
    pub(super) async fn ask(&self, work: impl FnOnce() -> Reply + Send + 'static) -> Option<Reply> {
        let asked = Instant::now();
        let mut last = Arc::clone(&self.0).lock_owned().await;
        if let Some((begun, reply)) = &*last
            && *begun >= asked
        {
            return Some(reply.clone());
        }
        // On a task of its own: whoever asks and leaves must not make the next one begin beside it.
        let working = tokio::spawn(async move {
            let begun = Instant::now();
            let reply = tokio::task::spawn_blocking(work).await.ok()?;
            *last = Some((begun, reply.clone()));
            Some(reply)
        });
        working.await.ok()?
    }
}
