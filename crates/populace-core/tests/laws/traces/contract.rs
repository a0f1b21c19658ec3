//! What users of the scenario rely on: figures, the other workflows, prefixes, pairing.

use super::laws::transition_rows;
use super::samples::{Sample, Session};
use super::{model, traces, with_cascades, workflow};
use crate::support::{SIGMAS, chi_square, collect, scaled, share, with};
use populace_core::markov::Edge;
use populace_core::time::{Date, SECOND};
use populace_core::traces::{CallRow, EndReason, Method, TraceRow, TracesModel};
use serde_json::{Value, json};

#[test]
fn the_default_workflow_has_the_documented_figures() {
    let model = model(&traces());
    let expected = model.expected();
    let confirmation = model.endpoints().iter().position(|endpoint| endpoint.path == "/api/confirmation").unwrap();
    assert!((expected.mean_length - 7.709).abs() < 5e-4, "{}", expected.mean_length);
    assert!((expected.truncated - 0.028).abs() < 5e-4, "{}", expected.truncated);
    assert!((expected.calls_by_endpoint[confirmation] / expected.sessions - 0.216).abs() < 5e-4);
    assert!((expected.sessions - 3_000.0).abs() < 1e-6);
    assert!((expected.calls - 23_127.0).abs() < 3.0 && expected.retries == 0.0, "{expected:?}");
}

/// Observed counts lie within the bound of their expectation; the variance is that of the sessions' own values.
fn assert_total(what: &str, values: &[f64], expected: f64) {
    let n = values.len() as f64;
    let total: f64 = values.iter().sum();
    let variance = values.iter().map(|value| (value - total / n).powi(2)).sum::<f64>();
    assert!((total - expected).abs() <= SIGMAS * variance.sqrt(), "{what}: {total}, expected {expected} ± {}", SIGMAS * variance.sqrt());
}

#[test]
fn expectations_are_the_totals_of_a_large_simulation() {
    let walks = with(&with_cascades(), "/population/users", 10_000);
    for document in
        [with(&walks, "/cascade/start", 0.25), with(&walks, "/workflow", workflow("microservices")), with(&walks, "/workflow", on_and_on())]
    {
        let sample = Sample::new(&document, 5, 10_000);
        let expected = sample.model.expected();
        let scale = sample.sessions.len() as f64 / expected.sessions;
        let by_session =
            |of: &dyn Fn(&Session) -> usize| -> Vec<f64> { sample.sessions.iter().map(|session| of(session) as f64).collect() };
        let retries = |session: &Session| sample.rows(session).iter().filter(|row| row.attempt == 2).count();
        assert_total("calls", &by_session(&|session| session.row.calls as usize), expected.calls * scale);
        assert_total("retries", &by_session(&retries), expected.retries * scale);
        let cut_off = |session: &Session| usize::from(session.truth.is_some_and(|truth| truth.end_reason == EndReason::MaxLength));
        assert_total("cut off", &by_session(&cut_off), expected.truncated * sample.sessions.len() as f64);
        for (endpoint, calls) in expected.calls_by_endpoint.iter().enumerate() {
            let visits = |session: &Session| sample.calls(session).filter(|call| usize::from(call.row.endpoint) == endpoint).count();
            assert_total(sample.path(endpoint as u16), &by_session(&visits), calls * scale);
        }
    }
}

#[test]
fn the_simple_workflow_follows_its_three_transitions() {
    let sample = Sample::new(&with(&traces(), "/workflow", workflow("simple")), 3, 5_000);
    let rows: [(&str, &[(&str, f64)]); 2] = [("/start", &[("/middle", 0.7), ("/end", 0.3)]), ("/middle", &[("/end", 1.0)])];
    transition_rows(&sample, &sample.transitions(), &rows).unwrap();
    assert_eq!(sample.entries()[usize::from(sample.endpoint("/start").unwrap())], sample.sessions.len());
    let long = sample.sessions.iter().filter(|session| session.row.calls == 3).count();
    share("sessions of three calls", long, sample.sessions.len(), 0.7).unwrap();
    assert!(sample.sessions.iter().all(|session| session.truth.is_some_and(|truth| truth.end_reason == EndReason::Exit)));
}

/// Each row of counts against a workflow document.
fn assert_rows(sample: &Sample, workflow: &Value) {
    let row =
        |row: &Value| -> Vec<(String, f64)> { row.as_object().unwrap().iter().map(|(to, p)| (to.clone(), p.as_f64().unwrap())).collect() };
    let rows: Vec<(String, Vec<(String, f64)>)> =
        workflow["transitions"].as_object().unwrap().iter().map(|(from, own)| (from.clone(), row(own))).collect();
    let rows: Vec<(&str, Vec<(&str, f64)>)> =
        rows.iter().map(|(from, row)| (from.as_str(), row.iter().map(|(to, p)| (to.as_str(), *p)).collect())).collect();
    let rows: Vec<(&str, &[(&str, f64)])> = rows.iter().map(|(from, row)| (*from, row.as_slice())).collect();
    transition_rows(sample, &sample.transitions(), &rows).unwrap();
}

