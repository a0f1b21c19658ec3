use super::bots::FIELD;
use super::*;
use crate::embedded::{EmbeddedConsumer, EmbeddedLog, EmbeddedTable};
use crate::event::Event;
use crate::log::{Committed, Producer, Record, TOPIC};
use crate::table::{DeadLetter, Inserted};
use populace_core::email::Uuid;
use serde_json::json;
use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::thread::sleep;
use tempfile::{TempDir, tempdir};

const QUICK: Limits = Limits { messages: 40, bytes: 1 << 20, wait: Duration::from_millis(1), timeout: Duration::from_secs(5) };

/// Event `number` of person `person`.
fn event(number: u32, person: u32) -> Event<'static> {
    let letters = "abcdefghijklmnopqrstuvwxyz234567";
    let digit = |place: u32| letters.chars().nth((person >> (5 * place) & 31) as usize).unwrap();
    let id: String = (0..26).map(digit_or_a(&digit)).collect();
    let event = json!({
        "event_id": format!("018cc251-f400-7cde-8f00-{number:012x}"), "event_type": "site_visit", "timestamp": "2026-01-31T09:15:00.123Z",
        "esp": "internal", "recipient_id": format!("r{person}"), "universal_id": format!("sf_{id}"),
        "recipient_email_hash": "0".repeat(64), "campaign_id": "visits", "campaign_name": "Visits", "source": "website",
        "metadata": { "visit": true },
    });
    Event::from_slice(event.to_string().as_bytes()).unwrap().into_owned()
}

fn digit_or_a(digit: &impl Fn(u32) -> char) -> impl Fn(u32) -> char + '_ {
    move |place| if place < 6 { digit(place) } else { 'a' }
}

fn record(event: &Event<'_>) -> Record {
    Record { key: event.key().to_vec(), value: event.to_json() }
}

struct World {
    _directory: TempDir,
    log: EmbeddedLog,
    table: EmbeddedTable,
}

fn world() -> World {
    let directory = tempdir().unwrap();
    let log = EmbeddedLog::open(directory.path(), TOPIC, 4).unwrap();
    let table = EmbeddedTable::open(directory.path()).unwrap();
    World { _directory: directory, log, table }
}

impl World {
    /// Consumes what there is, with a table that may fail.
    fn consume(&self, table: &dyn EventTable) -> Result<Counts, FlowError> {
        let mut consumer = self.log.consumer("readers")?;
        let stop = AtomicBool::new(false);
        Consume::new(&mut consumer, table, &self.table, QUICK, &stop).run(true, &mut Silent)
    }
}

#[test]
fn every_message_is_stored_known_or_dead() {
    let world = world();
    let mut records: Vec<Record> = (0..300).map(|number| record(&event(number, number % 7))).collect();
    // Everything twice, within batches and across them, and messages that are none.
    records.extend(records.clone());
    for number in 0..25 {
        records.insert(number * 20, Record { key: format!("k{number}").into(), value: format!("{{\"poison\": {number}").into() });
    }
    world.log.publish(&records).unwrap();
    let counts = world.consume(&world.table).unwrap();
    assert_eq!((counts.read, counts.stored, counts.known, counts.dead), (625, 300, 300, 25));
    assert!(counts.balanced() && counts.batches >= 16, "{counts:?}");
    assert_eq!((EventTable::count(&world.table).unwrap(), DeadLetters::count(&world.table).unwrap()), (300, 25));
    assert_eq!(world.consume(&world.table).unwrap(), Counts::default());
}

/// A table that fails where it is told to, before or after it has stored.
struct Failing<'a> {
    table: &'a EmbeddedTable,
    at: u64,
    before: bool,
    calls: AtomicU64,
    tokens: Mutex<Vec<String>>,
}

impl EventTable for Failing<'_> {
    fn insert(&self, token: &str, events: &[Event<'_>]) -> Result<Inserted, FlowError> {
        self.tokens.lock().unwrap().push(token.to_owned());
        let dies = self.calls.fetch_add(1, Ordering::Relaxed) == self.at;
        if dies && self.before {
            return Err(FlowError::Refused("killed".into()));
        }
        let inserted = self.table.insert(token, events)?;
        if dies { Err(FlowError::Refused("killed".into())) } else { Ok(inserted) }
    }

    fn known(&self, ids: &[Uuid]) -> Result<HashSet<Uuid>, FlowError> {
        self.table.known(ids)
    }

    fn count(&self) -> Result<u64, FlowError> {
        EventTable::count(self.table)
    }

    fn erase(&self, universal_ids: &[String]) -> Result<u64, FlowError> {
        self.table.erase(universal_ids)
    }

    fn ready(&self) -> Result<(), FlowError> {
        Ok(())
    }
}

