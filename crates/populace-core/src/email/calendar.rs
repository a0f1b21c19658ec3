//! The calendar of a recipient: the weights of the hours of a day, by which mail is sent and by which whatever befalls a user does so.

use super::blast::SendMinute;
use super::zones::SendClock;
use crate::scenario::Checker;
use crate::section::{choice, section};
use crate::stream::unit;
use crate::time::{DAY, HOUR, Instant, MINUTE, MINUTES_PER_WEEK, SECOND, UtcOffset};
use core::fmt::Debug;

/// Hours in a week.
pub const HOURS_OF_WEEK: usize = MINUTES_PER_WEEK / 60;
/// Monday 1970-01-05: the start of a week.
pub const MONDAY: Instant = Instant(4 * DAY);
const MINUTES_OF_DAY: usize = 24 * 60;
pub(super) const MILLISECOND: i64 = SECOND / 1_000;

/// The hour of the week, Monday 00:00 being 0, that a local clock shows.
#[inline]
pub const fn hour_of_week(local: Instant) -> usize {
    local.minute_of_week() / 60
}

choice! {
    /// A day of the week.
    pub enum Weekday {
        /// Monday, 0.
        Mon,
        /// Tuesday, 1.
        Tue,
        /// Wednesday, 2.
        Wed,
        /// Thursday, 3.
        Thu,
        /// Friday, 4.
        Fri,
        /// Saturday, 5.
        Sat,
        /// Sunday, 6.
        Sun,
    }
}

section! {
    /// Scheduled mail: a Poisson number a user and day, at a moment of the day with weight 1 from `first_hour`:00 to `last_hour`:59 and
    /// `night_weight` otherwise. Circuit breakers and hot paths follow the same hours.
    pub struct SendsConfig {
        /// Mean number a user and day.
        per_day: f64 [0.0 ..= 500.0],
        /// The first hour of full weight.
        first_hour: u8 [0 ..= 23],
        /// The last hour of full weight, `first_hour` to 23.
        last_hour: u8 [0 ..= 23],
        /// The weight of the other hours.
        night_weight: f64 [0.0 ..= 1.0],
        /// Whose clock scheduled mail is by, with `timezones`; left out, each recipient's. Circuit breakers and hot paths are by that of
        /// the recipient in either case.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        clock: Option<SendClock>,
    }
}

impl SendsConfig {
    pub(super) fn check(&self, checker: &mut Checker) {
        checker.require(self.first_hour <= self.last_hour, "sends.last_hour", || {
            format!("must be at least `first_hour`, {}, got {}", self.first_hour, self.last_hour)
        });
    }
}

/// The distribution of the moment of the day: weight 1 within some hours of the local clock, less outside.
#[derive(Clone, Debug)]
pub struct Calendar {
    first: f64,
    after_last: f64,
    night_weight: f64,
    timezone: UtcOffset,
    /// Day of the local clock minus day of UTC.
    offset: i64,
}

impl Calendar {
    /// The calendar of checked settings, on the clock of `timezone`.
    pub fn new(config: &SendsConfig, timezone: UtcOffset) -> Self {
        Self {
            first: f64::from(config.first_hour),
            after_last: f64::from(config.last_hour) + 1.0,
            night_weight: config.night_weight,
            timezone,
            offset: timezone.local(Instant(0)).0,
        }
    }

    /// Whether an hour of the local clock has full weight.
    pub fn is_day(&self, hour: usize) -> bool {
        (self.first..self.after_last).contains(&(hour as f64))
    }

    /// The weight of an hour of the local clock.
    pub fn weight(&self, hour: usize) -> f64 {
        if self.is_day(hour) { 1.0 } else { self.night_weight }
    }

    /// The weight of a whole day.
    pub fn total(&self) -> f64 {
        (0..24).map(|hour| self.weight(hour)).sum()
    }

    /// The share of a local day's weight before a moment.
    pub fn before(&self, moment: Instant) -> f64 {
        let hours = self.timezone.local(moment).0.rem_euclid(DAY) as f64 / HOUR as f64;
        let (first, last, night) = (self.first, self.after_last, self.night_weight);
        let before = |hours: f64| night * hours.min(first) + (hours.clamp(first, last) - first) + night * (hours - last).max(0.0);
        before(hours) / before(24.0)
    }

    /// P(time of day < minute) by the minute of the day in UTC, 0 to 1,440.
    pub fn by_minute(&self) -> Vec<f64> {
        let weight = |minute: usize| self.weight(usize::from(self.timezone.local(Instant(minute as i64 * MINUTE)).hour()));
        let total: f64 = (0..MINUTES_OF_DAY).map(weight).sum();
        let mut before = vec![0.0];
        before.extend((0..MINUTES_OF_DAY).scan(0.0, |sum, minute| {
            *sum += weight(minute) / total;
            Some(*sum)
        }));
        before
    }

    /// As [`before`](Self::before), of sends that lie within their hours as `minute` says.
    pub fn before_by(&self, moment: Instant, minute: SendMinute) -> f64 {
        let within = self.timezone.local(moment).0.rem_euclid(HOUR);
        let [begin, end] = [moment.plus(-within), moment.plus(HOUR - within - 1)].map(|moment| self.before(moment));
        begin + (end - begin) * minute.before(within as f64 / HOUR as f64)
    }

    /// Microseconds since midnight UTC, to the millisecond, of a word.
    #[inline]
    pub(super) fn at(&self, word: u64) -> i64 {
        self.moment(self.hours(word))
    }

    /// As [`at`](Self::at), of a send that lies within its hour as `minute` says.
    #[inline]
    pub(super) fn at_by(&self, word: u64, minute: SendMinute) -> i64 {
        let hours = self.hours(word);
        let hour = hours.floor();
        self.moment(hour + minute.place(hours - hour))
    }

    /// The hour of a day of the local clock, with its fraction, of a word.
    #[inline]
    fn hours(&self, word: u64) -> f64 {
        let night = self.night_weight;
        let day_begins = self.first * night;
        let day_ends = day_begins + (self.after_last - self.first);
        let mass = unit(word) * (day_ends + (24.0 - self.after_last) * night);
        if mass < day_begins {
            mass / night
        } else if mass < day_ends {
            self.first + (mass - day_begins)
        } else {
            // A word at the very end may round up to the midnight that is no longer this day's, or divide by a weight of 0.
            (self.after_last + (mass - day_ends) / night).min(24.0)
        }
    }

    #[inline]
    fn moment(&self, hours: f64) -> i64 {
        let local = ((hours * (HOUR / MILLISECOND) as f64) as i64).min(DAY / MILLISECOND - 1) * MILLISECOND;
        (local - self.offset).rem_euclid(DAY)
    }
}

/// Checks that a list of days, hours or minutes has each of them once.
pub(super) fn check_each_once<T: PartialEq + Debug>(checker: &mut Checker, path: &str, values: &[T]) {
    for (index, value) in values.iter().enumerate() {
        checker.require(!values[..index].contains(value), format!("{path}.{index}"), || {
            format!("{} is listed twice", format!("{value:?}").to_lowercase())
        });
    }
}
