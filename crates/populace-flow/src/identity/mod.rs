//! Who an identifier belongs to: an address, a telephone number or a provider's id resolves to one `universal_id`.
//!
//! Every identifier has a *base id*, a keyed hash that any process computes alike. Identifiers that were seen together are *linked*; the
//! person is what hangs together, and the `universal_id` is the least base id among the person's identifiers, addresses before telephone
//! numbers before provider ids. So it depends on the set of links alone: not on their order, nor on who saw them. An address that was
//! merged with no other address keeps the id that its hash gives.
//!
//! Nothing is lost by a merge: links, base ids and every change of a `universal_id` are kept, so that what was published under an earlier
//! id can be found. No identifier is stored, only its keyed hash.

#[cfg(feature = "clickhouse")]
mod clickhouse;
mod keys;
mod store;
#[cfg(test)]
mod tests;

#[cfg(feature = "clickhouse")]
pub use clickhouse::ClickHouseIdentities;
use keys::SYNTHETIC;
pub use keys::{KeyRing, Token};
pub use store::IdentityDatabase;

use crate::error::FlowError;
use populace_core::time::Instant;
use populace_io::identity::IdentityError;
use serde::Serialize;
use std::collections::HashMap;

/// What an identifier is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An email address.
    Email,
    /// A `universal_id` that was made elsewhere: taken for that of an address until it turns out to be another's.
    Universal,
    /// A telephone number.
    Phone,
    /// An id that a provider gave.
    Provider,
}

impl Kind {
    /// As stored and shown.
    pub const fn name(self) -> &'static str {
        ["email", "universal_id", "phone", "provider"][self as usize]
    }

    /// What is stored under a name.
    #[cfg(feature = "clickhouse")]
    fn named(name: &str) -> Option<Self> {
        [Self::Email, Self::Universal, Self::Phone, Self::Provider].into_iter().find(|kind| kind.name() == name)
    }

    /// What comes first names the person.
    const fn rank(self) -> u8 {
        [0, 0, 1, 2][self as usize]
    }
}

/// An identifier as it came in. Has no `Debug`, so that no log shows it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Identifier {
    /// An email address.
    Email(String),
    /// A telephone number with its country code.
    Phone(String),
    /// An id that a provider gave: the provider and the id.
    Provider(String, String),
    /// A `universal_id` that was made elsewhere.
    Universal(String),
}

/// Why an identifier cannot be resolved. Says nothing of the identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// An address that is none, or that the key does not protect.
    #[error("{}", told(*.0))]
    Address(#[source] IdentityError),
    /// No telephone number.
    #[error("not a telephone number: it must begin with + and the country code and have 7 to 15 digits")]
    Phone,
    /// A number that may be somebody's, under a key that is public.
    #[error("a telephone number outside the ranges reserved for fiction needs a secret key: start the service with --identity-key-file")]
    Unprotected,
    /// Neither provider nor id may be empty.
    #[error("must not be empty, and have at most 256 characters")]
    Empty,
    /// No universal id.
    #[error("must be `sf_` and 26 characters of lower-case base32, or 16 hexadecimal digits")]
    Universal,
}

impl ClaimError {
    /// Whether a secret key, which is ours to give, would help.
    pub(crate) const fn needs_key(self) -> bool {
        matches!(self, Self::Unprotected | Self::Address(IdentityError::Unprotected))
    }
}

impl From<IdentityError> for ClaimError {
    fn from(error: IdentityError) -> Self {
        Self::Address(error)
    }
}

/// What to do about it, where a service was asked.
fn told(error: IdentityError) -> String {
    match error {
        IdentityError::Unprotected => {
            "an address outside the reserved example domains needs a secret key: start the service with --identity-key-file".to_owned()
        }
        other => other.to_string(),
    }
}

/// Identifiers of one person that were seen together, hashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Their tokens; at least one. The first names the hash that events show.
    pub tokens: Vec<Token>,
}

/// Who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The person.
    pub universal_id: String,
    /// What was done about it.
    pub outcome: Outcome,
}

/// What a resolution did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything was known.
    Known,
    /// A person who was not known.
    New,
    /// An identifier was added to a known person.
    Linked,
    /// Two known persons turned out to be one.
    Merged,
}

impl Outcome {
    /// As stored and shown.
    pub const fn name(self) -> &'static str {
        ["known", "new", "linked", "merged"][self as usize]
    }
}

/// How sure a link is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Certainty {
    /// The identifiers were seen together.
    Deterministic,
    /// They belong together with this probability, above 0 and below 1.
    Probabilistic(f64),
}

