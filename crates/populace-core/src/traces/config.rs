//! What you may set.

use crate::plan::{PopulationConfig, WindowConfig};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// API call sessions of a population: a Markov walk over a workflow, with cascade failures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct TracesConfig {
    /// Who there is.
    pub population: PopulationConfig,
    /// When sessions start.
    pub window: WindowConfig,
    /// How many sessions a user has.
    pub sessions: SessionsConfig,
    /// Share of sessions hit by a cascade failure.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 1.0)))]
    pub cascade_failure_rate: f64,
    /// What a cascade failure does.
    pub cascade: CascadeConfig,
    /// Time from the start of a call to the start of the next.
    pub delays: DelaysConfig,
    /// How long a call takes.
    pub response_times: ResponseTimesConfig,
    /// How a call ends when nothing is wrong: status code to probability.
    pub statuses: BTreeMap<String, f64>,
    /// How large a response is.
    pub response_sizes: ResponseSizesConfig,
    /// Parameters of search and browse calls.
    pub parameters: ParametersConfig,
    /// The chain of endpoints.
    pub workflow: WorkflowConfig,
}

/// The count of sessions of a user: a rounded normal, at least 1, solved to have exactly this mean and standard deviation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SessionsConfig {
    /// Mean sessions per user.
    #[cfg_attr(feature = "schema", schemars(range(min = 1.0, max = 10_000.0)))]
    pub mean: f64,
    /// Standard deviation of the sessions per user.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 10_000.0)))]
    pub sd: f64,
}

/// What happens to the calls of a session from its middle on. What the three shares leave is unaffected.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CascadeConfig {
    /// Where the cascade starts, as a share of the session's calls: call floor(n × start) is the first.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 1.0)))]
    pub start: f64,
    /// Share of calls that are slow.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 1.0)))]
    pub slow: f64,
    /// By what a slow call's response time is multiplied: uniform from low to high.
    pub slow_factor: [f64; 2],
    /// Share of calls that time out with status 504.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 1.0)))]
    pub timeout: f64,
    /// Response time of a call that times out, in milliseconds.
    #[cfg_attr(feature = "schema", schemars(range(min = 1.0, max = 3_600_000.0)))]
    pub timeout_ms: f64,
    /// Share of calls refused with status 503.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 1.0)))]
    pub unavailable: f64,
    /// Probability that a slow, timed-out or refused call is retried, once.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 1.0)))]
    pub retry: f64,
    /// Wait from the end of a failed call to its retry, in seconds: uniform from low to high.
    pub retry_delay_seconds: [f64; 2],
}

/// Time from the start of a call to the start of the next, in seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DelaysConfig {
    /// The usual delay: uniform from low to high.
    pub usual_seconds: [f64; 2],
    /// A delay for thinking: uniform from low to high.
    pub thinking_seconds: [f64; 2],
    /// Probability of a delay for thinking.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 1.0)))]
    pub thinking: f64,
}

/// A response time is normal around the endpoint's mean, redrawn while below the minimum.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ResponseTimesConfig {
    /// Mean of an endpoint that the workflow gives none, in milliseconds.
    #[cfg_attr(feature = "schema", schemars(range(min = 1.0, max = 600_000.0)))]
    pub default_mean_ms: f64,
    /// Standard deviation as a share of the mean.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 10.0)))]
    pub relative_sd: f64,
    /// The least response time, in milliseconds.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 600_000.0)))]
    pub minimum_ms: f64,
}

/// Response sizes are lognormal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ResponseSizesConfig {
    /// Median of a GET response, in bytes.
    #[cfg_attr(feature = "schema", schemars(range(min = 1.0, max = 1e9)))]
    pub get_median_bytes: f64,
    /// Median of any other response, in bytes.
    #[cfg_attr(feature = "schema", schemars(range(min = 1.0, max = 1e9)))]
    pub other_median_bytes: f64,
    /// Standard deviation of the logarithm.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 2.0)))]
    pub sigma: f64,
}

/// What users search for and browse.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ParametersConfig {
    /// Search terms, equally likely (parameter `q` of a path with a segment `search`).
    pub queries: Vec<String>,
    /// Sort orders, equally likely (parameter `sort`).
    pub sorts: Vec<String>,
    /// Categories, equally likely (parameter `category` of a path with a segment `browse`).
    pub categories: Vec<String>,
    /// Pages 1 to this, equally likely (parameter `page`, a string).
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 1_000)))]
    pub pages: u32,
}

/// A workflow: the seed's `WorkflowDefinition`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct WorkflowConfig {
    /// Its name.
    pub name: String,
    /// Endpoint to the probability that a session starts there. Sums to 1.
    pub entry_points: BTreeMap<String, f64>,
    /// Endpoint to the probabilities of the next endpoint. Each row sums to 1.
    pub transitions: BTreeMap<String, BTreeMap<String, f64>>,
    /// Endpoints that end a session.
    pub exit_points: BTreeSet<String>,
    /// Endpoint to its mean response time in milliseconds.
    #[serde(default)]
    pub avg_response_times: BTreeMap<String, f64>,
    /// User type to its share.
    #[serde(default = "default_user_types")]
    pub user_type_distribution: BTreeMap<String, f64>,
    /// Endpoint to its HTTP method, where the rule by path segment does not fit.
    #[serde(default)]
    pub methods: BTreeMap<String, Method>,
    /// The most calls in a session; a session that reaches it is cut off.
    #[serde(default = "default_max_length")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 10_000)))]
    pub max_length: u32,
    /// Probability that an exit point ends the session when it is reached. Below 1 the session goes on by the exit point's own
    /// transitions.
    #[serde(default = "default_exit_probability")]
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 1.0)))]
    pub exit_probability: f64,
}

/// The shares of user types that a `WorkflowDefinition` has when it names none.
fn default_user_types() -> BTreeMap<String, f64> {
    [("premium", 0.3), ("free", 0.5), ("guest", 0.2)].map(|(name, share)| (name.to_owned(), share)).into()
}

/// The cut-off of a `WorkflowDefinition` that gives none.
fn default_max_length() -> u32 {
    20
}

/// Exit points end every session unless the workflow says otherwise.
fn default_exit_probability() -> f64 {
    1.0
}

/// An HTTP method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// GET.
    Get,
    /// POST.
    Post,
    /// PUT.
    Put,
    /// DELETE.
    Delete,
    /// PATCH.
    Patch,
}

impl Method {
    /// As it is written on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Patch => "PATCH",
        }
    }

    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::Get, Self::Post, Self::Put, Self::Delete, Self::Patch];

    /// The method of a path by its segments: POST for login, add, remove, payment, checkout; PUT for update, settings; else GET.
    pub fn of_path(path: &str) -> Self {
        let has = |words: &[&str]| path.split('/').any(|segment| words.contains(&segment));
        if has(&["login", "add", "remove", "payment", "checkout"]) {
            Self::Post
        } else if has(&["update", "settings"]) {
            Self::Put
        } else {
            Self::Get
        }
    }
}
