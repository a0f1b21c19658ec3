//! What a policy decides for a recipient.

use super::super::actor::Walk;
use super::super::calendar::MILLISECOND;
use super::super::policy::scheduled;
use super::super::rows::{Event, Truth, Uuid};
use super::{Arm, Base, Caps, Decider, Decision, NotSent, Slots};
use crate::scenario::Observer;
use crate::stream::{Purpose, Words, unit};
use crate::time::{DAY, Instant};

/// By message: the slot, whether to skip or to explore, the moment within the slot and the id.
pub(super) const POLICY: Purpose = Purpose::new(13);
/// By name of a share of recipients, or of an experiment: whether a recipient is of it, or which variant it has.
pub(in super::super) const ASSIGN: Purpose = Purpose::new(12);

/// The ordinal of a name: FNV-1a.
pub(in super::super) const fn ordinal_of(name: &str) -> u64 {
    let (mut hash, mut place) = (0xCBF2_9CE4_8422_2325, 0);
    while place < name.len() {
        hash = (hash ^ name.as_bytes()[place] as u64).wrapping_mul(0x0100_0000_01B3);
        place += 1;
    }
    hash
}

const HOLDOUT: u64 = ordinal_of("policy.holdout");
const EXPLORE: u64 = ordinal_of("policy.explore");

