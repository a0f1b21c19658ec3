//! The features of every recipient, to `features.parquet`.

mod computer;
mod rows;

use super::history::{Agents, agent_column};
use crate::error::AnalysisError;
use crate::features::{self, Options, Report};
use crate::pass::{self, Inputs};
use crate::source::odd_clocks;
use crate::source::values::is_plausible;
use crate::source::{As, Columns, Side, Source, TableSource, Want, repeated};
use crate::stage::Stage;
use crate::watch::Watch;
use arrow_array::{Array, RecordBatch};
use computer::{Computer, Event, Features, Rules};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use populace_core::email::{Agent, EmailModel, EventType};
use populace_core::scenario::Scenario;
use populace_core::stream::{ActorId, StreamKey};
use populace_core::time::Instant;
use populace_io::dataset::read_manifest;
use populace_io::error::RunError;
use populace_io::files::Format;
use populace_io::tables::email::actor_of;
use populace_io::terminal::printable;
use populace_io::wording::own;
use rows::{More, Rows, schema};
use serde::Serialize;
use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::path::Path;

/// The file that is written.
const FILE: &str = "features.parquet";
/// Rows of a piece: some hundred recipients.
const PIECE: usize = 8 << 10;
/// Recipients of a row group: about 20 MiB of curves.
const GROUP: usize = 256;

/// What is read; the last three of files of a user's own alone, which may tell an event again, or a machine's.
const WANTS: [Want; 7] = [
    Want::new("recipient_id", As::Text),
    Want::new("timestamp", As::Instant),
    Want::new("event_type", As::Text),
    Want::optional("universal_id", As::Text),
    Want::optional("event_id", As::Text),
    // Of events from elsewhere, whether they are no person's.
    Want::optional("metadata", As::Text),
    Want::optional("machine_open", As::Bool),
];

/// What was computed of the recipients.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RecipientsReport {
    /// The moment at which the features stand.
    pub computed_at: String,
    /// What moment that is: `the moment given`, `the end of the run's window` or `the last event`.
    pub computed_at_is: String,
    /// Recipients.
    pub recipients: u64,
    /// Rows that were read.
    pub read: u64,
    /// Events among them: all but malformed rows, repeats and odd clocks.
    pub events: u64,
    /// Rows that are no rows of the table, which are left out.
    pub malformed: u64,
    /// Rows that tell an event again, by its id and type, which are left out.
    pub repeats: u64,
    /// Events before 1990 or in the future, which are left out unless most are.
    pub odd_clocks: u64,
    /// Events of a type that is not known: they count for nothing.
    pub unknown_types: u64,
    /// Their words, as many as are kept, with how often each comes.
    pub unknown_words: BTreeMap<String, u64>,
    /// Events after the moment: they count for nothing.
    pub later: u64,
    /// Opens and clicks that are no person's (by `machine_open`, by `suspected_bot` in the metadata, in a run by the user agent of clients
    /// that open ahead): they count for nothing unless they are asked for.
    pub suspected: u64,
    /// Recipients without a click.
    pub without_clicks: u64,
    /// Mean of the recipients' confidence.
    pub mean_confidence: f64,
    /// Least, quartiles and greatest of the recipients' confidence.
    pub confidence_quartiles: [f64; 5],
    /// Recipients in a circuit breaker.
    pub suppressed: u64,
    /// Recipients with an active hot path.
    pub hot: u64,
    /// What else is worth knowing.
    pub remarks: Vec<String>,
    /// What was written.
    pub files: Vec<String>,
}

/// Unknown words that are kept.
const MOST_WORDS: usize = 1_000;
/// Confidences are counted in so many classes for their quartiles, so that memory does not grow with the recipients.
const CLASSES: usize = 10_000;

