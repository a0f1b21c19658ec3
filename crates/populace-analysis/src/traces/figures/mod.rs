//! What a report says of traces: one pass over the calls, session by session.

mod draw;
mod graph;

use crate::error::AnalysisError;
use crate::pass::{self, Inputs, Observer};
use crate::report::Found;
use crate::report::figure::{Fact, Format};
use crate::report::measure::{Rate, Sketch, Spread};
use crate::source::{As, Columns, Side, Source, Want};
use crate::stats::Merge;
use crate::traces::{CALL_COLUMNS, Call, Endpoints, Law, OF_USERS, Session};
use crate::watch::Watch;
use arrow_array::{Array, RecordBatch};
use populace_core::time::{DAY, Instant};
use populace_core::traces::TracesModel;
use populace_io::catalogue;
use populace_io::document::Resolved;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// More endpoints are no workflow but raw paths, with identifiers in them.
const MOST_ENDPOINTS: usize = 2_000;
/// Longer sessions are counted as one of this length.
const MOST_CALLS: usize = 200;
/// Calls before and after the start of a cascade that are shown.
const AROUND: i64 = 6;
/// Calls of a session that is shown call by call, at least and at most.
const EXAMPLE: std::ops::RangeInclusive<usize> = 6..=16;

/// What a cascade did to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    Slow,
    Timeout,
    Refused,
}

/// A session to be shown call by call.
#[derive(Clone)]
struct Example {
    session: Session,
    faults: Vec<Fault>,
    /// How many kinds of fault it shows.
    kinds: usize,
}

/// What was counted.
struct Gathered<'a> {
    law: Option<&'a Law<'a>>,
    root: &'a Path,
    endpoints: Endpoints,
    /// Whether the truth tells which calls were slow.
    truth: bool,
    /// Whether the data is a run, which repeats nothing.
    is_run: bool,
    repeats: u64,
    sessions: u64,
    calls: u64,
    retries: u64,
    /// Calls by status code, retries among them.
    statuses: BTreeMap<i64, u64>,
    cascades: u64,
    /// Of a session: calls; retries; calls with a status of 500 and above, of all; cascades; milliseconds of calls that no fault struck.
    spreads: [Spread; 5],
    entries: Vec<u64>,
    visits: Vec<u64>,
    transitions: BTreeMap<(usize, usize), u64>,
    lengths: Vec<u64>,
    /// Response times of calls that no fault struck, milliseconds, by endpoint.
    responses: Vec<Sketch>,
    /// By the place of a call relative to its cascade's start: slow, timed out, refused.
    around: Vec<[Rate; 3]>,
    /// Calls, and calls that timed out or were refused, by day since 1970.
    days: BTreeMap<i32, (u64, u64)>,
    healthy: Option<Example>,
    struck: Option<Example>,
}

/// The facts and sections of traces, and what is to be said of them.
pub(crate) fn figures(source: &Source, document: Option<&Resolved>, watch: &Watch<'_>) -> Result<Found, AnalysisError> {
    let model: Option<TracesModel> = document.map(catalogue::model).transpose()?;
    let law = model.as_ref().map(Law::new);
    // The truth has no users: its rows come in the order of the calls and of the sessions.
    let truth = source.is_by_actor() && ["sessions", "truth/calls", "truth/sessions"].iter().all(|table| source.has(table));
    let (key, wants) = if truth { ("user_id", &OF_USERS[..]) } else { ("session_id", &CALL_COLUMNS[..]) };
    let calls = Side { table: "calls", wants, time: Some("timestamp") };
    let sessions = Side { table: "sessions", wants: &SESSIONS, time: Some("start") };
    let inputs = Inputs {
        along: if truth { TRUTH.into() } else { Vec::new() },
        ..Inputs::joined(key, [calls, sessions].into_iter().take(1 + usize::from(truth)).collect::<Vec<_>>())
    };
    let root = source.root();
    let is_run = source.manifest().is_some();
    let gathered = pass::run(source, &inputs, watch, "counting", || Gathered::new(law.as_ref(), truth, root, is_run))?;
    let whole = source.manifest().is_some_and(|manifest| manifest.identity.count.is_none());
    let facts = gathered.facts(model.as_ref().filter(|_| whole));
    let notes = gathered.notes();
    Ok(Found { facts, sections: draw::sections(&gathered), notes })
}

