//! What the command line takes.
#![expect(clippy::doc_markdown, reason = "the comments are help texts, where backticks would show")]

#[cfg(feature = "flow")]
mod services;

use crate::shortcuts::Shortcuts;
use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum, ValueHint};
use populace_analysis::families;
use populace_core::time::Date;
use populace_io::files::{Compression, Format};
#[cfg(feature = "flow")]
pub(crate) use services::{FlowArgs, FlowCommand, FlowDemoArgs, ServeArgs, ServiceArgs};
use std::path::PathBuf;

/// Synthetic behavioural event data whose ground truth is known.
#[derive(Debug, Parser)]
#[command(name = "populace", version, propagate_version = true, arg_required_else_help = true, allow_negative_numbers = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Generate a data set and its truth
    Generate(Box<GenerateArgs>),
    /// Send events in the order of time, at a pace, to Kafka, ClickHouse or a connector
    #[cfg(any(feature = "http", feature = "kafka"))]
    Stream(StreamArgs),
    /// Move events from Kafka into ClickHouse, each once
    #[cfg(feature = "kafka")]
    Consume(ConsumeArgs),
    /// Print the rows of one actor, without generating the others
    Replay(ReplayArgs),
    /// Say what a run is: its manifest, tables and first rows
    Inspect(InspectArgs),
    /// Look at a run: one HTML file of figures, and the same figures as JSON
    Report(ReportArgs),
    /// Check a scenario document or a workflow, and report every problem at once
    Check(CheckArgs),
    /// Say how many users and days a study needs to detect an effect
    Plan(PlanArgs),
    /// Say what a data set can teach at its size: estimates, intervals, and the truth beside them
    Recover(RecoverArgs),
    /// Hold the data of a run against the laws of its scenario
    Verify(VerifyArgs),
    /// Make clean tables of raw data, dirty or not
    Prepare(PrepareArgs),
    /// Compute features: of recipients from their events, of callers from their calls
    Features(FeaturesArgs),
    /// List the built-in scenarios, print one, or print the JSON Schema of their documents
    Scenarios(ScenariosArgs),
    /// Grade a model's predictions against the truth, and against the best that any model could do
    Score(ScoreArgs),
    /// Serve the connector and the feature service: events in by HTTP, each once in the log and in the table
    #[cfg(feature = "flow")]
    Serve(ServeArgs),
    /// Show the whole flow, from the generator to the table, in one process
    #[cfg(feature = "flow")]
    Flow(FlowArgs),
    /// Print a shell's completion script
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page, of the program or of one command
    Man {
        /// The command, such as `generate`
        command: Option<String>,
    },
}

/// What decides the scenario.
#[derive(Args, Clone, Debug, Default)]
pub struct ScenarioArgs {
    /// A built-in scenario (`populace scenarios list`) or a scenario file
    #[arg(value_name = "SCENARIO|FILE", value_hint = ValueHint::FilePath)]
    pub scenario: String,
    /// Single values by options of their own, and files in the place of parts
    #[command(flatten)]
    pub shortcuts: Shortcuts,
    /// Apply a profile of the scenario, such as `dense` of email
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// Set any value of the scenario, such as personas.night_owl.open_rate=.3; may be repeated
    #[arg(long, value_name = "PATH=VALUE", action = ArgAction::Append)]
    pub set: Vec<String>,
}

