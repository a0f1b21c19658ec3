//! Every bad document is told what is wrong with it.

use super::{model, traces, workflow};
use crate::support::{config, with};
use populace_core::scenario::Scenario;
use populace_core::traces::{TracesConfig, TracesModel};
use serde_json::{Value, json};

/// What is said of a document, a line for each problem.
fn problems(document: &Value) -> String {
    told(&config(document))
}

fn told(config: &TracesConfig) -> String {
    TracesModel::from_config(config).map_or_else(|error| error.to_string(), |_| String::new())
}

/// The built-in document with another workflow.
fn with_workflow(workflow: Value) -> Value {
    with(&traces(), "/workflow", workflow)
}

/// What a sound document is warned of, a line for each.
fn warnings(document: &Value) -> Vec<String> {
    model(document).warnings().iter().map(ToString::to_string).collect()
}

#[test]
fn every_bad_value_has_its_message() {
    let cases = [
        ("/population/users", json!(0), "population.users: must be from 1 to 1000000000000, got 0"),
        ("/window/days", json!(36_501), "window.days: must be from 1 to 36500, got 36501"),
        ("/window/start", json!("9999-12-02"), "window: must end by 9999-12-31"),
        (
            "/sessions/mean",
            json!(1),
            "sessions: no count on 1, 2, … has mean 1 and sd 2: the nearest found has mean 1.000 and sd 0.000; change one of the two",
        ),
        ("/sessions/sd", json!(-1), "sessions.sd: must be from 0 to 10000, got -1"),
        ("/cascade_failure_rate", json!(1.1), "cascade_failure_rate: must be from 0 to 1, got 1.1"),
        ("/cascade/start", json!(-0.5), "cascade.start: must be from 0 to 1, got -0.5"),
        ("/cascade/slow", json!(-0.1), "cascade.slow: must be from 0 to 1, got -0.1"),
        ("/cascade/slow", json!(0.75), "cascade: slow, timeout and unavailable must sum to at most 1, they sum to 1.1"),
        ("/cascade/slow_factor", json!([0.5, 2]), "cascade.slow_factor: must be a range 1 ≤ low ≤ high ≤ 1000, got 0.5 to 2"),
        ("/cascade/timeout_ms", json!(0), "cascade.timeout_ms: must be from 1 to 3600000, got 0"),
        ("/cascade/retry", json!(2), "cascade.retry: must be from 0 to 1, got 2"),
        (
            "/cascade/retry_delay_seconds",
            json!([2, 1]),
            "cascade.retry_delay_seconds: must be a range 0 ≤ low ≤ high ≤ 86400 in seconds, got 2 to 1",
        ),
        ("/delays/usual_seconds", json!([-1, 1]), "delays.usual_seconds: must be a range 0 ≤ low ≤ high ≤ 86400 in seconds, got -1 to 1"),
        (
            "/delays/thinking_seconds",
            json!([1, 1e6]),
            "delays.thinking_seconds: must be a range 0 ≤ low ≤ high ≤ 86400 in seconds, got 1 to 1000000",
        ),
        ("/delays/thinking", json!(1.5), "delays.thinking: must be from 0 to 1, got 1.5"),
        ("/response_times/default_mean_ms", json!(0), "response_times.default_mean_ms: must be from 1 to 600000, got 0"),
        ("/response_times/relative_sd", json!(11), "response_times.relative_sd: must be from 0 to 10, got 11"),
        ("/response_times/minimum_ms", json!(-5), "response_times.minimum_ms: must be from 0 to 600000, got -5"),
        (
            "/statuses/200",
            json!(0.9),
            "statuses: the shares must sum to 1, they sum to 0.95 (hint: add 0.05 to one of them, or divide each by 0.95)",
        ),
        ("/statuses", json!({}), "statuses: needs at least one weight"),
        ("/statuses", json!({"200": 0.9, "99": 0.1}), "statuses.99: must be an HTTP status code from 100 to 599"),
        ("/response_sizes/get_median_bytes", json!(0.5), "response_sizes.get_median_bytes: must be from 1 to 1000000000, got 0.5"),
        (
            "/response_sizes/other_median_bytes",
            json!(2e9),
            "response_sizes.other_median_bytes: must be from 1 to 1000000000, got 2000000000",
        ),
        ("/response_sizes/sigma", json!(2.5), "response_sizes.sigma: must be from 0 to 2, got 2.5"),
        ("/parameters/queries", json!([]), "parameters.queries: must name at least one"),
        ("/parameters/sorts/1", json!("a\"b"), "parameters.sorts.1: must be text without quotes, backslashes and control characters"),
        ("/parameters/pages", json!(0), "parameters.pages: must be from 1 to 1000, got 0"),
        ("/workflow/max_length", json!(0), "workflow.max_length: must be from 1 to 10000, got 0"),
        (
            "/workflow/user_type_distribution/free",
            json!(-0.5),
            "workflow.user_type_distribution: a weight must be finite and at least 0, got -0.5",
        ),
        (
            "/workflow/entry_points",
            json!({}),
            "workflow.entry_points: needs at least one entry point (hint: name where sessions start, such as `/api/login: 1.0`)",
        ),
        (
            "/workflow/transitions/~1api~1login/~1api~1products~1browse",
            json!(0.200_002),
            "workflow.transitions./api/login: the probabilities must sum to 1 within 0.000001, they sum to 1.000002 (hint: take \
             0.000002 from one of them, or divide each by 1.000002)",
        ),
        (
            "/workflow/transitions/~1api~1login",
            json!({"/api/users/{id}/profile": 0.333_333, "/api/products/browse": 0.333_333, "/api/logout": 0.333_333}),
            "workflow.transitions./api/login: the probabilities must sum to 1 within 0.000001, they sum to 0.999999 (hint: write 1/3 for \
             0.333333)",
        ),
        (
            "/workflow/transitions/~1api~1login/~1api~1products~1browse",
            json!(-0.2),
            "workflow.transitions./api/login./api/products/browse: must be a probability from 0 to 1, got -0.2",
        ),
        (
            "/workflow/avg_response_times/~1api~1logout",
            json!(5),
            "workflow.avg_response_times./api/logout: the bound 10 lies too far above the mean 5 for a standard deviation of 1.5",
        ),
        (
            "/workflow/avg_response_times/~1api~1logout",
            json!(0),
            "workflow.avg_response_times./api/logout: must be from 1 to 600000, got 0",
        ),
    ];
    for (pointer, value, message) in cases {
        assert_eq!(problems(&with(&traces(), pointer, value)), message, "{pointer}");
    }
}

