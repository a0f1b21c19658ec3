//! The native half of the Python package: thin objects over the crates, which the modules under `python/` make a library of.
//!
//! Whatever takes time works without the interpreter's lock and looks for signals meanwhile; what is wrong becomes an exception with
//! the command line's own text.
#![expect(clippy::needless_pass_by_value, reason = "what Python gives is made for the function, which owns it")]

mod analysis;
mod batches;
mod capsule;
mod errors;
mod files;
mod policies;
mod run;
mod scene;
mod sequences;
mod stream;
mod traces;
mod wait;
mod write;

use populace_core::stream::{ActorId, Purpose, Source as _, StreamKey};
use populace_io::catalogue::LIBRARY;
use populace_io::document::{self, Source};
use populace_io::wording;
use pyo3::prelude::*;
use std::ffi::OsString;

/// Runs the command: `arguments` are its name and what follows it. Gives the exit code.
#[pyfunction]
fn command(py: Python<'_>, arguments: Vec<OsString>) -> u8 {
    py.detach(|| {
        let before = wording::speak_python(false);
        let code = populace::main_with(arguments);
        wording::speak_python(before);
        code
    })
}

/// The names of the built-in scenarios.
#[pyfunction]
fn scenarios() -> Vec<&'static str> {
    LIBRARY.names().collect()
}

/// A YAML document as JSON, unchecked. `name` is what messages call it.
#[pyfunction]
fn yaml_to_json(name: &str, text: &str) -> PyResult<String> {
    let value = LIBRARY.value(Source::Text { name, text }).map_err(|problems| errors::documents(&problems))?;
    Ok(value.to_string())
}

/// A JSON document as YAML.
#[pyfunction]
fn json_to_yaml(text: &str) -> PyResult<String> {
    let value = serde_json::from_str(text).map_err(errors::internal)?;
    Ok(document::to_yaml(&value))
}

/// Where a name falls in [0, 1), under a seed: the same wherever it is asked.
#[pyfunction]
fn share(name: &str, seed: u64) -> f64 {
    const SHARE: Purpose = Purpose::new(4);
    let key = StreamKey::root(seed, name).actor(ActorId(0)).purpose(SHARE);
    key.ordinal(0).draws().next_unit()
}

#[pymodule]
mod _populace {
    #[expect(clippy::unnecessary_wraps, reason = "what a module begins with may fail")]
    #[pymodule_init]
    fn init(_module: &pyo3::Bound<'_, pyo3::types::PyModule>) -> pyo3::PyResult<()> {
        populace_io::wording::speak_python(true);
        Ok(())
    }

    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");
    #[pymodule_export]
    use super::analysis::{
        effects, features_run, plan_study, prepare_churn, recover_run, report_run, score_run, verify_run, write_parquet,
    };
    #[pymodule_export]
    use super::batches::{Batch, Batches};
    #[pymodule_export]
    use super::policies::{has_policy, policy_component, policy_evaluate, policy_learn, policy_rounds, policy_value, schedule_component};
    #[pymodule_export]
    use super::run::Run;
    #[pymodule_export]
    use super::scene::{check_component, components, resolve, shortcuts};
    #[pymodule_export]
    use super::sequences::{Sequences, normalise_endpoint};
    #[pymodule_export]
    use super::traces::walk::Walk;
    #[pymodule_export]
    use super::traces::{Store, dataset_seed};
    #[pymodule_export]
    use super::{command, json_to_yaml, scenarios, share, yaml_to_json};
}
