//! `populace verify`.

use crate::support::{SCENARIOS, Scratch, generate, populace, succeed, text};
use serde_json::Value;
use std::fs;

#[test]
fn verify_passes_sound_data_and_fails_what_another_scenario_made() {
    let scratch = Scratch::new("verify");
    let data = scratch.path("data");
    let directory = data.to_str().unwrap();
    generate("email", &data, &["--users", "100", "--days", "40", "--seed", "3", "--no-truth"]);
    let output = succeed(&["verify", directory]);
    let lines = text(&output.stdout);
    assert!(lines.contains("ok   exact        every event_id is there once"), "{lines}");
    assert!(lines.trim_end().lines().last().unwrap().starts_with("email: ") && lines.contains(" 0 failed"), "{lines}");
    let verdicts: Value = serde_json::from_slice(&fs::read(data.join("verify.json")).unwrap()).unwrap();
    assert_eq!(verdicts["failed"], 0);
    assert_eq!(
        verdicts["passed"].as_u64().unwrap() + verdicts["skipped"].as_u64().unwrap(),
        verdicts["checks"].as_array().unwrap().len() as u64
    );

    // The scenario of the same size, with more mail.
    let other = scratch.path("other.yaml");
    fs::write(&other, "version: 1\nextends: email\npopulation: {users: 100}\nwindow: {days: 40}\nsends: {per_day: 1.2}\n").unwrap();
    let elsewhere = scratch.path("verdicts.json");
    let arguments = ["verify", directory, "--scenario", other.to_str().unwrap(), "--json", "-o", elsewhere.to_str().unwrap()];
    let output = populace(&arguments);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert_eq!(output.stdout, fs::read(&elsewhere).unwrap());
    let verdicts: Value = serde_json::from_slice(&output.stdout).unwrap();
    let failed: Vec<&str> = verdicts["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|check| check["verdict"] == "fail")
        .map(|check| check["name"].as_str().unwrap())
        .collect();
    assert!(failed.contains(&"scheduled sends"), "{failed:?}");
    let output = populace(&["verify", directory, "--scenario", other.to_str().unwrap()]);
    assert!(text(&output.stdout).contains("judged by another document than the run's: "), "{}", text(&output.stdout));
}

#[test]
fn an_edited_scenario_is_found_in_every_command() {
    let scratch = Scratch::new("verify-edited");
    for (scenario, users, key, score) in [
        ("email", "40", "open_rate:", &["open"][..]),
        ("traces", "40", "cascade_failure_rate:", &["anomaly"]),
        ("churn", "40", "churn_base_rate:", &["churn"]),
    ] {
        let data = scratch.path(scenario);
        let directory = data.to_str().unwrap();
        generate(scenario, &data, &["--users", users, "--days", "20", "--seed", "3"]);
        let path = data.join("scenario.yaml");
        let document = fs::read_to_string(&path).unwrap();
        let line = document.lines().find(|line| line.trim_start().starts_with(key)).unwrap_or_else(|| panic!("{key} in {document}"));
        fs::write(&path, document.replacen(line, &format!("{} 0.123", &line[..=line.find(':').unwrap()]), 1)).unwrap();
        let predictions = scratch.path("predictions.csv");
        fs::write(&predictions, "message_id,score\n").unwrap();
        let scored = [&["score"], score, &[directory, predictions.to_str().unwrap()]].concat();
        for arguments in [vec!["verify", directory], vec!["recover", directory], vec!["report", directory], scored] {
            let output = populace(&arguments);
            assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", text(&output.stdout));
            let message = text(&output.stderr);
            assert!(message.contains("is not the document that the run was generated from"), "{arguments:?}: {message}");
        }
        // Comments and the order of keys are no change.
        fs::write(&path, format!("# as it was\n{document}")).unwrap();
        succeed(&["recover", directory]);
    }
}

#[test]
fn verify_fails_where_rows_are_left_out() {
    let scratch = Scratch::new("verify-lost");
    let data = scratch.path("data");
    generate("traces", &data, &["--users", "30", "--seed", "3", "-f", "csv"]);
    fs::remove_file(data.join("manifest.json")).unwrap();
    let calls = fs::read_to_string(data.join("calls.csv")).unwrap();
    let (arguments, rule) = (["verify", data.to_str().unwrap()], "every row of the files can be read");
    let sound = populace(&arguments);
    assert!(sound.status.success() && !text(&sound.stdout).contains(rule), "{}", text(&sound.stderr));
    fs::write(data.join("calls.csv"), format!("{calls}cut,off\n")).unwrap();
    let output = populace(&arguments);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains(rule), "{}", text(&output.stdout));
}

