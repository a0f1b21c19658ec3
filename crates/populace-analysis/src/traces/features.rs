//! Features of calls: transitions, n-grams, labelled histories and statistics of the sequences.

use super::endpoints::Templates;
use super::{CALL_COLUMNS, Endpoints, Law, Session};
use crate::error::AnalysisError;
use crate::features::{self, Options, Report, SequencesReport, Statistics};
use crate::pass::{self, Inputs, Observer};
use crate::source::values::is_plausible;
use crate::source::{Side, Source, repeated};
use crate::stage::Stage;
use crate::watch::Watch;
use arrow_array::{ArrayRef, RecordBatch};
use populace_core::scenario::Scenario;
use populace_core::traces::TracesModel;
use populace_io::catalogue;
use populace_io::dataset::SCENARIO;
use populace_io::files::place::Directory;
use populace_io::files::writer::TableWriter;
use populace_io::files::{FileOptions, Format};
use populace_io::table::{Column, Kind, Table, codes, dictionary, floats, ints, longs};
use populace_io::wording::own;
use std::collections::{BTreeMap, HashMap, HashSet};

/// The statistics' file.
const STATISTICS: &str = "statistics.json";
/// Distinct n-grams, at most: more are a sign of endpoints that hold ids.
const MOST_NGRAMS: usize = 4 << 20;
/// Rows of a batch of pairs, at least.
const BATCH_ROWS: usize = 16 << 10;

fn transitions_table() -> Table {
    let columns = vec![
        Column::new("from", Kind::Text, "Endpoint"),
        Column::new("to", Kind::Text, "Endpoint of the next call"),
        Column::new("count", Kind::Int64, "How often that follows"),
        Column::new("probability", Kind::Float, "count over the count of all that follows `from`"),
        Column::new("standard_error", Kind::Float, "Of probability: sqrt(p (1 - p) / n), n being the count of all that follows `from`"),
    ];
    Table::new("transitions", false, "One transition", columns, 0.0)
}

fn ngrams_table() -> Table {
    let columns = vec![
        Column::new("n", Kind::Int32, "How many calls"),
        Column::new("ngram", Kind::Json, "Their endpoints, a JSON array"),
        Column::new("count", Kind::Int64, "How often they follow each other"),
        Column::new("share", Kind::Float, "count over the count of all of this n"),
    ];
    Table::new("ngrams", false, "One n-gram", columns, 0.0)
}

fn pairs_table() -> Table {
    let columns = vec![
        Column::new("session_id", Kind::Text, "The session"),
        Column::new("position", Kind::Int32, "Place of `next` in the sequence, from 1: the first call is at 0"),
        Column::new("history", Kind::Json, "The endpoints before it, the latest last, a JSON array"),
        Column::new("next", Kind::Text, "The endpoint that follows"),
    ];
    Table::new("pairs", false, "One call that follows others", columns, 0.0)
}

/// What is counted over all sequences.
#[derive(Default)]
struct Counts {
    endpoints: Endpoints,
    /// Those that a sequence holds.
    seen: HashSet<u32>,
    transitions: HashMap<(u32, u32), u64>,
    ngrams: HashMap<Box<[u32]>, u64>,
}

