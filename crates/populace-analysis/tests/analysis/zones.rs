//! Time zones: features are of the recipient's week where its zone is known, shares are recovered, and the report shows both clocks.

use crate::support::Run;
use arrow_array::Array;
use populace_analysis::families::{self, compute_features, recover};
use populace_analysis::features::{self, Curve};
use populace_analysis::report;
use populace_analysis::watch::Watch;

const ON: (&str, &str) = ("timezones", "{zones: {America/New_York: 0.3, Asia/Kolkata: 0.2, Europe/Berlin: 0.5}, known_share: 0.8}");

#[test]
fn shares_of_zones_are_recovered() {
    let mut held = [0; 3];
    for seed in 0..6 {
        let run = Run::new("email", seed, &[ON, ("population.users", "350"), ("window.days", "30")]);
        let source = run.source();
        let recovery = recover(&source, &source.scenario().unwrap(), 0.95, &Watch::none(2)).unwrap();
        let names = ["timezones.known_share", "timezones.zones.Asia/Kolkata (share)", "sends.night_weight"];
        for (held, name) in held.iter_mut().zip(names) {
            let estimate = recovery.estimates.iter().find(|estimate| estimate.parameter == name).unwrap_or_else(|| panic!("no {name}"));
            *held += u32::from(estimate.covered);
        }
    }
    // Of six intervals of 95%, fewer than four hold by chance with probability 2e-3.
    assert!(held.iter().all(|held| *held >= 4), "{held:?}");
}

#[test]
fn features_and_the_report_take_place() {
    let run = Run::new("email", 3, &[ON, ("population.users", "70")]);
    let output = tempfile::tempdir().unwrap();
    let options = features::Options { curve: Curve::Hour, ..features::Options::new(run.path(), output.path()) };
    compute_features(&options, &Watch::none(2)).unwrap();
    let file = std::fs::File::open(output.path().join("features.parquet")).unwrap();
    let batches = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let (mut known, mut all) = (0, 0);
    for batch in batches {
        let batch = batch.unwrap();
        let timezones = batch.column_by_name("timezone").expect("whose clock the week is on");
        known += timezones.len() - timezones.null_count();
        all += timezones.len();
    }
    assert!(all > 60 && (0.6..0.95).contains(&(known as f64 / all as f64)), "{known} of {all}");
    let made = families::report(run.path(), &report::Options::default(), &Watch::none(2)).unwrap();
    let figures: Vec<_> = made.sections.iter().flat_map(|section| &section.figures).collect();
    assert!(figures.iter().any(|figure| figure.id == "time-zones"));
}
