//! The answer key: sound data passes, and data with one fault does not.
//!
//! A short campaign by default. `POPULACE_SEEDS=200 POPULACE_MUTANTS=all UPDATE_DOCS=1` runs the long one and writes its tables into
//! `docs/verify.md`.

mod blasts;
mod careful;
mod edits;
mod experiments;
mod fuzz;
mod industry;
mod machines;
mod mutants;
mod people;
mod scanners;
mod zones;

use crate::support::{Run, document};
use populace_analysis::families::verify;
use populace_analysis::source::Source;
use populace_analysis::verify::{DEFAULT_ALPHA, Report, Verdict};
use populace_analysis::watch::Watch;
use populace_io::document::Resolved;
use std::fmt::Write;
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// Keys of a section with their values, the one at a place moved: of each its name, what it is and what it becomes.
fn keys<'a>(constants: impl Iterator<Item = (&'a str, &'a str, &'a str)>, moved: Option<usize>) -> String {
    let pairs = constants.enumerate().map(|(place, (key, is, becomes))| {
        let value = if moved == Some(place) { becomes } else { is };
        format!("{key}: {value}")
    });
    pairs.collect::<Vec<_>>().join(", ")
}

/// The answer key of a directory.
fn answer(root: &Path, document: &Resolved) -> Report {
    verify(&Source::open(root).unwrap(), document, DEFAULT_ALPHA, &Watch::none(2)).unwrap()
}

/// The number that a variable of the environment gives.
fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{variable}: {text} is not a number")))
}

/// Writes a section of `docs/verify.md` where the environment asks for it.
fn record(section: &str, table: &str) {
    const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/verify.md");
    static FILE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    if std::env::var_os("UPDATE_DOCS").is_none() {
        return;
    }
    let _guard = FILE.lock().unwrap();
    let page = std::fs::read_to_string(PATH).unwrap();
    let (begin, end) = (format!("<!-- {section} -->"), format!("<!-- end of {section} -->"));
    let (head, rest) = page.split_once(&begin).unwrap_or_else(|| panic!("docs/verify.md has a place for {section}"));
    let (_, tail) = rest.split_once(&end).unwrap();
    std::fs::write(PATH, format!("{head}{begin}\n\n{}\n\n{end}{tail}", table.trim_end())).unwrap();
}

/// The four built-in scenarios at their built-in size.
const SCENARIOS: [&str; 4] = ["email", "email-v1", "traces", "churn"];

#[test]
fn sound_data_passes() {
    let seeds = number("POPULACE_SEEDS", 2);
    let mut table = String::from("| scenario | runs | tests a run | failures | smallest p × tests |\n|---|---|---|---|---|\n");
    let mut failures = Vec::new();
    for scenario in SCENARIOS {
        let document = document(scenario, &[]);
        let (mut tests, mut failed, mut least) = (0, 0, f64::INFINITY);
        for seed in 0..seeds {
            let run = Run::new(scenario, 1_000 + seed, &[]);
            let report = answer(run.path(), &document);
            tests = report.tests;
            assert_eq!(report.passed + report.failed + report.skipped, report.checks.len() as u64);
            failed += u64::from(report.failed > 0);
            least = report.checks.iter().filter_map(|check| check.p_value).fold(least, f64::min);
            failures.extend(report.failures().map(|check| format!("{scenario}, seed {}: {check}", 1_000 + seed)));
        }
        writeln!(table, "| `{scenario}` | {seeds} | {tests} | {failed} | {:.2e} |", least * tests as f64).unwrap();
    }
    record("error rate", &table);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Small and short runs, and runs near a bound, are sound data too.
#[test]
fn sound_data_of_any_size_passes() {
    const DOCUMENTS: [(&str, &[(&str, &str)]); 12] = [
        ("traces", &[("population.users", "3")]),
        ("traces", &[("population.users", "7")]),
        ("churn", &[("window.days", "30")]),
        ("churn", &[("window.days", "10")]),
        ("email", &[("hot_paths.trigger.delay_minutes.high", "1440")]),
        ("email", &[("personas.commuter.click_rate", "0.38")]),
        ("email", &[("drift.amplitude", "0.5"), ("window.days", "365"), ("population.users", "100")]),
        ("email", &[("latency.lognormal.median_seconds", "3600")]),
        ("traces", &[("parameters.pages", "200")]),
        ("churn", &[("engagement.alpha", "0.1")]),
        ("churn", &[("engagement.alpha", "0.1"), ("engagement.observed", "false")]),
        ("churn", &[("engagement.alpha", "700"), ("engagement.observed", "false")]),
    ];
    for (scenario, set) in DOCUMENTS {
        let document = document(scenario, set);
        for seed in 1..=number("POPULACE_SEEDS", 2) {
            let run = Run::new(scenario, seed, set);
            let failures: Vec<String> = answer(run.path(), &document).failures().map(ToString::to_string).collect();
            assert!(failures.is_empty(), "{scenario} {set:?}, seed {seed}: {}", failures.join("; "));
        }
    }
}

#[test]
fn verdicts_do_not_depend_on_threads_and_a_stopped_check_says_so() {
    for (scenario, users) in [("email", "900"), ("traces", "3000"), ("churn", "1500")] {
        let set = [("population.users", users)];
        let (run, document) = (Run::new(scenario, 9, &set), document(scenario, &set));
        let with = |threads| verify(&run.source(), &document, DEFAULT_ALPHA, &Watch::none(threads)).unwrap().to_json();
        let one = with(1);
        assert!(one == with(2) && one == with(3), "{scenario}");
        let watch = Watch { stop: &AtomicBool::new(true), ..Watch::none(2) };
        assert!(verify(&run.source(), &document, DEFAULT_ALPHA, &watch).unwrap_err().is_interrupted());
    }
}

#[test]
fn verdicts_are_written_and_read_back() {
    let run = Run::new("email-v1", 4, &[("population.users", "40"), ("window.days", "20")]);
    let report = answer(run.path(), &document("email-v1", &[("population.users", "40"), ("window.days", "20")]));
    let path = run.path().join("verify.json");
    report.write(&path).unwrap();
    assert_eq!(serde_json::from_str::<Report>(&std::fs::read_to_string(&path).unwrap()).unwrap(), report);
    let skipped: Vec<_> = report.checks.iter().filter(|check| check.verdict == Verdict::Skipped).collect();
    assert!(!skipped.is_empty() && skipped.iter().all(|check| check.reason.is_some()), "{report}");
}
