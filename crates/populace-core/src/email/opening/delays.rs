//! Truncated exponential delays, from delivery to open and from open to click.

use crate::dist::TruncatedExponential;
use crate::scenario::Checker;
use crate::stream::Source;
use serde::{Deserialize, Serialize};

/// A shifted, truncated exponential, in minutes.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DelaysConfig {
    /// The least delay, minutes, 0 to 1,440.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 1_440.0)))]
    pub min_minutes: f64,
    /// Mean beyond the least, before truncation, minutes; 1 to 10,080.
    #[cfg_attr(feature = "schema", schemars(range(min = 1.0, max = 10_080.0)))]
    pub mean_minutes: f64,
    /// The greatest delay, minutes; above `min_minutes`, at most 10,080.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 10_080.0)))]
    pub max_minutes: f64,
}

impl DelaysConfig {
    /// Checks the section `name`, whose range is at least `least_span` minutes.
    pub(in super::super) fn check(&self, name: &str, least_span: f64, checker: &mut Checker) {
        checker.range(format!("{name}.min_minutes"), self.min_minutes, 0.0, 1_440.0);
        checker.range(format!("{name}.mean_minutes"), self.mean_minutes, 1.0, 10_080.0);
        checker.range(format!("{name}.max_minutes"), self.max_minutes, 0.0, 10_080.0);
        let least = self.min_minutes + least_span;
        checker.require(self.max_minutes >= least, format!("{name}.max_minutes"), || {
            format!("must be at least {least}: `min_minutes` and {least_span} more, got {}", self.max_minutes)
        });
    }
}

/// Minutes from open to click.
#[derive(Clone, Debug)]
pub(in super::super) struct ClickDelay {
    least: f64,
    beyond: TruncatedExponential,
}

impl ClickDelay {
    /// The delay of a section `click_delays`.
    pub(in super::super) fn new(config: &DelaysConfig, checker: &mut Checker) -> Option<Self> {
        let law = TruncatedExponential::new(config.mean_minutes, config.max_minutes - config.min_minutes);
        Some(Self { least: config.min_minutes, beyond: checker.take("click_delays", law)? })
    }

    #[inline]
    pub(in super::super) fn sample(&self, source: &mut impl Source) -> f64 {
        self.least + self.beyond.sample(source)
    }
}
