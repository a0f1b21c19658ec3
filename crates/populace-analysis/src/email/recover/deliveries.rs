//! How often attempts at delivery are deferred, and how many mailboxes are full or dead.

use crate::email::{History, Law};
use crate::recover::sheet::{Parameter, Scale, Sheet};
use crate::source::{As, Columns, Want};
use crate::stats::merge_fields;
use arrow_array::RecordBatch;
use populace_core::email::{Attempts, EmailModel, EventType, MailboxProvider, Reply};
use populace_core::math;
use populace_core::time::{DAY, Instant};
use std::collections::HashMap;

/// The column that says why an attempt failed, where there are attempts.
pub(super) fn column(model: &EmailModel) -> Option<Want> {
    model.attempts().map(|_| Want::optional("response", As::Text))
}

/// What the rows of attempts tell.
#[derive(Default)]
pub(super) struct Deliveries {
    /// By provider, then whether many send at once: first attempts that met no full mailbox, and those deferred.
    first: [[[u64; 2]; 2]; MailboxProvider::ALL.len()],
    /// The same of later attempts.
    later: [u64; 2],
    messages: u64,
    /// First attempts that met a full mailbox; over recipients, the sums of squares and products of these and of messages.
    full: u64,
    squares: [f64; 3],
    /// Recipients with messages, those whose first message bounced hard, and days up to it.
    recipients: u64,
    dead_at_first: u64,
    days_to_first: f64,
    /// Later hard bounces, and days in which there might have been one.
    died: u64,
    days: f64,
    has_responses: bool,
}

merge_fields!(Deliveries { first, later, messages, full, squares, recipients, dead_at_first, days_to_first, died, days, has_responses });

impl Deliveries {
    /// Adds a recipient of a document with attempts.
    pub(super) fn add(&mut self, law: &Law<'_>, attempts: &Attempts, history: &History, events: &RecordBatch) {
        let Some(address) = law.address_of(&history.recipient_id) else { return };
        let (types, times, ids, responses) =
            (events.text("event_type"), events.instant("timestamp"), events.uuid("message_id"), events.text("response"));
        let mut answers: HashMap<u128, Vec<Option<Reply>>> = HashMap::new();
        let mut bounced: Option<Instant> = None;
        for row in 0..events.num_rows() {
            let Some(kind) = EventType::of_name(types.value(row)) else { continue };
            if !matches!(kind, EventType::Delivered | EventType::Deferred | EventType::Bounced) {
                continue;
            }
            let Some(id) = ids.get(row) else { continue };
            let response = responses.is_valid(row).then(|| responses.value(row));
            self.has_responses |= response.is_some();
            let reply = Reply::ALL.into_iter().find(|reply| Some(reply.response()) == response);
            if reply == Some(Reply::NoSuchMailbox) {
                bounced.get_or_insert(Instant(times.value(row)));
            }
            // Giving up is no attempt.
            if !matches!(reply, Some(Reply::Expired | Reply::ExpiredFull)) {
                answers.entry(id).or_default().push(reply.filter(|_| kind != EventType::Delivered));
            }
        }
        let (mut own_full, mut own) = (0.0, 0.0);
        for message in &history.messages {
            let Some(replies) = answers.get(&message.id) else { continue };
            let is_full = replies.first() == Some(&Some(Reply::MailboxFull));
            if replies.first() != Some(&Some(Reply::NoSuchMailbox)) {
                self.messages += 1;
                self.full += u64::from(is_full);
                own += 1.0;
                own_full += f64::from(u8::from(is_full));
            }
            for (place, reply) in replies.iter().enumerate() {
                if matches!(reply, Some(Reply::MailboxFull | Reply::NoSuchMailbox)) {
                    continue;
                }
                let counts = if place == 0 {
                    &mut self.first[address.provider as usize][usize::from(attempts.is_busy(message.sent))]
                } else {
                    &mut self.later
                };
                counts[0] += 1;
                counts[1] += u64::from(reply.is_some());
            }
        }
        for (sum, more) in self.squares.iter_mut().zip([own_full * own_full, own_full * own, own * own]) {
            *sum += more;
        }
        let (Some(first), Some(last)) = (history.messages.first(), history.messages.last()) else { return };
        self.recipients += 1;
        let begin = super::tally::begin(law);
        let days = |from: Instant, to: Instant| to.since(from) as f64 / DAY as f64;
        self.days_to_first += days(begin, first.sent);
        if first.bounced.is_some() && first.bounced == bounced {
            self.dead_at_first += 1;
        } else {
            self.died += u64::from(bounced.is_some());
            self.days += days(first.sent, bounced.unwrap_or(last.sent));
        }
    }