/// Computes them.
pub(super) fn compute(options: &Options, source: &Source, watch: &Watch<'_>) -> Result<Report, AnalysisError> {
    if options.now.is_some() {
        return Err(AnalysisError::input(own("--as-of: does not apply: features of callers use all their calls")));
    }
    if let Some(n) = options.ngrams.iter().find(|n| **n < 2) {
        return Err(AnalysisError::input(format!("n-grams: n must be at least 2, got {n}")));
    }
    if options.history == 0 || options.min_length == 0 {
        return Err(AnalysisError::input("a history has at least 1 call, and so has a sequence"));
    }
    let files = FileOptions { file_rows: u64::MAX, ..FileOptions::new(options.format) };
    if !matches!(options.format, Format::Parquet | Format::Csv) {
        return Err(AnalysisError::input("features are Parquet or CSV"));
    }
    let ending = files.extension();
    source.table("calls")?;
    let names = ["transitions", "ngrams", "pairs"];
    let earlier = names.iter().flat_map(|name| ["parquet", "csv"].map(|ending| format!("{name}.{ending}")));
    let stage = Stage::new(&options.output, earlier.chain([STATISTICS.to_owned()]).collect(), options.overwrite)?;
    let place = Directory::new(stage.path());
    let tables = [transitions_table(), ngrams_table(), pairs_table()];
    let pairs = Pairs { table: &tables[2], writer: TableWriter::new(&tables[2], files, &place)?, rows: PairRows::default() };

    let report = SequencesReport {
        read: 0,
        calls: 0,
        malformed: 0,
        repeats: 0,
        ambiguous_ids: 0,
        shared_sessions: 0,
        odd_clocks: 0,
        remarks: Vec::new(),
        retries: 0,
        short_sessions: 0,
        transitions: 0,
        ngrams: BTreeMap::new(),
        pairs: 0,
        statistics: Statistics::default(),
        files: names.iter().map(|name| format!("{name}.{ending}")).chain([STATISTICS.to_owned()]).collect(),
    };
    let is_run = source.manifest().is_some();
    let templates = templates(options, source)?;
    let new = || Sequences { templates: Some(&templates), is_run, gap: options.session_gap, ..Sequences::default() };
    let mut all = All { options, counts: Counts::default(), pairs, report };
    let inputs = Inputs::joined("session_id", [Side { table: "calls", wants: &CALL_COLUMNS, time: Some("timestamp") }]);
    let first = Sequences { all: Some(&mut all), ..new() };
    pass::run_into(source, &inputs, watch, "reading calls", first, new)?;
    let All { counts, pairs, mut report, .. } = all;
    pairs.finish(counts.endpoints.names())?;
    report.malformed = features::malformed(source);
    report.read = report.calls + report.repeats + report.malformed;
    report.remarks = features::remarks(
        source,
        [
            (report.repeats, "rows repeat the id of a call, and were used once"),
            (report.ambiguous_ids, "calls share their id with one of another endpoint: both count"),
            (report.shared_sessions, "session ids are those of several users: each user's calls are a session"),
            (report.odd_clocks, "calls lie before 1990 or in the future: their order may be wrong"),
        ],
    );
    let statistics = &mut report.statistics;
    if statistics.unique_endpoints >= MANY && 2 * statistics.unique_endpoints > statistics.total_calls {
        let example = counts.endpoints.names().last().map_or_else(Default::default, |name| repeated(name));
        report.remarks.push(format!(
            "{} endpoints of {} calls: paths seem to hold ids that are neither numbers nor UUIDs, such as {example}; {}",
            statistics.unique_endpoints,
            statistics.total_calls,
            own("say which by --template, such as --template '/orders/{id}'")
        ));
    }
    if statistics.total_sequences == 0 {
        let retries = match report.retries {
            0 => String::new(),
            retries => format!(" that are no retries ({retries} of {} are, by retry_of or attempt)", report.calls),
        };
        let why = format!("{} sessions have fewer than {} calls{retries}", report.short_sessions, options.min_length);
        return Err(AnalysisError::input(format!("{}: there is no sequence: {why}", options.data.display())));
    }
    statistics.avg_sequence_length = statistics.total_calls as f64 / statistics.total_sequences as f64;
    report.transitions = counts.transitions.len() as u64;
    for n in &options.ngrams {
        report.ngrams.insert(*n, counts.ngrams.keys().filter(|gram| gram.len() == *n).count() as u64);
    }
    for (table, batch) in [(&tables[0], counts.transition_columns()), (&tables[1], counts.ngram_columns())] {
        let mut writer = TableWriter::new(table, files, &place)?;
        writer.push(table.batch(batch))?;
        writer.finish()?;
    }
    let text = serde_json::to_string_pretty(&report.statistics).map_err(|error| AnalysisError::io(STATISTICS, error.into()))? + "\n";
    let path = stage.path().join(STATISTICS);
    std::fs::write(&path, text).map_err(|error| AnalysisError::io(&path, error))?;
    let names: Vec<&str> = report.files.iter().map(String::as_str).collect();
    stage.complete(&names)?;
    Ok(Report::Traces(report))
}

/// Paths whose endpoint is remembered.
const MOST_PATHS: usize = 1 << 16;

/// So many endpoints may be ids.
const MANY: u64 = 10;

/// The endpoints that paths are known by: the user's, or else those of the workflow that lies beside the data.
fn templates(options: &Options, source: &Source) -> Result<Templates, AnalysisError> {
    if !options.templates.is_empty() {
        return Ok(Templates::new(options.templates.iter().cloned()));
    }
    if !source.root().join(SCENARIO).is_file() {
        return Ok(Templates::default());
    }
    let document = source.scenario()?;
    if document.family != TracesModel::NAME {
        return Ok(Templates::default());
    }
    let model: TracesModel = catalogue::model(&document)?;
    Ok(Templates::new(Law::new(&model).names().iter().cloned()))
}

/// What all sequences come to.
struct All<'a> {
    options: &'a Options,
    counts: Counts,
    pairs: Pairs<'a>,
    report: SequencesReport,
}

