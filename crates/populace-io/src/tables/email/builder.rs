//! From the rows of `email` to columns.

use super::columns::{Values, address_code, optional};
use super::replies::{NONE, Replies};
use super::{AttemptTables, EVENTS, Email, FIRST_RECIPIENT, MESSAGES, RECIPIENT, TRUTH_USERS, USER_RATES, USERS, decisions};
use crate::generator::TableSet;
use crate::table::{
    booleans, codes, dates, dictionary, floats, floats_or_null, instants, instants_or_null, ints, ints_or_null, shared_codes, shorts,
    shorts_or_null, uuids, uuids_or_null,
};
use crate::tables::{Builder, Counts, Filled};
use arrow_array::{ArrayRef, BooleanArray, Int16Array};
use arrow_buffer::{BooleanBuffer, NullBuffer, ScalarBuffer};
use populace_core::email::{
    Agent, AttemptTruth, Decision, EFFECTS, EmailModel, Event, EventType, Experiments, FullTruth, LATENCY_PARTS, LeftBy, MessageTruth,
    OutcomeTruth, Person, Truth, UserRateTruth, UserTruth, Uuid, Value,
};
use populace_core::scenario::Observer;
use populace_core::time::{Instant, MINUTE};
use std::ops::Range;
use std::sync::Arc;

/// Collects the rows of a recipient, then spreads them over the columns in one tight loop a column.
pub struct EmailBuilder<'g> {
    generator: &'g Email,
    actors: Range<u64>,
    wanted: TableSet,
    /// Number of the recipient within the shard.
    user: i32,
    rows: u64,
    counts: Counts,
    events: Vec<Event>,
    event: EventColumns,
    users: Vec<UserTruth>,
    /// By recipient, where recipients leave: when and why.
    left: Vec<Option<(Instant, LeftBy)>>,
    rates: Vec<(i32, UserRateTruth)>,
    messages: Vec<(i32, MessageTruth)>,
    agents: Agents,
    decisions: Vec<(i32, Decision)>,
    attempts: Vec<(i32, AttemptTruth)>,
    full: Vec<(i32, FullTruth)>,
    outcomes: Vec<(i32, OutcomeTruth)>,
}

/// Who opened or clicked.
#[derive(Default)]
struct Agents {
    event_id: Vec<[u8; 16]>,
    user: Vec<i32>,
    agent: Vec<i32>,
}

/// What a row lacks has code −1, or 0 where another column tells that it is null.
#[derive(Default)]
struct EventColumns {
    event_id: Vec<[u8; 16]>,
    event_type: Vec<i32>,
    time: Vec<i64>,
    esp: Vec<i32>,
    user: Vec<i32>,
    campaign: Vec<i32>,
    message_id: Vec<[u8; 16]>,
    subject: Vec<i32>,
    click_url: Vec<i32>,
    /// Only where messages have several links; −1 of what is not clicked.
    link: Vec<i16>,
    user_agent: Vec<i32>,
    address: Vec<i32>,
    source: Vec<i32>,
    metadata: Vec<i32>,
    latency: Vec<f64>,
    send_time: Vec<i64>,
    /// Minutes since 1970 of `send_time`.
    send_minute: Vec<u32>,
    payload: Vec<i32>,
    attempt: Vec<i16>,
    reply: Vec<i32>,
}

fn bytes(id: Uuid) -> [u8; 16] {
    id.to_u128().to_be_bytes()
}

