//! What is killed when: short here; as many rounds as `POPULACE_FAULT_ROUNDS` says for the long form.

use crate::case::{Case, Connector, Program, kill_in_rounds, rounds, wait_for};
use crate::support::{Server, shared, succeed};
use std::thread::sleep;
use std::time::Duration;

/// A moment that differs from round to round, below `most` milliseconds.
fn moment(round: u32, most: u64) -> Duration {
    Duration::from_millis((u64::from(round + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33) % most)
}

#[test]
fn a_consumer_that_is_killed_again_and_again_loses_and_doubles_nothing() {
    let (rounds, _) = rounds(4);
    let case = Case::new(shared(), "killed_consumer", 4, &format!("email --seed 5 -d 40 -n {}", 40 * rounds));
    case.publish();
    let mut stored = 0;
    let killed = kill_in_rounds(
        rounds,
        || case.consumer(&["--batch-events", "20"]),
        |round| {
            // While it joins, and while it stores.
            if round % 2 == 1 {
                wait_for("something is stored", || case.rows() > stored);
            }
            sleep(moment(round, 1_000));
            stored = case.rows();
            true
        },
    );
    assert_eq!(killed, rounds);
    assert!(stored > 0 && stored < case.events(), "{stored} rows: nothing was stored before the last kill, or nothing was left");
    eprintln!("{killed} consumers killed, {stored} of {} rows stored by then", case.events());
    case.finish(&["--batch-events", "500"]);
}

#[test]
fn a_consumer_that_is_killed_between_insert_and_commit_stores_that_batch_once() {
    let clickhouse = Server::clickhouse();
    // Inserts are stored and never acknowledged: nothing can be committed.
    clickhouse.tell("fail 1000000");
    let (rounds, _) = rounds(3);
    let case = Case::new((shared().0, &clickhouse), "uncommitted", 2, "email --seed 12 -d 40 -n 40");
    case.publish();
    let killed = kill_in_rounds(
        rounds,
        || case.consumer(&["--batch-events", "25"]),
        |round| {
            let before = u64::from(round) * 25;
            wait_for("a batch is stored", || case.rows() > before);
            sleep(moment(round, 500));
            assert_eq!(case.rows(), before + 25, "the same batch again is known by its token");
            true
        },
    );
    assert_eq!((killed, case.rows()), (rounds, u64::from(rounds) * 25));
    clickhouse.tell("fail 0");
    let told = case.finish(&["--batch-events", "500"]);
    assert!(told.contains(" 25 known + 0 dead letters"), "what the latest had stored: {told}");
}

#[test]
fn a_connector_that_is_killed_while_requests_come_publishes_each_event() {
    let (rounds, _) = rounds(3);
    // The producer has something to send for as long as there are kills.
    let case = Case::new(shared(), "killed_connector", 4, &format!("email --seed 13 -n {}", 90 * rounds));
    let connector = Connector::new("killed", &case.topic);
    let mut producer = None;
    let killed = kill_in_rounds(
        rounds,
        || connector.start(),
        |round| {
            let producer = producer.get_or_insert_with(|| Program::start(&case.generate(&connector.url())));
            wait_for("a request is under way", || connector.is_busy() || producer.has_ended());
            // Long enough that some requests are answered: one that never is would be given up.
            sleep(moment(round, 200));
            !producer.has_ended()
        },
    );
    let mut producer = producer.unwrap();
    assert!(killed > 0, "the producer had ended before anything was killed");
    let last = connector.start();
    producer.succeed();
    last.kill();
    let (messages, again) = case.assert_order();
    eprintln!("{killed} of {rounds} connectors killed with requests under way; of {messages} messages {again} are there again");
    case.finish(&[]);
}

#[test]
fn a_producer_that_is_killed_and_run_again_loses_and_doubles_nothing() {
    let (rounds, _) = rounds(3);
    let case = Case::new(shared(), "killed_producer", 4, "email --seed 6 -n 150");
    let whole = std::time::Instant::now();
    case.publish();
    let whole = whole.elapsed();
    // Moments all over the time that it takes, most of which is its start.
    let killed = kill_in_rounds(
        rounds,
        || Program::start(&case.generate(&case.topic)),
        |round| {
            sleep(whole * (10 + 80 * round / rounds) / 100);
            true
        },
    );
    case.publish();
    let (messages, again) = case.assert_order();
    let events = case.events();
    eprintln!("{killed} of {rounds} producers killed before they ended; {messages} messages of {events} events, {again} there again");
    assert!(killed > 0, "every producer had ended before it was killed");
    case.finish(&[]);
}

#[test]
fn poison_is_set_aside_and_nothing_waits_for_it() {
    let case = Case::new(shared(), "poison", 3, "email --seed 8 -d 20 -n 20");
    // Rows of another scenario are no events of email: each is poison.
    succeed(&["generate", "churn", "--seed", "1", "-q", "--count", "10000", "--to", &case.topic]);
    case.publish();
    let told = case.finish(&[]);
    assert!(told.contains(" + 10,000 dead letters;"), "{told}");
}

#[test]
fn a_broker_that_is_killed_and_comes_back_has_everything() {
    let (rounds, long) = rounds(1);
    let kafka = Server::kafka();
    // A million events in the long form; in the short one, events at a pace that lasts however fast the machine is.
    let case = Case::new((&kafka, shared().1), "broker", 4, &format!("email --seed 9 -n {}", if long { 4_400 } else { 300 }));
    let paced = ["stream", "email", "--seed", "9", "-n", "300", "-q", "--speed", "800000", "--to", &case.topic];
    let mut producer = Program::start(&if long { case.generate(&case.topic) } else { paced.to_vec() });
    let mut consumer = case.consumer(&["-q"]);
    let (mut restarts, mut latest) = (0, 0);
    for round in 0..rounds.min(10) {
        for line in ["kill", "stop"] {
            wait_for("more events come", || {
                let before = latest;
                latest = latest.max(case.messages());
                producer.has_ended() || latest > before
            });
            sleep(moment(round, 1_000));
            restarts += u32::from(!producer.has_ended());
            kafka.tell(line);
            kafka.tell("start");
        }
    }
    producer.succeed();
    eprintln!("broker restarted {restarts} times while events came; {} of {} rows were stored by then", case.rows(), case.events());
    assert!(restarts > 0 && !consumer.has_ended(), "the consumer waits for the broker");
    consumer.interrupt();
    let (messages, again) = case.assert_order();
    assert_eq!((messages, again), (case.events(), 0), "the producer is idempotent");
    case.finish(&[]);
}

#[test]
fn a_table_that_is_away_slow_or_failing_midway_ends_up_whole() {
    let (_, long) = rounds(1);
    let clickhouse = Server::clickhouse();
    let case = Case::new((shared().0, &clickhouse), "away", 4, "email --seed 10 -d 40 -n 60");
    case.publish();
    let mut consumer = case.consumer(&["--once", "--batch-events", "200"]);
    let (away, pause) = (Duration::from_secs(if long { 60 } else { 2 }), Duration::from_secs(2));
    for (line, lasts) in [("slow 0.2", pause), ("fail 3", pause), ("refuse 3", pause), ("down", away), ("up", pause), ("slow 0", pause)] {
        clickhouse.tell(line);
        sleep(lasts);
    }
    consumer.succeed();
    case.finish(&[]);
}
