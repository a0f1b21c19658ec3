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
mod charset;
mod columns;
mod find;
mod id;
mod inspect;
mod keys;
mod layout;
mod log;
mod map;
mod oddities;
mod options;
mod pieces;
mod reader;
pub(crate) mod records;
mod shared;
mod sound;
mod text;
pub(crate) mod values;

pub(crate) use cast::{repeated, shown};
pub(crate) use columns::Uuids;
pub use columns::{Columns, Texts};
pub use id::Id;
pub use inspect::Inspection;
pub(crate) use inspect::{Likely, inspect};
pub(crate) use keys::Keys;
pub use layout::Loss;
pub(crate) use layout::{Content, Layout};
pub use map::{Map, Settings};
pub(crate) use oddities::odd_clocks;
pub use options::ReadOptions;
pub(crate) use pieces::{Piece, Pieces};
use populace_io::wording::own;
use shared::Shared;
pub use values::{Dates, Decimal, Times, Unit};

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
use std::sync::Arc;

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
    /// `StringArray`: a moment as it is written, one of a column with a zone in UTC, with a `Z`.
    Zoned,
    /// `Date32Array`.
    Date,
    /// `FixedSizeBinaryArray` of 16 bytes.
    Uuid,
    /// The same; of a text that is no UUID, 16 bytes that another text does not have.
    Key,
    /// `Int64Array` of a run; else text, so that `00123` and `123` are two, and `123.0` is `123`.
    Id,
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
    shared: Arc<Shared>,
    /// Whether what the manifest says of files and order may be wrong: files that cannot be opened are left out.
    is_damaged: bool,
}

impl Source {
    /// Opens the directory of a run, or one of a user's own files.
    ///
    /// # Errors
    /// It is not a directory, holds an unfinished run, or its files are not those that its manifest names.
    pub fn open(root: &Path) -> Result<Self, AnalysisError> {
        Self::open_with(root, &ReadOptions::default())
    }

