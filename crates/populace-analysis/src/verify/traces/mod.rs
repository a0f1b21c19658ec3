//! The answer key of `traces`.

mod calls;
mod cascades;
mod sessions;

use super::board::{Board, Exact};
use super::{order_law, rows_law};
use crate::AnalysisError;
use crate::source::{As, Columns, Side, Source, Want};
use crate::traces::Law;
use arrow_array::RecordBatch;
use calls::Calls;
use cascades::Cascades;
use populace_core::time::{Instant, SECOND};
use populace_core::traces::TracesModel;
use sessions::Sessions;
use std::collections::{BTreeMap, HashMap, HashSet};

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

    fn ms(&self) -> f64 {
        self.response as f64 / 1_000.0
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
    let int = |name: &str, row: usize| calls.int(name).value(row);
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
            status: int("status_code", row),
            size: int("response_size_bytes", row),
            attempt: int("attempt", row),
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

/// Runs every check.
pub(super) fn verify(source: &Source, model: &TracesModel, board: &mut Board) -> Result<(), AnalysisError> {
    let law = Law::new(model);
    let states: HashMap<String, usize> = law.names().iter().cloned().enumerate().map(|(state, name)| (name, state)).collect();
    let (mut calls, mut walks, mut cascades) = (Calls::new(&law), Sessions::new(&law), Cascades::new(&law));
    let mut once = Exact::new("the calls of a user stand together, and users are user_1, user_2, … of the population");
    let mut table = Exact::new("the table sessions tells each session's user, type, start, end and number of calls as the calls do");
    let has_table = source.has("sessions");
    let sides = [
        Side { table: "calls", wants: &CALLS, time: Some("timestamp") },
        Side { table: "sessions", wants: &SESSIONS, time: Some("start") },
    ];
    let sides = &sides[..=usize::from(has_table)];
    let population = law.config().population.users;
    let mut seen: HashSet<u64> = HashSet::new();
    let (mut rows, mut session_rows) = (0, 0);
    for batches in source.join("user_id", sides)? {
        let batches = batches?;
        let Some(of_user) = &batches[0] else { continue };
        rows += of_user.num_rows() as u64;
        let user = of_user.text("user_id").value(0);
        let actor = actor_of(user).filter(|actor| *actor < population);
        let new = actor.is_none_or(|actor| seen.len() >= 1 << 22 || seen.insert(actor));
        once.hold(new && actor.is_some(), || user.to_owned());
        let found = sessions(&states, of_user);
        calls.see(user, &found)?;
        walks.see(user, &found);
        for session in &found {
            cascades.see(session);
        }
        if let Some(told) = batches.get(1) {
            session_rows += told.as_ref().map_or(0, RecordBatch::num_rows) as u64;
            agree(&mut table, user, &found, told.as_ref());
        }
    }
    let users = seen.len() as u64;
    once.hold(population > 1 << 22 || users == population, || format!("{users} users, and the document has {population}"));
    board.exact(once);
    order_law(source, board, "calls", "user_id", actor_of)?;
    rows_law(&mut table, source, "sessions", session_rows);
    if has_table {
        board.exact(table);
    } else {
        board.skip(super::Group::Exact, "the table sessions agrees with the calls", "there is no table sessions");
    }
    calls.report(source, rows, board)?;
    walks.report(board);
    cascades.report(board);
    Ok(())
}

/// Whether the rows of a user's sessions are as the calls say.
fn agree(law: &mut Exact, user: &str, sessions: &[Session<'_>], told: Option<&RecordBatch>) {
    let mut rows: HashMap<u128, usize> = HashMap::new();
    if let Some(told) = told {
        let ids = told.uuid("session_id");
        for row in 0..told.num_rows() {
            let known = ids.get(row).and_then(|id| rows.insert(id, row));
            law.hold(known.is_none(), || format!("a session of {user} is told twice"));
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
        law.hold(holds, || format!("session {} of {user}", super::uuid(session.id)));
    }
    law.hold(rows.is_empty(), || format!("a session of {user} without calls"));
}
