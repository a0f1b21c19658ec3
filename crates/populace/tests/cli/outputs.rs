//! Results are never written over data.

use super::support::{Scratch, digests, files, generate, populace, succeed, text};
use std::fs;
use std::path::Path;

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

#[test]
fn a_table_of_several_files_is_a_directory_that_every_command_reads_whole() {
    let scratch = Scratch::new("several");
    let [one, several] = ["one", "several"].map(|name| scratch.path(name));
    let shown = several.to_str().unwrap();
    generate("churn", &one, &["-n", "120", "-s", "7", "-f", "parquet"]);
    let rolled = ["generate", "churn", "-n", "120", "-s", "7", "-f", "parquet", "--file-rows", "4K", "--row-group-rows", "2K", "-o", shown];
    let message = text(&succeed(&rolled).stderr);
    assert!(message.contains(&format!("'{shown}/events/part-*.parquet' in DuckDB")), "{message}");
    assert!(message.contains(&format!("pandas.read_parquet('{shown}/events')")), "{message}");
    let events: Vec<String> = files(&several).into_keys().filter(|name| name.starts_with("events")).collect();
    assert!(events.len() > 3, "{events:?}");
    let named = (0..events.len()).map(|index| format!("events/part-{index:05}.parquet"));
    assert_eq!(events, named.collect::<Vec<_>>(), "one pattern names all of them");
    assert!(several.join("users.parquet").is_file(), "a table of one file has its own name");
    assert_eq!(digests(&one), digests(&several));

    let report = |command: &str, directory: &Path| -> serde_json::Value {
        let output = scratch.path("result.json");
        let arguments = [command, directory.to_str().unwrap(), "--json", "--no-progress", "-o", output.to_str().unwrap()];
        serde_json::from_slice(&succeed(&arguments).stdout).unwrap()
    };
    for (has_manifest, command) in [(true, "verify"), (true, "recover"), (false, "recover")] {
        if !has_manifest {
            fs::remove_file(several.join("manifest.json")).unwrap();
        }
        let found = |directory: &Path| {
            let report = report(command, directory);
            let verdict = |check: &serde_json::Value| (check["name"].clone(), check["verdict"].clone());
            let verdicts: Vec<_> = report["checks"].as_array().into_iter().flatten().map(verdict).collect();
            // Sums are added file by file, so their last digits differ.
            let estimate = |row: &serde_json::Value| {
                (row["parameter"].clone(), row["n"].clone(), row["estimate"].as_f64().map(|value| format!("{value:.9}")))
            };
            let estimates: Vec<_> = report["estimates"].as_array().into_iter().flatten().map(estimate).collect();
            assert!(verdicts.len().max(estimates.len()) > 10, "{report}");
            assert!(verdicts.iter().all(|(_, verdict)| verdict == "pass"), "{report}");
            (estimates, verdicts)
        };
        assert_eq!(found(&one), found(&several), "{command}, with a manifest: {has_manifest}");
    }
    let whole = text(&populace(&["generate", "churn", "-n", "120", "-o", shown]).stderr);
    assert!(whole.contains("exists and is not part of a known run"), "{whole}");

    let stream = populace(&["generate", "churn", "-n", "120", "-s", "7", "-f", "parquet", "--file-rows", "4K", "-o", "-"]);
    assert_eq!(stream.status.code(), Some(2));
    assert!(text(&stream.stderr).contains("standard output is one file"), "{}", text(&stream.stderr));
}
