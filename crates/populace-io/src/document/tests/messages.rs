//! Every kind of bad document has its message on file.

use super::super::{Graft, Request, Setting, Source};
use super::{LIBRARY, resolve, resolve_text};
use populace_core::scenario::Checker;

/// Each document is laid over the built-in `shop` unless it says otherwise.
#[test]
fn every_kind_of_bad_document_has_its_message() {
    let mut wrong = Vec::new();
    for case in include_str!("messages.txt").split("\n=====\n").filter(|case| !case.trim().is_empty()) {
        let (document, expected) = case.split_once("\n-----\n").expect("a case has a document and its messages");
        let found = match resolve_text(document) {
            Ok(resolved) => format!("accepted: {}", resolved.config),
            Err(problems) => problems.to_string(),
        };
        if found != expected.trim_end() {
            wrong.push(format!("{document}\n-----\n{found}\n=====\n"));
        }
    }
    assert!(wrong.is_empty(), "these documents have other messages than the ones on file:\n{}", wrong.concat());
}

fn set(settings: &[Setting<'_>]) -> String {
    let request = Request { settings, ..Request::new(Source::Named("shop")) };
    resolve(&request).map_or_else(|problems| problems.to_string(), |resolved| format!("accepted: {}", resolved.config))
}

fn set_one(path: &str, value: &str) -> String {
    set(&[Setting { option: "--set", path, value }])
}

#[test]
fn a_setting_is_shown_as_it_was_typed() {
    for (path, value, expected) in SETTINGS {
        assert_eq!(&set_one(path, value), expected, "--set {path}={value}");
    }
    let users = Setting { option: "--users", path: "users", value: "0" };
    assert_eq!(set(&[users]), "--users 0: users: must be at least 1, got `0`");
}

const SETTINGS: &[(&str, &str, &str)] = &[
    ("users", "0", "--set users=0: users: must be at least 1, got `0`"),
    ("user", "5", "--set user=5: user: unknown key\n    hint: did you mean `users`?"),
    (
        "zzz",
        "5",
        "--set zzz=5: zzz: unknown key\n    hint: known keys: users, start, personas, open_delay, billing, drift, store, attention, workflow, note, hours, range, level, strict, name, description, seed",
    ),
    ("users.x", "5", "--set users.x=5: users.x: there are no keys in here"),
    (
        "personas.owl.open_rat",
        "5",
        "--set personas.owl.open_rat=5: personas.owl.open_rat: unknown key\n    hint: did you mean `open_rate`?",
    ),
    ("personas.owl.open_rate", "1.5", "--set personas.owl.open_rate=1.5: personas.owl.open_rate: must be from 0 to 1, got `1.5`"),
    ("personas.new.open_rate", "high", "--set personas.new.open_rate=high: personas.new.open_rate: must be a number, got the text `high`"),
    (
        "personas.lark.days.2",
        "monday",
        "--set personas.lark.days.2=monday: personas.lark.days.2: there is no such item: the list has 2 items\n    hint: items count from 0",
    ),
    (
        "personas.lark.days.x",
        "monday",
        "--set personas.lark.days.x=monday: personas.lark.days.x: there is no such item: the list has 2 items\n    hint: items count from 0",
    ),
    ("personas.owll", "null", "--set personas.owll=null: personas.owll: there is no such entry to remove\n    hint: did you mean `owl`?"),
    ("billing", "[", "--set billing=[: this is not YAML: unclosed bracket '['"),
    ("billing", "a\nb: c: d", "--set billing=a\\nb: c: d: this is not YAML: mapping values are not allowed in this context"),
    (
        "seed",
        "many",
        "--set seed=many: seed: must be a whole number from 0 to 18446744073709551615, got the text `many`\n    hint: leave it out to have one drawn",
    ),
    ("extends", "shop", "--set extends=shop: extends: `extends` is allowed at the top of a document only"),
    (
        "",
        "1",
        "--set =1: \"\": unknown key\n    hint: known keys: users, start, personas, open_delay, billing, drift, store, attention, workflow, note, hours, range, level, strict, name, description, seed",
    ),
    ("users.", "1", "--set users.=1: users.\"\": there are no keys in here"),
];

#[test]
fn a_misspelt_profile_names_the_nearest() {
    let request = |profile| Request { profile: Some(profile), ..Request::new(Source::Named("shop")) };
    assert_eq!(resolve(&request("dens")).unwrap_err().to_string(), "there is no profile `dens`\n    hint: did you mean `dense`?");
    assert_eq!(resolve(&request("quiet")).unwrap_err().to_string(), "there is no profile `quiet`\n    hint: profiles: dense");
}

#[test]
fn a_misspelt_scenario_names_the_nearest_and_lists_the_rest() {
    let named = |name| resolve(&Request::new(Source::Named(name))).unwrap_err().to_string();
    let list = "built-in scenarios: shop, shop-literal";
    assert_eq!(named("shpo"), format!("there is no built-in scenario and no file `shpo`\n    hint: did you mean `shop`? {list}"));
    assert_eq!(named("zebra"), format!("there is no built-in scenario and no file `zebra`\n    hint: {list}"));
    assert_eq!(LIBRARY.names().collect::<Vec<_>>(), ["shop", "shop-literal"]);
}

const GRAFTED: &str = "\
w.yaml:5:9: workflow.transitions./a./b: must be a number, got the text `high`
w.yaml:7:1: workflow.exits: unknown key
    hint: known keys: name, entry_points, transitions, exit_points, avg_response_times, user_type_distribution, methods, max_length, exit_probability
2 problems";

#[test]
fn a_graft_keeps_the_lines_of_its_file() {
    let text = "name: w\nentry_points: {/a: 1}\ntransitions:\n  /a:\n    /b: high\nexit_points: [/b]\nexits: [/b]\n";
    let graft = |path| Graft { option: "--workflow", path, beside: &[], source: Source::Text { name: "w.yaml", text } };
    let with = |path| {
        let grafts = [graft(path)];
        resolve(&Request { grafts: &grafts, ..Request::new(Source::Named("shop")) }).unwrap_err().to_string()
    };
    assert_eq!(with("workflow"), GRAFTED);
    assert_eq!(with("workfow"), "--workflow: workfow: unknown key\n    hint: did you mean `workflow`?");
}

const DIAGNOSED: &str = "\
my.yaml:6:5: workflow.transitions./api/login: is wrong
my.yaml:7:22: workflow.transitions./api/login./api/v1.2/end: is wrong
my.yaml:8:17: workflow.exit_points.0: is wrong
my.yaml:2:1: workflow.max_length: is wrong
my.yaml:5:3: workflow.transitions./api/other: is wrong
built-in shop:9:16: personas.owl.open_rate: is wrong
my.yaml:1:1: drift.amplitude: is wrong
my.yaml:1:1: is wrong
8 problems";

#[test]
fn a_problem_of_the_model_is_shown_where_the_document_says_it() {
    let text = "extends: shop\nworkflow:\n  name: w\n  entry_points: {/api/login: 1}\n  transitions:\n    /api/login:\n      /api/v1.2/end: .5\n  exit_points: [/api/v1.2/end]\n";
    let resolved = resolve_text(text).unwrap();
    let mut checker = Checker::default();
    for path in [
        "workflow.transitions./api/login",
        "workflow.transitions./api/login./api/v1.2/end",
        "workflow.exit_points.0",
        "workflow.max_length",
        "workflow.transitions./api/other",
        "personas.owl.open_rate",
        "drift.amplitude",
        "",
    ] {
        checker.problem(path, "is wrong", "");
    }
    assert_eq!(resolved.diagnose(&checker.finish().unwrap_err()).to_string(), DIAGNOSED);
}
