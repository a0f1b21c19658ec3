//! What the documents of a small shop, made for these tests, must be read as.

mod budgets;
mod families;
mod features;
mod laws;
mod messages;

use super::{Diagnostics, Library, Request, Resolved, Source};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Every shape that a family's configuration takes.
#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Shop {
    #[schemars(range(min = 1))]
    users: u32,
    #[schemars(with = "String", extend("format" = "date"))]
    start: String,
    personas: BTreeMap<String, Persona>,
    open_delay: Delay,
    billing: Billing,
    #[serde(default)]
    drift: Drift,
    /// An internally tagged enum whose variants are structs of their own.
    #[serde(default)]
    store: Option<Store>,
    #[serde(default)]
    attention: Attention,
    #[serde(default)]
    workflow: Option<Workflow>,
    #[serde(default)]
    note: Option<String>,
    #[serde(default)]
    hours: BTreeMap<u8, f64>,
    #[serde(default)]
    range: Option<(f64, f64)>,
    #[serde(default)]
    level: Level,
    #[serde(default)]
    strict: bool,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Persona {
    #[schemars(range(min = 0.0, max = 1.0))]
    open_rate: f64,
    #[serde(default)]
    #[schemars(length(min = 1, max = 3))]
    days: Option<Vec<Day>>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Day {
    /// The first.
    Monday,
    /// The second.
    Tuesday,
    /// The third.
    Wednesday,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum Delay {
    Attention { span_minutes: f64 },
    Exponential { mean_minutes: f64 },
}

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Store {
    Disk(Disk),
    Memory,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Disk {
    folder: String,
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Attention {
    #[default]
    Flat,
    Peak {
        hours: BTreeSet<u8>,
    },
    Factor(f64),
}

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Billing {
    Daily,
    Monthly,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Drift {
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    amplitude: f64,
    retries: Option<u8>,
}

impl Default for Drift {
    fn default() -> Self {
        Self { amplitude: 0.002, retries: None }
    }
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Level {
    #[default]
    None,
    Number(f64),
    Word(String),
    Both {
        low: f64,
        high: f64,
    },
    Named {
        label: String,
    },
}

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Workflow {
    name: String,
    entry_points: BTreeMap<String, f64>,
    transitions: BTreeMap<String, BTreeMap<String, f64>>,
    exit_points: BTreeSet<String>,
    #[serde(default)]
    avg_response_times: BTreeMap<String, f64>,
    #[serde(default)]
    user_type_distribution: BTreeMap<String, f64>,
    #[serde(default)]
    methods: BTreeMap<String, String>,
    #[serde(default)]
    max_length: Option<u32>,
    #[serde(default)]
    exit_probability: Option<f64>,
}

const SHOP: &str = "\
version: 1
scenario: shop
name: shop
description: Everything that a document can hold.
users: 10
start: 2025-10-01
personas:
  owl:
    open_rate: .28
  lark:
    open_rate: 0.35
    days: [monday, tuesday]
open_delay:
  kind: attention
  span_minutes: 240
billing: daily
profiles:
  dense:
    users: 1000
    drift: {amplitude: .5}
";

const LITERAL: &str = "extends: shop\nname: shop-literal\nopen_delay: {kind: exponential, mean_minutes: 240}\n";

static LIBRARY: Library = Library::new(&[("shop", SHOP), ("shop-literal", LITERAL)]);

fn schema_of(family: &str) -> Option<Value> {
    (family == "shop").then(|| schemars::schema_for!(Shop).to_value())
}

fn resolve(request: &Request<'_>) -> Result<Resolved, Diagnostics> {
    LIBRARY.resolve(request, schema_of)
}

/// A document that builds on the built-in one, so that each test says only what it is about.
fn resolve_text(text: &str) -> Result<Resolved, Diagnostics> {
    resolve(&Request::new(Source::Text { name: "my.yaml", text }))
}

fn shop(resolved: &Resolved) -> Shop {
    serde_json::from_value(resolved.config.clone()).expect("what was checked can be read")
}
