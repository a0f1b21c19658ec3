//! Cascades: which calls a fault struck, or which sessions a cascade hit.

use crate::error::AnalysisError;
use crate::pass::{self, Inputs};
use crate::score::Context;
use crate::score::card::{Column, Estimate, Gain, Group, Metric, Predictor, Scorecard};
use crate::score::predictions::{Key, Missing, Predictions, finite};
use crate::score::ranks::Ranked;
use crate::score::rows::RowsFile;
use crate::source::{As, Columns, Side, TableSource, Want};
use crate::traces::{CALL_COLUMNS, Cascades, Endpoints, Law, Session};
use arrow_array::RecordBatch;
use populace_core::traces::TracesModel;
use populace_io::catalogue;
use std::collections::BTreeMap;

/// Times that sessions are drawn again for standard errors.
const DRAWS: u64 = 100;
/// The precision at which recall is told.
const PRECISION: f64 = 0.9;

/// What is scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Call,
    Session,
}

/// What is known of one that is predicted.
#[derive(Clone, Copy, Debug)]
struct Guess {
    score: f64,
    label: Option<bool>,
}

/// Scores anomalies.
pub(crate) fn score(context: &Context<'_>) -> Result<Scorecard, AnalysisError> {
    let model: TracesModel = catalogue::model(context.document)?;
    let law = Law::new(&model);
    let cascades = Cascades::new(&law)?;
    let names = TableSource::file_with(context.predictions, &context.options.reading)?.column_names()?;
    let has = |column: &str| names.iter().any(|name| name == column);
    let unit = match (has("call_id"), has("session_id")) {
        (true, false) => Unit::Call,
        (false, true) => Unit::Session,
        _ => {
            let path = context.predictions.display();
            return Err(AnalysisError::input(format!("{path}: give call_id or session_id, one of the two, and score")));
        }
    };
    let column = if unit == Unit::Call { "call_id" } else { "session_id" };
    let mut predictions = Predictions::<u128, Guess>::read(context, column, &[Want::new("score", As::Float)], |batch, row| {
        Ok(Guess { score: finite(batch, "score", row)?, label: None })
    })?;
    label(context, unit, &mut predictions)?;
    let (rows, missing) = read(context, &law, &cascades, unit, &predictions)?;
    let what = if unit == Unit::Call { "call" } else { "session" };
    predictions.check_all_seen(&format!("is not a {what} of the run"))?;
    if !context.options.subset {
        missing.check(predictions.path(), column, what)?;
    }
    let mut card = context.card(match unit {
        Unit::Call => "a cascade did something to the call (fault is not none), of each call",
        Unit::Session => "a cascade hit the session, of each session",
    });
    if missing.count() > 0 {
        card.counts.insert("without a prediction".into(), missing.count() as u64);
    }
    rows.fill(&mut card);
    Ok(card)
}

/// Labels from the truth.
fn label(context: &Context<'_>, unit: Unit, predictions: &mut Predictions<u128, Guess>) -> Result<(), AnalysisError> {
    let (table, wants) = match unit {
        Unit::Call => ("truth/calls", [Want::new("call_id", As::Uuid), Want::new("fault", As::Text)]),
        Unit::Session => ("truth/sessions", [Want::new("session_id", As::Uuid), Want::new("is_cascade", As::Bool)]),
    };
    for batch in context.source.table(table)?.read(&wants)? {
        let batch = batch?;
        let ids = batch.uuid(wants[0].name);
        for row in 0..batch.num_rows() {
            let label = match unit {
                Unit::Call => batch.text("fault").value(row) != "none",
                Unit::Session => batch.bool("is_cascade").value(row),
            };
            if let Some(place) = ids.get(row).and_then(|id| predictions.place(&id)) {
                predictions.value_mut(place).label = Some(label);
            }
        }
    }
    Ok(())
}

