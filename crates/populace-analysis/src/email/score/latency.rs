//! How long a delivery takes.

use crate::email::queue::Queue;
use crate::email::{Law, Message, Recipient, recipients};
use crate::error::AnalysisError;
use crate::score::Context;
use crate::score::card::{Column, Estimate, Gain, Group, Metric, Predictor, Scorecard, Verdict};
use crate::score::clusters::{Clusters, dot, plus};
use crate::score::predictions::{Key, Missing, Predictions, finite};
use crate::score::rows::RowsFile;
use crate::source::{As, TableSource, Want};
use crate::stats::binomial;
use arrow_array::RecordBatch;
use populace_core::email::EmailModel;
use populace_core::email::laws::Cell;
use populace_core::time::{Instant, SECOND};
use populace_io::catalogue;
use std::collections::BTreeMap;

/// Columns that may hold predicted quantiles, with their levels.
const QUANTILES: [(&str, f64); 11] = [
    ("q01", 0.01),
    ("q05", 0.05),
    ("q10", 0.10),
    ("q20", 0.20),
    ("q25", 0.25),
    ("q50", 0.50),
    ("q75", 0.75),
    ("q80", 0.80),
    ("q90", 0.90),
    ("q95", 0.95),
    ("q99", 0.99),
];
/// Rows, and the absolute errors and pinball losses of the model, the ceiling and the base line.
const SUMS: usize = 7;

/// A prediction: seconds, and the quantiles that the file has.
#[derive(Debug)]
struct Guess {
    seconds: f64,
    quantiles: Box<[f64]>,
}

/// A delivered message.
struct Row {
    seconds: f64,
    cell: usize,
    place: usize,
    is_last_of_user: bool,
}

/// The quantiles of a latency given what is known when a message is sent.
struct Given {
    name: String,
    median: f64,
    quantiles: Vec<f64>,
}

/// A delivered message.
struct Delivered {
    id: u128,
    sent: Instant,
    blast: Option<u8>,
    /// None of one that was deferred, whose latency is that of its retries.
    seconds: Option<f64>,
}

/// Scores latencies.
pub(crate) fn score(context: &Context<'_>) -> Result<Scorecard, AnalysisError> {
    let model: &EmailModel = &catalogue::model(context.document)?;
    let names = TableSource::file_with(context.predictions, &context.options.reading)?.column_names()?;
    let levels: Vec<(&'static str, f64)> = QUANTILES.into_iter().filter(|(name, _)| names.iter().any(|known| known == name)).collect();
    let predictions = read(context, &levels)?;
    let law = Law::new(model, context.source.seed(context.document));
    let mut cells: Vec<((Cell, Option<u8>), Given)> = Vec::new();
    let mut missing = Missing::default();
    let mut rows: Vec<Row> = Vec::new();
    let work = |recipient: Recipient| {
        let delivered = |message: &Message| {
            let seconds = message.delivered?.since(message.sent) as f64 / SECOND as f64;
            Some(Delivered {
                id: message.id,
                sent: message.sent,
                blast: message.blast,
                seconds: (message.deferrals == 0).then_some(seconds),
            })
        };
        Ok(recipient.history.messages.iter().filter_map(delivered).collect::<Vec<_>>())
    };
    recipients::each(context.source, &law, &[], &[], context.watch, work, |messages: Vec<Delivered>| {
        let first = rows.len();
        for Delivered { id, sent, blast, seconds } in messages {
            let place = predictions.place(&id);
            if let Some(place) = place {
                predictions.mark(place);
            }
            let Some(seconds) = seconds else { continue };
            let Some(place) = place else {
                missing.add(&id);
                continue;
            };
            let cell = (model.latency_cell(sent), blast);
            let known = cells.iter().position(|(known, _)| *known == cell).unwrap_or_else(|| {
                cells.push((cell, Given::new(model, cell, &levels)));
                cells.len() - 1
            });
            rows.push(Row { seconds, cell: known, place, is_last_of_user: false });
        }
        if let Some(last) = rows[first..].last_mut() {
            last.is_last_of_user = true;
        }
        Ok(())
    })?;
    predictions.check_all_seen("is not a delivered message of the run")?;
    if !context.options.subset {
        missing.check(predictions.path(), "message_id", "delivered message")?;
    }
    let cells: Vec<Given> = cells.into_iter().map(|(_, given)| given).collect();
    let mut card = context.card(if model.attempts().is_some() {
        "seconds from sending to delivery, of each message delivered at its first attempt"
    } else {
        "seconds from sending to delivery, of each delivered message"
    });
    if missing.count() > 0 {
        card.counts.insert("without a prediction".into(), missing.count() as u64);
    }
    let scorer = Scorer { predictions: &predictions, levels: &levels, cells: &cells, rows: &rows };
    scorer.fill(&mut card);
    if let Some(mut file) = RowsFile::create(context.options.rows.as_deref(), "message_id,label,score,observable_median")? {
        for row in &rows {
            let (id, guess) = (predictions.id(row.place).show(), predictions.value(row.place));
            file.write(format_args!("{id},{},{},{}", row.seconds, guess.seconds, cells[row.cell].median))?;
        }
        file.finish()?;
    }
    Ok(card)
}

fn read(context: &Context<'_>, levels: &[(&'static str, f64)]) -> Result<Predictions<u128, Guess>, AnalysisError> {
    let mut wants = vec![Want::new("seconds", As::Float)];
    wants.extend(levels.iter().map(|(name, _)| Want::new(name, As::Float)));
    let positive = |batch: &RecordBatch, column: &'static str, row: usize| {
        let value = finite(batch, column, row)?;
        if value < 0.0 { Err(format!("{column} is {value}, and must be a number of seconds of at least 0")) } else { Ok(value) }
    };
    Predictions::read(context, "message_id", &wants, |batch, row| {
        let seconds = positive(batch, "seconds", row)?;
        let quantiles = levels.iter().map(|(name, _)| positive(batch, name, row)).collect::<Result<Box<[f64]>, String>>()?;
        if let Some(place) = quantiles.windows(2).position(|pair| pair[0] > pair[1]) {
            let ((low, _), (high, _)) = (levels[place], levels[place + 1]);
            return Err(format!("{low} is {}, above {high}, which is {}", quantiles[place], quantiles[place + 1]));
        }
        Ok(Guess { seconds, quantiles })
    })
}