#[test]
fn a_row_may_be_off_by_rounding() {
    let pointer = "/workflow/transitions/~1api~1login/~1api~1products~1browse";
    assert_eq!(problems(&with(&traces(), pointer, 0.200_000_9)), "");
}

#[test]
fn what_is_no_number_is_a_problem_everywhere() {
    type Change = fn(&mut TracesConfig, f64);
    let cases: [(Change, &str); 8] = [
        (|config, x| config.sessions.sd = x, "sessions.sd: must be from 0 to 10000, got NaN"),
        (|config, x| config.cascade.slow = x, "cascade.slow: must be from 0 to 1, got NaN"),
        (|config, x| config.cascade.slow_factor[1] = x, "cascade.slow_factor: must be a range 1 ≤ low ≤ high ≤ 1000, got 3 to NaN"),
        (|config, x| config.delays.thinking = x, "delays.thinking: must be from 0 to 1, got NaN"),
        (|config, x| config.response_times.relative_sd = x, "response_times.relative_sd: must be from 0 to 10, got NaN"),
        (|config, x| config.workflow.exit_probability = x, "workflow.exit_probability: must be from 0 to 1, got NaN"),
        (
            |config, x| _ = config.workflow.entry_points.insert("/api/login".into(), x),
            "workflow.entry_points./api/login: must be a probability from 0 to 1, got NaN",
        ),
        (
            |config, x| _ = config.workflow.avg_response_times.insert("/api/login".into(), x),
            "workflow.avg_response_times./api/login: must be from 1 to 600000, got NaN",
        ),
    ];
    for (change, message) in cases {
        let mut config: TracesConfig = config(&traces());
        change(&mut config, f64::NAN);
        assert_eq!(told(&config), message);
    }
}

/// The first example of the seed: `/api/browse` leads nowhere.
#[test]
fn the_first_example_has_exactly_one_dead_end() {
    let example = json!({
        "name": "ecommerce",
        "entry_points": {"/api/login": 0.6, "/api/browse": 0.4},
        "transitions": {
            "/api/login": {"/api/profile": 0.8, "/api/browse": 0.2},
            "/api/profile": {"/api/browse": 0.7, "/api/logout": 0.3},
        },
        "exit_points": ["/api/logout"],
        "avg_response_times": {"/api/login": 120, "/api/profile": 80, "/api/browse": 200},
    });
    assert_eq!(
        problems(&with_workflow(example)),
        "workflow.transitions./api/browse: dead end: it has no transitions and is not an exit point (hint: add transitions, or list it under \
         exit_points)"
    );
}

