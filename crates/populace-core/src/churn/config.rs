//! What a churn document may say: the reference of every key, its unit and its range. The values are those of `churn.yaml`.

use crate::plan::{PopulationConfig, WindowConfig};
use serde::{Deserialize, Serialize};

/// Subscribers of a course platform, what they do day by day, and when they leave.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ChurnConfig {
    /// How many people there are.
    pub population: PopulationConfig,
    /// The observed days.
    pub window: WindowConfig,
    /// Probability that a user is on the paid plan.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 1.0)))]
    pub paid_ratio: f64,
    /// Probability that a user churns within the window before the factors of `churn` apply. It is not the churn rate of the population:
    /// `--target-churn-rate` solves for the base that gives one.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 1.0)))]
    pub churn_base_rate: f64,
    /// When users signed up.
    pub signup: SignupConfig,
    /// Countries, equally likely; 1 to 1,000 different names.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 1_000)))]
    pub countries: Vec<String>,
    /// Acquisition channels, equally likely; 1 to 1,000 different names.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 1_000)))]
    pub marketing_sources: Vec<String>,
    /// The latent engagement that drives everything else.
    pub engagement: EngagementConfig,
    /// Who churns, and when.
    pub churn: DepartureConfig,
    /// On which days a user is active.
    pub activity: ActivityConfig,
    /// The sessions of an active day.
    pub sessions: SessionsConfig,
    /// Courses, equally likely for every enrolment, video and quiz; 1 to 1,000 different names.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 1_000)))]
    pub courses: Vec<String>,
    /// Enrolments: at most one a session.
    pub enrol: EnrolConfig,
    /// Videos watched: at most one a session.
    pub video: VideoConfig,
    /// Quizzes attempted: at most one a session.
    pub quiz: QuizConfig,
    /// What paying users are charged.
    pub billing: BillingConfig,
    /// Support tickets: at most one a day, on active and inactive days alike.
    pub tickets: TicketsConfig,
}

/// Signup dates are uniform over as many days as `window.days / days_divisor` (whole days), but at least `min_days` and at most
/// `max_days`; the last of them is the window's first day.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SignupConfig {
    /// How many observed days make one day of signups.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 36_500)))]
    pub days_divisor: u32,
    /// The fewest days over which signups spread.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 36_500)))]
    pub min_days: u32,
    /// The most days over which signups spread; at least `min_days`.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 36_500)))]
    pub max_days: u32,
}

/// Engagement e, from 0 to 1, is distributed as Beta(`alpha`, `beta`).
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EngagementConfig {
    /// First shape.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.1, max = 1_000.0)))]
    pub alpha: f64,
    /// Second shape.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.1, max = 1_000.0)))]
    pub beta: f64,
    /// Whether the table `users` has it as the column `engagement_score`; `--no-latent` sets this to false. The truth has it in any case.
    #[serde(default = "observed")]
    pub observed: bool,
}

fn observed() -> bool {
    true
}

/// A user churns with probability
/// min(`max_probability`, `churn_base_rate` × (`paid_factor` if paid) × (`engagement_floor` + `engagement_weight` · (1 − e)^`engagement_power`)),
/// on a date uniform over the days from `window.days / first_day_divisor` (whole days, from 0) to the last.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DepartureConfig {
    /// Factor of the probability for paying users.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 10.0)))]
    pub paid_factor: f64,
    /// Engagement factor of the most engaged (e = 1).
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 10.0)))]
    pub engagement_floor: f64,
    /// How much the engagement factor of the least engaged (e = 0) is above that.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 10.0)))]
    pub engagement_weight: f64,
    /// Curvature: 1 is a straight line between the two; above 1, churn gathers among the least engaged.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.1, max = 10.0)))]
    pub engagement_power: f64,
    /// The greatest probability of churning.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 1.0)))]
    pub max_probability: f64,
    /// Nobody churns before day `window.days / first_day_divisor`.
    #[cfg_attr(feature = "schema", schemars(range(min = 2, max = 36_500)))]
    pub first_day_divisor: u32,
}

/// A probability that is linear in engagement: `base` + `slope` · e, within 0 to 1 for every e.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LinearProbability {
    /// The probability of the least engaged (e = 0).
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 1.0)))]
    pub base: f64,
    /// How much higher it is for the most engaged (e = 1).
    #[cfg_attr(feature = "schema", schemars(range(min = -1.0, max = 1.0)))]
    pub slope: f64,
}

