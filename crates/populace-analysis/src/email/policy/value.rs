//! What policies are worth: all are replayed on the same people, who are the units.

use super::moments::Moments;
use crate::error::AnalysisError;
use crate::policy::{Candidate, Difference, Measured, PolicyValue, Reward, Values};
use crate::watch::Watch;
use populace_core::email::{EmailModel, Event, EventType, Group, MessageTruth, Truth, Uuid};
use populace_core::scenario::{Observer, Scenario};
use populace_core::stream::{ActorId, StreamKey};
use populace_core::time::{Instant, MINUTE};
use populace_io::catalogue;
use populace_io::error::RunError;
use populace_io::tables::email::with_slots;
use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Users that a thread takes at once: what is summed does not depend on how many threads there are.
const USERS: u64 = 256;
/// The numbers of a user under a policy: rewards of all messages, messages, rewards of what was decided on, decisions.
pub(super) const NUMBERS: usize = 4;

/// What happens to one user.
pub(super) struct Seen {
    /// Decisions on earlier windows do not count.
    from: Instant,
    delivered: Vec<(Uuid, Instant)>,
    opened: HashMap<Uuid, Instant>,
    clicked: HashSet<Uuid>,
    breakers: Vec<(Instant, EventType)>,
    messages: Vec<MessageTruth>,
    decided: HashSet<Uuid>,
    decisions: u64,
}

impl Observer<Event, Truth> for Seen {
    fn emit(&mut self, row: Event) {
        match (row.event_type, row.message_id) {
            (EventType::Delivered, Some(id)) => self.delivered.push((id, row.time)),
            (EventType::Clicked, Some(id)) => {
                self.clicked.insert(id);
            }
            (kind, None) if kind.group() == Group::Breaker => self.breakers.push((row.time, kind)),
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
            Truth::Decision(decision) => {
                self.decisions += 1;
                self.decided.extend(decision.message_id);
            }
            Truth::User(_) | Truth::UserRate(_) | Truth::Attempt(_) | Truth::Full(_) | Truth::Outcome(_) | Truth::Left(..) => {}
        }
    }

    fn clipped(&mut self, _: &'static str) {}
}

impl Seen {
    /// The numbers of a user.
    fn numbers(&self, model: &EmailModel, habit: usize, reward: Reward, expected: bool) -> [f64; NUMBERS] {
        let delivered: HashMap<Uuid, Instant> = self.delivered.iter().copied().collect();
        let silent = self.silent(model);
        let (mut all, mut decided) = (0.0, 0.0);
        for message in &self.messages {
            let worth = match delivered.get(&message.message_id) {
                None => 0.0,
                Some(at) if expected => {
                    let within = reward.within_minutes.unwrap_or(f64::INFINITY);
                    let p_open = message.p_open.unwrap_or(0.0);
                    let open = p_open * heard(model, habit, *at, &silent, within);
                    let any = if within.is_finite() { p_open * heard(model, habit, *at, &silent, f64::INFINITY) } else { open };
                    reward.open * open + reward.click * any * message.p_click.unwrap_or(0.0)
                }
                Some(at) => {
                    let in_time =
                        |opened: &Instant| reward.within_minutes.is_none_or(|minutes| opened.since(*at) as f64 <= minutes * MINUTE as f64);
                    let open = self.opened.get(&message.message_id).is_some_and(in_time);
                    let click = self.clicked.contains(&message.message_id);
                    reward.open * f64::from(open) + reward.click * f64::from(click)
                }
            } + reward.send;
            all += worth;
            if self.decided.contains(&message.message_id) {
                decided += worth;
            }
        }
        [all, self.messages.len() as f64, decided, self.decisions as f64]
    }

    /// When the user engages with nothing.
    fn silent(&self, model: &EmailModel) -> Vec<(Instant, Instant)> {
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
fn heard(model: &EmailModel, habit: usize, delivered: Instant, silent: &[(Instant, Instant)], within: f64) -> f64 {
    let minutes = |at: Instant| (at.since(delivered) as f64 / MINUTE as f64).clamp(0.0, within);
    let cdf = |minutes: f64| if minutes <= 0.0 { 0.0 } else { model.open_delay_cdf(habit, delivered, minutes) };
    let lost = silent.iter().filter(|(_, end)| *end > delivered).map(|(begin, end)| cdf(minutes(*end)) - cdf(minutes(*begin))).sum::<f64>();
    (cdf(within.min(1e9)) - lost).max(0.0)
}

/// The moments of users' numbers under some models, of the users for whom `wanted` is true.
pub(super) fn moments(
    models: &[EmailModel],
    seed: u64,
    (reward, expected, from): (Reward, bool, Instant),
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
                        let numbers: Vec<f64> =
                            models.iter().flat_map(|model| of_user(model, key, actor, (reward, expected, from))).collect();
                        moments.add(&numbers);
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

fn of_user(model: &EmailModel, key: StreamKey, actor: u64, (reward, expected, from): (Reward, bool, Instant)) -> [f64; NUMBERS] {
    let mut seen = Seen {
        from,
        delivered: Vec::new(),
        opened: HashMap::new(),
        clicked: HashSet::new(),
        breakers: Vec::new(),
        messages: Vec::new(),
        decided: HashSet::new(),
        decisions: 0,
    };
    model.simulate(ActorId(actor), key, &mut seen);
    seen.numbers(model, usize::from(model.person_of(key, ActorId(actor)).habit), reward, expected)
}

/// The model of a candidate, with what it keeps in files.
pub(super) fn model_of(candidate: &Candidate) -> Result<EmailModel, AnalysisError> {
    let model: EmailModel = catalogue::model(&candidate.document)?;
    Ok(with_slots(model).map_err(|error| candidate.document.diagnose(&error))?)
}

/// What policies are worth.
pub(super) fn value(
    candidates: &[Candidate],
    seed: u64,
    reward: Reward,
    expected: bool,
    watch: &Watch<'_>,
) -> Result<Values, AnalysisError> {
    let models = candidates.iter().map(model_of).collect::<Result<Vec<_>, _>>()?;
    let moments = moments(&models, seed, (reward, expected, Instant(i64::MIN)), &|_| true, watch)?;
    let at = |policy: usize, number: usize| policy * NUMBERS + number;
    let ratio = |policy: usize, above: usize, below: usize| {
        let (value, parts) = moments.ratio(at(policy, above), at(policy, below));
        (value, parts)
    };
    let error = |parts: &[(usize, f64)]| (moments.variance(parts) / moments.n).sqrt();
    let user = |policy: usize| (moments.mean(at(policy, 0)), [(at(policy, 0), 1.0)]);
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
        policies: policies.collect(),
        differences: differences.collect(),
    })
}
