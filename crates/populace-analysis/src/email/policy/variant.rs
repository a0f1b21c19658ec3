//! A run's document with another policy in the place of its own.

use super::value::{self, Terms};
use crate::error::AnalysisError;
use crate::policy::{Candidate, Measured, Reward, refuse_other_table};
use crate::watch::Watch;
use populace_core::email::EmailModel;
use populace_core::scenario::Scenario;
use populace_core::stream::StreamKey;
use populace_core::time::Instant;
use populace_io::catalogue;
use populace_io::document::{Resolved, Source};
use populace_io::family::FAMILIES;
use serde_json::{Map, Value};
use std::path::Path;

/// The model of a document with keys of its policy changed.
pub(in super::super) fn variant(document: &Resolved, keys: &Value) -> Result<EmailModel, AnalysisError> {
    let mut document = document.clone();
    let own = document.config["policy"].as_object().cloned().unwrap_or_default();
    let changed: Map<String, Value> = own.into_iter().chain(keys.as_object().cloned().unwrap_or_default()).collect();
    let changed = changed.into_iter().filter(|(_, value)| !value.is_null()).collect();
    document.config["policy"] = Value::Object(changed);
    Ok(catalogue::model(&document)?)
}

/// The document with a policy that a name, a file of a policy, or a CSV of slots stands for.
pub(in super::super) fn candidate_of(document: &Resolved, name: &str) -> Result<Candidate, AnalysisError> {
    let ends_in = |ending: &str| Path::new(name).extension().is_some_and(|own| own.eq_ignore_ascii_case(ending));
    refuse_other_table(name)?;
    let policy = if ends_in("csv") || ends_in("tsv") {
        let own = document.config["policy"].as_object().cloned().unwrap_or_default();
        let kept = own.into_iter().filter(|(key, _)| ["window", "slot_minutes", "clock", "caps"].contains(&key.as_str()));
        let mut policy: Map<String, Value> = kept.collect();
        policy.insert("base".to_owned(), serde_json::json!({ "type": "table", "file": name }));
        Value::Object(policy)
    } else {
        let component = FAMILIES.iter().find(|family| family.name == document.family).and_then(|family| family.component);
        let source = if Path::new(name).is_file() {
            Source::File(Path::new(name))
        } else {
            let text = component.and_then(|component| component.text(name)).ok_or_else(|| {
                let known: Vec<&str> = component.iter().flat_map(|component| component.builtins).map(|(name, _)| *name).collect();
                AnalysisError::input(format!("`{name}` is no policy: neither a file nor one of {}", known.join(", ")))
            })?;
            Source::Text { name, text }
        };
        catalogue::LIBRARY.value(source).map_err(|error| AnalysisError::input(error.to_string()))?
    };
    let mut document = document.clone();
    document.config["policy"] = policy;
    Ok(Candidate { name: name.to_owned(), document })
}

/// Expected opens a decision of a policy that mails the people of a run whom the run's own does not hold out.
pub(in super::super) fn true_value(
    document: &Resolved,
    candidate: &Candidate,
    seed: u64,
    watch: &Watch<'_>,
) -> Result<Measured, AnalysisError> {
    let log: EmailModel = value::model_of(&Candidate { name: "the run".to_owned(), document: document.clone() })?;
    let target = value::model_of(candidate)?;
    let key = StreamKey::root(seed, EmailModel::NAME);
    let holds_out = log.decider().is_some_and(|decider| decider.holdout() > 0.0);
    let is_mailed = |actor: u64| {
        let is_held = || value::Seen::of(&log, key, actor, Instant(i64::MIN)).is_held_out();
        !holds_out || !is_held()
    };
    let reward = Reward { open: 1.0, ..Reward::default() };
    let terms = Terms { reward, expected: true, from: Instant(i64::MIN), discount: 1.0, one_step: false };
    let moments = value::moments(std::slice::from_ref(&target), seed, terms, &is_mailed, watch)?;
    let (found, parts) = moments.ratio(2, 3);
    Ok(Measured { value: found, standard_error: (moments.variance(&parts) / moments.n).sqrt() })
}
