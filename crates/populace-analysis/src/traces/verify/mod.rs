//! The answer key of `traces`.

mod alike;
mod calls;
mod cascades;
mod sessions;

use super::Law;
use crate::error::AnalysisError;
use crate::pass::{self, Inputs, Observer};
use crate::source::{As, Columns, Side, Source, Want};
use crate::stats::Merge;
use crate::verify::board::{Board, Exact};
use crate::verify::files::{Expected, Files, Ordered};
use crate::verify::ids::Roll;
use crate::verify::{Group, anywhere, uuid};
use crate::watch::Watch;
use alike::Alike;
use arrow_array::RecordBatch;
use calls::Calls;
use cascades::Cascades;
use populace_core::time::{Instant, SECOND};
use populace_core::traces::TracesModel;
use populace_io::catalogue;
use populace_io::document::Resolved;
use sessions::Sessions;
use std::collections::{BTreeMap, HashMap};

const CALLS: [Want; 13] = [
    Want::new("user_id", As::Text),
    Want::new("timestamp", As::Instant),
    Want::new("call_id", As::Uuid),
    Want::new("session_id", As::Uuid),
    Want::new("user_type", As::Text),
    Want::new("endpoint", As::Text),
    Want::new("method", As::Text),
    Want::new("params", As::Text),
    Want::new("response_time_ms", As::Float),
    Want::new("status_code", As::Int),
    Want::new("response_size_bytes", As::Int),
    Want::new("attempt", As::Int),
    Want::nullable("retry_of", As::Uuid),
];

const SESSIONS: [Want; 6] = [
    Want::new("user_id", As::Text),
    Want::new("session_id", As::Uuid),
    Want::new("user_type", As::Text),
    Want::new("start", As::Instant),
    Want::new("end", As::Instant),
    Want::new("n_calls", As::Int),
];

/// A call.
#[derive(Clone, Copy)]
struct Call<'a> {
    id: u128,
    /// Its endpoint, if the document has it.
    state: Option<usize>,
    endpoint: &'a str,
    method: &'a str,
    params: &'a str,
    user_type: &'a str,
    time: Instant,
    /// Microseconds.
    response: i64,
    status: i64,
    size: i64,
    attempt: i64,
    retry_of: Option<u128>,
}

impl Call<'_> {
    fn end(&self) -> Instant {
        self.time.plus(self.response)
    }

    fn is_retry(&self) -> bool {
        self.retry_of.is_some() || self.attempt > 1
    }

    /// The place of the response time within its distribution, in milliseconds, which is cut to whole microseconds.
    fn place(&self, cdf: impl Fn(f64) -> f64) -> f64 {
        anywhere([self.response, self.response + 1].map(|micros| cdf(micros as f64 / 1_000.0)), self.salt())
    }

    /// Bits that are the call's own.
    fn salt(&self) -> u64 {
        self.id as u64 ^ (self.id >> 64) as u64
    }
}

/// A session: its calls in the order of time.
struct Session<'a> {
    id: u128,
    calls: Vec<Call<'a>>,
}

impl<'a> Session<'a> {
    /// The calls that are no retries.
    fn walk(&self) -> Vec<&Call<'a>> {
        self.calls.iter().filter(|call| !call.is_retry()).collect()
    }
}

/// The sessions in the calls of a user, by their first calls.
fn sessions<'a>(states: &HashMap<String, usize>, calls: &'a RecordBatch) -> Vec<Session<'a>> {
    let text = |name: &str| calls.text(name);
    let (endpoints, methods, params, types) = (text("endpoint"), text("method"), text("params"), text("user_type"));
    let (ids, of, retries) = (calls.uuid("call_id"), calls.uuid("session_id"), calls.uuid("retry_of"));
    let (times, responses) = (calls.instant("timestamp"), calls.float("response_time_ms"));
    let [statuses, sizes, attempts] = ["status_code", "response_size_bytes", "attempt"].map(|name| calls.int(name));
    let mut found: BTreeMap<u128, Vec<Call<'a>>> = BTreeMap::new();
    for row in 0..calls.num_rows() {
        found.entry(of.get(row).unwrap_or_default()).or_default().push(Call {
            id: ids.get(row).unwrap_or_default(),
            state: states.get(endpoints.value(row)).copied(),
            endpoint: endpoints.value(row),
            method: methods.value(row),
            params: params.value(row),
            user_type: types.value(row),
            time: Instant(times.value(row)),
            response: (responses.value(row) * (SECOND / 1_000) as f64).round() as i64,
            status: statuses.value(row),
            size: sizes.value(row),
            attempt: attempts.value(row),
            retry_of: retries.get(row),
        });
    }
    let mut sessions: Vec<Session<'a>> = found.into_iter().map(|(id, calls)| Session { id, calls }).collect();
    for session in &mut sessions {
        session.calls.sort_by_key(|call| call.time);
    }
    sessions.sort_by_key(|session| session.calls[0].time);
    sessions
}

