//! A recovery as a table of text.

use super::{Estimate, Recovery};
use std::fmt;

/// Digits that count.
const SIGNIFICANT: i32 = 4;

/// A number with as many digits as count.
pub fn number(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return if value.is_finite() { "0".into() } else { value.to_string() };
    }
    let whole = value.abs().log10().floor() as i32 + 1;
    let places = (SIGNIFICANT - whole).clamp(0, 8) as usize;
    format!("{value:.places$}")
}

/// Rows whose columns stand below one another: the first and the last to the left, the others to the right.
pub fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let gap = " ".repeat(widths[column] - cell.chars().count());
            let parts = if column == 0 || column + 1 == columns { [cell.as_str(), &gap] } else { [gap.as_str(), cell] };
            line.push_str(if column == 0 { "" } else { "  " });
            line.extend(parts);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn row(estimate: &Estimate) -> Vec<String> {
    let verdict = match (estimate.covered, estimate.detectable) {
        (true, Some(false)) => "covered, not detectable",
        (true, _) => "covered",
        (false, Some(false)) => "MISSED, not detectable",
        (false, _) => "MISSED",
    };
    vec![
        estimate.parameter.clone(),
        number(estimate.truth),
        number(estimate.estimate),
        number(estimate.low),
        number(estimate.high),
        estimate.n.to_string(),
        verdict.into(),
    ]
}

impl fmt::Display for Recovery {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size: Vec<String> = self.size.iter().map(|(what, count)| format!("{what}: {count}")).collect();
        writeln!(formatter, "{} ({}). {}\n", self.scenario, self.family, size.join(", "))?;
        let header = ["parameter", "truth", "estimate", "low", "high", "n", ""].map(str::to_owned).to_vec();
        let rows: Vec<Vec<String>> = std::iter::once(header).chain(self.estimates.iter().map(row)).collect();
        writeln!(formatter, "{}", aligned(&rows))?;
        for skipped in &self.not_estimated {
            writeln!(formatter, "not estimated: {}: {}", skipped.parameter, skipped.reason)?;
        }
        for note in &self.notes {
            writeln!(formatter, "note: {note}")?;
        }
        let covered = self.estimates.iter().filter(|estimate| estimate.covered).count();
        let effects: Vec<bool> = self.estimates.iter().filter_map(|estimate| estimate.detectable).collect();
        let detectable = effects.iter().filter(|detectable| **detectable).count();
        let all = self.estimates.len();
        write!(
            formatter,
            "{covered} of {all} intervals at {} contain the truth; {detectable} of {} effects are detectable at this size",
            self.level,
            effects.len()
        )
    }
}
