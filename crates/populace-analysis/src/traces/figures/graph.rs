//! The workflow as a graph: where its states stand, and how often each transition was taken.

use super::Gathered;
use crate::report::figure::{Edge, Graph, Node};
use std::collections::{BTreeMap, VecDeque};

/// The graph of what was seen, with the truth beside it; `None` where there is nothing, or too much to look at.
pub(super) fn graph(gathered: &Gathered<'_>) -> Option<Graph> {
    /// More states do not fit on a page.
    const MOST: usize = 60;
    let names = gathered.endpoints.names();
    let shown: Vec<usize> = (0..names.len()).filter(|&state| gathered.visits.get(state).is_some_and(|visits| *visits > 0)).collect();
    if shown.is_empty() || shown.len() > MOST {
        return None;
    }
    let place: BTreeMap<usize, usize> = shown.iter().enumerate().map(|(place, state)| (*state, place)).collect();
    let edges: Vec<Edge> = edges(gathered)
        .into_iter()
        .filter_map(|edge| Some(Edge { from: *place.get(&edge.from)?, to: *place.get(&edge.to)?, ..edge }))
        .collect();
    let layers = layers(gathered, &shown, &edges);
    let places = places(&layers, &edges);
    let nodes = shown.iter().enumerate().map(|(index, &state)| Node {
        name: names[state].clone(),
        role: role(gathered, state),
        layer: layers[index] as f64,
        place: places[index],
        visits: gathered.visits[state],
        entry: gathered.entries[state] as f64 / gathered.sessions.max(1) as f64,
        true_entry: gathered.law.map(|law| law.entries().get(state).copied().unwrap_or(0.0)),
    });
    Some(Graph { nodes: nodes.collect(), edges })
}

/// Every transition that was seen or can happen, between endpoints by number.
pub(super) fn edges(gathered: &Gathered<'_>) -> Vec<Edge> {
    let mut left: BTreeMap<usize, u64> = BTreeMap::new();
    for (&(from, _), n) in &gathered.transitions {
        *left.entry(from).or_default() += n;
    }
    let mut pairs: BTreeMap<(usize, usize), (u64, Option<f64>)> =
        gathered.transitions.iter().map(|(pair, n)| (*pair, (*n, gathered.law.map(|_| 0.0)))).collect();
    for (from, row) in gathered.law.map_or(&[][..], |law| law.transitions()).iter().enumerate() {
        for (&to, &probability) in row {
            pairs.entry((from, to)).or_default().1 = Some(probability);
        }
    }
    let edge = |((from, to), (n, truth)): ((usize, usize), (u64, Option<f64>))| {
        let total = *left.get(&from).unwrap_or(&0);
        let learned = n as f64 / total.max(1) as f64;
        let p = truth.unwrap_or(learned);
        let standard_error = if total == 0 { 0.0 } else { (p * (1.0 - p) / total as f64).sqrt() };
        Edge { from, to, n, learned, standard_error, truth }
    };
    pairs.into_iter().map(edge).collect()
}

fn role(gathered: &Gathered<'_>, state: usize) -> String {
    let is_exit = match gathered.law {
        Some(law) => state < law.names().len() && law.is_exit(state),
        None => !gathered.transitions.keys().any(|pair| pair.0 == state),
    };
    let role = if is_exit {
        "exit"
    } else if gathered.entries[state] > 0 {
        "entry"
    } else {
        "state"
    };
    role.into()
}

/// How many transitions each state is from an entry; exits stand behind all others.
fn layers(gathered: &Gathered<'_>, shown: &[usize], edges: &[Edge]) -> Vec<usize> {
    let first = gathered.entries.iter().max().copied().unwrap_or(0);
    let mut layers = vec![usize::MAX; shown.len()];
    // From the entry that most sessions take: the others then stand where the walk usually meets them.
    let mut open: VecDeque<usize> = (0..shown.len()).filter(|&index| gathered.entries[shown[index]] == first).take(1).collect();
    for &index in &open {
        layers[index] = 0;
    }
    let mut rest: VecDeque<usize> = (0..shown.len()).filter(|&index| gathered.entries[shown[index]] > 0).collect();
    loop {
        while let Some(at) = open.pop_front() {
            for edge in edges.iter().filter(|edge| edge.from == at && edge.n > 0) {
                if layers[edge.to] == usize::MAX {
                    layers[edge.to] = layers[at] + 1;
                    open.push_back(edge.to);
                }
            }
        }
        let Some(next) = rest.pop_front() else { break };
        if layers[next] == usize::MAX {
            layers[next] = 0;
            open.push_back(next);
        }
    }
    let deepest = layers.iter().filter(|layer| **layer != usize::MAX).max().copied().unwrap_or(0);
    for (index, layer) in layers.iter_mut().enumerate() {
        if role(gathered, shown[index]) == "exit" {
            *layer = deepest.max(1);
        }
        *layer = (*layer).min(deepest.max(1));
    }
    layers
}

/// The place of each state within its layer, centred on 0: a state stands near those that it is tied to.
fn places(layers: &[usize], edges: &[Edge]) -> Vec<f64> {
    /// Sweeps, after which the order settles.
    const SWEEPS: usize = 12;
    let deepest = layers.iter().max().copied().unwrap_or(0);
    let mut rows: Vec<Vec<usize>> = (0..=deepest).map(|layer| (0..layers.len()).filter(|&at| layers[at] == layer).collect()).collect();
    let mut places = vec![0.0; layers.len()];
    let settle = |rows: &[Vec<usize>], places: &mut Vec<f64>| {
        for row in rows {
            for (index, &at) in row.iter().enumerate() {
                places[at] = index as f64 - (row.len() as f64 - 1.0) / 2.0;
            }
        }
    };
    settle(&rows, &mut places);
    for _ in 0..SWEEPS {
        for row in &mut rows {
            let mut pull: Vec<(f64, usize)> = row
                .iter()
                .map(|&at| {
                    let ties = edges.iter().filter(|edge| (edge.from == at) != (edge.to == at));
                    let (sum, weight) = ties.fold((0.0, 0.0), |(sum, weight), edge| {
                        let other = if edge.from == at { edge.to } else { edge.from };
                        let n = (edge.n as f64).sqrt();
                        (sum + n * places[other], weight + n)
                    });
                    (if weight > 0.0 { sum / weight } else { places[at] }, at)
                })
                .collect();
            pull.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            *row = pull.into_iter().map(|(_, at)| at).collect();
        }
        settle(&rows, &mut places);
    }
    places
}
