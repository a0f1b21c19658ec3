//! One pass over the actors of some tables, on all cores, in bounded memory.
//!
//! A worker takes the next piece of a table, reads it, and hands it to the cutter, in order; the cutter gives back the actors whose rows
//! are complete by then, and the worker adds them to an observer of its own, which is merged into the others' in the order of the pieces.
//! So what is found does not depend on the number of threads. Rows that do not come by actor are spread over temporary files by a hash of
//! the actor first, and each file is sorted by itself.

mod cutter;
mod spill;

use crate::error::AnalysisError;
use crate::source::{Piece, Pieces, Side, Source, TableSource};
use crate::watch::Watch;
use arrow_array::RecordBatch;
use cutter::{Block, Chunk, Cutter};
use populace_io::pipeline::{self, Turns};
use spill::Spill;
use std::ops::Range;

/// Actors between two looks at whether to stop.
const ACTORS: usize = 256;

/// What looks at the data on its way: one is made for each piece and sees some rows and some actors.
pub(crate) trait Observer: Sized + Send {
    /// Takes rows of a table, given by its number among the inputs, as they stand in its files.
    ///
    /// # Errors
    /// The rows are not what they must be.
    fn rows(&mut self, _table: usize, _rows: &RecordBatch) -> Result<(), AnalysisError> {
        Ok(())
    }

    /// Takes an actor: its rows in each of the joined tables, ordered by time; the first has some.
    ///
    /// # Errors
    /// The rows are not what they must be.
    fn add(&mut self, actor: &[Option<RecordBatch>]) -> Result<(), AnalysisError>;

    /// Takes what another has seen after this one.
    ///
    /// # Errors
    /// What was seen together is not what it must be, or does not fit.
    fn merge(&mut self, later: Self) -> Result<(), AnalysisError>;
}

/// Two observers see the same.
impl<A: Observer, B: Observer> Observer for (A, B) {
    fn rows(&mut self, table: usize, rows: &RecordBatch) -> Result<(), AnalysisError> {
        self.0.rows(table, rows)?;
        self.1.rows(table, rows)
    }

    fn add(&mut self, actor: &[Option<RecordBatch>]) -> Result<(), AnalysisError> {
        self.0.add(actor)?;
        self.1.add(actor)
    }

    fn merge(&mut self, later: Self) -> Result<(), AnalysisError> {
        self.0.merge(later.0)?;
        self.1.merge(later.1)
    }
}

/// Perhaps an observer.
impl<A: Observer> Observer for Option<A> {
    fn rows(&mut self, table: usize, rows: &RecordBatch) -> Result<(), AnalysisError> {
        self.as_mut().map_or(Ok(()), |observer| observer.rows(table, rows))
    }

    fn add(&mut self, actor: &[Option<RecordBatch>]) -> Result<(), AnalysisError> {
        self.as_mut().map_or(Ok(()), |observer| observer.add(actor))
    }

    fn merge(&mut self, later: Self) -> Result<(), AnalysisError> {
        self.as_mut().zip(later).map_or(Ok(()), |(observer, later)| observer.merge(later))
    }
}

/// What is read.
pub(crate) struct Inputs<'a> {
    /// The column that says whose a row is, in all joined tables.
    pub(crate) key: &'a str,
    /// Tables that are joined: the first has every actor.
    pub(crate) joined: Vec<Side<'a>>,
    /// Tables without the key, each row of which goes with one of a joined table, given by its number; numbered after those. Only where
    /// rows come by actor.
    pub(crate) along: Vec<(usize, Side<'a>)>,
    /// Tables whose rows are seen as they stand, numbered last.
    pub(crate) loose: Vec<Side<'a>>,
    /// Rows that a piece has at most.
    pub(crate) piece: usize,
}

/// Rows of a piece, unless what is made of them is much.
pub(crate) const PIECE: usize = 128 << 10;

impl<'a> Inputs<'a> {
    /// Tables that are joined.
    pub(crate) fn joined(key: &'a str, joined: impl Into<Vec<Side<'a>>>) -> Self {
        Self { key, joined: joined.into(), along: Vec::new(), loose: Vec::new(), piece: PIECE }
    }
}

/// Works on each actor, on all threads, and takes what comes of it, in order.
///
/// # Errors
/// As [`run`]; those of `work` and of `take`.
pub(crate) fn each<T: Send>(
    source: &Source,
    inputs: &Inputs<'_>,
    watch: &Watch<'_>,
    what: &str,
    work: impl Fn(&[Option<RecordBatch>]) -> Result<T, AnalysisError> + Sync,
    mut take: impl FnMut(T) -> Result<(), AnalysisError> + Send,
) -> Result<(), AnalysisError> {
    let first = Each { work: &work, made: Vec::new(), take: Some(&mut take) };
    run_into(source, inputs, watch, what, first, || Each { work: &work, made: Vec::new(), take: None }).map(drop)
}

