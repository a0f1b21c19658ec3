//! What a churn document may say: the reference of every key, its unit and its range. The values are those of `churn.yaml`.

use super::actor::{MAX_ATTEMPTS, MAX_SESSIONS};
use crate::plan::PopulationConfig;
use crate::section::{choice, section};
use crate::time::Window;

section! {
    /// Subscribers of a course platform, what they do day by day, and when they leave.
    pub struct ChurnConfig {
        /// How many people there are.
        population: PopulationConfig,
        /// The observed days.
        window: Window,
        /// Probability that a user is on the paid plan.
        paid_ratio: f64 [0.0 ..= 1.0],
        /// Probability that a user churns within the window before the factors of `churn` apply. It is not the churn rate of the population:
        /// `--target-churn-rate` solves for the base that gives one.
        churn_base_rate: f64 [0.0 ..= 1.0],
        /// How events are numbered. `sequential` gives the future away: a user's numbers end where the next user's begin.
        #[serde(default = "per_user")]
        event_ids: EventIds,
        /// When users signed up.
        signup: SignupConfig,
        /// Countries, equally likely; different names.
        countries: Vec<String> [len 1 ..= 1_000],
        /// Acquisition channels, equally likely; different names.
        marketing_sources: Vec<String> [len 1 ..= 1_000],
        /// The latent engagement that drives everything else.
        engagement: EngagementConfig,
        /// Who churns, and when.
        churn: DepartureConfig,
        /// On which days a user is active.
        activity: ActivityConfig,
        /// The sessions of an active day.
        sessions: SessionsConfig,
        /// Courses, equally likely for every enrolment, video and quiz; different names.
        courses: Vec<String> [len 1 ..= 1_000],
        /// Enrolments: at most one a session.
        enrol: EnrolConfig,
        /// Videos watched: at most one a session.
        video: VideoConfig,
        /// Quizzes attempted: at most one a session.
        quiz: QuizConfig,
        /// What paying users are charged.
        billing: BillingConfig,
        /// Support tickets: at most one a day, on active and inactive days alike.
        tickets: TicketsConfig,
    }

    /// Signup dates are uniform over as many days as `window.days / days_divisor` (whole days), but at least `min_days` and at most
    /// `max_days`; the last of them is the window's first day.
    pub struct SignupConfig {
        /// How many observed days make one day of signups.
        days_divisor: u32 [1 ..= 36_500],
        /// The fewest days over which signups spread.
        min_days: u32 [1 ..= 36_500],
        /// The most days over which signups spread; at least `min_days`.
        max_days: u32 [1 ..= 36_500],
    }

    /// Engagement e, from 0 to 1, is distributed as Beta(`alpha`, `beta`).
    pub struct EngagementConfig {
        /// First shape.
        alpha: f64 [0.1 ..= 1_000.0],
        /// Second shape.
        beta: f64 [0.1 ..= 1_000.0],
        /// Whether the table `users` has it as the column `engagement_score`; `--no-latent` sets this to false. The truth has it in any
        /// case.
        #[serde(default = "observed")]
        observed: bool,
    }

    /// A user churns with probability
    /// min(`max_probability`, `churn_base_rate` × (`paid_factor` if paid) × (`engagement_floor` + `engagement_weight` · (1 − e)^`engagement_power`)),
    /// on a date uniform over the days from `window.days / first_day_divisor` (whole days, from 0) to the last.
    pub struct DepartureConfig {
        /// Factor of the probability for paying users.
        paid_factor: f64 [0.0 ..= 10.0],
        /// Engagement factor of the most engaged (e = 1).
        engagement_floor: f64 [0.0 ..= 10.0],
        /// How much the engagement factor of the least engaged (e = 0) is above that.
        engagement_weight: f64 [0.0 ..= 10.0],
        /// Curvature: 1 is a straight line between the two; above 1, churn gathers among the least engaged.
        engagement_power: f64 [0.1 ..= 10.0],
        /// The greatest probability of churning.
        max_probability: f64 [0.0 ..= 1.0],
        /// Nobody churns before day `window.days / first_day_divisor`.
        first_day_divisor: u32 [2 ..= 36_500],
    }

    /// A probability that is linear in engagement: `base` + `slope` · e, within 0 to 1 for every e.
    #[derive(Copy)]
    pub struct LinearProbability {
        /// The probability of the least engaged (e = 0).
        base: f64 [0.0 ..= 1.0],
        /// How much higher it is for the most engaged (e = 1).
        slope: f64 [-1.0 ..= 1.0],
    }
}

impl LinearProbability {
    /// The probability at engagement `e`. Rounding is monotone, so what lies within 0 to 1 at both ends does so between them.
    pub fn at(self, e: f64) -> f64 {
        self.base + self.slope * e
    }
}

