//! The run driver: shards through threads into files, in order and in bounded memory.

mod batches;

pub use batches::Take;

use crate::digest::Digest;
use crate::error::RunError;
use crate::files::encode::{Encoded, TableEncoder, UnitEncoder};
use crate::files::place::Place;
use crate::files::table_file::{FilesState, Names, TableFiles};
use crate::files::{FileOptions, Format};
use crate::generator::{Generator, Simulated, TableSet, Tally};
use crate::order::Spool;
use crate::pipeline::{self, Turns};
use crate::table::Table;
use arrow_array::RecordBatch;
use populace_core::plan::Plan;
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

/// Rows of the main table in a shard, about: small enough that a shard's columns stay in the cache.
const SHARD_ROWS: u64 = if cfg!(test) { 512 } else { 8 << 10 };

/// The order of the rows of tables that have a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// By actor, then time.
    #[default]
    Actor,
    /// By time, then actor; within each part.
    Time,
}

/// What to generate.
#[derive(Clone)]
pub struct Job<'a> {
    /// The scenario.
    pub generator: &'a dyn Generator,
    /// The seed.
    pub seed: u64,
    /// Worker threads, at least 1.
    pub threads: usize,
    /// The tables to make.
    pub tables: TableSet,
    /// The actors.
    pub actors: Range<u64>,
    /// Rows to leave off the end of the main table, where a count of rows was asked for. They belong to the last actor.
    pub trim: u64,
    /// The order of rows.
    pub order: Order,
    /// Set from outside to make the run stop at the next unit.
    pub stop: &'a AtomicBool,
}

/// Where a part's files are called what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Which part, from 0.
    pub part: u64,
    /// Of how many.
    pub parts: u64,
}

impl Part {
    /// A run in one piece.
    pub const WHOLE: Self = Self { part: 0, parts: 1 };

    /// The share of `actors` that is this part's.
    pub fn actors(self, actors: &Range<u64>) -> Range<u64> {
        let count = u128::from(actors.end - actors.start);
        let bound = |k: u64| actors.start + (count * u128::from(k) / u128::from(self.parts)) as u64;
        bound(self.part)..bound(self.part + 1)
    }

    /// How the files of a table are named, which `rolls` into several or not.
    pub(crate) fn names(self, table: &str, rolls: bool) -> Names {
        let stem = match (self.parts, rolls) {
            (1, false) => table.to_owned(),
            (1, true) => format!("{table}/part"),
            _ => format!("{table}/part-{:05}", self.part),
        };
        Names { stem, rolls }
    }
}

/// How far a table has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableState {
    /// The unit from which an interrupted run goes on.
    pub next_unit: u64,
    /// Its files.
    pub files: FilesState,
    /// The digest of what they hold.
    pub digest: Digest,
    /// Whether it is complete.
    pub done: bool,
}

/// How far a part has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartState {
    /// Its tables, in the order of the generator; tables that are not wanted stay empty.
    pub tables: Vec<TableState>,
    /// What the main table holds, of units before `tallied`.
    pub tally: Tally,
    /// The unit from which the tally goes on.
    pub tallied: u64,
}

/// Hears of a run's progress.
pub trait Progress: Sync {
    /// A unit was written: so many actors and rows of the main table, in all tables so many bytes of finished and open files.
    fn advanced(&self, actors: u64, rows: u64);

    /// The part stands at a point from which it can go on.
    ///
    /// # Errors
    /// The point could not be recorded.
    fn checkpoint(&self, state: &PartState) -> Result<(), RunError>;
}

/// A run that writes no files.
pub struct NoProgress;

impl Progress for NoProgress {
    fn advanced(&self, _: u64, _: u64) {}

    fn checkpoint(&self, _: &PartState) -> Result<(), RunError> {
        Ok(())
    }
}

