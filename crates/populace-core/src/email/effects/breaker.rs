//! Circuit breakers: events after which a user does not engage.

use super::super::events::{EventType, Group};
use super::occasion::{Happening, Names, Occasion};
use crate::scenario::Checker;
use crate::section::{choice, section};
use crate::time::HOUR;
use std::collections::BTreeMap;

/// Id and name of the campaign of circuit breakers.
pub(super) const CAMPAIGN: (&str, &str) = ("circuit_breaker", "Circuit breaker");

section! {
    /// Events after which a user does not engage: at most one a user and day.
    pub struct BreakersConfig {
        /// Probability of one on a user's day.
        probability: f64 [0.0 ..= 1.0],
        /// Whether sends stop too while a window is open. If not, they go on without an effect, so that "do not send" can be learned.
        suppress_sends: bool,
        /// What happens.
        kinds: BTreeMap<BreakerKind, BreakerConfig>,
    }
}

choice! {
    /// What a circuit breaker is.
    pub enum BreakerKind {
        /// A ticket at the help desk.
        SupportTicket,
        /// A complaint about mail.
        Complaint,
        /// A wish to get no more mail.
        UnsubscribeRequest,
    }
}

section! {
    /// One kind of circuit breaker.
    pub struct BreakerConfig {
        /// How often it is this kind, over the sum of the weights.
        weight: f64 [0.0 ..],
        /// How long the user does not engage, hours. Where windows overlap, the later end holds.
        hours: u32 [1 ..= 8_760],
        /// The `source` of the row.
        source: String,
    }
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
