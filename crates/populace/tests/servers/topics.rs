//! What is in a topic, as it is seen by clients that have nothing in common with ours: `tests/servers/compare.py`.

use crate::support::{Server, refuse, scratch, shared, succeed};
use serde_json::Value;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Instant;

/// The main table of a run as JSON lines.
fn lines(scenario: &[&str], table: &str, more: &[&str]) -> PathBuf {
    let directory = scratch(&scenario.concat());
    let arguments = [&["generate"], scenario, &["-q", "-f", "jsonl", "--table", table, "-o", directory.to_str().unwrap()], more].concat();
    succeed(&arguments);
    directory.join(format!("{table}.jsonl"))
}

/// Compares a topic with a file, and gives what was seen.
fn compare(topic: &str, file: &Path, key: &str, more: &[&str]) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/servers/compare.py");
    let mut command = Command::new("python3");
    let done = command.arg(script).args(["--topic", topic, "--file", file.to_str().unwrap(), "--key", key]).args(more).output().unwrap();
    assert!(done.status.success(), "{topic} {}: {}", file.display(), String::from_utf8_lossy(&done.stderr));
    let seen: Value = serde_json::from_slice(&done.stdout).unwrap();
    eprintln!("{topic}: {seen}");
    seen
}

#[test]
fn each_users_events_are_in_one_partition_in_the_order_of_the_file() {
    let kafka = shared().0;
    let scenario = ["email", "--seed", "21", "-n", "150", "-d", "40"];
    let file = lines(&scenario, "events", &[]);
    let topic = format!("{}/order_generate", kafka.url);
    succeed(&[&["generate"], &scenario[..], &["-q", "-j", "4", "--to", &format!("{topic}?partitions=6")]].concat());
    let seen = compare(&topic, &file, "universal_id", &[]);
    assert!(seen["users"] == 150 && seen["partitions"] == 6 && seen["rows"].as_u64() > Some(9_000), "{seen}");
    let topic = format!("{}/order_stream", kafka.url);
    succeed(&[&["stream"], &scenario[..], &["-q", "--speed", "1000000", "--to", &format!("{topic}?partitions=6")]].concat());
    assert_eq!(compare(&topic, &file, "universal_id", &[]), seen);
    for (scenario, table) in [("traces", "calls"), ("churn", "events")] {
        let scenario = [scenario, "--seed", "21", "-n", "100"];
        let topic = format!("{}/order_{}", kafka.url, scenario[0]);
        succeed(&[&["generate"], &scenario[..], &["-q", "--to", &format!("{topic}?partitions=4&compression=none")]].concat());
        let seen = compare(&topic, &lines(&scenario, table, &[]), "user_id", &[]);
        assert!(seen["partitions"] == 4 && seen["rows"].as_u64() > Some(1_000), "{seen}");
    }
}

#[test]
fn answers_that_are_lost_double_nothing_and_change_no_order() {
    let kafka = shared().0;
    // What is acknowledged by an answer that nobody gets is sent again: the broker knows it by its number.
    let way = format!("kafka://{}", kafka.ways["forgets"]);
    let scenario = ["email", "--seed", "22", "-n", "80", "-d", "30"];
    let file = lines(&scenario, "events", &[]);
    for (name, arguments) in [("forgotten_stream", &["stream", "--speed", "520000"][..]), ("forgotten_generate", &["generate"])] {
        let to = format!("{way}/{name}?partitions=6");
        succeed(&[&arguments[..1], &scenario, &arguments[1..], &["-q", "--to", &to]].concat());
        compare(&format!("{}/{name}", kafka.url), &file, "universal_id", &[]);
    }
}

/// A schema registry that all tests share.
fn registry() -> &'static Server {
    static SHARED: OnceLock<Server> = OnceLock::new();
    SHARED.get_or_init(Server::registry)
}

/// The registry's URL without user and password: its address and its path.
fn address(registry: &Server) -> (&str, &str) {
    let rest = registry.url.rsplit_once('@').unwrap().1;
    rest.split_at(rest.find('/').unwrap())
}

