//! Runs that are interrupted, gone on with, refused and replaced.

use super::support::{Scratch, assert_same, command, files, generate, manifest, populace, succeed, text};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

fn start(scenario: &str, directory: &Path, more: &[&str]) -> Child {
    let arguments = [&["generate", scenario, "-s", "7", "-q", "-o", directory.to_str().unwrap()], more].concat();
    command(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Whether an unfinished file holds bytes. Files come and go meanwhile.
fn holds_data(directory: &Path) -> bool {
    let Ok(entries) = fs::read_dir(directory) else { return false };
    entries.flatten().map(|entry| entry.path()).any(|path| {
        let is_unfinished = path.extension().is_some_and(|ending| ending == "partial");
        path.is_dir() && holds_data(&path) || is_unfinished && fs::metadata(&path).is_ok_and(|file| file.len() > 0)
    })
}

/// Waits until the run has written something, and for a moment more.
fn wait_for_data(directory: &Path, child: &mut Child, moment: Duration) {
    let until = Instant::now() + Duration::from_mins(1);
    while !(directory.join(".populace").is_dir() && holds_data(directory)) {
        assert!(Instant::now() < until && child.try_wait().unwrap().is_none(), "the run is killed while it runs");
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(moment);
}

/// How often a run is killed before it is let through: `POPULACE_KILLS=50 cargo test -p populace --test cli killed` is the long form.
fn kills() -> u64 {
    std::env::var("POPULACE_KILLS").map_or(2, |count| count.parse().expect("POPULACE_KILLS is a number"))
}

#[test]
fn a_killed_run_resumes_to_the_same_bytes() {
    let scratch = Scratch::new("kill");
    for (scenario, users, more) in [
        ("traces", "60000", &["-f", "csv"][..]),
        ("churn", "6000", &["-f", "csv"]),
        ("traces", "60000", &["-f", "parquet", "--file-rows", "200000", "-j", "3"]),
        ("churn", "6000", &["-f", "jsonl", "--compression", "zstd"]),
        ("traces", "30000", &["-f", "csv", "--order", "time"]),
        ("churn", "6000", &["-f", "csv", "--parts", "3"]),
    ] {
        let more = [&["-n", users], more].concat();
        let name = format!("{scenario}-{}", more.join(""));
        let (whole, killed) = (scratch.path(&format!("{name}-whole")), scratch.path(&format!("{name}-killed")));
        generate(scenario, &whole, &[&["-s", "7"], &more[..]].concat());
        for kill in 0..kills() {
            let mut child = start(scenario, &killed, &[&more[..], if killed.exists() { &["--resume"] } else { &[] }].concat());
            wait_for_data(&killed, &mut child, Duration::from_millis(10 + 240 * kill % 1_000));
            child.kill().unwrap();
            child.wait().unwrap();
            if killed.join("manifest.json").exists() {
                break;
            }
        }
        generate(scenario, &killed, &[&["-s", "7", "--resume"], &more[..]].concat());
        assert_same(&whole, &killed, &name);
        for key in ["run", "tables", "tally", "clipped"] {
            assert_eq!(manifest(&whole)[key], manifest(&killed)[key], "{name}: {key}");
        }
        for path in [whole, killed] {
            fs::remove_dir_all(path).unwrap();
        }
    }
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_says_how_to_go_on() {
    let scratch = Scratch::new("interrupt");
    let path = scratch.path("run");
    let arguments = ["generate", "traces", "-n", "500000", "-f", "csv", "-o", path.to_str().unwrap()];
    let mut child = command(&arguments).stderr(Stdio::piped()).spawn().unwrap();
    wait_for_data(&path, &mut child, Duration::from_millis(50));
    let sent = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let output = child.wait_with_output().unwrap();
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{message}");
    assert!(message.contains("interrupted: ") && message.contains("--resume goes on"), "{message}");
    assert!(!path.join("manifest.json").exists());
    assert!(!path.join("calls.csv").exists(), "a file that is not complete has not its name");
    // The seed that was drawn stands on record.
    succeed(&["generate", "traces", "-n", "500000", "-f", "csv", "-o", path.to_str().unwrap(), "--resume"]);
    assert!(path.join("manifest.json").exists());

    fs::write(path.join("sessions.csv"), "damaged").unwrap();
    for arguments in [&["inspect"][..], &["generate", "traces", "-n", "500000", "-f", "csv", "--resume", "-o"]] {
        let damaged = populace(&[arguments, &[path.to_str().unwrap()]].concat());
        assert_eq!(damaged.status.code(), Some(2));
        assert!(text(&damaged.stderr).contains("sessions.csv has 7 bytes instead of"), "{}", text(&damaged.stderr));
    }
}

#[cfg(unix)]
#[test]
fn a_terminated_run_ends_as_an_interrupted_one() {
    let scratch = Scratch::new("terminate");
    let path = scratch.path("run");
    let arguments = ["generate", "traces", "-n", "500000", "-f", "csv", "-o", path.to_str().unwrap()];
    let mut child = command(&arguments).stderr(Stdio::piped()).spawn().unwrap();
    wait_for_data(&path, &mut child, Duration::from_millis(50));
    let sent = std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let output = child.wait_with_output().unwrap();
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(143), "{message}");
    assert!(message.contains("interrupted: ") && message.contains("--resume goes on"), "{message}");
    assert!(!path.join("manifest.json").exists() && !path.join("calls.csv").exists());
    succeed(&["generate", "traces", "-n", "500000", "-f", "csv", "-o", path.to_str().unwrap(), "--resume"]);
    assert!(path.join("manifest.json").exists());
}

#[test]
fn two_identical_runs_have_equal_manifests_and_logs_of_their_own() {
    let scratch = Scratch::new("identical");
    let [one, other] = ["one", "other"].map(|name| scratch.path(name));
    for (path, threads) in [(&one, "1"), (&other, "3")] {
        generate("traces", path, &["-n", "300", "-s", "7", "-j", threads]);
        let shown: serde_json::Value = serde_json::from_slice(&succeed(&["inspect", path.to_str().unwrap(), "--json"]).stdout).unwrap();
        assert!(shown["wall_seconds"].as_f64().unwrap() > 0.0 && path.join("run.log").exists());
    }
    assert_same(&one, &other, "two identical runs, manifests included");
}

#[cfg(unix)]
#[test]
fn a_file_that_cannot_grow_is_named_and_the_run_can_go_on() {
    let scratch = Scratch::new("full");
    for (format, compression) in [("csv", "none"), ("jsonl", "zstd"), ("csv", "gzip"), ("parquet", "zstd"), ("arrow", "none")] {
        let (whole, path) = (scratch.path(&format!("{format}-{compression}-whole")), scratch.path(&format!("{format}-{compression}")));
        let run = ["churn", "-n", "400", "-d", "60", "-s", "7", "-f", format, "--compression", compression];
        generate(run[0], &whole, &run[1..]);
        // As on a full disk, writing fails beyond 32 KiB.
        let mut limited = std::process::Command::new("sh");
        limited.args(["-c", "trap '' XFSZ; ulimit -f 64; exec \"$@\"", "sh"]).arg(command(&[]).get_program());
        let output = limited.args(["generate", "-q", "-o"]).arg(&path).args(run).stdin(Stdio::null()).output().unwrap();
        let (message, shown) = (text(&output.stderr), path.display());
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.starts_with(&format!("error: {shown}/")) && message.contains(&format!(".{format}")), "{message}");
        assert!(message.contains(&format!("hint: {shown} holds what was written; the same command with --resume goes on")), "{message}");
        generate(run[0], &path, &[&run[1..], &["--resume"]].concat());
        assert_same(&whole, &path, format);
    }
}

#[test]
fn a_directory_that_is_removed_while_it_is_written_is_reported_and_not_made_again() {
    let scratch = Scratch::new("removed");
    let path = scratch.path("run");
    let arguments = ["generate", "traces", "-n", "500000", "-f", "csv", "-q", "-o", path.to_str().unwrap()];
    let mut child = command(&arguments).stderr(Stdio::piped()).spawn().unwrap();
    wait_for_data(&path, &mut child, Duration::from_millis(50));
    while path.exists() {
        // The run may make a file meanwhile.
        let _ = fs::remove_dir_all(&path);
    }
    let output = child.wait_with_output().unwrap();
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains("no longer holds the run") && message.contains("without --resume starts it again"), "{message}");
    assert!(!path.exists());
}

#[test]
fn an_existing_run_is_left_alone_unless_told_otherwise() {
    let scratch = Scratch::new("existing");
    let path = scratch.path("run");
    let shown = path.to_str().unwrap();
    generate("churn", &path, &["-n", "20"]);
    let before = files(&path);
    let refused = populace(&["generate", "churn", "-n", "30", "-o", shown]);
    assert_eq!(refused.status.code(), Some(2));
    assert_eq!(
        text(&refused.stderr),
        format!("error: {shown} holds a complete run; use --overwrite to replace it, or another directory with -o\n")
    );
    let other = populace(&["generate", "churn", "-n", "30", "-o", shown, "--resume"]);
    assert_eq!(other.status.code(), Some(2));
    assert!(text(&other.stderr).contains("users 20 instead of 30"), "{}", text(&other.stderr));
    assert_eq!(before, files(&path));

    let complete = succeed(&["generate", "churn", "-n", "20", "-o", shown, "--resume"]);
    assert_eq!(text(&complete.stderr), format!("{shown} is complete already\n"));

    fs::write(path.join("notes.txt"), "mine").unwrap();
    generate("churn", &path, &["-n", "30", "-f", "parquet", "--overwrite"]);
    let after: Vec<String> = files(&path).into_keys().collect();
    assert_eq!(after, ["events.parquet", "manifest.json", "notes.txt", "scenario.yaml", "truth/users.parquet", "users.parquet"]);
    assert_eq!(manifest(&path)["run"]["users"], 30);
}

#[test]
fn files_of_somebody_else_are_not_touched() {
    let scratch = Scratch::new("strangers");
    let path = scratch.path("run");
    fs::create_dir_all(&path).unwrap();
    fs::write(path.join("events.csv"), "mine").unwrap();
    let refused = populace(&["generate", "churn", "-n", "20", "-o", path.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("is not part of a known run"), "{}", text(&refused.stderr));
    let overwrite = populace(&["generate", "churn", "-n", "20", "-o", path.to_str().unwrap(), "--overwrite"]);
    assert_eq!(overwrite.status.code(), Some(2));
    assert_eq!(files(&path).into_iter().collect::<Vec<_>>(), [("events.csv".to_owned(), b"mine".to_vec())]);
}

#[test]
fn one_table_goes_to_standard_output_and_a_closed_pipe_ends_it_quietly() {
    let scratch = Scratch::new("stdout");
    let path = scratch.path("run");
    generate("churn", &path, &["-n", "20"]);
    let events = succeed(&["generate", "churn", "-n", "20", "-o", "-"]);
    assert_eq!(events.stdout, fs::read(path.join("events.csv")).unwrap());
    let truth = succeed(&["generate", "churn", "-n", "20", "-o", "-", "--table", "truth/users", "-f", "jsonl"]);
    assert_eq!(text(&truth.stdout).lines().count(), 20);

    for format in ["csv", "jsonl", "parquet", "arrow"] {
        let mut child = command(&["generate", "traces", "-n", "200000", "-s", "1", "-o", "-", "-f", format])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = Vec::new();
        BufReader::new(child.stdout.take().unwrap()).read_until(b'\n', &mut first).unwrap();
        assert!(!first.is_empty());
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()), "{format}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn nobody_listening_on_standard_error_is_no_failure() {
    let scratch = Scratch::new("deaf");
    let full = || Stdio::from(fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
    let path = scratch.path("run");
    let made = command(&["generate", "traces", "-n", "5", "-o", path.to_str().unwrap()]).stderr(full()).status().unwrap();
    assert_eq!(made.code(), Some(0));
    assert!(path.join("manifest.json").exists());
    assert_eq!(command(&["generate", "nosuch"]).stderr(full()).status().unwrap().code(), Some(2));
}

#[test]
fn a_dry_run_counts_what_a_run_writes_and_writes_nothing() {
    let scratch = Scratch::new("dry");
    for (scenario, users) in super::support::SCENARIOS {
        let path = scratch.path(scenario);
        generate(scenario, &path, &["-n", users, "-s", "7"]);
        let dry = scratch.path(&format!("{scenario}-dry"));
        let output = succeed(&["generate", scenario, "-n", users, "-s", "7", "--dry-run", "--json", "-o", dry.to_str().unwrap()]);
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        for (name, table) in manifest(&path)["tables"].as_object().unwrap() {
            assert_eq!(report["tables"][name]["rows"], table["rows"], "{scenario} {name}");
        }
        assert!(!dry.exists());
    }
}

#[test]
fn truth_stays_apart() {
    let scratch = Scratch::new("truth");
    for (scenario, users) in super::support::SCENARIOS {
        let path = scratch.path(scenario);
        generate(scenario, &path, &["-n", users, "-s", "7", "-f", "csv", "--no-truth"]);
        assert!(files(&path).keys().all(|name| !name.starts_with("truth/")), "{scenario}");
    }
    let path = scratch.path("latent");
    generate("churn", &path, &["-n", "20", "-f", "csv", "--no-latent"]);
    let files = files(&path);
    assert!(!text(&files["users.csv"]).contains("engagement"));
    assert!(text(&files["truth/users.csv"]).contains("engagement"));
}

/// Whatever changes data is in the document, so that no run can mix files with and without it.
#[test]
fn parts_with_and_without_the_latent_column_are_two_runs() {
    let scratch = Scratch::new("latent-parts");
    let path = scratch.path("run");
    let (shown, whole) = (path.to_str().unwrap(), ["churn", "-n", "40", "--parts", "2"]);
    succeed(&[&["generate", "-q", "-o", shown, "--part", "0"], &whole[..]].concat());
    for other in [&["--part", "1", "--no-latent"][..], &["--resume", "--set", "engagement.observed=false"]] {
        let mixed = populace(&[&["generate", "-q", "-o", shown], &whole[..], other].concat());
        assert_eq!(mixed.status.code(), Some(2));
        assert!(text(&mixed.stderr).contains("scenario_digest"), "{}", text(&mixed.stderr));
    }
    succeed(&[&["generate", "-q", "-o", shown, "--part", "1"], &whole[..]].concat());

    // The document of the run says so: made again from it alone, the data is the same.
    let (without, again) = (scratch.path("without"), scratch.path("again"));
    generate("churn", &without, &["-n", "40", "--no-latent"]);
    generate(without.join("scenario.yaml").to_str().unwrap(), &again, &[]);
    assert_same(&without, &again, "made again from its own document");
    assert_ne!(manifest(&without)["run"]["scenario_digest"], manifest(&path)["run"]["scenario_digest"]);
}

#[test]
fn parts_that_begin_at_one_moment_are_one_run() {
    let scratch = Scratch::new("parts-at-once");
    let alone = scratch.path("alone");
    generate("email", &alone, &["--users", "60", "--days", "3", "--seed", "1", "--parts", "6"]);
    for round in 0..5 {
        let data = scratch.path(&format!("data-{round}"));
        let begin = |part: u32| {
            let part = part.to_string();
            let (start, to) = (["generate", "email", "--users", "60", "--days", "3", "--seed", "1", "-q", "-o"], data.to_str().unwrap());
            let mut command = command(&[&start[..], &[to, "--parts", "6", "--part", &part]].concat());
            command.stderr(Stdio::piped()).spawn().unwrap()
        };
        let begun: Vec<Child> = (0..6).map(begin).collect();
        for child in begun {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{}", text(&output.stderr));
        }
        assert_same(&alone, &data, "parts that began at once");
        assert!(!data.join(".populace").exists());
    }
}
