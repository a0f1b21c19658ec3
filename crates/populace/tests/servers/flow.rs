//! Round trips.

use crate::case::{Case, Connector, Program, wait_for};
use crate::support::{Server, assert_holds, reference, shared, succeed};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How much more memory a program may take of ten times as many events, KiB. What may grow is bounded: the consumer's queue of fetched
/// messages (8 MiB of records, and as much again about them) and the deliveries that it remembers (100,000: 10 MiB), the pages that the
/// connector's stores keep (8 MiB each), the batches that wait in the generator (four), and what an allocator keeps of the largest batch.
/// Ten times a data set is 440 MB of JSON more.
const GROWTH: u64 = 64 << 10;

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
    // The topic replayed by a group that has read nothing, in batches so small that users have much else in their time.
    let told = succeed(&["consume", "--from", &from.replace("g-round", "other"), "--to", &to, "--once", "--batch-events", "100"]);
    assert!(told.contains(" 0 stored + "), "{told}");
    assert_holds(clickhouse, "round_trip", &file);
}

/// A run through the whole flow.
struct Taken {
    events: u64,
    /// The most resident memory of generator, connector and consumer, KiB.
    memory: [u64; 3],
}

/// `generate --to http://…`, `serve --log kafka://…` and `consume` at the same time, until the table has every event.
fn whole_flow(name: &'static str, users: u32) -> Taken {
    let case = Case::new(shared(), name, 6, &format!("email --seed 11 -n {users}"));
    let events = case.events();
    let connector = Connector::new(name, &case.topic);
    // Batches that are full with the small data set too: of the large one they would wait in memory, 10,000 events of each partition.
    let programs = [connector.start(), case.consumer(&["-q", "--batch-events", "2000"])];
    // The group has given the consumer its partitions.
    wait_for("the table is there", || case.rows() == 0 && case.has_table());
    sleep(Duration::from_secs(1));
    let start = Instant::now();
    let mut producer = Program::start(&case.generate(&connector.url()));
    let watched = [producer.id(), programs[0].id(), programs[1].id()];
    let mut memory = [0; 3];
    wait_for("every event is in the table", || {
        for (most, id) in memory.iter_mut().zip(watched) {
            *most = (*most).max(high_water(id));
        }
        case.rows() == events
    });
    let wall = start.elapsed();
    producer.succeed();
    programs.into_iter().for_each(Program::interrupt);
    case.assert_order();
    case.finish(&[]);
    let taken = Taken { events, memory };
    let [generator, connector, consumer] = memory.map(|kib| kib >> 10);
    eprintln!("{events} events in {wall:.1?}; memory: generator {generator} MiB, connector {connector} MiB, consumer {consumer} MiB");
    taken
}

/// The most resident memory that a process has had, KiB; 0 if it has ended.
fn high_water(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or(0, |line| line.trim().trim_end_matches(" kB").parse().unwrap())
}

/// A tenth of a data set and a whole one; in the long form a whole one and ten. What a release build takes, `POPULACE_BINARY` shows.
#[test]
fn a_full_data_set_goes_through_the_whole_flow_in_memory_that_does_not_grow_with_it() {
    let users = if std::env::var("POPULACE_FAULT_ROUNDS").is_ok() { 350 } else { 35 };
    let (small, large) = (whole_flow("flow_small", users), whole_flow("flow_large", 10 * users));
    assert!(large.events > 8 * small.events, "{} {}", small.events, large.events);
    for (less, more) in small.memory.iter().zip(large.memory) {
        assert!(more <= less + GROWTH, "{less} KiB of {} events, {more} KiB of {}", small.events, large.events);
    }
}
