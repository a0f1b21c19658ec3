//! What policies of sending are worth, and what was learned about them from a log: results as data, whatever made them.

use crate::error::AnalysisError;
use crate::watch::Watch;
use populace_io::document::Resolved;
use populace_io::generator::Generator;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::Path;

/// Refuses a table in another form than that of slots, which would be read as a document.
///
/// # Errors
/// Its ending is that of such a form.
pub fn refuse_other_table(name: &str) -> Result<(), AnalysisError> {
    const OTHERS: [&str; 7] = ["jsonl", "ndjson", "parquet", "pq", "arrow", "feather", "gz"];
    let ending = Path::new(name).extension().unwrap_or_default().to_string_lossy().to_lowercase();
    if !OTHERS.contains(&ending.as_str()) {
        return Ok(());
    }
    Err(AnalysisError::input(format!(
        "{name}: slots are read from CSV alone\nhint: write the table with the columns recipient_id and slot, as `populace policy learn` does"
    )))
}

/// A policy on a run's people: its name, and the run's document with it.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// What it is called.
    pub name: String,
    /// The run's document with the policy in the place of its own.
    pub document: Resolved,
}

/// What a message is worth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reward {
    /// Of an open by the recipient.
    pub open: f64,
    /// Minutes after delivery within which an open counts; any, if null.
    pub within_minutes: Option<f64>,
    /// Of a click.
    pub click: f64,
    /// Of an opt-out by the message.
    #[serde(default)]
    pub unsubscribe: f64,
    /// Of a report as spam.
    #[serde(default)]
    pub complaint: f64,
    /// Of being sent.
    pub send: f64,
}

impl Reward {
    /// Whether one-step values are worked out: who leaves is no matter of one step.
    pub(crate) fn has_one_step(&self) -> bool {
        self.unsubscribe == 0.0 && self.complaint == 0.0
    }
}

impl std::str::FromStr for Reward {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let usage = || {
            format!(
                "`{text}` is not a reward; choose open, click, open_within:24h, or a sum such as '{{\"open\": 1, \"click\": 3, \"unsubscribe\": -20, \"complaint\": -60, \"send\": -0.002}}'"
            )
        };
        match text {
            "open" => return Ok(Self { open: 1.0, ..Self::default() }),
            "click" => return Ok(Self { click: 1.0, ..Self::default() }),
            _ => {}
        }
        if let Some(time) = text.strip_prefix("open_within:") {
            let (number, unit) = time.split_at(time.len().saturating_sub(1));
            let minutes = match unit {
                "m" => 1.0,
                "h" => 60.0,
                "d" => 1_440.0,
                _ => return Err(usage()),
            };
            let within = number.parse::<f64>().ok().filter(|number| *number > 0.0 && number.is_finite()).ok_or_else(usage)?;
            return Ok(Self { open: 1.0, within_minutes: Some(within * minutes), ..Self::default() });
        }
        let parts: std::collections::BTreeMap<String, f64> = serde_json::from_str(text).map_err(|_| usage())?;
        let mut reward = Self::default();
        for (name, value) in parts {
            match name.as_str() {
                "open" => reward.open = value,
                "click" => reward.click = value,
                "unsubscribe" => reward.unsubscribe = value,
                "complaint" => reward.complaint = value,
                "send" => reward.send = value,
                _ => return Err(format!("`{name}` is not rewarded; choose from open, click, unsubscribe, complaint, send")),
            }
        }
        Ok(reward)
    }
}

/// A number with its standard error over users.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// The number.
    pub value: f64,
    /// Its standard error.
    pub standard_error: f64,
}

/// How policies are valued.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Valuation {
    /// What a message is worth.
    pub reward: Reward,
    /// Whether probabilities are summed, not what happened.
    pub expected: bool,
    /// What a reward a day later is worth to a user's value; 1 for as much.
    pub discount: f64,
}

/// What one-step estimates from the log of the first policy are of.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct OneStep {
    /// Reward a decision, with the states that the first policy led to and the actions of this one.
    pub value: Measured,
    /// That less the reward a decision when the policy is followed throughout: what the states that it leads to itself cost.
    pub interference_bias: Measured,
    /// The same over the reward a decision.
    pub relative_bias: f64,
}

