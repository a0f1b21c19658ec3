//! What one user does.

use super::model::TracesModel;
use super::rows::{CallRow, CallTruth, EndReason, Fault, SessionId, SessionRow, SessionTruth, TraceRow, TraceTruth};
use crate::scenario::Observer;
use crate::stream::{ActorId, ActorKey, Purpose, Source, StreamKey, Words, below};
use crate::time::{DAY, Instant, SECOND};

/// Once a user: type, number of sessions.
const USER: Purpose = Purpose::new(1);
/// Once a session: start, cascade, id.
const SESSION: Purpose = Purpose::new(2);
/// One word a step of a session's walk.
const WALK: Purpose = Purpose::new(3);
/// Once a call at an exit point that may go on.
const EXIT: Purpose = Purpose::new(4);
/// Once a call: delay to the next, response time, size, status and parameters.
const CALL: Purpose = Purpose::new(5);
/// Once a call within a cascade: fault, factor, whether and when to retry.
const FAULT: Purpose = Purpose::new(6);
/// As `CALL`, of a retry.
const RETRY: Purpose = Purpose::new(7);

/// A session that is about to be told.
struct Session {
    ordinal: u64,
    id: SessionId,
    start: Instant,
    cascade: bool,
    user_type: u8,
}

/// The coordinate of a call: its session's ordinal and its index there.
const fn call_ordinal(session: u64, index: usize) -> u64 {
    session << 16 | index as u64
}

impl TracesModel {
    pub(super) fn simulate_user(&self, actor: ActorId, key: StreamKey, out: &mut impl Observer<TraceRow, TraceTruth>) {
        let key = key.actor(actor);
        let user = key.purpose(USER).ordinal(0).words();
        let user_type = self.user_type.pick(user.word::<0>()) as u8;
        let mut sessions: Vec<Session> =
            (0..self.sessions.at(user.word::<1>()) as u64).map(|ordinal| self.session(key, ordinal, user_type)).collect();
        sessions.sort_by_key(|session| (session.start, session.ordinal));
        let mut path = Vec::with_capacity(self.config.workflow.max_length as usize);
        for session in &sessions {
            let end_reason = self.walk(key, session.ordinal, &mut path);
            self.tell(key, session, &path, end_reason, out);
        }
    }

    fn session(&self, key: ActorKey, ordinal: u64, user_type: u8) -> Session {
        let words = key.purpose(SESSION).ordinal(ordinal).words();
        let start = words.word::<0>();
        let day = below(start, u64::from(self.window.days));
        // What the choice of the day leaves of the word is uniform again.
        let time_of_day = below(start.wrapping_mul(u64::from(self.window.days)), DAY as u64);
        Session {
            ordinal,
            id: SessionId::from_words(words.word::<2>(), words.word::<3>()),
            start: self.window.begin().plus(day as i64 * DAY + time_of_day as i64),
            cascade: self.cascade.hits.decide(words.word::<1>()),
            user_type,
        }
    }

    /// The endpoints of a session, in order.
    fn walk(&self, key: ActorKey, session: u64, path: &mut Vec<u16>) -> EndReason {
        let mut draws = key.purpose(WALK).ordinal(session).draws();
        path.clear();
        let mut state = self.chain.first(draws.next_u64());
        for step in 0.. {
            path.push(state as u16);
            if self.chain.is_exit(state) && self.ends(key, call_ordinal(session, step)) {
                return EndReason::Exit;
            }
            if path.len() == self.config.workflow.max_length as usize {
                break;
            }
            match self.chain.next(state, draws.next_u64()) {
                Some(next) => state = next,
                None => return EndReason::Exit,
            }
        }
        EndReason::MaxLength
    }

    #[inline]
    fn ends(&self, key: ActorKey, call: u64) -> bool {
        self.config.workflow.exit_probability >= 1.0 || self.exit.decide(key.purpose(EXIT).ordinal(call).words().word::<0>())
    }

