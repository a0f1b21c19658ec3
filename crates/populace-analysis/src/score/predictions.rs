//! What the user predicts, by id.

use crate::error::AnalysisError;
use crate::score::Context;
use crate::source::{As, Columns, Id, TableSource, Want, shown};
use arrow_array::RecordBatch;
use populace_io::wording::own;
use std::fmt::{Display, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// How many ids an error names.
const NAMED: usize = 3;

/// What predictions are told apart by.
pub(crate) trait Key: Ord + Clone {
    /// What a column of such ids is read as.
    const KIND: As;

    /// The id in a row of a batch; the column is never null.
    fn read(batch: &RecordBatch, column: &'static str, row: usize) -> Self;

    /// The id as a user writes it.
    fn show(&self) -> String;
}

impl Key for u128 {
    const KIND: As = As::Uuid;

    fn read(batch: &RecordBatch, column: &'static str, row: usize) -> Self {
        batch.uuid(column).get(row).unwrap_or_default()
    }

    fn show(&self) -> String {
        let group = |shift: u32, digits: u32| (self >> shift) & ((1 << (4 * digits)) - 1);
        format!("{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", group(96, 8), group(80, 4), group(64, 4), group(48, 4), group(0, 12))
    }
}

impl Key for Id {
    const KIND: As = As::Id;

    fn read(batch: &RecordBatch, column: &'static str, row: usize) -> Self {
        Self::of(batch, column, row)
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Key for String {
    const KIND: As = As::Text;

    fn read(batch: &RecordBatch, column: &'static str, row: usize) -> Self {
        batch.text(column).value(row).to_owned()
    }

    fn show(&self) -> String {
        shown(self).trim_matches('`').to_owned()
    }
}

/// One value for each id. Memory is bounded by the file: about 40 bytes a row of UUIDs.
#[derive(Debug)]
pub(crate) struct Predictions<K, V> {
    path: PathBuf,
    column: &'static str,
    /// In the order of ids.
    rows: Vec<Prediction<K, V>>,
}

#[derive(Debug)]
struct Prediction<K, V> {
    id: K,
    /// The row in the file, from 1.
    row: u32,
    seen: AtomicBool,
    value: V,
}

impl<K: Key, V> Predictions<K, V> {
    /// Reads a file: `column` holds the ids, `wants` are the further columns, and `value` makes a value of a row or says what is wrong
    /// with it.
    ///
    /// # Errors
    /// The file cannot be read, has no rows, holds an id twice, or `value` objects.
    pub(crate) fn read(
        context: &Context<'_>,
        column: &'static str,
        wants: &[Want],
        mut value: impl FnMut(&RecordBatch, usize) -> Result<V, String>,
    ) -> Result<Self, AnalysisError> {
        let (path, shown) = (context.predictions, context.predictions.display());
        let mut all = vec![Want::new(column, K::KIND)];
        all.extend_from_slice(wants);
        let mut rows: Vec<Prediction<K, V>> = Vec::new();
        for batch in TableSource::file_with(path, &context.options.reading)?.read(&all)? {
            let batch = batch?;
            for place in 0..batch.num_rows() {
                let id = K::read(&batch, column, place);
                let number = rows.len() + 1;
                let row = u32::try_from(number).map_err(|_| {
                    AnalysisError::input(format!("{shown}: has more than {} rows; {}", u32::MAX, own("score it in parts with --subset")))
                })?;
                let value = value(&batch, place)
                    .map_err(|what| AnalysisError::input(format!("{shown}: row {number}, {column} {}: {what}", id.show())))?;
                rows.push(Prediction { id, row, seen: AtomicBool::new(false), value });
            }
        }
        if rows.is_empty() {
            return Err(AnalysisError::input(format!("{shown}: has no rows; expected a row for each {column}")));
        }
        rows.sort_unstable_by(|a, b| (&a.id, a.row).cmp(&(&b.id, b.row)));
        let repeated: Vec<String> = rows
            .windows(2)
            .filter(|pair| pair[0].id == pair[1].id)
            .map(|pair| format!("{} in rows {} and {}", pair[0].id.show(), pair[0].row, pair[1].row))
            .collect();
        if !repeated.is_empty() {
            let what = listed(repeated.iter().take(NAMED), repeated.len());
            return Err(AnalysisError::input(format!(
                "{shown}: {column} appears more than once: {what}\nhint: keep one row for each {column}"
            )));
        }
        Ok(Self { path: path.to_owned(), column, rows })
    }

    /// The place of an id's prediction.
    pub(crate) fn place(&self, id: &K) -> Option<usize> {
        self.rows.binary_search_by(|row| row.id.cmp(id)).ok()
    }

    /// The value at a place.
    pub(crate) fn value(&self, place: usize) -> &V {
        &self.rows[place].value
    }

    /// The value at a place, to be completed.
    pub(crate) fn value_mut(&mut self, place: usize) -> &mut V {
        &mut self.rows[place].value
    }

    /// The id at a place.
    pub(crate) fn id(&self, place: usize) -> &K {
        &self.rows[place].id
    }

    /// Marks a place as one that there is a truth about.
    pub(crate) fn mark(&self, place: usize) {
        self.rows[place].seen.store(true, Ordering::Relaxed);
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// That there is a truth about every prediction; `why` says of one why there is none.
    ///
    /// # Errors
    /// There is one without.
    pub(crate) fn check_all_seen(&self, why: &str) -> Result<(), AnalysisError> {
        let unseen = || self.rows.iter().filter(|row| !row.seen.load(Ordering::Relaxed));
        let count = unseen().count();
        if count == 0 {
            return Ok(());
        }
        let named: Vec<String> = unseen().take(NAMED).map(|row| format!("{} in row {} {why}", row.id.show(), row.row)).collect();
        let (path, column) = (self.path.display(), self.column);
        let what = listed(named.iter(), count);
        Err(AnalysisError::input(format!("{path}: {column} without a label: {what}\nhint: leave such rows out")))
    }
}

/// Ids that should have had a prediction.
#[derive(Debug, Default)]
pub(crate) struct Missing {
    named: Vec<String>,
    count: usize,
}

impl Missing {
    /// Notes one.
    pub(crate) fn add(&mut self, id: &impl Key) {
        self.count += 1;
        if self.named.len() < NAMED {
            self.named.push(id.show());
        }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// That there is none.
    ///
    /// # Errors
    /// There is one: `what` says who must have a prediction.
    pub(crate) fn check(&self, path: &Path, column: &str, what: &str) -> Result<(), AnalysisError> {
        if self.count == 0 {
            return Ok(());
        }
        let (path, named) = (path.display(), listed(self.named.iter(), self.count));
        Err(AnalysisError::input(format!(
            "{path}: no prediction for {column} {named}; every {what} must have one\n{}",
            own("hint: score a part of them, such as a test split, with --subset")
        )))
    }
}

/// Names, and how many more there are.
pub(crate) fn listed(named: impl ExactSizeIterator<Item = impl Display>, count: usize) -> String {
    let more = count - named.len();
    let mut text = String::new();
    for (index, name) in named.enumerate() {
        let _ = write!(text, "{}{name}", if index == 0 { "" } else { ", " });
    }
    if more > 0 {
        let _ = write!(text, " and {more} more");
    }
    text
}

/// A score that is a probability.
///
/// # Errors
/// It is not.
pub(crate) fn probability(batch: &RecordBatch, column: &'static str, row: usize) -> Result<f64, String> {
    let value = finite(batch, column, row)?;
    if (0.0..=1.0).contains(&value) {
        return Ok(value);
    }
    Err(format!(
        "{column} is {value}, and must be a probability from 0 to 1\n{}",
        own("hint: pass --ranks to score the order of the rows alone")
    ))
}

/// A number that is not infinite and not NaN.
///
/// # Errors
/// It is not.
pub(crate) fn finite(batch: &RecordBatch, column: &'static str, row: usize) -> Result<f64, String> {
    let value = batch.float(column).value(row);
    if value.is_finite() { Ok(value) } else { Err(format!("{column} is {value}, and must be a finite number")) }
}
