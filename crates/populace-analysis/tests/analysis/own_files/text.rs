//! Text as other programs write it: charsets, JSON that is none, lines that are no rows, times.

use super::{features, files, recipients, report_of};
use populace_analysis::families::inspect;
use populace_analysis::source::{ReadOptions, Settings};
use std::fs;

const HEAD: &str = "recipient_id,timestamp,event_type\n";

#[test]
fn a_charset_that_nobody_named_is_told() {
    let name = |charset: &'static encoding_rs::Encoding, name: &str| charset.encode(name).0.into_owned();
    let row = |id: &[u8]| [id, b",2026-01-01 10:00:00,sent\n"].concat();
    let western = name(encoding_rs::WINDOWS_1252, "Jörg");
    let of = |rows: &[Vec<u8>]| {
        let own = files(&[]);
        fs::write(own.path().join("events.csv"), [HEAD.as_bytes(), &rows.concat()].concat()).unwrap();
        recipients(own.path(), |_| {})
    };
    let report = of(&[row(&western), row(b"Ann")]);
    assert_eq!((report.recipients, report.remarks.len()), (2, 1));
    assert!(report.remarks[0].contains("is not UTF-8, and was taken for windows-1252"), "{:?}", report.remarks);
    // Two exports put together: the same person in both, and nobody becomes another.
    let report = of(&[row(&western), row("Jörg".as_bytes()), row(&name(encoding_rs::WINDOWS_1252, "Järg")), row(b"Ann")]);
    assert_eq!((report.recipients, report.read, report.events), (3, 4, 4), "{:?}", report.remarks);
    assert!(
        report.remarks[0].contains("2 rows are not UTF-8") && report.remarks[0].contains("(the first at line 2)"),
        "{:?}",
        report.remarks
    );
    assert!(of(&[row("Jörg".as_bytes())]).remarks.is_empty());
}

#[test]
fn letters_of_other_alphabets_ask_for_their_charset() {
    for (charset, label, text) in [
        (encoding_rs::WINDOWS_1251, "windows-1251", "Анна Петрова"),
        (encoding_rs::SHIFT_JIS, "shift_jis", "山田太郎さんのメール"),
        (encoding_rs::GBK, "gb2312", "张伟的邮件"),
        (encoding_rs::WINDOWS_1253, "cp1253", "Νίκος"),
    ] {
        let row = [&charset.encode(text).0, &b",2026-01-01 10:00:00,sent\n"[..]].concat();
        let own = files(&[]);
        let path = own.path().join("events.csv");
        fs::write(&path, [HEAD.as_bytes(), b"Ann,2026-01-01 10:00:00,sent\n", &row].concat()).unwrap();
        let told = features(own.path(), |_| {}).unwrap_err().to_string();
        assert!(told.contains("is not UTF-8, and its letters are none of Western Europe's") && told.contains("--encoding"), "{told}");
        let named = || ReadOptions::new(None, Settings { encoding: Some(label.into()), ..Settings::default() }).unwrap();
        let report = recipients(own.path(), |options| options.reading = named());
        assert_eq!((report.recipients, report.remarks.len()), (2, 0), "{label}: {:?}", report.remarks);
        let found = inspect(&path, &named()).unwrap().remove(0);
        assert!(found.format.to_lowercase().contains(&charset.name().to_lowercase()), "{}", found.format);
    }
    // The letters of Western Europe, few among others, are still told.
    for text in ["Größe", "Müßiggang", "œuvre “ça va” – 5 €", "ÅÄ", "señor ¡Órale!"] {
        let own = files(&[]);
        let row = [&encoding_rs::WINDOWS_1252.encode(text).0, &b",2026-01-01 10:00:00,sent\n"[..]].concat();
        fs::write(own.path().join("events.csv"), [HEAD.as_bytes(), &row].concat()).unwrap();
        assert!(recipients(own.path(), |_| {}).remarks[0].contains("taken for windows-1252"), "{text}");
    }
    let told = ReadOptions::new(None, Settings { encoding: Some("cp-1251".into()), ..Settings::default() }).unwrap_err().to_string();
    assert!(told.contains("--encoding cp-1251: is no charset that is known") && told.contains("windows-1251"), "{told}");
}

#[test]
fn columns_are_known_however_their_names_are_parted() {
    for head in [
        "recipientId,timeStamp,eventType",
        "Recipient ID,Time Stamp,Event-Type",
        "RECIPIENT_ID,TIMESTAMP,EVENT_TYPE",
        "recipient.id,time_stamp,event.type",
    ] {
        let own = files(&[("events.csv", &format!("{head}\nr,2026-01-01 10:00:00,sent\n"))]);
        assert_eq!(recipients(own.path(), |_| {}).events, 1, "{head}");
    }
    let own = files(&[("events.csv", "recipient_id,recipientId,timestamp,event_type\nr,q,2026-01-01 10:00:00,sent\n")]);
    assert!(features(own.path(), |_| {}).unwrap_err().to_string().contains("several columns recipient_id"));
}

