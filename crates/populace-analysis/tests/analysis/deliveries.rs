//! Attempts at delivery: sound data passes and moved constants do not, what is due is counted, parameters are recovered, and the report
//! shows what was deferred and what bounced.

use crate::support::{MIXTURE, Run, SEASONS, document};
use populace_analysis::families::{self, recover, verify};
use populace_analysis::features::{self, Curve};
use populace_analysis::report;
use populace_analysis::source::{As, Columns, TableSource, Want};
use populace_analysis::verify::{DEFAULT_ALPHA, Report, Verdict};
use populace_analysis::watch::Watch;
use populace_core::email::EmailModel;
use populace_core::scenario::Scenario;
use populace_core::time::{DAY, Instant};
use populace_io::document::Resolved;

/// The constants, each with what a fifth or so makes of it, and the users among whom that shows.
const CONSTANTS: [(&str, &str, &str, &str); 10] = [
    ("probability", "0.03", "0.036", "700"),
    ("probability_again", "0.35", "0.28", MANY),
    ("busy_minutes", "[0, 1, 2, 30, 31]", "[0, 1, 2, 30]", "350"),
    ("busy_factor", "3", "3.6", MANY),
    (
        "provider_factors",
        "{gmail: 0.7, yahoo: 1.3, outlook: 1.2, apple: 0.7, other: 1.0}",
        "{gmail: 0.84, yahoo: 1.3, outlook: 1.2, apple: 0.7, other: 1.0}",
        MANY,
    ),
    ("causes", "{greylist: 0.5, rate: 0.3, server: 0.2}", "{greylist: 0.6, rate: 0.3, server: 0.2}", MANY),
    ("wait_factor", "{low: 0.8, high: 1.2}", "{low: 0.64, high: 1.2}", "35"),
    ("give_up_hours", "72", "60", "70"),
    ("full_mailboxes", "{share: 0.008, mean_days: 10}", "{share: 0.008, mean_days: 12}", "140"),
    ("dead_addresses", "{initial_share: 0.004, per_day: 0.00025}", "{initial_share: 0.004, per_day: 0.0003}", "350"),
];

/// Of the long campaign alone.
const MANY: &str = "2100";

/// The section, with one constant moved.
fn section(moved: Option<usize>) -> String {
    let pairs = CONSTANTS.iter().enumerate().map(|(place, (key, is, becomes, _))| {
        let value = if moved == Some(place) { becomes } else { is };
        format!("{key}: {value}")
    });
    format!("{{probability: null, attempts: {{{}}}}}", pairs.collect::<Vec<_>>().join(", "))
}

fn answer(run: &Run, document: &Resolved) -> Report {
    verify(&run.source(), document, DEFAULT_ALPHA, &Watch::none(2)).unwrap()
}

