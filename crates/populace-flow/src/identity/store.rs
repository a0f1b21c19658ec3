//! Identities as a SQLite file.

use super::keys::Token;
use super::{Certainty, Claim, IdentityStore, Kind, Link, Merge, Outcome, Person, Resolved};
use crate::embedded::Store;
use crate::error::FlowError;
use crate::time;
use populace_core::time::Instant;
use rusqlite::{OptionalExtension, Result, Statement, Transaction, params};
use std::cell::RefCell;
use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::path::Path;

const SCHEMA_VERSION: u32 = 1;

/// `universal_id` of `members` follows from the links; it is kept so that a look-up is one step.
const SCHEMA: &str = "
    CREATE TABLE members (
        base_id TEXT PRIMARY KEY, rank INTEGER NOT NULL, kind TEXT NOT NULL, universal_id TEXT NOT NULL, at TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX members_by_person ON members (universal_id);
    CREATE TABLE identifiers (
        hash BLOB PRIMARY KEY, base_id TEXT NOT NULL, kind TEXT NOT NULL, key_id TEXT NOT NULL, at TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX identifiers_by_member ON identifiers (base_id);
    CREATE TABLE links (
        one TEXT NOT NULL, other TEXT NOT NULL, kind TEXT NOT NULL, weight REAL NOT NULL, source TEXT NOT NULL, at TEXT NOT NULL,
        PRIMARY KEY (one, other, kind, source)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX links_by_other ON links (other);
    CREATE TABLE merges (absorbed TEXT NOT NULL, universal_id TEXT NOT NULL, at TEXT NOT NULL) STRICT;
    CREATE INDEX merges_by_absorbed ON merges (absorbed);
    CREATE TABLE audit (
        number INTEGER PRIMARY KEY, at TEXT NOT NULL, purpose TEXT NOT NULL, outcome TEXT NOT NULL, base_id TEXT, universal_id TEXT
    ) STRICT;
    CREATE INDEX audit_by_member ON audit (base_id);
";

/// Identities in a file.
#[derive(Debug)]
pub struct IdentityDatabase {
    store: Store,
    /// The probability from which on a probabilistic link makes two persons one; none: never.
    merge_at: Option<f64>,
}

impl IdentityDatabase {
    /// Opens the store in `directory`, and makes it if there is none. Probabilistic links are kept; those of a weight of `merge_at` or more
    /// also merge.
    ///
    /// # Errors
    /// The file cannot be opened or is of another version.
    pub fn open(directory: &Path, merge_at: Option<f64>) -> std::result::Result<Self, FlowError> {
        Ok(Self { store: Store::open(&directory.join("identity.sqlite"), SCHEMA, SCHEMA_VERSION)?, merge_at })
    }

    /// How many persons, identifiers and resolutions there are.
    ///
    /// # Errors
    /// The file is not to be read.
    pub fn counts(&self) -> std::result::Result<[u64; 3], FlowError> {
        Ok([
            self.store.number("SELECT count(DISTINCT universal_id) FROM members")?,
            self.store.number("SELECT count(*) FROM members")?,
            self.store.number("SELECT count(*) FROM audit")?,
        ])
    }
}

/// A transaction and its moment.
struct Writer<'a> {
    file: &'a Transaction<'a>,
    at: String,
    /// What is asked for every claim.
    prepared: RefCell<HashMap<&'static str, Statement<'a>>>,
}

impl<'a> Writer<'a> {
    fn new(file: &'a Transaction<'a>, at: String) -> Self {
        Self { file, at, prepared: RefCell::default() }
    }

    /// Runs a statement that is prepared once.
    fn with<V>(&self, query: &'static str, act: impl FnOnce(&mut Statement<'a>) -> Result<V>) -> Result<V> {
        let mut prepared = self.prepared.borrow_mut();
        act(match prepared.entry(query) {
            Entry::Occupied(statement) => statement.into_mut(),
            Entry::Vacant(none) => none.insert(self.file.prepare(query)?),
        })
    }

    /// The member of an identifier, made if it is not known, and whether it is new.
    fn member(&self, token: &Token) -> Result<(String, bool)> {
        let mut known: Option<String> = None;
        for keyed in &token.hashes {
            let find = "SELECT base_id FROM identifiers WHERE hash = ?";
            known = self.with(find, |find| find.query_row([&keyed.hash], |row| row.get(0)).optional())?;
            if known.is_some() {
                break;
            }
        }
        let base_id = known.unwrap_or_else(|| token.base_id.clone());
        let kind = token.kind;
        let values = params![base_id, kind.rank(), kind.name(), self.at];
        let new = self.with("INSERT OR IGNORE INTO members VALUES (?1, ?2, ?3, ?1, ?4)", |insert| insert.execute(values))? == 1;
        if let Some(current) = token.hashes.first() {
            let values = params![current.hash, base_id, kind.name(), current.key_id, self.at];
            self.with("INSERT OR IGNORE INTO identifiers VALUES (?, ?, ?, ?, ?)", |insert| insert.execute(values))?;
            // What was known as an id alone is now known for what it is.
            let query = "UPDATE members SET rank = ?, kind = ? WHERE base_id = ? AND kind = ?";
            let told = params![kind.rank(), kind.name(), base_id, Kind::Universal.name()];
            if self.with(query, |update| update.execute(told))? == 1 {
                self.settle(&[self.person_of(&base_id)?])?;
            }
        }
        Ok((base_id, new))
    }

    fn person_of(&self, base_id: &str) -> Result<String> {
        self.with("SELECT universal_id FROM members WHERE base_id = ?", |find| find.query_row([base_id], |row| row.get(0)))
    }

    /// Records a link; whether it is new, or weighs more than before.
    fn link(&self, ids: [&str; 2], kind: &str, weight: f64, source: &str) -> Result<bool> {
        let [one, other] = if ids[0] < ids[1] { ids } else { [ids[1], ids[0]] };
        let query = "INSERT INTO links VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO UPDATE SET weight = ?4 WHERE weight < ?4";
        Ok(self.with(query, |insert| insert.execute(params![one, other, kind, weight, source, self.at]))? == 1)
    }

    /// Makes the persons of two members one. Whether they were two.
    fn merge(&self, ids: [&str; 2]) -> Result<bool> {
        let persons = [self.person_of(ids[0])?, self.person_of(ids[1])?];
        if persons[0] == persons[1] {
            return Ok(false);
        }
        self.settle(&persons)?;
        Ok(true)
    }

    /// Gives all members of some persons one id, the least of theirs.
    fn settle(&self, persons: &[String]) -> Result<()> {
        let (first, last) = (persons.first(), persons.last());
        // Each of two persons is named by the least of its members already.
        let of = if persons.len() == 1 { "universal_id" } else { "base_id" };
        let query = format!("SELECT base_id FROM members WHERE {of} IN (?, ?) ORDER BY rank, base_id LIMIT 1");
        let winner: String = self.file.prepare(&query)?.query_row(params![first, last], |row| row.get(0))?;
        for person in persons.iter().filter(|person| **person != winner) {
            self.file.prepare("INSERT INTO merges VALUES (?, ?, ?)")?.execute(params![person, winner, self.at])?;
            self.file.prepare("UPDATE members SET universal_id = ? WHERE universal_id = ?")?.execute(params![winner, person])?;
        }
        Ok(())
    }

    fn record(&self, purpose: &str, outcome: &str, ids: Option<[&str; 2]>) -> Result<()> {
        let query = "INSERT INTO audit (at, purpose, outcome, base_id, universal_id) VALUES (?, ?, ?, ?, ?)";
        let [base_id, universal_id] = ids.map_or([None; 2], |ids| ids.map(Some));
        self.with(query, |insert| insert.execute(params![self.at, purpose, outcome, base_id, universal_id]).map(drop))
    }

    fn resolve(&self, claim: &Claim, purpose: &str) -> Result<Resolved> {
        let mut members = Vec::with_capacity(claim.tokens.len());
        for token in &claim.tokens {
            members.push(self.member(token)?);
        }
        let (first, _) = &members[0];
        let known = members.iter().any(|(_, new)| !new);
        let mut outcome = if known { Outcome::Known } else { Outcome::New };
        for (other, new) in members.iter().filter(|(other, _)| other != first) {
            let linked = self.link([first, other], "deterministic", 1.0, purpose)?;
            let merged = self.merge([first, other])?;
            if merged && known && !new && !members[0].1 {
                outcome = Outcome::Merged;
            } else if (merged || linked) && outcome == Outcome::Known {
                outcome = Outcome::Linked;
            }
        }
        let universal_id = self.person_of(first)?;
        self.record(purpose, outcome.name(), Some([first, &universal_id]))?;
        Ok(Resolved { universal_id, outcome })
    }

    /// The person whom an id names, or has named.
    fn find(&self, id: &str) -> Result<Option<String>> {
        self.with("SELECT universal_id FROM members WHERE base_id = ?", |find| find.query_row([id], |row| row.get(0)).optional())
    }

    fn texts(&self, query: &str, id: &str) -> Result<Vec<String>> {
        self.file.prepare(query)?.query_map([id], |row| row.get(0))?.collect()
    }

    fn person(&self, id: &str) -> Result<Option<Person>> {
        let Some(universal_id) = self.find(id)? else { return Ok(None) };
        let select = |query: &str| self.file.prepare(query);
        let mut members = select("SELECT base_id, kind FROM members WHERE universal_id = ? ORDER BY rank, base_id")?;
        let members = members.query_map([&universal_id], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<Vec<_>>>()?;
        let ours = "(SELECT base_id FROM members WHERE universal_id = ?1)";
        let mut links =
            select(&format!("SELECT * FROM links WHERE one IN {ours} OR other IN {ours} ORDER BY at, one, other, kind, source"))?;
        let link = |row: &rusqlite::Row<'_>| {
            let (one, other, kind) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(Link { one, other, kind, weight: row.get(3)?, source: row.get(4)?, at: row.get(5)? })
        };
        let links = links.query_map([&universal_id], link)?.collect::<Result<_>>()?;
        let mut merges = select(&format!("SELECT absorbed, universal_id, at FROM merges WHERE absorbed IN {ours} ORDER BY rowid"))?;
        let merge = |row: &rusqlite::Row<'_>| Ok(Merge { from: row.get(0)?, to: row.get(1)?, at: row.get(2)? });
        let merges = merges.query_map([&universal_id], merge)?.collect::<Result<_>>()?;
        let count = format!("SELECT count(*) FROM audit WHERE base_id IN {ours}");
        let resolutions: i64 = select(&count)?.query_row([&universal_id], |row| row.get(0))?;
        Ok(Some(Person { universal_id, members, links, merges, resolutions: resolutions as u64 }))
    }

    fn erase(&self, id: &str) -> Result<Vec<String>> {
        let Some(person) = self.find(id)? else { return Ok(Vec::new()) };
        let members: BTreeSet<String> = self.texts("SELECT base_id FROM members WHERE universal_id = ?", &person)?.into_iter().collect();
        for member in &members {
            for query in [
                "DELETE FROM identifiers WHERE base_id = ?",
                "DELETE FROM links WHERE one = ?1 OR other = ?1",
                "DELETE FROM merges WHERE absorbed = ?1 OR universal_id = ?1",
                "DELETE FROM audit WHERE base_id = ?1 OR universal_id = ?1",
                "DELETE FROM members WHERE base_id = ?",
            ] {
                self.file.prepare(query)?.execute([member])?;
            }
        }
        self.record("erasure", "erased", None)?;
        Ok(members.into_iter().collect())
    }
}

impl IdentityDatabase {
    fn write<V>(&self, at: Instant, act: impl FnOnce(&Writer<'_>) -> Result<V>) -> std::result::Result<V, FlowError> {
        self.store.write(|file| act(&Writer::new(file, time::text(at))))
    }
}

impl IdentityStore for IdentityDatabase {
    fn resolve(&self, claims: &[Claim], purpose: &str, at: Instant) -> std::result::Result<Vec<Resolved>, FlowError> {
        if claims.is_empty() {
            return Ok(Vec::new());
        }
        self.write(at, |writer| claims.iter().map(|claim| writer.resolve(claim, purpose)).collect())
    }

    fn link(&self, ids: [&str; 2], certainty: Certainty, source: &str, at: Instant) -> std::result::Result<Resolved, FlowError> {
        let (kind, weight) = super::link_of(ids, certainty)?;
        let merges = certainty == Certainty::Deterministic || self.merge_at.is_some_and(|least| weight >= least);
        let linked = self.write(at, |writer| {
            for id in ids {
                if writer.find(id)?.is_none() {
                    return Ok(None);
                }
            }
            let new = writer.link(ids, kind, weight, source)?;
            let merged = merges && writer.merge(ids)?;
            let outcome = match (merged, new) {
                (true, _) => Outcome::Merged,
                (false, true) => Outcome::Linked,
                (false, false) => Outcome::Known,
            };
            let universal_id = writer.person_of(ids[0])?;
            writer.record(source, outcome.name(), Some([ids[0], &universal_id]))?;
            Ok(Some(Resolved { universal_id, outcome }))
        })?;
        linked.ok_or_else(super::unknown_ids)
    }

    fn current(&self, ids: &[&str]) -> std::result::Result<HashMap<String, String>, FlowError> {
        self.store.read(|file| {
            let reader = Writer::new(file, String::new());
            let mut found = HashMap::new();
            for id in ids {
                if let Some(person) = reader.find(id)? {
                    found.insert((*id).to_owned(), person);
                }
            }
            Ok(found)
        })
    }

    fn person(&self, id: &str) -> std::result::Result<Option<Person>, FlowError> {
        self.store.read(|file| Writer::new(file, String::new()).person(id))
    }

    fn erase(&self, id: &str, at: Instant) -> std::result::Result<Vec<String>, FlowError> {
        let erased = self.write(at, |writer| writer.erase(id))?;
        self.store.forget()?;
        Ok(erased)
    }

    fn key_ids(&self) -> std::result::Result<Vec<String>, FlowError> {
        self.store.read(|file| {
            let mut query = file.prepare("SELECT DISTINCT key_id FROM identifiers ORDER BY key_id")?;
            query.query_map([], |row| row.get(0))?.collect()
        })
    }
}
