//! What a day's sessions are, and what they hold.

use super::activity::By;
use super::{Known, day_and_second, second_place};
use crate::churn::Event;
use crate::churn::law::hundredths;
use crate::source::{Columns, Id};
use crate::stats::{Pit, merge_fields, normal_tail};
use crate::verify::board::{Board, Calibration, Exact, Found};
use crate::verify::{Group, mix, unit};
use populace_core::churn::{ChurnConfig, DelayConfig, EventType, MeasureConfig};
use std::collections::{BTreeMap, HashMap};

/// Half of what values are rounded to.
const HALF_HUNDREDTH: f64 = 0.005;

/// A session: its login and what follows it.
#[derive(Clone, Copy)]
pub(super) struct Session<'a> {
    pub(super) login: &'a Event,
    /// By [`SESSION_TYPES`].
    pub(super) holds: [Option<&'a Event>; 3],
}

/// The sessions of a user by day.
pub(super) type Days<'a> = BTreeMap<i64, Vec<Session<'a>>>;

const SESSION_TYPES: [EventType; 3] = [EventType::CourseEnroll, EventType::VideoWatch, EventType::QuizAttempt];

/// Sessions and what they hold.
pub(super) struct Sessions<'a> {
    config: &'a ChurnConfig,
    latent: bool,
    order: Exact,
    logins: Exact,
    per_day: Vec<u64>,
    seconds: Pit,
    delays: [Pit; 3],
    courses: [HashMap<String, u64>; 3],
    enrolments: u64,
    many: u64,
    videos: Calibration<By>,
    quizzes: Calibration<By>,
    minutes: Pit,
    scores: Pit,
}

merge_fields!(Sessions<'_> {
    order, logins, per_day, seconds, delays, courses, enrolments, many, videos, quizzes, minutes, scores,
} same { config, latent });

impl<'a> Sessions<'a> {
    pub(super) fn new(config: &'a ChurnConfig, latent: bool) -> Self {
        Self {
            config,
            latent,
            order: Exact::new(
                "a session begins with its login and holds at most one enrolment, video and quiz, at their delays, on its date",
            ),
            logins: Exact::new("an active day has as many sessions as the document allows, each login in its own part of the day"),
            per_day: vec![0; (config.sessions.max - config.sessions.min + 1) as usize],
            seconds: Pit::default(),
            delays: [Pit::default(), Pit::default(), Pit::default()],
            courses: [HashMap::new(), HashMap::new(), HashMap::new()],
            enrolments: 0,
            many: 0,
            videos: Calibration::new("videos of sessions by engagement, time and quiz"),
            quizzes: Calibration::new("quizzes of sessions by engagement, time and video"),
            minutes: Pit::default(),
            scores: Pit::default(),
        }
    }

    fn delay(&self, kind: usize) -> DelayConfig {
        [self.config.enrol.delay_seconds, self.config.video.delay_seconds, self.config.quiz.delay_seconds][kind]
    }

