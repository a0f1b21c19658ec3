//! What a recipient's messages tell whose client opens ahead.

use super::delay::microseconds;
use super::filter::Open;
use super::history::History;
use super::law::Law;
use populace_core::email::{MachineOpens, Person};
use populace_core::time::{DAY, Instant, MINUTE};

/// Moments are rounded to the millisecond.
const MILLISECOND: i64 = 1_000;
/// Places and weights of Gauss and Legendre's rule of three nodes on [0, 1].
const NODES: [(f64, f64); 3] = [(0.112_701_665_379_258_3, 5.0 / 18.0), (0.5, 8.0 / 18.0), (0.887_298_334_620_741_7, 5.0 / 18.0)];

/// What a message tells of a recipient whose client opens ahead: its one row is at the fetch or at the recipient's own open, whichever is
/// earlier. With p and F the probability and the distribution of the open, f its density, q, C and c those of the fetch, and K that of a
/// click after an open, decided for with k, a row at s says p f(s) (1 − q C(s)) + q c(s) (1 − p F(s)); no row by now (1 − q C) (1 − p F);
/// a click, and none by now, that the recipient opened at s, or at some moment after it.
pub(super) struct Machine<'a> {
    pub(super) law: &'a Law<'a>,
    pub(super) history: &'a History,
    pub(super) client: &'a MachineOpens,
    /// Where the recipient is.
    pub(super) zone: u8,
}

