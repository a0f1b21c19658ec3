//! Files that no run wrote: what users and other programs bring.

mod ids;
mod paths;
mod text;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use populace_analysis::AnalysisError;
use populace_analysis::churn::prepare::{self, ChurnOptions};
use populace_analysis::families::{compute_features, inspect, report};
use populace_analysis::features::{Options, RecipientsReport, Report, SequencesReport};
use populace_analysis::source::{As, Columns, ReadOptions, Settings, Source, TableSource, Want};
use populace_analysis::watch::Watch;
use populace_io::files::Format;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;

/// A directory with some files.
fn files(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    directory
}

fn parquet(path: &Path, columns: Vec<(&str, ArrayRef)>) {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(fs::File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn saying(settings: Settings) -> ReadOptions {
    ReadOptions::new(None, settings).unwrap()
}

fn time_unit(unit: &str) -> ReadOptions {
    saying(Settings { time_unit: Some(unit.into()), ..Settings::default() })
}

fn features(data: &Path, change: impl FnOnce(&mut Options)) -> Result<Report, AnalysisError> {
    let output = tempfile::tempdir().unwrap();
    let mut options = Options::new(data, output.path().join("out"));
    change(&mut options);
    compute_features(&options, &Watch::none(2))
}

fn sequences(data: &Path, change: impl FnOnce(&mut Options)) -> SequencesReport {
    match features(data, change).unwrap() {
        Report::Traces(report) => report,
        Report::Email(_) => panic!("calls"),
    }
}

fn recipients(data: &Path, change: impl FnOnce(&mut Options)) -> RecipientsReport {
    match features(data, change).unwrap() {
        Report::Email(report) => report,
        Report::Traces(_) => panic!("events"),
    }
}

struct Prepared {
    report: prepare::Report,
    directory: TempDir,
}

impl Prepared {
    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.directory.path().join(name)).unwrap()
    }
}

fn prepared_with(raw: &Path, reading: ReadOptions) -> Result<Prepared, AnalysisError> {
    let directory = tempfile::tempdir().unwrap();
    let options = ChurnOptions {
        raw: raw.to_owned(),
        processed: directory.path().to_owned(),
        format: Format::Csv,
        keep_latent: false,
        from: None,
        to: None,
        overwrite: false,
        reading,
    };
    let report = prepare::churn(&options, Watch::none(1))?;
    for table in [&report.users, &report.events] {
        assert_eq!(table.kept + table.dropped_rows, table.read);
    }
    Ok(Prepared { report, directory })
}

fn prepared(raw: &Path) -> Prepared {
    prepared_with(raw, ReadOptions::default()).unwrap()
}

const USERS: &str = "user_id,signup_date,plan\n1,2025-01-01,paid\n2,2025-01-02,free\n";

/// The texts of a column, `∅` where it is null.
fn texts(source: &TableSource, column: &'static str) -> Vec<String> {
    let mut all = Vec::new();
    for batch in source.read(&[Want::optional(column, As::Text)]).unwrap() {
        all.extend(batch.unwrap().text(column).iter().map(|text| text.unwrap_or("∅").to_owned()));
    }
    all
}

#[test]
fn columns_are_those_of_all_rows() {
    let events = "{\"event_id\":1,\"user_id\":1,\"event_time\":\"2025-01-03T08:00:00Z\",\"event_type\":\"login\"}\n\
        {\"event_id\":2,\"user_id\":1,\"event_time\":\"2025-01-03T09:00:00Z\",\"event_type\":\"video_watch\",\"course_id\":\"sql\",\"watch_minutes\":45.5}\n";
    for (name, text) in [("events.jsonl", events.to_owned()), ("events.json", format!("[{}]", events.trim().replace('\n', ",\n")))] {
        let raw = files(&[("users.csv", USERS), (name, &text)]);
        let done = prepared(raw.path());
        assert!(done.read("events_clean.csv").contains("video_watch,sql,45.5"), "{name}: {}", done.read("events_clean.csv"));
        assert_eq!(done.report.events.missing_columns, ["quiz_score", "amount"]);
    }
    // A required column that the first row lacks is there, and a part that has a column more keeps it.
    let raw = files(&[("events/a.jsonl", "{\"x\":1}\n{\"x\":2,\"user_id\":\"u\"}\n"), ("events/b.jsonl", "{\"x\":3,\"note\":\"n\"}\n")]);
    let table = Source::open(raw.path()).unwrap().table("events").unwrap();
    assert_eq!(table.column_names().unwrap(), ["x", "user_id", "note"]);
    assert_eq!(texts(&table, "user_id"), ["∅", "u", "∅"]);
    assert_eq!(texts(&table, "note"), ["∅", "∅", "n"]);
}

