//! The tables of a run, or of a user's own directory, as streams of batches.
//!
//! ```no_run
//! use populace_analysis::source::{As, Side, Source, Want};
//!
//! let source = Source::open("data".as_ref())?;
//! let wants = [Want::new("recipient_id", As::Text), Want::new("timestamp", As::Instant), Want::new("event_type", As::Text)];
//! source.actors("recipient_id", &[Side { table: "events", wants: &wants, time: Some("timestamp") }], |recipient| {
//!     println!("{} events of one recipient, in order of time", recipient[0].as_ref().map_or(0, |events| events.num_rows()));
//!     Ok(())
//! })?;
//! # Ok::<(), populace_analysis::AnalysisError>(())
//! ```

mod cast;
mod columns;
mod keys;
mod pieces;
mod reader;
mod text;
pub(crate) mod values;

pub use columns::{Columns, Texts};
pub(crate) use keys::Keys;
pub(crate) use pieces::{Piece, Pieces};
pub(crate) use reader::no_columns;

use crate::error::AnalysisError;
use crate::pass::{self, Inputs};
use crate::watch::Watch;
use arrow_array::RecordBatch;
use populace_core::scenario::Scenario;
use populace_io::VALUES_VERSION;
use populace_io::catalogue;
use populace_io::dataset::{MANIFEST, Manifest, SCENARIO, check_files, read_manifest};
use populace_io::document::{self, Request, Resolved};
use populace_io::files::place::Directory;
use populace_io::run::Order;
use populace_io::table::{Column, Kind};
use serde::de::DeserializeOwned;
use std::fs;
use std::path::{Path, PathBuf};

/// The endings of files that can be read, compressed text among them.
pub const ENDINGS: [&str; 8] = ["parquet", "arrow", "csv", "jsonl", "csv.gz", "jsonl.gz", "csv.zst", "jsonl.zst"];

/// What a column is read as, whatever it is held as in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum As {
    /// `StringArray`; a UUID is written with hyphens.
    Text,
    /// `Int64Array`.
    Int,
    /// `Float64Array`.
    Float,
    /// `BooleanArray`.
    Bool,
    /// `TimestampMicrosecondArray`, UTC. Text without an offset is taken as UTC.
    Instant,
    /// `Date32Array`.
    Date,
    /// `FixedSizeBinaryArray` of 16 bytes.
    Uuid,
}

/// A column that is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Want {
    /// Its name.
    pub name: &'static str,
    /// What it is read as.
    pub kind: As,
    /// Whether it may be null.
    pub nullable: bool,
    /// Whether it may be missing; it is then all null.
    pub optional: bool,
}

impl Want {
    /// A column that must be there and is never null.
    pub const fn new(name: &'static str, kind: As) -> Self {
        Self { name, kind, nullable: false, optional: false }
    }

    /// A column that must be there and may be null.
    pub const fn nullable(name: &'static str, kind: As) -> Self {
        Self { name, kind, nullable: true, optional: false }
    }

    /// A column that may be missing or null.
    pub const fn optional(name: &'static str, kind: As) -> Self {
        Self { name, kind, nullable: true, optional: true }
    }

    /// A column of one of our own tables.
    pub const fn of(column: &Column) -> Self {
        let kind = match column.kind {
            Kind::Bool => As::Bool,
            Kind::Int16 | Kind::Int32 | Kind::Int64 => As::Int,
            Kind::Float | Kind::Fixed(_) => As::Float,
            Kind::Instant(_) => As::Instant,
            Kind::Date => As::Date,
            Kind::Uuid => As::Uuid,
            Kind::Text | Kind::Json => As::Text,
        };
        Self { name: column.name, kind, nullable: column.nullable, optional: false }
    }
}

/// What is wanted of one of several tables.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    /// The table, such as `events`.
    pub table: &'a str,
    /// Its columns, the key among them.
    pub wants: &'a [Want],
    /// The column that orders the rows of an actor.
    pub time: Option<&'a str>,
}

/// A directory of tables.
#[derive(Debug)]
pub struct Source {
    root: PathBuf,
    manifest: Option<Manifest>,
}

impl Source {
    /// Opens the directory of a run, or one of a user's own files.
    ///
    /// # Errors
    /// It is not a directory, holds an unfinished run, or its files are not those that its manifest names.
    pub fn open(root: &Path) -> Result<Self, AnalysisError> {
        if !root.is_dir() {
            return Err(AnalysisError::input(format!("{}: is not a directory; give the directory of a run", root.display())));
        }
        let manifest = read_manifest(root)?;
        match &manifest {
            Some(manifest) => check_files(&Directory::new(root), manifest)?,
            None if root.join(".populace").is_dir() => {
                let root = root.display();
                return Err(AnalysisError::input(format!("{root}: the run is unfinished; go on with it by generate --resume")));
            }
            None => {}
        }
        Ok(Self { root: root.to_owned(), manifest })
    }

