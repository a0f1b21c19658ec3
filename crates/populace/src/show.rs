//! Tables for people, on standard error.

use crate::failure::Failure;
pub(crate) use populace_io::argument::grouped as thousands;
use populace_io::dataset::Manifest;
use populace_io::files::writer::FileInfo;
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
            let rows: Vec<(&str, Vec<u64>)> = group
                .rows
                .iter()
                .map(|(label, values)| (label.as_str(), values.iter().map(|value| value.round() as u64).collect()))
                .collect();
            let columns: Vec<&str> = group.columns.iter().map(String::as_str).collect();
            write!(out, "\n{}", grid(&group.title, &columns, &rows, 14))?;
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
    let columns = axes.columns.len();
    // Columns that stay empty throughout say nothing.
    let shown: Vec<usize> = (0..columns).filter(|column| counts.iter().skip(*column).step_by(columns).any(|count| *count > 0)).collect();
    let names: Vec<&str> = shown.iter().map(|&column| axes.columns[column].as_str()).collect();
    let rows = axes.rows.iter().zip(counts.chunks(columns));
    let rows: Vec<(&str, Vec<u64>)> =
        rows.map(|(label, counts)| (label.as_str(), shown.iter().map(|&column| counts[column]).collect())).collect();
    note_part!("\n{}", grid(axes.rows_name, &names, &rows, 12));
}

/// Columns of a terminal.
const TERMINAL: usize = 80;

/// A table of counts in lines that fit a terminal: columns are `wide` where all fit, else as narrow as they can be, and those that still
/// do not fit follow below.
fn grid(title: &str, columns: &[&str], rows: &[(&str, Vec<u64>)], wide: usize) -> String {
    let label = rows.iter().map(|(label, _)| label.chars().count()).chain([title.chars().count()]).max().unwrap_or(0);
    let natural = |column: usize| {
        let values = rows.iter().map(|(_, values)| thousands(values[column]).len());
        values.chain([columns[column].chars().count()]).max().unwrap_or(0)
    };
    let mut widths: Vec<usize> = (0..columns.len()).map(|column| natural(column).max(wide) + 1).collect();
    if label + widths.iter().sum::<usize>() > TERMINAL {
        widths = (0..columns.len()).map(|column| natural(column) + 2).collect();
    }
    let mut lines = String::new();
    let mut next = 0;
    loop {
        let first = next;
        let mut used = label;
        while next < columns.len() && (next == first || used + widths[next] <= TERMINAL) {
            used += widths[next];
            next += 1;
        }
        let mut line = |name: &str, cell: &dyn Fn(usize) -> String| {
            let cells = (first..next).map(|column| format!("{:>width$}", cell(column), width = widths[column]));
            let line = format!("{name:<label$}{}", cells.collect::<String>());
            lines += line.trim_end();
            lines.push('\n');
        };
        line(title, &|column| columns[column].to_owned());
        for (name, values) in rows {
            line(name, &|column| thousands(values[column]));
        }
        if next >= columns.len() {
            return lines;
        }
        lines.push('\n');
    }
}

/// How a table of several files is read whole, by other programs.
fn read_all(place: &str, files: &[FileInfo]) -> Option<String> {
    let [first, _, ..] = files else { return None };
    let (directory, name) = first.path.rsplit_once('/')?;
    let (_, ending) = name.split_once('.')?;
    let pattern = format!("{place}/{directory}/part-*.{ending}");
    Some(match ending {
        "parquet" => format!("'{pattern}' in DuckDB\n    pandas.read_parquet('{place}/{directory}') in Python"),
        "arrow" => format!("polars.read_ipc('{pattern}') in Python"),
        _ => format!("'{pattern}' in DuckDB"),
    })
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
    if let Some(how) = manifest.tables.values().find_map(|table| read_all(place, &table.files)) {
        note!("  Read all files of a table by its pattern, such as\n    {how}");
    }
    for (what, count) in &manifest.clipped {
        note!("  {}", capped(what, *count));
    }
    let (seconds, rate) = (wall.as_secs_f64(), rate(rows, wall));
    note!("{} in {place} in {seconds:.2} s, {rate} rows/s, seed {}", size(bytes), manifest.identity.seed);
}
