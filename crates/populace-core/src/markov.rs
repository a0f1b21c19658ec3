//! A Markov chain over named states with entries and exits, checked as a whole: every problem is found in one pass.

use crate::dist::Categorical;
use crate::scenario::{Checker, Problem};
use std::collections::{BTreeMap, BTreeSet};

/// How far a row of probabilities may be from 1.
pub const ROW_TOLERANCE: f64 = 1e-6;

/// A sum for a message, without the last digits that rounding leaves.
pub(crate) fn shown(sum: f64) -> f64 {
    (sum * 1e9).round() / 1e9
}

/// How shares that should sum to 1 could.
pub(crate) fn mend(shares: &[f64], sum: f64) -> String {
    /// Denominators of shares that have no short decimal form.
    const DENOMINATORS: [f64; 6] = [3.0, 6.0, 7.0, 9.0, 11.0, 12.0];
    /// How far off a share is that was cut to two places.
    const CUT: f64 = 0.005;
    let fraction = |share: f64| {
        let exact = DENOMINATORS.into_iter().map(|below| ((share * below).round(), below));
        exact.into_iter().find(|(above, below)| *above > 0.0 && (share - above / below).abs() <= CUT)
    };
    let meant: f64 = shares.iter().map(|share| fraction(*share).map_or(*share, |(above, below)| above / below)).sum();
    let cut = shares.iter().find_map(|share| Some((share, fraction(*share).filter(|(above, below)| above / below != *share)?)));
    match cut {
        Some((share, (above, below))) if (meant - 1.0).abs() < 1e-9 => format!("write {above}/{below} for {share}"),
        _ if sum < 1.0 => format!("add {} to one of them, or divide each by {}", shown(1.0 - sum), shown(sum)),
        _ => format!("take {} from one of them, or divide each by {}", shown(sum - 1.0), shown(sum)),
    }
}

/// A chain as a document gives it. Maps are ordered by name, so the order of a document's lines never changes a draw.
#[derive(Clone, Copy, Debug)]
pub struct ChainSpec<'a> {
    /// Probability of each first state.
    pub entries: &'a BTreeMap<String, f64>,
    /// Probability of each next state, by state.
    pub transitions: &'a BTreeMap<String, BTreeMap<String, f64>>,
    /// States that end a walk.
    pub exits: &'a BTreeSet<String>,
    /// Probability that an exit state ends the walk when it is reached; below 1 the rest goes on by the state's transitions.
    pub exit_probability: f64,
}

/// A checked chain: every row sums to 1, and from every state that a walk can reach an exit can be reached.
#[derive(Clone, Debug)]
pub struct Chain {
    names: Vec<String>,
    entries: Vec<(usize, f64)>,
    states: Vec<State>,
    reachable: Vec<bool>,
    exit_probability: f64,
    entry: Choice,
}

#[derive(Clone, Debug)]
struct State {
    exit: bool,
    transitions: Vec<(usize, f64)>,
    next: Option<Choice>,
}

/// A draw among states.
#[derive(Clone, Debug)]
struct Choice {
    categorical: Categorical,
    states: Box<[u16]>,
}

impl Choice {
    fn new(edges: &[(usize, f64)]) -> Option<Self> {
        let weights: Vec<f64> = edges.iter().map(|edge| edge.1).collect();
        let states = edges.iter().map(|edge| edge.0 as u16).collect();
        Some(Self { categorical: Categorical::new(&weights).ok()?, states })
    }

    #[inline]
    fn pick(&self, word: u64) -> usize {
        usize::from(self.states[self.categorical.pick(word)])
    }
}

/// A probability of the chain, as the truth exports it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Edge {
    /// State left.
    pub from: usize,
    /// State entered.
    pub to: usize,
    /// P(next is `to` | at `from` and the walk goes on).
    pub probability: f64,
    /// Whether a walk can reach `from`.
    pub reachable: bool,
}

