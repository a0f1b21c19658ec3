//! Opens by machines: features leave them out, their parameters are recovered, and the report shows them by themselves.

use crate::support::Run;
use populace_analysis::families::{self, compute_features, recover};
use populace_analysis::features::{self, Curve, Report};
use populace_analysis::report;
use populace_analysis::source::{As, Columns, Want};
use populace_analysis::watch::Watch;
use std::fs;

const ON: (&str, &str) = ("machine_opens", "{}");

/// Opened rows, and those by clients that open ahead.
fn opened(run: &Run) -> [u64; 2] {
    let wants = [Want::new("event_type", As::Text), Want::nullable("user_agent", As::Text)];
    let mut counts = [0; 2];
    for batch in run.source().table("events").unwrap().read(&wants).unwrap() {
        let batch = batch.unwrap();
        let (types, agents) = (batch.text("event_type"), batch.text("user_agent"));
        for row in (0..batch.num_rows()).filter(|row| types.value(*row) == "opened") {
            counts[0] += 1;
            counts[1] += u64::from(agents.value(row) == "Mozilla/5.0");
        }
    }
    counts
}

fn suspected(run: &Run, include: bool) -> u64 {
    let output = tempfile::tempdir().unwrap();
    let options = features::Options { curve: Curve::None, include_suspected: include, ..features::Options::new(run.path(), output.path()) };
    let Report::Email(report) = compute_features(&options, &Watch::none(2)).unwrap() else { panic!("a run of email") };
    report.suspected
}

#[test]
fn features_leave_out_what_machines_opened_and_say_so() {
    let run = Run::new("email", 3, &[ON, ("population.users", "70")]);
    let machines = opened(&run)[1];
    assert!(machines > 1_000, "{machines}");
    assert_eq!([suspected(&run, false), suspected(&run, true)], [machines, 0]);
    // By itself, without what the run says of itself, a file has the marks of the providers that mark.
    for name in ["manifest.json", "scenario.yaml"] {
        fs::remove_file(run.path().join(name)).unwrap();
    }
    let marked = suspected(&run, false);
    assert!(marked > 0 && marked < machines / 2, "{marked} of {machines}");
    assert_eq!(suspected(&run, true), 0);
}

#[test]
fn shares_are_recovered_and_what_cannot_be_is_said() {
    let mut held = [0; 2];
    for seed in 0..10 {
        let run = Run::new("email", seed, &[ON, ("population.users", "700")]);
        let source = run.source();
        let recovery = recover(&source, &source.scenario().unwrap(), 0.95, &Watch::none(2)).unwrap();
        for (held, name) in held.iter_mut().zip(["machine_opens.user_share", "machine_opens.probability"]) {
            let estimate = recovery.estimates.iter().find(|estimate| estimate.parameter == name).unwrap();
            *held += u32::from(estimate.covered);
        }
        assert!(recovery.not_estimated.iter().any(|other| other.parameter == "machine_opens.soon_share"));
    }
    // Of ten intervals of 95%, fewer than seven hold by chance with probability 1e-4.
    assert!(held.iter().all(|held| *held >= 7), "{held:?}");
}

#[test]
fn a_report_shows_machines_by_themselves() {
    let run = Run::new("email", 3, &[ON, ("population.users", "350")]);
    let [all, machines] = opened(&run);
    let made = families::report(run.path(), &report::Options::default(), &Watch::none(2)).unwrap();
    let figures: Vec<_> = made.sections.iter().flat_map(|section| &section.figures).collect();
    let figure = figures.iter().find(|figure| figure.id == "machine-opens").expect("there is a figure of machines");
    let share = format!("{:.1}% of the opens", 100.0 * machines as f64 / all as f64);
    assert!(figure.caption.starts_with(&share), "{} is not {share}", figure.caption);
    assert!(made.notes.iter().any(|note| note.contains("open messages ahead")), "{:?}", made.notes);
}
