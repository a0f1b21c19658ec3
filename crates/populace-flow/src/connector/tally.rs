//! What became of items that are not events as they should be: changed, ignored or dead letters, and how often.

use crate::event::COLUMNS;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// What became of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// It was taken after a change.
    Adjusted,
    /// It is none of ours.
    Ignored,
    /// It is a dead letter.
    Dead,
}

impl Outcome {
    /// As a label of metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Adjusted => "adjusted",
            Self::Ignored => "ignored",
            Self::Dead => "dead",
        }
    }
}

/// Who sent it, the kind of event, the field and what is the matter with it: from fixed lists, as labels of metrics must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Matter {
    /// `synthetic`, or the provider.
    pub from: &'static str,
    /// The provider's name of the event, if it is a known one.
    pub event: &'static str,
    /// The field.
    pub field: &'static str,
    /// What is the matter.
    pub what: &'static str,
}

/// Counts of what happened to items.
#[derive(Debug, Default)]
pub struct Tally(Mutex<BTreeMap<(Outcome, Matter), u64>>);

impl Tally {
    pub(super) fn add(&self, outcome: Outcome, about: Matter, count: u64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry((outcome, about)).or_default() += count;
    }

    /// All of them.
    pub fn all(&self) -> Vec<((Outcome, Matter), u64)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|(about, count)| (*about, *count)).collect()
    }
}

/// What was changed of the items of a request, and how often.
#[derive(Debug, Default)]
pub struct Adjusted {
    /// The provider's name of the event at hand.
    pub(super) event: &'static str,
    counts: BTreeMap<(&'static str, &'static str, &'static str), u64>,
}

impl Adjusted {
    pub(super) fn note(&mut self, field: &'static str, what: &'static str) {
        *self.counts.entry((self.event, field, what)).or_default() += 1;
    }

    /// For the answer: `field: what`.
    pub(super) fn told(&self) -> BTreeMap<String, u64> {
        let mut told = BTreeMap::new();
        for ((_, field, what), count) in &self.counts {
            *told.entry(format!("{field}: {what}")).or_default() += count;
        }
        told
    }

    pub(super) fn tally(&self, from: &'static str, into: &Tally) {
        for (&(event, field, what), count) in &self.counts {
            into.add(Outcome::Adjusted, Matter { from, event, field, what }, *count);
        }
    }
}

/// The name of a column, as a label.
pub(super) fn label(field: &str, known: &[&'static str]) -> &'static str {
    let columns = COLUMNS.iter().map(|column| column.name);
    columns.chain(known.iter().copied()).find(|name| *name == field).unwrap_or("other")
}
