use populace_flow::client::{Answer, post, send};
use populace_flow::connector::webhooks::PROVIDERS;
use populace_flow::error::FlowError;
use populace_flow::features::{self, Source};
use populace_flow::http::{Access, Bound, Limits, Running, Scope, WebhookKeys};
use populace_flow::identity::KeyRing;
use populace_flow::service::{Background, Embedded};
use populace_flow::table::{DeadLetters, EventTable};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub(super) const TOKENS: [&str; 3] = ["ingest-0123456789abcdef", "generate-0123456789abcdef", "admin-0123456789abcdef"];
pub(super) const EVENTS: &str = "/api/mock/events/synthetic";

pub(super) struct Flow {
    pub(super) address: SocketAddr,
    pub(super) features: SocketAddr,
    running: Option<Running>,
    pub(super) embedded: Arc<Embedded>,
    pub(super) directory: TempDir,
}

impl Flow {
    pub(super) fn with(access: Access, limits: Limits) -> Self {
        Self::signed(access, limits, WebhookKeys::default(), &[])
    }

    pub(super) fn signed(access: Access, limits: Limits, keys: WebhookKeys, hosts: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let embedded = Arc::new(Embedded::open(directory.path()).unwrap());
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let bound = Bound::new(&access, any, Some(any)).unwrap();
        let source = Source::Table(Arc::clone(&embedded.table) as _, Arc::clone(&embedded.identities) as _);
        let features = features::open(source, directory.path()).unwrap();
        let mut services = embedded.services(KeyRing::synthetic(), access, limits, Some(features)).unwrap();
        (services.webhooks, services.hosts) = (keys, hosts.iter().map(ToString::to_string).collect());
        let running = Running::start(services, bound).unwrap();
        Self { address: running.connector, features: running.features.unwrap(), running: Some(running), embedded, directory }
    }

    pub(super) fn new() -> Self {
        Self::with(Access::open(), Limits { requests_a_second: 1e6, ..Limits::default() })
    }

    pub(super) fn tokens() -> Self {
        let scopes = [Scope::Ingest, Scope::Generate, Scope::Admin];
        let access = TOKENS.iter().zip(scopes).fold(Access::open(), |access, (token, scope)| access.with(token, vec![scope]).unwrap());
        Self::with(access, Limits { requests_a_second: 1e6, ..Limits::default() })
    }

    pub(super) fn post(&self, path: &str, body: &str) -> Answer {
        post(self.address, path, body).unwrap()
    }

    pub(super) fn get(&self, path: &str) -> Answer {
        send(self.address, "GET", path, &[], b"").unwrap()
    }

    pub(super) fn published(&self) -> u64 {
        self.embedded.log.published().unwrap()
    }

    fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop();
        }
    }
}

pub(super) fn visit(number: u32) -> Value {
    json!({
        "event_id": format!("018cc251-f400-7cde-8f00-{number:012x}"), "event_type": "site_visit", "timestamp": "2026-01-31T09:15:00.123Z",
        "esp": "internal", "recipient_email": format!("user{}@example.com", 2_000 + number % 5), "campaign_id": "hot_path",
        "campaign_name": "Hot path", "source": "website",
    })
}

/// What must hold of every problem document.
pub(super) fn problem(answer: &Answer, status: u16) -> Value {
    assert_eq!(answer.status, status, "{}", answer.body);
    assert_eq!(answer.field("content-type"), Some("application/problem+json"), "{}", answer.body);
    let document = answer.json();
    assert_eq!(document["status"], status, "{document}");
    assert!(!document["title"].as_str().unwrap().is_empty() && !document["detail"].as_str().unwrap().is_empty(), "{document}");
    document
}

#[test]
fn what_is_answered_with_200_is_in_the_log_and_then_in_the_table() {
    let flow = Flow::new();
    let generated = flow.post("/api/mock/events/generate?count=250&seed=5", "");
    assert_eq!((generated.status, &generated.json()["published"]), (200, &json!(250)), "{}", generated.body);
    assert_eq!(generated.json()["seed"], 5);
    assert_eq!(flow.post("/api/mock/events/generate", "").json()["published"], 100);
    assert_eq!(flow.post("/api/mock/events/pattern?userId=synth_user_01000", "").json()["published"], 4);
    assert_eq!(flow.post(EVENTS, &visit(1).to_string()).json()["published"], 1);
    assert_eq!(flow.post(EVENTS, &json!([visit(1), visit(2)]).to_string()).json()["duplicates"], 1);
    assert_eq!(flow.published(), 356);
    let background = Background::start(&flow.embedded);
    let until = Instant::now() + Duration::from_mins(1);
    while EventTable::count(flow.embedded.table.as_ref()).unwrap() < 356 {
        assert!(Instant::now() < until && !background.has_ended());
        std::thread::sleep(Duration::from_millis(10));
    }
    let counts = background.stop().unwrap();
    assert_eq!((counts.read, counts.stored, counts.dead), (356, 356, 0));
    assert_eq!(DeadLetters::count(flow.embedded.table.as_ref()).unwrap(), 0);
}