#[derive(Args, Debug)]
#[command(allow_negative_numbers = true)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(crate) struct GenerateArgs {
    #[command(flatten)]
    pub(crate) scenario: ScenarioArgs,
    /// Seed; without one, one is drawn, printed and recorded
    #[arg(short, long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Directory for the data, or `-` for one table on standard output
    #[arg(short, long, value_name = "DIR", default_value = "data", value_hint = ValueHint::DirPath)]
    pub(crate) output: PathBuf,
    /// Send the rows there instead of writing files: kafka://HOST:PORT/TOPIC, clickhouse://USER:PASSWORD@HOST:PORT/DATABASE or
    /// http://HOST:PORT of a connector; may be repeated
    #[arg(
        long,
        value_name = "URL",
        action = ArgAction::Append,
        conflicts_with_all = [
            "output", "format", "compression", "parts", "part", "row_group_rows", "file_rows", "summary", "dry_run", "resume", "overwrite",
        ]
    )]
    pub(crate) to: Vec<String>,
    /// With --to: seconds that a server may be away, or a request may take, before the run gives up
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=86_400), requires = "to")]
    pub(crate) timeout: u64,
    /// File format [default: the scenario's, parquet or csv]
    #[arg(short, long, value_enum)]
    pub(crate) format: Option<FormatArg>,
    /// Compression: none, zstd, zstd:LEVEL, snappy, lz4, gzip [default: zstd for parquet, else none]
    #[arg(long, value_name = "CODEC")]
    pub(crate) compression: Option<Compression>,
    /// Worker threads [default: one a core]
    #[arg(short = 'j', long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
    /// Write each table in N parts: TABLE/part-00000.EXT …
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub(crate) parts: u64,
    /// Write part K alone, from 0; the process that completes the last part writes the manifest
    #[arg(long, value_name = "K", requires = "parts")]
    pub(crate) part: Option<u64>,
    /// Order of the rows: by actor, then time; or by time, within each part
    #[arg(long, value_enum, default_value_t = OrderArg::Actor)]
    pub(crate) order: OrderArg,
    /// Stop after N rows of the main table; the other tables hold all rows of the users that were reached
    #[arg(short, long, value_name = "N")]
    pub(crate) count: Option<u64>,
    /// Leave out the truth tables
    #[arg(long)]
    pub(crate) no_truth: bool,
    /// Generate these tables alone, such as events or truth/messages; may be repeated
    #[arg(long, value_name = "TABLE", action = ArgAction::Append)]
    pub(crate) table: Vec<String>,
    /// Rows of a Parquet row group, about
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1_024..=16_777_216))]
    pub(crate) row_group_rows: Option<u64>,
    /// Rows after which a table goes on in a new file, at the end of a unit of work
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1_024..))]
    pub(crate) file_rows: Option<u64>,
    /// Print the volumes to expect, in closed form, and generate nothing
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) summary: bool,
    /// Generate and count everything, write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// With --summary or --dry-run: print JSON on standard output
    #[arg(long)]
    pub(crate) json: bool,
    /// Go on with an interrupted run; the bytes are those of an uninterrupted one
    #[arg(long, conflicts_with = "overwrite")]
    pub(crate) resume: bool,
    /// Replace the run in the directory; files of others are left alone
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Print nothing but errors and warnings
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Print what is done
    #[arg(short, long, conflicts_with = "quiet")]
    pub(crate) verbose: bool,
}

#[cfg(any(feature = "http", feature = "kafka"))]
#[derive(Args, Debug)]
#[command(allow_negative_numbers = true)]
pub(crate) struct StreamArgs {
    #[command(flatten)]
    pub(crate) scenario: ScenarioArgs,
    /// Seed; without one, one is drawn and printed
    #[arg(short, long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Where to: kafka://HOST:PORT/TOPIC, clickhouse://USER:PASSWORD@HOST:PORT/DATABASE or http://HOST:PORT of a connector; may be repeated
    #[arg(long, value_name = "URL", action = ArgAction::Append, required = true)]
    pub(crate) to: Vec<String>,
    /// Seconds of the scenario in a second
    #[arg(long, value_name = "FACTOR", default_value_t = 60.0)]
    pub(crate) speed: f64,
    /// Events happen now: the scenario begins today, and each event is sent when its time comes
    #[arg(long, conflicts_with_all = ["speed", "start"])]
    pub(crate) now: bool,
    /// Stop after N events
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) events: Option<u64>,
    /// Go on when the scenario's days are over, with more days of the same users
    #[arg(long)]
    pub(crate) forever: bool,
    /// Seconds that a server may be away, or a request may take, before the stream gives up
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) timeout: u64,
    /// Print nothing but errors and warnings
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