#[test]
fn a_consumer_that_dies_around_an_insert_takes_up_the_same_batch() {
    for before in [true, false] {
        for at in 0..6 {
            let world = world();
            world.log.publish(&(0..400).map(|number| record(&event(number, number % 11))).collect::<Vec<_>>()).unwrap();
            let failing = Failing { table: &world.table, at, before, calls: AtomicU64::new(0), tokens: Mutex::default() };
            assert!(world.consume(&failing).unwrap_err().to_string().contains("killed"));
            let broken = failing.tokens.lock().unwrap().last().unwrap().clone();
            // More has come since: the bounds of the batch must not move.
            world.log.publish(&(400..500).map(|number| record(&event(number, number % 11))).collect::<Vec<_>>()).unwrap();
            let again = Failing { table: &world.table, at: u64::MAX, before, calls: AtomicU64::new(0), tokens: Mutex::default() };
            let counts = world.consume(&again).unwrap();
            assert!(counts.balanced(), "{counts:?}");
            assert!(again.tokens.lock().unwrap().contains(&broken), "{broken} is not inserted again");
            assert_eq!(EventTable::count(&world.table).unwrap(), 500);
        }
    }
}

#[test]
fn what_is_away_is_waited_for_and_told() {
    struct Away<'a>(&'a EmbeddedTable, AtomicU64);
    impl DeadLetters for Away<'_> {
        fn put(&self, letters: &[DeadLetter]) -> Result<u64, FlowError> {
            if self.1.fetch_add(1, Ordering::Relaxed) < 3 { Err(FlowError::Unavailable("away".into())) } else { self.0.put(letters) }
        }

        fn count(&self) -> Result<u64, FlowError> {
            DeadLetters::count(self.0)
        }
    }
    struct Told(u32);
    impl Witness for Told {
        fn stored(&mut self, _: &Counts) {}

        fn waiting(&mut self, why: &FlowError) {
            assert_eq!(why.to_string(), "away");
            self.0 += 1;
        }

        fn held(&mut self, _: &[i32]) {}
    }
    let world = world();
    world.log.publish(&[Record { key: b"k".into(), value: b"poison".into() }]).unwrap();
    let (away, mut told) = (Away(&world.table, AtomicU64::new(0)), Told(0));
    let mut consumer = world.log.consumer("readers").unwrap();
    let stop = AtomicBool::new(false);
    let counts = Consume::new(&mut consumer, &world.table, &away, QUICK, &stop).run(true, &mut told).unwrap();
    assert_eq!((counts.dead, told.0), (1, 3));
}

/// A member of a group of several: it shares the embedded consumer, and has some partitions of it.
struct Member<'a> {
    shared: &'a Mutex<EmbeddedConsumer>,
    has: &'a Mutex<Vec<i32>>,
    /// So many times it is given nothing although there is something.
    stalled: u32,
    /// Offsets that are gone from the log, or cannot be read.
    gone: std::ops::Range<i64>,
    unreadable: bool,
}

fn member<'a>(shared: &'a Mutex<EmbeddedConsumer>, has: &'a Mutex<Vec<i32>>) -> Member<'a> {
    Member { shared, has, stalled: 0, gone: 0..0, unreadable: false }
}

impl Consumer for Member<'_> {
    fn topic(&self) -> &str {
        TOPIC
    }

    fn partitions(&mut self) -> Result<Vec<i32>, FlowError> {
        self.shared.lock().unwrap().partitions()
    }

    fn assigned(&mut self) -> Result<Vec<i32>, FlowError> {
        Ok(self.has.lock().unwrap().clone())
    }

    fn poll(&mut self, most: usize, wait: Duration) -> Result<Vec<Message>, FlowError> {
        sleep(wait.min(Duration::from_millis(1)));
        if self.stalled > 0 {
            self.stalled -= 1;
            return Ok(Vec::new());
        }
        let (mut shared, has) = (self.shared.lock().unwrap(), self.has.lock().unwrap());
        let mut messages = shared.poll(most, Duration::ZERO)?;
        // What is the others' goes back.
        for message in messages.iter().rev().filter(|message| !has.contains(&message.position.partition)) {
            shared.seek(message.position.partition, message.position.offset)?;
        }
        messages.retain(|message| has.contains(&message.position.partition) && !self.gone.contains(&message.position.offset));
        Ok(messages)
    }

    fn exhausted(&mut self, partition: i32) -> Result<bool, FlowError> {
        Ok(self.stalled == 0 && self.shared.lock().unwrap().exhausted(partition)?)
    }

    fn stuck(&mut self) -> BTreeMap<i32, String> {
        self.has.lock().unwrap().iter().filter(|_| self.unreadable).map(|partition| (*partition, "is broken".to_owned())).collect()
    }

    fn is_unreadable(&mut self, _: i32, from: i64, to: i64) -> bool {
        self.unreadable && from < self.gone.end && self.gone.start < to
    }

    fn seek(&mut self, partition: i32, offset: i64) -> Result<(), FlowError> {
        self.shared.lock().unwrap().seek(partition, offset)
    }

    fn committed(&mut self, partition: i32) -> Result<Committed, FlowError> {
        self.shared.lock().unwrap().committed(partition)
    }

    fn commit(&mut self, partition: i32, offset: i64, pending_end: Option<i64>) -> Result<(), FlowError> {
        self.shared.lock().unwrap().commit(partition, offset, pending_end)
    }

    fn end(&mut self, partition: i32) -> Result<i64, FlowError> {
        self.shared.lock().unwrap().end(partition)
    }
}

