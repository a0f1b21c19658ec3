//! What bodies and parameters must be, as JSON Schema: bodies are read by hand, so that each problem names its field.

use super::limits::Limits;
use crate::connector::webhooks::PROVIDERS;
use crate::event::{CAMPAIGN_TYPES, MOST_ATTEMPTS, MOST_CODES, MOST_LINKS, OPTIONAL_COLUMNS};
use populace_core::email::EventType;
use populace_io::table::{Column, Kind};
use populace_io::tables::email::{ATTEMPT_COLUMNS, EVENT_COLUMNS, LINK_INDEX, MACHINE_OPEN};
use serde_json::{Map, Value, json};

const MOMENT: &str = "^(19[7-9][0-9]|2[01][0-9]{2})-(0[1-9]|1[0-2])-[0-3][0-9]T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,3})?Z$";
/// On no clock, which is taken for UTC, and as finely as programs write it. Of the days that every month has.
const LOCAL: &str =
    "^(19[7-9][0-9]|2[01][0-9]{2})-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?$";
const PERSON: &str = "^sf_([a-z2-7]{26}|[0-9a-f]{16})$";
const EMAIL: &str = "^[A-Za-z0-9._+-]{1,64}@[a-z0-9-]{1,63}(\\.[a-z0-9-]{1,63}){0,2}\\.[a-z]{2,20}$";
const PHONE: &str = "^\\+[1-9][0-9]{6,14}$";
/// Without control characters. That it holds no address either is more than a pattern can say.
const TEXT: &str = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$";
/// The same, or nothing.
const ANY_TEXT: &str = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$";
/// Not of spaces alone.
const NAME: &str = "\\S";

/// The bodies by their paths.
pub(super) fn bodies() -> Vec<(String, Value)> {
    let event = json!({ "$ref": "#/components/schemas/Event" });
    let mut bodies = vec![
        (
            "/api/mock/events/synthetic".to_owned(),
            json!({ "oneOf": [event, { "type": "array", "items": event, "minItems": 1, "maxItems": 1_000 }] }),
        ),
        ("/api/identity/resolve".to_owned(), identifiers()),
        ("/api/identity/links".to_owned(), link()),
    ];
    for provider in PROVIDERS {
        for base in ["/api/webhooks", "/api/webhook"] {
            bodies.push((format!("{base}/{provider}"), webhook(provider)));
        }
    }
    bodies
}

fn text(pattern: &str) -> Value {
    json!({ "type": "string", "pattern": pattern })
}

fn or_null(mut schema: Value) -> Value {
    schema["type"] = json!([schema["type"], "null"]);
    schema
}

/// Nothing: empty text is the same as null.
fn nothing() -> Value {
    json!({ "enum": [null, ""] })
}

fn object(properties: Value, required: &[&str]) -> Value {
    let mut schema = json!({ "type": "object", "required": required });
    schema["properties"] = properties;
    schema
}

/// Columns that may be missing though they are not null.
const DEFAULTED: [&str; 3] = ["recipient_id", "campaign_name", "source"];

