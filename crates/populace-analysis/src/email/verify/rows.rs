//! What holds of every row by itself.

use super::events::{LINK_INDEX, MACHINE_OPEN};
use super::{Events, trigger_of, window};
use crate::email::Law;
use crate::error::AnalysisError;
use crate::source::{Texts, Want};
use crate::stats::merge_fields;
use crate::verify::board::{Board, Exact};
use crate::verify::files::Files;
use crate::verify::ids::Distinct;
use crate::verify::{same_json, uuid};
use arrow_array::Array;
use populace_core::email::{Agent, CampaignType, EventType, Group};
use populace_core::time::{Instant, Window};
use populace_io::identity::{Identities, Identity};
use std::collections::{HashMap, HashSet};
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
    /// What messages of blasts say of them.
    blasts: HashSet<String>,
    /// By type: the columns that may be null, and whether they are there.
    nullable: Vec<Vec<(usize, bool)>>,
    /// As the last, where it is a scanner that unsubscribes.
    of_scanners: Vec<(usize, bool)>,
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
} same { law, identities, window, campaigns, internal, networks, blasts, nullable, of_scanners });

impl<'a> Rows<'a> {
    pub(super) fn new(law: &'a Law<'a>, identities: &'a Identities, columns: &[Want]) -> Self {
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
            let [source, metadata] = [(model.sources(), u16::from(kind.source)), (model.metadata(), kind.metadata)];
            let of = |(names, place): (&[String], u16)| names[usize::from(place)].clone();
            (kind.event_type, (of(source), campaign, name, of(metadata)))
        });
        let is_requested = model.scanners().is_some_and(|scanners| scanners.unsubscribe_on_get > 0.0);
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
            blasts: model.blasts().iter().map(|blast| model.metadata()[usize::from(blast.metadata)].clone()).collect(),
            nullable: EventType::ALL.map(|kind| nullable(kind, Agent::Human, columns)).into(),
            of_scanners: nullable(EventType::Unsubscribed, if is_requested { Agent::Scanner } else { Agent::Human }, columns),
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
    pub(super) fn add(&mut self, actor: Option<u64>, events: &Events<'_>) {
        let identity = actor.and_then(|actor| identity(self.identities, actor));
        let (universal, hashes) = (events.universal_id, events.email_hash);
        let mut client: Option<(&str, &str)> = None;
        let model = self.law.model();
        let zone =
            model.zones().and_then(|_| events.recipient_id.is_valid(0).then(|| self.law.person_of(events.recipient_id.value(0))).flatten());
        let zone = zone.map(|person| person.zone.zone);
        for (row, kind) in events.kinds.iter().enumerate() {
            let id = events.ids.get(row).unwrap_or_default();
            let time = events.time(row);
            let place = || format!("{} of {} at {time}", events.types.value(row), events.recipient_id.value(row));
            self.event_ids.add(id);
            self.ids.hold(is_v7_of(id, time), || format!("{} {}", place(), uuid(id)));
            let same = identity.as_ref().is_some_and(|of| of.universal_id == universal.value(row) && of.email_hash == hashes.value(row));
            self.identity.hold(same, place);
            let simulated = self.law.model().event_types();
            let kind = kind.filter(|kind| (is_mail(*kind) && simulated.contains(&kind.name())) || self.internal.contains_key(kind));
            self.types.hold(kind.is_some(), place);
            let Some(kind) = kind else { continue };
            let by_scanner = kind == EventType::Unsubscribed && events.agent(row) == Agent::Scanner;
            let nullable = if by_scanner { &self.of_scanners } else { &self.nullable[kind as usize] };
            self.nulls.hold(nullable.iter().all(|(column, there)| events.batch.column(*column).is_valid(row) == *there), place);
            if matches!(kind, EventType::Sent | EventType::Dropped) || !is_mail(kind) {
                self.begun.hold(zone.map_or_else(|| self.window.contains(time), |zone| model.day_of(zone, time).is_some()), place);
            }
            if kind == EventType::Delivered {
                self.clocks.hold(clock_is_right(events, row), place);
            }
            if is_mail(kind) {
                self.mail(kind, events, row);
            } else {
                let (source, campaign, name, metadata) = &self.internal[&kind];
                let holds = events.source.value(row) == source
                    && events.campaign_id.value(row) == *campaign
                    && events.campaign_name.value(row) == *name
                    && events.esp.value(row) == "internal"
                    && same_json(events.metadata.value(row), metadata);
                self.internals.hold(holds, place);
            }
            let (agents, addresses) = (events.user_agent, events.ip_address);
            if agents.is_valid(row) && addresses.is_valid(row) && events.agent(row) != Agent::Human {
                self.clients.hold(self.is_address(addresses.value(row)), || format!("{} {}", place(), addresses.value(row)));
            } else if agents.is_valid(row) && addresses.is_valid(row) {
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

    /// Whether metadata has variants of experiments; that they are the message's own is checked elsewhere.
    fn names_variants(&self, metadata: &str) -> bool {
        self.law.model().effects().experiments().is_some() && metadata.contains("\"experiments\"")
    }

    /// A row of mail.
    fn mail(&mut self, kind: EventType, events: &Events<'_>, row: usize) {
        let config = self.law.config();
        let campaign = self.campaigns.get(events.campaign_id.value(row));
        let has = |column: Texts<'_>, value: &str| column.is_valid(row) && column.value(row) == value;
        let metadata = events.metadata.value(row);
        let is_known = || self.blasts.contains(metadata) || self.names_variants(metadata);
        let plain = metadata == "{}" || trigger_of(metadata).is_some() || same_json(metadata, "{}") || is_known();
        let holds = campaign.is_some_and(|campaign| {
            campaign.name == events.campaign_name.value(row)
                && (kind != EventType::Clicked || has(events.click_url, &campaign.click_url))
                && (kind != EventType::Delivered || has(events.campaign_type, campaign.kind))
        });
        let holds = holds && plain && config.esps.contains_key(events.esp.value(row)) && events.source.value(row) == config.chain_source;
        let place = || format!("{} of {}, row {row} of the recipient", kind.name(), events.recipient_id.value(row));
        self.names.hold(holds, place);
        self.subjects.hold(campaign.is_some_and(|campaign| campaign.subjects.iter().any(|subject| has(events.subject, subject))), place);
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

/// Whether rows of a type are of a message.
fn is_mail(kind: EventType) -> bool {
    matches!(kind.group(), Group::Mail | Group::Failure | Group::Leaving)
}

/// Which of the columns that may be null a row of a type has, and which it has not.
fn nullable(kind: EventType, agent: Agent, columns: &[Want]) -> Vec<(usize, bool)> {
    let delivered = kind == EventType::Delivered;
    let failed = matches!(kind, EventType::Deferred | EventType::Bounced);
    // What machine_open and link_index say is checked with the machines.
    let apart = [MACHINE_OPEN.name, LINK_INDEX.name];
    let columns = columns.iter().enumerate().filter(|(_, want)| want.nullable && !apart.contains(&want.name)).map(|(column, want)| {
        let there = match want.name {
            "message_id" | "subject" => is_mail(kind),
            "click_url" => kind == EventType::Clicked,
            "bounce_type" => kind == EventType::Bounced,
            "attempt" => delivered || failed,
            "smtp_code" | "enhanced_code" | "bounce_class" => failed,
            "response" => failed || kind == EventType::Dropped,
            "user_agent" | "ip_address" => {
                matches!(kind, EventType::Opened | EventType::Clicked) || kind.group() == Group::HotPath || agent == Agent::Scanner
            }
            _ => delivered,
        };
        (column, there)
    });
    columns.collect()
}

fn clock_is_right(events: &Events<'_>, row: usize) -> bool {
    let sent = Instant(events.send_time.value(row));
    let own = [sent.hour(), sent.minute(), sent.weekday()];
    events.clock.iter().zip(own).all(|(column, own)| column.value(row) == i64::from(own))
}
