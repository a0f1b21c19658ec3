//! The commands.

use crate::args::FilesArgs;
use crate::failure::Failure;
use populace_analysis::source::Source;
use populace_io::document::Resolved;
use serde::Serialize;
use std::io::Write;
use std::path::Path;

/// The data of a directory, and the document that it is held against: the one named, or the run's own.
fn open(directory: &Path, scenario: Option<&str>, files: &FilesArgs) -> Result<(Source, Resolved), Failure> {
    let source = Source::open_with(directory, &files.options()?)?;
    let document = source.judged_by(scenario)?;
    Ok((source, document))
}

/// Prints a report as JSON.
fn print_json(report: &impl Serialize) -> Result<(), Failure> {
    let report = serde_json::to_value(report).map_err(Failure::input)?;
    writeln!(crate::show::stdout(), "{report:#}").map_err(|error| Failure::output(&error))
}

/// Refuses to write a result over data: results are JSON, and none is a run's manifest.
fn refuse_data(output: &Path) -> Result<(), Failure> {
    let is_json = output.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("json"));
    if is_json && output.file_name().is_some_and(|name| name != populace_io::dataset::MANIFEST) {
        return Ok(());
    }
    Err(Failure::input(format!("-o {}: the result is JSON; give it a name of its own that ends in .json", output.display())))
}

pub(crate) mod check;
#[cfg(feature = "kafka")]
pub(crate) mod consume;
pub(crate) mod features;
#[cfg(feature = "flow")]
pub(crate) mod flow;
pub(crate) mod generate;
pub(crate) mod inspect;
pub(crate) mod plan;
pub(crate) mod policy;
pub(crate) mod prepare;
mod progress;
pub(crate) use progress::{exit_code, is_stopped};
pub(crate) mod recover;
pub(crate) mod replay;
pub(crate) mod report;
pub(crate) mod scenario;
pub(crate) mod scenarios;
pub(crate) mod score;
#[cfg(feature = "flow")]
pub(crate) mod serve;
mod sinks;
#[cfg(any(feature = "http", feature = "kafka"))]
pub(crate) mod stream;
pub(crate) mod verify;
