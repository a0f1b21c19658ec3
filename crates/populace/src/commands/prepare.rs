//! `populace prepare`.

use super::print_json;
use super::progress::watched;
use crate::args::{PrepareArgs, PrepareChurnArgs, PrepareCommand};
use crate::failure::Failure;
use crate::show;
use populace_analysis::churn::prepare::{self, ChurnOptions, ReasonReport, Report, TableReport};
use std::collections::BTreeMap;
use std::time::Instant;

pub(crate) fn run(arguments: &PrepareArgs) -> Result<(), Failure> {
    match &arguments.command {
        PrepareCommand::Churn(arguments) => churn(arguments),
    }
}

fn churn(arguments: &PrepareChurnArgs) -> Result<(), Failure> {
    let options = ChurnOptions {
        raw: arguments.raw.clone().or_else(|| arguments.raw_dir.clone()).unwrap_or_default(),
        processed: arguments.processed.clone().or_else(|| arguments.processed_dir.clone()).unwrap_or_default(),
        format: arguments.format.into(),
        keep_latent: arguments.keep_latent,
        from: arguments.from,
        to: arguments.to,
        overwrite: arguments.overwrite,
        reading: arguments.files.options()?,
    };
    let start = Instant::now();
    let report = watched(arguments.quiet, Some(1), |watch| prepare::churn(&options, *watch))?;
    if arguments.json {
        print_json(&report)?;
        return Ok(());
    }
    // That the data is not what its manifest says is told even then.
    for remark in &report.remarks {
        note!("{remark}");
    }
    if !arguments.quiet {
        print(&report, &options, start.elapsed().as_secs_f64());
    }
    Ok(())
}

/// The report for people, on standard error.
fn print(report: &Report, options: &ChurnOptions, seconds: f64) {
    for (name, table) in [("users", &report.users), ("events", &report.events)] {
        print_table(name, table);
    }
    let grid = &report.user_daily;
    note!(
        "user_daily: {} users x {} days ({} to {}) = {} rows",
        show::thousands(grid.users),
        show::thousands(grid.days),
        grid.first_date,
        grid.last_date,
        show::thousands(grid.rows)
    );
    let processed = options.processed.display();
    for file in &report.files {
        note!("  {processed}/{}  {} rows, {}", file.path, show::thousands(file.rows), show::size(file.bytes));
    }
    note!("  {processed}/{}", prepare::REPORT);
    note!("{seconds:.2} s");
}

fn print_table(name: &str, table: &TableReport) {
    let row = |label: &str, rows: u64, rest: &str| note!("  {label:<30} {:>14}{rest}", show::thousands(rows));
    note!("{name}: {}", table.files.join(", "));
    row("read", table.read, "");
    row("kept", table.kept, "");
    row("dropped", table.dropped_rows, "");
    let reasons = |reasons: &BTreeMap<&'static str, ReasonReport>| {
        for (code, reason) in reasons {
            row(&format!("  {code}"), reason.rows, &format!("  {} (first at {})", reason.meaning, reason.first));
        }
    };
    reasons(&table.dropped);
    if table.repaired_rows > 0 {
        row("repaired, of those kept", table.repaired_rows, "");
        reasons(&table.repaired);
    }
    if !table.noted.is_empty() {
        note!("  odd, and kept as they are");
        reasons(&table.noted);
    }
    for (what, columns) in [
        ("columns that were not read", table.ignored_columns.clone()),
        ("optional columns that are missing", table.missing_columns.iter().map(|name| (*name).to_owned()).collect()),
    ] {
        if !columns.is_empty() {
            note!("  {what}: {}", columns.join(", "));
        }
    }
}