impl Chain {
    /// Checks a specification. Problems that make it unusable go to `checker` under `path`; the others are returned as warnings.
    pub fn check(spec: ChainSpec<'_>, path: &str, checker: &mut Checker) -> (Option<Self>, Vec<Problem>) {
        let mut names: BTreeSet<&String> = spec.entries.keys().chain(spec.exits).chain(spec.transitions.keys()).collect();
        names.extend(spec.transitions.values().flat_map(BTreeMap::keys));
        let names: Vec<String> = names.into_iter().cloned().collect();
        let index: BTreeMap<&str, usize> = names.iter().enumerate().map(|(index, name)| (name.as_str(), index)).collect();
        let mut found = Checker::default();
        let mut warnings = Vec::new();
        let mut warn = |path: String, message: String, hint: &str| warnings.push(Problem { path, message, hint: hint.into() });

        found.require(u16::try_from(names.len()).is_ok(), path, || format!("must have at most 65,535 endpoints, got {}", names.len()));
        if spec.entries.is_empty() {
            found.problem(
                format!("{path}.entry_points"),
                "needs at least one entry point",
                "name where sessions start, such as `/api/login: 1.0`",
            );
        }
        if spec.exits.is_empty() {
            found.problem(
                format!("{path}.exit_points"),
                "needs at least one exit point",
                "name an endpoint that ends a session, such as `/api/logout`",
            );
        }
        let row = |found: &mut Checker, path: String, edges: &BTreeMap<String, f64>| -> Vec<(usize, f64)> {
            let mut sum = 0.0;
            let mut sound = true;
            for (name, &p) in edges {
                if !(p.is_finite() && (0.0..=1.0).contains(&p)) {
                    found.problem(format!("{path}.{name}"), format!("must be a probability from 0 to 1, got {p}"), "");
                    sound = false;
                }
                sum += p;
            }
            if sound && !edges.is_empty() && (sum - 1.0).abs() > ROW_TOLERANCE {
                let hint = mend(&edges.values().copied().collect::<Vec<_>>(), sum);
                found.problem(&path, format!("the probabilities must sum to 1 within {ROW_TOLERANCE}, they sum to {}", shown(sum)), hint);
            }
            // A sum that is 1 up to rounding leaves the probabilities as written.
            let scale = if (sum - 1.0).abs() <= 1e-12 { 1.0 } else { sum };
            edges.iter().map(|(name, p)| (index[name.as_str()], p / scale)).collect()
        };
        let entries = row(&mut found, format!("{path}.entry_points"), spec.entries);

        let ends_always = spec.exit_probability >= 1.0;
        let mut states = Vec::with_capacity(names.len());
        for name in &names {
            let exit = spec.exits.contains(name);
            let edges = spec.transitions.get(name).filter(|edges| !edges.is_empty());
            let here = format!("{path}.transitions.{name}");
            let mut transitions = edges.map_or_else(Vec::new, |edges| row(&mut found, here.clone(), edges));
            if exit && ends_always && !transitions.is_empty() {
                warn(here, "is an exit point, so its transitions never happen".into(), "remove the transitions, or lower exit_probability");
                transitions.clear();
            } else if exit && (0.0..1.0).contains(&spec.exit_probability) && transitions.is_empty() {
                let hint = "give it transitions, or set exit_probability to 1";
                found.problem(
                    here,
                    format!("is an exit point that goes on with probability {}, but has no transitions", 1.0 - spec.exit_probability),
                    hint,
                );
            } else if !exit && transitions.is_empty() {
                found.problem(
                    here,
                    "dead end: it has no transitions and is not an exit point",
                    "add transitions, or list it under exit_points",
                );
            }
            transitions.retain(|edge| edge.1 > 0.0);
            states.push(State { exit, next: Choice::new(&transitions), transitions });
        }

        // Every state on a way to an exit, or to a dead end that is already reported.
        let mut ends: Vec<bool> = states.iter().map(|state| state.exit || state.transitions.is_empty()).collect();
        while let Some(more) = (0..states.len()).find(|&at| !ends[at] && states[at].transitions.iter().any(|edge| ends[edge.0])) {
            ends[more] = true;
        }
        for (name, _) in names.iter().zip(&ends).filter(|(_, ends)| !**ends) {
            found.problem(
                format!("{path}.transitions.{name}"),
                "no exit point can be reached from here",
                "add a way that leads to an exit point",
            );
        }
        let mut reachable = vec![false; names.len()];
        let mut open: Vec<usize> = entries.iter().filter(|entry| entry.1 > 0.0).map(|entry| entry.0).collect();
        while let Some(at) = open.pop() {
            if !std::mem::replace(&mut reachable[at], true) {
                open.extend(states[at].transitions.iter().map(|edge| edge.0));
            }
        }
        for (name, _) in names.iter().zip(&reachable).filter(|(_, reachable)| !**reachable) {
            warn(format!("{path}.transitions.{name}"), "no entry point leads here".into(), "add a transition to it, or remove it");
        }

        let entry = Choice::new(&entries);
        let clean = found.is_clean();
        checker.append(found);
        let chain =
            entry.filter(|_| clean).map(|entry| Self { names, entries, states, reachable, exit_probability: spec.exit_probability, entry });
        (chain, warnings)
    }

