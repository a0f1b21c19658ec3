//! What the commands of the services take.

use super::values::{self, whole};
use clap::{Args, Subcommand, ValueHint};
use std::path::PathBuf;

/// Secrets of the services: in files or in the environment, never on the command line.
#[derive(Args, Debug)]
pub(crate) struct ServiceArgs {
    /// File of bearer tokens, on each line SCOPES TOKEN; scopes are ingest, generate, admin. POPULACE_TOKEN gives one that may do all
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) token_file: Option<PathBuf>,
    /// File of identity keys, on each line KEY_ID SECRET, the current one first. POPULACE_IDENTITY_KEY gives one [default: the public key
    /// of synthetic recipients, which takes addresses of reserved domains only]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) identity_key_file: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct ServeArgs {
    /// Run the log, the consumer and the table in this process: no server is needed
    #[arg(long)]
    pub(crate) embedded: bool,
    /// Publish to kafka://HOST:PORT/TOPIC, from where `populace consume` stores
    #[cfg(feature = "kafka")]
    #[arg(long, value_name = "URL", conflicts_with = "embedded")]
    pub(crate) log: Option<String>,
    /// With --log: keep identities in clickhouse://USER:PASSWORD@HOST:PORT/DATABASE, which any number of connectors share; the environment
    /// variable POPULACE_IDENTITIES does the same [default: a file in --data]
    #[cfg(feature = "kafka")]
    #[arg(long, value_name = "URL", requires = "log", conflicts_with = "embedded")]
    pub(crate) identities: Option<String>,
    /// With --log: the table that `populace consume` stores in, clickhouse://USER:PASSWORD@HOST:PORT/DATABASE. Features are computed from it, and
    /// who is erased is erased there; the environment variable POPULACE_TABLE does the same
    #[cfg(feature = "kafka")]
    #[arg(long, value_name = "URL", requires = "log", conflicts_with = "embedded")]
    pub(crate) table: Option<String>,
    /// Directory for the log, the table and the stores
    #[arg(long, value_name = "DIR", default_value = "flow", value_hint = ValueHint::DirPath)]
    pub(crate) data: PathBuf,
    /// Where the connector listens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:5215", value_parser = values::address)]
    pub(crate) listen: std::net::SocketAddr,
    /// Where the feature service listens [default: 127.0.0.1:8001]
    #[arg(long, value_name = "ADDRESS", value_parser = values::address)]
    pub(crate) features_listen: Option<std::net::SocketAddr>,
    /// Compute features from the events in this directory, or in clickhouse://USER:PASSWORD@HOST:PORT/DATABASE, not from the table
    #[arg(long, value_name = "DIR|URL", value_hint = ValueHint::DirPath)]
    pub(crate) features_from: Option<PathBuf>,
    /// Requests a second that one client may send
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = whole::<u32>(1..=1_000_000))]
    pub(crate) rate: u32,
    /// File of the keys of webhooks, on each line PROVIDER SCHEME KEY: `sendgrid ecdsa` and the verification key, `klaviyo hmac` or `mailgun hmac` and
    /// the secret, or any provider, basic and USER:PASSWORD. POPULACE_WEBHOOK_SENDGRID and the like give SCHEME KEY
    #[arg(help_heading = "Webhooks", long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) webhook_key_file: Option<PathBuf>,
    /// Seconds that the time of a signature may be from now
    #[arg(help_heading = "Webhooks", long, value_name = "SECONDS", default_value_t = 600, value_parser = whole::<u64>(1..=31_536_000))]
    pub(crate) webhook_age: u64,
    /// The largest webhook of a provider, bytes, and its most events; may be repeated [default: sendgrid=2097152,10000 klaviyo=4194304,5000, of
    /// others 1048576,1000]
    #[arg(help_heading = "Webhooks", long, value_name = "PROVIDER=BYTES,EVENTS", action = clap::ArgAction::Append, value_parser = values::webhook_limit)]
    pub(crate) webhook_limit: Vec<(String, populace_flow::http::WebhookLimits)>,
    /// A tunnel's name, as in the Host of its requests: without tokens, webhooks alone are taken under it; may be repeated
    #[arg(help_heading = "Webhooks", long, value_name = "NAME", action = clap::ArgAction::Append, value_parser = values::host)]
    pub(crate) allow_host: Vec<String>,
    #[command(flatten)]
    pub(crate) service: ServiceArgs,
}

#[derive(Args, Debug)]
pub(crate) struct FlowArgs {
    #[command(subcommand)]
    pub(crate) command: FlowCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum FlowCommand {
    /// Generate events, send them through connector, identity, log and consumer into the table, and account for every message
    Demo(FlowDemoArgs),
}

#[derive(Args, Debug)]
pub(crate) struct FlowDemoArgs {
    /// Number of events to generate
    #[arg(short, long, value_name = "N", default_value_t = 1_000, value_parser = whole::<u64>(1..=1_000_000))]
    pub(crate) count: u64,
    /// Seed; without one, one is drawn
    #[arg(short, long, value_name = "N", value_parser = whole::<u64>(0..=u64::MAX))]
    pub(crate) seed: Option<u64>,
    /// Keep the log, the table and the stores in this directory
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) data: Option<PathBuf>,
}
