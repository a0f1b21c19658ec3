//! The events of Amazon SES, in the envelope of SNS or without it: one event of one or more recipients.

use super::{Adapter, Reader, Reported, moment, text};
use crate::json::{check_itself, lenient};
use populace_core::email::EventType;
use serde_json::{Map, Value};

pub(super) const ADAPTER: Adapter = Adapter {
    provider: "ses",
    events: &[
        ("Send", Some(EventType::Sent)),
        ("Delivery", Some(EventType::Delivered)),
        ("Open", Some(EventType::Opened)),
        ("Click", Some(EventType::Clicked)),
        ("Bounce", Some(EventType::Bounced)),
        ("Reject", Some(EventType::Dropped)),
        ("DeliveryDelay", Some(EventType::Deferred)),
        ("Complaint", Some(EventType::Complaint)),
        ("Subscription", Some(EventType::UnsubscribeRequest)),
        ("Rendering Failure", None),
        ("AmazonSnsSubscriptionSucceeded", None),
        ("UnsubscribeConfirmation", None),
    ],
    fields: &["eventType", "email", "timestamp", "SubscribeURL"],
    items,
    read,
};

/// How deeply the message within an envelope may be nested.
const DEEPEST: usize = 32;
/// The recipient of an item: an event of several is one item for each.
const RECIPIENT: &str = "recipient";
/// The lists of recipients of the kinds of event.
const LISTS: [(&str, &str); 4] = [
    ("/bounce/bouncedRecipients", "emailAddress"),
    ("/complaint/complainedRecipients", "emailAddress"),
    ("/deliveryDelay/delayedRecipients", "emailAddress"),
    ("/delivery/recipients", ""),
];

fn items(body: Value) -> Result<Vec<Value>, String> {
    if body["Type"] == "Notification" {
        check_itself(&body)?;
    }
    let wrong = || "the body must be an event of SES, or a notification of SNS with one".to_owned();
    let event = match body.get("Message").and_then(Value::as_str) {
        Some(message) if body["Type"] == "Notification" => {
            lenient(message.as_bytes(), DEEPEST).ok().map(|(event, _)| event).filter(Value::is_object).unwrap_or(body)
        }
        _ => body,
    };
    if !event.is_object() {
        return Err(wrong());
    }
    let listed = LISTS.iter().find_map(|(list, field)| {
        let of = |one: &Value| if field.is_empty() { one.clone() } else { one[*field].clone() };
        Some(event.pointer(list)?.as_array()?.iter().map(of).collect::<Vec<_>>())
    });
    let all = listed.or_else(|| event["mail"]["destination"].as_array().cloned()).unwrap_or_default();
    if all.is_empty() || (all.len() > 1 && is_of_one(&event)) {
        return Ok(vec![event]);
    }
    let of = |recipient: Value| {
        let mut event = event.clone();
        event[RECIPIENT] = recipient;
        event
    };
    Ok(all.into_iter().map(of).collect())
}

/// Whether an event is what one of the recipients did, which SES does not tell apart.
fn is_of_one(event: &Value) -> bool {
    let kind = event["eventType"].as_str().unwrap_or_default();
    ["Open", "Click", "Subscription"].iter().any(|one| kind.eq_ignore_ascii_case(one))
}

fn read(item: &Value, reader: &mut Reader<'_>) -> Option<Reported> {
    let nothing = Map::new();
    let event = item.as_object()?;
    if item["Type"] == "SubscriptionConfirmation" {
        reader.problem("SubscribeURL", "SNS asks whether its notifications are wanted: open SubscribeURL of this dead letter");
        return None;
    }
    let Some(name) = text(event, "eventType").or_else(|| text(event, "notificationType")) else {
        reader.problem("eventType", "must be given");
        return None;
    };
    let kind = reader.kind(&name)?;
    if item[RECIPIENT].is_null() && item["mail"]["destination"].as_array().is_some_and(|all| all.len() > 1) {
        reader.problem("email", "is one of several recipients, and SES does not say which; send to one at a time");
        return None;
    }
    let name = reader.event;
    let (mail, part) = (&item["mail"], name.get(..1).map(|first| first.to_lowercase() + &name[1..]).unwrap_or_default());
    let of = |value: &Value| value.as_object().cloned().unwrap_or_default();
    let (mail_map, detail, headers) = (of(mail), of(&item[&part]), of(&mail["commonHeaders"]));
    let bounce_type = match (kind, detail.get("bounceType").and_then(Value::as_str)) {
        (EventType::Bounced, Some("Permanent")) => Some("hard".to_owned()),
        (EventType::Bounced, Some("Transient")) => Some("soft".to_owned()),
        (EventType::Bounced, Some(other)) => Some(other.to_lowercase()),
        (EventType::Bounced, None) => Some("unknown".to_owned()),
        (EventType::Dropped, _) => Some("dropped".to_owned()),
        (EventType::Deferred, _) => Some("deferred".to_owned()),
        _ => None,
    };
    let lists = [&item["bounce"]["bouncedRecipients"][0], &item["deliveryDelay"]["delayedRecipients"][0]];
    let failed = lists.iter().find_map(|one| one.as_object()).unwrap_or(&nothing).clone();
    let tag = mail["tags"]["ses:configuration-set"][0].as_str().map(str::to_owned);
    let latency = detail.get("processingTimeMillis").and_then(Value::as_i64).filter(|millis| (0..=2_592_000_000).contains(millis));
    Some(Reported {
        kind: Some(kind),
        message: reader.text(&mail_map, "messageId", "message_id"),
        at: moment(detail.get("timestamp")).or_else(|| moment(mail.get("timestamp"))),
        address: item[RECIPIENT].as_str().map(str::to_owned),
        campaign: tag.map(|tag| (tag.clone(), tag)),
        subject: reader.text(&headers, "subject", "subject"),
        url: reader.text(&detail, "link", "click_url"),
        user_agent: reader.text(&detail, "userAgent", "user_agent"),
        ip: reader.text(&detail, "ipAddress", "ip_address"),
        bounce_type,
        reason: reader.text(&detail, "reason", "metadata").or_else(|| reader.text(&failed, "diagnosticCode", "metadata")),
        enhanced: reader.text(&failed, "status", "enhanced_code"),
        latency_ms: latency.filter(|_| kind == EventType::Delivered),
        ..Reported::default()
    })
}