/// The number of a user, `user_1` being 0.
fn actor_of(user_id: &str) -> Option<u64> {
    user_id.strip_prefix("user_")?.parse::<u64>().ok()?.checked_sub(1)
}

const CALLS_TABLE: usize = 0;

/// What is seen of the data.
struct Checks<'a> {
    states: &'a HashMap<String, usize>,
    files: Files<'a>,
    users: Roll,
    calls: Calls<'a>,
    walks: Sessions<'a>,
    cascades: Cascades<'a>,
    alike: Alike<'a>,
    agree: Exact,
}

impl Observer for Checks<'_> {
    fn rows(&mut self, table: usize, rows: &RecordBatch) -> Result<(), AnalysisError> {
        self.files.add(table, rows)
    }

    fn add(&mut self, actor: &[Option<RecordBatch>]) -> Result<(), AnalysisError> {
        let Some(calls) = &actor[CALLS_TABLE] else { return Ok(()) };
        let user = calls.text("user_id").value(0);
        self.users.add(actor_of(user), || user.to_owned());
        let found = sessions(self.states, calls);
        self.calls.add(user, &found);
        self.walks.add(&found);
        self.alike.add(user, &found);
        for session in &found {
            self.cascades.add(session);
        }
        if let Some(rows) = actor.get(1) {
            agree(&mut self.agree, user, &found, rows.as_ref());
        }
        Ok(())
    }

    fn merge(&mut self, later: Self) -> Result<(), AnalysisError> {
        self.files.combine(later.files);
        self.users.combine(later.users);
        self.calls.combine(later.calls);
        self.walks.combine(later.walks);
        self.cascades.combine(later.cascades);
        self.alike.combine(later.alike);
        self.agree.combine(later.agree);
        Ok(())
    }
}

/// Runs every check.
pub(crate) fn verify(source: &Source, document: &Resolved, board: &mut Board, watch: &Watch<'_>) -> Result<(), AnalysisError> {
    let model: TracesModel = catalogue::model(document)?;
    let law = Law::new(&model);
    let states: HashMap<String, usize> = law.names().iter().cloned().enumerate().map(|(state, name)| (name, state)).collect();
    let has_table = source.has("sessions");
    let sides = [
        Side { table: "calls", wants: &CALLS, time: Some("timestamp") },
        Side { table: "sessions", wants: &SESSIONS, time: Some("start") },
    ];
    let inputs = Inputs::joined("user_id", &sides[..=usize::from(has_table)]);
    // Sessions of one caller may overlap: their calls stand by session.
    let order = Ordered { table: CALLS_TABLE, key: "user_id", time: "timestamp", by_time: false, actor_of };
    let expected = Expected::new(source, document, &inputs, order)?;
    let population = law.config().population.users;
    let Checks { mut files, users, calls, walks, cascades, alike, mut agree, .. } =
        pass::run(source, &inputs, watch, "verifying", || Checks {
            states: &states,
            files: expected.files(),
            users: Roll::new("the calls of a user are contiguous, and users are user_1, user_2, … of the population", population),
            calls: Calls::new(&law),
            walks: Sessions::new(&law),
            cascades: Cascades::new(&law),
            alike: Alike::new(&law),
            agree: Exact::new("the table sessions agrees with the calls in each session's user, type, start, end and number of calls"),
        })?;
    let found = users.actors;
    let mut users = users.finish();
    users.require(found == population, || format!("{found} users, and the document has {population}"));
    board.exact(users);
    files.report_order(board);
    files.count(&mut agree, "sessions");
    if has_table {
        board.exact(agree);
    } else {
        board.skip(Group::Exact, "the table sessions agrees with the calls", "there is no table sessions");
    }
    calls.report(&files, board)?;
    walks.report(board);
    cascades.report(board);
    alike.report(board)?;
    files.report_values(board);
    Ok(())
}

/// Whether the rows of a user's sessions are as the calls say.
fn agree(law: &mut Exact, user: &str, sessions: &[Session<'_>], told: Option<&RecordBatch>) {
    let mut rows: HashMap<u128, usize> = HashMap::new();
    if let Some(told) = told {
        let ids = told.uuid("session_id");
        for row in 0..told.num_rows() {
            let known = ids.get(row).and_then(|id| rows.insert(id, row));
            law.require(known.is_none(), || format!("a session of {user} appears twice"));
        }
    }
    for session in sessions {
        let row = rows.remove(&session.id);
        let end = session.calls.iter().map(Call::end).max();
        let holds = told.zip(row).is_some_and(|(told, row)| {
            told.instant("start").value(row) == session.calls[0].time.0
                && Some(told.instant("end").value(row)) == end.map(|end| end.0)
                && told.int("n_calls").value(row) == session.walk().len() as i64
                && told.text("user_type").value(row) == session.calls[0].user_type
        });
        law.hold(holds, || format!("session {} of {user}", uuid(session.id)));
    }
    law.require(rows.is_empty(), || format!("a session of {user} without calls"));
}
