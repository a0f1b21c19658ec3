//! What policies are worth: all are replayed on the same people, who are the units.

use super::moments::Moments;
use super::one_step::{World, is_interest};
use crate::error::AnalysisError;
use crate::policy::{Candidate, Difference, Measured, OneStep, PolicyValue, Reward, Valuation, Values};
use crate::watch::Watch;
use populace_core::email::{Arm, Decision, EmailModel, Event, EventType, Group, MessageTruth, Person, Truth, Uuid};
use populace_core::scenario::{Observer, Scenario};
use populace_core::stream::{ActorId, StreamKey};
use populace_core::time::{DAY, Instant, MINUTE};
use populace_io::catalogue;
use populace_io::error::RunError;
use populace_io::tables::email::with_slots;
use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Users that a thread takes at once: what is summed does not depend on how many threads there are.
const USERS: u64 = 256;
/// The numbers of a user under a policy: rewards of all messages, messages, rewards of what was decided on, decisions, discounted rewards,
/// and of users whom neither it nor the first policy holds out: rewards of what was decided on, decisions, the first policy's rewards
/// with its own decisions taken by this policy one at a time, and how many these are; and rewards of what was decided on by rows, where
/// machines open too.
pub(super) const NUMBERS: usize = 10;

/// What is summed.
#[derive(Clone, Copy)]
pub(super) struct Terms {
    pub(super) reward: Reward,
    /// Whether probabilities are summed, not what happened.
    pub(super) expected: bool,
    /// Decisions on earlier windows do not count.
    pub(super) from: Instant,
    /// What a reward a day later is worth.
    pub(super) discount: f64,
    /// Whether one-step values are worked out.
    pub(super) one_step: bool,
}

/// What happens to one user.
pub(super) struct Seen {
    from: Instant,
    pub(super) sent: HashMap<Uuid, Instant>,
    pub(super) delivered: HashMap<Uuid, Instant>,
    opened: HashMap<Uuid, Instant>,
    pub(super) opened_rows: HashMap<Uuid, Instant>,
    pub(super) clicked: HashSet<Uuid>,
    pub(super) unsubscribed: HashSet<Uuid>,
    pub(super) reported: HashSet<Uuid>,
    breakers: Vec<(Instant, EventType)>,
    pub(super) interests: Vec<Instant>,
    /// Of opens and clicks, by month.
    pub(super) rates: Vec<(Instant, [f64; 2])>,
    messages: Vec<MessageTruth>,
    pub(super) decided: Vec<Decision>,
}

impl Observer<Event, Truth> for Seen {
    fn emit(&mut self, row: Event) {
        match (row.event_type, row.message_id) {
            (EventType::Sent, Some(id)) => {
                self.sent.insert(id, row.time);
            }
            (EventType::Delivered, Some(id)) => {
                self.delivered.insert(id, row.time);
            }
            (EventType::Opened, Some(id)) => {
                self.opened_rows.entry(id).or_insert(row.time);
            }
            (EventType::SpamReported, Some(id)) => {
                self.reported.insert(id);
            }
            (EventType::Unsubscribed, Some(id)) => {
                self.unsubscribed.insert(id);
            }
            (EventType::Clicked, Some(id)) => {
                self.clicked.insert(id);
            }
            (kind, None) if kind.group() == Group::Breaker => self.breakers.push((row.time, kind)),
            _ if is_interest(&row) => self.interests.push(row.time),
            _ => {}
        }
    }

    fn reveal(&mut self, truth: Truth) {
        match truth {
            Truth::Message(message) => {
                if let Some(opened) = message.human_opened_at {
                    self.opened.insert(message.message_id, opened);
                }
                self.messages.push(message);
            }
            Truth::Decision(decision) if decision.window[0] < self.from => {}
            Truth::Decision(decision) => self.decided.push(decision),
            Truth::UserRate(rate) => self.rates.push((rate.month, [rate.open_rate, rate.click_rate])),
            Truth::User(_) | Truth::Attempt(_) | Truth::Full(_) | Truth::Outcome(_) | Truth::Left(..) => {}
        }
    }