impl<'g> EmailBuilder<'g> {
    pub(super) fn new(generator: &'g Email, actors: Range<u64>, wanted: TableSet) -> Self {
        let users = actors.end - actors.start;
        let capacity = |table: usize| {
            if wanted.has(table) { generator.tables[table].room(users) } else { 0 }
        };
        let events = capacity(EVENTS);
        Self {
            counts: Counts::over(generator.model.personas().len() * generator.model.event_types().len()),
            user: 0,
            rows: 0,
            events: Vec::with_capacity(1_024),
            event: EventColumns {
                event_id: Vec::with_capacity(events),
                event_type: Vec::with_capacity(events),
                time: Vec::with_capacity(events),
                esp: Vec::with_capacity(events),
                user: Vec::with_capacity(events),
                campaign: Vec::with_capacity(events),
                message_id: Vec::with_capacity(events),
                subject: Vec::with_capacity(events),
                click_url: Vec::with_capacity(events),
                link: Vec::with_capacity(if generator.model.scanners().is_some() { events } else { 0 }),
                user_agent: Vec::with_capacity(events),
                address: Vec::with_capacity(events),
                source: Vec::with_capacity(events),
                metadata: Vec::with_capacity(events),
                latency: Vec::with_capacity(events),
                send_time: Vec::with_capacity(events),
                send_minute: Vec::with_capacity(events),
                payload: Vec::with_capacity(events),
                attempt: Vec::new(),
                reply: Vec::new(),
            },
            users: Vec::with_capacity(users as usize),
            left: Vec::new(),
            rates: Vec::with_capacity(capacity(USER_RATES)),
            messages: Vec::with_capacity(capacity(MESSAGES)),
            agents: Agents::default(),
            decisions: Vec::new(),
            attempts: Vec::new(),
            full: Vec::new(),
            outcomes: Vec::new(),
            generator,
            actors,
            wanted,
        }
    }
}

impl EmailBuilder<'_> {
    /// Whether a table of attempts is wanted.
    fn wants(&self, table: impl Fn(&AttemptTables) -> usize) -> bool {
        self.generator.attempts.as_ref().is_some_and(|tables| self.wanted.has(table(tables)))
    }
}

impl Observer<Event, Truth> for EmailBuilder<'_> {
    #[inline]
    fn emit(&mut self, row: Event) {
        self.events.push(row);
    }

    #[inline]
    fn reveal(&mut self, truth: Truth) {
        match truth {
            Truth::User(user) => self.users.push(user),
            Truth::Left(time, by) => {
                self.left.resize(self.users.len() - 1, None);
                self.left.push(Some((time, by)));
            }
            Truth::UserRate(rate) if self.wanted.has(USER_RATES) => self.rates.push((self.user, rate)),
            Truth::Message(message) if self.wanted.has(MESSAGES) => self.messages.push((self.user, message)),
            Truth::Decision(decision) => self.decisions.push((self.user, decision)),
            Truth::Attempt(attempt) if self.wants(|tables| tables.attempts) => self.attempts.push((self.user, attempt)),
            Truth::Full(full) if self.wants(|tables| tables.full) => self.full.push((self.user, full)),
            Truth::Outcome(outcome) if self.generator.experiments.as_ref().is_some_and(|own| self.wanted.has(own.outcomes)) => {
                self.outcomes.push((self.user, outcome));
            }
            Truth::Outcome(_) | Truth::UserRate(_) | Truth::Message(_) | Truth::Attempt(_) | Truth::Full(_) => {}
        }
    }

    fn clipped(&mut self, what: &'static str) {
        self.counts.clip(what);
    }
}

/// Who the recipients of a shard are: dictionaries by the recipient's number within it.
struct Recipients {
    ids: ArrayRef,
    universal_ids: ArrayRef,
    email_hashes: ArrayRef,
}

/// The id of a recipient, by number.
fn recipient_id(actor: u64) -> String {
    format!("{RECIPIENT}{:05}", actor + FIRST_RECIPIENT)
}

/// The actor that a recipient id names; `None` of an id that no scenario gives.
pub fn actor_of(recipient_id: &str) -> Option<u64> {
    let number: u64 = recipient_id.strip_prefix(RECIPIENT)?.parse().ok()?;
    number.checked_sub(FIRST_RECIPIENT)
}