/// What one policy is worth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PolicyValue {
    /// Its name.
    pub policy: String,
    /// Messages sent, triggered ones too.
    pub messages: u64,
    /// Messages that it decided on.
    pub decisions: u64,
    /// Reward a message.
    pub message: Measured,
    /// Reward a decision.
    pub decision: Measured,
    /// Reward a user, discounted.
    pub user: Measured,
    /// One step from the first policy, of users whom neither holds out; none with other windows, slots or caps, or if
    /// who leaves is rewarded.
    pub one_step: Option<OneStep>,
}

/// How two policies differ on the same people: the second minus the first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// The first.
    pub first: String,
    /// The second.
    pub second: String,
    /// Of the reward a message, with what pairing saves: the variance of two separate groups over that of the pairs.
    pub message: Measured,
    /// That ratio.
    pub message_variance_ratio: f64,
    /// Of the reward a user.
    pub user: Measured,
    /// Its ratio.
    pub user_variance_ratio: f64,
}

/// What policies are worth on the same people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Values {
    /// Users.
    pub users: u64,
    /// Days.
    pub days: u32,
    /// What a message is worth.
    pub reward: Reward,
    /// Whether probabilities are summed, not what happened.
    pub expected: bool,
    /// What a reward a day later is worth to a user's value.
    pub discount: f64,
    /// The policies.
    pub policies: Vec<PolicyValue>,
    /// Each against the first.
    pub differences: Vec<Difference>,
}

/// A number to four digits with its error.
fn shown(of: &Measured) -> String {
    format!("{:.5} ± {:.5}", of.value, of.standard_error)
}

impl fmt::Display for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.policies.iter().map(|of| of.policy.len()).max().unwrap_or(0).max(6);
        writeln!(f, "{} users, {} days; reward by {}", self.users, self.days, if self.expected { "probability" } else { "what happened" })?;
        let head = ["messages", "decisions", "a message", "a decision", "a user"];
        writeln!(f, "{:<width$} {:>10} {:>10} {:>20} {:>20} {:>20}", "policy", head[0], head[1], head[2], head[3], head[4])?;
        for of in &self.policies {
            let (message, decision, user) = (shown(&of.message), shown(&of.decision), shown(&of.user));
            writeln!(f, "{:<width$} {:>10} {:>10} {message:>20} {decision:>20} {user:>20}", of.policy, of.messages, of.decisions)?;
        }
        for of in &self.policies {
            if let Some(step) = &of.one_step {
                let (value, bias) = (shown(&step.value), shown(&step.interference_bias));
                writeln!(
                    f,
                    "{}: one step from the first, {value} a decision; interference bias {bias} ({:+.1}%)",
                    of.policy,
                    100.0 * step.relative_bias
                )?;
            }
        }
        for of in &self.differences {
            let (message, user) = (shown(&of.message), shown(&of.user));
            writeln!(
                f,
                "{} − {}: a message {message} (variance of pairs {:.1} times smaller), a user {user} ({:.1})",
                of.second, of.first, of.message_variance_ratio, of.user_variance_ratio
            )?;
        }
        Ok(())
    }
}

/// An estimate from the log, held against the truth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Graded {
    /// The estimator.
    pub estimator: String,
    /// The estimate of the reward a decision.
    pub estimate: f64,
    /// Its standard error over decisions: for these people.
    pub standard_error: f64,
    /// Its standard error by user: for people like these.
    pub standard_error_by_user: f64,
    /// Estimate minus truth.
    pub error: f64,
    /// That over the truth.
    pub relative_error: f64,
    /// That over the greater of the two, with the error of the truth.
    pub z: f64,
}

/// How an estimator does on logs of other people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Replicated {
    /// The estimator.
    pub estimator: String,
    /// Mean error.
    pub bias: f64,
    /// Standard deviation of the error.
    pub sd: f64,
    /// Root mean square of the error.
    pub rmse: f64,
    /// That over the mean truth.
    pub relative_rmse: f64,
    /// How often an interval of 95% over decisions has the truth of its people.
    pub coverage: f64,
    /// How often one by user has the mean truth of all.
    pub coverage_by_user: f64,
}