/// Its fourth example: `/metrics` is an exit point with transitions.
#[test]
fn the_fourth_example_passes_with_a_warning() {
    let example = json!({
        "name": "api_gateway",
        "entry_points": {"/health": 0.10, "/api/v1/login": 0.90},
        "transitions": {
            "/health": {"/metrics": 1.0},
            "/api/v1/login": {"/api/v1/users/me": 0.8, "/api/v1/logout": 0.2},
            "/api/v1/users/me": {"/api/v1/resources": 0.6, "/api/v1/logout": 0.4},
            "/api/v1/resources": {"/api/v1/resources/{id}": 0.9, "/api/v1/logout": 0.1},
            "/api/v1/resources/{id}": {"/api/v1/resources": 0.5, "/api/v1/logout": 0.5},
            "/metrics": {"/health": 1.0},
        },
        "exit_points": ["/api/v1/logout", "/metrics"],
    });
    let document = with_workflow(example);
    assert_eq!(
        warnings(&document),
        ["workflow.transitions./metrics: is an exit point, so its transitions never happen (hint: remove the transitions, or lower \
          exit_probability)"]
    );
    let model = model(&document);
    let config = &model.config().workflow;
    assert_eq!((config.max_length, config.exit_probability), (20, 1.0));
    let types: Vec<_> = config.user_type_distribution.iter().map(|(name, share)| (name.as_str(), *share)).collect();
    assert_eq!(types, [("free", 0.5), ("guest", 0.2), ("premium", 0.3)]);
    // What never happens is not told as true.
    let names = model.chain().names();
    assert!(model.chain().edges().all(|edge| names[edge.from] != "/metrics"));
    assert_eq!(model.chain().edges().count(), 9);
}

#[test]
fn what_is_odd_but_works_is_a_warning() {
    let mut document = traces();
    let workflow = document["workflow"].as_object_mut().unwrap();
    workflow["transitions"]["/api/help"] = json!({"/api/logout": 1.0});
    workflow["methods"]["/api/logoff"] = json!("DELETE");
    workflow["avg_response_times"]["/api/log-in"] = json!(100);
    assert_eq!(
        warnings(&document),
        [
            "workflow.transitions./api/help: no entry point leads here (hint: add a transition to it, or remove it)",
            "workflow.avg_response_times./api/log-in: the workflow has no such endpoint (hint: check the spelling, or remove it)",
            "workflow.methods./api/logoff: the workflow has no such endpoint (hint: check the spelling, or remove it)",
        ]
    );
    let model = model(&document);
    let help = model.endpoints().iter().position(|endpoint| endpoint.path == "/api/help").unwrap();
    assert!(!model.chain().is_reachable(help));
    assert!(model.chain().edges().all(|edge| edge.reachable == (edge.from != help)));
    for (name, _) in populace_core::traces::WORKFLOWS {
        assert_eq!(warnings(&with_workflow(super::workflow(name))), [""; 0], "{name}");
    }
    assert_eq!(super::workflow("ecommerce"), traces()["workflow"], "the workflow of the document is the built-in one");
}

#[test]
fn endpoints_that_are_one_where_paths_are_normalised_are_named() {
    let row =
        |next: &[&str]| next.iter().map(|name| ((*name).to_owned(), json!(1.0 / next.len() as f64))).collect::<serde_json::Map<_, _>>();
    let workflow = json!({
        "name": "folded",
        "entry_points": {"/v1/a": 1},
        "transitions": {"/v1/a": row(&["/v1/A", "/pet/{id}", "/pet/findByStatus", "/pet/{name}", "/pet/7"])},
        "exit_points": ["/v1/A", "/pet/{id}", "/pet/findByStatus", "/pet/{name}", "/pet/7"],
    });
    let told = |name: &str, first: &str, both: &str| {
        format!(
            "workflow.transitions.{name}: is one endpoint with {first} where paths are normalised: both are {both} (hint: let them differ by \
             more than capitals, numbers and the names of parameters)"
        )
    };
    let found = warnings(&with_workflow(workflow));
    assert_eq!(
        found,
        [told("/pet/{id}", "/pet/7", "/pet/{id}"), told("/pet/{name}", "/pet/7", "/pet/{id}"), told("/v1/a", "/v1/A", "/v1/a")]
    );
}

