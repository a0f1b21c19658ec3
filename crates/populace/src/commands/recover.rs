//! `populace recover`.

use super::progress::watched;
use crate::args::RecoverArgs;
use crate::failure::Failure;
use crate::show;
use populace_analysis::families::recover;
use populace_analysis::recover::FILE;
use std::io::Write;

pub(crate) fn run(arguments: &RecoverArgs) -> Result<(), Failure> {
    arguments.output.as_deref().map_or(Ok(()), super::refuse_data)?;
    let (source, document) = super::open(&arguments.directory, arguments.scenario.as_deref(), &arguments.files)?;
    let recovery =
        watched(arguments.reading.no_progress, arguments.reading.threads, |watch| recover(&source, &document, arguments.level, watch))?;
    recovery.write(&arguments.output.clone().unwrap_or_else(|| arguments.directory.join(FILE)))?;
    let mut out = show::stdout();
    let printed = if arguments.json { writeln!(out, "{}", recovery.to_json()) } else { writeln!(out, "{recovery}") };
    printed.map_err(|error| Failure::output(&error))
}
