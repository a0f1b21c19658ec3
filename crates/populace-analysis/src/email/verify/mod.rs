//! The answer key of `email`.

mod alike;
mod attempts;
mod blasts;
mod chain;
mod decisions;
mod delays;
mod events;
mod experiments;
mod latency;
mod leaving;
mod machine;
mod opens;
mod people;
mod queries;
mod rows;
mod scanner;
mod score_tests;
mod truth;
mod users;
mod volumes;
mod zones;

use crate::email::history::{blast_of, trigger_of};
use crate::email::{History, Inference, Law, Message};
use crate::error::AnalysisError;
use crate::pass::{self, Inputs, Observer};
use crate::source::{Side, Source, Want};
use crate::stats::{Merge, PoissonBinomial};
use crate::verify::Group;
use crate::verify::board::Board;
use crate::verify::files::{Expected, Files, Ordered};
use crate::verify::ids::Roll;
use crate::verify::kit;
use crate::watch::Watch;
use alike::Alike;
use arrow_array::RecordBatch;
use attempts::Deliveries;
use blasts::Blasts;
use chain::Chain;
use decisions::Decisions;
use delays::Delays;
use events::{Events, columns};
use experiments::Variants;
use latency::Latencies;
use leaving::Leavers;
use machine::Machines;
use opens::Opens;
use people::People;
use populace_core::email::{CampaignConfig, EmailConfig, EventType, Group as EventGroup, Person};
use populace_core::time::{Instant, Window};
use populace_io::catalogue;
use populace_io::document::Resolved;
use populace_io::identity::Identities;
use populace_io::tables::email::{actor_of, with_slots};
use queries::Queries;
use rows::Rows;
use scanner::Scanned;
use score_tests::ScoreTests;
use truth::Truth;
use users::{MAILBOX_PROVIDER, USERS, Users};
use volumes::Sends;
use zones::Zones;

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
    /// The messages that were due, whether they were sent or dropped, in the order of time.
    due: Vec<Due>,
}

/// A message that was due.
struct Due {
    at: Instant,
    /// The row of its `sent`, or `dropped`.
    row: usize,
    /// The kind of hot path that called for it.
    trigger: Option<EventType>,
    /// Of which blast it is.
    blast: Option<u8>,
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
        let trigger = |row: usize| trigger_of(events.metadata.value(row));
        let triggers: Vec<_> = history.messages.iter().map(|message| trigger(message.sent_row)).collect();
        let own = |at: Instant, row: usize, trigger| Due { at, row, trigger, blast: blast_of(law.model(), events.metadata.value(row)) };
        let sent = history.messages.iter().zip(&triggers).map(|(of, trigger)| own(of.sent, of.sent_row, *trigger));
        let mut due: Vec<Due> = sent.chain(history.dropped.iter().map(|&(at, row)| own(at, row, trigger(row)))).collect();
        if !history.dropped.is_empty() {
            due.sort_by_key(|due| due.at);
        }
        Self { law, person, persona: person.persona.into(), history, events, campaigns, providers, interests, breakers, triggers, due }
    }

    fn config(&self) -> &EmailConfig {
        self.law.config()
    }

    fn id(&self) -> &str {
        &self.history.recipient_id
    }

    /// A moment on the recipient's clock.
    fn local(&self, moment: Instant) -> Instant {
        self.law.model().clock(self.person.zone.zone).local(moment)
    }

    /// A moment on the clock by which the recipient's days are counted.
    fn on_days(&self, moment: Instant) -> Instant {
        self.law.model().on_days(self.person.zone.zone, moment)
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

fn window(config: &EmailConfig) -> Window {
    Window { start: config.window.start, days: config.window.days }
}

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
    variants: Option<Variants<'a>>,
    /// The number of the truth of outcomes, where it is looked at.
    outcomes_table: Option<usize>,
    zones: Option<Zones<'a>>,
    people: Option<People<'a>>,
    deliveries: Option<Deliveries<'a>>,
    /// The number of the truth of attempts, where it is looked at.
    attempts_table: Option<usize>,
    leavers: Option<Leavers<'a>>,
    scanners: Option<Scanned<'a>>,
    blasts: Option<Blasts<'a>>,
    users: Users<'a>,
    /// The numbers of the tables of users, of decisions and of who users are, and the truth of messages where it is looked at.
    users_table: usize,
    decisions_table: usize,
    people_table: usize,
    truth: Option<Truth<'a>>,
}

