//! People who differ: who they are, as the truth says; and that opens and clicks scatter among the recipients of a persona as the laws of
//! their own rates say, whoever each of them is.

use super::Recipient;
use crate::email::{Inference, Law};
use crate::source::{As, Columns, Texts, Want};
use crate::stats::{Merge, Test, merge_fields, normal_two_sided};
use crate::verify::Group;
use crate::verify::board::{Board, Exact, Found, z};
use arrow_array::RecordBatch;
use populace_core::email::Person;

/// The columns of `truth/users`.
pub(super) const USERS: [Want; 6] = [
    Want::new("recipient_id", As::Text),
    Want::new("persona", As::Text),
    Want::new("own_open_rate", As::Float),
    Want::new("own_click_rate", As::Float),
    Want::new("peak_shift", As::Int),
    Want::new("timing_k", As::Float),
];
/// What writing a number may do to it.
const ROUNDING: f64 = 1e-12;
/// Of fewer recipients, sums of squares are no normal sums.
const FEWEST: f64 = 200.0;

/// The moments of rates about their persona's, in units of their variance.
#[derive(Clone, Copy, Default)]
struct Spread {
    n: f64,
    sum: f64,
    squares: f64,
    /// The sum of the variances of those squares.
    scatter: f64,
}

impl Merge for Spread {
    fn combine(&mut self, later: Self) {
        self.n += later.n;
        self.sum += later.sum;
        self.squares += later.squares;
        self.scatter += later.scatter;
    }
}

impl Spread {
    /// Adds a draw of Beta(a, b).
    fn add(&mut self, value: f64, [a, b]: [f64; 2]) {
        let all = a + b;
        let about = (value - a / all).powi(2) * all * all * (all + 1.0) / (a * b);
        let excess = 6.0 * ((a - b).powi(2) * (all + 1.0) - a * b * (all + 2.0)) / (a * b * (all + 2.0) * (all + 3.0));
        self.n += 1.0;
        self.sum += about.sqrt().copysign(value - a / all);
        self.squares += about;
        self.scatter += 2.0 + excess;
    }
}

/// How counts scatter: squares of what they differ by from their means, less their variances.
#[derive(Clone, Copy, Default)]
struct Scatter {
    n: f64,
    difference: f64,
    expected: f64,
    squares: f64,
}

impl Merge for Scatter {
    fn combine(&mut self, later: Self) {
        self.n += later.n;
        self.difference += later.difference;
        self.expected += later.expected;
        self.squares += later.squares;
    }
}

impl Scatter {
    fn add(&mut self, observed: f64, mean: f64, variance: f64) {
        let difference = (observed - mean).powi(2) - variance;
        self.n += 1.0;
        self.difference += difference;
        self.expected += variance;
        self.squares += difference * difference;
    }

    fn report(&self, name: &str, board: &mut Board) {
        if self.n < FEWEST || self.expected <= 0.0 {
            return board.skip(Group::Distribution, name, "there are too few recipients");
        }
        let z = z(self.difference, 0.0, self.squares);
        let observed = format!("{:.4} of the expected variance", 1.0 + self.difference / self.expected);
        let test = Test { statistic: z, p_value: normal_two_sided(z) };
        board.test(Group::Distribution, name, Found { n: self.n as u64, observed, expected: "1".into(), test });
    }
}

/// People.
pub(super) struct People<'a> {
    law: &'a Law<'a>,
    inference: &'a Inference<'a>,
    users: Exact,
    /// Open rates and clicks of an open, by persona.
    rates: [Vec<Spread>; 2],
    /// By the place of the shift.
    shifts: Vec<u64>,
    opens: Scatter,
    clicks: Scatter,
}

