//! The same data, however it is made.

use super::support::{SCENARIOS, Scratch, assert_same, digests, files, generate, populace, succeed, text};
use std::fmt::Write;
use std::fs;
use std::path::Path;

/// The scenarios with users and a setting, most of them as it is; churn also with its events numbered by the row, which needs the rows
/// before.
const RUNS: [(&str, &str, &str); 5] = {
    let [email, v1, traces, churn] = SCENARIOS;
    let mail = "sends.per_day=0.8";
    [
        (email.0, email.1, mail),
        (v1.0, v1.1, mail),
        (traces.0, traces.1, "sessions.mean=3"),
        (churn.0, churn.1, "paid_ratio=0.35"),
        (churn.0, churn.1, BY_ROW),
    ]
};
const BY_ROW: &str = "event_ids=sequential";

#[test]
fn output_does_not_depend_on_thread_count() {
    let scratch = Scratch::new("threads");
    for (scenario, users, set) in RUNS {
        for (format, order) in [("csv", "actor"), ("jsonl", "actor"), ("parquet", "actor"), ("arrow", "time"), ("csv", "time")] {
            let run = |threads: &str| {
                let path = scratch.path(&format!("{scenario}-{set}-{format}-{order}-{threads}"));
                // Small row groups, so that there are units enough to go round.
                let more =
                    ["-n", users, "-s", "7", "--set", set, "-f", format, "--order", order, "-j", threads, "--row-group-rows", "8192"];
                generate(scenario, &path, &more);
                path
            };
            let one = run("1");
            for threads in ["2", "3", "8"] {
                assert_same(&one, &run(threads), &format!("{scenario} {format} {order} by {threads} threads"));
            }
        }
    }
}

#[test]
fn digests_do_not_depend_on_format_order_or_parts() {
    let scratch = Scratch::new("formats");
    for (scenario, users, set) in RUNS {
        let run = |name: &str, more: &[&str]| {
            let path = scratch.path(&format!("{scenario}-{set}-{name}"));
            generate(scenario, &path, &[&["-n", users, "-s", "7", "--set", set], more].concat());
            digests(&path)
        };
        let csv = run("csv", &["-f", "csv"]);
        assert!(csv.values().all(|table| !table.starts_with("0 ")), "{scenario}: every table has rows: {csv:?}");
        for (name, more) in [
            ("jsonl", &["-f", "jsonl"][..]),
            ("parquet", &["-f", "parquet"]),
            ("arrow", &["-f", "arrow"]),
            ("gzip", &["-f", "csv", "--compression", "gzip"]),
            ("time", &["-f", "parquet", "--order", "time"]),
            ("parts", &["-f", "parquet", "--parts", "7"]),
            ("files", &["-f", "parquet", "--file-rows", "1024", "--row-group-rows", "1024"]),
        ] {
            assert_eq!(csv, run(name, more), "{scenario} as {name}");
        }
    }
}

#[test]
fn parts_joined_are_the_whole() {
    let scratch = Scratch::new("parts");
    for (scenario, users, set) in RUNS {
        let whole = scratch.path(&format!("{scenario}-{set}-whole"));
        generate(scenario, &whole, &["-n", users, "-s", "7", "-f", "csv", "--set", set]);
        let parts = scratch.path(&format!("{scenario}-{set}-parts"));
        // One process a part, in any order; the last writes the manifest.
        for part in ["2", "0", "1"] {
            assert!(!parts.join("manifest.json").exists());
            generate(scenario, &parts, &["-n", users, "-s", "7", "-f", "csv", "--set", set, "--parts", "3", "--part", part]);
        }
        assert_eq!(digests(&whole), digests(&parts), "{scenario}");
        let parts = files(&parts);
        for (name, bytes) in files(&whole) {
            let Some(table) = name.strip_suffix(".csv") else { continue };
            let pieces = parts.iter().filter(|(part, _)| part.starts_with(&format!("{table}/part-")));
            let mut joined = Vec::new();
            for (index, (_, piece)) in pieces.enumerate() {
                let header = piece.iter().position(|byte| *byte == b'\n').unwrap() + 1;
                joined.extend_from_slice(if index == 0 { piece } else { &piece[header..] });
            }
            assert!(joined == bytes, "{scenario}: {name}");
        }
    }
}

