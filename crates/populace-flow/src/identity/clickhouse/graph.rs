//! What the tables say about some identifiers, and what a claim adds to it.

use crate::identity::{Claim, Kind, Outcome, Token};
use populace_core::time::Instant;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Why two base ids of one identifier belong together: they were given to it by processes that did not know of each other.
const SHARED: &str = "identifier";

/// Rows that are to be inserted.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// Identifier, base id, kind, id of the key (none of a base id), time.
    pub(super) identifiers: Vec<(String, String, Kind, String, Instant)>,
    /// Two base ids, who says so, time. In one direction.
    pub(super) links: Vec<([String; 2], String, Instant)>,
}

impl Facts {
    pub(super) fn is_empty(&self) -> bool {
        self.identifiers.is_empty() && self.links.is_empty()
    }
}

/// Identifiers with their base ids, and how these hang together.
#[derive(Debug, Default)]
pub(super) struct Graph {
    named: HashMap<String, BTreeSet<String>>,
    kinds: HashMap<String, Kind>,
    joined: HashMap<String, BTreeMap<String, HashSet<String>>>,
    absorbed: HashSet<(String, String)>,
}

impl Graph {
    /// An identifier has a base id.
    pub(super) fn name(&mut self, identifier: &str, base_id: &str, kind: Kind) {
        let known = self.kinds.entry(base_id.to_owned()).or_insert(kind);
        if *known == Kind::Universal {
            *known = kind;
        }
        let bases = self.named.entry(identifier.to_owned()).or_default();
        let shared = bases.first().filter(|first| *first != base_id).cloned();
        bases.insert(base_id.to_owned());
        if let Some(first) = shared {
            // Joined at once, though the link may not be in the table yet.
            self.edge([&first, base_id]);
            self.edge([base_id, &first]);
        }
    }

    fn edge(&mut self, [one, other]: [&str; 2]) -> &mut HashSet<String> {
        self.joined.entry(one.to_owned()).or_default().entry(other.to_owned()).or_default()
    }

    /// Two base ids belong together, as `source` says. Whether that was not known.
    pub(super) fn join(&mut self, ids: [&str; 2], source: &str) -> bool {
        self.edge([ids[1], ids[0]]).insert(source.to_owned());
        self.edge(ids).insert(source.to_owned())
    }

    /// An id gave way to another.
    pub(super) fn absorb(&mut self, absorbed: &str, universal_id: &str) {
        self.absorbed.insert((absorbed.to_owned(), universal_id.to_owned()));
    }

    /// Whether a base id was given to an identifier.
    pub(super) fn knows(&self, base_id: &str) -> bool {
        self.kinds.contains_key(base_id)
    }

    /// What a base id stands for.
    pub(super) fn kind(&self, base_id: &str) -> Kind {
        self.kinds.get(base_id).copied().unwrap_or(Kind::Universal)
    }

    /// All base ids of the person whom one of them names: first the one that names the person.
    pub(super) fn members(&self, base_id: &str) -> Vec<String> {
        let mut found = BTreeSet::from([base_id]);
        let mut left = vec![base_id];
        while let Some(id) = left.pop() {
            let others = self.joined.get(id).into_iter().flat_map(BTreeMap::keys);
            left.extend(others.map(String::as_str).filter(|other| found.insert(other)));
        }
        let mut members: Vec<String> = found.into_iter().map(str::to_owned).collect();
        members.sort_by_key(|id| self.kind(id).rank());
        members
    }

    /// Ids that gave way to `members`' first, without those of which the table says so.
    pub(super) fn unsaid(&self, members: &[String]) -> Vec<String> {
        let Some((first, others)) = members.split_first() else { return Vec::new() };
        others.iter().filter(|other| !self.absorbed.contains(&((*other).clone(), first.clone()))).cloned().collect()
    }

    /// The base id of an identifier, and whether it was not known.
    fn member(&mut self, token: &Token, at: Instant, facts: &mut Facts) -> (String, bool) {
        let found: BTreeSet<String> =
            token.hashes.iter().filter_map(|keyed| self.named.get(&hex(&keyed.hash))).flatten().cloned().collect();
        let base_id = found.first().unwrap_or(&token.base_id).clone();
        for other in found.iter().skip(1) {
            self.link([&base_id, other], SHARED, at, facts);
        }
        let new = !self.knows(&base_id);
        // What was known as an id alone is now known for what it is.
        let told = token.kind != Kind::Universal && self.kind(&base_id) == Kind::Universal;
        for keyed in &token.hashes {
            let identifier = hex(&keyed.hash);
            if !self.named.get(&identifier).is_some_and(|bases| bases.contains(&base_id)) {
                self.name(&identifier, &base_id, token.kind);
                facts.identifiers.push((identifier, base_id.clone(), token.kind, keyed.key_id.clone(), at));
            }
        }
        if new || told {
            self.name(&base_id, &base_id, token.kind);
            facts.identifiers.push((base_id.clone(), base_id.clone(), token.kind, String::new(), at));
        }
        (base_id, new)
    }

    fn link(&mut self, ids: [&str; 2], source: &str, at: Instant, facts: &mut Facts) -> bool {
        let new = self.join(ids, source);
        if new {
            facts.links.push((ids.map(str::to_owned), source.to_owned(), at));
        }
        new
    }

    /// Adds a claim, puts into `facts` what is not in the tables, and gives the base id of the claim's first identifier.
    pub(super) fn add(&mut self, claim: &Claim, purpose: &str, at: Instant, facts: &mut Facts) -> (String, Outcome) {
        let members: Vec<(String, bool)> = claim.tokens.iter().map(|token| self.member(token, at, facts)).collect();
        let (first, first_is_new) = &members[0];
        let known = members.iter().any(|(_, new)| !new);
        let mut outcome = if known { Outcome::Known } else { Outcome::New };
        for (other, new) in members.iter().filter(|(other, _)| other != first) {
            let merged = !self.members(first).contains(other);
            let linked = self.link([first, other], purpose, at, facts);
            if merged && known && !new && !first_is_new {
                outcome = Outcome::Merged;
            } else if (merged || linked) && outcome == Outcome::Known {
                outcome = Outcome::Linked;
            }
        }
        (first.clone(), outcome)
    }
}

/// A hash as the tables have it.
pub(super) fn hex(hash: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(hash)
}
