//! Opens and clicks.

use crate::email::{Inference, Law, Message, Recipient, recipients};
use crate::error::AnalysisError;
use crate::score::binary::{Binary, Row};
use crate::score::card::{Predictor, Scorecard};
use crate::score::predictions::{Key, Missing, Predictions, finite, probability};
use crate::score::rows::RowsFile;
use crate::score::{Context, fill};
use crate::source::{As, Columns, Side, Want};
use arrow_array::{Array, RecordBatch};
use populace_core::email::EmailModel;
use populace_io::catalogue;
use std::collections::HashMap;

const TRUTH: [Want; 4] = [
    Want::new("recipient_id", As::Text),
    Want::new("message_id", As::Uuid),
    Want::nullable("p_open", As::Float),
    Want::nullable("p_click", As::Float),
];
const MESSAGES: Side<'_> = Side { table: "truth/messages", wants: &TRUTH, time: None };
const CEILINGS: [Predictor; 2] = [Predictor::Observable, Predictor::Latent];
/// Drift is told of where the relative standard deviation that it adds up to is above this.
const SMALL_DRIFT: f64 = 0.01;

/// What is predicted of a message.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// That it is opened.
    Open,
    /// That it is clicked, once it is opened.
    Click,
}

/// Scores opens.
pub(crate) fn opens(context: &Context<'_>) -> Result<Scorecard, AnalysisError> {
    score(context, Step::Open)
}

/// Scores clicks.
pub(crate) fn clicks(context: &Context<'_>) -> Result<Scorecard, AnalysisError> {
    score(context, Step::Click)
}

fn score(context: &Context<'_>, step: Step) -> Result<Scorecard, AnalysisError> {
    let model: &EmailModel = &catalogue::model(context.document)?;
    let options = context.options;
    let wants = [Want::new("score", As::Float)];
    let value = if options.ranks { finite } else { probability };
    let predictions = Predictions::<u128, f64>::read(context, "message_id", &wants, |batch, row| value(batch, "score", row))?;
    let law = Law::new(model, context.source.seed(context.document));
    let judge = Judge { step, inference: &Inference::new(&law), predictions: &predictions };
    let mut scorer = Scorer {
        step,
        predictions: &predictions,
        missing: Missing::default(),
        binary: Binary::new(&CEILINGS, !options.ranks),
        rows: RowsFile::create(options.rows.as_deref(), "message_id,label,score,p_observable,p_latent")?,
    };
    let personas = law.personas();
    let work = |recipient: Recipient| Ok((recipient.persona, judge.recipient(&recipient)?));
    recipients::each(context.source, &law, Some(MESSAGES), context.watch, work, |(persona, judged): (usize, Vec<Judged>)| {
        judged.into_iter().try_for_each(|judged| scorer.take(judged, &personas[persona].name))?;
        scorer.binary.end_user();
        Ok(())
    })?;
    scorer.finish(context, drift(model))
}

/// A message: where its prediction is and what is known of it, or that there is none.
#[derive(Clone, Copy)]
enum Judged {
    Predicted(usize, Row),
    Missing(u128),
}

/// What a recipient's data says.
struct Judge<'a> {
    step: Step,
    inference: &'a Inference<'a>,
    predictions: &'a Predictions<u128, f64>,
}

