//! What is counted in one pass over the recipients: as much as the document has cells, however many rows there are.

use super::deliveries::Deliveries;
use super::leaving::Leavers;
use super::mixture;
use super::people::{Others, People};
use super::scanners::Scans;
use crate::email::history::blast_of;
use crate::email::{History, Law, Message};
use crate::error::AnalysisError;
use crate::pass::Observer;
use crate::recover::loglinear::Count;
use crate::recover::numbers::Moments;
use crate::source::{As, Columns, Want};
use crate::stats::{Merge, merge_fields};
use arrow_array::RecordBatch;
use populace_core::email::{EFFECTS, HOURS_OF_WEEK, Habit, MONDAY, OpenDelayLaw, Person, SendClock, hour_of_week};
use populace_core::scenario::Scenario;
use populace_core::time::{DAY, HOUR, Instant, MINUTE, SECOND, Window};
use std::collections::BTreeMap;

/// The columns that are wanted: those of a history, and what else tells one message from another.
pub(super) const COLUMNS: [Want; 7] = {
    let [recipient, time, kind, message] = crate::email::EVENT_COLUMNS;
    [
        recipient,
        time,
        kind,
        message,
        Want::optional("metadata", As::Text),
        Want::optional("campaign_id", As::Text),
        Want::optional("esp", As::Text),
    ]
};

/// The place of `events` among the tables that are read.
const EVENTS: usize = 0;

/// Messages whose opens have one probability, but for the drift of their recipients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cell {
    pub(super) persona: u16,
    /// Class of the hour of the week: +1 outside peak hours, +2 on an inactive day.
    pub(super) class: u8,
    /// Of each effect.
    pub(super) states: [u16; EFFECTS.len()],
}

/// An hour of the week of a persona's people.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hour {
    pub(super) class: u8,
    /// Its weight in the law of scheduled sends.
    pub(super) weight: f64,
    /// Its factor in truth, of the persona's open rate.
    pub(super) factor: f64,
}

/// By how many minutes the recipients' clocks are ahead of that of sends, with probabilities.
pub(super) fn offsets(law: &Law<'_>) -> Vec<(i16, f64)> {
    let model = law.model();
    let by_utc = model.zones().is_some_and(|zones| zones.clock == SendClock::Utc);
    if by_utc { model.offsets() } else { vec![(0, 1.0)] }
}

/// The weight of an hour of the recipients' clock in the law of sends.
pub(super) fn weight_of(law: &Law<'_>, hour: usize, ahead: i16) -> f64 {
    law.model().calendar().weight((hour as i32 - i32::from(ahead).div_euclid(60)).rem_euclid(24) as usize)
}

/// The weeks of all personas: of each of its habits in turn, by their shares, with the mean over its people's own rates.
fn weeks(law: &Law<'_>, others: Option<&Others<'_>>) -> Vec<Vec<Hour>> {
    let model = law.model();
    let offsets = offsets(law);
    let week = |(index, habit): (usize, &Habit)| {
        let typical = law.personas()[usize::from(habit.persona)].open_rate;
        let people: Vec<(Person, f64)> = match others {
            None => vec![(model.person(index, typical, typical), 1.0)],
            Some(others) => others.inference.candidates().iter().filter(|(of, _)| usize::from(of.habit) == index).copied().collect(),
        };
        let hour = |hour: usize| {
            let (peak, active) = habit.own.own(hour);
            let of_offsets = |of: &dyn Fn(i16) -> f64| offsets.iter().map(|(ahead, share)| share * of(*ahead)).sum::<f64>();
            let clock = MONDAY.plus(hour as i64 * HOUR);
            let at = |(person, weight): &(Person, f64), ahead: i16| {
                weight / habit.share * person.open_rate / typical * model.effects().timing_at(person, clock, ahead)
            };
            Hour {
                class: u8::from(!peak) + 2 * u8::from(!active),
                weight: habit.share * of_offsets(&|ahead| weight_of(law, hour, ahead)),
                factor: of_offsets(&|ahead| people.iter().map(|of| at(of, ahead)).sum()),
            }
        };
        (0..HOURS_OF_WEEK).map(hour).collect::<Vec<Hour>>()
    };
    let of_habits: Vec<Vec<Hour>> = model.habits().iter().enumerate().map(week).collect();
    of_habits.chunks(of_habits.len() / law.personas().len()).map(<[Vec<Hour>]>::concat).collect()
}

