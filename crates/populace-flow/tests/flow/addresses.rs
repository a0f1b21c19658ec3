//! No address is stored, published or answered, whatever its disguise and wherever it comes in.

use crate::disguises::{Draws, disguise};
use populace_flow::client::{Answer, post, send};
use populace_flow::features::{self, Source};
use populace_flow::http::{Access, Bound, Limits, Running};
use populace_flow::identity::KeyRing;
use populace_flow::log::{Producer, Record};
use populace_flow::service::{Background, Embedded};
use populace_flow::table::{DeadLetters, EventTable};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Addresses under disguises, of the long form and of the short one.
const DISGUISES: [usize; 2] = [10_000, 500];
/// Set: the long form, in which every disguise comes in everywhere.
const LONG: &str = "POPULACE_FAULT_ROUNDS";
/// Items of a request.
const TOGETHER: usize = 100;
/// Bytes by which an address or a disguise is found again.
const WINDOW: usize = 12;

/// What must not be found again: beginnings and ends of addresses and disguises, as they are and as JSON writes them.
#[derive(Default)]
struct Forbidden(HashSet<Vec<u8>>);

impl Forbidden {
    fn add(&mut self, text: &str) {
        let json = json!(text).to_string();
        for form in [text, json.trim_matches('"')] {
            let bytes = form.as_bytes();
            self.0.extend([&bytes[..WINDOW], &bytes[bytes.len() - WINDOW..]].map(<[u8]>::to_vec));
        }
    }

    fn find<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        bytes.windows(WINDOW).position(|window| self.0.contains(window)).map(|at| &bytes[at.saturating_sub(60)..(at + 90).min(bytes.len())])
    }

    fn check(&self, place: &str, bytes: &[u8]) {
        assert!(self.find(bytes).is_none(), "{place}: {}", String::from_utf8_lossy(self.find(bytes).unwrap()));
    }

    fn check_files(&self, directory: &Path) -> u64 {
        let mut total = 0;
        for entry in std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                total += self.check_files(&entry);
                continue;
            }
            let bytes = std::fs::read(&entry).unwrap();
            total += bytes.len() as u64;
            self.check(&entry.display().to_string(), &bytes);
            #[cfg(unix)]
            if entry.to_string_lossy().contains(".sqlite") {
                let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&entry).unwrap().permissions());
                assert_eq!(mode & 0o077, 0, "{}", entry.display());
            }
        }
        total
    }
}

struct Flow {
    embedded: Arc<Embedded>,
    running: Option<Running>,
    connector: SocketAddr,
    features: SocketAddr,
}

impl Flow {
    fn new(directory: &Path) -> Self {
        let embedded = Arc::new(Embedded::open(directory).unwrap());
        let (access, any) = (Access::open(), SocketAddr::from(([127, 0, 0, 1], 0)));
        let bound = Bound::new(&access, any, Some(any)).unwrap();
        let source = Source::Table(Arc::clone(&embedded.table) as _, Arc::clone(&embedded.identities) as _);
        let ring = KeyRing::new(&[("test", b"a key of at least thirty-two bytes")]).unwrap();
        let limits = Limits { requests_a_second: 1e6, ..Limits::default() };
        let services = embedded.services(ring, access, limits, Some(features::open(source, directory).unwrap())).unwrap();
        let running = Running::start(services, bound).unwrap();
        Self { embedded, connector: running.connector, features: running.features.unwrap(), running: Some(running) }
    }
}

fn visit(number: usize) -> Value {
    json!({
        "event_id": format!("018cc251-f400-7cde-8f00-{number:012x}"), "event_type": "clicked", "timestamp": "2026-01-31T09:15:00.123Z",
        "esp": "klaviyo", "recipient_email": format!("user{number}@example.com"), "campaign_id": "c", "campaign_name": "C", "source": "web",
        "message_id": format!("018cc251-f400-7cde-8f01-{number:012x}"),
    })
}

/// The fields of an event that take text.
const FIELDS: [&str; 14] = [
    "event_type",
    "timestamp",
    "esp",
    "recipient_id",
    "campaign_id",
    "campaign_name",
    "message_id",
    "subject",
    "click_url",
    "bounce_type",
    "user_agent",
    "ip_address",
    "source",
    "universal_id",
];

/// The place of an id that may be any text.
const MESSAGE_ID: usize = 6;

/// An event with a disguise in one of its fields, in its metadata, or as the name of something.
fn event(field: usize, number: usize, text: &str) -> Value {
    let mut event = visit(number);
    match field.checked_sub(FIELDS.len()) {
        None => event[FIELDS[field]] = json!(text),
        Some(0) => event["metadata"] = json!({ "deep": [1, { "er": [text] }] }),
        Some(1) => event["metadata"] = json!({ "deep": { text: 1 } }),
        Some(2) => event["metadata"] = json!({ "url": format!("https://shop.example/?e={text}") }),
        Some(_) => event[text] = json!(1),
    }
    event
}

