//! One `event_id` is one row, whatever else of it differs, wherever in the log it is and whoever stores it when.

use crate::case::{Case, Connector, Program, rounds};
use crate::support::{Server, scratch, shared, succeed};
use populace_flow::client::post;
use populace_flow::identity::{Identifier, KeyRing};
use populace_io::sinks::kafka::rdkafka::config::ClientConfig;
use populace_io::sinks::kafka::rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::{Value, json};
use std::thread::sleep;
use std::time::Duration;

/// The events of a scenario.
fn events(name: &str, scenario: &str) -> Vec<Value> {
    let directory = scratch(name);
    let scenario: Vec<&str> = scenario.split(' ').collect();
    succeed(&[&["generate"], &scenario[..], &["-q", "-f", "jsonl", "--table", "events", "-o", directory.to_str().unwrap()]].concat());
    let file = std::fs::read_to_string(directory.join("events.jsonl")).unwrap();
    file.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// An event as somebody else may tell of it: the same id, of another person, at another time, of both, or with another content.
fn retold(event: &Value, other: &Value, way: usize) -> Value {
    let mut event = event.clone();
    let fields: &[&str] = [&["universal_id"][..], &["timestamp"], &["universal_id", "timestamp"], &["campaign_name"]][way % 4];
    for field in fields.iter().filter(|field| **field != "timestamp") {
        event[*field] = other[*field].clone();
    }
    // Of a delivery, the time follows from others.
    if fields.contains(&"timestamp") && event["send_time"].is_null() {
        // Later in the same second: it still is after what it follows.
        let at = event["timestamp"].as_str().unwrap().to_owned();
        event["timestamp"] = format!("{}999Z", &at[..at.len() - 4]).into();
    }
    event
}

/// Puts events into partitions of a topic.
fn put<'e>(kafka: &Server, topic: &str, events: impl Iterator<Item = (usize, &'e Value)>) {
    let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", kafka.address()).set("linger.ms", "20").create().unwrap();
    for (partition, event) in events {
        let (key, value) = (event["universal_id"].as_str().unwrap().to_owned(), event.to_string());
        let record = BaseRecord::to(topic).partition(partition as i32).key(&key).payload(&value);
        producer.send(record).map_err(|(error, _)| error).unwrap();
        producer.poll(Duration::ZERO);
    }
    producer.flush(Duration::from_mins(2)).unwrap();
}

#[test]
fn one_event_id_is_one_row_for_ever() {
    let (rounds, _) = rounds(2);
    let (kafka, clickhouse) = shared();
    let scenario = "email --seed 19 -d 20 -n 30";
    let case = Case::new(shared(), "once", 4, scenario);
    let originals = events("once-events", scenario);
    succeed(&["generate", "email", "--seed", "19", "-d", "20", "-n", "30", "--count", "1", "-q", "--to", &case.topic]);
    let (mut told, mut groups) = (0, 0);
    for round in 0..rounds as usize {
        // New events, each told of four times; most of the copies lie side by side in partitions that others read.
        let slice = originals.iter().skip(round % 4).step_by(4);
        let new: Vec<Value> = slice.map(|event| fresh(event, round)).collect();
        for way in 0..4 {
            let copies: Vec<Value> = new
                .iter()
                .enumerate()
                .map(|(at, event)| match way {
                    0 => event.clone(),
                    _ => retold(event, &new[(at * 7 + way) % new.len()], way + at + round),
                })
                .collect();
            told += copies.len();
            put(kafka, "once", copies.iter().enumerate().map(|(at, event)| ((at / 50 + way * (1 + round % 2)) % 4, event)));
        }
        // Two consumers of a group and one of another at once; one is killed amid it.
        groups += 1;
        let consumers = [case.consumer(&["-q", "--batch-events", "40"]), case.consumer(&["-q", "--batch-events", "40"])];
        let mut other = case.consumer_of(&format!("other-{groups}"), &["-q", "--once", "--batch-events", "60"]);
        sleep(Duration::from_millis(500 + 700 * (round as u64 % 5)));
        let [one, two] = consumers;
        one.kill();
        other.succeed();
        two.interrupt();
        succeed(&["consume", "--from", &case.source_of("g-once"), "--to", &case.to, "--once", "-q"]);
        // Whoever replays the whole topic finds all of it.
        let told = succeed(&["consume", "--from", &case.source_of(&format!("replay-{groups}")), "--to", &case.to, "--once", "-q"]);
        assert!(told.contains(" = 0 stored + ") && told.contains(" + 0 dead letters"), "{told}");
        let ids = clickhouse.number("SELECT uniqExact(event_id) FROM once.email_events");
        assert_eq!((case.rows(), ids), (ids, ids), "rows, without FINAL, and ids after round {round}");
    }
    eprintln!("{told} tellings of {} ids in {rounds} rounds: one row each", told / 4);
    let ids = originals.len().div_ceil(4) * rounds as usize;
    assert!((ids.saturating_sub(2 * rounds as usize)..=ids + 1).contains(&(case.rows() as usize)), "{} rows of about {ids}", case.rows());
}

