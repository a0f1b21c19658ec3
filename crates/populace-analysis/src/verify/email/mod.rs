//! The answer key of `email`.

mod chain;
mod delays;
mod latency;
mod lean;
mod opens;
mod queries;
mod rows;
mod volumes;

use super::board::{Board, Exact};
use super::{mix, order_law, rows_law};
use crate::AnalysisError;
use crate::email::{History, Law, Message};
use crate::source::{As, Columns, Source, Want};
use arrow_array::RecordBatch;
use chain::Chain;
use delays::Delays;
use latency::Latencies;
use lean::Leanings;
use opens::Opens;
use populace_core::email::{EmailConfig, EmailModel, EventType};
use populace_core::time::{Instant, Window};
use populace_io::identity::Identities;
use queries::Queries;
use rows::Rows;
use std::collections::HashSet;
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

/// What is known of a recipient.
struct Recipient<'a> {
    law: &'a Law<'a>,
    persona: usize,
    history: &'a History,
    events: &'a RecordBatch,
    /// The kind of each of the history's hot paths.
    path_kinds: Vec<EventType>,
    /// The moment and the kind of each circuit breaker.
    breakers: Vec<(Instant, EventType)>,
    /// By message: the kind of hot path that its metadata names as its trigger.
    triggers: Vec<Option<EventType>>,
}

impl<'a> Recipient<'a> {
    fn new(law: &'a Law<'a>, persona: usize, history: &'a History, events: &'a RecordBatch) -> Self {
        let (types, times, metadata) = (events.text("event_type"), events.instant("timestamp"), events.text("metadata"));
        let kinds = (0..events.num_rows()).filter_map(|row| Some((Instant(times.value(row)), kind_of(types.value(row))?)));
        let (mut path_kinds, mut breakers) = (Vec::new(), Vec::new());
        for (time, kind) in kinds {
            if kind.is_hot_path() {
                path_kinds.push(kind);
            } else if kind.is_breaker() {
                breakers.push((time, kind));
            }
        }
        let triggers = history.messages.iter().map(|message| trigger_of(metadata.value(message.sent_row))).collect();
        Self { law, persona, history, events, path_kinds, breakers, triggers }
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

    fn text(&self, column: &str, row: usize) -> &str {
        self.events.text(column).value(row)
    }
}

fn kind_of(name: &str) -> Option<EventType> {
    EventType::ALL.into_iter().find(|kind| kind.name() == name)
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

/// Runs every check.
pub(super) fn verify(source: &Source, model: &EmailModel, board: &mut Board) -> Result<(), AnalysisError> {
    let law = Law::new(model);
    let identities = Identities::synthetic();
    let (mut rows, mut chain) = (Rows::new(&law, &identities), Chain::new(&law));
    let (mut sends, mut latencies, mut delays) = (Sends::new(&law), Latencies::new(&law), Delays::new(&law));
    let others = lean::others(law.config());
    let mut leanings = Leanings::new(&law, &others);
    let (mut opens, mut queries) = (Opens::new(&law), Queries::default());
    let mut seen: HashSet<u64> = HashSet::new();
    let mut once = Exact::new("the rows of a recipient stand together, and its id is one of the population's");
    let mut recipients = 0_u64;
    let users = law.config().population.users;
    for events in source.table("events")?.by_key(&COLUMNS, "recipient_id", Some("timestamp"))? {
        let events = events?;
        let history = History::new(law.config(), &events);
        let actor = populace_io::tables::email::actor_of(&history.recipient_id).filter(|actor| *actor < users);
        // A set of the numbers of recipients: a few bytes for each, and no more than 64 MB are spent on it.
        let new = actor.is_none_or(|actor| seen.len() >= 1 << 22 || seen.insert(actor));
        once.hold(new && actor.is_some(), || format!("{:?}", history.recipient_id));
        rows.see(actor, &events)?;
        let Some(persona) = actor.and_then(|_| law.persona_of(&history.recipient_id)) else { continue };
        recipients += 1;
        let recipient = Recipient::new(&law, persona, &history, &events);
        chain.see(&recipient);
        sends.see(&recipient);
        latencies.see(&recipient);
        delays.see(&recipient);
        opens.see(&recipient);
        leanings.see(&recipient);
        queries.see(&recipient);
    }
    board.exact(once);
    order_law(source, board, "events", "recipient_id", populace_io::tables::email::actor_of)?;
    rows.report(source, board)?;
    chain.report(board);
    sends.report(recipients, board);
    latencies.report(board, &mut queries);
    delays.report(board);
    opens.report(board);
    leanings.report(board);
    users_table(source, &law, &identities, board)?;
    queries.report(&law, board);
    Ok(())
}

/// The table `users`: each recipient of the population once, with its identity.
fn users_table(source: &Source, law: &Law<'_>, identities: &Identities, board: &mut Board) -> Result<(), AnalysisError> {
    const NAME: &str = "the table users holds each recipient once, with its identity and the document's clock";
    if !source.has("users") {
        board.skip(super::Group::Exact, NAME, "there is no table users");
        return Ok(());
    }
    let wants = ["recipient_id", "universal_id", "recipient_email_hash", "timezone"].map(|name| Want::new(name, As::Text));
    let mut users = Exact::new(NAME);
    let timezone = law.config().timezone.to_string();
    // Each number once: their count and their sum, and the sum of their squares, mixed.
    let (mut rows, mut mixed) = (0_u64, 0_u64);
    for batch in source.table("users")?.read(&wants)? {
        let batch = batch?;
        for row in 0..batch.num_rows() {
            let id = batch.text("recipient_id").value(row);
            let actor = populace_io::tables::email::actor_of(id).filter(|actor| *actor < law.config().population.users);
            let identity = actor.and_then(|actor| rows::identity(identities, actor));
            let told = |name: &str| batch.text(name).value(row);
            let holds = identity.as_ref().is_some_and(|identity| {
                identity.universal_id == told("universal_id") && identity.email_hash == told("recipient_email_hash")
            }) && told("timezone") == timezone;
            users.hold(holds, || format!("{id:?}"));
            rows += 1;
            mixed ^= mix(actor.unwrap_or(u64::MAX));
        }
    }
    let population = law.config().population.users;
    users.hold(rows == population, || format!("{rows} recipients, and the document has {population}"));
    let all = (0..population).fold(0, |mixed, actor| mixed ^ mix(actor));
    users.hold(rows != population || mixed == all, || "a recipient comes twice, another never".to_owned());
    rows_law(&mut users, source, "users", rows);
    board.exact(users);
    Ok(())
}
