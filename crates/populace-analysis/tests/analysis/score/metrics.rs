//! Metrics against figures worked out elsewhere.

use populace_analysis::score::Predictor;
use populace_analysis::score::binary::{Binary, Row, bins};
use populace_analysis::score::ranks::Ranked;

fn close(value: f64, expected: f64) {
    assert!((value - expected).abs() < 1e-9, "{value} instead of {expected}");
}

/// Forty rows with ties, one certain and wrong.
fn forty() -> (Vec<f64>, Vec<bool>) {
    let scores = (0..40_u32).map(|row| f64::from((row * 17) % 23) / 23.0).collect();
    let labels = "1010110101010101101010101011010101010111".chars().map(|label| label == '1').collect();
    (scores, labels)
}

#[test]
fn metrics_are_those_of_scikit_learn() {
    // roc_auc_score, average_precision_score, log_loss (clipped at 1e-15), brier_score_loss and precision_recall_curve of version 1.9.1.
    let (scores, labels) = forty();
    let ranked = Ranked::new(&scores, &labels);
    close(ranked.auc().unwrap().value, 0.552_429_667_519_181_7);
    close(ranked.average_precision().unwrap(), 0.666_504_688_615_451_1);
    close(ranked.best_f1().unwrap(), 0.733_333_333_333_333_4);
    close(ranked.recall_at(0.6).unwrap(), 0.478_260_869_565_217_4);
    let mut binary = Binary::new(&[], true);
    for (score, label) in scores.iter().zip(&labels) {
        binary.add(&Row { label: *label, model: *score, ceilings: [0.0; 2] }, "all");
        binary.end_user();
    }
    let columns = binary.columns();
    let model = columns.iter().find(|column| column.predictor == Predictor::Model).unwrap();
    close(model.metrics["log_loss"].value, 1.667_811_951_707_154_3);
    close(model.metrics["brier"].value, 0.312_570_888_468_809_1);
    assert_eq!((binary.contradicted(), binary.n(), binary.positives()), (1, 40, 23));
}

#[test]
fn the_area_under_the_curve_and_its_standard_error_are_worked_by_hand() {
    // Pairs: 3 above 1 and 2, 2 above 1 and equal to 2. Shares below the positives: 1 and 3/4; above the negatives: 1 and 3/4. Each of the
    // two variances is 1/32, and over two of each their sum is 1/32.
    let auc = Ranked::new(&[3.0, 2.0, 1.0, 2.0], &[true, true, false, false]).auc().unwrap();
    close(auc.value, 0.875);
    close(auc.standard_error.unwrap(), (1.0_f64 / 32.0).sqrt());
    assert_eq!(Ranked::new(&[0.0, -0.0], &[true, false]).auc().unwrap().value, 0.5);
    assert!(Ranked::new(&[1.0, 2.0], &[true, true]).auc().is_none());
    assert!(Ranked::new(&[1.0, 2.0], &[false, false]).average_precision().is_none());
}

#[test]
fn bins_hold_equal_scores_together_and_all_rows() {
    let scores = [0.1; 15].into_iter().chain((0..25).map(|row| 0.2 + 0.02 * f64::from(row))).collect::<Vec<_>>();
    let labels: Vec<bool> = (0..40).map(|row| row % 4 == 0).collect();
    let bins = bins(&scores, &labels);
    assert_eq!(bins.iter().map(|bin| bin.n).sum::<u64>(), 40);
    assert!(bins.len() <= 10 && bins.windows(2).all(|pair| pair[0].high < pair[1].low));
    // Fifteen rows of probability 0.1, of which rows 0, 4, 8 and 12 are positive.
    assert_eq!(bins[0].n, 15);
    close(bins[0].predicted, 0.1);
    close(bins[0].observed, 4.0 / 15.0);
    close(bins[0].standard_error, (0.09_f64 / 15.0).sqrt());
}
