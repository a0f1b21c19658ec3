//! What a data set can teach at its size: reference estimators run on the data files give, for each parameter of the truth, an estimate,
//! an interval, and whether the interval holds the truth.
//!
//! The estimators see what a user sees. Two things are taken from the simulator's side: the truths that estimates stand beside, and who
//! belongs together where data cannot tell (the persona of a recipient, by the slot of its id; whether a subscriber churned, from
//! `truth/users`).

pub(crate) mod linear;
pub(crate) mod loglinear;
pub(crate) mod numbers;
pub(crate) mod sheet;
pub mod text;

pub(crate) use sheet::Sheet;
pub use sheet::{Basis, Estimate, NotEstimated, Scale};

use crate::error::AnalysisError;
use crate::stage::write_whole;
use populace_io::document::Resolved;
use populace_io::wording::option;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// The name of the file that a recovery is written to.
pub const FILE: &str = "recover.json";
/// The level of the intervals unless another is asked for.
pub const DEFAULT_LEVEL: f64 = 0.95;

/// What a data set teaches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recovery {
    /// The scenario's name.
    pub scenario: String,
    /// Its family: `churn`, `email` or `traces`.
    pub family: String,
    /// The level of the intervals, such as 0.95.
    pub level: f64,
    /// What the estimates rest on, by name: users, messages, …
    pub size: BTreeMap<String, u64>,
    /// The parameters that the data tells.
    pub estimates: Vec<Estimate>,
    /// Share of the estimates whose interval holds the truth.
    pub coverage: f64,
    /// The parameters that the data does not tell, and why.
    pub not_estimated: Vec<NotEstimated>,
    /// What was left out or taken from elsewhere.
    pub notes: Vec<String>,
}

impl Recovery {
    /// The estimate of a parameter.
    pub fn estimate(&self, parameter: &str) -> Option<&Estimate> {
        self.estimates.iter().find(|estimate| estimate.parameter == parameter)
    }

    /// As JSON.
    ///
    /// # Panics
    /// Never: numbers and text can be written.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("numbers and text are JSON")
    }

    /// Writes it as JSON, under another name until it is whole.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), AnalysisError> {
        write_whole(
            path,
            &(self.to_json()
                + "
"),
        )
    }
}

impl Sheet {
    /// An empty sheet with intervals of `level`.
    ///
    /// # Errors
    /// It does not lie within 0 and 1, both excluded.
    pub(crate) fn checked(level: f64) -> Result<Self, AnalysisError> {
        if level > 0.0 && level < 1.0 {
            return Ok(Self::new(level));
        }
        Err(AnalysisError::input(format!("{}: must be above 0 and below 1, such as 0.95, got {level}", option("level"))))
    }

    /// What was estimated of a document, from so much of what.
    pub(crate) fn finish(self, document: &Resolved, size: BTreeMap<String, u64>) -> Recovery {
        let Self { level, estimates, not_estimated, notes } = self;
        let covered = estimates.iter().filter(|estimate| estimate.covered).count();
        Recovery {
            scenario: document.name.clone(),
            family: document.family.clone(),
            level,
            size,
            coverage: covered as f64 / estimates.len().max(1) as f64,
            estimates,
            not_estimated,
            notes,
        }
    }
}