/// Takes what is made of actors.
type Take<'a, T> = &'a mut (dyn FnMut(T) -> Result<(), AnalysisError> + Send);

/// What was made of the actors of a piece; the first observer takes it.
struct Each<'a, T, W> {
    work: &'a W,
    made: Vec<T>,
    take: Option<Take<'a, T>>,
}

impl<T: Send, W: Fn(&[Option<RecordBatch>]) -> Result<T, AnalysisError> + Sync> Observer for Each<'_, T, W> {
    fn add(&mut self, actor: &[Option<RecordBatch>]) -> Result<(), AnalysisError> {
        self.made.push((self.work)(actor)?);
        Ok(())
    }

    fn merge(&mut self, later: Self) -> Result<(), AnalysisError> {
        if let Some(take) = &mut self.take {
            return later.made.into_iter().try_for_each(take);
        }
        self.made.extend(later.made);
        Ok(())
    }
}

/// Runs an observer over the inputs. `new` makes one that has seen nothing.
///
/// # Errors
/// A table is missing or cannot be read, one of the joined tables has an actor that the first lacks, the observer objects, or the work
/// is to stop.
///
/// # Panics
/// The key or a time is not among the wanted columns of its table.
pub(crate) fn run<O: Observer>(
    source: &Source,
    inputs: &Inputs<'_>,
    watch: &Watch<'_>,
    what: &str,
    new: impl Fn() -> O + Sync,
) -> Result<O, AnalysisError> {
    run_into(source, inputs, watch, what, new(), new)
}

/// As [`run`], into an observer that is there already.
pub(crate) fn run_into<O: Observer>(
    source: &Source,
    inputs: &Inputs<'_>,
    watch: &Watch<'_>,
    what: &str,
    first: O,
    new: impl Fn() -> O + Sync,
) -> Result<O, AnalysisError> {
    let along = inputs.along.iter().map(|(_, side)| side);
    let sides: Vec<&Side<'_>> = inputs.joined.iter().chain(along.clone()).chain(&inputs.loose).collect();
    let tables = sides.iter().map(|side| source.table(side.table)).collect::<Result<Vec<_>, _>>()?;
    let pieces = tables.iter().zip(&sides).map(|(table, side)| table.pieces(side.wants, inputs.piece)).collect::<Result<Vec<_>, _>>()?;
    let rows =
        source.manifest().map(|manifest| sides.iter().filter_map(|side| manifest.tables.get(side.table)).map(|table| table.rows).sum());
    watch.progress.begins(what, rows);
    let place = |side: &Side<'_>, name: &str| side.wants.iter().position(|want| want.name == name).expect("the column is wanted");
    let keyed = |side: &Side<'_>| Columns { by: By::Key(place(side, inputs.key)), time: side.time.map(|time| place(side, time)) };
    let columns = inputs.joined.iter().map(keyed).chain(inputs.along.iter().map(|(to, _)| Columns { by: By::Row(*to), time: None }));
    assert!(inputs.along.is_empty() || source.is_by_actor(), "rows go along only where they come by actor");
    let pass = Pass {
        watch,
        new,
        names: inputs.joined.iter().chain(along).map(|side| side.table.to_owned()).collect(),
        columns: columns.collect(),
        source,
    };
    let reading = Turns::new(0, Reading { pieces, ended: false });
    if source.is_by_actor() {
        return pass.ordered(&reading, first);
    }
    let sizes = tables[..inputs.joined.len()].iter().map(TableSource::size).collect::<Result<Vec<_>, _>>()?;
    pass.spread(&reading, first, spill::partitions(sizes.into_iter().max().unwrap_or(0)))
}

/// By what the rows of a table belong to an actor.
#[derive(Clone, Copy)]
enum By {
    /// By the column of the key.
    Key(usize),
    /// As the rows of another table do, one by one.
    Row(usize),
}

/// Where a joined table has its key and its time.
#[derive(Clone, Copy)]
struct Columns {
    by: By,
    time: Option<usize>,
}

/// Which piece comes next: of the table of which least has been read.
struct Reading {
    pieces: Vec<Pieces>,
    ended: bool,
}

/// What there is to do.
enum Step {
    Read(usize, Piece),
    /// Everything has been read: said once.
    End,
    Nothing,
}

impl Reading {
    fn next(&mut self) -> Result<Step, AnalysisError> {
        loop {
            let of = |(_, a): &(usize, f64), (_, b): &(usize, f64)| a.total_cmp(b);
            let least = self.pieces.iter().map(Pieces::share).enumerate().filter(|(_, share)| *share < 1.0).min_by(of);
            let Some((table, _)) = least else {
                return Ok(if std::mem::replace(&mut self.ended, true) { Step::Nothing } else { Step::End });
            };
            if let Some(piece) = self.pieces[table].next()? {
                return Ok(Step::Read(table, piece));
            }
        }
    }
}

struct Pass<'a, N> {
    watch: &'a Watch<'a>,
    new: N,
    names: Vec<String>,
    columns: Vec<Columns>,
    source: &'a Source,
}

