//! Seasons: days of the year on which more or less is sent, opened and clicked.

use super::super::calendar::Weekday;
use super::super::config::EmailConfig;
use super::super::delivery::MAX_LATENCY;
use super::super::world::Circumstances;
use super::super::zones::{Clock, Zones};
use super::effect::{About, Chart, Effect, Grouping, Level, Nodes, Outlook, Points};
use crate::scenario::Checker;
use crate::section::{Value, join, section};
use crate::time::Date;
use std::borrow::Cow;
use std::collections::BTreeMap;

pub(super) const ABOUT: About = About {
    name: "season",
    meaning: "Factor of p_open like those before: by the seasons of the date on the recipients' clock",
    by_clock: false,
    optional: true,
    clicks: Some(("season_click", "Factor of P(click | open): by the seasons of the date on the recipients' clock")),
    detects: ("more or less mail, opens and clicks in a season", |path| path.starts_with("calendar.")),
    constants: &[],
    grouping: Some(Grouping {
        opens: "opens by season",
        clicks: "clicks of opens by season",
        label: |effects, at| effects.season().map_or_else(String::new, |season| season.day(at.clock.date()).label()),
    }),
    evidence: None,
};

section! {
    /// A season: some days of every year. Where seasons overlap, their factors multiply.
    pub struct SeasonConfig {
        /// Its name, unlike the others: not empty, without a comma.
        name: String,
        /// Its first day.
        when: When,
        /// How many days it lasts.
        #[serde(default = "one_day")]
        days: u32 [1 ..= 366],
        /// The factor of the number of scheduled sends.
        #[serde(default = "neutral")]
        volume: f64 [0.0 ..= 100.0],
        /// The factor of the open rate, before it is divided by its mean over the sends of the calendar year.
        #[serde(default = "neutral")]
        open: f64 [0.0 ..= 100.0],
        /// The factor of P(click | open).
        #[serde(default = "neutral")]
        click: f64 [0.0 ..= 100.0],
    }

    /// The n-th weekday of a month. A fifth that a month does not have falls out in that year.
    pub struct NthConfig {
        /// The month, 1 to 12.
        month: u8 [1 ..= 12],
        /// The day of the week.
        weekday: Weekday,
        /// Which of them.
        n: u8 [1 ..= 5],
        /// So many days later.
        #[serde(default)]
        plus_days: i32 [-366 ..= 366],
    }
}

const fn one_day() -> u32 {
    1
}

const fn neutral() -> f64 {
    1.0
}

/// The first day of a season.
#[derive(Clone, Debug, PartialEq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum When {
    /// The n-th weekday of a month.
    Nth(NthConfig),
    /// A day of the year, such as `12-25`; 02-29 falls out in common years.
    Date(String),
    /// Days after Easter Sunday (Gregorian), −366 to 366: −2 is Good Friday.
    Easter(i32),
}

impl Value for When {
    fn check(&self, path: &str, checker: &mut Checker) {
        match self {
            Self::Nth(config) => config.check(&join(path, "nth"), checker),
            Self::Date(text) => checker.require(month_and_day(text).is_some(), join(path, "date"), || {
                format!("must be a day of the year of the form MM-DD, such as 12-25, got `{text}`")
            }),
            Self::Easter(days) => days.within(&join(path, "easter"), -MOST_DAYS as f64, MOST_DAYS as f64, checker),
        }
    }
}

impl When {
    /// The day in a year, if there is one.
    fn of(&self, year: i32) -> Option<Date> {
        match self {
            Self::Nth(NthConfig { month, weekday, n, plus_days }) => {
                let month = u32::from(*month);
                let first = Date::from_ymd(year, month, 1)?;
                let day = first.plus((*weekday as i32 - i32::from(first.weekday())).rem_euclid(7) + 7 * (i32::from(*n) - 1));
                (day.ymd().1 == month).then(|| day.plus((*plus_days).clamp(-MOST_DAYS, MOST_DAYS)))
            }
            Self::Date(text) => month_and_day(text).and_then(|(month, day)| Date::from_ymd(year, month, day)),
            Self::Easter(days) => easter(year).map(|sunday| sunday.plus((*days).clamp(-MOST_DAYS, MOST_DAYS))),
        }
    }
}

/// Easter Sunday (Meeus, Jones and Butcher).
fn easter(year: i32) -> Option<Date> {
    let (golden, century, of_century) = (year % 19, year / 100, year % 100);
    let shift = (8 * century + 13) / 25;
    let epact = (19 * golden + century - century / 4 - shift + 15) % 30;
    let weekday = (32 + 2 * (century % 4) + 2 * (of_century / 4) - epact - of_century % 4) % 7;
    let late = (golden + 11 * epact + 22 * weekday) / 451;
    let days = epact + weekday - 7 * late + 114;
    Date::from_ymd(year, (days / 31) as u32, (days % 31) as u32 + 1)
}

