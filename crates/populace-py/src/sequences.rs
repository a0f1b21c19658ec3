//! What can be learned from sequences of endpoints: counts, probabilities, n-grams, pairs, statistics.

use crate::errors;
use populace_analysis::traces::endpoints::normalise;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyTuple};
use std::collections::{BTreeMap, HashMap};

/// Sequences of names, as codes.
#[pyclass(frozen, module = "populace._populace")]
#[derive(Default)]
pub(crate) struct Sequences {
    names: Vec<String>,
    codes: Vec<u32>,
    /// Where each sequence ends.
    ends: Vec<usize>,
}

/// Names and their numbers, in the order in which they come.
#[derive(Default)]
pub(crate) struct Names {
    pub(crate) names: Vec<String>,
    numbers: HashMap<String, u32>,
}

impl Names {
    pub(crate) fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = self.names.len() as u32;
        self.names.push(name.to_owned());
        self.numbers.insert(name.to_owned(), number);
        number
    }
}

impl Sequences {
    pub(crate) fn new(names: Vec<String>) -> Self {
        Self { names, ..Self::default() }
    }

    pub(crate) fn push(&mut self, sequence: impl IntoIterator<Item = u32>) {
        self.codes.extend(sequence);
        self.ends.push(self.codes.len());
    }

    fn iter(&self) -> impl Iterator<Item = &[u32]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.codes[start..*end])
    }

    /// Transitions by from and to.
    fn counts(&self) -> BTreeMap<(u32, u32), u64> {
        let width = self.names.len();
        let mut dense = vec![0_u64; if width <= 1_024 { width * width } else { 0 }];
        let mut sparse = BTreeMap::new();
        for pair in self.iter().flat_map(|sequence| sequence.windows(2)) {
            if dense.is_empty() {
                *sparse.entry((pair[0], pair[1])).or_default() += 1;
            } else {
                dense[pair[0] as usize * width + pair[1] as usize] += 1;
            }
        }
        let dense = dense.into_iter().enumerate().filter(|(_, count)| *count > 0);
        sparse.extend(dense.map(|(place, count)| (((place / width) as u32, (place % width) as u32), count)));
        sparse
    }

    fn python_names<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyString>> {
        self.names.iter().map(|name| PyString::new(py, name)).collect()
    }

    /// A dictionary of dictionaries by name, keys in alphabetical order.
    fn nested<'py, T: IntoPyObject<'py>>(
        &self,
        py: Python<'py>,
        cells: impl IntoIterator<Item = ((u32, u32), T)>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let names = self.python_names(py);
        let mut cells: Vec<_> = cells.into_iter().collect();
        cells.sort_by(|(a, _), (b, _)| {
            let key = |pair: &(u32, u32)| (&self.names[pair.0 as usize], &self.names[pair.1 as usize]);
            key(a).cmp(&key(b))
        });
        let outer = PyDict::new(py);
        let mut row: Option<(u32, Bound<'py, PyDict>)> = None;
        for ((from, to), value) in cells {
            let inner = match row {
                Some((last, inner)) if last == from => inner,
                _ => {
                    let inner = PyDict::new(py);
                    outer.set_item(&names[from as usize], &inner)?;
                    inner
                }
            };
            inner.set_item(&names[to as usize], value)?;
            row = Some((from, inner));
        }
        Ok(outer)
    }
}

/// The endpoint of a path, by the rule of the commands.
#[pyfunction]
pub(crate) fn normalise_endpoint(path: &str) -> String {
    normalise(path)
}

#[pymethods]
impl Sequences {
    /// Sequences that Python holds as lists of names.
    #[staticmethod]
    fn of(lists: Vec<Vec<String>>) -> Self {
        let mut names = Names::default();
        let mut sequences = Self::default();
        for list in &lists {
            sequences.push(list.iter().map(|name| names.number(name)).collect::<Vec<_>>());
        }
        sequences.names = names.names;
        sequences
    }

    fn __len__(&self) -> usize {
        self.ends.len()
    }

    /// The sequences with endpoints in the place of paths.
    fn normalised(&self) -> Self {
        let mut names = Names::default();
        let numbers: Vec<u32> = self.names.iter().map(|name| names.number(&normalise(name))).collect();
        let codes = self.codes.iter().map(|code| numbers[*code as usize]).collect();
        Self { names: names.names, codes, ends: self.ends.clone() }
    }

    /// Those of at least so many names.
    fn longer(&self, least: usize) -> Self {
        let mut kept = Self::new(self.names.clone());
        self.iter().filter(|sequence| sequence.len() >= least).for_each(|sequence| kept.push(sequence.iter().copied()));
        kept
    }

    /// The names that come, in alphabetical order.
    fn unique(&self) -> Vec<&str> {
        let mut seen = vec![false; self.names.len()];
        self.codes.iter().for_each(|code| seen[*code as usize] = true);
        let mut names: Vec<&str> = self.names.iter().zip(seen).filter(|(_, seen)| *seen).map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names
    }

