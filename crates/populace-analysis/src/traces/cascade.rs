//! Whether a cascade hit a session, and which of its calls, given what the session looks like.

use super::law::Law;
use super::{Call, Session};
use crate::error::AnalysisError;
use std::collections::HashMap;

/// Response times are written to the microsecond: densities per millisecond become probabilities of what is written.
const RESOLUTION_MS: f64 = 0.001;

/// The laws of calls with and without a cascade.
pub struct Cascades<'a> {
    law: &'a Law<'a>,
    /// P(status) of a call that no fault struck.
    statuses: HashMap<i64, f64>,
}

/// What is known of a session.
#[derive(Clone, Debug, PartialEq)]
pub struct Suspicion {
    /// P(a cascade hit the session | all of its calls).
    pub cascade: f64,
    /// By call, retries among them: P(a fault struck it | all calls of the session).
    pub faults: Vec<f64>,
}

/// How likely a call is.
struct Likelihood {
    /// Where no cascade is.
    usual: f64,
    /// Where one is, that spares this call; and that strikes it.
    spared: f64,
    struck: f64,
}

impl<'a> Cascades<'a> {
    /// Of a document's laws.
    ///
    /// # Errors
    /// The document has no cascades, or its response times do not scatter.
    pub fn new(law: &'a Law<'a>) -> Result<Self, AnalysisError> {
        let config = law.config();
        if config.cascade_failure_rate <= 0.0 {
            return Err(AnalysisError::input(
                "the run has no cascade: cascade_failure_rate is 0\nhint: generate one with --cascade-failure-rate 0.05",
            ));
        }
        if config.response_times.relative_sd <= 0.0 {
            return Err(AnalysisError::input("response_times.relative_sd is 0: a response time that does not scatter has no density"));
        }
        // Keys of a checked document are numbers.
        let statuses = config.statuses.iter().filter_map(|(code, share)| Some((code.parse().ok()?, *share))).collect();
        Ok(Self { law, statuses })
    }

    /// What the calls of a session tell, by Bayes' rule: its posterior odds are the prior's times, for each call from the middle on, the
    /// ratio of its probability with a cascade, averaged over what the cascade may do to it, to that without one.
    ///
    /// Used are endpoint, response time, status and whether a retry follows. `None` if a call has no response time or no
    /// status, or the session cannot have happened.
    pub fn suspicion(&self, session: &Session) -> Option<Suspicion> {
        let cascade = &self.law.config().cascade;
        let length = session.walk().count();
        let first = (length as f64 * cascade.start) as usize;
        let rate = self.law.config().cascade_failure_rate;
        let mut log_odds = rate.ln() - (1.0 - rate).ln();
        let mut place = 0;
        let mut struck = Vec::with_capacity(session.calls.len());
        for call in &session.calls {
            if call.is_retry || place < first {
                place += usize::from(!call.is_retry);
                struck.push(0.0);
                continue;
            }
            place += 1;
            let likelihood = self.likelihood(call)?;
            let with = likelihood.spared + likelihood.struck;
            // What neither allows tells nothing: a response below what a double can hold.
            if with > 0.0 || likelihood.usual > 0.0 {
                log_odds += with.ln() - likelihood.usual.ln();
            }
            struck.push(if with > 0.0 { likelihood.struck / with } else { 0.0 });
        }
        if log_odds.is_nan() {
            return None;
        }
        let cascade = 1.0 / (1.0 + (-log_odds).exp());
        Some(Suspicion { cascade, faults: struck.into_iter().map(|fault| fault * cascade).collect() })
    }

    fn likelihood(&self, call: &Call) -> Option<Likelihood> {
        let cascade = &self.law.config().cascade;
        let (ms, status) = (call.response_time_ms?, call.status_code?);
        let usual = self.law.response_density(call.endpoint, ms) * RESOLUTION_MS;
        let slow = self.law.slow_response_density(call.endpoint, ms) * RESOLUTION_MS;
        let of_status = self.statuses.get(&status).copied().unwrap_or(0.0);
        let is = |what: bool| f64::from(u8::from(what));
        let timeout = is(status == 504 && (ms - cascade.timeout_ms).abs() < RESOLUTION_MS);
        let unavailable = usual * is(status == 503);
        let retried = if call.is_retried { cascade.retry } else { 1.0 - cascade.retry };
        let spared = (1.0 - cascade.slow - cascade.timeout - cascade.unavailable).max(0.0);
        let unstruck = usual * of_status * is(!call.is_retried);
        Some(Likelihood {
            usual: unstruck,
            spared: spared * unstruck,
            struck: retried * (cascade.slow * slow * of_status + cascade.timeout * timeout + cascade.unavailable * unavailable),
        })
    }
}
