//! What an email document may say: the reference of every key, its unit and its range. The values are those of `email.yaml` and
//! `email-v1.yaml`. A mechanism that is `null`, or left out, is off.

use super::blast::{BlastConfig, SendMinute};
use super::calendar::SendsConfig;
use super::campaigns::CampaignConfig;
use super::decisions::PolicyConfig;
use super::delivery::{DeliveryConfig, LatencyConfig};
use super::effects::breaker::BreakersConfig;
use super::effects::drift::DriftConfig;
use super::effects::fatigue::FatigueConfig;
use super::effects::hot_path::HotPathsConfig;
use super::effects::minute::MinuteConfig;
use super::effects::season::SeasonConfig;
use super::effects::timing::TimingConfig;
use super::events::EventNames;
use super::experiments::ExperimentConfig;
use super::leaving::LeavingConfig;
use super::machine::MachineOpensConfig;
use super::opening::{AttentionConfig, DelaysConfig, OpenDelayLaw, OpenMixtureConfig};
use super::people::PeopleConfig;
use super::personas::PersonaConfig;
use super::policy::TriggerConfig;
use super::scanner::ScannersConfig;
use super::world::Span;
use super::zones::TimezonesConfig;
use crate::plan::{PopulationConfig, WindowConfig};
use crate::section::{choice, section};
use crate::time::UtcOffset;
use std::collections::BTreeMap;

section! {
    /// Recipients with habits, what they are sent, and how they react.
    pub struct EmailConfig {
        /// How many people there are.
        population: PopulationConfig,
        /// The days on which mail is sent. Engagement may spill past the end.
        window: WindowConfig,
        /// Local time of the recipients: hours of day, days of the week and minutes of the personas, of `sends` and of `minute` are read
        /// on this clock.
        timezone: UtcOffset,
        /// A time zone for each recipient, in place of `timezone`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timezones: Option<TimezonesConfig>,
        /// Local time of the email service providers: what `latency` is read on.
        esp_timezone: UtcOffset,
        /// The personas by name. Of as many recipients one after another as the counts sum to, each takes one of their slots, in an order
        /// that the seed decides. The order of the names is the alphabet's, whatever the document's.
        personas: BTreeMap<String, PersonaConfig> [len 1 ..= 100],
        /// When scheduled mail is sent.
        sends: SendsConfig,
        /// How scheduled sends lie within their hour of the recipients' clock; left out, anywhere.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        send_minute: Option<SendMinute>,
        /// Mail that goes to many at one moment, beside the scheduled.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        blasts: Option<Vec<BlastConfig>> [len 0 ..= 100],
        /// What is sent, by campaign id.
        campaigns: BTreeMap<String, CampaignConfig> [len 1 ..= 100],
        /// The size of a message over its campaign's mean: uniform.
        size_factor: Span,
        /// What a click leads to: this address, then the campaign's `click_path`.
        click_base_url: String,
        /// Email service providers with their weights, drawn for each message.
        esps: BTreeMap<String, f64> [len 1 ..= 100],
        /// The `source` of sent, delivered, opened and clicked.
        chain_source: String,
        /// Whether a message arrives.
        delivery: DeliveryConfig,
        /// How long a message takes.
        latency: LatencyConfig,
        /// How an open is decided.
        engagement: EngagementConfig,
        /// How far the time of the week moves a persona's open rate.
        timing: TimingConfig,
        /// How the minute of the hour moves the open rate.
        minute: Option<MinuteConfig>,
        /// How recent mail lowers the open rate.
        fatigue: Option<FatigueConfig>,
        /// How the rates of a user wander.
        drift: Option<DriftConfig>,
        /// Days of the year on which more or less is sent, opened and clicked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        calendar: Option<Vec<SeasonConfig>> [len 0 ..= 100],
        /// The law of the time from delivery to open.
        open_delay: OpenDelayLaw,
        /// Minutes from delivery to open: density ∝ exp(−(s − `min_minutes`) / `mean_minutes`) on [`min_minutes`, `max_minutes`], times
        /// the attention at that moment where `open_delay` says so. `max_minutes` is at least an hour above `min_minutes`.
        open_delays: DelaysConfig,
        /// What mixes where `open_delay` is `mixture`; left out, four components from a quarter of an hour to a week.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        open_mixture: Option<OpenMixtureConfig>,
        /// When a persona looks at its mail.
        attention: AttentionConfig,
        /// Minutes from open to click: `min_minutes` + Exp(`mean_minutes`), given that it is at most `max_minutes`.
        click_delays: DelaysConfig,
        /// Events after which a user does not engage.
        circuit_breakers: Option<BreakersConfig>,
        /// Events after which a user engages more.
        hot_paths: Option<HotPathsConfig>,
        /// User agents, equally likely; a user keeps one.
        user_agents: Vec<String> [len 1 ..= 200],
        /// Networks of which a user gets one address, .1 to .254, and keeps it. Only those reserved for documentation (RFC 5737) are
        /// allowed: 192.0.2.0/24, 198.51.100.0/24, 203.0.113.0/24.
        ip_networks: Vec<String> [len 1 ..= 3],
        /// In which slot of its window each scheduled message goes out, which is logged; left out, mail goes out by `sends` alone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        policy: Option<PolicyConfig>,
        /// Experiments, by name: messages that come in variants.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        experiments: Option<BTreeMap<String, ExperimentConfig>> [len 0 ..= 32],
        /// Opens by machines.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        machine_opens: Option<MachineOpensConfig>,
        /// How the people of a persona differ; left out, not at all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        people: Option<PeopleConfig>,
        /// Whose names the types of event have in the data; null: Populace's own, with which alone it reads data back.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        names: Option<EventNames>,
        /// Unsubscribes and complaints for good.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        leaving: Option<LeavingConfig>,
        /// Clicks by scanners.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        scanners: Option<ScannersConfig>,
    }
}

impl EmailConfig {
    /// How scheduled sends lie within their hour.
    pub fn minute_of_sends(&self) -> SendMinute {
        self.send_minute.unwrap_or(SendMinute::Uniform)
    }

    /// The mail that hot paths call forth.
    pub fn trigger(&self) -> Option<&TriggerConfig> {
        self.hot_paths.as_ref().and_then(|paths| paths.trigger.as_ref())
    }
}

choice! {
    /// The moment by which an open is decided.
    pub enum DecidedAt {
        /// When the message arrives.
        Delivery,
        /// When it is sent.
        Send,
    }
}

section! {
    /// How an open is decided: with probability min(`max_probability`, open rate × the factor of every effect), and not at all inside a
    /// circuit breaker's window.
    pub struct EngagementConfig {
        /// The moment by which all factors are taken.
        decided_at: DecidedAt,
        /// The greatest probability of an open, above 0. What is clipped to it is counted.
        max_probability: f64 [0.0 ..= 1.0],
    }
}
