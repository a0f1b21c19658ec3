//! `populace inspect`.

use crate::args::InspectArgs;
use crate::failure::Failure;
use crate::show;
use populace_io::dataset::{MANIFEST, check_files, read_manifest, wall_seconds};
use populace_io::files::place::Directory;
use std::io::{self, Write};

pub(crate) fn run(arguments: &InspectArgs) -> Result<(), Failure> {
    let root = &arguments.directory;
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
