//! What the tables of `email` hold.

use super::{EVENTS_SQL, EVENTS_TABLE, decisions, experiments};
use crate::table::{Column, InstantText, Kind, Table};
use populace_core::email::{Attempts, EFFECTS, EmailModel, Experiments, LATENCY_PARTS, MessageTruth, OpenDelayLaw, SendClock, Value};
use populace_core::scenario::Scenario;
use populace_core::time::{Date, Instant};
use std::net::Ipv4Addr;

/// The networks reserved for documentation (RFC 5737), of which a document chooses.
const NETWORKS: [[u8; 3]; 3] = [[192, 0, 2], [198, 51, 100], [203, 0, 113]];

/// Every address of those networks.
pub(super) fn addresses() -> impl Iterator<Item = String> {
    NETWORKS.into_iter().flat_map(|[a, b, c]| (0..=u8::MAX).map(move |host| Ipv4Addr::new(a, b, c, host).to_string()))
}

/// The place of an address among [`addresses`]: the first byte alone tells the three networks apart.
#[inline]
pub(super) const fn address_code(address: Ipv4Addr) -> i32 {
    let [first, _, _, host] = address.octets();
    let network = match first {
        192 => 0,
        198 => 1,
        _ => 2,
    };
    network * 256 + host as i32
}

/// The name of the table of seasons.
pub(super) const CALENDAR: &str = "calendar";

const MILLIS: Kind = Kind::Instant(InstantText::Millis);
pub(super) const RECIPIENT: Column = Column::new("recipient_id", Kind::Text, "Id of the recipient").at_most(256);
const UNIVERSAL_ID: Column = Column::new("universal_id", Kind::Text, "Id of the person: `sf_` and a keyed hash of the address");
const EMAIL_HASH: Column = Column::new("recipient_email_hash", Kind::Text, "SHA-256 of the normalised address, hexadecimal");
/// Of the truth of timing, where sends are by the clock of UTC and recipients are not.
pub(super) const UTC_OFFSET: Column =
    Column::new("utc_offset_minutes", Kind::Int16, "Minutes that the recipient's clock is ahead of UTC: the mean over sends is 1 for each");
const PERSONA: Column = Column::new("persona", Kind::Text, "Persona");

/// The columns of an event.
pub const EVENT_COLUMNS: [Column; 24] = [
    Column::new("event_id", Kind::Uuid, "Id of the event: a UUID of version 7, whose time is the event's"),
    Column::new("event_type", Kind::Text, "What happened"),
    Column::new("timestamp", MILLIS, "When it happened, UTC"),
    Column::new("esp", Kind::Text, "Email service provider; `internal` for non-mail events").at_most(64),
    RECIPIENT,
    UNIVERSAL_ID,
    EMAIL_HASH,
    Column::new("campaign_id", Kind::Text, "Campaign; for non-mail events, the type of event").at_most(256),
    Column::new("campaign_name", Kind::Text, "Name of the campaign").at_most(256),
    Column::nullable("message_id", Kind::Uuid, "Message, the same from sent to clicked; null for non-mail events"),
    Column::nullable("subject", Kind::Text, "Subject line; null for non-mail events").at_most(1_024),
    Column::nullable("click_url", Kind::Text, "What was clicked; of a clicked").at_most(2_048),
    Column::nullable(
        "bounce_type",
        Kind::Text,
        "Kind of bounce or deferral; in generated data `hard` or `soft` of a bounced, where the document has attempts at delivery",
    )
    .at_most(64),
    Column::nullable("user_agent", Kind::Text, "User agent; of an opened, a clicked or a hot path").at_most(1_024),
    Column::nullable("ip_address", Kind::Text, "Address from the documentation ranges; of an opened, a clicked or a hot path"),
    Column::new("source", Kind::Text, "System that reported the event").at_most(64),
    Column::new("metadata", Kind::Json, "What else is known, a JSON object").at_most(16_384),
    Column::nullable("latency_seconds", Kind::Fixed(3), "From sending to delivery, seconds; of a delivered, like all that follows"),
    Column::nullable("send_time", MILLIS, "When the message was sent, UTC"),
    Column::nullable("hour_of_day", Kind::Int16, "Hour of send_time in UTC, 0 to 23"),
    Column::nullable("minute", Kind::Int16, "Minute of send_time, 0 to 59"),
    Column::nullable("day_of_week", Kind::Int16, "Day of the week of send_time in UTC, Monday 0 to Sunday 6"),
    Column::nullable("campaign_type", Kind::Text, "`transactional` or `promotional`"),
    Column::nullable("payload_size_bytes", Kind::Int32, "Size of the message, bytes"),
];