/// A link between two base ids.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Link {
    /// The lesser base id.
    pub one: String,
    /// The greater base id.
    pub other: String,
    /// `deterministic` or `probabilistic`.
    pub kind: String,
    /// Probability that they belong together; 1 of a deterministic link.
    pub weight: f64,
    /// Who said so.
    pub source: String,
    /// When it was first said.
    pub at: String,
}

/// An id that gave way to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Merge {
    /// The id that is no longer used.
    pub from: String,
    /// The id that is used instead.
    pub to: String,
    /// When.
    pub at: String,
}

/// All that is known of a person.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Person {
    /// The person's id.
    pub universal_id: String,
    /// The base ids of all identifiers, each with its kind.
    pub members: Vec<(String, String)>,
    /// The links among them, and the probable ones to others.
    pub links: Vec<Link>,
    /// The ids that were used before.
    pub merges: Vec<Merge>,
    /// Number of resolutions.
    pub resolutions: u64,
}

/// Kind and weight of a link as stored, if it is one.
fn link_of(ids: [&str; 2], certainty: Certainty) -> Result<(&'static str, f64), FlowError> {
    let (kind, weight) = match certainty {
        Certainty::Deterministic => ("deterministic", 1.0),
        Certainty::Probabilistic(weight) => ("probabilistic", weight),
    };
    if ids[0] == ids[1] || !(weight > 0.0 && (weight < 1.0 || certainty == Certainty::Deterministic)) {
        return Err(FlowError::Refused("a link joins two ids, with a weight above 0 and below 1 unless it is deterministic".to_owned()));
    }
    Ok((kind, weight))
}

fn unknown_ids() -> FlowError {
    FlowError::Refused("one of the ids is not known; resolve its identifier first".to_owned())
}

/// Where identities are kept.
pub trait IdentityStore: Send + Sync {
    /// Resolves claims, all or none, and records each resolution with `purpose` (such as `webhook/klaviyo`) and its time.
    ///
    /// # Errors
    /// The store is not to be reached; nothing was recorded.
    fn resolve(&self, claims: &[Claim], purpose: &str, at: Instant) -> Result<Vec<Resolved>, FlowError>;

    /// Records that two base ids belong together, by `source`. The same link again changes nothing; a greater weight replaces a lesser.
    ///
    /// # Errors
    /// The store is not to be reached, or one of the ids is not known.
    fn link(&self, ids: [&str; 2], certainty: Certainty, source: &str, at: Instant) -> Result<Resolved, FlowError>;

    /// The ids of the persons whom ids name, or have named, by these ids; without those that nobody is known by.
    ///
    /// # Errors
    /// The store is not to be reached.
    fn current(&self, ids: &[&str]) -> Result<HashMap<String, String>, FlowError>;

    /// What is known of the person whom an id names, or has named.
    ///
    /// # Errors
    /// The store is not to be reached.
    fn person(&self, id: &str) -> Result<Option<Person>, FlowError>;

    /// Removes a person with all identifiers, links and resolutions, and returns every id that the person has had. One row remains, which
    /// says that somebody was erased, and when.
    ///
    /// # Errors
    /// The store is not to be reached.
    fn erase(&self, id: &str, at: Instant) -> Result<Vec<String>, FlowError>;

    /// The ids of the keys that identifiers in this store were hashed under, in order, each once.
    ///
    /// # Errors
    /// The store is not to be reached.
    fn key_ids(&self) -> Result<Vec<String>, FlowError>;
}

/// The ids of the keys that people of a store are known under and that are not in the ring. `place` is where the store is.
///
/// # Errors
/// The store is not to be reached; or people are known there, and nobody under a key of the ring: everybody would be new under another id.
pub fn missing_keys(store: &dyn IdentityStore, ring: &KeyRing, place: &str) -> Result<Vec<String>, FlowError> {
    let (known, ours) = (store.key_ids()?, ring.ids());
    let missing: Vec<String> = known.iter().filter(|id| !ours.contains(&id.as_str())).cloned().collect();
    if missing.is_empty() || missing.len() < known.len() {
        return Ok(missing);
    }
    let have = if ring.is_public() { "no key of its own was given".to_owned() } else { format!("not {}", ours.join(", ")) };
    let fix = if missing.iter().any(|id| id == SYNTHETIC) {
        "these are synthetic recipients, under the public key: start without a key, or begin with a new --data directory (with --identities, \
         another database)"
    } else {
        "give the file that holds this key as --identity-key-file (a new key goes on a line above it), or begin with a new --data directory \
         (with --identities, another database)"
    };
    let missing = missing.join(", ");
    Err(FlowError::Refused(format!(
        "{place}: the people here are known under key {missing} ({have}); all would be new, under other ids: {fix}"
    )))
}