#[test]
fn a_smaller_population_is_a_prefix_of_a_larger_one() {
    let scratch = Scratch::new("prefix");
    for (scenario, _) in SCENARIOS {
        let run = |users: &str| {
            let path = scratch.path(&format!("{scenario}-{users}"));
            generate(scenario, &path, &["-n", users, "-s", "7", "-f", "csv"]);
            files(&path)
        };
        let (few, many) = (run("17"), run("40"));
        for (name, bytes) in few.iter().filter(|(name, _)| !["scenario.yaml", "manifest.json"].contains(&name.as_str())) {
            assert!(many[name].starts_with(bytes), "{scenario}: {name}");
        }
    }
}

/// The lines of a table of email up to a date.
fn lines_before(root: &Path, file: &str, column: &str, until: &str) -> Vec<String> {
    let text = fs::read_to_string(root.join(file)).unwrap();
    let place = text.lines().next().unwrap().split(',').position(|name| name == column).unwrap();
    let kept = text.lines().skip(1).filter(|line| line.split(',').nth(place).is_some_and(|value| value < until));
    kept.map(str::to_owned).collect()
}

#[test]
fn fewer_days_of_email_are_a_prefix_of_more() {
    let scratch = Scratch::new("days");
    for scenario in ["email", "email-v1"] {
        let run = |days: &str| {
            let path = scratch.path(&format!("{scenario}-{days}"));
            generate(scenario, &path, &["-n", "40", "-s", "7", "-d", days, "-f", "csv"]);
            path
        };
        let (short, long) = (run("20"), run("50"));
        // event_id to timestamp hold no comma, so a plain split finds them.
        let [short, long] = [short, long].map(|path| lines_before(&path, "events.csv", "timestamp", "2025-10-21"));
        assert!(short.len() > 500);
        assert_eq!(short, long, "{scenario}");
    }
}

#[test]
fn a_run_is_made_again_by_its_own_scenario_file() {
    let scratch = Scratch::new("again");
    for (scenario, users) in SCENARIOS {
        let first = scratch.path(&format!("{scenario}-first"));
        generate(scenario, &first, &["-n", users, "-d", "40", "-s", "7", "-f", "csv"]);
        let second = scratch.path(&format!("{scenario}-second"));
        generate(first.join("scenario.yaml").to_str().unwrap(), &second, &["-f", "csv"]);
        assert_same(&first, &second, scenario);
    }
}

#[test]
fn a_replayed_actor_has_the_rows_of_the_full_run() {
    let scratch = Scratch::new("replay");
    for (scenario, _, set) in RUNS {
        let run = scratch.path(&format!("{scenario}-{set}"));
        generate(scenario, &run, &["-n", "30", "-s", "7", "-f", "jsonl", "--set", set]);
        let files = files(&run);
        let mut counts = std::collections::BTreeMap::<String, usize>::new();
        for actor in ["0", "11", "29"] {
            let rows = text(&succeed(&["replay", scenario, "-n", "30", "-s", "7", "--actor", actor, "--set", set]).stdout);
            assert!(rows.lines().count() > 3, "{scenario} {actor}");
            for row in rows.lines() {
                let (table, rest) = row.strip_prefix("{\"table\":\"").unwrap().split_once("\",").unwrap();
                let file = text(&files[&format!("{table}.jsonl")]);
                // Only a number among all rows is given at writing, so that a replay leaves it out; all else is as in the file.
                assert_eq!(table == "events" && !rest.contains("event_id"), set == BY_ROW && table == "events", "{rest}");
                let found = file.lines().any(|line| line.ends_with(rest));
                assert!(found, "{scenario}, actor {actor}, {table}: {rest}");
                *counts.entry(table.to_owned()).or_default() += 1;
            }
        }
        assert!(counts.len() > 2, "{scenario}: {counts:?}");
    }
}

