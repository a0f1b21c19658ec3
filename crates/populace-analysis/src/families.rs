//! The families of scenarios, and the commands over them. A new family adds its line here, and nothing elsewhere.

use crate::error::AnalysisError;
use crate::family::Family;
use crate::plan::{self, Effect, Plan, Study};
use crate::policy::{self, Candidate, Policies, Valuation};
use crate::recover::{self, Recovery};
use crate::report::{self, Found};
use crate::score::{self, Context, Scorecard, Task};
use crate::source::{self, As, Inspection, Likely, ReadOptions, Source, Want};
use crate::verify::{self, Board};
use crate::watch::Watch;
use crate::{churn, email, features, traces};
use populace_core::time::Date;
use populace_io::catalogue::{self, LIBRARY};
use populace_io::dataset::SCENARIO;
use populace_io::document::{self, Request, Resolved, suggest};
use populace_io::generator::Generator;
use populace_io::table::Table;
use populace_io::wording::own;
use std::collections::BTreeSet;
use std::path::Path;

/// Every family.
const FAMILIES: &[&Family] = &[&churn::FAMILY, &email::FAMILY, &traces::FAMILY];

/// The family of a name that a checked document has.
fn family(name: &str) -> &'static Family {
    FAMILIES.iter().find(|family| family.name == name).unwrap_or_else(|| panic!("{name} is analysed by no family"))
}

/// The families to which data without a scenario may belong: those whose main table it has, with its columns if any has them.
fn families_of(source: &Source) -> Result<Vec<&'static Family>, AnalysisError> {
    let mut found = Vec::new();
    for family in FAMILIES.iter().copied().filter(|family| source.has(family.table)) {
        let table = source.table(family.table)?;
        if family.columns.iter().map(|wanted| table.has_column(wanted)).collect::<Result<Vec<_>, _>>()?.into_iter().all(|has| has) {
            found.push(family);
        }
    }
    Ok(found)
}

/// Checks that a user's own main table holds a row: a run may be empty by chance, an export is empty by mistake.
fn refuse_empty(source: &Source, family: &Family) -> Result<(), AnalysisError> {
    if source.manifest().is_some() {
        return Ok(());
    }
    let table = family.table;
    for batch in source.table(table)?.read(&[Want::nullable(family.columns[0], As::Text)])? {
        if batch?.num_rows() > 0 {
            return Ok(());
        }
    }
    Err(source.empty(table))
}

/// Holds the data of a directory against a document, under a family-wise error of `alpha`.
///
/// # Errors
/// A table or a column is missing, a file cannot be read, the run was cut short, or the work was stopped.
pub fn verify(source: &Source, document: &Resolved, alpha: f64, watch: &Watch<'_>) -> Result<verify::Report, AnalysisError> {
    let family = family(&document.family);
    verify::check_alpha(alpha)?;
    refuse_empty(source, family)?;
    verify::check_run(source, document)?;
    catalogue::generator(document)?;
    let examine = |source: &Source| {
        let mut board = Board::default();
        verify::files::report_sizes(source, &mut board)?;
        (family.verify)(source, document, &mut board, watch)?;
        verify::files::report_losses(source, &mut board);
        Ok(board)
    };
    // A run whose files are damaged fails its checks; what can be read of it is examined nevertheless.
    let is_damage = |error: &AnalysisError| source.manifest().is_some() && error.is_of_data(source.root());
    let board = match examine(source) {
        Err(error) if is_damage(&error) => match examine(&source.as_damaged()) {
            Ok(mut board) => {
                verify::files::report_damage(&error, true, &mut board);
                board
            }
            Err(other) if is_damage(&other) => {
                let mut board = Board::default();
                verify::files::report_sizes(source, &mut board)?;
                verify::files::report_damage(&error, false, &mut board);
                board
            }
            other => other?,
        },
        board => board?,
    };
    let mut report = board.finish(document, alpha);
    report.run_scenario_digest =
        source.manifest().filter(|_| source.is_of_another(document)).map(|manifest| manifest.identity.scenario_digest.clone());
    Ok(report)
}

/// Looks at the data in a directory.
///
/// # Errors
/// The directory holds no data of a known family, or a file cannot be read; a scorecard is none; the work was stopped.
pub fn report(directory: &Path, options: &report::Options, watch: &Watch<'_>) -> Result<report::Report, AnalysisError> {
    look(directory, options, watch).map(|(report, _)| report)
}

