//! Scenario documents: YAML from built-ins, files and command-line options, merged, checked, and every problem shown in its place.
//!
//! A document has an envelope (`version`, `scenario`, `name`, `description`, `seed`, `extends`, `profiles`); all its other keys are
//! the configuration of its family. What is said later replaces what was said before: the document that is extended, the document
//! that extends it, the profile, grafted files, single settings. Maps merge deep, lists and scalars replace, and a null removes an
//! entry of a map of named entries.
//!
//! Documents are not trusted: text, nesting, aliases and the number of values have limits ([`MAX_TEXT_BYTES`], [`MAX_DEPTH`],
//! [`MAX_ALIASES`], [`MAX_NODES`]), and a document given as text reaches no file.
//!
//! ```
//! use populace_io::document::{Library, Request, Setting, Source};
//! use serde_json::json;
//!
//! let library = Library::new(&[("shop", "version: 1\nscenario: shop\nusers: 10\n")]);
//! let schema = json!({"type": "object", "properties": {"users": {"type": "integer", "minimum": 1}}, "additionalProperties": false});
//! let schema_of = |family: &str| (family == "shop").then(|| schema.clone());
//!
//! let more = [Setting { option: "--users", path: "users", value: "20" }];
//! let resolved = library.resolve(&Request { settings: &more, ..Request::new(Source::Named("shop")) }, schema_of)?;
//! assert_eq!(resolved.config, json!({"users": 20}));
//!
//! let misspelt = Source::Text { name: "my.yaml", text: "extends: shop\nuser: 5\n" };
//! let problems = library.resolve(&Request::new(misspelt), schema_of).unwrap_err();
//! assert_eq!(problems.to_string(), "my.yaml:2:1: user: unknown key\n    hint: did you mean `users`?");
//! # Ok::<(), populace_io::document::Diagnostics>(())
//! ```

mod check;
mod diagnostic;
mod envelope;
mod hint;
mod load;
mod merge;
mod parse;
mod range;
mod resolved;
mod schema;
#[cfg(test)]
mod tests;
mod tree;
mod write;

pub use diagnostic::{Diagnostic, Diagnostics};
pub use load::MAX_EXTENDS;
pub use parse::{MAX_ALIASES, MAX_DEPTH, MAX_KEY_CHARACTERS, MAX_NODES, MAX_TEXT_BYTES};
pub use resolved::Resolved;
pub use tree::{Origin, Position};

use crate::wording::own;
pub use diagnostic::{no_such_table, suggest};
use envelope::Envelope;
use load::{Loaded, start_of};
use schema::Schema;
use serde_json::Value;
use std::borrow::Cow;
use tree::{Kind, Map, Node, quote};

/// The built-in documents.
#[derive(Clone, Debug)]
pub struct Library {
    builtins: Cow<'static, [(&'static str, &'static str)]>,
}

impl FromIterator<&'static (&'static str, &'static str)> for Library {
    fn from_iter<T: IntoIterator<Item = &'static (&'static str, &'static str)>>(documents: T) -> Self {
        Self { builtins: documents.into_iter().copied().collect() }
    }
}

/// Where a document is.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// As on a command line: a built-in document's name or, if there is none, a file's path.
    Named(&'a str),
    /// A file. It can extend built-in documents, and files relative to its own directory.
    File(&'a std::path::Path),
    /// Text, and the name that messages give it. It can extend built-in documents only.
    Text {
        /// The name that messages show.
        name: &'a str,
        /// The YAML.
        text: &'a str,
    },
}

/// A single value from a command line.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    /// The option that messages show: `--set`, or one of its own such as `--users`.
    pub option: &'a str,
    /// A dotted path such as `personas.night_owl.open_rate`; a key that itself holds dots may stand between double quotes.
    pub path: &'a str,
    /// The value, as YAML.
    pub value: &'a str,
}

