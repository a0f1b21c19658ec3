//! Experiments: sound data passes, with every other mechanism of mail, and data with one constant moved does not.

use super::{answer, document, number};
use crate::support::{Run, SEASONS};

/// The constants, each with what it is moved to.
const CONSTANTS: [(&str, &str, &str); 10] = [
    ("unit", "user", "message"),
    ("variants", "{control: 0.5, emoji: 0.5}", "{control: 0.6, emoji: 0.4}"),
    ("campaigns", "[promotion, newsletter]", "[promotion]"),
    ("from_day", "7", "9"),
    ("days", "28", "34"),
    ("open", "1.25", "1.0"),
    ("open", "1.25", "1.5"),
    ("click", "1.3", "1.56"),
    ("heterogeneity_sd", "0.3", "0.0"),
    ("novelty", "{extra: 0.4, half_life_days: 7}", "{extra: 0.4, half_life_days: 14}"),
];

/// The section, with one constant moved.
fn section(moved: Option<usize>) -> String {
    let value = |key: &str| {
        let place = CONSTANTS.iter().position(|(own, ..)| *own == key).unwrap();
        let moved = moved.filter(|moved| CONSTANTS[*moved].0 == key);
        moved.map_or(CONSTANTS[place].1, |moved| CONSTANTS[moved].2)
    };
    let plain = ["unit", "variants", "campaigns", "from_day", "days", "heterogeneity_sd", "novelty"];
    let plain: Vec<String> = plain.iter().map(|key| format!("{key}: {}", value(key))).collect();
    format!(
        "{{subject_test: {{{}, effect: {{emoji: {{open: {}, click: {}}}}}}}, \
         layout: {{unit: message, variants: {{control: 0.3, dense: 0.7}}, days: 20, effect: {{dense: {{open: 0.9}}}}}}}}",
        plain.join(", "),
        value("open"),
        value("click")
    )
}

#[test]
fn sound_experiments_pass_and_moved_ones_do_not() {
    let own = section(None);
    let days = ("window.days", "49");
    let sound = |users: &str, seed: u64, others: &[(&str, &str)]| {
        let set = [&[("experiments", own.as_str()), ("population.users", users), days], others].concat();
        for scenario in ["email", "email-v1"].into_iter().take(if others.is_empty() { 2 } else { 1 }) {
            let report = answer(Run::new(scenario, seed, &set).path(), &document(scenario, &set));
            assert_eq!(
                report.failed,
                0,
                "{scenario}, seed {seed}, {others:?}: {}",
                report.failures().map(ToString::to_string).collect::<Vec<_>>().join("\n")
            );
        }
    };
    (0..number("POPULACE_SEEDS", 1)).for_each(|seed| sound("350", 4_000 + seed, &[]));
    sound("7", 5, &[]);
    let policy = "{base: {type: uniform}, explore: {share: 0.2}, holdout: {share: 0.1}}";
    sound("210", 6, &[("policy", policy), ("leaving", "{}")]);
    let blast = "[{name: one, campaign: promotion, date: 2025-10-20, hour: 9, minute: 30}]";
    sound(
        "210",
        7,
        &[SEASONS, ("machine_opens", "{}"), ("scanners", "{}"), ("people", "{}"), ("blasts", blast), ("timezone", "UTC+05:30")],
    );
    let run = |section: &str| Run::new("email", 7, &[("experiments", section), ("population.users", "1400"), days]);
    let held = document("email", &[("experiments", &own), ("population.users", "1400"), days]);
    for (place, &(key, _, becomes)) in CONSTANTS.iter().enumerate() {
        let report = answer(run(&section(Some(place))).path(), &held);
        println!("{key} {becomes}: {}", super::mutants::names(report.failures()));
        assert!(report.failed > 0, "nothing sees {key} = {becomes}");
    }
}

/// Without the truth the rows alone tell that an effect is missing, or a fifth too large.
#[test]
fn rows_alone_tell_of_an_effect() {
    let own = section(None);
    let set =
        |section: &str| [("experiments", section.to_owned()), ("population.users", "1400".to_owned()), ("window.days", "49".to_owned())];
    let of = |section: &str| {
        let set = set(section);
        let set: Vec<(&str, &str)> = set.iter().map(|(path, value)| (*path, value.as_str())).collect();
        let run = Run::new("email", 8, &set);
        let rows = tempfile::tempdir().unwrap();
        for file in std::fs::read_dir(run.path()).unwrap().flatten().filter(|file| file.path().extension().is_some_and(|end| end != "json"))
        {
            if file.path().is_file() && !file.file_name().to_string_lossy().contains("scenario") {
                std::fs::copy(file.path(), rows.path().join(file.file_name())).unwrap();
            }
        }
        rows
    };
    let mut held = document("email", &set(&own).each_ref().map(|(path, value)| (*path, value.as_str())));
    held.seed = Some(8);
    assert_eq!(answer(of(&own).path(), &held).failed, 0);
    for (place, becomes) in [(5, "1.0"), (6, "1.5")] {
        let report = answer(of(&section(Some(place))).path(), &held);
        let names: Vec<&str> = report.failures().map(|check| check.name.as_str()).collect();
        assert!(names.contains(&"opens by variant"), "{becomes}: {names:?}");
    }
}
