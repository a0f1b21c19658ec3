//! Identities as tables of ClickHouse, for any number of connectors at once.
//!
//! ClickHouse has no transactions and no unique keys, so nothing here needs them. The tables hold facts, which are only added: an identifier
//! has a base id, two base ids belong together. A fact that comes again changes nothing, and facts may come in any order, from any number of
//! processes. The person is computed from them when it is asked for. A resolution that adds facts reads again after it has written, so
//! that of several processes that write at once the last one sees what all have written; and once all are done, all give the same answer.
//!
//! A request costs one question, whatever its number of claims, and one insert into the audit if everything was known and nobody was
//! linked. Of a person with several identifiers a second question leads to the id that names the person, a third to all members, however
//! long the chain of links between them is. New facts cost an insert for each table that gets them, and the questions again.
//!
//! What takes more than that is resolved beside the other requests: nobody waits for a person of thousands of identifiers, or for one whose
//! links were written and never settled.

mod graph;
mod loading;
mod rows;
mod turns;

use super::{Certainty, Claim, IdentityStore, Link, Merge, Person, Resolved};
use crate::error::FlowError;
use crate::identity::Outcome;
use crate::time;
use arrow_array::RecordBatch;
use graph::{Facts, Graph};
use populace_core::time::Instant;
use populace_io::sinks::Target;
use populace_io::sinks::clickhouse::{Server, columns_of, quoted};
use rows::{Audit, LinkRow};
use serde::de::DeserializeOwned;
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;
use turns::{Job, Turns};

/// How long one request to the server may take with its tries: less than a request to the connector may.
const REQUEST: Duration = Duration::from_secs(20);
/// From how many values on a list of SQL is sent as one text.
const MANY: usize = 100;
/// After how many rounds of writing and reading the server is taken for one that does not show what was written.
const ROUNDS: u32 = 8;

const IDENTIFIERS: &str = "identity_identifiers";
const LINKS: &str = "identity_links";
const MERGES: &str = "identity_merges";
const MEMBERS: &str = "identity_members";
const RESOLUTIONS: &str = "identity_resolutions";
/// Each says `CREATE TABLE IF NOT EXISTS`.
const DEFINITIONS: [(&str, &str); 5] = [
    (IDENTIFIERS, include_str!("identifiers.sql")),
    (LINKS, include_str!("links.sql")),
    (MERGES, include_str!("merges.sql")),
    (MEMBERS, include_str!("members.sql")),
    (RESOLUTIONS, include_str!("resolutions.sql")),
];

/// Identities in a database of a server.
pub struct ClickHouseIdentities {
    server: Server,
    turns: Turns,
    /// The probability from which on a probabilistic link makes two persons one; none: never.
    merge_at: Option<f64>,
}

impl ClickHouseIdentities {
    /// Opens the tables, and makes database and tables if there are none. Probabilistic links are kept; those of a weight of `merge_at` or
    /// more also merge: a bound that all processes must share.
    ///
    /// # Errors
    /// The server is not to be reached, refuses the login, or has a table of another shape.
    pub fn open(target: &Target, merge_at: Option<f64>) -> Result<Self, FlowError> {
        let server = Server::open(target, REQUEST)?;
        server.create_database()?;
        for (name, definition) in DEFINITIONS {
            server.ensure_table(name, definition, &columns_of(definition))?;
        }
        // Databases of earlier versions lack the members.
        server.run(&format!(
            "INSERT INTO {MEMBERS} SELECT universal_id, absorbed, min(at) FROM {MERGES} \
             WHERE (SELECT count() FROM {MEMBERS}) = 0 GROUP BY universal_id, absorbed"
        ))?;
        Ok(Self { server, turns: Turns::default(), merge_at })
    }

    /// Whether a resolution would be taken now.
    ///
    /// # Errors
    /// Why not.
    pub fn ready(&self) -> Result<(), FlowError> {
        self.server.run("SELECT 1").map(drop).map_err(FlowError::from)
    }

    /// The rows of an answer.
    fn ask<R: DeserializeOwned>(&self, sql: &str) -> Result<Vec<R>, FlowError> {
        let answer = self.server.run(&format!("{sql} FORMAT JSONCompactEachRow"))?;
        let wrong = |error| FlowError::Refused(format!("{}: an identity is not as this version writes it: {error}", self.server.shown()));
        answer.lines().map(|line| serde_json::from_str(line).map_err(wrong)).collect()
    }

