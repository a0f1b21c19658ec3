//! Running the program and reading what it wrote.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

#[path = "../shared/program.rs"]
mod program;

pub use program::{command, populace};

/// The built-in scenarios, each with a size that takes a moment.
pub const SCENARIOS: [(&str, &str); 4] = [("email", "40"), ("email-v1", "40"), ("traces", "120"), ("churn", "60")];

/// A directory of its own for one test, removed when the test passes.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("populace-test-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Runs the program, which must succeed.
pub fn succeed(arguments: &[&str]) -> Output {
    let output = populace(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    output
}

/// Generates into `directory` without a word.
pub fn generate(scenario: &str, directory: &Path, more: &[&str]) {
    let directory = directory.to_str().unwrap();
    succeed(&[&["generate", scenario, "-q", "-o", directory], more].concat());
}

/// The files of a run and their bytes, by path, but for its log, which has the time it took.
pub fn files(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                open.push(path);
            } else if name != "run.log" {
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    found
}

pub fn manifest(root: &Path) -> Value {
    serde_json::from_slice(&fs::read(root.join("manifest.json")).unwrap()).unwrap()
}

/// The digest and the rows of each table.
pub fn digests(root: &Path) -> BTreeMap<String, String> {
    let manifest = manifest(root);
    let tables = manifest["tables"].as_object().unwrap();
    tables.iter().map(|(name, table)| (name.clone(), format!("{} {}", table["rows"], table["digest"].as_str().unwrap()))).collect()
}

/// Asserts that two directories hold the same files with the same bytes.
pub fn assert_same(left: &Path, right: &Path, what: &str) {
    let (left, right) = (files(left), files(right));
    assert_eq!(left.keys().collect::<Vec<_>>(), right.keys().collect::<Vec<_>>(), "{what}");
    for (name, bytes) in &left {
        assert!(*bytes == right[name], "{what}: {name} differs");
    }
}

/// A prediction of 0.3 for each message that was delivered, of the events of a run as CSV.
pub fn predictions(events: &Path) -> String {
    let mut rows = "message_id,score\n".to_owned();
    for line in fs::read_to_string(events).unwrap().lines() {
        let cells: Vec<&str> = line.split(',').collect();
        if cells[1] == "delivered" {
            rows.extend([cells[9], ",0.3\n"]);
        }
    }
    rows
}
