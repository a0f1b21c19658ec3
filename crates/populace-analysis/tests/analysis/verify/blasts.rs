//! Blasts and the minute of sends: sound data passes, and data with one constant moved does not.

use super::{answer, document, keys, number};
use crate::support::{Run, SEASONS};

/// The constants, each with what it is moved to.
const CONSTANTS: [(&str, &str, &str); 7] = [
    ("campaign", "promotion", "newsletter"),
    ("share", "0.8", "0.64"),
    ("date", "2025-11-28", "2025-11-29"),
    ("hour", "9", "10"),
    ("clock", "recipients", "utc"),
    ("queue_length", "100000", "120000"),
    ("rate_per_second", "100", "120"),
];

/// The section, with one constant moved.
fn section(moved: Option<usize>) -> String {
    let keys = keys(CONSTANTS.into_iter(), moved);
    format!("[{{name: one, {keys}}}, {{name: two, campaign: newsletter, date: 2025-12-02, hour: 18, minute: 30}}]")
}

#[test]
fn sound_blasts_pass_and_moved_ones_do_not() {
    let own = section(None);
    let clock = ("timezone", "UTC+05:30");
    let sound = |users: &str, seed: u64, others: &[(&str, &str)]| {
        let set = [others, &[("blasts", own.as_str()), ("population.users", users)]].concat();
        for scenario in ["email", "email-v1"].into_iter().take(if others.is_empty() { 2 } else { 1 }) {
            let report = answer(Run::new(scenario, seed, &set).path(), &document(scenario, &set));
            assert_eq!(
                report.failed,
                0,
                "{scenario}, seed {seed}: {}",
                report.failures().map(ToString::to_string).collect::<Vec<_>>().join("\n")
            );
        }
    };
    (0..number("POPULACE_SEEDS", 2)).for_each(|seed| sound("350", 4_000 + seed, &[("send_minute", "clustered")]));
    for users in ["1", "7", "1400"] {
        sound(users, 5, &[]);
    }
    sound("140", 6, &[SEASONS, ("machine_opens", "{}"), ("scanners", "{}"), clock]);
    for (place, &(key, _, becomes)) in CONSTANTS.iter().enumerate() {
        let moved = section(Some(place));
        let run = Run::new("email", 7, &[("blasts", &moved), ("population.users", "700"), clock]);
        let report = answer(run.path(), &document("email", &[("blasts", &own), ("population.users", "700"), clock]));
        println!("{key} {becomes}: {}", super::mutants::names(report.failures()));
        assert!(report.failed > 0, "nothing sees {key} = {becomes}");
    }
    let run = Run::new("email", 7, &[("send_minute", "clustered")]);
    assert!(answer(run.path(), &document("email", &[])).failed > 0, "nothing sees that sends are clustered");
}
