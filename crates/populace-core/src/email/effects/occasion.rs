//! What befalls a user at most once a day, at a moment by the calendar.

use super::super::events::{EventType, Group};
use crate::dist::{Bernoulli, Categorical};
use crate::scenario::Checker;

/// Something that befalls a user at most once a day.
#[derive(Clone, Debug)]
pub struct Occasion {
    /// Its section of the document.
    pub section: &'static str,
    /// What it is called, in the plural.
    pub title: &'static str,
    /// What its events have in common.
    pub group: Group,
    /// `campaign_id` and `campaign_name` of its events.
    pub campaign: (&'static str, &'static str),
    /// Probability of one on a user's day.
    pub probability: f64,
    /// What happens.
    pub happenings: Box<[Happening]>,
    pub(in super::super) occurs: Bernoulli,
    choice: Categorical,
}

/// One kind of it.
#[derive(Clone, Copy, Debug)]
pub struct Happening {
    /// The type of its event.
    pub event_type: EventType,
    /// How often it is this one, over the sum of the weights.
    pub weight: f64,
    /// Index into [`EmailModel::sources`](super::super::EmailModel::sources).
    pub source: u8,
    /// Index into [`EmailModel::metadata`](super::super::EmailModel::metadata).
    pub metadata: u16,
    /// How long it lasts, microseconds.
    pub within: i64,
}

impl Occasion {
    pub(super) fn new(
        (section, title): (&'static str, &'static str),
        group: Group,
        campaign: (&'static str, &'static str),
        probability: f64,
        happenings: Box<[Happening]>,
        checker: &mut Checker,
    ) -> Option<Self> {
        let occurs = checker.take(format!("{section}.probability"), Bernoulli::new(probability));
        let weights: Vec<f64> = happenings.iter().map(|happening| happening.weight).collect();
        let choice = checker.take(format!("{section}.kinds"), Categorical::new(&weights));
        Some(Self { section, title, group, campaign, probability, happenings, occurs: occurs?, choice: choice? })
    }

    /// What happens, of a word.
    #[inline]
    pub(in super::super) fn pick(&self, word: u64) -> Happening {
        self.happenings[self.choice.pick(word)]
    }

    /// What happens, with the probability of each on a user's day.
    pub fn probabilities(&self) -> impl Iterator<Item = (&Happening, f64)> {
        let total: f64 = self.happenings.iter().map(|happening| happening.weight).sum();
        self.happenings.iter().map(move |happening| (happening, self.probability * happening.weight / total))
    }
}

/// The sources and the metadata of rows, each once.
#[derive(Clone, Debug)]
pub(in super::super) struct Names {
    pub(in super::super) sources: Vec<String>,
    pub(in super::super) metadata: Vec<String>,
}

impl Names {
    pub(super) fn source(&mut self, value: &str) -> u8 {
        index_in(&mut self.sources, value) as u8
    }

    pub(in super::super) fn metadata(&mut self, value: impl AsRef<str>) -> u16 {
        index_in(&mut self.metadata, value.as_ref())
    }
}

/// The place of `value` in a table, which it is added to if it is not there.
fn index_in(table: &mut Vec<String>, value: &str) -> u16 {
    let index = table.iter().position(|known| known == value).unwrap_or_else(|| {
        table.push(value.to_owned());
        table.len() - 1
    });
    index as u16
}
