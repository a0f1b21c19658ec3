//! Runs: generated as they are read, or read from the files of a directory.

use crate::batches::Batches;
use crate::capsule;
use crate::errors;
use crate::files;
use crate::scene::{Scene, option, scene};
use crate::stream::{Cast, Meter, Stream};
use crate::wait::wait;
use crate::write::Target;
use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::ArrowError;
use populace_analysis::source::Source;
use populace_io::catalogue;
use populace_io::dataset::Parent;
use populace_io::document::no_such_table;
use populace_io::error::RunError;
use populace_io::generator::{Generator, TableSet};
use populace_io::run::{Job, Order, Part};
use populace_io::table::{Ids, Shape, Table};
use populace_io::text::TextFormat;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyDict};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What Python is told of a column: name, type, whether it may be null, meaning.
type ColumnInfo = (&'static str, &'static str, bool, &'static str);
/// What Python is told of a table: path, whether it is truth, meaning, columns.
type TableInfo = (String, bool, &'static str, Vec<ColumnInfo>);

/// Some columns of a table.
pub(crate) struct View {
    /// The table's place among the generator's.
    index: usize,
    table: Table,
    /// The columns' places among those that the generator makes.
    places: Vec<usize>,
}

/// A run: what decides its rows.
#[pyclass(frozen, module = "populace._populace")]
#[derive(Clone)]
pub(crate) struct Run {
    pub(crate) scene: Arc<Scene>,
    #[pyo3(get)]
    pub(crate) seed: u64,
    pub(crate) threads: usize,
    pub(crate) tables: TableSet,
    pub(crate) actors: Range<u64>,
    pub(crate) trim: u64,
    pub(crate) count: Option<u64>,
    /// Whether rows have no numbers, as one actor alone does not know how many rows come before.
    bare: bool,
    /// Rows of the main table before these actors, where that is known.
    before: Option<u64>,
    /// Whether the run has some of its actors alone.
    slice: bool,
    /// Whether tables that come from the scenario alone are empty, as those of every part but the first.
    later: bool,
    /// The directory that the rows are read from; else they are generated.
    root: Option<PathBuf>,
    /// The file of a policy of `type: schedule`.
    schedule: Option<String>,
    /// The run whose people are mailed again: its scenario, its digest, and its seed.
    parent: Option<(String, String, u64)>,
}

/// Actors whose rows are counted before it is seen whether to stop.
const COUNTED_AT_ONCE: u64 = 100_000;

impl Run {
    pub(crate) fn generator(&self) -> &dyn Generator {
        self.scene.generator.as_ref()
    }

    /// The job of making some tables.
    pub(crate) fn job<'a>(&'a self, tables: TableSet, stop: &'a AtomicBool) -> Job<'a> {
        Job {
            generator: self.generator(),
            seed: self.seed,
            threads: self.threads,
            tables,
            actors: self.actors.clone(),
            trim: self.trim,
            order: Order::Actor,
            stop,
        }
    }

    fn all_tables(&self) -> impl Iterator<Item = (usize, Table)> {
        let main = self.generator().main_table();
        let bare = self.bare && self.generator().numbers_rows();
        self.generator().tables().iter().enumerate().filter(|(index, _)| self.tables.has(*index)).map(move |(index, table)| {
            let mut table = table.clone();
            if bare && index == main {
                table = table.without_numbers();
            }
            (index, table)
        })
    }

    /// A table by its path.
    fn table(&self, path: &str) -> PyResult<(usize, Table)> {
        let found = self.all_tables().find(|(_, table)| table.path() == path);
        found.ok_or_else(|| errors::input(no_such_table(path, self.all_tables().map(|(_, table)| table.path()))))
    }

    /// An error unless the run is generated: `what` can be chosen only then.
    fn generated(&self, what: &str) -> PyResult<()> {
        match self.root {
            None => Ok(()),
            Some(_) => Err(errors::input(format!("{what} can be chosen of a run that is generated, not of one that is read from files"))),
        }
    }

    /// Some columns of a table, by name; and the place of each among those that the generator makes.
    fn view(&self, path: &str, columns: Option<&[String]>) -> PyResult<View> {
        let (index, table) = self.table(path)?;
        let made = &self.generator().tables()[index];
        let place = |name: &String| {
            table.position(name).ok_or_else(|| {
                let known: Vec<&str> = table.columns.iter().map(|column| column.name).collect();
                errors::input(format!("columns: {path} has no column {name}; there are {}", known.join(", ")))
            })
        };
        let places: Vec<usize> = match columns {
            Some([]) => return Err(errors::input("columns: name at least one")),
            Some(names) if names.iter().enumerate().any(|(place, name)| names[..place].contains(name)) => {
                return Err(errors::input(format!("columns: {} names a column twice", names.join(", "))));
            }
            Some(names) => names.iter().map(place).collect::<PyResult<_>>()?,
            None => (0..table.columns.len()).collect(),
        };
        let table = table.with_columns(places);
        let places = table.columns.iter().filter_map(|column| made.position(column.name)).collect();
        Ok(View { index, table, places })
    }

    /// Starts a stream of a view.
    pub(crate) fn start(&self, view: View, shape: Shape, callback: Option<Py<PyAny>>) -> Stream {
        let View { index, table, places } = view;
        if let Some(root) = self.root.clone() {
            return Stream::start(table.schema_in(shape), callback, move |sender, meter| files::read(&root, &table, shape, sender, meter));
        }
        let run = self.clone();
        Stream::start(table.schema_in(shape), callback, move |sender, meter| {
            let send = |batch: RecordBatch| {
                let batch = batch.project(&places).and_then(|batch| table.in_shape(&batch, shape));
                // That nobody takes the batches any longer is how a stream ends early.
                sender.send(batch).map_err(|_| RunError::Interrupted)
            };
            let main = run.generator().main_table();
            // Rows whose numbers nobody sees need not be counted.
            let before = if index == main && table.number.is_some() { run.before } else { Some(0) };
            let made = match run.generator().fixed(index) {
                Some(_) if run.later => Ok(()),
                Some(batch) => send(batch),
                None => run
                    .job(TableSet::EMPTY.with(index), &meter.stop)
                    .batches(before, meter, |mut batches| batches[index].take().map_or(Ok(()), send)),
            };
            match made {
                Ok(()) | Err(RunError::Interrupted) => Ok(()),
                Err(error) => Err(ArrowError::ComputeError(error.to_string())),
            }
        })
    }
}

/// The types in which Python wants a table: those of ids, and whether text is a dictionary.
pub(crate) struct Types(Shape);

impl<'py> FromPyObject<'_, 'py> for Types {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let (ids, dictionaries): (String, bool) = object.extract()?;
        let ids = ids.parse::<Ids>().map_err(|error| errors::input(format!("ids: {error}")))?;
        Ok(Self(Shape { ids, dictionaries }))
    }
}

