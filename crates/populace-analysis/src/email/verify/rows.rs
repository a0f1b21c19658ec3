//! What holds of every row by itself.

use super::{COLUMNS, kind_of, trigger_of, window};
use crate::email::Law;
use crate::error::AnalysisError;
use crate::source::{Columns, Texts};
use crate::stats::merge_fields;
use crate::verify::board::{Board, Exact};
use crate::verify::files::Files;
use crate::verify::ids::Distinct;
use crate::verify::{same_json, uuid};
use arrow_array::{Array, RecordBatch};
use populace_core::email::{CampaignType, EventType, Group};
use populace_core::time::{Instant, Window};
use populace_io::identity::{Identities, Identity};
use std::collections::HashMap;
use std::net::Ipv4Addr;

/// Who a recipient of the population is.
pub(super) fn identity(identities: &Identities, actor: u64) -> Option<Identity> {
    identities.identify(&format!("user{}@example.com", actor + 1_000)).ok()
}

/// Whether an id is a UUID of version 7 of a moment.
pub(super) fn is_v7_of(id: u128, time: Instant) -> bool {
    let (milliseconds, version, variant) = ((id >> 80) as i64, (id >> 76) & 0xF, (id >> 62) & 0b11);
    time.0.rem_euclid(1_000) == 0 && milliseconds == time.0 / 1_000 && version == 7 && variant == 0b10
}

/// What a campaign's rows say.
struct Campaign {
    name: String,
    kind: &'static str,
    click_url: String,
    subjects: Vec<String>,
}

/// Laws of single rows.
pub(super) struct Rows<'a> {
    law: &'a Law<'a>,
    identities: &'a Identities,
    window: Window,
    campaigns: HashMap<String, Campaign>,
    /// By type: source, campaign, its name and metadata of non-mail events.
    internal: HashMap<EventType, (String, &'static str, &'static str, String)>,
    networks: Vec<[u8; 3]>,
    event_ids: Distinct,
    types: Exact,
    ids: Exact,
    nulls: Exact,
    names: Exact,
    subjects: Exact,
    internals: Exact,
    begun: Exact,
    clocks: Exact,
    identity: Exact,
    clients: Exact,
}

merge_fields!(Rows<'_> {
    event_ids, types, ids, nulls, names, subjects, internals, begun, clocks, identity, clients,
} same { law, identities, window, campaigns, internal, networks });