/// The report of a directory, and the document that is beside its data.
fn look(directory: &Path, options: &report::Options, watch: &Watch<'_>) -> Result<(report::Report, Option<Resolved>), AnalysisError> {
    let source = Source::open_with(directory, &options.reading)?;
    let scores = options.scores.iter().map(|path| report::score(path, source.manifest())).collect::<Result<_, _>>()?;
    let scenario = if directory.join(SCENARIO).is_file() { Some(source.scenario()?) } else { None };
    let family = match &scenario {
        Some(scenario) => family(&scenario.family),
        None => *families_of(&source)?.first().ok_or_else(|| {
            let of = |family: &&Family| format!("a table {} of {} ({})", family.table, family.name, family.columns.join(", "));
            let known: Vec<String> = FAMILIES.iter().map(of).collect();
            let root = source.root().display();
            AnalysisError::input(format!("{root}: holds no data that a report can show; expected {}", known.join(", or ")))
        })?,
    };
    refuse_empty(&source, family)?;
    let results = report::policies(&options.policies)?;
    let Found { facts, mut sections, mut notes } = (family.figures)(&source, scenario.as_ref(), watch)?;
    sections.extend(results);
    notes.extend(source.oddities());
    let verdicts = match scenario.as_ref().filter(|_| options.verify) {
        Some(scenario) => match verify(&source, scenario, verify::DEFAULT_ALPHA, watch) {
            Ok(found) => Some(report::verdicts(&found)),
            Err(error) if error.is_interrupted() => return Err(error),
            // The figures can be drawn of what cannot be verified, such as a run that was cut.
            Err(error) => {
                notes.push(format!("The data was not verified: {error}."));
                None
            }
        },
        None => None,
    };
    notes.extend(source.remarks());
    let window = scenario.as_ref().map(family.window).transpose()?;
    let run = report::run(&source, scenario.as_ref(), window, family.name);
    Ok((report::Report { version: report::VERSION, run, other: None, facts, verdicts, scores, sections, notes }, scenario))
}

/// Looks at the data in two directories, which are of one family.
///
/// # Errors
/// As [`report`]; the directories are of two families, or scorecards are given.
pub fn compare(first: &Path, second: &Path, options: &report::Options, watch: &Watch<'_>) -> Result<report::Report, AnalysisError> {
    if !options.scores.is_empty() {
        return Err(AnalysisError::input(own("--scores: scorecards are of one run; leave them out, or give one directory")));
    }
    if !options.policies.is_empty() {
        return Err(AnalysisError::input(own("--policies: these are of one run; leave them out, or give one directory")));
    }
    let (one, document) = look(first, options, watch)?;
    let (other, other_document) = look(second, options, watch)?;
    if one.run.family != other.run.family {
        let (family, others) = (&one.run.family, &other.run.family);
        return Err(AnalysisError::input(format!(
            "{} holds data of {family}, {} of {others}; compare two directories of one family",
            first.display(),
            second.display()
        )));
    }
    let mut both = report::compare(one, other);
    if let Some((one, other)) = document.zip(other_document) {
        let keys = report::differences(&one.config, &other.config);
        let note =
            if keys.is_empty() { "The scenarios are the same.".into() } else { format!("The scenarios differ: {}.", keys.join(", ")) };
        both.notes.insert(0, note);
    }
    Ok(both)
}

/// Estimates the parameters of a document from data, with intervals of `level`.
///
/// # Errors
/// `level` does not lie within 0 and 1, both excluded; a table is missing or is not what it should be; the work was stopped.
pub fn recover(source: &Source, document: &Resolved, level: f64, watch: &Watch<'_>) -> Result<Recovery, AnalysisError> {
    let mut sheet = recover::Sheet::checked(level)?;
    let family = family(&document.family);
    refuse_empty(source, family)?;
    let size = (family.recover)(source, document, &mut sheet, watch)?;
    if source.is_of_another(document) {
        sheet.notes.push("the data is judged by another document than the run's".into());
    }
    sheet.notes.extend(source.oddities().into_iter().chain(source.remarks()));
    Ok(sheet.finish(document, size))
}

