//! What clients of the described connector send, as events are. Nothing is lost by it, and whatever is changed is counted.

use super::drafts::named;
use super::tally::Adjusted;
use crate::address::holds_address;
use crate::event::{CAMPAIGN_TYPES, COLUMNS, Fields, Given, MAX_LATENCY_MS, column, holds_controls};
use crate::identity::KeyRing;
use crate::time::{self, MILLISECOND};
use populace_core::email::{EventType, Group, Uuid};
use populace_core::time::{Instant, SECOND};
use serde_json::{Map, Value};

/// Words of the described connector for types of event. `unsubscribed` is also a type of ours, of a message: the one is told from the
/// other by the id of the message, see [`is_of_a_message`].
const TYPES: [(&str, EventType); 2] = [("unsubscribed", EventType::UnsubscribeRequest), ("marked_spam", EventType::Complaint)];
/// The longest id that is kept as it came, beside its key, characters.
const LONGEST_ID: usize = 256;
/// Latencies in `metadata` are whole seconds at times: they may differ by so much from the two times, milliseconds.
const ROUNDED_MS: i64 = 1_000;

/// Makes an event's fields what the columns take.
pub(super) fn ease(fields: &mut Fields<'_>, ring: &KeyRing, adjusted: &mut Adjusted) {
    for (number, known) in COLUMNS.iter().enumerate() {
        if matches!(fields.get(number), Given::Text(text) if text.is_empty()) {
            fields.set(number, Given::Missing);
            adjusted.note(known.name, "empty, taken as not given");
        }
    }
    let (ingested_at, metadata) = const { (column("ingested_at"), column("metadata")) };
    if *fields.get(ingested_at) != Given::Missing {
        fields.set(ingested_at, Given::Missing);
        adjusted.note("ingested_at", "ignored: the connector sets it");
    }
    if matches!(fields.get(metadata), Given::Text(_)) {
        fields.parse_metadata();
    }
    let event_type = const { column("event_type") };
    if let Some(small) = fields.text(event_type).map(str::to_lowercase).filter(|small| fields.text(event_type) != Some(small)) {
        fields.set_text(event_type, Some(small));
        adjusted.note("event_type", "capitals made small");
    }
    for number in const { [column("event_id"), column("message_id")] } {
        if let Given::Whole(id) = *fields.get(number) {
            fields.set_text(number, Some(id.to_string()));
            adjusted.note(COLUMNS[number].name, "a number, taken as text");
        }
    }
    if let Some((_, known)) = TYPES.iter().find(|(word, _)| fields.text(event_type) == Some(word))
        && !(fields.text(event_type) == Some(EventType::Unsubscribed.name()) && is_of_a_message(fields))
    {
        fields.set_text(event_type, Some(known.name()));
        adjusted.note("event_type", "a word of the described connector");
    }
    for number in const { [column("timestamp"), column("send_time")] } {
        moment(fields, number, adjusted);
    }
    let kind = fields.text(event_type).and_then(EventType::of_name);
    let (event_id, message_id) = const { (column("event_id"), column("message_id")) };
    key(fields, event_id, ring, adjusted);
    if kind.is_some_and(|kind| !matches!(kind.group(), Group::Mail | Group::Failure | Group::Leaving)) {
        if let Some(id) = fields.text(message_id).map(str::to_owned) {
            keep(fields, "message_id", &id);
            fields.set(message_id, Given::Missing);
            adjusted.note("message_id", "of no mail, kept in metadata");
        }
    } else {
        key(fields, message_id, ring, adjusted);
    }
    defaults(fields, kind, adjusted);
    if kind == Some(EventType::Delivered) {
        times_of_metadata(fields, adjusted);
    }
}

/// Whether the id of the message is one of ours, a UUID of version 7: what the described connector's clients send has no message, or one
/// with an id of another kind.
fn is_of_a_message(fields: &Fields<'_>) -> bool {
    let id = fields.text(const { column("message_id") }).and_then(|text| text.parse::<Uuid>().ok());
    id.is_some_and(|id| id.to_u128() >> 76 & 0xF == 7)
}

