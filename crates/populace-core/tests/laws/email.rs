//! The laws of `email` and `email-v1`.

mod attempts;
mod blasts;
mod contract;
mod documents;
mod engagement;
mod experiments;
mod laws;
mod leaving;
mod machine;
mod mixture;
mod mutants;
mod oracle;
mod people;
mod policies;
mod samples;
mod scanner;
mod seasons;
mod together;
mod truths;
mod zoned_policies;
mod zones;

use crate::support::{config, document};
use populace_core::email::{DOCUMENTS, EmailConfig, EmailModel};
use populace_core::scenario::Scenario;
use serde_json::Value;

/// A built-in document.
fn built_in(name: &str) -> Value {
    document(DOCUMENTS.iter().find(|(known, _)| *known == name).expect("a built-in document").1)
}

fn email() -> Value {
    built_in("email")
}

fn email_v1() -> Value {
    built_in("email-v1")
}

/// The model of a document that must be sound.
fn model(document: &Value) -> EmailModel {
    EmailModel::from_config(&config::<EmailConfig>(document)).unwrap_or_else(|error| panic!("{error}"))
}
