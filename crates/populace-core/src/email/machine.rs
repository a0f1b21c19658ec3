//! Opens by machines: mail clients that fetch the images of a message ahead of its recipient, as Apple's Mail Privacy Protection does, so
//! that a tracking pixel says little of whether and when somebody looked.

use super::calendar::MILLISECOND;
use super::config::EmailConfig;
use super::people::PERSON;
use super::rows::Client;
use super::world::from_minutes;
use crate::dist::{Bernoulli, LogNormal};
use crate::scenario::Checker;
use crate::section::section;
use crate::stream::{ActorKey, Purpose, Source, Words, below, unit};
use crate::time::{DAY, HOUR, Instant, MINUTE};
use std::net::Ipv4Addr;

/// By message: whether it is fetched, from which address, when.
pub(super) const MACHINE: Purpose = Purpose::new(17);
/// Of [`PERSON`]: word 1 is the client.
const CLIENT: u64 = 2;

/// Nothing that is fetched soon is fetched later, minutes; what is clipped to it is counted.
const LATEST: f64 = 1_440.0;

section! {
    /// Opens by clients that fetch images ahead of their users: an `opened` row at the fetch, or at the open where that is earlier. The
    /// open itself, the click and their probabilities are those of a document without this section. Every key has a default.
    #[serde(default)]
    pub struct MachineOpensConfig {
        /// The share of recipients with such a client.
        user_share: f64 [0.0 ..= 1.0],
        /// P(fetched | delivered to one of them).
        probability: f64 [0.0 ..= 1.0],
        /// The share of fetches that come soon after delivery. The others come in the next night, uniformly.
        soon_share: f64 [0.0 ..= 1.0],
        /// Minutes from delivery to a fetch that comes soon: median of a lognormal; at most a day.
        soon_median_minutes: f64 [0.1 ..= 1_440.0],
        /// Standard deviation of its logarithm.
        soon_sigma: f64 [0.0 ..= 2.0],
        /// The first hour of the night on the recipients' clock.
        night_begins: u8 [0 ..= 23],
        /// The hour of the day at which the night ends.
        night_ends: u8 [0 ..= 23],
        /// What such a client says that it is, in the `opened` rows of all its users.
        user_agent: String,
        /// The providers whose rows say whether an open is a machine's, in the column `machine_open`; null: those called `sendgrid`.
        #[serde(skip_serializing_if = "Option::is_none")]
        flagged_by: Option<Vec<String>>,
    }
}

impl Default for MachineOpensConfig {
    fn default() -> Self {
        Self {
            user_share: 0.3,
            probability: 0.95,
            soon_share: 0.05,
            soon_median_minutes: 3.0,
            soon_sigma: 1.5,
            night_begins: 22,
            night_ends: 6,
            user_agent: "Mozilla/5.0".into(),
            flagged_by: None,
        }
    }
}

/// The provider that flags machines' opens (`sg_machine_open`).
const FLAGGING: &str = "sendgrid";

/// Clients that fetch ahead.
#[derive(Clone, Debug)]
pub struct MachineOpens {
    has: Bernoulli,
    /// The share of recipients with such a client.
    pub user_share: f64,
    fetched: Bernoulli,
    /// P(fetched | delivered to a recipient with such a client).
    pub probability: f64,
    soon: Bernoulli,
    soon_share: f64,
    soon_minutes: LogNormal,
    /// Begin and length of the night, microseconds.
    night: (i64, i64),
    /// Its user agent: an index into [`EmailModel::user_agents`](super::EmailModel::user_agents).
    pub user_agent: u8,
    /// By number of the provider.
    flagged: Box<[bool]>,
}

/// A fetch.
#[derive(Clone, Copy)]
pub(super) struct Fetch {
    pub(super) time: Instant,
    pub(super) client: Client,
    pub(super) is_clipped: bool,
}

