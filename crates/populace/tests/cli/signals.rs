//! A signal amid the work: exit code 143 for SIGTERM and 130 for Ctrl-C, one line that says what is left, and nothing half-written.

use super::support::{self, Scratch, command, files, generate, text};
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Whether a process catches a signal.
fn catches(process: u32, signal: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    caught.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

/// Starts a command, sends it a signal once it catches it, and gives its exit code and what it has told.
fn stopped(arguments: &[&str], signal: u32) -> (Option<i32>, String) {
    let child = command(arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let (id, until) = (child.id(), Instant::now() + Duration::from_mins(2));
    while !catches(id, signal) {
        assert!(Instant::now() < until, "{arguments:?}: never catches signal {signal}");
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(Duration::from_millis(30));
    assert!(Command::new("kill").args([&format!("-{signal}"), &id.to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    (output.status.code(), text(&output.stderr))
}

#[test]
fn every_command_that_takes_long_ends_by_a_signal_and_says_so() {
    let scratch = Scratch::new("signals");
    let (mail, churn, out) = (scratch.path("mail"), scratch.path("churn"), scratch.path("out"));
    generate("email", &mail, &["-n", "900", "-d", "120", "-s", "3", "-f", "csv"]);
    generate("churn", &churn, &["-n", "2000", "-d", "120", "-s", "3", "-f", "csv"]);
    let predictions = scratch.path("predictions.csv");
    fs::write(&predictions, support::predictions(&mail.join("events.csv"))).unwrap();
    // Takes connections and answers nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("http://{}", silent.local_addr().unwrap());
    let verdicts = scratch.path("verdicts.json");
    let [mail, churn, out, predictions, verdicts] = [&mail, &churn, &out, &predictions, &verdicts].map(|path| path.to_str().unwrap());
    let commands: Vec<(&str, Vec<&str>)> = vec![
        ("generate", vec!["generate", "email", "-n", "200000", "-s", "1", "-q", "-o", out]),
        ("generate by time", vec!["generate", "churn", "-n", "200000", "-s", "1", "-q", "--order", "time", "-o", out]),
        (
            "generate to standard output",
            vec!["generate", "email", "-n", "200000", "-s", "1", "-q", "-f", "csv", "--table", "events", "-o", "-"],
        ),
        ("generate --dry-run", vec!["generate", "email", "-n", "200000", "-s", "1", "-q", "--dry-run"]),
        ("generate --to", vec!["generate", "email", "-s", "1", "-q", "--to", &silent]),
        ("stream", vec!["stream", "email", "-s", "1", "-q", "--speed", "1", "--to", &silent]),
        ("verify", vec!["verify", mail, "--no-progress", "-o", verdicts]),
        ("features", vec!["features", mail, "-q", "-o", out]),
        ("score", vec!["score", "open", mail, predictions]),
        ("report", vec!["report", mail, "-o", out]),
        ("recover", vec!["recover", churn]),
        ("plan", vec!["plan", "email", "--detect", "open_rate", "--pilot-users", "20000"]),
        ("prepare", vec!["prepare", "churn", churn, out, "-q"]),
        #[cfg(feature = "flow")]
        ("flow demo", vec!["flow", "demo", "--count", "1000000"]),
        #[cfg(feature = "flow")]
        ("serve", vec!["serve", "--embedded", "--data", out, "--listen", "127.0.0.1:0", "--features-listen", "127.0.0.1:0"]),
    ];
    for (name, arguments) in &commands {
        for (signal, code) in [(15, 143), (2, 130)] {
            let _ = fs::remove_dir_all(out);
            let start = Instant::now();
            let (ended, told) = stopped(arguments, signal);
            assert_eq!(ended, Some(code), "{name}, signal {signal}: {told}");
            assert!(
                told.lines().filter(|line| line.starts_with("interrupted: ")).count() == 1 && !told.contains("panicked"),
                "{name}: {told}"
            );
            println!("{name}, signal {signal}: {:?}", start.elapsed());
            // What cannot be resumed leaves nothing.
            if !name.starts_with("generate") && *name != "serve" && fs::metadata(out).is_ok() {
                assert!(files(out.as_ref()).is_empty(), "{name}: {:?}", files(out.as_ref()).keys());
            }
        }
    }
    println!("{} commands, each by two signals", commands.len());
}
