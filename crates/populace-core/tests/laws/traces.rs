//! The laws of `traces`.

mod calls;
mod cascades;
mod contract;
mod documents;
mod laws;
mod mutants;
mod samples;

use crate::support::{config, document, with};
use populace_core::scenario::Scenario;
use populace_core::traces::{DOCUMENTS, TracesConfig, TracesModel, WORKFLOWS};
use serde_json::Value;

/// The built-in document.
fn traces() -> Value {
    document(DOCUMENTS[0].1)
}

/// The built-in document with cascades in three sessions of ten, so that there is something to see of them.
fn with_cascades() -> Value {
    with(&traces(), "/cascade_failure_rate", 0.3)
}

/// A built-in workflow by its name.
fn workflow(name: &str) -> Value {
    let (_, yaml) = WORKFLOWS.iter().find(|(own, _)| *own == name).unwrap_or_else(|| panic!("no workflow {name}"));
    serde_saphyr::from_str(yaml).expect("a built-in workflow is valid YAML")
}

/// The model of a document that must be sound.
fn model(document: &Value) -> TracesModel {
    TracesModel::from_config(&config::<TracesConfig>(document)).unwrap_or_else(|error| panic!("{error}"))
}
