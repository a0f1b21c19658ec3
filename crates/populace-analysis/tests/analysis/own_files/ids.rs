//! Ids of people, which are text wherever a user's files have text.

use super::{files, parquet, recipients, report_of, texts};
use crate::support::Run;
use arrow_array::{ArrayRef, BinaryArray};
use populace_analysis::families::{recover, score, verify};
use populace_analysis::score::Options;
use populace_analysis::source::{As, Columns, ReadOptions, Source, TableSource, Want};
use populace_analysis::verify::Verdict;
use populace_analysis::watch::Watch;
use std::fmt::Write as _;
use std::fs;
use std::sync::Arc;

/// The files of a run of churn as another program would write them, under ids that `id` makes of the run's.
fn written(run: &Run, id: impl Fn(i64) -> String) -> tempfile::TempDir {
    let (mut users, mut events) = (
        "user_id,signup_date,plan,is_paid,country,marketing_source\n".to_owned(),
        "event_id,user_id,event_time,event_type,course_id,watch_minutes,quiz_score,amount\n".to_owned(),
    );
    let source = run.source();
    let names = ["signup_date", "plan", "country", "marketing_source"];
    let wants = [&[Want::new("user_id", As::Int)][..], &names.map(|name| Want::nullable(name, As::Text))].concat();
    for batch in source.table("users").unwrap().read(&wants).unwrap() {
        let batch = batch.unwrap();
        for row in 0..batch.num_rows() {
            let [signup, plan, country, from] = names.map(|name| batch.text(name).value(row).to_owned());
            let (id, paid) = (id(batch.int("user_id").value(row)), if plan == "paid" { "True" } else { "False" });
            writeln!(users, "{id},{signup},{plan},{paid},{country},{from}").unwrap();
        }
    }
    let names = ["event_time", "event_type", "course_id", "watch_minutes", "quiz_score", "amount"];
    let wants =
        [&[Want::new("event_id", As::Int), Want::new("user_id", As::Int)][..], &names.map(|name| Want::nullable(name, As::Text))].concat();
    for batch in source.table("events").unwrap().read(&wants).unwrap() {
        let batch = batch.unwrap();
        for row in 0..batch.num_rows() {
            let (event, id) = (batch.int("event_id").value(row), id(batch.int("user_id").value(row)));
            writeln!(events, "{event},{id},{}", names.map(|name| batch.text(name).value(row).to_owned()).join(",")).unwrap();
        }
    }
    let scenario = fs::read_to_string(run.path().join("scenario.yaml")).unwrap();
    files(&[("users.csv", &users), ("events.csv", &events), ("scenario.yaml", &scenario)])
}

fn of(directory: &tempfile::TempDir) -> Source {
    Source::open(directory.path()).unwrap()
}

#[test]
fn text_ids_of_subscribers_are_read_everywhere() {
    let run = Run::new("churn", 5, &[("population.users", "400"), ("engagement.observed", "false")]);
    let whole = run.source();
    let document = whole.scenario().unwrap();
    let level = 0.95;
    let expected = recover(&whole, &document, level, &Watch::none(2)).unwrap();
    for (form, is_number) in [("u-{}", false), ("0{}", false), ("{}@example.com", false), ("{}.0", true), ("{}", true)] {
        let own = written(&run, |id| form.replace("{}", &id.to_string()));
        let source = of(&own);
        let found = recover(&source, &document, level, &Watch::none(2)).unwrap();
        for name in ["users", "logins", "payments"] {
            assert_eq!(found.size[name], expected.size[name], "{form}");
        }
        let (a, b) = (found.estimate("paid_ratio").unwrap(), expected.estimate("paid_ratio").unwrap());
        assert_eq!((a.n, a.estimate), (b.n, b.estimate), "{form}");
        let report = report_of(own.path(), &ReadOptions::default()).unwrap();
        assert!(report.facts.iter().any(|fact| fact.name == "users" && fact.value == 400.0), "{form}: {:?}", report.facts);
        // Of ids that no run has, the answer key says so, and refuses nothing.
        let report = verify(&source, &document, 1e-3, &Watch::none(2)).unwrap();
        let failed: Vec<&str> =
            report.checks.iter().filter(|check| check.verdict == Verdict::Fail).map(|check| check.name.as_str()).collect();
        assert_eq!(failed.is_empty(), is_number, "{form}: {failed:?}");
        assert!(is_number || failed.iter().all(|name| name.contains("users are 1, 2") || name.contains("event_id")), "{form}: {failed:?}");
        assert!(!serde_json::to_string(&report).unwrap().contains("@example.com"));
    }
}

#[test]
fn predictions_have_the_ids_that_the_data_has() {
    let run = Run::new("churn", 5, &[("population.users", "200")]);
    let card = |form: &str| {
        let row = |id: i64| format!("{},0.2\n", form.replace("{}", &id.to_string()));
        let own = files(&[("p.csv", &format!("user_id,score\n{}", (1..=200).map(row).collect::<String>()))]);
        score("churn", run.path(), &own.path().join("p.csv"), &Options::default(), &Watch::none(1))
    };
    // What pandas makes of numbers that may be missing.
    let columns = |form: &str| serde_json::to_string(&card(form).unwrap().columns).unwrap();
    assert_eq!(columns("{}.0"), columns("{}"));
    let error = card("u-{}").unwrap_err().to_string();
    assert!(error.contains("u-1"), "{error}");
}

