//! `populace score`.

use super::support::{Scratch, generate, populace, succeed, text};
use serde_json::Value;
use std::fs;

#[test]
fn opens_are_scored_and_thresholds_decide_the_exit_code() {
    let scratch = Scratch::new("score-open");
    let (data, predictions, card) = (scratch.path("data"), scratch.path("predictions.csv"), scratch.path("card.json"));
    generate("email", &data, &["-n", "40", "-d", "30", "-s", "7", "-f", "csv"]);
    let events = fs::read_to_string(data.join("events.csv")).unwrap();
    let mut rows = "message_id,score\n".to_owned();
    for line in events.lines() {
        let cells: Vec<&str> = line.split(',').collect();
        if cells[1] == "delivered" {
            rows.extend([cells[9], ",0.3\n"]);
        }
    }
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
