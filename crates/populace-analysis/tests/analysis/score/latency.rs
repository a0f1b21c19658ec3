//! Latencies against the law given the moment of sending.

use super::Bench;
use crate::support::{Run, actors};
use populace_analysis::email::{EVENT_COLUMNS, History};
use populace_analysis::score::{Options, Predictor};
use populace_analysis::source::Side;
use populace_core::email::EmailModel;
use populace_core::email::laws::Cell;
use std::collections::HashMap;
use std::fmt::Write;
use std::fs;

const LEVELS: [(&str, f64); 4] = [("q05", 0.05), ("q50", 0.5), ("q90", 0.9), ("q99", 0.99)];

/// The quantile of a law that is continuous, by bisection.
fn quantile(model: &EmailModel, cell: Cell, level: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1e4);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if model.latency_cdf(cell, middle) < level { low = middle } else { high = middle }
    }
    high
}

/// The quantiles of every delivered message, multiplied.
fn predictions(bench: &Bench, factor: f64) -> String {
    let model: EmailModel = bench.run.source().model().unwrap();
    let mut known: HashMap<[bool; 3], Vec<f64>> = HashMap::new();
    let mut text = "message_id,seconds,q05,q50,q90,q99\n".to_owned();
    for events in actors(&bench.run.source(), "recipient_id", Side { table: "events", wants: &EVENT_COLUMNS, time: Some("timestamp") }) {
        for message in History::new(&model, &events).messages.iter().filter(|message| message.delivered.is_some()) {
            let cell = model.latency_cell(message.sent);
            let of_cell = known
                .entry([cell.top, cell.batch, cell.weekend])
                .or_insert_with(|| LEVELS.iter().map(|(_, level)| quantile(&model, cell, *level)).collect());
            write!(text, "{:032x},{}", message.id, factor * of_cell[1]).unwrap();
            for value in of_cell.iter() {
                write!(text, ",{}", factor * value).unwrap();
            }
            text.push('\n');
        }
    }
    text
}

#[test]
fn true_quantiles_have_all_of_the_gain_and_cover_what_they_say() {
    let bench = Bench::new(Run::new("email", 21, &[]));
    let card = bench.score("latency", &predictions(&bench, 1.0), &Options::default()).unwrap();
    assert_eq!(card.gains.len(), 2);
    for gain in &card.gains {
        assert!((gain.share.value - 1.0).abs() < 1e-4, "{gain:?}");
    }
    for metric in ["mae", "pinball_loss"] {
        let of = |predictor| card.metric(predictor, metric).unwrap().value;
        assert!((of(Predictor::Model) - of(Predictor::Observable)).abs() < 1e-4);
        assert!(of(Predictor::Observable) < of(Predictor::Base));
    }
    // Four quantiles of one run: a p-value below 1e-4 comes once in 2,500 seeds.
    assert_eq!(card.verdicts.len(), 4);
    assert!(card.verdicts.iter().all(|verdict| verdict.value > 1e-4), "{:?}", card.verdicts);
    // Each cell of congestion has its own median.
    let cells: Vec<_> = card.groups.iter().filter(|group| group.by == "congestion").collect();
    assert_eq!(cells.len(), 8);
    let Some(quiet) = cells.iter().find(|group| group.name == "none") else { panic!("most mail meets no congestion") };
    assert!((quiet.values["true_median"] - 12.0).abs() < 1e-4);

    let off = bench.score("latency", &predictions(&bench, 1.3), &Options::default()).unwrap();
    assert!(off.gains[0].share.value < card.gains[0].share.value);
    assert!(off.verdicts.iter().all(|verdict| !verdict.passed));
}

#[test]
fn the_overall_median_has_none_of_the_gain() {
    let bench = Bench::new(Run::new("email", 22, &[("population.users", "70")]));
    let rows = bench.file("rows.csv");
    let options = Options { rows: Some(rows.clone()), ..Options::default() };
    bench.score("latency", &predictions(&bench, 1.0), &options).unwrap();
    let text = fs::read_to_string(rows).unwrap();
    let mut labels: Vec<(f64, &str)> = text
        .lines()
        .skip(1)
        .map(|line| {
            let cells: Vec<&str> = line.split(',').collect();
            (cells[1].parse().unwrap(), cells[0])
        })
        .collect();
    labels.sort_by(|a, b| a.0.total_cmp(&b.0));
    let median = labels[labels.len().div_ceil(2) - 1].0;
    let same = labels.iter().fold("message_id,seconds\n".to_owned(), |text, (_, id)| text + &format!("{id},{median}\n"));
    let card = bench.score("latency", &same, &Options::default()).unwrap();
    assert!(card.gains[0].share.value.abs() < 1e-9 && card.gains.len() == 1 && card.verdicts.is_empty());
}

#[test]
fn bad_latencies_are_named() {
    let bench = Bench::new(Run::new("email-v1", 23, &[("population.users", "10"), ("window.days", "20")]));
    let good = predictions(&bench, 1.0);
    let second = good.lines().nth(2).unwrap();
    let id = second.split(',').next().unwrap();
    for (line, what) in [
        (format!("{id},-1,1,2,3,4"), "seconds is -1, and must be a number of seconds of at least 0"),
        (format!("{id},inf,1,2,3,4"), "seconds is inf, and must be a finite number"),
        (format!("{id},1,3,2,3,4"), "q05 is 3, above q50, which is 2"),
    ] {
        let error = bench.score("latency", &good.replacen(second, &line, 1), &Options::default()).unwrap_err();
        assert!(error.contains("row 2, message_id ") && error.contains(what), "{error}");
    }
}
