//! `populace score`.

use super::progress::watched;
use crate::args::{ScoreArgs, ThresholdArgs};
use crate::failure::Failure;
use crate::show;
use populace_analysis::score::{Options, Scorecard, Threshold, text};
use populace_analysis::{families, write_whole};
use std::io::Write;
use std::path::Path;

pub(crate) fn run(arguments: &ScoreArgs) -> Result<(), Failure> {
    let options = Options {
        subset: arguments.subset,
        ranks: arguments.ranks,
        rows: arguments.rows.clone(),
        thresholds: thresholds(&arguments.thresholds),
        as_of: arguments.as_of,
        alpha: arguments.thresholds.alpha,
        reading: arguments.files.options()?,
    };
    let output = arguments.output.as_deref();
    output.map_or(Ok(()), super::refuse_data)?;
    let taken = |path: &Path| path == arguments.predictions || output == Some(path);
    if arguments.rows.as_deref().is_some_and(taken) || output == Some(arguments.predictions.as_path()) {
        return Err(Failure::input("-o, --rows and PREDICTIONS: must be three different files"));
    }
    if let Some(folder) = output.and_then(Path::parent).filter(|folder| *folder != Path::new("") && !folder.is_dir()) {
        return Err(Failure::input(format!("-o: there is no directory {}", folder.display())));
    }
    let (run, predictions, reading) = (&arguments.directory, &arguments.predictions, &arguments.reading);
    let card = watched(reading.no_progress, reading.threads, |watch| families::score(&arguments.task, run, predictions, &options, watch))?;
    if let Some(path) = output {
        write_whole(path, &(json(&card)? + "\n"))?;
    }
    let mut out = show::stdout();
    let printed = if arguments.json { writeln!(out, "{}", json(&card)?) } else { write!(out, "{}", text::render(&card)) };
    printed.map_err(|error| Failure::output(&error))?;
    if card.passed() {
        return Ok(());
    }
    let failed = card.verdicts.iter().filter(|verdict| verdict.required && !verdict.passed);
    let failed: Vec<String> = failed.map(|verdict| format!("{}, and is {:.4}", verdict.name, verdict.value)).collect();
    Err(Failure::check(failed.join("; ")))
}

fn thresholds(arguments: &ThresholdArgs) -> Vec<Threshold> {
    let all = [
        ("min-gain", arguments.min_gain),
        ("min-auc", arguments.min_auc),
        ("min-average-precision", arguments.min_average_precision),
        ("max-log-loss", arguments.max_log_loss),
        ("max-brier", arguments.max_brier),
        ("max-total-variation", arguments.max_total_variation),
        ("max-regret", arguments.max_regret),
        ("max-mae", arguments.max_mae),
        ("max-pinball-loss", arguments.max_pinball_loss),
        ("min-concordance", arguments.min_concordance),
        ("max-integrated-brier", arguments.max_integrated_brier),
        ("min-recall-at-90", arguments.min_recall_at_90),
        ("max-calibration-error", arguments.max_calibration_error),
    ];
    let threshold = |(name, bound): (&str, Option<f64>)| {
        Some(Threshold {
            option: format!("--{name}"),
            metric: name[4..].replace('-', "_"),
            is_least: name.starts_with("min"),
            bound: bound?,
        })
    };
    all.into_iter().filter_map(threshold).collect()
}

fn json(card: &Scorecard) -> Result<String, Failure> {
    serde_json::to_string_pretty(card).map_err(|error| Failure::input(format!("the scorecard cannot be written: {error}")))
}
