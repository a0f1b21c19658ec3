//! Subscribers with their events.

use crate::source::{As, Columns, Id, Side, Source, Texts, Want};
use arrow_array::{Array, RecordBatch};
use populace_core::churn::EventType;
use populace_core::time::{Date, Instant};
use std::collections::HashSet;

/// The columns of `users` that a user is made from. Further columns may be wanted beside them.
pub const USER_COLUMNS: [Want; 4] = [
    Want::new("user_id", As::Id),
    Want::new("signup_date", As::Date),
    Want::new("is_paid", As::Int),
    Want::optional("engagement_score", As::Float),
];

/// The columns of `events` that a user's events are made from.
pub const EVENT_COLUMNS: [Want; 6] = [
    Want::new("user_id", As::Id),
    Want::new("event_time", As::Instant),
    Want::new("event_type", As::Text),
    Want::nullable("watch_minutes", As::Float),
    Want::nullable("quiz_score", As::Float),
    Want::nullable("amount", As::Float),
];

/// What to [join](crate::source::Source::join) by `user_id` for [`User::new`].
pub const SIDES: [Side<'_>; 2] =
    [Side { table: "users", wants: &USER_COLUMNS, time: None }, Side { table: "events", wants: &EVENT_COLUMNS, time: Some("event_time") }];

/// As [`SIDES`], of a user's own with what tells an event that comes again.
const OWN: [Want; 7] = {
    let [user, time, event, minutes, score, amount] = EVENT_COLUMNS;
    [user, time, event, minutes, score, amount, Want::optional("event_id", As::Text)]
};

/// What to join by `user_id` for [`User::told_once`].
pub(super) fn sides(source: &Source) -> [Side<'static>; 2] {
    let [users, events] = SIDES;
    if source.manifest().is_some() { SIDES } else { [users, Side { wants: &OWN, ..events }] }
}

/// A subscriber.
#[derive(Clone, Debug)]
pub struct User {
    /// `user_id`.
    pub id: Id,
    /// When the user signed up.
    pub signup: Date,
    /// Whether on the paid plan.
    pub is_paid: bool,
    /// The latent engagement, where the data tells it.
    pub engagement: Option<f64>,
    /// What the user did, in the order of time.
    pub events: Vec<Event>,
    /// Rows of a type that is not known.
    pub orphans: u64,
    /// Rows that tell an event again, by its id and type, which are left out.
    pub repeats: u64,
}

/// An event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Event {
    /// The row in the batch of events.
    pub row: usize,
    /// When.
    pub time: Instant,
    /// What.
    pub event_type: EventType,
    /// Minutes watched, of a video.
    pub watch_minutes: Option<f64>,
    /// Score from 0 to 100, of a quiz.
    pub quiz_score: Option<f64>,
    /// Amount charged, of a payment.
    pub amount: Option<f64>,
}

impl User {
    /// The user in the first row of `users`, with the events of that user in order of time.
    pub fn new(users: &RecordBatch, events: Option<&RecordBatch>) -> Self {
        Self::of(users, events, None)
    }

    /// The same, of [`sides`]: an event that is told again is left out. Exports repeat rows; runs do not.
    pub(super) fn told_once(users: &RecordBatch, events: Option<&RecordBatch>) -> Self {
        let ids = events.filter(|events| events.column_by_name("event_id").is_some()).map(|events| events.text("event_id"));
        // Ids that rise are different; most do.
        let rise = |ids: &Texts<'_>| {
            let id = |row: usize| (ids.value(row).len(), ids.value(row));
            (1..ids.len()).all(|row| id(row - 1) < id(row))
        };
        Self::of(users, events, ids.filter(|ids| !rise(ids)))
    }

    fn of(users: &RecordBatch, events: Option<&RecordBatch>, ids: Option<Texts<'_>>) -> Self {
        let engagement = users.float("engagement_score");
        let mut user = Self {
            id: Id::of(users, "user_id", 0),
            signup: Date(users.date("signup_date").value(0)),
            is_paid: users.int("is_paid").value(0) != 0,
            engagement: engagement.is_valid(0).then(|| engagement.value(0)),
            events: Vec::new(),
            orphans: 0,
            repeats: 0,
        };
        let Some(events) = events else { return user };
        let (times, types) = (events.instant("event_time"), events.text("event_type"));
        let measures = ["watch_minutes", "quiz_score", "amount"].map(|name| events.float(name));
        let mut told = HashSet::new();
        for row in 0..events.num_rows() {
            let id = ids.filter(|ids| ids.is_valid(row)).map(|ids| ids.value(row));
            if id.is_some_and(|id| !told.insert((id, types.value(row)))) {
                user.repeats += 1;
                continue;
            }
            let Some(kind) = EventType::NAMES.iter().position(|name| *name == types.value(row)) else {
                user.orphans += 1;
                continue;
            };
            let [watch_minutes, quiz_score, amount] = measures.map(|column| column.is_valid(row).then(|| column.value(row)));
            let event_type = EventType::ALL[kind];
            user.events.push(Event { row, time: Instant(times.value(row)), event_type, watch_minutes, quiz_score, amount });
        }
        user
    }

    /// The days on which the user logged in, in order, each with its number of logins.
    pub fn active_days(&self) -> Vec<(Date, u32)> {
        let mut days: Vec<(Date, u32)> = Vec::new();
        for event in self.events.iter().filter(|event| event.event_type == EventType::Login) {
            let date = event.time.date();
            match days.last_mut() {
                Some((last, logins)) if *last == date => *logins += 1,
                _ => days.push((date, 1)),
            }
        }
        days
    }
}
