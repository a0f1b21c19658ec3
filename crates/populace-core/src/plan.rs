//! From a population to shards, by the scenario alone, never by the machine.

use crate::section::section;
use crate::stream::ActorId;
/// The days on which things begin: the section `window` of every document.
pub use crate::time::Window as WindowConfig;
use core::ops::Range;

section! {
    /// Who there is: the section `population` of every document.
    pub struct PopulationConfig {
        /// Number of people, 1 to 10¹².
        users: u64 [1 ..= 1_000_000_000_000_u64],
    }
}

/// How many actors there are and how much each is expected to emit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Population {
    /// Number of actors.
    pub actors: u64,
    /// Expected rows of the main data table for one actor: what shards are sized by.
    pub rows_per_actor: f64,
}

/// A run of consecutive actors that is simulated as one unit of work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Number of the shard within its part, from 0.
    pub index: u64,
    /// The actors, by number.
    pub actors: Range<u64>,
}

impl Shard {
    /// The actors of this shard.
    pub fn ids(&self) -> impl Iterator<Item = ActorId> {
        self.actors.clone().map(ActorId)
    }
}

/// The shards of a range of actors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    actors: Range<u64>,
    actors_per_shard: u64,
}

impl Plan {
    /// Shards of about `rows` rows each over a range of actors. Where one shard ends depends on the range's start alone.
    pub fn over(actors: Range<u64>, population: &Population, rows: u64) -> Self {
        let actors_per_shard = ((rows as f64 / population.rows_per_actor.max(1e-9)) as u64).max(1);
        Self { actors, actors_per_shard }
    }

    /// How many actors a shard has; the last may have fewer.
    pub fn actors_per_shard(&self) -> u64 {
        self.actors_per_shard
    }

    /// How many shards there are.
    pub fn shards(&self) -> u64 {
        (self.actors.end - self.actors.start).div_ceil(self.actors_per_shard)
    }

    /// Shard `index`, from 0.
    ///
    /// # Panics
    /// There is no such shard.
    pub fn shard(&self, index: u64) -> Shard {
        assert!(index < self.shards(), "shard {index} of {}", self.shards());
        let start = self.actors.start + index * self.actors_per_shard;
        Shard { index, actors: start..(start + self.actors_per_shard).min(self.actors.end) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_cover_every_actor_once_in_order() {
        for actors in [0..1, 0..350, 17..1_001] {
            let plan = Plan::over(actors.clone(), &Population { actors: 5_000, rows_per_actor: 10.0 }, 70);
            let mut next = actors.start;
            for index in 0..plan.shards() {
                let shard = plan.shard(index);
                assert_eq!(shard.actors.start, next);
                assert!(shard.actors.end - shard.actors.start <= 7);
                next = shard.actors.end;
            }
            assert_eq!(next, actors.end);
        }
    }
}
