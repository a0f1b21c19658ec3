//! `populace policy replay`.

use super::support::{Scratch, digests, generate, manifest, populace, succeed, text};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The rows of a CSV table by column.
fn rows(path: &Path) -> Vec<BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let names: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let row = |record: csv::StringRecord| names.iter().cloned().zip(record.iter().map(str::to_owned)).collect();
    reader.records().map(|record| row(record.unwrap())).collect()
}

/// A schedule of what a run has sent.
fn sent(run: &Path) -> Vec<[String; 2]> {
    let events = rows(&run.join("events.csv"));
    let sent = events.iter().filter(|event| event["event_type"] == "sent");
    sent.map(|event| [event["recipient_id"].clone(), event["timestamp"].clone()]).collect()
}

#[test]
fn a_replay_of_what_was_done_is_what_was_done() {
    let scratch = Scratch::new("policy-same");
    let [log, again, csv, json] = ["log", "again", "of-csv", "of-json"].map(|name| scratch.path(name));
    generate("email", &log, &["-n", "40", "-d", "40", "-s", "7", "-f", "csv", "--policy", "scheduled"]);
    let shown = |path: &Path| path.to_str().unwrap().to_owned();
    succeed(&["policy", "replay", &shown(&log), "--policy", "scheduled", "-f", "csv", "-o", &shown(&again)]);
    assert_eq!(digests(&log), digests(&again));
    let (of_log, of_replay) = (manifest(&log), manifest(&again));
    assert!(of_log["run"].get("parent").is_none());
    assert_eq!(of_replay["run"]["parent"]["scenario_digest"], of_log["run"]["scenario_digest"]);
    assert_eq!(of_replay["run"]["parent"]["seed"], 7);

    // Its own schedule, in two formats and whatever order.
    let mut plan = sent(&log);
    plan.reverse();
    let (mine, lines) = (scratch.path("mine.csv"), scratch.path("mine.jsonl"));
    let as_csv: Vec<String> = plan.iter().map(|row| row.join(",")).collect();
    fs::write(&mine, format!("recipient_id,send_time\n{}\n", as_csv.join("\n"))).unwrap();
    let as_json: Vec<String> =
        plan.iter().map(|[recipient, time]| serde_json::json!({ "send_time": time, "recipient_id": recipient }).to_string()).collect();
    fs::write(&lines, as_json.join("\n") + "\n").unwrap();
    for (file, output) in [(&mine, &csv), (&lines, &json)] {
        succeed(&["policy", "replay", &shown(&log), "--schedule", &shown(file), "-f", "csv", "-o", &shown(output)]);
        let (mut old, mut new) = (digests(&log), digests(output));
        // Propensities are those of a schedule: 1.
        for table in ["decisions", "truth/decisions"] {
            assert!(old.remove(table).is_some() && new.remove(table).is_some());
        }
        assert_eq!(old, new, "{}", file.display());
        let ids = |run: &Path| -> Vec<[String; 3]> {
            let of = |row: &BTreeMap<String, String>| ["decision_id", "message_id", "action"].map(|column| row[column].clone());
            rows(&run.join("decisions.csv")).iter().filter(|row| !row["message_id"].is_empty()).map(of).collect()
        };
        assert_eq!(ids(&log), ids(output));
        succeed(&["verify", &shown(output)]);
    }

    // The document has the digest and not the rows.
    let scenario = shown(&csv.join("scenario.yaml"));
    let refused = populace(&["generate", &scenario, "-o", &shown(&scratch.path("none"))]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("--schedule"), "{}", text(&refused.stderr));
    let other = populace(&["generate", &scenario, "--schedule", &shown(&lines), "-o", &shown(&scratch.path("none"))]);
    assert_eq!(other.status.code(), Some(2));
    assert!(text(&other.stderr).contains("SHA-256"), "{}", text(&other.stderr));
    let same = scratch.path("same");
    succeed(&["generate", &scenario, "--schedule", &shown(&mine), "-f", "csv", "-j", "3", "-o", &shown(&same)]);
    assert_eq!(digests(&csv), digests(&same));
}

