//! Bad input: one clear message, exit code 2, nothing written.

use super::support::{Scratch, populace, succeed, text};
use std::fs;

fn refused(arguments: &[&str]) -> String {
    let output = populace(arguments);
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {message}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
    message
}

#[test]
fn wrong_options_name_the_option_the_rule_and_the_value() {
    let scratch = Scratch::new("options");
    let out = scratch.path("out");
    let out = out.to_str().unwrap();
    for (arguments, expected) in [
        (&["traces", "-n", "0"][..], "--users 0: population.users: must be from 1 to 1000000000000, got `0`"),
        (&["traces", "-d", "0"], "--days 0: window.days: must be from 1 to 36500, got `0`"),
        (&["traces", "--set", "sessions.mean=nine"], "sessions.mean: must be a number, got the text `nine`"),
        (&["traces", "--set", "sessions.meen=9"], "did you mean `mean`?"),
        (&["traces", "--set", "sessions.mean"], "must be PATH=VALUE"),
        (&["traces", "--set", "sessions={mean: 1, sd: 4}"], "no count on 1, 2, … has mean 1 and sd 4"),
        (&["traces", "--cascade-failure-rate", "1.5"], "cascade_failure_rate: must be from 0 to 1, got `1.5`"),
        (&["trace"], "did you mean `traces`?"),
        (&["nowhere.yaml"], "nowhere.yaml"),
        (&["email", "--profile", "dens"], "did you mean `dense`?"),
        (&["churn", "--target-churn-rate", "0.99"], "no base rate gives a churn rate of 0.99"),
        (&["traces", "--target-churn-rate", "0.3"], "--target-churn-rate is for churn, and traces is of traces"),
        (&["traces", "--paid-ratio", "0.3"], "--paid-ratio is for churn, and traces is of traces"),
        (&["traces", "--workflow", "nowhere.yaml"], "nowhere.yaml"),
        (&["traces", "--table", "call"], "did you mean `calls`?"),
        (&["traces", "--table", "xyz"], "tables: calls, sessions"),
        (&["traces", "-f", "csv", "--compression", "snappy"], "csv files can be compressed with none, zstd, gzip"),
        (&["traces", "--parts", "3", "--part", "3"], "--part: must be from 0 to 2"),
        (&["traces", "--count", "0"], "must be a whole number of at least 1, such as 2500, 10K"),
        (&["email", "--no-latent"], "--no-latent is for churn"),
        (&["email", "--set", "personas.night_owl.open_rate=1.4"], "personas.night_owl.open_rate: must be from 0 to 1, got `1.4`"),
        (&["churn", "--users", "-3"], "invalid value '-3' for '--users <N>'"),
        (&["traces", "--start", "2026-02-30"], "2026-02-30"),
        (&["email", "--set", "personas.nightowl.open_rate=.4"], "did you mean `personas.night_owl`?"),
        (&["traces", "--workflow", "ecomerce"], "did you mean `ecommerce`?"),
        (&["traces", "-n", "1.5"], "for '--users <N>': must be a whole number, such as 2500, 10K, 1e6 or 1_000_000"),
        (&["traces", "-n", "1,000"], "must be a whole number"),
        (&["traces", "-s", "seed"], "for '--seed <N>': must be a whole number"),
        (&["traces", "-j", "5000"], "for '--threads <N>': must be a whole number from 1 to 1,024"),
        (&["traces", "--parts", "0"], "must be a whole number from 1 to 100,000"),
        (&["traces", "--file-rows", "1023"], "must be a whole number of at least 1,024"),
        (&["traces", "--cascade-failure-rate", "x"], "must be a number, such as 0.05"),
        (&["churn", "--target-churn-rate", "30%"], "must be a number; write 30% as 0.3"),
        (&["churn", "--paid-ratio", "nan"], "must be a number, such as 0.05"),
        (&["churn", "--start", "tomorrow"], "is not a date of the form YYYY-MM-DD"),
        (&["traces", "--compression", "zst"], "`zst` is none of none, zstd, zstd:1 to zstd:19, snappy, lz4, gzip"),
        (&["traces", "--events", "0"], "must be a whole number from 1 to"),
        (&["traces", "--events", "10M", "-n", "5"], "cannot be used with"),
        (&["traces", "--recipients", "5"], "a similar argument exists: '--users'"),
        (&["traces", "--rows", "5"], "a similar argument exists: '--count'"),
        (&["traces", "--usres", "5"], "a similar argument exists: '--users'"),
        (&["traces", "-f", "xml"], "possible values: parquet, csv, jsonl, arrow"),
    ] {
        let message = refused(&[&["generate"], arguments, &["-o", out]].concat());
        assert!(message.contains(expected), "{arguments:?}: {message}");
        assert!(!scratch.path("out").exists(), "{arguments:?} wrote something");
    }
}

