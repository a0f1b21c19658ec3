//! What every store of identities keeps to. `identity_stores_keep_to_the_contract` is run over each of them: over SQLite here, and over
//! ClickHouse in `crates/populace/tests/servers`.

use populace_core::time::Instant;
use populace_flow::identity::{Certainty, Claim, Identifier, IdentityStore, KeyRing, Outcome, Person, missing_keys};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Barrier;

const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";
const NEXT: &[u8] = b"fedcba9876543210fedcba9876543210";

/// A place for identities; at first there are none.
pub(crate) trait Place: Sync {
    /// Opens the store there, as another process would.
    fn open(&self, merge_at: Option<f64>) -> Box<dyn IdentityStore>;
}

/// A kind of store.
pub(crate) struct Stores<'a> {
    /// Makes a place under a name.
    pub(crate) new: &'a dyn Fn(&str) -> Box<dyn Place>,
    /// Every how many'th order of claims is tried.
    pub(crate) every: usize,
}

pub(crate) fn ring() -> KeyRing {
    KeyRing::new(&[("2026-01", KEY)]).unwrap()
}

pub(crate) fn claim(ring: &KeyRing, identifiers: &[Identifier]) -> Claim {
    Claim { tokens: identifiers.iter().map(|identifier| ring.token(identifier).unwrap()).collect() }
}

pub(crate) fn email(address: &str) -> Identifier {
    Identifier::Email(address.to_owned())
}

fn phone() -> Identifier {
    Identifier::Phone("+442079460123".to_owned())
}

fn provider(id: &str) -> Identifier {
    Identifier::Provider("klaviyo".to_owned(), id.to_owned())
}

fn base_id(identifier: &Identifier) -> String {
    ring().token(identifier).unwrap().base_id
}

fn id(store: &dyn IdentityStore, ring: &KeyRing, identifiers: &[Identifier]) -> String {
    store.resolve(&[claim(ring, identifiers)], "test", Instant(0)).unwrap().remove(0).universal_id
}

fn outcome(store: &dyn IdentityStore, identifiers: &[Identifier]) -> Outcome {
    store.resolve(&[claim(&ring(), identifiers)], "test", Instant(0)).unwrap().remove(0).outcome
}

/// Asserts that from every id that a person has had merges lead to the one of now.
fn assert_merges_lead_to(person: &Person) {
    for (member, _) in &person.members {
        let mut reached = BTreeSet::from([member]);
        for _ in &person.merges {
            reached.extend(person.merges.iter().filter(|merge| reached.contains(&merge.from)).map(|merge| &merge.to).collect::<Vec<_>>());
        }
        assert!(reached.contains(&person.universal_id), "{member}: {person:?}");
    }
}

/// Runs all of it.
pub(crate) fn identity_stores_keep_to_the_contract(stores: &Stores<'_>) {
    the_person_depends_on_neither_order_nor_process(stores);
    an_id_that_was_made_elsewhere_is_taken_for_what_it_turns_out_to_be(stores);
    an_address_keeps_its_id_and_merges_are_kept(stores);
    many_claims_are_resolved_in_their_order(stores);
    probable_links_are_kept_and_merge_only_from_a_bound_on(stores);
    a_new_key_finds_whom_the_old_one_knew(stores);
    a_process_without_the_keys_of_its_people_is_refused(stores);
    nothing_is_known_of_a_person_who_is_erased(stores);
    stores_that_resolve_at_once_agree(stores);
}

