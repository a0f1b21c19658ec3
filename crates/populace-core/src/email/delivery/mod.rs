//! Whether a message arrives, and how long it takes.

mod latency;

pub use latency::{
    Cell, LATENCY_PARTS, LatencyBatchConfig, LatencyConfig, LatencyTopConfig, LatencyWeekendConfig, LognormalLatency, UniformLatency,
};
pub(super) use latency::{Latency, MAX_LATENCY};

use serde::{Deserialize, Serialize};

/// Whether a message arrives. One that does not leaves no trace but its `sent`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DeliveryConfig {
    /// P(delivered | sent).
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 1.0)))]
    pub probability: f64,
}
