//! People who differ: how they do is recovered, and the report shows it.

use crate::support::Run;
use populace_analysis::families::{self, recover};
use populace_analysis::report;
use populace_analysis::watch::Watch;
use std::collections::BTreeMap;

const ON: (&str, &str) = ("people", "{}");

#[test]
fn what_differs_is_recovered_and_intervals_hold() {
    let mut held: BTreeMap<String, u32> = BTreeMap::new();
    let seeds = 4_u32;
    for seed in 0..seeds {
        let run = Run::new("email", seed.into(), &[ON, ("population.users", "350")]);
        let source = run.source();
        let recovery = recover(&source, &source.scenario().unwrap(), 0.95, &Watch::none(2)).unwrap();
        for estimate in &recovery.estimates {
            *held.entry(estimate.parameter.clone()).or_default() += u32::from(estimate.covered);
        }
        assert!(recovery.not_estimated.iter().any(|other| other.parameter.starts_with("hot_paths.boost")), "{:?}", recovery.not_estimated);
        if seed == 0 {
            let of = |name: &str| recovery.estimates.iter().find(|estimate| estimate.parameter == name).unwrap();
            let open = of("people.open_concentration");
            assert!((open.estimate / 8.0 - 1.0).abs() < 0.35 && open.high < 14.0, "{open:?}");
            assert!((of("people.peak_shifts.2 (share)").estimate - 0.4).abs() < 0.15);
        }
    }
    println!("{held:?}");
    let of = |name: &str| -> Vec<u32> { held.iter().filter(|(parameter, _)| parameter.contains(name)).map(|(_, held)| *held).collect() };
    // Of four intervals of 95%, fewer than two hold by chance with probability 5e-4.
    for name in ["people.open_concentration", "people.ratio_concentration"] {
        assert!(of(name).len() == 1 && of(name)[0] >= 2, "{held:?}");
    }
    for (name, least) in [("people.peak_shifts", 0.7), (".open_rate", 0.85), ("(given an open)", 0.85), (".timing.", 0.85)] {
        let (count, all) = (of(name).len() as f64, of(name).iter().sum::<u32>());
        assert!(f64::from(all) >= least * count * f64::from(seeds), "{name}: {all} of {count} a seed, {held:?}");
    }
}

#[test]
fn a_report_shows_how_people_differ() {
    let figure = |set: &[(&str, &str)]| {
        let run = Run::new("email", 3, &[set, &[("population.users", "350")]].concat());
        let made = families::report(run.path(), &report::Options::default(), &Watch::none(2)).unwrap();
        made.sections.into_iter().flat_map(|section| section.figures).find(|figure| figure.id == "own-rates")
    };
    assert!(figure(&[]).is_none());
    let figure = figure(&[ON]).expect("there is a figure of people");
    let numbers: Vec<f64> = figure.caption.split_whitespace().filter_map(|word| word.trim_end_matches('.').parse().ok()).collect();
    assert!(numbers[0] > 1.2 * numbers[1], "{}", figure.caption);
}
