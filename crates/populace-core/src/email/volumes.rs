//! Expected volumes, by integration over the hours of every kind of day, the minute of delivery, the number of recent sends, the distance
//! from a hot path, the open delay, and the circuit breakers before and after.
//!
//! Sends, deliveries, circuit breakers and hot paths are exact, opens and clicks within 0.5% of simulation (the tests hold them to 1%).
//! Left out is what lies below that: where within its hour a message stands, two hot paths within one window, drift under the clip; and
//! where `suppress_sends` is on, fatigue is thinned in the mean only.

use super::attention::WEEK;
use super::config::{DecidedAt, EmailConfig};
use super::laws::Cell;
use super::model::{EmailModel, Persona};
use super::rows::EventType;
use crate::math;
use crate::stream::ActorId;
use crate::time::{Instant, MINUTE};

/// Expected counts of one user, or of many.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Volumes {
    /// Scheduled sends.
    pub scheduled: f64,
    /// Sends that hot paths triggered.
    pub triggered: f64,
    /// Events by the number of their type, as in [`EventType::NAMES`].
    pub events: [f64; EventType::NAMES.len()],
}

impl Volumes {
    /// Events of one type.
    pub fn of(&self, event_type: EventType) -> f64 {
        self.events[event_type as usize]
    }

    /// All events.
    pub fn total(&self) -> f64 {
        self.events.iter().sum()
    }

    /// Circuit breakers of every kind.
    pub fn breakers(&self) -> f64 {
        EventType::ALL.iter().filter(|kind| kind.is_breaker()).map(|kind| self.of(*kind)).sum()
    }

    /// Hot paths of every kind.
    pub fn hot_paths(&self) -> f64 {
        EventType::ALL.iter().filter(|kind| kind.is_hot_path()).map(|kind| self.of(*kind)).sum()
    }

    fn add(&mut self, other: &Self, times: f64) {
        self.scheduled += times * other.scheduled;
        self.triggered += times * other.triggered;
        for (sum, value) in self.events.iter_mut().zip(other.events) {
            *sum += times * value;
        }
    }
}

/// What a model brings forth on average.
#[derive(Clone, Debug, PartialEq)]
pub struct Expectation {
    /// Of one user of each persona, by its index.
    pub personas: Box<[Volumes]>,
    /// How many users each persona has.
    pub users: Box<[u64]>,
}

impl Expectation {
    /// The expectation of a model. Takes milliseconds, or seconds where a circuit breaker lasts for months.
    pub fn new(model: &EmailModel) -> Self {
        let users = model.config().population.users;
        let mut of_persona = vec![0; model.personas.len()];
        for slot in 0..model.slots() {
            let rounds = users / model.slots() + u64::from(slot < users % model.slots());
            of_persona[model.persona_of(ActorId(slot))] += rounds;
        }
        Self { personas: Calendar::new(model).volumes().into(), users: of_persona.into() }
    }

    /// Of the whole population.
    pub fn total(&self) -> Volumes {
        let mut total = Volumes::default();
        for (volumes, users) in self.personas.iter().zip(&self.users) {
            total.add(volumes, *users as f64);
        }
        total
    }
}

/// Minutes in a day.
const DAY: f64 = 1_440.0;
/// Nodes of a uniform or open delay: equal shares of its law.
const NODES: usize = 8;

/// A discrete law: values with their probabilities.
type Nodes = Vec<(f64, f64)>;

fn mean(nodes: &Nodes) -> f64 {
    nodes.iter().map(|(value, weight)| value * weight).sum()
}

/// Adds to the weight of a value.
fn put(nodes: &mut Nodes, value: f64, weight: f64) {
    match nodes.iter_mut().find(|(known, _)| *known == value) {
        Some((_, sum)) => *sum += weight,
        None => nodes.push((value, weight)),
    }
}

/// The middles of equal shares of a range.
fn spread(low: f64, high: f64, steps: usize) -> impl Iterator<Item = f64> {
    (0..steps).map(move |step| low + (high - low) * (step as f64 + 0.5) / steps as f64)
}

