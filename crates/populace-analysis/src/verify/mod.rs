//! The answer key: a run's data files alone against the laws of its scenario.
//!
//! Exact laws first; then tests of the laws of chance and of the probabilities worked out for each try, under one family-wise error;
//! then the queries by which users look at such data. The truth tables are never read.

mod board;
mod email;
mod report;

pub use report::{Check, Group, Report, Verdict};

use crate::error::AnalysisError;
use crate::model::Model;
use crate::source::Source;
use board::{Board, Exact};
use populace_io::document::Resolved;

/// The family-wise error unless another is asked for: a sound run fails once in ten thousand.
pub const DEFAULT_ALPHA: f64 = 1e-4;

/// The file of the verdicts.
pub const FILE: &str = "verify.json";

/// Holds the data of a directory against a document.
///
/// # Errors
/// A table or a column is missing, a file cannot be read, or the run was cut short.
pub fn verify(source: &Source, document: &Resolved, alpha: f64) -> Result<Report, AnalysisError> {
    if !(alpha > 0.0 && alpha < 1.0) {
        return Err(AnalysisError::input(format!("the family-wise error must lie between 0 and 1, got {alpha}")));
    }
    if let Some(manifest) = source.manifest() {
        let identity = &manifest.identity;
        if let Some(count) = identity.count {
            let root = source.root().display();
            return Err(AnalysisError::input(format!(
                "{root}: was cut at {count} rows; its volumes are no law's. Generate without --count"
            )));
        }
        if identity.family != document.family {
            let (root, family, other) = (source.root().display(), &identity.family, &document.family);
            return Err(AnalysisError::input(format!("{root}: holds a run of {family}, and the scenario is of {other}")));
        }
    }
    let mut board = Board::default();
    match Model::new(document)? {
        Model::Email(model) => email::verify(source, &model, &mut board)?,
        Model::Traces(_) | Model::Churn(_) => {
            return Err(AnalysisError::input(format!("{}: of {}, whose laws cannot be verified yet", document.name, document.family)));
        }
    }
    Ok(board.finish(document, alpha))
}

/// Whether a table has as many rows as the manifest says.
fn rows_law(law: &mut Exact, source: &Source, table: &str, rows: u64) {
    if let Some(told) = source.manifest().and_then(|manifest| manifest.tables.get(table)).map(|table| table.rows) {
        law.hold(told == rows, || format!("{table}: {rows} rows, and the manifest says {told}"));
    }
}