/// What of a run is not in its scenario's document, for another process: threads, tables, actors, trim, count, its four marks, and, of
/// a replay, the file of its schedule and its parent.
type State = (usize, Vec<String>, (u64, u64), u64, Option<u64>, (bool, Option<u64>, bool, bool), Replay);
type Replay = (Option<String>, Option<(String, String, u64)>);

#[pymethods]
impl Run {
    /// What defines a run that is generated, with its seed and its document.
    fn state(&self) -> State {
        let tables = self.all_tables().map(|(_, table)| table.path()).collect();
        let marks = (self.bare, self.before, self.slice, self.later);
        (
            self.threads,
            tables,
            (self.actors.start, self.actors.end),
            self.trim,
            self.count,
            marks,
            (self.schedule.clone(), self.parent.clone()),
        )
    }

    /// The run that [`Self::state`] came from.
    #[staticmethod]
    fn restore(py: Python<'_>, name: &str, text: &str, seed: u64, state: State) -> PyResult<Self> {
        let (threads, tables, (start, end), trim, count, (bare, before, slice, later), (schedule, parent)) = state;
        let options = PyDict::new(py);
        options.set_item("seed", seed)?;
        options.set_item("threads", threads)?;
        options.set_item("tables", tables)?;
        options.set_item("schedule", schedule)?;
        options.set_item("parent", parent)?;
        let planned = Self::plan(py, name, Some(text), &options)?;
        Ok(Self { actors: start..end, trim, count, bare, before, slice, later, ..planned })
    }

