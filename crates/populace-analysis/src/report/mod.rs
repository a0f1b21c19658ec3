//! A report to look at: one self-contained HTML file, and the same figures as JSON.
//!
//! The figures are computed here, in one pass over the data for each family; `page/` holds the page that draws them, with Apache ECharts
//! from `vendor/`. True curves come from the scenario's laws, so they need the `scenario.yaml` beside the data.

mod answers;
mod churn;
mod email;
pub mod figure;
mod measure;
mod page;
mod traces;

pub use figure::Report;
pub use page::render;

use crate::error::AnalysisError;
use crate::model::Model;
use crate::source::Source;
use crate::verify::{DEFAULT_ALPHA, verify};
use figure::{Days, Run, Table};
use populace_core::plan::WindowConfig;
use populace_io::catalogue;
use populace_io::dataset::SCENARIO;
use populace_io::document::{Request, Resolved, Source as Document};
use std::path::{Path, PathBuf};

/// Version of the structure of `report.json`.
const VERSION: u32 = 1;

/// What a report is made from besides the data.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether the data is held against its laws; only where its scenario lies beside it.
    pub verify: bool,
    /// Scorecards to show.
    pub scores: Vec<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self { verify: true, scores: Vec::new() }
    }
}

/// What a family has to show.
struct Found {
    facts: Vec<figure::Fact>,
    sections: Vec<figure::Section>,
    notes: Vec<String>,
}

/// Looks at the data in a directory.
///
/// # Errors
/// The directory holds no data of a known family, or a file cannot be read; a scorecard is none.
pub fn report(directory: &Path, options: &Options) -> Result<Report, AnalysisError> {
    let source = Source::open(directory)?;
    let scores = options.scores.iter().map(|path| answers::score(path, source.manifest())).collect::<Result<_, _>>()?;
    let scenario = if directory.join(SCENARIO).is_file() { Some(source.scenario()?) } else { None };
    let model = scenario.as_ref().map(Model::new).transpose()?;
    let family = match &model {
        Some(model) => model.family(),
        None => family_of(&source)?,
    };
    source.refuse_empty(family)?;
    let Found { facts, sections, mut notes } = match (family, model.as_ref()) {
        ("email", Some(Model::Email(model))) => email::sections(&source, Some(model), model.config())?,
        ("email", _) => {
            let standard = catalogue::resolve(&Request::new(Document::Named("email")))?;
            let standard: populace_core::email::EmailModel = catalogue::model(&standard)?;
            email::sections(&source, None, standard.config())?
        }
        ("traces", Some(Model::Traces(model))) => traces::sections(&source, Some(model))?,
        ("traces", _) => traces::sections(&source, None)?,
        (_, Some(Model::Churn(model))) => churn::sections(&source, Some(model))?,
        _ => churn::sections(&source, None)?,
    };
    let verdicts = match scenario.as_ref().filter(|_| options.verify) {
        Some(scenario) => match verify(&source, scenario, DEFAULT_ALPHA) {
            Ok(found) => Some(answers::verdicts(&found)),
            // The figures can be drawn of what cannot be verified, such as a run that was cut.
            Err(error) => {
                notes.push(format!("The data was not held against its laws: {error}."));
                None
            }
        },
        None => None,
    };
    let run = run(&source, scenario.as_ref(), model.as_ref(), family);
    Ok(Report { version: VERSION, run, facts, verdicts, scores, sections, notes })
}

/// The family of a user's own files, by their tables and columns.
fn family_of(source: &Source) -> Result<&'static str, AnalysisError> {
    if source.has("calls") {
        return Ok("traces");
    }
    let columns = if source.has("events") { source.table("events")?.column_names()? } else { Vec::new() };
    let has = |name: &str| columns.iter().any(|column| column == name);
    if has("recipient_id") {
        Ok("email")
    } else if has("user_id") && has("event_time") {
        Ok("churn")
    } else {
        let root = source.root().display();
        Err(AnalysisError::input(format!(
            "{root}: holds no data that a report can show; expected a table events of email (recipient_id, timestamp, event_type, message_id) or of churn (user_id, event_time, event_type), or a table calls of traces"
        )))
    }
}

fn run(source: &Source, scenario: Option<&Resolved>, model: Option<&Model>, family: &str) -> Run {
    let window = |window: &WindowConfig| Days { start: window.start.to_string(), days: window.days };
    let directory = source.root().canonicalize().ok();
    let directory =
        directory.as_deref().and_then(Path::file_name).map_or_else(|| "data".into(), |name| name.to_string_lossy().into_owned());
    let mut run = Run {
        name: scenario.map_or(directory, |scenario| scenario.name.clone()),
        family: family.into(),
        description: scenario.and_then(|scenario| scenario.description.clone()),
        window: model.map(|model| match model {
            Model::Churn(model) => window(&model.config().window),
            Model::Email(model) => window(&model.config().window),
            Model::Traces(model) => window(&model.config().window),
        }),
        ..Run::default()
    };
    if let Some(manifest) = source.manifest() {
        let identity = &manifest.identity;
        run.seed = Some(identity.seed.to_string());
        run.users = Some(identity.users);
        run.scenario_digest = Some(identity.scenario_digest.clone());
        run.engine_version = Some(identity.engine_version.clone());
        let table = |(name, table): (&String, &populace_io::dataset::TableInfo)| Table {
            name: name.clone(),
            rows: table.rows,
            digest: table.digest.clone(),
        };
        run.tables = manifest.tables.iter().map(table).collect();
        run.clipped = manifest.clipped.iter().map(|(what, count)| (what.clone(), *count)).collect();
        run.warnings.clone_from(&manifest.warnings);
    }
    run
}
