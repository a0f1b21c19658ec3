//! `populace policy`.

use super::progress::watched;
use super::{generate, print_json, refuse_data, scenario};
use crate::args::{
    GenerateArgs, PolicyArgs, PolicyCommand, PolicyEvaluateArgs, PolicyLearnArgs, PolicyReplayArgs, PolicyRewardsArgs, PolicyValueArgs,
    ScenarioArgs,
};
use crate::failure::Failure;
use crate::shortcuts::{ComponentArg, Shortcuts};
use crate::show;
use clap::Parser;
use populace_analysis::policy::{Candidate, Estimators, Evaluate, Valuation, refuse_other_table};
use populace_analysis::source::Source as Data;
use populace_analysis::{families, write_whole};
use populace_io::dataset::{Parent, SCENARIO};
use populace_io::document::{Resolved, Source};
use populace_io::files::sha256_of;
use std::io::Write;
use std::path::Path;

pub(crate) fn run(arguments: &PolicyArgs) -> Result<(), Failure> {
    match &arguments.command {
        PolicyCommand::Replay(arguments) => replay(arguments),
        PolicyCommand::Value(arguments) => value(arguments),
        PolicyCommand::Learn(arguments) => learn(arguments),
        PolicyCommand::Rewards(arguments) => rewards(arguments),
        PolicyCommand::Evaluate(arguments) => evaluate(arguments),
    }
}

/// The option that puts a policy into a document: a file, a built-in one, or a table of slots.
pub fn component(policy: &str, of_run: &Resolved) -> ComponentArg {
    let ends_in = |ending: &str| Path::new(policy).extension().is_some_and(|own| own.eq_ignore_ascii_case(ending));
    if !ends_in("csv") && !ends_in("tsv") {
        return ComponentArg::Named(policy.to_owned());
    }
    of_slots(of_run, serde_json::json!({ "type": "table", "file": policy }))
}

/// The same, of what can be a policy.
fn checked(policy: &str, of_run: &Resolved) -> Result<ComponentArg, Failure> {
    refuse_other_table(policy)?;
    is_there(policy)?;
    Ok(component(policy, of_run))
}

/// A schedule in a file, as a policy on the people of a run: the file itself goes beside the document.
///
/// # Errors
/// It cannot be read.
pub fn schedule(file: &Path, of_run: &Resolved) -> Result<ComponentArg, Failure> {
    let digest = sha256_of(file).map_err(|error| Failure::input(format!("{}: {error}", file.display())))?;
    Ok(of_slots(of_run, serde_json::json!({ "type": "schedule", "sha256": digest })))
}

/// A policy with a distribution over the slots of a run's own policy.
fn of_slots(of_run: &Resolved, base: serde_json::Value) -> ComponentArg {
    let own = of_run.config.get("policy").and_then(serde_json::Value::as_object).cloned().unwrap_or_default();
    let mut document: serde_json::Map<String, serde_json::Value> =
        own.into_iter().filter(|(key, _)| ["window", "slot_minutes", "clock", "caps"].contains(&key.as_str())).collect();
    document.insert("base".to_owned(), base);
    ComponentArg::Text(serde_json::Value::Object(document).to_string())
}

/// Refuses a table of slots that is not there: it is not the fault of the document that would name it.
fn is_there(policy: &str) -> Result<(), Failure> {
    let path = Path::new(policy);
    if path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("csv"))
        && let Err(error) = std::fs::metadata(path)
    {
        let hint = "hint: give a CSV file of recipient_id and slot; `policy learn` writes one";
        return Err(Failure::input(format!("{policy}: {error}\n{hint}")));
    }
    Ok(())
}

/// The scenario of a run, and its seed.
fn of_run(run: &Path) -> Result<(Resolved, u64), Failure> {
    let data = Data::open(run)?;
    let document = data.scenario()?;
    let seed = data.seed(&document);
    let seed = seed.ok_or_else(|| Failure::input(format!("{}: its seed is not known; is it a run?", run.display())))?;
    Ok((document, seed))
}

fn arguments(run: &Path, policy: ComponentArg, days: Option<u32>) -> ScenarioArgs {
    let mut shortcuts = Shortcuts { values: Vec::new(), components: vec![("policy", policy)] };
    if let Some(days) = days {
        shortcuts.set("days", days.to_string());
    }
    ScenarioArgs { scenario: run.join(SCENARIO).display().to_string(), shortcuts, ..ScenarioArgs::default() }
}

/// A run's document with a policy in the place of its own.
fn candidate(run: &Path, name: &str, policy: ComponentArg, days: Option<u32>) -> Result<Candidate, Failure> {
    let path = run.join(SCENARIO);
    let loaded = scenario::load_source(&arguments(run, policy, days), Source::File(&path))?;
    Ok(Candidate { name: name.to_owned(), document: loaded.resolved })
}

