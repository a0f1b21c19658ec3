//! Cascades: the posterior is right, and precision by recall is measured against it.

use super::Bench;
use super::engagement::{assert_calibrated, assert_calibrated_by_bin};
use crate::support::Run;
use populace_analysis::score::{Options, Predictor, Scorecard};
use populace_analysis::source::{As, Columns, Want};
use std::fs;

/// Cascades that are hard to see: hardly slower, faults that leave no status of their own, few retries.
const HARD: [(&str, &str); 7] = [
    ("cascade_failure_rate", "0.3"),
    ("cascade.slow_factor", "[1.0, 1.8]"),
    ("cascade.slow", "0.6"),
    ("cascade.timeout", "0.01"),
    ("cascade.unavailable", "0.02"),
    ("cascade.retry", "0.02"),
    ("statuses", "{\"200\": 0.9, \"503\": 0.03, \"504\": 0.02}"),
];

fn ids(run: &Run, table: &str, column: &'static str) -> Vec<String> {
    let mut ids = Vec::new();
    for batch in run.source().table(table).unwrap().read(&[Want::new(column, As::Text)]).unwrap() {
        let batch = batch.unwrap();
        ids.extend((0..batch.num_rows()).map(|row| batch.text(column).value(row).to_owned()));
    }
    ids
}

fn file<'a>(column: &str, rows: impl Iterator<Item = (&'a String, f64)>) -> String {
    rows.fold(format!("{column},score\n"), |text, (id, score)| text + &format!("{id},{score}\n"))
}

/// Id, label and the ceiling's probability.
type Row = (String, bool, f64);

fn rows(bench: &Bench, table: &str, column: &'static str) -> (Vec<Row>, Scorecard) {
    let path = bench.file("rows.csv");
    let options = Options { rows: Some(path.clone()), ..Options::default() };
    let all = ids(&bench.run, table, column);
    let card = bench.score("anomaly", &file(column, all.iter().map(|id| (id, 1.0))), &options).unwrap();
    let row = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        (cells[0].to_owned(), cells[1] == "1", cells[3].parse().unwrap())
    };
    let rows: Vec<Row> = fs::read_to_string(path).unwrap().lines().skip(1).map(row).collect();
    assert_eq!(rows.len(), all.len());
    (rows, card)
}

#[test]
fn the_posterior_of_cascades_is_calibrated() {
    let bench = Bench::new(Run::new("traces", 51, &[&HARD[..], &[("population.users", "1500")]].concat()));
    for (table, column) in [("sessions", "session_id"), ("calls", "call_id")] {
        let (rows, _) = rows(&bench, table, column);
        let pairs: Vec<(bool, f64)> = rows.iter().map(|row| (row.1, row.2)).collect();
        // Calls of one session depend on one another, so that only sessions are counted as independent; of calls, each fault given the
        // cascade is independent, and the sum is bounded by that of sessions of seven calls each.
        if column == "session_id" {
            assert_calibrated_by_bin(pairs, column);
        } else {
            assert_calibrated(&pairs, 4.0 * 7.0_f64.sqrt(), column);
        }
        let unsure = rows.iter().filter(|row| (0.1..0.9).contains(&row.2)).count();
        assert!(unsure > rows.len() / 10, "{unsure} of {} are hard to tell", rows.len());
    }
}

/// Responses as long as the delays between calls, so that a gap depends on the response time without a fault; delays that are wide, narrow
/// and fixed, and a fixed factor.
#[test]
fn the_posterior_uses_the_gap_to_the_next_call() {
    let documents: [&[(&str, &str)]; 4] = [
        &[],
        &[("delays.usual_seconds", "[2.0, 2.2]"), ("delays.thinking_seconds", "[10.0, 10.5]")],
        &[("delays.usual_seconds", "[3.0, 3.0]"), ("cascade.timeout", "0.3"), ("cascade.timeout_ms", "3000")],
        &[("delays.usual_seconds", "[2.0, 2.2]"), ("cascade.slow_factor", "[1.4, 1.4]")],
    ];
    let slow = [("workflow.avg_response_times", "{}"), ("response_times.default_mean_ms", "2500"), ("population.users", "500")];
    for (number, document) in documents.into_iter().enumerate() {
        let bench = Bench::new(Run::new("traces", 55 + number as u64, &[&HARD[..], &slow, document].concat()));
        let (sessions, _) = rows(&bench, "sessions", "session_id");
        assert_calibrated_by_bin(sessions.iter().map(|row| (row.1, row.2)).collect(), "session_id");
        let (calls, _) = rows(&bench, "calls", "call_id");
        let gaps = gaps(&bench.run);
        let limits = [f64::NEG_INFINITY, 0.0, 0.5, 1.0, 2.0, 4.0, 9.0, f64::INFINITY];
        for pair in limits.windows(2) {
            let within = |gap: &Option<(f64, f64)>| gap.is_some_and(|(slack, _)| pair[0] < slack && slack <= pair[1]);
            let of_gap = calls.iter().zip(&gaps).filter(|(_, gap)| within(gap));
            let pairs: Vec<(bool, f64)> = of_gap.map(|(row, _)| (row.1, row.2)).collect();
            assert_calibrated(&pairs, 4.0 * 7.0_f64.sqrt(), &format!("document {number}, gaps above {} s after the response", pair[0]));
        }
        // A gap that neither delay allows without a fault is the trace of one.
        let delays = document.iter().find(|(key, _)| *key == "delays.usual_seconds").map_or([1.0, 5.0], |(_, range)| {
            let ends: Vec<f64> = range.trim_matches(['[', ']']).split(", ").map(|end| end.parse().unwrap()).collect();
            [ends[0], ends[1]]
        });
        let is_odd = |(slack, delay): (f64, f64)| slack > 0.0 && delay < 9.999 && !(delays[0] - 1e-5..=delays[1] + 1e-5).contains(&delay);
        let odd: Vec<&Row> = calls.iter().zip(&gaps).filter(|(_, gap)| gap.is_some_and(is_odd)).map(|(row, _)| row).collect();
        assert!(odd.iter().all(|row| row.1 && row.2 > 0.999), "document {number}");
        assert!(odd.len() > if number == 0 { 0 } else { 50 }, "document {number}: {} of {} gaps are odd", odd.len(), calls.len());
    }
}

