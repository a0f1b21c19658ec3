//! A run in a directory: what it is, how far it has come, and the manifest that ends it.
//!
//! While a run is unfinished, `DIR/.populace/` holds its identity, a journal for each part and a receipt for each complete part.
//! When every part has its receipt, `DIR/manifest.json` is written and `.populace` goes.

use crate::VALUES_VERSION;
use crate::document::Resolved;
use crate::error::RunError;
use crate::files::place::{Directory, Place};
use crate::files::table_file::FileInfo;
use crate::files::{Compression, FileOptions};
use crate::generator::{Generator, TableSet, Tally};
use crate::run::{Job, NoProgress, Order, Part, PartState, Progress};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// The file that says what a run is. It is written last: a directory with it holds a complete run.
pub const MANIFEST: &str = "manifest.json";
/// The file that makes the same run again.
pub const SCENARIO: &str = "scenario.yaml";
/// Where an unfinished run keeps its state.
const STATE: &str = ".populace";
/// What an unfinished run is.
const RUN: &str = ".populace/run.json";
/// How often the journal is written.
const JOURNAL_EVERY: Duration = Duration::from_millis(200);

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
}

impl Identity {
    /// The files that may be open when a run stops, by the names of their first pieces.
    fn open_files(&self) -> impl Iterator<Item = String> {
        let names = move |table: &String| -> Vec<String> {
            match self.parts {
                1 => vec![table.clone()],
                parts => (0..parts).map(|part| format!("{table}/part-{part:05}")).collect(),
            }
        };
        let endings = match self.compression.split(':').next() {
            Some("gzip") => format!("{}.gz", self.format),
            Some("zstd") if self.format != "parquet" && self.format != "arrow" => format!("{}.zst", self.format),
            _ => self.format.clone(),
        };
        self.tables.iter().flat_map(names).map(move |name| format!("{name}.{endings}"))
    }
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
    /// Seconds that the last piece of the run took.
    pub wall_seconds: f64,
    /// Rows of the main table by two labels; see the generator's axes.
    pub tally: Vec<u64>,
}

