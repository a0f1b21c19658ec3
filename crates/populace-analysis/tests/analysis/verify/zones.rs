//! Time zones: sound data passes, whoever's clock sends are by, and data with one constant moved does not. With `POPULACE_MUTANTS` in
//! the environment also with other mechanisms, and with more constants.

use super::{answer, document};
use crate::support::{MIXTURE, Run, SEASONS};

const ZONES: &str = "{zones: {America/New_York: 0.3, Asia/Kolkata: 0.2, Australia/Sydney: 0.1, Europe/Berlin: 0.4}, known_share: 0.8}";

#[test]
fn sound_zones_pass_and_moved_ones_do_not() {
    let on = |users: &'static str| [("timezones", ZONES), ("population.users", users)];
    let sound = |seed: u64, users: &'static str, others: &[(&str, &str)]| {
        let set = [&on(users)[..], others].concat();
        let report = answer(Run::new("email", seed, &set).path(), &document("email", &set));
        let failures: Vec<_> = report.failures().map(ToString::to_string).collect();
        assert!(failures.is_empty(), "seed {seed} {others:?}: {}", failures.join("\n"));
    };
    sound(2_000, "140", &[]);
    let is_long = std::env::var_os("POPULACE_MUTANTS").is_some();
    if is_long {
        sound(2_001, "140", &[SEASONS, ("sends.clock", "utc"), ("circuit_breakers.suppress_sends", "true"), ("people", "{}")]);
        sound(2_002, "70", &[SEASONS, MIXTURE, ("machine_opens", "{}")]);
    }
    sound(5, "1", &[]);
    for (key, moved, users) in [
        (
            "timezones.zones.Europe/Berlin",
            "{zones: {America/New_York: 0.3, Asia/Kolkata: 0.2, Australia/Sydney: 0.1, Europe/Berlin: 0.3}}",
            "140",
        ),
        (
            "timezones.known_share",
            "{zones: {America/New_York: 0.3, Asia/Kolkata: 0.2, Australia/Sydney: 0.1, Europe/Berlin: 0.4}, known_share: 0.7}",
            "140",
        ),
        ("a zone", "{zones: {America/New_York: 0.3, Asia/Kolkata: 0.2, Australia/Brisbane: 0.1, Europe/Berlin: 0.4}}", "140"),
    ]
    .into_iter()
    .take(if is_long { 3 } else { 1 })
    {
        let run = Run::new("email", 7, &[("timezones", moved), ("population.users", users)]);
        let report = answer(run.path(), &document("email", &on(users)));
        println!("{key}: {}", super::mutants::names(report.failures()));
        assert!(report.failed > 0, "nothing sees {key}");
    }
    let days = [("window.days", "63")];
    let run = Run::new("email", 7, &[&on("700")[..], &days, &[("sends.clock", "utc")]].concat());
    let report = answer(run.path(), &document("email", &[&on("700")[..], &days].concat()));
    let failed: Vec<_> = report.failures().map(ToString::to_string).collect();
    for claim in ["move in UTC", "fall into the window", "before and after clocks are turned"] {
        assert!(failed.iter().any(|failure| failure.contains(claim)), "{claim} is not in {failed:#?}");
    }
}