    fn insert(&self, table: &str, rows: RecordBatch) -> Result<(), FlowError> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        // Of this insert alone: what was erased may come again.
        let token = [getrandom::u64(), getrandom::u64()].map(|part| part.map(|part| format!("{part:016x}")));
        let [Ok(one), Ok(other)] = token else {
            return Err(FlowError::Unavailable("drawing a number for an insert failed".to_owned()));
        };
        Ok(self.server.insert(table, &format!("{one}{other}"), &[rows])?)
    }

    /// Which links merge.
    fn merging(&self) -> String {
        self.merge_at.map_or_else(|| "kind = 'deterministic'".to_owned(), |least| format!("(kind = 'deterministic' OR weight >= {least})"))
    }

    /// What there is about identifiers, which may be base ids, and about everything that hangs together with them.
    fn load(&self, identifiers: BTreeSet<String>) -> Result<Graph, FlowError> {
        loading::load(identifiers, |some| self.ask(&self.question(some)), |_, _, left| left)
    }

    fn question(&self, identifiers: &[&String]) -> String {
        let listed = list(identifiers.iter().copied());
        let ids = list(identifiers.iter().copied().filter(|identifier| identifier.starts_with("sf_")));
        let named = format!("SELECT 'identifier', identifier, base_id, toString(kind) FROM {IDENTIFIERS} WHERE identifier IN ({listed})");
        if ids.is_empty() {
            return named;
        }
        format!(
            "{named} UNION ALL SELECT 'link', base_id, other, toString(source) FROM {LINKS} WHERE base_id IN ({ids}) AND {} \
             UNION ALL SELECT 'merge', absorbed, universal_id, '' FROM {MERGES} WHERE absorbed IN ({ids}) \
             UNION ALL SELECT 'member', universal_id, absorbed, '' FROM {MEMBERS} WHERE universal_id IN ({ids})",
            self.merging()
        )
    }

    /// Resolves jobs: one list of answers for each; none of a job that takes longer than the others may wait, unless they are `patient`.
    fn resolve_all(&self, jobs: &[&Job], patient: bool) -> Result<Vec<Option<Vec<Resolved>>>, FlowError> {
        let ask = |some: &[&String]| self.ask(&self.question(some));
        let (graph, slow) = loading::load_quickly(jobs, patient, ask)?;
        let quick: Vec<&Job> = jobs.iter().zip(&slow).filter(|(_, slow)| !**slow).map(|(job, _)| *job).collect();
        let mut answers = if quick.is_empty() { Vec::new() } else { self.resolve_loaded(&quick, graph)? }.into_iter();
        Ok(slow.into_iter().map(|slow| if slow { None } else { answers.next() }).collect())
    }

    /// Resolves jobs of which the graph has everything.
    fn resolve_loaded(&self, jobs: &[&Job], mut graph: Graph) -> Result<Vec<Vec<Resolved>>, FlowError> {
        let mut outcomes: Option<Vec<Outcome>> = None;
        for round in 0..ROUNDS {
            if round > 0 {
                graph = self.load(jobs.iter().flat_map(|job| job.identifiers()).collect())?;
            }
            let mut facts = Facts::default();
            let mut firsts = Vec::new();
            let mut done = Vec::new();
            for job in jobs {
                for claim in &job.claims {
                    let (first, outcome) = graph.add(claim, &job.purpose, job.at, &mut facts);
                    firsts.push(first);
                    done.push(outcome);
                }
            }
            // What was done about a claim is what the first round did.
            let outcomes = outcomes.get_or_insert(done);
            if facts.is_empty() {
                return self.settle(&mut graph, jobs, &firsts, outcomes);
            }
            std::thread::sleep(Duration::from_millis(50) * round);
            // Identifiers first: who is linked must be known.
            self.insert(IDENTIFIERS, rows::identifiers(&facts)?)?;
            let links: Vec<LinkRow<'_>> = facts
                .links
                .iter()
                .map(|([one, other], source, at)| ([one.as_str(), other.as_str()], "deterministic", source.as_str(), 1.0, *at))
                .collect();
            self.insert(LINKS, rows::links(&links)?)?;
        }
        Err(FlowError::Unavailable(format!(
            "{}: the server does not show what was just inserted; name one replica in the URL, or set select_sequential_consistency",
            self.server.shown()
        )))
    }

    /// Says who gave way to whom and what was resolved, and answers.
    fn settle(&self, graph: &mut Graph, jobs: &[&Job], firsts: &[String], outcomes: &[Outcome]) -> Result<Vec<Vec<Resolved>>, FlowError> {
        let (mut merges, mut answers, mut rest) = (Vec::new(), Vec::with_capacity(jobs.len()), firsts.iter().zip(outcomes));
        for job in jobs {
            let answer = rest.by_ref().take(job.claims.len()).map(|(first, outcome)| {
                let members = graph.members(first);
                for absorbed in graph.unsaid(&members) {
                    graph.absorb(&absorbed, &members[0]);
                    merges.push((absorbed, members[0].clone(), job.at));
                }
                Resolved { universal_id: members[0].clone(), outcome: *outcome }
            });
            answers.push(answer.collect::<Vec<_>>());
        }
        self.insert_merges(&merges)?;
        let all = jobs.iter().zip(&answers).flat_map(|(job, answer)| answer.iter().map(move |resolved| (job, resolved)));
        let audit: Vec<Audit<'_>> = all
            .zip(firsts)
            .map(|((job, resolved), first)| {
                (job.at, job.purpose.as_str(), resolved.outcome.name(), first.as_str(), resolved.universal_id.as_str())
            })
            .collect();
        self.insert(RESOLUTIONS, rows::resolutions(&audit)?)?;
        Ok(answers)
    }

    /// Members first: from who is said to have given way, everybody is found.
    fn insert_merges(&self, merges: &[(String, String, Instant)]) -> Result<(), FlowError> {
        let rows = rows::merges(merges)?;
        self.insert(MEMBERS, rows.clone())?;
        self.insert(MERGES, rows)
    }

    /// The members of the person whom an id names or has named, with what is known of them; none if nobody is known by it.
    fn members(&self, id: &str) -> Result<Option<(Vec<String>, Graph)>, FlowError> {
        let graph = self.load(BTreeSet::from([id.to_owned()]))?;
        let members = graph.members(id);
        Ok((graph.knows(id) || members.len() > 1).then_some((members, graph)))
    }
}