/// The rows in the order of the run, and who has no prediction.
fn read(
    context: &Context<'_>,
    law: &Law<'_>,
    cascades: &Cascades<'_>,
    unit: Unit,
    predictions: &Predictions<u128, Guess>,
) -> Result<(Rows, Missing), AnalysisError> {
    let mut rows = Rows::default();
    let mut missing = Missing::default();
    let header = if unit == Unit::Call { "call_id,label,score,p_observable" } else { "session_id,label,score,p_observable" };
    let mut file = RowsFile::create(context.options.rows.as_deref(), header)?;
    let inputs = Inputs::joined("session_id", [Side { table: "calls", wants: &CALL_COLUMNS, time: Some("timestamp") }]);
    // The number of a session, and for each of its rows its id and what can be observed of it.
    let work = |actor: &[Option<RecordBatch>]| {
        let Some(calls) = &actor[0] else { return Ok((0, Vec::new())) };
        let mut endpoints = Endpoints::new(law.names().iter().map(String::as_str));
        let session = Session::new(&mut endpoints, calls);
        if let Some(name) = endpoints.names().get(law.names().len()) {
            return Err(AnalysisError::input(format!(
                "calls: {name} is not an endpoint of the workflow; is the run's scenario.yaml its own?"
            )));
        }
        let suspicion = cascades.suspicion(&session).ok_or_else(|| {
            AnalysisError::input(format!("calls: session {} has a call without a response time or a status, or what cannot happen\nhint: score the run as it was generated", session.id))
        })?;
        let named: Vec<(u128, f64)> = match unit {
            Unit::Session => vec![(number(&session.id)?, suspicion.cascade)],
            Unit::Call => {
                let ids = calls.text("call_id");
                let of_call = session.calls.iter().zip(&suspicion.faults).map(|(call, fault)| Ok((number(ids.value(call.row))?, *fault)));
                of_call.collect::<Result<_, AnalysisError>>()?
            }
        };
        Ok((number(&session.id)? as u64, named))
    };
    pass::each(context.source, &inputs, context.watch, "scoring", work, |(session, named): (u64, Vec<(u128, f64)>)| {
        for (id, observable) in named {
            let Some(place) = predictions.place(&id) else {
                missing.add(&id);
                continue;
            };
            predictions.mark(place);
            let Guess { score, label } = *predictions.value(place);
            let label =
                label.ok_or_else(|| AnalysisError::input(format!("truth: has nothing of {}; generate the run again", id.show())))?;
            rows.push(label, [score, observable]);
            if let Some(file) = &mut file {
                file.write(format_args!("{},{},{score},{observable}", id.show(), u8::from(label)))?;
            }
        }
        rows.sessions.push(session);
        Ok(())
    })?;
    if let Some(file) = file {
        file.finish()?;
    }
    Ok((rows, missing))
}

/// The number of a UUID as it is written.
fn number(text: &str) -> Result<u128, AnalysisError> {
    let digits: String = text.chars().filter(|letter| *letter != '-').collect();
    u128::from_str_radix(&digits, 16).map_err(|_| AnalysisError::input(format!("calls: `{text}` is not a UUID")))
}

/// Labels, and the scores of the model and of the ceiling. Memory: about 40 bytes a row.
#[derive(Default)]
struct Rows {
    labels: Vec<bool>,
    scores: [Vec<f64>; 2],
    session: Vec<u32>,
    /// By session, a number of its own, which its name gives.
    sessions: Vec<u64>,
}

impl Rows {
    fn push(&mut self, label: bool, scores: [f64; 2]) {
        self.labels.push(label);
        self.session.push(self.sessions.len() as u32);
        for (all, score) in self.scores.iter_mut().zip(scores) {
            all.push(score);
        }
    }