const SESSIONS: [Want; 3] = [Want::new("user_id", As::Text), Want::new("session_id", As::Text), Want::new("start", As::Instant)];
const TRUTH: [(usize, Side<'_>); 2] = [
    (0, Side { table: "truth/calls", wants: &TRUTH_CALLS, time: None }),
    (1, Side { table: "truth/sessions", wants: &TRUTH_SESSIONS, time: None }),
];
const TRUTH_CALLS: [Want; 2] = [Want::new("call_id", As::Text), Want::new("fault", As::Text)];
const TRUTH_SESSIONS: [Want; 2] = [Want::new("session_id", As::Text), Want::nullable("cascade_start", As::Int)];

/// What the truth says of one session.
struct Known {
    faults: Vec<Fault>,
    cascade_start: Option<i64>,
}

/// The faults of calls and the starts of cascades of sessions, by id.
type Truth<'a> = (HashMap<&'a str, Fault>, HashMap<&'a str, Option<i64>>);

/// What the truth says of the calls and the sessions of a user.
fn known(rows: &[Option<RecordBatch>]) -> Option<Truth<'_>> {
    let (calls, sessions) = (rows.get(2)?.as_ref()?, rows.get(3)?.as_ref()?);
    let (ids, faults) = (calls.text("call_id"), calls.text("fault"));
    let fault = |row: usize| match faults.value(row) {
        "slow" => Fault::Slow,
        "timeout" => Fault::Timeout,
        "unavailable" => Fault::Refused,
        _ => Fault::None,
    };
    let calls = (0..calls.num_rows()).map(|row| (ids.value(row), fault(row))).collect();
    let (ids, starts) = (sessions.text("session_id"), sessions.int("cascade_start"));
    let sessions = (0..sessions.num_rows()).map(|row| (ids.value(row), starts.is_valid(row).then(|| starts.value(row)))).collect();
    Some((calls, sessions))
}

/// The truth of one of them.
fn of<T: Copy>(known: &HashMap<&str, T>, id: &str, table: &str) -> Result<T, AnalysisError> {
    let damaged = || AnalysisError::input(format!("{table}: has no row of {id} where the calls have one; the run is damaged"));
    known.get(id).copied().ok_or_else(damaged)
}

impl Observer for Gathered<'_> {
    fn add(&mut self, actor: &[Option<RecordBatch>]) -> Result<(), AnalysisError> {
        let Some(calls) = &actor[0] else { return Ok(()) };
        let truth = if self.truth { known(actor) } else { None };
        for calls in Session::batches(calls)? {
            let mut session = Session::new(&mut self.endpoints, &calls);
            if !self.is_run {
                session = session.without_repeats(&calls);
                self.repeats += session.repeats;
            }
            let known = match &truth {
                None => None,
                Some((faults, starts)) => {
                    let ids = calls.text("call_id");
                    let of_call = (0..calls.num_rows()).map(|row| of(faults, ids.value(row), "truth/calls"));
                    let cascade_start = of(starts, &session.id, "truth/sessions")?;
                    Some(Known { faults: of_call.collect::<Result<_, _>>()?, cascade_start })
                }
            };
            self.few()?;
            self.session(session, known);
        }
        Ok(())
    }

    fn merge(&mut self, later: Self) -> Result<(), AnalysisError> {
        let here = self.endpoints.merge(&later.endpoints);
        self.few()?;
        self.grow();
        let state = |from: usize| here[from];
        for (place, count) in later.entries.into_iter().enumerate() {
            self.entries[state(place)] += count;
        }
        for (place, count) in later.visits.into_iter().enumerate() {
            self.visits[state(place)] += count;
        }
        for (place, sketch) in later.responses.iter().enumerate() {
            self.responses[state(place)].merge(sketch);
        }
        self.transitions.combine(later.transitions.into_iter().map(|((from, to), count)| ((state(from), state(to)), count)).collect());
        self.sessions += later.sessions;
        self.calls += later.calls;
        self.retries += later.retries;
        self.repeats += later.repeats;
        self.statuses.combine(later.statuses);
        Merge::combine(&mut self.spreads, later.spreads);
        self.cascades += later.cascades;
        self.lengths.combine(later.lengths);
        Merge::combine(&mut self.around, later.around);
        self.days.combine(later.days);
        for (slot, example) in [(&mut self.healthy, later.healthy), (&mut self.struck, later.struck)] {
            let Some(mut example) = example.filter(|example| slot.as_ref().is_none_or(|before| before.kinds < example.kinds)) else {
                continue;
            };
            example.session.calls.iter_mut().for_each(|call| call.endpoint = state(call.endpoint));
            *slot = Some(example);
        }
        Ok(())
    }
}