fn sendgrid(field: usize, number: usize, text: &str) -> Value {
    let mut event = json!({
        "email": format!("user{number}@example.com"), "timestamp": 1_769_850_900, "event": "click", "sg_event_id": format!("e{number}"),
        "sg_message_id": "m", "url": "https://shop.example/", "useragent": "Mozilla/5.0", "category": ["Spring"],
    });
    let fields = ["subject", "url", "useragent", "category", "marketing_campaign_id", "sg_message_id", "sg_event_id", "custom"];
    event[fields[field % fields.len()]] =
        if field.is_multiple_of(2) { json!(text) } else { json!(format!("https://shop.example/?to={text}")) };
    event
}

fn klaviyo(field: usize, number: usize, text: &str) -> Value {
    let mut properties = json!({ "$message": "M1", "Campaign Name": "Spring", "Subject": "Hello", "URL": "https://shop.example/" });
    let names = ["Campaign Name", "Subject", "URL", "$message", "anything"];
    properties[names[field % names.len()]] = json!(text);
    json!({
        "topic": "event:klaviyo.clicked_email",
        "payload": {
            "data": {
                "type": "event", "id": format!("k{number}"),
                "attributes": { "datetime": "2026-01-31T09:15:00.1234+00:00", "timestamp": 1_769_850_900, "event_properties": properties },
                "relationships": { "profile": { "data": { "type": "profile", "id": format!("P{number}") } } },
            },
            "included": [{ "type": "profile", "id": format!("P{number}"), "attributes": { "email": format!("user{number}@example.com") } }],
        },
    })
}