pub(crate) fn compute(options: &Options, source: &Source, watch: &Watch<'_>) -> Result<Report, AnalysisError> {
    if options.format != Format::Parquet {
        return Err(AnalysisError::input(own(
            "the features of recipients are Parquet alone, as a click curve of 10,080 values fits no row of CSV\nhint: leave --format out",
        )));
    }
    let model = source.manifest().map(|_| source.model::<EmailModel>()).transpose()?;
    let rules = model.as_ref().map_or_else(Rules::default, Rules::of);
    // Where messages bounce: of runs without attempts there would be zeros.
    let has_bounces = model.as_ref().is_some_and(|model| model.attempts().is_some());
    let events = source.table("events")?;
    let is_run = source.manifest().is_some();
    // Of a run its window's end: what comes of its last mail may take weeks, by which time counts of the last days hold nothing.
    let end = model.as_ref().map(|model| model.window().end());
    let clocks = if is_run && options.now.is_some() { Clocks::default() } else { Clocks::of(&events, is_run, watch)? };
    let without_odd = clocks.odd > 0 && clocks.plausible >= clocks.odd;
    let last = clocks.last(without_odd).map(Instant);
    let now = options.now.or(last.map(|last| end.unwrap_or(last)));
    let which = match (options.now, end) {
        (Some(_), _) => "the moment given",
        (None, Some(_)) => "the end of the run's window",
        (None, None) => "the last event",
    };
    let now = now.ok_or_else(|| match source.remarks() {
        remarks if remarks.is_empty() => AnalysisError::input(format!("{}: there are no events", options.data.display())),
        _ => source.empty("events"),
    })?;
    // Which zone the sender of a run knows, its seed says, too.
    let seed = source.manifest().map(|manifest| StreamKey::root(manifest.identity.seed, EmailModel::NAME));
    let zones = model.as_ref().filter(|model| model.zones().is_some()).zip(seed);
    let stage = Stage::new(&options.output, vec![FILE.to_owned()], options.overwrite)?;
    let path = stage.path().join(FILE);
    let file = File::create(&path).map_err(|error| AnalysisError::io(&path, error))?;
    let codec = Compression::ZSTD(ZstdLevel::try_new(1).map_err(RunError::from)?);
    let properties = WriterProperties::builder()
        .set_compression(codec)
        .set_created_by(format!("populace {}", env!("CARGO_PKG_VERSION")))
        .set_dictionary_enabled(false)
        .build();
    let more =
        More { zones: zones.is_some(), bounces: has_bounces, leaving: model.as_ref().is_some_and(|model| model.leaving().is_some()) };
    let mut writer = ArrowWriter::try_new(file, schema(options.curve, more), Some(properties)).map_err(RunError::from)?;

    let computer = Computer::new(rules);
    let mut rows = Rows::new(options.curve, more);
    let mut report = Tally::new(now, which);
    // A run's machines are known by what their clients say.
    let agent = model.as_ref().and_then(|model| Some((agent_column(model)?, Agents::new(model.config()))));
    let wants: Vec<Want> = match &agent {
        _ if !is_run => WANTS.to_vec(),
        Some((column, _)) => WANTS[..4].iter().copied().chain([*column]).collect(),
        None => WANTS[..4].to_vec(),
    };
    let machines = match agent {
        _ if options.include_suspected => Machines::Counted,
        Some((_, agents)) => Machines::Agents(agents),
        None if is_run => Machines::Counted,
        None => Machines::Marked,
    };
    let side = Side { table: "events", wants: &wants, time: Some("timestamp") };
    // A row of features is a hundred times as long as its recipient's events.
    let inputs = Inputs { piece: PIECE, ..Inputs::joined("recipient_id", [side]) };
    let work = |actor: &[Option<RecordBatch>]| {
        Ok(actor[0].as_ref().map(|group| Computed::new(group, &computer, now, (without_odd, machines), zones)))
    };
    pass::each(source, &inputs, watch, "computing", work, |computed: Option<Computed>| {
        let Some(computed) = computed else { return Ok(()) };
        report.add(&computed);
        rows.push(&computed, now);
        if rows.len() >= GROUP {
            writer.write(&rows.take()).map_err(RunError::from)?;
            writer.flush().map_err(RunError::from)?;
        }
        Ok(())
    })?;
    if rows.len() > 0 {
        writer.write(&rows.take()).map_err(RunError::from)?;
    }
    writer.close().map_err(RunError::from)?;
    let report = report.finish(source, if without_odd { None } else { odd_clocks(clocks.plausible + clocks.odd, clocks.odd) });
    if report.events > 0 && report.unknown_types == report.events {
        let data = options.data.display();
        let words = told(&report.unknown_words).unwrap_or_default();
        return Err(AnalysisError::input(format!(
            "{data}: no event is of a known type: {words}\n{}",
            own("hint: say with --map what your words mean")
        )));
    }
    stage.complete(&[FILE])?;
    Ok(Report::Email(report))
}

/// The recipients of a run, and the bytes that their curves by the minute take, about; none where the directory holds no run of email.
pub fn curves_by_the_minute(directory: &Path) -> Option<(u64, u64)> {
    /// As measured.
    const BYTES: u64 = 36_500;
    // What is wrong with a manifest is reported when the data is opened.
    let run = read_manifest(directory).ok().flatten()?.identity;
    (run.family == EmailModel::NAME).then_some((run.users, run.users.saturating_mul(BYTES)))
}

