//! What the services are made of.

use super::limits::{Limits, Rates};
use super::metrics::{Gauges, Metrics};
use super::reply::Probe;
use super::share::Share;
use super::{Access, WebhookKeys};
use crate::connector::Connector;
use crate::error::FlowError;
use populace_core::time::Instant;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What removes a person from one place, given all ids, and says how many rows that were.
pub type Eraser = Box<dyn Fn(&[String]) -> Result<u64, FlowError> + Send + Sync>;

/// What computes features of recipients from their events, keeps them, and gives those of one.
pub trait Features: Send + Sync {
    /// Computes the features of all recipients anew, as of a moment or of the last event, and says what that was; none if there are no
    /// events yet.
    ///
    /// # Errors
    /// The events are not to be read, or nothing can be computed as of that moment.
    fn compute(&self, as_of: Option<Instant>) -> Result<Option<Value>, FlowError>;

    /// Removes the features of a person, given all ids the person has had, and says how many rows that were.
    ///
    /// # Errors
    /// They are not to be read or written.
    fn erase(&self, universal_ids: &[String]) -> Result<u64, FlowError>;

    /// The features of a person under the id of now, computed from the events under all ids the person has had, as of the last event there
    /// is; none if there are no such events.
    ///
    /// # Errors
    /// The events are not to be read.
    fn compute_one(&self, universal_id: &str, universal_ids: &[String]) -> Result<Option<Value>, FlowError>;

    /// The features of a person, as last computed.
    ///
    /// # Errors
    /// They are not to be read.
    fn of(&self, universal_id: &str) -> Result<Option<Value>, FlowError>;
}

/// Where features come from.
pub type FeatureSource = Arc<dyn Features>;

/// What the services are made of.
pub struct Services {
    /// The way from requests to the log.
    pub connector: Connector,
    /// Who may do what.
    pub access: Access,
    /// The keys of the providers' webhooks.
    pub webhooks: WebhookKeys,
    /// Names under which a tunnel brings webhooks to a service that no token guards.
    pub hosts: Vec<String>,
    /// What a client may ask for.
    pub limits: Limits,
    /// What is reported of the other parts at `/metrics` and `/ready`.
    pub gauges: Gauges,
    /// Where features come from; none: the feature service says that it has no events.
    pub features: Option<FeatureSource>,
    /// Where events of a person are, by name.
    pub erasers: Vec<(String, Eraser)>,
    /// Where events of a person stay after an erasure, and what becomes of them, by name.
    pub kept: BTreeMap<String, String>,
}

/// The services with what they count and what their clients share.
pub(super) struct App {
    pub(super) services: Services,
    /// Of tokens, and of addresses: what those without a token ask takes nothing from those with one.
    pub(super) rates: [Rates; 2],
    pub(super) in_flight: Arc<Share>,
    pub(super) bodies: Arc<Share>,
    pub(super) metrics: Metrics,
    /// Answers that cost a question, worked out once for all who ask meanwhile.
    pub(super) ready: Probe,
    pub(super) figures: Probe,
}

impl App {
    pub(super) fn new(services: Services) -> Arc<Self> {
        let limits = &services.limits;
        Arc::new(Self {
            rates: [Rates::new(limits.requests_a_second), Rates::new(limits.requests_a_second)],
            in_flight: Share::of(limits.in_flight),
            bodies: Share::of(limits.bodies_bytes),
            metrics: Metrics::default(),
            ready: Probe::default(),
            figures: Probe::default(),
            services,
        })
    }
}
