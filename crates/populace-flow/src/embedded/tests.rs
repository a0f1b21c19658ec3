use super::*;
use crate::event::Event;
use crate::log::{Committed, Consumer, DEAD_LETTER_TOPIC, Message, Position, Producer, Record, TOPIC};
use crate::table::{DeadLetter, DeadLetters, EventTable, Inserted};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tempfile::tempdir;

const NOT_LONG: Duration = Duration::from_millis(1);

fn record(key: &str, value: &str) -> Record {
    Record { key: key.into(), value: value.into() }
}

fn event(number: u32) -> Event<'static> {
    let event = json!({
        "event_id": format!("018cc251-f400-7cde-8f00-{number:012x}"), "event_type": "site_visit", "timestamp": "2026-01-31T09:15:00.123Z",
        "esp": "internal", "recipient_id": format!("r{}", number % 3), "universal_id": format!("sf_{}", "abc".repeat(9).split_at(26).0),
        "recipient_email_hash": "0".repeat(64), "campaign_id": "visits", "campaign_name": "Visits", "source": "website",
        "metadata": { "visit": true, "a \"quoted\" key": [1, 2.5, null] },
    });
    Event::from_slice(event.to_string().as_bytes()).unwrap().into_owned()
}

#[test]
fn records_of_a_key_keep_their_order_and_each_is_read_once() {
    let directory = tempdir().unwrap();
    let log = EmbeddedLog::open(directory.path(), TOPIC, 5).unwrap();
    let mut consumer = log.consumer("readers").unwrap();
    assert_eq!(consumer.assigned().unwrap(), [0, 1, 2, 3, 4]);
    assert_eq!(consumer.poll(10, NOT_LONG).unwrap(), []);
    for round in 0..20 {
        let records: Vec<Record> = (0..30).map(|key| record(&format!("k{key}"), &round.to_string())).collect();
        log.publish(&records).unwrap();
    }
    let mut seen: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    let mut partitions: BTreeMap<Vec<u8>, i32> = BTreeMap::new();
    let mut rows = 0;
    loop {
        let messages = consumer.poll(17, NOT_LONG).unwrap();
        assert!(messages.len() <= 17);
        if messages.is_empty() {
            break;
        }
        for Message { position, key, value } in messages {
            let (key, value) = (key.unwrap(), value.unwrap());
            assert_eq!(*partitions.entry(key.clone()).or_insert(position.partition), position.partition);
            let round: u8 = String::from_utf8(value).unwrap().parse().unwrap();
            let rounds = seen.entry(key).or_default();
            assert_eq!(rounds.len(), usize::from(round));
            rounds.push(round);
            rows += 1;
        }
    }
    assert_eq!((rows, seen.len(), log.published().unwrap()), (600, 30, 600));
    assert!(partitions.values().collect::<std::collections::BTreeSet<_>>().len() == 5, "{partitions:?}");
}

#[test]
fn a_consumer_waits_for_what_is_published_and_no_longer() {
    let directory = tempdir().unwrap();
    let log = EmbeddedLog::open(directory.path(), TOPIC, 2).unwrap();
    let mut consumer = log.consumer("readers").unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(30));
            log.publish(&[record("k", "1")]).unwrap();
        });
        let start = Instant::now();
        assert_eq!(consumer.poll(9, Duration::from_mins(1)).unwrap().len(), 1);
        assert!(start.elapsed() < Duration::from_secs(30));
    });
    // Another process, which cannot wake this one.
    EmbeddedLog::open(directory.path(), TOPIC, 9).unwrap().publish(&[record("k", "2")]).unwrap();
    assert_eq!(consumer.poll(9, Duration::from_mins(1)).unwrap().len(), 1);
}

#[test]
fn what_was_committed_is_there_for_the_next_consumer_and_the_one_before_must_stop() {
    let directory = tempdir().unwrap();
    let log = EmbeddedLog::open(directory.path(), TOPIC, 1).unwrap();
    log.publish(&[record("k", "1"), record("k", "2"), record("k", "3")]).unwrap();
    let mut first = log.consumer("readers").unwrap();
    assert_eq!(first.committed(0).unwrap(), Committed { offset: 0, pending_end: None });
    first.poll(2, NOT_LONG).unwrap();
    first.commit(0, 0, Some(2)).unwrap();
    assert_eq!(log.lag("readers").unwrap(), 3);

    let mut second = log.consumer("readers").unwrap();
    assert_eq!(second.committed(0).unwrap(), Committed { offset: 0, pending_end: Some(2) });
    assert!(matches!(first.commit(0, 2, None), Err(crate::FlowError::Superseded(_))));
    assert!(matches!(first.poll(2, NOT_LONG), Err(crate::FlowError::Superseded(_))));
    assert_eq!(second.poll(2, NOT_LONG).unwrap().len(), 2);
    second.commit(0, 2, None).unwrap();
    assert_eq!(second.committed(0).unwrap(), Committed { offset: 2, pending_end: None });
    assert_eq!((log.lag("readers").unwrap(), log.lag("others").unwrap(), second.end(0).unwrap()), (1, 3, 3));
    second.seek(0, 1).unwrap();
    assert_eq!(second.poll(9, NOT_LONG).unwrap()[0].position, Position { partition: 0, offset: 1 });
    assert!(second.seek(1, 0).is_err());
}

