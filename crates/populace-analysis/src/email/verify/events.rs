//! The columns of `events`, and those of one recipient.

use super::{attempts, leaving};
use crate::email::history::{Agents, kind_of};
use crate::source::{As, Columns, Texts, Uuids, Want};
use arrow_array::{Float64Array, Int64Array, RecordBatch, TimestampMicrosecondArray};
use populace_core::email::{Agent, EmailConfig, EmailModel, EventType};
use populace_core::time::Instant;

/// Every column of `events`.
const COLUMNS: [Want; 24] = [
    Want::new("event_id", As::Uuid),
    Want::new("event_type", As::Text),
    Want::new("timestamp", As::Instant),
    Want::new("esp", As::Text),
    Want::new("recipient_id", As::Text),
    Want::new("universal_id", As::Text),
    Want::new("recipient_email_hash", As::Text),
    Want::new("campaign_id", As::Text),
    Want::new("campaign_name", As::Text),
    Want::nullable("message_id", As::Uuid),
    Want::nullable("subject", As::Text),
    Want::nullable("click_url", As::Text),
    Want::nullable("bounce_type", As::Text),
    Want::nullable("user_agent", As::Text),
    Want::nullable("ip_address", As::Text),
    Want::new("source", As::Text),
    Want::new("metadata", As::Text),
    Want::nullable("latency_seconds", As::Float),
    Want::nullable("send_time", As::Instant),
    Want::nullable("hour_of_day", As::Int),
    Want::nullable("minute", As::Int),
    Want::nullable("day_of_week", As::Int),
    Want::nullable("campaign_type", As::Text),
    Want::nullable("payload_size_bytes", As::Int),
];

/// A further column, where there are machines.
pub(super) const MACHINE_OPEN: Want = Want::nullable("machine_open", As::Bool);
/// The one that says which link was clicked, where messages have several.
pub(super) const LINK_INDEX: Want = Want::nullable("link_index", As::Int);

/// Every column of `events` of a model.
pub(super) fn columns(model: &EmailModel) -> Vec<Want> {
    let attempts = model.attempts().into_iter().flat_map(|_| attempts::COLUMNS);
    let response = model.leaving().filter(|_| model.attempts().is_none()).map(|_| leaving::RESPONSE);
    let links = model.scanners().map(|_| LINK_INDEX);
    COLUMNS.into_iter().chain(model.machine_opens().map(|_| MACHINE_OPEN)).chain(attempts).chain(response).chain(links).collect()
}

/// The [`COLUMNS`] of a recipient's events.
pub(super) struct Events<'a> {
    pub(super) batch: &'a RecordBatch,
    pub(super) ids: Uuids<'a>,
    pub(super) messages: Uuids<'a>,
    pub(super) types: Texts<'a>,
    /// The simulated type of each row.
    pub(super) kinds: Vec<Option<EventType>>,
    pub(super) times: &'a TimestampMicrosecondArray,
    pub(super) esp: Texts<'a>,
    pub(super) recipient_id: Texts<'a>,
    pub(super) universal_id: Texts<'a>,
    pub(super) email_hash: Texts<'a>,
    pub(super) campaign_id: Texts<'a>,
    pub(super) campaign_name: Texts<'a>,
    pub(super) campaign_type: Texts<'a>,
    pub(super) subject: Texts<'a>,
    pub(super) click_url: Texts<'a>,
    pub(super) user_agent: Texts<'a>,
    pub(super) ip_address: Texts<'a>,
    /// What machines say that they are.
    pub(super) agents: Agents<'a>,
    pub(super) source: Texts<'a>,
    pub(super) metadata: Texts<'a>,
    pub(super) latency: &'a Float64Array,
    pub(super) send_time: &'a TimestampMicrosecondArray,
    /// Hour of the day, minute and day of the week.
    pub(super) clock: [&'a Int64Array; 3],
    pub(super) size: &'a Int64Array,
}

impl<'a> Events<'a> {
    pub(super) fn new(config: &'a EmailConfig, batch: &'a RecordBatch) -> Self {
        let types = batch.text("event_type");
        Self {
            batch,
            ids: batch.uuid("event_id"),
            messages: batch.uuid("message_id"),
            types,
            kinds: types.map(kind_of),
            times: batch.instant("timestamp"),
            esp: batch.text("esp"),
            recipient_id: batch.text("recipient_id"),
            universal_id: batch.text("universal_id"),
            email_hash: batch.text("recipient_email_hash"),
            campaign_id: batch.text("campaign_id"),
            campaign_name: batch.text("campaign_name"),
            campaign_type: batch.text("campaign_type"),
            subject: batch.text("subject"),
            click_url: batch.text("click_url"),
            user_agent: batch.text("user_agent"),
            ip_address: batch.text("ip_address"),
            agents: Agents::new(config),
            source: batch.text("source"),
            metadata: batch.text("metadata"),
            latency: batch.float("latency_seconds"),
            send_time: batch.instant("send_time"),
            clock: ["hour_of_day", "minute", "day_of_week"].map(|name| batch.int(name)),
            size: batch.int("payload_size_bytes"),
        }
    }

    pub(super) fn time(&self, row: usize) -> Instant {
        Instant(self.times.value(row))
    }

    /// The user agent and the address that a recipient engages from.
    pub(super) fn client(&self) -> Option<(&'a str, &'a str)> {
        let is_own = |row: usize| self.user_agent.is_valid(row) && self.ip_address.is_valid(row) && self.agent(row) == Agent::Human;
        let row = (0..self.kinds.len()).find(|&row| is_own(row))?;
        Some((self.user_agent.value(row), self.ip_address.value(row)))
    }

    /// Who a row says is behind it.
    pub(super) fn agent(&self, row: usize) -> Agent {
        self.agents.of(self.user_agent, row)
    }
}
