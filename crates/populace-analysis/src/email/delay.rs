//! When, after a delivery or an open, an open or a click falls; and whether a circuit breaker that nobody knows of yet will silence it.
//! The distribution of the delays is worked out apart from the simulation's.

use super::history::History;
use populace_core::email::{Clock, DelaysConfig, EmailModel, Group, HOURS_OF_WEEK};
use populace_core::time::{DAY, HOUR, Instant, MINUTE, Window};
use std::ops::Range;

const MINUTES_OF_DAY: usize = 1_440;
const MILLISECOND: i64 = 1_000;

/// Minutes in microseconds.
pub(crate) fn microseconds(minutes: f64) -> i64 {
    (minutes * MINUTE as f64) as i64
}

/// The distribution of a delay for each kind of recipient: a mixture of some that are alike but for their mean.
#[derive(Clone, Debug)]
pub struct DelayLaw {
    /// Each with its probability.
    parts: Vec<(f64, Part)>,
}

/// One delay to come.
#[derive(Clone, Debug)]
pub struct Delay<'a> {
    parts: Vec<(f64, Cut<'a>)>,
}

/// Density ∝ exp(−x/mean) × attention over x = delay − least, 0 ≤ x ≤ span.
#[derive(Clone, Debug)]
struct Part {
    least: i64,
    span: i64,
    /// Microseconds.
    mean: f64,
    /// exp(−x/mean) of an hour, and the mean of an exponential law cut to an hour, microseconds.
    hour: (f64, f64),
    /// By kind of recipient and hour of the week of the local clock.
    attention: Vec<[f64; HOURS_OF_WEEK]>,
}

/// One delay to come, cut at the hours of the clock, between which attention is constant.
#[derive(Clone, Debug)]
struct Cut<'a> {
    law: &'a Part,
    begin: Instant,
    /// Ends of the pieces but the last, which lie an hour apart, and the last's; and exp(−x/mean) there.
    ends: Vec<(Instant, f64)>,
    /// The hour of the week of the first piece.
    first_hour: usize,
    /// The first of the kinds that are known here.
    first_kind: usize,
    /// By known kind, then piece: the mass before the piece's end.
    masses: Vec<f64>,
}

/// Where a moment lies in a delay to come.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Before,
    After,
    /// In a piece, with the part of exp(−x/mean) between the piece's begin and it.
    Within {
        piece: usize,
        share: f64,
    },
}

impl DelayLaw {
    /// The law of open delays, by habit.
    pub fn opens(model: &EmailModel) -> Self {
        let config = model.config();
        let attention = || model.habits().iter().map(|habit| config.attention.of(config.open_delay, &habit.own)).collect();
        let part = |(weight, delays)| (weight, Part::new(&delays, attention()));
        Self { parts: config.open_components().into_iter().map(part).collect() }
    }

    /// The law of click delays, which is the same for all.
    pub fn clicks(model: &EmailModel) -> Self {
        let config = model.config();
        Self { parts: vec![(1.0, Part::new(&config.click_delays, vec![[1.0; HOURS_OF_WEEK]]))] }
    }

    /// P(the delay that begins at `from`, on a clock, ends at a moment that a breaker of the history silences).
    pub fn silenced(&self, kind: usize, clock: Clock<'_>, from: Instant, history: &History) -> f64 {
        let Part { least, span, .. } = self.parts[0].1;
        let begin = from.plus(least);
        let end = begin.plus(span);
        // Few delays meet a breaker, and only for those the law is cut into hours.
        let is_met = history.suppressed_after(begin).next().is_some_and(|(from, _)| from < end);
        if is_met { self.of_kind(kind, clock, from).silenced(kind, end, history) } else { 0.0 }
    }

