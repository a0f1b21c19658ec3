//! From arguments to a checked scenario.

use crate::args::ScenarioArgs;
use crate::failure::Failure;
use crate::shortcuts::ComponentArg;
use populace_analysis::families;
use populace_analysis::watch::Watch;
use populace_io::argument::number;
use populace_io::catalogue;
use populace_io::document::{Graft, Request, Resolved, Setting, Source, suggest};
use populace_io::family::{COMMON, Component, FAMILIES, Family, Takes};
use populace_io::generator::Generator;
use populace_io::wording::{option, own};
use std::path::Path;

/// A document and its generator.
pub struct Loaded {
    /// The document.
    pub resolved: Resolved,
    /// The scenario, ready to run.
    pub generator: Box<dyn Generator>,
}

/// The source of a component: a file, or a built-in one where there is no such file.
fn component_source(component: Component, given: &ComponentArg) -> Result<Source<'_>, Failure> {
    match given {
        ComponentArg::Text(text) => Ok(Source::Text { name: component.name, text }),
        ComponentArg::Named(name) if Path::new(name).exists() => Ok(Source::File(Path::new(name))),
        ComponentArg::Named(name) => component.text(name).map(|text| Source::Text { name, text }).ok_or_else(|| {
            let known: Vec<&str> = component.builtins.iter().map(|(name, _)| *name).collect();
            let (kind, hint) = (component.name, suggest(name, &known, "built-in ones"));
            let option = option(kind);
            Failure::input(format!("{option} {name}: there is no such file and no built-in {kind} of this name\nhint: {hint}"))
        }),
    }
}

/// Reads and checks the scenario that the arguments name.
///
/// # Errors
/// Everything that is wrong with the documents and the arguments.
pub(crate) fn load(arguments: &ScenarioArgs) -> Result<Loaded, Failure> {
    load_source(arguments, Source::Named(&arguments.scenario))
}

/// As [`load`], of a document from elsewhere.
///
/// # Errors
/// Everything that is wrong with the documents and the arguments.
pub fn load_source(arguments: &ScenarioArgs, source: Source<'_>) -> Result<Loaded, Failure> {
    let family = family_of(arguments, source)?;
    let mut grafts: Vec<(String, Component, Source<'_>)> = Vec::new();
    for (name, given) in &arguments.shortcuts.components {
        let component = family.and_then(|family| family.component).filter(|component| component.name == *name);
        if let Some(component) = component {
            grafts.push((option(name), component, component_source(component, given)?));
        }
    }
    let grafts: Vec<Graft<'_>> = grafts
        .iter()
        .map(|(option, component, source)| Graft { option, path: component.name, beside: component.beside, source: *source })
        .collect();
    let resolve = |settings: &[(String, &str, String)]| -> Result<Resolved, Failure> {
        let settings: Vec<Setting<'_>> = settings.iter().map(|(option, path, value)| Setting { option, path, value }).collect();
        let request = Request { source, profile: arguments.profile.as_deref(), grafts: &grafts, settings: &settings };
        Ok(catalogue::resolve(&request)?)
    };

    let mut settings: Vec<(String, &str, String)> = Vec::new();
    let mut solved = Vec::new();
    for (given, text) in &arguments.shortcuts.values {
        let own = family.into_iter().flat_map(Family::all_shortcuts).find(|shortcut| shortcut.name == given.name).unwrap_or(given);
        match own.takes {
            Takes::Solved(solve) => solved.push((own, solve, text)),
            Takes::Whole(_) | Takes::Number | Takes::Date | Takes::Word(_) | Takes::Nothing => {
                settings.push((own.option(), own.path, text.clone()));
            }
        }
    }
    for text in &arguments.set {
        let Some((path, value)) = text.split_once('=') else {
            return Err(Failure::input(format!(
                "{} {text}: must be PATH=VALUE, {}",
                option("set"),
                own("such as --set population.users=100")
            )));
        };
        settings.push(("--set".to_owned(), path, value.to_owned()));
    }
    for (shortcut, solve, text) in solved {
        let wanted = number(text).map_err(|error| Failure::input(format!("{} {text}: {error}", shortcut.option())))?;
        let resolved = resolve(&settings)?;
        let value = solve(&resolved.config, wanted).map_err(|error| resolved.diagnose(&error))?;
        settings.push((shortcut.option(), shortcut.path, value.to_string()));
    }
    let resolved = resolve(&settings)?;
    let generator = match &arguments.schedule {
        Some(file) => families::policy_schedule(&resolved, file, &Watch::none(1))?,
        None => catalogue::generator(&resolved)?,
    };
    if let Some(missing) = generator.missing() {
        return Err(Failure::input(format!("{}: {missing}", arguments.scenario)));
    }
    Ok(Loaded { resolved, generator })
}

/// The family of the document where an option needs it to be known. Refuses options of another family, two that exclude each other, and
/// a component in the place of a scenario.
fn family_of(arguments: &ScenarioArgs, source: Source<'_>) -> Result<Option<&'static Family>, Failure> {
    if let Some((family, component)) = catalogue::component(source)? {
        let (name, kind) = (&arguments.scenario, component.name);
        return Err(Failure::input(format!("{name} is a {kind}, not a scenario; use `{} {} {name}`", family.name, option(kind))));
    }
    let given = &arguments.shortcuts;
    if let Some((shortcut, other)) =
        given.values.iter().find_map(|(shortcut, _)| Some((shortcut, shortcut.excludes.filter(|other| given.get(other).is_some())?)))
    {
        return Err(Failure::input(format!("{} cannot be used with {}", shortcut.option(), option(other))));
    }
    let of_components = given.components.iter().map(|(name, _)| *name);
    let of_values = given.values.iter().map(|(shortcut, _)| shortcut.name);
    let special: Vec<&str> = of_components.chain(of_values).filter(|name| COMMON.iter().all(|common| common.name != *name)).collect();
    if special.is_empty() {
        return Ok(None);
    }
    let has = |family: &Family, name: &str| {
        family.shortcuts.iter().any(|shortcut| shortcut.name == name) || family.component.is_some_and(|component| component.name == name)
    };
    let resolved = catalogue::resolve(&Request::new(source))?;
    let family = Family::named(&resolved.family).expect("a document that was resolved has a family");
    match special.into_iter().find(|name| !has(family, name)) {
        Some(name) => {
            let of: Vec<&str> = FAMILIES.iter().filter(|family| has(family, name)).map(|family| family.name).collect();
            let (of, document) = (of.join(", "), &arguments.scenario);
            Err(Failure::input(format!("{} is for {of}, and {document} is of {}", option(name), family.name)))
        }
        None => Ok(Some(family)),
    }
}