#[test]
fn an_event_that_two_connectors_publish_with_a_link_in_between_is_one_row() {
    let (rounds, _) = rounds(1);
    let (kafka, clickhouse) = shared();
    let mut published = 0;
    // Each with identities of its own, and both with the same.
    for name in ["linked_apart", "linked_together"] {
        let case = Case::new((kafka, clickhouse), name, 4, "email --seed 21 -d 2 -n 2");
        let people = format!("{}/{name}_people", clickhouse.url);
        let more: &[&str] = if name == "linked_together" { &["--rate", "10000", "--identities", &people] } else { &["--rate", "10000"] };
        let connectors = [format!("{name}-one"), format!("{name}-other")].map(|place| Connector::new(&place, &case.topic));
        let _running = connectors.each_ref().map(|connector| connector.start_with(more));
        let ask = |connector: usize, path: &str, body: &Value| {
            let answer = post(connectors[connector].address, path, &body.to_string()).unwrap();
            assert!([200, 202].contains(&answer.status), "{answer:?}");
            answer.json()
        };
        let address = |number: u32| format!("user{number}@example.com");
        let base_id = |number: u32| KeyRing::synthetic().token(&Identifier::Email(address(number))).unwrap().base_id;
        let mut ids = 0;
        for round in 0..rounds {
            let users = round * 100..round * 100 + 100;
            ids += users.len() as u64;
            let events: Vec<Value> = users
                .clone()
                .map(|number| {
                    json!({
                        "event_id": format!("018cc251-f400-7cde-8f00-{number:012x}"), "event_type": "site_visit", "esp": "internal",
                        "timestamp": "2026-01-31T09:15:00.123Z", "recipient_email": address(number), "campaign_id": "hot_path",
                        "campaign_name": "Hot path", "source": "website",
                    })
                })
                .collect();
            let events = json!(events);
            let first = round as usize % 2;
            let publish = |connector: usize| assert_eq!(ask(connector, "/api/mock/events/synthetic", &events)["published"], users.len());
            publish(first);
            // A link to somebody whose id is less gives the person another id.
            for number in users.clone() {
                let least = (1_000_000..).find(|partner| base_id(*partner) < base_id(number)).unwrap();
                let link = json!({ "identifiers": [{ "email": address(number) }, { "email": address(least) }] });
                let linked = ask(1 - first, "/api/identity/resolve", &link);
                assert!(linked["universal_id"].as_str().unwrap() < base_id(number).as_str(), "{linked}");
            }
            publish(1 - first);
            published += 2 * users.len();
            // Two at once, which have the copies in partitions of their own.
            let consumers = [case.consumer(&["-q", "--batch-events", "30"]), case.consumer(&["-q", "--batch-events", "30"])];
            succeed(&["consume", "--from", &case.source_of(&format!("other-{name}-{round}")), "--to", &case.to, "--once", "-q"]);
            consumers.into_iter().for_each(Program::interrupt);
            succeed(&["consume", "--from", &case.source_of(&format!("g-{name}")), "--to", &case.to, "--once", "-q"]);
            assert_eq!(case.messages(), 2 * ids as i64);
            let known = clickhouse.number(&format!("SELECT uniqExact(event_id) FROM {name}.email_events"));
            assert_eq!((case.rows(), known), (ids, ids), "rows, without FINAL, and ids after round {round}");
        }
    }
    eprintln!("{published} events published, each by two connectors with a link in between: one row each");
}

/// The event under an id of its round.
fn fresh(event: &Value, round: usize) -> Value {
    let mut event = event.clone();
    let id = event["event_id"].as_str().unwrap();
    event["event_id"] =
        format!("{}{:08x}", &id[..28], u32::from_str_radix(&id[28..], 16).unwrap().wrapping_add(round as u32 * 7_919)).into();
    event
}

