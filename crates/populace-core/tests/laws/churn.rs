//! The laws of `churn`.

use crate::support::*;
use populace_core::churn::{ChurnConfig, ChurnModel, DOCUMENTS, Row, laws};
use populace_core::scenario::Scenario;

#[test]
fn the_default_document_has_the_size_and_the_churn_that_the_guide_names() {
    let config: ChurnConfig = config(&document(DOCUMENTS[0].1));
    let model = ChurnModel::from_config(&config).unwrap();
    let expected = model.expectation();
    assert!((expected.any.churn - 0.3149).abs() < 5e-5, "{expected:?}");
    assert!((expected.events() * 2_000.0 - 481_000.0).abs() < 500.0, "{}", expected.events() * 2_000.0);

    let data = collect(&model, 42, 0..2_000);
    let events = data.rows.iter().filter(|(_, row)| matches!(row, Row::Event(_))).count();
    let churned = data.truths.iter().filter(|(_, truth)| truth.churned).count();
    // 6,000 events and 4 standard errors of a share over 2,000.
    assert!((events as f64 - 481_000.0).abs() < 6_000.0, "{events}");
    assert!((churned as f64 / 2_000.0 - 0.3149).abs() < 0.042, "{churned}");
    assert!((laws::base_for_target(&config, expected.any.churn).unwrap() - 0.35).abs() < 1e-12);
}
