//! Clicks by scanners: gateways that follow every link of a message before its recipient sees it, to learn whether one of them leads to
//! harm, so that a click says little of whether somebody clicked.

use super::calendar::MILLISECOND;
use super::config::EmailConfig;
use super::events::EventType;
use super::rows::{Agent, Client, Event, Uuid};
use super::world::{Span, nearest};
use crate::dist::{Bernoulli, LogNormal, UniformF64};
use crate::scenario::Checker;
use crate::section::section;
use crate::stream::{ActorKey, Purpose, Source, below};
use crate::time::{Instant, SECOND};
use std::net::Ipv4Addr;

/// By message: whether it is scanned, whether soon, when and whether its images are loaded, from which address and at what pace. Of
/// [`WHICH`]: which scanner a recipient has.
const SCANNER: Purpose = Purpose::new(18);
/// By message and row: its event id.
const SCANNER_IDS: Purpose = Purpose::new(19);
/// Of a person: ordinal 2, word 2 is the scanner.
const PERSON: Purpose = Purpose::new(15);
const CLIENT: u64 = 2;
/// No message has this ordinal: word 0 is which scanner a recipient has, word 1 whether its sender's link to unsubscribe takes a visit for
/// a request.
const WHICH: u64 = u64::MAX;
/// Rows of a message have six bits: the image, then at most 60 links, and last what follows from the link to unsubscribe.
const ROW_BITS: u32 = 6;
const UNSUBSCRIBED: u8 = 63;

/// No scan begins later than this after delivery, seconds; what is clipped to it is counted.
const LATEST: f64 = 86_400.0;

section! {
    /// Clicks by scanners: a gateway visits every link of a message once, one after another. Rows of people are those of a document
    /// without this section. Every key has a default.
    #[serde(default)]
    pub struct ScannersConfig {
        /// The share of recipients behind such a gateway.
        user_share: f64 [0.0 ..= 1.0],
        /// P(scanned | delivered to one of them).
        probability: f64 [0.0 ..= 1.0],
        /// Links of a message, 1 to 60: a scanner visits all of them, a recipient who clicks one.
        links: u8 [1 ..= 60],
        /// The share of scans that begin within seconds of delivery.
        fast_share: f64 [0.0 ..= 1.0],
        /// Seconds from delivery to such a scan: median of a lognormal; at most a day.
        fast_median_seconds: f64 [0.1 ..= 3_600.0],
        /// Standard deviation of its logarithm.
        fast_sigma: f64 [0.0 ..= 2.0],
        /// Minutes from delivery to the other scans: uniform, at most a day.
        slow_minutes: Span,
        /// Seconds from one link to the next: uniform, at most a minute.
        gap_seconds: Span,
        /// P(the images are loaded too, so that there is an `opened` row at the begin of the scan | scanned).
        pixel_share: f64 [0.0 ..= 1.0],
        /// What scanners say that they are, equally likely; a recipient's keeps one.
        user_agents: Vec<String> [len 1 ..= 50],
        /// The share of recipients whose sender's link to unsubscribe takes a visit for a request, so that the first scan unsubscribes
        /// them; needs `leaving`. The link comes after the others, and a visit of it has no `clicked` row.
        unsubscribe_on_get: f64 [0.0 ..= 1.0],
    }
}

impl Default for ScannersConfig {
    fn default() -> Self {
        Self {
            user_share: 0.12,
            probability: 0.9,
            links: 8,
            fast_share: 0.8,
            fast_median_seconds: 3.0,
            fast_sigma: 0.8,
            slow_minutes: Span { low: 1.0, high: 30.0 },
            gap_seconds: Span { low: 0.05, high: 0.5 },
            pixel_share: 0.5,
            user_agents: [
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/109.0.0.0 Safari/537.36",
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36",
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/130.0.0.0 Safari/537.36",
                "Mozilla/5.0 (compatible; LinkScanner/2.1)",
                "python-requests/2.32.3",
            ]
            .map(str::to_owned)
            .into(),
            unsubscribe_on_get: 0.0,
        }
    }
}

/// Gateways that visit links.
#[derive(Clone, Debug)]
pub struct Scanners {
    has: Bernoulli,
    /// The share of recipients behind one.
    pub user_share: f64,
    scanned: Bernoulli,
    /// P(scanned | delivered to a recipient behind one).
    pub probability: f64,
    /// Links of a message.
    pub links: u8,
    fast: Bernoulli,
    fast_share: f64,
    fast_seconds: LogNormal,
    slow: Span,
    slow_minutes: UniformF64,
    gap: Span,
    gap_seconds: UniformF64,
    pixel: Bernoulli,
    /// P(the images are loaded | scanned).
    pub pixel_share: f64,
    unsubscribes: Bernoulli,
    /// P(the first scan unsubscribes | behind one).
    pub unsubscribe_on_get: f64,
    /// The first of their user agents among [`EmailModel::user_agents`](super::EmailModel::user_agents), and how many there are.
    agents: (u8, u8),
}

