//! What the command line takes.
#![expect(clippy::doc_markdown, reason = "the comments are help texts, where backticks would show")]

mod generate;
mod help;
mod policy;
#[cfg(feature = "flow")]
mod services;
mod values;

use crate::failure::Failure;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
#[cfg(feature = "kafka")]
pub(crate) use generate::ConsumeArgs;
pub use generate::ScenarioArgs;
#[cfg(any(feature = "http", feature = "kafka"))]
pub(crate) use generate::StreamArgs;
pub(crate) use generate::{FormatArg, GenerateArgs, OrderArg, ReplayArgs};
pub(crate) use help::{completions, manual, parse};
pub(crate) use policy::{
    PolicyArgs, PolicyCommand, PolicyEvaluateArgs, PolicyLearnArgs, PolicyReplayArgs, PolicyRewardsArgs, PolicyValueArgs,
};
use populace_analysis::families;
use populace_analysis::features::Curve;
use populace_analysis::source::{ReadOptions, Settings};
use populace_core::time::Date;
use populace_io::files::Format;
#[cfg(feature = "flow")]
pub(crate) use services::{FlowArgs, FlowCommand, FlowDemoArgs, ServeArgs, ServiceArgs};
use std::path::PathBuf;
pub(crate) use values::proposed;
use values::{number, whole};

/// Synthetic behavioural event data whose ground truth is known.
#[derive(Debug, Parser)]
#[command(
    name = "populace",
    version,
    propagate_version = true,
    arg_required_else_help = true,
    allow_negative_numbers = true,
    max_term_width = help::COLUMNS
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Generate a data set and its truth
    Generate(Box<GenerateArgs>),
    /// Send events in time order, at a pace, to Kafka, ClickHouse, HTTP
    #[cfg(any(feature = "http", feature = "kafka"))]
    Stream(StreamArgs),
    /// Move events from Kafka into ClickHouse, each once
    #[cfg(feature = "kafka")]
    Consume(ConsumeArgs),
    /// Print the rows of one actor, without generating the others
    Replay(ReplayArgs),
    /// Print a run's manifest, tables and first rows
    Inspect(InspectArgs),
    /// Write one HTML page of figures, and the figures as JSON
    Report(ReportArgs),
    /// Check a scenario or workflow file, and report every problem
    Check(CheckArgs),
    /// Compute how many users and days a study needs
    Plan(PlanArgs),
    /// Estimate the scenario's parameters from data, with intervals
    Recover(RecoverArgs),
    /// Check the data of a run against its scenario
    Verify(VerifyArgs),
    /// Replay, value, learn and evaluate policies of sending
    Policy(PolicyArgs),
    /// Make clean tables from raw data
    Prepare(PrepareArgs),
    /// Compute features of recipients or callers
    Features(FeaturesArgs),
    /// List and print the built-in scenarios, tables and schemas
    Scenarios(ScenariosArgs),
    /// Score predictions against the truth and the best possible model
    Score(Box<ScoreArgs>),
    /// Serve the connector and the feature service over HTTP
    #[cfg(feature = "flow")]
    Serve(ServeArgs),
    /// Run the whole flow, from generator to table, in one process
    #[cfg(feature = "flow")]
    Flow(FlowArgs),
    /// Print a shell's completion script
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page of the program or of one command
    Man {
        /// The command, such as `generate` or `prepare churn`
        #[arg(value_parser = proposed(help::commands), hide_possible_values = true)]
        command: Vec<String>,
    },
}

#[derive(Args, Debug)]
pub(crate) struct InspectArgs {
    /// Directory of a run, or a file or a directory of your own: then what it would be read as
    #[arg(value_hint = ValueHint::AnyPath)]
    pub(crate) directory: PathBuf,
    /// First rows to show of each table
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = whole::<usize>(0..=u64::MAX))]
    pub(crate) rows: usize,
    /// Print the manifest as JSON, with the seconds that its last part took; of files of your own what was found
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) files: FilesArgs,
}

