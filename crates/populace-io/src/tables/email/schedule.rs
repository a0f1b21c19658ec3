//! A schedule of the user's own, by recipient, on disk: rows are spread over files of consecutive recipients, and each file is sorted by
//! itself. Memory holds a place of eight bytes a recipient and the rows of one such file.

use populace_core::email::{Planned, Schedule, Uuid};
use populace_core::time::Instant;
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::sync::Mutex;

/// Files of consecutive recipients.
const FILES: u64 = 128;
const BUFFER: usize = 32 << 10;
/// Bytes of a row that is spread: actor and row in the user's file, then what is kept.
const SPREAD: usize = 16 + KEPT;
/// Bytes of a row that is kept: time, decision (0 for none), campaign and subject, each plus 1 (0 for none).
const KEPT: usize = 8 + 16 + 2 + 4;

/// The most rows of a recipient on a day: a message is named by its day and place, of which there are 65,536, and what is due has places too.
pub const MOST_OF_A_DAY: usize = 60_000;

/// What cannot be among the rows of a recipient, by their numbers in the user's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// Two rows name the same decision.
    Repeated {
        /// The first of them.
        earlier: u64,
        /// The other.
        later: u64,
    },
    /// A day has this row beyond [`MOST_OF_A_DAY`].
    Crowded {
        /// It.
        row: u64,
    },
}

/// Rows on their way to their recipients.
pub struct Plans {
    files: Vec<BufWriter<File>>,
    /// Recipients of a file.
    width: u64,
    users: u64,
}

/// The rows of a schedule, by recipient.
#[derive(Debug)]
pub struct Bucketed {
    file: Mutex<File>,
    /// How many rows come before each recipient's, and how many there are.
    starts: Vec<u64>,
}

fn keep(planned: &Planned, into: &mut Vec<u8>) {
    into.extend(planned.time.0.to_le_bytes());
    into.extend(planned.decision.map_or(0, Uuid::to_u128).to_le_bytes());
    into.extend(planned.campaign.map_or(0, |campaign| u16::from(campaign) + 1).to_le_bytes());
    into.extend(planned.subject.map_or(0, |subject| u32::from(subject) + 1).to_le_bytes());
}

/// The number that up to 16 bytes are, the least first.
fn number(bytes: &[u8]) -> u128 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u128::from(*byte))
}

fn kept(bytes: &[u8]) -> Planned {
    let part = |from: usize, length: usize| number(&bytes[from..from + length]);
    Planned {
        time: Instant(part(0, 8) as u64 as i64),
        decision: Some(part(8, 16)).filter(|bits| *bits != 0).and_then(Uuid::from_u128),
        campaign: (part(24, 2) as u16).checked_sub(1).map(|campaign| campaign as u8),
        subject: (part(26, 4) as u32).checked_sub(1).map(|subject| subject as u16),
    }
}

impl Plans {
    /// No rows yet, for so many recipients.
    ///
    /// # Errors
    /// Temporary files cannot be made.
    pub fn new(users: u64) -> io::Result<Self> {
        let files = (0..FILES).map(|_| Ok(BufWriter::with_capacity(BUFFER, tempfile::tempfile()?))).collect::<io::Result<_>>()?;
        Ok(Self { files, width: users.div_ceil(FILES).max(1), users })
    }

