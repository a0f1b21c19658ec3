//! The world as a message meets it: what an effect may depend on.

use super::calendar::MILLISECOND;
use super::experiments::Exposed;
use super::people::Person;
use crate::dist::UniformF64;
use crate::scenario::Checker;
use crate::section::section;
use crate::time::{Instant, MINUTE};

/// The circumstances of a message at the moment by which its open is decided. The simulation fills them from its draws, analysis from
/// the events; of a message that was not delivered they are those of the delivery it would have had.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Circumstances {
    /// Whose it is.
    pub person: Person,
    /// The moment on the recipients' clock.
    pub clock: Instant,
    /// Minutes that this clock is ahead of UTC.
    pub ahead: i16,
    /// The user's sends before this one, as far as [`Effects::looks_back`](super::Effects::looks_back).
    pub recent_sends: u32,
    /// Minutes from the latest hot path, if within the window that hot paths have.
    pub since_interest: Option<f64>,
    /// Whether inside a circuit breaker's window.
    pub suppressed: bool,
    /// The variants of experiments that it has.
    pub exposed: Exposed,
}

section! {
    /// A uniform range [low, high).
    #[derive(Copy)]
    pub struct Span {
        /// Lower end.
        low: f64 [0.0 ..],
        /// Upper end; at least `low`.
        high: f64 [0.0 ..],
    }
}

impl Span {
    /// The uniform distribution on it.
    pub(super) fn uniform(self, path: &str, checker: &mut Checker) -> Option<UniformF64> {
        checker.take(path, UniformF64::new(self.low, self.high))
    }
}

/// Checks that a number whose range begins with 0 is not 0.
pub(super) fn above_0(path: &str, value: f64, checker: &mut Checker) {
    checker.require(value != 0.0, path, || "must be above 0".to_owned());
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
