//! From arguments to a checked scenario.

use crate::args::ScenarioArgs;
use crate::failure::Failure;
use populace_core::traces::WORKFLOWS;
use populace_io::catalogue;
use populace_io::document::{Graft, Request, Resolved, Setting, Source};
use populace_io::generator::Generator;
use std::path::Path;

/// A document and its generator.
pub struct Loaded {
    /// The document.
    pub resolved: Resolved,
    /// The scenario, ready to run.
    pub generator: Box<dyn Generator>,
}

/// Where the documents are that the arguments name.
#[derive(Clone, Copy, Debug)]
pub struct Documents<'a> {
    /// The scenario.
    pub scenario: Source<'a>,
    /// The workflow, where one is given.
    pub workflow: Option<Source<'a>>,
}

impl<'a> Documents<'a> {
    /// Built-in documents and files, by the names in the arguments.
    pub fn named(arguments: &'a ScenarioArgs) -> Self {
        Self { scenario: Source::Named(&arguments.scenario), workflow: arguments.workflow.as_deref().map(workflow_source) }
    }
}

/// The source of a workflow: a file, or a built-in one where there is no such file.
pub(crate) fn workflow_source(name: &str) -> Source<'_> {
    match WORKFLOWS.iter().find(|(builtin, _)| *builtin == name) {
        Some((name, text)) if !Path::new(name).exists() => Source::Text { name, text },
        _ => Source::File(Path::new(name)),
    }
}

/// Reads and checks the scenario that the arguments name.
///
/// # Errors
/// Everything that is wrong with the documents and the arguments.
pub fn load(arguments: &ScenarioArgs, documents: Documents<'_>) -> Result<Loaded, Failure> {
    refuse_misplaced(arguments, documents)?;
    let mut settings: Vec<(&str, String, String)> = Vec::new();
    let mut option = |option, path: &str, value: Option<String>| settings.extend(value.map(|value| (option, path.to_owned(), value)));
    option("--users", "population.users", arguments.users.map(|users| users.to_string()));
    option("--days", "window.days", arguments.days.map(|days| days.to_string()));
    option("--start", "window.start", arguments.start.map(|start| start.to_string()));
    option("--cascade-failure-rate", "cascade_failure_rate", arguments.cascade_failure_rate.map(|rate| rate.to_string()));
    option("--paid-ratio", "paid_ratio", arguments.paid_ratio.map(|ratio| ratio.to_string()));
    option("--churn-base-rate", "churn_base_rate", arguments.churn_base_rate.map(|rate| rate.to_string()));
    option("--no-latent", "engagement.observed", arguments.no_latent.then(|| false.to_string()));
    for text in &arguments.set {
        let Some((path, value)) = text.split_once('=') else {
            return Err(Failure::input(format!("--set {text}: must be PATH=VALUE, such as --set population.users=100")));
        };
        settings.push(("--set", path.to_owned(), value.to_owned()));
    }
    if let Some(target) = arguments.target_churn_rate {
        let base = catalogue::churn_base_for(&resolve(arguments, documents, &settings)?, target)?;
        settings.push(("--target-churn-rate", "churn_base_rate".to_owned(), base.to_string()));
    }
    let resolved = resolve(arguments, documents, &settings)?;
    let generator = catalogue::generator(&resolved)?;
    Ok(Loaded { resolved, generator })
}

/// Options of another family, and a workflow where a scenario should be.
fn refuse_misplaced(arguments: &ScenarioArgs, Documents { scenario: source, workflow }: Documents<'_>) -> Result<(), Failure> {
    if catalogue::is_workflow(source)? {
        let name = &arguments.scenario;
        return Err(Failure::input(format!("{name} is a workflow, not a scenario; use `traces --workflow {name}`")));
    }
    let options = [
        ("--workflow", "traces", workflow.is_some()),
        ("--cascade-failure-rate", "traces", arguments.cascade_failure_rate.is_some()),
        ("--paid-ratio", "churn", arguments.paid_ratio.is_some()),
        ("--churn-base-rate", "churn", arguments.churn_base_rate.is_some()),
        ("--target-churn-rate", "churn", arguments.target_churn_rate.is_some()),
        ("--no-latent", "churn", arguments.no_latent),
    ];
    if !options.iter().any(|(_, _, given)| *given) {
        return Ok(());
    }
    let family = catalogue::resolve(&Request::new(source))?.family;
    match options.iter().find(|(_, of, given)| *given && *of != family) {
        Some((option, of, _)) => Err(Failure::input(format!("{option} is for {of}, and {} is of {family}", arguments.scenario))),
        None => Ok(()),
    }
}

fn resolve(arguments: &ScenarioArgs, documents: Documents<'_>, settings: &[(&str, String, String)]) -> Result<Resolved, Failure> {
    let settings: Vec<Setting<'_>> = settings.iter().map(|(option, path, value)| Setting { option, path, value }).collect();
    let graft = documents.workflow.map(|source| Graft { option: "--workflow", path: "workflow", source });
    let request =
        Request { source: documents.scenario, profile: arguments.profile.as_deref(), grafts: graft.as_slice(), settings: &settings };
    Ok(catalogue::resolve(&request)?)
}
