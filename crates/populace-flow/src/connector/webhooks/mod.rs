//! What email service providers send. A provider's event becomes ours; an address becomes a person, and is dropped.
//!
//! A provider cannot correct what it sends: a bad optional field is left out, text that is too long is cut, an id that is missing is made of
//! the item, so that it is the same when the item comes again. All of it is counted. What is no event for all that is a problem of its item.

mod klaviyo;
mod mailgun;
mod postmark;
mod sendgrid;
mod ses;

use super::drafts::{named, unique};
use super::{Draft, Drafts, Ignored, Rejection, Webhook};
use crate::address::holds_address;
use crate::event::{COLUMNS, Fields, Given, MOST_ATTEMPTS, MOST_LINKS, column};
use crate::identity::{Identifier, KeyRing};
use crate::json;
use crate::time;
use populace_core::email::{EventType, Group};
use populace_core::time::{Instant, SECOND};
use populace_io::identity::normalise;
use serde_json::{Map, Value};
use std::net::IpAddr;

/// The providers whose payloads are known.
pub const PROVIDERS: [&str; ADAPTERS.len()] = {
    let mut names = [""; ADAPTERS.len()];
    let mut number = 0;
    while number < names.len() {
        names[number] = ADAPTERS[number].provider;
        number += 1;
    }
    names
};

const ADAPTERS: [&Adapter; 5] = [&klaviyo::ADAPTER, &mailgun::ADAPTER, &postmark::ADAPTER, &sendgrid::ADAPTER, &ses::ADAPTER];

/// What stands where an address stood.
const REMOVED: &str = "[address removed]";
/// `campaign_id` of what a provider tells no campaign of.
const NO_CAMPAIGN: &str = "unknown";
/// The longest reason of a bounce that is kept, characters.
const LONGEST_REASON: usize = 512;

/// How a provider's payload is read.
struct Adapter {
    provider: &'static str,
    /// The provider's events, and ours that they are; none: known, and no event of mail.
    events: &'static [(&'static str, Option<EventType>)],
    /// Names of the provider's fields that problems may name.
    fields: &'static [&'static str],
    /// The items of a body.
    items: fn(Value) -> Result<Vec<Value>, String>,
    /// The event of an item, if it is one.
    read: fn(&Value, &mut Reader<'_>) -> Option<Reported>,
}

/// The drafts of a payload of at most `most` items, in which so many halves of characters were replaced.
///
/// # Errors
/// The provider is not known, or the payload is not of its form.
pub fn read(provider: &str, (body, halves): (Value, u64), ring: &KeyRing, most: usize) -> Result<Drafts<'static>, Rejection> {
    let Some(adapter) = ADAPTERS.into_iter().find(|adapter| adapter.provider == provider) else {
        return Err(Rejection::Missing(format!("there are no webhooks of this provider; there are {}", PROVIDERS.join(", "))));
    };
    let items = (adapter.items)(body).map_err(Rejection::Malformed)?;
    if items.len() > most {
        let reason = format!("there are {} events in the body; at most {most} are taken at once (--webhook-limit)", items.len());
        return Err(Rejection::Malformed(reason));
    }
    let (mut made, mut events) = (Drafts::default(), Vec::with_capacity(items.len()));
    made.adjusted.event = "other";
    (0..halves).for_each(|_| made.adjusted.note("text", "half a character, replaced"));
    for (item, value) in items.iter().enumerate() {
        let mut reader = Reader { adapter, ring, item, event: "other", made: &mut made };
        if !value.is_object() {
            reader.problem("", "must be a JSON object");
        } else if let Some(why) = json::odd(value) {
            reader.problem("", why);
        } else if let Some(reported) = (adapter.read)(value, &mut reader) {
            reported.draft(value, &mut reader);
        }
        events.push(reader.event);
    }
    made.webhook = Some(Webhook { provider: adapter.provider, items, events, fields: adapter.fields });
    Ok(made)
}

/// One item at hand.
struct Reader<'d> {
    adapter: &'static Adapter,
    ring: &'d KeyRing,
    item: usize,
    /// The provider's name of the event.
    event: &'static str,
    made: &'d mut Drafts<'static>,
}