impl Observer for Checks<'_> {
    fn rows(&mut self, table: usize, rows: &RecordBatch) -> Result<(), AnalysisError> {
        if table == self.users_table {
            self.users.add(rows);
        }
        if let Some(people) = self.people.as_mut().filter(|_| table == self.people_table) {
            people.rows(rows);
        }
        self.files.add(table, rows)
    }

    fn add(&mut self, actor: &[Option<RecordBatch>]) -> Result<(), AnalysisError> {
        let Some(batch) = &actor[EVENTS_TABLE] else { return Ok(()) };
        let history = History::new(self.law.model(), batch);
        let truth_rows = self.truth.as_ref().and_then(|_| actor[TRUTH_TABLE].as_ref());
        let decision_rows = self.decisions.as_ref().and_then(|_| actor[self.decisions_table].as_ref());
        let attempts = self.attempts_table.and_then(|table| actor[table].as_ref());
        let outcomes = self.outcomes_table.and_then(|table| actor[table].as_ref());
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
        if let Some(people) = &mut self.people {
            people.person(&person);
        }
        if let Some(deliveries) = &mut self.deliveries {
            deliveries.add(&recipient, attempts);
        }
        if let Some(scanners) = &mut self.scanners {
            scanners.add(&recipient);
        }
        if let Some(blasts) = &mut self.blasts {
            blasts.add(&recipient, truth_rows);
        }
        let is_ahead = self.machines.as_mut().is_some_and(|machines| machines.add(&recipient));
        if let Some(leavers) = &mut self.leavers {
            leavers.add(&recipient, !is_ahead);
        }
        if let Some(truth) = &mut self.truth {
            truth.add(&recipient, truth_rows, is_ahead);
        }
        if let Some(variants) = &mut self.variants {
            variants.add(&recipient, outcomes, is_ahead);
        }
        if let Some(zones) = &mut self.zones {
            zones.add(&recipient, !is_ahead);
        }
        if is_ahead {
            // Whether and when such a recipient opens shows in no row.
            self.alike.add(&recipient, &PoissonBinomial::default());
            self.queries.add(&recipient, false);
            return Ok(());
        }
        if let Some(people) = &mut self.people {
            people.add(&recipient);
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
        if let (Some(variants), Some(later)) = (&mut self.variants, later.variants) {
            variants.combine(later);
        }
        if let (Some(zones), Some(later)) = (&mut self.zones, later.zones) {
            zones.combine(later);
        }
        if let (Some(people), Some(later)) = (&mut self.people, later.people) {
            people.combine(later);
        }
        if let (Some(deliveries), Some(later)) = (&mut self.deliveries, later.deliveries) {
            deliveries.combine(later);
        }
        if let (Some(leavers), Some(later)) = (&mut self.leavers, later.leavers) {
            leavers.combine(later);
        }
        if let (Some(scanners), Some(later)) = (&mut self.scanners, later.scanners) {
            scanners.combine(later);
        }
        if let (Some(blasts), Some(later)) = (&mut self.blasts, later.blasts) {
            blasts.combine(later);
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
    let model = with_slots(catalogue::model(document)?).map_err(|error| document.diagnose(&error))?;
    let seed = source.seed(document).ok_or_else(|| {
        AnalysisError::input(
            "the document has no seed, which deals the personas, and the data no manifest\nhint: give the document the seed that the data was generated with",
        )
    })?;
    let law = Law::new(&model, Some(seed));
    let identities = Identities::synthetic();
    let columns = columns(&model);
    let events = Side { table: "events", wants: &columns, time: Some("timestamp") };
    let wants_of_users: Vec<Want> = USERS.into_iter().chain(model.attempts().map(|_| MAILBOX_PROVIDER)).collect();
    let users = Side { table: "users", wants: &wants_of_users, time: None };
    let has_users = source.has(users.table);
    let (is_on, wants) = (truth::is_on(&law), truth::wants());
    let messages = Side { table: "truth/messages", wants: &wants, time: None };
    let messages = Some(messages).filter(|messages| is_on && source.has(messages.table));
    let has_truth = messages.is_some();
    let decider = model.decider();
    let wants_of_decisions = decisions::columns(&model);
    let decided =
        decider.map(|_| Side { table: "decisions", wants: &wants_of_decisions, time: None }).filter(|side| source.has(side.table));
    let has_decisions = decided.is_some();
    let attempts = Side { table: "truth/attempts", wants: &attempts::TRUTH, time: None };
    let attempts = Some(attempts).filter(|attempts| model.attempts().is_some() && source.has(attempts.table));
    let attempts_table = attempts.map(|_| 1 + usize::from(has_truth));
    let experiments = model.effects().experiments();
    let outcomes = experiments.map(|_| Side { table: experiments::TABLE, wants: &experiments::OUTCOMES, time: None });
    let outcomes = outcomes.filter(|outcomes| source.has(outcomes.table));
    let outcomes_table = outcomes.map(|_| 1 + usize::from(has_truth) + usize::from(attempts.is_some()));
    let joined: Vec<Side<'_>> = std::iter::once(events).chain(messages).chain(attempts).chain(outcomes).chain(decided).collect();
    let decisions_table = joined.len() - 1;
    let users_table = joined.len();
    let people = Side { table: "truth/users", wants: &people::USERS, time: None };
    let has_people = law.model().people_differ() && source.has(people.table);
    let loose: Vec<Side<'_>> = has_users.then_some(users).into_iter().chain(has_people.then_some(people)).collect();
    let people_table = if has_people { users_table + loose.len() - 1 } else { usize::MAX };
    let users_table = if has_users { users_table } else { usize::MAX };
    let inputs = Inputs { loose, ..Inputs::joined("recipient_id", joined) };
    let order = Ordered { table: EVENTS_TABLE, key: "recipient_id", time: "timestamp", by_time: true, actor_of };
    let expected = Expected::new(source, document, &inputs, order)?;
    let (population, timezone) = (law.config().population.users, law.config().timezone.to_string());
    let others = score_tests::others(law.config());
    let inference = law.model().people_differ().then(|| Inference::new(&law));
    let all = pass::run(source, &inputs, watch, "verifying", || Checks {
        law: &law,
        files: expected.files(),
        recipients: Roll::new("the rows of a recipient are contiguous, and its id is one of the population's", population),
        rows: Rows::new(&law, &identities, &columns),
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
        variants: experiments.map(|own| Variants::new(&law, own)),
        outcomes_table,
        zones: law.model().zones().map(|zones| Zones::new(&law, zones)),
        leavers: law.model().leaving().map(|leaving| Leavers::new(&law, leaving)),
        deliveries: law.model().attempts().map(|attempts| Deliveries::new(&law, attempts, attempts_table.is_some())),
        attempts_table,
        scanners: law.model().scanners().map(|scanners| Scanned::new(&law, scanners)),
        blasts: Blasts::new(&law),
        users: Users::new(&law, &identities, &timezone),
        people: inference.as_ref().map(|inference| People::new(&law, inference)),
        users_table,
        people_table,
        truth: has_truth.then(|| Truth::new(&law)),
    })?;
    all.report([is_on, has_users, has_people], board)
}

impl Checks<'_> {
    /// Reports all that was seen: with whether the truth of messages is looked at, and whether there are users and the truth of them.
    fn report(self, [is_on, has_users, has_people]: [bool; 3], board: &mut Board) -> Result<(), AnalysisError> {
        let Checks {
            law,
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
            blasts,
            variants,
            outcomes_table,
            zones,
            people,
            deliveries,
            leavers,
            users,
            truth,
            ..
        } = self;
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
        report_mechanisms(machines, scanners, deliveries, (truth, is_on), board);
        if let Some(blasts) = blasts {
            blasts.report(board);
        }
        if let Some(variants) = variants {
            variants.report(outcomes_table.is_some(), board);
        }
        if let Some(zones) = zones {
            zones.report(board);
        }
        if let Some(people) = people {
            people.report(has_people, board);
        }
        if let Some(leavers) = leavers {
            leavers.report(board);
        }
        if has_users {
            users.report(&files, board);
        } else {
            board.skip(Group::Exact, Users::NAME, "there is no table users");
        }
        queries.report(law, board);
        files.report_values(board);
        match decisions {
            Some(decisions) => decisions.report(board),
            None if law.model().decider().is_some() => board.skip(Group::Exact, Decisions::NAME, "there is no table decisions"),
            None => {}
        }
        Ok(())
    }
}

/// What was seen of mechanisms that are on; the truth of messages with whether it is looked at.
fn report_mechanisms(
    machines: Option<Machines<'_>>,
    scanners: Option<Scanned<'_>>,
    deliveries: Option<Deliveries<'_>>,
    (truth, is_on): (Option<Truth<'_>>, bool),
    board: &mut Board,
) {
    if let Some(machines) = machines {
        machines.report(board);
    }
    if let Some(deliveries) = deliveries {
        deliveries.report(board);
    }
    if let Some(scanners) = scanners {
        scanners.report(board);
    }
    match truth {
        Some(truth) => truth.report(board),
        None if is_on => board.skip(Group::Exact, Truth::ROWS, "there is no table truth/messages"),
        None => {}
    }
}
