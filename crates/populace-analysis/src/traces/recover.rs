//! What calls teach: the workflow, volumes, times, and what a cascade does.

use super::faults::Faults;
use super::{CALL_COLUMNS, Call, Endpoints, Law, OF_USERS, Session};
use crate::error::AnalysisError;
use crate::pass::{self, Inputs, Observer};
use crate::recover::numbers::Moments;
use crate::recover::sheet::{Parameter, Scale, Sheet};
use crate::source::{Side, Source, Texts};
use crate::stats::Merge;
use crate::watch::Watch;
use arrow_array::RecordBatch;
use populace_core::time::SECOND;
use populace_core::traces::TracesModel;
use populace_io::catalogue;
use populace_io::document::Resolved;
use statrs::distribution::{Continuous, ContinuousCDF, Normal};
use std::collections::BTreeMap;

/// All counts.
struct Tally<'a> {
    law: &'a Law<'a>,
    endpoints: Endpoints,
    /// Sessions of a user, and the users of each type.
    per_user: Moments,
    types: BTreeMap<String, u64>,
    sessions: u64,
    calls: u64,
    retries: u64,
    length: Moments,
    truncated: u64,
    /// Whether the data is a run, which repeats nothing.
    is_run: bool,
    repeats: u64,
    entries: BTreeMap<usize, u64>,
    /// From, to.
    transitions: BTreeMap<(usize, usize), u64>,
    /// Visits of exit points after which a session might have gone on, and those after which it ended.
    exits: (u64, u64),
    response_times: BTreeMap<usize, Moments>,
    statuses: BTreeMap<i64, u64>,
    usual: Moments,
    thinking: Moments,
    covered_delays: u64,
    faults: Faults,
}

impl<'a> Tally<'a> {
    fn new(law: &'a Law<'a>, is_run: bool) -> Self {
        Self {
            endpoints: Endpoints::new(law.names().iter().cloned()),
            law,
            is_run,
            repeats: 0,
            per_user: Moments::default(),
            types: BTreeMap::new(),
            sessions: 0,
            calls: 0,
            retries: 0,
            length: Moments::default(),
            truncated: 0,
            entries: BTreeMap::new(),
            transitions: BTreeMap::new(),
            exits: (0, 0),
            response_times: BTreeMap::new(),
            statuses: BTreeMap::new(),
            usual: Moments::default(),
            thinking: Moments::default(),
            covered_delays: 0,
            faults: Faults::default(),
        }
    }

    fn session(&mut self, session: &Session) {
        let config = self.law.config();
        let walk: Vec<&Call> = session.walk().collect();
        let Some((first, last)) = walk.first().zip(walk.last()) else { return };
        self.sessions += 1;
        self.calls += walk.len() as u64;
        self.retries += (session.calls.len() - walk.len()) as u64;
        self.length.add(walk.len() as f64);
        *self.entries.entry(first.endpoint).or_default() += 1;
        let longest = config.workflow.max_length as usize;
        let known = self.law.names().len();
        let is_exit = |call: &Call| call.endpoint < known && self.law.is_exit(call.endpoint);
        self.truncated += u64::from(walk.len() == longest && !is_exit(last));
        for (place, call) in walk.iter().enumerate() {
            if let Some(next) = walk.get(place + 1) {
                *self.transitions.entry((call.endpoint, next.endpoint)).or_default() += 1;
            }
            if is_exit(call) && place + 1 < longest && config.workflow.transitions.contains_key(&self.law.names()[call.endpoint]) {
                self.exits.0 += 1;
                self.exits.1 += u64::from(place + 1 == walk.len());
            }
        }
        // From here on a cascade may have struck.
        let struck = if config.cascade_failure_rate > 0.0 { (walk.len() as f64 * config.cascade.start) as usize } else { walk.len() };
        for (place, call) in walk.iter().take(struck).enumerate() {
            self.undisturbed(call, walk.get(place + 1).copied());
        }
        self.faults.add(&walk[struck.min(walk.len())..]);
    }

