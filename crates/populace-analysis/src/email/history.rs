//! A recipient's messages, put together from the events.

use crate::source::Texts;
use crate::source::{As, Columns, Want};
use arrow_array::RecordBatch;
use populace_core::email::{
    Agent, Circumstances, DecidedAt, EmailConfig, EmailModel, EventType, Experiments, Exposed, Group, LeftBy, Person,
};
use populace_core::scenario::Scenario;
use populace_core::time::{DAY, Instant, MINUTE};
use std::collections::HashMap;

/// The columns of `events` that a history is made from. Further columns may be wanted beside them.
pub const EVENT_COLUMNS: [Want; 4] = [
    Want::new("recipient_id", As::Text),
    Want::new("timestamp", As::Instant),
    Want::new("event_type", As::Text),
    Want::nullable("message_id", As::Key),
];

/// The column that says whether a machine opened or clicked, where there are machines.
pub(crate) fn agent_column(model: &EmailModel) -> Option<Want> {
    model.has_agents().then(|| Want::nullable("user_agent", As::Text))
}

/// The user agents of a document's machines: who is behind an `opened` or `clicked` row.
#[derive(Clone, Copy)]
pub(crate) struct Agents<'a> {
    machine: Option<&'a str>,
    scanners: &'a [String],
}

impl<'a> Agents<'a> {
    /// Those of a document.
    pub(crate) fn new(config: &'a EmailConfig) -> Self {
        Self {
            machine: config.machine_opens.as_ref().map(|own| own.user_agent.as_str()),
            scanners: config.scanners.as_ref().map_or(&[], |own| own.user_agents.as_slice()),
        }
    }

    /// Who is behind a row of such user agents; a client that opens ahead may show its user's own open.
    pub(crate) fn of(&self, user_agents: Texts<'_>, row: usize) -> Agent {
        let is = |agent: &str| user_agents.is_valid(row) && user_agents.value(row) == agent;
        if self.machine.is_some_and(is) {
            Agent::AppleMpp
        } else if self.scanners.iter().any(|agent| is(agent)) {
            Agent::Scanner
        } else {
            Agent::Human
        }
    }
}

/// The column that says which messages are a blast's and which variants they have, where there are blasts or experiments.
fn metadata_column(model: &EmailModel) -> Option<Want> {
    (!model.blasts().is_empty() || model.effects().experiments().is_some()).then(|| Want::optional("metadata", As::Text))
}

/// Of which of the document's blasts a message is, by its metadata.
pub(super) fn blast_of(model: &EmailModel, metadata: &str) -> Option<u8> {
    // Variants of experiments may stand behind it.
    let says =
        |own: &str| own.strip_suffix('}').and_then(|own| metadata.strip_prefix(own)).is_some_and(|rest| rest.starts_with(['}', ',']));
    let number = model.blasts().iter().position(|blast| says(&model.metadata()[usize::from(blast.metadata)]))?;
    u8::try_from(number).ok()
}

/// The kind of event of a name, if documents can bring it forth.
pub(super) fn kind_of(name: &str) -> Option<EventType> {
    EventType::of_name(name).filter(|kind| EventType::SIMULATED.contains(&kind.name()))
}

/// The hot path that a message's metadata names: `{"trigger":"site_visit"}`.
pub(super) fn trigger_of(metadata: &str) -> Option<EventType> {
    if metadata == "{}" {
        return None;
    }
    let object: serde_json::Value = serde_json::from_str(metadata).ok()?;
    kind_of(object.get("trigger")?.as_str()?)
}

/// The columns that a history of a model is made from.
pub fn columns_for(model: &EmailModel) -> Vec<Want> {
    EVENT_COLUMNS.into_iter().chain(agent_column(model)).chain(metadata_column(model)).collect()
}

