//! Seasons and mixtures of open delays: what reads data back knows them.

use crate::support::{MIXTURE, Run, SEASONS, answer, document};
use populace_analysis::families::{self, plan, recover};
use populace_analysis::plan::{Study, Target};
use populace_analysis::report;
use populace_analysis::stats;
use populace_analysis::watch::Watch;

const BOTH: [(&str, &str); 2] = [SEASONS, MIXTURE];

#[test]
fn sound_data_passes_the_answer_key() {
    for seed in 1..=2 {
        let set = [&BOTH[..], &[("timezone", "UTC+05:30")]].concat();
        let failures: Vec<String> = answer(&set, seed, &set).failures().map(ToString::to_string).collect();
        assert!(failures.is_empty(), "seed {seed}: {}", failures.join("\n"));
    }
}

#[test]
fn what_is_missing_or_moved_is_caught() {
    let other = |from: &str, to: &str| SEASONS.1.replacen(from, to, 1);
    let moved = [
        ("calendar", "[]".to_owned(), "scheduled sends by day"),
        ("calendar", other("volume: 1.5", "volume: 1.25"), "scheduled sends by day"),
        ("calendar", other("open: 0.8", "open: 0.96"), "opens by season"),
        ("calendar", other("click: 1.2", "click: 1.0"), "clicks of opens by season"),
        ("calendar", other("n: 4}", "n: 3}"), "scheduled sends by day"),
        ("open_delay", "attention".to_owned(), "delays of opens by persona"),
    ];
    for (path, value, check) in moved {
        let users = ("population.users", "1400");
        let own = BOTH.into_iter().find(|(of, _)| *of == path).expect("one of both is moved");
        let found = answer(&[(path, &value), users], 5, &[own, users]);
        assert!(found.failures().any(|failure| failure.name == check), "{path} {value}: {found}");
    }
}

#[test]
fn strengths_and_weights_are_recovered() {
    let set = [&BOTH[..], &[("population.users", "700")]].concat();
    let (mut held, mut of) = (0, 0);
    for seed in 0..6 {
        let source = Run::new("email", seed, &set);
        let recovery = recover(&source.source(), &document("email", &set), 0.9, &Watch::none(2)).unwrap();
        let names = recovery.estimates.iter().filter(|estimate| {
            ["calendar.", "open_mixture."].iter().any(|own| estimate.parameter.starts_with(own)) || estimate.parameter == "sends.per_day"
        });
        for estimate in names {
            let errors = (estimate.estimate - estimate.truth).abs() / estimate.standard_error;
            held += u64::from(estimate.covered);
            of += 1;
            assert!(errors < 5.0 || estimate.covered, "{}: {} instead of {}", estimate.parameter, estimate.estimate, estimate.truth);
        }
        let truth =
            |parameter: &str| recovery.estimate(parameter).unwrap_or_else(|| panic!("{parameter}: {:?}", recovery.not_estimated)).truth;
        for (parameter, expected) in [
            ("calendar.quiet.volume", 0.8),
            ("calendar.quiet.open", 1.1),
            ("calendar.quiet.click", 1.0),
            ("calendar.cyber week, quiet.volume", 1.2),
            ("calendar.cyber week, quiet.open", 0.88),
            ("calendar.cyber week, quiet.click", 1.2),
            ("open_mixture.components.1.weight (share)", 0.46),
        ] {
            assert!((truth(parameter) - expected).abs() < 1e-9, "{parameter}: {}", truth(parameter));
        }
    }
    assert!(of >= 60 && stats::binomial(held, of, 0.9) > 1e-4, "{held} of {of}");
}

#[test]
fn a_study_of_a_season_can_be_planned() {
    let document = document("email", &BOTH);
    for detect in ["season", "open_delay"] {
        let study = Study { detect, target: Target::Change(0.2), power: 0.8, alpha: 0.05, pilot_users: Some(300) };
        let found = plan(&document, &study, &Watch::none(2)).unwrap_or_else(|error| panic!("{detect}: {error}"));
        assert!(found.to_string().contains(if detect == "season" { "calendar.quiet" } else { "open_mixture" }), "{found}");
    }
}

#[test]
fn a_report_has_their_figures() {
    let run = Run::new("email", 7, &BOTH);
    let options = report::Options { verify: false, ..report::Options::default() };
    let found = serde_json::to_value(families::report(run.path(), &options, &Watch::none(2)).unwrap()).unwrap();
    let figures: Vec<_> = found["sections"].as_array().unwrap().iter().flat_map(|of| of["figures"].as_array().unwrap()).collect();
    let figure = |id: &str| figures.iter().find(|figure| figure["id"] == id).unwrap_or_else(|| panic!("no figure {id}")).to_string();
    assert!(figure("season").contains("cyber week, quiet") && figure("season").contains("no season"));
    assert!(figure("open-delay").contains("> 336 h"), "{}", figure("open-delay"));
    assert!(figures.len() > 13);
}
