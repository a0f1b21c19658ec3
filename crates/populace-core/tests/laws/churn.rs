//! The laws of `churn`.

mod contract;
mod documents;
mod laws;
mod mutants;
mod samples;

use crate::support::{config, document};
use populace_core::churn::{ChurnConfig, ChurnModel, DOCUMENTS};
use populace_core::scenario::Scenario;
use serde_json::Value;

/// The built-in document.
fn churn() -> Value {
    document(DOCUMENTS[0].1)
}

/// The model of a document that must be sound.
fn model(document: &Value) -> ChurnModel {
    ChurnModel::from_config(&config::<ChurnConfig>(document)).unwrap_or_else(|error| panic!("{error}"))
}