impl<'a> Gathered<'a> {
    fn new(law: Option<&'a Law<'a>>, truth: bool, root: &'a Path, is_run: bool) -> Self {
        let endpoints = Endpoints::new(law.map_or(&[][..], Law::names).iter().map(String::as_str));
        Self {
            law,
            root,
            endpoints,
            truth,
            is_run,
            repeats: 0,
            sessions: 0,
            calls: 0,
            retries: 0,
            statuses: BTreeMap::new(),
            cascades: 0,
            spreads: Default::default(),
            entries: Vec::new(),
            visits: Vec::new(),
            transitions: BTreeMap::new(),
            lengths: vec![0; MOST_CALLS + 1],
            responses: Vec::new(),
            around: vec![[Rate::default(); 3]; (2 * AROUND + 1) as usize],
            days: BTreeMap::new(),
            healthy: None,
            struck: None,
        }
    }

    /// Checks that endpoints are routes.
    fn few(&self) -> Result<(), AnalysisError> {
        if self.endpoints.names().len() <= MOST_ENDPOINTS {
            return Ok(());
        }
        Err(AnalysisError::input(format!(
            "{}: calls has more than {MOST_ENDPOINTS} endpoints; give routes such as /orders/{{id}}, not paths with identifiers",
            self.root.display()
        )))
    }

    /// Makes room for every endpoint.
    fn grow(&mut self) {
        let endpoints = self.endpoints.names().len();
        self.entries.resize(endpoints, 0);
        self.visits.resize(endpoints, 0);
        self.responses.resize(endpoints, Sketch::default());
    }

    fn session(&mut self, session: Session, known: Option<Known>) {
        self.grow();
        let faults = known.as_ref().map_or_else(|| session.calls.iter().map(seen).collect(), |known| known.faults.clone());
        self.sessions += 1;
        for (call, fault) in session.calls.iter().zip(&faults) {
            self.count(call, *fault);
        }
        let walk: Vec<&Call> = session.walk().collect();
        let (rows, steps) = (session.calls.len() as u64, walk.len() as u64);
        let failed = session.calls.iter().filter(|call| is_failure(call)).count() as u64;
        let cascades = known.as_ref().is_some_and(|known| known.cascade_start.is_some());
        let times =
            session.calls.iter().zip(&faults).filter(|(_, fault)| **fault == Fault::None).filter_map(|(call, _)| call.response_time_ms);
        let (milliseconds, timed) = times.fold((0.0, 0), |(sum, n), time| (sum + time, n + 1));
        let counts = [(steps, 1), (rows - steps, 1), (failed, rows), (cascades.into(), 1), (f64::round(milliseconds) as u64, timed)];
        self.spreads.iter_mut().zip(counts).for_each(|(spread, (x, y))| spread.add(x, y));
        self.lengths[walk.len().min(MOST_CALLS)] += 1;
        if let Some(first) = walk.first() {
            self.entries[first.endpoint] += 1;
        }
        for call in &walk {
            self.visits[call.endpoint] += 1;
        }
        for pair in walk.windows(2) {
            *self.transitions.entry((pair[0].endpoint, pair[1].endpoint)).or_default() += 1;
        }
        let cascade_start = known.and_then(|known| known.cascade_start);
        if let Some(start) = cascade_start {
            self.cascades += 1;
            let of_walk = session.calls.iter().zip(&faults).filter(|(call, _)| !call.is_retry);
            for (index, (_, fault)) in of_walk.enumerate() {
                let place = (index as i64 - start).clamp(-AROUND, AROUND) + AROUND;
                for (rate, kind) in self.around[place as usize].iter_mut().zip([Fault::Slow, Fault::Timeout, Fault::Refused]) {
                    rate.add(*fault == kind, None);
                }
            }
        }
        self.show(session, faults, cascade_start.is_some());
    }

    fn count(&mut self, call: &Call, fault: Fault) {
        self.calls += u64::from(!call.is_retry);
        self.retries += u64::from(call.is_retry);
        let refused = matches!(fault, Fault::Timeout | Fault::Refused);
        if let Some(status) = call.status_code {
            *self.statuses.entry(status).or_default() += 1;
        }
        let day = self.days.entry(call.time.date().0).or_default();
        day.0 += 1;
        day.1 += u64::from(refused);
        if let Some(milliseconds) = call.response_time_ms.filter(|_| fault == Fault::None) {
            self.responses[call.endpoint].add(milliseconds);
        }
    }

