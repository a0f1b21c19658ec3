//! What subscribers teach: who pays, who is active, what a session holds, who leaves.

use super::{Engagement, User, data, none_known};
use crate::error::AnalysisError;
use crate::pass::{self, Inputs, Observer};
use crate::recover::linear::{Bins, Blind, Clipped, Line};
use crate::recover::loglinear::{self, Count, Predictor};
use crate::recover::numbers::Moments;
use crate::recover::sheet::{Parameter, Scale, Sheet};
use crate::source::{As, Columns, Side, Source, Want};
use crate::stats::{Merge, merge_fields};
use crate::watch::Watch;
use arrow_array::{Array, RecordBatch};
use populace_core::churn::{ChurnConfig, ChurnModel, EventType};
use populace_io::catalogue;
use populace_io::document::Resolved;
use std::collections::BTreeMap;

/// Whether a user churned, which silence alone does not tell.
const LABELS: [Want; 2] = [Want::new("user_id", As::Id), Want::new("churned", As::Bool)];

/// What happens with a probability that is a line in engagement.
struct Linear {
    seen: Bins,
    blind: Blind,
}

impl Linear {
    fn new() -> Self {
        Self { seen: Bins::default(), blind: Blind::default() }
    }

    fn add(&mut self, user: &User, trials: u64, successes: u64) {
        // What lies should not count for more than it can be.
        let successes = successes.min(trials);
        match user.engagement {
            Some(engagement) => self.seen.add(engagement.clamp(0.0, 1.0), trials, successes),
            None => self.blind.add(trials, successes),
        }
    }
}

/// All counts.
struct Tally<'a> {
    config: &'a ChurnConfig,
    /// The first day, from 0, on which anybody churns: before it everybody is there.
    first_churn_day: u32,
    users: u64,
    paid: u64,
    orphans: u64,
    repeats: u64,
    events: u64,
    engagement: Moments,
    activity: Linear,
    video: Linear,
    quiz: Linear,
    sessions: Moments,
    logins: u64,
    enrolments: u64,
    payments: Count,
    tickets: Count,
    minutes: Clipped,
    score: Clipped,
    /// Churned of the free and of the paying, by engagement.
    churned: [Bins; 2],
    labelled: Count,
}

merge_fields!(Linear { seen, blind });
merge_fields!(Tally<'_> {
    users, paid, orphans, repeats, events, engagement, activity, video, quiz, sessions, logins, enrolments, payments, tickets, minutes, score, churned,
    labelled,
} same { config, first_churn_day });

impl<'a> Tally<'a> {
    fn new(config: &'a ChurnConfig) -> Self {
        let clipped = |law: &populace_core::churn::MeasureConfig| Clipped::new(law.min, law.max);
        Self {
            first_churn_day: config.window.days / config.churn.first_day_divisor,
            users: 0,
            paid: 0,
            orphans: 0,
            repeats: 0,
            events: 0,
            engagement: Moments::default(),
            activity: Linear::new(),
            video: Linear::new(),
            quiz: Linear::new(),
            sessions: Moments::default(),
            logins: 0,
            enrolments: 0,
            payments: Count::default(),
            tickets: Count::default(),
            minutes: clipped(&config.video.minutes),
            score: clipped(&config.quiz.score),
            churned: [Bins::default(), Bins::default()],
            labelled: Count::default(),
            config,
        }
    }

