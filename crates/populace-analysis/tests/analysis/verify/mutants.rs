//! Generators with one fault: a constant of the document is moved or a mechanism removed, and the data is held against the document as
//! it was.

use super::{answer, document, record};
use crate::support::Run;
use populace_analysis::verify::Check;
use std::fmt::Write;

/// A fault: the scenario, what is set in the generator, and whether it is among those of the short campaign.
struct Mutant {
    scenario: &'static str,
    set: &'static [(&'static str, &'static str)],
    short: bool,
}

const fn mutant(scenario: &'static str, set: &'static [(&'static str, &'static str)]) -> Mutant {
    Mutant { scenario, set, short: false }
}

const fn short(scenario: &'static str, set: &'static [(&'static str, &'static str)]) -> Mutant {
    Mutant { scenario, set, short: true }
}

/// What holds of the generator with the fault and of that without. In the long campaign, ten times the users of the built-in scenarios; in
/// the short one, which has faults that show in less, the built-in number of users but for `traces`.
const SIZES: [(&str, [Size; 2]); 4] = [
    ("email", [&[("population.users", "3500")], &[]]),
    ("email-v1", [&[("population.users", "3500")], &[]]),
    ("traces", [&[("population.users", "10000"), CASCADES], &[("population.users", "3000"), CASCADES]]),
    ("churn", [&[("population.users", "20000")], &[]]),
];
type Size = &'static [(&'static str, &'static str)];
const CASCADES: (&str, &str) = ("cascade_failure_rate", "0.1");

/// Constants off by a fifth or less, or mechanisms off.
const MUTANTS: &[Mutant] = &[
    short("email", &[("sends.per_day", "0.84")]),
    mutant("email", &[("sends.night_weight", "0.18")]),
    mutant("email", &[("sends.last_hour", "21")]),
    mutant("email", &[("delivery.probability", "0.985")]),
    mutant("email", &[("campaigns.newsletter.weight", "1.2")]),
    mutant("email", &[("esps.mailchimp", "0.24")]),
    mutant("email", &[("size_factor.high", "1.2")]),
    mutant("email", &[("latency.lognormal.median_seconds", "14.4")]),
    mutant("email", &[("latency.lognormal.sigma", "0.48")]),
    mutant("email", &[("latency.lognormal.top_of_hour", "null")]),
    mutant("email", &[("latency.lognormal.batch.factor.high", "3")]),
    mutant("email", &[("latency.lognormal.weekend.factor", "0.84")]),
    mutant("email", &[("esp_timezone", "UTC+01:00")]),
    mutant("email", &[("personas.morning_person.open_rate", "0.42")]),
    mutant("email", &[("personas.commuter.click_rate", "0.192")]),
    mutant("email", &[("personas.night_owl.peak_hours", "[23, 0, 1, 2]")]),
    mutant("email", &[("timing.off_peak", "0.24")]),
    mutant("email", &[("timing.inactive_day", "0.36")]),
    mutant("email", &[("minute", "null")]),
    mutant("email", &[("minute.slow_factor", "0.84")]),
    mutant("email", &[("fatigue", "null")]),
    mutant("email", &[("fatigue.hours", "29")]),
    mutant("email", &[("fatigue.factors", "[1.0, 0.95, 0.85, 0.72]")]),
    mutant("email", &[("drift.amplitude", "0.0024")]),
    mutant("email", &[("open_delay", "exponential")]),
    mutant("email", &[("open_delays.mean_minutes", "288")]),
    mutant("email", &[("attention.off_peak", "0.12")]),
    mutant("email", &[("click_delays.mean_minutes", "18")]),
    mutant("email", &[("circuit_breakers.probability", "0.0288")]),
    short("email", &[("circuit_breakers.kinds.complaint.hours", "38")]),
    mutant("email", &[("circuit_breakers.suppress_sends", "true")]),
    mutant("email", &[("hot_paths.boost", "2.4")]),
    mutant("email", &[("hot_paths.decay_minutes", "18")]),
    mutant("email", &[("hot_paths.floor", "0")]),
    mutant("email", &[("hot_paths.trigger.probability", "0.9")]),
    short("email-v1", &[("latency.uniform.high_seconds", "36")]),
    mutant("email-v1", &[("engagement.decided_at", "delivery")]),
    mutant("email-v1", &[("timezone", "UTC+02:00")]),
    mutant("traces", &[("cascade_failure_rate", "0.12")]),
    mutant("traces", &[("cascade.start", "0.4")]),
    mutant("traces", &[("cascade.slow", "0.48")]),
    mutant("traces", &[("cascade.slow_factor", "[3, 12]")]),
    mutant("traces", &[("cascade.unavailable", "0.12")]),
    mutant("traces", &[("cascade.retry", "0.36")]),
    mutant("traces", &[("cascade.retry_delay_seconds", "[0.1, 1.2]")]),
    mutant("traces", &[("sessions.sd", "1.8")]),
    short("traces", &[("delays.thinking", "0.12")]),
    mutant("traces", &[("delays.usual_seconds", "[1, 6]")]),
    mutant("traces", &[("response_times.relative_sd", "0.36")]),
    mutant("traces", &[("workflow.avg_response_times./api/cart", "120")]),
    mutant("traces", &[("response_sizes.other_median_bytes", "614")]),
    mutant("traces", &[("statuses.200", "0.947"), ("statuses.500", "0.018")]),
    mutant("traces", &[("workflow.entry_points./api/products/browse", "0.36"), ("workflow.entry_points./api/login", "0.54")]),
    mutant("traces", &[("workflow.transitions./api/cart./api/logout", "0.12"), ("workflow.transitions./api/cart./api/checkout", "0.48")]),
    mutant("traces", &[("workflow.max_length", "16")]),
    mutant("churn", &[("paid_ratio", "0.42")]),
    mutant("churn", &[("churn_base_rate", "0.42")]),
    mutant("churn", &[("churn.paid_factor", "0.9")]),
    mutant("churn", &[("churn.engagement_power", "1.92")]),
    mutant("churn", &[("churn.first_day_divisor", "5")]),
    mutant("churn", &[("engagement.alpha", "2.4")]),
    mutant("churn", &[("signup.max_days", "32")]),
    short("churn", &[("activity.probability.slope", "0.64")]),
    mutant("churn", &[("sessions.max", "4")]),
    mutant("churn", &[("enrol.probability", "0.06")]),
    mutant("churn", &[("video.probability.slope", "0.48")]),
    mutant("churn", &[("video.minutes.deviation", "12")]),
    mutant("churn", &[("quiz.score.mean.slope", "48")]),
    short("churn", &[("billing.success_probability", "0.9")]),
    mutant("churn", &[("billing.mode", "daily")]),
    mutant("churn", &[("tickets.probability", "0.006")]),
];

