//! Estimates with their intervals.

use super::numbers::{Moments, chi_squared_quantile, student_quantile};
use crate::stats::{normal_quantile_two_sided, wilson};
use serde::{Deserialize, Serialize};

/// What the data says of one parameter, beside the truth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// Its dotted path in the scenario document; of a function of the document, the path of what it is made from and its name.
    pub parameter: String,
    /// Its unit.
    pub unit: String,
    /// The value that the document gives.
    pub truth: f64,
    /// The value that the data gives.
    pub estimate: f64,
    /// Lower end of the interval; JSON's null is −∞.
    #[serde(deserialize_with = "minus_infinity")]
    pub low: f64,
    /// Upper end of the interval; JSON's null is +∞.
    #[serde(deserialize_with = "plus_infinity")]
    pub high: f64,
    /// Standard error of the estimate.
    pub standard_error: f64,
    /// How many observations it rests on.
    pub n: u64,
    /// Whether the interval holds the truth.
    pub covered: bool,
    /// Whether the interval excludes the neutral value, at which the effect would not be there: whether it can be learned at this size.
    /// Nothing of a level, such as a rate or a share, which has no neutral value.
    pub detectable: Option<bool>,
    /// How it was estimated.
    pub method: String,
    /// The error on the scale on which it is normal; what a study is planned by.
    #[serde(skip)]
    pub basis: Basis,
}

fn minus_infinity<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NEG_INFINITY))
}

fn plus_infinity<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::INFINITY))
}

/// The scale on which an estimate is normal.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Scale {
    /// As it is.
    #[default]
    Linear,
    /// Its logarithm: of factors and of what is positive.
    Log,
    /// Its reciprocal: of a mean time, whose reciprocal is a rate.
    Reciprocal,
}

impl Scale {
    /// A value on this scale.
    pub fn of(self, value: f64) -> f64 {
        match self {
            Self::Linear => value,
            Self::Log => value.ln(),
            Self::Reciprocal => value.recip(),
        }
    }

    /// The value that is `on_scale` there.
    pub fn back(self, on_scale: f64) -> f64 {
        match self {
            Self::Linear => on_scale,
            Self::Log => on_scale.exp(),
            Self::Reciprocal if on_scale > 0.0 => on_scale.recip(),
            Self::Reciprocal => f64::INFINITY,
        }
    }

    /// The error of `value` whose error on this scale is `error`.
    fn error_back(self, value: f64, error: f64) -> f64 {
        match self {
            Self::Linear => error,
            Self::Log => value * error,
            Self::Reciprocal => value * value * error,
        }
    }
}

/// What a study is planned by.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Basis {
    /// The scale on which the estimate is normal.
    pub scale: Scale,
    /// Its standard error there.
    pub error: f64,
    /// The value at which the effect would not be there; `None` of a level, such as a rate, which is what it is.
    pub neutral: Option<f64>,
}

/// A parameter that is to be estimated.
#[derive(Clone, Debug)]
pub(crate) struct Parameter {
    path: String,
    unit: &'static str,
    truth: f64,
    neutral: Option<f64>,
    method: &'static str,
}

impl Parameter {
    /// A level: a rate, a share, a mean.
    pub(crate) fn level(path: impl Into<String>, unit: &'static str, truth: f64, method: &'static str) -> Self {
        Self { path: path.into(), unit, truth, neutral: None, method }
    }

    /// Whether it lies from 0 to 1.
    fn is_share(&self) -> bool {
        self.neutral.is_none() && matches!(self.unit, "share" | "probability")
    }

    /// A factor, which at 1 would not be there.
    pub(crate) fn factor(path: impl Into<String>, truth: f64, method: &'static str) -> Self {
        Self { path: path.into(), unit: "factor", truth, neutral: Some(1.0), method }
    }

    /// A slope, which at 0 would not be there.
    pub(crate) fn slope(path: impl Into<String>, unit: &'static str, truth: f64, method: &'static str) -> Self {
        Self { path: path.into(), unit, truth, neutral: Some(0.0), method }
    }
}

/// An interval of a share that is this wide says nothing.
const UNKNOWN: f64 = 0.95;

/// A parameter that the data does not tell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NotEstimated {
    /// Its path.
    pub parameter: String,
    /// Why.
    pub reason: String,
}

/// Estimates in the making.
#[derive(Debug)]
pub(crate) struct Sheet {
    pub(super) level: f64,
    pub(crate) estimates: Vec<Estimate>,
    pub(crate) not_estimated: Vec<NotEstimated>,
    pub(crate) notes: Vec<String>,
}

impl Sheet {
    pub(crate) fn new(level: f64) -> Self {
        Self { level, estimates: Vec::new(), not_estimated: Vec::new(), notes: Vec::new() }
    }

    /// Leaves a parameter out.
    pub(crate) fn skip(&mut self, parameter: impl Into<String>, reason: impl Into<String>) {
        self.not_estimated.push(NotEstimated { parameter: parameter.into(), reason: reason.into() });
    }

    /// P(|Z| ≤ z) is the level.
    fn z(&self) -> f64 {
        normal_quantile_two_sided(1.0 - self.level)
    }

    fn tail(&self) -> f64 {
        f64::midpoint(1.0, -self.level)
    }

