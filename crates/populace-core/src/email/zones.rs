//! Recipients' clocks: one offset for all of them, or zones of the world with daylight saving time.
//!
//! The rules stand here, so that the bytes of a data set do not depend on whose copy of the time zone database is installed. The tests
//! compare every hour from 2015 to 2037 with a time-zone crate.

use super::config::EmailConfig;
use super::decisions::PolicyClock;
use crate::dist::{Bernoulli, Categorical};
use crate::scenario::Checker;
use crate::section::{choice, section};
use crate::stream::{ActorKey, Purpose};
use crate::time::{DAY, Date, HOUR, Instant, MINUTE, UtcOffset};
use std::collections::BTreeMap;

/// Of a person: word 0 is the zone, word 1 whether it is known.
const ZONE: Purpose = Purpose::new(14);

/// The first year whose rules the table has.
const FIRST_YEAR: i32 = 2015;
/// No clock is further from UTC.
const FURTHEST: i64 = 14 * HOUR;

/// Zones with their rules as POSIX writes them (IEEE 1003.1, `TZ`; the footer of a file of RFC 8536), each from a date on that is no
/// day of a change by it. The first date is that from which the table is complete. From the time zone database, 2025b.
type Rules = &'static [(&'static str, &'static str)];

const EUROPE_WEST: Rules = &[("2015-01-01", "WET0WEST,M3.5.0/1,M10.5.0")];
const EUROPE_CENTRAL: Rules = &[("2015-01-01", "CET-1CEST,M3.5.0,M10.5.0/3")];
const EUROPE_EAST: Rules = &[("2015-01-01", "EET-2EEST,M3.5.0/3,M10.5.0/4")];
const US_EASTERN: Rules = &[("2015-01-01", "EST5EDT,M3.2.0,M11.1.0")];
const AUSTRALIA_EAST: Rules = &[("2015-01-01", "AEST-10AEDT,M10.1.0,M4.1.0/3")];