    /// A call before any cascade, and the one after it.
    fn undisturbed(&mut self, call: &Call, next: Option<&Call>) {
        let delays = &self.law.config().delays;
        if let Some(status) = call.status_code {
            *self.statuses.entry(status).or_default() += 1;
        }
        let Some(response) = call.response_time_ms else { return };
        self.response_times.entry(call.endpoint).or_default().add(response);
        let Some(next) = next else { return };
        // A response that takes longer than the shortest delay may hide the delay.
        if response / 1_000.0 >= delays.usual_seconds[0].min(delays.thinking_seconds[0]) {
            self.covered_delays += 1;
            return;
        }
        let seconds = next.time.since(call.time) as f64 / SECOND as f64;
        let border = f64::midpoint(delays.usual_seconds[1], delays.thinking_seconds[0]);
        if seconds < border { self.usual.add(seconds) } else { self.thinking.add(seconds) }
    }
}

impl Observer for Tally<'_> {
    fn add(&mut self, actor: &[Option<RecordBatch>]) -> Result<(), AnalysisError> {
        let Some(calls) = &actor[0] else { return Ok(()) };
        let mut sessions = Vec::new();
        for calls in Session::batches(calls)? {
            let session = Session::new(&mut self.endpoints, &calls);
            sessions.push(if self.is_run { session } else { session.without_repeats(&calls) });
        }
        self.per_user.add(sessions.len() as f64);
        if let Some(kinds) = calls.column_by_name("user_type").map(Texts::of).filter(|kinds| kinds.is_valid(0)) {
            *self.types.entry(kinds.value(0).to_owned()).or_default() += 1;
        }
        for session in &sessions {
            self.repeats += session.repeats;
            self.session(session);
        }
        Ok(())
    }

    fn merge(&mut self, later: Self) -> Result<(), AnalysisError> {
        let Self { law: _, endpoints, per_user, types, sessions, calls, retries, length, truncated, entries, transitions, exits, .. } =
            later;
        let here = self.endpoints.merge(&endpoints);
        self.per_user.combine(per_user);
        self.types.combine(types);
        self.sessions += sessions;
        self.calls += calls;
        self.retries += retries;
        self.repeats += later.repeats;
        self.length.combine(length);
        self.truncated += truncated;
        self.entries.combine(entries.into_iter().map(|(state, count)| (here[state], count)).collect());
        self.transitions.combine(transitions.into_iter().map(|((from, to), count)| ((here[from], here[to]), count)).collect());
        self.exits.combine(exits);
        self.response_times.combine(later.response_times.into_iter().map(|(state, times)| (here[state], times)).collect());
        self.statuses.combine(later.statuses);
        self.usual.combine(later.usual);
        self.thinking.combine(later.thinking);
        self.covered_delays += later.covered_delays;
        self.faults.combine(later.faults);
        Ok(())
    }
}

/// Estimates all that the calls tell. Returns how much there is of what.
pub(crate) fn estimate(
    source: &Source,
    document: &Resolved,
    sheet: &mut Sheet,
    watch: &Watch<'_>,
) -> Result<BTreeMap<String, u64>, AnalysisError> {
    let model: TracesModel = catalogue::model(document)?;
    let law = Law::new(&model);
    let has_users = source.table("calls")?.has_column("user_id")?;
    let (key, wants) = if has_users { ("user_id", &OF_USERS[..]) } else { ("session_id", &CALL_COLUMNS[..]) };
    let inputs = Inputs::joined(key, [Side { table: "calls", wants, time: Some("timestamp") }]);
    let tally = pass::run(source, &inputs, watch, "counting", || Tally::new(&law, source.manifest().is_some()))?;
    if tally.repeats > 0 {
        sheet.notes.push(format!("{} rows repeat the id of a call, and are used once", tally.repeats));
    }
    let users = if has_users {
        people(&law, &tally, sheet);
        tally.per_user.n
    } else {
        sheet.skip("sessions", "there is no column user_id");
        0
    };
    workflow(&law, &tally, sheet);
    times(&law, &tally, sheet);
    if law.config().cascade.start < 1.0 {
        tally.faults.report(law.config(), sheet);
    }
    let size = [("users", users), ("sessions", tally.sessions), ("calls", tally.calls), ("retries", tally.retries)];
    Ok(size.map(|(name, count)| (name.to_owned(), count)).into())
}

