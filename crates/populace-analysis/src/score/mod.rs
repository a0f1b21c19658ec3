//! A user's predictions graded against the truth, and against the ceiling: the best that any model could do with what it may see.
//! `docs/guide/score.md` says what each task scores and how its ceilings are worked out.

mod anomaly;
pub mod binary;
pub mod card;
mod churn;
mod clusters;
pub mod concordance;
mod curves;
mod engagement;
mod latency;
mod predictions;
pub mod ranks;
mod rows;
mod send_time;
pub mod text;
mod transitions;

pub use card::{Bin, Column, Estimate, FORMAT, Gain, Group, Metric, Predictor, RunInfo, Scorecard, Verdict};

use crate::error::AnalysisError;
use crate::model::Model;
use crate::source::Source;
use engagement::Step;
use populace_core::time::Date;
use std::path::{Path, PathBuf};

/// What is scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Whether a delivered message is opened.
    Open,
    /// Whether an opened message is clicked.
    Click,
    /// When to send to a recipient.
    SendTime,
    /// How long a delivery takes.
    Latency,
    /// Who churns.
    Churn,
    /// Where sessions go next.
    Transitions,
    /// What a cascade struck.
    Anomaly,
}

impl Task {
    /// Every task.
    pub const ALL: [Self; 7] = [Self::Open, Self::Click, Self::SendTime, Self::Latency, Self::Churn, Self::Transitions, Self::Anomaly];

    /// As on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Click => "click",
            Self::SendTime => "send_time",
            Self::Latency => "latency",
            Self::Churn => "churn",
            Self::Transitions => "transitions",
            Self::Anomaly => "anomaly",
        }
    }

    /// The family of scenarios that it belongs to.
    const fn family(self) -> &'static str {
        match self {
            Self::Open | Self::Click | Self::SendTime | Self::Latency => "email",
            Self::Churn => "churn",
            Self::Transitions | Self::Anomaly => "traces",
        }
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
}

impl Options {
    /// Refuses what cannot be, and what would be left out of account.
    fn check(&self, task: Task) -> Result<(), AnalysisError> {
        if let Some(alpha) = self.alpha.filter(|alpha| !(*alpha > 0.0 && *alpha < 1.0)) {
            return Err(AnalysisError::input(format!("--alpha: must lie between 0 and 1, got {alpha}")));
        }
        let of_probabilities = matches!(task, Task::Open | Task::Click | Task::Churn);
        for (option, is_given, has) in [
            ("--alpha", self.alpha.is_some(), task == Task::Transitions),
            ("--as-of", self.as_of.is_some(), task == Task::Churn),
            ("--ranks", self.ranks, of_probabilities),
            ("--rows", self.rows.is_some(), task != Task::Transitions),
        ] {
            if is_given && !has {
                return Err(AnalysisError::input(format!("{option}: says nothing to {}; leave it out", task.name())));
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

/// Scores a file of predictions against the run in a directory.
///
/// # Errors
/// The run has no truth or is of another scenario; a prediction is unknown, missing, repeated or not finite; a threshold is of a metric
/// that the task does not have.
pub fn score(task: Task, run: &Path, predictions: &Path, options: &Options) -> Result<Scorecard, AnalysisError> {
    options.check(task)?;
    let source = Source::open(run)?;
    let model = source.model()?;
    if model.family() != task.family() {
        let (run, family, name) = (run.display(), model.family(), task.name());
        return Err(AnalysisError::input(format!("{run}: is a run of {family}; {name} is scored on runs of {}", task.family())));
    }
    check_whole(&source)?;
    let context = Context { task, source: &source, predictions, options };
    let mut card = match (task, &model) {
        (Task::Open, Model::Email(model)) => engagement::score(&context, model, Step::Open)?,
        (Task::Click, Model::Email(model)) => engagement::score(&context, model, Step::Click)?,
        (Task::SendTime, Model::Email(model)) => send_time::score(&context, model)?,
        (Task::Latency, Model::Email(model)) => latency::score(&context, model)?,
        (Task::Churn, Model::Churn(model)) => churn::score(&context, model)?,
        (Task::Anomaly, Model::Traces(model)) => anomaly::score(&context, model)?,
        (Task::Transitions, Model::Traces(model)) => transitions::score(&context, model)?,
        _ => unreachable!("the family was checked"),
    };
    judge(&mut card, &options.thresholds)?;
    Ok(card)
}

/// What every task needs.
struct Context<'a> {
    task: Task,
    source: &'a Source,
    predictions: &'a Path,
    options: &'a Options,
}

impl Context<'_> {
    /// A card with what is the same for all tasks.
    fn card(&self, label: &str) -> Scorecard {
        let run = self.source.manifest().map_or_else(RunInfo::default, |manifest| RunInfo {
            scenario: manifest.identity.scenario.clone(),
            scenario_digest: manifest.identity.scenario_digest.clone(),
            seed: manifest.identity.seed,
            users: manifest.identity.users,
        });
        Scorecard {
            format: FORMAT,
            task: self.task.name().to_owned(),
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
        "{root}: the run was cut off after {count} rows, in the middle of a user, whose labels would be wrong\nhint: generate it with --users instead of --count"
    )))
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
