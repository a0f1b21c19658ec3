//! A schedule of the user's own: which of its rows is which of the messages that are due.

use super::super::actor::{SEND, Walk};
use super::super::policy::scheduled;
use super::super::rows::{Event, Truth, Uuid};
use super::draw::POLICY;
use super::{Arm, Decider, Decision, NotSent, Slots};
use crate::scenario::Observer;
use crate::time::Instant;
use core::fmt::Debug;
use std::collections::HashMap;

/// A row of a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    /// When the message goes out, to the millisecond.
    pub time: Instant,
    /// The decision that it is of, if the row says so.
    pub decision: Option<Uuid>,
    /// Its campaign, an index into [`EmailModel::campaigns`](super::super::EmailModel::campaigns), if the row says so.
    pub campaign: Option<u8>,
    /// Its subject, an index into [`EmailModel::subjects`](super::super::EmailModel::subjects) and one of its campaign's, if the row says so.
    pub subject: Option<u16>,
}

/// The rows of a schedule, by actor.
pub trait Schedule: Debug + Send + Sync {
    /// Adds an actor's rows in the order of time, those of equal time in the order of the schedule; all of them lie in the window.
    fn rows(&self, actor: u64, into: &mut Vec<Planned>);
}

/// A message that is due.
#[derive(Clone, Copy)]
struct Due {
    id: Uuid,
    day: u32,
    place: u64,
    /// When it would go out by `sends`.
    time: Instant,
}

/// A message of a schedule: its day and place, the message that was due under that name, and its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Paired {
    day: u32,
    place: u64,
    row: Option<usize>,
}

/// Pairs rows, in the order of time, with what is due: by the decision that a row names; else what would go out at the very moment; else,
/// of each day, the rest in the order of time. Rows beyond those that were due have the places after theirs.
fn pair(rows: &[Planned], day_of: impl Fn(Instant) -> u32, due: &[Due]) -> Vec<Paired> {
    let mut row_of: Vec<Option<usize>> = vec![None; due.len()];
    let mut is_paired = vec![false; rows.len()];
    let by_id: HashMap<Uuid, usize> = due.iter().enumerate().map(|(place, due)| (due.id, place)).collect();
    for (row, planned) in rows.iter().enumerate() {
        if let Some(place) = planned.decision.and_then(|id| by_id.get(&id)).copied()
            && row_of[place].is_none()
        {
            (row_of[place], is_paired[row]) = (Some(row), true);
        }
    }
    let mut in_time: Vec<usize> = (0..due.len()).collect();
    in_time.sort_by_key(|place| due[*place].time);
    for (row, planned) in rows.iter().enumerate().filter(|(_, planned)| planned.decision.is_none()) {
        let first = in_time.partition_point(|place| due[*place].time < planned.time);
        let mut same = in_time[first..].iter().copied().take_while(|place| due[*place].time == planned.time);
        if let Some(place) = same.find(|place| row_of[*place].is_none()) {
            (row_of[place], is_paired[row]) = (Some(row), true);
        }
    }
    let mut paired: Vec<Paired> = Vec::with_capacity(due.len().max(rows.len()));
    in_time.sort_by_key(|place| due[*place].day);
    let left = (0..rows.len()).filter(|row| !is_paired[*row]).map(|row| (day_of(rows[row].time), row));
    let mut counts: HashMap<u32, u64> = HashMap::new();
    for due in due {
        *counts.entry(due.day).or_default() += 1;
    }
    let mut open = in_time.iter().copied().filter(|place| row_of[*place].is_none()).collect::<Vec<_>>().into_iter().peekable();
    for (day, row) in left {
        while open.next_if(|place| due[*place].day < day).is_some() {}
        if let Some(place) = open.next_if(|place| due[*place].day == day) {
            row_of[place] = Some(row);
        } else {
            let count = counts.entry(day).or_default();
            paired.push(Paired { day, place: *count, row: Some(row) });
            *count += 1;
        }
    }
    paired.extend(due.iter().zip(&row_of).map(|(due, row)| Paired { day: due.day, place: due.place, row: *row }));
    paired.sort_unstable_by_key(|paired| (paired.day, paired.place));
    paired
}

