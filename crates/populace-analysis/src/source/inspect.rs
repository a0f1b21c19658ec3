//! What a file of a user's own would be read as.

use super::cast::repeated;
use super::layout::{Layout, Loss};
use super::map::{Map, PRESETS, Settings};
use super::shared::Shared;
use super::{As, Columns, ReadOptions, TableSource, Want};
use crate::error::AnalysisError;
use arrow_array::Array;
use populace_core::time::Instant;
use populace_io::table::Table;
use populace_io::wording::own;
use serde::Serialize;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Words that are shown of a column.
const MOST_WORDS: usize = 50;

/// What a file would be read as.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    /// The file.
    pub path: PathBuf,
    /// How it is written.
    pub format: String,
    /// The table that its columns are most like, as `email events`.
    pub table: String,
    /// The columns that are read: the name that is wanted, and the one in the file.
    pub columns: BTreeMap<&'static str, String>,
    /// Columns that are not read.
    pub ignored: Vec<String>,
    /// Columns that the table needs and the file lacks.
    pub missing: Vec<&'static str>,
    /// The presets of `--map` that fit the file better.
    pub presets: Vec<&'static str>,
    /// Rows in the file.
    pub rows: u64,
    /// Rows that are left out, by reason.
    pub left_out: Vec<Loss>,
    /// Values that are nothing, by column.
    pub blank: BTreeMap<&'static str, u64>,
    /// The first and the last moment, by column.
    pub moments: BTreeMap<&'static str, [String; 2]>,
    /// How numbers since 1970, dates and times without an offset are taken.
    pub times: String,
    /// The types of events with how often each comes, and whether it is known.
    pub events: BTreeMap<String, (u64, bool)>,
    /// What cannot be read, a message for each column.
    pub problems: Vec<String>,
}

/// A table that a file may be.
#[derive(Clone)]
pub(crate) struct Likely<'a> {
    pub(crate) family: &'static str,
    pub(crate) table: &'a Table,
    /// The columns that it must have.
    pub(crate) needed: &'static [&'static str],
    /// The types of events that are known.
    pub(crate) words: Vec<&'static str>,
}

/// Looks at a file, which may be one of some tables.
///
/// # Errors
/// The file cannot be read at all.
pub(crate) fn inspect(path: &Path, tables: &[Likely<'_>], options: &ReadOptions) -> Result<Inspection, AnalysisError> {
    let (table, layout) = opened(path, options)?;
    let (mut most_like, mut chosen) = ((0, false, 0), (0, Vec::new()));
    for (place, likely) in tables.iter().enumerate() {
        let (mut found, known) = (Vec::new(), likely.table);
        for column in &known.columns {
            found.extend(layout.find(column.name, &table.shared)?.map(|source| (column, source)));
        }
        let is_named = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(known.name));
        // Of two tables with as many of its columns, the one that has fewer besides.
        let worth = (found.len(), is_named, found.len() * 1_000 / known.columns.len().max(1));
        if worth > most_like {
            (most_like, chosen) = (worth, (place, found));
        }
    }
    let (place, found) = chosen;
    let Likely { family, table: known, needed, words } = &tables[place];
    let missing: Vec<&str> = needed.iter().copied().filter(|name| !found.iter().any(|(column, _)| column.name == *name)).collect();
    let sources: BTreeSet<&String> = found.iter().map(|(_, source)| source).collect();
    let mut inspection = Inspection {
        path: path.to_owned(),
        format: layout.dialect(),
        table: format!("{family} {}", known.path()),
        columns: found.iter().map(|(column, source)| (column.name, source.clone())).collect(),
        ignored: layout.names.iter().filter(|name| !sources.contains(name)).cloned().collect(),
        missing,
        presets: Vec::new(),
        rows: 0,
        left_out: layout.losses.clone(),
        blank: BTreeMap::new(),
        moments: BTreeMap::new(),
        times: times(options),
        events: BTreeMap::new(),
        problems: Vec::new(),
    };
    let mut most = 0;
    for (column, _) in &found {
        // Any text is an id.
        let kind = match Want::of(column).kind {
            As::Uuid => As::Text,
            kind => kind,
        };
        let (rows, read) = inspection.column(&table, Want { nullable: true, kind, ..Want::of(column) }, words);
        most = most.max(rows);
        if let Err(error) = read {
            inspection.problems.push(error.to_string());
        }
    }
    inspection.rows = layout.rows.unwrap_or(most);
    let unknown = !inspection.events.is_empty() && inspection.events.values().all(|(_, known)| !known);
    if options.map == Map::default() && (!inspection.missing.is_empty() || unknown) {
        inspection.presets = presets(path, tables)?;
    }
    Ok(inspection)
}