/// Month and day of a day of the year, written `MM-DD`.
fn month_and_day(text: &str) -> Option<(u32, u32)> {
    // 2000 was a leap year.
    let (_, month, day) = (text.len() == 5).then(|| format!("2000-{text}").parse::<Date>().ok())??.ymd();
    Some((month, day))
}

/// How far a season may begin from its day, and how long it may last.
const MOST_DAYS: i32 = 366;
/// Of a window.
const MOST_WINDOW: u32 = 36_500;

/// What holds on a day.
#[derive(Clone, Debug, PartialEq)]
pub struct SeasonDay {
    /// The names of its seasons, in the order of the document, separated by commas.
    pub names: String,
    /// The factor of the number of scheduled sends.
    pub volume: f64,
    /// The factor of the open rate: its mean over the sends of the calendar year is 1.
    pub open: f64,
    /// The factor of P(click | open).
    pub click: f64,
    /// The day's seasons by number: 0 of those that [`Level`]s compare with.
    pub state: u16,
}

impl SeasonDay {
    /// Its seasons.
    pub fn label(&self) -> String {
        if self.names.is_empty() { "no season".to_owned() } else { self.names.clone() }
    }
}

/// The seasons of the years that a run touches.
#[derive(Clone, Debug)]
pub struct Season {
    config: Box<[SeasonConfig]>,
    /// The dates on which something may be sent or decided.
    first: Date,
    /// Which of `kinds`, from `first` on.
    days: Box<[u16]>,
    kinds: Box<[SeasonDay]>,
    /// By state, the seasons of a day and the product of their factors.
    states: Box<[State]>,
}

/// Days with the same seasons.
#[derive(Clone, Debug)]
struct State {
    label: String,
    volume: f64,
    open: f64,
}

/// A set of seasons, by their places in the document.
type Set = u128;

impl Season {
    pub(super) fn new(config: &[SeasonConfig], of: &EmailConfig, zones: Option<&Zones>, checker: &mut Checker) -> Option<Self> {
        for (index, SeasonConfig { name, .. }) in config.iter().enumerate() {
            let path = format!("calendar.{index}.name");
            checker.require(!name.trim().is_empty() && !name.contains(','), path.as_str(), || {
                format!("must not be empty and has no comma, got `{name}`")
            });
            checker.require(config[..index].iter().all(|other| other.name != *name), path, || format!("`{name}` is listed twice"));
        }
        let window = &of.window;
        if config.len() > Set::BITS as usize || !(1..=MOST_WINDOW).contains(&window.days) {
            return None;
        }
        let begin = window.start.midnight();
        let end = window.start.plus(window.days as i32).midnight().plus(MAX_LATENCY);
        let clocks = zones.map_or_else(|| vec![Clock::Fixed(of.timezone)], Zones::within_days);
        let first = clocks.iter().fold(window.start, |first, clock| first.min(clock.local(begin).date()));
        let last = clocks.iter().fold(end.date(), |last, clock| last.max(clock.local(end).date()));
        let (mut kinds, mut known) = (Vec::new(), BTreeMap::new());
        let (mut sets, mut states) = (Vec::new(), Vec::new());
        let mut days = Vec::new();
        let mut year = Year::of(config, first);
        for date in (first.0..=last.0).map(Date) {
            if !year.holds(date) {
                year = Year::of(config, date);
            }
            let set = year.set(date);
            let kind = known.entry((set, year.mean.to_bits())).or_insert_with(|| {
                if !sets.contains(&set) {
                    sets.push(set);
                    let day = year.day(config, set, 0);
                    states.push(State { label: day.label(), volume: day.volume, open: product(config, set, |season| season.open) });
                }
                let state = sets.iter().position(|other| *other == set).unwrap_or(0);
                kinds.push(year.day(config, set, state as u16));
                kinds.len() as u16 - 1
            });
            days.push(*kind);
        }
        // What others are compared with comes first: the days without a season, if there are any.
        if let Some(plain) = sets.iter().position(|set| *set == 0) {
            states.swap(0, plain);
            let swapped = |state: u16| match usize::from(state) {
                0 => plain as u16,
                state if state == plain => 0,
                state => state as u16,
            };
            for day in &mut kinds {
                day.state = swapped(day.state);
            }
        }
        Some(Self { config: config.into(), first, days: days.into(), kinds: kinds.into(), states: states.into() })
    }

