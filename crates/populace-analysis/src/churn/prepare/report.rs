//! What became of every row.

use super::join::{Count, Tally};
use super::reasons::{Drop, Note, Reason, Repair};
use super::rows::{Header, RawTable};
use populace_io::files::writer::FileInfo;
use populace_io::wording::own;
use serde::Serialize;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// What `prepare` did, as in `prepare_report.json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Rows of raw users.
    pub users: TableReport,
    /// Rows of raw events.
    pub events: TableReport,
    /// The grid.
    pub user_daily: GridReport,
    /// What was written.
    pub files: Vec<FileInfo>,
    /// What else is worth knowing.
    pub remarks: Vec<String>,
}

/// What became of the rows of a raw table: `read` = `kept` + `dropped_rows`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TableReport {
    /// The raw files.
    pub files: Vec<String>,
    /// Rows that were read.
    pub read: u64,
    /// Rows that were kept.
    pub kept: u64,
    /// Rows that were dropped, each for one reason.
    pub dropped_rows: u64,
    /// Rows that were kept and repaired, each in one way or more.
    pub repaired_rows: u64,
    /// Dropped rows by reason.
    pub dropped: BTreeMap<&'static str, ReasonReport>,
    /// Repairs of kept rows by reason.
    pub repaired: BTreeMap<&'static str, ReasonReport>,
    /// What is odd about rows that were kept as they are.
    pub noted: BTreeMap<&'static str, ReasonReport>,
    /// Columns that were not read.
    pub ignored_columns: Vec<String>,
    /// Optional columns that are missing in a file.
    pub missing_columns: Vec<&'static str>,
}

/// Rows of one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReasonReport {
    /// How many.
    pub rows: u64,
    /// Where the first stands, such as `events.csv:12`.
    pub first: String,
    /// What the reason says.
    pub meaning: Cow<'static, str>,
}

/// The grid of users and days.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GridReport {
    /// Users.
    pub users: u64,
    /// The first day.
    pub first_date: String,
    /// The last day.
    pub last_date: String,
    /// Days, both included.
    pub days: u64,
    /// Users × days.
    pub rows: u64,
}

fn reasons<R: Reason>(counts: &[Count], table: &RawTable) -> BTreeMap<&'static str, ReasonReport> {
    let counted = R::ALL.iter().zip(counts).filter(|(_, count)| count.rows > 0);
    let report = |(reason, count): (&R, &Count)| {
        (reason.code(), ReasonReport { rows: count.rows, first: table.shown(count.first), meaning: own(reason.meaning()) })
    };
    counted.map(report).collect()
}

impl TableReport {
    pub(super) fn new(table: &RawTable, header: Header, tally: &Tally) -> Self {
        let name = |file: &std::path::PathBuf| file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Self {
            files: table.files().iter().map(name).collect(),
            read: tally.read,
            kept: tally.kept,
            dropped_rows: tally.dropped.iter().map(|count| count.rows).sum(),
            repaired_rows: tally.repaired_rows,
            dropped: reasons::<Drop>(&tally.dropped, table),
            repaired: reasons::<Repair>(&tally.repaired, table),
            noted: reasons::<Note>(&tally.noted, table),
            ignored_columns: header.ignored,
            missing_columns: header.missing,
        }
    }

    /// Why no row could be kept, for a message.
    pub(super) fn why_none(&self) -> String {
        let most = self.dropped.iter().max_by_key(|(_, reason)| reason.rows);
        most.map_or_else(
            || "the table has no rows".to_owned(),
            |(code, reason)| {
                format!("all {} rows were dropped, {} for {code}: {} (first at {})", self.read, reason.rows, reason.meaning, reason.first)
            },
        )
    }
}
