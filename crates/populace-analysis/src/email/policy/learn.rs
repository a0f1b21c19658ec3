//! Policies that are learned from a log.

use super::super::filter::Inference;
use super::super::law::Law;
use super::super::recipients::{self, Recipient};
use super::super::score::Belief;
use crate::error::AnalysisError;
use crate::policy::{Learned, Rule};
use crate::source::Source;
use crate::watch::Watch;
use populace_core::email::{Decider, EmailModel, Person};
use populace_core::scenario::Scenario;
use populace_core::time::{DAY, Date, Instant};
use std::path::Path;

/// Sends and opens by slot.
#[derive(Clone, Debug)]
pub(super) struct BySlot {
    pub(super) sent: Vec<f64>,
    pub(super) opened: Vec<f64>,
}

impl BySlot {
    pub(super) fn of(slots: usize) -> Self {
        Self { sent: vec![0.0; slots], opened: vec![0.0; slots] }
    }

    pub(super) fn add(&mut self, slot: usize, reward: f64) {
        self.sent[slot] += 1.0;
        self.opened[slot] += reward;
    }

    pub(super) fn include(&mut self, other: &Self) {
        self.sent.iter_mut().zip(&other.sent).for_each(|(sum, more)| *sum += more);
        self.opened.iter_mut().zip(&other.opened).for_each(|(sum, more)| *sum += more);
    }

    /// The rate of everybody by slot, drawn towards that of all slots together by 20 messages.
    pub(super) fn pooled(&self) -> Vec<f64> {
        let mean = self.opened.iter().sum::<f64>() / self.sent.iter().sum::<f64>().max(1.0);
        self.sent.iter().zip(&self.opened).map(|(sent, opened)| (opened + 20.0 * mean) / (sent + 20.0)).collect()
    }

    /// A recipient's rate by slot, drawn towards everybody's times how far the recipient is above it.
    pub(super) fn shrunk(&self, pooled: &[f64]) -> Vec<f64> {
        let expected: f64 = self.sent.iter().zip(pooled).map(|(sent, rate)| sent * rate).sum();
        let level = (self.opened.iter().sum::<f64>() + 8.0) / (expected + 8.0);
        let each = self.sent.iter().zip(&self.opened).zip(pooled);
        each.map(|((sent, opened), rate)| (opened + 6.0 * level * rate) / (sent + 6.0)).collect()
    }
}

/// How many slots a window has, and that of a moment to somebody.
pub(super) fn slots_of(model: &EmailModel) -> (usize, impl Fn(&Person, Instant) -> usize) {
    let slots = model.decider().map_or(24, populace_core::email::Decider::slots);
    let of = move |person: &Person, moment: Instant| match model.decider() {
        None => usize::from(model.clock(person.zone.zone).local(moment).hour()),
        Some(decider) => decider.action_of(person, moment),
    };
    (slots, of)
}

/// The slot of each recipient, from the messages of a run sent before `until`.
pub(super) fn learn(run: &Path, rule: Rule, until: Option<Date>, watch: &Watch<'_>) -> Result<Learned, AnalysisError> {
    let source = Source::open(run)?;
    let document = source.scenario()?;
    let model: EmailModel = populace_io::catalogue::model(&document)?;
    let law = Law::new(&model, source.seed(&document));
    let (slots, slot_of) = slots_of(&model);
    let until = until.map_or(Instant(i64::MAX), Date::midnight);
    let mut all = BySlot::of(slots);
    let mut of_recipients: Vec<(String, BySlot, Option<u16>)> = Vec::new();
    let plain = if rule == Rule::OracleObservable { Some(super::variant::variant(&document, &serde_json::json!({}))?) } else { None };
    let inference = Inference::new(&law);
    let work = |recipient: Recipient| {
        let known = match plain.as_ref().and_then(EmailModel::decider) {
            Some(decider) => Some(observable(&inference, decider, &recipient, until)?),
            None => None,
        };
        let mut own = BySlot::of(slots);
        for message in recipient.history.messages.iter().filter(|message| message.sent < until) {
            own.add(slot_of(&recipient.person, message.sent), f64::from(message.opened.or(message.machine_opened).is_some()));
        }
        Ok((recipient.history.recipient_id, own, known))
    };
    recipients::each(&source, &law, &[], &[], watch, work, |(id, own, known): (String, BySlot, Option<u16>)| {
        all.include(&own);
        of_recipients.push((id, own, known));
        Ok(())
    })?;
    let messages = all.sent.iter().sum::<f64>() as u64;
    if messages == 0 {
        return Err(AnalysisError::input(format!(
            "{}: no message was sent before the end of the training; choose a later day",
            run.display()
        )));
    }
    let pooled = all.pooled();
    let slots = of_recipients.into_iter().map(|(id, own, known)| {
        if let Some(slot) = known {
            return (id, slot);
        }
        let values = if rule == Rule::BestHour { own.shrunk(&pooled) } else { own.opened };
        let best = (0..values.len()).fold(0, |best, slot| if values[slot] > values[best] { slot } else { best });
        (id, best as u16)
    });
    Ok(Learned { slots: slots.collect(), messages })
}

/// The slot that is worth most to who a recipient may be, by all that was observed before a moment; over the days of a week, where windows
/// are shorter.
fn observable(inference: &Inference<'_>, decider: &Decider, recipient: &Recipient, until: Instant) -> Result<u16, AnalysisError> {
    let belief = Belief::before(inference, &recipient.history, until).ok_or_else(|| {
        let id = &recipient.history.recipient_id;
        AnalysisError::input(format!("events: what {id} did cannot happen in this scenario; is the run's scenario.yaml its own?"))
    })?;
    let begin = inference.law().model().window().begin();
    let week = || (0..7).map(|day| decider.window_of(&recipient.person, begin.plus(day * DAY + DAY / 2)));
    let value = |slot: usize| week().map(|begin| belief.value(decider, begin, slot)).sum::<f64>();
    let values: Vec<f64> = (0..decider.slots()).map(value).collect();
    Ok((0..values.len()).fold(0, |best, slot| if values[slot] > values[best] { slot } else { best }) as u16)
}
