//! A document that has been merged and checked.

use super::diagnostic::Diagnostics;
use super::envelope;
use super::merge::locate;
use super::tree::Node;
use populace_core::scenario::{ConfigError, Problem};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// A document that has been merged and checked.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The family of the scenario: `email`, `traces` or `churn`.
    pub family: String,
    /// The document's name: its own, or that of what it extends, or its file's.
    pub name: String,
    /// What the document says of itself.
    pub description: Option<String>,
    /// The seed, if the document or an option gives one.
    pub seed: Option<u64>,
    /// The configuration, without the envelope and with the schema's defaults filled in: what the family's struct is read from.
    pub config: Value,
    /// The profiles that the document and what it extends have.
    pub profiles: Vec<String>,
    pub(super) root: Node,
}

impl Resolved {
    /// The problems that a family's own check found, in their places: a path that is not in the document points at the nearest
    /// thing around it.
    pub fn diagnose(&self, error: &ConfigError) -> Diagnostics {
        self.locate(&error.problems)
    }

    /// As [`diagnose`](Self::diagnose), of anything that has a path: a warning.
    pub fn locate(&self, found: &[Problem]) -> Diagnostics {
        let mut problems = Diagnostics::default();
        for problem in found {
            if problems.is_full() {
                problems.omitted += 1;
                continue;
            }
            problems.push(Some(locate(&self.root, &problem.path)), &problem.path, problem.message.as_str(), problem.hint.as_str());
        }
        problems
    }

    /// The document with nothing left to look up: no `extends`, no profiles, the defaults filled in. Read back, it has the same
    /// configuration, to the bit. `seed` is the seed that was drawn for a document without one.
    pub fn to_yaml(&self, seed: Option<u64>) -> String {
        let mut document = Map::new();
        document.insert("version".to_owned(), json!(1));
        document.insert("scenario".to_owned(), json!(self.family));
        document.insert("name".to_owned(), json!(self.name));
        if let Some(description) = &self.description {
            document.insert("description".to_owned(), json!(description));
        }
        if let Some(seed) = seed.or(self.seed) {
            document.insert("seed".to_owned(), json!(seed));
        }
        let config = self.config.as_object().into_iter().flatten().filter(|(key, _)| !envelope::KEYS.contains(&key.as_str()));
        document.extend(config.map(|(key, value)| (key.clone(), value.clone())));
        super::write::to_yaml(&Value::Object(document))
    }

    /// SHA-256, in hex, of what decides the data besides the seed: the family and the configuration, as JSON with sorted keys. The
    /// name, the description, comments, the order of keys and the spelling of numbers leave it alone.
    pub fn digest(&self) -> String {
        let mut content = json!({"family": self.family, "config": self.config});
        content.sort_all_objects();
        let nibbles = Sha256::digest(content.to_string()).into_iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
        nibbles.filter_map(|nibble| char::from_digit(nibble.into(), 16)).collect()
    }
}
