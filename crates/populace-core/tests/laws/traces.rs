//! The laws of `traces`.

use super::support::{config, document};
use populace_core::scenario::Scenario;
use populace_core::traces::{DOCUMENTS, TracesModel};

fn model() -> TracesModel {
    TracesModel::from_config(&config(&document(DOCUMENTS[0].1))).unwrap()
}

#[test]
fn the_default_workflow_has_the_documented_figures() {
    let expected = model().expected();
    let confirmation = model().endpoints().iter().position(|endpoint| endpoint.path == "/api/confirmation").unwrap();
    assert!((expected.mean_length - 7.709).abs() < 5e-4, "{}", expected.mean_length);
    assert!((expected.truncated - 0.028).abs() < 5e-4, "{}", expected.truncated);
    assert!((expected.calls_by_endpoint[confirmation] / expected.sessions - 0.216).abs() < 5e-4);
    assert!((expected.sessions - 3_000.0).abs() < 1e-6);
}