#[test]
fn an_id_is_one_id_whatever_program_wrote_it() {
    let of = |files_of: &[(&str, &str)]| {
        let own = files(files_of);
        recipients(own.path(), |_| {}).recipients
    };
    let head = "recipient_id,timestamp,event_type\n";
    let two = |a: &str, b: &str| of(&[("events.csv", &format!("{head}{a},2026-01-01 10:00:00,sent\n{b},2026-01-01 11:00:00,sent\n"))]);
    // Programs without whole numbers that may be missing write a fraction; Excel cuts zeros, so that these are two people.
    for (a, b, people) in
        [("12", "12.0", 1), ("12", "12.00", 1), ("012", "12", 2), ("012.0", "12", 2), ("v1.0", "v1", 2), ("1.50", "1.5", 2)]
    {
        assert_eq!(two(a, b), people, "{a} {b}");
    }
    let line =
        |id: &str, hour: u8| format!("{{\"recipient_id\":{id},\"timestamp\":\"2026-01-01 {hour}:00:00\",\"event_type\":\"sent\"}}\n");
    assert_eq!(of(&[("events.jsonl", &[line("1", 10), line("\"1\"", 11), line("1.0", 12)].concat())]), 1);
}

#[test]
fn text_that_is_bytes_in_a_file_is_text() {
    let own = files(&[]);
    let ids: ArrayRef = Arc::new(BinaryArray::from(vec![
        &b"user-1"[..],
        b"user-0000000001a",
        &[0x01, 0x99, 0xd9, 0x97, 0x78, 0x2c, 0x74, 0xdf, 0xbf, 0xc2, 0x25, 0xa7, 0x5f, 0xca, 0x8f, 0x65],
    ]));
    parquet(&own.path().join("t.parquet"), vec![("id", ids)]);
    let source = TableSource::file(&own.path().join("t.parquet")).unwrap();
    assert_eq!(texts(&source, "id"), ["user-1", "user-0000000001a", "0199d997-782c-74df-bfc2-25a75fca8f65"]);
}

#[test]
fn moments_that_are_bytes_in_a_file_are_moments() {
    let own = files(&[]);
    let bytes = |values: [&str; 2]| -> ArrayRef { Arc::new(BinaryArray::from(values.map(str::as_bytes).to_vec())) };
    let columns = vec![
        ("recipient_id", bytes(["r", "NULL "])),
        ("timestamp", bytes(["2026-01-01 10:00:00", "2026-01-01 11:00:00"])),
        ("event_type", bytes(["sent", "opened"])),
    ];
    parquet(&own.path().join("events.parquet"), columns.clone());
    let told = super::features(own.path(), |_| {}).unwrap_err().to_string();
    assert!(told.contains("row 2, column recipient_id: is empty"), "{told}");
    let named = [vec![("recipient_id", bytes(["r", "r"]))], columns[1..].to_vec()].concat();
    parquet(&own.path().join("events.parquet"), named);
    assert_eq!(recipients(own.path(), |_| {}).computed_at, "2026-01-01T11:00:00Z");
}

#[test]
fn repeats_and_odd_clocks_of_subscribers_are_told_by_every_command() {
    let run = Run::new("churn", 5, &[("population.users", "100")]);
    let own = written(&run, |id| id.to_string());
    let path = own.path().join("events.csv");
    let events = fs::read_to_string(&path).unwrap();
    let login = events.lines().find(|line| line.contains(",login,")).unwrap();
    let late = login.replacen(login.split(',').next().unwrap(), "900000000", 1).replacen(login.split(',').nth(2).unwrap(), "2052-01-01", 1);
    fs::write(&path, format!("{events}{login}\n{login}\n{late}\n")).unwrap();
    let document = run.source().scenario().unwrap();
    let clean = recover(&run.source(), &document, 0.95, &Watch::none(1)).unwrap();
    let found = recover(&of(&own), &document, 0.95, &Watch::none(1)).unwrap();
    assert_eq!(found.size["logins"], clean.size["logins"] + 1);
    let has = |notes: &[String], what: &str| assert!(notes.iter().any(|note| note.contains(what)), "{what}: {notes:?}");
    has(&found.notes, "2 rows tell an event again");
    has(&found.notes, "1 of ");
    let drawn = report_of(own.path(), &ReadOptions::default()).unwrap();
    has(&drawn.notes, "2 events were left out: duplicates of an earlier event");
    has(&drawn.notes, "lie before 1990 or in the future");
    // Of words that nobody knows nothing is made, and that is an error.
    let unknown: Vec<String> = events
        .lines()
        .map(|line| {
            let mut cells: Vec<&str> = line.split(',').collect();
            if cells[0] != "event_id" {
                cells[3] = "happened";
            }
            cells.join(",")
        })
        .collect();
    fs::write(&path, unknown.join("\n")).unwrap();
    for told in [
        recover(&of(&own), &document, 0.95, &Watch::none(1)).unwrap_err().to_string(),
        report_of(own.path(), &ReadOptions::default()).unwrap_err().to_string(),
    ] {
        assert!(told.contains("events is of a known type") && told.contains("--map"), "{told}");
    }
}
