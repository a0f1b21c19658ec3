//! How engaged a user is, given what the user has done: the posterior over engagement, and the chance of churn.

use super::data::User;
use super::law::{Engagement, hundredths};
use crate::stats::normal_tail;
use populace_core::churn::{ChurnConfig, EventType, Hazard, MeasureConfig};
use populace_core::time::Date;

/// Steps over the logit of engagement: 0.004 of engagement in the middle, where a hundred videos tell it to 0.025.
const STEPS: i32 = 2_048;
/// Measures are written to two places.
const HALF_PLACE: f64 = 0.005;

/// What a user's events up to some day tell of engagement. The rest (which course, how many sessions on an active day, enrolments,
/// tickets, payments, country, source) has the same law at any engagement.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Evidence {
    /// Days lived through, and those of them with a session.
    pub days: f64,
    /// Days with a session.
    pub active: f64,
    /// Sessions.
    pub sessions: f64,
    /// Minutes watched, of videos.
    pub minutes: Measures,
    /// Scores, of quizzes.
    pub scores: Measures,
}

/// Clipped normal measures: how many were clipped, and the sums of the others.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Measures {
    least: f64,
    greatest: f64,
    within: f64,
    sum: f64,
}

impl Measures {
    fn add(&mut self, law: &MeasureConfig, value: f64) {
        if value <= hundredths(law.min) {
            self.least += 1.0;
        } else if value >= hundredths(law.max) {
            self.greatest += 1.0;
        } else {
            self.within += 1.0;
            self.sum += value;
        }
    }

    /// How many there are.
    pub fn count(&self) -> f64 {
        self.least + self.greatest + self.within
    }
}

impl Evidence {
    /// Of a user who lived through all days up to `as_of`, that included.
    pub fn new(config: &ChurnConfig, user: &User, as_of: Date) -> Self {
        let mut evidence = Self { days: f64::from(as_of.0 - config.window.start.0 + 1), ..Self::default() };
        for (date, logins) in user.active_days() {
            if date <= as_of {
                evidence.active += 1.0;
                evidence.sessions += f64::from(logins);
            }
        }
        for event in user.events.iter().filter(|event| event.time.date() <= as_of) {
            match (event.event_type, event.watch_minutes, event.quiz_score) {
                (EventType::VideoWatch, Some(minutes), _) => evidence.minutes.add(&config.video.minutes, minutes),
                (EventType::QuizAttempt, _, Some(score)) => evidence.scores.add(&config.quiz.score, score),
                _ => {}
            }
        }
        evidence
    }
}

/// The laws of a document at every node of the quadrature, given that a user has not churned by some day.
pub struct Inference {
    engagement: Engagement,
    as_of: i32,
    /// ln P(engagement, not churned by `as_of`), of free and of paid users.
    priors: [Vec<f64>; 2],
    active: Vec<Chance>,
    video: Vec<Chance>,
    quiz: Vec<Chance>,
    minutes: Vec<Clipped>,
    scores: Vec<Clipped>,
    /// Of free and of paid users.
    hazards: [Vec<f64>; 2],
    days: u32,
    first_churn_day: u32,
}

/// ln p and ln (1 − p).
struct Chance {
    yes: f64,
    no: f64,
}

/// What a clipped normal measure tells: ln of both atoms, and the mean in units of the variance.
struct Clipped {
    least: f64,
    greatest: f64,
    mean: f64,
    variance: f64,
}

impl Chance {
    fn new(p: f64) -> Self {
        Self { yes: p.ln(), no: (-p).ln_1p() }
    }

    fn of(&self, yes: f64, n: f64) -> f64 {
        times(yes, self.yes) + times(n - yes, self.no)
    }
}

impl Clipped {
    fn new(law: &MeasureConfig, e: f64) -> Self {
        // Without scatter, the measure is its mean, as finely as it is written.
        let deviation = law.deviation.max(HALF_PLACE);
        let mean = law.mean.at(e);
        Self {
            least: normal_tail((mean - hundredths(law.min) - HALF_PLACE) / deviation).ln(),
            greatest: normal_tail((hundredths(law.max) - HALF_PLACE - mean) / deviation).ln(),
            mean,
            variance: deviation * deviation,
        }
    }

    /// Up to what does not depend on engagement.
    fn of(&self, measures: &Measures) -> f64 {
        times(measures.least, self.least) + times(measures.greatest, self.greatest)
            - (0.5 * measures.within * self.mean * self.mean - measures.sum * self.mean) / self.variance
    }
}

