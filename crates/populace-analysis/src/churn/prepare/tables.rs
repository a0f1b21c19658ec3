//! The three tables that come out.

use super::key::Ids;
use populace_io::table::{Column, InstantText, Kind, Table};

/// The columns of a user that both tables of users have.
fn user_columns() -> [Column; 4] {
    [
        Column::new("plan", Kind::Text, "`free` or `paid`, or what else was there, in small letters"),
        Column::new("is_paid", Kind::Int16, "1 if the plan is `paid`, 0 if it is `free`, otherwise what was said"),
        Column::nullable("country", Kind::Text, "Country; a code in capitals"),
        Column::nullable("marketing_source", Kind::Text, "Acquisition channel, in small letters"),
    ]
}

/// `users_clean`; with the latent engagement if it is kept.
pub(super) fn users(latent: bool, ids: Ids) -> Table {
    let mut columns =
        vec![Column::new("user_id", ids.kind(), "Id of the user"), Column::new("signup_date", Kind::Date, "When the user signed up")];
    columns.extend(user_columns());
    if latent {
        columns.push(Column::nullable("engagement_score", Kind::Float, "Latent engagement, 0 to 1: known of synthetic users only"));
    }
    Table::new("users_clean", false, "One user", columns, 1.0)
}

/// `events_clean`.
pub(super) fn events(ids: Ids, users: Ids) -> Table {
    let columns = vec![
        Column::new("event_id", ids.kind(), "Id of the event"),
        Column::new("user_id", users.kind(), "Id of the user"),
        Column::new("event_time", Kind::Instant(InstantText::Exact), "When it happened, UTC"),
        Column::new("event_type", Kind::Text, "What happened, in small letters"),
        Column::nullable("course_id", Kind::Text, "The course"),
        Column::new("watch_minutes", Kind::Float, "Minutes watched, 0 where there are none"),
        Column::nullable("quiz_score", Kind::Float, "Score from 0 to 100"),
        Column::nullable("amount", Kind::Float, "Amount charged"),
        Column::new("event_date", Kind::Date, "The date of event_time"),
    ];
    Table::new("events_clean", false, "One event", columns, 240.0)
}

/// `user_daily`.
pub(super) fn daily(ids: Ids) -> Table {
    let mut columns = vec![
        Column::new("user_id", ids.kind(), "Id of the user"),
        Column::new("as_of_date", Kind::Date, "The day"),
        Column::new("signup_date", Kind::Date, "When the user signed up"),
        Column::new("days_since_signup", Kind::Int32, "Days from signup_date to as_of_date, 0 before it"),
    ];
    columns.extend(user_columns());
    columns.extend([
        Column::new("is_active_day", Kind::Int16, "1 if there is any event, else 0"),
        Column::new("total_events", Kind::Int32, "Events of the day"),
        Column::new("logins_count", Kind::Int32, "Events `login`"),
        Column::new("enroll_count", Kind::Int32, "Events `course_enroll`"),
        Column::new("watch_minutes_sum", Kind::Float, "Minutes of the events `video_watch`"),
        Column::new("quiz_attempts_count", Kind::Int32, "Events `quiz_attempt`"),
        Column::nullable("quiz_avg_score", Kind::Float, "Mean score of the events `quiz_attempt` that have one"),
        Column::new("payment_success_count", Kind::Int32, "Events `payment_success`"),
        Column::new("payment_failed_count", Kind::Int32, "Events `payment_failed`"),
        Column::new("support_ticket_count", Kind::Int32, "Events `support_ticket`"),
    ]);
    Table::new("user_daily", false, "One user on one day", columns, 120.0)
}
