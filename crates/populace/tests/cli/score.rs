//! `populace score`.

use super::support::{self, Scratch, generate, populace, succeed, text};
use serde_json::Value;
use std::fs;

#[test]
fn opens_are_scored_and_thresholds_decide_the_exit_code() {
    let scratch = Scratch::new("score-open");
    let (data, predictions, card) = (scratch.path("data"), scratch.path("predictions.csv"), scratch.path("card.json"));
    generate("email", &data, &["-n", "40", "-d", "30", "-s", "7", "-f", "csv"]);
    let rows = support::predictions(&data.join("events.csv"));
    fs::write(&predictions, &rows).unwrap();
    let [data, predictions, card] = [&data, &predictions, &card].map(|path| path.to_str().unwrap());

    let table = text(&succeed(&["score", "open", data, predictions, "-o", card, "--max-log-loss", "1"]).stdout);
    for part in [
        "your model  observable history  everything known",
        "log loss",
        "persona",
        "% of the attainable gain (observable history)",
        "ok     log_loss at most 1",
    ] {
        assert!(table.contains(part), "{part} is not in\n{table}");
    }
    let on_file: Value = serde_json::from_slice(&fs::read(card).unwrap()).unwrap();
    let printed: Value =
        serde_json::from_slice(&succeed(&["score", "open", data, predictions, "--json", "--max-log-loss", "1"]).stdout).unwrap();
    assert_eq!(on_file, printed);
    assert_eq!((&on_file["task"], &on_file["run"]["seed"]), (&"open".into(), &7.into()));

    let failed = populace(&["score", "open", data, predictions, "--min-auc", "0.6", "--min-gain", "0.5"]);
    assert_eq!(failed.status.code(), Some(1));
    let said = text(&failed.stderr);
    assert!(said.starts_with("failed: gain at least 0.5, and is ") && said.contains("; auc at least 0.6, and is 0.5000"), "{said}");

    fs::write(predictions, rows.replacen("0.3", "NaN", 1)).unwrap();
    let wrong = populace(&["score", "open", data, predictions, "-o", "never.json"]);
    assert_eq!((wrong.status.code(), text(&wrong.stdout)), (Some(2), String::new()));
    assert!(text(&wrong.stderr).contains("row 1, message_id "), "{}", text(&wrong.stderr));
    assert!(!fs::exists("never.json").unwrap());
}

/// Messages delivered, each with a score that depends on its id alone.
fn deliveries(events: &str) -> String {
    let mut rows = "message_id,score\n".to_owned();
    for line in events.lines() {
        let cells: Vec<&str> = line.split(',').collect();
        if cells[1] == "delivered" {
            rows.extend([cells[9], ",0.", &(u32::from_str_radix(&cells[9][30..], 16).unwrap() % 900 + 50).to_string(), "\n"]);
        }
    }
    rows
}

#[test]
fn the_order_and_format_of_the_run_do_not_matter() {
    let scratch = Scratch::new("score-order");
    let predictions = scratch.path("predictions.csv");
    let mut cards = Vec::new();
    for (name, more) in [("actor", &["-f", "csv"][..]), ("time", &["-f", "parquet", "--order", "time", "--parts", "3"])] {
        let data = scratch.path(name);
        generate("email", &data, &[&["-n", "30", "-d", "25", "-s", "9"], more].concat());
        if name == "actor" {
            fs::write(&predictions, deliveries(&fs::read_to_string(data.join("events.csv")).unwrap())).unwrap();
        }
        let output = succeed(&["score", "open", data.to_str().unwrap(), predictions.to_str().unwrap(), "--json"]);
        let mut card: Value = serde_json::from_slice(&output.stdout).unwrap();
        // Sums in another order differ in the last digits.
        let digits = |value: &Value| format!("{:.9}", value.as_f64().unwrap());
        let columns = card["columns"].as_array_mut().unwrap();
        let values =
            columns.iter().flat_map(|column| column["metrics"].as_object().unwrap().values().map(|metric| digits(&metric["value"])));
        cards.push((values.collect::<Vec<String>>(), card["n"].clone(), card["calibration"].as_array().unwrap().len()));
    }
    assert!(cards[0].0.len() > 15 && cards[0] == cards[1], "{cards:?}");
}

#[test]
fn a_run_that_cannot_be_scored_says_why() {
    let scratch = Scratch::new("score-why");
    let predictions = scratch.path("predictions.csv");
    fs::write(&predictions, "message_id,seconds\n018cc251-f400-7cde-8f00-0123456789ab,5\n").unwrap();
    let predictions = predictions.to_str().unwrap();
    let say = |arguments: &[&str]| {
        let output = populace(arguments);
        assert_eq!(output.status.code(), Some(2));
        text(&output.stderr)
    };
    let cut = scratch.path("cut");
    generate("email", &cut, &["-n", "20", "-d", "10", "-s", "1", "--count", "100"]);
    let said = say(&["score", "latency", cut.to_str().unwrap(), predictions]);
    assert!(said.contains("the run was cut off after 100 rows") && said.contains("--users instead of --count"), "{said}");
    let blind = scratch.path("blind");
    generate("email", &blind, &["-n", "20", "-d", "10", "-s", "1", "--no-truth"]);
    fs::write(predictions, "message_id,score\n018cc251-f400-7cde-8f00-0123456789ab,0.5\n").unwrap();
    let said = say(&["score", "open", blind.to_str().unwrap(), predictions]);
    assert!(said.contains("has no table truth/messages"), "{said}");
    let said = say(&["score", "churn", blind.to_str().unwrap(), predictions]);
    assert!(said.contains("is a run of email; churn is scored on runs of churn"), "{said}");
}
