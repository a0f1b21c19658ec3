//! `email-industry`: its rates are the published ones, with all mechanisms on its data passes, and its probabilities are calibrated.

use super::{answer, document, number};
use crate::support::Run;
use populace_analysis::source::{As, Columns, Want};
use std::collections::HashMap;

/// Opens and clicks by people, soft bounces, hard bounces of a list's first mail, and opens by machines among opened rows.
const PUBLISHED: [f64; 5] = [0.227, 0.029, 0.006, 0.004, 0.49];

#[test]
fn its_rates_are_the_published_ones() {
    let run = Run::new("email-industry", 3, &[("population.users", "4200"), ("window.days", "40")]);
    let source = run.source();
    let mut agents = HashMap::new();
    for batch in source.table("truth/events").unwrap().read(&["event_id", "agent"].map(|name| Want::new(name, As::Text))).unwrap() {
        let batch = batch.unwrap();
        let (ids, of) = (batch.text("event_id"), batch.text("agent"));
        agents.extend((0..batch.num_rows()).map(|row| (ids.value(row).to_owned(), of.value(row).to_owned())));
    }
    let wants = ["event_id", "event_type"].map(|name| Want::new(name, As::Text));
    let wants = [&wants[..], &[Want::nullable("bounce_type", As::Text)]].concat();
    let [mut sent, mut delivered, mut soft, mut hard] = [0.0; 4];
    let [mut opened, mut by_machines, mut clicked] = [0.0; 3];
    for batch in source.table("events").unwrap().read(&wants).unwrap() {
        let batch = batch.unwrap();
        let [ids, types, bounces] = ["event_id", "event_type", "bounce_type"].map(|name| batch.text(name));
        for row in 0..batch.num_rows() {
            let agent = || agents[ids.value(row)].as_str();
            match types.value(row) {
                "sent" => sent += 1.0,
                "delivered" => delivered += 1.0,
                "bounced" if bounces.value(row) == "soft" => soft += 1.0,
                "bounced" => hard += 1.0,
                "clicked" => clicked += f64::from(u8::from(agent() == "human")),
                "opened" => {
                    opened += 1.0;
                    by_machines += f64::from(u8::from(agent() == "apple_mpp"));
                }
                _ => {}
            }
        }
    }
    let mut people = 0.0;
    for batch in source.table("truth/messages").unwrap().read(&[Want::nullable("human_opened_at", As::Instant)]).unwrap() {
        let batch = batch.unwrap();
        people += (batch.num_rows() - batch.column(0).null_count()) as f64;
    }
    let found = [people / delivered, clicked / delivered, soft / sent, hard / 4_200.0, by_machines / opened];
    println!("{found:?}");
    // Between recipients, whose own rates differ by half of themselves; who dies later bounces hard too.
    for ((found, published), bound) in found.into_iter().zip(PUBLISHED).zip([0.008, 0.002, 0.001, 0.012, 0.03]) {
        assert!((found - published).abs() < bound, "{found} for {published}");
    }
}

#[test]
fn its_data_passes() {
    for seed in 0..number("POPULACE_SEEDS", 1) {
        let set = [("population.users", "350")];
        let report = answer(Run::new("email-industry", 9_000 + seed, &set).path(), &document("email-industry", &set));
        assert_eq!(report.failed, 0, "seed {seed}: {}", report.failures().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
    }
}

#[test]
fn with_blasts_and_scans_that_unsubscribe_on_top_it_passes() {
    const BLASTS: &str = "[{name: one, campaign: promotion, share: 0.8, date: 2025-11-07, hour: 9}, \
                          {name: two, campaign: newsletter, date: 2025-11-20, hour: 18, clock: utc}]";
    let scanners = ("scanners", "{unsubscribe_on_get: 0.5, user_share: 0.4}");
    let set = [("population.users", "105"), ("window.days", "60"), ("blasts", BLASTS), ("send_minute", "clustered"), scanners];
    for seed in 0..number("POPULACE_SEEDS", 1) {
        let report = answer(Run::new("email-industry", 9_500 + seed, &set).path(), &document("email-industry", &set));
        assert_eq!(report.failed, 0, "seed {seed}: {}", report.failures().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
    }
}
