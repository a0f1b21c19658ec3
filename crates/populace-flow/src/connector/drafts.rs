//! Events that are not checked yet.

use super::{ItemProblem, Moment, Rejection, fingerprint};
use crate::event::{Event, Problem};
use crate::identity::{Claim, ClaimError, Identifier, KeyRing};
use crate::time;
use populace_core::email::Uuid;
use populace_core::time::Instant;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The most items of one request.
pub const MAX_ITEMS: usize = 1_000;

/// What names a person in the place of an id: the field, and what it holds.
pub type Named = (&'static str, Identifier);

/// An event that is not checked yet.
#[derive(Clone)]
pub struct Draft {
    /// Number of the item that it came from.
    pub item: usize,
    /// Its fields.
    pub fields: Map<String, Value>,
    /// Whose it is. Where there is none, `universal_id` says it.
    pub identifiers: Vec<Named>,
}

/// An item of a webhook that is no event of ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Ignored {
    /// Number of the item, from 0.
    pub item: usize,
    /// Why.
    pub reason: String,
}

/// The drafts of a request.
#[derive(Default)]
pub struct Drafts {
    /// What is to be checked.
    pub drafts: Vec<Draft>,
    /// What has no type of event.
    pub ignored: Vec<Ignored>,
    /// What is wrong already.
    pub problems: Vec<ItemProblem>,
    /// The seed they were drawn from.
    pub seed: Option<u64>,
}

impl Drafts {
    /// Notes what is wrong with a field of an item.
    pub fn problem(&mut self, item: usize, field: &str, reason: &str) {
        self.problems.push(ItemProblem { item, field: field.to_owned(), reason: reason.to_owned() });
    }

    /// The events of a request: one object, or a list of at most [`MAX_ITEMS`]. In the place of `universal_id` and
    /// `recipient_email_hash` an event may have `recipient_email`, `phone` and `provider_id`, which are resolved and dropped; without an
    /// `event_id` it gets one.
    ///
    /// # Errors
    /// Neither an object nor such a list.
    pub fn of_events(body: Value) -> Result<Self, Rejection> {
        let items = match body {
            Value::Object(event) => vec![Value::Object(event)],
            Value::Array(items) => items,
            _ => return Err(Rejection::Malformed("the body must be one event or a list of events".to_owned())),
        };
        check_count(items.len())?;
        let mut made = Self::default();
        for (item, value) in items.into_iter().enumerate() {
            let Value::Object(mut fields) = value else {
                made.problem(item, "", "must be a JSON object");
                continue;
            };
            let mut identifiers = Vec::new();
            for field in ["recipient_email", "phone", "provider_id"] {
                match fields.remove(field) {
                    None | Some(Value::Null) => {}
                    Some(Value::String(text)) => identifiers.push((field, identifier(field, text, &fields))),
                    Some(_) => made.problem(item, field, "must be text"),
                }
            }
            made.drafts.push(Draft { item, fields, identifiers });
        }
        Ok(made)
    }
}

fn identifier(field: &str, text: String, fields: &Map<String, Value>) -> Identifier {
    match field {
        "recipient_email" => Identifier::Email(text),
        "phone" => Identifier::Phone(text),
        _ => Identifier::Provider(fields.get("esp").and_then(Value::as_str).unwrap_or_default().to_owned(), text),
    }
}

/// Refuses a list that is empty or too long.
pub(super) fn check_count(items: usize) -> Result<(), Rejection> {
    match items {
        0 => Err(Rejection::Malformed("there is no event in the body".to_owned())),
        1..=MAX_ITEMS => Ok(()),
        _ => Err(Rejection::Malformed(format!("there are {items} events in the body; send at most {MAX_ITEMS} at once"))),
    }
}

impl Draft {
    /// The event, still under the id of its first identifier alone, and whose it is.
    pub(super) fn check(self, ring: &KeyRing, moment: Moment) -> Result<(Event, Claim), Vec<Problem>> {
        let Self { item, mut fields, identifiers } = self;
        let mut problems = Vec::new();
        let mut tokens = Vec::new();
        for (field, identifier) in &identifiers {
            match ring.token(identifier) {
                Ok(token) => tokens.push(token),
                Err(error) => problems.push(Problem::new(*field, error.to_string())),
            }
        }
        let mut missing = |field: &str, value: &dyn Fn() -> String| {
            if fields.get(field).is_none_or(Value::is_null) {
                fields.insert(field.to_owned(), Value::String(value()));
            }
        };
        missing("event_id", &|| unique(moment.at, &[b"event", &moment.seed.to_be_bytes(), &(item as u64).to_be_bytes()]).to_string());
        if let Some(first) = tokens.first() {
            missing("universal_id", &|| first.base_id.clone());
            missing("recipient_email_hash", &|| first.hash.clone());
            missing("recipient_id", &|| first.base_id.clone());
            if fields["universal_id"] != first.base_id.as_str() {
                let reason = "is made of recipient_email, phone or provider_id where one is given: leave it out";
                problems.push(Problem::new("universal_id", reason));
            }
        }
        if fields.contains_key("ingested_at") {
            problems.push(Problem::new("ingested_at", "is given by the connector: leave it out"));
        }
        fields.insert("ingested_at".to_owned(), Value::String(time::text(moment.at)));
        match Event::from_map(fields) {
            Ok(event) if problems.is_empty() => {
                if tokens.is_empty() {
                    let token = ring.token(&Identifier::Universal(event.universal_id.clone()));
                    tokens.push(token.map_err(|error: ClaimError| vec![Problem::new("universal_id", error.to_string())])?);
                }
                Ok((event, Claim { tokens }))
            }
            Ok(_) => Err(problems),
            Err(found) => {
                // Where an identifier is no good, what would be made of it is missing too, which says nothing new.
                let made = |problem: &Problem| {
                    tokens.is_empty()
                        && !identifiers.is_empty()
                        && ["universal_id", "recipient_email_hash", "recipient_id"].contains(&problem.field.as_str())
                };
                problems.extend(found.into_iter().filter(|problem| !made(problem)));
                Err(problems)
            }
        }
    }
}

/// A UUID of version 7 whose 74 further bits are those of a hash: the same of the same.
pub(super) fn unique(at: Instant, parts: &[&[u8]]) -> Uuid {
    let [word, more] = words(parts);
    Uuid::v7(at, word, more)
}

/// A UUID of version 8 (RFC 9562) of a name.
pub(super) fn named(parts: &[&[u8]]) -> Uuid {
    let [high, low] = words(parts);
    let bits = u128::from(high) << 64 | u128::from(low);
    let bits = bits & !(0xF << 76) & !(0b11 << 62) | 0x8 << 76 | 0b10 << 62;
    // The bits of version and variant are not all zero.
    Uuid::from_u128(bits).expect("a version")
}

/// 128 bits of a hash.
pub(super) fn words(parts: &[&[u8]]) -> [u64; 2] {
    let hash = fingerprint(parts);
    [0, 8].map(|at| u64::from_be_bytes(std::array::from_fn(|index| hash[at + index])))
}
