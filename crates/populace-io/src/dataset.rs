//! A run in a directory: what it is, how far it has come, and the manifest that ends it.
//!
//! While a run is unfinished, `DIR/.populace/` holds its identity, a journal for each part and a receipt for each complete part.
//! When every part has its receipt, `DIR/manifest.json` is written and `.populace` goes. What a process does to `.populace` beyond the
//! journal of its own part, it does under one lock.
//!
//! The order of the steps is what makes every moment one from which a run can go on: bytes of a file, then the journal that counts
//! them, then the name of a complete file, then the receipt, then the manifest, each durable before the next. A resumed run holds its
//! journal against the files, and makes again what they do not have.

mod existing;
mod journal;
#[cfg(test)]
mod tests;

use crate::VALUES_VERSION;
use crate::document::Resolved;
use crate::error::RunError;
use crate::files::place::{Directory, Place, STATE};
use crate::files::table_file::FileInfo;
use crate::files::{Compression, FileOptions, Format};
use crate::generator::{Generator, TableSet, Tally};
use crate::run::{Job, NoProgress, Order, Part, PartState, Progress};
use crate::wording::own;
pub use existing::Existing;
use journal::Journal;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The file that says what a run is. It is written last: a directory with it holds a complete run.
pub const MANIFEST: &str = "manifest.json";
/// The file that makes the same run again.
pub const SCENARIO: &str = "scenario.yaml";
/// When the run was written and how long it took: what differs between two runs that are the same.
pub const LOG: &str = "run.log";
/// What an unfinished run is.
const RUN: &str = ".populace/run.json";
/// The manifest of a complete run that is being removed.
const REPLACED: &str = ".populace/replaced.json";
/// Who holds it may change what is in `.populace`.
const LOCK: &str = ".populace/lock";
/// How long a process waits for that lock; the longest that others hold it is while they remove an earlier run.
const LOCK_WAIT: Duration = Duration::from_mins(2);

/// What a run is: two runs of equal identity have equal bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Version of the engine.
    pub engine_version: String,
    /// Version of the sampled values.
    pub values_version: u32,
    /// Name of the scenario.
    pub scenario: String,
    /// Its family.
    pub family: String,
    /// Digest of its resolved document.
    pub scenario_digest: String,
    /// The seed.
    pub seed: u64,
    /// Number of actors.
    pub users: u64,
    /// The file format.
    pub format: String,
    /// The compression.
    pub compression: String,
    /// The types of columns in Parquet and Arrow; none of other formats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub types: Option<String>,
    /// Rows of a Parquet row group, about.
    pub row_group_rows: u64,
    /// Rows after which a table goes on in a new file, about.
    pub file_rows: u64,
    /// Order of the rows.
    pub order: Order,
    /// Number of parts.
    pub parts: u64,
    /// Rows of the main table, where a count was asked for.
    pub count: Option<u64>,
    /// The tables, as paths.
    pub tables: Vec<String>,
    /// The run whose people are mailed again; none of a run that is no replay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Parent>,
}

/// The run of which another is a replay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// Name of its scenario.
    pub scenario: String,
    /// Digest of its resolved document.
    pub scenario_digest: String,
    /// Its seed.
    pub seed: u64,
}

/// What a scenario's document contributes to a run.
#[derive(Clone, Debug)]
pub struct Document {
    /// Name of the scenario.
    pub name: String,
    /// Digest of the resolved document.
    pub digest: String,
    /// The resolved document with its seed.
    pub yaml: String,
}

/// A table of a complete run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableInfo {
    /// Whether it holds what only the simulator knows.
    pub truth: bool,
    /// Its rows.
    pub rows: u64,
    /// Digest over the values of its rows, whatever their order, format and parts.
    pub digest: String,
    /// Its files.
    pub files: Vec<FileInfo>,
}

/// What a complete run is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// What it is.
    #[serde(rename = "run")]
    pub identity: Identity,
    /// Its tables, by path.
    pub tables: BTreeMap<String, TableInfo>,
    /// How often the law asked for a value to be clipped, by what was clipped.
    pub clipped: BTreeMap<String, u64>,
    /// What is odd about the scenario.
    pub warnings: Vec<String>,
    /// Rows of the main table by two labels; see the generator's axes.
    pub tally: Vec<u64>,
}

/// A run on its way into a directory or an object store.
pub struct Dataset<'a> {
    place: &'a dyn Place,
    generator: &'a dyn Generator,
    identity: Identity,
    document: Document,
    options: FileOptions,
}

fn describe(compression: Compression) -> String {
    match compression {
        Compression::None => "none".into(),
        Compression::Zstd(level) => format!("zstd:{level}"),
        Compression::Snappy => "snappy".into(),
        Compression::Lz4 => "lz4".into(),
        Compression::Gzip => "gzip".into(),
    }
}

