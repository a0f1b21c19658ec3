//! The program, killed by the kernel at its n-th write, sync, rename or removal, by means of strace. The short form tries the renames of
//! one run, where strace is installed; `POPULACE_SWEEP=1` is the long form. `dataset::tests` of `populace-io` do the like in one process.

use super::support::{Scratch, assert_same, files, generate, text};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// What the kernel is asked for, by the names of all architectures.
const CALLS: [&str; 4] = ["write", "fsync,fdatasync", "?rename,renameat,renameat2", "?unlink,unlinkat"];

fn binary() -> String {
    std::env::var("POPULACE_BINARY").unwrap_or_else(|_| env!("CARGO_BIN_EXE_populace").to_owned())
}

/// Runs `generate` and kills it at the `n`-th of `calls` of a thread; whether it was killed.
fn killed(calls: &str, n: u32, directory: &Path, arguments: &[&str]) -> bool {
    let inject = format!("inject={calls}:signal=KILL:when={n}");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={calls}"), "-e", &inject, &binary()]);
    strace.args(["generate", "churn", "-n", "40", "-d", "30", "-s", "7", "-q", "-j", "2", "-o"]).arg(directory).args(arguments);
    let output = strace.stdin(Stdio::null()).output().expect("strace is installed");
    assert!(output.status.code() != Some(2), "{}", text(&output.stderr));
    !output.status.success()
}

#[test]
fn a_run_that_is_killed_at_any_call_goes_on_to_the_same_bytes() {
    let is_long = std::env::var_os("POPULACE_SWEEP").is_some();
    if !is_long && Command::new("strace").arg("-V").output().is_err() {
        eprintln!("not tried: strace is not installed");
        return;
    }
    let (orders, parts_of, calls_of) = if is_long { (2, 2, &CALLS[..]) } else { (1, 1, &CALLS[2..3]) };
    let formats: [&[&str]; 5] = [
        &["-f", "csv"],
        &["-f", "jsonl", "--compression", "zstd"],
        &["-f", "csv", "--compression", "gzip"],
        &["-f", "parquet"],
        &["-f", "arrow"],
    ];
    let scratch = Scratch::new("kills");
    let (mut tried, mut replaced) = (0, 0);
    for format in &formats[..if is_long { formats.len() } else { 1 }] {
        for order in &["actor", "time"][..orders] {
            for parts in &["1", "3"][..parts_of] {
                let more = [*format, &["--file-rows", "1024", "--order", order, "--parts", parts]].concat();
                let name = more.join(" ");
                let whole = scratch.path("whole");
                generate("churn", &whole, &[&["-n", "40", "-d", "30", "-s", "7"], &more[..]].concat());
                for calls in calls_of {
                    for n in 1.. {
                        let directory = scratch.path("killed");
                        if !killed(calls, n, &directory, &more) {
                            fs::remove_dir_all(&directory).unwrap();
                            break;
                        }
                        generate("churn", &directory, &[&["-n", "40", "-d", "30", "-s", "7", "--resume"], &more[..]].concat());
                        assert_same(&whole, &directory, &format!("{name}, killed at {calls} {n}"));
                        tried += 1;
                        // The same while it replaces that run.
                        if killed(calls, n, &directory, &[&more[..], &["--overwrite"]].concat()) {
                            let again = if directory.join("manifest.json").exists() { "--overwrite" } else { "--resume" };
                            generate("churn", &directory, &[&["-n", "40", "-d", "30", "-s", "7", again], &more[..]].concat());
                            replaced += 1;
                        }
                        assert_same(&whole, &directory, &format!("{name}, killed at {calls} {n} while it was replaced"));
                        assert!(files(&directory).keys().all(|name| !name.ends_with(".partial") && !name.starts_with(".populace")));
                        fs::remove_dir_all(&directory).unwrap();
                    }
                }
                fs::remove_dir_all(&whole).unwrap();
            }
        }
    }
    eprintln!("killed {tried} times while it wrote and {replaced} times while it replaced, and gone on from each");
}
