//! Learned transition tables.

use crate::error::AnalysisError;
use crate::pass::{self, Inputs, Observer};
use crate::score::card::{Column, Estimate, Group, Metric, Predictor, Scorecard, Verdict};
use crate::score::predictions::{listed, probability};
use crate::score::{Context, Options};
use crate::source::{As, Columns, Side, TableSource, Want, shown};
use crate::stats::{Merge, binomial, likelihood_ratio};
use crate::traces::endpoints::Templates;
use crate::traces::{CALL_COLUMNS, Endpoints, Law, Session};
use arrow_array::{Array, RecordBatch};
use populace_core::traces::TracesModel;
use populace_io::catalogue;
use populace_io::document::suggest;
use populace_io::wording::own;
use std::collections::BTreeMap;

const COLUMNS: [Want; 4] = [
    Want::new("from", As::Text),
    Want::new("to", As::Text),
    Want::new("probability", As::Float),
    // How many transitions out of `from` the estimate was learned from, where that is not the whole run.
    Want::optional("n", As::Float),
];
/// Rows may miss a sum of 1 by what rounding to four places does.
const SUM_TOLERANCE: f64 = 1e-3;
/// What adding up numbers of a file costs: 0.333 three times is 0.999, and more than 0.001 off by that.
const ROUNDING: f64 = 1e-9;
/// The level of the verdict that is told where none is asked for.
const ALPHA: f64 = 0.01;

/// What is learned of the transitions out of one state.
#[derive(Default)]
struct Learned {
    /// By the endpoint entered.
    to: BTreeMap<usize, f64>,
    n: Option<f64>,
}

/// Scores a transition table.
pub(crate) fn score(context: &Context<'_>) -> Result<Scorecard, AnalysisError> {
    let model: TracesModel = catalogue::model(context.document)?;
    let law = Law::new(&model);
    let learned = read(context, &law)?;
    let counts = count(context, &law)?;
    let mut card = context.card("the probability of each transition, given the endpoint left and that the session goes on");
    let mut states = Vec::new();
    let mut unlearned = Vec::new();
    for (state, truth) in law.transitions().iter().enumerate().filter(|(_, truth)| !truth.is_empty()) {
        let departures: u64 = counts[state].values().sum();
        match learned.get(&state) {
            Some(learned) => states.push(State::new(&law, state, truth, learned, &counts[state])),
            None if departures == 0 => *card.counts.entry("states that no session of the run left".into()).or_default() += 1,
            None => unlearned.push(law.names()[state].as_str()),
        }
    }
    let path = context.predictions.display();
    if !unlearned.is_empty() {
        if !context.options.subset {
            let named = listed(unlearned.iter().take(3), unlearned.len());
            return Err(AnalysisError::input(format!(
                "{path}: no transition from {named}, a state that sessions of the run have left\n{}",
                own("hint: score a part of the states with --subset")
            )));
        }
        card.counts.insert("states without an estimate".into(), unlearned.len() as u64);
    }
    if states.is_empty() {
        return Err(AnalysisError::input(format!("{path}: no state that the run left has an estimate; nothing can be scored")));
    }
    let impossible = impossible(&law, &learned);
    if !impossible.is_empty() {
        card.counts.insert("transitions that cannot happen, with a probability".into(), impossible.len() as u64);
        card.notes
            .push(format!("transitions that cannot happen have a probability: {}", listed(impossible.iter().take(10), impossible.len())));
    }
    fill(&mut card, &states, context.options);
    Ok(card)
}

