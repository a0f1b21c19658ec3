//! What is killed when: short here; as many rounds as `POPULACE_FAULT_ROUNDS` says for the long form.

use crate::flow::urls;
use crate::support::{Server, assert_holds, command, reference, scratch, shared, succeed};
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

fn rounds(short: u32) -> u32 {
    std::env::var("POPULACE_FAULT_ROUNDS").map_or(short, |rounds| rounds.parse().expect("POPULACE_FAULT_ROUNDS is a number"))
}

/// A moment that differs from round to round, below `most` milliseconds.
fn moment(round: u32, most: u64) -> Duration {
    Duration::from_millis((u64::from(round + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33) % most)
}

fn spawn(arguments: &[&str]) -> Child {
    command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// kill -9.
fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Consumes the whole topic, though members that were killed may still hold partitions of it.
fn finish(from: &str, to: &str) -> String {
    succeed(&["consume", "--from", from, "--to", to, "--once", "-q", "--batch-events", "500"])
}

#[test]
fn a_consumer_that_is_killed_again_and_again_loses_and_doubles_nothing() {
    let (kafka, clickhouse) = shared();
    let scenario = ["email", "--seed", "5", "-n", "60", "-d", "40"];
    let file = reference("killed-consumer", &scenario);
    let topic = format!("{}/killed_consumer?partitions=4", kafka.url);
    succeed(&[&["generate"], &scenario[..], &["-q", "--to", &topic]].concat());
    let (from, to) = urls(kafka, clickhouse, "killed_consumer");
    for round in 0..rounds(4) {
        let child = spawn(&["consume", "--from", &from, "--to", &to, "--batch-events", "20"]);
        sleep(Duration::from_secs(1) + moment(round, 8_000));
        kill(child);
    }
    finish(&from, &to);
    assert_holds(clickhouse, "killed_consumer", &file);
}

#[test]
fn a_consumer_that_is_killed_between_insert_and_commit_stores_that_batch_once() {
    let kafka = shared().0;
    let mut clickhouse = Server::clickhouse();
    let scenario = ["email", "--seed", "12", "-n", "40", "-d", "40"];
    let file = reference("uncommitted", &scenario);
    let topic = format!("{}/uncommitted?partitions=2", kafka.url);
    succeed(&[&["generate"], &scenario[..], &["-q", "--to", &topic]].concat());
    let (from, to) = urls(kafka, &clickhouse, "uncommitted");
    clickhouse.ask("CREATE DATABASE uncommitted");
    let count = |clickhouse: &Server| match clickhouse.number("EXISTS TABLE uncommitted.email_events") {
        0 => 0,
        _ => clickhouse.number("SELECT count() FROM uncommitted.email_events"),
    };
    for round in 0..rounds(3) {
        // Inserts are stored and never acknowledged: nothing can be committed.
        clickhouse.tell("fail 1000000");
        let before = count(&clickhouse);
        let child = spawn(&["consume", "--from", &from, "--to", &to, "--batch-events", "25"]);
        let until = Instant::now() + Duration::from_mins(1);
        while count(&clickhouse) == before {
            assert!(Instant::now() < until, "nothing was stored in round {round}");
            sleep(Duration::from_millis(20));
        }
        sleep(moment(round, 500));
        kill(child);
        assert_eq!(count(&clickhouse), before + 25, "the same batch again is known by its token");
    }
    clickhouse.tell("fail 0");
    let told = finish(&from, &to);
    assert!(told.contains(" 25 known + 0 dead letters"), "what the latest had stored: {told}");
    assert_holds(&clickhouse, "uncommitted", &file);
}

#[test]
fn a_connector_that_is_killed_while_requests_come_publishes_each_event() {
    let (kafka, clickhouse) = shared();
    let scenario = ["email", "--seed", "13", "-n", "120"];
    let file = reference("connector", &scenario);
    let log = format!("{}/connector_killed?partitions=4", kafka.url);
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let data = scratch("connector-data");
    let connector = || spawn(&["serve", "--log", &log, "--listen", &free, "--data", data.to_str().unwrap()]);
    let url = format!("http://{free}");
    let listening = || {
        let until = Instant::now() + Duration::from_mins(1);
        while std::net::TcpStream::connect(&free).is_err() {
            assert!(Instant::now() < until, "the connector does not listen");
            sleep(Duration::from_millis(20));
        }
    };
    let mut current = connector();
    listening();
    let mut producer = spawn(&[&["generate"], &scenario[..], &["-q", "--to", &url]].concat());
    for round in 0..rounds(3) {
        sleep(moment(round, 700));
        kill(current);
        current = connector();
        listening();
    }
    assert!(producer.wait().unwrap().success());
    kill(current);
    let (from, to) = urls(kafka, clickhouse, "connector_killed");
    finish(&from, &to);
    assert_holds(clickhouse, "connector_killed", &file);
}

#[test]
fn a_producer_that_is_killed_and_run_again_loses_and_doubles_nothing() {
    let (kafka, clickhouse) = shared();
    let scenario = ["email", "--seed", "6", "-n", "200"];
    let file = reference("killed-producer", &scenario);
    let topic = format!("{}/killed_producer?partitions=4", kafka.url);
    let run = [&["generate"], &scenario[..], &["-q", "--to", &topic]].concat();
    for round in 0..rounds(3) {
        let child = spawn(&run);
        sleep(Duration::from_millis(50) + moment(round, 1_500));
        kill(child);
    }
    succeed(&run);
    let (from, to) = urls(kafka, clickhouse, "killed_producer");
    finish(&from, &to);
    assert_holds(clickhouse, "killed_producer", &file);
}

#[test]
fn poison_is_set_aside_and_nothing_waits_for_it() {
    let (kafka, clickhouse) = shared();
    // Rows of another scenario are no events of email: each is poison.
    let topic = format!("{}/poison?partitions=3", kafka.url);
    succeed(&["generate", "churn", "--seed", "1", "-q", "--count", "10000", "--to", &topic]);
    let scenario = ["email", "--seed", "8", "-n", "20", "-d", "20"];
    let file = reference("poison", &scenario);
    succeed(&[&["generate"], &scenario[..], &["-q", "--to", &topic]].concat());
    let (from, to) = urls(kafka, clickhouse, "poison");
    let told = succeed(&["consume", "--from", &from, "--to", &to, "--once"]);
    assert!(told.contains(" + 10,000 dead letters;") && told.contains(" read = "), "{told}");
    assert_holds(clickhouse, "poison", &file);
}

#[test]
fn a_broker_that_is_killed_and_comes_back_has_everything() {
    let mut kafka = Server::kafka();
    let clickhouse = shared().1;
    let scenario = ["email", "--seed", "9", "-n", "300"];
    let file = reference("broker", &scenario);
    let topic = format!("{}/broker?partitions=4", kafka.url);
    let mut producer = spawn(&[&["generate"], &scenario[..], &["-q", "--to", &topic]].concat());
    let (from, to) = urls(&kafka, clickhouse, "broker");
    sleep(Duration::from_secs(2));
    for line in ["kill", "start", "stop", "start"] {
        kafka.tell(line);
        sleep(Duration::from_secs(1));
    }
    assert!(producer.wait().unwrap().success());
    finish(&from, &to);
    assert_holds(clickhouse, "broker", &file);
}

#[test]
fn a_table_that_is_away_slow_or_failing_midway_ends_up_whole() {
    let kafka = shared().0;
    let mut clickhouse = Server::clickhouse();
    let scenario = ["email", "--seed", "10", "-n", "60", "-d", "40"];
    let file = reference("away", &scenario);
    let topic = format!("{}/away?partitions=4", kafka.url);
    succeed(&[&["generate"], &scenario[..], &["-q", "--to", &topic]].concat());
    let (from, to) = urls(kafka, &clickhouse, "away");
    let mut consumer = spawn(&["consume", "--from", &from, "--to", &to, "--once", "--batch-events", "500"]);
    for line in ["slow 0.2", "fail 3", "refuse 3", "down", "up", "slow 0"] {
        clickhouse.tell(line);
        sleep(Duration::from_secs(2));
    }
    assert!(consumer.wait().unwrap().success());
    assert_holds(&clickhouse, "away", &file);
}