/// A column, with its type and length from the list of columns.
fn column(column: &Column) -> Value {
    let free = |longest: usize| json!({ "type": "string", "pattern": TEXT, "maxLength": longest });
    let whole = |most: i32| json!({ "type": ["integer", "null"], "minimum": 0, "maximum": most });
    match column.name {
        // Any text is an id: one that is no UUID becomes one.
        "event_id" | "message_id" => json!({ "type": ["string", "null"] }),
        "timestamp" => json!({ "type": "string", "anyOf": [{ "format": "date-time", "pattern": MOMENT }, { "pattern": LOCAL }] }),
        "universal_id" => or_null(text(PERSON)),
        "recipient_email_hash" => or_null(text("^[0-9a-f]{64}$")),
        "ip_address" => json!({ "type": ["string", "null"], "anyOf": [{ "format": "ipv4" }, { "format": "ipv6" }, { "type": "null" }] }),
        "metadata" => or_null(json!({ "type": "object", "propertyNames": { "pattern": ANY_TEXT }, "additionalProperties": plain() })),
        "latency_seconds" => json!({ "type": ["number", "null"], "minimum": 0, "maximum": 2_592_000, "multipleOf": 0.001 }),
        "hour_of_day" => whole(23),
        "minute" => whole(59),
        "day_of_week" => whole(6),
        "payload_size_bytes" => whole(i32::MAX),
        "attempt" => whole(MOST_ATTEMPTS),
        "smtp_code" => whole(MOST_CODES),
        "link_index" => whole(MOST_LINKS),
        "machine_open" => json!({ "type": ["boolean", "null"] }),
        "campaign_type" => json!({ "enum": [CAMPAIGN_TYPES[0], CAMPAIGN_TYPES[1], null] }),
        name => match (column.kind, column.longest) {
            (Kind::Instant(_), _) if column.nullable => or_null(json!({ "type": "string", "format": "date-time", "pattern": MOMENT })),
            (Kind::Instant(_), _) => json!({ "type": "string", "format": "date-time", "pattern": MOMENT }),
            // The connector fills it in.
            (Kind::Text, Some(longest)) if column.nullable || DEFAULTED.contains(&name) => or_null(free(longest)),
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

/// A row of the table `events`, of every type, by identifiers and by an id.
///
/// What no schema can say: `latency_seconds` is `timestamp` less `send_time`, and the three columns of a clock are that of `send_time`.
pub(super) fn event() -> Value {
    const OF_DELIVERED: [&str; 7] =
        ["latency_seconds", "send_time", "campaign_type", "payload_size_bytes", "hour_of_day", "minute", "day_of_week"];
    const REQUIRED: [&str; 4] = ["event_type", "timestamp", "esp", "campaign_id"];
    let or_empty =
        |known: &Column| if REQUIRED.contains(&known.name) { column(known) } else { json!({ "anyOf": [column(known), { "const": "" }] }) };
    let mut all: Map<String, Value> =
        EVENT_COLUMNS.iter().chain(&OPTIONAL_COLUMNS).map(|known| (known.name.to_owned(), or_empty(known))).collect();
    all.insert("ingested_at".to_owned(), json!({ "description": "Ignored: the connector sets it" }));
    let identifiers = [
        ("recipient_email", "An address, which is resolved and dropped", EMAIL),
        ("phone", "A telephone number with its country code, which is resolved and dropped", PHONE),
        ("provider_id", "The provider's id of the person, which is resolved and dropped", NAME),
    ];
    for (name, about, pattern) in identifiers {
        let given = or_null(json!({ "type": "string", "pattern": pattern, "maxLength": 256 }));
        all.insert(name.to_owned(), json!({ "anyOf": [given, { "const": "" }], "description": about }));
    }
    let words: Vec<&str> = EventType::NAMES.into_iter().chain(["marked_spam"]).collect();
    all.insert("event_type".to_owned(), json!({ "enum": words }));
    let mails = ["sent", "delivered", "opened", "clicked"];
    let failures = ["deferred", "bounced", "dropped"];
    let others: Vec<&str> = words.iter().copied().filter(|word| !mails.contains(word) && !failures.contains(word)).collect();
    let types: [(&[&str], bool, bool, bool); 6] = [
        (&["sent"], true, false, false),
        (&["opened"], true, false, false),
        (&["clicked"], true, true, false),
        (&["delivered"], true, false, true),
        (&failures, false, false, false),
        (&others, false, false, false),
    ];
    let mut shapes = Vec::new();
    for (names, is_mail, is_click, is_delivered) in types {
        const BY: [&str; 4] = ["recipient_email", "phone", "provider_id", "recipient_id"];
        let given = || json!({ "type": "string", "minLength": 1 });
        for (number, by) in BY.into_iter().chain(["universal_id"]).enumerate() {
            let mut only = Map::from_iter([("event_type".to_owned(), json!({ "enum": names }))]);
            let mut required = REQUIRED.to_vec();
            required.push(by);
            only.insert(by.to_owned(), given());
            if by == "universal_id" {
                required.extend(["recipient_id", "recipient_email_hash"]);
                only.extend(["recipient_id", "recipient_email_hash"].map(|name| (name.to_owned(), given())));
                only.extend(BY[..3].iter().map(|name| ((*name).to_owned(), nothing())));
            } else {
                only.insert("universal_id".to_owned(), nothing());
                only.extend(BY[..number].iter().map(|name| ((*name).to_owned(), nothing())));
            }
            if is_mail {
                required.push("message_id");
                only.insert("message_id".to_owned(), given());
            }
            if names != ["opened"] {
                only.insert(MACHINE_OPEN.name.to_owned(), nothing());
            }
            if names != failures {
                let never = ATTEMPT_COLUMNS.iter().filter(|known| !is_delivered || known.name != "attempt");
                only.extend(never.map(|known| (known.name.to_owned(), nothing())));
            }
            if !is_click {
                only.extend(["click_url", LINK_INDEX.name].map(|name| (name.to_owned(), nothing())));
            }
            if !is_delivered {
                only.extend(OF_DELIVERED.iter().map(|name| ((*name).to_owned(), nothing())));
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

/// The body of a provider's webhook. Its items may be anything: what is no event is a dead letter, not a reason to send all of it again.
fn webhook(provider: &str) -> Value {
    let most = Limits::default().of(provider).events;
    let items = |about: &str| json!({ "type": "array", "maxItems": most, "items": {}, "description": about });
    match provider {
        "sendgrid" => items("Events as SendGrid's Event Webhook sends them"),
        "klaviyo" => object(
            json!({ "data": { "oneOf": [items("Topics and events as Klaviyo's system webhooks send them"), { "type": "object" }] } }),
            &["data"],
        ),
        "mailgun" => {
            object(json!({ "event-data": { "type": "object", "description": "An event as Mailgun's webhooks send it" } }), &["event-data"])
        }
        "postmark" => {
            json!({ "oneOf": [{ "type": "object", "description": "An event as Postmark's webhooks send it" }, items("Such events")] })
        }
        _ => json!({ "type": "object", "description": "An event of Amazon SES, or SNS's notification of one" }),
    }
}
