//! Documents in, samples out, and the bounds that the laws are held against.

use populace_core::scenario::{Observer, Scenario};
use populace_core::stream::{ActorId, StreamKey};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// The keys of a document that are not the scenario's own.
const ENVELOPE: [&str; 7] = ["version", "scenario", "name", "description", "seed", "extends", "profiles"];

/// A built-in document as JSON, without its envelope.
pub fn document(yaml: &str) -> Value {
    let mut value: Value = serde_saphyr::from_str(yaml).expect("a built-in document is valid YAML");
    let map = value.as_object_mut().expect("a document is a map");
    map.retain(|key, _| !ENVELOPE.contains(&key.as_str()));
    value
}

/// The configuration of a document.
pub fn config<C: DeserializeOwned>(document: &Value) -> C {
    serde_json::from_value(document.clone()).expect("a built-in document deserialises")
}

/// A copy of `document` with the value at a JSON pointer (`/personas/night_owl/open_rate`) replaced.
pub fn with(document: &Value, pointer: &str, value: impl Into<Value>) -> Value {
    let mut changed = document.clone();
    *changed.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer} is not in the document")) = value.into();
    changed
}

/// A copy of `document` with the number at a JSON pointer multiplied.
pub fn scaled(document: &Value, pointer: &str, factor: f64) -> Value {
    let number = document.pointer(pointer).and_then(Value::as_f64).unwrap_or_else(|| panic!("{pointer} is not a number of the document"));
    with(document, pointer, number * factor)
}

/// All rows and truths of some actors, each with its actor.
pub struct Collected<R, T> {
    pub rows: Vec<(ActorId, R)>,
    pub truths: Vec<(ActorId, T)>,
    pub clipped: u64,
    actor: ActorId,
}

impl<R, T> Observer<R, T> for Collected<R, T> {
    fn emit(&mut self, row: R) {
        self.rows.push((self.actor, row));
    }

    fn reveal(&mut self, truth: T) {
        self.truths.push((self.actor, truth));
    }

    fn clipped(&mut self, _: &'static str) {
        self.clipped += 1;
    }
}

/// Simulates the actors of a model.
pub fn collect<S: Scenario>(model: &S, seed: u64, actors: impl IntoIterator<Item = u64>) -> Collected<S::Row, S::Truth> {
    let mut collected = Collected { rows: Vec::new(), truths: Vec::new(), clipped: 0, actor: ActorId(0) };
    let key = StreamKey::root(seed, S::NAME);
    for actor in actors {
        collected.actor = ActorId(actor);
        model.simulate(ActorId(actor), key, &mut collected);
    }
    collected
}

/// What a law says of a sample: nothing, or how it is broken.
pub type Verdict = Result<(), String>;

/// How many standard errors a law allows. A sound generator exceeds it with probability 6e-5 a comparison; the seeds are fixed.
pub const SIGMAS: f64 = 4.0;

/// The share of `hits` among `n` is `p`, within the binomial bound.
pub fn share(what: &str, hits: usize, n: usize, p: f64) -> Verdict {
    mean(what, hits as f64 / n as f64, n, p, (p * (1.0 - p)).sqrt())
}

/// A mean over `n` independent values of known standard deviation is `expected`.
pub fn mean(what: &str, observed: f64, n: usize, expected: f64, deviation: f64) -> Verdict {
    let bound = SIGMAS * deviation / (n as f64).sqrt();
    if n > 0 && (observed - expected).abs() <= bound.max(1e-12) {
        Ok(())
    } else {
        Err(format!("{what}: {observed:.6} over {n}, expected {expected:.6} ± {bound:.6}"))
    }
}

/// Pearson's χ² of counts against probabilities stays below mean + `SIGMAS` deviations; cells expected below 5 are merged into one.
pub fn chi_square(what: &str, counts: &[usize], probabilities: &[f64]) -> Verdict {
    assert_eq!(counts.len(), probabilities.len());
    let n: usize = counts.iter().sum();
    let (mut statistic, mut cells, mut rest) = (0.0, 0.0, (0.0, 0.0));
    let mut add = |observed: f64, expected: f64| {
        statistic += (observed - expected).powi(2) / expected;
        cells += 1.0;
    };
    for (&count, p) in counts.iter().zip(probabilities) {
        let expected = p * n as f64;
        if expected >= 5.0 {
            add(count as f64, expected);
        } else if *p == 0.0 && count > 0 {
            return Err(format!("{what}: {count} of something impossible"));
        } else {
            rest.0 += count as f64;
            rest.1 += expected;
        }
    }
    if rest.1 > 0.0 {
        add(rest.0, rest.1.max(1.0));
    }
    let freedom = f64::max(cells - 1.0, 1.0);
    // Wilson–Hilferty: (χ²/f)^(1/3) is nearly normal.
    let bound = freedom * (1.0 - 2.0 / (9.0 * freedom) + SIGMAS * (2.0 / (9.0 * freedom)).sqrt()).powi(3);
    if n > 0 && statistic <= bound {
        Ok(())
    } else {
        Err(format!("{what}: χ² {statistic:.1} over {cells} cells, n = {n}, at most {bound:.1}"))
    }
}

