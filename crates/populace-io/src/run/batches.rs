//! A run whose batches go somewhere else than into files.

use super::{Job, Order, Progress, number};
use crate::error::RunError;
use crate::generator::Tally;
use crate::order::Spool;
use crate::pipeline::{self, Turns};
use arrow_array::RecordBatch;

/// Takes a batch of a table, by its number.
pub type Take<'t> = dyn FnMut(usize, RecordBatch) -> Result<(), RunError> + Send + 't;

impl Job<'_> {
    /// Hands over the batches of every wanted table, each table in order: first those that come from the model alone, then those that
    /// actors fill. In the order of time, tables that have one come whole, one after another, from nameless files in the system's
    /// temporary directory.
    ///
    /// # Errors
    /// Those of `take`; a temporary file cannot be written; or the run was asked to stop.
    pub fn for_each_batch(&self, progress: &dyn Progress, take: &mut Take<'_>) -> Result<Tally, RunError> {
        let plan = self.plan();
        let tables = self.generator.tables();
        let wanted = (0..tables.len()).filter(|table| self.tables.has(*table));
        for (table, batch) in wanted.filter_map(|table| Some((table, self.generator.fixed(table)?))) {
            take(table, batch)?;
        }
        let (scratch, actors) = (std::env::temp_dir(), (self.actors.end - self.actors.start) as f64);
        let mut spools: Vec<Option<Spool<'_>>> = Vec::with_capacity(tables.len());
        for (index, table) in tables.iter().enumerate() {
            let sorted = self.order == Order::Time && table.time.is_some() && self.tables.has(index);
            let spool = || Spool::new(table, &scratch, table.rows_per_actor * actors, &self.generator.period());
            spools.push(sorted.then(spool).transpose()?);
        }
        let mut tally = Tally::default();
        let ids = Turns::new(0, self.first_id());
        pipeline::run(
            0..plan.shards(),
            self.threads,
            &mut (&mut *take, &mut tally, &mut spools),
            |index, (): &mut ()| {
                let simulated = self.shard(&plan, index);
                let rows = simulated.main_rows();
                let Some(first) = number(&ids, index, rows)? else { return Ok(None) };
                let (batches, tally) = simulated.finish(first);
                let trimmed = batches.into_iter().enumerate();
                let batches: Vec<_> = trimmed.map(|(table, batch)| batch.map(|batch| self.trimmed(&plan, index, table, batch))).collect();
                Ok(Some((batches, rows, tally)))
            },
            |(take, tally, spools), index, (batches, rows, counts), ()| {
                for (table, batch) in batches.into_iter().enumerate() {
                    let Some(batch) = batch else { continue };
                    match &mut spools[table] {
                        Some(spool) => spool.push([batch])?,
                        None => take(table, batch)?,
                    }
                }
                tally.add(&counts);
                let actors = plan.shard(index).actors;
                progress.advanced(actors.end - actors.start, rows);
                self.check_stop()
            },
        )?;
        for (table, spool) in spools.into_iter().enumerate() {
            let Some(mut spool) = spool else { continue };
            for slice in spool.slices()? {
                take(table, spool.sorted(&slice)?)?;
                self.check_stop()?;
            }
        }
        Ok(tally)
    }
}