impl<'a> Dataset<'a> {
    /// A run of `job` in `place`.
    pub fn new(place: &'a dyn Place, job: &Job<'a>, document: Document, options: FileOptions, parts: u64, count: Option<u64>) -> Self {
        let generator = job.generator;
        let tables = generator.tables().iter().enumerate().filter(|(index, _)| job.tables.has(*index)).map(|(_, table)| table.path());
        let identity = Identity {
            engine_version: env!("CARGO_PKG_VERSION").into(),
            values_version: VALUES_VERSION,
            scenario: document.name.clone(),
            family: generator.family().into(),
            scenario_digest: document.digest.clone(),
            seed: job.seed,
            users: job.actors.end - job.actors.start,
            format: options.format.as_str().into(),
            compression: describe(options.compression),
            types: match (options.format, options.ids) {
                (Format::Csv | Format::Jsonl, _) => None,
                (Format::Parquet, None) => Some(options.types.as_str().into()),
                (Format::Parquet, Some(ids)) => Some(format!("{}, ids {}", options.types.as_str(), ids.as_str())),
                (Format::Arrow, _) => Some(format!("ids {}", options.shape().ids.as_str())),
            },
            row_group_rows: options.row_group_rows,
            file_rows: options.file_rows,
            order: job.order,
            parts,
            count,
            tables: tables.collect(),
            parent: None,
        };
        Self { place, generator, identity, document, options }
    }

    /// As a replay of another run.
    #[must_use]
    pub fn of(mut self, parent: Option<Parent>) -> Self {
        self.identity.parent = parent;
        self
    }

    /// Whether the place still holds this run, unfinished: then the same command can go on with it.
    ///
    /// # Errors
    /// That cannot be found out.
    pub fn can_resume(&self) -> Result<bool, RunError> {
        Ok(read_json::<Identity>(self.place, RUN)?.as_ref() == Some(&self.identity))
    }

    fn gone(&self) -> RunError {
        RunError::Refused(format!("{}: the run was removed or replaced while it was written; start it again", self.place.shown()))
    }

    /// The manifest of this run, whose state is gone: another process has completed it.
    fn completed(&self) -> Result<Manifest, RunError> {
        let manifest: Option<Manifest> = read_json(self.place, MANIFEST)?;
        manifest.filter(|manifest| manifest.identity == self.identity).ok_or_else(|| self.gone())
    }

    /// Writes a part, going on from where it stopped. Nothing is done for a part that is complete.
    ///
    /// # Errors
    /// As [`Job::write`]; or another process writes the same part.
    pub fn write_part(&self, job: &Job<'_>, part: Part, progress: &dyn Progress) -> Result<(), RunError> {
        let begun = self.alone(false, || {
            if !self.can_resume()? {
                return Ok(None);
            }
            if self.place.exists(&receipt(part.part))? {
                return Ok(Some(None));
            }
            match self.place.lock(&lock(part.part))? {
                Some(lock) => Ok(Some(Some(lock))),
                None => Err(RunError::Refused(format!("another process writes part {} of {}", part.part, self.place.shown()))),
            }
        })?;
        let Some(begun) = begun.flatten() else { return self.completed().map(drop) };
        let Some(_lock) = begun else { return Ok(()) };
        let name = journal(part.part);
        let state = if self.place.can_continue() {
            let journal = Journal::new(self.place, name.clone());
            let state = journal.run(progress, |state, progress| job.write(part, self.options, self.place, state, progress))?;
            let files: Vec<&str> = state.tables.iter().flat_map(|table| table.files.paths()).collect();
            self.place.sync_names(&files)?;
            state
        } else {
            job.write(part, self.options, self.place, PartState::default(), progress)?
        };
        write_json(self.place, &receipt(part.part), &state)?;
        self.place.remove(&name)
    }

    /// Writes the manifest if every part is complete; `None` if one is missing. `wall` is how long this process took, for the log.
    ///
    /// # Errors
    /// A receipt cannot be read or the manifest not be written.
    pub fn finish(&self, wall: Duration) -> Result<Option<Manifest>, RunError> {
        let finished = self.alone(false, || if self.can_resume()? { self.finish_alone(wall).map(Some) } else { Ok(None) })?;
        match finished.flatten() {
            Some(finished) => Ok(finished),
            None => self.completed().map(Some),
        }
    }

    fn finish_alone(&self, wall: Duration) -> Result<Option<Manifest>, RunError> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let finished = populace_core::time::Instant(since.as_micros() as i64).to_string();
        let line = serde_json::json!({ "finished": finished, "wall_seconds": wall.as_secs_f64() });
        self.place.append(LOG, format!("{line}\n").as_bytes())?;
        let mut tables: BTreeMap<String, TableInfo> = BTreeMap::new();
        let mut digests = vec![crate::digest::Digest::default(); self.generator.tables().len()];
        let mut tally = Tally::default();
        for part in 0..self.identity.parts {
            let Some(state) = read_json::<PartState>(self.place, &receipt(part))? else { return Ok(None) };
            tally.add(&state.tally);
            for ((table, state), digest) in self.generator.tables().iter().zip(&state.tables).zip(&mut digests) {
                if self.identity.tables.contains(&table.path()) {
                    digest.add(&state.digest);
                    let info = tables.entry(table.path()).or_insert_with(|| TableInfo {
                        truth: table.truth,
                        rows: 0,
                        digest: String::new(),
                        files: Vec::new(),
                    });
                    (info.rows, info.digest) = (digest.rows, digest.to_string());
                    info.files.extend(state.files.complete.iter().cloned());
                }
            }
        }
        let manifest = Manifest {
            identity: self.identity.clone(),
            tables,
            clipped: tally.clipped,
            warnings: self.generator.warnings().iter().map(ToString::to_string).collect(),
            tally: tally.counts,
        };
        self.place.write(MANIFEST, &json(MANIFEST, &manifest)?)?;
        self.forget_but_lock(self.identity.parts)?;
        Ok(Some(manifest))
    }
}

