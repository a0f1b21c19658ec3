//! What is made of a run: its answer key, scores of predictions, prepared tables.

use crate::capsule;
use crate::errors;
use crate::run::Run;
use crate::scene::option;
use crate::stream::Meter;
use crate::wait::{wait, wait_or_leave};
use arrow_array::RecordBatchReader;
use parquet::arrow::ArrowWriter;
use populace_analysis::AnalysisError;
use populace_analysis::churn::prepare::{self, ChurnOptions};
use populace_analysis::plan::{Study, Target};
use populace_analysis::score::{self, Threshold};
use populace_analysis::source::{ReadOptions, Settings, Source};
use populace_analysis::watch::Watch;
use populace_analysis::{families, features, recover, report, verify};
use populace_core::time::{Date, MINUTE};
use populace_io::files::Format;
use populace_io::wording;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde::Serialize;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

/// Works with the interpreter free: `progress` hears of rows, and a signal stops the work.
pub(crate) fn watched<T: Send>(
    py: Python<'_>,
    progress: Option<Py<PyAny>>,
    threads: Option<usize>,
    work: impl FnOnce(&Watch<'_>) -> Result<T, AnalysisError> + Send,
) -> PyResult<T> {
    let meter = Arc::new(Meter::default());
    let threads = threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from)).max(1);
    let done = wait(py, &meter, progress, || work(&Watch { progress: meter.as_ref(), stop: &meter.stop, threads }))?;
    done.map_err(|error| errors::analysis(&error))
}

/// What was found, as JSON.
pub(crate) fn json(found: &impl Serialize) -> PyResult<String> {
    serde_json::to_string(found).map_err(errors::internal)
}

/// The progress callback and the threads among options.
pub(crate) fn reading(options: &Bound<'_, PyDict>) -> PyResult<(Option<Py<PyAny>>, Option<usize>)> {
    Ok((option(options, "progress")?, option(options, "threads")?))
}

/// How files are read that are no run, among options.
fn files(options: &Bound<'_, PyDict>) -> PyResult<ReadOptions> {
    let map: Option<String> = option(options, "map")?;
    let settings = Settings {
        time_unit: option(options, "time_unit")?,
        dates: option(options, "dates")?,
        utc_offset: option(options, "utc_offset")?,
        decimal: option(options, "decimal")?,
        encoding: option(options, "encoding")?,
    };
    ReadOptions::new(map.as_deref(), settings).map_err(|error| errors::analysis(&error))
}

/// A day among options.
pub(crate) fn date(options: &Bound<'_, PyDict>, key: &str) -> PyResult<Option<Date>> {
    let text: Option<String> = option(options, key)?;
    text.map(|text| text.parse().map_err(|error| errors::input(format!("{} {text}: {error}", wording::option(&key.replace('_', "-"))))))
        .transpose()
}

/// The format of tables among options.
fn table_format(options: &Bound<'_, PyDict>, usual: Format) -> PyResult<Format> {
    let format: Option<String> = option(options, "format")?;
    match format.as_deref() {
        None => Ok(usual),
        Some("csv") => Ok(Format::Csv),
        Some("parquet") => Ok(Format::Parquet),
        Some(other) => Err(errors::input(format!("format {other}: is none of csv, parquet"))),
    }
}

/// Holds the data of a directory against its scenario, or another; gives the verdicts as JSON.
#[pyfunction]
pub(crate) fn verify_run(
    py: Python<'_>,
    root: PathBuf,
    scenario: Option<String>,
    alpha: Option<f64>,
    options: &Bound<'_, PyDict>,
) -> PyResult<String> {
    let ((progress, threads), files) = (reading(options)?, files(options)?);
    json(&watched(py, progress, threads, |watch| {
        let source = Source::open_with(&root, &files)?;
        let document = source.judged_by(scenario.as_deref())?;
        families::verify(&source, &document, alpha.unwrap_or(verify::DEFAULT_ALPHA), watch)
    })?)
}

