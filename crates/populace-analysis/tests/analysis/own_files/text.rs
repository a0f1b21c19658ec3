//! Text as other programs write it: charsets, JSON that is none, lines that are no rows, times.

use super::{features, files, recipients};
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