/// What rows say of machines, where the document has some.
pub const MACHINE_OPEN: Column = Column::nullable(
    "machine_open",
    Kind::Bool,
    "Whether the provider holds an open for a machine's; null where it does not say, and of all but an opened",
);

/// What rows say of attempts at delivery, where the document has some.
pub const ATTEMPT_COLUMNS: [Column; 5] = [
    Column::nullable("attempt", Kind::Int16, "Number of the attempt, from 1; of a delivered, deferred or bounced"),
    Column::nullable("smtp_code", Kind::Int16, "Reply code of SMTP (RFC 5321); of a deferred or bounced"),
    Column::nullable("enhanced_code", Kind::Text, "Enhanced status code (RFC 3463); of a deferred or bounced").at_most(16),
    Column::nullable("response", Kind::Text, "What the server answered, or why nothing was sent; of a deferred, bounced or dropped")
        .at_most(1_024),
    Column::nullable("bounce_class", Kind::Text, "Class of the answer, as SendGrid's `bounce_classification`; of a deferred or bounced")
        .at_most(64),
];

/// The one of them that what is dropped has.
const RESPONSE: Column = {
    let [_, _, _, response, _] = ATTEMPT_COLUMNS;
    response
};

/// The name of the table of attempts at delivery.
pub(super) const ATTEMPTS: &str = "attempts";
/// The name of the table of full mailboxes.
pub(super) const FULL_MAILBOXES: &str = "full_mailboxes";

/// The truth of attempts at delivery.
fn attempts() -> Vec<Column> {
    vec![
        Column::new("message_id", Kind::Uuid, "Id of the message"),
        RECIPIENT,
        Column::new("attempt", Kind::Int16, "Number of the attempt, from 1"),
        Column::new("answered_at", MILLIS, "When it was answered, UTC"),
        factor("p_defer", "P(deferred): base × provider × busy; 1 if the mailbox is full, 0 if the address is dead"),
        factor("base", "P(deferred) of a first attempt, or of one after a deferral, before the factors"),
        factor("provider", "Factor: the mailbox provider; 1 of all but the first"),
        factor("busy", "Factor: the minute of sending; 1 of all but the first"),
        Column::new("mailbox_full", Kind::Bool, "Whether the mailbox was full"),
        Column::new("outcome", Kind::Text, "`delivered`, `deferred` or `bounced`"),
    ]
}

/// The link that was clicked, where messages have several.
pub const LINK_INDEX: Column = Column::nullable(
    "link_index",
    Kind::Int16,
    "The place of the clicked link in its message, from 0; of a clicked, null where nobody says",
);

/// The truth of engagement where the document has machines.
fn agents() -> Vec<Column> {
    vec![
        Column::new("event_id", Kind::Uuid, "Id of an opened or clicked"),
        RECIPIENT,
        Column::new("agent", Kind::Text, "Who did it: `human`, `apple_mpp`, `scanner`"),
    ]
}

fn factor(name: &'static str, meaning: &'static str) -> Column {
    Column::new(name, Kind::Float, meaning)
}

/// A number of a message.
type Number = dyn Fn(&EmailModel, &MessageTruth) -> f64;

/// The values of a column of messages.
pub(super) enum Values {
    Float(Box<Number>),
    FloatOrNull(fn(&MessageTruth) -> Option<f64>),
    Moment(fn(&MessageTruth) -> Option<Instant>),
    Short(fn(&MessageTruth) -> Option<u8>),
    Count(fn(&MessageTruth) -> Option<u32>),
}

