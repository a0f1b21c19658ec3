//! The services and the whole flow in one process.

use super::support::{Scratch, command, populace, succeed, text};
use populace_flow::Event;
use populace_flow::client::{Answer, post, send};
use populace_flow::service::Embedded;
use populace_flow::table::{DeadLetters, EventTable};
use serde_json::json;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// `populace serve --embedded`, killed when it is dropped.
struct Server {
    child: Child,
    connector: SocketAddr,
    features: SocketAddr,
}

impl Server {
    fn start(data: &Path, more: &[&str]) -> Self {
        let arguments =
            ["serve", "--embedded", "--data", data.to_str().unwrap(), "--listen", "127.0.0.1:0", "--features-listen", "127.0.0.1:0"];
        Self::spawn(command(&[&arguments, more].concat()))
    }

    fn spawn(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut address = |name: &str| -> SocketAddr {
            let line = lines.find(|line| line.as_ref().unwrap().starts_with(name)).unwrap().unwrap();
            line.split_whitespace().nth(1).unwrap().strip_prefix("http://").unwrap().parse().unwrap()
        };
        let (connector, features) = (address("connector"), address("features"));
        // Somebody must read on, or the program would wait.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, connector, features }
    }

    fn post(&self, path: &str, body: &str) -> Answer {
        post(self.connector, path, body).unwrap()
    }

    fn get(&self, path: &str) -> Answer {
        send(self.connector, "GET", path, &[], b"").unwrap()
    }

