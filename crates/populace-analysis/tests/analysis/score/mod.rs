//! Scores against the truth.

mod anomaly;
mod churn;
mod engagement;
mod latency;
mod machine;
mod metrics;
mod people;
mod policy;
mod scanner;
mod send_time;
mod transitions;

use crate::support::Run;
use populace_analysis::families;
use populace_analysis::score::{Options, Scorecard};
use populace_analysis::watch::Watch;
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

/// A directory for predictions, and a run.
struct Bench {
    run: Run,
    files: TempDir,
}

impl Bench {
    fn new(run: Run) -> Self {
        Self { run, files: tempfile::tempdir().unwrap() }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// Scores rows of text under a header.
    fn score(&self, task: &str, text: &str, options: &Options) -> Result<Scorecard, String> {
        let path = self.file("predictions.csv");
        fs::write(&path, text).unwrap();
        families::score(task, self.run.path(), &path, options, &Watch::none(2)).map_err(|error| error.to_string())
    }
}
