//! The world as a message meets it: what an effect may depend on.

use super::calendar::MILLISECOND;
use crate::dist::UniformF64;
use crate::scenario::Checker;
use crate::time::{Instant, MINUTE};
use serde::{Deserialize, Serialize};

/// The circumstances of a message at the moment by which its open is decided. The simulation fills them from its draws, analysis from
/// the events; of a message that was not delivered they are those of the delivery it would have had.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Circumstances {
    /// Whose it is: an index into the personas.
    pub persona: u8,
    /// The moment on the recipients' clock.
    pub clock: Instant,
    /// The user's sends before this one, as far as [`Effects::looks_back`](super::Effects::looks_back).
    pub recent_sends: u32,
    /// Minutes from the latest hot path, if within the window that hot paths have.
    pub since_interest: Option<f64>,
    /// Whether inside a circuit breaker's window.
    pub suppressed: bool,
}

/// A uniform range [low, high).
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Span {
    /// Lower end; at least 0.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0)))]
    pub low: f64,
    /// Upper end; at least `low`.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0)))]
    pub high: f64,
}

impl Span {
    /// The uniform distribution on it.
    pub(super) fn uniform(self, path: &str, checker: &mut Checker) -> Option<UniformF64> {
        checker.require(self.low >= 0.0, format!("{path}.low"), || format!("must be at least 0, got {}", self.low));
        checker.take(path, UniformF64::new(self.low, self.high))
    }
}

/// Microseconds of `minutes`, to the millisecond.
#[inline]
pub(super) fn from_minutes(minutes: f64) -> i64 {
    nearest(minutes * (MINUTE / MILLISECOND) as f64) * MILLISECOND
}

/// The integer nearest to a value of at least 0: without a call, which `f64::round` is on the plainest of processors.
#[inline]
pub(super) fn nearest(value: f64) -> i64 {
    (value + 0.5) as i64
}