    /// A share: Wilson's interval (Wilson, "Probable inference, the law of succession, and statistical inference", 1927).
    pub(crate) fn share(&mut self, parameter: Parameter, successes: u64, trials: u64) {
        if trials == 0 {
            return self.skip(parameter.path, "nothing to count it among");
        }
        let (n, z) = (trials as f64, self.z());
        let p = successes as f64 / n;
        let (low, high) = wilson(successes, trials, z);
        // Rounding must not cut off the end.
        let low = if successes == 0 { 0.0 } else { low };
        let high = if successes == trials { 1.0 } else { high };
        // Where all or none succeeded, the error of what the interval is centred on.
        let smoothed = if successes == 0 || successes == trials { f64::midpoint(low, high) } else { p };
        let error = (smoothed * (1.0 - smoothed) / n).sqrt();
        self.push(parameter, p, (low, high), Basis { scale: Scale::Linear, error, neutral: None }, trials);
    }

    /// A rate of a Poisson count: the exact interval (Garwood, "Fiducial limits for the Poisson distribution", 1936).
    pub(crate) fn rate(&mut self, parameter: Parameter, count: u64, exposure: f64) {
        if exposure <= 0.0 {
            return self.skip(parameter.path, "no time to count it in");
        }
        let (k, tail) = (count as f64, self.tail());
        let low = if count == 0 { 0.0 } else { chi_squared_quantile(2.0 * k, tail) / 2.0 };
        let high = chi_squared_quantile(2.0 * k + 2.0, 1.0 - tail) / 2.0;
        let basis = Basis { scale: Scale::Linear, error: k.max(1.0).sqrt() / exposure, neutral: None };
        self.push(parameter, k / exposure, (low / exposure, high / exposure), basis, count);
    }

    /// A mean: Student's interval.
    pub(crate) fn mean(&mut self, parameter: Parameter, sample: &Moments) {
        if sample.n < 2 {
            return self.skip(parameter.path, "fewer than two observations");
        }
        let error = (sample.variance() / sample.n as f64).sqrt();
        let half = student_quantile(sample.n as f64 - 1.0, 1.0 - self.tail()) * error;
        let basis = Basis { scale: Scale::Linear, error, neutral: parameter.neutral };
        let ends = (sample.mean - half, sample.mean + half);
        self.push(parameter, sample.mean, ends, basis, sample.n);
    }

    /// The mean of normal values that are the logarithms of what is asked for, so that it is their median.
    pub(crate) fn log_mean(&mut self, parameter: Parameter, logs: &Moments) {
        if logs.n < 2 {
            return self.skip(parameter.path, "fewer than two observations");
        }
        let error = (logs.variance() / logs.n as f64).sqrt();
        let half = student_quantile(logs.n as f64 - 1.0, 1.0 - self.tail()) * error;
        let basis = Basis { scale: Scale::Log, error, neutral: parameter.neutral };
        let ends = ((logs.mean - half).exp(), (logs.mean + half).exp());
        self.push(parameter, logs.mean.exp(), ends, basis, logs.n);
    }

    /// The standard deviation of a normal sample: by chi-squared.
    pub(crate) fn normal_deviation(&mut self, parameter: Parameter, sample: &Moments) {
        if sample.n < 2 {
            return self.skip(parameter.path, "fewer than two observations");
        }
        let (freedom, tail) = (sample.n as f64 - 1.0, self.tail());
        let deviation = sample.variance().sqrt();
        let end = |p: f64| deviation * (freedom / chi_squared_quantile(freedom, p)).sqrt();
        let basis = Basis { scale: Scale::Log, error: (2.0 * freedom).sqrt().recip(), neutral: parameter.neutral };
        self.push(parameter, deviation, (end(1.0 - tail), end(tail)), basis, sample.n);
    }

    /// An estimate that is normal on a scale, there with a standard error.
    pub(crate) fn normal(&mut self, parameter: Parameter, scale: Scale, estimate: f64, error: f64, n: u64) {
        if !estimate.is_finite() || !error.is_finite() || error <= 0.0 {
            return self.skip(parameter.path, "the data does not identify it at this size");
        }
        let (at, half) = (scale.of(estimate), self.z() * error);
        let (a, b) = (scale.back(at - half), scale.back(at + half));
        let basis = Basis { scale, error, neutral: parameter.neutral };
        let (mut low, mut high) = (a.min(b), a.max(b));
        if parameter.is_share() {
            (low, high) = (low.max(0.0), high.min(1.0));
            if !(0.0..=1.0).contains(&estimate) || high - low > UNKNOWN {
                return self.skip(parameter.path, "the data does not identify it at this size");
            }
        }
        self.push(parameter, estimate, (low, high), basis, n);
    }

    fn push(&mut self, parameter: Parameter, estimate: f64, (low, high): (f64, f64), basis: Basis, n: u64) {
        let truth = parameter.truth;
        // Truths and ends may differ by rounding alone where both are exact.
        let slack = 1e-12 * truth.abs();
        let detectable = parameter.neutral.map(|neutral| !(low..=high).contains(&neutral));
        self.estimates.push(Estimate {
            parameter: parameter.path,
            unit: parameter.unit.into(),
            truth,
            estimate,
            low,
            high,
            standard_error: basis.scale.error_back(estimate, basis.error),
            n,
            covered: low - slack <= truth && truth <= high + slack,
            detectable,
            method: parameter.method.into(),
            basis: Basis { neutral: parameter.neutral, ..basis },
        });
    }
}
