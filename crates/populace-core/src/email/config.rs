//! What an email document may say: the reference of every key, its unit and its range. The values are those of `email.yaml` and
//! `email-v1.yaml`. A mechanism that is `null`, or left out, is off.

use crate::plan::{PopulationConfig, WindowConfig};
use crate::time::UtcOffset;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Recipients with habits, what they are sent, and how they react.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EmailConfig {
    /// How many people there are.
    pub population: PopulationConfig,
    /// The days on which mail is sent. Engagement may spill past the end.
    pub window: WindowConfig,
    /// Local time of the recipients: hours of day, days of the week and minutes of the personas, of `sends` and of `minute` are read
    /// on this clock.
    pub timezone: UtcOffset,
    /// Local time of the email service providers: what `latency` is read on.
    pub esp_timezone: UtcOffset,
    /// The kinds of recipients by name; 1 to 100. Recipient k takes slot k modulo the sum of the counts of one table in which the
    /// personas are interleaved evenly. The order of the names is the alphabet's, whatever the document's.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 100)))]
    pub personas: BTreeMap<String, PersonaConfig>,
    /// When scheduled mail is sent.
    pub sends: SendsConfig,
    /// What is sent, by campaign id; 1 to 100.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 100)))]
    pub campaigns: BTreeMap<String, CampaignConfig>,
    /// The size of a message over its campaign's mean: uniform.
    pub size_factor: Span,
    /// What a click leads to: this address, then the campaign's `click_path`.
    pub click_base_url: String,
    /// Email service providers with their weights, drawn for each message; 1 to 100.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 100)))]
    pub esps: BTreeMap<String, f64>,
    /// The `source` of sent, delivered, opened and clicked.
    pub chain_source: String,
    /// Whether a message arrives.
    pub delivery: DeliveryConfig,
    /// How long a message takes.
    pub latency: LatencyConfig,
    /// How an open is decided.
    pub engagement: EngagementConfig,
    /// How far the time of the week moves a persona's open rate.
    pub timing: TimingConfig,
    /// How the minute of the hour moves the open rate.
    pub minute: Option<MinuteConfig>,
    /// How recent mail lowers the open rate.
    pub fatigue: Option<FatigueConfig>,
    /// How the rates of a user wander.
    pub drift: Option<DriftConfig>,
    /// The law of the time from delivery to open.
    pub open_delay: OpenDelayLaw,
    /// Minutes from delivery to open: density ∝ exp(−(s − `min_minutes`) / `mean_minutes`) on [`min_minutes`, `max_minutes`], times the
    /// attention at that moment where `open_delay` says so. `max_minutes` is at least an hour above `min_minutes`.
    pub open_delays: DelaysConfig,
    /// When a persona looks at its mail.
    pub attention: AttentionConfig,
    /// Minutes from open to click: `min_minutes` + Exp(`mean_minutes`), given that it is at most `max_minutes`.
    pub click_delays: DelaysConfig,
    /// Events after which a user does not engage.
    pub circuit_breakers: Option<BreakersConfig>,
    /// Events after which a user engages more.
    pub hot_paths: Option<HotPathsConfig>,
    /// User agents, equally likely; a user keeps one; 1 to 200.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 200)))]
    pub user_agents: Vec<String>,
    /// Networks of which a user gets one address, .1 to .254, and keeps it. Only those reserved for documentation (RFC 5737) are
    /// allowed: 192.0.2.0/24, 198.51.100.0/24, 203.0.113.0/24.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 3)))]
    pub ip_networks: Vec<String>,
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Weekday {
    /// Monday, 0.
    Mon,
    /// Tuesday, 1.
    Tue,
    /// Wednesday, 2.
    Wed,
    /// Thursday, 3.
    Thu,
    /// Friday, 4.
    Fri,
    /// Saturday, 5.
    Sat,
    /// Sunday, 6.
    Sun,
}

/// A kind of recipient.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PersonaConfig {
    /// How many slots of the table it takes, 0 to 100,000; all personas together take 1 to 100,000.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 100_000)))]
    pub count: u32,
    /// Hours of day in which it engages most, 0 to 23, each whole; none: all hours alike.
    #[cfg_attr(feature = "schema", schemars(inner(range(min = 0, max = 23))))]
    pub peak_hours: Vec<u8>,
    /// Days on which it engages most; at least one.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 7)))]
    pub active_days: Vec<Weekday>,
    /// P(click | delivered), averaged over send times with all other factors neutral; 0 to `open_rate`.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 1.0)))]
    pub click_rate: f64,
    /// P(open | delivered), averaged over send times with all other factors neutral; above 0, at most 1.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 1.0)))]
    pub open_rate: f64,
    /// Peak minutes of its own, in place of `minute.peak_minutes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(inner(range(min = 0, max = 59))))]
    pub peak_minutes: Option<Vec<u8>>,
}