    fn clipped(&mut self, _: &'static str) {}
}

impl Seen {
    pub(super) fn of(model: &EmailModel, key: StreamKey, actor: u64, from: Instant) -> Self {
        let mut seen = Self {
            from,
            sent: HashMap::new(),
            delivered: HashMap::new(),
            opened: HashMap::new(),
            opened_rows: HashMap::new(),
            clicked: HashSet::new(),
            unsubscribed: HashSet::new(),
            reported: HashSet::new(),
            breakers: Vec::new(),
            interests: Vec::new(),
            rates: Vec::new(),
            messages: Vec::new(),
            decided: Vec::new(),
        };
        model.simulate(ActorId(actor), key, &mut seen);
        seen
    }

    /// Whether the policy never mails the user.
    pub(super) fn is_held_out(&self) -> bool {
        self.decided.first().is_some_and(|decision| decision.arm == Arm::Holdout)
    }

    /// What each message was worth to people, and what more machines' opens make of it by rows.
    fn worths(&self, model: &EmailModel, person: &Person, terms: Terms) -> impl Iterator<Item = (Uuid, f64, f64)> {
        let person = *person;
        let silent = self.silent(model);
        let Terms { reward, expected, .. } = terms;
        self.messages.iter().map(move |message| {
            let id = message.message_id;
            let mut of_machines = 0.0;
            let worth = match self.delivered.get(&id) {
                None => 0.0,
                Some(at) if expected => {
                    let within = reward.within_minutes.unwrap_or(f64::INFINITY);
                    let p_open = message.p_open.unwrap_or(0.0);
                    let open = p_open * heard(model, &person, *at, &silent, within);
                    let any = if within.is_finite() { p_open * heard(model, &person, *at, &silent, f64::INFINITY) } else { open };
                    of_machines = reward.open * (message.p_open_row.unwrap_or(p_open) - p_open);
                    let [unsubscribe, complaint] = message.leaving.map_or([0.0; 2], |of| [of.p_unsubscribe, of.p_complaint]);
                    reward.open * open
                        + reward.click * any * message.p_click.unwrap_or(0.0)
                        + reward.unsubscribe * unsubscribe
                        + reward.complaint * complaint
                }
                Some(at) => {
                    let in_time =
                        |opened: &Instant| reward.within_minutes.is_none_or(|minutes| opened.since(*at) as f64 <= minutes * MINUTE as f64);
                    let open = self.opened.get(&id).is_some_and(in_time);
                    let complains = message.leaving.is_some_and(|of| of.complained_at.is_some());
                    reward.open * f64::from(open)
                        + reward.click * f64::from(self.clicked.contains(&id))
                        + reward.unsubscribe * f64::from(self.unsubscribed.contains(&id))
                        + reward.complaint * f64::from(complains)
                }
            };
            (id, worth + reward.send, of_machines)
        })
    }

    /// The numbers of a user, but for those of one step.
    pub(super) fn numbers(&self, model: &EmailModel, person: &Person, terms: Terms) -> [f64; NUMBERS] {
        let decided_on: HashSet<Uuid> = self.decided.iter().filter_map(|decision| decision.message_id).collect();
        let begin = model.config().window.begin();
        let (mut all, mut decided, mut discounted, mut by_rows) = (0.0, 0.0, 0.0, 0.0);
        for (id, worth, of_machines) in self.worths(model, person, terms) {
            all += worth;
            if decided_on.contains(&id) {
                decided += worth;
                by_rows += worth + of_machines;
            }
            let days = self.sent.get(&id).map_or(0.0, |sent| sent.since(begin) as f64 / DAY as f64);
            discounted += if terms.discount == 1.0 { worth } else { worth * terms.discount.powf(days) };
        }
        let mut numbers = [0.0; NUMBERS];
        numbers[..5].copy_from_slice(&[all, self.messages.len() as f64, decided, self.decided.len() as f64, discounted]);
        numbers[9] = by_rows;
        numbers
    }

