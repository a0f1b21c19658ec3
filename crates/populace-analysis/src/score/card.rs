//! What a score is written as: one shape for every task. `docs/guide/score.md` says what each field means.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The shape's number: it grows when a field changes its meaning.
pub const FORMAT: u32 = 1;

/// What was scored, and how well.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Scorecard {
    /// [`FORMAT`].
    pub format: u32,
    /// The task, as on the command line.
    pub task: String,
    /// The run.
    pub run: RunInfo,
    /// The file of predictions.
    pub predictions: String,
    /// What is predicted, in a sentence: the label, and of whom.
    pub label: String,
    /// Predictions that were scored.
    pub n: u64,
    /// How many of them are positive; of tasks with a label of two values.
    pub positives: Option<u64>,
    /// The model, the ceilings and the base line, each with its metrics.
    pub columns: Vec<Column>,
    /// Which metrics the columns have, in order, and what they are.
    pub metrics: Vec<Metric>,
    /// Shares of what could be gained over the base line.
    pub gains: Vec<Gain>,
    /// The model's calibration, by its own predictions in ascending order.
    pub calibration: Vec<Bin>,
    /// The same by group: of persona, of edge, of state.
    pub groups: Vec<Group>,
    /// Statistical tests and the thresholds that were asked for.
    pub verdicts: Vec<Verdict>,
    /// What was left out, clipped or approximated, and how often.
    pub counts: BTreeMap<String, u64>,
    /// What the reader must know, in sentences.
    pub notes: Vec<String>,
}

/// Which run it was.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RunInfo {
    /// The scenario's name.
    pub scenario: String,
    /// Digest of the scenario.
    pub scenario_digest: String,
    /// Seed.
    pub seed: u64,
    /// Users.
    pub users: u64,
}

/// Who predicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Predictor {
    /// The file that is scored.
    Model,
    /// The best from what can be observed: latent truth is averaged over, given the data.
    Observable,
    /// The best for somebody who knows the latent truth as well.
    Latent,
    /// What anybody can say without a model.
    Base,
}

impl Predictor {
    /// As a table's heading.
    pub const fn heading(self) -> &'static str {
        match self {
            Self::Model => "your model",
            Self::Observable => "observable history",
            Self::Latent => "everything known",
            Self::Base => "base line",
        }
    }
}

/// The metrics of one predictor.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Column {
    /// Who.
    pub predictor: Predictor,
    /// By name. A metric that is not defined here (such as the area under the curve of labels that are all alike) is missing.
    pub metrics: BTreeMap<String, Estimate>,
}

/// A value that was estimated.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The value.
    pub value: f64,
    /// Its standard error, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standard_error: Option<f64>,
}

impl Estimate {
    /// A value without a standard error.
    pub const fn exact(value: f64) -> Self {
        Self { value, standard_error: None }
    }

    /// A value with its standard error.
    pub const fn new(value: f64, standard_error: f64) -> Self {
        Self { value, standard_error: Some(standard_error) }
    }
}

/// What a metric is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// Its name in [`Column::metrics`].
    pub name: String,
    /// Whether more is better.
    pub more_is_better: bool,
    /// What it is.
    pub meaning: String,
}

impl Metric {
    /// A metric of which more is better.
    pub fn more(name: &str, meaning: &str) -> Self {
        Self { name: name.to_owned(), more_is_better: true, meaning: meaning.to_owned() }
    }

    /// A metric of which less is better.
    pub fn less(name: &str, meaning: &str) -> Self {
        Self { name: name.to_owned(), more_is_better: false, meaning: meaning.to_owned() }
    }
}

/// (base − model) / (base − ceiling) of a metric.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Gain {
    /// Of which metric.
    pub metric: String,
    /// Whose gain is 1.
    pub ceiling: Predictor,
    /// The share, with its standard error by the delta method over independent users.
    pub share: Estimate,
    /// By how many standard errors of the difference the model is better than the ceiling; negative if it is worse.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excess: Option<f64>,
}

/// Predictions that are next to one another.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bin {
    /// The least prediction.
    pub low: f64,
    /// The greatest prediction.
    pub high: f64,
    /// How many.
    pub n: u64,
    /// Their mean prediction.
    pub predicted: f64,
    /// The share of positives.
    pub observed: f64,
    /// Standard error of `observed` if the predictions are right: √Σp(1 − p) / n.
    pub standard_error: f64,
}

/// One group.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Group {
    /// By what it is grouped: `persona`, `edge`, `state`.
    pub by: String,
    /// Which one.
    pub name: String,
    /// How many of `n`.
    pub n: u64,
    /// Values by name; one that is not defined here is missing.
    pub values: BTreeMap<String, f64>,
}

/// A statement that holds or does not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// What is stated.
    pub name: String,
    /// What was found.
    pub value: f64,
    /// What it is compared with.
    pub bound: f64,
    /// Whether it holds.
    pub passed: bool,
    /// Whether it was asked for as a threshold: then its failure is the command's.
    pub required: bool,
}

impl Scorecard {
    /// The column of a predictor.
    pub fn column(&self, predictor: Predictor) -> Option<&Column> {
        self.columns.iter().find(|column| column.predictor == predictor)
    }

    /// A metric of a predictor.
    pub fn metric(&self, predictor: Predictor, name: &str) -> Option<Estimate> {
        self.column(predictor)?.metrics.get(name).copied()
    }

    /// The share of what could be gained, against a ceiling.
    pub fn gain(&self, ceiling: Predictor) -> Option<&Gain> {
        self.gains.iter().find(|gain| gain.ceiling == ceiling)
    }

    /// Whether every threshold that was asked for is kept.
    pub fn passed(&self) -> bool {
        self.verdicts.iter().all(|verdict| verdict.passed || !verdict.required)
    }
}
