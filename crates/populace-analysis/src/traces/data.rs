//! Sessions, put together from the calls.

use super::endpoints::Templates;
use crate::error::AnalysisError;
use crate::source::{As, Columns, Texts, Want};
use arrow_array::{Array, RecordBatch, UInt64Array};
use arrow_select::take::take_record_batch;
use populace_core::time::Instant;
use std::collections::{HashMap, HashSet};

/// The columns of `calls` that a session is made from; a user's own table may lack those of retries, faults and responses. Further
/// columns may be wanted beside them. Group by `session_id`, order by `timestamp`.
pub const CALL_COLUMNS: [Want; 9] = [
    Want::new("session_id", As::Text),
    Want::new("endpoint", As::Text),
    Want::new("timestamp", As::Instant),
    Want::optional("call_id", As::Text),
    Want::optional("user_id", As::Text),
    Want::optional("response_time_ms", As::Float),
    Want::optional("status_code", As::Int),
    Want::optional("attempt", As::Int),
    Want::optional("retry_of", As::Text),
];

/// The columns of calls that are grouped by user.
pub(crate) const OF_USERS: [Want; 10] = {
    let [session, endpoint, time, call, _, response, status, attempt, retry] = CALL_COLUMNS;
    [Want::new("user_id", As::Text), session, endpoint, time, call, response, status, attempt, retry, Want::optional("user_type", As::Text)]
};

/// Endpoints by number: those that are known first.
#[derive(Clone, Debug, Default)]
pub struct Endpoints {
    names: Vec<String>,
    places: HashMap<String, usize>,
    /// The known ones, by which the paths of requests are known too.
    templates: Templates,
    /// Paths that are of a template.
    paths: HashMap<String, usize>,
}

/// Paths of requests that are remembered, at most.
const MOST_PATHS: usize = 1 << 16;

impl Endpoints {
    /// Endpoints that are known, in their order.
    pub fn new<T: Into<String>>(known: impl IntoIterator<Item = T>) -> Self {
        let mut endpoints = Self::default();
        for name in known {
            endpoints.number(&name.into());
        }
        endpoints.templates = Templates::new(endpoints.names.iter().cloned());
        endpoints
    }

    /// The number of an endpoint, or of a path that is of a known one; one that is not known yet gets the next.
    pub fn number(&mut self, name: &str) -> usize {
        if let Some(&place) = self.places.get(name).or_else(|| self.paths.get(name)) {
            return place;
        }
        if let Some(place) = self.templates.find(name) {
            if self.paths.len() < MOST_PATHS {
                self.paths.insert(name.to_owned(), place);
            }
            return place;
        }
        self.names.push(name.to_owned());
        self.places.insert(name.to_owned(), self.names.len() - 1);
        self.names.len() - 1
    }

    /// Takes the endpoints of another: the number here of each of its numbers.
    pub(crate) fn merge(&mut self, later: &Self) -> Vec<usize> {
        later.names.iter().map(|name| self.number(name)).collect()
    }

    /// The names, by number.
    pub fn names(&self) -> &[String] {
        &self.names
    }
}

/// A session.
#[derive(Clone, Debug, Default)]
pub struct Session {
    /// `session_id`.
    pub id: String,
    /// `user_id`, if there is such a column.
    pub user_id: Option<String>,
    /// Its calls in the order of time, retries among them.
    pub calls: Vec<Call>,
    /// Rows that were left out because they tell again of a call of the same id.
    pub repeats: u64,
    /// Calls that have the id of another of another endpoint.
    pub ambiguous: u64,
}

/// A call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Call {
    /// The row in the batch that the session was made from.
    pub row: usize,
    /// The endpoint, by its number among the [`Endpoints`].
    pub endpoint: usize,
    /// When it started.
    pub time: Instant,
    /// Time to the response, milliseconds.
    pub response_time_ms: Option<f64>,
    /// HTTP status code.
    pub status_code: Option<i64>,
    /// Whether it repeats a call that failed: `attempt` above 1, or `retry_of` given.
    pub is_retry: bool,
    /// Whether a later call repeats it.
    pub is_retried: bool,
}

/// Whether what should be the id of a call says that there was none before.
fn says_no(original: &str, ids: &Texts<'_>) -> bool {
    matches!(original, "0" | "false" | "False" | "FALSE" | "no") && !ids.iter().any(|id| id == Some(original))
}

