//! `prepare churn`: what becomes of clean and of dirty files.

use crate::support::Run;
use populace_analysis::AnalysisError;
use populace_analysis::churn::prepare::reasons::{Drop, Note, Reason, Repair};
use populace_analysis::churn::prepare::{self, ChurnOptions, Progress, Report, Watch};
use populace_analysis::source::ReadOptions;
use populace_io::error::RunError;
use populace_io::files::Format;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use tempfile::TempDir;

struct Silent;

impl Progress for Silent {
    fn begins(&self, _: &str, _: Option<u64>) {}

    fn advanced(&self, _: u64) {}
}

/// Raw files with what is made of them.
struct Raw(TempDir);

impl Raw {
    fn new(users: &str, events: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("raw")).unwrap();
        fs::write(directory.path().join("raw/users.csv"), users).unwrap();
        fs::write(directory.path().join("raw/events.csv"), events).unwrap();
        Self(directory)
    }

    fn options(&self) -> ChurnOptions {
        options(&self.0.path().join("raw"), &self.0.path().join("processed"))
    }

    fn prepare(&self) -> Report {
        done(&self.options())
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.path().join("processed").join(name)).unwrap()
    }

    fn refused(&self, options: &ChurnOptions) -> String {
        let message =
            prepare::churn(options, Watch { progress: &Silent, stop: &AtomicBool::new(false), threads: 1 }).unwrap_err().to_string();
        assert!(!self.0.path().join("processed").exists(), "{message}: something was left");
        message
    }
}

fn options(raw: &Path, processed: &Path) -> ChurnOptions {
    let (raw, processed) = (raw.to_owned(), processed.to_owned());
    let reading = ReadOptions::default();
    ChurnOptions { raw, processed, format: Format::Csv, keep_latent: false, from: None, to: None, overwrite: false, reading }
}

fn done(options: &ChurnOptions) -> Report {
    let report = prepare::churn(options, Watch { progress: &Silent, stop: &AtomicBool::new(false), threads: 1 }).unwrap();
    for table in [&report.users, &report.events] {
        assert_eq!(table.kept + table.dropped_rows, table.read);
        assert!(table.repaired_rows <= table.kept);
    }
    report
}

fn counts(reasons: &BTreeMap<&'static str, prepare::ReasonReport>) -> BTreeMap<String, u64> {
    reasons.iter().map(|(code, reason)| ((*code).to_owned(), reason.rows)).collect()
}

fn expected(counts: &[(&str, u64)]) -> BTreeMap<String, u64> {
    counts.iter().map(|(code, rows)| ((*code).to_owned(), *rows)).collect()
}

const USERS: &str = "user_id,signup_date,plan,is_paid,country,marketing_source,engagement_score\n";
const EVENTS: &str = "event_id,user_id,event_time,event_type,course_id,watch_minutes,quiz_score,amount\n";

