//! Leaving for good: a message may move its recipient to unsubscribe or to report it as spam, the more so the more mail came before it.
//! Soon after, what is due to one that has left is not sent.

mod survival;

use super::actor::Walk;
use super::campaigns::CampaignType;
use super::config::EmailConfig;
use super::decisions::NotSent;
use super::events::EventType;
use super::failures::Reply;
use super::mailbox::mailbox;
use super::policy::Draft;
use super::rows::{Event, LeavingTruth, MessageTruth, Truth, Uuid};
use super::world::from_minutes;
use crate::dist::LogNormal;
use crate::scenario::{Checker, Observer};
use crate::section::section;
use crate::stream::{Purpose, Source, unit};
use crate::time::{DAY, HOUR, Instant};
pub(super) use survival::Survival;

/// By message: whether it makes its recipient unsubscribe, whether report it as spam, and when either.
const OPTOUT: Purpose = Purpose::new(23);
/// By message: the event ids of its unsubscribed and of its `spam_reported`.
const OPTOUT_IDS: Purpose = Purpose::new(24);

/// Nobody takes longer to unsubscribe or to complain, minutes; what is clipped to it is counted.
const LATEST: f64 = 30.0 * 1_440.0;

section! {
    /// Unsubscribes and complaints. Both are decided for at delivery, by words of their own, whether or not the message is opened: the
    /// button of a mailbox (RFC 8058) needs no open. Every key has a default.
    #[serde(default)]
    pub struct LeavingConfig {
        /// P(unsubscribes | delivered) of a promotional message after few others.
        unsubscribe: f64 [0.0 ..= 1.0],
        /// P(reports as spam | delivered) of a message after few others.
        complaint: f64 [0.0 ..= 1.0],
        /// How many days a delivery counts for what comes after it.
        days: u32 [1 ..= 30],
        /// How many deliveries in that time raise nothing.
        tolerated: u32 [0 ..= 1_000],
        /// What each delivery beyond them adds to m, the factor of P(unsubscribes); P(reports as spam) rises by m².
        slope: f64 [0.0 ..= 10.0],
        /// The greatest m.
        max_factor: f64 [1.0 ..= 1_000.0],
        /// The factor of P(unsubscribes) of transactional messages.
        transactional: f64 [0.0 ..= 10.0],
        /// From the recipient's open to the unsubscribe or the complaint, seconds: median of a lognormal.
        after_open_median_seconds: f64 [0.1 ..= 86_400.0],
        /// Standard deviation of its logarithm.
        after_open_sigma: f64 [0.0 ..= 2.0],
        /// From delivery to it, where the recipient does not open the message, hours: median of a lognormal. Neither takes more than 30
        /// days.
        after_delivery_median_hours: f64 [0.01 ..= 168.0],
        /// Standard deviation of its logarithm.
        after_delivery_sigma: f64 [0.0 ..= 2.0],
        /// Hours from an unsubscribe, or from a complaint that the sender is told of, until due messages are dropped.
        effective_after_hours: f64 [0.0 ..= 720.0],
        /// Whether the sender goes on nevertheless: nothing is dropped, and nobody leaves twice.
        ignore_opt_out: bool,
    }
}

impl Default for LeavingConfig {
    fn default() -> Self {
        Self {
            unsubscribe: 0.000_8,
            complaint: 0.000_12,
            days: 7,
            tolerated: 5,
            slope: 0.25,
            max_factor: 6.0,
            transactional: 0.2,
            after_open_median_seconds: 40.0,
            after_open_sigma: 1.0,
            after_delivery_median_hours: 6.0,
            after_delivery_sigma: 1.0,
            effective_after_hours: 24.0,
            ignore_opt_out: false,
        }
    }
}

/// How recipients leave.
#[derive(Clone, Debug)]
pub struct Leaving {
    config: LeavingConfig,
    after_open: LogNormal,
    after_delivery: LogNormal,
    /// By campaign: the factor of P(unsubscribes).
    campaigns: Box<[f64]>,
}

/// What makes somebody leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum LeftBy {
    /// An unsubscribe.
    Unsubscribed,
    /// A complaint that the sender is told of.
    SpamReported,
    /// The visit of a scanner to the link to unsubscribe: the recipient wanted nothing.
    Scanner,
}

impl LeftBy {
    /// The names as written, by number: those of the events, and of who else is behind them.
    pub const NAMES: [&str; 3] = [EventType::Unsubscribed.name(), EventType::SpamReported.name(), "scanner"];
}

