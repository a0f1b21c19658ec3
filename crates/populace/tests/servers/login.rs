//! A broker that asks who is there.

use crate::support::{assert_holds, command, reference, refuse, scratch, shared, succeed};
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Instant;

#[test]
fn who_knows_the_password_sends_serves_and_consumes() {
    let (kafka, clickhouse) = shared();
    let url = format!("kafka://populace:open%3Asesame%2F1@{}/login", kafka.ways["login"]);
    let scenario = ["email", "--seed", "31", "-n", "40"];
    let told = succeed(&[&["generate"], &scenario[..], &["--to", &format!("{url}?partitions=2")]].concat());
    assert!(told.contains("rows acknowledged by kafka://populace@127.0.0.1") && !told.contains("sesame"), "{told}");
    let to = format!("{}/login", clickhouse.url);
    let told = succeed(&["consume", "--from", &format!("{url}?group=g-login&dlq=login-dlq"), "--to", &to, "--once"]);
    assert!(told.contains(" 0 dead letters") && !told.contains("sesame"), "{told}");
    assert_holds(clickhouse, "login", &reference("login", &scenario));
    // The connector opens its producer before it says where it listens.
    let data = scratch("login-serve");
    let arguments = ["serve", "--log", &url, "--listen", "127.0.0.1:0", "--data", data.to_str().unwrap()];
    let mut serve = command(&arguments).stderr(Stdio::piped()).spawn().unwrap();
    let mut told = String::new();
    for line in BufReader::new(serve.stderr.take().unwrap()).lines().map_while(Result::ok) {
        told += &line;
        if line.starts_with("log ") {
            break;
        }
    }
    serve.kill().unwrap();
    serve.wait().unwrap();
    assert!(told.contains("kafka://populace@127.0.0.1") && !told.contains("sesame"), "{told}");
}

#[test]
fn who_does_not_is_told_in_seconds() {
    let (kafka, clickhouse) = shared();
    succeed(&["generate", "email", "-q", "--seed", "1", "--count", "1", "--to", &format!("{}/guarded?partitions=1", kafka.url)]);
    let login = &kafka.ways["login"];
    let data = scratch("login-refused");
    let cases = [
        (format!("kafka://populace:guess@{login}/guarded"), "the broker refuses the user or the password"),
        (format!("kafka://nobody:guess@{login}/guarded"), "the broker refuses the user or the password"),
        (format!("kafka://stranger:stranger@{login}/guarded"), "the broker does not allow topic `"),
        (format!("kafka://stranger:stranger@{login}/nowhere?partitions=1"), "the broker does not allow topic `"),
        (format!("kafka://{login}/guarded"), "no broker answers"),
        (format!("kafka://populace:guess@{}/guarded", kafka.address()), "PLAIN mechanism handshake failed"),
    ];
    for (url, expected) in cases {
        let ways: [&[&str]; 4] = [
            &["generate", "email", "-q", "-n", "5", "--to", &url],
            &["stream", "email", "-q", "-n", "5", "--to", &url],
            &["consume", "--from", &url, "--to", &clickhouse.url],
            &["serve", "--log", &url, "--listen", "127.0.0.1:0", "--data", data.to_str().unwrap()],
        ];
        // Nobody who answers takes five seconds, whoever asks.
        for way in if expected.contains("answers") { &ways[..1] } else { &ways } {
            let start = Instant::now();
            let told = refuse(way);
            assert!(told.starts_with("error: ") && told.contains(expected) && told.lines().count() == 1, "{way:?}: {told}");
            assert!(!told.contains("guess") && !told.contains("sesame"), "{told}");
            assert!(start.elapsed().as_secs() < 20, "{way:?}: {:?}", start.elapsed());
        }
    }
}