/// The file: by the endpoint left.
fn read(context: &Context<'_>, law: &Law<'_>) -> Result<BTreeMap<usize, Learned>, AnalysisError> {
    let path = context.predictions.display();
    let places: BTreeMap<&str, usize> = law.names().iter().enumerate().map(|(place, name)| (name.as_str(), place)).collect();
    let templates = Templates::new(law.names().iter().cloned());
    let mut learned: BTreeMap<usize, Learned> = BTreeMap::new();
    let mut number = 0;
    for batch in TableSource::file_with(context.predictions, &context.options.reading)?.read(&COLUMNS)? {
        let batch = batch?;
        for row in 0..batch.num_rows() {
            number += 1;
            let wrong = |what: String| AnalysisError::input(format!("{path}: row {number}: {what}"));
            let end = |column: &'static str| {
                let name = batch.text(column).value(row);
                places.get(name).copied().or_else(|| templates.find(name)).ok_or_else(|| {
                    let known: Vec<&str> = places.keys().copied().collect();
                    let hint = suggest(name, &known, "endpoints");
                    wrong(format!("column {column}: {} is not an endpoint of the workflow\nhint: {hint}", shown(name)))
                })
            };
            let (from, to) = (end("from")?, end("to")?);
            let edge = || format!("{} → {}", law.names()[from], law.names()[to]);
            let value = probability(&batch, "probability", row)
                .map_err(|what| wrong(format!("{}: {}", edge(), what.lines().next().unwrap_or_default())))?;
            let of_state = learned.entry(from).or_default();
            if of_state.to.insert(to, value).is_some() {
                return Err(wrong(format!("{} appears more than once\nhint: keep one row for each transition", edge())));
            }
            let n = batch.float("n");
            if n.is_valid(row) {
                let n = n.value(row);
                if !(n.is_finite() && n >= 1.0) || of_state.n.is_some_and(|before| before != n) {
                    let what =
                        "must be the number of transitions out of `from` that the estimate was learned from, the same in all its rows";
                    return Err(wrong(format!("{}: n is {n}, and {what}", edge())));
                }
                of_state.n = Some(n);
            }
        }
    }
    if learned.is_empty() {
        return Err(AnalysisError::input(format!("{path}: has no rows; expected from, to, probability")));
    }
    for (state, learned) in &learned {
        let sum: f64 = learned.to.values().sum();
        if (sum - 1.0).abs() > SUM_TOLERANCE + ROUNDING {
            let name = &law.names()[*state];
            return Err(AnalysisError::input(format!(
                "{path}: the probabilities from {name} sum to {sum:.6}\nhint: they are of the next endpoint given that the session goes on, and must sum to 1 within {SUM_TOLERANCE}; round to no fewer than four places"
            )));
        }
    }
    Ok(learned)
}

/// Transitions that sessions take, retries not counted: by the endpoint left, then the one entered.
struct Taken {
    endpoints: Endpoints,
    counts: Vec<BTreeMap<usize, u64>>,
}

impl Observer for Taken {
    fn add(&mut self, actor: &[Option<RecordBatch>]) -> Result<(), AnalysisError> {
        let Some(calls) = &actor[0] else { return Ok(()) };
        let session = Session::new(&mut self.endpoints, calls);
        if let Some(name) = self.endpoints.names().get(self.counts.len()) {
            return Err(AnalysisError::input(format!(
                "calls: {name} is not an endpoint of the workflow; is the run's scenario.yaml its own?"
            )));
        }
        let walk: Vec<usize> = session.walk().map(|call| call.endpoint).collect();
        for step in walk.windows(2) {
            *self.counts[step[0]].entry(step[1]).or_default() += 1;
        }
        Ok(())
    }

    fn merge(&mut self, later: Self) -> Result<(), AnalysisError> {
        self.counts.combine(later.counts);
        Ok(())
    }
}

/// The transitions of the run.
fn count(context: &Context<'_>, law: &Law<'_>) -> Result<Vec<BTreeMap<usize, u64>>, AnalysisError> {
    let calls = Side { table: "calls", wants: &CALL_COLUMNS, time: Some("timestamp") };
    let inputs = Inputs::joined("session_id", [calls]);
    let taken = pass::run(context.source, &inputs, context.watch, "counting transitions", || Taken {
        endpoints: Endpoints::new(law.names().iter().map(String::as_str)),
        counts: vec![BTreeMap::new(); law.names().len()],
    })?;
    Ok(taken.counts)
}

/// Transitions with a probability that the workflow does not have.
fn impossible(law: &Law<'_>, learned: &BTreeMap<usize, Learned>) -> Vec<String> {
    let names = law.names();
    let of_state = |(from, learned): (&usize, &Learned)| {
        let extra = learned.to.iter().filter(|(to, p)| **p > 0.0 && !law.transitions()[*from].contains_key(to));
        extra.map(|(to, p)| format!("{} → {} ({p})", names[*from], names[*to])).collect::<Vec<_>>()
    };
    learned.iter().flat_map(of_state).collect()
}

