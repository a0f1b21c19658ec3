//! Policies: in which slot of its window a scheduled message goes out, how likely that was, and that it does not.

mod clocks;
mod config;
mod draw;
mod schedule;
mod worth;

pub(super) use draw::{ASSIGN, ordinal_of};

pub use config::{
    BaseConfig, BaseKind, CapsConfig, DecisionWindow, ExploreConfig, ExploreUnit, HoldoutConfig, PolicyClock, PolicyConfig, QuietHours,
};
pub use schedule::{Planned, Schedule};

use super::calendar::{Calendar, MONDAY};
use super::config::EmailConfig;
use super::delivery::Latency;
use super::effects::Effects;
use super::people::{Habit, Person};
use super::personas::Personas;
use super::rows::Uuid;
use super::zones::Zones;
use crate::math;
use crate::stream::{Words, unit};
use crate::time::{DAY, Date, HOUR, Instant, MINUTE, Window};
use clocks::Clocks;
use std::sync::Arc;
use worth::values;

/// The most slots that a window has.
pub const MAX_SLOTS: usize = 168;
const MINUTES_OF_DAY: usize = 24 * 60;

/// A set of slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slots([u64; 3]);

impl Slots {
    /// With another slot.
    pub fn insert(&mut self, slot: usize) {
        self.0[slot / 64] |= 1 << (slot % 64);
    }

    /// Whether a slot is in it.
    pub fn has(&self, slot: usize) -> bool {
        self.0[slot / 64] >> (slot % 64) & 1 == 1
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.iter().map(|bits| bits.count_ones() as usize).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0 == [0; 3]
    }

    /// The set that [`hex`](Self::hex) wrote.
    pub fn of_hex(text: &str) -> Option<Self> {
        let mut bits = [0; 3];
        if text.is_empty() || text.len() > 48 {
            return None;
        }
        for (place, digit) in text.bytes().rev().enumerate() {
            bits[place / 16] |= u64::from(char::from(digit).to_digit(16)?) << (4 * (place % 16));
        }
        Some(Self(bits))
    }

    /// The bits, slot 0 the least, hexadecimal.
    pub fn hex(&self) -> String {
        let [low, middle, high] = self.0.map(u128::from);
        match high {
            0 => format!("{:x}", middle << 64 | low),
            _ => format!("{high:x}{:032x}", middle << 64 | low),
        }
    }
}

/// What decided on a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Arm {
    /// The policy's own distribution.
    Base,
    /// A slot at random.
    Explore,
    /// The recipient is held out.
    Holdout,
    /// A message is left out at random.
    Skip,
}

impl Arm {
    /// The names as written, by number.
    pub const NAMES: [&str; 4] = ["base", "explore", "holdout", "skip"];
}

/// Why a message that was due was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum NotSent {
    /// The recipient is held out.
    Holdout,
    /// It was left out at random.
    Skip,
    /// A cap allows no slot of the window.
    Cap,
    /// No slot of the window is left: quiet hours, a gap to other messages, or the end of the scenario's days.
    NoSlot,
    /// A circuit breaker stopped it.
    Suppressed,
    /// A message to the address has bounced, as it does not exist.
    Bounced,
    /// The recipient has unsubscribed or complained.
    Unsubscribed,
}

impl NotSent {
    /// The names as written, by number.
    pub const NAMES: [&str; 7] = ["holdout", "skip", "cap", "no_slot", "suppressed", "bounced", "unsubscribed"];
}

/// A row of `decisions`, and of its truth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decision {
    /// Unique; its time is the window's first moment.
    pub id: Uuid,
    /// The day on which the message is due.
    pub due: Date,
    /// The first moment at which it may go out, and the first after the last.
    pub window: [Instant; 2],
    /// What decided.
    pub arm: Arm,
    /// The probability of what depends on the recipient alone: being held out or not, and exploring where that is by recipient.
    pub arm_propensity: f64,
    /// The slot; null where it was not to be sent.
    pub action: Option<u16>,
    /// The slots that were allowed.
    pub allowed: Slots,
    /// P(`action` | all before, the recipient's arm).
    pub propensity: f64,
    /// The campaign, an index into [`EmailModel::campaigns`](super::EmailModel::campaigns).
    pub campaign: u8,
    /// The message, if it was sent.
    pub message_id: Option<Uuid>,
    /// The variants of experiments that the message had: an index into
    /// [`Experiments::exposures`](super::Experiments::exposures).
    pub exposure: u16,
    /// Why it was not.
    pub reason: Option<NotSent>,
    /// The user's sends before it, as far as fatigue looks back; null where nothing was sent.
    pub recent_sends: Option<u32>,
    /// Whether inside a circuit breaker's window when its open was decided; null where nothing was sent.
    pub suppressed: Option<bool>,
    /// The value of the slot that was taken; null without one.
    pub value: Option<f64>,
    /// The best allowed slot and its value; null if there is none.
    pub best: Option<(u16, f64)>,
    /// The mean value of the allowed slots; null if there is none.
    pub random: Option<f64>,
}

