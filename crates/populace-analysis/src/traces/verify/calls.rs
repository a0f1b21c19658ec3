//! What holds of every call by itself and of what follows it.

use super::{Call, Session};
use crate::error::AnalysisError;
use crate::stats::{Pit, merge_fields};
use crate::traces::Law;
use crate::verify::board::{Board, Exact, Found};
use crate::verify::files::Files;
use crate::verify::ids::Distinct;
use crate::verify::{Group, anywhere, mix, same_json, uuid};
use populace_core::time::SECOND;
use populace_core::traces::Method;
use std::collections::BTreeMap;

/// By how many the ids of a session's calls are apart.
const ATTEMPTS: i64 = 4;

/// Laws of calls.
pub(super) struct Calls<'a> {
    law: &'a Law<'a>,
    ids: Distinct,
    session_ids: Distinct,
    numbers: Exact,
    types: Exact,
    steps: Exact,
    ends: Exact,
    overlap: Exact,
    retries: Exact,
    methods: Exact,
    responses: Exact,
    statuses: Exact,
    starts: Exact,
    gaps: Pit,
    response_times: BTreeMap<usize, Pit>,
    sizes: [Pit; 2],
    by_status: BTreeMap<i64, u64>,
    /// Of an endpoint, by their number among the parameters that it may have.
    params: BTreeMap<usize, BTreeMap<usize, u64>>,
}

merge_fields!(Calls<'_> {
    ids, session_ids, numbers, types, steps, ends, overlap, retries, methods, responses, statuses, starts, gaps, response_times, sizes,
    by_status, params,
} same { law });

impl<'a> Calls<'a> {
    pub(super) fn new(law: &'a Law<'a>) -> Self {
        Self {
            law,
            ids: Distinct::default(),
            session_ids: Distinct::default(),
            numbers: Exact::new("a call_id is its session's id with the number of the call in the walk and of the attempt"),
            types: Exact::new("a user has one type, and it is the document's"),
            steps: Exact::new("a session starts at an entry point and goes on along transitions of the workflow"),
            ends: Exact::new("a session ends at an exit point or at the greatest length, and not before"),
            overlap: Exact::new("no call starts before the one before it has ended"),
            retries: Exact::new("a retry is the second attempt at the call just before it, of the same endpoint and parameters"),
            methods: Exact::new("methods and parameters are those of the endpoint"),
            responses: Exact::new("response times are at least the minimum, responses have a size"),
            statuses: Exact::new(
                "statuses are the document's; 504 takes the time of the timeout, and 503, 504 and retries are a cascade's",
            ),
            starts: Exact::new("sessions start in the window"),
            gaps: Pit::default(),
            response_times: BTreeMap::new(),
            sizes: [Pit::default(), Pit::default()],
            by_status: BTreeMap::new(),
            params: BTreeMap::new(),
        }
    }