impl MachineOpens {
    pub(super) fn new(own: &MachineOpensConfig, config: &EmailConfig, checker: &mut Checker) -> Option<Self> {
        let path = |key: &str| format!("machine_opens.{key}");
        checker.require(own.night_begins != own.night_ends, path("night_ends"), || "must not be the hour at which the night begins".into());
        checker.require(!own.user_agent.trim().is_empty(), path("user_agent"), || {
            "must not be empty, since it tells whose rows they are".to_owned()
        });
        checker.require(!config.user_agents.contains(&own.user_agent), path("user_agent"), || {
            format!("`{}` is one of `user_agents` too, so that nobody could tell whose rows they are", own.user_agent)
        });
        for (index, name) in own.flagged_by.iter().flatten().enumerate() {
            if !config.esps.contains_key(name) {
                let known: Vec<&str> = config.esps.keys().map(String::as_str).collect();
                checker.problem(
                    format!("{}.{index}", path("flagged_by")),
                    format!("`{name}` is not a provider"),
                    format!("choose from {}", known.join(", ")),
                );
            }
        }
        let has = checker.take(path("user_share"), Bernoulli::new(own.user_share));
        let fetched = checker.take(path("probability"), Bernoulli::new(own.probability));
        let soon = checker.take(path("soon_share"), Bernoulli::new(own.soon_share));
        let soon_minutes = checker.take(path("soon_median_minutes"), LogNormal::new(own.soon_median_minutes, own.soon_sigma));
        let hours = (i64::from(own.night_ends) - i64::from(own.night_begins)).rem_euclid(24);
        Some(Self {
            has: has?,
            user_share: own.user_share,
            fetched: fetched?,
            probability: own.probability,
            soon: soon?,
            soon_share: own.soon_share,
            soon_minutes: soon_minutes?,
            night: (i64::from(own.night_begins) * HOUR, hours * HOUR),
            user_agent: config.user_agents.len() as u8,
            flagged: config.esps.keys().map(|name| own.flagged_by.as_ref().map_or(name == FLAGGING, |own| own.contains(name))).collect(),
        })
    }

    /// Whether an actor's client fetches ahead.
    pub(super) fn is_of(&self, actor: &ActorKey) -> bool {
        self.has.decide(actor.purpose(PERSON).ordinal(CLIENT).words().word::<1>())
    }

    /// How many `opened` rows there are, if so many messages are delivered and recipients open so many of them.
    pub(super) fn rows(&self, delivered: f64, opened: f64) -> f64 {
        opened + self.user_share * self.probability * (delivered - opened)
    }

    /// Whether the rows of a provider say which opens are a machine's.
    pub fn is_flagged(&self, esp: u8) -> bool {
        self.flagged.get(usize::from(esp)).is_some_and(|is| *is)
    }

    /// Who opens a message, as its row says; `words` are those of the message.
    pub(super) fn client(&self, words: &Words, addresses: &[Ipv4Addr]) -> Client {
        Client { user_agent: self.user_agent, ip: addresses[below(words.word::<1>(), addresses.len() as u64) as usize] }
    }

    /// The fetch of a message delivered at `delivered`, which is `local` on its recipient's clock; `words` are those of the message.
    pub(super) fn fetch(&self, delivered: Instant, local: Instant, addresses: &[Ipv4Addr], words: &Words) -> Option<Fetch> {
        if !self.fetched.decide(words.word::<0>()) {
            return None;
        }
        let client = self.client(words, addresses);
        if self.soon.decide(words.word::<2>()) {
            let minutes = self.soon_minutes.sample(&mut words.lane::<3>());
            return Some(Fetch { time: delivered.plus(from_minutes(minutes.min(LATEST))), client, is_clipped: minutes > LATEST });
        }
        let (from, until) = self.next_night(local);
        let within = (unit(words.lane::<3>().next_u64()) * ((until - from) / MILLISECOND) as f64) as i64;
        Some(Fetch { time: delivered.plus(from + within * MILLISECOND), client, is_clipped: false })
    }

    /// From a moment on a clock to the begin of what is left of the night, or of the next, and to its end.
    fn next_night(&self, local: Instant) -> (i64, i64) {
        let (begin, length) = self.night;
        // The night that began last.
        let since = (local.0.rem_euclid(DAY) - begin).rem_euclid(DAY);
        if since < length { (0, length - since) } else { (DAY - since, DAY - since + length) }
    }

    /// P(fetched at most `minutes` after delivery | fetched) of a message that is delivered at `local` on its recipient's clock.
    pub fn cdf(&self, local: Instant, minutes: f64) -> f64 {
        let soon = if minutes >= LATEST { 1.0 } else { self.soon_minutes.cdf(minutes) };
        let (from, until) = self.next_night(local);
        let (from, until) = (from as f64 / MINUTE as f64, until as f64 / MINUTE as f64);
        let night = ((minutes - from) / (until - from)).clamp(0.0, 1.0);
        self.soon_share * soon + (1.0 - self.soon_share) * night
    }
}