/// What the clocks of all events show.
#[derive(Default)]
struct Clocks {
    plausible: u64,
    odd: u64,
    last_plausible: Option<i64>,
    last_of_all: Option<i64>,
}

impl Clocks {
    fn of(events: &TableSource, is_run: bool, watch: &Watch<'_>) -> Result<Self, AnalysisError> {
        watch.progress.begins("looking for the last event", None);
        let mut clocks = Self::default();
        for batch in events.read(&[Want::new("timestamp", As::Instant)])? {
            let batch = batch?;
            watch.seen(batch.num_rows() as u64)?;
            let times = batch.instant("timestamp").values();
            clocks.last_of_all = clocks.last_of_all.max(times.iter().copied().max());
            if !is_run {
                let plausible = times.iter().copied().filter(|time| is_plausible(*time));
                clocks.last_plausible = clocks.last_plausible.max(plausible.clone().max());
                let plausible = plausible.count();
                clocks.plausible += plausible as u64;
                clocks.odd += (times.len() - plausible) as u64;
            }
        }
        Ok(clocks)
    }

    fn last(&self, without_odd: bool) -> Option<i64> {
        if without_odd { self.last_plausible } else { self.last_of_all }
    }
}

/// Words with their counts, and what may be meant by them.
fn told(words: &BTreeMap<String, u64>) -> Option<String> {
    /// Words that are told.
    const MOST: usize = 8;
    let known: Vec<&str> = EventType::ALL.iter().map(|kind| kind.name()).collect();
    let mut words: Vec<(&String, &u64)> = words.iter().collect();
    words.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let one = |(word, count): &(&String, &u64)| {
        let folded = word.to_lowercase();
        let close = |known: &&&str| strsim::damerau_levenshtein(&folded, known) <= 2 || (folded.len() > 3 && known.starts_with(&folded));
        let near = known.iter().find(close).map_or_else(String::new, |near| format!(", near {near}"));
        format!("`{}` ({count}{near})", printable(word))
    };
    let shown: Vec<String> = words.iter().take(MOST).map(one).collect();
    (!shown.is_empty()).then(|| shown.join(", ") + if words.len() > MOST { ", …" } else { "" })
}

/// What was computed of a recipient.
struct Computed {
    id: String,
    universal_id: Option<String>,
    events: u64,
    unknown_types: u64,
    later: u64,
    repeats: u64,
    odd_clocks: u64,
    words: Vec<String>,
    suspected: u64,
    /// On whose clock the week is; `None` of UTC.
    timezone: Option<&'static str>,
    features: Features,
}

impl Computed {
    fn new(
        group: &RecordBatch,
        computer: &Computer,
        now: Instant,
        (without_odd, machines): (bool, Machines<'_>),
        zones: Option<(&EmailModel, StreamKey)>,
    ) -> Self {
        let zone = zones.and_then(|(model, key)| {
            let actor = actor_of(group.text("recipient_id").value(0))?;
            Some((model, model.zone_of(key, ActorId(actor)).known()?))
        });
        let (times, types) = (group.instant("timestamp"), group.text("event_type"));
        let ids = group.column_by_name("event_id").map(|_| group.text("event_id"));
        let is_no_person = machines.of(group);
        let mut seen = HashSet::new();
        let mut suspected = 0;
        let mut events = Vec::with_capacity(group.num_rows());
        let (mut repeats, mut odd_clocks, mut words) = (0, 0, Vec::new());
        for row in 0..group.num_rows() {
            let id = ids.filter(|ids| ids.is_valid(row)).map(|ids| ids.value(row));
            if id.is_some_and(|id| !seen.insert((id, types.value(row)))) {
                repeats += 1;
            } else if without_odd && !is_plausible(times.value(row)) {
                odd_clocks += 1;
            } else if let Some(kind) = EventType::of_name(types.value(row)) {
                if matches!(kind, EventType::Opened | EventType::Clicked) && is_no_person(row) {
                    suspected += 1;
                    continue;
                }
                events.push(Event { time: Instant(times.value(row)), kind });
            } else {
                words.push(types.value(row).to_owned());
            }
        }
        Self {
            id: group.text("recipient_id").value(0).to_owned(),
            universal_id: group.text("universal_id").iter().flatten().next().map(str::to_owned),
            events: (events.len() + words.len()) as u64 + suspected,
            unknown_types: words.len() as u64,
            repeats,
            odd_clocks,
            words,
            later: events.iter().filter(|event| event.time > now).count() as u64,
            suspected,
            timezone: zone.and_then(|(model, zone)| Some(model.zones()?.list()[usize::from(zone)].name)),
            features: computer.compute(&events, now, zone.map(|(model, zone)| model.clock(zone))),
        }
    }
}

/// Which opens and clicks are no person's.
#[derive(Clone, Copy)]
enum Machines<'a> {
    /// All count.
    Counted,
    /// Those of these user agents.
    Agents(Agents<'a>),
    /// Those that are marked so.
    Marked,
}

impl Machines<'_> {
    /// Whether an opened or clicked row is no person's.
    fn of<'r>(self, rows: &'r RecordBatch) -> Box<dyn Fn(usize) -> bool + 'r>
    where
        Self: 'r,
    {
        match self {
            Self::Counted => Box::new(|_| false),
            Self::Agents(agents) => {
                let user_agents = rows.text("user_agent");
                Box::new(move |row| agents.of(user_agents, row) != Agent::Human)
            }
            Self::Marked => {
                let (metadata, flags) = (rows.text("metadata"), rows.bool("machine_open"));
                Box::new(move |row| flags.is_valid(row) && flags.value(row) || metadata.is_valid(row) && is_suspected(metadata.value(row)))
            }
        }
    }
}