/// A policy.
#[derive(Clone, Debug)]
pub struct Decider {
    pub(super) window: DecisionWindow,
    /// Length of a slot, microseconds.
    length: i64,
    slots: usize,
    clocks: Clocks,
    base: Base,
    /// Whether messages go out when they would by `sends`.
    is_plain: bool,
    explore: f64,
    is_explored_by_user: bool,
    skip: f64,
    holdout: f64,
    caps: Caps,
    /// The share of a day's scheduled mail by slot of the day.
    mass: Box<[f64]>,
    /// By the minutes that a clock is ahead of UTC, habit and slot of the week on the clock of the slots: what the minute factor comes to,
    /// and its product with timing − 1 at k = 1.
    values: Box<[[f64; 2]]>,
    habits: usize,
    week: usize,
}

#[derive(Clone, Debug)]
enum Base {
    Scheduled,
    Uniform,
    Fixed(usize),
    Oracle,
    Softmax(f64),
    Table(Option<Arc<[u16]>>),
    Schedule(Option<Arc<dyn Schedule>>),
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Caps {
    per_day: Option<usize>,
    per_week: Option<usize>,
    /// Begin and length on the clock of the slots.
    quiet: Option<(i64, i64)>,
    gap: Option<i64>,
}

impl Caps {
    fn look_back(&self) -> bool {
        self.per_day.is_some() || self.per_week.is_some() || self.gap.is_some()
    }
}

/// In a table of slots, a recipient that has none.
pub const NO_SLOT: u16 = u16::MAX;

impl Decider {
    pub(super) fn new(
        config: &EmailConfig,
        calendar: &Calendar,
        effects: &Effects,
        latency: &Latency,
        habits: &[Habit],
        (personas, zones): (&Personas, Option<&Zones>),
    ) -> Option<Self> {
        let own = config.policy.as_ref()?;
        let length = i64::from(own.slot_minutes) * MINUTE;
        let of_day = (DAY / length) as usize;
        let week = 7 * of_day;
        let before = calendar.by_minute();
        let clocks = Clocks::new(own, config.timezone, zones, &before);
        let local_share = |minute: usize| {
            let utc = (minute as i64 - clocks.offset_of_slots(0) / MINUTE).rem_euclid(MINUTES_OF_DAY as i64) as usize;
            before[utc + 1] - before[utc]
        };
        let minutes = own.slot_minutes as usize;
        let mass: Box<[f64]> = (0..of_day).map(|slot| (slot * minutes..(slot + 1) * minutes).map(local_share).sum()).collect();
        let of_ahead = |ahead: &i16| values(config, effects, latency, habits, (week, minutes, clocks.offset_of_slots(*ahead), *ahead));
        let values: Box<[[f64; 2]]> = clocks.aheads().iter().flat_map(of_ahead).collect();
        // By how many recipients and days have a clock that is so far ahead.
        let shares: Vec<f64> = match zones {
            None => vec![1.0],
            Some(zones) => {
                let shares = zones.offsets(config.window.start.midnight(), config.window.days);
                clocks.aheads().iter().map(|ahead| shares.get(ahead).copied().unwrap_or(0.0)).collect()
            }
        };
        let mean_by_action = |action: usize| {
            let slots = own.slots();
            let of = |(place, habit): (usize, &Habit)| {
                let about = &personas.list[usize::from(habit.persona)];
                let k = effects.timing.k(place, about.open_rate);
                let of_ahead = |(ahead, share): (usize, &f64)| {
                    let value = |slot: usize| values[(ahead * habits.len() + place) * week + slot];
                    share * (action..week).step_by(slots).map(value).map(|[base, timed]| base + k * timed).sum::<f64>()
                };
                let sum: f64 = shares.iter().enumerate().map(of_ahead).sum();
                about.share * habit.share * about.open_rate * sum
            };
            habits.iter().enumerate().map(of).sum::<f64>()
        };
        let best = |of: &dyn Fn(usize) -> f64| (0..own.slots()).fold(0, |best, action| if of(action) > of(best) { action } else { best });
        let base = match own.base.r#type {
            BaseKind::Scheduled => Base::Scheduled,
            BaseKind::Uniform => Base::Uniform,
            BaseKind::Fixed => Base::Fixed(
                own.base.slot.map_or_else(|| own.base.minute_of_week.unwrap_or(0) as usize / minutes % own.slots(), |slot| slot as usize),
            ),
            BaseKind::GlobalBest => Base::Fixed(best(&mean_by_action)),
            BaseKind::Oracle => Base::Oracle,
            BaseKind::Softmax => Base::Softmax(own.base.temperature.unwrap_or(1.0)),
            BaseKind::Table => Base::Table(None),
            BaseKind::Schedule => Base::Schedule(None),
        };
        let caps = own.caps.clone().unwrap_or_default();
        let quiet = caps
            .quiet_hours
            .map(|hours| (i64::from(hours.from) * HOUR, (i64::from(hours.until) - i64::from(hours.from)).rem_euclid(24) * HOUR));
        Some(Self {
            window: own.window,
            length,
            slots: own.slots(),
            clocks,
            base,
            is_plain: own.is_plain(),
            explore: own.explore.as_ref().map_or(0.0, |explore| explore.share),
            is_explored_by_user: own.explore.as_ref().is_some_and(|explore| explore.unit == ExploreUnit::User),
            skip: own.skip,
            holdout: own.holdout.as_ref().map_or(0.0, |holdout| holdout.share),
            caps: Caps {
                per_day: caps.per_day.map(|most| most as usize),
                per_week: caps.per_week.map(|most| most as usize),
                quiet,
                gap: caps.min_gap_hours.map(|hours| (hours * HOUR as f64) as i64),
            },
            mass,
            values,
            habits: habits.len(),
            week,
        })
    }

