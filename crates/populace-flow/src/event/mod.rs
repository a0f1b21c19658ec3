//! The event: one row of the table `events` of `email` (docs/tables.md), as JSON on every way it takes. Its columns are listed once, in
//! [`COLUMNS`]; what is written of an event anywhere is [`Event::cells`].

mod fields;
mod plain;

use crate::time::MILLISECOND;
pub use fields::Fields;
use fields::{Checks, Values};
pub(crate) use fields::{Given, MAX_LATENCY_MS, holds_controls, is_universal_id};
use populace_core::email::{EventType, Group, Uuid};
use populace_core::time::{Instant, SECOND};
use populace_io::table::{Column, InstantText, Kind};
use populace_io::tables::email::{ATTEMPT_COLUMNS, EVENT_COLUMNS, LINK_INDEX, MACHINE_OPEN};
use populace_io::text::{DateText, append_instant, append_uuid};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::fmt;

/// When the connector took the event, or the table.
const INGESTED_AT: Column = Column::nullable("ingested_at", Kind::Instant(InstantText::Millis), "When it was ingested, UTC");

/// Columns that exist only where somebody says something of them.
pub(crate) const OPTIONAL_COLUMNS: [Column; 2 + ATTEMPT_COLUMNS.len()] = {
    let mut columns = [MACHINE_OPEN; 2 + ATTEMPT_COLUMNS.len()];
    columns[1 + ATTEMPT_COLUMNS.len()] = LINK_INDEX;
    let mut number = 0;
    while number < ATTEMPT_COLUMNS.len() {
        columns[1 + number] = ATTEMPT_COLUMNS[number];
        number += 1;
    }
    columns
};

/// The columns of an event, in order; after those of every event the optional ones, then `ingested_at`, where something ingests.
pub const COLUMNS: [Column; EVENT_COLUMNS.len() + OPTIONAL_COLUMNS.len() + 1] = {
    let mut columns = [INGESTED_AT; EVENT_COLUMNS.len() + OPTIONAL_COLUMNS.len() + 1];
    let mut number = 0;
    while number < EVENT_COLUMNS.len() + OPTIONAL_COLUMNS.len() {
        columns[number] = if number < EVENT_COLUMNS.len() { EVENT_COLUMNS[number] } else { OPTIONAL_COLUMNS[number - EVENT_COLUMNS.len()] };
        number += 1;
    }
    columns
};

/// The number of a column.
pub(crate) const fn column(name: &str) -> usize {
    let mut number = 0;
    while number < COLUMNS.len() {
        let (known, wanted) = (COLUMNS[number].name.as_bytes(), name.as_bytes());
        let mut same = 0;
        while same < known.len() && same < wanted.len() && known[same] == wanted[same] {
            same += 1;
        }
        if same == known.len() && same == wanted.len() {
            return number;
        }
        number += 1;
    }
    panic!("there is no such column")
}

/// The greatest number of an attempt, and code of SMTP, that are taken.
pub(crate) const MOST_ATTEMPTS: i32 = i16::MAX as i32;
pub(crate) const MOST_CODES: i32 = 999;

/// The greatest place of a link that is taken.
pub(crate) const MOST_LINKS: i32 = i16::MAX as i32;

/// The types of campaign.
pub const CAMPAIGN_TYPES: [&str; 2] = ["transactional", "promotional"];

