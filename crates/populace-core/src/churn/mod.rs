#![doc = include_str!("guide.md")]

mod actor;
mod config;
pub mod laws;
mod model;
mod rows;

pub use config::{
    ActivityConfig, BillingConfig, BillingMode, ChurnConfig, DelayConfig, DepartureConfig, EngagementConfig, EnrolConfig, EventIds,
    LinearMean, LinearProbability, MeasureConfig, QuizConfig, SessionsConfig, SignupConfig, TicketsConfig, VideoConfig,
};
pub use model::{ChurnModel, Hazard};
pub use rows::{Action, Event, EventType, IDS_PER_USER, Row, Truth, User};

/// The built-in documents, by name.
pub const DOCUMENTS: &[(&str, &str)] = &[("churn", include_str!("churn.yaml"))];
