//! The tables of `churn`.

use crate::generator::{Axes, Expected, ExpectedGroup, Generator, Simulated, TableSet, Tally};
use crate::table::{
    Column, InstantText, Kind, Table, booleans, codes, dates, dates_or_null, dictionary, floats, floats_or_null, instants, longs, shorts,
};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_buffer::NullBuffer;
use populace_core::churn::{Action, ChurnModel, Event, EventType, Row, Truth, User};
use populace_core::plan::{Population, Shard};
use populace_core::scenario::{Observer, Problem, Scenario};
use populace_core::stream::StreamKey;
use populace_core::time::Window;
use std::collections::BTreeMap;
use std::ops::Range;

const USERS: usize = 0;
const EVENTS: usize = 1;
const TRUTH_USERS: usize = 2;

const PLANS: [&str; 2] = ["free", "paid"];

/// The generator of `churn`.
pub struct Churn {
    model: ChurnModel,
    tables: Vec<Table>,
    event_types: ArrayRef,
    courses: ArrayRef,
    plans: ArrayRef,
    countries: ArrayRef,
    sources: ArrayRef,
}

fn tables(model: &ChurnModel) -> Vec<Table> {
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
    let events = vec![
        Column::new("event_id", Kind::Int64, "Number of the event: 1 to N without a gap, by user, then time"),
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
        Table::new("users", false, "One user", users, 1.0),
        Table::new("events", false, "One event", events, model.expectation().events()).ordered_by("event_time"),
        Table::new("users", true, "What is known of a user", truth, 1.0),
    ]
}

impl Churn {
    /// The generator of a checked model.
    pub fn new(model: ChurnModel) -> Self {
        Self {
            tables: tables(&model),
            event_types: dictionary(EventType::NAMES),
            courses: dictionary(model.courses()),
            plans: dictionary(PLANS),
            countries: dictionary(model.countries()),
            sources: dictionary(model.marketing_sources()),
            model,
        }
    }
}

impl Generator for Churn {
    fn family(&self) -> &'static str {
        ChurnModel::NAME
    }

    fn tables(&self) -> &[Table] {
        &self.tables
    }

    fn main_table(&self) -> usize {
        EVENTS
    }

    fn axes(&self) -> Axes {
        Axes { rows_name: "event_type", rows: EventType::NAMES.map(str::to_owned).into(), columns: PLANS.map(str::to_owned).into() }
    }

    fn numbers_rows(&self) -> bool {
        true
    }

    fn population(&self) -> Population {
        self.model.population()
    }

    fn period(&self) -> Range<i64> {
        let window = &self.model.config().window;
        let days = Window { start: window.start, days: window.days };
        days.begin().0..days.end().0
    }

    fn warnings(&self) -> &[Problem] {
        self.model.warnings()
    }

    fn fixed(&self, _: usize) -> Option<RecordBatch> {
        None
    }

    fn simulate(&self, seed: u64, shard: &Shard, wanted: TableSet) -> Box<dyn Simulated + '_> {
        let mut builder = Builder::new(self, shard, wanted);
        let key = StreamKey::root(seed, ChurnModel::NAME);
        for actor in shard.ids() {
            self.model.simulate(actor, key, &mut builder);
            builder.flush();
        }
        Box::new(builder)
    }

    fn expected(&self) -> Expected {
        let config = self.model.config();
        let expectation = self.model.expectation();
        let users = config.population.users as f64;
        let (free, paid) = (users * (1.0 - config.paid_ratio), users * config.paid_ratio);
        let window = &config.window;
        let by_plan = |of: fn(&populace_core::churn::laws::UserExpectation) -> f64| {
            vec![free * of(&expectation.free), paid * of(&expectation.paid), users * of(&expectation.any)]
        };
        let mut rows = vec![("users".to_owned(), vec![free, paid, users]), ("users who churn".to_owned(), by_plan(|user| user.churn))];
        let events = |user: &populace_core::churn::laws::UserExpectation| user.events.iter().sum::<f64>();
        rows.push(("active user-days".to_owned(), by_plan(|user| user.active_days)));
        rows.push(("events".to_owned(), by_plan(events)));
        for (kind, name) in EventType::NAMES.iter().enumerate() {
            let counts =
                vec![free * expectation.free.events[kind], paid * expectation.paid.events[kind], users * expectation.any.events[kind]];
            rows.push((format!("  {name}"), counts));
        }
        Expected {
            facts: vec![
                ("users".into(), format!("{users}")),
                ("period".into(), format!("{} to {} ({} days)", window.start, window.start.plus(window.days as i32), window.days)),
                ("population churn rate".into(), format!("{:.4}", expectation.any.churn)),
            ],
            groups: vec![ExpectedGroup { title: "volumes".into(), columns: vec!["free".into(), "paid".into(), "all".into()], rows }],
        }
    }
}

/// Collects the rows of a user, then spreads them over the columns in one tight loop a column.
struct Builder<'g> {
    generator: &'g Churn,
    wanted: TableSet,
    rows: u64,
    tally: Vec<u64>,
    clipped: BTreeMap<&'static str, u64>,
    users: Vec<User>,
    truths: Vec<Truth>,
    events: Vec<Event>,
    event: EventColumns,
}

