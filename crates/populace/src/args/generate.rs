//! What the commands that make rows take.

#[cfg(any(feature = "http", feature = "kafka"))]
use super::values::number;
use super::values::{self, proposed, whole};
use crate::shortcuts::Shortcuts;
use clap::{ArgAction, Args, ValueEnum, ValueHint};
use populace_io::files::{Compression, Types};
use populace_io::table::Ids;
use std::path::PathBuf;

/// What decides the scenario.
#[derive(Args, Clone, Debug, Default)]
pub struct ScenarioArgs {
    /// A built-in scenario (`populace scenarios list`) or a scenario file
    #[arg(value_name = "SCENARIO|FILE", value_parser = proposed(values::scenarios), hide_possible_values = true)]
    pub scenario: String,
    /// Single values by options of their own, and files in the place of parts
    #[command(flatten)]
    pub shortcuts: Shortcuts,
    /// Apply a profile of the scenario, such as `dense` of email
    #[arg(long, value_name = "NAME", value_parser = proposed(values::profiles), hide_possible_values = true)]
    pub profile: Option<String>,
    /// Set any value of the scenario, such as personas.night_owl.open_rate=.3; may be repeated
    #[arg(long, value_name = "PATH=VALUE", action = ArgAction::Append)]
    pub set: Vec<String>,
    /// The file of a scenario that mails by a schedule of your own (`policy replay --schedule` writes such scenarios)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub schedule: Option<PathBuf>,
}

