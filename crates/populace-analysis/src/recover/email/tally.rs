//! What is counted in one pass over the recipients: as much as the document has cells, however many rows there are.

use crate::email::history::decided_at;
use crate::email::{History, Law, Message};
use crate::recover::loglinear::Count;
use crate::recover::numbers::Moments;
use crate::source::{As, Columns, Want};
use arrow_array::RecordBatch;
use populace_core::email::{EmailConfig, OpenDelayLaw, PersonaConfig};
use populace_core::time::{DAY, HOUR, Instant, MINUTE, SECOND, Window};
use std::collections::BTreeMap;

const HOURS_OF_WEEK: usize = 168;
/// Minutes since a hot path are told apart by where they stand in its window: parts end at these shares of it. Parts are estimated one by
/// one: a curve through them with a floor has a kink, and the few messages of a small study leave its intervals too narrow.
pub(super) const HOT_PARTS: [f64; 4] = [1.0 / 12.0, 1.0 / 6.0, 1.0 / 3.0, 1.0];

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

/// Messages whose opens have one probability, but for the drift of their recipients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cell {
    pub(super) persona: u16,
    /// Class of the hour of the week: +1 outside peak hours, +2 on an inactive day.
    pub(super) class: u8,
    /// How many of the peak and of the slow minutes this minute is.
    pub(super) peaks: u8,
    pub(super) slows: u8,
    /// Recent sends, as far as fatigue tells them apart.
    pub(super) recent: u8,
    /// 0 away from a hot path, else 1 + the part of its window.
    pub(super) hot: u8,
}

/// An hour of a persona's week.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hour {
    pub(super) class: u8,
    /// Its weight in the law of scheduled sends.
    pub(super) weight: f64,
    /// Its factor in truth.
    pub(super) factor: f64,
}

/// The weeks of all personas.
fn weeks(law: &Law<'_>) -> Vec<Vec<Hour>> {
    let config = law.config();
    // Monday 1970-01-05 is the start of a week; on the recipients' clock.
    let offset = config.timezone.local(Instant(0)).0;
    let week = |(index, persona): (usize, &PersonaConfig)| {
        let hour = |hour: usize| {
            let of_day = hour % 24;
            let peak = persona.peak_hours.is_empty() || persona.peak_hours.iter().any(|label| usize::from(*label) == of_day);
            let active = persona.active_days.iter().any(|day| *day as usize == hour / 24);
            Hour {
                class: u8::from(!peak) + 2 * u8::from(!active),
                weight: hour_weight(config, of_day),
                factor: law.timing_at(index, Instant(4 * DAY + hour as i64 * HOUR - offset)).0,
            }
        };
        (0..HOURS_OF_WEEK).map(hour).collect()
    };
    config.personas.values().enumerate().map(week).collect()
}

fn minutes(config: &EmailConfig, persona: &PersonaConfig) -> [(u8, u8); 60] {
    let mut minutes = [(0, 0); 60];
    if let Some(law) = &config.minute {
        for peak in persona.peak_minutes.as_ref().unwrap_or(&law.peak_minutes) {
            minutes[usize::from(*peak)].0 += 1;
        }
        for slow in &law.slow_minutes {
            minutes[usize::from(*slow)].1 += 1;
        }
    }
    minutes
}

fn is_day(config: &EmailConfig, hour: usize) -> bool {
    (usize::from(config.sends.first_hour)..=usize::from(config.sends.last_hour)).contains(&hour)
}

fn hour_weight(config: &EmailConfig, hour: usize) -> f64 {
    if is_day(config, hour) { 1.0 } else { config.sends.night_weight }
}

/// All counts.
pub(super) struct Tally<'a> {
    law: &'a Law<'a>,
    window: Window,
    pub(super) weeks: Vec<Vec<Hour>>,
    /// By persona and minute of the hour: how often it is named as a peak, and as a slow one.
    minutes: Vec<[(u8, u8); 60]>,
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
    /// Days' worth of scheduled sends that circuit breakers kept from being sent.
    pub(super) silenced_days: f64,
    pub(super) breakers: u64,
    pub(super) hot_paths: u64,
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
    /// The factors of hot paths in truth, by the part of the window.
    pub(super) hot_factors: [Moments; HOT_PARTS.len()],
    /// Opens of each persona that no circuit breaker can have kept from being clicked, and their clicks.
    pub(super) clicks: Vec<Count>,
    /// Minutes beyond the least, of the opens of flat personas and of clicks.
    pub(super) open_delays: Moments,
    pub(super) click_delays: Moments,
    /// Whether a persona's attention is the same at all hours.
    flat: Vec<bool>,
}

impl<'a> Tally<'a> {
    pub(super) fn new(law: &'a Law<'a>) -> Self {
        let config = law.config();
        let weeks = weeks(law);
        let bare = config.open_delay == OpenDelayLaw::Exponential;
        Self {
            window: Window { start: config.window.start, days: config.window.days },
            flat: weeks.iter().map(|week| bare || week.iter().all(|hour| hour.class == 0)).collect(),
            clicks: vec![Count::default(); weeks.len()],
            weeks,
            minutes: config.personas.values().map(|persona| minutes(config, persona)).collect(),
            law,
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
            silenced_days: 0.0,
            breakers: 0,
            hot_paths: 0,
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
            hot_factors: Default::default(),
            open_delays: Moments::default(),
            click_delays: Moments::default(),
        }
    }

    /// Messages that the model of opens rests on.
    pub(super) fn modelled(&self) -> u64 {
        self.cells.values().map(|count| count.trials).sum()
    }

