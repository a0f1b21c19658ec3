//! `populace verify`.

use super::progress::watched;
use crate::args::VerifyArgs;
use crate::failure::Failure;
use crate::show;
use populace_analysis::families::verify;
use populace_analysis::verify::FILE;
use std::io::Write;

pub(crate) fn run(arguments: &VerifyArgs) -> Result<(), Failure> {
    arguments.output.as_deref().map_or(Ok(()), super::refuse_data)?;
    let (source, document) = super::open(&arguments.directory, arguments.scenario.as_deref(), &arguments.files)?;
    let report =
        watched(arguments.reading.no_progress, arguments.reading.threads, |watch| verify(&source, &document, arguments.alpha, watch))?;
    let path = arguments.output.clone().unwrap_or_else(|| arguments.directory.join(FILE));
    report.write(&path)?;
    for remark in source.remarks() {
        note!("{remark}");
    }
    let mut out = show::stdout();
    let printed = if arguments.json { writeln!(out, "{}", report.to_json()) } else { writeln!(out, "{report}") };
    printed.map_err(|error| Failure::output(&error))?;
    match report.failures().next() {
        None => Ok(()),
        Some(first) => Err(Failure::check(format!("{} of {} checks, the first: {}", report.failed, report.checks.len(), first.name))),
    }
}
