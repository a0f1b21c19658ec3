//! The answer key of `email`.

mod alike;
mod chain;
mod decisions;
mod delays;
mod latency;
mod machine;
mod opens;
mod queries;
mod rows;
mod scanner;
mod score_tests;
mod truth;
mod volumes;

use crate::email::history::Agents;
use crate::email::{History, Law, Message};
use crate::error::AnalysisError;
use crate::pass::{self, Inputs, Observer};
use crate::source::{As, Columns, Side, Source, Texts, Uuids, Want};
use crate::stats::{Merge, PoissonBinomial};
use crate::verify::Group;
use crate::verify::board::{Board, Exact};
use crate::verify::files::{Expected, Files, Ordered};
use crate::verify::ids::Roll;
use crate::verify::kit;
use crate::verify::mix;
use crate::watch::Watch;
use alike::Alike;
use arrow_array::{Float64Array, Int64Array, RecordBatch, TimestampMicrosecondArray};
use chain::Chain;
use decisions::Decisions;
use delays::Delays;
use latency::Latencies;
use machine::Machines;
use opens::Opens;
use populace_core::email::{Agent, CampaignConfig, EmailConfig, EmailModel, EventType, Group as EventGroup, Person};
use populace_core::time::{Instant, Window};
use populace_io::catalogue;
use populace_io::document::Resolved;
use populace_io::identity::Identities;
use populace_io::tables::email::actor_of;
use queries::Queries;
use rows::Rows;
use scanner::Scanned;
use score_tests::ScoreTests;
use truth::Truth;
use volumes::Sends;

/// Every column of `events`.
const COLUMNS: [Want; 24] = [
    Want::new("event_id", As::Uuid),
    Want::new("event_type", As::Text),
    Want::new("timestamp", As::Instant),
    Want::new("esp", As::Text),
    Want::new("recipient_id", As::Text),
    Want::new("universal_id", As::Text),
    Want::new("recipient_email_hash", As::Text),
    Want::new("campaign_id", As::Text),
    Want::new("campaign_name", As::Text),
    Want::nullable("message_id", As::Uuid),
    Want::nullable("subject", As::Text),
    Want::nullable("click_url", As::Text),
    Want::nullable("bounce_type", As::Text),
    Want::nullable("user_agent", As::Text),
    Want::nullable("ip_address", As::Text),
    Want::new("source", As::Text),
    Want::new("metadata", As::Text),
    Want::nullable("latency_seconds", As::Float),
    Want::nullable("send_time", As::Instant),
    Want::nullable("hour_of_day", As::Int),
    Want::nullable("minute", As::Int),
    Want::nullable("day_of_week", As::Int),
    Want::nullable("campaign_type", As::Text),
    Want::nullable("payload_size_bytes", As::Int),
];

/// A further column, where there are machines.
const MACHINE_OPEN: Want = Want::nullable("machine_open", As::Bool);
/// The one that says which link was clicked, where messages have several.
const LINK_INDEX: Want = Want::nullable("link_index", As::Int);

/// The [`COLUMNS`] of a recipient's events.
struct Events<'a> {
    batch: &'a RecordBatch,
    ids: Uuids<'a>,
    messages: Uuids<'a>,
    types: Texts<'a>,
    /// The simulated type of each row.
    kinds: Vec<Option<EventType>>,
    times: &'a TimestampMicrosecondArray,
    esp: Texts<'a>,
    recipient_id: Texts<'a>,
    universal_id: Texts<'a>,
    email_hash: Texts<'a>,
    campaign_id: Texts<'a>,
    campaign_name: Texts<'a>,
    campaign_type: Texts<'a>,
    subject: Texts<'a>,
    click_url: Texts<'a>,
    user_agent: Texts<'a>,
    ip_address: Texts<'a>,
    /// What machines say that they are.
    agents: Agents<'a>,
    source: Texts<'a>,
    metadata: Texts<'a>,
    latency: &'a Float64Array,
    send_time: &'a TimestampMicrosecondArray,
    /// Hour of the day, minute and day of the week.
    clock: [&'a Int64Array; 3],
    size: &'a Int64Array,
}