/// One event. What each field means is said in docs/tables.md. Its text is borrowed from the document it was read from, if it can be.
#[derive(Clone, Debug, PartialEq)]
pub struct Event<'a> {
    /// Unique.
    pub event_id: Uuid,
    /// What happened.
    pub event_type: EventType,
    /// When, to the millisecond.
    pub timestamp: Instant,
    /// Email service provider; `internal` for non-mail events.
    pub esp: Cow<'a, str>,
    /// Id of the recipient.
    pub recipient_id: Cow<'a, str>,
    /// Id of the person.
    pub universal_id: Cow<'a, str>,
    /// Hash of the address, 64 lower-case hexadecimal digits.
    pub recipient_email_hash: Cow<'a, str>,
    /// Campaign.
    pub campaign_id: Cow<'a, str>,
    /// Name of the campaign.
    pub campaign_name: Cow<'a, str>,
    /// Message, of a sent, delivered, opened or clicked.
    pub message_id: Option<Uuid>,
    /// Subject line.
    pub subject: Option<Cow<'a, str>>,
    /// What was clicked.
    pub click_url: Option<Cow<'a, str>>,
    /// Kind of bounce.
    pub bounce_type: Option<Cow<'a, str>>,
    /// User agent.
    pub user_agent: Option<Cow<'a, str>>,
    /// Network address.
    pub ip_address: Option<Cow<'a, str>>,
    /// System that reported the event.
    pub source: Cow<'a, str>,
    /// What else is known.
    pub metadata: Map<String, Value>,
    /// From sending to delivery, whole milliseconds; written in seconds. Of a delivered, like all that follows.
    pub latency_ms: Option<i64>,
    /// When it was sent, to the millisecond.
    pub send_time: Option<Instant>,
    /// `transactional` or `promotional`.
    pub campaign_type: Option<&'static str>,
    /// Size of the message, bytes.
    pub payload_size_bytes: Option<i32>,
    /// Whether the provider holds an open for a machine's; of an opened.
    pub machine_open: Option<bool>,
    /// Number of the attempt, from 1; of a delivered, deferred or bounced.
    pub attempt: Option<i32>,
    /// Reply code of SMTP; of what failed, like all that follows.
    pub smtp_code: Option<i32>,
    /// Enhanced status code.
    pub enhanced_code: Option<Cow<'a, str>>,
    /// What the server answered, or why nothing was sent.
    pub response: Option<Cow<'a, str>>,
    /// Class of the answer.
    pub bounce_class: Option<Cow<'a, str>>,
    /// The place of the clicked link in its message, from 0; of a clicked.
    pub link_index: Option<i32>,
    /// When it was ingested.
    pub ingested_at: Option<Instant>,
}

