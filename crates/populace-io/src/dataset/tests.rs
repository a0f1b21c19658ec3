//! Runs whose process is killed, or whose machine loses power, at every change of the disk: they go on to the same bytes and leave nothing
//! behind. `POPULACE_SWEEP=1` is the long form: every failure at every change, with all families.

use super::{Dataset, Document, Existing};
use crate::catalogue;
use crate::document::{Request, Setting, Source};
use crate::error::RunError;
use crate::files::faults::Disk;
use crate::files::place::Directory;
use crate::files::{Compression, FileOptions, Format};
use crate::generator::{Generator, TableSet};
use crate::run::{Job, NoProgress, Order, Part};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// What a failure takes: nothing but the process, or what is not durable of the bytes and of the names of files, in halves.
const FAILURES: [Option<usize>; 4] = [None, Some(0), Some(1), Some(2)];

fn is_long() -> bool {
    std::env::var_os("POPULACE_SWEEP").is_some()
}

/// A directory in memory, where there is one.
fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("a temporary directory can be made")
}

struct Case {
    name: String,
    generator: Box<dyn Generator>,
    document: Document,
    options: FileOptions,
    order: Order,
    parts: u64,
}

impl Case {
    fn new(family: &str, users: &str, options: FileOptions, order: Order, parts: u64) -> Self {
        let settings = [("population.users", users), ("window.days", "6")];
        let settings = settings.map(|(path, value)| Setting { option: "--set", path, value });
        let request = Request { settings: &settings, ..Request::new(Source::Named(family)) };
        let resolved = catalogue::resolve(&request).unwrap_or_else(|problems| panic!("{problems}"));
        let generator = catalogue::generator(&resolved).unwrap_or_else(|problems| panic!("{problems}"));
        let document = Document { name: resolved.name.clone(), digest: resolved.digest(), yaml: resolved.to_yaml(Some(7)) };
        let name = format!("{family} {} {order:?} {parts}", options.extension());
        Self { name, generator, document, options, order, parts }
    }

    /// Runs all parts, or one alone, as a process does.
    fn run(&self, place: &Directory, existing: Existing, part: Option<u64>) -> Result<(), RunError> {
        let (generator, stop) = (self.generator.as_ref(), AtomicBool::new(false));
        let tables = TableSet::of(generator.tables(), |_| true);
        let actors = 0..generator.population().actors;
        let job = Job { generator, seed: 7, threads: 2, tables, actors, trim: 0, order: self.order, stop: &stop };
        let dataset = Dataset::new(place, &job, self.document.clone(), self.options, self.parts, None);
        if !dataset.prepare(existing, part.is_some())? {
            for part in part.map_or(0..self.parts, |part| part..part + 1) {
                dataset.write_part(&job, Part { part, parts: self.parts }, &NoProgress)?;
            }
            dataset.finish(Duration::ZERO)?;
        }
        Ok(())
    }

    /// What an undisturbed run writes, and in how many changes of the disk.
    fn whole(&self) -> (BTreeMap<PathBuf, Vec<u8>>, u64) {
        let (directory, disk) = (scratch(), Disk::failing(None));
        let root = directory.path().join("run");
        self.run(&Directory::on(disk.clone(), &root), Existing::Refuse, None).expect("nothing disturbs it");
        (files(&root), disk.changes())
    }
}

/// Everything in a directory but the log, which has the time it took.
fn files(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            let name = path.strip_prefix(root).expect("it is below").to_owned();
            if path.is_dir() {
                open.push(path);
                found.insert(name, Vec::new());
            } else if name != Path::new("run.log") {
                found.insert(name, fs::read(&path).expect("a file"));
            }
        }
    }
    found
}

fn assert_files(root: &Path, expected: &BTreeMap<PathBuf, Vec<u8>>, what: &str) {
    let found = files(root);
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{what}");
    for (name, bytes) in expected {
        assert!(found[name] == *bytes, "{what}: {} differs", name.display());
    }
}

