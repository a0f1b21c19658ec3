//! What holds of every row by itself.

use super::{Known, day_and_second};
use crate::error::AnalysisError;
use crate::source::{Columns, Id, Keys};
use crate::stats::{Merge, merge_fields};
use crate::verify::board::{Board, Exact};
use crate::verify::files::Files;
use crate::verify::ids::Distinct;
use populace_core::churn::{ChurnConfig, EventIds, EventType, IDS_PER_USER};

const OWN_IDS: &str = "event_id is (user_id − 1) × 1,000,000 + the event's position among the user's own, from 1";

/// The least and the greatest id, and how many there are.
struct Range {
    least: i64,
    greatest: i64,
    rows: i64,
}

impl Merge for Range {
    fn combine(&mut self, later: Self) {
        self.least = self.least.min(later.least);
        self.greatest = self.greatest.max(later.greatest);
        self.rows += later.rows;
    }
}

/// Laws of single rows.
pub(super) struct Rows<'a> {
    config: &'a ChurnConfig,
    /// Of numbers that count all rows.
    ids: Distinct,
    range: Range,
    /// Of those that count a user's own.
    own: Exact,
    names: Exact,
    plans: Exact,
    signups: Exact,
    scores: Exact,
    ascend: Exact,
    types: Exact,
    window: Exact,
    nulls: Exact,
    values: Exact,
}

merge_fields!(Rows<'_> { ids, range, own, names, plans, signups, scores, ascend, types, window, nulls, values } same { config });

impl<'a> Rows<'a> {
    pub(super) fn new(config: &'a ChurnConfig) -> Self {
        Self {
            config,
            ids: Distinct::default(),
            range: Range { least: i64::MAX, greatest: i64::MIN, rows: 0 },
            own: Exact::new(OWN_IDS),
            names: Exact::new("countries, marketing sources and courses are the document's"),
            plans: Exact::new("plan and is_paid say the same"),
            signups: Exact::new("signups lie within the days of signups, up to the window's first"),
            scores: Exact::new("engagement_score lies from 0 to 1"),
            ascend: Exact::new("event_id grows with a user's time"),
            types: Exact::new("every event is of a known type"),
            window: Exact::new("every event falls into the window"),
            nulls: Exact::new("course, minutes, score and amount are given for the types that have them, and for no other"),
            values: Exact::new("minutes and scores lie within their bounds, in hundredths; every amount is the document's"),
        }
    }

    /// Over how many days signups spread.
    pub(super) fn signup_days(config: &ChurnConfig) -> u32 {
        (config.window.days / config.signup.days_divisor).clamp(config.signup.min_days, config.signup.max_days)
    }

    pub(super) fn add(&mut self, known: &Known<'_>) {
        let config = self.config;
        let user = known.user;
        let who = || format!("user {}", user.id);
        let (country, source) = (known.text("country"), known.text("marketing_source"));
        self.names.hold(config.countries.iter().any(|name| name == country), || format!("user {}: {country}", user.id));
        self.names.hold(config.marketing_sources.iter().any(|name| name == source), || format!("user {}: {source}", user.id));
        let plan = if user.is_paid { "paid" } else { "free" };
        self.plans.hold(known.text("plan") == plan && matches!(known.row.int("is_paid").value(0), 0 | 1), who);
        let before = config.window.start.0 - user.signup.0;
        self.signups.hold((0..Self::signup_days(config) as i32).contains(&before), || format!("user {} on {}", user.id, user.signup));
        if let Some(score) = user.engagement {
            self.scores.hold((0.0..=1.0).contains(&score), || format!("user {}: {score}", user.id));
        }
        self.types.hold(user.orphans == 0, || format!("user {}: {} of no known type", user.id, user.orphans));
        let Some(events) = known.events else { return };
        let (ids, courses) = (Keys::of(events.column_by_name("event_id").expect("it is wanted")), events.text("course_id"));
        let mut before = None;
        for row in 0..events.num_rows() {
            let event = Id::among(&ids, row);
            let place = || format!("event {event} of user {}", user.id);
            let id = event.whole();
            self.ascend.hold(id.is_some() && (row == 0 || before < id), place);
            before = id;
            if config.event_ids == EventIds::Sequential {
                self.ids.add(event.number());
                // A text is no number of a row.
                let [least, greatest] = id.map_or([i64::MIN, i64::MAX], |id| [id; 2]);
                self.range.combine(Range { least, greatest, rows: 1 });
            } else {
                let first = user.id.whole().map(|user| i128::from(user - 1) * i128::from(IDS_PER_USER) + 1);
                self.own.hold(first.zip(id).is_some_and(|(first, id)| i128::from(id) == first + row as i128), place);
            }
        }
        for event in &user.events {
            let place = || format!("event {} of user {}", Id::among(&ids, event.row), user.id);
            let (day, _) = day_and_second(config, event.time);
            self.window.hold((0..i64::from(config.window.days)).contains(&day), place);
            let kind = event.event_type;
            let has_course = matches!(kind, EventType::CourseEnroll | EventType::VideoWatch | EventType::QuizAttempt);
            let is_charge = matches!(kind, EventType::PaymentSuccess | EventType::PaymentFailed);
            let holds = courses.is_valid(event.row) == has_course
                && event.watch_minutes.is_some() == (kind == EventType::VideoWatch)
                && event.quiz_score.is_some() == (kind == EventType::QuizAttempt)
                && event.amount.is_some() == is_charge;
            self.nulls.hold(holds, place);
            if has_course && courses.is_valid(event.row) {
                self.names.hold(config.courses.iter().any(|name| name == courses.value(event.row)), place);
            }
            let within = |value: Option<f64>, low: f64, high: f64| {
                value.is_none_or(|value| {
                    (low - 0.005..=high + 0.005).contains(&value) && (value * 100.0 - (value * 100.0).round()).abs() < 1e-6
                })
            };
            let holds = within(event.watch_minutes, config.video.minutes.min, config.video.minutes.max)
                && within(event.quiz_score, config.quiz.score.min, config.quiz.score.max)
                && event.amount.is_none_or(|amount| (amount - config.billing.amount).abs() < 0.005);
            self.values.hold(holds, place);
        }
    }

    pub(super) fn report(self, files: &Files<'_>, board: &mut Board) -> Result<(), AnalysisError> {
        let mut ids = if self.config.event_ids == EventIds::Sequential {
            let mut ids = self.ids.finish("event_id is 1 to N without a gap, each once", |id| (id as i64).to_string())?;
            let Range { least, greatest, rows } = self.range;
            ids.require(rows == 0 || (least == 1 && greatest == rows), || format!("{least} to {greatest} in {rows} rows"));
            ids
        } else {
            self.own
        };
        files.count(&mut ids, "events");
        for law in [ids, self.ascend, self.names, self.plans, self.signups, self.types, self.window, self.nulls, self.values, self.scores] {
            board.exact(law);
        }
        Ok(())
    }
}