impl Scanners {
    pub(super) fn new(own: &ScannersConfig, config: &EmailConfig, checker: &mut Checker) -> Option<Self> {
        let path = |key: &str| format!("scanners.{key}");
        let others = || config.user_agents.iter().chain(config.machine_opens.iter().map(|machine| &machine.user_agent));
        for (index, agent) in own.user_agents.iter().enumerate() {
            let path = format!("{}.{index}", path("user_agents"));
            if agent.trim().is_empty() {
                checker.require(false, path, || "must not be empty, since it tells whose rows they are".to_owned());
                continue;
            }
            checker.require(!others().any(|other| other == agent), path.clone(), || {
                format!("`{agent}` is that of a recipient or of `machine_opens` too, so that nobody could tell whose rows they are")
            });
            checker.require(!own.user_agents[..index].contains(agent), path, || format!("`{agent}` is listed twice"));
        }
        if own.unsubscribe_on_get > 0.0 && config.leaving.is_none() {
            checker.problem(
                path("unsubscribe_on_get"),
                "must be 0 without `leaving`, since nobody can unsubscribe",
                "add `leaving: {}`, or leave it out: scanners then visit the link, and nobody is unsubscribed",
            );
        }
        let mut span = |key: &str, span: Span, most: f64| {
            checker.require(span.high <= most, format!("{}.high", path(key)), || format!("must be at most {most}, got {}", span.high));
            span.uniform(&path(key), checker)
        };
        let slow_minutes = span("slow_minutes", own.slow_minutes, LATEST / 60.0);
        let gap_seconds = span("gap_seconds", own.gap_seconds, 60.0);
        let mut share = |key: &str, share: f64| checker.take(path(key), Bernoulli::new(share));
        let (has, scanned) = (share("user_share", own.user_share), share("probability", own.probability));
        let (fast, pixel) = (share("fast_share", own.fast_share), share("pixel_share", own.pixel_share));
        let unsubscribes = share("unsubscribe_on_get", own.unsubscribe_on_get);
        let fast_seconds = checker.take(path("fast_median_seconds"), LogNormal::new(own.fast_median_seconds, own.fast_sigma));
        Some(Self {
            has: has?,
            user_share: own.user_share,
            scanned: scanned?,
            probability: own.probability,
            links: own.links,
            fast: fast?,
            fast_share: own.fast_share,
            fast_seconds: fast_seconds?,
            slow: own.slow_minutes,
            slow_minutes: slow_minutes?,
            gap: own.gap_seconds,
            gap_seconds: gap_seconds?,
            pixel: pixel?,
            pixel_share: own.pixel_share,
            unsubscribes: unsubscribes?,
            unsubscribe_on_get: own.unsubscribe_on_get,
            agents: (others().count() as u8, own.user_agents.len() as u8),
        })
    }

    /// Whether a scanner stands before an actor's mailbox.
    pub(super) fn is_before(&self, actor: &ActorKey) -> bool {
        self.has.decide(actor.purpose(PERSON).ordinal(CLIENT).words().word::<2>())
    }

    /// The scanner of an actor; `None` where there is none.
    pub(super) fn of<'a>(&'a self, actor: &ActorKey, addresses: &'a [Ipv4Addr]) -> Option<Scanner<'a>> {
        self.is_before(actor).then(|| {
            let (first, count) = self.agents;
            let words = actor.purpose(SCANNER).ordinal(WHICH).words();
            let user_agent = first + below(words.word::<0>(), u64::from(count)) as u8;
            let unsubscribes = self.unsubscribes.decide(words.word::<1>());
            Scanner { law: self, actor: *actor, user_agent, unsubscribes, addresses }
        })
    }

    /// The link that a recipient who clicks chooses, from 0.
    pub(super) fn link(&self, word: u64) -> u8 {
        below(word, u64::from(self.links)) as u8
    }

    /// The `opened` and the `clicked` rows of scanners of so many delivered messages.
    pub fn rows(&self, delivered: f64) -> [f64; 2] {
        [self.pixel_share, f64::from(self.links)].map(|rows| self.user_share * self.probability * rows * delivered)
    }

    /// The share of recipients that the first scan of their mail unsubscribes.
    pub(super) fn unsubscribed_share(&self) -> f64 {
        self.user_share * self.unsubscribe_on_get
    }

