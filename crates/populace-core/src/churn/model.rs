//! A checked document and everything that does not depend on the user.

use super::actor::{self, MAX_ATTEMPTS, MAX_SESSIONS};
use super::config::{BillingMode, ChurnConfig, DelayConfig, EventIds, LinearProbability, MeasureConfig};
use super::laws::Expectation;
use super::rows::{IDS_PER_USER, Row, Truth};
use crate::dist::{Bernoulli, Beta, StandardNormal};
use crate::math;
use crate::plan::Population;
use crate::scenario::{Checker, ConfigError, Observer, Problem, Scenario};
use crate::section;
use crate::stream::{ActorId, StreamKey};
use crate::time::{Date, Window};
use std::collections::BTreeSet;

const SECONDS_PER_HOUR: i64 = 3_600;
/// Login, enrolment, video and quiz.
const EVENTS_PER_SESSION: u64 = 4;
/// A charge and a ticket.
const EVENTS_APART: u64 = 2;

/// A population of subscribers.
#[derive(Clone, Debug)]
pub struct ChurnModel {
    pub(super) config: ChurnConfig,
    pub(super) start: Date,
    pub(super) days: u32,
    /// Over how many days signups spread.
    pub(super) signup_days: u64,
    pub(super) paid: Bernoulli,
    pub(super) engagement: Beta,
    /// The first day, counted from 0, on which anybody churns.
    pub(super) first_churn_day: u32,
    /// One for each equally likely number of sessions.
    pub(super) day_plans: Box<[DayPlan]>,
    /// The second of the day at which the first session's part begins.
    pub(super) sessions_begin: i64,
    /// How many courses there are.
    pub(super) courses: u64,
    pub(super) enrol: Bernoulli,
    pub(super) enrol_delay: Spread,
    pub(super) video_delay: Spread,
    pub(super) quiz_delay: Spread,
    pub(super) minutes: Measure,
    pub(super) score: Measure,
    /// Every day of the window on which a charge may be attempted, in order.
    pub(super) attempts: Box<[Attempt]>,
    /// Whether no further attempt of a month follows a success.
    pub(super) one_success_settles: bool,
    pub(super) payment: Bernoulli,
    pub(super) billing_seconds: Spread,
    pub(super) amount_cents: u32,
    pub(super) ticket: Bernoulli,
    pub(super) ticket_seconds: Spread,
    expectation: Expectation,
    warnings: Vec<Problem>,
}

/// How a day is divided among its sessions.
#[derive(Clone, Copy, Debug)]
pub(super) struct DayPlan {
    pub(super) sessions: u32,
    /// Each session's part of the day.
    pub(super) part_seconds: i64,
    /// The seconds of a part in which the login may fall, so that the whole session stays within the part.
    pub(super) login_seconds: u64,
}

/// Whole seconds `first`, `first` + 1, …: `count` of them, equally likely.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spread {
    pub(super) first: i64,
    pub(super) count: u64,
}

/// A clipped normal measure whose mean depends on the user.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measure {
    pub(super) standard: StandardNormal,
    pub(super) deviation: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

/// A day on which a charge may be attempted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    /// Day of the window, from 0.
    pub(super) day: u32,
    /// Month of the calendar, counted from year 0.
    pub(super) month: u64,
    /// Which attempt of its month, from 0.
    pub(super) number: usize,
}

/// A probability of churn and its factors, which multiply to it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hazard {
    /// `churn_base_rate`.
    pub base: f64,
    /// `churn.paid_factor` for a paying user, else 1.
    pub paid_factor: f64,
    /// `engagement_floor` + `engagement_weight` · (1 − e)^`engagement_power`.
    pub engagement_factor: f64,
    /// 1, or less where the product of the others is above `churn.max_probability`.
    pub cap_factor: f64,
    /// The probability drawn against.
    pub probability: f64,
}