/// The columns of the truth of messages that are there only where a mechanism is on: they come after all others.
pub(super) fn optional(model: &EmailModel) -> Vec<(Column, Values)> {
    let mut columns: Vec<(Column, Values)> = Vec::new();
    if model.has_agents() {
        let meaning = "When the recipient opened it, UTC, whether or not a row says so";
        columns.push((Column::nullable("human_opened_at", MILLIS, meaning), Values::Moment(|row| row.human_opened_at)));
        let meaning =
            "P(an opened row | delivered), by the recipient or a machine, where no circuit breaker comes between; null if not delivered";
        columns.push((Column::nullable("p_open_row", Kind::Float, meaning), Values::FloatOrNull(|row| row.p_open_row)));
    }
    for (place, about) in model.effects().optional() {
        columns.push((factor(about.name, about.meaning), Values::Float(Box::new(move |_, row| row.factors[place]))));
        if let Some((name, meaning)) = about.clicks {
            let of = move |model: &EmailModel, row: &MessageTruth| model.effects().each()[place].click_factor(&row.at);
            columns.push((factor(name, meaning), Values::Float(Box::new(of))));
        }
    }
    if model.config().open_delay == OpenDelayLaw::Mixture {
        let meaning = "Of `open_mixture`, the component of an open that was decided for, from 0; null without one";
        columns.push((Column::nullable("open_component", Kind::Int16, meaning), Values::Short(|row| row.open_component)));
    }
    if model.attempts().is_some() {
        let meaning = "What deferrals add to the latency, seconds: of a message that bounced, up to its bounce";
        columns.push((factor("latency_deferral", meaning), Values::Float(Box::new(|_, row| row.latency_deferral))));
    }
    if model.leaving().is_some() {
        columns.extend(leaving());
    }
    if model.config().blasts.is_some() {
        let meaning = "Seconds in the queue of a blast, beside the product of the other parts; 0 of other mail";
        columns.push((Column::new("latency_queue", Kind::Float, meaning), Values::Float(Box::new(|_, row| row.latency_queue))));
    }
    if model.scanners().is_some() {
        let meaning =
            "P(a clicked row | delivered), by the recipient or a scanner, where no circuit breaker comes between; null if not delivered";
        columns.push((Column::nullable("p_click_row", Kind::Float, meaning), Values::FloatOrNull(|row| row.p_click_row)));
    }
    columns
}

/// The columns of the truth of messages where recipients leave.
fn leaving() -> [(Column, Values); 6] {
    let float = |name, meaning, of| (Column::nullable(name, Kind::Float, meaning), Values::FloatOrNull(of));
    let deliveries = "Deliveries to the recipient before this one, of what was sent before it, that count for whether it leaves; null if not \
                      delivered, as all that follows";
    [
        (Column::nullable("recent_deliveries", Kind::Int32, deliveries), Values::Count(|row| row.leaving.map(|of| of.deliveries))),
        float("leaving_frequency", "m, by recent_deliveries: factor of p_unsubscribe, and twice of p_complaint", |row| {
            row.leaving.map(|of| of.frequency)
        }),
        float("leaving_campaign", "Factor of p_unsubscribe: the campaign's type", |row| row.leaving.map(|of| of.campaign)),
        float(
            "p_unsubscribe",
            "P(unsubscribes | delivered); 0 if a message before, or its own scan, has made the recipient leave",
            |row| row.leaving.map(|of| of.p_unsubscribe),
        ),
        float("p_complaint", "P(reports as spam | delivered), whether or not a row says so; 0 as above", |row| {
            row.leaving.map(|of| of.p_complaint)
        }),
        (
            Column::nullable("complained_at", MILLIS, "When the recipient reported it as spam, UTC, whether or not a row says so"),
            Values::Moment(|row| row.leaving.and_then(|of| of.complained_at)),
        ),
    ]
}

fn messages(model: &EmailModel) -> Vec<Column> {
    let effects = || EFFECTS.iter().filter(|about| !about.optional);
    let mut columns = vec![
        Column::new("message_id", Kind::Uuid, "Id of the message"),
        RECIPIENT,
        Column::nullable(
            "p_open",
            Kind::Float,
            "P(open | delivered): the product of open_rate and all that follows up to cap but click_rate, 0 if suppressed; null if not delivered",
        ),
        Column::nullable("p_click", Kind::Float, "P(click | open): click_rate / open_rate, at most 1; null if not delivered"),
        factor("open_rate", "Factor: the recipient's open rate in the month of delivery"),
        factor("click_rate", "The recipient's click rate in the month of delivery"),
    ];
    columns.extend(effects().map(|about| factor(about.name, about.meaning)));
    columns.extend([
        factor("cap", "Factor: 1, or less where the product of the others passes the greatest probability"),
        Column::new("suppressed", Kind::Bool, "Whether inside a circuit breaker's window when the open was decided"),
    ]);
    columns.extend(effects().filter_map(|about| about.evidence.as_ref()).map(|evidence| match evidence.value {
        Value::Count(_) => Column::new(evidence.name, Kind::Int32, evidence.meaning),
        Value::Float(_) => Column::nullable(evidence.name, Kind::Float, evidence.meaning),
    }));
    columns.push(Column::nullable(
        "dropped_reason",
        Kind::Text,
        "Why a decided open or click did not happen: `open_suppressed`, `click_suppressed`",
    ));
    columns.extend(LATENCY_PARTS.map(|(name, meaning)| factor(name, meaning)));
    columns.extend(optional(model).into_iter().map(|(column, _)| column));
    columns
}

