//! Every check of a document, and the laws that its numbers name.

use super::config::{BreakerKind, EmailConfig, HotPathKind, LatencyConfig, PersonaConfig, Span, Weekday};
use super::model::{Congestion, INTERNAL_CAMPAIGNS, INTERNAL_ESP, Latency, timing_room};
use super::rows::EventType;
use crate::dist::{Bernoulli, Categorical, LogNormal, Tabulated, TruncatedExponential, UniformF64, UniformI64};
use crate::scenario::{Checker, ConfigError};
use std::net::Ipv4Addr;

const MAX_USERS: u64 = 1_000_000_000_000;
const MAX_DAYS: u32 = 36_500;
const MAX_SLOTS: u64 = 100_000;
/// Indices of small tables are bytes; the internal provider and the two internal campaigns take places of their own.
const MAX_NAMES: usize = 100;
const MAX_USER_AGENTS: usize = 200;
/// RFC 5737.
const DOCUMENTATION_NETWORKS: [[u8; 4]; 3] = [[192, 0, 2, 0], [198, 51, 100, 0], [203, 0, 113, 0]];

/// The laws that a sound document names.
pub(super) struct Laws {
    pub(super) sends: Tabulated,
    pub(super) campaign: Categorical,
    pub(super) esp: Categorical,
    pub(super) size_factor: UniformF64,
    pub(super) delivered: Bernoulli,
    pub(super) latency: Latency,
    pub(super) drift: Option<UniformF64>,
    pub(super) click_delay: TruncatedExponential,
    pub(super) breakers: Option<Occasional>,
    pub(super) hot_paths: Option<Occasional>,
    /// First addresses of the networks.
    pub(super) networks: Vec<u32>,
}

/// The laws of something that happens at most once a day.
pub(super) struct Occasional {
    pub(super) occurs: Bernoulli,
    pub(super) kind: Categorical,
    /// Whether it triggers a send, and after how many minutes.
    pub(super) trigger: Option<(Bernoulli, UniformF64)>,
}

impl From<BreakerKind> for EventType {
    fn from(kind: BreakerKind) -> Self {
        match kind {
            BreakerKind::SupportTicket => Self::SupportTicket,
            BreakerKind::Complaint => Self::Complaint,
            BreakerKind::UnsubscribeRequest => Self::UnsubscribeRequest,
        }
    }
}

impl From<HotPathKind> for EventType {
    fn from(kind: HotPathKind) -> Self {
        match kind {
            HotPathKind::SiteVisit => Self::SiteVisit,
            HotPathKind::SmsClick => Self::SmsClick,
            HotPathKind::ProductView => Self::ProductView,
        }
    }
}

/// Checks a document.
pub(super) fn check(config: &EmailConfig) -> Result<Laws, ConfigError> {
    let checker = &mut Checker::default();
    check_frame(config, checker);
    check_personas(config, checker);
    check_campaigns(config, checker);
    check_engagement(config, checker);
    let networks = networks(config, checker);
    let sends = checker.take("sends.per_day", Tabulated::poisson(config.sends.per_day));
    let campaign_weights: Vec<f64> = config.campaigns.values().map(|campaign| campaign.weight).collect();
    let campaign = checker.take("campaigns", Categorical::new(&campaign_weights));
    let esp = checker.take("esps", Categorical::new(&config.esps.values().copied().collect::<Vec<_>>()));
    let size_factor = span(checker, "size_factor", config.size_factor);
    let delivered = checker.take("delivery.probability", Bernoulli::new(config.delivery.probability));
    let latency = latency(config, checker);
    let drift = config.drift.as_ref().map(|drift| {
        checker.range("drift.amplitude", drift.amplitude, 0.0, 0.5);
        checker.take("drift.amplitude", UniformF64::new(1.0 - drift.amplitude, 1.0 + drift.amplitude)).ok_or(Unsound)
    });
    let click_delays = &config.click_delays;
    let click_delay = checker
        .take("click_delays", TruncatedExponential::new(click_delays.mean_minutes, click_delays.max_minutes - click_delays.min_minutes));
    let breakers = breakers(config, checker);
    let hot_paths = hot_paths(config, checker);

    let laws = (|| {
        Ok(Laws {
            sends: sends.ok_or(Unsound)?,
            campaign: campaign.ok_or(Unsound)?,
            esp: esp.ok_or(Unsound)?,
            size_factor: size_factor.ok_or(Unsound)?,
            delivered: delivered.ok_or(Unsound)?,
            latency: latency.ok_or(Unsound)?,
            drift: drift.transpose()?,
            click_delay: click_delay.ok_or(Unsound)?,
            breakers: breakers?,
            hot_paths: hot_paths?,
            networks,
        })
    })();
    core::mem::take(checker).finish()?;
    Ok(laws.unwrap_or_else(|Unsound| unreachable!("what could not be taken was reported")))
}

