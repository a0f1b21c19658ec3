//! How large a study must be: a pilot is simulated, the reference estimators give their errors, and from these follows the number of users
//! with which an effect is detected.
//!
//! An estimate θ of an effect, on the scale on which it is normal, has a standard error σ/√n with n users. The test at level α finds an effect
//! of size δ with probability 1 − β if n ≥ (z₁₋α/₂ + z₁₋β)² σ² / δ². σ comes from the pilot; how it depends on the days from a second pilot.

mod effects;
mod text;

pub use effects::Effect;

use crate::error::AnalysisError;
use crate::recover::{Estimate, Recovery, Scale};
use crate::source::Source;
use crate::stats::{normal_quantile_two_sided, normal_tail};
use populace_io::catalogue;
use populace_io::dataset;
use populace_io::document::{self, Request, Resolved, Setting};
use populace_io::wording::own;
use serde::{Deserialize, Serialize};
use std::sync::atomic::AtomicBool;

/// The pilots' seed.
pub const PILOT_SEED: u64 = 1;
/// Rows of a pilot's main table, about: a second's work.
const PILOT_ROWS: f64 = 150_000.0;
const FEWEST_USERS: u64 = 100;
const MOST_USERS: u64 = 50_000;
/// The change of a level that is to be found unless another is asked for, as a share of it.
const DEFAULT_CHANGE: f64 = 0.1;
/// More users than there are people.
const MOST_PEOPLE: f64 = 1e10;

/// What a study is to find.
#[derive(Clone, Debug)]
pub struct Study<'a> {
    /// An effect by name, or a parameter by its path.
    pub detect: &'a str,
    /// How large the effect is; as in the document unless given.
    pub target: Target,
    /// The probability of finding it.
    pub power: f64,
    /// The probability of finding what is not there.
    pub alpha: f64,
    /// Users of the pilot, unless as many as take about a second.
    pub pilot_users: Option<u64>,
}

/// The effect's size.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Target {
    /// As the document has it; of a level, a tenth of it.
    #[default]
    Document,
    /// A factor this far from 1, on the document's side; a slope or a level changed by this share of it.
    Change(f64),
    /// The parameter's value.
    Value(f64),
}

/// What a study needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The scenario's name.
    pub scenario: String,
    /// What is to be found.
    pub detect: String,
    /// With which probability.
    pub power: f64,
    /// With which probability of finding what is not there.
    pub alpha: f64,
    /// Days of the study.
    pub days: u32,
    /// Users of the document.
    pub users_of_document: u64,
    /// Users with whom each of the effects is found with the power asked for.
    pub users: u64,
    /// What it rests on.
    pub pilot: Pilot,
    /// Each parameter by itself.
    pub effects: Vec<Needed>,
}

/// The simulations behind a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pilot {
    /// Users of each.
    pub users: u64,
    /// Days of the one and of the other.
    pub days: [u32; 2],
    /// Their seed.
    pub seed: u64,
    /// The parameter that was set to the value to be found, if the document can have it.
    pub set: Option<String>,
}

/// What one parameter needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Needed {
    /// Its path.
    pub parameter: String,
    /// The value that is to be told …
    pub value: f64,
    /// … from this one.
    pub from: f64,
    /// Standard error with one user, on the scale of the test: with n users it is this over √n.
    pub error_of_one_user: f64,
    /// The error falls with the days d as d^(−this/2): 1 where days are worth as much as users.
    pub worth_of_days: f64,
    /// Users needed.
    pub users: u64,
    /// Days and the users needed then.
    pub users_by_days: Vec<(u32, u64)>,
    /// The power with the document's users.
    pub power_at_document: f64,
    /// The value nearest to `from` that is told from it with the power asked for and the document's users.
    pub nearest_at_document: f64,
}

impl Plan {
    /// As JSON.
    ///
    /// # Panics
    /// Never: numbers and text can be written.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("numbers and text are JSON")
    }
}

