//! What happens to events between the request that brings them and the log: checks, identities, each event once.
//!
//! 1. A request becomes drafts: fields, and identifiers in place of what names a person.
//! 2. Every draft is checked. One problem rejects the request, and nothing of it is published.
//! 3. Identifiers are resolved; from here on no address is left.
//! 4. Events whose id was published before are left out; the others are published, all at once.
//! 5. Only then the request is answered, and its answer is kept under its `Idempotency-Key`.

mod drafts;
mod ledger;
pub mod mock;
#[cfg(test)]
mod tests;
pub mod webhooks;

pub use drafts::{Draft, Drafts, Ignored, Items, MAX_ITEMS, Named};
pub use ledger::Ledger;

use crate::error::FlowError;
use crate::event::{Event, Problem};
use crate::identity::{Claim, IdentityStore, KeyRing};
use crate::log::{Producer, Record};
use crate::time;
use drafts::Claims;
use ledger::Begun;
use mock::Mock;
use populace_core::time::Instant;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a request is answered with, after the log has acknowledged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Receipt {
    /// Events that are in the log: `published + duplicates`.
    pub accepted: u64,
    /// Events that this request put there.
    pub published: u64,
    /// Events that were there before, by their id.
    pub duplicates: u64,
    /// Items of a webhook that have no type of event.
    pub ignored: Vec<Ignored>,
    /// Seed of what was generated: the same seed at the same moment makes the same events.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub seed: Option<u64>,
    /// Whether an earlier request with this `Idempotency-Key` did it.
    #[serde(default)]
    pub replayed: bool,
}

/// A problem of one item of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct ItemProblem {
    /// Number of the item, from 0.
    pub item: usize,
    /// Its field; empty of what concerns the item as a whole.
    pub field: String,
    /// What it must be. Never repeats the value.
    pub reason: String,
}

impl ItemProblem {
    fn of(item: usize, problem: Problem) -> Self {
        Self { item, field: problem.field, reason: problem.reason }
    }
}

/// Why nothing was published, or not known to be.
#[derive(Debug)]
pub enum Rejection {
    /// The request is not of the form that it must have.
    Malformed(String),
    /// Some of its items are no events: each with field and reason.
    Invalid(Vec<ItemProblem>),
    /// Its `Idempotency-Key` belongs to another request.
    KeyReused,
    /// There is no such thing.
    Missing(String),
    /// The log or a store failed. The same request may be sent again.
    Failed(FlowError),
}

impl From<FlowError> for Rejection {
    fn from(error: FlowError) -> Self {
        Self::Failed(error)
    }
}

/// Whose request it is, and which.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Who sent it: keys of one client are not those of another.
    pub client: String,
    /// Its `Idempotency-Key`.
    pub key: Option<String>,
    /// What it does, such as `webhook/klaviyo`.
    pub purpose: String,
    /// SHA-256 of what it asks for.
    pub fingerprint: [u8; 32],
    /// The seed it asks for.
    pub seed: Option<u64>,
}

/// The moment and the seed of a request: the same when it is sent again under its key, so that it makes the same events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// When it was first received.
    pub at: Instant,
    /// What it draws from.
    pub seed: u64,
}

/// Running totals, for metrics.
#[derive(Debug, Default)]
pub struct Counts {
    /// Events published.
    pub published: AtomicU64,
    /// Events that had been published before.
    pub duplicates: AtomicU64,
    /// Items that were no events.
    pub invalid: AtomicU64,
    /// Items of webhooks without a type of event.
    pub ignored: AtomicU64,
    /// Requests answered from their key.
    pub replayed: AtomicU64,
    /// Publications that failed.
    pub failed: AtomicU64,
}

/// The way from requests to the log.
pub struct Connector {
    log: Arc<dyn Producer>,
    identities: Arc<dyn IdentityStore>,
    ring: KeyRing,
    ledger: Ledger,
    mock: Mock,
    /// What was done so far.
    pub counts: Counts,
}

impl Connector {
    /// A connector that publishes to a log.
    pub fn new(log: Arc<dyn Producer>, identities: Arc<dyn IdentityStore>, ring: KeyRing, ledger: Ledger) -> Self {
        Self { log, identities, ring, ledger, mock: Mock::default(), counts: Counts::default() }
    }

    /// The generator of events.
    pub fn mock(&self) -> &Mock {
        &self.mock
    }

    /// The keys of identities.
    pub fn ring(&self) -> &KeyRing {
        &self.ring
    }

    /// Where identities are kept.
    pub fn identities(&self) -> &dyn IdentityStore {
        self.identities.as_ref()
    }