/// Grades a file of predictions against the run in a directory; gives the scorecard as JSON.
#[pyfunction]
pub(crate) fn score_run(py: Python<'_>, task: &str, root: PathBuf, predictions: PathBuf, options: &Bound<'_, PyDict>) -> PyResult<String> {
    let thresholds: Option<Vec<(String, f64)>> = option(options, "thresholds")?;
    let threshold = |(name, bound): (String, f64)| {
        let (kind, metric) = name.split_once('_').unwrap_or(("", &name));
        if !matches!(kind, "min" | "max") {
            return Err(errors::input(format!("thresholds: {name} begins with neither min_ nor max_")));
        }
        Ok(Threshold { option: name.clone(), metric: metric.to_owned(), is_least: kind == "min", bound })
    };
    let (progress, threads) = reading(options)?;
    let options = score::Options {
        subset: option(options, "subset")?.unwrap_or(false),
        ranks: option(options, "ranks")?.unwrap_or(false),
        rows: option(options, "rows")?,
        thresholds: thresholds.into_iter().flatten().map(threshold).collect::<PyResult<_>>()?,
        alpha: option(options, "alpha")?,
        as_of: date(options, "as_of")?,
        reading: files(options)?,
    };
    json(&watched(py, progress, threads, |watch| families::score(task, &root, &predictions, &options, watch))?)
}

/// Prepares the data of a subscription; gives the report as JSON.
#[pyfunction]
pub(crate) fn prepare_churn(py: Python<'_>, raw: PathBuf, processed: PathBuf, options: &Bound<'_, PyDict>) -> PyResult<String> {
    let format = table_format(options, Format::Csv)?;
    let options = ChurnOptions {
        raw,
        processed,
        format,
        keep_latent: option(options, "keep_latent")?.unwrap_or(false),
        from: date(options, "from")?,
        to: date(options, "to")?,
        overwrite: option(options, "overwrite")?.unwrap_or(false),
        reading: files(options)?,
    };
    json(&watched(py, None, Some(1), |watch| prepare::churn(&options, *watch))?)
}

/// Writes an Arrow stream to a Parquet file.
#[pyfunction]
pub(crate) fn write_parquet(object: &Bound<'_, PyAny>, path: PathBuf) -> PyResult<()> {
    let failed = |error: &dyn std::fmt::Display| errors::input(format!("the Arrow data: {error}"));
    let reader = capsule::import(object)?;
    let file = File::create(&path).map_err(|error| errors::analysis(&AnalysisError::io(&path, error)))?;
    let mut writer = ArrowWriter::try_new(file, reader.schema(), None).map_err(|error| failed(&error))?;
    for batch in reader {
        let batch = batch.map_err(|error| failed(&error))?;
        writer.write(&batch).map_err(|error| failed(&error))?;
    }
    writer.close().map(drop).map_err(|error| failed(&error))
}

/// Draws a report of a directory, or of two side by side; gives the HTML page and the figures as JSON.
#[pyfunction]
pub(crate) fn report_run(
    py: Python<'_>,
    root: PathBuf,
    other: Option<PathBuf>,
    verify: bool,
    shown: (Vec<PathBuf>, Vec<PathBuf>),
    options: &Bound<'_, PyDict>,
) -> PyResult<(String, String)> {
    let (progress, threads) = reading(options)?;
    let (scores, policies) = shown;
    let options = report::Options { verify, scores, policies, reading: files(options)? };
    let drawn = watched(py, progress, threads, |watch| match &other {
        Some(other) => families::compare(&root, other, &options, watch),
        None => families::report(&root, &options, watch),
    })?;
    report::render(&drawn).map_err(errors::internal)
}

