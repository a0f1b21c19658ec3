//! `populace features`.

use super::print_json;
use super::progress::watched;
use crate::args::FeaturesArgs;
use crate::failure::Failure;
use crate::show::{size, thousands};
use populace_analysis::families::compute_features;
use populace_analysis::features::{self, Curve, Options, RecipientsReport, Report, SequencesReport};
use std::path::Path;
use std::time::Instant;

pub(crate) fn run(arguments: &FeaturesArgs) -> Result<(), Failure> {
    let output = arguments.output.clone().unwrap_or_else(|| arguments.directory.clone());
    let mut options = Options::new(&arguments.directory, output);
    (options.format, options.curve) = (arguments.format.into(), arguments.curve);
    (options.history, options.min_length) = (usize::from(arguments.history), usize::from(arguments.min_length));
    (options.overwrite, options.reading) = (arguments.overwrite, arguments.files.options()?);
    (options.templates, options.session_gap) = (arguments.template.clone(), arguments.session_gap);
    options.include_suspected = arguments.include_suspected;
    if !arguments.ngram.is_empty() {
        options.ngrams = arguments.ngram.iter().map(|n| usize::from(*n)).collect();
        options.ngrams.sort_unstable();
        options.ngrams.dedup();
    }
    if let Some(text) = &arguments.as_of {
        let unread = || Failure::input(format!("--as-of {text}: is not a moment such as 2026-01-10T00:00:00Z"));
        options.now = Some(features::moment(text).ok_or_else(unread)?);
    }
    if !arguments.quiet && !arguments.json && arguments.curve == Curve::Minute {
        tell_size(&arguments.directory);
    }
    let start = Instant::now();
    let report = watched(arguments.quiet, arguments.threads, |watch| compute_features(&options, watch))?;
    if arguments.json {
        print_json(&report)?;
    } else if !arguments.quiet {
        let files = match &report {
            Report::Email(report) => recipients(report),
            Report::Traces(report) => sequences(report),
        };
        for remark in report.remarks() {
            note!("  {remark}");
        }
        for file in files {
            let path = options.output.join(file);
            let bytes = std::fs::metadata(&path).map_or_else(|_| String::new(), |file| format!("  {}", size(file.len())));
            note!("  {}{bytes}", path.display());
        }
        note!("{:.2} s", start.elapsed().as_secs_f64());
    }
    Ok(())
}

/// Says beforehand what curves by the minute of many recipients will take.
fn tell_size(directory: &Path) {
    /// Bytes that are worth a word.
    const LARGE: u64 = 1 << 29;
    if let Some((recipients, bytes)) = features::curves_by_the_minute(directory).filter(|(_, bytes)| *bytes > LARGE) {
        let (recipients, bytes) = (thousands(recipients), size(bytes));
        note!("curves by the minute of {recipients} recipients take about {bytes}; --curve hour takes a fortieth of that");
    }
}

fn recipients(report: &RecipientsReport) -> &[String] {
    note!(
        "{} recipients at {}, {}, from {} events ({} later, {} of an unknown type, {} left out as no person's)",
        thousands(report.recipients),
        report.computed_at,
        report.computed_at_is,
        thousands(report.events),
        thousands(report.later),
        thousands(report.unknown_types),
        thousands(report.suspected)
    );
    let [least, first, median, third, greatest] = report.confidence_quartiles;
    note!("  confidence: mean {:.4}; quartiles {least:.4} {first:.4} {median:.4} {third:.4} {greatest:.4}", report.mean_confidence);
    note!(
        "  without clicks {}, in a circuit breaker {}, with an active hot path {}",
        thousands(report.without_clicks),
        thousands(report.suppressed),
        thousands(report.hot)
    );
    &report.files
}

fn sequences(report: &SequencesReport) -> &[String] {
    let statistics = &report.statistics;
    note!(
        "{} sequences of {} calls ({} retries and {} short sessions left out)",
        thousands(statistics.total_sequences),
        thousands(statistics.total_calls),
        thousands(report.retries),
        thousands(report.short_sessions)
    );
    note!(
        "  lengths {} to {}, {:.3} on average; {} endpoints",
        statistics.min_sequence_length,
        statistics.max_sequence_length,
        statistics.avg_sequence_length,
        thousands(statistics.unique_endpoints)
    );
    let ngrams: Vec<String> = report.ngrams.iter().map(|(n, count)| format!("{} {n}-grams", thousands(*count))).collect();
    note!("  {} transitions, {}, {} labelled histories", thousands(report.transitions), ngrams.join(", "), thousands(report.pairs));
    &report.files
}
