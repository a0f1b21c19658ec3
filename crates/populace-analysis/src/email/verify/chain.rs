//! What holds of every message.

use super::rows::is_v7_of;
use super::{Due, Recipient};
use crate::email::delay::microseconds;
use crate::email::{Law, Message};
use crate::stats::{Pit, merge_fields};
use crate::verify::board::{Board, Exact, Found};
use crate::verify::{Group, mix, unit, uuid};
use populace_core::email::{EmailConfig, EventType, LatencyConfig};
use populace_core::time::{DAY, Date, Instant, MINUTE, SECOND};
use std::collections::{HashMap, HashSet};

/// What rounding to the millisecond may do, microseconds.
const ROUNDING: i64 = 1_000;
const BYTES_PER_KB: f64 = 1_024.0;

/// Laws of messages, and of what triggers them.
pub(super) struct Chain<'a> {
    law: &'a Law<'a>,
    once: Exact,
    order: Exact,
    alike: Exact,
    ids: Exact,
    latency: Exact,
    sizes: Exact,
    silence: Exact,
    stopped: Exact,
    open_delays: Exact,
    click_delays: Exact,
    daily: Exact,
    triggers: Exact,
    /// Hot paths whose sends, if they trigger any, can be told, and how many do.
    paths: u64,
    triggered: u64,
    trigger_delays: Pit,
}