/// A persona in one hour of the week (UTC).
struct PersonaHour {
    /// Timing × minute of messages sent in it.
    factors: Nodes,
    /// Open delays of messages delivered in it, minutes: equally likely.
    delays: [f64; NODES],
}

/// Mail of one hour of one day.
struct Mail {
    /// How many messages a user.
    mass: f64,
    fatigue: Nodes,
    hot_path: Nodes,
}

/// What is common to all personas. Times are in minutes from the window's start.
struct Calendar<'a> {
    model: &'a EmailModel,
    config: &'a EmailConfig,
    days: u32,
    /// P(time of day < minute), in UTC, for minutes 0 to 1,440.
    clock: Vec<f64>,
    /// P(a triggered send < minute), from the midnight before its hot path, for two days; empty if there is none.
    trigger_clock: Vec<f64>,
    /// Triggered sends a day.
    triggers: f64,
}

/// The value of a distribution function known at whole minutes.
fn interpolated(table: &[f64], minute: f64) -> f64 {
    let last = table.len() - 1;
    if minute <= 0.0 {
        return 0.0;
    }
    if minute >= last as f64 {
        return table[last];
    }
    let below = minute as usize;
    table[below] + (table[below + 1] - table[below]) * (minute - below as f64)
}

impl<'a> Calendar<'a> {
    fn new(model: &'a EmailModel) -> Self {
        let config = model.config();
        let offset = i64::from(config.timezone.minutes());
        let weight = |minute: i64| model.time_of_day.weight(((minute + offset).rem_euclid(DAY as i64) / 60) as usize);
        let total: f64 = (0..DAY as i64).map(weight).sum();
        let mut clock = vec![0.0];
        clock.extend((0..DAY as i64).scan(0.0, |sum, minute| {
            *sum += weight(minute) / total;
            Some(*sum)
        }));
        let hot_paths = config.hot_paths.as_ref();
        let trigger = hot_paths.and_then(|law| law.trigger.as_ref());
        let trigger_clock = trigger.map_or_else(Vec::new, |trigger| {
            let span = trigger.delay_minutes;
            let share = |minute: usize| {
                spread(span.low, span.high, 32).map(|delay| interpolated(&clock, minute as f64 - delay)).sum::<f64>() / 32.0
            };
            (0..=2 * DAY as usize).map(share).collect()
        });
        let triggers = trigger.map_or(0.0, |trigger| trigger.probability) * hot_paths.map_or(0.0, |law| law.probability);
        Self { model, config, days: config.window.days, clock, trigger_clock, triggers }
    }

    /// Expected counts of one user of each persona.
    fn volumes(&self) -> Vec<Volumes> {
        let hours: Vec<Vec<PersonaHour>> = self.model.personas.iter().map(|persona| self.hours(persona)).collect();
        let mut volumes = vec![self.occasional(); hours.len()];
        for (day, times) in self.representative_days() {
            let weekday = usize::from(self.config.window.start.plus(day as i32).weekday());
            for hour in 0..48 {
                let moment = f64::from(day) * DAY + 60.0 * f64::from(hour) + 30.0;
                let mails = [self.scheduled(moment, hour), self.triggered(moment, day, hour)];
                if mails.iter().all(|mail| mail.mass == 0.0) {
                    continue;
                }
                let sent =
                    if self.config.circuit_breakers.as_ref().is_some_and(|law| law.suppress_sends) { self.heard(&[moment]) } else { 1.0 };
                let of_week = (weekday * 24 + hour as usize) % WEEK;
                for (persona, (hours, sum)) in self.model.personas.iter().zip(hours.iter().zip(&mut volumes)) {
                    let engaged = self.engaged(persona, &hours[of_week], moment, &mails);
                    let [scheduled, triggered] = [0, 1].map(|kind: usize| mails[kind].mass * sent);
                    let mut events = [0.0; EventType::NAMES.len()];
                    events[EventType::Sent as usize] = scheduled + triggered;
                    events[EventType::Delivered as usize] = self.config.delivery.probability * (scheduled + triggered);
                    [events[EventType::Opened as usize], events[EventType::Clicked as usize]] = engaged;
                    sum.add(&Volumes { scheduled, triggered, events }, times);
                }
            }
        }
        volumes
    }

