//! The event: one row of the table `events` of `email` (docs/tables.md), as JSON on every way it takes.

mod fields;

use crate::time::{self, MILLISECOND};
use fields::Fields;
pub(crate) use fields::{holds_controls, is_universal_id};
use populace_core::email::{EventType, Uuid};
use populace_core::time::{Instant, SECOND};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fmt;

/// The columns of an event, in order; `ingested_at` exists only where something ingests.
pub const COLUMNS: [&str; 25] = [
    "event_id",
    "event_type",
    "timestamp",
    "esp",
    "recipient_id",
    "universal_id",
    "recipient_email_hash",
    "campaign_id",
    "campaign_name",
    "message_id",
    "subject",
    "click_url",
    "bounce_type",
    "user_agent",
    "ip_address",
    "source",
    "metadata",
    "latency_seconds",
    "send_time",
    "hour_of_day",
    "minute",
    "day_of_week",
    "campaign_type",
    "payload_size_bytes",
    "ingested_at",
];

/// The types of campaign.
pub const CAMPAIGN_TYPES: [&str; 2] = ["transactional", "promotional"];

/// One event. What each field means is said in docs/tables.md.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Unique.
    pub event_id: Uuid,
    /// What happened.
    pub event_type: EventType,
    /// When, to the millisecond.
    pub timestamp: Instant,
    /// Email service provider; `internal` of what is no mail.
    pub esp: String,
    /// Id of the recipient.
    pub recipient_id: String,
    /// Id of the person.
    pub universal_id: String,
    /// Hash of the address, 64 lower-case hexadecimal digits.
    pub recipient_email_hash: String,
    /// Campaign.
    pub campaign_id: String,
    /// Name of the campaign.
    pub campaign_name: String,
    /// Message, of a sent, delivered, opened or clicked.
    pub message_id: Option<Uuid>,
    /// Subject line.
    pub subject: Option<String>,
    /// What was clicked.
    pub click_url: Option<String>,
    /// Kind of bounce.
    pub bounce_type: Option<String>,
    /// User agent.
    pub user_agent: Option<String>,
    /// Network address.
    pub ip_address: Option<String>,
    /// System that reported the event.
    pub source: String,
    /// What else is known.
    pub metadata: Map<String, Value>,
    /// From sending to delivery, whole milliseconds; written in seconds. Of a delivered, like all that follows.
    pub latency_ms: Option<i64>,
    /// When it was sent, to the millisecond.
    pub send_time: Option<Instant>,
    /// `transactional` or `promotional`.
    pub campaign_type: Option<String>,
    /// Size of the message, bytes.
    pub payload_size_bytes: Option<i32>,
    /// When it was ingested.
    pub ingested_at: Option<Instant>,
}

/// What is wrong with one field of an event. Says nothing of the value, which may be somebody's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Problem {
    /// The field; empty of what concerns the event as a whole.
    pub field: String,
    /// What it must be.
    pub reason: String,
}

impl Problem {
    /// A problem of a field.
    pub fn new(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { field: field.into(), reason: reason.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.is_empty() { formatter.write_str(&self.reason) } else { write!(formatter, "{}: {}", self.field, self.reason) }
    }
}

/// Problems in one line.
pub fn reasons(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("; ")
}

impl Event {
    /// The event that some bytes are.
    ///
    /// # Errors
    /// Every problem there is.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, Vec<Problem>> {
        match serde_json::from_slice(bytes) {
            Ok(Value::Object(map)) => Self::from_map(map),
            Ok(_) => Err(vec![Problem::new("", "must be a JSON object")]),
            Err(error) => {
                let (line, column) = (error.line(), error.column());
                Err(vec![Problem::new("", format!("is not JSON (line {line}, column {column})"))])
            }
        }
    }