/// A whole file put in the place of a value.
#[derive(Clone, Copy, Debug)]
pub struct Graft<'a> {
    /// The option that messages show, such as `--workflow`.
    pub option: &'a str,
    /// The dotted path of the value that the file replaces.
    pub path: &'a str,
    /// The file.
    pub source: Source<'a>,
    /// Keys of the document that the file may have beside; the value itself may then stand under its own name.
    pub beside: &'a [&'a str],
}

/// What to resolve, in the order in which later parts replace earlier ones.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The document.
    pub source: Source<'a>,
    /// The profile to apply, if any.
    pub profile: Option<&'a str>,
    /// Files in the place of values.
    pub grafts: &'a [Graft<'a>],
    /// Single values; of two that set the same, the later wins.
    pub settings: &'a [Setting<'a>],
}

impl<'a> Request<'a> {
    /// A document as it stands.
    pub const fn new(source: Source<'a>) -> Self {
        Self { source, profile: None, grafts: &[], settings: &[] }
    }
}

impl Library {
    /// A library of documents, each a name and its YAML.
    pub const fn new(builtins: &'static [(&'static str, &'static str)]) -> Self {
        Self { builtins: Cow::Borrowed(builtins) }
    }

    /// The names of the documents.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.builtins.iter().map(|(name, _)| *name)
    }

    /// A document's YAML.
    pub fn text(&self, name: &str) -> Option<&'static str> {
        self.builtins.iter().find(|(builtin, _)| *builtin == name).map(|(_, text)| *text)
    }

    /// The keys at the top of a document, unchecked: enough to tell what kind of document it is.
    ///
    /// # Errors
    /// It cannot be read, or is not YAML within the budgets.
    pub fn keys(&self, source: Source<'_>) -> Result<Vec<String>, Diagnostics> {
        let root = self.content(source)?;
        Ok(root.map().into_iter().flat_map(|map| map.keys().cloned()).collect())
    }

    /// A document as it was written, unchecked and unmerged; a number that is not finite is text.
    ///
    /// # Errors
    /// It cannot be read, or is not YAML within the budgets.
    pub fn value(&self, source: Source<'_>) -> Result<Value, Diagnostics> {
        Ok(self.content(source)?.to_json())
    }

    /// Reads, merges and checks what `request` names. `schema_of` gives the JSON Schema of a family's configuration.
    ///
    /// # Errors
    /// Everything that is wrong with the documents and the options, each problem in its place.
    ///
    /// # Panics
    /// Never: a document without problems is resolved.
    pub fn resolve(&self, request: &Request<'_>, schema_of: impl Fn(&str) -> Option<Value>) -> Result<Resolved, Diagnostics> {
        let (resolved, problems) = self.examine(request, schema_of);
        problems.finish()?;
        Ok(resolved.expect("a document without problems is resolved"))
    }

    /// As [`resolve`](Self::resolve), but gives the document and its problems both, so that a family's own checks can add theirs; no
    /// document where it could not be read or its family is not known.
    pub fn examine(&self, request: &Request<'_>, schema_of: impl Fn(&str) -> Option<Value>) -> (Option<Resolved>, Diagnostics) {
        let mut problems = Diagnostics::default();
        let chain = match self.load(request.source, &mut problems) {
            Ok(chain) => chain,
            Err(fatal) => {
                problems.append(fatal);
                return (None, problems);
            }
        };
        let Some((family, schema)) = self.family(&chain, &schema_of, &mut problems) else { return (None, problems) };
        let mut merging =
            Merging { library: self, schema: Schema::new(&schema), envelope: Envelope::default(), root: Node::nothing(), problems };

        let mut profiles: Vec<String> = Vec::new();
        for document in &chain {
            merging.lay(document.body.clone(), &document.envelope);
            for name in document.envelope.profiles.keys().filter(|name| !profiles.contains(name)).collect::<Vec<_>>() {
                profiles.push(name.clone());
            }
        }
        if let Some(profile) = request.profile {
            merging.profile(profile, &chain, &profiles);
        }
        for graft in request.grafts {
            merging.graft(graft);
        }
        for setting in request.settings {
            merging.set(setting);
        }

        let Merging { envelope, root, mut problems, .. } = merging;
        let (checked, mut wrong) = check::check(&root, &schema, &envelope::KEYS);
        // A value that is not a sound YAML is reported once, not again for what was made of it.
        let unsound: Vec<Position> =
            problems.problems.iter().filter(|problem| problem.path.is_empty()).filter_map(|problem| problem.position.clone()).collect();
        let is_known = |at: &Position| unsound.iter().any(|known| known.origin == at.origin && known.line == at.line);
        wrong.problems.retain(|problem| !problem.position.as_ref().is_some_and(is_known));
        // Where something is wrong, the document as it stands, for further checks.
        let config = if wrong.is_empty() { checked } else { root.to_json() };
        self.suspect_scenario(&chain, &family, &mut wrong);
        problems.append(wrong);
        let name = envelope.name.or_else(|| chain.last().map(|document| document.fallback_name.clone())).unwrap_or_default();
        let resolved = Resolved { family, name, description: envelope.description, seed: envelope.seed, config, profiles, root };
        (Some(resolved), problems.in_order())
    }

    /// A document that says `scenario:` and lacks more keys than it has was meant to extend the built-in one: one mistake, not one for each.
    fn suspect_scenario(&self, chain: &[Loaded], family: &str, problems: &mut Diagnostics) {
        let ([Loaded { envelope: Envelope { scenario: Some(scenario), .. }, body, .. }], Some(_)) = (chain, self.text(family)) else {
            return;
        };
        let is_missing = |problem: &Diagnostic| problem.message == "is missing" && !problem.path.contains('.');
        let missing: Vec<String> =
            problems.problems.iter().filter(|problem| is_missing(problem)).map(|problem| problem.path.clone()).collect();
        if missing.len() > 1 && missing.len() > body.map().map_or(0, Map::len) {
            problems.problems.retain(|problem| !is_missing(problem));
            let message = format!("a whole document is expected, and keys are missing: {}", missing.join(", "));
            let hint = format!("did you mean `extends: {family}`? It changes single values of the built-in scenario");
            problems.push(Some(&scenario.position), "scenario", message, hint);
        }
    }

    /// The family that the chain's first document names and the others may repeat, and its schema.
    fn family(&self, chain: &[Loaded], schema_of: &impl Fn(&str) -> Option<Value>, problems: &mut Diagnostics) -> Option<(String, Value)> {
        let mut named = chain.iter().filter_map(|document| document.envelope.scenario.as_ref());
        let families = || self.families().iter().map(|family| format!("`scenario: {family}`")).collect::<Vec<_>>().join(" or ");
        let Some(family) = named.next() else {
            if chain.iter().all(|document| !document.envelope.spoilt) {
                problems.push(chain.first().map(start_of).as_ref(), "scenario", "is missing", format!("add {}", families()));
            }
            return None;
        };
        for other in named.filter(|other| other.value != family.value) {
            let message = format!("must stay {}, as in what this document extends, got {}", quote(&family.value), quote(&other.value));
            problems.push(Some(&other.position), "scenario", message, "leave the key out");
        }
        let schema = schema_of(&family.value);
        if schema.is_none() {
            let families = self.families();
            let known: Vec<&str> = families.iter().map(String::as_str).collect();
            let hint = match self.text(&family.value) {
                Some(_) => format!("did you mean `extends: {}`?", family.value),
                None => suggest(&family.value, &known, "scenarios"),
            };
            problems.push(Some(&family.position), "scenario", format!("there is no scenario {}", quote(&family.value)), hint);
        }
        Some((family.value.clone(), schema?))
    }
}

