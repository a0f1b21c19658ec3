//! What every scenario is: a checked model that simulates one actor at a time.

use crate::plan::Population;
use crate::stream::{ActorId, StreamKey};
use crate::time::Window;
use core::fmt;

/// Receives what a simulation brings forth.
pub trait Observer<R, T> {
    /// What the world would see.
    fn emit(&mut self, row: R);
    /// What only the simulator knows.
    fn reveal(&mut self, truth: T);
    /// A value that the law clips was clipped: counted, so that the run can say so.
    fn clipped(&mut self, what: &'static str);
}

/// A population and its behaviour.
pub trait Scenario: Send + Sync + Sized + 'static {
    /// The family's name: the name under which its randomness is keyed.
    const NAME: &'static str;
    /// The document, deserialised.
    type Config;
    /// A row of a data table.
    type Row;
    /// A row of a truth table.
    type Truth;

    /// Checks a document and prepares everything that does not depend on the actor. After this nothing can fail.
    ///
    /// # Errors
    /// Every problem of the document, at once.
    fn from_config(config: &Self::Config) -> Result<Self, ConfigError>;

    /// What is odd about the document but does not make it unusable.
    fn warnings(&self) -> &[Problem] {
        &[]
    }

    /// How many actors there are and what to expect of one.
    fn population(&self) -> Population;

    /// The days on which things begin; what follows from them may come later.
    fn window(&self) -> Window;

    /// How long before the window's end an actor's last day may end, microseconds: what happens earlier is the same however many days
    /// are added.
    fn unsettled(&self) -> i64 {
        0
    }

    /// Simulates one actor: a pure function of the model, the actor and the key. Rows come in the order of the data files.
    fn simulate(&self, actor: ActorId, key: StreamKey, out: &mut impl Observer<Self::Row, Self::Truth>);
}

/// One thing wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where: keys and indices joined by dots, such as `personas.night_owl.open_rate`; empty for the document as a whole.
    pub path: String,
    /// What the rule is and what was found.
    pub message: String,
    /// What to do about it; may be empty.
    pub hint: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(formatter, "{}: ", self.path)?;
        }
        formatter.write_str(&self.message)?;
        if self.hint.is_empty() { Ok(()) } else { write!(formatter, " (hint: {})", self.hint) }
    }
}

/// Everything wrong with a document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigError {
    /// At least one problem, in the order found.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            write!(formatter, "{}{problem}", if index == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// Collects problems while a document is checked, so that all are reported at once.
#[derive(Debug, Default)]
pub struct Checker {
    problems: Vec<Problem>,
    /// How many of them are numbers out of their ranges.
    ranges: usize,
}

impl Checker {
    /// Says that all problems so far are numbers out of their ranges.
    pub(crate) fn end_of_ranges(&mut self) {
        self.ranges = self.problems.len();
    }

    /// Records a problem at `path`.
    pub fn problem(&mut self, path: impl Into<String>, message: impl Into<String>, hint: impl Into<String>) {
        self.problems.push(Problem { path: path.into(), message: message.into(), hint: hint.into() });
    }

    /// Records a problem unless `holds`.
    pub fn require(&mut self, holds: bool, path: impl Into<String>, message: impl FnOnce() -> String) {
        if !holds {
            self.problem(path, message(), "");
        }
    }

    /// The value of `result`, or `None` and a problem at `path`, unless a number that is out of its range there is the cause.
    pub fn take<V, E: fmt::Display>(&mut self, path: impl Into<String>, result: Result<V, E>) -> Option<V> {
        let path = path.into();
        let within = |found: &str| found.strip_prefix(path.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        let known = self.problems[..self.ranges].iter().any(|problem| within(&problem.path));
        result.map_err(|error| self.require(known, path, || error.to_string())).ok()
    }

    /// Checks that a number lies within `low..=high`; a range without an upper end has `f64::MAX`.
    pub fn range(&mut self, path: impl Into<String>, value: f64, low: f64, high: f64) {
        self.require((low..=high).contains(&value), path, || match high {
            f64::MAX => format!("must be at least {low}, got {value}"),
            _ => format!("must be from {low} to {high}, got {value}"),
        });
    }

    /// Takes over the problems of another check.
    pub fn append(&mut self, other: Self) {
        self.problems.extend(other.problems);
    }

    /// Whether nothing is wrong so far.
    pub fn is_clean(&self) -> bool {
        self.problems.is_empty()
    }

    /// Ends the check: `Err` with all problems if there is any.
    ///
    /// # Errors
    /// At least one problem was recorded.
    pub fn finish(self) -> Result<(), ConfigError> {
        if self.problems.is_empty() { Ok(()) } else { Err(ConfigError { problems: self.problems }) }
    }
}