#[test]
fn dirty_users_are_dropped_repaired_and_counted() {
    let users = "\
 Marketing Source ;comment;IS_PAID;plan;signup_date;User ID;country
 Organic;x;1;  Paid ;2025-01-03;7; us
ads;\"a;b\"\"\n\";0;free;2025/1/2;3.0;IN
ads;;0;PAID;2025-01-01 00:00:00;5;United Kingdom
;;yes;;2024-12-31;9;

;;;;;;
ads;;0;trial;2025-01-01;4;\u{fffd}
ads;;0;free;31/12/2024;6;IN
ads;;0;free;;8;IN
ads;;0;free;2025-01-01;eight;IN
ads;;0;free;2025-01-01;;IN
ads;;;;2025-01-01;10;IN
ads;;1;paid;2025-01-09;7;CA
ads;;1;paid;2025-01-09
ads;\"never closed;1;paid;2025-01-09;11;CA
ads;;1;paid;2025-01-09;12;CA
";
    let users = users.replace('\u{fffd}', "\u{1}").into_bytes();
    let users: Vec<u8> = users.into_iter().map(|byte| if byte == 1 { 0xff } else { byte }).collect();
    let raw = Raw::new("", &format!("{EVENTS}1,7,2025-01-02 10:00:00,login,,,,\n"));
    fs::write(raw.0.path().join("raw/users.csv"), users).unwrap();
    let report = raw.prepare();
    assert_eq!(
        raw.read("users_clean.csv"),
        "user_id,signup_date,plan,is_paid,country,marketing_source\n\
         3,2025-01-02,free,0,IN,ads\n\
         4,2025-01-01,trial,0,\u{fffd},ads\n\
         5,2025-01-01,paid,1,United Kingdom,ads\n\
         7,2025-01-03,paid,1,US,organic\n\
         9,2024-12-31,paid,1,,\n\
         12,2025-01-09,paid,1,CA,ads\n"
    );
    let table = &report.users;
    assert_eq!((table.read, table.kept, table.dropped_rows, table.repaired_rows), (15, 6, 9, 5));
    let dropped = [
        ("blank_row", 1),
        ("field_count", 1),
        ("plan_blank", 1),
        ("signup_date_blank", 1),
        ("signup_date_unreadable", 1),
        ("unclosed_quote", 1),
        ("user_id_blank", 1),
        ("user_id_duplicate", 1),
        ("user_id_unreadable", 1),
    ];
    assert_eq!(counts(&table.dropped), expected(&dropped));
    let repaired = [
        ("country_blank", 1),
        ("country_normalised", 1),
        ("is_paid_corrected", 1),
        ("marketing_source_blank", 1),
        ("marketing_source_normalised", 1),
        ("not_utf8", 1),
        ("plan_from_is_paid", 1),
        ("plan_normalised", 2),
        ("signup_date_rewritten", 2),
        ("user_id_rewritten", 1),
    ];
    assert_eq!(counts(&table.repaired), expected(&repaired));
    assert_eq!(counts(&table.noted), expected(&[("plan_unknown", 1), ("signup_after_first_day", 2)]));
    assert_eq!(table.ignored_columns, ["comment"]);
    assert_eq!(table.missing_columns, ["engagement_score"]);
    assert_eq!(table.dropped["user_id_duplicate"].first, "users.csv:15");
    assert_eq!(table.dropped["unclosed_quote"].first, "users.csv:17");
}

