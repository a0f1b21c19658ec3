//! Attempts at delivery: mailbox providers that defer, mailboxes that are full for a while, addresses that die, and what the sender's
//! server does about it: it tries again, and in the end gives up.

use super::actor::Walk;
use super::address::{Address, AddressConfig, FullMailboxesConfig};
use super::calendar::{MILLISECOND, check_each_once};
use super::events::EventType;
use super::failures::Reply;
use super::mailbox::MailboxProvider;
use super::policy::Draft;
use super::rows::{AttemptTruth, Event, FullTruth, Truth, Uuid};
use super::world::{Span, from_minutes, nearest};
use crate::dist::{Bernoulli, Categorical, UniformF64};
use crate::scenario::{Checker, Observer};
use crate::section::section;
use crate::stream::{ActorKey, Purpose};
use crate::time::{DAY, Instant, UtcOffset};

/// By message and attempt: whether it is deferred, why, how long until the next.
const ATTEMPT: Purpose = Purpose::new(21);
/// By message and attempt: the id of its event, then that of giving up.
const ATTEMPT_IDS: Purpose = Purpose::new(22);

/// The first ordinal of a message's attempts.
const fn first_of(message: u64) -> u64 {
    message << 6
}

/// No message has more attempts.
pub(super) const MOST_ATTEMPTS: usize = 64;

section! {
    /// Attempts at delivery, in place of `delivery.probability`: a message that is deferred is tried again until it is delivered, bounces or
    /// is given up. What arrives at the first attempt takes as long as `latency` says. Every key has a default.
    #[serde(default)]
    pub struct AttemptsConfig {
        /// P(the first attempt of a message is deferred), before the factors of provider and minute.
        probability: f64 [0.0 ..= 1.0],
        /// P(an attempt is deferred | the one before was).
        probability_again: f64 [0.0 ..= 1.0],
        /// Minutes of the hour, of the sending on the clock of `esp_timezone`, at which many send at once.
        busy_minutes: Vec<u8> [each 0 ..= 59],
        /// The factor of `probability` in them.
        busy_factor: f64 [0.0 ..= 1_000.0],
        /// The factors of `probability` by mailbox provider.
        provider_factors: ProviderFactorsConfig,
        /// Why attempts are deferred where the mailbox is not full, with weights.
        causes: CausesConfig,
        /// Minutes from a deferral to the next attempt: of the first, the second, …; the last holds for all that follow.
        wait_minutes: Vec<f64> [len 1 ..= 64, each 1 ..= 1_440],
        /// The factor of every wait: uniform.
        wait_factor: Span,
        /// Hours from the first answer after which a message that is still deferred bounces.
        give_up_hours: f64 [0.1 ..= 240.0],
        /// Mailboxes that are full for a while, whose every attempt is deferred; null: there are none.
        full_mailboxes: Option<FullMailboxesConfig>,
        /// Addresses that exist no more: what is sent to one bounces, and what is sent after such a bounce is dropped; null: there are none.
        dead_addresses: Option<AddressConfig>,
    }

    /// Factors by mailbox provider.
    pub struct ProviderFactorsConfig {
        /// Gmail.
        gmail: f64 [0.0 ..= 1_000.0],
        /// Yahoo.
        yahoo: f64 [0.0 ..= 1_000.0],
        /// Outlook.
        outlook: f64 [0.0 ..= 1_000.0],
        /// Apple.
        apple: f64 [0.0 ..= 1_000.0],
        /// All others.
        other: f64 [0.0 ..= 1_000.0],
    }

    /// Why attempts are deferred, with weights.
    pub struct CausesConfig {
        /// The server puts off who it does not know: `451 4.7.1`.
        greylist: f64 [0.0 ..],
        /// Too much is sent at once: `421 4.7.28`.
        rate: f64 [0.0 ..],
        /// The server is in trouble: `451 4.3.0`.
        server: f64 [0.0 ..],
    }
}

