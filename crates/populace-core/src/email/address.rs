//! The address of a recipient: whose mailbox it is, when it is full, and when it ceases to exist.

use super::attempts::{Attempts, from_days};
use super::mailbox::{MailboxProvider, mailbox};
use crate::math;
use crate::section::section;
use crate::stream::{ActorKey, Purpose, unit};
use crate::time::Instant;

/// By episode: how long until the mailbox is full, and for how long. By [`LIFE`]: whether the address is dead, or when it dies.
const ADDRESS: Purpose = Purpose::new(20);
const LIFE: u64 = 1 << 48;
/// A time that is longer has no end, days.
const LONGEST: f64 = 36_525.0;

section! {
    /// Mailboxes that are full: times at which they are and times at which they are not take turns, both exponential.
    #[serde(default)]
    pub struct FullMailboxesConfig {
        /// The share of mailboxes that are full at any moment.
        share: f64 [0.0 ..= 0.99],
        /// How long a mailbox stays full on average, days.
        mean_days: f64 [0.01 ..= 3_650.0],
    }

    /// Addresses that exist no more.
    #[serde(default)]
    pub struct AddressConfig {
        /// The share of addresses that are dead from the window's start on.
        initial_share: f64 [0.0 ..= 1.0],
        /// The rate at which living addresses die, a day.
        per_day: f64 [0.0 ..= 1.0],
    }
}

impl Default for FullMailboxesConfig {
    fn default() -> Self {
        Self { share: 0.008, mean_days: 10.0 }
    }
}

impl FullMailboxesConfig {
    /// Days for which a mailbox is not full, on average.
    fn mean_free_days(&self) -> f64 {
        self.mean_days * (1.0 - self.share) / self.share
    }
}

impl Default for AddressConfig {
    fn default() -> Self {
        Self { initial_share: 0.004, per_day: 2.5e-4 }
    }
}

/// An address.
#[derive(Clone, Debug, PartialEq)]
pub struct Address {
    /// Who keeps the mailbox.
    pub provider: MailboxProvider,
    /// From when on it does not exist.
    pub dead_at: Option<Instant>,
    /// From when until when the mailbox is full, as far as was asked; what was full before the window begins with it.
    pub full: Vec<(Instant, Instant)>,
    /// When a message bounced because the address does not exist: from then on the sender knows.
    bounced_at: Option<Instant>,
    begin: Instant,
    /// The next episode.
    next: u64,
}

impl Address {
    /// The address of an actor in a window that begins at `begin`.
    pub(super) fn new(law: &Attempts, key: &ActorKey, begin: Instant) -> Self {
        let provider = mailbox(key).provider;
        let dead_at = law.dead.as_ref().and_then(|dead| {
            let words = key.purpose(ADDRESS).ordinal(LIFE).words();
            let days = -math::ln(1.0 - unit(words.word::<1>())) / dead.per_day;
            if unit(words.word::<0>()) < dead.initial_share { Some(begin) } else { (days < LONGEST).then(|| begin.plus(from_days(days))) }
        });
        Self { provider, dead_at, full: Vec::new(), bounced_at: None, begin, next: 0 }
    }

    /// Whether it does not exist.
    pub fn is_dead(&self, time: Instant) -> bool {
        self.dead_at.is_some_and(|dead| dead <= time)
    }

    /// Whether the sender knows that it does not exist.
    pub(super) fn is_known_dead(&self, time: Instant) -> bool {
        self.bounced_at.is_some_and(|bounced| bounced <= time)
    }

    /// A message bounced because it does not exist.
    pub(super) fn bounced(&mut self, time: Instant) {
        self.bounced_at = Some(self.bounced_at.map_or(time, |before| before.min(time)));
    }

    /// Whether the mailbox is full.
    pub(super) fn is_full(&mut self, law: &FullMailboxesConfig, key: &ActorKey, time: Instant) -> bool {
        self.fill(law, key, time);
        let begun = self.full.partition_point(|(from, _)| *from <= time);
        begun > 0 && time < self.full[begun - 1].1
    }

    /// Adds the episodes up to the first that begins after `time`.
    pub(super) fn fill(&mut self, law: &FullMailboxesConfig, key: &ActorKey, time: Instant) {
        while self.full.last().is_none_or(|(from, _)| *from <= time) {
            let words = key.purpose(ADDRESS).ordinal(self.next).words();
            let is_full_at_begin = self.next == 0 && unit(words.word::<0>()) < law.share;
            let exponential = |word: u64, mean: f64| from_days((-math::ln(1.0 - unit(word)) * mean).min(LONGEST));
            let gap = if is_full_at_begin { 0 } else { exponential(words.word::<1>(), law.mean_free_days()) };
            let from = self.full.last().map_or(self.begin, |(_, until)| *until).plus(gap);
            self.full.push((from, from.plus(exponential(words.word::<2>(), law.mean_days))));
            self.next += 1;
        }
    }
}
