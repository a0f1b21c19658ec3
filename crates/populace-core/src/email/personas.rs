//! The kinds of recipients: who each recipient is, and which hours and days are its own.

use super::calendar::{HOURS_OF_WEEK, Weekday, check_each_once};
use super::world::above_0;
use crate::scenario::Checker;
use crate::section::section;
use crate::stream::{ActorId, Purpose, Source, StreamKey, below};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// By block of recipients, in place of the actor: in which order they take the slots.
const DEAL: Purpose = Purpose::new(12);

const MAX_SLOTS: u64 = 100_000;

section! {
    /// A kind of recipient.
    pub struct PersonaConfig {
        /// How many slots it takes; all personas together take 1 to 100,000.
        count: u32 [0 ..= 100_000],
        /// Hours of day in which it engages most, each whole; none: all hours alike.
        peak_hours: Vec<u8> [each 0 ..= 23],
        /// Days on which it engages most; at least one.
        active_days: Vec<Weekday> [len 1 ..= 7],
        /// P(click | delivered), averaged over send times with all other factors neutral; 0 to `open_rate`.
        click_rate: f64 [0.0 ..= 1.0],
        /// P(open | delivered), averaged over send times with all other factors neutral, above 0.
        open_rate: f64 [0.0 ..= 1.0],
        /// Peak minutes of its own, in place of `minute.peak_minutes`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        peak_minutes: Option<Vec<u8>> [each 0 ..= 59],
    }
}

impl PersonaConfig {
    /// Whether an hour of the week lies in its peak hours, and on one of its active days.
    pub fn own(&self, hour_of_week: usize) -> (bool, bool) {
        let at_peak = self.peak_hours.is_empty() || self.peak_hours.contains(&((hour_of_week % 24) as u8));
        (at_peak, self.active_days.iter().any(|day| *day as usize == hour_of_week / 24))
    }

    /// Hour term × day term by the hour of the week; `off_peak` and `inactive_day` are the terms outside its own hours and days.
    pub fn shape(&self, off_peak: f64, inactive_day: f64) -> [f64; HOURS_OF_WEEK] {
        core::array::from_fn(|hour| {
            let (at_peak, active) = self.own(hour);
            (if at_peak { 1.0 } else { off_peak }) * (if active { 1.0 } else { inactive_day })
        })
    }

    /// The same with peak hours so many hours later, on the same days.
    #[must_use]
    pub fn shifted(&self, hours: i8) -> Self {
        let later = |hour: &u8| (i32::from(*hour) + i32::from(hours)).rem_euclid(24) as u8;
        Self { peak_hours: self.peak_hours.iter().map(later).collect(), ..self.clone() }
    }

    /// Whether all hours and days are its own.
    pub fn is_flat(&self) -> bool {
        self.peak_hours.is_empty() && self.active_days.len() == 7
    }
}

/// What a persona is known by.
#[derive(Clone, Debug, PartialEq)]
pub struct Persona {
    /// Its name.
    pub name: String,
    /// P(open | delivered) with all factors neutral.
    pub open_rate: f64,
    /// P(click | delivered) with all factors neutral.
    pub click_rate: f64,
    /// Its share of the population.
    pub share: f64,
}

/// The personas and who is of which.
#[derive(Clone, Debug)]
pub(super) struct Personas {
    pub(super) list: Box<[Persona]>,
    /// The persona of each slot.
    slots: Box<[u8]>,
}

impl Personas {
    pub(super) fn new(config: &BTreeMap<String, PersonaConfig>) -> Self {
        let slots: Box<[u8]> =
            (0..).zip(config.values()).flat_map(|(index, persona)| std::iter::repeat_n(index, persona.count as usize)).collect();
        let total = slots.len() as f64;
        let persona = |(name, persona): (&String, &PersonaConfig)| Persona {
            name: name.clone(),
            open_rate: persona.open_rate,
            click_rate: persona.click_rate,
            share: f64::from(persona.count) / total,
        };
        Self { list: config.iter().map(persona).collect(), slots }
    }

    /// The persona of an actor: of each block of as many actors as there are slots, each takes one, in an order that the seed decides.
    /// So ids carry no information about personas, whole blocks have exactly the shares, and nobody changes when the population grows.
    pub(super) fn of(&self, key: StreamKey, actor: ActorId) -> usize {
        thread_local! {
            static LATEST: RefCell<Deal> = RefCell::default();
        }
        let slots = self.slots.len() as u64;
        let slot = LATEST.with_borrow_mut(|deal| deal.of((key, actor.0 / slots, slots))[(actor.0 % slots) as usize]);
        usize::from(self.slots[slot as usize])
    }

    pub(super) fn slots(&self) -> u64 {
        self.slots.len() as u64
    }
}

/// The latest block of recipients that somebody was of: neighbours are asked for one after another.
#[derive(Default)]
struct Deal {
    of: Option<(StreamKey, u64, u64)>,
    slots: Vec<u32>,
}

impl Deal {
    /// The slot of each recipient of a block: all orders of the slots are equally likely (Fisher and Yates).
    fn of(&mut self, (key, block, slots): (StreamKey, u64, u64)) -> &[u32] {
        if self.of != Some((key, block, slots)) {
            self.of = Some((key, block, slots));
            self.slots.clear();
            self.slots.extend(0..slots as u32);
            let mut draws = key.actor(ActorId(block)).purpose(DEAL).ordinal(0).draws();
            for last in (1..slots).rev() {
                self.slots.swap(last as usize, below(draws.next_u64(), last + 1) as usize);
            }
        }
        &self.slots
    }
}

pub(super) fn check(config: &BTreeMap<String, PersonaConfig>, checker: &mut Checker) {
    let slots: u64 = config.values().map(|persona| u64::from(persona.count)).sum();
    checker.require((1..=MAX_SLOTS).contains(&slots), "personas", || {
        format!("the counts must sum to a number from 1 to {MAX_SLOTS}, got {slots}")
    });
    for (name, persona) in config {
        let path = |key: &str| format!("personas.{name}.{key}");
        check_each_once(checker, &path("peak_hours"), &persona.peak_hours);
        check_each_once(checker, &path("active_days"), &persona.active_days);
        if let Some(minutes) = &persona.peak_minutes {
            check_each_once(checker, &path("peak_minutes"), minutes);
        }
        let (open, click) = (persona.open_rate, persona.click_rate);
        above_0(&path("open_rate"), open, checker);
        if open > 0.0 && click > open {
            checker.problem(
                path("click_rate"),
                format!("must be at most the open rate, {open}, got {click}"),
                "both are shares of delivered messages, and a click needs an open",
            );
        }
    }
}
