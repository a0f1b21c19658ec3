//! A scorecard as a short table and a sentence or two.

use super::card::{Estimate, Predictor, Scorecard};
use std::fmt::Write;

/// Groups are printed up to so many.
const MOST_GROUPS: usize = 48;

/// The card for people.
pub fn render(card: &Scorecard) -> String {
    let mut text = String::new();
    header(&mut text, card);
    columns(&mut text, card);
    calibration(&mut text, card);
    groups(&mut text, card);
    for sentence in gain_sentence(card).into_iter().chain(card.notes.iter().cloned()) {
        let _ = writeln!(text, "\n{sentence}");
    }
    if !card.verdicts.is_empty() {
        text.push('\n');
    }
    for verdict in &card.verdicts {
        let word = match (verdict.passed, verdict.required) {
            (true, _) => "ok    ",
            (false, true) => "FAILED",
            // Told, and nothing that was asked for.
            (false, false) => "unlike",
        };
        let _ = writeln!(text, "{word} {}: {}", verdict.name, number(verdict.value));
    }
    text
}

fn header(text: &mut String, card: &Scorecard) {
    let run = &card.run;
    let _ = writeln!(text, "{}: {}", card.task, card.label);
    let _ = write!(text, "{} scored on {} (seed {})", counted(card.n, "prediction"), run.scenario, run.seed);
    if let Some(positives) = card.positives {
        let _ = write!(text, ", {positives} positive ({:.2}%)", 100.0 * positives as f64 / card.n.max(1) as f64);
    }
    text.push('\n');
    for (what, count) in &card.counts {
        let _ = writeln!(text, "{what}: {count}");
    }
}

fn columns(text: &mut String, card: &Scorecard) {
    let shown: Vec<_> = card.metrics.iter().filter(|metric| card.metric(Predictor::Model, &metric.name).is_some()).collect();
    if shown.is_empty() {
        return;
    }
    let mut table = vec![vec![String::new()]];
    table[0].extend(card.columns.iter().map(|column| column.predictor.heading().to_owned()));
    for metric in shown {
        let mut row = vec![metric.name.replace('_', " ")];
        row.extend(card.columns.iter().map(|column| column.metrics.get(&metric.name).map_or_else(String::new, estimate)));
        table.push(row);
    }
    text.push('\n');
    aligned(text, &table);
}

fn calibration(text: &mut String, card: &Scorecard) {
    if card.calibration.is_empty() {
        return;
    }
    let mut table = vec![["predicted", "observed", "standard error", "rows"].map(str::to_owned).to_vec()];
    for bin in &card.calibration {
        table.push(vec![number(bin.predicted), number(bin.observed), number(bin.standard_error), bin.n.to_string()]);
    }
    text.push('\n');
    aligned(text, &table);
}

fn groups(text: &mut String, card: &Scorecard) {
    for groups in card.groups.chunk_by(|a, b| a.by == b.by) {
        let mut names: Vec<&String> = groups.iter().flat_map(|group| group.values.keys()).collect();
        names.sort_unstable();
        names.dedup();
        // Points of a curve are no parts of the rows.
        let has_rows = groups.iter().any(|group| group.n > 0);
        let count = |shown: String| Some(shown).filter(|_| has_rows);
        let mut table = vec![vec![groups[0].by.replace('_', " ")]];
        table[0].extend(count("n".to_owned()));
        table[0].extend(names.iter().map(|name| name.replace('_', " ")));
        for group in groups.iter().take(MOST_GROUPS) {
            let mut row = vec![group.name.clone()];
            row.extend(count(group.n.to_string()));
            row.extend(names.iter().map(|name| group.values.get(*name).copied().map_or_else(String::new, number)));
            table.push(row);
        }
        text.push('\n');
        aligned(text, &table);
        if groups.len() > MOST_GROUPS {
            let _ = writeln!(text, "… and {} more in the JSON", groups.len() - MOST_GROUPS);
        }
    }
}

/// "your model has 71% ± 2% of the attainable gain (observable history), 54% of what knowing everything would give".
fn gain_sentence(card: &Scorecard) -> Option<String> {
    let percent = |share: Estimate| {
        let error = share.standard_error.map_or_else(String::new, |error| format!(" ± {:.1}%", 100.0 * error));
        format!("{:.1}%{error}", 100.0 * share.value)
    };
    let observable =
        card.gain(Predictor::Observable).map(|gain| format!("{} of the attainable gain (observable history)", percent(gain.share)));
    let latent = card.gain(Predictor::Latent).map(|gain| format!("{} of what knowing everything would give", percent(gain.share)));
    let parts: Vec<String> = observable.into_iter().chain(latent).collect();
    (!parts.is_empty()).then(|| format!("your model has {}", parts.join(", ")))
}

fn estimate(estimate: &Estimate) -> String {
    let error = estimate.standard_error.map_or_else(String::new, |error| format!(" ± {}", number(error)));
    format!("{}{error}", number(estimate.value))
}

/// Whole numbers as they are, others with four places.
fn number(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() >= 2.0 { format!("{value:.0}") } else { format!("{value:.4}") }
}

fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// The first column to the left, the others to the right.
fn aligned(text: &mut String, table: &[Vec<String>]) {
    let columns = table.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| table.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in table {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            if column == 0 {
                let _ = write!(line, "{cell:<width$}");
            } else {
                let _ = write!(line, "  {cell:>width$}");
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
}