impl<'a> Rows<'a> {
    pub(super) fn new(law: &'a Law<'a>, identities: &'a Identities) -> Self {
        let config = law.config();
        let campaigns = config.campaigns.iter().map(|(id, campaign)| {
            let kind = match campaign.r#type {
                CampaignType::Transactional => "transactional",
                CampaignType::Promotional => "promotional",
            };
            let click_url = format!("{}{}", config.click_base_url, campaign.click_path);
            (id.clone(), Campaign { name: campaign.name.clone(), kind, click_url, subjects: campaign.subjects.clone() })
        });
        let model = law.model();
        let internal = model.occasions().flat_map(|occasion| occasion.happenings.iter().map(move |kind| (occasion.campaign, kind)));
        let internal = internal.map(|((campaign, name), kind)| {
            let [source, metadata] = [(model.sources(), kind.source), (model.metadata(), kind.metadata)];
            let of = |(names, place): (&[String], u8)| names[usize::from(place)].clone();
            (kind.event_type, (of(source), campaign, name, of(metadata)))
        });
        let network = |text: &String| {
            let address: Ipv4Addr = text.split_once('/')?.0.parse().ok()?;
            let [a, b, c, _] = address.octets();
            Some([a, b, c])
        };
        Self {
            law,
            identities,
            window: window(config),
            campaigns: campaigns.collect(),
            internal: internal.collect(),
            networks: config.ip_networks.iter().filter_map(network).collect(),
            event_ids: Distinct::default(),
            types: Exact::new("every event is of a type that the document has"),
            ids: Exact::new("an event_id is a UUID of version 7 whose time is the event's"),
            nulls: Exact::new("columns are null where a type has no such field, and nowhere else"),
            names: Exact::new("mail is of the document's providers, campaigns and source, with their names, types and addresses"),
            subjects: Exact::new("a subject is one of its campaign's"),
            internals: Exact::new("circuit breakers and hot paths carry their source, campaign and metadata"),
            begun: Exact::new("sends, circuit breakers and hot paths fall into the window"),
            clocks: Exact::new("hour_of_day, minute and day_of_week are those of send_time in UTC"),
            identity: Exact::new("universal_id and recipient_email_hash are the recipient's in every row"),
            clients: Exact::new("a recipient engages from one user agent and one address, from the document's networks"),
        }
    }

    /// Examines the rows of a recipient.
    pub(super) fn add(&mut self, actor: Option<u64>, events: &RecordBatch) {
        let (ids, types, times) = (events.uuid("event_id"), events.text("event_type"), events.instant("timestamp"));
        let identity = actor.and_then(|actor| identity(self.identities, actor));
        let (universal, hashes) = (events.text("universal_id"), events.text("recipient_email_hash"));
        let mut client: Option<(&str, &str)> = None;
        for row in 0..events.num_rows() {
            let id = ids.get(row).unwrap_or_default();
            let time = Instant(times.value(row));
            let place = || format!("{} of {} at {time}", types.value(row), events.text("recipient_id").value(row));
            self.event_ids.add(id);
            self.ids.hold(is_v7_of(id, time), || format!("{} {}", place(), uuid(id)));
            let same = identity.as_ref().is_some_and(|of| of.universal_id == universal.value(row) && of.email_hash == hashes.value(row));
            self.identity.hold(same, place);
            let kind = kind_of(types.value(row)).filter(|kind| *kind <= EventType::Clicked || self.internal.contains_key(kind));
            self.types.hold(kind.is_some(), place);
            let Some(kind) = kind else { continue };
            self.nulls.hold(nulls_are_right(kind, events, row), place);
            if kind == EventType::Sent || kind > EventType::Clicked {
                self.begun.hold(self.window.contains(time), place);
            }
            if kind == EventType::Delivered {
                self.clocks.hold(clock_is_right(events, row), place);
            }
            if kind <= EventType::Clicked {
                self.mail(kind, events, row);
            } else {
                let (source, campaign, name, metadata) = &self.internal[&kind];
                let told = |column: &str| events.text(column).value(row);
                let holds = told("source") == source
                    && told("campaign_id") == *campaign
                    && told("campaign_name") == *name
                    && told("esp") == "internal"
                    && same_json(told("metadata"), metadata);
                self.internals.hold(holds, place);
            }
            let (agents, addresses) = (events.text("user_agent"), events.text("ip_address"));
            if agents.is_valid(row) && addresses.is_valid(row) {
                let own = (agents.value(row), addresses.value(row));
                let constant = *client.get_or_insert(own) == own;
                let known = self.law.config().user_agents.iter().any(|agent| agent == own.0) && self.is_address(own.1);
                self.clients.hold(constant && known, || format!("{} {}", place(), own.1));
            }
        }
    }

    fn is_address(&self, text: &str) -> bool {
        let Ok(address) = text.parse::<Ipv4Addr>() else { return false };
        let [a, b, c, host] = address.octets();
        (1..=254).contains(&host) && self.networks.contains(&[a, b, c])
    }

    /// A row of mail.
    fn mail(&mut self, kind: EventType, events: &RecordBatch, row: usize) {
        let told = |column: &str| events.text(column).value(row);
        let config = self.law.config();
        let campaign = self.campaigns.get(told("campaign_id"));
        let has = |column: &str, value: &str| {
            let array: Texts<'_> = events.text(column);
            array.is_valid(row) && array.value(row) == value
        };
        let metadata = told("metadata");
        let plain = metadata == "{}" || trigger_of(metadata).is_some() || same_json(metadata, "{}");
        let holds = campaign.is_some_and(|campaign| {
            campaign.name == told("campaign_name")
                && (kind != EventType::Clicked || has("click_url", &campaign.click_url))
                && (kind != EventType::Delivered || has("campaign_type", campaign.kind))
        });
        let holds = holds && plain && config.esps.contains_key(told("esp")) && told("source") == config.chain_source;
        let place = || format!("{} of {}, row {row} of the recipient", kind.name(), told("recipient_id"));
        self.names.hold(holds, place);
        self.subjects.hold(campaign.is_some_and(|campaign| campaign.subjects.iter().any(|subject| has("subject", subject))), place);
    }

    pub(super) fn report(self, files: &Files<'_>, board: &mut Board) -> Result<(), AnalysisError> {
        let mut ids = self.event_ids.finish("every event_id is there once", uuid)?;
        files.count(&mut ids, "events");
        board.exact(ids);
        for law in [
            self.ids,
            self.types,
            self.nulls,
            self.names,
            self.subjects,
            self.internals,
            self.begun,
            self.clocks,
            self.identity,
            self.clients,
        ] {
            board.exact(law);
        }
        Ok(())
    }
}

/// Whether a row has the fields of its type and no other. The columns are the [`COLUMNS`], in order.
fn nulls_are_right(kind: EventType, events: &RecordBatch, row: usize) -> bool {
    let delivered = kind == EventType::Delivered;
    COLUMNS.iter().zip(events.columns()).filter(|(want, _)| want.nullable).all(|(want, column)| {
        let there = match want.name {
            "message_id" | "subject" => kind <= EventType::Clicked,
            "click_url" => kind == EventType::Clicked,
            "bounce_type" => false,
            "user_agent" | "ip_address" => matches!(kind, EventType::Opened | EventType::Clicked) || kind.group() == Group::HotPath,
            _ => delivered,
        };
        column.is_valid(row) == there
    })
}

fn clock_is_right(events: &RecordBatch, row: usize) -> bool {
    let sent = Instant(events.instant("send_time").value(row));
    let is = |column: &str, value: u8| events.int(column).value(row) == i64::from(value);
    is("hour_of_day", sent.hour()) && is("minute", sent.minute()) && is("day_of_week", sent.weekday())
}