impl Job<'_> {
    fn plan(&self) -> Plan {
        Plan::over(self.actors.clone(), &self.generator.population(), SHARD_ROWS)
    }

    /// Simulates one shard, giving its rows their numbers through `ids`.
    fn shard<'g>(&'g self, plan: &Plan, index: u64) -> Box<dyn Simulated + 'g> {
        self.generator.simulate(self.seed, &plan.shard(index), self.tables)
    }

    /// Leaves off what a count of rows cuts from the last shard.
    fn trimmed(&self, plan: &Plan, shard: u64, table: usize, batch: RecordBatch) -> RecordBatch {
        if self.trim > 0 && table == self.generator.main_table() && shard + 1 == plan.shards() {
            batch.slice(0, batch.num_rows() - self.trim as usize)
        } else {
            batch
        }
    }

    /// Rows of the main table before the first of this job's actors, where its rows are numbered.
    fn first_id(&self) -> u64 {
        if self.generator.numbers_rows() && self.actors.start > 0 { self.count(0..self.actors.start) } else { 0 }
    }

    /// Rows of the main table of some actors, counted by all threads.
    pub fn count(&self, actors: Range<u64>) -> u64 {
        let plan = Plan::over(actors, &self.generator.population(), SHARD_ROWS);
        let mut total = 0;
        let counted: Result<(), std::convert::Infallible> = pipeline::run(
            0..plan.shards(),
            self.threads,
            &mut total,
            |index, (): &mut ()| Ok(Some(self.generator.count(self.seed, plan.shard(index).actors))),
            |total, _, rows, ()| {
                *total += rows;
                Ok(())
            },
        );
        match counted {
            Ok(()) => total,
        }
    }

    /// The fewest actors whose rows of the main table reach `rows`, and the rows that they have too many. All actors if they have
    /// fewer.
    pub fn actors_for_rows(&self, rows: u64) -> (Range<u64>, u64) {
        let mut total = 0;
        for actor in self.actors.clone() {
            total += self.generator.count(self.seed, actor..actor + 1);
            if total >= rows {
                return (self.actors.start..actor + 1, total - rows);
            }
        }
        (self.actors.clone(), 0)
    }

    /// Makes every table and writes none: the rows of each, and the tally.
    ///
    /// # Errors
    /// [`RunError::Interrupted`].
    pub fn dry_run(&self, progress: &dyn Progress) -> Result<(Vec<u64>, Tally), RunError> {
        let mut rows: Vec<u64> = (0..self.generator.tables().len())
            .map(|table| if self.tables.has(table) { self.generator.fixed(table).map_or(0, |batch| batch.num_rows() as u64) } else { 0 })
            .collect();
        let mut tally = Tally::default();
        self.shards(
            None,
            progress,
            &mut (&mut rows, &mut tally),
            |batches, tally| (batches.map(|batch| batch.map_or(0, |batch| batch.num_rows() as u64)).collect::<Vec<_>>(), tally),
            |(rows, tally), (made, counts)| {
                for (rows, made) in rows.iter_mut().zip(made) {
                    *rows += made;
                }
                tally.add(&counts);
                Ok(())
            },
        )?;
        Ok((rows, tally))
    }

    /// Makes every table and writes none: gives `consume` the batches of a shard, one for each table of the generator (none for a
    /// table that is not wanted or comes from the model alone), in order, while later shards are made. `before` is how many rows of the
    /// main table come before these actors, if that is known; where they are numbered, they are counted else.
    ///
    /// # Errors
    /// Those of `consume`; [`RunError::Interrupted`].
    pub fn batches(
        &self,
        before: Option<u64>,
        progress: &dyn Progress,
        consume: impl FnMut(Vec<Option<RecordBatch>>) -> Result<(), RunError> + Send,
    ) -> Result<(), RunError> {
        self.shards(before, progress, &mut { consume }, |batches, _| batches.collect(), |consume, batches| consume(batches))
    }

    /// Makes the shards on all threads, `keep` there what is wanted of each, and `consume` it in order.
    fn shards<S: Send, U: Send>(
        &self,
        before: Option<u64>,
        progress: &dyn Progress,
        state: &mut S,
        keep: impl Fn(&mut dyn Iterator<Item = Option<RecordBatch>>, Tally) -> U + Sync,
        consume: impl Fn(&mut S, U) -> Result<(), RunError> + Sync,
    ) -> Result<(), RunError> {
        self.check_complete()?;
        let plan = self.plan();
        let ids = Turns::new(0, before.unwrap_or_else(|| self.first_id()));
        pipeline::run(
            0..plan.shards(),
            self.threads,
            state,
            |index, (): &mut ()| {
                let simulated = self.shard(&plan, index);
                let main_rows = simulated.main_rows();
                let Some(first) = number(&ids, index, main_rows)? else { return Ok(None) };
                let (batches, tally) = simulated.finish(first);
                let trim = |(table, batch): (usize, Option<RecordBatch>)| batch.map(|batch| self.trimmed(&plan, index, table, batch));
                Ok(Some((keep(&mut batches.into_iter().enumerate().map(trim), tally), main_rows)))
            },
            |state, index, (made, main_rows), ()| {
                consume(state, made)?;
                let actors = plan.shard(index).actors;
                progress.advanced(actors.end - actors.start, main_rows);
                self.check_stop()
            },
        )
    }

    fn check_complete(&self) -> Result<(), RunError> {
        self.generator.missing().map_or(Ok(()), |missing| Err(RunError::Refused(missing)))
    }

    fn check_stop(&self) -> Result<(), RunError> {
        if self.stop.load(Ordering::Relaxed) { Err(RunError::Interrupted) } else { Ok(()) }
    }

    /// Writes the tables of a part of the job, going on from `state`. Files that can be continued are complete then, and
    /// [`Place::publish`] gives them their names.
    ///
    /// # Errors
    /// A file cannot be written, or the run was asked to stop: then what stands can be gone on from.
    pub fn write(
        &self,
        part: Part,
        options: FileOptions,
        place: &dyn Place,
        mut state: PartState,
        progress: &dyn Progress,
    ) -> Result<PartState, RunError> {
        self.check_complete()?;
        let job = Self { actors: part.actors(&self.actors), trim: if part.part + 1 == part.parts { self.trim } else { 0 }, ..self.clone() };
        let tables = self.generator.tables();
        state.tables.resize(tables.len(), TableState::default());
        job.write_fixed(part, options, place, &mut state)?;
        let mut writer = Writer::new(&job, part, options, place, state)?;
        writer.run(progress)?;
        Ok(writer.state)
    }

    /// Tables that come from the model alone: the first part writes them.
    fn write_fixed(&self, part: Part, options: FileOptions, place: &dyn Place, state: &mut PartState) -> Result<(), RunError> {
        for (index, table) in self.generator.tables().iter().enumerate() {
            let Some(batch) = self.generator.fixed(index).filter(|_| self.tables.has(index)) else { continue };
            let here = &mut state.tables[index];
            if part.part == 0 && !here.done {
                let encoder = TableEncoder::new(table, &options, 0.0)?;
                let mut files = TableFiles::new(table, options, place, part.names(&table.path(), false), FilesState::default())?;
                here.digest = Digest::of(table, &batch, &mut Vec::new());
                let rows = batch.num_rows() as u64;
                let mut unit = encoder.start(None);
                unit.push(table, batch)?;
                files.write(&mut unit.finish()?, rows)?;
                files.finish()?;
                here.files = files.state().clone();
            }
            here.done = true;
        }
        Ok(())
    }
}