    pub(super) fn add<'u>(&mut self, known: &Known<'u>) -> Days<'u> {
        let user = known.user;
        let mut days = Days::new();
        for event in &user.events {
            let (day, second) = day_and_second(self.config, event.time);
            let place = || format!("{} of user {} at {}", event.event_type.name(), user.id, event.time);
            if event.event_type == EventType::Login {
                days.entry(day).or_default().push(Session { login: event, holds: [None; 3] });
                continue;
            }
            let Some(kind) = SESSION_TYPES.iter().position(|kind| *kind == event.event_type) else { continue };
            let delay = self.delay(kind);
            let session = days.get_mut(&day).and_then(|sessions| sessions.last_mut());
            let holds = session.is_some_and(|session| {
                let (_, begun) = day_and_second(self.config, session.login.time);
                let first = session.holds[kind].is_none();
                session.holds[kind].get_or_insert(event);
                first && (i64::from(delay.min)..=i64::from(delay.max)).contains(&(second - begun))
            });
            self.order.hold(holds, place);
        }
        for sessions in days.values() {
            self.day(&user.id, sessions);
            for session in sessions {
                self.session(known, session);
            }
        }
        days
    }

    /// The logins of an active day.
    fn day(&mut self, user: &Id, sessions: &[Session<'_>]) {
        let law = &self.config.sessions;
        let count = sessions.len() as u32;
        let place = || format!("user {user} on {}", sessions[0].login.time.date());
        if !(law.min..=law.max).contains(&count) {
            self.logins.hold(false, place);
            return;
        }
        self.per_day[(count - law.min) as usize] += 1;
        let part = i64::from(law.to_hour - law.from_hour) * 3_600 / i64::from(count);
        let seconds = (part - i64::from(self.config.quiz.delay_seconds.max)).max(0);
        for (number, session) in sessions.iter().enumerate() {
            let (_, second) = day_and_second(self.config, session.login.time);
            let begins = i64::from(law.from_hour) * 3_600 + number as i64 * part;
            self.logins.hold((begins..begins + seconds.max(1)).contains(&second), place);
            self.seconds.add(second_place(second, begins, seconds, session.login.time.0 as u64));
        }
    }

    fn session(&mut self, known: &Known<'_>, session: &Session<'_>) {
        let config = self.config;
        self.many += 1;
        self.enrolments += u64::from(session.holds[0].is_some());
        let salt = mix(session.login.time.0 as u64 ^ known.user.id.number() as u64);
        for (kind, event) in session.holds.iter().enumerate() {
            let Some(event) = event else { continue };
            let delay = self.delay(kind);
            let (_, second) = day_and_second(config, event.time);
            let (_, begun) = day_and_second(config, session.login.time);
            let (least, count) = (i64::from(delay.min), i64::from(delay.max - delay.min) + 1);
            self.delays[kind].add(second_place(second - begun, least, count, salt));
            if let Some(events) = known.events {
                *self.courses[kind].entry(events.text("course_id").value(event.row).to_owned()).or_default() += 1;
            }
        }
        let Some(e) = known.user.engagement.map(|e| e.clamp(0.0, 1.0)) else { return };
        let [_, video, quiz] = session.holds;
        let (day, second) = day_and_second(config, session.login.time);
        let weekday = By::Weekday(session.login.time.weekday());
        let groups = [By::tenth(e), weekday, By::Day(day.try_into().unwrap_or(usize::MAX)), By::Hour(second / 3_600)];
        let [p_video, p_quiz] = [config.video.probability.at(e), config.quiz.probability.at(e)];
        for group in groups {
            self.videos.add_to(group, p_video, video.is_some());
            self.quizzes.add_to(group, p_quiz, quiz.is_some());
        }
        self.videos.add_to(By::Other(quiz.is_some()), p_video, video.is_some());
        self.quizzes.add_to(By::Other(video.is_some()), p_quiz, quiz.is_some());
        if let Some(minutes) = video.and_then(|video| video.watch_minutes) {
            self.minutes.add(place(&config.video.minutes, e, minutes, salt));
        }
        if let Some(score) = quiz.and_then(|quiz| quiz.quiz_score) {
            self.scores.add(place(&config.quiz.score, e, score, mix(salt)));
        }
    }

    pub(super) fn report(self, board: &mut Board) {
        let group = Group::Distribution;
        board.exact(self.order);
        board.exact(self.logins);
        let days = vec![1.0; self.per_day.len()];
        board.test(group, "sessions of an active day are equally likely", Found::cells(&self.per_day, &days, "equal shares"));
        board.test(group, "the second of logins within their part of the day", Found::places(&self.seconds));
        let delays = SESSION_TYPES.iter().zip(&self.delays).filter(|(_, sample)| sample.n() > 0);
        let found = Found::worst(delays.map(|(kind, sample)| (kind.name(), Found::places(sample))));
        board.try_test(group, "delays after the login", found);
        let courses = SESSION_TYPES.iter().zip(&self.courses).filter(|(_, counts)| !counts.is_empty()).map(|(kind, counts)| {
            let counts: Vec<u64> = self.config.courses.iter().map(|course| counts.get(course).copied().unwrap_or(0)).collect();
            (kind.name(), Found::cells(&counts, &vec![1.0; counts.len()], "equal shares"))
        });
        board.try_test(group, "courses are equally likely", Found::worst(courses));
        let found = Found::share(self.enrolments, self.many, self.config.enrol.probability);
        board.test(group, "the share of sessions with an enrolment", found);
        if !self.latent {
            for name in [
                "videos of sessions by engagement, time and quiz",
                "quizzes of sessions by engagement, time and video",
                "minutes and scores given engagement",
            ] {
                board.skip(Group::Calibration, name, "there is no column engagement_score");
            }
            return;
        }
        self.videos.report_as(board, Group::Calibration, 0.0, By::label);
        self.quizzes.report_as(board, Group::Calibration, 0.0, By::label);
        let measures = [("minutes", &self.minutes, &self.config.video.minutes), ("scores", &self.scores, &self.config.quiz.score)];
        for (name, sample, law) in measures {
            let name = format!("{name} given engagement");
            if law.deviation > 0.0 && sample.n() > 0 {
                board.test(group, name, Found::places(sample));
            } else {
                board.skip(group, name, "there are none, or they have no spread");
            }
        }
    }
}

/// The place of a measure within its law, a clipped normal in hundredths: anywhere within its own share, by a hash.
pub(super) fn place(law: &MeasureConfig, e: f64, value: f64, salt: u64) -> f64 {
    let cdf = |value: f64| normal_tail((law.mean.at(e) - value) / law.deviation);
    let low = if value <= hundredths(law.min) { 0.0 } else { cdf(value - HALF_HUNDREDTH) };
    let high = if value >= hundredths(law.max) { 1.0 } else { cdf(value + HALF_HUNDREDTH) };
    low + (high - low) * unit(mix(salt))
}