#[test]
fn dirty_events_are_dropped_repaired_and_counted() {
    let users = format!("{USERS}1,2025-01-02,paid,1,IN,ads,0.5\n2,2024-12-30,free,0,US,organic,.25\n");
    let events = format!(
        "{EVENTS}\
        10,1,2025-01-01 10:00:00,login,,,,
        11,1,2025-01-01T10:05:00+01:00, Video-Watch ,k8s,30.5,,
        12,1,2025-01-03 09:00:00.25,video watch, k8s ,NaN,,
        13,1,2025-01-03 09:10:00,video_watch,k8s,9999,,
        14,1,2025-01-03 09:20:00,quiz_attempt,k8s,,80.25,
        15,1,2025-01-03 09:30:00,QUIZ_ATTEMPT,k8s,,101,
        16 ,1,2025-01-03 09:40:00,quiz_attempt,k8s,, 90,
        17,2,2025-01-02 00:00,payment_success,,,,\"$1,499.00\"
        18,2,2025-01-02 00:01:00,payment_failed,,,,lots
        19,2,2025-01-02 23:59:59,survey,,3.125,,
        10,2,2025-01-02 12:00:00,login,,,,
        20,3,2025-01-01 10:00:00,login,,,,
        21,2,someday,login,,,,
        22,2,,login,,,,
        23,2,2025-01-02 12:00:00,null,,,,
        ,2,2025-01-02 12:00:00,login,,,,
        x,2,2025-01-02 12:00:00,login,,,,
        24,2.0,2025-01-02 12:00:00,support_ticket,,-1,abc,
        25,,2025-01-02 12:00:00,login,,,,
        26,2,2025-01-02 12:00:00,login
"
    );
    let raw = Raw::new(&users, &events);
    let report = raw.prepare();
    assert_eq!(
        raw.read("events_clean.csv"),
        "event_id,user_id,event_time,event_type,course_id,watch_minutes,quiz_score,amount,event_date\n\
         11,1,2025-01-01 09:05:00,video_watch,k8s,30.5,,,2025-01-01\n\
         10,1,2025-01-01 10:00:00,login,,0.0,,,2025-01-01\n\
         12,1,2025-01-03 09:00:00.250000,video_watch,k8s,0.0,,,2025-01-03\n\
         13,1,2025-01-03 09:10:00,video_watch,k8s,0.0,,,2025-01-03\n\
         14,1,2025-01-03 09:20:00,quiz_attempt,k8s,0.0,80.25,,2025-01-03\n\
         15,1,2025-01-03 09:30:00,quiz_attempt,k8s,0.0,,,2025-01-03\n\
         16,1,2025-01-03 09:40:00,quiz_attempt,k8s,0.0,90.0,,2025-01-03\n\
         17,2,2025-01-02 00:00:00,payment_success,,0.0,,1499.0,2025-01-02\n\
         18,2,2025-01-02 00:01:00,payment_failed,,0.0,,,2025-01-02\n\
         24,2,2025-01-02 12:00:00,support_ticket,,0.0,,,2025-01-02\n\
         19,2,2025-01-02 23:59:59,survey,,3.125,,,2025-01-02\n"
    );
    let table = &report.events;
    assert_eq!((table.read, table.kept, table.dropped_rows), (20, 11, 9));
    let dropped = [
        ("event_id_blank", 1),
        ("event_id_duplicate", 1),
        ("event_id_unreadable", 1),
        ("event_time_blank", 1),
        ("event_time_unreadable", 1),
        ("event_type_blank", 1),
        ("field_count", 1),
        ("user_id_blank", 1),
        ("user_unknown", 1),
    ];
    assert_eq!(counts(&table.dropped), expected(&dropped));
    let repaired = [
        ("amount_rewritten", 1),
        ("amount_unreadable", 1),
        ("course_id_trimmed", 1),
        // The lines after the first are indented: their ids have blanks before them.
        ("event_id_rewritten", 10),
        ("event_time_rewritten", 1),
        ("event_type_normalised", 3),
        ("null_word", 1),
        ("quiz_score_out_of_range", 1),
        ("quiz_score_rewritten", 1),
        ("quiz_score_unreadable", 1),
        ("user_id_rewritten", 1),
        ("watch_minutes_out_of_range", 2),
    ];
    assert_eq!(counts(&table.repaired), expected(&repaired));
    assert_eq!(counts(&table.noted), expected(&[("event_type_unknown", 1)]));
    assert_eq!(table.dropped["event_id_duplicate"].first, "events.csv:12");
    let head = "user_id,as_of_date,signup_date,days_since_signup,plan,is_paid,country,marketing_source,is_active_day,total_events,\
                logins_count,enroll_count,watch_minutes_sum,quiz_attempts_count,quiz_avg_score,payment_success_count,\
                payment_failed_count,support_ticket_count\n";
    assert_eq!(
        raw.read("user_daily.csv"),
        format!(
            "{head}\
             1,2025-01-01,2025-01-02,0,paid,1,IN,ads,1,2,1,0,30.5,0,,0,0,0\n\
             1,2025-01-02,2025-01-02,0,paid,1,IN,ads,0,0,0,0,0.0,0,,0,0,0\n\
             1,2025-01-03,2025-01-02,1,paid,1,IN,ads,1,5,0,0,0.0,3,85.125,0,0,0\n\
             2,2025-01-01,2024-12-30,2,free,0,US,organic,0,0,0,0,0.0,0,,0,0,0\n\
             2,2025-01-02,2024-12-30,3,free,0,US,organic,1,4,0,0,0.0,0,,1,1,1\n\
             2,2025-01-03,2024-12-30,4,free,0,US,organic,0,0,0,0,0.0,0,,0,0,0\n"
        )
    );
    let on_file: serde_json::Value = serde_json::from_str(&raw.read(prepare::REPORT)).unwrap();
    assert_eq!(on_file, serde_json::to_value(&report).unwrap());
}