/// A moment in UTC, to the millisecond. What cannot be read is left for the check to report.
fn moment(fields: &mut Fields<'_>, number: usize, adjusted: &mut Adjusted) {
    let Some(text) = fields.text(number) else { return };
    if text.len() == 24 && text.ends_with('Z') {
        return;
    }
    let Some(read) = time::read(text) else { return };
    if !read.zoned {
        adjusted.note(COLUMNS[number].name, "no zone, taken as UTC");
    }
    if !read.exact {
        adjusted.note(COLUMNS[number].name, "cut to milliseconds");
    }
    if (0..time::YEAR_2200).contains(&read.at.0) {
        fields.set_text(number, Some(time::text(read.at)));
    }
}

/// Any text is an id: one that is no UUID becomes the UUID of its name, and is kept in `metadata`.
fn key(fields: &mut Fields<'_>, number: usize, ring: &KeyRing, adjusted: &mut Adjusted) {
    let Some(text) = fields.text(number).filter(|text| text.parse::<Uuid>().is_err()) else { return };
    let (text, name) = (text.to_owned(), COLUMNS[number].name);
    // Whoever guesses an address must not be able to find it by its hash.
    let id = if holds_address(&text) {
        named(&[name.as_bytes(), b"sealed", &ring.seal(&[text.as_bytes()])])
    } else {
        named(&[name.as_bytes(), text.as_bytes()])
    };
    fields.set_text(number, Some(id.to_string()));
    keep(fields, name, &text);
    adjusted.note(name, "no UUID, made one of the text");
}

/// Keeps text in `metadata`, if it may be there and is not there already.
fn keep(fields: &mut Fields<'_>, name: &str, text: &str) {
    let number = const { column("metadata") };
    if text.chars().count() > LONGEST_ID || holds_address(text) || holds_controls(text) {
        return;
    }
    let mut metadata = match std::mem::take(fields.get_mut(number)) {
        Given::Object(map) => map,
        Given::Missing | Given::Null => Box::default(),
        other => return fields.set(number, other),
    };
    let longest = COLUMNS[number].longest.unwrap_or(usize::MAX);
    let fits = serde_json::to_vec(&metadata).is_ok_and(|bytes| bytes.len() + name.len() + 6 * text.len() + 8 <= longest);
    if fits && !metadata.contains_key(name) {
        metadata.insert(name.to_owned(), text.into());
    }
    fields.set(number, Given::Object(metadata));
}

/// What the described connector does not ask for.
fn defaults(fields: &mut Fields<'_>, kind: Option<EventType>, adjusted: &mut Adjusted) {
    let (source, campaign_id, campaign_name) = const { (column("source"), column("campaign_id"), column("campaign_name")) };
    if fields.get(source).is_none() {
        let sound = |text: &&str| !text.is_empty() && text.chars().count() <= 64 && !holds_address(text) && !holds_controls(text);
        let told = metadata(fields).and_then(|metadata| metadata.get("source")).and_then(Value::as_str).filter(sound);
        let is_mail = kind.is_none_or(|kind| kind.group() == Group::Mail);
        let default = told.unwrap_or(if is_mail { "esp_webhook" } else { "internal" }).to_owned();
        fields.set_text(source, Some(default));
        adjusted.note("source", "not given, a default");
    }
    if let Some(campaign) = fields.text(campaign_id).filter(|_| fields.get(campaign_name).is_none()) {
        let campaign = campaign.to_owned();
        fields.set_text(campaign_name, Some(campaign));
        adjusted.note("campaign_name", "not given, the campaign's id");
    }
}

fn metadata<'f>(fields: &'f Fields<'_>) -> Option<&'f Map<String, Value>> {
    if let Given::Object(map) = fields.get(const { column("metadata") }) { Some(map) } else { None }
}

