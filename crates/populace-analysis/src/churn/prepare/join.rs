//! Clean users and clean events, both by user, side by side.

use super::clean::{EventCleaner, EventRow, UserCleaner, UserRow};
use super::ids::RowSet;
use super::key::Key;
use super::reasons::{Drop, Marks, Note, Reason, Repair};
use super::rows::{Place, Rows};
use crate::error::AnalysisError;
use crate::source::values::is_plausible;
use std::ops::Range;

/// Rows of one reason.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Count {
    pub(super) rows: u64,
    /// Where the first stands.
    pub(super) first: Place,
}

impl Count {
    fn add(&mut self, place: Place) {
        if self.rows == 0 || place < self.first {
            self.first = place;
        }
        self.rows += 1;
    }
}

/// What became of the rows of a table.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    pub(super) read: u64,
    pub(super) kept: u64,
    /// Rows that were kept and repaired.
    pub(super) repaired_rows: u64,
    pub(super) dropped: [Count; Drop::ALL.len()],
    pub(super) repaired: [Count; Repair::ALL.len()],
    pub(super) noted: [Count; Note::ALL.len()],
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            read: 0,
            kept: 0,
            repaired_rows: 0,
            dropped: [Count::default(); Drop::ALL.len()],
            repaired: [Count::default(); Repair::ALL.len()],
            noted: [Count::default(); Note::ALL.len()],
        }
    }
}

impl Tally {
    pub(super) fn drop(&mut self, why: Drop, place: Place) {
        self.dropped[why.index()].add(place);
    }

    fn keep(&mut self, marks: Marks, place: Place) {
        self.kept += 1;
        self.repaired_rows += u64::from(marks.repairs != 0);
        for (set, counts) in [(marks.repairs, &mut self.repaired[..]), (marks.notes, &mut self.noted[..])] {
            let mut left = set;
            while left != 0 {
                counts[left.trailing_zeros() as usize].add(place);
                left &= left - 1;
            }
        }
    }
}

/// The tallies of both tables.
#[derive(Clone, Debug, Default)]
pub(super) struct Tallies {
    pub(super) users: Tally,
    pub(super) events: Tally,
}

/// Clean rows, one after another.
pub(super) trait Stream {
    type Row;

    /// Goes on to the next row; false at the end. Rows that are dropped on the way are tallied.
    fn advance(&mut self, row: &mut Self::Row, tally: &mut Tally) -> Result<bool, AnalysisError>;
}

/// Users as they stand in the files.
pub(super) struct CleanUsers<'a> {
    pub(super) rows: Rows<'a>,
    pub(super) cleaner: UserCleaner,
}

impl Stream for CleanUsers<'_> {
    type Row = UserRow;

    fn advance(&mut self, user: &mut UserRow, tally: &mut Tally) -> Result<bool, AnalysisError> {
        while let Some(whole) = self.rows.advance()? {
            tally.read = self.rows.read();
            match whole.and_then(|()| self.cleaner.clean(&self.rows, user)) {
                Ok(()) => return Ok(true),
                Err(why) => tally.drop(why, self.rows.place()),
            }
        }
        Ok(false)
    }
}

/// Events as they stand in the files, without those that lie outside a range of time or repeat an id.
pub(super) struct CleanEvents<'a> {
    pub(super) rows: Rows<'a>,
    pub(super) cleaner: EventCleaner,
    pub(super) range: Option<Range<i64>>,
    pub(super) repeated: Option<&'a RowSet>,
}

impl Stream for CleanEvents<'_> {
    type Row = EventRow;

    fn advance(&mut self, event: &mut EventRow, tally: &mut Tally) -> Result<bool, AnalysisError> {
        while let Some(whole) = self.rows.advance()? {
            tally.read = self.rows.read();
            let cleaned = whole.and_then(|()| self.cleaner.clean(&self.rows, event)).and_then(|()| {
                if self.range.as_ref().is_some_and(|range| !range.contains(&event.time)) {
                    Err(Drop::OutsideRange)
                } else if self.repeated.is_some_and(|set| set.has(self.rows.read())) {
                    Err(Drop::EventIdDuplicate)
                } else {
                    Ok(())
                }
            });
            match cleaned {
                Ok(()) => return Ok(true),
                Err(why) => tally.drop(why, self.rows.place()),
            }
        }
        Ok(false)
    }
}

/// Watches whether rows come by user; a stream that does not ends at the first row out of order.
pub(super) struct InOrder<S> {
    pub(super) stream: S,
    last: Option<Key>,
    /// Whether a row came out of order.
    pub(super) broken: bool,
}

