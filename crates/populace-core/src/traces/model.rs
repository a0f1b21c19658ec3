//! What the document means: everything that does not depend on the user, checked and prepared.

use super::config::{Method, TracesConfig};
use super::endpoints::folded;
use super::sessions::session_counts;
use crate::dist::{Bernoulli, Categorical, LogNormal, Tabulated, TruncatedNormal, UniformF64};
use crate::markov::{Chain, ChainSpec, ROW_TOLERANCE, mend, shown};
use crate::scenario::{Checker, ConfigError, Problem};
use crate::section;
use crate::stream::{below, unit};
use crate::time::{SECOND, Window};
use std::collections::BTreeMap;

/// Ten minutes.
const MAX_RESPONSE_MS: f64 = 600_000.0;

/// The checked scenario.
#[derive(Clone, Debug)]
pub struct TracesModel {
    pub(super) config: TracesConfig,
    pub(super) window: Window,
    pub(super) chain: Chain,
    pub(super) warnings: Vec<Problem>,
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) user_types: Vec<String>,
    pub(super) user_type: Categorical,
    pub(super) sessions: Tabulated,
    pub(super) status_codes: Vec<u16>,
    pub(super) status: Categorical,
    pub(super) delay: Delay,
    pub(super) cascade: Cascade,
    pub(super) exit: Bernoulli,
    pub(super) parameters: Vec<String>,
}

/// An endpoint and the laws of its calls.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Its path.
    pub path: String,
    /// Its HTTP method.
    pub method: Method,
    /// Its mean response time in milliseconds, before truncation.
    pub mean_ms: f64,
    /// Its response time in milliseconds.
    pub response_time_ms: TruncatedNormal,
    /// Its response size in bytes.
    pub response_size: LogNormal,
    pub(super) parameters: ParameterRange,
}

/// Which rows of the parameter table an endpoint draws from.
#[derive(Clone, Copy, Debug)]
pub(super) struct ParameterRange {
    pub(super) first: u16,
    pub(super) count: u16,
}

impl ParameterRange {
    #[inline]
    pub(super) fn pick(self, word: u64) -> u16 {
        self.first + below(word, u64::from(self.count)) as u16
    }
}

/// The delay between calls: one word decides the kind, and what is left of it the length.
#[derive(Clone, Debug)]
pub(super) struct Delay {
    usual: f64,
    usual_seconds: [f64; 2],
    thinking_seconds: [f64; 2],
}

impl Delay {
    /// In microseconds.
    #[inline]
    pub(super) fn at(&self, word: u64) -> i64 {
        let u = unit(word);
        let (place, [low, high]) = if u < self.usual {
            (u / self.usual, self.usual_seconds)
        } else {
            ((u - self.usual) / (1.0 - self.usual), self.thinking_seconds)
        };
        ((low + (high - low) * place) * SECOND as f64) as i64
    }
}

#[derive(Clone, Debug)]
pub(super) struct Cascade {
    pub(super) hits: Bernoulli,
    /// Over [`Fault::ALL`](super::Fault::ALL).
    pub(super) fault: Categorical,
    pub(super) slow_factor: UniformF64,
    pub(super) timeout: i64,
    pub(super) retry: Bernoulli,
    pub(super) retry_delay: UniformF64,
}

