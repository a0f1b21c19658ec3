//! A run in a directory: what it is, how far it has come, and the manifest that ends it.
//!
//! While a run is unfinished, `DIR/.populace/` holds its identity, a journal for each part and a receipt for each complete part.
//! When every part has its receipt, `DIR/manifest.json` is written and `.populace` goes.

use crate::VALUES_VERSION;
use crate::error::RunError;
use crate::files::place::{Directory, partial, write_whole};
use crate::files::table_file::FileInfo;
use crate::files::{Compression, FileOptions};
use crate::generator::{Generator, Tally};
use crate::run::{Job, Order, Part, PartState, Progress};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// The file that says what a run is. It is written last: a directory with it holds a complete run.
pub const MANIFEST: &str = "manifest.json";
/// The file that makes the same run again.
pub const SCENARIO: &str = "scenario.yaml";
/// Where an unfinished run keeps its state.
const STATE: &str = ".populace";
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

/// A run on its way into a directory.
pub struct Dataset<'a> {
    root: PathBuf,
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
    /// A run of `job` in the directory `root`.
    pub fn new(root: impl Into<PathBuf>, job: &Job<'a>, document: Document, options: FileOptions, parts: u64, count: Option<u64>) -> Self {
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
        Self { root: root.into(), generator, identity, document, options }
    }

    fn state(&self, name: impl AsRef<Path>) -> PathBuf {
        self.root.join(STATE).join(name)
    }

    fn receipt(&self, part: u64) -> PathBuf {
        self.state(format!("part-{part:05}.json"))
    }

    fn journal(&self, part: u64) -> PathBuf {
        self.state(format!("part-{part:05}.journal"))
    }

    /// Makes the directory ready: nothing of this run's in it, or what can be gone on from. `true` if the run is complete already.
    ///
    /// # Errors
    /// There is something that `existing` does not allow to touch, or the directory cannot be written.
    pub fn prepare(&self, existing: Existing, one_part: bool) -> Result<bool, RunError> {
        let shown = self.root.display();
        if self.root.exists() && !self.root.is_dir() {
            return Err(RunError::Refused(format!("{shown} is a file; choose another directory with -o")));
        }
        let complete = read_manifest(&self.root)?;
        let unfinished: Option<Identity> = read_json(&self.state("run.json"))?;
        match existing {
            Existing::Overwrite => self.remove(complete.as_ref())?,
            Existing::Resume | Existing::Refuse => {
                let resume = existing == Existing::Resume;
                if let Some(manifest) = complete {
                    if resume && manifest.identity == self.identity {
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
                } else {
                    self.refuse_strangers()?;
                }
            }
        }
        let state = self.root.join(STATE);
        fs::create_dir_all(&state).map_err(|error| RunError::io(&state, error))?;
        write_json(&self.state("run.json"), &self.identity)?;
        write_whole(&self.root.join(SCENARIO), self.document.yaml.as_bytes())?;
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

    /// Files under our names that no run of ours has left.
    fn refuse_strangers(&self) -> Result<(), RunError> {
        let ending = self.options.extension();
        let ours = self
            .identity
            .tables
            .iter()
            .map(|table| if self.identity.parts == 1 { self.root.join(format!("{table}.{ending}")) } else { self.root.join(table) });
        match ours.chain([self.root.join(SCENARIO)]).find(|path| path.exists()) {
            None => Ok(()),
            Some(path) => Err(RunError::Refused(format!(
                "{} exists and is not part of a known run; move it away, or choose another directory with -o",
                path.display()
            ))),
        }
    }

    /// Removes an earlier run: the files that its manifest, journals and receipts name, and nothing else.
    fn remove(&self, complete: Option<&Manifest>) -> Result<(), RunError> {
        let mut files: Vec<String> = Vec::new();
        if let Some(manifest) = complete {
            files.extend(manifest.tables.values().flat_map(|table| &table.files).map(|file| file.path.clone()));
        }
        let state = self.root.join(STATE);
        if state.is_dir() {
            for entry in fs::read_dir(&state).map_err(|error| RunError::io(&state, error))? {
                let path = entry.map_err(|error| RunError::io(&state, error))?.path();
                if let Ok(Some(part)) = read_json::<PartState>(&path) {
                    files.extend(part.tables.iter().flat_map(|table| &table.files.complete).map(|file| file.path.clone()));
                }
            }
        }
        let remove = |path: PathBuf| match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(RunError::io(path, error)),
            _ => Ok(()),
        };
        // The manifest first: from here on the directory holds no complete run.
        remove(self.root.join(MANIFEST))?;
        for file in files.iter().filter(|file| !file.split('/').any(|step| step == "..") && !file.starts_with('/')) {
            remove(self.root.join(file))?;
            remove(partial(&self.root.join(file)))?;
        }
        if state.is_dir() {
            fs::remove_dir_all(&state).map_err(|error| RunError::io(&state, error))?;
        }
        Ok(())
    }

    /// Writes a part, going on from where it stopped. Nothing is done for a part that is complete.
    ///
    /// # Errors
    /// As [`Job::write`]; or another process writes the same part.
    pub fn write_part(&self, job: &Job<'_>, part: Part, progress: &dyn Progress) -> Result<(), RunError> {
        if self.receipt(part.part).exists() {
            return Ok(());
        }
        let lock_path = self.state(format!("part-{:05}.lock", part.part));
        let lock = File::create(&lock_path).map_err(|error| RunError::io(&lock_path, error))?;
        if lock.try_lock().is_err() {
            return Err(RunError::Refused(format!("another process writes part {} of {}", part.part, self.root.display())));
        }
        let journal = Journal { path: self.journal(part.part), last: Mutex::new(None), progress };
        let state = read_json(&journal.path)?.unwrap_or_default();
        let state = job.write(part, self.options, &Directory::new(&self.root), state, &journal)?;
        write_json(&self.receipt(part.part), &state)?;
        for path in [journal.path, lock_path] {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(RunError::io(path, error)),
                _ => {}
            }
        }
        Ok(())
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
            let Some(state) = read_json::<PartState>(&self.receipt(part))? else {
                // Whoever completes the last part writes the manifest; it may have done so already.
                return read_manifest(&self.root);
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
        write_json(&self.root.join(MANIFEST), &manifest)?;
        let state = self.root.join(STATE);
        fs::remove_dir_all(&state).map_err(|error| RunError::io(&state, error))?;
        Ok(Some(manifest))
    }
}

/// Records how far a part has come, at most every [`JOURNAL_EVERY`].
struct Journal<'a> {
    path: PathBuf,
    last: Mutex<Option<Instant>>,
    progress: &'a dyn Progress,
}

impl Progress for Journal<'_> {
    fn advanced(&self, actors: u64, rows: u64) {
        self.progress.advanced(actors, rows);
    }

    fn checkpoint(&self, state: &PartState) -> Result<(), RunError> {
        let mut last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if last.is_some_and(|last| last.elapsed() < JOURNAL_EVERY) {
            return Ok(());
        }
        *last = Some(Instant::now());
        write_json(&self.path, state)
    }
}

/// The manifest of a complete run; `None` if the directory holds none.
///
/// # Errors
/// It cannot be read, or is no manifest of this version.
pub fn read_manifest(root: &Path) -> Result<Option<Manifest>, RunError> {
    read_json(&root.join(MANIFEST))
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>, RunError> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| RunError::io(path, error.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound || error.kind() == io::ErrorKind::NotADirectory => Ok(None),
        Err(error) => Err(RunError::io(path, error)),
    }
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<(), RunError> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(|error| RunError::io(path, error.into()))?;
    bytes.push(b'\n');
    write_whole(path, &bytes)
}