#[test]
fn invalid_events_are_told_field_by_field_and_nothing_is_published() {
    let flow = Flow::new();
    let mut wrong = visit(2);
    wrong["timestamp"] = json!("ada@lovelace.org");
    wrong["esp"] = Value::Null;
    let answer = flow.post(EVENTS, &json!([visit(1), wrong]).to_string());
    let document = problem(&answer, 422);
    let told: Vec<(u64, &str)> = document["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| (error["item"].as_u64().unwrap(), error["field"].as_str().unwrap()))
        .collect();
    assert_eq!(told, [(1, "timestamp"), (1, "esp")]);
    assert!(document["type"] == "urn:populace:invalid-items" && !answer.body.contains("lovelace"), "{}", answer.body);
    assert_eq!(flow.published(), 0);
}

#[test]
fn what_is_malformed_is_refused_with_what_to_do() {
    let flow = Flow::new();
    let detail = |answer: &Answer, status| problem(answer, status)["detail"].as_str().unwrap().to_owned();
    assert_eq!(detail(&flow.post(EVENTS, "{\"a\": "), 400), "the body is not JSON (line 1, column 6)");
    assert_eq!(detail(&flow.post(EVENTS, &"[".repeat(33)), 400), "the JSON is nested deeper than 32 (line 1, column 33)");
    assert_eq!(detail(&flow.post("/api/mock/events/generate?count=10001", ""), 400), "count: must be from 1 to 10000, got 10001");
    assert_eq!(detail(&flow.post("/api/mock/events/generate?count=many", ""), 400), "count: must be a whole number");
    assert_eq!(detail(&flow.post("/api/mock/events/generate?count=1&count=2", ""), 400), "count: is given twice");
    assert_eq!(detail(&flow.post("/api/mock/events/pattern?userId=", ""), 400), "userId: must have 1 to 256 characters");
    let told = "the query has a parameter that is not known; there are count and seed";
    assert_eq!(detail(&flow.post("/api/mock/events/generate?counts=5", ""), 400), told);
    assert_eq!(
        detail(&flow.post(&format!("{EVENTS}?count=5"), "[]"), 400),
        "the query has a parameter that is not known; this path has none"
    );
    assert!(detail(&flow.post("/api/webhooks/mailchimp", "{}"), 404).contains("klaviyo, mailgun, postmark, sendgrid, ses"));
    assert!(detail(&flow.get("/api"), 404).contains("/scalar/v1"));
    problem(&flow.get(EVENTS), 405);
    problem(&send(flow.address, "POST", EVENTS, &[("Content-Type", "text/plain")], b"{}").unwrap(), 415);
    let key = "k".repeat(256);
    problem(&send(flow.address, "POST", EVENTS, &[("Content-Type", "application/json"), ("Idempotency-Key", &key)], b"{}").unwrap(), 400);
    assert_eq!(flow.published(), 0);
}

#[test]
fn a_body_of_a_mebibyte_is_the_most() {
    let flow = Flow::new();
    // Within a string, so that it is JSON.
    let body = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2));
    assert_eq!(flow.post(EVENTS, &body(1 << 20)).status, 400, "read, and no event");
    let mut stream = TcpStream::connect(flow.address).unwrap();
    let head =
        format!("POST {EVENTS} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", (1 << 20) + 1);
    stream.write_all(head.as_bytes()).unwrap();
    let mut start = [0; 12];
    stream.read_exact(&mut start).unwrap();
    assert_eq!(&start, b"HTTP/1.1 413");
    // A sender that does not ask before it sends comes to read the answer, and so does one that does not say how long the body is.
    problem(&flow.post(EVENTS, &body(4 << 20)), 413);
    let mut stream = TcpStream::connect(flow.address).unwrap();
    write!(stream, "POST {EVENTS} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        .unwrap();
    write!(stream, "{:x}\r\n{}", (1 << 20) + 1, body((1 << 20) + 1)).unwrap();
    stream.read_exact(&mut start).unwrap();
    assert_eq!(&start, b"HTTP/1.1 413");
}

