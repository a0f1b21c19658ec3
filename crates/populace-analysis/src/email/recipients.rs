//! Recipients of a run, one after another.

use super::history::{EVENT_COLUMNS, History};
use super::law::Law;
use crate::error::AnalysisError;
use crate::source::{As, Columns, Joined, Side, Source, Want};
use arrow_array::RecordBatch;

const USERS: [Want; 1] = [Want::new("recipient_id", As::Text)];
const SIDES: [Side<'_>; 2] =
    [Side { table: "users", wants: &USERS, time: None }, Side { table: "events", wants: &EVENT_COLUMNS, time: Some("timestamp") }];

/// A recipient of the scenario.
#[derive(Debug)]
pub struct Recipient {
    /// The persona, as an index into [`Law::personas`].
    pub persona: usize,
    /// What the events tell; without any messages where there are no events.
    pub history: History,
    /// The rows of a third table.
    pub more: Option<RecordBatch>,
}

/// The recipients of a run, each with the rows of one more table.
pub struct Recipients<'a> {
    law: &'a Law<'a>,
    joined: Joined,
}

impl<'a> Recipients<'a> {
    /// Reads a run.
    ///
    /// # Errors
    /// A table cannot be read.
    pub fn new(source: &Source, law: &'a Law<'a>, more: Option<Side<'_>>) -> Result<Self, AnalysisError> {
        let sides: Vec<Side<'_>> = SIDES.into_iter().chain(more).collect();
        Ok(Self { law, joined: source.join("recipient_id", &sides)? })
    }

    fn recipient(&self, mut row: Vec<Option<RecordBatch>>) -> Result<Recipient, AnalysisError> {
        let id = row[0].as_ref().map(|users| users.text("recipient_id").value(0).to_owned()).unwrap_or_default();
        let persona =
            self.law.persona_of(&id).ok_or_else(|| AnalysisError::input(format!("users: {id} is no recipient of the scenario")))?;
        let history = match &row[1] {
            Some(events) => History::new(self.law.config(), events),
            None => History { recipient_id: id.clone(), ..History::default() },
        };
        if history.orphans + history.repeats > 0 {
            let (orphans, repeats) = (history.orphans, history.repeats);
            return Err(AnalysisError::input(format!(
                "events: recipient {id} has {orphans} rows that fit nowhere and {repeats} that tell again what was told\nhint: score the run as it was generated"
            )));
        }
        let more = row.get_mut(2).and_then(Option::take);
        Ok(Recipient { persona, history, more })
    }
}

impl Iterator for Recipients<'_> {
    type Item = Result<Recipient, AnalysisError>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.joined.next()?.and_then(|row| self.recipient(row)))
    }
}