#[test]
fn rows_move_add_and_leave_out() {
    let scratch = Scratch::new("policy-rows");
    let [log, replay, mine] = ["log", "replay", "mine.csv"].map(|name| scratch.path(name).to_str().unwrap().to_owned());
    generate("email", log.as_ref(), &["-n", "10", "-d", "20", "-s", "7", "-f", "csv", "--policy", "explore", "--set", "hot_paths=null"]);
    let decisions = rows(&Path::new(&log).join("decisions.csv"));
    let id = |row: &BTreeMap<String, String>| row["decision_id"].clone();
    let of_first: Vec<_> = decisions.iter().filter(|row| row["recipient_id"] == "synth_user_01000" && row["arm"] != "holdout").collect();
    let moved = id(of_first[3]);
    let rest = "synth_user_01001,2025-10-05T09:00:00+02:00,,\n".repeat(9);
    fs::write(
        &mine,
        format!("recipient_id,send_time,campaign_id,decision_id\nsynth_user_01000,2025-10-02T06:00:00Z,welcome_series,{moved}\n{rest}"),
    )
    .unwrap();
    succeed(&["policy", "replay", &log, "--schedule", &mine, "-f", "csv", "-o", &replay]);
    let replayed = rows(&Path::new(&replay).join("decisions.csv"));
    let sent: Vec<_> = replayed.iter().filter(|row| row["reason"] != "skip").collect();
    assert_eq!(sent.len(), 10);
    let found = sent.iter().find(|row| row["recipient_id"] == "synth_user_01000").unwrap();
    assert_eq!(
        (found["decision_id"].as_str(), found["campaign_id"].as_str(), found["action"].as_str()),
        (moved.as_str(), "welcome_series", "6")
    );
    assert!(sent.iter().filter(|row| row["recipient_id"] == "synth_user_01001").all(|row| row["due_date"] == "2025-10-05"));
    // What was due and is not in the schedule is a decision, too.
    assert!(replayed.len() > decisions.len() && replayed.iter().filter(|row| row["reason"] == "skip").count() > 20);
    let ids: std::collections::BTreeSet<_> = replayed.iter().map(&id).collect();
    assert_eq!(ids.len(), replayed.len());
    assert!(decisions.iter().all(|row| ids.contains(&id(row))));
}

#[test]
fn all_that_is_wrong_with_a_schedule_is_said_at_once() {
    let scratch = Scratch::new("policy-dirty");
    let [log, mine, replay] = ["log", "mine.csv", "replay"].map(|name| scratch.path(name).to_str().unwrap().to_owned());
    generate("email", log.as_ref(), &["-n", "10", "-d", "20", "-s", "7", "-f", "csv"]);
    let id = "01999d99-782c-74df-bfc2-25a75fca8f65";
    fs::write(
        &mine,
        format!(
            "recipient_id,send_time,campaign_id,subject,decision_id\n\
             synth_user_09999,2025-10-02T06:00:00Z,,,\n\
             synth_user_01000,2026-10-02T06:00:00Z,,,\n\
             synth_user_01000,2025-10-02T06:00:00Z,welcome_serie,,\n\
             synth_user_01000,2025-10-02 06:00:00,,,\n\
             synth_user_01000,soon,,Nothing at all,\n\
             synth_user_01000,,,,here\n\
             synth_user_01000,2025-10-02T06:00:00Z,,,{id}\n\
             ,2025-10-02T06:00:00Z,,,\n\
             synth_user_01000,2025-10-03T06:00:00Z,,,{id}\n"
        ),
    )
    .unwrap();
    let refused = populace(&["policy", "replay", &log, "--schedule", &mine, "-o", &replay]);
    assert_eq!(refused.status.code(), Some(2));
    let said = text(&refused.stderr);
    for part in [
        "row 1, recipient_id: `synth_user_09999` is no recipient of the run; there are 10",
        "row 2, send_time: 2026-10-02T06:00:00",
        "row 3, campaign_id: `welcome_serie` is no campaign that is scheduled",
        "row 4, send_time: `2025-10-02 06:00:00` has no zone",
        "row 5, send_time: `soon` is no moment",
        "row 5, subject: `Nothing at all` is no subject",
        "row 6, send_time: is empty",
        "row 6, decision_id: `here` is not a UUID",
        "row 8, recipient_id: is empty",
        "row 9, decision_id: is that of row 7, too",
    ] {
        assert!(said.contains(part), "{part} is not in\n{said}");
    }
    assert_eq!(said.lines().filter(|line| line.contains("mine.csv: row ")).count(), 10, "{said}");
    assert!(!fs::exists(&replay).unwrap());
}

