use super::*;
use crate::embedded::EmbeddedLog;
use crate::identity::IdentityDatabase;
use crate::log::{Consumer, TOPIC};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tempfile::{TempDir, tempdir};

const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";

/// A connector over an embedded log.
struct Bench {
    connector: Connector,
    log: EmbeddedLog,
    directory: TempDir,
}

impl Bench {
    fn new(ring: KeyRing) -> Self {
        let directory = tempdir().unwrap();
        let log = EmbeddedLog::open(directory.path(), TOPIC, 3).unwrap();
        let connector = Self::connector(&directory, Arc::new(log.clone()), ring);
        Self { connector, log, directory }
    }

    fn connector(directory: &TempDir, log: Arc<dyn Producer>, ring: KeyRing) -> Connector {
        let identities = IdentityDatabase::open(directory.path(), None).unwrap();
        let ledger = Ledger::open(directory.path(), &ring).unwrap();
        Connector::new(log, Arc::new(identities), ring, ledger)
    }

    /// Every event in the log, in the order of each partition.
    fn events(&self) -> Vec<Event<'static>> {
        let messages = self.log.consumer("test").unwrap().poll(100_000, Duration::ZERO).unwrap();
        messages.into_iter().map(|message| Event::from_slice(&message.value.unwrap()).unwrap().into_owned()).collect()
    }

    fn send(&self, body: Value) -> Result<Receipt, Rejection> {
        let drafts = Drafts::of_events(body.into(), self.connector.ring())?;
        self.connector.submit(&Request { purpose: "test".into(), ..Request::default() }, |_| Ok(drafts))
    }

    fn webhook(&self, provider: &str, body: Value) -> Result<Receipt, Rejection> {
        let drafts = webhooks::read(provider, (body, 0), self.connector.ring(), 1_000)?;
        self.connector.submit(&Request { purpose: "webhook".into(), ..Request::default() }, |_| Ok(drafts))
    }
}

fn keyed(key: &str) -> Request {
    Request { key: Some(key.to_owned()), purpose: "test".to_owned(), ..Request::default() }
}

fn visit(number: u32, address: &str) -> Value {
    json!({
        "event_id": format!("018cc251-f400-7cde-8f00-{number:012x}"), "event_type": "site_visit", "timestamp": "2026-01-31T09:15:00.123Z",
        "esp": "internal", "recipient_email": address, "campaign_id": "visits", "campaign_name": "Visits", "source": "website",
    })
}

fn problems(rejection: Result<Receipt, Rejection>) -> Vec<(usize, String, String)> {
    let Err(Rejection::Invalid(problems)) = rejection else { panic!("{rejection:?}") };
    problems.into_iter().map(|problem| (problem.item, problem.field, problem.reason)).collect()
}

#[test]
fn what_is_generated_is_the_scenarios_stream_up_to_now() {
    let bench = Bench::new(KeyRing::synthetic());
    let before = time::now();
    let connector = &bench.connector;
    let receipt = connector.submit(&keyed("a"), |moment| connector.mock().generate(3_000, moment)).unwrap();
    assert_eq!((receipt.accepted, receipt.published, receipt.duplicates), (3_000, 3_000, 0));
    let events = bench.events();
    assert_eq!(events.len(), 3_000);
    assert!(events.iter().all(|event| event.timestamp <= time::now() && event.ingested_at >= Some(before)));
    // 350 users make some 800 events a day, so the last 3,000 are of the last days.
    assert!(events.iter().all(|event| event.timestamp.0 > before.0 - 8 * populace_core::time::DAY));
    let mut of_person: BTreeMap<&str, Vec<&Event<'_>>> = BTreeMap::new();
    for event in &events {
        of_person.entry(&event.recipient_id).or_default().push(event);
    }
    assert!(of_person.len() > 300, "{}", of_person.len());
    for (recipient, events) in of_person {
        let number: u64 = recipient.strip_prefix("synth_user_").unwrap().parse().unwrap();
        let address = crate::identity::Identifier::Email(format!("user{number}@example.com"));
        let token = connector.ring().token(&address).unwrap();
        assert!(events.iter().all(|event| event.universal_id == token.base_id && event.recipient_email_hash == token.hash));
        assert!(events.is_sorted_by_key(|event| event.timestamp));
    }

    // The same key again publishes nothing; the same key for something else is refused.
    let again = connector.submit(&keyed("a"), |_| panic!("it was done")).unwrap();
    assert_eq!(again, Receipt { replayed: true, ..receipt });
    let other = Request { fingerprint: [1; 32], ..keyed("a") };
    assert!(matches!(connector.submit(&other, |_| panic!("it is refused")), Err(Rejection::KeyReused)));
    assert_eq!(bench.log.published().unwrap(), 3_000);
    for count in [0, 10_001] {
        let made = connector.submit(&keyed("b"), |moment| connector.mock().generate(count, moment));
        assert!(matches!(&made, Err(Rejection::Malformed(told)) if told.starts_with("count: must be from 1 to 10000")), "{made:?}");
    }
}