/// The estimates of one state against the truth.
struct State {
    name: String,
    /// Departures that the estimate was learned from, and those of the run.
    n: f64,
    departures: u64,
    edges: Vec<Edge>,
    variation: f64,
    /// Of the run's own frequencies.
    variation_of_data: f64,
    /// √ of what sampling does to each edge, summed.
    variation_by_chance: f64,
    /// Σ p ln(p / estimate), of the model and of the run's frequencies.
    excess: f64,
    excess_of_data: f64,
    chi_square: f64,
    p_value: f64,
}

struct Edge {
    name: String,
    estimate: f64,
    truth: f64,
    standard_error: f64,
    p_value: f64,
}

impl State {
    fn new(law: &Law<'_>, state: usize, truth: &BTreeMap<usize, f64>, learned: &Learned, counts: &BTreeMap<usize, u64>) -> Self {
        let names = law.names();
        let departures: u64 = counts.values().sum();
        let n = learned.n.unwrap_or(departures as f64);
        let mut ends: Vec<usize> = truth.keys().chain(learned.to.keys()).copied().collect();
        ends.sort_unstable();
        ends.dedup();
        let (mut edges, mut observed, mut expected) = (Vec::new(), Vec::new(), Vec::new());
        let (mut variation, mut variation_of_data, mut by_chance, mut excess, mut excess_of_data, mut chi_square) =
            (0.0, 0.0, 0.0, 0.0, 0.0, 0.0);
        for to in ends {
            let p = truth.get(&to).copied().unwrap_or(0.0);
            let estimate = learned.to.get(&to).copied().unwrap_or(0.0);
            let of_data = counts.get(&to).copied().unwrap_or(0) as f64 / departures.max(1) as f64;
            let standard_error = if n > 0.0 { (p * (1.0 - p) / n).sqrt() } else { f64::INFINITY };
            variation += 0.5 * (estimate - p).abs();
            variation_of_data += 0.5 * (of_data - p).abs();
            by_chance += 0.5 * standard_error * (2.0 / std::f64::consts::PI).sqrt();
            if p > 0.0 {
                excess += p * (p / estimate).ln();
                excess_of_data += p * (p / of_data).ln();
                chi_square += n * (estimate - p).powi(2) / p;
            }
            // How often this would have been taken, had the estimate been a frequency.
            let hits = (estimate * n).round() as u64;
            observed.push(hits);
            expected.push(p * n);
            let p_value = if p == 0.0 && estimate > 0.0 { 0.0 } else { binomial(hits.min(n as u64), n as u64, p) };
            edges.push(Edge { name: format!("{} → {}", names[state], names[to]), estimate, truth: p, standard_error, p_value });
        }
        let impossible = edges.iter().any(|edge| edge.truth == 0.0 && edge.estimate > 0.0);
        let p_value = if impossible { 0.0 } else { likelihood_ratio(&observed, &expected).p_value };
        Self {
            name: names[state].clone(),
            n,
            departures,
            edges,
            variation,
            variation_of_data,
            variation_by_chance: by_chance,
            excess,
            excess_of_data,
            chi_square: if impossible { f64::INFINITY } else { chi_square },
            p_value,
        }
    }
}

