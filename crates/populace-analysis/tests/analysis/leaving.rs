//! Unsubscribes and complaints: what reads data back knows them.

use crate::support::{Run, answer, document};
use arrow_array::Array;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use populace_analysis::families::{self, compute_features, recover};
use populace_analysis::features::{self, Curve};
use populace_analysis::report;
use populace_analysis::source::{As, Columns, Want};
use populace_analysis::watch::Watch;
use populace_core::email::EmailModel;
use populace_core::scenario::Scenario as _;
use std::collections::BTreeMap;
use std::fs::File;

/// Rates at which a thousand recipients show what a million would.
const SECTION: &str = "{unsubscribe: 0.012, complaint: 0.006, slope: 0.25, tolerated: 5, max_factor: 2.5, transactional: 0.2}";

#[test]
fn sound_data_passes_the_answer_key() {
    let sound = |seed: u64, set: &[(&str, &str)]| {
        let failures: Vec<String> = answer(set, seed, set).failures().map(ToString::to_string).collect();
        assert!(failures.is_empty(), "seed {seed} {set:?}: {}", failures.join("\n"));
    };
    for seed in 1..=2 {
        sound(seed, &[("leaving", SECTION)]);
        sound(seed, &[("leaving", "{}"), ("population.users", "1050")]);
    }
    for users in ["1", "7"] {
        sound(3, &[("leaving", SECTION), ("population.users", users)]);
    }
    sound(4, &[("leaving", SECTION), ("machine_opens", "{}"), ("timezone", "UTC+05:30"), ("sends.per_day", "3")]);
    sound(5, &[("leaving", SECTION), ("leaving.ignore_opt_out", "true")]);
    sound(6, &[("leaving", SECTION), ("circuit_breakers.suppress_sends", "true")]);
}

#[test]
fn constants_that_are_moved_are_caught() {
    const STOPPED: &str = "nothing is sent once an unsubscribe or a complaint takes effect: it is dropped, and nothing before";
    const ALL: &str = "unsubscribes and complaints";
    let moved = [
        ("unsubscribe", "0.0144", ALL),
        ("complaint", "0.0078", ALL),
        ("slope", "0.5", ALL),
        ("days", "4", ALL),
        ("transactional", "0.5", "unsubscribes by campaign"),
        ("after_open_median_seconds", "60", "waits from an open to an unsubscribe or a complaint"),
        ("after_delivery_median_hours", "8", "waits from a delivery without an open"),
        ("effective_after_hours", "19", STOPPED),
        ("effective_after_hours", "29", STOPPED),
        ("ignore_opt_out", "true", STOPPED),
    ];
    let own = [("leaving", SECTION), ("population.users", "2800"), ("sends.per_day", "1.2"), ("leaving.days", "7")];
    for (key, value, check) in moved {
        let path = format!("leaving.{key}");
        let found = answer(&[&own[..], &[(&path, value)]].concat(), 7, &own);
        let names: Vec<&str> = found.failures().map(|failure| failure.name.as_str()).collect();
        assert!(names.contains(&check), "{key} {value}: {names:?}");
    }
}

#[test]
fn what_makes_recipients_leave_is_recovered() {
    let names = [
        "unsubscribe",
        "slope",
        "transactional",
        "complaint",
        "after_open_median_seconds",
        "after_delivery_median_hours",
        "after_open_sigma",
    ];
    let mut held: BTreeMap<&str, u32> = BTreeMap::new();
    let set = [("leaving", SECTION), ("population.users", "1400"), ("sends.per_day", "1.2")];
    for seed in 0..6 {
        let run = Run::new("email", seed, &set);
        let recovery = recover(&run.source(), &document("email", &set), 0.95, &Watch::none(2)).unwrap();
        for name in names {
            let path = format!("leaving.{name}");
            let estimate = recovery.estimates.iter().find(|estimate| estimate.parameter == path);
            *held.entry(name).or_default() += u32::from(estimate.unwrap_or_else(|| panic!("{path} is not estimated")).covered);
        }
        for name in ["sends.per_day", "delivery.probability"] {
            let estimate = recovery.estimates.iter().find(|estimate| estimate.parameter == name).unwrap();
            *held.entry(name).or_default() += u32::from(estimate.covered);
        }
    }
    // Of six intervals of 95%, fewer than four hold by chance with probability 2e-3.
    assert!(held.values().all(|held| *held >= 4), "{held:?}");
}

