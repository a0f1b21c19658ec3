//! `populace generate`.

use super::scenario::{self, Loaded};
use super::{progress, sinks};
use crate::args::{FormatArg, GenerateArgs, OrderArg, ScenarioArgs};
use crate::failure::Failure;
use crate::show;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use populace_core::plan::Population;
use populace_io::dataset::{Dataset, Document, Existing, Parent, recorded_seed};
use populace_io::document::no_such_table;
use populace_io::error::RunError;
use populace_io::files::place::{Directory, Place, StandardOutput};
use populace_io::files::{FileOptions, Format};
use populace_io::generator::{Generator, TableSet};
use populace_io::run::{Job, Order, Part, PartState, Progress};
use serde_json::json;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub(crate) fn run(arguments: &GenerateArgs) -> Result<(), Failure> {
    run_of(arguments, None)
}

/// As [`run`], of a replay of another run.
pub(super) fn run_of(arguments: &GenerateArgs, parent: Option<Parent>) -> Result<(), Failure> {
    let Loaded { resolved, generator } = match arguments.events {
        Some(events) => sized(&arguments.scenario, events, arguments.quiet)?,
        None => scenario::load(&arguments.scenario)?,
    };
    let generator = generator.as_ref();
    for warning in resolved.locate(generator.warnings()).problems {
        note!("warning: {warning}");
    }
    if arguments.summary {
        return show::summary(&resolved.name, &generator.expected(), arguments.json);
    }
    let to_stdout = arguments.output.as_os_str() == "-";
    let mut options = file_options(arguments, generator.default_format())?;
    if to_stdout {
        if arguments.file_rows.is_some() || arguments.parts > 1 {
            return Err(Failure::input("-o -: standard output is one file; leave --file-rows and --parts out"));
        }
        options.file_rows = u64::MAX;
    }
    if to_stdout && !arguments.dry_run && io::stdout().is_terminal() && matches!(options.format, Format::Parquet | Format::Arrow) {
        return Err(Failure::input("-o -: a terminal cannot show this format; choose --format csv or jsonl, or redirect the output"));
    }
    let tables = tables(arguments, generator, to_stdout && !arguments.dry_run)?;
    if arguments.part.is_some_and(|part| part >= arguments.parts) {
        return Err(Failure::input(format!("--part: must be from 0 to {}, as there are {} parts", arguments.parts - 1, arguments.parts)));
    }
    let to_files = !to_stdout && !arguments.dry_run && arguments.to.is_empty();
    let place = if to_files { Some(place(&arguments.output)?) } else { None };
    let recorded = match &place {
        Some(place) if arguments.resume => recorded_seed(place.as_ref())?,
        _ => None,
    };
    let (seed, drawn) = match arguments.seed.or(recorded).or(resolved.seed) {
        Some(seed) => (seed, false),
        None => (getrandom::u64().map_err(|error| Failure::input(format!("drawing a seed: {error}; give one with --seed")))?, true),
    };
    let stop = progress::stop_flag()?;
    let threads = arguments.threads.map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), usize::from);
    let order = if arguments.order == OrderArg::Time { Order::Time } else { Order::Actor };
    let mut job = Job { generator, seed, threads, tables, actors: 0..generator.population().actors, trim: 0, order, stop: &stop };
    if let Some(count) = arguments.count {
        (job.actors, job.trim) = job.actors_for_rows(count);
    }
    if !arguments.quiet && (drawn || arguments.verbose) {
        note!("seed {seed}{}", if drawn { " (drawn; --seed with it makes the same data again)" } else { "" });
    }
    let bar = Bar::new(&job, arguments.quiet);
    let start = Instant::now();

    if !arguments.to.is_empty() {
        let timeout = Duration::from_secs(arguments.timeout);
        let _in_time = progress::end_in_time(&stop, sinks::sends_again(seed));
        let fed = sinks::open(&arguments.to, generator, timeout).and_then(|open| sinks::generate(&job, open, &bar));
        bar.finish();
        let fed = fed?;
        if !arguments.quiet {
            sinks::report(&fed, &job, &arguments.to, start.elapsed());
        }
        return Ok(());
    }

    if arguments.dry_run {
        let made = job.dry_run(&bar);
        bar.finish();
        let (rows, tally) = made?;
        return dry_run_report(arguments, generator, seed, &rows, &tally, start.elapsed());
    }
    let Some(place) = place else {
        let made = job.write(Part::WHOLE, options, &StandardOutput::default(), PartState::default(), &bar);
        bar.finish();
        made?;
        return Ok(());
    };

    let document = Document { name: resolved.name.clone(), digest: resolved.digest(), yaml: resolved.to_yaml(Some(seed)) };
    let dataset = Dataset::new(place.as_ref(), &job, document, options, arguments.parts, arguments.count).of(parent);
    let existing = match (arguments.resume, arguments.overwrite) {
        (true, _) => Existing::Resume,
        (_, true) => Existing::Overwrite,
        _ => Existing::Refuse,
    };
    let shown = place.shown();
    if dataset.prepare(existing, arguments.part.is_some())? {
        note!("{shown} is complete already");
        return Ok(());
    }
    let parts = arguments.part.map_or(0..arguments.parts, |part| part..part + 1);
    for part in parts {
        let written = dataset.write_part(&job, Part { part, parts: arguments.parts }, &bar);
        if let Err(error) = written {
            bar.finish();
            return Err(resumable(error, &dataset, arguments));
        }
    }
    bar.finish();
    match dataset.finish(start.elapsed()).map_err(|error| resumable(error, &dataset, arguments))? {
        Some(manifest) if !arguments.quiet => show::run(&shown, &manifest, &generator.axes(), bar.rows(), start.elapsed()),
        Some(_) => {}
        None if arguments.quiet => {}
        None => note!("part {} of {} is complete; others are missing", arguments.part.unwrap_or(0), arguments.parts),
    }
    Ok(())
}