    fn user(&mut self, user: &User, churned: Option<bool>) {
        self.users += 1;
        self.paid += u64::from(user.is_paid);
        self.orphans += user.orphans;
        self.repeats += user.repeats;
        self.events += user.events.len() as u64;
        let engagement = user.engagement.map(|engagement| engagement.clamp(0.0, 1.0));
        if let Some(engagement) = engagement {
            self.engagement.add(engagement);
        }
        let begin = self.config.window.start;
        let is_early = |date: populace_core::time::Date| date >= begin && date < begin.plus(self.first_churn_day as i32);
        let days = user.active_days();
        let early_days = days.iter().filter(|(date, _)| is_early(*date)).count() as u64;
        self.activity.add(user, u64::from(self.first_churn_day), early_days);
        for (_, logins) in &days {
            self.sessions.add(f64::from(*logins));
        }
        let count = |kind: EventType| user.events.iter().filter(|event| event.event_type == kind).count() as u64;
        let logins = count(EventType::Login);
        self.logins += logins;
        self.video.add(user, logins, count(EventType::VideoWatch));
        self.quiz.add(user, logins, count(EventType::QuizAttempt));
        self.enrolments += count(EventType::CourseEnroll).min(logins);
        let paid = count(EventType::PaymentSuccess);
        self.payments.successes += paid;
        self.payments.trials += paid + count(EventType::PaymentFailed);
        let tickets = user.events.iter().filter(|event| event.event_type == EventType::SupportTicket && is_early(event.time.date()));
        self.tickets.successes += tickets.count() as u64;
        self.tickets.trials += u64::from(self.first_churn_day);
        for event in &user.events {
            if let (Some(engagement), Some(minutes)) = (engagement, event.watch_minutes) {
                self.minutes.add(engagement, minutes);
            }
            if let (Some(engagement), Some(score)) = (engagement, event.quiz_score) {
                self.score.add(engagement, score);
            }
        }
        if let Some(churned) = churned {
            self.labelled.trials += 1;
            self.labelled.successes += u64::from(churned);
            // Without engagement all are in one part, whose factor is the population's mean.
            self.churned[usize::from(user.is_paid)].add(engagement.unwrap_or(0.0), 1, u64::from(churned));
        }
    }
}

impl Observer for Tally<'_> {
    fn add(&mut self, actor: &[Option<RecordBatch>]) -> Result<(), AnalysisError> {
        let Some(users) = &actor[0] else { return Ok(()) };
        let labels = actor.get(2).and_then(Option::as_ref).map(|labels| labels.bool("churned"));
        self.user(&User::told_once(users, actor[1].as_ref()), labels.filter(|churned| churned.is_valid(0)).map(|churned| churned.value(0)));
        Ok(())
    }

    fn merge(&mut self, later: Self) -> Result<(), AnalysisError> {
        Merge::combine(self, later);
        Ok(())
    }
}

/// Estimates all that users and events tell. Returns how much there is of what.
pub(crate) fn estimate(
    source: &Source,
    document: &Resolved,
    sheet: &mut Sheet,
    watch: &Watch<'_>,
) -> Result<BTreeMap<String, u64>, AnalysisError> {
    let model: &ChurnModel = &catalogue::model(document)?;
    let config = model.config();
    let has_labels = source.has("truth/users");
    let labels = Side { table: "truth/users", wants: &LABELS, time: None };
    let inputs = Inputs::joined("user_id", data::sides(source).into_iter().chain(has_labels.then_some(labels)).collect::<Vec<_>>());
    let tally = pass::run(source, &inputs, watch, "counting", || Tally::new(config))?;
    if tally.events == 0 && tally.orphans > 0 {
        return Err(none_known(source, tally.orphans));
    }
    if tally.repeats > 0 {
        sheet.notes.push(format!("{} rows tell an event again; the first one counts", tally.repeats));
    }
    if tally.orphans > 0 {
        sheet.notes.push(format!("{} rows are of a type that is not known", tally.orphans));
    }
    people(config, &tally, sheet);
    activity(config, &tally, sheet);
    if has_labels {
        departures(model, &tally, sheet);
    } else {
        for path in ["churn_base_rate", "churn.paid_factor", "churn (share of the population)"] {
            sheet.skip(path, "there is no truth/users, and a user who is silent at the end may not have churned");
        }
    }
    let size =
        [("users", tally.users), ("logins", tally.logins), ("payments", tally.payments.trials), ("churned", tally.labelled.successes)];
    Ok(size.map(|(name, count)| (name.to_owned(), count)).into())
}