    fn tell(&self, key: ActorKey, session: &Session, path: &[u16], end_reason: EndReason, out: &mut impl Observer<TraceRow, TraceTruth>) {
        let cascade_start = session.cascade.then_some((path.len() as f64 * self.config.cascade.start) as usize);
        let mut time = session.start;
        let mut end = time;
        for (index, &endpoint) in path.iter().enumerate() {
            let ordinal = call_ordinal(session.ordinal, index);
            let words = key.purpose(CALL).ordinal(ordinal).words();
            let base = self.respond(endpoint, &words);
            let mut row = CallRow {
                session: session.id,
                number: index as u16 + 1,
                user_type: session.user_type,
                endpoint,
                parameters: self.endpoints[usize::from(endpoint)].parameters.pick(words.word::<3>() << 32),
                time,
                response_time: base.time,
                status: base.status,
                response_size: base.size,
                attempt: 1,
            };
            let mut fault = Fault::None;
            let mut ends = time.plus(base.time);
            if cascade_start.is_some_and(|start| index >= start) {
                let retry;
                (fault, retry) = self.fault(key, ordinal, &mut row);
                ends = time.plus(row.response_time);
                emit(row, fault, base.time, out);
                if let Some(retry) = retry {
                    ends = retry.time.plus(retry.response_time);
                    emit(retry, Fault::None, retry.response_time, out);
                }
            } else {
                emit(row, fault, base.time, out);
            }
            end = end.max(ends);
            // What a fault added moves all that follows; no call starts before the last has ended.
            let added = ends.since(time) - base.time;
            time = time.plus(self.delay.at(words.word::<0>()) + added).max(ends);
        }
        out.emit(TraceRow::Session(SessionRow {
            id: session.id,
            user_type: session.user_type,
            start: session.start,
            end,
            calls: path.len() as u32,
        }));
        let cascade_start = cascade_start.map(|start| start as u32);
        out.reveal(TraceTruth::Session(SessionTruth { id: session.id, cascade_start, end_reason }));
    }

    /// A response as it is when nothing is wrong. Lane 0 is the caller's delay; lane 3 is shared by halves: status, parameters.
    #[inline]
    fn respond(&self, endpoint: u16, words: &Words) -> Response {
        let endpoint = &self.endpoints[usize::from(endpoint)];
        Response {
            time: (endpoint.response_time_ms.sample(&mut words.lane::<1>()) * 1_000.0) as i64,
            size: (endpoint.response_size.sample(&mut words.lane::<2>()) as i64).max(1),
            status: self.status_codes[self.status.pick(words.word::<3>() & 0xFFFF_FFFF_0000_0000)],
        }
    }

    /// Lets a cascade strike a call; its retry, if there is one.
    fn fault(&self, key: ActorKey, ordinal: u64, row: &mut CallRow) -> (Fault, Option<CallRow>) {
        let words = key.purpose(FAULT).ordinal(ordinal).words();
        let fault = self.hit(&words, row);
        if fault == Fault::None || !self.cascade.retry.decide(words.word::<2>()) {
            return (fault, None);
        }
        let wait = self.cascade.retry_delay.at(words.word::<3>());
        let again = self.respond(row.endpoint, &key.purpose(RETRY).ordinal(ordinal).words());
        let retry = CallRow {
            time: row.time.plus(row.response_time).plus((wait * SECOND as f64) as i64 + 1),
            response_time: again.time,
            status: again.status,
            response_size: again.size,
            attempt: 2,
            ..*row
        };
        (fault, Some(retry))
    }

    /// The calls of a session as they are when a cascade strikes it, whoever made them: a fault delays the calls after it, and a retry
    /// follows the call that it repeats, with its number. Calls that are retries already are moved, not struck.
    pub fn strike(&self, key: ActorKey, session: u64, calls: &[CallRow]) -> Vec<CallRow> {
        let first = (calls.iter().filter(|call| !call.is_retry()).count() as f64 * self.config.cascade.start) as usize;
        let mut struck = Vec::with_capacity(calls.len() + calls.len() / 4);
        let (mut added, mut earliest, mut index) = (0, i64::MIN, 0);
        for call in calls {
            let mut row = CallRow { time: Instant((call.time.0 + added).max(earliest)), ..*call };
            if call.is_retry() || index < first {
                index += usize::from(!call.is_retry());
                struck.push(row);
                continue;
            }
            let (_, retry) = self.fault(key, call_ordinal(session, index), &mut row);
            index += 1;
            let last = retry.unwrap_or(row);
            earliest = last.time.plus(last.response_time).0;
            added = earliest - call.time.0 - call.response_time;
            struck.push(row);
            struck.extend(retry);
        }
        struck
    }

    /// Lets a cascade hit a call.
    fn hit(&self, words: &Words, row: &mut CallRow) -> Fault {
        let fault = Fault::ALL[self.cascade.fault.pick(words.word::<0>())];
        match fault {
            Fault::None => {}
            Fault::Slow => row.response_time = (row.response_time as f64 * self.cascade.slow_factor.at(words.word::<1>())) as i64,
            Fault::Timeout => (row.response_time, row.status) = (self.cascade.timeout, 504),
            Fault::Unavailable => row.status = 503,
        }
        fault
    }
}

struct Response {
    time: i64,
    size: i64,
    status: u16,
}

#[inline]
fn emit(row: CallRow, fault: Fault, base_response_time: i64, out: &mut impl Observer<TraceRow, TraceTruth>) {
    out.emit(TraceRow::Call(row));
    out.reveal(TraceTruth::Call(CallTruth { session: row.session, number: row.number, attempt: row.attempt, fault, base_response_time }));
}
