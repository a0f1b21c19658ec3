//! Facts as columns.

use super::graph::Facts;
use crate::error::FlowError;
use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use populace_core::time::Instant;
use std::sync::Arc;

fn text<'a>(values: impl Iterator<Item = &'a str>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

fn moments(values: impl Iterator<Item = Instant>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from_iter_values(values.map(|at| at.0)).with_timezone("UTC"))
}

fn batch<const N: usize>(columns: [(&str, ArrayRef); N]) -> Result<RecordBatch, FlowError> {
    RecordBatch::try_from_iter(columns).map_err(|error| FlowError::Refused(format!("identities as columns: {error}")))
}

pub(super) fn identifiers(facts: &Facts) -> Result<RecordBatch, FlowError> {
    let rows = &facts.identifiers;
    batch([
        ("identifier", text(rows.iter().map(|row| row.0.as_str()))),
        ("base_id", text(rows.iter().map(|row| row.1.as_str()))),
        ("kind", text(rows.iter().map(|row| row.2.name()))),
        ("key_id", text(rows.iter().map(|row| row.3.as_str()))),
        ("at", moments(rows.iter().map(|row| row.4))),
    ])
}

/// A link: two base ids, kind, source, weight, time.
pub(super) type LinkRow<'a> = ([&'a str; 2], &'a str, &'a str, f64, Instant);

/// Links, each in both directions.
pub(super) fn links(links: &[LinkRow<'_>]) -> Result<RecordBatch, FlowError> {
    let rows: Vec<LinkRow<'_>> = links
        .iter()
        .flat_map(|&([one, other], kind, source, weight, at)| [[one, other], [other, one]].map(|ids| (ids, kind, source, weight, at)))
        .collect();
    batch([
        ("base_id", text(rows.iter().map(|row| row.0[0]))),
        ("other", text(rows.iter().map(|row| row.0[1]))),
        ("kind", text(rows.iter().map(|row| row.1))),
        ("source", text(rows.iter().map(|row| row.2))),
        ("weight", Arc::new(Float64Array::from_iter_values(rows.iter().map(|row| row.3)))),
        ("at", moments(rows.iter().map(|row| row.4))),
    ])
}

/// Ids that gave way: the id, the one instead, time.
pub(super) fn merges(rows: &[(String, String, Instant)]) -> Result<RecordBatch, FlowError> {
    batch([
        ("absorbed", text(rows.iter().map(|row| row.0.as_str()))),
        ("universal_id", text(rows.iter().map(|row| row.1.as_str()))),
        ("at", moments(rows.iter().map(|row| row.2))),
    ])
}

/// A row of the audit: time, purpose, outcome, base id, universal id.
pub(super) type Audit<'a> = (Instant, &'a str, &'a str, &'a str, &'a str);

pub(super) fn resolutions(rows: &[Audit<'_>]) -> Result<RecordBatch, FlowError> {
    batch([
        ("at", moments(rows.iter().map(|row| row.0))),
        ("purpose", text(rows.iter().map(|row| row.1))),
        ("outcome", text(rows.iter().map(|row| row.2))),
        ("base_id", text(rows.iter().map(|row| row.3))),
        ("universal_id", text(rows.iter().map(|row| row.4))),
    ])
}