/// A mechanism whose problems were reported.
struct Unsound;

fn check_frame(config: &EmailConfig, checker: &mut Checker) {
    let users = config.population.users;
    checker.require((1..=MAX_USERS).contains(&users), "population.users", || format!("must be from 1 to {MAX_USERS}, got {users}"));
    let days = config.window.days;
    checker.require((1..=MAX_DAYS).contains(&days), "window.days", || format!("must be from 1 to {MAX_DAYS}, got {days}"));
    let start = config.window.start;
    checker.require(start.0 >= 0, "window.start", || format!("must be 1970-01-01 or later, got {start}"));
    // Engagement may spill past the end by a few weeks at most.
    let end = start.0.saturating_add(days.min(MAX_DAYS) as i32 + 60);
    checker.require(crate::time::Date(end).ymd().0 <= 9999, "window.start", || "the window must end within the year 9999".into());

    let sends = &config.sends;
    checker.require(sends.first_hour <= 23, "sends.first_hour", || format!("must be an hour from 0 to 23, got {}", sends.first_hour));
    checker.require((sends.first_hour..=23).contains(&sends.last_hour), "sends.last_hour", || {
        format!("must be an hour from `first_hour` ({}) to 23, got {}", sends.first_hour, sends.last_hour)
    });
    checker.range("sends.night_weight", sends.night_weight, 0.0, 1.0);

    let agents = config.user_agents.len();
    checker.require((1..=MAX_USER_AGENTS).contains(&agents), "user_agents", || {
        format!("needs 1 to {MAX_USER_AGENTS} user agents, got {agents}")
    });
    let esps = config.esps.len();
    checker.require((1..=MAX_NAMES).contains(&esps), "esps", || format!("needs 1 to {MAX_NAMES} providers, got {esps}"));
    if config.esps.contains_key(INTERNAL_ESP) {
        checker.problem(format!("esps.{INTERNAL_ESP}"), "is the provider of circuit breakers and hot paths", "choose another name");
    }
}

fn check_personas(config: &EmailConfig, checker: &mut Checker) {
    let personas = config.personas.len();
    checker.require((1..=MAX_NAMES).contains(&personas), "personas", || format!("needs 1 to {MAX_NAMES} personas, got {personas}"));
    let slots: u64 = config.personas.values().map(|persona| u64::from(persona.count)).sum();
    checker.require((1..=MAX_SLOTS).contains(&slots), "personas", || {
        format!("the counts must sum to a number from 1 to {MAX_SLOTS}, got {slots}")
    });
    for (name, persona) in &config.personas {
        let path = |key: &str| format!("personas.{name}.{key}");
        each_once(checker, &path("peak_hours"), "hour", &persona.peak_hours, 23);
        check_days(checker, &path("active_days"), &persona.active_days);
        if let Some(minutes) = &persona.peak_minutes {
            each_once(checker, &path("peak_minutes"), "minute", minutes, 59);
        }
        check_rates(checker, name, persona, config);
    }
}

