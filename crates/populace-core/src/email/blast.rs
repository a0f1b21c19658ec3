//! Blasts: mail to much of the population at one moment, which leaves the provider's queue one message after another.

use super::calendar::MILLISECOND;
use super::campaigns::{CampaignConfig, Campaigns};
use super::config::EmailConfig;
use super::delivery::MAX_LATENCY;
use super::effects::occasion::Names;
use super::policy::{Draft, blasted};
use super::world::nearest;
use super::zones::{Clock, SendClock};
use crate::dist::{Bernoulli, Categorical};
use crate::scenario::Checker;
use crate::section::{choice, section};
use crate::stream::{ActorId, ActorKey, Purpose, StreamKey, unit};
use crate::time::{DAY, Date, HOUR, Instant, MINUTE, SECOND};
use std::collections::BTreeMap;

/// By blast: of an actor, whether it is in the audience and its place in the queue; of the world, the provider and the subject.
const BLAST: Purpose = Purpose::new(25);
/// Who draws for all.
const WORLD: ActorId = ActorId(u64::MAX);
/// Bits of a blast's ordinal.
const NAME_BITS: u32 = 40;

choice! {
    /// Whose clock a moment is on.
    pub enum BlastClock {
        /// The recipients'.
        Recipients,
        /// UTC.
        Utc,
    }
}

section! {
    /// A blast: one campaign to a share of the recipients at one moment, by one provider and under one subject, which are drawn. All are
    /// sent at that moment, and leave the provider's queue at a rate. How long the queue is, is the document's, so that recipients stay as
    /// they are whatever their number.
    pub struct BlastConfig {
        /// Its name: small letters, digits, `-` and `_`. What is drawn for it hangs on the name alone.
        name: String,
        /// Its campaign: one of `campaigns`.
        campaign: String,
        /// The share of recipients that it goes to.
        #[serde(default = "share")]
        share: f64 [0.0 ..= 1.0],
        /// Its day, within the window.
        date: Date,
        /// The hour of the day.
        hour: u8 [0 ..= 23],
        /// The minute of the hour.
        #[serde(default)]
        minute: u8 [0 ..= 59],
        /// Whose clock shows that moment.
        #[serde(default = "clock")]
        clock: BlastClock,
        /// How many messages the queue holds when it begins to drain.
        #[serde(default = "queue_length")]
        queue_length: u64 [1 ..= 1_000_000_000],
        /// Messages that leave the queue in a second. It is empty within a day.
        #[serde(default = "rate")]
        rate_per_second: f64 [0.01 ..= 1_000_000.0],
    }
}

const fn share() -> f64 {
    0.8
}

const fn clock() -> BlastClock {
    BlastClock::Recipients
}

const fn queue_length() -> u64 {
    100_000
}

const fn rate() -> f64 {
    100.0
}

/// A blast.
#[derive(Clone, Debug)]
pub struct Blast {
    /// Its name.
    pub name: String,
    /// The share of recipients that it goes to.
    pub share: f64,
    member: Bernoulli,
    /// When it is sent, as `clock` shows it.
    pub wall: Instant,
    /// Whose clock that is.
    pub clock: BlastClock,
    /// Index into [`EmailModel::campaigns`](super::EmailModel::campaigns).
    pub campaign: u8,
    /// Index into [`EmailModel::metadata`](super::EmailModel::metadata).
    pub metadata: u16,
    /// Seconds until the queue is empty.
    pub seconds: f64,
    ordinal: u64,
}

/// All blasts, in the order of the document.
pub(super) fn new(config: &EmailConfig, names: &mut Names, checker: &mut Checker) -> Vec<Blast> {
    let blasts = config.blasts.as_deref().unwrap_or_default();
    if config.policy.is_some() {
        let keys = [("blasts", !blasts.is_empty()), ("send_minute", config.minute_of_sends() != SendMinute::Uniform)];
        for (key, _) in keys.into_iter().filter(|(_, is_on)| *is_on) {
            checker.problem(key, "is given together with `policy`, which decides on all moments itself", "leave one of them out");
        }
    }
    let mut made: Vec<Blast> = Vec::new();
    for (index, blast) in blasts.iter().enumerate() {
        let made_of = Blast::new(blast, index, config, names, checker);
        if let Some(of) = made_of {
            if let Some(twin) = made.iter().find(|twin| twin.ordinal == of.ordinal) {
                let is_same = blast.name == twin.name;
                let message = if is_same {
                    format!("`{}` is listed twice", blast.name)
                } else {
                    format!("`{}` draws as `{}` does", blast.name, twin.name)
                };
                checker.problem(format!("blasts.{index}.name"), message, "choose another name");
            }
            made.push(of);
        }
    }
    made
}