    /// A run of the built-in scenario or scenario file `name`, or of the document `text`.
    #[staticmethod]
    fn plan(py: Python<'_>, name: &str, text: Option<&str>, options: &Bound<'_, PyDict>) -> PyResult<Self> {
        let scene = scene(name, text, options)?;
        let generator = scene.generator.as_ref();
        let seed: Option<u64> = option(options, "seed")?;
        let seed = match seed.or(scene.resolved.seed) {
            Some(seed) => seed,
            None => getrandom::u64().map_err(|error| errors::internal(format!("drawing a seed: {error}; give one as seed")))?,
        };
        let threads: Option<usize> = option(options, "threads")?;
        let wanted: Option<Vec<String>> = option(options, "tables")?;
        let truth = option(options, "truth")?.unwrap_or(true);
        let known: Vec<String> = generator.tables().iter().map(Table::path).collect();
        if let Some(unknown) = wanted.iter().flatten().find(|name| !known.contains(name)) {
            return Err(errors::input(no_such_table(unknown, known)));
        }
        let tables = TableSet::of(generator.tables(), |table| match &wanted {
            Some(wanted) => wanted.contains(&table.path()),
            None => truth || !table.truth,
        });
        let actors = 0..generator.population().actors;
        let threads = threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
        let mut run = Self {
            scene: Arc::new(scene),
            seed,
            threads,
            tables,
            actors,
            trim: 0,
            count: option(options, "count")?,
            bare: false,
            before: None,
            slice: false,
            later: false,
            root: None,
            schedule: option(options, "schedule")?,
            parent: option(options, "parent")?,
        };
        if let Some(count) = run.count {
            if count == 0 {
                return Err(errors::input("count: must be at least 1, got 0"));
            }
            let meter = Arc::new(Meter::default());
            (run.actors, run.trim) = wait(py, &meter, None, || run.job(TableSet::EMPTY, &meter.stop).actors_for_rows(count))?;
        }
        Ok(run)
    }

    /// The run in a directory.
    #[staticmethod]
    fn open(root: PathBuf) -> PyResult<Self> {
        let source = Source::open(&root).map_err(|error| errors::analysis(&error))?;
        let Some(manifest) = source.manifest() else {
            return Err(errors::input(format!("{}: no manifest.json here; there is no complete run", root.display())));
        };
        let resolved = source.document().map_err(|error| errors::analysis(&error))?;
        let generator = catalogue::generator(&resolved).map_err(|problems| errors::documents(&problems))?;
        let tables = TableSet::of(generator.tables(), |table| manifest.tables.contains_key(&table.path()));
        let (seed, count, users) = (manifest.identity.seed, manifest.identity.count, manifest.identity.users);
        let scene = Arc::new(Scene { resolved, generator });
        Ok(Self {
            scene,
            seed,
            threads: 1,
            tables,
            actors: 0..users,
            trim: 0,
            count,
            bare: false,
            before: None,
            slice: false,
            later: false,
            root: Some(root),
            schedule: None,
            parent: None,
        })
    }

    /// The same run, of actors `start..stop` alone. `bare` leaves off the column that numbers the rows.
    fn actors(&self, start: u64, stop: u64, bare: bool) -> PyResult<Self> {
        let (first, users) = (self.actors.start, self.actors.end);
        self.generated("actors")?;
        if start >= stop || start < first || stop > users {
            return Err(errors::input(format!("actor: must be from {first} to {}, got {start}", users - 1)));
        }
        let trim = if stop == users { self.trim } else { 0 };
        Ok(Self { actors: start..stop, trim, bare, before: None, slice: true, ..self.clone() })
    }

    /// Part `part` of `parts`: the rows of some of the actors, and tables that come from the scenario alone in the first. `before` is how
    /// many rows of the main table come before them, where that is known.
    fn part(&self, part: u64, parts: u64, before: Option<u64>) -> PyResult<Self> {
        self.generated("parts")?;
        if parts == 0 || part >= parts {
            return Err(errors::input(format!("part: must be from 0 to parts − 1, got part {part} of {parts}")));
        }
        let actors = Part { part, parts }.actors(&self.actors);
        let trim = if part + 1 == parts { self.trim } else { 0 };
        Ok(Self { actors, trim, before, slice: self.slice || parts > 1, later: self.later || part > 0, ..self.clone() })
    }

    /// Rows of the main table before each of `parts` parts, counted once; `None` if they are not numbered.
    fn rows_before(&self, py: Python<'_>, parts: u64) -> PyResult<Option<Vec<u64>>> {
        self.generated("parts")?;
        if parts == 0 {
            return Err(errors::input("parts: must be at least 1, got 0"));
        }
        if !self.generator().numbers_rows() {
            return Ok(None);
        }
        let meter = Arc::new(Meter::default());
        wait(py, &meter, None, || {
            let job = self.job(TableSet::EMPTY, &meter.stop);
            // Between so many actors it is seen whether to stop.
            let count = |actors: Range<u64>| -> u64 {
                let starts = actors.clone().step_by(COUNTED_AT_ONCE as usize);
                let going_on = starts.take_while(|_| !meter.stop.load(Ordering::Relaxed));
                going_on.map(|start| job.count(start..actors.end.min(start + COUNTED_AT_ONCE))).sum()
            };
            let mut total = self.before.unwrap_or_else(|| count(0..self.actors.start));
            let mut before = Vec::new();
            for part in 0..parts {
                if meter.stop.load(Ordering::Relaxed) {
                    break;
                }
                before.push(total);
                total += count(Part { part, parts }.actors(&self.actors));
            }
            Some(before)
        })
    }