/// Scheduled mail: a Poisson number a user and day, at a moment of the day with weight 1 from `first_hour`:00 to `last_hour`:59 and
/// `night_weight` otherwise. Circuit breakers and hot paths follow the same hours.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SendsConfig {
    /// Mean number a user and day, 0 to 500.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 500.0)))]
    pub per_day: f64,
    /// The first hour of full weight, 0 to 23.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 23)))]
    pub first_hour: u8,
    /// The last hour of full weight, `first_hour` to 23.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 23)))]
    pub last_hour: u8,
    /// The weight of the other hours, 0 to 1.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 1.0)))]
    pub night_weight: f64,
}

/// What kind of mail a campaign sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum CampaignType {
    /// Mail that something the user did calls for.
    Transactional,
    /// Mail that the sender wishes to send.
    Promotional,
}

/// A campaign.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CampaignConfig {
    /// Its name.
    pub name: String,
    /// How often it is chosen for a scheduled send, over the sum of the weights; at least 0.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0)))]
    pub weight: f64,
    /// What kind of mail it is.
    pub r#type: CampaignType,
    /// Mean size of a message in units of 1,024 bytes; above 0, at most 100,000.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 100_000.0)))]
    pub mean_size_kb: f64,
    /// Where a click leads below `click_base_url`; starts with `/`.
    pub click_path: String,
    /// Subject lines, equally likely; 1 to 100.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 100)))]
    pub subjects: Vec<String>,
}

/// A uniform range [low, high).
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Span {
    /// Lower end; at least 0.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0)))]
    pub low: f64,
    /// Upper end; at least `low`.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0)))]
    pub high: f64,
}

/// Whether a message arrives. One that does not leaves no trace but its `sent`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DeliveryConfig {
    /// P(delivered | sent).
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 1.0)))]
    pub probability: f64,
}

/// How long a message takes, by the clock of `esp_timezone` at its sending; to the millisecond, at most a day.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum LatencyConfig {
    /// Whole seconds, equally likely.
    Uniform(UniformLatency),
    /// Lognormal, with congestion.
    Lognormal(LognormalLatency),
}

/// Whole seconds, equally likely.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UniformLatency {
    /// The least, seconds, 0 to 3,600.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 3_600)))]
    pub low_seconds: u32,
    /// The greatest, included, seconds; `low_seconds` to 3,600.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 3_600)))]
    pub high_seconds: u32,
}

/// A lognormal base, times the factors that apply at the moment of sending.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LognormalLatency {
    /// Median of the base, seconds; 0.001 to 3,600.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.001, max = 3_600.0)))]
    pub median_seconds: f64,
    /// Standard deviation of the base's logarithm, 0 to 2.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 2.0)))]
    pub sigma: f64,
    /// Congestion at the top of the hour.
    pub top_of_hour: Option<LatencyTopConfig>,
    /// Congestion when batches go out.
    pub batch: Option<LatencyBatchConfig>,
    /// Ease on quiet days.
    pub weekend: Option<LatencyWeekendConfig>,
}