#[test]
fn erased_records_keep_their_place_and_trimmed_ones_are_those_that_all_have_read() {
    let directory = tempdir().unwrap();
    let log = EmbeddedLog::open(directory.path(), TOPIC, 1).unwrap();
    log.publish(&[record("a", "1"), record("b", "2"), record("a", "3")]).unwrap();
    assert_eq!(log.erase(&[b"a"]).unwrap(), 2);
    let mut consumer = log.consumer("readers").unwrap();
    let values: Vec<Option<Vec<u8>>> = consumer.poll(9, NOT_LONG).unwrap().into_iter().map(|message| message.value).collect();
    assert_eq!(values, [None, Some(b"2".to_vec()), None]);
    assert_eq!(log.trim(Duration::ZERO).unwrap(), 0);
    consumer.commit(0, 2, None).unwrap();
    std::thread::sleep(Duration::from_millis(2));
    assert_eq!(log.trim(Duration::from_hours(1)).unwrap(), 0);
    assert_eq!(log.trim(Duration::ZERO).unwrap(), 2);
    log.publish(&[record("a", "4")]).unwrap();
    assert_eq!(consumer.poll(9, NOT_LONG).unwrap()[0].position, Position { partition: 0, offset: 3 });
}

#[test]
fn an_event_is_in_the_table_once_whatever_is_inserted_again() {
    let directory = tempdir().unwrap();
    let table = EmbeddedTable::open(directory.path()).unwrap();
    let events: Vec<Event<'static>> = (1..=10).map(event).collect();
    assert_eq!(table.insert("t/0/0/6", &events[..6]).unwrap(), Inserted { stored: 6, known: 0, erased: 0 });
    assert_eq!(table.insert("t/0/0/6", &events[..6]).unwrap(), Inserted { stored: 0, known: 6, erased: 0 });
    assert_eq!(table.insert("t/0/4/10", &events[4..]).unwrap(), Inserted { stored: 4, known: 2, erased: 0 });
    assert_eq!(EventTable::count(&table).unwrap(), 10);
    // The same id of another person, at another time; and other events under a token of a log that was there before.
    let mut retold = vec![events[1].clone(), events[2].clone()];
    retold[0].universal_id = format!("sf_{}", "x".repeat(26)).into();
    retold[1].timestamp = retold[1].timestamp.plus(1_000_000);
    assert_eq!(table.insert("t/0/10/12", &retold).unwrap(), Inserted { stored: 0, known: 2, erased: 0 });
    assert_eq!(EventTable::count(&table).unwrap(), 10);
    assert_eq!(table.insert("t/0/0/6", &[event(11)]).unwrap(), Inserted { stored: 1, known: 0, erased: 0 });
    assert_eq!(table.erase(&[event(11).universal_id.into_owned()]).unwrap(), 11);
    assert_eq!(table.insert("t/0/12/22", &events).unwrap(), Inserted { stored: 10, known: 0, erased: 0 });
    let known = table.known(&[events[0].event_id, event(99).event_id]).unwrap();
    assert_eq!(known.into_iter().collect::<Vec<_>>(), [events[0].event_id]);

    let (mut read, mut end) = (Vec::new(), super::table::PageEnd::default());
    loop {
        let (page, last) = table.page(&end, 3).unwrap();
        if page.is_empty() {
            break;
        }
        end = last;
        read.extend(page);
    }
    assert!(read.iter().all(|event| event.ingested_at.is_some()));
    for event in &mut read {
        event.ingested_at = None;
    }
    assert_eq!(read, events);
    assert_eq!(table.of_person(&events[0].universal_id).unwrap().len(), 10);
    assert_eq!(table.erase(&[events[0].universal_id.to_string()]).unwrap(), 10);
    assert_eq!(EventTable::count(&table).unwrap(), 0);
}

#[test]
fn a_dead_letter_is_kept_once_with_its_bytes() {
    let directory = tempdir().unwrap();
    let table = EmbeddedTable::open(directory.path()).unwrap();
    let position = Position { partition: 3, offset: 7 };
    let letter = DeadLetter { topic: DEAD_LETTER_TOPIC.into(), position, key: None, value: vec![0, 255], reason: "is not JSON".into() };
    assert_eq!(table.put(&[letter.clone(), letter.clone()]).unwrap(), 1);
    assert_eq!(table.put(&[letter]).unwrap(), 0);
    assert_eq!(DeadLetters::count(&table).unwrap(), 1);
}

#[test]
fn a_table_from_before_there_were_optional_columns_gets_them() {
    let directory = tempdir().unwrap();
    drop(EmbeddedTable::open(directory.path()).unwrap());
    let path = directory.path().join("email_events.sqlite");
    for column in ["machine_open", "attempt", "response", "link_index"] {
        let drop = format!("ALTER TABLE email_events DROP COLUMN {column}");
        rusqlite::Connection::open(&path).unwrap().execute_batch(&drop).unwrap();
    }
    let table = EmbeddedTable::open(directory.path()).unwrap();
    assert_eq!(table.page(&PageEnd::default(), 10).unwrap().0, []);
    let has = "SELECT count(*) FROM pragma_table_info('email_events') WHERE name IN ('machine_open', 'attempt', 'response', 'link_index')";
    assert_eq!(rusqlite::Connection::open(&path).unwrap().query_row(has, [], |row| row.get(0)), Ok(4));
}

#[test]
fn a_file_of_another_version_is_refused_with_what_to_do() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("email_events.sqlite");
    Store::open(&path, "CREATE TABLE other (x) ;", 7).unwrap();
    let told = EmbeddedTable::open(directory.path()).unwrap_err().to_string();
    assert!(told.contains("schema 7, not 1") && told.contains("choose another directory"), "{told}");
    std::fs::write(directory.path().join("email-events.sqlite"), "text, and no database at all, for longer than a header").unwrap();
    let told = EmbeddedLog::open(directory.path(), TOPIC, 1).unwrap_err().to_string();
    assert!(told.contains("email-events.sqlite: file is not a database"), "{told}");
}