/// What one recipient lived through.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// The recipient.
    pub recipient_id: String,
    /// The messages, in the order of sending.
    pub messages: Vec<Message>,
    /// When and in which row a message that was due was dropped, in the order of time.
    pub dropped: Vec<(Instant, usize)>,
    /// The circuit breakers, in the order of time.
    pub breakers: Vec<Breaker>,
    /// The moments of the hot paths, in order.
    pub interests: Vec<Instant>,
    /// Rows that fit nowhere: of an unknown type, or without a message; in a run also of a message that was never sent, or of a type that is
    /// not simulated.
    pub orphans: u64,
    /// Rows that tell again what a row before has told: a second row of a step of a message.
    pub repeats: u64,
}

/// A circuit breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breaker {
    /// When it was triggered.
    pub time: Instant,
    /// When engagement resumes if no later breaker stops it again: the latest end so far.
    pub end: Instant,
}

/// A message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Message {
    /// `message_id`.
    pub id: u128,
    /// When it was sent, or its first event where there is no `sent`.
    pub sent: Instant,
    /// The row of its `sent` in the batch that the history was made from.
    pub sent_row: usize,
    /// When it was delivered, if it was.
    pub delivered: Option<Instant>,
    /// The row of its `delivered`.
    pub delivered_row: Option<usize>,
    /// When its first attempt was answered: deferred, delivered or bounced.
    pub answered: Option<Instant>,
    /// How often it was deferred.
    pub deferrals: u32,
    /// When it bounced, if it did.
    pub bounced: Option<Instant>,
    /// When it was opened, if it was: by the recipient, whose client opens nothing ahead.
    pub opened: Option<Instant>,
    /// When it was opened by a client that opens ahead, whether or not the recipient opened it.
    pub machine_opened: Option<Instant>,
    /// When it was clicked, if it was: by the recipient.
    pub clicked: Option<Instant>,
    /// When its recipient unsubscribed, if it did; what a scanner did is in `scan`.
    pub unsubscribed: Option<Instant>,
    /// When its recipient reported it as spam, if the sender was told.
    pub reported: Option<Instant>,
    /// Of which of the document's blasts it is, if of one.
    pub blast: Option<u8>,
    /// What a scanner did with it, if one did anything.
    pub scan: Option<Scan>,
    /// Sends to this recipient before this one, as far back as they matter to an effect; 0 where to none.
    pub recent_sends: u32,
    /// Minutes from the latest hot path to the moment at which the open is decided, if it matters for so long.
    pub since_interest: Option<f64>,
    /// Whether a circuit breaker was active at the moment at which the open is decided.
    pub suppressed: bool,
    /// Deliveries before this one, of what was sent before it, that count for whether its recipient leaves; 0 where nobody does.
    pub recent_deliveries: u32,
    /// Whether it was delivered to a recipient that no message before, nor its own scan, had made leave.
    pub may_leave: bool,
    /// The variants of experiments that it has, as far as its `sent` says: an index into
    /// [`Experiments::exposures`](populace_core::email::Experiments::exposures).
    pub exposure: u16,
}

/// What a scanner did with a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// When its images were loaded, if they were.
    pub opened: Option<Instant>,
    /// Its first click, if there is one.
    pub clicked: Option<Instant>,
    /// How many clicks there are.
    pub clicks: u32,
    /// When its visit of the link to unsubscribe was taken for a request, if it was.
    pub unsubscribed: Option<Instant>,
}

impl Message {
    fn new(id: u128, sent: Instant, sent_row: usize) -> Self {
        Self {
            id,
            sent,
            sent_row,
            delivered: None,
            delivered_row: None,
            answered: None,
            deferrals: 0,
            bounced: None,
            opened: None,
            machine_opened: None,
            clicked: None,
            unsubscribed: None,
            reported: None,
            blast: None,
            scan: None,
            recent_sends: 0,
            since_interest: None,
            suppressed: false,
            recent_deliveries: 0,
            may_leave: false,
            exposure: 0,
        }
    }