impl Recipients {
    /// Identities cost more than all else of a recipient, so they are made only where a table shows them.
    fn new(generator: &Email, actors: Range<u64>, identified: bool) -> Self {
        let identities = actors.clone().filter(|_| identified).map(|actor| {
            let address = format!("user{}@example.com", actor + FIRST_RECIPIENT);
            let identity = generator.identities.identify(&address).expect("example.com is reserved");
            (identity.universal_id, identity.email_hash)
        });
        let (universal_ids, email_hashes): (Vec<_>, Vec<_>) = identities.unzip();
        Self { ids: dictionary(actors.map(recipient_id)), universal_ids: dictionary(universal_ids), email_hashes: dictionary(email_hashes) }
    }
}

impl EventColumns {
    fn columns(self, generator: &Email, recipients: &Recipients) -> Vec<(&'static str, ArrayRef)> {
        let rows = self.time.len();
        let types = &self.event_type;
        let valid = |is: &dyn Fn(usize) -> bool| NullBuffer::new(BooleanBuffer::collect_bool(rows, is));
        // Of mail are the steps of a message, and all that mechanisms bring forth.
        let is_mail = valid(&|row| types[row] <= EventType::Clicked as i32 || types[row] >= EventType::OF_EVERY_DOCUMENT as i32);
        let is_delivered = valid(&|row| types[row] == EventType::Delivered as i32);
        let has_client = valid(&|row| self.user_agent[row] >= 0);
        let machine_open = generator.model.machine_opens().map(|machine| {
            let opened = |row: usize| types[row] == EventType::Opened as i32 && machine.is_flagged(self.esp[row] as u8);
            let is = |row: usize| opened(row).then(|| self.user_agent[row] == i32::from(machine.user_agent));
            ("machine_open", Arc::new((0..rows).map(is).collect::<BooleanArray>()) as ArrayRef)
        });
        let bounce_types = match &generator.attempts {
            None => shared_codes(&vec![0; rows].into(), Some(&NullBuffer::new_null(rows)), &generator.bounce_types),
            Some(tables) => tables.replies.text(Replies::BOUNCE_TYPE, &self.reply),
        };
        let attempts = generator.attempts.iter().flat_map(|AttemptTables { replies, .. }| {
            [
                ("attempt", shorts_or_null(self.attempt.clone(), &valid(&|row| self.attempt[row] > 0))),
                ("smtp_code", Replies::smtp(&self.reply)),
                ("enhanced_code", replies.text(Replies::ENHANCED, &self.reply)),
                ("response", replies.text(Replies::RESPONSE, &self.reply)),
                ("bounce_class", replies.text(Replies::CLASS, &self.reply)),
            ]
        });
        let attempts: Vec<_> = attempts.collect();
        let response = generator.model.leaving().filter(|_| generator.attempts.is_none()).map(|_| {
            let of = |kind: &i32| if *kind == EventType::Dropped as i32 { 0 } else { -1 };
            ("response", codes(types.iter().map(of).collect(), &generator.responses))
        });
        let link_index = generator.model.scanners().map(|_| {
            let valid = NullBuffer::new(BooleanBuffer::collect_bool(rows, |row| self.link[row] >= 0));
            ("link_index", shorts_or_null(self.link, &valid))
        });
        let campaign_types: Vec<i32> = self.campaign.iter().map(|campaign| generator.type_of_campaign[*campaign as usize]).collect();
        let users = ScalarBuffer::from(self.user);
        let campaigns = ScalarBuffer::from(self.campaign);
        let shorts = |of: fn(u32) -> u32| shorts_or_null(self.send_minute.iter().map(|minute| of(*minute) as i16).collect(), &is_delivered);
        let columns = [
            ("event_id", uuids(self.event_id.into_flattened())),
            ("event_type", codes(self.event_type, &generator.event_types)),
            ("timestamp", instants(self.time)),
            ("esp", codes(self.esp, &generator.esps)),
            ("recipient_id", shared_codes(&users, None, &recipients.ids)),
            ("universal_id", shared_codes(&users, None, &recipients.universal_ids)),
            ("recipient_email_hash", shared_codes(&users, None, &recipients.email_hashes)),
            ("campaign_id", shared_codes(&campaigns, None, &generator.campaign_ids)),
            ("campaign_name", shared_codes(&campaigns, None, &generator.campaign_names)),
            ("message_id", uuids_or_null(self.message_id.into_flattened(), &is_mail)),
            ("subject", shared_codes(&self.subject.into(), Some(&is_mail), &generator.subjects)),
            ("click_url", codes(self.click_url, &generator.click_urls)),
            ("bounce_type", bounce_types),
            ("user_agent", shared_codes(&self.user_agent.into(), Some(&has_client), &generator.user_agents)),
            ("ip_address", shared_codes(&self.address.into(), Some(&has_client), &generator.addresses)),
            ("source", codes(self.source, &generator.sources)),
            ("metadata", codes(self.metadata, &generator.metadata)),
            ("latency_seconds", floats_or_null(self.latency, &is_delivered)),
            ("send_time", instants_or_null(self.send_time, &is_delivered)),
            ("hour_of_day", shorts(|minute| minute / 60 % 24)),
            ("minute", shorts(|minute| minute % 60)),
            // 1970-01-01 was a Thursday, 3.
            ("day_of_week", shorts(|minute| (minute / (24 * 60) + 3) % 7)),
            ("campaign_type", shared_codes(&campaign_types.into(), Some(&is_delivered), &generator.campaign_types)),
            ("payload_size_bytes", ints_or_null(self.payload, &is_delivered)),
        ];
        columns.into_iter().chain(machine_open).chain(attempts).chain(response).chain(link_index).collect()
    }
}

