//! The tables of `traces`.

use crate::generator::{Axes, Expected, ExpectedGroup, Generator, Simulated, TableSet, Tally};
use crate::table::{Column, InstantText, Kind, Table, booleans, codes, dictionary, floats, instants, longs, shorts, uuids, uuids_or_null};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_buffer::NullBuffer;
use populace_core::plan::{Population, Shard};
use populace_core::scenario::{Observer, Problem, Scenario};
use populace_core::stream::StreamKey;
use populace_core::traces::{CallRow, CallTruth, EndReason, Fault, Method, SessionRow, SessionTruth, TraceRow, TraceTruth, TracesModel};
use std::ops::Range;

const CALLS: usize = 0;
const SESSIONS: usize = 1;
const TRANSITIONS: usize = 2;
const ENTRIES: usize = 3;
const TRUTH_SESSIONS: usize = 4;
const TRUTH_CALLS: usize = 5;

/// The generator of `traces`.
pub struct Traces {
    model: TracesModel,
    tables: Vec<Table>,
    endpoints: ArrayRef,
    methods: ArrayRef,
    method_of_endpoint: Vec<i32>,
    user_types: ArrayRef,
    parameters: ArrayRef,
    faults: ArrayRef,
    end_reasons: ArrayRef,
}

fn tables(model: &TracesModel) -> Vec<Table> {
    let expected = model.expected();
    let calls_per_user = (expected.calls + expected.retries) / expected.users;
    let sessions_per_user = expected.sessions / expected.users;
    let micros = Kind::Instant(InstantText::Micros);
    let calls = vec![
        Column::new("call_id", Kind::Uuid, "Id of the call: its session's id with the number of the row in the last 16 bits"),
        Column::new("session_id", Kind::Uuid, "Id of the session"),
        Column::new("user_id", Kind::Text, "Id of the user"),
        Column::new("user_type", Kind::Text, "Type of the user"),
        Column::new("endpoint", Kind::Text, "Path of the endpoint"),
        Column::new("method", Kind::Text, "HTTP method"),
        Column::new("params", Kind::Json, "Request parameters"),
        Column::new("timestamp", micros, "Start of the call, UTC"),
        Column::new("response_time_ms", Kind::Fixed(3), "Time to the response, milliseconds"),
        Column::new("status_code", Kind::Int16, "HTTP status code"),
        Column::new("response_size_bytes", Kind::Int64, "Size of the response, bytes"),
        Column::new("attempt", Kind::Int16, "1, or 2 for a retry"),
        Column::nullable("retry_of", Kind::Uuid, "Id of the call that this one retries"),
    ];
    let sessions = vec![
        Column::new("session_id", Kind::Uuid, "Id of the session"),
        Column::new("user_id", Kind::Text, "Id of the user"),
        Column::new("user_type", Kind::Text, "Type of the user"),
        Column::new("start", micros, "Start of the first call, UTC"),
        Column::new("end", micros, "End of the last response, UTC"),
        Column::new("n_calls", Kind::Int64, "Number of calls, retries not counted"),
    ];
    let transitions = vec![
        Column::new("from", Kind::Text, "Endpoint left"),
        Column::new("to", Kind::Text, "Endpoint entered"),
        Column::new("probability", Kind::Float, "P(next call is `to` | at `from` and the session goes on)"),
        Column::new("reachable", Kind::Bool, "Whether any session can reach `from`"),
    ];
    let entries =
        vec![Column::new("endpoint", Kind::Text, "Endpoint"), Column::new("probability", Kind::Float, "P(a session starts here)")];
    let truth_sessions = vec![
        Column::new("session_id", Kind::Uuid, "Id of the session"),
        Column::new("is_cascade", Kind::Bool, "Whether a cascade failure hit the session"),
        Column::nullable("cascade_start", Kind::Int64, "Index of the first call that the cascade can hit, from 0, retries not counted"),
        Column::new("end_reason", Kind::Text, "`exit`, or `max_length` where the session was cut off"),
    ];
    let truth_calls = vec![
        Column::new("call_id", Kind::Uuid, "Id of the call"),
        Column::new("fault", Kind::Text, "What a cascade did to the call: `none`, `slow`, `timeout`, `unavailable`"),
        Column::new("base_response_time_ms", Kind::Fixed(3), "Response time without the fault, milliseconds"),
    ];
    vec![
        Table::new("calls", false, "One API call, or one retry of a call", calls, calls_per_user).ordered_by("timestamp"),
        Table::new("sessions", false, "One session", sessions, sessions_per_user).ordered_by("start"),
        Table::new("transitions", true, "One transition of the workflow that can happen", transitions, 0.0),
        Table::new("entries", true, "One entry point of the workflow", entries, 0.0),
        Table::new("sessions", true, "What was planned for a session", truth_sessions, sessions_per_user),
        Table::new("calls", true, "What became of a call", truth_calls, calls_per_user),
    ]
}