fn check_rates(checker: &mut Checker, name: &str, persona: &PersonaConfig, config: &EmailConfig) {
    let path = format!("personas.{name}.open_rate");
    let open = persona.open_rate;
    if !(open > 0.0 && open <= 1.0) {
        return checker.problem(path, format!("must be above 0 and at most 1, got {open}"), "");
    }
    let click_path = format!("personas.{name}.click_rate");
    let click = persona.click_rate;
    checker.range(click_path.clone(), click, 0.0, 1.0);
    if click > open {
        checker.problem(
            click_path,
            format!("must be at most the open rate, {open}, got {click}"),
            "both are shares of delivered messages, and a click needs an open",
        );
    }
    let flat = persona.peak_hours.is_empty() && persona.active_days.len() == 7;
    if !flat && timing_room(persona, config) < 0.0 {
        let most = config.timing.max_probability / config.timing.minute_allowance;
        checker.problem(
            path,
            format!(
                "leaves no room for a timing factor: must be at most {most:.4} for a persona with hours or days of its own, got {open}"
            ),
            "lower it, raise timing.max_probability, or give the persona no peak hours and all seven days",
        );
    }
}

fn check_campaigns(config: &EmailConfig, checker: &mut Checker) {
    let campaigns = config.campaigns.len();
    checker.require((1..=MAX_NAMES).contains(&campaigns), "campaigns", || format!("needs 1 to {MAX_NAMES} campaigns, got {campaigns}"));
    for (id, campaign) in &config.campaigns {
        let path = |key: &str| format!("campaigns.{id}.{key}");
        if INTERNAL_CAMPAIGNS.iter().any(|(internal, _)| internal == id) {
            checker.problem(format!("campaigns.{id}"), "is the campaign of rows that are no mail", "choose another id");
        }
        checker.require(campaign.weight >= 0.0, path("weight"), || format!("must be at least 0, got {}", campaign.weight));
        let size = campaign.mean_size_kb;
        checker.require(size > 0.0 && size <= 100_000.0, path("mean_size_kb"), || format!("must be above 0, at most 100000, got {size}"));
        let subjects = campaign.subjects.len();
        checker.require((1..=MAX_NAMES).contains(&subjects), path("subjects"), || {
            format!("needs 1 to {MAX_NAMES} subject lines, got {subjects}")
        });
        checker.require(campaign.click_path.starts_with('/'), path("click_path"), || {
            format!("must start with `/`, got `{}`", campaign.click_path)
        });
    }
}

fn check_engagement(config: &EmailConfig, checker: &mut Checker) {
    for (path, value) in
        [("engagement.max_probability", config.engagement.max_probability), ("timing.max_probability", config.timing.max_probability)]
    {
        checker.require(value > 0.0 && value <= 1.0, path, || format!("must be above 0 and at most 1, got {value}"));
    }
    checker.range("timing.off_peak", config.timing.off_peak, 0.0, 1.0);
    checker.range("timing.inactive_day", config.timing.inactive_day, 0.0, 1.0);
    checker.range("timing.minute_allowance", config.timing.minute_allowance, 1.0, 10.0);
    checker.range("attention.off_peak", config.attention.off_peak, 0.001, 1.0);
    checker.range("attention.inactive_day", config.attention.inactive_day, 0.001, 1.0);
    if let Some(minute) = &config.minute {
        each_once(checker, "minute.peak_minutes", "minute", &minute.peak_minutes, 59);
        each_once(checker, "minute.slow_minutes", "minute", &minute.slow_minutes, 59);
        checker.range("minute.peak_factor", minute.peak_factor, 0.0, 10.0);
        checker.range("minute.slow_factor", minute.slow_factor, 0.0, 10.0);
    }
    if let Some(fatigue) = &config.fatigue {
        checker.require((1..=720).contains(&fatigue.hours), "fatigue.hours", || format!("must be from 1 to 720, got {}", fatigue.hours));
        let factors = fatigue.factors.len();
        checker.require((1..=MAX_NAMES).contains(&factors), "fatigue.factors", || format!("needs 1 to {MAX_NAMES} factors, got {factors}"));
        for (index, factor) in fatigue.factors.iter().enumerate() {
            checker.range(format!("fatigue.factors.{index}"), *factor, 0.0, 10.0);
        }
    }
    for (name, delays, least_span) in [("open_delays", &config.open_delays, 60.0), ("click_delays", &config.click_delays, 0.0)] {
        checker.range(format!("{name}.min_minutes"), delays.min_minutes, 0.0, 1_440.0);
        checker.range(format!("{name}.mean_minutes"), delays.mean_minutes, 1.0, 10_080.0);
        checker.range(format!("{name}.max_minutes"), delays.max_minutes, 0.0, 10_080.0);
        let least = delays.min_minutes + least_span;
        checker.require(delays.max_minutes >= least, format!("{name}.max_minutes"), || {
            format!("must be at least {least}: `min_minutes` and {least_span} more, got {}", delays.max_minutes)
        });
    }
}

