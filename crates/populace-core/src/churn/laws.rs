//! What must hold: expectations in closed form, up to one integral over engagement. Nothing here draws.

use super::config::{BillingMode, ChurnConfig};
use super::model::{self, ChurnModel, Hazard};
use super::rows::EventType;
use crate::math;
use crate::scenario::{ConfigError, Problem, Scenario};

/// What one user does on average, and what a user of each plan does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expectation {
    /// A user of whom only the document is known.
    pub any: UserExpectation,
    /// A user on the free plan.
    pub free: UserExpectation,
    /// A user on the paid plan.
    pub paid: UserExpectation,
}

/// Means over the users of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct UserExpectation {
    /// Probability of churning within the window.
    pub churn: f64,
    /// Days up to the churn date, that included, or to the window's end.
    pub days: f64,
    /// Days with a session.
    pub active_days: f64,
    /// Sessions.
    pub sessions: f64,
    /// Events by the number of their type, as in [`EventType::NAMES`].
    pub events: [f64; 7],
}

impl UserExpectation {
    /// Events of one type.
    pub fn of(&self, event_type: EventType) -> f64 {
        self.events[event_type as usize]
    }

    /// The mean of a mixture: this with weight 1 − `share`, `other` with weight `share`.
    fn mixed(&self, other: &Self, share: f64) -> Self {
        let mix = |a: f64, b: f64| (1.0 - share) * a + share * b;
        Self {
            churn: mix(self.churn, other.churn),
            days: mix(self.days, other.days),
            active_days: mix(self.active_days, other.active_days),
            sessions: mix(self.sessions, other.sessions),
            events: core::array::from_fn(|kind| mix(self.events[kind], other.events[kind])),
        }
    }
}

impl Expectation {
    /// The expectation of a document.
    ///
    /// # Errors
    /// The document is not sound.
    pub fn new(config: &ChurnConfig) -> Result<Self, ConfigError> {
        ChurnModel::from_config(config).map(|model| *model.expectation())
    }

    /// Events of one user.
    pub fn events(&self) -> f64 {
        self.any.events.iter().sum()
    }

    pub(super) fn of_checked(config: &ChurnConfig) -> Self {
        let nodes = Nodes::new(config);
        let [free, paid] = [false, true].map(|is_paid| {
            let mut mean = UserExpectation::default();
            for &(e, weight) in &nodes.0 {
                let at = at_engagement(config, e, is_paid);
                mean.churn += weight * at.churn;
                mean.days += weight * at.days;
                mean.active_days += weight * at.active_days;
                mean.sessions += weight * at.sessions;
                for (sum, value) in mean.events.iter_mut().zip(at.events) {
                    *sum += weight * value;
                }
            }
            let charges = charges(config, mean.churn);
            if is_paid {
                mean.events[EventType::PaymentSuccess as usize] = charges.success;
                mean.events[EventType::PaymentFailed as usize] = charges.failed;
            }
            mean
        });
        Self { any: free.mixed(&paid, config.paid_ratio), free, paid }
    }
}

/// All but the charges of a user of engagement `e`.
fn at_engagement(config: &ChurnConfig, e: f64, is_paid: bool) -> UserExpectation {
    let churn = Hazard::new(config, e, is_paid).probability;
    let days = f64::from(config.window.days);
    let first = f64::from(first_churn_day(config));
    // A churn date is uniform over first..=days − 1 and is itself lived through.
    let days = (1.0 - churn) * days + churn * ((first + days - 1.0) / 2.0 + 1.0);
    let active_days = days * config.activity.probability.at(e);
    let sessions = active_days * f64::from(config.sessions.min + config.sessions.max) / 2.0;
    let mut events = [0.0; 7];
    events[EventType::Login as usize] = sessions;
    events[EventType::CourseEnroll as usize] = sessions * config.enrol.probability;
    events[EventType::VideoWatch as usize] = sessions * config.video.probability.at(e);
    events[EventType::QuizAttempt as usize] = sessions * config.quiz.probability.at(e);
    events[EventType::SupportTicket as usize] = days * config.tickets.probability;
    UserExpectation { churn, days, active_days, sessions, events }
}

struct Charges {
    success: f64,
    failed: f64,
}

/// The charges of a paying user who churns with probability `churn`: billing depends on engagement through the churn date alone.
fn charges(config: &ChurnConfig, churn: f64) -> Charges {
    let success = config.billing.success_probability;
    let attempts: f64 = model::attempts(config)
        .map(|attempt| {
            let due = match config.billing.mode {
                BillingMode::Monthly => (1.0 - success).powi(attempt.number as i32),
                BillingMode::Daily => 1.0,
            };
            due * (1.0 - churn * gone_before(config, attempt.day))
        })
        .sum();
    Charges { success: attempts * success, failed: attempts * (1.0 - success) }
}

