//! Attempts at delivery: how often they are deferred and why, when they are made again, and what ends them.

use super::Recipient;
use crate::email::Law;
use crate::source::{As, Columns, Want};
use crate::stats::{Pit, merge_fields};
use crate::verify::board::{Board, Calibration, Exact, Found};
use crate::verify::{Group, uuid};
use arrow_array::{Array, RecordBatch};
use populace_core::email::{Address, Attempts, EventType, MailboxProvider, Reply};
use populace_core::time::{Instant, MINUTE};
use std::collections::{BTreeMap, HashMap};

/// The columns of `events` that come with attempts.
pub(super) const COLUMNS: [Want; 5] = [
    Want::nullable("attempt", As::Int),
    Want::nullable("smtp_code", As::Int),
    Want::nullable("enhanced_code", As::Text),
    Want::nullable("response", As::Text),
    Want::nullable("bounce_class", As::Text),
];

/// The columns of the truth of attempts.
pub(super) const TRUTH: [Want; 10] = [
    Want::new("recipient_id", As::Text),
    Want::new("message_id", As::Uuid),
    Want::new("attempt", As::Int),
    Want::new("answered_at", As::Instant),
    Want::new("p_defer", As::Float),
    Want::new("base", As::Float),
    Want::new("provider", As::Float),
    Want::new("busy", As::Float),
    Want::new("mailbox_full", As::Bool),
    Want::new("outcome", As::Text),
];

/// What rounding may do to a product of three.
const NEAR: f64 = 1e-12;
/// What rounding to the millisecond may do, microseconds.
const ROUNDING: i64 = 1_000;

/// A row that an attempt has left.
struct Row {
    number: i64,
    at: Instant,
    reply: Option<Reply>,
}

/// What becomes of messages.
pub(super) struct Deliveries<'a> {
    law: &'a Law<'a>,
    attempts: &'a Attempts,
    /// Whether there is the truth of attempts.
    has_truth: bool,
    replies: Exact,
    states: Exact,
    courses: Exact,
    ends: Exact,
    dropped: Exact,
    truth: Exact,
    /// By provider, and whether many send at once: first attempts that were deferred, and all.
    first: BTreeMap<(MailboxProvider, bool), [u64; 2]>,
    all_first: Calibration<()>,
    later: [u64; 2],
    causes: Vec<u64>,
    waits: Pit,
}

