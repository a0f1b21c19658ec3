//! Requests that come while the tables are asked are resolved together: the next question is asked for all of them.

use crate::error::FlowError;
use crate::identity::{Claim, Resolved};
use populace_core::time::Instant;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Claims that are resolved at a time, about.
const CLAIMS: usize = 10_000;

/// Claims of one request.
pub(super) struct Job {
    pub(super) claims: Vec<Claim>,
    pub(super) purpose: String,
    pub(super) at: Instant,
}

/// An answer that several who asked can have.
#[derive(Clone)]
enum Told {
    Unavailable(String),
    Refused(String),
}

impl Told {
    fn of(error: &FlowError) -> Self {
        if error.is_transient() { Self::Unavailable(error.to_string()) } else { Self::Refused(error.to_string()) }
    }

    fn error(self) -> FlowError {
        match self {
            Self::Unavailable(told) => FlowError::Unavailable(told),
            Self::Refused(told) => FlowError::Refused(told),
        }
    }
}

type Answer = Result<Vec<Resolved>, Told>;

struct Waiting {
    job: Job,
    answer: Mutex<Option<Answer>>,
}

/// Who waits, and whose turn it is to ask for all.
#[derive(Default)]
pub(super) struct Turns {
    waiting: Mutex<VecDeque<Arc<Waiting>>>,
    turn: Mutex<()>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Turns {
    /// Resolves a job, with those that wait beside it. `resolve` gives one answer to each job, in their order.
    pub(super) fn take(
        &self,
        job: Job,
        resolve: impl Fn(&[&Job]) -> Result<Vec<Vec<Resolved>>, FlowError>,
    ) -> Result<Vec<Resolved>, FlowError> {
        let own = Arc::new(Waiting { job, answer: Mutex::new(None) });
        lock(&self.waiting).push_back(Arc::clone(&own));
        let _turn = lock(&self.turn);
        loop {
            if let Some(answer) = lock(&own.answer).take() {
                return answer.map_err(Told::error);
            }
            let together = self.next();
            if together.is_empty() {
                // Whoever had taken this job did not end it.
                return Err(FlowError::Unavailable("identities: a resolution broke off; send the request again".to_owned()));
            }
            let jobs: Vec<&Job> = together.iter().map(|waiting| &waiting.job).collect();
            match resolve(&jobs) {
                Ok(answers) => together.iter().zip(answers).for_each(|(waiting, answer)| *lock(&waiting.answer) = Some(Ok(answer))),
                Err(error) => together.iter().for_each(|waiting| *lock(&waiting.answer) = Some(Err(Told::of(&error)))),
            }
        }
    }

    fn next(&self) -> Vec<Arc<Waiting>> {
        let (mut waiting, mut claims, mut together) = (lock(&self.waiting), 0, Vec::new());
        while let Some(job) = waiting.front() {
            claims += job.job.claims.len();
            if !together.is_empty() && claims > CLAIMS {
                break;
            }
            together.extend(waiting.pop_front());
        }
        together
    }
}
