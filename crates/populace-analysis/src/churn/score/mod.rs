//! Who churns.

mod concordance;
mod curves;

pub use concordance::concordance;

use super::{Evidence, Inference, SIDES, User};
use crate::error::AnalysisError;
use crate::pass::{self, Inputs};
use crate::score::binary::{Binary, Row};
use crate::score::card::{Estimate, Gain, Metric, Predictor, Scorecard};
use crate::score::clusters::Clusters;
use crate::score::predictions::{Missing, Predictions, finite, probability};
use crate::score::rows::RowsFile;
use crate::score::{Context, fill};
use crate::source::{As, Columns, Id, Side, TableSource, Want};
use arrow_array::{Array, RecordBatch};
use curves::{Curves, Horizon};
use populace_core::churn::ChurnModel;
use populace_core::scenario::Scenario;
use populace_core::time::Date;
use populace_io::catalogue;
use populace_io::wording::{option, own};

const TRUTH: [Want; 3] = [Want::new("user_id", As::Id), Want::new("churn_prob", As::Float), Want::nullable("churn_date", As::Date)];
const CEILINGS: [Predictor; 2] = [Predictor::Observable, Predictor::Latent];
/// Users, and the integrated Brier score of the model, of both ceilings and of the base line.
const SUMS: usize = 5;

/// Scores churn.
pub(super) fn score(context: &Context<'_>) -> Result<Scorecard, AnalysisError> {
    let model: &ChurnModel = &catalogue::model(context.document)?;
    let config = model.config();
    let last = config.window.days as i32 - 1;
    let first_churn_day = (config.window.days / config.churn.first_day_divisor) as i32;
    let start = config.window.start;
    let as_of = context.options.as_of.map_or(first_churn_day - 1, |date| date.0 - start.0);
    if !(-1..last).contains(&as_of) {
        let (first, end) = (start.plus(-1), start.plus(last - 1));
        return Err(AnalysisError::input(format!("{}: must be from {first} to {end}, got {}", option("as-of"), start.plus(as_of))));
    }
    let horizon = Horizon { start, as_of, last };
    let names = TableSource::file_with(context.predictions, &context.options.reading)?.column_names()?;
    let has = |column: &str| names.iter().any(|name| name == column);
    let guesses = if has("survival") && !has("score") {
        if context.options.ranks {
            return Err(AnalysisError::input(own("--ranks: survival curves are probabilities; give a column `score` to score an order")));
        }
        Guesses::Curves(Curves::read(context, &names, horizon)?)
    } else {
        let value = if context.options.ranks { finite } else { probability };
        let wants = [Want::new("score", As::Float)];
        Guesses::Scores(Predictions::read(context, "user_id", &wants, |batch, row| value(batch, "score", row))?)
    };
    let mut scorer = Scorer {
        horizon,
        guesses,
        missing: Missing::default(),
        gone: 0,
        binary: Binary::new(&CEILINGS, !context.options.ranks),
        rows: RowsFile::create(context.options.rows.as_deref(), "user_id,label,score,p_observable,p_latent")?,
        lives: Vec::new(),
    };
    let truth = Side { table: "truth/users", wants: &TRUTH, time: None };
    let [users, events] = SIDES;
    let inputs = Inputs::joined("user_id", [users, events, truth]);
    let judge = Judge { inference: &Inference::new(config, as_of), model, horizon, start };
    let work = |actor: &[Option<RecordBatch>]| {
        actor[0].as_ref().map(|users| judge.user(&User::new(users, actor[1].as_ref()), actor[2].as_ref())).transpose()
    };
    pass::each(context.source, &inputs, context.watch, "scoring", work, |found| found.map_or(Ok(()), |found| scorer.user(&found)))?;
    let mut card = scorer.finish(context)?;
    card.notes.extend(model.warnings().iter().map(ToString::to_string));
    Ok(card)
}

/// What a user's data says.
struct Judge<'a> {
    inference: &'a Inference,
    model: &'a ChurnModel,
    horizon: Horizon,
    start: Date,
}

/// A user, with the ceilings.
struct Judged {
    id: Id,
    is_paid: bool,
    left: Option<i32>,
    /// Of observable history and of the truth: survival at the end, and what the curve is worth. `None` of who had left before.
    ceilings: Option<[(f64, (f64, f64)); 2]>,
}