/// Who they are, what they pay and ask.
fn people(config: &ChurnConfig, tally: &Tally<'_>, sheet: &mut Sheet) {
    let share = |path: &str, truth: f64, method| Parameter::level(path, "share", truth, method);
    sheet.share(share("paid_ratio", config.paid_ratio, "users who pay"), tally.paid, tally.users);
    let law = &config.engagement;
    if tally.engagement.n > 0 {
        let truth = law.alpha / (law.alpha + law.beta);
        sheet.mean(Parameter::level("engagement (mean)", "engagement", truth, "mean of engagement_score"), &tally.engagement);
    } else {
        sheet.skip("engagement (mean)", "there is no column engagement_score");
    }
    let payment = share("billing.success_probability", config.billing.success_probability, "successes of charges");
    sheet.share(payment, tally.payments.successes, tally.payments.trials);
    let ticket = share("tickets.probability", config.tickets.probability, "user-days before anybody can churn");
    sheet.share(ticket, tally.tickets.successes, tally.tickets.trials);
}

/// What they do.
fn activity(config: &ChurnConfig, tally: &Tally<'_>, sheet: &mut Sheet) {
    let law = &config.activity.probability;
    line(sheet, config, "activity.probability", &tally.activity, (law.base, law.slope));
    let truth = f64::midpoint(f64::from(config.sessions.min), f64::from(config.sessions.max));
    sheet.mean(Parameter::level("sessions (mean of an active day)", "sessions", truth, "logins of active days"), &tally.sessions);
    let enrol = Parameter::level("enrol.probability", "share", config.enrol.probability, "sessions with one");
    sheet.share(enrol, tally.enrolments, tally.logins);
    for (path, law, linear) in [("video", config.video.probability, &tally.video), ("quiz", config.quiz.probability, &tally.quiz)] {
        line(sheet, config, &format!("{path}.probability"), linear, (law.base, law.slope));
    }
    for (path, law, unit, clipped) in
        [("video.minutes", &config.video.minutes, "minutes", &tally.minutes), ("quiz.score", &config.quiz.score, "points", &tally.score)]
    {
        let method = "maximum likelihood, normal clipped at known bounds";
        match clipped.line() {
            Some((line, deviation)) => {
                let n = clipped.n();
                let level = |name: &str, truth| Parameter::level(format!("{path}.{name}"), unit, truth, method);
                sheet.normal(level("mean.base", law.mean.base), Scale::Linear, line.base.0, line.base.1, n);
                let slope = Parameter::slope(format!("{path}.mean.slope"), unit, law.mean.slope, method);
                sheet.normal(slope, Scale::Linear, line.slope.0, line.slope.1, n);
                sheet.normal(level("deviation", law.deviation), Scale::Log, deviation.0, deviation.1 / deviation.0, n);
            }
            None if clipped.n() == 0 => sheet.skip(path, "needs the column engagement_score"),
            None => sheet.skip(path, "the data does not identify it at this size"),
        }
    }
}

/// Base and slope of a probability.
fn line(sheet: &mut Sheet, config: &ChurnConfig, path: &str, linear: &Linear, truth: (f64, f64)) {
    let law = Engagement::new(config);
    let mean = law.mean(|e| e);
    let (found, method, n): (Option<Line>, _, _) = if linear.seen.trials() > 0 {
        (linear.seen.line(), "maximum likelihood, a line in engagement_score", linear.seen.trials())
    } else {
        let variance = law.mean(|e| (e - mean).powi(2));
        let found = linear.blind.line(mean, variance);
        (found, "moments of users' shares, engagement unobserved, its distribution as in the document", linear.blind.users())
    };
    let Some(found) = found else { return sheet.skip(path, "the data does not identify it at this size") };
    let base = Parameter::level(format!("{path}.base"), "probability", truth.0, method);
    sheet.normal(base, Scale::Linear, found.base.0, found.base.1, n);
    let slope = Parameter::slope(format!("{path}.slope"), "probability", truth.1, method);
    sheet.normal(slope, Scale::Linear, found.slope.0, found.slope.1, n);
}

