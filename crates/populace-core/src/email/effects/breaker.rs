//! Circuit breakers: events after which a user does not engage.

use super::super::events::{EventType, Group};
use super::occasion::{Happening, Names, Occasion};
use crate::scenario::Checker;
use crate::time::HOUR;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Id and name of the campaign of circuit breakers.
pub(super) const CAMPAIGN: (&str, &str) = ("circuit_breaker", "Circuit breaker");

/// Events after which a user does not engage: at most one a user and day.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BreakersConfig {
    /// Probability of one on a user's day.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 1.0)))]
    pub probability: f64,
    /// Whether sends stop too while a window is open. If not, they go on unheard, so that "do not send" can be learned.
    pub suppress_sends: bool,
    /// What happens.
    pub kinds: BTreeMap<BreakerKind, BreakerConfig>,
}

/// What a circuit breaker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum BreakerKind {
    /// A ticket at the help desk.
    SupportTicket,
    /// A complaint about mail.
    Complaint,
    /// A wish to get no more mail.
    UnsubscribeRequest,
}

/// One kind of circuit breaker.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BreakerConfig {
    /// How often it is this kind, over the sum of the weights; at least 0.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0)))]
    pub weight: f64,
    /// How long the user does not engage, hours, 1 to 8,760. Where windows overlap, the later end holds.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 8_760)))]
    pub hours: u32,
    /// The `source` of the row.
    pub source: String,
}

impl From<BreakerKind> for EventType {
    fn from(kind: BreakerKind) -> Self {
        match kind {
            BreakerKind::SupportTicket => Self::SupportTicket,
            BreakerKind::Complaint => Self::Complaint,
            BreakerKind::UnsubscribeRequest => Self::UnsubscribeRequest,
        }
    }
}

/// Circuit breakers.
#[derive(Clone, Debug)]
pub(in super::super) struct Breaker {
    /// When they happen.
    pub(in super::super) occasion: Occasion,
    /// Whether sends stop too while a window is open.
    pub(in super::super) suppress_sends: bool,
}

impl Breaker {
    pub(in super::super) fn new(config: &BreakersConfig, names: &mut Names, checker: &mut Checker) -> Option<Self> {
        for (kind, breaker) in &config.kinds {
            let path = format!("circuit_breakers.kinds.{}.hours", EventType::from(*kind).name());
            checker.require((1..=8_760).contains(&breaker.hours), path, || format!("must be from 1 to 8760, got {}", breaker.hours));
        }
        let happenings = config.kinds.iter().map(|(kind, breaker)| Happening {
            event_type: (*kind).into(),
            weight: breaker.weight,
            source: names.source(&breaker.source),
            metadata: names.metadata(format!(r#"{{"circuit_breaker":true,"suppression_hours":{}}}"#, breaker.hours)),
            within: i64::from(breaker.hours) * HOUR,
        });
        let happenings = happenings.collect();
        let occasion =
            Occasion::new(("circuit_breakers", "circuit breakers"), Group::Breaker, CAMPAIGN, config.probability, happenings, checker)?;
        Some(Self { occasion, suppress_sends: config.suppress_sends })
    }
}