#[derive(Default)]
struct EventColumns {
    user_id: Vec<i64>,
    time: Vec<i64>,
    event_type: Vec<i32>,
    course: Vec<i32>,
    measure: Vec<u32>,
}

impl<'g> Builder<'g> {
    fn new(generator: &'g Churn, shard: &Shard, wanted: TableSet) -> Self {
        let users = (shard.actors.end - shard.actors.start) as usize;
        let events = if wanted.has(EVENTS) { (generator.tables[EVENTS].rows_per_actor * users as f64 * 1.1) as usize + 64 } else { 0 };
        Self {
            tally: vec![0; EventType::NAMES.len() * PLANS.len()],
            clipped: BTreeMap::new(),
            rows: 0,
            users: Vec::with_capacity(users),
            truths: Vec::with_capacity(users),
            events: Vec::with_capacity(1_024),
            event: EventColumns {
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

    fn flush(&mut self) {
        let (rows, event) = (&self.events, &mut self.event);
        self.rows += rows.len() as u64;
        let paid = usize::from(self.users.last().is_some_and(|user| user.is_paid));
        for row in rows {
            self.tally[row.action.event_type() as usize * 2 + paid] += 1;
        }
        if self.wanted.has(EVENTS) {
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
}

impl Observer<Row, Truth> for Builder<'_> {
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
        *self.clipped.entry(what).or_default() += 1;
    }
}

/// The measures of the events whose type is one of `types`, in units; null for the others.
fn measures(event: &EventColumns, types: &[EventType]) -> ArrayRef {
    let valid: NullBuffer = event.event_type.iter().map(|code| types.iter().any(|kind| *kind as i32 == *code)).collect();
    floats_or_null(event.measure.iter().map(|hundredths| f64::from(*hundredths) / 100.0).collect(), &valid)
}

impl Simulated for Builder<'_> {
    fn main_rows(&self) -> u64 {
        self.rows
    }

    fn finish(self: Box<Self>, first_id: u64) -> (Vec<Option<RecordBatch>>, Tally) {
        let Self { generator, wanted, tally, clipped, users, truths, event, .. } = *self;
        let mut batches = vec![None; generator.tables.len()];
        if wanted.has(USERS) {
            let mut columns = vec![
                longs(users.iter().map(|user| user.user_id as i64).collect()),
                dates(users.iter().map(|user| user.signup_date.0).collect()),
                codes(users.iter().map(|user| i32::from(user.is_paid)).collect(), &generator.plans),
                shorts(users.iter().map(|user| i16::from(user.is_paid)).collect()),
                codes(users.iter().map(|user| i32::from(user.country)).collect(), &generator.countries),
                codes(users.iter().map(|user| i32::from(user.marketing_source)).collect(), &generator.sources),
            ];
            if generator.model.config().engagement.observed {
                columns.push(floats(users.iter().map(|user| user.engagement_score).collect()));
            }
            batches[USERS] = Some(generator.tables[USERS].batch(columns));
        }
        if wanted.has(EVENTS) {
            let ids = (first_id as i64 + 1..).take(event.time.len()).collect();
            let watched = measures(&event, &[EventType::VideoWatch]);
            let scored = measures(&event, &[EventType::QuizAttempt]);
            let charged = measures(&event, &[EventType::PaymentSuccess, EventType::PaymentFailed]);
            batches[EVENTS] = Some(generator.tables[EVENTS].batch(vec![
                longs(ids),
                longs(event.user_id),
                instants(event.time),
                codes(event.event_type, &generator.event_types),
                codes(event.course, &generator.courses),
                watched,
                scored,
                charged,
            ]));
        }
        if wanted.has(TRUTH_USERS) {
            let number = |of: fn(&Truth) -> f64| floats(truths.iter().map(of).collect());
            let left: NullBuffer = truths.iter().map(|truth| truth.churn_date.is_some()).collect();
            batches[TRUTH_USERS] = Some(generator.tables[TRUTH_USERS].batch(vec![
                longs(truths.iter().map(|truth| truth.user_id as i64).collect()),
                number(|truth| truth.engagement),
                number(|truth| truth.churn_prob),
                number(|truth| truth.base),
                number(|truth| truth.paid_factor),
                number(|truth| truth.engagement_factor),
                number(|truth| truth.cap_factor),
                booleans(truths.iter().map(|truth| truth.churned).collect()),
                dates_or_null(truths.iter().map(|truth| truth.churn_date.map_or(0, |date| date.0)).collect(), &left),
                booleans(truths.iter().map(|truth| truth.observable).collect()),
                number(|truth| truth.active_prob),
                number(|truth| truth.video_prob),
                number(|truth| truth.quiz_prob),
            ]));
        }
        let clipped = clipped.into_iter().map(|(what, count)| (what.to_owned(), count)).collect();
        (batches, Tally { counts: tally, clipped })
    }
}
