//! Plans against simulated studies of the size that they name.

use crate::support::{Run, document};
use populace_analysis::AnalysisError;
use populace_analysis::families::{plan, recover};
use populace_analysis::plan::{Plan, Study, Target};
use populace_analysis::stats;
use populace_analysis::watch::Watch;
use populace_io::document::Resolved;
use std::env;

/// The probability that a sound plan fails one of these tests.
const ALPHA: f64 = 1e-4;

fn planned(document: &Resolved, detect: &str, target: Target, power: f64) -> Result<Plan, AnalysisError> {
    plan(document, &Study { detect, target, power, alpha: 0.05, pilot_users: None }, &Watch::none(2))
}

/// Studies of each size: `POPULACE_STUDIES=1000` is the long form.
fn studies() -> u64 {
    env::var("POPULACE_STUDIES").map_or(40, |count| count.parse().expect("POPULACE_STUDIES is a number"))
}

/// Of how many studies of so many users the test tells the parameter from `value`.
fn found(scenario: &str, set: &[(&str, &str)], parameter: &str, (users, value): (u64, f64)) -> u64 {
    let users = users.to_string();
    let set = [set, &[("population.users", users.as_str())]].concat();
    let finds = |seed: u64| {
        let run = Run::new(scenario, 1_000 + seed, &set);
        let source = run.source();
        let recovery = recover(&source, &source.scenario().unwrap(), 0.95, &Watch::none(2)).unwrap();
        recovery.estimate(parameter).is_some_and(|estimate| !(estimate.low..=estimate.high).contains(&value))
    };
    (0..studies()).filter(|seed| finds(*seed)).count() as u64
}

/// Simulates studies of the size that was planned to tell the document's parameter from `value`, and studies of a quarter of it.
fn assert_power(scenario: &str, set: &[(&str, &str)], parameter: &str, value: f64) {
    const POWER: f64 = 0.9;
    let document = document(scenario, set);
    let mut plan = planned(&document, parameter, Target::Document, POWER).unwrap();
    if plan.effects[0].from != value {
        plan = planned(&document, parameter, Target::Value(value), POWER).unwrap();
    }
    let [full, less] = [plan.users, plan.users / 4].map(|users| found(scenario, set, parameter, (users, value)));
    // With a quarter of the users the effect is half as many standard errors away.
    let critical = stats::normal_quantile_two_sided(0.05);
    let reach = critical + stats::normal_quantile_two_sided(2.0 * (1.0 - POWER));
    let expected = stats::normal_tail(critical - reach / 2.0);
    let n = studies();
    println!("| {scenario} | {parameter} | {} | {full} of {n} | {less} of {n}, {expected:.2} expected |", plan.users);
    for (hits, power) in [(full, POWER), (less, expected)] {
        assert!(stats::binomial(hits, n, power) > ALPHA, "{parameter}: {hits} of {n} where {power} was promised");
    }
    assert!(stats::binomial(less, n, POWER) < ALPHA, "{parameter}: a quarter of the users finds it as often, {less} of {n}");
}

#[test]
fn studies_of_mail_of_the_planned_size_find_fatigue_and_hot_paths() {
    assert_power("email", &[("window.days", "35")], "fatigue.factors.2", 1.0);
    // Half a minute: in the long form alone.
    if env::var_os("POPULACE_STUDIES").is_none() {
        return;
    }
    assert_power("email", &[("window.days", "35"), ("hot_paths.boost", "1.6")], "hot_paths.boost (minutes 0 to 2.5)", 1.0);
}

#[test]
fn studies_of_calls_of_the_planned_size_find_a_transition() {
    let path = "workflow.transitions./api/products/{id}/details./api/cart/add";
    assert_power("traces", &[], path, 0.4);
}

#[test]
fn studies_of_subscribers_of_the_planned_size_find_the_paid_factor() {
    assert_power("churn", &[("window.days", "8")], "churn.paid_factor", 1.0);
}

#[test]
fn days_are_worth_what_the_pilots_say() {
    // Opens gather with user-days; who pays less often leaves is a matter of users alone.
    let mail = planned(&document("email", &[]), "minute.peak_factor", Target::Document, 0.8).unwrap();
    let churn = planned(&document("churn", &[]), "paid_factor", Target::Document, 0.8).unwrap();
    let [mail, churn] = [&mail.effects[0], &churn.effects[0]].map(|needed| needed.worth_of_days);
    assert!((mail - 1.0).abs() < 0.2 && churn.abs() < 0.2, "{mail} {churn}");
}

#[test]
fn more_power_and_smaller_effects_need_more_users_by_the_formula() {
    let document = document("traces", &[("window.days", "10")]);
    let users = |target, power| planned(&document, "delays.thinking", target, power).unwrap().effects[0].clone();
    let [tenth, fifth] = [0.1, 0.2].map(|size| users(Target::Change(size), 0.9));
    // The users are whole, so the ratio is within one of them.
    assert!((4.0 * fifth.users as f64 - tenth.users as f64).abs() <= 4.0, "{tenth:?} {fifth:?}");
    assert!(users(Target::Change(0.1), 0.5).users < tenth.users);
    let z = 1.959_963_984_5 + 1.281_551_565_5;
    let by_hand = (z * tenth.error_of_one_user / (0.1 * 0.1)).powi(2);
    assert!((tenth.users as f64 - by_hand).abs() <= 1.0 + 1e-6 * by_hand, "{} instead of {by_hand}", tenth.users);
}

#[test]
fn what_cannot_be_planned_is_told() {
    let (email, traces) = (document("email", &[]), document("traces", &[]));
    let message = |document: &Resolved, detect: &str, target, power| planned(document, detect, target, power).unwrap_err().to_string();
    for (said, parts) in [
        (message(&email, "fatige", Target::Document, 0.9), vec!["--detect fatige: no such effect of email", "did you mean `fatigue`"]),
        (message(&email, "paid_factor", Target::Document, 0.9), vec!["no such effect of email", "--detect list"]),
        (
            message(&traces, "cascade", Target::Document, 0.9),
            vec!["cascade_failure_rate: the effect is zero: alternative and null are both 0", "--at"],
        ),
        (message(&traces, "transition /api/login→/api/nowhere", Target::Document, 0.9), vec!["no such effect of traces"]),
        (message(&email, "fatigue.factors.1", Target::Value(0.999_999_9), 0.9), vec!["would take", "users\nhint: ask for a larger effect"]),
        (message(&email, "fatigue.factors.1", Target::Value(-0.5), 0.9), vec!["must be above 0 to be detectable, got -0.5"]),
        (message(&email, "fatigue", Target::Document, 90.0), vec!["--power: must be above 0 and below 1, got 90"]),
    ] {
        for part in parts {
            assert!(said.contains(part), "`{part}` is not in\n{said}");
        }
    }
    // What the document can have is simulated as it would be.
    let cascade = planned(&traces, "cascade", Target::Value(0.05), 0.9).unwrap();
    assert_eq!((cascade.pilot.set.as_deref(), cascade.effects[0].from), (Some("cascade_failure_rate"), 0.0));
}
