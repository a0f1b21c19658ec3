//! From some identifiers to all that hangs together with them, step by step.

use super::graph::Graph;
use super::turns::Job;
use crate::error::FlowError;
use crate::identity::Kind;
use std::collections::{BTreeSet, HashMap, HashSet};

/// Identifiers in one question.
const AT_A_TIME: usize = 10_000;
/// So many questions lead from an identifier to all that hangs together with it, where links are settled.
const STEPS: usize = 4;
/// The ids that one step of a job may ask for among those of others.
const LARGE: usize = 1_000;

/// What each id has led to.
type Led = HashMap<String, Vec<String>>;

/// Asks about identifiers and about all that they lead to. `ask` gives rows of the tables about some ids: what, the id, the other id, more.
/// `keep` says after each step which ids are still to be asked about.
pub(super) fn load(
    identifiers: BTreeSet<String>,
    mut ask: impl FnMut(&[&String]) -> Result<Vec<[String; 4]>, FlowError>,
    mut keep: impl FnMut(usize, &Led, BTreeSet<String>) -> BTreeSet<String>,
) -> Result<Graph, FlowError> {
    let mut graph = Graph::default();
    let mut asked: HashSet<String> = HashSet::new();
    let mut led = Led::new();
    let (mut left, mut step) = (identifiers, 0);
    while !left.is_empty() {
        step += 1;
        let mut next = BTreeSet::new();
        let all: Vec<&String> = left.iter().collect();
        for some in all.chunks(AT_A_TIME) {
            for [what, one, other, more] in ask(some)? {
                match what.as_str() {
                    "identifier" => graph.name(&one, &other, Kind::named(&more).unwrap_or(Kind::Universal)),
                    "link" => drop(graph.join([&one, &other], &more)),
                    "merge" => graph.absorb(&one, &other),
                    // The other way round it only leads to the members.
                    _ => {}
                }
                led.entry(one).or_default().push(other.clone());
                next.insert(other);
            }
        }
        asked.extend(left);
        left = keep(step, &led, next.into_iter().filter(|id| !asked.contains(id)).collect());
    }
    Ok(graph)
}

/// The same for jobs, and which of them take longer than the others may wait: of those the graph has not everything.
pub(super) fn load_quickly(
    jobs: &[&Job],
    patient: bool,
    ask: impl FnMut(&[&String]) -> Result<Vec<[String; 4]>, FlowError>,
) -> Result<(Graph, Vec<bool>), FlowError> {
    let mut slow = vec![false; jobs.len()];
    let graph = load(jobs.iter().flat_map(|job| job.identifiers()).collect(), ask, |step, led, left| {
        if patient || (step < STEPS && left.len() <= LARGE) {
            return left;
        }
        let mut kept = BTreeSet::new();
        for (job, slow) in jobs.iter().zip(&mut slow).filter(|(_, slow)| !**slow) {
            let open: Vec<String> = reached(job, led).into_iter().filter(|id| left.contains(*id)).map(str::to_owned).collect();
            *slow = open.len() > if step < STEPS { LARGE } else { 0 };
            if !*slow {
                kept.extend(open);
            }
        }
        kept
    })?;
    Ok((graph, slow))
}

/// All that a job's identifiers have led to.
fn reached<'a>(job: &Job, led: &'a Led) -> HashSet<&'a str> {
    let mut found = HashSet::new();
    let mut left: Vec<&Vec<String>> = job.identifiers().filter_map(|id| led.get(&id)).collect();
    while let Some(others) = left.pop() {
        let new = others.iter().filter(|other| found.insert(other.as_str()));
        left.extend(new.filter_map(|other| led.get(other)).collect::<Vec<_>>());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{Claim, Token};
    use populace_core::time::Instant;

    /// The tables in memory, and how many questions they were asked.
    #[derive(Default)]
    struct Tables {
        rows: HashMap<String, Vec<[String; 4]>>,
        questions: usize,
    }

    impl Tables {
        fn add(&mut self, row: [&str; 4]) {
            self.rows.entry(row[1].to_owned()).or_default().push(row.map(str::to_owned));
        }

        /// A chain of people, of whom it may have been said to whom they gave way.
        fn chain(&mut self, name: &str, length: usize, settled: bool) -> String {
            let ids: Vec<String> = (0..length).map(|number| format!("sf_{name}{number:05}")).collect();
            for id in &ids {
                self.add(["identifier", id, id, "email"]);
                if settled && *id != ids[0] {
                    self.add(["merge", id, &ids[0], ""]);
                    self.add(["member", &ids[0], id, ""]);
                }
            }
            for pair in ids.windows(2) {
                self.add(["link", &pair[0], &pair[1], "test"]);
                self.add(["link", &pair[1], &pair[0], "test"]);
            }
            ids[length / 2].clone()
        }

        fn ask(&mut self, ids: &[&String]) -> Vec<[String; 4]> {
            self.questions += 1;
            ids.iter().filter_map(|id| self.rows.get(*id)).flatten().cloned().collect()
        }
    }

    fn job(id: &str) -> Job {
        let token = Token { kind: Kind::Universal, base_id: id.to_owned(), hash: String::new(), hashes: Vec::new() };
        Job { claims: vec![Claim { tokens: vec![token] }], purpose: "test".to_owned(), at: Instant(0) }
    }

    #[test]
    fn a_chain_of_a_thousand_links_takes_three_questions_where_it_is_settled() {
        let mut tables = Tables::default();
        let id = tables.chain("a", 1_001, true);
        let graph = load(BTreeSet::from([id.clone()]), |ids| Ok(tables.ask(ids)), |_, _, left| left).unwrap();
        assert_eq!(graph.members(&id).len(), 1_001);
        assert_eq!(graph.members(&id)[0], "sf_a00000");
        assert!(tables.questions <= 3, "{}", tables.questions);
    }

    #[test]
    fn what_is_not_settled_or_large_is_set_aside_and_everything_else_is_there() {
        for (length, settled) in [(1_001, false), (3_000, true)] {
            let mut tables = Tables::default();
            let long = tables.chain("long", length, settled);
            let short: Vec<String> = (0..100).map(|number| tables.chain(&format!("s{number:03}_"), 3, true)).collect();
            let jobs: Vec<Job> = short.iter().map(|id| job(id)).chain([job(&long)]).collect();
            let jobs: Vec<&Job> = jobs.iter().collect();
            let (graph, slow) = load_quickly(&jobs, false, |ids| Ok(tables.ask(ids))).unwrap();
            assert!(slow[100] && !slow[..100].contains(&true));
            assert!(short.iter().all(|id| graph.members(id).len() == 3));
            assert!(tables.questions <= STEPS, "{}", tables.questions);
            let (graph, slow) = load_quickly(&[jobs[100]], true, |ids| Ok(tables.ask(ids))).unwrap();
            assert_eq!((graph.members(&long).len(), slow), (length, vec![false]));
        }
    }
}