section! {
    /// A mean that is linear in engagement: `base` + `slope` · e.
    #[derive(Copy)]
    pub struct LinearMean {
        /// The mean of the least engaged (e = 0).
        base: f64 [-100_000.0 ..= 100_000.0],
        /// How much higher it is for the most engaged (e = 1).
        slope: f64 [-100_000.0 ..= 100_000.0],
    }
}

impl LinearMean {
    /// The mean at engagement `e`.
    pub fn at(self, e: f64) -> f64 {
        self.base + self.slope * e
    }
}

section! {
    /// A measure: normal about a mean that depends on engagement, clipped (set to the bound) to `min` and `max`, rounded to hundredths.
    pub struct MeasureConfig {
        /// The mean before clipping.
        mean: LinearMean,
        /// Standard deviation before clipping.
        deviation: f64 [0.0 ..= 100_000.0],
        /// The least value.
        min: f64 [0.0 ..= 100_000.0],
        /// The greatest value; at least `min`.
        max: f64 [0.0 ..= 100_000.0],
    }

    /// Seconds after the login of the session, uniform over the whole seconds `min` to `max`, both included.
    #[derive(Copy)]
    pub struct DelayConfig {
        /// The shortest delay.
        min: u32 [1 ..= 86_399],
        /// The longest delay; at least `min`.
        max: u32 [1 ..= 86_399],
    }

    /// On which days a user is active.
    pub struct ActivityConfig {
        /// Probability that a user is active on a day.
        probability: LinearProbability,
    }

    /// An active day has `min` to `max` sessions, equally likely. The hours from `from_hour` to `to_hour` are divided evenly among them,
    /// and each login falls anywhere in its own part that leaves room for the rest of the session: sessions do not overlap.
    pub struct SessionsConfig {
        /// The fewest sessions of an active day.
        min: u32 [1 ..= MAX_SESSIONS],
        /// The most sessions of an active day; at least `min`.
        max: u32 [1 ..= MAX_SESSIONS],
        /// The hour (UTC) at which the day of sessions begins.
        from_hour: u32 [0 ..= 23],
        /// The hour (UTC) at which it ends; after `from_hour`.
        to_hour: u32 [1 ..= 24],
    }

    /// Enrolments: at most one a session.
    pub struct EnrolConfig {
        /// Probability that a session holds an enrolment.
        probability: f64 [0.0 ..= 1.0],
        /// How long after the login.
        delay_seconds: DelayConfig,
    }

    /// Videos watched: at most one a session.
    pub struct VideoConfig {
        /// Probability that a session holds a video.
        probability: LinearProbability,
        /// How long after the login it was started; later than any enrolment.
        delay_seconds: DelayConfig,
        /// Minutes watched.
        minutes: MeasureConfig,
    }

    /// Quizzes attempted: at most one a session.
    pub struct QuizConfig {
        /// Probability that a session holds a quiz attempt.
        probability: LinearProbability,
        /// How long after the login; later than any video.
        delay_seconds: DelayConfig,
        /// The score, in points.
        score: MeasureConfig,
    }
}

choice! {
    /// How invoices are charged.
    pub enum BillingMode {
        /// One invoice a month: charged on the first day, and once more on each following day while it fails.
        Monthly,
        /// A charge on each of those days, whatever came of the others.
        Daily,
    }
}

section! {
    /// What paying users are charged.
    pub struct BillingConfig {
        /// `monthly`: one invoice, retried; `daily`: a charge on every attempt day.
        mode: BillingMode,
        /// Day of the month of the first attempt.
        first_day: u32 [1 ..= 28],
        /// The most attempts a month, one a day; the last at the latest on day 28.
        attempts: u32 [1 ..= MAX_ATTEMPTS],
        /// Probability that an attempt succeeds.
        success_probability: f64 [0.0 ..= 1.0],
        /// The amount of an invoice, in units of the currency and whole hundredths; on failed attempts too.
        amount: f64 [0.0 ..= 10_000_000.0],
        /// The hour (UTC) from which charges are made; the second is uniform.
        from_hour: u32 [0 ..= 23],
        /// The hour (UTC) before which they are made; after `from_hour`.
        to_hour: u32 [1 ..= 24],
    }

    /// Support tickets: at most one a day.
    pub struct TicketsConfig {
        /// Probability of a ticket on a day.
        probability: f64 [0.0 ..= 1.0],
        /// The hour (UTC) from which tickets come; the second is uniform.
        from_hour: u32 [0 ..= 23],
        /// The hour (UTC) before which they come; after `from_hour`.
        to_hour: u32 [1 ..= 24],
    }
}

fn observed() -> bool {
    true
}

fn per_user() -> EventIds {
    EventIds::PerUser
}

choice! {
    /// How events are numbered.
    pub enum EventIds {
        /// (`user_id` − 1) × 1,000,000 + the event's position among the user's own, from 1.
        PerUser,
        /// 1 to the number of events, without a gap, by user, then time.
        Sequential,
    }
}
