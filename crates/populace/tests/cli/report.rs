//! `populace report` as a user meets it.

use super::support::{Scratch, files, generate, populace, succeed, text};
use serde_json::Value;
use std::fs;

#[test]
fn a_report_is_a_page_and_its_figures_beside_the_data() {
    let scratch = Scratch::new("report");
    let run = scratch.path("run");
    generate("email", &run, &["-n", "40", "-s", "3"]);
    let directory = run.to_str().unwrap();
    let output = succeed(&["report", directory]);
    assert_eq!(text(&output.stdout), "");
    assert_eq!(text(&output.stderr).lines().collect::<Vec<_>>(), [format!("{directory}/report.html"), format!("{directory}/report.json")]);
    let figures: Value = serde_json::from_slice(&fs::read(run.join("report.json")).unwrap()).unwrap();
    assert_eq!((&figures["run"]["seed"], &figures["run"]["users"]), (&"3".into(), &40.into()));
    assert!(fs::read_to_string(run.join("report.html")).unwrap().contains("email, seed 3"));

    // The same figures on standard output, and elsewhere.
    let printed: Value = serde_json::from_slice(&succeed(&["report", directory, "--json"]).stdout).unwrap();
    assert_eq!(printed, figures);
    let other = scratch.path("other.html");
    succeed(&["report", directory, "-o", other.to_str().unwrap()]);
    assert_eq!(fs::read(scratch.path("other.json")).unwrap(), fs::read(run.join("report.json")).unwrap());
}

#[test]
fn figures_do_not_depend_on_format_parts_or_order() {
    for (scenario, users, order_matters) in [("email", "40", false), ("traces", "60", true), ("churn", "60", false)] {
        let scratch = Scratch::new(&format!("report-{scenario}"));
        let sections = |name: &str, more: &[&str]| {
            let run = scratch.path(name);
            generate(scenario, &run, &[&["-n", users, "-s", "5"], more].concat());
            let report: Value = serde_json::from_slice(&succeed(&["report", run.to_str().unwrap(), "--json"]).stdout).unwrap();
            report["sections"].clone()
        };
        let plain = sections("plain", &["-f", "csv"]);
        for more in [&["-f", "parquet"][..], &["-f", "jsonl", "--compression", "zstd", "--parts", "3"], &["-f", "arrow"]] {
            assert!(plain == sections(&more.join(""), more), "{scenario}: {more:?}");
        }
        // Sums of probabilities are rounded in the order of the recipients, and traces tell faults by that order.
        if !order_matters {
            let by_time = sections("by-time", &["-f", "csv", "--order", "time"]);
            assert!(close(&plain, &by_time), "{scenario}: rows by time");
        }
    }
}

/// Equal but for the last digits of numbers.
fn close(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| close(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| left.0 == right.0 && close(left.1, right.1))
        }
        (Value::Number(left), Value::Number(right)) => {
            let (left, right) = (left.as_f64().unwrap(), right.as_f64().unwrap());
            (left - right).abs() <= 1e-9 * left.abs().max(right.abs()).max(1.0)
        }
        _ => left == right,
    }
}

#[test]
fn what_cannot_be_shown_is_refused_and_nothing_is_written() {
    let scratch = Scratch::new("report-refused");
    let run = scratch.path("run");
    generate("traces", &run, &["-n", "20", "-s", "3"]);
    let directory = run.to_str().unwrap().to_owned();
    let before = files(&run);
    for (arguments, message) in [
        (vec!["report", "nowhere"], "nowhere: is not a directory"),
        (vec!["report", &directory, "-o", "report.pdf"], "report.pdf: must end in .html"),
        (vec!["report", &directory, "-o", "no/such/place.html"], "no/such/place.json"),
    ] {
        let output = populace(&arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output.stderr).contains(message), "{arguments:?}: {}", text(&output.stderr));
    }
    fs::write(run.join("calls.parquet"), b"PAR1").unwrap();
    let output = populace(&["report", &directory]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("calls.parquet"), "{}", text(&output.stderr));
    assert_eq!(files(&run).keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
}