#[test]
fn a_stray_quote_costs_its_own_row_which_is_counted() {
    let events = "event_id,user_id,event_time,event_type,course_id\n\
        10,1,2025-01-03 08:00:00,video_watch,\"intro\n11,1,2025-01-03 08:01:00,login,\n12,1,2025-01-03 08:02:00,login,\n\
        13,1,2025-01-03 08:03:00,video_watch,\"sql-101\"\n14,1,2025-01-03 08:04:00,login,\n";
    let done = prepared(files(&[("users.csv", USERS), ("events.csv", events)]).path());
    let table = &done.report.events;
    assert_eq!((table.read, table.kept, table.dropped["unclosed_quote"].rows), (5, 4, 1));
    assert_eq!(table.dropped["unclosed_quote"].first, "events.csv:2");

    let calls = "session_id,timestamp,endpoint\na,2026-01-01 10:00:00,\"/x\na,2026-01-01 10:00:01,/y\na,2026-01-01 10:00:02,/z\n\
        a,2026-01-01 10:00:03,\"/x\"\na,2026-01-01 10:00:04,/y\n";
    let report = sequences(files(&[("calls.csv", calls)]).path(), |_| {});
    assert_eq!((report.read, report.calls, report.malformed), (5, 4, 1));
    assert!(report.remarks[0].contains("quote that is never closed") && report.remarks[0].contains("at line 2"), "{:?}", report.remarks);
    // A sound text of 70 lines stays whole.
    let lines = "a line, of prose\n".repeat(70);
    let text =
        format!("recipient_id,timestamp,event_type,note\nr,2026-01-01 10:00:00,opened,\"{lines}\"\nr,2026-01-01 10:00:01,clicked,x\n");
    let report = recipients(files(&[("events.csv", &text)]).path(), |_| {});
    assert_eq!((report.read, report.events, report.malformed), (2, 2, 0));
    // Rows of another number of fields are left out, and messages count them in.
    let text =
        "recipient_id,timestamp,event_type\nr,2026-01-01 10:00:00,opened\nr,2026-01-01\n\nr,2026-01-01 10:00:01,clicked\n,,\nr,soon,sent\n";
    let error = features(files(&[("events.csv", text)]).path(), |_| {}).unwrap_err().to_string();
    assert!(error.contains("events.csv: row 5, column timestamp: `soon` is not a timestamp"), "{error}");
    let text = text.replace("soon", "2026-01-01 10:00:05");
    let report = recipients(files(&[("events.csv", &text)]).path(), |_| {});
    assert_eq!((report.read, report.events, report.malformed), (5, 3, 2));
}

#[test]
fn every_part_of_a_table_is_read() {
    let part = |ids: Vec<i64>| -> Vec<(&str, ArrayRef)> {
        let times: ArrayRef = Arc::new(StringArray::from(vec!["2026-01-01 10:00:00"; ids.len()]));
        vec![("user_id", Arc::new(Int64Array::from(ids))), ("timestamp", times)]
    };
    let directory = files(&[("calls/_SUCCESS", ""), ("calls/.part-00000.parquet.crc", "x")]);
    let path = |name: &str| directory.path().join(name);
    parquet(&path("calls/part-00000.parquet"), part(vec![1]));
    parquet(&path("calls/part-00001-aa.c000.snappy.parquet"), part(vec![2]));
    parquet(&path("calls/part-00002.PARQUET"), part(vec![3]));
    parquet(&path("calls/part-00003"), part(vec![4]));
    fs::create_dir_all(path("calls/country=NA/day=2026-01-01")).unwrap();
    parquet(&path("calls/country=NA/day=2026-01-01/part-0.parquet"), part(vec![5]));
    let calls = || Source::open(directory.path()).unwrap().table("calls");
    assert_eq!(texts(&calls().unwrap(), "user_id"), ["5", "1", "2", "3", "4"]);
    assert_eq!(texts(&calls().unwrap(), "country"), ["NA", "∅", "∅", "∅", "∅"]);
    // What is no part is named.
    fs::write(path("calls/notes.txt"), "remember").unwrap();
    let error = calls().unwrap().read(&[Want::optional("user_id", As::Text)]).err().unwrap().to_string();
    assert!(error.contains("notes.txt: is of no known format"), "{error}");
    fs::remove_file(path("calls/notes.txt")).unwrap();
    fs::write(path("calls/part-4.csv"), "user_id\n6\n").unwrap();
    assert!(calls().unwrap_err().to_string().contains("are written in different ways"));
    fs::remove_file(path("calls/part-4.csv")).unwrap();
    parquet(&path("calls.parquet"), part(vec![1]));
    let error = calls().unwrap_err().to_string();
    assert!(error.contains("calls is there as calls/ and as calls.parquet; keep one of them"), "{error}");
    // A file beside the door is named, and a numbered one beside the file is not passed over.
    let near = files(&[("Event.csv", "a\n1\n"), ("users.csv", "a\n")]);
    let error = Source::open(near.path()).unwrap().table("events").unwrap_err().to_string();
    assert!(error.contains("hint: there is Event.csv"), "{error}");
    let numbered = files(&[("events.csv", "a\n1\n"), ("events-00001.csv", "a\n2\n")]);
    let error = Source::open(numbered.path()).unwrap().table("events").unwrap_err().to_string();
    assert!(error.contains("events.csv is there and events-00001.csv beside it"), "{error}");
    for copy in ["events (1).csv", "events(2).csv", "events - Copy.csv", "events_copy.csv"] {
        let copied = files(&[("events.csv", "a\n1\n"), (copy, "a\n2\n")]);
        let error = Source::open(copied.path()).unwrap().table("events").unwrap_err().to_string();
        assert!(error.contains(&format!("events.csv is there and {copy} beside it")), "{error}");
    }
}