/// Congestion at the top of the hour.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LatencyTopConfig {
    /// Minutes of the hour, 0 to 59.
    #[cfg_attr(feature = "schema", schemars(inner(range(min = 0, max = 59))))]
    pub minutes: Vec<u8>,
    /// The latency's factor.
    pub factor: Span,
}

/// Congestion when batches go out.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LatencyBatchConfig {
    /// Hours of day, 0 to 23.
    #[cfg_attr(feature = "schema", schemars(inner(range(min = 0, max = 23))))]
    pub hours: Vec<u8>,
    /// The latency's factor.
    pub factor: Span,
}

/// Ease on quiet days.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LatencyWeekendConfig {
    /// Which days.
    pub days: Vec<Weekday>,
    /// The latency's factor, 0.01 to 100.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.01, max = 100.0)))]
    pub factor: f64,
}

/// The moment by which an open is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum DecidedAt {
    /// When the message arrives.
    Delivery,
    /// When it is sent.
    Send,
}

/// How an open is decided: with probability min(`max_probability`, open rate × timing × minute × fatigue × hot path), and not at all
/// inside a circuit breaker's window.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EngagementConfig {
    /// The moment by which all factors are taken.
    pub decided_at: DecidedAt,
    /// The greatest probability of an open, above 0, at most 1. What is clipped to it is counted.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 1.0)))]
    pub max_probability: f64,
}

/// The timing factor of a persona: 1 + k (A / mean(A) − 1), A = hour term × day term, its mean over the law of scheduled sends exactly
/// 1. k is the greatest value up to 1 at which open rate × timing × `minute_allowance` is at most `max_probability`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TimingConfig {
    /// The hour term outside peak hours (inside: 1), 0 to 1.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 1.0)))]
    pub off_peak: f64,
    /// The day term on other than active days (on those: 1), 0 to 1.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 1.0)))]
    pub inactive_day: f64,
    /// Room that is left for the greatest minute factor, 1 to 10.
    #[cfg_attr(feature = "schema", schemars(range(min = 1.0, max = 10.0)))]
    pub minute_allowance: f64,
    /// What open rate, timing and that allowance may reach together; above 0, at most 1.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 1.0)))]
    pub max_probability: f64,
}

/// Factors of the open rate by the minute of the hour; 1 in every other minute. A minute in both lists takes both factors.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MinuteConfig {
    /// Minutes in which people look, 0 to 59; a persona may have its own.
    #[cfg_attr(feature = "schema", schemars(inner(range(min = 0, max = 59))))]
    pub peak_minutes: Vec<u8>,
    /// Their factor, 0 to 10.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 10.0)))]
    pub peak_factor: f64,
    /// Minutes in which inboxes are full, 0 to 59.
    #[cfg_attr(feature = "schema", schemars(inner(range(min = 0, max = 59))))]
    pub slow_minutes: Vec<u8>,
    /// Their factor, 0 to 10.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 10.0)))]
    pub slow_factor: f64,
}

/// The open rate's factor by the number of the user's sends in the time before this one.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FatigueConfig {
    /// How long a send counts as recent, hours, 1 to 720.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 720)))]
    pub hours: u32,
    /// The factor after 0, 1, 2, … recent sends, each 0 to 10; the last is for that many or more; 1 to 100.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 100), inner(range(min = 0.0, max = 10.0))))]
    pub factors: Vec<f64>,
}

/// At each month's first instant after the start, both rates of a user are multiplied by independent U(1 − a, 1 + a). The month of
/// delivery sets the rate.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DriftConfig {
    /// a, 0 to 0.5.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 0.5)))]
    pub amplitude: f64,
}