/// Gives the rows of a unit their numbers: `None` if the run has failed elsewhere.
fn number(ids: &Turns<u64>, unit: u64, rows: u64) -> Result<Option<u64>, RunError> {
    ids.take(unit, |next| {
        let first = *next;
        *next += rows;
        Ok(first)
    })
}

/// The units of a part on their way into files.
struct Writer<'a> {
    job: &'a Job<'a>,
    plan: Plan,
    shards_per_unit: u64,
    encoders: Vec<Option<TableEncoder>>,
    files: Vec<Option<TableFiles<'a>>>,
    spools: Vec<Option<Spool<'a>>>,
    options: FileOptions,
    state: PartState,
}

/// Where units go.
struct Sinks<'s, 'a> {
    job: &'s Job<'a>,
    /// The tables that are not complete.
    open: &'s [usize],
    /// The unit from which the tally counts: units before it are counted already.
    counted_from: u64,
    /// What was written so far; the state has what stood when a table could last be gone on from.
    digests: Vec<Digest>,
    tally: Tally,
    files: &'s mut Vec<Option<TableFiles<'a>>>,
    spools: &'s mut Vec<Option<Spool<'a>>>,
    state: &'s mut PartState,
}

impl Sinks<'_, '_> {
    /// Writes a unit whose turn it is.
    fn take(&mut self, unit: u64, mut made: Unit, scratch: &mut Scratch, progress: &dyn Progress) -> Result<(), RunError> {
        let mut settled = false;
        if unit >= self.counted_from {
            self.tally.add(&made.tally);
        }
        for &table in self.open {
            let here = &mut self.state.tables[table];
            let (Some(files), Some((encoded, digest))) = (&mut self.files[table], &mut made.tables[table]) else { continue };
            if unit < here.next_unit {
                continue;
            }
            self.digests[table].add(digest);
            if let (Some(spool), Encoded::Batches(batches)) = (&mut self.spools[table], &mut *encoded) {
                spool.push(batches.drain(..))?;
                continue;
            }
            files.write(encoded, digest.rows)?;
            if files.settle()? {
                here.next_unit = unit + 1;
                here.files = files.state().clone();
                here.digest = self.digests[table];
                settled = true;
            }
            if let Encoded::Bytes(bytes) = encoded {
                scratch.spare[table] = Some(std::mem::take(bytes));
            }
        }
        if settled {
            self.state.tally.clone_from(&self.tally);
            self.state.tallied = self.counted_from.max(unit + 1);
            progress.checkpoint(self.state)?;
        }
        progress.advanced(made.actors, made.rows);
        self.job.check_stop()
    }
}