/// All counts.
pub(super) struct Tally<'a> {
    law: &'a Law<'a>,
    window: Window,
    pub(super) weeks: Vec<Vec<Hour>>,
    /// Rows of the table of users, and recipients that have events.
    pub(super) users: u64,
    pub(super) recipients: u64,
    pub(super) strangers: u64,
    pub(super) orphans: u64,
    pub(super) repeats: u64,
    pub(super) outside: u64,
    pub(super) instant: u64,
    pub(super) near_breakers: u64,
    pub(super) has_metadata: bool,
    pub(super) sent: u64,
    pub(super) delivered: u64,
    pub(super) scheduled: u64,
    pub(super) scheduled_by_day: u64,
    /// By what seasons their day has.
    pub(super) scheduled_in: BTreeMap<u16, u64>,
    /// Days' worth of scheduled sends that circuit breakers kept from being sent.
    pub(super) silenced_days: f64,
    pub(super) breakers: u64,
    pub(super) interests: u64,
    pub(super) may_trigger: u64,
    pub(super) triggered: u64,
    pub(super) campaigns: BTreeMap<String, u64>,
    pub(super) esps: BTreeMap<String, u64>,
    /// Latencies: all; by the congestion met on weekdays; logarithms of those that met none, on weekdays and on weekends.
    pub(super) seconds: Moments,
    pub(super) regular: Moments,
    pub(super) top: Moments,
    pub(super) batch: Moments,
    pub(super) regular_logs: Moments,
    pub(super) weekend_logs: Moments,
    pub(super) cells: BTreeMap<Cell, Count>,
    /// The factors in truth, by effect and state.
    pub(super) factors: BTreeMap<(usize, u16), Moments>,
    /// Opens of each persona that no circuit breaker can have kept from being clicked, and their clicks.
    pub(super) clicks: Vec<Count>,
    /// The same by season, where those change clicks.
    pub(super) clicks_in: BTreeMap<(usize, u16), Count>,
    /// The same of messages with variants of experiments, by persona and exposure.
    pub(super) clicks_of: BTreeMap<(usize, u16), Count>,
    /// Minutes beyond the least, of the opens of flat personas and of clicks.
    pub(super) open_delays: Moments,
    /// The same delays, where they mix, by the twentieths of their logarithm.
    pub(super) mixed_delays: BTreeMap<i32, u64>,
    pub(super) click_delays: Moments,
    /// Whether a persona's attention is the same at all hours.
    flat: Vec<bool>,
    /// Recipients whose client opens ahead, and all by how many messages were delivered to them.
    pub(super) opened_ahead: u64,
    pub(super) by_delivered: Vec<u64>,
    /// Of each blast, the messages, and their latencies by congestion: at the top of an hour, in a batch, on a quiet day.
    pub(super) blasted: BTreeMap<u8, u64>,
    pub(super) waits: BTreeMap<(u8, [bool; 3]), Moments>,
    /// Of recipients behind a scanner.
    pub(super) scans: Scans,
    /// By persona: delivered messages and those opened, of recipients whose client opens ahead after that is known, and of others.
    pub(super) ahead: Vec<Count>,
    pub(super) own: Vec<Count>,
    /// Recipients by the time zone that the table of users says.
    pub(super) zones: BTreeMap<String, u64>,
    /// Where people differ, what tells how; and by persona the squares of the numbers of a recipient's messages in the model of opens, and
    /// of its opens in that of clicks.
    others: Option<&'a Others<'a>>,
    pub(super) people: Option<People>,
    pub(super) squares: Vec<[f64; 2]>,
    pub(super) deliveries: Deliveries,
    pub(super) leavers: Leavers,
}

/// The begin of a document's window.
pub(super) fn begin(law: &Law<'_>) -> Instant {
    law.model().window().begin()
}

