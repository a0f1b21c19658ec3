//! Opens by machines: sound data passes, and data with one constant moved by a fifth does not.

use super::{answer, document, keys, number};
use crate::support::{MIXTURE, Run, SEASONS};

/// The constants, each with what a fifth makes of it, and the users among whom that shows.
const CONSTANTS: [(&str, &str, &str, &str); 9] = [
    ("user_share", "0.3", "0.36", "350"),
    ("probability", "0.95", "0.99", "2100"),
    ("soon_share", "0.05", "0.06", MANY),
    ("soon_median_minutes", "3", "3.6", MANY),
    ("soon_sigma", "1.5", "1.2", MANY),
    ("night_begins", "22", "23", "350"),
    ("night_ends", "6", "5", "350"),
    ("user_agent", "Mozilla/5.0", "Mozilla/5.1", "35"),
    ("flagged_by", "[sendgrid]", "[]", "35"),
];
/// Of the long campaign alone.
const MANY: &str = "10500";

/// The section, with one constant moved.
fn section(moved: Option<usize>) -> String {
    let keys = keys(CONSTANTS.iter().map(|(key, is, becomes, _)| (*key, *is, *becomes)), moved);
    format!("{{{keys}}}")
}

#[test]
fn sound_machines_pass_and_moved_ones_do_not() {
    let own = section(None);
    let sound = |users: &str, seed: u64, others: &[(&str, &str)]| {
        let set = [others, &[("machine_opens", own.as_str()), ("population.users", users)]].concat();
        let report = answer(Run::new("email", seed, &set).path(), &document("email", &set));
        assert_eq!(report.failed, 0, "seed {seed}: {}", report.failures().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
    };
    (0..number("POPULACE_SEEDS", 2)).for_each(|seed| sound("350", 2_000 + seed, &[]));
    for users in ["1", "7", "2100"] {
        sound(users, 5, &[]);
    }
    sound("140", 6, &[SEASONS, MIXTURE, ("timezone", "UTC+05:30")]);
    let all = std::env::var_os("POPULACE_MUTANTS").is_some();
    for (place, &(key, _, becomes, users)) in CONSTANTS.iter().enumerate().filter(|(_, constant)| all || constant.3 != MANY) {
        let moved = section(Some(place));
        let run = Run::new("email", 7, &[("machine_opens", &moved), ("population.users", users)]);
        let report = answer(run.path(), &document("email", &[("machine_opens", &own), ("population.users", users)]));
        println!("{key} {becomes}: {}", super::mutants::names(report.failures()));
        assert!(report.failed > 0, "nothing sees {key} = {becomes}");
    }
}