fn size_of(scenario: &str, all: bool) -> Size {
    SIZES.iter().find(|(name, _)| *name == scenario).unwrap().1[usize::from(!all)]
}

/// The names of some checks, shortened where they are many.
pub(super) fn names<'a>(checks: impl Iterator<Item = &'a Check>) -> String {
    let names: Vec<&str> = checks.map(|check| check.name.as_str()).collect();
    match names.as_slice() {
        [first, second, third, _, ..] => format!("{first}; {second}; {third}; {} more", names.len() - 3),
        _ => names.join("; "),
    }
}

#[test]
fn generators_with_one_fault_fail() {
    // `all`, or the beginning of a path.
    let which = std::env::var("POPULACE_MUTANTS").ok();
    let all = which.is_some();
    let mut table = String::from("| scenario | moved to | caught by |\n|---|---|---|\n");
    let (mut caught, mut survivors, mut many) = (0, Vec::new(), 0);
    for mutant in MUTANTS.iter().filter(|mutant| match &which {
        Some(which) => which == "all" || mutant.set[0].0.starts_with(which.as_str()),
        None => mutant.short,
    }) {
        let size = size_of(mutant.scenario, all);
        let changed: Vec<(&str, &str)> =
            size.iter().filter(|(path, _)| mutant.set.iter().all(|(set, _)| set != path)).chain(mutant.set).copied().collect();
        let run = Run::new(mutant.scenario, 7, &changed);
        let report = answer(run.path(), &document(mutant.scenario, size));
        many += 1;
        let by = names(report.failures());
        let shown: Vec<String> =
            mutant.set.iter().map(|(path, value)| format!("`{path}` {}", if *value == "null" { "off" } else { value })).collect();
        let shown = shown.join(", ");
        if report.failed > 0 {
            caught += 1;
        } else {
            survivors.push(shown.clone());
        }
        writeln!(table, "| `{}` | {shown} | {} |", mutant.scenario, if by.is_empty() { "**nothing**" } else { &by }).unwrap();
    }
    if which.as_deref() == Some("all") {
        record("mutants of the document", &format!("{table}\n{caught} of {many} caught."));
    }
    // Nineteen in twenty of all of them; those of the short campaign every one.
    let most = if all { many / 20 } else { 0 };
    println!("{table}{caught} of {many} caught");
    assert!(survivors.len() <= most, "not caught: {survivors:#?}");
}