impl<'a> Tally<'a> {
    pub(super) fn new(law: &'a Law<'a>, others: Option<&'a Others<'a>>) -> Self {
        let config = law.config();
        let weeks = weeks(law, others);
        let bare = config.open_delay == OpenDelayLaw::Exponential;
        Self {
            window: Window { start: config.window.start, days: config.window.days },
            flat: weeks.iter().map(|week| bare || week.iter().all(|hour| hour.class == 0)).collect(),
            clicks: vec![Count::default(); weeks.len()],
            weeks,
            law,
            users: 0,
            recipients: 0,
            strangers: 0,
            orphans: 0,
            repeats: 0,
            outside: 0,
            instant: 0,
            near_breakers: 0,
            has_metadata: false,
            sent: 0,
            delivered: 0,
            scheduled: 0,
            scheduled_by_day: 0,
            scheduled_in: BTreeMap::new(),
            clicks_in: BTreeMap::new(),
            clicks_of: BTreeMap::new(),
            silenced_days: 0.0,
            breakers: 0,
            interests: 0,
            may_trigger: 0,
            triggered: 0,
            campaigns: BTreeMap::new(),
            esps: BTreeMap::new(),
            seconds: Moments::default(),
            regular: Moments::default(),
            top: Moments::default(),
            batch: Moments::default(),
            regular_logs: Moments::default(),
            weekend_logs: Moments::default(),
            cells: BTreeMap::new(),
            factors: BTreeMap::new(),
            open_delays: Moments::default(),
            mixed_delays: BTreeMap::new(),
            click_delays: Moments::default(),
            opened_ahead: 0,
            by_delivered: Vec::new(),
            blasted: BTreeMap::new(),
            waits: BTreeMap::new(),
            scans: Scans::default(),
            ahead: vec![Count::default(); law.personas().len()],
            own: vec![Count::default(); law.personas().len()],
            zones: BTreeMap::new(),
            others,
            people: others.map(People::new),
            squares: vec![[0.0; 2]; law.personas().len()],
            deliveries: Deliveries::default(),
            leavers: Leavers::default(),
        }
    }

