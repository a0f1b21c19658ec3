//! Scores of labels of two values: how good the model is, how good one can be, and which share of that the model has.

use super::card::{Bin, Column, Estimate, Gain, Group, Metric, Predictor};
use super::clusters::{Clusters, dot, plus};
use super::ranks::Ranked;
use std::collections::BTreeMap;

/// Bins of the calibration curve.
const BINS: usize = 10;
/// A prediction that gives what happened less than this is counted, and scored as this much: the logarithm of 0 has no end.
pub const LEAST: f64 = 1e-15;
/// The model and up to two ceilings.
const MOST: usize = 3;
/// What is summed of a user: rows, positives, and the log-loss of each predictor.
const SUMS: usize = 2 + MOST;

/// What is scored of one row.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Whether it is positive.
    pub label: bool,
    /// The score of the model.
    pub model: f64,
    /// The probabilities of the ceilings.
    pub ceilings: [f64; 2],
}

type Sums = [f64; SUMS];

/// Rows as they come, user after user. Memory: about 32 bytes a row.
pub struct Binary {
    ceilings: &'static [Predictor],
    is_probability: bool,
    labels: Vec<bool>,
    scores: [Vec<f64>; MOST],
    sums: Clusters<SUMS>,
    groups: BTreeMap<String, Sums>,
    contradicted: u64,
}

impl Binary {
    /// Scores against these ceilings, two at most. Scores of a model that are no probabilities are ranked only.
    pub fn new(ceilings: &'static [Predictor], is_probability: bool) -> Self {
        Self {
            ceilings,
            is_probability,
            labels: Vec::new(),
            scores: [const { Vec::new() }; MOST],
            sums: Clusters::default(),
            groups: BTreeMap::new(),
            contradicted: 0,
        }
    }

    /// Takes a row of the user at hand.
    pub fn add(&mut self, row: &Row, group: &str) {
        let mut sums = [0.0; SUMS];
        sums[0] = 1.0;
        sums[1] = f64::from(u8::from(row.label));
        let scores = [row.model, row.ceilings[0], row.ceilings[1]];
        for (index, score) in scores.into_iter().enumerate().take(1 + self.ceilings.len()) {
            self.scores[index].push(score);
            if index == 0 && !self.is_probability {
                continue;
            }
            let of_label = if row.label { score } else { 1.0 - score };
            if index == 0 && of_label < LEAST {
                self.contradicted += 1;
            }
            sums[2 + index] = -of_label.max(LEAST).ln();
        }
        self.labels.push(row.label);
        self.sums.add(&sums);
        match self.groups.get_mut(group) {
            Some(of_group) => plus(of_group, &sums),
            None => drop(self.groups.insert(group.to_owned(), sums)),
        }
    }

    /// The rows of the user at hand are complete: users are what standard errors take for independent.
    pub fn end_user(&mut self) {
        self.sums.end_user();
    }

    /// Rows.
    pub fn n(&self) -> u64 {
        self.labels.len() as u64
    }

    /// Rows that are positive.
    pub fn positives(&self) -> u64 {
        self.labels.iter().filter(|label| **label).count() as u64
    }

    /// Rows in which the model gave what happened next to no probability.
    pub fn contradicted(&self) -> u64 {
        self.contradicted
    }

    /// The model's scores.
    pub fn model(&self) -> &[f64] {
        &self.scores[0]
    }

    /// The labels.
    pub fn labels(&self) -> &[bool] {
        &self.labels
    }

    fn rate(&self) -> f64 {
        self.sums.total()[1] / self.sums.total()[0]
    }

    /// Weights of a user's sums that give the log-loss of predicting the base rate.
    fn base(&self) -> Sums {
        let rate = self.rate();
        let (positive, negative) = (-rate.max(LEAST).ln(), -(1.0 - rate).max(LEAST).ln());
        let mut weights = [0.0; SUMS];
        weights[0] = negative;
        weights[1] = positive - negative;
        weights
    }

    /// The mean log-loss that `weights` give.
    fn loss(&self, weights: &Sums) -> Estimate {
        let n = self.sums.total()[0];
        let mean = dot(weights, self.sums.total()) / n;
        let mut around = *weights;
        around[0] -= mean;
        Estimate::new(mean, self.sums.error(&around) / n)
    }

    /// The columns: the model, the ceilings, the base rate.
    pub fn columns(&self) -> Vec<Column> {
        let predictors = std::iter::once(Predictor::Model).chain(self.ceilings.iter().copied());
        let mut columns: Vec<Column> = predictors.enumerate().map(|(index, predictor)| self.column(index, predictor)).collect();
        let rate = self.rate();
        let mut metrics = BTreeMap::from([
            ("log_loss".to_owned(), self.loss(&self.base())),
            ("brier".to_owned(), Estimate::exact(rate * (1.0 - rate))),
            ("average_precision".to_owned(), Estimate::exact(rate)),
            ("mean_prediction".to_owned(), Estimate::exact(rate)),
        ]);
        if rate > 0.0 && rate < 1.0 {
            metrics.insert("auc".to_owned(), Estimate::exact(0.5));
        }
        columns.push(Column { predictor: Predictor::Base, metrics });
        columns
    }

