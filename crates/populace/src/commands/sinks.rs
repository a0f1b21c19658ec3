//! What the commands that send rows to sinks share.

use crate::failure::Failure;
use crate::show;
use populace_io::error::RunError;
use populace_io::generator::Generator;
use populace_io::run::{Job, Progress};
use populace_io::sinks::{self, Context, Fed, Sink, SinkError, Target};
use std::time::Duration;

/// Opens the sinks that URLs name: all of them before anything is generated.
pub(super) fn open(urls: &[String], generator: &dyn Generator, timeout: Duration) -> Result<Vec<Box<dyn Sink>>, Failure> {
    let context = Context { generator, timeout };
    urls.iter().map(|url| sinks::open(url, context).map_err(Failure::input)).collect()
}

/// The URL that an option gives, of one scheme.
#[cfg(feature = "kafka")]
pub(super) fn target(option: &str, url: &str, scheme: &str) -> Result<Target, Failure> {
    let target = Target::parse(url).map_err(|error| Failure::input(error.to_string().replace("--to", option)))?;
    if target.scheme.trim_end_matches('s') == scheme {
        Ok(target)
    } else {
        Err(Failure::input(format!("{option} {}: must be a {scheme}:// URL", target.shown())))
    }
}

/// Runs a job into sinks.
pub(super) fn generate(job: &Job<'_>, open: Vec<Box<dyn Sink>>, progress: &dyn Progress) -> Result<Fed, Failure> {
    if let Some(unwanted) =
        open.iter().find(|sink| !(0..job.generator.tables().len()).any(|table| job.tables.has(table) && sink.takes(table)))
    {
        let main = job.generator.tables()[job.generator.main_table()].path();
        return Err(Failure::input(format!("{}: takes the table {main} alone, which --table leaves out", unwanted.shown())));
    }
    sinks::feed(job, open, progress).map_err(|error| again(error, job.seed))
}

/// What makes a run whole that stopped.
pub(super) fn sends_again(seed: u64) -> String {
    format!("the same command with --seed {seed} sends the same rows again; those that have arrived are known by their ids")
}

/// What to do about a run that stopped.
pub(super) fn again(error: RunError, seed: u64) -> Failure {
    let hint = sends_again(seed);
    match error {
        RunError::Interrupted => Failure::Interrupted(hint),
        RunError::Sink(error @ SinkError::Unavailable(_)) => Failure::input(format!("{error}\nhint: {hint}")),
        error => error.into(),
    }
}

/// What was sent, on standard error.
pub(super) fn report(fed: &Fed, job: &Job<'_>, urls: &[String], wall: Duration) {
    for (table, rows) in job.generator.tables().iter().zip(&fed.rows).filter(|(_, rows)| **rows > 0) {
        note!("  {:<20} {:>14} rows", table.path(), show::thousands(*rows));
    }
    let shown: Vec<String> = urls.iter().filter_map(|url| Target::parse(url).ok()).map(|target| target.shown()).collect();
    let main = fed.rows[job.generator.main_table()];
    let (rows, rate) = (show::thousands(main), show::rate(main, wall));
    note!("{rows} rows acknowledged by {} in {:.2} s, {rate} rows/s", shown.join(" and "), wall.as_secs_f64());
}