/// `count` × `log`, where 0 × −∞ is 0: what did not happen tells nothing.
fn times(count: f64, log: f64) -> f64 {
    if count == 0.0 { 0.0 } else { count * log }
}

impl Inference {
    /// Of a document; `as_of` is a day of the window, counted from 0, or −1, the day before it.
    pub fn new(config: &ChurnConfig, as_of: i32) -> Self {
        let engagement = Engagement::with_steps(config, STEPS);
        let nodes = &engagement.values;
        let hazards: [Vec<f64>; 2] =
            [false, true].map(|is_paid| nodes.iter().map(|e| Hazard::new(config, *e, is_paid).probability).collect());
        let (days, first_churn_day) = (config.window.days, config.window.days / config.churn.first_day_divisor);
        let gone = gone_by(first_churn_day, days, as_of);
        let prior = |hazards: &Vec<f64>| {
            engagement.weights.iter().zip(hazards).map(|(weight, hazard)| weight.ln() + (-hazard * gone).ln_1p()).collect()
        };
        Self {
            as_of,
            priors: [prior(&hazards[0]), prior(&hazards[1])],
            active: nodes.iter().map(|e| Chance::new(config.activity.probability.at(*e))).collect(),
            video: nodes.iter().map(|e| Chance::new(config.video.probability.at(*e))).collect(),
            quiz: nodes.iter().map(|e| Chance::new(config.quiz.probability.at(*e))).collect(),
            minutes: nodes.iter().map(|e| Clipped::new(&config.video.minutes, *e)).collect(),
            scores: nodes.iter().map(|e| Clipped::new(&config.quiz.score, *e)).collect(),
            hazards,
            days,
            first_churn_day,
            engagement,
        }
    }

    /// Engagement in quadrature.
    pub fn engagement(&self) -> &Engagement {
        &self.engagement
    }

    /// The share of churn dates that are not after a day of the window, counted from 0; −1 is the day before it.
    pub fn gone_by(&self, day: i32) -> f64 {
        gone_by(self.first_churn_day, self.days, day)
    }

    /// The posterior weights of engagement, given that the user has not churned. `None` if this cannot have happened.
    pub fn posterior(&self, evidence: &Evidence, is_paid: bool) -> Option<Vec<f64>> {
        let prior = &self.priors[usize::from(is_paid)];
        let mut weights: Vec<f64> = (0..self.engagement.values.len())
            .map(|node| {
                prior[node]
                    + self.active[node].of(evidence.active, evidence.days)
                    + self.video[node].of(evidence.minutes.count(), evidence.sessions)
                    + self.quiz[node].of(evidence.scores.count(), evidence.sessions)
                    + self.minutes[node].of(&evidence.minutes)
                    + self.scores[node].of(&evidence.scores)
            })
            .collect();
        let most = weights.iter().copied().filter(|weight| !weight.is_nan()).fold(f64::NEG_INFINITY, f64::max);
        if most == f64::NEG_INFINITY {
            return None;
        }
        for weight in &mut weights {
            // What is this far below the greatest is lost in rounding.
            *weight = if *weight - most > -60.0 { (*weight - most).exp() } else { 0.0 };
        }
        let total: f64 = weights.iter().sum();
        for weight in &mut weights {
            *weight /= total;
        }
        Some(weights)
    }

    /// P(not churned by the end of `day` | not churned by `as_of`) of a user whose probability of churn within the window is `hazard`.
    pub fn survival(&self, hazard: f64, day: i32) -> f64 {
        (1.0 - hazard * self.gone_by(day)) / (1.0 - hazard * self.gone_by(self.as_of))
    }

    /// For posterior weights: the two means of [`survival`](Self::survival) that give it on any day. Survival is linear in the share of
    /// churn dates that are gone: it is the first less the second times that share.
    pub fn survival_line(&self, weights: &[f64], is_paid: bool) -> (f64, f64) {
        let gone = self.gone_by(self.as_of);
        let hazards = &self.hazards[usize::from(is_paid)];
        let mut line = (0.0, 0.0);
        for (weight, hazard) in weights.iter().zip(hazards) {
            let alive = 1.0 - hazard * gone;
            line.0 += weight / alive;
            line.1 += weight * hazard / alive;
        }
        line
    }
}

/// The share of churn dates that are not after a day.
fn gone_by(first_churn_day: u32, days: u32, day: i32) -> f64 {
    let (first, days) = (f64::from(first_churn_day), f64::from(days));
    ((f64::from(day) + 1.0 - first) / (days - first)).clamp(0.0, 1.0)
}