#[test]
fn one_key_is_one_request_however_often_and_at_once_it_is_sent() {
    let flow = Flow::new();
    let ask = |key: &str, path: &str| send(flow.address, "POST", path, &[("Idempotency-Key", key)], b"").unwrap();
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..6).map(|_| scope.spawn(|| ask("a", "/api/mock/events/generate?count=20"))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(answers.iter().all(|answer| answer.status == 200 && answer.json()["published"] == 20), "{answers:?}");
    assert_eq!(answers.iter().filter(|answer| answer.json()["replayed"] == false).count(), 1);
    assert_eq!(flow.published(), 20);
    let document = problem(&ask("a", "/api/mock/events/generate?count=21"), 422);
    assert_eq!(document["title"], "Idempotency-Key belongs to another request");
    assert_eq!(ask("b", "/api/mock/events/generate?count=20").json()["replayed"], false);
    assert_eq!(flow.published(), 40);
}

#[test]
fn a_token_opens_what_its_scope_says_and_nothing_else() {
    let flow = Flow::tokens();
    let ask = |method: &str, path: &str, token: &str| {
        let bearer = format!("Bearer {token}");
        send(flow.address, method, path, &[("Authorization", &bearer), ("Content-Type", "application/json")], b"[]").unwrap().status
    };
    let paths = [("POST", EVENTS), ("POST", "/api/mock/events/generate?count=1"), ("GET", "/metrics")];
    // The body is not a list of events, so what is allowed to ingest is told so.
    let allowed = [[400, 403, 403], [403, 200, 403], [400, 200, 200]];
    for (token, statuses) in TOKENS.iter().zip(allowed) {
        for ((method, path), status) in paths.iter().zip(statuses) {
            assert_eq!(ask(method, path, token), status, "{token} {path}");
        }
    }
    for token in ["", "x", "ingest-0123456789abcdeg"] {
        assert_eq!(ask("POST", EVENTS, token), 401);
    }
    let refused = flow.post(EVENTS, "[]");
    problem(&refused, 401);
    assert_eq!(refused.field("www-authenticate"), Some("Bearer"));
    for path in ["/health", "/ready", "/version"] {
        assert_eq!(flow.get(path).status, 200, "{path}");
    }
}

#[test]
fn other_machines_get_in_with_a_token_only_and_a_taken_port_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let flow = Embedded::open(directory.path()).unwrap();
    let start = |access: Access, address: SocketAddr| {
        let bound = Bound::new(&access, address, None)?;
        Running::start(flow.services(KeyRing::synthetic(), access, Limits::default(), None)?, bound)
    };
    let everywhere = SocketAddr::from(([0, 0, 0, 0], 0));
    assert!(matches!(start(Access::open(), everywhere), Err(FlowError::Refused(told)) if told.contains("POPULACE_TOKEN")));
    start(Access::open().with(TOKENS[0], vec![Scope::Ingest]).unwrap(), everywhere).unwrap().stop();
    let running = start(Access::open(), SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    assert!(matches!(start(Access::open(), running.connector), Err(FlowError::Refused(told)) if told.contains("another program")));
    running.stop();
    assert!(matches!(Embedded::open(directory.path()), Err(FlowError::Refused(told)) if told.contains("another process")));
}

#[test]
fn a_web_page_elsewhere_cannot_use_what_is_open_on_this_machine() {
    let mut flow = Flow::new();
    let ask = |head: &str| {
        let mut stream = TcpStream::connect(flow.address).unwrap();
        write!(stream, "POST /api/mock/events/generate?count=1 HTTP/1.1\r\nConnection: close\r\nContent-Length: 0\r\n{head}\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer[9..12].to_owned()
    };
    assert_eq!(ask("Host: populace.example\r\n"), "421");
    assert_eq!(ask("Host: localhost\r\nOrigin: https://populace.example\r\n"), "403");
    assert_eq!(ask("Host: localhost:5215\r\nOrigin: http://localhost:5215\r\n"), "200");
    assert_eq!(ask("Host: [::1]:5215\r\n"), "200");
    flow.stop();
    assert_eq!(flow.published(), 2);
}

#[test]
fn a_client_that_asks_too_often_is_told_when_to_come_again() {
    let flow = Flow::with(Access::open(), Limits { requests_a_second: 5.0, ..Limits::default() });
    let answers: Vec<Answer> = (0..20).map(|_| flow.get("/version")).collect();
    let refused: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 429).collect();
    assert!(!refused.is_empty() && refused.len() <= 15, "{}", refused.len());
    problem(refused[0], 429);
    assert_eq!(refused[0].field("retry-after"), Some("1"));
    // Probes come as often as they like.
    for path in ["/health", "/ready", "/metrics"].repeat(7) {
        assert_eq!(flow.get(path).status, 200, "{path}");
    }
    std::thread::sleep(Duration::from_millis(1_100));
    assert_eq!(flow.get("/version").status, 200);
}

