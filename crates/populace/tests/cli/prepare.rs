//! `populace prepare churn`.

use super::support::{Scratch, generate, populace, succeed, text};
use std::fs;

#[test]
fn the_report_is_printed_for_people_and_as_json() {
    let scratch = Scratch::new("prepare");
    let (raw, out) = (scratch.path("raw"), scratch.path("out"));
    generate("churn", &raw, &["-n", "30", "-d", "20", "-s", "3"]);
    let (raw, out) = (raw.to_str().unwrap(), out.to_str().unwrap());
    let users = fs::read_to_string(scratch.path("raw/users.csv")).unwrap();
    fs::write(scratch.path("raw/users.csv"), users + "31,2025-01-01, PAID ,1,IN,ads,.5\n31,2025-01-01,paid,1,IN,ads,.5\n").unwrap();

    let printed = text(&succeed(&["prepare", "churn", raw, out]).stderr);
    for part in [
        "the files are not those of manifest.json",
        "user_id_duplicate",
        "(first at users.csv:33)",
        "plan_normalised",
        "31 users x 20 days",
    ] {
        assert!(printed.contains(part), "{part}: {printed}");
    }
    let again = populace(&["prepare", "churn", raw, out]);
    assert_eq!(again.status.code(), Some(2));
    assert!(text(&again.stderr).contains("is there already; replace it with --overwrite"));

    let json = succeed(&["prepare", "churn", raw, out, "--overwrite", "--json", "--format", "parquet"]);
    let report: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert!(json.stderr.is_empty());
    assert_eq!((&report["users"]["read"], &report["users"]["kept"], &report["users"]["dropped_rows"]), (&32.into(), &31.into(), &1.into()));
    assert_eq!(report["user_daily"]["rows"], 620);
    let on_file: serde_json::Value = serde_json::from_slice(&fs::read(scratch.path("out/prepare_report.json")).unwrap()).unwrap();
    assert_eq!(report, on_file);
    assert!(scratch.path("out/user_daily.parquet").is_file() && !scratch.path("out/user_daily.csv").exists());
    let named = succeed(&["prepare", "churn", "--raw-dir", raw, "--processed-dir", out, "--overwrite", "--json", "--format", "parquet"]);
    assert_eq!(named.stdout, json.stdout, "by the names of the described script");
    for wrong in
        [&["prepare", "churn", raw][..], &["prepare", "churn", raw, out, "--raw-dir", raw], &["prepare", "churn", "--raw-dir", raw]]
    {
        assert_eq!(populace(wrong).status.code(), Some(2), "{wrong:?}");
    }
    let quiet = text(&succeed(&["prepare", "churn", raw, out, "--overwrite", "-q"]).stderr);
    assert!(quiet.starts_with("the files are not those of manifest.json") && quiet.lines().count() == 1, "{quiet}");
}

#[test]
fn bad_input_is_refused_and_leaves_nothing() {
    let scratch = Scratch::new("prepare-bad");
    let out = scratch.path("out");
    for (raw, expected) in [("nowhere", "is not a directory"), (".", "has no table users")] {
        let refused = populace(&["prepare", "churn", scratch.path(raw).to_str().unwrap(), out.to_str().unwrap()]);
        assert_eq!(refused.status.code(), Some(2));
        assert!(text(&refused.stderr).contains(expected), "{}", text(&refused.stderr));
        assert!(!out.exists());
    }
}