impl<'a> Events<'a> {
    fn new(config: &'a EmailConfig, batch: &'a RecordBatch) -> Self {
        let types = batch.text("event_type");
        Self {
            batch,
            ids: batch.uuid("event_id"),
            messages: batch.uuid("message_id"),
            types,
            kinds: types.map(kind_of),
            times: batch.instant("timestamp"),
            esp: batch.text("esp"),
            recipient_id: batch.text("recipient_id"),
            universal_id: batch.text("universal_id"),
            email_hash: batch.text("recipient_email_hash"),
            campaign_id: batch.text("campaign_id"),
            campaign_name: batch.text("campaign_name"),
            campaign_type: batch.text("campaign_type"),
            subject: batch.text("subject"),
            click_url: batch.text("click_url"),
            user_agent: batch.text("user_agent"),
            ip_address: batch.text("ip_address"),
            agents: Agents::new(config),
            source: batch.text("source"),
            metadata: batch.text("metadata"),
            latency: batch.float("latency_seconds"),
            send_time: batch.instant("send_time"),
            clock: ["hour_of_day", "minute", "day_of_week"].map(|name| batch.int(name)),
            size: batch.int("payload_size_bytes"),
        }
    }

    fn time(&self, row: usize) -> Instant {
        Instant(self.times.value(row))
    }

    /// The user agent and the address that a recipient engages from.
    fn client(&self) -> Option<(&'a str, &'a str)> {
        let is_own = |row: usize| self.user_agent.is_valid(row) && self.ip_address.is_valid(row) && self.agent(row) == Agent::Human;
        let row = (0..self.kinds.len()).find(|&row| is_own(row))?;
        Some((self.user_agent.value(row), self.ip_address.value(row)))
    }

    /// Who a row says is behind it.
    fn agent(&self, row: usize) -> Agent {
        self.agents.of(self.user_agent, row)
    }
}

/// What is known of a recipient.
struct Recipient<'a> {
    law: &'a Law<'a>,
    person: Person,
    persona: usize,
    history: &'a History,
    events: &'a Events<'a>,
    /// By row: the index of its campaign among the document's, and of its provider; `usize::MAX` of others.
    campaigns: Vec<usize>,
    providers: Vec<usize>,
    /// The kind of each of the history's hot paths.
    interests: Vec<EventType>,
    /// The moment and the kind of each circuit breaker.
    breakers: Vec<(Instant, EventType)>,
    /// By message: the kind of hot path that its metadata names as its trigger.
    triggers: Vec<Option<EventType>>,
}

impl<'a> Recipient<'a> {
    fn new(law: &'a Law<'a>, person: Person, history: &'a History, events: &'a Events<'a>) -> Self {
        let config = law.config();
        let campaigns = events.campaign_id.map(|id| kit::position(config.campaigns.keys(), id));
        let providers = events.esp.map(|name| kit::position(config.esps.keys(), name));
        let (mut interests, mut breakers) = (Vec::new(), Vec::new());
        for (row, kind) in events.kinds.iter().enumerate().filter_map(|(row, kind)| Some((row, (*kind)?))) {
            match kind.group() {
                EventGroup::HotPath => interests.push(kind),
                EventGroup::Breaker => breakers.push((events.time(row), kind)),
                EventGroup::Mail | EventGroup::Failure | EventGroup::Leaving | EventGroup::Return => {}
            }
        }
        let triggers = history.messages.iter().map(|message| trigger_of(events.metadata.value(message.sent_row))).collect();
        Self { law, person, persona: person.persona.into(), history, events, campaigns, providers, interests, breakers, triggers }
    }

    fn config(&self) -> &EmailConfig {
        self.law.config()
    }

    fn id(&self) -> &str {
        &self.history.recipient_id
    }

    /// The messages, each with the kind of hot path that triggered it.
    fn sends(&self) -> impl Iterator<Item = (&Message, Option<EventType>)> {
        self.history.messages.iter().zip(self.triggers.iter().copied())
    }

    /// The campaign of a row.
    fn campaign(&self, row: usize) -> Option<&'a CampaignConfig> {
        self.law.config().campaigns.values().nth(self.campaigns[row])
    }
}

fn kind_of(name: &str) -> Option<EventType> {
    EventType::of_name(name).filter(|kind| EventType::SIMULATED.contains(&kind.name()))
}

/// The hot path that a message's metadata names: `{"trigger":"site_visit"}`.
fn trigger_of(metadata: &str) -> Option<EventType> {
    if metadata == "{}" {
        return None;
    }
    let object: serde_json::Value = serde_json::from_str(metadata).ok()?;
    kind_of(object.get("trigger")?.as_str()?)
}

fn window(config: &EmailConfig) -> Window {
    Window { start: config.window.start, days: config.window.days }
}

/// The columns of `users`.
const USERS: [Want; 4] = [
    Want::new("recipient_id", As::Text),
    Want::new("universal_id", As::Text),
    Want::new("recipient_email_hash", As::Text),
    Want::new("timezone", As::Text),
];
const EVENTS_TABLE: usize = 0;
/// Where it is looked at.
const TRUTH_TABLE: usize = 1;

