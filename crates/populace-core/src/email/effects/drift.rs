//! Drift: the rates of a user wander from month to month.

use crate::dist::UniformF64;
use crate::scenario::Checker;
use crate::section::section;

section! {
    /// At each month's first instant after the start, both rates of a user are multiplied by independent U(1 − a, 1 + a). The month of
    /// delivery sets the rate.
    pub struct DriftConfig {
        /// a.
        amplitude: f64 [0.0 ..= 0.5],
    }
}

impl DriftConfig {
    /// The factor of a month.
    pub(in super::super) fn step(&self, checker: &mut Checker) -> Option<UniformF64> {
        checker.take("drift.amplitude", UniformF64::new(1.0 - self.amplitude, 1.0 + self.amplitude))
    }
}
