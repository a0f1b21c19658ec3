//! The tables of `traces`.

mod builder;
mod columns;

use crate::family::{Component, Shortcut, Takes};
use crate::generator::{Axes, ExpectedGroup, TableSet};
use crate::table::{Table, booleans, codes, dictionary, floats};
use crate::tables::Tables;
use arrow_array::{ArrayRef, RecordBatch};
use builder::TracesBuilder;
use populace_core::traces::{self, EndReason, Fault, Method, TracesModel};
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

impl Tables for Traces {
    type Model = TracesModel;
    type Builder<'a> = TracesBuilder<'a>;
    const DOCUMENTS: &'static [(&'static str, &'static str)] = traces::DOCUMENTS;
    const SHORTCUTS: &'static [Shortcut] = &[Shortcut::new(
        "cascade-failure-rate",
        "cascade_failure_rate",
        Takes::Number,
        "SHARE",
        "share of sessions hit by a cascade failure",
    )];
    const COMPONENT: Option<Component> = Some(Component {
        name: "workflow",
        builtins: traces::WORKFLOWS,
        keys: &["entry_points", "transitions"],
        beside: &[],
        help: "the workflow, a WorkflowDefinition file or a built-in one (ecommerce, simple, microservices)",
    });

    fn new(model: TracesModel) -> Self {
        Self {
            tables: columns::tables(&model),
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

    fn model(&self) -> &TracesModel {
        &self.model
    }

    fn list(&self) -> &[Table] {
        &self.tables
    }

    fn labels(&self) -> Axes {
        Axes {
            rows_name: "endpoint",
            rows: self.model.endpoints().iter().map(|endpoint| endpoint.path.clone()).collect(),
            columns: vec!["calls".into(), "retries".into()],
        }
    }

    fn rows_of_model(&self, table: usize) -> Option<RecordBatch> {
        let chain = self.model.chain();
        Some(match table {
            TRANSITIONS => {
                let edges: Vec<_> = chain.edges().collect();
                self.tables[table].rows(&[
                    ("from", codes(edges.iter().map(|edge| edge.from as i32).collect(), &self.endpoints)),
                    ("to", codes(edges.iter().map(|edge| edge.to as i32).collect(), &self.endpoints)),
                    ("probability", floats(edges.iter().map(|edge| edge.probability).collect())),
                    ("reachable", booleans(edges.iter().map(|edge| edge.reachable).collect())),
                ])
            }
            ENTRIES => {
                let entries: Vec<_> = chain.entries().collect();
                self.tables[table].rows(&[
                    ("endpoint", codes(entries.iter().map(|entry| entry.0 as i32).collect(), &self.endpoints)),
                    ("probability", floats(entries.iter().map(|entry| entry.1).collect())),
                ])
            }
            _ => return None,
        })
    }

    fn builder(&self, actors: Range<u64>, wanted: TableSet) -> TracesBuilder<'_> {
        TracesBuilder::new(self, actors, wanted)
    }

    fn volumes(&self) -> (Vec<(String, String)>, Vec<ExpectedGroup>) {
        let expected = self.model.expected();
        let endpoints = self.model.endpoints().iter().zip(&expected.calls_by_endpoint);
        let facts = vec![
            ("mean calls in a session".into(), format!("{:.3}", expected.mean_length)),
            ("sessions cut off at max_length".into(), format!("{:.2}%", 100.0 * expected.truncated)),
        ];
        let groups = vec![
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
        ];
        (facts, groups)
    }
}
