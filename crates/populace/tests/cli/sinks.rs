//! Rows to a connector: a server that is busy, fails and cuts connections gets each event once, in the order of its user.

use crate::support::{command, populace, succeed, text};
use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What a connector has seen.
#[derive(Default)]
struct Seen {
    /// Requests with events.
    requests: usize,
    /// Keys of those that were taken.
    keys: HashSet<String>,
    /// Events that were taken, in their order.
    events: Vec<serde_json::Value>,
    /// What was wrong with a request.
    wrong: Vec<String>,
    connections: usize,
}

/// How one request with events is answered, by its number: taken and said so, unless there is something else to do.
#[derive(Clone, Copy, PartialEq)]
enum Act {
    Take,
    /// Nothing is taken: this status.
    Status(u16),
    /// Nothing is taken, the connection is cut.
    Cut,
    /// It is taken, and the connection is cut before that is said.
    TakeAndCut,
}

fn serve(stream: TcpStream, seen: &Mutex<Seen>, acts: &[Act]) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    loop {
        let (mut line, mut length, mut key, mut token) = (String::new(), 0, String::new(), false);
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            let Some((name, value)) = header.trim().split_once(": ") else { break };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse().unwrap(),
                "idempotency-key" => value.clone_into(&mut key),
                "authorization" => token = value == "Bearer t0ken",
                _ => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        if line.starts_with("GET /base/health ") {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")?;
            continue;
        }
        let mut seen = seen.lock().unwrap();
        let act = acts.get(seen.requests).copied().unwrap_or(Act::Take);
        seen.requests += 1;
        if !line.starts_with("POST /base/api/mock/events/synthetic ") || !token || key.len() != 64 || length > 1 << 20 {
            seen.wrong.push(format!("{line} {token} {key} {length}"));
        }
        if [Act::Take, Act::TakeAndCut].contains(&act) && seen.keys.insert(key) {
            let events: Vec<serde_json::Value> = serde_json::from_slice(&body).unwrap();
            if events.len() > 1_000 {
                seen.wrong.push(format!("{} events", events.len()));
            }
            seen.events.extend(events);
        }
        match act {
            Act::Take => stream.write_all(b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}")?,
            Act::Status(status) => {
                let body = r#"{"title":"no"}"#;
                let head = format!("HTTP/1.1 {status} No\r\nRetry-After: 0\r\nContent-Length: {}\r\n\r\n", body.len());
                stream.write_all((head + body).as_bytes())?;
            }
            Act::Cut | Act::TakeAndCut => return Ok(()),
        }
    }
}

/// A connector that acts so, and its URL.
fn connector(acts: &'static [Act]) -> (Arc<Mutex<Seen>>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/base", listener.local_addr().unwrap());
    let seen = Arc::new(Mutex::new(Seen::default()));
    let shared = Arc::clone(&seen);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            shared.lock().unwrap().connections += 1;
            let shared = Arc::clone(&shared);
            // A connection that ends is the client's to deal with.
            std::thread::spawn(move || drop(serve(stream.unwrap(), &shared, acts)));
        }
    });
    (seen, url)
}

const SCENARIO: [&str; 9] = ["generate", "email", "--seed", "4", "-n", "12", "-d", "40", "--threads"];

/// Runs the scenario to a connector.
fn send(url: &str, more: &[&str]) -> std::process::Output {
    let arguments = [&SCENARIO[..], &["2", "--to", url], more].concat();
    command(&arguments).env("POPULACE_TOKEN", "t0ken").output().unwrap()
}

