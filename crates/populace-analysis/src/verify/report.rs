//! What the checks found.

use crate::error::AnalysisError;
use crate::stage::write_whole;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::Path;

/// What a check rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// A law without exceptions: one row against it is a failure.
    Exact,
    /// A law of chance: a test with a p-value.
    Distribution,
    /// What happened against the probabilities worked out for each try.
    Calibration,
    /// A query by which users look at such data, with the result to expect.
    Query,
}

impl fmt::Display for Group {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Exact => "exact",
            Self::Distribution => "distribution",
            Self::Calibration => "calibration",
            Self::Query => "query",
        })
    }
}

/// Whether a claim holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It does.
    Pass,
    /// It does not.
    Fail,
    /// It could not be examined.
    Skipped,
}

/// One claim.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// What it rests on.
    pub group: Group,
    /// The claim.
    pub name: String,
    /// Whether it holds.
    pub verdict: Verdict,
    /// How many rows, values or tries were examined.
    pub n: u64,
    /// What was found.
    pub observed: String,
    /// What the law says.
    pub expected: String,
    /// The statistic of a test.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub statistic: Option<f64>,
    /// The p-value of a test; of several hypotheses in one check, the smallest times their number.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub p_value: Option<f64>,
    /// How many rows are against an exact law.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub violations: Option<u64>,
    /// Why it was skipped.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
}

/// The answer key: `verify.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Name of the scenario that the data was held against.
    pub scenario: String,
    /// Its family.
    pub family: String,
    /// Digest of its resolved document.
    pub scenario_digest: String,
    /// Digest of the document that the run was generated from, if that is another.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub run_scenario_digest: Option<String>,
    /// The probability that sound data fails anywhere: the family-wise error.
    pub alpha: f64,
    /// How many p-values there are.
    pub tests: u64,
    /// A test fails below this: `alpha` over `tests` (Bonferroni).
    pub threshold: f64,
    /// Checks that passed.
    pub passed: u64,
    /// Checks that failed.
    pub failed: u64,
    /// Checks that were skipped.
    pub skipped: u64,
    /// All of them: exact, distribution, calibration, query.
    pub checks: Vec<Check>,
}

impl Report {
    /// The verdicts as JSON.
    ///
    /// # Panics
    /// Never: text, numbers and lists have a form in JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("text, numbers and lists have a form in JSON")
    }

    /// Writes the verdicts to a file, whole or not at all.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), AnalysisError> {
        write_whole(
            path,
            &(self.to_json()
                + "
"),
        )
    }

    /// The checks that failed, one line each, then the summary.
    pub fn failed_only(&self) -> impl fmt::Display {
        Failed(self)
    }

    /// The checks that failed.
    pub fn failures(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| check.verdict == Verdict::Fail)
    }
}

impl fmt::Display for Check {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Pass => "ok",
            Verdict::Fail => "FAIL",
            Verdict::Skipped => "skip",
        };
        write!(formatter, "{verdict:<5}{:<13}{}: ", self.group, self.name)?;
        if let Some(reason) = &self.reason {
            return formatter.write_str(reason);
        }
        formatter.write_str(&self.observed)?;
        if !self.expected.is_empty() {
            write!(formatter, "; expected {}", self.expected)?;
        }
        self.p_value.map_or(Ok(()), |p| write!(formatter, "; {}", p_text(p)))
    }
}

/// A p-value for people.
pub(crate) fn p_text(p: f64) -> String {
    match p {
        // Below, a double holds nothing but 0.
        p if p < f64::MIN_POSITIVE => "p < 1e-307".to_owned(),
        p if p < 1e-4 => format!("p = {p:.1e}"),
        p => format!("p = {p:.4}"),
    }
}

/// A report of which the failures are printed alone.
struct Failed<'a>(&'a Report);

impl fmt::Display for Failed<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.failures().try_for_each(|check| writeln!(formatter, "{check}"))?;
        self.0.write_summary(formatter)
    }
}

/// One line a check, those that failed first, then the summary.
impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (failed, others): (Vec<&Check>, _) = self.checks.iter().partition(|check| check.verdict == Verdict::Fail);
        for check in failed.into_iter().chain(others) {
            writeln!(formatter, "{check}")?;
        }
        self.write_summary(formatter)
    }
}

impl Report {
    fn write_summary(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(digest) = &self.run_scenario_digest {
            write!(formatter, "\njudged by another document than the run's: {}, and the run's is {digest}", self.scenario_digest)?;
        }
        write!(
            formatter,
            "\n{}: {} checks passed, {} failed, {} skipped; {} tests at p < {:.1e}, family-wise error {:e}",
            self.scenario, self.passed, self.failed, self.skipped, self.tests, self.threshold, self.alpha
        )
    }
}
