//! Sessions against the tables of sessions and of truth.

use crate::support::{Run, actors};
use populace_analysis::source::{As, Columns, Side, Want};
use populace_analysis::traces::{CALL_COLUMNS, Endpoints, Law, Session};
use populace_core::traces::TracesModel;
use std::collections::HashMap;

#[test]
fn sessions_told_from_the_calls_are_those_of_the_simulation() {
    let run = Run::new("traces", 4, &[("population.users", "200"), ("cascade_failure_rate", "0.3")]);
    let mut known = HashMap::new();
    let wants = [Want::new("session_id", As::Text), Want::new("n_calls", As::Int)];
    for batch in run.source().table("sessions").unwrap().read(&wants).unwrap() {
        let batch = batch.unwrap();
        for row in 0..batch.num_rows() {
            known.insert(batch.text("session_id").value(row).to_owned(), batch.int("n_calls").value(row));
        }
    }
    let model: TracesModel = run.source().model().unwrap();
    let law = Law::new(&model);
    let mut endpoints = Endpoints::new(law.names().iter().cloned());
    let (mut sessions, mut retries, mut retried) = (0, 0, 0);
    for calls in actors(&run.source(), "session_id", Side { table: "calls", wants: &CALL_COLUMNS, time: Some("timestamp") }) {
        let session = Session::new(&mut endpoints, &calls);
        sessions += 1;
        assert_eq!(session.walk().count() as i64, known[&session.id]);
        retries += session.calls.iter().filter(|call| call.is_retry).count();
        retried += session.calls.iter().filter(|call| call.is_retried).count();
        let walk: Vec<usize> = session.walk().map(|call| call.endpoint).collect();
        assert!(law.entries()[walk[0]] > 0.0);
        assert!(walk.windows(2).all(|pair| law.transitions()[pair[0]].contains_key(&pair[1])));
    }
    assert_eq!(endpoints.names().len(), law.names().len());
    assert_eq!((sessions, retries), (known.len(), retried));
    assert!(retries > 100, "{retries} retries");
}

#[test]
fn the_laws_of_the_document_are_those_of_the_model() {
    let run = Run::new("traces", 4, &[("population.users", "1")]);
    let model: TracesModel = run.source().model().unwrap();
    let law = Law::new(&model);
    let mut edges = 0;
    for edge in model.chain().edges() {
        assert!((law.transitions()[edge.from][&edge.to] - edge.probability).abs() < 1e-12);
        edges += 1;
    }
    assert_eq!(law.transitions().iter().map(std::collections::BTreeMap::len).sum::<usize>(), edges);
    for (state, endpoint) in model.endpoints().iter().enumerate() {
        for ms in [12.0, 50.0, 150.0, 400.0] {
            assert!((law.response_cdf(state, ms) - endpoint.response_time_ms.cdf(ms)).abs() < 1e-9);
            let response = law.response(state);
            let difference = (response.cdf(ms + 0.01) - response.cdf(ms - 0.01)) / 0.02;
            assert!((response.density(ms) - difference).abs() < 1e-6);
        }
    }
}