impl Session {
    /// The session in the calls of one `session_id`, in order of time: a batch with at least the [`CALL_COLUMNS`].
    pub fn new(endpoints: &mut Endpoints, calls: &RecordBatch) -> Self {
        let (paths, times) = (calls.text("endpoint"), calls.instant("timestamp"));
        let (responses, statuses) = (calls.float("response_time_ms"), calls.int("status_code"));
        let (attempts, originals, ids) = (calls.int("attempt"), calls.text("retry_of"), calls.text("call_id"));
        let users = calls.text("user_id");
        let mut session = Self {
            id: calls.text("session_id").value(0).to_owned(),
            user_id: users.is_valid(0).then(|| users.value(0).to_owned()),
            calls: Vec::with_capacity(calls.num_rows()),
            repeats: 0,
            ambiguous: 0,
        };
        for row in 0..calls.num_rows() {
            let original = originals.is_valid(row).then(|| originals.value(row)).filter(|original| !says_no(original, &ids));
            let is_retry = original.is_some() || (attempts.is_valid(row) && attempts.value(row) > 1);
            if let Some(original) = original {
                let before = session.calls.iter_mut().rev().find(|call| ids.is_valid(call.row) && ids.value(call.row) == original);
                if let Some(before) = before {
                    before.is_retried = true;
                }
            }
            session.calls.push(Call {
                row,
                endpoint: endpoints.number(paths.value(row)),
                time: Instant(times.value(row)),
                response_time_ms: responses.is_valid(row).then(|| responses.value(row)),
                status_code: statuses.is_valid(row).then(|| statuses.value(row)),
                is_retry,
                is_retried: false,
            });
        }
        session
    }

    /// Leaves out what the rows tell again: calls with the id of an earlier one of the same endpoint. Exports repeat rows; runs do not.
    pub(crate) fn without_repeats(mut self, calls: &RecordBatch) -> Self {
        let ids = calls.text("call_id");
        let (mut seen, mut told) = (HashSet::new(), HashSet::new());
        let all = std::mem::take(&mut self.calls);
        for call in all {
            if ids.is_valid(call.row) {
                let id = ids.value(call.row);
                if !told.insert((id, call.endpoint)) {
                    self.repeats += 1;
                    continue;
                }
                self.ambiguous += u64::from(!seen.insert(id));
            }
            self.calls.push(call);
        }
        self
    }

    /// Parts the session where nothing was called for longer than `gap` microseconds.
    pub(crate) fn parts(self, gap: i64) -> Vec<Self> {
        let mut parts: Vec<Self> = Vec::new();
        let Self { id, user_id, calls, repeats, ambiguous } = self;
        for call in calls {
            let goes_on = parts.last().and_then(|part| part.calls.last()).is_some_and(|last| call.time.since(last.time) <= gap);
            if goes_on {
                parts.last_mut().expect("it goes on").calls.push(call);
            } else {
                let id = if parts.is_empty() { id.clone() } else { format!("{id}#{}", parts.len() + 1) };
                parts.push(Self { id, user_id: user_id.clone(), calls: vec![call], repeats: 0, ambiguous: 0 });
            }
        }
        if let Some(first) = parts.first_mut() {
            (first.repeats, first.ambiguous) = (repeats, ambiguous);
        }
        parts
    }

    /// The calls of each session apart, in order of time: by their first calls. An id that several users have names a session of each.
    pub(crate) fn batches(calls: &RecordBatch) -> Result<Vec<RecordBatch>, AnalysisError> {
        let (ids, users) = (calls.text("session_id"), calls.text("user_id"));
        let same = |a: usize, b: usize| ids.value(a) == ids.value(b) && users.value(a) == users.value(b);
        let key = |row: usize| (ids.value(row).to_owned(), users.value(row).to_owned());
        let rows = calls.num_rows();
        // Most come session by session.
        let mut starts: Vec<usize> = (0..rows).filter(|&row| row == 0 || !same(row - 1, row)).collect();
        let distinct: HashSet<(String, String)> = starts.iter().map(|&start| key(start)).collect();
        let times = calls.instant("timestamp").values();
        starts.push(rows);
        let in_order = starts.windows(2).all(|run| times[run[0]..run[1]].is_sorted());
        if distinct.len() + 1 == starts.len() && in_order {
            let mut runs: Vec<(usize, usize)> = starts.windows(2).map(|run| (run[0], run[1] - run[0])).collect();
            runs.sort_by_key(|(start, _)| times[*start]);
            return Ok(runs.into_iter().map(|(start, length)| calls.slice(start, length)).collect());
        }
        let mut order: Vec<u64> = (0..rows as u64).collect();
        order.sort_by_key(|&row| times[row as usize]);
        let mut sessions: Vec<Vec<u64>> = Vec::new();
        let mut places: HashMap<(String, String), usize> = HashMap::new();
        for row in order {
            let place = *places.entry(key(row as usize)).or_insert_with(|| {
                sessions.push(Vec::new());
                sessions.len() - 1
            });
            sessions[place].push(row);
        }
        let take = |rows: Vec<u64>| take_record_batch(calls, &UInt64Array::from(rows));
        sessions.into_iter().map(take).collect::<Result<_, _>>().map_err(AnalysisError::input)
    }

    /// The calls that are no retries: the walk through the workflow.
    pub fn walk(&self) -> impl DoubleEndedIterator<Item = &Call> {
        self.calls.iter().filter(|call| !call.is_retry)
    }
}
