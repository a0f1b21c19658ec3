//! The tables of `email`.

mod builder;
mod columns;
mod decisions;
mod expected;
mod experiments;
mod replies;
mod schedule;
mod slots;
#[cfg(test)]
mod tests;

use crate::family::{Component, Shortcut, Takes};
use crate::generator::{Axes, ExpectedGroup, TableSet};
use crate::identity::Identities;
use crate::table::{Table, codes, dates, dictionary, floats, shorts};
use crate::tables::Tables;
use crate::wording::own;
use arrow_array::{ArrayRef, RecordBatch};
use builder::EmailBuilder;
pub use builder::actor_of;
pub use columns::{ATTEMPT_COLUMNS, EVENT_COLUMNS, LINK_INDEX, MACHINE_OPEN};
use columns::{ATTEMPTS, CALENDAR, FULL_MAILBOXES, UTC_OFFSET};
use decisions::DECISIONS;
use experiments::{EXPERIMENTS, ExperimentTables};
use populace_core::email::{self, Agent, CampaignType, DroppedReason, EmailModel, EventNames, LeftBy, MailboxProvider, Reply, Season};
use populace_core::scenario::ConfigError;
use replies::Replies;
pub use schedule::{Bucketed, MOST_OF_A_DAY, Plans, Unfit};
pub use slots::with_slots;
use std::ops::Range;

/// The table in a database that keeps the events.
pub const EVENTS_TABLE: &str = "email_events";
/// Its definition; it says `CREATE TABLE IF NOT EXISTS`.
pub const EVENTS_SQL: &str = include_str!("email_events.sql");

const EVENTS: usize = 0;
const USERS: usize = 1;
const TRUTH_USERS: usize = 2;
const USER_RATES: usize = 3;
const MESSAGES: usize = 4;
const TIMING: usize = 5;
/// The table of who opened or clicked.
const AGENTS: &str = "truth/events";

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
    responses: ArrayRef,
    left_by: ArrayRef,
    /// The number of the table of [`AGENTS`], where there is one.
    agents_table: Option<usize>,
    agents: ArrayRef,
    /// The numbers of the tables of [`DECISIONS`], where there are some.
    decision_tables: [Option<usize>; 2],
    /// What is written of attempts at delivery, and the numbers of their tables, where there are some.
    attempts: Option<AttemptTables>,
    /// What is written of experiments, and the numbers of their tables, where there are some.
    experiments: Option<ExperimentTables>,
}

/// What is written of attempts at delivery.
struct AttemptTables {
    replies: Replies,
    providers: ArrayRef,
    outcomes: ArrayRef,
    attempts: usize,
    full: usize,
}

impl AttemptTables {
    fn new(tables: &[Table]) -> Self {
        let place = |name: &str| tables.iter().position(|table| table.name == name).expect("attempts have their tables");
        Self {
            replies: Replies::new(),
            providers: dictionary(MailboxProvider::NAMES),
            outcomes: dictionary(OUTCOMES),
            attempts: place(ATTEMPTS),
            full: place(FULL_MAILBOXES),
        }
    }
}

/// How an attempt ends.
const OUTCOMES: [&str; 3] = ["delivered", "deferred", "bounced"];

/// The names of the types of campaign, by number.
const CAMPAIGN_TYPES: [&str; 2] = ["transactional", "promotional"];

/// The number of a type of campaign.
const fn number_of(kind: CampaignType) -> i32 {
    match kind {
        CampaignType::Transactional => 0,
        CampaignType::Promotional => 1,
    }
}

