//! A simulated population as an analyst would piece it together from the events, beside what the specification says of it.

use super::model;
use crate::support::collect;
use populace_core::email::{Client, Delivery, EmailModel, Event, EventType, Group, MessageTruth, Truth, UserRateTruth};
use populace_core::scenario::Scenario;
use populace_core::stream::{ActorId, StreamKey};
use populace_core::time::{DAY, Date, HOUR, Instant, MINUTE};
use serde_json::Value;
use std::collections::BTreeMap;

/// Under 42 the opens of 600 morning persons lie 4.3 standard errors from their law; of 80,000 under the seeds 43 to 50 they do not.
const SEED: u64 = 43;

/// A persona as the specification has it.
#[derive(Debug)]
pub(super) struct Persona {
    pub(super) name: &'static str,
    pub(super) count: usize,
    pub(super) peak_hours: &'static [u8],
    pub(super) active_days: &'static [u8],
    pub(super) click: f64,
    pub(super) open: f64,
}

const fn persona(
    name: &'static str,
    count: usize,
    peak_hours: &'static [u8],
    active_days: &'static [u8],
    (click, open): (f64, f64),
) -> Persona {
    Persona { name, count, peak_hours, active_days, click, open }
}

const WORKDAYS: &[u8] = &[0, 1, 2, 3, 4];
const ALL_DAYS: &[u8] = &[0, 1, 2, 3, 4, 5, 6];

pub(super) const PERSONAS: [Persona; 9] = [
    persona("morning_person", 50, &[7, 8, 9], WORKDAYS, (0.15, 0.35)),
    persona("evening_person", 50, &[18, 19, 20, 21, 22], ALL_DAYS, (0.18, 0.40)),
    persona("night_owl", 30, &[22, 23, 0, 1, 2], &[4, 5, 6], (0.12, 0.28)),
    persona("lunch_browser", 40, &[12, 13], WORKDAYS, (0.20, 0.45)),
    persona("weekend_warrior", 35, &[10, 11, 12, 13, 14, 15, 16], &[5, 6], (0.25, 0.50)),
    persona("commuter", 45, &[8, 9, 17, 18], WORKDAYS, (0.16, 0.38)),
    persona("sporadic", 50, &[], ALL_DAYS, (0.08, 0.20)),
    persona("highly_engaged", 20, &[8, 9, 12, 13, 18, 19, 20], ALL_DAYS, (0.35, 0.65)),
    persona("low_engaged", 30, &[], ALL_DAYS, (0.03, 0.10)),
];

impl Persona {
    /// Whether a moment lies in peak hours and on an active day.
    pub(super) fn at(&self, time: Instant) -> (bool, bool) {
        (self.peak_hours.is_empty() || self.peak_hours.contains(&time.hour()), self.active_days.contains(&time.weekday()))
    }

    fn appetite((peak, active): (bool, bool)) -> f64 {
        (if peak { 1.0 } else { 0.2 }) * (if active { 1.0 } else { 0.3 })
    }

    /// The timing factor by whether at peak, whether on an active day.
    pub(super) fn timing(&self) -> [[f64; 2]; 2] {
        // Weight 1 for 17 hours, .15 for 7.
        let weight = |hour: u8| if (6..=22).contains(&hour) { 1.0 } else { 0.15 };
        let peak = if self.peak_hours.is_empty() { 1.0 } else { self.peak_hours.iter().map(|hour| weight(*hour)).sum::<f64>() / 18.05 };
        let active = self.active_days.len() as f64 / 7.0;
        let mean = (peak + 0.2 * (1.0 - peak)) * (active + 0.3 * (1.0 - active));
        let k = f64::min(1.0, (0.95 / (1.3 * self.open) - 1.0) / (1.0 / mean - 1.0 + 1e-300));
        [false, true].map(|peak| [false, true].map(|active| 1.0 + k * (Self::appetite((peak, active)) / mean - 1.0)))
    }
}

pub(super) fn start() -> Instant {
    Date::from_ymd(2025, 10, 1).expect("a date").midnight()
}

pub(super) const DAYS: i64 = 101;

