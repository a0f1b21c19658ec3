//! Tables read back.

use crate::support::{Run, actors};
use arrow_array::Array;
use populace_analysis::families::report;
use populace_analysis::report::Options;
use populace_analysis::source::{As, Columns, Side, Source, TableSource, Want};
use populace_analysis::watch::Watch;
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
    for group in actors(source, "user_id", Side { table: "events", wants: &EVENTS, time: Some("event_time") }) {
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
        ("user_id,score\n1,2,3\n", "scores.csv: line 2: the row has more or fewer fields than the header\nhint: mend such lines"),
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

#[test]
fn what_other_libraries_make_of_our_columns_reads_back() {
    use arrow_array::{ArrayRef, BinaryArray, Float64Array, RecordBatch};
    use std::sync::Arc;
    let directory = tempfile::tempdir().unwrap();
    // polars hands UUIDs on as bytes of any length; pandas makes doubles of integers that may be null.
    let id = 0x018c_c251_f400_7cde_8f00_0123_4567_89ab_u128;
    let ids: ArrayRef = Arc::new(BinaryArray::from_vec(vec![&id.to_be_bytes()]));
    let hours: ArrayRef = Arc::new(Float64Array::from(vec![Some(16.0)]));
    let batch = RecordBatch::try_from_iter([("message_id", ids), ("hour", hours)]).unwrap();
    let path = directory.path().join("events.arrow");
    let mut writer = arrow_ipc::writer::FileWriter::try_new(fs::File::create(&path).unwrap(), &batch.schema()).unwrap();
    writer.write(&batch).unwrap();
    writer.finish().unwrap();
    let read = |kind: As| {
        let wants = [Want::new("message_id", kind), Want::nullable("hour", As::Int)];
        TableSource::file(&path).unwrap().read(&wants).unwrap().next().unwrap().unwrap()
    };
    assert_eq!(read(As::Uuid).uuid("message_id").get(0), Some(id));
    assert_eq!(read(As::Text).text("message_id").value(0), "018cc251-f400-7cde-8f00-0123456789ab");
    assert_eq!(read(As::Uuid).int("hour").value(0), 16);

    let path = directory.path().join("events.csv");
    fs::write(&path, "hour\n16.0\n\n3\n").unwrap();
    let wants = [Want::nullable("hour", As::Int)];
    let batch = TableSource::file(&path).unwrap().read(&wants).unwrap().next().unwrap().unwrap();
    assert_eq!(batch.int("hour").iter().flatten().collect::<Vec<_>>(), [16, 3]);
    fs::write(&path, "hour\n16.5\n").unwrap();
    let error = TableSource::file(&path).unwrap().read(&wants).unwrap().next().unwrap().unwrap_err().to_string();
    assert!(error.contains("`16.5` is not a whole number"), "{error}");
}

#[test]
fn a_list_of_json_objects_is_a_table() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("learned.json");
    fs::write(&path, "[{\"from\": \"/a\", \"probability\": 1},\n {\"probability\": 0.25, \"from\": \"/b\"}]").unwrap();
    let wants = [Want::new("from", As::Text), Want::new("probability", As::Float)];
    let batch = TableSource::file(&path).unwrap().read(&wants).unwrap().next().unwrap().unwrap();
    assert_eq!(batch.text("from").iter().flatten().collect::<Vec<_>>(), ["/a", "/b"]);
    assert_eq!(batch.float("probability").values().as_ref(), [1.0, 0.25]);
    fs::write(&path, "{\"from\": 1").unwrap();
    let error = TableSource::file(&path).unwrap().read(&wants).err().unwrap().to_string();
    assert!(error.contains("learned.json: is not a list of JSON objects"), "{error}");
}

#[test]
fn an_export_without_rows_is_told_apart_from_an_empty_run() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("events.csv"), "user_id,event_time\n").unwrap();
    let error = report(directory.path(), &Options::default(), &Watch::none(1)).unwrap_err().to_string();
    assert!(error.contains("the table events holds no row"), "{error}");
    let run = Run::new("churn", 5, &[("population.users", "1"), ("window.days", "7")]);
    assert!(report(run.path(), &Options::default(), &Watch::none(1)).is_ok());
}