/// Whether metadata marks an event as no person's: `suspected_bot` is `true`, or says why.
fn is_suspected(metadata: &str) -> bool {
    metadata.contains("suspected_bot")
        && serde_json::from_str::<serde_json::Value>(metadata).is_ok_and(|metadata| match &metadata["suspected_bot"] {
            serde_json::Value::Bool(is) => *is,
            serde_json::Value::Array(why) => !why.is_empty(),
            serde_json::Value::String(why) => !why.is_empty(),
            _ => false,
        })
}

struct Tally {
    report: RecipientsReport,
    total: f64,
    classes: Vec<u64>,
}

impl Tally {
    fn new(now: Instant, which: &str) -> Self {
        let report = RecipientsReport {
            computed_at: now.to_string(),
            computed_at_is: which.to_owned(),
            recipients: 0,
            read: 0,
            events: 0,
            malformed: 0,
            repeats: 0,
            odd_clocks: 0,
            unknown_words: BTreeMap::new(),
            remarks: Vec::new(),
            unknown_types: 0,
            later: 0,
            suspected: 0,
            without_clicks: 0,
            mean_confidence: 0.0,
            confidence_quartiles: [0.0; 5],
            suppressed: 0,
            hot: 0,
            files: vec![FILE.to_owned()],
        };
        Self { report, total: 0.0, classes: vec![0; CLASSES + 1] }
    }

    fn add(&mut self, computed: &Computed) {
        let features = &computed.features;
        self.report.events += computed.events;
        self.report.unknown_types += computed.unknown_types;
        self.report.repeats += computed.repeats;
        self.report.odd_clocks += computed.odd_clocks;
        for word in &computed.words {
            let word = repeated(word);
            if self.report.unknown_words.len() < MOST_WORDS || self.report.unknown_words.contains_key(word.as_ref()) {
                *self.report.unknown_words.entry(word.into_owned()).or_default() += 1;
            }
        }
        self.report.later += computed.later;
        self.report.suspected += computed.suspected;
        self.report.recipients += 1;
        self.report.without_clicks += u64::from(features.last_click.is_none());
        self.report.suppressed += u64::from(features.suppressed_until.is_some());
        self.report.hot += u64::from(features.interested);
        self.total += features.confidence;
        self.classes[(features.confidence * CLASSES as f64).round() as usize] += 1;
    }

    fn finish(mut self, source: &Source, odd: Option<String>) -> RecipientsReport {
        let recipients = self.report.recipients;
        if recipients > 0 {
            self.report.mean_confidence = self.total / recipients as f64;
            for (index, quartile) in self.report.confidence_quartiles.iter_mut().enumerate() {
                let rank = (recipients - 1) * index as u64 / 4;
                let mut below = 0;
                let class = self.classes.iter().position(|count| {
                    below += count;
                    below > rank
                });
                *quartile = class.unwrap_or(CLASSES) as f64 / CLASSES as f64;
            }
        }
        let report = &mut self.report;
        report.malformed = features::malformed(source);
        report.read = report.events + report.repeats + report.odd_clocks + report.malformed;
        report.remarks = features::remarks(
            source,
            [
                (report.repeats, "rows tell an event again, and were used once"),
                (report.odd_clocks, "events lie before 1990 or in the future, and were left out"),
            ],
        );
        report.remarks.extend(odd);
        report.remarks.extend(
            told(&report.unknown_words).map(|words| format!("unknown types of events: {words}; {}", own("say with --map what they mean"))),
        );
        self.report
    }
}