fn networks(config: &EmailConfig, checker: &mut Checker) -> Vec<u32> {
    checker.require(!config.ip_networks.is_empty(), "ip_networks", || "needs at least one network".into());
    let mut networks = Vec::new();
    for (index, text) in config.ip_networks.iter().enumerate() {
        let address = text.strip_suffix("/24").and_then(|address| address.parse::<Ipv4Addr>().ok());
        match address.filter(|address| DOCUMENTATION_NETWORKS.contains(&address.octets())) {
            Some(address) if networks.contains(&address.to_bits()) => {
                checker.problem(format!("ip_networks.{index}"), format!("`{text}` stands twice"), "");
            }
            Some(address) => networks.push(address.to_bits()),
            None => checker.problem(
                format!("ip_networks.{index}"),
                format!("`{text}` is not reserved for documentation"),
                "choose from 192.0.2.0/24, 198.51.100.0/24, 203.0.113.0/24",
            ),
        }
    }
    networks
}

fn latency(config: &EmailConfig, checker: &mut Checker) -> Option<Latency> {
    match &config.latency {
        LatencyConfig::Uniform(uniform) => {
            let (low, high) = (uniform.low_seconds, uniform.high_seconds);
            checker.require(high <= 3_600, "latency.uniform.high_seconds", || format!("must be at most 3600, got {high}"));
            checker.take("latency.uniform", UniformI64::new(i64::from(low), i64::from(high) + 1)).map(Latency::Uniform)
        }
        LatencyConfig::Lognormal(law) => {
            let path = |key: &str| format!("latency.lognormal.{key}");
            checker.range(path("median_seconds"), law.median_seconds, 0.001, 3_600.0);
            checker.range(path("sigma"), law.sigma, 0.0, 2.0);
            let base = checker.take("latency.lognormal", LogNormal::new(law.median_seconds, law.sigma));
            let one = Span { low: 1.0, high: 1.0 };
            let mut top_minutes = [false; 60];
            if let Some(top) = &law.top_of_hour {
                each_once(checker, &path("top_of_hour.minutes"), "minute", &top.minutes, 59);
                for minute in top.minutes.iter().filter(|minute| **minute <= 59) {
                    top_minutes[usize::from(*minute)] = true;
                }
            }
            let top = span(checker, &path("top_of_hour.factor"), law.top_of_hour.as_ref().map_or(one, |top| top.factor));
            let mut batch_hours = [false; 24];
            if let Some(batch) = &law.batch {
                each_once(checker, &path("batch.hours"), "hour", &batch.hours, 23);
                for hour in batch.hours.iter().filter(|hour| **hour <= 23) {
                    batch_hours[usize::from(*hour)] = true;
                }
            }
            let batch = span(checker, &path("batch.factor"), law.batch.as_ref().map_or(one, |batch| batch.factor));
            let mut days = [1.0; 7];
            if let Some(weekend) = &law.weekend {
                check_days(checker, &path("weekend.days"), &weekend.days);
                checker.range(path("weekend.factor"), weekend.factor, 0.01, 100.0);
                for day in &weekend.days {
                    days[*day as usize] = weekend.factor;
                }
            }
            let congestion = Congestion {
                base: base?,
                median_seconds: law.median_seconds,
                sigma: law.sigma,
                timezone: config.esp_timezone,
                top_minutes,
                top: top?,
                batch_hours,
                batch: batch?,
                days,
            };
            Some(Latency::Lognormal(Box::new(congestion)))
        }
    }
}