    /// The delay that begins at `from` on a clock, of one kind.
    pub fn of_kind(&self, kind: usize, clock: Clock<'_>, from: Instant) -> Delay<'_> {
        self.of_kinds(clock, from, kind..kind + 1)
    }

    /// The delay that begins at `from` on a clock, of every kind.
    pub fn after(&self, clock: Clock<'_>, from: Instant) -> Delay<'_> {
        self.of_kinds(clock, from, 0..self.parts[0].1.attention.len())
    }

    /// The delay that begins at `from` on a clock, of some kinds.
    fn of_kinds(&self, clock: Clock<'_>, from: Instant, kinds: Range<usize>) -> Delay<'_> {
        let ahead = clock.local(from).since(from);
        Delay { parts: self.parts.iter().map(|(weight, part)| (*weight, part.cut(from, ahead, kinds.clone()))).collect() }
    }
}

impl Part {
    fn new(law: &DelaysConfig, attention: Vec<[f64; HOURS_OF_WEEK]>) -> Self {
        let mean = law.mean_minutes * MINUTE as f64;
        Self {
            least: microseconds(law.min_minutes),
            span: microseconds(law.max_minutes - law.min_minutes),
            mean,
            hour: ((-(HOUR as f64) / mean).exp(), mean_offset(HOUR, mean)),
            attention,
        }
    }

    /// The delay that begins at `from`, when the recipient's clock is `ahead` microseconds of UTC, of some kinds.
    fn cut(&self, from: Instant, ahead: i64, kinds: Range<usize>) -> Cut<'_> {
        let begin = from.plus(self.least);
        let local = begin.plus(ahead);
        let end = begin.plus(self.span);
        let mut next = begin.plus(HOUR - local.0.rem_euclid(HOUR));
        let mut ends = Vec::with_capacity((self.span / HOUR) as usize + 2);
        let mut left = self.left(next.since(begin));
        while next < end {
            ends.push((next, left));
            next = next.plus(HOUR);
            left *= self.hour.0;
        }
        ends.push((end, self.left(self.span)));
        let first_hour = local.minute_of_week() / 60;
        let mut masses = Vec::with_capacity(kinds.len() * ends.len());
        for attention in &self.attention[kinds.clone()] {
            let (mut mass, mut left, mut hour) = (0.0, 1.0, first_hour);
            for &(_, after) in &ends {
                mass += attention[hour] * (left - after);
                masses.push(mass);
                left = after;
                hour = (hour + 1) % HOURS_OF_WEEK;
            }
        }
        Cut { law: self, begin, ends, first_hour, first_kind: kinds.start, masses }
    }

    /// exp(−x/mean).
    fn left(&self, x: i64) -> f64 {
        (-(x as f64) / self.mean).exp()
    }
}

impl Delay<'_> {
    /// The moment from which on it is certain to be over.
    pub fn end(&self) -> Instant {
        self.parts[0].1.end()
    }

    /// The moments at which attention may change: its begin, the hours of the clock, its end.
    pub(crate) fn cuts(&self) -> impl Iterator<Item = Instant> {
        let cut = &self.parts[0].1;
        [cut.begin].into_iter().chain(cut.ends.iter().map(|(end, _)| *end))
    }

    /// P(it is over by `time`) for a kind of recipient.
    pub fn cdf(&self, kind: usize, time: Instant) -> f64 {
        self.parts.iter().map(|(weight, part)| weight * part.cdf(kind, time)).sum()
    }

    /// P(it ends within a millisecond of `time`): moments are rounded to the millisecond.
    pub fn around(&self, kind: usize, time: Instant) -> f64 {
        self.cdf(kind, time.plus(MILLISECOND)) - self.cdf(kind, time.plus(-MILLISECOND))
    }

    /// Where a moment lies in each of the parts.
    fn places(&self, time: Instant) -> Vec<Place> {
        self.parts.iter().map(|(_, part)| part.place(time)).collect()
    }

    /// P(it is over by a moment) for a kind of recipient, by the moment's places.
    fn before(&self, kind: usize, places: &[Place]) -> f64 {
        self.parts.iter().zip(places).map(|((weight, part), place)| weight * part.mass_before(kind, *place)).sum()
    }

    /// As [`around`](Self::around), for every kind of recipient.
    pub fn around_of_each(&self, time: Instant) -> Vec<f64> {
        let [later, earlier] = [MILLISECOND, -MILLISECOND].map(|by| self.places(time.plus(by)));
        self.kinds().map(|kind| self.before(kind, &later) - self.before(kind, &earlier)).collect()
    }

    /// As [`unsuppressed`](Self::unsuppressed), for every kind of recipient.
    pub fn unsuppressed_of_each(&self, time: Instant, history: &History) -> Vec<f64> {
        let now = self.places(time);
        let silent: Vec<_> = self.silent(time, history).map(|(from, to)| [self.places(from), self.places(to)]).collect();
        let silenced = |kind: usize| silent.iter().map(|[from, to]| self.before(kind, to) - self.before(kind, from)).sum::<f64>();
        self.kinds().map(|kind| self.before(kind, &now) - silenced(kind)).collect()
    }

    /// The kinds of recipient that it is of.
    fn kinds(&self) -> Range<usize> {
        let part = &self.parts[0].1;
        part.first_kind..part.first_kind + part.masses.len() / part.ends.len()
    }

    /// Spans up to `time` that a breaker of the history silences.
    fn silent<'h>(&self, time: Instant, history: &'h History) -> impl Iterator<Item = (Instant, Instant)> + 'h {
        let silent = history.suppressed_after(self.parts[0].1.begin).take_while(move |(from, _)| *from < time);
        silent.map(move |(from, to)| (from, to.min(time)))
    }

    /// P(it ended by `time` at a moment that no breaker of the history silences).
    pub fn unsuppressed(&self, kind: usize, time: Instant, history: &History) -> f64 {
        self.cdf(kind, time) - self.silenced(kind, time, history)
    }

    /// P(it ended by `time` at a moment that a breaker of the history silences).
    pub fn silenced(&self, kind: usize, time: Instant, history: &History) -> f64 {
        self.silent(time, history).map(|(from, to)| self.cdf(kind, to) - self.cdf(kind, from)).sum()
    }

    /// P(no breaker will silence it | what is known at `foresight.now`), for every kind of recipient that it is of.
    pub fn expected_unsuppressed(&self, foresight: &Foresight<'_>) -> Vec<f64> {
        let mut sums = Vec::new();
        for (weight, part) in &self.parts {
            let of_part = part.expected_unsuppressed(foresight);
            sums.resize(of_part.len(), 0.0);
            sums.iter_mut().zip(of_part).for_each(|(sum, of_part)| *sum += weight * of_part);
        }
        sums
    }
}