/// The rows of a CSV file without quotes, as maps.
fn table(path: &Path) -> Vec<BTreeMap<String, String>> {
    let text = fs::read_to_string(path).unwrap();
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    lines.map(|line| names.iter().zip(line.split(',')).map(|(name, value)| ((*name).to_owned(), value.to_owned())).collect()).collect()
}

/// The grid, worked out the slow way from the raw files of a run.
fn slow_grid(run: &Path, first: &str, days: usize) -> Vec<Vec<String>> {
    let (users, events) = (table(&run.join("users.csv")), table(&run.join("events.csv")));
    let date = |text: &str| text.parse::<populace_core::time::Date>().unwrap();
    let mut rows = Vec::new();
    for user in &users {
        for day in 0..days {
            let on = date(first).plus(day as i32);
            let own: Vec<_> =
                events.iter().filter(|event| event["user_id"] == user["user_id"] && event["event_time"][..10] == on.to_string()).collect();
            let of = |kind: &str| own.iter().filter(|event| event["event_type"] == kind).count();
            let videos = own.iter().filter(|event| event["event_type"] == "video_watch");
            let minutes = videos.map(|event| event["watch_minutes"].parse::<f64>().unwrap()).fold(0.0, |sum, minutes| sum + minutes);
            let scores: Vec<f64> = own.iter().filter_map(|event| event["quiz_score"].parse().ok()).collect();
            let average = if scores.is_empty() { f64::NAN } else { scores.iter().sum::<f64>() / scores.len() as f64 };
            let mut row: Vec<String> = vec![user["user_id"].clone(), on.to_string(), user["signup_date"].clone()];
            row.push((on.0 - date(&user["signup_date"]).0).to_string());
            row.extend(["plan", "is_paid", "country", "marketing_source"].map(|name| user[name].clone()));
            row.extend([usize::from(!own.is_empty()), own.len(), of("login"), of("course_enroll")].map(|count| count.to_string()));
            row.extend([format!("{minutes:.4}"), of("quiz_attempt").to_string(), format!("{average:.4}")]);
            row.extend(["payment_success", "payment_failed", "support_ticket"].map(|kind| of(kind).to_string()));
            rows.push(row);
        }
    }
    rows
}

#[test]
fn the_grid_of_a_run_is_what_counting_by_hand_gives() {
    let run = Run::new("churn", 3, &[("population.users", "25"), ("window.days", "40")]);
    let directory = tempfile::tempdir().unwrap();
    let processed = directory.path().join("out");
    let report = done(&options(run.path(), &processed));
    assert_eq!((report.user_daily.rows, report.user_daily.first_date.as_str(), report.user_daily.days), (1_000, "2025-01-01", 40));
    assert_eq!(report.events.read, report.events.kept);

    let text = fs::read_to_string(processed.join("user_daily.csv")).unwrap();
    let numbers = |text: &str| text.parse::<f64>().map_or("NaN".to_owned(), |value| format!("{value:.4}"));
    let rows: Vec<Vec<String>> = text
        .lines()
        .skip(1)
        .map(|line| {
            line.split(',').enumerate().map(|(at, cell)| if at == 12 || at == 14 { numbers(cell) } else { cell.to_owned() }).collect()
        })
        .collect();
    let slow = slow_grid(run.path(), "2025-01-01", 40);
    assert_eq!(rows.len(), slow.len());
    for (row, slow) in rows.iter().zip(&slow) {
        assert_eq!(row, slow);
    }

    // Nothing was dirty, so the clean events are the raw ones with the date, and blank minutes made 0.
    let (raw, clean) = (table(&run.path().join("events.csv")), table(&processed.join("events_clean.csv")));
    assert_eq!(raw.len(), clean.len());
    for (raw, clean) in raw.iter().zip(&clean) {
        assert_eq!(clean["event_date"], raw["event_time"][..10]);
        for name in ["event_id", "user_id", "event_time", "event_type", "course_id"] {
            assert_eq!(clean[name], raw[name]);
        }
        for name in ["watch_minutes", "quiz_score", "amount"] {
            let blank = if name == "watch_minutes" { Ok(0.0) } else { "".parse::<f64>() };
            assert_eq!(clean[name].parse::<f64>(), raw[name].parse::<f64>().or(blank), "{name}");
        }
    }
}