impl Default for AttemptsConfig {
    fn default() -> Self {
        Self {
            probability: 0.03,
            probability_again: 0.35,
            busy_minutes: vec![0, 1, 2, 30, 31],
            busy_factor: 3.0,
            provider_factors: ProviderFactorsConfig { gmail: 0.7, yahoo: 1.3, outlook: 1.2, apple: 0.7, other: 1.0 },
            causes: CausesConfig { greylist: 0.5, rate: 0.3, server: 0.2 },
            wait_minutes: vec![5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 240.0],
            wait_factor: Span { low: 0.8, high: 1.2 },
            give_up_hours: 72.0,
            full_mailboxes: Some(FullMailboxesConfig::default()),
            dead_addresses: Some(AddressConfig::default()),
        }
    }
}

/// The law of attempts.
#[derive(Clone, Debug)]
pub struct Attempts {
    probability: f64,
    pub(super) probability_again: f64,
    again: Bernoulli,
    timezone: UtcOffset,
    busy: [bool; 60],
    busy_factor: f64,
    /// By provider.
    factors: [f64; MailboxProvider::ALL.len()],
    /// By provider: of other minutes, then of busy ones.
    first: [[Bernoulli; 2]; MailboxProvider::ALL.len()],
    cause: Categorical,
    cause_shares: [f64; Self::CAUSES.len()],
    pub(super) waits: Box<[f64]>,
    pub(super) wait_factor: UniformF64,
    wait_span: Span,
    pub(super) give_up: i64,
    pub(super) full: Option<FullMailboxesConfig>,
    pub(super) dead: Option<AddressConfig>,
}

/// An attempt to deliver a message, as the truth tells it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Attempt {
    /// From 1.
    pub number: u8,
    /// When it was answered.
    pub at: Instant,
    /// P(it is deferred) = `base` · `provider` · `busy`; 1 where the mailbox is full, and 0 where the address is dead.
    pub p_defer: f64,
    /// Of the first, that of the document; of others P(deferred | the one before was).
    pub base: f64,
    /// The factor of the mailbox provider: 1 of all but the first.
    pub provider: f64,
    /// The factor of the minute: 1 of all but the first.
    pub busy: f64,
    /// Whether the mailbox was full.
    pub is_full: bool,
    /// What failed; `None` where the message was delivered.
    pub reply: Option<Reply>,
}

/// How the attempts of a message ended.
#[derive(Clone, Copy)]
pub(super) struct Arrival {
    pub(super) at: Instant,
    /// What deferrals add to the latency, microseconds.
    pub(super) deferral: i64,
    /// The number of the last attempt.
    pub(super) attempt: u8,
    /// Why it never arrived.
    pub(super) bounced: Option<Reply>,
}

impl Attempts {
    /// Why attempts are deferred where the mailbox is not full.
    pub const CAUSES: [Reply; 3] = [Reply::Greylisted, Reply::RateLimited, Reply::ServerTrouble];

    pub(super) fn new(own: &AttemptsConfig, timezone: UtcOffset, checker: &mut Checker) -> Option<Self> {
        let path = |key: &str| format!("delivery.attempts.{key}");
        let ProviderFactorsConfig { gmail, yahoo, outlook, apple, other } = own.provider_factors;
        let factors = [gmail, yahoo, outlook, apple, other];
        check_each_once(checker, &path("busy_minutes"), &own.busy_minutes);
        let most = factors.iter().copied().fold(0.0, f64::max) * own.busy_factor.max(1.0);
        checker.require(own.probability * most <= 1.0, path("probability"), || {
            format!("times the greatest factors, {most}, must be at most 1, got {}", own.probability * most)
        });
        let again = checker.take(path("probability_again"), Bernoulli::new(own.probability_again));
        let causes = [own.causes.greylist, own.causes.rate, own.causes.server];
        let cause = checker.take(path("causes"), Categorical::new(&causes));
        let wait_factor = own.wait_factor.uniform(&path("wait_factor"), checker);
        checker.require(own.wait_factor.low > 0.0, path("wait_factor.low"), || "must be above 0".into());
        checker.require(own.wait_factor.high <= 10.0, path("wait_factor.high"), || {
            format!("must be at most 10, got {}", own.wait_factor.high)
        });
        let shortest: f64 = (0..MOST_ATTEMPTS - 1).map(|place| own.wait_factor.low * wait(&own.wait_minutes, place)).sum();
        if checker.is_clean() && shortest < 60.0 * own.give_up_hours {
            checker.problem(
                path("wait_minutes"),
                format!("{MOST_ATTEMPTS} attempts may end after {:.1} hours, before `give_up_hours`", shortest / 60.0),
                "wait longer, or give up earlier",
            );
        }
        let first = |factor: f64| {
            [1.0, own.busy_factor].map(|busy| Bernoulli::new((own.probability * factor * busy).min(1.0)).expect("the ranges hold"))
        };
        if !checker.is_clean() {
            return None;
        }
        let total: f64 = causes.iter().sum();
        Some(Self {
            probability: own.probability,
            probability_again: own.probability_again,
            again: again?,
            timezone,
            busy: core::array::from_fn(|minute| own.busy_minutes.contains(&(minute as u8))),
            busy_factor: own.busy_factor,
            factors,
            first: factors.map(first),
            cause: cause?,
            cause_shares: causes.map(|weight| weight / total),
            waits: own.wait_minutes.clone().into(),
            wait_factor: wait_factor?,
            wait_span: own.wait_factor,
            give_up: from_minutes(60.0 * own.give_up_hours),
            full: own.full_mailboxes.clone().filter(|full| full.share > 0.0),
            dead: own.dead_addresses.clone(),
        })
    }

