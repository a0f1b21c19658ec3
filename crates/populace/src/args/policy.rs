//! What the commands over policies take.

use super::ReadingArgs;
use super::generate::FormatArg;
use super::values::whole;
use clap::{Args, Subcommand, ValueEnum, ValueHint};
use populace_analysis::policy::{Reward, Rule};
use populace_core::time::Date;
use std::path::PathBuf;

/// A number from 0 to 1.
fn share(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "is not a number".to_owned())?;
    if (0.0..=1.0).contains(&value) { Ok(value) } else { Err("must be from 0 to 1".to_owned()) }
}

/// A finite number above 0.
fn above_0(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "is not a number".to_owned())?;
    if value > 0.0 && value.is_finite() { Ok(value) } else { Err("must be above 0".to_owned()) }
}

#[derive(Args, Debug)]
pub(crate) struct PolicyArgs {
    #[command(subcommand)]
    pub(crate) command: PolicyCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Mail the same people by another policy: a run of its own
    Replay(PolicyReplayArgs),
    /// What policies are worth on the same people, with errors and paired differences; writes no data
    Value(PolicyValueArgs),
    /// Learn the slot of each recipient from the messages of a run
    Learn(PolicyLearnArgs),
    /// Write what each slot would have been worth to each decision of a run
    Rewards(PolicyRewardsArgs),
    /// Estimate a policy from the log of another, and grade the estimates against the truth
    Evaluate(PolicyEvaluateArgs),
}

#[derive(Args, Debug)]
pub(crate) struct PolicyReplayArgs {
    /// Directory of a run of email
    #[arg(value_name = "RUN", value_hint = ValueHint::DirPath)]
    pub(crate) run: PathBuf,
    /// The policy: a file, a built-in one, or a CSV of recipient_id and slot as `policy learn` writes it
    #[arg(long, value_name = "POLICY", required_unless_present = "schedule")]
    pub(crate) policy: Option<String>,
    /// In place of a policy, a schedule of your own in CSV, JSON Lines, Parquet or Arrow: recipient_id and send_time, if you like
    /// campaign_id, subject and decision_id
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "policy")]
    pub(crate) schedule: Option<PathBuf>,
    /// Directory for the data
    #[arg(short, long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) output: PathBuf,
    /// File format [default: parquet]
    #[arg(short, long, value_enum)]
    pub(crate) format: Option<FormatArg>,
    /// Worker threads [default: one a core]
    #[arg(short = 'j', long, value_name = "N", value_parser = whole::<u16>(1..=1024))]
    pub(crate) threads: Option<u16>,
    /// Go on with an interrupted replay
    #[arg(long, conflicts_with = "overwrite")]
    pub(crate) resume: bool,
    /// Replace the run in the directory
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Print nothing but errors and warnings
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

#[derive(Args, Debug)]
#[command(allow_negative_numbers = true)]
pub(crate) struct PolicyValueArgs {
    /// Directory of a run of email
    #[arg(value_name = "RUN", value_hint = ValueHint::DirPath)]
    pub(crate) run: PathBuf,
    /// A policy to hold against that of the run; may be repeated
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) policy: Vec<String>,
    /// What a message is worth: open, click, open_within:24h, or a sum such as '{"open": 1, "click": 3, "unsubscribe": -20, "complaint": -60, "send": -0.002}'
    #[arg(long, value_name = "REWARD", default_value = "open")]
    pub(crate) reward: Reward,
    /// Days to mail for [default: the run's]
    #[arg(short, long, value_name = "N", value_parser = whole::<u32>(1..=u64::from(u32::MAX)))]
    pub(crate) days: Option<u32>,
    /// What a reward a day later is worth to a user's value, from 0 to 1
    #[arg(long, value_name = "GAMMA", default_value_t = 1.0, value_parser = share)]
    pub(crate) discount: f64,
    /// Sum probabilities: so it is unless --realised is given
    #[arg(long, conflicts_with = "realised")]
    pub(crate) expected: bool,
    /// Sum what happened, in place of its probabilities
    #[arg(long)]
    pub(crate) realised: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) reading: ReadingArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum RuleArg {
    /// The slot with the greatest estimated open rate, shrunk to that of everybody
    BestHour,
    /// The slot with most opens: the usual mistake
    MostOpens,
    /// The slot of the greatest expected value, by the posterior of who the recipient is: the ceiling for what is learned
    OracleObservable,
}