/// Sessions and types of users.
fn people(law: &Law<'_>, tally: &Tally<'_>, sheet: &mut Sheet) {
    let (sessions, types) = (&tally.per_user, &tally.types);
    let config = law.config();
    sheet.mean(Parameter::level("sessions.mean", "sessions a user", config.sessions.mean, "mean over users"), sessions);
    if config.sessions.sd > 0.0 && sessions.n > 1 {
        let deviation = sessions.variance().sqrt();
        let parameter = Parameter::level("sessions.sd", "sessions a user", config.sessions.sd, "deviation over users, error by moments");
        sheet.normal(parameter, Scale::Log, deviation, sessions.deviation_error() / deviation, sessions.n);
    }
    let total: f64 = config.workflow.user_type_distribution.values().sum();
    let typed: u64 = types.values().sum();
    for (name, share) in &config.workflow.user_type_distribution {
        let parameter =
            Parameter::level(format!("workflow.user_type_distribution.{}", key(name)), "share", share / total, "share of users");
        sheet.share(parameter, types.get(name).copied().unwrap_or(0), typed);
    }
}

/// A key as it stands in a dotted path.
fn key(name: &str) -> String {
    if name.contains('.') { format!("\"{name}\"") } else { name.to_owned() }
}

/// The path of a transition.
pub(super) fn transition_path(from: &str, to: &str) -> String {
    format!("workflow.transitions.{}.{}", key(from), key(to))
}

/// Entries, transitions, ends.
fn workflow(law: &Law<'_>, tally: &Tally<'_>, sheet: &mut Sheet) {
    let names = law.names();
    for (state, &truth) in law.entries().iter().enumerate().filter(|(_, truth)| **truth > 0.0) {
        let parameter =
            Parameter::level(format!("workflow.entry_points.{}", key(&names[state])), "share", truth, "first calls of sessions");
        sheet.share(parameter, tally.entries.get(&state).copied().unwrap_or(0), tally.sessions);
    }
    let mut known = 0;
    for (from, row) in law.transitions().iter().enumerate() {
        let left: u64 = tally.transitions.range((from, 0)..=(from, usize::MAX)).map(|(_, count)| count).sum();
        for (&to, &truth) in row {
            let count = tally.transitions.get(&(from, to)).copied().unwrap_or(0);
            known += count;
            let path = transition_path(&names[from], &names[to]);
            if left == 0 {
                sheet.skip(path, "no session goes on from there");
            } else {
                sheet.share(Parameter::level(path, "probability", truth, "next calls of those that go on"), count, left);
            }
        }
    }
    let strange = tally.transitions.values().sum::<u64>() - known;
    if strange > 0 {
        sheet.notes.push(format!("{strange} transitions are none of the workflow's"));
    }
    let walks = law.model().walks();
    let workflow = &law.config().workflow;
    sheet.mean(Parameter::level("workflow (mean length)", "calls", walks.mean_length(), "calls a session"), &tally.length);
    let truncated = "workflow.max_length (share cut off)";
    if workflow.exit_probability < 1.0 {
        sheet.skip(truncated, "a session of the greatest length may have ended by itself at an exit point");
    } else {
        let parameter = Parameter::level(truncated, "share", walks.truncated, "sessions of the greatest length, not at an exit point");
        sheet.share(parameter, tally.truncated, tally.sessions);
    }
    if tally.exits.0 > 0 {
        let method = "visits of exit points that go no further";
        let parameter = Parameter::level("workflow.exit_probability", "share", workflow.exit_probability, method);
        sheet.share(parameter, tally.exits.1, tally.exits.0);
    }
}