    /// With the slot of each recipient, by actor; [`NO_SLOT`] and whoever lies beyond are mailed as `scheduled`.
    pub(super) fn with_table(&mut self, table: Arc<[u16]>) {
        if let Base::Table(own) = &mut self.base {
            *own = Some(table);
        }
    }

    /// With the rows of a schedule.
    pub(super) fn with_schedule(&mut self, rows: Arc<dyn Schedule>) {
        if let Base::Schedule(own) = &mut self.base {
            *own = Some(rows);
        }
    }

    /// Whether mail goes out as a schedule of the user's own says.
    pub fn is_of_schedule(&self) -> bool {
        matches!(self.base, Base::Schedule(_))
    }

    /// Whether the rows of the schedule are still to be given.
    pub fn lacks_schedule(&self) -> bool {
        matches!(self.base, Base::Schedule(None))
    }

    /// How many slots a window has.
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// The days whose messages are decided on at the begin of a day of the window.
    fn due_on(&self, day: u32, window: Window) -> core::ops::Range<u32> {
        if self.window != DecisionWindow::Week {
            return day..day + 1;
        }
        let weekday = u32::from(window.start.plus(day as i32).weekday());
        if day > 0 && weekday > 0 { day..day } else { day..(day + 7 - weekday).min(window.days) }
    }

    /// When a window begins in which a message may go out that is due on the day of `midnight`, and that would go out at `scheduled`.
    fn begin(&self, person: &Person, midnight: Instant, scheduled: Instant) -> Instant {
        let zone = person.zone.zone;
        match self.window {
            DecisionWindow::Day => midnight,
            DecisionWindow::Week => {
                let day = self.clocks.of_days(zone, midnight).div_euclid(DAY) * DAY;
                self.clocks.instant_of_days(zone, day - i64::from(Instant(day).weekday()) * DAY)
            }
            // The first slot that has not begun.
            DecisionWindow::Next24h => {
                let wall = self.clocks.wall(zone, scheduled);
                self.clocks.instant(zone, (wall + self.length - 1).div_euclid(self.length) * self.length)
            }
        }
    }

    /// When the window of a message begins that is due on the day of a moment, and that would go out at that moment.
    pub fn window_of(&self, person: &Person, moment: Instant) -> Instant {
        let day = self.clocks.of_days(person.zone.zone, moment).div_euclid(DAY) * DAY;
        self.begin(person, self.clocks.instant_of_days(person.zone.zone, day), moment)
    }

