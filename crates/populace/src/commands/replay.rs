//! `populace replay`.

use super::scenario::{self, Loaded};
use crate::args::ReplayArgs;
use crate::failure::Failure;
use crate::show;
use populace_core::plan::Shard;
use populace_io::generator::TableSet;
use populace_io::text::TextFormat;
use std::io::Write;

pub(crate) fn run(arguments: &ReplayArgs) -> Result<(), Failure> {
    let Loaded { resolved, generator } = scenario::load(&arguments.scenario)?;
    let Some(seed) = arguments.seed.or(resolved.seed) else {
        return Err(Failure::input("--seed: the scenario has no seed of its own; give the seed of the run"));
    };
    let users = generator.population().actors;
    if arguments.actor >= users {
        return Err(Failure::input(format!("--actor: must be from 0 to {}, got {}", users - 1, arguments.actor)));
    }
    let tables = TableSet::of(generator.tables(), |table| !(table.truth && arguments.no_truth));
    let shard = Shard { index: 0, actors: arguments.actor..arguments.actor + 1 };
    let (batches, _) = generator.simulate(seed, &shard, tables).finish(0);
    let mut out = show::stdout();
    for (index, (table, batch)) in generator.tables().iter().zip(batches).enumerate() {
        let Some(mut batch) = batch else { continue };
        let mut table = table.clone();
        if generator.numbers_rows() && index == generator.main_table() {
            // The number of a row is given at writing: one actor alone does not know how many rows come before.
            batch.remove_column(table.number.and_then(|number| table.position(number)).expect("its rows have numbers"));
            table = table.without_numbers();
        }
        let mut lines = Vec::new();
        TextFormat::append_tagged(&table, &batch, &mut lines);
        out.write_all(&lines).map_err(|error| Failure::output(&error))?;
    }
    Ok(())
}