#[test]
fn sound_deliveries_pass_and_moved_ones_do_not() {
    let own = section(None);
    let sound = |users: &str, seed: u64, others: &[(&str, &str)]| {
        let set = [others, &[("delivery", own.as_str()), ("population.users", users)]].concat();
        let report = answer(&Run::new("email", seed, &set), &document("email", &set));
        assert_eq!(report.failed, 0, "seed {seed}: {}", report.failures().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
        let checks: Vec<&str> =
            report.checks.iter().filter(|check| check.verdict == Verdict::Pass).map(|check| check.name.as_str()).collect();
        if users == "700" {
            for name in ["first attempts deferred, by mailbox provider and minute", "waits between attempts", "causes of deferrals"] {
                assert!(checks.contains(&name), "{name} was not examined: {checks:?}");
            }
        }
    };
    for (users, seed) in [("700", 2_000), ("350", 2_001), ("7", 3), ("1", 4)] {
        sound(users, seed, &[]);
    }
    sound("140", 6, &[SEASONS, MIXTURE, ("timezone", "UTC+05:30"), ("machine_opens", "{}")]);
    sound("140", 8, &[("circuit_breakers.suppress_sends", "true")]);
    let all = std::env::var_os("POPULACE_MUTANTS").is_some();
    for (place, &(key, _, becomes, users)) in CONSTANTS.iter().enumerate().filter(|(_, constant)| all || constant.3 != MANY) {
        let moved = section(Some(place));
        let run = Run::new("email", 7, &[("delivery", &moved), ("population.users", users)]);
        let report = answer(&run, &document("email", &[("delivery", &own), ("population.users", users)]));
        assert!(report.failed > 0, "nothing sees {key} = {becomes}");
    }
}

#[test]
fn parameters_of_attempts_are_recovered() {
    let names =
        ["delivery.attempts.probability × provider_factors.gmail", "delivery.attempts.busy_factor", "delivery.attempts.probability_again"];
    let (mut held, mut full) = ([0; 3], 0);
    for seed in 0..10 {
        let run = Run::new("email", seed, &[("delivery", &section(None)), ("population.users", "350")]);
        let source = run.source();
        let recovery = recover(&source, &source.scenario().unwrap(), 0.95, &Watch::none(2)).unwrap();
        let find = |name: &str| recovery.estimates.iter().find(|estimate| estimate.parameter == name);
        for (held, name) in held.iter_mut().zip(names) {
            *held += u32::from(find(name).unwrap_or_else(|| panic!("{name} is not estimated")).covered);
        }
        full += u32::from(find("delivery.attempts.full_mailboxes.share").is_some());
        assert!(find("delivery.attempts.dead_addresses.per_day").is_some() && find("sends.per_day").unwrap().covered);
    }
    // Of ten intervals of 95%, fewer than seven hold by chance with probability 1e-4.
    assert!(held.iter().all(|held| *held >= 7) && full > 5, "{held:?}, {full}");
}

#[test]
fn features_count_bounces_and_what_was_dropped_is_none() {
    let run = Run::new("email", 5, &[("delivery", &section(None)), ("population.users", "350")]);
    let output = tempfile::tempdir().unwrap();
    let options = features::Options { curve: Curve::None, ..features::Options::new(run.path(), output.path()) };
    families::compute_features(&options, &Watch::none(2)).unwrap();
    let source = TableSource::file(&output.path().join("features.parquet")).unwrap();
    let wants = [Want::new("bounced_30d", As::Int), Want::new("delivered_30d", As::Int)];
    let mut counts = [0; 2];
    for batch in source.read(&wants).unwrap() {
        let batch = batch.unwrap();
        for (count, want) in counts.iter_mut().zip(wants) {
            *count += batch.int(want.name).values().iter().sum::<i64>();
        }
    }
    let now = run.source().model::<EmailModel>().unwrap().window().end().plus(-DAY);
    let mut expected = 0;
    for batch in
        run.source().table("events").unwrap().read(&[Want::new("event_type", As::Text), Want::new("timestamp", As::Instant)]).unwrap()
    {
        let batch = batch.unwrap();
        let (types, times) = (batch.text("event_type"), batch.instant("timestamp"));
        expected +=
            (0..batch.num_rows()).filter(|row| types.value(*row) == "bounced" && now.since(Instant(times.value(*row))) < 25 * DAY).count();
    }
    assert!(counts[0] > 10 && counts[0] < counts[1] / 20 && counts[0] >= expected as i64, "{counts:?}, {expected}");
}

#[test]
fn a_report_shows_what_was_deferred_and_what_bounced() {
    let run = Run::new("email", 3, &[("delivery", &section(None)), ("population.users", "700")]);
    let mut counts = [0_u64; 2];
    for batch in
        run.source().table("events").unwrap().read(&[Want::new("event_type", As::Text), Want::nullable("attempt", As::Int)]).unwrap()
    {
        let batch = batch.unwrap();
        let (types, attempts) = (batch.text("event_type"), batch.int("attempt"));
        for row in 0..batch.num_rows() {
            counts[0] += u64::from(types.value(row) == "sent");
            counts[1] += u64::from(types.value(row) == "deferred" && attempts.value(row) == 1);
        }
    }
    let made = families::report(run.path(), &report::Options::default(), &Watch::none(2)).unwrap();
    let figures: Vec<_> = made.sections.iter().flat_map(|section| &section.figures).collect();
    let caption = |id: &str| &figures.iter().find(|figure| figure.id == id).unwrap_or_else(|| panic!("there is no figure {id}")).caption;
    let share = format!("{:.1}% of the messages were deferred", 100.0 * counts[1] as f64 / counts[0] as f64);
    assert!(caption("deferrals").starts_with(&share), "{} is not {share}", caption("deferrals"));
    assert!(caption("bounces").contains("bounced hard"), "{}", caption("bounces"));
    let plain = Run::new("email", 3, &[("population.users", "35")]);
    let made = families::report(plain.path(), &report::Options::default(), &Watch::none(2)).unwrap();
    assert!(made.sections.iter().flat_map(|section| &section.figures).all(|figure| figure.id != "deferrals"));
}