/// Estimates of a target policy from a log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// The target.
    pub target: String,
    /// Decisions of the log, but of held-out recipients.
    pub decisions: u64,
    /// Users who were not held out.
    pub users: u64,
    /// The reward a decision when the same people are mailed by the target.
    pub truth: Measured,
    /// What one-step estimators are of: the log's states, the target's actions.
    pub one_step: Option<OneStep>,
    /// Where machines open: the reward a decision by rows, less that by people.
    pub measurement_bias: Option<Measured>,
    /// Mean weight, 1 if propensities are right, with its standard error.
    pub mean_weight: Measured,
    /// The greatest weight.
    pub max_weight: f64,
    /// Effective sample size, (Σw)²/Σw².
    pub effective_sample_size: f64,
    /// How often the target does what the log never does.
    pub unsupported: f64,
    /// The estimators.
    pub estimators: Vec<Graded>,
    /// How many logs of other people were made.
    pub replicates: u32,
    /// How the estimators do on them.
    pub replicated: Vec<Replicated>,
    /// What to know about them.
    pub notes: Vec<String>,
}

impl fmt::Display for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} on {} decisions of {} users: {} a decision in truth", self.target, self.decisions, self.users, shown(&self.truth))?;
        if let Some(step) = &self.one_step {
            let (value, bias) = (shown(&step.value), shown(&step.interference_bias));
            writeln!(f, "one step from the log: {value}; interference bias {bias} ({:+.1}%)", 100.0 * step.relative_bias)?;
        }
        if let Some(bias) = &self.measurement_bias {
            writeln!(f, "measurement bias, rows less people: {}", shown(bias))?;
        }
        writeln!(
            f,
            "weights: mean {}, greatest {:.1}; effective sample size {:.0} ({:.1}% of decisions); {:.2}% of the target is never done in the log",
            shown(&self.mean_weight),
            self.max_weight,
            self.effective_sample_size,
            100.0 * self.effective_sample_size / self.decisions.max(1) as f64,
            100.0 * self.unsupported
        )?;
        let head = ["estimate", "these people", "people like", "error", "relative", "z"];
        writeln!(f, "{:<10} {:>9} {:>12} {:>12} {:>9} {:>8} {:>7}", "estimator", head[0], head[1], head[2], head[3], head[4], head[5])?;
        for of in &self.estimators {
            writeln!(
                f,
                "{:<10} {:>9.5} {:>12} {:>12} {:>+9.5} {:>8} {:>+7.2}",
                of.estimator,
                of.estimate,
                format!("± {:.5}", of.standard_error),
                format!("± {:.5}", of.standard_error_by_user),
                of.error,
                format!("{:+.1}%", 100.0 * of.relative_error),
                of.z
            )?;
        }
        if self.replicates > 0 {
            writeln!(f, "{} logs of other people; coverage of 95%: these people, people like these", self.replicates)?;
            let head = ["bias", "sd", "rmse", "relative", "these", "like these"];
            writeln!(f, "{:<10} {:>9} {:>9} {:>9} {:>8} {:>10} {:>10}", "estimator", head[0], head[1], head[2], head[3], head[4], head[5])?;
        }
        for of in &self.replicated {
            writeln!(
                f,
                "{:<10} {:>+9.5} {:>9.5} {:>9.5} {:>8} {:>10.3} {:>10.3}",
                of.estimator,
                of.bias,
                of.sd,
                of.rmse,
                format!("{:.1}%", 100.0 * of.relative_rmse),
                of.coverage,
                of.coverage_by_user
            )?;
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "note: {note}"))
    }
}

/// A policy that was learned: the slot of each recipient.
#[derive(Clone, Debug, PartialEq)]
pub struct Learned {
    /// Recipients and slots, in the order of the log.
    pub slots: Vec<(String, u16)>,
    /// Messages that it was learned from.
    pub messages: u64,
}