    /// The names of the states, by number.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Whether a walk can reach a state.
    pub fn is_reachable(&self, state: usize) -> bool {
        self.reachable[state]
    }

    /// Whether a state is an exit point.
    #[inline]
    pub fn is_exit(&self, state: usize) -> bool {
        self.states[state].exit
    }

    /// First states and their probabilities.
    pub fn entries(&self) -> impl Iterator<Item = (usize, f64)> {
        self.entries.iter().copied()
    }

    /// Every transition that can happen, by state.
    pub fn edges(&self) -> impl Iterator<Item = Edge> {
        self.states.iter().enumerate().flat_map(move |(from, state)| {
            state.transitions.iter().map(move |&(to, probability)| Edge { from, to, probability, reachable: self.reachable[from] })
        })
    }

    /// The first state of a walk, by one word.
    #[inline]
    pub fn first(&self, word: u64) -> usize {
        self.entry.pick(word)
    }

    /// The state after `state`, by one word; `None` where a walk always ends.
    #[inline]
    pub fn next(&self, state: usize, word: u64) -> Option<usize> {
        self.states[state].next.as_ref().map(|next| next.pick(word))
    }

    /// The law of walks of at most `max_length` states.
    pub fn walks(&self, max_length: usize) -> Walks {
        let mut here = vec![0.0; self.names.len()];
        for (state, p) in self.entries() {
            here[state] += p;
        }
        let mut walks = Walks { lengths: vec![0.0; max_length + 1], visits: vec![0.0; self.names.len()], truncated: 0.0 };
        for length in 1..=max_length {
            let mut next = vec![0.0; self.names.len()];
            for (state, &p) in here.iter().enumerate() {
                walks.visits[state] += p;
                let ends = if self.states[state].exit { p * self.exit_probability } else { 0.0 };
                let goes_on = p - ends;
                walks.lengths[length] += ends;
                if length == max_length {
                    walks.lengths[length] += goes_on;
                    walks.truncated += goes_on;
                }
                for &(to, probability) in &self.states[state].transitions {
                    next[to] += goes_on * probability;
                }
            }
            here = next;
        }
        walks
    }
}

/// The law of walks through a chain, cut off at a greatest length.
#[derive(Clone, Debug)]
pub struct Walks {
    /// P(length = n), for n from 0.
    pub lengths: Vec<f64>,
    /// Expected visits of each state in one walk.
    pub visits: Vec<f64>,
    /// P(cut off before an exit ended it).
    pub truncated: f64,
}

impl Walks {
    /// The mean length.
    pub fn mean_length(&self) -> f64 {
        self.expect(|length| length as f64)
    }

    /// The expectation of a function of the length.
    pub fn expect(&self, of: impl Fn(usize) -> f64) -> f64 {
        self.lengths.iter().enumerate().map(|(length, p)| p * of(length)).sum()
    }
}