/// The sessions of a piece, by endpoints of its own; the first takes them.
#[derive(Default)]
struct Sequences<'s, 'a> {
    templates: Option<&'s Templates>,
    /// Whether the data is a run, which repeats nothing.
    is_run: bool,
    gap: Option<i64>,
    /// Paths are normalised once each; a path with an id in it is another each time, and is not kept.
    raw: Endpoints,
    normalised: Vec<u32>,
    endpoints: Endpoints,
    /// Each session with its endpoints, and how many calls it has.
    sessions: Vec<(String, Vec<u32>, u64)>,
    repeats: u64,
    ambiguous: u64,
    shared: u64,
    odd_clocks: u64,
    all: Option<&'s mut All<'a>>,
}

impl Observer for Sequences<'_, '_> {
    fn add(&mut self, actor: &[Option<RecordBatch>]) -> Result<(), AnalysisError> {
        let Some(calls) = &actor[0] else { return Ok(()) };
        let of_users = if self.is_run { vec![calls.clone()] } else { Session::batches(calls)? };
        self.shared += u64::from(of_users.len() > 1);
        for calls in &of_users {
            let mut session = Session::new(&mut self.raw, calls);
            if !self.is_run {
                session = session.without_repeats(calls);
                self.odd_clocks += session.calls.iter().filter(|call| !is_plausible(call.time.0)).count() as u64;
            }
            if let Some(user) = session.user_id.as_ref().filter(|_| of_users.len() > 1) {
                session.id = format!("{}/{user}", session.id);
            }
            self.repeats += session.repeats;
            self.ambiguous += session.ambiguous;
            match self.gap {
                Some(gap) => session.parts(gap).into_iter().for_each(|part| self.push(part)),
                None => self.push(session),
            }
            if self.raw.names().len() > MOST_PATHS {
                (self.raw, self.normalised) = (Endpoints::default(), Vec::new());
            }
        }
        Ok(())
    }

    fn merge(&mut self, later: Self) -> Result<(), AnalysisError> {
        let Some(All { options, counts, pairs, report }) = self.all.as_deref_mut() else { unreachable!("the first takes the others'") };
        let here = counts.endpoints.merge(&later.endpoints);
        report.repeats += later.repeats;
        report.ambiguous_ids += later.ambiguous;
        report.shared_sessions += later.shared;
        report.odd_clocks += later.odd_clocks;
        for (id, mut walk, calls) in later.sessions {
            report.calls += calls;
            report.retries += calls - walk.len() as u64;
            if walk.len() < options.min_length {
                report.short_sessions += 1;
                continue;
            }
            for endpoint in &mut walk {
                *endpoint = here[*endpoint as usize] as u32;
            }
            counts.add(&walk, options, &mut report.statistics)?;
            report.pairs += pairs.add(&id, &walk, options.history, counts.endpoints.names())?;
        }
        Ok(())
    }
}

impl Sequences<'_, '_> {
    /// Takes a session's walk, by endpoints.
    fn push(&mut self, session: Session) {
        for name in &self.raw.names()[self.normalised.len()..] {
            let endpoint = self.templates.expect("every observer has the templates").endpoint(name);
            self.normalised.push(self.endpoints.number(&endpoint) as u32);
        }
        let walk = session.walk().map(|call| self.normalised[call.endpoint]).collect();
        self.sessions.push((session.id, walk, session.calls.len() as u64));
    }
}

impl Counts {
    fn add(&mut self, walk: &[u32], options: &Options, statistics: &mut Statistics) -> Result<(), AnalysisError> {
        let length = walk.len() as u64;
        statistics.min_sequence_length = if statistics.total_sequences == 0 { length } else { statistics.min_sequence_length.min(length) };
        statistics.max_sequence_length = statistics.max_sequence_length.max(length);
        statistics.total_sequences += 1;
        statistics.total_calls += length;
        statistics.total_transitions += length - 1;
        self.seen.extend(walk);
        statistics.unique_endpoints = self.seen.len() as u64;
        for pair in walk.windows(2) {
            *self.transitions.entry((pair[0], pair[1])).or_default() += 1;
        }
        for n in &options.ngrams {
            for gram in walk.windows(*n) {
                if let Some(count) = self.ngrams.get_mut(gram) {
                    *count += 1;
                } else {
                    self.ngrams.insert(gram.into(), 1);
                }
            }
        }
        if self.ngrams.len() > MOST_NGRAMS {
            return Err(AnalysisError::input(format!(
                "there are more than {MOST_NGRAMS} different n-grams: endpoints seem to hold ids that are neither numbers nor UUIDs, such as {}; {}",
                self.endpoints.names().last().map_or_else(Default::default, |name| repeated(name)),
                own("fold them by --template")
            )));
        }
        Ok(())
    }

