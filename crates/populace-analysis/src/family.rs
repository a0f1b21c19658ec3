//! What a family of scenarios brings to the analysis. `families` has the list of them.

use crate::error::AnalysisError;
use crate::features;
use crate::plan::Effect;
use crate::policy::Policies;
use crate::recover::Sheet;
use crate::report::Found;
use crate::score::Task;
use crate::source::Source;
use crate::verify::Board;
use crate::watch::Watch;
use populace_core::plan::WindowConfig;
use populace_io::document::Resolved;
use std::collections::BTreeMap;

/// How much there is of what.
pub(crate) type Size = BTreeMap<String, u64>;

/// Estimates parameters from data, on a sheet.
pub(crate) type Recover = fn(&Source, &Resolved, &mut Sheet, &Watch<'_>) -> Result<Size, AnalysisError>;

/// Computes features, and says what was computed.
pub(crate) type Features = fn(&features::Options, &Source, &Watch<'_>) -> Result<features::Report, AnalysisError>;

/// A family.
pub(crate) struct Family {
    /// Its name, as documents have it.
    pub(crate) name: &'static str,
    /// Its main table, and the columns by which a table of a user's own is known to be that; the first is never null.
    pub(crate) table: &'static str,
    pub(crate) columns: &'static [&'static str],
    /// The columns that a table of a user's own must have.
    pub(crate) needed: &'static [(&'static str, &'static [&'static str])],
    /// The types of its events.
    pub(crate) words: fn() -> Vec<&'static str>,
    /// The days of a document.
    pub(crate) window: fn(&Resolved) -> Result<WindowConfig, AnalysisError>,
    /// Holds data against its document.
    pub(crate) verify: fn(&Source, &Resolved, &mut Board, &Watch<'_>) -> Result<(), AnalysisError>,
    /// What a report shows, with or without a document.
    pub(crate) figures: fn(&Source, Option<&Resolved>, &Watch<'_>) -> Result<Found, AnalysisError>,
    /// Estimates parameters; gives how much there is of what.
    pub(crate) recover: Recover,
    /// Computes features of its actors, if it has some.
    pub(crate) features: Option<Features>,
    /// What predictions are scored for.
    pub(crate) tasks: &'static [Task],
    /// What a study can be planned for.
    pub(crate) effects: &'static [Effect],
    /// What is done with its policies, if it has some.
    pub(crate) policies: Option<Policies>,
}