#[test]
fn the_microservices_follow_their_document() {
    let microservices = workflow("microservices");
    let sample = Sample::new(&with(&traces(), "/workflow", microservices.clone()), 3, 8_000);
    assert_rows(&sample, &microservices);
    for service in ["gateway", "auth", "users", "products", "search", "cart", "checkout", "payment", "orders", "reviews"] {
        assert!(sample.model.endpoints().iter().any(|endpoint| endpoint.path.split('/').nth(1) == Some(service)), "{service}");
    }
}

/// The simple workflow, but that a session that reaches an exit point goes on with probability .25.
fn on_and_on() -> Value {
    let mut simple = with(&workflow("simple"), "/exit_probability", 0.75);
    simple["transitions"]["/end"] = json!({"/start": 0.4, "/middle": 0.6});
    simple["max_length"] = json!(9);
    simple
}

#[test]
fn an_exit_point_may_let_a_session_go_on() {
    let document = with(&traces(), "/workflow", on_and_on());
    let sample = Sample::new(&document, 4, 8_000);
    assert_rows(&sample, &on_and_on());
    let (mut ends, mut visits) = (0, 0);
    for session in &sample.sessions {
        for call in sample.calls(session).filter(|call| sample.path(call.row.endpoint) == "/end") {
            visits += 1;
            ends += usize::from(call.index + 1 == session.row.calls as usize);
            // At the greatest length the truth tells an exit from a cut.
            let cut = session.truth.is_some_and(|truth| truth.end_reason == EndReason::MaxLength);
            ends -= usize::from(cut && call.index + 1 == session.row.calls as usize);
        }
        assert!(session.row.calls <= 9);
    }
    share("exits that end a session", ends, visits, 0.75).unwrap();

    // The session that always ends at an exit is the beginning of the one that may go on.
    let mut always = on_and_on();
    always["exit_probability"] = json!(1.0);
    let always = Sample::new(&with(&traces(), "/workflow", always), 4, 500);
    for (short, long) in always.sessions.iter().zip(&sample.sessions) {
        let (short, long) = (always.rows(short), sample.rows(long));
        assert_eq!(short, &long[..short.len()]);
    }
}

#[test]
fn sessions_of_a_user_have_the_mean_and_the_deviation_asked_for() {
    for (mean, sd) in [(1.0, 0.0), (1.5, 0.8), (4.0, 2.0), (2.0, 2.0), (12.0, 0.6), (30.0, 9.0)] {
        let document = with(&with(&traces(), "/sessions", json!({"mean": mean, "sd": sd})), "/workflow", workflow("simple"));
        let n = (60_000.0 / mean) as u64;
        let sample = Sample::new(&document, 6, n);
        let mut counts = vec![0_usize; n as usize];
        for session in &sample.sessions {
            counts[session.user as usize] += 1;
        }
        assert!(counts.iter().all(|count| *count >= 1));
        let observed = sample.sessions.len() as f64 / n as f64;
        assert!((observed - mean).abs() <= SIGMAS * sd / (n as f64).sqrt(), "{mean} ± {sd}: {observed}");
        let squares: Vec<f64> = counts.iter().map(|&count| (count as f64 - mean).powi(2)).collect();
        let variance = squares.iter().sum::<f64>() / n as f64;
        let spread = (squares.iter().map(|square| (square - variance).powi(2)).sum::<f64>() / n as f64 / n as f64).sqrt();
        assert!((variance - sd * sd).abs() <= SIGMAS * spread, "{mean} ± {sd}: variance {variance} ± {spread}");
        // The whole count, by the model's own law.
        let law: Vec<f64> = (0..400).map(|count| sample.model.sessions().probability(count)).collect();
        let mut cells = vec![0; law.len()];
        for count in counts {
            cells[count] += 1;
        }
        chi_square("sessions", &cells, &law).unwrap();
    }
}

#[test]
fn without_a_rate_nothing_is_struck() {
    let sample = Sample::new(&traces(), 1, 1_000);
    let unstruck = |row: &CallRow| matches!(row.status, 200 | 400 | 500) && row.attempt == 1;
    assert!(sample.all_rows().iter().all(unstruck));
    assert!(sample.sessions.iter().all(|session| session.truth.is_some_and(|truth| truth.cascade_start.is_none())));
    // With a rate of 1, every session is.
    let sample = Sample::new(&with(&traces(), "/cascade_failure_rate", 1), 1, 100);
    assert!(sample.sessions.iter().all(|session| session.truth.is_some_and(|truth| truth.cascade_start == Some(session.row.calls / 2))));
}