    /// What holds on a date; of one that the run does not touch it is worked out anew.
    #[inline]
    pub fn day(&self, date: Date) -> Cow<'_, SeasonDay> {
        if let Some(kind) = usize::try_from(date.0 - self.first.0).ok().and_then(|place| self.days.get(place)) {
            return Cow::Borrowed(&self.kinds[usize::from(*kind)]);
        }
        let year = Year::of(&self.config, date);
        Cow::Owned(year.day(&self.config, year.set(date), 0))
    }

    /// Every date on which something may be sent or decided.
    pub fn days(&self) -> impl Iterator<Item = (Date, &SeasonDay)> {
        self.days.iter().enumerate().map(|(place, kind)| (self.first.plus(place as i32), &self.kinds[usize::from(*kind)]))
    }

    /// The seasons that days have, as in [`SeasonDay::state`]: their names, and their volumes over that of the first.
    pub fn states(&self) -> impl Iterator<Item = (&str, f64)> {
        self.states.iter().map(|state| (state.label.as_str(), state.volume / self.states[0].volume))
    }
}

/// A calendar year.
struct Year {
    first: Date,
    /// The seasons of its days.
    days: Vec<Set>,
    /// The mean of volume × open over that of the volume.
    mean: f64,
}

impl Year {
    /// The year of a date.
    fn of(config: &[SeasonConfig], date: Date) -> Self {
        let year = date.ymd().0;
        let is_before = |days: &i32| date.plus(-days).ymd().0 != year;
        let first = date.plus(1 - (1..=MOST_DAYS).find(is_before).unwrap_or(1));
        let length = if first.plus(365).ymd().0 == year { 366 } else { 365 };
        let mut days = vec![0; length];
        for (place, season) in config.iter().enumerate() {
            // A season of the next year may begin before it, one of the years before last through all of this one.
            for begin in (year - 2..=year + 1).filter_map(|year| season.when.of(year)) {
                for day in 0..season.days.min(MOST_DAYS as u32) as i32 {
                    if let Some(set) = usize::try_from(begin.0 + day - first.0).ok().and_then(|day| days.get_mut(day)) {
                        *set |= 1 << place;
                    }
                }
            }
        }
        let (mut sent, mut opened) = (0.0, 0.0);
        for set in &days {
            let volume = product(config, *set, |season| season.volume);
            sent += volume;
            opened += volume * product(config, *set, |season| season.open);
        }
        Self { first, days, mean: if opened > 0.0 { opened / sent } else { 1.0 } }
    }

    fn holds(&self, date: Date) -> bool {
        date >= self.first && date.0 < self.first.0 + self.days.len() as i32
    }

    fn set(&self, date: Date) -> Set {
        self.days[(date.0 - self.first.0) as usize]
    }

    /// What holds on a day of some seasons.
    fn day(&self, config: &[SeasonConfig], set: Set, state: u16) -> SeasonDay {
        let names: Vec<&str> = members(config, set).map(|season| season.name.as_str()).collect();
        SeasonDay {
            names: names.join(", "),
            volume: product(config, set, |season| season.volume),
            open: product(config, set, |season| season.open) / self.mean,
            click: product(config, set, |season| season.click),
            state,
        }
    }
}

/// The seasons of a set.
fn members(config: &[SeasonConfig], set: Set) -> impl Iterator<Item = &SeasonConfig> {
    config.iter().enumerate().filter(move |(place, _)| set >> place & 1 > 0).map(|(_, season)| season)
}

fn product(config: &[SeasonConfig], set: Set, of: fn(&SeasonConfig) -> f64) -> f64 {
    members(config, set).map(of).product()
}

impl Effect for Season {
    #[inline]
    fn factor(&self, at: &Circumstances) -> f64 {
        self.day(at.clock.date()).open
    }

    #[inline]
    fn click_factor(&self, at: &Circumstances) -> f64 {
        self.day(at.clock.date()).click
    }

    fn expected(&self, outlook: &dyn Outlook) -> Nodes {
        vec![(self.day(outlook.clock().date()).open, 1.0)]
    }

    fn state(&self, at: &Circumstances) -> u16 {
        self.day(at.clock.date()).state
    }

    fn levels(&self) -> Vec<Level> {
        let plain = self.states[0].open;
        let level = |state: &State| Level { path: format!("calendar.{}.open", state.label), truth: Some(state.open / plain) };
        self.states.iter().skip(1).map(level).collect()
    }

    fn applies(&self, level: usize, state: u16) -> bool {
        usize::from(state) == level + 1
    }

    fn neutral(&self) -> f64 {
        self.kinds.iter().find(|day| day.state == 0).map_or(1.0, |day| day.open)
    }

    fn chart(&self) -> Option<Chart> {
        let last = self.states.len();
        (last > 1).then(|| Chart {
            id: "season",
            title: "By season",
            axis: "Seasons of the date on the recipients' clock".into(),
            points: Points::Named(self.states.iter().map(|state| state.label.clone()).collect()),
            caption: format!("Opened by season: {{}} with {}, {{}} with others.", self.states[0].label),
            shares: [0..1, 1..last],
        })
    }

    fn point(&self, at: &Circumstances) -> usize {
        usize::from(self.state(at))
    }
}
