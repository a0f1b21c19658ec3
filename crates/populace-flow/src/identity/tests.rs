use super::*;
use populace_io::identity::{EmailHash, Identities};
use std::collections::BTreeMap;
use tempfile::tempdir;

const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";
const NEXT: &[u8] = b"fedcba9876543210fedcba9876543210";

fn ring() -> KeyRing {
    KeyRing::new(&[("2026-01", KEY)]).unwrap()
}

fn claim(ring: &KeyRing, identifiers: &[Identifier]) -> Claim {
    Claim { tokens: identifiers.iter().map(|identifier| ring.token(identifier).unwrap()).collect() }
}

fn email(address: &str) -> Identifier {
    Identifier::Email(address.to_owned())
}

fn phone(number: &str) -> Identifier {
    Identifier::Phone(number.to_owned())
}

fn provider(id: &str) -> Identifier {
    Identifier::Provider("klaviyo".to_owned(), id.to_owned())
}

fn database(merge_at: Option<f64>) -> (tempfile::TempDir, IdentityDatabase) {
    let directory = tempdir().unwrap();
    let database = IdentityDatabase::open(directory.path(), merge_at).unwrap();
    (directory, database)
}

fn id(database: &IdentityDatabase, ring: &KeyRing, identifiers: &[Identifier]) -> String {
    database.resolve(&[claim(ring, identifiers)], "test", Instant(0)).unwrap().remove(0).universal_id
}

#[test]
fn the_id_of_an_address_is_that_of_the_data_files() {
    let token = KeyRing::synthetic().token(&email(" User1000@Example.com")).unwrap();
    assert_eq!(token.base_id, "sf_zibadpwptzraqjc5y2s24jmkdn");
    assert_eq!(token.base_id, keys::base_id(&token.hashes[0].hash));
    assert_eq!(token.hash, "65cde7384a64328f348e60ee1922b56d85cace6aa35efda7c879307c9cf862a3");
    let keyed = Identities::new(KEY, EmailHash::Hmac).unwrap().identify("ada@lovelace.org").unwrap();
    let token = ring().token(&email("Ada@Lovelace.org")).unwrap();
    assert_eq!((token.base_id, token.hash), (keyed.universal_id, keyed.email_hash));
}

#[test]
fn telephone_numbers_have_one_form_and_what_is_none_is_refused() {
    let ring = ring();
    let one = ring.token(&phone("+44 (20) 7946-0123")).unwrap();
    assert_eq!(one, ring.token(&phone("00442079460123")).unwrap());
    assert!(one.base_id.starts_with("sf_") && one.hash.len() == 64);
    for number in ["", "020 7946 0123", "+0123456789", "+123456", "+1234567890123456", "+44 20 7946 ext 5"] {
        assert_eq!(ring.token(&phone(number)), Err(ClaimError::Phone), "{number}");
    }
    let public = KeyRing::synthetic();
    assert!(public.token(&phone("+1 212 555 0123")).is_ok() && public.token(&phone("+447700900123")).is_ok());
    assert_eq!(public.token(&phone("+1 212 555 1234")), Err(ClaimError::Unprotected));
    assert_eq!(public.token(&email("ada@lovelace.org")), Err(ClaimError::Address(IdentityError::Unprotected)));
    assert_eq!(ring.token(&provider(" ")), Err(ClaimError::Empty));
    assert_eq!(ring.token(&Identifier::Universal("sf_1".to_owned())), Err(ClaimError::Universal));
}

