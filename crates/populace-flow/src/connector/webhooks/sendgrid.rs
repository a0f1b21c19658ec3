//! The Event Webhook of SendGrid: a list of events.

use super::{Adapter, Reader, Reported, is_set, seconds, text};
use populace_core::email::EventType;
use serde_json::{Map, Value};

pub(super) const ADAPTER: Adapter = Adapter {
    provider: "sendgrid",
    events: &[
        ("processed", Some(EventType::Sent)),
        ("delivered", Some(EventType::Delivered)),
        ("open", Some(EventType::Opened)),
        ("click", Some(EventType::Clicked)),
        ("bounce", Some(EventType::Bounced)),
        ("blocked", Some(EventType::Bounced)),
        ("dropped", Some(EventType::Dropped)),
        ("deferred", Some(EventType::Deferred)),
        ("spamreport", Some(EventType::Complaint)),
        ("unsubscribe", Some(EventType::UnsubscribeRequest)),
        ("group_unsubscribe", Some(EventType::UnsubscribeRequest)),
        ("group_resubscribe", Some(EventType::Resubscribed)),
        ("resubscribe", Some(EventType::Resubscribed)),
        ("account_status_change", None),
    ],
    fields: &["event", "email", "timestamp"],
    items,
    read,
};

fn items(body: Value) -> Result<Vec<Value>, String> {
    match body {
        Value::Array(items) => Ok(items),
        _ => Err("the body must be a list of events, as SendGrid's Event Webhook sends it".to_owned()),
    }
}

fn read(item: &Value, reader: &mut Reader<'_>) -> Option<Reported> {
    let event = item.as_object()?;
    let Some(name) = text(event, "event") else {
        reader.problem("event", "must be given");
        return None;
    };
    let kind = reader.kind(&name)?;
    let name = reader.event;
    // `type` says of a bounce whether the address was refused for good, or the message for now.
    let bounce_type = match (kind, name, reader.text(event, "type", "bounce_type").as_deref()) {
        (EventType::Dropped, _, _) => Some("dropped".to_owned()),
        (EventType::Bounced, "blocked", _) => Some("blocked".to_owned()),
        (EventType::Bounced, _, Some("bounce") | None) => Some("hard".to_owned()),
        (EventType::Bounced, _, Some(other)) => Some(other.to_lowercase()),
        (EventType::Deferred, _, _) => Some("deferred".to_owned()),
        _ => None,
    };
    Some(Reported {
        kind: Some(kind),
        id: reader.text(event, "sg_event_id", "event_id"),
        message: reader.text(event, "sg_message_id", "message_id").map(|id| message(&id)),
        at: seconds(event.get("timestamp")),
        address: text(event, "email"),
        campaign: campaign(event),
        subject: reader.text(event, "subject", "subject"),
        url: reader.text(event, "url", "click_url"),
        user_agent: reader.text(event, "useragent", "user_agent"),
        ip: reader.text(event, "ip", "ip_address"),
        bounce_type,
        reason: reader.first(event, &["reason", "response"], "metadata"),
        attempt: reader.text(event, "attempt", "attempt"),
        enhanced: reader.text(event, "status", "enhanced_code"),
        class: reader.text(event, "bounce_classification", "bounce_class"),
        link: event.get("url_offset").and_then(|offset| offset.get("index")?.as_i64()),
        machine: is_set(event, "sg_machine_open").then_some("machine_open"),
        ..Reported::default()
    })
}

/// The part of a message's id that all its events share: what follows names the machine that took it.
fn message(id: &str) -> String {
    let end = [".filter", ".recvd"].iter().filter_map(|mark| id.find(mark)).min().unwrap_or(id.len());
    id[..end].to_owned()
}

fn campaign(event: &Map<String, Value>) -> Option<(String, String)> {
    if let Some(id) = text(event, "marketing_campaign_id").or_else(|| text(event, "singlesend_id")) {
        let name = text(event, "marketing_campaign_name").or_else(|| text(event, "singlesend_name"));
        return Some((id.clone(), name.unwrap_or(id)));
    }
    let category = match event.get("category")? {
        Value::Array(list) => list.first()?.as_str()?,
        Value::String(category) => category,
        _ => return None,
    };
    let category = category.trim().replace(char::is_control, " ");
    (!category.is_empty()).then(|| (category.clone(), category))
}
