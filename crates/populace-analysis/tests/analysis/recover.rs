//! Estimates against the truth: intervals hold it as often as they say.

use crate::support::Run;
use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use populace_analysis::families::recover;
use populace_analysis::recover::Recovery;
use populace_analysis::source::{As, Source, Want};
use populace_analysis::stats;
use populace_analysis::watch::Watch;
use populace_core::time::Instant;
use std::collections::BTreeMap;
use std::{env, fs};

/// The level of the intervals that are counted.
const LEVEL: f64 = 0.9;
/// The probability that sound estimators fail one of these tests.
const ALPHA: f64 = 1e-4;

/// What the estimators of mail look at.
const COLUMNS: [Want; 7] = [
    Want::new("recipient_id", As::Text),
    Want::new("timestamp", As::Instant),
    Want::new("event_type", As::Text),
    Want::nullable("message_id", As::Text),
    Want::new("metadata", As::Text),
    Want::new("campaign_id", As::Text),
    Want::new("esp", As::Text),
];

fn recovered(run: &Run) -> Recovery {
    let source = run.source();
    recover(&source, &source.scenario().unwrap(), LEVEL, &Watch::none(2)).unwrap()
}

/// How many data sets are generated: `POPULACE_SEEDS=400 cargo test -p populace-analysis --test analysis recover:: -- --nocapture` is the
/// long form, which prints the table of the guide.
fn seeds() -> u64 {
    env::var("POPULACE_SEEDS").map_or(40, |count| count.parse().expect("POPULACE_SEEDS is a number"))
}

/// Generates many data sets and counts, for each parameter, how often the interval holds the truth. Estimates of one data set depend on
/// one another (shares sum to 1), those of several do not: so each parameter is held against the binomial law over data sets by itself,
/// with all of them together failing by chance with probability `ALPHA`. Intervals may be wider than they say, where counts are small,
/// but not twice as seldom wrong, over all.
fn assert_coverage(what: &str, scenario: &str, set: &[(&str, &str)]) {
    let seeds = seeds();
    let mut held: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for seed in 0..seeds {
        let recovery = recovered(&Run::new(scenario, seed, set));
        for estimate in &recovery.estimates {
            let (covered, of) = held.entry(estimate.parameter.clone()).or_default();
            *covered += u64::from(estimate.covered);
            *of += 1;
        }
    }
    let each = ALPHA / held.len() as f64;
    let (mut covered, mut of) = (0, 0);
    let mut least = (1.0, String::new());
    for (parameter, &(hits, n)) in &held {
        let share = hits as f64 / n as f64;
        let too_few = share < LEVEL && stats::binomial(hits, n, LEVEL) < 2.0 * each;
        assert!(!too_few, "{what}: {parameter}: {hits} of {n} intervals at {LEVEL} hold the truth");
        if share < least.0 {
            least = (share, parameter.clone());
        }
        covered += hits;
        of += n;
    }
    let share = covered as f64 / of as f64;
    println!("| {what} | {} | {of} | {:.1}% | {:.1}% ({}) |", held.len(), 100.0 * share, 100.0 * least.0, least.1);
    // At worst all estimates of a data set are one.
    let error = (LEVEL * (1.0 - LEVEL) / seeds as f64).sqrt();
    assert!((share - LEVEL).abs() < stats::normal_quantile_two_sided(ALPHA) * error, "{what}: {share} of {of} instead of {LEVEL}");
}

#[test]
fn intervals_of_email_hold_the_truth() {
    assert_coverage("email, 120 users", "email", &[("population.users", "120")]);
}

#[test]
fn intervals_of_the_first_email_scenario_hold_the_truth() {
    assert_coverage("email-v1, 90 users", "email-v1", &[("population.users", "90")]);
}

#[test]
fn intervals_hold_the_truth_where_breakers_stop_the_mail_and_hot_paths_turn_to_penalties() {
    let set = [
        ("population.users", "100"),
        ("circuit_breakers.suppress_sends", "true"),
        ("hot_paths.floor", "0"),
        ("open_delay", "exponential"),
        ("timezone", "UTC+05:30"),
    ];
    assert_coverage("email, other readings, 100 users", "email", &set);
}

#[test]
fn intervals_of_traces_hold_the_truth() {
    assert_coverage("traces, 400 users", "traces", &[("population.users", "400"), ("cascade_failure_rate", "0.2")]);
}

#[test]
fn intervals_of_churn_hold_the_truth() {
    assert_coverage("churn, 300 users", "churn", &[("population.users", "300"), ("window.days", "60")]);
}

/// What is known of an estimate: whether it is there, and how far it is from a value in its own errors.
fn errors_from(recovery: &Recovery, parameter: &str, value: f64) -> f64 {
    let estimate = recovery.estimate(parameter).unwrap_or_else(|| panic!("{parameter} is not estimated"));
    (estimate.estimate - value).abs() / estimate.standard_error
}