impl Reader<'_> {
    /// What is wrong, for which the item is a dead letter.
    fn problem(&mut self, field: &str, reason: &str) {
        self.made.problem(self.item, field, reason);
    }

    /// What was changed.
    fn note(&mut self, field: &'static str, what: &'static str) {
        self.made.adjusted.event = self.event;
        self.made.adjusted.note(field, what);
    }

    /// Our event that the provider's is. What is none of mail is ignored, by its name.
    fn kind(&mut self, name: &str) -> Option<EventType> {
        let known = self.adapter.events.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        if let Some((known, kind)) = known {
            self.event = known;
            if kind.is_some() {
                return *kind;
            }
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:- ".contains(&byte);
        let shown = name.len() <= 64 && name.bytes().all(plain) && !holds_address(name);
        let reason = if shown { format!("`{name}` is no event of mail") } else { "is no event of mail".to_owned() };
        self.made.ignored.push(Ignored { item: self.item, reason });
        None
    }

    /// That an item is none of mail, and why.
    fn ignore(&mut self, reason: &str) {
        self.made.ignored.push(Ignored { item: self.item, reason: reason.to_owned() });
    }

    /// Text of a field that may be missing. What is neither text nor number is left out.
    fn text(&mut self, map: &Map<String, Value>, key: &str, field: &'static str) -> Option<String> {
        let found = text(map, key);
        if found.is_none()
            && map.get(key).is_some_and(|value| !value.is_null() && value.as_str().is_none_or(|text| !text.trim().is_empty()))
        {
            self.note(field, "no text, left out");
        }
        found
    }

    /// The first of some fields that is there.
    fn first(&mut self, map: &Map<String, Value>, keys: &[&str], field: &'static str) -> Option<String> {
        keys.iter().find_map(|key| self.text(map, key, field))
    }

    /// Text that may stand in a field of so many characters.
    fn fit(&mut self, field: &'static str, longest: usize, text: String) -> String {
        let count = text.chars().count();
        // All of it: an address, in whatever disguise, may lie across the cut.
        if holds_address(&text) {
            self.note(field, "an address in it, removed");
            return REMOVED.to_owned();
        }
        if count <= longest {
            return text;
        }
        self.note(field, "too long, cut");
        text.chars().take(longest).collect()
    }

    /// The same of a column.
    fn fitted(&mut self, number: usize, text: Option<String>) -> Option<String> {
        let known = &COLUMNS[number];
        text.map(|text| self.fit(known.name, known.longest.unwrap_or(usize::MAX), text))
    }
}

/// What a provider says of one event, in our words.
#[derive(Default)]
struct Reported {
    kind: Option<EventType>,
    /// The provider's id of the event.
    id: Option<String>,
    /// The provider's id of the message.
    message: Option<String>,
    at: Option<time::Read>,
    address: Option<String>,
    phone: Option<String>,
    /// The provider's id of the person.
    person: Option<String>,
    campaign: Option<(String, String)>,
    subject: Option<String>,
    url: Option<String>,
    user_agent: Option<String>,
    ip: Option<String>,
    bounce_type: Option<String>,
    /// Why it bounced.
    reason: Option<String>,
    /// Number of the attempt, enhanced status code and class, of what failed.
    attempt: Option<String>,
    enhanced: Option<String>,
    class: Option<String>,
    /// The place of the clicked link in its message.
    link: Option<i64>,
    /// Milliseconds from sending to delivery.
    latency_ms: Option<i64>,
    /// Why the provider holds it for a machine's.
    machine: Option<&'static str>,
}