fn message_columns(generator: &Email, recipients: &Recipients, rows: &[(i32, MessageTruth)]) -> Vec<(&'static str, ArrayRef)> {
    let floats_of = |of: &dyn Fn(&MessageTruth) -> f64| floats(rows.iter().map(|(_, row)| of(row)).collect());
    let valid = |is: &dyn Fn(&MessageTruth) -> bool| NullBuffer::new(BooleanBuffer::collect_bool(rows.len(), |row| is(&rows[row].1)));
    let or_null = |of: &dyn Fn(&MessageTruth) -> Option<f64>| {
        floats_or_null(rows.iter().map(|(_, row)| of(row).unwrap_or(0.0)).collect(), &valid(&|row| of(row).is_some()))
    };
    let ids: Vec<[u8; 16]> = rows.iter().map(|(_, row)| bytes(row.message_id)).collect();
    let mut columns = vec![
        ("message_id", uuids(ids.into_flattened())),
        ("recipient_id", codes(rows.iter().map(|(user, _)| *user).collect(), &recipients.ids)),
        ("p_open", or_null(&|row| row.p_open)),
        ("p_click", or_null(&|row| row.p_click)),
        ("open_rate", floats_of(&|row| row.open_rate)),
        ("click_rate", floats_of(&|row| row.click_rate)),
    ];
    let effects = || EFFECTS.iter().enumerate().filter(|(_, about)| !about.optional);
    columns.extend(effects().map(|(effect, about)| (about.name, floats_of(&|row| row.factors[effect]))));
    columns.push(("cap", floats_of(&|row| row.cap)));
    columns.push(("suppressed", booleans(rows.iter().map(|(_, row)| row.at.suppressed).collect())));
    columns.extend(effects().filter_map(|(_, about)| about.evidence.as_ref()).map(|evidence| {
        let values = match evidence.value {
            Value::Count(of) => ints(rows.iter().map(|(_, row)| of(&row.at) as i32).collect()),
            Value::Float(of) => or_null(&|row| of(&row.at)),
        };
        (evidence.name, values)
    }));
    let reasons = rows.iter().map(|(_, row)| row.dropped_reason.map_or(-1, |reason| reason as i32));
    columns.push(("dropped_reason", codes(reasons.collect(), &generator.dropped_reasons)));
    columns.extend(LATENCY_PARTS.iter().enumerate().map(|(part, (name, _))| (*name, floats_of(&|row| row.latency[part]))));
    columns.extend(optional(&generator.model).into_iter().map(|(column, values)| {
        let values = match values {
            Values::Float(of) => floats_of(&|row| of(&generator.model, row)),
            Values::FloatOrNull(of) => or_null(&of),
            Values::Moment(of) => {
                instants_or_null(rows.iter().map(|(_, row)| of(row).map_or(0, |at| at.0)).collect(), &valid(&|row| of(row).is_some()))
            }
            Values::Count(of) => {
                ints_or_null(rows.iter().map(|(_, row)| of(row).unwrap_or(0) as i32).collect(), &valid(&|row| of(row).is_some()))
            }
            Values::Short(of) => {
                shorts_or_null(rows.iter().map(|(_, row)| i16::from(of(row).unwrap_or(0))).collect(), &valid(&|row| of(row).is_some()))
            }
        };
        (column.name, values)
    }));
    columns
}

