//! The feature service.

use super::App;
use super::access::Scope;
use super::call::{Reply, Route, answer};
use super::routes::{found, person_id};
use crate::connector::Rejection;
use crate::error::FlowError;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;
use std::sync::Arc;

/// What computes features of recipients from their events, keeps them, and gives those of one.
pub trait Features: Send + Sync {
    /// Computes the features of all recipients anew, and says what that was.
    ///
    /// # Errors
    /// The events are not to be read.
    fn compute(&self) -> Result<Value, FlowError>;

    /// The features of a person, as last computed.
    ///
    /// # Errors
    /// They are not to be read.
    fn of(&self, universal_id: &str) -> Result<Option<Value>, FlowError>;
}

/// Where features come from.
pub type FeatureSource = Arc<dyn Features>;

fn source(app: &App) -> Result<&FeatureSource, Rejection> {
    app.services.features.as_ref().ok_or_else(|| Rejection::Missing("this service has no events to compute features from".to_owned()))
}

/// Compute the features of all recipients anew.
pub(super) async fn compute(State(app): State<Arc<App>>, request: Request) -> Response {
    let route = Route { path: "/compute-features", scope: Some(Scope::Admin), json: false };
    answer(app, route, request, |app, _| Ok(Reply::json(StatusCode::OK, &source(app)?.compute()?))).await
}

/// The features of a person, as last computed.
pub(super) async fn features(State(app): State<Arc<App>>, request: Request) -> Response {
    let route = Route { path: "/features/{universal_id}", scope: Some(Scope::Ingest), json: false };
    answer(app, route, request, |app, call| {
        let features = source(app)?.of(&person_id(call)?)?;
        found(features, "there are no features of this person; POST /compute-features computes them from the events there are")
    })
    .await
}