#[test]
fn methods_follow_the_segments_of_a_path_unless_the_workflow_says_otherwise() {
    for (path, method) in [
        ("/api/login", Method::Post),
        ("/cart/remove/all", Method::Post),
        ("/users/update", Method::Put),
        ("/settings", Method::Put),
        ("/address", Method::Get),
        ("/payments", Method::Get),
        ("/logins/login-form", Method::Get),
    ] {
        assert_eq!(Method::of_path(path), method, "{path}");
    }
    let mut document = traces();
    document["workflow"]["methods"] = json!({"/api/logout": "DELETE", "/api/cart": "PATCH", "/api/login": "GET"});
    let model = model(&document);
    let method = |path: &str| model.endpoints().iter().find(|endpoint| endpoint.path == path).unwrap().method;
    assert_eq!(
        ["/api/logout", "/api/cart", "/api/login", "/api/payment"].map(method),
        [Method::Delete, Method::Patch, Method::Get, Method::Post]
    );
}

/// The rows of one actor.
fn rows(model: &TracesModel, actor: u64) -> Vec<TraceRow> {
    collect(model, 42, [actor]).rows.into_iter().map(|(_, row)| row).collect()
}

#[test]
fn a_user_alone_is_the_user_of_the_full_run_however_many_there_are() {
    let few = collect(&model(&with_cascades()), 42, 0..40).rows;
    let many = model(&with(&with_cascades(), "/population/users", 1_000_000));
    for actor in [0, 17, 39] {
        let of_run: Vec<TraceRow> = few.iter().filter(|(of, _)| of.0 == actor).map(|(_, row)| *row).collect();
        assert_eq!(rows(&many, actor), of_run);
    }
}

/// What a caller does whatever is wrong: the id of each call, endpoint, parameters.
fn paths(sample: &Sample) -> Vec<(u128, u16, u16)> {
    sample
        .every_call()
        .map(|(_, call)| (call.row.session.call(call.row.number, call.row.attempt), call.row.endpoint, call.row.parameters))
        .collect()
}

fn sample(document: &Value) -> Sample {
    Sample::new(document, 42, 300)
}

#[test]
fn cascades_leave_paths_starts_and_base_response_times_alone() {
    let base = |sample: &Sample| -> Vec<_> {
        let calls = sample.every_call();
        calls.map(|(session, call)| (session.row.start, call.truth.base_response_time, call.row.response_size)).collect()
    };
    let calm = sample(&traces());
    for rate in [0.3, 0.6] {
        let struck = sample(&with(&traces(), "/cascade_failure_rate", rate));
        assert_eq!((paths(&calm), base(&calm)), (paths(&struck), base(&struck)));
        for (a, b) in calm.sessions.iter().zip(&struck.sessions) {
            if b.truth.is_some_and(|truth| truth.cascade_start.is_none()) {
                assert_eq!((a.row, calm.rows(a)), (b.row, struck.rows(b)), "a session that is not struck is what it was");
            }
        }
    }
    // Whoever is struck at a lower rate is struck at a higher, and alike.
    let [some, more] = [0.3, 0.6].map(|rate| sample(&with(&traces(), "/cascade_failure_rate", rate)));
    let mut both = 0;
    for (a, b) in some.sessions.iter().zip(&more.sessions).filter(|(a, _)| a.truth.is_some_and(|truth| truth.cascade_start.is_some())) {
        assert_eq!((a.row, some.rows(a)), (b.row, more.rows(b)));
        both += 1;
    }
    assert!(both > 200 && both < some.sessions.len() / 2, "{both}");
}

#[test]
fn one_parameter_moves_what_it_rules_and_nothing_else() {
    type Kept = fn(&Sample) -> Vec<String>;
    // All but the times of calls; all but response times, and times behind them; all but what cascades do.
    let untimed: Kept = |sample| {
        sample.told().map(|(row, truth)| format!("{:?}", (row.session, row.endpoint, row.status, row.response_size, truth))).collect()
    };
    let untold: Kept = |sample| {
        let calls = sample.every_call();
        calls
            .map(|(session, call)| format!("{:?}", (session.row.start, call.row.endpoint, call.row.parameters, call.row.response_size)))
            .collect()
    };
    let cases: [(&str, f64, Kept); 8] = [
        ("/delays/thinking", 2.0, untimed),
        ("/delays/usual_seconds/1", 1.5, untimed),
        ("/cascade/retry_delay_seconds/1", 1.5, untimed),
        ("/response_times/relative_sd", 0.5, untold),
        ("/workflow/avg_response_times/~1api~1cart", 2.0, untold),
        ("/cascade/slow_factor/1", 0.8, untold),
        ("/cascade/retry", 0.5, untold),
        ("/cascade/timeout", 0.5, untold),
    ];
    let before = sample(&with_cascades());
    for (pointer, factor, kept) in cases {
        let after = sample(&scaled(&with_cascades(), pointer, factor));
        assert_eq!(kept(&before), kept(&after), "{pointer}");
        assert_ne!(before.all_rows(), after.all_rows(), "{pointer}");
    }
}