    /// The event that a JSON object is. Fields that may be null may be missing; a field that is no column is a problem.
    ///
    /// # Errors
    /// Every problem there is.
    pub fn from_map(map: Map<String, Value>) -> Result<Self, Vec<Problem>> {
        let mut fields = Fields::new(map);
        let event_id = fields.uuid("event_id", true);
        let event_type = fields.event_type();
        let timestamp = fields.instant("timestamp", true);
        let esp = fields.name("esp", 64);
        let recipient_id = fields.name("recipient_id", 256);
        let universal_id = fields.universal_id();
        let recipient_email_hash = fields.email_hash();
        let campaign_id = fields.name("campaign_id", 256);
        let campaign_name = fields.name("campaign_name", 256);
        let message_id = fields.uuid("message_id", false);
        let subject = fields.text("subject", 1_024);
        let click_url = fields.text("click_url", 2_048);
        let bounce_type = fields.text("bounce_type", 64);
        let user_agent = fields.text("user_agent", 1_024);
        let ip_address = fields.ip_address();
        let source = fields.name("source", 64);
        let metadata = fields.metadata();
        let latency_ms = fields.latency();
        let send_time = fields.instant("send_time", false);
        let clock = [("hour_of_day", 23), ("minute", 59), ("day_of_week", 6)].map(|(name, most)| fields.integer(name, most));
        let campaign_type = fields.one_of("campaign_type", &CAMPAIGN_TYPES);
        let payload_size_bytes = fields.integer("payload_size_bytes", i32::MAX);
        let ingested_at = fields.instant("ingested_at", false);
        fields.no_others();

        if let (Some(is), Some(sent)) = (clock_of(send_time), clock.iter().any(Option::is_some).then_some(clock)) {
            for ((name, is), sent) in ["hour_of_day", "minute", "day_of_week"].iter().zip(is).zip(sent) {
                fields.check(sent.is_none_or(|sent| sent == is), name, "must be that of send_time in UTC");
            }
        } else if send_time.is_none() {
            fields.check(clock.iter().all(Option::is_none), "send_time", "must be given where hour_of_day, minute or day_of_week are");
        }
        if let Some(kind) = event_type {
            let is_mail = !kind.is_breaker() && !kind.is_hot_path();
            let given = message_id.is_some() || !fields.is_sound("message_id");
            fields.check(given == is_mail, "message_id", if is_mail { "must be given of mail" } else { "must be null of what is no mail" });
            fields.check(click_url.is_none() || kind == EventType::Clicked, "click_url", "must be null of what is not clicked");
            let delivered = [
                ("latency_seconds", latency_ms.is_some()),
                ("send_time", send_time.is_some()),
                ("campaign_type", campaign_type.is_some()),
                ("payload_size_bytes", payload_size_bytes.is_some()),
            ];
            for (name, given) in delivered {
                fields.check(!given || kind == EventType::Delivered, name, "must be null of what is not delivered");
            }
        }
        if let (Some(delivered), Some(sent), Some(latency)) = (timestamp, send_time, latency_ms) {
            let holds = delivered.since(sent) == latency * MILLISECOND;
            fields.check(holds, "latency_seconds", "must be timestamp less send_time, to the millisecond");
        }

        let problems = fields.problems();
        let made = (|| {
            Some(Self {
                event_id: event_id?,
                event_type: event_type?,
                timestamp: timestamp?,
                esp: esp?,
                recipient_id: recipient_id?,
                universal_id: universal_id?,
                recipient_email_hash: recipient_email_hash?,
                campaign_id: campaign_id?,
                campaign_name: campaign_name?,
                message_id,
                subject,
                click_url,
                bounce_type,
                user_agent,
                ip_address,
                source: source?,
                metadata,
                latency_ms,
                send_time,
                campaign_type,
                payload_size_bytes,
                ingested_at,
            })
        })();
        match made {
            Some(event) if problems.is_empty() => Ok(event),
            _ => Err(problems),
        }
    }

