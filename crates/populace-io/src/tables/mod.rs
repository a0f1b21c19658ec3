//! The tables of each family: which columns there are, what they mean, and how rows become columns.

pub mod churn;
pub mod email;
#[cfg(test)]
mod tests;
pub mod traces;

use crate::family::{Component, Shortcut};
use crate::files::Format;
use crate::generator::{Axes, Expected, ExpectedGroup, Generator, Simulated, TableSet, Tally};
use crate::table::Table;
use arrow_array::{ArrayRef, RecordBatch};
use populace_core::plan::{Population, Shard};
use populace_core::scenario::{ConfigError, Observer, Problem, Scenario};
use populace_core::stream::StreamKey;
use populace_core::time::Window;
use std::collections::BTreeMap;
use std::ops::Range;

/// What a family adds to its model: its tables, and how rows fill them. It makes a [`Generator`] and a
/// [`Family`](crate::family::Family).
pub trait Tables: Send + Sync + Sized + 'static {
    /// The checked scenario.
    type Model: Scenario;
    /// Collects the rows of a shard.
    type Builder<'a>: Builder<Self::Model>;
    /// The built-in documents, by name.
    const DOCUMENTS: &'static [(&'static str, &'static str)];
    /// The options that set single values of its documents, besides those of every family.
    const SHORTCUTS: &'static [Shortcut] = &[];
    /// The part of its documents that may be a document of its own.
    const COMPONENT: Option<Component> = None;
    /// The format in which it is written unless another is asked for.
    const FORMAT: Format = Format::Parquet;
    /// Whether a connector takes its main table.
    const FOR_CONNECTORS: bool = false;
    /// The number of the main data table.
    const MAIN: usize = 0;

    /// A model with what its document keeps in files.
    ///
    /// # Errors
    /// Such a file cannot be used.
    fn complete(model: Self::Model) -> Result<Self::Model, ConfigError> {
        Ok(model)
    }

    /// What is to be given beside the document before anything can be generated, if it is not.
    fn missing(&self) -> Option<String> {
        None
    }

    /// The tables of a model.
    fn new(model: Self::Model) -> Self;

    /// The model.
    fn model(&self) -> &Self::Model;

    /// Every table, data first, then truth.
    fn list(&self) -> &[Table];

    /// The labels of the tally.
    fn labels(&self) -> Axes;

    /// The rows of a table that comes from the model alone.
    fn rows_of_model(&self, _table: usize) -> Option<RecordBatch> {
        None
    }

    /// A builder for the rows of some actors.
    fn builder(&self, actors: Range<u64>, wanted: TableSet) -> Self::Builder<'_>;

    /// Facts besides users and period, and the expected counts.
    fn volumes(&self) -> (Vec<(String, String)>, Vec<ExpectedGroup>);
}

/// Collects the rows of a shard and spreads them over columns.
pub trait Builder<S: Scenario>: Observer<S::Row, S::Truth> + Send {
    /// Ends an actor.
    fn end_actor(&mut self);

    /// Rows of the main table so far.
    fn rows(&self) -> u64;

    /// Ends the shard; `first_id` is the number of rows of the main table before it.
    fn finish(self, first_id: u64, filled: &mut Filled<'_>) -> Counts;
}

/// Rows of the main table by two labels, and values that were clipped.
#[derive(Debug, Default)]
pub struct Counts {
    /// See [`Axes`].
    pub rows: Vec<u64>,
    /// By what was clipped.
    pub clipped: BTreeMap<&'static str, u64>,
}

impl Counts {
    /// Counts over so many pairs of labels.
    pub fn over(labels: usize) -> Self {
        Self { rows: vec![0; labels], clipped: BTreeMap::new() }
    }

    /// Counts a value that was clipped.
    pub fn clip(&mut self, what: &'static str) {
        *self.clipped.entry(what).or_default() += 1;
    }
}

/// The batches of a shard, by the number of the table.
#[derive(Debug)]
pub struct Filled<'a> {
    tables: &'a [Table],
    wanted: TableSet,
    batches: Vec<Option<RecordBatch>>,
}

impl Filled<'_> {
    /// Whether a table is wanted.
    pub fn wants(&self, table: usize) -> bool {
        self.wanted.has(table)
    }

    /// Fills a table by the names of its columns, if it is wanted.
    pub fn put<'n, C: AsRef<[(&'n str, ArrayRef)]>>(&mut self, table: usize, columns: impl FnOnce() -> C) {
        if self.wants(table) {
            self.batches[table] = Some(self.tables[table].rows(columns().as_ref()));
        }
    }
}

/// A shard that has been simulated.
struct Collected<'a, T: Tables> {
    builder: T::Builder<'a>,
    filled: Filled<'a>,
}

impl<T: Tables> Simulated for Collected<'_, T> {
    fn main_rows(&self) -> u64 {
        self.builder.rows()
    }

    fn finish(self: Box<Self>, first_id: u64) -> (Vec<Option<RecordBatch>>, Tally) {
        let Self { builder, mut filled } = *self;
        let counts = builder.finish(first_id, &mut filled);
        let clipped = counts.clipped.into_iter().map(|(what, count)| (what.to_owned(), count)).collect();
        (filled.batches, Tally { counts: counts.rows, clipped })
    }
}

impl<T: Tables> Generator for T {
    fn family(&self) -> &'static str {
        T::Model::NAME
    }

    fn default_format(&self) -> Format {
        T::FORMAT
    }

    fn tables(&self) -> &[Table] {
        self.list()
    }

    fn main_table(&self) -> usize {
        T::MAIN
    }

    fn missing(&self) -> Option<String> {
        Tables::missing(self)
    }

    fn axes(&self) -> Axes {
        self.labels()
    }

    fn population(&self) -> Population {
        self.model().population()
    }

    fn period(&self) -> Range<i64> {
        let window = self.model().window();
        window.begin().0..window.end().0
    }

    fn settled(&self) -> i64 {
        self.model().window().end().0 - self.model().unsettled()
    }

    fn warnings(&self) -> &[Problem] {
        self.model().warnings()
    }

    fn fixed(&self, table: usize) -> Option<RecordBatch> {
        self.rows_of_model(table)
    }

    fn simulate(&self, seed: u64, shard: &Shard, wanted: TableSet) -> Box<dyn Simulated + '_> {
        let mut builder = self.builder(shard.actors.clone(), wanted);
        let key = StreamKey::root(seed, T::Model::NAME);
        for actor in shard.ids() {
            self.model().simulate(actor, key, &mut builder);
            builder.end_actor();
        }
        let tables = self.list();
        Box::new(Collected::<T> { builder, filled: Filled { tables, wanted, batches: vec![None; tables.len()] } })
    }

    fn expected(&self) -> Expected {
        let Window { start, days } = self.model().window();
        let (further, groups) = self.volumes();
        let mut facts = vec![
            ("users".into(), self.model().population().actors.to_string()),
            ("period".into(), format!("{start} to {} ({days} days)", start.plus(days as i32))),
        ];
        facts.extend(further);
        Expected { facts, groups }
    }
}
