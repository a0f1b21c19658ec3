//! What of a document stands around its mechanisms: the window, the clocks, the providers, the networks.

use super::config::EmailConfig;
use super::zones::SendClock;
use crate::plan::WindowConfig;
use crate::scenario::Checker;
use crate::time::Date;
use std::net::Ipv4Addr;

/// The `esp` of rows that no provider brought forth.
pub(super) const INTERNAL_ESP: &str = "internal";
/// RFC 5737.
const DOCUMENTATION_NETWORKS: [[u8; 4]; 3] = [[192, 0, 2, 0], [198, 51, 100, 0], [203, 0, 113, 0]];

pub(super) fn check_frame(config: &EmailConfig, checker: &mut Checker) {
    let WindowConfig { start, days } = config.window;
    checker.require(start.0 >= 0, "window.start", || format!("must be 1970-01-01 or later, got {start}"));
    // Engagement may spill past the end by a few weeks at most.
    let end = start.0.saturating_add_unsigned(days).saturating_add(60);
    checker.require(Date(end).ymd().0 <= 9999, "window.start", || "the window must end within the year 9999".into());
    config.sends.check(checker);
    if config.timezones.is_none() && config.sends.clock == Some(SendClock::Utc) {
        checker.problem(
            "sends.clock",
            "is `utc`, but all recipients have one clock, that of `timezone`",
            "give `timezones`, or leave it out",
        );
    }
    if config.esps.contains_key(INTERNAL_ESP) {
        checker.problem(format!("esps.{INTERNAL_ESP}"), "is the provider of circuit breakers and hot paths", "choose another name");
    }
}

/// Every user agent of the data: those of people, of machines, of scanners.
pub(super) fn user_agents(config: &EmailConfig) -> Vec<String> {
    let machine = config.machine_opens.iter().map(|own| &own.user_agent);
    let scanners = config.scanners.iter().flat_map(|own| &own.user_agents);
    config.user_agents.iter().chain(machine).chain(scanners).cloned().collect()
}

/// The first addresses of the networks.
pub(super) fn networks(config: &EmailConfig, checker: &mut Checker) -> Vec<u32> {
    let mut networks = Vec::new();
    for (index, text) in config.ip_networks.iter().enumerate() {
        let address = text.strip_suffix("/24").and_then(|address| address.parse::<Ipv4Addr>().ok());
        match address.filter(|address| DOCUMENTATION_NETWORKS.contains(&address.octets())) {
            Some(address) if networks.contains(&address.to_bits()) => {
                checker.problem(format!("ip_networks.{index}"), format!("`{text}` is listed twice"), "");
            }
            Some(address) => networks.push(address.to_bits()),
            None => checker.problem(
                format!("ip_networks.{index}"),
                format!("`{text}` is not reserved for documentation"),
                "choose from 192.0.2.0/24, 198.51.100.0/24, 203.0.113.0/24",
            ),
        }
    }
    networks
}
