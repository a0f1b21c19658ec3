//! Where machines open: the label of an open is the recipient's, who opened can be scored, and the ceilings are right.

use super::Bench;
use super::engagement::{assert_calibrated, assert_calibrated_by_bin};
use crate::support::{MIXTURE, Run, SEASONS};
use populace_analysis::score::{Options, Predictor, Scorecard};
use populace_analysis::source::{As, Columns, Want};
use std::collections::HashSet;
use std::fmt::Write;
use std::fs;

/// Opens that are often the recipient's own, so that each row leaves a doubt.
const SECTION: &str = "{user_share: 0.5, probability: 0.7, soon_share: 0.4, soon_median_minutes: 90, soon_sigma: 1, night_begins: 22, \
                       night_ends: 6, user_agent: Mozilla/5.0, flagged_by: [sendgrid]}";

/// A row of `events` of a type, by event or by message.
pub(super) struct Id {
    pub(super) event: String,
    pub(super) message: String,
    recipient: String,
    is_machine: bool,
}

pub(super) fn ids(run: &Run, event_type: &str) -> Vec<Id> {
    let wants = ["event_id", "event_type", "recipient_id"].map(|name| Want::new(name, As::Text));
    let wants = [&wants[..], &["message_id", "user_agent"].map(|name| Want::nullable(name, As::Text))].concat();
    let mut ids = Vec::new();
    for batch in run.source().table("events").unwrap().read(&wants).unwrap() {
        let batch = batch.unwrap();
        let of = |name: &str, row: usize| batch.text(name).value(row).to_owned();
        ids.extend((0..batch.num_rows()).filter(|row| of("event_type", *row) == event_type).map(|row| Id {
            event: of("event_id", row),
            message: of("message_id", row),
            recipient: of("recipient_id", row),
            is_machine: batch.text("user_agent").is_valid(row) && of("user_agent", row) == "Mozilla/5.0",
        }));
    }
    ids
}

pub(super) struct Row {
    pub(super) id: String,
    pub(super) label: bool,
    pub(super) ceilings: [f64; 2],
}

pub(super) fn rows(bench: &Bench, task: &str, key: &str, ids: &[&str]) -> (Vec<Row>, Scorecard) {
    let path = bench.file("rows.csv");
    let mut text = format!("{key},score\n");
    for id in ids {
        writeln!(text, "{id},0.25").unwrap();
    }
    let card = bench.score(task, &text, &Options { rows: Some(path.clone()), ..Options::default() }).unwrap();
    let text = fs::read_to_string(path).unwrap();
    let row = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        Row { id: cells[0].into(), label: cells[1] == "1", ceilings: [3, 4].map(|cell| cells[cell].parse().unwrap()) }
    };
    let rows: Vec<Row> = text.lines().skip(1).map(row).collect();
    assert_eq!((rows.len() as u64, ids.len()), (card.n, rows.len()));
    (rows, card)
}

fn assert_ceilings(rows: &[Row], card: &Scorecard, what: &str) {
    for (ceiling, name) in ["observable", "latent"].iter().enumerate() {
        assert_calibrated_by_bin(rows.iter().map(|row| (row.label, row.ceilings[ceiling])).collect(), &format!("{what}, {name}"));
    }
    let loss = |predictor| card.metric(predictor, "log_loss").unwrap().value;
    let (latent, observable, base) = (loss(Predictor::Latent), loss(Predictor::Observable), loss(Predictor::Base));
    assert!(latent < observable && observable < base, "{what}: {latent}, {observable}, {base}");
}

#[test]
fn ceilings_hold_where_machines_open() {
    assert_ceilings_hold(&[("population.users", "700")]);
}

#[test]
fn ceilings_hold_where_machines_open_in_seasons_and_opens_are_late() {
    assert_ceilings_hold(&[SEASONS, MIXTURE, ("timezone", "UTC+05:30"), ("population.users", "140")]);
}

#[test]
fn ceilings_hold_where_it_is_not_known_in_which_zone_recipients_are() {
    let zones = "{zones: {America/New_York: 2, Asia/Kolkata: 1, Australia/Sydney: 1}, known_share: 0.2}";
    assert_ceilings_hold(&[SEASONS, ("timezones", zones), ("population.users", "140")]);
}

fn assert_ceilings_hold(others: &[(&str, &str)]) {
    let bench = Bench::new(Run::new("email", 17, &[others, &[("machine_opens", SECTION)]].concat()));
    let opened = ids(&bench.run, "opened");
    let ahead: HashSet<&str> = opened.iter().filter(|id| id.is_machine).map(|id| id.recipient.as_str()).collect();
    assert!(ahead.len() > 50, "{}", ahead.len());

    let delivered = ids(&bench.run, "delivered");
    let of_ahead: HashSet<&str> =
        delivered.iter().filter(|id| ahead.contains(id.recipient.as_str())).map(|id| id.message.as_str()).collect();
    let (rows_of_open, card) = rows(&bench, "open", "message_id", &delivered.iter().map(|id| id.message.as_str()).collect::<Vec<_>>());
    assert_ceilings(&rows_of_open, &card, "open");
    // By themselves: recipients of whose opens no row tells for certain, but whose clicks do.
    let own: Vec<&Row> = rows_of_open.iter().filter(|row| of_ahead.contains(row.id.as_str())).collect();
    assert_calibrated_by_bin(own.iter().map(|row| (row.label, row.ceilings[0])).collect(), "open, clients that open ahead");
    let mean = |label: bool| {
        let of: Vec<f64> = own.iter().filter(|row| row.label == label).map(|row| row.ceilings[0]).collect();
        of.iter().sum::<f64>() / of.len() as f64
    };
    assert!(mean(true) > mean(false) + 0.02, "{} {}", mean(true), mean(false));

    let (rows_of_machine, card) = rows(&bench, "machine_open", "event_id", &opened.iter().map(|id| id.event.as_str()).collect::<Vec<_>>());
    assert_ceilings(&rows_of_machine, &card, "machine_open");
    let machines: HashSet<&str> = opened.iter().filter(|id| id.is_machine).map(|id| id.event.as_str()).collect();
    for row in &rows_of_machine {
        assert!(machines.contains(row.id.as_str()) || (!row.label && row.ceilings == [0.0; 2]));
    }
    let doubtful = rows_of_machine.iter().filter(|row| machines.contains(row.id.as_str()));
    assert_calibrated(&doubtful.map(|row| (row.label, row.ceilings[0])).collect::<Vec<_>>(), 4.0, "rows of clients that open ahead");

    let clicks: Vec<&str> = opened.iter().filter(|id| !id.is_machine).map(|id| id.message.as_str()).collect();
    let (rows_of_click, card) = rows(&bench, "click", "message_id", &clicks);
    assert_ceilings(&rows_of_click, &card, "click");
}

#[test]
fn a_run_without_machines_has_nothing_to_score() {
    let bench = Bench::new(Run::new("email", 17, &[("population.users", "7")]));
    let error = bench.score("machine_open", "event_id,score\n", &Options::default()).unwrap_err();
    assert!(error.contains("has no `machine_opens`"), "{error}");
}
