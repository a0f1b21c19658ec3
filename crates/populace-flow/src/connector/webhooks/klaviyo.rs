//! The system webhooks of Klaviyo: `data`, a list of a topic and an event with its profile; or one event, as its interface gives it.

use super::{Adapter, Reader, Reported, is_set, moment, seconds, text};
use crate::json::check_itself;
use populace_core::email::EventType;
use serde_json::{Map, Value};

pub(super) const ADAPTER: Adapter = Adapter {
    provider: "klaviyo",
    events: &[
        ("sent_email", Some(EventType::Sent)),
        ("email_delivered", Some(EventType::Delivered)),
        ("received_email", Some(EventType::Delivered)),
        ("opened_email", Some(EventType::Opened)),
        ("clicked_email", Some(EventType::Clicked)),
        ("bounced_email", Some(EventType::Bounced)),
        ("dropped_email", Some(EventType::Dropped)),
        ("marked_email_as_spam", Some(EventType::Complaint)),
        ("unsubscribed_from_email_marketing", Some(EventType::UnsubscribeRequest)),
        ("unsubscribed_from_email", Some(EventType::UnsubscribeRequest)),
        ("unsubscribed", Some(EventType::UnsubscribeRequest)),
        ("manually_suppressed_from_email_marketing", Some(EventType::UnsubscribeRequest)),
        ("manually_suppressed_from_email", Some(EventType::UnsubscribeRequest)),
        ("manually_suppressed", Some(EventType::UnsubscribeRequest)),
        ("subscribed_to_email_marketing", Some(EventType::Resubscribed)),
        ("subscribed_to_email", Some(EventType::Resubscribed)),
        ("resubscribed_to_email_marketing", Some(EventType::Resubscribed)),
        ("manually_unsuppressed_from_email_marketing", Some(EventType::Resubscribed)),
        ("manually_unsuppressed_from_email", Some(EventType::Resubscribed)),
        ("manually_unsuppressed", Some(EventType::Resubscribed)),
    ],
    fields: &["topic", "timestamp", "email", "phone_number", "profile"],
    items,
    read,
};

/// Marks of opens and clicks that are no person's.
const MACHINES: [(&str, &str); 8] = [
    ("machine_open", "machine_open"),
    ("$machine_open", "machine_open"),
    ("Machine Open", "machine_open"),
    ("apple_privacy_open", "machine_open"),
    ("Apple Privacy Open", "machine_open"),
    ("bot_click", "bot_click"),
    ("$bot_click", "bot_click"),
    ("Bot Click", "bot_click"),
];

fn items(mut body: Value) -> Result<Vec<Value>, String> {
    check_itself(&body)?;
    match body.get_mut("data").map(Value::take) {
        Some(Value::Array(items)) => Ok(items),
        Some(Value::Object(event)) => Ok(vec![Value::Object(event)]),
        _ => Err("the body must have a list `data`, as Klaviyo's webhooks send it, or an event".to_owned()),
    }
}

/// The name of an event: the topic after `event:klaviyo.`, or that of the metric.
fn name(item: &Value, event: &Value) -> Option<String> {
    if let Some(topic) = item["topic"].as_str() {
        let topic = topic.trim();
        let name = topic.strip_prefix("event:").unwrap_or(topic).trim();
        return Some(name.strip_prefix("klaviyo.").unwrap_or(name).to_lowercase()).filter(|name| !name.is_empty());
    }
    let metric = event["attributes"]["metric"]["data"]["attributes"]["name"].as_str()?;
    Some(metric.trim().to_lowercase().replace(' ', "_"))
}

fn read(item: &Value, reader: &mut Reader<'_>) -> Option<Reported> {
    let nothing = Map::new();
    let event = if item["payload"]["data"].is_object() { &item["payload"]["data"] } else { item };
    let Some(name) = name(item, event) else {
        reader.problem("topic", "must be given, such as event:klaviyo.opened_email");
        return None;
    };
    let kind = reader.kind(&name)?;
    let attributes = event["attributes"].as_object().unwrap_or(&nothing);
    let properties = attributes.get("event_properties").and_then(Value::as_object).unwrap_or(&nothing);
    let of_profile = if attributes.contains_key("profile") {
        &event["attributes"]["profile"]["data"]
    } else {
        &event["relationships"]["profile"]["data"]
    };
    let person = profile(&item["payload"], of_profile).unwrap_or(of_profile)["attributes"].as_object().unwrap_or(&nothing);
    let id = of_profile["id"].as_str();
    let given = [properties, attributes];
    let mut of = |keys: &[&str], field: &'static str| given.iter().find_map(|map| reader.first(map, keys, field));
    let bounce = of(&["Bounce Type", "bounce_type", "$bounce_type"], "bounce_type").map(|text| text.to_lowercase());
    Some(Reported {
        kind: Some(kind),
        id: text(item.as_object().unwrap_or(&nothing), "external_id").or_else(|| text(event.as_object().unwrap_or(&nothing), "id")),
        subject: of(&["Subject", "subject"], "subject"),
        url: of(&["URL", "url"], "click_url"),
        user_agent: of(&["User Agent", "user_agent"], "user_agent"),
        ip: of(&["IP Address", "$ip", "ip_address"], "ip_address"),
        reason: of(&["Bounce Reason", "reason"], "metadata"),
        message: message(properties, id.unwrap_or_default()).or_else(|| text(attributes, "message_id")),
        at: moment(attributes.get("datetime")).or_else(|| seconds(attributes.get("timestamp"))),
        address: text(person, "email").or_else(|| text(properties, "Recipient Email Address")),
        phone: text(person, "phone_number"),
        person: id.map(str::to_owned),
        campaign: campaign(properties).or_else(|| campaign_of(&event["attributes"]["campaign"]["data"])),
        bounce_type: matches!(kind, EventType::Bounced | EventType::Dropped)
            .then(|| bounce.unwrap_or_else(|| if name.starts_with("dropped") { "dropped" } else { "unknown" }.to_owned())),
        machine: MACHINES.iter().find(|(mark, _)| is_set(properties, mark)).map(|(_, why)| *why),
        ..Reported::default()
    })
}

/// The profile of an event, among what the payload includes.
fn profile<'a>(payload: &'a Value, of: &Value) -> Option<&'a Value> {
    let id = &of["id"];
    payload["included"].as_array()?.iter().find(|one| one["type"] == "profile" && (id.is_null() || one["id"] == *id))
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

fn campaign_of(campaign: &Value) -> Option<(String, String)> {
    let id = text(campaign.as_object()?, "id")?;
    let name = campaign["attributes"].as_object().and_then(|attributes| text(attributes, "name"));
    Some((id.clone(), name.unwrap_or(id)))
}
