//! The webhooks of Postmark: one event, whose kind is its `RecordType`.

use super::{Adapter, Reader, Reported, is_set, moment, text};
use populace_core::email::EventType;
use serde_json::Value;

pub(super) const ADAPTER: Adapter = Adapter {
    provider: "postmark",
    events: &[
        ("Delivery", Some(EventType::Delivered)),
        ("Open", Some(EventType::Opened)),
        ("Click", Some(EventType::Clicked)),
        ("Bounce", Some(EventType::Bounced)),
        ("SpamComplaint", Some(EventType::Complaint)),
        ("SubscriptionChange", Some(EventType::UnsubscribeRequest)),
        ("Inbound", None),
        ("SMTPAPIError", None),
    ],
    fields: &["RecordType", "email", "timestamp"],
    items,
    read,
};

fn items(body: Value) -> Result<Vec<Value>, String> {
    match body {
        Value::Object(event) => Ok(vec![Value::Object(event)]),
        Value::Array(items) => Ok(items),
        _ => Err("the body must be an event, as Postmark's webhooks send it".to_owned()),
    }
}

fn read(item: &Value, reader: &mut Reader<'_>) -> Option<Reported> {
    let event = item.as_object()?;
    let Some(name) = text(event, "RecordType") else {
        reader.problem("RecordType", "must be given");
        return None;
    };
    let kind = reader.kind(&name)?;
    let name = reader.event;
    // What a bounce or a complaint brings about is no wish of the person, and they have events of their own.
    if name == "SubscriptionChange" && matches!(text(event, "SuppressionReason").as_deref(), Some("HardBounce" | "SpamComplaint")) {
        reader.ignore("`SubscriptionChange` follows a bounce or a complaint, which is an event of its own");
        return None;
    }
    // The end of a suppression is reported as a change, too.
    let returns = name == "SubscriptionChange" && event.get("SuppressSending").is_some() && !is_set(event, "SuppressSending");
    let bounce_type = text(event, "Type").map(|of| match of.as_str() {
        "HardBounce" | "BadEmailAddress" => "hard".to_owned(),
        "SoftBounce" | "Transient" => "soft".to_owned(),
        "Blocked" | "SMTPApiError" => "blocked".to_owned(),
        _ => of.to_lowercase(),
    });
    let at = ["DeliveredAt", "ReceivedAt", "BouncedAt", "ChangedAt"];
    let geo = item["Geo"].as_object().cloned().unwrap_or_default();
    let tag = reader.text(event, "Tag", "campaign_id");
    Some(Reported {
        kind: Some(if returns { EventType::Resubscribed } else { kind }),
        id: matches!(name, "Bounce" | "SpamComplaint").then(|| reader.text(event, "ID", "event_id")).flatten(),
        message: reader.text(event, "MessageID", "message_id"),
        at: at.iter().find_map(|field| moment(event.get(*field))),
        address: text(event, "Recipient").or_else(|| text(event, "Email")),
        campaign: tag.map(|tag| (tag.clone(), tag)),
        subject: reader.text(event, "Subject", "subject"),
        url: reader.text(event, "OriginalLink", "click_url"),
        user_agent: reader.text(event, "UserAgent", "user_agent"),
        ip: reader.text(&geo, "IP", "ip_address"),
        bounce_type: (kind == EventType::Bounced).then(|| bounce_type.unwrap_or_else(|| "unknown".to_owned())),
        reason: reader.first(event, &["Details", "Description"], "metadata"),
        ..Reported::default()
    })
}