    #[getter]
    fn name(&self) -> &str {
        &self.scene.resolved.name
    }

    #[getter]
    fn family(&self) -> &str {
        &self.scene.resolved.family
    }

    #[getter]
    fn users(&self) -> u64 {
        self.actors.end - self.actors.start
    }

    #[getter]
    fn threads(&self) -> usize {
        self.threads
    }

    #[getter]
    fn directory(&self) -> Option<&Path> {
        self.root.as_deref()
    }

    #[getter]
    fn main_table(&self) -> String {
        self.generator().tables()[self.generator().main_table()].path()
    }

    #[getter]
    fn scenario_digest(&self) -> String {
        self.scene.resolved.digest()
    }

    #[getter]
    fn scenario_yaml(&self) -> String {
        self.scene.resolved.to_yaml(Some(self.seed))
    }

    #[getter]
    fn warnings(&self) -> Vec<String> {
        self.scene.resolved.locate(self.generator().warnings()).problems.iter().map(ToString::to_string).collect()
    }

    /// The volumes to expect, as JSON.
    #[getter]
    fn expected(&self) -> PyResult<String> {
        serde_json::to_string(&self.generator().expected()).map_err(errors::internal)
    }

    /// Rows of the main table that are expected of a user.
    #[getter]
    fn rows_per_user(&self) -> f64 {
        self.generator().population().rows_per_actor
    }

    /// An error unless there is such a table.
    fn check_table(&self, path: &str) -> PyResult<()> {
        self.table(path).map(drop)
    }

