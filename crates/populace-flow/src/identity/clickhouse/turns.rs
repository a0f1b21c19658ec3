//! Requests that come while the tables are asked are resolved together: the next question is asked for all of them.

use super::graph::hex;
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

impl Job {
    /// What it names, as the tables do.
    pub(super) fn identifiers(&self) -> impl Iterator<Item = String> {
        let tokens = self.claims.iter().flat_map(|claim| &claim.tokens);
        tokens.flat_map(|token| token.hashes.iter().map(|keyed| hex(&keyed.hash)).chain([token.base_id.clone()]))
    }
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

/// None of a job that is to be resolved beside the others.
type Answer = Result<Option<Vec<Resolved>>, Told>;

struct Waiting {
    job: Arc<Job>,
    answer: Mutex<Option<Answer>>,
}

/// Who waits, and whose turn it is to ask for all.
#[derive(Default)]
struct Lane {
    waiting: Mutex<VecDeque<Arc<Waiting>>>,
    turn: Mutex<()>,
}

/// Two lanes: what takes long waits for what takes long, and for nothing else.
#[derive(Default)]
pub(super) struct Turns {
    quick: Lane,
    slow: Lane,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Turns {
    /// Resolves a job, with those that wait beside it. `resolve` gives one answer to each job, in their order: none to a job that takes long,
    /// which is asked for again, retry.
    pub(super) fn take(
        &self,
        job: Job,
        resolve: impl Fn(&[&Job], bool) -> Result<Vec<Option<Vec<Resolved>>>, FlowError>,
    ) -> Result<Vec<Resolved>, FlowError> {
        let job = Arc::new(job);
        if let Some(answer) = self.quick.take(Arc::clone(&job), |jobs| resolve(jobs, false))? {
            return Ok(answer);
        }
        self.slow.take(job, |jobs| resolve(jobs, true))?.ok_or_else(broke_off)
    }
}

fn broke_off() -> FlowError {
    FlowError::Unavailable("identities: a resolution broke off; send the request again".to_owned())
}

impl Lane {
    fn take(
        &self,
        job: Arc<Job>,
        resolve: impl Fn(&[&Job]) -> Result<Vec<Option<Vec<Resolved>>>, FlowError>,
    ) -> Result<Option<Vec<Resolved>>, FlowError> {
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
                return Err(broke_off());
            }
            let jobs: Vec<&Job> = together.iter().map(|waiting| waiting.job.as_ref()).collect();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Outcome;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    #[test]
    fn a_job_that_takes_long_holds_nobody_up() {
        let turns = Turns::default();
        let (ended, quick) = (AtomicBool::new(false), AtomicUsize::new(0));
        let job = |purpose: &str| Job { claims: Vec::new(), purpose: purpose.to_owned(), at: Instant(0) };
        let answer = || vec![Resolved { universal_id: String::new(), outcome: Outcome::Known }];
        let resolve = |jobs: &[&Job], patient: bool| {
            while patient && !ended.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
            Ok(jobs.iter().map(|job| (patient || job.purpose != "long").then(answer)).collect())
        };
        std::thread::scope(|scope| {
            let long = scope.spawn(|| turns.take(job("long"), resolve).unwrap());
            for _ in 0..100 {
                assert_eq!(turns.take(job("short"), resolve).unwrap(), answer());
                quick.fetch_add(1, Ordering::SeqCst);
            }
            assert!(!long.is_finished());
            ended.store(true, Ordering::SeqCst);
            assert_eq!(long.join().unwrap(), answer());
        });
        assert_eq!(quick.into_inner(), 100);
    }
}