/// Estimates the parameters of a scenario from the data of a directory; gives them as JSON.
#[pyfunction]
pub(crate) fn recover_run(
    py: Python<'_>,
    root: PathBuf,
    scenario: Option<String>,
    level: Option<f64>,
    options: &Bound<'_, PyDict>,
) -> PyResult<String> {
    let ((progress, threads), files) = (reading(options)?, files(options)?);
    json(&watched(py, progress, threads, |watch| {
        let source = Source::open_with(&root, &files)?;
        let document = source.judged_by(scenario.as_deref())?;
        families::recover(&source, &document, level.unwrap_or(recover::DEFAULT_LEVEL), watch)
    })?)
}

/// What a study needs to detect an effect of a run's scenario; gives the plan as JSON.
#[pyfunction]
pub(crate) fn plan_study(py: Python<'_>, run: &Run, detect: &str, options: &Bound<'_, PyDict>) -> PyResult<String> {
    let target = match (option(options, "at")?, option(options, "size")?) {
        (Some(_), Some(_)) => return Err(errors::input("size cannot be used with at")),
        (Some(value), None) => Target::Value(value),
        (None, Some(size)) => Target::Change(size),
        (None, None) => Target::Document,
    };
    let (power, alpha) = (option(options, "power")?.unwrap_or(0.9), option(options, "alpha")?.unwrap_or(0.05));
    let pilot_users = option(options, "pilot_users")?;
    let (document, detect) = (run.scene.resolved.clone(), detect.to_owned());
    // A pilot is generated in one go, which nothing stops.
    let planned = wait_or_leave(py, move || {
        let study = Study { detect: &detect, target, power, alpha, pilot_users };
        families::plan(&document, &study, &Watch::none(1))
    })?;
    Ok(planned.map_err(|error| errors::analysis(&error))?.to_json())
}

/// The effects of a scenario that a study can be planned for: name and meaning.
#[pyfunction]
pub(crate) fn effects(run: &Run) -> Vec<(&'static str, &'static str)> {
    families::effects(&run.scene.resolved.family).iter().map(|effect| (effect.name, effect.meaning)).collect()
}

/// Computes the features of the actors in a directory; gives the report as JSON.
#[pyfunction]
pub(crate) fn features_run(py: Python<'_>, root: PathBuf, output: PathBuf, options: &Bound<'_, PyDict>) -> PyResult<String> {
    let mut wanted = features::Options::new(root, output);
    wanted.format = table_format(options, Format::Parquet)?;
    let now: Option<String> = option(options, "as_of")?;
    if let Some(text) = now {
        let unread = || errors::input(format!("as_of {text}: is not a moment such as 2026-01-10T00:00:00Z"));
        wanted.now = Some(features::moment(&text).ok_or_else(unread)?);
    }
    let curve: Option<String> = option(options, "curve")?;
    if let Some(text) = curve {
        wanted.curve = text.parse().map_err(|error| errors::input(format!("curve {text}: {error}")))?;
    }
    wanted.ngrams = option(options, "ngrams")?.unwrap_or(wanted.ngrams);
    if let Some(n) = wanted.ngrams.iter().find(|n| **n < 2) {
        return Err(errors::input(format!("ngrams: must be at least 2, got {n}")));
    }
    wanted.ngrams.sort_unstable();
    wanted.ngrams.dedup();
    wanted.history = option(options, "history")?.unwrap_or(wanted.history);
    wanted.min_length = option(options, "min_length")?.unwrap_or(wanted.min_length);
    wanted.overwrite = option(options, "overwrite")?.unwrap_or(false);
    wanted.templates = option(options, "templates")?.unwrap_or_default();
    let gap: Option<f64> = option(options, "session_gap_minutes")?;
    wanted.session_gap = gap.map(|minutes| (minutes * MINUTE as f64) as i64);
    wanted.reading = files(options)?;
    wanted.include_suspected = option(options, "include_suspected")?.unwrap_or(false);
    let (progress, threads) = reading(options)?;
    json(&watched(py, progress, threads, |watch| families::compute_features(&wanted, watch))?)
}
