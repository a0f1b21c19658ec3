//! What bodies and parameters must be, as JSON Schema: bodies are read by hand, so that each problem names its field.

use crate::event::CAMPAIGN_TYPES;
use populace_io::table::{Column, Kind};
use populace_io::tables::email::EVENT_COLUMNS;
use serde_json::{Map, Value, json};

const UUID: &str = "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{11}[1-9a-fA-F]$";
const MOMENT: &str = "^(19[7-9][0-9]|2[01][0-9]{2})-(0[1-9]|1[0-2])-[0-3][0-9]T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,3})?Z$";
const PERSON: &str = "^sf_[a-z2-7]{26}$";
const EMAIL: &str = "^[A-Za-z0-9._+-]{1,64}@[a-z0-9-]{1,63}(\\.[a-z0-9-]{1,63}){0,2}\\.[a-z]{2,20}$";
const PHONE: &str = "^\\+[1-9][0-9]{6,14}$";
/// Without control characters. That it holds no address either is more than a pattern can say.
const TEXT: &str = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$";
/// The same, or nothing.
const ANY_TEXT: &str = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$";
/// Not of spaces alone.
const NAME: &str = "\\S";

/// The bodies by their paths.
pub(super) fn bodies() -> [(&'static str, Value); 5] {
    let event = json!({ "$ref": "#/components/schemas/Event" });
    [
        ("/api/mock/events/synthetic", json!({ "oneOf": [event, { "type": "array", "items": event, "minItems": 1, "maxItems": 1_000 }] })),
        ("/api/webhooks/klaviyo", klaviyo()),
        ("/api/webhooks/sendgrid", sendgrid()),
        ("/api/identity/resolve", identifiers()),
        ("/api/identity/links", link()),
    ]
}

fn text(pattern: &str) -> Value {
    json!({ "type": "string", "pattern": pattern })
}

fn or_null(mut schema: Value) -> Value {
    schema["type"] = json!([schema["type"], "null"]);
    schema
}

fn object(properties: Value, required: &[&str]) -> Value {
    let mut schema = json!({ "type": "object", "required": required });
    schema["properties"] = properties;
    schema
}

/// A column, with its type and length from the list of columns.
fn column(column: &Column) -> Value {
    let free = |longest: usize| json!({ "type": "string", "pattern": TEXT, "maxLength": longest });
    let whole = |most: i32| json!({ "type": ["integer", "null"], "minimum": 0, "maximum": most });
    match column.name {
        "universal_id" => or_null(text(PERSON)),
        "recipient_email_hash" => or_null(text("^[0-9a-f]{64}$")),
        "ip_address" => json!({ "type": ["string", "null"], "anyOf": [{ "format": "ipv4" }, { "format": "ipv6" }, { "type": "null" }] }),
        "metadata" => or_null(json!({ "type": "object", "propertyNames": { "pattern": ANY_TEXT }, "additionalProperties": plain() })),
        "latency_seconds" => json!({ "type": ["number", "null"], "minimum": 0, "maximum": 2_592_000, "multipleOf": 0.001 }),
        "hour_of_day" => whole(23),
        "minute" => whole(59),
        "day_of_week" => whole(6),
        "payload_size_bytes" => whole(i32::MAX),
        "campaign_type" => json!({ "enum": [CAMPAIGN_TYPES[0], CAMPAIGN_TYPES[1], null] }),
        name => match (column.kind, column.longest) {
            (Kind::Uuid, _) => or_null(json!({ "type": "string", "format": "uuid", "pattern": UUID })),
            (Kind::Instant(_), _) if column.nullable => or_null(json!({ "type": "string", "format": "date-time", "pattern": MOMENT })),
            (Kind::Instant(_), _) => json!({ "type": "string", "format": "date-time", "pattern": MOMENT }),
            // The connector fills it in.
            (Kind::Text, Some(longest)) if column.nullable || name == "recipient_id" => or_null(free(longest)),
            (Kind::Text, Some(longest)) => free(longest),
            _ => Value::Null,
        },
    }
}

/// What metadata may hold, down to lists and objects of texts and numbers.
fn plain() -> Value {
    let scalar = json!({ "type": ["number", "boolean", "null", "string"], "pattern": ANY_TEXT });
    let object = json!({ "type": "object", "propertyNames": { "pattern": ANY_TEXT }, "additionalProperties": scalar });
    json!({ "anyOf": [scalar, { "type": "array", "items": scalar }, object] })
}

/// A row of the table `events`, without `ingested_at`, which the connector gives: of every type, by identifiers and by an id.
///
/// What no schema can say: `latency_seconds` is `timestamp` less `send_time`, and the three columns of a clock are that of `send_time`.
pub(super) fn event() -> Value {
    const OF_DELIVERED: [&str; 7] =
        ["latency_seconds", "send_time", "campaign_type", "payload_size_bytes", "hour_of_day", "minute", "day_of_week"];
    let mut all: Map<String, Value> = EVENT_COLUMNS.iter().map(|known| (known.name.to_owned(), column(known))).collect();
    let identifiers = [
        ("recipient_email", "An address, which is resolved and dropped", EMAIL),
        ("phone", "A telephone number with its country code, which is resolved and dropped", PHONE),
        ("provider_id", "The provider's id of the person, which is resolved and dropped", NAME),
    ];
    for (name, about, pattern) in identifiers {
        all.insert(name.to_owned(), or_null(json!({ "type": "string", "pattern": pattern, "maxLength": 256, "description": about })));
    }
    all.insert("event_type".to_owned(), json!({ "enum": populace_core::email::EventType::NAMES }));
    let others = ["support_ticket", "complaint", "unsubscribe_request", "site_visit", "sms_click", "product_view"];
    let types: [(&[&str], bool, bool, bool); 4] = [
        (&["sent", "opened"], true, false, false),
        (&["clicked"], true, true, false),
        (&["delivered"], true, false, true),
        (&others, false, false, false),
    ];
    let mut shapes = Vec::new();
    for (names, is_mail, is_click, is_delivered) in types {
        for by in ["recipient_email", "phone", "provider_id", "universal_id"] {
            let mut only = Map::from_iter([("event_type".to_owned(), json!({ "enum": names }))]);
            let mut required = vec!["event_type", "timestamp", "esp", "campaign_id", "campaign_name", "source", by];
            only.insert(by.to_owned(), json!({ "type": "string" }));
            if by == "universal_id" {
                required.extend(["recipient_id", "recipient_email_hash"]);
                for given in ["recipient_id", "recipient_email_hash"] {
                    only.insert(given.to_owned(), json!({ "type": "string" }));
                }
                for absent in ["recipient_email", "phone", "provider_id"] {
                    only.insert(absent.to_owned(), json!({ "type": "null" }));
                }
            } else {
                only.insert("universal_id".to_owned(), json!({ "type": "null" }));
            }
            if by == "phone" || by == "provider_id" {
                only.insert("recipient_email".to_owned(), json!({ "type": "null" }));
            }
            if by == "provider_id" {
                only.insert("phone".to_owned(), json!({ "type": "null" }));
            }
            if is_mail {
                required.push("message_id");
            }
            only.insert("message_id".to_owned(), json!({ "type": if is_mail { "string" } else { "null" } }));
            if !is_click {
                only.insert("click_url".to_owned(), json!({ "type": "null" }));
            }
            if !is_delivered {
                only.extend(OF_DELIVERED.iter().map(|name| ((*name).to_owned(), json!({ "type": "null" }))));
            }
            shapes.push(object(Value::Object(only), &required));
        }
    }
    json!({ "type": "object", "properties": all, "additionalProperties": false, "oneOf": shapes })
}

fn identifiers() -> Value {
    let one = |properties: Value, required: &[&str]| {
        let mut shape = object(properties, required);
        shape["additionalProperties"] = json!(false);
        shape
    };
    let name = json!({ "type": "string", "pattern": NAME, "maxLength": 256 });
    let shapes = [
        one(json!({ "email": text(EMAIL) }), &["email"]),
        one(json!({ "phone": text(PHONE) }), &["phone"]),
        one(json!({ "provider": name, "id": name }), &["provider", "id"]),
    ];
    object(json!({ "identifiers": { "type": "array", "minItems": 1, "maxItems": 16, "items": { "oneOf": shapes } } }), &["identifiers"])
}

fn link() -> Value {
    object(
        json!({
            "ids": { "type": "array", "minItems": 2, "maxItems": 2, "uniqueItems": true, "items": text(PERSON) },
            "source": { "type": "string", "pattern": TEXT, "maxLength": 64, "description": "Who says so" },
            "weight": { "type": ["number", "null"], "exclusiveMinimum": 0, "exclusiveMaximum": 1, "description": "Probability; without it the link is sure" },
        }),
        &["ids", "source"],
    )
}

/// Seconds since 1970 that lie before 2200.
fn seconds() -> Value {
    json!({ "type": "number", "minimum": 0, "maximum": 7_258_118_399_i64 })
}

fn sendgrid() -> Value {
    let id = || json!({ "type": ["string", "number"], "pattern": NAME });
    let of = |names: &[&str], required: &[&str]| {
        let mut known = json!({ "event": { "enum": names }, "email": text(EMAIL), "timestamp": seconds(), "sg_event_id": id() });
        if required.contains(&"sg_message_id") {
            known["sg_message_id"] = id();
        }
        object(known, required)
    };
    let known = ["processed", "delivered", "open", "click", "spamreport", "unsubscribe", "group_unsubscribe"];
    let shapes = [
        of(&known[..4], &["event", "email", "timestamp", "sg_event_id", "sg_message_id"]),
        of(&known[4..], &["event", "email", "timestamp", "sg_event_id"]),
        object(json!({ "event": { "type": ["string", "number"], "pattern": NAME, "not": { "enum": known } } }), &["event"]),
    ];
    json!({ "type": "array", "minItems": 1, "maxItems": 1_000, "items": { "oneOf": shapes }, "description": "Events as SendGrid's Event Webhook sends them" })
}

fn klaviyo() -> Value {
    let topics = |names: &[&str]| -> Value { names.iter().map(|name| json!(format!("event:klaviyo.{name}"))).collect() };
    let mail = topics(&["sent_email", "email_delivered", "received_email", "opened_email", "clicked_email"]);
    let breakers = topics(&["marked_email_as_spam", "unsubscribed_from_email_marketing", "unsubscribed_from_email", "unsubscribed"]);
    let id = || json!({ "type": ["string", "number"], "pattern": NAME });
    let payload = |properties: Value| {
        let attributes = object(
            json!({ "datetime": { "type": "string", "format": "date-time", "pattern": MOMENT }, "event_properties": properties }),
            &["datetime", "event_properties"],
        );
        let profile = object(
            json!({ "type": { "const": "profile" }, "id": { "const": "01Q" }, "attributes": object(json!({ "email": text(EMAIL) }), &["email"]) }),
            &["type", "id", "attributes"],
        );
        object(
            json!({
                "data": object(json!({ "attributes": attributes }), &["attributes"]),
                "included": { "type": "array", "minItems": 1, "items": profile },
            }),
            &["data", "included"],
        )
    };
    let item = |topic: Value, properties: Value| {
        object(
            json!({ "topic": { "enum": topic }, "external_id": id(), "payload": payload(properties) }),
            &["topic", "external_id", "payload"],
        )
    };
    let shapes = [item(mail, object(json!({ "message_id": id() }), &["message_id"])), item(breakers, json!({ "type": "object" }))];
    object(json!({ "data": { "type": "array", "minItems": 1, "maxItems": 1_000, "items": { "oneOf": shapes } } }), &["data"])
}
