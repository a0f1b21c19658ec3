//! A user's predictions graded against the truth, and against the ceiling: the best that any model could do with what it may see.
//! `docs/guide/score.md` says what each task scores and how its ceilings are worked out.

pub mod binary;
pub mod card;
pub(crate) mod clusters;
pub(crate) mod predictions;
pub mod ranks;
pub(crate) mod rows;
pub mod text;

pub use card::{Bin, Column, Estimate, FORMAT, Gain, Group, Metric, Predictor, RunInfo, Scorecard, Verdict};

use crate::error::AnalysisError;
use crate::source::{ReadOptions, Source};
use crate::watch::Watch;
use binary::Binary;
use populace_core::time::Date;
use populace_io::document::Resolved;
use populace_io::wording::{option, own};
use std::path::{Path, PathBuf};

/// An option that not every task takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// `--alpha`: a level for all parts of a table together.
    Alpha,
    /// `--as-of`: the last day whose events are known.
    AsOf,
    /// `--ranks`: scores that are no probabilities.
    Ranks,
    /// `--rows`: a file of each row.
    Rows,
}

/// What is scored.
pub struct Task {
    /// As on the command line.
    pub name: &'static str,
    /// What is predicted, and the columns of the file of predictions.
    pub meaning: &'static str,
    pub(crate) takes: &'static [Takes],
    pub(crate) score: fn(&Context<'_>) -> Result<Scorecard, AnalysisError>,
}

impl Task {
    /// Whether it is meant by a name, with hyphens or without.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        self.name == name.replace('-', "_")
    }
}

/// How to score.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Whether predictions may be of a part of those that have a label.
    pub subset: bool,
    /// Whether scores are no probabilities: only their order counts.
    pub ranks: bool,
    /// Where to write each row with its label and the probabilities of the ceilings, as CSV.
    pub rows: Option<PathBuf>,
    /// What must hold.
    pub thresholds: Vec<Threshold>,
    /// Of transitions: the level at which all states together must be what sampling gives; none if that is told and not asked for.
    pub alpha: Option<f64>,
    /// Of churn: the last day whose events are known; none for the day before anybody can churn.
    pub as_of: Option<Date>,
    /// How the file of predictions is read.
    pub reading: ReadOptions,
}

impl Options {
    /// Refuses what cannot be, and what would be left out of account.
    pub(crate) fn check(&self, task: &Task) -> Result<(), AnalysisError> {
        if let Some(alpha) = self.alpha.filter(|alpha| !(*alpha > 0.0 && *alpha < 1.0)) {
            return Err(AnalysisError::input(format!("{}: must lie between 0 and 1, got {alpha}", option("alpha"))));
        }
        for (option, is_given, what) in [
            ("--alpha", self.alpha.is_some(), Takes::Alpha),
            ("--as-of", self.as_of.is_some(), Takes::AsOf),
            ("--ranks", self.ranks, Takes::Ranks),
            ("--rows", self.rows.is_some(), Takes::Rows),
        ] {
            if is_given && !task.takes.contains(&what) {
                return Err(AnalysisError::input(format!("{} does not apply to task `{}`; leave it out", own(option), task.name)));
            }
        }
        self.thresholds.iter().try_for_each(Threshold::check)
    }
}

/// A bound on a metric of the model.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    /// As on the command line, such as `--min-auc`.
    pub option: String,
    /// The metric, or `gain`: the share of the attainable gain.
    pub metric: String,
    /// Whether it is the least that must be reached, or the most.
    pub is_least: bool,
    /// The bound.
    pub bound: f64,
}

impl Threshold {
    /// Refuses a bound that nothing, or everything, reaches.
    fn check(&self) -> Result<(), AnalysisError> {
        let Self { option, bound, .. } = self;
        // A gain below 0 is a model that is worse than the base rate; above 1, one that was lucky.
        let is_share = ["auc", "average_precision", "brier", "concordance", "recall_at_90", "total_variation", "regret"];
        let range = if is_share.contains(&self.metric.as_str()) { 0.0..=1.0 } else { f64::MIN..=f64::MAX };
        if range.contains(bound) {
            return Ok(());
        }
        let range = if *range.end() == 1.0 { "must lie from 0 to 1" } else { "must be a number" };
        Err(AnalysisError::input(format!("{option}: {range}, got {bound}")))
    }
}

