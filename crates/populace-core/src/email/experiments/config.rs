//! What an experiment may say.

use super::super::config::EmailConfig;
use crate::scenario::Checker;
use crate::section::{choice, section};
use std::collections::BTreeMap;

/// The variant that the others are compared with: all of its factors are 1.
pub(super) const CONTROL: &str = "control";
/// How far the weights of variants may sum to something else than 1.
const ROUNDING: f64 = 1e-9;

section! {
    /// An experiment: on some days the mail of some campaigns comes in variants, at random. Experiments may overlap: each deals its own
    /// variants, and their factors multiply.
    pub struct ExperimentConfig {
        /// What variants are dealt to.
        #[serde(default)]
        unit: ExperimentUnit,
        /// The variants, each with its probability; these sum to 1. One of them is `control`.
        variants: BTreeMap<String, f64> [len 2 ..= 10],
        /// The campaigns whose mail is in it, triggered mail too; left out, all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        campaigns: Option<Vec<String>> [len 0 ..= 100],
        /// Its first day: 0 is the first of the window. A message is in it by the day on which it is sent.
        #[serde(default)]
        from_day: u32 [0 ..= 36_499],
        /// How many days it lasts.
        days: u32 [1 ..= 36_500],
        /// What variants do. Those that are not listed do nothing.
        #[serde(default)]
        effect: BTreeMap<String, VariantEffectConfig>,
        /// How far recipients differ in what a variant does to their opens: the standard deviation of the factor's logarithm. Its mean
        /// over recipients is that of the effect.
        #[serde(default)]
        heterogeneity_sd: f64 [0.0 ..= 2.0],
        /// What is new does more.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        novelty: Option<NoveltyConfig>,
    }

    /// What a variant does.
    pub struct VariantEffectConfig {
        /// The factor of the open rate.
        #[serde(default = "neutral")]
        open: f64 [0.0 ..= 10.0],
        /// The factor of P(click | open).
        #[serde(default = "neutral")]
        click: f64 [0.0 ..= 10.0],
    }

    /// What is new does more: the factor of opens is multiplied by 1 + `extra` · 2^(−days / `half_life_days`), by the days from the
    /// experiment's begin to the sending.
    pub struct NoveltyConfig {
        /// What is added at the begin.
        extra: f64 [-1.0 ..= 10.0],
        /// Days after which half of it is left; above 0.
        half_life_days: f64 [0.0 ..= 36_500.0],
    }
}

choice! {
    /// What variants are dealt to.
    pub enum ExperimentUnit {
        /// Recipients: all mail to one has the same variant.
        User,
        /// Messages, each by itself.
        Message,
    }
}

#[expect(clippy::derivable_impls, reason = "the derives of a choice are those of its macro")]
impl Default for ExperimentUnit {
    fn default() -> Self {
        Self::User
    }
}

impl ExperimentUnit {
    /// The name as written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Message => "message",
        }
    }
}

const fn neutral() -> f64 {
    1.0
}

/// Names stand in JSON and in paths.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|letter| letter.is_ascii_alphanumeric() || letter == b'_' || letter == b'-')
}

impl ExperimentConfig {
    pub(super) fn check(&self, name: &str, config: &EmailConfig, checker: &mut Checker) {
        let path = |key: &str| format!("experiments.{name}.{key}");
        let named = "has letters, digits, `_` and `-` alone";
        checker.require(is_name(name), format!("experiments.{name}"), || format!("the name of an experiment {named}"));
        for (variant, weight) in &self.variants {
            let path = path(&format!("variants.{variant}"));
            checker.require(is_name(variant), path.as_str(), || format!("the name of a variant {named}"));
            checker.range(path, *weight, 0.0, 1.0);
        }
        let sum: f64 = self.variants.values().sum();
        checker.require((sum - 1.0).abs() <= ROUNDING, path("variants"), || format!("the probabilities must sum to 1, got {sum}"));
        checker.require(self.variants.contains_key(CONTROL), path("variants"), || {
            format!("must have `{CONTROL}`, with which the others are compared")
        });
        if self.campaigns.as_ref().is_some_and(Vec::is_empty) {
            checker.problem(path("campaigns"), "is empty: no mail is in it", "name campaigns, or leave it out for all of them");
        }
        for (index, id) in self.campaigns.iter().flatten().enumerate() {
            let path = path(&format!("campaigns.{index}"));
            if !config.campaigns.contains_key(id) {
                checker.problem(path, format!("`{id}` is not a campaign"), hint(id, config.campaigns.keys()));
            } else if self.campaigns.iter().flatten().take(index).any(|other| other == id) {
                checker.problem(path, format!("`{id}` is listed twice"), "");
            }
        }
        for variant in self.effect.keys() {
            let path = path(&format!("effect.{variant}"));
            if variant == CONTROL {
                checker.problem(path, "the others are compared with it: it has no effect", "leave it out");
            } else if !self.variants.contains_key(variant) {
                checker.problem(path, format!("`{variant}` is not a variant"), hint(variant, self.variants.keys()));
            }
        }
        let (end, days) = (u64::from(self.from_day) + u64::from(self.days), config.window.days);
        checker.require(end <= u64::from(days), path("days"), || {
            format!("must end within the window: it lasts from day {} to day {}, and the window has {days} days", self.from_day, end - 1)
        });
        if let Some(novelty) = &self.novelty {
            super::super::world::above_0(&path("novelty.half_life_days"), novelty.half_life_days, checker);
        }
    }
}

/// What may have been meant, or what there is.
fn hint<'n>(name: &str, known: impl Iterator<Item = &'n String>) -> String {
    let known: Vec<&str> = known.map(String::as_str).collect();
    let near = known.iter().map(|other| (distance(name, other), *other)).min().filter(|(distance, _)| 3 * distance <= name.len());
    near.map_or_else(|| format!("choose from {}", known.join(", ")), |(_, near)| format!("did you mean `{near}`?"))
}

/// How many letters must be put in, left out or changed (Levenshtein, 1966).
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (place, letter) in from.chars().enumerate() {
        let mut before = place;
        row[0] = place + 1;
        for (column, other) in to.iter().enumerate() {
            let changed = before + usize::from(letter != *other);
            before = row[column + 1];
            row[column + 1] = changed.min(row[column] + 1).min(before + 1);
        }
    }
    row[to.len()]
}