/// A message and what became of it.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) user: usize,
    pub(super) sent: Event,
    pub(super) delivered: Option<(Instant, Delivery)>,
    pub(super) opened: Option<Instant>,
    pub(super) clicked: Option<Instant>,
    /// Whether the rows of the chain agree with each other and have what only their types have.
    pub(super) is_sound: bool,
    /// The user's sends in the 19, 24 and 29 hours before.
    pub(super) recent: [usize; 3],
    /// Minutes from the latest hot path to delivery.
    pub(super) since_hot_path: f64,
    /// Delivered outside of every circuit breaker's window, with none that begins within the 49 hours in which it may be opened and
    /// clicked: nothing but the probabilities decides.
    pub(super) free: bool,
    /// P(open | delivered) by the specification.
    pub(super) p_open: f64,
}

impl Message {
    pub(super) fn is_triggered(&self) -> bool {
        self.sent.metadata != 0
    }

    /// The moment by which the open is decided.
    pub(super) fn decided_at(&self, v1: bool) -> Instant {
        if v1 { self.sent.time } else { self.delivered.map_or(self.sent.time, |(time, _)| time) }
    }
}

#[derive(Clone, Debug)]
pub(super) struct User {
    pub(super) actor: u64,
    /// Index into [`PERSONAS`].
    pub(super) persona: usize,
    pub(super) breakers: Vec<Event>,
    pub(super) hot_paths: Vec<Event>,
    pub(super) clients: Vec<Client>,
    pub(super) rates: Vec<UserRateTruth>,
}

impl User {
    /// The circuit breaker whose window ends last among those that hold `time`.
    pub(super) fn stopped(&self, time: Instant) -> bool {
        self.breakers.iter().any(|breaker| (0..hours(breaker.event_type) * HOUR).contains(&time.since(breaker.time)))
    }
}

/// How long a circuit breaker lasts.
pub(super) fn hours(kind: EventType) -> i64 {
    if kind == EventType::UnsubscribeRequest { 168 } else { 48 }
}

pub(super) struct Samples {
    pub(super) v1: bool,
    pub(super) model: EmailModel,
    pub(super) users: Vec<User>,
    pub(super) messages: Vec<Message>,
    pub(super) truths: Vec<MessageTruth>,
}

pub(super) fn minute_factor(minute: u8) -> f64 {
    match minute {
        15 | 22 | 38 | 47 => 1.3,
        0 | 1 | 59 => 0.7,
        _ => 1.0,
    }
}

pub(super) fn fatigue_factor(recent: usize) -> f64 {
    [1.0, 0.95, 0.85, 0.60][recent.min(3)]
}

pub(super) fn hot_path_factor(minutes: f64) -> f64 {
    if minutes < 30.0 { f64::max(1.0, 2.0 * populace_core::math::exp(-minutes / 15.0)) } else { 1.0 }
}

impl Samples {
    /// What a document brings forth for those of `actors` that are of a persona, where one is named.
    pub(super) fn new(document: &Value, actors: std::ops::Range<u64>, only: Option<&str>) -> Self {
        let model = model(document);
        let v1 = document.pointer("/minute").is_none_or(Value::is_null);
        let names: Vec<String> = model.personas().iter().map(|persona| persona.name.clone()).collect();
        let key = StreamKey::root(SEED, EmailModel::NAME);
        let of_persona = |actor: &u64| only.is_none_or(|name| names[model.persona_of(key, ActorId(*actor))] == name);
        let collected = collect(&model, SEED, actors.filter(of_persona));
        let mut samples = Self { v1, model, users: Vec::new(), messages: Vec::new(), truths: Vec::new() };
        let mut rows = collected.rows.into_iter().peekable();
        let mut truths = collected.truths.into_iter().peekable();
        let timing = PERSONAS.map(|persona| persona.timing());
        while let Some((actor, Truth::User(truth))) = truths.next() {
            let persona =
                PERSONAS.iter().position(|persona| persona.name == names[usize::from(truth.person.persona)]).expect("a known persona");
            let mut user =
                User { actor: actor.0, persona, breakers: Vec::new(), hot_paths: Vec::new(), clients: Vec::new(), rates: Vec::new() };
            while let Some((_, truth)) = truths.next_if(|(_, truth)| !matches!(truth, Truth::User(_))) {
                match truth {
                    Truth::UserRate(rate) => user.rates.push(rate),
                    Truth::Message(message) => samples.truths.push(message),
                    Truth::User(_) | Truth::Attempt(_) | Truth::Full(_) | Truth::Decision(_) | Truth::Outcome(_) | Truth::Left(..) => {}
                }
            }
            let first = samples.messages.len();
            let mut by_id = BTreeMap::new();
            while let Some((_, event)) = rows.next_if(|(of, _)| *of == actor) {
                samples.take(&mut user, &mut by_id, event);
            }
            samples.judge(&user, first, &timing[persona]);
            samples.users.push(user);
        }
        samples
    }

