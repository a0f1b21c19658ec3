//! From the rows of `traces` to columns.

use super::{CALLS, SESSIONS, TRUTH_CALLS, TRUTH_SESSIONS, Traces};
use crate::generator::TableSet;
use crate::table::{booleans, codes, dictionary, floats, instants, longs, longs_or_null, shorts, uuids, uuids_or_null};
use crate::tables::{Builder, Counts, Filled};
use arrow_buffer::NullBuffer;
use populace_core::scenario::Observer;
use populace_core::traces::{CallRow, CallTruth, SessionRow, SessionTruth, TraceRow, TraceTruth, TracesModel};
use std::ops::Range;

/// The id of a user, by number.
fn user_id(actor: u64) -> String {
    format!("user_{}", actor + 1)
}

/// Collects the rows of a user, then spreads them over the columns in one tight loop a column.
pub struct TracesBuilder<'g> {
    generator: &'g Traces,
    actors: Range<u64>,
    wanted: TableSet,
    /// Number of the user within the shard.
    user: i32,
    rows: u64,
    counts: Counts,
    calls: Vec<CallRow>,
    truths: Vec<CallTruth>,
    call: CallColumns,
    call_truth: CallTruthColumns,
    sessions: Vec<(i32, SessionRow)>,
    session_truths: Vec<SessionTruth>,
}

#[derive(Default)]
struct CallColumns {
    call_id: Vec<u8>,
    session_id: Vec<u8>,
    user: Vec<i32>,
    user_type: Vec<i32>,
    endpoint: Vec<i32>,
    parameters: Vec<i32>,
    time: Vec<i64>,
    response_time: Vec<f64>,
    status: Vec<i16>,
    size: Vec<i64>,
    attempt: Vec<i16>,
    retry_of: Vec<u8>,
}

#[derive(Default)]
struct CallTruthColumns {
    call_id: Vec<u8>,
    fault: Vec<i32>,
    base: Vec<f64>,
}

/// Milliseconds from microseconds.
fn milliseconds(microseconds: i64) -> f64 {
    microseconds as f64 / 1_000.0
}

impl<'g> TracesBuilder<'g> {
    pub(super) fn new(generator: &'g Traces, actors: Range<u64>, wanted: TableSet) -> Self {
        let rows = generator.tables[CALLS].room(actors.end - actors.start);
        let calls = if wanted.has(CALLS) { rows } else { 0 };
        let truths = if wanted.has(TRUTH_CALLS) { rows } else { 0 };
        Self {
            counts: Counts::over(generator.model.endpoints().len() * 2),
            call: CallColumns {
                call_id: Vec::with_capacity(16 * calls),
                session_id: Vec::with_capacity(16 * calls),
                user: Vec::with_capacity(calls),
                user_type: Vec::with_capacity(calls),
                endpoint: Vec::with_capacity(calls),
                parameters: Vec::with_capacity(calls),
                time: Vec::with_capacity(calls),
                response_time: Vec::with_capacity(calls),
                status: Vec::with_capacity(calls),
                size: Vec::with_capacity(calls),
                attempt: Vec::with_capacity(calls),
                retry_of: Vec::with_capacity(16 * calls),
            },
            call_truth: CallTruthColumns {
                call_id: Vec::with_capacity(16 * truths),
                fault: Vec::with_capacity(truths),
                base: Vec::with_capacity(truths),
            },
            generator,
            actors,
            wanted,
            user: 0,
            rows: 0,
            calls: Vec::with_capacity(256),
            truths: Vec::with_capacity(256),
            sessions: Vec::new(),
            session_truths: Vec::new(),
        }
    }
}

impl Observer<TraceRow, TraceTruth> for TracesBuilder<'_> {
    #[inline]
    fn emit(&mut self, row: TraceRow) {
        match row {
            TraceRow::Call(call) => self.calls.push(call),
            TraceRow::Session(session) if self.wanted.has(SESSIONS) => self.sessions.push((self.user, session)),
            TraceRow::Session(_) => {}
        }
    }

    #[inline]
    fn reveal(&mut self, truth: TraceTruth) {
        match truth {
            TraceTruth::Call(call) if self.wanted.has(TRUTH_CALLS) => self.truths.push(call),
            TraceTruth::Session(session) if self.wanted.has(TRUTH_SESSIONS) => self.session_truths.push(session),
            TraceTruth::Call(_) | TraceTruth::Session(_) => {}
        }
    }

    fn clipped(&mut self, what: &'static str) {
        self.counts.clip(what);
    }
}

