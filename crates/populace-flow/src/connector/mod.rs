//! What happens to events between the request that brings them and the log: checks, identities, each event once.
//!
//! 1. A request becomes drafts: fields, and identifiers in place of what names a person.
//! 2. Every draft is checked. One problem rejects the request, and nothing of it is published; of a webhook, whose sender cannot correct
//!    it, the item becomes a dead letter, and the others are published.
//! 3. Identifiers are resolved; from here on no address is left.
//! 4. Events whose id was published before are left out; the others are published, all at once.
//! 5. Only then the request is answered, and its answer is kept under its `Idempotency-Key`.

mod drafts;
mod ledger;
mod lenient;
mod letters;
pub mod mock;
mod tally;
#[cfg(test)]
mod tests;
pub mod webhooks;

pub use drafts::{Draft, Drafts, Ignored, Items, MAX_ITEMS, Named, Webhook};
pub use ledger::Ledger;
pub use tally::{Adjusted, Matter, Outcome, Tally};

use crate::error::FlowError;
use crate::event::{Event, MAX_LATENCY_MS, Problem};
use crate::identity::{Claim, IdentityStore, KeyRing};
use crate::log::{Producer, Record};
use crate::time;
use drafts::{Claims, Unfit};
use ledger::Begun;
use mock::Mock;
use populace_core::email::EventType;
use populace_core::time::Instant;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap, HashSet};
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
    /// The same as `accepted`, in the word of the described connector.
    #[serde(default)]
    pub count: u64,
    /// Of one event and of what was generated: the event, or the first five.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    #[schema(value_type = Vec<Object>)]
    pub events: Vec<Value>,
    /// Items of a webhook that have no type of event.
    pub ignored: Vec<Ignored>,
    /// What was changed so that items could be taken, `field: what`, and how often.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub adjusted: BTreeMap<String, u64>,
    /// Items of a webhook that were no events and are dead letters now.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub dead_letters: u64,
    /// Why: the first 200 problems of them.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub problems: Vec<ItemProblem>,
    /// Seed of what was generated: the same seed at the same moment makes the same events.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub seed: Option<u64>,
    /// Whether an earlier request with this `Idempotency-Key` did it.
    #[serde(default)]
    pub replayed: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// A problem of one item of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
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
    /// What was changed, ignored or became a dead letter: by sender, event and field.
    pub items: Tally,
}

/// Events of which an answer shows the first.
const SHOWN: usize = 5;
/// The most problems that an answer lists.
const LISTED: usize = 200;

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
        let Drafts { drafts, ignored, mut problems, seed, webhook, mut adjusted, shown } = drafts;
        let mut claims = Claims::new(&self.ring);
        let mut checked: Vec<(Event<'_>, usize)> = Vec::with_capacity(drafts.len());
        let mut needs_key = false;
        for draft in drafts {
            let item = draft.item;
            match draft.check(&mut claims, moment, &mut adjusted) {
                Ok(sound) => checked.push(sound),
                Err(Unfit { problems: found, needs_key: is_ours }) => {
                    needs_key |= is_ours;
                    problems.extend(found.into_iter().map(|problem| ItemProblem::of(item, problem)));
                }
            }
        }
        // Where all it takes is a key of ours, the provider is to send it again.
        if !problems.is_empty() && (webhook.is_none() || checked.is_empty() && needs_key) {
            problems.sort_by_key(|problem| problem.item);
            self.counts.invalid.fetch_add(problems.len() as u64, Ordering::Relaxed);
            return Err(Rejection::Invalid(problems));
        }
        self.counts.ignored.fetch_add(ignored.len() as u64, Ordering::Relaxed);
        adjusted.tally(webhook.as_ref().map_or("synthetic", |webhook| webhook.provider), &self.counts.items);
        let mut events = self.resolve(checked, claims.all(), request, moment)?;
        let mut dead_letters = 0;
        if let Some(webhook) = &webhook {
            dead_letters = self.bury(webhook, &mut problems, &ignored, moment)?;
            self.time(&mut events, moment)?;
        }

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
        let first = events.iter().take(if shown { SHOWN } else { 0 });
        problems.truncate(LISTED);
        let receipt = Receipt {
            accepted,
            published,
            duplicates: accepted - published,
            count: accepted,
            events: first.filter_map(|event| serde_json::from_slice(&event.to_json()).ok()).collect(),
            ignored,
            adjusted: adjusted.told(),
            dead_letters,
            problems,
            seed,
            replayed: false,
        };
        self.ledger.finish(&ids, moment.at, key.map(|key| (request.client.as_str(), key)), &receipt)?;
        self.counts.published.fetch_add(published, Ordering::Relaxed);
        self.counts.duplicates.fetch_add(receipt.duplicates, Ordering::Relaxed);
        Ok(receipt)
    }

    /// Gives a delivery its latency where the provider has reported the sending of the message before, and remembers what is sent now.
    fn time(&self, events: &mut [Event<'_>], moment: Moment) -> Result<(), FlowError> {
        let of = |kind: EventType| move |event: &&Event<'_>| event.event_type == kind;
        let sent = |event: &Event<'_>| Some((event.message_id?.to_u128(), event.timestamp));
        let now: HashMap<u128, Instant> = events.iter().filter(of(EventType::Sent)).filter_map(sent).collect();
        self.ledger.sent(&now, moment.at)?;
        let open = |event: &&Event<'_>| event.send_time.is_none() && event.latency_ms.is_none() && !now.contains_key(&id_of(event));
        let asked: Vec<u128> = events.iter().filter(of(EventType::Delivered)).filter(open).map(id_of).collect();
        let before = self.ledger.sent_at(&asked)?;
        for event in events.iter_mut().filter(|event| event.event_type == EventType::Delivered && event.latency_ms.is_none()) {
            let id = id_of(event);
            let Some(sent) = event.send_time.or_else(|| now.get(&id).or_else(|| before.get(&id)).copied()) else { continue };
            let millis = event.timestamp.since(sent) / time::MILLISECOND;
            if (0.0..=MAX_LATENCY_MS).contains(&(millis as f64)) {
                (event.send_time, event.latency_ms) = (Some(sent), Some(millis));
            }
        }
        Ok(())
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

/// The message of an event of mail.
fn id_of(event: &Event<'_>) -> u128 {
    event.message_id.map_or(0, populace_core::email::Uuid::to_u128)
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