/// What is seen of the data.
struct Checks<'a> {
    law: &'a Law<'a>,
    files: Files<'a>,
    recipients: Roll,
    rows: Rows<'a>,
    chain: Chain<'a>,
    sends: Sends<'a>,
    latencies: Latencies<'a>,
    delays: Delays<'a>,
    opens: Opens<'a>,
    alike: Alike<'a>,
    score_tests: ScoreTests<'a>,
    queries: Queries,
    machines: Option<Machines<'a>>,
    decisions: Option<Decisions<'a>>,
    scanners: Option<Scanned<'a>>,
    users: Users<'a>,
    /// The numbers of the tables of users and of decisions, and the truth of messages where it is looked at.
    users_table: usize,
    decisions_table: usize,
    truth: Option<Truth<'a>>,
}

impl Observer for Checks<'_> {
    fn rows(&mut self, table: usize, rows: &RecordBatch) -> Result<(), AnalysisError> {
        if table == self.users_table {
            self.users.add(rows);
        }
        self.files.add(table, rows)
    }

    fn add(&mut self, actor: &[Option<RecordBatch>]) -> Result<(), AnalysisError> {
        let Some(batch) = &actor[EVENTS_TABLE] else { return Ok(()) };
        let history = History::new(self.law.model(), batch);
        let truth_rows = actor.get(TRUTH_TABLE).and_then(Option::as_ref).filter(|_| self.truth.is_some());
        let decision_rows = actor.get(self.decisions_table).and_then(Option::as_ref);
        let actor = self.recipients.add(actor_of(&history.recipient_id), || format!("{:?}", history.recipient_id));
        let events = &Events::new(self.law.config(), batch);
        self.rows.add(actor, events);
        let Some(person) = actor.and_then(|_| self.law.person_of(&history.recipient_id)) else { return Ok(()) };
        let recipient = Recipient::new(self.law, person, &history, events);
        self.chain.add(&recipient);
        self.sends.add(&recipient);
        self.latencies.add(&recipient);
        if let (Some(decisions), Some(actor)) = (&mut self.decisions, actor) {
            decisions.add(actor, &recipient, decision_rows);
        }
        if let Some(scanners) = &mut self.scanners {
            scanners.add(&recipient);
        }
        let is_ahead = self.machines.as_mut().is_some_and(|machines| machines.add(&recipient));
        if let Some(truth) = &mut self.truth {
            truth.add(&recipient, truth_rows, is_ahead);
        }
        if is_ahead {
            // Whether and when such a recipient opens shows in no row.
            self.alike.add(&recipient, &PoissonBinomial::default());
            self.queries.add(&recipient, false);
            return Ok(());
        }
        self.delays.add(&recipient);
        let opens = self.opens.add(&recipient);
        self.alike.add(&recipient, &opens);
        self.score_tests.add(&recipient);
        self.queries.add(&recipient, true);
        Ok(())
    }

    fn merge(&mut self, later: Self) -> Result<(), AnalysisError> {
        self.files.combine(later.files);
        self.recipients.combine(later.recipients);
        self.rows.combine(later.rows);
        self.chain.combine(later.chain);
        self.sends.combine(later.sends);
        self.latencies.combine(later.latencies);
        self.delays.combine(later.delays);
        self.opens.combine(later.opens);
        self.alike.combine(later.alike);
        self.score_tests.combine(later.score_tests);
        self.queries.combine(later.queries);
        if let (Some(machines), Some(later)) = (&mut self.machines, later.machines) {
            machines.combine(later);
        }
        if let (Some(decisions), Some(later)) = (&mut self.decisions, later.decisions) {
            decisions.combine(later);
        }
        if let (Some(scanners), Some(later)) = (&mut self.scanners, later.scanners) {
            scanners.combine(later);
        }
        self.users.combine(later.users);
        if let (Some(truth), Some(later)) = (&mut self.truth, later.truth) {
            truth.combine(later);
        }
        Ok(())
    }
}