/// Every order of three claims that hang together.
#[test]
fn the_person_does_not_depend_on_the_order_or_the_process() {
    let ring = ring();
    let seen = [
        vec![provider("17"), phone("+442079460123")],
        vec![phone("+442079460123"), email("ada@lovelace.org")],
        vec![provider("18"), provider("17")],
        vec![email("countess@lovelace.org"), provider("18")],
    ];
    let mut ids: BTreeMap<Vec<String>, usize> = BTreeMap::new();
    for first in 0..24_usize {
        let mut order: Vec<usize> = (0..4).collect();
        let (mut code, mut shuffled) = (first, Vec::new());
        for choices in (1..=4).rev() {
            shuffled.push(order.remove(code % choices));
            code /= choices;
        }
        let (directory, database) = database(None);
        for index in &shuffled {
            id(&database, &ring, &seen[*index]);
            // Another process comes to the same file, and the same claim once more changes nothing.
            id(&IdentityDatabase::open(directory.path(), None).unwrap(), &ring, &seen[*index]);
        }
        let all = [provider("17"), provider("18"), phone("+442079460123"), email("ada@lovelace.org"), email("countess@lovelace.org")];
        *ids.entry(all.map(|one| id(&database, &ring, &[one])).into()).or_default() += 1;
        assert_eq!(database.counts().unwrap()[..2], [1, 5]);
    }
    assert_eq!(ids.len(), 1, "{ids:?}");
    let addresses = ["ada@lovelace.org", "countess@lovelace.org"].map(|address| ring.token(&email(address)).unwrap().base_id);
    assert!(ids.keys().next().unwrap().iter().all(|id| id == addresses.iter().min().unwrap()));
}

#[test]
fn an_id_that_was_made_elsewhere_is_taken_for_what_it_turns_out_to_be() {
    let ring = ring();
    let number = ring.token(&phone("+442079460123")).unwrap().base_id;
    let address = ring.token(&email("ada@lovelace.org")).unwrap().base_id;
    let steps: [&dyn Fn(&IdentityDatabase); 3] = [
        &|database| drop(id(database, &ring, &[Identifier::Universal(number.clone())])),
        &|database| drop(id(database, &ring, &[phone("+442079460123")])),
        &|database| drop(id(database, &ring, &[email("ada@lovelace.org"), phone("+442079460123")])),
    ];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let (_directory, database) = database(None);
        for step in order {
            steps[step](&database);
        }
        for known in [&number, &address] {
            assert_eq!(database.person(known).unwrap().unwrap().universal_id, address, "{order:?}");
        }
    }
}

#[test]
fn an_address_keeps_its_id_whatever_is_linked_to_it_and_merges_are_kept() {
    let ring = ring();
    let (_directory, database) = database(None);
    let before = id(&database, &ring, &[phone("+442079460123")]);
    let address = ring.token(&email("ada@lovelace.org")).unwrap().base_id;
    assert_eq!(id(&database, &ring, &[email("ada@lovelace.org")]), address);
    let outcome = |identifiers: &[Identifier]| database.resolve(&[claim(&ring, identifiers)], "t", Instant(0)).unwrap().remove(0).outcome;
    let together = [phone("+442079460123"), email("ada@lovelace.org")];
    assert_eq!([outcome(&together), outcome(&together)], [Outcome::Merged, Outcome::Known]);
    assert_eq!(outcome(&[email("ada@lovelace.org"), provider("1")]), Outcome::Linked);
    assert_eq!(outcome(&[email("new@lovelace.org"), provider("2")]), Outcome::New);
    let person = database.person(&before).unwrap().unwrap();
    assert_eq!(person.universal_id, address);
    assert_eq!(person.members.len(), 3);
    assert_eq!((person.merges[0].from.as_str(), person.merges[0].to.as_str()), (before.as_str(), address.as_str()));
    assert!(person.links.iter().all(|link| link.kind == "deterministic" && link.one < link.other));
    assert_eq!(person.resolutions, 5);
    assert_eq!(database.person("sf_unknown").unwrap(), None);
}