    fn name(&self, endpoint: u32) -> &str {
        &self.endpoints.names()[endpoint as usize]
    }

    /// By from and to.
    fn transition_columns(&self) -> Vec<ArrayRef> {
        let mut totals: HashMap<u32, u64> = HashMap::new();
        for ((from, _), count) in &self.transitions {
            *totals.entry(*from).or_default() += count;
        }
        let mut rows: Vec<(u32, u32, u64)> = self.transitions.iter().map(|((from, to), count)| (*from, *to, *count)).collect();
        rows.sort_unstable_by(|a, b| (self.name(a.0), self.name(a.1)).cmp(&(self.name(b.0), self.name(b.1))));
        let names = dictionary(self.endpoints.names());
        let probability = |row: &(u32, u32, u64)| row.2 as f64 / totals[&row.0] as f64;
        let error = |row: &(u32, u32, u64)| (probability(row) * (1.0 - probability(row)) / totals[&row.0] as f64).sqrt();
        vec![
            codes(rows.iter().map(|row| row.0 as i32).collect(), &names),
            codes(rows.iter().map(|row| row.1 as i32).collect(), &names),
            longs(rows.iter().map(|row| row.2 as i64).collect()),
            floats(rows.iter().map(probability).collect()),
            floats(rows.iter().map(error).collect()),
        ]
    }

    /// By n, then the most frequent first.
    fn ngram_columns(&self) -> Vec<ArrayRef> {
        let mut totals: HashMap<usize, u64> = HashMap::new();
        for (gram, count) in &self.ngrams {
            *totals.entry(gram.len()).or_default() += count;
        }
        let texts = self.ngrams.iter().map(|(gram, count)| (gram.len(), *count, json_array(gram, self.endpoints.names())));
        let mut rows: Vec<(usize, u64, String)> = texts.collect();
        rows.sort_unstable_by(|a, b| (a.0, std::cmp::Reverse(a.1), &a.2).cmp(&(b.0, std::cmp::Reverse(b.1), &b.2)));
        vec![
            ints(rows.iter().map(|row| row.0 as i32).collect()),
            codes((0..rows.len() as i32).collect(), &dictionary(rows.iter().map(|row| &row.2))),
            longs(rows.iter().map(|row| row.1 as i64).collect()),
            floats(rows.iter().map(|row| row.1 as f64 / totals[&row.0] as f64).collect()),
        ]
    }
}

/// Endpoints as a JSON array.
fn json_array(walk: &[u32], names: &[String]) -> String {
    let names: Vec<&str> = walk.iter().map(|endpoint| names[*endpoint as usize].as_str()).collect();
    serde_json::Value::from(names).to_string()
}

#[derive(Default)]
struct PairRows {
    sessions: Vec<String>,
    session: Vec<i32>,
    position: Vec<i32>,
    histories: Vec<String>,
    next: Vec<i32>,
}

/// Writes the labelled histories.
struct Pairs<'a> {
    table: &'a Table,
    writer: TableWriter<'a>,
    rows: PairRows,
}

impl Pairs<'_> {
    /// Adds the pairs of a sequence; returns how many.
    fn add(&mut self, session: &str, walk: &[u32], most: usize, names: &[String]) -> Result<u64, AnalysisError> {
        let rows = &mut self.rows;
        rows.sessions.push(session.to_owned());
        for position in 1..walk.len() {
            rows.session.push(rows.sessions.len() as i32 - 1);
            rows.position.push(position as i32);
            rows.histories.push(json_array(&walk[position.saturating_sub(most)..position], names));
            rows.next.push(walk[position] as i32);
        }
        if rows.next.len() >= BATCH_ROWS {
            self.flush(names)?;
        }
        Ok(walk.len() as u64 - 1)
    }

    fn flush(&mut self, names: &[String]) -> Result<(), AnalysisError> {
        let rows = std::mem::take(&mut self.rows);
        if rows.next.is_empty() {
            return Ok(());
        }
        let batch = self.table.batch(vec![
            codes(rows.session, &dictionary(&rows.sessions)),
            ints(rows.position),
            codes((0..rows.histories.len() as i32).collect(), &dictionary(&rows.histories)),
            codes(rows.next, &dictionary(names)),
        ]);
        Ok(self.writer.push(batch)?)
    }

    fn finish(mut self, names: &[String]) -> Result<(), AnalysisError> {
        self.flush(names)?;
        self.writer.finish()?;
        Ok(())
    }
}
