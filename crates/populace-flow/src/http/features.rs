//! The feature service.

use super::App;
use super::access::Scope;
use super::call::{Reply, Route, answer};
use super::problem::Problem;
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
    /// Computes the features of all recipients anew, and says what that was; none if there are no events yet.
    ///
    /// # Errors
    /// The events are not to be read.
    fn compute(&self) -> Result<Option<Value>, FlowError>;

    /// Removes the features of a person, given all ids the person has had, and says how many rows that were.
    ///
    /// # Errors
    /// They are not to be read or written.
    fn erase(&self, universal_ids: &[String]) -> Result<u64, FlowError>;

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
#[utoipa::path(
    post,
    path = "/compute-features",
    responses(
        (status = 200, description = "What was computed", body = Value),
        (status = 404, description = "There are no events yet", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn compute(State(app): State<Arc<App>>, request: Request) -> Response {
    let route = Route::of("/compute-features", Scope::Admin);
    answer(app, route, request, |app, _| {
        let none =
            || Rejection::Missing("there are no events in the table yet; send some, and compute again once they are stored".to_owned());
        Ok(Reply::json(StatusCode::OK, &source(app)?.compute()?.ok_or_else(none)?))
    })
    .await
}

/// The features of a person, as last computed.
#[utoipa::path(
    get,
    path = "/features/{universal_id}",
    params(("universal_id" = String, Path, pattern = "^sf_[a-z2-7]{26}$", description = "The person: an id that it has or has had")),
    responses((status = 200, description = "The features", body = Value)),
)]
pub(super) async fn features(State(app): State<Arc<App>>, request: Request) -> Response {
    let route = Route::of("/features/{universal_id}", Scope::Ingest);
    answer(app, route, request, |app, call| {
        let (id, source) = (person_id(call)?, source(app)?);
        let mut features = source.of(&id)?;
        // Who gave way to another id, or was computed under an earlier one, is found under each.
        if features.is_none()
            && let Some(person) = app.services.connector.identities().person(&id)?
        {
            let ids = person.members.iter().map(|(id, _)| id.as_str());
            for id in std::iter::once(person.universal_id.as_str()).chain(ids) {
                features = source.of(id)?;
                if features.is_some() {
                    break;
                }
            }
        }
        found(features, "there are no features of this person; POST /compute-features computes them from the events there are")
    })
    .await
}