    /// Who recipients may be, each with its share of its persona's people, where people differ.
    pub(super) fn candidates(&self) -> Option<&'a [(Person, f64)]> {
        self.others.map(|others| others.inference.candidates())
    }

    /// Messages that the model of opens rests on.
    pub(super) fn modelled(&self) -> u64 {
        self.cells.values().map(|count| count.trials).sum()
    }

    fn recipient(&mut self, history: &History, events: &RecordBatch) {
        self.recipients += 1;
        self.orphans += history.orphans;
        self.repeats += history.repeats;
        let person = self.law.person_of(&history.recipient_id);
        let zone = person.map_or(0, |person| person.zone.zone);
        let model = self.law.model();
        let on_days = |moment: Instant| model.on_days(zone, moment);
        self.breakers += history.breakers.iter().filter(|breaker| self.window.contains(on_days(breaker.time))).count() as u64;
        self.interests += history.interests.iter().filter(|path| self.window.contains(on_days(**path))).count() as u64;
        self.silence(zone, history);
        let mut triggered = Vec::new();
        let (metadata, campaigns, esps) = (events.text("metadata"), events.text("campaign_id"), events.text("esp"));
        if let Some(attempts) = self.law.model().attempts() {
            self.deliveries.add(self.law, attempts, history, events);
        }
        self.sent += history.messages.len() as u64;
        history.messages.iter().for_each(|message| self.latency(message));
        // What was dropped was due all the same.
        let sent = history.messages.iter().map(|message| (message.sent, message.sent_row));
        let mut due: Vec<(Instant, usize)> = sent.chain(history.dropped.iter().copied()).collect();
        due.sort_by_key(|(at, _)| *at);
        for (sent, row) in due {
            self.has_metadata |= metadata.is_valid(row);
            let is_triggered = metadata.is_valid(row) && metadata.value(row).contains("\"trigger\"");
            if let Some(blast) = blast_of(model, metadata.value(row)) {
                // Its moment, campaign and provider are not drawn for it.
                *self.blasted.entry(blast).or_default() += 1;
                continue;
            }
            if esps.is_valid(row) {
                count(&mut self.esps, esps.value(row));
            }
            let sent = on_days(sent);
            let inside = self.window.contains(sent);
            self.outside += u64::from(!inside);
            if is_triggered {
                triggered.push(sent);
            } else if inside {
                self.scheduled += 1;
                if let Some(season) = self.law.model().effects().season() {
                    *self.scheduled_in.entry(season.day(sent.date()).state).or_default() += 1;
                }
                let hour = usize::from(self.law.config().timezone.local(sent).hour());
                self.scheduled_by_day += u64::from(self.law.model().calendar().is_day(hour));
                if campaigns.is_valid(row) {
                    count(&mut self.campaigns, campaigns.value(row));
                }
            }
        }
        self.triggers(zone, history, &triggered);
        if let Some(leaving) = self.law.model().leaving() {
            self.leavers.add(self.law, leaving, history, events);
        }
        if self.law.model().scanners().is_some() {
            self.scans.add(self.law.config(), history);
        }
        match person {
            Some(person) => {
                self.machines(person.persona.into(), history);
                // Of others nobody can see whether and when they open.
                if !history.is_opened_ahead() {
                    self.engagement(&person, history);
                    if let Some((people, others)) = self.people.as_mut().zip(self.others) {
                        people.add(others, person.persona.into(), history);
                    }
                }
            }
            None => self.strangers += 1,
        }
    }

    /// Whose client opens ahead, and how often where that is known: after the first such open.
    fn machines(&mut self, persona: usize, history: &History) {
        if self.law.model().machine_opens().is_none() {
            return;
        }
        let delivered = || history.messages.iter().filter(|message| message.delivered.is_some());
        let count = delivered().count();
        if self.by_delivered.len() <= count {
            self.by_delivered.resize(count + 1, 0);
        }
        self.by_delivered[count] += 1;
        let first = history.messages.iter().position(|message| message.machine_opened.is_some());
        self.opened_ahead += u64::from(first.is_some());
        let (counts, from) = match first {
            Some(first) => (&mut self.ahead[persona], first + 1),
            None => (&mut self.own[persona], 0),
        };
        for message in history.messages[from..].iter().filter(|message| message.delivered.is_some()) {
            counts.trials += 1;
            counts.successes += u64::from(message.opened.or(message.machine_opened).is_some());
        }
    }

    /// How much of the law of scheduled sends fell where nothing is sent.
    fn silence(&mut self, zone: u8, history: &History) {
        let config = self.law.config();
        if !self.law.model().suppresses_sends() {
            return;
        }
        let calendar = self.law.model().calendar();
        let on_days = |moment: Instant| self.law.model().on_days(zone, moment);
        for (from, to) in history.suppressed_after(self.window.begin().plus(-DAY)) {
            let (mut at, end) = (on_days(from).max(self.window.begin()), on_days(to).min(self.window.end()));
            while at < end {
                let local = config.timezone.local(at);
                let next = at.plus(HOUR - local.0.rem_euclid(HOUR)).min(end);
                let weight = calendar.weight(usize::from(local.hour()));
                self.silenced_days += weight * next.since(at) as f64 / HOUR as f64 / calendar.total();
                at = next;
            }
        }
    }

    /// How many hot paths may have triggered a send, and how many did.
    fn triggers(&mut self, zone: u8, history: &History, sends: &[Instant]) {
        let Some(law) = self.law.config().trigger() else { return };
        // To the millisecond, rounded.
        let longest = (law.delay_minutes.high * MINUTE as f64) as i64 + SECOND / 1_000;
        let mut left: Vec<Instant> = sends.to_vec();
        for &path in &history.interests {
            let until = path.plus(longest);
            let on_days = |moment: Instant| self.law.model().on_days(zone, moment);
            if on_days(until) > self.window.end() || !self.window.contains(on_days(path)) {
                continue;
            }
            self.may_trigger += 1;
            if let Some(place) = left.iter().position(|send| *send >= path && *send <= until) {
                left.remove(place);
                self.triggered += 1;
            }
        }
    }

    fn latency(&mut self, message: &Message) {
        self.delivered += u64::from(message.delivered.is_some());
        // Deferrals add to the latency of what is delivered later.
        let Some(delivered) = message.answered else { return };
        if let Some(blast) = message.blast {
            let cell = self.law.model().latency_cell(message.sent);
            let seconds = delivered.since(message.sent) as f64 / SECOND as f64;
            self.waits.entry((blast, [cell.top, cell.batch, cell.weekend])).or_default().add(seconds);
            return;
        }
        let seconds = delivered.since(message.sent) as f64 / SECOND as f64;
        if seconds <= 0.0 {
            self.instant += 1;
            return;
        }
        let cell = self.law.model().latency_cell(message.sent);
        self.seconds.add(seconds);
        match (cell.top, cell.batch, cell.weekend) {
            (false, false, false) => {
                self.regular.add(seconds);
                self.regular_logs.add(seconds.ln());
            }
            (false, false, true) => self.weekend_logs.add(seconds.ln()),
            (true, false, false) => self.top.add(seconds),
            (false, true, false) => self.batch.add(seconds),
            _ => {}
        }
    }

    /// Opens and clicks. A message counts only if no circuit breaker can have dropped its open, an open only if none can have dropped its
    /// click: as breakers fall without regard to engagement, nothing is biased, and no law of delays need be known.
    fn engagement(&mut self, person: &Person, history: &History) {
        let config = self.law.config();
        let persona = usize::from(person.persona);
        let mut counts = [0.0; 2];
        let shift = usize::from(person.habit) - persona * self.law.model().habits().len() / self.law.personas().len();
        let until = |from: Instant, minutes: f64| from.plus((minutes * MINUTE as f64) as i64 + MINUTE);
        let is_free = |from: Instant, minutes: f64| {
            let first = history.suppressed_after(from).next();
            first.is_none_or(|(begin, _)| begin > until(from, minutes))
        };
        for message in &history.messages {
            let Some(delivered) = message.delivered else { continue };
            if let Some(opened) = message.opened.filter(|opened| is_free(*opened, config.click_delays.max_minutes)) {
                let count = Count { trials: 1, successes: u64::from(message.clicked.is_some()) };
                let effects = self.law.model().effects();
                let at = self.law.circumstances(person, message);
                if message.exposure > 0 {
                    self.clicks_of.entry((persona, message.exposure)).or_default().combine(count);
                }
                // Clicks that content moves tell of that alone.
                let content = effects.experiments().zip(at).map_or(1.0, |(own, at)| own.click_factor(at.exposed));
                if content == 1.0 {
                    if let Some((season, at)) = effects.season().zip(at) {
                        let state = season.day(at.clock.date()).state;
                        self.clicks_in.entry((persona, state)).or_default().combine(count);
                    }
                    self.clicks[persona].combine(count);
                    counts[1] += 1.0;
                }
                if let Some(clicked) = message.clicked {
                    self.click_delays.add(clicked.since(opened) as f64 / MINUTE as f64 - config.click_delays.min_minutes);
                }
            }
            if message.suppressed || !is_free(delivered, config.longest_open_delay()) {
                self.near_breakers += 1;
                continue;
            }
            if let Some(opened) = message.opened.filter(|_| self.flat[persona]) {
                let beyond = opened.since(delivered) as f64 / MINUTE as f64 - config.open_delays.min_minutes;
                self.open_delays.add(beyond);
                if config.open_delay == OpenDelayLaw::Mixture {
                    *self.mixed_delays.entry(mixture::bin(beyond)).or_default() += 1;
                }
            }
            let Some(at) = self.law.circumstances(person, message) else { continue };
            let effects = self.law.model().effects();
            let states = effects.each().map(|effect| effect.state(&at));
            for (place, (&state, factor)) in states.iter().zip(effects.factors(&at)).enumerate().filter(|(_, (state, _))| **state > 0) {
                self.factors.entry((place, state)).or_default().add(factor);
            }
            let class = self.weeks[persona][shift * HOURS_OF_WEEK + hour_of_week(at.clock)].class;
            let count = self.cells.entry(Cell { persona: persona as u16, class, states }).or_default();
            count.trials += 1;
            count.successes += u64::from(message.opened.is_some());
            counts[0] += 1.0;
        }
        self.squares[persona].iter_mut().zip(counts).for_each(|(sum, count)| *sum += count * count);
    }
}

