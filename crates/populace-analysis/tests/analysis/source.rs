//! Tables read back.

use crate::support::Run;
use arrow_array::Array;
use populace_analysis::source::{As, Columns, Source, TableSource, Want};
use std::collections::BTreeMap;
use std::fs;

const EVENTS: [Want; 4] = [
    Want::new("user_id", As::Int),
    Want::new("event_time", As::Instant),
    Want::new("event_type", As::Text),
    Want::nullable("watch_minutes", As::Float),
];

/// The events of every user: time, type and minutes.
fn by_user(source: &Source) -> BTreeMap<i64, Vec<(i64, String, Option<f64>)>> {
    let mut users = BTreeMap::new();
    for group in source.table("events").unwrap().by_key(&EVENTS, "user_id", Some("event_time")).unwrap() {
        let group = group.unwrap();
        let minutes = group.float("watch_minutes");
        let row = |row: usize| {
            let minutes = minutes.is_valid(row).then(|| minutes.value(row));
            (group.instant("event_time").value(row), group.text("event_type").value(row).to_owned(), minutes)
        };
        let before = users.insert(group.int("user_id").value(0), (0..group.num_rows()).map(row).collect());
        assert!(before.is_none(), "a user comes once");
    }
    users
}

#[test]
fn rows_in_any_order_give_the_groups_that_ordered_rows_give() {
    let run = Run::new("churn", 5, &[("population.users", "300"), ("window.days", "60")]);
    let ordered = by_user(&run.source());

    // The same rows backwards, in a directory that no manifest describes.
    let directory = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(run.path().join("events.csv")).unwrap();
    let (header, rows) = text.split_once('\n').unwrap();
    let backwards: Vec<&str> = std::iter::once(header).chain(rows.lines().rev()).collect();
    fs::write(directory.path().join("events.csv"), backwards.join("\n")).unwrap();
    let mut shuffled = by_user(&Source::open(directory.path()).unwrap());
    // Rows of one moment come in the order of the file, which is another here.
    for events in shuffled.values_mut() {
        events.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    }
    let mut ordered = ordered;
    for events in ordered.values_mut() {
        events.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    }
    assert_eq!(ordered, shuffled);
}

#[test]
fn what_is_wrong_with_a_file_is_told_with_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("scores.csv");
    let read = |text: &str| {
        fs::write(&path, text).unwrap();
        let wants = [Want::new("user_id", As::Int), Want::new("score", As::Float), Want::optional("note", As::Text)];
        let rows = TableSource::file(&path).and_then(|table| table.read(&wants)?.collect::<Result<Vec<_>, _>>());
        rows.map(|batches| batches.iter().map(arrow_array::RecordBatch::num_rows).sum::<usize>()).map_err(|error| error.to_string())
    };
    assert_eq!(read("score,user_id\n0.5,7\n\" 1e-3 \",8\n"), Ok(2));
    for (text, message) in [
        ("", "scores.csv: is empty; a CSV file begins with the names of its columns"),
        ("user_id,Scores\n1,2\n", "scores.csv: has no column score; it has user_id, Scores\nhint: rename `Scores`"),
        ("user_id,score\n1,2\n2,high\n", "scores.csv: row 2, column score: `high` is not a number"),
        ("user_id,score\n1,2\n2,\n", "scores.csv: row 2, column score: is empty, and must be a number"),
        ("user_id,score\n1,2,3\n", "cannot be read"),
    ] {
        let error = read(text).unwrap_err();
        assert!(error.contains(message), "{error}\ninstead of\n{message}");
    }
    let lines = directory.path().join("scores.jsonl");
    fs::write(&lines, "{\"user_id\":7,\"score\":0.5,\"note\":{\"why\":[1]}}\n\n{\"user_id\":\"8\",\"score\":1}\n").unwrap();
    let wants = [Want::new("user_id", As::Int), Want::new("score", As::Float), Want::optional("note", As::Text)];
    let rows: Vec<_> = TableSource::file(&lines).unwrap().read(&wants).unwrap().map(Result::unwrap).collect();
    assert_eq!((rows[0].int("user_id").value(1), rows[0].text("note").value(0), rows[0].num_rows()), (8, "{\"why\":[1]}", 2));
    fs::write(&lines, "{\"user_id\":7,\"score\":0.5}\n{\"user_id\":8,").unwrap();
    let error = TableSource::file(&lines).unwrap().read(&wants).unwrap().next().unwrap().unwrap_err().to_string();
    assert!(error.contains("cannot be read") && error.contains("line 2"), "{error}");
    let wrong = directory.path().join("scores.parquet");
    fs::write(&wrong, "PAR1 and no more").unwrap();
    let error = TableSource::file(&wrong).unwrap().read(&EVENTS).err().unwrap().to_string();
    assert!(error.contains("scores.parquet: cannot be read"), "{error}");
}
