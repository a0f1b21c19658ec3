//! Clicks by scanners: sound data passes, and data with one constant moved by a fifth does not.

use super::{answer, document, keys, number};
use crate::support::{MIXTURE, Run, SEASONS};

/// The constants, each with what a fifth makes of it, and the users among whom that shows.
const CONSTANTS: [(&str, &str, &str, &str); 10] = [
    ("user_share", "0.12", "0.144", "350"),
    ("probability", "0.9", "0.72", "350"),
    ("links", "8", "10", "35"),
    ("fast_share", "0.8", "0.64", "350"),
    ("fast_median_seconds", "3", "3.6", "700"),
    ("fast_sigma", "0.8", "0.64", "700"),
    ("slow_minutes", "{low: 1, high: 30}", "{low: 1, high: 24}", "700"),
    ("gap_seconds", "{low: 0.05, high: 0.5}", "{low: 0.06, high: 0.5}", "350"),
    ("pixel_share", "0.5", "0.4", "350"),
    ("user_agents", "[one, two]", "[two]", "350"),
];

/// The section, with one constant moved.
fn section(moved: Option<usize>) -> String {
    let keys = keys(CONSTANTS.iter().map(|(key, is, becomes, _)| (*key, *is, *becomes)), moved);
    format!("{{{keys}}}")
}

#[test]
fn sound_scanners_pass_and_moved_ones_do_not() {
    let own = section(None);
    let sound = |users: &str, seed: u64, others: &[(&str, &str)]| {
        let set = [others, &[("scanners", own.as_str()), ("population.users", users)]].concat();
        let report = answer(Run::new("email", seed, &set).path(), &document("email", &set));
        assert_eq!(report.failed, 0, "seed {seed}: {}", report.failures().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
    };
    (0..number("POPULACE_SEEDS", 2)).for_each(|seed| sound("350", 3_000 + seed, &[]));
    for users in ["1", "7", "1400"] {
        sound(users, 5, &[]);
    }
    sound("140", 6, &[SEASONS, MIXTURE, ("machine_opens", "{}"), ("timezone", "UTC+05:30")]);
    for (place, &(key, _, becomes, users)) in CONSTANTS.iter().enumerate() {
        let moved = section(Some(place));
        let run = Run::new("email", 7, &[("scanners", &moved), ("population.users", users)]);
        let report = answer(run.path(), &document("email", &[("scanners", &own), ("population.users", users)]));
        println!("{key} {becomes}: {}", super::mutants::names(report.failures()));
        assert!(report.failed > 0, "nothing sees {key} = {becomes}");
    }
}

#[test]
fn scans_that_unsubscribe_pass_and_another_share_does_not() {
    const OWN: &str = "{user_share: 0.6, unsubscribe_on_get: 0.5}";
    let set = |scanners| [("scanners", scanners), ("leaving", "{}"), ("population.users", "350"), ("window.days", "40")];
    let expected = document("email", &set(OWN));
    for seed in 0..number("POPULACE_SEEDS", 1) {
        let report = answer(Run::new("email", 5_000 + seed, &set(OWN)).path(), &expected);
        assert_eq!(report.failed, 0, "seed {seed}: {}", report.failures().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
    }
    for moved in ["{user_share: 0.6, unsubscribe_on_get: 0.85}", "{user_share: 0.6}"] {
        assert!(answer(Run::new("email", 7, &set(moved)).path(), &expected).failed > 0, "nothing sees {moved}");
    }
}
