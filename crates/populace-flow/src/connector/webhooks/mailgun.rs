//! The webhooks of Mailgun: one event, `event-data`, beside a signature.

use super::{Adapter, Reader, Reported, seconds, text};
use crate::json::check_itself;
use populace_core::email::EventType;
use serde_json::{Map, Value};

pub(super) const ADAPTER: Adapter = Adapter {
    provider: "mailgun",
    events: &[
        ("accepted", Some(EventType::Sent)),
        ("delivered", Some(EventType::Delivered)),
        ("opened", Some(EventType::Opened)),
        ("clicked", Some(EventType::Clicked)),
        ("failed", Some(EventType::Bounced)),
        ("rejected", Some(EventType::Dropped)),
        ("complained", Some(EventType::Complaint)),
        ("unsubscribed", Some(EventType::UnsubscribeRequest)),
        ("stored", None),
    ],
    fields: &["event", "email", "timestamp"],
    items,
    read,
};

fn items(mut body: Value) -> Result<Vec<Value>, String> {
    check_itself(&body)?;
    match body.get_mut("event-data").map(Value::take) {
        Some(event @ Value::Object(_)) => Ok(vec![event]),
        _ => Err("the body must have an object `event-data`, as Mailgun's webhooks send it".to_owned()),
    }
}

fn read(item: &Value, reader: &mut Reader<'_>) -> Option<Reported> {
    let nothing = Map::new();
    let event = item.as_object()?;
    let Some(name) = text(event, "event") else {
        reader.problem("event", "must be given");
        return None;
    };
    let kind = reader.kind(&name)?;
    let name = reader.event;
    let [headers, client, status] =
        [&item["message"]["headers"], &item["client-info"], &item["delivery-status"]].map(|part| part.as_object().unwrap_or(&nothing));
    // A failure for now is tried again.
    let deferred = name == "failed" && event.get("severity").and_then(Value::as_str) == Some("temporary");
    let bounce_type = match name {
        "failed" => Some(if deferred { "deferred" } else { "hard" }),
        "rejected" => Some("dropped"),
        _ => None,
    };
    let tag = item["tags"].as_array().and_then(|tags| tags.first()?.as_str()).filter(|tag| !tag.trim().is_empty());
    Some(Reported {
        kind: Some(if deferred { EventType::Deferred } else { kind }),
        id: reader.text(event, "id", "event_id"),
        message: reader.text(headers, "message-id", "message_id"),
        at: seconds(event.get("timestamp")),
        address: text(event, "recipient"),
        campaign: tag.map(|tag| (tag.to_owned(), tag.to_owned())),
        subject: reader.text(headers, "subject", "subject"),
        url: reader.text(event, "url", "click_url"),
        user_agent: reader.text(client, "user-agent", "user_agent"),
        ip: reader.text(event, "ip", "ip_address"),
        bounce_type: bounce_type.map(str::to_owned),
        reason: reader.first(status, &["description", "message"], "metadata").or_else(|| reader.text(event, "reason", "metadata")),
        attempt: reader.text(status, "attempt-no", "attempt"),
        enhanced: reader.text(status, "enhanced-code", "enhanced_code"),
        machine: reader.text(client, "bot", "metadata").map(|_| "reported_as_bot"),
        ..Reported::default()
    })
}
