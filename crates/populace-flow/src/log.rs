//! The log: records in partitions, each partition in order. Records of one key stay in one partition, so a user's order holds.
//!
//! # How nothing is lost and nothing is stored twice
//! A consumer takes batches `[from, to)` of one partition. For each it
//! 1. commits `from` and with it the end of what is pending, `to` ([`Consumer::commit`]),
//! 2. inserts the batch, without the events whose ids the table has, under a token made of topic, partition, `from`, `to` and ids,
//! 3. commits `to`, with nothing pending.
//!
//! If it dies in between, whoever comes next finds `from` and the pending end ([`Consumer::committed`]), reads exactly that batch
//! again and inserts it under the same token, which the table knows. So the bounds of a batch stay the same, whatever is killed when.
//! The same event at two offsets (a producer that sent again after it was killed, a topic that is replayed) is found by its id.

use crate::error::FlowError;
use std::collections::BTreeMap;
use std::time::Duration;

/// The topic of the events of `email`.
pub const TOPIC: &str = "email-events";
/// The topic of what is not an event.
pub const DEAD_LETTER_TOPIC: &str = "email-events-dlq";
/// The group of consumers that fills the table.
pub const GROUP: &str = "sendflowr-consumer";

/// What is to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Whose it is: records of one key keep their order.
    pub key: Vec<u8>,
    /// The event as JSON.
    pub value: Vec<u8>,
}

/// Where a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Number of the partition, from 0.
    pub partition: i32,
    /// Number of the record within the partition, from 0, growing.
    pub offset: i64,
}

/// A record as read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Where it was.
    pub position: Position,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value; none of a record that was erased.
    pub value: Option<Vec<u8>>,
}

/// How far a group has come in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The next record to store: all before it are in the table or among the dead letters.
    pub offset: i64,
    /// Where the batch ends that was begun at `offset` and may or may not be in the table.
    pub pending_end: Option<i64>,
}

/// Puts records into a topic.
pub trait Producer: Send + Sync {
    /// Publishes records and returns after all of them are safe: acknowledged by every replica that is in step, or on disk.
    ///
    /// # Errors
    /// Not all of them are known to be safe: some may be in the log, and publishing them again may put them there twice.
    fn publish(&self, records: &[Record]) -> Result<(), FlowError>;

    /// Whether a record would be taken now.
    ///
    /// # Errors
    /// Why not.
    fn ready(&self) -> Result<(), FlowError>;
}

/// One member of a group of consumers. A partition belongs to one member at a time.
pub trait Consumer: Send {
    /// The topic.
    fn topic(&self) -> &str;

    /// All partitions of the topic, whoever has them.
    ///
    /// # Errors
    /// The log is not to be reached.
    fn partitions(&mut self) -> Result<Vec<i32>, FlowError>;

    /// The partitions that are this member's now. They may change at every [`poll`](Self::poll).
    ///
    /// # Errors
    /// The log is not to be reached.
    fn assigned(&mut self) -> Result<Vec<i32>, FlowError>;

    /// At most `most` further records of the assigned partitions, each partition in order, waiting for the first of them no longer than
    /// `wait`. Empty if there were none.
    ///
    /// # Errors
    /// The log is not to be reached, or another has taken over.
    fn poll(&mut self, most: usize, wait: Duration) -> Result<Vec<Message>, FlowError>;

    /// Whether [`poll`](Self::poll) has given out all that a partition of this member holds, up to its end: a record that has not come
    /// by then is none that will come. False as long as that is not known.
    ///
    /// # Errors
    /// The log is not to be reached.
    fn exhausted(&mut self, partition: i32) -> Result<bool, FlowError>;

    /// What does not go on though it should, by partition: why not.
    fn stuck(&mut self) -> BTreeMap<i32, String> {
        BTreeMap::new()
    }

    /// Whether some records in `from..to` are known to be there and cannot be read, so that what comes after them must wait.
    fn is_unreadable(&mut self, _partition: i32, _from: i64, _to: i64) -> bool {
        false
    }

    /// Makes `offset` the next record that [`poll`](Self::poll) reads of a partition.
    ///
    /// # Errors
    /// The partition is not this member's.
    fn seek(&mut self, partition: i32, offset: i64) -> Result<(), FlowError>;

    /// How far the group has come in a partition, whoever has it.
    ///
    /// # Errors
    /// The log is not to be reached.
    fn committed(&mut self, partition: i32) -> Result<Committed, FlowError>;

    /// Commits, durably, that all records of a partition before `offset` are dealt with and that the batch up to `pending_end`, if any,
    /// is about to be stored.
    ///
    /// # Errors
    /// Nothing was committed: the log is not to be reached, or the partition is not this member's any more.
    fn commit(&mut self, partition: i32, offset: i64, pending_end: Option<i64>) -> Result<(), FlowError>;

    /// The offset after the last record of a partition, whoever has it.
    ///
    /// # Errors
    /// The log is not to be reached.
    fn end(&mut self, partition: i32) -> Result<i64, FlowError>;
}

/// The token of a batch: the same whenever and by whomever the batch is read.
pub fn token(topic: &str, partition: i32, from: i64, to: i64) -> String {
    format!("{topic}/{partition}/{from}/{to}")
}