#[test]
fn rows_in_any_order_and_in_any_format_give_the_same_tables() {
    let set = [("population.users", "150"), ("window.days", "50")];
    let run = Run::new("churn", 8, &set);
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    done(&options(run.path(), &path("ordered")));
    // Backwards, with no manifest to say which days there are: events lie on the first and on the last.
    fs::create_dir(path("raw")).unwrap();
    for name in ["users.csv", "events.csv"] {
        let text = fs::read_to_string(run.path().join(name)).unwrap();
        let (header, rows) = text.split_once('\n').unwrap();
        let lines: Vec<&str> = std::iter::once(header).chain(rows.lines().rev()).collect();
        fs::write(path("raw").join(name), lines.join("\r\n")).unwrap();
    }
    done(&options(&path("raw"), &path("backwards")));
    for name in ["users_clean.csv", "user_daily.csv"] {
        let read = |directory: &str| fs::read_to_string(path(directory).join(name)).unwrap();
        assert!(read("ordered") == read("backwards"), "{name}");
    }
    // Events of one second stand as they stood in the file: their order is the other way around.
    let sorted = |directory: &str| {
        let text = fs::read_to_string(path(directory).join("events_clean.csv")).unwrap();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted("ordered"), sorted("backwards"));

    done(&ChurnOptions { format: Format::Parquet, ..options(run.path(), &path("parquet")) });
    // And from Parquet to CSV: only the users' columns are those of raw users, so events and users are taken.
    fs::create_dir(path("columnar")).unwrap();
    for (from, to) in [("users_clean.parquet", "users.parquet"), ("events_clean.parquet", "events.parquet")] {
        fs::copy(path("parquet").join(from), path("columnar").join(to)).unwrap();
    }
    let report = done(&options(&path("columnar"), &path("again")));
    assert_eq!(report.events.ignored_columns, ["event_date"]);
    for name in ["users_clean.csv", "events_clean.csv", "user_daily.csv"] {
        let read = |directory: &str| fs::read_to_string(path(directory).join(name)).unwrap();
        assert!(read("ordered") == read("again"), "{name}");
    }
}