#[test]
fn a_loop_without_a_way_out_is_told_of_each_of_its_endpoints() {
    let mut simple = workflow("simple");
    simple["transitions"]["/start"] = json!({"/middle": 0.7, "/loop": 0.3});
    simple["transitions"]["/loop"] = json!({"/again": 1.0});
    simple["transitions"]["/again"] = json!({"/loop": 1.0});
    let hint = "no exit point can be reached from here (hint: add a way that leads to an exit point)";
    assert_eq!(problems(&with_workflow(simple)), format!("workflow.transitions./again: {hint}\nworkflow.transitions./loop: {hint}"));
}

#[test]
fn an_exit_point_that_may_go_on_needs_somewhere_to_go() {
    assert_eq!(
        problems(&with_workflow(with(&workflow("simple"), "/exit_probability", 0.75))),
        "workflow.transitions./end: is an exit point that goes on with probability 0.25, but has no transitions (hint: give it transitions, \
         or set exit_probability to 1)"
    );
}

#[test]
fn all_problems_are_told_at_once() {
    let mut document = traces();
    for (pointer, value) in [
        ("/population/users", json!(0)),
        ("/window/days", json!(0)),
        ("/sessions/mean", json!(0.5)),
        ("/cascade/retry", json!(-1)),
        ("/statuses/200", json!(0.5)),
        ("/response_sizes/sigma", json!(9)),
        ("/parameters/categories", json!([])),
    ] {
        document = with(&document, pointer, value);
    }
    document["workflow"] = json!({
        "name": "broken",
        "entry_points": {"/a": 0.5, "/b": 0.4},
        "transitions": {"/a": {"/b": 0.5, "/c": 0.6}, "/c": {"/d": 2.0}, "/d": {}, "/e": {"/e": 1.0}},
        "exit_points": [],
        "avg_response_times": {"/a": 0, "/c": 1e9, "/d": 4},
        "max_length": 0,
    });
    let paths: Vec<String> =
        problems(&document).lines().map(|line| line.split_once(": ").map_or(line, |(path, _)| path).to_owned()).collect();
    assert_eq!(
        paths,
        [
            "population.users",
            "window.days",
            "sessions.mean",
            "cascade.retry",
            "response_sizes.sigma",
            "workflow.avg_response_times./a",
            "workflow.avg_response_times./c",
            "workflow.max_length",
            "workflow.exit_points",
            "workflow.entry_points",
            "workflow.transitions./a",
            "workflow.transitions./b",
            "workflow.transitions./c./d",
            "workflow.transitions./d",
            "workflow.transitions./e",
            "statuses",
            "parameters.categories",
            "workflow.avg_response_times./d",
        ],
        "{}",
        problems(&document)
    );
}

#[test]
fn the_default_response_time_is_held_to_the_minimum_where_it_is_used() {
    let document = with(&traces(), "/response_times/default_mean_ms", 4);
    assert_eq!(problems(&document), "");
    let mut document = document;
    let times = document["workflow"]["avg_response_times"].as_object_mut().unwrap();
    times.retain(|path, _| path.starts_with("/api/cart"));
    assert_eq!(
        problems(&document),
        "response_times.default_mean_ms: the bound 10 lies too far above the mean 4 for a standard deviation of 1.2"
    );
}

#[test]
fn an_unknown_or_missing_key_is_an_error() {
    for pointer in ["", "/population", "/window", "/sessions", "/cascade", "/delays", "/response_times", "/response_sizes", "/workflow"] {
        let mut document = traces();
        document.pointer_mut(pointer).unwrap().as_object_mut().unwrap().insert("extra".into(), json!(1));
        let error = serde_json::from_value::<TracesConfig>(document).unwrap_err().to_string();
        assert!(error.contains("unknown field `extra`"), "{pointer}: {error}");
    }
    let mut document = traces();
    document["cascade"].as_object_mut().unwrap().remove("retry");
    assert!(serde_json::from_value::<TracesConfig>(document).unwrap_err().to_string().contains("missing field `retry`"));
}

#[test]
fn a_document_survives_being_written_and_read() {
    let config: TracesConfig = config(&traces());
    let written = serde_json::to_value(&config).unwrap();
    assert_eq!(serde_json::from_value::<TracesConfig>(written).unwrap(), config);
}
