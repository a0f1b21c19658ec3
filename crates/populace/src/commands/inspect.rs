//! `populace inspect`.

use crate::args::InspectArgs;
use crate::failure::Failure;
use crate::show;
use populace_analysis::families;
use populace_analysis::source::Inspection;
use populace_io::dataset::{MANIFEST, check_files, read_manifest, wall_seconds};
use populace_io::files::place::Directory;
use populace_io::terminal::printable;
use std::io::{self, Write};

pub(crate) fn run(arguments: &InspectArgs) -> Result<(), Failure> {
    let root = &arguments.directory;
    if root.is_file() || (root.is_dir() && !root.join(MANIFEST).exists() && !root.join(".populace").exists()) {
        return own_files(arguments);
    }
    let Some(manifest) = read_manifest(root)? else {
        let unfinished = root.join(".populace").is_dir();
        let why = if unfinished { "the run is unfinished: go on with it by --resume" } else { "there is no complete run" };
        return Err(Failure::input(format!("{}: no {MANIFEST} here; {why}", root.display())));
    };
    check_files(&Directory::new(root), &manifest)?;
    let (mut out, mut unreadable) = (show::stdout(), Vec::new());
    let mut print = || -> io::Result<()> {
        if arguments.json {
            let mut report = serde_json::to_value(&manifest)?;
            report["wall_seconds"] = wall_seconds(root).into();
            return writeln!(out, "{report:#}");
        }
        let run = &manifest.identity;
        writeln!(out, "{} ({}), {} users, seed {}", run.scenario, run.family, show::thousands(run.users), run.seed)?;
        writeln!(out, "scenario digest {}", run.scenario_digest)?;
        writeln!(
            out,
            "engine {}, values {}; {} {}, {} part(s)",
            run.engine_version, run.values_version, run.format, run.compression, run.parts
        )?;
        for warning in &manifest.warnings {
            writeln!(out, "warning: {warning}")?;
        }
        for (what, count) in &manifest.clipped {
            writeln!(out, "{}", show::capped(what, *count))?;
        }
        for (name, table) in &manifest.tables {
            writeln!(out, "\n{name}: {} rows, digest {}", show::thousands(table.rows), table.digest)?;
            for file in &table.files {
                writeln!(out, "  {} ({} rows, {})", file.path, show::thousands(file.rows), show::size(file.bytes))?;
            }
            if let Some(file) = table.files.first() {
                match populace_io::text::first_rows(&root.join(&file.path), arguments.rows) {
                    Ok(lines) => lines.iter().try_for_each(|line| writeln!(out, "  {line}"))?,
                    Err(error) => unreadable.push(error.to_string()),
                }
            }
        }
        Ok(())
    };
    print().map_err(|error| Failure::output(&error))?;
    if unreadable.is_empty() { Ok(()) } else { Err(Failure::input(unreadable.join("\n"))) }
}

/// What files that are no run would be read as. Exit code 2 if a column of one cannot be read.
fn own_files(arguments: &InspectArgs) -> Result<(), Failure> {
    let found = families::inspect(&arguments.directory, &arguments.files.options()?)?;
    let mut out = show::stdout();
    if arguments.json {
        let found = serde_json::to_string_pretty(&found).map_err(Failure::input)?;
        writeln!(out, "{found}").map_err(|error| Failure::output(&error))?;
    } else {
        found.iter().try_for_each(|file| print(&mut out, file)).map_err(|error| Failure::output(&error))?;
    }
    let problems: Vec<&str> = found.iter().flat_map(|file| &file.problems).map(String::as_str).collect();
    if problems.is_empty() { Ok(()) } else { Err(Failure::input(problems.join("\n"))) }
}

fn print(out: &mut impl Write, file: &Inspection) -> io::Result<()> {
    writeln!(out, "{}: {}; {} rows, read as {}", file.path.display(), file.format, show::thousands(file.rows), file.table)?;
    for (wanted, source) in &file.columns {
        let source = if source == wanted { String::new() } else { format!(" from `{}`", printable(source)) };
        let blank = file.blank.get(wanted).map_or_else(String::new, |rows| format!(", {} blank", show::thousands(*rows)));
        let span = file.moments.get(wanted).map_or_else(String::new, |[first, last]| format!(", {first} to {last}"));
        writeln!(out, "  {wanted}{source}{blank}{span}")?;
    }
    writeln!(out, "  times: {}", file.times)?;
    let ignored: Vec<String> = file.ignored.iter().map(|name| printable(name).into_owned()).collect();
    for (what, names) in [("not read", ignored), ("missing, and needed", file.missing.iter().map(|name| (*name).to_owned()).collect())] {
        if !names.is_empty() {
            writeln!(out, "  {what}: {}", names.join(", "))?;
        }
    }
    if !file.presets.is_empty() {
        writeln!(out, "  fits better: --map {}", file.presets.join(", or --map "))?;
    }
    for (word, (rows, known)) in &file.events {
        let known = if *known { "" } else { " (unknown: say with --map what it means)" };
        writeln!(out, "  event `{}`: {}{known}", printable(word), show::thousands(*rows))?;
    }
    for loss in &file.left_out {
        writeln!(out, "  left out: {} rows: {} (the first at line {})", show::thousands(loss.rows), loss.why, loss.first)?;
    }
    Ok(())
}
