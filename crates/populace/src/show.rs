//! Tables for people, on standard error.

use crate::failure::Failure;
use populace_io::dataset::Manifest;
use populace_io::generator::{Axes, Expected};
use populace_io::terminal::Printable;
use std::io::{self, Write};
use std::time::Duration;

/// Standard output, for people: what data holds cannot act on their terminal.
pub(crate) fn stdout() -> Printable<io::StdoutLock<'static>> {
    Printable(io::stdout().lock())
}

/// How often a value was set to its bound.
pub(crate) fn capped(what: &str, count: u64) -> String {
    let bound = if what == "p_open" { "capped at max_probability" } else { "set to its bound" };
    format!("{what} {bound} {} times (by design)", thousands(count))
}

/// A count with a comma every three digits.
pub(crate) fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count in a second, in the unit that fits.
pub(crate) fn rate(count: u64, wall: Duration) -> String {
    let per_second = count as f64 / wall.as_secs_f64().max(1e-9);
    match per_second {
        rate if rate >= 1e6 => format!("{:.2}M", rate / 1e6),
        rate if rate >= 1e3 => format!("{:.0}K", rate / 1e3),
        rate => format!("{rate:.0}"),
    }
}

/// A size in the unit that fits.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// The volumes to expect, on standard output.
pub(crate) fn summary(name: &str, expected: &Expected, as_json: bool) -> Result<(), Failure> {
    let mut out = stdout();
    let mut print = || -> io::Result<()> {
        if as_json {
            let report = serde_json::json!({ "scenario": name, "expected": expected });
            return writeln!(out, "{report:#}");
        }
        writeln!(out, "Expected of {name}")?;
        for (what, value) in &expected.facts {
            writeln!(out, "  {what}: {value}")?;
        }
        for group in &expected.groups {
            let width = group.rows.iter().map(|(label, _)| label.chars().count()).chain([group.title.len()]).max().unwrap_or(0);
            write!(out, "\n{:<width$}", group.title)?;
            for column in &group.columns {
                write!(out, " {column:>14}")?;
            }
            writeln!(out)?;
            for (label, values) in &group.rows {
                write!(out, "{label:<width$}")?;
                for value in values {
                    write!(out, " {:>14}", thousands(value.round() as u64))?;
                }
                writeln!(out)?;
            }
        }
        Ok(())
    };
    print().map_err(|error| Failure::output(&error))
}

/// Rows of the main table by two labels.
pub(crate) fn tally(counts: &[u64], axes: &Axes) {
    if counts.is_empty() {
        return;
    }
    let width = axes.rows.iter().map(|row| row.chars().count()).chain([axes.rows_name.len()]).max().unwrap_or(0);
    let columns = axes.columns.len();
    // Columns that stay empty throughout say nothing.
    let shown: Vec<usize> = (0..columns).filter(|column| counts.iter().skip(*column).step_by(columns).any(|count| *count > 0)).collect();
    note_part!("\n{:<width$}", axes.rows_name);
    for &column in &shown {
        note_part!(" {:>12}", axes.columns[column]);
    }
    note!("");
    for (label, counts) in axes.rows.iter().zip(counts.chunks(columns)) {
        note_part!("{label:<width$}");
        for &column in &shown {
            note_part!(" {:>12}", thousands(counts[column]));
        }
        note!("");
    }
}

/// What a run wrote. `rows` are those of the main table that this process made, in the time `wall`.
pub(crate) fn run(place: &str, manifest: &Manifest, axes: &Axes, rows: u64, wall: Duration) {
    if manifest.identity.count.is_none() {
        tally(&manifest.tally, axes);
    }
    note!("");
    let width = manifest.tables.keys().map(String::len).max().unwrap_or(0);
    let mut bytes = 0;
    for (name, table) in &manifest.tables {
        let size_of_table: u64 = table.files.iter().map(|file| file.bytes).sum();
        bytes += size_of_table;
        let files = if table.files.len() == 1 { String::new() } else { format!("  in {} files", table.files.len()) };
        note!("  {name:<width$} {:>14} rows {:>12}{files}", thousands(table.rows), size(size_of_table));
    }
    for (what, count) in &manifest.clipped {
        note!("  {}", capped(what, *count));
    }
    let (seconds, rate) = (wall.as_secs_f64(), rate(rows, wall));
    note!("{} in {place} in {seconds:.2} s, {rate} rows/s, seed {}", size(bytes), manifest.identity.seed);
}