    fn column(&self, index: usize, predictor: Predictor) -> Column {
        let scores = &self.scores[index];
        let ranked = Ranked::new(scores, &self.labels);
        let mut metrics = BTreeMap::new();
        if let Some(auc) = ranked.auc() {
            metrics.insert("auc".to_owned(), auc);
        }
        if let Some(precision) = ranked.average_precision() {
            metrics.insert("average_precision".to_owned(), Estimate::exact(precision));
        }
        if index > 0 || self.is_probability {
            let n = self.n() as f64;
            let squares = scores.iter().zip(&self.labels).map(|(score, label)| (score - f64::from(u8::from(*label))).powi(2));
            let mut weights = [0.0; SUMS];
            weights[2 + index] = 1.0;
            metrics.insert("log_loss".to_owned(), self.loss(&weights));
            metrics.insert("brier".to_owned(), Estimate::exact(squares.sum::<f64>() / n));
            metrics.insert("mean_prediction".to_owned(), Estimate::exact(scores.iter().sum::<f64>() / n));
            metrics.insert("calibration_error".to_owned(), Estimate::exact(calibration_error(&bins(scores, &self.labels))));
        }
        Column { predictor, metrics }
    }

    /// The shares of the gain in log-loss. None where a ceiling is no better than the base rate on these rows.
    pub fn gains(&self) -> Vec<Gain> {
        if !self.is_probability {
            return Vec::new();
        }
        let share = |(index, ceiling): (usize, &Predictor)| {
            let share = self.gain(self.sums.total(), 3 + index)?;
            // The base rate was estimated from the same rows, which does not matter: there the loss is least.
            let mut weights = self.base().map(|weight| weight * (1.0 - share));
            weights[2] -= 1.0;
            weights[3 + index] += share;
            let attainable = dot(&self.base(), self.sums.total()) - self.sums.total()[3 + index];
            let share = Estimate::new(share, self.sums.error(&weights) / attainable);
            Some(Gain { metric: "log_loss".to_owned(), ceiling: *ceiling, share, excess: self.sums.excess(2, 3 + index) })
        };
        self.ceilings.iter().enumerate().filter_map(share).collect()
    }

    /// (base − model) / (base − ceiling) of some sums.
    fn gain(&self, sums: &Sums, ceiling: usize) -> Option<f64> {
        let base = dot(&self.base(), sums);
        let attainable = base - sums[ceiling];
        (attainable > 0.0).then(|| (base - sums[2]) / attainable)
    }

    /// The calibration curve of the model.
    pub fn calibration(&self) -> Vec<Bin> {
        if self.is_probability { bins(&self.scores[0], &self.labels) } else { Vec::new() }
    }

    /// The groups, in the alphabet's order.
    pub fn groups(&self, by: &str) -> Vec<Group> {
        let base = self.base();
        let group = |(name, sums): (&String, &Sums)| {
            let n = sums[0];
            let mut values = BTreeMap::from([("positives".to_owned(), sums[1]), ("log_loss_base".to_owned(), dot(&base, sums) / n)]);
            if self.is_probability {
                values.insert("log_loss_model".to_owned(), sums[2] / n);
            }
            for (index, ceiling) in self.ceilings.iter().enumerate() {
                let which = if *ceiling == Predictor::Latent { "latent" } else { "observable" };
                values.insert(format!("log_loss_{which}"), sums[3 + index] / n);
                if let Some(gain) = self.gain(sums, 3 + index).filter(|_| self.is_probability) {
                    values.insert(format!("gain_{which}"), gain);
                }
            }
            Group { by: by.to_owned(), name: name.clone(), n: n as u64, values }
        };
        self.groups.iter().map(group).collect()
    }
}

/// What the metrics are.
pub fn metrics() -> Vec<Metric> {
    vec![
        Metric::less("log_loss", "mean of −ln(probability given to what happened)"),
        Metric::less("brier", "mean squared difference of probability and outcome"),
        Metric::more("auc", "P(a positive is ranked above a negative), ties half"),
        Metric::more("average_precision", "area under precision by recall"),
        Metric::less("calibration_error", "mean over ten bins of |predicted − observed|, weighted by rows"),
    ]
}

/// Bins of about the same number of rows, in the order of the scores; equal scores share a bin.
pub fn bins(scores: &[f64], labels: &[bool]) -> Vec<Bin> {
    let mut order: Vec<(f64, bool)> = scores.iter().copied().zip(labels.iter().copied()).collect();
    order.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let mut bins = Vec::new();
    let mut start = 0;
    while start < order.len() {
        // The bins that are left share the rows that are left.
        let size = (order.len() - start).div_ceil(BINS.saturating_sub(bins.len()).max(1));
        let last = order[start + size - 1].0;
        let end = start + order[start..].partition_point(|(score, _)| *score <= last);
        let rows = &order[start..end];
        let n = rows.len() as f64;
        let variance: f64 = rows.iter().map(|(score, _)| score * (1.0 - score)).sum();
        bins.push(Bin {
            low: rows[0].0,
            high: last,
            n: rows.len() as u64,
            predicted: rows.iter().map(|(score, _)| score).sum::<f64>() / n,
            observed: rows.iter().filter(|(_, label)| *label).count() as f64 / n,
            standard_error: variance.max(0.0).sqrt() / n,
        });
        start = end;
    }
    bins
}

/// Σ n/N |predicted − observed|.
fn calibration_error(bins: &[Bin]) -> f64 {
    let n: u64 = bins.iter().map(|bin| bin.n).sum();
    bins.iter().map(|bin| bin.n as f64 / n as f64 * (bin.predicted - bin.observed).abs()).sum()
}

/// The calibration error that perfect predictions would have by chance: a normal deviation is √(2/π) standard errors on average.
pub fn calibration_error_by_chance(bins: &[Bin]) -> f64 {
    let n: u64 = bins.iter().map(|bin| bin.n).sum();
    bins.iter().map(|bin| bin.n as f64 / n as f64 * bin.standard_error).sum::<f64>() * (2.0 / std::f64::consts::PI).sqrt()
}
