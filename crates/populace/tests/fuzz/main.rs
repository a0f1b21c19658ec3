//! Mutated inputs against everything that reads what others bring. Nothing may panic, abort or take memory; an error names its file.
//!
//! Each target is a function of bytes, and its corpus is a folder here. Mutations are drawn from a fixed seed (`POPULACE_FUZZ_SEED`), so that a
//! failure comes again; there is no feedback from coverage. `POPULACE_FUZZ_SECONDS` (1 unless given) or `POPULACE_FUZZ_EXECUTIONS` says how long
//! each goes on.

use populace_analysis::source::{As, TableSource, Want};
use populace_flow::connector::webhooks;
use populace_flow::event::Event;
use populace_io::catalogue;
use populace_io::document::{Request, Source};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The longest input, bytes.
const LONGEST: usize = 8 << 10;
/// The most memory of the whole process, bytes.
const MOST_MEMORY: u64 = 256 << 20;

/// Drawn numbers (`SplitMix64`).
struct Draws(u64);

impl Draws {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((word ^ (word >> 31)) % bound.max(1) as u64) as usize
    }
}

/// What parsers trip over.
const TOKENS: [&[u8]; 24] = [
    b"\0",
    b"\xff\xff\xff\xff",
    b"\x00\x00\x00\x80",
    b"\xff\xff\xff\x7f",
    b"\"",
    b"\\",
    b"\n",
    b"\r\n",
    b",",
    b":",
    b"{",
    b"}",
    b"[",
    b"]",
    b"- ",
    b"null",
    b"-1",
    b"1e999",
    b"18446744073709551616",
    b"\xef\xbb\xbf",
    b"\\ud800",
    b"&a *a",
    b"!!binary ",
    b"<<: ",
];

fn mutate(draws: &mut Draws, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = corpus[draws.below(corpus.len())].clone();
    for _ in 0..=draws.below(6) {
        let at = draws.below(bytes.len());
        match draws.below(9) {
            _ if bytes.is_empty() => bytes.extend_from_slice(TOKENS[draws.below(TOKENS.len())]),
            0 => bytes[at] ^= 1 << draws.below(8),
            1 => bytes[at] = draws.below(256) as u8,
            2 => bytes[at] = bytes[at].wrapping_add(draws.below(17) as u8).wrapping_sub(8),
            3 => bytes.truncate(at),
            4 => drop(bytes.drain(at..(at + 1 + draws.below(32)).min(bytes.len()))),
            5 => {
                let piece = bytes[at..(at + 1 + draws.below(64)).min(bytes.len())].to_vec();
                let to = draws.below(bytes.len());
                bytes.splice(to..to, piece);
            }
            6 => drop(bytes.splice(at..at, TOKENS[draws.below(TOKENS.len())].iter().copied())),
            7 => {
                let token = TOKENS[draws.below(TOKENS.len())];
                let end = (at + token.len()).min(bytes.len());
                bytes[at..end].copy_from_slice(&token[..end - at]);
            }
            _ => {
                let other = &corpus[draws.below(corpus.len())];
                let from = draws.below(other.len());
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
        }
    }
    bytes.truncate(LONGEST);
    bytes
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}

/// Runs a target on its corpus and on mutations of it.
fn fuzz(name: &str, mut target: impl FnMut(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(name);
    let mut files: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let corpus: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    for bytes in &corpus {
        target(bytes);
    }
    let executions = number("POPULACE_FUZZ_EXECUTIONS").unwrap_or(u64::MAX);
    let seconds = number("POPULACE_FUZZ_SECONDS").unwrap_or(if executions < u64::MAX { u64::MAX >> 1 } else { 1 });
    let (start, mut done) = (Instant::now(), 0);
    let first = number("POPULACE_FUZZ_SEED").unwrap_or(1);
    while done < executions && (done % 64 > 0 || start.elapsed() < Duration::from_secs(seconds)) {
        let bytes = mutate(&mut Draws(first ^ done.wrapping_mul(0xd134_2543_de82_ef95)), &corpus);
        if catch_unwind(AssertUnwindSafe(|| target(&bytes))).is_err() {
            let kept = std::env::temp_dir().join(format!("populace-fuzz-{name}-{done}"));
            fs::write(&kept, &bytes).unwrap();
            panic!("{name}: execution {done} failed; its input is {}", kept.display());
        }
        done += 1;
    }
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let most =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10;
    println!("{name}: {done} executions, 0 failed, most memory {} MiB", most >> 20);
    assert!(most <= MOST_MEMORY && done > 0, "{} MiB", most >> 20);
}

#[test]
fn documents() {
    fuzz("documents", |bytes| {
        let Ok(text) = str::from_utf8(bytes) else { return };
        match catalogue::resolve(&Request::new(Source::Text { name: "fuzzed.yaml", text })) {
            Ok(resolved) => drop(catalogue::generator(&resolved)),
            Err(problems) => assert!(!problems.to_string().is_empty()),
        }
    });
}

#[test]
fn events() {
    fuzz("events", |bytes| {
        if let Ok(event) = Event::from_slice(bytes) {
            assert_eq!(Event::from_slice(&event.to_json()).unwrap(), event);
        }
    });
}

#[test]
fn webhooks_of_providers() {
    let ring = populace_flow::identity::KeyRing::synthetic();
    fuzz("webhooks", |bytes| {
        let Ok(body) = serde_json::from_slice::<serde_json::Value>(bytes) else { return };
        for provider in webhooks::PROVIDERS {
            drop(webhooks::read(provider, (body.clone(), 0), &ring, 1_000));
        }
    });
}

/// Reads a file of a format, in memory where the machine has such a place.
fn reads(name: &str) {
    const WANTS: [Want; 6] = [
        Want::new("id", As::Int),
        Want::nullable("name", As::Text),
        Want::nullable("kind", As::Text),
        Want::nullable("at", As::Instant),
        Want::nullable("score", As::Float),
        Want::nullable("flag", As::Bool),
    ];
    let memory = Path::new("/dev/shm");
    let directory = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
    let path = directory.path().join(format!("fuzzed.{name}"));
    fuzz(name, |bytes| {
        fs::write(&path, bytes).unwrap();
        let read = TableSource::file(&path).and_then(|table| table.read(&WANTS)?.try_for_each(|batch| batch.map(drop)));
        if let Err(error) = read {
            assert!(error.to_string().contains("fuzzed."), "{error}");
        }
    });
}

#[test]
fn csv() {
    reads("csv");
}

#[test]
fn json_lines() {
    reads("jsonl");
}

#[test]
fn arrow() {
    reads("arrow");
}

#[test]
fn parquet() {
    reads("parquet");
}
