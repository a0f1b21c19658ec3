//! The answer key of `churn`.

mod activity;
mod billing;
mod people;
mod rows;
mod sessions;

use super::board::{Board, Exact};
use super::{order_law, rows_law};
use crate::AnalysisError;
use crate::churn::{EVENT_COLUMNS, SIDES, USER_COLUMNS, User};
use crate::source::{As, Columns, Side, Source, Want};
use activity::Activity;
use arrow_array::RecordBatch;
use billing::Billing;
use people::People;
use populace_core::churn::{ChurnConfig, ChurnModel};
use populace_core::time::{DAY, Instant, SECOND};
use rows::Rows;
use sessions::Sessions;
use std::collections::HashSet;

/// What is checked beside what a [`User`] is made from.
const MORE_OF_USERS: [Want; 3] = [Want::new("plan", As::Text), Want::new("country", As::Text), Want::new("marketing_source", As::Text)];
const MORE_OF_EVENTS: [Want; 2] = [Want::new("event_id", As::Int), Want::nullable("course_id", As::Text)];

/// A user with the rows that it was made from.
struct Known<'a> {
    user: &'a User,
    row: &'a RecordBatch,
    events: Option<&'a RecordBatch>,
}

impl Known<'_> {
    fn text(&self, column: &str) -> &str {
        self.row.text(column).value(0)
    }
}

/// The first day, from 0, on which anybody churns: all days up to it, itself included, everybody lives through.
fn first_churn_day(config: &ChurnConfig) -> u32 {
    config.window.days / config.churn.first_day_divisor
}

/// The day of the window of a moment, and the second of that day.
fn day_and_second(config: &ChurnConfig, moment: Instant) -> (i64, i64) {
    let since = moment.since(config.window.start.midnight());
    (since.div_euclid(DAY), since.rem_euclid(DAY) / SECOND)
}

/// A whole second's place among `count` from `first` on: anywhere within its own share, by a hash.
fn second_place(second: i64, first: i64, count: i64, salt: u64) -> f64 {
    (second - first) as f64 / count.max(1) as f64 + super::unit(super::mix(salt ^ second as u64)) / count.max(1) as f64
}

/// Runs every check.
pub(super) fn verify(source: &Source, model: &ChurnModel, board: &mut Board) -> Result<(), AnalysisError> {
    let config = model.config();
    let latent = source.table("users")?.column_names()?.iter().any(|name| name == "engagement_score");
    let mut rows = Rows::new(config);
    let (mut people, mut activity) = (People::new(config), Activity::new(model, latent));
    let (mut sessions, mut billing) = (Sessions::new(config, latent), Billing::new(config));
    let mut once = Exact::new("users are 1, 2, … of the population, each once");
    let mut seen: HashSet<i64> = HashSet::new();
    let (mut users, mut events) = (0_u64, 0_u64);
    let wants = [[&USER_COLUMNS[..], &MORE_OF_USERS].concat(), [&EVENT_COLUMNS[..], &MORE_OF_EVENTS].concat()];
    let [users_side, events_side] = SIDES;
    let sides = [Side { wants: &wants[0], ..users_side }, Side { wants: &wants[1], ..events_side }];
    for batches in source.join("user_id", &sides)? {
        let batches = batches?;
        let Some(row) = &batches[0] else { continue };
        let user = User::new(row, batches[1].as_ref());
        users += row.num_rows() as u64;
        events += batches[1].as_ref().map_or(0, |events| events.num_rows() as u64);
        let within = u64::try_from(user.id).is_ok_and(|id| (1..=config.population.users).contains(&id));
        let new = seen.len() >= 1 << 22 || seen.insert(user.id);
        once.hold(within && new && row.num_rows() == 1, || format!("user {}", user.id));
        let known = Known { user: &user, row, events: batches[1].as_ref() };
        rows.see(&known)?;
        people.see(&known);
        activity.see(&user);
        sessions.see(&known);
        billing.see(&user);
    }
    once.hold(users == config.population.users, || format!("{users} users, and the document has {}", config.population.users));
    rows_law(&mut once, source, "users", users);
    board.exact(once);
    order_law(source, board, "events", "user_id", |id| id.parse().ok())?;
    rows.report(source, events, board)?;
    people.report(board);
    activity.report(board);
    sessions.report(board);
    billing.report(board);
    Ok(())
}