fn within(option: &str, value: f64) -> Result<(), AnalysisError> {
    if value > 0.0 && value < 1.0 {
        return Ok(());
    }
    Err(AnalysisError::input(format!("{option}: must be above 0 and below 1, got {value}")))
}

/// Plans a study of a document's effect.
///
/// # Errors
/// There is no such effect, its size is 0 or makes no sense, or the pilot does not tell it; a pilot cannot be written to the temporary
/// directory.
pub(crate) fn plan(
    document: &Resolved,
    study: &Study<'_>,
    effects: &[Effect],
    stop: &AtomicBool,
    recover: impl Fn(&Source, &Resolved, f64) -> Result<Recovery, AnalysisError>,
) -> Result<Plan, AnalysisError> {
    within(&own("--power"), study.power)?;
    within(&own("--alpha"), study.alpha)?;
    let number = |path: &str| document.config.pointer(path).and_then(serde_json::Value::as_u64).unwrap_or(1);
    let (users_of_document, days) = (number("/population/users"), number("/window/days") as u32);
    let users = study.pilot_users.map_or_else(|| pilot_users(document), Ok)?;
    // What happens on certain days may not fit into half of them.
    let fits = |days: u32| resized(document, users, days).is_ok_and(|resized| catalogue::generator(&resized).is_ok());
    let other = if days >= 14 && fits(days / 2) { days / 2 } else { days * 2 };
    let simulate = |document: &Resolved, days: u32| pilot(document, users, days, (study, stop), &recover);
    let first = simulate(document, days)?;
    let mut chosen = effects::select(&document.family, effects, study.detect, &first.estimates)?;
    // Of the parameters of an effect, those that the document has at nothing are not what is to be found.
    if matches!(study.target, Target::Document) && chosen.iter().any(|estimate| estimate.basis.neutral != Some(estimate.truth)) {
        chosen.retain(|estimate| estimate.basis.neutral != Some(estimate.truth));
    }
    // Where the document can have the value that is to be found, the pilots do: errors depend on it.
    let moved = match (study.target, chosen.as_slice()) {
        (Target::Value(value), [one]) => with_value(document, &one.parameter, value),
        _ => None,
    };
    let set = moved.as_ref().and(chosen.first()).map(|estimate| estimate.parameter.clone());
    let truths: Vec<f64> = chosen.iter().map(|estimate| estimate.truth).collect();
    let again = moved.as_ref().map(|moved| simulate(moved, days)).transpose()?;
    if let Some(again) = &again {
        chosen = effects::select(&document.family, effects, study.detect, &again.estimates)?;
    }
    let second = simulate(moved.as_ref().unwrap_or(document), other)?;
    let mut needed = Vec::new();
    for (estimate, truth) in chosen.into_iter().zip(truths) {
        let from = estimate.basis.neutral.unwrap_or(truth);
        let value = target(estimate, truth, study)?;
        // What is told from 0 has no logarithm there.
        let scale = if from > 0.0 { estimate.basis.scale } else { Scale::Linear };
        let scaled = |estimate: &Estimate| {
            let error = if scale == Scale::Linear { estimate.standard_error } else { estimate.basis.error };
            error * (users as f64).sqrt()
        };
        let error = scaled(estimate);
        // A parameter that the other pilot does not tell is taken to depend on user-days.
        let worth = second
            .estimate(&estimate.parameter)
            .map_or(1.0, |again| 2.0 * (scaled(again) / error).ln() / (f64::from(days) / f64::from(other)).ln());
        let needs = Needs { parameter: &estimate.parameter, scale, from, value, error, worth, days, is_share: is_share(estimate) };
        needed.push(needs.solve(study, users_of_document)?);
    }
    Ok(Plan {
        scenario: document.name.clone(),
        detect: study.detect.to_owned(),
        power: study.power,
        alpha: study.alpha,
        days,
        users_of_document,
        users: needed.iter().map(|needed| needed.users).max().unwrap_or(0),
        pilot: Pilot { users, days: [days, other], seed: PILOT_SEED, set },
        effects: needed,
    })
}