impl LinearProbability {
    /// The probability at engagement `e`. Rounding is monotone, so what lies within 0 to 1 at both ends does so between them.
    pub fn at(self, e: f64) -> f64 {
        self.base + self.slope * e
    }
}

/// A mean that is linear in engagement: `base` + `slope` · e.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LinearMean {
    /// The mean of the least engaged (e = 0).
    #[cfg_attr(feature = "schema", schemars(range(min = -100_000.0, max = 100_000.0)))]
    pub base: f64,
    /// How much higher it is for the most engaged (e = 1).
    #[cfg_attr(feature = "schema", schemars(range(min = -100_000.0, max = 100_000.0)))]
    pub slope: f64,
}

impl LinearMean {
    /// The mean at engagement `e`.
    pub fn at(self, e: f64) -> f64 {
        self.base + self.slope * e
    }
}

/// A measure: normal about a mean that depends on engagement, clipped (set to the bound) to `min` and `max`, rounded to hundredths.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MeasureConfig {
    /// The mean before clipping.
    pub mean: LinearMean,
    /// Standard deviation before clipping.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 100_000.0)))]
    pub deviation: f64,
    /// The least value.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 100_000.0)))]
    pub min: f64,
    /// The greatest value; at least `min`.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 100_000.0)))]
    pub max: f64,
}

/// Seconds after the login of the session, uniform over the whole seconds `min` to `max`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DelayConfig {
    /// The shortest delay.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 86_399)))]
    pub min: u32,
    /// The longest delay; at least `min`.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 86_399)))]
    pub max: u32,
}

/// On which days a user is active.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ActivityConfig {
    /// Probability that a user is active on a day.
    pub probability: LinearProbability,
}

/// An active day has `min` to `max` sessions, equally likely. The hours from `from_hour` to `to_hour` are divided evenly among them,
/// and each login falls anywhere in its own part that leaves room for the rest of the session: sessions do not overlap.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SessionsConfig {
    /// The fewest sessions of an active day.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 64)))]
    pub min: u32,
    /// The most sessions of an active day; at least `min`.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 64)))]
    pub max: u32,
    /// The hour (UTC) at which the day of sessions begins.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 23)))]
    pub from_hour: u32,
    /// The hour (UTC) at which it ends; after `from_hour`.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 24)))]
    pub to_hour: u32,
}

/// Enrolments: at most one a session.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EnrolConfig {
    /// Probability that a session holds an enrolment.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 1.0)))]
    pub probability: f64,
    /// How long after the login.
    pub delay_seconds: DelayConfig,
}

/// Videos watched: at most one a session.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct VideoConfig {
    /// Probability that a session holds a video.
    pub probability: LinearProbability,
    /// How long after the login it was started; later than any enrolment.
    pub delay_seconds: DelayConfig,
    /// Minutes watched.
    pub minutes: MeasureConfig,
}

/// Quizzes attempted: at most one a session.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct QuizConfig {
    /// Probability that a session holds a quiz attempt.
    pub probability: LinearProbability,
    /// How long after the login; later than any video.
    pub delay_seconds: DelayConfig,
    /// The score, in points.
    pub score: MeasureConfig,
}

/// How invoices are charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum BillingMode {
    /// One invoice a month: charged on the first day, and once more on each following day while it fails.
    Monthly,
    /// A charge on each of those days, whatever came of the others.
    Daily,
}

/// What paying users are charged.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BillingConfig {
    /// `monthly`: one invoice, retried; `daily`: a charge on every attempt day.
    pub mode: BillingMode,
    /// Day of the month of the first attempt.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 28)))]
    pub first_day: u32,
    /// The most attempts a month, one a day; the last at the latest on day 28.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 4)))]
    pub attempts: u32,
    /// Probability that an attempt succeeds.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 1.0)))]
    pub success_probability: f64,
    /// The amount of an invoice, in units of the currency and whole hundredths; on failed attempts too.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 10_000_000.0)))]
    pub amount: f64,
    /// The hour (UTC) from which charges are made; the second is uniform.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 23)))]
    pub from_hour: u32,
    /// The hour (UTC) before which they are made; after `from_hour`.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 24)))]
    pub to_hour: u32,
}

/// Support tickets: at most one a day.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TicketsConfig {
    /// Probability of a ticket on a day.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 1.0)))]
    pub probability: f64,
    /// The hour (UTC) from which tickets come; the second is uniform.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 23)))]
    pub from_hour: u32,
    /// The hour (UTC) before which they come; after `from_hour`.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 24)))]
    pub to_hour: u32,
}