impl Given {
    fn new(model: &EmailModel, (cell, blast): (Cell, Option<u8>), levels: &[(&'static str, f64)]) -> Self {
        let blast = blast.map(|blast| &model.blasts()[usize::from(blast)]);
        let queue = blast.map(|blast| Queue::new(model, blast, cell));
        let cdf = |seconds: f64| queue.as_ref().map_or_else(|| model.latency_cdf(cell, seconds), |queue| queue.cdf(seconds));
        let parts = [(cell.top, "top of the hour"), (cell.batch, "batch hour"), (cell.weekend, "weekend")];
        let named: Vec<&str> = parts.into_iter().filter(|(is, _)| *is).map(|(_, name)| name).collect();
        Self {
            name: match blast {
                Some(blast) => format!("blast {}", blast.name),
                None if named.is_empty() => "none".into(),
                None => named.join(", "),
            },
            median: quantile(&cdf, 0.5),
            quantiles: levels.iter().map(|(_, level)| quantile(&cdf, *level)).collect(),
        }
    }
}

/// The least latency, seconds, that is not passed with probability `level`: the distribution function inverted by bisection.
fn quantile(cdf: &dyn Fn(f64) -> f64, level: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    while cdf(high) < level {
        high *= 2.0;
    }
    while high - low > 1e-6 {
        let middle = 0.5 * (low + high);
        if cdf(middle) < level { low = middle } else { high = middle }
    }
    high
}

/// The loss whose least mean is at the quantile.
fn pinball(level: f64, quantile: f64, value: f64) -> f64 {
    if value >= quantile { level * (value - quantile) } else { (1.0 - level) * (quantile - value) }
}

struct Scorer<'a> {
    predictions: &'a Predictions<u128, Guess>,
    levels: &'a [(&'static str, f64)],
    cells: &'a [Given],
    rows: &'a [Row],
}