/// The columns of users, of their truth, and of events.
fn of_people(model: &EmailModel) -> [Vec<Column>; 3] {
    let timezone = match model.zones() {
        None => Column::new("timezone", Kind::Text, "The recipient's clock, an offset from UTC"),
        Some(_) => Column::nullable(
            "timezone",
            Kind::Text,
            "The recipient's time zone, by its name in the time zone database; null where not known",
        ),
    };
    let mut users = vec![RECIPIENT, UNIVERSAL_ID, EMAIL_HASH, timezone];
    let mut truth_users = vec![
        RECIPIENT,
        PERSONA,
        Column::new("open_rate", Kind::Float, "P(open | delivered) over send times, all other factors neutral"),
        Column::new("click_rate", Kind::Float, "P(click | delivered) over send times, all other factors neutral"),
    ];
    let mut events = EVENT_COLUMNS.to_vec();
    if model.machine_opens().is_some() {
        truth_users.push(Column::new("machine_opens", Kind::Bool, "Whether the recipient's client opens messages ahead"));
        events.push(MACHINE_OPEN);
    }
    if model.people_differ() {
        truth_users.extend([
            Column::new("own_open_rate", Kind::Float, "The recipient's own open_rate, before drift; open_rate is its persona's"),
            Column::new("own_click_rate", Kind::Float, "The recipient's own click_rate, before drift; click_rate is its persona's"),
            Column::new("peak_shift", Kind::Int16, "By how many hours its peak hours lie later than its persona's"),
            Column::new("timing_k", Kind::Float, "k of `timing` at its own open rate: the factor is 1 + k (A / mean(A) - 1)"),
        ]);
    }
    if model.zones().is_some() {
        truth_users.push(Column::new("timezone", Kind::Text, "The recipient's time zone, known or not"));
    }
    if model.attempts().is_some() {
        users.push(Column::new("mailbox_provider", Kind::Text, "Provider of the recipient's mailbox"));
        truth_users.push(Column::nullable(
            "address_dead_at",
            MILLIS,
            "From when on the address does not exist, UTC; null if it always does",
        ));
        events.extend(ATTEMPT_COLUMNS);
    }
    if model.leaving().is_some() {
        let meaning = "When the recipient unsubscribed or complained to somebody who tells the sender, UTC; null if never";
        truth_users.push(Column::nullable("left_at", MILLIS, meaning));
        truth_users.push(Column::nullable(
            "left_why",
            Kind::Text,
            "Which of the two came first: `unsubscribed`, `spam_reported`; `scanner` where a scanner's visit unsubscribed the recipient",
        ));
        if model.attempts().is_none() {
            events.push(RESPONSE);
        }
    }
    if model.scanners().is_some() {
        truth_users.push(Column::new("scanner", Kind::Bool, "Whether a scanner stands before the recipient's mailbox"));
        events.push(LINK_INDEX);
    }
    if model.effects().experiments().is_some_and(Experiments::people_differ) {
        let meaning = "How far the content of variants moves the recipient: standard normal";
        truth_users.push(Column::new("responsiveness", Kind::Float, meaning));
    }
    [users, truth_users, events]
}