#[test]
fn a_directory_that_cannot_be_written_is_an_error() {
    let scratch = Scratch::new("unwritable");
    let file = scratch.path("file");
    fs::write(&file, "mine").unwrap();
    let message = refused(&["generate", "traces", "-n", "5", "-o", file.to_str().unwrap()]);
    assert!(message.contains("is a file; choose another directory with -o"), "{message}");
    let message = refused(&["generate", "traces", "-n", "5", "-o", file.join("below").to_str().unwrap()]);
    assert!(message.contains("Not a directory"), "{message}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
}

#[test]
fn replay_and_inspect_say_what_is_missing() {
    let scratch = Scratch::new("missing");
    assert!(refused(&["replay", "traces", "--actor", "1"]).contains("give the seed of the run"));
    assert!(refused(&["replay", "traces", "-s", "1", "-n", "10", "--actor", "10"]).contains("must be from 0 to 9, got 10"));
    assert!(refused(&["inspect", scratch.path("nowhere").to_str().unwrap()]).contains("there is no complete run"));
}

/// The seed's first example: one endpoint leads nowhere.
const FIRST_EXAMPLE: &str = "\
name: ecommerce
entry_points:
  /api/login: 0.6
  /api/browse: 0.4
transitions:
  /api/login:
    /api/profile: 0.8
    /api/browse: 0.2
  /api/profile:
    /api/browse: 0.7
    /api/logout: 0.3
exit_points: [/api/logout]
avg_response_times:
  /api/login: 120
  /api/profile: 80
  /api/browse: 200
";

#[test]
fn a_workflow_is_checked_as_a_whole() {
    let scratch = Scratch::new("workflow");
    let file = scratch.path("workflow.yaml");
    let shown = file.to_str().unwrap();
    fs::write(&file, FIRST_EXAMPLE).unwrap();
    let message = refused(&["check", shown]);
    assert_eq!(message.lines().filter(|line| line.contains(shown)).count(), 1, "{message}");
    assert!(message.contains("/api/browse: dead end"), "{message}");
    assert_eq!(message, refused(&["generate", "traces", "--workflow", shown, "--summary"]));

    fs::write(&file, FIRST_EXAMPLE.replace("[/api/logout]", "[/api/logout, /api/browse]")).unwrap();
    assert!(refused(&["generate", shown]).contains("is a workflow, not a scenario"));
    let checked = succeed(&["check", shown]);
    assert_eq!(text(&checked.stderr), format!("{shown}: a valid workflow, no problem\n"));
    let calls = succeed(&["generate", "traces", "--workflow", shown, "-n", "5", "-s", "1", "-f", "csv", "-o", "-"]);
    assert!(text(&calls.stdout).contains("/api/profile"));

    // What the schema finds (the length) does not hide what the workflow's own checks find.
    let late = FIRST_EXAMPLE.replace("0.7", "0.8").replace("0.4", "-0.4").replace("[/api/logout]", "[]") + "max_length: 0\nmethods: null\n";
    fs::write(&file, late).unwrap();
    let message = refused(&["check", shown]);
    for part in [
        "workflow.yaml:4:",
        "must be a probability",
        "must sum to 1",
        "needs at least one exit point",
        "dead end",
        "max_length: must be",
        "problems",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
}

#[test]
fn problems_are_reported_together_each_in_its_place() {
    let scratch = Scratch::new("problems");
    let file = scratch.path("mine.yaml");
    let text =
        "extends: email\ntimezone: Europe/Nowhere\npersonaz: {}\npopulation:\n  users: .nan\n  userz: 3\nwindow:\n  start: 2025-13-01\n";
    fs::write(&file, text).unwrap();
    let message = refused(&["check", file.to_str().unwrap()]);
    for part in [
        ":2:11: timezone: must be an offset such as UTC, UTC+02:00 or UTC-03:30, at most 14 hours, got `Europe/Nowhere`",
        ":3:1: personaz: unknown key",
        ":5:10: population.users: must be a finite number, got `.nan`",
        ":6:3: population.userz: unknown key",
        ":8:10: window.start: must be a date",
        "5 problems",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
}

/// What the standard library says of text that it cannot read, which says nothing of what can be read.
const RAW: [&str; 9] = [
    "invalid digit",
    "invalid float",
    "cannot parse integer",
    "number too large",
    "number too small",
    "invalid socket address",
    "provided string was not",
    "in 1..",
    "in 0..",
];

/// The options of a command that take a value, by its help.
fn options_with_values(command: &[&str]) -> Vec<String> {
    let help = text(&succeed(&[command, &["-h"]].concat()).stdout);
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let option = |line: &str| {
        let words = words(line);
        let place = words.iter().take(2).position(|word| word.starts_with("--"))?;
        words.get(place + 1).filter(|value| value.starts_with('<')).map(|_| words[place].clone())
    };
    help.lines().filter(|line| line.trim_start().starts_with('-')).filter_map(option).collect()
}

#[test]
fn no_option_answers_with_the_words_of_a_parser() {
    let scratch = Scratch::new("raw");
    let (out, data) = (scratch.path("out"), scratch.path("flow"));
    let commands: [(&[&str], &[&str]); 13] = [
        (&["generate"], &["traces", "--dry-run"]),
        (&["stream"], &["email", "--to", "http://127.0.0.1:1"]),
        (&["consume"], &["--from", "kafka://127.0.0.1:1/x", "--to", "clickhouse://u:p@127.0.0.1:1"]),
        (&["replay"], &["traces", "--actor", "0"]),
        (&["plan"], &["email", "--detect", "list"]),
        (&["inspect"], &["nowhere"]),
        (&["report"], &["nowhere"]),
        (&["features"], &["nowhere"]),
        (&["verify"], &["nowhere"]),
        (&["recover"], &["nowhere"]),
        (&["score"], &["open", "nowhere", "nothing"]),
        (&["prepare", "churn"], &["nowhere", "nothing"]),
        (&["serve"], &["--embedded", "--data", data.to_str().unwrap()]),
    ];
    let mut tried = 0;
    for (command, rest) in commands {
        for option in options_with_values(command) {
            for value in ["1x", "9e99", "-7.5.1", "99999999999999999999999", ""] {
                // Names of files, directories and URLs can be anything; what is written is written here.
                if ["--output", "--data", "--token-file", "--identity-key-file", "--features-from"].contains(&&*option) {
                    continue;
                }
                let given = format!("{option}={value}");
                let mut arguments = [command, rest, &[given.as_str()]].concat();
                if command == ["generate"] {
                    arguments.extend(["-o", out.to_str().unwrap()]);
                }
                let output = populace(&arguments);
                let message = text(&output.stderr);
                assert!(RAW.iter().all(|raw| !message.contains(raw)), "{command:?} {given}: {message}");
                assert!(!message.contains("panicked"), "{command:?} {given}: {message}");
                tried += 1;
            }
        }
    }
    assert!(tried > 300, "{tried}");
    assert!(!out.exists());
}

#[test]
fn counts_are_taken_as_people_write_them() {
    let rows = |count: &str| {
        let output = succeed(&["generate", "traces", "-s", "1", "-n", "2K", "--count", count, "--dry-run", "--json"]);
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        report["tables"]["calls"]["rows"].as_u64().unwrap()
    };
    for count in ["5000", "5K", "5e3", "5_000", "0.005M"] {
        assert_eq!(rows(count), 5_000, "{count}");
    }
}

#[test]
fn a_number_of_events_gives_the_number_of_users() {
    for (scenario, table) in [("email", "events"), ("email-v1", "events"), ("traces", "calls"), ("churn", "events")] {
        let arguments = ["generate", scenario, "-s", "3", "--events", "300K", "--dry-run"];
        let report: serde_json::Value = serde_json::from_slice(&succeed(&[&arguments[..], &["--json", "-q"]].concat()).stdout).unwrap();
        let rows = report["tables"][table]["rows"].as_f64().unwrap();
        // Users differ, at most about as much as their mean; there are more than 500 of them.
        assert!((rows / 300_000.0 - 1.0).abs() < 0.1, "{scenario}: {rows}");
        let message = text(&succeed(&arguments).stderr);
        assert!(message.contains(&format!("rows of {table} are expected")), "{message}");
    }
}

#[test]
fn commands_and_documents_have_near_names() {
    let scratch = Scratch::new("near");
    for (arguments, expected) in [
        (&["generat", "email"][..], "a similar subcommand exists: 'generate'"),
        (&["man", "generat"], "did you mean `generate`?"),
        (&["man", "scenarios", "lst"], "did you mean `list`?"),
        (&["scenarios", "show", "emial"], "did you mean `email`?"),
        (&["scenarios", "schema", "chrn"], "did you mean `churn`?"),
        (&["score", "opne", "a", "b"], "a similar value exists: 'open'"),
        (&["plan", "email", "--detect", "fatige"], "did you mean `fatigue`"),
        (&["plan", "email", "--effect", "fatigue"], "a similar argument exists: '--detect'"),
        (&["replay", "email", "--events", "5"], "unexpected argument '--events'"),
        (&["stream", "email", "--count", "5"], "a similar argument exists: '--events'"),
        (&["flow", "demo", "--events", "5"], "a similar argument exists: '--count'"),
        (&["serve", "--listen", "localhost"], "must be an IP address and a port, such as 127.0.0.1:5215"),
        (&["serve", "--embedded", "--table", "clickhouse://h"], "cannot be used with"),
        (&["generate", "email", "-o", "s3://bucket/run"], "--features s3"),
        (&["generate", "email", "-o", "gs://bucket/run"], "--features gcs"),
    ] {
        let message = refused(arguments);
        assert!(message.contains(expected), "{arguments:?}: {message}");
        assert!(!message.contains("as a value, use '--"), "{arguments:?}: {message}");
    }
    let file = scratch.path("document.yaml");
    for (document, expected, others) in [
        ("version: 1\nscenario: churn\npaid_ratio: .3\n", "did you mean `extends: churn`?", 1),
        ("version: 1\nscenario: churn\npaid_ration: .3\n", "did you mean `paid_ratio`?", 2),
        ("version: 1\nscenario: email-v1\nseed: 3\n", "did you mean `extends: email-v1`?", 1),
        ("extend: churn\npaid_ratio: .3\n", "extend: unknown key\n    hint: did you mean `extends`?", 1),
        ("extends: email\npersonas: {nightowl: {open_rate: .4}}\n", "did you mean `personas.night_owl`?", 1),
        ("extends: emial\n", "did you mean `email`?", 1),
    ] {
        fs::write(&file, document).unwrap();
        let message = refused(&["check", file.to_str().unwrap()]);
        assert!(message.contains(expected), "{document}: {message}");
        assert_eq!(message.matches("hint:").count(), others, "{document}: {message}");
    }
}
