//! Truncated exponential delays, from delivery to open and from open to click.

use crate::dist::TruncatedExponential;
use crate::scenario::Checker;
use crate::section::section;
use crate::stream::Source;

section! {
    /// A shifted, truncated exponential, in minutes.
    pub struct DelaysConfig {
        /// The least delay, minutes.
        min_minutes: f64 [0.0 ..= 1_440.0],
        /// Mean beyond the least, before truncation, minutes.
        mean_minutes: f64 [1.0 ..= 10_080.0],
        /// The greatest delay, minutes; above `min_minutes`.
        max_minutes: f64 [0.0 ..= 10_080.0],
    }
}

impl DelaysConfig {
    /// Checks the section `name`, whose range is at least `least_span` minutes.
    pub(in super::super) fn check(&self, name: &str, least_span: f64, checker: &mut Checker) {
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