/// Text as a part of a URL: with what may not be there percent-encoded.
fn in_url(text: &str) -> String {
    text.bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() || b"-._~@%+=&:;,!$'()*".contains(&byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

/// Requests that have a disguise in their head, their path, their query, or a body of their own.
fn others(flow: &Flow, number: usize, text: &str) -> Vec<Answer> {
    let json = [("Content-Type", "application/json")];
    let url = in_url(text);
    let get = |to: SocketAddr, path: &str| send(to, "GET", path, &[], b"").unwrap();
    let body = |path: &str, body: Value| post(flow.connector, path, &body.to_string()).unwrap();
    let mut answers = vec![
        get(flow.connector, &format!("/api/identity/persons/{url}")),
        get(flow.connector, &format!("/{url}")),
        get(flow.features, &format!("/features/{url}")),
        get(flow.connector, &format!("/health?{url}={url}")),
        send(flow.connector, "POST", &format!("/api/webhooks/{url}"), &json, b"{}").unwrap(),
        send(flow.connector, "POST", &format!("/api/mock/events/generate?count=1&seed={url}"), &json, b"").unwrap(),
        send(flow.connector, "POST", &format!("/api/mock/events/generate?{url}=1"), &json, b"").unwrap(),
        send(flow.connector, "DELETE", &format!("/api/identity/persons/{url}"), &[], b"").unwrap(),
        body("/api/identity/resolve", json!({ "identifiers": [{ "provider": text, "id": text }] })),
        body("/api/identity/resolve", json!({ "identifiers": [{ "email": text }] })),
        body("/api/identity/resolve", json!({ "identifiers": [{ text: text }] })),
        body("/api/identity/links", json!({ "ids": [text, text], "source": "test" })),
        body("/api/identity/links", json!({ "ids": ["sf_zibadpwptzraqjc5y2s24jmkdn", "sf_zibadpwptzraqjc5y2s24jmkdm"], "source": text })),
        body("/api/mock/events/synthetic", json!(text)),
    ];
    if text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
        let head = [json[0], ("Idempotency-Key", text), ("User-Agent", text), ("X-From", text), ("Authorization", text)];
        let sound = visit(1_000_000 + number).to_string();
        answers.push(send(flow.connector, "POST", "/api/mock/events/synthetic", &head, sound.as_bytes()).unwrap());
    }
    answers
}

#[test]
fn no_address_is_stored_published_or_answered_under_any_disguise() {
    let long = std::env::var_os(LONG).is_some();
    let directory = tempfile::tempdir().unwrap();
    let mut flow = Flow::new(directory.path());
    let mut draws = Draws(10);
    let mut forbidden = Forbidden::default();
    let count = DISGUISES[usize::from(!long)];
    let disguises: Vec<String> = (0..count)
        .map(|number| {
            let (address, text, _) = disguise(&mut draws, number);
            forbidden.add(&address);
            forbidden.add(&text);
            text
        })
        .collect();
    let background = Background::start(&flow.embedded);
    let (mut tried, mut accepted) = (0, 0);
    for (group, texts) in disguises.chunks(TOGETHER).enumerate() {
        for turn in 0..if long { FIELDS.len() + 4 } else { 1 } {
            let items = |make: fn(usize, usize, &str) -> Value, fields: usize| -> Vec<Value> {
                texts
                    .iter()
                    .enumerate()
                    .map(|(index, text)| make((group + index + turn) % fields, group * TOGETHER + index + turn * count, text))
                    .collect()
            };
            let events = post(flow.connector, "/api/mock/events/synthetic", &json!(items(event, FIELDS.len() + 4)).to_string()).unwrap();
            assert_eq!(events.status, 422, "{}", events.body);
            // Of an id of a message a key is made under the ring's, whatever it holds.
            let keyed = (0..texts.len()).filter(|index| (group + index + turn) % (FIELDS.len() + 4) == MESSAGE_ID).count();
            let errors = events.json();
            let mut refused: Vec<u64> = errors["errors"].as_array().unwrap().iter().map(|error| error["item"].as_u64().unwrap()).collect();
            refused.dedup();
            assert_eq!(refused.len(), texts.len() - keyed, "{errors}");
            let mails = post(flow.connector, "/api/webhooks/sendgrid", &json!(items(sendgrid, 8)).to_string()).unwrap();
            let profiles = post(flow.connector, "/api/webhooks/klaviyo", &json!({ "data": items(klaviyo, 5) }).to_string()).unwrap();
            assert_eq!((mails.status, profiles.status), (202, 202), "{} {}", mails.body, profiles.body);
            // A disguise that is a provider's id is the same event in every turn.
            let new = |answer: &Answer| answer.json()["published"].as_u64().unwrap();
            accepted += new(&mails) + new(&profiles);
            for answer in [events, mails, profiles] {
                forbidden.check("answer", answer.body.as_bytes());
            }
            tried += 3 * texts.len();
        }
        for (index, text) in texts.iter().enumerate().filter(|(index, _)| long || index % 10 == 0) {
            for answer in others(&flow, group * TOGETHER + index, text) {
                forbidden.check("answer", answer.body.as_bytes());
                for name in ["Location", "WWW-Authenticate", "Content-Type"] {
                    forbidden.check("head", answer.field(name).unwrap_or_default().as_bytes());
                }
                accepted += answer.json()["published"].as_u64().unwrap_or(0);
                tried += 1;
            }
        }
    }
    let published = flow.embedded.log.published().unwrap();
    let until = Instant::now() + Duration::from_mins(5);
    while EventTable::count(flow.embedded.table.as_ref()).unwrap() < published {
        assert!(Instant::now() < until && !background.has_ended());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(published >= accepted && accepted >= 2 * count as u64, "{published} of {accepted}");
    background.stop().unwrap();
    forbidden.check("metrics", send(flow.connector, "GET", "/metrics", &[], b"").unwrap().body.as_bytes());
    let bytes = forbidden.check_files(directory.path());

    // What others put into the log stays there; of what is not an event no address goes any further.
    let records: Vec<Record> = disguises
        .iter()
        .enumerate()
        .map(|(number, text)| {
            let value = if number % 2 == 0 { text.clone().into_bytes() } else { json!({ "event_type": text }).to_string().into_bytes() };
            Record { key: if number % 3 == 0 { text.clone().into_bytes() } else { b"key".to_vec() }, value }
        })
        .collect();
    records.chunks(TOGETHER).for_each(|some| flow.embedded.log.publish(some).unwrap());
    let background = Background::start(&flow.embedded);
    let until = Instant::now() + Duration::from_mins(5);
    while DeadLetters::count(flow.embedded.table.as_ref()).unwrap() < records.len() as u64 {
        assert!(Instant::now() < until && !background.has_ended());
        std::thread::sleep(Duration::from_millis(50));
    }
    background.stop().unwrap();
    flow.running.take().unwrap().stop();
    let file = rusqlite::Connection::open(directory.path().join("email_events.sqlite")).unwrap();
    let mut query = file.prepare("SELECT key, value, reason FROM dead_letters").unwrap();
    let mut rows = query.query([]).unwrap();
    let mut letters = 0;
    while let Some(row) = rows.next().unwrap() {
        for column in 0..3 {
            let cell = row.get_ref(column).unwrap().as_bytes_or_null().unwrap();
            forbidden.check("dead letters", cell.unwrap_or_default());
        }
        letters += 1;
    }
    assert_eq!(letters, records.len());
    println!(
        "{count} disguises, {tried} places and {} messages: none in {} MiB, in answers, or among dead letters",
        records.len(),
        bytes >> 20
    );
}