#[derive(Args, Debug)]
pub(crate) struct PrepareArgs {
    #[command(subcommand)]
    pub(crate) command: PrepareCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PrepareCommand {
    /// Users and events of a subscription: users_clean, events_clean and user_daily, the full grid of users and days
    Churn(PrepareChurnArgs),
}

#[derive(Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(crate) struct PrepareChurnArgs {
    /// Directory of users and events: a run, or files of your own
    #[arg(value_name = "RAW", value_hint = ValueHint::DirPath, required_unless_present = "raw_dir")]
    pub(crate) raw: Option<PathBuf>,
    /// Directory for the clean tables and prepare_report.json
    #[arg(value_name = "PROCESSED", value_hint = ValueHint::DirPath, required_unless_present = "processed_dir")]
    pub(crate) processed: Option<PathBuf>,
    /// The same as RAW
    #[arg(long, value_name = "RAW", value_hint = ValueHint::DirPath, conflicts_with = "raw")]
    pub(crate) raw_dir: Option<PathBuf>,
    /// The same as PROCESSED
    #[arg(long, value_name = "PROCESSED", value_hint = ValueHint::DirPath, conflicts_with = "processed")]
    pub(crate) processed_dir: Option<PathBuf>,
    /// File format
    #[arg(short, long, value_enum, default_value_t = TableFormatArg::Csv)]
    pub(crate) format: TableFormatArg,
    /// Keep the latent engagement_score in users_clean
    #[arg(long)]
    pub(crate) keep_latent: bool,
    /// First day of the grid, YYYY-MM-DD; events before it are dropped [default: the run's, or that of the first event]
    #[arg(long, value_name = "DATE")]
    pub(crate) from: Option<Date>,
    /// Last day of the grid, included; events after it are dropped [default: the run's, or that of the last event]
    #[arg(long, value_name = "DATE")]
    pub(crate) to: Option<Date>,
    /// Replace what an earlier prepare left in the directory
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Print the report as JSON on standard output
    #[arg(long)]
    pub(crate) json: bool,
    /// Print nothing but errors and warnings
    #[arg(short, long)]
    pub(crate) quiet: bool,
    #[command(flatten)]
    pub(crate) files: FilesArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ReportArgs {
    /// Directory of a run, or of your own files with the same columns
    #[arg(value_hint = ValueHint::DirPath)]
    pub(crate) directory: PathBuf,
    /// Directory of a second run or files of the same family, to be compared with the first
    #[arg(value_hint = ValueHint::DirPath)]
    pub(crate) other: Option<PathBuf>,
    /// The page; the figures go to a file of the same name that ends in .json [default: report.html, or of two runs compare.html, in
    /// DIRECTORY]
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
    /// Scorecards to show, as score writes them with -o; may be several
    #[arg(long, value_name = "FILE", num_args = 1.., value_hint = ValueHint::FilePath)]
    pub(crate) scores: Vec<PathBuf>,
    /// What policies are worth, as policy value prints it with --json, and evaluations, as policy evaluate writes them with -o; may be several
    #[arg(long, value_name = "FILE", num_args = 1.., value_hint = ValueHint::FilePath)]
    pub(crate) policies: Vec<PathBuf>,
    /// Do not hold the data against its laws
    #[arg(long)]
    pub(crate) no_verify: bool,
    /// Print the figures as JSON on standard output, and write nothing
    #[arg(long, conflicts_with = "output")]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) files: FilesArgs,
    #[command(flatten)]
    pub(crate) reading: ReadingArgs,
}

#[derive(Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(crate) struct FeaturesArgs {
    /// Directory of the data: a run of email or traces, or files of your own
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) directory: PathBuf,
    /// Directory for the features [default: DIR]
    #[arg(short, long, value_name = "OUT", value_hint = ValueHint::DirPath)]
    pub(crate) output: Option<PathBuf>,
    /// File format; CSV for traces alone
    #[arg(short, long, value_enum, default_value_t = TableFormatArg::Parquet)]
    pub(crate) format: TableFormatArg,
    /// The moment of the features, such as 2026-01-10T00:00:00Z [default: the end of a run's window, else the last event]
    #[arg(help_heading = "Features of email", long, value_name = "TIME")]
    pub(crate) as_of: Option<String>,
    /// Count opens and clicks that are no person's, too (`machine_open`, `suspected_bot` in the metadata, clients of a run that open ahead)
    #[arg(help_heading = "Features of email", long)]
    pub(crate) include_suspected: bool,
    /// How finely the click curve of a week is written: by the minute, by the hour (a fortieth of the size) or not at all
    #[arg(help_heading = "Features of email", long, value_name = "STEP", default_value = "minute", value_parser = curves())]
    pub(crate) curve: Curve,
    /// Length of n-grams; may be repeated [default: 2 and 3]
    #[arg(help_heading = "Features of traces", long, value_name = "N", value_parser = whole::<u8>(2..=16))]
    pub(crate) ngram: Vec<u8>,
    /// Calls of a history, at most
    #[arg(help_heading = "Features of traces", long, value_name = "N", default_value_t = 20, value_parser = whole::<u16>(1..=65_535))]
    pub(crate) history: u16,
    /// Leave out sessions with fewer calls
    #[arg(help_heading = "Features of traces", long, value_name = "N", default_value_t = 2, value_parser = whole::<u16>(1..=65_535))]
    pub(crate) min_length: u16,
    /// An endpoint by which paths are known, such as /orders/{id}; may be repeated [default: those of the workflow beside the data]
    #[arg(help_heading = "Features of traces", long, value_name = "PATH")]
    pub(crate) template: Vec<String>,
    /// Begin another session where a user calls nothing for longer, such as 30m
    #[arg(help_heading = "Features of traces", long, value_name = "TIME", value_parser = values::gap)]
    pub(crate) session_gap: Option<i64>,
    /// Replace earlier features in the directory
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Print what was computed as JSON on standard output
    #[arg(long)]
    pub(crate) json: bool,
    /// Print nothing but errors and warnings
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Worker threads [default: one a core]
    #[arg(short = 'j', long, value_name = "N", value_parser = whole::<u16>(1..=1024))]
    pub(crate) threads: Option<u16>,
    #[command(flatten)]
    pub(crate) files: FilesArgs,
}

