//! Whether ids are all different, and actors those of the population, each once.

use super::board::Exact;
use crate::error::AnalysisError;
use crate::stats::Merge;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, Write};

/// Ids that are held at a time: 16 MiB.
const HELD: usize = 1 << 20;
/// Temporary files.
const FILES: usize = 256;

/// Finds out whether many ids are all different, in bounded memory: beyond a million they are spread over temporary files.
#[derive(Default)]
pub(crate) struct Distinct {
    ids: Vec<u128>,
    files: Vec<BufWriter<File>>,
    n: u64,
    /// Why the ids could not be kept.
    failed: Option<std::io::Error>,
}

impl Distinct {
    pub(crate) fn add(&mut self, id: u128) {
        self.n += 1;
        self.ids.push(id);
    }

    fn spill(&mut self) -> std::io::Result<()> {
        if self.files.is_empty() {
            let open = |_| tempfile::tempfile().map(|file| BufWriter::with_capacity(16 << 10, file));
            self.files = (0..FILES).map(open).collect::<Result<_, _>>()?;
        }
        for id in self.ids.drain(..) {
            // Mixed, for ids that begin or end alike.
            let mixed = (id as u64 ^ (id >> 64) as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            self.files[(mixed >> 56) as usize].write_all(&id.to_le_bytes())?;
        }
        Ok(())
    }

    /// The rule that all are different, under a name; `show` writes an id.
    pub(crate) fn finish(mut self, name: &'static str, show: impl Fn(u128) -> String) -> Result<Exact, AnalysisError> {
        let temporary = |error: std::io::Error| AnalysisError::io(std::env::temp_dir(), error);
        if let Some(error) = self.failed.take() {
            return Err(temporary(error));
        }
        let mut rule = Exact::of(name, self.n);
        let mut count = |ids: &mut Vec<u128>| {
            ids.sort_unstable();
            for pair in ids.windows(2).filter(|pair| pair[0] == pair[1]) {
                rule.violate(|| show(pair[0]));
            }
        };
        if self.files.is_empty() {
            count(&mut self.ids);
            return Ok(rule);
        }
        self.spill().map_err(temporary)?;
        for file in self.files {
            let mut file = file.into_inner().map_err(|error| temporary(error.into_error()))?;
            file.rewind().map_err(temporary)?;
            let (mut bytes, mut ids) = (Vec::new(), Vec::new());
            BufReader::new(file).read_to_end(&mut bytes).map_err(temporary)?;
            ids.extend(bytes.as_chunks::<16>().0.iter().map(|bytes| u128::from_le_bytes(*bytes)));
            count(&mut ids);
        }
        Ok(rule)
    }
}

impl Merge for Distinct {
    fn combine(&mut self, later: Self) {
        // Only what others are merged into ever spills.
        self.n += later.n;
        self.ids.extend(later.ids);
        if self.ids.len() >= HELD && self.failed.is_none() {
            self.failed = self.spill().err();
        }
    }
}

/// More actors than this are not told apart: 8 MiB.
const MOST: u64 = 1 << 26;

/// Which actors there are, each once.
pub(crate) struct Roll {
    rule: Exact,
    population: u64,
    /// Those that are not counted yet.
    new: Vec<u64>,
    /// A bit for each of the population.
    seen: Vec<u64>,
    /// How many are of the population.
    pub(crate) actors: u64,
}

impl Roll {
    pub(crate) fn new(name: &'static str, population: u64) -> Self {
        Self { rule: Exact::new(name), population, new: Vec::new(), seen: Vec::new(), actors: 0 }
    }

    /// Adds an actor by its number, from 0. Gives the number if it is of the population.
    pub(crate) fn add(&mut self, actor: Option<u64>, name: impl FnOnce() -> String) -> Option<u64> {
        let actor = actor.filter(|actor| *actor < self.population);
        match actor {
            Some(actor) => {
                self.new.push(actor);
                self.actors += 1;
            }
            None => self.rule.hold(false, name),
        }
        actor
    }

    /// Counts the new ones.
    fn settle(&mut self, new: Vec<u64>) {
        self.seen.resize(self.population.min(MOST).div_ceil(64) as usize, 0);
        for actor in new {
            let (word, bit) = ((actor / 64) as usize, 1 << (actor % 64));
            let is_new = self.seen.get(word).is_none_or(|word| word & bit == 0);
            if let Some(word) = self.seen.get_mut(word) {
                *word |= bit;
            }
            self.rule.hold(is_new, || format!("number {} of the population, again", actor + 1));
        }
    }

    /// The rule, for further cases.
    pub(crate) fn finish(mut self) -> Exact {
        let new = std::mem::take(&mut self.new);
        self.settle(new);
        self.rule
    }
}

impl Merge for Roll {
    fn combine(&mut self, later: Self) {
        let new = std::mem::take(&mut self.new);
        self.settle(new);
        self.actors += later.actors;
        self.rule.combine(later.rule);
        self.settle(later.new);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::board::Board;
    use crate::verify::{Group, Verdict};

    /// What a rule says of itself.
    fn told(rule: Exact) -> (Verdict, u64, String) {
        let mut board = Board::default();
        board.exact_as(Group::Exact, rule);
        let check = board.checks().first().cloned().unwrap();
        (check.verdict, check.n, check.observed)
    }

    #[test]
    fn ids_that_come_twice_are_found_in_memory_and_beyond() {
        for n in [10_u128, (HELD + 100) as u128] {
            let mut ids = Distinct::default();
            for from in (0..n).step_by(1_000) {
                let mut some = Distinct::default();
                (from..(from + 1_000).min(n)).for_each(|id| some.add(id << 40));
                ids.combine(some);
            }
            assert_eq!(ids.files.is_empty(), n == 10);
            ids.add(7 << 40);
            let found = told(ids.finish("ids are unique", |id| (id >> 40).to_string()).unwrap());
            assert_eq!(found, (Verdict::Fail, n as u64 + 1, format!("1 of {} against it, the first 7", n + 1)));
        }
    }

    #[test]
    fn an_actor_that_comes_twice_or_from_nowhere_is_found() {
        let roll = |actors: &[u64]| {
            let mut roll = Roll::new("each once", 100);
            for actor in actors {
                roll.add(Some(*actor), || actor.to_string());
            }
            roll
        };
        let mut sound = roll(&[1, 2]);
        sound.combine(roll(&[3]));
        assert_eq!((sound.actors, told(sound.finish())), (3, (Verdict::Pass, 3, "3 examined".into())));
        let mut again = roll(&[1, 2]);
        again.combine(roll(&[3, 1]));
        assert_eq!(told(again.finish()).2, "1 of 4 against it, the first number 2 of the population, again");
        assert_eq!(told(roll(&[5, 100]).finish()).2, "1 of 2 against it, the first 100");
    }
}
