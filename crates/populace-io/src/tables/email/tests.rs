//! What every row must be, whatever the seed, and the first rows of one.

use super::{EVENTS, MESSAGES, TIMING, TRUTH_USERS, USER_RATES, USERS};
use crate::catalogue;
use crate::document::{Request, Setting, Source};
use crate::files::place::Directory;
use crate::files::{FileOptions, Format};
use crate::generator::{Generator, TableSet};
use crate::identity::Identities;
use crate::run::{Job, NoProgress, Order, Part, PartState};
use crate::text::TextFormat;
use populace_core::email::EFFECTS;
use populace_core::plan::Shard;
use serde_json::Value;
use std::collections::HashMap;
use std::fs;
use std::sync::atomic::AtomicBool;

fn generator(document: &str, settings: &[(&str, &str)]) -> Box<dyn Generator> {
    let settings: Vec<_> = settings.iter().map(|(path, value)| Setting { option: "--set", path, value }).collect();
    let request = Request { settings: &settings, ..Request::new(Source::Named(document)) };
    let resolved = catalogue::resolve(&request).unwrap_or_else(|problems| panic!("{problems}"));
    catalogue::generator(&resolved).unwrap_or_else(|problems| panic!("{problems}"))
}

/// The tables of some actors as text.
fn texts(generator: &dyn Generator, seed: u64, actors: std::ops::Range<u64>, format: TextFormat) -> Vec<String> {
    let wanted = TableSet::of(generator.tables(), |_| true);
    let (batches, _) = generator.simulate(seed, &Shard { index: 0, actors }, wanted).finish(0);
    let text = |(index, batch): (usize, Option<_>)| {
        let table = &generator.tables()[index];
        let mut bytes = Vec::new();
        format.append(table, &batch.or_else(|| generator.fixed(index)).expect("all tables are wanted"), &mut bytes);
        String::from_utf8(bytes).expect("text is UTF-8")
    };
    batches.into_iter().enumerate().map(text).collect()
}

fn objects(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("a JSON object")).collect()
}

/// `universal_id` and `recipient_email_hash` of user1000@example.com.
const IDENTITY: &str = "sf_zibadpwptzraqjc5y2s24jmkdn,65cde7384a64328f348e60ee1922b56d85cace6aa35efda7c879307c9cf862a3";

/// A sent, its delivered, a clicked and a hot path.
const EVENT_ROWS: &str = r#"01999d66-dfbf-792d-86df-bec5b97d3e38,sent,2025-10-01T01:33:08.927Z,klaviyo,synth_user_01000,IDENTITY,welcome_series,Welcome series,01999d66-dfbf-7a6e-9bff-f10f755732ed,Three things to try first,,,,,esp_webhook,{},,,,,,,
01999d67-22fd-7bb1-b100-e0701a747986,delivered,2025-10-01T01:33:26.141Z,klaviyo,synth_user_01000,IDENTITY,welcome_series,Welcome series,01999d66-dfbf-7a6e-9bff-f10f755732ed,Three things to try first,,,,,esp_webhook,{},17.214,2025-10-01T01:33:08.927Z,1,33,2,transactional,45085
0199a6e9-be0c-77d9-b247-2bfc8dce4727,clicked,2025-10-02T21:52:40.460Z,klaviyo,synth_user_01000,IDENTITY,newsletter,Monthly newsletter,0199a65b-e7da-78f2-8ba2-101fedf89bbb,Stories picked for you,https://www.example.com/news,,Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:132.0) Gecko/20100101 Firefox/132.0,198.51.100.136,esp_webhook,{},,,,,,,
0199b375-3722-713e-9439-3338b6180e53,sms_click,2025-10-05T08:20:27.554Z,internal,synth_user_01000,IDENTITY,hot_path,Hot path,,,,,Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:132.0) Gecko/20100101 Firefox/132.0,198.51.100.136,twilio,"{""hot_path"":true}",,,,,,,"#;