    /// When a scanner unsubscribed its recipient, if one did.
    pub fn scanned_out(&self) -> Option<Instant> {
        self.scan?.unsubscribed
    }
}

impl History {
    /// The history in the events of one recipient of a run, in order of time: a batch with at least the [`EVENT_COLUMNS`].
    pub fn new(model: &EmailModel, events: &RecordBatch) -> Self {
        Self::of(model, events, true)
    }

    /// The history in events of any origin: providers that report no `sent` have messages all the same, each from its first event on.
    pub fn of_any(model: &EmailModel, events: &RecordBatch) -> Self {
        Self::of(model, events, false)
    }

    fn of(model: &EmailModel, events: &RecordBatch, is_run: bool) -> Self {
        let mut history = Self { recipient_id: events.text("recipient_id").value(0).to_owned(), ..Self::default() };
        let (times, types, ids) = (events.instant("timestamp"), events.text("event_type"), events.uuid("message_id"));
        let user_agents = (model.has_agents() && events.column_by_name("user_agent").is_some()).then(|| events.text("user_agent"));
        let agents = Agents::new(model.config());
        let agent_of = |row: usize| user_agents.map_or(Agent::Human, |user_agents| agents.of(user_agents, row));
        let metadata = (!model.blasts().is_empty() && events.column_by_name("metadata").is_some()).then(|| events.text("metadata"));
        let blast_of = |row: usize| blast_of(model, metadata.filter(|metadata| metadata.is_valid(row))?.value(row));
        let mut places: HashMap<u128, usize> = HashMap::new();
        // What follows from a send may, in a file that lies, stand before it: sends first.
        for row in 0..events.num_rows() {
            if types.value(row) == EventType::Sent.name() {
                let Some(id) = ids.get(row) else {
                    history.orphans += 1;
                    continue;
                };
                if places.contains_key(&id) {
                    history.repeats += 1;
                    continue;
                }
                places.insert(id, history.messages.len());
                history.messages.push(Message { blast: blast_of(row), ..Message::new(id, Instant(times.value(row)), row) });
            }
        }
        for row in 0..events.num_rows() {
            let time = Instant(times.value(row));
            let known = EventType::of_name(types.value(row));
            let Some(kind) = known.filter(|kind| !is_run || model.event_types().contains(&kind.name())) else {
                history.orphans += 1;
                continue;
            };
            if !is_run
                && matches!(kind.group(), Group::Mail | Group::Failure)
                && kind != EventType::Dropped
                && let Some(id) = ids.get(row)
            {
                places.entry(id).or_insert_with(|| {
                    history.messages.push(Message::new(id, time, row));
                    history.messages.len() - 1
                });
            }
            match kind {
                EventType::Sent => {}
                EventType::Dropped => history.dropped.push((time, row)),
                EventType::Deferred | EventType::Bounced => {
                    let Some(&place) = ids.get(row).as_ref().and_then(|id| places.get(id)) else {
                        history.orphans += 1;
                        continue;
                    };
                    let message = &mut history.messages[place];
                    message.answered = Some(message.answered.map_or(time, |before| before.min(time)));
                    if kind == EventType::Deferred {
                        message.deferrals += 1;
                    } else if message.bounced.replace(time).is_some() {
                        history.repeats += 1;
                    }
                }
                EventType::Delivered | EventType::Opened | EventType::Clicked | EventType::Unsubscribed | EventType::SpamReported => {
                    let Some(&place) = ids.get(row).as_ref().and_then(|id| places.get(id)) else {
                        // Elsewhere somebody may leave by a page of preferences, of no message.
                        history.orphans += u64::from(is_run || kind.group() == Group::Mail);
                        continue;
                    };
                    let message = &mut history.messages[place];
                    let told = match (kind, agent_of(row)) {
                        (EventType::Delivered, _) => {
                            message.answered = Some(message.answered.map_or(time, |before| before.min(time)));
                            message.delivered_row.get_or_insert(row);
                            &mut message.delivered
                        }
                        (EventType::Opened, Agent::AppleMpp) => &mut message.machine_opened,
                        (EventType::Opened, Agent::Scanner) => &mut message.scan.get_or_insert_default().opened,
                        (EventType::Opened, Agent::Human) => &mut message.opened,
                        (EventType::Unsubscribed, Agent::Scanner) => &mut message.scan.get_or_insert_default().unsubscribed,
                        (EventType::Unsubscribed, _) => &mut message.unsubscribed,
                        (EventType::SpamReported, _) => &mut message.reported,
                        (_, Agent::Scanner) => {
                            let scan = message.scan.get_or_insert_default();
                            scan.clicks += 1;
                            scan.clicked.get_or_insert(time);
                            continue;
                        }
                        _ => &mut message.clicked,
                    };
                    match told {
                        None => *told = Some(time),
                        Some(_) => history.repeats += 1,
                    }
                }
                kind if kind.group() == Group::Breaker => history.breaker(model, kind, time),
                kind if kind.group() == Group::HotPath => history.interests.push(time),
                _ => {}
            }
        }
        if !is_run {
            // What was opened was delivered, whether or not the provider says so; when, is not known.
            for message in &mut history.messages {
                message.delivered = message.delivered.or(message.opened).or(message.clicked);
            }
        }
        history.exposures(model, events);
        history.messages.sort_by_key(|message| message.sent);
        history.settle(model);
        history
    }

