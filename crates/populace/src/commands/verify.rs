//! `populace verify`.

use super::progress::watched;
use crate::args::VerifyArgs;
use crate::failure::Failure;
use crate::show;
use populace_analysis::families::verify;
use populace_analysis::source::Source;
use populace_analysis::verify::FILE;
use std::io::Write;

pub(crate) fn run(arguments: &VerifyArgs) -> Result<(), Failure> {
    arguments.output.as_deref().map_or(Ok(()), super::refuse_data)?;
    let source = Source::open_unchecked(&arguments.directory, &arguments.files.options()?)?;
    let document = source.judged_by(arguments.scenario.as_deref())?;
    let report =
        watched(arguments.reading.no_progress, arguments.reading.threads, |watch| verify(&source, &document, arguments.alpha, watch))?;
    for remark in source.remarks() {
        note!("{remark}");
    }
    let text = match (arguments.json, arguments.failed) {
        (true, _) => report.to_json(),
        (false, true) => report.failed_only().to_string(),
        (false, false) => report.to_string(),
    };
    writeln!(show::stdout(), "{text}").map_err(|error| Failure::output(&error))?;
    match &arguments.output {
        Some(path) => report.write(path)?,
        // The verdicts are printed; that a directory cannot be written to does not change them.
        None => {
            if let Err(error) = report.write(&arguments.directory.join(FILE)) {
                note!("warning: {error}\nhint: the verdicts are printed above; -o FILE writes them elsewhere");
            }
        }
    }
    match report.failures().next() {
        None => Ok(()),
        Some(first) => Err(Failure::check(format!("{} of {} checks, the first: {}", report.failed, report.checks.len(), first.name))),
    }
}
