//! Runs to analyse.

use populace_analysis::source::Source;
use populace_io::catalogue;
use populace_io::dataset;
use populace_io::document::{self, Request, Setting};
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
        let settings: Vec<Setting<'_>> = set.iter().map(|&(path, value)| Setting { option: "--set", path, value }).collect();
        let request = Request { settings: &settings, ..Request::new(document::Source::Named(scenario)) };
        let resolved = catalogue::resolve(&request).expect("the document is sound");
        let generator = catalogue::generator(&resolved).expect("the document is sound");
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        dataset::generate(directory.path(), &resolved, generator.as_ref(), seed, &AtomicBool::new(false)).expect("the run can be written");
        Self { directory }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn source(&self) -> Source {
        Source::open(self.path()).expect("the run is complete")
    }
}
