//! Events that are not checked yet.

use super::tally::Adjusted;
use super::{ItemProblem, Moment, Rejection, fingerprint, lenient};
use crate::event::{Event, Fields, Given, Problem, column};
use crate::identity::{Claim, ClaimError, Identifier, KeyRing, Token};
use populace_core::email::Uuid;
use populace_core::time::Instant;
use populace_io::tables::email::actor_of;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::HashMap;
use std::fmt;

/// The most items of one request.
pub const MAX_ITEMS: usize = 1_000;

/// What names a person in the place of an id: the field, and what it holds.
pub type Named = (&'static str, Identifier);

/// An event that is not checked yet.
#[derive(Clone)]
pub struct Draft<'a> {
    /// Number of the item that it came from.
    pub item: usize,
    /// Its fields.
    pub fields: Fields<'a>,
    /// Whose it is. Where there is none, `universal_id` says it.
    pub identifiers: Vec<Named>,
    /// The provider's name of the event, of a webhook.
    pub event: &'static str,
}

/// An item of a webhook that is not an event of ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Ignored {
    /// Number of the item, from 0.
    pub item: usize,
    /// Why.
    pub reason: String,
}

/// The drafts of a request.
#[derive(Default)]
pub struct Drafts<'a> {
    /// Of a webhook: whose it is and its items, each of which stands for itself: what is no event becomes a dead letter.
    pub webhook: Option<Webhook>,
    /// What was changed so that it can be taken.
    pub adjusted: Adjusted,
    /// Whether the answer shows events.
    pub shown: bool,
    /// What is to be checked.
    pub drafts: Vec<Draft<'a>>,
    /// What has no type of event.
    pub ignored: Vec<Ignored>,
    /// What is wrong already.
    pub problems: Vec<ItemProblem>,
    /// The seed they were drawn from.
    pub seed: Option<u64>,
}

/// The items of a provider that cannot correct them.
pub struct Webhook {
    /// The provider.
    pub provider: &'static str,
    /// The items as they came.
    pub items: Vec<Value>,
    /// The provider's name of each event, if it is a known one.
    pub events: Vec<&'static str>,
    /// Names of the provider's fields, beside those of the columns.
    pub fields: &'static [&'static str],
}

impl<'a> Drafts<'a> {
    /// Notes what is wrong with a field of an item.
    pub fn problem(&mut self, item: usize, field: &str, reason: &str) {
        self.problems.push(ItemProblem { item, field: field.to_owned(), reason: reason.to_owned() });
    }

    /// The events of a request: one object, or a list of at most [`MAX_ITEMS`]. In the place of `universal_id` and
    /// `recipient_email_hash` an event may have `recipient_email`, `phone` and `provider_id`, which are resolved and dropped; without an
    /// `event_id` it gets one. What the described connector takes is [made](lenient::ease) what the columns take.
    ///
    /// # Errors
    /// Neither an object nor such a list.
    pub fn of_events(body: Items<'a>, ring: &KeyRing) -> Result<Self, Rejection> {
        let Items { events: items, count, is_one } = body;
        let Some(items) = items else {
            return Err(Rejection::Malformed("the body must be one event or a list of events".to_owned()));
        };
        check_count(count)?;
        let mut made = Self { drafts: Vec::with_capacity(count), shown: is_one, ..Self::default() };
        for (item, fields) in items.into_iter().enumerate() {
            let Some(mut fields) = fields else {
                made.problem(item, "", "must be a JSON object");
                continue;
            };
            let mut identifiers = Vec::new();
            for field in ["recipient_email", "phone", "provider_id"] {
                match fields.take_other(field) {
                    Given::Missing | Given::Null => {}
                    Given::Text(text) if text.is_empty() => made.adjusted.note(field, "empty, taken as not given"),
                    Given::Text(text) => identifiers.push((field, identifier(field, text.into_owned(), &fields))),
                    _ => made.problem(item, field, "must be text"),
                }
            }
            lenient::ease(&mut fields, ring, &mut made.adjusted);
            if identifiers.is_empty()
                && fields.get(const { column("universal_id") }).is_none()
                && let Some(recipient) = fields.text(const { column("recipient_id") })
            {
                identifiers.push(("recipient_id", of_recipient(recipient)));
                made.adjusted.note("recipient_id", "no other identifier, taken for one");
            }
            made.drafts.push(Draft { item, fields, identifiers, event: "" });
        }
        Ok(made)
    }
}

