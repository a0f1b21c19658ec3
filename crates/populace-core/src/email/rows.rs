//! What comes out: rows of numbers and indices. Names live in the model, once.

use super::attempts::Attempt;
use super::decisions::Decision;
use super::delivery::LATENCY_PARTS;
use super::effects::{EFFECTS, Factors};
use super::events::EventType;
use super::failures::Reply;
use super::leaving::LeftBy;
use super::mailbox::MailboxProvider;
use super::people::Person;
use super::world::Circumstances;
use crate::time::Instant;
use core::fmt;
use core::num::NonZeroU128;
use core::str::FromStr;
use std::net::Ipv4Addr;

/// A UUID of version 7 (RFC 9562): 48 bits of milliseconds, then bits of the actor's stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid(NonZeroU128);

impl Uuid {
    /// The UUID of `time`, not before 1970, with 74 random bits: `word` and the low 10 bits of `more`.
    #[inline]
    pub const fn v7(time: Instant, word: u64, more: u64) -> Self {
        const VARIANT: u64 = 0b10 << 62;
        const VERSION: u64 = 7 << 12;
        let high = ((time.0 as u64 / 1_000) << 16) | VERSION | ((more & 0x3FF) << 2) | (word >> 62);
        let low = VARIANT | (word & (u64::MAX >> 2));
        // The variant's bit is set.
        Self(NonZeroU128::MIN.saturating_add((((high as u128) << 64) | low as u128) - 1))
    }

    /// The 128 bits, most significant first.
    #[inline]
    pub const fn to_u128(self) -> u128 {
        self.0.get()
    }

    /// The UUID of these 128 bits; none of zeros alone, which stand for no UUID.
    pub const fn from_u128(bits: u128) -> Option<Self> {
        match NonZeroU128::new(bits) {
            Some(bits) => Some(Self(bits)),
            None => None,
        }
    }
}

/// From the form as written, in any case of letters.
impl FromStr for Uuid {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // Where its groups of digits begin and end; a hyphen is before each but the first.
        const GROUPS: [(usize, usize); 5] = [(0, 8), (9, 13), (14, 18), (19, 23), (24, 36)];
        let digits =
            |group: &[u8]| group.iter().try_fold(0, |bits: u64, byte| Some(bits << 4 | u64::from(char::from(*byte).to_digit(16)?)));
        let bits = <&[u8; 36]>::try_from(text.as_bytes()).ok().and_then(|text| {
            GROUPS.iter().try_fold(0, |bits, (from, to)| {
                let group = digits(&text[*from..*to]).filter(|_| *from == 0 || text[from - 1] == b'-')?;
                Some(bits << (4 * (to - from)) | u128::from(group))
            })
        });
        bits.and_then(Self::from_u128).ok_or_else(|| "must be a UUID such as 018cc251-f400-7cde-8f00-0123456789ab".to_owned())
    }
}

/// As written: `018cc251-f400-7cde-8f00-0123456789ab`.
impl fmt::Display for Uuid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = self.to_u128();
        let group = |shift: u32, digits: u32| (bits >> shift) & ((1 << (4 * digits)) - 1);
        write!(formatter, "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", group(96, 8), group(80, 4), group(64, 4), group(48, 4), group(0, 12))
    }
}

