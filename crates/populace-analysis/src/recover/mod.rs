//! What a data set can teach at its size: reference estimators run on the data files give, for each parameter of the truth, an estimate,
//! an interval, and whether the interval holds the truth.
//!
//! The estimators see what a user sees. Two things are taken from the simulator's side: the truths that estimates stand beside, and who
//! belongs together where data cannot tell (the persona of a recipient, by the slot of its id; whether a subscriber churned, from
//! `truth/users`).

mod cascade;
mod churn;
mod email;
mod linear;
mod loglinear;
mod numbers;
mod sheet;
pub mod text;
mod traces;

pub(crate) use traces::transition_path;

pub use sheet::{Basis, Estimate, NotEstimated, Scale};

use crate::error::AnalysisError;
use crate::model::Model;
use crate::source::Source;
use crate::stage::write_whole;
use populace_io::document::Resolved;
use serde::{Deserialize, Serialize};
use sheet::Sheet;
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

/// Estimates the parameters of a document from data, with intervals of `level`.
///
/// # Errors
/// `level` does not lie within 0 and 1, both excluded; a table is missing or is not what it should be.
pub fn recover(source: &Source, document: &Resolved, level: f64) -> Result<Recovery, AnalysisError> {
    if !(level > 0.0 && level < 1.0) {
        return Err(AnalysisError::input(format!("--level: must be above 0 and below 1, such as 0.95, got {level}")));
    }
    let model = Model::new(document)?;
    source.refuse_empty(model.family())?;
    let mut sheet = Sheet::new(level);
    let size = match &model {
        Model::Churn(model) => churn::estimate(source, model, &mut sheet)?,
        Model::Email(model) => email::estimate(source, model, &mut sheet)?,
        Model::Traces(model) => traces::estimate(source, model, &mut sheet)?,
    };
    let Sheet { estimates, not_estimated, notes, .. } = sheet;
    let covered = estimates.iter().filter(|estimate| estimate.covered).count();
    Ok(Recovery {
        scenario: document.name.clone(),
        family: model.family().to_owned(),
        level,
        size,
        coverage: covered as f64 / estimates.len().max(1) as f64,
        estimates,
        not_estimated,
        notes,
    })
}
