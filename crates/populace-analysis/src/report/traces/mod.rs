//! What a report says of traces: one pass over the calls, session by session.

mod figures;
mod graph;

use super::Found;
use super::figure::{Fact, Format};
use super::measure::{Rate, Sketch};
use crate::error::AnalysisError;
use crate::source::{As, Batches, Columns, Source, Want};
use crate::traces::{CALL_COLUMNS, Call, Endpoints, Law, Session};
use arrow_array::{Array, RecordBatch};
use populace_core::time::{DAY, Instant};
use populace_core::traces::TracesModel;
use populace_io::run::Order;
use std::collections::BTreeMap;

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
    endpoints: Endpoints,
    /// Whether the truth tells which calls were slow.
    truth: bool,
    sessions: u64,
    calls: u64,
    retries: u64,
    failures: u64,
    cascades: u64,
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
pub(super) fn sections(source: &Source, model: Option<&TracesModel>) -> Result<Found, AnalysisError> {
    let law = model.map(Law::new);
    let mut truth = Faults::open(source)?;
    let mut gathered = Gathered::new(law.as_ref(), truth.is_some());
    for calls in source.table("calls")?.by_key(&CALL_COLUMNS, "session_id", Some("timestamp"))? {
        let calls = calls?;
        let session = Session::new(&mut gathered.endpoints, &calls);
        if gathered.endpoints.names().len() > MOST_ENDPOINTS {
            return Err(AnalysisError::input(format!(
                "{}: calls has more than {MOST_ENDPOINTS} endpoints; give routes such as /orders/{{id}}, not paths with identifiers",
                source.root().display()
            )));
        }
        let known = match &mut truth {
            Some(truth) => Some(truth.of(&calls)?),
            None => None,
        };
        gathered.add(session, known);
    }
    let whole = source.manifest().is_some_and(|manifest| manifest.identity.count.is_none());
    let facts = gathered.facts(model.filter(|_| whole));
    let notes = gathered.notes();
    Ok(Found { facts, sections: figures::sections(&gathered), notes })
}

/// What the truth says of the calls, read along with them: both tables have the same rows in the same order.
struct Faults {
    calls: Batches,
    sessions: Batches,
    call: Option<(RecordBatch, usize)>,
    session: Option<(RecordBatch, usize)>,
}

/// Of one session.
struct Known {
    faults: Vec<Fault>,
    cascade_start: Option<i64>,
}

impl Faults {
    /// `None` where there is no truth, or its rows do not come in the order of the calls.
    fn open(source: &Source) -> Result<Option<Self>, AnalysisError> {
        let by_actor = source.manifest().is_some_and(|manifest| manifest.identity.order == Order::Actor);
        if !by_actor || !source.has("truth/calls") || !source.has("truth/sessions") {
            return Ok(None);
        }
        let calls = source.table("truth/calls")?.read(&[Want::new("call_id", As::Text), Want::new("fault", As::Text)])?;
        let wants = [Want::new("session_id", As::Text), Want::nullable("cascade_start", As::Int)];
        let sessions = source.table("truth/sessions")?.read(&wants)?;
        Ok(Some(Self { calls, sessions, call: None, session: None }))
    }

    fn of(&mut self, calls: &RecordBatch) -> Result<Known, AnalysisError> {
        let (batch, row) = advance(&mut self.sessions, &mut self.session, "truth/sessions")?;
        let starts = batch.int("cascade_start");
        check(batch.text("session_id").value(row), calls.text("session_id").value(0), "truth/sessions")?;
        let cascade_start = starts.is_valid(row).then(|| starts.value(row));
        let mut faults = Vec::with_capacity(calls.num_rows());
        for place in 0..calls.num_rows() {
            let (batch, row) = advance(&mut self.calls, &mut self.call, "truth/calls")?;
            check(batch.text("call_id").value(row), calls.text("call_id").value(place), "truth/calls")?;
            faults.push(match batch.text("fault").value(row) {
                "slow" => Fault::Slow,
                "timeout" => Fault::Timeout,
                "unavailable" => Fault::Refused,
                _ => Fault::None,
            });
        }
        Ok(Known { faults, cascade_start })
    }
}

/// The next row of a table.
fn advance<'a>(
    batches: &mut Batches,
    current: &'a mut Option<(RecordBatch, usize)>,
    table: &str,
) -> Result<(&'a RecordBatch, usize), AnalysisError> {
    let next = match current.take() {
        Some((batch, row)) if row + 1 < batch.num_rows() => (batch, row + 1),
        _ => loop {
            match batches.next().transpose()? {
                Some(batch) if batch.num_rows() == 0 => {}
                Some(batch) => break (batch, 0),
                None => return Err(AnalysisError::input(format!("{table}: ends before the calls do; the run is damaged"))),
            }
        },
    };
    let (batch, row) = current.insert(next);
    Ok((batch, *row))
}

fn check(found: &str, wanted: &str, table: &str) -> Result<(), AnalysisError> {
    if found == wanted {
        return Ok(());
    }
    Err(AnalysisError::input(format!("{table}: has a row of {found} where the calls have {wanted}; the run is damaged")))
}

impl<'a> Gathered<'a> {
    fn new(law: Option<&'a Law<'a>>, truth: bool) -> Self {
        let endpoints = Endpoints::new(law.map_or(&[][..], Law::names).iter().map(String::as_str));
        Self {
            law,
            endpoints,
            truth,
            sessions: 0,
            calls: 0,
            retries: 0,
            failures: 0,
            cascades: 0,
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

    fn add(&mut self, session: Session, known: Option<Known>) {
        let endpoints = self.endpoints.names().len();
        self.entries.resize(endpoints, 0);
        self.visits.resize(endpoints, 0);
        self.responses.resize(endpoints, Sketch::default());
        let faults = known.as_ref().map_or_else(|| session.calls.iter().map(seen).collect(), |known| known.faults.clone());
        self.sessions += 1;
        for (call, fault) in session.calls.iter().zip(&faults) {
            self.count(call, *fault);
        }
        let walk: Vec<&Call> = session.walk().collect();
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
        self.failures += u64::from(call.status_code.is_some_and(|status| status >= 500));
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
        let mut facts = vec![
            Fact::new("sessions", self.sessions as f64, Format::Count).expected(expect(|expected| expected.sessions)),
            Fact::new("calls, retries not counted", self.calls as f64, Format::Count).expected(expect(|expected| expected.calls)),
            Fact::new("calls a session", self.calls as f64 / self.sessions.max(1) as f64, Format::Number)
                .expected(expect(|expected| expected.mean_length)),
            Fact::new("retries", self.retries as f64, Format::Count).expected(expect(|expected| expected.retries)),
            Fact::new("status of 500 and above", self.failures as f64 / rows, Format::Share),
        ];
        if let Some(mean) = responses.mean() {
            facts.push(Fact::new("mean response time without faults", mean, Format::Number).unit("ms"));
        }
        if self.truth {
            let share = self.cascades as f64 / self.sessions.max(1) as f64;
            let rate = model.map(|model| model.config().cascade_failure_rate);
            facts.push(Fact::new("sessions with a cascade", share, Format::Share).expected(rate));
        }
        facts
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.law.is_none() {
            notes.push("There is no scenario.yaml beside the data: true probabilities and laws, which need it, are left out.".to_owned());
        }
        if !self.truth {
            notes.push(
                "Which calls a cascade made slow is told by truth/calls alone, in the order of the calls, which is not there: timeouts and refusals are told by their status, and slow calls count as unharmed."
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