/// What every task needs.
pub(crate) struct Context<'a> {
    pub(crate) task: &'a Task,
    pub(crate) source: &'a Source,
    pub(crate) document: &'a Resolved,
    pub(crate) predictions: &'a Path,
    pub(crate) options: &'a Options,
    pub(crate) watch: &'a Watch<'a>,
}

impl Context<'_> {
    /// Scores, and judges by the thresholds.
    pub(crate) fn score(&self) -> Result<Scorecard, AnalysisError> {
        check_whole(self.source)?;
        let mut card = (self.task.score)(self)?;
        card.notes.extend(card.gains.iter().filter_map(beyond));
        judge(&mut card, &self.options.thresholds)?;
        Ok(card)
    }

    /// A card with what is the same for all tasks.
    pub(crate) fn card(&self, label: &str) -> Scorecard {
        let run = self.source.manifest().map_or_else(RunInfo::default, |manifest| RunInfo {
            scenario: manifest.identity.scenario.clone(),
            scenario_digest: manifest.identity.scenario_digest.clone(),
            seed: manifest.identity.seed,
            users: manifest.identity.users,
        });
        Scorecard {
            format: FORMAT,
            task: self.task.name.to_owned(),
            run,
            predictions: self.predictions.display().to_string(),
            label: label.to_owned(),
            n: 0,
            positives: None,
            columns: Vec::new(),
            metrics: Vec::new(),
            gains: Vec::new(),
            calibration: Vec::new(),
            groups: Vec::new(),
            verdicts: Vec::new(),
            counts: std::collections::BTreeMap::new(),
            notes: Vec::new(),
        }
    }
}

/// That no actor's rows were cut off in the middle, which would be labels that are wrong.
fn check_whole(source: &Source) -> Result<(), AnalysisError> {
    let count = source.manifest().and_then(|manifest| manifest.identity.count);
    let Some(count) = count else { return Ok(()) };
    let root = source.root().display();
    Err(AnalysisError::input(format!(
        "{root}: the run was cut off after {count} rows, in the middle of a user, whose labels would be wrong\n{}",
        own("hint: generate it with --users instead of --count")
    )))
}

/// What it means that a model is better than the best that can be: by more than 3 standard errors.
fn beyond(gain: &Gain) -> Option<String> {
    let Gain { metric, ceiling, share, excess } = gain;
    let excess = excess.filter(|excess| *excess > 3.0)?;
    Some(format!(
        "the gain in {} is {:.0}% of the ceiling's ({}), {excess:.1} standard errors above 100%: more than the data can say. Look for a leak, \
         a column that gives the answer away; else it is luck",
        metric.replace('_', " "),
        100.0 * share.value,
        ceiling.heading(),
    ))
}

/// Adds the verdicts of the thresholds.
fn judge(card: &mut Scorecard, thresholds: &[Threshold]) -> Result<(), AnalysisError> {
    for threshold in thresholds {
        let value = if threshold.metric == "gain" {
            card.gains.first().map(|gain| gain.share.value)
        } else {
            card.metric(Predictor::Model, &threshold.metric).map(|estimate| estimate.value)
        };
        let Some(value) = value else {
            let Threshold { option, metric, .. } = threshold;
            return Err(AnalysisError::input(format!("{option}: {} has no {metric} here to hold against it", card.task)));
        };
        let passed = if threshold.is_least { value >= threshold.bound } else { value <= threshold.bound };
        let name = format!("{} {} {}", threshold.metric, if threshold.is_least { "at least" } else { "at most" }, threshold.bound);
        card.verdicts.push(Verdict { name, value, bound: threshold.bound, passed, required: true });
    }
    Ok(())
}

/// Fills a card with the scores of a label of two values.
pub(crate) fn fill(card: &mut Scorecard, binary: &Binary, by: &str) {
    card.n = binary.n();
    card.positives = Some(binary.positives());
    card.columns = binary.columns();
    card.metrics = binary::metrics();
    card.gains = binary.gains();
    card.calibration = binary.calibration();
    card.groups = binary.groups(by);
    if binary.contradicted() > 0 {
        card.counts.insert("predicted impossible, and happened".into(), binary.contradicted());
        card.notes.push(format!(
            "{} predictions gave what happened a probability below 1e-15 and count as 1e-15: each costs 34.5 in log-loss",
            binary.contradicted()
        ));
    }
    if binary.positives() == 0 || binary.positives() == binary.n() {
        card.notes.push("all labels are alike: neither the area under the curve nor a gain is defined".into());
    }
}
