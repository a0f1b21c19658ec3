//! What email service providers send. A provider's event becomes ours; an address becomes a person, and is dropped.

mod klaviyo;
mod sendgrid;

use super::drafts::{named, unique};
use super::{Draft, Drafts, Rejection};
use crate::address::holds_address;
use crate::event::{Fields, Given, column};
use crate::identity::Identifier;
use crate::time;
use populace_core::email::{EventType, Group};
use populace_core::time::{Instant, SECOND};
use serde_json::{Map, Value};

/// The providers whose payloads are known.
pub const PROVIDERS: [&str; 2] = ["klaviyo", "sendgrid"];

/// What stands where an address stood.
const REMOVED: &str = "[address removed]";
/// `campaign_id` of what a provider tells no campaign of.
const NO_CAMPAIGN: &str = "unknown";

/// The drafts of a payload.
///
/// # Errors
/// The provider is not known, or the payload is not of its form.
pub fn read(provider: &str, body: Value) -> Result<Drafts<'static>, Rejection> {
    match provider {
        "klaviyo" => klaviyo::read(&body),
        "sendgrid" => sendgrid::read(body),
        _ => Err(Rejection::Missing(format!("there are no webhooks of this provider; there are {}", PROVIDERS.join(", ")))),
    }
}

/// What a provider says of one event, in our words.
#[derive(Default)]
struct Told {
    kind: Option<EventType>,
    /// The provider's id of the event.
    id: Option<String>,
    /// The provider's id of the message.
    message: Option<String>,
    at: Option<Instant>,
    address: Option<String>,
    phone: Option<String>,
    /// The provider's id of the person.
    person: Option<String>,
    campaign: Option<(String, String)>,
    subject: Option<String>,
    url: Option<String>,
    user_agent: Option<String>,
    ip: Option<String>,
    /// The provider's name of what happened.
    name: String,
}

/// Names of the fields as the provider calls them, for its own eyes in a problem.
struct Names {
    provider: &'static str,
    id: &'static str,
    at: &'static str,
    address: &'static str,
    message: &'static str,
}

impl Told {
    /// A draft, or what is missing.
    fn draft(self, item: usize, names: &Names, into: &mut Drafts<'_>) {
        let (Some(kind), Some(id), Some(at)) = (self.kind, &self.id, self.at) else {
            if self.id.is_none() {
                into.problem(item, names.id, "must be given");
            }
            if self.at.is_none() {
                into.problem(item, names.at, "must be the moment of the event");
            }
            return;
        };
        let mut identifiers = Vec::new();
        identifiers.extend(self.address.map(|address| (names.address, Identifier::Email(address))));
        identifiers.extend(self.phone.map(|phone| ("phone_number", Identifier::Phone(phone))));
        identifiers.extend(self.person.map(|person| ("profile", Identifier::Provider(names.provider.to_owned(), person))));
        if identifiers.is_empty() {
            return into.problem(item, names.address, "must be given");
        }
        let is_mail = kind.group() == Group::Mail;
        if is_mail && self.message.is_none() {
            return into.problem(item, names.message, "must be given");
        }
        let message = self.message.map(|message| named(&[names.provider.as_bytes(), b"message", message.as_bytes()]));
        let internal = || ("circuit_breaker".to_owned(), "Circuit breaker".to_owned());
        let unknown = || (NO_CAMPAIGN.to_owned(), "Unknown".to_owned());
        let campaign = if kind.group() == Group::Breaker { internal() } else { self.campaign.unwrap_or_else(unknown) };
        let clean = |text: String| if holds_address(&text) { REMOVED.to_owned() } else { text };
        let engaged = matches!(kind, EventType::Opened | EventType::Clicked);
        let mut fields = Fields::default();
        // The provider's own id, so that what it sends twice is one event.
        let event_id = unique(at, &[names.provider.as_bytes(), b"event", id.as_bytes()]);
        fields.set_text(const { column("event_id") }, Some(event_id.to_string()));
        fields.set_text(const { column("event_type") }, Some(kind.name()));
        fields.set_text(const { column("timestamp") }, Some(time::text(at)));
        fields.set_text(const { column("esp") }, Some(names.provider));
        fields.set_text(const { column("campaign_id") }, Some(clean(campaign.0)));
        fields.set_text(const { column("campaign_name") }, Some(clean(campaign.1)));
        fields.set_text(const { column("message_id") }, message.filter(|_| is_mail).map(|message| message.to_string()));
        fields.set_text(const { column("subject") }, self.subject.filter(|_| is_mail).map(clean));
        fields.set_text(const { column("click_url") }, self.url.filter(|_| kind == EventType::Clicked).map(clean));
        fields.set_text(const { column("user_agent") }, self.user_agent.filter(|_| engaged).map(clean));
        fields.set_text(const { column("ip_address") }, self.ip.filter(|_| engaged));
        fields.set_text(const { column("source") }, Some("esp_webhook"));
        let metadata = Map::from_iter([("provider_event".to_owned(), self.name.into())]);
        fields.set(const { column("metadata") }, Given::Object(Box::new(metadata)));
        into.drafts.push(Draft { item, fields, identifiers });
    }
}

/// Text of a field, spaces in place of control characters; a number as its digits.
fn text(map: &Map<String, Value>, key: &str) -> Option<String> {
    match map.get(key)? {
        Value::String(text) if !text.trim().is_empty() => Some(text.trim().replace(char::is_control, " ")),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A moment as seconds since 1970, whole or not; to the millisecond, what is finer is cut.
fn seconds(value: Option<&Value>) -> Option<Instant> {
    let seconds = value?.as_f64().filter(|seconds| (0.0..1e10).contains(seconds))?;
    Some(whole(Instant((seconds * SECOND as f64) as i64)))
}

fn whole(at: Instant) -> Instant {
    Instant(at.0 - at.0.rem_euclid(time::MILLISECOND))
}
