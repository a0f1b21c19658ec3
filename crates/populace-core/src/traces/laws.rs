//! What must hold, in closed form.

use super::model::TracesModel;
use crate::markov::Walks;

/// What a run is expected to hold.
#[derive(Clone, Debug)]
pub struct Expected {
    /// Users.
    pub users: f64,
    /// Sessions.
    pub sessions: f64,
    /// Calls, retries not counted.
    pub calls: f64,
    /// Calls within a cascade, retries not counted.
    pub struck: f64,
    /// Retries.
    pub retries: f64,
    /// Calls by endpoint, retries not counted.
    pub calls_by_endpoint: Vec<f64>,
    /// Mean calls in a session.
    pub mean_length: f64,
    /// Share of sessions cut off at the greatest length.
    pub truncated: f64,
}

impl TracesModel {
    /// The law of the walks through the workflow.
    pub fn walks(&self) -> Walks {
        self.chain.walks(self.config.workflow.max_length as usize)
    }

    /// Volumes in expectation, exact up to rounding.
    pub fn expected(&self) -> Expected {
        let walks = self.walks();
        let users = self.config.population.users as f64;
        let sessions = users * self.sessions.mean();
        let cascade = &self.config.cascade;
        let struck = walks.expect(|length| (length - (length as f64 * cascade.start) as usize) as f64);
        let struck = sessions * self.config.cascade_failure_rate * struck;
        let faulted = cascade.slow + cascade.timeout + cascade.unavailable;
        Expected {
            users,
            sessions,
            calls: sessions * walks.mean_length(),
            struck,
            retries: struck * faulted * cascade.retry,
            calls_by_endpoint: walks.visits.iter().map(|visits| sessions * visits).collect(),
            mean_length: walks.mean_length(),
            truncated: walks.truncated,
        }
    }
}
