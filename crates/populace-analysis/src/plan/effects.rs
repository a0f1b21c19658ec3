//! Effects by the names that people give them.

use crate::error::AnalysisError;
use crate::recover::Estimate;
use populace_io::wording::{option, own};

/// A group of parameters that a study may be about.
#[derive(Clone, Copy, Debug)]
pub struct Effect {
    /// What `--detect` takes.
    pub name: &'static str,
    /// What it is.
    pub meaning: &'static str,
    /// Whether a parameter belongs to it.
    pub(crate) holds: fn(&str) -> bool,
    /// The path of the one of its parameters that a name means, where such names are not paths.
    pub(crate) one: fn(&str) -> Option<String>,
}

impl Effect {
    /// An effect whose parameters are named by their paths alone.
    pub(crate) const fn new(name: &'static str, meaning: &'static str, holds: fn(&str) -> bool) -> Self {
        Self { name, meaning, holds, one: |_| None }
    }
}

/// The parameters among `estimates` that `name` means: a group of them, a transition FROM→TO (or FROM->TO), or one by its path.
///
/// # Errors
/// It means none of them; the message names what is near.
pub(super) fn select<'e>(
    family: &str,
    effects: &[Effect],
    name: &str,
    estimates: &'e [Estimate],
) -> Result<Vec<&'e Estimate>, AnalysisError> {
    let of = |holds: &dyn Fn(&str) -> bool| estimates.iter().filter(|estimate| holds(&estimate.parameter)).collect::<Vec<_>>();
    let name = name.trim();
    let effect = effects.iter().find(|effect| effect.name == name);
    let found = match (effect, effects.iter().find_map(|effect| (effect.one)(name))) {
        (Some(effect), _) => of(&effect.holds),
        (None, Some(path)) => of(&|parameter| parameter == path),
        (None, None) => of(&|parameter| parameter == name),
    };
    if !found.is_empty() {
        return Ok(found);
    }
    if effect.is_some() {
        return Err(AnalysisError::input(format!(
            "{} {name}: this document has no such effect, or the pilot cannot estimate it",
            option("detect")
        )));
    }
    let names = effects.iter().map(|effect| effect.name).chain(estimates.iter().map(|estimate| estimate.parameter.as_str()));
    let mut near: Vec<(f64, &str)> = names.map(|known| (strsim::jaro_winkler(known, name), known)).collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    let near: Vec<String> = near.iter().take(3).map(|(_, known)| format!("`{known}`")).collect();
    Err(AnalysisError::input(format!(
        "{} {name}: no such effect of {family}\nhint: did you mean {}? {}; any parameter of recover will do",
        option("detect"),
        near.join(", "),
        own("--detect list names the effects")
    )))
}
