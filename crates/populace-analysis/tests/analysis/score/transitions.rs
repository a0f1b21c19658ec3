//! Transition tables: verdicts by sampling theory.

use super::Bench;
use crate::support::{Run, actors};
use populace_analysis::score::{Options, Predictor, Scorecard};
use populace_analysis::source::{As, Columns, Side, Want};
use populace_analysis::traces::{CALL_COLUMNS, Endpoints, Session};
use std::collections::BTreeMap;
use std::fmt::Write;

type Table = BTreeMap<(String, String), f64>;

/// The table of the truth.
fn truth(run: &Run) -> Table {
    let wants = [Want::new("from", As::Text), Want::new("to", As::Text), Want::new("probability", As::Float)];
    let mut table = Table::new();
    for batch in run.source().table("truth/transitions").unwrap().read(&wants).unwrap() {
        let batch = batch.unwrap();
        for row in 0..batch.num_rows() {
            let edge = (batch.text("from").value(row).to_owned(), batch.text("to").value(row).to_owned());
            table.insert(edge, batch.float("probability").value(row));
        }
    }
    table
}

/// How often each transition was taken.
fn counts(run: &Run) -> Table {
    let mut endpoints = Endpoints::default();
    let mut table = Table::new();
    for calls in actors(&run.source(), "session_id", Side { table: "calls", wants: &CALL_COLUMNS, time: Some("timestamp") }) {
        let session = Session::new(&mut endpoints, &calls);
        let walk: Vec<usize> = session.walk().map(|call| call.endpoint).collect();
        for step in walk.windows(2) {
            let name = |place: usize| endpoints.names()[place].clone();
            *table.entry((name(step[0]), name(step[1]))).or_default() += 1.0;
        }
    }
    table
}

fn frequencies(counts: &Table) -> Table {
    let mut departures: BTreeMap<&String, f64> = BTreeMap::new();
    for ((from, _), count) in counts {
        *departures.entry(from).or_default() += count;
    }
    counts.iter().map(|((from, to), count)| ((from.clone(), to.clone()), count / departures[from])).collect()
}

fn file(table: &Table) -> String {
    let mut text = "from,to,probability\n".to_owned();
    for ((from, to), probability) in table {
        writeln!(text, "{from},{to},{probability}").unwrap();
    }
    text
}

fn group<'a>(card: &'a Scorecard, by: &str, name: &str) -> &'a BTreeMap<String, f64> {
    &card.groups.iter().find(|group| group.by == by && group.name == name).unwrap().values
}

#[test]
fn frequencies_pass_and_the_truth_passes_and_a_wrong_edge_fails() {
    // Cascades repeat calls, which are no transitions.
    let bench = Bench::new(Run::new("traces", 5, &[("population.users", "400"), ("cascade_failure_rate", "0.3")]));
    let strict = Options { alpha: Some(0.01), ..Options::default() };
    let score = |table: &Table| bench.score("transitions", &file(table), &strict).unwrap();
    let (truth, counts) = (truth(&bench.run), counts(&bench.run));

    let card = score(&frequencies(&counts));
    assert!(card.passed(), "{:?}", card.verdicts);
    let of = |predictor, name| card.metric(predictor, name).unwrap().value;
    assert!((of(Predictor::Model, "total_variation") - of(Predictor::Observable, "total_variation")).abs() < 1e-12);
    assert!(of(Predictor::Model, "total_variation") > 0.0);
    // Each edge by the formula: p (1 − p) over the departures.
    let p = truth[&("/api/login".to_owned(), "/api/products/browse".to_owned())];
    let n: f64 = counts.iter().filter(|((from, _), _)| from == "/api/login").map(|(_, count)| count).sum();
    let edge = group(&card, "edge", "/api/login → /api/products/browse");
    assert!((edge["standard_error"] - (p * (1.0 - p) / n).sqrt()).abs() < 1e-12);
    assert!((edge["z"] - (edge["estimate"] - p) / edge["standard_error"]).abs() < 1e-9);
    // Over all edges, z has variance 1 of the edges that are free: of a row of k edges, k − 1.
    let squares: f64 = card.groups.iter().filter_map(|group| group.values.get("z")).map(|z| z * z).sum();
    let edges = card.groups.iter().filter(|group| group.values.contains_key("z")).count() as f64;
    assert!(squares < edges + 5.0 * (2.0 * edges).sqrt() && squares > 0.2 * edges, "{squares} of {edges}");

    let exact = score(&truth);
    assert!(exact.passed() && exact.metric(Predictor::Model, "total_variation").unwrap().value < 1e-12);

    // A step of 0.08 along one edge of many departures is more than sampling.
    let mut wrong = truth.clone();
    for (to, change) in [("/api/users/{id}/profile", -0.08), ("/api/products/browse", 0.08)] {
        *wrong.get_mut(&("/api/login".to_owned(), to.to_owned())).unwrap() += change;
    }
    let card = score(&wrong);
    assert!(!card.passed());
    assert!(card.notes.iter().any(|note| note.contains("differ from the truth by more than sampling: /api/login")), "{:?}", card.notes);
    assert!((group(&card, "state", "/api/login")["total_variation"] - 0.08).abs() < 1e-9);
}

