//! What `verify` and `score` found, as a report shows it.

use super::figure::{Axis, Chart, Check, Draw, Figure, Metric, Plot, Role, Score, Series, Verdicts};
use super::measure::Z;
use crate::error::AnalysisError;
use crate::score::{Bin, FORMAT, Predictor, Scorecard};
use crate::verify;
use populace_io::dataset::Manifest;
use std::fs;
use std::path::Path;

/// The verdicts, failures first.
pub(crate) fn verdicts(found: &verify::Report) -> Verdicts {
    let mut checks: Vec<Check> = found.checks.iter().map(check).collect();
    checks.sort_by_key(|check| match check.verdict.as_str() {
        "fail" => 0,
        "pass" => 1,
        _ => 2,
    });
    Verdicts { passed: found.passed, failed: found.failed, skipped: found.skipped, checks }
}

fn check(check: &verify::Check) -> Check {
    let verdict = match check.verdict {
        verify::Verdict::Pass => "pass",
        verify::Verdict::Fail => "fail",
        verify::Verdict::Skipped => "skip",
    };
    let mut detail = check.reason.clone().unwrap_or_else(|| check.observed.clone());
    if check.reason.is_none() && !check.expected.is_empty() {
        detail = format!("{detail}; expected {}", check.expected);
    }
    if let Some(p) = check.p_value {
        detail = format!("{detail}; {}", verify::p_text(p));
    }
    Check { group: check.group.to_string(), name: check.name.clone(), verdict: verdict.into(), detail }
}

/// The scorecard in a file.
///
/// # Errors
/// The file cannot be read, or holds no scorecard.
pub(crate) fn score(path: &Path, manifest: Option<&Manifest>) -> Result<Score, AnalysisError> {
    let shown = path.display();
    let text = fs::read_to_string(path).map_err(|error| AnalysisError::io(path, error))?;
    let card: Scorecard = serde_json::from_str(&text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        AnalysisError::input(format!(
            "{shown}: is not a scorecard (line {line}, column {column}); give what `populace score -o FILE` wrote"
        ))
    })?;
    if card.format != FORMAT {
        let (found, known) = (card.format, FORMAT);
        return Err(AnalysisError::input(format!("{shown}: is a scorecard of format {found}, and {known} is known; score again")));
    }
    let mut notes = card.notes.clone();
    let of_run =
        |manifest: &Manifest| manifest.identity.seed == card.run.seed && manifest.identity.scenario_digest == card.run.scenario_digest;
    if !manifest.is_some_and(of_run) {
        notes.insert(0, format!("This score is of another run: {}, seed {}.", card.run.scenario, card.run.seed));
    }
    for verdict in card.verdicts.iter().filter(|verdict| verdict.required) {
        notes.push(format!(
            "{}: {} ({:.4} against {:.4}).",
            verdict.name,
            if verdict.passed { "kept" } else { "not kept" },
            verdict.value,
            verdict.bound
        ));
    }
    let name = path.file_name().map_or_else(|| shown.to_string(), |name| name.to_string_lossy().into_owned());
    let metrics = card.metrics.iter().map(|metric| {
        let value = |predictor| card.metric(predictor, &metric.name).map(|estimate| estimate.value);
        let gain = |ceiling| card.gains.iter().find(|gain| gain.metric == metric.name && gain.ceiling == ceiling);
        Metric {
            name: metric.name.replace('_', " "),
            meaning: metric.meaning.clone(),
            model: value(Predictor::Model),
            base: value(Predictor::Base),
            observable: value(Predictor::Observable),
            latent: value(Predictor::Latent),
            attained_observable: gain(Predictor::Observable).map(|gain| gain.share.value),
            attained_latent: gain(Predictor::Latent).map(|gain| gain.share.value),
        }
    });
    Ok(Score {
        metrics: metrics.collect(),
        figures: calibration(&card, &name),
        file: name,
        task: card.task,
        label: card.label,
        n: card.n,
        notes,
    })
}

/// What was observed against what was predicted, in groups of predictions next to one another.
fn calibration(card: &Scorecard, file: &str) -> Vec<Figure> {
    let bins: Vec<&Bin> = card.calibration.iter().filter(|bin| bin.n > 0).collect();
    if bins.is_empty() {
        return Vec::new();
    }
    let top = bins.iter().map(|bin| bin.predicted.max(bin.observed)).fold(0.0, f64::max);
    let top = ((top * 10.0).ceil() / 10.0).clamp(0.1, 1.0);
    let mut series = Series::new("predictions", Role::Observed, Draw::Points, bins.iter().map(|bin| Some(bin.observed)).collect())
        .at(bins.iter().map(|bin| bin.predicted));
    series.low = bins.iter().map(|bin| Some((bin.observed - Z * bin.standard_error).max(0.0))).collect();
    series.high = bins.iter().map(|bin| Some((bin.observed + Z * bin.standard_error).min(1.0))).collect();
    series.n = bins.iter().map(|bin| bin.n).collect();
    let chart = Chart {
        x: Axis::share("Mean prediction").between(0.0, top),
        y: Axis::share("Share of positives").between(0.0, top),
        series: vec![series],
        diagonal: Some("observed = predicted".into()),
        ..Chart::default()
    };
    let caption = "The predictions in groups, from low to high: a calibrated model lies on the diagonal, within the intervals.";
    let id =
        format!("calibration-{}", file.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect::<String>());
    vec![Figure::new(&id, "Calibration of the model", caption, Plot::Chart(chart))]
}