    /// The column that says whose the rows of a table are.
    fn actor_column(&self, path: &str) -> PyResult<Option<&'static str>> {
        Ok(self.table(path)?.1.actor)
    }

    /// Whether a table has, among some columns, the one that numbers its rows.
    fn has_numbers(&self, path: &str, columns: Vec<String>) -> PyResult<bool> {
        Ok(self.table(path)?.1.number.is_some_and(|number| columns.iter().any(|name| name == number)))
    }

    /// Path, truth, meaning and columns of each table.
    fn tables(&self) -> Vec<TableInfo> {
        let columns = |table: &Table| {
            table.columns.iter().map(|column| (column.name, column.kind.describe(), column.nullable, column.meaning)).collect()
        };
        self.all_tables().map(|(_, table)| (table.path(), table.truth, table.meaning, columns(&table))).collect()
    }

    /// An Arrow stream of a table.
    #[pyo3(signature = (path, shape, requested=None, progress=None, columns=None))]
    fn capsule<'py>(
        &self,
        py: Python<'py>,
        path: &str,
        shape: Types,
        requested: Option<Bound<'py, PyCapsule>>,
        progress: Option<Py<PyAny>>,
        columns: Option<Vec<String>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        let stream = self.start(self.view(path, columns.as_deref())?, shape.0, progress).exported();
        let reader: Box<dyn RecordBatchReader + Send> = match requested {
            None => Box::new(stream),
            Some(wish) => Cast::reader(stream, &capsule::requested(&wish)?),
        };
        capsule::export(py, reader)
    }

    /// The Arrow schema of a table.
    #[pyo3(signature = (path, shape, columns=None))]
    fn schema_capsule<'py>(
        &self,
        py: Python<'py>,
        path: &str,
        shape: Types,
        columns: Option<Vec<String>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        capsule::export_schema(py, &self.view(path, columns.as_deref())?.table.schema_in(shape.0))
    }

    /// The batches of a table, one after another.
    #[pyo3(signature = (path, shape, progress=None, columns=None))]
    fn batches(&self, path: &str, shape: Types, progress: Option<Py<PyAny>>, columns: Option<Vec<String>>) -> PyResult<Batches> {
        let stream = self.start(self.view(path, columns.as_deref())?, shape.0, progress);
        Ok(Batches::new(stream))
    }

    /// Rows of a table.
    #[pyo3(signature = (path, progress=None))]
    fn count(&self, py: Python<'_>, path: &str, progress: Option<Py<PyAny>>) -> PyResult<u64> {
        let (index, _) = self.table(path)?;
        if let Some(root) = &self.root {
            let source = Source::open(root).map_err(|error| errors::analysis(&error))?;
            let rows = source.manifest().and_then(|manifest| manifest.tables.get(path)).map(|table| table.rows);
            return rows.ok_or_else(|| errors::input(format!("{}: the manifest has no table {path}", root.display())));
        }
        if self.generator().fixed(index).is_some() && self.later {
            return Ok(0);
        }
        let meter = Arc::new(Meter::default());
        let counted = wait(py, &meter, progress, || {
            self.job(TableSet::EMPTY.with(index), &meter.stop).dry_run(meter.as_ref()).map(|(rows, _)| rows[index])
        })?;
        counted.map_err(|error| errors::run(&error))
    }

    /// The first rows of a table, as JSON Lines.
    fn head(&self, py: Python<'_>, path: &str, rows: usize) -> PyResult<String> {
        let view = self.view(path, None)?;
        let table = view.table.clone();
        let mut stream = self.start(view, Shape::OWN, None);
        let taken: Result<Vec<u8>, ArrowError> = py.detach(|| {
            let (mut lines, mut left) = (Vec::new(), rows);
            while left > 0 {
                let Some(batch) = stream.next().transpose()? else { break };
                let batch = batch.slice(0, left.min(batch.num_rows()));
                left -= batch.num_rows();
                TextFormat::Jsonl.append(&table, &batch, &mut lines);
            }
            Ok(lines)
        });
        let lines = taken.map_err(|error| stream.raised.take().unwrap_or_else(|| files::arrow_error(&error)))?;
        String::from_utf8(lines).map_err(errors::internal)
    }

    /// Writes a table into one file, Parquet or CSV.
    fn save(&self, py: Python<'_>, path: &str, file: PathBuf, csv: bool, shape: Types, columns: Option<Vec<String>>) -> PyResult<()> {
        let view = self.view(path, columns.as_deref())?;
        let table = view.table.clone();
        let mut stream = self.start(view, if csv { Shape::OWN } else { shape.0 }, None);
        let written = py.detach(|| files::save(&mut stream, &table, csv.then_some(TextFormat::Csv), &file));
        written.map_err(|error| stream.raised.take().unwrap_or_else(|| errors::analysis(&error)))
    }

    /// The rows of every table as JSON Lines that name their table, as `populace replay` prints them.
    fn json_lines(&self) -> PyResult<String> {
        let mut lines = Vec::new();
        let stop = AtomicBool::new(false);
        let tables: Vec<(usize, Table)> = self.all_tables().filter(|(index, _)| self.generator().fixed(*index).is_none()).collect();
        let mut job = self.job(self.tables, &stop);
        job.threads = 1;
        // One actor makes one shard; the tables come in their order.
        let made = job.batches(Some(0), &Meter::default(), |mut batches| {
            for (index, table) in &tables {
                let Some(mut batch) = batches[*index].take() else { continue };
                if let Some(number) = self.generator().tables()[*index].number.filter(|_| table.number.is_none()) {
                    let position = self.generator().tables()[*index].position(number).expect("a column of the table");
                    batch.remove_column(position);
                }
                TextFormat::append_tagged(table, &batch, &mut lines);
            }
            Ok(())
        });
        made.map_err(|error| errors::run(&error))?;
        String::from_utf8(lines).map_err(errors::internal)
    }

    /// Writes the run into a directory, as `populace generate` does; gives its manifest as JSON.
    fn write(&self, py: Python<'_>, root: PathBuf, options: &Bound<'_, PyDict>, progress: Option<Py<PyAny>>) -> PyResult<String> {
        if self.root.is_some() {
            return Err(errors::input("the run is read from files already; copy its directory, or generate it again"));
        }
        if self.slice {
            return Err(errors::input("these are some of the users of a run; write the whole run, in several files with parts"));
        }
        let target = Target::new(root, options, self.generator().default_format())?;
        let meter = Arc::new(Meter::default());
        let parent = self.parent.clone().map(|(scenario, scenario_digest, seed)| Parent { scenario, scenario_digest, seed });
        let written = wait(py, &meter, progress, || {
            target.write(self.job(self.tables, &meter.stop), self.scene.document(self.seed), (self.count, parent), &meter)
        })?;
        written.map_err(|error| errors::run(&error))
    }
}
