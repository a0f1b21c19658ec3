//! What values version 2 changed, and nothing else: how recipients are dealt their personas, how churn's events and how calls are
//! numbered. Put back, the digests are those of version 1, which are on file.

use super::churn::Churn;
use super::email::Email;
use super::traces::Traces;
use super::{Builder, Filled, Tables};
use crate::catalogue;
use crate::digest::Digest;
use crate::document::{Graft, Request, Setting, Source};
use crate::generator::{Generator, TableSet};
use crate::table::uuids_or_null;
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch};
use populace_core::email::EmailModel;
use populace_core::plan::Shard;
use populace_core::scenario::Scenario;
use populace_core::stream::{ActorId, StreamKey};
use serde::de::DeserializeOwned;
use std::fmt::Write;

const SEED: u64 = 42;
const USERS: &str = "population.users";

fn tables<T: Tables<Model: Scenario<Config: DeserializeOwned>>>(request: &Request<'_>) -> T {
    let resolved = catalogue::resolve(request).unwrap_or_else(|problems| panic!("{problems}"));
    T::new(catalogue::model(&resolved).unwrap_or_else(|problems| panic!("{problems}")))
}

fn request<'a>(document: &'a str, settings: &'a [Setting<'a>]) -> Request<'a> {
    Request { settings, ..Request::new(Source::Named(document)) }
}

const fn set<'a>(path: &'a str, value: &'a str) -> Setting<'a> {
    Setting { option: "--set", path, value }
}

fn every_table(generator: &dyn Generator) -> TableSet {
    TableSet::of(generator.tables(), |_| true)
}

fn made(generator: &dyn Generator) -> Vec<Option<RecordBatch>> {
    let actors = 0..generator.population().actors;
    generator.simulate(SEED, &Shard { index: 0, actors }, every_table(generator)).finish(0).0
}

/// The lines that version 1 has on file of a run.
fn assert_digests(run: &str, generator: &dyn Generator, batches: Vec<Option<RecordBatch>>) {
    let mut lines: Vec<String> = Vec::new();
    for (index, (table, batch)) in generator.tables().iter().zip(batches).enumerate() {
        let batch = batch.or_else(|| generator.fixed(index)).expect("all tables are wanted");
        let digest = Digest::of(table, &batch, &mut Vec::new());
        let mut line = String::new();
        write!(line, "{run}: {}: {} {digest}", table.path(), digest.rows).expect("a text takes all");
        lines.push(line);
    }
    lines.sort();
    let of_run = include_str!("values-1.txt").lines().filter(|line| line.starts_with(&format!("{run}: ")));
    assert_eq!(lines, of_run.collect::<Vec<_>>());
}

#[test]
fn under_sequential_numbers_churn_has_the_values_of_version_1() {
    let churn: Churn = tables(&request("churn", &[set(USERS, "50"), set("event_ids", "sequential")]));
    assert_digests("churn -n 50", &churn, made(&churn));
}

/// The persona of each slot in version 1: of those whose next copy is not ahead of its share, the one whose next copy is due first.
fn interleaved(counts: &[u64]) -> Vec<usize> {
    let total: u64 = counts.iter().sum();
    let mut taken = vec![0_u64; counts.len()];
    let next = |place: u64| {
        let due = |index: usize, taken: &[u64]| (taken[index] + 1) as f64 / counts[index] as f64;
        let behind = (0..counts.len()).filter(|&index| taken[index] * total < place * counts[index]);
        let choice = behind.min_by(|&a, &b| due(a, &taken).total_cmp(&due(b, &taken))).expect("somebody is behind");
        taken[choice] += 1;
        choice
    };
    (1..=total).map(next).collect()
}

#[test]
fn dealt_in_turn_recipients_have_the_values_of_version_1() {
    let sixty = [set(USERS, "60")];
    let ten = [set(USERS, "10"), set("window.days", "20")];
    let dense = Request { profile: Some("dense"), ..request("email", &ten) };
    for (run, request) in [
        ("email -n 60", request("email", &sixty)),
        ("email-v1 -n 60", request("email-v1", &sixty)),
        ("email -n 10 -d 20 --profile dense", dense),
    ] {
        let email: Email = tables(&request);
        let counts: Vec<u64> = email.model().config().personas.values().map(|persona| u64::from(persona.count)).collect();
        let personas = interleaved(&counts);
        let (wanted, actors) = (every_table(&email), email.population().actors);
        let mut builder = email.builder(0..actors, wanted);
        let key = StreamKey::root(SEED, EmailModel::NAME);
        for actor in 0..actors {
            email.model().simulate_as(personas[(actor % 350) as usize], ActorId(actor), key, &mut builder);
            builder.end_actor();
        }
        let mut filled = Filled { tables: email.tables(), wanted, batches: vec![None; email.tables().len()] };
        builder.finish(0, &mut filled);
        assert_digests(run, &email, filled.batches);
    }
}

/// The ids of calls by the number of their row in the session, which they had in version 1; those of retries by that of the row before.
fn by_row(ids: &ArrayRef, back: u16) -> ArrayRef {
    const NUMBER: u128 = 0xFFFF;
    let ids = ids.as_fixed_size_binary();
    let (mut bytes, mut session, mut number) = (Vec::new(), 0, 0);
    for id in (0..ids.len()).map(|row| ids.value(row)) {
        let own = u128::from_be_bytes(id.try_into().expect("a UUID has 16 bytes")) & !NUMBER;
        number = if own == session { number + 1 } else { 1 };
        session = own;
        bytes.extend_from_slice(&(session | u128::from(number - back.min(number))).to_be_bytes());
    }
    uuids_or_null(bytes, vec![true; ids.len()])
}

#[test]
fn numbered_by_row_calls_have_the_values_of_version_1() {
    let users = set(USERS, "200");
    let microservices = populace_core::traces::WORKFLOWS[2].1;
    let microservices = [Graft {
        option: "--workflow",
        path: "workflow",
        beside: &[],
        source: Source::Text { name: "microservices", text: microservices },
    }];
    let (struck, calm) = ([users, set("cascade_failure_rate", "0.3")], [users]);
    for (run, request) in [
        ("traces -n 200 --cascade-failure-rate 0.3", request("traces", &struck)),
        ("traces -n 200 --workflow microservices", Request { grafts: &microservices, ..request("traces", &calm) }),
    ] {
        let traces: Traces = tables(&request);
        let mut batches = made(&traces);
        for (table, batch) in traces.tables().iter().zip(&mut batches) {
            let Some(batch) = batch.as_mut().filter(|_| table.name == "calls") else { continue };
            let column = |name: &str| batch.column(table.position(name).expect("a column of calls"));
            let ids = column("call_id");
            let columns: Vec<ArrayRef> = table
                .columns
                .iter()
                .map(|of| match of.name {
                    "call_id" => by_row(ids, 0),
                    "retry_of" => {
                        let (before, retries) = (by_row(ids, 1), column("retry_of"));
                        let bytes = before.as_fixed_size_binary().value_data().to_vec();
                        uuids_or_null(bytes, (0..retries.len()).map(|row| retries.is_valid(row)))
                    }
                    name => column(name).clone(),
                })
                .collect();
            *batch = table.batch(columns);
        }
        assert_digests(run, &traces, batches);
    }
}