    /// Days of the window with the number of days each stands for. Near the start fewer sends and circuit breakers lie behind, near the end
    /// fewer ahead; between, only the day of the week matters.
    fn representative_days(&self) -> Vec<(u32, f64)> {
        let looks_back = self.config.circuit_breakers.iter().flat_map(|law| law.kinds.values()).map(|kind| kind.hours);
        let hours = looks_back.chain(self.config.fatigue.iter().map(|fatigue| fatigue.hours)).max().unwrap_or(0);
        // The start is taken day by day for a month at most.
        let early = (hours.div_ceil(24) + 2).min(31);
        let late = (self.config.open_delays.max_minutes / DAY) as u32 + 2;
        if self.days <= early + late + 7 {
            return (0..self.days).map(|day| (day, 1.0)).collect();
        }
        let middle = early..self.days - late;
        let standing = middle.clone().rev().take(7).map(|day| (day, f64::from((day - early) / 7 + 1)));
        (0..early).chain(middle.end..self.days).map(|day| (day, 1.0)).chain(standing).collect()
    }

    /// Circuit breakers and hot paths.
    fn occasional(&self) -> Volumes {
        let mut volumes = Volumes::default();
        let mut share = |probability: f64, kinds: Vec<(EventType, f64)>| {
            let total: f64 = kinds.iter().map(|(_, weight)| weight).sum();
            for (kind, weight) in kinds {
                volumes.events[kind as usize] = probability * f64::from(self.days) * weight / total;
            }
        };
        if let Some(law) = &self.config.circuit_breakers {
            share(law.probability, law.kinds.iter().map(|(kind, breaker)| ((*kind).into(), breaker.weight)).collect());
        }
        if let Some(law) = &self.config.hot_paths {
            share(law.probability, law.kinds.iter().map(|(kind, path)| ((*kind).into(), path.weight)).collect());
        }
        volumes
    }

    fn hours(&self, persona: &Persona) -> Vec<PersonaHour> {
        let late: Vec<Vec<f64>> = (0..8).map(|cell| self.minutes_late(cell)).collect();
        let timezone = self.config.timezone;
        (0..WEEK)
            .map(|hour| {
                let mut factors = Nodes::new();
                for minute in 0..60 {
                    // 1970-01-05 was a Monday.
                    let sent = Instant(((4 * 24 + hour as i64) * 60 + minute) * MINUTE);
                    let cell = self.model.latency_cell(sent);
                    let cell = usize::from(cell.top) + 2 * usize::from(cell.batch) + 4 * usize::from(cell.weekend);
                    for (minutes, share) in late[cell].iter().enumerate() {
                        let local = timezone.local(sent.plus(minutes as i64 * MINUTE));
                        let (timing, minute) = persona.factors_at(local);
                        put(&mut factors, timing * minute, share / 60.0);
                    }
                }
                let delivered = timezone.local(Instant(((4 * 24 + hour as i64) * 60 + 30) * MINUTE));
                let delays = core::array::from_fn(|node| {
                    self.model.open_delays.at(&persona.attention, delivered, (node as f64 + 0.5) / NODES as f64)
                });
                PersonaHour { factors, delays }
            })
            .collect()
    }

    /// P(the minute by which an open is decided is k minutes after that of sending), k from 0, in one of the eight cells.
    fn minutes_late(&self, cell: usize) -> Vec<f64> {
        if self.model.decided_at == DecidedAt::Send {
            return vec![1.0];
        }
        let cell = Cell { top: cell & 1 > 0, batch: cell & 2 > 0, weekend: cell & 4 > 0 };
        // Delivered before minute k of a message sent anywhere within minute 0.
        let before = |k: usize| spread(0.0, 1.0, 16).map(|at| self.model.latency_cdf(cell, 60.0 * (k as f64 - at))).sum::<f64>() / 16.0;
        let mut shares = Vec::new();
        let mut below = 0.0;
        while below < 1.0 - 1e-6 && shares.len() < DAY as usize {
            let up_to = before(shares.len() + 1);
            shares.push(up_to - below);
            below = up_to;
        }
        shares
    }

