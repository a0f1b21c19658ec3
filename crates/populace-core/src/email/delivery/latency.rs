//! How long a message takes: a base and its factors, and their distribution in closed form.

use super::super::calendar::{MILLISECOND, Weekday, check_each_once};
use super::super::world::{Span, nearest};
use crate::dist::{LogNormal, UniformF64, UniformI64};
use crate::math;
use crate::scenario::Checker;
use crate::section::{Value, join, section};
use crate::stream::{Source, Words};
use crate::time::{DAY, Instant, SECOND, UtcOffset};

/// No message takes longer; what is clipped to it is counted. A lognormal of the default document reaches it with probability 1e-100.
pub(in super::super) const MAX_LATENCY: i64 = DAY;

/// What a latency is the product of, before it is rounded to the millisecond: columns of the truth and their meaning.
pub const LATENCY_PARTS: [(&str, &str); 4] = [
    ("latency_base", "Latency before its factors, seconds"),
    ("latency_top", "Latency factor: top of the hour"),
    ("latency_batch", "Latency factor: batches"),
    ("latency_weekend", "Latency factor: weekend"),
];

/// How long a message takes, by the clock of `esp_timezone` at its sending; to the millisecond, at most a day.
#[derive(Clone, Debug, PartialEq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum LatencyConfig {
    /// Whole seconds, equally likely.
    Uniform(UniformLatency),
    /// Lognormal, with congestion.
    Lognormal(LognormalLatency),
}

impl Value for LatencyConfig {
    fn check(&self, path: &str, checker: &mut Checker) {
        match self {
            Self::Uniform(config) => config.check(&join(path, "uniform"), checker),
            Self::Lognormal(config) => config.check(&join(path, "lognormal"), checker),
        }
    }
}

section! {
    /// Whole seconds, equally likely.
    pub struct UniformLatency {
        /// The least, seconds.
        low_seconds: u32 [0 ..= 3_600],
        /// The greatest, included, seconds; `low_seconds` to 3,600.
        high_seconds: u32 [0 ..= 3_600],
    }

    /// A lognormal base, times the factors that apply at the moment of sending.
    pub struct LognormalLatency {
        /// Median of the base, seconds.
        median_seconds: f64 [0.001 ..= 3_600.0],
        /// Standard deviation of the base's logarithm.
        sigma: f64 [0.0 ..= 2.0],
        /// Congestion at the top of the hour.
        top_of_hour: Option<LatencyTopConfig>,
        /// Congestion when batches go out.
        batch: Option<LatencyBatchConfig>,
        /// Ease on quiet days.
        weekend: Option<LatencyWeekendConfig>,
    }

    /// Congestion at the top of the hour.
    pub struct LatencyTopConfig {
        /// Minutes of the hour.
        minutes: Vec<u8> [each 0 ..= 59],
        /// The latency's factor.
        factor: Span,
    }

    /// Congestion when batches go out.
    pub struct LatencyBatchConfig {
        /// Hours of day.
        hours: Vec<u8> [each 0 ..= 23],
        /// The latency's factor.
        factor: Span,
    }

    /// Ease on quiet days.
    pub struct LatencyWeekendConfig {
        /// Which days.
        days: Vec<Weekday> [len 1 ..= 7],
        /// The latency's factor.
        factor: f64 [0.01 ..= 100.0],
    }
}

/// What congestion a message meets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// Sent at the top of an hour.
    pub top: bool,
    /// Sent while batches go out.
    pub batch: bool,
    /// Sent on a quiet day.
    pub weekend: bool,
}

/// The distribution of latencies.
#[derive(Clone, Debug)]
pub(in super::super) enum Latency {
    /// Whole seconds, equally likely, from the first to the second.
    Uniform(UniformI64, [f64; 2]),
    /// By congestion.
    Lognormal(Box<Congestion>),
}

/// A lognormal base and the factors by the moment of sending, on the provider's clock.
#[derive(Clone, Debug)]
pub(in super::super) struct Congestion {
    base: LogNormal,
    median_seconds: f64,
    sigma: f64,
    timezone: UtcOffset,
    top_minutes: [bool; 60],
    top: UniformF64,
    batch_hours: [bool; 24],
    batch: UniformF64,
    days: [f64; 7],
}