impl TracesModel {
    /// Checks a document; see [`Scenario::from_config`](crate::scenario::Scenario::from_config).
    pub(super) fn build(config: &TracesConfig) -> Result<Self, ConfigError> {
        let mut checker = section::check(config);
        config.window.check_end(&mut checker);
        let sessions = checker.take("sessions", session_counts(config.sessions.mean, config.sessions.sd));

        let workflow = &config.workflow;
        let spec = ChainSpec {
            entries: &workflow.entry_points,
            transitions: &workflow.transitions,
            exits: &workflow.exit_points,
            exit_probability: workflow.exit_probability,
        };
        let (chain, mut warnings) = Chain::check(spec, "workflow", &mut checker);
        warnings.extend(chain.iter().flat_map(|chain| folded(chain.names())));
        let exit = Bernoulli::new(workflow.exit_probability).ok();

        let user_types: Vec<String> = workflow.user_type_distribution.keys().cloned().collect();
        let shares: Vec<f64> = workflow.user_type_distribution.values().copied().collect();
        checker.require(user_types.len() <= 256, "workflow.user_type_distribution", || "must have at most 256 user types".into());
        let user_type = distribution(&mut checker, "workflow.user_type_distribution", &shares);

        let status_codes: Vec<u16> = config
            .statuses
            .keys()
            .filter_map(|code| {
                let number = code.parse().ok().filter(|number| (100..=599).contains(number));
                checker.require(number.is_some(), format!("statuses.{code}"), || "must be an HTTP status code from 100 to 599".into());
                number
            })
            .collect();
        let shares: Vec<f64> = config.statuses.values().copied().collect();
        let status = distribution(&mut checker, "statuses", &shares);

        let delay = delays(&mut checker, config);
        let cascade = cascade(&mut checker, config);
        let (parameters, search, browse) = parameters(&mut checker, config);
        let laws = EndpointLaws::check(&mut checker, config, chain.as_ref());
        let endpoints = chain.as_ref().zip(laws).map(|(chain, laws)| endpoints(config, chain, &laws, search, browse));
        for (section, names) in
            [("avg_response_times", workflow.avg_response_times.keys().collect()), ("methods", workflow.methods.keys().collect::<Vec<_>>())]
        {
            let unknown = names.into_iter().filter(|name| chain.as_ref().is_some_and(|chain| !chain.names().contains(name)));
            warnings.extend(unknown.map(|name| Problem {
                path: format!("workflow.{section}.{name}"),
                message: "the workflow has no such endpoint".into(),
                hint: "check the spelling, or remove it".into(),
            }));
        }

        checker.finish()?;
        let complete = "every part is there when nothing was found wrong";
        Ok(Self {
            config: config.clone(),
            window: config.window,
            chain: chain.expect(complete),
            warnings,
            endpoints: endpoints.expect(complete),
            user_types,
            user_type: user_type.expect(complete),
            sessions: sessions.expect(complete),
            status_codes,
            status: status.expect(complete),
            delay,
            cascade: cascade.expect(complete),
            exit: exit.expect(complete),
            parameters,
        })
    }

    /// The document.
    pub fn config(&self) -> &TracesConfig {
        &self.config
    }

    /// The days in which sessions start.
    pub fn window(&self) -> Window {
        self.window
    }

    /// The endpoints, by number.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// The workflow as a chain over the endpoints.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The user types, by number.
    pub fn user_types(&self) -> &[String] {
        &self.user_types
    }

    /// The parameters that calls carry, as JSON objects, by number.
    pub fn parameters(&self) -> &[String] {
        &self.parameters
    }

    /// The count of sessions of a user.
    pub fn sessions(&self) -> &Tabulated {
        &self.sessions
    }
}

fn distribution(checker: &mut Checker, path: &str, shares: &[f64]) -> Option<Categorical> {
    let distribution = checker.take(path, Categorical::new(shares))?;
    let sum: f64 = shares.iter().sum();
    if (sum - 1.0).abs() > ROW_TOLERANCE {
        checker.problem(path, format!("the shares must sum to 1, they sum to {}", shown(sum)), mend(shares, sum));
    }
    Some(distribution)
}

fn seconds_range(checker: &mut Checker, path: &str, [low, high]: [f64; 2]) {
    checker.require(low >= 0.0 && low <= high && high <= 86_400.0, path, || {
        format!("must be a range 0 ≤ low ≤ high ≤ 86400 in seconds, got {low} to {high}")
    });
}

fn delays(checker: &mut Checker, config: &TracesConfig) -> Delay {
    let delays = &config.delays;
    seconds_range(checker, "delays.usual_seconds", delays.usual_seconds);
    seconds_range(checker, "delays.thinking_seconds", delays.thinking_seconds);
    Delay { usual: 1.0 - delays.thinking, usual_seconds: delays.usual_seconds, thinking_seconds: delays.thinking_seconds }
}

fn cascade(checker: &mut Checker, config: &TracesConfig) -> Option<Cascade> {
    let cascade = &config.cascade;
    let hits = checker.take("cascade_failure_rate", Bernoulli::new(config.cascade_failure_rate));
    let faults = [cascade.slow, cascade.timeout, cascade.unavailable];
    let sum: f64 = faults.iter().sum();
    // A sum that is not a number is told above.
    checker.require(sum.is_nan() || sum <= 1.0 + 1e-9, "cascade", || {
        format!("slow, timeout and unavailable must sum to at most 1, they sum to {}", shown(sum))
    });
    let fault = Categorical::new(&[(1.0 - sum).max(0.0), faults[0], faults[1], faults[2]]).ok();
    let [low, high] = cascade.slow_factor;
    checker.require(low >= 1.0 && low <= high && high <= 1_000.0, "cascade.slow_factor", || {
        format!("must be a range 1 ≤ low ≤ high ≤ 1000, got {low} to {high}")
    });
    seconds_range(checker, "cascade.retry_delay_seconds", cascade.retry_delay_seconds);
    let retry = checker.take("cascade.retry", Bernoulli::new(cascade.retry));
    let [retry_low, retry_high] = cascade.retry_delay_seconds;
    Some(Cascade {
        hits: hits?,
        fault: fault?,
        slow_factor: UniformF64::new(low, high).ok()?,
        timeout: (cascade.timeout_ms * 1_000.0).round() as i64,
        retry: retry?,
        retry_delay: UniformF64::new(retry_low, retry_high).ok()?,
    })
}

