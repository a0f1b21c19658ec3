//! Expected volumes, by integration over the hours of every kind of day, the minute of delivery, the number of recent sends, the distance
//! from a hot path, the open delay, drift, and the circuit breakers before and after.
//!
//! Sends, deliveries, circuit breakers and hot paths are exact, opens and clicks within 0.5% of simulation (the tests hold them to 1%).
//! Left out is what lies below that: where within its hour a message stands, two hot paths within one window; and
//! where `suppress_sends` is on, recent sends are thinned in the mean only.

mod alike;
mod blasts;
mod mail;
mod tables;

use super::arrivals::Arrivals;
use super::calendar::{HOURS_OF_WEEK, MONDAY};
use super::config::{DecidedAt, EmailConfig};
use super::delivery::Cell;
use super::effects::effect::{Nodes, Outlook};
use super::effects::occasion::{Happening, Occasion};
use super::events::{EventType, Group};
use super::leaving::{Leaving, Survival};
use super::model::EmailModel;
use super::people::Person;
use super::zones::SendClock;
use crate::math;
use crate::stream::{ActorId, StreamKey};
use crate::time::{HOUR, Instant, MINUTE, MINUTES_PER_WEEK};
use mail::Mail;
use std::collections::BTreeMap;
use tables::{drift, interpolated, moved, spread};

/// Expected counts of one user, or of many.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Volumes {
    /// Scheduled sends.
    pub scheduled: f64,
    /// Sends that hot paths triggered.
    pub triggered: f64,
    /// Sends of blasts.
    pub blasted: f64,
    /// Events by the number of their type, as in [`EventType::SIMULATED`].
    pub events: [f64; EventType::SIMULATED.len()],
}

impl Volumes {
    /// Events of one type.
    pub fn of(&self, event_type: EventType) -> f64 {
        // What is not simulated is not expected.
        self.events.get(event_type as usize).copied().unwrap_or(0.0)
    }

    /// All events.
    pub fn total(&self) -> f64 {
        self.events.iter().sum()
    }

    /// Events of a group.
    pub fn of_group(&self, group: Group) -> f64 {
        EventType::ALL.iter().filter(|kind| kind.group() == group).map(|kind| self.of(*kind)).sum()
    }

    fn add(&mut self, other: &Self, times: f64) {
        self.scheduled += times * other.scheduled;
        self.triggered += times * other.triggered;
        self.blasted += times * other.blasted;
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
    /// How many users each persona has, on average over seeds; exact where all slots are taken equally often.
    pub users: Box<[f64]>,
}

impl Expectation {
    /// The expectation of a model. Takes milliseconds, or seconds where a circuit breaker lasts for months.
    pub fn new(model: &EmailModel) -> Self {
        let users = model.config().population.users as f64;
        let of_persona = model.config().personas.values().map(|persona| users * f64::from(persona.count) / model.slots() as f64);
        let mut personas = vec![Volumes::default(); model.personas().len()];
        for (ahead, share) in model.offsets() {
            for (sum, volumes) in personas.iter_mut().zip(Calendar::new(model, ahead).volumes()) {
                sum.add(&volumes, share);
            }
        }
        Self { users: of_persona.collect(), personas: personas.into() }
    }

    /// The expectation under a seed, which decides the personas of the recipients after the last whole block.
    pub fn under(model: &EmailModel, key: StreamKey) -> Self {
        let mut expectation = Self::new(model);
        let users = model.config().population.users;
        let dealt = users - users % model.slots();
        for (count, persona) in expectation.users.iter_mut().zip(model.config().personas.values()) {
            *count = (dealt / model.slots() * u64::from(persona.count)) as f64;
        }
        for actor in dealt..users {
            expectation.users[model.persona_of(key, ActorId(actor))] += 1.0;
        }
        expectation
    }

