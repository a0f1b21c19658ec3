//! What the tables of `email` hold.

use super::{EVENTS_SQL, EVENTS_TABLE, decisions};
use crate::table::{Column, InstantText, Kind, Table};
use populace_core::email::{EFFECTS, EmailModel, LATENCY_PARTS, MessageTruth, OpenDelayLaw, Value};
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
        "Kind of bounce or deferral. Never in generated data: a message that is not delivered has only its sent row",
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
    if model.scanners().is_some() {
        let meaning =
            "P(a clicked row | delivered), by the recipient or a scanner, where no circuit breaker comes between; null if not delivered";
        columns.push((Column::nullable("p_click_row", Kind::Float, meaning), Values::FloatOrNull(|row| row.p_click_row)));
    }
    columns
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

/// The tables, in the order of their numbers.
pub(super) fn tables(model: &EmailModel) -> Vec<Table> {
    let users = vec![RECIPIENT, UNIVERSAL_ID, EMAIL_HASH, Column::new("timezone", Kind::Text, "The recipient's clock, an offset from UTC")];
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
    if model.scanners().is_some() {
        truth_users.push(Column::new("scanner", Kind::Bool, "Whether a scanner stands before the recipient's mailbox"));
        events.push(LINK_INDEX);
    }
    let rates = vec![
        RECIPIENT,
        Column::new("month", Kind::Date, "First day of the month, or of the window for the month it starts in"),
        Column::new("open_rate", Kind::Float, "Open rate of messages delivered in that month"),
        Column::new("click_rate", Kind::Float, "Click rate of messages delivered in that month"),
    ];
    let timing = vec![
        PERSONA,
        Column::new("minute_of_week", Kind::Int16, "Minute of the week in UTC, from Monday 00:00: 0 to 10,079"),
        Column::new("factor", Kind::Float, "timing × minute"),
        Column::new("best_minute", Kind::Int16, "The first minute at which this persona's factor is greatest"),
    ];
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
        Table::new("timing", true, "One minute of one persona's week", timing, 0.0).keyed_by(&["persona", "minute_of_week"]),
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
            factor("volume", "Factor of the scheduled sends of the day in UTC"),
            factor("open", "Factor of the open rate of what is decided on that day of the recipients' clock: `season` of its messages"),
            factor("click", "Factor of P(click | open) of the same messages: their `season_click`"),
        ];
        tables.push(Table::new(CALENDAR, true, "One date of the calendar of seasons", calendar, 0.0).keyed_by(&["date"]));
    }
    if model.decider().is_some() {
        tables.extend(decisions::tables(f64::from(window.days) * model.config().sends.per_day * model.mean_volume()));
    }
    tables
}