impl Judge<'_> {
    fn user(&self, user: &User, truth: Option<&RecordBatch>) -> Result<Judged, AnalysisError> {
        let id = user.id.clone();
        let truth = truth.ok_or_else(|| AnalysisError::input(format!("truth/users: has no user {id}; generate the run again")))?;
        if user.orphans > 0 {
            let what = format!("events: user {id} has {} rows of an unknown type; score the run as it was generated", user.orphans);
            return Err(AnalysisError::input(what));
        }
        let Horizon { as_of, last, .. } = self.horizon;
        let dates = truth.date("churn_date");
        let left = dates.is_valid(0).then(|| dates.value(0) - self.start.0);
        if left.is_some_and(|left| left <= as_of) {
            return Ok(Judged { id, is_paid: user.is_paid, left, ceilings: None });
        }
        let hazard = truth.float("churn_prob").value(0);
        let evidence = Evidence::new(self.model.config(), user, self.start.plus(as_of));
        let weights = self.inference.posterior(&evidence, user.is_paid).ok_or_else(|| {
            AnalysisError::input(format!("events: what user {id} did cannot happen in this scenario; is the run's scenario.yaml its own?"))
        })?;
        let line = self.inference.survival_line(&weights, user.is_paid);
        let observable = |day: i32| (line.0 - line.1 * self.inference.gone_by(day)).clamp(0.0, 1.0);
        let latent = |day: i32| self.inference.survival(hazard, day);
        let of_observable = weigh(self.horizon.days().map(observable), left, self.horizon);
        let of_latent = weigh(self.horizon.days().map(latent), left, self.horizon);
        let ceilings = [(observable(last), of_observable), (latent(last), of_latent)];
        Ok(Judged { id, is_paid: user.is_paid, left, ceilings: Some(ceilings) })
    }
}

/// What the file says.
enum Guesses {
    Scores(Predictions<Id, f64>),
    Curves(Curves),
}

/// One user who was scored.
struct Life {
    left: Option<i32>,
    /// Integrated Brier scores: the model's, and those of the ceilings.
    brier: [f64; 3],
    risk: [f64; 3],
}

struct Scorer {
    horizon: Horizon,
    guesses: Guesses,
    missing: Missing,
    /// Users who have churned before.
    gone: u64,
    binary: Binary,
    rows: Option<RowsFile>,
    lives: Vec<Life>,
}

/// What a user's curve is worth: the mean squared difference from what happened over the days, and the days lost in expectation.
fn weigh(curve: impl Iterator<Item = f64>, left: Option<i32>, horizon: Horizon) -> (f64, f64) {
    let (mut squares, mut lost) = (0.0, 0.0);
    for (survival, day) in curve.zip(horizon.days()) {
        let alive = f64::from(u8::from(left.is_none_or(|left| left > day)));
        squares += (alive - survival).powi(2);
        lost += 1.0 - survival;
    }
    (squares / horizon.days().len() as f64, lost)
}

impl Scorer {
    fn user(&mut self, user: &Judged) -> Result<(), AnalysisError> {
        let (id, left) = (&user.id, user.left);
        self.gone += u64::from(user.ceilings.is_none());
        // The model's probability of churn, and its curve.
        let mut curve: Vec<f64> = Vec::new();
        let score = match &mut self.guesses {
            Guesses::Scores(predictions) => predictions.place(id).map(|place| {
                predictions.mark(place);
                *predictions.value(place)
            }),
            Guesses::Curves(curves) => curves.get_mut(id).map(|found| {
                found.seen = true;
                curve.extend(found.on(self.horizon));
                curve.last().map_or(0.0, |survival| 1.0 - survival)
            }),
        };
        let Some(ceilings) = user.ceilings else { return Ok(()) };
        let Some(score) = score else {
            self.missing.add(id);
            return Ok(());
        };
        let row = Row { label: left.is_some(), model: score, ceilings: ceilings.map(|(survival, _)| 1.0 - survival) };
        self.binary.add(&row, if user.is_paid { "paid" } else { "free" });
        self.binary.end_user();
        let of_model = if curve.is_empty() { (0.0, score) } else { weigh(curve.into_iter(), left, self.horizon) };
        let all = [of_model, ceilings[0].1, ceilings[1].1];
        self.lives.push(Life { left, brier: all.map(|(brier, _)| brier), risk: all.map(|(_, risk)| risk) });
        if let Some(file) = &mut self.rows {
            let (label, [observable, latent]) = (u8::from(row.label), row.ceilings);
            file.write(format_args!("{id},{label},{score},{observable},{latent}"))?;
        }
        Ok(())
    }

