//! Paths of calls that no run wrote.

use super::{files, sequences};
use populace_analysis::families::compute_features;
use populace_analysis::features::Options;
use populace_analysis::source::{ReadOptions, Settings};
use populace_analysis::watch::Watch;
use populace_io::files::Format;
use std::fs;

#[test]
fn endpoints_keep_the_spelling_of_the_workflow_beside_them() {
    let workflow = "extends: traces\nworkflow:\n  transitions: {/pet/findByStatus: {'/pet/{id}': 1}}\n  exit_points: [/api/logout, /api/confirmation, '/api/orders/{id}/track', '/pet/{id}']\n";
    let calls = "session_id,endpoint,timestamp\ns,/pet/FINDBYSTATUS/?x=1,2026-01-01 10:00:00\ns,/pet/12,2026-01-01 10:00:01\n";
    let own = files(&[("calls.csv", calls), ("scenario.yaml", workflow)]);
    let mut options = Options::new(own.path(), own.path().join("out"));
    options.format = Format::Csv;
    compute_features(&options, &Watch::none(1)).unwrap();
    let transitions = fs::read_to_string(own.path().join("out/transitions.csv")).unwrap();
    assert!(transitions.contains("\n/pet/findByStatus,/pet/{id},1,"), "{transitions}");
}

#[test]
fn paths_that_explode_are_told() {
    let call = |call: u32| format!("s{},2026-01-01 10:00:{call:02},/orders/65f1c0ffee{call:02}deadbeef12\n", call / 3);
    let own = files(&[("calls.csv", &format!("session_id,timestamp,endpoint\n{}", (0..30).map(call).collect::<String>()))]);
    let report = sequences(own.path(), |_| {});
    assert_eq!(report.statistics.unique_endpoints, 30);
    assert!(report.remarks[0].contains("30 endpoints of 30 calls") && report.remarks[0].contains("--template"), "{:?}", report.remarks);
    let report = sequences(own.path(), |options| options.templates = vec!["/Orders/{order}".into()]);
    assert_eq!((report.statistics.unique_endpoints, report.remarks.len()), (1, 0));
}

#[test]
fn lines_of_a_log_without_a_request_are_left_out_and_counted() {
    let line =
        |second: u32, request: &str| format!("10.0.0.1 - - [10/Oct/2025:13:55:{second:02} +0000] \"{request}\" 200 12 \"-\" \"curl/8\"\n");
    let log =
        [line(1, "GET /a HTTP/1.1"), line(2, "-"), line(3, "\\x16\\x03\\x01"), "restarted\n".into(), line(4, "GET /b HTTP/1.1")].concat();
    let own = files(&[("calls.log", &log)]);
    let map = ReadOptions::new(Some("nginx"), Settings::default()).unwrap();
    let report = sequences(own.path(), |options| options.reading = map);
    assert_eq!((report.read, report.calls, report.transitions), (5, 2, 1), "{:?}", report.remarks);
    assert!(
        report.remarks[0].contains("3 rows were left out: is no line of an access log, or has no request (the first at line 2)"),
        "{:?}",
        report.remarks
    );
}

#[test]
fn logs_in_the_extended_form_are_read_as_those_of_other_servers() {
    let names = "#Fields: date time c-ip cs(User-Agent) cs-method cs-uri-stem cs-uri-query sc-status\n";
    let line = |second: u32, path: &str| format!("2025-10-10 13:55:{second:02} ::1 curl/8 GET {path} - 200\n");
    let log =
        ["#Software: IIS\n", names, &line(1, "/a"), "cut off\n", &line(2, "-"), "#Date: 2025-10-10\n", names, &line(3, "/b")].concat();
    let own = files(&[("u_ex251010.log", &log)]);
    fs::rename(own.path().join("u_ex251010.log"), own.path().join("calls.log")).unwrap();
    let map = ReadOptions::new(Some("iis"), Settings::default()).unwrap();
    let report = sequences(own.path(), |options| options.reading = map);
    assert_eq!((report.read, report.calls, report.transitions), (4, 2, 1), "{:?}", report.remarks);
    assert!(
        report.remarks[0].contains("2 rows were left out: is no line of an access log, or has no request (the first at line 4)"),
        "{:?}",
        report.remarks
    );
}