merge_fields!(People<'_> { users, rates, shifts, opens, clicks } same { law, inference });

impl<'a> People<'a> {
    pub(super) const USERS: &'static str = "truth/users says of each recipient who it is";

    pub(super) fn new(law: &'a Law<'a>, inference: &'a Inference<'a>) -> Self {
        let personas = law.personas().len();
        Self {
            law,
            inference,
            users: Exact::new(Self::USERS),
            rates: [vec![Spread::default(); personas], vec![Spread::default(); personas]],
            shifts: vec![0; law.model().habits().len() / personas],
            opens: Scatter::default(),
            clicks: Scatter::default(),
        }
    }

    /// Rows of `truth/users`.
    pub(super) fn rows(&mut self, rows: &RecordBatch) {
        let (ids, personas): (Texts<'_>, Texts<'_>) = (rows.text("recipient_id"), rows.text("persona"));
        let [open, click, k] = ["own_open_rate", "own_click_rate", "timing_k"].map(|name| rows.float(name));
        let shifts = rows.int("peak_shift");
        for row in 0..rows.num_rows() {
            let is = |person: Person| {
                let habit = &self.law.model().habits()[usize::from(person.habit)];
                let near = |found: f64, expected: f64| (found - expected).abs() <= ROUNDING;
                near(open.value(row), person.open_rate)
                    && near(click.value(row), person.click_rate)
                    && near(k.value(row), person.timing_k)
                    && shifts.value(row) == i64::from(habit.shift)
                    && personas.value(row) == self.law.personas()[usize::from(person.persona)].name
            };
            let holds = self.law.person_of(ids.value(row)).is_some_and(is);
            self.users.hold(holds, || ids.value(row).to_owned());
        }
    }

    /// Who a recipient is.
    pub(super) fn person(&mut self, person: &Person) {
        let (model, persona) = (self.law.model(), usize::from(person.persona));
        let own = [(model.open_rates_of(persona), person.open_rate), (model.ratios_of(persona), person.click_rate / person.open_rate)];
        for (spread, (shapes, own)) in self.rates.iter_mut().zip(own) {
            if let Some(shapes) = shapes {
                spread[persona].add(own, shapes);
            }
        }
        let place = usize::from(person.habit) % self.shifts.len();
        self.shifts[place] += 1;
    }

    /// What a recipient does, as far as its own client shows it, against what is to be expected of somebody of its persona.
    pub(super) fn add(&mut self, recipient: &Recipient<'_>) {
        let (law, inference, persona) = (self.law, self.inference, recipient.persona);
        let is_own = move |person: &Person| usize::from(person.persona) == persona;
        let states: Vec<(Person, f64)> = inference.candidates().iter().filter(|(person, _)| is_own(person)).copied().collect();
        let habits = 0..law.model().habits().len();
        let mut expected = vec![[0.0; 2]; states.len()];
        let ratios = &inference.ratios()[persona];
        let mut clicks = vec![[0.0; 2]; ratios.len()];
        let (mut opened, mut clicked) = (0.0, 0.0);
        for message in recipient.history.messages.iter().filter(|message| message.delivered.is_some()) {
            let kept = |habit: usize| {
                let somebody = Person { zone: recipient.person.zone, ..law.model().person(habit, 1.0, 1.0) };
                if is_own(&somebody) { 1.0 - law.p_open_dropped(&somebody, message, recipient.history) } else { 0.0 }
            };
            let kept: Vec<f64> = habits.clone().map(kept).collect();
            let all = inference.people().zip(inference.p_open(recipient.person.zone, message)).filter(|(person, _)| is_own(person));
            for (sums, (person, p)) in expected.iter_mut().zip(all) {
                let p = p * kept[usize::from(person.habit)];
                *sums = [sums[0] + p, sums[1] + p * (1.0 - p)];
            }
            let Some(at) = message.opened else { continue };
            opened += 1.0;
            clicked += f64::from(u8::from(message.clicked.is_some()));
            let kept = 1.0 - law.p_click_dropped(at, recipient.history);
            let factor = law.click_factor(&recipient.person, message);
            for (sums, (ratio, _)) in clicks.iter_mut().zip(ratios) {
                let p = (ratio * factor).min(1.0) * kept;
                *sums = [sums[0] + p, sums[1] + p * (1.0 - p)];
            }
        }
        let opens = moments(expected.iter().copied().zip(states.iter().map(|(_, weight)| *weight)));
        self.opens.add(opened, opens[0], opens[1]);
        let clicks = moments(clicks.iter().copied().zip(ratios.iter().map(|(_, weight)| *weight)));
        self.clicks.add(clicked, clicks[0], clicks[1]);
    }

    pub(super) fn report(self, has_users: bool, board: &mut Board) {
        let group = Group::Distribution;
        if has_users {
            board.exact(self.users);
        } else {
            board.skip(Group::Exact, Self::USERS, "there is no table truth/users");
        }
        for (spreads, what) in self.rates.iter().zip(["open rates", "clicks of an open"]) {
            let means = spreads.iter().zip(self.law.personas()).filter(|(spread, _)| spread.n > 0.0).map(|(spread, persona)| {
                let z = z(spread.sum, 0.0, spread.n);
                let observed = format!("{z:.2} standard errors");
                let test = Test { statistic: z, p_value: normal_two_sided(z) };
                (&persona.name, Found { n: spread.n as u64, observed, expected: "0".into(), test })
            });
            board.try_test(group, format!("recipients' own {what} have their persona's mean"), Found::worst(means.collect::<Vec<_>>()));
            let mut all = Spread::default();
            for spread in spreads {
                all.combine(*spread);
            }
            let name = format!("recipients' own {what} are concentrated about it as the document says");
            if all.n < FEWEST {
                board.skip(group, name, "there are too few recipients, or they do not differ");
                continue;
            }
            let z = z(all.squares, all.n, all.scatter);
            let test = Test { statistic: z, p_value: normal_two_sided(z) };
            let observed = format!("{:.4} of the expected variance", all.squares / all.n);
            board.test(group, name, Found { n: all.n as u64, observed, expected: "1".into(), test });
        }
        let weights: Vec<f64> = self.law.model().habits()[..self.shifts.len()].iter().map(|habit| habit.share).collect();
        let name = "shifts of peak hours have their weights";
        if weights.len() > 1 && self.shifts.iter().sum::<u64>() > 0 {
            board.test(group, name, Found::cells(&self.shifts, &weights, "the document's weights"));
        } else {
            board.skip(group, name, "there is one shift, or there are no recipients");
        }
        self.opens.report("opens scatter among recipients of a persona as their own rates do", board);
        self.clicks.report("clicks of opens scatter among recipients of a persona as their own rates do", board);
    }
}

/// The mean and the variance of a count whose mean and variance given the state are known, with the probability of each state.
fn moments(states: impl Iterator<Item = ([f64; 2], f64)> + Clone) -> [f64; 2] {
    let mean: f64 = states.clone().map(|([mean, _], weight)| weight * mean).sum();
    let variance = states.map(|([of, variance], weight)| weight * ((of - mean).powi(2) + variance)).sum();
    [mean, variance]
}
