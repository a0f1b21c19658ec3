//! From a name or a document and options to a checked scenario.

use crate::errors;
use populace::{ComponentArg, ScenarioArgs, Shortcuts};
use populace_io::catalogue;
use populace_io::dataset::Document;
use populace_io::document::{self, Resolved};
use populace_io::family::{self, Takes};
use populace_io::generator::Generator;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// The scenario of a run, shared by the threads that make it.
pub(crate) struct Scene {
    pub(crate) resolved: Resolved,
    pub(crate) generator: Box<dyn Generator>,
}

impl Scene {
    /// What it contributes to a run.
    pub(crate) fn document(&self, seed: u64) -> Document {
        Document { name: self.resolved.name.clone(), digest: self.resolved.digest(), yaml: self.resolved.to_yaml(Some(seed)) }
    }
}

/// An entry of a dictionary of options; none if it is missing or `None`.
pub(crate) fn option<'py, T: for<'a> FromPyObject<'a, 'py, Error: Into<PyErr>>>(
    options: &Bound<'py, PyDict>,
    key: &str,
) -> PyResult<Option<T>> {
    match options.get_item(key)? {
        Some(value) if !value.is_none() => value.extract::<T>().map(Some).map_err(Into::into),
        _ => Ok(None),
    }
}

/// Reads and checks a scenario. `text` is a document in the place of the built-in one or the file of that name.
pub(crate) fn scene(name: &str, text: Option<&str>, options: &Bound<'_, PyDict>) -> PyResult<Scene> {
    let mut given = Shortcuts::default();
    for (_, shortcut) in family::shortcuts() {
        let Some(text) = option::<String>(options, &shortcut.keyword())?.filter(|_| given.get(shortcut.name).is_none()) else { continue };
        let value = shortcut.read(&text).map_err(|error| errors::input(format!("{} {text}: {error}", shortcut.option())))?;
        given.values.push((shortcut, value));
    }
    for (_, component) in family::components() {
        let text = option::<String>(options, &format!("{}_text", component.name))?.map(ComponentArg::Text);
        let named = option::<String>(options, component.name)?.map(ComponentArg::Named);
        given.components.extend(text.or(named).map(|argument| (component.name, argument)));
    }
    let arguments = ScenarioArgs {
        scenario: name.to_owned(),
        shortcuts: given,
        profile: option(options, "profile")?,
        set: option(options, "set")?.unwrap_or_default(),
        schedule: option::<String>(options, "schedule")?.map(Into::into),
    };
    let source = text.map_or(document::Source::Named(name), |text| document::Source::Text { name, text });
    let populace::Loaded { resolved, generator } = populace::load_source(&arguments, source).map_err(errors::failure)?;
    Ok(Scene { resolved, generator })
}

/// The shortcuts: keyword, what it takes (`whole`, `number`, `date`, `word` or `switch`), the greatest whole number.
#[pyfunction]
pub(crate) fn shortcuts() -> Vec<(String, &'static str, u64)> {
    let of = |takes: Takes| match takes {
        Takes::Whole(most) => ("whole", most),
        Takes::Number | Takes::Solved(_) => ("number", 0),
        Takes::Date => ("date", 0),
        Takes::Word(_) => ("word", 0),
        Takes::Nothing => ("switch", 0),
    };
    let listed = family::shortcuts().map(|(_, shortcut)| (shortcut.keyword(), of(shortcut.takes)));
    listed.map(|(keyword, (takes, most))| (keyword, takes, most)).collect()
}

/// The names of the components, each with the names and texts of the built-in ones.
#[pyfunction]
pub(crate) fn components() -> Vec<(&'static str, Vec<(&'static str, &'static str)>)> {
    family::components().map(|(_, component)| (component.name, component.builtins.to_vec())).collect()
}

/// A scenario's document: what stands before its configuration as JSON, all of it as YAML, its configuration as JSON. `text` is a
/// document in the place of the built-in one or the file of that name.
#[pyfunction]
pub(crate) fn resolve(name: &str, text: Option<&str>, options: &Bound<'_, PyDict>) -> PyResult<(String, String, String)> {
    let Scene { resolved, .. } = scene(name, text, options)?;
    let mut head = serde_json::json!({ "version": 1, "scenario": resolved.family, "name": resolved.name });
    if let Some(description) = &resolved.description {
        head["description"] = description.as_str().into();
    }
    if let Some(seed) = resolved.seed {
        head["seed"] = seed.into();
    }
    Ok((head.to_string(), resolved.to_yaml(None), resolved.config.to_string()))
}

/// The problems of a component: errors, then warnings.
#[pyfunction]
pub(crate) fn check_component(name: &str, text: &str) -> PyResult<(Vec<String>, Vec<String>)> {
    let known = family::components().find(|(_, component)| component.name == name);
    let (family, component) = known.ok_or_else(|| errors::input(format!("there is no component {name}")))?;
    let prefix = format!("{name}.");
    let texts = |problems: document::Diagnostics| -> Vec<String> {
        let text = |problem: &document::Diagnostic| {
            let path = problem.path.strip_prefix(&prefix).unwrap_or(&problem.path);
            let hint = if problem.hint.is_empty() { String::new() } else { format!(" (hint: {})", problem.hint) };
            format!("{path}: {}{hint}", problem.message)
        };
        problems.problems.iter().map(text).collect()
    };
    let source = document::Source::Text { name: component.name, text };
    let resolved = catalogue::resolve_component(family, component, &format!("the {name}"), source);
    let checked = resolved.and_then(|resolved| catalogue::generator(&resolved).map(|generator| (resolved, generator)));
    Ok(match checked {
        Ok((resolved, generator)) => (Vec::new(), texts(resolved.locate(generator.warnings()))),
        Err(problems) => (texts(problems), Vec::new()),
    })
}