fn opened(path: &Path, options: &ReadOptions) -> Result<(TableSource, Arc<Layout>), AnalysisError> {
    let table = TableSource { files: vec![path.to_owned()], shared: Arc::new(Shared::new(options, false, false)) };
    let layout = table.shared.layout(path)?;
    Ok((table, layout))
}

/// The presets under which a file has all columns that one of the tables needs: those that know most of its first words for events, then
/// most of its columns.
fn presets(path: &Path, tables: &[Likely<'_>]) -> Result<Vec<&'static str>, AnalysisError> {
    let mut best = ((0, 0), Vec::new());
    for name in PRESETS.names() {
        let (table, layout) = opened(path, &ReadOptions::new(Some(name), Settings::default())?)?;
        // A column that the preset names twice over is no reason to refuse the file.
        let has = |column: &str| layout.find(column, &table.shared).ok().flatten().is_some();
        for likely in tables.iter().filter(|likely| !likely.needed.is_empty() && likely.needed.iter().all(|column| has(column))) {
            let known = likely.table.columns.iter().filter(|column| has(column.name)).count();
            let mut words = BTreeSet::new();
            if likely.needed.contains(&"event_type")
                && let Some(Ok(batch)) = table.read(&[Want::nullable("event_type", As::Text)])?.next()
            {
                words.extend(batch.text("event_type").iter().flatten().filter(|word| likely.words.contains(word)).map(str::to_owned));
                if words.is_empty() {
                    continue;
                }
            }
            let worth = (words.len(), known);
            match worth.cmp(&best.0) {
                Ordering::Greater => best = (worth, vec![name]),
                Ordering::Equal if !best.1.contains(&name) => best.1.push(name),
                _ => {}
            }
        }
    }
    Ok(best.1)
}

fn times(options: &ReadOptions) -> String {
    let times = options.times;
    let unit = super::Unit::NAMES.iter().find(|(_, unit)| Some(*unit) == times.unit);
    let unit = unit.map_or_else(|| own("numbers are no times without --time-unit"), |(name, _)| (*name).into());
    let minutes = times.zone / populace_core::time::MINUTE;
    let sign = if minutes < 0 { '-' } else { '+' };
    format!("unit: {unit}; offset where there is none: {sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60)
}

impl Inspection {
    /// Reads one column; gives the rows that could be read.
    fn column(&mut self, table: &TableSource, want: Want, words: &[&str]) -> (u64, Result<(), AnalysisError>) {
        let mut rows = 0;
        let batches = match table.read(&[want]) {
            Ok(batches) => batches,
            Err(error) => return (0, Err(error)),
        };
        let (mut blank, mut span) = (0, None);
        for batch in batches {
            let batch = match batch {
                Ok(batch) => batch,
                Err(error) => return (rows, Err(error)),
            };
            rows += batch.num_rows() as u64;
            blank += batch.column(0).null_count() as u64;
            if want.kind == As::Instant {
                for time in batch.instant(want.name).iter().flatten() {
                    span = Some(span.map_or((time, time), |(first, last): (i64, i64)| (first.min(time), last.max(time))));
                }
            }
            if want.name == "event_type" {
                for word in batch.text(want.name).iter().flatten() {
                    let shown = repeated(word);
                    if self.events.len() < MOST_WORDS || self.events.contains_key(shown.as_ref()) {
                        self.events.entry(shown.into_owned()).or_insert((0, words.contains(&word))).0 += 1;
                    }
                }
            }
        }
        if blank > 0 {
            self.blank.insert(want.name, blank);
        }
        if let Some((first, last)) = span {
            self.moments.insert(want.name, [first, last].map(|time| Instant(time).to_string()));
        }
        (rows, Ok(()))
    }
}