#[test]
fn a_request_that_does_not_come_is_not_waited_for() {
    let limits = Limits { header_time: Duration::from_millis(200), request_time: Duration::from_millis(300), ..Limits::default() };
    let flow = Flow::with(Access::open(), limits);
    let begin = |text: &str| {
        let mut stream = TcpStream::connect(flow.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8(answer).unwrap()
    };
    let start = Instant::now();
    // A head without an end: the connection is closed.
    assert!(!begin("POST / HTTP/1.1\r\nHost: loc").contains("200 OK"));
    // A body without an end.
    let head = format!(
        "POST {EVENTS} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n["
    );
    assert!(begin(&head).starts_with("HTTP/1.1 408"));
    assert!(start.elapsed() < Duration::from_secs(15));
}

#[test]
fn what_is_worked_on_at_a_time_is_bounded() {
    // Of which one client may have half.
    let limits = Limits { in_flight: 4, requests_a_second: 1e6, ..Limits::default() };
    let flow = Flow::with(Access::open(), limits);
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..12).map(|_| scope.spawn(|| flow.post("/api/mock/events/generate?count=5000", "").status)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let done = statuses.iter().filter(|status| **status == 200).count();
    assert!(done >= 2 && statuses.iter().all(|status| [200, 503].contains(status)) && statuses.contains(&503), "{statuses:?}");
    assert_eq!(flow.published(), 5_000 * done as u64);
}

#[test]
fn what_is_counted_can_be_scraped() {
    let flow = Flow::new();
    flow.post("/api/mock/events/generate?count=30", "");
    flow.post(EVENTS, "{}");
    flow.embedded.publish_raw(b"k", b"poison").unwrap();
    flow.embedded.consume(true, &AtomicBool::new(false)).unwrap();
    let page = flow.get("/metrics");
    assert_eq!(page.field("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    for line in [
        "populace_events_published_total 30",
        "populace_http_requests_total{route=\"/api/mock/events/generate\",status=\"200\"} 1",
        "populace_http_requests_total{route=\"/api/mock/events/synthetic\",status=\"422\"} 1",
        "populace_http_request_seconds_count{route=\"/api/mock/events/generate\"} 1",
        "populace_http_requests_in_flight 0",
        "populace_log_lag 0",
        "populace_table_events 30",
        "populace_dead_letters 1",
        "populace_consumed_total 31",
        "populace_gauges_failed 0",
    ] {
        assert!(page.body.lines().any(|found| found == line), "{line}\n{}", page.body);
    }
    for line in page.body.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(name.starts_with("populace_") && value.parse::<f64>().is_ok(), "{line}");
    }
    let ready = flow.get("/ready").json();
    assert_eq!(ready, json!({ "ready": true, "parts": { "ledger": "ok", "log": "ok", "table": "ok" } }));
}

#[test]
fn persons_are_resolved_linked_shown_and_erased() {
    let mut flow = Flow::new();
    let resolve = |body: Value| flow.post("/api/identity/resolve", &body.to_string());
    let first = resolve(json!({ "identifiers": [{ "email": "user2001@example.com" }, { "provider": "klaviyo", "id": "01P" }] }));
    assert_eq!((first.status, first.json()["outcome"].as_str()), (200, Some("new")), "{}", first.body);
    let id = first.json()["universal_id"].as_str().unwrap().to_owned();
    assert_eq!(resolve(json!({ "identifiers": [{ "provider": "klaviyo", "id": "01P" }] })).json()["universal_id"], id.as_str());
    let other = resolve(json!({ "identifiers": [{ "phone": "+44 20 7946 0123" }] })).json()["universal_id"].as_str().unwrap().to_owned();
    let wrong = problem(&resolve(json!({ "identifiers": [{ "phone": "+49 30 123456" }, { "email": "ada" }, { "name": "Ada" }] })), 422);
    assert_eq!(wrong["errors"].as_array().unwrap().len(), 3, "{wrong}");

    let link =
        |weight: f64| flow.post("/api/identity/links", &json!({ "ids": [id, other], "source": "device", "weight": weight }).to_string());
    assert_eq!(link(0.7).json()["outcome"], "linked");
    problem(&link(1.5), 400);
    assert_eq!(flow.post("/api/mock/events/synthetic", &visit(1).to_string()).status, 200);
    assert_eq!(flow.embedded.consume(true, &AtomicBool::new(false)).unwrap().stored, 1);
    let path = format!("/api/identity/persons/{id}");
    let person = flow.get(&path).json();
    assert_eq!((person["members"].as_array().unwrap().len(), person["resolutions"].as_u64()), (2, Some(4)), "{person}");
    assert_eq!(person["links"].as_array().unwrap().len(), 2, "{person}");

    let erased = send(flow.address, "DELETE", &path, &[], b"").unwrap();
    assert_eq!(
        erased.json(),
        json!({ "erased": { "log": 1, "table": 1, "dead_letters": 0, "features": 0, "identifiers": 2 }, "kept": {} }),
        "{}",
        erased.body
    );
    problem(&flow.get(&path), 404);
    problem(&send(flow.address, "DELETE", &path, &[], b"").unwrap(), 404);
    problem(&flow.get("/api/identity/persons/ada"), 400);
    assert_eq!(EventTable::count(flow.embedded.table.as_ref()).unwrap(), 0);
    flow.stop();
}

#[test]
fn every_path_is_described_and_the_description_can_be_browsed() {
    let flow = Flow::new();
    let document = flow.get("/openapi.json").json();
    assert_eq!(document["openapi"], "3.1.0");
    let mut described = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            assert!(operation.get("parameters").is_none_or(Value::is_array), "{method} {path}");
            let asked = path.replace("{universal_id}", "sf_zibadpwptzraqjc5y2s24jmkdn");
            let address = if path.contains("features") { flow.features } else { flow.address };
            let answer = send(address, &method.to_uppercase(), &asked, &[("Content-Type", "application/json")], b"[]").unwrap();
            // A path that is not served would be told as such.
            assert!(answer.status != 405 && !answer.body.contains("no such path"), "{method} {path}: {}", answer.body);
            described += 1;
        }
    }
    assert_eq!(described, 13 + 2 * PROVIDERS.len());
    let columns = document["components"]["schemas"]["Event"]["properties"].as_object().unwrap();
    for column in &populace_flow::event::COLUMNS[..24] {
        assert!(columns.contains_key(column.name), "{}", column.name);
    }
    let page = flow.get("/scalar/v1");
    // Without a network, too.
    assert!(page.status == 200 && page.body.contains("<code>POST /api/webhooks/klaviyo</code>"), "{}", page.body);
}