/// Everything that predictions are scored for.
pub fn tasks() -> impl Iterator<Item = &'static Task> {
    FAMILIES.iter().flat_map(|family| family.tasks)
}

/// Scores a file of predictions for a task against the run in a directory.
///
/// # Errors
/// There is no such task; the run has no truth or is of another scenario; a prediction is unknown, missing, repeated or not finite; a
/// threshold is of a metric that the task does not have; the work was stopped.
pub fn score(task: &str, run: &Path, predictions: &Path, options: &score::Options, watch: &Watch<'_>) -> Result<Scorecard, AnalysisError> {
    let of = |family: &&'static Family| Some((*family, family.tasks.iter().find(|known| known.is_called(task))?));
    let (family, task) = FAMILIES.iter().find_map(of).ok_or_else(|| {
        let known: Vec<&str> = tasks().map(|task| task.name).collect();
        AnalysisError::input(format!("there is no task `{task}`\nhint: {}", suggest(task, &known, "tasks")))
    })?;
    options.check(task)?;
    let source = Source::open(run)?;
    let document = source.scenario()?;
    if document.family != family.name {
        let (run, other, name) = (run.display(), &document.family, task.name);
        return Err(AnalysisError::input(format!("{run}: is a run of {other}; {name} is scored on runs of {}", family.name)));
    }
    Context { task, source: &source, document: &document, predictions, options, watch }.score()
}

/// Computes the features of a directory.
///
/// # Errors
/// Its data has no features, a column is missing, a value cannot be read, the features are there already, a file cannot be written, or
/// the work was stopped.
pub fn compute_features(options: &features::Options, watch: &Watch<'_>) -> Result<features::Report, AnalysisError> {
    let source = Source::open_with(&options.data, &options.reading)?;
    let data = options.data.display();
    let with_features = || FAMILIES.iter().copied().filter(|family| family.features.is_some());
    let there: Vec<&str> = with_features().map(|family| family.table).filter(|table| source.has(table)).collect();
    let family = match there.as_slice() {
        [] => {
            let tables: Vec<String> = with_features().map(|family| format!("a table {}", family.table)).collect();
            let beside: Vec<String> = with_features().flat_map(|family| source.beside(family.table)).collect();
            let hint = if beside.is_empty() { "a table is a file such as events.csv, or a directory of parts" } else { "there is " };
            return Err(AnalysisError::input(format!("{data}: has neither {}\nhint: {hint}{}", tables.join(" nor "), beside.join(", "))));
        }
        [table] => {
            let known = families_of(&source)?;
            let of_table = with_features().find(|family| family.table == *table);
            known.iter().copied().find(|family| family.features.is_some()).or(known.first().copied()).or(of_table)
        }
        [one, other, ..] => return Err(AnalysisError::input(format!("{data}: has both {one} and {other}; keep one of the tables"))),
    };
    if let Some(compute) = family.and_then(|family| family.features) {
        return compute(options, &source, watch);
    }
    let name = family.map_or("no family", |family| family.name);
    Err(AnalysisError::input(format!("{data}: holds data of {name}, which has no features here; see populace prepare {name}")))
}

/// Looks at what a file of a user's own, or each file of a directory of them, would be read as.
///
/// # Errors
/// A file cannot be read at all, or the directory holds no table that is known.
pub fn inspect(path: &Path, options: &ReadOptions) -> Result<Vec<Inspection>, AnalysisError> {
    let mut generators = Vec::new();
    for name in LIBRARY.names() {
        let document = catalogue::resolve(&Request::new(document::Source::Named(name)))?;
        if FAMILIES.iter().any(|family| family.name == name) {
            generators.push((family(name), catalogue::generator(&document)?));
        }
    }
    let mut tables = Vec::new();
    for (family, generator) in &generators {
        let needed = |table: &Table| family.needed.iter().find(|(name, _)| *name == table.name).map_or(&[][..], |(_, columns)| columns);
        let likely = |table| Likely { family: family.name, table, needed: needed(table), words: (family.words)() };
        tables.extend(generator.tables().iter().filter(|table| !table.truth).map(likely));
    }
    if path.is_file() {
        return Ok(vec![source::inspect(path, &tables, options)?]);
    }
    let data = Source::open_with(path, options)?;
    let mut found = Vec::new();
    let names: BTreeSet<&str> = tables.iter().map(|likely| likely.table.name).collect();
    for name in names.iter().filter(|name| data.has(name)) {
        for file in data.table(name)?.files() {
            let own: Vec<_> = tables.iter().filter(|likely| likely.table.name == *name).cloned().collect();
            found.push(source::inspect(file, &own, options)?);
        }
    }
    if found.is_empty() {
        let names: Vec<&str> = names.into_iter().collect();
        return Err(AnalysisError::input(format!("{}: has no table that is known: {}", path.display(), names.join(", "))));
    }
    Ok(found)
}