    /// Of the whole population.
    pub fn total(&self) -> Volumes {
        let mut total = Volumes::default();
        for (volumes, users) in self.personas.iter().zip(&self.users) {
            total.add(volumes, *users);
        }
        total
    }
}

/// Minutes in a day.
const DAY: f64 = 1_440.0;
/// Nodes of a uniform or open delay: equal shares of its law.
const NODES: usize = 8;
/// Nodes of people's own open rates.
const RATES: usize = 8;

/// Adds to the weight of a value.
fn put<T: PartialEq>(nodes: &mut Vec<(T, f64)>, value: T, weight: f64) {
    match nodes.iter_mut().find(|(known, _)| *known == value) {
        Some((_, sum)) => *sum += weight,
        None => nodes.push((value, weight)),
    }
}

/// Recipients of one habit in one hour of the week, on the clock by which days are counted.
struct HabitHour {
    /// Timing × minute of messages sent in it, scheduled and then triggered, with their probabilities: if timing were flat, and if it moved the rate as far as it may.
    factors: [Vec<([f64; 2], f64)>; 2],
    /// Open delays of messages delivered in it, minutes, with their probabilities.
    delays: Nodes,
}

/// What is to be expected of the circumstances of an hour's mail.
struct Hour<'a> {
    calendar: &'a Calendar<'a>,
    moment: f64,
    /// Of triggered mail: the day of what called for it, and minutes since then.
    triggered: Option<(u32, Vec<f64>)>,
    /// The share of a day's weight in a minute of it.
    of_minute: f64,
    /// The campaign that all of it is of; `None` of scheduled mail.
    campaign: Option<usize>,
}

impl Outlook for Hour<'_> {
    /// A Poisson number of scheduled sends, and for each day before a triggered one or none.
    fn recent_sends(&self, hours: u32, most: usize) -> Vec<f64> {
        let calendar = self.calendar;
        let back = 60.0 * f64::from(hours);
        let from = (self.moment - back).max(0.0);
        // Where circuit breakers stop sends, of what went before a message that was sent only a part was.
        let sent = if calendar.suppresses {
            calendar.not_suppressed(&[self.moment - 0.5 * back, self.moment]) / calendar.not_suppressed(&[self.moment])
        } else {
            1.0
        };
        let rate = sent * calendar.config.sends.per_day * (calendar.scheduled_up_to(self.moment) - calendar.scheduled_up_to(from));
        let mut counts = vec![0.0; most + 1];
        let mut rest = 1.0;
        for (count, chance) in counts[..most].iter_mut().enumerate() {
            *chance = if rate > 0.0 {
                math::exp(count as f64 * math::ln(rate) - rate - math::ln_gamma(count as f64 + 1.0))
            } else {
                f64::from(u8::from(count == 0))
            };
            rest -= *chance;
        }
        counts[most] = rest.max(0.0);
        if calendar.triggers > 0.0 {
            let days = (from / DAY - 2.0).max(0.0) as u32..=((self.moment / DAY) as u32).min(calendar.days - 1);
            for day in days.filter(|day| self.triggered.as_ref().is_none_or(|(own, _)| own != day)) {
                let share = |moment: f64| interpolated(&calendar.trigger_clock, moment - f64::from(day) * DAY);
                let chance = sent * calendar.triggers * (share(self.moment) - share(from));
                for count in (0..most).rev() {
                    counts[count + 1] += counts[count] * chance;
                    counts[count] *= 1.0 - chance;
                }
            }
        }
        calendar.add_blasts(&mut counts, from..self.moment, sent);
        counts
    }

    fn since_interest(&self, window: f64) -> Nodes {
        if let Some((_, since)) = &self.triggered {
            let share = 1.0 / since.len() as f64;
            return since.iter().filter(|minutes| **minutes < window).map(|minutes| (*minutes, share)).collect();
        }
        // The chance of one within so small a time is that time's share of the hour's.
        let chance = self.calendar.model.per_day(Group::HotPath) * self.of_minute * window / 64.0;
        spread(0.0, window, 64).map(|minutes| (minutes, chance)).collect()
    }

    fn clock(&self) -> Instant {
        self.calendar.local(self.moment)
    }

    fn day(&self) -> f64 {
        self.moment / DAY
    }

    fn campaign(&self) -> Option<usize> {
        self.campaign
    }
}

/// What is common to all personas on clocks that are so far ahead of UTC. Times are in minutes from the window's start, on the clock by
/// which days are counted: UTC's or, where sends are by it, the recipient's.
struct Calendar<'a> {
    model: &'a EmailModel,
    config: &'a EmailConfig,
    days: u32,
    /// Minutes that the recipient's clock is ahead of UTC.
    ahead: i16,
    /// From a moment to that of UTC and to that of the recipient's clock, microseconds.
    to_utc: i64,
    to_local: i64,
    /// P(time of day of a scheduled send < minute) for minutes 0 to 1,440.
    clock: Vec<f64>,
    /// P(time of day of a circuit breaker or hot path < minute).
    occasions: Vec<f64>,
    /// P(a triggered send < minute), from the midnight before its hot path, for two days; empty if there is none.
    trigger_clock: Vec<f64>,
    /// Triggered sends a day.
    triggers: f64,
    breakers: Option<&'a Occasion>,
    /// Whether circuit breakers stop sends.
    suppresses: bool,
    /// The factor of a rate by drift, over all days; empty where it moves nothing.
    drift: Nodes,
    /// Who is still there, where recipients leave.
    survival: Option<Survival>,
    /// Volumes of the days before each, summed; empty where all days are alike.
    volumes_before: Vec<f64>,
    arrivals: Arrivals,
}

