//! Estimates of policies from a log, held against what the policies are worth.

use crate::email::policy::{candidate_of, true_value};
use crate::error::AnalysisError;
use crate::score::Context;
use crate::score::card::{Column, Estimate, Group, Metric, Predictor, Scorecard};
use crate::score::predictions::listed;
use crate::source::{As, Columns, TableSource, Want};
use std::collections::BTreeMap;

const WANTS: [Want; 5] = [
    Want::new("target", As::Text),
    Want::new("estimator", As::Text),
    Want::new("estimate", As::Float),
    Want::new("low", As::Float),
    Want::new("high", As::Float),
];
/// Problems that are told; the others are counted.
const TOLD: usize = 10;
/// Standard errors from the middle of an interval of 95% to its ends.
const TWO_SIDED: f64 = 1.959_964;

struct Row {
    target: String,
    estimator: String,
    estimate: f64,
    low: f64,
    high: f64,
}

/// Scores estimates with their intervals of 95%.
pub(crate) fn score(context: &Context<'_>) -> Result<Scorecard, AnalysisError> {
    let rows = read(context)?;
    let seed = context
        .source
        .seed(context.document)
        .ok_or_else(|| AnalysisError::input(format!("{}: its seed is not known; is it a run?", context.source.root().display())))?;
    // All targets first: what is wrong with them is said at once.
    let mut targets = BTreeMap::new();
    let mut problems = Vec::new();
    for (number, row) in rows.iter().enumerate() {
        if targets.contains_key(&row.target) {
            continue;
        }
        match candidate_of(context.document, &row.target) {
            Ok(candidate) => {
                targets.insert(row.target.clone(), candidate);
            }
            Err(error) => problems.push(format!("row {}, target: {error}", number + 1)),
        }
    }
    refuse(context, &problems)?;
    let mut truths = BTreeMap::new();
    for (name, candidate) in &targets {
        truths.insert(name.clone(), true_value(context.document, candidate, seed, context.watch)?);
    }
    let mut card = context.card("the reward a decision of each target, an open being worth 1");
    card.n = rows.len() as u64;
    let (mut errors, mut squares, mut covered) = (0.0, 0.0, 0.0);
    for row in &rows {
        let truth = truths[&row.target];
        let error = row.estimate - truth.value;
        let own = (row.high - row.low) / (2.0 * TWO_SIDED);
        let z = error / own.hypot(truth.standard_error);
        let has = row.low <= truth.value && truth.value <= row.high;
        errors += error.abs() / truth.value;
        squares += (error / truth.value).powi(2);
        covered += f64::from(has);
        let mut values = BTreeMap::from([
            ("estimate".to_owned(), row.estimate),
            ("truth".to_owned(), truth.value),
            ("error".to_owned(), error),
            ("relative_error".to_owned(), error / truth.value),
            ("covered".to_owned(), f64::from(has)),
        ]);
        if z.is_finite() {
            values.insert("z".to_owned(), z);
        }
        card.groups.push(Group { by: "estimate".into(), name: format!("{} of {}", row.estimator, row.target), n: 1, values });
    }
    let n = rows.len() as f64;
    card.metrics = vec![
        Metric::less("mean_relative_error", "|estimate − truth| / truth, mean over estimates"),
        Metric::less("relative_rmse", "root of the mean square of (estimate − truth) / truth"),
        Metric::more("coverage", "the share of intervals that have the truth"),
    ];
    let metrics = [("mean_relative_error", errors / n), ("relative_rmse", (squares / n).sqrt()), ("coverage", covered / n)];
    let metrics = metrics.map(|(name, value)| (name.to_owned(), Estimate::exact(value))).into();
    card.columns.push(Column { predictor: Predictor::Model, metrics });
    card.notes.push(
        "The truth is the expected opens a decision when the target mails the run's people throughout; z is the error over the standard \
         error that an interval of 95% stands for."
            .into(),
    );
    Ok(card)
}

fn read(context: &Context<'_>) -> Result<Vec<Row>, AnalysisError> {
    let (mut rows, mut problems): (Vec<Row>, Vec<String>) = (Vec::new(), Vec::new());
    for batch in TableSource::file_with(context.predictions, &context.options.reading)?.read(&WANTS)? {
        let batch = batch?;
        for place in 0..batch.num_rows() {
            let text = |column: &'static str| batch.text(column).value(place).to_owned();
            let number = |column: &'static str| batch.float(column).value(place);
            let row = Row {
                target: text("target"),
                estimator: text("estimator"),
                estimate: number("estimate"),
                low: number("low"),
                high: number("high"),
            };
            let at = rows.len() + 1;
            for (name, value) in [("estimate", row.estimate), ("low", row.low), ("high", row.high)] {
                if !value.is_finite() {
                    problems.push(format!("row {at}, {name}: is {value}; give a finite number"));
                }
            }
            if row.low > row.estimate || row.estimate > row.high {
                problems.push(format!("row {at}, low and high: the interval does not have the estimate; give low ≤ estimate ≤ high"));
            }
            if let Some(before) = rows.iter().position(|of| (&of.target, &of.estimator) == (&row.target, &row.estimator)) {
                problems.push(format!("row {at}: {} of {} is in row {} too; keep one", row.estimator, row.target, before + 1));
            }
            rows.push(row);
        }
    }
    refuse(context, &problems)?;
    if rows.is_empty() {
        return Err(AnalysisError::input(format!(
            "{}: has no rows; expected target, estimator, estimate, low and high",
            context.predictions.display()
        )));
    }
    Ok(rows)
}

fn refuse(context: &Context<'_>, problems: &[String]) -> Result<(), AnalysisError> {
    if problems.is_empty() {
        return Ok(());
    }
    let what = listed(problems.iter().take(TOLD), problems.len());
    Err(AnalysisError::input(format!("{}: {what}", context.predictions.display())))
}
