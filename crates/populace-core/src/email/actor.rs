//! What one recipient does: the only file that draws.
//!
//! First the calendar: for each day how much mail is scheduled, whether a circuit breaker and whether a hot path occurs. Then day by day
//! the mail of that day in the order of sending. Every few days what has happened by then is sorted and emitted, and what is still to come
//! waits. So memory does not grow with the rows, and what a day holds never depends on how many days follow.

use super::address::Address;
use super::attempts::Arrival;
use super::calendar::MILLISECOND;
use super::decisions::{Decision, NotSent};
use super::effects::occasion::Happening;
use super::events::EventType;
use super::experiments::{Exposed, Prospect};
use super::failures::Reply;
use super::leaving::Stay;
use super::machine::{Fetch, MACHINE, MachineOpens};
use super::model::EmailModel;
use super::people::Person;
use super::policy::{Draft, scheduled, triggered};
use super::rows::{Agent, Client, Delivery, DroppedReason, Event, MessageTruth, Truth, UserRateTruth, UserTruth, Uuid};
use super::scanner::Scanner;
use super::world::{from_minutes, nearest};
use super::zones::Days;
use crate::scenario::Observer;
use crate::stream::{ActorId, ActorKey, Purpose, StreamKey, below, unit};
use crate::time::{DAY, Instant, MINUTE, SECOND};
use std::cell::RefCell;

/// Ordinal 0: the user agent and the address.
const CLIENT: Purpose = Purpose::new(0);
/// By day: how many scheduled sends, whether a circuit breaker, whether a hot path.
const CALENDAR: Purpose = Purpose::new(1);
/// By day: a circuit breaker's time and kind.
const BREAKER: Purpose = Purpose::new(2);
/// By day: a hot path's time and kind, whether it triggers a send, and when.
const HOT_PATH: Purpose = Purpose::new(3);
/// By day: the event ids of a circuit breaker and of a hot path.
const INTERNAL_IDS: Purpose = Purpose::new(4);
/// By month of the calendar: the drift of both rates.
const DRIFT: Purpose = Purpose::new(5);
/// By message: time of day (of a scheduled one), provider, campaign, subject.
pub(super) const SEND: Purpose = Purpose::new(6);
/// By message: size, whether delivered, latency, whether opened.
const DELIVERY: Purpose = Purpose::new(7);
/// By message: the factors of congestion.
const CONGESTION: Purpose = Purpose::new(8);
/// By message: its id and those of its sent and delivered.
const MESSAGE_IDS: Purpose = Purpose::new(9);
/// By message: open delay, whether clicked, click delay, which link.
const ENGAGEMENT: Purpose = Purpose::new(10);
/// By message: the event ids of its opened and clicked.
const ENGAGEMENT_IDS: Purpose = Purpose::new(11);
// 12 and 13 are those of `personas` and `decisions`, 15 that of `people`.
/// By message: of which component an open's delay is.
const OPEN_MIX: Purpose = Purpose::new(26);

/// How much time is sorted at once: enough that days with a row or two do not each have their round, little enough to stay in the cache.
const FLUSHED: i64 = 8 * DAY;

/// Simulates `actor`, who is a person.
pub(super) fn simulate(model: &EmailModel, person: Person, actor: ActorId, key: StreamKey, out: &mut impl Observer<Event, Truth>) {
    thread_local! {
        static SCRATCH: RefCell<Scratch> = RefCell::default();
    }
    // Taken out for the time of the call, so that an observer may itself simulate.
    let mut scratch = SCRATCH.take();
    scratch.clear();
    let (all, key) = (key, key.actor(actor));
    let machine = model.machine.as_ref().filter(|machine| machine.is_of(&key));
    let persona = &model.personas()[usize::from(person.persona)];
    let address = model.attempts.as_ref().map(|law| Address::new(law, &key, model.first_moment()));
    let scanner = model.scanners.as_ref().and_then(|scanners| scanners.of(&key, &model.addresses));
    out.reveal(Truth::User(UserTruth {
        person,
        open_rate: persona.open_rate,
        click_rate: persona.click_rate,
        machine_opens: machine.is_some(),
        mailbox_provider: address.as_ref().map(|address| address.provider),
        address_dead_at: address.as_ref().and_then(|address| address.dead_at),
        scanner: scanner.is_some(),
    }));
    let words = key.purpose(CLIENT).ordinal(0).words();
    let client = Client {
        user_agent: below(words.word::<0>(), model.config.user_agents.len() as u64) as u8,
        ip: model.addresses[below(words.word::<1>(), model.addresses.len() as u64) as usize],
    };
    let days = model.days(person.zone.zone);
    let mut walk = Walk { model, person, days, actor, all, key, client, machine, scanner, address, scratch, month: 0, out };
    if let Some(experiments) = model.effects.experiments() {
        walk.scratch.dealt = experiments.dealt(&key);
    }
    walk.rates();
    walk.calendar();
    walk.full();
    walk.days();
    SCRATCH.set(walk.scratch);
}