    /// Whether the recipient's client opens messages ahead, as far as its rows say.
    pub fn is_opened_ahead(&self) -> bool {
        self.messages.iter().any(|message| message.machine_opened.is_some())
    }

    /// When the recipient left, and by what: the first of its unsubscribe, of the complaint that the sender was told of and of what a scanner
    /// did.
    pub fn left(&self) -> Option<(Instant, LeftBy)> {
        let of = |message: &Message| {
            let by_scan = (message.scanned_out(), LeftBy::Scanner);
            let acts = [(message.unsubscribed, LeftBy::Unsubscribed), (message.reported, LeftBy::SpamReported), by_scan];
            acts.into_iter().filter_map(|(at, by)| Some((at?, by))).min()
        };
        self.messages.iter().filter_map(of).min()
    }

    /// Which variants of experiments the messages have.
    fn exposures(&mut self, model: &EmailModel, events: &RecordBatch) {
        let Some(experiments) = model.effects().experiments().filter(|_| events.column_by_name("metadata").is_some()) else { return };
        let metadata = events.text("metadata");
        let mut known: HashMap<&str, u16> = HashMap::from([("{}", 0)]);
        for message in self.messages.iter_mut().filter(|message| metadata.is_valid(message.sent_row)) {
            let text = metadata.value(message.sent_row);
            message.exposure = *known.entry(text).or_insert_with(|| exposure_of(experiments, text));
        }
    }

    /// Who may leave by which message, and how many deliveries were before it.
    fn stays(&mut self, looks_back: i64) {
        let mut deliveries: Vec<Instant> = Vec::new();
        let mut is_over = false;
        for message in &mut self.messages {
            let Some(delivered) = message.delivered else { continue };
            deliveries.retain(|before| before.plus(looks_back) >= message.sent);
            let counts = |before: &&Instant| **before <= delivered && before.plus(looks_back) >= delivered;
            message.recent_deliveries = deliveries.iter().filter(counts).count() as u32;
            deliveries.push(delivered);
            is_over |= message.scanned_out().is_some();
            message.may_leave = !is_over;
            is_over |= message.unsubscribed.or(message.reported).is_some();
        }
    }

    /// Whether a scanner stands before the recipient's mailbox, as far as its rows say.
    pub fn is_scanned(&self) -> bool {
        self.messages.iter().any(|message| message.scan.is_some())
    }