    /// The sequences as lists of names.
    fn lists<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let names = self.python_names(py);
        let lists = self.iter().map(|sequence| PyList::new(py, sequence.iter().map(|code| &names[*code as usize])));
        PyList::new(py, lists.collect::<PyResult<Vec<_>>>()?)
    }

    /// How often each transition happened, by from and to, in alphabetical order.
    fn transition_counts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let names = self.python_names(py);
        let mut counts: Vec<_> = py.detach(|| self.counts()).into_iter().collect();
        counts.sort_by_key(|((from, to), _)| (&self.names[*from as usize], &self.names[*to as usize]));
        let found = PyDict::new(py);
        counts.into_iter().try_for_each(|((from, to), count)| found.set_item((&names[from as usize], &names[to as usize]), count))?;
        Ok(found)
    }

    /// The share of each transition among those that leave the same name, with `smoothing` added to the count of every transition
    /// between names that were left and names that were entered.
    fn transition_probabilities<'py>(&self, py: Python<'py>, smoothing: f64) -> PyResult<Bound<'py, PyDict>> {
        if !(smoothing.is_finite() && smoothing >= 0.0) {
            return Err(errors::input(format!("smoothing: must be 0 or more, got {smoothing}")));
        }
        let shares = py.detach(|| {
            let counts = self.counts();
            let mut totals: BTreeMap<u32, f64> = BTreeMap::new();
            for ((from, _), count) in &counts {
                *totals.entry(*from).or_default() += *count as f64;
            }
            if smoothing == 0.0 {
                return counts.into_iter().map(|(pair, count)| (pair, count as f64 / totals[&pair.0])).collect::<Vec<_>>();
            }
            let mut entered: Vec<u32> = counts.keys().map(|(_, to)| *to).collect();
            entered.sort_unstable();
            entered.dedup();
            let share = |from: u32, to: u32| {
                let count = counts.get(&(from, to)).map_or(0.0, |count| *count as f64);
                ((from, to), (count + smoothing) / (totals[&from] + smoothing * entered.len() as f64))
            };
            totals.keys().flat_map(|from| entered.iter().map(|to| share(*from, *to))).collect()
        });
        self.nested(py, shares)
    }

    /// Each run of `n` names, in order.
    fn ngrams<'py>(&self, py: Python<'py>, n: usize) -> PyResult<Bound<'py, PyList>> {
        let names = self.python_names(py);
        let gram = |codes: &[u32]| PyTuple::new(py, codes.iter().map(|code| &names[*code as usize]));
        PyList::new(py, self.iter().flat_map(|sequence| sequence.windows(n)).map(gram).collect::<PyResult<Vec<_>>>()?)
    }

    /// What came before, at most `context` names, and what came next, for each name but the first of each sequence.
    fn pairs<'py>(&self, py: Python<'py>, context: usize, least: usize) -> PyResult<Bound<'py, PyList>> {
        let names = self.python_names(py);
        let pairs = PyList::empty(py);
        for sequence in self.iter() {
            for next in least..sequence.len() {
                let before = sequence[next.saturating_sub(context)..next].iter().map(|code| &names[*code as usize]);
                pairs.append((PyList::new(py, before)?, &names[sequence[next] as usize]))?;
            }
        }
        Ok(pairs)
    }

    /// Number of sequences and names, lengths, and how often each name, first name and last name came.
    fn statistics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let lengths: Vec<usize> = self.iter().map(<[u32]>::len).collect();
        let (count, total) = (lengths.len(), self.codes.len());
        let mean = total as f64 / count.max(1) as f64;
        let square = lengths.iter().map(|length| (*length as f64 - mean).powi(2)).sum::<f64>() / count.max(1) as f64;
        let mut sorted = lengths.clone();
        sorted.sort_unstable();
        let middle = |place: usize| sorted.get(place).copied().unwrap_or(0) as f64;
        let median = if count == 0 { 0.0 } else { f64::midpoint(middle((count - 1) / 2), middle(count / 2)) };
        let by_name = |codes: &mut dyn Iterator<Item = u32>| -> PyResult<Bound<'py, PyDict>> {
            let mut counts = vec![0_u64; self.names.len()];
            codes.for_each(|code| counts[code as usize] += 1);
            let mut named: Vec<_> = self.names.iter().zip(counts).filter(|(_, count)| *count > 0).collect();
            named.sort_by(|(a, many), (b, more)| more.cmp(many).then_with(|| a.cmp(b)));
            let dict = PyDict::new(py);
            named.into_iter().try_for_each(|(name, count)| dict.set_item(name, count))?;
            Ok(dict)
        };
        let endpoints = by_name(&mut self.codes.iter().copied())?;
        let result = PyDict::new(py);
        result.set_item("total_sequences", count)?;
        result.set_item("total_calls", total)?;
        result.set_item("unique_endpoints", endpoints.len())?;
        result.set_item("avg_sequence_length", mean)?;
        result.set_item("std_sequence_length", square.sqrt())?;
        result.set_item("median_sequence_length", median)?;
        result.set_item("min_sequence_length", sorted.first().copied().unwrap_or(0))?;
        result.set_item("max_sequence_length", sorted.last().copied().unwrap_or(0))?;
        result.set_item("total_transitions", lengths.iter().map(|length| length.saturating_sub(1)).sum::<usize>())?;
        result.set_item("unique_transitions", self.counts().len())?;
        result.set_item("endpoint_counts", endpoints)?;
        result.set_item("start_counts", by_name(&mut self.iter().filter_map(|sequence| sequence.first().copied()))?)?;
        result.set_item("end_counts", by_name(&mut self.iter().filter_map(|sequence| sequence.last().copied()))?)?;
        Ok(result)
    }
}
