//! Whether opens lean towards another value of a constant than the document's: a score test for each constant of the open law, which sees
//! a shift that is spread over many groups. The score of a constant is Σ (open − p) ∂p/∂θ / (p (1 − p)), whose variance is
//! Σ (∂p/∂θ)² / (p (1 − p)) (Rao, 1948); the derivative is the difference that a fifth more or less of the constant makes.

use super::Recipient;
use crate::email::{Law, Message};
use crate::stats::{Merge, Test, normal_two_sided};
use crate::verify::Group;
use crate::verify::board::{Board, Found, z};
use populace_core::email::{EFFECTS, EmailConfig, EmailModel};
use populace_core::scenario::Scenario;

/// Fewer opens than this, as they count for a constant, are no normal sum.
const FEWEST: f64 = 100.0;

/// The models of documents in which one constant is moved.
pub(super) fn others(config: &EmailConfig) -> Vec<(&'static str, EmailModel)> {
    let document = serde_json::to_value(config).expect("a document is JSON");
    let other = |name: &&'static str| {
        let pointer = format!("/{}", name.replace('.', "/"));
        let value = document.pointer(&pointer)?.as_f64().filter(|value| *value != 0.0)?;
        // A document may have room above or below alone.
        [1.2, 0.8].into_iter().find_map(|factor| {
            let mut document = document.clone();
            *document.pointer_mut(&pointer)? = (value * factor).into();
            let config = serde_json::from_value(document).ok()?;
            EmailModel::from_config(&config).ok().map(|model| (*name, model))
        })
    };
    EFFECTS.iter().flat_map(|about| about.constants).filter_map(other).collect()
}

/// The scores of some constants.
pub(super) struct ScoreTests<'a> {
    law: &'a Law<'a>,
    others: Vec<(&'static str, Law<'a>, [f64; 3])>,
}

impl Merge for ScoreTests<'_> {
    fn combine(&mut self, later: Self) {
        self.others.iter_mut().zip(later.others).for_each(|((_, _, here), (_, _, there))| here.combine(there));
    }
}

impl<'a> ScoreTests<'a> {
    pub(super) fn new(law: &'a Law<'a>, others: &'a [(&'static str, EmailModel)]) -> Self {
        Self { law, others: others.iter().map(|(name, model)| (*name, Law::new(model, None), [0.0; 3])).collect() }
    }

    pub(super) fn add(&mut self, recipient: &Recipient<'_>) {
        for message in &recipient.history.messages {
            let Some(p_open) = self.law.p_open(recipient.persona, message) else { continue };
            let unsuppressed = 1.0 - self.law.p_open_dropped(recipient.persona, message, recipient.history);
            let p = p_open * unsuppressed;
            if p > 0.0 && p < 1.0 {
                self.weigh(recipient.persona, message, p, unsuppressed);
            }
        }
    }

    fn weigh(&mut self, persona: usize, message: &Message, p: f64, unsuppressed: f64) {
        for (_, other, [score, variance, expected]) in &mut self.others {
            let Some(moved) = other.p_open(persona, message) else { continue };
            let difference = moved * unsuppressed - p;
            if difference.abs() > 1e-12 {
                let weight = difference / (p * (1.0 - p));
                *score += (f64::from(u8::from(message.opened.is_some())) - p) * weight;
                *variance += difference * weight;
                *expected += p * (1.0 - p);
            }
        }
    }

    pub(super) fn report(self, board: &mut Board) {
        let found =
            self.others.into_iter().filter(|(_, _, [_, _, expected])| *expected >= FEWEST).map(|(name, _, [score, variance, n])| {
                let z = z(score, 0.0, variance);
                let found = Found {
                    n: n as u64,
                    observed: format!("{z:.2} standard errors"),
                    expected: "0".into(),
                    test: Test { statistic: z, p_value: normal_two_sided(z) },
                };
                (name, found)
            });
        board.try_test(Group::Calibration, "opens favour no other value of a constant (score tests)", Found::worst(found));
    }
}
