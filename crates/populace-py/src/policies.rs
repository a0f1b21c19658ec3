//! Policies of sending: what they are worth, what is learned about them, how well a log tells of another.

use crate::analysis::{date, json, reading, watched};
use crate::errors;
use crate::run::Run;
use crate::scene::option;
use populace::ComponentArg;
use populace_analysis::families;
use populace_analysis::policy::{Candidate, Estimators, Evaluate, Reward, Rule, Valuation, Wanted};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use std::path::PathBuf;

/// A policy: what it is called, and a run of it.
type Named<'py> = (String, PyRef<'py, Run>);

/// Decisions of a log: how many actions there are, the names of the context, the recipients, and arrays by name.
type Rounds<'py> = (usize, Vec<String>, Vec<String>, Bound<'py, PyDict>);

fn candidate((name, run): &Named<'_>) -> Candidate {
    Candidate { name: name.clone(), document: run.scene.resolved.clone() }
}

fn reward(text: &str) -> PyResult<Reward> {
    text.parse().map_err(|error| errors::input(format!("reward: {error}")))
}

/// A policy on the slots of a run: a table of slots as a document, or the name that it is.
#[pyfunction]
pub(crate) fn policy_component(run: &Run, policy: &str) -> (bool, String) {
    match populace::policy_component(policy, &run.scene.resolved) {
        ComponentArg::Text(text) => (true, text),
        ComponentArg::Named(name) => (false, name),
    }
}

/// A schedule in a file as the document of a policy, on the slots of a run.
#[pyfunction]
pub(crate) fn schedule_component(run: &Run, file: PathBuf) -> PyResult<String> {
    match populace::schedule_component(&file, &run.scene.resolved).map_err(errors::failure)? {
        ComponentArg::Text(text) | ComponentArg::Named(text) => Ok(text),
    }
}

/// Whether the scenario of a run has a policy.
#[pyfunction]
pub(crate) fn has_policy(run: &Run) -> bool {
    run.scene.resolved.config.get("policy").is_some_and(|policy| !policy.is_null())
}

/// What policies are worth on the same people, as JSON.
#[pyfunction]
pub(crate) fn policy_value(
    py: Python<'_>,
    policies: Vec<Named<'_>>,
    worth: &str,
    expected: bool,
    options: &Bound<'_, PyDict>,
) -> PyResult<String> {
    let ((progress, threads), reward) = (reading(options)?, reward(worth)?);
    let candidates: Vec<Candidate> = policies.iter().map(candidate).collect();
    let seed = policies.first().map_or(0, |(_, run)| run.seed);
    let how = Valuation { reward, expected, discount: option(options, "discount")?.unwrap_or(1.0) };
    json(&watched(py, progress, threads, |watch| families::policy_value(&candidates, seed, &how, watch))?)
}

/// The slot of each recipient, learned from a run; and from how many messages.
#[pyfunction]
pub(crate) fn policy_learn(py: Python<'_>, rule: &str, root: PathBuf, options: &Bound<'_, PyDict>) -> PyResult<(Vec<(String, u16)>, u64)> {
    let rule = match rule {
        "best_hour" => Rule::BestHour,
        "most_opens" => Rule::MostOpens,
        other => return Err(errors::input(format!("rule {other}: is none of best_hour, most_opens"))),
    };
    let (progress, threads) = reading(options)?;
    let until = date(options, "train_until")?;
    let learned = watched(py, progress, threads, |watch| families::policy_learn(&root, rule, until, watch))?;
    Ok((learned.slots, learned.messages))
}

/// Estimates of a policy from the log of a run, as JSON.
#[pyfunction]
pub(crate) fn policy_evaluate(
    py: Python<'_>,
    root: PathBuf,
    target: Named<'_>,
    worth: &str,
    options: &Bound<'_, PyDict>,
) -> PyResult<String> {
    let ((progress, threads), target) = (reading(options)?, candidate(&target));
    let standard = Estimators::default();
    let estimators = Estimators {
        clip: option(options, "clip")?.unwrap_or(standard.clip),
        switch: option(options, "switch")?.unwrap_or(standard.switch),
        shrinkage: option(options, "shrinkage")?.unwrap_or(standard.shrinkage),
        span: option(options, "span")?.unwrap_or(standard.span),
    };
    let q_hat: Option<PathBuf> = option(options, "q_hat")?;
    let how = Evaluate {
        reward: reward(worth)?,
        from: date(options, "start")?,
        allow_unsupported: option(options, "allow_unsupported")?.unwrap_or(false),
        target: &target,
        estimators,
        q_hat: q_hat.as_deref(),
        replicates: option(options, "replicates")?.unwrap_or(0),
    };
    json(&watched(py, progress, threads, |watch| families::policy_evaluate(&root, &how, watch))?)
}

/// The decisions of the log of a run: how many actions, the names of the context, recipients, and arrays by name.
#[pyfunction]
pub(crate) fn policy_rounds<'py>(
    py: Python<'py>,
    root: PathBuf,
    target: Option<Named<'py>>,
    worth: &str,
    options: &Bound<'py, PyDict>,
) -> PyResult<Rounds<'py>> {
    let ((progress, threads), target) = (reading(options)?, target.as_ref().map(candidate));
    let wanted = Wanted { reward: reward(worth)?, from: date(options, "start")?, target: target.as_ref() };
    let rounds = watched(py, progress, threads, |watch| families::policy_rounds(&root, &wanted, watch))?;
    let arrays = PyDict::new(py);
    let bytes = |numbers: &[f64]| PyBytes::new(py, arrow_buffer::ToByteSlice::to_byte_slice(numbers));
    arrays.set_item("action", PyBytes::new(py, arrow_buffer::ToByteSlice::to_byte_slice(rounds.action.as_slice())))?;
    for (name, numbers) in [
        ("context", &rounds.context),
        ("reward", &rounds.reward),
        ("pscore", &rounds.propensity),
        ("pi_b", &rounds.logged),
        ("expected_reward", &rounds.expected),
        ("estimated_rewards_by_reg_model", &rounds.modelled),
        ("action_dist", &rounds.target),
    ] {
        arrays.set_item(name, bytes(numbers))?;
    }
    Ok((rounds.actions, rounds.names, rounds.recipients, arrays))
}