fn fill(card: &mut Scorecard, states: &[State], options: &Options) {
    card.n = states.iter().map(|state| state.edges.len() as u64).sum();
    card.metrics = vec![
        Metric::less("total_variation", "half the sum of |estimate − truth| over the transitions out of a state, mean over departures"),
        Metric::less("excess_log_loss", "log-loss of the next endpoint above that of the truth, mean over departures"),
        Metric::less("greatest_z", "the greatest |estimate − truth| in standard errors"),
    ];
    let departures: f64 = states.iter().map(|state| state.departures as f64).sum();
    // Where the run left no state, each counts alike.
    let weight = |state: &State| if departures > 0.0 { state.departures as f64 / departures } else { 1.0 / states.len() as f64 };
    let mean =
        |value: fn(&State) -> f64| states.iter().filter(|state| weight(state) > 0.0).map(|state| weight(state) * value(state)).sum::<f64>();
    let by_chance = mean(|state| state.variation_by_chance);
    let greatest = states.iter().flat_map(|state| &state.edges).filter_map(Edge::z).fold(0.0, |most: f64, z| most.max(z.abs()));
    let column = |predictor, values: [(&str, f64); 3]| {
        let finite = values.into_iter().filter(|(_, value)| value.is_finite());
        Column { predictor, metrics: finite.map(|(name, value)| (name.to_owned(), Estimate::exact(value))).collect() }
    };
    card.columns.push(column(
        Predictor::Model,
        [("total_variation", mean(|state| state.variation)), ("excess_log_loss", mean(|state| state.excess)), ("greatest_z", greatest)],
    ));
    card.columns.push(column(
        Predictor::Observable,
        [
            ("total_variation", mean(|state| state.variation_of_data)),
            ("excess_log_loss", mean(|state| state.excess_of_data)),
            ("greatest_z", f64::NAN),
        ],
    ));
    card.notes.push(format!(
        "observable history is the frequencies in the run; frequencies from as many transitions as yours have a total variation of {by_chance:.4} on average"
    ));
    if mean(|state| state.excess).is_infinite() {
        card.notes.push("a transition that happens has probability 0 in your table: its log-loss has no end".into());
    }
    groups(card, states);
    verdict(card, states, options.alpha);
}

impl Edge {
    /// In standard errors; none where there is no error to be had.
    fn z(&self) -> Option<f64> {
        (self.standard_error > 0.0 && self.standard_error.is_finite()).then(|| (self.estimate - self.truth) / self.standard_error)
    }
}

fn groups(card: &mut Scorecard, states: &[State]) {
    for state in states {
        let values = [
            ("total_variation", state.variation),
            ("by_chance", state.variation_by_chance),
            ("chi_square", state.chi_square),
            ("p_value", state.p_value),
        ];
        let values = values.into_iter().filter(|(_, value)| value.is_finite()).map(|(name, value)| (name.to_owned(), value));
        card.groups.push(Group { by: "state".into(), name: state.name.clone(), n: state.n as u64, values: values.collect() });
    }
    for (state, edge) in states.iter().flat_map(|state| state.edges.iter().map(move |edge| (state, edge))) {
        let mut values = BTreeMap::from([
            ("estimate".to_owned(), edge.estimate),
            ("truth".to_owned(), edge.truth),
            ("p_value".to_owned(), edge.p_value),
        ]);
        if edge.standard_error.is_finite() {
            values.insert("standard_error".into(), edge.standard_error);
        }
        values.extend(edge.z().map(|z| ("z".to_owned(), z)));
        card.groups.push(Group { by: "edge".into(), name: edge.name.clone(), n: state.n as u64, values });
    }
}

/// Whether the table is one that sampling could have given: no state differs, at one level for all of them together.
fn verdict(card: &mut Scorecard, states: &[State], alpha: Option<f64>) {
    let level = alpha.unwrap_or(ALPHA);
    let mut p_values: Vec<(f64, &str)> = states.iter().map(|state| (state.p_value, state.name.as_str())).collect();
    p_values.sort_by(|a, b| a.0.total_cmp(&b.0));
    // Holm, "A simple sequentially rejective multiple test procedure" (1979): the k-th least against level / (states − k + 1), until one
    // is not rejected.
    let tests = p_values.len();
    let rejected = p_values.iter().enumerate().take_while(|(place, (p, _))| *p < level / (tests - place) as f64).count();
    let least = (p_values[0].0 * tests as f64).min(1.0);
    let passed = rejected == 0;
    let name = format!("the rows are what sampling gives: least p-value of {tests} states, times {tests}, at least {level}");
    card.verdicts.push(Verdict { name, value: least, bound: level, passed, required: alpha.is_some() });
    if !passed {
        let names = p_values[..rejected].iter().map(|(_, name)| *name);
        card.notes.push(format!("states that differ from the truth by more than sampling: {}", names.collect::<Vec<_>>().join(", ")));
    }
}