impl<'a> Calendar<'a> {
    fn new(model: &'a EmailModel, ahead: i16) -> Self {
        let config = model.config();
        let clock = model.calendar().by_minute();
        let sends = model.zones().map(|zones| zones.clock);
        let occasions = if sends == Some(SendClock::Utc) { moved(&clock, ahead) } else { clock.clone() };
        let (to_utc, to_local) = if sends == Some(SendClock::Recipient) { (-ahead, 0) } else { (0, ahead) };
        let trigger = model.effects.triggered();
        let trigger_clock = trigger.map_or_else(Vec::new, |trigger| {
            let span = trigger.delay;
            let share = |minute: usize| {
                spread(span.low, span.high, 32).map(|delay| interpolated(&occasions, minute as f64 - delay)).sum::<f64>() / 32.0
            };
            (0..=2 * DAY as usize).map(share).collect()
        });
        let calendar = Self {
            model,
            config,
            days: config.window.days,
            ahead,
            to_utc: i64::from(to_utc) * MINUTE,
            to_local: i64::from(to_local) * MINUTE,
            clock,
            occasions,
            trigger_clock,
            triggers: model.triggered_per_day(),
            breakers: model.occasion(Group::Breaker),
            suppresses: model.suppresses_sends(),
            drift: drift(config),
            volumes_before: model.effects.season().map_or_else(Vec::new, |_| {
                let up_to = (0..config.window.days).scan(0.0, |sum, day| {
                    *sum += model.volume_of(day);
                    Some(*sum)
                });
                [0.0].into_iter().chain(up_to).collect()
            }),
            arrivals: Arrivals::new(model),
            survival: None,
        };
        let survival = model.leaving().map(|leaving| calendar.survival(leaving));
        Self { survival, ..calendar }
    }

    /// Who is still there on each day.
    fn survival(&self, leaving: &Leaving) -> Survival {
        let arriving = (0..self.days).map(|day| {
            let sent = if self.suppresses { self.not_suppressed(&[(f64::from(day) + 0.5) * DAY]) } else { 1.0 };
            let [blasted, weighed] = self.blasted_on(day, leaving);
            let due = [self.config.sends.per_day * self.model.volume_of(day), self.triggers, blasted, weighed];
            let [alive, _] = self.arrivals.living(day as usize..day as usize + 1);
            due.map(|due| self.arrivals.outcome.delivered * alive * sent * due)
        });
        let nodes = self.model.opening.nodes(0, self.local(0.5 * DAY), NODES);
        let open_delay: f64 = nodes.iter().map(|(minutes, share)| minutes * share).sum();
        Survival::new(self.model, leaving, &arriving.collect::<Vec<_>>(), open_delay)
    }

    /// The moment on the recipients' clock.
    fn local(&self, moment: f64) -> Instant {
        self.model.window.begin().plus((moment * MINUTE as f64) as i64).plus(self.to_local)
    }

    /// Scheduled sends up to a moment, over those of an ordinary day.
    fn scheduled_up_to(&self, moment: f64) -> f64 {
        let (day, share) = ((moment / DAY).floor(), interpolated(&self.clock, moment.rem_euclid(DAY)));
        match self.volumes_before.get(day as usize..) {
            Some([before, after, ..]) => before + (after - before) * share,
            _ => day + share,
        }
    }

