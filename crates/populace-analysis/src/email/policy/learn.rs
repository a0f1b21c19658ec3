//! Policies that are learned from a log.

use super::super::law::Law;
use super::super::recipients::{self, Recipient};
use crate::error::AnalysisError;
use crate::policy::{Learned, Rule};
use crate::source::Source;
use crate::watch::Watch;
use populace_core::email::{EmailModel, Person};
use populace_core::time::{Date, Instant};
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
    let mut of_recipients: Vec<(String, BySlot)> = Vec::new();
    let work = |recipient: Recipient| {
        let mut own = BySlot::of(slots);
        for message in recipient.history.messages.iter().filter(|message| message.sent < until) {
            own.add(slot_of(&recipient.person, message.sent), f64::from(message.opened.or(message.machine_opened).is_some()));
        }
        Ok((recipient.history.recipient_id, own))
    };
    recipients::each(&source, &law, &[], &[], watch, work, |(id, own): (String, BySlot)| {
        all.include(&own);
        of_recipients.push((id, own));
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
    let slots = of_recipients.into_iter().map(|(id, own)| {
        let values = if rule == Rule::BestHour { own.shrunk(&pooled) } else { own.opened };
        let best = (0..values.len()).fold(0, |best, slot| if values[slot] > values[best] { slot } else { best });
        (id, best as u16)
    });
    Ok(Learned { slots: slots.collect(), messages })
}