    /// Scheduled mail of an hour.
    fn scheduled(&self, moment: f64, hour: i32) -> Mail {
        let share = |minute: i32| interpolated(&self.clock, f64::from(minute));
        let mass = self.config.sends.per_day * (share(60 * hour + 60) - share(60 * hour));
        if mass <= 0.0 {
            return Mail { mass: 0.0, fatigue: Nodes::new(), hot_path: Nodes::new() };
        }
        let mut hot_path = Nodes::new();
        if let (Some(law), Some(config)) = (&self.model.hot_paths, &self.config.hot_paths) {
            // The chance of a hot path within so small a time is that time's share of the hour's.
            let of_minute = config.probability * (share(60 * hour + 60) - share(60 * hour)) / 60.0;
            for minutes in spread(0.0, config.window_minutes, 64) {
                hot_path.push((law.factor(minutes), of_minute * config.window_minutes / 64.0));
            }
        }
        let near: f64 = hot_path.iter().map(|(_, weight)| weight).sum();
        hot_path.push((1.0, 1.0 - near));
        Mail { mass, fatigue: self.fatigue(moment, None), hot_path }
    }

    /// Triggered mail of an hour, counted from the midnight before its hot path.
    fn triggered(&self, moment: f64, day: u32, hour: i32) -> Mail {
        let nothing = Mail { mass: 0.0, fatigue: Nodes::new(), hot_path: Nodes::new() };
        let (Some(law), Some(config)) = (&self.model.hot_paths, &self.config.hot_paths) else { return nothing };
        let Some(trigger) = &config.trigger else { return nothing };
        let share = |minute: i32| interpolated(&self.trigger_clock, f64::from(minute));
        let mass = self.triggers * (share(60 * hour + 60) - share(60 * hour));
        if mass <= 0.0 || moment >= f64::from(self.days) * DAY {
            return nothing;
        }
        let latencies: Vec<f64> = match self.model.decided_at {
            DecidedAt::Send => vec![0.0],
            DecidedAt::Delivery => {
                let start = self.model.window.begin().plus((moment * MINUTE as f64) as i64 + 10 * MINUTE);
                self.latencies(self.model.latency_cell(start))
            }
        };
        let mut hot_path = Nodes::new();
        for delay in spread(trigger.delay_minutes.low, trigger.delay_minutes.high, 64) {
            for late in &latencies {
                let minutes = delay + late;
                let factor = if minutes < config.window_minutes { law.factor(minutes) } else { 1.0 };
                hot_path.push((factor, 1.0 / (64 * latencies.len()) as f64));
            }
        }
        Mail { mass, fatigue: self.fatigue(moment, Some(day)), hot_path }
    }

    /// Equal shares of the latency in a cell, minutes, by bisection.
    fn latencies(&self, cell: Cell) -> Vec<f64> {
        let at = |share: f64| {
            let (mut low, mut high) = (0.0, DAY * 60.0);
            while high - low > 1e-3 {
                let middle = 0.5 * (low + high);
                if self.model.latency_cdf(cell, middle) < share { low = middle } else { high = middle }
            }
            low / 60.0
        };
        spread(0.0, 1.0, 4).map(at).collect()
    }

