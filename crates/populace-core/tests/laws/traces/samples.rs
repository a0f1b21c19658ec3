//! The data that the laws look at: one document under two conditions, so that each of its constants binds somewhere.

use super::model;
use crate::support::with;
use populace_core::scenario::{Observer, Scenario};
use populace_core::stream::{ActorId, StreamKey};
use populace_core::traces::{CallRow, CallTruth, SessionRow, SessionTruth, TraceRow, TraceTruth, TracesModel};
use serde_json::{Value, json};
use std::ops::Range;

/// One document under several conditions.
pub(super) struct Samples {
    /// The document as it is.
    pub(super) main: Sample,
    /// The document with other entry points, which lead to what is rare, and without mean response times but that of the logout: 12 ms,
    /// where the least response time binds.
    pub(super) rare: Sample,
}

/// Entry points of the second condition.
pub(super) const RARE_ENTRIES: [(&str, f64); 3] = [("/api/cart/remove", 0.2), ("/api/payment", 0.3), ("/api/users/{id}/orders", 0.5)];

/// Mean response time of the logout under the second condition.
pub(super) const RARE_LOGOUT_MS: f64 = 12.0;

impl Samples {
    pub(super) fn new(document: &Value) -> Self {
        let entries: serde_json::Map<String, Value> = RARE_ENTRIES.map(|(path, p)| (path.to_owned(), json!(p))).into_iter().collect();
        let rare = with(document, "/workflow/entry_points", entries);
        let rare = with(&rare, "/workflow/avg_response_times", json!({"/api/logout": RARE_LOGOUT_MS}));
        Self { main: Sample::new(document, 1, 8_000), rare: Sample::new(&rare, 2, 4_000) }
    }

    pub(super) fn both(&self) -> [&Sample; 2] {
        [&self.main, &self.rare]
    }
}

/// What the users of one simulation did.
pub(super) struct Sample {
    pub(super) model: TracesModel,
    pub(super) users: u64,
    pub(super) sessions: Vec<Session>,
    rows: Vec<CallRow>,
    truths: Vec<CallTruth>,
    user: u64,
}

/// One session, and where its rows are.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) user: u64,
    pub(super) row: SessionRow,
    pub(super) truth: Option<SessionTruth>,
    range: Range<usize>,
}

/// A call and its retry.
#[derive(Clone, Copy)]
pub(super) struct Call<'s> {
    /// Index in its session, from 0.
    pub(super) index: usize,
    pub(super) row: &'s CallRow,
    pub(super) truth: &'s CallTruth,
    pub(super) retry: Option<&'s CallRow>,
}

impl Call<'_> {
    /// Whether anybody can see that a cascade struck it.
    pub(super) fn is_marked(&self) -> bool {
        matches!(self.row.status, 503 | 504)
    }

    /// Microseconds from the start of the call to the end of the last response to it.
    pub(super) fn lasts(&self) -> i64 {
        self.retry.map_or(self.row.response_time, |retry| retry.time.plus(retry.response_time).since(self.row.time))
    }
}

impl Observer<TraceRow, TraceTruth> for Sample {
    fn emit(&mut self, row: TraceRow) {
        match row {
            TraceRow::Call(row) => self.rows.push(row),
            TraceRow::Session(row) => {
                let first = self.sessions.last().map_or(0, |session| session.range.end);
                self.sessions.push(Session { user: self.user, row, truth: None, range: first..self.rows.len() });
            }
        }
    }

    fn reveal(&mut self, truth: TraceTruth) {
        match truth {
            TraceTruth::Call(truth) => self.truths.push(truth),
            TraceTruth::Session(truth) => self.sessions.last_mut().expect("a session's truth follows its row").truth = Some(truth),
        }
    }

    fn clipped(&mut self, what: &'static str) {
        panic!("{what}: nothing is clipped in traces");
    }
}

impl Sample {
    pub(super) fn new(document: &Value, seed: u64, users: u64) -> Self {
        let model = model(document);
        let mut sample = Self { model: model.clone(), users, sessions: Vec::new(), rows: Vec::new(), truths: Vec::new(), user: 0 };
        let key = StreamKey::root(seed, TracesModel::NAME);
        for user in 0..users {
            sample.user = user;
            model.simulate(ActorId(user), key, &mut sample);
        }
        sample
    }

    /// The rows of a session, retries among them.
    pub(super) fn rows(&self, session: &Session) -> &[CallRow] {
        &self.rows[session.range.clone()]
    }

    /// Every row.
    pub(super) fn all_rows(&self) -> &[CallRow] {
        &self.rows
    }

    /// Every row with its truth.
    pub(super) fn told(&self) -> impl Iterator<Item = (&CallRow, &CallTruth)> {
        assert_eq!(self.rows.len(), self.truths.len());
        self.rows.iter().zip(&self.truths)
    }

    /// The calls of a session, each with its retry. A row is taken for a retry if it says so; `retries` in the laws holds it to that.
    pub(super) fn calls(&self, session: &Session) -> impl Iterator<Item = Call<'_>> {
        let rows = self.rows(session);
        let truths = &self.truths[session.range.clone()];
        rows.iter().zip(truths).enumerate().filter(|(_, (row, _))| !row.is_retry()).enumerate().map(|(index, (place, (row, truth)))| {
            let retry = rows.get(place + 1).filter(|next| next.is_retry());
            Call { index, row, truth, retry }
        })
    }

    /// Every call with its session.
    pub(super) fn every_call(&self) -> impl Iterator<Item = (&Session, Call<'_>)> {
        self.sessions.iter().flat_map(|session| self.calls(session).map(move |call| (session, call)))
    }

    /// The path of an endpoint.
    pub(super) fn path(&self, endpoint: u16) -> &str {
        &self.model.endpoints()[usize::from(endpoint)].path
    }

    /// The number of the endpoint of a path.
    pub(super) fn endpoint(&self, path: &str) -> Option<u16> {
        self.model.endpoints().iter().position(|endpoint| endpoint.path == path).map(|index| index as u16)
    }

    /// How often each endpoint is the first of a session.
    pub(super) fn entries(&self) -> Vec<usize> {
        let mut counts = vec![0; self.model.endpoints().len()];
        for session in &self.sessions {
            counts[usize::from(self.rows(session)[0].endpoint)] += 1;
        }
        counts
    }

    /// How often a call of one endpoint (row) is followed by one of another (column). Retries are no transitions.
    pub(super) fn transitions(&self) -> Vec<Vec<usize>> {
        let size = self.model.endpoints().len();
        let mut counts = vec![vec![0; size]; size];
        for session in &self.sessions {
            let mut last: Option<u16> = None;
            for call in self.calls(session) {
                if let Some(last) = last {
                    counts[usize::from(last)][usize::from(call.row.endpoint)] += 1;
                }
                last = Some(call.row.endpoint);
            }
        }
        counts
    }
}
