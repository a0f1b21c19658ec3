//! Whether opens lean towards another value of a constant than the document's: a score test for each constant of the open law, which sees
//! a shift that is spread over many groups. The score of a constant is Σ (open − p) ∂p/∂θ / (p (1 − p)), whose variance is
//! Σ (∂p/∂θ)² / (p (1 − p)) (Rao, 1948); the derivative is the difference that a fifth more or less of the constant makes.

use super::Recipient;
use crate::email::{Law, Message};
use crate::stats::{Merge, Test, bernstein, normal_two_sided};
use crate::verify::Group;
use crate::verify::board::{Board, Found, z};
use populace_core::email::{EFFECTS, EmailConfig, EmailModel, Person};
use populace_core::scenario::Scenario;

/// Of so many standard deviations for the greatest term, a score is a normal sum out to five of them.
const PER_TERM: f64 = 50.0;
/// Rates that drift add to the variance: up to this share of it they are left out.
const NEGLIGIBLE_DRIFT: f64 = 0.02;

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

/// The score of a constant.
#[derive(Default)]
struct Score {
    sum: f64,
    variance: f64,
    opens: u64,
    /// The greatest term.
    most: f64,
    /// Of the recipient at hand, the sum of the terms that drift would move together; and the sum of its squares over recipients.
    together: f64,
    squares: f64,
}

impl Merge for Score {
    fn combine(&mut self, later: Self) {
        self.sum += later.sum;
        self.variance += later.variance;
        self.opens += later.opens;
        self.most = self.most.max(later.most);
        self.squares += later.squares;
    }
}

/// The scores of some constants.
pub(super) struct ScoreTests<'a> {
    law: &'a Law<'a>,
    others: Vec<(&'static str, Law<'a>, Score)>,
}

impl Merge for ScoreTests<'_> {
    fn combine(&mut self, later: Self) {
        self.others.iter_mut().zip(later.others).for_each(|((_, _, here), (_, _, there))| here.combine(there));
    }
}

impl<'a> ScoreTests<'a> {
    pub(super) fn new(law: &'a Law<'a>, others: &'a [(&'static str, EmailModel)]) -> Self {
        Self { law, others: others.iter().map(|(name, model)| (*name, Law::new(model, None), Score::default())).collect() }
    }

    pub(super) fn add(&mut self, recipient: &Recipient<'_>) {
        for message in &recipient.history.messages {
            let Some(p_open) = self.law.p_open(&recipient.person, message) else { continue };
            let unsuppressed = 1.0 - self.law.p_open_dropped(&recipient.person, message, recipient.history);
            let p = p_open * unsuppressed;
            if p > 0.0 && p < 1.0 {
                self.weigh(&recipient.person, message, p, unsuppressed);
            }
        }
        for (_, _, of) in &mut self.others {
            let together = std::mem::take(&mut of.together);
            of.squares += together * together;
        }
    }

    fn weigh(&mut self, person: &Person, message: &Message, p: f64, unsuppressed: f64) {
        for (_, other, of) in &mut self.others {
            let moved = other.model().person(person.habit.into(), person.open_rate, person.click_rate);
            let moved = Person { zone: person.zone, responsiveness: person.responsiveness, ..moved };
            let Some(moved) = other.p_open(&moved, message) else { continue };
            let difference = moved * unsuppressed - p;
            if difference.abs() > 1e-12 {
                let weight = difference / (p * (1.0 - p));
                of.sum += (f64::from(u8::from(message.opened.is_some())) - p) * weight;
                of.variance += difference * weight;
                of.opens += u64::from(message.opened.is_some());
                of.most = of.most.max(weight.abs());
                of.together += p * weight;
            }
        }
    }

    pub(super) fn report(self, board: &mut Board) {
        let drift = self.law.drift().variance();
        let found = self.others.into_iter().filter(|(_, _, of)| of.squares * drift <= NEGLIGIBLE_DRIFT * of.variance && of.variance > 0.0);
        let found = found.map(|(name, _, of)| {
            let z = z(of.sum, 0.0, of.variance);
            let is_normal = of.variance.sqrt() >= PER_TERM * of.most;
            let p_value = if is_normal { normal_two_sided(z) } else { bernstein(of.sum, of.variance, of.most) };
            let (observed, expected) = (format!("{z:.2} standard errors"), "0".into());
            (name, Found { n: of.opens, observed, expected, test: Test { statistic: z, p_value } })
        });
        let name = "opens favour no other value of a constant (score tests)";
        board.try_test(Group::Calibration, name, Found::worst(found));
    }
}