/// The latency of a message.
pub(in super::super) struct Sampled {
    /// As in [`LATENCY_PARTS`].
    pub(in super::super) parts: [f64; LATENCY_PARTS.len()],
    pub(in super::super) microseconds: i64,
    pub(in super::super) is_clipped: bool,
}

impl Latency {
    pub(in super::super) fn new(config: &LatencyConfig, timezone: UtcOffset, checker: &mut Checker) -> Option<Self> {
        match config {
            LatencyConfig::Uniform(uniform) => {
                let (low, high) = (uniform.low_seconds, uniform.high_seconds);
                let seconds = checker.take("latency.uniform", UniformI64::new(i64::from(low), i64::from(high) + 1))?;
                Some(Self::Uniform(seconds, [low, high].map(f64::from)))
            }
            LatencyConfig::Lognormal(law) => Congestion::new(law, timezone, checker).map(|law| Self::Lognormal(Box::new(law))),
        }
    }

    /// The latency of a message sent at `sent`: `word` starts the lane `lane`, the factors of congestion are drawn where it is met.
    #[inline]
    pub(in super::super) fn sample(&self, sent: Instant, word: u64, lane: &mut impl Source, congestion: impl FnOnce() -> Words) -> Sampled {
        match self {
            Self::Uniform(seconds, _) => {
                let seconds = seconds.at(word);
                Sampled { parts: [seconds as f64, 1.0, 1.0, 1.0], microseconds: seconds * SECOND, is_clipped: false }
            }
            Self::Lognormal(law) => {
                let base = law.base.sample(lane);
                let [top, batch, weekend] = law.factors(sent, congestion);
                let latency = nearest(base * top * batch * weekend * (SECOND / MILLISECOND) as f64) * MILLISECOND;
                Sampled { parts: [base, top, batch, weekend], microseconds: latency.min(MAX_LATENCY), is_clipped: latency > MAX_LATENCY }
            }
        }
    }

    /// The cell of a message by the moment of its sending.
    pub(in super::super) fn cell(&self, sent: Instant) -> Cell {
        match self {
            Self::Uniform(..) => Cell::default(),
            Self::Lognormal(law) => {
                let local = law.timezone.local(sent);
                Cell {
                    top: law.top_minutes[usize::from(local.minute())],
                    batch: law.batch_hours[usize::from(local.hour())],
                    weekend: law.days[usize::from(local.weekday())] != 1.0,
                }
            }
        }
    }

    /// P(latency ≤ `seconds`) in a cell.
    pub(in super::super) fn cdf(&self, cell: Cell, seconds: f64) -> f64 {
        match self {
            Self::Uniform(_, [low, high]) => ((seconds.floor() - low + 1.0) / (high - low + 1.0)).clamp(0.0, 1.0),
            Self::Lognormal(law) => {
                let one = [1.0, 1.0];
                let weekend = law.days.iter().copied().find(|factor| *factor != 1.0).filter(|_| cell.weekend).unwrap_or(1.0);
                let top = if cell.top { bounds(&law.top) } else { one };
                let batch = if cell.batch { bounds(&law.batch) } else { one };
                congested_cdf(law, seconds / weekend, top, batch)
            }
        }
    }
}

impl Congestion {
    fn new(law: &LognormalLatency, timezone: UtcOffset, checker: &mut Checker) -> Option<Self> {
        let path = |key: &str| format!("latency.lognormal.{key}");
        let base = checker.take("latency.lognormal", LogNormal::new(law.median_seconds, law.sigma));
        let one = Span { low: 1.0, high: 1.0 };
        let (no_top, no_batch) =
            (LatencyTopConfig { minutes: Vec::new(), factor: one }, LatencyBatchConfig { hours: Vec::new(), factor: one });
        let top = law.top_of_hour.as_ref().unwrap_or(&no_top);
        check_each_once(checker, &path("top_of_hour.minutes"), &top.minutes);
        let top_factor = top.factor.uniform(&path("top_of_hour.factor"), checker);
        let batch = law.batch.as_ref().unwrap_or(&no_batch);
        check_each_once(checker, &path("batch.hours"), &batch.hours);
        let batch_factor = batch.factor.uniform(&path("batch.factor"), checker);
        let mut days = [1.0; 7];
        if let Some(weekend) = &law.weekend {
            check_each_once(checker, &path("weekend.days"), &weekend.days);
            for day in &weekend.days {
                days[*day as usize] = weekend.factor;
            }
        }
        Some(Self {
            base: base?,
            median_seconds: law.median_seconds,
            sigma: law.sigma,
            timezone,
            top_minutes: core::array::from_fn(|minute| top.minutes.contains(&(minute as u8))),
            top: top_factor?,
            batch_hours: core::array::from_fn(|hour| batch.hours.contains(&(hour as u8))),
            batch: batch_factor?,
            days,
        })
    }

