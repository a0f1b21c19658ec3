//! Round trips.

use crate::support::{Server, assert_holds, reference, shared, succeed};
use std::time::Instant;

/// `kafka://…/topic` and `clickhouse://…/database`.
pub fn urls(kafka: &Server, clickhouse: &Server, name: &str) -> (String, String) {
    (format!("{}/{name}?group=g-{name}&dlq={name}-dlq", kafka.url), format!("{}/{name}", clickhouse.url))
}

#[test]
fn events_come_through_kafka_and_straight_as_they_are_in_files() {
    let (kafka, clickhouse) = shared();
    let scenario = ["email", "--seed", "7", "-n", "40", "-d", "30"];
    let file = reference("round-trip", &scenario);
    let (topic, straight) = (format!("{}/round_trip?partitions=6", kafka.url), format!("{}/straight", clickhouse.url));
    let told = succeed(&[&["generate"], &scenario[..], &["--to", &topic, "--to", &straight]].concat());
    assert!(told.contains("rows acknowledged by kafka://") && !told.contains("sendflowr_dev"), "{told}");
    assert_holds(clickhouse, "straight", &file);
    let (from, to) = urls(kafka, clickhouse, "round_trip");
    let told = succeed(&["consume", "--from", &from, "--to", &to, "--once"]);
    assert!(told.contains(" read = ") && told.contains(" 0 known + 0 dead letters; 0 suspected"), "{told}");
    assert_holds(clickhouse, "round_trip", &file);
    // All of it again: straight it is known by its tokens, through Kafka by its ids.
    succeed(&[&["generate"], &scenario[..], &["-q", "--to", &topic, "--to", &straight]].concat());
    assert_holds(clickhouse, "straight", &file);
    let told = succeed(&["consume", "--from", &from, "--to", &to, "--once"]);
    assert!(told.contains(" 0 stored + ") && told.contains(" 0 dead letters"), "{told}");
    assert_holds(clickhouse, "round_trip", &file);
    // The topic replayed by a group that has read nothing.
    let told = succeed(&["consume", "--from", &from.replace("g-round", "other"), "--to", &to, "--once"]);
    assert!(told.contains(" 0 stored + "), "{told}");
    assert_holds(clickhouse, "round_trip", &file);
}

#[test]
fn a_full_data_set_goes_through_the_whole_flow() {
    let (kafka, clickhouse) = shared();
    let file = reference("full", &["email", "--seed", "11"]);
    let start = Instant::now();
    succeed(&["generate", "email", "--seed", "11", "-q", "--table", "events", "--to", &format!("{}/full?partitions=6", kafka.url)]);
    let published = start.elapsed();
    let (from, to) = urls(kafka, clickhouse, "full");
    let told = succeed(&["consume", "--from", &from, "--to", &to, "--once", "-q"]);
    eprintln!("published in {published:?}, in the table after {:?}: {told}", start.elapsed());
    assert_holds(clickhouse, "full", &file);
}