fn receipt(part: u64) -> String {
    format!("{STATE}/part-{part:05}.json")
}

fn journal(part: u64) -> String {
    format!("{STATE}/part-{part:05}.journal")
}

fn lock(part: u64) -> String {
    format!("{STATE}/part-{part:05}.lock")
}

/// Generates a run of all tables into an empty directory, with one thread, in the family's default format, unless `stop` is set.
///
/// # Errors
/// The directory holds something, or cannot be written; it was stopped.
pub fn generate(root: &Path, resolved: &Resolved, generator: &dyn Generator, seed: u64, stop: &AtomicBool) -> Result<Manifest, RunError> {
    let start = Instant::now();
    let place = Directory::new(root);
    let tables = TableSet::of(generator.tables(), |_| true);
    let actors = 0..generator.population().actors;
    let job = Job { generator, seed, threads: 1, tables, actors, trim: 0, order: Order::Actor, stop };
    let document = Document { name: resolved.name.clone(), digest: resolved.digest(), yaml: resolved.to_yaml(Some(seed)) };
    let options = FileOptions::new(generator.default_format());
    let dataset = Dataset::new(&place, &job, document, options, 1, None);
    dataset.prepare(Existing::Refuse, false)?;
    dataset.write_part(&job, Part::WHOLE, &NoProgress)?;
    dataset.finish(start.elapsed())?.ok_or(RunError::Interrupted)
}

/// The seed of the run that a place holds, complete or not.
///
/// # Errors
/// What says so cannot be read.
pub fn recorded_seed(place: &dyn Place) -> Result<Option<u64>, RunError> {
    if let Some(identity) = read_json::<Identity>(place, RUN)? {
        return Ok(Some(identity.seed));
    }
    Ok(read_json::<Manifest>(place, MANIFEST)?.map(|manifest| manifest.identity.seed))
}

/// Checks that the files of a complete run are there with their sizes.
///
/// # Errors
/// One is not.
pub fn check_files(place: &dyn Place, manifest: &Manifest) -> Result<(), RunError> {
    for file in manifest.tables.values().flat_map(|table| &table.files) {
        if let Some(fault) = file_fault(place, file)? {
            return Err(RunError::Refused(format!("{}/{fault}; {}", place.shown(), own("make the run again with generate --overwrite"))));
        }
    }
    Ok(())
}

/// What is wrong with a file, by its size alone.
///
/// # Errors
/// Its size cannot be read.
pub fn file_fault(place: &dyn Place, file: &FileInfo) -> Result<Option<String>, RunError> {
    Ok(match place.size(&file.path)? {
        Some(bytes) if bytes == file.bytes => None,
        Some(bytes) => Some(format!("{} has {bytes} bytes instead of {}", file.path, file.bytes)),
        None => Some(format!("{} is missing", file.path)),
    })
}

/// The manifest of a complete run in a directory; `None` if it holds none.
///
/// # Errors
/// It cannot be read, or is not a manifest of this version.
pub fn read_manifest(root: &Path) -> Result<Option<Manifest>, RunError> {
    read_json(&Directory::new(root), MANIFEST)
}

/// How long the last process took that wrote a piece of the run in a directory, by the run's log.
pub fn wall_seconds(root: &Path) -> Option<f64> {
    let log = std::fs::read_to_string(root.join(LOG)).ok()?;
    let last: Value = serde_json::from_str(log.lines().next_back()?).ok()?;
    last.get("wall_seconds")?.as_f64()
}

fn read_json<T: serde::de::DeserializeOwned>(place: &dyn Place, path: &str) -> Result<Option<T>, RunError> {
    let bytes = place.read(path)?;
    let value = bytes.map(|bytes| serde_json::from_slice(&bytes)).transpose();
    value.map_err(|error| {
        let hint = own("make the run again with generate --overwrite; of files of your own, take it out of the directory");
        RunError::Refused(format!("{}/{path}: is not what a run writes: {error}\nhint: {hint}", place.shown()))
    })
}

fn write_json(place: &dyn Place, path: &str, value: &impl Serialize) -> Result<(), RunError> {
    place.write(path, &json(path, value)?)
}

fn json(path: &str, value: &impl Serialize) -> Result<Vec<u8>, RunError> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(|error| RunError::io(path, error.into()))?;
    bytes.push(b'\n');
    Ok(bytes)
}