fn identifier(field: &str, text: String, fields: &Fields<'_>) -> Identifier {
    match field {
        "recipient_email" => Identifier::Email(text),
        "phone" => Identifier::Phone(text),
        _ => Identifier::Provider(fields.text(const { column("esp") }).unwrap_or_default().to_owned(), text),
    }
}

/// Who is known by a `recipient_id` alone: a recipient of the scenario by the address.
fn of_recipient(id: &str) -> Identifier {
    match actor_of(id) {
        Some(actor) => Identifier::Email(format!("user{}@example.com", actor + super::mock::FIRST_RECIPIENT)),
        None => Identifier::Provider("recipient_id".to_owned(), id.to_owned()),
    }
}

/// The items of a body: those of a list, or the body itself.
pub struct Items<'a> {
    /// Nothing if the body is neither object nor list; of a list at most [`MAX_ITEMS`], without those that are no objects.
    events: Option<Vec<Option<Fields<'a>>>>,
    /// How many there are.
    count: usize,
    /// Whether the body is one event and no list.
    is_one: bool,
}

impl<'a> Items<'a> {
    /// How deep lists and objects are in what [`read`](Self::read) takes.
    pub const DEPTH: usize = 3;

    /// Those of a body that is JSON, has no name twice in an object, and is no deeper than [`DEPTH`](Self::DEPTH).
    ///
    /// # Errors
    /// It is none of that, or not as events are.
    pub fn read(body: &'a [u8]) -> serde_json::Result<Self> {
        // One look at all bytes, not one at each text.
        let body = std::str::from_utf8(body).map_err(serde::de::Error::custom)?;
        if body.trim_ascii_start().starts_with('{') {
            return Ok(Self { events: Some(vec![Some(serde_json::from_str(body)?)]), count: 1, is_one: true });
        }
        serde_json::from_str(body)
    }
}

impl From<Value> for Items<'_> {
    fn from(body: Value) -> Self {
        let is_one = body.is_object();
        let items = match body {
            Value::Object(event) => vec![Value::Object(event)],
            Value::Array(items) => items,
            _ => return Self { events: None, count: 0, is_one },
        };
        let of_event = |item| if let Value::Object(map) = item { Some(Fields::from(map)) } else { None };
        Self { count: items.len(), events: Some(items.into_iter().take(MAX_ITEMS).map(of_event).collect()), is_one }
    }
}

/// Of a list of events.
impl<'de> Deserialize<'de> for Items<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Items<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let (mut items, mut count) = (Vec::new(), 0);
                while let Some(event) = list.next_element()? {
                    count += 1;
                    if count <= MAX_ITEMS {
                        items.push(Some(event));
                    }
                }
                Ok(Items { events: Some(items), count, is_one: false })
            }
        }
        deserializer.deserialize_seq(List)
    }
}

/// Refuses a list that is empty or too long.
fn check_count(items: usize) -> Result<(), Rejection> {
    match items {
        0 => Err(Rejection::Malformed("there is no event in the body".to_owned())),
        1..=MAX_ITEMS => Ok(()),
        _ => Err(Rejection::Malformed(format!("there are {items} events in the body; send at most {MAX_ITEMS} at once"))),
    }
}

/// Identifiers of which some are none: what is wrong, by their numbers, and the tokens of the others.
struct Wrong {
    errors: Vec<(usize, ClaimError)>,
    tokens: Vec<Token>,
}

/// The claims of a request: who has the same identifiers is made known once.
pub(super) struct Claims<'r> {
    ring: &'r KeyRing,
    numbers: HashMap<Vec<Identifier>, usize>,
    of_ids: HashMap<String, usize>,
    made: Vec<Claim>,
}

impl<'r> Claims<'r> {
    pub(super) fn new(ring: &'r KeyRing) -> Self {
        Self { ring, numbers: HashMap::new(), of_ids: HashMap::new(), made: Vec::new() }
    }

    /// All of them, by number.
    pub(super) fn all(&self) -> &[Claim] {
        &self.made
    }

    /// The number of the claim of some identifiers, or what is wrong with them.
    fn number(&mut self, identifiers: &[Identifier]) -> Result<usize, Wrong> {
        if let Some(number) = self.numbers.get(identifiers) {
            return Ok(*number);
        }
        let (mut tokens, mut errors) = (Vec::with_capacity(identifiers.len()), Vec::new());
        for (number, identifier) in identifiers.iter().enumerate() {
            match self.ring.token(identifier) {
                Ok(token) => tokens.push(token),
                Err(error) => errors.push((number, error)),
            }
        }
        if !errors.is_empty() {
            return Err(Wrong { errors, tokens });
        }
        self.numbers.insert(identifiers.to_vec(), self.made.len());
        self.made.push(Claim { tokens });
        Ok(self.made.len() - 1)
    }

