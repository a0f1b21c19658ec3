//! Results are never written over data.

use super::support::{Scratch, generate, populace, text};
use std::fs;

#[test]
fn a_result_is_not_written_over_data_or_predictions() {
    let scratch = Scratch::new("outputs");
    let run = scratch.path("run");
    generate("email", &run, &["-n", "5", "-s", "1", "-f", "csv"]);
    let run = run.to_str().unwrap();
    let scores = scratch.path("scores.json");
    fs::write(&scores, "[]").unwrap();
    let scores = scores.to_str().unwrap();
    let events = format!("{run}/events.csv");
    let manifest = format!("{run}/manifest.json");
    let before = (fs::read(&events).unwrap(), fs::read(&manifest).unwrap());
    let same: &[&[&str]] = &[
        &["verify", run, "-o", &events],
        &["verify", run, "-o", &manifest],
        &["recover", run, "-o", &events],
        &["score", "open", run, scores, "-o", scores],
        &["score", "open", run, scores, "--rows", scores],
        &["score", "open", run, scores, "-o", "/nowhere/card.json"],
    ];
    for arguments in same {
        let output = populace(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", text(&output.stderr));
        assert!(output.stdout.is_empty());
    }
    assert_eq!((fs::read(&events).unwrap(), fs::read(&manifest).unwrap()), before);
    assert_eq!(fs::read_to_string(scores).unwrap(), "[]");
}

#[test]
fn a_plan_keeps_shares_between_0_and_1() {
    let planned = populace(&["plan", "email", "--detect", "delivery"]);
    let printed = text(&planned.stdout);
    assert!(planned.status.success() && printed.contains("0.8910"), "{printed}{}", text(&planned.stderr));
    let refused = populace(&["plan", "email", "--detect", "delivery", "--at", "1.5"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("from 0 to 1, got 1.5"), "{}", text(&refused.stderr));
}
