//! The report of a run with a policy, and of what was found out about policies.

use crate::support::Run;
use populace_analysis::families::{policy_evaluate, policy_value, report};
use populace_analysis::policy::{Candidate, Estimators, Evaluate, Valuation};
use populace_analysis::report::figure::{Chart, Plot};
use populace_analysis::report::{Options, Report};
use populace_analysis::watch::Watch;
use std::fs;

const EXPLORE: &str = "{base: {type: softmax, temperature: 0.1}, explore: {share: 0.3}, skip: 0.1}";

fn shown(run: &Run, options: &Options) -> Report {
    report(run.path(), options, &Watch::none(2)).expect("the run can be shown")
}

fn figures_alone() -> Options {
    Options { verify: false, ..Options::default() }
}

fn chart<'r>(report: &'r Report, id: &str, panel: usize) -> &'r Chart {
    let figure = report.sections.iter().flat_map(|section| &section.figures).find(|figure| figure.id == id);
    let figure = figure.unwrap_or_else(|| panic!("{id}: {:?}", report.notes));
    let Plot::Chart(chart) = &figure.panels[panel].plot else { panic!("{id} is a chart") };
    chart
}

#[test]
fn what_a_policy_did_agrees_with_its_law() {
    let run = Run::new("email", 5, &[("policy", EXPLORE), ("population.users", "350"), ("window.days", "40")]);
    let report = shown(&run, &figures_alone());
    assert_eq!(report.notes, [""; 0]);
    let value = chart(&report, "policy-value", 0);
    let [seen, truth] = &value.series[..] else { panic!("observed and true") };
    for place in 0..3 {
        let error = (seen.high[place].unwrap() - seen.low[place].unwrap()) / (2.0 * 1.96);
        let z = (seen.y[place].unwrap() - truth.y[place].unwrap()) / error;
        assert!(error > 0.0 && z.abs() < 4.9, "{place}: {z}");
    }
    // Those of an arm that knows the best hours are worth more than those of one that tries all.
    assert!(seen.low[1] > seen.high[2], "{seen:?}");
    let slots = chart(&report, "policy-propensity", 0);
    let [mean, taken] = &slots.series[..] else { panic!("propensity and observed") };
    assert_eq!((slots.x.categories.len(), slots.x.categories[24].as_str()), (25, "none"));
    assert!((mean.y[24].unwrap() - 0.1).abs() < 1e-9, "a tenth is skipped");
    for (mean, (taken, n)) in mean.y.iter().zip(taken.y.iter().zip(&taken.n)) {
        let (mean, taken) = (mean.unwrap(), taken.unwrap());
        // Fewer than of alike propensities, whose variance is the greatest.
        assert!((mean - taken).abs() < 4.9 * (mean * (1.0 - mean) / *n as f64).sqrt(), "{mean} {taken}");
    }
    for arm in 0..2 {
        let total: f64 = chart(&report, "policy-regret", 0).series[arm].y.iter().flatten().sum();
        assert!((total - 1.0).abs() < 1e-9, "{total}");
    }
    let regret = &chart(&report, "policy-regret-persona", 0).series;
    assert!(regret[0].y.iter().zip(&regret[1].y).all(|(base, explore)| base < explore), "{regret:?}");
    // A run without a policy has none of it.
    let plain = shown(&Run::new("email", 5, &[("population.users", "50"), ("window.days", "20")]), &figures_alone());
    assert!(plain.sections.iter().all(|section| section.id != "policy"));
}