    /// Expected counts of one user of each persona.
    fn volumes(&self) -> Vec<Volumes> {
        let model = self.model;
        let late: Vec<Vec<f64>> = (0..8).map(|cell| self.minutes_late(cell)).collect();
        let hours: Vec<Vec<HabitHour>> = (0..model.habits().len()).map(|habit| self.hours(habit, &late)).collect();
        let people: Vec<Vec<(Person, f64)>> = (0..model.habits().len()).map(|habit| model.people_of(habit, RATES)).collect();
        let mut volumes = vec![self.occasional(); model.personas().len()];
        for (day, alike) in self.representative_days() {
            let times: f64 = alike.iter().map(|day| self.survival.as_ref().map_or(1.0, |of| of.present(*day))).sum();
            let gone = alike.len() as f64 - times;
            let scanned = self.survival.as_ref().map_or(1.0, |of| of.scanned(&alike));
            let weekday = usize::from(self.config.window.start.plus(day as i32).weekday());
            // A day that stands for others has their mean.
            let living = if alike.len() == 1 { day as usize..day as usize + 1 } else { self.middle() };
            let [alive, bounced] = self.arrivals.living(living);
            let outcome = self.arrivals.outcome;
            for hour in 0..48 {
                let moment = f64::from(day) * DAY + 60.0 * f64::from(hour) + 30.0;
                let mails = [self.scheduled(moment, day, hour), self.triggered(moment, day, hour)];
                if mails.iter().all(|mail| mail.mass == 0.0) {
                    continue;
                }
                let due = if self.suppresses { self.not_suppressed(&[moment]) } else { 1.0 };
                let of_week = (weekday * 24 + hour as usize) % HOURS_OF_WEEK;
                let content = self.clicked_for_content(moment, &[(&mails[0], None), (&mails[1], self.campaign_of_triggered())]);
                let engaged =
                    |(people, hours): (&Vec<_>, &Vec<HabitHour>)| self.engaged(people, &hours[of_week], (moment, content), &mails);
                let of_habit: Vec<[f64; 2]> = people.iter().zip(&hours).map(engaged).collect();
                for (of_habit, sum) in of_habit.chunks(model.shifts()).zip(&mut volumes) {
                    let engaged = [0, 1].map(|step: usize| of_habit.iter().map(|engaged| engaged[step]).sum::<f64>() * alive);
                    let [scheduled, triggered] = [0, 1].map(|kind: usize| mails[kind].mass * due * (alive + bounced));
                    let all = (mails[0].mass + mails[1].mass) * due;
                    let events = self.events(all, [alive, bounced], outcome, engaged, scanned);
                    sum.add(&Volumes { scheduled, triggered, blasted: 0.0, events }, times);
                    sum.events[EventType::Dropped as usize] += gone * all;
                }
            }
        }
        self.blasts(&people, &mut volumes);
        volumes
    }

    /// Days of the window with the days that each stands for. Near the start fewer sends and circuit breakers lie behind, near the end
    /// fewer ahead; between, only the day of the week matters.
    fn representative_days(&self) -> Vec<(u32, Vec<u32>)> {
        let std::ops::Range { start: early, end } = self.middle();
        let (early, end) = (early as u32, end as u32);
        if early == end {
            return (0..self.days).map(|day| (day, vec![day])).collect();
        }
        // Days are alike on which the day of the week and the seasons from as far back as recent sends matter are the same.
        let back = self.model.effects.looks_back().map_or(0, |back| (back / HOUR) as u32 / 24 + 1).max(u32::from(self.to_local < 0));
        let mut standing: Vec<(u32, Vec<u32>)> = Vec::new();
        let mut known = BTreeMap::new();
        for day in (early..end).rev() {
            let near = day.saturating_sub(back)..day + 3;
            let like = (day % 7, self.blasts_near(near.clone()), self.seasons(near), self.experiments(day..day + 3));
            let place = *known.entry(like).or_insert_with(|| {
                standing.push((day, Vec::new()));
                standing.len() - 1
            });
            standing[place].1.push(day);
        }
        (0..early).chain(end..self.days).map(|day| (day, vec![day])).chain(standing).collect()
    }

    /// The days between the start and the end, of which some stand for all; empty where the window is short.
    fn middle(&self) -> std::ops::Range<usize> {
        let lasting = self.breakers.iter().flat_map(|breakers| &breakers.happenings).map(|happening| happening.within);
        let hours = lasting.chain(self.model.effects.looks_back()).max().unwrap_or(0) / HOUR;
        // The start is taken day by day for a month at most.
        let early = ((hours as u32).div_ceil(24) + 2).min(31);
        let late = (self.config.longest_open_delay() / DAY) as u32 + 2;
        if self.days <= early + late + 7 {
            return 0..0;
        }
        early as usize..(self.days - late) as usize
    }

