//! The object-safe face of a scenario: from a shard of actors to the batches of its tables.

use crate::files::Format;
use crate::table::Table;
use arrow_array::RecordBatch;
use populace_core::plan::{Population, Shard};
use populace_core::scenario::Problem;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Range;

/// A set of tables, by their numbers in [`Generator::tables`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableSet(u64);

impl TableSet {
    /// No table.
    pub const EMPTY: Self = Self(0);

    /// The tables for which `wanted` is true.
    pub fn of(tables: &[Table], wanted: impl Fn(&Table) -> bool) -> Self {
        tables.iter().enumerate().filter(|(_, table)| wanted(table)).fold(Self::EMPTY, |set, (index, _)| set.with(index))
    }

    /// This set and table `index`.
    #[must_use]
    pub const fn with(self, index: usize) -> Self {
        Self(self.0 | 1 << index)
    }

    /// Whether table `index` is in the set.
    #[inline]
    pub const fn has(self, index: usize) -> bool {
        self.0 >> index & 1 == 1
    }
}

/// Rows of the main table by two labels, such as persona and event type, and how often a value was clipped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Counts, row after row; see [`Axes`].
    pub counts: Vec<u64>,
    /// Clips that the law asks for, by what was clipped.
    pub clipped: BTreeMap<String, u64>,
}

impl Tally {
    /// Adds another tally of the same axes.
    pub fn add(&mut self, other: &Self) {
        self.counts.resize(self.counts.len().max(other.counts.len()), 0);
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        for (what, count) in &other.clipped {
            *self.clipped.entry(what.clone()).or_default() += count;
        }
    }
}

/// The labels of a [`Tally`].
#[derive(Clone, Debug, Default)]
pub struct Axes {
    /// What the rows are, such as `persona`.
    pub rows_name: &'static str,
    /// The labels of the rows.
    pub rows: Vec<String>,
    /// The labels of the columns.
    pub columns: Vec<String>,
}

/// A simulated shard whose identifiers may still have to be given.
pub trait Simulated: Send {
    /// Rows of the main table.
    fn main_rows(&self) -> u64;

    /// The batches, one for each table of the generator (none for a table that is not wanted), and the tally.
    /// `first_id` is the number of rows of the main table before this shard.
    fn finish(self: Box<Self>, first_id: u64) -> (Vec<Option<RecordBatch>>, Tally);
}

/// A scenario that can be run: a checked model and the tables it fills.
pub trait Generator: Send + Sync {
    /// The name of the family.
    fn family(&self) -> &'static str;

    /// The format in which it is written unless another is asked for.
    fn default_format(&self) -> Format;

    /// Every table, data first, then truth.
    fn tables(&self) -> &[Table];

    /// The number of the main data table, in actor order: events, calls.
    fn main_table(&self) -> usize;

    /// What is to be given beside the document before anything can be generated, if it is not.
    fn missing(&self) -> Option<String> {
        None
    }

    /// The labels of the tally.
    fn axes(&self) -> Axes;

    /// Whether the main table has identifiers that count its rows, so that a part needs to know how many rows come before it.
    fn numbers_rows(&self) -> bool {
        self.tables()[self.main_table()].number.is_some()
    }

    /// How many actors there are and what to expect of one.
    fn population(&self) -> Population;

    /// From when to when things begin, in microseconds since 1970; what follows from them may come later.
    fn period(&self) -> Range<i64>;

    /// Up to when nothing changes if days are added, in microseconds since 1970: the period's end, or before it where days end earlier for
    /// some actors.
    fn settled(&self) -> i64;

    /// What is odd about the document.
    fn warnings(&self) -> &[Problem];

    /// The rows of a table that comes from the model alone; `None` for a table that actors fill.
    fn fixed(&self, table: usize) -> Option<RecordBatch>;

    /// Simulates the actors of a shard. Pure: the same for any thread, part or machine.
    fn simulate(&self, seed: u64, shard: &Shard, wanted: TableSet) -> Box<dyn Simulated + '_>;

    /// Rows of the main table of some actors, and nothing else.
    fn count(&self, seed: u64, actors: Range<u64>) -> u64 {
        self.simulate(seed, &Shard { index: 0, actors }, TableSet::EMPTY).main_rows()
    }

    /// Volumes in expectation, in closed form.
    fn expected(&self) -> Expected;
}

/// The volumes a run is expected to have.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Expected {
    /// Facts such as users and period, in order.
    pub facts: Vec<(String, String)>,
    /// Expected counts in groups, each group a table of label and count.
    pub groups: Vec<ExpectedGroup>,
}

/// A table of expected counts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ExpectedGroup {
    /// What is counted by what.
    pub title: String,
    /// The names of the columns of counts.
    pub columns: Vec<String>,
    /// Label and counts.
    pub rows: Vec<(String, Vec<f64>)>,
}