/// A row of `events`. An actor's rows come in the order of time; at the same millisecond in the order of [`EventType`], then of sending.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Event {
    /// Unique; its time is the event's.
    pub event_id: Uuid,
    /// The message of a row of mail; null of others.
    pub message_id: Option<Uuid>,
    /// When, to the millisecond.
    pub time: Instant,
    /// What.
    pub event_type: EventType,
    /// Index into [`EmailModel::esps`](super::EmailModel::esps).
    pub esp: u8,
    /// Index into [`EmailModel::campaigns`](super::EmailModel::campaigns).
    pub campaign: u8,
    /// Index into [`EmailModel::sources`](super::EmailModel::sources).
    pub source: u8,
    /// Index into [`EmailModel::metadata`](super::EmailModel::metadata).
    pub metadata: u16,
    /// Index into [`EmailModel::subjects`](super::EmailModel::subjects); of a row of mail.
    pub subject: Option<u16>,
    /// Index into [`EmailModel::click_urls`](super::EmailModel::click_urls); of a clicked.
    pub click_url: Option<u8>,
    /// Where messages have several links, the one that was clicked, from 0; of a clicked.
    pub link: Option<u8>,
    /// Of an opened, clicked or hot path.
    pub client: Option<Client>,
    /// Of a delivered.
    pub delivery: Option<Delivery>,
    /// Of a delivered, deferred or bounced: the number of the attempt, from 1; 0 of others.
    pub attempt: u8,
    /// Of a deferred, bounced or dropped: why.
    pub reply: Option<Reply>,
    /// Of an opened or clicked: who did it.
    pub agent: Agent,
}

/// Who opens or clicks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Agent {
    /// The recipient.
    #[default]
    Human,
    /// A mail client that fetches images ahead of the recipient.
    AppleMpp,
    /// A gateway that visits every link.
    Scanner,
}

impl Agent {
    /// The names as written, by number.
    pub const NAMES: [&str; 3] = ["human", "apple_mpp", "scanner"];

    /// The name as written.
    pub const fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

/// What a user engages with: the same in all of a user's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// Index into [`EmailModel::user_agents`](super::EmailModel::user_agents).
    pub user_agent: u8,
    /// An address of a network reserved for documentation.
    pub ip: Ipv4Addr,
}

/// What only a delivered row has. Its hour, minute and day of the week are those of `send_time` in UTC, its campaign type that of its
/// campaign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// From sending to delivery, milliseconds.
    pub latency_ms: u32,
    /// When it was sent.
    pub send_time: Instant,
    /// Size, bytes.
    pub payload_size_bytes: u32,
}

/// A row of a truth table. An actor's user comes first, then its rates by month, then when its mailbox is full, then its messages in the
/// order of sending, each after the attempts to deliver it and before what variants would have done, then the decisions of a policy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Truth {
    /// A row of `users`.
    User(UserTruth),
    /// A row of `user_rates`.
    UserRate(UserRateTruth),
    /// A row of `messages`.
    Message(MessageTruth),
    /// A row of `decisions`.
    Decision(Decision),
    /// A row of `potential_outcomes`.
    Outcome(OutcomeTruth),
    /// A row of `attempts`.
    Attempt(AttemptTruth),
    /// A row of `full_mailboxes`.
    Full(FullTruth),
    /// Of the user: when it left, and what made it leave. At most one, among its messages.
    Left(Instant, LeftBy),
}

/// An attempt to deliver a message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttemptTruth {
    /// The message.
    pub message_id: Uuid,
    /// What was drawn against, and what came of it.
    pub attempt: Attempt,
}

/// A time for which a mailbox was full.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FullTruth {
    /// Its begin; the window's of one that was full before.
    pub from: Instant,
    /// Its end.
    pub until: Instant,
}

/// What a variant of an experiment would have done to a message, by the same words.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OutcomeTruth {
    /// The message.
    pub message_id: Uuid,
    /// Index into [`Experiments::list`](super::Experiments::list).
    pub experiment: u8,
    /// Index into its variants.
    pub variant: u8,
    /// Whether the message has it.
    pub is_factual: bool,
    /// P(open | delivered); null if not delivered.
    pub p_open: Option<f64>,
    /// P(click | open); null if not delivered.
    pub p_click: Option<f64>,
    /// Whether the recipient opens it.
    pub opens: bool,
    /// Whether the recipient clicks in it.
    pub clicks: bool,
}

/// Who a user is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UserTruth {
    /// Who, with rates of its own where people differ.
    pub person: Person,
    /// The persona's open rate.
    pub open_rate: f64,
    /// The persona's click rate.
    pub click_rate: f64,
    /// Whether the recipient's client opens messages ahead.
    pub machine_opens: bool,
    /// Who keeps the mailbox, where that matters.
    pub mailbox_provider: Option<MailboxProvider>,
    /// From when on the address does not exist.
    pub address_dead_at: Option<Instant>,
    /// Whether a scanner stands before the recipient's mailbox.
    pub scanner: bool,
}