/// What is kept between the steps of one actor; the allocations are kept between actors.
#[derive(Default)]
pub(super) struct Scratch {
    pub(super) rates: Vec<Rates>,
    pub(super) sends_per_day: Vec<u16>,
    breakers: Vec<Breaker>,
    pub(super) hot_paths: Vec<HotPath>,
    pub(super) drafts: Vec<Draft>,
    /// What a policy has decided on, in its order; what goes out on a later day; and the sends that it limits itself by.
    pub(super) decisions: Vec<Decision>,
    pub(super) waiting: Vec<Draft>,
    pub(super) chosen: Vec<Instant>,
    /// The latest sends, as far back as they matter, from `first_recent` on.
    recent: Vec<Instant>,
    first_recent: usize,
    /// By experiment, the variant that the recipient has.
    pub(super) dealt: Vec<u8>,
    /// Whether the recipient is still there, where recipients leave.
    pub(super) stay: Stay,
    /// What is not emitted yet, in the order of sending.
    pub(super) pending: Vec<Event>,
    order: Vec<u64>,
}

impl Scratch {
    fn clear(&mut self) {
        self.rates.clear();
        self.sends_per_day.clear();
        self.breakers.clear();
        self.hot_paths.clear();
        self.recent.clear();
        self.first_recent = 0;
        self.stay.clear();
        self.pending.clear();
        self.decisions.clear();
        self.waiting.clear();
        self.chosen.clear();
        self.dealt.clear();
    }
}

#[derive(Clone, Copy)]
pub(super) struct Rates {
    pub(super) open: f64,
    pub(super) click: f64,
}

#[derive(Clone, Copy)]
struct Breaker {
    day: u32,
    time: Instant,
    /// When engagement resumes, if no later one stops it again: the latest end so far.
    end: Instant,
    happening: Happening,
}

#[derive(Clone, Copy)]
pub(super) struct HotPath {
    day: u32,
    time: Instant,
    happening: Happening,
    /// When the send that it triggers goes out, if it triggers one.
    pub(super) trigger: Option<Instant>,
}

pub(super) struct Walk<'a, O> {
    pub(super) model: &'a EmailModel,
    pub(super) person: Person,
    pub(super) days: Days<'a>,
    pub(super) actor: ActorId,
    /// The key of all actors.
    all: StreamKey,
    pub(super) key: ActorKey,
    client: Client,
    /// The recipient's client, if it opens ahead.
    pub(super) machine: Option<&'a MachineOpens>,
    /// Where attempts at delivery can fail.
    pub(super) address: Option<Address>,
    /// What stands before the recipient's mailbox.
    pub(super) scanner: Option<Scanner<'a>>,
    pub(super) scratch: Scratch,
    /// The month of the day at hand.
    pub(super) month: usize,
    pub(super) out: &'a mut O,
}

