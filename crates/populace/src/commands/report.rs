//! `populace report`.

use super::progress::watched;
use crate::args::ReportArgs;
use crate::failure::Failure;
use crate::show;
use populace_analysis::report::{self, Options};
use populace_analysis::{families, write_whole};
use std::io::Write;

pub(crate) fn run(arguments: &ReportArgs) -> Result<(), Failure> {
    let options = Options {
        verify: !arguments.no_verify,
        scores: arguments.scores.clone(),
        policies: arguments.policies.clone(),
        reading: arguments.files.options()?,
    };
    let reading = &arguments.reading;
    let report = watched(reading.no_progress, reading.threads, |watch| match &arguments.other {
        Some(other) => families::compare(&arguments.directory, other, &options, watch),
        None => families::report(&arguments.directory, &options, watch),
    })?;
    let (page, json) = report::render(&report).map_err(Failure::input)?;
    if arguments.json {
        return writeln!(show::stdout(), "{json}").map_err(|error| Failure::output(&error));
    }
    let name = if arguments.other.is_some() { "compare.html" } else { "report.html" };
    let output = arguments.output.clone().unwrap_or_else(|| arguments.directory.join(name));
    if output.extension().is_none_or(|ending| ending != "html") {
        return Err(Failure::input(format!(
            "{}: must end in .html; the figures go beside it, to a file that ends in .json",
            output.display()
        )));
    }
    let data = output.with_extension("json");
    write_whole(&data, &json)?;
    write_whole(&output, &page)?;
    note!("{}", output.display());
    note!("{}", data.display());
    Ok(())
}
