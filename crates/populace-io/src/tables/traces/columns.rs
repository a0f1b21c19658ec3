//! What the tables of `traces` hold.

use crate::table::{Column, InstantText, Kind, Table};
use populace_core::traces::TracesModel;

/// The tables, in the order of their numbers.
pub(super) fn tables(model: &TracesModel) -> Vec<Table> {
    let expected = model.expected();
    let calls_per_user = (expected.calls + expected.retries) / expected.users;
    let sessions_per_user = expected.sessions / expected.users;
    let micros = Kind::Instant(InstantText::Micros);
    let calls = vec![
        Column::new(
            "call_id",
            Kind::Uuid,
            "Id of the call: its session's id with 4 × the call's number in the walk, from 1, in the last 16 bits; 1 more of a retry",
        ),
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
        Table::new("calls", false, "One API call, or one retry of a call", calls, calls_per_user)
            .ordered_by("timestamp")
            .keyed_by(&["user_id", "session_id", "call_id"])
            .of_actor("user_id"),
        Table::new("sessions", false, "One session", sessions, sessions_per_user)
            .ordered_by("start")
            .keyed_by(&["user_id", "session_id"])
            .of_actor("user_id"),
        Table::new("transitions", true, "One transition of the workflow that can happen", transitions, 0.0).keyed_by(&["from", "to"]),
        Table::new("entries", true, "One entry point of the workflow", entries, 0.0).keyed_by(&["endpoint"]),
        Table::new("sessions", true, "What was planned for a session", truth_sessions, sessions_per_user).keyed_by(&["session_id"]),
        Table::new("calls", true, "What became of a call", truth_calls, calls_per_user).keyed_by(&["call_id"]),
    ]
}