const TABLE: &[(&str, Rules)] = &[
    ("Africa/Cairo", &[("2015-01-01", "EET-2"), ("2023-01-01", "EET-2EEST,M4.5.5/0,M10.5.4/24")]),
    ("Africa/Johannesburg", &[("2015-01-01", "SAST-2")]),
    ("Africa/Lagos", &[("2015-01-01", "WAT-1")]),
    ("Africa/Nairobi", &[("2015-01-01", "EAT-3")]),
    ("America/Anchorage", &[("2015-01-01", "AKST9AKDT,M3.2.0,M11.1.0")]),
    ("America/Argentina/Buenos_Aires", &[("2015-01-01", "<-03>3")]),
    ("America/Bogota", &[("2015-01-01", "<-05>5")]),
    ("America/Chicago", &[("2015-01-01", "CST6CDT,M3.2.0,M11.1.0")]),
    ("America/Denver", &[("2015-01-01", "MST7MDT,M3.2.0,M11.1.0")]),
    ("America/Halifax", &[("2015-01-01", "AST4ADT,M3.2.0,M11.1.0")]),
    ("America/Lima", &[("2015-01-01", "<-05>5")]),
    ("America/Los_Angeles", &[("2015-01-01", "PST8PDT,M3.2.0,M11.1.0")]),
    ("America/Mexico_City", &[("2015-01-01", "CST6CDT,M4.1.0,M10.5.0"), ("2022-11-15", "CST6")]),
    ("America/New_York", US_EASTERN),
    ("America/Phoenix", &[("2015-01-01", "MST7")]),
    (
        "America/Sao_Paulo",
        &[
            // Carnival put the end off by a week.
            ("2015-01-01", "<-03>3<-02>,M10.3.0/0,M2.4.0/0"),
            ("2015-06-01", "<-03>3<-02>,M10.3.0/0,M2.3.0/0"),
            ("2018-06-01", "<-03>3<-02>,M11.1.0/0,M2.3.0/0"),
            ("2019-06-01", "<-03>3"),
        ],
    ),
    ("America/St_Johns", &[("2015-01-01", "NST3:30NDT,M3.2.0,M11.1.0")]),
    ("America/Toronto", US_EASTERN),
    ("Asia/Bangkok", &[("2015-01-01", "<+07>-7")]),
    ("Asia/Dhaka", &[("2015-01-01", "<+06>-6")]),
    ("Asia/Dubai", &[("2015-01-01", "<+04>-4")]),
    ("Asia/Hong_Kong", &[("2015-01-01", "HKT-8")]),
    ("Asia/Jakarta", &[("2015-01-01", "WIB-7")]),
    ("Asia/Jerusalem", &[("2015-01-01", "IST-2IDT,M3.4.4/26,M10.5.0")]),
    ("Asia/Karachi", &[("2015-01-01", "PKT-5")]),
    ("Asia/Kathmandu", &[("2015-01-01", "<+0545>-5:45")]),
    ("Asia/Kolkata", &[("2015-01-01", "IST-5:30")]),
    ("Asia/Manila", &[("2015-01-01", "PST-8")]),
    ("Asia/Riyadh", &[("2015-01-01", "<+03>-3")]),
    ("Asia/Seoul", &[("2015-01-01", "KST-9")]),
    ("Asia/Shanghai", &[("2015-01-01", "CST-8")]),
    ("Asia/Singapore", &[("2015-01-01", "<+08>-8")]),
    ("Asia/Tokyo", &[("2015-01-01", "JST-9")]),
    ("Australia/Adelaide", &[("2015-01-01", "ACST-9:30ACDT,M10.1.0,M4.1.0/3")]),
    ("Australia/Brisbane", &[("2015-01-01", "AEST-10")]),
    ("Australia/Melbourne", AUSTRALIA_EAST),
    ("Australia/Perth", &[("2015-01-01", "AWST-8")]),
    ("Australia/Sydney", AUSTRALIA_EAST),
    ("Etc/UTC", &[("2015-01-01", "UTC0")]),
    ("Europe/Amsterdam", EUROPE_CENTRAL),
    ("Europe/Athens", EUROPE_EAST),
    ("Europe/Berlin", EUROPE_CENTRAL),
    ("Europe/Dublin", &[("2015-01-01", "GMT0IST,M3.5.0/1,M10.5.0")]),
    ("Europe/Helsinki", EUROPE_EAST),
    ("Europe/Istanbul", &[("2015-01-01", "EET-2EEST,M3.5.0/3,M11.2.0/4"), ("2016-06-01", "<+03>-3")]),
    ("Europe/Lisbon", EUROPE_WEST),
    ("Europe/London", &[("2015-01-01", "GMT0BST,M3.5.0/1,M10.5.0")]),
    ("Europe/Madrid", EUROPE_CENTRAL),
    ("Europe/Moscow", &[("2015-01-01", "MSK-3")]),
    ("Europe/Paris", EUROPE_CENTRAL),
    ("Europe/Rome", EUROPE_CENTRAL),
    ("Europe/Stockholm", EUROPE_CENTRAL),
    ("Europe/Warsaw", EUROPE_CENTRAL),
    ("Europe/Zurich", EUROPE_CENTRAL),
    ("Pacific/Auckland", &[("2015-01-01", "NZST-12NZDT,M9.5.0,M4.1.0/3")]),
    ("Pacific/Honolulu", &[("2015-01-01", "HST10")]),
];

/// The zones that a document may name, in order.
pub fn zone_names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|(name, _)| *name)
}

choice! {
    /// Whose clock the hours of `sends` are read on.
    pub enum SendClock {
        /// Each recipient's: a day of the window is a day of the recipient's calendar.
        Recipient,
        /// That of UTC: everybody is mailed at the same hours, and a day of the window is a day of UTC.
        Utc,
    }
}

section! {
    /// Time zones of the recipients, with daylight saving time. `timezone` stays `UTC`, and the window begins in 2015 or later.
    pub struct TimezonesConfig {
        /// Zones with their weights: a recipient is in one of them. Names are those of the time zone database.
        zones: BTreeMap<String, f64> [len 1 ..= 56],
        /// The share of recipients whose zone the sender knows; of the others `users.timezone` is null.
        #[serde(default = "known_share")]
        known_share: f64 [0.0 ..= 1.0],
    }
}

/// The share of recipients whose zone is known, where a document does not say.
const fn known_share() -> f64 {
    0.8
}

/// When a zone's clocks change: from the last Sunday of a month on and the like.
#[derive(Clone, Copy)]
struct Turn {
    month: u32,
    /// 1 to 5; 5 is the last.
    week: u32,
    /// Sunday is 0.
    weekday: u8,
    /// From midnight, on the clock that is turned.
    time: i64,
}

