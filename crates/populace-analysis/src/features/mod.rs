//! Features of the actors in a directory: of recipients from `events`, of callers from `calls`.

pub mod email;
pub mod endpoints;
mod recipients;
mod sequences;

pub use recipients::RecipientsReport;
pub use sequences::{SequencesReport, Statistics};

use crate::error::AnalysisError;
use crate::source::Source;
pub use crate::watch::{Progress, Watch};
use populace_core::time::Instant;
use populace_io::files::Format;
use serde::Serialize;
use std::path::PathBuf;

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
    /// traces: the lengths of n-grams, each at least 2.
    pub ngrams: Vec<usize>,
    /// traces: calls of a history, at most.
    pub history: usize,
    /// traces: sessions with fewer calls are left out.
    pub min_length: usize,
    /// Whether earlier features may be replaced.
    pub overwrite: bool,
}

impl Options {
    /// The defaults: Parquet, at the last event; n-grams of 2 and 3, histories of up to 20 calls, sessions of at least 2.
    pub fn new(data: impl Into<PathBuf>, output: impl Into<PathBuf>) -> Self {
        Self {
            data: data.into(),
            output: output.into(),
            format: Format::Parquet,
            now: None,
            ngrams: vec![2, 3],
            history: 20,
            min_length: 2,
            overwrite: false,
        }
    }
}

/// The moment that a text names: a date or a date and a time, UTC unless it has an offset.
pub fn moment(text: &str) -> Option<Instant> {
    crate::prepare::moment(text).map(Instant)
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

/// Computes the features of a directory: of recipients if there is a table `events`, of callers if there is a table `calls`.
///
/// # Errors
/// There is neither table or both, a column is missing, a value cannot be read, the features are there already, a file cannot be
/// written, or the work was stopped.
pub fn compute(options: &Options, watch: Watch<'_>) -> Result<Report, AnalysisError> {
    let source = Source::open(&options.data)?;
    let data = options.data.display();
    match (source.has("events"), source.has("calls")) {
        (true, false) => {
            let columns = source.table("events")?.column_names()?;
            if !columns.iter().any(|name| name == "recipient_id") && columns.iter().any(|name| name == "event_time") {
                return Err(AnalysisError::input(format!(
                    "{data}: events are of users of a subscription, who have no features here; see populace prepare churn"
                )));
            }
            recipients::compute(options, &source, &watch).map(Report::Email)
        }
        (false, true) if options.now.is_some() => {
            Err(AnalysisError::input("--as-of: features of callers are of all their calls; leave it out"))
        }
        (false, true) => sequences::compute(options, &source, &watch).map(Report::Traces),
        (true, true) => Err(AnalysisError::input(format!("{data}: has both events and calls; keep one of the tables"))),
        (false, false) => Err(AnalysisError::input(format!("{data}: has neither a table events nor a table calls"))),
    }
}
