//! A user's own model of rewards: a file of decision, slot and value.

use super::logged::Logged;
use crate::error::AnalysisError;
use crate::source::{As, Columns, ReadOptions, TableSource, Want};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

const WANTS: [Want; 3] = [Want::new("decision_id", As::Uuid), Want::new("action", As::Int), Want::new("q", As::Float)];
/// Problems that are told; the others are counted.
const TOLD: usize = 10;

/// Values in the order of decisions and slots: about 32 bytes each.
pub(super) struct Modelled {
    path: PathBuf,
    rows: Vec<(u128, u16, f64)>,
    missing: AtomicU64,
    named: Mutex<Vec<String>>,
}

impl Modelled {
    /// Reads it.
    ///
    /// # Errors
    /// It cannot be read; every row that is wrong.
    pub(super) fn read(path: &Path, slots: usize) -> Result<Self, AnalysisError> {
        let mut rows: Vec<(u128, u16, f64)> = Vec::new();
        let (mut problems, mut more) = (Vec::new(), 0);
        let mut tell = |problem: String| if problems.len() < TOLD { problems.push(problem) } else { more += 1 };
        let mut number = 0;
        for batch in TableSource::file_with(path, &ReadOptions::default())?.read(&WANTS)? {
            let batch = batch?;
            let (ids, actions, values) = (batch.uuid("decision_id"), batch.int("action"), batch.float("q"));
            for row in 0..batch.num_rows() {
                number += 1;
                let (action, q) = (actions.value(row), values.value(row));
                let slot = usize::try_from(action).ok().filter(|slot| *slot < slots);
                if slot.is_none() {
                    tell(format!("row {number}: action is {action}, which is no slot; give 0 to {}", slots - 1));
                }
                if !q.is_finite() {
                    tell(format!("row {number}: q is {q}; give a finite number"));
                }
                rows.push((ids.get(row).unwrap_or_default(), slot.unwrap_or(0) as u16, q));
            }
        }
        let is_sound = rows.iter().all(|(_, _, q)| q.is_finite());
        if is_sound {
            rows.sort_unstable_by_key(|(id, action, _)| (*id, *action));
            for pair in rows.windows(2).filter(|pair| (pair[0].0, pair[0].1) == (pair[1].0, pair[1].1)) {
                tell(format!("action {} of a decision has two rows; keep one", pair[0].1));
            }
        }
        refuse(path, &problems, more)?;
        Ok(Self { path: path.to_owned(), rows, missing: AtomicU64::new(0), named: Mutex::default() })
    }

    /// The value of each slot to a decision; one that is allowed and has none is noted.
    pub(super) fn rates(&self, decision: &Logged, slots: usize) -> Vec<f64> {
        let mut rates = vec![f64::NAN; slots];
        let first = self.rows.partition_point(|(id, _, _)| *id < decision.id);
        for (_, action, q) in self.rows[first..].iter().take_while(|(id, _, _)| *id == decision.id) {
            rates[usize::from(*action)] = *q;
        }
        for (slot, rate) in rates.iter_mut().enumerate().filter(|(_, rate)| rate.is_nan()) {
            *rate = 0.0;
            if decision.allowed.has(slot) {
                let before = self.missing.fetch_add(1, Ordering::Relaxed);
                if before < TOLD as u64 {
                    let what = format!("action {slot} of decision {:032x} has no row; give its q", decision.id);
                    self.named.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(what);
                }
            }
        }
        rates
    }

    /// That nothing was missing.
    ///
    /// # Errors
    /// Something was.
    pub(super) fn check(&self) -> Result<(), AnalysisError> {
        let named = self.named.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        refuse(&self.path, &named, self.missing.load(Ordering::Relaxed) - named.len() as u64)
    }
}

fn refuse(path: &Path, problems: &[String], more: u64) -> Result<(), AnalysisError> {
    if problems.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = problems.iter().map(|problem| format!("{}: {problem}", path.display())).collect();
    let more = if more > 0 { format!("\nand {more} more") } else { String::new() };
    Err(AnalysisError::input(format!("{}{more}", lines.join("\n"))))
}