    /// The number of the claim of who is known by an id alone.
    fn number_of_id(&mut self, id: &str) -> Result<usize, Wrong> {
        if let Some(number) = self.of_ids.get(id) {
            return Ok(*number);
        }
        let number = self.number(&[Identifier::Universal(id.to_owned())])?;
        self.of_ids.insert(id.to_owned(), number);
        Ok(number)
    }
}

/// A draft that is no event.
pub(super) struct Unfit {
    pub(super) problems: Vec<Problem>,
    /// Whether a secret key, which is ours to give, would help.
    pub(super) needs_key: bool,
}

/// A phone number may be left out; of an address, the want of a key must be known.
fn is_ours((_, error): &(usize, ClaimError)) -> bool {
    error.needs_key() && *error != ClaimError::Unprotected
}

impl<'a> Draft<'a> {
    /// The event, still under the id of its first identifier alone, and the number of the claim whose it is.
    ///
    /// Of a webhook, an identifier that is none is left out if another one says whose event it is, unless a key of ours is missing.
    pub(super) fn check(self, claims: &mut Claims<'_>, moment: Moment, adjusted: &mut Adjusted) -> Result<(Event<'a>, usize), Unfit> {
        let Self { item, mut fields, identifiers, event } = self;
        adjusted.event = event;
        let (mut problems, mut needs_key) = (Vec::new(), false);
        let (names, identifiers): (Vec<_>, Vec<_>) = identifiers.into_iter().unzip();
        let named = !identifiers.is_empty();
        let (mut claim, mut sound) = (None, Vec::new());
        if named {
            match claims.number(&identifiers) {
                Ok(number) => claim = Some(number),
                Err(Wrong { errors, tokens }) if !event.is_empty() && !tokens.is_empty() && !errors.iter().any(is_ours) => {
                    let is_wrong = |number: &usize| errors.iter().any(|(wrong, _)| wrong == number);
                    let left: Vec<Identifier> =
                        identifiers.iter().enumerate().filter(|(number, _)| !is_wrong(number)).map(|(_, of)| of.clone()).collect();
                    for (number, _) in &errors {
                        adjusted.note(names[*number], "no identifier, left out");
                    }
                    claim = claims.number(&left).ok();
                }
                Err(Wrong { errors, tokens }) => {
                    needs_key = errors.iter().any(is_ours);
                    problems.extend(errors.into_iter().map(|(number, error)| Problem::new(names[number], error.to_string())));
                    sound = tokens;
                }
            }
        }
        let first = claim.map_or(sound.first(), |number| claims.made[number].tokens.first());
        let mut missing = |column: usize, value: &dyn Fn() -> String| {
            if fields.get(column).is_none() {
                fields.set_text(column, Some(value()));
            }
        };
        let universal_id = const { column("universal_id") };
        missing(const { column("event_id") }, &|| {
            unique(moment.at, &[b"event", &moment.seed.to_be_bytes(), &(item as u64).to_be_bytes()]).to_string()
        });
        if let Some(first) = first {
            missing(universal_id, &|| first.base_id.clone());
            missing(const { column("recipient_email_hash") }, &|| first.hash.clone());
            missing(const { column("recipient_id") }, &|| first.base_id.clone());
            if fields.text(universal_id) != Some(&first.base_id) {
                let reason = "is derived from recipient_email, phone or provider_id where one is given: remove it";
                problems.push(Problem::new("universal_id", reason));
            }
        }
        match Event::from_fields(fields) {
            Ok(event) if problems.is_empty() => {
                let event = Event { ingested_at: Some(moment.at), ..event };
                let number = claim.map_or_else(|| claims.number_of_id(&event.universal_id), Ok);
                let problem = |(_, error): (usize, ClaimError)| Problem::new("universal_id", error.to_string());
                Ok((event, number.map_err(|wrong| Unfit { problems: wrong.errors.into_iter().map(problem).collect(), needs_key })?))
            }
            Ok(_) => Err(Unfit { problems, needs_key }),
            Err(found) => {
                // Where an identifier is no good, what would be made of it is missing too, which says nothing new.
                let made = |problem: &Problem| {
                    named && first.is_none() && ["universal_id", "recipient_email_hash", "recipient_id"].contains(&problem.field.as_str())
                };
                problems.extend(found.into_iter().filter(|problem| !made(problem)));
                Err(Unfit { problems, needs_key })
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