/// Users of a pilot that takes about a second; all personas in their shares.
fn pilot_users(document: &Resolved) -> Result<u64, AnalysisError> {
    let generator = catalogue::generator(document)?;
    let users = (PILOT_ROWS / generator.population().rows_per_actor.max(1e-9)) as u64;
    let users = users.clamp(FEWEST_USERS, MOST_USERS);
    let counts = document.config.get("personas").and_then(serde_json::Value::as_object);
    let slots: u64 = counts.into_iter().flatten().filter_map(|(_, persona)| persona.get("count")?.as_u64()).sum();
    Ok(if (1..=MOST_USERS).contains(&slots) { users.next_multiple_of(slots) } else { users })
}

/// Generates a study and estimates what it tells.
fn pilot(
    document: &Resolved,
    users: u64,
    days: u32,
    (study, stop): (&Study<'_>, &AtomicBool),
    recover: &impl Fn(&Source, &Resolved, f64) -> Result<Recovery, AnalysisError>,
) -> Result<Recovery, AnalysisError> {
    let resized = resized(document, users, days)?;
    let generator = catalogue::generator(&resized)?;
    let directory = tempfile::tempdir().map_err(|error| AnalysisError::io(std::env::temp_dir(), error))?;
    dataset::generate(directory.path(), &resized, generator.as_ref(), PILOT_SEED, stop)?;
    recover(&Source::open(directory.path())?, &resized, 1.0 - study.alpha)
}

/// The document of a pilot.
fn resized(document: &Resolved, users: u64, days: u32) -> Result<Resolved, AnalysisError> {
    let (yaml, users, days) = (document.to_yaml(None), users.to_string(), days.to_string());
    let settings = [
        Setting { option: "the pilot", path: "population.users", value: &users },
        Setting { option: "the pilot", path: "window.days", value: &days },
    ];
    let source = document::Source::Text { name: &document.name, text: &yaml };
    Ok(catalogue::resolve(&Request { settings: &settings, ..Request::new(source) })?)
}

/// The document with another value of a parameter; `None` where the parameter is not a number of the document, or the document would not be
/// sound.
fn with_value(document: &Resolved, parameter: &str, value: f64) -> Option<Resolved> {
    let place = parameter.split('.').try_fold(&document.config, |place, key| place.get(key))?;
    place.as_f64()?;
    let (yaml, value) = (document.to_yaml(None), value.to_string());
    let settings = [Setting { option: "--at", path: parameter, value: &value }];
    let source = document::Source::Text { name: &document.name, text: &yaml };
    let moved = catalogue::resolve(&Request { settings: &settings, ..Request::new(source) }).ok()?;
    catalogue::generator(&moved).is_ok().then_some(moved)
}

/// Whether an estimate lies from 0 to 1.
fn is_share(estimate: &Estimate) -> bool {
    ["share", "probability"].iter().any(|unit| estimate.unit.starts_with(unit)) && estimate.basis.neutral != Some(1.0)
}

/// The value that is to be told from the neutral one or, of a level, from the document's.
fn target(estimate: &Estimate, truth: f64, study: &Study<'_>) -> Result<f64, AnalysisError> {
    let path = &estimate.parameter;
    let from = estimate.basis.neutral.unwrap_or(truth);
    let is_share = is_share(estimate);
    let value = match (study.target, estimate.basis.neutral) {
        (Target::Value(value), _) => value,
        (Target::Document, Some(_)) => truth,
        // A share near 1 changes towards the inside.
        (Target::Document, None) if is_share && truth * (1.0 + DEFAULT_CHANGE) > 1.0 => truth * (1.0 - DEFAULT_CHANGE),
        (Target::Document, None) => truth * (1.0 + DEFAULT_CHANGE),
        (Target::Change(share), Some(1.0)) => 1.0 + if truth < 1.0 { -share } else { share },
        (Target::Change(share), Some(_)) => truth * share,
        (Target::Change(share), None) => truth * (1.0 + share),
    };
    let is_sound = estimate.basis.scale == Scale::Linear || value > 0.0;
    if !is_sound || !value.is_finite() {
        return Err(AnalysisError::input(format!(
            "{path}: must be above 0 to be detectable, got {value}; {}",
            own("give another --at or --size")
        )));
    }
    if is_share && !(0.0..=1.0).contains(&value) {
        return Err(AnalysisError::input(format!(
            "{path}: is a {} from 0 to 1, got {value}; {}",
            estimate.unit,
            own("give another --at or --size")
        )));
    }
    if (value - from).abs() <= 1e-9 * from.abs().max(1e-9) {
        return Err(AnalysisError::input(format!(
            "{path}: the effect is zero: alternative and null are both {value}\n{}",
            own("hint: say how large the effect is with --at VALUE or --size FRACTION")
        )));
    }
    Ok(value)
}

/// A parameter, the value to be found and from what, and what its error is made of.
struct Needs<'e> {
    parameter: &'e str,
    scale: Scale,
    from: f64,
    value: f64,
    error: f64,
    worth: f64,
    days: u32,
    is_share: bool,
}