#[test]
fn verify_says_what_it_cannot_read() {
    let scratch = Scratch::new("verify-input");
    let data = scratch.path("data");
    let directory = data.to_str().unwrap();
    generate("email", &data, &["--users", "20", "--days", "5", "--seed", "3", "--count", "100"]);
    let nowhere = scratch.path("nowhere");
    for (arguments, message) in [
        (vec![nowhere.to_str().unwrap()], "is not a directory"),
        (vec![directory], "was cut at 100 rows"),
        (vec![directory, "--alpha", "2"], "the family-wise error must lie between 0 and 1, got 2"),
        (vec![directory, "--scenario", "churn"], "was cut at 100 rows"),
    ] {
        let output = populace(&[vec!["verify"], arguments].concat());
        assert_eq!(output.status.code(), Some(2));
        assert!(text(&output.stderr).contains(message), "{} instead of {message}", text(&output.stderr));
    }
    assert!(!data.join("verify.json").exists());
}

#[test]
fn verify_passes_every_scenario_whatever_its_files() {
    let scratch = Scratch::new("verify-all");
    let ways: [&[&str]; 4] =
        [&[], &["-f", "jsonl", "--order", "time"], &["-f", "arrow", "--parts", "3"], &["-f", "csv", "--compression", "gzip"]];
    for (scenario, users) in SCENARIOS {
        for (number, way) in ways.iter().enumerate() {
            let data = scratch.path(&format!("{scenario}-{number}"));
            generate(scenario, &data, &[&["--users", users, "--seed", "5", "--no-truth"], *way].concat());
            let output = populace(&["verify", data.to_str().unwrap()]);
            assert!(output.status.success(), "{scenario} {way:?}: {}{}", text(&output.stdout), text(&output.stderr));
        }
    }
    // What has few rows is skipped or passes, and nothing breaks.
    for (scenario, _) in SCENARIOS {
        let data = scratch.path(&format!("{scenario}-least"));
        generate(scenario, &data, &["--users", "1", "--days", "4", "--seed", "5"]);
        let output = populace(&["verify", data.to_str().unwrap()]);
        assert!(output.status.success(), "{scenario}: {}{}", text(&output.stdout), text(&output.stderr));
    }
}