#[test]
fn another_window_moves_starts_alone() {
    let [before, after] = ["2026-01-01", "2026-03-01"].map(|start| sample(&with(&with_cascades(), "/window/start", start)));
    let moved = Date::from_ymd(2026, 3, 1).unwrap().midnight().since(Date::from_ymd(2026, 1, 1).unwrap().midnight());
    let later = |row: &CallRow| CallRow { time: row.time.plus(moved), ..*row };
    assert!(before.all_rows().iter().map(later).eq(after.all_rows().iter().copied()));
}

#[test]
fn two_parameters_of_different_mechanisms_commute() {
    // What a doubled share of thinking adds to the starts of calls is the same with and without cascades, where nobody is made to wait.
    let document = |thinking: f64, rate: f64| with(&with(&traces(), "/delays/thinking", thinking), "/cascade_failure_rate", rate);
    let [calm, calm_slow, struck, struck_slow] =
        [(0.1, 0.0), (0.2, 0.0), (0.1, 0.3), (0.2, 0.3)].map(|(thinking, rate)| sample(&document(thinking, rate)));
    let starts = |sample: &Sample| -> Vec<i64> {
        let calls = sample.every_call();
        calls.map(|(session, call)| call.row.time.since(session.row.start)).collect()
    };
    let gained = |slow: &Sample, usual: &Sample| -> Vec<i64> {
        starts(slow).into_iter().zip(starts(usual)).map(|(slow, usual)| slow - usual).collect()
    };
    let (calm, struck) = (gained(&calm_slow, &calm), gained(&struck_slow, &struck));
    // The least delay is 1 s; only a longer response can keep a caller from its delay, and none of these sessions has one.
    assert_eq!(calm, struck);
    assert!(calm.iter().any(|gain| *gain > 5 * SECOND));
}

#[test]
fn the_chain_is_told_as_it_is_written() {
    let model = model(&traces());
    let names = model.chain().names();
    let document = traces();
    let edges: Vec<Edge> = model.chain().edges().collect();
    assert_eq!(edges.len(), 40);
    for edge in edges {
        let written = &document["workflow"]["transitions"][&names[edge.from]][&names[edge.to]];
        assert_eq!((Some(edge.probability), edge.reachable), (written.as_f64(), true));
    }
}

#[test]
fn the_values_are_those_of_this_version() {
    let model = model(&with_cascades());
    let rows: Vec<TraceRow> = (0..20).flat_map(|actor| rows(&model, actor)).collect();
    let digest = rows.iter().fold(0xCBF2_9CE4_8422_2325_u64, |hash, row| {
        shown(&model, row).bytes().fold(hash, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
    });
    let first: Vec<String> = rows.iter().take(5).map(|row| shown(&model, row)).collect();
    assert_eq!(
        first,
        [
            "4cba899c86898a6cbf318fbf24100004 1768181482263214 free /api/login {} 130029 µs 200 640 B 1",
            "4cba899c86898a6cbf318fbf24100008 1768181486042837 free /api/users/{id}/profile {} 74343 µs 500 2713 B 1",
            "4cba899c86898a6cbf318fbf2410000c 1768181490201528 free /api/logout {} 46265 µs 200 2616 B 1",
            "4cba899c86898a6cbf318fbf24100000 1768181482263214 1768181490247793 3",
            "7bb343eb18a28c2cbcc9d57e38ed0004 1767302264059850 premium /api/login {} 104138 µs 200 557 B 1",
        ]
    );
    assert_eq!((rows.len(), digest), (567, 12_341_575_711_342_444_259));
}

/// A row on one line.
fn shown(model: &TracesModel, row: &TraceRow) -> String {
    match row {
        TraceRow::Call(row) => format!(
            "{:032x} {} {} {} {} {} µs {} {} B {}",
            row.session.call(row.number, row.attempt),
            row.time.0,
            model.user_types()[usize::from(row.user_type)],
            model.endpoints()[usize::from(row.endpoint)].path,
            model.parameters()[usize::from(row.parameters)],
            row.response_time,
            row.status,
            row.response_size,
            row.attempt
        ),
        TraceRow::Session(row) => format!("{:032x} {} {} {}", row.id.uuid(), row.start.0, row.end.0, row.calls),
    }
}
