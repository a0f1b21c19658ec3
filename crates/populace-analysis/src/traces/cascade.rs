//! Whether a cascade hit a session, and which of its calls, given what the session looks like.

use super::law::{Law, mean_over};
use super::{Call, Session};
use crate::error::AnalysisError;
use populace_io::wording::own;
use std::collections::HashMap;

/// Times are written to the microsecond: densities per millisecond become probabilities of what is written.
const RESOLUTION_MS: f64 = 0.001;

/// The laws of calls with and without a cascade.
pub struct Cascades<'a> {
    law: &'a Law<'a>,
    /// P(status) of a call that no fault struck.
    statuses: HashMap<i64, f64>,
    delays: [Delay; 2],
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
            return Err(AnalysisError::input(own(
                "the run has no cascade: cascade_failure_rate is 0\nhint: generate one with --cascade-failure-rate 0.05",
            )));
        }
        if config.response_times.relative_sd <= 0.0 {
            return Err(AnalysisError::input("response_times.relative_sd is 0: a response time that does not scatter has no density"));
        }
        // Keys of a checked document are numbers.
        let statuses = config.statuses.iter().filter_map(|(code, share)| Some((code.parse().ok()?, *share))).collect();
        let (delays, thinking) = (&config.delays, config.delays.thinking);
        let delays = [Delay::new(1.0 - thinking, delays.usual_seconds), Delay::new(thinking, delays.thinking_seconds)];
        Ok(Self { law, statuses, delays })
    }

    /// The posterior by Bayes' rule: its odds are the prior's times, for each call from the middle on, the ratio of its probability with a
    /// cascade, averaged over what the cascade may do to it, to that without one.
    ///
    /// Used are endpoint, response time, status, whether a retry follows, and the gap to the next call. `None` if a call has no response
    /// time or no status, or the session cannot have happened.
    pub fn suspicion(&self, session: &Session) -> Option<Suspicion> {
        let cascade = &self.law.config().cascade;
        let length = session.walk().count();
        let first = (length as f64 * cascade.start) as usize;
        let rate = self.law.config().cascade_failure_rate;
        let mut log_odds = rate.ln() - (1.0 - rate).ln();
        let mut struck = Vec::with_capacity(session.calls.len());
        // A call and its retries.
        let mut attempts = session.calls.chunk_by(|_, later| later.is_retry).peekable();
        let mut place = 0;
        while let Some(of_call) = attempts.next() {
            let call = &of_call[0];
            let end = struck.len() + of_call.len();
            let is_spared = call.is_retry || place < first;
            place += usize::from(!call.is_retry);
            if is_spared {
                struck.resize(end, 0.0);
                continue;
            }
            let last = of_call[of_call.len() - 1];
            let slack = attempts.peek().and_then(|next| Some((next[0].time.since(last.time) as f64 / 1e3) - last.response_time_ms?));
            let likelihood = self.likelihood(call, slack)?;
            let with = likelihood.spared + likelihood.struck;
            // A response or a gap that neither allows is no evidence, as one below what a double can hold.
            if with > 0.0 || likelihood.usual > 0.0 {
                log_odds += with.ln() - likelihood.usual.ln();
            }
            struck.push(if with > 0.0 { likelihood.struck / with } else { 0.0 });
            struck.resize(end, 0.0);
        }
        if log_odds.is_nan() {
            return None;
        }
        let cascade = 1.0 / (1.0 + (-log_odds).exp());
        Some(Suspicion { cascade, faults: struck.into_iter().map(|fault| fault * cascade).collect() })
    }

    /// `slack` is the time in ms from the last response to the next call, if there is one: the delay that was drawn less the response
    /// time without a fault, at least 0.
    fn likelihood(&self, call: &Call, slack: Option<f64>) -> Option<Likelihood> {
        let cascade = &self.law.config().cascade;
        let (ms, status) = (call.response_time_ms?, call.status_code?);
        let base = self.law.response(call.endpoint);
        let usual = base.density(ms) * RESOLUTION_MS * self.slack(slack, ms);
        let [low, high] = cascade.slow_factor;
        let slow = if low < high {
            let density = |base_ms: f64| base.density(base_ms) / ((high - low) * base_ms);
            self.over_bases(slack, base.within(ms / high, ms / low), density)
        } else {
            base.density(ms / low) / low * self.slack(slack, (ms / low / RESOLUTION_MS).ceil() * RESOLUTION_MS)
        } * RESOLUTION_MS;
        let of_status = self.statuses.get(&status).copied().unwrap_or(0.0);
        let is = |what: bool| f64::from(u8::from(what));
        let timeout = if status == 504 && (ms - cascade.timeout_ms).abs() < RESOLUTION_MS {
            self.over_bases(slack, base.within(0.0, f64::INFINITY), |base_ms| base.density(base_ms))
        } else {
            0.0
        };
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

    /// P(slack | the response time without a fault); 1 after the last call.
    fn slack(&self, slack: Option<f64>, base_ms: f64) -> f64 {
        let Some(slack) = slack else { return 1.0 };
        let of = |delay: &Delay| if is_zero(slack) { delay.cdf(base_ms) } else { delay.written(slack + base_ms) };
        self.delays.iter().map(|delay| delay.share * of(delay)).sum()
    }

    /// The integral of `density` × P(slack | base) over response times without a fault, in ms.
    fn over_bases(&self, slack: Option<f64>, [from, to]: [f64; 2], density: impl Fn(f64) -> f64) -> f64 {
        let Some(slack) = slack else { return integral([from, to], density) };
        let of = |&Delay { low, high, .. }: &Delay| match (is_zero(slack), low < high) {
            (true, true) => {
                let rising = integral([from.max(low), to.min(high)], |base| density(base) * (base - low) / (high - low));
                rising + integral([from.max(high), to], &density)
            }
            (true, false) => integral([from.max(low), to], &density),
            (false, true) => RESOLUTION_MS / (high - low) * integral([from.max(low - slack), to.min(high - slack)], &density),
            (false, false) if (from..=to).contains(&(low - slack)) => RESOLUTION_MS * density(low - slack),
            (false, false) => 0.0,
        };
        self.delays.iter().map(|delay| delay.share * of(delay)).sum()
    }
}

/// The next call starts as soon as the last has its response.
fn is_zero(slack: f64) -> bool {
    slack.abs() < RESOLUTION_MS / 2.0
}

/// A uniform part of the mixture of delays from the start of a call to the start of the next, in ms.
struct Delay {
    share: f64,
    low: f64,
    high: f64,
}

impl Delay {
    fn new(share: f64, [low, high]: [f64; 2]) -> Self {
        Self { share, low: low * 1e3, high: high * 1e3 }
    }

    /// P(delay ≤ `ms`).
    fn cdf(&self, ms: f64) -> f64 {
        if self.low < self.high { ((ms - self.low) / (self.high - self.low)).clamp(0.0, 1.0) } else { f64::from(u8::from(ms >= self.low)) }
    }

    /// P(the delay is written as `ms`).
    fn written(&self, ms: f64) -> f64 {
        if self.low < self.high {
            self.cdf(ms + RESOLUTION_MS) - self.cdf(ms)
        } else {
            f64::from(u8::from((ms - self.low).abs() < 1.5 * RESOLUTION_MS))
        }
    }
}

/// The integral of `value`; 0 over an empty interval.
fn integral([from, to]: [f64; 2], value: impl Fn(f64) -> f64) -> f64 {
    if from < to { (to - from) * mean_over(from, to, value) } else { 0.0 }
}