    /// Circuit breakers, hot paths, unsubscribes and complaints.
    fn occasional(&self) -> Volumes {
        let mut volumes = Volumes::default();
        for (happening, probability) in self.model.occasions().flat_map(Occasion::probabilities) {
            volumes.events[happening.event_type as usize] = probability * f64::from(self.days);
        }
        if let Some(survival) = &self.survival {
            [volumes.events[EventType::Unsubscribed as usize], volumes.events[EventType::SpamReported as usize]] = survival.rows;
        }
        volumes
    }

    fn hours(&self, habit: usize, late: &[Vec<f64>]) -> Vec<HabitHour> {
        let person = self.model.person(habit, 1.0, 1.0);
        let people = [0.0, 1.0].map(|timing_k| Person { timing_k, ..person });
        let at = |minute: usize| {
            let local = MONDAY.plus(minute as i64 * MINUTE + self.to_local);
            people.each_ref().map(|person| self.model.effects.by_clock(1.0, person, local, self.ahead))
        };
        let sends = self.config.minute_of_sends();
        let by_minute: Vec<[f64; 2]> = (0..MINUTES_PER_WEEK).map(at).collect();
        (0..HOURS_OF_WEEK)
            .map(|hour| {
                let mut factors = [Vec::new(), Vec::new()];
                for minute in hour * 60..hour * 60 + 60 {
                    let cell = self.model.latency_cell(MONDAY.plus(minute as i64 * MINUTE + self.to_utc));
                    let cell = usize::from(cell.top) + 2 * usize::from(cell.batch) + 4 * usize::from(cell.weekend);
                    for (minutes, share) in late[cell].iter().enumerate() {
                        let at = by_minute[(minute + minutes) % MINUTES_PER_WEEK];
                        put(&mut factors[0], at, share * sends.share(minute % 60));
                        put(&mut factors[1], at, share / 60.0);
                    }
                }
                let delivered = MONDAY.plus((hour as i64 * 60 + 30) * MINUTE + self.to_local);
                HabitHour { factors, delays: self.model.opening.nodes(habit, delivered, NODES) }
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
    fn scheduled(&self, moment: f64, day: u32, hour: i32) -> Mail {
        let share = |minute: i32| interpolated(&self.clock, f64::from(minute));
        let mass = self.config.sends.per_day * self.model.volume_of(day) * (share(60 * hour + 60) - share(60 * hour));
        if mass <= 0.0 {
            return Mail::NONE;
        }
        let befallen = |minute: i32| interpolated(&self.occasions, f64::from(minute));
        let of_minute = (befallen(60 * hour + 60) - befallen(60 * hour)) / 60.0;
        let outlook = Hour { calendar: self, moment, triggered: None, of_minute, campaign: None };
        Mail::new(mass, &self.model.effects.expected(&outlook))
    }

    /// Triggered mail of an hour, counted from the midnight before its hot path.
    fn triggered(&self, moment: f64, day: u32, hour: i32) -> Mail {
        let Some(trigger) = self.model.effects.triggered() else { return Mail::NONE };
        let share = |minute: i32| interpolated(&self.trigger_clock, f64::from(minute));
        let mass = self.triggers * (share(60 * hour + 60) - share(60 * hour));
        if mass <= 0.0 || moment >= f64::from(self.days) * DAY {
            return Mail::NONE;
        }
        let latencies: Vec<f64> = match self.model.decided_at {
            DecidedAt::Send => vec![0.0],
            DecidedAt::Delivery => {
                let start = self.model.window.begin().plus((moment * MINUTE as f64) as i64 + 10 * MINUTE);
                self.latencies(self.model.latency_cell(start.plus(self.to_utc)))
            }
        };
        let delays = spread(trigger.delay.low, trigger.delay.high, 64);
        let since = delays.flat_map(|delay| latencies.iter().map(move |late| delay + late)).collect();
        let campaign = self.campaign_of_triggered();
        let outlook = Hour { calendar: self, moment, triggered: Some((day, since)), of_minute: 0.0, campaign };
        Mail::new(mass, &self.model.effects.expected(&outlook))
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

    /// Opens and clicks of an hour's mail, of people of one habit with their shares; the moment with the factor of clicks by content.
    fn engaged(&self, people: &[(Person, f64)], hour: &HabitHour, (moment, content): (f64, f64), mails: &[Mail; 2]) -> [f64; 2] {
        let most = self.config.engagement.max_probability;
        let drifts: &[(f64, f64)] = if self.drift.is_empty() { &[(1.0, 1.0)] } else { &self.drift };
        let season = self.model.effects.season().map_or(1.0, |season| season.day(self.local(moment).date()).click) * content;
        let (mut opens, mut clicks) = (0.0, 0.0);
        for (person, share) in people {
            let (mut opened, mut sent) = (0.0, 0.0);
            let factor = |&[flat, full]: &[f64; 2]| flat + person.timing_k * (full - flat);
            let greatest = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, f64::max);
            let furthest = greatest(&mut drifts.iter().map(|drift| drift.0));
            for (mail, factors) in mails.iter().zip(&hour.factors).filter(|(mail, _)| mail.mass > 0.0) {
                let largest = furthest * greatest(&mut factors.iter().map(|(at, _)| factor(at)));
                sent += mail.mass;
                if let Some(mean) = mail.uncut(person.open_rate * largest, most) {
                    let by_clock: f64 = factors.iter().map(|(at, weight)| weight * factor(at)).sum();
                    let drifted: f64 = drifts.iter().map(|(drift, share)| share * drift).sum();
                    opened += mail.mass * mean * person.open_rate * by_clock * drifted;
                    continue;
                }
                let expected = |(at, weight): &([f64; 2], f64)| {
                    let rate = person.open_rate * factor(at);
                    let drifted = drifts.iter().map(|(drift, share)| share * mail.expected(rate * drift, most));
                    weight * drifted.sum::<f64>()
                };
                opened += mail.mass * factors.iter().map(expected).sum::<f64>();
            }
            opens += share * opened;
            clicks += share * opened * self.clicks_per_open(person, if sent > 0.0 { opened / sent } else { 0.0 }, season);
        }
        let [opens, clicks] = [opens, clicks].map(|expected| expected * self.arrivals.outcome.delivered);
        let to_click = self.config.click_delays.min_minutes + self.config.click_delays.mean_minutes;
        let free = |moments: &dyn Fn(f64) -> Vec<f64>| {
            hour.delays.iter().map(|(delay, share)| share * self.not_suppressed(&moments(*delay))).sum::<f64>()
        };
        let open_free = free(&|delay| vec![moment, moment + delay]);
        let click_free = free(&|delay| vec![moment, moment + delay, moment + delay + to_click]);
        [opens * open_free, clicks * click_free]
    }

    /// Clicks of an open of such a probability: both rates drift, and there is one click at most.
    fn clicks_per_open(&self, person: &Person, p_open: f64, season: f64) -> f64 {
        let (ratio, most) = (person.click_rate / person.open_rate * season, self.config.engagement.max_probability);
        let (mut clicks, mut opens) = (0.0, 0.0);
        for (open, share) in &self.drift {
            let opened = share * (p_open * open).min(most);
            opens += opened;
            clicks += opened * self.drift.iter().map(|(click, share)| share * (ratio * click / open).min(1.0)).sum::<f64>();
        }
        if opens > 0.0 { clicks / opens } else { ratio.min(1.0) }
    }

    /// P(none of some moments, in order, lies inside a circuit breaker's window).
    fn not_suppressed(&self, moments: &[f64]) -> f64 {
        let Some(breakers) = self.breakers else { return 1.0 };
        let minutes = |within: i64| (within / MINUTE) as f64;
        let longest = breakers.happenings.iter().map(|happening| happening.within).max().unwrap_or(0);
        let (first, last) = (moments[0], moments[moments.len() - 1]);
        let days = ((first - minutes(longest)) / DAY).max(0.0) as u32..=((last / DAY) as u32).min(self.days - 1);
        // Between moments that lie far apart there are days whose circuit breakers reach none of them.
        let reaches = |day: &u32| {
            let begin = f64::from(*day) * DAY;
            moments.iter().any(|moment| (begin..=begin + DAY + minutes(longest)).contains(moment))
        };
        days.filter(reaches)
            .map(|day| {
                let share = |moment: f64| interpolated(&self.occasions, moment - f64::from(day) * DAY);
                let stops = |(happening, probability): (&Happening, f64)| {
                    // A circuit breaker stops any of the moments if it falls into the window's length before it.
                    let mut from = f64::MIN;
                    let mut stops = 0.0;
                    for moment in moments {
                        stops += share(*moment) - share((moment - minutes(happening.within)).max(from));
                        from = *moment;
                    }
                    probability * stops
                };
                1.0 - breakers.probabilities().map(stops).sum::<f64>()
            })
            .product()
    }
}
