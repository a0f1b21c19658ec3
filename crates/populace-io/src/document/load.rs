//! Finding documents, and the documents they extend.

use super::diagnostic::{Diagnostics, nearest};
use super::envelope::{self, Envelope, Placed};
use super::parse::{MAX_TEXT_BYTES, parse, parse_bytes};
use super::tree::{Node, Origin, Position, quote, visible};
use super::{Library, Source};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How many documents may extend one another.
pub const MAX_EXTENDS: usize = 8;

/// A document as it was written, without its envelope.
pub(super) struct Loaded {
    pub(super) envelope: Envelope,
    pub(super) body: Node,
    /// The name of a document that gives itself none.
    pub(super) fallback_name: String,
}

/// Which document this is: to find cycles, and what the names in it are relative to.
#[derive(Clone, PartialEq)]
enum Identity {
    Builtin(&'static str),
    /// As it was given, and with links resolved.
    File(PathBuf, PathBuf),
    Text(String),
}

impl Identity {
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Builtin(mine), Self::Builtin(other)) => mine == other,
            (Self::File(_, mine), Self::File(_, other)) => mine == other,
            _ => false,
        }
    }

    fn shown(&self) -> String {
        match self {
            Self::Builtin(name) => format!("built-in {name}"),
            Self::File(given, _) => visible(&given.display().to_string()),
            Self::Text(name) => visible(name),
        }
    }

    fn stem(&self) -> String {
        match self {
            Self::Builtin(name) => (*name).to_owned(),
            Self::File(given, _) => given.file_stem().unwrap_or(given.as_os_str()).to_string_lossy().into_owned(),
            Self::Text(name) => name.clone(),
        }
    }
}

impl Library {
    /// The document of a request and all that it extends, the one that extends nothing first.
    pub(super) fn load(&self, source: Source<'_>, problems: &mut Diagnostics) -> Result<Vec<Loaded>, Diagnostics> {
        let mut chain: Vec<Loaded> = Vec::new();
        let mut seen: Vec<Identity> = Vec::new();
        let mut next = self.read(source, problems).map(Some)?;
        while let Some((identity, mut body)) = next.take() {
            let envelope = envelope::open(&mut body, problems);
            let fallback_name = identity.stem();
            seen.push(identity.clone());
            if let Some(extends) = &envelope.extends {
                next = Some(self.extended(extends, &identity, &seen, problems)?);
            }
            chain.push(Loaded { envelope, body, fallback_name });
        }
        chain.reverse();
        Ok(chain)
    }

    /// The content of a source, whatever it is.
    pub(super) fn content(&self, source: Source<'_>) -> Result<Node, Diagnostics> {
        let mut problems = Diagnostics::default();
        let (_, root) = self.read(source, &mut problems)?;
        problems.finish().map(|()| root)
    }

    /// The document that `current` extends; `seen` are all so far.
    fn extended(
        &self,
        extends: &Placed<String>,
        current: &Identity,
        seen: &[Identity],
        problems: &mut Diagnostics,
    ) -> Result<(Identity, Node), Diagnostics> {
        let refuse = |message: String, hint: String| Diagnostics::one(Some(&extends.position), "extends", message, hint);
        if seen.len() > MAX_EXTENDS {
            return Err(refuse(format!("documents extend one another more than {MAX_EXTENDS} deep"), String::new()));
        }
        let name = extends.value.as_str();
        let (identity, origin) = match (self.find(name), current) {
            (Some((name, _)), _) => (Identity::Builtin(name), None),
            (None, Identity::File(given, _)) => {
                let path = given.parent().unwrap_or(Path::new("")).join(name);
                if !path.exists() {
                    return Err(refuse(format!("there is no built-in scenario and no file {}", quote(name)), self.nearest_builtin(name)));
                }
                (identify(&path), Some(path))
            }
            (None, Identity::Builtin(_) | Identity::Text(_)) => {
                return Err(refuse(format!("there is no built-in scenario {}", quote(name)), self.nearest_builtin(name)));
            }
        };
        if let Some(first) = seen.iter().position(|earlier| earlier.is(&identity)) {
            let mut around: Vec<String> = seen[first..].iter().map(Identity::shown).collect();
            around.push(identity.shown());
            return Err(refuse(format!("documents extend one another in a circle: {}", around.join(" → ")), String::new()));
        }
        match origin {
            Some(path) => read_file(&path, problems).map_err(|problem| match problem {
                Unread::Io(message) => refuse(message, String::new()),
                Unread::Document(problems) => problems,
            }),
            None => self.read(Source::Named(name), problems),
        }
    }

    fn read(&self, source: Source<'_>, problems: &mut Diagnostics) -> Result<(Identity, Node), Diagnostics> {
        match source {
            Source::Named(name) => match self.find(name) {
                Some((name, text)) => {
                    let root = parse(&Origin::document(format!("built-in {name}")), text, problems)?;
                    Ok((Identity::Builtin(name), root))
                }
                None if Path::new(name).exists() => self.read(Source::File(Path::new(name)), problems),
                None => {
                    let message = format!("there is no built-in scenario and no file {}", quote(name));
                    Err(Diagnostics::one(None, "", message, self.nearest_builtin(name)))
                }
            },
            Source::File(path) => read_file(path, problems).map_err(|problem| match problem {
                Unread::Io(message) => Diagnostics::one(None, "", message, ""),
                Unread::Document(problems) => problems,
            }),
            Source::Text { name, text } => Ok((Identity::Text(name.to_owned()), parse(&Origin::document(name), text, problems)?)),
        }
    }

    fn find(&self, name: &str) -> Option<(&'static str, &'static str)> {
        self.builtins.iter().copied().find(|(builtin, _)| *builtin == name)
    }

    fn nearest_builtin(&self, name: &str) -> String {
        let list = format!("built-in scenarios: {}", self.names().collect::<Vec<_>>().join(", "));
        match nearest(name, self.names()) {
            Some(near) => format!("did you mean `{near}`? {list}"),
            None => list,
        }
    }

    /// The families of the built-in documents, in their order.
    pub(super) fn families(&self) -> Vec<String> {
        let mut families: Vec<String> = Vec::new();
        for (name, text) in self.builtins.iter() {
            let Ok(mut root) = parse(&Origin::document(*name), text, &mut Diagnostics::default()) else { continue };
            if let Some(scenario) = envelope::open(&mut root, &mut Diagnostics::default()).scenario
                && !families.contains(&scenario.value)
            {
                families.push(scenario.value);
            }
        }
        families
    }
}

/// Why a file gave no tree.
enum Unread {
    Io(String),
    Document(Diagnostics),
}

fn identify(path: &Path) -> Identity {
    Identity::File(path.to_owned(), path.canonicalize().unwrap_or_else(|_| path.to_owned()))
}

fn read_file(path: &Path, problems: &mut Diagnostics) -> Result<(Identity, Node), Unread> {
    let shown = path.display().to_string();
    let mut bytes = Vec::new();
    // One byte more than the limit tells that there is more, without reading what may have no end.
    let read = File::open(path).and_then(|file| file.take(MAX_TEXT_BYTES as u64 + 1).read_to_end(&mut bytes));
    read.map_err(|error| Unread::Io(format!("cannot read {}: {error}", quote(&shown))))?;
    let root = parse_bytes(&Origin::document(shown), &bytes, problems).map_err(Unread::Document)?;
    Ok((identify(path), root))
}

/// The place to blame where a whole document is at fault.
pub(super) fn start_of(loaded: &Loaded) -> Position {
    Position::start(&Arc::clone(&loaded.body.position.origin))
}
