//! Cascades: which sessions they strike, where, and what they do. What a slow call was without its fault is not told by the data; the laws
//! here rest on what is.

use super::calls::unaffected;
use super::{Call, Session};
use crate::stats::{Pit, merge_fields};
use crate::traces::Law;
use crate::verify::board::{Board, Calibration, Exact, Found};
use crate::verify::{Group, uuid};
use populace_core::time::SECOND;
use populace_core::traces::TracesConfig;
use std::collections::BTreeMap;

/// What can be told of a call in a cascade: a timeout, a refusal or neither; and whether it is retried.
const KINDS: [&str; 6] = ["504", "504, retried", "503", "503, retried", "neither", "neither, retried"];

/// What cascades do.
pub(super) struct Cascades<'a> {
    law: &'a Law<'a>,
    /// Whether the document's own statuses tell nothing of cascades.
    plain: bool,
    half: Exact,
    sessions: Calibration,
    kinds: [u64; KINDS.len()],
    retried: [u64; 2],
    waits: Pit,
    slow: Pit,
    refused: Pit,
    mixed: Pit,
    retry_times: Pit,
    retry_statuses: BTreeMap<i64, u64>,
}

merge_fields!(Cascades<'_> {
    half, sessions, kinds, retried, waits, slow, refused, mixed, retry_times, retry_statuses,
} same { law, plain });

impl<'a> Cascades<'a> {
    pub(super) fn new(law: &'a Law<'a>) -> Self {
        let statuses = &law.config().statuses;
        Self {
            law,
            plain: !statuses.contains_key("503") && !statuses.contains_key("504"),
            half: Exact::new("refusals, timeouts and retries come only from the cascade's start on"),
            sessions: Calibration::new("sessions in which a cascade shows"),
            kinds: [0; KINDS.len()],
            retried: [0; 2],
            waits: Pit::default(),
            slow: Pit::default(),
            refused: Pit::default(),
            mixed: Pit::default(),
            retry_times: Pit::default(),
            retry_statuses: BTreeMap::new(),
        }
    }

    /// P(a call that a cascade may strike shows nothing of it).
    fn hidden(config: &TracesConfig) -> f64 {
        let law = &config.cascade;
        let none = 1.0 - law.slow - law.timeout - law.unavailable;
        none + law.slow * (1.0 - law.retry)
    }

    pub(super) fn add(&mut self, session: &Session<'_>) {
        let config = self.law.config();
        if config.cascade_failure_rate <= 0.0 || !self.plain {
            return;
        }
        // Each call with its retry.
        let calls = &session.calls;
        let walk: Vec<(&Call<'_>, Option<&Call<'_>>)> = calls
            .iter()
            .enumerate()
            .filter(|(_, call)| !call.is_retry())
            .map(|(index, call)| (call, calls.get(index + 1).filter(|next| next.is_retry())))
            .collect();
        let start = unaffected(self.law, walk.len());
        let shows = |(call, retry): &(&Call<'_>, Option<&Call<'_>>)| matches!(call.status, 503 | 504) || retry.is_some();
        let early = walk[..start].iter().find(|call| shows(call));
        self.half.hold(early.is_none(), || format!("session {}", uuid(session.id)));
        let struck = &walk[start..];
        let p = config.cascade_failure_rate * (1.0 - Self::hidden(config).powi(struck.len() as i32));
        let label = if struck.len() < 8 { format!("of {} calls", struck.len()) } else { "of 8 calls or more".into() };
        let is_seen = struck.iter().any(shows);
        let first = calls[0].time;
        let more = [format!("hour {}", first.hour()), format!("{}", first.date()), calls[0].user_type.to_owned()];
        [label].iter().chain(&more).for_each(|label| self.sessions.add(label, p, is_seen));
        let mut known = false;
        for (call, retry) in struck {
            self.call(call, *retry, known);
            // From the call after the first that shows something, the cascade is known and the faults are as they fall.
            known |= shows(&(call, *retry));
        }
    }

    fn call(&mut self, call: &Call<'_>, retry: Option<&Call<'_>>, known: bool) {
        let config = self.law.config();
        let Some(state) = call.state else { return };
        let failed = match call.status {
            504 => 0,
            503 => 1,
            _ => 2,
        };
        if known {
            self.kinds[2 * failed + usize::from(retry.is_some())] += 1;
        }
        if failed < 2 {
            self.retried[usize::from(retry.is_some())] += 1;
        }
        match failed {
            0 => {}
            1 => self.refused.add(call.place(|ms| self.law.response_cdf(state, ms))),
            // Only what is slow is retried here.
            _ if retry.is_some() => self.slow.add(call.place(|ms| self.law.slow_response_cdf(state, ms))),
            _ if known => {
                let law = &config.cascade;
                let none = 1.0 - law.slow - law.timeout - law.unavailable;
                let slow = law.slow * (1.0 - law.retry);
                let mixed = |ms| (none * self.law.response_cdf(state, ms) + slow * self.law.slow_response_cdf(state, ms)) / (none + slow);
                self.mixed.add(call.place(mixed));
            }
            _ => {}
        }
        if let Some(retry) = retry {
            let [low, high] = config.cascade.retry_delay_seconds;
            // A microsecond is added, so that a retry always comes later.
            let waited = (retry.time.since(call.end()) - 1) as f64 / SECOND as f64;
            if high - low > 1e-3 {
                self.waits.add((waited - low) / (high - low));
            }
            self.retry_times.add(retry.place(|ms| self.law.response_cdf(state, ms)));
            *self.retry_statuses.entry(retry.status).or_default() += 1;
        }
    }

    pub(super) fn report(self, board: &mut Board) {
        let group = Group::Distribution;
        let config = self.law.config();
        if config.cascade_failure_rate <= 0.0 || !self.plain {
            let why =
                if self.plain { "no session has a cascade in the document" } else { "503 or 504 are among the document's own statuses" };
            board.skip(Group::Exact, "refusals, timeouts and retries come only from the cascade's start on", why);
            board.skip(group, "what a cascade does", why);
            return;
        }
        board.exact(self.half);
        self.sessions.report(board, Group::Calibration, 0.0);
        let law = &config.cascade;
        let rest = 1.0 - law.timeout - law.unavailable;
        let quiet = Self::hidden(config);
        let shares = [
            law.timeout * (1.0 - law.retry),
            law.timeout * law.retry,
            law.unavailable * (1.0 - law.retry),
            law.unavailable * law.retry,
            quiet,
            rest - quiet,
        ];
        board.test(group, "faults of calls in a cascade that has begun", Found::cells(&self.kinds, &shares, "the document's shares"));
        let [left, retried] = self.retried;
        board.test(group, "the share of refusals and timeouts that is retried", Found::share(retried, left + retried, law.retry));
        for (name, sample) in [
            ("waits before retries", &self.waits),
            ("response times of slow calls that are retried", &self.slow),
            ("response times of refused calls", &self.refused),
            ("response times of calls in a cascade that neither fail nor are retried", &self.mixed),
            ("response times of retries", &self.retry_times),
        ] {
            if sample.n() > 0 {
                board.test(group, name, Found::places(sample));
            } else {
                board.skip(group, name, "there are none");
            }
        }
        let (weights, counts): (Vec<f64>, Vec<u64>) = config
            .statuses
            .iter()
            .map(|(code, share)| (*share, code.parse().ok().and_then(|code: i64| self.retry_statuses.get(&code)).copied().unwrap_or(0)))
            .unzip();
        board.test(group, "statuses of retries", Found::cells(&counts, &weights, "the document's shares"));
    }
}