impl Traces {
    /// The generator of a checked model.
    pub fn new(model: TracesModel) -> Self {
        Self {
            tables: tables(&model),
            endpoints: dictionary(model.endpoints().iter().map(|endpoint| &endpoint.path)),
            methods: dictionary(Method::ALL.map(Method::as_str)),
            method_of_endpoint: model.endpoints().iter().map(|endpoint| endpoint.method as i32).collect(),
            user_types: dictionary(model.user_types()),
            parameters: dictionary(model.parameters()),
            faults: dictionary(Fault::ALL.map(Fault::as_str)),
            end_reasons: dictionary(EndReason::ALL.map(EndReason::as_str)),
            model,
        }
    }
}

/// The id of a user, by number.
fn user_id(actor: u64) -> String {
    format!("user_{}", actor + 1)
}

impl Generator for Traces {
    fn family(&self) -> &'static str {
        TracesModel::NAME
    }

    fn tables(&self) -> &[Table] {
        &self.tables
    }

    fn main_table(&self) -> usize {
        CALLS
    }

    fn axes(&self) -> Axes {
        Axes {
            rows_name: "endpoint",
            rows: self.model.endpoints().iter().map(|endpoint| endpoint.path.clone()).collect(),
            columns: vec!["calls".into(), "retries".into()],
        }
    }

    fn population(&self) -> Population {
        self.model.population()
    }

    fn period(&self) -> Range<i64> {
        self.model.window().begin().0..self.model.window().end().0
    }

    fn warnings(&self) -> &[Problem] {
        self.model.warnings()
    }

    fn fixed(&self, table: usize) -> Option<RecordBatch> {
        let chain = self.model.chain();
        let columns = match table {
            TRANSITIONS => {
                let edges: Vec<_> = chain.edges().collect();
                vec![
                    codes(edges.iter().map(|edge| edge.from as i32).collect(), &self.endpoints),
                    codes(edges.iter().map(|edge| edge.to as i32).collect(), &self.endpoints),
                    floats(edges.iter().map(|edge| edge.probability).collect()),
                    booleans(edges.iter().map(|edge| edge.reachable).collect()),
                ]
            }
            ENTRIES => {
                let entries: Vec<_> = chain.entries().collect();
                vec![
                    codes(entries.iter().map(|entry| entry.0 as i32).collect(), &self.endpoints),
                    floats(entries.iter().map(|entry| entry.1).collect()),
                ]
            }
            _ => return None,
        };
        Some(self.tables[table].batch(columns))
    }

    fn simulate(&self, seed: u64, shard: &Shard, wanted: TableSet) -> Box<dyn Simulated + '_> {
        let mut builder = Builder::new(self, shard.actors.clone(), wanted);
        let key = StreamKey::root(seed, TracesModel::NAME);
        for actor in shard.ids() {
            self.model.simulate(actor, key, &mut builder);
            builder.flush();
            builder.user += 1;
        }
        Box::new(builder)
    }

    fn expected(&self) -> Expected {
        let expected = self.model.expected();
        let window = self.model.window();
        let endpoints = self.model.endpoints().iter().zip(&expected.calls_by_endpoint);
        Expected {
            facts: vec![
                ("users".into(), format!("{}", expected.users)),
                ("period".into(), format!("{} to {} ({} days)", window.start, window.start.plus(window.days as i32), window.days)),
                ("mean calls in a session".into(), format!("{:.3}", expected.mean_length)),
                ("sessions cut off at max_length".into(), format!("{:.2}%", 100.0 * expected.truncated)),
            ],
            groups: vec![
                ExpectedGroup {
                    title: "rows".into(),
                    columns: vec!["expected".into()],
                    rows: vec![
                        ("sessions".into(), vec![expected.sessions]),
                        ("calls".into(), vec![expected.calls]),
                        ("retries".into(), vec![expected.retries]),
                    ],
                },
                ExpectedGroup {
                    title: "calls by endpoint".into(),
                    columns: vec!["expected".into()],
                    rows: endpoints.map(|(endpoint, calls)| (endpoint.path.clone(), vec![*calls])).collect(),
                },
            ],
        }
    }
}

/// Collects the rows of a user, then spreads them over the columns in one tight loop a column.
struct Builder<'g> {
    generator: &'g Traces,
    actors: Range<u64>,
    wanted: TableSet,
    /// Number of the user within the shard.
    user: i32,
    rows: u64,
    tally: Vec<u64>,
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