/// Texts as a list of SQL; many as one long text, which the server reads several times faster than so many values.
fn list<'a>(texts: impl Iterator<Item = &'a String>) -> String {
    let texts: Vec<&str> = texts.map(String::as_str).collect();
    if texts.len() > MANY && texts.iter().all(|text| !text.contains(',')) {
        return format!("SELECT arrayJoin(splitByChar(',', {}))", quoted(&texts.join(",")));
    }
    texts.into_iter().map(quoted).collect::<Vec<_>>().join(",")
}

/// A moment of the tables as events write it.
fn moment(millis: i64) -> String {
    time::text(Instant(millis * time::MILLISECOND))
}

impl IdentityStore for ClickHouseIdentities {
    fn resolve(&self, claims: &[Claim], purpose: &str, at: Instant) -> Result<Vec<Resolved>, FlowError> {
        if claims.is_empty() {
            return Ok(Vec::new());
        }
        let job = Job { claims: claims.to_vec(), purpose: purpose.to_owned(), at };
        self.turns.take(job, |jobs, patient| self.resolve_all(jobs, patient))
    }

    fn link(&self, ids: [&str; 2], certainty: Certainty, source: &str, at: Instant) -> Result<Resolved, FlowError> {
        let (kind, weight) = super::link_of(ids, certainty)?;
        let both = || BTreeSet::from(ids.map(str::to_owned));
        let graph = self.load(both())?;
        if !ids.iter().all(|id| graph.knows(id)) {
            return Err(super::unknown_ids());
        }
        let [one, other] = ids;
        let before: Vec<(f64,)> = self.ask(&format!(
            "SELECT max(weight) FROM {LINKS} WHERE base_id = {} AND other = {} AND kind = '{kind}' AND source = {} GROUP BY base_id",
            quoted(one),
            quoted(other),
            quoted(source)
        ))?;
        let new = before.first().is_none_or(|(before,)| *before < weight);
        if new {
            self.insert(LINKS, rows::links(&[(ids, kind, source, weight, at)])?)?;
        }
        let were_one = graph.members(one).iter().any(|member| member == other);
        let after = if new { self.load(both())? } else { graph };
        let members = after.members(one);
        let merges = certainty == Certainty::Deterministic || self.merge_at.is_some_and(|least| weight >= least);
        let outcome = match (merges && !were_one, new) {
            (true, _) => Outcome::Merged,
            (false, true) => Outcome::Linked,
            (false, false) => Outcome::Known,
        };
        let absorbed: Vec<_> = after.unsaid(&members).into_iter().map(|absorbed| (absorbed, members[0].clone(), at)).collect();
        self.insert_merges(&absorbed)?;
        self.insert(RESOLUTIONS, rows::resolutions(&[(at, source, outcome.name(), one, &members[0])])?)?;
        Ok(Resolved { universal_id: members[0].clone(), outcome })
    }

