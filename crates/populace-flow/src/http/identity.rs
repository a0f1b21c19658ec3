//! Persons: resolution, links, what is known, erasure.

use super::access::Scope;
use super::app::App;
use super::call::{Call, Route, answer};
use super::reply::{Reply, found};
use crate::address::holds_address;
use crate::connector::{ItemProblem, Rejection};
use crate::event::{holds_controls, is_universal_id};
use crate::identity::{Certainty, Claim, Identifier, Person, Resolved};
use crate::time;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa::ToSchema;

/// The most identifiers of one person in a request.
const MOST: usize = 16;

const fn admin(path: &'static str) -> Route {
    Route::of(path, Scope::Admin)
}

/// A person, and what was done.
#[derive(Serialize, ToSchema)]
pub(super) struct Resolution<'a> {
    /// The person.
    universal_id: &'a str,
    /// `known`, `new`, `linked` or `merged`.
    outcome: &'static str,
}

/// What was erased.
#[derive(Serialize, ToSchema)]
pub(super) struct Erasure {
    /// Rows by where they were.
    erased: BTreeMap<String, u64>,
    /// What was not erased, by where it is, and what becomes of it.
    kept: BTreeMap<String, String>,
}

fn shown(resolved: &Resolved) -> Reply {
    Reply::json(StatusCode::OK, &Resolution { universal_id: &resolved.universal_id, outcome: resolved.outcome.name() })
}

/// Resolve identifiers that belong to one person, and link them.
#[utoipa::path(
    post,
    path = "/api/identity/resolve",
    request_body = Value,
    responses((status = 200, description = "The person, and what was done", body = Resolution)),
)]
pub(super) async fn resolve(State(app): State<Arc<App>>, request: Request) -> Response {
    answer(app, admin("/api/identity/resolve").with_json(), request, |app, call| {
        let claim = claim(app, call)?;
        let connector = &app.services.connector;
        let resolved = connector.identities().resolve(&[claim], "resolve", time::now())?;
        resolved.first().map(shown).ok_or_else(|| Rejection::Missing("nobody".to_owned()))
    })
    .await
}

fn claim(app: &App, call: &Call) -> Result<Claim, Rejection> {
    let body = call.json()?;
    let malformed = || Rejection::Malformed(format!("the body must have `identifiers`, a list of 1 to {MOST} objects"));
    let list = body.get("identifiers").and_then(Value::as_array).filter(|list| (1..=MOST).contains(&list.len())).ok_or_else(malformed)?;
    let (mut tokens, mut problems) = (Vec::new(), Vec::new());
    for (item, value) in list.iter().enumerate() {
        let empty = Map::new();
        let map = value.as_object().unwrap_or(&empty);
        let text = |key: &str| map.get(key).and_then(Value::as_str).map(str::to_owned);
        let keys: Vec<&str> = map.keys().map(String::as_str).collect();
        let identifier = match keys[..] {
            ["email"] => text("email").map(|email| ("email", Identifier::Email(email))),
            ["phone"] => text("phone").map(|phone| ("phone", Identifier::Phone(phone))),
            ["provider", "id"] | ["id", "provider"] => {
                text("provider").zip(text("id")).map(|(provider, id)| ("id", Identifier::Provider(provider, id)))
            }
            _ => None,
        };
        let told = match identifier {
            Some((field, identifier)) => app.services.connector.ring().token(&identifier).map_err(|error| (field, error.to_string())),
            None => Err(("", "must be {\"email\": …}, {\"phone\": …} or {\"provider\": …, \"id\": …}".to_owned())),
        };
        match told {
            Ok(token) => tokens.push(token),
            Err((field, reason)) => problems.push(ItemProblem { item, field: field.to_owned(), reason }),
        }
    }
    if problems.is_empty() { Ok(Claim { tokens }) } else { Err(Rejection::Invalid(problems)) }
}