impl Cut<'_> {
    fn end(&self) -> Instant {
        self.ends[self.ends.len() - 1].0
    }

    fn cdf(&self, kind: usize, time: Instant) -> f64 {
        self.mass_before(kind, self.place(time))
    }

    /// Where a moment lies among the pieces.
    fn place(&self, time: Instant) -> Place {
        if time <= self.begin {
            return Place::Before;
        }
        if time >= self.end() {
            return Place::After;
        }
        let first = self.ends[0].0;
        let piece = if time < first { 0 } else { 1 + (time.since(first) / HOUR) as usize };
        let left = piece.checked_sub(1).map_or(1.0, |last| self.ends[last].1);
        Place::Within { piece, share: left - self.law.left(time.since(self.begin)) }
    }

    /// P(it is over by a place) for a kind of recipient.
    fn mass_before(&self, kind: usize, place: Place) -> f64 {
        let Place::Within { piece, share } = place else { return f64::from(u8::from(place == Place::After)) };
        let pieces = self.ends.len();
        let masses = &self.masses[(kind - self.first_kind) * pieces..][..pieces];
        let before = piece.checked_sub(1).map_or(0.0, |last| masses[last]);
        let attention = self.law.attention[kind][(self.first_hour + piece) % HOURS_OF_WEEK];
        (before + attention * share) / masses[pieces - 1]
    }

    fn expected_unsuppressed(&self, foresight: &Foresight<'_>) -> Vec<f64> {
        let pieces = self.ends.len();
        // The chance at the mean moment of a piece is the mean of the chance over the piece, because it falls linearly within an hour.
        let (mut start, mut left) = (self.begin, 1.0);
        let mut chances = Vec::with_capacity(pieces);
        for &(end, after) in &self.ends {
            // Of a piece in which a known breaker ends, what follows counts.
            let (from, from_left) = match foresight.silent_until {
                Some(until) if until > start => (until.min(end), self.law.left(until.min(end).since(self.begin))),
                _ => (start, left),
            };
            let share = if left > after { (from_left - after) / (left - after) } else { 0.0 };
            let chance = if share > 0.0 { share * foresight.unsuppressed_at(self.mean_moment(from, end)) } else { 0.0 };
            chances.push(chance);
            (start, left) = (end, after);
        }
        let kinds = self.masses.len() / pieces;
        let of_kind = |kind: usize| {
            let masses = &self.masses[kind * pieces..(kind + 1) * pieces];
            let mut before = 0.0;
            let mut unsuppressed = 0.0;
            for (mass, chance) in masses.iter().zip(&chances) {
                unsuppressed += (mass - before) * chance;
                before = *mass;
            }
            unsuppressed / before
        };
        (0..kinds).map(of_kind).collect()
    }

    /// The mean of an exponential law cut to `from..to`.
    fn mean_moment(&self, from: Instant, to: Instant) -> Instant {
        let length = to.since(from);
        from.plus(if length == HOUR { self.law.hour.1 } else { mean_offset(length, self.law.mean) } as i64)
    }
}

/// The mean of an exponential law cut to `length`, both in microseconds.
fn mean_offset(length: i64, mean: f64) -> f64 {
    let length = length as f64;
    let ratio = length / mean;
    // Below, the difference of the two terms has no digits left, and the middle is as good.
    if ratio < 1e-4 { length / 2.0 } else { mean - length / ratio.exp_m1() }
}