    /// The first moment after the last of the window that begins at a moment.
    pub(in super::super) fn end(&self, person: &Person, begin: Instant) -> Instant {
        let zone = person.zone.zone;
        let day = self.clocks.of_days(zone, begin).div_euclid(DAY) * DAY;
        match self.window {
            DecisionWindow::Day => self.clocks.instant_of_days(zone, day + DAY),
            DecisionWindow::Week => self.clocks.instant_of_days(zone, day + (7 - i64::from(Instant(day).weekday())) * DAY),
            DecisionWindow::Next24h => begin.plus(DAY),
        }
    }

    /// How long a slot is, microseconds.
    pub fn length(&self) -> i64 {
        self.length
    }

    /// The first moment of a slot of a window, and the first after its last: none lies between them where clocks pass over the slot.
    pub fn slot(&self, person: &Person, begin: Instant, action: usize) -> [Instant; 2] {
        let period = if self.window == DecisionWindow::Week { 7 * DAY } else { DAY };
        let zone = person.zone.zone;
        let mut shown = self.clocks.wall(zone, begin);
        if self.clocks.has_zones() && self.clocks.is_one() && self.window != DecisionWindow::Next24h {
            // A day that begins with an hour that is passed over begins at midnight all the same.
            shown = shown.div_euclid(DAY) * DAY;
        }
        // Weeks of the clock begin on Mondays, which 1970-01-05 was.
        let wall = shown + (action as i64 * self.length - (shown - MONDAY.0)).rem_euclid(period);
        let from = self.clocks.instant(zone, wall);
        if !self.clocks.has_zones() {
            return [from, from.plus(self.length)];
        }
        let mut until = self.clocks.instant(zone, wall + self.length).min(self.end(person, begin));
        if self.length < clocks::TURN {
            // Of an hour that clocks show twice, slots are in the first.
            let is_passed_over = self.clocks.wall(zone, from) != wall;
            until = if is_passed_over { from } else { until.min(from.plus(self.length)) };
        }
        [from, until.max(from)]
    }

    /// The slot of a moment.
    pub fn action_of(&self, person: &Person, moment: Instant) -> usize {
        (self.clocks.wall(person.zone.zone, moment) - MONDAY.0).div_euclid(self.length).rem_euclid(self.slots as i64) as usize
    }

    /// The slot of the week of a moment.
    fn slot_of_week(&self, person: &Person, moment: Instant) -> usize {
        (self.clocks.wall(person.zone.zone, moment) - MONDAY.0).div_euclid(self.length).rem_euclid(self.week as i64) as usize
    }

    /// E open rate × timing × minute of a message to a person that goes out in the slot of a moment.
    pub fn value(&self, person: &Person, moment: Instant) -> f64 {
        let place = self.clocks.ahead(person.zone.zone, moment) * self.habits + usize::from(person.habit);
        let [base, timed] = self.values[place * self.week + self.slot_of_week(person, moment)];
        person.open_rate * (base + person.timing_k * timed)
    }

    /// The [`value`](Self::value) of each slot of the window that begins at a moment.
    pub fn values(&self, person: &Person, begin: Instant) -> Vec<f64> {
        (0..self.slots).map(|action| self.value(person, self.slot(person, begin, action)[0])).collect()
    }

    /// The policy's own distribution over the allowed slots.
    fn own(&self, person: &Person, actor: u64, begin: Instant, allowed: &Slots) -> [f64; MAX_SLOTS] {
        let mut shares = [0.0; MAX_SLOTS];
        let each = || (0..self.slots).filter(|action| allowed.has(*action));
        let scheduled = |action: usize| {
            if !self.clocks.has_zones() {
                return self.mass[action % self.mass.len()];
            }
            let [from, until] = self.slot(person, begin, action);
            self.clocks.scheduled(person.zone.zone, from, until)
        };
        let value = |action: usize| self.value(person, self.slot(person, begin, action)[0]);
        let mut one = |slot: usize| {
            if allowed.has(slot) {
                shares[slot] = 1.0;
            }
        };
        match &self.base {
            Base::Fixed(slot) => one(*slot),
            Base::Table(Some(table)) if table.get(actor as usize).is_some_and(|slot| *slot != NO_SLOT) => {
                one(usize::from(table[actor as usize]).min(self.slots - 1));
            }
            Base::Oracle => {
                if let Some(best) = each().reduce(|best, action| if value(action) > value(best) { action } else { best }) {
                    shares[best] = 1.0;
                }
            }
            Base::Scheduled | Base::Table(_) | Base::Schedule(_) => each().for_each(|action| shares[action] = scheduled(action)),
            Base::Uniform => each().for_each(|action| shares[action] = 1.0),
            Base::Softmax(temperature) => {
                let most = each().map(value).fold(0.0, f64::max);
                each().for_each(|action| shares[action] = math::exp((value(action) - most) / temperature));
            }
        }
        let sum: f64 = shares.iter().sum();
        if sum > 0.0 {
            for share in &mut shares {
                *share /= sum;
            }
        } else {
            let alike = 1.0 / allowed.len().max(1) as f64;
            each().for_each(|action| shares[action] = alike);
        }
        shares
    }