    /// The fatigue of a message: a Poisson number of scheduled sends, and for each day before a triggered one or none.
    fn fatigue(&self, moment: f64, own: Option<u32>) -> Nodes {
        let Some(law) = &self.config.fatigue else { return vec![(1.0, 1.0)] };
        let back = 60.0 * f64::from(law.hours);
        let from = (moment - back).max(0.0);
        // Where circuit breakers stop sends, of what went before a message that was sent only a part was.
        let sent = if self.config.circuit_breakers.as_ref().is_some_and(|law| law.suppress_sends) {
            self.heard(&[moment - 0.5 * back, moment]) / self.heard(&[moment])
        } else {
            1.0
        };
        let up_to = |moment: f64| (moment / DAY).floor() + interpolated(&self.clock, moment.rem_euclid(DAY));
        let rate = sent * self.config.sends.per_day * (up_to(moment) - up_to(from));
        let last = law.factors.len() - 1;
        // Counts 0, 1, …, the last standing for that many or more.
        let mut counts = vec![0.0; last + 1];
        let mut rest = 1.0;
        for (count, chance) in counts[..last].iter_mut().enumerate() {
            *chance = if rate > 0.0 {
                math::exp(count as f64 * math::ln(rate) - rate - math::ln_gamma(count as f64 + 1.0))
            } else {
                f64::from(u8::from(count == 0))
            };
            rest -= *chance;
        }
        counts[last] = rest.max(0.0);
        if self.triggers > 0.0 {
            let days = (from / DAY - 2.0).max(0.0) as u32..=((moment / DAY) as u32).min(self.days - 1);
            for day in days.filter(|day| Some(*day) != own) {
                let share = |moment: f64| interpolated(&self.trigger_clock, moment - f64::from(day) * DAY);
                let chance = sent * self.triggers * (share(moment) - share(from));
                for count in (0..last).rev() {
                    counts[count + 1] += counts[count] * chance;
                    counts[count] *= 1.0 - chance;
                }
            }
        }
        law.factors.iter().copied().zip(counts).collect()
    }

    /// Opens and clicks of an hour's mail.
    fn engaged(&self, persona: &Persona, hour: &PersonaHour, moment: f64, mails: &[Mail; 2]) -> [f64; 2] {
        let most = self.config.engagement.max_probability;
        let mut opens = 0.0;
        for mail in mails.iter().filter(|mail| mail.mass > 0.0) {
            let greatest = |nodes: &Nodes| nodes.iter().fold(0.0, |most: f64, (value, _)| most.max(*value));
            let raised = greatest(&mail.fatigue) * greatest(&mail.hot_path);
            let plain = mean(&mail.fatigue) * mean(&mail.hot_path);
            let probability: f64 = hour
                .factors
                .iter()
                .map(|(factor, weight)| {
                    let base = persona.open_rate * factor;
                    if base * raised <= most {
                        return weight * base * plain;
                    }
                    let clipped =
                        |fatigue: f64| mail.hot_path.iter().map(|(hot, weight)| weight * (base * fatigue * hot).min(most)).sum::<f64>();
                    weight * mail.fatigue.iter().map(|(fatigue, weight)| weight * clipped(*fatigue)).sum::<f64>()
                })
                .sum();
            opens += mail.mass * probability;
        }
        opens *= self.config.delivery.probability;
        let to_click = self.config.click_delays.min_minutes + self.config.click_delays.mean_minutes;
        let open_heard = hour.delays.iter().map(|delay| self.heard(&[moment, moment + delay])).sum::<f64>() / NODES as f64;
        let click_heard =
            hour.delays.iter().map(|delay| self.heard(&[moment, moment + delay, moment + delay + to_click])).sum::<f64>() / NODES as f64;
        [opens * open_heard, opens * click_heard * (persona.click_rate / persona.open_rate)]
    }

    /// P(none of some moments, in order, lies inside a circuit breaker's window).
    fn heard(&self, moments: &[f64]) -> f64 {
        let Some(law) = &self.config.circuit_breakers else { return 1.0 };
        let total: f64 = law.kinds.values().map(|kind| kind.weight).sum();
        let longest = law.kinds.values().map(|kind| kind.hours).max().unwrap_or(0);
        let (first, last) = (moments[0], moments[moments.len() - 1]);
        let days = ((first - 60.0 * f64::from(longest)) / DAY).max(0.0) as u32..=((last / DAY) as u32).min(self.days - 1);
        days.map(|day| {
            let share = |moment: f64| interpolated(&self.clock, moment - f64::from(day) * DAY);
            let stops: f64 = law
                .kinds
                .values()
                .map(|kind| {
                    // A circuit breaker stops any of the moments if it falls into the window's length before it.
                    let mut from = f64::MIN;
                    let mut stops = 0.0;
                    for moment in moments {
                        stops += share(*moment) - share((moment - 60.0 * f64::from(kind.hours)).max(from));
                        from = *moment;
                    }
                    kind.weight / total * stops
                })
                .sum();
            1.0 - law.probability * stops
        })
        .product()
    }
}