/// Asks the registry, and gives status and answer.
fn ask(registry: &Server, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let (host, base) = address(registry);
    let body = body.to_string();
    let mut connection = TcpStream::connect(host).unwrap();
    // `registrar:open:sesame/1`.
    let login = "Authorization: Basic cmVnaXN0cmFyOm9wZW46c2VzYW1lLzE=";
    let kind = "Content-Type: application/vnd.schemaregistry.v1+json";
    write!(connection, "{method} {base}{path} HTTP/1.0\r\n{login}\r\n{kind}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}")))
}

/// A URL as the value of an option of another URL.
fn escaped(url: &str) -> String {
    url.bytes().fold(String::new(), |mut escaped, byte| {
        write!(escaped, "%{byte:02X}").unwrap();
        escaped
    })
}

#[test]
fn avro_has_the_values_of_the_file_under_a_schema_that_the_registry_knows() {
    let (kafka, registry) = (shared().0, registry());
    let option = format!("registry={}", escaped(&registry.url));
    for (scenario, table, key) in [("email", "events", "universal_id"), ("traces", "calls", "user_id"), ("churn", "events", "user_id")] {
        let scenario = [scenario, "--seed", "23", "-n", "60"];
        let name = format!("avro_{}", scenario[0]);
        let topic = format!("{}/{name}", kafka.url);
        let told = succeed(&[&["generate"], &scenario[..], &["--to", &format!("{topic}?partitions=3&{option}")]].concat());
        assert!(!told.contains("sesame"), "{told}");
        let seen = compare(&topic, &lines(&scenario, table, &[]), key, &["--registry", &registry.url]);
        assert!(seen["rows"].as_u64() > Some(1_000) && seen["users"] == 60, "{seen}");
        // Again: the schema is known.
        succeed(&[&["generate"], &scenario[..], &["-q", "--count", "10", "--to", &format!("{topic}?{option}")]].concat());
        let (status, versions) = ask(registry, "GET", &format!("/subjects/{name}-value/versions"), &Value::Null);
        assert_eq!((status, versions.to_string().as_str()), (200, "[1]"));
    }
}

#[test]
fn a_registry_that_is_away_or_refuses_is_told_in_seconds() {
    let (kafka, registry) = (shared().0, registry());
    let other = r#"{"type":"record","name":"events","namespace":"populace","fields":[{"name":"needed","type":"int"}]}"#;
    let (status, made) = ask(registry, "POST", "/subjects/avro_taken-value/versions", &serde_json::json!({ "schema": other }));
    assert_eq!(status, 200, "{made}");
    let (status, set) = ask(registry, "PUT", "/config/avro_taken-value", &serde_json::json!({ "compatibility": "FULL" }));
    assert_eq!(status, 200, "{set}");
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (host, path) = address(registry);
    let cases = [
        (registry.url.clone(), "the subject `avro_taken-value` has a schema that this one is not compatible with"),
        (format!("http://registrar:guess@{host}{path}"), "the schema registry refuses the user or the password (status 401)"),
        (format!("http://{host}{path}"), "the schema registry refuses the user or the password (status 401)"),
        (registry.url.replace(path, ""), "no schema registry answers there (status 404"),
        (format!("http://registrar:guess@127.0.0.1:{free}"), "is a schema registry running there?"),
        ("ftp://registrar:guess@h".to_owned(), "must be the http or https URL of a schema registry"),
        ("registrar:guess@h".to_owned(), "registry: no URL"),
        ("http://registrar:guess@h:x".to_owned(), "registry: the URL's port is not a number"),
    ];
    succeed(&["generate", "email", "-q", "--count", "1", "--seed", "1", "--to", &format!("{}/avro_taken?partitions=1", kafka.url)]);
    for (registry, expected) in cases {
        let start = Instant::now();
        let to = format!("{}/avro_taken?registry={}", kafka.url, escaped(&registry));
        let told = refuse(&["generate", "email", "-q", "-n", "5", "--to", &to]);
        assert!(told.starts_with("error: ") && told.contains(expected) && told.lines().count() == 1, "{registry}: {told}");
        assert!(!told.contains("guess") && !told.contains("sesame"), "{told}");
        assert!(start.elapsed().as_secs() < 20, "{registry}: {:?}", start.elapsed());
    }
}