merge_fields!(Deliveries<'_> { replies, states, courses, ends, dropped, truth, first, all_first, later, causes, waits } same { law, attempts, has_truth });

impl<'a> Deliveries<'a> {
    pub(super) const TRUTH: &'static str =
        "the truth has each attempt once, with the probability that the document gives it and what came of it";

    pub(super) fn new(law: &'a Law<'a>, attempts: &'a Attempts, has_truth: bool) -> Self {
        Self {
            law,
            attempts,
            has_truth,
            replies: Exact::new("codes, response, class and type of a failure are those of one answer, and one that its event may have"),
            states: Exact::new("attempts fail where the seed says that the mailbox is full or the address dead, and say so"),
            courses: Exact::new("the attempts of a message are numbered, each after the wait of the one before"),
            ends: Exact::new("a message is delivered or bounces, and is given up at its time"),
            dropped: Exact::new("what is due after a hard bounce is dropped, and nothing else"),
            truth: Exact::new(Self::TRUTH),
            first: BTreeMap::new(),
            all_first: Calibration::new("first attempts deferred"),
            later: [0; 2],
            causes: vec![0; Attempts::CAUSES.len()],
            waits: Pit::default(),
        }
    }

    /// Adds a recipient; `truth` is that of its attempts.
    pub(super) fn add(&mut self, recipient: &Recipient<'_>, truth: Option<&RecordBatch>) {
        let Some(address) = self.law.address_of(recipient.id()) else { return };
        let mut messages = self.rows(recipient);
        if self.has_truth {
            self.truth(recipient, &address, &messages, truth);
        }
        let mut known_dead: Option<Instant> = None;
        for message in &recipient.history.messages {
            let mut rows = messages.remove(&message.id).unwrap_or_default();
            rows.sort_by_key(|row| (row.number, row.at));
            self.message(recipient, &address, message.sent, (message.id, &rows));
            if let Some(bounce) = rows.iter().find(|row| row.reply == Some(Reply::NoSuchMailbox)) {
                known_dead = Some(known_dead.map_or(bounce.at, |before| before.min(bounce.at)));
            }
        }
        let is_known_dead = |at: Instant| known_dead.is_some_and(|since| since <= at);
        for message in &recipient.history.messages {
            self.dropped.hold(!is_known_dead(message.sent), || format!("message {} of {} was sent", uuid(message.id), recipient.id()));
        }
        let responses = recipient.events.batch.text("response");
        for &(at, row) in &recipient.history.dropped {
            let is_bounced = responses.is_valid(row) && responses.value(row) == Reply::BouncedAddress.response();
            self.dropped.hold(is_known_dead(at) || !is_bounced, || format!("what is due at {at} of {} was dropped", recipient.id()));
        }
    }

    /// Holds the truth of attempts against the rows that they have left.
    fn truth(&mut self, recipient: &Recipient<'_>, address: &Address, messages: &HashMap<u128, Vec<Row>>, truth: Option<&RecordBatch>) {
        let is_attempt = |row: &&Row| !matches!(row.reply, Some(Reply::Expired | Reply::ExpiredFull));
        let attempts = messages.values().flatten().filter(is_attempt).count();
        let rows = truth.map_or(0, RecordBatch::num_rows);
        self.truth.hold(rows == attempts, || format!("{}: {rows} rows of {attempts} attempts", recipient.id()));
        let Some(truth) = truth else { return };
        let sent: HashMap<u128, Instant> = recipient.history.messages.iter().map(|message| (message.id, message.sent)).collect();
        let (ids, numbers, times) = (truth.uuid("message_id"), truth.int("attempt"), truth.instant("answered_at"));
        let [p_defer, base, provider, busy] = ["p_defer", "base", "provider", "busy"].map(|name| truth.float(name));
        let (full, outcomes) = (truth.bool("mailbox_full"), truth.text("outcome"));
        for row in 0..truth.num_rows() {
            let id = ids.get(row).unwrap_or_default();
            let number = numbers.value(row);
            let own = messages.get(&id).and_then(|rows| rows.iter().filter(is_attempt).find(|row| row.number == number));
            let holds = own.zip(sent.get(&id)).is_some_and(|(own, sent)| {
                let [own_base, own_provider, own_busy] = if number == 1 {
                    self.attempts.first(address.provider, self.attempts.is_busy(*sent))
                } else {
                    [self.attempts.probability_again(), 1.0, 1.0]
                };
                let is_full = address.full.iter().any(|(from, until)| *from <= own.at && own.at < *until);
                let p = if address.is_dead(own.at) {
                    0.0
                } else if is_full {
                    1.0
                } else {
                    own_base * own_provider * own_busy
                };
                let outcome = own.reply.map_or("delivered", |reply| if reply.is_deferral() { "deferred" } else { "bounced" });
                let near = |found: f64, expected: f64| (found - expected).abs() < NEAR;
                near(base.value(row), own_base)
                    && near(provider.value(row), own_provider)
                    && near(busy.value(row), own_busy)
                    && near(p_defer.value(row), p)
                    && full.value(row) == is_full
                    && outcomes.value(row) == outcome
                    && times.value(row) == own.at.0
            });
            self.truth.hold(holds, || format!("attempt {number} of message {} of {}", uuid(id), recipient.id()));
        }
    }

    /// The rows of attempts, by message.
    fn rows(&mut self, recipient: &Recipient<'_>) -> HashMap<u128, Vec<Row>> {
        let events = recipient.events;
        let [numbers, codes] = ["attempt", "smtp_code"].map(|name| events.batch.int(name));
        let [enhanced, responses, classes, types] =
            ["enhanced_code", "response", "bounce_class", "bounce_type"].map(|name| events.batch.text(name));
        let mut messages: HashMap<u128, Vec<Row>> = HashMap::new();
        for (row, kind) in events.kinds.iter().enumerate() {
            let Some(kind) =
                kind.filter(|kind| matches!(kind, EventType::Delivered | EventType::Deferred | EventType::Bounced | EventType::Dropped))
            else {
                continue;
            };
            let text = |of: &crate::source::Texts<'_>| of.is_valid(row).then(|| of.value(row).to_owned());
            let response = text(&responses);
            let reply = Reply::ALL.into_iter().find(|reply| Some(reply.response()) == response.as_deref());
            if kind != EventType::Delivered {
                let as_written = reply.is_some_and(|reply| {
                    let own = match kind {
                        EventType::Deferred => reply.is_deferral(),
                        EventType::Bounced => reply.bounce_type().is_some(),
                        _ => reply.smtp_code().is_none(),
                    };
                    own && codes.is_valid(row).then(|| codes.value(row)) == reply.smtp_code().map(i64::from)
                        && text(&enhanced).as_deref() == reply.enhanced_code()
                        && text(&classes).as_deref() == reply.class()
                        && text(&types).as_deref() == reply.bounce_type()
                });
                self.replies.hold(as_written, || format!("{} of {}: {response:?}", kind.name(), recipient.id()));
            }
            if let Some(id) = events.messages.get(row).filter(|_| kind != EventType::Dropped) {
                let number = if numbers.is_valid(row) { numbers.value(row) } else { 0 };
                messages.entry(id).or_default().push(Row { number, at: events.time(row), reply });
            }
        }
        messages
    }

    /// The attempts of a message.
    fn message(&mut self, recipient: &Recipient<'_>, address: &Address, sent: Instant, (id, rows): (u128, &[Row])) {
        let place = || format!("message {} of {}", uuid(id), recipient.id());
        let expired = |row: &Row| matches!(row.reply, Some(Reply::Expired | Reply::ExpiredFull));
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return self.ends.hold(false, place) };
        let attempts = || rows.iter().filter(|row| !expired(row));
        let numbered = attempts().zip(1..).all(|(row, number)| row.number == number);
        let mut in_time = true;
        for (before, after) in attempts().zip(attempts().skip(1)) {
            let [least, most] = self.attempts.wait_minutes(before.number.clamp(1, 64) as u8).map(|minutes| minutes * MINUTE as f64);
            let wait = after.at.since(before.at);
            in_time &= (least as i64 - ROUNDING..=most as i64 + ROUNDING).contains(&wait);
            // What might have passed the end is not a fair sample.
            if before.at.since(first.at) as f64 + most <= self.attempts.gives_up_after() as f64 && most > least {
                self.waits.add(((wait as f64 - least) / (most - least)).clamp(0.0, 1.0));
            }
        }
        self.courses.hold(numbered && in_time, place);
        let is_end = |row: &Row| row.reply.is_none_or(|reply| !reply.is_deferral());
        let ended = is_end(last) && rows.iter().filter(|row| is_end(row)).count() == 1;
        let given_up = !expired(last) || last.at.since(first.at) == self.attempts.gives_up_after();
        self.ends.hold(ended && given_up, place);
        for row in attempts() {
            let is_full = address.full.iter().any(|(from, until)| *from <= row.at && row.at < *until);
            let is_dead = address.is_dead(row.at);
            let as_it_was =
                is_dead == (row.reply == Some(Reply::NoSuchMailbox)) && (is_dead || is_full == (row.reply == Some(Reply::MailboxFull)));
            self.states.hold(as_it_was, place);
            if is_dead || is_full {
                continue;
            }
            let deferred = u64::from(row.reply.is_some());
            let counts = if row.number == 1 {
                let is_busy = self.attempts.is_busy(sent);
                self.all_first.add_to((), self.attempts.first(address.provider, is_busy).iter().product(), deferred > 0);
                self.first.entry((address.provider, is_busy)).or_default()
            } else {
                &mut self.later
            };
            counts[0] += deferred;
            counts[1] += 1;
            if let Some(cause) = Attempts::CAUSES.iter().position(|cause| Some(*cause) == row.reply) {
                self.causes[cause] += 1;
            }
        }
    }

    pub(super) fn report(self, board: &mut Board) {
        for law in [self.replies, self.states, self.courses, self.ends, self.dropped] {
            board.exact(law);
        }
        if self.has_truth {
            board.exact(self.truth);
        } else {
            board.skip(Group::Exact, Self::TRUTH, "there is no table truth/attempts");
        }
        let group = Group::Distribution;
        let cells = self.first.iter().map(|(&(provider, is_busy), [deferred, all])| {
            let minutes = if is_busy { "busy" } else { "other" };
            let p = self.attempts.first(provider, is_busy).iter().product();
            (format!("{} in {minutes} minutes", provider.name()), Found::share(*deferred, *all, p))
        });
        board.try_test(group, "first attempts deferred, by mailbox provider and minute", Found::worst(cells));
        self.all_first.report_as(board, group, 0.0, |()| "all".to_owned());
        let [deferred, all] = self.later;
        let (later, causes, waits) = ("later attempts deferred", "causes of deferrals", "waits between attempts");
        if all > 0 {
            board.test(group, later, Found::share(deferred, all, self.attempts.probability_again()));
        } else {
            board.skip(group, later, "there are none");
        }
        if self.causes.iter().sum::<u64>() > 0 {
            board.test(group, causes, Found::cells(&self.causes, &self.attempts.cause_shares(), "the document's weights"));
        } else {
            board.skip(group, causes, "there are none");
        }
        if self.waits.n() > 0 {
            board.test(group, waits, Found::places(&self.waits));
        } else {
            board.skip(group, waits, "there are none, or they do not vary");
        }
    }
}