impl Builder<TracesModel> for TracesBuilder<'_> {
    fn end_actor(&mut self) {
        let (rows, call) = (&self.calls, &mut self.call);
        self.rows += rows.len() as u64;
        for row in rows {
            self.counts.rows[usize::from(row.endpoint) * 2 + usize::from(row.is_retry())] += 1;
        }
        if self.wanted.has(CALLS) {
            for row in rows {
                call.call_id.extend_from_slice(&row.session.call(row.number, row.attempt).to_be_bytes());
                call.session_id.extend_from_slice(&row.session.uuid().to_be_bytes());
                call.retry_of.extend_from_slice(&row.session.call(row.number, 1).to_be_bytes());
            }
            call.user.extend(rows.iter().map(|_| self.user));
            call.user_type.extend(rows.iter().map(|row| i32::from(row.user_type)));
            call.endpoint.extend(rows.iter().map(|row| i32::from(row.endpoint)));
            call.parameters.extend(rows.iter().map(|row| i32::from(row.parameters)));
            call.time.extend(rows.iter().map(|row| row.time.0));
            call.response_time.extend(rows.iter().map(|row| milliseconds(row.response_time)));
            call.status.extend(rows.iter().map(|row| row.status as i16));
            call.size.extend(rows.iter().map(|row| row.response_size));
            call.attempt.extend(rows.iter().map(|row| i16::from(row.attempt)));
        }
        self.calls.clear();
        for truth in &self.truths {
            self.call_truth.call_id.extend_from_slice(&truth.session.call(truth.number, truth.attempt).to_be_bytes());
            self.call_truth.fault.push(truth.fault as i32);
            self.call_truth.base.push(milliseconds(truth.base_response_time));
        }
        self.truths.clear();
        self.user += 1;
    }

    fn rows(&self) -> u64 {
        self.rows
    }

    fn finish(self, _: u64, filled: &mut Filled<'_>) -> Counts {
        let Self { generator, actors, counts, call, call_truth, sessions, session_truths, .. } = self;
        let users = dictionary(actors.map(user_id));
        filled.put(CALLS, || {
            let retried: Vec<bool> = call.attempt.iter().map(|attempt| *attempt > 1).collect();
            let methods = call.endpoint.iter().map(|endpoint| generator.method_of_endpoint[*endpoint as usize]).collect();
            [
                ("call_id", uuids(call.call_id)),
                ("session_id", uuids(call.session_id)),
                ("user_id", codes(call.user, &users)),
                ("user_type", codes(call.user_type, &generator.user_types)),
                ("endpoint", codes(call.endpoint, &generator.endpoints)),
                ("method", codes(methods, &generator.methods)),
                ("params", codes(call.parameters, &generator.parameters)),
                ("timestamp", instants(call.time)),
                ("response_time_ms", floats(call.response_time)),
                ("status_code", shorts(call.status)),
                ("response_size_bytes", longs(call.size)),
                ("attempt", shorts(call.attempt)),
                ("retry_of", uuids_or_null(call.retry_of, retried)),
            ]
        });
        filled.put(TRUTH_CALLS, || {
            [
                ("call_id", uuids(call_truth.call_id)),
                ("fault", codes(call_truth.fault, &generator.faults)),
                ("base_response_time_ms", floats(call_truth.base)),
            ]
        });
        filled.put(SESSIONS, || {
            let rows = || sessions.iter().map(|(_, row)| row);
            [
                ("session_id", uuids(rows().flat_map(|row| row.id.uuid().to_be_bytes()).collect())),
                ("user_id", codes(sessions.iter().map(|(user, _)| *user).collect(), &users)),
                ("user_type", codes(rows().map(|row| i32::from(row.user_type)).collect(), &generator.user_types)),
                ("start", instants(rows().map(|row| row.start.0).collect())),
                ("end", instants(rows().map(|row| row.end.0).collect())),
                ("n_calls", longs(rows().map(|row| i64::from(row.calls)).collect())),
            ]
        });
        filled.put(TRUTH_SESSIONS, || {
            let rows = || session_truths.iter();
            let hit: NullBuffer = rows().map(|row| row.cascade_start.is_some()).collect();
            [
                ("session_id", uuids(rows().flat_map(|row| row.id.uuid().to_be_bytes()).collect())),
                ("is_cascade", booleans(rows().map(|row| row.cascade_start.is_some()).collect())),
                ("cascade_start", longs_or_null(rows().map(|row| row.cascade_start.map_or(0, i64::from)).collect(), &hit)),
                ("end_reason", codes(rows().map(|row| row.end_reason as i32).collect(), &generator.end_reasons)),
            ]
        });
        counts
    }
}
