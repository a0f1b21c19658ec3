//! `populace report`.

use crate::args::ReportArgs;
use crate::failure::Failure;
use populace_analysis::report::{self, Options};
use std::fs;
use std::io::{self, Write};
use std::path::Path;

pub(crate) fn run(arguments: &ReportArgs) -> Result<(), Failure> {
    let options = Options { verify: !arguments.no_verify, scores: arguments.scores.clone() };
    let report = report::report(&arguments.directory, &options)?;
    let (page, json) = report::render(&report).map_err(Failure::input)?;
    if arguments.json {
        return writeln!(io::stdout().lock(), "{json}").map_err(|error| Failure::output(&error));
    }
    let output = arguments.output.clone().unwrap_or_else(|| arguments.directory.join("report.html"));
    if output.extension().is_none_or(|ending| ending != "html") {
        return Err(Failure::input(format!(
            "{}: must end in .html; the figures go beside it, to a file that ends in .json",
            output.display()
        )));
    }
    let data = output.with_extension("json");
    place(&data, &json)?;
    place(&output, &page)?;
    note!("{}", output.display());
    note!("{}", data.display());
    Ok(())
}

/// Writes a file so that it is there whole or not at all.
fn place(path: &Path, text: &str) -> Result<(), Failure> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let done = fs::write(&partial, text).and_then(|()| fs::rename(&partial, path));
    done.map_err(|error| {
        let _ = fs::remove_file(&partial);
        Failure::input(format!("{}: {error}", path.display()))
    })
}