/// The failures to try at a change: one of them in the short form.
fn failures(change: u64) -> Vec<Option<usize>> {
    if is_long() { FAILURES.to_vec() } else { vec![FAILURES[change as usize % FAILURES.len()]] }
}

/// Fails at each change in turn, then again on the way of going on, then goes on undisturbed; gives how often it was tried.
fn sweep(case: &Case, before: Option<&Case>, first: Existing) -> u64 {
    let (expected, changes) = case.whole();
    let mut tried = 0;
    // A run that replaces another makes more changes; the threads of a run make a few more or less each time.
    for change in 0..changes + if before.is_some() { 60 } else { 10 } {
        for failure in failures(change) {
            let what = format!("{} after {:?}, change {change}, {failure:?}", case.name, before.map(|case| &case.name));
            let directory = scratch();
            let root = directory.path().join("run");
            if let Some(before) = before {
                before.run(&Directory::new(&root), Existing::Refuse, None).expect("nothing disturbs it");
            }
            let fail = |change, existing| {
                let disk = Disk::failing(Some(change));
                let ended = case.run(&Directory::on(disk.clone(), &root), existing, None);
                if ended.is_err()
                    && let Some(lost) = failure
                {
                    disk.lose(lost);
                }
                ended.is_err()
            };
            if fail(change, first) {
                // A run that had not replaced anything yet is still the one before.
                let again = if root.join("manifest.json").exists() && before.is_some() { Existing::Overwrite } else { Existing::Resume };
                if change % 3 == 0 {
                    fail(change * 7_919 % changes, again);
                }
                let again = if again == Existing::Overwrite && !root.join("manifest.json").exists() { Existing::Resume } else { again };
                let ended = case.run(&Directory::new(&root), again, None);
                assert!(ended.is_ok(), "{what}: {}", ended.expect_err("it failed"));
            }
            assert_files(&root, &expected, &what);
            tried += 1;
        }
    }
    tried
}

fn options(format: Format, compression: Compression, file_rows: u64) -> FileOptions {
    FileOptions { compression, file_rows, row_group_rows: 1_024, ..FileOptions::new(format) }
}

fn formats() -> Vec<FileOptions> {
    vec![
        options(Format::Csv, Compression::None, u64::MAX),
        options(Format::Jsonl, Compression::Zstd(1), 700),
        options(Format::Csv, Compression::Gzip, u64::MAX),
        options(Format::Parquet, Compression::Zstd(1), 700),
        options(Format::Arrow, Compression::None, 700),
    ]
}

#[test]
fn a_run_that_fails_at_any_change_goes_on_to_the_same_bytes_and_leaves_nothing() {
    let families: &[(&str, &str)] = if is_long() { &[("churn", "150"), ("traces", "150"), ("email", "4")] } else { &[("churn", "150")] };
    let mut tried = 0;
    let orders = [(Order::Actor, 1), (Order::Actor, 3), (Order::Time, 1), (Order::Time, 3)];
    for (family, users) in families {
        // The tables of email that come from its document are large.
        for options in formats().into_iter().take(if *family == "email" { 1 } else { usize::MAX }) {
            for (order, parts) in orders {
                tried += sweep(&Case::new(family, users, options, order, parts), None, Existing::Refuse);
            }
        }
    }
    eprintln!("{tried} failures, each gone on from");
}

#[test]
fn a_run_that_fails_while_it_replaces_another_leaves_nothing_of_that() {
    let parquet = options(Format::Parquet, Compression::Zstd(1), 700);
    let csv = options(Format::Csv, Compression::None, u64::MAX);
    let mut tried = 0;
    for (before, after) in [((parquet, 3), (csv, 1)), ((csv, 1), (csv, 2)), ((csv, 2), (csv, 2))] {
        let before = Case::new("churn", "60", before.0, Order::Actor, before.1);
        let after = Case::new("churn", "90", after.0, Order::Actor, after.1);
        tried += sweep(&after, Some(&before), Existing::Overwrite);
    }
    eprintln!("{tried} failures, each gone on from");
}