#[cfg(feature = "kafka")]
#[derive(Args, Debug)]
pub(crate) struct ConsumeArgs {
    /// Where from: kafka://HOST:PORT/TOPIC [?group=NAME&dlq=TOPIC]
    #[arg(long, value_name = "URL")]
    pub(crate) from: String,
    /// Where to: clickhouse://USER:PASSWORD@HOST:PORT/DATABASE
    #[arg(long, value_name = "URL")]
    pub(crate) to: String,
    /// Store a batch at N messages of a partition
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) batch_events: u32,
    /// Store a batch at so many bytes of a partition
    #[arg(long, value_name = "BYTES", default_value_t = 16 << 20, value_parser = clap::value_parser!(u32).range(1_024..=256 << 20))]
    pub(crate) batch_bytes: u32,
    /// Store a batch so many milliseconds after its first message
    #[arg(long, value_name = "MS", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=600_000))]
    pub(crate) batch_ms: u32,
    /// End when the group has stored what is in the topic when this begins, all partitions of it
    #[arg(long)]
    pub(crate) once: bool,
    /// Seconds that Kafka, ClickHouse or, with --once, another member of the group may be away before the consumer gives up
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) timeout: u64,
    /// Answer /health, /ready and /metrics at this address; off this machine POPULACE_TOKEN is needed
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<std::net::SocketAddr>,
    /// Print nothing but errors, warnings and the last counts
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

#[derive(Args, Debug)]
pub(crate) struct ReplayArgs {
    #[command(flatten)]
    pub(crate) scenario: ScenarioArgs,
    /// Seed of the run
    #[arg(short, long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// The actor, from 0
    #[arg(short, long, value_name = "K")]
    pub(crate) actor: u64,
    /// Leave out the truth tables
    #[arg(long)]
    pub(crate) no_truth: bool,
}

#[derive(Args, Debug)]
pub(crate) struct InspectArgs {
    /// Directory of a run
    #[arg(value_hint = ValueHint::DirPath)]
    pub(crate) directory: PathBuf,
    /// First rows to show of each table
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(crate) rows: usize,
    /// Print the manifest as JSON, with the seconds that its last part took
    #[arg(long)]
    pub(crate) json: bool,
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
    #[arg(value_name = "RAW", value_hint = ValueHint::DirPath)]
    pub(crate) raw: PathBuf,
    /// Directory for the clean tables and prepare_report.json
    #[arg(value_name = "PROCESSED", value_hint = ValueHint::DirPath)]
    pub(crate) processed: PathBuf,
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
}

#[derive(Args, Debug)]
pub(crate) struct ReportArgs {
    /// Directory of a run, or of your own files with the same columns
    #[arg(value_hint = ValueHint::DirPath)]
    pub(crate) directory: PathBuf,
    /// The page; the figures go to a file of the same name that ends in .json [default: report.html in DIRECTORY]
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
    /// Scorecards to show, as score writes them with -o; may be several
    #[arg(long, value_name = "FILE", num_args = 1.., value_hint = ValueHint::FilePath)]
    pub(crate) scores: Vec<PathBuf>,
    /// Do not hold the data against its laws
    #[arg(long)]
    pub(crate) no_verify: bool,
    /// Print the figures as JSON on standard output, and write nothing
    #[arg(long, conflicts_with = "output")]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) reading: ReadingArgs,
}

#[derive(Args, Debug)]
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
    /// email: the moment of the features, such as 2026-01-10T00:00:00Z [default: that of the last event]
    #[arg(long, value_name = "TIME")]
    pub(crate) as_of: Option<String>,
    /// traces: length of n-grams; may be repeated [default: 2 and 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(2..=16))]
    pub(crate) ngram: Vec<u8>,
    /// traces: calls of a history, at most
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) history: u16,
    /// traces: leave out sessions with fewer calls
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) min_length: u16,
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
    #[arg(short = 'j', long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
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
    pub(crate) reading: ReadingArgs,
}