    /// Takes a row of an actor; `row` is its number in the user's file.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn push(&mut self, actor: u64, row: u64, planned: &Planned) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(SPREAD);
        bytes.extend(actor.to_le_bytes());
        bytes.extend(row.to_le_bytes());
        keep(planned, &mut bytes);
        self.files[(actor / self.width) as usize].write_all(&bytes)
    }

    /// All rows by recipient and time; those of equal time stay in their order. What cannot be is told.
    ///
    /// # Errors
    /// A temporary file cannot be written or read.
    pub fn sorted(self, mut tell: impl FnMut(Unfit)) -> io::Result<Bucketed> {
        let mut out = BufWriter::with_capacity(BUFFER, tempfile::tempfile()?);
        let mut starts = vec![0; self.users as usize + 1];
        let mut bytes = Vec::new();
        for file in self.files {
            let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.seek(SeekFrom::Start(0))?;
            bytes.clear();
            file.read_to_end(&mut bytes)?;
            let mut rows: Vec<(u64, u64, Planned)> =
                bytes.chunks_exact(SPREAD).map(|row| (number(&row[..8]) as u64, number(&row[8..16]) as u64, kept(&row[16..]))).collect();
            rows.sort_unstable_by_key(|(actor, row, planned)| (*actor, planned.decision.map(Uuid::to_u128), *row));
            for pair in rows.windows(2) {
                if pair[0].0 == pair[1].0 && pair[0].2.decision.is_some() && pair[0].2.decision == pair[1].2.decision {
                    tell(Unfit::Repeated { earlier: pair[0].1, later: pair[1].1 });
                }
            }
            rows.sort_unstable_by_key(|(actor, row, planned)| (*actor, planned.time, *row));
            for of_day in rows.chunk_by(|one, next| (one.0, one.2.time.date()) == (next.0, next.2.time.date())) {
                if let Some((_, row, _)) = of_day.get(MOST_OF_A_DAY) {
                    tell(Unfit::Crowded { row: *row });
                }
            }
            let mut sorted = Vec::with_capacity(rows.len() * KEPT);
            for (actor, _, planned) in &rows {
                starts[*actor as usize + 1] += 1;
                keep(planned, &mut sorted);
            }
            out.write_all(&sorted)?;
        }
        for actor in 1..starts.len() {
            starts[actor] += starts[actor - 1];
        }
        Ok(Bucketed { file: Mutex::new(out.into_inner().map_err(io::IntoInnerError::into_error)?), starts })
    }
}

impl Bucketed {
    fn read(&self, actor: usize, into: &mut Vec<Planned>) -> io::Result<()> {
        let (Some(first), Some(end)) = (self.starts.get(actor), self.starts.get(actor + 1)) else { return Ok(()) };
        let mut bytes = vec![0; (end - first) as usize * KEPT];
        {
            let mut file = self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            file.seek(SeekFrom::Start(first * KEPT as u64))?;
            file.read_exact(&mut bytes)?;
        }
        into.extend(bytes.chunks_exact(KEPT).map(kept));
        Ok(())
    }
}

impl Schedule for Bucketed {
    fn rows(&self, actor: u64, into: &mut Vec<Planned>) {
        // The file is the program's own, without a name and open: that it cannot be read is a fault of the machine.
        if let Err(error) = self.read(actor as usize, into) {
            panic!("the temporary file of the schedule cannot be read: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_by_recipient_and_time_whatever_their_order() {
        let mut plans = Plans::new(1_000).unwrap();
        let planned = |time: i64, decision: Option<u64>| Planned {
            time: Instant(time),
            decision: decision.map(|word| Uuid::v7(Instant(0), word, word)),
            campaign: (time % 2 == 0).then_some(u8::MAX),
            subject: (time % 3 == 0).then_some(u16::MAX),
        };
        let rows = [(999, 5, None), (0, 8, Some(7)), (999, -4, Some(9)), (0, 3, None), (0, 8, Some(7)), (500, i64::MAX, None)];
        for (row, (actor, time, decision)) in rows.iter().enumerate() {
            plans.push(*actor, row as u64 + 1, &planned(*time, *decision)).unwrap();
        }
        let mut twice = Vec::new();
        let sorted = plans.sorted(|unfit| twice.push(unfit)).unwrap();
        assert_eq!(twice, [Unfit::Repeated { earlier: 2, later: 5 }]);
        let of = |actor: u64| {
            let mut rows = Vec::new();
            sorted.rows(actor, &mut rows);
            rows
        };
        assert_eq!(of(0), [planned(3, None), planned(8, Some(7)), planned(8, Some(7))]);
        assert_eq!(of(999), [planned(-4, Some(9)), planned(5, None)]);
        assert_eq!(of(500), [planned(i64::MAX, None)]);
        assert!(of(1).is_empty() && of(1_000).is_empty());
    }

    #[test]
    fn more_rows_of_a_day_than_there_are_places_are_told() {
        let mut plans = Plans::new(3).unwrap();
        let day = populace_core::time::DAY;
        for row in 0..=MOST_OF_A_DAY as u64 {
            let planned = |time: i64| Planned { time: Instant(time), decision: None, campaign: None, subject: None };
            plans.push(1, 2 * row, &planned(day + row as i64)).unwrap();
            // As many, but on two days.
            plans.push(2, 2 * row + 1, &planned((row % 2) as i64 * day)).unwrap();
        }
        let mut told = Vec::new();
        plans.sorted(|unfit| told.push(unfit)).unwrap();
        assert_eq!(told, [Unfit::Crowded { row: 2 * MOST_OF_A_DAY as u64 }]);
    }
}
