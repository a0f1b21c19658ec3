//! On which days users are active, and when they fall silent for good.

use super::{day_and_second, first_churn_day};
use crate::churn::{Engagement, User};
use crate::stats::{Merge, Test, merge_fields, normal_two_sided};
use crate::verify::Group;
use crate::verify::board::{Board, Calibration, Found, z};
use populace_core::churn::laws::UserExpectation;
use populace_core::churn::{ChurnConfig, ChurnModel, EventType};

/// Into how many equal parts the days on which users churn are cut.
const CHECKPOINTS: u32 = 8;

/// Fewer events than this, or fewer that are missing, are no normal sum.
const RARE: f64 = 200.0;

/// Counts of one type among the users of one plan.
#[derive(Clone, Copy, Default)]
struct Volume {
    users: u64,
    sum: f64,
    squares: f64,
    most: f64,
}

/// Activity and silence.
pub(super) struct Activity<'a> {
    model: &'a ChurnModel,
    latent: bool,
    /// By plan and checkpoint: P(no login from there on) of a user of unknown engagement.
    marginal: Vec<[f64; 2]>,
    checkpoints: Vec<u32>,
    by_engagement: Calibration<By>,
    by_day: Calibration<By>,
    silence: Calibration,
    /// By plan, then type.
    volumes: [[Volume; EventType::ALL.len()]; 2],
}

/// P(churn) of a user.
fn churn_probability(config: &ChurnConfig, e: f64, is_paid: bool) -> f64 {
    let law = &config.churn;
    let factor = law.engagement_floor + law.engagement_weight * (1.0 - e).powf(law.engagement_power);
    (config.churn_base_rate * if is_paid { law.paid_factor } else { 1.0 } * factor).min(law.max_probability)
}

/// P(no login on day `from` or later) of a user.
fn silent_from(config: &ChurnConfig, from: u32, e: f64, is_paid: bool) -> f64 {
    let (first, days) = (first_churn_day(config), config.window.days);
    let quiet = 1.0 - config.activity.probability.at(e);
    let churn = churn_probability(config, e, is_paid);
    // A churn date is itself lived through.
    let lived = |last: u32| if last < from { 1.0 } else { quiet.powi((last - from + 1) as i32) };
    let of_churned = (first..days).map(lived).sum::<f64>() / f64::from(days - first);
    churn * of_churned + (1.0 - churn) * lived(days - 1)
}

impl Merge for Volume {
    fn combine(&mut self, other: Self) {
        self.users += other.users;
        self.sum += other.sum;
        self.squares += other.squares;
        self.most = self.most.max(other.most);
    }
}

