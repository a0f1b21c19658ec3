//! Clean rows that do not come by user: spread over temporary files by ranges of users, each small enough to be sorted in memory.

use super::clean::{EventRow, UserRow};
use super::ids::temporary;
use super::join::{OfUser, Stream, Tally};
use super::key::Key;
use super::reasons::Marks;
use super::rows::Place;
use crate::error::AnalysisError;
use std::fs::File;
use std::io::{BufWriter, Read, Seek, Write};

/// Bytes of rows that are sorted at a time, about.
const PARTITION: u64 = 64 << 20;
/// Bytes of an event in memory, about.
const EVENT_BYTES: u64 = 160;
/// No more temporary files of one table than this are open at a time.
const MOST_PARTITIONS: u64 = 256;

/// A row that can be put into a file and sorted.
pub(super) trait SpillRow: OfUser + Default {
    /// What orders the rows of a table.
    fn order(&self) -> (&Key, i64, Place);
    /// Appends the row.
    fn encode(&self, out: &mut Vec<u8>);
    /// Takes a row from the beginning of `bytes`; `None` if they are cut off.
    fn decode(bytes: &mut &[u8]) -> Option<Self>;
}

/// The first user of each partition but the first, for so many events with a sample of their users, in order.
pub(super) fn bounds(events: u64, sample: &[Key]) -> Vec<Key> {
    let partitions = (events * EVENT_BYTES).div_ceil(PARTITION).clamp(1, MOST_PARTITIONS) as usize;
    let mut bounds: Vec<Key> = (1..partitions).filter_map(|index| sample.get(index * sample.len() / partitions).cloned()).collect();
    bounds.dedup();
    bounds
}

/// The rows of a table in partitions, by user.
pub(super) struct Spill<R> {
    bounds: Vec<Key>,
    /// The one partition that there is.
    memory: Vec<R>,
    files: Vec<BufWriter<File>>,
    scratch: Vec<u8>,
}

impl<R: SpillRow> Spill<R> {
    pub(super) fn new(bounds: &[Key]) -> Result<Self, AnalysisError> {
        let files: Result<Vec<_>, _> = match bounds {
            [] => Ok(Vec::new()),
            _ => (0..=bounds.len()).map(|_| tempfile::tempfile().map(|file| BufWriter::with_capacity(64 << 10, file))).collect(),
        };
        Ok(Self { bounds: bounds.to_vec(), memory: Vec::new(), files: files.map_err(temporary)?, scratch: Vec::new() })
    }

    pub(super) fn push(&mut self, row: &mut R) -> Result<(), AnalysisError> {
        if self.files.is_empty() {
            self.memory.push(std::mem::take(row));
            return Ok(());
        }
        let partition = self.bounds.partition_point(|bound| bound <= row.user());
        self.scratch.clear();
        row.encode(&mut self.scratch);
        self.files[partition].write_all(&self.scratch).map_err(temporary)
    }

    pub(super) fn partitions(&self) -> usize {
        self.files.len().max(1)
    }

    /// The rows of a partition, sorted. May be asked again.
    pub(super) fn sorted(&mut self, partition: usize) -> Result<Sorted<'_, R>, AnalysisError> {
        let mut loaded = Vec::new();
        if let Some(file) = self.files.get_mut(partition) {
            file.flush().map_err(temporary)?;
            let file = file.get_mut();
            file.rewind().map_err(temporary)?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).map_err(temporary)?;
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                loaded.push(R::decode(&mut rest).ok_or_else(|| temporary(std::io::ErrorKind::UnexpectedEof.into()))?);
            }
            loaded.sort_unstable_by(|a: &R, b| a.order().cmp(&b.order()));
            return Ok(Sorted { rows: Rows::Loaded(loaded), next: 0 });
        }
        self.memory.sort_unstable_by(|a, b| a.order().cmp(&b.order()));
        Ok(Sorted { rows: Rows::Held(&self.memory), next: 0 })
    }
}

enum Rows<'a, R> {
    Loaded(Vec<R>),
    Held(&'a [R]),
}

/// Sorted rows as a stream.
pub(super) struct Sorted<'a, R> {
    rows: Rows<'a, R>,
    next: usize,
}

impl<R: Clone> Stream for Sorted<'_, R> {
    type Row = R;

    fn advance(&mut self, row: &mut R, _: &mut Tally) -> Result<bool, AnalysisError> {
        let rows = match &self.rows {
            Rows::Loaded(rows) => rows,
            Rows::Held(rows) => *rows,
        };
        let Some(next) = rows.get(self.next) else { return Ok(false) };
        row.clone_from(next);
        self.next += 1;
        Ok(true)
    }
}

