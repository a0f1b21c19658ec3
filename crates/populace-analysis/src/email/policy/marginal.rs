//! How often a target leads to a state that the log leads to less often (Xie, Ma and Wang 2019).

use super::logged::STATES;

/// Moves from state to state: as logged, and as the target would make them.
#[derive(Clone)]
pub(super) struct Moves {
    first: Vec<f64>,
    logged: Vec<f64>,
    weighted: Vec<f64>,
    users: f64,
    decisions: f64,
}

impl Moves {
    pub(super) fn new() -> Self {
        let none = vec![0.0; STATES * STATES];
        Self { first: vec![0.0; STATES], logged: none.clone(), weighted: none, users: 0.0, decisions: 0.0 }
    }

    /// The states of a user's decisions, each with its weight.
    pub(super) fn add(&mut self, user: &[(usize, f64)]) {
        let Some((first, _)) = user.first() else { return };
        self.first[*first] += 1.0;
        self.users += 1.0;
        self.decisions += user.len() as f64;
        for pair in user.windows(2) {
            let place = pair[0].0 * STATES + pair[1].0;
            self.logged[place] += 1.0;
            self.weighted[place] += pair[0].1;
        }
    }

    /// By state, how likely the target is in it over how likely the log is: means over as many decisions as a user has.
    pub(super) fn ratios(&self) -> Vec<f64> {
        let [target, log] = [&self.weighted, &self.logged].map(|moves| self.visits(moves));
        target.iter().zip(&log).map(|(target, log)| if *log > 0.0 { target / log } else { 1.0 }).collect()
    }

    fn visits(&self, moves: &[f64]) -> Vec<f64> {
        let steps = (self.decisions / self.users.max(1.0)).round().max(1.0) as usize;
        let sum = |of: &[f64], state: usize| of[state * STATES..(state + 1) * STATES].iter().sum::<f64>();
        // From where the target never goes on, it is taken to go on as the log does.
        let rows: Vec<(&[f64], f64)> = (0..STATES)
            .map(|state| {
                let own = sum(moves, state);
                if own > 0.0 { (&moves[state * STATES..], own) } else { (&self.logged[state * STATES..], sum(&self.logged, state)) }
            })
            .collect();
        let mut now: Vec<f64> = self.first.iter().map(|first| first / self.users.max(1.0)).collect();
        let mut visits = vec![0.0; STATES];
        for _ in 0..steps {
            let mut next = vec![0.0; STATES];
            for (state, share) in now.iter().enumerate().filter(|(_, share)| **share > 0.0) {
                visits[state] += share;
                let (row, all) = rows[state];
                if all > 0.0 {
                    next.iter_mut().zip(row).for_each(|(next, moves)| *next += share * moves / all);
                } else {
                    next[state] += share;
                }
            }
            now = next;
        }
        visits
    }
}