#[derive(Args, Debug)]
pub(crate) struct CheckArgs {
    /// Scenario or workflow file
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
}

#[derive(Args, Debug)]
#[command(allow_negative_numbers = true)]
pub(crate) struct ScoreArgs {
    /// What is predicted
    #[arg(value_parser = tasks())]
    pub(crate) task: String,
    /// Directory of a run, with its truth
    #[arg(value_hint = ValueHint::DirPath)]
    pub(crate) directory: PathBuf,
    /// File of predictions: Parquet, Arrow, CSV or JSON Lines
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) predictions: PathBuf,
    /// Write the scorecard as JSON
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
    /// Print the scorecard as JSON instead of the table
    #[arg(long)]
    pub(crate) json: bool,
    /// Accept predictions of a part, such as a test split
    #[arg(long)]
    pub(crate) subset: bool,
    /// The scores are no probabilities: only their order counts
    #[arg(long)]
    pub(crate) ranks: bool,
    /// churn: the last day whose events are known [default: the day before anybody can churn]
    #[arg(long, value_name = "DATE")]
    pub(crate) as_of: Option<Date>,
    /// Write each row with its label and the probabilities of the ceilings, as CSV
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) rows: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) thresholds: ThresholdArgs,
    #[command(flatten)]
    pub(crate) files: FilesArgs,
    #[command(flatten)]
    pub(crate) reading: ReadingArgs,
}

