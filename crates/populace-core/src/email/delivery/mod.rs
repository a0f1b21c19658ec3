//! Whether a message arrives, and how long it takes.

mod latency;

pub use latency::{
    Cell, LATENCY_PARTS, LatencyBatchConfig, LatencyConfig, LatencyTopConfig, LatencyWeekendConfig, LognormalLatency, UniformLatency,
};
pub(super) use latency::{Latency, MAX_LATENCY};

use super::attempts::{Attempts, AttemptsConfig};
use crate::dist::Bernoulli;
use crate::scenario::Checker;
use crate::section::section;
use crate::time::UtcOffset;

section! {
    /// Whether a message arrives: one of two laws.
    pub struct DeliveryConfig {
        /// P(delivered | sent). A message that is not delivered leaves no trace but its `sent`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        probability: Option<f64> [0.0 ..= 1.0],
        /// Attempts, which may be deferred and bounce; `probability` is null then.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        attempts: Option<AttemptsConfig>,
    }
}

impl DeliveryConfig {
    /// Both laws, of which one decides.
    pub(super) fn laws(&self, timezone: UtcOffset, checker: &mut Checker) -> (Option<Bernoulli>, Option<Attempts>) {
        match (self.probability, &self.attempts) {
            (Some(_), Some(_)) => checker.problem(
                "delivery",
                "has two laws, `probability` and `attempts`",
                "write `probability: null` where attempts decide, or leave `attempts` out",
            ),
            (None, None) => checker.problem("delivery", "has no law", "give `probability` or `attempts`"),
            _ => {}
        }
        let delivered = checker.take("delivery.probability", Bernoulli::new(self.probability.unwrap_or(1.0)));
        (delivered, self.attempts.as_ref().and_then(|own| Attempts::new(own, timezone, checker)))
    }
}
