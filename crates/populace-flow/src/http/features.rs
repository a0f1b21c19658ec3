//! The feature service.

use super::access::Scope;
use super::app::{App, FeatureSource};
use super::call::{Route, answer};
use super::problem::Problem;
use super::reply::{Reply, found};
use crate::connector::Rejection;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use populace_analysis::features::moment;
use std::sync::Arc;

fn source(app: &App) -> Result<&FeatureSource, Rejection> {
    app.services.features.as_ref().ok_or_else(|| Rejection::Missing("this service has no events to compute features from".to_owned()))
}

/// Compute the features of all recipients anew.
#[utoipa::path(
    post,
    path = "/compute-features",
    params((
        "as_of" = Option<String>,
        Query,
        format = DateTime,
        pattern = r"^(19[7-9][0-9]|2[01][0-9]{2})-(0[1-9]|1[0-2])-[0-3][0-9]T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,3})?Z$",
        description = "The moment that features are computed as of; later events do not count",
    )),
    responses(
        (status = 200, description = "What was computed", body = Value),
        (status = 404, description = "There are no events yet", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn compute(State(app): State<Arc<App>>, request: Request) -> Response {
    let route = Route::of("/compute-features", Scope::Admin).with_query(&["as_of"]);
    answer(app, route, request, |app, call| {
        let wrong = || Rejection::Malformed("as_of: must be a moment such as 2026-01-10T00:00:00Z".to_owned());
        let as_of = call.parameter("as_of").map(|text| moment(text).ok_or_else(wrong)).transpose()?;
        let none =
            || Rejection::Missing("there are no events in the table yet; send some, and compute again once they are stored".to_owned());
        Ok(Reply::json(StatusCode::OK, &source(app)?.compute(as_of)?.ok_or_else(none)?))
    })
    .await
}

/// The features of a person, as last computed, or computed now if they were not.
#[utoipa::path(
    get,
    path = "/features/{universal_id}",
    params(("universal_id" = String, Path, pattern = "^sf_([a-z2-7]{26}|[0-9a-f]{16})$", description = "The person: an id that it has or has had")),
    responses((status = 200, description = "The features", body = Value)),
)]
pub(super) async fn features(State(app): State<Arc<App>>, request: Request) -> Response {
    let route = Route::of("/features/{universal_id}", Scope::Ingest);
    answer(app, route, request, |app, call| {
        let (id, source) = (call.person()?, source(app)?);
        let mut features = source.of(&id)?;
        // Who gave way to another id, or was computed under an earlier one, is found under each.
        if features.is_none() {
            let person = app.services.connector.identities().person(&id)?;
            let (now, ids) = person.map_or_else(
                || (id.clone(), vec![id]),
                |person| (person.universal_id, person.members.into_iter().map(|(id, _)| id).collect()),
            );
            for id in std::iter::once(&now).chain(&ids) {
                features = source.of(id)?;
                if features.is_some() {
                    break;
                }
            }
            if features.is_none() {
                features = source.compute_one(&now, &ids)?;
            }
        }
        found(features, "there are no events of this person")
    })
    .await
}