impl Tables for Email {
    type Model = EmailModel;
    type Builder<'a> = EmailBuilder<'a>;
    const DOCUMENTS: &'static [(&'static str, &'static str)] = email::DOCUMENTS;
    const SHORTCUTS: &'static [Shortcut] = &[Shortcut::new(
        "names",
        "names",
        Takes::Word(&EventNames::ALL),
        "PROVIDER",
        "name types of event as a provider does: sendgrid, ses or mailgun",
    )];
    const FOR_CONNECTORS: bool = true;
    const COMPONENT: Option<Component> = Some(Component {
        name: "policy",
        builtins: &[
            ("explore", include_str!("policies/explore.yaml")),
            ("one-hour", include_str!("policies/one-hour.yaml")),
            ("oracle", include_str!("policies/oracle.yaml")),
            ("scheduled", include_str!("policies/scheduled.yaml")),
            ("uniform", include_str!("policies/uniform.yaml")),
        ],
        keys: &["base", "explore", "holdout", "caps", "slot_minutes", "skip", "policy", "experiments"],
        beside: &["experiments"],
        help: "in which slot each scheduled message goes out, logged with its probability: a policy file or a built-in one (explore, one-hour, oracle, scheduled, uniform)",
    });

    fn complete(model: EmailModel) -> Result<EmailModel, ConfigError> {
        with_slots(model)
    }

    fn missing(&self) -> Option<String> {
        let lacks = self.model.decider().is_some_and(populace_core::email::Decider::lacks_schedule);
        lacks.then(|| {
            let base = self.model.config().policy.as_ref().map(|policy| &policy.base);
            let digest = base.and_then(|base| base.sha256.as_deref()).unwrap_or_default();
            format!(
                "mail goes out by a schedule, which is not part of the document\nhint: {}; its SHA-256 is {digest}",
                own("give the file with --schedule to generate")
            )
        })
    }

    fn new(model: EmailModel) -> Self {
        let tables = columns::tables(&model);
        Self {
            decision_tables: DECISIONS.map(|path| tables.iter().position(|table| table.path() == path)),
            agents_table: tables.iter().position(|table| table.path() == AGENTS),
            agents: dictionary(Agent::NAMES),
            attempts: model.attempts().map(|_| AttemptTables::new(&tables)),
            experiments: model.effects().experiments().map(|own| ExperimentTables::new(own, &tables)),
            tables,
            identities: Identities::synthetic(),
            event_types: dictionary(model.event_words()),
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
            timezones: match model.zones() {
                None => dictionary([model.config().timezone.to_string()]),
                Some(zones) => dictionary(zones.list().iter().map(|zone| zone.name)),
            },
            personas: dictionary(model.personas().iter().map(|persona| &persona.name)),
            dropped_reasons: dictionary(DroppedReason::NAMES),
            responses: dictionary([Reply::UnsubscribedAddress.response()]),
            left_by: dictionary(LeftBy::NAMES),
            model,
        }
    }

    fn model(&self) -> &EmailModel {
        &self.model
    }

    fn list(&self) -> &[Table] {
        &self.tables
    }

    fn labels(&self) -> Axes {
        Axes {
            rows_name: "persona",
            rows: self.model.personas().iter().map(|persona| persona.name.clone()).collect(),
            columns: self.model.event_types().iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    fn rows_of_model(&self, table: usize) -> Option<RecordBatch> {
        if self.tables[table].name == CALENDAR {
            return self.model.effects().season().map(|season| calendar(&self.tables[table], season));
        }
        if self.tables[table].name == EXPERIMENTS {
            return Some(experiments::worth(&self.tables[table], &self.model));
        }
        (table == TIMING).then(|| {
            let rows: Vec<_> = self.model.timing().collect();
            let mut columns = vec![
                ("persona", codes(rows.iter().map(|row| i32::from(row.persona)).collect(), &self.personas)),
                ("minute_of_week", shorts(rows.iter().map(|row| row.minute_of_week as i16).collect())),
                ("factor", floats(rows.iter().map(|row| row.factor).collect())),
                ("best_minute", shorts(rows.iter().map(|row| row.best_minute as i16).collect())),
            ];
            if rows.iter().any(|row| row.ahead.is_some()) {
                columns.push((UTC_OFFSET.name, shorts(rows.iter().map(|row| row.ahead.unwrap_or(0)).collect())));
            }
            self.tables[table].rows(&columns)
        })
    }

    fn builder(&self, actors: Range<u64>, wanted: TableSet) -> EmailBuilder<'_> {
        EmailBuilder::new(self, actors, wanted)
    }

    fn volumes(&self) -> (Vec<(String, String)>, Vec<ExpectedGroup>) {
        (Vec::new(), expected::of(&self.model))
    }
}

/// The table of seasons.
fn calendar(table: &Table, season: &Season) -> RecordBatch {
    let rows: Vec<_> = season.days().collect();
    let mut names: Vec<&str> = rows.iter().map(|(_, day)| day.names.as_str()).filter(|names| !names.is_empty()).collect();
    names.sort_unstable();
    names.dedup();
    let code = |of: &str| names.binary_search(&of).map_or(-1, |place| place as i32);
    table.rows(&[
        ("date", dates(rows.iter().map(|(date, _)| date.0).collect())),
        ("names", codes(rows.iter().map(|(_, day)| code(&day.names)).collect(), &dictionary(&names))),
        ("volume", floats(rows.iter().map(|(_, day)| day.volume).collect())),
        ("open", floats(rows.iter().map(|(_, day)| day.open).collect())),
        ("click", floats(rows.iter().map(|(_, day)| day.click).collect())),
    ])
}
