//! The answer key: a run's data files alone against the laws of its scenario.
//!
//! Exact laws first; then tests of the laws of chance and of the probabilities worked out for each try, under one family-wise error;
//! then the queries by which users look at such data. The truth tables are never read.

pub(crate) mod board;
pub(crate) mod files;
pub(crate) mod ids;
pub(crate) mod kit;
mod report;

pub(crate) use board::Board;
pub(crate) use report::p_text;
pub use report::{Check, Group, Report, Verdict};

use crate::error::AnalysisError;
use crate::source::Source;
use populace_io::document::Resolved;
use populace_io::wording::own;

/// The family-wise error unless another is asked for: a sound run fails once in ten thousand.
pub const DEFAULT_ALPHA: f64 = 1e-4;

/// The file of the verdicts.
pub const FILE: &str = "verify.json";

/// Checks the family-wise error.
pub(crate) fn check_alpha(alpha: f64) -> Result<(), AnalysisError> {
    if alpha > 0.0 && alpha < 1.0 {
        return Ok(());
    }
    Err(AnalysisError::input(format!("the family-wise error must lie between 0 and 1, got {alpha}")))
}

/// Checks that a run can be held against a document.
pub(crate) fn check_run(source: &Source, document: &Resolved) -> Result<(), AnalysisError> {
    let Some(identity) = source.manifest().map(|manifest| &manifest.identity) else { return Ok(()) };
    let root = source.root().display();
    if let Some(count) = identity.count {
        return Err(AnalysisError::input(format!(
            "{root}: was cut at {count} rows; its volumes follow no distribution. {}",
            own("Generate without --count")
        )));
    }
    if identity.family != document.family {
        let (family, other) = (&identity.family, &document.family);
        return Err(AnalysisError::input(format!("{root}: holds a run of {family}, and the scenario is of {other}")));
    }
    Ok(())
}

/// A UUID, with hyphens.
pub(crate) fn uuid(id: u128) -> String {
    format!("{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", id >> 96, (id >> 80) as u16, (id >> 64) as u16, (id >> 48) as u16, id & ((1 << 48) - 1))
}

/// A number's bits, spread (SplitMix64): sets of numbers are alike with a chance of 2⁻⁶⁴ if the sums of these are.
pub(crate) fn mix(number: u64) -> u64 {
    let a = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let b = (a ^ (a >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let c = (b ^ (b >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    c ^ (c >> 31)
}

/// A number's place among all 64-bit numbers, from 0 to below 1.
pub(crate) fn unit(number: u64) -> f64 {
    (number >> 11) as f64 / (1_u64 << 53) as f64
}

/// A place anywhere from `low` to `high`, the share that a value which is written to so many digits has in its distribution, by a hash.
pub(crate) fn anywhere([low, high]: [f64; 2], salt: u64) -> f64 {
    low + (high - low) * unit(mix(salt))
}

/// Whether two JSON texts say the same.
pub(crate) fn same_json(a: &str, b: &str) -> bool {
    let parsed = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
    a == b || parsed(a).is_some_and(|a| Some(a) == parsed(b))
}