#[test]
fn a_count_of_rows_cuts_the_main_table_there() {
    let scratch = Scratch::new("count");
    for (scenario, main) in [("email", "events"), ("traces", "calls"), ("churn", "events")] {
        let [all, some] = ["all", "some"].map(|name| scratch.path(&format!("{scenario}-{name}")));
        generate(scenario, &all, &["-n", "30", "-s", "7", "-f", "csv"]);
        generate(scenario, &some, &["-n", "30", "-s", "7", "-f", "csv", "--count", "100"]);
        let [all, some] = [all, some].map(|path| fs::read_to_string(path.join(format!("{main}.csv"))).unwrap());
        assert_eq!(some.lines().count(), 101, "{scenario}");
        assert!(all.starts_with(&some), "{scenario}");
    }
}

/// The digests of fixed runs stand on file: whatever changes a value, in any build, shows here. `UPDATE_GOLDEN=1` writes the file,
/// which goes with a new `VALUES_VERSION` and a section of the changelog.
#[test]
fn golden_digests() {
    let scratch = Scratch::new("golden");
    let mut page = String::new();
    let runs: [(&str, &[&str]); 6] = [
        ("email", &["-n", "60"]),
        ("email-v1", &["-n", "60"]),
        ("email", &["-n", "10", "-d", "20", "--profile", "dense"]),
        ("traces", &["-n", "200", "--cascade-failure-rate", "0.3"]),
        ("traces", &["-n", "200", "--workflow", "microservices"]),
        ("churn", &["-n", "50"]),
    ];
    for (index, (scenario, more)) in runs.iter().enumerate() {
        let path = scratch.path(&index.to_string());
        generate(scenario, &path, &[&["-s", "42"], *more].concat());
        for (table, digest) in digests(&path) {
            writeln!(page, "{scenario} {}: {table}: {digest}", more.join(" ")).unwrap();
        }
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&file, &page).unwrap();
    }
    assert_eq!(fs::read_to_string(&file).unwrap_or_default(), page, "the values have changed; see `UPDATE_GOLDEN` here");
}

#[test]
fn the_summary_is_what_comes_out() {
    for (scenario, users, main) in [("traces", "20000", "calls"), ("churn", "2000", "events"), ("email", "3500", "events")] {
        let arguments = ["generate", scenario, "-n", users, "-s", "5", "--json"];
        let json =
            |more: &str| -> serde_json::Value { serde_json::from_slice(&succeed(&[&arguments[..], &[more]].concat()).stdout).unwrap() };
        let made = json("--dry-run")["tables"][main]["rows"].as_f64().unwrap();
        let expected = json("--summary");
        let groups = expected["expected"]["groups"].as_array().unwrap();
        let rows = |group: usize| groups[group]["rows"].as_array().unwrap().iter();
        let count = |row: &serde_json::Value| row[1].as_array().unwrap().last().unwrap().as_f64().unwrap();
        // A scenario names the rows of its main table, or lists them by type first.
        let named = (0..groups.len()).flat_map(rows).find(|row| row[0] == main || row[0] == "all").map(count);
        let expected = named.unwrap_or_else(|| rows(0).map(count).sum());
        assert!((made / expected - 1.0).abs() < 0.015, "{scenario}: {made} rows, {expected} expected");
    }
}

#[test]
fn without_a_seed_one_is_drawn_told_and_recorded() {
    let scratch = Scratch::new("seed");
    let path = scratch.path("run");
    let output = populace(&["generate", "traces", "-n", "5", "-o", path.to_str().unwrap()]);
    let seed = super::support::manifest(&path)["run"]["seed"].as_u64().unwrap();
    assert!(text(&output.stderr).contains(&format!("seed {seed} (drawn;")), "{}", text(&output.stderr));
    let again = scratch.path("again");
    generate("traces", &again, &["-n", "5", "-s", &seed.to_string()]);
    assert_same(&path, &again, "the drawn seed");
}