impl<O: Observer<Event, Truth>> Walk<'_, O> {
    /// Decides on the messages whose window begins on a day, and drafts those that go out on it.
    pub(in super::super) fn decide(&mut self, decider: &Decider, day: u32) {
        match &decider.base {
            Base::Schedule(rows) => {
                let rows = rows.as_ref().filter(|_| day == 0);
                if let Some(rows) = rows {
                    self.follow(decider, rows.as_ref());
                }
            }
            _ => {
                for due in decider.due_on(day, self.model.window) {
                    for place in 0..u64::from(self.scratch.sends_per_day[due as usize]) {
                        self.decide_on(decider, due, place);
                    }
                }
            }
        }
        let end = self.days.midnight(day + 1);
        let (waiting, drafts) = (&mut self.scratch.waiting, &mut self.scratch.drafts);
        waiting.retain(|draft| {
            let is_later = draft.time >= end;
            if !is_later {
                drafts.push(*draft);
            }
            is_later
        });
    }

    fn decide_on(&mut self, decider: &Decider, due: u32, place: u64) {
        let window = self.model.window;
        let date = window.start.plus(due as i32);
        let ordinal = scheduled(u64::from(due), place);
        let words = self.key.purpose(POLICY).ordinal(ordinal).words();
        let sending = self.key.purpose(super::super::actor::SEND).ordinal(ordinal).words();
        let midnight = self.days.midnight(due);
        let time = self.days.moment(due, self.model.policy.of_day(sending.word::<0>()));
        let mut draft = self.model.policy.scheduled(time, ordinal, &sending);
        let begin = decider.begin(&self.person, midnight, draft.time);
        let (allowed, limited) = self.allowed(decider, begin);
        let is_of = |name: u64| unit(self.key.purpose(ASSIGN).ordinal(name).words().word::<0>());
        let is_held_out = decider.holdout > 0.0 && is_of(HOLDOUT) < decider.holdout;
        let explores = decider.is_explored_by_user.then(|| is_of(EXPLORE) < decider.explore);
        let of_arm = match explores {
            _ if is_held_out => decider.holdout,
            Some(true) => (1.0 - decider.holdout) * decider.explore,
            Some(false) => (1.0 - decider.holdout) * (1.0 - decider.explore),
            None => 1.0 - decider.holdout,
        };
        let value = |action: usize| decider.value(&self.person, decider.slot(&self.person, begin, action)[0]);
        let each = || (0..decider.slots).filter(|action| allowed.has(*action));
        let best = each().reduce(|best, action| if value(action) > value(best) { action } else { best });
        let [first, last] = [0, window.days].map(|day| self.days.midnight(day));
        let mut decision = Decision {
            id: Uuid::v7(begin, words.word::<3>(), words.word::<2>()),
            due: date,
            window: [begin.max(first), decider.end(&self.person, begin).min(last)],
            arm: if is_held_out { Arm::Holdout } else { Arm::Base },
            arm_propensity: of_arm,
            action: None,
            allowed,
            propensity: 1.0,
            campaign: draft.campaign,
            message_id: None,
            exposure: 0,
            reason: None,
            recent_sends: None,
            suppressed: None,
            value: None,
            best: best.map(|action| (action as u16, value(action))),
            random: (!allowed.is_empty()).then(|| each().map(value).sum::<f64>() / allowed.len() as f64),
        };
        if is_held_out {
            decision.reason = Some(NotSent::Holdout);
        } else if allowed.is_empty() {
            decision.reason = Some(if limited { NotSent::Cap } else { NotSent::NoSlot });
        } else if decider.skip > 0.0 && unit(words.word::<1>()) < decider.skip {
            (decision.arm, decision.propensity, decision.reason) = (Arm::Skip, decider.skip, Some(NotSent::Skip));
        } else {
            let shares = decider.own(&self.person, self.actor.0, begin, &allowed);
            let action;
            if decider.is_plain {
                action = decider.action_of(&self.person, draft.time);
                decision.propensity = shares[action];
            } else {
                (decision.arm, action, decision.propensity) = decider.pick(&shares, &allowed, explores, &words);
                let [from, until] = decider.slot(&self.person, begin, action);
                draft.time = from.plus(within(until.since(from), &words));
            }
            decision.value = Some(value(action));
            decision.action = Some(action as u16);
            draft.decision = Some(self.scratch.decisions.len() as u32);
            if decider.caps.look_back() {
                self.scratch.chosen.push(draft.time);
            }
            self.scratch.waiting.push(draft);
        }
        self.scratch.decisions.push(decision);
    }

    /// The slots that are allowed in a window from `begin` on, and whether a cap on the number of messages took some away.
    fn allowed(&mut self, decider: &Decider, begin: Instant) -> (Slots, bool) {
        let (mut allowed, mut limited) = (Slots::default(), false);
        let [first, last] = [0, self.model.window.days].map(|day| self.days.midnight(day));
        let clocks = &decider.clocks;
        let zone = self.person.zone.zone;
        let Caps { per_day, per_week, quiet, gap } = decider.caps;
        let look_back = decider.caps.look_back();
        if look_back {
            // Nothing looks further back than a week.
            self.scratch.chosen.retain(|sent| sent.plus(8 * DAY) > begin);
        }
        let triggers = self.scratch.hot_paths.iter().filter_map(|path| path.trigger).filter(|_| look_back);
        let others: Vec<Instant> = self.scratch.chosen.iter().copied().chain(triggers).collect();
        for action in 0..decider.slots {
            let [from, until] = decider.slot(&self.person, begin, action);
            let is_inside = from >= first && until <= last && from < until;
            let is_quiet = quiet.is_some_and(|(first, length)| {
                let of_day = clocks.wall(zone, from).rem_euclid(DAY);
                let since = (of_day - first).rem_euclid(DAY);
                since < length || (since + decider.length) > DAY
            });
            let is_near = gap.is_some_and(|gap| others.iter().any(|sent| sent.plus(gap) > from && until.plus(gap) > *sent));
            if !is_inside || is_quiet || is_near {
                continue;
            }
            let day = |moment: Instant| clocks.wall(zone, moment).div_euclid(DAY);
            let on_day = || others.iter().filter(|sent| day(**sent) == day(from)).count();
            let in_week = || others.iter().filter(|sent| **sent < until && sent.plus(7 * DAY) > from).count();
            if per_day.is_some_and(|most| on_day() >= most) || per_week.is_some_and(|most| in_week() >= most) {
                limited = true;
                continue;
            }
            allowed.insert(action);
        }
        (allowed, limited)
    }
}

/// The moment within a slot, to the millisecond.
fn within(length: i64, words: &Words) -> i64 {
    (unit(words.word::<2>()) * (length / MILLISECOND) as f64) as i64 * MILLISECOND
}