/// Probability that the churn date of somebody who churns lies before `day`.
fn gone_before(config: &ChurnConfig, day: u32) -> f64 {
    let first = first_churn_day(config);
    f64::from(day.saturating_sub(first)) / f64::from(config.window.days - first)
}

fn first_churn_day(config: &ChurnConfig) -> u32 {
    config.window.days / config.churn.first_day_divisor
}

/// The `churn_base_rate` at which the share of users who churn is `target` in expectation.
///
/// # Errors
/// The document is not sound, or no base rate from 0 to 1 gives that share.
pub fn base_for_target(config: &ChurnConfig, target: f64) -> Result<f64, ConfigError> {
    ChurnModel::from_config(config)?;
    let nodes = Nodes::new(config);
    let mut trial = config.clone();
    let mut share = |base: f64| {
        trial.churn_base_rate = base;
        nodes.mean(|e| {
            let [free, paid] = [false, true].map(|is_paid| Hazard::new(&trial, e, is_paid).probability);
            (1.0 - trial.paid_ratio) * free + trial.paid_ratio * paid
        })
    };
    let greatest = share(1.0);
    if !(0.0..=greatest).contains(&target) {
        return Err(ConfigError {
            problems: vec![Problem {
                path: "churn_base_rate".into(),
                message: format!("no base rate gives a churn rate of {target}: a base of 1 gives {greatest:.4}"),
                hint: format!("ask for a rate from 0 to {greatest:.4}, or raise the factors of `churn`"),
            }],
        });
    }
    if target == 0.0 {
        return Ok(0.0);
    }
    // The share is continuous and never falls, so bisection ends at the base to the last bit.
    let (mut low, mut high) = (0.0, 1.0);
    loop {
        let middle = f64::midpoint(low, high);
        if middle <= low || middle >= high {
            return Ok(high);
        }
        if share(middle) < target { low = middle } else { high = middle }
    }
}

/// Engagement in quadrature: values and weights whose weighted sums are means over the Beta law.
struct Nodes(Vec<(f64, f64)>);

impl Nodes {
    /// The trapezoidal rule after e = 1 / (1 + exp(−π sinh t)): Takahasi and Mori, "Double exponential formulas for numerical
    /// integration" (1974). It does not mind the poles that the density has at 0 and 1 for shapes below 1.
    fn new(config: &ChurnConfig) -> Self {
        const STEPS_PER_UNIT: i32 = 256;
        const REACH: i32 = 6;
        let (alpha, beta) = (config.engagement.alpha, config.engagement.beta);
        let ln_norm = math::ln_gamma(alpha + beta) - math::ln_gamma(alpha) - math::ln_gamma(beta);
        let mut nodes: Vec<(f64, f64)> = (-REACH * STEPS_PER_UNIT..=REACH * STEPS_PER_UNIT)
            .map(|step| {
                let t = f64::from(step) / f64::from(STEPS_PER_UNIT);
                let (up, down) = (math::exp(t), math::exp(-t));
                let s = core::f64::consts::FRAC_PI_2 * (up - down);
                // ln e and ln (1 − e), each exact where it is close to 0.
                let (ln_e, ln_rest) = (-softplus(-s), -softplus(s));
                let density = math::exp(ln_norm + alpha * ln_e + beta * ln_rest);
                (math::exp(ln_e), density * (up + down))
            })
            .filter(|(_, weight)| *weight > 0.0)
            .collect();
        let total: f64 = nodes.iter().map(|(_, weight)| weight).sum();
        for (_, weight) in &mut nodes {
            *weight /= total;
        }
        Self(nodes)
    }

    fn mean(&self, mut value: impl FnMut(f64) -> f64) -> f64 {
        self.0.iter().map(|&(e, weight)| weight * value(e)).sum()
    }
}

/// ln(1 + eˣ) without overflow.
fn softplus(x: f64) -> f64 {
    let small = math::exp(-x.abs());
    // ln(1 + small), for which ln loses the digits of a small argument: corrected as in Higham, "Accuracy and Stability of Numerical
    // Algorithms", section 1.14.1.
    let one_more = 1.0 + small;
    let log = if one_more == 1.0 { small } else { math::ln(one_more) * small / (one_more - 1.0) };
    x.max(0.0) + log
}