#[test]
fn the_first_rows_are_these() {
    let generator = generator("email", &[]);
    let tables = texts(generator.as_ref(), 1, 0..1, TextFormat::Csv);
    let events: Vec<&str> = tables[EVENTS].lines().collect();
    let hot_path = events.iter().find(|row| row.contains("hot_path")).expect("a hot path");
    let clicked = events.iter().find(|row| row.contains(",clicked,")).expect("a click");
    let rows = [events[0], events[1], clicked, hot_path].join("\n").replace(IDENTITY, "IDENTITY");
    assert_eq!(rows, EVENT_ROWS);
    assert_eq!(tables[USERS], format!("synth_user_01000,{IDENTITY},UTC\n"));
    assert_eq!(tables[TRUTH_USERS], "synth_user_01000,night_owl,0.28,0.12\n");
}

#[test]
fn a_recipient_has_the_identity_of_its_address() {
    let generator = generator("email", &[("population.users", "150000")]);
    let users = objects(&texts(generator.as_ref(), 1, 98_999..99_001, TextFormat::Jsonl)[USERS]);
    for (user, number) in users.iter().zip([99_999, 100_000]) {
        let identity = Identities::synthetic().identify(&format!("user{number}@example.com")).unwrap();
        assert_eq!(user["recipient_id"], format!("synth_user_{number}"));
        assert_eq!(user["universal_id"], identity.universal_id);
        assert_eq!(user["recipient_email_hash"], identity.email_hash);
        assert_eq!(user["timezone"], "UTC");
    }
}

#[test]
fn columns_are_null_where_a_type_has_none_and_only_there() {
    const MAIL: [&str; 4] = ["sent", "delivered", "opened", "clicked"];
    const OF_DELIVERED: [&str; 7] =
        ["latency_seconds", "send_time", "hour_of_day", "minute", "day_of_week", "campaign_type", "payload_size_bytes"];
    let generator = generator("email", &[]);
    for row in objects(&texts(generator.as_ref(), 2, 0..70, TextFormat::Jsonl)[EVENTS]) {
        let kind = row["event_type"].as_str().unwrap();
        let mail = MAIL.contains(&kind);
        let has = |column: &str| !row[column].is_null();
        assert_eq!([has("message_id"), has("subject"), row["esp"] != "internal"], [mail; 3], "{row}");
        assert_eq!([has("click_url"), has("bounce_type")], [kind == "clicked", false], "{row}");
        let hot_path = row["campaign_id"] == "hot_path";
        assert_eq!([has("user_agent"), has("ip_address")], [kind == "opened" || kind == "clicked" || hot_path; 2], "{row}");
        assert_eq!(OF_DELIVERED.map(has), [kind == "delivered"; 7], "{row}");
        assert_eq!(!mail, hot_path || row["campaign_id"] == "circuit_breaker", "{row}");
        assert_eq!(row["metadata"]["hot_path"] == true, hot_path, "{row}");
        if let Some(address) = row["ip_address"].as_str() {
            assert!(["192.0.2.", "198.51.100.", "203.0.113."].iter().any(|network| address.starts_with(network)), "{row}");
        }
    }
}

/// Milliseconds since midnight, and the date, of `2025-10-01T01:33:08.927Z`.
fn moment(text: &Value) -> (populace_core::time::Date, i64) {
    let text = text.as_str().unwrap();
    let number = |from: usize, to: usize| text[from..to].parse::<i64>().unwrap();
    let seconds = number(11, 13) * 3_600 + number(14, 16) * 60 + number(17, 19);
    (text[..10].parse().unwrap(), seconds * 1_000 + number(20, 23))
}

