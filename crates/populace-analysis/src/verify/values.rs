//! Whether the values are those that were written: the digests of the manifest, over the data files as they are.

use super::board::{Board, Exact};
use super::report::Group;
use crate::error::AnalysisError;
use crate::source::{Source, Want};
use populace_io::catalogue;
use populace_io::digest::Digest;
use populace_io::document::Resolved;
use populace_io::table::Table;

/// Holds the values of the data tables against the digests of the manifest; tells changes that no other law forbids.
pub(super) fn values_law(source: &Source, document: &Resolved, board: &mut Board) -> Result<(), AnalysisError> {
    const NAME: &str = "values are those whose digests the manifest tells";
    let Some(manifest) = source.manifest() else {
        board.skip(Group::Exact, NAME, "there is no manifest");
        return Ok(());
    };
    let generator = catalogue::generator(document)?;
    let mut law = Exact::new(NAME);
    for (name, told) in manifest.tables.iter().filter(|(_, told)| !told.truth) {
        let Some(table) = generator.tables().iter().find(|table| table.name == name) else { continue };
        let digest = digest(source, table)?;
        law.hold(digest.to_string() == told.digest, || format!("{name}: {digest}, and the manifest says {}", told.digest));
    }
    board.exact(law);
    Ok(())
}

fn digest(source: &Source, table: &Table) -> Result<Digest, AnalysisError> {
    let data = source.table(table.name)?;
    let found = data.column_names()?;
    // The latent engagement of churn may have been left out.
    let columns = table.columns.iter().filter(|column| column.name != "engagement_score" || found.iter().any(|name| name == column.name));
    let table = Table::new(table.name, table.truth, table.meaning, columns.copied().collect(), table.rows_per_actor);
    let wants: Vec<Want> = table.columns.iter().map(Want::of).collect();
    let mut digest = Digest::default();
    let mut hashes = Vec::new();
    for batch in data.read(&wants)? {
        digest.add(&Digest::of(&table, &batch?, &mut hashes));
    }
    Ok(digest)
}