#[test]
fn results_about_policies_are_shown() {
    let run = Run::new("email", 6, &[("policy", EXPLORE), ("population.users", "100"), ("window.days", "30")]);
    let document = run.source().scenario().unwrap();
    let candidate = |name: &str, policy: &str| Candidate {
        name: name.to_owned(),
        document: crate::support::document("email", &[("policy", policy), ("population.users", "100"), ("window.days", "30")]),
    };
    let candidates =
        [Candidate { name: "the run".into(), document }, candidate("half", "{skip: 0.5}"), candidate("oracle", "{base: {type: oracle}}")];
    let how = Valuation { reward: "open".parse().unwrap(), expected: true, discount: 1.0 };
    let values = policy_value(&candidates, 6, &how, &Watch::none(2)).unwrap();
    let evaluate = Evaluate {
        reward: how.reward,
        from: None,
        allow_unsupported: true,
        estimators: Estimators::default(),
        q_hat: None,
        replicates: 0,
        target: &candidates[2],
    };
    let found = policy_evaluate(run.path(), &evaluate, &Watch::none(2)).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let [of_values, of_found, wrong] = ["values.json", "ope.json", "wrong.json"].map(|name| directory.path().join(name));
    fs::write(&of_values, serde_json::to_string(&values).unwrap()).unwrap();
    fs::write(&of_found, serde_json::to_string(&found).unwrap()).unwrap();
    fs::write(&wrong, "{\n\"users\": 3}").unwrap();
    let report = shown(&run, &Options { policies: vec![of_found.clone(), of_values], ..figures_alone() });
    let worth = chart(&report, "policies-worth-1", 0);
    assert_eq!(worth.x.categories, ["the run", "half", "oracle"]);
    assert_eq!(worth.series[0].y[2], Some(values.policies[2].message.value));
    let volume = &chart(&report, "policies-volume", 0).series[0];
    assert_eq!(volume.names.first().map(String::as_str), Some("half"), "the least mail comes first");
    assert!(volume.x.is_sorted() && (volume.x[0] - values.policies[1].messages as f64 / 3_000.0).abs() < 1e-12);
    let forest = chart(&report, "policies-estimators-1", 0);
    assert_eq!(forest.marks[0].from, found.truth.value);
    assert_eq!(forest.x.categories.len(), found.estimators.len());
    let wrong = populace_analysis::families::report(run.path(), &Options { policies: vec![wrong], ..figures_alone() }, &Watch::none(1));
    let message = wrong.unwrap_err().to_string();
    assert!(message.contains("wrong.json: is no result about policies (line 2") && message.contains("policy evaluate"), "{message}");
    let both = populace_analysis::families::compare(
        run.path(),
        run.path(),
        &Options { policies: vec![of_found], ..figures_alone() },
        &Watch::none(1),
    );
    assert!(both.unwrap_err().to_string().contains("are of one run"));
}

#[test]
fn a_queue_of_a_blast_is_drawn_as_its_law() {
    let own = ("blasts", "[{name: one, campaign: promotion, share: 1, date: 2025-10-10, hour: 9, queue_length: 180000}]");
    let run = Run::new("email", 3, &[own, ("population.users", "700"), ("window.days", "20")]);
    let report = shown(&run, &figures_alone());
    let [truth, seen] = &chart(&report, "blasts", 0).series[..] else { panic!("true and observed") };
    // Half an hour, so that a place is uncertain by half of it over the root of the number of messages.
    let bound = 4.9 * 15.0 / (650.0_f64).sqrt();
    for (truth, seen) in truth.y.iter().zip(&seen.y) {
        assert!((truth.unwrap() - seen.unwrap()).abs() < bound, "{truth:?} {seen:?}");
    }
    assert!(seen.y[25].unwrap() > 10.0 && seen.y[49].unwrap() > 25.0, "the queue is long");
}

#[test]
fn zones_show_people_and_rare_bars_do_not_set_the_scale() {
    let leaving = ("leaving", "{unsubscribe: 0.012, tolerated: 5}");
    let set = [
        leaving,
        ("machine_opens", "{}"),
        ("timezones", "{zones: {America/New_York: 0.6, Europe/London: 0.4}}"),
        ("population.users", "350"),
        ("window.days", "40"),
    ];
    let run = Run::new("email", 4, &set);
    let report = shown(&run, &figures_alone());
    let figures = || report.sections.iter().flat_map(|section| &section.figures);
    let zones = figures().find(|figure| figure.id == "time-zones").expect("there are zones");
    let Plot::Heat(heat) = &zones.panels[0].plot else { panic!("a map") };
    let night = heat.maps[0].rows.iter().filter_map(|row| Some((row[1]?, row[8]?)));
    let (at_night, in_the_morning) = night.fold((0.0, 0.0), |(a, b), (night, morning)| (a + night, b + morning));
    assert!(at_night < in_the_morning, "{at_night} at night, {in_the_morning} in the morning");
    let bars = chart(&report, "unsubscribes", 0);
    let (top, greatest) = (bars.y.max.unwrap(), bars.series[1].y.iter().flatten().copied().fold(0.0, f64::max));
    let widest = bars.series[0].high.iter().flatten().copied().fold(0.0, f64::max);
    assert!(top > greatest && top < widest, "{greatest} < {top} < {widest}");
}