#[test]
fn probable_links_are_kept_and_merge_only_from_a_bound_on() {
    let ring = ring();
    for (merge_at, merged) in [(None, false), (Some(0.95), false), (Some(0.8), true)] {
        let (_directory, database) = database(merge_at);
        let ids = ["ada@lovelace.org", "countess@lovelace.org"].map(|address| id(&database, &ring, &[email(address)]));
        let pair = [ids[0].as_str(), ids[1].as_str()];
        for weight in [0.4, 0.9, 0.7] {
            database.link(pair, Certainty::Probabilistic(weight), "device", Instant(0)).unwrap();
        }
        let person = database.person(&ids[1]).unwrap().unwrap();
        assert_eq!(person.links.iter().map(|link| (link.kind.as_str(), link.weight)).collect::<Vec<_>>(), [("probabilistic", 0.9)]);
        assert_eq!(person.members.len() == 2, merged);
        for weight in [0.0, 1.0, f64::NAN] {
            assert!(database.link(pair, Certainty::Probabilistic(weight), "device", Instant(0)).is_err());
        }
        assert!(database.link([pair[0], "sf_unknown"], Certainty::Deterministic, "device", Instant(0)).is_err());
    }
}

#[test]
fn a_new_key_finds_whom_the_old_one_knew_and_then_stands_alone() {
    let (_directory, database) = database(None);
    let before = id(&database, &ring(), &[email("ada@lovelace.org")]);
    let both = KeyRing::new(&[("2026-07", NEXT), ("2026-01", KEY)]).unwrap();
    assert_ne!(both.token(&email("ada@lovelace.org")).unwrap().base_id, before);
    assert_eq!(id(&database, &both, &[email("ada@lovelace.org")]), before);
    let alone = KeyRing::new(&[("2026-07", NEXT)]).unwrap();
    assert_eq!(id(&database, &alone, &[email("ada@lovelace.org")]), before);
    assert_eq!(database.counts().unwrap()[..2], [1, 1]);
    assert_eq!(format!("{both:?}"), "KeyRing { keys: [\"2026-07\", \"2026-01\"], .. }");
}

#[test]
fn nothing_is_left_of_a_person_who_is_erased() {
    let (directory, database) = database(None);
    let ring = ring();
    let erased = id(&database, &ring, &[email("ada@lovelace.org"), phone("+442079460123")]);
    let other = id(&database, &ring, &[email("charles@babbage.org")]);
    database.link([&erased, &other], Certainty::Probabilistic(0.5), "device", Instant(0)).unwrap();
    let ids = database.erase(&erased, Instant(0)).unwrap();
    assert_eq!(ids.len(), 2);
    assert_eq!(database.erase(&erased, Instant(0)).unwrap(), [""; 0]);
    assert_eq!(database.person(&erased).unwrap(), None);
    assert!(database.person(&other).unwrap().unwrap().links.is_empty());
    let hash = ring.token(&email("ada@lovelace.org")).unwrap().hashes[0].hash.clone();
    drop(database);
    for file in std::fs::read_dir(directory.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        for trace in [erased.as_bytes(), &hash, ids[1].as_bytes(), b"lovelace"] {
            assert!(!bytes.windows(trace.len()).any(|window| window == trace));
        }
    }
    assert_eq!(IdentityDatabase::open(directory.path(), None).unwrap().counts().unwrap(), [1, 1, 2]);
}

#[test]
fn a_file_of_keys_says_what_is_wrong_with_it() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("keys");
    let read = |text: &str| {
        std::fs::write(&path, text).unwrap();
        KeyRing::read(&path).map(|ring| ring.ids().join(" ")).map_err(|error| error.to_string())
    };
    let secret = "0123456789abcdef0123456789abcdef";
    assert_eq!(read(&format!("# current first\nb {secret}x\n\na  {secret}\n")).unwrap(), "b a");
    assert!(read("a short").unwrap_err().ends_with("keys: key a: the identity key must have at least 32 bytes, got 5"));
    assert!(read("a").unwrap_err().ends_with("keys: line 1: must be KEY_ID SECRET"));
    assert!(read("").unwrap_err().contains("there is no key"));
    assert!(read(&format!("a {secret}\na {secret}")).unwrap_err().contains("two keys of this id"));
}
