//! The tables of `churn`.

mod builder;
mod columns;

use crate::family::{self, Shortcut, Takes};
use crate::files::Format;
use crate::generator::{Axes, ExpectedGroup, TableSet};
use crate::table::{Table, dictionary};
use crate::tables::Tables;
use arrow_array::ArrayRef;
use builder::ChurnBuilder;
use populace_core::churn::laws::{UserExpectation, base_for_target};
use populace_core::churn::{self, ChurnModel, EventIds, EventType};
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

impl Churn {
    /// Whether each user's events are numbered, and not all rows of the table.
    fn numbers_users(&self) -> bool {
        self.model.config().event_ids == EventIds::PerUser
    }
}

impl Tables for Churn {
    type Model = ChurnModel;
    type Builder<'a> = ChurnBuilder<'a>;
    const DOCUMENTS: &'static [(&'static str, &'static str)] = churn::DOCUMENTS;
    const SHORTCUTS: &'static [Shortcut] = &[
        Shortcut::new("paid-ratio", "paid_ratio", Takes::Number, "SHARE", "share of users on the paid plan"),
        Shortcut::new("churn-base-rate", "churn_base_rate", Takes::Number, "RATE", "base rate that the churn probability is made from"),
        Shortcut::new(
            "target-churn-rate",
            "churn_base_rate",
            Takes::Solved(|config, target| base_for_target(&family::read(config)?, target)),
            "RATE",
            "the population's churn rate; solves for the base rate",
        )
        .excluding("churn-base-rate"),
        Shortcut::new(
            "no-latent",
            "engagement.observed",
            Takes::Nothing,
            "",
            "leave the latent engagement_score out of the data (engagement.observed: false)",
        ),
    ];
    const FORMAT: Format = Format::Csv;
    const MAIN: usize = EVENTS;

    fn new(model: ChurnModel) -> Self {
        Self {
            tables: columns::tables(&model),
            event_types: dictionary(EventType::NAMES),
            courses: dictionary(model.courses()),
            plans: dictionary(PLANS),
            countries: dictionary(model.countries()),
            sources: dictionary(model.marketing_sources()),
            model,
        }
    }

    fn model(&self) -> &ChurnModel {
        &self.model
    }

    fn list(&self) -> &[Table] {
        &self.tables
    }

    fn labels(&self) -> Axes {
        Axes { rows_name: "event_type", rows: EventType::NAMES.map(str::to_owned).into(), columns: PLANS.map(str::to_owned).into() }
    }

    fn builder(&self, actors: Range<u64>, wanted: TableSet) -> ChurnBuilder<'_> {
        ChurnBuilder::new(self, &actors, wanted)
    }

    fn volumes(&self) -> (Vec<(String, String)>, Vec<ExpectedGroup>) {
        let config = self.model.config();
        let expectation = self.model.expectation();
        let users = config.population.users as f64;
        let (free, paid) = (users * (1.0 - config.paid_ratio), users * config.paid_ratio);
        let by_plan = |of: fn(&UserExpectation) -> f64| {
            vec![free * of(&expectation.free), paid * of(&expectation.paid), users * of(&expectation.any)]
        };
        let mut rows = vec![("users".to_owned(), vec![free, paid, users]), ("users who churn".to_owned(), by_plan(|user| user.churn))];
        let events = |user: &UserExpectation| user.events.iter().sum::<f64>();
        rows.push(("active user-days".to_owned(), by_plan(|user| user.active_days)));
        rows.push(("events".to_owned(), by_plan(events)));
        for (kind, name) in EventType::NAMES.iter().enumerate() {
            let counts =
                vec![free * expectation.free.events[kind], paid * expectation.paid.events[kind], users * expectation.any.events[kind]];
            rows.push((format!("  {name}"), counts));
        }
        let facts = vec![("population churn rate".into(), format!("{:.4}", expectation.any.churn))];
        (facts, vec![ExpectedGroup { title: "volumes".into(), columns: vec!["free".into(), "paid".into(), "all".into()], rows }])
    }
}
