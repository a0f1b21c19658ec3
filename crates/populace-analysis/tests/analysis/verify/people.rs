//! People who differ: sound data passes, and data with one constant moved by a fifth does not.

use super::{answer, document, number};
use crate::support::{MIXTURE, Run, SEASONS};

const OWN: &str = "{open_concentration: 8, ratio_concentration: 12, peak_shifts: [0.1, 0.2, 0.4, 0.2, 0.1]}";
/// Sections with one constant moved, and the users and days in which that shows.
const MOVED: [(&str, &str, &str); 5] = [
    ("{open_concentration: 6.4}", "2100", "3"),
    ("{ratio_concentration: 14.4}", "4200", "3"),
    ("{peak_shifts: [0.1, 0.2, 0.48, 0.2, 0.1]}", "2100", "3"),
    ("{open_concentration: null}", "140", "30"),
    ("{peak_shifts: [1]}", "140", "101"),
];

#[test]
fn sound_people_pass_and_moved_ones_do_not() {
    let sound = |users: &str, seed: u64, others: &[(&str, &str)]| {
        let set = [others, &[("people", OWN), ("population.users", users)]].concat();
        let report = answer(Run::new("email", seed, &set).path(), &document("email", &set));
        assert_eq!(report.failed, 0, "seed {seed}: {}", report.failures().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
    };
    (0..number("POPULACE_SEEDS", 1)).for_each(|seed| sound("350", 3_000 + seed, &[]));
    sound("1", 5, &[]);
    sound("700", 5, &[("window.days", "30")]);
    sound("70", 6, &[SEASONS, MIXTURE, ("timezone", "UTC+05:30"), ("machine_opens", "{}")]);
    for (moved, users, days) in MOVED {
        let short = [("population.users", users), ("window.days", days)];
        let run = Run::new("email", 7, &[&short[..], &[("people", moved)]].concat());
        let report = answer(run.path(), &document("email", &[&short[..], &[("people", OWN)]].concat()));
        println!("{moved}: {}", super::mutants::names(report.failures()));
        assert!(report.failed > 0, "nothing sees {moved}");
    }
}