fn the_person_depends_on_neither_order_nor_process(stores: &Stores<'_>) {
    let ring = ring();
    let seen = [
        vec![provider("17"), phone()],
        vec![phone(), email("ada@lovelace.org")],
        vec![provider("18"), provider("17")],
        vec![email("countess@lovelace.org"), provider("18")],
    ];
    let all = [provider("17"), provider("18"), phone(), email("ada@lovelace.org"), email("countess@lovelace.org")];
    let mut ids: BTreeMap<Vec<String>, usize> = BTreeMap::new();
    for number in (0..24_usize).step_by(stores.every) {
        let mut order: Vec<usize> = (0..4).collect();
        let (mut code, mut shuffled) = (number, Vec::new());
        for choices in (1..=4).rev() {
            shuffled.push(order.remove(code % choices));
            code /= choices;
        }
        let place = (stores.new)(&format!("order_{number}"));
        let processes = [place.open(None), place.open(None)];
        for index in &shuffled {
            // The same claim once more, in another process, changes nothing.
            let [first, again] = processes.each_ref().map(|process| id(process.as_ref(), &ring, &seen[*index]));
            assert_eq!(first, again);
        }
        let store = processes[1].as_ref();
        *ids.entry(all.clone().map(|one| id(store, &ring, &[one])).into()).or_default() += 1;
        let person = store.person(&base_id(&phone())).unwrap().unwrap();
        assert_eq!((person.members.len(), person.links.len(), person.resolutions), (5, 4, 13));
        assert_merges_lead_to(&person);
    }
    assert_eq!(ids.len(), 1, "{ids:?}");
    let least = [base_id(&email("ada@lovelace.org")), base_id(&email("countess@lovelace.org"))].into_iter().min();
    assert!(ids.keys().next().unwrap().iter().all(|id| Some(id) == least.as_ref()));
}

fn an_id_that_was_made_elsewhere_is_taken_for_what_it_turns_out_to_be(stores: &Stores<'_>) {
    let ring = ring();
    let (number, address) = (base_id(&phone()), base_id(&email("ada@lovelace.org")));
    let steps: [&[Identifier]; 3] = [&[Identifier::Universal(number.clone())], &[phone()], &[email("ada@lovelace.org"), phone()]];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]].into_iter().step_by(stores.every.min(3)) {
        let place = (stores.new)(&format!("elsewhere_{}{}{}", order[0], order[1], order[2]));
        let store = place.open(None);
        for step in order {
            id(store.as_ref(), &ring, steps[step]);
        }
        for known in [&number, &address] {
            assert_eq!(store.person(known).unwrap().unwrap().universal_id, address, "{order:?}");
        }
        let now = store.current(&[&number, &address, "sf_unknown"]).unwrap();
        assert!(now.len() == 2 && now.values().all(|id| *id == address), "{now:?}");
    }
}

fn an_address_keeps_its_id_and_merges_are_kept(stores: &Stores<'_>) {
    let place = (stores.new)("merges");
    let store = place.open(None);
    let store = store.as_ref();
    let before = id(store, &ring(), &[phone()]);
    let address = base_id(&email("ada@lovelace.org"));
    assert_eq!(id(store, &ring(), &[email("ada@lovelace.org")]), address);
    let together = [phone(), email("ada@lovelace.org")];
    assert_eq!([outcome(store, &together), outcome(store, &together)], [Outcome::Merged, Outcome::Known]);
    assert_eq!(outcome(store, &[email("ada@lovelace.org"), provider("1")]), Outcome::Linked);
    assert_eq!(outcome(store, &[email("new@lovelace.org"), provider("2")]), Outcome::New);
    let person = store.person(&before).unwrap().unwrap();
    assert_eq!(person.universal_id, address);
    assert_eq!(person.members.len(), 3);
    assert_eq!(person.members[0], (address.clone(), "email".to_owned()));
    assert!(person.merges.iter().any(|merge| merge.from == before && merge.to == address));
    assert!(
        person.links.iter().all(|link| link.kind == "deterministic" && link.one < link.other && link.weight.to_bits() == 1_f64.to_bits())
    );
    assert!(person.links.iter().all(|link| link.at == "1970-01-01T00:00:00.000Z" && link.source == "test"));
    assert_eq!(person.resolutions, 5);
    assert_eq!(store.person("sf_unknown").unwrap(), None);
    // Merged again by hand, it stays as it is.
    let linked = store.link([&before, &address], Certainty::Deterministic, "support", Instant(1_000)).unwrap();
    assert_eq!((linked.universal_id.as_str(), linked.outcome), (address.as_str(), Outcome::Linked));
    let linked = store.link([&address, &before], Certainty::Deterministic, "support", Instant(2_000)).unwrap();
    assert_eq!(linked.outcome, Outcome::Known);
}

