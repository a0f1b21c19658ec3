//! A report to look at: one self-contained HTML file, and the same figures as JSON.
//!
//! The figures are computed here, in one pass over the data for each family; `page/` holds the page that draws them, with Apache ECharts
//! from `vendor/`. True curves come from the scenario's laws, so they need the `scenario.yaml` beside the data.

mod answers;
mod compare;
pub mod figure;
pub(crate) mod measure;
mod page;
mod results;

pub(crate) use answers::{score, verdicts};
pub(crate) use compare::{compare, differences};
pub use figure::Report;
pub use page::render;
pub(crate) use results::policies;

use crate::source::{ReadOptions, Source};
use figure::{Days, Run, Table};
use populace_core::plan::WindowConfig;
use populace_io::document::Resolved;
use std::path::{Path, PathBuf};

/// Version of the structure of `report.json`.
pub(crate) const VERSION: u32 = 1;

/// What a report is made from besides the data.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether the data is held against its laws; only where its scenario lies beside it.
    pub verify: bool,
    /// Scorecards to show.
    pub scores: Vec<PathBuf>,
    /// Values of policies and evaluations to show.
    pub policies: Vec<PathBuf>,
    /// How files are read that are no run.
    pub reading: ReadOptions,
}

impl Default for Options {
    fn default() -> Self {
        Self { verify: true, scores: Vec::new(), policies: Vec::new(), reading: ReadOptions::default() }
    }
}

/// What a family has to show.
pub(crate) struct Found {
    pub(crate) facts: Vec<figure::Fact>,
    pub(crate) sections: Vec<figure::Section>,
    pub(crate) notes: Vec<String>,
}

/// What a run is.
pub(crate) fn run(source: &Source, scenario: Option<&Resolved>, window: Option<WindowConfig>, family: &str) -> Run {
    let directory = source.root().canonicalize().ok();
    let directory =
        directory.as_deref().and_then(Path::file_name).map_or_else(|| "data".into(), |name| name.to_string_lossy().into_owned());
    let mut run = Run {
        name: scenario.map_or(directory, |scenario| scenario.name.clone()),
        family: family.into(),
        description: scenario.and_then(|scenario| scenario.description.clone()),
        window: window.map(|window| Days { start: window.start.to_string(), days: window.days }),
        ..Run::default()
    };
    if let Some(manifest) = source.manifest() {
        let identity = &manifest.identity;
        run.seed = Some(identity.seed.to_string());
        run.users = Some(identity.users);
        run.scenario_digest = Some(identity.scenario_digest.clone());
        run.engine_version = Some(identity.engine_version.clone());
        let table = |(name, table): (&String, &populace_io::dataset::TableInfo)| Table {
            name: name.clone(),
            rows: table.rows,
            digest: table.digest.clone(),
        };
        run.tables = manifest.tables.iter().map(table).collect();
        run.clipped = manifest.clipped.iter().map(|(what, count)| (what.clone(), *count)).collect();
        run.warnings.clone_from(&manifest.warnings);
    }
    run
}
