//! The table of events, and what becomes of messages that are none.

use crate::error::FlowError;
use crate::event::Event;
use crate::log::Position;
use populace_core::email::Uuid;
use std::collections::HashSet;

/// What an insert did: `stored + known + erased` is the number of events given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inserted {
    /// Events that are in the table now and were not before.
    pub stored: u64,
    /// Events whose id was there already.
    pub known: u64,
    /// Events that were left out: of people who were erased after they happened.
    pub erased: u64,
}

/// The table that events end in: each event once.
pub trait EventTable: Send + Sync {
    /// Inserts a batch whole or not at all, but for events whose id is there, whatever else of them differs. `token` is the same whenever the
    /// same batch is inserted again.
    ///
    /// # Errors
    /// It is not known whether the batch was inserted: insert it again under the same token.
    fn insert(&self, token: &str, events: &[Event<'_>]) -> Result<Inserted, FlowError>;

    /// Which of the ids are in the table.
    ///
    /// # Errors
    /// The table is not to be reached.
    fn known(&self, ids: &[Uuid]) -> Result<HashSet<Uuid>, FlowError>;

    /// How many events there are.
    ///
    /// # Errors
    /// The table is not to be reached.
    fn count(&self) -> Result<u64, FlowError>;

    /// Removes every event of a person, given all ids the person has had, and returns how many there were. If the log forgets by itself
    /// alone, the table takes no event of these ids that happened until now.
    ///
    /// # Errors
    /// The table is not to be reached.
    fn erase(&self, universal_ids: &[String]) -> Result<u64, FlowError>;

    /// Whether an insert would be taken now.
    ///
    /// # Errors
    /// Why not.
    fn ready(&self) -> Result<(), FlowError>;
}

/// A message that is not an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its topic.
    pub topic: String,
    /// Where it was.
    pub position: Position,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its bytes, as they were.
    pub value: Vec<u8>,
    /// What is wrong with it: every field and reason, no value.
    pub reason: String,
}

/// Where dead letters go.
pub trait DeadLetters: Send + Sync {
    /// Keeps letters and returns how many of them were not kept before. A letter is known by its topic and position.
    ///
    /// # Errors
    /// It is not known whether they were kept: give them again.
    fn put(&self, letters: &[DeadLetter]) -> Result<u64, FlowError>;

    /// How many there are.
    ///
    /// # Errors
    /// They are not to be reached.
    fn count(&self) -> Result<u64, FlowError>;
}
