//! What the tables of `churn` hold.

use crate::table::{Column, InstantText, Kind, Table};
use populace_core::churn::{ChurnModel, EventIds};

/// The tables, in the order of their numbers.
pub(super) fn tables(model: &ChurnModel) -> Vec<Table> {
    let mut users = vec![
        Column::new("user_id", Kind::Int64, "Id of the user, from 1"),
        Column::new("signup_date", Kind::Date, "When the user signed up"),
        Column::new("plan", Kind::Text, "`free` or `paid`"),
        Column::new("is_paid", Kind::Int16, "1 if paid, 0 if free"),
        Column::new("country", Kind::Text, "Country code"),
        Column::new("marketing_source", Kind::Text, "Acquisition channel"),
    ];
    if model.config().engagement.observed {
        users.push(Column::new("engagement_score", Kind::Float, "Latent engagement, 0 to 1: known of synthetic users only"));
    }
    let (ids, number) = match model.config().event_ids {
        EventIds::PerUser => ("Id of the event: (`user_id` − 1) × 1,000,000 + its position among the user's own, from 1", None),
        EventIds::Sequential => ("Number of the event: 1 to N without a gap, by user, then time", Some("event_id")),
    };
    let events = vec![
        Column::new("event_id", Kind::Int64, ids),
        Column::new("user_id", Kind::Int64, "Id of the user"),
        Column::new("event_time", Kind::Instant(InstantText::Plain), "When it happened, UTC"),
        Column::new("event_type", Kind::Text, "What happened"),
        Column::nullable("course_id", Kind::Text, "The course, of a video, a quiz or an enrolment"),
        Column::nullable("watch_minutes", Kind::Fixed(2), "Minutes watched, of a video"),
        Column::nullable("quiz_score", Kind::Fixed(2), "Score from 0 to 100, of a quiz"),
        Column::nullable("amount", Kind::Fixed(2), "Amount charged, of a payment"),
    ];
    let truth = vec![
        Column::new("user_id", Kind::Int64, "Id of the user"),
        Column::new("engagement", Kind::Float, "Latent engagement, 0 to 1"),
        Column::new("churn_prob", Kind::Float, "The probability that `churned` was drawn against: the product of the next four"),
        Column::new("base", Kind::Float, "Factor: the base rate"),
        Column::new("paid_factor", Kind::Float, "Factor: of the plan"),
        Column::new("engagement_factor", Kind::Float, "Factor: of the engagement"),
        Column::new("cap_factor", Kind::Float, "Factor: 1, or less where the product of the others passes the greatest probability"),
        Column::new("churned", Kind::Bool, "Whether the user churns within the window"),
        Column::nullable("churn_date", Kind::Date, "The user's last day, if the user churns"),
        Column::new("observable", Kind::Bool, "False only for a churn date on the window's last day"),
        Column::new("active_prob", Kind::Float, "P(active on a day)"),
        Column::new("video_prob", Kind::Float, "P(a session holds a video)"),
        Column::new("quiz_prob", Kind::Float, "P(a session holds a quiz)"),
    ];
    vec![
        Table::new("users", false, "One user", users, 1.0).keyed_by(&["user_id"]).of_actor("user_id"),
        Table::new("events", false, "One event", events, model.expectation().events())
            .ordered_by("event_time")
            .keyed_by(&["user_id", "event_id"])
            .of_actor("user_id")
            .numbered_by(number),
        Table::new("users", true, "What is known of a user", truth, 1.0).keyed_by(&["user_id"]).of_actor("user_id"),
    ]
}