impl<O: Observer<Event, Truth>> Walk<'_, O> {
    /// Drafts all that a schedule has for the recipient.
    pub(super) fn follow(&mut self, decider: &Decider, schedule: &dyn Schedule) {
        let window = self.model.window;
        let mut rows = Vec::new();
        schedule.rows(self.actor.0, &mut rows);
        if self.model.effects.triggered().is_some() {
            // What a hot path triggers goes out in any case, and a log of sends has it, too.
            let triggers: Vec<Instant> = self.scratch.hot_paths.iter().filter_map(|path| path.trigger).collect();
            rows.retain(|row| row.decision.is_some() || !triggers.contains(&row.time));
        }
        let mut due = Vec::new();
        for day in 0..window.days {
            for place in 0..u64::from(self.scratch.sends_per_day[day as usize]) {
                let (id, time, _) = self.due(decider, day, place);
                due.push(Due { id, day, place, time });
            }
        }
        let (model, zone) = (self.model, self.person.zone.zone);
        let day_of = |time: Instant| model.day_of(zone, time).unwrap_or(window.days - 1);
        for Paired { day, place, row } in pair(&rows, day_of, &due) {
            self.plan(decider, day, place, row.map(|row| rows[row]));
        }
    }

    /// The decision's id, when the message would go out by `sends`, and when the window of the decision begins.
    fn due(&self, decider: &Decider, day: u32, place: u64) -> (Uuid, Instant, Instant) {
        let midnight = self.days.midnight(day);
        let ordinal = scheduled(u64::from(day), place);
        let words = self.key.purpose(POLICY).ordinal(ordinal).words();
        let time = self.days.moment(day, self.model.policy.of_day(self.key.purpose(SEND).ordinal(ordinal).words().word::<0>()));
        let begin = decider.begin(&self.person, midnight, time);
        (Uuid::v7(begin, words.word::<3>(), words.word::<2>()), time, begin)
    }

    /// Drafts a message as its row says; without one, it is left out.
    fn plan(&mut self, decider: &Decider, day: u32, place: u64, row: Option<Planned>) {
        let window = self.model.window;
        let ordinal = scheduled(u64::from(day), place);
        let (id, time, begin) = self.due(decider, day, place);
        let sending = self.key.purpose(SEND).ordinal(ordinal).words();
        let mut draft = self.model.policy.scheduled(row.map_or(time, |row| row.time), ordinal, &sending);
        if let Some(campaign) = row.and_then(|row| row.campaign) {
            draft.campaign = campaign;
            draft.subject = self.model.policy.campaigns.list[usize::from(campaign)].subject(sending.word::<3>());
        }
        if let Some(subject) = row.and_then(|row| row.subject) {
            draft.subject = subject;
        }
        let [first, last] = [0, window.days].map(|day| self.days.midnight(day));
        let mut bounds = [begin.max(first), decider.end(&self.person, begin).min(last)];
        if row.is_some_and(|_| draft.time < bounds[0] || draft.time >= bounds[1]) {
            // A row that names its decision may take it out of its window, which is then that much wider.
            let day = self.model.day_of(self.person.zone.zone, draft.time).unwrap_or(day);
            bounds = [bounds[0].min(self.days.midnight(day)), bounds[1].max(self.days.midnight(day + 1))];
        }
        let value = |action: usize| decider.value(&self.person, decider.slot(&self.person, begin, action)[0]);
        let mut allowed = Slots::default();
        (0..decider.slots).for_each(|action| allowed.insert(action));
        let best = (0..decider.slots).reduce(|best, action| if value(action) > value(best) { action } else { best });
        let random = (0..decider.slots).map(value).sum::<f64>() / decider.slots as f64;
        self.scratch.decisions.push(Decision {
            id,
            due: window.start.plus(day as i32),
            window: bounds,
            arm: Arm::Base,
            arm_propensity: 1.0,
            action: row.map(|_| decider.action_of(&self.person, draft.time) as u16),
            allowed,
            propensity: 1.0,
            campaign: draft.campaign,
            message_id: None,
            exposure: 0,
            reason: row.is_none().then_some(NotSent::Skip),
            recent_sends: None,
            suppressed: None,
            value: row.map(|_| decider.value(&self.person, draft.time)),
            best: best.map(|action| (action as u16, value(action))),
            random: Some(random),
        });
        if row.is_some() {
            draft.decision = Some(self.scratch.decisions.len() as u32 - 1);
            self.scratch.waiting.push(draft);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::DAY;

    const HOUR: i64 = DAY / 24;

    fn due(day: u32, place: u64, hour: i64) -> Due {
        let time = Instant(i64::from(day) * DAY + hour * HOUR);
        Due { id: Uuid::v7(time, u64::from(day) * 100 + place, 0), day, place, time }
    }

    fn row(day: i64, hour: i64) -> Planned {
        Planned { time: Instant(day * DAY + hour * HOUR), decision: None, campaign: None, subject: None }
    }

    fn paired(rows: &[Planned], due: &[Due]) -> Vec<(u32, u64, Option<usize>)> {
        let day_of = |time: Instant| (time.0 / DAY) as u32;
        pair(rows, day_of, due).into_iter().map(|of| (of.day, of.place, of.row)).collect()
    }

    #[test]
    fn as_many_rows_as_are_due_pair_in_the_order_of_time_with_their_places() {
        // The first place is the later one.
        let all = [due(0, 0, 18), due(0, 1, 7), due(1, 0, 9)];
        assert_eq!(paired(&[row(0, 1), row(0, 2), row(1, 3)], &all), [(0, 0, Some(1)), (0, 1, Some(0)), (1, 0, Some(2))]);
    }

    #[test]
    fn more_rows_have_new_places_and_fewer_leave_messages_out() {
        let all = [due(0, 0, 18), due(1, 0, 9), due(1, 1, 10)];
        let rows = [row(0, 1), row(0, 2), row(0, 3), row(1, 4), row(2, 5)];
        let expected = [(0, 0, Some(0)), (0, 1, Some(1)), (0, 2, Some(2)), (1, 0, Some(3)), (1, 1, None), (2, 0, Some(4))];
        assert_eq!(paired(&rows, &all), expected);
    }

    #[test]
    fn a_decision_that_is_named_and_the_very_moment_come_before_the_order() {
        let all = [due(0, 0, 8), due(0, 1, 12), due(0, 2, 16), due(3, 0, 9)];
        // One was left out of the log, and the other three are found at their moments.
        assert_eq!(paired(&[row(0, 12), row(0, 16)], &all[..3]), [(0, 0, None), (0, 1, Some(0)), (0, 2, Some(1))]);
        let named = Planned { decision: Some(all[3].id), ..row(0, 1) };
        assert_eq!(paired(&[named, row(0, 16)], &all), [(0, 0, None), (0, 1, None), (0, 2, Some(1)), (3, 0, Some(0))]);
    }
}