    /// Whether events would be taken now: log and ledger, each with why not.
    pub fn ready(&self) -> [(&'static str, Result<(), FlowError>); 2] {
        [("log", self.log.ready()), ("ledger", self.ledger.ready())]
    }

    /// Publishes what `make` makes of a request, once, and returns after the log has acknowledged.
    ///
    /// # Errors
    /// Nothing was published, unless the log failed in between; then the request may be sent again under its key.
    pub fn submit<'a>(&self, request: &Request, make: impl FnOnce(Moment) -> Result<Drafts<'a>, Rejection>) -> Result<Receipt, Rejection> {
        let drawn = || request.seed.map_or_else(ledger::random, Ok);
        let Some(key) = &request.key else {
            let moment = Moment { at: time::now(), seed: drawn()? };
            return self.publish(request, moment, make(moment)?, None);
        };
        let _mine = self.ledger.hold_key(&request.client, key);
        let moment = match self.ledger.begin(request, key, Moment { at: time::now(), seed: drawn()? })? {
            Begun::Now(moment) => moment,
            Begun::Done(receipt) => {
                self.counts.replayed.fetch_add(1, Ordering::Relaxed);
                return Ok(Receipt { replayed: true, ..receipt });
            }
            Begun::OfAnother => return Err(Rejection::KeyReused),
        };
        let made = make(moment).and_then(|drafts| self.publish(request, moment, drafts, Some(key)));
        if matches!(made, Err(Rejection::Malformed(_) | Rejection::Invalid(_) | Rejection::Missing(_))) {
            // What was rejected may be corrected and sent again under its key.
            self.ledger.forget(&request.client, key)?;
        }
        made
    }

    fn publish(&self, request: &Request, moment: Moment, drafts: Drafts<'_>, key: Option<&str>) -> Result<Receipt, Rejection> {
        let Drafts { drafts, ignored, mut problems, seed } = drafts;
        let mut claims = Claims::new(&self.ring);
        let mut checked: Vec<(Event<'_>, usize)> = Vec::with_capacity(drafts.len());
        for draft in drafts {
            let item = draft.item;
            match draft.check(&mut claims, moment) {
                Ok(sound) => checked.push(sound),
                Err(found) => problems.extend(found.into_iter().map(|problem| ItemProblem::of(item, problem))),
            }
        }
        if !problems.is_empty() {
            problems.sort_by_key(|problem| problem.item);
            self.counts.invalid.fetch_add(problems.len() as u64, Ordering::Relaxed);
            return Err(Rejection::Invalid(problems));
        }
        self.counts.ignored.fetch_add(ignored.len() as u64, Ordering::Relaxed);
        let events = self.resolve(checked, claims.all(), request, moment)?;

        let accepted = events.len() as u64;
        let mut seen = HashSet::with_capacity(events.len());
        let ids: Vec<u128> = events.iter().map(|event| event.event_id.to_u128()).filter(|id| seen.insert(*id)).collect();
        // While they are held, nobody else publishes them.
        let _mine = self.ledger.hold_events(&ids);
        let known = self.ledger.known(&ids)?;
        let mut left: HashSet<u128> = ids.iter().copied().filter(|id| !known.contains(id)).collect();
        let new = events.iter().filter(|event| left.remove(&event.event_id.to_u128()));
        let records: Vec<Record> = new.map(|event| Record { key: event.key().to_vec(), value: event.to_json() }).collect();
        if !records.is_empty() {
            self.log.publish(&records).inspect_err(|_| {
                self.counts.failed.fetch_add(1, Ordering::Relaxed);
            })?;
        }
        let published = records.len() as u64;
        let receipt = Receipt { accepted, published, duplicates: accepted - published, ignored, seed, replayed: false };
        self.ledger.finish(&ids, moment.at, key.map(|key| (request.client.as_str(), key)), &receipt)?;
        self.counts.published.fetch_add(published, Ordering::Relaxed);
        self.counts.duplicates.fetch_add(receipt.duplicates, Ordering::Relaxed);
        Ok(receipt)
    }

    /// Gives every event the id of its person, given its claim's number. Claims that are alike are resolved once.
    fn resolve<'a>(
        &self,
        checked: Vec<(Event<'a>, usize)>,
        claims: &[Claim],
        request: &Request,
        moment: Moment,
    ) -> Result<Vec<Event<'a>>, FlowError> {
        let mut distinct: Vec<Claim> = Vec::new();
        let mut number_of = HashMap::new();
        let numbers: Vec<usize> = claims
            .iter()
            .map(|claim| {
                let ids: Vec<&str> = claim.tokens.iter().map(|token| token.base_id.as_str()).collect();
                *number_of.entry(ids).or_insert_with(|| {
                    distinct.push(claim.clone());
                    distinct.len() - 1
                })
            })
            .collect();
        let resolved = self.identities.resolve(&distinct, &request.purpose, moment.at)?;
        let named = checked.into_iter().map(|(mut event, claim)| {
            let universal_id = &resolved[numbers[claim]].universal_id;
            // Most keep the id they came with.
            if event.universal_id != *universal_id {
                if event.recipient_id == event.universal_id {
                    event.recipient_id = universal_id.clone().into();
                }
                event.universal_id = universal_id.clone().into();
            }
            event
        });
        Ok(named.collect())
    }
}

/// SHA-256 of parts, none of which can run into the next.
pub fn fingerprint(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}
