//! What is wrong is told in seconds, in one message, with what to do; exit code 2; no password.

use crate::support::{clickhouse, refuse};
use std::net::TcpListener;
use std::time::Instant;

#[test]
fn a_wrong_target_is_told_in_seconds() {
    let clickhouse = clickhouse();
    // A port that nobody listens on.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let wrong_password = clickhouse.url.replace("sendflowr_dev", "guess");
    clickhouse.ask("CREATE DATABASE taken");
    clickhouse.ask("CREATE TABLE taken.email_events (event_id String, event_type String) ENGINE = MergeTree ORDER BY event_id");
    clickhouse.ask("CREATE DATABASE forgetful");
    clickhouse.ask("CREATE TABLE forgetful.users (user_id Int64) ENGINE = MergeTree ORDER BY user_id");
    let cases = [
        ("email", "localhost:9092".to_owned(), "there is no `://`"),
        ("email", "ftp://localhost/x".to_owned(), "there is no sink `ftp`"),
        ("email", format!("clickhouse://u:secret@127.0.0.1:{free}/x"), "is ClickHouse running there?"),
        ("email", wrong_password, "the server refuses the user or the password"),
        ("email", format!("{}/taken", clickhouse.url), "column `event_id` of table `email_events` is String, not UUID; rename the table"),
        ("churn", format!("{}/forgetful", clickhouse.url), "table `users` has no column"),
        ("email", format!("http://127.0.0.1:{free}"), "start one with `populace serve`"),
        (
            "email",
            format!("http://{}", clickhouse.address()),
            "the connector asks for a token: give it in the environment variable POPULACE_TOKEN",
        ),
        ("email", "https://127.0.0.1:1".to_owned(), "built without TLS for HTTP; build it with --features http-tls"),
        ("churn", "http://127.0.0.1:1".to_owned(), "a connector takes the events of email; this is churn"),
    ];
    for (scenario, url, expected) in cases {
        let start = Instant::now();
        let told = refuse(&["generate", scenario, "-q", "-n", "5", "--to", &url]);
        assert!(told.starts_with("error: ") && told.contains(expected), "{url}: {told}");
        assert!(!told.contains("secret") && !told.contains("guess"), "{told}");
        assert!(start.elapsed().as_secs() < 20, "{url}: {:?}", start.elapsed());
    }
}

#[test]
fn a_table_of_another_shape_leaves_everything_as_it_is() {
    let clickhouse = clickhouse();
    clickhouse.ask("CREATE DATABASE half");
    clickhouse.ask("CREATE TABLE half.users (recipient_id String) ENGINE = MergeTree ORDER BY recipient_id");
    let told = refuse(&["generate", "churn", "-q", "-n", "5", "--to", &format!("{}/half", clickhouse.url)]);
    assert!(told.contains("table `users` has no column"), "{told}");
    assert_eq!(clickhouse.ask("SELECT name FROM system.tables WHERE database = 'half'"), "users");
}

#[cfg(feature = "kafka")]
#[test]
fn a_wrong_broker_or_topic_is_told_in_seconds() {
    let (kafka, clickhouse) = crate::support::shared();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let cases = [
        (format!("kafka://127.0.0.1:{free}/x"), "no broker answers"),
        (format!("{}/nowhere", kafka.url), "there is no topic `nowhere`; create it, or add ?partitions=N"),
        (format!("{}/x?acks=0", kafka.url), "there is no option `acks`"),
        (format!("{}/x?partitions=0", kafka.url), "partitions must be a whole number from 1"),
        (format!("{}/x?partitions=many", kafka.url), "partitions must be a whole number from 1"),
        (format!("{}/x?partitions=4294967295", kafka.url), "partitions must be at most 10000"),
        (format!("{}/x%20y", kafka.url), "`x y` is not a valid topic name"),
        (format!("{}/x%20y?partitions=1", kafka.url), "`x y` is not a valid topic name"),
        (format!("{}/x/y", kafka.url), "`x/y` is not a valid topic name"),
        (format!("{}/x?tls=maybe", kafka.url), "tls must be true or false"),
        (format!("{}/x?ca=/nowhere", kafka.url), "ca=FILE needs tls=true"),
        (format!("{}/x?mechanism=PLAIN", kafka.url), "mechanism needs a user"),
        (format!("kafka://u:secret@{}/x?mechanism=SCRAM", kafka.address()), "mechanism must be PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"),
        (format!("kafka://u@{}/x", kafka.address()), "a user needs a password"),
        ("kafka://127.0.0.1:port/x".to_owned(), "port is not a number from 1 to 65535"),
        ("kafka://127.0.0.1:0/x".to_owned(), "port is not a number from 1 to 65535"),
        ("kafka://127.0.0.1:70000/x".to_owned(), "port is not a number from 1 to 65535"),
        ("kafka://u:sec%ret@127.0.0.1/x".to_owned(), "`%` without two hexadecimal digits"),
    ];
    for (url, expected) in cases {
        let start = Instant::now();
        let told = refuse(&["generate", "email", "-q", "-n", "5", "--to", &url]);
        assert!(told.starts_with("error: ") && told.contains(expected), "{url}: {told}");
        assert!(start.elapsed().as_secs() < 20, "{url}: {:?}", start.elapsed());
        let told = refuse(&["consume", "--from", &url, "--to", &clickhouse.url]);
        assert!(told.starts_with("error: ") && told.contains(expected) && !told.contains("secret"), "{url}: {told}");
    }
    let own = "cannot take its own dead letters, which would be read again for ever; name another with ?dlq=TOPIC";
    for (topic, expected) in [
        ("x?dlq=x", own),
        ("email-events-dlq", own),
        ("?dlq=email-events", own),
        ("x?dlq=", "dlq must not be empty"),
        ("x?group=", "group must not be empty"),
    ] {
        let told = refuse(&["consume", "--from", &format!("{}/{topic}", kafka.url), "--to", &clickhouse.url]);
        assert!(told.starts_with("error: ") && told.contains(expected), "{topic}: {told}");
    }
}