    /// Opens a directory for its files as they are, whatever a manifest beside them says.
    ///
    /// # Errors
    /// It is not a directory.
    pub fn open_as_found(root: &Path) -> Result<Self, AnalysisError> {
        if !root.is_dir() {
            return Err(AnalysisError::input(format!("{}: is not a directory", root.display())));
        }
        Ok(Self { root: root.to_owned(), manifest: None })
    }

    /// The directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What the run is; `None` of a user's own files.
    pub fn manifest(&self) -> Option<&Manifest> {
        self.manifest.as_ref()
    }

    /// The document that the data is judged by: the one named, or else the run's own.
    ///
    /// # Errors
    /// That document is not sound; as [`scenario`](Self::scenario).
    pub fn judged_by(&self, named: Option<&str>) -> Result<Resolved, AnalysisError> {
        match named {
            Some(name) => {
                self.check_values()?;
                Ok(catalogue::resolve(&Request::new(document::Source::Named(name)))?)
            }
            None => self.scenario(),
        }
    }

    /// Checks that a run has the values that this program makes: what it knows of them holds of no others.
    fn check_values(&self) -> Result<(), AnalysisError> {
        match self.manifest.as_ref().map(|manifest| manifest.identity.values_version) {
            Some(version) if version != VALUES_VERSION => Err(AnalysisError::input(format!(
                "{}: holds values of version {version}, and this program makes and knows version {VALUES_VERSION}\n\
                 hint: generate the run again, or use the program that made it",
                self.root.display()
            ))),
            _ => Ok(()),
        }
    }

    /// Whether a document is another than the one that the run was generated from; `false` of data without a manifest.
    pub fn is_of_another(&self, document: &Resolved) -> bool {
        self.manifest.as_ref().is_some_and(|manifest| manifest.identity.scenario_digest != document.digest())
    }

    /// The seed of the data: that of the run, or of data without a manifest the document's.
    pub fn seed(&self, document: &Resolved) -> Option<u64> {
        self.manifest.as_ref().map(|manifest| manifest.identity.seed).or(document.seed)
    }

    /// The scenario that lies beside the data.
    ///
    /// # Errors
    /// There is none, it is not sound, or it is not the one that the manifest names.
    pub fn scenario(&self) -> Result<Resolved, AnalysisError> {
        self.check_values()?;
        let path = self.root.join(SCENARIO);
        if !path.is_file() {
            let root = self.root.display();
            return Err(AnalysisError::input(format!(
                "{root}: has no {SCENARIO}; put the one of the run there, or name the scenario with --scenario where the command has it"
            )));
        }
        let scenario = catalogue::resolve(&Request::new(document::Source::File(&path)))?;
        if self.is_of_another(&scenario) {
            let (path, found) = (path.display(), scenario.digest());
            let of_run = self.manifest.as_ref().map_or("", |manifest| &manifest.identity.scenario_digest);
            return Err(AnalysisError::input(format!(
                "{path}: is not the document that the run was generated from: its digest is {found}, and {MANIFEST} has {of_run}\n\
                 hint: restore the file; to judge the data by another document, name it with --scenario where the command has it"
            )));
        }
        Ok(scenario)
    }

    /// The model of the scenario that lies beside the data.
    ///
    /// # Errors
    /// As [`scenario`](Self::scenario).
    pub fn model<S: Scenario<Config: DeserializeOwned>>(&self) -> Result<S, AnalysisError> {
        Ok(catalogue::model(&self.scenario()?)?)
    }

    /// Whether the rows of its tables come by actor.
    pub(crate) fn is_by_actor(&self) -> bool {
        self.manifest.as_ref().is_some_and(|manifest| manifest.identity.order == Order::Actor)
    }

    /// Whether there is a table, such as `events` or `truth/messages`.
    pub fn has(&self, table: &str) -> bool {
        self.find(table).is_ok_and(|files| !files.is_empty())
    }

    /// A table.
    ///
    /// # Errors
    /// There is no such table, or it is there in two formats.
    pub fn table(&self, table: &str) -> Result<TableSource, AnalysisError> {
        let files = self.find(table)?;
        if files.is_empty() {
            let root = self.root.display();
            let hint = match &self.manifest {
                Some(manifest) => {
                    let tables: Vec<&str> = manifest.tables.keys().map(String::as_str).collect();
                    format!("the run has {}", tables.join(", "))
                }
                None => format!("expected {table}.parquet, .arrow, .csv or .jsonl, and there is no {MANIFEST}"),
            };
            return Err(AnalysisError::input(format!("{root}: has no table {table}; {hint}")));
        }
        Ok(TableSource { files })
    }