#[test]
fn verify_tells_values_that_were_exchanged() {
    let scratch = Scratch::new("verify-values");
    let data = scratch.path("churn");
    generate("churn", &data, &["--users", "60", "--seed", "5", "-f", "csv", "--no-truth"]);
    let path = data.join("users.csv");
    let users = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = users.lines().collect();
    let column = lines[0].split(',').position(|name| name == "country").unwrap();
    let country = |line: &str| line.split(',').nth(column).unwrap().to_owned();
    let other = (2..lines.len()).find(|&row| country(lines[row]) != country(lines[1])).unwrap();
    let with = |line: &str, country: &str| {
        let mut fields: Vec<&str> = line.split(',').collect();
        fields[column] = country;
        fields.join(",")
    };
    let mut edited: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    (edited[1], edited[other]) = (with(lines[1], &country(lines[other])), with(lines[other], &country(lines[1])));
    let edited = edited.join("\n") + "\n";
    assert_eq!(edited.len(), users.len());
    fs::write(&path, edited).unwrap();
    let output = populace(&["verify", data.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
    assert!(text(&output.stderr).contains("1 of "), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("users: ") && text(&output.stdout).contains("and the manifest says"), "{}", text(&output.stdout));
}

#[test]
fn damaged_files_fail_their_checks_and_the_rest_is_examined() {
    let scratch = Scratch::new("verify-damaged");
    let data = scratch.path("data");
    let make = |format: &str| generate("churn", &data, &["--users", "60", "--seed", "5", "-f", format, "--overwrite"]);
    let judge = |arguments: &[&str]| populace(&[&["verify", data.to_str().unwrap()], arguments].concat());
    let fails = |what: &str, expected: &[&str]| {
        let output = judge(&["--failed"]);
        let printed = text(&output.stdout);
        assert_eq!(output.status.code(), Some(1), "{what}: {printed}{}", text(&output.stderr));
        for line in expected {
            assert!(printed.contains(line), "{what}: {printed}");
        }
        assert!(!printed.contains("ok   ") && printed.starts_with("FAIL "), "{what}: {printed}");
    };
    make("csv");
    let path = data.join("events.csv");
    let sound = fs::read_to_string(&path).unwrap();
    let mut lines: Vec<&str> = sound.lines().collect();
    lines.swap(300, 500);
    fs::write(&path, lines.join("\n") + "\n").unwrap();
    fails("two rows exchanged", &["rows are in the order of the manifest"]);
    let (first, second) = sound.split_at(sound.find("\n30,").unwrap() + 1);
    let (header, first) = first.split_at(first.find('\n').unwrap() + 1);
    fs::write(&path, format!("{header}{second}{first}")).unwrap();
    fails("half of the users after the others", &["rows are in the order of the manifest"]);
    fs::write(&path, &sound[..=sound.trim_end().rfind('\n').unwrap()]).unwrap();
    fails("the last row lost", &["files have the sizes of the manifest", "rows, and the manifest says", "values have the digests"]);
    fs::remove_file(&path).unwrap();
    fails("a table lost", &["events.csv is missing", "tables can be read"]);
    make("parquet");
    let path = data.join("events.parquet");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    fails("a file cut", &["bytes instead of", "tables can be read"]);
    make("parquet");
    fs::remove_dir_all(data.join("truth")).unwrap();
    // What cannot be written is a warning, and comes after what is printed.
    fs::remove_file(data.join("verify.json")).unwrap();
    fs::create_dir(data.join("verify.json")).unwrap();
    let output = judge(&[]);
    assert_eq!(output.status.code(), Some(0), "{}{}", text(&output.stdout), text(&output.stderr));
    assert!(text(&output.stderr).contains("warning: ") && text(&output.stdout).contains(" 0 failed"), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("users are 1, 2, … of the population, each once: 60 examined"), "{}", text(&output.stdout));
}

/// Types of event named as a provider does, in the files and in what the run says of itself; what reads runs back says that it cannot.
#[test]
fn a_run_with_the_names_of_a_provider_says_so_and_is_not_read_back() {
    let scratch = Scratch::new("names");
    let own = scratch.path("own");
    generate("email", &own, &["--users", "40", "--seed", "3", "--profile", "delivery", "-f", "csv"]);
    let types = |directory: &std::path::Path| -> Vec<String> {
        let text = fs::read_to_string(directory.join("events.csv")).unwrap();
        text.lines().skip(1).map(|line| line.split(',').nth(1).unwrap().to_owned()).collect()
    };
    for (names, sent, deferred) in
        [("sendgrid", "processed", "deferred"), ("ses", "Send", "DeliveryDelay"), ("mailgun", "accepted", "failed")]
    {
        let data = scratch.path(names);
        generate("email", &data, &["--users", "40", "--seed", "3", "--profile", "delivery", "-f", "csv", "--names", names]);
        for (mine, theirs) in types(&own).into_iter().zip(types(&data)) {
            assert!(mine != "sent" || theirs == sent, "{names}: {theirs} is {mine}");
            assert!(mine != "deferred" || theirs == deferred, "{names}: {theirs} is {mine}");
            assert!(mine != "support_ticket" || theirs == mine, "{names}: {theirs} is {mine}");
        }
        assert!(fs::read_to_string(data.join("scenario.yaml")).unwrap().contains(&format!("names: {names}")));
        let refused = populace(&["verify", data.to_str().unwrap()]);
        assert_eq!(refused.status.code(), Some(2));
        assert!(text(&refused.stderr).contains(&format!("have the names of {names}")), "{}", text(&refused.stderr));
    }
    let unknown = populace(&["generate", "email", "--names", "postmark", "-o", scratch.path("x").to_str().unwrap()]);
    assert!(text(&unknown.stderr).contains("must be one of sendgrid, ses, mailgun"), "{}", text(&unknown.stderr));
}