#[test]
fn rows_that_stood_twice_before_and_a_table_without_the_projection_are_put_right() {
    let (_, clickhouse) = shared();
    let scenario = "email --seed 20 -d 20 -n 10";
    let case = Case::new(shared(), "stood", 2, scenario);
    case.publish();
    // As an earlier version made it, with rows that came twice.
    let definition = include_str!("../../../populace-io/src/tables/email/email_events.sql");
    let before = definition.replace(",\n    PROJECTION event_ids (SELECT event_id ORDER BY toUInt128(event_id))", "");
    let before =
        before.split(", deduplicate_merge_projection_mode").next().unwrap().replace("EXISTS email_events", "EXISTS stood.email_events");
    assert!(!before.contains("event_ids (") && before.ends_with("= 10000"), "{before}");
    clickhouse.ask(&before);
    case.finish(&[]);
    let columns = clickhouse
        .ask("SELECT arrayStringConcat(groupArray(name), ', ') FROM system.columns WHERE database = 'stood' AND table = 'email_events'");
    let other = columns.replace("universal_id", "concat(universal_id, 'x')");
    clickhouse.ask(&format!("INSERT INTO stood.email_events ({columns}) SELECT {other} FROM stood.email_events LIMIT 100"));
    clickhouse.ask("OPTIMIZE TABLE stood.email_events FINAL");
    assert_eq!(case.rows(), case.events() + 100);
    let told = succeed(&["consume", "--from", &case.source_of("again"), "--to", &case.to, "--once", "-q"]);
    assert!(told.contains(" = 0 stored + "), "{told}");
    assert_eq!(case.rows(), case.events());
    let left = "SELECT count() FROM system.parts WHERE database = 'stood' AND table = 'email_events' AND active AND rows > 0 AND name NOT IN \
        (SELECT parent_name FROM system.projection_parts WHERE database = 'stood' AND table = 'email_events' AND active AND name = 'event_ids')";
    assert_eq!(clickhouse.number(left), 0, "parts without the projection");
}

#[test]
fn what_providers_say_of_machines_reaches_a_table_that_was_made_before() {
    let case = Case::new(shared(), "machines", 2, "email --set machine_opens={} --seed 20 -d 20 -n 40");
    let definition = include_str!("../../../populace-io/src/tables/email/email_events.sql");
    let before =
        definition.replace("    machine_open Nullable(Bool),\n", "").replace("EXISTS email_events", "EXISTS machines.email_events");
    assert!(!before.contains("machine_open"), "{before}");
    case.clickhouse.ask(&before);
    case.publish();
    case.finish(&[]);
    let counts = |of: &str| {
        case.clickhouse.ask(&format!("SELECT countIf(machine_open), countIf(NOT machine_open), countIf(machine_open IS NULL) FROM {of}"))
    };
    let stored = counts("machines.email_events");
    assert_eq!(stored, counts(&format!("file('{}', 'Parquet')", case.file().display())));
    assert!(stored.split_whitespace().all(|count| count != "0"), "{stored}");
    // Straight into a table of before, too.
    case.clickhouse.ask("CREATE DATABASE machines_straight");
    case.clickhouse.ask(&before.replace("machines.email_events", "machines_straight.email_events"));
    let to = format!("{}/machines_straight", case.clickhouse.url);
    succeed(&["generate", "email", "--set", "machine_opens={}", "--seed", "20", "-d", "20", "-n", "40", "-q", "--to", &to]);
    assert_eq!(stored, counts("machines_straight.email_events"));
}

#[test]
fn all_that_mail_says_reaches_a_table_that_was_made_before_any_of_it() {
    const NEW: [&str; 7] = ["machine_open", "attempt", "smtp_code", "enhanced_code", "response", "bounce_class", "link_index"];
    let case = Case::new(shared(), "industry", 2, "email-industry --seed 20 -d 30 -n 70");
    let is_old = |line: &&str| !NEW.iter().any(|column| line.trim_start().starts_with(&format!("{column} Nullable(")));
    let definition = include_str!("../../../populace-io/src/tables/email/email_events.sql");
    let before =
        definition.lines().filter(is_old).collect::<Vec<_>>().join("\n").replace("EXISTS email_events", "EXISTS industry.email_events");
    assert_eq!(before.lines().count() + NEW.len(), definition.lines().count(), "{before}");
    case.clickhouse.ask(&before);
    let to = format!("{}/industry", case.clickhouse.url);
    succeed(&[&["generate", "email-industry", "--seed", "20", "-d", "30", "-n", "70", "-q", "--to"][..], &[to.as_str()]].concat());
    let texts: Vec<String> = NEW.iter().map(|column| format!("ifNull(toString({column}), '-')")).collect();
    let values = |of: &str| {
        let known: Vec<String> = NEW.iter().map(|column| format!("countIf({column} IS NOT NULL)")).collect();
        let sum = format!("sum(cityHash64(toString(event_type), {}))", texts.join(", "));
        case.clickhouse.ask(&format!("SELECT count(), {}, {sum} FROM {of}", known.join(", ")))
    };
    let stored = values("industry.email_events");
    assert_eq!(stored, values(&format!("file('{}', 'Parquet')", case.file().display())));
    assert!(stored.split_whitespace().all(|count| count != "0"), "a column is empty: {stored}");
}