#[test]
fn the_verdict_is_wrong_as_often_as_its_level_says() {
    // Frequencies of independent runs against the truth: at a level of 0.2, Holm's test may fail in at most a fifth of the runs.
    let runs = 40;
    let failed = (0..runs)
        .filter(|&seed| {
            let bench = Bench::new(Run::new("traces", 100 + seed, &[("population.users", "60"), ("workflow.max_length", "15")]));
            let table = file(&frequencies(&counts(&bench.run)));
            !bench.score("transitions", &table, &Options { alpha: Some(0.2), ..Options::default() }).unwrap().passed()
        })
        .count();
    // P(Binomial(40, 0.2) > 20) is 1e-6.
    assert!(failed <= 20, "{failed} of {runs}");
}

#[test]
fn the_size_of_the_sample_that_was_learned_from_counts() {
    let bench = Bench::new(Run::new("traces", 6, &[("population.users", "300")]));
    let mut table = truth(&bench.run);
    for (to, change) in [("/api/users/{id}/profile", -0.05), ("/api/products/browse", 0.05)] {
        *table.get_mut(&("/api/login".to_owned(), to.to_owned())).unwrap() += change;
    }
    let text = |n: u32| {
        let rows = file(&table);
        let rows = rows.lines().map(|line| if line.starts_with("from") { format!("{line},n\n") } else { format!("{line},{n}\n") });
        rows.collect::<String>()
    };
    let passed = |n| bench.score("transitions", &text(n), &Options { alpha: Some(0.01), ..Options::default() }).unwrap().passed();
    // What twenty departures may well give, ten thousand do not.
    assert!(passed(20) && !passed(10_000));
}

#[test]
fn bad_tables_are_named() {
    let bench = Bench::new(Run::new("traces", 7, &[("population.users", "50")]));
    let truth = truth(&bench.run);
    let good = file(&truth);
    let error = |text: &str| bench.score("transitions", text, &Options::default()).unwrap_err();
    // A sum may miss 1 by 0.001, whatever adding it up costs.
    for (share, fits) in [("0.199", true), ("0.201", true), ("0.198", false), ("0.202", false)] {
        let text = good.replace("/api/login,/api/products/browse,0.2", &format!("/api/login,/api/products/browse,{share}"));
        assert_eq!(bench.score("transitions", &text, &Options::default()).is_ok(), fits, "{share}");
    }
    for (change, what) in [
        (("/api/login,/api/products/browse,0.2", "/api/login,/api/products/browse,0.3"), "the probabilities from /api/login sum to 1.1"),
        (
            ("/api/login,/api/products/browse,0.2", "/api/login,/api/products/browse,NaN"),
            "/api/login → /api/products/browse: probability is NaN",
        ),
        (("/api/login,/api/products/browse,0.2", "/api/login,/api/products/browse,-0.2"), "probability is -0.2, and must be a probability"),
        (
            ("/api/login,/api/products/browse,0.2", "/api/login,/api/product,0.2"),
            "row 12: column to: `/api/product` is not an endpoint of the workflow\nhint: endpoints: /api/cart, ",
        ),
        (
            ("/api/login,/api/products/browse,0.2", "/api/login,/api/users/{id}/profile,0.2"),
            "/api/login → /api/users/{id}/profile appears more than once",
        ),
    ] {
        let text = good.replacen(change.0, change.1, 1);
        assert_ne!(text, good);
        let error = error(&text);
        assert!(error.contains(what), "{error}");
    }
    let without = |state: &str| -> String { good.split_inclusive('\n').filter(|line| !line.starts_with(&format!("{state},"))).collect() };
    assert!(error(&without("/api/login")).contains("no transition from /api/login, a state that sessions of the run have left"));
    let subset = Options { subset: true, ..Options::default() };
    assert_eq!(bench.score("transitions", &without("/api/login"), &subset).unwrap().counts["states without an estimate"], 1);
    assert!(error("from,to,probability\n").contains("has no rows"));

    // A transition that cannot happen is named, and fails.
    let text = good.replacen("/api/login,/api/products/browse,0.2", "/api/login,/api/products/browse,0.1\n/api/login,/api/payment,0.1", 1);
    let card = bench.score("transitions", &text, &Options { alpha: Some(0.01), ..Options::default() }).unwrap();
    assert!(!card.passed() && card.notes.iter().any(|note| note.contains("/api/login → /api/payment (0.1)")));
    let level = Options { alpha: Some(1.5), ..Options::default() };
    assert!(bench.score("transitions", &good, &level).unwrap_err().contains("--alpha: must lie between 0 and 1"));
}