    pub(super) fn report(&self, law: &Law<'_>, sheet: &mut Sheet) {
        let (Some(attempts), Some(own)) = (law.model().attempts(), &law.config().delivery.attempts) else { return };
        let path = |key: &str| format!("delivery.attempts.{key}");
        if !self.has_responses {
            return sheet.skip(path("probability"), "without the column response, full mailboxes cannot be told from other causes");
        }
        let (mut busy, mut others) = ((0.0, 0.0), (0.0, 0.0));
        for provider in MailboxProvider::ALL {
            let counts = self.first[provider as usize];
            let [p, factor, _] = attempts.first(provider, false);
            let name = path(&format!("probability × provider_factors.{}", provider.name()));
            sheet.share(
                Parameter::level(name, "share", p * factor, "first attempts deferred outside busy minutes"),
                counts[0][1],
                counts[0][0],
            );
            for (sum, [all, deferred]) in [&mut others, &mut busy].into_iter().zip(counts) {
                sum.0 += deferred as f64;
                sum.1 += factor * all as f64;
            }
        }
        if busy.0 > 0.0 && others.0 > 0.0 {
            let error = (busy.0.recip() + others.0.recip()).sqrt();
            let parameter = Parameter::factor(path("busy_factor"), own.busy_factor, "first attempts deferred, busy minutes over others");
            sheet.normal(parameter, Scale::Log, busy.0 / busy.1 / (others.0 / others.1), error, busy.0 as u64);
        } else {
            sheet.skip(path("busy_factor"), "no first attempt was deferred in a busy minute, or in another");
        }
        let parameter = Parameter::level(path("probability_again"), "share", own.probability_again, "later attempts deferred");
        sheet.share(parameter, self.later[1], self.later[0]);
        if let Some(full) = &own.full_mailboxes {
            let (name, n) = (path("full_mailboxes.share"), self.messages as f64);
            if self.full > 0 {
                let share = self.full as f64 / n;
                let [full_full, full_all, all_all] = self.squares;
                let error = (full_full - 2.0 * share * full_all + share * share * all_all).max(0.0).sqrt() / n;
                let parameter = Parameter::level(name, "share", full.share, "first attempts that met a full mailbox, by recipient");
                sheet.normal(parameter, Scale::Linear, share, error, self.messages);
            } else {
                sheet.skip(name, "no mailbox was full");
            }
        }
        if let Some(dead) = &own.dead_addresses {
            let (initial, per_day) = (path("dead_addresses.initial_share"), path("dead_addresses.per_day"));
            // Of those, some died before their first message.
            let before = math::exp(-dead.per_day * self.days_to_first / self.recipients.max(1) as f64);
            let truth = 1.0 - (1.0 - dead.initial_share) * before;
            let parameter = Parameter::level(initial, "share", truth, "recipients whose first message bounced hard");
            sheet.share(parameter, self.dead_at_first, self.recipients);
            sheet.rate(
                Parameter::level(per_day, "a day", dead.per_day, "later hard bounces over days of living addresses"),
                self.died,
                self.days,
            );
        }
    }
}