impl From<RuleArg> for Rule {
    fn from(rule: RuleArg) -> Self {
        match rule {
            RuleArg::BestHour => Self::BestHour,
            RuleArg::MostOpens => Self::MostOpens,
            RuleArg::OracleObservable => Self::OracleObservable,
        }
    }
}

#[derive(Args, Debug)]
pub(crate) struct PolicyLearnArgs {
    /// What is learned
    #[arg(value_enum)]
    pub(crate) rule: RuleArg,
    /// Directory of a run of email
    #[arg(value_name = "RUN", value_hint = ValueHint::DirPath)]
    pub(crate) run: PathBuf,
    /// Learn from messages before this day alone, YYYY-MM-DD
    #[arg(long, value_name = "DATE")]
    pub(crate) train_until: Option<Date>,
    /// The CSV file of recipient_id and slot; `-` for standard output
    #[arg(short, long, value_name = "FILE", default_value = "-", value_hint = ValueHint::FilePath)]
    pub(crate) output: PathBuf,
    #[command(flatten)]
    pub(crate) reading: ReadingArgs,
}

#[derive(Args, Debug)]
#[command(allow_negative_numbers = true)]
pub(crate) struct PolicyRewardsArgs {
    /// Directory of a run of email with a policy
    #[arg(value_name = "RUN", value_hint = ValueHint::DirPath)]
    pub(crate) run: PathBuf,
    /// What q_reward is of: open, click, open_within:24h, or a sum such as '{"open": 1, "click": 3, "send": -0.002}'
    #[arg(long, value_name = "REWARD", default_value = "open")]
    pub(crate) reward: Reward,
    /// The CSV file [default: truth/action_values.csv in the run]
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) reading: ReadingArgs,
}

#[derive(Args, Debug)]
#[command(allow_negative_numbers = true)]
pub(crate) struct PolicyEvaluateArgs {
    /// Directory of a run with a policy
    #[arg(value_name = "RUN", value_hint = ValueHint::DirPath)]
    pub(crate) run: PathBuf,
    /// The policy to estimate
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) target: String,
    /// What a message is worth: open, click, open_within:24h, or a sum such as '{"open": 1, "click": 3, "unsubscribe": -20, "complaint": -60, "send": -0.002}'
    #[arg(long, value_name = "REWARD", default_value = "open")]
    pub(crate) reward: Reward,
    /// Evaluate on windows from this day on, YYYY-MM-DD: those that the target was not learned from
    #[arg(long, value_name = "DATE")]
    pub(crate) from: Option<Date>,
    /// Estimate a target of which more than 1% is never done in the log
    #[arg(long)]
    pub(crate) allow_unsupported: bool,
    /// The greatest weight of ips_clip
    #[arg(long, value_name = "WEIGHT", default_value_t = 10.0, value_parser = above_0)]
    pub(crate) clip: f64,
    /// The weight above which switch_dr takes the model alone
    #[arg(long, value_name = "WEIGHT", default_value_t = 10.0, value_parser = above_0)]
    pub(crate) switch: f64,
    /// The shrinkage of dros
    #[arg(long, value_name = "LAMBDA", default_value_t = 100.0, value_parser = above_0)]
    pub(crate) shrinkage: f64,
    /// Decisions of a recipient whose weights pdis multiplies
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = whole::<u16>(1..=1000))]
    pub(crate) span: u16,
    /// Values of your own in the place of the model: a file of decision_id, action and q
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) q_hat: Option<PathBuf>,
    /// Try the estimators on so many logs of other people: bias, RMSE and coverage of the intervals
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = whole::<u32>(0..=1_000_000))]
    pub(crate) replicates: u32,
    /// Write the estimates as JSON
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
    /// Print JSON instead of the table
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) reading: ReadingArgs,
}