impl Turn {
    /// The moment of a year on the clock that is turned.
    fn of(self, year: i32) -> Option<Instant> {
        let first = Date::from_ymd(year, self.month, 1)?;
        // Monday is 0 of a date.
        let to_weekday = i32::from((self.weekday + 6 + 7 - first.weekday()) % 7);
        let day = |week: u32| first.plus(to_weekday + 7 * (week as i32 - 1));
        let is_in_month = |date: &Date| date.ymd().1 == self.month;
        let date = Some(day(self.week)).filter(is_in_month).unwrap_or_else(|| day(self.week - 1));
        Some(date.midnight().plus(self.time))
    }
}

/// A rule: microseconds that the clock is ahead of UTC, and if it changes, by how much in summer, when it begins and when it ends.
#[derive(Clone, Copy)]
struct Rule {
    standard: i64,
    summer: Option<(i64, [Turn; 2])>,
}

impl Rule {
    /// Of the form `CET-1CEST,M3.5.0,M10.5.0/3`: the offset is that by which UTC is ahead; summer is an hour ahead of standard time.
    fn parse(text: &str) -> Option<Self> {
        let (offset, rest) = hours(name(text)?)?;
        if rest.is_empty() {
            return Some(Self { standard: -offset, summer: None });
        }
        let turn = |text: &str| {
            let (date, time) = text.split_once('/').unwrap_or((text, "2"));
            let mut parts = date.strip_prefix('M')?.split('.').map(|part| part.parse::<u8>().ok());
            let [month, week, weekday] = [parts.next()??, parts.next()??, parts.next()??];
            let (time, rest) = hours(time)?;
            rest.is_empty().then_some(Turn { month: u32::from(month), week: u32::from(week), weekday, time })
        };
        let (begins, ends) = name(rest)?.strip_prefix(',')?.split_once(',')?;
        Some(Self { standard: -offset, summer: Some((HOUR - offset, [turn(begins)?, turn(ends)?])) })
    }

    /// The changes of a year, each with the offset from then on.
    fn changes(&self, year: i32) -> Vec<(Instant, i64)> {
        let Some((summer, [begins, ends])) = self.summer else { return Vec::new() };
        let change = |turn: Turn, before: i64, after: i64| Some((turn.of(year)?.plus(-before), after));
        [change(begins, self.standard, summer), change(ends, summer, self.standard)].into_iter().flatten().collect()
    }

    /// The offset at an instant.
    fn offset(&self, at: Instant) -> i64 {
        let year = at.date().ymd().0;
        let mut changes: Vec<_> = (year - 1..=year + 1).flat_map(|year| self.changes(year)).filter(|(from, _)| *from <= at).collect();
        changes.sort_unstable();
        changes.last().map_or(self.standard, |(_, offset)| *offset)
    }
}

/// What follows a name of letters or `<…>`.
fn name(text: &str) -> Option<&str> {
    match text.strip_prefix('<') {
        Some(quoted) => quoted.split_once('>').map(|(_, rest)| rest),
        None => Some(text.trim_start_matches(|letter: char| letter.is_ascii_alphabetic())),
    }
}

/// Hours, with minutes after a colon, and what follows.
fn hours(text: &str) -> Option<(i64, &str)> {
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let end = text.find(|letter: char| !letter.is_ascii_digit() && letter != ':').unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    let (hours, minutes) = number.split_once(':').unwrap_or((number, "0"));
    Some((sign * (hours.parse::<i64>().ok()? * HOUR + minutes.parse::<i64>().ok()? * MINUTE), rest))
}

/// A zone: what its clocks show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// Its name in the time zone database.
    pub name: &'static str,
    /// Microseconds ahead of UTC before the first change.
    before: i64,
    /// Moments from which clocks are so many microseconds ahead of UTC.
    changes: Box<[(Instant, i64)]>,
}