    /// A figure of `/metrics`.
    fn figure(&self, name: &str) -> usize {
        let page = self.get("/metrics").body;
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned)).unwrap();
        line.parse().unwrap()
    }

    /// Waits until the table has so many events.
    fn has_stored(&self, events: usize) {
        let until = Instant::now() + Duration::from_mins(1);
        while self.figure("populace_table_events") < events {
            assert!(Instant::now() < until, "{} of {events}", self.figure("populace_table_events"));
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn visit(number: usize) -> String {
    let event = json!({
        "event_id": format!("018cc251-f400-7cde-8f00-{number:012x}"), "event_type": "site_visit", "timestamp": "2026-01-31T09:15:00.123Z",
        "esp": "internal", "recipient_email": format!("user{}@example.com", 2_000 + number % 50), "campaign_id": "hot_path",
        "campaign_name": "Hot path", "source": "website",
    });
    event.to_string()
}

#[test]
fn the_demonstration_accounts_for_every_message() {
    let scratch = Scratch::new("flow-demo");
    let data = scratch.path("data");
    let arguments = ["flow", "demo", "--count", "500", "--seed", "7", "--data", data.to_str().unwrap()];
    let output = succeed(&arguments);
    let printed = text(&output.stdout);
    let expected = ["in the log           506", "in the table         505", "known                  0", "dead letters           1"];
    for line in expected {
        assert!(printed.contains(line), "{line}: {printed}");
    }
    assert!(printed.contains("in = stored + known + dead: holds"), "{printed}");
    // Once more: other events at another moment, but the webhook is known.
    assert!(text(&succeed(&arguments).stdout).contains("dead letters           1"));
}

#[test]
fn an_interrupted_demonstration_leaves_nothing_behind() {
    let scratch = Scratch::new("flow-interrupted");
    let temporary = scratch.path("temporary");
    std::fs::create_dir(&temporary).unwrap();
    let left = || std::fs::read_dir(&temporary).unwrap().count();
    let mut demo = command(&["flow", "demo", "--count", "1000000"]);
    let child = demo.env("TMPDIR", &temporary).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let until = Instant::now() + Duration::from_mins(1);
    while left() == 0 {
        assert!(Instant::now() < until, "it does not begin");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let told = text(&output.stderr);
    assert_eq!((output.status.code(), told.trim()), (Some(130), "interrupted: nothing is left behind"));
    assert_eq!(left(), 0);
}

#[test]
fn a_server_without_the_keys_of_its_people_does_not_start() {
    let scratch = Scratch::new("flow-keys");
    let data = scratch.path("data");
    let secret = |digit: &str| digit.repeat(64);
    let file = |name: &str, lines: String| {
        let path = scratch.path(name);
        std::fs::write(&path, lines).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let first = file("first", format!("k1 {}\n", secret("1")));
    let both = file("both", format!("k2 {}\nk1 {}\n", secret("2"), secret("1")));
    let other = file("other", format!("k3 {}\n", secret("3")));
    let resolve = |keys: &[&str]| {
        let server = Server::start(&data, keys);
        server.post("/api/identity/resolve", r#"{"identifiers":[{"email":"user1@example.com"}]}"#).json()
    };
    let refused = |keys: &[&str]| {
        let arguments =
            ["serve", "--embedded", "--data", data.to_str().unwrap(), "--listen", "127.0.0.1:0", "--features-listen", "127.0.0.1:0"];
        let output = populace(&[&arguments, keys].concat());
        let told = text(&output.stderr);
        assert!(output.status.code() == Some(2) && told.contains("known under key k1") && told.contains("--identity-key-file"), "{told}");
    };
    let made = resolve(&["--identity-key-file", &first]);
    assert_eq!(made["outcome"], "new");
    refused(&["--identity-key-file", &other]);
    refused(&[]);
    let demo = populace(&["flow", "demo", "--count", "1", "--data", data.to_str().unwrap()]);
    assert!(demo.status.code() == Some(2) && text(&demo.stderr).contains("known under key k1"), "{}", text(&demo.stderr));
    let again = resolve(&["--identity-key-file", &both]);
    assert_eq!((&again["outcome"], &again["universal_id"]), (&json!("known"), &made["universal_id"]));
}

#[test]
fn what_was_acknowledged_is_in_the_table_once_though_the_server_was_killed_again_and_again() {
    let scratch = Scratch::new("flow-kill");
    let data = scratch.path("data");
    let mut acknowledged = 0;
    let rounds = 4;
    for round in 0..rounds {
        let server = Server::start(&data, &["--rate", "100000"]);
        let connector = server.connector;
        let sender = std::thread::spawn(move || {
            // From the first event that has no answer yet: what has no answer is sent again.
            let mut next = acknowledged;
            while let Ok(answer) = post(connector, "/api/mock/events/synthetic", &format!("[{},{}]", visit(next), visit(next + 1))) {
                assert_eq!(answer.status, 200, "{}", answer.body);
                next += 2;
            }
            next
        });
        std::thread::sleep(Duration::from_millis(300 + 130 * round));
        // SIGKILL, in the middle of whatever it does.
        drop(server);
        acknowledged = sender.join().unwrap();
    }
    assert!(acknowledged > 0);
    let flow = Embedded::open(&data).unwrap();
    let counts = flow.consume(true, &AtomicBool::new(false)).unwrap();
    assert!(counts.balanced(), "{counts:?}");
    let stored = EventTable::count(flow.table.as_ref()).unwrap() as usize;
    // One batch may have been in the log when the server was killed before it answered.
    assert!(stored == acknowledged || stored == acknowledged + 2, "{stored} stored, {acknowledged} acknowledged");
    let ids = (0..acknowledged).map(|number| format!("018cc251-f400-7cde-8f00-{number:012x}").parse().unwrap()).collect::<Vec<_>>();
    assert_eq!(flow.table.known(&ids).unwrap().len(), acknowledged);
    assert_eq!(DeadLetters::count(flow.table.as_ref()).unwrap(), 0);
}

#[test]
fn a_request_to_terminate_ends_what_was_begun() {
    let scratch = Scratch::new("flow-end");
    let data = scratch.path("data");
    let mut server = Server::start(&data, &[]);
    assert_eq!(server.post("/api/mock/events/generate?count=2000&seed=1", "").status, 200);
    let killed = std::process::Command::new("kill").args(["-TERM", &server.child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let start = Instant::now();
    assert_eq!(server.child.wait().unwrap().code(), Some(143));
    assert!(start.elapsed() < Duration::from_secs(30));
    let flow = Embedded::open(&data).unwrap();
    flow.consume(true, &AtomicBool::new(false)).unwrap();
    assert_eq!(EventTable::count(flow.table.as_ref()).unwrap(), 2_000);
}

#[test]
fn features_are_computed_from_what_is_stored() {
    let scratch = Scratch::new("flow-features");
    let server = Server::start(&scratch.path("data"), &[]);
    let unknown = send(server.features, "GET", "/features/sf_zibadpwptzraqjc5y2s24jmkdn", &[], b"").unwrap();
    assert_eq!(unknown.status, 404);
    assert_eq!(server.post("/api/mock/events/pattern?userId=synth_user_01000&seed=1", "").status, 200);
    let until = Instant::now() + Duration::from_mins(1);
    let features = loop {
        let computed = post(server.features, "/compute-features", "").unwrap();
        // 404 as long as nothing is stored yet.
        assert!([200, 404].contains(&computed.status), "{}", computed.body);
        let found = send(server.features, "GET", "/features/sf_zibadpwptzraqjc5y2s24jmkdn", &[], b"").unwrap();
        if found.status == 200 {
            break found.json();
        }
        assert!(Instant::now() < until, "{}", computed.body);
        std::thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(features["clicks_30d"], 1, "{features}");
}

#[test]
fn wrong_arguments_end_with_what_to_do() {
    let scratch = Scratch::new("flow-wrong");
    let data = scratch.path("data");
    let refuse = |arguments: &[&str], told: &str| {
        let output = populace(arguments);
        let errors = text(&output.stderr);
        assert!(output.status.code() == Some(2) && errors.contains(told), "{arguments:?}: {errors}");
    };
    let directory = data.to_str().unwrap();
    refuse(&["serve"], "give --embedded");
    #[cfg(feature = "kafka")]
    refuse(
        &["serve", "--log", "kafka://127.0.0.1:1/events", "--data", directory, "--features-listen", "127.0.0.1:0"],
        "--features-listen: there is nothing to compute features from; give the table",
    );
    refuse(&["serve", "--embedded", "--data", directory, "--listen", "0.0.0.0:0"], "POPULACE_TOKEN");
    let server = Server::start(&data, &[]);
    let free = ["--listen", "127.0.0.1:0", "--features-listen", "127.0.0.1:0"];
    refuse(&[&["serve", "--embedded", "--data", directory], &free[..]].concat(), "another process serves this directory");
    let other = scratch.path("other");
    let taken = server.connector.to_string();
    refuse(&["serve", "--embedded", "--data", other.to_str().unwrap(), "--listen", &taken], "is another program listening there?");
    assert!(!other.exists(), "nothing is made where nothing can be served");
    refuse(&["serve", "--embedded", "--token-file", "/no/such/file"], "/no/such/file");
    refuse(&["serve", "--embedded", "--webhook-key-file", "/no/such/file"], "/no/such/file");
    for host in ["hooks", "https://hooks.example.com", "hooks.example.com:443", ".com", ""] {
        refuse(&["serve", "--embedded", "--allow-host", host], "must be the name of a host");
    }
    for limit in ["mailchimp=1,1", "sendgrid=1", "sendgrid=0,1", "sendgrid=1,many"] {
        refuse(&["serve", "--embedded", "--webhook-limit", limit], "must be PROVIDER=BYTES,EVENTS");
    }
    refuse(&["flow", "demo", "--count", "0"], "must be a whole number from 1 to 1,000,000");
}

#[test]
fn what_generate_sends_is_stored_once_and_its_features_are_those_of_its_files() {
    let scratch = Scratch::new("flow-sent");
    let server = Server::start(&scratch.path("data"), &["--rate", "100000"]);
    let to = format!("http://{}", server.connector);
    let run = ["generate", "email", "--users", "5", "--days", "20", "--seed", "4", "-q"];
    for _ in 0..2 {
        succeed(&[&run[..], &["--to", &to]].concat());
    }
    let files = scratch.path("files");
    succeed(&[&run[..], &["--format", "jsonl", "-o", files.to_str().unwrap()]].concat());
    let rows = std::fs::read_to_string(files.join("events.jsonl")).unwrap().lines().count();
    server.has_stored(rows);
    // The second time, each request is known by its key.
    assert_eq!(server.figure("populace_events_published_total"), rows);
    assert!(server.figure("populace_requests_replayed_total") > 0);

    let over_files = Server::start(&scratch.path("other"), &["--features-from", files.to_str().unwrap()]);
    // Of a run, features are as of the end of its window; a table knows no window.
    for (at, path) in [(server.features, "/compute-features?as_of=2025-10-21T00:00:00Z"), (over_files.features, "/compute-features")] {
        assert_eq!(post(at, path, "").unwrap().json()["events"], rows);
        let features = send(at, "GET", "/features/sf_zibadpwptzraqjc5y2s24jmkdn", &[], b"").unwrap().json();
        assert_eq!(features["curve"].as_array().unwrap().len(), 10_080);
    }
    let of = |at: SocketAddr| send(at, "GET", "/features/sf_zibadpwptzraqjc5y2s24jmkdn", &[], b"").unwrap().json();
    assert_eq!(of(server.features), of(over_files.features));
    let by_command = scratch.path("features");
    succeed(&["features", files.to_str().unwrap(), "-o", by_command.to_str().unwrap()]);
    let read = |path: PathBuf| std::fs::read(path).unwrap();
    assert!(read(by_command.join("features.parquet")) == read(scratch.path("other").join("features/features.parquet")));

    // As of a moment amid the data, later events do not count.
    let as_of = "/compute-features?as_of=2025-10-10T00:00:00Z";
    let reports = [server.features, over_files.features].map(|at| post(at, as_of, "").unwrap().json());
    for report in &reports {
        assert_eq!((&report["computed_at"], &report["later"]), (&json!("2025-10-10T00:00:00Z"), &reports[0]["later"]), "{report}");
        let later = report["later"].as_u64().unwrap() as usize;
        assert!(0 < later && later < rows, "{report}");
    }
    assert_eq!(of(server.features), of(over_files.features));
    let then = ["features", files.to_str().unwrap(), "-o", by_command.to_str().unwrap(), "--overwrite", "--as-of", "2025-10-10"];
    succeed(&then);
    assert!(read(by_command.join("features.parquet")) == read(scratch.path("other").join("features/features.parquet")));
    for wrong in ["soon", "2025-13-01", "", "2025-10-10T00:00:00Z&as_of=2025-10-11T00:00:00Z"] {
        let answer = post(server.features, &format!("/compute-features?as_of={wrong}"), "").unwrap();
        assert_eq!(answer.status, 400, "{wrong}: {}", answer.body);
    }
}

#[test]
fn no_text_that_the_program_makes_is_taken_for_an_address() {
    let scratch = Scratch::new("flow-taken");
    let (mut tried, mut texts) = (0, std::collections::BTreeSet::new());
    for scenario in ["email", "email-v1"] {
        let files = scratch.path(scenario);
        succeed(&[
            "generate",
            scenario,
            "-n",
            "400",
            "-d",
            "20",
            "-s",
            "4",
            "-q",
            "-f",
            "jsonl",
            "--table",
            "events",
            "-o",
            files.to_str().unwrap(),
        ]);
        for line in std::fs::read_to_string(files.join("events.jsonl")).unwrap().lines() {
            let event = Event::from_slice(line.as_bytes()).unwrap_or_else(|problems| panic!("{line}: {problems:?}"));
            texts.extend([event.click_url, event.subject, event.user_agent].into_iter().flatten().map(std::borrow::Cow::into_owned));
            texts.extend([event.campaign_name, event.campaign_id, event.source].map(std::borrow::Cow::into_owned));
            tried += 1;
        }
    }
    println!("{tried} events with {} different texts, none refused", texts.len());
    assert!(texts.len() > 20, "{texts:?}");
}

/// No file of a process may grow, as on a full disk; and then any may again.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_reported_by_every_write_and_what_was_acknowledged_is_stored_afterwards() {
    let scratch = Scratch::new("flow-full");
    let data = scratch.path("data");
    let listen = ["--listen", "127.0.0.1:0", "--features-listen", "127.0.0.1:0", "--rate", "100000"];
    let serve = command(&[&["serve", "--embedded", "--data", data.to_str().unwrap()], &listen[..]].concat());
    // A write beyond the limit is an error, as it is beyond the end of a disk, and no signal.
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(serve.get_program()).args(serve.get_args()).stdin(Stdio::null());
    let mut server = Server::spawn(shell);
    let limit = |bytes: &str| {
        let process = server.child.id().to_string();
        let limited = Command::new("prlimit").args(["--pid", &process, &format!("--fsize={bytes}:")]).status();
        assert!(limited.expect("prlimit of util-linux").success());
    };
    let rounds = std::env::var("POPULACE_ATTACK_ROUNDS").map_or(2, |rounds| rounds.parse().unwrap());
    let events = |from: usize| format!("[{},{}]", visit(from), visit(from + 1));
    let (mut sent, mut refused) = (0, 0);
    for round in 0..rounds {
        assert_eq!(server.post("/api/mock/events/synthetic", &events(sent)).status, 200);
        sent += 2;
        server.has_stored(sent);
        // Nothing of a file may be written, or its first bytes.
        limit(&(round % 5 * 3_000).to_string());
        let ready = server.get("/ready");
        assert!(ready.status == 503 && ready.body.contains("sqlite: "), "{}", ready.body);
        let person = json!({ "identifiers": [{ "email": format!("user{round}@example.com") }, { "email": format!("user{}@example.com", round + 9) }] });
        let webhook = json!([{ "email": "user3@example.com", "timestamp": 1_769_850_900, "event": "open", "sg_event_id": format!("w{round}"), "sg_message_id": "m" }]);
        let writes = [
            ("/api/mock/events/synthetic", events(sent)),
            ("/api/mock/events/generate?count=10&seed=1", String::new()),
            ("/api/mock/events/pattern?userId=synth_user_01000&seed=1", String::new()),
            ("/api/webhooks/sendgrid", webhook.to_string()),
            ("/api/identity/resolve", person.to_string()),
        ];
        for (path, body) in writes {
            let answer = server.post(path, &body);
            assert_eq!((answer.status, answer.field("Retry-After")), (503, Some("1")), "{path}: {}", answer.body);
            refused += 1;
        }
        let computed = post(server.features, "/compute-features", "").unwrap();
        assert_eq!(computed.status, 503, "{}", computed.body);
        assert_eq!(server.get("/health").status, 200);
        assert_eq!(server.get("/metrics").status, 200);
        limit("unlimited");
        let until = Instant::now() + Duration::from_mins(1);
        while server.get("/ready").status != 200 {
            assert!(Instant::now() < until, "{}", server.get("/ready").body);
            std::thread::sleep(Duration::from_millis(50));
        }
        // What was refused is sent again.
        assert_eq!(server.post("/api/mock/events/synthetic", &events(sent)).status, 200);
        sent += 2;
        server.has_stored(sent);
        assert_eq!(post(server.features, "/compute-features", "").unwrap().status, 200);
    }
    assert_eq!((server.figure("populace_table_events"), server.figure("populace_dead_letters")), (sent, 0));
    assert!(server.child.try_wait().unwrap().is_none());
    println!("{rounds} times without room, {refused} writes refused, {sent} events stored");
}