/// A unit, made and encoded.
struct Unit {
    tables: Vec<Option<(Encoded, Digest)>>,
    tally: Tally,
    actors: u64,
    rows: u64,
}

/// What a worker keeps from unit to unit.
#[derive(Default)]
struct Scratch {
    hashes: Vec<u64>,
    spare: Vec<Option<Vec<u8>>>,
}

impl<'a> Writer<'a> {
    fn new(job: &'a Job<'a>, part: Part, options: FileOptions, place: &'a dyn Place, state: PartState) -> Result<Self, RunError> {
        let plan = job.plan();
        let shards_per_unit = match options.format {
            Format::Csv | Format::Jsonl => 1,
            Format::Parquet => (options.row_group_rows / SHARD_ROWS).max(1),
            Format::Arrow => 4,
        };
        let actors_per_unit = (shards_per_unit * plan.actors_per_shard()) as f64;
        let actors = (job.actors.end - job.actors.start) as f64;
        let (mut encoders, mut files, mut spools) = (Vec::new(), Vec::new(), Vec::new());
        for ((index, table), state) in job.generator.tables().iter().enumerate().zip(&state.tables) {
            let written = job.tables.has(index) && !state.done;
            let sorted = written && job.order == Order::Time && table.time.is_some();
            let spool = || Spool::new(table, place.scratch(), table.rows_per_actor * actors, &job.generator.period());
            spools.push(sorted.then(spool).transpose()?);
            let encoder = || {
                let unit_rows = table.rows_per_actor * actors_per_unit;
                if sorted { Ok(TableEncoder::Batches) } else { TableEncoder::new(table, &options, unit_rows) }
            };
            encoders.push(written.then(encoder).transpose()?);
            let names = part.names(&table.path(), table.rows_per_actor * actors > options.file_rows as f64);
            files.push(written.then(|| TableFiles::new(table, options, place, names, state.files.clone())).transpose()?);
        }
        Ok(Self { job, plan, shards_per_unit, encoders, files, spools, options, state })
    }