impl<O: Observer<Event, Truth>> Walk<'_, O> {
    /// The rates of every month.
    fn rates(&mut self) {
        let mut rates = Rates { open: self.person.open_rate, click: self.person.click_rate };
        for (index, month) in self.model.months.iter().enumerate() {
            if let Some(drift) = self.model.drift.as_ref().filter(|_| index > 0) {
                let (year, month, _) = month.date().ymd();
                let words = self.key.purpose(DRIFT).ordinal(year as u64 * 12 + u64::from(month)).words();
                rates.open *= drift.at(words.word::<0>());
                rates.click *= drift.at(words.word::<1>());
            }
            self.scratch.rates.push(rates);
            self.out.reveal(Truth::UserRate(UserRateTruth { month: *month, open_rate: rates.open, click_rate: rates.click }));
        }
    }

    /// How much mail is scheduled for each day, all circuit breakers and all hot paths.
    fn calendar(&mut self) {
        let model = self.model;
        let mut end = Instant(i64::MIN);
        for day in 0..model.window.days {
            let words = self.key.purpose(CALENDAR).ordinal(u64::from(day)).words();
            self.scratch.sends_per_day.push(model.policy.count(day, words.word::<0>()) as u16);
            if let Some(law) = model.breaker.as_ref().filter(|law| law.occasion.occurs.decide(words.word::<1>())) {
                let words = self.key.purpose(BREAKER).ordinal(u64::from(day)).words();
                let time = self.days.occasion(day, model.policy.calendar.at(words.word::<0>()));
                let happening = law.occasion.pick(words.word::<1>());
                end = end.max(time.plus(happening.within));
                self.scratch.breakers.push(Breaker { day, time, end, happening });
            }
            if let Some(law) = model.effects.hot_path.as_ref().filter(|law| law.occasion.occurs.decide(words.word::<2>())) {
                let words = self.key.purpose(HOT_PATH).ordinal(u64::from(day)).words();
                let time = self.days.occasion(day, model.policy.calendar.at(words.word::<0>()));
                let happening = law.occasion.pick(words.word::<1>());
                let trigger = law.triggered.as_ref().and_then(|trigger| trigger.at(time, &words));
                self.scratch.hot_paths.push(HotPath { day, time, happening, trigger });
            }
        }
    }

    /// Every day of the window, then the days on which something is still to come.
    fn days(&mut self) {
        // The first that matter to the day at hand: a hot path of the day before may still call for a send.
        let (mut breaker, mut hot_path) = (0, 0);
        let mut flushed = self.days.midnight(0);
        for day in 0..self.model.window.days {
            let midnight = self.days.midnight(day);
            // Days with a change of clocks are an hour longer or shorter.
            if midnight.since(flushed) >= FLUSHED {
                self.flush(flushed);
                flushed = flushed.plus(FLUSHED);
            }
            self.month = self.model.month_at(midnight, self.month);
            self.draft(day, &mut hot_path);
            while let Some(next) = self.scratch.breakers.get(breaker).copied().filter(|next| next.day == day) {
                self.breaker(&next);
                breaker += 1;
            }
            for index in 0..self.scratch.drafts.len() {
                self.send(self.scratch.drafts[index]);
            }
        }
        while !self.scratch.pending.is_empty() {
            self.flush(flushed);
            flushed = flushed.plus(FLUSHED);
        }
        for decision in self.scratch.decisions.drain(..) {
            self.out.reveal(Truth::Decision(decision));
        }
    }

    /// The mail of a day in the order of sending, and its hot path.
    fn draft(&mut self, day: u32, hot_path: &mut usize) {
        let model = self.model;
        let (midnight, next) = (self.days.midnight(day), self.days.midnight(day + 1));
        self.scratch.drafts.clear();
        match &model.decider {
            Some(decider) => self.decide(decider, day),
            None => {
                for place in 0..u64::from(self.scratch.sends_per_day[day as usize]) {
                    let ordinal = scheduled(u64::from(day), place);
                    let words = self.key.purpose(SEND).ordinal(ordinal).words();
                    let time = self.days.moment(day, model.policy.of_day(words.word::<0>()));
                    self.scratch.drafts.push(model.policy.scheduled(time, ordinal, &words));
                }
            }
        }
        while let Some(path) = self.scratch.hot_paths.get(*hot_path).copied().filter(|path| path.day <= day) {
            if path.day == day {
                self.hot_path(&path);
            }
            if let (Some(trigger), Some(time)) = (model.effects.triggered(), path.trigger)
                && time >= midnight
                && time < next
            {
                let ordinal = triggered(u64::from(path.day));
                let words = self.key.purpose(SEND).ordinal(ordinal).words();
                self.scratch.drafts.push(model.policy.triggered(trigger, path.happening.event_type, time, ordinal, &words));
            }
            if path.day == day {
                break;
            }
            *hot_path += 1;
        }
        let clock = model.clock(self.person.zone.zone);
        self.scratch.drafts.extend(model.policy.blasts_between(midnight..next, clock, self.all, &self.key));
        self.scratch.drafts.sort_unstable_by_key(|draft| (draft.time, draft.ordinal));
    }

    fn breaker(&mut self, breaker: &Breaker) {
        let words = self.key.purpose(INTERNAL_IDS).ordinal(u64::from(breaker.day)).words();
        let campaign = self.model.policy.campaigns.list.len() as u8;
        self.internal(breaker.time, &breaker.happening, campaign, Uuid::v7(breaker.time, words.word::<0>(), words.word::<1>()), None);
    }

    fn hot_path(&mut self, path: &HotPath) {
        let words = self.key.purpose(INTERNAL_IDS).ordinal(u64::from(path.day)).words();
        let campaign = self.model.policy.campaigns.list.len() as u8 + 1;
        let client = Some(self.client);
        self.internal(path.time, &path.happening, campaign, Uuid::v7(path.time, words.word::<2>(), words.word::<3>()), client);
    }

    /// A non-mail row.
    fn internal(&mut self, time: Instant, happening: &Happening, campaign: u8, event_id: Uuid, client: Option<Client>) {
        self.scratch.pending.push(Event {
            event_id,
            message_id: None,
            time,
            event_type: happening.event_type,
            esp: self.model.esps().len() as u8 - 1,
            campaign,
            source: happening.source,
            metadata: happening.metadata,
            subject: None,
            click_url: None,
            link: None,
            client,
            delivery: None,
            attempt: 0,
            reply: None,
            agent: Agent::Human,
        });
    }

    /// Sends a message and all that follows from it.
    fn send(&mut self, draft: Draft) {
        let model = self.model;
        if model.suppresses_sends() && self.suppressed(draft.time) {
            return self.not_sent(&draft, NotSent::Suppressed);
        }
        let experiments = model.effects.experiments();
        let exposed = experiments.map_or_else(Exposed::default, |own| self.exposed(own, &draft));
        if let Some(decision) = draft.decision {
            self.scratch.decisions[decision as usize].exposure = exposed.exposure;
        }
        let words = self.key.purpose(DELIVERY).ordinal(draft.ordinal).words();
        let ids = self.key.purpose(MESSAGE_IDS).ordinal(draft.ordinal).words();
        let message_id = Uuid::v7(draft.time, ids.word::<0>(), ids.word::<3>());
        let sent = Event {
            event_id: Uuid::v7(draft.time, ids.word::<1>(), ids.word::<3>() >> 10),
            message_id: Some(message_id),
            time: draft.time,
            event_type: EventType::Sent,
            esp: draft.esp,
            campaign: draft.campaign,
            source: 0,
            metadata: experiments.map_or(draft.metadata, |own| own.metadata(exposed.exposure, draft.metadata)),
            subject: Some(draft.subject),
            click_url: None,
            link: None,
            client: None,
            delivery: None,
            attempt: 0,
            reply: None,
            agent: Agent::Human,
        };
        if self.address.as_ref().is_some_and(|address| address.is_known_dead(draft.time)) {
            return self.drop(&draft, &sent, (Reply::BouncedAddress, NotSent::Bounced));
        }
        if self.scratch.stay.is_over_at(draft.time) {
            return self.drop(&draft, &sent, (Reply::UnsubscribedAddress, NotSent::Unsubscribed));
        }
        let recent_sends = self.recent_sends(draft.time);
        self.scratch.pending.push(sent);
        let congestion = || self.key.purpose(CONGESTION).ordinal(draft.ordinal).words();
        let latency = model.latency.sample(draft.time, words.word::<2>(), &mut words.lane::<2>(), congestion);
        if latency.is_clipped {
            self.out.clipped("latency");
        }
        let (delivered_at, deferral, attempt, is_delivered) = match &model.attempts {
            None => (draft.time.plus(latency.microseconds + draft.queue), 0, 1, model.delivered.decide(words.word::<1>())),
            Some(law) => {
                let Arrival { at, deferral, attempt, bounced } = self.attempts(law, &draft, latency.microseconds + draft.queue, &sent);
                (at, deferral, attempt, bounced.is_none())
            }
        };
        let mut truth = self.weigh((&draft, delivered_at), message_id, latency.parts, (recent_sends, exposed));
        truth.latency_deferral = deferral as f64 / SECOND as f64;
        if let Some(decision) = draft.decision {
            let decision = &mut self.scratch.decisions[decision as usize];
            decision.message_id = Some(message_id);
            (decision.recent_sends, decision.suppressed) = (Some(recent_sends), Some(truth.at.suppressed));
        }
        if is_delivered {
            let bytes = model.policy.campaigns.list[usize::from(draft.campaign)].mean_bytes * model.size_factor.at(words.word::<0>());
            self.scratch.pending.push(Event {
                event_id: Uuid::v7(delivered_at, ids.word::<2>(), ids.word::<3>() >> 20),
                time: delivered_at,
                event_type: EventType::Delivered,
                delivery: Some(Delivery {
                    latency_ms: (delivered_at.since(draft.time) / MILLISECOND) as u32,
                    send_time: draft.time,
                    payload_size_bytes: nearest(bytes) as u32,
                }),
                attempt,
                ..sent
            });
            let scan = |scanner: &Scanner<'_>| scanner.scan(&sent, draft.ordinal, delivered_at, &mut self.scratch.pending);
            let visit = self.scanner.as_ref().and_then(scan);
            if visit.as_ref().is_some_and(|visit| visit.is_clipped) {
                self.out.clipped("scan_seconds");
            }
            let fetched = self.fetch(&draft, delivered_at);
            if truth.p_open.is_some_and(|p| unit(words.word::<3>()) < p) {
                truth.open_component = model.opening.component(|| self.key.purpose(OPEN_MIX).ordinal(draft.ordinal).words().word::<0>());
                self.engage(&draft, &sent, delivered_at, fetched, &mut truth);
            }
            if let Some(fetch) = fetched.filter(|fetch| truth.human_opened_at.is_none_or(|opened| fetch.time <= opened)) {
                self.open(&draft, &sent, fetch.time, fetch.client, Agent::AppleMpp);
            }
            if let Some(leaving) = &model.leaving {
                self.scanned(leaving, visit.and_then(|visit| visit.unsubscribed));
                self.leave(leaving, &draft, &sent, delivered_at, &mut truth);
            }
        } else {
            truth.p_open = None;
            truth.p_click = None;
            truth.p_open_row = None;
            truth.p_click_row = None;
        }
        self.out.reveal(Truth::Message(truth));
        if let Some(experiments) = experiments.filter(|_| exposed.exposure > 0) {
            self.outcomes(experiments, &draft, (delivered_at, words.word::<3>()), &truth);
        }
    }

    /// How many sends count as recent before one at `time`, which counts from then on.
    fn recent_sends(&mut self, time: Instant) -> u32 {
        let Some(looks_back) = self.model.effects.looks_back() else { return 0 };
        let Scratch { recent, first_recent, .. } = &mut self.scratch;
        while recent.get(*first_recent).is_some_and(|send| send.plus(looks_back) < time) {
            *first_recent += 1;
        }
        if *first_recent > 64 && *first_recent > recent.len() / 2 {
            recent.drain(..*first_recent);
            *first_recent = 0;
        }
        recent.push(time);
        (recent.len() - 1 - *first_recent) as u32
    }

    /// The fetch of a message by the recipient's client, if that opens ahead.
    fn fetch(&mut self, draft: &Draft, delivered_at: Instant) -> Option<Fetch> {
        let machine = self.machine?;
        let local = self.model.clock(self.person.zone.zone).local(delivered_at);
        let words = self.key.purpose(MACHINE).ordinal(draft.ordinal).words();
        let fetch = machine.fetch(delivered_at, local, &self.model.addresses, &words)?;
        if fetch.is_clipped {
            self.out.clipped("soon_minutes");
        }
        Some(fetch)
    }

    /// The one `opened` row of a message.
    fn open(&mut self, draft: &Draft, sent: &Event, time: Instant, client: Client, agent: Agent) {
        let ids = self.key.purpose(ENGAGEMENT_IDS).ordinal(draft.ordinal).words();
        let event_id = Uuid::v7(time, ids.word::<0>(), ids.word::<1>());
        self.scratch.pending.push(Event { event_id, time, event_type: EventType::Opened, client: Some(client), agent, ..*sent });
    }

    /// When a message is opened if its open is decided for, and clicked if its click is.
    pub(super) fn prospect(&self, draft: &Draft, delivered_at: Instant) -> Prospect {
        let model = self.model;
        let component = model.opening.component(|| self.key.purpose(OPEN_MIX).ordinal(draft.ordinal).words().word::<0>());
        let words = self.key.purpose(ENGAGEMENT).ordinal(draft.ordinal).words();
        let local = model.clock(self.person.zone.zone).local(delivered_at);
        let open_delay = model.opening.at(component, usize::from(self.person.habit), local, unit(words.word::<0>()));
        let opened_at = delivered_at.plus(from_minutes(open_delay));
        let clicked_at = opened_at.plus(from_minutes(model.click_delay.sample(&mut words.lane::<2>())));
        Prospect { opens: !self.suppressed(opened_at), clicks: !self.suppressed(clicked_at), click: unit(words.word::<1>()) }
    }

    /// Opens a message and perhaps clicks in it, unless a circuit breaker stands against it. What a machine has opened before has its row.
    fn engage(&mut self, draft: &Draft, sent: &Event, delivered_at: Instant, fetched: Option<Fetch>, truth: &mut MessageTruth) {
        let model = self.model;
        let words = self.key.purpose(ENGAGEMENT).ordinal(draft.ordinal).words();
        let local = model.clock(self.person.zone.zone).local(delivered_at);
        let open_delay = model.opening.at(truth.open_component, usize::from(self.person.habit), local, unit(words.word::<0>()));
        let opened_at = delivered_at.plus(from_minutes(open_delay));
        if self.suppressed(opened_at) {
            truth.dropped_reason = Some(DroppedReason::OpenSuppressed);
            return;
        }
        truth.human_opened_at = Some(opened_at);
        if fetched.is_none_or(|fetch| fetch.time > opened_at) {
            // A client that fetches images for its users does so at their open, too.
            let client = self
                .machine
                .map_or(self.client, |machine| machine.client(&self.key.purpose(MACHINE).ordinal(draft.ordinal).words(), &model.addresses));
            self.open(draft, sent, opened_at, client, Agent::Human);
        }
        if truth.p_click.is_none_or(|p| unit(words.word::<1>()) >= p) {
            return;
        }
        let click_delay = model.click_delay.sample(&mut words.lane::<2>());
        let clicked_at = opened_at.plus(from_minutes(click_delay));
        if self.suppressed(clicked_at) {
            truth.dropped_reason = Some(DroppedReason::ClickSuppressed);
            return;
        }
        let ids = self.key.purpose(ENGAGEMENT_IDS).ordinal(draft.ordinal).words();
        self.scratch.pending.push(Event {
            event_id: Uuid::v7(clicked_at, ids.word::<2>(), ids.word::<3>()),
            time: clicked_at,
            event_type: EventType::Clicked,
            client: Some(self.client),
            click_url: Some(draft.campaign),
            link: model.scanners.as_ref().map(|scanners| scanners.link(words.word::<3>())),
            ..*sent
        });
    }

    /// Whether `time` lies inside a circuit breaker's window.
    pub(super) fn suppressed(&self, time: Instant) -> bool {
        let breakers = &self.scratch.breakers;
        let begun = breakers.partition_point(|breaker| breaker.time <= time);
        begun > 0 && time < breakers[begun - 1].end
    }

    /// Minutes from the latest hot path up to `time`, if it matters for so long.
    pub(super) fn since_hot_path(&self, time: Instant) -> Option<f64> {
        let lasts = self.model.effects.interest()?.lasts;
        let paths = &self.scratch.hot_paths;
        let begun = paths.partition_point(|path| path.time <= time);
        let since = time.since(paths.get(begun.checked_sub(1)?)?.time);
        (since < lasts).then_some(since as f64 / MINUTE as f64)
    }

    /// Emits what happens within `FLUSHED` from `begin` on, before which nothing is pending.
    fn flush(&mut self, begin: Instant) {
        let Scratch { pending, order, .. } = &mut self.scratch;
        order.clear();
        let end = begin.plus(FLUSHED);
        for (index, event) in pending.iter().enumerate().filter(|(_, event)| event.time < end) {
            // 30 bits hold the milliseconds, 4 the type, 28 more events than a user has in that time.
            let millisecond = (event.time.since(begin) / MILLISECOND) as u64;
            order.push(millisecond << 32 | (event.event_type as u64) << 28 | index as u64);
        }
        order.sort_unstable();
        for key in &*order {
            self.out.emit(pending[(*key & 0xFFF_FFFF) as usize]);
        }
        pending.retain(|event| event.time >= end);
    }
}