    fn finish(self, context: &Context<'_>) -> Result<Scorecard, AnalysisError> {
        match &self.guesses {
            Guesses::Scores(predictions) => predictions.check_all_seen("is not a user of the run")?,
            Guesses::Curves(curves) => curves.check_all_seen(context)?,
        }
        let date = self.horizon.start.plus(self.horizon.as_of);
        if !context.options.subset {
            let what = format!("user who has not churned by {date}");
            self.missing.check(context.predictions, "user_id", &what)?;
        }
        if self.binary.n() == 0 {
            let path = context.predictions.display();
            return Err(AnalysisError::input(format!("{path}: every user in it has churned by {date}; nothing is left to be predicted")));
        }
        if let Some(file) = self.rows {
            file.finish()?;
        }
        let end = self.horizon.start.plus(self.horizon.last);
        let mut card = context.card(&format!("the user churns after {date} and by {end}, of each user who has not churned by {date}"));
        fill(&mut card, &self.binary, "plan");
        card.metrics.push(Metric::more("concordance", "P(of two users, the one who churns first had the greater risk), ties count half"));
        for (index, predictor) in [Predictor::Model, Predictor::Observable, Predictor::Latent].into_iter().enumerate() {
            let rows: Vec<(f64, Option<i32>)> = self.lives.iter().map(|life| (life.risk[index], life.left)).collect();
            insert(&mut card, predictor, "concordance", concordance(&rows).map(Estimate::exact));
        }
        if matches!(self.guesses, Guesses::Curves(_)) {
            integrated_brier(&mut card, &self.lives, self.horizon);
        }
        card.counts.insert(format!("users who have churned by {date}, left out"), self.gone);
        if self.missing.count() > 0 {
            card.counts.insert("without a prediction".into(), self.missing.count() as u64);
        }
        if context.source.table("users")?.has_column("engagement_score")? {
            card.notes.push(
                "observable history leaves the column engagement_score of users out: it is latent, and a model that reads it can reach everything known"
                    .into(),
            );
        }
        Ok(card)
    }
}

fn insert(card: &mut Scorecard, predictor: Predictor, metric: &str, estimate: Option<Estimate>) {
    let column = card.columns.iter_mut().find(|column| column.predictor == predictor);
    if let (Some(column), Some(estimate)) = (column, estimate) {
        column.metrics.insert(metric.to_owned(), estimate);
    }
}

/// The Brier score of every day, averaged; the base line is the share of users who are there on each day.
fn integrated_brier(card: &mut Scorecard, lives: &[Life], horizon: Horizon) {
    let n = lives.len() as f64;
    let mut leaving = vec![0.0; horizon.days().len()];
    for left in lives.iter().filter_map(|life| life.left) {
        leaving[(left - horizon.as_of - 1) as usize] += 1.0;
    }
    let mut there = 1.0;
    let share: Vec<f64> = leaving
        .iter()
        .map(|count| {
            there -= count / n;
            there
        })
        .collect();
    let mut sums = Clusters::<SUMS>::default();
    for life in lives {
        let base = weigh(share.iter().copied(), life.left, horizon).0;
        sums.add(&[1.0, life.brier[0], life.brier[1], life.brier[2], base]);
        sums.end_user();
    }
    let total = *sums.total();
    card.metrics.push(Metric::less("integrated_brier", "Brier score of survival, averaged over the days"));
    let columns = [(1, Predictor::Model), (2, Predictor::Observable), (3, Predictor::Latent), (4, Predictor::Base)];
    for (index, predictor) in columns {
        let value = total[index] / n;
        let mut weights = [0.0; SUMS];
        (weights[0], weights[index]) = (-value, 1.0);
        insert(card, predictor, "integrated_brier", Some(Estimate::new(value, sums.error(&weights) / n)));
    }
    for (index, ceiling) in [(2, Predictor::Observable), (3, Predictor::Latent)] {
        let attainable = total[4] - total[index];
        if attainable > 0.0 {
            let share = (total[4] - total[1]) / attainable;
            let mut weights = [0.0; SUMS];
            (weights[1], weights[index], weights[4]) = (-1.0, share, 1.0 - share);
            let share = Estimate::new(share, sums.error(&weights) / attainable);
            card.gains.push(Gain { metric: "integrated_brier".into(), ceiling, share, excess: sums.excess(1, index) });
        }
    }
}
