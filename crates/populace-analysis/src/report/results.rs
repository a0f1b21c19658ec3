//! What was found out about policies elsewhere, as a report shows it.

use super::figure::{Axis, Chart, Draw, Figure, Mark, Plot, Role, Section, Series};
use super::measure::Z;
use crate::error::AnalysisError;
use crate::policy::{Evaluation, Measured, Values};
use std::fs;
use std::path::{Path, PathBuf};

const ROLES: [Role; 4] = [Role::Observed, Role::Estimate, Role::Third, Role::Second];
/// The volumes of policies differ if one sends so many times more than another.
const OTHER_VOLUME: f64 = 1.1;

/// The section of results in files.
///
/// # Errors
/// A file cannot be read, or holds neither the values of policies nor an evaluation.
pub(crate) fn policies(files: &[PathBuf]) -> Result<Option<Section>, AnalysisError> {
    let (mut values, mut evaluations) = (Vec::new(), Vec::new());
    for path in files {
        match read(path)? {
            Found::Values(found) => values.push(found),
            Found::Evaluation(found) => evaluations.push(found),
        }
    }
    let worth = values.iter().enumerate().map(|(number, of)| worth(number, of));
    let forests = evaluations.iter().enumerate().map(|(number, of)| Some(forest(number, of)));
    let figures = worth.chain([volume(&values)]).chain(forests).collect();
    let text = "What policies are worth on the same people, and what estimators say of one from the log of another.";
    Ok(Section::new("policies", "Policies and estimators", text, figures))
}

enum Found {
    Values(Values),
    Evaluation(Box<Evaluation>),
}

fn read(path: &Path) -> Result<Found, AnalysisError> {
    let text = fs::read_to_string(path).map_err(|error| AnalysisError::io(path, error))?;
    let wrong = |error: serde_json::Error| {
        AnalysisError::input(format!(
            "{}: is no result about policies (line {}, column {}: {error})\nhint: give what `populace policy value --json` printed or `populace policy \
             evaluate -o FILE` wrote",
            path.display(),
            error.line(),
            error.column()
        ))
    };
    let value: serde_json::Value = serde_json::from_str(&text).map_err(wrong)?;
    if value.get("estimators").is_some() {
        return Ok(Found::Evaluation(serde_json::from_str(&text).map_err(wrong)?));
    }
    Ok(Found::Values(serde_json::from_str(&text).map_err(wrong)?))
}

/// A series with its intervals of 95%.
fn measured(name: &str, role: Role, draw: Draw, of: impl Iterator<Item = Measured>) -> Series {
    let of: Vec<Measured> = of.collect();
    let end = |sign: f64| of.iter().map(|one| Some(one.value + sign * Z * one.standard_error)).collect();
    let mut series = Series::new(name, role, draw, of.iter().map(|one| Some(one.value)).collect());
    (series.low, series.high) = (end(-1.0), end(1.0));
    series
}

/// What a message is worth under each policy.
fn worth(number: usize, values: &Values) -> Option<Figure> {
    let of = &values.policies;
    let chart = Chart {
        x: Axis::categories("Policy", of.iter().map(|one| file_name(&one.policy))),
        y: Axis::number("Reward a message", ""),
        series: vec![measured("reward a message", Role::Observed, Draw::Points, of.iter().map(|one| one.message))],
        horizontal: true,
        ..Chart::default()
    };
    let differences: Vec<String> = values
        .differences
        .iter()
        .map(|one| {
            format!(
                "{} is worth {:+.4} ± {:.4} against {}",
                file_name(&one.second),
                one.message.value,
                Z * one.message.standard_error,
                one.first
            )
        })
        .collect();
    let caption = format!(
        "The reward a message over {} days, {}; 95% intervals over {} users. By pairs of the same people {}.",
        values.days,
        if values.expected { "of true probabilities" } else { "of what happened" },
        values.users,
        if differences.is_empty() { "nothing is compared".to_owned() } else { differences.join("; ") }
    );
    (!of.is_empty()).then(|| Figure::new(&format!("policies-worth-{}", number + 1), "What policies are worth", caption, Plot::Chart(chart)))
}

/// What a user is worth by how much mail he gets.
fn volume(all: &[Values]) -> Option<Figure> {
    let mut best = Vec::new();
    let mut series: Vec<Series> = Vec::new();
    for values in all {
        let rate = |messages: u64| messages as f64 / (values.users.max(1) as f64 * f64::from(values.days.max(1)));
        let mut points: Vec<(f64, &crate::policy::PolicyValue)> = values.policies.iter().map(|one| (rate(one.messages), one)).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (Some(first), Some(last)) = (points.first(), points.last()) else { continue };
        if last.0 <= OTHER_VOLUME * first.0 {
            continue;
        }
        let top = points.iter().max_by(|a, b| a.1.user.value.total_cmp(&b.1.user.value)).expect("there is a point");
        best.push(format!("{:.1} over {} days, at {:.2} messages a day", top.1.user.value, values.days, top.0));
        let role = ROLES[series.len() % ROLES.len()];
        let mut one = measured(&format!("{} days", values.days), role, Draw::Line, points.iter().map(|(_, one)| one.user))
            .at(points.iter().map(|(rate, _)| *rate));
        one.names = points.iter().map(|(_, one)| file_name(&one.policy)).collect();
        series.push(one);
    }
    if series.is_empty() {
        return None;
    }
    let chart = Chart {
        x: Axis::number("Messages a user and day", "").from_zero(),
        y: Axis::number("Reward a user", "").from_zero(),
        series,
        ..Chart::default()
    };
    let caption = format!(
        "What a user is worth over the whole time, by how much mail the policies send. The most: {}. The bands are 95% intervals.",
        best.join("; ")
    );
    Some(Figure::new("policies-volume", "What volume costs", caption, Plot::Chart(chart)))
}

/// Estimates against the truth.
fn forest(number: usize, of: &Evaluation) -> Figure {
    let all = &of.estimators;
    let estimates =
        |error: fn(&crate::policy::Graded) -> f64| all.iter().map(move |one| Measured { value: one.estimate, standard_error: error(one) });
    let mut marks = vec![Mark { from: of.truth.value, to: None, label: "truth".to_owned() }];
    if let Some(step) = of.one_step.filter(|step| step.relative_bias.abs() >= 0.01) {
        marks.push(Mark { from: step.value.value, to: None, label: "one step".to_owned() });
    }
    let chart = Chart {
        x: Axis::categories("Estimator", all.iter().map(|one| one.estimator.clone())),
        y: Axis::number("Reward a decision", ""),
        series: vec![measured("estimate", Role::Estimate, Draw::Points, estimates(|one| one.standard_error_by_user))],
        marks,
        horizontal: true,
        ..Chart::default()
    };
    let holds = |one: &&crate::policy::Graded| (one.estimate - of.truth.value).abs() <= Z * one.standard_error_by_user;
    let caption = format!(
        "What estimators say of {} from {} decisions of the log, with 95% intervals for people like these, and its true reward a decision, \
         {:.4}: {} of {} intervals hold it. The effective sample size is {:.0}.",
        file_name(&of.target),
        of.decisions,
        of.truth.value,
        all.iter().filter(holds).count(),
        all.len(),
        of.effective_sample_size
    );
    Figure::new(&format!("policies-estimators-{}", number + 1), "Estimators against the truth", caption, Plot::Chart(chart))
}

/// A policy's name, without the directories of a file.
fn file_name(policy: &str) -> String {
    Path::new(policy).file_name().map_or_else(|| policy.to_owned(), |name| name.to_string_lossy().into_owned())
}