impl Machine<'_> {
    /// What a message tells by `now`: for each of some people, of whom P(open) is known, a and b where it is a + b P(click | open); and
    /// whether that is all.
    pub(super) fn evidence<'p>(&self, open: &Open<'_>, people: impl Iterator<Item = &'p Person>, now: Instant) -> (Vec<[f64; 2]>, bool) {
        let message = open.message;
        if message.opened.is_some_and(|opened| opened < now) {
            return (vec![[0.0; 2]; open.p.len()], true);
        }
        let habits = 0..self.law.model().habits().len();
        let delivered = message.delivered.unwrap_or(message.sent);
        let fetched = |by: Instant| self.client.probability * self.fetched_by(delivered, by);
        let opened = |by: Instant| open.delay.unsuppressed_of_each(by, self.history);
        let people = people.map(|person| usize::from(person.habit)).zip(&open.p);
        let Some(shown) = message.machine_opened.filter(|shown| *shown < now) else {
            let (fetched, opened) = (fetched(now), opened(now));
            let none = |(habit, p): (usize, &f64)| [(1.0 - fetched) * (1.0 - p * opened[habit]), 0.0];
            // The night after a delivery ends within two days of it.
            return (people.map(none).collect(), now > open.delay.end().max(delivered.plus(2 * DAY)));
        };
        let clicks = microseconds(self.law.config().click_delays.max_minutes) + MINUTE;
        let is_over = now > open.delay.end().plus(clicks);
        let clicked = message.clicked.filter(|clicked| *clicked < now);
        let until = clicked.unwrap_or(now).min(open.delay.end());
        let after = if let Some(clicked) = clicked {
            // A click follows its open soon.
            let from = shown.max(clicked.plus(-clicks));
            self.pieces(open, from, until, |_, _| false, |at| self.law.click_delay(at).around(0, clicked))
        } else {
            let is_sure = |from: Instant, to: Instant| to.plus(clicks) < now && !self.is_silent_within(from, to.plus(clicks));
            self.pieces(open, shown, until, is_sure, |at| self.law.click_delay(at).unsuppressed(0, now, self.history))
        };
        let at_once = match clicked {
            Some(clicked) => self.law.click_delay(shown).around(0, clicked),
            None => self.law.click_delay(shown).unsuppressed(0, now, self.history),
        };
        let before = opened(shown);
        let of_habit = |habit: usize| {
            let later = after.iter().map(|(from, to, mean)| mean * self.mass(open, habit, *from, *to)).sum::<f64>();
            (self.row(open, habit, shown), later)
        };
        let of_habits: Vec<([f64; 2], f64)> = habits.clone().map(of_habit).collect();
        let tells = |(habit, p): (usize, &f64)| {
            let ([human, ahead], later) = of_habits[habit];
            // Of the fetch, the part without an open before is left out in `ahead`.
            let clicks = p * human * at_once + ahead * p * later;
            match clicked {
                Some(_) => [0.0, clicks],
                None => [p * human + ahead * (1.0 - p * before[habit]), -clicks],
            }
        };
        (people.map(tells).collect(), is_over)
    }

    /// P(a row within a millisecond of `shown` that is the recipient's own | an open is decided for), and P(a fetch there), which has a row
    /// unless an open was before it.
    fn row(&self, open: &Open<'_>, habit: usize, shown: Instant) -> [f64; 2] {
        let delivered = open.message.delivered.unwrap_or(open.message.sent);
        let q = self.client.probability;
        let decided = if self.history.suppressed_at(shown) { 0.0 } else { 1.0 };
        let human = decided * open.delay.around(habit, shown) * (1.0 - q * self.fetched_by(delivered, shown));
        let around = self.fetched_by(delivered, shown.plus(MILLISECOND)) - self.fetched_by(delivered, shown.plus(-MILLISECOND));
        [human, q * around]
    }

    /// P(a row at `shown` is a machine's) of somebody with a habit who opens with probability `p`, times what the row tells; and what it
    /// tells.
    pub(super) fn share(&self, open: &Open<'_>, habit: usize, p: f64, shown: Instant) -> (f64, f64) {
        let [human, ahead] = self.row(open, habit, shown);
        let ahead = ahead * (1.0 - p * open.delay.unsuppressed(habit, shown, self.history));
        (ahead, p * human + ahead)
    }

    fn fetched_by(&self, delivered: Instant, by: Instant) -> f64 {
        let minutes = by.0.saturating_sub(delivered.0) as f64 / MINUTE as f64;
        if minutes <= 0.0 { 0.0 } else { self.client.cdf(self.law.model().clock(self.zone).local(delivered), minutes) }
    }

    /// P(the open falls into a stretch of time and is not silenced).
    fn mass(&self, open: &Open<'_>, habit: usize, from: Instant, to: Instant) -> f64 {
        open.delay.unsuppressed(habit, to, self.history) - open.delay.unsuppressed(habit, from, self.history)
    }

    fn is_silent_within(&self, from: Instant, to: Instant) -> bool {
        self.history.suppressed_after(from).next().is_some_and(|(begin, _)| begin < to)
    }

    /// The stretches of `from..to` within which everybody's attention is constant and no breaker begins or ends, with the mean of a
    /// function over each; those where it is surely 1 are joined.
    fn pieces(
        &self,
        open: &Open<'_>,
        from: Instant,
        to: Instant,
        is_sure: impl Fn(Instant, Instant) -> bool,
        of: impl Fn(Instant) -> f64,
    ) -> Vec<(Instant, Instant, f64)> {
        let mut cuts: Vec<Instant> = open.delay.cuts().filter(|cut| *cut > from && *cut < to).collect();
        let silent = self.history.suppressed_after(from).take_while(|(begin, _)| *begin < to);
        cuts.extend(silent.flat_map(|(begin, end)| [begin, end]).filter(|cut| *cut > from && *cut < to));
        cuts.extend([from, to]);
        cuts.sort_unstable();
        let mut pieces: Vec<(Instant, Instant, f64)> = Vec::new();
        for pair in cuts.windows(2).filter(|pair| pair[0] < pair[1]) {
            let length = pair[1].since(pair[0]);
            let at = |share: f64| pair[0].plus((share * length as f64) as i64);
            let sure = is_sure(pair[0], pair[1]);
            match pieces.last_mut() {
                Some((_, end, mean)) if sure && *mean == 1.0 => *end = pair[1],
                _ if sure => pieces.push((pair[0], pair[1], 1.0)),
                _ => pieces.push((pair[0], pair[1], NODES.iter().map(|(place, weight)| weight * of(at(*place))).sum())),
            }
        }
        pieces
    }
}