/// The scenario with as many users as have about `events` rows of the main table.
fn sized(arguments: &ScenarioArgs, events: u64, quiet: bool) -> Result<Loaded, Failure> {
    let mut arguments = arguments.clone();
    let mut loaded = scenario::load(&arguments)?;
    // What is expected of a user may depend on how many there are.
    for _ in 0..2 {
        let of_user = loaded.generator.population().rows_per_actor;
        arguments.shortcuts.set("users", ((events as f64 / of_user).round().max(1.0) as u64).to_string());
        loaded = scenario::load(&arguments)?;
    }
    if !quiet {
        let Population { actors, rows_per_actor } = loaded.generator.population();
        let (users, expected) = (show::thousands(actors), show::thousands((actors as f64 * rows_per_actor).round() as u64));
        let table = loaded.generator.tables()[loaded.generator.main_table()].path();
        note!("{users} users, of whom {expected} rows of {table} are expected ({rows_per_actor:.1} each)");
    }
    Ok(loaded)
}

/// Where the output goes: a directory, or with the feature `object-store` a URL.
fn place(output: &Path) -> Result<Box<dyn Place>, Failure> {
    if let Some((scheme, _)) = output.to_str().and_then(|text| text.split_once("://")) {
        let url = output.display();
        if let Some((_, feature, _)) = STORES.iter().find(|(schemes, _, has)| schemes.contains(&scheme) && !has) {
            return Err(Failure::input(format!(
                "-o {url}: this build does not write to {scheme}://; build with `cargo build --release --features {feature}`"
            )));
        }
        #[cfg(feature = "object-store")]
        return Ok(Box::new(populace_io::files::bucket::Bucket::open(&url.to_string())?));
        #[cfg(not(feature = "object-store"))]
        return Err(Failure::input(format!("-o {url}: there is no store of this scheme; there are s3://, gs://, az:// and file://")));
    }
    if output.exists() && !output.is_dir() {
        return Err(Failure::input(format!("{} is a file; choose another directory with -o", output.display())));
    }
    Ok(Box::new(Directory::new(output)))
}

/// The schemes of object stores, the cargo feature that brings each, and whether this build has it.
const STORES: [(&[&str], &str, bool); 4] = [
    (&["s3", "s3a"], "s3", cfg!(feature = "s3")),
    (&["gs"], "gcs", cfg!(feature = "gcs")),
    (&["az", "adl", "azure", "abfs", "abfss"], "azure", cfg!(feature = "azure")),
    (&["file", "memory", "http", "https"], "object-store", cfg!(feature = "object-store")),
];

/// What to do about a run that stopped.
fn resumable(error: RunError, dataset: &Dataset<'_>, arguments: &GenerateArgs) -> Failure {
    let directory = arguments.output.display();
    let command = match (arguments.resume, arguments.overwrite) {
        (true, _) => "the same command",
        (_, true) => "the same command with --resume instead of --overwrite",
        _ => "the same command with --resume",
    };
    let hint = match dataset.can_resume() {
        Ok(true) => format!("{directory} holds what was written; {command} goes on from there"),
        Ok(false) => format!(
            "{directory} no longer holds the run: it was removed or replaced meanwhile; the same command without --resume starts it again"
        ),
        Err(unread) => format!("whether {command} can go on is not known: {unread}"),
    };
    match error {
        RunError::Interrupted => Failure::Interrupted(hint),
        error @ (RunError::Io { .. } | RunError::Parquet(_) | RunError::Arrow(_)) => Failure::input(format!("{error}\nhint: {hint}")),
        error => error.into(),
    }
}