#[test]
fn files_are_known_by_what_they_hold() {
    let csv = "recipient_id,timestamp,event_type\nr,2026-01-01 10:00:00,opened\n";
    let lines = "{\"recipient_id\":\"r\",\"timestamp\":\"2026-01-01 10:00:00\",\"event_type\":\"opened\"}\n";
    let pack = |text: &str| {
        let mut file = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
        file.finish().unwrap()
    };
    let utf16 = |text: &str, mark: &[u8]| [mark.to_vec(), text.encode_utf16().flat_map(u16::to_le_bytes).collect()].concat();
    let contents: Vec<(&str, Vec<u8>)> = vec![
        ("Events.CSV", csv.into()),
        ("events.tsv", csv.replace(',', "\t").into()),
        ("events.csv", csv.replace(',', ";").into()),
        ("events.csv", csv.replace(',', "|").into()),
        ("events.csv", format!("sep=;\r\n{}", csv.replace(',', ";")).into()),
        ("events.csv", format!("\u{feff}{csv}").into()),
        ("events.csv", format!("\u{feff}\"recipient_id\"{}", &csv[12..]).into()),
        ("events.csv", utf16(csv, b"\xff\xfe")),
        ("events.csv", utf16(csv, b"")),
        ("events.csv", csv.replace('\n', ",\r\n").into()),
        ("events.csv", csv.replace("recipient_id", " Recipient ID ").into()),
        ("events.csv.gz", pack(csv)),
        ("events.csv", pack(csv)),
        ("events.ndjson", lines.into()),
        ("events.JSONL.GZ", pack(lines)),
        ("events.json", lines.into()),
        ("events.json", format!("[{}]", lines.trim()).into()),
        ("events.csv", lines.into()),
        ("events.jsonl", lines.replace("recipient_id", "recipientId").into()),
    ];
    for (name, content) in contents {
        let directory = files(&[]);
        fs::write(directory.path().join(name), &content).unwrap();
        let report = recipients(directory.path(), |_| {});
        assert_eq!((report.read, report.events, report.recipients), (1, 1, 1), "{name}: {}", String::from_utf8_lossy(&content));
    }
    // Letters of Western Europe, as spreadsheets write them.
    let raw = files(&[("events.csv", "event_id,user_id,event_time,event_type\n1,1,2025-01-03 08:00:00,login\n")]);
    fs::write(raw.path().join("users.csv"), b"user_id,signup_date,plan,country\n1,2025-01-01,paid,C\xf4te d'Ivoire\n").unwrap();
    assert!(prepared(raw.path()).read("users_clean.csv").contains("Côte d'Ivoire"));
    for (start, message) in
        [(&b"PK\x03\x04rest"[..], "is a spreadsheet or a ZIP archive; export its table as CSV"), (b"Obj\x01..", "is Avro")]
    {
        let directory = files(&[]);
        fs::write(directory.path().join("events.csv"), start).unwrap();
        let error = features(directory.path(), |_| {}).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn a_unit_is_never_guessed() {
    let millis = 1_767_261_600_000_i64;
    let columns = |times: ArrayRef| {
        let text = |value: &str| -> ArrayRef { Arc::new(StringArray::from(vec![value; 2])) };
        vec![("recipient_id", text("r")), ("timestamp", times), ("event_type", text("clicked"))]
    };
    let directory = files(&[]);
    parquet(&directory.path().join("events.parquet"), columns(Arc::new(Int64Array::from(vec![millis, millis + 1_000]))));
    let csv = format!("recipient_id,timestamp,event_type\nr,{millis},clicked\nr,{},clicked\n", millis + 1_000);
    let json = csv.lines().skip(1).map(|line| {
        let cells: Vec<&str> = line.split(',').collect();
        format!("{{\"recipient_id\":\"r\",\"timestamp\":{},\"event_type\":\"clicked\"}}\n", cells[1])
    });
    for own in [directory, files(&[("events.csv", &csv)]), files(&[("events.jsonl", &json.collect::<String>())])] {
        let error = features(own.path(), |_| {}).unwrap_err().to_string();
        assert!(error.contains("column timestamp") && error.contains("--time-unit s, ms, us or ns"), "{error}");
        let report = recipients(own.path(), |options| options.reading = time_unit("ms"));
        assert_eq!((report.computed_at.as_str(), report.events, report.suppressed), ("2026-01-01T10:00:01Z", 2, 0));
    }
    let calls = format!("session_id,timestamp,endpoint\ns,{millis},/a\ns,{},/b\n", millis + 1_000);
    let own = files(&[("calls.csv", &calls)]);
    assert!(report_of(own.path(), &ReadOptions::default()).unwrap_err().to_string().contains("--time-unit"));
    let drawn = report_of(own.path(), &time_unit("ms")).unwrap();
    assert!(serde_json::to_string(&drawn).unwrap().contains("2026-01-01"));
    let events = format!("event_id,user_id,event_time,event_type\n1,1,{},login\n", millis / 1_000);
    let raw = files(&[("users.csv", USERS), ("events.csv", &events)]);
    let error = prepared_with(raw.path(), ReadOptions::default()).err().unwrap().to_string();
    assert!(error.contains("no event of a known user can be read") || error.contains("--time-unit"), "{error}");
    let done = prepared_with(raw.path(), time_unit("s")).unwrap();
    assert!(done.read("events_clean.csv").contains("1,1,2026-01-01 10:00:00,login"));
    // A unit that is said and wrong puts everything into 1970: that is told.
    assert_eq!(prepared_with(raw.path(), time_unit("ms")).unwrap().report.events.noted["odd_clock"].rows, 1);
    assert!(ReadOptions::new(None, Settings { time_unit: Some("h".into()), ..Settings::default() }).is_err());
}

fn report_of(directory: &Path, reading: &ReadOptions) -> Result<populace_analysis::report::Report, AnalysisError> {
    let options = populace_analysis::report::Options { reading: reading.clone(), ..Default::default() };
    report(directory, &options, &Watch::none(1))
}

#[test]
fn times_are_read_alike_everywhere() {
    let with = |time: &str| format!("recipient_id,timestamp,event_type\nr,\"{time}\",clicked\n");
    for (time, expected) in [
        ("2026-01-31T08:30:05Z", "2026-01-31T08:30:05Z"),
        ("2026-01-31 08:30:05 UTC", "2026-01-31T08:30:05Z"),
        ("2026-01-31 08:30:05.123456789+02:00", "2026-01-31T06:30:05Z"),
        ("[31/Jan/2026:08:30:05 +0000]", "2026-01-31T08:30:05Z"),
        ("Sat, 31 Jan 2026 08:30:05 GMT", "2026-01-31T08:30:05Z"),
    ] {
        let own = files(&[("events.csv", &with(time))]);
        assert!(recipients(own.path(), |_| {}).computed_at.starts_with(&expected[..19]), "{time}");
        let events = format!("event_id,user_id,event_time,event_type\n1,1,\"{time}\",login\n");
        let raw = files(&[("users.csv", USERS), ("events.csv", &events)]);
        assert!(prepared(raw.path()).read("events_clean.csv").contains(&expected[..19].replace('T', " ")), "{time}");
    }
    let own = files(&[("events.csv", &with("01/02/2026 08:30"))]);
    let error = features(own.path(), |_| {}).unwrap_err().to_string();
    assert!(error.contains("--dates day-first"), "{error}");
    let said = saying(Settings { dates: Some("day-first".into()), utc_offset: Some("+01:00".into()), ..Settings::default() });
    assert_eq!(recipients(own.path(), |options| options.reading = said).computed_at, "2026-02-01T07:30:00Z");
}

#[test]
fn a_blank_is_nothing_and_namibia_is_a_country() {
    let calls = |retry: &str| {
        let line = |id: u32, endpoint: &str| {
            format!(
                "{{\"session_id\":\"s\",\"call_id\":\"c{id}\",\"timestamp\":\"2026-01-01T10:00:0{id}Z\",\"endpoint\":\"{endpoint}\",\"retry_of\":{retry}}}\n"
            )
        };
        line(1, "/a") + &line(2, "/b") + &line(3, "/c")
    };
    for retry in ["\"\"", "null", "\" \"", "\"NULL\"", "0", "false", "\"no\""] {
        let report = sequences(files(&[("calls.jsonl", &calls(retry))]).path(), |_| {});
        assert_eq!((report.calls, report.retries), (3, 0), "{retry}");
    }
    let directory = files(&[]);
    let text = |values: [&str; 2]| -> ArrayRef { Arc::new(StringArray::from(values.to_vec())) };
    let times = text(["2026-01-01 10:00:00", "2026-01-01 10:00:01"]);
    let columns =
        vec![("session_id", text(["s", "s"])), ("timestamp", times), ("endpoint", text(["/a", "/b"])), ("retry_of", text(["", ""]))];
    parquet(&directory.path().join("calls.parquet"), columns);
    assert_eq!(sequences(directory.path(), |_| {}).retries, 0);
    let users = "user_id,signup_date,plan,country\n1,2025-01-01,paid,NA\n2,2025-01-01,paid,null\n3,2025-01-01,paid,na\n";
    let events = "event_id,user_id,event_time,event_type,course_id,watch_minutes\n1,1,2025-01-03 08:00:00,video_watch,NA,NA\n";
    let done = prepared(files(&[("users.csv", users), ("events.csv", events)]).path());
    assert!(done.read("users_clean.csv").contains("1,2025-01-01,paid,1,NA,\n2,2025-01-01,paid,1,,\n3,2025-01-01,paid,1,NA,"));
    assert!(done.read("events_clean.csv").contains("video_watch,,0.0"));
}

#[test]
fn a_given_flag_stands_for_an_unknown_plan() {
    let users =
        "user_id,signup_date,plan,is_paid\n1,2025-01-01,premium,1\n2,2025-01-01,basic,no\n3,2025-01-01,gold,\n4,2025-01-01,free,0\n";
    let raw = files(&[("users.csv", users), ("events.csv", "event_id,user_id,event_time,event_type\n1,1,2025-01-03 08:00:00,login\n")]);
    let done = prepared(raw.path());
    let clean = done.read("users_clean.csv");
    assert!(
        clean.contains("1,2025-01-01,premium,1,") && clean.contains("2,2025-01-01,basic,0,") && clean.contains("3,2025-01-01,gold,0,"),
        "{clean}"
    );
    assert_eq!((done.report.users.noted["plan_unknown"].rows, done.report.users.repaired["is_paid_corrected"].rows), (3, 1));
}

#[test]
fn a_comma_in_a_number_is_what_the_file_says() {
    let minutes = |events: &str, reading: ReadOptions| {
        let raw = files(&[("users.csv", USERS), ("events.csv", events)]);
        prepared_with(raw.path(), reading).map(|done| {
            let clean = done.read("events_clean.csv");
            clean.lines().skip(1).map(|line| line.split(',').nth(5).unwrap().to_owned()).collect::<Vec<_>>()
        })
    };
    let head = "event_id;user_id;event_time;event_type;watch_minutes\n";
    let row = |id: u32, minutes: &str| format!("{id};1;2025-01-03 08:00:0{id};video_watch;{minutes}\n");
    let none = ReadOptions::default;
    assert_eq!(minutes(&format!("{head}{}{}", row(1, "45,5"), row(2, "1.234,5")), none()).unwrap(), ["45.5", "1234.5"]);
    assert_eq!(minutes(&format!("{head}{}{}", row(1, "45,5"), row(2, "1.234")), none()).unwrap(), ["45.5", "1234.0"]);
    assert_eq!(minutes(&format!("{head}{}{}", row(1, "45.5"), row(2, "1,234")), none()).unwrap(), ["45.5", "1234.0"]);
    assert_eq!(minutes(&format!("{head}{}", row(1, "1,234")), none()).unwrap(), ["1.234"], "semicolons say so");
    let commas = "event_id,user_id,event_time,event_type,watch_minutes\n1,1,2025-01-03 08:00:00,video_watch,\"1,234\"\n";
    let error = minutes(commas, none()).unwrap_err().to_string();
    assert!(error.contains("column watch_minutes: `1,234`") && error.contains("--decimal point or --decimal comma"), "{error}");
    let said = |decimal: &str| saying(Settings { decimal: Some(decimal.into()), ..Settings::default() });
    assert_eq!(minutes(commas, said("comma")).unwrap(), ["1.234"]);
    assert_eq!(minutes(commas, said("point")).unwrap(), ["1234.0"]);
    // The same reader, of a number of calls.
    let calls = "session_id;timestamp;endpoint;response_time_ms\ns;2026-01-01 10:00:00;/a;12,5\ns;2026-01-01 10:00:01;/b;1.000,25\n";
    let source = files(&[("calls.csv", calls)]);
    let table = Source::open(source.path()).unwrap().table("calls").unwrap();
    let batch = table.read(&[Want::new("response_time_ms", As::Float)]).unwrap().next().unwrap().unwrap();
    assert_eq!(batch.float("response_time_ms").values().as_ref(), [12.5, 1000.25]);
}

#[test]
fn ids_are_text_where_they_are_no_numbers() {
    let users = "user_id,signup_date,plan\n00123,2025-01-01,paid\n123,2025-01-02,free\nada@example.com,2025-01-02,free\n";
    let events = "event_id,user_id,event_time,event_type\ne-1,00123,2025-01-03 08:00:00,login\ne-2,123,2025-01-03 08:00:00,login\n\
        e-3,ada@example.com,2025-01-03 09:00:00,login\ne-1,123,2025-01-04 08:00:00,login\ne-4,9,2025-01-03 08:00:00,login\n";
    let done = prepared(files(&[("users.csv", users), ("events.csv", events)]).path());
    assert_eq!((done.report.users.kept, done.report.events.kept), (3, 3));
    assert_eq!((done.report.events.dropped["event_id_duplicate"].rows, done.report.events.dropped["user_unknown"].rows), (1, 1));
    assert!(done.read("users_clean.csv").contains("00123,2025-01-01") && done.read("users_clean.csv").contains("\n123,2025-01-02"));
    assert!(
        done.read("events_clean.csv").contains("e-1,00123,2025-01-03")
            && done.read("user_daily.csv").contains("ada@example.com,2025-01-03")
    );
    // Message ids of providers are no UUIDs.
    let events = "recipient_id,timestamp,event_type,message_id\nr,2026-01-01 10:00:00,sent,<m1.filter@mx>\n\
        r,2026-01-01 10:00:05,delivered,<m1.filter@mx>\nr,2026-01-01 11:00:00,opened,<m1.filter@mx>\n";
    let source = files(&[("events.csv", events)]);
    assert!(report_of(source.path(), &ReadOptions::default()).is_ok());
}

#[test]
fn keys_that_are_no_keys_are_told_apart_and_repeats_count_once() {
    let calls = "user_id,session_id,call_id,timestamp,endpoint\n\
        u,1,a,2026-01-01 10:00:00,/login\nv,1,b,2026-01-01 10:00:01,/search\nu,1,c,2026-01-01 10:00:02,/logout\n\
        v,1,d,2026-01-01 10:00:03,/cart\nv,1,d,2026-01-01 10:00:04,/cart\nv,1,d,2026-01-01 10:00:05,/pay\n";
    let source = files(&[("calls.csv", calls)]);
    let report = sequences(source.path(), |_| {});
    assert_eq!((report.read, report.calls, report.repeats, report.shared_sessions, report.ambiguous_ids), (6, 5, 1, 1, 1));
    let statistics = &report.statistics;
    assert_eq!((statistics.total_sequences, statistics.total_transitions, report.transitions), (2, 3, 3));
    assert!(report_of(source.path(), &ReadOptions::default()).unwrap().notes[0].contains("1 rows repeat"));

    let events = "event_id,recipient_id,timestamp,event_type\n1,r,2026-01-01 10:00:00,clicked\n1,r,2026-01-01 10:00:00,clicked\n\
        1,r,2026-01-01 10:00:00,clicked\n2,r,2026-01-01 11:00:00,opened\n3,r,2052-01-01 10:00:00,opened\n4,r,1970-01-01 00:00:00,opened\n";
    let report = recipients(files(&[("events.csv", events)]).path(), |_| {});
    assert_eq!((report.read, report.events, report.repeats, report.odd_clocks), (6, 2, 2, 2));
    assert_eq!(report.computed_at, "2026-01-01T11:00:00Z", "the odd clock does not say what time it is");
    assert_eq!(report.remarks.len(), 2);
    let raw = "event_id,user_id,event_time,event_type\n1,1,2025-01-03 08:00:00,login\n2,1,2052-01-03 08:00:00,login\n3,2,2025-01-05 08:00:00,login\n";
    let done = prepared(files(&[("users.csv", USERS), ("events.csv", raw)]).path());
    assert_eq!((done.report.events.kept, done.report.events.dropped["odd_clock"].rows, done.report.user_daily.days), (2, 1, 3));
}

#[test]
fn words_are_mapped_and_unknown_ones_are_named() {
    let events = "email,when,what\na@example.com,1767261600,processed\na@example.com,1767261605,delivered\na@example.com,1767261900,open\nb@example.com,1767261600,pigeon\n";
    let own = files(&[("events.csv", events), ("map.yaml", "extends: sendgrid\ncolumns:\n  timestamp: when\n  event_type: what\n")]);
    let map = own.path().join("map.yaml");
    let reading = ReadOptions::new(map.to_str(), Settings::default()).unwrap();
    let report = recipients(own.path(), |options| options.reading = reading);
    assert_eq!((report.events, report.unknown_types, report.recipients), (4, 1, 2));
    assert_eq!(report.unknown_words.iter().collect::<Vec<_>>(), [(&"pigeon".to_owned(), &1)]);
    assert!(report.remarks[0].contains("`pigeon` (1"), "{:?}", report.remarks);
    // Another column by mistake: addresses are not repeated.
    let mistaken = "recipient_id,timestamp,event_type\nr,2026-01-01 10:00:00,ann@example.org\nr,2026-01-01 10:00:00,bob@example.org\n";
    let error = features(files(&[("events.csv", mistaken)]).path(), |_| {}).unwrap_err().to_string();
    assert!(error.contains("`a text of 15 letters with an @` (2") && !error.contains("example.org"), "{error}");
    let plain = "recipient_id,timestamp,event_type\nr,2026-01-01 10:00:00,open\nr,2026-01-01 10:00:00,click\n";
    let error = features(files(&[("events.csv", plain)]).path(), |_| {}).unwrap_err().to_string();
    assert!(error.contains("`open` (1, near opened)") && error.contains("--map"), "{error}");
    for preset in ["sendgrid", "mailchimp", "klaviyo", "hubspot", "ga4", "apache", "nginx", "iis"] {
        assert!(ReadOptions::new(Some(preset), Settings::default()).is_ok(), "{preset}");
    }
    let error = ReadOptions::new(Some("sendgird"), Settings::default()).unwrap_err().to_string();
    assert!(error.contains("did you mean `sendgrid`?"), "{error}");
    fs::write(&map, "columns:\n  timestamp: stamp\n").unwrap();
    let reading = ReadOptions::new(map.to_str(), Settings::default()).unwrap();
    let error = features(own.path(), |options| options.reading = reading).unwrap_err().to_string();
    assert!(error.contains("events.csv: has no column stamp; it has email, when, what"), "{error}");
}

#[test]
fn maps_that_cannot_be_say_which_key_is_wrong_and_what_it_takes() {
    let directory = files(&[]);
    let path = directory.path().join("map.yaml");
    for (text, told) in [
        ("", "must be keys and values, such as `columns:` and below it `timestamp: sent_at`, got nothing"),
        ("- a\n", "must be keys and values, such as `columns:` and below it `timestamp: sent_at`, got a list"),
        ("colums: {}\n", "there is no `colums`\nhint: did you mean `columns`?"),
        ("columns: [a]\n", "columns: must be keys and values, a line each, got a list"),
        ("columns: {timestmp: at}\n", "columns: no table has a column `timestmp`\nhint: did you mean `timestamp`?"),
        ("columns: {timestamp: 5}\n", "columns.timestamp: must be the name of a column of the file, or a list of names"),
        ("columns: {timestamp: []}\n", "columns.timestamp: must be the name of a column of the file, or a list of names"),
        ("columns: {timestamp: [at, {b: c}]}\n", "got keys and values"),
        ("events: [open]\n", "events: must be keys and values, a line each, got a list"),
        ("events: {open: opend}\n", "events.open: there is no `opend`\nhint: did you mean `opened`?"),
        ("events: {open: }\n", "events.open: must be a type of event, got nothing"),
        ("extends: sendgird\n", "extends: there is no preset sendgird\nhint: did you mean `sendgrid`?"),
        ("extends: 5\n", "extends: must be the name of a preset, got 5"),
        ("time_unit: 1\n", "time_unit: must be s, ms, us or ns, got 1"),
        ("time_unit: sec\n", "time_unit: sec: is none of s, ms, us, ns"),
        ("utc_offset: 2\n", "utc_offset: must be an offset in quotes"),
        ("decimal: dot\n", "decimal: dot: is none of point, comma"),
    ] {
        fs::write(&path, text).unwrap();
        let error = ReadOptions::new(path.to_str(), Settings::default()).unwrap_err().to_string();
        let begins = format!("--map {}: ", path.display());
        assert!(error.contains(told) && error.starts_with(&begins), "{text:?}: {error}");
    }
    // What the option says is of the option.
    fs::write(&path, "time_unit: s\n").unwrap();
    let wrong = Settings { time_unit: Some("sec".into()), ..Settings::default() };
    let error = ReadOptions::new(path.to_str(), wrong).unwrap_err().to_string();
    assert!(error.starts_with("--time-unit sec: is none of"), "{error}");
}

#[test]
fn exports_of_providers_and_servers_are_read() {
    let with = |preset: &str| ReadOptions::new(Some(preset), Settings::default()).unwrap();
    let sendgrid = "[{\"email\":\"a@example.com\",\"timestamp\":1764400100,\"event\":\"processed\",\"sg_event_id\":\"e1\",\"sg_message_id\":\"m1\"},\n\
        {\"email\":\"a@example.com\",\"timestamp\":1764400160,\"event\":\"open\",\"sg_event_id\":\"e2\",\"sg_message_id\":\"m1\"}]";
    let klaviyo = "{\"id\":\"e1\",\"attributes\":{\"datetime\":\"2026-01-01 10:00:00+00:00\",\"metric\":{\"name\":\"Opened Email\"},\"profile_id\":\"p\"}}\n";
    for (preset, name, text, events) in [("sendgrid", "events.json", sendgrid, 2), ("klaviyo", "events.jsonl", klaviyo, 1)] {
        let report = recipients(files(&[(name, text)]).path(), |options| options.reading = with(preset));
        assert_eq!((report.events, report.unknown_types), (events, 0), "{preset}");
    }
    let ga4 = "{\"event_timestamp\":\"1767261600000000\",\"event_name\":\"page_view\",\"user_pseudo_id\":\"1.2\",\"event_params\":[{\"key\":\"ga_session_id\",\"value\":{\"string_value\":null,\"int_value\":\"17\"}},{\"key\":\"page_location\",\"value\":{\"string_value\":\"/a\"}}]}\n";
    let ga4 = [ga4.to_owned(), ga4.replace("600000000", "605000000").replace("\"/a\"", "\"/b\""), ga4.replace("1.2", "3.4")].concat();
    let report = sequences(files(&[("calls.jsonl", &ga4)]).path(), |options| (options.reading, options.min_length) = (with("ga4"), 1));
    assert_eq!((report.statistics.total_sequences, report.statistics.total_transitions, report.shared_sessions), (2, 1, 1));
    let log = "10.0.0.1 - - [10/Oct/2025:13:55:36 +0000] \"GET /pet/findByStatus?x=1 HTTP/1.1\" 200 12 \"-\" \"curl\"\n\
        10.0.0.1 - - [10/Oct/2025:13:55:40 +0000] \"GET /pet/01ARZ3NDEKTSV4RRFFQ69G5FAV HTTP/1.1\" 200 12 \"-\" \"curl\"\nnonsense\n\
        10.0.0.1 - - [10/Oct/2025:18:55:40 +0000] \"GET /login HTTP/1.1\" 200 12 \"-\" \"curl\"\n";
    let templates = vec!["/pet/{id}".to_owned(), "/pet/findByStatus".to_owned()];
    let report = sequences(files(&[("calls.log", log)]).path(), |options| {
        options.reading = with("nginx");
        (options.session_gap, options.templates, options.min_length) = (Some(30 * 60_000_000), templates, 1);
    });
    assert_eq!((report.read, report.calls, report.malformed, report.statistics.total_sequences), (4, 3, 1, 2));
}

#[test]
fn what_stands_in_the_way_of_a_file_is_said() {
    let header = "recipient_id,timestamp,event_type\n";
    let refused = |name: &str, text: &str| features(files(&[(name, text)]).path(), |_| {}).unwrap_err().to_string();
    assert!(
        refused("events.csv", "r1,2026-01-01T10:00:00Z,clicked\nr2,2026-01-01T10:00:00Z,opened\n").contains("the first line holds values")
    );
    assert!(refused("events.xlsx", "PK").contains("hint: there is events.xlsx"));
    assert!(refused("events.json", "{\"events\":[{\"recipient_id\":\"a\"}]}").contains("give the list alone"));
    assert!(refused("events.csv", "who,when,what\na,b,c\n").contains("`populace inspect` names the presets"));
    // Old spreadsheets end lines in a carriage return alone; blanks around a text are no part of it.
    for rows in [
        "r1,2026-01-01 10:00:00,clicked\nr2,2026-01-01 10:00:00,opened\n",
        " r1 ,2026-01-01 10:00:00, clicked \nr2\t,2026-01-01 10:00:00,\u{a0}opened\n",
    ] {
        for text in [format!("{header}{rows}"), format!("{header}{rows}").replace('\n', "\r")] {
            let report = recipients(files(&[("events.csv", &text)]).path(), |_| {});
            assert_eq!((report.read, report.events, report.recipients, report.unknown_types), (2, 2, 2, 0), "{text:?}");
        }
    }
    let calls = |rows: &str| refused("calls.csv", &format!("session_id,endpoint,timestamp,status_code,response_time_ms\n{rows}\n"));
    assert!(
        calls("s,/a,2026-01-01 10:00:00,2OO,1")
            .contains("calls.csv: row 1, column status_code: `2OO` is not a whole number\nhint: taken are 1234")
    );
    assert!(calls("s,/a,2026-01-01 10:00:00,200,fast").contains("`fast` is not a number\nhint: taken are 1234.5"));
    assert!(calls(",/a,2026-01-01 10:00:00,200,1").contains("is empty, and must be text\nhint: take such rows out"));
    assert!(calls("s,/a,1767261600,200,1").contains("--time-unit"));
    assert!(refused("calls.csv", "user,endpoint,timestamp\nu,/a,2026-01-01 10:00:00\n").contains("--session-gap 30m"));
    let raw = |events: &str| prepared_with(files(&[("users.csv", USERS), ("events.csv", events)]).path(), ReadOptions::default());
    let told = raw("event_id,user_id,event_time,event_type\n1,1,1735891200,login\n2,9,1735891200,login\n").err().unwrap().to_string();
    assert!(told.contains("users: 2 rows\n  events: 2 rows, 2 of them dropped (event_time_unreadable: "), "{told}");
}

#[test]
fn an_inspection_names_what_is_needed_and_the_preset_that_has_it() {
    let inspected = |name: &str, text: &str, map: Option<&str>| {
        let reading = ReadOptions::new(map, Settings::default()).unwrap();
        inspect(&files(&[(name, text)]).path().join(name), &reading).unwrap().remove(0)
    };
    let sendgrid = "email,timestamp,event,sg_event_id\na@example.com,1764400100,processed,e1\na@example.com,1764400160,open,e2\n";
    let found = inspected("events.csv", sendgrid, None);
    assert_eq!((found.presets, found.missing), (vec!["sendgrid"], vec!["recipient_id", "event_type"]));
    let found = inspected("events.csv", sendgrid, Some("sendgrid"));
    assert!(found.presets.is_empty() && found.missing.is_empty() && found.problems.is_empty(), "{found:?}");
    let log = "10.0.0.1 - - [10/Oct/2025:13:55:36 +0000] \"GET /pets HTTP/1.1\" 200 12 \"-\" \"curl\"\n";
    assert_eq!(inspected("calls.log", log, None).presets, ["apache", "nginx", "iis"]);
    let hubspot = "{\"recipient\":\"a@example.com\",\"created\":1764400100000,\"type\":\"OPEN\",\"id\":\"1\"}\n";
    assert_eq!(inspected("events.jsonl", hubspot, None).presets, ["hubspot"]);
    let own = "recipient_id,timestamp,event_type\nr,2026-01-01 10:00:00,opened\n";
    let found = inspected("events.csv", own, None);
    assert!(found.presets.is_empty() && found.missing.is_empty(), "optional columns are not missed: {found:?}");
}

#[test]
fn offsets_are_read_as_people_write_them_and_zones_are_not() {
    let events = "recipient_id,timestamp,event_type\nr,2026-01-01 10:00:00,clicked\n";
    let with = |offset: &str| ReadOptions::new(None, Settings { utc_offset: Some(offset.into()), ..Settings::default() });
    for offset in ["+01:00", "+0100", "+1", "+01", "UTC+1", "gmt+01:00"] {
        let reading = with(offset).unwrap();
        let report = recipients(files(&[("events.csv", events)]).path(), |options| options.reading = reading);
        assert_eq!(report.computed_at, "2026-01-01T09:00:00Z", "{offset}");
    }
    for offset in ["Z", "UTC", "gmt", "+00:00"] {
        assert!(with(offset).is_ok(), "{offset}");
    }
    for offset in ["Europe/Paris", "CET", "+15", "+1:60", "+-1", "", "+"] {
        let error = with(offset).unwrap_err().to_string();
        assert!(error.contains("is no offset such as +02:00") && error.contains("tz_localize("), "{error}");
    }
}