/// `generate` with no other arguments than these.
#[derive(Parser)]
struct Plain {
    #[command(flatten)]
    generate: GenerateArgs,
}

fn replay(own: &PolicyReplayArgs) -> Result<(), Failure> {
    let (document, seed) = of_run(&own.run)?;
    if own.output == own.run {
        return Err(Failure::input("-o: is the run itself; give the replay a directory of its own"));
    }
    let Plain { mut generate } = Plain::try_parse_from(["generate", "email"]).map_err(Failure::input)?;
    let policy = match (&own.policy, &own.schedule) {
        (Some(policy), _) => checked(policy, &document)?,
        (None, Some(file)) => schedule(file, &document)?,
        (None, None) => unreachable!("a policy or a schedule is required"),
    };
    generate.scenario = arguments(&own.run, policy, None);
    generate.scenario.schedule.clone_from(&own.schedule);
    generate.seed = Some(seed);
    generate.output.clone_from(&own.output);
    (generate.format, generate.threads) = (own.format, own.threads);
    (generate.resume, generate.overwrite, generate.quiet) = (own.resume, own.overwrite, own.quiet);
    let parent = Parent { scenario: document.name.clone(), scenario_digest: document.digest(), seed };
    generate::run_of(&generate, Some(parent))
}

fn value(own: &PolicyValueArgs) -> Result<(), Failure> {
    let (document, seed) = of_run(&own.run)?;
    // A run without a policy mails as `scheduled` does.
    let log = match document.config.get("policy").filter(|policy| !policy.is_null()) {
        Some(policy) => ComponentArg::Text(policy.to_string()),
        None => ComponentArg::Named("scheduled".to_owned()),
    };
    let mut candidates = vec![candidate(&own.run, "the run", log, own.days)?];
    for policy in &own.policy {
        candidates.push(candidate(&own.run, policy, checked(policy, &document)?, own.days)?);
    }
    let how = Valuation { reward: own.reward, expected: !own.realised, discount: own.discount };
    let values = watched(own.reading.no_progress, own.reading.threads, |watch| families::policy_value(&candidates, seed, &how, watch))?;
    if own.json {
        return print_json(&values);
    }
    write!(show::stdout(), "{values}").map_err(|error| Failure::output(&error))
}

fn rewards(own: &PolicyRewardsArgs) -> Result<(), Failure> {
    let output = own.output.clone().unwrap_or_else(|| own.run.join("truth").join("action_values.csv"));
    let is_csv = output.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("csv"));
    if !is_csv || (output.starts_with(&own.run) && output.file_name().is_some_and(|name| name != "action_values.csv")) {
        let what = "the values are CSV; give them a name that ends in .csv, in the run action_values.csv";
        return Err(Failure::input(format!("-o {}: {what}", output.display())));
    }
    let found =
        watched(own.reading.no_progress, own.reading.threads, |watch| families::policy_rewards(&own.run, own.reward, &output, watch))?;
    note!("{}: {} slots of {} decisions", output.display(), found.rows, found.decisions);
    Ok(())
}

fn learn(own: &PolicyLearnArgs) -> Result<(), Failure> {
    let learned = watched(own.reading.no_progress, own.reading.threads, |watch| {
        families::policy_learn(&own.run, own.rule.into(), own.train_until, watch)
    })?;
    let rows = learned.slots.iter().map(|(recipient, slot)| format!("{recipient},{slot}\n"));
    let text: String = std::iter::once("recipient_id,slot\n".to_owned()).chain(rows).collect();
    if own.output.as_os_str() == "-" {
        return show::stdout().write_all(text.as_bytes()).map_err(|error| Failure::output(&error));
    }
    write_whole(&own.output, &text)?;
    note!("{}: slots of {} recipients, from {} messages", own.output.display(), learned.slots.len(), learned.messages);
    Ok(())
}

fn evaluate(own: &PolicyEvaluateArgs) -> Result<(), Failure> {
    own.output.as_deref().map_or(Ok(()), refuse_data)?;
    let (document, _) = of_run(&own.run)?;
    let target = candidate(&own.run, &own.target, checked(&own.target, &document)?, None)?;
    let estimators = Estimators { clip: own.clip, switch: own.switch, shrinkage: own.shrinkage, span: usize::from(own.span) };
    let how = Evaluate {
        reward: own.reward,
        from: own.from,
        allow_unsupported: own.allow_unsupported,
        estimators,
        q_hat: own.q_hat.as_deref(),
        replicates: own.replicates,
        target: &target,
    };
    let found = watched(own.reading.no_progress, own.reading.threads, |watch| families::policy_evaluate(&own.run, &how, watch))?;
    if let Some(path) = &own.output {
        let text = serde_json::to_string_pretty(&found).map_err(Failure::input)?;
        write_whole(path, &(text + "\n"))?;
    }
    if own.json {
        return print_json(&found);
    }
    write!(show::stdout(), "{found}").map_err(|error| Failure::output(&error))
}