    /// Adds a recipient.
    pub(super) fn add(&mut self, history: &History, events: &RecordBatch) {
        self.recipients += 1;
        self.orphans += history.orphans;
        self.repeats += history.repeats;
        self.breakers += history.breakers.iter().filter(|breaker| self.window.contains(breaker.time)).count() as u64;
        self.hot_paths += history.hot_paths.iter().filter(|path| self.window.contains(**path)).count() as u64;
        self.silence(history);
        let mut triggered = Vec::new();
        let (metadata, campaigns, esps) = (events.text("metadata"), events.text("campaign_id"), events.text("esp"));
        for message in &history.messages {
            let row = message.sent_row;
            self.sent += 1;
            self.has_metadata |= metadata.is_valid(row);
            let is_triggered = metadata.is_valid(row) && metadata.value(row).contains("\"trigger\"");
            if esps.is_valid(row) {
                count(&mut self.esps, esps.value(row));
            }
            let inside = self.window.contains(message.sent);
            self.outside += u64::from(!inside);
            if is_triggered {
                triggered.push(message.sent);
            } else if inside {
                self.scheduled += 1;
                let hour = usize::from(self.law.config().timezone.local(message.sent).hour());
                self.scheduled_by_day += u64::from(is_day(self.law.config(), hour));
                if campaigns.is_valid(row) {
                    count(&mut self.campaigns, campaigns.value(row));
                }
            }
            self.latency(message);
        }
        self.triggers(history, &triggered);
        match self.law.persona_of(&history.recipient_id) {
            Some(persona) => self.engagement(persona, history),
            None => self.strangers += 1,
        }
    }

    /// How much of the law of scheduled sends fell where nothing is sent.
    fn silence(&mut self, history: &History) {
        let config = self.law.config();
        if !config.circuit_breakers.as_ref().is_some_and(|law| law.suppress_sends) {
            return;
        }
        let whole: f64 = (0..24).map(|hour| hour_weight(config, hour)).sum();
        for (from, to) in history.suppressed_after(self.window.begin()) {
            let (mut at, end) = (from.max(self.window.begin()), to.min(self.window.end()));
            while at < end {
                let local = config.timezone.local(at);
                let next = at.plus(HOUR - local.0.rem_euclid(HOUR)).min(end);
                self.silenced_days += hour_weight(config, usize::from(local.hour())) * next.since(at) as f64 / HOUR as f64 / whole;
                at = next;
            }
        }
    }

    /// How many hot paths may have triggered a send, and how many did.
    fn triggers(&mut self, history: &History, sends: &[Instant]) {
        let paths = self.law.config().hot_paths.as_ref();
        let Some(law) = paths.and_then(|paths| paths.trigger.as_ref()) else { return };
        // To the millisecond, rounded.
        let longest = (law.delay_minutes.high * MINUTE as f64) as i64 + SECOND / 1_000;
        let mut left: Vec<Instant> = sends.to_vec();
        for &path in &history.hot_paths {
            let until = path.plus(longest);
            if until > self.window.end() || !self.window.contains(path) {
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
        let Some(delivered) = message.delivered else { return };
        self.delivered += 1;
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
    fn engagement(&mut self, persona: usize, history: &History) {
        let config = self.law.config();
        let until = |from: Instant, minutes: f64| from.plus((minutes * MINUTE as f64) as i64 + MINUTE);
        let is_free = |from: Instant, minutes: f64| {
            let first = history.suppressed_after(from).next();
            first.is_none_or(|(begin, _)| begin > until(from, minutes))
        };
        for message in &history.messages {
            let Some(delivered) = message.delivered else { continue };
            if let Some(opened) = message.opened.filter(|opened| is_free(*opened, config.click_delays.max_minutes)) {
                self.clicks[persona].trials += 1;
                if let Some(clicked) = message.clicked {
                    self.clicks[persona].successes += 1;
                    self.click_delays.add(clicked.since(opened) as f64 / MINUTE as f64 - config.click_delays.min_minutes);
                }
            }
            if message.suppressed || !is_free(delivered, config.open_delays.max_minutes) {
                self.near_breakers += 1;
                continue;
            }
            if let Some(opened) = message.opened.filter(|_| self.flat[persona]) {
                self.open_delays.add(opened.since(delivered) as f64 / MINUTE as f64 - config.open_delays.min_minutes);
            }
            let cell = self.cell(persona, message, delivered);
            if cell.hot > 0 {
                let factor = self.law.factors(persona, message).map_or(1.0, |factors| factors.hot_path);
                self.hot_factors[usize::from(cell.hot) - 1].add(factor);
            }
            let count = self.cells.entry(cell).or_default();
            count.trials += 1;
            count.successes += u64::from(message.opened.is_some());
        }
    }

    fn cell(&self, persona: usize, message: &Message, delivered: Instant) -> Cell {
        let config = self.law.config();
        let decided = decided_at(config, message).unwrap_or(delivered);
        let minute_of_week = config.timezone.local(decided).minute_of_week();
        let (peaks, slows) = self.minutes[persona][minute_of_week % 60];
        let levels = config.fatigue.as_ref().map_or(1, |law| law.factors.len());
        let hot = match (&config.hot_paths, message.minutes_since_hot_path) {
            (Some(law), Some(minutes)) => 1 + HOT_PARTS.iter().filter(|end| minutes / law.window_minutes >= **end).count().min(3) as u8,
            _ => 0,
        };
        Cell {
            persona: persona as u16,
            class: self.weeks[persona][minute_of_week / 60].class,
            peaks,
            slows,
            recent: (message.recent_sends as usize).min(levels - 1) as u8,
            hot,
        }
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