fn attempt_columns(tables: &AttemptTables, recipients: &Recipients, rows: &[(i32, AttemptTruth)]) -> [(&'static str, ArrayRef); 10] {
    let ids: Vec<[u8; 16]> = rows.iter().map(|(_, row)| bytes(row.message_id)).collect();
    let attempts = || rows.iter().map(|(_, row)| &row.attempt);
    // As in `OUTCOMES`.
    let outcomes = attempts().map(|attempt| attempt.reply.map_or(0, |reply| if reply.is_deferral() { 1 } else { 2 }));
    [
        ("message_id", uuids(ids.into_flattened())),
        ("recipient_id", codes(rows.iter().map(|(user, _)| *user).collect(), &recipients.ids)),
        ("attempt", shorts(attempts().map(|attempt| i16::from(attempt.number)).collect())),
        ("answered_at", instants(attempts().map(|attempt| attempt.at.0).collect())),
        ("p_defer", floats(attempts().map(|attempt| attempt.p_defer).collect())),
        ("base", floats(attempts().map(|attempt| attempt.base).collect())),
        ("provider", floats(attempts().map(|attempt| attempt.provider).collect())),
        ("busy", floats(attempts().map(|attempt| attempt.busy).collect())),
        ("mailbox_full", booleans(attempts().map(|attempt| attempt.is_full).collect())),
        ("outcome", codes(outcomes.collect(), &tables.outcomes)),
    ]
}

impl Builder<EmailModel> for EmailBuilder<'_> {
    fn end_actor(&mut self) {
        let (rows, event, user) = (&self.events, &mut self.event, self.user);
        self.rows += rows.len() as u64;
        let persona = self.users.last().map_or(0, |user| usize::from(user.person.persona));
        let types = self.generator.model.event_types().len();
        let tally = &mut self.counts.rows[persona * types..][..types];
        for row in rows {
            tally[row.event_type as usize] += 1;
        }
        if self.wanted.has(EVENTS) {
            event.event_id.extend(rows.iter().map(|row| bytes(row.event_id)));
            event.event_type.extend(rows.iter().map(|row| row.event_type as i32));
            event.time.extend(rows.iter().map(|row| row.time.0));
            event.esp.extend(rows.iter().map(|row| i32::from(row.esp)));
            event.user.extend(rows.iter().map(|_| user));
            event.campaign.extend(rows.iter().map(|row| i32::from(row.campaign)));
            event.message_id.extend(rows.iter().map(|row| row.message_id.map_or([0; 16], bytes)));
            event.subject.extend(rows.iter().map(|row| row.subject.map_or(0, i32::from)));
            event.click_url.extend(rows.iter().map(|row| row.click_url.map_or(-1, i32::from)));
            if self.generator.model.scanners().is_some() {
                event.link.extend(rows.iter().map(|row| row.link.map_or(-1, i16::from)));
            }
            event.user_agent.extend(rows.iter().map(|row| row.client.map_or(-1, |client| i32::from(client.user_agent))));
            event.address.extend(rows.iter().map(|row| row.client.map_or(0, |client| address_code(client.ip))));
            event.source.extend(rows.iter().map(|row| i32::from(row.source)));
            event.metadata.extend(rows.iter().map(|row| i32::from(row.metadata)));
            let delivery = |row: &Event| row.delivery;
            event.latency.extend(rows.iter().map(|row| delivery(row).map_or(0.0, |delivery| f64::from(delivery.latency_ms) / 1_000.0)));
            event.send_time.extend(rows.iter().map(|row| delivery(row).map_or(0, |delivery| delivery.send_time.0)));
            event.send_minute.extend(rows.iter().map(|row| delivery(row).map_or(0, |delivery| (delivery.send_time.0 / MINUTE) as u32)));
            event.payload.extend(rows.iter().map(|row| delivery(row).map_or(0, |delivery| delivery.payload_size_bytes as i32)));
            if self.generator.attempts.is_some() {
                event.attempt.extend(rows.iter().map(|row| i16::from(row.attempt)));
                event.reply.extend(rows.iter().map(|row| row.reply.map_or(NONE, |reply| reply as i32)));
            }
        }
        if self.generator.agents_table.is_some_and(|table| self.wanted.has(table)) {
            let is_act = |row: &&Event| matches!(row.event_type, EventType::Opened | EventType::Clicked) || row.agent != Agent::Human;
            for row in rows.iter().filter(is_act) {
                self.agents.event_id.push(bytes(row.event_id));
                self.agents.user.push(user);
                self.agents.agent.push(row.agent as i32);
            }
        }
        self.events.clear();
        self.user += 1;
    }
    fn rows(&self) -> u64 {
        self.rows
    }

    fn finish(self, _: u64, filled: &mut Filled<'_>) -> Counts {
        let Self { generator, actors, counts, event, users, left, rates, messages, agents, attempts, full, decisions, outcomes, .. } = self;
        let recipients = Recipients::new(generator, actors, filled.wants(EVENTS) || filled.wants(USERS));
        let everyone: ScalarBuffer<i32> = (0..users.len() as i32).collect();
        filled.put(EVENTS, || event.columns(generator, &recipients));
        filled.put(USERS, || {
            let mut columns = vec![
                ("recipient_id", shared_codes(&everyone, None, &recipients.ids)),
                ("universal_id", shared_codes(&everyone, None, &recipients.universal_ids)),
                ("recipient_email_hash", shared_codes(&everyone, None, &recipients.email_hashes)),
                (
                    "timezone",
                    codes(users.iter().map(|user| user.person.zone.known().map_or(-1, i32::from)).collect(), &generator.timezones),
                ),
            ];
            if let Some(tables) = &generator.attempts {
                let providers = users.iter().map(|user| user.mailbox_provider.map_or(NONE, |provider| provider as i32));
                columns.push(("mailbox_provider", codes(providers.collect(), &tables.providers)));
            }
            columns
        });
        filled.put(TRUTH_USERS, || truth_columns(generator, &recipients, &users, left));
        filled.put(USER_RATES, || {
            [
                ("recipient_id", codes(rates.iter().map(|(user, _)| *user).collect(), &recipients.ids)),
                ("month", dates(rates.iter().map(|(_, rate)| rate.month.date().0).collect())),
                ("open_rate", floats(rates.iter().map(|(_, rate)| rate.open_rate).collect())),
                ("click_rate", floats(rates.iter().map(|(_, rate)| rate.click_rate).collect())),
            ]
        });
        if let Some(table) = generator.agents_table {
            filled.put(table, || {
                [
                    ("event_id", uuids(agents.event_id.into_flattened())),
                    ("recipient_id", codes(agents.user, &recipients.ids)),
                    ("agent", codes(agents.agent, &generator.agents)),
                ]
            });
        }
        if let [Some(data), Some(truth)] = generator.decision_tables {
            filled.put(data, || {
                let exposures: Vec<u16> = decisions.iter().map(|(_, row)| row.exposure).collect();
                let more = generator.experiments.iter().flat_map(|own| own.decisions(&exposures));
                decisions::data(&decisions, &recipients.ids, &generator.campaign_ids).into_iter().chain(more).collect::<Vec<_>>()
            });
            filled.put(truth, || decisions::truth(&decisions, &recipients.ids));
        }
        if let Some(tables) = &generator.experiments {
            filled.put(tables.outcomes, || tables.outcomes(&outcomes, &recipients.ids));
        }
        if let Some(tables) = &generator.attempts {
            filled.put(tables.attempts, || attempt_columns(tables, &recipients, &attempts));
            filled.put(tables.full, || {
                [
                    ("recipient_id", codes(full.iter().map(|(user, _)| *user).collect(), &recipients.ids)),
                    ("begins_at", instants(full.iter().map(|(_, full)| full.from.0).collect())),
                    ("ends_at", instants(full.iter().map(|(_, full)| full.until.0).collect())),
                ]
            });
        }
        filled.put(MESSAGES, || message_columns(generator, &recipients, &messages));
        counts
    }
}

