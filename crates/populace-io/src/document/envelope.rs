//! The keys that every scenario document has, whatever its family.

use super::diagnostic::{Diagnostics, nearest, suggest};
use super::tree::{Entry, Kind, Map, Node, Number, Path, Position, quote};

/// The keys of a document that its family's struct does not see.
pub(super) const KEYS: [&str; 7] = ["version", "scenario", "name", "description", "seed", "extends", "profiles"];
/// Those that a profile or an option can set too.
pub(super) const SETTABLE: [&str; 3] = ["name", "description", "seed"];

const VERSION: i128 = 1;

/// A value of the envelope, with its place.
#[derive(Clone, Debug)]
pub(super) struct Placed<T> {
    pub(super) value: T,
    pub(super) position: Position,
}

/// What one document says in its envelope.
#[derive(Clone, Debug, Default)]
pub(super) struct Envelope {
    pub(super) scenario: Option<Placed<String>>,
    pub(super) name: Option<String>,
    pub(super) description: Option<String>,
    pub(super) seed: Option<u64>,
    pub(super) extends: Option<Placed<String>>,
    pub(super) profiles: Map,
    /// A key that says what this document is could not be read: what else is missing may follow from that.
    pub(super) spoilt: bool,
}

impl Envelope {
    /// Takes over what `later` says.
    pub(super) fn settle(&mut self, later: &Self) {
        let settle = |mine: &mut Option<String>, other: &Option<String>| {
            if other.is_some() {
                mine.clone_from(other);
            }
        };
        settle(&mut self.name, &later.name);
        settle(&mut self.description, &later.description);
        self.seed = later.seed.or(self.seed);
    }
}

/// Takes the envelope out of a whole document.
pub(super) fn open(root: &mut Node, problems: &mut Diagnostics) -> Envelope {
    let position = root.position.clone();
    let Kind::Map(map) = &mut root.kind else {
        let message = format!("a scenario document must be a map, got {}", root.describe());
        problems.push(Some(&position), "", message, "begin with `version: 1` and `scenario: …`, or with `extends: …`");
        return Envelope { spoilt: true, ..Envelope::default() };
    };
    let mut envelope = settable(map, problems);
    let version = map.shift_remove("version");
    let links = ["scenario", "extends"].iter().filter(|key| map.contains_key(**key)).count();
    envelope.scenario = text(map, "scenario", problems);
    envelope.extends = text(map, "extends", problems);
    envelope.spoilt = links > usize::from(envelope.scenario.is_some()) + usize::from(envelope.extends.is_some());
    if links == 0
        && let Some((key, near, entry)) = map.iter().find_map(|(key, entry)| Some((key, nearest(key, ["scenario", "extends"])?, entry)))
    {
        problems.push(Some(&entry.key), key, "unknown key", format!("did you mean `{near}`?"));
        envelope.spoilt = true;
    }
    check_version(version, &envelope, &position, problems);
    if let Some(entry) = map.shift_remove("profiles") {
        let found = entry.value.describe();
        match entry.value.kind {
            Kind::Map(profiles) => envelope.profiles = profiles,
            _ => problems.push(Some(&entry.value.position), "profiles", format!("must be a map of partial documents, got {found}"), ""),
        }
    }
    envelope
}

/// Takes the envelope out of a part of a document: a profile or an option.
pub(super) fn open_part(part: &mut Node, path: &Path, problems: &mut Diagnostics) -> Envelope {
    let position = part.position.clone();
    let Kind::Map(map) = &mut part.kind else {
        problems.push(Some(&position), path, format!("must be a map, got {}", part.describe()), "");
        part.kind = Kind::Map(Map::new());
        return Envelope::default();
    };
    for key in KEYS.into_iter().filter(|key| !SETTABLE.contains(key)) {
        if let Some(entry) = map.shift_remove(key) {
            problems.push(Some(&entry.key), path.join(key), format!("`{key}` is allowed at the top of a document only"), "");
        }
    }
    settable(map, problems)
}

fn settable(map: &mut Map, problems: &mut Diagnostics) -> Envelope {
    Envelope {
        name: text(map, "name", problems).map(|name| name.value),
        description: text(map, "description", problems).map(|description| description.value),
        seed: seed(map, problems),
        ..Envelope::default()
    }
}

fn text(map: &mut Map, key: &str, problems: &mut Diagnostics) -> Option<Placed<String>> {
    let Entry { value, .. } = map.shift_remove(key)?;
    let hint = if let Kind::Number(_, spelling) = &value.kind { format!("put it between quotes: \"{spelling}\"") } else { String::new() };
    let found = value.describe();
    match value.kind {
        Kind::Text(text) if !text.trim().is_empty() => Some(Placed { value: text, position: value.position }),
        Kind::Text(_) => {
            problems.push(Some(&value.position), key, "must not be empty", "");
            None
        }
        _ => {
            problems.push(Some(&value.position), key, format!("must be text, got {found}"), hint);
            None
        }
    }
}

fn seed(map: &mut Map, problems: &mut Diagnostics) -> Option<u64> {
    let Entry { value, .. } = map.shift_remove("seed")?;
    if let Kind::Number(Number::Integer(seed), _) = &value.kind
        && let Ok(seed) = u64::try_from(*seed)
    {
        return Some(seed);
    }
    let message = format!("must be a whole number from 0 to {}, got {}", u64::MAX, value.describe());
    let quoted = matches!(&value.kind, Kind::Text(text) if text.parse::<u64>().is_ok());
    problems.push(Some(&value.position), "seed", message, if quoted { "remove the quotes" } else { "leave it out to have one drawn" });
    None
}

fn check_version(version: Option<Entry>, envelope: &Envelope, start: &Position, problems: &mut Diagnostics) {
    let Some(Entry { value, .. }) = version else {
        if envelope.extends.is_none() && !envelope.spoilt {
            problems.push(Some(start), "version", "is missing", "begin the document with `version: 1`");
        }
        return;
    };
    if !matches!(value.kind, Kind::Number(Number::Integer(VERSION), _)) {
        let message = format!("must be {VERSION}, the only version there is, got {}", value.describe());
        problems.push(Some(&value.position), "version", message, format!("write `version: {VERSION}`"));
    }
}

/// The problem that no document of the chain has a profile of this name.
pub(super) fn unknown_profile(name: &str, profiles: &[String]) -> Diagnostics {
    let names: Vec<&str> = profiles.iter().map(String::as_str).collect();
    Diagnostics::one(None, "", format!("there is no profile {}", quote(name)), suggest(name, &names, "profiles"))
}
