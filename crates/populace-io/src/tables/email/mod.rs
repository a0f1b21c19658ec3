//! The tables of `email`.

mod builder;
mod columns;
mod expected;
#[cfg(test)]
mod tests;

use crate::generator::{Axes, Expected, Generator, Simulated, TableSet};
use crate::identity::Identities;
use crate::table::{Table, codes, dictionary, floats, shorts};
use arrow_array::{ArrayRef, RecordBatch};
use builder::Builder;
pub use builder::actor_of;
use populace_core::email::{CampaignType, DroppedReason, EmailModel, EventType};
use populace_core::plan::{Population, Shard};
use populace_core::scenario::{Problem, Scenario};
use populace_core::stream::StreamKey;
use populace_core::time::Window;
use std::ops::Range;

const EVENTS: usize = 0;
const USERS: usize = 1;
const TRUTH_USERS: usize = 2;
const USER_RATES: usize = 3;
const MESSAGES: usize = 4;
const TIMING: usize = 5;

/// The number of the first recipient, in its id and in its address.
const FIRST_RECIPIENT: u64 = 1_000;
/// What the id of a recipient begins with.
const RECIPIENT: &str = "synth_user_";

/// The generator of `email`.
pub struct Email {
    model: EmailModel,
    tables: Vec<Table>,
    identities: Identities,
    event_types: ArrayRef,
    esps: ArrayRef,
    campaign_ids: ArrayRef,
    campaign_names: ArrayRef,
    campaign_types: ArrayRef,
    /// The type of each campaign; 0 of those that deliver nothing.
    type_of_campaign: Vec<i32>,
    subjects: ArrayRef,
    click_urls: ArrayRef,
    bounce_types: ArrayRef,
    user_agents: ArrayRef,
    addresses: ArrayRef,
    sources: ArrayRef,
    metadata: ArrayRef,
    timezones: ArrayRef,
    personas: ArrayRef,
    dropped_reasons: ArrayRef,
}

/// The names of the types of campaign, by number.
const CAMPAIGN_TYPES: [&str; 2] = ["transactional", "promotional"];

/// The number of a type of campaign.
const fn number_of(kind: CampaignType) -> i32 {
    match kind {
        CampaignType::Transactional => 0,
        CampaignType::Promotional => 1,
    }
}

impl Email {
    /// The generator of a checked model.
    pub fn new(model: EmailModel) -> Self {
        Self {
            tables: columns::tables(&model),
            identities: Identities::synthetic(),
            event_types: dictionary(EventType::NAMES),
            esps: dictionary(model.esps()),
            campaign_ids: dictionary(model.campaigns().iter().map(|campaign| &campaign.id)),
            campaign_names: dictionary(model.campaigns().iter().map(|campaign| &campaign.name)),
            campaign_types: dictionary(CAMPAIGN_TYPES),
            type_of_campaign: model.campaigns().iter().map(|campaign| campaign.kind.map_or(0, number_of)).collect(),
            subjects: dictionary(model.subjects()),
            click_urls: dictionary(model.click_urls()),
            bounce_types: dictionary::<&str>([]),
            user_agents: dictionary(model.user_agents()),
            addresses: dictionary(columns::addresses()),
            sources: dictionary(model.sources()),
            metadata: dictionary(model.metadata()),
            timezones: dictionary([model.config().timezone.to_string()]),
            personas: dictionary(model.personas()),
            dropped_reasons: dictionary(DroppedReason::NAMES),
            model,
        }
    }
}

impl Generator for Email {
    fn family(&self) -> &'static str {
        EmailModel::NAME
    }

    fn tables(&self) -> &[Table] {
        &self.tables
    }

    fn main_table(&self) -> usize {
        EVENTS
    }

    fn axes(&self) -> Axes {
        Axes {
            rows_name: "persona",
            rows: self.model.personas().map(str::to_owned).collect(),
            columns: EventType::NAMES.map(str::to_owned).into(),
        }
    }

    fn population(&self) -> Population {
        self.model.population()
    }

    fn period(&self) -> Range<i64> {
        let window = &self.model.config().window;
        let days = Window { start: window.start, days: window.days };
        days.begin().0..days.end().0
    }

    fn warnings(&self) -> &[Problem] {
        self.model.warnings()
    }

    fn fixed(&self, table: usize) -> Option<RecordBatch> {
        if table != TIMING {
            return None;
        }
        let rows: Vec<_> = self.model.timing().collect();
        Some(self.tables[table].batch(vec![
            codes(rows.iter().map(|row| i32::from(row.persona)).collect(), &self.personas),
            shorts(rows.iter().map(|row| row.minute_of_week as i16).collect()),
            floats(rows.iter().map(|row| row.factor).collect()),
            shorts(rows.iter().map(|row| row.best_minute as i16).collect()),
        ]))
    }

    fn simulate(&self, seed: u64, shard: &Shard, wanted: TableSet) -> Box<dyn Simulated + '_> {
        let mut builder = Builder::new(self, shard.actors.clone(), wanted);
        let key = StreamKey::root(seed, EmailModel::NAME);
        for actor in shard.ids() {
            self.model.simulate(actor, key, &mut builder);
            builder.flush();
        }
        Box::new(builder)
    }

    fn expected(&self) -> Expected {
        expected::of(&self.model)
    }
}
