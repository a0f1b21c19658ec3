//! Which rows repeat the id of an earlier row, in bounded memory.

use super::key::Key;
use crate::error::AnalysisError;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, Write};

/// Bytes of ids that are sorted at a time, about.
const PARTITION: u64 = 64 << 20;
/// Bytes of an id with its row.
const PAIR: usize = 24;
/// No more temporary files than this are open at a time.
const MOST_PARTITIONS: u64 = 256;

/// A set of rows by their number, from 1: one bit for each row of the table.
#[derive(Debug, Default)]
pub(super) struct RowSet {
    words: Vec<u64>,
}

impl RowSet {
    #[inline]
    pub(super) fn has(&self, row: u64) -> bool {
        self.words.get((row / 64) as usize).is_some_and(|word| word >> (row % 64) & 1 == 1)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    fn insert(&mut self, row: u64) {
        let word = (row / 64) as usize;
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= 1 << (row % 64);
    }
}

/// Finds the rows whose id an earlier row has.
pub(super) enum Repeats {
    Memory(Vec<(u128, u64)>),
    Files(Vec<BufWriter<File>>),
}

impl Repeats {
    /// For about so many rows.
    pub(super) fn new(rows: u64) -> Result<Self, AnalysisError> {
        let partitions = (rows * PAIR as u64).div_ceil(PARTITION).min(MOST_PARTITIONS);
        if partitions <= 1 {
            return Ok(Self::Memory(Vec::new()));
        }
        let files: Result<Vec<_>, _> = (0..partitions).map(|_| tempfile::tempfile().map(BufWriter::new)).collect();
        files.map(Self::Files).map_err(temporary)
    }

    pub(super) fn push(&mut self, id: &Key, row: u64) -> Result<(), AnalysisError> {
        let id = id.number();
        match self {
            Self::Memory(pairs) => pairs.push((id, row)),
            Self::Files(files) => {
                // Fibonacci hashing: ids that are counted up are spread too.
                let hash = (id as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
                let file = (hash % files.len() as u64) as usize;
                let mut pair = [0; PAIR];
                pair[..16].copy_from_slice(&id.to_le_bytes());
                pair[16..].copy_from_slice(&row.to_le_bytes());
                files[file].write_all(&pair).map_err(temporary)?;
            }
        }
        Ok(())
    }

    /// The rows that repeat an id.
    pub(super) fn find(self) -> Result<RowSet, AnalysisError> {
        let mut repeated = RowSet::default();
        let mut mark = |mut pairs: Vec<(u128, u64)>| {
            pairs.sort_unstable();
            for pair in pairs.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
                repeated.insert(pair[1].1);
            }
        };
        match self {
            Self::Memory(pairs) => mark(pairs),
            Self::Files(files) => {
                for file in files {
                    let mut file = file.into_inner().map_err(|error| temporary(error.into_error()))?;
                    file.rewind().map_err(temporary)?;
                    let mut bytes = Vec::new();
                    BufReader::new(file).read_to_end(&mut bytes).map_err(temporary)?;
                    let (pairs, _) = bytes.as_chunks::<PAIR>();
                    let pair = |pair: &[u8; PAIR]| {
                        let (id, row) = pair.split_at(16);
                        let id = u128::from_le_bytes(id.try_into().expect("an id has 16 bytes"));
                        (id, u64::from_le_bytes(row.try_into().expect("a row has 8 bytes")))
                    };
                    mark(pairs.iter().map(pair).collect());
                }
            }
        }
        Ok(repeated)
    }
}

pub(super) fn temporary(error: std::io::Error) -> AnalysisError {
    AnalysisError::io(std::env::temp_dir(), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_ids_are_found_in_memory_and_in_files() {
        for rows in [10, 20_000_000] {
            let mut repeats = Repeats::new(rows).unwrap();
            assert_eq!(matches!(repeats, Repeats::Files(_)), rows > 10);
            for (row, id) in [5, -1, 5, 7, -1, 5, i64::MIN, 8].into_iter().enumerate() {
                repeats.push(&Key::Whole(id), row as u64 + 1).unwrap();
            }
            let found = repeats.find().unwrap();
            let rows: Vec<u64> = (0..100).filter(|row| found.has(*row)).collect();
            assert_eq!(rows, [3, 5, 6], "the first of each stays");
        }
    }
}