    pub(super) fn add(&mut self, user: &str, sessions: &[Session<'_>]) {
        let user_type = sessions.first().map(|session| session.calls[0].user_type);
        for session in sessions {
            self.session_ids.add(session.id);
            let start = session.calls[0].time;
            self.starts.hold(self.law.model().window().contains(start), || format!("a session of {user} at {start}"));
            let mut number = 0;
            for (row, call) in session.calls.iter().enumerate() {
                self.ids.add(call.id);
                let place = || format!("call {} of {user}", uuid(call.id));
                number += i64::from(!call.is_retry());
                let own = u128::try_from(ATTEMPTS * number + call.attempt - 1).is_ok_and(|own| call.id == session.id | own);
                self.numbers.hold(own, place);
                let known = self.law.config().workflow.user_type_distribution.contains_key(call.user_type);
                self.types.hold(known && Some(call.user_type) == user_type, place);
                self.call(call, place);
                let before = row.checked_sub(1).map(|before| &session.calls[before]);
                if let Some(before) = before {
                    self.overlap.hold(call.time >= before.end(), place);
                }
                if call.is_retry() {
                    let holds = before.is_some_and(|before| {
                        call.retry_of == Some(before.id)
                            && !before.is_retry()
                            && (call.attempt, before.attempt) == (2, 1)
                            && (call.endpoint, call.method, call.params) == (before.endpoint, before.method, before.params)
                            && call.time > before.end()
                    });
                    self.retries.hold(holds, place);
                } else {
                    self.retries.hold(call.attempt == 1, place);
                }
            }
            self.walk(user, session);
        }
    }

    fn call(&mut self, call: &Call<'_>, place: impl Fn() -> String) {
        let config = self.law.config();
        let endpoint = call.state.map(|state| &self.law.model().endpoints()[state]);
        let with_params = parameters_of(self.law, call.endpoint).is_some();
        let holds =
            endpoint.is_some_and(|endpoint| endpoint.method.as_str() == call.method) && (with_params || same_json(call.params, "{}"));
        let number = parameters_of(self.law, call.endpoint).and_then(|known| number_of(known, call.params));
        let known = !with_params || number.is_some();
        self.methods.hold(holds && known, &place);
        let least = (config.response_times.minimum_ms * 1_000.0) as i64;
        self.responses.hold(call.response >= least.min((config.cascade.timeout_ms * 1_000.0) as i64) && call.size >= 1, &place);
        let usual = config.statuses.contains_key(&call.status.to_string());
        let failed = matches!(call.status, 503 | 504);
        let timeout = (config.cascade.timeout_ms * 1_000.0).round() as i64;
        let by_cascade = config.cascade_failure_rate > 0.0;
        let holds = if failed && !usual {
            by_cascade && !call.is_retry() && (call.status == 503 || call.response == timeout)
        } else {
            usual && (by_cascade || !call.is_retry())
        };
        self.statuses.hold(holds, &place);
        self.sizes[usize::from(call.method != Method::Get.as_str())].add(size_place(self.law, call));
        if let (Some(state), Some(number), false) = (call.state, number, call.is_retry()) {
            *self.params.entry(state).or_default().entry(number).or_default() += 1;
        }
    }

    fn walk(&mut self, user: &str, session: &Session<'_>) {
        let config = self.law.config();
        let walk = session.walk();
        let place = || format!("session {} of {user}", uuid(session.id));
        let first = walk.first().and_then(|call| call.state).is_some_and(|state| self.law.entries()[state] > 0.0);
        let along = walk.windows(2).all(|pair| match (pair[0].state, pair[1].state) {
            (Some(from), Some(to)) => self.law.transitions()[from].contains_key(&to),
            _ => false,
        });
        self.steps.hold(first && along, place);
        let most = config.workflow.max_length as usize;
        let last = walk.last().and_then(|call| call.state);
        let exits = last.is_some_and(|state| self.law.is_exit(state) || self.law.transitions()[state].is_empty());
        self.ends.hold(walk.len() <= most && (exits || walk.len() == most), place);
        // What precedes the middle no cascade strikes, so that it is as when nothing is wrong.
        let unaffected = unaffected(self.law, walk.len());
        for (index, call) in walk.iter().enumerate().take(unaffected) {
            *self.by_status.entry(call.status).or_default() += 1;
            if let Some(state) = call.state {
                let place = call.place(|ms| self.law.response_cdf(state, ms));
                self.response_times.entry(state).or_default().add(place);
            }
            if let Some(place) = walk.get(index + 1).and_then(|next| gap_place(self.law, call, next)) {
                self.gaps.add(place);
            }
        }
    }

    pub(super) fn report(self, files: &Files<'_>, board: &mut Board) -> Result<(), AnalysisError> {
        let mut ids = self.ids.finish("every call_id is there once", uuid)?;
        files.count(&mut ids, "calls");
        board.exact(ids);
        board.exact(self.session_ids.finish("a session is of one user", uuid)?);
        for law in [
            self.numbers,
            self.types,
            self.starts,
            self.steps,
            self.ends,
            self.overlap,
            self.retries,
            self.methods,
            self.responses,
            self.statuses,
        ] {
            board.exact(law);
        }
        let group = Group::Distribution;
        let config = self.law.config();
        if self.gaps.n() > 0 {
            board.test(group, "delays between calls", Found::places(&self.gaps));
        } else {
            board.skip(group, "delays between calls", "responses take longer than delays");
        }
        let names = self.law.names();
        let found = Found::worst(self.response_times.iter().map(|(state, sample)| (&names[*state], Found::places(sample))));
        board.try_test(group, "response times by endpoint, before a cascade may strike", found);
        let [get, other] = &self.sizes;
        let found = [("GET", get), ("others", other)].into_iter().filter(|(_, sample)| sample.n() > 0);
        let spread = if config.response_sizes.sigma > 0.0 {
            Found::worst(found.map(|(name, sample)| (name, Found::places(sample))))
        } else {
            Err("sizes have no spread".into())
        };
        board.try_test(group, "response sizes of GET and of others", spread);
        let (weights, counts): (Vec<f64>, Vec<u64>) = config
            .statuses
            .iter()
            .map(|(code, share)| (*share, code.parse().ok().and_then(|code: i64| self.by_status.get(&code)).copied().unwrap_or(0)))
            .unzip();
        board.test(group, "statuses, before a cascade may strike", Found::cells(&counts, &weights, "the document's shares"));
        let params = self.params.iter().map(|(state, counts)| {
            let path = &names[*state];
            // All that there may be, in the document's order: which cells are pooled must not depend on what was seen.
            let counts: Vec<u64> =
                (0..parameters_of(self.law, path).map_or(0, <[_]>::len)).map(|number| counts.get(&number).copied().unwrap_or(0)).collect();
            (path, Found::cells(&counts, &vec![1.0; counts.len()], "equal shares"))
        });
        board.try_test(group, "parameters are equally likely", Found::worst(params));
        Ok(())
    }
}

/// How many calls of a walk no cascade can strike.
pub(super) fn unaffected(law: &Law<'_>, length: usize) -> usize {
    let config = law.config();
    if config.cascade_failure_rate > 0.0 { (length as f64 * config.cascade.start) as usize } else { length }
}

/// The parameters that a search or a browse may have.
pub(super) fn parameters_of<'a>(law: &'a Law<'_>, endpoint: &str) -> Option<&'a [String]> {
    let config = &law.config().parameters;
    let (searches, browses) = law.model().parameters()[1..].split_at(config.queries.len() * config.sorts.len());
    let segment = |word| endpoint.split('/').any(|segment| segment == word);
    if segment("search") { Some(searches) } else { segment("browse").then_some(browses) }
}

pub(super) fn number_of(known: &[String], params: &str) -> Option<usize> {
    known.iter().position(|known| known == params).or_else(|| known.iter().position(|known| same_json(known, params)))
}

/// The place of a response's size within its distribution: whole bytes, anywhere within the byte's own share.
pub(super) fn size_place(law: &Law<'_>, call: &Call<'_>) -> f64 {
    let sizes = law.sizes(call.method == Method::Get.as_str());
    let low = if call.size > 1 { sizes.cdf(call.size as f64) } else { 0.0 };
    anywhere([low, sizes.cdf(call.size as f64 + 1.0)], call.salt())
}

/// The place of the time to the next call within its distribution, unless a response that takes longer than the least delay may itself
/// have delayed it.
pub(super) fn gap_place(law: &Law<'_>, call: &Call<'_>, next: &Call<'_>) -> Option<f64> {
    let delays = &law.config().delays;
    let least = (delays.usual_seconds[0].min(delays.thinking_seconds[0]) * SECOND as f64) as i64;
    let gap = next.time.since(call.time);
    let place = [gap, gap + 1].map(|micros| law.gap_cdf(micros as f64 / SECOND as f64));
    (call.response < least).then(|| anywhere(place, mix(call.salt())))
}