/// Record that two ids belong to one person, surely or with a probability.
#[utoipa::path(
    post,
    path = "/api/identity/links",
    request_body = Value,
    responses((status = 200, description = "The person, and what was done", body = Resolution)),
)]
pub(super) async fn link(State(app): State<Arc<App>>, request: Request) -> Response {
    answer(app, admin("/api/identity/links").with_json(), request, |app, call| {
        let body = call.json()?;
        let malformed = |reason: &str| Rejection::Malformed(reason.to_owned());
        let ids: Option<Vec<&str>> = body["ids"].as_array().and_then(|ids| ids.iter().map(Value::as_str).collect());
        let two = ids.filter(|ids| ids.len() == 2 && ids[0] != ids[1] && ids.iter().all(|id| is_universal_id(id)));
        let Some(ids) = two else { return Err(malformed("ids: must be a list of two ids of persons that are not the same")) };
        let source = body["source"].as_str().filter(|source| !source.is_empty() && source.chars().count() <= 64);
        let source = source.ok_or_else(|| malformed("source: must be text of 1 to 64 characters: who says so"))?;
        if holds_address(source) {
            return Err(malformed("source: must not hold an address"));
        }
        if holds_controls(source) {
            return Err(malformed("source: must not hold control characters"));
        }
        let certainty = match &body["weight"] {
            Value::Null => Certainty::Deterministic,
            weight => match weight.as_f64() {
                Some(weight) if weight > 0.0 && weight < 1.0 => Certainty::Probabilistic(weight),
                _ => return Err(malformed("weight: must be a number above 0 and below 1")),
            },
        };
        let linked = app.services.connector.identities().link([ids[0], ids[1]], certainty, source, time::now());
        let linked = linked.map_err(|error| if error.is_transient() { error.into() } else { Rejection::Missing(error.to_string()) })?;
        Ok(shown(&linked))
    })
    .await
}

/// What is known of a person: identifiers by kind, links, earlier ids, number of resolutions.
#[utoipa::path(
    get,
    path = "/api/identity/persons/{universal_id}",
    params(("universal_id" = String, Path, pattern = "^sf_([a-z2-7]{26}|[0-9a-f]{16})$", description = "The person: an id that it has or has had")),
    responses((status = 200, description = "The person", body = Person)),
)]
pub(super) async fn person(State(app): State<Arc<App>>, request: Request) -> Response {
    answer(app, admin("/api/identity/persons/{universal_id}"), request, |app, call| {
        let person = app.services.connector.identities().person(&call.person()?)?;
        found(person, "there is no person of this id")
    })
    .await
}

/// Erase a person: identifiers, links and resolutions, and the person's events in the log, the table and the dead letters, and features; and
/// say what is kept elsewhere.
#[utoipa::path(
    delete,
    path = "/api/identity/persons/{universal_id}",
    params(("universal_id" = String, Path, pattern = "^sf_([a-z2-7]{26}|[0-9a-f]{16})$", description = "The person: an id that it has or has had")),
    responses((status = 200, description = "How many rows were erased where", body = Erasure)),
)]
pub(super) async fn erase(State(app): State<Arc<App>>, request: Request) -> Response {
    answer(app, admin("/api/identity/persons/{universal_id}"), request, |app, call| {
        let id = call.person()?;
        let identities = app.services.connector.identities();
        // Of somebody who was erased before, or was never resolved here, there may be events under the id itself.
        let person = identities.person(&id)?;
        let ids = person.map_or_else(|| vec![id.clone()], |person| person.members.into_iter().map(|(id, _)| id).collect());
        // The identities last: as long as they are there, an erasure that broke off can be asked for again.
        let mut erased = BTreeMap::new();
        for (name, eraser) in &app.services.erasers {
            erased.insert(name.clone(), eraser(&ids)?);
        }
        let letters = app.services.connector.erase_letters(&ids)?;
        if letters > 0 {
            *erased.entry("dead_letters".to_owned()).or_insert(0) += letters;
        }
        if let Some(features) = &app.services.features {
            erased.insert("features".to_owned(), features.erase(&ids)?);
        }
        erased.insert("identifiers".to_owned(), identities.erase(&id, time::now())?.len() as u64);
        if erased.values().all(|rows| *rows == 0) {
            return Err(Rejection::Missing("there is no person of this id".to_owned()));
        }
        Ok(Reply::json(StatusCode::OK, &Erasure { erased, kept: app.services.kept.clone() }))
    })
    .await
}