#[test]
fn corruptions_are_counted_exactly_and_leave_the_other_rows_alone() {
    let run = Run::new("churn", 4, &[("population.users", "60"), ("window.days", "30")]);
    let text = fs::read_to_string(run.path().join("events.csv")).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let mut dropped: BTreeMap<String, u64> = BTreeMap::new();
    let mut left: Vec<String> = Vec::new();
    let rows = lines.len() - 1;
    for (index, line) in lines.iter_mut().enumerate().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let replaced = |at: usize, with: &str| {
            let mut fields = fields.clone();
            fields[at] = with;
            fields.join(",")
        };
        // Not on the first and the last events, which say which days there are.
        let (reason, with) = match index % 97 {
            _ if index < 50 || index + 50 > rows => ("", line.clone()),
            1 => ("event_id_unreadable", replaced(0, "1a")),
            2 => ("user_id_blank", replaced(1, " ")),
            3 => ("event_time_unreadable", replaced(2, "2025-02-30 00:00:00")),
            4 => ("event_type_blank", replaced(3, "")),
            5 => ("user_unknown", replaced(1, "999999")),
            6 => ("event_id_duplicate", replaced(0, "1")),
            7 => ("field_count", format!("{line},,")),
            8 => ("unclosed_quote", replaced(4, "\"oops")),
            9 => ("blank_row", ", ,,".to_owned()),
            10 => ("", replaced(3, &fields[3].to_uppercase())),
            _ => ("", line.clone()),
        };
        if reason.is_empty() {
            left.push(line.clone());
        } else {
            *dropped.entry(reason.to_owned()).or_default() += 1;
        }
        *line = with;
    }
    let users = fs::read_to_string(run.path().join("users.csv")).unwrap();
    let dirty = Raw::new(&users, &lines.join("\n"));
    let report = dirty.prepare();
    assert_eq!(report.events.read, rows as u64);
    assert_eq!(counts(&report.events.dropped), dropped);
    assert_eq!(report.events.repaired.keys().copied().collect::<Vec<_>>(), ["event_type_normalised"]);
    let clean = Raw::new(&users, &format!("{}\n{}\n", lines[0], left.join("\n")));
    let report = clean.prepare();
    assert_eq!(report.events.dropped_rows, 0);
    for name in ["users_clean.csv", "events_clean.csv", "user_daily.csv"] {
        assert!(dirty.read(name) == clean.read(name), "{name}");
    }
}

#[test]
fn days_can_be_given_and_the_latent_kept() {
    let raw = Raw::new(
        &format!("{USERS}1,2025-01-02,paid,1,IN,ads,0.5\n"),
        &format!("{EVENTS}1,1,2025-01-01 23:59:59,login,,,,\n2,1,2025-01-02 00:00:00,login,,,,\n3,1,2025-01-05 00:00:00,login,,,,\n"),
    );
    let date = |text: &str| Some(text.parse().unwrap());
    let report = done(&ChurnOptions { from: date("2025-01-02"), to: date("2025-01-04"), keep_latent: true, ..raw.options() });
    assert_eq!(counts(&report.events.dropped), expected(&[("outside_range", 2)]));
    assert_eq!((report.user_daily.rows, report.user_daily.last_date.as_str()), (3, "2025-01-04"));
    assert!(raw.read("users_clean.csv").ends_with(",engagement_score\n1,2025-01-02,paid,1,IN,ads,0.5\n"));
    assert_eq!(raw.read("user_daily.csv").lines().next().unwrap().split(',').count(), 18, "the grid never shows the latent");
    let half = done(&ChurnOptions { to: date("2025-01-04"), overwrite: true, ..raw.options() });
    assert_eq!((half.user_daily.first_date.as_str(), half.user_daily.days), ("2025-01-01", 4));
}