impl<S> InOrder<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, last: None, broken: false }
    }
}

/// A row of one user.
pub(super) trait OfUser {
    fn user(&self) -> &Key;
}

impl OfUser for UserRow {
    fn user(&self) -> &Key {
        &self.id
    }
}

impl OfUser for EventRow {
    fn user(&self) -> &Key {
        &self.user
    }
}

impl<S: Stream<Row: OfUser>> Stream for InOrder<S> {
    type Row = S::Row;

    fn advance(&mut self, row: &mut S::Row, tally: &mut Tally) -> Result<bool, AnalysisError> {
        if self.broken || !self.stream.advance(row, tally)? {
            return Ok(false);
        }
        self.broken = self.last.as_ref().is_some_and(|last| row.user() < last);
        self.last = Some(row.user().clone());
        Ok(!self.broken)
    }
}

/// Learns of the events that pass what decides how they must be arranged.
pub(super) struct Facts<S> {
    pub(super) stream: S,
    last_id: Option<Key>,
    /// Whether every id is greater than the one before: then none is repeated.
    pub(super) ids_ascend: bool,
    /// Events that passed.
    pub(super) rows: u64,
    /// The users of every so many events.
    sample: Vec<Key>,
    stride: u64,
}

/// Users that are sampled, at most.
const SAMPLE: usize = 1 << 15;

impl<S> Facts<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, last_id: None, ids_ascend: true, rows: 0, sample: Vec::new(), stride: 1 }
    }

    /// The sampled users, in order.
    pub(super) fn sample(mut self) -> Vec<Key> {
        self.sample.sort_unstable();
        self.sample
    }
}

impl<S: Stream<Row = EventRow>> Stream for Facts<S> {
    type Row = EventRow;

    fn advance(&mut self, event: &mut EventRow, tally: &mut Tally) -> Result<bool, AnalysisError> {
        if !self.stream.advance(event, tally)? {
            return Ok(false);
        }
        self.ids_ascend &= self.last_id.as_ref().is_none_or(|last| *last < event.id);
        self.last_id = Some(event.id.clone());
        if self.rows.is_multiple_of(self.stride) {
            self.sample.push(event.user.clone());
            if self.sample.len() == SAMPLE {
                let mut keep = false;
                self.sample.retain(|_| {
                    keep = !keep;
                    keep
                });
                self.stride *= 2;
            }
        }
        self.rows += 1;
        Ok(true)
    }
}

/// What is made of the users and their events.
pub(super) trait Visitor {
    /// A user begins.
    fn user(&mut self, user: &mut UserRow) -> Result<(), AnalysisError>;

    /// An event of that user.
    fn event(&mut self, event: &EventRow) -> Result<(), AnalysisError>;

    /// That user's events are over.
    fn end(&mut self) -> Result<(), AnalysisError>;
}

/// Shows a visitor each user with its events of some days. Both streams come by user; of users with the same id the first stays.
pub(super) fn join(
    users: &mut dyn Stream<Row = UserRow>,
    events: &mut dyn Stream<Row = EventRow>,
    visitor: &mut dyn Visitor,
    days: &Range<i64>,
    tallies: &mut Tallies,
) -> Result<(), AnalysisError> {
    let (mut user, mut event) = (UserRow::default(), EventRow::default());
    let mut last: Option<Key> = None;
    let mut more = events.advance(&mut event, &mut tallies.events)?;
    while users.advance(&mut user, &mut tallies.users)? {
        if last.as_ref() == Some(&user.id) {
            tallies.users.drop(Drop::UserIdDuplicate, user.place);
            continue;
        }
        last = Some(user.id.clone());
        while more && event.user < user.id {
            tallies.events.drop(Drop::UserUnknown, event.place);
            more = events.advance(&mut event, &mut tallies.events)?;
        }
        visitor.user(&mut user)?;
        tallies.users.keep(user.marks, user.place);
        while more && event.user == user.id {
            if days.contains(&event.time) {
                if !is_plausible(event.time) {
                    event.marks.note(Note::OddClock);
                }
                tallies.events.keep(event.marks, event.place);
                visitor.event(&event)?;
            } else {
                tallies.events.drop(Drop::OddClock, event.place);
            }
            more = events.advance(&mut event, &mut tallies.events)?;
        }
        visitor.end()?;
    }
    while more {
        tallies.events.drop(Drop::UserUnknown, event.place);
        more = events.advance(&mut event, &mut tallies.events)?;
    }
    Ok(())
}