impl Reported {
    /// A draft, or what is missing.
    fn draft(self, raw: &Value, reader: &mut Reader<'_>) {
        let provider = reader.adapter.provider;
        let (Some(kind), Some(time::Read { at, zoned, .. })) = (self.kind, self.at) else {
            return reader.problem("timestamp", "must be given, and be the moment of the event");
        };
        if !zoned {
            reader.note("timestamp", "no zone, taken as UTC");
        }
        // Such as `Ann <ann@example.com>`.
        let bare = |address: String| match address.strip_suffix('>').and_then(|named| named.rsplit_once('<')) {
            Some((_, address)) => address.to_owned(),
            None => address,
        };
        let (address, mut identifiers) = (self.address.map(bare), Vec::new());
        let person = address.as_deref().map(|address| normalise(address).into_owned());
        identifiers.extend(address.map(|address| ("email", Identifier::Email(address))));
        identifiers.extend(self.phone.map(|phone| ("phone_number", Identifier::Phone(phone))));
        identifiers.extend(self.person.map(|person| ("profile", Identifier::Provider(provider.to_owned(), person))));
        if identifiers.is_empty() {
            return reader.problem("email", "must be given");
        }
        // Nobody who guesses an address may find it by the ids that are made of it.
        let sealed = |reader: &Reader<'_>| reader.ring.seal(&[&serde_json::to_vec(raw).unwrap_or_default()]);
        // The provider's own id, so that what it sends twice is one event.
        let event_id = if let Some(id) = &self.id {
            unique(at, &[provider.as_bytes(), b"event", id.as_bytes()])
        } else {
            reader.note("event_id", "not given, made of the item");
            unique(at, &[provider.as_bytes(), b"event", b"sealed", &sealed(reader)])
        };
        let group = kind.group();
        let of_message = matches!(group, Group::Mail | Group::Failure | Group::Leaving);
        let message = match &self.message {
            _ if !of_message => None,
            // One call of a provider's interface may go to many.
            Some(id) => Some(match person.filter(|_| reader.adapter.provider != klaviyo::ADAPTER.provider) {
                Some(person) => named(&[provider.as_bytes(), b"message", id.as_bytes(), &reader.ring.seal(&[person.as_bytes()])]),
                None => named(&[provider.as_bytes(), b"message", id.as_bytes()]),
            }),
            None if group == Group::Mail => {
                reader.note("message_id", "not given, made of the item");
                Some(named(&[provider.as_bytes(), b"message", b"sealed", &sealed(reader)]))
            }
            None => None,
        };
        let campaign = match group {
            Group::Breaker | Group::Return => ("circuit_breaker".to_owned(), "Circuit breaker".to_owned()),
            _ => self.campaign.unwrap_or_else(|| (NO_CAMPAIGN.to_owned(), "Unknown".to_owned())),
        };
        let engaged = matches!(kind, EventType::Opened | EventType::Clicked);
        let mut fields = Fields::default();
        fields.set_text(const { column("event_id") }, Some(event_id.to_string()));
        fields.set_text(const { column("event_type") }, Some(kind.name()));
        fields.set_text(const { column("timestamp") }, Some(time::text(at)));
        fields.set_text(const { column("esp") }, Some(provider));
        fields.set_text(const { column("message_id") }, message.map(|message| message.to_string()));
        let texts = [
            (const { column("campaign_id") }, Some(campaign.0)),
            (const { column("campaign_name") }, Some(campaign.1)),
            (const { column("subject") }, self.subject.filter(|_| of_message)),
            (const { column("click_url") }, self.url.filter(|_| kind == EventType::Clicked)),
            (const { column("user_agent") }, self.user_agent.filter(|_| engaged)),
            (const { column("bounce_type") }, self.bounce_type.filter(|_| group == Group::Failure)),
        ];
        for (number, text) in texts {
            let text = reader.fitted(number, text);
            fields.set_text(number, text);
        }
        if let Some(ip) = self.ip.filter(|_| engaged) {
            if ip.parse::<IpAddr>().is_ok() {
                fields.set_text(const { column("ip_address") }, Some(ip));
            } else {
                reader.note("ip_address", "no network address, left out");
            }
        }
        if group == Group::Failure {
            failure(&mut fields, (self.reason.as_ref(), self.attempt, self.enhanced, self.class), reader);
        }
        if let Some(link) = self.link.filter(|_| kind == EventType::Clicked) {
            if (0..=i64::from(MOST_LINKS)).contains(&link) {
                fields.set(const { column("link_index") }, Given::Whole(link));
            } else {
                reader.note("link_index", "no place of a link, left out");
            }
        }
        fields.set_text(const { column("source") }, Some("esp_webhook"));
        if let Some(millis) = self.latency_ms.filter(|_| kind == EventType::Delivered) {
            fields.set(const { column("latency_seconds") }, Given::Real(millis as f64 / 1e3));
            fields.set_text(const { column("send_time") }, Some(time::text(at.plus(-millis * time::MILLISECOND))));
        }
        let mut metadata = Map::from_iter([("provider_event".to_owned(), reader.event.into())]);
        if let Some(reason) = self.reason.filter(|_| group == Group::Failure) {
            metadata.insert("reason".to_owned(), reader.fit("metadata", LONGEST_REASON, reason).into());
        }
        if let Some(why) = self.machine.filter(|_| engaged) {
            metadata.insert(crate::consume::SUSPECTED.to_owned(), vec![why].into());
            if kind == EventType::Opened {
                fields.set(const { column("machine_open") }, Given::Flag(true));
            }
            reader.note("metadata", "a machine's, by the provider's mark");
        }
        fields.set(const { column("metadata") }, Given::Object(Box::new(metadata)));
        let (item, event) = (reader.item, reader.event);
        reader.made.drafts.push(Draft { item, fields, identifiers, event });
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

/// What is said of a failure: the answer, the number of the attempt, the enhanced code and the class.
fn failure(
    fields: &mut Fields<'_>,
    (response, attempt, enhanced, class): (Option<&String>, Option<String>, Option<String>, Option<String>),
    reader: &mut Reader<'_>,
) {
    let (code, known) = codes(response.map_or("", String::as_str));
    let number = |text: &String| text.parse().ok().filter(|number| (1..=i64::from(MOST_ATTEMPTS)).contains(number));
    let (said, attempt) = (attempt.is_some(), attempt.as_ref().and_then(number));
    if said && attempt.is_none() {
        reader.note("attempt", "no number of an attempt, left out");
    }
    if enhanced.as_ref().is_some_and(|text| !is_enhanced(text)) {
        reader.note("enhanced_code", "no such code, left out");
    }
    for (number, whole) in [(const { column("attempt") }, attempt), (const { column("smtp_code") }, code)] {
        fields.set(number, whole.map_or(Given::Null, Given::Whole));
    }
    let texts = [
        (const { column("enhanced_code") }, enhanced.filter(|text| is_enhanced(text)).or(known)),
        (const { column("response") }, response.cloned()),
        (const { column("bounce_class") }, class),
    ];
    for (number, text) in texts {
        let text = reader.fitted(number, text);
        fields.set_text(number, text);
    }
}

/// The code of SMTP and the enhanced one that an answer begins with, such as `smtp; 550 5.1.1 unknown`.
fn codes(answer: &str) -> (Option<i64>, Option<String>) {
    let answer = answer.strip_prefix("smtp;").unwrap_or(answer);
    let mut words = answer.split(|letter: char| letter.is_whitespace() || letter == '-').filter(|word| !word.is_empty());
    let first = words.next().unwrap_or_default();
    let is_code = first.len() == 3 && first.starts_with(['4', '5']) && first.bytes().all(|byte| byte.is_ascii_digit());
    let second = if is_code { words.next().unwrap_or_default() } else { first };
    (first.parse().ok().filter(|_| is_code), Some(second.to_owned()).filter(|word| is_enhanced(word)))
}

/// Whether text is an enhanced status code (RFC 3463), such as `5.1.1`.
fn is_enhanced(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    let number = |part: &&str| (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    parts.len() == 3 && ["2", "4", "5"].contains(&parts[0]) && parts.iter().all(number)
}

/// Whether a mark is set.
fn is_set(map: &Map<String, Value>, key: &str) -> bool {
    match map.get(key) {
        Some(Value::Bool(is)) => *is,
        Some(Value::String(text)) => text.eq_ignore_ascii_case("true") || text == "1",
        Some(Value::Number(number)) => number.as_f64().is_some_and(|number| number != 0.0),
        _ => false,
    }
}

/// A moment as seconds since 1970, whole or not, also as text; to the millisecond, what is finer is cut. Else as text of a time.
fn seconds(value: Option<&Value>) -> Option<time::Read> {
    let found = value?;
    let Some(seconds) = found.as_f64().or_else(|| found.as_str()?.trim().parse().ok()) else { return moment(value) };
    let seconds = Some(seconds).filter(|seconds| (0.0..time::YEAR_2200 as f64 / SECOND as f64).contains(seconds))?;
    let micros = (seconds * SECOND as f64) as i64;
    let at = Instant(micros - micros.rem_euclid(time::MILLISECOND));
    Some(time::Read { at, zoned: true, exact: at.0 == micros })
}

/// A moment as text.
fn moment(value: Option<&Value>) -> Option<time::Read> {
    value.and_then(Value::as_str).and_then(time::read).filter(|read| (0..time::YEAR_2200).contains(&read.at.0))
}