/// What to do about a run that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// Leave it and fail.
    Refuse,
    /// Go on where it stopped.
    Resume,
    /// Replace it.
    Overwrite,
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
            row_group_rows: options.row_group_rows,
            file_rows: options.file_rows,
            order: job.order,
            parts,
            count,
            tables: tables.collect(),
        };
        Self { place, generator, identity, document, options }
    }

    /// Makes the place ready: nothing of this run's in it, or what can be gone on from. `true` if the run is complete already.
    ///
    /// # Errors
    /// There is something that `existing` does not allow to touch, or the place cannot be written.
    pub fn prepare(&self, existing: Existing, one_part: bool) -> Result<bool, RunError> {
        let shown = self.place.shown();
        let complete: Option<Manifest> = read_json(self.place, MANIFEST)?;
        let unfinished: Option<Identity> = read_json(self.place, RUN)?;
        match existing {
            Existing::Overwrite => {
                self.refuse_running(unfinished.as_ref())?;
                self.remove(complete.as_ref(), unfinished.as_ref())?;
                self.refuse_strangers()?;
            }
            Existing::Resume | Existing::Refuse => {
                let resume = existing == Existing::Resume;
                if let Some(manifest) = complete {
                    if resume && manifest.identity == self.identity {
                        check_files(self.place, &manifest)?;
                        return Ok(true);
                    }
                    let difference = if resume { self.difference(&manifest.identity) } else { String::new() };
                    return Err(RunError::Refused(format!(
                        "{shown} holds a complete run{difference}; use --overwrite to replace it, or another directory with -o"
                    )));
                }
                if let Some(identity) = unfinished {
                    if identity != self.identity {
                        let difference = self.difference(&identity);
                        return Err(RunError::Refused(format!(
                            "{shown} holds an unfinished run{difference}; use --overwrite to replace it, or another directory with -o"
                        )));
                    }
                    if !resume && !one_part {
                        return Err(RunError::Refused(format!(
                            "{shown} holds an unfinished run; use --resume to go on with it, or --overwrite to start again"
                        )));
                    }
                } else if let Err(refusal) = self.refuse_strangers() {
                    // Unless they are of another part of this run, which began a moment ago.
                    let begun: Option<Identity> = read_json(self.place, RUN)?;
                    if !one_part || begun.as_ref() != Some(&self.identity) {
                        return Err(refusal);
                    }
                }
            }
        }
        self.place.write_shared(RUN, &json(RUN, &self.identity)?)?;
        self.place.write_shared(SCENARIO, self.document.yaml.as_bytes())?;
        Ok(false)
    }

    /// In what another run differs from this one, for a message.
    fn difference(&self, other: &Identity) -> String {
        let [Ok(Value::Object(here)), Ok(Value::Object(there))] = [&self.identity, other].map(serde_json::to_value) else {
            return String::new();
        };
        let differing: Vec<String> = here
            .iter()
            .filter(|(key, value)| there.get(*key) != Some(value))
            .map(|(key, value)| format!("{key} {} instead of {value}", there.get(key).unwrap_or(&Value::Null)))
            .collect();
        if differing.is_empty() { String::new() } else { format!(" of another kind ({})", differing.join(", ")) }
    }

    /// A run that another process is writing.
    fn refuse_running(&self, unfinished: Option<&Identity>) -> Result<(), RunError> {
        for part in 0..unfinished.map_or(0, |identity| identity.parts) {
            if self.place.exists(&lock(part))? && self.place.lock(&lock(part))?.is_none() {
                return Err(RunError::Refused(format!("another process writes part {part} of {}", self.place.shown())));
            }
        }
        Ok(())
    }

    /// Files under our names that no run of ours has left.
    fn refuse_strangers(&self) -> Result<(), RunError> {
        let ending = self.options.extension();
        let ours =
            self.identity.tables.iter().map(|table| if self.identity.parts == 1 { format!("{table}.{ending}") } else { table.clone() });
        for path in ours.chain([SCENARIO.to_owned()]) {
            if self.place.exists(&path)? {
                return Err(RunError::Refused(format!(
                    "{}/{path} exists and is not part of a known run; move it away, or choose another directory with -o",
                    self.place.shown()
                )));
            }
        }
        Ok(())
    }

    /// Removes an earlier run: the files that its manifest, journals and receipts name, and nothing else.
    fn remove(&self, complete: Option<&Manifest>, unfinished: Option<&Identity>) -> Result<(), RunError> {
        let mut files: Vec<String> = Vec::new();
        if let Some(manifest) = complete {
            files.extend(manifest.tables.values().flat_map(|table| &table.files).map(|file| file.path.clone()));
        }
        // The manifest first: from here on the place holds no complete run.
        self.place.remove(MANIFEST)?;
        if let Some(identity) = unfinished {
            for name in (0..identity.parts).flat_map(|part| [receipt(part), journal(part)]) {
                if let Some(part) = read_json::<PartState>(self.place, &name)? {
                    files.extend(part.tables.iter().flat_map(|table| &table.files.complete).map(|file| file.path.clone()));
                }
                self.place.remove(&name)?;
            }
            files.extend(identity.open_files());
        }
        for file in files.iter().filter(|file| !file.split('/').any(|step| step == "..") && !file.starts_with('/')) {
            self.place.remove(file)?;
        }
        if complete.is_some() || unfinished.is_some() {
            self.place.remove(SCENARIO)?;
        }
        self.forget(unfinished.map_or(0, |identity| identity.parts))
    }

    /// Removes the state of an unfinished run.
    fn forget(&self, parts: u64) -> Result<(), RunError> {
        for part in 0..parts {
            for name in [receipt(part), journal(part), lock(part)] {
                self.place.remove(&name)?;
            }
        }
        self.place.remove(RUN)?;
        self.place.remove_directory(STATE)
    }

    /// Writes a part, going on from where it stopped. Nothing is done for a part that is complete.
    ///
    /// # Errors
    /// As [`Job::write`]; or another process writes the same part.
    pub fn write_part(&self, job: &Job<'_>, part: Part, progress: &dyn Progress) -> Result<(), RunError> {
        if self.place.exists(&receipt(part.part))? {
            return Ok(());
        }
        let Some(_lock) = self.place.lock(&lock(part.part))? else {
            return Err(RunError::Refused(format!("another process writes part {} of {}", part.part, self.place.shown())));
        };
        let journal = Journal { place: self.place, name: journal(part.part), last: Mutex::new(None), progress };
        let state =
            if self.place.can_continue() { read_json(self.place, &journal.name)?.unwrap_or_default() } else { PartState::default() };
        let state = job.write(part, self.options, self.place, state, &journal)?;
        write_json(self.place, &receipt(part.part), &state)?;
        self.place.remove(&journal.name)
    }

    /// Writes the manifest if every part is complete; `None` if one is missing.
    ///
    /// # Errors
    /// A receipt cannot be read or the manifest not be written.
    pub fn finish(&self, wall: Duration) -> Result<Option<Manifest>, RunError> {
        let mut tables: BTreeMap<String, TableInfo> = BTreeMap::new();
        let mut digests = vec![crate::digest::Digest::default(); self.generator.tables().len()];
        let mut tally = Tally::default();
        for part in 0..self.identity.parts {
            let Some(state) = read_json::<PartState>(self.place, &receipt(part))? else {
                // Whoever completes the last part writes the manifest; it may have done so already.
                return read_json(self.place, MANIFEST);
            };
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
            wall_seconds: wall.as_secs_f64(),
            tally: tally.counts,
        };
        self.place.write_shared(MANIFEST, &json(MANIFEST, &manifest)?)?;
        self.forget(self.identity.parts)?;
        Ok(Some(manifest))
    }
}

