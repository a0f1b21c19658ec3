//! The table `users`.

use super::rows;
use crate::email::Law;
use crate::source::{As, Columns, Want};
use crate::stats::Merge;
use crate::verify::board::{Board, Exact};
use crate::verify::files::Files;
use crate::verify::mix;
use arrow_array::RecordBatch;
use populace_io::identity::Identities;
use populace_io::tables::email::actor_of;

/// The columns of `users`.
pub(super) const USERS: [Want; 4] = [
    Want::new("recipient_id", As::Text),
    Want::new("universal_id", As::Text),
    Want::new("recipient_email_hash", As::Text),
    Want::nullable("timezone", As::Text),
];
/// A further column, where attempts at delivery depend on it.
pub(super) const MAILBOX_PROVIDER: Want = Want::new("mailbox_provider", As::Text);

/// The table `users`: each recipient of the population once, with its identity.
pub(super) struct Users<'a> {
    law: &'a Law<'a>,
    identities: &'a Identities,
    population: u64,
    timezone: &'a str,
    rule: Exact,
    rows: u64,
    /// The numbers of the recipients, mixed and added without carry: each once if they are as many as the population.
    mixed: u64,
}

impl<'a> Users<'a> {
    pub(super) const NAME: &'static str = "the table users holds each recipient once, with its identity and the document's clock";

    pub(super) fn new(law: &'a Law<'a>, identities: &'a Identities, timezone: &'a str) -> Self {
        let population = law.config().population.users;
        Self { law, identities, population, timezone, rule: Exact::new(Self::NAME), rows: 0, mixed: 0 }
    }

    pub(super) fn add(&mut self, rows: &RecordBatch) {
        let [ids, universal, hashes, timezones] = USERS.map(|want| rows.text(want.name));
        let providers = self.law.model().attempts().map(|_| rows.text(MAILBOX_PROVIDER.name));
        for row in 0..rows.num_rows() {
            let id = ids.value(row);
            let actor = actor_of(id).filter(|actor| *actor < self.population);
            let identity = actor.and_then(|actor| rows::identity(self.identities, actor));
            let holds = identity.is_some_and(|of| of.universal_id == universal.value(row) && of.email_hash == hashes.value(row))
                && timezones.is_valid(row).then(|| timezones.value(row)) == self.timezone_of(id)
                && providers
                    .is_none_or(|providers| self.law.address_of(id).is_some_and(|address| address.provider.name() == providers.value(row)));
            self.rule.hold(holds, || format!("{id:?}"));
            self.rows += 1;
            self.mixed ^= mix(actor.unwrap_or(u64::MAX));
        }
    }

    /// What the table says of a recipient's clock; `None` where it is not known.
    fn timezone_of(&self, id: &str) -> Option<&str> {
        let Some(zones) = self.law.model().zones() else { return Some(self.timezone) };
        let zone = self.law.person_of(id)?.zone.known()?;
        Some(zones.list()[usize::from(zone)].name)
    }

    pub(super) fn report(mut self, files: &Files<'_>, board: &mut Board) {
        let (rows, population) = (self.rows, self.population);
        self.rule.require(rows == population, || format!("{rows} recipients, and the document has {population}"));
        let all = (0..population).fold(0, |mixed, actor| mixed ^ mix(actor));
        self.rule.require(rows != population || self.mixed == all, || "a recipient comes twice, another never".to_owned());
        files.count(&mut self.rule, "users");
        board.exact(self.rule);
    }
}

impl Merge for Users<'_> {
    fn combine(&mut self, later: Self) {
        self.rule.combine(later.rule);
        self.rows += later.rows;
        self.mixed ^= later.mixed;
    }
}
