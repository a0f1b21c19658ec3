//! One-step values: what a slot would have been worth to a decision of the log, all other decisions being as they were.
//!
//! A one-step estimate from a log is one of this: E r over the states that the log's policy led to and the target's actions. The value of
//! a slot is E over four moments of it of P(open | a message that goes out then), with the sends that the log has before it.

use super::value::Seen;
use crate::policy::Reward;
use populace_core::email::{Arm, Circumstances, Decider, Decision, EmailModel, Event, Experiment, ExperimentUnit, Exposed, Group, Person};
use populace_core::scenario::Scenario;
use populace_core::stream::{ActorId, StreamKey};
use populace_core::time::{DAY, Instant, MINUTE};

/// Moments of a slot.
const MOMENTS: i64 = 4;

/// A user of the log.
pub(super) struct World<'a> {
    pub(super) model: &'a EmailModel,
    pub(super) seen: &'a Seen,
    pub(super) person: Person,
    pub(super) actor: u64,
    pub(super) silent: Vec<(Instant, Instant)>,
    /// When messages went out, in order.
    sends: Vec<Instant>,
    /// By experiment, the variant that the user has.
    dealt: Vec<u8>,
}

impl<'a> World<'a> {
    pub(super) fn new(model: &'a EmailModel, key: StreamKey, actor: u64, seen: &'a Seen) -> Self {
        let mut sends: Vec<Instant> = seen.sent.values().copied().collect();
        sends.sort_unstable();
        let dealt = model.effects().experiments().map_or_else(Vec::new, |own| own.dealt(&key.actor(ActorId(actor))));
        Self { model, seen, person: model.person_of(key, ActorId(actor)), actor, silent: seen.silent(model), sends, dealt }
    }

    /// By policy, the sum over the log's decisions of the expected reward of what it would do; and how many these are.
    pub(super) fn sums(&self, log: &Decider, policies: &[Option<&Decider>], reward: Reward) -> (Vec<f64>, f64) {
        let (mut sums, mut n) = (vec![0.0; policies.len()], 0.0);
        for decision in self.seen.decided.iter().filter(|decision| decision.arm != Arm::Holdout) {
            n += 1.0;
            let begin = decision.window[0];
            let each = || (0..log.slots()).filter(|action| decision.allowed.has(*action));
            let values: Vec<(usize, f64)> = each().map(|action| (action, self.worth(log, decision, action, reward))).collect();
            for (sum, policy) in sums.iter_mut().zip(policies) {
                let Some(policy) = policy else { continue };
                let (shares, _) = policy.distribution(&self.person, self.actor, begin, &decision.allowed);
                *sum += values.iter().map(|(action, value)| shares[*action] * value).sum::<f64>();
            }
        }
        (sums, n)
    }

    /// E reward of a message that goes out in a slot, in the place of the one that was decided on.
    fn worth(&self, log: &Decider, decision: &Decision, action: usize, reward: Reward) -> f64 {
        let own = decision.message_id.and_then(|id| self.seen.sent.get(&id)).copied();
        let [from, until] = log.slot(&self.person, decision.window[0], action);
        let step = until.since(from) / MOMENTS;
        let by_clock = log.value(&self.person, from);
        let mut sum = 0.0;
        for part in 0..MOMENTS {
            let at = from.plus(part * step + step / 2);
            if self.model.suppresses_sends() && self.is_silent(at) {
                continue;
            }
            let circumstances = Circumstances { exposed: self.exposed(decision, at), ..self.circumstances(at, own) };
            let open = if circumstances.suppressed { 0.0 } else { by_clock * self.others(&circumstances) };
            let click = (self.person.click_rate / self.person.open_rate * self.model.effects().click_factor(&circumstances)).min(1.0);
            let heard = |within: f64| super::value::heard(self.model, &self.person, at, &self.silent, within);
            let any = open.min(self.model.config().engagement.max_probability) * self.model.delivered_share();
            let of = reward.open * any * heard(reward.within_minutes.unwrap_or(f64::INFINITY))
                + if reward.click == 0.0 { 0.0 } else { reward.click * any * heard(f64::INFINITY) * click };
            sum += of + reward.send;
        }
        sum / MOMENTS as f64
    }

