//! What is wrong with a document, where, and what to do about it.

use super::tree::{Origin, Position, count};
use crate::wording::option;
use std::fmt::{self, Display};
use std::sync::Arc;

/// One thing wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Where; `None` when there is no document to point into.
    pub position: Option<Position>,
    /// Keys and indices joined by dots; empty for the document as a whole.
    pub path: String,
    /// What the rule is and what was found.
    pub message: String,
    /// What to do about it; may be empty.
    pub hint: String,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(position) = &self.position {
            write!(formatter, "{position}: ")?;
        }
        if !self.path.is_empty() {
            write!(formatter, "{}: ", self.path)?;
        }
        formatter.write_str(&self.message)?;
        if self.hint.is_empty() { Ok(()) } else { write!(formatter, "\n    hint: {}", self.hint) }
    }
}

/// Everything wrong with a document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics {
    /// The problems in the order found, [`Diagnostics::KEPT`] at most.
    pub problems: Vec<Diagnostic>,
    /// How many more there were.
    pub omitted: usize,
}

impl Diagnostics {
    /// A hostile document can be wrong in as many places as it has nodes; nobody reads further than this.
    pub const KEPT: usize = 200;

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.problems.len() >= Self::KEPT
    }

    pub(super) fn push(&mut self, position: Option<&Position>, path: impl Display, message: impl Into<String>, hint: impl Into<String>) {
        if self.is_full() {
            self.omitted += 1;
            return;
        }
        self.problems.push(Diagnostic { position: position.cloned(), path: path.to_string(), message: message.into(), hint: hint.into() });
    }

    /// Adds the problems of another check, but for those at places that have a problem already, or at none.
    pub fn complete(&mut self, other: Self) {
        let known: Vec<String> = self.problems.iter().map(|problem| problem.path.clone()).collect();
        let within = |path: &str| {
            known.iter().any(|known| path == known || path.starts_with(&format!("{known}.")) || known.starts_with(&format!("{path}.")))
        };
        let fresh = other.problems.into_iter().filter(|problem| !problem.path.is_empty() && !within(&problem.path)).collect();
        self.append(Self { problems: fresh, omitted: other.omitted });
    }

    pub(super) fn append(&mut self, other: Self) {
        self.omitted += other.omitted;
        for problem in other.problems {
            if self.is_full() {
                self.omitted += 1;
            } else {
                self.problems.push(problem);
            }
        }
    }

    /// A single problem.
    pub(super) fn one(position: Option<&Position>, path: impl Display, message: impl Into<String>, hint: impl Into<String>) -> Self {
        let mut problems = Self::default();
        problems.push(position, path, message, hint);
        problems
    }

    /// Sorted by place: the documents in the order in which problems were found in them, each from its top.
    pub(super) fn in_order(mut self) -> Self {
        let mut origins: Vec<Arc<Origin>> = Vec::new();
        for position in self.problems.iter().filter_map(|problem| problem.position.as_ref()) {
            if !origins.contains(&position.origin) {
                origins.push(Arc::clone(&position.origin));
            }
        }
        self.problems.sort_by_key(|problem| {
            let position = problem.position.as_ref()?;
            Some((origins.iter().position(|origin| *origin == position.origin), position.line, position.column))
        });
        self
    }

    /// `Ok` if nothing is wrong.
    pub(super) fn finish(self) -> Result<(), Self> {
        if self.is_empty() { Ok(()) } else { Err(self) }
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            write!(formatter, "{}{problem}", if index == 0 { "" } else { "\n" })?;
        }
        if self.omitted > 0 {
            write!(formatter, "\n… and {} more", self.omitted)?;
        }
        if self.problems.len() > 1 { write!(formatter, "\n{}", count(self.problems.len() + self.omitted, "problem")) } else { Ok(()) }
    }
}

impl std::error::Error for Diagnostics {}

/// The candidate a writer most likely meant, if any is near enough to be a slip of the hand.
pub(super) fn nearest<'a>(wanted: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let fold = |text: &str| text.to_lowercase().replace('-', "_");
    let wanted = fold(wanted);
    let length = wanted.chars().count();
    let allowed = 1 + length / 4;
    candidates
        .into_iter()
        // The distance is at least the difference of the lengths, and costs their product.
        .filter(|candidate| candidate.chars().count().abs_diff(length) <= allowed)
        .map(|candidate| (strsim::damerau_levenshtein(&wanted, &fold(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= allowed && *distance < candidate.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// What a person is told of `--table` with a name that is none of a generator's tables.
pub fn no_such_table(name: &str, tables: impl IntoIterator<Item = String>) -> String {
    let known: Vec<String> = tables.into_iter().collect();
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    format!("{} {name}: there is no such table\nhint: {}", option("table"), suggest(name, &known, "tables"))
}

/// `did you mean …?`, or the list of what there is.
pub fn suggest(wanted: &str, candidates: &[&str], what: &str) -> String {
    const LISTED: usize = 24;
    if let Some(near) = nearest(wanted, candidates.iter().copied()) {
        return format!("did you mean `{near}`?");
    }
    if candidates.is_empty() {
        return format!("there are no {what}");
    }
    let mut listed = candidates.iter().take(LISTED).copied().collect::<Vec<_>>().join(", ");
    if candidates.len() > LISTED {
        listed.push_str(", …");
    }
    format!("{what}: {listed}")
}