/// What is learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The slot with the greatest estimated open rate, shrunk to that of everybody (empirical Bayes).
    BestHour,
    /// The slot with most opens: the usual mistake, as it is the slot in which most was sent.
    MostOpens,
    /// The slot of the greatest expected value, given all that can be observed of the recipient and the laws of the scenario.
    OracleObservable,
}

/// The numbers that estimators take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimators {
    /// The greatest weight of `ips_clip`.
    pub clip: f64,
    /// The weight above which `switch_dr` takes the model alone.
    pub switch: f64,
    /// The shrinkage of `dros`.
    pub shrinkage: f64,
    /// Decisions whose weights `pdis` multiplies.
    pub span: usize,
}

impl Default for Estimators {
    fn default() -> Self {
        Self { clip: 10.0, switch: 10.0, shrinkage: 100.0, span: 3 }
    }
}

/// How a log is evaluated.
#[derive(Clone, Copy, Debug)]
pub struct Evaluate<'a> {
    /// What a message is worth.
    pub reward: Reward,
    /// The first moment of the windows that count: a target that was learned from earlier messages is to be judged by later ones.
    pub from: Option<populace_core::time::Date>,
    /// Whether a target is evaluated of which more than 1% is never done in the log.
    pub allow_unsupported: bool,
    /// The numbers of the estimators.
    pub estimators: Estimators,
    /// A file of the user's own values: `decision_id`, action, q.
    pub q_hat: Option<&'a Path>,
    /// How many logs of other people the estimators are tried on.
    pub replicates: u32,
    /// The target.
    pub target: &'a Candidate,
}

/// The decisions of a log as arrays by row, as libraries of off-policy evaluation take them; what is by slot has `actions` numbers a row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rounds {
    /// Slots, and one more for no message where a decision of the log, or the target, may send none.
    pub actions: usize,
    /// The names of the numbers of `context`.
    pub names: Vec<String>,
    /// The recipient of each decision.
    pub recipients: Vec<String>,
    /// What the sender knows when the window begins.
    pub context: Vec<f64>,
    /// What was done.
    pub action: Vec<i64>,
    /// What came of it.
    pub reward: Vec<f64>,
    /// How likely the action was.
    pub propensity: Vec<f64>,
    /// How likely each action was.
    pub logged: Vec<f64>,
    /// The true value of each slot: E open rate × timing × minute.
    pub expected: Vec<f64>,
    /// The estimate of each slot's reward by the model of `best_hour`, fitted to the other folds of decisions.
    pub modelled: Vec<f64>,
    /// How likely the target takes each action; empty without one.
    pub target: Vec<f64>,
}

/// Which rounds of a log are wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// What a message is worth.
    pub reward: Reward,
    /// The first day of the windows that count.
    pub from: Option<populace_core::time::Date>,
    /// The policy whose probabilities are wanted too.
    pub target: Option<&'a Candidate>,
}

/// Values policies.
pub(crate) type Value = fn(&[Candidate], u64, &Valuation, &Watch<'_>) -> Result<Values, AnalysisError>;

/// The generator of a document that mails by a schedule, and that schedule.
pub(crate) type Scheduled = fn(&Resolved, &Path, &Watch<'_>) -> Result<Box<dyn Generator>, AnalysisError>;

/// What a family that has policies does with them.
#[derive(Clone, Copy)]
pub(crate) struct Policies {
    pub(crate) value: Value,
    pub(crate) learn: fn(&Path, Rule, Option<populace_core::time::Date>, &Watch<'_>) -> Result<Learned, AnalysisError>,
    pub(crate) evaluate: fn(&Path, &Evaluate<'_>, &Watch<'_>) -> Result<Evaluation, AnalysisError>,
    pub(crate) schedule: Scheduled,
    pub(crate) rounds: fn(&Path, &Wanted<'_>, &Watch<'_>) -> Result<Rounds, AnalysisError>,
    pub(crate) rewards: fn(&Path, Reward, &Path, &Watch<'_>) -> Result<ActionValues, AnalysisError>,
}

/// A file of what each slot would have been worth to each decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActionValues {
    /// Decisions with a slot that was allowed.
    pub decisions: u64,
    /// Rows: slots of decisions.
    pub rows: u64,
}
