//! `populace plan`.

use super::progress::watched;
use super::scenario;
use crate::args::PlanArgs;
use crate::failure::Failure;
use crate::show;
use populace_analysis::families::{effects, plan};
use populace_analysis::plan::{Study, Target};
use std::io::Write;

pub(crate) fn run(arguments: &PlanArgs) -> Result<(), Failure> {
    let document = scenario::load(&arguments.scenario)?.resolved;
    let mut out = show::stdout();
    if arguments.detect == "list" {
        let mut list = || effects(&document.family).iter().try_for_each(|effect| writeln!(out, "{:<16} {}", effect.name, effect.meaning));
        return list().map_err(|error| Failure::output(&error));
    }
    let target = match (arguments.at, arguments.size) {
        (Some(value), _) => Target::Value(value),
        (None, Some(size)) => Target::Change(size),
        (None, None) => Target::Document,
    };
    let study =
        Study { detect: &arguments.detect, target, power: arguments.power, alpha: arguments.alpha, pilot_users: arguments.pilot_users };
    let planned = watched(true, None, |watch| plan(&document, &study, watch))?;
    let printed = if arguments.json { writeln!(out, "{}", planned.to_json()) } else { writeln!(out, "{planned}") };
    printed.map_err(|error| Failure::output(&error))
}