/// Records how far a part has come, at most every [`JOURNAL_EVERY`].
struct Journal<'a> {
    place: &'a dyn Place,
    name: String,
    last: Mutex<Option<Instant>>,
    progress: &'a dyn Progress,
}

impl Progress for Journal<'_> {
    fn advanced(&self, actors: u64, rows: u64) {
        self.progress.advanced(actors, rows);
    }

    fn checkpoint(&self, state: &PartState) -> Result<(), RunError> {
        let mut last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if !self.place.can_continue() || last.is_some_and(|last| last.elapsed() < JOURNAL_EVERY) {
            return Ok(());
        }
        *last = Some(Instant::now());
        write_json(self.place, &self.name, state)
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

/// Generates a run of all tables into an empty directory, with one thread, in the family's default format.
///
/// # Errors
/// The directory holds something, or cannot be written.
pub fn generate(root: &Path, resolved: &Resolved, generator: &dyn Generator, seed: u64) -> Result<Manifest, RunError> {
    let start = Instant::now();
    let (place, stop) = (Directory::new(root), AtomicBool::new(false));
    let tables = TableSet::of(generator.tables(), |_| true);
    let actors = 0..generator.population().actors;
    let job = Job { generator, seed, threads: 1, tables, actors, trim: 0, order: Order::Actor, stop: &stop };
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
        let found = place.size(&file.path)?;
        if found != Some(file.bytes) {
            let found = found.map_or_else(|| "is missing".to_owned(), |bytes| format!("has {bytes} bytes instead of {}", file.bytes));
            let place = place.shown();
            return Err(RunError::Refused(format!("{place}/{} {found}; make the run again with generate --overwrite", file.path)));
        }
    }
    Ok(())
}

/// The manifest of a complete run in a directory; `None` if it holds none.
///
/// # Errors
/// It cannot be read, or is no manifest of this version.
pub fn read_manifest(root: &Path) -> Result<Option<Manifest>, RunError> {
    read_json(&Directory::new(root), MANIFEST)
}

fn read_json<T: serde::de::DeserializeOwned>(place: &dyn Place, path: &str) -> Result<Option<T>, RunError> {
    let bytes = place.read(path)?;
    let value = bytes.map(|bytes| serde_json::from_slice(&bytes)).transpose();
    value.map_err(|error| RunError::io(format!("{}/{path}", place.shown()), error.into()))
}

fn write_json(place: &dyn Place, path: &str, value: &impl Serialize) -> Result<(), RunError> {
    place.write(path, &json(path, value)?)
}

fn json(path: &str, value: &impl Serialize) -> Result<Vec<u8>, RunError> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(|error| RunError::io(path, error.into()))?;
    bytes.push(b'\n');
    Ok(bytes)
}