    fn fill(&self, card: &mut Scorecard) {
        let positives = self.labels.iter().filter(|label| **label).count();
        card.n = self.labels.len() as u64;
        card.positives = Some(positives as u64);
        card.metrics = vec![
            Metric::more("average_precision", "area under precision by recall"),
            Metric::more("auc", "P(a positive is ranked above a negative), ties half"),
            Metric::more("best_f1", "greatest F1 of a threshold"),
            Metric::more("recall_at_90", "greatest recall of a threshold with a precision of at least 90%"),
        ];
        if positives == 0 {
            card.notes.push("no row is positive: nothing is defined".into());
            return;
        }
        let again = self.draw_again();
        for (index, predictor) in [Predictor::Model, Predictor::Observable].into_iter().enumerate() {
            let ranked = Ranked::new(&self.scores[index], &self.labels);
            let mut metrics = BTreeMap::new();
            let mut insert = |name: &str, estimate: Option<Estimate>| {
                metrics.extend(estimate.map(|estimate| (name.to_owned(), estimate)));
            };
            let error = deviation(again.iter().map(|draw| draw[index]));
            insert("average_precision", ranked.average_precision().map(|value| Estimate::new(value, error)));
            insert("auc", ranked.auc());
            insert("best_f1", ranked.best_f1().map(Estimate::exact));
            insert("recall_at_90", ranked.recall_at(PRECISION).map(Estimate::exact));
            card.columns.push(Column { predictor, metrics });
            if predictor == Predictor::Observable {
                card.groups = precision_by_recall(&Ranked::new(&self.scores[0], &self.labels), &ranked);
            }
        }
        let rate = positives as f64 / self.labels.len() as f64;
        let base = BTreeMap::from([("average_precision".to_owned(), Estimate::exact(rate)), ("auc".to_owned(), Estimate::exact(0.5))]);
        card.columns.push(Column { predictor: Predictor::Base, metrics: base });
        let share = |[model, ceiling, base]: [f64; 3]| (model - base) / (ceiling - base);
        let of = |predictor| card.metric(predictor, "average_precision").map_or(f64::NAN, |estimate| estimate.value);
        let found = [of(Predictor::Model), of(Predictor::Observable), rate];
        if found[1] > rate {
            let error = deviation(again.iter().map(|draw| share(*draw)));
            let share = Estimate::new(share(found), error);
            let excess =
                Some((found[0] - found[1]) / deviation(again.iter().map(|draw| draw[0] - draw[1]))).filter(|excess| excess.is_finite());
            card.gains.push(Gain { metric: "average_precision".into(), ceiling: Predictor::Observable, share, excess });
        }
        card.notes.push(
            "observable history is the posterior by the known mixture, given all calls of the session: endpoint, response time, status, retries, gaps"
                .into(),
        );
    }

    /// Average precision of the model and of the ceiling, and the share of positives, with every session drawn a Poisson number of times:
    /// the bootstrap over sessions, the same whatever the order of the rows.
    fn draw_again(&self) -> Vec<[f64; 3]> {
        let orders = [0, 1].map(|index| {
            let scores = &self.scores[index];
            let mut order: Vec<u32> = (0..scores.len() as u32).collect();
            order.sort_unstable_by(|a, b| scores[*b as usize].total_cmp(&scores[*a as usize]));
            order
        });
        let mut draws = Vec::new();
        for draw in 0..DRAWS {
            let weights: Vec<f64> = self.sessions.iter().map(|name| poisson(name.wrapping_add(draw << 56))).collect();
            let weight = |row: u32| weights[self.session[row as usize] as usize];
            let (mut all, mut positives) = (0.0, 0.0);
            for row in 0..self.labels.len() as u32 {
                all += weight(row);
                positives += if self.labels[row as usize] { weight(row) } else { 0.0 };
            }
            if positives == 0.0 {
                continue;
            }
            let precision = |index: usize| {
                let scores = &self.scores[index];
                let (mut hits, mut taken, mut sum) = (0.0, 0.0, 0.0);
                for tie in orders[index].chunk_by(|a, b| scores[*a as usize] == scores[*b as usize]) {
                    let of_positives: f64 = tie.iter().filter(|row| self.labels[**row as usize]).map(|row| weight(*row)).sum();
                    hits += of_positives;
                    taken += tie.iter().map(|row| weight(*row)).sum::<f64>();
                    sum += if taken > 0.0 { of_positives * hits / taken } else { 0.0 };
                }
                sum / positives
            };
            draws.push([precision(0), precision(1), positives / all]);
        }
        draws
    }
}

/// The curve of precision by recall, at tenths of recall.
fn precision_by_recall(model: &Ranked, ceiling: &Ranked) -> Vec<Group> {
    let at = |tenth: u32| {
        let recall = f64::from(tenth) / 10.0;
        let values = [("precision_model", model.precision_at(recall)), ("precision_observable", ceiling.precision_at(recall))];
        let values = values.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
        Group { by: "recall".into(), name: format!("{recall:.1}"), n: 0, values }
    };
    (1..=10).map(at).collect()
}

/// A Poisson number of mean 1, always the same of a name: Steele and others, "Fast splittable pseudorandom number generators" (2014).
fn poisson(name: u64) -> f64 {
    let mut word = name.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(0x9E37_79B9_7F4A_7C15);
    word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    let unit = ((word ^ (word >> 31)) >> 11) as f64 / (1_u64 << 53) as f64;
    let (mut count, mut probability) = (0.0, (-1.0_f64).exp());
    let mut below = probability;
    while unit >= below && count < 30.0 {
        count += 1.0;
        probability /= count;
        below += probability;
    }
    count
}

fn deviation(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let n = values.clone().count() as f64;
    let mean = values.clone().sum::<f64>() / n;
    (values.map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0)).sqrt()
}