    /// The factors of top of the hour, batch and weekend.
    #[inline]
    fn factors(&self, sent: Instant, words: impl FnOnce() -> Words) -> [f64; 3] {
        let minute_of_week = self.timezone.local(sent).minute_of_week() as u32;
        let weekend = self.days[(minute_of_week / 1_440) as usize];
        let at_top = self.top_minutes[(minute_of_week % 60) as usize];
        let in_batch = self.batch_hours[(minute_of_week / 60 % 24) as usize];
        if !at_top && !in_batch {
            return [1.0, 1.0, weekend];
        }
        let words = words();
        let top = if at_top { self.top.at(words.word::<0>()) } else { 1.0 };
        let batch = if in_batch { self.batch.at(words.word::<1>()) } else { 1.0 };
        [top, batch, weekend]
    }
}

/// The ends of a uniform law.
fn bounds(law: &UniformF64) -> [f64; 2] {
    [law.at(0), 2.0 * law.mean() - law.at(0)]
}

/// The least factor that is told from 0, as a share of the greatest.
const LEAST_FACTOR: f64 = 1e-9;

/// P(base · u · v ≤ `seconds`), u and v uniform on their ranges, by integrating Φ by parts over each. With A = ln(seconds/median),
/// z = (A − ln uv)/σ, y = z + σ and K = exp(A + σ²/2), an antiderivative over u alone is u Φ(z) − K Φ(y)/v, and over both
/// u v Φ(z) + K (σ (y Φ(y) + φ(y)) − Φ(y)).
fn congested_cdf(law: &Congestion, seconds: f64, u: [f64; 2], v: [f64; 2]) -> f64 {
    if seconds <= 0.0 {
        return 0.0;
    }
    if u[1] * v[1] <= 0.0 {
        return 1.0;
    }
    // Of a product that reaches down to 0, what lies next to 0 is left out.
    let [u, v] = [u, v].map(|[low, high]| [low.max(LEAST_FACTOR * high), high]);
    // A sigma of 0 is a step, as steep as doubles resolve.
    let sigma = law.sigma.max(1e-6);
    let a = math::ln(seconds / law.median_seconds);
    let k = math::exp(a + 0.5 * sigma * sigma);
    let z = |product: f64| (a - math::ln(product)) / sigma;
    let single = |x: f64, other: f64| x * math::normal_cdf(z(x * other)) - k / other * math::normal_cdf(z(x * other) + sigma);
    let double = |u: f64, v: f64| {
        let z = z(u * v);
        let y = z + sigma;
        let density = math::exp(-0.5 * y * y) / (2.0 * core::f64::consts::PI).sqrt();
        u * v * math::normal_cdf(z) + k * (sigma * (y * math::normal_cdf(y) + density) - math::normal_cdf(y))
    };
    let [u_width, v_width] = [u[1] - u[0], v[1] - v[0]];
    match (u_width > 0.0, v_width > 0.0) {
        (false, false) => math::normal_cdf(z(u[0] * v[0])),
        (true, false) => (single(u[1], v[0]) - single(u[0], v[0])) / u_width,
        (false, true) => (single(v[1], u[0]) - single(v[0], u[0])) / v_width,
        (true, true) => (double(u[1], v[1]) - double(u[0], v[1]) - double(u[1], v[0]) + double(u[0], v[0])) / (u_width * v_width),
    }
}
