//! Features of the actors in a directory: of recipients from `events`, of callers from `calls`.

pub use crate::email::{RecipientsReport, curves_by_the_minute};
use crate::source::values::{self, Times};
use crate::source::{ReadOptions, Source};
pub use crate::watch::{Progress, Watch};
use populace_core::time::Instant;
use populace_io::files::Format;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;

/// What is to be computed.
#[derive(Clone, Debug)]
pub struct Options {
    /// The directory of the data.
    pub data: PathBuf,
    /// The directory for the features.
    pub output: PathBuf,
    /// Parquet, or for traces CSV.
    pub format: Format,
    /// email: the moment at which features are computed; without one, that of the last event.
    pub now: Option<Instant>,
    /// email: whether opens and clicks count that are marked as no person's.
    pub include_suspected: bool,
    /// email: how finely the curves are written.
    pub curve: Curve,
    /// traces: the lengths of n-grams, each at least 2.
    pub ngrams: Vec<usize>,
    /// traces: calls of a history, at most.
    pub history: usize,
    /// traces: sessions with fewer calls are left out.
    pub min_length: usize,
    /// traces: endpoints by which paths are known, such as `/orders/{id}`.
    pub templates: Vec<String>,
    /// traces: microseconds without a call after which another session begins.
    pub session_gap: Option<i64>,
    /// Whether earlier features may be replaced.
    pub overwrite: bool,
    /// How files are read that are no run.
    pub reading: ReadOptions,
}

impl Options {
    /// The defaults: Parquet, at the last event, curves by the minute; n-grams of 2 and 3, histories of up to 20 calls, sessions of at least 2.
    pub fn new(data: impl Into<PathBuf>, output: impl Into<PathBuf>) -> Self {
        Self {
            data: data.into(),
            output: output.into(),
            format: Format::Parquet,
            now: None,
            include_suspected: false,
            curve: Curve::Minute,
            ngrams: vec![2, 3],
            history: 20,
            min_length: 2,
            templates: Vec::new(),
            session_gap: None,
            overwrite: false,
            reading: ReadOptions::default(),
        }
    }
}

/// How finely the click curve of a week is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curve {
    /// 10,080 values, one a minute.
    Minute,
    /// 168 values, one an hour: the sums of its minutes.
    Hour,
    /// Not at all.
    None,
}

impl FromStr for Curve {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "minute" => Ok(Self::Minute),
            "hour" => Ok(Self::Hour),
            "none" => Ok(Self::None),
            _ => Err("must be minute, hour or none".to_owned()),
        }
    }
}

/// The moment that a text names: a date or a date and a time, UTC unless it has an offset.
pub fn moment(text: &str) -> Option<Instant> {
    values::instant(text.trim().as_bytes(), Times::default()).map(|read| Instant(read.value))
}

/// What is worth knowing of the rows of a directory: those that were left out, by reason, and what the command adds.
pub(crate) fn remarks(source: &Source, more: impl IntoIterator<Item = (u64, &'static str)>) -> Vec<String> {
    let counted = more.into_iter().filter(|(rows, _)| *rows > 0).map(|(rows, what)| format!("{rows} {what}"));
    source.remarks().into_iter().chain(counted).collect()
}

/// Rows that were left out because they are no rows of a table.
pub(crate) fn malformed(source: &Source) -> u64 {
    source.losses().iter().map(|loss| loss.rows).sum()
}

/// What was computed.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "family")]
pub enum Report {
    /// Features of recipients.
    Email(RecipientsReport),
    /// Features of callers.
    Traces(SequencesReport),
}

impl Report {
    /// What is worth knowing of the rows.
    pub fn remarks(&self) -> &[String] {
        match self {
            Self::Email(report) => &report.remarks,
            Self::Traces(report) => &report.remarks,
        }
    }
}

/// What the sequences are like. A sequence is a session without its retries, if it has calls enough.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Statistics {
    /// Sequences.
    pub total_sequences: u64,
    /// Their calls.
    pub total_calls: u64,
    /// Mean of their lengths.
    pub avg_sequence_length: f64,
    /// Least of their lengths.
    pub min_sequence_length: u64,
    /// Greatest of their lengths.
    pub max_sequence_length: u64,
    /// Different endpoints.
    pub unique_endpoints: u64,
    /// Pairs of neighbours.
    pub total_transitions: u64,
}

/// What was computed of the calls.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SequencesReport {
    /// Rows that were read: calls, and those that were left out.
    pub read: u64,
    /// Calls that were used, retries among them.
    pub calls: u64,
    /// Rows that are no rows of the table, which are left out.
    pub malformed: u64,
    /// Rows that repeat the id of a call of the same session and endpoint, which are left out.
    pub repeats: u64,
    /// Calls that share their id with one of another endpoint: both count.
    pub ambiguous_ids: u64,
    /// Session ids that several users have: each user's calls are a session.
    pub shared_sessions: u64,
    /// Calls before 1990 or in the future.
    pub odd_clocks: u64,
    /// Retries, which are left out.
    pub retries: u64,
    /// Sessions with too few calls, which are left out.
    pub short_sessions: u64,
    /// Different transitions.
    pub transitions: u64,
    /// Different n-grams, by n.
    pub ngrams: BTreeMap<usize, u64>,
    /// Labelled histories.
    pub pairs: u64,
    /// What the sequences are like.
    pub statistics: Statistics,
    /// What else is worth knowing.
    pub remarks: Vec<String>,
    /// What was written.
    pub files: Vec<String>,
}