/// Writes a value as a YAML document that reads back to the same value.
pub fn to_yaml(value: &Value) -> String {
    write::to_yaml(value)
}

/// A document that grows by what is laid over it.
struct Merging<'a> {
    library: &'a Library,
    schema: Schema<'a>,
    envelope: Envelope,
    root: Node,
    problems: Diagnostics,
}

impl Merging<'_> {
    fn lay(&mut self, part: Node, envelope: &Envelope) {
        self.envelope.settle(envelope);
        merge::merge(&mut self.root, part, self.schema, &mut tree::Path::default(), &mut self.problems);
    }

    fn profile(&mut self, name: &str, chain: &[Loaded], profiles: &[String]) {
        if !profiles.iter().any(|profile| profile == name) {
            self.problems.append(envelope::unknown_profile(name, profiles));
        }
        for entry in chain.iter().filter_map(|document| document.envelope.profiles.get(name)) {
            let mut part = entry.value.clone();
            let path = tree::Path::default().join("profiles").join(name);
            let envelope = envelope::open_part(&mut part, &path, &mut self.problems);
            self.lay(part, &envelope);
        }
    }

    /// The steps of a path given by an option, or a problem.
    fn steps(&mut self, option: &str, text: &str) -> Option<tree::Path> {
        match merge::resolve(text, &self.root, self.schema, &envelope::SETTABLE) {
            Ok(path) => Some(path),
            Err(lost) => {
                let position = Position::start(&Origin::option(option));
                self.problems.push(Some(&position), lost.path, lost.message, lost.hint);
                None
            }
        }
    }

    fn graft(&mut self, graft: &Graft<'_>) {
        let content = match self.library.content(graft.source) {
            // A dumped object writes what it leaves out as null.
            Ok(Node { kind: Kind::Map(mut map), position }) => {
                map.retain(|_, entry| !matches!(entry.value.kind, Kind::Null));
                Node { kind: Kind::Map(map), position }
            }
            Ok(content) => content,
            Err(problems) => return self.problems.append(problems),
        };
        let (mut map, position) = match content {
            Node { kind: Kind::Map(map), position } => (map, position),
            other => return self.put(graft.option, graft.path, other),
        };
        let beside: Vec<_> = graft.beside.iter().filter_map(|key| Some((*key, map.shift_remove(*key)?.value))).collect();
        let is_own_name = map.len() == 1 && !graft.beside.is_empty();
        let own = if is_own_name { map.shift_remove(graft.path) } else { None };
        match own {
            Some(own) => self.put(graft.option, graft.path, own.value),
            None if beside.is_empty() || !map.is_empty() => {
                self.put(graft.option, graft.path, Node { kind: Kind::Map(map), position });
            }
            None => {}
        }
        for (key, value) in beside {
            self.put(graft.option, key, value);
        }
    }

    /// Puts a whole value into the place of another.
    fn put(&mut self, option: &str, path: &str, content: Node) {
        let Some(path) = self.steps(option, path) else { return };
        // A file stands for the whole of the value: what it leaves out is not filled in from what it replaces.
        if let Some(place) = merge::find_mut(&mut self.root, path.steps()) {
            *place = content;
        } else {
            let part = merge::wrap(Some(&self.root), path.steps(), content);
            self.lay(part, &Envelope::default());
        }
    }

    fn set(&mut self, setting: &Setting<'_>) {
        let Setting { option, path, value } = *setting;
        let shown = if option == "--set" { format!("{} {path}={value}", own("--set")) } else { format!("{option} {value}") };
        let shown = quote_option(&shown);
        let origin = Origin::option(shown.as_str());
        let value = match parse::parse(&origin, value, &mut self.problems) {
            Ok(value) => value,
            Err(problems) => return self.problems.append(problems),
        };
        if envelope::KEYS.contains(&path) {
            let position = value.position.clone();
            let entry = tree::Entry { key: position.clone(), value };
            let mut part = Node { kind: Kind::Map(Map::from_iter([(path.to_owned(), entry)])), position };
            let envelope = envelope::open_part(&mut part, &tree::Path::default(), &mut self.problems);
            return self.envelope.settle(&envelope);
        }
        let Some(steps) = self.steps(&shown, path) else { return };
        let part = merge::wrap(Some(&self.root), steps.steps(), value);
        self.lay(part, &Envelope::default());
    }
}

/// An option as it was typed, made fit to be shown.
fn quote_option(text: &str) -> String {
    let quoted = quote(text);
    quoted[1..quoted.len() - 1].to_owned()
}