    /// Keeps a session to be shown, if it is a better example than the one before.
    fn show(&mut self, session: Session, faults: Vec<Fault>, cascade: bool) {
        let struck = faults.iter().filter(|fault| **fault != Fault::None).count();
        let kinds = [Fault::Slow, Fault::Timeout, Fault::Refused].iter().filter(|kind| faults.contains(kind)).count();
        let retried = session.calls.iter().any(|call| call.is_retry);
        let slot = if struck == 0 && !cascade {
            &mut self.healthy
        } else if struck >= 2 && retried {
            &mut self.struck
        } else {
            return;
        };
        if slot.as_ref().is_none_or(|example| example.kinds < kinds)
            && EXAMPLE.contains(&session.calls.len())
            && session.calls.iter().all(|call| call.response_time_ms.is_some())
        {
            *slot = Some(Example { session, faults, kinds });
        }
    }

    fn facts(&self, model: Option<&TracesModel>) -> Vec<Fact> {
        let expected = model.map(TracesModel::expected);
        let expect = |of: fn(&populace_core::traces::Expected) -> f64| expected.as_ref().map(of);
        let mut responses = Sketch::default();
        self.responses.iter().for_each(|sketch| responses.merge(sketch));
        let rows = (self.calls + self.retries).max(1) as f64;
        let failures: u64 = self.statuses.range(500..).map(|(_, count)| count).sum();
        let mut facts = vec![
            Fact::new("sessions", self.sessions as f64, Format::Count).expected(expect(|expected| expected.sessions)),
            Fact::new("calls, retries not counted", self.calls as f64, Format::Count)
                .expected(expect(|expected| expected.calls))
                .spread(self.spreads[0].of_sum()),
            Fact::new("calls a session", self.calls as f64 / self.sessions.max(1) as f64, Format::Number)
                .expected(expect(|expected| expected.mean_length))
                .spread(self.spreads[0].of_ratio()),
            Fact::new("retries", self.retries as f64, Format::Count)
                .expected(expect(|expected| expected.retries))
                .spread(self.spreads[1].of_sum()),
            Fact::new("status of 500 and above", failures as f64 / rows, Format::Share)
                .expected(model.map(|model| statuses(model).range(500..).map(|(_, share)| share).sum()))
                .spread(self.spreads[2].of_ratio()),
        ];
        if let Some(mean) = responses.mean() {
            facts.push(Fact::new("mean response time without faults", mean, Format::Number).spread(self.spreads[4].of_ratio()).unit("ms"));
        }
        if self.truth {
            let share = self.cascades as f64 / self.sessions.max(1) as f64;
            let rate = model.map(|model| model.config().cascade_failure_rate);
            facts.push(Fact::new("sessions with a cascade", share, Format::Share).expected(rate).spread(self.spreads[3].of_ratio()));
        }
        facts
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.repeats > 0 {
            notes.push(format!("{} rows repeat the id of a call, and are used once.", self.repeats));
        }
        if self.law.is_none() {
            notes.push(
                "There is no scenario.yaml beside the data: true probabilities and distributions, which need it, are left out.".to_owned(),
            );
        }
        if !self.truth {
            notes.push(
                "Only truth/calls, which is not there, says which calls a cascade made slow: timeouts and refusals are known by their status, and slow calls count as unaffected."
                    .to_owned(),
            );
        }
        notes
    }

    /// The first instant of a day that is drawn, and how many there are.
    fn span(&self) -> Option<(i32, i32)> {
        Some((*self.days.keys().next()?, *self.days.keys().next_back()?))
    }
}

fn is_failure(call: &Call) -> bool {
    call.status_code.is_some_and(|status| status >= 500)
}

/// The expected share of rows, retries among them, by status code.
fn statuses(model: &TracesModel) -> BTreeMap<i64, f64> {
    let (expected, config) = (model.expected(), model.config());
    let rows = expected.calls + expected.retries;
    let faults = [(504, config.cascade.timeout), (503, config.cascade.unavailable)];
    let faults = faults.map(|(status, share)| (status, if rows > 0.0 { expected.struck * share / rows } else { 0.0 }));
    let sound = 1.0 - faults.iter().map(|(_, share)| share).sum::<f64>();
    let total: f64 = config.statuses.values().sum();
    let usual = config.statuses.iter().filter_map(|(status, weight)| Some((status.parse().ok()?, sound * weight / total)));
    let mut shares = BTreeMap::new();
    usual.chain(faults).for_each(|(status, share)| *shares.entry(status).or_insert(0.0) += share);
    shares
}

/// What can be told of a fault from the call alone.
fn seen(call: &Call) -> Fault {
    match call.status_code {
        Some(503) => Fault::Refused,
        Some(504) => Fault::Timeout,
        _ => Fault::None,
    }
}

/// Seconds from one instant to another.
fn seconds(from: Instant, to: Instant) -> f64 {
    to.since(from) as f64 / (DAY as f64 / 86_400.0)
}
