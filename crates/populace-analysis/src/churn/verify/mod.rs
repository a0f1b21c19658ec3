//! The answer key of `churn`.

mod activity;
mod alike;
mod billing;
mod people;
mod rows;
mod sessions;

use super::data::{EVENT_COLUMNS, SIDES, USER_COLUMNS, User};
use crate::error::AnalysisError;
use crate::pass::{self, Inputs, Observer};
use crate::source::{As, Columns, Side, Source, Want};
use crate::stats::Merge;
use crate::verify::board::Board;
use crate::verify::files::{Expected, Files, Ordered};
use crate::verify::ids::Roll;
use crate::verify::{mix, unit};
use crate::watch::Watch;
use activity::Activity;
use alike::Alike;
use arrow_array::RecordBatch;
use billing::Billing;
use people::People;
use populace_core::churn::{ChurnConfig, ChurnModel};
use populace_core::time::{DAY, Instant, SECOND};
use populace_io::catalogue;
use populace_io::document::Resolved;
use rows::Rows;
use sessions::Sessions;

/// What is checked beside what a [`User`] is made from.
const MORE_OF_USERS: [Want; 3] = [Want::new("plan", As::Text), Want::new("country", As::Text), Want::new("marketing_source", As::Text)];
const MORE_OF_EVENTS: [Want; 2] = [Want::new("event_id", As::Id), Want::nullable("course_id", As::Text)];

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
    (second - first) as f64 / count.max(1) as f64 + unit(mix(salt ^ second as u64)) / count.max(1) as f64
}

/// What is seen of the data.
struct Checks<'a> {
    files: Files<'a>,
    users: Roll,
    rows: Rows<'a>,
    people: People<'a>,
    activity: Activity<'a>,
    sessions: Sessions<'a>,
    billing: Billing<'a>,
    alike: Alike<'a>,
}

impl Observer for Checks<'_> {
    fn rows(&mut self, table: usize, rows: &RecordBatch) -> Result<(), AnalysisError> {
        self.files.add(table, rows)
    }

    fn add(&mut self, actor: &[Option<RecordBatch>]) -> Result<(), AnalysisError> {
        let Some(row) = &actor[0] else { return Ok(()) };
        let user = User::new(row, actor[1].as_ref());
        let number = user.id.whole().and_then(|id| u64::try_from(id).ok()?.checked_sub(1));
        for _ in 0..row.num_rows() {
            self.users.add(number, || format!("user {}", user.id));
        }
        let known = Known { user: &user, row, events: actor[1].as_ref() };
        self.rows.add(&known);
        self.people.add(&known);
        self.activity.add(&user);
        let days = self.sessions.add(&known);
        self.alike.add(&known, &days);
        self.billing.add(&user);
        Ok(())
    }

    fn merge(&mut self, later: Self) -> Result<(), AnalysisError> {
        self.files.combine(later.files);
        self.users.combine(later.users);
        self.rows.combine(later.rows);
        self.people.combine(later.people);
        self.activity.combine(later.activity);
        self.sessions.combine(later.sessions);
        self.billing.combine(later.billing);
        self.alike.combine(later.alike);
        Ok(())
    }
}

/// Runs every check.
pub(crate) fn verify(source: &Source, document: &Resolved, board: &mut Board, watch: &Watch<'_>) -> Result<(), AnalysisError> {
    let model: ChurnModel = catalogue::model(document)?;
    let config = model.config();
    let latent = source.table("users")?.has_column("engagement_score")?;
    let wants = [[&USER_COLUMNS[..], &MORE_OF_USERS].concat(), [&EVENT_COLUMNS[..], &MORE_OF_EVENTS].concat()];
    let [users, events] = SIDES;
    let joined = [Side { wants: &wants[0], ..users }, Side { wants: &wants[1], ..events }];
    let inputs = Inputs::joined("user_id", joined);
    let actor_of = |id: &str| id.parse::<u64>().ok()?.checked_sub(1);
    let order = Ordered { table: 1, key: "user_id", time: "event_time", by_time: true, actor_of };
    let expected = Expected::new(source, document, &inputs, order)?;
    let population = config.population.users;
    let Checks { mut files, users, rows, people, activity, sessions, billing, alike } =
        pass::run(source, &inputs, watch, "verifying", || Checks {
            files: expected.files(),
            users: Roll::new("users are 1, 2, … of the population, each once", population),
            rows: Rows::new(config),
            people: People::new(config),
            activity: Activity::new(&model, latent),
            sessions: Sessions::new(config, latent),
            billing: Billing::new(config),
            alike: Alike::new(config),
        })?;
    let found = users.actors;
    let mut users = users.finish();
    users.require(found == population, || format!("{found} users, and the document has {population}"));
    files.count(&mut users, "users");
    board.exact(users);
    files.report_order(board);
    rows.report(&files, board)?;
    people.report(board);
    activity.report(board);
    sessions.report(board);
    billing.report(board);
    alike.report(board)?;
    files.report_values(board);
    Ok(())
}