/// What the described client puts into `metadata` of a delivery, in the columns that are for it. It stays in `metadata`, too.
fn times_of_metadata(fields: &mut Fields<'_>, adjusted: &mut Adjusted) {
    let (latency, send_time) = const { (column("latency_seconds"), column("send_time")) };
    let (campaign_type, payload) = const { (column("campaign_type"), column("payload_size_bytes")) };
    let Some(given) = metadata(fields) else { return };
    let kind = given.get("campaign_type").and_then(Value::as_str).filter(|kind| CAMPAIGN_TYPES.contains(kind)).map(str::to_owned);
    let size = given.get("payload_size_bytes").and_then(whole).filter(|size| (0..=i64::from(i32::MAX)).contains(size));
    let times = if fields.get(latency).is_none() && fields.get(send_time).is_none() { times(fields, given) } else { Ok(None) };
    let mut copied = false;
    if let Some(kind) = kind.filter(|_| fields.get(campaign_type).is_none()) {
        fields.set_text(campaign_type, Some(kind));
        copied = true;
    }
    if let Some(size) = size.filter(|_| fields.get(payload).is_none()) {
        fields.set(payload, Given::Whole(size));
        copied = true;
    }
    match times {
        Ok(Some((sent, millis))) => {
            fields.set_text(send_time, sent.map(time::text));
            fields.set(latency, millis.map_or(Given::Null, |millis| Given::Real(millis as f64 / 1e3)));
            copied = true;
        }
        Ok(None) => {}
        Err(()) => adjusted.note("metadata", "times that do not agree, left there"),
    }
    if copied {
        adjusted.note("metadata", "copied to the columns of a delivery");
    }
}

/// When a message was sent and how long it took, milliseconds, if `metadata` says so; an error if it contradicts itself or the event.
#[expect(clippy::type_complexity, reason = "either may be known alone")]
fn times(fields: &Fields<'_>, given: &Map<String, Value>) -> Result<Option<(Option<Instant>, Option<i64>)>, ()> {
    let Some(at) = fields.text(const { column("timestamp") }).and_then(time::parse) else { return Ok(None) };
    let millis = given.get("latency_seconds").and_then(number).map(|seconds| (seconds * 1e3).round());
    let millis = millis.filter(|millis| (0.0..=MAX_LATENCY_MS).contains(millis)).map(|millis| millis as i64);
    let told = given.get("send_time").and_then(Value::as_str).and_then(time::read).map(|read| read.at);
    let clock = ["hour_of_day", "minute", "day_of_week"].map(|name| given.get(name).and_then(whole));
    let is_that_of = |sent: Instant| {
        let is = [sent.hour(), sent.minute(), sent.weekday()].map(i64::from);
        clock.iter().zip(is).all(|(told, is)| told.is_none_or(|told| told == is))
    };
    match (told, millis) {
        (Some(sent), millis) => {
            let exact = at.since(sent) / MILLISECOND;
            let agrees = millis.is_none_or(|millis| (millis - exact).abs() <= ROUNDED_MS) && is_that_of(sent);
            if agrees && (0.0..=MAX_LATENCY_MS).contains(&(exact as f64)) { Ok(Some((Some(sent), Some(exact)))) } else { Err(()) }
        }
        (None, Some(millis)) => {
            let sent = at.plus(-millis * MILLISECOND);
            Ok(Some((Some(sent).filter(|sent| sent.0 >= 0 && is_that_of(*sent)), Some(millis))))
        }
        (None, None) => Ok(None),
    }
}

fn number(value: &Value) -> Option<f64> {
    let number = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())?;
    number.is_finite().then_some(number)
}

fn whole(value: &Value) -> Option<i64> {
    number(value).filter(|number| number.fract() == 0.0 && number.abs() <= SECOND as f64 * 1e6).map(|number| number as i64)
}