/// The events of the scenario, as its files have them.
fn expected() -> Vec<serde_json::Value> {
    let output = succeed(&[&SCENARIO[..], &["2", "-q", "--table", "events", "-f", "jsonl", "-o", "-"]].concat());
    text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_connector_that_is_busy_and_fails_gets_each_event_once_and_in_order() {
    let acts = &[Act::Status(429), Act::Take, Act::Status(503), Act::Cut, Act::TakeAndCut, Act::Status(500)];
    for order in ["actor", "time"] {
        let (seen, url) = connector(acts);
        let output = send(&url, &["--order", order]);
        let told = text(&output.stderr);
        assert!(output.status.success() && told.contains(&format!("rows acknowledged by {url} in ")), "{told}");
        let mut seen = seen.lock().unwrap();
        assert!(seen.wrong.is_empty(), "{:?}", seen.wrong);
        let mut expected = expected();
        assert!(expected.len() > 1_000 && seen.requests >= expected.len().div_ceil(1_000) + 5, "{} {}", expected.len(), seen.requests);
        if order == "time" {
            let of = |event: &serde_json::Value, column: &str| event[column].as_str().unwrap().to_owned();
            assert!(seen.events.is_sorted_by_key(|event| of(event, "timestamp")));
            expected.sort_by_cached_key(|event| of(event, "event_id"));
            seen.events.sort_by_cached_key(|event| of(event, "event_id"));
        }
        assert!(seen.events == expected, "{} events of {}", seen.events.len(), expected.len());
        // One for the question whether it is there, and one after each cut.
        assert!(seen.connections <= 3, "connections are kept: {}", seen.connections);
    }
}

#[test]
fn a_connector_that_refuses_or_stays_away_is_told() {
    for (acts, told_of) in [
        (&[Act::Status(422)][..], r#"the connector refuses the events (status 422): {"title":"no"}"#),
        (&[Act::Status(401)], "the connector refuses the token in POPULACE_TOKEN"),
        (&[Act::Status(503); 100], "no success in 1 s; last: status 503"),
    ] {
        let (seen, url) = connector(acts);
        let output = send(&url, &["-q", "--timeout", "1"]);
        let told = text(&output.stderr);
        assert!(output.status.code() == Some(2) && told.contains(told_of), "{told}");
        assert_eq!(told.contains("the same command with --seed 4 sends the same rows again"), told_of.contains("no success"), "{told}");
        assert!(seen.lock().unwrap().events.is_empty());
    }
}

#[test]
fn a_stream_ends_after_as_many_events_as_were_asked_for() {
    let (seen, url) = connector(&[]);
    let arguments = ["stream", "email", "--seed", "4", "-n", "12", "-d", "40", "--speed", "10000000", "--events", "700", "--to", &url];
    let output = command(&arguments).env("POPULACE_TOKEN", "t0ken").output().unwrap();
    assert!(output.status.success() && text(&output.stderr).contains("700 events in "), "{}", text(&output.stderr));
    let seen = seen.lock().unwrap();
    assert!(seen.wrong.is_empty() && seen.events.len() == 700, "{:?} {}", seen.wrong, seen.events.len());
    let time = |event: &serde_json::Value| event["timestamp"].as_str().unwrap().to_owned();
    let mut times: Vec<String> = expected().iter().map(time).collect();
    times.sort();
    assert!(seen.events.iter().map(time).eq(times.into_iter().take(700)));
}

#[test]
fn a_wrong_url_is_told_before_anything_is_generated() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for (scenario, url, told_of) in [
        ("email", "localhost:9092".to_owned(), "there is no `://`"),
        ("email", "ftp://localhost/x".to_owned(), "there is no sink `ftp`; there are "),
        ("email", format!("clickhouse://u:secret@127.0.0.1:{free}/x"), "is ClickHouse running there?"),
        ("email", "clickhouse://u:secret@localhost/a-b".to_owned(), "`a-b` is not a name of a database"),
        ("email", format!("http://127.0.0.1:{free}"), "start one with `populace serve`"),
        ("email", "http://u:secret@127.0.0.1:5215".to_owned(), "put it into the environment as POPULACE_TOKEN"),
        ("churn", "http://127.0.0.1:1".to_owned(), "a connector takes the events of email; this is churn"),
    ] {
        let start = std::time::Instant::now();
        let output = populace(&["generate", scenario, "-q", "-n", "5", "--to", &url]);
        let told = text(&output.stderr);
        assert!(output.status.code() == Some(2) && told.starts_with("error: ") && told.contains(told_of), "{url}: {told}");
        assert!(!told.contains("secret") && start.elapsed().as_secs() < 15, "{url}: {told}");
    }
}