merge_fields!(Chain<'_> { once, order, alike, ids, latency, sizes, silence, stopped, open_delays, click_delays, daily, triggers, paths, triggered, trigger_delays } same { law });

impl<'a> Chain<'a> {
    pub(super) fn new(law: &'a Law<'a>) -> Self {
        Self {
            law,
            once: Exact::new("a message is sent once, and delivered, opened and clicked at most once"),
            order: Exact::new("a message is sent, then delivered, then opened, then clicked"),
            alike: Exact::new("all rows of a message have the same provider, campaign, subject and metadata"),
            ids: Exact::new("a message_id is a UUID of version 7 whose time is the send's"),
            latency: Exact::new("delivered is sent plus latency_seconds, to the millisecond, and send_time is sent"),
            sizes: Exact::new("a payload has its campaign's mean size within the range of its factor"),
            silence: Exact::new("no open and no click inside a circuit breaker's window, nor an open of mail that met one"),
            stopped: Exact::new("no send inside a circuit breaker's window, where those stop sends"),
            open_delays: Exact::new("opens follow their delivery within the range of delays"),
            click_delays: Exact::new("clicks follow their open within the range of delays"),
            daily: Exact::new("a recipient has at most one circuit breaker and one hot path a day"),
            triggers: Exact::new("a triggered send is of the trigger's campaign and follows a hot path of its type, at most one for each"),
            paths: 0,
            triggered: 0,
            trigger_delays: Pit::default(),
        }
    }

    pub(super) fn add(&mut self, recipient: &Recipient<'_>) {
        let history = recipient.history;
        self.once.hold(history.repeats == 0 && history.orphans == 0, || {
            format!("{}: {} duplicated rows, {} of no message", recipient.id(), history.repeats, history.orphans)
        });
        self.rows_agree(recipient);
        for message in &history.messages {
            self.message(recipient, message);
        }
        self.days(recipient);
        self.triggers(recipient);
    }

    fn message(&mut self, recipient: &Recipient<'_>, message: &Message) {
        let config = recipient.config();
        let history = recipient.history;
        let place = || format!("message {} of {}", uuid(message.id), recipient.id());
        self.ids.hold(is_v7_of(message.id, message.sent), place);
        let chain = [Some(message.sent), message.delivered, message.opened.or(message.machine_opened), message.clicked];
        let ordered = chain.windows(2).all(|pair| match pair {
            [before, Some(after)] => before.is_some_and(|before| before <= *after),
            _ => true,
        });
        self.order.hold(ordered, place);
        if self.law.model().suppresses_sends() {
            self.stopped.hold(!history.suppressed_at(message.sent), place);
        }
        let (Some(delivered), Some(row)) = (message.delivered, message.delivered_row) else { return };
        let events = recipient.events;
        let seconds = events.latency.value(row);
        let latency = delivered.since(message.sent);
        let queue =
            message.blast.map_or(0, |blast| (self.law.model().blasts()[usize::from(blast)].seconds * SECOND as f64) as i64 + ROUNDING);
        let told = (seconds * SECOND as f64).round() as i64;
        let holds = (latency - told).abs() < ROUNDING / 2 && events.send_time.value(row) == message.sent.0;
        let retried = message.deferrals > 0;
        self.latency.hold(holds && (retried || within_latency(config, latency, queue)), || format!("{}: {seconds} s", place()));
        if let Some(campaign) = recipient.campaign(row) {
            let factor = events.size.value(row) as f64;
            let [low, high] = [config.size_factor.low, config.size_factor.high].map(|factor| factor * campaign.mean_size_kb * BYTES_PER_KB);
            self.sizes.hold((low - 0.5..=high + 0.5).contains(&factor), || format!("{}: {factor} bytes", place()));
        }
        let unsuppressed = |moment: Option<Instant>| moment.is_none_or(|moment| !history.suppressed_at(moment));
        self.silence.hold(
            unsuppressed(message.opened) && unsuppressed(message.clicked) && !(message.suppressed && message.opened.is_some()),
            place,
        );
        if let Some(opened) = message.opened {
            let delay = opened.since(delivered);
            let [least, most] = [config.open_delays.min_minutes, config.longest_open_delay()].map(microseconds);
            let bounds = least - ROUNDING..=most + ROUNDING;
            self.open_delays.hold(bounds.contains(&delay), || format!("{}: {:.3} min", place(), delay as f64 / MINUTE as f64));
            if let Some(clicked) = message.clicked {
                let delay = clicked.since(opened);
                let law = &config.click_delays;
                let bounds = microseconds(law.min_minutes) - ROUNDING..=microseconds(law.max_minutes) + ROUNDING;
                self.click_delays.hold(bounds.contains(&delay), || format!("{}: {:.3} min", place(), delay as f64 / MINUTE as f64));
            }
        }
    }

    /// The rows of a message against its `sent`.
    fn rows_agree(&mut self, recipient: &Recipient<'_>) {
        let sent: HashMap<u128, usize> = recipient.history.messages.iter().map(|message| (message.id, message.sent_row)).collect();
        let events = recipient.events;
        let columns = [events.esp, events.campaign_id, events.subject, events.metadata];
        for (row, kind) in events.kinds.iter().enumerate() {
            let chained = kind.is_some_and(|kind| kind > EventType::Sent && kind <= EventType::Clicked);
            let Some(sent) = events.messages.get(row).filter(|_| chained).and_then(|id| sent.get(&id)) else { continue };
            self.alike.hold(columns.iter().all(|column| column.same(row, *sent)), || {
                let id = uuid(events.messages.get(row).unwrap_or_default());
                format!("{} of message {id} of {}", events.types.value(row), recipient.id())
            });
        }
    }

    fn days(&mut self, recipient: &Recipient<'_>) {
        let mut days: HashSet<(Date, bool)> = HashSet::new();
        let date = |time: Instant| recipient.on_days(time).date();
        let breakers = recipient.breakers.iter().map(|(time, _)| (date(*time), true));
        for day in breakers.chain(recipient.history.interests.iter().map(|time| (date(*time), false))) {
            self.daily.hold(days.insert(day), || format!("{} on {}", recipient.id(), day.0));
        }
    }

    fn triggers(&mut self, recipient: &Recipient<'_>) {
        let config = recipient.config();
        let Some(trigger) = config.trigger() else {
            let none = recipient.triggers.iter().all(Option::is_none);
            self.triggers.hold(none, || format!("{}: a send that nothing triggers", recipient.id()));
            return;
        };
        let [low, high] = [trigger.delay_minutes.low, trigger.delay_minutes.high].map(microseconds);
        let paths = &recipient.history.interests;
        let mut called: Vec<Option<Instant>> = vec![None; paths.len()];
        for Due { at, row, trigger: kind, .. } in &recipient.due {
            let Some(kind) = *kind else { continue };
            // The earliest hot path that may have called for it and has not called yet: of all others a later send may be, too.
            let found = (0..paths.len()).find(|&place| {
                let delay = at.since(paths[place]);
                recipient.interests[place] == kind && called[place].is_none() && (low - ROUNDING..=high + ROUNDING).contains(&delay)
            });
            if let Some(place) = found {
                called[place] = Some(*at);
            }
            let own = recipient.events.campaign_id.value(*row) == trigger.campaign;
            self.triggers.hold(found.is_some() && own, || format!("what is due at {at} of {}", recipient.id()));
        }
        let end = super::window(config).end();
        let stops = self.law.model().suppresses_sends();
        for (place, (path, called)) in paths.iter().zip(&called).enumerate() {
            // Where two hot paths lie close, which of them called is not told; at the window's end a call may be lost.
            let near = |other: Option<&Instant>| other.is_some_and(|other| other.since(*path).abs() <= high + ROUNDING);
            let alone = !near(place.checked_sub(1).and_then(|before| paths.get(before))) && !near(paths.get(place + 1));
            let silenced = stops && recipient.history.suppressed_after(*path).next().is_some_and(|(from, _)| from <= path.plus(high));
            if !alone || recipient.on_days(path.plus(high)) >= end || silenced {
                continue;
            }
            self.paths += 1;
            if let Some(sent) = called {
                self.triggered += 1;
                // Moments are whole milliseconds: anywhere within one's own share, by a hash.
                let own = (unit(mix(path.0 as u64)) - 0.5) * ROUNDING as f64;
                let place = (sent.since(*path).saturating_sub(low) as f64 + own) / (high - low).max(1) as f64;
                self.trigger_delays.add(if high - low < 100 * ROUNDING { unit(mix(path.0 as u64)) } else { place });
            }
        }
    }

    pub(super) fn report(self, board: &mut Board) {
        let config = self.law.config();
        for law in [self.once, self.order, self.alike, self.ids, self.latency, self.sizes, self.open_delays, self.click_delays] {
            board.exact(law);
        }
        match &config.circuit_breakers {
            None => board.skip(
                Group::Exact,
                "no open and no click inside a circuit breaker's window",
                "there are no circuit breakers in the document",
            ),
            Some(law) => {
                board.exact(self.silence);
                if law.suppress_sends {
                    board.exact(self.stopped);
                }
            }
        }
        board.exact(self.daily);
        board.exact(self.triggers);
        let (share, delay) = ("the share of hot paths that trigger a send", "delays of triggered sends");
        match config.trigger() {
            Some(trigger) if self.paths > 0 => {
                board.test(Group::Distribution, share, Found::share(self.triggered, self.paths, trigger.probability));
                board.test(Group::Distribution, delay, Found::places(&self.trigger_delays));
            }
            trigger => {
                let why =
                    if trigger.is_some() { "no hot path is without its triggered send" } else { "nothing triggers sends in the document" };
                board.skip(Group::Distribution, share, why);
                board.skip(Group::Distribution, delay, why);
            }
        }
    }
}

/// Whether a latency is one that the law can give, to the millisecond.
/// Whether a latency, and up to so much time in a queue, is possible.
fn within_latency(config: &EmailConfig, latency: i64, queue: i64) -> bool {
    match &config.latency {
        LatencyConfig::Uniform(law) if queue > 0 => {
            (i64::from(law.low_seconds) * SECOND..=i64::from(law.high_seconds) * SECOND + queue).contains(&latency)
        }
        LatencyConfig::Uniform(law) => {
            latency % SECOND == 0 && (i64::from(law.low_seconds)..=i64::from(law.high_seconds)).contains(&(latency / SECOND))
        }
        LatencyConfig::Lognormal(_) => (0..=DAY + queue).contains(&latency),
    }
}