impl Needs<'_> {
    fn solve(&self, study: &Study<'_>, users_of_document: u64) -> Result<Needed, AnalysisError> {
        let &Self { parameter, scale, from, value, .. } = self;
        let size = (scale.of(value) - scale.of(from)).abs();
        let critical = normal_quantile_two_sided(study.alpha);
        // The quantile of the power: two-sided p of 2(1 − power) is one-sided 1 − power.
        let reach = critical + signed_quantile(study.power);
        let users = |days: f64| {
            let error = self.error * (f64::from(self.days) / days).powf(self.worth / 2.0);
            if let Some(trials) = self.trials(error) {
                // What is not there is never seen: one that is seen is proof.
                return ((1.0 - study.power).ln() / (-value).ln_1p() / trials).ceil().max(1.0);
            }
            (reach.max(0.0) * error / size).powi(2).ceil().max(1.0)
        };
        let needed = users(f64::from(self.days));
        if needed > MOST_PEOPLE {
            return Err(AnalysisError::input(format!(
                "{parameter}: telling {value} from {from} would take {needed:.1e} users\n{}",
                own("hint: ask for a larger effect with --at VALUE or --size FRACTION")
            )));
        }
        let by_days = [self.days / 4, self.days / 2, self.days, self.days * 2, self.days * 4];
        let of_one = |days: u32| (days, users(f64::from(days)) as u64);
        let here = self.error / (users_of_document as f64).sqrt();
        let direction = (scale.of(value) - scale.of(from)).signum();
        Ok(Needed {
            parameter: parameter.to_owned(),
            value,
            from,
            error_of_one_user: self.error,
            worth_of_days: self.worth,
            users: needed as u64,
            users_by_days: by_days.into_iter().filter(|days| *days > 0).map(of_one).collect(),
            power_at_document: self.trials(here).map_or_else(|| power(size / here, critical), |trials| 1.0 - (1.0 - value).powf(trials)),
            nearest_at_document: self.trials(here).map_or_else(
                || scale.back(scale.of(from) + direction * reach * here),
                |trials| 1.0 - (1.0 - study.power).powf(trials.recip()),
            ),
        })
    }

    /// Of a share that is told from 0: the trials that give it such an error.
    fn trials(&self, error: f64) -> Option<f64> {
        let is_rare = self.is_share && self.from == 0.0 && self.value > 0.0 && self.value < 1.0;
        is_rare.then(|| self.value * (1.0 - self.value) / (error * error))
    }
}

/// P(a two-sided test rejects) where the effect is `distance` standard errors from nothing.
fn power(distance: f64, critical: f64) -> f64 {
    normal_tail(critical - distance) + normal_tail(critical + distance)
}

/// z with P(Z ≤ z) = `p`.
fn signed_quantile(p: f64) -> f64 {
    if p >= 0.5 { normal_quantile_two_sided(2.0 * (1.0 - p)) } else { -normal_quantile_two_sided(2.0 * p) }
}