#[test]
fn a_journey_is_four_events_of_one_message() {
    let bench = Bench::new(KeyRing::synthetic());
    let connector = &bench.connector;
    let mut known: HashSet<u128> = HashSet::new();
    for user in ["synth_user_01007", "user1007@example.com", "customer 17", "anybody@example.org"] {
        let receipt = connector.submit(&keyed(user), |moment| connector.mock().journey(user, moment)).unwrap();
        assert_eq!(receipt.published, 4, "{user}");
        let mut journey: Vec<Event<'_>> = bench.events().into_iter().filter(|event| known.insert(event.event_id.to_u128())).collect();
        journey.sort_by_key(|event| event.timestamp);
        let kinds: Vec<&str> = journey.iter().map(|event| event.event_type.name()).collect();
        assert_eq!(kinds, ["sent", "delivered", "opened", "clicked"], "{user}");
        assert!(journey.iter().all(|event| event.message_id == journey[0].message_id), "{user}");
    }
    let events = bench.events();
    let ids = |recipient: &str| events.iter().filter(|event| event.recipient_id == recipient).count();
    assert_eq!((ids("synth_user_01007"), ids("customer 17")), (8, 4));
    let unnamed = events.iter().find(|event| event.recipient_id.starts_with("sf_")).unwrap();
    assert_eq!(unnamed.recipient_id, unnamed.universal_id);
}

#[test]
fn one_problem_rejects_the_batch_and_nothing_is_published_or_remembered() {
    let bench = Bench::new(KeyRing::synthetic());
    let mut second = visit(2, "user2000@example.com");
    second["timestamp"] = json!("now");
    second["plan"] = json!("paid");
    let batch = json!([visit(1, "user2000@example.com"), second, visit(3, "ada@lovelace.org"), 7]);
    let told = problems(bench.send(batch));
    let fields: Vec<(usize, &str)> = told.iter().map(|(item, field, _)| (*item, field.as_str())).collect();
    assert_eq!(fields, [(1, "timestamp"), (1, "plan"), (2, "recipient_email"), (3, "")]);
    assert!(told[2].2.contains("--identity-key-file") && !told[2].2.contains("lovelace"), "{told:?}");
    assert_eq!(bench.log.published().unwrap(), 0);
    assert_eq!(IdentityDatabase::open(bench.directory.path(), None).unwrap().counts().unwrap(), [0, 0, 0]);

    let mut both = visit(1, "user2000@example.com");
    both["universal_id"] = json!("sf_zibadpwptzraqjc5y2s24jmkdn");
    assert_eq!(problems(bench.send(both))[0].1, "universal_id");
    assert!(matches!(bench.send(json!([])), Err(Rejection::Malformed(_))));
    assert!(matches!(bench.send(json!("x")), Err(Rejection::Malformed(_))));
    let many: Vec<Value> = (0..1_001).map(|number| visit(number, "user2000@example.com")).collect();
    assert!(matches!(bench.send(many.into()), Err(Rejection::Malformed(told)) if told.contains("at most 1000")));
}

#[test]
fn an_event_is_published_once_however_many_send_it_at_once() {
    let bench = Bench::new(KeyRing::synthetic());
    let batches: Vec<Value> =
        (0..8).map(|first| (first..first + 20).map(|number| visit(number, "user2000@example.com")).collect::<Vec<_>>().into()).collect();
    let (published, accepted) = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).flat_map(|_| &batches).map(|batch| scope.spawn(|| bench.send(batch.clone()).unwrap())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).fold((0, 0), |sum, one| (sum.0 + one.published, sum.1 + one.accepted))
    });
    assert_eq!((published, accepted), (27, 4 * 8 * 20));
    let mut ids: Vec<String> = bench.events().iter().map(|event| event.event_id.to_string()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!((ids.len(), bench.log.published().unwrap()), (27, 27));
    let twice = bench.send(json!([visit(90, "user2000@example.com"), visit(90, "user2000@example.com")])).unwrap();
    assert_eq!((twice.accepted, twice.published, twice.duplicates), (2, 1, 1));
}