/// Keeps which partitions were waited for, and says so.
struct Held<'a>(Vec<Vec<i32>>, &'a AtomicBool);

impl Witness for Held<'_> {
    fn stored(&mut self, _: &Counts) {}

    fn waiting(&mut self, _: &FlowError) {}

    fn held(&mut self, partitions: &[i32]) {
        self.0.push(partitions.to_vec());
        self.1.store(true, Ordering::Relaxed);
    }
}

#[test]
fn once_is_the_whole_topic_whoever_stores_it() {
    let world = world();
    world.log.publish(&(0..400).map(|number| record(&event(number, number % 61))).collect::<Vec<_>>()).unwrap();
    let consumer = Mutex::new(world.log.consumer("readers").unwrap());
    let (ours, theirs) = (Mutex::new(vec![0, 1]), Mutex::new(vec![2, 3]));
    let (stop, go_on) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            while !go_on.load(Ordering::Relaxed) {
                sleep(Duration::from_millis(1));
            }
            Consume::new(&mut member(&consumer, &theirs), &world.table, &world.table, QUICK, &stop).run(false, &mut Silent).unwrap()
        });
        // The other begins only when it is told that it is waited for.
        let mut told = Held(Vec::new(), &go_on);
        let never = AtomicBool::new(false);
        let counts = Consume::new(&mut member(&consumer, &ours), &world.table, &world.table, QUICK, &never).run(true, &mut told).unwrap();
        assert_eq!(told.0[0], [2, 3]);
        assert_eq!(EventTable::count(&world.table).unwrap(), 400);
        stop.store(true, Ordering::Relaxed);
        let others = other.join().unwrap();
        assert!(counts.stored > 0 && others.stored > 0 && counts.stored + others.stored == 400, "{counts:?} {others:?}");
    });
}

#[test]
fn once_ends_with_partitions_that_come_from_a_member_that_died() {
    let world = world();
    world.log.publish(&(0..400).map(|number| record(&event(number, number % 61))).collect::<Vec<_>>()).unwrap();
    let (consumer, has) = (Mutex::new(world.log.consumer("readers").unwrap()), Mutex::new(vec![0]));
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            sleep(Duration::from_millis(100));
            *has.lock().unwrap() = vec![0, 1, 2, 3];
        });
        let counts = Consume::new(&mut member(&consumer, &has), &world.table, &world.table, QUICK, &stop).run(true, &mut Silent).unwrap();
        assert_eq!(counts.stored, 400);
    });
}

#[test]
fn once_gives_up_on_a_member_that_does_not_go_on_and_is_taken_up() {
    let world = world();
    world.log.publish(&(0..100).map(|number| record(&event(number, number % 61))).collect::<Vec<_>>()).unwrap();
    let (consumer, has) = (Mutex::new(world.log.consumer("readers").unwrap()), Mutex::new(vec![0, 2]));
    let (stop, limits) = (AtomicBool::new(false), Limits { timeout: Duration::from_millis(300), ..QUICK });
    let ended = Consume::new(&mut member(&consumer, &has), &world.table, &world.table, limits, &stop).run(true, &mut Silent);
    let told = ended.unwrap_err().to_string();
    assert!(told.starts_with("email-events: partitions 1, 3 did not go on for 0 s: another member of the group"), "{told}");
    assert!(EventTable::count(&world.table).unwrap() > 0);
    world.consume(&world.table).unwrap();
    assert_eq!(EventTable::count(&world.table).unwrap(), 100);
}