    /// P(deferred for another cause than a full mailbox | deferred so), by cause as in [`CAUSES`](Self::CAUSES).
    pub fn cause_shares(&self) -> [f64; 3] {
        self.cause_shares
    }

    /// P(an attempt is deferred | the one before was), where the mailbox is not full.
    pub fn probability_again(&self) -> f64 {
        self.probability_again
    }

    /// The share of recipients whose mailbox is full.
    pub fn full_share(&self) -> f64 {
        self.full.as_ref().map_or(0.0, |full| full.share)
    }

    /// Whether many send at once at the minute of a sending.
    pub fn is_busy(&self, sent: Instant) -> bool {
        self.busy[usize::from(self.timezone.local(sent).minute())]
    }

    /// The share of the minutes of an hour at which many send at once.
    pub fn busy_share(&self) -> f64 {
        self.busy.iter().filter(|busy| **busy).count() as f64 / 60.0
    }

    /// P(the first attempt of a message is deferred), where the mailbox is not full: `probability` and its factors by provider and minute.
    pub fn first(&self, provider: MailboxProvider, is_busy: bool) -> [f64; 3] {
        [self.probability, self.factors[provider as usize], if is_busy { self.busy_factor } else { 1.0 }]
    }

    /// Least and greatest minutes from the deferral of an attempt, numbered from 1, to the next.
    pub fn wait_minutes(&self, attempt: u8) -> [f64; 2] {
        let wait = wait(&self.waits, usize::from(attempt) - 1);
        [self.wait_span.low * wait, self.wait_span.high * wait]
    }

    /// How long after its first answer a message is given up, microseconds.
    pub fn gives_up_after(&self) -> i64 {
        self.give_up
    }

    /// How long deferrals can last, microseconds.
    pub(super) fn longest_deferral(&self) -> i64 {
        if self.probability == 0.0 && self.full.is_none() { 0 } else { self.give_up }
    }

