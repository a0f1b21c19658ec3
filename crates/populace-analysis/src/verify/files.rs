//! Whether tables are those that were written: their digests, numbers of rows and order, as the manifest has them.

use super::board::{Board, Exact};
use super::report::Group;
use crate::error::AnalysisError;
use crate::pass::Inputs;
use crate::source::{Columns, Keys, Source};
use crate::stats::Merge;
use arrow_array::RecordBatch;
use populace_core::time::Instant;
use populace_io::catalogue;
use populace_io::dataset::{Manifest, file_fault};
use populace_io::digest::Digest;
use populace_io::document::Resolved;
use populace_io::files::place::Directory;
use populace_io::run::Order;
use populace_io::table::Table;

/// What the tables should be.
pub(crate) struct Expected<'a> {
    manifest: Option<&'a Manifest>,
    /// Of each input: its table, if it is one of data, and where its columns are.
    tables: Vec<Option<(Table, Vec<usize>)>>,
    order: Ordered,
}

/// By what the rows of a table are ordered.
#[derive(Clone, Copy)]
pub(crate) struct Ordered {
    /// The table's number among the inputs.
    pub(crate) table: usize,
    /// The column that says whose a row is.
    pub(crate) key: &'static str,
    /// The column of its moment.
    pub(crate) time: &'static str,
    /// Whether an actor's rows are ordered by time.
    pub(crate) by_time: bool,
    /// The number of an actor.
    pub(crate) actor_of: fn(&str) -> Option<u64>,
}

impl<'a> Expected<'a> {
    /// Of the inputs of a pass over a run of a document.
    pub(crate) fn new(source: &'a Source, document: &Resolved, inputs: &Inputs<'_>, order: Ordered) -> Result<Self, AnalysisError> {
        let generator = catalogue::generator(document)?;
        let table = |side: &crate::source::Side<'_>| -> Result<Option<(Table, Vec<usize>)>, AnalysisError> {
            let Some(table) = generator.tables().iter().find(|table| !table.truth && table.name == side.table) else { return Ok(None) };
            // A column that may be left out of the data is out of its digest too.
            let found = source.table(side.table)?.column_names()?;
            let columns: Vec<_> = table.columns.iter().filter(|column| found.iter().any(|name| name == column.name)).copied().collect();
            let place = |name: &str| side.wants.iter().position(|want| want.name == name).expect("every column is looked at");
            let places = columns.iter().map(|column| place(column.name)).collect();
            Ok(Some((Table::new(table.name, table.truth, table.meaning, columns, table.rows_per_actor), places)))
        };
        let tables = inputs.joined.iter().chain(&inputs.loose).map(table).collect::<Result<_, _>>()?;
        Ok(Self { manifest: source.manifest(), tables, order })
    }

    /// Nothing seen yet.
    pub(crate) fn files(&self) -> Files<'_> {
        let order = self.manifest.map(|manifest| &manifest.identity);
        // Parts are ordered each by itself.
        let order = order.filter(|run| run.order == Order::Actor || run.parts == 1);
        Files {
            expected: self,
            digests: vec![Digest::default(); self.tables.len()],
            rows: vec![0; self.tables.len()],
            hashes: Vec::new(),
            order: order.map(|run| InOrder { of: self.order, by_actor: run.order == Order::Actor, rule: Exact::new(ORDER), ends: None }),
        }
    }
}

/// Reports whether the files of data are there, of the sizes in the manifest.
pub(crate) fn report_sizes(source: &Source, board: &mut Board) -> Result<(), AnalysisError> {
    const NAME: &str = "files have the sizes of the manifest";
    let Some(manifest) = source.manifest() else {
        board.skip(Group::Exact, NAME, "there is no manifest");
        return Ok(());
    };
    let (mut rule, place) = (Exact::new(NAME), Directory::new(source.root()));
    for file in manifest.tables.values().filter(|table| !table.truth).flat_map(|table| &table.files) {
        let fault = file_fault(&place, file)?;
        rule.hold(fault.is_none(), || fault.unwrap_or_default());
    }
    board.exact(rule);
    Ok(())
}

/// Reports that the tables are not as the manifest says, so that they are read in any order; or cannot be read at all.
pub(crate) fn report_damage(error: &AnalysisError, can_be_read: bool, board: &mut Board) {
    let mut rule = Exact::new(if can_be_read { "tables are files and rows in the order of the manifest" } else { "tables can be read" });
    rule.hold(false, || error.to_string());
    board.exact(rule);
    if !can_be_read {
        board.skip(Group::Exact, "all other checks", "a table cannot be read");
    }
}

/// Reports rows that were left out because they are none: what the other checks say is of the rest.
pub(crate) fn report_losses(source: &Source, board: &mut Board) {
    let (losses, remarks) = (source.losses(), source.remarks());
    if losses.is_empty() {
        return;
    }
    let mut rule = Exact::new("every row of the files can be read");
    for (loss, remark) in losses.into_iter().zip(remarks) {
        (0..loss.rows).for_each(|_| rule.hold(false, || remark.clone()));
    }
    board.exact(rule);
}