/// What must hold, else the exit code is 1.
#[derive(Args, Debug)]
#[command(next_help_heading = "Thresholds: the exit code is 1 if one is missed")]
pub(crate) struct ThresholdArgs {
    /// Least share of the attainable gain
    #[arg(long, value_name = "SHARE")]
    pub(crate) min_gain: Option<f64>,
    /// Least area under the curve
    #[arg(long, value_name = "AUC")]
    pub(crate) min_auc: Option<f64>,
    /// Least average precision
    #[arg(long, value_name = "SHARE")]
    pub(crate) min_average_precision: Option<f64>,
    /// Greatest log-loss
    #[arg(long, value_name = "LOSS")]
    pub(crate) max_log_loss: Option<f64>,
    /// Greatest Brier score
    #[arg(long, value_name = "SCORE")]
    pub(crate) max_brier: Option<f64>,
    /// transitions: the level at which all states together must be what sampling gives
    #[arg(long, value_name = "LEVEL")]
    pub(crate) alpha: Option<f64>,
    /// transitions: greatest mean total variation
    #[arg(long, value_name = "DISTANCE")]
    pub(crate) max_total_variation: Option<f64>,
    /// send-time: greatest regret
    #[arg(long, value_name = "PROBABILITY")]
    pub(crate) max_regret: Option<f64>,
    /// latency: greatest mean absolute error, seconds
    #[arg(long, value_name = "SECONDS")]
    pub(crate) max_mae: Option<f64>,
    /// latency: greatest pinball loss, seconds
    #[arg(long, value_name = "SECONDS")]
    pub(crate) max_pinball_loss: Option<f64>,
    /// churn: least concordance
    #[arg(long, value_name = "SHARE")]
    pub(crate) min_concordance: Option<f64>,
    /// churn: greatest integrated Brier score of survival curves
    #[arg(long, value_name = "SCORE")]
    pub(crate) max_integrated_brier: Option<f64>,
    /// anomaly: least recall at a precision of 90%
    #[arg(long, value_name = "SHARE")]
    pub(crate) min_recall_at_90: Option<f64>,
    /// Greatest calibration error
    #[arg(long, value_name = "ERROR")]
    pub(crate) max_calibration_error: Option<f64>,
}

/// The tasks by their names, also with hyphens.
fn tasks() -> PossibleValuesParser {
    families::tasks()
        .map(|task| PossibleValue::new(task.name).alias(&*task.name.replace('_', "-").leak()).help(task.meaning))
        .collect::<Vec<_>>()
        .into()
}

/// How data is read.
#[derive(Args, Debug)]
pub(crate) struct ReadingArgs {
    /// Worker threads [default: one a core]
    #[arg(short = 'j', long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
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
    #[arg(long, value_name = "SCENARIO|FILE", value_hint = ValueHint::FilePath)]
    pub(crate) scenario: Option<String>,
    /// The probability that sound data fails, over all tests together
    #[arg(long, value_name = "A", default_value_t = populace_analysis::verify::DEFAULT_ALPHA)]
    pub(crate) alpha: f64,
    /// Print verify.json instead of lines
    #[arg(long)]
    pub(crate) json: bool,
    /// Where the verdicts go [default: verify.json in the directory]
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) reading: ReadingArgs,
}

#[derive(Args, Debug)]
#[command(allow_negative_numbers = true)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub(crate) scenario: ScenarioArgs,
    /// What is to be detected: an effect (`--detect list` names them), a parameter of `recover`, or a transition FROM→TO
    #[arg(long, value_name = "EFFECT")]
    pub(crate) detect: String,
    /// The parameter's value that is to be told from no effect, or of a level from the document's value [default: the document's]
    #[arg(long, value_name = "VALUE")]
    pub(crate) at: Option<f64>,
    /// The effect's size instead: how far a factor is from 1, or by which share of itself a level changes [default: 0.1 of a level]
    #[arg(long, value_name = "FRACTION", conflicts_with = "at")]
    pub(crate) size: Option<f64>,
    /// The probability of detecting it
    #[arg(long, value_name = "P", default_value_t = 0.9)]
    pub(crate) power: f64,
    /// The probability of detecting what is not there, two-sided
    #[arg(long, value_name = "P", default_value_t = 0.05)]
    pub(crate) alpha: f64,
    /// Users of the pilots [default: as many as take about a second]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
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
    #[arg(long, value_name = "SCENARIO|FILE", value_hint = ValueHint::FilePath)]
    pub(crate) scenario: Option<String>,
    /// The probability with which an interval holds the truth
    #[arg(long, value_name = "LEVEL", default_value_t = populace_analysis::recover::DEFAULT_LEVEL)]
    pub(crate) level: f64,
    /// Print JSON instead of a table
    #[arg(long)]
    pub(crate) json: bool,
    /// Where the estimates go as JSON [default: recover.json in the directory]
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
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
        name: String,
    },
    /// Print every table and column with its meaning, as Markdown
    Tables,
    /// Print the JSON Schema of scenario documents, for editors
    Schema {
        /// Of one family alone
        family: Option<String>,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum FormatArg {
    Parquet,
    Csv,
    Jsonl,
    Arrow,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OrderArg {
    Actor,
    Time,
}