impl<O: Observer, N: Fn() -> O + Sync> Pass<'_, N> {
    /// Rows that come by actor.
    fn ordered(&self, reading: &Turns<Reading>, first: O) -> Result<O, AnalysisError> {
        let cutting = Turns::new(0, Cutter::new(&self.names, &self.columns));
        self.units(0..u64::MAX, first, |unit| {
            let _guards = (reading.close_on_panic(), cutting.close_on_panic());
            let step = reading.take(unit, Reading::next).transpose()?;
            let mut observer = (self.new)();
            let read = match step {
                Ok(Step::Nothing) => return None,
                Ok(Step::End) => Ok(None),
                Ok(Step::Read(table, piece)) => self.read(table, piece, &mut observer).map(|read| Some((table, read))),
                Err(error) => Err(error),
            };
            let cut = cutting.take(unit, |cutter| match read? {
                Some((table, (blocks, rows))) => Ok((cutter.push(table, blocks), rows)),
                None => Ok((cutter.finish()?, 0)),
            });
            Some(cut.transpose()?.and_then(|(chunk, rows)| Ok((self.observe(observer, &chunk)?, rows))))
        })
    }

    /// Rows in any order.
    fn spread(&self, reading: &Turns<Reading>, first: O, partitions: usize) -> Result<O, AnalysisError> {
        let spill = Spill::new(&self.columns, partitions);
        let spilling = Turns::new(0, ());
        self.source.forget_clocks();
        let split = |table: usize, piece: Piece, observer: &mut O| {
            let (blocks, rows) = self.read(table, piece, observer)?;
            if let Some(time) = self.columns.get(table).and_then(|columns| columns.time) {
                for block in &blocks {
                    self.source.see_clocks(block.batch.column(time));
                }
            }
            let split = blocks.iter().map(|block| spill.split(table, &block.batch)).collect::<Result<Vec<_>, _>>()?;
            Ok((table, split.concat(), rows))
        };
        let seen = self.units(0..u64::MAX, first, |unit| {
            let _guards = (reading.close_on_panic(), spilling.close_on_panic());
            let step = reading.take(unit, Reading::next).transpose()?;
            let mut observer = (self.new)();
            let split = match step {
                Ok(Step::Nothing | Step::End) => return None,
                Ok(Step::Read(table, piece)) => split(table, piece, &mut observer),
                Err(error) => Err(error),
            };
            let kept = spilling.take(unit, |()| {
                let (table, split, rows) = split?;
                spill.push(table, split).map(|()| rows)
            });
            Some(kept.transpose()?.map(|rows| (observer, rows)))
        })?;
        self.units(0..partitions as u64, seen, |partition| {
            let chunk = || {
                let mut cutter = Cutter::new(&self.names, &self.columns);
                for (table, columns) in self.columns.iter().enumerate() {
                    let sorted = spill.sorted(table, partition as usize)?;
                    cutter.fill(table, sorted.into_iter().map(|batch| Block::new(batch, columns.by)));
                }
                cutter.finish()
            };
            Some(chunk().and_then(|chunk| Ok((self.observe((self.new)(), &chunk)?, 0))))
        })
    }

    /// Makes observers unit by unit, on all threads, and merges them into the first, in order.
    fn units(
        &self,
        units: Range<u64>,
        mut first: O,
        made: impl Fn(u64) -> Option<Result<(O, u64), AnalysisError>> + Sync,
    ) -> Result<O, AnalysisError> {
        pipeline::run(
            units,
            self.watch.threads,
            &mut first,
            |unit, (): &mut ()| Ok(made(unit)),
            |merged, _, seen, ()| {
                let (observer, rows) = seen?;
                self.watch.seen(rows)?;
                merged.merge(observer)
            },
        )?;
        Ok(first)
    }

    /// Reads a piece: the blocks of a joined table, and the number of rows.
    fn read(&self, table: usize, piece: Piece, observer: &mut O) -> Result<(Vec<Block>, u64), AnalysisError> {
        self.watch.seen(0)?;
        let (mut blocks, mut rows) = (Vec::new(), 0);
        for batch in piece.read()? {
            rows += batch.num_rows() as u64;
            observer.rows(table, &batch)?;
            if let Some(columns) = self.columns.get(table).filter(|_| batch.num_rows() > 0) {
                blocks.push(Block::new(batch, columns.by));
            }
        }
        Ok((blocks, rows))
    }

    /// Shows an observer the actors of a chunk.
    fn observe(&self, mut observer: O, chunk: &Chunk) -> Result<O, AnalysisError> {
        let mut actor = Vec::with_capacity(self.columns.len());
        for number in 0..chunk.actors() {
            if number % ACTORS == 0 {
                self.watch.seen(0)?;
            }
            chunk.actor(number, &mut actor)?;
            observer.add(&actor)?;
        }
        Ok(observer)
    }
}