impl Zone {
    /// The zone of a name with its changes of some years, if the table has it.
    pub fn named(name: &str, years: std::ops::RangeInclusive<i32>) -> Option<Self> {
        let (name, rules) = TABLE.get(TABLE.binary_search_by_key(&name, |(name, _)| name).ok()?)?;
        let rules: Vec<(Instant, Rule)> =
            rules.iter().filter_map(|(from, rule)| Some((from.parse::<Date>().ok()?.midnight(), Rule::parse(rule)?))).collect();
        let first = Date::from_ymd(*years.start(), 1, 1)?.midnight();
        let mut changes = Vec::new();
        for (place, (from, rule)) in rules.iter().enumerate() {
            let until = rules.get(place + 1).map_or(Instant(i64::MAX), |(until, _)| *until);
            changes.push((*from, rule.offset(*from)));
            changes.extend(years.clone().flat_map(|year| rule.changes(year)).filter(|(at, _)| at > from && *at < until));
        }
        changes.sort_unstable();
        let before = changes.iter().rev().find(|(at, _)| *at <= first).or(changes.first())?.1;
        let mut offset = before;
        changes.retain(|(at, new)| {
            let is_change = *at > first && *new != offset;
            if is_change {
                offset = *new;
            }
            is_change
        });
        Some(Self { name, before, changes: changes.into() })
    }

    /// Microseconds that clocks are ahead of UTC at an instant.
    #[inline]
    fn ahead(&self, at: Instant) -> i64 {
        let begun = self.changes.partition_point(|(from, _)| *from <= at);
        begun.checked_sub(1).map_or(self.before, |last| self.changes[last].1)
    }

    /// The instant at which clocks show `wall`: of a time that they show twice the first, and of one that they pass over the instant at
    /// which they would show it had they not been turned, so that it moves on by the gap.
    #[inline]
    pub fn instant(&self, wall: Instant) -> Instant {
        // No zone has two changes within three days.
        let (earlier, later) = (self.ahead(wall.plus(-FURTHEST - HOUR)), self.ahead(wall.plus(FURTHEST + HOUR)));
        let first = wall.plus(-earlier);
        if earlier == later || self.ahead(first) == earlier {
            return first;
        }
        let second = wall.plus(-later);
        if self.ahead(second) == later { second } else { first }
    }

    /// The moments at which its clocks are turned, with the minutes that they are ahead of UTC from then on.
    pub fn changes(&self) -> impl Iterator<Item = (Instant, i16)> {
        self.changes.iter().map(|&(at, ahead)| (at, (ahead / MINUTE) as i16))
    }
}

/// A recipient's clock.
#[derive(Clone, Copy, Debug)]
pub enum Clock<'a> {
    /// That of everybody.
    Fixed(UtcOffset),
    /// That of a zone.
    Zone(&'a Zone),
}

impl Clock<'_> {
    /// What it shows at `instant`, to be read with the calendar methods of [`Instant`].
    #[inline]
    pub fn local(self, instant: Instant) -> Instant {
        match self {
            Self::Fixed(offset) => offset.local(instant),
            Self::Zone(zone) => instant.plus(zone.ahead(instant)),
        }
    }

    /// Minutes that it is ahead of UTC at `instant`.
    pub fn ahead(self, instant: Instant) -> i16 {
        match self {
            Self::Fixed(offset) => offset.minutes(),
            Self::Zone(zone) => (zone.ahead(instant) / MINUTE) as i16,
        }
    }
}

/// The days of a recipient's window: when each begins, and when in it something is.
#[derive(Clone, Copy)]
pub(super) struct Days<'a> {
    /// The first instant of the window, on the clock of the days.
    pub(super) begin: Instant,
    /// The zone whose days they are; `None` of UTC's.
    pub(super) of: Option<&'a Zone>,
    /// The zone on whose clock things befall the recipient within a day of UTC.
    pub(super) within: Option<&'a Zone>,
}

impl Days<'_> {
    /// The first instant of a day.
    #[inline]
    pub(super) fn midnight(&self, day: u32) -> Instant {
        self.moment(day, 0)
    }

    /// The moment of a day at which a send goes out, by its microseconds since midnight.
    #[inline]
    pub(super) fn moment(&self, day: u32, of_day: i64) -> Instant {
        let moment = self.begin.plus(i64::from(day) * DAY + of_day);
        self.of.map_or(moment, |zone| zone.instant(moment))
    }

    /// The moment of a day at which something befalls the recipient. A day of UTC has the hours of the recipient's clock at its begin.
    #[inline]
    pub(super) fn occasion(&self, day: u32, of_day: i64) -> Instant {
        let Some(zone) = self.within else { return self.moment(day, of_day) };
        let midnight = self.midnight(day);
        midnight.plus((of_day - zone.ahead(midnight)).rem_euclid(DAY))
    }
}