impl Scorer<'_> {
    fn fill(&self, card: &mut Scorecard) {
        let mut sorted: Vec<f64> = self.rows.iter().map(|row| row.seconds).collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let at = |level: f64| sorted[((level * sorted.len() as f64).ceil() as usize).clamp(1, sorted.len()) - 1];
        let base = Given { name: String::new(), median: at(0.5), quantiles: self.levels.iter().map(|(_, level)| at(*level)).collect() };
        let (sums, by_cell) = self.sums(&base);
        card.n = self.rows.len() as u64;
        card.metrics = vec![
            Metric::less("mae", "mean |predicted − seconds|, seconds"),
            Metric::less("pinball_loss", "mean over the quantiles of the pinball loss, seconds"),
        ];
        let n = sums.total()[0];
        for (index, predictor) in [Predictor::Model, Predictor::Observable, Predictor::Base].into_iter().enumerate() {
            let mut metrics = BTreeMap::from([("mae".to_owned(), mean(&sums, 1 + index))]);
            if !self.levels.is_empty() {
                metrics.insert("pinball_loss".to_owned(), mean(&sums, 4 + index));
            }
            card.columns.push(Column { predictor, metrics });
        }
        card.gains.extend(gain(&sums, "mae", 1));
        card.gains.extend(gain(&sums, "pinball_loss", 4));
        for (given, sums) in self.cells.iter().zip(&by_cell) {
            let mut values = BTreeMap::from([
                ("true_median".to_owned(), given.median),
                ("mae_model".to_owned(), sums[1] / sums[0]),
                ("mae_observable".to_owned(), sums[2] / sums[0]),
                ("mae_base".to_owned(), sums[3] / sums[0]),
            ]);
            if sums[3] > sums[2] {
                values.insert("gain_observable".to_owned(), (sums[3] - sums[1]) / (sums[3] - sums[2]));
            }
            card.groups.push(Group { by: "congestion".into(), name: given.name.clone(), n: sums[0] as u64, values });
        }
        self.coverage(card, n);
        card.notes.push(
            "observable history is the true conditional median (and quantiles) given the moment of sending, which is all that is known about latency"
                .into(),
        );
    }

    fn sums(&self, base: &Given) -> (Clusters<SUMS>, Vec<[f64; SUMS]>) {
        let mut sums = Clusters::<SUMS>::default();
        let mut by_cell = vec![[0.0; SUMS]; self.cells.len()];
        for row in self.rows {
            let (guess, given) = (self.predictions.value(row.place), &self.cells[row.cell]);
            let mut values = [0.0; SUMS];
            values[0] = 1.0;
            let predictors = [(guess.seconds, &*guess.quantiles), (given.median, &given.quantiles), (base.median, &base.quantiles)];
            for (index, (median, quantiles)) in predictors.into_iter().enumerate() {
                values[1 + index] = (row.seconds - median).abs();
                let losses = self.levels.iter().zip(quantiles).map(|((_, level), quantile)| pinball(*level, *quantile, row.seconds));
                values[4 + index] = losses.sum::<f64>() / self.levels.len().max(1) as f64;
            }
            sums.add(&values);
            plus(&mut by_cell[row.cell], &values);
            if row.is_last_of_user {
                sums.end_user();
            }
        }
        (sums, by_cell)
    }

    /// How often each quantile was not passed, beside how often it should not have been.
    fn coverage(&self, card: &mut Scorecard, n: f64) {
        for (place, (name, level)) in self.levels.iter().enumerate() {
            let covered = self.rows.iter().filter(|row| row.seconds <= self.predictions.value(row.place).quantiles[place]).count() as u64;
            let share = covered as f64 / n;
            let standard_error = (level * (1.0 - level) / n).sqrt();
            let values = BTreeMap::from([
                ("level".to_owned(), *level),
                ("covered".to_owned(), share),
                ("standard_error".to_owned(), standard_error),
                ("z".to_owned(), (share - level) / standard_error),
            ]);
            card.groups.push(Group { by: "quantile".into(), name: (*name).to_owned(), n: self.rows.len() as u64, values });
            let p_value = binomial(covered, self.rows.len() as u64, *level);
            let name = format!("{name} covers {level} within sampling: p-value at least 0.001");
            card.verdicts.push(Verdict { name, value: p_value, bound: 0.001, passed: p_value >= 0.001, required: false });
        }
    }
}

fn mean(sums: &Clusters<SUMS>, index: usize) -> Estimate {
    let total = sums.total();
    let value = total[index] / total[0];
    let mut weights = [0.0; SUMS];
    (weights[0], weights[index]) = (-value, 1.0);
    Estimate::new(value, sums.error(&weights) / total[0])
}

/// The share of the gain of the model's sum at `first`, the ceiling's after it and the base line's after that.
fn gain(sums: &Clusters<SUMS>, metric: &str, first: usize) -> Option<Gain> {
    let total = sums.total();
    let attainable = total[first + 2] - total[first + 1];
    if attainable <= 0.0 {
        return None;
    }
    let share = (total[first + 2] - total[first]) / attainable;
    let mut weights = [0.0; SUMS];
    (weights[first], weights[first + 1], weights[first + 2]) = (-1.0, share, 1.0 - share);
    debug_assert!(dot(&weights, total).abs() <= 1e-6 * attainable.abs().max(1.0), "the share is where the sum is 0");
    let share = Estimate::new(share, sums.error(&weights) / attainable);
    Some(Gain { metric: metric.to_owned(), ceiling: Predictor::Observable, share, excess: sums.excess(first, first + 1) })
}