impl Leaving {
    pub(super) fn new(own: &LeavingConfig, config: &EmailConfig, checker: &mut Checker) -> Option<Self> {
        let path = |key: &str| format!("leaving.{key}");
        let greatest = own.unsubscribe * own.max_factor * own.transactional.max(1.0);
        checker.require(greatest <= 1.0, path("unsubscribe"), || {
            format!("times `max_factor` and the greatest factor of a campaign's type must be at most 1, got {greatest}")
        });
        let greatest = own.complaint * own.max_factor * own.max_factor;
        checker
            .require(greatest <= 1.0, path("complaint"), || format!("times the square of `max_factor` must be at most 1, got {greatest}"));
        let after_open = LogNormal::new(own.after_open_median_seconds / 60.0, own.after_open_sigma);
        let after_open = checker.take(path("after_open_median_seconds"), after_open);
        let after_delivery = LogNormal::new(own.after_delivery_median_hours * 60.0, own.after_delivery_sigma);
        let after_delivery = checker.take(path("after_delivery_median_hours"), after_delivery);
        let of_type = |kind: CampaignType| match kind {
            CampaignType::Transactional => own.transactional,
            CampaignType::Promotional => 1.0,
        };
        Some(Self {
            config: own.clone(),
            after_open: after_open?,
            after_delivery: after_delivery?,
            campaigns: config.campaigns.values().map(|campaign| of_type(campaign.r#type)).collect(),
        })
    }

    /// The section of the document.
    pub fn config(&self) -> &LeavingConfig {
        &self.config
    }

    /// How long a delivery counts, microseconds.
    pub fn looks_back(&self) -> i64 {
        i64::from(self.config.days) * DAY
    }

    /// From leaving until nothing is sent any more, microseconds; `None` where mail goes on.
    pub fn takes_effect_after(&self) -> Option<i64> {
        (!self.config.ignore_opt_out).then(|| (self.config.effective_after_hours * HOUR as f64).round() as i64)
    }

    /// m: the factor after so many deliveries.
    pub fn frequency(&self, deliveries: u32) -> f64 {
        let beyond = f64::from(deliveries.saturating_sub(self.config.tolerated));
        (1.0 + self.config.slope * beyond).min(self.config.max_factor)
    }

    /// c: the factor of a campaign, by its number.
    ///
    /// # Panics
    /// There is no such campaign.
    pub fn campaign(&self, campaign: usize) -> f64 {
        self.campaigns[campaign]
    }

    /// P(unsubscribes | delivered) of a message of a campaign, by its number, after so many deliveries.
    ///
    /// # Panics
    /// There is no such campaign.
    pub fn p_unsubscribe(&self, deliveries: u32, campaign: usize) -> f64 {
        self.config.unsubscribe * self.frequency(deliveries) * self.campaigns[campaign]
    }

    /// P(reports as spam | delivered) after so many deliveries.
    pub fn p_complaint(&self, deliveries: u32) -> f64 {
        let factor = self.frequency(deliveries);
        self.config.complaint * factor * factor
    }

    /// P(at most so many minutes from an open to what it leads to).
    pub fn after_open(&self, minutes: f64) -> f64 {
        clipped(&self.after_open, minutes)
    }

    /// P(at most so many minutes from the delivery of a message that its recipient does not open to what it leads to).
    pub fn after_delivery(&self, minutes: f64) -> f64 {
        clipped(&self.after_delivery, minutes)
    }

    /// Minutes, and whether they were clipped.
    fn wait(&self, opened: bool, source: &mut impl Source) -> (f64, bool) {
        let law = if opened { &self.after_open } else { &self.after_delivery };
        let minutes = law.sample(source);
        (minutes.min(LATEST), minutes > LATEST)
    }
}

fn clipped(law: &LogNormal, minutes: f64) -> f64 {
    if minutes >= LATEST { 1.0 } else { law.cdf(minutes) }
}

/// What is known of one recipient so far.
#[derive(Default)]
pub(super) struct Stay {
    /// Deliveries of what was sent before, as far back as they may count.
    deliveries: Vec<Instant>,
    /// Whether something sent before has made the recipient leave.
    is_over: bool,
    /// From when on nothing is sent.
    until: Option<Instant>,
}

impl Stay {
    pub(super) fn clear(&mut self) {
        self.deliveries.clear();
        self.is_over = false;
        self.until = None;
    }

    /// Whether nothing is sent any more at `time`.
    #[inline]
    pub(super) fn is_over_at(&self, time: Instant) -> bool {
        self.until.is_some_and(|until| time >= until)
    }

    /// How many deliveries count for one at `time` of a message sent at `sent`; it counts from then on. Of what is sent later none does, so
    /// that more days change nothing.
    fn deliveries_before(&mut self, sent: Instant, time: Instant, looks_back: i64) -> u32 {
        self.deliveries.retain(|delivery| delivery.plus(looks_back) >= sent);
        let counts = |delivery: &&Instant| **delivery <= time && delivery.plus(looks_back) >= time;
        let count = self.deliveries.iter().filter(counts).count();
        self.deliveries.push(time);
        count as u32
    }
}

impl<O: Observer<Event, Truth>> Walk<'_, O> {
    /// A message that was due and is dropped.
    pub(super) fn drop(&mut self, draft: &Draft, sent: &Event, (reply, reason): (Reply, NotSent)) {
        self.not_sent(draft, reason);
        self.scratch.pending.push(Event { event_type: EventType::Dropped, reply: Some(reply), ..*sent });
    }

    /// Notes why a message that a policy decided on was not sent.
    pub(super) fn not_sent(&mut self, draft: &Draft, reason: NotSent) {
        if let Some(decision) = draft.decision {
            self.scratch.decisions[decision as usize].reason = Some(reason);
        }
    }

    /// Whether a delivered message makes its recipient leave.
    pub(super) fn leave(&mut self, leaving: &Leaving, draft: &Draft, sent: &Event, delivered_at: Instant, truth: &mut MessageTruth) {
        let stay = &mut self.scratch.stay;
        let deliveries = stay.deliveries_before(draft.time, delivered_at, leaving.looks_back());
        let campaign = usize::from(draft.campaign);
        let mut found = LeavingTruth {
            deliveries,
            frequency: leaving.frequency(deliveries),
            campaign: leaving.campaign(campaign),
            p_unsubscribe: 0.0,
            p_complaint: 0.0,
            complained_at: None,
        };
        if !stay.is_over {
            found.p_unsubscribe = leaving.p_unsubscribe(deliveries, campaign);
            found.p_complaint = leaving.p_complaint(deliveries);
            self.act(leaving, draft, sent, (delivered_at, truth.human_opened_at), &mut found);
        }
        truth.leaving = Some(found);
    }

    /// `moments` are those of the delivery and of the recipient's open.
    fn act(&mut self, leaving: &Leaving, draft: &Draft, sent: &Event, moments: (Instant, Option<Instant>), truth: &mut LeavingTruth) {
        let words = self.key.purpose(OPTOUT).ordinal(draft.ordinal).words();
        let unsubscribes = unit(words.word::<0>()) < truth.p_unsubscribe;
        let complains = unit(words.word::<1>()) < truth.p_complaint;
        if !unsubscribes && !complains {
            return;
        }
        let ids = self.key.purpose(OPTOUT_IDS).ordinal(draft.ordinal).words();
        let mut left: Option<(Instant, LeftBy)> = None;
        if unsubscribes {
            let time = self.after(moments, leaving.wait(moments.1.is_some(), &mut words.lane::<2>()));
            self.tell(sent, time, EventType::Unsubscribed, [ids.word::<0>(), ids.word::<1>()]);
            left = Some((time, LeftBy::Unsubscribed));
        }
        if complains {
            let time = self.after(moments, leaving.wait(moments.1.is_some(), &mut words.lane::<3>()));
            truth.complained_at = Some(time);
            if mailbox(&self.key).reports {
                self.tell(sent, time, EventType::SpamReported, [ids.word::<2>(), ids.word::<3>()]);
                let complaint = (time, LeftBy::SpamReported);
                left = Some(left.map_or(complaint, |left| left.min(complaint)));
            }
        }
        // What nobody tells the sender of changes nothing.
        if let Some((time, by)) = left {
            self.leave_for_good(leaving, time, by);
        }
    }

    /// A scan whose visit of the link to unsubscribe is taken for a request. It counts as before whatever the message moves its recipient
    /// to do.
    pub(super) fn scanned(&mut self, leaving: &Leaving, unsubscribed: Option<Event>) {
        if let Some(event) = unsubscribed.filter(|_| !self.scratch.stay.is_over) {
            self.scratch.pending.push(event);
            self.leave_for_good(leaving, event.time, LeftBy::Scanner);
        }
    }

    fn leave_for_good(&mut self, leaving: &Leaving, time: Instant, by: LeftBy) {
        self.scratch.stay.is_over = true;
        self.scratch.stay.until = leaving.takes_effect_after().map(|after| time.plus(after));
        self.out.reveal(Truth::Left(time, by));
    }

    fn after(&mut self, (delivered_at, opened_at): (Instant, Option<Instant>), (minutes, is_clipped): (f64, bool)) -> Instant {
        if is_clipped {
            self.out.clipped("leaving");
        }
        opened_at.unwrap_or(delivered_at).plus(from_minutes(minutes))
    }

    fn tell(&mut self, sent: &Event, time: Instant, event_type: EventType, [word, more]: [u64; 2]) {
        self.scratch.pending.push(Event { event_id: Uuid::v7(time, word, more), time, event_type, ..*sent });
    }
}
