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
        (&["traces", "--table", "call"], "there is no such table; there are calls, sessions"),
        (&["traces", "-f", "csv", "--compression", "snappy"], "csv files can be compressed with none, zstd, gzip"),
        (&["traces", "--parts", "3", "--part", "3"], "--part: must be from 0 to 2"),
        (&["traces", "--count", "0"], "--count: must be at least 1"),
        (&["email", "--no-latent"], "--no-latent is for churn"),
        (&["email", "--set", "personas.night_owl.open_rate=1.4"], "personas.night_owl.open_rate: must be from 0 to 1, got `1.4`"),
        (&["churn", "--users", "-3"], "invalid value '-3' for '--users <N>'"),
        (&["traces", "--start", "2026-02-30"], "2026-02-30"),
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
