//! Clicks by scanners: features leave them out, their parameters are recovered, and the report shows them by themselves.

use crate::support::Run;
use populace_analysis::families::{self, compute_features, recover};
use populace_analysis::features::{self, Curve, Report};
use populace_analysis::report;
use populace_analysis::source::{As, Columns, Want};
use populace_analysis::watch::Watch;

const ON: (&str, &str) = ("scanners", "{user_agents: [scanner one, scanner two]}");

/// Opened and clicked rows of scanners, and the clicked rows of all.
fn rows(run: &Run) -> [u64; 3] {
    let wants = [Want::new("event_type", As::Text), Want::nullable("user_agent", As::Text)];
    let mut counts = [0; 3];
    for batch in run.source().table("events").unwrap().read(&wants).unwrap() {
        let batch = batch.unwrap();
        let (types, agents) = (batch.text("event_type"), batch.text("user_agent"));
        for row in 0..batch.num_rows() {
            let is_scanner = agents.value(row).starts_with("scanner ");
            let is_click = types.value(row) == "clicked";
            counts[0] += u64::from(is_scanner && !is_click);
            counts[1] += u64::from(is_scanner && is_click);
            counts[2] += u64::from(is_click);
        }
    }
    counts
}

#[test]
fn features_leave_out_what_scanners_did_and_are_those_of_a_run_without() {
    let set = [("population.users", "70")];
    let (off, on) = (Run::new("email", 3, &set), Run::new("email", 3, &[ON, set[0]]));
    let computed = |run: &Run, include: bool| {
        let output = tempfile::tempdir().unwrap();
        let options =
            features::Options { curve: Curve::None, include_suspected: include, ..features::Options::new(run.path(), output.path()) };
        let Report::Email(report) = compute_features(&options, &Watch::none(2)).unwrap() else { panic!("a run of email") };
        (report.suspected, std::fs::read(output.path().join("features.parquet")).unwrap())
    };
    let [opened, clicked, _] = rows(&on);
    assert!(opened > 100 && clicked > 1_000, "{opened} {clicked}");
    let (suspected, features) = computed(&on, false);
    assert_eq!(suspected, opened + clicked);
    assert!(features == computed(&off, false).1 && features != computed(&on, true).1);
}

#[test]
fn parameters_are_recovered() {
    const NAMES: [&str; 6] = ["user_share", "probability", "fast_share", "fast_median_seconds", "fast_sigma", "pixel_share"];
    let mut held = [0; NAMES.len()];
    for seed in 0..10 {
        let run = Run::new("email", seed, &[ON, ("population.users", "350"), ("window.days", "60")]);
        let source = run.source();
        let recovery = recover(&source, &source.scenario().unwrap(), 0.95, &Watch::none(2)).unwrap();
        for (held, name) in held.iter_mut().zip(NAMES) {
            let estimate = recovery.estimates.iter().find(|estimate| estimate.parameter == format!("scanners.{name}")).unwrap();
            *held += u32::from(estimate.covered);
        }
    }
    // Of ten intervals of 95%, fewer than seven hold by chance with probability 1e-4.
    assert!(held.iter().all(|held| *held >= 7), "{held:?}");
}

#[test]
fn a_report_shows_scanners_by_themselves() {
    let run = Run::new("email", 3, &[ON, ("population.users", "350")]);
    let [_, scanners, all] = rows(&run);
    let made = families::report(run.path(), &report::Options::default(), &Watch::none(2)).unwrap();
    let figures: Vec<_> = made.sections.iter().flat_map(|section| &section.figures).collect();
    let figure = figures.iter().find(|figure| figure.id == "scanner-clicks").expect("there is a figure of scanners");
    let share = format!("{:.1}% of the clicks", 100.0 * scanners as f64 / all as f64);
    assert!(figure.caption.starts_with(&share), "{} is not {share}", figure.caption);
    assert!(made.notes.iter().any(|note| note.contains("behind scanners")), "{:?}", made.notes);
    let off = families::report(Run::new("email", 3, &[("population.users", "350")]).path(), &report::Options::default(), &Watch::none(2));
    let off = off.unwrap();
    let same = |id: &str| {
        let of = |sections: &[report::figure::Section]| {
            let figures = sections.iter().flat_map(|section| &section.figures);
            serde_json::to_value(figures.into_iter().find(|figure| figure.id == id)).unwrap()
        };
        assert_eq!(of(&made.sections), of(&off.sections), "{id}");
    };
    ["funnel-persona", "week", "open-hour", "days", "open-delay", "click-delay"].into_iter().for_each(same);
}