    /// When the user engages with nothing.
    pub(super) fn silent(&self, model: &EmailModel) -> Vec<(Instant, Instant)> {
        let within = |kind: EventType| {
            let of = model.occasion(Group::Breaker).and_then(|occasion| occasion.happenings.iter().find(|of| of.event_type == kind));
            of.map_or(0, |of| of.within)
        };
        let mut spans: Vec<(Instant, Instant)> = Vec::new();
        for (time, kind) in &self.breakers {
            let end = time.plus(within(*kind));
            match spans.last_mut() {
                Some((_, last)) if *last >= *time => *last = end.max(*last),
                _ => spans.push((*time, end)),
            }
        }
        spans
    }
}

/// P(an open within so many minutes of delivery, and that no circuit breaker silences it | it is decided for).
pub(super) fn heard(model: &EmailModel, person: &Person, delivered: Instant, silent: &[(Instant, Instant)], within: f64) -> f64 {
    let minutes = |at: Instant| (at.since(delivered) as f64 / MINUTE as f64).clamp(0.0, within);
    let shown = if model.zones().is_some() { model.clock(person.zone.zone).local(delivered) } else { delivered };
    let cdf = |minutes: f64| if minutes <= 0.0 { 0.0 } else { model.open_delay_cdf(usize::from(person.habit), shown, minutes) };
    let lost = silent.iter().filter(|(_, end)| *end > delivered).map(|(begin, end)| cdf(minutes(*end)) - cdf(minutes(*begin))).sum::<f64>();
    (cdf(within.min(1e9)) - lost).max(0.0)
}

/// The moments of users' numbers under some models, of the users for whom `wanted` is true.
pub(super) fn moments(
    models: &[EmailModel],
    seed: u64,
    terms: Terms,
    wanted: &(impl Fn(u64) -> bool + Sync),
    watch: &Watch<'_>,
) -> Result<Moments, AnalysisError> {
    let users = models[0].config().population.users;
    let key = StreamKey::root(seed, EmailModel::NAME);
    let next = AtomicU64::new(0);
    let made: Mutex<Vec<(u64, Moments)>> = Mutex::new(Vec::new());
    watch.progress.begins("replaying", Some(users));
    std::thread::scope(|scope| {
        for _ in 0..watch.threads.max(1) {
            scope.spawn(|| {
                loop {
                    let first = next.fetch_add(USERS, Ordering::Relaxed);
                    if first >= users || watch.stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let end = (first + USERS).min(users);
                    let mut moments = Moments::of(models.len() * NUMBERS);
                    for actor in (first..end).filter(|actor| wanted(*actor)) {
                        moments.add(&of_user(models, key, actor, terms));
                    }
                    watch.progress.advanced(end - first);
                    made.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((first, moments));
                }
            });
        }
    });
    if watch.stop.load(Ordering::Relaxed) {
        return Err(RunError::Interrupted.into());
    }
    let mut made = made.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    made.sort_unstable_by_key(|(first, _)| *first);
    let mut all = Moments::of(models.len() * NUMBERS);
    for (_, moments) in &made {
        all.merge(moments);
    }
    Ok(all)
}

/// The numbers of a user under each policy, the first being the log's.
fn of_user(models: &[EmailModel], key: StreamKey, actor: u64, terms: Terms) -> Vec<f64> {
    let seen: Vec<Seen> = models.iter().map(|model| Seen::of(model, key, actor, terms.from)).collect();
    let person = models[0].person_of(key, ActorId(actor));
    let mut numbers: Vec<[f64; NUMBERS]> = models.iter().zip(&seen).map(|(model, seen)| seen.numbers(model, &person, terms)).collect();
    if let Some(log) = models[0].decider().filter(|_| terms.one_step && !seen[0].is_held_out()) {
        let is_seen = |(model, seen): (&EmailModel, &Seen)| -> bool {
            !seen.is_held_out() && model.decider().is_some_and(|decider| decider.is_comparable(log) && decider.limits_as(log))
        };
        let counts: Vec<bool> = models.iter().zip(&seen).map(is_seen).collect();
        let deciders: Vec<_> = models.iter().zip(&counts).map(|(model, counts)| model.decider().filter(|_| *counts)).collect();
        let (sums, n) = World::new(&models[0], key, actor, &seen[0]).sums(log, &deciders, terms.reward);
        for ((own, sum), _) in numbers.iter_mut().zip(sums).zip(&counts).filter(|(_, counts)| **counts) {
            let of_policy = [own[2], own[3], sum, n];
            own[5..9].copy_from_slice(&of_policy);
        }
    }
    numbers.concat()
}

/// The model of a candidate, with what it keeps in files.
pub(super) fn model_of(candidate: &Candidate) -> Result<EmailModel, AnalysisError> {
    let model: EmailModel = catalogue::model(&candidate.document)?;
    Ok(with_slots(model).map_err(|error| candidate.document.diagnose(&error))?)
}

/// The one-step value of a policy; none of one with other windows or caps, or of rewards that one step does not have.
pub(super) fn one_step_of(moments: &Moments, policy: usize) -> Option<OneStep> {
    let at = |number: usize| policy * NUMBERS + number;
    if moments.sum(at(8)) == 0.0 || moments.sum(at(6)) == 0.0 {
        return None;
    }
    let error = |parts: &[(usize, f64)]| (moments.variance(parts) / moments.n).sqrt();
    let ((replayed, of_replayed), (value, of_value)) = (moments.ratio(at(5), at(6)), moments.ratio(at(7), at(8)));
    let bias: Vec<(usize, f64)> = of_value.iter().copied().chain(of_replayed.iter().map(|(number, weight)| (*number, -weight))).collect();
    Some(OneStep {
        value: Measured { value, standard_error: error(&of_value) },
        interference_bias: Measured { value: value - replayed, standard_error: error(&bias) },
        relative_bias: value / replayed - 1.0,
    })
}

/// What policies are worth.
pub(super) fn value(candidates: &[Candidate], seed: u64, how: &Valuation, watch: &Watch<'_>) -> Result<Values, AnalysisError> {
    let models = candidates.iter().map(model_of).collect::<Result<Vec<_>, _>>()?;
    let Valuation { reward, expected, discount } = *how;
    let terms = Terms { reward, expected, from: Instant(i64::MIN), discount, one_step: reward.has_one_step() };
    let moments = moments(&models, seed, terms, &|_| true, watch)?;
    let at = |policy: usize, number: usize| policy * NUMBERS + number;
    let ratio = |policy: usize, above: usize, below: usize| {
        let (value, parts) = moments.ratio(at(policy, above), at(policy, below));
        (value, parts)
    };
    let error = |parts: &[(usize, f64)]| (moments.variance(parts) / moments.n).sqrt();
    let user = |policy: usize| (moments.mean(at(policy, 4)), [(at(policy, 4), 1.0)]);
    let policies = candidates.iter().enumerate().map(|(policy, candidate)| {
        let ((message, of_message), (decision, of_decision), (of_users, of_user)) =
            (ratio(policy, 0, 1), ratio(policy, 2, 3), user(policy));
        PolicyValue {
            policy: candidate.name.clone(),
            messages: moments.sum(at(policy, 1)) as u64,
            decisions: moments.sum(at(policy, 3)) as u64,
            message: Measured { value: message, standard_error: error(&of_message) },
            decision: Measured { value: decision, standard_error: error(&of_decision) },
            user: Measured { value: of_users, standard_error: error(&of_user) },
            one_step: one_step_of(&moments, policy),
        }
    });
    // The second minus the first, and the variance that two separate groups would have over that of the pairs.
    let paired = |(first, of_first): (f64, &[(usize, f64)]), (second, of_second): (f64, &[(usize, f64)])| {
        let parts: Vec<(usize, f64)> =
            of_second.iter().copied().chain(of_first.iter().map(|(number, weight)| (*number, -weight))).collect();
        let variance = moments.variance(&parts);
        let apart = moments.variance(of_first) + moments.variance(of_second);
        (Measured { value: second - first, standard_error: (variance / moments.n).sqrt() }, apart / variance)
    };
    let differences = (1..candidates.len()).map(|policy| {
        let ((one, of_one), (other, of_other)) = (ratio(0, 0, 1), ratio(policy, 0, 1));
        let (message, message_variance_ratio) = paired((one, &of_one), (other, &of_other));
        let ((one, of_one), (other, of_other)) = (user(0), user(policy));
        let (user, user_variance_ratio) = paired((one, &of_one), (other, &of_other));
        Difference {
            first: candidates[0].name.clone(),
            second: candidates[policy].name.clone(),
            message,
            message_variance_ratio,
            user,
            user_variance_ratio,
        }
    });
    Ok(Values {
        users: moments.n as u64,
        days: models[0].config().window.days,
        reward,
        expected,
        discount,
        policies: policies.collect(),
        differences: differences.collect(),
    })
}
