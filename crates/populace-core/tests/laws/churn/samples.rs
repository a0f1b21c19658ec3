//! The data that the laws look at: one document, simulated under several conditions so that each of its constants binds somewhere.

use super::model;
use crate::support::{collect, with};
use populace_core::churn::{Action, ChurnModel, Event, Row, Truth, User};
use populace_core::time::Date;
use serde_json::{Value, json};

/// One document under several conditions.
pub(super) struct Samples {
    /// The document as it is.
    pub(super) model: ChurnModel,
    /// 3,000 users of the document.
    pub(super) year: Sample,
    /// Many users over 4 days, without activity: who they are and whether they churn.
    pub(super) people: Sample,
    /// The same over 102 and over 200 days: signups.
    pub(super) hundred: Sample,
    pub(super) two_hundred: Sample,
    /// Base rate 1, wide measures, charges that often fail, over 40 days: where bounds bind.
    pub(super) extreme: Sample,
}

/// What the users of one simulation did.
pub(super) struct Sample {
    pub(super) people: Vec<Person>,
    pub(super) sessions: Vec<Session>,
    pub(super) clipped: u64,
    /// The first thing found that is not a sequence of sessions in the order of time.
    pub(super) disorder: Option<String>,
}

/// One user.
pub(super) struct Person {
    pub(super) user: User,
    pub(super) truth: Truth,
    pub(super) events: Vec<Event>,
}

/// A login and what follows it until the next.
#[derive(Clone, Copy)]
pub(super) struct Session {
    /// Index of the person.
    pub(super) person: usize,
    /// Engagement of the person.
    pub(super) e: f64,
    pub(super) date: Date,
    /// Number in its day, from 0.
    pub(super) place: u32,
    /// How many sessions its day has.
    pub(super) of: u32,
    /// Second of the day.
    pub(super) login: i64,
    /// Seconds after the login, and what.
    pub(super) enrol: Option<(i64, Action)>,
    pub(super) video: Option<(i64, Action)>,
    pub(super) quiz: Option<(i64, Action)>,
}

/// The first day of the default window.
pub(super) fn start() -> Date {
    Date::from_ymd(2025, 1, 1).unwrap()
}

/// Second of the day.
pub(super) fn second(event: &Event) -> i64 {
    event.event_time.since(event.event_time.date().midnight()) / 1_000_000
}

impl Person {
    /// How many days of a window of `days` the user lives through.
    pub(super) fn days(&self, days: u32) -> u32 {
        self.truth.churn_date.map_or(days, |date| (date.0 - start().0 + 1).clamp(0, days as i32) as u32)
    }
}

impl Samples {
    pub(super) fn new(document: &Value) -> Self {
        let quiet = with(document, "/activity/probability", json!({"base": 0, "slope": 0}));
        let days = |document: &Value, days: u32| with(document, "/window/days", days);
        let mut extreme = days(document, 40);
        for (pointer, value) in [
            ("/churn_base_rate", 1.0),
            ("/video/minutes/deviation", 60.0),
            ("/quiz/score/deviation", 60.0),
            ("/billing/success_probability", 0.3),
        ] {
            extreme = with(&extreme, pointer, value);
        }
        Self {
            model: model(document),
            year: Sample::new(document, 1, 3_000),
            people: Sample::new(&days(&quiet, 4), 2, 60_000),
            hundred: Sample::new(&days(&quiet, 102), 3, 3_000),
            two_hundred: Sample::new(&days(&quiet, 200), 4, 3_000),
            extreme: Sample::new(&extreme, 5, 4_000),
        }
    }
}

impl Sample {
    pub(super) fn new(document: &Value, seed: u64, users: u64) -> Self {
        let collected = collect(&model(document), seed, 0..users);
        let mut people: Vec<Person> = Vec::with_capacity(collected.truths.len());
        let mut truths = collected.truths.iter();
        for (actor, row) in collected.rows {
            match row {
                Row::User(user) => {
                    let &(of, truth) = truths.next().unwrap();
                    assert_eq!((of, truth.user_id, user.user_id), (actor, actor.0 + 1, actor.0 + 1));
                    people.push(Person { user, truth, events: Vec::new() });
                }
                Row::Event(event) => {
                    assert_eq!(event.user_id, actor.0 + 1);
                    people.last_mut().unwrap().events.push(event);
                }
            }
        }
        let mut sample = Self { people: Vec::new(), sessions: Vec::new(), clipped: collected.clipped, disorder: None };
        for (index, person) in people.iter().enumerate() {
            let first = sample.sessions.len();
            if let Err(disorder) = sessions(index, person, &mut sample.sessions) {
                sample.disorder.get_or_insert(disorder);
            }
            for day in sample.sessions[first..].chunk_by_mut(|a, b| a.date == b.date) {
                let of = day.len() as u32;
                day.iter_mut().zip(0..).for_each(|(session, place)| (session.of, session.place) = (of, place));
            }
        }
        Self { people, ..sample }
    }
}

/// Reads the sessions of one person off the events.
fn sessions(index: usize, person: &Person, sessions: &mut Vec<Session>) -> Result<(), String> {
    let first = sessions.len();
    let mut last = None;
    for event in &person.events {
        if last.is_some_and(|last| event.event_time < last) {
            return Err(format!("{event:?} comes before the event before it"));
        }
        last = Some(event.event_time);
        let (date, time) = (event.event_time.date(), second(event));
        let e = person.user.engagement_score;
        if event.action == Action::Login {
            sessions.push(Session { person: index, e, date, place: 0, of: 0, login: time, enrol: None, video: None, quiz: None });
            continue;
        }
        if event.action.course().is_none() {
            continue;
        }
        let session = sessions[first..].last_mut().filter(|session| session.date == date);
        let Some(session) = session else { return Err(format!("{event:?} has no login on its date")) };
        let what = Some((time - session.login, event.action));
        let (slot, is_first) = match event.action {
            Action::CourseEnroll { .. } => (&mut session.enrol, session.video.is_none() && session.quiz.is_none()),
            Action::VideoWatch { .. } => (&mut session.video, session.quiz.is_none()),
            _ => (&mut session.quiz, true),
        };
        if slot.is_some() || !is_first {
            return Err(format!("{event:?} has no place in its session"));
        }
        *slot = what;
    }
    Ok(())
}