/// The law of the time from delivery to open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum OpenDelayLaw {
    /// Truncated exponential × attention: opens gather in a persona's own hours.
    Attention,
    /// Truncated exponential alone.
    Exponential,
}

/// A shifted, truncated exponential, in minutes.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DelaysConfig {
    /// The least delay, minutes, 0 to 1,440.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 1_440.0)))]
    pub min_minutes: f64,
    /// Mean beyond the least, before truncation, minutes; 1 to 10,080.
    #[cfg_attr(feature = "schema", schemars(range(min = 1.0, max = 10_080.0)))]
    pub mean_minutes: f64,
    /// The greatest delay, minutes; above `min_minutes`, at most 10,080.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 10_080.0)))]
    pub max_minutes: f64,
}

/// When a persona looks at its mail: 1 in peak hours of active days; the terms multiply. Personas without peak hours: 1 at any hour.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AttentionConfig {
    /// The term outside peak hours, above 0, at most 1.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.001, max = 1.0)))]
    pub off_peak: f64,
    /// The term on other than active days, above 0, at most 1.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.001, max = 1.0)))]
    pub inactive_day: f64,
}

/// Events after which a user does not engage: at most one a user and day.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BreakersConfig {
    /// Probability of one on a user's day.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 1.0)))]
    pub probability: f64,
    /// Whether sends stop too while a window is open. If not, they go on unheard, so that "do not send" can be learned.
    pub suppress_sends: bool,
    /// What happens.
    pub kinds: BTreeMap<BreakerKind, BreakerConfig>,
}

/// What a circuit breaker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum BreakerKind {
    /// A ticket at the help desk.
    SupportTicket,
    /// A complaint about mail.
    Complaint,
    /// A wish to get no more mail.
    UnsubscribeRequest,
}

/// One kind of circuit breaker.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BreakerConfig {
    /// How often it is this kind, over the sum of the weights; at least 0.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0)))]
    pub weight: f64,
    /// How long the user does not engage, hours, 1 to 8,760. Where windows overlap, the later end holds.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 8_760)))]
    pub hours: u32,
    /// The `source` of the row.
    pub source: String,
}

/// Events after which a user engages more: at most one a user and day. An open m minutes after the latest, 0 ≤ m < `window_minutes`,
/// has the factor max(`floor`, `boost` · exp(−m / `decay_minutes`)).
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HotPathsConfig {
    /// Probability of one on a user's day.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 1.0)))]
    pub probability: f64,
    /// What happens.
    pub kinds: BTreeMap<HotPathKind, HotPathConfig>,
    /// The factor at m = 0, 0 to 10.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 10.0)))]
    pub boost: f64,
    /// Minutes in which the factor falls to 1/e, 0.1 to 10,080.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.1, max = 10_080.0)))]
    pub decay_minutes: f64,
    /// The least factor within the window, 0 to 10. With 0 the factor becomes a penalty once it has decayed below 1.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 10.0)))]
    pub floor: f64,
    /// How long the factor holds, minutes, 0 to 1,440.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 1_440.0)))]
    pub window_minutes: f64,
    /// Mail that a hot path calls forth.
    pub trigger: Option<TriggerConfig>,
}

/// What a hot path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum HotPathKind {
    /// A visit to the shop.
    SiteVisit,
    /// A click in a text message.
    SmsClick,
    /// A look at a product.
    ProductView,
}

/// One kind of hot path.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HotPathConfig {
    /// How often it is this kind, over the sum of the weights; at least 0.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0)))]
    pub weight: f64,
    /// The `source` of the row.
    pub source: String,
}

/// Mail that a hot path calls forth: at most one, beside the scheduled.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TriggerConfig {
    /// P(a send | a hot path).
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 1.0)))]
    pub probability: f64,
    /// Minutes from the hot path to the send, uniform; at most 1,440. A send past the window is not sent.
    pub delay_minutes: Span,
    /// Its campaign: one of `campaigns`.
    pub campaign: String,
}