const ORDER: &str = "rows are in the order of the manifest";
const VALUES: &str = "values have the digests of the manifest";

/// What the tables are.
pub(crate) struct Files<'a> {
    expected: &'a Expected<'a>,
    digests: Vec<Digest>,
    rows: Vec<u64>,
    hashes: Vec<u64>,
    order: Option<InOrder>,
}

impl Files<'_> {
    /// Takes rows of an input.
    pub(crate) fn add(&mut self, table: usize, rows: &RecordBatch) -> Result<(), AnalysisError> {
        self.rows[table] += rows.num_rows() as u64;
        if let Some((described, places)) = self.expected.tables[table].as_ref().filter(|_| self.expected.manifest.is_some()) {
            let columns = rows.project(places).map_err(AnalysisError::input)?;
            self.digests[table].add(&Digest::of(described, &columns, &mut self.hashes));
        }
        if let Some(order) = self.order.as_mut().filter(|order| order.of.table == table) {
            order.add(rows);
        }
        Ok(())
    }

    /// Adds to a rule that an input has as many rows as the manifest says.
    pub(crate) fn count(&self, rule: &mut Exact, table: &str) {
        let described = self.expected.tables.iter().position(|of| of.as_ref().is_some_and(|(of, _)| of.name == table));
        let expected = self.expected.manifest.and_then(|manifest| manifest.tables.get(table));
        if let Some((place, expected)) = described.zip(expected) {
            let rows = self.rows[place];
            rule.require(expected.rows == rows, || format!("{table}: {rows} rows, and the manifest says {}", expected.rows));
        }
    }

    /// Reports the order.
    pub(crate) fn report_order(&mut self, board: &mut Board) {
        match self.order.take() {
            Some(order) => board.exact(order.rule),
            None if self.expected.manifest.is_none() => board.skip(Group::Exact, ORDER, "there is no manifest"),
            None => board.skip(Group::Exact, ORDER, "parts in order of time are ordered each by itself"),
        }
    }

    /// Reports the values: a change that no other rule forbids.
    pub(crate) fn report_values(&self, board: &mut Board) {
        let Some(manifest) = self.expected.manifest else { return board.skip(Group::Exact, VALUES, "there is no manifest") };
        let mut rule = Exact::new(VALUES);
        for (digest, table) in self.digests.iter().zip(&self.expected.tables) {
            let Some((name, expected)) = table.as_ref().and_then(|(table, _)| Some((table.name, manifest.tables.get(table.name)?))) else {
                continue;
            };
            rule.hold(digest.to_string() == expected.digest, || format!("{name}: {digest}, and the manifest says {}", expected.digest));
        }
        board.exact(rule);
    }
}

impl Merge for Files<'_> {
    fn combine(&mut self, later: Self) {
        self.digests.iter_mut().zip(&later.digests).for_each(|(here, there)| here.add(there));
        self.rows.combine(later.rows);
        self.order.combine(later.order);
    }
}

/// Whose a row is, and when.
type Place = (Option<u64>, i64);

/// Whether rows are in order.
struct InOrder {
    of: Ordered,
    by_actor: bool,
    rule: Exact,
    /// The first and the last row; the first has not been compared with any.
    ends: Option<(Place, Place)>,
}

impl InOrder {
    fn hold(&mut self, before: Option<Place>, now: Place) {
        let holds = before.is_none_or(|(actor, at)| match self.by_actor {
            true if actor == now.0 => !self.of.by_time || at <= now.1,
            true => actor < now.0,
            false => at <= now.1,
        });
        self.rule.hold(holds, || {
            format!("{} {} at {}", self.of.key, now.0.map_or_else(|| "unknown".into(), |actor| (actor + 1).to_string()), Instant(now.1))
        });
    }

    fn add(&mut self, rows: &RecordBatch) {
        let Ordered { key, time, actor_of, .. } = self.of;
        let column = rows.column_by_name(key).expect("the key is wanted");
        let (keys, times) = (Keys::of(column), rows.instant(time));
        let mut actor = None;
        for row in 0..rows.num_rows() {
            if row == 0 || !keys.same(row, &keys, row - 1) {
                actor = keys.number(row, actor_of);
            }
            let now = (actor, times.value(row));
            match self.ends {
                None => self.ends = Some((now, now)),
                Some((first, last)) => {
                    self.hold(Some(last), now);
                    self.ends = Some((first, now));
                }
            }
        }
    }
}

impl Merge for Option<InOrder> {
    fn combine(&mut self, later: Self) {
        let (Some(here), Some(there)) = (self, later) else { return };
        if let Some((first, last)) = there.ends {
            here.hold(here.ends.map(|(_, last)| last), first);
            here.ends = Some((here.ends.map_or(first, |(first, _)| first), last));
        }
        here.rule.combine(there.rule);
    }
}
