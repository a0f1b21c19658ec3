//! Runs to analyse.

use arrow_array::RecordBatch;
use populace_analysis::families::verify;
use populace_analysis::source::{Side, Source};
use populace_analysis::verify::{DEFAULT_ALPHA, Report};
use populace_analysis::watch::Watch;
use populace_io::catalogue;
use populace_io::dataset;
use populace_io::document::{self, Request, Resolved, Setting};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use tempfile::TempDir;

/// A run in a directory that goes when this goes.
pub(crate) struct Run {
    directory: TempDir,
}

impl Run {
    /// Generates a built-in scenario with some values set, each a dotted path and its value.
    pub(crate) fn new(scenario: &str, seed: u64, set: &[(&str, &str)]) -> Self {
        Self::of(&document(scenario, set), seed)
    }

    /// Generates a document.
    pub(crate) fn of(resolved: &Resolved, seed: u64) -> Self {
        let generator = catalogue::generator(resolved).expect("the document is sound");
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        dataset::generate(directory.path(), resolved, generator.as_ref(), seed, &AtomicBool::new(false)).expect("the run can be written");
        Self { directory }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn source(&self) -> Source {
        Source::open(self.path()).expect("the run is complete")
    }
}

/// A built-in document with some values set, each a dotted path and its value.
pub(crate) fn document(scenario: &str, set: &[(&str, &str)]) -> Resolved {
    let settings: Vec<Setting<'_>> = set.iter().map(|&(path, value)| Setting { option: "--set", path, value }).collect();
    let request = Request { settings: &settings, ..Request::new(document::Source::Named(scenario)) };
    catalogue::resolve(&request).expect("the document is sound")
}

/// The answer key of another document of `email` for data that one gave.
pub(crate) fn answer(of: &[(&str, &str)], seed: u64, held_against: &[(&str, &str)]) -> Report {
    verify(&Run::new("email", seed, of).source(), &document("email", held_against), DEFAULT_ALPHA, &Watch::none(2)).unwrap()
}

/// A calendar of two seasons, one of which lies in the other, for a window that begins in October.
pub(crate) const SEASONS: (&str, &str) = (
    "calendar",
    "[{name: cyber week, when: {nth: {month: 11, weekday: thu, n: 4}}, days: 10, volume: 1.5, open: 0.8, click: 1.2}, \
     {name: quiet, when: {date: 10-20}, days: 50, volume: 0.8, open: 1.1}]",
);
/// Opens whose delays mix.
pub(crate) const MIXTURE: (&str, &str) = ("open_delay", "mixture");

/// The rows of each actor in some tables.
pub(crate) fn joined(source: &Source, key: &str, sides: &[Side<'_>]) -> Vec<Vec<Option<RecordBatch>>> {
    let mut all = Vec::new();
    let take = |actor: &[Option<RecordBatch>]| {
        all.push(actor.to_vec());
        Ok(())
    };
    source.actors(key, sides, take).expect("the tables can be read");
    all
}

/// The rows of each actor in a table.
pub(crate) fn actors(source: &Source, key: &str, side: Side<'_>) -> Vec<RecordBatch> {
    joined(source, key, &[side]).into_iter().flatten().flatten().collect()
}
