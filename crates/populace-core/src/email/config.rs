//! What an email document may say: the reference of every key, its unit and its range. The values are those of `email.yaml` and
//! `email-v1.yaml`. A mechanism that is `null`, or left out, is off.

use super::calendar::SendsConfig;
use super::campaigns::CampaignConfig;
use super::delivery::{DeliveryConfig, LatencyConfig};
use super::effects::breaker::BreakersConfig;
use super::effects::drift::DriftConfig;
use super::effects::fatigue::FatigueConfig;
use super::effects::hot_path::HotPathsConfig;
use super::effects::minute::MinuteConfig;
use super::effects::timing::TimingConfig;
use super::opening::{AttentionConfig, DelaysConfig, OpenDelayLaw};
use super::personas::PersonaConfig;
use super::policy::TriggerConfig;
use super::world::Span;
use crate::plan::{PopulationConfig, WindowConfig};
use crate::time::UtcOffset;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Recipients with habits, what they are sent, and how they react.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EmailConfig {
    /// How many people there are.
    pub population: PopulationConfig,
    /// The days on which mail is sent. Engagement may spill past the end.
    pub window: WindowConfig,
    /// Local time of the recipients: hours of day, days of the week and minutes of the personas, of `sends` and of `minute` are read
    /// on this clock.
    pub timezone: UtcOffset,
    /// Local time of the email service providers: what `latency` is read on.
    pub esp_timezone: UtcOffset,
    /// The kinds of recipients by name; 1 to 100. Recipient k takes slot k modulo the sum of the counts of one table in which the
    /// personas are interleaved evenly. The order of the names is the alphabet's, whatever the document's.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 100)))]
    pub personas: BTreeMap<String, PersonaConfig>,
    /// When scheduled mail is sent.
    pub sends: SendsConfig,
    /// What is sent, by campaign id; 1 to 100.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 100)))]
    pub campaigns: BTreeMap<String, CampaignConfig>,
    /// The size of a message over its campaign's mean: uniform.
    pub size_factor: Span,
    /// What a click leads to: this address, then the campaign's `click_path`.
    pub click_base_url: String,
    /// Email service providers with their weights, drawn for each message; 1 to 100.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 100)))]
    pub esps: BTreeMap<String, f64>,
    /// The `source` of sent, delivered, opened and clicked.
    pub chain_source: String,
    /// Whether a message arrives.
    pub delivery: DeliveryConfig,
    /// How long a message takes.
    pub latency: LatencyConfig,
    /// How an open is decided.
    pub engagement: EngagementConfig,
    /// How far the time of the week moves a persona's open rate.
    pub timing: TimingConfig,
    /// How the minute of the hour moves the open rate.
    pub minute: Option<MinuteConfig>,
    /// How recent mail lowers the open rate.
    pub fatigue: Option<FatigueConfig>,
    /// How the rates of a user wander.
    pub drift: Option<DriftConfig>,
    /// The law of the time from delivery to open.
    pub open_delay: OpenDelayLaw,
    /// Minutes from delivery to open: density ∝ exp(−(s − `min_minutes`) / `mean_minutes`) on [`min_minutes`, `max_minutes`], times the
    /// attention at that moment where `open_delay` says so. `max_minutes` is at least an hour above `min_minutes`.
    pub open_delays: DelaysConfig,
    /// When a persona looks at its mail.
    pub attention: AttentionConfig,
    /// Minutes from open to click: `min_minutes` + Exp(`mean_minutes`), given that it is at most `max_minutes`.
    pub click_delays: DelaysConfig,
    /// Events after which a user does not engage.
    pub circuit_breakers: Option<BreakersConfig>,
    /// Events after which a user engages more.
    pub hot_paths: Option<HotPathsConfig>,
    /// User agents, equally likely; a user keeps one; 1 to 200.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 200)))]
    pub user_agents: Vec<String>,
    /// Networks of which a user gets one address, .1 to .254, and keeps it. Only those reserved for documentation (RFC 5737) are
    /// allowed: 192.0.2.0/24, 198.51.100.0/24, 203.0.113.0/24.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 3)))]
    pub ip_networks: Vec<String>,
}

impl EmailConfig {
    /// The mail that hot paths call forth.
    pub fn trigger(&self) -> Option<&TriggerConfig> {
        self.hot_paths.as_ref().and_then(|paths| paths.trigger.as_ref())
    }
}

/// The moment by which an open is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum DecidedAt {
    /// When the message arrives.
    Delivery,
    /// When it is sent.
    Send,
}

/// How an open is decided: with probability min(`max_probability`, open rate × timing × minute × fatigue × hot path), and not at all
/// inside a circuit breaker's window.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EngagementConfig {
    /// The moment by which all factors are taken.
    pub decided_at: DecidedAt,
    /// The greatest probability of an open, above 0, at most 1. What is clipped to it is counted.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 1.0)))]
    pub max_probability: f64,
}