/// ln p = ln base + ln paid factor if paying + ln factor of engagement, where that is known. Where it is not, p is the mean over
/// engagement, of which a part is at the cap.
struct Hazards {
    /// Whether paying, and the factors with their weights.
    cells: Vec<(bool, Vec<(f64, f64)>)>,
    cap: f64,
}

impl Predictor for Hazards {
    fn predict(&self, cell: usize, coefficients: &[f64], derivatives: &mut Vec<(usize, f64)>) -> f64 {
        let (paid, factors) = &self.cells[cell];
        let base = (coefficients[0] + if *paid { coefficients[1] } else { 0.0 }).exp();
        // What lies below the cap moves with the coefficients.
        let (mut p, mut moving) = (0.0, 0.0);
        for (factor, weight) in factors {
            let own = base * factor;
            p += weight * if factors.len() > 1 { own.min(self.cap) } else { own };
            moving += weight * if own < self.cap { own } else { 0.0 };
        }
        let share = if factors.len() > 1 { moving / p } else { 1.0 };
        derivatives.clear();
        derivatives.push((0, share));
        if *paid {
            derivatives.push((1, share));
        }
        p.ln()
    }
}

/// Who leaves.
fn departures(model: &ChurnModel, tally: &Tally<'_>, sheet: &mut Sheet) {
    let config = model.config();
    let truth = model.expectation().any.churn;
    let rate = Parameter::level("churn (share of the population)", "share", truth, "churned of all users, by truth/users");
    sheet.share(rate, tally.labelled.successes, tally.labelled.trials);
    let law = &config.churn;
    let factor = |e: f64| law.engagement_floor + law.engagement_weight * (1.0 - e).powf(law.engagement_power);
    let engagement = Engagement::new(config);
    let mean_factor = engagement.mean(factor);
    let unknown: Vec<(f64, f64)> = engagement.values.iter().map(|e| factor(*e)).zip(engagement.weights.iter().copied()).collect();
    let is_seen = tally.engagement.n > 0;
    let (mut cells, mut counts) = (Vec::new(), Vec::new());
    for (paid, bins) in [false, true].into_iter().zip(&tally.churned) {
        for bin in bins.iter() {
            let factors = if is_seen { vec![(factor(bin.engagement), 1.0)] } else { unknown.clone() };
            // Whose factor is 0 never churns, and tells nothing of the others.
            if factors.iter().any(|(factor, _)| *factor > 0.0) {
                cells.push((paid, factors));
                counts.push(Count { trials: bin.trials, successes: bin.successes });
            }
        }
    }
    let start = vec![(tally.labelled.successes.max(1) as f64 / tally.labelled.trials.max(1) as f64 / mean_factor).ln(), 0.0];
    let churned = |index: usize| tally.churned[index].iter().map(|bin| bin.successes).sum::<u64>();
    let fit = if churned(0) > 0 && churned(1) > 0 {
        loglinear::fit(&Hazards { cells, cap: law.max_probability }, &counts, law.max_probability, start)
    } else {
        None
    };
    let Some(fit) = fit else {
        for path in ["churn_base_rate", "churn.paid_factor"] {
            sheet.skip(path, "too few users churned on the one plan or the other");
        }
        return;
    };
    let method = "log-linear model of churned, the engagement factor as the document's";
    let n = tally.labelled.trials;
    let error = |place: usize| fit.covariance.at(place, place).sqrt();
    let base = Parameter::level("churn_base_rate", "probability", config.churn_base_rate, method);
    sheet.normal(base, Scale::Log, fit.coefficients[0].exp(), error(0), n);
    let paid = Parameter::factor("churn.paid_factor", law.paid_factor, method);
    sheet.normal(paid, Scale::Log, fit.coefficients[1].exp(), error(1), n);
}