    /// As [`open`](Self::open), with what the user says of files of their own.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(root: &Path, options: &ReadOptions) -> Result<Self, AnalysisError> {
        let source = Self::open_unchecked(root, options)?;
        if let Some(manifest) = &source.manifest {
            check_files(&Directory::new(root), manifest)?;
        }
        Ok(source)
    }

    /// As [`open_with`](Self::open_with), without looking at the files of a run: for what finds out whether they are those of the manifest.
    ///
    /// # Errors
    /// It is not a directory, or holds an unfinished run.
    pub fn open_unchecked(root: &Path, options: &ReadOptions) -> Result<Self, AnalysisError> {
        if !root.is_dir() {
            let hint = match root.parent() {
                Some(parent) if root.is_file() => {
                    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
                    format!("; give the one that the file is in, {}", parent.display())
                }
                _ => "; give the directory of a run, or of files of your own".to_owned(),
            };
            return Err(AnalysisError::input(format!("{}: is not a directory{hint}", root.display())));
        }
        let manifest = read_manifest(root)?;
        match &manifest {
            None if root.join(".populace").is_dir() => {
                let root = root.display();
                return Err(AnalysisError::input(format!("{root}: the run is unfinished; {}", own("go on with it by generate --resume"))));
            }
            _ => {}
        }
        let shared = Arc::new(Shared::new(options, manifest.is_some(), false));
        Ok(Self { root: root.to_owned(), manifest, shared, is_damaged: false })
    }

    /// Opens a directory for its files as they are, whatever a manifest beside them says.
    ///
    /// # Errors
    /// It is not a directory.
    pub fn open_as_found(root: &Path, options: &ReadOptions) -> Result<Self, AnalysisError> {
        if !root.is_dir() {
            return Err(AnalysisError::input(format!("{}: is not a directory", root.display())));
        }
        Ok(Self { root: root.to_owned(), manifest: None, shared: Arc::new(Shared::new(options, false, false)), is_damaged: false })
    }

    /// Rows that were left out of the files that have been read so far, because they are no rows of a table.
    pub fn losses(&self) -> Vec<Loss> {
        self.shared.losses()
    }

    /// What the losses come to, and what was taken otherwise than it stands, a sentence each.
    pub fn remarks(&self) -> Vec<String> {
        self.shared.remarks()
    }

    /// Which files are not UTF-8, though nobody said so, a sentence each.
    pub(crate) fn recoded(&self) -> Vec<String> {
        self.shared.recoded()
    }

    /// That a table has no rows, and which rows it would have had.
    pub(crate) fn empty(&self, table: &str) -> AnalysisError {
        let (root, mut remarks) = (self.root.display(), self.remarks());
        if remarks.is_empty() {
            return AnalysisError::input(format!("{root}: the table {table} holds no row; was its export cut off?"));
        }
        remarks.insert(0, format!("{root}: the table {table} holds no row that can be read"));
        remarks.push("hint: a field that holds the sign between fields is written in quotes".to_owned());
        AnalysisError::input(remarks.join("\n"))
    }

    /// The same directory, of which only the files count that can be opened, with rows in any order.
    pub(crate) fn as_damaged(&self) -> Self {
        Self { root: self.root.clone(), manifest: self.manifest.clone(), shared: Arc::clone(&self.shared), is_damaged: true }
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

    /// The scenario that lies beside the data, by which it can be analysed.
    ///
    /// # Errors
    /// As [`document`](Self::document); or its events have the names of a provider.
    pub fn scenario(&self) -> Result<Resolved, AnalysisError> {
        let scenario = self.document()?;
        if let Some(names) = scenario.config["names"].as_str().filter(|_| self.manifest.is_some()) {
            return Err(AnalysisError::input(format!(
                "{}: its types of event have the names of {names}; a run is analysed by the names of Populace\n{}",
                self.root.display(),
                own(
                    "hint: generate the run without --names, or read the files with --map without the manifest and the scenario beside them"
                )
            )));
        }
        Ok(scenario)
    }

    /// The scenario that lies beside the data, whatever its events are called.
    ///
    /// # Errors
    /// There is none, it is not sound, or it is not the one that the manifest names.
    pub fn document(&self) -> Result<Resolved, AnalysisError> {
        self.check_values()?;
        let path = self.root.join(SCENARIO);
        if !path.is_file() {
            let root = self.root.display();
            return Err(AnalysisError::input(format!(
                "{root}: has no {SCENARIO}; put the one of the run there, or {}",
                own("name the scenario with --scenario where the command has it")
            )));
        }
        let scenario = catalogue::resolve(&Request::new(document::Source::File(&path)))?;
        if self.is_of_another(&scenario) {
            let (path, found) = (path.display(), scenario.digest());
            let of_run = self.manifest.as_ref().map_or("", |manifest| &manifest.identity.scenario_digest);
            return Err(AnalysisError::input(format!(
                "{path}: is not the document that the run was generated from: its digest is {found}, and {MANIFEST} has {of_run}\n\
                 hint: restore the file; to judge the data by another document, {}",
                own("name it with --scenario where the command has it")
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
        !self.is_damaged && self.manifest.as_ref().is_some_and(|manifest| manifest.identity.order == Order::Actor)
    }

    /// Whether there is a table, such as `events` or `truth/messages`.
    pub fn has(&self, table: &str) -> bool {
        // Of a table that is there twice, opening it tells.
        self.find(table).map_or(true, |files| !files.is_empty())
    }

    /// Files that may be meant by a table, and are none that is read.
    pub(crate) fn beside(&self, table: &str) -> Vec<String> {
        find::beside(&self.root, table)
    }

    /// A table.
    ///
    /// # Errors
    /// There is no such table, or it is there in two formats.
    pub fn table(&self, table: &str) -> Result<TableSource, AnalysisError> {
        let files = self.find(table)?;
        if files.is_empty() {
            let root = self.root.display();
            let hint = if let Some(manifest) = &self.manifest {
                let tables: Vec<&str> = manifest.tables.keys().map(String::as_str).collect();
                format!("the run has {}", tables.join(", "))
            } else {
                let beside = self.beside(table);
                let beside = if beside.is_empty() { String::new() } else { format!("\nhint: there is {}", beside.join(", ")) };
                format!(
                    "expected {table}.parquet, .arrow, .csv, .tsv or .jsonl, or its parts in {table}/, and there is no {MANIFEST}{beside}"
                )
            };
            return Err(AnalysisError::input(format!("{root}: has no table {table}; {hint}")));
        }
        Ok(TableSource { files, shared: Arc::clone(&self.shared) })
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
            let files = files.into_iter().flatten().map(|file| self.root.join(&file.path));
            let opens = |path: &PathBuf| self.shared.layout(path).is_ok();
            return Ok(files.filter(|path| !self.is_damaged || opens(path)).collect());
        }
        let parts = find::find(&self.root, table)?;
        Ok(parts.into_iter().map(|part| self.shared.part(part)).collect())
    }
}

/// The files of one table.
#[derive(Clone, Debug)]
pub struct TableSource {
    files: Vec<PathBuf>,
    shared: Arc<Shared>,
}

impl TableSource {
    /// A table that is one file, of whatever order. A row that is none is an error.
    ///
    /// # Errors
    /// There is no such file.
    pub fn file(path: &Path) -> Result<Self, AnalysisError> {
        Self::file_with(path, &ReadOptions::default())
    }

    /// As [`file`](Self::file), with what the user says of it.
    ///
    /// # Errors
    /// As [`file`](Self::file).
    pub fn file_with(path: &Path, options: &ReadOptions) -> Result<Self, AnalysisError> {
        if !path.is_file() {
            return Err(AnalysisError::input(format!("{}: is not a file", path.display())));
        }
        Ok(Self { files: vec![path.to_owned()], shared: Arc::new(Shared::new(options, false, true)) })
    }

    /// As [`file`](Self::file), but rows that are none are left out: the [remarks](Self::remarks) count them.
    ///
    /// # Errors
    /// As [`file`](Self::file).
    pub fn file_with_losses(path: &Path) -> Result<Self, AnalysisError> {
        let shared = Arc::new(Shared::new(&ReadOptions::default(), false, false));
        Ok(Self { shared, ..Self::file(path)? })
    }

    /// Its files, in order.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// What was left out of what has been read so far, a sentence each.
    pub fn remarks(&self) -> Vec<String> {
        self.shared.remarks()
    }

    /// What its files are.
    pub(crate) fn layouts(&self) -> Result<Vec<Arc<Layout>>, AnalysisError> {
        self.files.iter().map(|file| self.shared.layout(file)).collect()
    }

    /// The name in a file of a wanted column; `None` if it is not there.
    pub(crate) fn find(&self, layout: &Layout, wanted: &str) -> Result<Option<String>, AnalysisError> {
        layout.find(wanted, &self.shared)
    }

    /// The sign before the fractions in some columns of a file.
    pub(crate) fn decimal(&self, layout: &Layout, columns: &[String]) -> Result<Decimal, AnalysisError> {
        layout.decimal(columns, &self.shared)
    }

    /// One of its files.
    pub(crate) fn only(&self, file: &Path) -> Self {
        Self { files: vec![file.to_owned()], shared: Arc::clone(&self.shared) }
    }

    /// What the user says of its files.
    pub(crate) fn options(&self) -> &ReadOptions {
        &self.shared.options
    }

    /// The names of its columns, of all files.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn column_names(&self) -> Result<Vec<String>, AnalysisError> {
        let mut names: Vec<String> = Vec::new();
        for layout in self.layouts()? {
            for name in &layout.names {
                if !names.contains(name) {
                    names.push(name.clone());
                }
            }
        }
        Ok(names)
    }

    /// Whether a file has a column, under its own name or the one that the user says.
    ///
    /// # Errors
    /// A file cannot be read, or has the column more than once.
    pub fn has_column(&self, name: &str) -> Result<bool, AnalysisError> {
        for layout in self.layouts()? {
            if self.find(&layout, name)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The rows, file after file: batches of the wanted columns, in the order wanted.
    ///
    /// # Errors
    /// A file is not a table or lacks a column; as an item: a value is not what is wanted, a file is cut off.
    pub fn read(&self, wants: &[Want]) -> Result<Batches, AnalysisError> {
        // Columns that are missing in a later file are found before the first is read.
        for layout in self.layouts()? {
            layout.sources(wants, &self.shared)?;
        }
        Ok(Batches { files: self.files.clone().into_iter(), wants: wants.to_vec(), shared: Arc::clone(&self.shared), open: None })
    }

    /// Bytes that the files' rows take when they are read, very roughly.
    pub(crate) fn size(&self) -> Result<u64, AnalysisError> {
        /// Columnar files are compressed about so much.
        const EXPANSION: u64 = 8;
        let mut total = 0;
        for file in &self.files {
            let bytes = fs::metadata(file).map_err(|error| AnalysisError::io(file, error))?.len();
            let layout = self.shared.layout(file)?;
            total += bytes * if layout.content.is_text() && !layout.is_packed { 1 } else { EXPANSION };
        }
        Ok(total)
    }
}

/// Batches of the wanted columns.
pub struct Batches {
    files: std::vec::IntoIter<PathBuf>,
    wants: Vec<Want>,
    shared: Arc<Shared>,
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
            match reader::FileReader::open(&file, &self.wants, &self.shared) {
                Ok(reader) => self.open = Some(reader),
                Err(error) => {
                    self.files = Vec::new().into_iter();
                    return Some(Err(error));
                }
            }
        }
    }
}