#[test]
fn a_report_shows_who_leaves() {
    let run = Run::new("email", 3, &[("leaving", SECTION)]);
    let made = families::report(run.path(), &report::Options::default(), &Watch::none(2)).unwrap();
    let figures: Vec<_> = made.sections.iter().flat_map(|section| &section.figures).collect();
    for id in ["unsubscribes", "survivors"] {
        let figure = figures.iter().find(|figure| figure.id == id).unwrap_or_else(|| panic!("there is no figure {id}"));
        assert!(!figure.caption.contains("do not agree"), "{}", figure.caption);
    }
    let sent = made.facts.iter().find(|fact| fact.name == "messages sent").unwrap();
    let due = Run::new("email", 3, &[]);
    let all = families::report(due.path(), &report::Options::default(), &Watch::none(2)).unwrap();
    let due = all.facts.iter().find(|fact| fact.name == "messages sent").unwrap();
    assert!(sent.value < 0.9 * due.value, "{} of {}", sent.value, due.value);
}

/// Who is opted out at a moment, and what features count.
#[test]
fn features_know_who_has_opted_out_and_count_nothing_that_was_dropped() {
    let run = Run::new("email", 3, &[("leaving", SECTION), ("population.users", "140")]);
    let wants = [Want::new("recipient_id", As::Text), Want::new("event_type", As::Text), Want::new("timestamp", As::Instant)];
    let end = run.source().model::<EmailModel>().unwrap().window().end().0;
    let (mut left, mut hot): (BTreeMap<String, i64>, BTreeMap<String, i64>) = Default::default();
    for batch in run.source().table("events").unwrap().read(&wants).unwrap() {
        let batch = batch.unwrap();
        let (ids, types, times) = (batch.text("recipient_id"), batch.text("event_type"), batch.instant("timestamp"));
        for row in 0..batch.num_rows() {
            let (id, time) = (ids.value(row).to_owned(), times.value(row));
            match types.value(row) {
                // Features are as of the window's end.
                _ if time > end => {}
                "unsubscribed" | "spam_reported" => {
                    let first = left.entry(id).or_insert(time);
                    *first = time.min(*first);
                }
                "site_visit" | "sms_click" | "product_view" => {
                    hot.insert(id, time);
                }
                _ => {}
            }
        }
    }
    assert!(left.len() > 30);
    let output = tempfile::tempdir().unwrap();
    let options = features::Options { curve: Curve::None, ..features::Options::new(run.path(), output.path()) };
    compute_features(&options, &Watch::none(2)).unwrap();
    let file = File::open(output.path().join("features.parquet")).unwrap();
    let mut rows = 0;
    for batch in ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap() {
        let batch = batch.unwrap();
        rows += batch.num_rows();
        let column = |name: &str| batch.column_by_name(name).unwrap_or_else(|| panic!("there is no column {name}"));
        let ids = column("recipient_id").as_any().downcast_ref::<arrow_array::StringArray>().unwrap();
        let out = column("opted_out").as_any().downcast_ref::<arrow_array::BooleanArray>().unwrap();
        let moment = |name: &str| column(name).as_any().downcast_ref::<arrow_array::TimestampMicrosecondArray>().unwrap().clone();
        let (at, last_hot) = (moment("opted_out_at"), moment("last_hot_path_at"));
        for row in 0..batch.num_rows() {
            let known = left.get(ids.value(row)).copied();
            assert_eq!((out.value(row), at.is_valid(row).then(|| at.value(row))), (known.is_some(), known));
            assert_eq!(last_hot.is_valid(row).then(|| last_hot.value(row)), hot.get(ids.value(row)).copied());
        }
    }
    assert_eq!(rows, 140);
}