    /// The share of recipients who are held out.
    pub fn holdout(&self) -> f64 {
        self.holdout
    }

    /// The probability that a message is skipped.
    pub fn skip(&self) -> f64 {
        self.skip
    }

    /// Whether a recipient explores for good, or not.
    pub fn is_explored_by_user(&self) -> bool {
        self.is_explored_by_user
    }

    /// Whether as much goes out on each day as by `sends`.
    pub fn keeps_volume(&self) -> bool {
        let Caps { per_day, per_week, quiet, gap } = self.caps;
        let is_limited = per_day.is_some() || per_week.is_some() || quiet.is_some() || gap.is_some();
        self.window == DecisionWindow::Day && self.skip == 0.0 && self.holdout == 0.0 && !is_limited && !self.is_of_schedule()
    }

    /// Whether messages go out when they would by `sends`.
    pub fn is_plain(&self) -> bool {
        self.is_plain
    }

    /// Whether decisions of both have the same windows and slots.
    pub fn is_comparable(&self, other: &Self) -> bool {
        (self.window, self.length) == (other.window, other.length) && self.clocks == other.clocks
    }

    /// Whether both allow the same slots in the same circumstances.
    pub fn limits_as(&self, other: &Self) -> bool {
        self.caps == other.caps
    }

    /// P(each slot) of a decision on an actor who is not held out, and P(it is skipped); all 0 where no slot is allowed.
    pub fn distribution(&self, person: &Person, actor: u64, begin: Instant, allowed: &Slots) -> ([f64; MAX_SLOTS], f64) {
        self.mixed(self.explore, person, actor, begin, allowed)
    }

    /// The same of an actor who explores for good, or does not.
    pub fn distribution_of_arm(
        &self,
        explores: bool,
        person: &Person,
        actor: u64,
        begin: Instant,
        allowed: &Slots,
    ) -> ([f64; MAX_SLOTS], f64) {
        self.mixed(f64::from(explores), person, actor, begin, allowed)
    }

    fn mixed(&self, explore: f64, person: &Person, actor: u64, begin: Instant, allowed: &Slots) -> ([f64; MAX_SLOTS], f64) {
        if allowed.is_empty() {
            return ([0.0; MAX_SLOTS], 0.0);
        }
        let mut shares = self.own(person, actor, begin, allowed);
        let random = 1.0 / allowed.len() as f64;
        for action in (0..self.slots).filter(|action| allowed.has(*action)) {
            shares[action] = (1.0 - self.skip) * ((1.0 - explore) * shares[action] + explore * random);
        }
        (shares, self.skip)
    }

    /// Explores or not, and the slot; words are those of the decision. A recipient who explores, or does not, for good is `explores`.
    fn pick(&self, shares: &[f64; MAX_SLOTS], allowed: &Slots, explores: Option<bool>, words: &Words) -> (Arm, usize, f64) {
        let random = 1.0 / allowed.len() as f64;
        let explore = if self.is_explored_by_user { explores.map_or(0.0, f64::from) } else { self.explore };
        // What is left of the word after the decision not to skip.
        let left = (unit(words.word::<1>()) - self.skip) / (1.0 - self.skip);
        let arm = if left < explore { Arm::Explore } else { Arm::Base };
        let share = |action: usize| if arm == Arm::Explore { random } else { shares[action] };
        let place = unit(words.word::<0>());
        let (mut below, mut last) = (0.0, 0);
        for action in (0..self.slots).filter(|action| allowed.has(*action) && share(*action) > 0.0) {
            last = action;
            below += share(action);
            if place < below {
                break;
            }
        }
        (arm, last, (1.0 - self.skip) * ((1.0 - explore) * shares[last] + explore * random))
    }
}