#[test]
fn one_key_at_once_is_one_request() {
    let bench = Bench::new(KeyRing::synthetic());
    let connector = &bench.connector;
    let receipts: Vec<Receipt> = std::thread::scope(|scope| {
        let send = || connector.submit(&keyed("k"), |moment| connector.mock().generate(10, moment)).unwrap();
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(send)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(receipts.iter().filter(|receipt| !receipt.replayed).count(), 1);
    assert!(receipts.iter().all(|receipt| receipt.published == 10 && receipt.seed == receipts[0].seed));
    assert_eq!(bench.log.published().unwrap(), 10);
}

/// A log that keeps what it is given and then says that it does not know.
struct Doubtful(EmbeddedLog, AtomicBool);

impl Producer for Doubtful {
    fn publish(&self, records: &[Record]) -> Result<(), FlowError> {
        self.0.publish(records)?;
        if self.1.swap(false, Ordering::Relaxed) { Err(FlowError::Unavailable("no acknowledgement".into())) } else { Ok(()) }
    }

    fn ready(&self) -> Result<(), FlowError> {
        self.0.ready()
    }
}

#[test]
fn a_request_that_is_sent_again_under_its_key_makes_the_same_events() {
    let bench = Bench::new(KeyRing::synthetic());
    let doubtful = Arc::new(Doubtful(bench.log.clone(), AtomicBool::new(true)));
    let connector = Bench::connector(&bench.directory, doubtful, KeyRing::synthetic());
    let send = || connector.submit(&keyed("k"), |moment| connector.mock().generate(50, moment));
    assert!(matches!(send(), Err(Rejection::Failed(error)) if error.is_transient()));
    std::thread::sleep(Duration::from_millis(5));
    assert_eq!(send().unwrap().published, 50);
    // The log has them twice; by their ids the table will not.
    let events = bench.events();
    let ids: HashSet<u128> = events.iter().map(|event| event.event_id.to_u128()).collect();
    assert_eq!((events.len(), ids.len()), (100, 50));
}

#[test]
fn an_event_without_an_id_gets_one_under_its_key() {
    let bench = Bench::new(KeyRing::synthetic());
    let mut event = visit(1, "user2000@example.com");
    event.as_object_mut().unwrap().remove("event_id");
    let send = |key| bench.connector.submit(&keyed(key), |_| Drafts::of_events(event.clone().into(), bench.connector.ring())).unwrap();
    assert_eq!((send("a").published, send("a").published, send("b").published), (1, 1, 1));
    assert_eq!(bench.log.published().unwrap(), 2);
}

#[test]
fn sendgrids_events_become_ours_and_no_address_is_left() {
    let bench = Bench::new(KeyRing::new(&[("2026-01", KEY)]).unwrap());
    let one = |event: &str, id: &str| {
        json!({ "email": "Ada@Lovelace.org", "timestamp": 1_769_850_900, "smtp-id": "<14c5@ismtpd-555>", "event": event, "category": ["news", "x"],
            "sg_event_id": id, "sg_message_id": "14c5d75ce93.dfd.64b469.filter0001.16648.5515E0B88.0",
            "url": "https://shop.example/?mail=ada%40lovelace.org", "useragent": "Mozilla/5.0", "ip": "203.0.113.9", "reason": "x" })
    };
    let body = json!([
        one("processed", "1"),
        one("delivered", "2"),
        one("open", "3"),
        one("click", "4"),
        one("click", "4"),
        one("spamreport", "5"),
        one("group_unsubscribe", "6"),
        one("bounce", "7"),
        one("teleported", "8"),
    ]);
    let receipt = bench.webhook("sendgrid", body.clone()).unwrap();
    assert_eq!((receipt.accepted, receipt.published, receipt.duplicates), (8, 7, 1));
    let ignored: Vec<(usize, &str)> = receipt.ignored.iter().map(|ignored| (ignored.item, ignored.reason.as_str())).collect();
    assert_eq!(ignored, [(8, "`teleported` is no event of mail")]);
    let events = bench.events();
    let kinds: Vec<&str> = events.iter().map(|event| event.event_type.name()).collect();
    assert_eq!(kinds, ["sent", "delivered", "opened", "clicked", "complaint", "unsubscribe_request", "bounced"]);
    let clicked = &events[3];
    assert_eq!((clicked.campaign_id.as_ref(), clicked.click_url.as_deref()), ("news", Some("[address removed]")));
    assert_eq!((clicked.ip_address.as_deref(), clicked.esp.as_ref()), (Some("203.0.113.9"), "sendgrid"));
    assert!(events[..4].iter().all(|event| event.message_id.is_some() && event.message_id == events[0].message_id));
    let id = bench.connector.ring().token(&crate::identity::Identifier::Email("ada@lovelace.org".into())).unwrap().base_id;
    assert!(events.iter().all(|event| event.universal_id == id && event.recipient_id == id));
    assert_eq!(bench.webhook("sendgrid", body).unwrap().published, 0);

    for file in std::fs::read_dir(bench.directory.path()).unwrap() {
        let path = file.unwrap().path();
        let bytes = std::fs::read(&path).unwrap().to_ascii_lowercase();
        assert!(!bytes.windows(8).any(|window| window == b"lovelace"), "{}", path.display());
    }
    let receipt = bench.webhook("sendgrid", json!([{ "event": "open", "email": "ada" }, { "email": "a@b.example" }])).unwrap();
    let fields: Vec<(usize, &str)> = receipt.problems.iter().map(|problem| (problem.item, problem.field.as_str())).collect();
    assert_eq!((receipt.accepted, receipt.dead_letters, fields), (0, 2, vec![(0, "timestamp"), (1, "event")]));
}

#[test]
fn klaviyos_events_become_ours_and_link_what_belongs_together() {
    let bench = Bench::new(KeyRing::new(&[("2026-01", KEY)]).unwrap());
    let one = |topic: &str, id: &str, email: Value| {
        json!({
            "topic": format!("event:klaviyo.{topic}"), "external_id": id,
            "payload": {
                "data": {
                    "type": "event", "id": id,
                    "attributes": {
                        "datetime": "2026-01-31T09:15:00.1234+00:00", "timestamp": 1_769_850_900,
                        "event_properties": { "$message": "M1", "Campaign Name": "Spring", "Subject": "Hello, ada@lovelace.org", "URL": "https://shop.example/" },
                    },
                    "relationships": { "profile": { "data": { "type": "profile", "id": "01P" } } },
                },
                "included": [{ "type": "profile", "id": "01P", "attributes": { "email": email, "phone_number": "+442079460123" } }],
            },
        })
    };
    // The first two do not tell the address; what is linked later does not change what was published.
    let body = json!({ "data": [
        one("sent_email", "1", Value::Null), one("email_delivered", "2", json!("ada@lovelace.org")), one("opened_email", "3", json!("ada@lovelace.org")),
        one("clicked_email", "4", json!("ada@lovelace.org")), one("bounced_email", "5", json!("ada@lovelace.org")),
    ] });
    let receipt = bench.webhook("klaviyo", body).unwrap();
    assert_eq!((receipt.published, receipt.ignored.len()), (5, 0));
    let events = bench.events();
    let find = |kind: &str| events.iter().find(|event| event.event_type.name() == kind).unwrap();
    let address = bench.connector.ring().token(&crate::identity::Identifier::Email("ada@lovelace.org".into())).unwrap();
    assert_eq!(find("clicked").universal_id, address.base_id);
    assert_eq!(find("clicked").recipient_email_hash, address.hash);
    assert_eq!(find("clicked").timestamp, time::parse("2026-01-31T09:15:00.123Z").unwrap());
    assert_eq!(find("opened").subject.as_deref(), Some("[address removed]"));
    assert!(events.iter().all(|event| event.message_id == events[0].message_id && event.campaign_name == "Spring"));
    let person = bench.connector.identities().person(&find("sent").universal_id).unwrap().unwrap();
    assert_eq!((person.universal_id, person.members.len()), (address.base_id, 3));
    assert!(matches!(bench.webhook("mailchimp", json!({})), Err(Rejection::Missing(_))));
    assert!(matches!(bench.webhook("klaviyo", json!([])), Err(Rejection::Malformed(_))));
}