    /// As JSON: the columns in order, nulls written out, `ingested_at` only if there is one.
    ///
    /// # Panics
    /// Never: there is nothing in an event that JSON has no form for.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("text, numbers and objects")
    }

    /// Hour of the day, minute of the hour and day of the week (Monday 0) of `send_time` in UTC.
    pub fn send_clock(&self) -> Option<[i32; 3]> {
        clock_of(self.send_time)
    }

    /// `latency_seconds`.
    pub fn latency_seconds(&self) -> Option<f64> {
        self.latency_ms.map(|latency| latency as f64 / (SECOND / MILLISECOND) as f64)
    }

    /// What the event is kept in order by: the key of its record.
    pub fn key(&self) -> &[u8] {
        self.universal_id.as_bytes()
    }
}

fn clock_of(send_time: Option<Instant>) -> Option<[i32; 3]> {
    send_time.map(|at| [at.hour(), at.minute(), at.weekday()].map(i32::from))
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let clock = self.send_clock().map_or([None; 3], |clock| clock.map(Some));
        map.serialize_entry("event_id", &self.event_id.to_string())?;
        map.serialize_entry("event_type", self.event_type.name())?;
        map.serialize_entry("timestamp", &time::text(self.timestamp))?;
        map.serialize_entry("esp", &self.esp)?;
        map.serialize_entry("recipient_id", &self.recipient_id)?;
        map.serialize_entry("universal_id", &self.universal_id)?;
        map.serialize_entry("recipient_email_hash", &self.recipient_email_hash)?;
        map.serialize_entry("campaign_id", &self.campaign_id)?;
        map.serialize_entry("campaign_name", &self.campaign_name)?;
        map.serialize_entry("message_id", &self.message_id.map(|id| id.to_string()))?;
        map.serialize_entry("subject", &self.subject)?;
        map.serialize_entry("click_url", &self.click_url)?;
        map.serialize_entry("bounce_type", &self.bounce_type)?;
        map.serialize_entry("user_agent", &self.user_agent)?;
        map.serialize_entry("ip_address", &self.ip_address)?;
        map.serialize_entry("source", &self.source)?;
        map.serialize_entry("metadata", &self.metadata)?;
        map.serialize_entry("latency_seconds", &self.latency_seconds())?;
        map.serialize_entry("send_time", &self.send_time.map(time::text))?;
        map.serialize_entry("hour_of_day", &clock[0])?;
        map.serialize_entry("minute", &clock[1])?;
        map.serialize_entry("day_of_week", &clock[2])?;
        map.serialize_entry("campaign_type", &self.campaign_type)?;
        map.serialize_entry("payload_size_bytes", &self.payload_size_bytes)?;
        if let Some(at) = self.ingested_at {
            map.serialize_entry("ingested_at", &time::text(at))?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use populace_io::catalogue;
    use populace_io::document::{Request, Source};
    use populace_io::generator::TableSet;
    use populace_io::table::Table;
    use populace_io::text::TextFormat;
    use serde_json::json;

    /// The rows of some recipients, as `generate` writes them.
    fn lines() -> (Vec<u8>, Vec<&'static str>) {
        let resolved = catalogue::resolve(&Request::new(Source::Named("email"))).unwrap();
        let generator = catalogue::generator(&resolved).unwrap();
        let shard = populace_core::plan::Shard { index: 0, actors: 0..12 };
        let events: &Table = &generator.tables()[0];
        let (batches, _) = generator.simulate(7, &shard, TableSet::EMPTY.with(0)).finish(0);
        let mut lines = Vec::new();
        TextFormat::Jsonl.append(events, batches[0].as_ref().unwrap(), &mut lines);
        (lines, events.columns.iter().map(|column| column.name).collect())
    }

    fn delivered() -> Value {
        let lines = lines().0;
        let mut rows = lines.split(|byte| *byte == b'\n').map(|line| serde_json::from_slice::<Value>(line).unwrap());
        rows.find(|row| row["event_type"] == "delivered").unwrap()
    }

    fn problems(changes: &Value) -> Vec<String> {
        let mut event = delivered();
        event.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let Err(problems) = Event::from_slice(event.to_string().as_bytes()) else { return Vec::new() };
        problems.iter().map(Problem::to_string).collect()
    }

    #[test]
    fn what_generate_writes_reads_back_to_the_same_values() {
        let (lines, columns) = lines();
        assert_eq!(columns, COLUMNS[..24]);
        let mut rows = 0;
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let event = Event::from_slice(line).unwrap_or_else(|problems| panic!("{}: {problems:?}", String::from_utf8_lossy(line)));
            let written: Value = serde_json::from_slice(&event.to_json()).unwrap();
            assert_eq!(written, serde_json::from_slice::<Value>(line).unwrap());
            assert_eq!(Event::from_slice(&event.to_json()).unwrap(), event);
            rows += 1;
        }
        assert!(rows > 2_000, "{rows}");
    }

    #[test]
    fn every_problem_is_told_with_its_field() {
        let many = json!({ "event_id": "7", "event_type": "bounced", "timestamp": "yesterday", "minutes": 3, "metadata": [], "esp": "" });
        assert_eq!(
            problems(&many),
            [
                "event_id: must be a UUID such as 018cc251-f400-7cde-8f00-0123456789ab",
                "event_type: must be one of sent, delivered, opened, clicked, support_ticket, complaint, unsubscribe_request, site_visit, \
                 sms_click, product_view",
                "timestamp: must be a moment in ISO 8601 with its zone, such as 2026-01-31T09:15:00.123Z",
                "esp: must not be empty",
                "metadata: must be a JSON object",
                "minutes: is no column of events",
            ]
        );
        assert_eq!(problems(&json!({})), [""; 0]);
        let told = |changes: Value| problems(&changes).join("; ");
        assert_eq!(told(json!({ "universal_id": null })), "universal_id: must be given");
        assert_eq!(told(json!({ "minute": 60 })), "minute: must be a whole number from 0 to 59");
        assert_eq!(told(json!({ "payload_size_bytes": -1 })), "payload_size_bytes: must be a whole number from 0 to 2147483647");
        assert_eq!(told(json!({ "message_id": null })), "message_id: must be given of mail");
        assert!(
            told(json!({ "timestamp": "2026-01-31T09:15:00.123456Z" })).starts_with("timestamp: must be a whole number of milliseconds")
        );
        assert_eq!(
            told(json!({ "timestamp": "1969-12-31T23:59:59.999Z" })),
            "timestamp: must lie in the years 1970 to 2199; latency_seconds: must be timestamp less send_time, to the millisecond"
        );
        assert_eq!(told(json!({ "ip_address": "1.2.3.256" })), "ip_address: must be an IPv4 or IPv6 address");
        assert_eq!(told(json!({ "send_time": null })), "send_time: must be given where hour_of_day, minute or day_of_week are");
        assert!(told(json!({ "latency_seconds": 86_399.999 })).contains("latency_seconds: must be timestamp less send_time"));
        assert!(told(json!({ "event_type": "sent" })).contains("payload_size_bytes: must be null of what is not delivered"));
        assert_eq!(reasons(&Event::from_slice(b"{\"event_id\": ").unwrap_err()), "is not JSON (line 1, column 13)");
        assert_eq!(reasons(&Event::from_slice(b"[]").unwrap_err()), "must be a JSON object");
    }

    #[test]
    fn an_address_is_refused_wherever_it_stands_and_never_repeated() {
        let places = [
            json!({ "recipient_id": "ada@lovelace.org" }),
            json!({ "subject": "For ada@lovelace.org" }),
            json!({ "metadata": { "to": ["x", { "address": "<Ada@Lovelace.org>" }] } }),
            json!({ "metadata": { "ada@lovelace.org": 1 } }),
            json!({ "user_agent": "ada%40lovelace.org" }),
        ];
        for place in places {
            let told = problems(&place);
            assert!(told.len() == 1 && told[0].ends_with("must not hold an address"), "{place}: {told:?}");
            assert!(!told[0].to_lowercase().contains("lovelace"), "{told:?}");
        }
        assert_eq!(problems(&json!({ "subject": "2 @ 3 for you, @ada. Only today" })), [""; 0]);
        let unknown = problems(&json!({ "ada@lovelace.org": 1 }));
        assert_eq!(unknown, ["(a name that holds an address): is no column of events"]);
    }
}