impl Judge<'_> {
    fn recipient(&self, recipient: &Recipient) -> Result<Vec<Judged>, AnalysisError> {
        let law = self.inference.law();
        let Recipient { ref history, ref more, .. } = *recipient;
        let id = &history.recipient_id;
        let truth = truths(more.as_ref());
        let mut order: Vec<&Message> = history.messages.iter().filter(|message| self.decided(message).is_some()).collect();
        order.sort_by_key(|message| self.decided(message));
        let mut filter = self.inference.filter(history);
        let mut judged = Vec::with_capacity(order.len());
        for message in order {
            let Some(place) = self.predictions.place(&message.id) else {
                judged.push(Judged::Missing(message.id));
                continue;
            };
            let known = truth.get(&message.id).copied().flatten().ok_or_else(|| {
                AnalysisError::input(format!("truth/messages: has no probability of a delivered message of {id}; generate the run again"))
            })?;
            let impossible = || {
                AnalysisError::input(format!("events: what {id} did cannot happen in this scenario; is the run's scenario.yaml its own?"))
            };
            let delivered = message.delivered.ok_or_else(impossible)?;
            let row = match self.step {
                Step::Open => {
                    let personas = filter.before(delivered).ok_or_else(impossible)?;
                    let unsuppressed = self.inference.open_unsuppressed(history, delivered);
                    let p = |persona: usize| law.p_open(persona, message).unwrap_or(0.0) * unsuppressed[persona];
                    let observable = personas.iter().enumerate().map(|(persona, weight)| weight * p(persona)).sum();
                    Row { label: message.opened.is_some(), model: 0.0, ceilings: [observable, known[0] * unsuppressed[recipient.persona]] }
                }
                Step::Click => {
                    let opened = message.opened.ok_or_else(impossible)?;
                    // The open itself is known.
                    let personas = filter.before(opened.plus(1)).ok_or_else(impossible)?;
                    let unsuppressed = self.inference.click_unsuppressed(history, opened);
                    let observable: f64 = personas.iter().enumerate().map(|(persona, weight)| weight * law.p_click(persona)).sum();
                    Row { label: message.clicked.is_some(), model: 0.0, ceilings: [observable * unsuppressed, known[1] * unsuppressed] }
                }
            };
            judged.push(Judged::Predicted(place, row));
        }
        Ok(judged)
    }

    /// When the label begins to be open.
    fn decided(&self, message: &Message) -> Option<populace_core::time::Instant> {
        match self.step {
            Step::Open => message.delivered,
            Step::Click => message.opened,
        }
    }
}

struct Scorer<'a> {
    step: Step,
    predictions: &'a Predictions<u128, f64>,
    missing: Missing,
    binary: Binary,
    rows: Option<RowsFile>,
}

impl Scorer<'_> {
    fn take(&mut self, judged: Judged, persona: &str) -> Result<(), AnalysisError> {
        let (place, mut row) = match judged {
            Judged::Predicted(place, row) => (place, row),
            Judged::Missing(id) => {
                self.missing.add(&id);
                return Ok(());
            }
        };
        // Weighted sums of probabilities may pass 1 by a rounding.
        row.ceilings = row.ceilings.map(|p| p.min(1.0));
        row.model = *self.predictions.value(place);
        self.predictions.mark(place);
        self.binary.add(&row, persona);
        if let Some(file) = &mut self.rows {
            let (label, [observable, latent]) = (u8::from(row.label), row.ceilings);
            let id = Key::show(self.predictions.id(place));
            file.write(format_args!("{id},{label},{},{observable},{latent}", row.model))?;
        }
        Ok(())
    }

    fn finish(self, context: &Context<'_>, drift: Option<String>) -> Result<Scorecard, AnalysisError> {
        let (what, label) = match self.step {
            Step::Open => ("delivered message", "an `opened` row exists, of each delivered message"),
            Step::Click => ("opened message", "a `clicked` row exists, of each opened message"),
        };
        self.predictions.check_all_seen(match self.step {
            Step::Open => "is not a delivered message of the run",
            Step::Click => "is not an opened message of the run",
        })?;
        if !context.options.subset {
            self.missing.check(self.predictions.path(), "message_id", what)?;
        }
        if let Some(file) = self.rows {
            file.finish()?;
        }
        let mut card = context.card(label);
        fill(&mut card, &self.binary, "persona");
        if self.missing.count() > 0 {
            card.counts.insert("without a prediction".into(), self.missing.count() as u64);
        }
        card.notes.extend(drift);
        Ok(card)
    }
}

/// The probabilities of each message of a recipient: `p_open` and `p_click`, null where it was not delivered.
fn truths(truth: Option<&RecordBatch>) -> HashMap<u128, Option<[f64; 2]>> {
    let Some(truth) = truth else { return HashMap::new() };
    let (ids, opens, clicks) = (truth.uuid("message_id"), truth.float("p_open"), truth.float("p_click"));
    let known = |row: usize| (opens.is_valid(row) && clicks.is_valid(row)).then(|| [opens.value(row), clicks.value(row)]);
    (0..truth.num_rows()).filter_map(|row| Some((ids.get(row)?, known(row)))).collect()
}

/// What the observable ceiling leaves out.
fn drift(model: &EmailModel) -> Option<String> {
    let amplitude = model.config().drift.as_ref()?.amplitude;
    let months = f64::from(model.config().window.days) / 30.4;
    let deviation = amplitude * (months / 3.0).sqrt();
    (deviation > SMALL_DRIFT).then(|| {
        format!(
            "rates drift by up to {:.1}% (one standard deviation) over the run; the observable ceiling uses their distribution but does not learn the rates, so a model may exceed it",
            100.0 * deviation
        )
    })
}