/// The columns of the truth of users.
fn truth_columns(
    generator: &Email,
    recipients: &Recipients,
    users: &[UserTruth],
    mut left: Vec<Option<(Instant, LeftBy)>>,
) -> Vec<(&'static str, ArrayRef)> {
    let everyone: ScalarBuffer<i32> = (0..users.len() as i32).collect();
    let mut columns = vec![
        ("recipient_id", shared_codes(&everyone, None, &recipients.ids)),
        ("persona", codes(users.iter().map(|user| i32::from(user.person.persona)).collect(), &generator.personas)),
        ("open_rate", floats(users.iter().map(|user| user.open_rate).collect())),
        ("click_rate", floats(users.iter().map(|user| user.click_rate).collect())),
    ];
    if generator.model.machine_opens().is_some() {
        columns.push(("machine_opens", booleans(users.iter().map(|user| user.machine_opens).collect())));
    }
    if generator.model.people_differ() {
        let of = |of: fn(&Person) -> f64| floats(users.iter().map(|user| of(&user.person)).collect());
        let shift = |user: &UserTruth| i16::from(generator.model.habits()[usize::from(user.person.habit)].shift);
        columns.extend([
            ("own_open_rate", of(|person| person.open_rate)),
            ("own_click_rate", of(|person| person.click_rate)),
            ("peak_shift", Arc::new(users.iter().map(shift).collect::<Int16Array>())),
            ("timing_k", of(|person| person.timing_k)),
        ]);
    }
    if generator.model.zones().is_some() {
        columns.push(("timezone", codes(users.iter().map(|user| i32::from(user.person.zone.zone)).collect(), &generator.timezones)));
    }
    if generator.attempts.is_some() {
        let known = NullBuffer::new(BooleanBuffer::collect_bool(users.len(), |row| users[row].address_dead_at.is_some()));
        let moments = users.iter().map(|user| user.address_dead_at.map_or(0, |at| at.0));
        columns.push(("address_dead_at", instants_or_null(moments.collect(), &known)));
    }
    if generator.model.leaving().is_some() {
        left.resize(users.len(), None);
        let has = NullBuffer::new(BooleanBuffer::collect_bool(left.len(), |user| left[user].is_some()));
        columns.push(("left_at", instants_or_null(left.iter().map(|of| of.map_or(0, |(at, _)| at.0)).collect(), &has)));
        columns.push(("left_why", codes(left.iter().map(|of| of.map_or(-1, |(_, by)| by as i32)).collect(), &generator.left_by)));
    }
    if generator.model.scanners().is_some() {
        columns.push(("scanner", booleans(users.iter().map(|user| user.scanner).collect())));
    }
    if generator.model.effects().experiments().is_some_and(Experiments::people_differ) {
        columns.push(("responsiveness", floats(users.iter().map(|user| user.person.responsiveness).collect())));
    }
    columns
}