/// The table of parameters: `{}`, then every search, then every browse.
fn parameters(checker: &mut Checker, config: &TracesConfig) -> (Vec<String>, ParameterRange, ParameterRange) {
    let parameters = &config.parameters;
    for (path, list) in [("queries", &parameters.queries), ("sorts", &parameters.sorts), ("categories", &parameters.categories)] {
        checker.require(!list.is_empty(), format!("parameters.{path}"), || "must name at least one".into());
        for (index, text) in list.iter().enumerate() {
            let plain = !text.is_empty() && !text.chars().any(|c| c == '"' || c == '\\' || c.is_control());
            checker.require(plain, format!("parameters.{path}.{index}"), || {
                "must be text without quotes, backslashes and control characters".into()
            });
        }
    }
    let mut table = vec!["{}".to_owned()];
    let searches =
        parameters.queries.iter().flat_map(|q| parameters.sorts.iter().map(move |sort| format!(r#"{{"q":"{q}","sort":"{sort}"}}"#)));
    table.extend(searches);
    let search = table.len();
    for category in &parameters.categories {
        table.extend((1..=parameters.pages.min(1_000)).map(|page| format!(r#"{{"category":"{category}","page":"{page}"}}"#)));
    }
    checker.require(table.len() <= 60_000, "parameters", || format!("must give at most 60,000 combinations, got {}", table.len()));
    let range = |first: usize, end: usize| ParameterRange { first: first as u16, count: (end - first) as u16 };
    let (searches, browses) = (range(1, search), range(search, table.len().min(60_000)));
    (table, searches, browses)
}

/// The laws of calls that endpoints share, or have of their own.
struct EndpointLaws {
    own: BTreeMap<String, TruncatedNormal>,
    /// Of the endpoints without a mean of their own; none where all have one.
    default: Option<TruncatedNormal>,
    get_size: LogNormal,
    other_size: LogNormal,
}

impl EndpointLaws {
    /// Without a chain, only what does not depend on it is checked.
    fn check(checker: &mut Checker, config: &TracesConfig, chain: Option<&Chain>) -> Option<Self> {
        let times = &config.response_times;
        let means = &config.workflow.avg_response_times;
        let sizes = &config.response_sizes;

        let mut law = |place: String, mean: f64| {
            let law = TruncatedNormal::new(mean, mean * times.relative_sd, times.minimum_ms);
            // Numbers that are out of range are told above.
            let is_sound = (1.0..=MAX_RESPONSE_MS).contains(&mean)
                && (0.0..=10.0).contains(&times.relative_sd)
                && (0.0..=MAX_RESPONSE_MS).contains(&times.minimum_ms);
            if is_sound { checker.take(place, law) } else { None }
        };
        let own: BTreeMap<String, TruncatedNormal> = means
            .iter()
            .filter_map(|(path, &mean)| Some((path.clone(), law(format!("workflow.avg_response_times.{path}"), mean)?)))
            .collect();
        let needs_default = chain.is_some_and(|chain| chain.names().iter().any(|path| !means.contains_key(path)));
        let default = if needs_default { law("response_times.default_mean_ms".into(), times.default_mean_ms) } else { None };
        Some(Self {
            own,
            default,
            get_size: LogNormal::new(sizes.get_median_bytes, sizes.sigma).ok()?,
            other_size: LogNormal::new(sizes.other_median_bytes, sizes.sigma).ok()?,
        })
    }
}

/// The endpoints that have all their laws: every one, when nothing was found wrong.
fn endpoints(config: &TracesConfig, chain: &Chain, laws: &EndpointLaws, search: ParameterRange, browse: ParameterRange) -> Vec<Endpoint> {
    let workflow = &config.workflow;
    chain
        .names()
        .iter()
        .filter_map(|path| {
            let method = workflow.methods.get(path).copied().unwrap_or_else(|| Method::of_path(path));
            let segment = |word| path.split('/').any(|segment| segment == word);
            let parameters = if segment("search") {
                search
            } else if segment("browse") {
                browse
            } else {
                ParameterRange { first: 0, count: 1 }
            };
            Some(Endpoint {
                path: path.clone(),
                method,
                mean_ms: workflow.avg_response_times.get(path).copied().unwrap_or(config.response_times.default_mean_ms),
                response_time_ms: laws.own.get(path).copied().or(laws.default)?,
                response_size: if method == Method::Get { laws.get_size } else { laws.other_size },
                parameters,
            })
        })
        .collect()
}