/// Experiments in a policy's file are those of the document; a decision says the variant of its message; what is wrong has its line.
#[test]
fn experiments_stand_beside_a_policy_in_its_file() {
    let scratch = Scratch::new("policy-experiments");
    let own = "experiments:\n  ab: {variants: {control: .5, b: .5}, from_day: 3, days: 10, effect: {b: {open: 1.3}}}\n";
    let policy = "policy:\n  base: {type: uniform}\n";
    let files = [("both", format!("{policy}{own}")), ("alone", own.to_owned()), ("bare", format!("base: {{type: uniform}}\n{own}"))];
    let run = |name: &str, arguments: &[&str]| {
        let directory = scratch.path(name);
        generate("email", &directory, &[&["-n", "40", "-d", "20", "-s", "7", "-f", "csv"], arguments].concat());
        directory
    };
    let runs = files.map(|(name, text)| {
        let file = scratch.path(&format!("{name}.yaml"));
        fs::write(&file, text).unwrap();
        succeed(&["check", file.to_str().unwrap()]);
        run(name, &["--policy", file.to_str().unwrap()])
    });
    let set = run("set", &["--set", "experiments={ab: {variants: {control: .5, b: .5}, from_day: 3, days: 10, effect: {b: {open: 1.3}}}}"]);
    assert_eq!(digests(&runs[0]), digests(&runs[2]));
    assert_eq!(digests(&runs[1]), digests(&set));
    assert!(!digests(&set).contains_key("decisions") && digests(&runs[0]).contains_key("truth/potential_outcomes"));
    succeed(&["verify", runs[0].to_str().unwrap()]);
    let decisions = rows(&runs[0].join("decisions.csv"));
    let (of, none): (Vec<_>, Vec<_>) = decisions.iter().partition(|row| !row["variant"].is_empty());
    assert!(of.len() > 100 && none.len() > 100);
    assert!(of.iter().all(|row| [r#"{"ab":"b"}"#, r#"{"ab":"control"}"#].contains(&row["variant"].as_str())));
    assert!(of.iter().all(|row| row["variant_propensity"] == "0.5") && none.iter().all(|row| row["variant_propensity"].is_empty()));

    let bad = scratch.path("bad.yaml");
    let text = "experiments:\n  ab:\n    variants: {control: .5, b: .4}\n    campaigns: [promotoin]\n    days: 300\n    effect: {c: {open: 1.3}}\n";
    fs::write(&bad, text).unwrap();
    let output = populace(&["generate", "email", "--policy", bad.to_str().unwrap(), "-o", scratch.path("none").to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    let said = super::support::text(&output.stderr);
    for problem in [
        "bad.yaml:3:15: experiments.ab.variants: the probabilities must sum to 1, got 0.9",
        "bad.yaml:4:17: experiments.ab.campaigns.0: `promotoin` is not a campaign",
        "hint: did you mean `promotion`?",
        "bad.yaml:5:11: experiments.ab.days: must end within the window",
        "bad.yaml:6:17: experiments.ab.effect.c: `c` is not a variant",
    ] {
        assert!(said.contains(problem), "{problem}: {said}");
    }
    fs::write(&bad, format!("{own}{}", &own["experiments:\n".len()..])).unwrap();
    let twice = populace(&["check", bad.to_str().unwrap()]);
    assert!(twice.status.code() == Some(2) && super::support::text(&twice.stderr).contains("bad.yaml:3:3"), "{twice:?}");
}
