//! Features of calls: transitions, n-grams, labelled histories and statistics of the sequences.

use super::endpoints::normalise;
use super::{CALL_COLUMNS, Endpoints, Session};
use crate::error::AnalysisError;
use crate::features::{Options, Report, SequencesReport, Statistics};
use crate::pass::{self, Inputs, Observer};
use crate::source::{Side, Source};
use crate::stage::Stage;
use crate::watch::Watch;
use arrow_array::{ArrayRef, RecordBatch};
use populace_io::files::place::Directory;
use populace_io::files::writer::TableWriter;
use populace_io::files::{FileOptions, Format};
use populace_io::table::{Column, Kind, Table, codes, dictionary, floats, ints, longs};
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
        return Err(AnalysisError::input("--as-of: does not apply: features of callers use all their calls"));
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
        calls: 0,
        retries: 0,
        short_sessions: 0,
        transitions: 0,
        ngrams: BTreeMap::new(),
        pairs: 0,
        statistics: Statistics::default(),
        files: names.iter().map(|name| format!("{name}.{ending}")).chain([STATISTICS.to_owned()]).collect(),
    };
    let mut all = All { options, counts: Counts::default(), pairs, report };
    let inputs = Inputs::joined("session_id", [Side { table: "calls", wants: &CALL_COLUMNS, time: Some("timestamp") }]);
    let first = Sequences { all: Some(&mut all), ..Sequences::default() };
    pass::run_into(source, &inputs, watch, "reading calls", first, Sequences::default)?;
    let All { counts, pairs, mut report, .. } = all;
    pairs.finish(counts.endpoints.names())?;
    let statistics = &mut report.statistics;
    if statistics.total_sequences == 0 {
        let why = format!("{} sessions have fewer than {} calls", report.short_sessions, options.min_length);
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
    /// Paths are normalised once each; a path with an id in it is another each time, and is not kept.
    raw: Endpoints,
    normalised: Vec<u32>,
    endpoints: Endpoints,
    /// Each session with its endpoints, and how many calls it has.
    sessions: Vec<(String, Vec<u32>, u64)>,
    all: Option<&'s mut All<'a>>,
}

impl Observer for Sequences<'_, '_> {
    fn add(&mut self, actor: &[Option<RecordBatch>]) -> Result<(), AnalysisError> {
        let Some(calls) = &actor[0] else { return Ok(()) };
        let session = Session::new(&mut self.raw, calls);
        for name in &self.raw.names()[self.normalised.len()..] {
            self.normalised.push(self.endpoints.number(&normalise(name)) as u32);
        }
        let walk = session.walk().map(|call| self.normalised[call.endpoint]).collect();
        if self.raw.names().len() > MOST_PATHS {
            (self.raw, self.normalised) = (Endpoints::default(), Vec::new());
        }
        self.sessions.push((session.id, walk, session.calls.len() as u64));
        Ok(())
    }

    fn merge(&mut self, later: Self) -> Result<(), AnalysisError> {
        let Some(All { options, counts, pairs, report }) = self.all.as_deref_mut() else { unreachable!("the first takes the others'") };
        let here = counts.endpoints.merge(&later.endpoints);
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
                "there are more than {MOST_NGRAMS} different n-grams: endpoints seem to hold ids that are neither numbers nor UUIDs, such as {}",
                self.endpoints.names().last().map_or("", String::as_str)
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