    fn breaker(&mut self, model: &EmailModel, kind: EventType, time: Instant) {
        let known = model.occasions().flat_map(|occasion| occasion.happenings.iter()).find(|happening| happening.event_type == kind);
        let Some(known) = known else {
            self.orphans += 1;
            return;
        };
        let end = time.plus(known.within);
        let end = self.breakers.last().map_or(end, |before| before.end.max(end));
        self.breakers.push(Breaker { time, end });
    }

    /// What the messages' circumstances were.
    fn settle(&mut self, model: &EmailModel) {
        if let Some(leaving) = model.leaving() {
            self.stays(leaving.looks_back());
        }
        let mut first_recent = 0;
        for index in 0..self.messages.len() {
            let message = self.messages[index];
            if let Some(looks_back) = model.effects().looks_back() {
                let since = message.sent.plus(-looks_back);
                while self.messages[first_recent].sent < since {
                    first_recent += 1;
                }
                self.messages[index].recent_sends = (index - first_recent) as u32;
            }
            let Some(decided) = decided_at(model.config(), &message) else { continue };
            self.messages[index].suppressed = self.suppressed_at(decided);
            if let Some(interest) = model.effects().interest() {
                let begun = self.interests.partition_point(|time| *time <= decided);
                let since = begun.checked_sub(1).map(|last| decided.since(self.interests[last])).filter(|since| *since < interest.lasts);
                self.messages[index].since_interest = since.map(|since| since as f64 / MINUTE as f64);
            }
        }
    }

    /// Whether a circuit breaker is active at `time`.
    pub fn suppressed_at(&self, time: Instant) -> bool {
        let begun = self.breakers.partition_point(|breaker| breaker.time <= time);
        begun > 0 && time < self.breakers[begun - 1].end
    }

    /// The stretches of time in which circuit breakers are active, joined where they overlap, that end after `from`.
    pub fn suppressed_after(&self, from: Instant) -> impl Iterator<Item = (Instant, Instant)> {
        let breakers = &self.breakers;
        let mut next = breakers.partition_point(|breaker| breaker.end <= from);
        std::iter::from_fn(move || {
            let first = breakers.get(next)?;
            let mut end = first.end;
            next += 1;
            while let Some(more) = breakers.get(next).filter(|more| more.time <= end) {
                end = more.end;
                next += 1;
            }
            Some((first.time, end))
        })
    }
}

/// The variants that metadata names: `{"experiments":{"subject_test":"emoji"}}`; 0 where they are none that a message may have.
fn exposure_of(experiments: &Experiments, metadata: &str) -> u16 {
    let object = serde_json::from_str::<serde_json::Value>(metadata).ok();
    let named = object.as_ref().and_then(|object| object.get("experiments")?.as_object());
    let variants = named.map(|named| named.iter().filter_map(|(name, variant)| Some((name.as_str(), variant.as_str()?))));
    variants.and_then(|variants| experiments.named(variants)).unwrap_or(0)
}

/// The circumstances of a message of a person; `None` where it was not delivered.
pub fn circumstances(model: &EmailModel, person: &Person, message: &Message) -> Option<Circumstances> {
    let decided = decided_at(model.config(), message)?;
    let own = model.clock(person.zone.zone);
    let (clock, ahead) = (own.local(decided), own.ahead(decided));
    let &Message { recent_sends, since_interest, suppressed, exposure, .. } = message;
    let exposed = if exposure == 0 {
        Exposed::default()
    } else {
        let since = model.on_days(person.zone.zone, message.sent).since(model.window().begin());
        Exposed { exposure, day: since as f64 / DAY as f64 }
    };
    Some(Circumstances { person: *person, clock, ahead, recent_sends, since_interest, suppressed, exposed })
}

/// When a message's open is decided; `None` where it was not delivered.
pub fn decided_at(config: &EmailConfig, message: &Message) -> Option<Instant> {
    message.delivered.map(|delivered| match config.engagement.decided_at {
        DecidedAt::Delivery => delivered,
        DecidedAt::Send => message.sent,
    })
}