merge_fields!(Activity<'_> { by_engagement, by_day, silence, volumes } same { model, latent, marginal, checkpoints });

impl<'a> Activity<'a> {
    pub(super) fn new(model: &'a ChurnModel, latent: bool) -> Self {
        let config = model.config();
        let (first, days) = (first_churn_day(config), config.window.days);
        let mut checkpoints: Vec<u32> =
            (1..CHECKPOINTS).map(|part| first + (days - first) * part / CHECKPOINTS).filter(|day| *day > first && *day < days).collect();
        checkpoints.dedup();
        let engagement = Engagement::new(config);
        let marginal =
            checkpoints.iter().map(|day| [false, true].map(|is_paid| engagement.mean(|e| silent_from(config, *day, e, is_paid))));
        Self {
            model,
            latent,
            marginal: marginal.collect(),
            checkpoints,
            by_engagement: Calibration::new("active days by engagement, day of the week and the day before, before anybody churns"),
            by_day: Calibration::new("active users by day"),
            silence: Calibration::new("users who are silent from a day on, by plan and engagement"),
            volumes: [[Volume::default(); EventType::ALL.len()]; 2],
        }
    }

    pub(super) fn add(&mut self, user: &User) {
        let config = self.model.config();
        let mut counts = [0.0; EventType::ALL.len()];
        let days = config.window.days as usize;
        let mut active = vec![false; days];
        for event in &user.events {
            counts[event.event_type as usize] += 1.0;
            let (day, _) = day_and_second(config, event.time);
            if event.event_type == EventType::Login
                && let Some(active) = usize::try_from(day).ok().and_then(|day| active.get_mut(day))
            {
                *active = true;
            }
        }
        for (volume, count) in self.volumes[usize::from(user.is_paid)].iter_mut().zip(counts) {
            volume.users += 1;
            volume.sum += count;
            volume.squares += count * count;
            volume.most = volume.most.max(count);
        }
        if let Some(e) = user.engagement {
            let e = e.clamp(0.0, 1.0);
            let p = config.activity.probability.at(e);
            let (first, churn) = (first_churn_day(config), churn_probability(config, e, user.is_paid));
            let mut before = None;
            for (day, active) in active.iter().enumerate() {
                // Of those who churn, a share is gone by then.
                let gone = f64::from((day as u32).saturating_sub(first)) / f64::from(config.window.days - first);
                self.by_day.add_to(By::Day(day), p * (1.0 - churn * gone), *active);
                if day as u32 <= first {
                    self.by_engagement.add_to(By::tenth(e), p, *active);
                    self.by_engagement.add_to(By::Weekday(config.window.start.plus(day as i32).weekday()), p, *active);
                    if let Some(before) = before.replace(*active) {
                        self.by_engagement.add_to(By::DayBefore(before), p, *active);
                    }
                }
            }
        }
        let last = active.iter().rposition(|active| *active);
        for (place, from) in self.checkpoints.iter().enumerate() {
            let silent = last.is_none_or(|last| last < *from as usize);
            let plan = if user.is_paid { "paid" } else { "free" };
            match user.engagement {
                Some(e) => {
                    let p = silent_from(config, *from, e.clamp(0.0, 1.0), user.is_paid);
                    self.silence.add(&format!("day {from}, {plan}"), p, silent);
                    let part = (e * 4.0).floor().clamp(0.0, 3.0) / 4.0;
                    self.silence.add(&format!("day {from}, {plan}, engagement {part:.2}"), p, silent);
                }
                None => self.silence.add(&format!("day {from}, {plan}"), self.marginal[place][usize::from(user.is_paid)], silent),
            }
        }
    }

    pub(super) fn report(self, board: &mut Board) {
        let group = Group::Calibration;
        if self.latent {
            self.by_engagement.report_as(board, group, 0.0, By::label);
            self.by_day.report_as(board, group, 0.0, By::label);
        } else {
            board.skip(
                group,
                "active days by engagement, day of the week and the day before, before anybody churns",
                "there is no column engagement_score",
            );
        }
        self.silence.report(board, group, 0.0);
        let expectation = self.model.expectation();
        let all = [("free", expectation.free), ("paid", expectation.paid)].into_iter().zip(&self.volumes);
        let found = all.flat_map(|((plan, law), volumes)| {
            let of = EventType::ALL.into_iter().zip(volumes);
            of.filter_map(move |(kind, volume)| Some((format!("{} of {plan} users", kind.name()), volume_test(&law, kind, *volume)?)))
        });
        board.try_test(Group::Distribution, "events of a user, by type and plan", Found::worst(found));
    }
}

/// What days and sessions are grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum By {
    /// Of engagement.
    Tenth(u8),
    Weekday(u8),
    Day(usize),
    Hour(i64),
    /// Whether the day before was active.
    DayBefore(bool),
    /// Whether a session has the other of video and quiz.
    Other(bool),
}

impl By {
    /// The tenth in which an engagement is.
    pub(super) fn tenth(e: f64) -> Self {
        Self::Tenth((e * 10.0).floor().clamp(0.0, 9.0) as u8)
    }

    pub(super) fn label(self) -> String {
        match self {
            Self::Tenth(tenth) => format!("engagement 0.{tenth}"),
            Self::Weekday(weekday) => format!("day of the week {weekday}"),
            Self::Day(day) => format!("day {day}"),
            Self::Hour(hour) => format!("hour {hour}"),
            Self::DayBefore(active) => format!("the day after {} one", if active { "an active" } else { "a quiet" }),
            Self::Other(other) => format!("{} the other", if other { "with" } else { "without" }),
        }
    }
}

/// The mean over users against the law's, by the users' own variance.
fn volume_test(law: &UserExpectation, kind: EventType, volume: Volume) -> Option<Found> {
    let expected = law.of(kind);
    if volume.users < 30 || expected <= 0.0 {
        return None;
    }
    let n = volume.users as f64;
    // Where nearly all users have as many as there can be, those that are missing are rare, and their number is no normal sum.
    let (top, missing) = (expected.ceil(), (expected.ceil() - expected) * n);
    if volume.most <= top && missing < RARE && missing < 0.1 * n {
        return Some(Found::share((top * n - volume.sum) as u64, (top * n) as u64, missing / (top * n)));
    }
    let mean = volume.sum / n;
    let variance = ((volume.squares - n * mean * mean) / (n - 1.0)).max(1e-12);
    let z = z(mean, expected, variance / n);
    // Too few events are no normal mean.
    if expected * n < RARE {
        return None;
    }
    let test = Test { statistic: z, p_value: normal_two_sided(z) };
    Some(Found { n: volume.users, observed: format!("{mean:.3}"), expected: format!("{expected:.3}"), test })
}