/// Runs every check.
pub(crate) fn verify(source: &Source, document: &Resolved, board: &mut Board, watch: &Watch<'_>) -> Result<(), AnalysisError> {
    let model: EmailModel = catalogue::model(document)?;
    let seed = source.seed(document).ok_or_else(|| {
        AnalysisError::input(
            "the document has no seed, which deals the personas, and the data no manifest\nhint: give the document the seed that the data was generated with",
        )
    })?;
    let law = Law::new(&model, Some(seed));
    let identities = Identities::synthetic();
    let machines = model.machine_opens().map(|_| MACHINE_OPEN);
    let scanners = model.scanners().map(|_| LINK_INDEX);
    let columns: Vec<Want> = COLUMNS.into_iter().chain(machines).chain(scanners).collect();
    let events = Side { table: "events", wants: &columns, time: Some("timestamp") };
    let users = Side { table: "users", wants: &USERS, time: None };
    let has_users = source.has(users.table);
    let (is_on, wants) = (truth::is_on(&law), truth::wants());
    let messages = Side { table: "truth/messages", wants: &wants, time: None };
    let messages = Some(messages).filter(|messages| is_on && source.has(messages.table));
    let has_truth = messages.is_some();
    let decider = model.decider();
    let decided =
        decider.map(|_| Side { table: "decisions", wants: &decisions::COLUMNS, time: None }).filter(|side| source.has(side.table));
    let has_decisions = decided.is_some();
    let joined: Vec<Side<'_>> = std::iter::once(events).chain(messages).chain(decided).collect();
    let decisions_table = joined.len() - 1;
    let users_table = joined.len();
    let inputs = Inputs { loose: has_users.then_some(users).into_iter().collect(), ..Inputs::joined("recipient_id", joined) };
    let order = Ordered { table: EVENTS_TABLE, key: "recipient_id", time: "timestamp", by_time: true, actor_of };
    let expected = Expected::new(source, document, &inputs, order)?;
    let population = law.config().population.users;
    let timezone = law.config().timezone.to_string();
    let others = score_tests::others(law.config());
    let all = pass::run(source, &inputs, watch, "verifying", || Checks {
        law: &law,
        files: expected.files(),
        recipients: Roll::new("the rows of a recipient are contiguous, and its id is one of the population's", population),
        rows: Rows::new(&law, &identities),
        chain: Chain::new(&law),
        sends: Sends::new(&law),
        latencies: Latencies::new(&law),
        delays: Delays::new(&law),
        opens: Opens::new(&law),
        alike: Alike::new(&law),
        score_tests: ScoreTests::new(&law, &others),
        queries: Queries::default(),
        machines: law.model().machine_opens().map(|machine| Machines::new(&law, machine)),
        decisions: decider.filter(|_| has_decisions).map(Decisions::new),
        decisions_table,
        scanners: law.model().scanners().map(|scanners| Scanned::new(&law, scanners)),
        users: Users { identities: &identities, population, timezone: &timezone, rule: Exact::new(Users::NAME), rows: 0, mixed: 0 },
        users_table,
        truth: has_truth.then(|| Truth::new(&law)),
    })?;
    let Checks {
        mut files,
        recipients,
        rows,
        chain,
        sends,
        latencies,
        delays,
        opens,
        alike,
        score_tests,
        mut queries,
        machines,
        decisions,
        scanners,
        users,
        truth,
        ..
    } = all;
    let found = recipients.actors;
    board.exact(recipients.finish());
    files.report_order(board);
    rows.report(&files, board)?;
    chain.report(board);
    sends.report(found, board);
    latencies.report(board, &mut queries);
    delays.report(board);
    opens.report(board);
    alike.report(found, board)?;
    score_tests.report(board);
    if let Some(machines) = machines {
        machines.report(board);
    }
    if let Some(scanners) = scanners {
        scanners.report(board);
    }
    match truth {
        Some(truth) => truth.report(board),
        None if is_on => board.skip(Group::Exact, Truth::ROWS, "there is no table truth/messages"),
        None => {}
    }
    if has_users {
        users.report(&files, board);
    } else {
        board.skip(Group::Exact, Users::NAME, "there is no table users");
    }
    queries.report(&law, board);
    files.report_values(board);
    match decisions {
        Some(decisions) => decisions.report(board),
        None if decider.is_some() => board.skip(Group::Exact, Decisions::NAME, "there is no table decisions"),
        None => {}
    }
    Ok(())
}

/// The table `users`: each recipient of the population once, with its identity.
struct Users<'a> {
    identities: &'a Identities,
    population: u64,
    timezone: &'a str,
    rule: Exact,
    rows: u64,
    /// The numbers of the recipients, mixed and added without carry: each once if they are as many as the population.
    mixed: u64,
}

impl Users<'_> {
    const NAME: &'static str = "the table users holds each recipient once, with its identity and the document's clock";

    fn add(&mut self, rows: &RecordBatch) {
        let [ids, universal, hashes, timezones] = USERS.map(|want| rows.text(want.name));
        for row in 0..rows.num_rows() {
            let id = ids.value(row);
            let actor = actor_of(id).filter(|actor| *actor < self.population);
            let identity = actor.and_then(|actor| rows::identity(self.identities, actor));
            let holds = identity.is_some_and(|of| of.universal_id == universal.value(row) && of.email_hash == hashes.value(row))
                && timezones.value(row) == self.timezone;
            self.rule.hold(holds, || format!("{id:?}"));
            self.rows += 1;
            self.mixed ^= mix(actor.unwrap_or(u64::MAX));
        }
    }

    fn report(mut self, files: &Files<'_>, board: &mut Board) {
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