/// Response times, statuses, delays.
fn times(law: &Law<'_>, tally: &Tally<'_>, sheet: &mut Sheet) {
    let config = law.config();
    let law_of = &config.response_times;
    // Share of the calls, relative variance in truth and found, variance of the logarithm of the latter's root.
    let mut relative = [0.0; 3];
    let total: u64 = tally.response_times.values().map(|sample| sample.n).filter(|n| *n > 1).sum();
    for (&state, sample) in tally.response_times.iter().filter(|(state, sample)| sample.n > 1 && **state < law.names().len()) {
        let name = &law.names()[state];
        let mean = config.workflow.avg_response_times.get(name).copied().unwrap_or(law_of.default_mean_ms);
        let (truth, variance) = truncated(mean, mean * law_of.relative_sd, law_of.minimum_ms);
        let path = format!("workflow.avg_response_times.{} (after redraws)", key(name));
        sheet.mean(Parameter::level(path, "milliseconds", truth, "mean of calls before any cascade"), sample);
        let share = sample.n as f64 / total as f64;
        let found = sample.variance() / sample.mean.powi(2);
        let error = (sample.deviation_error() / sample.variance().sqrt()).powi(2) + found / sample.n as f64;
        relative = [relative[0] + share * variance / truth.powi(2), relative[1] + share * found, relative[2] + share * share * error];
    }
    if law_of.relative_sd > 0.0 && total > 0 {
        let path = "response_times.relative_sd (after redraws)";
        let parameter = Parameter::level(path, "of the mean", relative[0].sqrt(), "deviation over mean, endpoints pooled");
        sheet.normal(parameter, Scale::Log, relative[1].sqrt(), relative[2].sqrt(), total);
    }
    let statuses: u64 = tally.statuses.values().sum();
    for (code, truth) in &config.statuses {
        let count = code.parse().ok().and_then(|code: i64| tally.statuses.get(&code)).copied().unwrap_or(0);
        sheet.share(Parameter::level(format!("statuses.{code}"), "share", *truth, "calls before any cascade"), count, statuses);
    }
    delays(config, tally, sheet);
}

fn delays(config: &populace_core::traces::TracesConfig, tally: &Tally<'_>, sheet: &mut Sheet) {
    let law = &config.delays;
    if law.usual_seconds[1] > law.thinking_seconds[0] {
        return sheet.skip("delays", "the usual delays and those for thinking overlap, so they cannot be separated one by one");
    }
    if tally.covered_delays > 0 {
        let calls = tally.covered_delays;
        sheet.notes.push(format!("{calls} calls took longer than the shortest delay; what follows them does not enter the delays"));
    }
    let (usual, thinking) = (&tally.usual, &tally.thinking);
    let parameter = Parameter::level("delays.thinking", "share", law.thinking, "delays beyond the usual ones, before any cascade");
    sheet.share(parameter, thinking.n, usual.n + thinking.n);
    for (path, [low, high], sample) in [("usual_seconds", law.usual_seconds, usual), ("thinking_seconds", law.thinking_seconds, thinking)] {
        if high > low {
            let method = "mean of the delays of that type";
            let parameter = Parameter::level(format!("delays.{path} (mean)"), "seconds", f64::midpoint(low, high), method);
            sheet.mean(parameter, sample);
        }
    }
}

/// Mean and variance of a normal redrawn while below `least`.
fn truncated(mean: f64, deviation: f64, least: f64) -> (f64, f64) {
    if deviation <= 0.0 {
        return (mean, 0.0);
    }
    let standard = Normal::standard();
    let a = (least - mean) / deviation;
    let ratio = standard.pdf(a) / standard.sf(a);
    (mean + deviation * ratio, deviation * deviation * (1.0 + a * ratio - ratio * ratio))
}