#[test]
fn features_follow_a_person_whose_identifiers_turn_out_to_be_one_persons() {
    let flow = Flow::new();
    let mut by_phone = visit(1);
    let event = by_phone.as_object_mut().unwrap();
    event.remove("recipient_email");
    event.insert("phone".to_owned(), json!("+447700900123"));
    for event in [by_phone, visit(2)] {
        assert_eq!(flow.post(EVENTS, &event.to_string()).status, 200);
    }
    let features = |path: &str| send(flow.features, "GET", path, &[], b"").unwrap();
    let compute = || post(flow.features, "/compute-features", "").unwrap();
    assert_eq!(
        problem(&compute(), 404)["detail"],
        "there are no events in the table yet; send some, and compute again once they are stored"
    );
    flow.embedded.consume(true, &AtomicBool::new(false)).unwrap();
    assert_eq!(compute().json()["recipients"], 2);

    let resolve = |identifiers: Value| {
        let answer = flow.post("/api/identity/resolve", &json!({ "identifiers": identifiers }).to_string());
        answer.json()["universal_id"].as_str().unwrap().to_owned()
    };
    let before = resolve(json!([{ "phone": "+44 7700 900123" }]));
    assert_eq!(features(&format!("/features/{before}")).json()["universal_id"], before.as_str());
    let person = resolve(json!([{ "phone": "+44 7700 900123" }, { "email": "user2002@example.com" }]));
    assert_ne!(person, before);
    let computed = compute().json();
    assert_eq!((&computed["recipients"], &computed["events"]), (&json!(1), &json!(2)));
    for id in [&before, &person] {
        let found = features(&format!("/features/{id}"));
        assert_eq!((found.status, &found.json()["universal_id"]), (200, &json!(person)), "{}", found.body);
    }
    problem(&features("/features/sf_zibadpwptzraqjc5y2s24jmkdn"), 404);
    problem(&features("/features/sf_0123456789abcdef"), 404);
    let erased = send(flow.address, "DELETE", &format!("/api/identity/persons/{before}"), &[], b"").unwrap().json();
    assert_eq!(erased["erased"], json!({ "log": 2, "table": 2, "dead_letters": 0, "features": 1, "identifiers": 2 }));
    problem(&features(&format!("/features/{person}")), 404);
    problem(&features("/features/nobody"), 400);
}