fn put(out: &mut Vec<u8>, words: &[u64]) {
    out.extend(words.iter().flat_map(|word| word.to_le_bytes()));
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn word(bytes: &mut &[u8]) -> Option<u64> {
    let (word, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u64::from_le_bytes(*word))
}

fn text(bytes: &mut &[u8]) -> Option<String> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (text, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    *bytes = rest;
    String::from_utf8(text.to_vec()).ok()
}

fn put_key(out: &mut Vec<u8>, key: &Key) {
    match key {
        Key::Whole(value) => {
            out.push(0);
            put(out, &[*value as u64]);
        }
        Key::Text(text) => {
            out.push(1);
            put_text(out, text);
        }
    }
}

fn key(bytes: &mut &[u8]) -> Option<Key> {
    let (is_text, rest) = bytes.split_first()?;
    *bytes = rest;
    if *is_text == 0 { word(bytes).map(|value| Key::Whole(value as i64)) } else { text(bytes).map(|text| Key::Text(text.into())) }
}

fn put_marks(out: &mut Vec<u8>, marks: Marks) {
    put(out, &[u64::from(marks.repairs) << 32 | u64::from(marks.notes)]);
}

fn marks(bytes: &mut &[u8]) -> Option<Marks> {
    word(bytes).map(|word| Marks { repairs: (word >> 32) as u32, notes: word as u32 })
}

impl SpillRow for UserRow {
    fn order(&self) -> (&Key, i64, Place) {
        (&self.id, 0, self.place)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put(out, &[self.place.0, self.signup as u64, u64::from(self.is_paid), self.engagement.to_bits()]);
        put_key(out, &self.id);
        put_marks(out, self.marks);
        put_text(out, &self.plan);
        put_text(out, &self.country);
        put_text(out, &self.source);
    }

    fn decode(bytes: &mut &[u8]) -> Option<Self> {
        Some(Self {
            place: Place(word(bytes)?),
            signup: word(bytes)? as i32,
            is_paid: word(bytes)? == 1,
            engagement: f64::from_bits(word(bytes)?),
            id: key(bytes)?,
            marks: marks(bytes)?,
            plan: text(bytes)?,
            country: text(bytes)?,
            source: text(bytes)?,
        })
    }
}

impl SpillRow for EventRow {
    fn order(&self) -> (&Key, i64, Place) {
        (&self.user, self.time, self.place)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put(out, &[self.place.0, self.time as u64, u64::from(self.kind)]);
        put(out, &[self.watch.to_bits(), self.quiz.to_bits(), self.amount.to_bits()]);
        put_key(out, &self.id);
        put_key(out, &self.user);
        put_marks(out, self.marks);
        put_text(out, if self.kind == super::clean::OTHER { &self.type_name } else { "" });
        put_text(out, &self.course);
    }

    fn decode(bytes: &mut &[u8]) -> Option<Self> {
        Some(Self {
            place: Place(word(bytes)?),
            time: word(bytes)? as i64,
            kind: word(bytes)? as u8,
            watch: f64::from_bits(word(bytes)?),
            quiz: f64::from_bits(word(bytes)?),
            amount: f64::from_bits(word(bytes)?),
            id: key(bytes)?,
            user: key(bytes)?,
            marks: marks(bytes)?,
            type_name: text(bytes)?,
            course: text(bytes)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_hold_every_row_once_in_order() {
        let rows: Vec<EventRow> = (0..1_000_i64)
            .map(|index| EventRow {
                place: Place(index as u64),
                id: if index % 4 == 0 { Key::Text(format!("e{index}").into()) } else { Key::Whole(index - 7) },
                user: Key::Whole(index * 7_919 % 101 - 50),
                time: -index % 13,
                kind: if index % 3 == 0 { super::super::clean::OTHER } else { 2 },
                type_name: if index % 3 == 0 { format!("other {index}") } else { String::new() },
                course: "é".repeat(index as usize % 5),
                watch: index as f64 / 7.0,
                quiz: -0.5,
                amount: f64::INFINITY,
                marks: Marks { repairs: u32::MAX - index as u32, notes: index as u32 },
            })
            .collect();
        let shown = |bounds: &[i64]| {
            let keys: Vec<Key> = bounds.iter().map(|bound| Key::Whole(*bound)).collect();
            let mut spill = Spill::new(&keys).unwrap();
            for row in &rows {
                spill.push(&mut row.clone()).unwrap();
            }
            assert_eq!(spill.partitions(), bounds.len() + 1);
            for again in [false, true] {
                let mut found = Vec::new();
                for partition in 0..spill.partitions() {
                    let (mut sorted, mut row) = (spill.sorted(partition).unwrap(), EventRow::default());
                    while sorted.advance(&mut row, &mut Tally::default()).unwrap() {
                        found.push(format!("{row:?}"));
                    }
                }
                if again {
                    return found;
                }
                assert_eq!(found.len(), rows.len());
            }
            unreachable!("the second time returns")
        };
        let mut expected = rows.clone();
        expected.sort_by(|a, b| a.order().cmp(&b.order()));
        let expected: Vec<String> = expected.iter().map(|row| format!("{row:?}")).collect();
        assert_eq!(shown(&[]), expected);
        assert_eq!(shown(&[-20, 0, 49, 1_000]), expected);
    }

    #[test]
    fn a_file_that_is_cut_off_is_an_error() {
        let mut bytes = Vec::new();
        let user = UserRow { id: Key::Text("00123".into()), plan: "paid".into(), country: "IN".into(), ..UserRow::default() };
        user.encode(&mut bytes);
        for length in 0..bytes.len() {
            assert!(UserRow::decode(&mut &bytes[..length]).is_none(), "{length}");
        }
        assert_eq!(format!("{:?}", UserRow::decode(&mut bytes.as_slice()).unwrap()), format!("{user:?}"));
    }

    #[test]
    fn bounds_part_the_users_evenly() {
        let keys = |values: std::ops::Range<i64>| values.map(Key::Whole).collect::<Vec<_>>();
        let sample = keys(0..1_000);
        assert!(bounds(1_000, &sample).is_empty());
        assert_eq!(bounds(1 << 20, &sample), [Key::Whole(333), Key::Whole(666)]);
        assert_eq!(bounds(1 << 40, &sample).len(), 255);
        assert_eq!(bounds(1 << 40, &vec![Key::Whole(7); 50]), [Key::Whole(7)], "one user cannot be parted");
    }
}
