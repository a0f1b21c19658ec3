//! Whether a message arrives, and how long it takes.

mod latency;

pub use latency::{
    Cell, LATENCY_PARTS, LatencyBatchConfig, LatencyConfig, LatencyTopConfig, LatencyWeekendConfig, LognormalLatency, UniformLatency,
};
pub(super) use latency::{Latency, MAX_LATENCY};

use crate::section::section;

section! {
    /// Whether a message arrives. One that does not leaves no trace but its `sent`.
    pub struct DeliveryConfig {
        /// P(delivered | sent).
        probability: f64 [0.0 ..= 1.0],
    }
}