merge_fields!(Tally<'_> {
    users, recipients, strangers, orphans, repeats, outside, instant, near_breakers, has_metadata, sent, delivered, scheduled,
    scheduled_by_day, scheduled_in, clicks_in, clicks_of, silenced_days, breakers, interests, may_trigger, triggered, campaigns, esps, seconds, regular, top, batch,
    regular_logs, weekend_logs, cells, factors, clicks, open_delays, mixed_delays, click_delays, opened_ahead, by_delivered, scans, ahead, own, zones,
    people, squares, deliveries, leavers, blasted, waits,
} same { law, window, weeks, flat, others });

impl Observer for Tally<'_> {
    fn rows(&mut self, table: usize, rows: &RecordBatch) -> Result<(), AnalysisError> {
        if table != EVENTS {
            self.users += rows.num_rows() as u64;
            if self.law.model().zones().is_some() {
                let timezones = rows.text("timezone");
                let known = (0..rows.num_rows()).filter(|row| timezones.is_valid(*row));
                known.for_each(|row| count(&mut self.zones, timezones.value(row)));
            }
        }
        Ok(())
    }

    fn add(&mut self, actor: &[Option<RecordBatch>]) -> Result<(), AnalysisError> {
        if let Some(events) = &actor[EVENTS] {
            self.recipient(&History::new(self.law.model(), events), events);
        }
        Ok(())
    }

    fn merge(&mut self, later: Self) -> Result<(), AnalysisError> {
        self.combine(later);
        Ok(())
    }
}

fn count(counts: &mut BTreeMap<String, u64>, key: &str) {
    match counts.get_mut(key) {
        Some(count) => *count += 1,
        None => {
            counts.insert(key.to_owned(), 1);
        }
    }
}