    fn take(&mut self, user: &mut User, by_id: &mut BTreeMap<u128, usize>, event: Event) {
        user.clients.extend(event.client);
        let Some(id) = event.message_id.map(populace_core::email::Uuid::to_u128) else {
            if event.event_type.group() == Group::Breaker {
                user.breakers.push(event);
            } else {
                user.hot_paths.push(event);
            }
            return;
        };
        if event.event_type == EventType::Sent {
            by_id.insert(id, self.messages.len());
            self.messages.push(Message {
                user: self.users.len(),
                sent: event,
                delivered: None,
                opened: None,
                clicked: None,
                is_sound: event.client.is_none() && event.delivery.is_none() && event.click_url.is_none(),
                recent: [0; 3],
                since_hot_path: f64::INFINITY,
                free: false,
                p_open: f64::NAN,
            });
            return;
        }
        let message = &mut self.messages[by_id[&id]];
        let sent = &message.sent;
        let same = |event: &Event| (event.esp, event.campaign, event.subject, event.source, event.metadata);
        let (engaged, delivered, clicked) =
            (event.event_type != EventType::Delivered, event.event_type == EventType::Delivered, event.event_type == EventType::Clicked);
        message.is_sound &= same(&event) == same(sent)
            && event.client.is_some() == engaged
            && event.delivery.is_some() == delivered
            && event.click_url == clicked.then_some(sent.campaign);
        let after = match event.event_type {
            EventType::Delivered => {
                message.delivered = event.delivery.map(|delivery| (event.time, delivery));
                Some(sent.time)
            }
            EventType::Opened => {
                message.opened = Some(event.time);
                message.delivered.map(|(time, _)| time)
            }
            _ => {
                message.clicked = Some(event.time);
                message.opened
            }
        };
        message.is_sound &= after.is_some_and(|after| after < event.time);
    }

    /// Works out what the specification says of a user's messages.
    fn judge(&mut self, user: &User, first: usize, timing: &[[f64; 2]; 2]) {
        let persona = &PERSONAS[user.persona];
        let messages = &mut self.messages[first..];
        for index in 0..messages.len() {
            let sent = messages[index].sent.time;
            let recent =
                [19, 24, 29].map(|hours| messages[..index].iter().rev().take_while(|m| sent.since(m.sent.time) <= hours * HOUR).count());
            let message = &mut messages[index];
            message.recent = recent;
            let decided = message.decided_at(self.v1);
            let latest = user.hot_paths.iter().rev().find(|path| path.time <= decided);
            message.since_hot_path = latest.map_or(f64::INFINITY, |path| decided.since(path.time) as f64 / MINUTE as f64);
            let ahead = decided.plus(49 * HOUR);
            message.free = !user.stopped(decided) && !user.breakers.iter().any(|breaker| breaker.time > decided && breaker.time <= ahead);
            let (peak, active) = persona.at(decided);
            let mut product = persona.open * timing[usize::from(peak)][usize::from(active)];
            if !self.v1 {
                product *= minute_factor(decided.minute()) * fatigue_factor(recent[1]) * hot_path_factor(message.since_hot_path);
            }
            message.p_open = product.min(0.98);
        }
    }

    pub(super) fn persona(&self, message: &Message) -> &'static Persona {
        &PERSONAS[self.users[message.user].persona]
    }

    /// Messages of which nothing but the probabilities decides.
    pub(super) fn free(&self) -> impl Iterator<Item = &Message> {
        self.messages.iter().filter(|message| message.free && message.delivered.is_some())
    }

    /// Scheduled messages.
    pub(super) fn scheduled(&self) -> impl Iterator<Item = &Message> {
        self.messages.iter().filter(|message| !message.is_triggered())
    }

    pub(super) fn breakers(&self) -> impl Iterator<Item = &Event> {
        self.users.iter().flat_map(|user| &user.breakers)
    }

    pub(super) fn hot_paths(&self) -> impl Iterator<Item = &Event> {
        self.users.iter().flat_map(|user| &user.hot_paths)
    }

    /// User-days.
    pub(super) fn days(&self) -> f64 {
        self.users.len() as f64 * DAYS as f64
    }
}

/// Which day of the window.
pub(super) fn day_of(time: Instant) -> i64 {
    time.since(start()).div_euclid(DAY)
}
