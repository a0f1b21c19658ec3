//! The system webhooks of Klaviyo: `data`, a list of a topic and an event with its profile.

use super::{Names, Told, seconds, text, whole};
use crate::connector::drafts::check_count;
use crate::connector::{Drafts, Ignored, Rejection};
use crate::time;
use populace_core::email::EventType;
use populace_core::time::Instant;
use serde_json::{Map, Value};

const NAMES: Names = Names {
    provider: "klaviyo",
    id: "external_id",
    at: "payload.data.attributes.datetime",
    address: "payload.included[profile].attributes.email",
    message: "payload.data.attributes.event_properties.$message",
};

pub(super) fn read(body: &Value) -> Result<Drafts<'static>, Rejection> {
    let Some(items) = body.get("data").and_then(Value::as_array) else {
        return Err(Rejection::Malformed("the body must have a list `data`, as Klaviyo's webhooks send it".to_owned()));
    };
    check_count(items.len())?;
    let mut made = Drafts::default();
    let nothing = Map::new();
    for (item, value) in items.iter().enumerate() {
        let topic = value.get("topic").and_then(Value::as_str).unwrap_or_default();
        let Some(name) = topic.strip_prefix("event:klaviyo.") else {
            made.problem(item, "topic", "must be given, such as event:klaviyo.opened_email");
            continue;
        };
        let kind = match name {
            "sent_email" => EventType::Sent,
            "email_delivered" | "received_email" => EventType::Delivered,
            "opened_email" => EventType::Opened,
            "clicked_email" => EventType::Clicked,
            "marked_email_as_spam" => EventType::Complaint,
            "unsubscribed_from_email_marketing" | "unsubscribed_from_email" | "unsubscribed" => EventType::UnsubscribeRequest,
            _ => {
                made.ignored.push(Ignored { item, reason: "this topic has no type of event".to_owned() });
                continue;
            }
        };
        let event = &value["payload"]["data"];
        let attributes = event["attributes"].as_object().unwrap_or(&nothing);
        let properties = attributes.get("event_properties").and_then(Value::as_object).unwrap_or(&nothing);
        let profile = profile(&value["payload"], event);
        let person = profile.and_then(|profile| profile["attributes"].as_object()).unwrap_or(&nothing);
        let told = Told {
            kind: Some(kind),
            id: value
                .as_object()
                .and_then(|item| text(item, "external_id"))
                .or_else(|| event.as_object().and_then(|event| text(event, "id"))),
            message: message(properties, event["relationships"]["profile"]["data"]["id"].as_str().unwrap_or_default()),
            at: at(attributes),
            address: text(person, "email").or_else(|| text(properties, "Recipient Email Address")),
            phone: text(person, "phone_number"),
            person: event["relationships"]["profile"]["data"]["id"].as_str().map(str::to_owned),
            campaign: campaign(properties),
            subject: text(properties, "Subject"),
            url: text(properties, "URL"),
            user_agent: text(properties, "User Agent"),
            ip: text(properties, "IP Address").or_else(|| text(properties, "$ip")),
            name: name.to_owned(),
        };
        told.draft(item, &NAMES, &mut made);
    }
    Ok(made)
}

/// The profile of an event, among what the payload includes.
fn profile<'a>(payload: &'a Value, event: &Value) -> Option<&'a Value> {
    let id = &event["relationships"]["profile"]["data"]["id"];
    payload["included"].as_array()?.iter().find(|one| one["type"] == "profile" && (id.is_null() || one["id"] == *id))
}

fn at(attributes: &Map<String, Value>) -> Option<Instant> {
    let told = attributes.get("datetime").and_then(Value::as_str).and_then(time::parse);
    told.map(whole).or_else(|| seconds(attributes.get("timestamp")))
}

/// One send to one person: a campaign's or flow's message, told apart by when it was sent and by the profile.
fn message(properties: &Map<String, Value>, profile: &str) -> Option<String> {
    if let Some(id) = text(properties, "Transmission ID").or_else(|| text(properties, "message_id")) {
        return Some(id);
    }
    let message = text(properties, "$message")?;
    let send = text(properties, "$_cohort$message_send_cohort").or_else(|| text(properties, "Send Time")).unwrap_or_default();
    Some(format!("{message}/{send}/{profile}"))
}

fn campaign(properties: &Map<String, Value>) -> Option<(String, String)> {
    let name = text(properties, "Campaign Name").or_else(|| text(properties, "$campaign_name"));
    let id = text(properties, "$campaign").or_else(|| text(properties, "$flow")).or_else(|| text(properties, "$message"));
    match (id, name) {
        (Some(id), Some(name)) => Some((id, name)),
        (Some(one), None) | (None, Some(one)) => Some((one.clone(), one)),
        (None, None) => None,
    }
}