    fn run(&mut self, progress: &dyn Progress) -> Result<(), RunError> {
        let Self { job, plan, shards_per_unit, encoders, files, spools, options, state } = self;
        let units = plan.shards().div_ceil(*shards_per_unit);
        let open: Vec<usize> = (0..files.len()).filter(|&table| files[table].is_some()).collect();
        let start = open.iter().map(|&table| state.tables[table].next_unit).min().unwrap_or(units);
        let counted_from = state.tallied;
        // A run may have stopped when all units were written and no file was complete.
        let skipped = if (1..units).contains(&start) && job.generator.numbers_rows() {
            job.count(job.actors.start..plan.shard(start * *shards_per_unit).actors.start)
        } else {
            0
        };
        let ids = Turns::new(start, job.first_id() + skipped);
        let shards = |unit: u64| unit * *shards_per_unit..((unit + 1) * *shards_per_unit).min(plan.shards());

        let produce = |unit: u64, scratch: &mut Scratch| -> Result<Option<Unit>, RunError> {
            let mut made = Unit { tables: Vec::new(), tally: Tally::default(), actors: 0, rows: 0 };
            let mut units: Vec<Option<(UnitEncoder, Digest)>> = Vec::with_capacity(encoders.len());
            scratch.spare.resize_with(encoders.len(), || None);
            for (encoder, spare) in encoders.iter().zip(&mut scratch.spare) {
                units.push(encoder.as_ref().map(|encoder| (encoder.start(spare.take()), Digest::default())));
            }
            let mut encode = |shard: u64, simulated: Box<dyn Simulated + '_>, first: u64| -> Result<(), RunError> {
                let (batches, tally) = simulated.finish(first);
                made.tally.add(&tally);
                for (table, batch) in batches.into_iter().enumerate() {
                    let (Some(batch), Some((encoder, digest))) = (batch, &mut units[table]) else { continue };
                    let batch = job.trimmed(plan, shard, table, batch);
                    let table = &job.generator.tables()[table];
                    digest.add(&Digest::of(table, &batch, &mut scratch.hashes));
                    encoder.push(table, batch)?;
                }
                Ok(())
            };
            if job.generator.numbers_rows() {
                // The next unit waits for this one's count, so everything is simulated before anything is encoded.
                let simulated: Vec<_> = shards(unit).map(|shard| (shard, job.shard(plan, shard))).collect();
                made.rows = simulated.iter().map(|(_, simulated)| simulated.main_rows()).sum();
                let Some(mut first) = number(&ids, unit, made.rows)? else { return Ok(None) };
                for (shard, simulated) in simulated {
                    let rows = simulated.main_rows();
                    encode(shard, simulated, first)?;
                    first += rows;
                }
            } else {
                for shard in shards(unit) {
                    let simulated = job.shard(plan, shard);
                    made.rows += simulated.main_rows();
                    encode(shard, simulated, 0)?;
                }
            }
            made.actors = shards(unit).map(|shard| plan.shard(shard).actors).map(|actors| actors.end - actors.start).sum();
            for unit in units {
                made.tables.push(unit.map(|(encoder, digest)| Ok::<_, RunError>((encoder.finish()?, digest))).transpose()?);
            }
            Ok(Some(made))
        };

        let digests = state.tables.iter().map(|table| table.digest).collect();
        let tally = state.tally.clone();
        let mut sinks = Sinks { job, open: &open, counted_from, digests, tally, files, spools, state };
        pipeline::run(start..units, job.threads, &mut sinks, produce, |sinks, unit, made, scratch| {
            sinks.take(unit, made, scratch, progress)
        })?;
        let Sinks { digests, tally, .. } = sinks;
        (state.tally, state.tallied) = (tally, units);

        for table in open {
            let files = files[table].as_mut().expect("an open table has files");
            if let Some(spool) = spools[table].take() {
                write_sorted(job, &job.generator.tables()[table], *options, spool, files)?;
            }
            files.finish()?;
            state.tables[table].files = files.state().clone();
            state.tables[table].digest = digests[table];
            state.tables[table].done = true;
            state.tables[table].next_unit = units;
            progress.checkpoint(state)?;
        }
        Ok(())
    }
}

/// Writes the rows of a table in the order of time. An interrupted run makes such a table again from its start.
fn write_sorted(
    job: &Job<'_>,
    table: &Table,
    options: FileOptions,
    mut spool: Spool<'_>,
    files: &mut TableFiles<'_>,
) -> Result<(), RunError> {
    let slices = spool.slices()?;
    let encoder = TableEncoder::new(table, &options, 0.0)?;
    pipeline::run(
        0..slices.len() as u64,
        job.threads,
        files,
        |index, spare: &mut Option<Vec<u8>>| {
            let batch = spool.sorted(&slices[index as usize])?;
            let rows = batch.num_rows() as u64;
            let mut unit = encoder.start(spare.take());
            unit.push(table, batch)?;
            Ok(Some((unit.finish()?, rows)))
        },
        |files, _, (mut encoded, rows), spare| {
            files.write(&mut encoded, rows)?;
            files.settle()?;
            if let Encoded::Bytes(bytes) = encoded {
                *spare = Some(bytes);
            }
            job.check_stop()
        },
    )
}