#[test]
fn an_unfinished_run_is_replaced_whole() {
    let after = Case::new("churn", "90", options(Format::Csv, Compression::None, u64::MAX), Order::Actor, 1);
    let (expected, _) = after.whole();
    for options in formats() {
        let before = Case::new("churn", "90", options, Order::Actor, 2);
        let (_, changes) = before.whole();
        let (mut tried, mut killed) = (0, 0);
        for change in (0..changes).step_by(if is_long() { 1 } else { 3 }) {
            let directory = scratch();
            let root = directory.path().join("run");
            // The last changes may not come: how many there are depends on the threads, and on the time for the journals.
            let ended = before.run(&Directory::on(Disk::failing(Some(change)), &root), Existing::Refuse, None);
            tried += 1;
            killed += u64::from(ended.is_err());
            after.run(&Directory::new(&root), Existing::Overwrite, None).expect("nothing disturbs it");
            assert_files(&root, &expected, &format!("{} replaced after change {change}", before.name));
        }
        assert!(2 * killed > tried, "{}: {killed} of {tried} runs were killed", before.name);
    }
}

#[test]
fn parts_that_fail_and_go_on_side_by_side_are_one_run_and_leave_nothing() {
    let mut tried = 0;
    for options in [options(Format::Csv, Compression::None, u64::MAX), options(Format::Parquet, Compression::Zstd(1), 700)] {
        let case = Case::new("churn", "90", options, Order::Actor, 3);
        let (expected, changes) = case.whole();
        for change in (0..changes).step_by(if is_long() { 1 } else { 5 }) {
            let directory = scratch();
            let root = directory.path().join("run");
            let side_by_side = |existing, disk: &(dyn Fn(u64) -> Disk + Sync)| {
                std::thread::scope(|scope| {
                    let start = |part| {
                        let (root, case) = (&root, &case);
                        scope.spawn(move || case.run(&Directory::on(disk(part), root), existing, Some(part)))
                    };
                    let running: Vec<_> = (0..3).map(start).collect();
                    running.into_iter().map(|part| part.join().expect("no panic")).collect::<Vec<_>>()
                })
            };
            side_by_side(Existing::Refuse, &|part| Disk::failing((part != change % 3).then_some(change)));
            for ended in side_by_side(Existing::Resume, &|_| Disk::default()) {
                assert!(ended.is_ok(), "change {change}: {}", ended.expect_err("it failed"));
            }
            assert_files(&root, &expected, &format!("{} side by side, change {change}", case.name));
            tried += 1;
        }
    }
    eprintln!("{tried} failures, each gone on from");
}

#[test]
fn a_directory_that_is_removed_meanwhile_is_not_made_again() {
    let case = Case::new("churn", "90", options(Format::Csv, Compression::None, u64::MAX), Order::Actor, 1);
    let generator = case.generator.as_ref();
    let directory = scratch();
    let root = directory.path().join("run");
    let (place, stop) = (Directory::new(&root), AtomicBool::new(false));
    let tables = TableSet::of(generator.tables(), |_| true);
    let job = Job { generator, seed: 7, threads: 1, tables, actors: 0..90, trim: 0, order: Order::Actor, stop: &stop };
    let dataset = Dataset::new(&place, &job, case.document.clone(), case.options, 1, None);
    dataset.prepare(Existing::Refuse, false).expect("the directory is empty");
    assert!(dataset.can_resume().expect("it can be read"));
    fs::remove_dir_all(&root).expect("it is there");
    assert!(!dataset.can_resume().expect("it can be read"));
    for refused in [dataset.write_part(&job, Part::WHOLE, &NoProgress), dataset.finish(Duration::ZERO).map(drop)] {
        let message = refused.expect_err("there is no run").to_string();
        assert!(message.contains("was removed or replaced"), "{message}");
    }
    assert!(!root.exists());
}
