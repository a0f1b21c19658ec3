//! Errors of brokers, injected: librdkafka's own cluster of three brokers in this process answers produce requests as it is told to. Its
//! brokers look at no sequence numbers (`order.rs` has a genuine one for that), but what is acknowledged in spite of an error, or is sent
//! again after a later batch, is lost or out of order here.

use crate::support::{command, populace, scratch, succeed};
use populace_io::sinks::kafka::rdkafka::config::ClientConfig;
use populace_io::sinks::kafka::rdkafka::consumer::{BaseConsumer, Consumer};
use populace_io::sinks::kafka::rdkafka::message::Message;
use populace_io::sinks::kafka::rdkafka::mocking::MockCluster;
use populace_io::sinks::kafka::rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::thread::sleep;
use std::time::{Duration, Instant};

type ByUser = BTreeMap<String, Vec<String>>;

/// Values of a topic by key, in their order, once it has so many and no more come; and the partitions that they came from.
fn topic(
    cluster: &MockCluster<'_, impl populace_io::sinks::kafka::rdkafka::ClientContext>,
    topic: &str,
    count: usize,
) -> (ByUser, BTreeSet<i32>) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", cluster.bootstrap_servers()).set("group.id", "readers").set("auto.offset.reset", "earliest");
    let consumer: BaseConsumer = config.create().unwrap();
    consumer.subscribe(&[topic]).unwrap();
    let (mut found, mut partitions, mut rows) = (ByUser::new(), BTreeSet::new(), 0);
    let mut until = Instant::now() + Duration::from_mins(1);
    while Instant::now() < until {
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
            let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap().to_vec()).unwrap();
            found.entry(text(message.key())).or_default().push(text(message.payload()));
            partitions.insert(message.partition());
            rows += 1;
            if rows == count {
                // What is there twice comes after this.
                until = Instant::now() + Duration::from_secs(1);
            }
        }
    }
    (found, partitions)
}

/// The lines of a run's file by user, in their order.
fn file(name: &str, scenario: &[&str]) -> ByUser {
    let directory = scratch(name);
    succeed(&[&["generate"], scenario, &["-q", "-f", "jsonl", "--table", "events", "-o", directory.to_str().unwrap()]].concat());
    let mut lines = ByUser::new();
    for line in std::fs::read_to_string(directory.join("events.jsonl")).unwrap().lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        lines.entry(event["universal_id"].as_str().unwrap().to_owned()).or_default().push(line.to_owned());
    }
    lines
}

fn assert_same(found: &ByUser, expected: &ByUser) {
    let rows = |users: &ByUser| users.values().map(Vec::len).sum::<usize>();
    assert_eq!((found.len(), rows(found)), (expected.len(), rows(expected)), "users and rows");
    for (user, rows) in expected {
        let first = found[user].iter().zip(rows).position(|(found, expected)| found != expected);
        assert!(first.is_none(), "{user}: row {first:?} of {}, or their order, differs", rows.len());
    }
}

#[test]
fn through_errors_of_brokers_each_users_events_arrive_once_and_in_order() {
    use RDKafkaRespErr::*;
    let errors = [
        RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
        RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
        RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE,
    ];
    let cluster = MockCluster::new(3).unwrap();
    cluster.create_topic("events", 6, 3).unwrap();
    // A month in five seconds. While there is an error everything gets it: a genuine broker takes no batch before the one that it refused.
    let scenario = ["email", "--seed", "7", "-n", "60", "-d", "30"];
    let url = format!("kafka://{}/events", cluster.bootstrap_servers());
    let mut run = command(&[&["stream"], &scenario[..], &["-q", "--speed", "520000", "--to", &url]].concat()).spawn().unwrap();
    for error in errors {
        sleep(Duration::from_millis(700));
        cluster.request_errors(RDKafkaApiKey::Produce, &[error; 3_000]);
        sleep(Duration::from_millis(300));
        // These brokers check no sequence numbers: one that took the second of two batches under way after it had refused the first would
        // make librdkafka count the first as stored. Connections are cut, so that none is under way when the error ends.
        cluster.broker_down(-1).unwrap();
        cluster.clear_request_errors(RDKafkaApiKey::Produce);
        cluster.broker_up(-1).unwrap();
    }
    assert!(run.wait().unwrap().success());
    let expected = file("brokers", &scenario);
    let rows: usize = expected.values().map(Vec::len).sum();
    assert!(expected.len() == 60 && rows > 2_000, "{} users, {rows} rows", expected.len());
    let (found, partitions) = topic(&cluster, "events", rows);
    assert_eq!(partitions, (0..6).collect());
    assert_same(&found, &expected);
}

#[test]
fn brokers_that_cut_connections_go_away_and_come_back_lose_nothing() {
    let cluster = MockCluster::new(3).unwrap();
    cluster.create_topic("events", 6, 3).unwrap();
    cluster.broker_round_trip_time(-1, Duration::from_millis(60)).unwrap();
    let cut = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR, RDKafkaRespErr::RD_KAFKA_RESP_ERR__TRANSPORT];
    cluster.request_errors(RDKafkaApiKey::Produce, &cut.repeat(6));
    let scenario = ["email", "--seed", "8", "-n", "60", "-d", "30"];
    let url = format!("kafka://{}/events", cluster.bootstrap_servers());
    let mut run = command(&[&["stream"], &scenario[..], &["-q", "--speed", "520000", "--to", &url]].concat()).spawn().unwrap();
    for broker in [1, 2, 3, -1] {
        sleep(Duration::from_millis(700));
        cluster.broker_down(broker).unwrap();
        sleep(Duration::from_millis(300));
        cluster.broker_up(broker).unwrap();
    }
    assert!(run.wait().unwrap().success());
    cluster.clear_request_errors(RDKafkaApiKey::Produce);
    cluster.broker_round_trip_time(-1, Duration::ZERO).unwrap();
    let expected = file("away", &scenario);
    let (found, _) = topic(&cluster, "events", expected.values().map(Vec::len).sum());
    // A batch whose answer was cut off may be there twice: these brokers know no sequence numbers. Nothing is missing, and what came
    // first came in order.
    let first = |lines: &Vec<String>| {
        let mut seen = BTreeSet::new();
        lines.iter().filter(|line| seen.insert(*line)).cloned().collect()
    };
    assert_same(&found.iter().map(|(user, lines)| (user.clone(), first(lines))).collect(), &expected);
}

#[test]
fn brokers_that_never_acknowledge_are_told_after_the_time_given() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("events", 1, 1).unwrap();
    cluster.request_errors(RDKafkaApiKey::Produce, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT; 1_000]);
    let url = format!("kafka://{}/events", cluster.bootstrap_servers());
    let start = Instant::now();
    let output = populace(&["generate", "email", "--seed", "7", "-n", "3", "-q", "--timeout", "2", "--to", &url]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("a record was not acknowledged") && told.contains("the same command with --seed 7"), "{told}");
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}