fn many_claims_are_resolved_in_their_order(stores: &Stores<'_>) {
    let place = (stores.new)("many");
    let store = place.open(None);
    let claims: Vec<Claim> = (0..300).map(|number| claim(&ring(), &[email(&format!("user{number}@example.com"))])).collect();
    for expected in [Outcome::New, Outcome::Known] {
        let resolved = store.resolve(&claims, "test", Instant(0)).unwrap();
        assert_eq!(resolved.len(), claims.len());
        for (claim, resolved) in claims.iter().zip(resolved) {
            assert_eq!((&claim.tokens[0].base_id, expected), (&resolved.universal_id, resolved.outcome));
        }
    }
    assert_eq!(store.resolve(&[], "test", Instant(0)).unwrap(), []);
}

fn probable_links_are_kept_and_merge_only_from_a_bound_on(stores: &Stores<'_>) {
    for (name, merge_at, merged) in [("never", None, false), ("from_95", Some(0.95), false), ("from_80", Some(0.8), true)] {
        let place = (stores.new)(&format!("probable_{name}"));
        let store = place.open(merge_at);
        let ids = ["ada@lovelace.org", "countess@lovelace.org"].map(|address| id(store.as_ref(), &ring(), &[email(address)]));
        let pair = [ids[0].as_str(), ids[1].as_str()];
        let outcomes =
            [0.4, 0.9, 0.7].map(|weight| store.link(pair, Certainty::Probabilistic(weight), "device", Instant(0)).unwrap().outcome);
        let second = if merged { Outcome::Merged } else { Outcome::Linked };
        assert_eq!(outcomes, [Outcome::Linked, second, Outcome::Known]);
        let person = store.person(&ids[1]).unwrap().unwrap();
        assert_eq!(person.links.iter().map(|link| (link.kind.as_str(), link.weight)).collect::<Vec<_>>(), [("probabilistic", 0.9)]);
        assert_eq!(person.members.len() == 2, merged);
        for weight in [0.0, 1.0, f64::NAN] {
            assert!(store.link(pair, Certainty::Probabilistic(weight), "device", Instant(0)).is_err());
        }
        assert!(store.link([pair[0], "sf_unknown"], Certainty::Deterministic, "device", Instant(0)).is_err());
        assert!(store.link([pair[0], pair[0]], Certainty::Deterministic, "device", Instant(0)).is_err());
    }
}

fn a_new_key_finds_whom_the_old_one_knew(stores: &Stores<'_>) {
    let place = (stores.new)("rotation");
    let store = place.open(None);
    let before = id(store.as_ref(), &ring(), &[email("ada@lovelace.org")]);
    let both = KeyRing::new(&[("2026-07", NEXT), ("2026-01", KEY)]).unwrap();
    assert_ne!(both.token(&email("ada@lovelace.org")).unwrap().base_id, before);
    assert_eq!(id(store.as_ref(), &both, &[email("ada@lovelace.org")]), before);
    let alone = KeyRing::new(&[("2026-07", NEXT)]).unwrap();
    assert_eq!(id(store.as_ref(), &alone, &[email("ada@lovelace.org")]), before);
    assert_eq!(store.person(&before).unwrap().unwrap().members, [(before, "email".to_owned())]);
}

fn a_process_without_the_keys_of_its_people_is_refused(stores: &Stores<'_>) {
    let place = (stores.new)("keys");
    let store = place.open(None);
    let missing = |ring: &KeyRing| missing_keys(store.as_ref(), ring, "here");
    let next = KeyRing::new(&[("2026-07", NEXT)]).unwrap();
    let both = KeyRing::new(&[("2026-07", NEXT), ("2026-01", KEY)]).unwrap();
    // Nobody is known yet, and an id that was made elsewhere is under no key.
    id(store.as_ref(), &ring(), &[Identifier::Universal("sf_zibadpwptzraqjc5y2s24jmkdn".to_owned())]);
    assert_eq!(missing(&next).unwrap(), [""; 0]);
    id(store.as_ref(), &ring(), &[email("ada@lovelace.org")]);
    assert_eq!(missing(&ring()).unwrap(), [""; 0]);
    assert_eq!(missing(&both).unwrap(), [""; 0]);
    for (ring, have) in [(&next, "not 2026-07"), (&KeyRing::synthetic(), "no key of its own was given")] {
        let told = missing(ring).unwrap_err().to_string();
        assert!(told.starts_with(&format!("here: the people here are known under key 2026-01 ({have})")), "{told}");
        assert!(told.contains("--identity-key-file"), "{told}");
    }
    // Once people are known under the new key too, the old one may go.
    id(store.as_ref(), &both, &[email("ada@lovelace.org")]);
    assert_eq!(store.key_ids().unwrap(), ["2026-01", "2026-07"]);
    assert_eq!(missing(&next).unwrap(), ["2026-01"]);

    let place = (stores.new)("public_key");
    let store = place.open(None);
    id(store.as_ref(), &KeyRing::synthetic(), &[email("user1@example.com")]);
    let told = missing_keys(store.as_ref(), &next, "here").unwrap_err().to_string();
    assert!(told.contains("known under key synthetic") && told.contains("new --data directory"), "{told}");
}

