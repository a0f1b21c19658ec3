//! Clients that mean harm: what they hold must never be what others need. `POPULACE_ATTACK_ROUNDS=N` makes it the long form.

use super::http::{EVENTS, Flow, TOKENS, problem, visit};
use populace_flow::client::{post, send};
use serde_json::json;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::time::Duration;
use tokio::net::TcpSocket;

/// More than the requests that were once worked on at a time, and as many as one address may keep open without a token.
const SOCKETS: usize = 280;

fn rounds() -> usize {
    std::env::var("POPULACE_ATTACK_ROUNDS").map_or(1, |rounds| rounds.parse().expect("POPULACE_ATTACK_ROUNDS: a number"))
}

/// A connection from an address of the loopback network.
fn connect(to: SocketAddr, from: Ipv4Addr) -> TcpStream {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let connected = runtime.block_on(async {
        let socket = TcpSocket::new_v4()?;
        socket.bind((from, 0).into())?;
        socket.connect(to).await?.into_std()
    });
    let stream = connected.unwrap();
    stream.set_nonblocking(false).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    stream
}

type Attack = (&'static str, fn(usize) -> Ipv4Addr, String, Option<Shutdown>);

fn attacks() -> Vec<Attack> {
    let one = |_| Ipv4Addr::LOCALHOST;
    let many = |number: usize| Ipv4Addr::new(127, 0, 0, 2 + (number % 250) as u8);
    let post = |token: &str, length: usize| {
        let token = if token.is_empty() { String::new() } else { format!("Authorization: Bearer {token}\r\n") };
        format!("POST {EVENTS} HTTP/1.1\r\nHost: x\r\n{token}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n[")
    };
    let get = "GET /scalar/v1 HTTP/1.1\r\nHost: x\r\n\r\n";
    vec![
        ("idle", one, String::new(), None),
        ("idle, of many addresses", many, String::new(), None),
        ("a head without an end", one, "POST / HTTP/1.1\r\nHost: lo".to_owned(), None),
        ("a head without an end, of many addresses", many, "POST / HTTP/1.1\r\nHost: lo".to_owned(), None),
        ("a body that does not come, without a token", one, post("", 100_000), None),
        (
            "a body that does not come, on an open path",
            one,
            "GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n".to_owned(),
            None,
        ),
        ("a body that does not come, with another's token", one, post(TOKENS[0], 100_000), None),
        ("a body that does not come, with another's token, of many addresses", many, post(TOKENS[0], 100_000), None),
        ("half of a body that is held", one, post(TOKENS[0], 1 << 20) + &" ".repeat(1 << 17), None),
        ("answers that nobody reads", one, get.repeat(40), None),
        ("requests in a row", one, "GET /ready HTTP/1.1\r\nHost: x\r\n\r\n".repeat(40), None),
        ("half closed at once", one, String::new(), Some(Shutdown::Write)),
        ("half closed after a head", many, "GET /ready HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), Some(Shutdown::Write)),
        ("gone after a head", many, post(TOKENS[0], 100_000), Some(Shutdown::Both)),
    ]
}

#[test]
fn whoever_has_a_token_is_served_whatever_others_hold_open() {
    let flow = Flow::tokens();
    let bearer = |token: &str| format!("Bearer {token}");
    let (generate, admin) = (bearer(TOKENS[1]), bearer(TOKENS[2]));
    let (mut tried, mut failed) = (0, Vec::new());
    for round in 0..rounds() {
        for (name, address, text, shutdown) in attacks() {
            let held: Vec<TcpStream> = (0..SOCKETS)
                .map(|number| {
                    let mut stream = connect(flow.address, address(number));
                    // Who is refused or closed meanwhile has failed to harm.
                    let _ = stream.write_all(text.as_bytes());
                    let _ = shutdown.map(|how| stream.shutdown(how));
                    stream
                })
                .collect();
            tried += held.len();
            let mut must = |what: &str, answer: std::io::Result<populace_flow::client::Answer>, status: u16| {
                if !answer.as_ref().is_ok_and(|answer| answer.status == status) {
                    failed.push(format!("{name}, round {round}: {what}: {answer:?}"));
                }
            };
            let json = [("Authorization", admin.as_str()), ("Content-Type", "application/json")];
            must("events", send(flow.address, "POST", EVENTS, &json, visit(round as u32).to_string().as_bytes()), 200);
            let path = "/api/mock/events/generate?count=1";
            must("generated", send(flow.address, "POST", path, &[("Authorization", &generate)], b""), 200);
            must("health", send(flow.address, "GET", "/health", &[], b""), 200);
            must("ready", send(flow.address, "GET", "/ready", &[], b""), 200);
            must("metrics", send(flow.address, "GET", "/metrics", &[("Authorization", &admin)], b""), 200);
            drop(held);
        }
    }
    eprintln!("{tried} hostile connections of {} kinds, {} requests failed beside them", attacks().len(), failed.len());
    assert!(failed.is_empty(), "{failed:#?}");
}

/// The status and the body that some bytes are answered with.
fn raw(to: SocketAddr, text: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(text.as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    (answer.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0), answer)
}

#[test]
fn a_head_that_leaves_open_what_is_meant_is_400() {
    let flow = Flow::new();
    for (status, head) in [
        (200, "GET /health HTTP/1.1\r\nHost: localhost"),
        (200, "GET /health HTTP/1.1\r\nhost: LOCALHOST:80"),
        (200, "GET /health HTTP/1.1\r\nHost: [::1]:5215"),
        (200, "GET http://localhost/health HTTP/1.1\r\nHost: localhost"),
        (200, "GET /health HTTP/1.0"),
        (400, "GET /health HTTP/1.1"),
        (400, "GET /nothing HTTP/1.1"),
        (400, "GET /health HTTP/1.1\r\nHost:"),
        (400, "GET /health HTTP/1.1\r\nHost: localhost\r\nHost: localhost"),
        (400, "GET /health HTTP/1.1\r\nHost: localhost\r\nHost: evil.example"),
        (400, "GET /health HTTP/1.0\r\nHost: localhost\r\nHost: localhost"),
        (400, "GET /health HTTP/1.1\r\nHost: local host"),
        (400, "GET /health HTTP/1.1\r\nHost: ada@localhost"),
        (400, "GET /health HTTP/1.1\r\nHost: localhost:port"),
        (400, "GET /health HTTP/1.1\r\nHost: localhost:1:2"),
        (400, "GET /health HTTP/1.1\r\nHost: localhost/health"),
        (400, "GET http://evil.example/health HTTP/1.1\r\nHost: localhost"),
        (400, "GET http://localhost/health HTTP/1.1\r\nHost: evil.example"),
        (400, "GET http://evil.example/health HTTP/1.1\r\nHost: evil.example"),
        (400, "GET http://evil.example/health HTTP/1.0"),
        (400, "GET ftp://localhost/health HTTP/1.1\r\nHost: localhost"),
        (400, "CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443"),
        (400, "POST /api/mock/events/generate?count=1 HTTP/1.1\r\nHost: localhost\r\nIdempotency-Key: a\r\nIdempotency-Key: b"),
        (400, "POST /api/mock/events/generate?count=1 HTTP/1.1\r\nHost: localhost\r\nIdempotency-Key: a\r\nidempotency-key: a"),
        (400, "POST /api/mock/events/generate?count=1 HTTP/1.1\r\nHost: localhost\r\nIdempotency-Key: a b"),
        (400, "GET /metrics HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b"),
        (400, "POST /api/mock/events/generate?count=1&c%6funt=2 HTTP/1.1\r\nHost: localhost"),
        (400, "POST /api/mock/events/generate?count=%zz HTTP/1.1\r\nHost: localhost"),
        (400, "POST /api/mock/events/pattern?userId=%ff HTTP/1.1\r\nHost: localhost"),
        (400, "GET /health HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip, chunked"),
        (400, "GET /health HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
        (400, "GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nContent-Length: 1"),
        (400, "GET /health HTTP/1.1\r\nHost : localhost"),
        (400, "GET /health HTTP/1.1\r\nHost: local\r\n host"),
        (415, "POST /api/mock/events/generate HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: gzip"),
        (421, "GET /health HTTP/1.1\r\nHost: evil.example"),
    ] {
        let (found, answer) = raw(flow.address, &format!("{head}\r\nConnection: close\r\n\r\n"));
        assert_eq!(found, status, "{head}\n{answer}");
    }
    assert_eq!(flow.published(), 0);
    // Of two lengths one is not seen, so nothing else is answered on that connection.
    for lengths in ["Transfer-Encoding: chunked\r\nContent-Length: 44", "Content-Length: 44\r\nTransfer-Encoding: chunked"] {
        let two = format!("GET /health HTTP/1.1\r\nHost: localhost\r\n{lengths}\r\n\r\n0\r\n\r\n");
        let (status, answer) = raw(flow.address, &format!("{two}GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        assert_eq!((status, answer.matches("HTTP/1.1").count()), (200, 1), "{lengths}: {answer}");
    }
}

#[test]
fn a_body_that_leaves_open_what_is_meant_is_refused_with_its_line_and_column() {
    let flow = Flow::new();
    let twice = visit(1).to_string().replacen("{\"event_id\":", "{\"event_id\":\"018cc251-f400-7cde-8f00-000000000009\",\"event_id\":", 1);
    for (path, body) in [
        ("/api/webhooks/sendgrid", twice.as_str()),
        ("/api/webhooks/klaviyo", "{\"data\":[],\"data\":[{\"a\":1,\"a\":1}]}"),
        ("/api/webhooks/mailgun", "{\"event-data\":{},\"event-data\":{}}"),
        ("/api/webhooks/ses", "{\"Type\":\"Notification\",\"Message\":\"{}\",\"Message\":\"{}\"}"),
    ] {
        let detail = problem(&post(flow.address, path, body).unwrap(), 400)["detail"].as_str().unwrap().to_owned();
        assert!(detail.starts_with("the body"), "{path}: {detail}");
    }
    for path in [EVENTS, "/api/identity/resolve", "/api/identity/links"] {
        let detail = problem(&post(flow.address, path, &twice).unwrap(), 400)["detail"].as_str().unwrap().to_owned();
        assert!(detail.starts_with("an object of the JSON has the same key twice (line 1, column "), "{path}: {detail}");
    }
    assert_eq!(flow.published(), 0);
}

#[test]
fn control_characters_are_refused_and_their_names_escaped() {
    let flow = Flow::new();
    for text in ["\u{1b}[2J", "a\nb", "\u{7f}", "\u{9b}31m", "\0"] {
        for (field, value) in [("campaign_name", json!(text)), ("metadata", json!({ "a": [text] })), ("metadata", json!({ text: 1 }))] {
            let mut event = visit(1);
            event[field] = value;
            let document = problem(&flow.post(EVENTS, &event.to_string()), 422);
            assert_eq!(
                document["errors"],
                json!([{ "item": 0, "field": field, "reason": "must not hold control characters" }]),
                "{text:?}"
            );
        }
        let mut event = visit(1);
        event[text] = json!(1);
        let answer = flow.post(EVENTS, &event.to_string());
        problem(&answer, 422);
        assert!(!answer.json().to_string().chars().any(char::is_control), "{answer:?}");
        let name = answer.json()["errors"][0]["field"].as_str().unwrap().to_owned();
        assert!(!name.is_empty() && !name.chars().any(char::is_control), "{name}");
    }
    assert_eq!(flow.published(), 0);
    let webhook = json!([{ "email": "user1000@example.com", "timestamp": 1_769_850_900, "event": "open", "sg_event_id": "a",
        "sg_message_id": "b", "useragent": "Mozilla\u{1b}[2J" }]);
    assert_eq!(flow.post("/api/webhooks/sendgrid", &webhook.to_string()).status, 202);
}