impl Blast {
    fn new(own: &BlastConfig, index: usize, config: &EmailConfig, names: &mut Names, checker: &mut Checker) -> Option<Self> {
        let path = |key: &str| format!("blasts.{index}.{key}");
        let is_plain = |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit() || matches!(letter, b'-' | b'_');
        checker.require((1..=64).contains(&own.name.len()) && own.name.bytes().all(is_plain), path("name"), || {
            format!("must be 1 to 64 small letters, digits, `-` and `_`, got `{}`", own.name)
        });
        let campaign = place(&config.campaigns, &own.campaign, &path("campaign"), checker);
        let member = checker.take(path("share"), Bernoulli::new(own.share));
        let seconds = own.queue_length as f64 / own.rate_per_second;
        let most = (MAX_LATENCY / SECOND) as f64;
        checker.require(seconds <= most, path("rate_per_second"), || {
            format!("empties a queue of {} in {seconds:.0} seconds: must do so within {most}", own.queue_length)
        });
        let wall = own.date.midnight().plus(i64::from(own.hour) * HOUR + i64::from(own.minute) * MINUTE);
        let is_within = is_within(config, own.clock, wall);
        checker.require(is_within, path("date"), || {
            format!("{} lies outside of the window, or too near its ends to be within it on all clocks", own.date)
        });
        Some(Self {
            name: own.name.clone(),
            share: own.share,
            member: member?,
            wall,
            clock: own.clock,
            campaign: campaign?,
            metadata: names.metadata(format!(r#"{{"blast":"{}"}}"#, own.name)),
            seconds,
            ordinal: hash(&own.name) >> (u64::BITS - NAME_BITS),
        })
        .filter(|_| is_within)
    }

    /// The number of its messages.
    pub(super) const fn ordinal(&self) -> u64 {
        self.ordinal
    }

    /// Its day, as its clock shows it.
    pub fn date(&self) -> Date {
        self.wall.date()
    }

    /// When it is sent to recipients with a clock.
    pub fn at(&self, clock: Clock<'_>) -> Instant {
        match (self.clock, clock) {
            (BlastClock::Utc, _) => self.wall,
            (BlastClock::Recipients, Clock::Zone(zone)) => zone.instant(self.wall),
            (BlastClock::Recipients, Clock::Fixed(offset)) => self.wall.plus(-i64::from(offset.minutes()) * MINUTE),
        }
    }

    /// The message of an actor at `time`, if it is in the audience; `all` is the key of all actors.
    pub(super) fn draft(&self, time: Instant, all: StreamKey, actor: &ActorKey, laws: (&Categorical, &Campaigns)) -> Option<Draft> {
        let (esps, campaigns) = laws;
        let words = actor.purpose(BLAST).ordinal(self.ordinal).words();
        if !self.member.decide(words.word::<0>()) {
            return None;
        }
        let world = all.actor(WORLD).purpose(BLAST).ordinal(self.ordinal).words();
        Some(Draft {
            time,
            ordinal: blasted(self.ordinal),
            esp: esps.pick(world.word::<0>()) as u8,
            campaign: self.campaign,
            metadata: self.metadata,
            subject: campaigns.list[usize::from(self.campaign)].subject(world.word::<1>()),
            decision: None,
            queue: nearest(unit(words.word::<1>()) * self.seconds * (SECOND / MILLISECOND) as f64) * MILLISECOND,
        })
    }
}

/// Whether a moment is within the window of all recipients. Where their days are not counted by the clock that shows it, it is a day away
/// from the ends.
fn is_within(config: &EmailConfig, clock: BlastClock, wall: Instant) -> bool {
    let days = config.timezones.as_ref().map(|_| config.sends.clock.unwrap_or(SendClock::Recipient));
    let (ahead, margin) = match (days, clock) {
        (None, BlastClock::Recipients) => (i64::from(config.timezone.minutes()) * MINUTE, 0),
        (None | Some(SendClock::Utc), BlastClock::Utc) | (Some(SendClock::Recipient), BlastClock::Recipients) => (0, 0),
        _ => (0, 1),
    };
    let day = wall.plus(-ahead).since(config.window.start.midnight()).div_euclid(DAY);
    (margin..i64::from(config.window.days) - margin).contains(&day)
}

/// The place of a campaign.
fn place(campaigns: &BTreeMap<String, CampaignConfig>, id: &str, path: &str, checker: &mut Checker) -> Option<u8> {
    let found = campaigns.keys().position(|known| known == id);
    if found.is_none() {
        let known: Vec<&str> = campaigns.keys().map(String::as_str).collect();
        checker.problem(path, format!("`{id}` is not a campaign"), format!("choose from {}", known.join(", ")));
    }
    found.map(|place| place as u8)
}

/// FNV-1a.
fn hash(name: &str) -> u64 {
    name.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}

choice! {
    /// How scheduled sends lie within their hour.
    pub enum SendMinute {
        /// Anywhere.
        Uniform,
        /// Half of them in the minutes 0, 15, 30 and 45, as people schedule; the others anywhere.
        Clustered,
    }
}

impl SendMinute {
    /// The share of sends in the minutes of quarters, beyond those that fall there anyway.
    pub(super) const CLUSTERED: f64 = 0.5;

    /// The place within the hour, 0 to 1, of one that would be uniform.
    pub(super) fn place(self, uniform: f64) -> f64 {
        match self {
            Self::Uniform => uniform,
            Self::Clustered if uniform < Self::CLUSTERED => {
                let quarters = uniform / Self::CLUSTERED * 4.0;
                quarters.floor() / 4.0 + (quarters - quarters.floor()) / 60.0
            }
            Self::Clustered => (uniform - Self::CLUSTERED) / (1.0 - Self::CLUSTERED),
        }
    }

    /// The share of an hour's sends in one of its minutes.
    pub fn share(self, minute: usize) -> f64 {
        match self {
            Self::Uniform => 1.0 / 60.0,
            Self::Clustered => {
                let quarter = if minute.is_multiple_of(15) { Self::CLUSTERED / 4.0 } else { 0.0 };
                quarter + (1.0 - Self::CLUSTERED) / 60.0
            }
        }
    }

    /// The share of an hour's sends before a place of it, 0 to 1.
    pub fn before(self, place: f64) -> f64 {
        let minutes = 60.0 * place;
        let whole = (minutes.floor() as usize).min(59);
        (0..whole).map(|minute| self.share(minute)).sum::<f64>() + (minutes - whole as f64) * self.share(whole)
    }
}