    /// The factors that do not depend on the clock alone, and how far the rate has drifted.
    fn others(&self, at: &Circumstances) -> f64 {
        let effects = self.model.effects();
        let drifted = self.seen.rates.iter().rev().find(|(month, _)| self.model.clock(self.person.zone.zone).local(*month) <= at.clock);
        let drift = drifted.map_or(1.0, |(_, [rate, _])| rate / self.person.open_rate);
        let all: f64 = effects.factors(at).iter().product();
        let of_clock = effects.by_clock(1.0, &self.person, at.clock, at.ahead);
        if of_clock > 0.0 { drift * all / of_clock } else { 0.0 }
    }

    /// The rates of opens and clicks of a message that is delivered at a moment.
    pub(super) fn rates_at(&self, delivered: Instant) -> [f64; 2] {
        let of_month = self.seen.rates.iter().rev().find(|(month, _)| *month <= delivered);
        of_month.map_or([self.person.open_rate, self.person.click_rate], |(_, rates)| *rates)
    }

    fn circumstances(&self, at: Instant, own: Option<Instant>) -> Circumstances {
        self.circumstances_of(at, at, own)
    }

    /// Those of a message that goes out at one moment, and whose open is decided at another.
    pub(super) fn circumstances_of(&self, sent: Instant, decided: Instant, own: Option<Instant>) -> Circumstances {
        let clock = self.model.clock(self.person.zone.zone);
        let effects = self.model.effects();
        let recent = effects.looks_back().map_or(0, |looks_back| {
            let within = |send: Instant| send < sent && send.plus(looks_back) >= sent;
            let first = self.sends.partition_point(|send| send.plus(looks_back) < sent);
            let last = self.sends.partition_point(|send| *send < sent);
            (last.max(first) - first) as u32 - u32::from(own.is_some_and(within))
        });
        let since_interest = effects.interest().and_then(|interest| {
            let latest = self.seen.interests.iter().rev().find(|path| **path <= decided)?;
            let since = decided.since(*latest);
            (since < interest.lasts).then_some(since as f64 / MINUTE as f64)
        });
        Circumstances {
            person: self.person,
            clock: clock.local(decided),
            ahead: clock.ahead(decided),
            recent_sends: recent,
            since_interest,
            suppressed: self.is_silent(decided),
            exposed: Exposed::default(),
        }
    }

    /// The variants of a message that goes out at a moment. Where they are dealt to messages, one that did not go out has `control`.
    pub(super) fn exposed(&self, decision: &Decision, at: Instant) -> Exposed {
        let Some(experiments) = self.model.effects().experiments() else { return Exposed::default() };
        let logged = &experiments.exposures()[usize::from(decision.exposure)].variants;
        let variant = |place: usize, of: &Experiment| match of.unit {
            ExperimentUnit::User => usize::from(self.dealt[place]),
            ExperimentUnit::Message => {
                logged.iter().find(|(own, _)| usize::from(*own) == place).map_or(of.control(), |(_, variant)| usize::from(*variant))
            }
        };
        let zone = self.person.zone.zone;
        let day = self.model.day_of(zone, at);
        let since = self.model.on_days(zone, at).since(self.model.window().begin());
        Exposed {
            exposure: day.map_or(0, |day| experiments.exposure(usize::from(decision.campaign), day, variant)),
            day: since as f64 / DAY as f64,
        }
    }

    pub(super) fn is_silent(&self, at: Instant) -> bool {
        self.silent.iter().any(|(begin, end)| *begin <= at && at < *end)
    }
}

/// Whether a row is a hot path.
pub(super) fn is_interest(row: &Event) -> bool {
    row.message_id.is_none() && row.event_type.group() == Group::HotPath
}