    /// Mean minutes from delivery to a scan.
    pub(super) fn mean_minutes(&self) -> f64 {
        self.fast_share * self.fast_seconds.mean().min(LATEST) / 60.0 + (1.0 - self.fast_share) * 0.5 * (self.slow.low + self.slow.high)
    }

    /// Whether a user agent, by its index, is a scanner's.
    pub fn is_agent(&self, user_agent: usize) -> bool {
        let (first, count) = self.agents;
        user_agent.checked_sub(usize::from(first)).is_some_and(|place| place < usize::from(count))
    }

    /// P(a scan begins at most `seconds` after delivery | scanned).
    pub fn start_cdf(&self, seconds: f64) -> f64 {
        let fast = if seconds >= LATEST { 1.0 } else { self.fast_seconds.cdf(seconds) };
        let minutes = seconds / 60.0;
        let slow = if minutes >= self.slow.high { 1.0 } else { ((minutes - self.slow.low) / (self.slow.high - self.slow.low)).max(0.0) };
        self.fast_share * fast + (1.0 - self.fast_share) * slow
    }

    /// The place within the range of gaps, 0 to 1, of one of `seconds`; `None` where all gaps are alike.
    pub fn gap_place(&self, seconds: f64) -> Option<f64> {
        let Span { low, high } = self.gap;
        (high > low).then(|| (seconds - low) / (high - low))
    }

    /// The least and the greatest gap, seconds.
    pub fn gaps(&self) -> [f64; 2] {
        [self.gap.low, self.gap.high]
    }
}

/// The scanner before one recipient's mailbox.
pub(super) struct Scanner<'a> {
    law: &'a Scanners,
    actor: ActorKey,
    user_agent: u8,
    /// Whether a visit of the link to unsubscribe is taken for a request.
    unsubscribes: bool,
    addresses: &'a [Ipv4Addr],
}

/// What a scan of a message does beside its rows.
pub(super) struct Visit {
    /// Whether its begin was clipped.
    pub(super) is_clipped: bool,
    /// The `unsubscribed` row of the recipient, if nothing has made it leave before.
    pub(super) unsubscribed: Option<Event>,
}

/// Microseconds of `seconds`, to the millisecond.
fn from_seconds(seconds: f64) -> i64 {
    nearest(seconds * (SECOND / MILLISECOND) as f64) * MILLISECOND
}

impl Scanner<'_> {
    /// P(an `opened`, and a `clicked`, row of the scanner | delivered).
    pub(super) fn p_rows(&self) -> [f64; 2] {
        [self.law.probability * self.law.pixel_share, self.law.probability]
    }

    /// Adds the rows of the scan of a message, if it is scanned: `sent` is its `sent`, `ordinal` its number.
    pub(super) fn scan(&self, sent: &Event, ordinal: u64, delivered: Instant, rows: &mut Vec<Event>) -> Option<Visit> {
        let law = self.law;
        let words = self.actor.purpose(SCANNER).ordinal(ordinal).words();
        if !law.scanned.decide(words.word::<0>()) {
            return None;
        }
        let mut when = words.lane::<2>();
        let seconds =
            if law.fast.decide(words.word::<1>()) { law.fast_seconds.sample(&mut when) } else { 60.0 * law.slow_minutes.sample(&mut when) };
        let begin = seconds.min(LATEST);
        let mut pace = words.lane::<3>();
        let ip = self.addresses[below(pace.next_u64(), self.addresses.len() as u64) as usize];
        let has_pixel = law.pixel.decide(pace.next_u64());
        let client = Some(Client { user_agent: self.user_agent, ip });
        let row = |place: u8, time: Instant, event_type: EventType, link: Option<u8>| {
            let ids = self.actor.purpose(SCANNER_IDS).ordinal(ordinal << ROW_BITS | u64::from(place)).words();
            let event_id = Uuid::v7(time, ids.word::<0>(), ids.word::<1>());
            let click_url = link.map(|_| sent.campaign);
            Event { event_id, time, event_type, client, agent: Agent::Scanner, click_url, link, ..*sent }
        };
        if has_pixel {
            rows.push(row(0, delivered.plus(from_seconds(begin)), EventType::Opened, None));
        }
        let mut at = begin;
        for link in 0..law.links {
            rows.push(row(link + 1, delivered.plus(from_seconds(at)), EventType::Clicked, Some(link)));
            at += law.gap_seconds.sample(&mut pace);
        }
        let unsubscribed = self.unsubscribes.then(|| row(UNSUBSCRIBED, delivered.plus(from_seconds(at)), EventType::Unsubscribed, None));
        Some(Visit { is_clipped: seconds > LATEST, unsubscribed })
    }
}