    /// Takes one actor after another: its rows in each table, `None` where it has none, in order of time if the side names one (rows of
    /// equal time stay in their order). The first table has every actor, such as a table of users. Actors come as they do in a run in
    /// actor order, else in no particular order.
    ///
    /// # Errors
    /// A table is missing or lacks a column, a value is not what is wanted, a file is cut off, a table has an actor that the first lacks;
    /// those of `take`.
    ///
    /// # Panics
    /// There is no side, or the key or a time is not among the wanted columns.
    pub fn actors(
        &self,
        key: &str,
        sides: &[Side<'_>],
        mut take: impl FnMut(&[Option<RecordBatch>]) -> Result<(), AnalysisError> + Send,
    ) -> Result<(), AnalysisError> {
        pass::each(self, &Inputs::joined(key, sides), &Watch::none(1), "reading", |actor| Ok(actor.to_vec()), |actor| take(&actor))
    }

    /// The files of a table, in order.
    fn find(&self, table: &str) -> Result<Vec<PathBuf>, AnalysisError> {
        if let Some(manifest) = &self.manifest {
            let files = manifest.tables.get(table).map(|table| &table.files);
            return Ok(files.into_iter().flatten().map(|file| self.root.join(&file.path)).collect());
        }
        let mut found: Vec<(&str, Vec<PathBuf>)> = Vec::new();
        for ending in ENDINGS {
            let mut files = Vec::new();
            let whole = self.root.join(format!("{table}.{ending}"));
            if whole.is_file() {
                files.push(whole);
            }
            let parts = self.root.join(table);
            if parts.is_dir() {
                let entries = fs::read_dir(&parts).map_err(|error| AnalysisError::io(&parts, error))?;
                for entry in entries {
                    let path = entry.map_err(|error| AnalysisError::io(&parts, error))?.path();
                    let name = path.file_name().unwrap_or_default().to_string_lossy();
                    if name.split_once('.').is_some_and(|(_, rest)| rest == ending) {
                        files.push(path);
                    }
                }
            }
            if !files.is_empty() {
                files.sort();
                found.push((ending, files));
            }
        }
        if let [(one, _), (other, _), ..] = found.as_slice() {
            let root = self.root.display();
            return Err(AnalysisError::input(format!("{root}: {table} is there as .{one} and as .{other}; keep one of them")));
        }
        Ok(found.pop().map(|(_, files)| files).unwrap_or_default())
    }
}

/// Whether a file is CSV, compressed or not.
pub(crate) fn is_csv(path: &Path) -> bool {
    matches!(reader::Encoding::of(path), Ok(reader::Encoding::Csv { .. }))
}

/// The text of a CSV file, unpacked; `None` if the file is of another format.
///
/// # Errors
/// The file cannot be opened, or is of no known format.
pub(crate) fn open_csv(path: &Path) -> Result<Option<Box<dyn std::io::Read + Send>>, AnalysisError> {
    match reader::Encoding::of(path)? {
        reader::Encoding::Csv { .. } => Ok(Some(populace_io::untrusted::bytes(path)?)),
        _ => Ok(None),
    }
}

/// The files of one table.
#[derive(Clone, Debug)]
pub struct TableSource {
    files: Vec<PathBuf>,
}

impl TableSource {
    /// A table that is one file, of whatever order.
    ///
    /// # Errors
    /// There is no such file, or its ending is none of [`ENDINGS`].
    pub fn file(path: &Path) -> Result<Self, AnalysisError> {
        if !path.is_file() {
            return Err(AnalysisError::input(format!("{}: is not a file", path.display())));
        }
        reader::Encoding::of(path)?;
        Ok(Self { files: vec![path.to_owned()] })
    }

    /// Its files, in order.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// The names of its columns, of the first file.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn column_names(&self) -> Result<Vec<String>, AnalysisError> {
        reader::column_names(&self.files[0])
    }

    /// The rows, file after file: batches of the wanted columns, in the order wanted.
    ///
    /// # Errors
    /// A file is not a table or lacks a column; as an item: a value is not what is wanted, a file is cut off.
    pub fn read(&self, wants: &[Want]) -> Result<Batches, AnalysisError> {
        // Columns that are missing in a later file are found before the first is read.
        for file in &self.files {
            reader::check_columns(file, wants)?;
        }
        Ok(Batches { files: self.files.clone().into_iter(), wants: wants.to_vec(), open: None })
    }

    /// Bytes that the files' rows take when they are read, very roughly.
    pub(crate) fn size(&self) -> Result<u64, AnalysisError> {
        /// Columnar files are compressed about so much.
        const EXPANSION: u64 = 8;
        let mut total = 0;
        for file in &self.files {
            let bytes = fs::metadata(file).map_err(|error| AnalysisError::io(file, error))?.len();
            total += bytes * if reader::Encoding::of(file)?.is_plain_text() { 1 } else { EXPANSION };
        }
        Ok(total)
    }
}

/// Batches of the wanted columns.
pub struct Batches {
    files: std::vec::IntoIter<PathBuf>,
    wants: Vec<Want>,
    open: Option<reader::FileReader>,
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, AnalysisError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(reader) = &mut self.open {
                match reader.next_batch() {
                    Ok(Some(batch)) => return Some(Ok(batch)),
                    Ok(None) => self.open = None,
                    Err(error) => {
                        self.open = None;
                        self.files = Vec::new().into_iter();
                        return Some(Err(error));
                    }
                }
            }
            let file = self.files.next()?;
            match reader::FileReader::open(&file, &self.wants) {
                Ok(reader) => self.open = Some(reader),
                Err(error) => {
                    self.files = Vec::new().into_iter();
                    return Some(Err(error));
                }
            }
        }
    }
}