#[test]
fn a_delivered_row_is_sent_plus_latency_and_tells_the_clock_of_its_sending() {
    let generator = generator("email", &[]);
    let mut delivered = 0;
    for row in objects(&texts(generator.as_ref(), 3, 0..35, TextFormat::Jsonl)[EVENTS]) {
        if row["event_type"] != "delivered" {
            continue;
        }
        delivered += 1;
        let ((sent_on, sent), (arrived_on, arrived)) = (moment(&row["send_time"]), moment(&row["timestamp"]));
        let latency = i64::from(arrived_on.0 - sent_on.0) * 86_400_000 + arrived - sent;
        assert_eq!((row["latency_seconds"].as_f64().unwrap() * 1_000.0).round() as i64, latency, "{row}");
        assert_eq!(row["hour_of_day"], sent / 3_600_000, "{row}");
        assert_eq!(row["minute"], sent / 60_000 % 60, "{row}");
        assert_eq!(row["day_of_week"], sent_on.weekday(), "{row}");
        let transactional = ["welcome_series", "abandoned_cart"].contains(&row["campaign_id"].as_str().unwrap());
        assert_eq!(row["campaign_type"], if transactional { "transactional" } else { "promotional" }, "{row}");
        assert!((45 * 1_024 * 85 / 100..=120 * 1_024 * 115 / 100).contains(&row["payload_size_bytes"].as_i64().unwrap()), "{row}");
    }
    assert!(delivered > 2_500, "{delivered}");
}

#[test]
fn rows_come_by_user_then_time_and_a_message_is_one_chain() {
    let generator = generator("email", &[]);
    let tables = texts(generator.as_ref(), 4, 0..70, TextFormat::Jsonl);
    let events = objects(&tables[EVENTS]);
    let key = |row: &Value| (row["recipient_id"].to_string(), row["timestamp"].to_string());
    assert!(events.is_sorted_by_key(key));
    let mut chains: HashMap<String, Vec<&Value>> = HashMap::new();
    for row in events.iter().filter(|row| !row["message_id"].is_null()) {
        chains.entry(row["message_id"].to_string()).or_default().push(row);
    }
    for chain in chains.values() {
        let types: Vec<&str> = chain.iter().map(|row| row["event_type"].as_str().unwrap()).collect();
        assert_eq!(types, ["sent", "delivered", "opened", "clicked"][..types.len()]);
        for column in ["recipient_id", "universal_id", "campaign_id", "campaign_name", "subject", "esp", "source", "metadata"] {
            assert!(chain.iter().all(|row| row[column] == chain[0][column]), "{column}: {chain:?}");
        }
    }
    let truths = objects(&tables[MESSAGES]);
    assert_eq!(truths.len(), chains.len());
    for truth in &truths {
        let chain = &chains[&truth["message_id"].to_string()];
        assert_eq!(truth["recipient_id"], chain[0]["recipient_id"]);
        assert_eq!([truth["p_open"].is_null(), truth["p_click"].is_null()], [chain.len() == 1; 2], "{truth}");
        let dropped = match chain.len() {
            2 => truth["dropped_reason"] == "open_suppressed",
            3 => truth["dropped_reason"] == "click_suppressed",
            _ => false,
        };
        assert!(dropped || truth["dropped_reason"].is_null(), "{truth}");
    }
}