/// What must hold, else the exit code is 1.
#[derive(Args, Debug)]
#[command(next_help_heading = "Thresholds: the exit code is 1 if one is missed")]
pub(crate) struct ThresholdArgs {
    /// Least share of the attainable gain
    #[arg(long, value_name = "SHARE", value_parser = number)]
    pub(crate) min_gain: Option<f64>,
    /// Least area under the curve
    #[arg(long, value_name = "AUC", value_parser = number)]
    pub(crate) min_auc: Option<f64>,
    /// Least average precision
    #[arg(long, value_name = "SHARE", value_parser = number)]
    pub(crate) min_average_precision: Option<f64>,
    /// Greatest log-loss
    #[arg(long, value_name = "LOSS", value_parser = number)]
    pub(crate) max_log_loss: Option<f64>,
    /// Greatest Brier score
    #[arg(long, value_name = "SCORE", value_parser = number)]
    pub(crate) max_brier: Option<f64>,
    /// transitions: the level at which all states together must be what sampling gives
    #[arg(long, value_name = "LEVEL", value_parser = number)]
    pub(crate) alpha: Option<f64>,
    /// transitions: greatest mean total variation
    #[arg(long, value_name = "DISTANCE", value_parser = number)]
    pub(crate) max_total_variation: Option<f64>,
    /// send-time: greatest regret
    #[arg(long, value_name = "PROBABILITY", value_parser = number)]
    pub(crate) max_regret: Option<f64>,
    /// latency: greatest mean absolute error, seconds
    #[arg(long, value_name = "SECONDS", value_parser = number)]
    pub(crate) max_mae: Option<f64>,
    /// latency: greatest pinball loss, seconds
    #[arg(long, value_name = "SECONDS", value_parser = number)]
    pub(crate) max_pinball_loss: Option<f64>,
    /// churn: least concordance
    #[arg(long, value_name = "SHARE", value_parser = number)]
    pub(crate) min_concordance: Option<f64>,
    /// churn: greatest integrated Brier score of survival curves
    #[arg(long, value_name = "SCORE", value_parser = number)]
    pub(crate) max_integrated_brier: Option<f64>,
    /// anomaly: least recall at a precision of 90%
    #[arg(long, value_name = "SHARE", value_parser = number)]
    pub(crate) min_recall_at_90: Option<f64>,
    /// Greatest calibration error
    #[arg(long, value_name = "ERROR", value_parser = number)]
    pub(crate) max_calibration_error: Option<f64>,
}

/// The tasks by their names, also with hyphens.
fn tasks() -> PossibleValuesParser {
    families::tasks()
        .map(|task| PossibleValue::new(task.name).alias(&*task.name.replace('_', "-").leak()).help(task.meaning))
        .collect::<Vec<_>>()
        .into()
}

fn curves() -> impl TypedValueParser<Value = Curve> {
    PossibleValuesParser::new(["minute", "hour", "none"]).try_map(|name| name.parse::<Curve>())
}

/// How files are read that are no run of Populace.
#[derive(Args, Debug)]
pub(crate) struct FilesArgs {
    /// What your columns and events are called: a file, or one of sendgrid, mailchimp, klaviyo, hubspot, ga4, apache, nginx, iis
    #[arg(help_heading = OWN, long, value_name = "FILE|PRESET")]
    map: Option<String>,
    /// Unit of times that are numbers since 1970: s, ms, us or ns
    #[arg(help_heading = OWN, long, value_name = "UNIT")]
    time_unit: Option<String>,
    /// Order of dates such as 01/02/2025: day-first or month-first
    #[arg(help_heading = OWN, long, value_name = "ORDER")]
    dates: Option<String>,
    /// Offset of times that have none [default: +00:00]
    #[arg(help_heading = OWN, long, value_name = "OFFSET", allow_hyphen_values = true)]
    utc_offset: Option<String>,
    /// Sign before the fractions of numbers: point or comma [default: what the file says]
    #[arg(help_heading = OWN, long, value_name = "SIGN")]
    decimal: Option<String>,
    /// Charset of text that is neither UTF-8 nor marked, such as windows-1251 or shift_jis
    #[arg(help_heading = OWN, long, value_name = "CHARSET")]
    encoding: Option<String>,
}

const OWN: &str = "Files of your own";

impl FilesArgs {
    pub(crate) fn options(&self) -> Result<ReadOptions, Failure> {
        let Self { map, time_unit, dates, utc_offset, decimal, encoding } = self;
        let [time_unit, dates, utc_offset, decimal, encoding] = [time_unit, dates, utc_offset, decimal, encoding].map(Clone::clone);
        Ok(ReadOptions::new(map.as_deref(), Settings { time_unit, dates, utc_offset, decimal, encoding })?)
    }
}

/// How data is read.
#[derive(Args, Debug)]
pub(crate) struct ReadingArgs {
    /// Worker threads [default: one a core]
    #[arg(short = 'j', long, value_name = "N", value_parser = whole::<u16>(1..=1024))]
    pub(crate) threads: Option<u16>,
    /// Show no progress bar
    #[arg(long)]
    pub(crate) no_progress: bool,
}

