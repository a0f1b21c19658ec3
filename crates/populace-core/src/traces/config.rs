//! What you may set.

use crate::plan::PopulationConfig;
use crate::section::{Value, section};
use crate::time::Window;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

section! {
    /// API call sessions of a population: a Markov walk over a workflow, with cascade failures.
    pub struct TracesConfig {
        /// Who there is.
        population: PopulationConfig,
        /// When sessions start.
        window: Window,
        /// How many sessions a user has.
        sessions: SessionsConfig,
        /// Share of sessions hit by a cascade failure.
        cascade_failure_rate: f64 [0.0 ..= 1.0],
        /// What a cascade failure does.
        cascade: CascadeConfig,
        /// Time from the start of a call to the start of the next.
        delays: DelaysConfig,
        /// How long a call takes.
        response_times: ResponseTimesConfig,
        /// How a call ends when nothing is wrong: status code to probability.
        statuses: BTreeMap<String, f64>,
        /// How large a response is.
        response_sizes: ResponseSizesConfig,
        /// Parameters of search and browse calls.
        parameters: ParametersConfig,
        /// The chain of endpoints.
        workflow: WorkflowConfig,
    }

    /// The count of sessions of a user: a rounded normal, at least 1, solved to have exactly this mean and standard deviation.
    pub struct SessionsConfig {
        /// Mean sessions per user.
        mean: f64 [1.0 ..= 10_000.0],
        /// Standard deviation of the sessions per user.
        sd: f64 [0.0 ..= 10_000.0],
    }

    /// What happens to the calls of a session from its middle on. What the three shares leave is unaffected.
    pub struct CascadeConfig {
        /// Where the cascade starts, as a share of the session's calls: call floor(n × start) is the first.
        start: f64 [0.0 ..= 1.0],
        /// Share of calls that are slow.
        slow: f64 [0.0 ..= 1.0],
        /// By what a slow call's response time is multiplied: uniform from low to high.
        slow_factor: [f64; 2],
        /// Share of calls that time out with status 504.
        timeout: f64 [0.0 ..= 1.0],
        /// Response time of a call that times out, in milliseconds.
        timeout_ms: f64 [1.0 ..= 3_600_000.0],
        /// Share of calls refused with status 503.
        unavailable: f64 [0.0 ..= 1.0],
        /// Probability that a slow, timed-out or refused call is retried, once.
        retry: f64 [0.0 ..= 1.0],
        /// Wait from the end of a failed call to its retry, in seconds: uniform from low to high.
        retry_delay_seconds: [f64; 2],
    }

    /// Time from the start of a call to the start of the next, in seconds.
    pub struct DelaysConfig {
        /// The usual delay: uniform from low to high.
        usual_seconds: [f64; 2],
        /// A delay for thinking: uniform from low to high.
        thinking_seconds: [f64; 2],
        /// Probability of a delay for thinking.
        thinking: f64 [0.0 ..= 1.0],
    }

    /// A response time is normal around the endpoint's mean, redrawn while below the minimum.
    pub struct ResponseTimesConfig {
        /// Mean of an endpoint that the workflow gives none, in milliseconds.
        default_mean_ms: f64 [1.0 ..= 600_000.0],
        /// Standard deviation as a share of the mean.
        relative_sd: f64 [0.0 ..= 10.0],
        /// The least response time, in milliseconds.
        minimum_ms: f64 [0.0 ..= 600_000.0],
    }

    /// Response sizes are lognormal.
    pub struct ResponseSizesConfig {
        /// Median of a GET response, in bytes.
        get_median_bytes: f64 [1.0 ..= 1e9],
        /// Median of any other response, in bytes.
        other_median_bytes: f64 [1.0 ..= 1e9],
        /// Standard deviation of the logarithm.
        sigma: f64 [0.0 ..= 2.0],
    }

    /// What users search for and browse.
    pub struct ParametersConfig {
        /// Search terms, equally likely (parameter `q` of a path with a segment `search`).
        queries: Vec<String>,
        /// Sort orders, equally likely (parameter `sort`).
        sorts: Vec<String>,
        /// Categories, equally likely (parameter `category` of a path with a segment `browse`).
        categories: Vec<String>,
        /// Pages 1 to this, equally likely (parameter `page`, a string).
        pages: u32 [1 ..= 1_000],
    }

    /// A workflow: the seed's `WorkflowDefinition`.
    pub struct WorkflowConfig {
        /// Its name.
        name: String,
        /// Endpoint to the probability that a session starts there. Sums to 1.
        entry_points: BTreeMap<String, f64>,
        /// Endpoint to the probabilities of the next endpoint. Each row sums to 1.
        transitions: BTreeMap<String, BTreeMap<String, f64>>,
        /// Endpoints that end a session.
        exit_points: BTreeSet<String>,
        /// Endpoint to its mean response time in milliseconds.
        #[serde(default)]
        avg_response_times: BTreeMap<String, f64> [each 1.0 ..= 600_000.0],
        /// User type to its share.
        #[serde(default = "default_user_types")]
        user_type_distribution: BTreeMap<String, f64>,
        /// Endpoint to its HTTP method, where the rule by path segment does not fit.
        #[serde(default)]
        methods: BTreeMap<String, Method>,
        /// The most calls in a session; a session that reaches it is cut off.
        #[serde(default = "default_max_length")]
        max_length: u32 [1 ..= 10_000],
        /// Probability that an exit point ends the session when it is reached. Below 1 the session goes on by the exit point's own
        /// transitions.
        #[serde(default = "default_exit_probability")]
        exit_probability: f64 [0.0 ..= 1.0],
    }
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

impl Value for Method {}

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
