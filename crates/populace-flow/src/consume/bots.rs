//! Opens and clicks that may be no human's: security scanners follow links and load images before anybody reads. They are marked, never
//! dropped: `metadata.suspected_bot` lists why.

use crate::event::Event;
use crate::memo::{Folded, Memo};
use populace_core::email::{EventType, Uuid};
use populace_core::time::{Instant, SECOND};
use serde_json::Value;
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};

/// An open this soon after its delivery is too fast for a human, microseconds.
const TOO_FAST: i64 = 2 * SECOND;
/// Deliveries that are remembered.
const REMEMBERED: usize = 100_000;
/// The field of `metadata`.
pub const FIELD: &str = "suspected_bot";

/// What user agents of scanners and programs hold, in lower case.
const AGENTS: [&str; 16] = [
    "barracuda",
    "mimecast",
    "proofpoint",
    "symantec",
    "bitdefender",
    "trendmicro",
    "ironport",
    "headlesschrome",
    "phantomjs",
    "bot",
    "crawler",
    "spider",
    "python-requests",
    "curl/",
    "wget/",
    "go-http-client",
];

/// Blocks of addresses registered to mail security services: Barracuda Networks (2), Proofpoint (2).
const RANGES: [([u8; 4], u32); 4] = [([64, 235, 144, 0], 20), ([209, 222, 80, 0], 21), ([67, 231, 144, 0], 20), ([148, 163, 128, 0], 19)];

/// Remembers deliveries, in bounded memory, to tell opens that follow too fast.
#[derive(Debug, Default)]
pub struct Suspicions {
    delivered: HashMap<Uuid, Instant, Folded>,
    order: VecDeque<Uuid>,
    agents: Memo,
}

impl Suspicions {
    /// Why an event may be no human's. Events of one person must come in their order.
    pub fn of(&mut self, event: &Event<'_>) -> Vec<&'static str> {
        let mut delivered = None;
        if let Some(message) = event.message_id {
            match event.event_type {
                EventType::Delivered => self.remember(message, event.timestamp),
                EventType::Opened => delivered = self.delivered.get(&message).copied(),
                _ => {}
            }
        }
        found(event, delivered, &mut self.agents)
    }

    fn remember(&mut self, message: Uuid, at: Instant) {
        if self.delivered.insert(message, at).is_none() {
            self.order.push_back(message);
        }
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.delivered.remove(&oldest);
        }
    }
}

/// Why an event may be no human's, given when its message was delivered, if that is known.
pub fn suspicions(event: &Event<'_>, delivered: Option<Instant>) -> Vec<&'static str> {
    found(event, delivered, &mut Memo::default())
}

fn found(event: &Event<'_>, delivered: Option<Instant>, agents: &mut Memo) -> Vec<&'static str> {
    let mut found = Vec::new();
    if !matches!(event.event_type, EventType::Opened | EventType::Clicked) {
        return found;
    }
    if delivered.is_some_and(|delivered| event.timestamp.0 - delivered.0 < TOO_FAST) {
        found.push("opened_within_2_seconds");
    }
    let is_human = |agent: &str| {
        let agent = agent.to_lowercase();
        !AGENTS.iter().any(|known| agent.contains(known))
    };
    if event.user_agent.as_deref().is_some_and(|agent| !agents.passes(agent, is_human)) {
        found.push("scanner_agent");
    }
    if event.ip_address.as_deref().and_then(|text| text.parse().ok()).is_some_and(|address| in_ranges(&address)) {
        found.push("scanner_address");
    }
    found
}

fn in_ranges(address: &IpAddr) -> bool {
    let Some(address) = (match address {
        IpAddr::V4(address) => Some(*address),
        IpAddr::V6(address) => address.to_ipv4_mapped(),
    }) else {
        return false;
    };
    RANGES.iter().any(|(block, bits)| (address.to_bits() ^ Ipv4Addr::from(*block).to_bits()) >> (32 - bits) == 0)
}

/// Writes suspicions into the metadata of an event, after those of its sender. Whether there are any.
pub(super) fn mark(event: &mut Event<'_>, found: &[&'static str]) -> bool {
    let mut all = match event.metadata.get(FIELD) {
        Some(Value::Array(before)) => before.clone(),
        _ => Vec::new(),
    };
    for why in found {
        if !all.iter().any(|before| before == why) {
            all.push(Value::from(*why));
        }
    }
    if !found.is_empty() {
        event.metadata.insert(FIELD.to_owned(), all.into());
        return true;
    }
    !all.is_empty()
}