#[derive(Args, Debug)]
pub(crate) struct VerifyArgs {
    /// Directory of a run, or of files with the same columns
    #[arg(value_hint = ValueHint::DirPath)]
    pub(crate) directory: PathBuf,
    /// Hold the data against this built-in scenario or scenario file [default: the directory's scenario.yaml]
    #[arg(long, value_name = "SCENARIO|FILE", value_parser = proposed(values::scenarios), hide_possible_values = true)]
    pub(crate) scenario: Option<String>,
    /// The probability that sound data fails, over all tests together
    #[arg(long, value_name = "A", default_value_t = populace_analysis::verify::DEFAULT_ALPHA, value_parser = number)]
    pub(crate) alpha: f64,
    /// Print verify.json instead of lines
    #[arg(long)]
    pub(crate) json: bool,
    /// Print only the checks that failed, and the summary
    #[arg(long, conflicts_with = "json")]
    pub(crate) failed: bool,
    /// Where the verdicts go [default: verify.json in the directory]
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) files: FilesArgs,
    #[command(flatten)]
    pub(crate) reading: ReadingArgs,
}

#[derive(Args, Debug)]
#[command(allow_negative_numbers = true)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub(crate) scenario: ScenarioArgs,
    /// What is to be detected: an effect (`--detect list` names them), a parameter of `recover`, or a transition FROM→TO
    #[arg(long, value_name = "EFFECT", value_parser = proposed(values::effects), hide_possible_values = true)]
    pub(crate) detect: String,
    /// The parameter's value that is to be told from no effect, or of a level from the document's value [default: the document's]
    #[arg(long, value_name = "VALUE", value_parser = number)]
    pub(crate) at: Option<f64>,
    /// The effect's size instead: how far a factor is from 1, or by which share of itself a level changes [default: 0.1 of a level]
    #[arg(long, value_name = "FRACTION", conflicts_with = "at", value_parser = number)]
    pub(crate) size: Option<f64>,
    /// The probability of detecting it
    #[arg(long, value_name = "P", default_value_t = 0.9, value_parser = number)]
    pub(crate) power: f64,
    /// The probability of detecting what is not there, two-sided
    #[arg(long, value_name = "P", default_value_t = 0.05, value_parser = number)]
    pub(crate) alpha: f64,
    /// Users of the pilots [default: as many as take about a second]
    #[arg(long, value_name = "N", value_parser = whole::<u64>(1..=10_000_000))]
    pub(crate) pilot_users: Option<u64>,
    /// Print JSON instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct RecoverArgs {
    /// Directory of a run, or of files with the same columns
    #[arg(value_hint = ValueHint::DirPath)]
    pub(crate) directory: PathBuf,
    /// Take the truth from this built-in scenario or scenario file [default: the directory's scenario.yaml]
    #[arg(long, value_name = "SCENARIO|FILE", value_parser = proposed(values::scenarios), hide_possible_values = true)]
    pub(crate) scenario: Option<String>,
    /// The probability with which an interval holds the truth
    #[arg(long, value_name = "LEVEL", default_value_t = populace_analysis::recover::DEFAULT_LEVEL, value_parser = number)]
    pub(crate) level: f64,
    /// Print JSON instead of a table
    #[arg(long)]
    pub(crate) json: bool,
    /// Where the estimates go as JSON [default: recover.json in the directory]
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) files: FilesArgs,
    #[command(flatten)]
    pub(crate) reading: ReadingArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ScenariosArgs {
    #[command(subcommand)]
    pub(crate) command: ScenariosCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ScenariosCommand {
    /// List the built-in scenarios and workflows
    List,
    /// Print a built-in scenario or workflow: copy it, edit it, generate from it
    Show {
        /// Its name
        #[arg(value_parser = proposed(values::documents), hide_possible_values = true)]
        name: String,
    },
    /// Print every table and column with its meaning, as Markdown
    Tables,
    /// Print the JSON Schema of scenario documents, for editors
    Schema {
        /// Of one family alone
        #[arg(value_parser = proposed(values::families), hide_possible_values = true)]
        family: Option<String>,
    },
}

/// Formats of tables that are made from data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TableFormatArg {
    Csv,
    Parquet,
}

impl From<TableFormatArg> for Format {
    fn from(format: TableFormatArg) -> Self {
        match format {
            TableFormatArg::Csv => Self::Csv,
            TableFormatArg::Parquet => Self::Parquet,
        }
    }
}