impl Hazard {
    /// The hazard of a user of engagement `e`.
    pub fn new(config: &ChurnConfig, e: f64, is_paid: bool) -> Self {
        let law = &config.churn;
        let base = config.churn_base_rate;
        let paid_factor = if is_paid { law.paid_factor } else { 1.0 };
        let engagement_factor = law.engagement_floor + law.engagement_weight * math::pow(1.0 - e, law.engagement_power);
        let uncapped = base * paid_factor * engagement_factor;
        let cap_factor = if uncapped > law.max_probability { law.max_probability / uncapped } else { 1.0 };
        Self { base, paid_factor, engagement_factor, cap_factor, probability: uncapped.min(law.max_probability) }
    }
}

impl ChurnModel {
    /// The document.
    pub fn config(&self) -> &ChurnConfig {
        &self.config
    }

    /// Names of the countries.
    pub fn countries(&self) -> &[String] {
        &self.config.countries
    }

    /// Names of the marketing sources.
    pub fn marketing_sources(&self) -> &[String] {
        &self.config.marketing_sources
    }

    /// Names of the courses.
    pub fn courses(&self) -> &[String] {
        &self.config.courses
    }

    /// What one user does on average.
    pub fn expectation(&self) -> &Expectation {
        &self.expectation
    }
}

impl Scenario for ChurnModel {
    const NAME: &'static str = "churn";
    type Config = ChurnConfig;
    type Row = Row;
    type Truth = Truth;

    fn from_config(config: &ChurnConfig) -> Result<Self, ConfigError> {
        let mut checker = section::check(config);
        check_people(config, &mut checker);
        check_day(config, &mut checker);
        check_billing(config, &mut checker);
        check_event_ids(config, &mut checker);
        let engagement = Beta::new(config.engagement.alpha, config.engagement.beta).ok();
        let mut probability = |path, p| checker.take(path, Bernoulli::new(p));
        let paid = probability("paid_ratio", config.paid_ratio);
        let enrol = probability("enrol.probability", config.enrol.probability);
        let payment = probability("billing.success_probability", config.billing.success_probability);
        let ticket = probability("tickets.probability", config.tickets.probability);
        checker.finish()?;
        let (Some(engagement), Some(paid), Some(enrol), Some(payment), Some(ticket)) = (engagement, paid, enrol, payment, ticket) else {
            unreachable!("what names no distribution was reported");
        };

        let days = config.window.days;
        let hours = |from: u32, to: u32| Spread {
            first: i64::from(from) * SECONDS_PER_HOUR,
            count: u64::from(to - from) * SECONDS_PER_HOUR as u64,
        };
        let session_hours = hours(config.sessions.from_hour, config.sessions.to_hour);
        Ok(Self {
            start: config.window.start,
            days,
            signup_days: u64::from((days / config.signup.days_divisor).clamp(config.signup.min_days, config.signup.max_days)),
            paid,
            engagement,
            first_churn_day: days / config.churn.first_day_divisor,
            day_plans: day_plans(config).collect(),
            sessions_begin: session_hours.first,
            courses: config.courses.len() as u64,
            enrol,
            enrol_delay: config.enrol.delay_seconds.into(),
            video_delay: config.video.delay_seconds.into(),
            quiz_delay: config.quiz.delay_seconds.into(),
            minutes: (&config.video.minutes).into(),
            score: (&config.quiz.score).into(),
            attempts: attempts(config).collect(),
            one_success_settles: config.billing.mode == BillingMode::Monthly,
            payment,
            billing_seconds: hours(config.billing.from_hour, config.billing.to_hour),
            amount_cents: cents(config.billing.amount) as u32,
            ticket,
            ticket_seconds: hours(config.tickets.from_hour, config.tickets.to_hour),
            expectation: Expectation::of_checked(config),
            warnings: leak(config).into_iter().collect(),
            config: config.clone(),
        })
    }

    fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    fn population(&self) -> Population {
        Population { actors: self.config.population.users, rows_per_actor: self.expectation.events() }
    }