#[test]
fn files_that_are_not_what_they_look_like_say_how_they_are_mended() {
    let object = |id: &str| format!("{{\"recipient_id\":{id},\"timestamp\":\"2026-01-01 10:00:00\",\"event_type\":\"sent\"}}");
    let nan = object("NaN");
    let twice = object("1").replacen('{', "{\"recipient_id\":2,", 1);
    let [one, two] = [object("1"), object("2")];
    let pretty = one.replace(',', ",\n").replace('{', "{\n").replace('}', "\n}");
    for (name, text, expected) in [
        ("events.jsonl", format!("{one},\n{two}\n"), "without a comma after it"),
        ("events.jsonl", format!("{one}\n{nan}\n"), "NaN and Infinity are no JSON: write null"),
        ("events.json", format!("{one}{two}"), "jq -c . FILE"),
        ("events.jsonl", format!("{pretty}\n{pretty}\n"), "jq -c . FILE"),
        ("events.jsonl", format!("{one}\n{twice}\n"), "line 2: the key `recipient_id` is given twice"),
        ("events.csv", "recipient_id^timestamp^event_type\nr^2026-01-01^sent\n".to_owned(), "with commas, semicolons, tabs or pipes"),
        ("events.csv", format!("# exported\n{HEAD}r,2026-01-01,sent\n"), "take lines before it out"),
        ("events.csv", format!("{HEAD}r,Thu, 01 Jan 2026 10:00:00 GMT,sent\n"), "1 row was left out: the row has more or fewer fields"),
        ("events.csv", format!("{HEAD}r,46053.4166,sent\n"), "a spreadsheet's number of days"),
        ("events.csv", format!("{HEAD}r,01/31/2026,sent\n"), "month-first"),
    ] {
        let own = files(&[(name, &text)]);
        let error = features(own.path(), |_| {}).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("events"), "{text}\n{error}");
    }
}

#[test]
fn the_basic_form_of_a_time_and_hours_after_utc_are_read() {
    for (time, expected) in [
        ("20260101T100000Z", "2026-01-01T10:00:00"),
        ("20260101T100000.5+0200", "2026-01-01T08:00:00"),
        ("2026-01-01 10:00:00 GMT+2", "2026-01-01T08:00:00"),
        ("2026-01-01 10:00:00 UTC-05:30", "2026-01-01T15:30:00"),
    ] {
        let own = files(&[("events.csv", &format!("{HEAD}r,{time},sent\n"))]);
        assert_eq!(&recipients(own.path(), |_| {}).computed_at[..19], expected, "{time}");
    }
    for time in ["20260101T250000Z", "2026-01-01 10:00:00 GMTX", "2026-01-01 10:00:00 GMT+"] {
        let own = files(&[("events.csv", &format!("{HEAD}r,{time},sent\n"))]);
        assert!(features(own.path(), |_| {}).is_err(), "{time}");
    }
}

#[test]
fn ids_that_a_program_has_rounded_are_refused() {
    for id in ["1.23457E+15", "1E+15", "1.152921504606847e18", "2e+300"] {
        let told = features(files(&[("events.csv", &format!("{HEAD}Ann,2026-01-01,sent\n{id},2026-01-01,sent\n"))]).path(), |_| {});
        let told = told.unwrap_err().to_string();
        assert!(told.contains(&format!("row 2, column recipient_id: `{id}` is a number that a program has rounded")), "{told}");
    }
    for id in ["12E5", "a1E+15", "1E15", "e+5", "1.5", "1.E+3", "0.5"] {
        let own = files(&[("events.csv", &format!("{HEAD}{id},2026-01-01 10:00:00,sent\n"))]);
        assert_eq!(recipients(own.path(), |_| {}).events, 1, "{id}");
    }
}

#[test]
fn json_that_is_not_utf8_asks_for_its_charset_and_long_headers_are_named() {
    let row = "{\"recipient_id\":\"J\u{f6}rg\",\"timestamp\":\"2026-01-01 10:00:00\",\"event_type\":\"sent\"}\n";
    let own = files(&[]);
    fs::write(own.path().join("events.jsonl"), encoding_rs::WINDOWS_1252.encode(row).0).unwrap();
    let told = features(own.path(), |_| {}).unwrap_err().to_string();
    assert!(told.contains("events.jsonl: line 1: ") && told.contains("--encoding"), "{told}");
    let reading = ReadOptions::new(None, Settings { encoding: Some("latin1".into()), ..Settings::default() }).unwrap();
    assert_eq!(recipients(own.path(), |options| options.reading = reading).recipients, 1);
    let wide = ",one_more_column".repeat(100_000);
    let told = features(files(&[("events.csv", &format!("recipient_id{wide}\n"))]).path(), |_| {}).unwrap_err().to_string();
    assert!(told.contains("or is longer than 1 MiB"), "{told}");
}