/// The effects of a family of scenarios that a study can be planned for.
pub fn effects(name: &str) -> &'static [Effect] {
    family(name).effects
}

/// What is done with the policies of a family.
fn policies(name: &str) -> Result<Policies, AnalysisError> {
    family(name).policies.ok_or_else(|| {
        let of: Vec<&str> = FAMILIES.iter().filter(|family| family.policies.is_some()).map(|family| family.name).collect();
        AnalysisError::input(format!("{name} has no policies; scenarios of {} have", of.join(", ")))
    })
}

/// What policies are worth on the people of a seed; the first is the one that the others are compared with.
///
/// # Errors
/// The family has no policies, a file of a policy cannot be used, or the work was stopped.
pub fn policy_value(candidates: &[Candidate], seed: u64, how: &Valuation, watch: &Watch<'_>) -> Result<policy::Values, AnalysisError> {
    let name = candidates.first().map_or("email", |candidate| candidate.document.family.as_str());
    (policies(name)?.value)(candidates, seed, how, watch)
}

/// The slot of each recipient, learned from the messages of a run that were sent before a day.
///
/// # Errors
/// The family has no policies, the run cannot be read, or the work was stopped.
pub fn policy_learn(run: &Path, rule: policy::Rule, until: Option<Date>, watch: &Watch<'_>) -> Result<policy::Learned, AnalysisError> {
    (policies(&Source::open(run)?.scenario()?.family)?.learn)(run, rule, until, watch)
}

/// Writes what each slot would have been worth to each decision of a run, all others being as they were: a CSV file of `decision_id`,
/// `action`, `q_open`, `q_click` and `q_reward`.
///
/// # Errors
/// The family has no policies, the run has none or has what other slots change, the file cannot be written, or the work was stopped.
pub fn policy_rewards(run: &Path, reward: policy::Reward, output: &Path, watch: &Watch<'_>) -> Result<policy::ActionValues, AnalysisError> {
    (policies(&Source::open(run)?.scenario()?.family)?.rewards)(run, reward, output, watch)
}

/// The generator of a document that mails by a schedule of the user's own, with the rows of that file.
///
/// # Errors
/// The family has no policies, the document has another schedule or none, the file cannot be read, or the work was stopped; every problem
/// of its rows at once.
pub fn policy_schedule(document: &Resolved, file: &Path, watch: &Watch<'_>) -> Result<Box<dyn Generator>, AnalysisError> {
    (policies(&document.family)?.schedule)(document, file, watch)
}

/// Estimates a target policy from the log of a run, and holds the estimates against the truth.
///
/// # Errors
/// The run has no policy, the target has other slots or does what the log never does, the run cannot be read, or the work was stopped.
pub fn policy_evaluate(run: &Path, how: &policy::Evaluate<'_>, watch: &Watch<'_>) -> Result<policy::Evaluation, AnalysisError> {
    (policies(&how.target.document.family)?.evaluate)(run, how, watch)
}

/// The decisions of a run's log as arrays.
///
/// # Errors
/// The run has no policy, the target has other slots, the run cannot be read, or the work was stopped.
pub fn policy_rounds(run: &Path, wanted: &policy::Wanted<'_>, watch: &Watch<'_>) -> Result<policy::Rounds, AnalysisError> {
    (policies(&Source::open(run)?.scenario()?.family)?.rounds)(run, wanted, watch)
}

/// Plans a study of a document's effect.
///
/// # Errors
/// There is no such effect, its size is 0 or makes no sense, or the pilot does not tell it; a pilot cannot be written to the temporary
/// directory.
pub fn plan(document: &Resolved, study: &Study<'_>, watch: &Watch<'_>) -> Result<Plan, AnalysisError> {
    plan::plan(document, study, effects(&document.family), watch.stop, |source, document, level| recover(source, document, level, watch))
}
