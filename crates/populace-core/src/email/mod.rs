#![doc = include_str!("guide.md")]

mod actor;
mod attention;
mod check;
mod config;
pub mod laws;
mod model;
mod rows;
mod volumes;

pub use config::{
    AttentionConfig, BreakerConfig, BreakerKind, BreakersConfig, CampaignConfig, CampaignType, DecidedAt, DelaysConfig, DeliveryConfig,
    DriftConfig, EmailConfig, EngagementConfig, FatigueConfig, HotPathConfig, HotPathKind, HotPathsConfig, LatencyBatchConfig,
    LatencyConfig, LatencyTopConfig, LatencyWeekendConfig, LognormalLatency, MinuteConfig, OpenDelayLaw, PersonaConfig, SendsConfig, Span,
    TimingConfig, TriggerConfig, UniformLatency, Weekday,
};
pub use model::{CampaignInfo, EmailModel, TimingRow};
pub use rows::{Client, Delivery, DroppedReason, Event, EventType, MessageTruth, Truth, UserRateTruth, UserTruth, Uuid};

/// The built-in documents, by name.
pub const DOCUMENTS: &[(&str, &str)] = &[("email", include_str!("email.yaml")), ("email-v1", include_str!("email-v1.yaml"))];