#[test]
fn factors_multiply_back_to_what_was_drawn_against() {
    let generator = generator("email", &[]);
    let tables = texts(generator.as_ref(), 5, 0..350, TextFormat::Jsonl);
    let mut capped = 0;
    for truth in objects(&tables[MESSAGES]) {
        let number = |column: &str| truth[column].as_f64().unwrap();
        let Some(p_open) = truth["p_open"].as_f64() else { continue };
        let effects = EFFECTS.iter().filter(|about| !about.optional).map(|about| about.name);
        let product: f64 = ["open_rate", "cap"].into_iter().chain(effects).map(number).product();
        let expected = if truth["suppressed"] == true { 0.0 } else { product };
        assert!((p_open - expected).abs() < 1e-12, "{truth}");
        assert!((number("p_click") - number("click_rate") / number("open_rate")).abs() < 1e-12, "{truth}");
        assert!(!truth["minutes_since_hot_path"].is_null() || number("hot_path") == 1.0, "{truth}");
        capped += u32::from(number("cap") < 1.0);
    }
    assert!(capped > 0);
    let months: Vec<_> = objects(&tables[USER_RATES]).iter().take(4).map(|rate| rate["month"].to_string()).collect();
    assert_eq!(months.join(" "), r#""2025-10-01" "2025-11-01" "2025-12-01" "2026-01-01""#);
    let timing = objects(&tables[TIMING]);
    assert_eq!(timing.len(), 9 * 10_080);
    for week in timing.chunks(10_080) {
        let best = week[0]["best_minute"].as_u64().unwrap() as usize;
        let factor = |row: &Value| row["factor"].as_f64().unwrap();
        assert!(week.iter().enumerate().all(|(minute, row)| row["minute_of_week"] == minute && factor(row) <= factor(&week[best])));
    }
}

#[test]
fn no_address_is_written_and_files_do_not_depend_on_the_number_of_threads() {
    for document in ["email", "email-v1"] {
        let generator = generator(document, &[]);
        let tables = TableSet::of(generator.tables(), |_| true);
        let stop = AtomicBool::new(false);
        let runs = [1, 2, 3].map(|threads| {
            let root = std::env::temp_dir().join(format!("populace-{document}-{}-{threads}", std::process::id()));
            let order = Order::Actor;
            let job = Job { generator: generator.as_ref(), seed: 7, threads, tables, actors: 0..350, trim: 0, order, stop: &stop };
            let part = Part { part: 0, parts: 1 };
            fs::create_dir_all(&root).expect("a directory can be made");
            let place = Directory::new(&root);
            let state = job.write(part, FileOptions::new(Format::Csv), &place, PartState::default(), &NoProgress).expect("it is written");
            let digests: Vec<String> = state.tables.iter().map(|table| table.digest.to_string()).collect();
            let bytes: Vec<Vec<u8>> =
                generator.tables().iter().map(|table| fs::read(root.join(table.path() + ".csv.partial")).expect("a file")).collect();
            fs::remove_dir_all(&root).expect("the files are there");
            (digests, bytes, state.tally)
        });
        assert!(runs[0].1.iter().all(|bytes| !bytes.contains(&b'@') && bytes.len() > 1_000));
        assert!(runs[1] == runs[0] && runs[2] == runs[0]);
        let events = runs[0].2.counts.iter().sum::<u64>();
        assert_eq!(events as usize, runs[0].1[EVENTS].split(|byte| *byte == b'\n').count() - 2);
    }
}

#[test]
fn a_run_has_the_volumes_that_are_expected() {
    for document in ["email", "email-v1"] {
        let generator = generator(document, &[("population.users", "3500")]);
        let (_, tally) = generator.simulate(1, &Shard { index: 0, actors: 0..3_500 }, TableSet::EMPTY).finish(0);
        let expected = generator.expected();
        let axes = generator.axes();
        for (persona, (name, row)) in expected.groups[1].rows.iter().enumerate() {
            assert_eq!(*name, axes.rows[persona]);
            let counts = &tally.counts[persona * axes.columns.len()..][..axes.columns.len()];
            let made = [counts.iter().sum(), counts[0], counts[1], counts[2], counts[3]];
            for (made, expected) in made.into_iter().zip(&row[1..]) {
                // Five deviations, twice those of a Poisson number as the events of one recipient hang together; 1% is what the law leaves out.
                let bound = 10.0 * expected.sqrt() + 0.01 * expected;
                assert!((made as f64 - expected).abs() < bound, "{document} {name}: {made} of {expected}");
            }
        }
        let total = expected.groups[0].rows.last().unwrap().1[0];
        assert!((tally.counts.iter().sum::<u64>() as f64 / total - 1.0).abs() < 0.01);
    }
}