    fn window(&self) -> Window {
        self.config.window
    }

    fn simulate(&self, actor: ActorId, key: StreamKey, out: &mut impl Observer<Row, Truth>) {
        actor::simulate(self, actor, key, out);
    }
}

impl From<DelayConfig> for Spread {
    fn from(delay: DelayConfig) -> Self {
        Self { first: i64::from(delay.min), count: u64::from(delay.max - delay.min) + 1 }
    }
}

impl From<&MeasureConfig> for Measure {
    fn from(config: &MeasureConfig) -> Self {
        Self { standard: StandardNormal::default(), deviation: config.deviation, min: config.min, max: config.max }
    }
}

fn cents(amount: f64) -> f64 {
    (amount * 100.0).round()
}

/// The division of a day for every number of sessions. None where the longest session does not fit (`login_seconds` would be 0).
fn day_plans(config: &ChurnConfig) -> impl Iterator<Item = DayPlan> + '_ {
    let sessions = &config.sessions;
    let length = i64::from(sessions.to_hour - sessions.from_hour) * SECONDS_PER_HOUR;
    (sessions.min..=sessions.max).map(move |count| {
        let part_seconds = length / i64::from(count);
        let login_seconds = (part_seconds - i64::from(config.quiz.delay_seconds.max)).max(0) as u64;
        DayPlan { sessions: count, part_seconds, login_seconds }
    })
}

/// Every attempt of the window. An invoice whose first attempt lies before the window is not of this window.
pub(super) fn attempts(config: &ChurnConfig) -> impl Iterator<Item = Attempt> + '_ {
    let billing = &config.billing;
    (0..config.window.days).filter_map(move |day| {
        let (year, month, day_of_month) = config.window.start.plus(day as i32).ymd();
        let number = day_of_month.checked_sub(billing.first_day).filter(|number| *number < billing.attempts)?;
        let issued = billing.mode == BillingMode::Daily || number <= day;
        issued.then(|| Attempt { day, month: u64::from(year as u32) * 12 + u64::from(month), number: number as usize })
    })
}

fn check_people(config: &ChurnConfig, checker: &mut Checker) {
    let first = i64::from(config.window.start.0) - i64::from(config.signup.max_days);
    checker.require(first >= i64::from(Date::FIRST.0), "window.start", || {
        format!("must be at least signup.max_days, {}, after {}, got {}", config.signup.max_days, Date::FIRST, config.window.start)
    });
    config.window.check_end(checker);
    ordered(checker, "signup.max_days", "min_days", config.signup.min_days.into(), config.signup.max_days.into());
    names(checker, "countries", &config.countries);
    names(checker, "marketing_sources", &config.marketing_sources);
    names(checker, "courses", &config.courses);
}

fn check_day(config: &ChurnConfig, checker: &mut Checker) {
    linear(checker, "activity.probability", config.activity.probability);
    linear(checker, "video.probability", config.video.probability);
    linear(checker, "quiz.probability", config.quiz.probability);
    for (path, measure) in [("video.minutes.max", &config.video.minutes), ("quiz.score.max", &config.quiz.score)] {
        ordered(checker, path, "min", measure.min, measure.max);
    }

    let delays = [("enrol", config.enrol.delay_seconds), ("video", config.video.delay_seconds), ("quiz", config.quiz.delay_seconds)];
    for (name, delay) in delays {
        ordered(checker, &format!("{name}.delay_seconds.max"), "min", delay.min.into(), delay.max.into());
    }
    for [(before, earlier), (after, later)] in [[delays[0], delays[1]], [delays[1], delays[2]]] {
        if later.min <= earlier.max {
            checker.problem(
                format!("{after}.delay_seconds.min"),
                format!("must be more than {before}.delay_seconds.max, {}, got {}", earlier.max, later.min),
                "the events of a session come in the order login, enrolment, video, quiz",
            );
        }
    }

    let sessions = &config.sessions;
    ordered(checker, "sessions.max", "min", sessions.min.into(), sessions.max.into());
    let hours_are_sound = hours(checker, "sessions", sessions.from_hour, sessions.to_hour);
    if hours_are_sound && sessions.min >= 1 && sessions.max <= MAX_SESSIONS && day_plans(config).any(|plan| plan.login_seconds == 0) {
        checker.problem(
            "sessions.max",
            format!(
                "{} sessions of up to {} seconds do not fit into the hours from {} to {}",
                sessions.max, config.quiz.delay_seconds.max, sessions.from_hour, sessions.to_hour
            ),
            "lower sessions.max or quiz.delay_seconds.max, or widen the hours",
        );
    }
    hours(checker, "tickets", config.tickets.from_hour, config.tickets.to_hour);
}