fn breakers(config: &EmailConfig, checker: &mut Checker) -> Result<Option<Occasional>, Unsound> {
    let Some(law) = &config.circuit_breakers else { return Ok(None) };
    let occurs = checker.take("circuit_breakers.probability", Bernoulli::new(law.probability));
    let weights: Vec<f64> = law.kinds.values().map(|kind| kind.weight).collect();
    let kind = checker.take("circuit_breakers.kinds", Categorical::new(&weights));
    for (kind, breaker) in &law.kinds {
        let path = format!("circuit_breakers.kinds.{}.hours", EventType::from(*kind).name());
        checker.require((1..=8_760).contains(&breaker.hours), path, || format!("must be from 1 to 8760, got {}", breaker.hours));
    }
    Ok(Some(Occasional { occurs: occurs.ok_or(Unsound)?, kind: kind.ok_or(Unsound)?, trigger: None }))
}

fn hot_paths(config: &EmailConfig, checker: &mut Checker) -> Result<Option<Occasional>, Unsound> {
    let Some(law) = &config.hot_paths else { return Ok(None) };
    let occurs = checker.take("hot_paths.probability", Bernoulli::new(law.probability));
    let weights: Vec<f64> = law.kinds.values().map(|kind| kind.weight).collect();
    let kind = checker.take("hot_paths.kinds", Categorical::new(&weights));
    checker.range("hot_paths.boost", law.boost, 0.0, 10.0);
    checker.range("hot_paths.decay_minutes", law.decay_minutes, 0.1, 10_080.0);
    checker.range("hot_paths.floor", law.floor, 0.0, 10.0);
    checker.range("hot_paths.window_minutes", law.window_minutes, 0.0, 1_440.0);
    let trigger = law.trigger.as_ref().map(|trigger| {
        let path = |key: &str| format!("hot_paths.trigger.{key}");
        let occurs = checker.take(path("probability"), Bernoulli::new(trigger.probability));
        let delay = span(checker, &path("delay_minutes"), trigger.delay_minutes);
        checker.range(path("delay_minutes.high"), trigger.delay_minutes.high, 0.0, 1_440.0);
        if !config.campaigns.contains_key(&trigger.campaign) {
            let known: Vec<&str> = config.campaigns.keys().map(String::as_str).collect();
            checker.problem(
                path("campaign"),
                format!("`{}` is no campaign", trigger.campaign),
                format!("choose from {}", known.join(", ")),
            );
        }
        occurs.zip(delay).ok_or(Unsound)
    });
    Ok(Some(Occasional { occurs: occurs.ok_or(Unsound)?, kind: kind.ok_or(Unsound)?, trigger: trigger.transpose()? }))
}

fn span(checker: &mut Checker, path: &str, span: Span) -> Option<UniformF64> {
    checker.require(span.low >= 0.0, format!("{path}.low"), || format!("must be at least 0, got {}", span.low));
    checker.take(path, UniformF64::new(span.low, span.high))
}

fn check_days(checker: &mut Checker, path: &str, days: &[Weekday]) {
    if days.is_empty() {
        checker.problem(path, "needs at least one day", "name all seven if every day is alike");
    }
    let numbers: Vec<u8> = days.iter().map(|day| *day as u8).collect();
    each_once(checker, path, "day", &numbers, 6);
}

fn each_once(checker: &mut Checker, path: &str, what: &str, values: &[u8], greatest: u8) {
    for (index, value) in values.iter().enumerate() {
        checker.require(*value <= greatest, format!("{path}.{index}"), || format!("must be a {what} from 0 to {greatest}, got {value}"));
        checker.require(!values[..index].contains(value), format!("{path}.{index}"), || format!("the {what} {value} stands twice"));
    }
}
