//! The Event Webhook of SendGrid: a list of events.

use super::{Names, Told, seconds, text};
use crate::connector::drafts::check_count;
use crate::connector::{Drafts, Ignored, Rejection};
use populace_core::email::EventType;
use serde_json::{Map, Value};

const NAMES: Names = Names { provider: "sendgrid", id: "sg_event_id", at: "timestamp", address: "email", message: "sg_message_id" };

pub(super) fn read(body: Value) -> Result<Drafts<'static>, Rejection> {
    let Value::Array(items) = body else {
        return Err(Rejection::Malformed("the body must be a list of events, as SendGrid's Event Webhook sends it".to_owned()));
    };
    check_count(items.len())?;
    let mut made = Drafts::default();
    for (item, value) in items.iter().enumerate() {
        let Value::Object(event) = value else {
            made.problem(item, "", "must be a JSON object");
            continue;
        };
        let name = text(event, "event").unwrap_or_default();
        let kind = match name.as_str() {
            "processed" => EventType::Sent,
            "delivered" => EventType::Delivered,
            "open" => EventType::Opened,
            "click" => EventType::Clicked,
            "spamreport" => EventType::Complaint,
            "unsubscribe" | "group_unsubscribe" => EventType::UnsubscribeRequest,
            "" => {
                made.problem(item, "event", "must be given");
                continue;
            }
            "bounce" | "dropped" | "deferred" | "group_resubscribe" => {
                made.ignored.push(Ignored { item, reason: format!("`{name}` has no type of event") });
                continue;
            }
            _ => {
                made.ignored.push(Ignored { item, reason: "this event of SendGrid is not known".to_owned() });
                continue;
            }
        };
        let told = Told {
            kind: Some(kind),
            id: text(event, "sg_event_id"),
            message: text(event, "sg_message_id").map(|id| message(&id)),
            at: seconds(event.get("timestamp")),
            address: text(event, "email"),
            campaign: campaign(event),
            subject: text(event, "subject"),
            url: text(event, "url"),
            user_agent: text(event, "useragent"),
            ip: text(event, "ip"),
            name,
            ..Told::default()
        };
        told.draft(item, &NAMES, &mut made);
    }
    Ok(made)
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
        Value::Array(list) => list.first()?.as_str()?.to_owned(),
        Value::String(category) => category.clone(),
        _ => return None,
    };
    (!category.is_empty()).then(|| (category.clone(), category))
}
