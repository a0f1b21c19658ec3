//! Recipients of a run, one after another.

use super::history::{History, columns_for};
use super::law::Law;
use crate::error::AnalysisError;
use crate::pass::{self, Inputs};
use crate::source::{As, Columns, Side, Source, Want};
use crate::watch::Watch;
use arrow_array::RecordBatch;
use populace_core::email::Person;

const USERS: [Want; 1] = [Want::new("recipient_id", As::Text)];

/// A recipient of the scenario.
#[derive(Debug)]
pub struct Recipient {
    /// Who it is.
    pub person: Person,
    /// What the events tell; without any messages where there are no events.
    pub history: History,
    /// The rows of its events.
    pub(crate) events: Option<RecordBatch>,
    /// The rows of further tables.
    pub(crate) more: Vec<Option<RecordBatch>>,
}

/// Works on the recipients of a run, each with the rows of further tables and further columns of `events`, on all threads, and takes what
/// comes of each, in order.
///
/// # Errors
/// A table cannot be read, or tells what does not belong together; those of `work` and of `take`.
pub(crate) fn each<T: Send>(
    source: &Source,
    law: &Law<'_>,
    columns: &[Want],
    more: &[Side<'_>],
    watch: &Watch<'_>,
    work: impl Fn(Recipient) -> Result<T, AnalysisError> + Sync,
    mut take: impl FnMut(T) -> Result<(), AnalysisError> + Send,
) -> Result<(), AnalysisError> {
    let columns = [&columns_for(law.model()), columns].concat();
    let sides = [Side { table: "users", wants: &USERS, time: None }, Side { table: "events", wants: &columns, time: Some("timestamp") }];
    let inputs = Inputs::joined("recipient_id", sides.into_iter().chain(more.iter().copied()).collect::<Vec<_>>());
    let work = |actor: &[Option<RecordBatch>]| Recipient::new(law, actor)?.map(&work).transpose();
    pass::each(source, &inputs, watch, "scoring", work, |made| made.map_or(Ok(()), &mut take))
}

impl Recipient {
    /// Of the rows in the tables.
    fn new(law: &Law<'_>, rows: &[Option<RecordBatch>]) -> Result<Option<Self>, AnalysisError> {
        let Some(users) = &rows[0] else { return Ok(None) };
        let id = users.text("recipient_id").value(0).to_owned();
        let person = law.person_of(&id).ok_or_else(|| AnalysisError::input(format!("users: {id} is not a recipient of the scenario")))?;
        let history = match &rows[1] {
            Some(events) => History::new(law.model(), events),
            None => History { recipient_id: id.clone(), ..History::default() },
        };
        if history.orphans + history.repeats > 0 {
            let (orphans, repeats) = (history.orphans, history.repeats);
            return Err(AnalysisError::input(format!(
                "events: recipient {id} has {orphans} rows that belong to no message and {repeats} that repeat an earlier step\nhint: score the run as it was generated"
            )));
        }
        Ok(Some(Self { person, history, events: rows[1].clone(), more: rows[2..].to_vec() }))
    }
}