/// That the numbers of a user's events suffice, whatever happens.
fn check_event_ids(config: &ChurnConfig, checker: &mut Checker) {
    let most = u64::from(config.window.days) * (u64::from(config.sessions.max) * EVENTS_PER_SESSION + EVENTS_APART);
    if config.event_ids == EventIds::PerUser && most >= IDS_PER_USER {
        checker.problem(
            "event_ids",
            format!("per_user has {} numbers for a user's events, and there may be {most} in the window", IDS_PER_USER - 1),
            "lower window.days or sessions.max, or set event_ids: sequential",
        );
    }
}

/// What is odd about numbers that count all rows.
fn leak(config: &ChurnConfig) -> Option<Problem> {
    (config.event_ids == EventIds::Sequential).then(|| Problem {
        path: "event_ids".into(),
        message:
            "sequential leaks the future: the first event_id of the next user shows how many events a user will have, and so who churns"
                .into(),
        hint: "leave event_id out of what a model sees, or set event_ids: per_user".into(),
    })
}

fn check_billing(config: &ChurnConfig, checker: &mut Checker) {
    let billing = &config.billing;
    if billing.first_day <= 28 && billing.attempts <= MAX_ATTEMPTS && billing.first_day + billing.attempts > 29 {
        checker.problem(
            "billing.attempts",
            format!("the last of {} attempts from day {} comes after day 28", billing.attempts, billing.first_day),
            "not every month has days 29 to 31",
        );
    }
    checker.require((cents(billing.amount) - billing.amount * 100.0).abs() < 1e-6, "billing.amount", || {
        format!("must be in whole hundredths, got {}", billing.amount)
    });
    hours(checker, "billing", billing.from_hour, billing.to_hour);
}

fn ordered(checker: &mut Checker, path: &str, lower: &str, low: f64, high: f64) {
    checker.require(low <= high, path, || format!("must be at least `{lower}`, {low}, got {high}"));
}

fn names(checker: &mut Checker, path: &str, names: &[String]) {
    let mut seen = BTreeSet::new();
    for (index, name) in names.iter().enumerate() {
        checker.require(!name.is_empty(), format!("{path}.{index}"), || "must not be empty".into());
        checker.require(seen.insert(name), format!("{path}.{index}"), || format!("`{name}` is named twice"));
    }
}

fn linear(checker: &mut Checker, path: &str, law: LinearProbability) {
    let base_is_sound = (0.0..=1.0).contains(&law.base);
    if base_is_sound && !(0.0..=1.0).contains(&law.at(1.0)) {
        checker.problem(
            format!("{path}.slope"),
            format!("base + slope must be a probability from 0 to 1, got {}", law.at(1.0)),
            "it is the probability of the most engaged",
        );
    }
}

/// Checks a span of hours of a day; true if it is one.
fn hours(checker: &mut Checker, path: &str, from: u32, to: u32) -> bool {
    checker.require(from < to, format!("{path}.to_hour"), || format!("must be after `from_hour`, {from}, got {to}"));
    from < to && to <= 24
}
