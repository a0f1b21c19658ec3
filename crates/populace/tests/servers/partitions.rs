//! What keeps a partition from going on is reported, and the others go on; and what is to come is right whatever is away.

use crate::case::{Case, Program, answers, free, wait_for};
use crate::support::{Server, shared, succeed};
use populace_flow::client::send;
use populace_io::sinks::kafka::rdkafka::admin::{AdminClient, AdminOptions, NewPartitions};
use populace_io::sinks::kafka::rdkafka::client::DefaultClientContext;
use populace_io::sinks::kafka::rdkafka::config::ClientConfig;
use std::future::Future;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// A consumer that answers at an address.
fn watched(case: &Case<'_>, more: &[&str]) -> (Program, SocketAddr) {
    let address = free();
    let program = case.consumer(&[&["-q", "--listen", &address.to_string()], more].concat());
    wait_for("the consumer answers", || answers(address, "/health"));
    (program, address)
}

fn ready(address: SocketAddr) -> (u16, String) {
    send(address, "GET", "/ready", &[], b"").map_or((0, String::new()), |answer| (answer.status, answer.body))
}

/// A figure, if it is there.
fn figure(address: SocketAddr, name: &str) -> Option<u64> {
    let page = send(address, "GET", "/metrics", &[], b"").ok()?.body;
    page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

#[test]
fn records_in_every_compression_are_read() {
    let case = Case::new(shared(), "codecs", 2, "email --seed 14 -d 20 -n 20");
    let codecs = ["none", "gzip", "snappy", "lz4", "zstd"];
    for codec in codecs {
        succeed(&case.generate(&format!("{}&compression={codec}", case.topic)));
    }
    let told = case.finish(&[]);
    assert!(told.starts_with(&format!("{} read", grouped(case.events() * codecs.len() as u64))), "{told}");
}

/// A number as the program writes it.
fn grouped(number: u64) -> String {
    if number < 1_000 { number.to_string() } else { format!("{},{:03}", number / 1_000, number % 1_000) }
}

#[test]
fn a_partition_that_cannot_be_read_is_reported_and_the_others_go_on() {
    let kafka = Server::kafka();
    let case = Case::new((&kafka, shared().1), "unreadable", 3, "email --seed 15 -d 20 -n 60");
    // What is damaged comes again after it: it must not be passed over.
    case.publish();
    case.publish();
    kafka.tell("damage unreadable 1");
    let (consumer, address) = watched(&case, &[]);
    wait_for("the damage is reported", || ready(address).0 == 503 && ready(address).1.contains("partition 1"));
    let (_, why) = ready(address);
    assert!(why.contains("unreadable, partition 1: ") && why.contains("failed CRC32C check"), "{why}");
    // Others that were at the same offset are read again, and go on.
    wait_for("one is left", || figure(address, "populace_partitions_stuck") == Some(1));
    assert_eq!(figure(address, "populace_ready"), Some(0));
    assert!(figure(address, "populace_partition_failures_total") >= Some(1));
    let ends: Vec<u64> = case.ends().values().map(|end| *end as u64).collect();
    // Each event is there twice.
    let theirs = u64::midpoint(ends[0], ends[2]);
    wait_for("the others are stored", || case.rows() == theirs);
    // However often it is read again.
    std::thread::sleep(Duration::from_secs(12));
    assert_eq!((case.rows(), ready(address).0), (theirs, 503));
    assert_eq!(figure(address, "populace_log_lag"), Some(ends[1]));
    kafka.tell("damage unreadable 1");
    wait_for("what was mended is stored", || case.rows() == case.events());
    wait_for("all go on", || ready(address).0 == 200);
    consumer.interrupt();
    case.finish(&[]);
}

#[test]
fn rights_that_are_taken_are_reported_until_they_are_given_again() {
    let kafka = Server::kafka();
    let mut case = Case::new((&kafka, shared().1), "rights", 2, "email --seed 16 -d 20 -n 30");
    case.publish();
    case.log_in(&format!("stranger:stranger@{}", kafka.ways["login"]));
    kafka.tell("allow rights");
    let (consumer, address) = watched(&case, &[]);
    // Stored and committed: a commit that is under way waits for the right, too.
    wait_for("all is stored", || case.rows() == case.events() && figure(address, "populace_log_lag") == Some(0));
    kafka.tell("forbid rights");
    wait_for("what is missing is reported", || ready(address).0 == 503);
    wait_for("the partitions are named", || ["partition 0: ", "partition 1: "].iter().all(|of| ready(address).1.contains(of)));
    // Not before: what a broker still lets the consumer read is a batch that waits for the right to be committed.
    case.publish();
    let (_, why) = ready(address);
    assert!(why.contains("opic authorization failed"), "{why}");
    kafka.tell("permit rights");
    wait_for("all go on", || ready(address).0 == 200 && figure(address, "populace_log_lag") == Some(0));
    consumer.interrupt();
    assert_eq!(case.rows(), case.events());
}

#[test]
fn partitions_that_are_added_are_found_within_half_a_minute() {
    let (kafka, _) = shared();
    let case = Case::new(shared(), "added", 1, "email --seed 17 -d 20 -n 30");
    // The topic is made, and holds something.
    succeed(&["generate", "email", "--seed", "17", "-d", "20", "-n", "30", "--count", "10", "-q", "--to", &case.topic]);
    let consumer = case.consumer(&["-q"]);
    wait_for("it consumes", || case.rows() == 10);
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new().set("bootstrap.servers", kafka.address()).create().unwrap();
    let more = [NewPartitions::new("added", 4)];
    let added = Instant::now();
    let mut made = std::pin::pin!(admin.create_partitions(&more, &AdminOptions::new()));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    wait_for("partitions are added", || made.as_mut().poll(&mut context).is_ready());
    wait_for("the topic has them", || case.ends().len() == 4);
    case.publish();
    wait_for("what is in them is stored", || case.rows() == case.events());
    let took = added.elapsed();
    assert!(case.ends().values().filter(|end| **end > 0).count() == 4, "{:?}", case.ends());
    assert!(took < Duration::from_secs(30), "{took:?}");
    eprintln!("partitions that were added were consumed after {took:?}");
    consumer.interrupt();
    case.finish(&[]);
}

#[test]
fn what_is_to_come_is_of_now_or_left_out() {
    let (kafka, clickhouse) = (Server::kafka(), Server::clickhouse());
    let case = Case::new((&kafka, &clickhouse), "lag", 2, "email --seed 18 -d 20 -n 40");
    succeed(&["generate", "email", "--seed", "18", "-d", "20", "-n", "40", "--count", "50", "-q", "--to", &case.topic]);
    let (consumer, address) = watched(&case, &[]);
    wait_for("nothing is left", || case.rows() == 50 && figure(address, "populace_log_lag") == Some(0));
    clickhouse.tell("down");
    case.publish();
    // Of the 50 that are stored a second delivery is to come, too.
    wait_for("what came since is counted", || figure(address, "populace_log_lag") == u64::try_from(case.messages() - 50).ok());
    wait_for("the outage is reported", || ready(address).0 == 503);
    kafka.tell("kill");
    wait_for("what cannot be asked is left out", || figure(address, "populace_log_lag").is_none());
    assert_eq!(figure(address, "populace_gauges_failed"), Some(1));
    kafka.tell("start");
    clickhouse.tell("up");
    wait_for("nothing is left again", || figure(address, "populace_log_lag") == Some(0));
    assert_eq!(figure(address, "populace_gauges_failed"), Some(0));
    wait_for("all goes on", || ready(address).0 == 200);
    consumer.interrupt();
    case.finish(&[]);
}