impl<'g> Builder<'g> {
    fn new(generator: &'g Traces, actors: Range<u64>, wanted: TableSet) -> Self {
        let users = (actors.end - actors.start) as f64;
        let rows = (generator.tables[CALLS].rows_per_actor * users * 1.1) as usize + 64;
        let calls = if wanted.has(CALLS) { rows } else { 0 };
        let truths = if wanted.has(TRUTH_CALLS) { rows } else { 0 };
        Self {
            tally: vec![0; generator.model.endpoints().len() * 2],
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

    fn flush(&mut self) {
        let (rows, call) = (&self.calls, &mut self.call);
        self.rows += rows.len() as u64;
        for row in rows {
            self.tally[usize::from(row.endpoint) * 2 + usize::from(row.attempt > 1)] += 1;
        }
        if self.wanted.has(CALLS) {
            for row in rows {
                call.call_id.extend_from_slice(&row.session.call(row.number).to_be_bytes());
                call.session_id.extend_from_slice(&row.session.uuid().to_be_bytes());
                call.retry_of.extend_from_slice(&row.retry_of.map_or(0, |number| row.session.call(number)).to_be_bytes());
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
            self.call_truth.call_id.extend_from_slice(&truth.session.call(truth.number).to_be_bytes());
            self.call_truth.fault.push(truth.fault as i32);
            self.call_truth.base.push(milliseconds(truth.base_response_time));
        }
        self.truths.clear();
    }
}

impl Observer<TraceRow, TraceTruth> for Builder<'_> {
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
        unreachable!("nothing of traces is clipped: {what}");
    }
}

impl Simulated for Builder<'_> {
    fn main_rows(&self) -> u64 {
        self.rows
    }

    fn finish(self: Box<Self>, _: u64) -> (Vec<Option<RecordBatch>>, Tally) {
        let Self { generator, actors, wanted, tally, call, call_truth, sessions, session_truths, .. } = *self;
        let users = dictionary(actors.map(user_id));
        let mut batches = vec![None; generator.tables.len()];
        if wanted.has(CALLS) {
            let retried: Vec<bool> = call.attempt.iter().map(|attempt| *attempt > 1).collect();
            let methods = call.endpoint.iter().map(|endpoint| generator.method_of_endpoint[*endpoint as usize]).collect();
            batches[CALLS] = Some(generator.tables[CALLS].batch(vec![
                uuids(call.call_id),
                uuids(call.session_id),
                codes(call.user, &users),
                codes(call.user_type, &generator.user_types),
                codes(call.endpoint, &generator.endpoints),
                codes(methods, &generator.methods),
                codes(call.parameters, &generator.parameters),
                instants(call.time),
                floats(call.response_time),
                shorts(call.status),
                longs(call.size),
                shorts(call.attempt),
                uuids_or_null(call.retry_of, retried),
            ]));
        }
        if wanted.has(TRUTH_CALLS) {
            batches[TRUTH_CALLS] = Some(generator.tables[TRUTH_CALLS].batch(vec![
                uuids(call_truth.call_id),
                codes(call_truth.fault, &generator.faults),
                floats(call_truth.base),
            ]));
        }
        if wanted.has(SESSIONS) {
            let rows = || sessions.iter().map(|(_, row)| row);
            batches[SESSIONS] = Some(generator.tables[SESSIONS].batch(vec![
                uuids(rows().flat_map(|row| row.id.uuid().to_be_bytes()).collect()),
                codes(sessions.iter().map(|(user, _)| *user).collect(), &users),
                codes(rows().map(|row| i32::from(row.user_type)).collect(), &generator.user_types),
                instants(rows().map(|row| row.start.0).collect()),
                instants(rows().map(|row| row.end.0).collect()),
                longs(rows().map(|row| i64::from(row.calls)).collect()),
            ]));
        }
        if wanted.has(TRUTH_SESSIONS) {
            let rows = || session_truths.iter();
            let hit: NullBuffer = rows().map(|row| row.cascade_start.is_some()).collect();
            batches[TRUTH_SESSIONS] = Some(generator.tables[TRUTH_SESSIONS].batch(vec![
                uuids(rows().flat_map(|row| row.id.uuid().to_be_bytes()).collect()),
                booleans(rows().map(|row| row.cascade_start.is_some()).collect()),
                crate::table::longs_or_null(rows().map(|row| row.cascade_start.map_or(0, i64::from)).collect(), &hit),
                codes(rows().map(|row| row.end_reason as i32).collect(), &generator.end_reasons),
            ]));
        }
        (batches, Tally { counts: tally, clipped: std::collections::BTreeMap::new() })
    }
}
