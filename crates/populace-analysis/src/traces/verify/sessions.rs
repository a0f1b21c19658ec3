//! Who has how many sessions, when, and how they walk.

use super::Session;
use crate::stats::{Pit, merge_fields};
use crate::traces::Law;
use crate::verify::Group;
use crate::verify::board::{Board, Found};
use populace_core::time::{DAY, MINUTE};
use std::collections::BTreeMap;

/// Counts of users and sessions.
pub(super) struct Sessions<'a> {
    law: &'a Law<'a>,
    per_user: Vec<u64>,
    types: BTreeMap<String, u64>,
    days: Vec<u64>,
    clock: Pit,
    seconds: Pit,
    entries: Vec<u64>,
    transitions: Vec<BTreeMap<usize, u64>>,
    lengths: Vec<u64>,
    /// At exit points: how often a session ended, and how often it went on.
    exits: [u64; 2],
}

merge_fields!(Sessions<'_> { per_user, types, days, clock, seconds, entries, transitions, lengths, exits } same { law });

impl<'a> Sessions<'a> {
    pub(super) fn new(law: &'a Law<'a>) -> Self {
        let states = law.names().len();
        Self {
            law,
            per_user: Vec::new(),
            types: BTreeMap::new(),
            days: vec![0; law.config().window.days as usize],
            clock: Pit::default(),
            seconds: Pit::default(),
            entries: vec![0; states],
            transitions: vec![BTreeMap::new(); states],
            lengths: vec![0; law.config().workflow.max_length as usize + 1],
            exits: [0; 2],
        }
    }

    pub(super) fn add(&mut self, sessions: &[Session<'_>]) {
        count(&mut self.per_user, sessions.len());
        if let Some(session) = sessions.first() {
            *self.types.entry(session.calls[0].user_type.to_owned()).or_default() += 1;
        }
        let begin = self.law.model().window().begin();
        for session in sessions {
            let walk = session.walk();
            let Some(first) = walk.first() else { continue };
            let since = first.time.since(begin);
            if let Some(day) = usize::try_from(since.div_euclid(DAY)).ok().and_then(|day| self.days.get_mut(day)) {
                *day += 1;
            }
            self.clock.add(since.rem_euclid(DAY) as f64 / DAY as f64);
            self.seconds.add(since.rem_euclid(MINUTE) as f64 / MINUTE as f64);
            if let Some(state) = first.state {
                self.entries[state] += 1;
            }
            count(&mut self.lengths, walk.len());
            let most = self.law.config().workflow.max_length as usize;
            for (index, call) in walk.iter().enumerate() {
                let Some(state) = call.state else { continue };
                let next = walk.get(index + 1);
                if self.law.is_exit(state) && index + 1 < most {
                    self.exits[usize::from(next.is_some())] += 1;
                }
                if let Some(next) = next.and_then(|next| next.state) {
                    *self.transitions[state].entry(next).or_default() += 1;
                }
            }
        }
    }

    pub(super) fn report(mut self, board: &mut Board) {
        let group = Group::Distribution;
        let config = self.law.config();
        let counts = self.law.model().sessions();
        let users: u64 = self.per_user.iter().sum();
        let reach = (config.sessions.mean + 12.0 * config.sessions.sd + 10.0) as usize;
        if self.per_user.len() < reach {
            self.per_user.resize(reach, 0);
        }
        let silent = config.population.users.saturating_sub(users);
        self.per_user[0] += silent;
        let expected: Vec<f64> = (0..self.per_user.len()).map(|count| counts.probability(count)).collect();
        board.test(
            group,
            "sessions of a user",
            Found::cells(&self.per_user, &expected, "the rounded normal of the document's mean and sd"),
        );
        let types = &config.workflow.user_type_distribution;
        let (weights, of): (Vec<f64>, Vec<u64>) =
            types.iter().map(|(name, share)| (*share, self.types.get(name).copied().unwrap_or(0))).unzip();
        board.test(group, "types of users", Found::cells(&of, &weights, "the document's shares"));
        let days = vec![1.0; self.days.len()];
        board.test(group, "the days on which sessions start are equally likely", Found::cells(&self.days, &days, "equal shares"));
        board.test(group, "the time of day at which sessions start is uniform", Found::places(&self.clock));
        board.test(group, "the second within the minute of starts is uniform", Found::places(&self.seconds));
        board.test(group, "entry points", Found::cells(&self.entries, self.law.entries(), "the workflow's shares"));
        let names = self.law.names();
        let rows = self.transitions.iter().enumerate().filter(|(state, row)| !row.is_empty() && self.law.transitions()[*state].len() > 1);
        let rows = rows.map(|(state, row)| {
            // What no edge allows is an exact law's to find.
            let law = &self.law.transitions()[state];
            let (counts, shares): (Vec<u64>, Vec<f64>) = law.iter().map(|(to, p)| (row.get(to).copied().unwrap_or(0), *p)).unzip();
            (&names[state], Found::cells(&counts, &shares, "the workflow's row"))
        });
        board.try_test(group, "transitions, each row of the workflow", Found::worst(rows));
        let walks = self.law.model().walks();
        let mut lengths = walks.lengths.clone();
        lengths.resize(self.lengths.len().max(lengths.len()), 0.0);
        self.lengths.resize(lengths.len(), 0);
        let Found { test, .. } = Found::cells(&self.lengths, &lengths, "");
        let n: u64 = self.lengths.iter().sum();
        let mean = self.lengths.iter().enumerate().map(|(length, count)| length as f64 * *count as f64).sum::<f64>() / n.max(1) as f64;
        let (observed, expected) =
            (format!("mean {mean:.3} over {n} sessions"), format!("{:.3} and the distribution of the walk", walks.mean_length()));
        board.test(group, "calls in a session", Found { n, observed, expected, test });
        if config.workflow.exit_probability < 1.0 {
            let [ended, went_on] = self.exits;
            let found = Found::share(ended, ended + went_on, config.workflow.exit_probability);
            board.test(group, "the share of calls at exit points that end the session", found);
        }
    }
}

fn count(counts: &mut Vec<u64>, value: usize) {
    if counts.len() <= value {
        counts.resize(value + 1, 0);
    }
    counts[value] += 1;
}
