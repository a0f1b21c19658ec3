//! `populace prepare`.

use super::progress::{RowBar, stop_flag};
use crate::args::{PrepareArgs, PrepareChurnArgs, PrepareCommand};
use crate::failure::Failure;
use crate::show;
use populace_analysis::AnalysisError;
use populace_analysis::prepare::{self, ChurnOptions, ReasonReport, Report, TableReport, Watch};
use populace_io::error::RunError;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Instant;

pub(crate) fn run(arguments: &PrepareArgs) -> Result<(), Failure> {
    match &arguments.command {
        PrepareCommand::Churn(arguments) => churn(arguments),
    }
}

fn churn(arguments: &PrepareChurnArgs) -> Result<(), Failure> {
    let options = ChurnOptions {
        raw: arguments.raw.clone(),
        processed: arguments.processed.clone(),
        format: arguments.format.into(),
        keep_latent: arguments.keep_latent,
        from: arguments.from,
        to: arguments.to,
        overwrite: arguments.overwrite,
    };
    let stop = stop_flag()?;
    let bar = RowBar::new(arguments.quiet);
    let start = Instant::now();
    let made = prepare::churn(&options, Watch { progress: &bar, stop: &stop });
    bar.finish();
    let report = match made {
        Err(AnalysisError::Run(RunError::Interrupted)) => return Err(Failure::Interrupted("nothing was written".into())),
        made => made?,
    };
    if arguments.json {
        let report = serde_json::to_value(&report).map_err(Failure::input)?;
        writeln!(io::stdout(), "{report:#}").map_err(|error| Failure::output(&error))?;
    } else if !arguments.quiet {
        print(&report, &options, start.elapsed().as_secs_f64());
    }
    Ok(())
}

/// The report for people, on standard error.
fn print(report: &Report, options: &ChurnOptions, seconds: f64) {
    for remark in &report.remarks {
        note!("{remark}");
    }
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