#[test]
fn a_batch_whose_bounds_are_given_waits_for_all_its_records() {
    let world = world();
    world.log.publish(&(0..100).map(|number| record(&event(number, 1))).collect::<Vec<_>>()).unwrap();
    let mut consumer = world.log.consumer("readers").unwrap();
    let partition = (0..4).find(|partition| consumer.end(*partition).unwrap() == 100).unwrap();
    consumer.commit(partition, 0, Some(100)).unwrap();
    let (consumer, has) = (Mutex::new(consumer), Mutex::new(vec![0, 1, 2, 3]));
    let table = Failing { table: &world.table, at: u64::MAX, before: true, calls: AtomicU64::new(0), tokens: Mutex::default() };
    let stop = AtomicBool::new(false);
    let mut slow = Member { stalled: 60, ..member(&consumer, &has) };
    Consume::new(&mut slow, &table, &world.table, QUICK, &stop).run(true, &mut Silent).unwrap();
    assert_eq!(*table.tokens.lock().unwrap(), [token(TOPIC, partition, 0, 100)]);
    assert_eq!(EventTable::count(&world.table).unwrap(), 100);
}

#[test]
fn records_that_are_gone_from_the_log_hold_nobody_up() {
    let world = world();
    world.log.publish(&(0..100).map(|number| record(&event(number, 1))).collect::<Vec<_>>()).unwrap();
    let mut consumer = world.log.consumer("readers").unwrap();
    let partition = (0..4).find(|partition| consumer.end(*partition).unwrap() == 100).unwrap();
    consumer.commit(partition, 0, Some(60)).unwrap();
    let (consumer, has, stop) = (Mutex::new(consumer), Mutex::new(vec![0, 1, 2, 3]), AtomicBool::new(false));
    // From amid the batch that was begun to the end of the partition.
    let mut holed = Member { gone: 55..100, ..member(&consumer, &has) };
    let counts = Consume::new(&mut holed, &world.table, &world.table, QUICK, &stop).run(true, &mut Silent).unwrap();
    assert!(counts.balanced() && counts.stored == 55, "{counts:?}");
    assert_eq!(consumer.lock().unwrap().committed(partition).unwrap(), Committed { offset: 100, pending_end: None });
}

#[test]
fn what_cannot_be_read_is_not_passed_over_and_is_read_when_it_can_be() {
    let world = world();
    world.log.publish(&(0..100).map(|number| record(&event(number, 1))).collect::<Vec<_>>()).unwrap();
    let mut consumer = world.log.consumer("readers").unwrap();
    let partition = (0..4).find(|partition| consumer.end(*partition).unwrap() == 100).unwrap();
    let (consumer, has, stop) = (Mutex::new(consumer), Mutex::new(vec![partition]), AtomicBool::new(false));
    let mut broken = Member { gone: 50..60, unreadable: true, ..member(&consumer, &has) };
    let limits = Limits { timeout: Duration::from_millis(500), ..QUICK };
    let ended = Consume::new(&mut broken, &world.table, &world.table, limits, &stop).run(true, &mut Silent);
    let told = ended.unwrap_err().to_string();
    assert!(told.contains(&format!("partition {partition} did not go on for 0 s: partition {partition}: is broken; what was")), "{told}");
    assert_eq!(EventTable::count(&world.table).unwrap(), 50);
    assert_eq!(consumer.lock().unwrap().committed(partition).unwrap(), Committed { offset: 50, pending_end: None });
    consumer.lock().unwrap().seek(partition, 50).unwrap();
    Consume::new(&mut member(&consumer, &has), &world.table, &world.table, QUICK, &stop).run(true, &mut Silent).unwrap();
    assert_eq!(EventTable::count(&world.table).unwrap(), 100);
}

#[test]
fn suspects_are_marked_and_kept() {
    let text = |event: &mut Event<'_>, agent: &str, address: &str| {
        event.user_agent = Some(agent.to_owned().into());
        event.ip_address = Some(address.to_owned().into());
    };
    let mut opened = event(1, 1);
    opened.event_type = populace_core::email::EventType::Opened;
    text(&mut opened, "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0", "203.0.113.7");
    assert_eq!(suspicions(&opened, None), [""; 0]);
    assert_eq!(suspicions(&opened, Some(opened.timestamp.plus(-1_999_000))), ["opened_within_2_seconds"]);
    assert_eq!(suspicions(&opened, Some(opened.timestamp.plus(-2_000_000))), [""; 0]);
    text(&mut opened, "Mimecast/1.0", "64.235.159.255");
    assert_eq!(suspicions(&opened, None), ["scanner_agent", "scanner_address"]);
    text(&mut opened, "", "64.235.160.0");
    assert_eq!(suspicions(&opened, None), [""; 0]);
    text(&mut opened, "", "::ffff:148.163.128.1");
    let found = suspicions(&opened, None);
    bots::mark(&mut opened, &found);
    assert_eq!(opened.metadata[FIELD], json!(["scanner_address"]));
    assert_eq!(opened.metadata["visit"], json!(true));
}