/// The zones of a document.
#[derive(Clone, Debug)]
pub struct Zones {
    list: Box<[Zone]>,
    shares: Box<[f64]>,
    choice: Categorical,
    known: Bernoulli,
    /// The share of recipients whose zone is known.
    pub known_share: f64,
    /// Whose clock sends are by.
    pub clock: SendClock,
}

/// A recipient's zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnZone {
    /// Index into [`Zones::list`].
    pub zone: u8,
    /// Whether the sender knows it.
    pub is_known: bool,
}

impl Default for OwnZone {
    fn default() -> Self {
        Self { zone: 0, is_known: true }
    }
}

impl OwnZone {
    /// The zone, where the sender knows it.
    pub fn known(self) -> Option<u8> {
        self.is_known.then_some(self.zone)
    }
}

impl Zones {
    pub(super) fn new(own: &TimezonesConfig, config: &EmailConfig, checker: &mut Checker) -> Option<Self> {
        let start = config.window.start;
        checker.require(config.timezone == UtcOffset::default(), "timezone", || {
            format!("is `{}`, but `timezones` gives each recipient a clock: leave it out or at UTC", config.timezone)
        });
        checker.require(start.ymd().0 >= FIRST_YEAR, "window.start", || {
            format!("must be {FIRST_YEAR}-01-01 or later with `timezones`, whose rules begin then, got {start}")
        });
        let first = start.ymd().0;
        // What is sent on the last day may be opened and clicked a month later.
        let last = Date(start.0.saturating_add_unsigned(config.window.days.min(36_500)).saturating_add(60)).ymd().0;
        let mut list = Vec::new();
        for name in own.zones.keys() {
            match Zone::named(name, first - 1..=last) {
                Some(zone) => list.push(zone),
                None => checker.problem(
                    format!("timezones.zones.{name}"),
                    format!("`{name}` is not a zone of the table"),
                    format!("{}; docs/guide/mail.md lists all", near(name)),
                ),
            }
        }
        if let Some(policy) = &config.policy {
            let sends = config.sends.clock.unwrap_or(SendClock::Recipient);
            let is_one = (policy.clock == PolicyClock::Utc) == (sends == SendClock::Utc);
            let of = |zone: &Zone| zone.changes().map(|(_, ahead)| ahead).chain([(zone.before / MINUTE) as i16]).collect::<Vec<_>>();
            let odd = list.iter().find(|zone| of(zone).iter().any(|ahead| i32::from(*ahead) % policy.slot_minutes.max(1) as i32 != 0));
            if let Some(zone) = odd.filter(|_| !is_one) {
                checker.problem(
                    "policy.clock",
                    format!(
                        "is not that of `sends`, and slots of {} minutes do not begin with the days of {}",
                        policy.slot_minutes, zone.name
                    ),
                    "give both the same clock, or shorter slots (`slot_minutes: 15` suits every zone)",
                );
            }
        }
        let weights: Vec<f64> = own.zones.values().copied().collect();
        let choice = checker.take("timezones.zones", Categorical::new(&weights));
        let known = checker.take("timezones.known_share", Bernoulli::new(own.known_share));
        let total: f64 = weights.iter().sum();
        (list.len() == weights.len()).then_some(())?;
        Some(Self {
            list: list.into(),
            shares: weights.iter().map(|weight| weight / total).collect(),
            choice: choice?,
            known: known?,
            known_share: own.known_share,
            clock: config.sends.clock.unwrap_or(SendClock::Recipient),
        })
    }

    /// The zones, in the order of their names.
    pub fn list(&self) -> &[Zone] {
        &self.list
    }

    /// The share of recipients of each.
    pub fn shares(&self) -> &[f64] {
        &self.shares
    }

    /// The zone of an actor.
    pub(super) fn of(&self, actor: &ActorKey) -> OwnZone {
        let words = actor.purpose(ZONE).ordinal(0).words();
        OwnZone { zone: self.choice.pick(words.word::<0>()) as u8, is_known: self.known.decide(words.word::<1>()) }
    }