    /// The attempts at a message sent to `address`, each answered `latency` after it was made.
    pub(super) fn run(
        &self,
        key: &ActorKey,
        message: u64,
        address: &mut Address,
        (sent, latency): (Instant, i64),
        mut each: impl FnMut(&Attempt),
    ) -> Arrival {
        let (purpose, ordinal) = (key.purpose(ATTEMPT), first_of(message));
        let provider = address.provider;
        let mut deferral = 0;
        for number in 1..=MOST_ATTEMPTS as u8 {
            let words = purpose.ordinal(ordinal | u64::from(number - 1)).words();
            let at = sent.plus(latency + deferral);
            let (provider_factor, busy_factor, base, deferred) = if number == 1 {
                let is_busy = self.is_busy(sent);
                let [base, of_provider, of_minute] = self.first(provider, is_busy);
                (of_provider, of_minute, base, self.first[provider as usize][usize::from(is_busy)])
            } else {
                (1.0, 1.0, self.probability_again, self.again)
            };
            let is_full = self.full.as_ref().is_some_and(|full| address.is_full(full, key, at));
            let (p_defer, reply) = if address.is_dead(at) {
                (0.0, Some(Reply::NoSuchMailbox))
            } else if is_full {
                (1.0, Some(Reply::MailboxFull))
            } else {
                let reply = deferred.decide(words.word::<0>()).then(|| Self::CAUSES[self.cause.pick(words.word::<1>())]);
                (base * provider_factor * busy_factor, reply)
            };
            each(&Attempt { number, at, p_defer, base, provider: provider_factor, busy: busy_factor, is_full, reply });
            let end = |bounced| Arrival { at, deferral, attempt: number, bounced };
            match reply {
                None => return end(None),
                Some(reply) if !reply.is_deferral() => {
                    address.bounced(at);
                    return end(Some(reply));
                }
                Some(_) => {}
            }
            let minutes = wait(&self.waits, usize::from(number) - 1) * self.wait_factor.at(words.word::<2>());
            let next = deferral + from_minutes(minutes);
            if next > self.give_up || usize::from(number) == MOST_ATTEMPTS {
                let expired = if is_full { Reply::ExpiredFull } else { Reply::Expired };
                return Arrival { at: sent.plus(latency + self.give_up), deferral: self.give_up, attempt: number, bounced: Some(expired) };
            }
            deferral = next;
        }
        unreachable!("the last attempt returns")
    }

    /// The words of the id of an attempt's event.
    pub(super) fn id_words(key: &ActorKey, message: u64, attempt: u8) -> crate::stream::Words {
        key.purpose(ATTEMPT_IDS).ordinal(first_of(message) | u64::from(attempt - 1)).words()
    }
}

/// Minutes of the wait after an attempt, by its place from 0.
pub(super) fn wait(waits: &[f64], place: usize) -> f64 {
    waits[place.min(waits.len() - 1)]
}

/// Microseconds of days, to the millisecond.
pub(super) fn from_days(days: f64) -> i64 {
    nearest(days * (DAY / MILLISECOND) as f64) * MILLISECOND
}

impl<O: Observer<Event, Truth>> Walk<'_, O> {
    /// When the mailbox is full, as long as something may be delivered.
    pub(super) fn full(&mut self) {
        let Self { model, address: Some(address), key, out, .. } = self else { return };
        let Some(law) = model.attempts.as_ref().and_then(|law| law.full.as_ref()) else { return };
        let end = model.window.end().plus(model.longest_delivery());
        address.fill(law, key, end);
        for &(from, until) in address.full.iter().filter(|(from, _)| *from < end) {
            out.reveal(Truth::Full(FullTruth { from, until }));
        }
    }

    /// The attempts to deliver a message, with a row for each that fails.
    pub(super) fn attempts(&mut self, law: &Attempts, draft: &Draft, latency: i64, sent: &Event) -> Arrival {
        let Self { key, address: Some(address), scratch, out, .. } = self else { unreachable!("who is mailed has an address") };
        let message_id = sent.message_id.expect("a message has an id");
        let row = |time, attempt, reply: Reply, [word, more]: [u64; 2]| {
            let event_type = if reply.is_deferral() { EventType::Deferred } else { EventType::Bounced };
            Event { event_id: Uuid::v7(time, word, more), time, event_type, attempt, reply: Some(reply), ..*sent }
        };
        let arrival = law.run(key, draft.ordinal, address, (draft.time, latency), |attempt: &Attempt| {
            out.reveal(Truth::Attempt(AttemptTruth { message_id, attempt: *attempt }));
            if let Some(reply) = attempt.reply {
                let words = Attempts::id_words(key, draft.ordinal, attempt.number);
                scratch.pending.push(row(attempt.at, attempt.number, reply, [words.word::<0>(), words.word::<1>()]));
            }
        });
        if let Some(reply @ (Reply::Expired | Reply::ExpiredFull)) = arrival.bounced {
            let words = Attempts::id_words(key, draft.ordinal, arrival.attempt);
            scratch.pending.push(row(arrival.at, arrival.attempt, reply, [words.word::<2>(), words.word::<3>()]));
        }
        arrival
    }
}