fn nothing_is_known_of_a_person_who_is_erased(stores: &Stores<'_>) {
    let place = (stores.new)("erased");
    let store = place.open(None);
    let (store, ring) = (store.as_ref(), ring());
    let erased = id(store, &ring, &[email("ada@lovelace.org"), phone()]);
    let other = id(store, &ring, &[email("charles@babbage.org")]);
    store.link([&erased, &other], Certainty::Probabilistic(0.5), "device", Instant(0)).unwrap();
    let ids = store.erase(&base_id(&phone()), Instant(0)).unwrap();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>(), BTreeSet::from([&base_id(&phone()), &erased]));
    assert_eq!(store.erase(&erased, Instant(0)).unwrap(), [""; 0]);
    assert!(ids.iter().all(|id| store.person(id).unwrap().is_none()));
    let left = store.person(&other).unwrap().unwrap();
    assert!(left.links.is_empty() && left.resolutions == 1, "{left:?}");
    // Who comes again is somebody new.
    assert_eq!(outcome(store, &[email("ada@lovelace.org")]), Outcome::New);
    let again = store.person(&erased).unwrap().unwrap();
    assert_eq!((again.members.len(), again.resolutions, again.merges.len()), (1, 1, 0));
}

/// Four processes, each of which has its own order of the same claims, some of which are sent twice.
fn stores_that_resolve_at_once_agree(stores: &Stores<'_>) {
    let place = (stores.new)("at_once");
    let people = if stores.every == 1 { 2_u32 } else { 1 };
    let ring = ring();
    // Persons of five addresses in a chain each: no claim has more than two of them.
    let claims: Vec<Claim> = (0..people)
        .flat_map(|person| (0..4_u32).map(move |link| [link, link + 1].map(|number| email(&format!("p{person}n{number}@example.com")))))
        .map(|pair| claim(&ring, &pair))
        .collect();
    let barrier = Barrier::new(4);
    std::thread::scope(|scope| {
        for process in 0..4_usize {
            let (place, claims, barrier) = (place.as_ref(), &claims, &barrier);
            scope.spawn(move || {
                let store = place.open(None);
                barrier.wait();
                for step in 0..claims.len() {
                    // 3 and 5 have no divisor in common with the number of claims: every process takes each claim once, in an order of its own.
                    let index = (step * [3, 5][process % 2] + process * 2) % claims.len();
                    let together = if step % 4 == process { vec![claims[index].clone(); 2] } else { vec![claims[index].clone()] };
                    store.resolve(&together, "test", Instant(0)).unwrap();
                }
            });
        }
    });
    let store = place.open(None);
    for person in 0..people {
        let addresses = (0..5).map(|number| email(&format!("p{person}n{number}@example.com")));
        let (ids, bases): (BTreeSet<_>, BTreeSet<_>) =
            addresses.map(|address| (id(store.as_ref(), &ring, std::slice::from_ref(&address)), base_id(&address))).unzip();
        assert_eq!(ids.iter().collect::<Vec<_>>(), [bases.first().unwrap()]);
        let found = store.person(ids.first().unwrap()).unwrap().unwrap();
        assert_eq!((found.members.len(), found.links.len()), (5, 4));
        assert_merges_lead_to(&found);
    }
}