#[test]
fn quotes_and_line_breaks_of_other_programs_cost_no_row() {
    let head = "recipient_id,timestamp,event_type,note\n";
    let read = |rows: &str| {
        let report = recipients(files(&[("events.csv", &format!("{head}{rows}"))]).path(), |_| {});
        assert_eq!(report.read, report.events + report.malformed, "{rows}");
        (report.recipients, report.events, report.malformed)
    };
    let row = |id: &str, note: &str| format!("{id},2026-01-01 10:00:00,sent,{note}\n");
    // MySQL and Spark write a backslash before a quote; elsewhere it is the end of a directory's name.
    assert_eq!(read(&[row("a", r#""say \"hi\", bob""#), row("b", "x"), row("c", r#""\"hi\"""#)].concat()), (3, 3, 0));
    assert_eq!(read(&[row("a", r#""5\"""#), row("b", "x")].concat()), (2, 2, 0));
    let quoted = [row(r#""a \"the\" man""#, "x"), row(r#""a ""the"" man""#, "x")].concat();
    assert_eq!(read(&quoted), (1, 2, 0), "both ways of writing are one text");
    assert_eq!(read(&[row("a", r#""C:\""#), row("b", "x"), row("c", r#""C:\""x""""#)].concat()), (3, 3, 0));
    // Rows of old programs, which a carriage return alone ends, in a file of others.
    let returned = row("b", "x").replace('\n', "\r") + &row("c", "y");
    assert_eq!(read(&[row("a", "x"), returned, row("d", "\"p\rq\"")].concat()), (4, 4, 0));
    // Bytes of zero, wherever they stand: their row is left out, and no id is another's.
    let many: String = (0..3_000).map(|id| row(&format!("r{id}"), "x")).collect();
    assert_eq!(read(&format!("{many}{}{}", row("r\0", "x"), row("z", "y"))), (3_001, 3_001, 1));
    assert_eq!(read(&format!("{}{many}", row("r\0", "x"))), (3_000, 3_000, 1));
}

#[test]
fn words_for_events_are_known_in_any_case() {
    let rows = |words: &[&str]| words.iter().map(|word| format!("r,2026-01-01 10:00:00,{word}\n")).collect::<Vec<_>>().concat();
    let own = files(&[("events.csv", &format!("{HEAD}{}", rows(&["Sent", "OPENED", " Site Visit", "sms-click", "opens"])))]);
    let report = recipients(own.path(), |_| {});
    assert_eq!((report.events, report.unknown_types), (5, 1), "{:?}", report.remarks);
}

#[test]
fn a_wrong_unit_or_year_of_most_rows_is_told() {
    let own = files(&[("events.csv", &format!("{HEAD}r,2052-01-01 10:00:00,sent\ns,2053-01-01 10:00:00,sent\n"))]);
    let report = recipients(own.path(), |_| {});
    assert!(report.remarks[0].contains("2 of 2 rows lie before 1990 or in the future"), "{:?}", report.remarks);
}

#[test]
fn a_list_of_json_with_a_comma_too_many_says_so() {
    let object = "{\"recipient_id\":\"r\",\"timestamp\":\"2026-01-01 10:00:00\",\"event_type\":\"sent\"}";
    let told = features(files(&[("events.json", &format!("[{object},\n]"))]).path(), |_| {}).unwrap_err().to_string();
    assert!(told.contains("no comma may follow the last object") && !told.contains("--encoding"), "{told}");
    let told = features(files(&[("events.jsonl", &format!("{object}\n[1]\n"))]).path(), |_| {}).unwrap_err().to_string();
    assert!(told.contains("line 2") && told.contains("each line is an object in braces"), "{told}");
}

#[test]
fn a_column_that_no_row_of_json_has_is_null_and_told() {
    let users = "user_id,signup_date,is_paid\n1,2025-01-01,1\n";
    let login = "{\"event_id\":1,\"user_id\":1,\"event_time\":\"2025-01-03T08:00:00Z\",\"event_type\":\"login\"}\n";
    let report = |events: &str| report_of(files(&[("users.csv", users), ("events.jsonl", events)]).path(), &ReadOptions::default());
    let notes = report(login).unwrap().notes;
    assert!(notes.iter().any(|note| note.contains("events.jsonl: no row has a watch_minutes: it is taken as null in all")), "{notes:?}");
    let told = report(&login.replace('}', ",\"watch_minute\":5}")).unwrap_err().to_string();
    assert!(told.contains("has no column watch_minutes") && told.contains("rename `watch_minute`"), "{told}");
}