#[test]
fn what_cannot_be_prepared_is_refused_and_leaves_nothing() {
    let users = format!("{USERS}1,2025-01-02,paid,1,IN,ads,0.5\n");
    let events = format!("{EVENTS}1,1,2025-01-01 10:00:00,login,,,,\n2,1,2012-01-01 00:00:00,login,,,,\n");
    let refused = |users: &str, events: &str| {
        let raw = Raw::new(users, events);
        raw.refused(&raw.options())
    };
    assert!(refused(&users, &events).contains("4750 days from 2012-01-01 to 2025-01-01, which looks like a wrong date"));
    assert!(refused(&users, EVENTS).contains("the days of the grid are not known"));
    assert!(refused(&users, "").contains("events.csv: is empty"));
    assert!(refused(USERS, &events).contains("no event of a known user can be read"));
    assert!(refused(&users, "event_id,user_id,event_tim,event_type\n").contains("has no column event_time"));
    assert!(refused(&users, "event_id,user_id,event_tim,event_type\n").contains("hint: rename `event_tim`"));
    assert!(refused("user_id,signup_date\n", &events).contains("has neither a column plan nor a column is_paid"));
    assert!(refused("user_id,User ID,signup_date,plan\n", &events).contains("several columns user_id"));
    assert!(refused("user_id,\"plan\n", &events).contains("users.csv:1: the header has a quote that is never closed"));

    let raw = Raw::new(&users, &events.replace("2012", "2025").replace("login", ""));
    let date = |text: &str| Some(text.parse().unwrap());
    let given = ChurnOptions { from: date("2025-01-01"), to: date("2025-01-31"), ..raw.options() };
    let message = raw.refused(&given);
    assert!(message.contains("no row of events can be kept: all 2 rows were dropped, 2 for event_type_blank"), "{message}");
    assert!(message.contains("first at events.csv:2"), "{message}");
    let message = raw.refused(&ChurnOptions { from: date("2025-02-01"), ..given.clone() });
    assert!(message.contains("first day 2025-02-01 lies after its last, 2025-01-31"), "{message}");
    let stopped = prepare::churn(&given, Watch { progress: &Silent, stop: &AtomicBool::new(true), threads: 1 });
    assert!(matches!(stopped, Err(AnalysisError::Run(RunError::Interrupted))));
    assert!(!given.processed.exists());
    fs::remove_file(raw.0.path().join("raw/users.csv")).unwrap();
    assert!(raw.refused(&raw.options()).contains("has no table users"));
}

#[test]
fn an_earlier_result_is_replaced_only_where_that_is_asked_for() {
    let raw = Raw::new(&format!("{USERS}1,2025-01-02,paid,1,IN,ads,0.5\n"), &format!("{EVENTS}1,1,2025-01-01 10:00:00,login,,,,\n"));
    raw.prepare();
    let mine = raw.0.path().join("processed/notes.txt");
    fs::write(&mine, "mine").unwrap();
    let again = prepare::churn(&raw.options(), Watch { progress: &Silent, stop: &AtomicBool::new(false), threads: 1 });
    assert!(again.unwrap_err().to_string().contains("is there already; replace it with --overwrite"));
    done(&ChurnOptions { overwrite: true, format: Format::Parquet, ..raw.options() });
    let mut names: Vec<String> =
        fs::read_dir(raw.0.path().join("processed")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["events_clean.parquet", "notes.txt", "prepare_report.json", "user_daily.parquet", "users_clean.parquet"]);
}

#[test]
fn a_run_whose_files_were_edited_is_read_as_it_is() {
    let run = Run::new("churn", 4, &[("population.users", "20"), ("window.days", "30")]);
    let path = run.path().join("users.csv");
    let users = fs::read_to_string(&path).unwrap() + "1,2025-01-01,paid,1,IN,ads,0.5\n";
    fs::write(&path, users).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let report = done(&options(run.path(), &directory.path().join("out")));
    assert_eq!(counts(&report.users.dropped), expected(&[("user_id_duplicate", 1)]));
    assert!(report.remarks[0].contains("are not those of manifest.json"), "{:?}", report.remarks);
    let email = Run::new("email", 4, &[("population.users", "5"), ("window.days", "3")]);
    let refused = prepare::churn(
        &options(email.path(), &directory.path().join("x")),
        Watch { progress: &Silent, stop: &AtomicBool::new(false), threads: 1 },
    );
    assert!(refused.unwrap_err().to_string().contains("is a run of email, and prepare churn takes one of churn"));
}

#[test]
fn the_guide_lists_every_reason_in_order() {
    fn rows<R: Reason>() -> String {
        let rows: Vec<String> = R::ALL.iter().map(|reason| format!("| `{}` | {} |", reason.code(), reason.meaning())).collect();
        rows.join("\n")
    }
    let guide = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide/prepare.md")).unwrap();
    for rows in [rows::<Drop>(), rows::<Repair>(), rows::<Note>()] {
        assert!(guide.contains(&rows), "docs/guide/prepare.md lacks\n{rows}");
    }
}