#[test]
fn an_estimate_follows_its_parameter_and_no_other() {
    let users = ("population.users", "300");
    let [plain, tired] =
        [("fatigue.hours", "24"), ("fatigue.factors", "[1.0, 0.5, 0.5, 0.5]")].map(|set| recovered(&Run::new("email", 11, &[users, set])));
    assert!(errors_from(&plain, "fatigue.factors.1", 0.5) > 10.0 && errors_from(&tired, "fatigue.factors.1", 0.5) < 4.0);
    for other in ["minute.peak_factor", "personas.sporadic.open_rate", "personas.commuter.timing.peak_over_off_peak"] {
        let truth = plain.estimate(other).unwrap().truth;
        assert!(errors_from(&tired, other, truth) < 4.0, "{other}");
    }
}

#[test]
fn without_the_score_and_the_truth_engagement_is_told_from_how_users_differ() {
    let run = Run::new("churn", 3, &[("population.users", "1500")]);
    // What a user has who knows neither engagement nor who churned.
    let directory = tempfile::tempdir().unwrap();
    for name in ["events.csv", "scenario.yaml"] {
        fs::copy(run.path().join(name), directory.path().join(name)).unwrap();
    }
    let users = fs::read_to_string(run.path().join("users.csv")).unwrap();
    let without = |line: &str| line.rsplit_once(',').unwrap().0.to_owned();
    assert!(users.lines().next().unwrap().ends_with(",engagement_score"));
    fs::write(directory.path().join("users.csv"), users.lines().map(without).collect::<Vec<_>>().join("\n")).unwrap();
    let source = Source::open(directory.path()).unwrap();
    let blind = recover(&source, &source.scenario().unwrap(), LEVEL, &Watch::none(2)).unwrap();
    for parameter in ["activity.probability.slope", "video.probability.base", "video.probability.slope", "quiz.probability.slope"] {
        let estimate = blind.estimate(parameter).unwrap();
        assert!(errors_from(&blind, parameter, estimate.truth) < 4.0, "{estimate:?}");
        assert!(estimate.standard_error > recovered(&run).estimate(parameter).unwrap().standard_error);
    }
    let reasons: BTreeMap<&str, &str> = blind.not_estimated.iter().map(|left| (left.parameter.as_str(), left.reason.as_str())).collect();
    assert!(reasons["churn_base_rate"].contains("truth/users") && reasons["video.minutes"].contains("engagement_score"), "{reasons:?}");
}

#[test]
fn the_same_rows_as_csv_in_any_order_teach_the_same() {
    let run = Run::new("email", 4, &[("population.users", "40"), ("window.days", "40")]);
    let whole = recovered(&run);
    let directory = tempfile::tempdir().unwrap();
    for (name, columns) in [("events", COLUMNS.as_slice()), ("users", &[Want::new("recipient_id", As::Text)])] {
        let mut lines = Vec::new();
        for batch in run.source().table(name).unwrap().read(columns).unwrap() {
            let batch = batch.unwrap();
            let text = |column: usize, row: usize| {
                let column = batch.column(column);
                if let Some(times) = column.as_primitive_opt::<TimestampMicrosecondType>() {
                    let time = Instant(times.value(row));
                    let milliseconds = time.since(time.date().midnight()) / 1_000;
                    let (hours, minutes, rest) = (milliseconds / 3_600_000, milliseconds / 60_000 % 60, milliseconds % 60_000);
                    return format!("{}T{hours:02}:{minutes:02}:{:02}.{:03}Z", time.date(), rest / 1_000, rest % 1_000);
                }
                let column = column.as_string::<i32>();
                if column.is_valid(row) { format!("\"{}\"", column.value(row).replace('"', "\"\"")) } else { String::new() }
            };
            for row in 0..batch.num_rows() {
                lines.push((0..columns.len()).map(|column| text(column, row)).collect::<Vec<_>>().join(","));
            }
        }
        lines.sort_by_key(|line| line.bytes().fold(7_u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into())));
        let header = columns.iter().map(|want| want.name).collect::<Vec<_>>().join(",");
        fs::write(directory.path().join(format!("{name}.csv")), format!("{header}\n{}\n", lines.join("\n"))).unwrap();
    }
    fs::copy(run.path().join("scenario.yaml"), directory.path().join("scenario.yaml")).unwrap();
    let source = Source::open(directory.path()).unwrap();
    let shuffled = recover(&source, &source.scenario().unwrap(), LEVEL, &Watch::none(2)).unwrap();
    let mut notes = whole.notes.clone();
    notes.push("the data has no manifest: personas are those that the document's seed deals, 4".into());
    assert_eq!((&whole.size, &notes), (&shuffled.size, &shuffled.notes));
    for (a, b) in whole.estimates.iter().zip(&shuffled.estimates) {
        assert!(a.parameter == b.parameter && a.n == b.n && (a.estimate / b.estimate - 1.0).abs() < 1e-9, "{a:?}\n{b:?}");
    }
}