/// Of each call that another follows, neither of them a retry, seconds from its response and from its start to that call.
fn gaps(run: &Run) -> Vec<Option<(f64, f64)>> {
    let wants = [
        Want::new("session_id", As::Text),
        Want::new("timestamp", As::Instant),
        Want::new("response_time_ms", As::Float),
        Want::new("attempt", As::Int),
    ];
    let mut calls = Vec::new();
    for batch in run.source().table("calls").unwrap().read(&wants).unwrap() {
        let batch = batch.unwrap();
        let times = batch.instant("timestamp");
        calls.extend((0..batch.num_rows()).map(|row| {
            let (session, first) = (batch.text("session_id").value(row).to_owned(), batch.int("attempt").value(row) == 1);
            (session, first, times.value(row), times.value(row) + (batch.float("response_time_ms").value(row) * 1e3).round() as i64)
        }));
    }
    let gap = |row: usize| {
        let (call, next) = (&calls[row], calls.get(row + 1)?);
        let since = |micros: i64| (next.2 - micros) as f64 / 1e6;
        (next.0 == call.0 && call.1 && next.1).then(|| (since(call.3), since(call.2)))
    };
    (0..calls.len()).map(gap).collect()
}

#[test]
fn the_ceiling_has_all_of_the_gain_and_a_constant_none() {
    let bench = Bench::new(Run::new("traces", 52, &[&HARD[..], &[("population.users", "600")]].concat()));
    for (table, column) in [("sessions", "session_id"), ("calls", "call_id")] {
        let (rows, constant) = rows(&bench, table, column);
        let share = |card: &Scorecard| card.gain(Predictor::Observable).unwrap().share;
        assert!(share(&constant).value.abs() < 1e-9);
        let of = |card: &Scorecard, predictor, name: &str| card.metric(predictor, name).unwrap().value;
        assert_eq!(of(&constant, Predictor::Model, "auc"), 0.5);
        let score = |value: &dyn Fn(&Row) -> f64| {
            bench.score("anomaly", &file(column, rows.iter().map(|row| (&row.0, value(row)))), &Options::default()).unwrap()
        };
        // The order alone counts.
        let ceiling = score(&|row| 1e6 * row.2.powi(3) - 5.0);
        assert!((share(&ceiling).value - 1.0).abs() < 1e-9 && share(&ceiling).standard_error.unwrap() < 1e-9);
        let truth = score(&|row| f64::from(u8::from(row.1)));
        assert_eq!(of(&truth, Predictor::Model, "average_precision"), 1.0);
        assert_eq!(of(&truth, Predictor::Model, "recall_at_90"), 1.0);
        let noisy = score(&|row| row.2 + f64::from(row.0.as_bytes()[7] % 7) / 10.0);
        let share = share(&noisy);
        assert!(share.value > 0.0 && share.value < 1.0 && share.standard_error.unwrap() > 0.0, "{share:?}");
    }
}

#[test]
fn default_cascades_are_seen_by_status_response_time_and_retries() {
    let bench = Bench::new(Run::new("traces", 53, &[("cascade_failure_rate", "0.05"), ("population.users", "800")]));
    let (_, card) = rows(&bench, "calls", "call_id");
    let found = card.metric(Predictor::Observable, "average_precision").unwrap();
    assert!(found.value > 0.97, "{found:?}");
    assert_eq!(card.groups.iter().filter(|group| group.by == "recall").count(), 10);
}

#[test]
fn bad_scores_of_anomalies_are_named() {
    let none = Bench::new(Run::new("traces", 54, &[("population.users", "5")]));
    let error = none.score("anomaly", "call_id,score\n1,1\n", &Options::default()).unwrap_err();
    assert!(error.contains("the run has no cascade"), "{error}");
    let bench = Bench::new(Run::new("traces", 54, &[("population.users", "10"), ("cascade_failure_rate", "0.5")]));
    let ids = ids(&bench.run, "calls", "call_id");
    let good = file("call_id", ids.iter().map(|id| (id, -3.5)));
    assert!(bench.score("anomaly", &good, &Options::default()).is_ok());
    let error = |text: &str| bench.score("anomaly", text, &Options::default()).unwrap_err();
    assert!(error(&good.replacen("-3.5", "nan", 1)).contains("row 1, call_id") && error(&good.replacen("-3.5", "nan", 1)).contains("NaN"));
    let missing = error(&good.replacen(&format!("{},-3.5\n", ids[4]), "", 1));
    assert!(missing.contains(&format!("no prediction for call_id {}; every call must have one", ids[4])), "{missing}");
    assert!(error(&format!("{good}{},1\n", ids[4])).contains(&format!("{} in rows 5 and {}", ids[4], ids.len() + 1)));
    let unknown = "018cc251-f400-7cde-8f00-0123456789ab";
    assert!(error(&format!("{good}{unknown},1\n")).contains(&format!("{unknown} in row {} is not a call of the run", ids.len() + 1)));
    assert!(error("user_id,score\n1,1\n").contains("give call_id or session_id"));
}