    fn current(&self, ids: &[&str]) -> Result<HashMap<String, String>, FlowError> {
        let graph = self.load(ids.iter().map(|id| (*id).to_owned()).collect())?;
        let known = ids.iter().filter(|id| graph.knows(id));
        Ok(known.map(|id| ((*id).to_owned(), graph.members(id).swap_remove(0))).collect())
    }

    fn person(&self, id: &str) -> Result<Option<Person>, FlowError> {
        let Some((members, graph)) = self.members(id)? else { return Ok(None) };
        let ours = list(members.iter());
        let links: Vec<(String, String, String, f64, String, i64)> = self.ask(&format!(
            "SELECT least(base_id, other) AS one, greatest(base_id, other) AS two, toString(kind) AS link_kind, max(weight), toString(source) AS link_source, \
             toUnixTimestamp64Milli(min(at)) AS since FROM {LINKS} WHERE base_id IN ({ours}) GROUP BY one, two, link_kind, link_source \
             ORDER BY since, one, two, link_kind, link_source SETTINGS output_format_json_quote_64bit_integers = 0"
        ))?;
        let links =
            links.into_iter().map(|(one, other, kind, weight, source, at)| Link { one, other, kind, weight, source, at: moment(at) });
        let merges: Vec<(String, String, i64)> = self.ask(&format!(
            "SELECT absorbed, universal_id, toUnixTimestamp64Milli(min(at)) AS since FROM {MERGES} WHERE absorbed IN ({ours}) \
             GROUP BY absorbed, universal_id ORDER BY since, absorbed, universal_id SETTINGS output_format_json_quote_64bit_integers = 0"
        ))?;
        let merges = merges.into_iter().map(|(from, to, at)| Merge { from, to, at: moment(at) }).collect();
        let count =
            format!("SELECT count() FROM {RESOLUTIONS} WHERE base_id IN ({ours}) SETTINGS output_format_json_quote_64bit_integers = 0");
        let resolutions = self.ask::<(u64,)>(&count)?.first().map_or(0, |(count,)| *count);
        Ok(Some(Person {
            universal_id: members[0].clone(),
            members: members.iter().map(|id| (id.clone(), graph.kind(id).name().to_owned())).collect(),
            links: links.collect(),
            merges,
            resolutions,
        }))
    }

    fn erase(&self, id: &str, at: Instant) -> Result<Vec<String>, FlowError> {
        let Some((mut members, _)) = self.members(id)? else { return Ok(Vec::new()) };
        let ours = list(members.iter());
        // What leads to the members last: an erasure that was cut short can be asked for again.
        for (table, theirs) in [
            (RESOLUTIONS, format!("base_id IN ({ours}) OR universal_id IN ({ours})")),
            (MERGES, format!("absorbed IN ({ours}) OR universal_id IN ({ours})")),
            (MEMBERS, format!("absorbed IN ({ours}) OR universal_id IN ({ours})")),
            (IDENTIFIERS, format!("base_id IN ({ours})")),
            (LINKS, format!("base_id IN ({ours}) OR other IN ({ours})")),
        ] {
            self.server.run(&format!("ALTER TABLE {table} DELETE WHERE {theirs} SETTINGS mutations_sync = 2"))?;
        }
        self.insert(RESOLUTIONS, rows::resolutions(&[(at, "erasure", "erased", "", "")])?)?;
        members.sort();
        Ok(members)
    }

    fn key_ids(&self) -> Result<Vec<String>, FlowError> {
        // A base id is an identifier too, under no key.
        let rows: Vec<(String,)> =
            self.ask(&format!("SELECT DISTINCT toString(key_id) AS id FROM {IDENTIFIERS} WHERE key_id != '' ORDER BY id"))?;
        Ok(rows.into_iter().map(|(id,)| id).collect())
    }
}
