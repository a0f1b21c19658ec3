//! What holds of every document.

use super::super::parse::{parse, parse_bytes};
use super::super::tree::{Node, Origin};
use super::super::{Diagnostics, Library, Request, Setting, Source, write};
use super::{SHOP, resolve, resolve_text};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::Value;

fn json() -> impl Strategy<Value = Value> {
    let text = prop_oneof![any::<String>(), "[ -~\n\t]{0,40}", "[-+.0-9eExo_:]{0,8}", "(?i:true|false|null|yes|no|~|\\.inf|nan)"];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter("finite", |float| float.is_finite()).prop_map(Value::from),
        text.clone().prop_map(Value::from),
    ];
    // A key longer than the limit is not a document's, and the merge key is not a key.
    let key = text.prop_filter("a key", |key| key != "<<" && key.chars().count() <= 256);
    leaf.prop_recursive(5, 40, 6, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            btree_map(key.clone(), inner, 0..6).prop_map(|map| Value::Object(map.into_iter().collect()))
        ]
    })
}

fn read(text: &str) -> Node {
    parse(&Origin::document("t"), text, &mut Diagnostics::default()).unwrap_or_else(|problems| panic!("{problems}\n{text}"))
}

/// A document with characters put in, taken out and doubled.
fn mutated() -> impl Strategy<Value = String> {
    let edit = (any::<prop::sample::Index>(), 0_usize..12, prop_oneof!["[-\\[\\]{}:,&*!|>'\"%#?~ \n\t]{0,3}", any::<String>()]);
    vec(edit, 0..8).prop_map(|edits| {
        let mut characters: Vec<char> = SHOP.chars().collect();
        for (place, removed, added) in edits {
            let place = place.index(characters.len() + 1).min(characters.len());
            let end = (place + removed).min(characters.len());
            characters.splice(place..end, added.chars());
        }
        characters.into_iter().collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_the_parser_panic(bytes in vec(any::<u8>(), 0..300)) {
        let _ = parse_bytes(&Origin::document("t"), &bytes, &mut Diagnostics::default());
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in prop_oneof![any::<String>(), "[-\\[\\]{}:,&*!|>'\"%#?~ab1. \n\t]{0,60}"]) {
        let _ = resolve_text(&text).map_err(|problems| problems.to_string());
    }

    #[test]
    fn no_slip_in_a_document_makes_the_reader_panic(text in mutated()) {
        if let Err(problems) = resolve_text(&text) {
            prop_assert!(!problems.is_empty());
            prop_assert!(problems.problems.iter().all(|problem| problem.position.is_some()));
            prop_assert!(!problems.to_string().contains(char::from(27)), "an escape reached the terminal");
        }
    }

    #[test]
    fn no_setting_makes_the_reader_panic(path in prop_oneof![any::<String>(), "[a-z_.\"0-2]{0,12}", "(personas|open_delay|workflow|users)[.a-z\"0-9]{0,12}"], value in any::<String>()) {
        let settings = [Setting { option: "--set", path: &path, value: &value }];
        let _ = resolve(&Request { settings: &settings, ..Request::new(Source::Named("shop")) }).map_err(|problems| problems.to_string());
    }

    #[test]
    fn what_is_written_reads_back_to_the_bit(value in json()) {
        let text = write::to_yaml(&value);
        let again = read(&text).to_json();
        prop_assert_eq!(again.to_string(), value.to_string(), "{}", text);
    }

    #[test]
    fn a_resolved_document_resolves_to_itself(users in 1_u32.., rate in 0.0..=1.0, amplitude in 0.0..1.0, note in any::<String>(), name in "[a-z]\\PC{0,8}", seed: Option<u64>) {
        let quoted = |text: &str| write::to_yaml(&Value::from(text));
        let (users, rate, amplitude, note, name) = (users.to_string(), format!("{rate:?}"), format!("{amplitude:?}"), quoted(&note), quoted(&name));
        let set = |path, value| Setting { option: "--set", path, value };
        let settings = [set("users", &users), set("personas.owl.open_rate", &rate), set("drift.amplitude", &amplitude), set("note", &note), set("name", &name)];
        let first = resolve(&Request { settings: &settings, ..Request::new(Source::Named("shop-literal")) }).map_err(|problems| TestCaseError::fail(problems.to_string()))?;
        let text = first.to_yaml(seed);
        let again = resolve_text(&text).map_err(|problems| TestCaseError::fail(format!("{problems}\n{text}")))?;
        prop_assert_eq!(&again.config, &first.config);
        prop_assert_eq!(again.digest(), first.digest());
        prop_assert_eq!((&again.name, &again.description, again.seed), (&first.name, &first.description, seed));
    }

    #[test]
    fn the_later_of_two_settings_wins(first in 1_u32.., second in 1_u32..) {
        let (first, second) = (first.to_string(), second.to_string());
        let set = |value| Setting { option: "--set", path: "users", value };
        let both = resolve(&Request { settings: &[set(&first), set(&second)], ..Request::new(Source::Named("shop")) }).unwrap();
        let last = resolve(&Request { settings: &[set(&second)], ..Request::new(Source::Named("shop")) }).unwrap();
        prop_assert_eq!(both.config, last.config);
    }

    /// Laid over itself, or over nothing, a document stays what it is, and a setting that is made twice is made once.
    #[test]
    fn a_document_that_repeats_another_adds_nothing(value in json()) {
        let open = Library::new(&[]);
        let any_schema = |_: &str| Some(serde_json::json!({"type": "object", "additionalProperties": {"type": ["null", "object", "array", "string", "number", "integer", "boolean"]}}));
        let document = write::to_yaml(&serde_json::json!({"version": 1, "scenario": "any", "x": value}));
        let snippet = write::to_yaml(&value);
        let settings = [Setting { option: "--set", path: "x", value: &snippet }];
        let source = Source::Text { name: "t", text: &document };
        let alone = open.resolve(&Request::new(source), any_schema).map_err(|problems| TestCaseError::fail(problems.to_string()))?;
        let twice = open.resolve(&Request { settings: &settings, ..Request::new(source) }, any_schema).map_err(|problems| TestCaseError::fail(problems.to_string()))?;
        prop_assert_eq!(alone.config, twice.config);
    }
}

#[test]
fn a_document_that_only_extends_is_what_it_extends() {
    let base = resolve(&Request::new(Source::Named("shop"))).unwrap();
    let same = resolve_text("extends: shop\n").unwrap();
    assert_eq!((same.config, same.name, same.family), (base.config, base.name, base.family));
}