/// The law of circuit breakers to come.
#[derive(Clone, Debug)]
pub struct Breakers {
    /// Of a day of the calendar.
    probability: f64,
    /// Share and microseconds of each kind.
    kinds: Vec<(f64, i64)>,
    /// The share of a day's breakers that begin before a minute of the day, on the clock that they are by.
    before: Vec<f64>,
    window: Window,
}

/// What is known at a moment about circuit breakers to come.
#[derive(Clone, Copy, Debug)]
pub struct Foresight<'a> {
    /// `None` where there are no circuit breakers.
    law: Option<&'a Breakers>,
    now: Instant,
    /// How far the clock by which days are counted is ahead of UTC now, and what the clock that breakers are by shows as those days begin,
    /// microseconds.
    days_ahead: i64,
    turn: i64,
    /// Whether today's has been.
    today_is_over: bool,
    /// When those that are active end.
    silent_until: Option<Instant>,
}

impl Breakers {
    /// The law of a document; `None` where there are no circuit breakers.
    pub fn new(model: &EmailModel) -> Option<Self> {
        let occasion = model.occasions().find(|occasion| occasion.group == Group::Breaker)?;
        Some(Self {
            probability: occasion.probability,
            kinds: occasion.probabilities().map(|(kind, probability)| (probability / occasion.probability, kind.within)).collect(),
            before: model.calendar().by_minute(),
            window: Window { start: model.config().window.start, days: model.config().window.days },
        })
    }

    /// The share of a day's breakers that begin before a moment of that day, which begins when the clock that they are by shows `turn`.
    fn share_before(&self, since_midnight: i64, turn: i64) -> f64 {
        let shown = since_midnight + turn;
        if shown <= DAY {
            self.share_up_to(shown) - self.share_up_to(turn)
        } else {
            1.0 - self.share_up_to(turn) + self.share_up_to(shown - DAY)
        }
    }

    /// As [`share_before`](Self::share_before), of a day of that clock.
    fn share_up_to(&self, since_midnight: i64) -> f64 {
        let minutes = since_midnight as f64 / MINUTE as f64;
        let minute = (minutes as usize).min(MINUTES_OF_DAY - 1);
        self.before[minute] + (minutes - minute as f64) * (self.before[minute + 1] - self.before[minute])
    }
}

impl<'a> Foresight<'a> {
    /// What the history up to `now` tells of a recipient in a zone.
    pub fn new(law: Option<&'a Breakers>, model: &EmailModel, zone: u8, history: &History, now: Instant) -> Self {
        let on_days = |moment: Instant| model.on_days(zone, moment);
        let days_ahead = on_days(now).since(now);
        // One offset for everybody is in the law already.
        let turn = model.zones().map_or(0, |_| model.clock(zone).local(now).since(on_days(now)).rem_euclid(DAY));
        let begun = history.breakers.partition_point(|breaker| breaker.time <= now);
        let last = begun.checked_sub(1).map(|last| history.breakers[last]);
        Self {
            law,
            now,
            days_ahead,
            turn,
            today_is_over: last.is_some_and(|last| on_days(last.time).date() == on_days(now).date()),
            silent_until: last.map(|last| last.end).filter(|end| *end > now),
        }
    }

    /// P(no breaker that begins after now is active at `later`).
    fn unsuppressed_at(&self, later: Instant) -> f64 {
        let Some(law) = self.law else { return 1.0 };
        let (now, later) = (self.now.plus(self.days_ahead), later.plus(self.days_ahead));
        let share_before = |since_midnight: i64| law.share_before(since_midnight, self.turn);
        // Breakers of days before are over.
        let longest = law.kinds.iter().map(|(_, lasting)| *lasting).max().unwrap_or(0);
        let mut midnight = now.date().midnight().max(later.plus(-longest - DAY).date().midnight());
        let mut unsuppressed = 1.0;
        while midnight <= later {
            let is_today = midnight <= now;
            let outside = !law.window.contains(midnight) || (is_today && self.today_is_over);
            if !outside {
                let until = share_before(later.since(midnight).min(DAY));
                let active: f64 = law
                    .kinds
                    .iter()
                    .map(|&(share, lasting)| {
                        let from = later.plus(-lasting).max(now).since(midnight).clamp(0, DAY);
                        share * (until - share_before(from)).max(0.0)
                    })
                    .sum();
                let gone = if is_today { share_before(now.since(midnight)) } else { 0.0 };
                unsuppressed *= 1.0 - law.probability * active / (1.0 - law.probability * gone);
            }
            midnight = midnight.plus(DAY);
        }
        unsuppressed
    }
}