/// The tables, in the order of their numbers.
pub(super) fn tables(model: &EmailModel) -> Vec<Table> {
    let [users, truth_users, events] = of_people(model);
    let rates = vec![
        RECIPIENT,
        Column::new("month", Kind::Date, "First day of the month, or of the window for the month it starts in"),
        Column::new("open_rate", Kind::Float, "Open rate of messages delivered in that month"),
        Column::new("click_rate", Kind::Float, "Click rate of messages delivered in that month"),
    ];
    let mut timing = vec![
        PERSONA,
        match model.zones() {
            None => Column::new("minute_of_week", Kind::Int16, "Minute of the week in UTC, from Monday 00:00: 0 to 10,079"),
            Some(_) => {
                Column::new("minute_of_week", Kind::Int16, "Minute of the week on the recipient's clock, from Monday 00:00: 0 to 10,079")
            }
        },
        Column::new("factor", Kind::Float, "timing × minute"),
        Column::new("best_minute", Kind::Int16, "The first minute at which this persona's factor is greatest"),
    ];
    let mut timing_key: &[&str] = &["persona", "minute_of_week"];
    if model.zones().is_some_and(|zones| zones.clock == SendClock::Utc) {
        timing.push(UTC_OFFSET);
        timing_key = &["persona", UTC_OFFSET.name, "minute_of_week"];
    }
    let window = &model.config().window;
    let month = |date: Date| {
        let (year, month, _) = date.ymd();
        f64::from(year) * 12.0 + f64::from(month)
    };
    let months = 1.0 + month(window.start.plus(window.days as i32)) - month(window.start);
    let rows_per_actor = model.population().rows_per_actor;
    let mut tables = vec![
        Table::new("events", false, "One event", events, rows_per_actor)
            .ordered_by("timestamp")
            .keyed_by(&["universal_id", "timestamp", "event_id"])
            .of_actor("recipient_id")
            .partitioned_by("universal_id")
            .stored_as(EVENTS_TABLE, EVENTS_SQL),
        Table::new("users", false, "One recipient", users, 1.0).keyed_by(&["recipient_id"]).of_actor("recipient_id"),
        Table::new("users", true, "Who a recipient is", truth_users, 1.0).keyed_by(&["recipient_id"]).of_actor("recipient_id"),
        Table::new("user_rates", true, "One recipient's rates in one month", rates, months)
            .keyed_by(&["recipient_id", "month"])
            .of_actor("recipient_id"),
        Table::new("messages", true, "What was drawn against for one message", messages(model), super::expected::sent_to_one(model))
            .keyed_by(&["recipient_id", "message_id"])
            .of_actor("recipient_id"),
        Table::new("timing", true, "One minute of one persona's week", timing, 0.0).keyed_by(timing_key),
    ];
    if model.has_agents() {
        tables.push(
            Table::new("events", true, "Who opened or clicked, of one opened or clicked", agents(), rows_per_actor)
                .keyed_by(&["recipient_id", "event_id"])
                .of_actor("recipient_id"),
        );
    }
    if model.effects().season().is_some() {
        let calendar = vec![
            Column::new("date", Kind::Date, "A date on which something may be sent or decided"),
            Column::nullable("names", Kind::Text, "Its seasons, in the order of the document, separated by commas; null without one"),
            match model.zones() {
                None => factor("volume", "Factor of the scheduled sends of the day in UTC"),
                Some(_) => factor("volume", "Factor of the scheduled sends of the day"),
            },
            factor("open", "Factor of the open rate of what is decided on that day of the recipients' clock: `season` of its messages"),
            factor("click", "Factor of P(click | open) of the same messages: their `season_click`"),
        ];
        tables.push(Table::new(CALENDAR, true, "One date of the calendar of seasons", calendar, 0.0).keyed_by(&["date"]));
    }
    if model.decider().is_some() {
        let rows = f64::from(window.days) * model.config().sends.per_day * model.mean_volume();
        tables.extend(decisions::tables(rows, model.effects().experiments().is_some()));
    }
    if let Some(own) = model.effects().experiments() {
        tables.extend(experiments::tables(own, super::expected::sent_to_one(model)));
    }
    tables.extend(model.attempts().into_iter().flat_map(|law| attempt_tables(model, law)));
    tables
}

/// The tables of attempts at delivery.
fn attempt_tables(model: &EmailModel, law: &Attempts) -> [Table; 2] {
    let rows = super::expected::sent_to_one(model) * (1.0 + law.mean_outcome().deferrals);
    let full = vec![
        RECIPIENT,
        Column::new("begins_at", MILLIS, "Since when the mailbox is full, UTC: the window's start, if it was full before"),
        Column::new("ends_at", MILLIS, "Until when, UTC"),
    ];
    [
        Table::new(ATTEMPTS, true, "One attempt to deliver a message", attempts(), rows)
            .keyed_by(&["recipient_id", "message_id", "attempt"])
            .of_actor("recipient_id"),
        Table::new(FULL_MAILBOXES, true, "A time for which a mailbox was full, while something may be delivered", full, 1.0)
            .keyed_by(&["recipient_id", "begins_at"])
            .of_actor("recipient_id"),
    ]
}
