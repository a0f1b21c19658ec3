use super::*;
use populace_io::identity::{EmailHash, Identities};
use tempfile::tempdir;

const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";

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

#[test]
fn nothing_is_left_on_disk_of_a_person_who_is_erased() {
    let directory = tempdir().unwrap();
    let database = IdentityDatabase::open(directory.path(), None).unwrap();
    let ring = ring();
    let erased = id(&database, &ring, &[email("ada@lovelace.org"), phone("+442079460123")]);
    let other = id(&database, &ring, &[email("charles@babbage.org")]);
    database.link([&erased, &other], Certainty::Probabilistic(0.5), "device", Instant(0)).unwrap();
    let ids = database.erase(&erased, Instant(0)).unwrap();
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

/// How many times as long one thing takes as another: medians of turns, so that what else the machine does weighs on both.
fn ratio(mut act: impl FnMut(usize), mut other: impl FnMut(usize)) -> f64 {
    let time = |act: &mut dyn FnMut(usize), number| {
        let start = std::time::Instant::now();
        act(number);
        start.elapsed().as_secs_f64()
    };
    let (mut these, mut those): (Vec<f64>, Vec<f64>) = (0..101).map(|number| (time(&mut act, number), time(&mut other, number))).unzip();
    these.sort_by(f64::total_cmp);
    those.sort_by(f64::total_cmp);
    these[50] / those[50]
}

#[test]
fn a_chain_of_links_slows_nobody() {
    let (directory, ring) = (tempdir().unwrap(), ring());
    let database = IdentityDatabase::open(directory.path(), None).unwrap();
    let of = |chain: usize, number: usize| email(&format!("c{chain}n{number}@lovelace.org"));
    let alone = |number: usize| drop(id(&database, &ring, &[email(&format!("alone{number}@lovelace.org"))]));
    // Those who are resolved alone are known by then.
    (0..101).for_each(alone);
    for links in [1, 35, 1_000] {
        let pairs: Vec<Claim> = (0..links).map(|number| claim(&ring, &[of(links, number), of(links, number + 1)])).collect();
        let ids = database.resolve(&pairs, "test", Instant(0)).unwrap();
        let least = (0..=links).map(|number| ring.token(&of(links, number)).unwrap().base_id).min().unwrap();
        assert_eq!(ids[links - 1].universal_id, least);
        let person = database.person(&least).unwrap().unwrap();
        assert_eq!((person.members.len(), person.links.len()), (links + 1, links));

        let along = || ratio(|number| assert_eq!(id(&database, &ring, &[of(links, number * 7 % links)]), least), alone);
        // Others, while somebody resolves along the chain, and while somebody resolves as often a person without a link.
        let busy = |claim: &Claim| {
            let ended = std::sync::atomic::AtomicBool::new(false);
            std::thread::scope(|scope| {
                let busy = scope.spawn(|| {
                    while !ended.load(std::sync::atomic::Ordering::Relaxed) {
                        database.resolve(std::slice::from_ref(claim), "test", Instant(0)).unwrap();
                        std::thread::sleep(std::time::Duration::from_millis(1));
                    }
                });
                let mut times: Vec<_> = (0..101)
                    .map(|number| {
                        let start = std::time::Instant::now();
                        alone(number);
                        start.elapsed()
                    })
                    .collect();
                ended.store(true, std::sync::atomic::Ordering::Relaxed);
                busy.join().unwrap();
                times.sort();
                times[50].as_secs_f64()
            })
        };
        let single = claim(&ring, &[email("alone0@lovelace.org")]);
        // A resolution is one write that is synced, whatever it reads; a step for each link would be some hundred times as long, in every round,
        // whereas a disk that others use is slow in some.
        let quick = (0..6).any(|_| {
            let (along, beside) = (along(), busy(&pairs[links / 2]) / busy(&single));
            println!("{links} links: {along:.2} times a person without one; others wait {beside:.2} times as long");
            along < 4.0 && beside < 4.0
        });
        assert!(quick, "{links} links: six rounds, and none was as quick as without links");
    }
}