/// What an event has in a column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell<'a> {
    /// Nothing.
    Null,
    /// Text.
    Text(&'a str),
    /// A UUID.
    Id(Uuid),
    /// A moment.
    Moment(Instant),
    /// A whole number.
    Whole(i32),
    /// A number.
    Real(f64),
    /// Whether something is so.
    Flag(bool),
    /// A JSON object.
    Object(&'a Map<String, Value>),
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

impl<'a> Event<'a> {
    /// The event that some bytes are.
    ///
    /// # Errors
    /// Every problem there is.
    pub fn from_slice(bytes: &'a [u8]) -> Result<Self, Vec<Problem>> {
        // One look at all bytes, not one at each text.
        let text = std::str::from_utf8(bytes).ok();
        if let Some(event) = text.and_then(plain::read) {
            return Ok(event);
        }
        let fields = text.and_then(|text| serde_json::from_str::<Fields<'a>>(text).ok());
        let Some(fields) = fields else {
            // Not as events are written: of two values under one name the last counts.
            return match serde_json::from_slice(bytes) {
                Ok(Value::Object(map)) => Self::from_fields(map.into()),
                Ok(_) => Err(vec![Problem::new("", "must be a JSON object")]),
                Err(error) => {
                    let (line, column) = (error.line(), error.column());
                    Err(vec![Problem::new("", format!("is not JSON (line {line}, column {column})"))])
                }
            };
        };
        Self::from_fields(fields)
    }

    /// The event that a JSON object is. Fields that may be null may be missing; a field that is not a column is a problem.
    ///
    /// # Errors
    /// Every problem there is.
    pub fn from_fields(fields: Fields<'a>) -> Result<Self, Vec<Problem>> {
        let mut checks = Checks::new(fields);
        Self::of_values(&mut checks).ok_or_else(|| checks.into_parts().1)
    }

    /// The event that some values are, if nothing is wrong with them.
    fn of_values(fields: &mut Checks<impl Values<'a>>) -> Option<Self> {
        let event_id = fields.uuid(const { column("event_id") }, true);
        let event_type = fields.event_type();
        let timestamp = fields.instant(const { column("timestamp") }, true);
        let esp = fields.name(const { column("esp") });
        let recipient_id = fields.name(const { column("recipient_id") });
        let universal_id = fields.universal_id();
        let recipient_email_hash = fields.email_hash();
        let campaign_id = fields.name(const { column("campaign_id") });
        let campaign_name = fields.name(const { column("campaign_name") });
        let message_id = fields.uuid(const { column("message_id") }, false);
        let subject = fields.text(const { column("subject") });
        let click_url = fields.text(const { column("click_url") });
        let bounce_type = fields.text(const { column("bounce_type") });
        let user_agent = fields.text(const { column("user_agent") });
        let ip_address = fields.ip_address();
        let source = fields.name(const { column("source") });
        let metadata = fields.metadata();
        let latency_ms = fields.latency();
        let send_time = fields.instant(const { column("send_time") }, false);
        let clock = [(const { column("hour_of_day") }, 23), (const { column("minute") }, 59), (const { column("day_of_week") }, 6)]
            .map(|(column, most)| fields.integer(column, most));
        let campaign_type = fields.campaign_type();
        let payload_size_bytes = fields.integer(const { column("payload_size_bytes") }, i32::MAX);
        let machine_open = fields.flag(const { column("machine_open") });
        let attempt = fields.integer(const { column("attempt") }, MOST_ATTEMPTS);
        let smtp_code = fields.integer(const { column("smtp_code") }, MOST_CODES);
        let [enhanced_code, response, bounce_class] =
            const { [column("enhanced_code"), column("response"), column("bounce_class")] }.map(|column| fields.text(column));
        let link_index = fields.integer(const { column("link_index") }, MOST_LINKS);
        let ingested_at = fields.instant(const { column("ingested_at") }, false);
        fields.no_others();

        check_clock(fields, send_time, clock);
        if let Some(kind) = event_type {
            let given = message_id.is_some() || !fields.is_sound("message_id");
            match kind.group() {
                Group::Mail => fields.check(given, "message_id", "must be given of mail"),
                Group::Failure | Group::Leaving => {}
                _ => fields.check(!given, "message_id", "must be null for non-mail events"),
            }
            fields.check(click_url.is_none() || kind == EventType::Clicked, "click_url", "must be null of what is not clicked");
            fields.check(link_index.is_none() || kind == EventType::Clicked, "link_index", "must be null of what is not clicked");
            fields.check(machine_open.is_none() || kind == EventType::Opened, "machine_open", "must be null of what is not opened");
            let said = [smtp_code.is_some(), enhanced_code.is_some(), response.is_some(), bounce_class.is_some()];
            check_failure(fields, kind, attempt.is_some(), said);
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

        fields.are_sound().then_some(())?;
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
            machine_open,
            attempt,
            smtp_code,
            enhanced_code,
            response,
            bounce_class,
            link_index,
            ingested_at,
        })
    }

    /// What it has in each of the [`COLUMNS`].
    pub fn cells(&self) -> [Cell<'_>; COLUMNS.len()] {
        fn text<'c>(text: Option<&'c Cow<'_, str>>) -> Cell<'c> {
            text.map_or(Cell::Null, |text| Cell::Text(text))
        }
        let moment = |at: Option<Instant>| at.map_or(Cell::Null, Cell::Moment);
        let [hour, minute, day] = self.send_clock().map_or([Cell::Null; 3], |clock| clock.map(Cell::Whole));
        [
            Cell::Id(self.event_id),
            Cell::Text(self.event_type.name()),
            Cell::Moment(self.timestamp),
            Cell::Text(&self.esp),
            Cell::Text(&self.recipient_id),
            Cell::Text(&self.universal_id),
            Cell::Text(&self.recipient_email_hash),
            Cell::Text(&self.campaign_id),
            Cell::Text(&self.campaign_name),
            self.message_id.map_or(Cell::Null, Cell::Id),
            text(self.subject.as_ref()),
            text(self.click_url.as_ref()),
            text(self.bounce_type.as_ref()),
            text(self.user_agent.as_ref()),
            text(self.ip_address.as_ref()),
            Cell::Text(&self.source),
            Cell::Object(&self.metadata),
            self.latency_seconds().map_or(Cell::Null, Cell::Real),
            moment(self.send_time),
            hour,
            minute,
            day,
            self.campaign_type.map_or(Cell::Null, Cell::Text),
            self.payload_size_bytes.map_or(Cell::Null, Cell::Whole),
            self.machine_open.map_or(Cell::Null, Cell::Flag),
            self.attempt.map_or(Cell::Null, Cell::Whole),
            self.smtp_code.map_or(Cell::Null, Cell::Whole),
            text(self.enhanced_code.as_ref()),
            text(self.response.as_ref()),
            text(self.bounce_class.as_ref()),
            self.link_index.map_or(Cell::Null, Cell::Whole),
            moment(self.ingested_at),
        ]
    }

    /// As JSON: the columns in order, nulls written out, those of [`OPTIONAL_COLUMNS`] and `ingested_at` only if there is one.
    pub fn to_json(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(1_024);
        let mut dates = DateText::default();
        for (number, (column, cell)) in COLUMNS.iter().zip(self.cells()).enumerate() {
            if cell == Cell::Null && number >= EVENT_COLUMNS.len() {
                continue;
            }
            out.extend_from_slice(if out.is_empty() { b"{\"" } else { b",\"" });
            out.extend_from_slice(column.name.as_bytes());
            out.extend_from_slice(b"\":");
            cell.append_json(&mut dates, &mut out);
        }
        out.push(b'}');
        out
    }

    /// Without what it borrows.
    pub fn into_owned(self) -> Event<'static> {
        fn text(text: Cow<'_, str>) -> Cow<'static, str> {
            Cow::Owned(text.into_owned())
        }
        Event {
            esp: text(self.esp),
            recipient_id: text(self.recipient_id),
            universal_id: text(self.universal_id),
            recipient_email_hash: text(self.recipient_email_hash),
            campaign_id: text(self.campaign_id),
            campaign_name: text(self.campaign_name),
            subject: self.subject.map(text),
            click_url: self.click_url.map(text),
            bounce_type: self.bounce_type.map(text),
            user_agent: self.user_agent.map(text),
            ip_address: self.ip_address.map(text),
            enhanced_code: self.enhanced_code.map(text),
            response: self.response.map(text),
            bounce_class: self.bounce_class.map(text),
            source: text(self.source),
            ..self
        }
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

/// Only what failed may say how: `said` is whether it says a code, an enhanced one, a response, a class.
fn check_failure<'a>(fields: &mut Checks<impl Values<'a>>, kind: EventType, is_attempt: bool, said: [bool; 4]) {
    let failed = kind.group() == Group::Failure;
    fields.check(!is_attempt || failed || kind == EventType::Delivered, "attempt", "must be null of what is no attempt");
    for (name, said) in ["smtp_code", "enhanced_code", "response", "bounce_class"].into_iter().zip(said) {
        fields.check(!said || failed, name, "must be null of what did not fail");
    }
}

/// `hour_of_day`, `minute` and `day_of_week`, where they are given, are those of `send_time`.
fn check_clock<'a>(fields: &mut Checks<impl Values<'a>>, send_time: Option<Instant>, clock: [Option<i32>; 3]) {
    if let (Some(is), Some(sent)) = (clock_of(send_time), clock.iter().any(Option::is_some).then_some(clock)) {
        for ((name, is), sent) in ["hour_of_day", "minute", "day_of_week"].iter().zip(is).zip(sent) {
            fields.check(sent.is_none_or(|sent| sent == is), name, "must be that of send_time in UTC");
        }
    } else if send_time.is_none() {
        fields.check(clock.iter().all(Option::is_none), "send_time", "must be given where hour_of_day, minute or day_of_week are");
    }
}

fn clock_of(send_time: Option<Instant>) -> Option<[i32; 3]> {
    send_time.map(|at| [at.hour(), at.minute(), at.weekday()].map(i32::from))
}

impl Cell<'_> {
    fn append_json(self, dates: &mut DateText, out: &mut Vec<u8>) {
        match self {
            Self::Id(_) | Self::Moment(_) => {
                out.push(b'"');
                self.append_text(dates, out);
                out.push(b'"');
            }
            Self::Null => out.extend_from_slice(b"null"),
            Self::Text(text) => json(text, out),
            Self::Whole(number) => json(&number, out),
            Self::Real(number) => json(&number, out),
            Self::Flag(is) => json(&is, out),
            Self::Object(map) => json(map, out),
        }
    }

    /// As text without quotes; nothing of null.
    pub(crate) fn append_text(self, dates: &mut DateText, out: &mut Vec<u8>) {
        match self {
            Self::Null => {}
            Self::Text(text) => out.extend_from_slice(text.as_bytes()),
            Self::Id(id) => append_uuid(&id.to_u128().to_be_bytes(), out),
            Self::Moment(at) => append_instant(at.0, InstantText::Millis, dates, out),
            Self::Whole(_) | Self::Real(_) | Self::Flag(_) | Self::Object(_) => self.append_json(dates, out),
        }
    }
}

fn json(value: &(impl Serialize + ?Sized), out: &mut Vec<u8>) {
    serde_json::to_writer(out, value).expect("text, numbers and objects, into memory");
}

#[cfg(test)]
mod tests;