#[derive(Args, Debug)]
#[command(allow_negative_numbers = true)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(crate) struct GenerateArgs {
    #[command(flatten)]
    pub(crate) scenario: ScenarioArgs,
    /// Choose the number of users so that the main table has about N rows, such as 10M
    #[arg(long, value_name = "N", value_parser = whole::<u64>(1..=10_000_000_000_000), conflicts_with_all = ["users", "count"])]
    pub(crate) events: Option<u64>,
    /// Seed; without one, one is drawn, printed and recorded
    #[arg(short, long, value_name = "N", value_parser = whole::<u64>(0..=u64::MAX))]
    pub(crate) seed: Option<u64>,
    /// Directory for the data, or `-` for one table on standard output
    #[arg(short, long, visible_alias = "output-dir", value_name = "DIR", default_value = "data", value_hint = ValueHint::DirPath)]
    pub(crate) output: PathBuf,
    /// Send the rows there instead of writing files: kafka://HOST:PORT/TOPIC, clickhouse://USER:PASSWORD@HOST:PORT/DATABASE or
    /// http://HOST:PORT of a connector; may be repeated
    #[arg(
        help_heading = "Send rows instead of writing files",
        long,
        value_name = "URL",
        action = ArgAction::Append,
        conflicts_with_all = [
            "output", "format", "compression", "parquet", "ids", "parts", "part", "row_group_rows", "file_rows", "summary", "dry_run", "resume", "overwrite",
        ]
    )]
    pub(crate) to: Vec<String>,
    /// With --to: seconds that a server may be away, or a request may take, before the run gives up
    #[arg(help_heading = "Send rows instead of writing files", long, value_name = "SECONDS", default_value_t = 120, value_parser = whole::<u64>(1..=86_400), requires = "to")]
    pub(crate) timeout: u64,
    /// File format [default: the scenario's, parquet or csv]
    #[arg(short, long, value_enum)]
    pub(crate) format: Option<FormatArg>,
    /// Compression: none, zstd, zstd:LEVEL, snappy, lz4, gzip [default: zstd for parquet, else none]
    #[arg(help_heading = "Files", long, value_name = "CODEC", value_parser = values::Codecs, hide_possible_values = true)]
    pub(crate) compression: Option<Compression>,
    /// Types of Parquet columns: portable, which every reader knows, or compact, the smallest
    #[arg(help_heading = "Files", long, value_name = "TYPES", default_value = "portable", value_parser = values::types())]
    pub(crate) parquet: Types,
    /// Types of ids in Parquet and Arrow: text, which every reader knows; uuid, 16 bytes marked as UUIDs; or binary, 16 bytes
    /// [default: text, with --parquet compact uuid]
    #[arg(help_heading = "Files", long, value_name = "TYPE", value_parser = values::ids(), hide_possible_values = true)]
    pub(crate) ids: Option<Ids>,
    /// Worker threads [default: one a core]
    #[arg(short = 'j', long, value_name = "N", value_parser = whole::<u16>(1..=1024))]
    pub(crate) threads: Option<u16>,
    /// Write each table in N parts: TABLE/part-00000.EXT …
    #[arg(help_heading = "Files", long, value_name = "N", default_value_t = 1, value_parser = whole::<u64>(1..=100_000))]
    pub(crate) parts: u64,
    /// Write part K alone, from 0; the process that completes the last part writes the manifest
    #[arg(help_heading = "Files", long, value_name = "K", requires = "parts", value_parser = whole::<u64>(0..=u64::MAX))]
    pub(crate) part: Option<u64>,
    /// Order of the rows: by actor, then time; or by time, within each part
    #[arg(help_heading = "Rows", long, value_enum, default_value_t = OrderArg::Actor)]
    pub(crate) order: OrderArg,
    /// Stop after N rows of the main table; the other tables hold all rows of the users that were reached
    #[arg(help_heading = "Rows", short, long, value_name = "N", value_parser = whole::<u64>(1..=u64::MAX))]
    pub(crate) count: Option<u64>,
    /// Leave out the truth tables
    #[arg(help_heading = "Rows", long)]
    pub(crate) no_truth: bool,
    /// Generate these tables alone, such as events or truth/messages; may be repeated
    #[arg(help_heading = "Rows", long, value_name = "TABLE", action = ArgAction::Append, value_parser = proposed(values::tables), hide_possible_values = true)]
    pub(crate) table: Vec<String>,
    /// Rows of a Parquet row group, about
    #[arg(help_heading = "Files", long, value_name = "N", value_parser = whole::<u64>(1_024..=16_777_216))]
    pub(crate) row_group_rows: Option<u64>,
    /// Rows of a file, about: a table with more is a directory TABLE/part-00000.EXT … [default: 16,777,216 of parquet and arrow]
    #[arg(help_heading = "Files", long, value_name = "N", value_parser = whole::<u64>(1_024..=u64::MAX))]
    pub(crate) file_rows: Option<u64>,
    /// Print the volumes to expect, in closed form, and generate nothing
    #[arg(help_heading = "Generate nothing", long, conflicts_with = "dry_run")]
    pub(crate) summary: bool,
    /// Generate and count everything, write nothing
    #[arg(help_heading = "Generate nothing", long)]
    pub(crate) dry_run: bool,
    /// With --summary or --dry-run: print JSON on standard output
    #[arg(help_heading = "Generate nothing", long)]
    pub(crate) json: bool,
    /// Go on with an interrupted run; the bytes are those of an uninterrupted one
    #[arg(help_heading = "Files", long, conflicts_with = "overwrite")]
    pub(crate) resume: bool,
    /// Replace the run in the directory; files of others are left alone
    #[arg(help_heading = "Files", long)]
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
    #[arg(short, long, value_name = "N", value_parser = whole::<u64>(0..=u64::MAX))]
    pub(crate) seed: Option<u64>,
    /// Where to: kafka://HOST:PORT/TOPIC, clickhouse://USER:PASSWORD@HOST:PORT/DATABASE or http://HOST:PORT of a connector; may be repeated
    #[arg(long, value_name = "URL", action = ArgAction::Append, required = true)]
    pub(crate) to: Vec<String>,
    /// Seconds of the scenario in a second
    #[arg(long, value_name = "FACTOR", default_value_t = 60.0, value_parser = number)]
    pub(crate) speed: f64,
    /// Events happen now: the scenario begins today, and each event is sent when its time comes
    #[arg(long, conflicts_with_all = ["speed", "start"])]
    pub(crate) now: bool,
    /// Stop after N events
    #[arg(long, value_name = "N", value_parser = whole::<u64>(1..=u64::MAX))]
    pub(crate) events: Option<u64>,
    /// Go on when the scenario's days are over, with more days of the same users
    #[arg(long)]
    pub(crate) forever: bool,
    /// Seconds that a server may be away, or a request may take, before the stream gives up
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = whole::<u64>(1..=86_400))]
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
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = whole::<u32>(1..=100_000))]
    pub(crate) batch_events: u32,
    /// Store a batch at so many bytes of a partition
    #[arg(long, value_name = "BYTES", default_value_t = 16 << 20, value_parser = whole::<u32>(1_024..=256 << 20))]
    pub(crate) batch_bytes: u32,
    /// Store a batch so many milliseconds after its first message
    #[arg(long, value_name = "MS", default_value_t = 1_000, value_parser = whole::<u32>(1..=600_000))]
    pub(crate) batch_ms: u32,
    /// End when the group has stored what is in the topic when this begins, all partitions of it
    #[arg(long)]
    pub(crate) once: bool,
    /// Seconds that Kafka, ClickHouse or, with --once, another member of the group may be away before the consumer gives up
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = whole::<u64>(1..=86_400))]
    pub(crate) timeout: u64,
    /// Answer /health, /ready and /metrics at this address; off this machine POPULACE_TOKEN is needed
    #[arg(long, value_name = "ADDRESS", value_parser = values::address)]
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
    #[arg(short, long, value_name = "N", value_parser = whole::<u64>(0..=u64::MAX))]
    pub(crate) seed: Option<u64>,
    /// The actor, from 0
    #[arg(short, long, value_name = "K", value_parser = whole::<u64>(0..=u64::MAX))]
    pub(crate) actor: u64,
    /// Leave out the truth tables
    #[arg(long)]
    pub(crate) no_truth: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum FormatArg {
    Parquet,
    Csv,
    Jsonl,
    Arrow,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OrderArg {
    Actor,
    Time,
}
