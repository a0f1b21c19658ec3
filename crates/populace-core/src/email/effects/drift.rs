//! Drift: the rates of a user wander from month to month.

use crate::dist::UniformF64;
use crate::scenario::Checker;
use serde::{Deserialize, Serialize};

/// At each month's first instant after the start, both rates of a user are multiplied by independent U(1 − a, 1 + a). The month of
/// delivery sets the rate.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DriftConfig {
    /// a, 0 to 0.5.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 0.5)))]
    pub amplitude: f64,
}

impl DriftConfig {
    /// The factor of a month.
    pub(in super::super) fn step(&self, checker: &mut Checker) -> Option<UniformF64> {
        checker.range("drift.amplitude", self.amplitude, 0.0, 0.5);
        checker.take("drift.amplitude", UniformF64::new(1.0 - self.amplitude, 1.0 + self.amplitude))
    }
}