/// The rates of a user in a month.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UserRateTruth {
    /// The month's first instant, or the window's for the month it starts in.
    pub month: Instant,
    /// Open rate of messages delivered in it.
    pub open_rate: f64,
    /// Click rate of messages delivered in it.
    pub click_rate: f64,
}

/// Why something decided did not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum DroppedReason {
    /// The open would have fallen inside a circuit breaker's window: neither it nor a click happened.
    OpenSuppressed,
    /// The click would have.
    ClickSuppressed,
}

impl DroppedReason {
    /// The names as written, by number.
    pub const NAMES: [&str; 2] = ["open_suppressed", "click_suppressed"];

    /// The name as written.
    pub const fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

/// What was drawn against for a message. The factors of one that was not delivered are those of the delivery it would have had.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MessageTruth {
    /// The message.
    pub message_id: Uuid,
    /// P(open | delivered) = `open_rate` · `factors` · `cap` · (0 if `at.suppressed`), to 1e-12; null if not delivered.
    pub p_open: Option<f64>,
    /// P(click | open) = min(1, `click_rate` / `open_rate` · the effects' factor of it); null if not delivered.
    pub p_click: Option<f64>,
    /// The user's open rate in the month of delivery.
    pub open_rate: f64,
    /// The user's click rate in the month of delivery.
    pub click_rate: f64,
    /// Of the effects, as in [`EFFECTS`](super::EFFECTS).
    pub factors: Factors,
    /// 1, or less where the product of the others was clipped.
    pub cap: f64,
    /// What the factors were taken by.
    pub at: Circumstances,
    /// Why a decided open or click did not happen.
    pub dropped_reason: Option<DroppedReason>,
    /// When the recipient opened it, whether or not a row says so.
    pub human_opened_at: Option<Instant>,
    /// P(an opened row | delivered), by the recipient or a machine, where no circuit breaker comes between; null if not delivered.
    pub p_open_row: Option<f64>,
    /// P(a clicked row | delivered), by the recipient or a scanner, where no circuit breaker comes between; null if not delivered.
    pub p_click_row: Option<f64>,
    /// Of the mixture of open delays, the component of an open that was decided for.
    pub open_component: Option<u8>,
    /// Where recipients leave: whether the message may make its recipient leave; null if not delivered.
    pub leaving: Option<LeavingTruth>,
    /// Seconds in the queue of a blast; 0 of other mail.
    pub latency_queue: f64,
    /// What multiplies to the latency less queue and deferrals, as in [`LATENCY_PARTS`].
    pub latency: [f64; LATENCY_PARTS.len()],
    /// What deferrals add to the latency, seconds.
    pub latency_deferral: f64,
}

/// What was drawn against for whether a delivered message makes its recipient leave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LeavingTruth {
    /// Deliveries to the recipient before this one, of what was sent before it, that count.
    pub deliveries: u32,
    /// m: the factor by their number.
    pub frequency: f64,
    /// c: the factor of the campaign's type.
    pub campaign: f64,
    /// P(unsubscribes | delivered) = `unsubscribe` · m · c; 0 where a message before, or the scan of this one, has made the
    /// recipient leave.
    pub p_unsubscribe: f64,
    /// P(reports as spam | delivered) = `complaint` · m²; 0 as above.
    pub p_complaint: f64,
    /// When the recipient reported it as spam, whether or not the sender is told.
    pub complained_at: Option<Instant>,
}

impl MessageTruth {
    /// The factor of an effect.
    ///
    /// # Panics
    /// There is no such effect.
    pub fn factor(&self, effect: &str) -> f64 {
        let place = EFFECTS.iter().position(|about| about.name == effect);
        self.factors[place.unwrap_or_else(|| panic!("there is no effect {effect}"))]
    }
}
