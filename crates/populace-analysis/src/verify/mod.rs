//! The answer key: a run's data files alone against the laws of its scenario.
//!
//! Exact laws first; then tests of the laws of chance and of the probabilities worked out for each try, under one family-wise error;
//! then the queries by which users look at such data. The truth tables are never read.

mod board;
mod churn;
mod email;
mod report;
mod traces;
mod values;

pub(crate) use report::p_text;
pub use report::{Check, Group, Report, Verdict};

use crate::error::AnalysisError;
use crate::model::Model;
use crate::source::{As, Columns, Source, Want};
use board::{Board, Exact};
use populace_core::time::Instant;
use populace_io::document::Resolved;
use populace_io::run::Order;

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
    source.refuse_empty(&document.family)?;
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
        Model::Traces(model) => traces::verify(source, &model, &mut board)?,
        Model::Churn(model) => churn::verify(source, &model, &mut board)?,
    }
    values::values_law(source, document, &mut board)?;
    Ok(board.finish(document, alpha))
}

/// Whether a table has as many rows as the manifest says.
fn rows_law(law: &mut Exact, source: &Source, table: &str, rows: u64) {
    if let Some(told) = source.manifest().and_then(|manifest| manifest.tables.get(table)).map(|table| table.rows) {
        law.hold(told == rows, || format!("{table}: {rows} rows, and the manifest says {told}"));
    }
}

/// Whether the rows of a table stand as the manifest says: by actor, as `actor_of` numbers it, then time; or by time.
fn order_law(
    source: &Source,
    board: &mut Board,
    table: &str,
    key: &'static str,
    actor_of: impl Fn(&str) -> Option<u64>,
) -> Result<(), AnalysisError> {
    const NAME: &str = "rows stand in the order that the manifest tells";
    let time = if table == "events" && key == "user_id" { "event_time" } else { "timestamp" };
    let Some(manifest) = source.manifest() else {
        board.skip(Group::Exact, NAME, "there is no manifest");
        return Ok(());
    };
    // Parts are ordered each by itself.
    if manifest.identity.order == Order::Time && manifest.identity.parts > 1 {
        board.skip(Group::Exact, NAME, "parts in order of time are ordered each by itself");
        return Ok(());
    }
    let by_actor = manifest.identity.order == Order::Actor;
    let mut law = Exact::new(NAME);
    let mut last: Option<(Option<u64>, i64)> = None;
    for batch in source.table(table)?.read(&[Want::new(key, As::Text), Want::new(time, As::Instant)])? {
        let batch = batch?;
        let (ids, times) = (batch.text(key), batch.instant(time));
        for row in 0..batch.num_rows() {
            let now = (actor_of(ids.value(row)), times.value(row));
            // Sessions of one caller may overlap: their calls stand by session.
            let within = |before: i64| before <= now.1 || table == "calls";
            let holds = last.is_none_or(|(actor, at)| match by_actor {
                true if actor == now.0 => within(at),
                true => actor < now.0,
                false => at <= now.1,
            });
            law.hold(holds, || format!("{} at {}", ids.value(row), Instant(now.1)));
            last = Some(now);
        }
    }
    board.exact(law);
    Ok(())
}

/// A UUID, with hyphens.
fn uuid(id: u128) -> String {
    format!("{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", id >> 96, (id >> 80) as u16, (id >> 64) as u16, (id >> 48) as u16, id & ((1 << 48) - 1))
}

/// A number's bits, spread (SplitMix64): sets of numbers are alike with a chance of 2⁻⁶⁴ if the sums of these are.
fn mix(number: u64) -> u64 {
    let a = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let b = (a ^ (a >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let c = (b ^ (b >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    c ^ (c >> 31)
}

/// A number's place among all 64-bit numbers, from 0 to below 1.
fn unit(number: u64) -> f64 {
    (number >> 11) as f64 / (1_u64 << 53) as f64
}

/// Whether two JSON texts say the same.
fn same_json(a: &str, b: &str) -> bool {
    let parsed = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
    a == b || parsed(a).is_some_and(|a| Some(a) == parsed(b))
}