    /// The clocks that recipients have within days that are not their own.
    pub(super) fn within_days(&self) -> Vec<Clock<'_>> {
        if self.clock == SendClock::Recipient { Vec::new() } else { self.list.iter().map(Clock::Zone).collect() }
    }

    /// The minutes that clocks are ahead of UTC, each with the share of recipients and days of a window on which they are.
    pub(super) fn offsets(&self, begin: Instant, days: u32) -> BTreeMap<i16, f64> {
        let mut offsets = BTreeMap::new();
        for (zone, share) in self.list.iter().zip(&self.shares).filter(|(_, share)| **share > 0.0) {
            for day in 0..days {
                let ahead = Clock::Zone(zone).ahead(begin.plus(i64::from(day) * DAY + DAY / 2));
                *offsets.entry(ahead).or_insert(0.0) += share / f64::from(days);
            }
        }
        offsets
    }

    /// The minutes that clocks may be ahead of UTC while a run lasts, each once.
    pub(super) fn all_offsets(&self) -> Vec<i16> {
        let of = |zone: &Zone| zone.changes().map(|(_, ahead)| ahead).chain([(zone.before / MINUTE) as i16]).collect::<Vec<_>>();
        let mut offsets: Vec<i16> = self.list.iter().flat_map(of).collect();
        offsets.sort_unstable();
        offsets.dedup();
        offsets
    }
}

/// How far a recipient's days may lie from those of UTC, microseconds.
pub(super) fn furthest(zones: Option<&Zones>) -> i64 {
    if zones.is_some_and(|zones| zones.clock == SendClock::Recipient) { FURTHEST } else { 0 }
}

/// The names that are most like one that is none.
fn near(name: &str) -> String {
    let mut names: Vec<(usize, &str)> = zone_names()
        .map(|known| {
            let city = |name: &str| name.rsplit('/').next().unwrap_or(name).to_lowercase();
            (distance(&name.to_lowercase(), &known.to_lowercase()).min(distance(&city(name), &city(known))), known)
        })
        .collect();
    names.sort_unstable();
    let known: Vec<&str> = names.iter().take(3).map(|(_, known)| *known).collect();
    format!("near are {}", known.join(", "))
}

/// Letters to insert, remove or change to get from one text to the other (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, letter) in from.chars().enumerate() {
        let mut before = row[0];
        row[0] = index + 1;
        for (place, other) in to.iter().enumerate() {
            let change = before + usize::from(letter != *other);
            before = row[place + 1];
            row[place + 1] = change.min(before + 1).min(row[place] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::SECOND;

    #[test]
    fn every_rule_of_the_table_is_read_and_the_names_are_in_order() {
        assert!(zone_names().is_sorted());
        for (name, rules) in TABLE {
            assert_eq!(rules[0].0, "2015-01-01", "{name}");
            assert!(rules.is_sorted_by_key(|(from, _)| from), "{name}");
            for (from, rule) in *rules {
                assert!(from.parse::<Date>().is_ok() && Rule::parse(rule).is_some(), "{name} {from} {rule}");
            }
        }
        for text in ["", "CET", "CET-1CEST", "CET-1CEST,M3.5.0", "CET-1CEST,J60,J300", "CET-1CEST,M3.5,M10.5.0", "CET-1x"] {
            assert!(Rule::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_time_that_is_passed_over_moves_on_and_one_that_is_shown_twice_is_the_first() {
        let berlin = Zone::named("Europe/Berlin", 2025..=2025).unwrap();
        let at = |date: &str, hour: i64, minute: i64| date.parse::<Date>().unwrap().midnight().plus(hour * HOUR + minute * MINUTE);
        let shown = |wall: Instant| Clock::Zone(&berlin).local(berlin.instant(wall));
        assert_eq!(shown(at("2025-03-30", 2, 30)), at("2025-03-30", 3, 30));
        assert_eq!(shown(at("2025-03-30", 1, 59)), at("2025-03-30", 1, 59));
        assert_eq!(berlin.instant(at("2025-10-26", 2, 30)), at("2025-10-26", 0, 30));
        assert_eq!(berlin.instant(at("2025-10-26", 3, 0)), at("2025-10-26", 2, 0));
        for minute in 0..365 * 24 * 60 {
            let wall = at("2025-01-01", 0, 0).plus(minute * MINUTE + SECOND);
            let gap = (at("2025-03-30", 2, 0)..at("2025-03-30", 3, 0)).contains(&wall);
            assert_eq!(shown(wall), wall.plus(if gap { HOUR } else { 0 }), "{wall}");
        }
    }

    #[test]
    fn near_names_are_told() {
        assert!(near("Europe/Belrin").starts_with("near are Europe/Berlin"));
        assert!(near("Asia/Calcutta").contains("Asia/Kolkata"), "{}", near("Asia/Calcutta"));
        assert!(near("new_york").starts_with("near are America/New_York"));
    }
}