fn file_options(arguments: &GenerateArgs, default: Format) -> Result<FileOptions, Failure> {
    let format = match arguments.format {
        None => default,
        Some(FormatArg::Parquet) => Format::Parquet,
        Some(FormatArg::Csv) => Format::Csv,
        Some(FormatArg::Jsonl) => Format::Jsonl,
        Some(FormatArg::Arrow) => Format::Arrow,
    };
    let mut options = FileOptions::new(format);
    options.compression = arguments.compression.unwrap_or(options.compression);
    options.types = arguments.parquet;
    options.ids = arguments.ids;
    options.row_group_rows = arguments.row_group_rows.unwrap_or(options.row_group_rows);
    options.file_rows = arguments.file_rows.unwrap_or(options.file_rows);
    options.check().map_err(Failure::input)?;
    Ok(options)
}

/// The tables that the arguments ask for.
fn tables(arguments: &GenerateArgs, generator: &dyn Generator, one: bool) -> Result<TableSet, Failure> {
    let known: Vec<String> = generator.tables().iter().map(populace_io::table::Table::path).collect();
    if let Some(name) = arguments.table.iter().find(|name| !known.contains(name)) {
        return Err(Failure::input(no_such_table(name, known)));
    }
    if one && arguments.table.len() > 1 {
        return Err(Failure::input("-o -: standard output takes one table; name it with --table"));
    }
    let main = &known[generator.main_table()];
    Ok(TableSet::of(generator.tables(), |table| {
        let path = table.path();
        if arguments.table.is_empty() {
            if one { path == *main } else { !(table.truth && arguments.no_truth) }
        } else {
            arguments.table.contains(&path)
        }
    }))
}

fn dry_run_report(
    arguments: &GenerateArgs,
    generator: &dyn Generator,
    seed: u64,
    rows: &[u64],
    tally: &populace_io::generator::Tally,
    wall: Duration,
) -> Result<(), Failure> {
    let counted = generator.tables().iter().zip(rows).filter(|(_, rows)| **rows > 0);
    if arguments.json {
        let tables: serde_json::Map<_, _> =
            counted.map(|(table, rows)| (table.path(), json!({ "rows": rows, "truth": table.truth }))).collect();
        let report = json!({ "seed": seed, "tables": tables, "clipped": tally.clipped, "wall_seconds": wall.as_secs_f64() });
        return writeln!(io::stdout(), "{report:#}").map_err(|error| Failure::output(&error));
    }
    if !arguments.quiet {
        note!("Nothing was written. It would be:");
        for (table, rows) in counted {
            note!("  {:<20} {:>14} rows", table.path(), show::thousands(*rows));
        }
        if arguments.count.is_none() {
            show::tally(&tally.counts, &generator.axes());
        }
        let main = rows[generator.main_table()];
        note!("{} rows in {:.2} s, {} rows/s", show::thousands(main), wall.as_secs_f64(), show::rate(main, wall));
    }
    Ok(())
}

/// A progress bar over the actors; none when standard error is not a terminal.
struct Bar {
    bar: ProgressBar,
    rows: AtomicU64,
}

impl Bar {
    fn new(job: &Job<'_>, quiet: bool) -> Self {
        let target =
            if quiet || !io::stderr().is_terminal() { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr_with_hz(10) };
        let bar = ProgressBar::with_draw_target(Some(job.actors.end - job.actors.start), target);
        let style = ProgressStyle::with_template("{bar:32} {percent:>3}%  {msg}  {elapsed} of about {duration}  {eta} left");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bar, rows: AtomicU64::new(0) }
    }

    fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Progress for Bar {
    fn advanced(&self, actors: u64, rows: u64) {
        let total = self.rows.fetch_add(rows, Ordering::Relaxed) + rows;
        self.bar.inc(actors);
        if !self.bar.is_hidden() {
            let rate = show::rate(total, self.bar.elapsed());
            self.bar.set_message(format!("{} rows, {rate}/s", show::thousands(total)));
        }
    }

    fn checkpoint(&self, _: &PartState) -> Result<(), RunError> {
        Ok(())
    }
}
