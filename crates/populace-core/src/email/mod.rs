#![doc = include_str!("guide.md")]

mod actor;
mod address;
mod arrivals;
mod attempts;
mod blast;
mod calendar;
mod campaigns;
mod config;
mod decisions;
mod delivery;
mod effects;
mod events;
mod experiments;
mod failures;
mod frame;
pub mod laws;
mod leaving;
mod machine;
mod mailbox;
mod model;
mod opening;
mod people;
mod personas;
mod policy;
mod rows;
mod scanner;
mod volumes;
mod weigh;
mod world;
mod zones;

pub use address::{Address, AddressConfig, FullMailboxesConfig};
pub use arrivals::Outcome;
pub use attempts::{Attempt, Attempts, AttemptsConfig, CausesConfig, ProviderFactorsConfig};
pub use blast::{Blast, BlastClock, BlastConfig, SendMinute};
pub use calendar::{Calendar, HOURS_OF_WEEK, MONDAY, SendsConfig, Weekday, hour_of_week};
pub use campaigns::{CampaignConfig, CampaignInfo, CampaignType};
pub use config::{DecidedAt, EmailConfig, EngagementConfig};
pub use decisions::{
    Arm, BaseConfig, BaseKind, CapsConfig, Decider, Decision, DecisionWindow, ExploreConfig, ExploreUnit, HoldoutConfig, MAX_SLOTS,
    NO_SLOT, NotSent, Planned, PolicyClock, PolicyConfig, QuietHours, Schedule, Slots,
};
pub use delivery::{
    DeliveryConfig, LATENCY_PARTS, LatencyBatchConfig, LatencyConfig, LatencyTopConfig, LatencyWeekendConfig, LognormalLatency,
    UniformLatency,
};
pub use effects::effect::{About, Chart, Effect, Evidence, Grouping, Level, Nodes, Outlook, Points, Value};
pub use effects::occasion::{Happening, Occasion};
pub use effects::timing::TimingConfig;
pub use effects::{EFFECTS, Effects, Factors, INTEREST_FEATURES, Interest, NthConfig, Season, SeasonConfig, SeasonDay, When};
pub use events::{EventNames, EventType, Group};
pub use experiments::{
    Experiment, ExperimentConfig, ExperimentUnit, Experiments, Exposed, Exposure, NoveltyConfig, Variant, VariantEffectConfig,
    VariantWorth, normal_nodes,
};
pub use failures::Reply;
pub use leaving::{Leaving, LeavingConfig, LeftBy};
pub use machine::{MachineOpens, MachineOpensConfig};
pub use mailbox::{Mailbox, MailboxProvider};
pub use model::{EmailModel, TimingRow};
pub use opening::{AttentionConfig, DelaysConfig, OpenComponentConfig, OpenDelayLaw, OpenMixtureConfig};
pub use people::{Habit, PeopleConfig, Person};
pub use personas::{Persona, PersonaConfig};
pub use policy::TriggerConfig;
pub use rows::{
    Agent, AttemptTruth, Client, Delivery, DroppedReason, Event, FullTruth, LeavingTruth, MessageTruth, OutcomeTruth, Truth, UserRateTruth,
    UserTruth, Uuid,
};
pub use scanner::{Scanners, ScannersConfig};
pub use world::{Circumstances, Span};
pub use zones::{Clock, OwnZone, SendClock, TimezonesConfig, Zone, Zones, zone_names};

use crate::plan::Population;
use crate::scenario::{ConfigError, Observer, Scenario};
use crate::stream::{ActorId, StreamKey};
use crate::time::Window;

/// The built-in documents, by name.
pub const DOCUMENTS: &[(&str, &str)] = &[
    ("email", include_str!("email.yaml")),
    ("email-v1", include_str!("email-v1.yaml")),
    ("email-industry", include_str!("email-industry.yaml")),
];

impl Scenario for EmailModel {
    const NAME: &'static str = "email";
    type Config = EmailConfig;
    type Row = Event;
    type Truth = Truth;

    fn from_config(config: &EmailConfig) -> Result<Self, ConfigError> {
        Self::new(config)
    }

    fn population(&self) -> Population {
        let config = self.config();
        let [breakers, interest] = [Group::Breaker, Group::HotPath].map(|group| self.per_day(group));
        let slots: f64 = config.personas.values().map(|persona| f64::from(persona.count)).sum();
        let engaged = config.personas.values().map(|p| f64::from(p.count) * (p.open_rate + p.click_rate)).sum::<f64>() / slots;
        let blasts = self.blasts().iter().map(|blast| blast.share).sum::<f64>() / f64::from(config.window.days);
        let sends = config.sends.per_day * self.mean_volume() + self.triggered_per_day() + blasts;
        let machine = self.machine_opens().map_or(0.0, |machine| machine.rows(1.0, 0.0));
        let failures = self.attempts().map_or(0.0, |law| {
            let outcome = law.mean_outcome();
            outcome.deferrals + outcome.given_up
        });
        let scans: f64 = self.scanners().map_or(0.0, |scanners| scanners.rows(1.0).iter().sum());
        let per_day = sends * (1.0 + failures + self.delivered_share() * (1.0 + engaged + machine + scans)) + interest + breakers;
        Population { actors: config.population.users, rows_per_actor: per_day * f64::from(config.window.days) }
    }

    fn window(&self) -> Window {
        self.window
    }

    fn unsettled(&self) -> i64 {
        zones::furthest(self.zones())
    }

    fn simulate(&self, actor: ActorId, key: StreamKey, out: &mut impl Observer<Event, Truth>) {
        actor::simulate(self, self.person_of(key, actor), actor, key, out);
    }
}

impl EmailModel {
    /// Simulates an actor as one of a persona, whatever slot it takes: every draw stays, and the persona's rates and hours decide.
    ///
    /// # Panics
    /// There is no such persona.
    pub fn simulate_as(&self, persona: usize, actor: ActorId, key: StreamKey, out: &mut impl Observer<Event, Truth>) {
        actor::simulate(self, self.person_as(persona, key, actor), actor, key, out);
    }
}