/// Kolmogorov–Smirnov: the sample follows the distribution function; exceeded with probability 1.3e-4.
pub fn follows(what: &str, mut sample: Vec<f64>, cdf: impl Fn(f64) -> f64) -> Verdict {
    sample.sort_by(f64::total_cmp);
    let n = sample.len() as f64;
    let distance = sample.iter().enumerate().fold(0.0_f64, |worst, (index, &x)| {
        let expected = cdf(x);
        worst.max((expected - index as f64 / n).abs()).max(((index + 1) as f64 / n - expected).abs())
    });
    let bound = 2.2 / n.sqrt();
    if distance <= bound { Ok(()) } else { Err(format!("{what}: distance {distance:.5} for n = {n}, at most {bound:.5}")) }
}

/// A sum of independent indicators or values lies within the bound of its expectation.
pub fn sum(what: &str, observed: f64, expected: f64, variance: f64) -> Verdict {
    let bound = SIGMAS * variance.sqrt();
    if (observed - expected).abs() <= bound.max(1e-9) { Ok(()) } else { Err(format!("{what}: {observed} of {expected:.1} ± {bound:.1}")) }
}

/// Every value of `low..=high` equally often and nothing else.
pub fn uniform(what: &str, values: impl Iterator<Item = i64>, low: i64, high: i64) -> Verdict {
    let mut counts = vec![0; (high - low + 1) as usize];
    for value in values {
        match usize::try_from(value - low).ok().and_then(|index| counts.get_mut(index)) {
            Some(count) => *count += 1,
            None => return Err(format!("{what}: {value} is outside {low} to {high}")),
        }
    }
    let p = vec![1.0 / counts.len() as f64; counts.len()];
    chi_square(what, &counts, &p)
}

/// A claim, and what is found where it fails.
pub fn all(claim: bool, what: impl FnOnce() -> String) -> Verdict {
    if claim { Ok(()) } else { Err(what()) }
}

/// At most `n` values, evenly from the whole.
pub fn thin(values: impl ExactSizeIterator<Item = f64>, n: usize) -> Vec<f64> {
    let step = values.len().div_ceil(n).max(1);
    values.step_by(step).collect()
}

/// Values spread evenly over `low..high`, which they nearly fill: each end is missed by a ten-`n`th with probability 5e-5.
pub fn fills(what: &str, values: Vec<f64>, low: f64, high: f64) -> Verdict {
    let margin = 10.0 * (high - low) / values.len() as f64;
    let (least, greatest) = values.iter().fold((f64::MAX, f64::MIN), |(least, greatest), &x| (least.min(x), greatest.max(x)));
    let filled = least >= low && least <= low + margin && greatest <= high && greatest >= high - margin;
    all(filled, || format!("{what}: {least} to {greatest}, expected {low} to {high}"))?;
    follows(what, values, |x| (x - low) / (high - low))
}

/// Holds the section of one scenario in `docs/mutants.md` against what its mutants gave; `UPDATE_DOCS=1` writes it instead.
pub fn record_mutants(scenario: &str, table: &str) {
    const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/mutants.md");
    const HEAD: &str = "# Mutants\n\nEvery constant of the built-in documents was moved, and the data held against the laws of the document as it \
                        was. The tests\nwrite these tables (`UPDATE_DOCS=1`) and fail when they are not what the code gives.";
    static FILE: Mutex<()> = Mutex::new(());
    let _guard = FILE.lock().unwrap_or_else(PoisonError::into_inner);

    let page = std::fs::read_to_string(PATH).unwrap_or_else(|_| HEAD.into());
    let mut parts = page.split("\n## ").map(str::trim_end);
    let head = parts.next().unwrap_or(HEAD).to_owned();
    let mut sections: BTreeMap<String, String> =
        parts.filter_map(|part| part.split_once("\n\n")).map(|(name, table)| (name.into(), table.into())).collect();
    let recorded = sections.insert(scenario.into(), table.trim_end().into());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let sections: Vec<String> = sections.iter().map(|(name, table)| format!("\n## {name}\n\n{table}\n")).collect();
        std::fs::write(PATH, format!("{head}\n{}", sections.concat())).expect("docs/mutants.md can be written");
    } else {
        assert_eq!(recorded.as_deref(), Some(table.trim_end()), "docs/mutants.md has drifted: run with UPDATE_DOCS=1");
    }
}
