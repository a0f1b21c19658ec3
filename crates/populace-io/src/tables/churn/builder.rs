//! From the rows of `churn` to columns.

use super::{Churn, EVENTS, PLANS, TRUTH_USERS, USERS};
use crate::generator::TableSet;
use crate::table::{booleans, codes, dates, dates_or_null, floats, floats_or_null, instants, longs, shorts};
use crate::tables::{Builder, Counts, Filled};
use arrow_array::ArrayRef;
use arrow_buffer::NullBuffer;
use populace_core::churn::{Action, ChurnModel, Event, EventType, IDS_PER_USER, Row, Truth, User};
use populace_core::scenario::Observer;
use std::ops::Range;

/// Collects the rows of a user, then spreads them over the columns in one tight loop a column.
pub struct ChurnBuilder<'g> {
    generator: &'g Churn,
    wanted: TableSet,
    rows: u64,
    counts: Counts,
    users: Vec<User>,
    truths: Vec<Truth>,
    events: Vec<Event>,
    event: EventColumns,
}

#[derive(Default)]
struct EventColumns {
    /// Where each user's events are numbered.
    id: Vec<i64>,
    user_id: Vec<i64>,
    time: Vec<i64>,
    event_type: Vec<i32>,
    course: Vec<i32>,
    measure: Vec<u32>,
}

impl<'g> ChurnBuilder<'g> {
    pub(super) fn new(generator: &'g Churn, actors: &Range<u64>, wanted: TableSet) -> Self {
        let users = (actors.end - actors.start) as usize;
        let events = if wanted.has(EVENTS) { generator.tables[EVENTS].room(users as u64) } else { 0 };
        Self {
            counts: Counts::over(EventType::NAMES.len() * PLANS.len()),
            rows: 0,
            users: Vec::with_capacity(users),
            truths: Vec::with_capacity(users),
            events: Vec::with_capacity(1_024),
            event: EventColumns {
                id: Vec::with_capacity(if generator.numbers_users() { events } else { 0 }),
                user_id: Vec::with_capacity(events),
                time: Vec::with_capacity(events),
                event_type: Vec::with_capacity(events),
                course: Vec::with_capacity(events),
                measure: Vec::with_capacity(events),
            },
            generator,
            wanted,
        }
    }
}

impl Observer<Row, Truth> for ChurnBuilder<'_> {
    #[inline]
    fn emit(&mut self, row: Row) {
        match row {
            Row::User(user) => self.users.push(user),
            Row::Event(event) => self.events.push(event),
        }
    }

    #[inline]
    fn reveal(&mut self, truth: Truth) {
        self.truths.push(truth);
    }

    fn clipped(&mut self, what: &'static str) {
        self.counts.clip(what);
    }
}

/// The measures of the events whose type is one of `types`, in units; null for the others.
fn measures(event: &EventColumns, types: &[EventType]) -> ArrayRef {
    let valid: NullBuffer = event.event_type.iter().map(|code| types.iter().any(|kind| *kind as i32 == *code)).collect();
    floats_or_null(event.measure.iter().map(|hundredths| f64::from(*hundredths) / 100.0).collect(), &valid)
}

impl Builder<ChurnModel> for ChurnBuilder<'_> {
    fn end_actor(&mut self) {
        let (rows, event) = (&self.events, &mut self.event);
        self.rows += rows.len() as u64;
        let paid = usize::from(self.users.last().is_some_and(|user| user.is_paid));
        for row in rows {
            self.counts.rows[row.action.event_type() as usize * 2 + paid] += 1;
        }
        if self.wanted.has(EVENTS) {
            if self.generator.numbers_users() {
                event.id.extend(rows.iter().zip(1..).map(|(row, number)| ((row.user_id - 1) * IDS_PER_USER + number) as i64));
            }
            event.user_id.extend(rows.iter().map(|row| row.user_id as i64));
            event.time.extend(rows.iter().map(|row| row.event_time.0));
            event.event_type.extend(rows.iter().map(|row| row.action.event_type() as i32));
            event.course.extend(rows.iter().map(|row| row.action.course().map_or(-1, i32::from)));
            event.measure.extend(rows.iter().map(|row| match row.action {
                Action::VideoWatch { watch_hundredths: measure, .. }
                | Action::QuizAttempt { score_hundredths: measure, .. }
                | Action::PaymentSuccess { amount_cents: measure }
                | Action::PaymentFailed { amount_cents: measure } => measure,
                Action::Login | Action::CourseEnroll { .. } | Action::SupportTicket => 0,
            }));
        }
        self.events.clear();
    }
    fn rows(&self) -> u64 {
        self.rows
    }

    fn finish(self, first_id: u64, filled: &mut Filled<'_>) -> Counts {
        let Self { generator, counts, users, truths, event, .. } = self;
        filled.put(USERS, || {
            [
                ("user_id", longs(users.iter().map(|user| user.user_id as i64).collect())),
                ("signup_date", dates(users.iter().map(|user| user.signup_date.0).collect())),
                ("plan", codes(users.iter().map(|user| i32::from(user.is_paid)).collect(), &generator.plans)),
                ("is_paid", shorts(users.iter().map(|user| i16::from(user.is_paid)).collect())),
                ("country", codes(users.iter().map(|user| i32::from(user.country)).collect(), &generator.countries)),
                ("marketing_source", codes(users.iter().map(|user| i32::from(user.marketing_source)).collect(), &generator.sources)),
                ("engagement_score", floats(users.iter().map(|user| user.engagement_score).collect())),
            ]
        });
        filled.put(EVENTS, || {
            let watched = measures(&event, &[EventType::VideoWatch]);
            let scored = measures(&event, &[EventType::QuizAttempt]);
            let charged = measures(&event, &[EventType::PaymentSuccess, EventType::PaymentFailed]);
            let ids = if generator.numbers_users() { event.id } else { (first_id as i64 + 1..).take(event.time.len()).collect() };
            [
                ("event_id", longs(ids)),
                ("user_id", longs(event.user_id)),
                ("event_time", instants(event.time)),
                ("event_type", codes(event.event_type, &generator.event_types)),
                ("course_id", codes(event.course, &generator.courses)),
                ("watch_minutes", watched),
                ("quiz_score", scored),
                ("amount", charged),
            ]
        });
        filled.put(TRUTH_USERS, || {
            let number = |of: fn(&Truth) -> f64| floats(truths.iter().map(of).collect());
            let left: NullBuffer = truths.iter().map(|truth| truth.churn_date.is_some()).collect();
            [
                ("user_id", longs(truths.iter().map(|truth| truth.user_id as i64).collect())),
                ("engagement", number(|truth| truth.engagement)),
                ("churn_prob", number(|truth| truth.churn_prob)),
                ("base", number(|truth| truth.base)),
                ("paid_factor", number(|truth| truth.paid_factor)),
                ("engagement_factor", number(|truth| truth.engagement_factor)),
                ("cap_factor", number(|truth| truth.cap_factor)),
                ("churned", booleans(truths.iter().map(|truth| truth.churned).collect())),
                ("churn_date", dates_or_null(truths.iter().map(|truth| truth.churn_date.map_or(0, |date| date.0)).collect(), &left)),
                ("observable", booleans(truths.iter().map(|truth| truth.observable).collect())),
                ("active_prob", number(|truth| truth.active_prob)),
                ("video_prob", number(|truth| truth.video_prob)),
                ("quiz_prob", number(|truth| truth.quiz_prob)),
            ]
        });
        counts
    }
}
